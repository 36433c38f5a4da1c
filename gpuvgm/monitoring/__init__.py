"""What a run tells those who watch it: structured logs, timings of stages, a record, metrics and traces."""

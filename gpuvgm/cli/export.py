"""Records of runs to Prometheus' push gateway, and to OpenTelemetry where a program has set that up."""

from __future__ import annotations

import logging
import sys
from http.client import HTTPException

from gpuvgm.cli.record import RunRecord
from gpuvgm.errors import EnvironmentProblem

JOB = "gpuvgm"
PATIENCE = 10.0  # seconds
_LOG = logging.getLogger("gpuvgm")


def check_push() -> None:
    """Refuse to push where the package for it is missing.

    Raises
    ------
    EnvironmentProblem
        With what to install.
    """
    try:
        import prometheus_client  # noqa: F401
    except ModuleNotFoundError as problem:
        raise EnvironmentProblem('--push-gateway needs prometheus_client: pip install "gpuvgm[serve]"') from problem


def push(record: RunRecord, gateway: str) -> None:
    """Push the figures of a run, grouped by its command; a gateway that fails is a warning, the run is done."""
    from prometheus_client import CollectorRegistry, Gauge, push_to_gateway

    registry, document = CollectorRegistry(), record.document()
    figures = {
        "seconds": document["seconds"],
        "rows": document["rows"],
        "bytes_in": document["bytes_in"],
        "bytes_out": document["bytes_out"],
        "peak_memory_bytes": document["peak_memory"],
        "exit_code": document["exit_code"],
        "end_timestamp_seconds": record.end / 1e9,
    }
    for name, value in figures.items():
        if value is not None:
            Gauge(f"gpuvgm_run_{name}", f"Last run: {name.replace('_', ' ')}.", registry=registry).set(value)
    seconds = Gauge("gpuvgm_run_stage_seconds", "Last run: time of a stage.", ["stage"], registry=registry)
    for stage in record.stages.done:
        seconds.labels(stage.name).set(stage.seconds)
    try:
        push_to_gateway(gateway, JOB, registry, grouping_key={"command": record.command}, timeout=PATIENCE)
    except (OSError, ValueError) as problem:
        _LOG.warning("the run's figures could not be pushed: %s", problem)
    except HTTPException as problem:  # its text is what was given, or what came back
        _LOG.warning("the run's figures could not be pushed: no HTTP (%s)", type(problem).__name__)


def trace(record: RunRecord) -> None:
    """A span for the run, and one in it for each stage, where OpenTelemetry is loaded (`opentelemetry-instrument`)."""
    if "opentelemetry" not in sys.modules:
        return
    from opentelemetry import trace as telemetry

    tracer = telemetry.get_tracer("gpuvgm")
    run = tracer.start_span(f"gpuvgm {record.command}", start_time=record.start)
    run.set_attribute("gpuvgm.exit_code", record.exit_code)
    with telemetry.use_span(run, end_on_exit=False):
        for stage in record.stages.done:
            span = tracer.start_span(stage.name, start_time=stage.start, attributes={"gpuvgm.rows": stage.rows})
            span.end(stage.end)
    run.end(record.end)

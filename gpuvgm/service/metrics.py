"""Metrics of a service for Prometheus."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest as text_of,
)

SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """Counters of one service; labels are routes and models, nothing that clients choose."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self.requests = Counter("gpuvgm_requests", "Requests answered.", ["route", "status"], registry=registry)
        self.seconds = Histogram(
            "gpuvgm_request_seconds", "Time of requests.", ["route"], buckets=SECONDS, registry=registry
        )
        self.rows = Counter("gpuvgm_rows", "Rows encoded, decoded, drawn.", ["route", "model"], registry=registry)
        self.received = Counter("gpuvgm_received_bytes", "Bytes of bodies received.", ["route"], registry=registry)
        self.sent = Counter("gpuvgm_sent_bytes", "Bytes of bodies sent.", ["route"], registry=registry)
        self.in_flight = Gauge("gpuvgm_requests_in_flight", "Requests in progress.", registry=registry)

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return text_of(self.registry)

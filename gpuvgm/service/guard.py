"""ASGI application in front of every route: token, count of requests, metrics, and errors as JSON."""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass, field

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gpuvgm.service.limits import Gate
from gpuvgm.service.metrics import Metrics
from gpuvgm.service.refusals import Refused, refusal_of

OPEN = ("/health", "/ready")  # no token is asked for: who watches a service need not be trusted with its models
ROWS = ("transform", "inverse")
METHODS = ("GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE")
GONE = 499  # the client has not waited; for the figures only
_LOG = logging.getLogger("gpuvgm.service")


@dataclass(slots=True)
class Exchange:
    """One request and its figures."""

    route: str
    start: float = field(default_factory=time.perf_counter)
    status: int = 0
    received: int = 0
    sent: int = 0


def route_of(path: str) -> str:
    """Route of a path for metrics, one of few whatever clients ask for."""
    if path.startswith("/v1/models"):
        name = path.rpartition("/")[2]
        return name if name in (*ROWS, "models") else "model"
    return path[1:] if path in (*OPEN, "/metrics") else "other"


class Guard:
    """ASGI application in front of another.

    Parameters
    ----------
    app : callable
        The application behind it.
    gate : Gate
        Counts requests for rows.
    metrics : Metrics
        Counts everything.
    token : str, optional
        Token that clients must send.
    """

    def __init__(self, app: ASGIApp, gate: Gate, metrics: Metrics, token: str | None) -> None:
        self._app, self.gate, self.metrics = app, gate, metrics
        self._authorization = None if token is None else f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; protocols other than HTTP are left to the application."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = Exchange(route_of(scope["path"]))
        with self.metrics.in_flight.track_inprogress():
            try:
                await self._answer(exchange, scope, receive, send)
            finally:
                self._count(exchange, scope)

    async def _answer(self, exchange: Exchange, scope: Scope, receive: Receive, send: Send) -> None:
        # Where both say how long the body is, somebody between may have split it otherwise (RFC 9112, section 6.3).
        closes = {b"content-length", b"transfer-encoding"} <= {name for name, _ in scope["headers"]}

        async def counted_receive() -> Message:
            message = await receive()
            exchange.received += len(message.get("body", b""))
            return message

        async def counted_send(message: Message) -> None:
            if message["type"] == "http.response.start" and closes:
                message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
            exchange.status = message.get("status", exchange.status)
            await send(message)
            exchange.sent += len(message.get("body", b""))

        try:
            self._check_token(scope["path"], scope["headers"])
            with self.gate.admission() if exchange.route in ROWS else nullcontext():
                await self._app(scope, counted_receive, counted_send)
        except ClientDisconnect:
            exchange.status = GONE
        except Exception as problem:
            if exchange.status:
                raise  # the answer has begun: uvicorn cuts the connection off
            await refusal_of(problem).response(scope, receive, counted_send)

    def _check_token(self, path: str, headers: Iterable[tuple[bytes, bytes]]) -> None:
        if self._authorization is None or path in OPEN:
            return
        header = next((value for name, value in headers if name == b"authorization"), b"")
        # In constant time, so that the answer does not tell how much of a token is right.
        if not hmac.compare_digest(header, self._authorization):
            text = "a token is required; send the header Authorization: Bearer TOKEN"
            raise Refused(401, "Unauthorized", text, {"www-authenticate": "Bearer"})

    def _count(self, exchange: Exchange, scope: Scope) -> None:
        seconds, metrics, route = time.perf_counter() - exchange.start, self.metrics, exchange.route
        metrics.requests.labels(route, str(exchange.status)).inc()
        metrics.seconds.labels(route).observe(seconds)
        metrics.received.labels(route).inc(exchange.received)
        metrics.sent.labels(route).inc(exchange.sent)
        level = logging.DEBUG if route in (*map(route_of, OPEN), "metrics") else logging.INFO
        method = scope["method"] if scope["method"] in METHODS else "other"  # clients may send any word, of any length
        fields = {
            "method": method,
            "route": route,
            "status": exchange.status,
            "seconds": round(seconds, 6),
            "bytes_in": exchange.received,
            "bytes_out": exchange.sent,
        }
        _LOG.log(level, "%s %s: %d", method, route, exchange.status, extra=fields)

"""The service as a process: its socket, signals, and a shutdown that loses no request."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Self

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from gpuvgm.errors import InputError
from gpuvgm.service.app import create_app
from gpuvgm.service.guard import Guard
from gpuvgm.service.limits import Gate, Limits
from gpuvgm.service.models import Served, load_models

try:
    import resource
except ImportError:  # Windows
    LIMITS = False
else:
    LIMITS = True

BACKLOG = 128
MOST_CONNECTIONS, MOST_AT_ONCE = 1_000, 2_048
HEAD_SECONDS = 30  # for the head of a request to arrive
KEEP_ALIVE_SECONDS = 30
LOOK_SECONDS = 0.05
SWITCH_SECONDS = 0.0005  # small requests pass through several threads, and wait for Python's lock in each
GRACE_SECONDS = 5  # beyond the time to answer a request, and as much to send that


class Connection(H11Protocol):
    """A connection; it is closed where no request comes, or where others come and too many are open.

    Parameters
    ----------
    most : int
        Connections that may be open.
    **parts : object
        What uvicorn gives.
    """

    def __init__(self, most: int, **parts: Any) -> None:
        super().__init__(**parts)
        self._most, self._since = most, 0.0
        self._silence: asyncio.TimerHandle | None = None

    @property
    def has_request(self) -> bool:
        """True from the head of a request to the end of its answer."""
        return self.cycle is not None and not self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, in place of the one that has been silent for longest if there are too many."""
        super().connection_made(transport)
        self._wait_for_head(HEAD_SECONDS)
        if len(self.connections) > self._most:
            connections: Any = self.connections
            min(connections, key=lambda one: (one.has_request, one._since))._close()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._wait_for_head(KEEP_ALIVE_SECONDS + HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        super().connection_lost(exc)
        if self._silence is not None:
            self._silence.cancel()

    def _wait_for_head(self, seconds: float) -> None:
        if self._silence is not None:
            self._silence.cancel()
        self._since = self.loop.time()
        self._silence = self.loop.call_later(seconds, self._close_silent)

    def _close_silent(self) -> None:
        if not self.has_request:
            self._close()

    def _close(self) -> None:
        self.connections.discard(self)
        self.transport.close()


def most_files() -> int:
    """Files that the process may open, connections among them."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE) if LIMITS else (-1, -1)
    return files if files > 0 else sys.maxsize


class Server(uvicorn.Server):
    """Uvicorn's server; the first signal lets running requests finish, the second does not.

    Parameters
    ----------
    config : uvicorn.Config
        Its settings.
    gate : Gate
        Knows of requests under way.
    """

    def __init__(self, config: uvicorn.Config, gate: Gate) -> None:
        super().__init__(config)
        self._gate = gate
        self._stop: asyncio.Task[None] | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Handle a signal; /ready answers 503 from the first one on."""
        if self._gate.stopping:
            self.should_exit = self.force_exit = True
            return
        self._gate.stopping = True
        self._stop = asyncio.get_running_loop().create_task(self._stop_when_idle())

    async def _stop_when_idle(self) -> None:
        end = time.monotonic() + 2 * self._gate.limits.timeout + GRACE_SECONDS
        while self._gate.under_way and time.monotonic() < end:
            await asyncio.sleep(LOOK_SECONDS)
        self.should_exit = True


def _listen_on(host: str, port: int) -> socket.socket:
    """Open a socket that listens.

    Raises
    ------
    InputError
        For an address that cannot be used.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        is_dual_stack = family == socket.AF_INET6 and socket.has_dualstack_ipv6()
        # it listens at once, so that whoever is told of the service may come
        return socket.create_server(address, family=family, backlog=BACKLOG, dualstack_ipv6=is_dual_stack)
    except OSError as problem:
        cause = str(problem.strerror).partition(" (while")[0]  # without the address, once more
        raise InputError(f"cannot listen on {host} port {port}: {cause}") from problem


@dataclass(frozen=True, slots=True)
class Service:
    """Models over HTTP.

    Parameters
    ----------
    models : mapping of str to Served
        The models by name.
    """

    models: Mapping[str, Served]

    @classmethod
    def of(cls, place: Path) -> Self:
        """Load a model, or all models of a folder; see `load_models`."""
        return cls(load_models(place))

    def run(
        self, address: tuple[str, int], limits: Mapping[str, Any], token: str | None, tell: Callable[[str], None]
    ) -> int:
        """Serve until SIGTERM or SIGINT.

        Parameters
        ----------
        address : pair of str and int
            Host and port to listen on.
        limits : mapping of str to number
            Fields of `Limits`, those that are not its defaults.
        token : str, optional
            Token that clients must send.
        tell : callable
            Called with one line when the service begins.

        Returns
        -------
        int
            Requests answered.

        Raises
        ------
        InputError
            For an address that cannot be used.
        """
        with _listen_on(*address) as listener:
            return _serve(self.models, listener, create_app(self.models, Limits(**limits), token), tell)


def _serve(models: Iterable[str], listener: socket.socket, guard: Guard, tell: Callable[[str], None]) -> int:
    """Answer what comes to a socket, and return the number of requests."""
    files = most_files()
    protocol: Any = partial(Connection, min(MOST_CONNECTIONS, files // 2))
    config = uvicorn.Config(
        guard,
        http=protocol,
        backlog=min(MOST_AT_ONCE, files // 4),  # which are taken before any other is closed
        log_config=None,
        log_level="warning",
        access_log=False,
        ws="none",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = Server(config, guard.gate)
    host, port = listener.getsockname()[:2]
    tell(f"serving {', '.join(models)} at http://{f'[{host}]' if ':' in host else host}:{port}")
    interval = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    logging.getLogger("uvicorn").parent = logging.getLogger("gpuvgm")  # its log goes where gpuvgm's goes
    try:
        server.run([listener])
    finally:
        guard.gate.close()
        sys.setswitchinterval(interval)
    return server.server_state.total_requests

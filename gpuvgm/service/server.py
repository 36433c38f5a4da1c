"""The service as a process: a socket, signals, and an end that loses no request."""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from types import FrameType
from typing import Any

import uvicorn

from gpuvgm.errors import InputError
from gpuvgm.service.app import create_app
from gpuvgm.service.connections import SPARE, Connection, Connections
from gpuvgm.service.limits import Gate, Limits
from gpuvgm.service.models import Served

BACKLOG = 128
OTHER_FILES = 128  # files that a process has open beside its connections
KEEP_ALIVE_SECONDS = 30
LOOK_SECONDS = 0.05
SWITCH_SECONDS = 0.0005  # small requests pass through several threads, and wait for Python's lock in each
GRACE_SECONDS = 5  # beyond the time limits of a request
_LOG = logging.getLogger("gpuvgm.service")


class Server(uvicorn.Server):
    """Uvicorn's server; the first signal lets requests under way finish, the second does not.

    Parameters
    ----------
    config : uvicorn.Config
        Its settings.
    gate : Gate
        Knows of requests under way.
    connections : Connections
        All of them.
    """

    def __init__(self, config: uvicorn.Config, gate: Gate, connections: Connections) -> None:
        super().__init__(config)
        self._gate, self._connections = gate, connections
        self._stop: asyncio.Task[None] | None = None
        self._sweeping: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, and to look after connections."""
        await super().startup(sockets)
        self._sweeping = asyncio.create_task(self._connections.sweep_for_ever())

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """What a signal does; /ready says 503 from the first one on."""
        if self._gate.stopping:
            self.should_exit = self.force_exit = True
            return
        self._gate.stopping = True
        self._stop = asyncio.get_running_loop().create_task(self._stop_when_idle())

    async def _stop_when_idle(self) -> None:
        end = time.monotonic() + 2 * self._gate.limits.timeout + GRACE_SECONDS
        while not self._gate.idle and time.monotonic() < end:
            await asyncio.sleep(LOOK_SECONDS)
        self.should_exit = True


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises
    ------
    InputError
        Where the address cannot be had.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        opened = socket.socket(family, kind, protocol)
        try:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.bind(address)
            opened.listen(BACKLOG)  # whoever is told of the service may come at once
        except OSError:
            opened.close()
            raise
    except OSError as problem:
        raise InputError(f"cannot listen on {host} port {port}: {problem.strerror}") from problem
    return opened


def serve(
    models: Mapping[str, Served],
    opened: socket.socket,
    limits: Limits,
    token: str | None,
    tell: Callable[[str], None],
) -> int:
    """Serve until SIGTERM or SIGINT.

    Parameters
    ----------
    models : mapping of str to Served
        The models.
    opened : socket
        Where.
    limits : Limits
        What requests may take.
    token : str, optional
        What clients have to show.
    tell : callable
        Called with one line when the service begins.

    Returns
    -------
    int
        Requests answered.
    """
    guard = create_app(models, limits, token)
    connections = Connections(replace(limits, connections=_open_files_for(limits.connections)))
    protocol: Any = partial(Connection, connections)
    config = uvicorn.Config(
        guard,
        http=protocol,
        log_config=None,
        log_level="warning",
        access_log=False,
        ws="none",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = Server(config, guard.gate, connections)
    host, port = opened.getsockname()[:2]
    tell(f"serving {', '.join(models)} at http://{f'[{host}]' if ':' in host else host}:{port}")
    interval = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    with _uvicorn_logs_here():
        try:
            server.run([opened])
        finally:
            guard.gate.close()
            sys.setswitchinterval(interval)
    return server.server_state.total_requests


def _open_files_for(connections: int) -> int:
    """Have the system allow files for some connections; for how many it does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    asked = connections + SPARE + OTHER_FILES
    if soft < asked:
        soft = min(asked, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    allowed = max(1, min(connections, soft - SPARE - OTHER_FILES))
    if allowed < connections:
        _LOG.warning("the system allows %d open files, enough for %d connections; raise ulimit -n", soft, allowed)
    return allowed


@contextmanager
def _uvicorn_logs_here() -> Iterator[None]:
    """Uvicorn's log goes where gpuvgm's goes."""
    theirs, ours = logging.getLogger("uvicorn"), logging.getLogger("gpuvgm")
    before = theirs.parent
    theirs.parent = ours
    try:
        yield
    finally:
        theirs.parent = before

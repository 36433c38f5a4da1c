"""Connections: how many there are, and how long each may take to ask for something.

Uvicorn waits without limit for the head of a request, and for a client to take the end of an answer. A client that
opens enough connections and sends nothing would keep all others out.
"""

from __future__ import annotations

import asyncio
import select
import time
from collections.abc import Iterable
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from gpuvgm.service.limits import Limits

CROWDED = "gpuvgm.crowded"  # in the state of every request: says whether there are more than there may be
SPARE = 32  # further connections, for clients that ask for /health or have not asked for anything yet
SWEEPS = 4  # looks for late connections within `client_timeout`
CLOSED_SHARE = 16  # one in so many of the connections that wait is closed at a time
_LATE = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_BUSY, _CLOSING, _DRAINING, _HEAD, _KEPT = "busy", "closing", "draining", "head", "kept"


class Connection(H11Protocol):
    """One connection.

    Parameters
    ----------
    connections : Connections
        All of them.
    **uvicorn
        What uvicorn gives to its protocol.
    """

    def __init__(self, connections: Connections, **uvicorn: Any) -> None:
        super().__init__(**uvicorn)
        self._all = connections
        self._seen, self._since = self.doing(), time.monotonic()
        self.app_state = {**self.app_state, CROWDED: connections.are_too_many}

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Find room for it."""
        super().connection_made(transport)
        self._all.enter(self)

    def connection_lost(self, problem: Exception | None) -> None:
        """Make room."""
        super().connection_lost(problem)
        self._all.leave(self)

    def data_received(self, data: bytes) -> None:
        """Note when a head begins."""
        super().data_received(data)
        self.waited()

    def on_response_complete(self) -> None:
        """Note when the client has its answer."""
        super().on_response_complete()
        self.waited()

    def doing(self) -> tuple[str, object]:
        """What it does, and in which request."""
        if self.transport is not None and self.transport.is_closing():
            return _CLOSING, None
        if self.cycle is not None and not self.cycle.response_complete:
            return _BUSY, self.cycle
        if self.conn.their_state is h11.SEND_BODY:
            return _DRAINING, self.cycle
        is_kept = self.cycle is not None and not self.conn.trailing_data[0]
        return _KEPT if is_kept else _HEAD, self.cycle

    def waited(self) -> float:
        """Seconds since it began what it does; a head begins with the connection, or with its first byte."""
        doing, now = self.doing(), time.monotonic()
        if doing != self._seen:
            self._seen, self._since = doing, now
        return now - self._since

    def close_if_late(self, limits: Limits) -> None:
        """Close it where its client has taken too long."""
        waited, (doing, _) = self.waited(), self._seen
        if doing in (_BUSY, _KEPT) or waited <= (limits.timeout if doing == _DRAINING else limits.client_timeout):
            return  # uvicorn closes those that are kept, and routes answer those that are busy
        if doing == _CLOSING:
            self.transport.abort()  # the client does not take what it has asked for
            return
        if unread([self]):
            return  # it is the service that is late
        if doing == _HEAD and self.conn.trailing_data[0]:
            self.transport.write(_LATE)
        self.transport.close()


def unread(connections: Iterable[Connection]) -> set[Connection]:
    """Those of `connections` that have asked for something which the service has not come to read yet."""
    listening = (one for one in connections if one.doing()[0] in (_HEAD, _KEPT))
    files = {one.transport.get_extra_info("socket").fileno(): one for one in listening}
    poll = select.poll()
    for file in files:
        poll.register(file, select.POLLIN)
    return {files[file] for file, _ in poll.poll(0)}


class Connections:
    """All connections of a service.

    Parameters
    ----------
    limits : Limits
        How many there may be, and how long their clients may take.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._open: set[Connection] = set()

    def enter(self, connection: Connection) -> None:
        """Add one, and close others for it where there are too many."""
        self._open.add(connection)
        if len(self._open) > self._limits.connections + SPARE:
            self._make_room()

    def leave(self, connection: Connection) -> None:
        """Forget one."""
        self._open.discard(connection)

    def are_too_many(self) -> bool:
        """Whether more of them have asked for something than there may be."""
        most = self._limits.connections
        return len(self._open) > most and sum(one.doing()[0] == _BUSY for one in self._open) > most

    def _make_room(self) -> None:
        """Close those whose clients have not done anything for the longest time, but for a few.

        Where nearly all others are busy for a moment, the newest would be closed before it has asked for anything; and
        where many come at once, one whose question is there but not read yet.
        """
        served = {one for one in self._open if one.doing()[0] == _BUSY} | unread(self._open)
        waited = {one: one.waited() for one in self._open - served}
        longest = sorted(waited, key=waited.__getitem__, reverse=True)
        for connection in longest[: max(0, min(-(-len(longest) // CLOSED_SHARE), len(longest) - SPARE))]:
            connection.transport.abort()
            self._open.discard(connection)

    async def sweep_for_ever(self) -> None:
        """Close connections as they get late."""
        while True:
            await asyncio.sleep(self._limits.client_timeout / SWEEPS)
            for connection in list(self._open):
                connection.close_if_late(self._limits)

"""Bodies of requests and answers on their way: what they are, how large they may be, how long they may take."""

from __future__ import annotations

import asyncio
import math
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gpuvgm.service import arrow_bodies, json_bodies
from gpuvgm.service.limits import Deadline, Limits, Share
from gpuvgm.service.refusals import Refused
from gpuvgm.service.work import Answer

MEDIA_TYPES = (arrow_bodies.MEDIA_TYPE, json_bodies.MEDIA_TYPE)
PIECE_BYTES = 1 << 18  # an answer is handed on in pieces, so that one that nobody reads stays here, counted


def body_type(headers: Headers) -> str:
    """Media type of a body.

    Raises
    ------
    Refused
        With 415 for any that is not read here.
    """
    given = headers.get("content-type", "").partition(";")[0].strip().lower()
    if given not in MEDIA_TYPES:
        raise Refused(415, "UnsupportedMediaType", f"Content-Type must be one of {', '.join(MEDIA_TYPES)}")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise Refused(
            415, "UnsupportedMediaType", "Content-Encoding is not supported; compress the Arrow stream itself"
        )
    return given


def answer_type(headers: Headers, given: str) -> str:
    """Media type that a client wants; that of its body where anything suits it.

    Raises
    ------
    Refused
        With 406 where only others suit it.
    """
    accepted = [_preference(part) for part in headers.get("accept", "*/*").split(",")]
    for range_, quality in sorted(accepted, key=lambda pair: -pair[1]):
        if quality > 0 and range_ in MEDIA_TYPES:
            return range_
        if quality > 0 and range_ in ("*/*", "application/*"):
            return given
    raise Refused(406, "NotAcceptable", f"Accept must name one of {', '.join(MEDIA_TYPES)}")


def _preference(part: str) -> tuple[str, float]:
    range_, *parameters = (piece.strip().lower() for piece in part.split(";"))
    quality = next((piece[2:] for piece in parameters if piece.startswith("q=")), "1")
    try:
        return range_, float(quality)
    except ValueError:
        return range_, 0.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a body has to arrive.

    Parameters
    ----------
    deadline : Deadline
        When it has to be there.
    rate : int
        Bytes a second.
    seconds : float
        The time over which they are counted: so many seconds' bytes have to come in so many seconds.
    """

    deadline: Deadline
    rate: int
    seconds: float

    @classmethod
    def of(cls, limits: Limits, deadline: Deadline) -> Pace:
        """That of a service."""
        return cls(deadline, limits.min_rate, limits.client_timeout if limits.min_rate else math.inf)

    @property
    def step(self) -> float:
        """Bytes that have to come before the time starts anew."""
        return self.rate * self.seconds if self.rate else math.inf

    @property
    def end(self) -> float:
        """When the next of them have to be there, on the clock of the loop that runs."""
        return asyncio.get_running_loop().time() + min(self.seconds, self.deadline.left)

    def passed(self) -> Refused:
        """What a client is told that was slower."""
        late = f"the body did not arrive within {self.deadline.seconds:g} s"
        slow = f"the body arrived at less than {self.rate} bytes per second, measured over {self.seconds:g} s"
        return Refused(408, "Timeout", slow if self.deadline.left else late, {"connection": "close"})


async def read_body(request: Request, most: int, share: Share, pace: Pace) -> bytearray:
    """The body of a request; no more of it is kept than it may have.

    Raises
    ------
    Refused
        With 413 for one that is larger, 408 for one that does not arrive in time, and 429 where others fill the room.
    """
    too_large = Refused(413, "TooLarge", f"the body has more than {most} bytes; send fewer rows at a time")
    claimed = request.headers.get("content-length", "0")
    if claimed.isdecimal() and int(claimed[:20]) > most:
        raise too_large
    body, awaited = bytearray(), pace.step
    try:
        async with asyncio.timeout_at(pace.end) as limit:
            async for piece in request.stream():
                if len(body) + len(piece) > most:
                    raise too_large
                share.grow(len(piece))
                body += piece
                if len(body) >= awaited:
                    awaited = len(body) + pace.step
                    limit.reschedule(pace.end)
    except TimeoutError:
        raise pace.passed() from None
    return body


class RowsResponse(Response):
    """Rows as an answer.

    Parameters
    ----------
    answer : Answer
        The rows.
    timeout : float
        Seconds in which the client has to take them.
    held : context manager
        Left once they are sent.
    """

    def __init__(self, answer: Answer, timeout: float, held: AbstractContextManager[Any]) -> None:
        self._rows, self._timeout, self._held = memoryview(answer.body), timeout, held
        headers = {"content-length": str(len(self._rows)), "x-content-type-options": "nosniff"}
        super().__init__(None, 200, headers, answer.media_type)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send piece after piece, each when the one before has left."""
        try:
            with self._held:
                await self._send(send)
        except TimeoutError:
            raise ClientDisconnect from None  # as good as gone; the connection is cut off

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async with asyncio.timeout(self._timeout):
            for start in range(0, len(self._rows), PIECE_BYTES):
                piece = self._rows[start : start + PIECE_BYTES]
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})

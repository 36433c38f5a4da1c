"""Bodies of requests and answers: their types, size and time limits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fastapi import Request
from starlette.datastructures import Headers
from starlette.responses import StreamingResponse

from gpuvgm.service import arrow_bodies, json_bodies
from gpuvgm.service.limits import Deadline
from gpuvgm.service.refusals import Refused

MEDIA_TYPES = (arrow_bodies.MEDIA_TYPE, json_bodies.MEDIA_TYPE)
PIECE_BYTES = 1 << 18  # an answer is handed on in pieces, so that one that nobody reads stays here, and counts


def body_type(headers: Headers) -> str:
    """Media type of a body.

    Raises
    ------
    Refused
        With 415 for any that is not read here.
    """
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in MEDIA_TYPES:
        raise Refused(415, "UnsupportedMediaType", f"Content-Type must be one of {', '.join(MEDIA_TYPES)}")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise Refused(
            415, "UnsupportedMediaType", "Content-Encoding is not supported; compress the Arrow stream itself"
        )
    return media_type


def answer_type(headers: Headers, default: str) -> str:
    """Media type that a client prefers; the default where it accepts any.

    Raises
    ------
    Refused
        With 406 where only others suit it.
    """
    preferences = [_preference(part) for part in headers.get("accept", "*/*").split(",")]
    for range_, quality in sorted(preferences, key=lambda pair: -pair[1]):
        if quality > 0 and range_ in MEDIA_TYPES:
            return range_
        if quality > 0 and range_ in ("*/*", "application/*"):
            return default
    raise Refused(406, "NotAcceptable", f"Accept must name one of {', '.join(MEDIA_TYPES)}")


def _preference(part: str) -> tuple[str, float]:
    range_, *parameters = (piece.strip().lower() for piece in part.split(";"))
    quality = next((piece[2:] for piece in parameters if piece.startswith("q=")), "1")
    try:
        return range_, float(quality)
    except ValueError:
        return range_, 0.0


async def read_body(request: Request, limit: int, deadline: Deadline) -> bytearray:
    """Read the body of a request, and stop where it is too large.

    Raises
    ------
    Refused
        With 413 for one that is larger, and 408 for one that does not arrive in time.
    """
    too_large = Refused(413, "TooLarge", f"the body has more than {limit} bytes; send fewer rows at a time")
    length = request.headers.get("content-length", "0")
    # Twenty digits exceed every limit, and int() refuses thousands of them.
    if length.isdecimal() and int(length[:20]) > limit:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(deadline.remaining):
            async for piece in request.stream():
                if len(body) + len(piece) > limit:
                    raise too_large
                body += piece
    except TimeoutError:
        # The connection cannot be used again, as the rest of the body stays unread.
        text = f"the body did not arrive within {deadline.seconds:g} s"
        raise Refused(408, "Timeout", text, {"connection": "close"}) from None
    return body


def rows_response(body: bytes | memoryview, media_type: str) -> StreamingResponse:
    """Rows as an answer."""
    headers = {"content-length": str(len(body)), "x-content-type-options": "nosniff"}
    return StreamingResponse(_pieces(body), 200, headers, media_type)


async def _pieces(body: bytes | memoryview) -> AsyncIterator[memoryview]:
    """Yield pieces of a body, each once the previous one was sent."""
    for start in range(0, len(body), PIECE_BYTES):
        yield memoryview(body)[start : start + PIECE_BYTES]

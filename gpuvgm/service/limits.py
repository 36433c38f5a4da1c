"""What one request may take, and how many may be under way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from gpuvgm.execution.local import available_threads
from gpuvgm.service.refusals import Refused

ANSWER_SHARE = 4  # an answer may have so many times the bytes of a request
JSON_SHARE = 16  # text of numbers becomes Python's objects, which take some ten times its bytes
JSON_VALUE_BYTES = 128  # of one value of an answer in JSON, as Python's object and as text, and what that costs
MOST_COLUMNS = 20_000
UNCOUNTED_BYTES = 1 << 16  # of each body and answer, so that a few large ones leave room for small ones
RETRY_SECONDS = 1


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a service.

    Parameters
    ----------
    max_bytes : int
        Bytes of a request's body, as sent and as decompressed. JSON may have a sixteenth of it, an answer four times.
    timeout : float
        Seconds from the first byte of a request to its answer, and then to the end of sending that.
    concurrency : int
        Requests whose body has arrived and that compute or wait to compute; more are answered 429.
    threads : int
        Requests that compute at the same time; the others wait for their turn.
    connections : int
        Open connections; beyond them those that ask for nothing are closed, and others are answered 503.
    client_timeout : float
        Seconds in which a client has to send the head of a request, and over which `min_rate` is measured.
    min_rate : int
        Bytes a second of a body that is sent at the least; 0 for any.
    """

    max_bytes: int = 64 << 20
    timeout: float = 30.0
    concurrency: int = field(default_factory=lambda: 8 * available_threads())
    threads: int = field(default_factory=available_threads)
    connections: int = 1000
    client_timeout: float = 10.0
    min_rate: int = 1024

    @property
    def json_bytes(self) -> int:
        """Bytes of a body in JSON."""
        return max(1, self.max_bytes // JSON_SHARE)

    @property
    def answer_bytes(self) -> int:
        """Bytes of an answer's rows."""
        return ANSWER_SHARE * self.max_bytes


@dataclass(frozen=True, slots=True)
class Deadline:
    """When a request has to be answered.

    Parameters
    ----------
    seconds : float
        The time it has in all.
    end : float
        On the monotonic clock.
    """

    seconds: float
    end: float

    @classmethod
    def of(cls, seconds: float) -> Deadline:
        """So many seconds from now."""
        return cls(seconds, time.monotonic() + seconds)

    @property
    def left(self) -> float:
        """Seconds left."""
        return max(0.0, self.end - time.monotonic())

    def check(self, *_: object) -> None:
        """Refuse to go on after it.

        Raises
        ------
        Refused
            With status 504.
        """
        if not self.left:
            raise self.passed()

    def passed(self) -> Refused:
        """What is said after it."""
        return Refused(504, "Timeout", f"not finished within {self.seconds:g} s; send fewer rows at a time")


def check_width(columns: int) -> None:
    """Refuse tables so wide that looking for columns by their names would take long.

    Raises
    ------
    Refused
        With status 413.
    """
    if columns > MOST_COLUMNS:
        raise Refused(
            413, "TooLarge", f"the body has {columns} columns, more than {MOST_COLUMNS}; send only fitted columns"
        )


class Room:
    """Bytes that all bodies, or all answers, may have together.

    Parameters
    ----------
    most : int
        Bytes in all; the first 64 KiB of each body or answer do not count.
    """

    def __init__(self, most: int) -> None:
        self._left = most

    @contextmanager
    def share(self) -> Iterator[Share]:
        """What one request takes of it, until it ends."""
        share = Share(self)
        try:
            yield share
        finally:
            self._left += share.counted

    def take(self, size: int) -> None:
        """Take some bytes.

        Raises
        ------
        Refused
            With 429 where there are fewer left.
        """
        if size > self._left:
            text = "other requests use all memory for bodies and answers; try again later"
            raise Refused(429, "TooManyRequests", text, {"retry-after": str(RETRY_SECONDS)})
        self._left -= size


@dataclass(slots=True)
class Share:
    """What one request has of a room.

    Parameters
    ----------
    room : Room
        The room.
    counted : int
        Bytes taken of it.
    size : int
        Bytes that the request has in all.
    """

    room: Room
    counted: int = 0
    size: int = 0

    def grow(self, size: int) -> None:
        """Hold some bytes more; with 429 where there is no room for them."""
        self.size += size
        more = max(0, self.size - UNCOUNTED_BYTES) - self.counted
        self.room.take(more)
        self.counted += more


class Gate:
    """Counts requests, bounds what they hold, and runs their work in a pool.

    Parameters
    ----------
    limits : Limits
        How many there may be.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.stopping = False
        self.bodies = Room(limits.concurrency * limits.max_bytes)
        self.answers = Room(limits.concurrency * limits.answer_bytes)
        self.admitted = 0
        self.under_way = 0
        self._lock = Lock()
        self._pool = ThreadPoolExecutor(limits.threads, thread_name_prefix="gpuvgm-serve")

    @property
    def idle(self) -> bool:
        """Whether no request is anywhere between its head and the end of its answer, and no work goes on."""
        return not self.admitted and not self.under_way

    @contextmanager
    def admission(self) -> Iterator[None]:
        """Count a request from its head to the end of its answer; refuse it, its body unread, if no work could begin.

        Raises
        ------
        Refused
            With 429 where as many requests are under way as there may be, and 503 once the service is stopping.
        """
        if self.stopping:
            raise Refused(503, "Stopping", "the service is stopping", {"retry-after": str(RETRY_SECONDS)})
        self._check_slots()
        self.admitted += 1
        try:
            yield
        finally:
            self.admitted -= 1

    def submit(self, function: Any, *arguments: Any) -> Future[Any]:
        """Run something in the pool; until it ends, whether or not somebody waits for it, it counts as under way.

        Raises
        ------
        Refused
            With 429 where as many are under way as there may be.
        """
        with self._lock:
            self._check_slots()
            self.under_way += 1
        try:
            future = self._pool.submit(function, *arguments)
        except BaseException:
            self._leave()
            raise
        future.add_done_callback(self._leave)
        return future

    def close(self) -> None:
        """End the pool; work that has not begun is dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _check_slots(self) -> None:
        if self.under_way >= self.limits.concurrency:
            text = f"the limit of {self.under_way} concurrent requests is reached; try again later"
            raise Refused(429, "TooManyRequests", text, {"retry-after": str(RETRY_SECONDS)})

    def _leave(self, _: object = None) -> None:
        with self._lock:
            self.under_way -= 1

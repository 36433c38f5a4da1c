"""What one request may take, and how many may be under way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from gpuvgm.execution import available_threads
from gpuvgm.service.refusals import Refused

ANSWER_SHARE = 4  # an answer may have so many times the bytes of a request
JSON_SHARE = 16  # text of numbers becomes Python's objects, which take some ten times its bytes
JSON_VALUE_BYTES = 128  # of one value of an answer in JSON, as Python's object and as text, and what that costs
MOST_COLUMNS = 20_000
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
        Requests under way; more are answered 429.
    threads : int
        Requests that compute at the same time; the others wait for their turn.
    """

    max_bytes: int = 64 << 20
    timeout: float = 30.0
    concurrency: int = field(default_factory=lambda: 8 * available_threads())
    threads: int = field(default_factory=available_threads)

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
        return Refused(504, "Timeout", f"not done within {self.seconds:g} s: send fewer rows at a time")


def check_width(columns: int) -> None:
    """Refuse tables so wide that looking for columns by their names would take long.

    Raises
    ------
    Refused
        With status 413.
    """
    if columns > MOST_COLUMNS:
        raise Refused(413, "TooLarge", f"the body has {columns} columns, more than {MOST_COLUMNS}: send those fitted")


class Gate:
    """Counts requests under way, and runs their work in a pool.

    Parameters
    ----------
    limits : Limits
        How many there may be.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.stopping = False
        self.under_way = 0
        self._lock = Lock()
        self._pool = ThreadPoolExecutor(limits.threads, thread_name_prefix="gpuvgm-serve")

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Room for one request.

        Raises
        ------
        Refused
            With 429 where there is none, and 503 once the service is stopping.
        """
        if self.stopping:
            raise Refused(503, "Stopping", "the service is stopping", {"retry-after": str(RETRY_SECONDS)})
        with self._lock:
            if self.under_way >= self.limits.concurrency:
                text = f"{self.under_way} requests are under way, which is the most: try again"
                raise Refused(429, "TooManyRequests", text, {"retry-after": str(RETRY_SECONDS)})
            self.under_way += 1
        try:
            yield
        finally:
            self._leave()

    def submit(self, function: Any, *arguments: Any) -> Future[Any]:
        """Run something in the pool."""
        return self._pool.submit(function, *arguments)

    def abandon(self, future: Future[Any]) -> None:
        """Nobody waits any more: what cannot be cancelled keeps its room until it ends."""
        if not future.cancel():
            with self._lock:
                self.under_way += 1
            future.add_done_callback(lambda _: self._leave())

    def close(self) -> None:
        """End the pool; work that has not begun is dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _leave(self) -> None:
        with self._lock:
            self.under_way -= 1

"""Limits of one request, and of requests at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from gpuvgm.execution import available_threads
from gpuvgm.service.refusals import Refused

ANSWER_SHARE = 4  # an answer may have so many times the bytes of a request
JSON_SHARE = 16  # text of numbers becomes Python's objects, which take some ten times its bytes
JSON_VALUE_BYTES = 128  # of one value of an answer in JSON, as Python's object and as text, and what that costs
MOST_COLUMNS = 20_000
RETRY_SECONDS = 1
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a service.

    Parameters
    ----------
    max_bytes : int
        Bytes of a request's body, as sent and as decompressed. JSON may have a sixteenth of it, an answer four times.
    timeout : float
        Seconds from the head of a request to its answer.
    concurrency : int
        Requests for rows between their head and the end of their answer; more are answered 429.
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
    """Time by which a request must be answered.

    Parameters
    ----------
    seconds : float
        The time it has in all.
    start : float
        Start of that time on the monotonic clock.
    """

    seconds: float
    start: float = field(default_factory=time.monotonic)

    @property
    def remaining(self) -> float:
        """Remaining seconds."""
        return max(0.0, self.start + self.seconds - time.monotonic())

    def check(self, *_: object) -> None:
        """Refuse to go on after the deadline.

        Raises
        ------
        Refused
            With status 504.
        """
        if not self.remaining:
            raise self.timeout_error()

    def timeout_error(self) -> Refused:
        """The refusal after the deadline."""
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


class Gate:
    """Counts requests, and runs their work in a thread pool.

    Parameters
    ----------
    limits : Limits
        Limits of the service.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.stopping = False
        self.under_way = 0
        self._pool = ThreadPoolExecutor(limits.threads, thread_name_prefix="gpuvgm-serve")

    @contextmanager
    def admission(self) -> Iterator[None]:
        """Count a request from its head to the end of its answer.

        Raises
        ------
        Refused
            With 429 where as many requests are under way as there may be, and 503 once the service is stopping.
        """
        if self.stopping:
            raise Refused(503, "Stopping", "the service is stopping", {"retry-after": str(RETRY_SECONDS)})
        if self.under_way >= self.limits.concurrency:
            text = f"the limit of {self.under_way} concurrent requests is reached; try again later"
            raise Refused(429, "TooManyRequests", text, {"retry-after": str(RETRY_SECONDS)})
        self.under_way += 1
        try:
            yield
        finally:
            self.under_way -= 1

    async def run(self, function: Callable[[], T], deadline: Deadline) -> T:
        """Run a function in the pool, and return its result.

        Raises
        ------
        Refused
            With 504 after the deadline. What has begun then goes on, and counts until it ends.
        """
        future = self._pool.submit(function)
        result = asyncio.wrap_future(future)
        done, _ = await asyncio.wait([result], timeout=deadline.remaining)
        if done:
            return result.result()
        # Work in a thread cannot be stopped: it holds its place until it ends.
        if not future.cancel():
            self.under_way += 1
            result.add_done_callback(self._end)
        raise deadline.timeout_error()

    def close(self) -> None:
        """Shut down the pool; work that has not begun is dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _end(self, result: asyncio.Future[Any]) -> None:
        self.under_way -= 1
        result.exception()  # nobody waits for it

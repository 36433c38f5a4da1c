"""The one policy for failures that pass: how often an action on a store is tried again, and after what time."""

from __future__ import annotations

import errno
import logging
import random
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from http.client import HTTPException
from typing import TypeVar

from gpuvgm.config import RETRIES, Retries
from gpuvgm.errors import EnvironmentProblem, printable

T = TypeVar("T")

LOG = logging.getLogger("gpuvgm")
PASSING_STATUS = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
LASTING_STATUS = {HTTPStatus.NOT_IMPLEMENTED, HTTPStatus.HTTP_VERSION_NOT_SUPPORTED}
PASSING_ERRORS = {
    errno.EAGAIN,
    errno.EBUSY,
    errno.ECONNABORTED,
    errno.ECONNREFUSED,
    errno.ECONNRESET,
    errno.EHOSTUNREACH,
    errno.ENETDOWN,
    errno.ENETUNREACH,
    errno.EPIPE,
    errno.EREMOTEIO,  # what s3fs makes of "InternalError"
    errno.ETIMEDOUT,
}
#: Failures of connections in the libraries that stores are spoken to with, by name: none of them is imported here.
PASSING_NAMES = {
    "aiohttp": {"ClientConnectionError", "ClientPayloadError"},
    "botocore": {"ConnectionError", "HTTPClientError", "IncompleteReadError", "ResponseStreamingError"},
    "aiobotocore": {"AioReadTimeoutError"},
    "azure": {"ServiceRequestError", "ServiceResponseError", "IncompleteReadError"},
    "google": {"TransportError"},
    "requests": {"ConnectionError", "Timeout", "ChunkedEncodingError"},
    "urllib3": {"HTTPError"},
}


class ShortRead(OSError):
    """Fewer bytes came than were asked for."""


def persistently(action: Callable[[], T], doing: str, policy: Retries | None = None) -> T:
    """The result of an action, which is tried again where it fails for reasons that pass.

    Parameters
    ----------
    action : callable
        May be called several times.
    doing : str
        What it does and where, for the log and the error: "s3://bucket/key: reading".
    policy : Retries, optional
        How often and when; by default `RETRIES`.

    Raises
    ------
    EnvironmentProblem
        Where every attempt failed; reasons that last are raised at once, as they are.
    """
    policy = policy or RETRIES
    for attempt in range(1, policy.attempts + 1):
        try:
            return action()
        except Exception as problem:
            if not passes(problem):
                raise
            last = f"{type(problem).__name__}: {reason(problem)}"
            if attempt == policy.attempts:
                raise EnvironmentProblem(
                    f"{doing} failed {attempt} times, at last with {last}; try again when the store answers"
                ) from problem
        delay = delay_after(attempt, policy)
        LOG.info("%s failed (attempt %d of %d, %s); again in %.2f s", doing, attempt, policy.attempts, last, delay)
        time.sleep(delay)
    raise AssertionError


def delay_after(attempt: int, policy: Retries) -> float:
    """Seconds to wait after an attempt, counted from 1: doubled every time, and between half and all of that."""
    longest: float = min(policy.longest_delay, policy.first_delay * 2 ** (attempt - 1))
    return longest * random.uniform(0.5, 1)


def passes(problem: BaseException) -> bool:
    """Whether the same request may succeed a moment later."""
    for one in chain_of(problem):
        if _passes(one):
            return True
        status = own_status(one)
        if status is not None:
            return status in PASSING_STATUS or (status >= 500 and status not in LASTING_STATUS)
    return False


def _passes(problem: BaseException) -> bool:
    if isinstance(problem, (ConnectionError, TimeoutError, HTTPException, ShortRead)):
        return True
    if isinstance(problem, OSError) and problem.errno in PASSING_ERRORS:
        return True
    return any(
        kind.__name__ in PASSING_NAMES.get(kind.__module__.partition(".")[0], ()) for kind in type(problem).__mro__
    )


def status_of(problem: BaseException) -> int | None:
    """The HTTP status that a store answered with, wherever its library keeps it."""
    return next((status for status in map(own_status, chain_of(problem)) if status is not None), None)


def own_status(problem: BaseException) -> int | None:
    """The HTTP status that an exception itself holds."""
    response = getattr(problem, "response", None)
    found = response.get("ResponseMetadata", {}).get("HTTPStatusCode") if isinstance(response, dict) else None
    for status in (found, *(getattr(problem, name, None) for name in ("status", "status_code", "code"))):
        if isinstance(status, int) and 100 <= status < 600:
            return int(status)
    return None


def chain_of(problem: BaseException | None) -> Iterator[BaseException]:
    """A problem and what caused it."""
    while problem is not None:
        yield problem
        problem = problem.__cause__


def reason(problem: BaseException) -> str:
    """What a library said, on one line."""
    return printable(" ".join(str(problem).split()).rstrip(".")) or type(problem).__name__

"""Files in object stores: ranges are read ahead, small files in one request, and failed requests repeated."""

from __future__ import annotations

import errno
import io
import logging
import os
import random
import threading
import time
from bisect import bisect_right
from collections import OrderedDict, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import Any, TypeGuard, TypeVar
from urllib.parse import urlsplit

from gpuvgm.errors import EnvironmentProblem, InputError, pip_command, printable

T = TypeVar("T")
R = TypeVar("R")

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


@dataclass(frozen=True, slots=True)
class Retries:
    """How often an action on a store is tried, and the seconds between: doubled each time, from first to longest."""

    attempts: int = 6
    first_delay: float = 0.1
    longest_delay: float = 10.0


RETRIES = Retries()


class ShortRead(OSError):
    """A store sent fewer bytes than were asked for."""


def persistently(action: Callable[[], T], doing: str) -> T:
    """Run an action, again as `RETRIES` says where it fails for reasons that pass.

    Parameters
    ----------
    action : callable
        May be called several times.
    doing : str
        Description of the action for the log and errors: "s3://bucket/key: reading".

    Raises
    ------
    EnvironmentProblem
        After the last attempt failed; errors that last are raised at once, unchanged.
    """
    for attempt in range(1, RETRIES.attempts + 1):
        try:
            return action()
        except Exception as problem:
            if not passes(problem):
                raise
            cause = f"{type(problem).__name__}: {library_message(problem)}"
            if attempt == RETRIES.attempts:
                raise EnvironmentProblem(
                    f"{doing} failed {attempt} times, at last with {cause}; try again when the store answers"
                ) from problem
        delay = delay_after(attempt)
        LOG.info("%s failed (attempt %d of %d, %s); again in %.2f s", doing, attempt, RETRIES.attempts, cause, delay)
        time.sleep(delay)
    raise AssertionError  # the last attempt returns or raises


def delay_after(attempt: int) -> float:
    """Seconds to wait after an attempt, counted from 1: doubled every time, and between half and all of that."""
    longest: float = min(RETRIES.longest_delay, RETRIES.first_delay * 2 ** (attempt - 1))
    return longest * random.uniform(0.5, 1)  # or clients that failed together would return together


def passes(problem: BaseException) -> bool:
    """Return whether the same request may succeed a moment later."""
    for cause in chain_of(problem):
        if _passes(cause):
            return True
        status = own_status(cause)
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
    """HTTP status that a store answered with, wherever its library keeps it."""
    return next((status for status in map(own_status, chain_of(problem)) if status is not None), None)


def own_status(problem: BaseException) -> int | None:
    """HTTP status of an exception itself."""
    response = getattr(problem, "response", None)
    # In botocore's ClientError the response is a dict.
    s3_status = response.get("ResponseMetadata", {}).get("HTTPStatusCode") if isinstance(response, dict) else None
    for status in (s3_status, *(getattr(problem, name, None) for name in ("status", "status_code", "code"))):
        if isinstance(status, int) and 100 <= status < 600:
            return int(status)
    return None


def chain_of(problem: BaseException | None) -> Iterator[BaseException]:
    """A problem and its causes."""
    while problem is not None:
        yield problem
        problem = problem.__cause__


def library_message(problem: BaseException) -> str:
    """A library's message, on one line."""
    return printable(" ".join(str(problem).split()).rstrip(".")) or type(problem).__name__


FIRST_BYTES = 1 << 20
WINDOW_BYTES = 8 << 20
HELD_BYTES = 128 << 20
REQUESTS_AT_ONCE = 4
#: Chunks with no more between them than this are read by one request.
GAP_BYTES = 1 << 16


#: First byte, stop and number of the chunk that one request reads.
Span = tuple[int, int, int]
ALONE, READ_ON = -1, -2  # in place of the number: of no chunk, and what follows is going to be read too


def spans_of_chunks(chunks: Iterable[tuple[int, int]], longest: int) -> list[Span]:
    """Spans that cover chunks: neighbouring short ones together, long ones in several."""
    spans: list[Span] = []
    for number, (start, stop) in enumerate(sorted(chunks)):
        if spans:
            first, end, last_number = spans[-1]
            is_whole = len(spans) < 2 or spans[-2][2] != last_number
            if is_whole and start - end <= GAP_BYTES and stop - first <= longest:
                spans[-1] = first, stop, last_number
                continue
        spans += [(first, min(stop, first + longest), number) for first in range(start, stop, longest)]
    return spans


class RangeReader(io.RawIOBase):
    """Reads a file by ranges, in advance: the next range is requested while the last one is worked on.

    Where the file's chunks are known (`expect`), a request reads a part of one, or several whole ones. Elsewhere they
    grow from 1 to 8 MiB while the file is read on. The last 64 KiB, where formats have their index, are one request and
    stay; or the whole file.

    Arrow's own pre-buffering sends requests for a file of Python one after the other and keeps what it has read, and
    the caches of fsspec read blocks, not chunks. Measured with 20 ms and 10 ns a byte for a request, 200 MB in ten row
    groups: 26 requests, 1.5 s and 99 MiB here; 8, 2.8 s and 275 MiB with pre-buffering; 31, 1.4 s and 150 MiB with
    fsspec's known parts (in one row group 2.4 s and 384 MiB against 1.3 s and 186 MiB). For two of ten columns, 40 MB
    here and 210 MB with fsspec's background blocks.

    Parameters
    ----------
    fetch : callable
        Bytes from a start to a stop; called in other threads.
    size : int
        Bytes of the file.
    whole : bool
        Fetch all of it at once.
    """

    def __init__(self, fetch: Callable[[int, int], bytes], size: int, *, whole: bool = False) -> None:
        self._fetch, self._size, self._position = fetch, size, 0
        self._threads = ThreadPoolExecutor(REQUESTS_AT_ONCE, "gpuvgm-read")
        self._tail: Span = (0 if whole else max(0, size - GAP_BYTES), size, -1)
        self._plan: list[Span] = []
        self._in_order, self._capacity = True, HELD_BYTES
        self._request_bytes, self._read_to = FIRST_BYTES, -1
        self._requests: dict[Span, Future[bytes]] = {}
        self._unread: dict[Span, int] = {}  # bytes of every span that was begun

    def expect(self, groups: Sequence[Sequence[tuple[int, int]]]) -> None:
        """Announce what is going to be read: starts and stops of chunks, those of a group together.

        If a group does not fit into memory, requests are shorter, so that two for every chunk fit.
        """
        largest = max((sum(stop - start for start, stop in group) for group in groups), default=0)
        self._in_order, longest = largest <= HELD_BYTES, WINDOW_BYTES
        if not self._in_order:
            at_once = 2 * max(map(len, groups))
            longest = min(WINDOW_BYTES, max(FIRST_BYTES, HELD_BYTES // at_once))
            self._capacity = max(HELD_BYTES, longest * at_once)
        self._capacity += 2 * WINDOW_BYTES
        self._plan = spans_of_chunks((chunk for group in groups for chunk in group), longest)

    def close(self) -> None:
        """Release what was read in advance."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._requests.clear()
        super().close()

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go elsewhere."""
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, origin + offset)
        return self._position

    def readinto(self, buffer: object) -> int:
        """Read the next bytes into a buffer; fewer than fit only at the end."""
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        length = min(len(view), max(0, self._size - self._position))
        count = 0
        while count < length:
            piece = self._piece(length - count)
            view[count : count + len(piece)] = piece
            self._position += len(piece)
            count += len(piece)
        return length

    def _piece(self, length: int) -> bytes:
        """Up to `length` bytes of one span, which is dropped once all of it was read."""
        span = self._span()
        if span not in self._requests:
            self._start(span)
        if self._unread[span] == span[1] - span[0]:
            self._look_ahead(span)
        start = self._position - span[0]
        piece = self._requests[span].result()[start : start + length]
        self._unread[span] -= len(piece)
        if self._unread[span] <= 0 and span != self._tail:
            del self._requests[span]
        return piece

    def _span(self) -> Span:
        """Span of the next byte: one that is requested already, else a planned one, else the tail or a new one."""
        at = self._position
        for span in self._requests:
            if span[0] <= at < span[1]:
                return span
        number = bisect_right(self._plan, (at, self._size, 0)) - 1
        if number >= 0 and at < self._plan[number][1]:
            return self._plan[number]
        return self._tail if at >= self._tail[0] else self._unplanned(at)

    def _unplanned(self, first: int) -> Span:
        on = first == self._read_to
        self._request_bytes = min(2 * self._request_bytes, WINDOW_BYTES) if on else FIRST_BYTES
        self._read_to = min(self._size, first + self._request_bytes)
        return first, self._read_to, READ_ON if on else ALONE

    def _start(self, span: Span) -> None:
        """Request a span; the oldest requests are dropped where all take too much memory."""
        self._requests[span] = self._threads.submit(self._fetch, span[0], span[1])
        self._unread[span] = span[1] - span[0]
        while len(self._requests) > 1 and sum(stop - first for first, stop, _ in self._requests) > self._capacity:
            del self._requests[next(iter(self._requests))]

    def _look_ahead(self, span: Span) -> None:
        """Request what follows a span, unless it was read before, as columns come in any order."""
        _, stop, chunk = span
        next_spans = self._plan[bisect_right(self._plan, span) :][:1] if chunk >= 0 else []
        if chunk == READ_ON and stop < self._size:
            next_spans = [self._unplanned(stop)]
        for next_span in next_spans:
            if (self._in_order or next_span[2] == chunk) and next_span not in self._unread:
                self._start(next_span)


#: Of beginnings, ends and small files, which are wanted again: a file is opened, then read, often several times.
KEPT_BYTES = 32 << 20
SMALL_BYTES = 1 << 18  # of files that are fetched as a whole when they are opened
SMALL_AT_ONCE = 8


class KeptRanges:
    """Cache of the first and last bytes of files, by version of the file; one for the process."""

    def __init__(self) -> None:
        self._lock, self._bytes = threading.Lock(), 0
        self._ranges: OrderedDict[tuple[Any, ...], tuple[int, Future[bytes]]] = OrderedDict()

    def read(self, file: RemoteFile, entry: Entry, start: int, stop: int) -> bytes:
        """Read some bytes of a file; threads that ask for the same bytes share one request."""
        is_end = start == 0 or stop == entry.size
        # Bytes of a file without a version could be out of date.
        if not entry.version or not is_end or stop - start > FIRST_BYTES:
            return file.read_range(start, stop)
        key, request = _key(file, entry, start, stop), Future[bytes]()
        with self._lock:
            _, future = self._ranges.setdefault(key, (stop - start, request))
            self._ranges.move_to_end(key)
            self._bytes += stop - start if future is request else 0
            while self._bytes > KEPT_BYTES:
                self._bytes -= self._ranges.popitem(last=False)[1][0]
        if future is request:
            try:
                request.set_result(file.read_range(start, stop))
            except BaseException as problem:
                with self._lock:
                    # Waiting threads get the error; whoever asks later sends a new request.
                    self._bytes -= self._ranges.pop(key, (0, None))[0]
                request.set_exception(problem)
        return future.result()

    def reader(self, file: RemoteFile, entry: Entry) -> RangeReader:
        """Open a file for reading, in one request where it is small, or its bytes are cached."""
        with self._lock:
            is_kept = _key(file, entry, 0, entry.size) in self._ranges
        return RangeReader(partial(self.read, file, entry), entry.size, whole=is_kept or entry.size <= SMALL_BYTES)

    def clear(self) -> None:
        """Empty the cache."""
        with self._lock:
            self._ranges.clear()
            self._bytes = 0


def _key(file: RemoteFile, entry: Entry, start: int, stop: int) -> tuple[Any, ...]:
    return file.url, entry.size, entry.version, start, stop


KEPT = KeptRanges()


def read_ahead(items: Iterable[T], file_of: Callable[[T], object] | None = None) -> Generator[T]:
    """Yield the items while the next files of stores, up to 1 MiB each, are fetched.

    Parameters
    ----------
    items : iterable
        Items to read, in order.
    file_of : callable, optional
        The file of an item; by default the item itself.
    """
    threads, queue = ThreadPoolExecutor(SMALL_AT_ONCE, "gpuvgm-ahead"), deque[T]()
    try:
        for item in items:
            file = item if file_of is None else file_of(item)
            if isinstance(file, RemoteFile) and (entry := file.known) is not None:
                if entry.version and 0 < entry.size <= FIRST_BYTES:  # no other would be kept
                    threads.submit(KEPT.read, file, entry, 0, entry.size)
            queue.append(item)
            if len(queue) > SMALL_AT_ONCE:
                yield queue.popleft()
        yield from queue
    finally:
        threads.shutdown(wait=False, cancel_futures=True)


def side_by_side(function: Callable[[T], R], paths: Sequence[T]) -> list[R]:
    """Apply a function to each file; those of stores are read several at a time."""
    if not any(isinstance(path, RemoteFile) for path in paths):
        return [function(path) for path in paths]
    with ThreadPoolExecutor(SMALL_AT_ONCE, "gpuvgm-open") as threads:
        return list(threads.map(function, paths))


#: Extra of gpuvgm that brings a scheme, and what its credentials are called in the environment.
STORES: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys(
        ("s3", "s3a"),
        (
            "s3",
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (FSSPEC_S3_ANON=true for public buckets), AWS_ENDPOINT_URL",
        ),
    ),
    **dict.fromkeys(
        ("gs", "gcs"), ("gcs", "GOOGLE_APPLICATION_CREDENTIALS (FSSPEC_GCS_TOKEN=anon for public buckets)")
    ),
    **dict.fromkeys(
        ("abfs", "abfss", "az"),
        ("azure", "AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY"),
    ),
}
READ_ONLY = ("http", "https")
#: Files from this size on go up in parts, which are retried one by one.
IN_PARTS_BYTES = 100 << 20
PARTS_AT_ONCE = 4
#: Names of what tells one version of an object from the next, best first; stores write them in their own ways.
VERSIONS = ("etag", "generation", "lastmodified", "mtime", "modified", "updated", "created")
#: Those that a listing tells as a question for one file does; times may be written in another way.
SAME_EVERYWHERE = ("etag", "generation")


@dataclass(frozen=True, slots=True)
class Entry:
    """A store's entry for a name.

    Parameters
    ----------
    size : int
        Bytes.
    version : str
        ETag, or time of change where there is none.
    is_folder : bool
        Whether it is a folder, or the beginning of other names.
    """

    size: int
    version: str
    is_folder: bool


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file in a store, or a name to write to; it holds no connection and can be pickled.

    Parameters
    ----------
    url : str
        For messages, and to open it.
    path : str
        Its name within the store.
    store : str
        The URL that says which store, as it was given.
    known : Entry, optional
        Entry of the store, if it was requested.
    """

    url: str
    path: str
    store: str
    known: Entry | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return self.url

    @property
    def scheme(self) -> str:
        """Scheme of the URL, before "://"."""
        return scheme_of(self.store)

    @property
    def name(self) -> str:
        """The last part of the name."""
        return PurePosixPath(self.path).name

    @property
    def suffix(self) -> str:
        """The ending, with its dot."""
        return PurePosixPath(self.path).suffix

    def with_name(self, name: str) -> RemoteFile:
        """A file in the same folder."""
        path = self.path[: len(self.path) - len(self.name)] + name
        return RemoteFile(self.url.removesuffix(self.name) + name, path, self.store)

    def __truediv__(self, name: str) -> RemoteFile:
        """A file of this folder."""
        return remote_file(f"{self.url.rstrip('/')}/{name}")

    def name_from(self, place: RemoteFile) -> str | None:
        """Name relative to the folder of another file; None where this one lies elsewhere."""
        folder = place.path.removesuffix(place.name)
        is_below = self.path.startswith(folder) and place.shares_store(self)
        return self.path.removeprefix(folder) if is_below else None

    def at(self, path: str) -> RemoteFile:
        """Another file of the same store."""
        if self.url.endswith(self.path):
            return RemoteFile(self.url.removesuffix(self.path) + path, path, self.store)
        return RemoteFile(str(self.filesystem().unstrip_protocol(path)), path, self.store)

    def filesystem(self, *, in_parts: bool = False) -> Any:
        """The store as fsspec's filesystem."""
        return _filesystem(self.store, in_parts=in_parts)[0]

    def shares_store(self, place: object) -> TypeGuard[RemoteFile]:
        """Return whether a place is a file of the same store."""
        return isinstance(place, RemoteFile) and bool(self.filesystem() == place.filesystem())

    def entry(self) -> Entry | None:
        """Request the store's current entry; None where it has none."""
        system = self.filesystem()

        def look() -> Any:
            # fsspec answers from the listings that it keeps.
            system.invalidate_cache(self.path)
            try:
                return system.info(self.path)
            except FileNotFoundError as problem:
                if no_bucket(problem):
                    raise
                return None

        answer = self.call("looking it up", look)
        return None if answer is None else entry_of(answer)

    def exists(self) -> bool:
        """Return whether a file or folder has this name."""
        return self.entry() is not None

    def is_folder(self) -> bool:
        """Return whether files lie in a folder of this name; no request is needed just after a listing."""
        system = self.filesystem()
        return self.call("looking it up", lambda: bool(system.isdir(self.path)))

    def names(self) -> list[str]:
        """Names of the files in this folder."""
        system = self.filesystem()
        return self.call("listing", lambda: [str(name) for name in system.ls(self.path, detail=False)])

    def files(self) -> list[RemoteFile]:
        """All files in this folder and its subfolders."""
        return self._list_files(lambda system: system.find(self.path, detail=True))

    def matches(self) -> list[RemoteFile]:
        """The files and folders that match this pattern."""
        return self._list_files(lambda system: system.glob(self.path, detail=True))

    def read_range(self, start: int, stop: int) -> bytes:
        """Read some bytes."""
        system = self.filesystem()

        def read() -> bytes:
            body = bytes(system.cat_file(self.path, start=start, end=stop))
            if len(body) != stop - start:
                raise ShortRead(f"{len(body)} of {stop - start} bytes came")
            return body

        return self.call(f"reading bytes {start} to {stop}", read)

    def read_bytes(self) -> bytes:
        """Read all bytes."""
        entry = self.entry()
        if entry is None or entry.is_folder:
            raise no_such_file(self.url)
        return self.read_range(0, entry.size) if entry.size else b""

    def refuse_read_only(self) -> None:
        """Refuse to write to a read-only store, or to the name of a folder."""
        if self.scheme in READ_ONLY:
            raise InputError(f"{self}: nothing is written over HTTP; give a path, or the URL of an object store")
        if self.url.endswith("/"):
            raise InputError(f"{self}: is a folder; give the name of a file to write")

    def write_bytes(self, body: bytes) -> None:
        """Write the file atomically; its old content stays until all bytes have arrived."""
        KEPT.clear()  # versions of some stores are times in seconds
        system = self.filesystem()
        self.call("writing", lambda: system.pipe_file(self.path, body))

    def put(self, file: Path) -> None:
        """Upload a file of this machine atomically; a large one in parts."""
        KEPT.clear()
        system = self.filesystem(in_parts=file.stat().st_size >= IN_PARTS_BYTES)
        self.call("writing", lambda: system.put_file(os.fspath(file), self.path))

    def unlink(self, *, missing_ok: bool = False) -> None:
        """Remove the file."""
        if missing_ok and not self.exists():
            return
        system = self.filesystem()
        self.call("removing", lambda: system.rm_file(self.path))

    def call(self, doing: str, action: Callable[[], T]) -> T:
        """Run an action on the store, again where that may help; errors name the URL."""
        try:
            return persistently(action, f"{self.url}: {doing}")
        except Exception as problem:
            error = refusal(self, problem)
            if error is None:
                raise
            raise error from problem

    def _list_files(self, look: Callable[[Any], Mapping[str, Mapping[str, Any]]]) -> list[RemoteFile]:
        system = self.filesystem()

        def names() -> Mapping[str, Mapping[str, Any]]:
            system.invalidate_cache()
            return look(system)

        answers = self.call("listing", names)
        order = sorted(answers, key=lambda name: PurePosixPath(name).parts)
        return [replace(self.at(name), known=entry_of(answers[name], listed=True)) for name in order]


def scheme_of(url: str) -> str:
    """Scheme of a URL, before "://"."""
    return url.partition("://")[0].lower()


def remote_file(url: str) -> RemoteFile:
    """The file that a URL names.

    Raises
    ------
    InputError
        For a scheme that fsspec does not know, chained URLs, and URLs that hold a password.
    EnvironmentProblem
        Where the package for this kind of store is missing.
    """
    if "::" in url:
        raise InputError(f"{url}: chained URLs are not taken; copy the file out of the archive, or give its own URL")
    if urlsplit(url).password:
        raise InputError(f"{scheme_of(url)} URL with a password: passwords in URLs end in logs; use the environment")
    _, path = _filesystem(url)
    return RemoteFile(url, path, url)


def _filesystem(url: str, *, in_parts: bool = False) -> tuple[Any, str]:
    """Filesystem and name within it; fsspec keeps one filesystem of each kind for the process."""
    scheme = scheme_of(url)
    remedy = pip_command(STORES[scheme][0] if scheme in STORES else "s3")
    try:
        from fsspec.core import url_to_fs

        system, path = url_to_fs(url, **_options(scheme, in_parts=in_parts))
    except ImportError as problem:
        if scheme not in STORES and problem.name != "fsspec" and "fsspec" not in str(problem.name):
            remedy = library_message(problem)
        raise EnvironmentProblem(f"{url}: {scheme}:// needs a package that is not installed: {remedy}") from problem
    except ValueError as problem:
        if "protocol not known" in str(problem).lower():
            schemes = "s3, gs, abfs, memory, file"
            raise InputError(f"{url}: unknown kind of URL; known are {schemes} and all others of fsspec") from problem
        raise EnvironmentProblem(f"{url}: {library_message(problem)}{_settings(scheme)}") from problem
    if scheme in ("s3", "s3a"):
        system.retries = 1  # the policy of `retries` counts every attempt
    return system, str(path)


def _options(scheme: str, *, in_parts: bool) -> dict[str, Any]:
    if scheme not in ("s3", "s3a"):
        return {}
    attempts = RETRIES.attempts if in_parts else 1
    return {
        "config_kwargs": {"retries": {"total_max_attempts": attempts, "mode": "standard"}},
        "max_concurrency": PARTS_AT_ONCE,
    }


def entry_of(answer: Mapping[str, Any], *, listed: bool = False) -> Entry | None:
    """A store's answer about a name, as an `Entry`.

    None for a file in a listing without its size, or without a version that other requests give in the same form.
    """
    details = {str(key).lower().replace("-", "").replace("_", ""): value for key, value in answer.items()}
    version = next((name for name in VERSIONS if details.get(name)), "")
    is_folder = details.get("type") == "directory"
    if listed and not is_folder and (details.get("size") is None or version not in SAME_EVERYWHERE):
        return None
    return Entry(int(details.get("size") or 0), str(details.get(version, "")).strip('"'), is_folder)


def no_bucket(problem: BaseException) -> bool:
    """Return whether the bucket or container itself is missing."""
    words = ("nosuchbucket", "bucket does not exist", "containernotfound", "container does not exist")
    text = " ".join(f"{cause} {getattr(cause, 'response', '')}" for cause in chain_of(problem)).lower()
    return any(word in text for word in words)


def no_such_file(url: str) -> InputError:
    """The error for a name that does not exist."""
    return InputError(f"{url}: no such file or folder")


def refusal(file: RemoteFile, problem: Exception) -> Exception | None:
    """The error for a problem that lasts; None where it is not a response of a store."""
    status = status_of(problem)
    if no_bucket(problem):
        return InputError(f"{file.url}: there is no bucket of this name; create it first, or check AWS_ENDPOINT_URL")
    if isinstance(problem, FileNotFoundError) or status == 404:
        return no_such_file(file.url)
    is_denied = isinstance(problem, PermissionError) or status in (401, 403)
    if is_denied or any("Credentials" in type(cause).__name__ for cause in chain_of(problem)):
        return EnvironmentProblem(f"{file.url}: access refused ({library_message(problem)}){_settings(file.scheme)}")
    origin = type(problem).__module__.partition(".")[0]
    if isinstance(problem, OSError) or origin in ("botocore", "aiohttp", "gcsfs", "google", "azure"):
        return EnvironmentProblem(f"{file.url}: the store refuses the request ({library_message(problem)})")
    return None


def _settings(scheme: str) -> str:
    return f"; set {STORES[scheme][1]}" if scheme in STORES else ""


def lies_in_process(location: object) -> bool:
    """Return whether a file lies in the memory of one process, where no other can reach it."""
    return isinstance(location, RemoteFile) and location.scheme == "memory"

"""Files in object stores, by URL through fsspec, which is imported when the first URL is used.

Credentials and endpoints come from where the store's own tools take them, the environment above all.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar
from urllib.parse import urlsplit

from gpuvgm.config import RETRIES
from gpuvgm.errors import EnvironmentProblem, InputError
from gpuvgm.io.retries import ShortRead, chain_of, persistently, reason, status_of

T = TypeVar("T")

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


@dataclass(frozen=True, slots=True)
class Entry:
    """What a store says of a name.

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
    """A file in a store, or the name of one to write; it holds no connection and can be pickled.

    Parameters
    ----------
    url : str
        For messages, and to open it.
    path : str
        Its name within the store.
    store : str
        The URL that says which store, as it was given.
    """

    url: str
    path: str
    store: str

    def __str__(self) -> str:
        return self.url

    @property
    def scheme(self) -> str:
        """What stands before "://"."""
        return scheme_of(self.store)

    @property
    def name(self) -> str:
        """The last part of the name."""
        return PurePosixPath(self.path).name

    @property
    def suffix(self) -> str:
        """The ending, with its dot."""
        return PurePosixPath(self.path).suffix

    @property
    def stem(self) -> str:
        """The last part without its ending."""
        return PurePosixPath(self.path).stem

    def with_name(self, name: str) -> RemoteFile:
        """A file beside this one."""
        path = self.path[: len(self.path) - len(self.name)] + name
        return RemoteFile(self.url.removesuffix(self.name) + name, path, self.store)

    def at(self, path: str) -> RemoteFile:
        """Another file of the same store."""
        if self.url.endswith(self.path):
            return RemoteFile(self.url.removesuffix(self.path) + path, path, self.store)
        return RemoteFile(str(self.filesystem().unstrip_protocol(path)), path, self.store)

    def filesystem(self, *, in_parts: bool = False) -> Any:
        """The store as fsspec's filesystem object."""
        return _filesystem(self.store, in_parts=in_parts)[0]

    def entry(self) -> Entry | None:
        """What is there now; None where nothing is."""
        system = self.filesystem()

        def look() -> Any:
            system.invalidate_cache(self.path)
            try:
                return system.info(self.path)
            except FileNotFoundError as problem:
                if no_bucket(problem):
                    raise
                return None

        found = self.call("looking it up", look)
        return None if found is None else entry_of(found)

    def exists(self) -> bool:
        """Whether there is a file or folder of this name."""
        return self.entry() is not None

    def files(self) -> list[RemoteFile]:
        """Every file in this folder and the folders in it."""
        return self._listed(lambda system: system.find(self.path, detail=True))

    def matches(self) -> list[RemoteFile]:
        """The files and folders that this pattern stands for."""
        return self._listed(lambda system: system.glob(self.path, detail=True))

    def read_range(self, start: int, stop: int) -> bytes:
        """Some of its bytes."""
        system = self.filesystem()

        def read() -> bytes:
            body = bytes(system.cat_file(self.path, start=start, end=stop))
            if len(body) != stop - start:
                raise ShortRead(f"{len(body)} of {stop - start} bytes came")
            return body

        return self.call(f"reading bytes {start} to {stop}", read)

    def read_bytes(self) -> bytes:
        """All of its bytes."""
        entry = self.entry()
        if entry is None or entry.is_folder:
            raise missing(self.url)
        return self.read_range(0, entry.size) if entry.size else b""

    def write_bytes(self, body: bytes) -> None:
        """Write the file as one; what was there stays until all has arrived."""
        system = self.filesystem()
        self.call("writing", lambda: system.pipe_file(self.path, body))

    def put(self, file: Path) -> None:
        """Write what a file of this machine holds, as one; large ones in parts."""
        system = self.filesystem(in_parts=file.stat().st_size >= IN_PARTS_BYTES)
        self.call("writing", lambda: system.put_file(os.fspath(file), self.path))

    def unlink(self, *, missing_ok: bool = False) -> None:
        """Remove the file."""
        if missing_ok and not self.exists():
            return
        system = self.filesystem()
        self.call("removing", lambda: system.rm_file(self.path))

    def call(self, doing: str, action: Callable[[], T]) -> T:
        """The result of an action on the store, tried again where that helps; else an error that names the URL."""
        try:
            return persistently(action, f"{self.url}: {doing}")
        except Exception as problem:
            said = refusal(self, problem)
            if said is None:
                raise
            raise said from problem

    def _listed(self, look: Callable[[Any], Mapping[str, Mapping[str, Any]]]) -> list[RemoteFile]:
        system = self.filesystem()

        def names() -> list[str]:
            system.invalidate_cache()
            return list(look(system))

        found: Iterable[str] = self.call("listing", names)
        return [self.at(name) for name in sorted(found, key=lambda name: PurePosixPath(name).parts)]


def scheme_of(url: str) -> str:
    """What stands before "://"."""
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
    """Filesystem object and the name within it; objects are kept by fsspec, one for a process."""
    scheme = scheme_of(url)
    remedy = f'pip install "gpuvgm[{STORES[scheme][0] if scheme in STORES else "s3"}]"'
    try:
        from fsspec.core import url_to_fs

        system, path = url_to_fs(url, **_options(scheme, in_parts=in_parts))
    except ImportError as problem:
        if scheme not in STORES and problem.name != "fsspec" and "fsspec" not in str(problem.name):
            remedy = reason(problem)
        raise EnvironmentProblem(f"{url}: {scheme}:// needs a package that is not installed: {remedy}") from problem
    except ValueError as problem:
        if "protocol not known" in str(problem).lower():
            known = "s3, gs, abfs, memory, file"
            raise InputError(f"{url}: unknown kind of URL; known are {known} and all others of fsspec") from problem
        raise EnvironmentProblem(f"{url}: {reason(problem)}{_settings(scheme)}") from problem
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


def entry_of(found: Mapping[str, Any]) -> Entry:
    """What a store says of a name, in our words."""
    said = {str(key).lower().replace("-", "").replace("_", ""): value for key, value in found.items()}
    version = next((str(said[name]) for name in VERSIONS if said.get(name)), "")
    return Entry(int(said.get("size") or 0), version.strip('"'), said.get("type") == "directory")


def no_bucket(problem: BaseException) -> bool:
    """Whether the bucket or container itself is missing."""
    words = ("nosuchbucket", "bucket does not exist", "containernotfound", "container does not exist")
    said = " ".join(f"{one} {getattr(one, 'response', '')}" for one in chain_of(problem)).lower()
    return any(word in said for word in words)


def missing(url: str) -> InputError:
    """The refusal of a name that nothing is under."""
    return InputError(f"{url}: no such file or folder")


def refusal(file: RemoteFile, problem: Exception) -> Exception | None:
    """What to tell of a problem that lasts; None for what is no answer of a store."""
    status = status_of(problem)
    if no_bucket(problem):
        return InputError(f"{file.url}: there is no bucket of this name; create it first, or check AWS_ENDPOINT_URL")
    if isinstance(problem, FileNotFoundError) or status == 404:
        return missing(file.url)
    denied = isinstance(problem, PermissionError) or status in (401, 403)
    if denied or any("Credentials" in type(one).__name__ for one in chain_of(problem)):
        return EnvironmentProblem(f"{file.url}: access refused ({reason(problem)}){_settings(file.scheme)}")
    origin = type(problem).__module__.partition(".")[0]
    if isinstance(problem, OSError) or origin in ("botocore", "aiohttp", "gcsfs", "google", "azure"):
        return EnvironmentProblem(f"{file.url}: the store refuses the request ({reason(problem)})")
    return None


def _settings(scheme: str) -> str:
    return f"; set {STORES[scheme][1]}" if scheme in STORES else ""


def lies_in_process(location: object) -> bool:
    """Whether a file lies in the memory of one process, where no other can reach it."""
    return isinstance(location, RemoteFile) and location.scheme == "memory"

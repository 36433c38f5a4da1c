"""Locations of files: paths of this machine, and URLs of stores."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, cast
from urllib.parse import unquote

import pyarrow as pa

from gpuvgm.files import partial_of
from gpuvgm.io.remote import KEPT, RangeReader, RemoteFile, no_such_file, remote_file, scheme_of

Location: TypeAlias = Path | RemoteFile
Given = str | os.PathLike[str] | RemoteFile


def location_of(name: Given) -> Location:
    """The path or file of a store that a name or URL means; file:// is this machine.

    Raises
    ------
    InputError
        For URLs that cannot be used.
    EnvironmentProblem
        Where the package for this kind of store is missing.
    """
    if isinstance(name, RemoteFile):
        return name
    text = os.fspath(name)
    scheme, mark, place = text.partition("://")
    # Schemes may hold these three signs (RFC 3986, section 3.1).
    is_url = mark and scheme.replace("+", "").replace("-", "").replace(".", "").isalnum()
    if not is_url:
        return Path(name)
    if scheme_of(text) == "file":
        # file://localhost/path is file:///path (RFC 8089, section 2).
        return Path(unquote(place).removeprefix("localhost"))
    return remote_file(text)


def open_binary(location: Location) -> BinaryIO:
    """Open a file for reading."""
    return location.open("rb") if isinstance(location, Path) else cast(BinaryIO, range_reader(location))


@contextmanager
def open_text(location: Location) -> Iterator[Any]:
    """Open a text file for reading, decompressed where its name ends in .gz."""
    with open_binary(location) as file:
        yield gzip.GzipFile(fileobj=file) if location.suffix.lower() == ".gz" else file


def range_reader(file: RemoteFile) -> RangeReader:
    """Open a file of a store for reading.

    Raises
    ------
    InputError
        For a file that does not exist.
    """
    entry = file.known or file.entry()
    if entry is None or entry.is_folder:
        raise no_such_file(file.url)
    return KEPT.reader(file, entry)


def arrow_input(location: Location) -> Any:
    """Input for pyarrow: the path, or the file of a store, decompressed where its name ends in .gz."""
    if isinstance(location, Path):
        return location
    file = pa.PythonFile(range_reader(location), mode="r")
    # pyarrow decompresses by the ending of a path, but has none of a file object.
    return pa.CompressedInputStream(file, "gzip") if location.suffix.lower() == ".gz" else file


def write_bytes(location: Location, body: bytes) -> None:
    """Write a file atomically: its name gives all of the bytes, or its old content."""
    if isinstance(location, RemoteFile):
        location.write_bytes(body)
        return
    final = Path(os.path.realpath(location))
    with naming_file(location), partial_of(final) as partial:
        with partial.open("wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())  # or a crash after the rename may leave an empty file
        partial.replace(final)


@contextmanager
def naming_file(path: Path | str) -> Iterator[None]:
    """Make errors of the operating system name the file asked for, not the partial one."""
    try:
        yield
    except OSError as problem:
        if problem.errno is None:
            raise
        raise OSError(problem.errno, os.strerror(problem.errno), str(path)) from problem

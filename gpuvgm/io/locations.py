"""Where files are: paths of this machine, which pathlib stands for, and URLs of stores."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, cast
from urllib.parse import unquote

import pyarrow as pa

from gpuvgm.errors import InputError
from gpuvgm.files import partial_of
from gpuvgm.io.remote import KEPT, READ_ONLY, RangeReader, RemoteFile, no_such_file, remote_file, scheme_of

Location: TypeAlias = Path | RemoteFile
Given = str | os.PathLike[str] | RemoteFile


def location_of(given: Given) -> Location:
    """The file that a path or URL names; file:// is this machine.

    Raises
    ------
    InputError
        For URLs that cannot be used.
    EnvironmentProblem
        Where the package for this kind of store is missing.
    """
    if isinstance(given, RemoteFile):
        return given
    text = os.fspath(given)
    scheme, mark, place = text.partition("://")
    is_url = mark and scheme.replace("+", "").replace("-", "").replace(".", "").isalnum()
    if not is_url:
        return Path(given)
    if scheme_of(text) == "file":
        return Path(unquote(place).removeprefix("localhost"))
    return remote_file(text)


def open_binary(location: Location) -> BinaryIO:
    """The file for reading."""
    return location.open("rb") if isinstance(location, Path) else cast(BinaryIO, range_reader(location))


@contextmanager
def open_text(location: Location) -> Iterator[Any]:
    """A file of text for reading, decompressed where its name ends in .gz."""
    with open_binary(location) as raw:
        yield gzip.GzipFile(fileobj=raw) if location.suffix.lower() == ".gz" else raw


def range_reader(file: RemoteFile) -> RangeReader:
    """A file of a store for reading.

    Raises
    ------
    InputError
        Where there is none.
    """
    entry = file.known or file.entry()
    if entry is None or entry.is_folder:
        raise no_such_file(file.url)
    return KEPT.reader(file, entry)


def arrow_input(location: Location) -> Any:
    """What pyarrow opens: the path, or the file of a store, decompressed where it ends in .gz."""
    if isinstance(location, Path):
        return location
    file = pa.PythonFile(range_reader(location), mode="r")
    return pa.CompressedInputStream(file, "gzip") if location.suffix.lower() == ".gz" else file


def refuse_read_only(location: Location) -> None:
    """Refuse to write where only reading is possible, and names of folders."""
    if isinstance(location, Path):
        return
    if location.scheme in READ_ONLY:
        raise InputError(f"{location}: nothing is written over HTTP; give a path, or the URL of an object store")
    if location.url.endswith("/"):
        raise InputError(f"{location}: is a folder; give the name of a file to write")


def write_bytes(location: Location, body: bytes) -> None:
    """Write a file as one: under its name there is all of it, or what was there before."""
    if isinstance(location, RemoteFile):
        location.write_bytes(body)
        return
    final = Path(os.path.realpath(location))
    with naming_file(location), partial_of(final) as partial:
        with partial.open("wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(final)


@contextmanager
def naming_file(path: Path | str) -> Iterator[None]:
    """Errors of the operating system name the file that was asked for, not the partial one."""
    try:
        yield
    except OSError as problem:
        if problem.errno is None:
            raise
        raise OSError(problem.errno, os.strerror(problem.errno), str(path)) from problem

"""Paths, URLs, globs and folders: which files they stand for, what format each has, whether one was changed."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePath, PurePosixPath

from gpuvgm.errors import EnvironmentProblem, InputError, SourceChangedError
from gpuvgm.frames.locations import Location, location_of, open_binary
from gpuvgm.frames.remote import RemoteFile, missing

FORMATS: Mapping[str, str] = {
    **dict.fromkeys((".parquet", ".parq", ".pq"), "parquet"),
    **dict.fromkeys((".csv", ".csv.gz"), "csv"),
    **dict.fromkeys((".arrow", ".arrows", ".feather", ".ipc"), "ipc"),
}
#: Size, and time of change in nanoseconds; of files in stores the ETag, or what stands for it.
Stamp = tuple[int, int | str]
MAGIC: Mapping[bytes, str] = {b"PAR1": "parquet", b"ARRO": "ipc"}


def expand(given: str) -> list[Location]:
    """The files that a path, URL, glob or folder stands for, sorted.

    Raises
    ------
    InputError
        When there are none.
    """
    location = location_of(given)
    if isinstance(location, RemoteFile):
        return [*_expand_remote(location)]
    path = location.expanduser()
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file() and belongs(file, path))
        if not files:
            raise nothing_in(given)
        return [*files]
    if path.exists():
        return [path]
    if glob.has_magic(str(path)):
        matches = sorted(Path(match) for match in glob.glob(str(path), recursive=True))
        if not matches:
            raise InputError(f"{given}: no file matches this pattern")
        return [file for match in matches for file in (expand(str(match)) if match.is_dir() else [match])]
    raise missing(given)


def _expand_remote(given: RemoteFile) -> list[RemoteFile]:
    entry = given.entry()
    if entry is not None and not entry.is_folder:
        return [given]
    if entry is not None:
        files = [file for file in given.files() if belongs(PurePosixPath(file.path), PurePosixPath(given.path))]
        if not files:
            raise nothing_in(given.url)
        return files
    if not glob.has_magic(given.path):
        raise missing(given.url)
    matches = [match for match in given.matches() if not match.name.startswith(".")]
    if not matches:
        raise InputError(f"{given}: no file matches this pattern")
    return [file for match in matches for file in _expand_remote(match)]


def nothing_in(folder: str) -> InputError:
    """The refusal of a folder without tables."""
    return InputError(f"{folder}: the folder holds no file to read; known endings: {', '.join(FORMATS)}")


def belongs(file: PurePath, folder: PurePath) -> bool:
    """Whether a file in a folder is read when the folder is the source."""
    hidden = any(step.startswith((".", "_")) for step in file.relative_to(folder).parts)
    return not hidden and ending_of(file) in FORMATS


def ending_of(path: PurePath | RemoteFile) -> str:
    """The ending that tells the format, in lower case."""
    name = path.name.lower()
    return ".csv.gz" if name.endswith(".csv.gz") else path.suffix.lower()


def format_of(path: Location) -> str:
    """The format by the file's ending, otherwise by its first bytes.

    Raises
    ------
    InputError
        When neither is known.
    """
    ending = ending_of(path)
    if ending in FORMATS:
        return FORMATS[ending]
    with open_binary(path) as file:
        magic = MAGIC.get(file.read(4))
    if magic is None:
        raise InputError(f"{path}: unknown kind of file; known endings: {', '.join(FORMATS)}")
    return magic


def stamp_of(path: Location) -> Stamp:
    """Size and time of change, or ETag.

    Raises
    ------
    InputError
        When the file cannot be reached.
    """
    if isinstance(path, RemoteFile):
        entry = path.entry()
        if entry is None:
            raise missing(path.url)
        return entry.size, entry.version
    try:
        status = path.stat()
    except OSError as problem:
        raise InputError(f"{path}: cannot be read: {problem.strerror}") from problem
    return status.st_size, status.st_mtime_ns


@contextmanager
def unchanged(path: Location, stamp: Stamp) -> Iterator[None]:
    """While a file is read: refuse one that is not what was opened, or is written to, in a store between two requests.

    Raises
    ------
    SourceChangedError
        Naming the file.
    """
    check_unchanged(path, stamp)
    number = _number_of(path)
    try:
        yield
    except (InputError, EnvironmentProblem):
        check_unchanged(path, stamp)
        raise
    if isinstance(path, RemoteFile) or _number_of(path) == number:  # else the one that was read is whole, under no name
        check_unchanged(path, stamp)


def _number_of(path: Location) -> int | None:
    """The file that has a name of this machine now."""
    try:
        return None if isinstance(path, RemoteFile) else path.stat().st_ino
    except OSError:
        return None


def check_unchanged(path: Location, stamp: Stamp) -> None:
    """Refuse a file that is not the one that was opened.

    Raises
    ------
    SourceChangedError
        Naming the file.
    """
    try:
        now = stamp_of(path)
    except InputError:
        if path.exists():
            raise
        raise SourceChangedError(f"{path}: the file was removed while it was in use") from None
    if now != stamp:
        raise SourceChangedError(f"{path}: the file was changed while it was in use; run again when it is complete")

"""Paths, URLs, globs and folders: which files they stand for, what format each has, whether one was changed."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath

from gpuvgm.errors import EnvironmentProblem, InputError, SourceChangedError
from gpuvgm.io.locations import Location, location_of, open_binary
from gpuvgm.io.remote import RemoteFile, missing

FORMATS: Mapping[str, str] = {
    **dict.fromkeys((".parquet", ".parq", ".pq"), "parquet"),
    **dict.fromkeys((".csv", ".csv.gz"), "csv"),
    **dict.fromkeys((".arrow", ".arrows", ".feather", ".ipc"), "ipc"),
}
#: Lies beside the files of a folder that gpuvgm wrote; readers of folders skip names that begin with "_" or ".".
MANIFEST = "_manifest.json"
#: Size, and time of change in nanoseconds; of files in stores the ETag, or what stands for it.
Stamp = tuple[int, int | str]
MAGIC: Mapping[bytes, str] = {b"PAR1": "parquet", b"ARRO": "ipc"}


@dataclass(frozen=True, slots=True)
class Listing:
    """Files to read, sorted, and the manifests of the folders that they were found in."""

    files: list[Location]
    manifests: list[Location]


def expand(given: str) -> Listing:
    """The files that a path, URL, glob or folder stands for.

    Raises
    ------
    InputError
        When there are none.
    """
    location = location_of(given)
    if isinstance(location, RemoteFile):
        return _expand_remote(location)
    path = location.expanduser()
    if path.is_dir():
        return _within(given, [(file, file.relative_to(path)) for file in path.rglob("*") if file.is_file()])
    if path.exists():
        return Listing([path], [])
    if glob.has_magic(str(path)):
        matches = sorted(Path(match) for match in glob.glob(str(path), recursive=True))
        if not matches:
            raise InputError(f"{given}: no file matches this pattern")
        return together([expand(str(match)) if match.is_dir() else Listing([match], []) for match in matches])
    raise missing(given)


def _expand_remote(given: RemoteFile) -> Listing:
    entry = given.entry()
    if entry is not None and not entry.is_folder:
        return Listing([given], [])
    if entry is not None:
        folder = PurePosixPath(given.path)
        return _within(given.url, [(file, PurePosixPath(file.path).relative_to(folder)) for file in given.files()])
    if not glob.has_magic(given.path):
        raise missing(given.url)
    matches = [match for match in given.matches() if not match.name.startswith(".")]
    if not matches:
        raise InputError(f"{given}: no file matches this pattern")
    return together([_expand_remote(match) for match in matches])


def _within(folder: str, files: Iterable[tuple[Location, PurePath]]) -> Listing:
    """Of the files in a folder, with their names in it, those to read."""
    inside = sorted(files, key=lambda pair: pair[1].parts)
    chosen = [file for file, name in inside if not _is_hidden(name) and ending_of(name) in FORMATS]
    manifests = [file for file, name in inside if name.name == MANIFEST and not _is_hidden(name.parent)]
    if not chosen and not manifests:
        raise nothing_in(folder)
    return Listing(chosen, manifests)


def together(listings: Sequence[Listing]) -> Listing:
    """Listings as one, in their order."""
    return Listing(
        [file for listing in listings for file in listing.files],
        [place for listing in listings for place in listing.manifests],
    )


def nothing_in(folder: str) -> InputError:
    """The refusal of a folder without tables."""
    return InputError(f"{folder}: the folder holds no file to read; known endings: {', '.join(FORMATS)}")


def belongs(file: PurePath, folder: PurePath) -> bool:
    """Whether a file in a folder is read when the folder is the source."""
    name = file.relative_to(folder)
    return not _is_hidden(name) and ending_of(name) in FORMATS


def _is_hidden(name: PurePath) -> bool:
    return any(step.startswith((".", "_")) for step in name.parts)


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
    """While a file is read, refuse one that was changed since it was opened, or is changed now.

    Raises
    ------
    SourceChangedError
        Naming the file.
    """
    check_unchanged(path, stamp)
    inode = _inode_of(path)
    try:
        yield
    except (InputError, EnvironmentProblem):
        check_unchanged(path, stamp)
        raise
    if isinstance(path, RemoteFile) or _inode_of(path) == inode:  # else it was replaced, and read as it was before
        check_unchanged(path, stamp)


def _inode_of(path: Location) -> int | None:
    """Number of the file that has a name of this machine now."""
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

"""Paths, globs and folders: which files they stand for, what format each has, whether one was changed."""

from __future__ import annotations

import glob
from collections.abc import Mapping
from pathlib import Path

from gpuvgm.errors import InputError, SourceChangedError

FORMATS: Mapping[str, str] = {
    **dict.fromkeys((".parquet", ".parq", ".pq"), "parquet"),
    **dict.fromkeys((".csv", ".csv.gz"), "csv"),
    **dict.fromkeys((".arrow", ".arrows", ".feather", ".ipc"), "ipc"),
}
MAGIC: Mapping[bytes, str] = {b"PAR1": "parquet", b"ARRO": "ipc"}


def expand(given: str) -> list[Path]:
    """The files that a path, glob or folder stands for, sorted.

    Raises
    ------
    InputError
        When there are none.
    """
    if "://" in given:
        raise InputError(f"{given}: URLs cannot be read yet; copy the file to this machine and pass its path")
    path = Path(given).expanduser()
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file() and belongs(file, path))
        if not files:
            raise InputError(f"{given}: the folder holds no file to read; known endings: {', '.join(FORMATS)}")
        return files
    if path.exists():
        return [path]
    if glob.has_magic(given):
        matches = sorted(Path(match) for match in glob.glob(str(path), recursive=True))
        if not matches:
            raise InputError(f"{given}: no file matches this pattern")
        return [file for match in matches for file in (expand(str(match)) if match.is_dir() else [match])]
    raise InputError(f"{given}: no such file or folder")


def belongs(file: Path, folder: Path) -> bool:
    """Whether a file in a folder is read when the folder is the source."""
    hidden = any(step.startswith((".", "_")) for step in file.relative_to(folder).parts)
    return not hidden and ending_of(file) in FORMATS


def ending_of(path: Path) -> str:
    """The ending that tells the format, in lower case."""
    name = path.name.lower()
    return ".csv.gz" if name.endswith(".csv.gz") else path.suffix.lower()


def format_of(path: Path) -> str:
    """The format by the file's ending, otherwise by its first bytes.

    Raises
    ------
    InputError
        When neither is known.
    """
    ending = ending_of(path)
    if ending in FORMATS:
        return FORMATS[ending]
    with path.open("rb") as file:
        magic = MAGIC.get(file.read(4))
    if magic is None:
        raise InputError(f"{path}: unknown kind of file; known endings: {', '.join(FORMATS)}")
    return magic


def stamp_of(path: Path) -> tuple[int, int]:
    """Size and time of change.

    Raises
    ------
    InputError
        When the file cannot be reached.
    """
    try:
        status = path.stat()
    except OSError as problem:
        raise InputError(f"{path}: cannot be read: {problem.strerror}") from problem
    return status.st_size, status.st_mtime_ns


def check_unchanged(path: Path, stamp: tuple[int, int]) -> None:
    """Refuse a file that is not the one that was opened.

    Raises
    ------
    SourceChangedError
        Naming the file.
    """
    if not path.exists():
        raise SourceChangedError(f"{path}: the file was removed while it was in use")
    if stamp_of(path) != stamp:
        raise SourceChangedError(f"{path}: the file was changed while it was in use; run again when it is complete")

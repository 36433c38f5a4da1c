"""Files to write: what may be written where, and never over what is being read."""

from __future__ import annotations

import fnmatch
import glob
import os
from pathlib import Path, PurePath

from gpuvgm.errors import InputError
from gpuvgm.frames.files import FileSource
from gpuvgm.frames.paths import belongs
from gpuvgm.frames.source import Source

FOREIGN_ENDINGS = (".csv", ".arrow", ".feather", ".ipc", ".gz", ".json")


def check_target(path: Path) -> Path:
    """The file to write, symbolic links followed.

    Raises
    ------
    InputError
        When the folder is not there, something other than a file has the name, or its ending is of another format.
    """
    final = Path(os.path.realpath(path))
    if path.name.lower().endswith(FOREIGN_ENDINGS):
        bare = path.name.partition(".")[0] or "x"
        raise InputError(f"{path}: gpuvgm writes Parquet: name it {bare}.parquet")
    if final.is_dir():
        raise InputError(f"{path}: is a folder; give the name of a file to write")
    if not final.parent.is_dir():
        raise InputError(f"{path}: the folder {final.parent} does not exist; create it first")
    if final.exists() and not final.is_file():
        raise InputError(f"{path}: is no ordinary file (a device, pipe or socket); give the name of a file to write")
    return final


def refuse_overwriting(source: Source, out: str | os.PathLike[str]) -> None:
    """Refuse a target that is one of the source's files, or would be one when the source is read again.

    Raises
    ------
    InputError
        Naming the target and the source.
    """
    if not isinstance(source, FileSource):
        return
    target = Path(out)
    if target.exists() and any(part.path.exists() and target.samefile(part.path) for part in source.parts):
        raise InputError(f"{target}: is read as part of {source.name}; give another name to write")
    places = {Path(os.path.abspath(target)), Path(os.path.realpath(target))}
    for given in source.given:
        if any(_would_join(place, os.path.expanduser(given)) for place in places):
            raise InputError(f"{target}: lies in {given}, which would read it the next time; write it elsewhere")


def _would_join(target: Path, given: str) -> bool:
    """Whether a folder or pattern takes in a file of this name."""
    if os.path.isdir(given):
        folder = Path(os.path.realpath(given))
        return target.is_relative_to(folder) and belongs(target, folder)
    if os.path.exists(given) or not glob.has_magic(given):
        return False
    patterns = (os.path.abspath(given), os.path.realpath(given))
    if any(_matches(target, pattern) for pattern in patterns):
        return True
    return any(
        _matches(folder, pattern) and belongs(target, folder) for folder in target.parents for pattern in patterns
    )


def _matches(path: PurePath, pattern: str) -> bool:
    return fnmatch.fnmatchcase(str(path), pattern.replace("**/", "*")) if "**" in pattern else path.match(pattern)

"""Files to write: what may be written where, and never over what is being read."""

from __future__ import annotations

import fnmatch
import glob
import os
from collections.abc import Sequence
from pathlib import Path, PurePath, PurePosixPath

from gpuvgm.errors import InputError
from gpuvgm.io.files import FileSource
from gpuvgm.io.locations import Given, Location, location_of, refuse_read_only
from gpuvgm.io.paths import belongs
from gpuvgm.io.remote import RemoteFile
from gpuvgm.io.source import Source

FOREIGN_ENDINGS = (".csv", ".arrow", ".feather", ".ipc", ".gz", ".json", ".gpuvgm")
DOCUMENT_ENDINGS = (".json",)
PAGE_ENDINGS = (".html", ".htm")


def check_target(path: Location) -> Location:
    """The file to write, symbolic links followed.

    Raises
    ------
    InputError
        When the folder is not there, something other than a file has the name, or its ending is of another format.
    """
    if path.name.lower().endswith(FOREIGN_ENDINGS):
        bare = path.name.partition(".")[0] or "x"
        raise InputError(f"{path}: gpuvgm writes Parquet: name it {bare}.parquet")
    return _check_place(path)


def _check_place(path: Location) -> Location:
    if isinstance(path, RemoteFile):
        refuse_read_only(path)
        entry = path.entry()
        if entry is not None and entry.is_folder:
            raise InputError(f"{path}: is a folder; give the name of a file to write")
        return path
    final = Path(os.path.realpath(path))
    if final.is_dir():
        raise InputError(f"{path}: is a folder; give the name of a file to write")
    if not final.parent.is_dir():
        raise InputError(f"{path}: the folder {final.parent} does not exist; create it first")
    if final.exists() and not final.is_file():
        raise InputError(f"{path}: is no ordinary file (a device, pipe or socket); give the name of a file to write")
    return final


def check_folder_of(path: Location) -> None:
    """Refuse a name in a folder of this machine that does not exist."""
    if isinstance(path, Path) and not path.parent.is_dir():
        raise InputError(f"{path}: the folder {path.parent} does not exist; create it first")


def check_document(given: Given, endings: Sequence[str] = DOCUMENT_ENDINGS) -> Location:
    """The report to write: JSON, or a page.

    Parameters
    ----------
    given : path
        Where to.
    endings : sequence of str
        What its name may end in.

    Raises
    ------
    InputError
        When its ending is another, the folder is not there, or something other than a file has the name.
    """
    target = location_of(given)
    if target.suffix.lower() not in endings:
        sort = "a report is JSON" if endings == DOCUMENT_ENDINGS else "a page is HTML"
        raise InputError(f"{target}: {sort}: give it a name that ends in {endings[0]}")
    return _check_place(target)


def refuse_overwriting(source: Source, out: Given) -> None:
    """Refuse a target that is one of the source's files, or would be one when the source is read again.

    Raises
    ------
    InputError
        Naming the target and the source.
    """
    if not isinstance(source, FileSource):
        return
    target = location_of(out)
    if any(_same(target, part.path) for part in source.parts):
        raise InputError(f"{target}: is read as part of {source.name}; give another name to write")
    if isinstance(target, RemoteFile):
        joined = [given for given in source.given if _would_join_remote(target, location_of(given))]
        if joined:
            raise InputError(f"{target}: lies in {joined[0]}, which would read it the next time; write it elsewhere")
        return
    places = {Path(os.path.abspath(target)), Path(os.path.realpath(target))}
    for given in source.given:
        if any(_would_join(place, os.path.expanduser(given)) for place in places):
            raise InputError(f"{target}: lies in {given}, which would read it the next time; write it elsewhere")


def _same(target: Location, file: Location) -> bool:
    if isinstance(target, RemoteFile) or isinstance(file, RemoteFile):
        return isinstance(target, RemoteFile) and isinstance(file, RemoteFile) and _in_one_store(target, file)
    return target.exists() and file.exists() and target.samefile(file)


def _in_one_store(target: RemoteFile, file: RemoteFile) -> bool:
    return target.path == file.path and bool(target.filesystem() == file.filesystem())


def _would_join_remote(target: RemoteFile, given: Location) -> bool:
    """Whether a folder or pattern of the same store takes in a file of this name."""
    if not isinstance(given, RemoteFile) or target.filesystem() != given.filesystem():
        return False
    file, folder = PurePosixPath(target.path), PurePosixPath(given.path)
    if file.is_relative_to(folder):
        return file != folder and belongs(file, folder)
    if not glob.has_magic(given.path):
        return False
    return _matches(file, given.path) or any(
        _matches(above, given.path) and belongs(file, above) for above in file.parents
    )


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

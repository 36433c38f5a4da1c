"""Tables of Delta Lake, Iceberg and Hudi: their folders also hold files of rows that were deleted or replaced.

Which files count is in the table's own log, which the libraries of these formats read. A folder that holds such a log
is the root of a table, and all files below it are the table's.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import NoReturn

from gpuvgm.errors import EnvironmentProblem, InputError
from gpuvgm.io.locations import Location, location_of
from gpuvgm.io.remote import READ_ONLY, SMALL_AT_ONCE


@dataclass(frozen=True, slots=True)
class Lake:
    """A table format.

    Parameters
    ----------
    name : str
        Name for messages.
    log : str
        The folder in a table's root that makes it one.
    endings : tuple of str
        Endings, one of which a file in that folder must have; empty where any folder of this name counts.
    read : str
        Expression that gives the rows of a table; {} stands for its root.
    """

    name: str
    log: str
    endings: tuple[str, ...]
    read: str

    def lies_in(self, parts: tuple[str, ...]) -> int | None:
        """Number of leading parts of a file's name that are the root of a table, if the file is one of its log."""
        if self.log not in parts[:-1] or not parts[-1].endswith(self.endings or ""):
            return None
        place = parts.index(self.log)
        return place if not self.endings or place == len(parts) - 2 else None

    def has_root(self, folder: Location) -> bool:
        """Return whether a folder is the root of a table; False where that cannot be found out."""
        with suppress(OSError, EnvironmentProblem, InputError):
            if isinstance(folder, Path):
                log = f"{folder}/{self.log}"
                return os.path.isdir(log) and (not self.endings or self._ends(os.listdir(log)))
            log_folder = folder.at(f"{folder.path.rstrip('/')}/{self.log}")
            return log_folder.is_folder() and (not self.endings or self._ends(log_folder.names()))
        return False

    def _ends(self, names: Iterable[str]) -> bool:
        return any(name.endswith(self.endings) for name in names)


LAKES = (
    Lake("Delta Lake", "_delta_log", (), 'deltalake.DeltaTable("{}").to_pyarrow_dataset()'),
    Lake(
        "Iceberg",
        "metadata",
        (".metadata.json", ".metadata.json.gz"),
        'pyiceberg\'s load_catalog("CATALOG").load_table("NAMESPACE.TABLE").scan().to_arrow()',
    ),
    Lake(
        "Hudi",
        ".hoodie",
        (),
        'pyarrow.Table.from_batches(hudi.HudiTableBuilder.from_base_uri("{}").build().read())',
    ),
)


def refuse_lakes_within(folder: str, names: Iterable[PurePath]) -> None:
    """Refuse a folder that is or holds a table of such a format, by the names of its files.

    Raises
    ------
    InputError
        With what reads the table.
    """
    logs = {lake.log for lake in LAKES}
    for name in names:
        for lake in () if logs.isdisjoint(name.parts) else LAKES:
            if (place := lake.lies_in(name.parts)) is not None:
                _refuse_lake(folder, lake, "/".join([folder.rstrip("/"), *name.parts[:place]]))


def refuse_lakes_around(folders: Mapping[Location, Location]) -> None:
    """Refuse what lies in a table of such a format; each parent folder is looked at once.

    In a store that takes one request for each format and folder, but none where its listing was just asked for.

    Parameters
    ----------
    folders : mapping of Location to Location
        Folders, and what was given that is or lies in them.

    Raises
    ------
    InputError
        With what reads the table.
    """
    table = _root_above(folders)
    if table is not None:
        folder, lake, root = table
        _refuse_lake(str(folders[folder]), lake, str(root))


def refuse_lakes_of(names: Iterable[str]) -> None:
    """Refuse files, folders and patterns of which any lies in a table of such a format.

    Raises
    ------
    InputError
        With what reads the table.
    """
    places = [location_of(name) for name in names]
    refuse_lakes_around({place: place for place in places} | {folder_of(place): place for place in places})


def refuse_to_write_into_lakes(target: Location) -> None:
    """Refuse to write into a table of such a format, whose readers skip a file that its log does not name.

    Raises
    ------
    InputError
        Naming the table.
    """
    table = _root_above([target])
    if table is not None:
        _, lake, root = table
        raise InputError(
            f"{target}: lies in {root}, a table of {lake.name}, whose readers skip files that its log does not name, "
            "and whose cleaning removes them; write elsewhere"
        )


def folder_of(file: Location) -> Location:
    """The folder of a file."""
    if isinstance(file, Path):
        return file.parent
    name = file.path.partition("?")[0] if file.scheme in READ_ONLY else file.path
    return file.at(name.rpartition("/")[0])


def _refuse_lake(name: str, lake: Lake, root: str) -> NoReturn:
    relation = "is" if name.rstrip("/") == root else f"holds {root}," if root.startswith(name) else f"lies in {root},"
    raise InputError(
        f"{name}: {relation} a table of {lake.name}, whose folder keeps files of rows that were deleted or replaced; "
        f"pass {lake.read.format(root)} instead of the path"
    )


def _root_above(folders: Iterable[Location]) -> tuple[Location, Lake, Location] | None:
    """The first folder that is or lies in the root of a table, with the format and the root."""
    origins: dict[Location, Location] = {}
    for folder in folders:
        for start in _as_named(folder):
            root: Location | None = start
            while root is not None and root not in origins:
                origins[root] = folder
                root = _parent(root)
    pairs = [(root, lake) for root in origins for lake in LAKES]
    if all(isinstance(root, Path) for root in origins):
        return next(((origins[root], lake, root) for root, lake in pairs if lake.has_root(root)), None)
    with ThreadPoolExecutor(SMALL_AT_ONCE, "gpuvgm-lakes") as threads:
        answers = list(threads.map(lambda pair: pair[1].has_root(pair[0]), pairs))
    return next(
        ((origins[root], lake, root) for (root, lake), is_root in zip(pairs, answers, strict=True) if is_root), None
    )


def _as_named(folder: Location) -> Iterable[Location]:
    """A folder by its absolute name, and by the one that its links lead to."""
    if isinstance(folder, Path):
        return map(Path, {os.path.abspath(folder), os.path.realpath(folder)})
    name = folder.path.rstrip("/")
    return [folder.at(name)] if name else []


def _parent(folder: Location) -> Location | None:
    """The parent folder; None for the root of this machine, and for a bucket."""
    if isinstance(folder, Path):
        return folder.parent if folder.name else None
    name = folder.path.rpartition("/")[0]
    return folder.at(name) if name and not name.endswith("/") else None

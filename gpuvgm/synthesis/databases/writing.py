"""A folder with a Parquet file of each table: read, and written, where it is there once all are."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike, fspath
from pathlib import Path, PurePath

import pyarrow as pa

from gpuvgm.errors import InputError
from gpuvgm.io import ParquetSink, check_folder_of, location_of


def new_folder(out: str | PathLike[str], names: Sequence[str]) -> Path:
    """A folder that is to be written, and is not there yet.

    Raises
    ------
    InputError
        Where something has the name, the folder that it is to lie in is not there, or the name is a URL; and for names
        of tables that are none of files.
    """
    for name in names:
        if PurePath(name).name != name or name.startswith("."):
            raise InputError(f'out: no file may be called as the table "{name}": give it another name in the fit')
    place = location_of(out)
    if not isinstance(place, Path):
        raise InputError(f"{fspath(out)}: tables that refer to each other are written to a folder of this machine")
    check_folder_of(place)
    if place.exists():
        raise InputError(f"{place}: is there already; give the name of a new folder")
    return place


def paths_of_tables(folder: str | PathLike[str], names: Sequence[str]) -> dict[str, Path]:
    """Paths of the files of tables in a folder.

    Raises
    ------
    InputError
        For a table that has none.
    """
    paths = {name: path_of_table(Path(folder), name) for name in names}
    for path in paths.values():
        if not path.exists():
            raise InputError(f"{path}: is not there; the folder is to have a Parquet file of each table")
    return paths


@contextmanager
def unfinished_folder(folder: Path) -> Iterator[Path]:
    """A folder for files, which has its name once all of them are written; nothing is left of it after an error."""
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}") as parent:
        unfinished = Path(parent, "tables")
        unfinished.mkdir()
        yield unfinished
        unfinished.rename(folder)


def path_of_table(folder: Path, name: str) -> Path:
    """Path of the file of a table in a folder."""
    return folder / f"{name}.parquet"


def write_table(folder: Path, name: str, table: pa.Table) -> None:
    """Write the file of a table to a folder."""
    with ParquetSink(path_of_table(folder, name), table.schema) as sink:
        for batch in table.to_batches():
            sink.write(batch)


def written_tables(folder: Path, tables: Mapping[str, pa.Table]) -> dict[str, Path]:
    """Write tables, and return the paths of their files."""
    with unfinished_folder(folder) as unfinished:
        for name, table in tables.items():
            write_table(unfinished, name, table)
    return {name: path_of_table(folder, name) for name in tables}

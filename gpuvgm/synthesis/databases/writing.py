"""A folder with a Parquet file of each table: read, and written, where it is there once all are."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
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
    paths = {name: Path(folder) / f"{name}.parquet" for name in names}
    for path in paths.values():
        if not path.exists():
            raise InputError(f"{path}: is not there; the folder is to have a Parquet file of each table")
    return paths


def written_tables(folder: Path, tables: Mapping[str, pa.Table]) -> dict[str, Path]:
    """Write tables, and return the paths of their files."""
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}") as parent:
        unfinished = Path(parent, "tables")
        unfinished.mkdir()
        for name, table in tables.items():
            with ParquetSink(unfinished / f"{name}.parquet", table.schema) as sink:
                for batch in table.to_batches():
                    sink.write(batch)
        unfinished.rename(folder)
    return {name: folder / f"{name}.parquet" for name in tables}

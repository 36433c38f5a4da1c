"""Parquet files read by cuDF into the memory of a device, row group by row group.

For files of this machine that hold one table (no partitions in the names of folders), where cuDF is installed and the
engine runs on a device. Numbers, moments without a time zone and durations are decoded there; columns of other types
are read by Arrow beside them. Everything else of a source, samples and messages above all, is that of the files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module, util
from typing import Any

import pyarrow as pa

from gpuvgm.arrays import Column
from gpuvgm.io.block import Block, DeviceTable, joined, reblock
from gpuvgm.io.device import HeldSeries, is_plain
from gpuvgm.io.files import FileSource
from gpuvgm.io.memory import flat
from gpuvgm.io.parquet import ParquetPart, open_parquet
from gpuvgm.io.paths import check_unchanged
from gpuvgm.io.remote import RemoteFile
from gpuvgm.io.source import Runs, Source, check_request


@dataclass(frozen=True, slots=True, eq=False)
class CudfFiles(Source):
    """Parquet files whose blocks lie on a device.

    Parameters
    ----------
    files : FileSource
        The files.
    cudf : module
        cuDF.
    """

    files: FileSource
    cudf: Any
    flavour: str = "path"
    repeatable: bool = True

    @property
    def lies_on_device(self) -> bool:
        """Blocks lie on the device."""
        return True

    @property
    def name(self) -> str:
        """The path or pattern as given."""
        return self.files.name

    @property
    def schema(self) -> pa.Schema:
        """Columns and types of every file."""
        return self.files.schema

    @property
    def rows(self) -> int | None:
        """Rows of all files."""
        return self.files.rows

    def blocks(self, columns: Sequence[str], block_rows: int) -> Iterator[Block]:
        """Read the columns through in blocks, across the borders of row groups and files."""
        check_request(self.name, self.schema, columns, block_rows)
        return reblock(self._tables(columns, block_rows), block_rows, _together)

    def sample(self, columns: Sequence[str], runs: Runs) -> pa.Table:
        """Rows of each run, one after the other, in the memory of the host."""
        return self.files.sample(columns, runs)

    def fingerprint(self) -> dict[str, Any]:
        """File names, sizes and times of change."""
        return self.files.fingerprint()

    def _tables(self, columns: Sequence[str], rows: int) -> Iterator[DeviceTable]:
        for part, stamp in zip(self.files.parts, self.files.stamps, strict=True):
            assert isinstance(part, ParquetPart)
            check_unchanged(part.path, stamp)
            part.check()
            for groups in grouped(part.group_rows, rows):
                yield self._read(part, columns, groups)

    def _read(self, part: ParquetPart, columns: Sequence[str], groups: list[int]) -> DeviceTable:
        """Row groups of a file."""
        rows = sum(part.group_rows[group] for group in groups)
        types = {name: self.schema.field(name).type for name in columns}
        here = [name for name in columns if is_plain(types[name]) and not pa.types.is_float16(types[name])]
        found: dict[str, Column] = {}
        if here:
            frame = self.cudf.read_parquet(str(part.path), columns=here, row_groups=[groups], use_pandas_metadata=False)
            found = {name: _of_series(frame[name], types[name]) for name in here}
        others = [name for name in columns if name not in found]
        if others:
            with open_parquet(part.path) as file:
                table = file.read_row_groups(groups, columns=others)
            found |= {name: flat(table.column(name)) for name in others}
        return DeviceTable({name: found[name] for name in columns}, rows)


def _of_series(series: Any, type_: pa.DataType) -> Column:
    """A column that cuDF read; where it took another type for it, as Arrow would have read it."""
    if series.iloc[:0].to_arrow().type == type_:
        return HeldSeries(series, type_).slice(0, len(series))
    rows: pa.Array[Any] = series.to_arrow().cast(type_)
    return rows


def grouped(group_rows: Sequence[int], rows: int) -> Iterator[list[int]]:
    """Consecutive row groups of at most `rows` rows together; a longer one stands alone."""
    taken: list[int] = []
    held = 0
    for group, count in enumerate(group_rows):
        if taken and held + count > rows:
            yield taken
            taken, held = [], 0
        taken.append(group)
        held += count
    if taken:
        yield taken


def _together(tables: list[DeviceTable]) -> DeviceTable:
    """Tables as one; a single one is returned as it is."""
    if len(tables) == 1:
        return tables[0]
    table = joined(tables, tables[0].schema)
    assert isinstance(table, DeviceTable)
    return table


def device_files(source: Source) -> CudfFiles | None:
    """Files that cuDF reads into the device; None where it is not there or broken, and for everything else."""
    if not isinstance(source, FileSource) or not all(isinstance(part, ParquetPart) for part in source.parts):
        return None
    if any(isinstance(part.path, RemoteFile) for part in source.parts):
        return None  # Arrow reads them, with retries
    if util.find_spec("cudf") is None:
        return None
    try:
        return CudfFiles(source, import_module("cudf"))
    except Exception:  # installed but broken: Arrow reads the files
        return None

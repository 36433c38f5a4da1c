"""Parquet files read by cuDF into the memory of a device, row group by row group.

For files of this machine that hold one table (no partitions in the names of folders), where cuDF is installed and the
engine runs on a device. Numbers, moments without a time zone and durations are decoded there; columns of other types
are read by Arrow beside them. Everything else of a source, samples and messages above all, is that of the files.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module, util
from typing import Any

import pyarrow as pa

from gpuvgm.codecs.device_columns import Column
from gpuvgm.frames.block import Block, DeviceTable
from gpuvgm.frames.device import HeldSeries, is_plain
from gpuvgm.frames.device_results import joined
from gpuvgm.frames.files import FileSource
from gpuvgm.frames.parquet import ParquetPart, open_parquet
from gpuvgm.frames.paths import check_unchanged
from gpuvgm.frames.source import Runs, check_request


@dataclass(frozen=True, slots=True, eq=False)
class CudfFiles:
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
        return reblocked(self._tables(columns, block_rows), block_rows)

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
            found |= {name: _one(table.column(name)) for name in others}
        return DeviceTable({name: found[name] for name in columns}, rows)


def _of_series(series: Any, type_: pa.DataType) -> Column:
    """A column that cuDF read; where it took another type for it, as Arrow would have read it."""
    if series.iloc[:0].to_arrow().type == type_:
        return HeldSeries(series, type_).slice(0, len(series))
    rows: pa.Array[Any] = series.to_arrow().cast(type_)
    return rows


def _one(column: pa.ChunkedArray[Any]) -> pa.Array[Any]:
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.nulls(0, column.type)


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


def reblocked(tables: Iterable[DeviceTable], block_rows: int) -> Iterator[Block]:
    """Blocks of exactly `block_rows` rows, the last one excepted; copies are made only across borders of tables."""
    parts: deque[DeviceTable] = deque()
    held = first_row = 0
    for table in tables:
        parts.append(table)
        held += table.num_rows
        while held >= block_rows:
            yield Block(first_row, _taken(parts, block_rows))
            first_row, held = first_row + block_rows, held - block_rows
    if held:
        yield Block(first_row, _taken(parts, held))


def _taken(parts: deque[DeviceTable], rows: int) -> DeviceTable:
    """The first rows, which leave `parts`."""
    taken: list[DeviceTable] = []
    missing = rows
    while missing:
        part = parts.popleft()
        if part.num_rows > missing:
            parts.appendleft(part[missing:])
            part = part[:missing]
        taken.append(part)
        missing -= part.num_rows
    if len(taken) == 1:
        return taken[0]
    together = joined(taken, taken[0].schema)
    assert isinstance(together, DeviceTable)
    return together


def device_files(source: Any) -> CudfFiles | None:
    """Files that cuDF reads into the device; None where it is not there or broken, and for everything else."""
    if not isinstance(source, FileSource) or not all(isinstance(part, ParquetPart) for part in source.parts):
        return None
    if util.find_spec("cudf") is None:
        return None
    try:
        return CudfFiles(source, import_module("cudf"))
    except Exception:  # installed but broken: Arrow reads the files
        return None

"""Blocks of rows, the unit of reading, computing and writing, and batches cut to a number of rows."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.arrays import Array, Column, DeviceColumn, beside, namespace_of, on_host, to_numpy
from gpuvgm.errors import InputError
from gpuvgm.io.arrow import copied, joined_arrays, taken


@dataclass(frozen=True, slots=True)
class DeviceTable:
    """Consecutive rows of columns that lie on a device, as far as they can.

    Parameters
    ----------
    columns : dict of str to DeviceColumn or pyarrow.Array
        The columns; those of types that are not worked on there (text, wide decimals) are on the host already.
    num_rows : int
        Rows of every column.
    """

    columns: dict[str, Column]
    num_rows: int

    @property
    def schema(self) -> pa.Schema:
        """Columns and their Arrow types."""
        return pa.schema([(name, column.type) for name, column in self.columns.items()])

    def column(self, name: str) -> Column:
        """One column."""
        return self.columns[name]

    def __len__(self) -> int:
        return self.num_rows

    def __getitem__(self, rows: slice) -> DeviceTable:
        start, stop, _ = rows.indices(self.num_rows)
        length = max(stop - start, 0)
        columns: dict[str, Column] = {name: column.slice(start, length) for name, column in self.columns.items()}
        return DeviceTable(columns, length)

    def filter(self, rows: Array) -> DeviceTable:
        """The rows that a mask on the device or on the host selects."""
        row_numbers = np.flatnonzero(to_numpy(rows))
        columns: dict[str, Column] = {
            name: column.filter(beside(rows, column.values))
            if isinstance(column, DeviceColumn)
            else taken(column, row_numbers)
            for name, column in self.columns.items()
        }
        return DeviceTable(columns, len(row_numbers))

    def to_arrow(self) -> pa.RecordBatch:
        """The rows in the memory of the host."""
        if not self.columns:
            return rows_only(self.num_rows)
        return pa.RecordBatch.from_arrays([on_host(c) for c in self.columns.values()], schema=self.schema)


Batch: TypeAlias = Any  # a RecordBatch or a DeviceTable, as all others of its source
Table: TypeAlias = "pa.Table | DeviceTable"
Runs: TypeAlias = Sequence[tuple[int, int]]  # first row and number of rows of each


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive rows of a source.

    Parameters
    ----------
    first_row : int
        Global index of the block's first row, counted from 0 over the whole source.
    table : pyarrow.RecordBatch or DeviceTable
        The rows; every column is one contiguous array.
    """

    first_row: int
    table: pa.RecordBatch | DeviceTable

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self.table.num_rows)

    @property
    def batch(self) -> pa.RecordBatch:
        """The rows in the memory of the host."""
        return self.table.to_arrow() if isinstance(self.table, DeviceTable) else self.table

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, rows: slice) -> Block:
        start, stop, _ = rows.indices(self.rows)
        return self.between(start, stop)

    @classmethod
    def of(cls, first_row: int, columns: dict[str, Column], rows: int) -> Self:
        """Columns as a block, on the device if any of them lies there."""
        if any(isinstance(column, DeviceColumn) for column in columns.values()):
            return cls(first_row, DeviceTable(columns, rows))
        arrays = [on_host(column) for column in columns.values()]
        return cls(first_row, pa.RecordBatch.from_arrays(arrays, names=list(columns)))

    def column(self, name: str) -> Column:
        """One column, wherever it lies."""
        return self.table.column(name)

    def host_column(self, name: str) -> pa.Array[Any]:
        """One column in the memory of the host, for what works nowhere else."""
        return on_host(self.table.column(name))

    def halves(self) -> list[Block]:
        """Both halves of the block."""
        half = self.rows // 2
        return [self.between(0, half), self.between(half, self.rows)]

    def between(self, start: int, stop: int) -> Block:
        """Rows [start, stop) of the block."""
        return Block(self.first_row + start, self.table[start:stop])

    def filter(self, rows: Array) -> Self:
        """The rows that a mask selects, numbered on from the first."""
        table = self.table
        rows_kept = table.filter(rows) if isinstance(table, DeviceTable) else kept_rows(table, to_numpy(rows))
        return replace(self, table=rows_kept)

    def shares_of(self, runs: Runs) -> list[tuple[int, tuple[int, int]]]:
        """Runs that have some of the block's rows: the number of each, and its share of them."""
        return runs_within(runs, self.first_row, self.rows)

    @staticmethod
    def joined(blocks: Iterable[Block], schema: pa.Schema) -> Table:
        """Rows of blocks as one table: on the host where all lie there, else on the device, column by column."""
        return joined([block.table for block in blocks], schema)

    @classmethod
    def cut(cls, batches: Iterable[Batch], block_rows: int, first_row: int = 0) -> Iterator[Self]:
        """Blocks of exactly `block_rows` rows, the last one excepted; block i starts at `first_row` + i * block_rows.

        Parameters
        ----------
        batches : iterable of pyarrow.RecordBatch or DeviceTable
            Batches of any length and one schema, in row order.
        block_rows : int
            Rows of a block, at least 1.
        first_row : int
            Global index of the first row.
        """
        gatherer = Gatherer(block_rows)
        for batch in batches:
            for table in gatherer.add(batch):
                yield cls(first_row, table)
                first_row += table.num_rows
        for table in gatherer.rest():
            yield cls(first_row, table)


def runs_within(runs: Runs, first: int, rows: int) -> list[tuple[int, tuple[int, int]]]:
    """Runs that have some of the `rows` rows from `first` on: the number of each, and its share of them."""
    shares = []
    for number, (start, length) in enumerate(runs):
        low, high = max(start - first, 0), min(start + length - first, rows)
        if low < high:
            shares.append((number, (low, high - low)))
    return shares


class Gatherer:
    """Cuts batches of any length into batches of exactly `rows` rows: slices, and copies at borders only.

    Parameters
    ----------
    rows : int
        Rows of every batch handed out, the last one excepted.
    """

    __slots__ = ("_waiting_rows", "_parts", "rows")

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self._parts: deque[Batch] = deque()
        self._waiting_rows = 0

    def add(self, batch: Batch) -> Iterator[Batch]:
        """Add a batch, and yield every full batch."""
        if batch.num_rows:
            self._parts.append(batch)
            self._waiting_rows += batch.num_rows
        while self._waiting_rows >= self.rows:
            yield self._take(self.rows)

    def rest(self) -> Iterator[Batch]:
        """Yield the remaining rows, if any."""
        if self._waiting_rows:
            yield self._take(self._waiting_rows)

    def _take(self, rows: int) -> Batch:
        pieces: list[Batch] = []
        missing = rows
        while missing:
            part = self._parts.popleft()
            if part.num_rows > missing:
                self._parts.appendleft(part[missing:])
                part = part[:missing]
            pieces.append(part)
            missing -= part.num_rows
        self._waiting_rows -= rows
        return join_batches(pieces)


def join_batches(parts: list[Batch]) -> Batch:
    """One batch of several with the same schema, wherever they lie; a single one is returned as it is."""
    if len(parts) == 1:
        return parts[0]
    schema = parts[0].schema
    if isinstance(parts[0], DeviceTable):
        return joined(parts, schema)
    if not schema.names:
        return rows_only(sum(part.num_rows for part in parts))
    arrays = [_joined_column(field, [part.column(i) for part in parts]) for i, field in enumerate(schema)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _joined_column(field: pa.Field[Any], arrays: list[pa.Array[Any]]) -> pa.Array[Any]:
    try:
        array: pa.Array[Any] = joined_arrays(arrays, field.type)
    except pa.ArrowInvalid as problem:
        raise InputError(
            f'column "{field.name}": its dictionaries cannot be put together ({problem}); '
            "cast it to a dictionary with wider indices, or to its values"
        ) from problem
    return array


def kept_rows(batch: pa.RecordBatch, rows: NDArray[np.bool_]) -> pa.RecordBatch:
    """The rows that a mask selects."""
    try:
        return batch.filter(pa.array(rows))
    except pa.ArrowNotImplementedError:  # Arrow picks no rows of views and runs
        columns = [taken(column, np.flatnonzero(rows)) for column in batch.columns]
        return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def copied_rows(batch: pa.RecordBatch, start: int, length: int) -> pa.RecordBatch:
    """Copies of consecutive rows: a slice would hold the whole batch in memory."""
    rows = batch.slice(start, length)
    # A new batch without columns would have no rows.
    return pa.RecordBatch.from_arrays(list(map(copied, rows.columns)), schema=rows.schema) if rows.num_columns else rows


def rows_only(rows: int) -> pa.RecordBatch:
    """A batch of rows without columns."""
    # Arrow counts no rows in a batch that is made without columns.
    return pa.record_batch({"row": pa.nulls(rows)}).select([])


def trimmed(batches: Iterable[Batch], skip: int, rows: int) -> Iterator[Batch]:
    """Batches without their first `skip` rows, up to `rows` rows."""
    for batch in batches:
        piece = batch[skip : skip + rows]
        skip = max(0, skip - batch.num_rows)
        if piece.num_rows:
            rows -= piece.num_rows
            yield piece
        if not rows:
            return


def joined(parts: Sequence[pa.RecordBatch | DeviceTable], schema: pa.Schema) -> Table:
    """Batches as one table: on the host where all lie there, else on the device, column by column."""
    if not any(isinstance(part, DeviceTable) for part in parts):
        return pa.Table.from_batches(parts, schema)  # type: ignore[arg-type]
    columns = {name: _concat_columns([part.column(name) for part in parts]) for name in schema.names}
    return DeviceTable(columns, sum(part.num_rows for part in parts))


def _concat_columns(parts: Sequence[Column]) -> Column:
    if len(parts) == 1:
        return parts[0]
    device_parts = [part for part in parts if isinstance(part, DeviceColumn)]
    if len(device_parts) < len(parts) or not _share_words(device_parts):
        arrays: Any = [on_host(part) for part in parts]
        column: Column = joined_arrays(arrays, parts[0].type)
        return column
    xp = namespace_of(device_parts[0].values)
    missing = None
    if any(part.missing is not None for part in device_parts):
        masks = [xp.zeros(len(part), dtype=np.bool_) if part.missing is None else part.missing for part in device_parts]
        missing = xp.concatenate(masks)
    return DeviceColumn(
        xp.concatenate([part.values for part in device_parts]),
        device_parts[0].type,
        missing,
        device_parts[0].dictionary,
    )


def _share_words(parts: Sequence[DeviceColumn]) -> bool:
    """Return whether codes mean the same word in all parts."""
    words = parts[0].dictionary
    return words is None or all(part.dictionary is not None and words.equals(part.dictionary) for part in parts)


def host_table(table: Table) -> pa.Table:
    """The table in the memory of the host."""
    return pa.Table.from_batches([table.to_arrow()]) if isinstance(table, DeviceTable) else table

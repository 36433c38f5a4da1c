"""Tables of keys and steps of more rows than are held in memory, made while the rows are read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa

from gpuvgm.columns import FittedColumn
from gpuvgm.execution import any_source
from gpuvgm.io import Block, Source, joined_arrays, taken
from gpuvgm.synthesis.sequences.plan import SequencePlan
from gpuvgm.synthesis.sequences.rows import KeyRows
from gpuvgm.synthesis.sequences.sorting import RowOrder, sorted_by
from gpuvgm.synthesis.sequences.tables import SequenceTables

MOST_HELD = 1 << 20  # rows that are held in memory
KEY_ROWS = 1 << 18  # of a sorted source, of which tables are made at once; a key with more is held whole


def keys_by_rows(rows: KeyRows) -> dict[int, int]:
    """How many keys have so many rows, by that number."""
    sizes, keys = np.unique(rows.counts, return_counts=True)
    return dict(zip(sizes.tolist(), keys.tolist(), strict=True))


def added(counts: Mapping[int, int], further: Mapping[int, int]) -> dict[int, int]:
    """Sums of counts."""
    return {size: counts.get(size, 0) + further.get(size, 0) for size in {**counts, **further}}


@contextmanager
def rows_in_order(
    table: Source, key: str, index: str | None, columns: Mapping[str, FittedColumn]
) -> Iterator[KeyRows | Source]:
    """All rows of a table in the order of keys: in memory if they are few, else a source of them.

    Raises
    ------
    InputError
        For columns that cannot be sorted.
    """
    table, of_index = ChosenColumns.of(table, columns), None if index is None else columns[index]
    if table.rows is not None and table.rows <= MOST_HELD:
        yield KeyRows.read(table, RowOrder.of(table, key, index, of_index))
    else:
        with sorted_by(table, key, index, of_index) as source:
            yield source


def whole_keys(source: Source, key: str, names: Sequence[str]) -> Iterator[KeyRows]:
    """Rows of a sorted source, cut between keys: blocks of rows, longer where a key is."""
    waiting: pa.Table | None = None
    for block in source.blocks(names, KEY_ROWS):
        table = pa.Table.from_batches([block.batch])
        rows = KeyRows.in_order(table if waiting is None else _joined([waiting, table]), key)
        if len(rows.starts) > 1:
            yield rows.but_last_key
        waiting = rows.table.slice(int(rows.starts[-1]))
    if waiting is not None and waiting.num_rows:
        yield KeyRows.in_order(waiting, key)


def _joined(tables: Sequence[pa.Table]) -> pa.Table:
    """Tables one after the other, each column in one piece, so that it is not copied whenever it is read."""
    rows = pa.concat_tables(tables)
    arrays = [joined_arrays(column.chunks, column.type) for column in rows.columns]
    return pa.Table.from_arrays(arrays, schema=rows.schema)


@dataclass(frozen=True, slots=True)
class ChosenColumns(Source):
    """Some columns of a source.

    Parameters
    ----------
    source : Source
        The table.
    schema : pyarrow.Schema
        The columns.
    """

    source: Source
    schema: pa.Schema

    @classmethod
    def of(cls, source: Source, names: Collection[str]) -> Source:
        """A source without further columns; the same one if it has none."""
        fields = [field for field in source.schema if field.name in names]
        return source if len(fields) == len(source.schema) else cls(source, pa.schema(fields))

    @property
    def name(self) -> str:
        """Of the source."""
        return self.source.name

    @property
    def flavour(self) -> str:
        """Of the source."""
        return self.source.flavour

    @property
    def rows(self) -> int | None:
        """Of the source."""
        return self.source.rows

    @property
    def repeatable(self) -> bool:
        """Of the source."""
        return self.source.repeatable

    def blocks(self, columns: Sequence[str], block_rows: int) -> Iterator[Block]:
        """Read the columns in blocks."""
        return self.source.blocks(columns, block_rows)


@dataclass(frozen=True, slots=True)
class SequenceSource(Source):
    """The table of keys or of steps of a sorted source.

    Parameters
    ----------
    source : Source
        The rows, those of a key next to each other.
    plan : SequencePlan
        How the tables are made.
    columns : mapping of str to FittedColumn
        The fitted columns.
    of : {"keys", "steps"}
        Which of the tables.
    schema : pyarrow.Schema
        Its columns.
    """

    source: Source
    plan: SequencePlan
    columns: Mapping[str, FittedColumn]
    of: Literal["keys", "steps"]
    schema: pa.Schema
    rows: int | None = None
    repeatable: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """Of the source."""
        return self.source.name

    @property
    def flavour(self) -> str:
        """Of a table that is made."""
        return "pyarrow"

    def blocks(self, columns: Sequence[str], block_rows: int) -> Iterator[Block]:
        """Read the columns in blocks."""
        self.check_request(columns, block_rows)
        return Block.cut(self._batches(columns), min(block_rows, KEY_ROWS))  # these tables are wide

    def _batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        schema = pa.schema([self.schema.field(name) for name in columns])
        for rows in whole_keys(self.source, self.plan.key, self.source.schema.names):
            tables = SequenceTables(rows, self.plan, self.columns)
            table: pa.Table = tables.keys if self.of == "keys" else tables.steps
            yield from table.select(list(columns)).cast(schema).to_batches()


@dataclass(frozen=True, slots=True)
class KeyTables:
    """The rows of a table, key after key, and the tables that are made of them.

    Parameters
    ----------
    keys, steps : Source
        The table of keys, and that of steps; see `SequenceTables`.
    whole_keys : callable
        Gives the rows of the key and of some columns, cut between keys.
    """

    keys: Source
    steps: Source
    whole_keys: Callable[[Collection[str]], Iterator[KeyRows]]


@contextmanager
def tables_of_keys(table: Source, plan: SequencePlan, columns: Mapping[str, FittedColumn]) -> Iterator[KeyTables]:
    """Tables of a further table's keys and their rows, by the plan of a model.

    Raises
    ------
    InputError
        For columns that the table lacks.
    """
    table.check_request([plan.key, *plan.constants, *plan.varying])
    with rows_in_order(table, plan.key, plan.index or None, columns) as rows:
        if isinstance(rows, KeyRows):
            of_rows = SequenceTables(rows, plan, columns)
            yield KeyTables(any_source(of_rows.keys), any_source(of_rows.steps), lambda _: iter([rows]))
        else:
            all_keys = partial(whole_keys, rows, plan.key)
            first = SequenceTables(next(all_keys(rows.schema.names)), plan, columns)
            keys = SequenceSource(rows, plan, columns, "keys", first.keys.schema)
            steps = SequenceSource(rows, plan, columns, "steps", first.steps.schema)
            yield KeyTables(keys, steps, all_keys)


@dataclass(frozen=True, slots=True)
class KeySample:
    """Whole keys of a sorted source, those with the smallest hashes, and how many rows all keys have.

    Parameters
    ----------
    rows : KeyRows
        Their rows.
    counts : mapping of int to int
        How many keys have so many rows.
    source : Source, optional
        All rows, where the sample has some of them.
    """

    rows: KeyRows
    counts: Mapping[int, int]
    source: Source | None = None

    @classmethod
    def of(cls, source: KeyRows | Source, order: RowOrder, column: Any, most: int) -> KeySample:
        """All keys of rows that are held in memory, or about so many rows of some; sorted as files are.

        Parameters
        ----------
        source : KeyRows or Source
            The rows, those of a key next to each other.
        order : RowOrder
            The order of the rows.
        column : FittedColumn
            It gives hashes of keys.
        most : int
            Rows of the sample, but for the last key's.
        """
        if isinstance(source, KeyRows):
            return cls(source, keys_by_rows(source))
        counts: dict[int, int] = {}
        hashes, sizes = np.empty(0, np.uint64), np.empty(0, np.int64)
        for rows in whole_keys(source, order.key, [order.key]):
            counts = added(counts, keys_by_rows(rows))
            hashes = np.append(hashes, column.hashes(taken(rows.column(order.key), rows.starts)))
            sizes = np.append(sizes, rows.counts)
            ranked = np.argsort(hashes, kind="stable")
            kept = ranked[: int(np.searchsorted(np.cumsum(sizes[ranked]), most)) + 1]
            hashes, sizes = hashes[kept], sizes[kept]
        rows_of_sample = _rows_of_keys(source, order, column, hashes.max(initial=np.uint64(0)))
        is_whole = len(rows_of_sample.starts) == sum(counts.values())
        return cls(rows_of_sample, counts, None if is_whole else source)


def _rows_of_keys(source: Source, order: RowOrder, column: Any, last: np.uint64) -> KeyRows:
    """Rows of the keys up to a hash, sorted: a source that is in another order of keys is read as it is."""
    chosen: list[pa.Table] = []
    for rows in whole_keys(source, order.key, source.schema.names):
        are_low = column.hashes(taken(rows.column(order.key), rows.starts)) <= last
        chosen.append(taken(rows.table, np.flatnonzero(np.repeat(are_low, rows.counts))))
    return KeyRows.of(pa.concat_tables(chosen), order)

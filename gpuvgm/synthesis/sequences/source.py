"""Tables of keys and steps of more rows than are held in memory, made while the rows are read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.columns import FittedColumn
from gpuvgm.execution import Run, any_source, executor_for
from gpuvgm.io import Block, Source, TableSource, joined_arrays, taken
from gpuvgm.summary import Ints
from gpuvgm.synthesis.learning import SynthesizerSettings
from gpuvgm.synthesis.sequences.plan import SequencePlan
from gpuvgm.synthesis.sequences.rows import KeyRows
from gpuvgm.synthesis.sequences.sorting import RowOrder, sorted_by
from gpuvgm.synthesis.sequences.tables import SequenceTables

R = TypeVar("R")
Made = Literal["keys", "steps"]
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
    table: Source, key: str, index: str | None, columns: Mapping[str, FittedColumn], settings: SynthesizerSettings
) -> Iterator[KeyRows | OrderedRows]:
    """All rows of a table in the order of keys: in memory if they are few, else in files or on a cluster's workers.

    Raises
    ------
    InputError
        For columns that cannot be sorted.
    """
    rows, of_index = ChosenColumns.of(table, columns), None if index is None else columns[index]
    order, cluster = RowOrder.of(rows, key, index, of_index), executor_for(settings.machine["executor"], table)
    if rows.rows is not None and rows.rows <= MOST_HELD:
        yield KeyRows.read(rows, order)
    elif cluster is not None and (table.lazy or table.read_apart):
        with Run.over(table, "auto", cluster).grouped(rows.schema.names, order.hashes, order.sort) as grouped:
            yield RowsOnWorkers(grouped, key)
    else:
        with sorted_by(rows, key, index, of_index) as source:
            yield SortedRows(source, key)


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


class OrderedRows(Protocol):
    """Rows of a table that are not held in this process, those of a key next to each other."""

    @property
    def schema(self) -> pa.Schema:
        """The columns."""

    def of_keys(self, names: Collection[str], function: Callable[[KeyRows], R]) -> Iterator[R]:
        """What a function gives of some columns of rows that are cut between keys; of all keys in the end."""

    def made(self, plan: SequencePlan, columns: Mapping[str, FittedColumn], of: Made, schema: pa.Schema) -> Source:
        """The table of keys, or that of steps; see `SequenceTables`."""


@dataclass(frozen=True, slots=True)
class SortedRows:
    """Rows of a source; see `OrderedRows`.

    Parameters
    ----------
    source : Source
        The rows.
    key : str
        The column of the keys.
    """

    source: Source
    key: str

    @property
    def schema(self) -> pa.Schema:
        """The columns."""
        return self.source.schema

    def of_keys(self, names: Collection[str], function: Callable[[KeyRows], R]) -> Iterator[R]:
        """What a function gives of blocks of rows, longer where a key is."""
        return map(function, whole_keys(self.source, self.key, [*names]))

    def made(self, plan: SequencePlan, columns: Mapping[str, FittedColumn], of: Made, schema: pa.Schema) -> Source:
        """The table of keys, or that of steps, of a million rows at a time."""
        return SequenceSource(self.source, plan, columns, of, schema)


@dataclass(frozen=True, slots=True)
class RowsOnWorkers:
    """Rows on the workers of a cluster; see `OrderedRows`.

    Parameters
    ----------
    grouped : GroupedRows
        The rows.
    key : str
        The column of the keys.
    """

    grouped: Any
    key: str

    @property
    def schema(self) -> pa.Schema:
        """The columns."""
        columns: pa.Schema = self.grouped.schema
        return columns

    def of_keys(self, names: Collection[str], function: Callable[[KeyRows], R]) -> Iterator[R]:
        """What a function gives of the rows of each partition; it is called where they lie."""
        results: Iterator[R] = self.grouped.each(partial(_of_partition, function, self.key, [*names]))
        return results

    def made(self, plan: SequencePlan, columns: Mapping[str, FittedColumn], of: Made, schema: pa.Schema) -> Source:
        """The table of keys, or that of steps, made where the rows lie."""
        lengths = self.grouped.lengths
        if of == "keys":
            counted = self.of_keys([self.key], _keys_in)
            lengths = tuple(next(counted) if rows else 0 for rows in lengths)
        table: Source = self.grouped.made(schema, lengths, partial(_made, plan, columns, of, schema))
        return table


def _of_partition(function: Callable[[KeyRows], R], key: str, names: Sequence[str], rows: pa.Table) -> R:
    return function(KeyRows.in_order(rows.select(names), key))


def _keys_in(rows: KeyRows) -> int:
    return len(rows.starts)


def _made(
    plan: SequencePlan, columns: Mapping[str, FittedColumn], of: Made, schema: pa.Schema, rows: pa.Table
) -> SequenceSource:
    count = rows.num_rows if of == "steps" else _keys_in(KeyRows.in_order(rows.select([plan.key]), plan.key))
    return SequenceSource(TableSource("rows", "pyarrow", rows), plan, columns, of, schema, count)


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
    of: Made
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
    of_keys : callable
        Gives what a function gives of all keys; see `OrderedRows`.
    """

    keys: Source
    steps: Source
    of_keys: Callable[[Collection[str], Callable[[KeyRows], Any]], Iterator[Any]]


@contextmanager
def tables_of_keys(
    table: Source, plan: SequencePlan, columns: Mapping[str, FittedColumn], settings: SynthesizerSettings
) -> Iterator[KeyTables]:
    """Tables of a further table's keys and their rows, by the plan of a model.

    Raises
    ------
    InputError
        For columns that the table lacks.
    """
    table.check_request([plan.key, *plan.constants, *plan.varying])
    with rows_in_order(table, plan.key, plan.index or None, columns, settings) as rows:
        if isinstance(rows, KeyRows):
            tables = SequenceTables(rows, plan, columns)
            yield KeyTables(
                any_source(tables.keys), any_source(tables.steps), lambda _, function: iter([function(rows)])
            )
        else:
            keys, steps = next(rows.of_keys(rows.schema.names, partial(_schemas_made, plan, columns)))
            of_keys, of_steps = (rows.made(plan, columns, "keys", keys), rows.made(plan, columns, "steps", steps))
            yield KeyTables(of_keys, of_steps, rows.of_keys)


def _schemas_made(
    plan: SequencePlan, columns: Mapping[str, FittedColumn], rows: KeyRows
) -> tuple[pa.Schema, pa.Schema]:
    """Columns of the tables of keys and of steps, by one key."""
    first = KeyRows.in_order(rows.table.slice(0, int(rows.counts[0])), plan.key)
    tables = SequenceTables(first, plan, columns)
    return tables.keys.schema, tables.steps.schema


@dataclass(frozen=True, slots=True)
class KeySample:
    """Whole keys of a table, those with the smallest hashes, and how many rows all keys have.

    Parameters
    ----------
    rows : KeyRows
        Their rows.
    counts : mapping of int to int
        How many keys have so many rows.
    source : OrderedRows, optional
        All rows, where the sample has some of them.
    """

    rows: KeyRows
    counts: Mapping[int, int]
    source: OrderedRows | None = None

    @classmethod
    def of(cls, source: KeyRows | OrderedRows, order: RowOrder, column: Any, most: int) -> KeySample:
        """All keys of rows that are held in memory, or about so many rows of some; sorted as files are.

        Parameters
        ----------
        source : KeyRows or OrderedRows
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
        lowest = LowestKeys()
        for sizes, keys in source.of_keys([order.key], partial(_keys_of, order.key, column, most)):
            counts, lowest = added(counts, sizes), lowest.with_keys(keys, most)
        chosen = partial(_rows_up_to, order.key, column, lowest.hashes.max(initial=np.uint64(0)))
        # A source that is in another order of keys is read as it is, and sorted.
        rows = KeyRows.of(pa.concat_tables(source.of_keys(source.schema.names, chosen)), order)
        return cls(rows, counts, None if len(rows.starts) == sum(counts.values()) else source)


class LowestKeys(NamedTuple):
    """Keys with the smallest hashes, about so many rows of them.

    Parameters
    ----------
    hashes : ndarray of shape (keys,), uint64
        Hashes, in rising order.
    sizes : ndarray of shape (keys,), int64
        Rows of each key.
    """

    hashes: NDArray[np.uint64] = np.empty(0, np.uint64)
    sizes: Ints = np.empty(0, np.int64)

    def with_keys(self, other: LowestKeys, most: int) -> LowestKeys:
        """The lowest keys of both, until these have more than so many rows."""
        hashes, sizes = np.append(self.hashes, other.hashes), np.append(self.sizes, other.sizes)
        ranked = np.argsort(hashes, kind="stable")
        kept = ranked[: int(np.searchsorted(np.cumsum(sizes[ranked]), most)) + 1]
        return LowestKeys(hashes[kept], sizes[kept])


def _keys_of(key: str, column: Any, most: int, rows: KeyRows) -> tuple[dict[int, int], LowestKeys]:
    """How many keys have so many rows, and the lowest keys."""
    hashes = column.hashes(taken(rows.column(key), rows.starts))
    return keys_by_rows(rows), LowestKeys().with_keys(LowestKeys(hashes, rows.counts), most)


def _rows_up_to(key: str, column: Any, last: np.uint64, rows: KeyRows) -> pa.Table:
    """Rows of the keys up to a hash."""
    are_low = column.hashes(taken(rows.column(key), rows.starts)) <= last
    chosen: pa.Table = taken(rows.table, np.flatnonzero(np.repeat(are_low, rows.counts)))
    return chosen

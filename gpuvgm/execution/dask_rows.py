"""Rows that Dask computes, in partitions: each is read where it is."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Any, ClassVar, Protocol
from uuid import uuid4

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.errors import InputError, counted
from gpuvgm.execution.partitions import HeldRows, Reading
from gpuvgm.io import Block, Packed, Runs, Source

NAME_LENGTH = 40  # characters of a column's name in keys of tasks
_WORDS = re.compile(r"[^\W\d_]+")


def task_key(work: str, columns: Sequence[str] = ()) -> str:
    """A new key of a task, by which Dask's dashboard says what it does: `gpuvgm-scan-amount`.

    Dask takes the words of letters that a key begins with, so others of a column's name are left out; several columns
    are `columns`, with their number in the whole key.
    """
    words = ["columns", str(len(columns))] if len(columns) > 1 else _WORDS.findall("".join(columns)[:NAME_LENGTH])
    # Dask takes eight letters that begin with one of a hexadecimal number for the end of the name.
    words = [word.capitalize() if len(word) == 8 and word[0] in "abcdef" else word for word in (*work.split(), *words)]
    return "-".join(["gpuvgm", *words, uuid4().hex])


class Declared(Protocol):
    """What all partitions are."""

    def source(self, name: str, frame: Any, columns: Sequence[str]) -> Source:
        """Some columns of a partition's rows as a source."""


@dataclass(frozen=True, slots=True, eq=False)
class DaskPartition:
    """One partition: rows to be computed where a worker is.

    Parameters
    ----------
    number : int
        Its position among the partitions.
    first_row, rows : int
        Its rows, globally.
    reading : Reading
        What is read of it.
    declared : Declared
        Columns and types of all partitions.
    delayed : dask.delayed.Delayed, optional
        How it is computed.
    """

    number: int
    first_row: int
    rows: int
    reading: Reading
    declared: Declared
    delayed: Any = None

    @property
    def computed(self) -> Any:
        """The argument of a task that stands for the rows."""
        return as_argument(self.delayed)

    @property
    def alone(self) -> DaskPartition:
        """The partition without the graph of its rows, as it travels with a task."""
        return replace(self, delayed=None)

    def of(self, frame: Any) -> HeldRows:
        """The partition with its rows.

        Raises
        ------
        InputError
            Where it has other columns, types or rows than the frame declares.
        """
        give_back()
        source = self.declared.source(f"partition {self.number}", frame, self.reading.columns)
        if source.rows != self.rows:
            raise InputError(
                f"partition {self.number} has {counted(source.rows or 0, 'row')} now, "
                f"and had {self.rows:,} when they were counted: "
                "persist the frame, or make what it is computed from stay the same"
            )
        return HeldRows(source, self.first_row, self.reading)


class DaskRows(Source):
    """Rows in partitions that Dask computes.

    A subclass has `lengths`, the rows of each partition, and `partitions` beside what each source has.
    """

    __slots__ = ()
    lazy: ClassVar[bool] = True

    if TYPE_CHECKING:

        @property
        def lengths(self) -> tuple[int, ...]:
            """Rows of the partitions."""

    @property
    def rows(self) -> int:
        """Rows of all partitions."""
        return sum(self.lengths)

    @abstractmethod
    def partitions(self, reading: Reading) -> Iterator[DaskPartition]:
        """The partitions that have rows."""

    def blocks(self, columns: Sequence[str], block_rows: int) -> Iterator[Block]:
        """Read all rows of the columns in this process, one partition after the other."""
        self.check_request(columns, block_rows)
        reading = Reading("reference", tuple(columns), block_rows)
        parts = (partition.of(partition.delayed.compute()).read() for partition in self.partitions(reading))
        return Block.cut((block.batch for part in parts for block in part.blocks), block_rows)

    def sample(self, columns: Sequence[str], runs: Runs) -> pa.Table:
        """Rows of each run, one after the other; only the partitions that hold some are computed."""
        self.check_sample(columns, runs)
        ends = np.cumsum(np.reshape(runs, (-1, 2)), axis=1)
        parts = self.partitions(Reading("reference", tuple(columns), 1))
        hits = [(part, overlaps) for part in parts if (overlaps := overlaps_of(ends, part.first_row, part.rows))]
        schema = self.fields(columns)
        tables = _sampled_tables(hits, schema)
        pieces = [
            piece
            for (_, overlaps), table in zip(hits, tables, strict=True)
            for piece in _split_into_pieces(table, overlaps)
        ]
        ordered = [rows for *_, rows in sorted(pieces, key=lambda piece: piece[:2])]
        return pa.concat_tables([pa.Table.from_batches([], schema), *ordered])


def give_back() -> None:
    """Make Arrow return freed memory, which after a read may be as much as the partition."""
    pa.default_memory_pool().release_unused()


def as_argument(partition: Any) -> Any:
    """The argument of a task that stands for a delayed partition.

    Of a persisted one it is the future itself: Dask would make a task of the name that it has in the frame.
    """
    node = partition.dask[partition.key]
    node = partition.dask.get(node.target) if hasattr(node, "target") else node
    return node if type(node).__module__.partition(".")[0] == "distributed" else partition


Piece = tuple[int, int, int]  # rows of a run that lie in a partition: number of the run, first row, end


def overlaps_of(runs: NDArray[np.int64], first_row: int, rows: int) -> list[Piece]:
    """Rows of runs, shape (runs, 2), start and stop, that lie among consecutive rows."""
    low, high = np.maximum(runs[:, 0], first_row), np.minimum(runs[:, 1], first_row + rows)
    return [(int(order), int(low[order]), int(high[order])) for order in np.flatnonzero(low < high)]


def _sampled_tables(hits: Sequence[tuple[DaskPartition, list[Piece]]], schema: pa.Schema) -> list[pa.Table]:
    """Rows of runs in each partition, as a table each that is computed where the partition is.

    Most partitions have the same dictionaries. Those of the first one come once; columns of the others with an equal
    dictionary come as codes alone.
    """
    import dask

    dictionaries: Any = {}
    names = [field.name for field in schema if pa.types.is_dictionary(field.type)]
    if names and hits:
        first = hits[0][0]
        read = dask.delayed(partial(_read_dictionaries, first.alone, names), pure=False)
        dictionaries = read(first.computed, dask_key_name=task_key("read texts"))
    tasks = [
        dask.delayed(partial(_read_runs, part.alone, pieces), pure=False)(
            part.computed, dictionaries, dask_key_name=task_key("sample", schema.names)
        )
        for part, pieces in hits
    ]
    entries, *tables = map(Packed.unpack, dask.compute(dictionaries, *tasks))
    return [_restore_dictionaries(table, schema, entries) for table in tables]


def _read_dictionaries(partition: DaskPartition, columns: Sequence[str], frame: Any) -> Packed:
    """The dictionaries of a partition by column."""
    row: Any = partition.of(frame).source.sample(columns, [(0, 1)])
    return Packed({name: row.column(name).chunk(0).dictionary for name in columns})


def _read_runs(partition: DaskPartition, pieces: list[Piece], frame: Any, dictionaries: Any) -> Packed:
    """Rows of runs in a partition, as a table; columns with one of the dictionaries come as their codes.

    The table is a copy, since slices would keep, and send, the whole partition.
    """
    runs = [(low - partition.first_row, high - low) for _, low, high in pieces]
    rows = partition.of(frame).source.sample(partition.reading.columns, runs)
    entries = Packed.unpack(dictionaries)
    return Packed(pa.table({name: _as_codes(rows.column(name), entries.get(name)) for name in rows.column_names}))


def _as_codes(column: Any, entries: Any) -> Any:
    """A column in one chunk, as codes if all its dictionaries are `entries`; a column with others is not changed."""
    if pa.types.is_dictionary(column.type):
        if entries is None or not all(chunk.dictionary.equals(entries) for chunk in column.chunks):
            return column
        column = pa.chunked_array([chunk.indices for chunk in column.chunks], column.type.index_type)
    # One chunk, or several where one cannot hold all rows.
    return pa.table([column], ["rows"]).combine_chunks().column(0)


def _restore_dictionaries(table: pa.Table, schema: pa.Schema, entries: Mapping[str, pa.Array[Any]]) -> pa.Table:
    """A table with the types of the schema, made from columns and from codes of dictionaries."""
    columns: list[Any] = [
        column
        if column.type == field.type
        else pa.chunked_array([_with_entries(chunk, entries[field.name], field.type) for chunk in column.chunks])
        for column, field in zip(table.columns, schema, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _with_entries(codes: Any, entries: Any, type_: Any) -> Any:
    return pa.DictionaryArray.from_arrays(codes, entries, ordered=type_.ordered)


def _split_into_pieces(table: pa.Table, pieces: Sequence[Piece]) -> Iterator[tuple[int, int, pa.Table]]:
    """Split a table into pieces of runs: number of the run, first row and rows of each."""
    starts = accumulate((high - low for _, low, high in pieces), initial=0)
    for (order, low, high), start in zip(pieces, starts, strict=False):
        yield order, low, table.slice(start, high - low)


def forget(graphs: Sequence[dict[Any, Any]]) -> None:
    """Release computed partitions: frames in this process, or futures of a cluster."""
    for graph in graphs:
        for value in graph.values():
            if hasattr(value, "release"):
                value.release()
        graph.clear()

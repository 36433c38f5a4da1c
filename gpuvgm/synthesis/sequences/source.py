"""Tables of keys and steps of more rows than are held in memory, made while the rows are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa

from gpuvgm.columns import FittedColumn
from gpuvgm.config import BLOCK_ROWS
from gpuvgm.io import Block, Source, taken
from gpuvgm.summary import Ints
from gpuvgm.synthesis.sequences.plan import SequencePlan
from gpuvgm.synthesis.sequences.rows import KeyRows
from gpuvgm.synthesis.sequences.tables import SequenceTables


def whole_keys(source: Source, key: str, names: Sequence[str]) -> Iterator[KeyRows]:
    """Rows of a sorted source, cut between keys: blocks of rows, longer where a key is."""
    waiting: pa.Table | None = None
    for block in source.blocks(names, BLOCK_ROWS):
        table = pa.Table.from_batches([block.batch])
        table = table if waiting is None else pa.concat_tables([waiting, table])
        rows = KeyRows.in_order(table, key)
        last = int(rows.starts[-1])
        if last:
            yield KeyRows.in_order(table.slice(0, last), key)
        waiting = table.slice(last)
    if waiting is not None and waiting.num_rows:
        yield KeyRows.in_order(waiting, key)


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
        return Block.cut(self._batches(columns), block_rows)

    def _batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        schema = pa.schema([self.schema.field(name) for name in columns])
        for rows in whole_keys(self.source, self.plan.key, self.source.schema.names):
            tables = SequenceTables.of(rows, self.plan, self.columns)
            table: pa.Table = tables.keys if self.of == "keys" else tables.steps
            yield from table.select(list(columns)).cast(schema).to_batches()


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
    def whole(cls, rows: KeyRows) -> KeySample:
        """All rows."""
        sizes, keys = np.unique(rows.counts, return_counts=True)
        return cls(rows, dict(zip(sizes.tolist(), keys.tolist(), strict=True)))

    @classmethod
    def of(cls, source: Source, key: str, column: Any, most: int) -> KeySample:
        """A sample of about so many rows.

        Parameters
        ----------
        source : Source
            The rows, those of a key next to each other.
        key : str
            The column of the keys.
        column : FittedColumn
            It gives hashes of keys.
        most : int
            Rows of the sample, but for the last key's.
        """
        counts: dict[int, int] = {}
        hashes, sizes = np.empty(0, np.uint64), np.empty(0, np.int64)
        for rows in whole_keys(source, key, [key]):
            for size, keys in zip(*np.unique(rows.counts, return_counts=True), strict=True):
                counts[int(size)] = counts.get(int(size), 0) + int(keys)
            hashes = np.append(hashes, column.hashes(taken(rows.column(key), rows.starts)))
            sizes = np.append(sizes, rows.counts)
            order = np.argsort(hashes, kind="stable")
            kept = order[: int(np.searchsorted(np.cumsum(sizes[order]), most)) + 1]
            hashes, sizes = hashes[kept], sizes[kept]
        rows_of_sample = _rows_of_keys(source, key, column, hashes.max(initial=np.uint64(0)))
        is_whole = len(rows_of_sample.starts) == sum(counts.values())
        return cls(rows_of_sample, counts, None if is_whole else source)


def _rows_of_keys(source: Source, key: str, column: Any, last: np.uint64) -> KeyRows:
    """Rows of the keys up to a hash."""
    chosen: list[pa.Table] = []
    for rows in whole_keys(source, key, source.schema.names):
        are_low: Ints = np.flatnonzero(column.hashes(taken(rows.column(key), rows.starts)) <= last)
        chosen.append(taken(rows.table, np.flatnonzero(np.isin(rows.keys, are_low))))
    return KeyRows.in_order(pa.concat_tables(chosen), key)

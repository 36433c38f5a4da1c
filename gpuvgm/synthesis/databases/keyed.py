"""Rows in the order of hashes of their keys, in which parents and their children can be merged.

Hashes of 63 bits stand for keys: of ten million keys two have the same one in one of some 180,000 databases.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from gpuvgm.config import BLOCK_ROWS
from gpuvgm.io import Block, Source, TableSource, taken
from gpuvgm.summary import Ints
from gpuvgm.synthesis.databases.joins import alone_unless, hashes_of_keys, keys_in, recencies, targets_of, whole_array
from gpuvgm.synthesis.databases.references import Reference
from gpuvgm.synthesis.sequences import HashOrder, SequenceModel

HASH, ROW = "\0hash", "\0row"  # names of columns, which no table of a user has: hashes, and numbers of rows
READ_ROWS = 1 << 16  # of a block


def read(source: Source) -> pa.Table:
    """All rows of a table."""
    blocks = [block.batch for block in source.blocks(source.schema.names, BLOCK_ROWS)]
    return pa.Table.from_batches(blocks, source.schema)


def places_in_order(rows: pa.Table, keys: Sequence[Any], index: Any) -> Ints:
    """Places of rows in the order of hashes of their keys, and of an index if there is one."""
    hashed = rows.append_column(HASH, hashes_of_keys(keys))
    return np.asarray(_order(index, hashed.schema).places(hashed))


def rows_of(source: Source) -> int:
    """How many rows a table has, which is read if it does not say so."""
    if source.rows is not None:
        return source.rows
    return sum(block.rows for block in source.blocks(source.schema.names[:1], BLOCK_ROWS))


class SortedTable(TableSource):
    """A table in memory, whose rows are not in the order of its source."""

    __slots__ = ()
    reordered: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class KeyedSource(Source):
    """A table beside hashes of keys.

    Parameters
    ----------
    source : Source
        The table.
    keys : callable
        Gives the columns of keys of some rows, of which the first has a number.
    names : tuple of str, optional
        Columns; by default all.
    """

    source: Source
    keys: Callable[[pa.RecordBatch, int], Sequence[Any]]
    names: tuple[str, ...] | None = None
    in_memory: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """Of the table."""
        return self.source.name

    @property
    def flavour(self) -> str:
        """Of the table."""
        return self.source.flavour

    @property
    def rows(self) -> int | None:
        """Of the table."""
        return self.source.rows

    @property
    def repeatable(self) -> bool:
        """Of the table."""
        return self.source.repeatable

    @property
    def schema(self) -> pa.Schema:
        """Columns of the table, and the hashes."""
        names = self.source.schema.names if self.names is None else self.names
        return self.source.fields(names).append(pa.field(HASH, pa.uint64()))

    def blocks(self, columns: Sequence[str], block_rows: int) -> Iterator[Block]:
        """Read the columns in blocks, of which all have hashes."""
        for block in self.source.blocks(self.source.schema.names, block_rows):
            batch = block.batch
            hashes = hashes_of_keys(self.keys(batch, block.first_row))
            arrays = [hashes if name == HASH else batch.column(name) for name in columns]
            yield Block(block.first_row, pa.RecordBatch.from_arrays(arrays, schema=self.fields(columns)))

    def sorted(self, described: Reference, index: Any = None) -> AbstractContextManager[Source]:
        """The rows in the order of their hashes, and of an index if there is one, until the end."""
        return _order(index, self.schema).sorted(self, f"the order of keys of {described}")


@dataclass(frozen=True, slots=True)
class FurtherRows:
    """Rows of a further parent, which are held in the order of hashes of their keys.

    Parameters
    ----------
    hashes : ndarray of uint64
        Of their keys.
    numbers : ndarray of int64
        Their numbers, in the order of the table.
    rows : pyarrow.Table
        Some of their columns.
    parent : pyarrow.Schema
        Columns of the table, as it was given.
    """

    hashes: Any
    numbers: Ints
    rows: pa.Table
    parent: pa.Schema

    @classmethod
    def of(cls, ordered: Source, names: Sequence[str], parent: pa.Schema) -> FurtherRows:
        """Some columns of a table in order."""
        asked = [HASH, ROW, *names]
        blocks = [block.batch for block in ordered.blocks(asked, READ_ROWS)]
        rows = pa.Table.from_batches(blocks, ordered.fields(asked))
        numbers = np.asarray(rows.column(ROW).combine_chunks(), np.int64)
        return cls(hashes_in(rows), numbers, rows.select([*names]), parent)

    def hashes_of(self, reference: Reference, child: Any) -> Any:
        """Hashes of the keys that rows of a child refer to; 0 for those without one."""
        return np.asarray(hashes_of_keys(keys_in(child, reference, of=self.parent)).fill_null(0), np.uint64)

    def places(self, hashes: Any) -> Ints:
        """Places of rows with these hashes, -1 for those that are not there."""
        places = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
        return np.where(self.hashes[places] == hashes, places, -1)

    def beside(self, reference: Reference, child: Any, asked: Collection[str]) -> dict[str, Any]:
        """What is asked for beside rows of a child: numbers of rows, their columns, whether they are there, or again.

        The child has all rows of some first parents, if it is asked which come back.
        """
        names, recency = {reference.beside(name): name for name in self.rows.schema.names}, reference.recency.name
        if not {*names, reference.number, reference.target, recency}.intersection(asked):
            return {}
        hashes = self.hashes_of(reference, child)
        places = self.places(hashes)
        here = pa.array(places, mask=places < 0)
        arrays = {name: taken(whole_array(self.rows.column(of)), here) for name, of in names.items() if name in asked}
        if reference.number in asked:
            arrays[reference.number] = taken(pa.array(self.numbers), here)
        if reference.target in asked:
            arrays[reference.target] = pa.array(targets_of(hashes == 0, places >= 0), pa.string())
        if recency in asked:
            owners = hashes_in(child)
            owners = alone_unless(owners != 0, owners.astype(np.int64))
            arrays[recency] = recencies(reference, owners, alone_unless(places >= 0, places))
        return arrays


def pieces_of_keys(source: Source, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Columns of a source in the order of hashes, and these; cut where they change."""
    names = [*dict.fromkeys((HASH, *columns))]
    waiting = source.fields(names).empty_table()
    for block in source.blocks(names, READ_ROWS):
        rows = pa.concat_tables([waiting, pa.Table.from_batches([block.batch])])
        hashes = hashes_in(rows)
        others = np.flatnonzero(hashes != hashes[-1])
        cut = (int(others[-1]) + 1 if len(others) else 0) if hashes[-1] else rows.num_rows
        if cut:
            yield rows.slice(0, cut)
        waiting = rows.slice(cut)
    if waiting.num_rows:
        yield waiting


def hashes_in(rows: pa.Table) -> Any:
    """The hashes of some rows, 0 for those without a key."""
    return np.asarray(rows.column(HASH).combine_chunks().fill_null(0), np.uint64)


def children_elsewhere(counts: Mapping[int, int], reference: Reference) -> tuple[tuple[int, int], ...]:
    """How many children rows have that are not there, and how many such rows; numbers that few have are grouped.

    Parameters
    ----------
    counts : mapping of int to int
        How many such rows have so many children.
    reference : Reference
        The reference.
    """
    if not counts:
        return ()
    layout = SequenceModel.layout_of(counts, reference.name)
    return tuple(zip(layout.sizes, layout.keys, strict=True))


def _order(index: Any, schema: pa.Schema) -> HashOrder:
    return HashOrder.by(HASH, None if index is None else str(index), schema)

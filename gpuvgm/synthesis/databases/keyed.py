"""Rows in the order of hashes of their keys, in which parents and their children can be merged.

Hashes of 63 bits stand for keys: of ten million keys two have the same one in one of some 180,000 databases.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from gpuvgm.config import BLOCK_ROWS
from gpuvgm.io import Block, Source, TableSource
from gpuvgm.summary import Ints
from gpuvgm.synthesis.databases.joins import hashes_of_keys
from gpuvgm.synthesis.databases.references import Reference
from gpuvgm.synthesis.sequences import HashOrder, SequenceModel

HASH = "\0hash"  # name of the column of hashes, which no table of a user has
READ_ROWS = 1 << 16  # of a block


def read(source: Source) -> pa.Table:
    """All rows of a table."""
    blocks = [block.batch for block in source.blocks(source.schema.names, BLOCK_ROWS)]
    return pa.Table.from_batches(blocks, source.schema)


def places_in_order(rows: pa.Table, keys: Sequence[Any], index: Any) -> Ints:
    """Places of rows in the order of hashes of their keys, and of an index if there is one."""
    hashed = rows.append_column(HASH, hashes_of_keys(keys))
    return np.asarray(_order(index, hashed.schema).places(hashed))


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

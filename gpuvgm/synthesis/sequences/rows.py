"""Rows of a table, key after key."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gpuvgm.arrays import Column
from gpuvgm.columns import CategoricalColumn
from gpuvgm.config import BLOCK_ROWS
from gpuvgm.io import Source, is_text_type, plain_values_of, taken
from gpuvgm.laws import Unit
from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.sequences.sorting import RowOrder


@dataclass(frozen=True)  # no slots: what follows from the starts is cached
class KeyRows:
    """Rows that are sorted by key and index.

    Parameters
    ----------
    table : pyarrow.Table
        The rows.
    starts : ndarray of shape (keys,), int64
        First row of each key.
    order : ndarray of shape (rows,), int64
        Which row of the source each row is.
    """

    table: pa.Table
    starts: Ints
    order: Ints

    @classmethod
    def read(cls, source: Source, order: RowOrder) -> KeyRows:
        """All rows of a source; see `of`."""
        batches = [block.batch for block in source.blocks(source.schema.names, BLOCK_ROWS)]
        return cls.of(pa.Table.from_batches(batches, source.schema), order)

    @classmethod
    def of(cls, table: pa.Table, order: RowOrder) -> KeyRows:
        """Rows of any order, sorted as in files; a row without a key is a key of its own."""
        places = order.places(table)
        return replace(cls.in_order(taken(table, places).combine_chunks(), order.key), order=np.asarray(places))

    @classmethod
    def in_order(cls, table: pa.Table, key: str) -> KeyRows:
        """Rows that are in order already; keys of blank text are missing."""
        table = _without_blank(table, key)
        codes = codes_of(table.column(key))
        changes = (codes[1:] != codes[:-1]) | (codes[1:] < 0)
        starts = np.flatnonzero(np.append(True, changes)[: len(codes)])
        return cls(table, starts, np.arange(table.num_rows))

    @cached_property
    def counts(self) -> Ints:
        """Rows of each key."""
        return np.diff(self.starts, append=self.table.num_rows)

    @cached_property
    def keys(self) -> Ints:
        """Number of each row's key."""
        return np.repeat(np.arange(len(self.starts)), self.counts)

    @cached_property
    def places(self) -> Ints:
        """Place of each row among those of its key, from 0 on."""
        return np.arange(self.table.num_rows) - np.repeat(self.starts, self.counts)

    @cached_property
    def are_first(self) -> NDArray[np.bool_]:
        """Whether rows are the first ones of their key."""
        first: NDArray[np.bool_] = self.places == 0
        return first

    @property
    def rows_before(self) -> Any:
        """Number of the row before each row, missing for first rows."""
        return pa.array(np.arange(self.table.num_rows) - 1, mask=self.are_first)

    def column(self, name: str) -> Any:
        """The rows of a column, as an Arrow array."""
        return self.table.column(name).combine_chunks()

    def changes(self, name: str) -> NDArray[np.bool_]:
        """Whether rows have another value in a column than the row of their key before."""
        codes = codes_of(self.table.column(name))
        return np.append(False, codes[1:] != codes[:-1])[: len(codes)] & ~self.are_first


def amounts_of(column: Any, values: Column) -> Floats:
    """What numbers of a column, or categories that are numbers, mean; NaN where missing, of datetimes nanoseconds."""
    if isinstance(column, CategoricalColumn):
        categories: Any = values
        return np.asarray(categories.cast(pa.float64()).to_numpy(zero_copy_only=False))
    unit: Any = Unit.of(column)
    amounts: Floats = unit.amounts(np.asarray(column.all_numbers(values), np.float64))
    return amounts


def _without_blank(table: pa.Table, name: str) -> pa.Table:
    """The rows, with missing values in place of blank text in a column."""
    texts: Any = plain_values_of(table.column(name).combine_chunks())
    if not is_text_type(texts.type):
        return table
    words = texts.dictionary_encode()
    lengths: Any = pc.binary_length(pc.utf8_trim_whitespace(words.dictionary))
    blank = np.append(np.asarray(lengths) == 0, np.False_)
    lacks = blank[np.asarray(pc.fill_null(words.indices, len(blank) - 1))]
    if not lacks.any():
        return table
    values = taken(table.column(name), pa.array(np.arange(len(lacks)), mask=lacks))
    return table.set_column(table.schema.get_field_index(name), table.schema.field(name), values)


def codes_of(column: Any) -> Ints:
    """A number for each different value, -1 where it is missing; of lists one for all, as none is drawn."""
    values: Any = plain_values_of(column.combine_chunks())
    if pa.types.is_nested(values.type):
        return np.asarray(values.is_valid()).astype(np.int64) - 1
    return np.asarray(pc.fill_null(values.dictionary_encode().indices, -1), np.int64)

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
from gpuvgm.io import Source, is_text_type, joined_arrays, plain_values_of, taken
from gpuvgm.laws import Unit
from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.sequences.sorting import RowOrder

MOST_DIGITS = 9  # behind the point, of sums of categories that are numbers


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
        starts = _starts_of(table.column(key))
        if _are_blank(taken(table.column(key), starts)).any():
            table = _without_blank(table, key)
            starts = _starts_of(table.column(key))
        return cls(table, starts, np.arange(table.num_rows))

    @property
    def but_last_key(self) -> KeyRows:
        """All rows but those of the last key."""
        return self.first(int(self.starts[-1]))

    def first(self, rows: int) -> KeyRows:
        """The first rows, of which the last key may lack some."""
        return KeyRows(self.table.slice(0, rows), self.starts[self.starts < rows], self.order[:rows])

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

    @cached_property
    def rows_before(self) -> Any:
        """Number of the row before each row, missing for first rows."""
        return pa.array(np.arange(self.table.num_rows) - 1, mask=self.are_first)

    def column(self, name: str) -> Any:
        """The rows of a column, as an Arrow array."""
        values = self.table.column(name)
        return joined_arrays(values.chunks, values.type)

    def before(self, name: str, start: str | None = None) -> Any:
        """What a column has in the row before; first rows have none, or what it starts with: see `start_of`."""
        values = taken(self.column(name), self.rows_before)
        if start is None:
            return values
        of_first = start_of(values.type, self.table.num_rows, self.column(start) if start else None)
        return pc.if_else(pa.array(self.are_first), of_first, values)

    def changes(self, name: str) -> NDArray[np.bool_]:
        """Whether rows have another value in a column than the row of their key before."""
        codes = codes_of(self.table.column(name))
        return np.append(False, codes[1:] != codes[:-1])[: len(codes)] & ~self.are_first


def start_of(type_: pa.DataType, rows: int, of_keys: Any) -> Any:
    """What so many numbers of a type have before the first row: those of a column of keys, or 0 without one."""
    numbers = pa.array(np.zeros(rows)) if of_keys is None else of_keys
    return numbers.cast(type_)


def amounts_of(column: Any, values: Column) -> Floats:
    """What numbers of a column, or categories that are numbers, mean; NaN where missing, of datetimes nanoseconds."""
    if isinstance(column, CategoricalColumn):
        categories: Any = values
        return np.asarray(categories.cast(pa.float64()).to_numpy(zero_copy_only=False))
    unit: Any = Unit.of(column)
    amounts: Floats = unit.amounts(np.asarray(column.all_numbers(values), np.float64))
    return amounts


def values_of_amounts(column: Any, amounts: Floats) -> Column:
    """Values of a column that mean these numbers."""
    if isinstance(column, CategoricalColumn):
        return pa.array(np.round(amounts, MOST_DIGITS)).cast(column.decoded_type)
    unit: Any = Unit.of(column)
    values: Column = column.codec.plain.decode(amounts / float(unit.factor) - unit.base)
    return values


def numbers_in_order(column: Any, values: Column) -> Floats:
    """A column's numbers, or those that its categories are; NaN where missing."""
    if isinstance(column, CategoricalColumn):
        return amounts_of(column, values)
    return np.asarray(column.all_numbers(values), np.float64)


def _starts_of(column: Any) -> Ints:
    """Rows that have another value than the row before, or none."""
    values: Any = plain_values_of(column.combine_chunks())
    if pa.types.is_floating(values.type) or pa.types.is_nested(values.type):
        codes = codes_of(column)
        follows = (codes[1:] == codes[:-1]) & (codes[1:] >= 0)
    else:
        follows = np.asarray(pc.fill_null(pc.equal(values[1:], values[:-1]), False))  # noqa: FBT003
    return np.flatnonzero(np.append(True, ~follows)[: len(values)])


def _are_blank(column: Any) -> NDArray[np.bool_]:
    """Which rows of a column have blank text."""
    texts: Any = plain_values_of(column)
    if not is_text_type(texts.type):
        return np.zeros(len(texts), np.bool_)
    lengths: Any = pc.binary_length(pc.utf8_trim_whitespace(texts))
    blank: NDArray[np.bool_] = np.asarray(pc.fill_null(lengths, -1)) == 0
    return blank


def _without_blank(table: pa.Table, name: str) -> pa.Table:
    """The rows, with missing values in place of blank text in a column."""
    rows: Any = pa.array(np.arange(table.num_rows), mask=_are_blank(table.column(name)))
    values = taken(table.column(name), rows)
    return table.set_column(table.schema.get_field_index(name), table.schema.field(name), values)


def codes_of(column: Any) -> Ints:
    """A number for each different value, -1 where it is missing; of lists one for all, as none is drawn."""
    values: Any = plain_values_of(column.combine_chunks())
    if pa.types.is_nested(values.type):
        return np.asarray(values.is_valid()).astype(np.int64) - 1
    return np.asarray(pc.fill_null(values.dictionary_encode().indices, -1), np.int64)

"""Categories of categorical columns: plain JSON-able values, counted in any order, found again in Arrow arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gpuvgm.arrays import Column, DeviceColumn, is_on_device, namespace_of, on_host, to_numpy
from gpuvgm.columns.base import Category
from gpuvgm.columns.options import MOST_CATEGORIES
from gpuvgm.errors import InputError
from gpuvgm.io import is_number_type, is_plain_number_type, is_text_type, plain_values_of
from gpuvgm.records import read_as, refuse
from gpuvgm.shortage import ARROW_PROBLEMS
from gpuvgm.summary import Ints

Array = Any  # a pyarrow.Array: the stubs know no array of any type


def _category(value: Any, where: str) -> Any:
    """A category: text, a boolean, a number other than NaN, or None for missing values."""
    if isinstance(value, str):
        return read_as(str, value, where)
    if value is not None and not isinstance(value, bool):
        if not isinstance(value, (int, float)) or value != value or (isinstance(value, int) and abs(value) >= 2**64):
            refuse(value, where, "a category")
    return value


StoredCategory = Annotated[Category, _category]  # of a document


def is_category_type(type_: pa.DataType) -> bool:
    """Return whether a categorical column can hold the type: numbers, datetimes, booleans, text, dictionaries."""
    if pa.types.is_dictionary(type_):
        return not pa.types.is_dictionary(type_.value_type) and is_category_type(type_.value_type)
    return is_number_type(type_) or is_text_type(type_) or bool(pa.types.is_boolean(type_))


def value_type(type_: pa.DataType) -> pa.DataType:
    """Type that values are looked up in: for a dictionary that of its entries, for rare types a wider one.

    Arrow's tables of values take no views of text, no 16-bit floats and no decimals of fewer than 128 bits.
    """
    inner: Any = type_.value_type if pa.types.is_dictionary(type_) else type_
    if pa.types.is_string_view(inner):
        return pa.large_string()
    if pa.types.is_float16(inner):
        return pa.float32()
    return (
        pa.decimal128(inner.precision, inner.scale) if pa.types.is_decimal(inner) and inner.bit_width < 128 else inner
    )


def plain_values(values: Array) -> Array:
    """Values in one normal form: no dictionary, NaN and blank text missing, no negative zero."""
    if pa.types.is_dictionary(values.type):
        values = plain_values_of(values)
    if values.type != value_type(values.type):
        values = values.cast(value_type(values.type))
    if pa.types.is_floating(values.type):
        wide = values.to_numpy(zero_copy_only=False)
        # Adding 0 turns negative zero into 0; from_pandas turns NaN into null.
        return pa.array(wide + wide.dtype.type(0), values.type, from_pandas=True)
    if is_text_type(values.type):
        length: Array = pc.utf8_length(pc.utf8_trim_whitespace(values))
        blank = pc.equal(length, pa.scalar(0, length.type))
        if pc.any(blank).as_py():
            # Not `if_else`, which makes no valid arrays of slices of text in pyarrow 23.
            return pc.replace_with_mask(values, blank, pa.scalar(None, values.type))
    return values


def _storage(type_: pa.DataType) -> pa.DataType:
    """Type with Python values that JSON has: integers for datetimes, text for decimals."""
    if pa.types.is_decimal(type_):
        return pa.string()
    if pa.types.is_temporal(type_):
        return pa.int32() if type_.bit_width == 32 else pa.int64()
    return type_


def categories_of(values: Array) -> tuple[Category, ...]:
    """Plain values as categories."""
    return tuple(values.cast(_storage(values.type)).to_pylist())


def array_of(categories: Sequence[Category], type_: pa.DataType) -> Array:
    """Categories as an Arrow array of the values' type."""
    array: Array = pa.array(categories, _storage(type_)).cast(type_)
    return array


def parse_categories(literals: Sequence[object], type_: pa.DataType) -> tuple[Category, ...]:
    """Categories as a user writes them, in their plain form.

    Raises
    ------
    ValueError
        For a value that is none of the type, or one that is given twice.
    """
    try:
        plain = [literal.item() if isinstance(literal, np.generic) else literal for literal in literals]
        array: Array = pa.array(plain)
        if pa.types.is_integer(array.type):  # numbers of days and of seconds have 32 bits
            array = array.cast(_storage(type_))
        categories = categories_of(plain_values(array.cast(type_)))
    except (*ARROW_PROBLEMS, TypeError) as problem:
        raise ValueError(f"not all are values of a column of type {type_}") from problem
    if len(set(categories)) < len(categories):
        raise ValueError("one of them is given twice")
    return categories


def coded_values(column: Column) -> tuple[Array, Any]:
    """Candidate values of a column, perhaps with repeats, and the place of each row's value, where the rows lie.

    The last value is null: that of rows without one.
    """
    values: Array
    if not isinstance(column, DeviceColumn) or not len(column):
        coded: Array = on_host(column)
        if not pa.types.is_dictionary(coded.type):
            coded = coded.cast(value_type(coded.type)).dictionary_encode()
        values, places = coded.dictionary, coded.indices.cast(pa.int64())  # 8 bits may number all, but not one more
        if places.null_count:
            places = places.fill_null(len(values))
        places = places.to_numpy(zero_copy_only=False)
    else:
        xp = namespace_of(column.values)
        values, places = column.dictionary, column.values
        if values is None:
            # Bits are compared: arithmetic of devices takes subnormal floats for 0, and NaN differs from itself.
            keys = column.values.view(f"u{column.values.dtype.itemsize}")
            distinct = xp.unique(keys)
            values = DeviceColumn(distinct.view(column.values.dtype), column.type).to_arrow()
            places = xp.searchsorted(distinct, keys)
        if column.missing is not None:
            places = xp.where(column.missing, len(values), places.astype(np.int64))
    return pa.concat_arrays([values, pa.nulls(1, values.type)]), places


def check_categories(count: int, limit: int = MOST_CATEGORIES) -> None:
    """Refuse more categories than a column can have."""
    if count > limit:
        remedy = "" if limit == MOST_CATEGORIES else ", or give max_categories, so that infrequent ones share a column"
        raise InputError(
            f"more than {limit:,} categories: is it an identifier or free text? declare it "
            f'"id", "pass" or "drop", or "continuous" if it holds numbers{remedy}'
        )


def _negative(values: Array) -> NDArray[np.bool_]:
    """Rows below 0; a number that wrapped around is on the other side."""
    if pa.types.is_boolean(values.type):
        return np.zeros(len(values), np.bool_)
    is_below: Array = pc.less(values, pa.scalar(0, values.type))
    return np.asarray(is_below.fill_null(fill_value=False).to_numpy(zero_copy_only=False))


def _has_zone(type_: Any) -> bool:
    return bool(pa.types.is_timestamp(type_) and type_.tz is not None)


@dataclass(frozen=True, slots=True)
class CategoryCounts:
    """Counts of each category, and its first row.

    Parameters
    ----------
    type : pyarrow.DataType
        Arrow type of the values (not of a dictionary of them).
    rows : int
        Rows counted.
    categories : tuple
        The categories.
    counts, first_rows : ndarray of shape (categories,), int64
        Rows of each category, and the first row that holds it; -1 for declared categories that did not occur. Of the
        rows of a model only the order is known, and their places in it are taken for their numbers: none is larger.
    limit : int
        Categories that the column may have.
    """

    type: pa.DataType
    rows: int
    categories: tuple[Category, ...]
    counts: NDArray[np.int64]
    first_rows: NDArray[np.int64]
    limit: int = MOST_CATEGORIES

    @classmethod
    def of(cls, column: Column, first_row: int) -> CategoryCounts:
        """Counts of consecutive rows; of those on a device only the values that occur come to the host, each once."""
        values, places = coded_values(column)
        if is_on_device(places):
            xp = namespace_of(places)
            occurring, first, counts = map(to_numpy, xp.unique(places, return_index=True, return_counts=True))
        else:
            counts, first = np.bincount(places, minlength=len(values)), np.empty(len(values), np.int64)
            first[places[::-1]] = np.arange(len(places) - 1, -1, -1)  # the last one written is the first row
            occurring = np.flatnonzero(counts)
            counts, first = counts[occurring], first[occurring]
        values = plain_values(values).take(pa.array(occurring, pa.int64()))  # views of text cannot be taken from
        return cls._of_values(values, len(column), counts, first + first_row)

    def merge(self, counts: CategoryCounts) -> CategoryCounts:
        """Counts of both sets of rows; the order of merging does not matter.

        Raises
        ------
        InputError
            For more categories than the column may have.
        """
        lowest_limit = min(self.limit, counts.limit)
        values = array_of((*self.categories, *counts.categories), self.type)
        row_counts = np.concatenate((self.counts, counts.counts))
        first = np.concatenate((self.first_rows, counts.first_rows))
        merged = self._of_values(values, self.rows + counts.rows, row_counts, first)
        check_categories(len(merged.categories), lowest_limit)
        return replace(merged, limit=lowest_limit)

    @classmethod
    def _of_values(cls, values: Array, rows: int, counts: NDArray[Any], first_rows: NDArray[Any]) -> CategoryCounts:
        """Counts of values; those of equal values are added."""
        encoded, never = values.dictionary_encode(null_encoding="encode"), np.iinfo(np.int64).max
        codes = encoded.indices.to_numpy()
        totals = np.zeros(len(encoded.dictionary), np.int64)
        np.add.at(totals, codes, counts)
        first = np.full(len(totals), never)
        # -1, for categories that did not occur, must not win.
        np.minimum.at(first, codes, np.where(first_rows < 0, never, first_rows))
        first[first == never] = -1
        return cls(values.type, rows, categories_of(encoded.dictionary), totals, first)

    def of_type(self, type_: pa.DataType) -> CategoryCounts:
        """Counts with categories of another type, which must mean the same.

        Raises
        ------
        InputError
            For categories that the other type does not hold.
        """
        if self.type == type_:
            return self
        values = array_of(self.categories, self.type)
        try:
            cast = plain_values(values.cast(type_))
            places = CategoryIndex(categories_of(cast), type_).find(values)
        except ARROW_PROBLEMS:
            places = np.full(len(self.categories), -1)
        if np.any(places < 0):
            raise InputError(
                f"holds {self.type} values that {type_}, the type that was fitted, does not hold; convert it"
            )
        return replace(self, type=type_, categories=categories_of(cast))

    def shifted(self, rows: int) -> CategoryCounts:
        """Counts for the same rows at a place further down, after `rows` others."""
        return replace(self, first_rows=np.where(self.first_rows < 0, -1, self.first_rows + rows))

    @property
    def appearance(self) -> tuple[int, ...]:
        """Place of each category in the order of their first rows; -1 for those that did not occur."""
        occurring = np.sort(self.first_rows[self.first_rows >= 0])
        return tuple(np.where(self.first_rows < 0, -1, np.searchsorted(occurring, self.first_rows)).tolist())

    def ordered(self) -> CategoryCounts:
        """Counts by falling number of rows; among equal ones the first to occur comes first."""
        never = np.where(self.first_rows < 0, np.iinfo(np.int64).max, self.first_rows)
        order = np.lexsort((never, -self.counts))
        categories = tuple(self.categories[i] for i in order)
        return replace(self, categories=categories, counts=self.counts[order], first_rows=self.first_rows[order])


class CategoryIndex:
    """Finds the place of every value among the categories.

    Parameters
    ----------
    categories : sequence of Category
        The categories.
    type_ : pyarrow.DataType
        Type of their values.
    """

    def __init__(self, categories: Sequence[Category], type_: pa.DataType) -> None:
        self._set = array_of(categories, type_)

    def find(self, values: Any) -> NDArray[np.int64]:
        """Place of each value, shape (rows,), where the rows lie; -1 for values that are no category, of any type."""
        if isinstance(values, DeviceColumn) or pa.types.is_dictionary(values.type):
            entries, places = coded_values(values)
            return cast("Ints", namespace_of(places).asarray(self.find(entries))[places])
        if values.type != value_type(values.type):
            values = values.cast(value_type(values.type))
        if values.type != self._set.type:
            return self._find_others(plain_values(values))
        codes = self._look_up(values)
        unknown = np.flatnonzero(codes < 0)
        if len(unknown):  # other forms of a category among them: blank text, NaN, negative zero
            codes[unknown] = self._look_up(plain_values(values.take(pa.array(unknown))))
        return codes

    def find_all(self, values: Column, unknown: int, missing: int) -> Ints:
        """As `find`, with places of their own for values that are no category: missing ones and all others."""
        entries, places = coded_values(values)
        found = self.find(entries)
        is_missing = plain_values(entries).is_null().to_numpy(zero_copy_only=False)
        found = np.where(found >= 0, found, np.where(is_missing, missing, unknown))
        return cast("Ints", namespace_of(places).asarray(found)[places])

    def _find_others(self, values: Array) -> NDArray[np.int64]:
        """Places of plain values of another type; a value that the categories' type cannot hold has none."""
        type_ = self._set.type
        if is_plain_number_type(values.type) and (pa.types.is_integer(type_) or pa.types.is_boolean(type_)):
            near = values.cast(type_, safe=False)
            is_equal = pc.equal(near.cast(values.type, safe=False), values).fill_null(fill_value=True)
            is_exact = np.asarray(is_equal.to_numpy(zero_copy_only=False)) & (_negative(near) == _negative(values))
            return np.where(is_exact, self._look_up(near), -1)
        distinct = values.dictionary_encode(null_encoding="encode")
        return np.asarray(self._cast_and_look_up(distinct.dictionary)[distinct.indices.to_numpy()])

    def _cast_and_look_up(self, values: Array) -> NDArray[np.int64]:
        """Places of values of another type, in halves wherever some of them cannot be cast."""
        # A cast would take moments without a time zone for moments in UTC.
        if _has_zone(values.type) != _has_zone(self._set.type):
            return np.where(
                values.is_null().to_numpy(zero_copy_only=False), self._look_up(pa.nulls(1, self._set.type)), -1
            )
        try:
            return self._look_up(plain_values(values.cast(self._set.type)))
        except pa.ArrowNotImplementedError:
            return np.full(len(values), -1)
        except pa.ArrowInvalid:
            if len(values) == 1:
                return np.full(1, -1)
            half = len(values) // 2
            return np.concatenate([self._cast_and_look_up(part) for part in (values[:half], values[half:])])

    def _look_up(self, values: Array) -> NDArray[np.int64]:
        indices: Array = pc.index_in(values, value_set=self._set)
        filled = indices.fill_null(-1) if indices.null_count else indices
        return np.array(filled.to_numpy(zero_copy_only=False), np.int64)

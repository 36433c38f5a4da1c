"""Arrow columns of numbers as NumPy arrays, whatever their type, and exact comparison with one value."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gpuvgm.codecs.base import Bools, Number
from gpuvgm.codecs.words import Words, words_of
from gpuvgm.errors import InputError
from gpuvgm.grid import Floats


def missing_rows(column: pa.Array[Any]) -> Bools:
    """Rows that are null."""
    return np.asarray(pc.is_null(column).to_numpy(zero_copy_only=False))


def filled(column: pa.Array[Any]) -> NDArray[Any]:
    """Values of an integer column with 0 for null, in its own type."""
    whole: pa.Array[Any] = pc.fill_null(column, pa.scalar(0, column.type)) if column.null_count else column
    return whole.to_numpy(zero_copy_only=False)


def as_numbers(column: pa.Array[Any], fitted: str) -> pa.Array[Any]:
    """The column as integers or floating-point numbers.

    Raises
    ------
    InputError
        For a column that does not hold numbers.
    """
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return column
    if pa.types.is_null(kind):
        return pc.cast(column, pa.float64())
    if pa.types.is_boolean(kind):
        return pc.cast(column, pa.uint8())
    if pa.types.is_decimal(kind):
        return _of_decimals(column)
    raise InputError(f"holds {kind} values, but {fitted} values when it was fitted; convert it first")


def _of_decimals(column: pa.Array[Any]) -> pa.Array[Any]:
    """Decimals as integers where these hold them, otherwise as floating-point numbers."""
    try:
        return pc.cast(column, pa.int64())
    except pa.ArrowInvalid:
        return pa.array(decimal_floats(column), from_pandas=True)


def decimal_floats(column: pa.Array[Any]) -> Floats:
    """Floating-point numbers nearest to decimals, NaN for null."""
    if column.type.bit_width > 128:
        return pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False)
    words = words_of(column)
    unscaled = words.difference(0) if isinstance(words, Words) else words.astype(np.float64)
    numbers = unscaled / power_of_ten(column.type.scale)
    numbers[missing_rows(column)] = np.nan
    return np.asarray(numbers)


def power_of_ten(exponent: int) -> float:
    """10^exponent, correctly rounded."""
    return float(f"1e{exponent}")


def equal_rows(column: pa.Array[Any], value: Number) -> Bools:
    """Rows of a column of integers or floating-point numbers that hold exactly the value."""
    none = np.zeros(len(column), np.bool_)
    if pa.types.is_floating(column.type):
        try:
            number = float(value)
        except OverflowError:
            return none
        # Python compares integers with floats exactly
        return column.to_numpy(zero_copy_only=False) == np.float64(number) if number == value else none
    if isinstance(value, float) and not value.is_integer():
        return none
    whole = filled(column)
    limits = np.iinfo(whole.dtype)
    if not limits.min <= int(value) <= limits.max:
        return none
    rows = np.asarray(whole == whole.dtype.type(int(value)))
    return rows & ~missing_rows(column) if column.null_count else rows

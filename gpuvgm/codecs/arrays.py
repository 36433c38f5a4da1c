"""Columns of numbers as arrays, whatever their type, and exact comparison with one value.

Decimals are integers of 64 bits where the precision allows, otherwise of 256 bits in Arrow's arithmetic.

Columns on a device give arrays there, without leaving it; the formulas are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import DTypeLike, NDArray

from gpuvgm.arrays import SHORT, Array, Column, DeviceColumn, is_on_device, namespace_of
from gpuvgm.codecs.base import Bools, Number
from gpuvgm.errors import InputError
from gpuvgm.summary import Floats

CACHED_ROWS = 1 << 15  # of one step of several, whose arrays a processor's cache holds
WIDEST = 38  # digits of 128 bits
WIDE = pa.decimal256(WIDEST + 1, 0)  # of differences of 128 bits
LARGE = 1e37

Integers = NDArray[np.int64]


def missing_rows(column: Column) -> Bools | None:
    """Rows that are null; None where none is."""
    if isinstance(column, DeviceColumn):
        return column.missing
    return np.asarray(pc.is_null(column).to_numpy(zero_copy_only=False)) if column.null_count else None


def missing_numbers(numbers: Array) -> Bools | None:
    """Rows that are NaN; None where none is."""
    missing: Bools = namespace_of(numbers).isnan(numbers)
    return missing if missing.any() else None


def with_missing(numbers: Floats, column: Column) -> Floats:
    """Numbers of a column, made NaN where its value is null."""
    missing = missing_rows(column)
    if missing is not None:
        numbers[missing] = np.nan
    return numbers


def filled(column: Column) -> Array:
    """Values of an integer column with 0 for null, in its own type."""
    if isinstance(column, DeviceColumn):
        values = column.values
        zero = values.dtype.type(0)
        return values if column.missing is None else namespace_of(values).where(column.missing, zero, values)
    integers: pa.Array[Any] = pc.fill_null(column, pa.scalar(0, column.type)) if column.null_count else column
    return integers.to_numpy(zero_copy_only=False)


def float_values(column: Column, fitted: object = "numeric") -> Array:
    """Values of a column of numbers with NaN for null, floats in their own precision; 16 bits become 32 on a device.

    Errors as for `as_numbers`.
    """
    column = as_numbers(column, fitted)
    if not isinstance(column, DeviceColumn):
        return column.to_numpy(zero_copy_only=False)
    values = column.values
    if values.dtype.kind != "f":
        values = values.astype(np.float64)
    elif values.dtype.itemsize == 2:
        values = values.astype(np.float32)
    nan = values.dtype.type(np.nan)
    return values if column.missing is None else namespace_of(values).where(column.missing, nan, values)


def as_numbers(column: Column, fitted: object) -> Column:
    """The column as integers or floating-point numbers.

    Raises
    ------
    InputError
        For a column that does not hold numbers.
    """
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return column
    if pa.types.is_decimal(kind):
        decimal_column: Any = column  # only codecs of decimals work on those of a device
        return _of_decimals(decimal_column)
    if pa.types.is_boolean(kind):
        if isinstance(column, DeviceColumn):
            return DeviceColumn(column.values.view(np.uint8), pa.uint8(), column.missing)
        return pc.cast(column, pa.uint8())
    if pa.types.is_null(kind) and not isinstance(column, DeviceColumn):
        return pc.cast(column, pa.float64())
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
    wide = column.type.precision > SHORT
    unscaled = differences_of_digits(column, 0) if wide else words_of(column)[:, 0].astype(np.float64)
    return with_missing(np.asarray(unscaled / power_of_ten(column.type.scale)), column)


def power_of_ten(exponent: int) -> float:
    """10^exponent, correctly rounded."""
    return float(f"1e{exponent}")


def no_rows(column: Column) -> Bools:
    """False for every row."""
    xp = namespace_of(column.values) if isinstance(column, DeviceColumn) else np
    mask: Bools = xp.zeros(len(column), dtype=np.bool_)
    return mask


def _equal_floats(numbers: Array, number: np.floating[Any]) -> Bools:
    """Mask of floats that equal a number; by bits, since devices take subnormal float32 for 0 when they compare."""
    mask: Bools
    if not is_on_device(numbers) or numbers.dtype != np.float32:
        mask = numbers == number
        return mask
    bits = numbers.view(np.uint32)
    number_bits = int(np.float32(number).view(np.uint32))
    mask = (bits == number_bits) if number else (bits & 0x7FFFFFFF) == 0
    return mask


def equal_rows(column: Column, value: Number) -> Bools:
    """Rows of a column of integers or floating-point numbers that hold exactly the value."""
    if pa.types.is_floating(column.type):
        numbers = float_values(column)
        with np.errstate(over="ignore"):
            number = numbers.dtype.type(_to_float(value))
        # Python compares integers with floats exactly
        return _equal_floats(numbers, number) if float(number) == value else no_rows(column)
    if isinstance(value, float) and not value.is_integer():
        return no_rows(column)
    integers = filled(column)
    limits = np.iinfo(integers.dtype)
    if not limits.min <= int(value) <= limits.max:
        return no_rows(column)
    return present(column, integers == integers.dtype.type(int(value)))


def cached_parts(rows: Array) -> Iterator[slice]:
    """Parts of rows that a processor's cache holds through several steps; all rows of a device."""
    size = max(len(rows), 1) if is_on_device(rows) else CACHED_ROWS
    return (slice(start, start + size) for start in range(0, len(rows), size))


def in_parts(function: Callable[[Array], Array], rows: Array, dtype: DTypeLike = np.float64) -> Array:
    """Apply an elementwise function in parts that fit a processor's cache; returns an array of `dtype`."""
    parts = [*cached_parts(rows)]
    if len(parts) < 2:
        return function(rows)
    results: Array = np.empty(len(rows), dtype)
    for part in parts:
        results[part] = function(rows[part])
    return results


def present(column: Column, rows: Bools) -> Bools:
    """Mask of the rows without those that are null."""
    missing = missing_rows(column)
    return rows if missing is None else rows & ~missing


def _to_float(value: Number) -> float:
    """The float nearest to a value; NaN where it is too large for any."""
    try:
        return float(value)
    except OverflowError:
        return np.nan


# -- decimals


def words_of(column: pa.Array[Any]) -> Integers:
    """Unscaled values of a decimal column, shape (rows, words of 64 bits), the lowest first; anything where missing."""
    width: int = column.type.bit_width
    parts, word_type = max(1, width // 64), np.dtype("<i4" if width == 32 else "<i8")
    buffer = column.buffers()[1]
    if buffer is None or len(column) == 0:
        return np.zeros((len(column), parts), np.int64)
    view: Any = memoryview(buffer)  # which may have more bytes, of any number
    words = np.frombuffer(view, word_type, parts * len(column), column.offset * parts * word_type.itemsize)
    return words.astype(np.int64, copy=False).reshape(-1, parts)


def without_point(column: Any) -> Any:
    """Decimals of 128 bits without their decimal point: Arrow does not compare those of a negative scale."""
    type_ = pa.decimal128(column.type.precision, 0)
    return pa.Array.from_buffers(type_, len(column), column.buffers(), offset=column.offset)


def digits_of(column: pa.Array[Any]) -> Any:
    """Decimals of at most 38 digits without their decimal point, as an Arrow array of integers of 256 bits."""
    wide: Any = pc.cast(column, pa.decimal256(WIDE.precision, column.type.scale))
    return pa.Array.from_buffers(WIDE, len(wide), wide.buffers(), offset=wide.offset)


def differences_of_digits(column: pa.Array[Any], base: int) -> Floats:
    """Value - base for decimals without their decimal point, from the exact difference; NaN where one is missing."""
    exact: Any = pc.subtract(digits_of(column), pa.scalar(Decimal(base), WIDE))
    return np.asarray(exact.cast(pa.float64()).to_numpy(zero_copy_only=False))


def sums_of_digits(base: int, steps: Floats, limits: tuple[int, int], type_: Any, missing: Bools) -> pa.Array[Any]:
    """Decimals that have the digits of base + steps, which are whole numbers of any size, within the limits.

    They are null where `missing`.
    """
    low, high = (float(limit - base) for limit in limits)
    clipped = np.where((steps > low) & (steps < high), steps, 0.0)
    narrow = bool(np.max(np.abs(clipped), initial=0.0) < LARGE)  # as nearly always, and a cast to 128 bits is quicker
    units: Any = pa.array(clipped).cast(pa.decimal128(WIDEST, 0) if narrow else WIDE)
    sums: Any = pc.add(units, pa.scalar(Decimal(base), WIDE))
    for rows, end in ((steps <= low, limits[0]), (steps >= high, limits[1])):  # beyond the ends the end is the value
        sums = pc.if_else(pa.array(rows), pa.scalar(Decimal(end), sums.type), sums)
    sums = pc.if_else(pa.array(missing), pa.scalar(None, sums.type), sums)
    with_point: Any = pa.Array.from_buffers(pa.decimal256(sums.type.precision, type_.scale), len(sums), sums.buffers())
    sums_of_type: pa.Array[Any] = pc.cast(with_point, type_)
    return sums_of_type


def whole_units(column: pa.Array[Any], zeros: int) -> tuple[Integers, Bools]:
    """Unscaled values of a decimal column in units of 10^zeros; anything where a value is missing.

    Returns
    -------
    values : ndarray of shape (rows,), int64
        The values.
    lost : ndarray of shape (rows,), bool
        Rows that are no multiples of the unit, or too large for 64 bits.
    """
    kind = column.type
    if zeros == 0 and kind.precision <= SHORT:
        return words_of(column)[:, 0], np.zeros(len(column), np.bool_)
    exact = pa.decimal128(WIDEST, kind.scale)
    column = pc.cast(column, exact)
    coarse = pc.cast(column, pa.decimal128(WIDEST, kind.scale - zeros), safe=False)
    values, high = words_of(coarse).T
    is_inexact = pc.not_equal(without_point(pc.cast(coarse, exact)), without_point(column)).fill_null(fill_value=False)
    return values, is_inexact.to_numpy(zero_copy_only=False) | (high != values >> 63)

"""Decimal columns as integers: of 64 bits where the precision allows, otherwise by Arrow's arithmetic of 256 bits."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gpuvgm.arrays import SHORT
from gpuvgm.columns.codecs.base import Bools
from gpuvgm.summary.grid import Floats

WIDEST = 38  # digits of 128 bits
WIDE = pa.decimal256(WIDEST + 1, 0)  # of differences of 128 bits
LARGE = 1e37

Integers = NDArray[np.int64]


def words_of(column: pa.Array[Any]) -> Integers:
    """Unscaled values of a decimal column, shape (rows, words of 64 bits), the lowest first; anything where missing."""
    width: int = column.type.bit_width
    parts, stored = max(1, width // 64), np.dtype("<i4" if width == 32 else "<i8")
    buffer = column.buffers()[1]
    if buffer is None or len(column) == 0:
        return np.zeros((len(column), parts), np.int64)
    view: Any = memoryview(buffer)  # which may have more bytes, of any number
    words = np.frombuffer(view, stored, parts * len(column), column.offset * parts * stored.itemsize)
    return words.astype(np.int64, copy=False).reshape(-1, parts)


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
    inside = np.where((steps > low) & (steps < high), steps, 0.0)
    narrow = bool(np.max(np.abs(inside), initial=0.0) < LARGE)  # as nearly always, and a cast to 128 bits is quicker
    units: Any = pa.array(inside).cast(pa.decimal128(WIDEST, 0) if narrow else WIDE)
    sums: Any = pc.add(units, pa.scalar(Decimal(base), WIDE))
    for rows, end in ((steps <= low, limits[0]), (steps >= high, limits[1])):  # beyond the ends the end is the value
        sums = pc.if_else(pa.array(rows), pa.scalar(Decimal(end), sums.type), sums)
    sums = pc.if_else(pa.array(missing), pa.scalar(None, sums.type), sums)
    placed: Any = pa.Array.from_buffers(pa.decimal256(sums.type.precision, type_.scale), len(sums), sums.buffers())
    whole: pa.Array[Any] = pc.cast(placed, type_)
    return whole


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
    cut = pc.not_equal(pc.cast(coarse, exact), column).fill_null(fill_value=False)
    return values, cut.to_numpy(zero_copy_only=False) | (high != values >> 63)

"""Decimal columns as integers: 64 bits where the precision allows, otherwise 128 bits in two NumPy words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gpuvgm.arrays import SHORT, decimals
from gpuvgm.columns.codecs.base import Bools
from gpuvgm.summary.grid import Floats

WIDEST = 38  # digits of 128 bits
WORD = 2.0**64

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Words:
    """Integers of 128 bits in two's complement.

    Parameters
    ----------
    high, low : uint64 arrays of shape (rows,)
        Their upper and lower halves.
    """

    high: NDArray[np.uint64]
    low: NDArray[np.uint64]

    @classmethod
    def of(cls, value: int) -> Words:
        """One integer, which broadcasts against any others."""
        value %= 2**128
        return cls(np.array([value >> 64], np.uint64), np.array([value % 2**64], np.uint64))

    @classmethod
    def of_whole(cls, numbers: Floats) -> Words:
        """Whole numbers below 2^127 in size."""
        size = np.abs(numbers)
        high = np.floor(size / WORD)
        words = cls(high.astype(np.uint64), (size - high * WORD).astype(np.uint64))
        return words.where(numbers >= 0, Words.of(0) - words)

    def __add__(self, other: Words) -> Words:
        low = self.low + other.low
        return Words(self.high + other.high + (low < self.low), low)

    def __sub__(self, other: Words) -> Words:
        return Words(self.high - other.high - (self.low < other.low), self.low - other.low)

    def __ge__(self, other: Words) -> Bools:
        high, limit = self.high.view(np.int64), other.high.view(np.int64)
        return np.asarray((high > limit) | ((high == limit) & (self.low >= other.low)))

    def equal(self, other: Words) -> Bools:
        """Where both are the same."""
        return np.asarray((self.high == other.high) & (self.low == other.low))

    def where(self, rows: Bools, other: Words) -> Words:
        """These integers in `rows`, the others elsewhere."""
        return Words(np.where(rows, self.high, other.high), np.where(rows, self.low, other.low))

    def difference(self, base: int) -> Floats:
        """Self - base as floats, from the exact difference."""
        origin = Words.of(base)
        above = self >= origin
        size = (self - origin).where(above, origin - self)  # without a sign, so that it cannot overflow
        numbers = size.high.astype(np.float64) * WORD + size.low.astype(np.float64)
        return np.where(above, numbers, -numbers)


def words_of(column: pa.Array[Any]) -> Words | Integers:
    """Unscaled values of a decimal column of at most 128 bits; anything where a value is missing."""
    width: int = column.type.bit_width
    buffer = column.buffers()[1]
    if buffer is None or len(column) == 0:
        return np.zeros(len(column), np.int64)
    parts, stored = max(1, width // 64), np.dtype("<i4" if width == 32 else "<i8")
    start = column.offset * parts * stored.itemsize
    view: Any = memoryview(buffer)  # which may have more bytes, of any number
    words: Integers = np.frombuffer(view, stored, parts * len(column), start)
    if width < 128:
        return words.astype(np.int64)
    if column.type.precision <= SHORT:
        return words[::2]
    return Words(words[1::2].view(np.uint64), words[::2].view(np.uint64))


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
        words = words_of(column)
        assert not isinstance(words, Words)
        return words, np.zeros(len(words), np.bool_)
    exact = pa.decimal128(WIDEST, kind.scale)
    column = pc.cast(column, exact)
    coarse = pc.cast(column, pa.decimal128(WIDEST, kind.scale - zeros), safe=False)
    words = words_of(coarse)
    assert isinstance(words, Words)
    values = words.low.view(np.int64)
    cut = pc.not_equal(pc.cast(coarse, exact), column).fill_null(fill_value=False)
    return values, cut.to_numpy(zero_copy_only=False) | (words.high.view(np.int64) != values >> 63)


def decimal_array(values: Words | Integers, type_: pa.DataType, missing: Bools) -> pa.Array[Any]:
    """Decimal column of unscaled values, null where `missing`."""
    return decimals(np.column_stack([values.low, values.high]) if isinstance(values, Words) else values, type_, missing)

"""Integer columns, and the integer arithmetic that other columns share with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import pyarrow as pa

from gpuvgm.arrays import Array, Column, column_of, namespace_of
from gpuvgm.columns.codecs.arrays import (
    as_numbers,
    cached_parts,
    equal_rows,
    filled,
    floats,
    in_parts,
    missing_numbers,
    present,
    with_missing,
)
from gpuvgm.columns.codecs.base import Bools, Number, WholeCodec
from gpuvgm.columns.codecs.given import decimal_of, scaled, within
from gpuvgm.columns.records import NumberType
from gpuvgm.columns.rules import whole
from gpuvgm.summary.grid import Floats


def difference(integers: Array, base: int) -> Array:
    """Value - base, exact in integers wherever these can hold it; floats may be among the values' types."""
    return in_parts(lambda part: _difference(part, base), integers)


def _difference(integers: Array, base: int) -> Array:
    xp = namespace_of(integers)
    if integers.dtype.kind == "f" or integers.dtype.itemsize < 8 and abs(base) < 2**53:
        return xp.asarray(integers.astype(np.float64) - float(base))
    if integers.dtype == np.uint64 and base >= 0:
        origin = np.uint64(base)
        return xp.where(
            integers >= origin, (integers - origin).astype(np.float64), -(origin - integers).astype(np.float64)
        )
    if integers.dtype == np.uint64 or not -(2**63) <= base < 2**63:
        return xp.asarray(integers.astype(np.float64) - float(base))
    integers, base_ = integers.astype(np.int64), np.int64(base)
    with np.errstate(over="ignore"):
        steps = integers - base_
    overflow = ((integers ^ base_) & (integers ^ steps)) < 0
    numbers = steps.astype(np.float64)
    if xp is not np or overflow.any():  # which would wait for a device
        numbers = xp.where(overflow, integers.astype(np.float64) - float(base_), numbers)
    return numbers


def total(steps: Array, base: int, limits: tuple[int, int], dtype: np.dtype[Any]) -> Array:
    """Base + steps in integers, kept within the limits; steps are rounded to whole numbers, which have any size."""
    return in_parts(lambda part: _total(namespace_of(part).rint(part), base, limits, dtype), steps, dtype)


def _total(steps: Array, base: int, limits: tuple[int, int], dtype: np.dtype[Any]) -> Array:
    xp = namespace_of(steps)
    low, high = float(limits[0] - base), float(limits[1] - base)
    is_inside = (steps > low) & (steps < high)
    # in two halves of 32 bits and modulo 2^64: a step may be longer than any integer type
    upper = xp.floor(xp.where(is_inside, steps, 0.0) * 2.0**-32)
    lower = xp.where(is_inside, steps, 0.0) - upper * 2.0**32
    sums = (upper.astype(np.int64).view(np.uint64) << np.uint64(32)) + lower.astype(np.uint64)
    values = (sums + np.uint64(base % 2**64)).astype(dtype)
    values[steps <= low] = dtype.type(limits[0])  # beyond the ends the end itself is the value
    values[steps >= high] = dtype.type(limits[1])
    return values


def differences(column: Column, base: int) -> Array:
    """Value - base for an integer or floating-point column; NaN where a value is missing."""
    if pa.types.is_floating(column.type):
        return difference(floats(column), base)
    return with_missing(difference(filled(column), base), column)


def multiples(
    numbers: Array, base: int, step: int, limits: tuple[int, int], dtype: np.dtype[Any], *, complete: bool = False
) -> tuple[Array, Bools | None]:
    """Multiples of a step nearest to base + numbers, within the limits, in integers; and the rows that are missing.

    With `complete` no number is missing.
    """
    low, high = limits
    missing = None if complete else missing_numbers(numbers)
    numbers = numbers if missing is None else namespace_of(numbers).where(missing, 0.0, numbers)
    parts = numbers if step == 1 else (numbers + base % step) / step
    wholes = total(parts, base // step, (-(-low // step), high // step), dtype)
    return (wholes if step == 1 else wholes * dtype.type(step)), missing


def off_multiples(column: Column, integers: Array, step: int) -> Bools:
    """Rows of whole numbers, or floats, that are no multiples of a step."""
    if integers.dtype.kind != "f" and integers.dtype.itemsize < 8:
        integers = integers.astype(np.int64)
    if integers.dtype == np.int64 and step >= 2**63:
        return present(column, integers != 0)
    unit = integers.dtype.type(step)
    off: Bools = namespace_of(integers).empty(len(integers), np.bool_)
    with np.errstate(invalid="ignore"):  # NaN and infinities
        for part in cached_parts(integers):
            part_values = integers[part]
            off[part] = (
                part_values % unit != 0 if integers.dtype.kind == "f" else part_values // unit * unit != part_values
            )
    return present(column, off)


@dataclass(frozen=True, slots=True)
class IntegerCodec(WholeCodec):
    """Integer columns: `base` is subtracted in integers first, so that values beyond 2^53 keep their digits.

    Parameters
    ----------
    type : pyarrow.DataType
        Arrow integer type, for example int64.
    base : int
        An integer near the middle of the column.
    step : int
        Values come back as multiples of it.
    """

    type: NumberType
    base: Annotated[int, whole(-(2**63), 2**64 - 1)]
    step: Annotated[int, whole(1, 2**64 - 1)] = 1
    name: ClassVar[str] = "integer"

    @property
    def _dtype(self) -> np.dtype[Any]:
        dtype: np.dtype[Any] = np.dtype(str(self.type))  # Arrow's own way imports pandas
        return dtype

    @property
    def limits(self) -> tuple[int, int]:
        """Least and largest integer of the type."""
        limits = np.iinfo(self._dtype)
        return int(limits.min), int(limits.max)

    def off_step(self, column: Column, numbers: Floats) -> Bools | None:
        """Rows that are no multiple of the step; see `Codec.off_step`."""
        if self.step == 1:
            return None
        column = as_numbers(column, self.type)
        return off_multiples(column, floats(column) if pa.types.is_floating(column.type) else filled(column), self.step)

    def encode(self, column: Column) -> Floats:
        """Numbers of a column: value - base."""
        numbers: Floats = differences(as_numbers(column, self.type), self.base)
        return numbers

    def decode(self, numbers: Floats, *, complete: bool = False) -> Column:
        """Values rounded half to even and kept within the type's range."""
        values, missing = multiples(numbers, self.base, self.step, self.limits, self._dtype, complete=complete)
        return column_of(values, self.type, missing)

    def parse(self, literal: object) -> Number:
        """The integer, from an integer, a whole float or a text.

        Raises
        ------
        ValueError
            For what is no integer of the type.
        """
        return within(scaled(decimal_of(literal)), self.limits, self.type)

    def equals(self, column: Column, value: Number) -> Bools:
        """Rows that hold exactly the value."""
        return equal_rows(as_numbers(column, self.type), value)

    def show(self, value: Number) -> str:
        """The digits."""
        return str(value)

"""Integer columns, and the integer arithmetic that other columns share with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import pyarrow as pa

from gpuvgm.arrays import Array, Column, column_of, namespace_of
from gpuvgm.codecs.arrays import (
    as_numbers,
    cached_parts,
    equal_rows,
    filled,
    float_values,
    in_parts,
    missing_numbers,
    present,
    with_missing,
)
from gpuvgm.codecs.base import Bools, Number, NumberType, WholeCodec
from gpuvgm.codecs.literals import decimal_of, scaled, within
from gpuvgm.engines import Step, difference, nearest_multiples
from gpuvgm.rules import whole
from gpuvgm.summary import Floats


def differences(column: Column, base: int) -> Array:
    """Value - base for an integer or floating-point column; NaN where a value is missing."""
    if pa.types.is_floating(column.type):
        return difference_of(float_values(column), base)
    return with_missing(difference_of(filled(column), base), column)


def difference_of(integers: Array, base: int) -> Array:
    """Value - base, in parts; see `gpuvgm.engines.whole.difference`."""
    return in_parts(lambda part: difference(part, base), integers)


def decoded_integers(codec: WholeCodec, step: int, numbers: Array, *, complete: bool) -> tuple[Array, Bools | None]:
    """Integers that numbers of a codec stand for, on a step and within its limits; and the rows that are missing.

    With `complete` no number is missing.
    """
    missing = None if complete else missing_numbers(numbers)
    numbers = numbers if missing is None else namespace_of(numbers).where(missing, 0.0, numbers)
    return multiples(numbers, codec.base, step, codec.limits, codec.stored_dtype), missing


def multiples(numbers: Array, base: int, step: int, limits: tuple[int, int], dtype: np.dtype[Any]) -> Array:
    """Multiples of a step nearest to base + numbers, within the limits, in integers."""
    return in_parts(lambda part: nearest_multiples(part, base, step, limits, dtype), numbers, dtype)


def off_multiples(column: Column, integers: Array, step: int) -> Bools:
    """Rows of whole numbers, or floats, that are no multiples of a step."""
    off: Bools = namespace_of(integers).empty(len(integers), np.bool_)
    with np.errstate(invalid="ignore"):  # NaN and infinities
        for part in cached_parts(integers):
            values = integers[part]
            off[part] = values % step != 0 if values.dtype.kind == "f" else Step(step, 1, "int64").is_off(values)
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
    plain_numbers: ClassVar[bool] = True

    @property
    def stored_dtype(self) -> np.dtype[Any]:
        """Dtype of the type."""
        dtype: np.dtype[Any] = np.dtype(str(self.type))  # Arrow's own way imports pandas
        return dtype

    @property
    def limits(self) -> tuple[int, int]:
        """Least and largest integer of the type."""
        limits = np.iinfo(self.stored_dtype)
        return int(limits.min), int(limits.max)

    def off_step(self, column: Column, numbers: Floats) -> Bools | None:
        """Rows that are no multiple of the step; see `Codec.off_step`."""
        if self.step == 1:
            return None
        column = as_numbers(column, self.type)
        numbers = float_values(column) if pa.types.is_floating(column.type) else filled(column)
        return off_multiples(column, numbers, self.step)

    def encode(self, column: Column) -> Floats:
        """Numbers of a column: value - base."""
        numbers: Floats = differences(as_numbers(column, self.type), self.base)
        return numbers

    def decode(self, numbers: Floats, *, complete: bool = False) -> Column:
        """Values rounded half to even and kept within the type's range."""
        values, missing = decoded_integers(self, self.step, numbers, complete=complete)
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

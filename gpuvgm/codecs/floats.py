"""Floating-point columns."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from typing import Annotated, Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gpuvgm.arrays import Column, DeviceColumn, is_on_device, namespace_of, narrowed, to_numpy
from gpuvgm.codecs.arrays import as_numbers, equal_rows, float_values, in_parts, missing_numbers, no_rows
from gpuvgm.codecs.base import Bools, Codec, Number, NumberType, error_in_steps
from gpuvgm.engines import RowRules, Step
from gpuvgm.records import read_as, refuse
from gpuvgm.summary import Floats

Precision = type[np.floating[Any]]

_PRECISIONS: dict[pa.DataType, Precision] = {pa.float16(): np.float16, pa.float32(): np.float32}


def decimal_step(value: Any, where: str) -> str:
    """A step of floats as decimal text."""
    if not re.fullmatch(r"\d{1,19}(\.\d{1,22})?", read_as(str, value, where)) or not float(value):
        refuse(value, where, "a positive decimal number")
    return str(value)


@cache
def _step_of(step: str, precision: str) -> Step:
    return Step(*Fraction(step).as_integer_ratio(), precision)


@dataclass(frozen=True, slots=True)
class FloatCodec(Codec):
    """Floating-point columns; 16 and 32 bits are widened exactly.

    Parameters
    ----------
    type : pyarrow.DataType
        "double", "float", "halffloat", or "null" for a column without any value.
    infinite_is_missing : bool
        Take infinities for missing values instead of refusing them later.
    integer : bool
        Round half to even when numbers become values again.
    step : str, optional
        Numbers become values that are multiples of it, as the nearest floats: "0.01" gives what the texts of whole
        cents do.
    """

    type: NumberType
    infinite_is_missing: bool = False
    integer: bool = False
    step: Annotated[str, decimal_step] | None = None
    name: ClassVar[str] = "float"
    plain_numbers: ClassVar[bool] = True

    @property
    def base(self) -> int:
        """Always 0: the grid's centre does this work."""
        return 0

    @property
    def limits(self) -> tuple[float, float]:
        """Least and largest finite value of the precision."""
        largest = float(np.finfo(self.precision).max)
        return -largest, largest

    @property
    def precision(self) -> Precision:
        """NumPy type of the values."""
        return _PRECISIONS.get(self.type, np.float64)

    @property
    def decoded_step(self) -> Step | None:
        """The step that decoded values lie on; see `Codec.decoded_step`."""
        step = "1" if self.step is None and self.integer else self.step
        return None if step is None else _step_of(step, self.precision.__name__)

    @property
    def spacing(self) -> float:
        """The step; 0 where there is none."""
        return 0.0 if self.decoded_step is None else self.decoded_step.numerator / self.decoded_step.denominator

    def without_step(self) -> FloatCodec:
        """The codec without the step; whole numbers stay whole."""
        return replace(self, step=None)

    def off_step(self, column: Column, numbers: Floats) -> Bools | None:
        """Rows that are no multiple of the step in the column's precision; see `Codec.off_step`."""
        if self.step is None or self.decoded_step is None:
            return None
        off: Bools = in_parts(self.decoded_step.is_off, numbers, np.bool_)
        return off

    def row_rules(self, type_: pa.DataType, *, on_device: bool) -> RowRules | None:
        """Numbers are the values; see `Codec.row_rules`."""
        if pa.types.is_null(self.type) or type_ != self.type:
            return None
        step = None if self.step is None else self.decoded_step
        return RowRules(step=step, infinite_is_missing=on_device and self.infinite_is_missing)

    def encode(self, column: Column) -> Floats:
        """Numbers of a column; nulls and NaN are both missing.

        Columns on a device whose type has 32 bits or fewer give float32, which engines widen.
        """
        if pa.types.is_null(column.type):
            return np.full(len(column), np.nan)
        numbers = float_values(column, self.type)
        if not isinstance(column, DeviceColumn):
            numbers = numbers.astype(np.float64, copy=False)
        xp = namespace_of(numbers)
        if self.infinite_is_missing:
            infinite = xp.isinf(numbers)
            if xp is not np or infinite.any():  # which would wait for a device
                numbers = xp.where(infinite, numbers.dtype.type(np.nan), numbers)
        contiguous: Floats = xp.ascontiguousarray(numbers)
        return contiguous

    @property
    def stored_dtype(self) -> np.dtype[Any]:
        """Dtype of the precision."""
        return np.dtype(self.precision)

    def decode(self, numbers: Floats, *, complete: bool = False) -> Column:
        """Values in the column's own precision; those of 16 bits on the host."""
        if self.decoded_step is not None:
            numbers = in_parts(self.decoded_step.nearest, numbers)
        return self.column_of(numbers, complete=complete)

    def column_of(self, numbers: Floats, *, complete: bool = False) -> Column:
        """A column of values that are on the step already; see `decode`."""
        if is_on_device(numbers) and self.type in (pa.float64(), pa.float32()):
            values = narrowed(numbers) if pa.types.is_float32(self.type) else numbers
            return DeviceColumn(values, self.type, None if complete else missing_numbers(numbers))
        numbers = to_numpy(numbers)
        # without a NaN the array is taken as it is, without a copy
        array = pa.array(numbers, pa.float64(), from_pandas=not complete and bool(np.isnan(numbers).any()))
        return array if self.type in (pa.float64(), pa.null()) else pc.cast(array, self.type, safe=False)

    @property
    def step_text(self) -> str:
        """The step; see `Codec.step_text`."""
        return "1" if self.integer else self.step or ""

    def row_with(self, value: Number) -> Any:
        """A row of the host that holds a value exactly."""
        return replace(self, integer=False, step=None).decode(np.array([value], np.float64))

    def value(self, number: float) -> Number:
        """The number itself."""
        return float(number)

    def number(self, value: Number) -> float:
        """The value itself."""
        return float(value)

    def value_error(self, error: float, low: Number, high: Number) -> float:
        """Error of a number after rounding to the step, if any, and to the column's precision."""
        if self.decoded_step is not None:
            error = error_in_steps(error, self.spacing)
        if self.precision is np.float64:
            return error
        largest = min(max(abs(low), abs(high)) + error, self.limits[1])
        # the value itself is one of the precision, so that rounding to the nearest moves no further than the error
        with np.errstate(over="ignore"):
            return error + min(error, float(np.spacing(self.precision(largest))) / 2)

    def parse(self, literal: object) -> Number:
        """The nearest value of the column's precision.

        Raises
        ------
        ValueError
            For what is no number, NaN, or finite but beyond the precision's range.
        """
        if isinstance(literal, bool) or not isinstance(literal, (int, float, str)):
            raise ValueError(f"a {type(literal).__name__} is no number")
        try:
            number = float(literal)
        except OverflowError:
            raise ValueError(f"{literal} lies outside the range of {self.type}") from None
        except ValueError:
            raise ValueError(f"{literal!r} is no number") from None
        with np.errstate(over="ignore", under="ignore"):
            value = float(self.precision(number))
        if np.isnan(value) or np.isinf(value) and not np.isinf(number):
            raise ValueError(f"{literal} is no value of {self.type}")
        return value

    def equals(self, column: Column, value: Number) -> Bools:
        """Rows that hold exactly the value."""
        if self.infinite_is_missing and np.isinf(value):
            return no_rows(column)
        return equal_rows(as_numbers(column, self.type), value)

    def show(self, value: Number) -> str:
        """The shortest text that stands for the value in its precision."""
        return str(self.precision(value)).removesuffix(".0")


def holds_whole_steps(codec: Codec) -> bool:
    """Return whether decoded values are rounded to whole units: integers, datetimes, decimals, or by option."""
    inner = codec.plain
    return inner.integer if isinstance(inner, FloatCodec) else True

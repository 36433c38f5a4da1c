"""Dates, times and durations: integers in the unit of their type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gpuvgm.arrays import Array, Column, DeviceColumn, column_of, namespace_of
from gpuvgm.codecs import moments
from gpuvgm.codecs.arrays import filled, no_rows, present, with_missing, without_point
from gpuvgm.codecs.base import Bools, Number, NumberType, WholeCodec
from gpuvgm.codecs.integers import decoded_integers, difference_of, off_multiples
from gpuvgm.codecs.literals import decimal_of, scaled, within
from gpuvgm.codecs.number_text import without_fractions
from gpuvgm.errors import InputError, counted
from gpuvgm.io import is_datetime_type
from gpuvgm.rules import whole
from gpuvgm.summary import Floats

_STEPS = {"s": moments.SECOND, "ms": 10**6, "us": 1000, "ns": 1}
_END = 2**63 - 1  # -2^63 stands for a missing value elsewhere
_FRACTIONS_END, _DAY = 60.0, 86_400.0  # seconds: means of wider modes need no fractions, no time of the day
_SPANS = ((365.2425 * 86_400, "a"), (86_400, "d"), (3600, "h"), (60, "min"), (1, "s"), (1e-3, "ms"), (1e-6, "us"))


def nanoseconds_of(type_: Any) -> int:
    """Nanoseconds in the unit of a type."""
    if pa.types.is_date32(type_):
        return moments.DAY
    return 10**6 if pa.types.is_date64(type_) else _STEPS[type_.unit]


def sort_of(type_: Any) -> str:
    """Sort of values that a type holds; types of the same sort differ in their unit only."""
    if pa.types.is_time(type_):
        return "times of the day"
    if pa.types.is_duration(type_):
        return "durations"
    if pa.types.is_timestamp(type_) and type_.tz is not None:
        return "moments with a time zone"
    return "moments without a time zone" if is_datetime_type(type_) else "other values"


def stored(column: Any) -> Any:
    """Datetimes as the integers that they are stored as."""
    if isinstance(column, DeviceColumn):
        return column.stored()
    return column.view(pa.int32() if column.type.bit_width == 32 else pa.int64())


def comparable(column: Any) -> Any:
    """Numbers, datetimes or decimals in a type that Arrow compares: datetimes and decimals as whole numbers."""
    if pa.types.is_decimal(column.type):
        return without_point(column.cast(pa.decimal128(column.type.precision, column.type.scale)))
    if pa.types.is_float16(column.type):
        return column.cast(pa.float32())
    return stored(column) if is_datetime_type(column.type) else column


def own_value(scalar: Any) -> Any:
    """One of the values that `comparable` gives, in the unit of the type."""
    value = scalar.as_py()
    return int(value) if pa.types.is_decimal(scalar.type) else value


@dataclass(frozen=True, slots=True)
class DatetimeCodec(WholeCodec):
    """Timestamps, dates, times and durations; `base` is subtracted in integers, so that nanoseconds keep their digits.

    Parameters
    ----------
    type : pyarrow.DataType
        Arrow type, for example "timestamp[ns, tz=UTC]", "date32[day]", "time64[us]" or "duration[ms]".
    base : int
        A value near the middle of the column, in the unit of the type.
    step : int
        Values come back as multiples of it, in the unit of the type.
    """

    type: NumberType
    base: Annotated[int, whole(1 - 2**63)]
    step: Annotated[int, whole(1)] = 1
    name: ClassVar[str] = "datetime"

    @property
    def sort(self) -> str:
        """Sort of its values; types of the same sort differ in their unit only."""
        return sort_of(self.type)

    @property
    def limits(self) -> tuple[int, int]:
        """Least and largest value, in the unit of the type."""
        if pa.types.is_time(self.type):
            return 0, moments.DAY // nanoseconds_of(self.type) - 1
        end = 2**31 - 1 if pa.types.is_date32(self.type) else _END // self.grain * self.grain
        return -end, end

    @property
    def stored_dtype(self) -> np.dtype[Any]:
        """Dtype of as many bits as the type has."""
        return np.dtype(np.int32 if self.type.bit_width == 32 else np.int64)

    @property
    def grain(self) -> int:
        """Grain of the type, which every value is a multiple of: in date64 milliseconds count whole days."""
        return moments.DAY // 10**6 if pa.types.is_date64(self.type) else 1

    @property
    def _multiple(self) -> int:
        """The larger of step and grain, which every decoded value is a multiple of."""
        return max(self.step, self.grain)

    @property
    def spacing(self) -> float:
        """The step; a whole day for date64."""
        return float(self._multiple)

    def off_step(self, column: Column, numbers: Floats) -> Bools | None:
        """Rows that are no multiple of the step; see `Codec.off_step`."""
        return None if self.step == 1 else off_multiples(column, self._whole_numbers(column), self.step)

    def encode(self, column: Column) -> Floats:
        """Numbers of a column: value - base; another unit is converted exactly.

        Raises
        ------
        InputError
            For values of another sort, with a time zone instead of without, or between the steps of the unit.
        """
        return with_missing(difference_of(self._whole_numbers(column), self.base), column)

    def _whole_numbers(self, column: Column) -> Array:
        """Values in the unit of the type, 0 where one is missing."""
        type_ = self.type
        if pa.types.is_null(column.type):
            return np.zeros(len(column), np.int64)
        if sort_of(column.type) != sort_of(type_):
            content = sort_of(column.type) if is_datetime_type(column.type) else f"{column.type} values"
            raise InputError(f"holds {content}, but {sort_of(type_)} when it was fitted ({type_}); convert it first")
        integers, unit, column_unit = filled(stored(column)), nanoseconds_of(type_), nanoseconds_of(column.type)
        if column_unit == unit:
            return integers
        integers, xp = integers.astype(np.int64), namespace_of(integers)
        if column_unit > unit:
            largest = _END // (column_unit // unit)
            wrong = (integers > largest) | (integers < -largest)
            converted = xp.where(wrong, np.int64(0), integers) * np.int64(column_unit // unit)
        else:
            converted, remainder = xp.divmod(integers, np.int64(unit // column_unit))
            wrong = remainder != 0
        if wrong.any():
            raise InputError(
                f"holds {counted(int(wrong.sum()), 'value')} of {column.type} that {type_} cannot hold exactly, the "
                "type that it was fitted on; round them or fit again"
            )
        return converted

    def decode(self, numbers: Floats, *, complete: bool = False) -> Column:
        """Values rounded half to even to the step (date64 to whole days) and kept within the type's range."""
        values, missing = decoded_integers(self, self._multiple, numbers, complete=complete)
        return column_of(values, self.type, missing)

    def value(self, number: float) -> Number:
        """The value that a number stands for, in the unit of the type."""
        value = self.base + round(number)
        # Rounded half to even in integers: float64 does not hold all nanoseconds.
        days, remainder = divmod(value, self.grain)
        return (days + (2 * remainder > self.grain or 2 * remainder == self.grain and days % 2)) * self.grain

    def parse(self, literal: object) -> Number:
        """A value in the unit of the type.

        Parameters
        ----------
        literal : str, int or float
            Numbers are in the unit already. A moment without a time zone is the time of the clock in the column's zone.

        Raises
        ------
        ValueError
            For what is no value of the type.
        """
        type_ = self.type
        if not isinstance(literal, str):
            value = scaled(decimal_of(literal))
        else:
            value, remainder = divmod(self._nanoseconds(literal), nanoseconds_of(type_))
            if remainder:
                raise ValueError(f"{literal} is no whole number of the unit of {type_}")
        if value % self.grain:
            raise ValueError(f"{literal} is no whole day")
        return within(value, self.limits, self.type)

    def _nanoseconds(self, literal: str) -> int:
        type_ = self.type
        if pa.types.is_time(type_):
            return moments.time_of(literal)
        if pa.types.is_duration(type_):
            return moments.length_of(literal)
        return moments.moment_of(literal, type_.tz if pa.types.is_timestamp(type_) else None)

    def equals(self, column: Column, value: Number) -> Bools:
        """Rows that hold exactly the value."""
        if not self.limits[0] <= value <= self.limits[1] or value != int(value):
            return no_rows(column)
        integers = self._whole_numbers(column)
        return present(column, integers == integers.dtype.type(int(value)))

    def show(self, value: Number) -> str:
        """ISO text."""
        type_, integer = self.type, int(value)
        if pa.types.is_time(type_):
            return moments.time_text(integer * nanoseconds_of(type_))
        if pa.types.is_duration(type_):
            return moments.nanoseconds_text(integer * nanoseconds_of(type_))
        if pa.types.is_date(type_):
            return str(np.datetime64(integer // (moments.DAY // nanoseconds_of(type_)), "D"))
        return moments.timestamp_text(integer, type_.unit, type_.tz)

    @property
    def step_text(self) -> str:
        """The step as a length of time."""
        return moments.nanoseconds_text(self.step * self.nanoseconds)

    @property
    def nanoseconds(self) -> int:
        """Nanoseconds in the unit of the type."""
        return nanoseconds_of(self.type)

    def on_clock(self, numbers: Floats) -> NDArray[np.int64] | None:
        """Values as the clock of the column's zone shows them, durations aside; see `Codec.on_clock`."""
        if pa.types.is_duration(self.type):
            return None
        values: NDArray[np.int64] = self.base + np.where(np.isnan(numbers), 0, numbers).astype(np.int64)
        if pa.types.is_timestamp(self.type) and self.type.tz is not None:
            moments: Any = pa.array(values).cast(self.type)
            values = np.asarray(pc.local_timestamp(moments).view(pa.int64()))
        return values

    def text_beside(self, value: Number, sd: float) -> str:
        """A value as people read it; see `Codec.text_beside`."""
        text = self.value_text(value)
        return without_fractions(text) if sd * self.tick > _FRACTIONS_END else text

    def rounded_mean_text(self, mean: float, sd: float) -> str:
        """A component's mean as a value, without fractions of seconds or the time of the day in wide modes."""
        text, seconds = self.mean_text(mean, sd), sd * self.tick
        if seconds > _FRACTIONS_END:
            return text.partition("T")[0] if seconds > _DAY else without_fractions(text)
        return text

    def length_text(self, length: float, digits: int = 4) -> str:
        """A difference of two values with its unit."""
        seconds = length * self.tick
        size, unit = next((part for part in _SPANS if abs(seconds) >= part[0]), (1e-9, "ns") if seconds else (1, "s"))
        return f"{seconds / size:.{digits}g} {unit}"

"""Dates, times and durations: integers in the unit of their type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import pyarrow as pa

from gpuvgm.arrays import Array, Column, DeviceColumn, column_of, namespace_of
from gpuvgm.columns.codecs import moments
from gpuvgm.columns.codecs.arrays import filled, no_rows, present, with_missing, without_point
from gpuvgm.columns.codecs.base import Bools, Number, WholeCodec
from gpuvgm.columns.codecs.given import decimal_of, scaled, within
from gpuvgm.columns.codecs.integers import difference, multiples, off_multiples
from gpuvgm.columns.records import NumberType
from gpuvgm.columns.rules import MOST, whole
from gpuvgm.errors import InputError, counted
from gpuvgm.io.arrow import is_datetime_type
from gpuvgm.summary.grid import Floats

_STEPS = {"s": moments.SECOND, "ms": 10**6, "us": 1000, "ns": 1}
_END = 2**63 - 1  # -2^63 stands for a missing value elsewhere


def nanoseconds_of(type_: Any) -> int:
    """Nanoseconds in the unit of a type."""
    if pa.types.is_date32(type_):
        return moments.DAY
    return 10**6 if pa.types.is_date64(type_) else _STEPS[type_.unit]


def sort_of(type_: Any) -> str:
    """What the values of a type mean; types of the same sort differ in their unit only."""
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


def own_value(found: Any) -> Any:
    """One of the values that `comparable` gives, in the unit of the type."""
    value = found.as_py()
    return int(value) if pa.types.is_decimal(found.type) else value


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
    base: Annotated[int, whole(-MOST)]
    step: Annotated[int, whole(1)] = 1
    name: ClassVar[str] = "datetime"

    @property
    def limits(self) -> tuple[int, int]:
        """Least and largest value, in the unit of the type."""
        if pa.types.is_time(self.type):
            return 0, moments.DAY // nanoseconds_of(self.type) - 1
        end = 2**31 - 1 if pa.types.is_date32(self.type) else _END // self.whole * self.whole
        return -end, end

    @property
    def whole(self) -> int:
        """What every value is a multiple of: milliseconds count whole days in date64."""
        return moments.DAY // 10**6 if pa.types.is_date64(self.type) else 1

    @property
    def _multiple(self) -> int:
        """What every value that comes back is a multiple of."""
        return max(self.step, self.whole)

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
        return with_missing(difference(self._whole_numbers(column), self.base), column)

    def _whole_numbers(self, column: Column) -> Array:
        """Values in the unit of the type, 0 where one is missing."""
        own = self.type
        if pa.types.is_null(column.type):
            return np.zeros(len(column), np.int64)
        if sort_of(column.type) != sort_of(own):
            found = sort_of(column.type) if is_datetime_type(column.type) else f"{column.type} values"
            raise InputError(f"holds {found}, but {sort_of(own)} when it was fitted ({own}); convert it first")
        whole, steps, given = filled(stored(column)), nanoseconds_of(own), nanoseconds_of(column.type)
        if given == steps:
            return whole
        whole, xp = whole.astype(np.int64), namespace_of(whole)
        if given > steps:
            most = _END // (given // steps)
            wrong = (whole > most) | (whole < -most)
            converted = xp.where(wrong, np.int64(0), whole) * np.int64(given // steps)
        else:
            converted, rest = xp.divmod(whole, np.int64(steps // given))
            wrong = rest != 0
        if wrong.any():
            raise InputError(
                f"holds {counted(int(wrong.sum()), 'value')} of {column.type} that {own} cannot hold exactly, the type "
                "that it was fitted on; round them or fit again"
            )
        return converted

    def decode(self, numbers: Floats, *, complete: bool = False) -> Column:
        """Values rounded half to even to the step (date64 to whole days) and kept within the type's range."""
        own = self.type
        dtype = np.dtype(np.int32 if own.bit_width == 32 else np.int64)
        values, missing = multiples(numbers, self.base, self._multiple, self.limits, dtype, complete=complete)
        return column_of(values, own, missing)

    def value(self, number: float) -> Number:
        """The value that a number stands for, in the unit of the type."""
        value = self.base + round(number)
        days, rest = divmod(value, self.whole)
        return (days + (2 * rest > self.whole or 2 * rest == self.whole and days % 2)) * self.whole

    def parse(self, given: object) -> Number:
        """A value in the unit of the type.

        Parameters
        ----------
        given : str, int or float
            Numbers are in the unit already. A moment without a time zone is the time of the clock in the column's zone.

        Raises
        ------
        ValueError
            For what is no value of the type.
        """
        own = self.type
        if not isinstance(given, str):
            value = scaled(decimal_of(given))
        else:
            value, rest = divmod(self._nanoseconds(given), nanoseconds_of(own))
            if rest:
                raise ValueError(f"{given} is no whole number of the unit of {own}")
        if value % self.whole:
            raise ValueError(f"{given} is no whole day")
        return within(value, self.limits, self.type)

    def _nanoseconds(self, given: str) -> int:
        own = self.type
        if pa.types.is_time(own):
            return moments.time_of(given)
        if pa.types.is_duration(own):
            return moments.length_of(given)
        return moments.moment_of(given, own.tz if pa.types.is_timestamp(own) else None)

    def equals(self, column: Column, value: Number) -> Bools:
        """Rows that hold exactly the value."""
        if not self.limits[0] <= value <= self.limits[1] or value != int(value):
            return no_rows(column)
        whole = self._whole_numbers(column)
        return present(column, whole == whole.dtype.type(int(value)))

    def show(self, value: Number) -> str:
        """ISO text."""
        own, whole = self.type, int(value)
        if pa.types.is_time(own):
            return moments.time_text(whole * nanoseconds_of(own))
        if pa.types.is_duration(own):
            return moments.nanoseconds_text(whole * nanoseconds_of(own))
        if pa.types.is_date(own):
            return str(np.datetime64(whole // (moments.DAY // nanoseconds_of(own)), "D"))
        return moments.timestamp_text(whole, own.unit, own.tz)

"""Numbers of rows, which bins are made of: those of the column, or the time between it and another column of datetimes.

Datetimes that are never before others of their row, such as an end and its start, are counted and drawn as the time
between the two. So they are in order in a sample too, and the time between is distributed as in the table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import rel_entr

from gpuvgm.arrays import Column, namespace_of
from gpuvgm.codecs import DatetimeCodec
from gpuvgm.columns import FittedColumn, NumericColumn
from gpuvgm.laws import Unit
from gpuvgm.summary import Floats
from gpuvgm.synthesis.bins.clock import Clock

DAY = 86_400 * 10**9  # nanoseconds
HOURS = 24
LEAST_OF_HOURS = (
    0.2  # nats that these tell: where half of them have twice the rows of the others .06, where they have all .7
)
SAME = 1e-12  # of a number without a step: its twin may differ by so much
ROUNDING = 1e-9  # of a step: a number may be too small by so much
Rows = Callable[[str], Column]  # the rows of a column
Modal = NDArray[np.signedinteger[Any]]


@dataclass(frozen=True, slots=True)
class Origin:
    """Origin of a column of datetimes: another column that they are counted from.

    Parameters
    ----------
    column : NumericColumn
        The datetimes that are counted.
    first : NumericColumn
        The datetimes that they are counted from.
    back : bool
        Whether they are not after it, and counted back.
    by_days : bool
        Whether they are counted from the beginning of its day: then their time of day is part of the time between.
    ahead : float
        How far before it they lie at most: then the time between is counted from so far before it.
    clock : Clock, optional
        Of datetimes whose origin is missing, such as those of first rows: its readings take the place of the time
        between, so that they keep to the calendar.
    """

    column: NumericColumn
    first: NumericColumn
    back: bool
    by_days: bool = False
    ahead: float = 0.0
    clock: Clock | None = None

    @property
    def scale(self) -> tuple[float, float]:
        """Factor and shift that turn numbers of the origin into numbers of the column."""
        unit, unit_of_first = Unit.of(self.column), Unit.of(self.first)
        assert unit is not None and unit_of_first is not None
        return unit_of_first.scale_to(unit)

    @property
    def step(self) -> float:
        """Step of the column, of which the time between is a multiple."""
        return self.column.codec.plain.spacing

    @property
    def has_longer_step(self) -> bool:
        """True if the step of the column is longer than that of its origin, to which the time between is rounded."""
        return self._rounds(self.scale[0])

    def _rounds(self, factor: float) -> bool:
        return bool(self.step > self.first.codec.plain.spacing * factor)

    @property
    def nests(self) -> bool:
        """True if the step of one column divides that of the other."""
        steps = [int(plain.spacing) * plain.nanoseconds for plain in (self.column.codec.plain, self.first.codec.plain)]
        return max(steps) % min(steps) == 0

    def numbers(self, rows: Rows) -> Floats:
        """Numbers of the origin in the unit of the column, rounded down to its step where that is longer.

        A missing origin is replaced by the first number of both columns, or by the last where it is counted back; it
        stays NaN where a clock tells these datetimes.
        """
        numbers = self.scaled(self.first.plain_numbers(rows(self.first.name))[0]) - self.ahead
        if self.first.modal_values and self.clock is None:
            xp = namespace_of(numbers)
            numbers = xp.where(xp.isnan(numbers), self._end, numbers)
        return numbers - self.since_midnight(numbers) if self.by_days else numbers

    @property
    def day(self) -> float:
        """A day in the unit of the column; 0 where days are none of it: of times with a zone, and of whole days."""
        plain = self.column.codec.plain
        assert isinstance(plain, DatetimeCodec)
        has_zone = plain.type.tz is not None if pa.types.is_timestamp(plain.type) else True
        length = DAY // plain.nanoseconds
        is_on_steps = not has_zone and length % plain.step == 0 and plain.base % plain.step == 0
        return float(length) if is_on_steps and plain.step < length else 0.0

    def since_midnight(self, numbers: Floats) -> Floats:
        """The time of day of numbers of the column."""
        day = self.day
        times: Floats = (numbers + float(self.column.codec.plain.base % int(day))) % day
        return times

    def has_hours(self, rows: Rows) -> bool:
        """Whether datetimes that are counted forward have hours of their own, as of a house that is open by day."""
        if self.back or not self.day:
            return False
        times = self.since_midnight(self.column.plain_numbers(rows(self.column.name))[0])
        hours = np.bincount((times[~np.isnan(times)] * HOURS // self.day).astype(np.int64), minlength=HOURS)
        shares = hours / max(int(np.sum(hours)), 1)
        return float(np.sum(rel_entr(shares, 1 / HOURS))) > LEAST_OF_HOURS

    @property
    def _end(self) -> float:
        """The first number of both columns, or the last one if they are counted back."""
        (first, last), (factor, shift) = self.first.plain_range, self.scale
        if self.back:
            return max(self.column.plain_range[1], float(np.ceil((last * factor + shift) / self.step)) * self.step)
        return min(self.column.plain_range[0], float(np.floor((first * factor + shift) / self.step)) * self.step)

    def scaled(self, numbers: Floats) -> Floats:
        """Numbers of the origin, as `numbers` gives them, from its plain numbers."""
        factor, shift = self.scale
        scaled = numbers * factor + shift
        return namespace_of(scaled).floor(scaled / self.step + ROUNDING) * self.step if self._rounds(factor) else scaled

    def between(self, numbers: Floats, first: Floats) -> Floats:
        """The time between numbers of the column and those of the origin."""
        xp = namespace_of(numbers)
        between = first - numbers if self.back else numbers - first
        if self.clock is not None:
            readings = self.clock.readings(numbers) * self._of_reading + self.first_reading
            between = xp.where(xp.isnan(first), readings, between)
        steps: Floats = xp.rint(between / self.step)
        return steps * self.step

    def datetimes(self, between: Floats, first: Floats) -> Floats:
        """Numbers of the column that lie so far from those of the origin."""
        if self.clock is None:
            return first - between if self.back else first + between
        readings = (between - self.first_reading) / self._of_reading
        return np.where(np.isnan(first), self.clock.numbers(readings), first + between)

    def half_steps(self, rows: Rows) -> Floats:
        """Half of the step of each row's time between, or of all rows' where none is on a clock."""
        half: Floats = np.asarray(self.step / 2)
        if self.clock is None:
            return half
        spans = self.clock.spans(self.column.plain_numbers(rows(self.column.name))[0])[1]
        return np.where(np.isnan(self.numbers(rows)), np.maximum(spans * self._of_reading, half), half)

    @property
    def first_reading(self) -> float:
        """Where readings begin: beyond all times between, so that no bin has both, which lie at other hours."""
        if self.clock is None:
            return np.inf
        low, high = self.column.plain_range
        return float(np.ceil((high - low + self.day) / self.step) + 1) * self.step

    @property
    def _of_reading(self) -> float:
        """Time between that a reading counts for: all of the clock is as long as the column's range."""
        assert self.clock is not None
        low, high = self.column.plain_range
        return max(high - low, self.step) / float(self.clock.below[-1])


def twin_numbers(first: FittedColumn, column: FittedColumn) -> Callable[[Rows], Floats]:
    """Return what gives the numbers of one column in the unit of another one; NaN for modal and missing values.

    Raises
    ------
    ValueError
        Where they are of another sort.
    """
    unit_of_first, unit_of_column = Unit.of(first), Unit.of(column)
    if (
        not isinstance(first, NumericColumn)
        or unit_of_first is None
        or unit_of_column is None
        or unit_of_first.sort != unit_of_column.sort
    ):
        raise ValueError(f'"{first.name}" has no numbers that "{column.name}" may have')
    factor, shift = unit_of_first.scale_to(unit_of_column)
    return lambda rows: first.plain_numbers(rows(first.name))[0] * factor + shift


def twin_finder(first: FittedColumn, column: FittedColumn) -> Callable[[Rows], NDArray[np.bool_]]:
    """Return what marks rows in which both columns have the same number, to the second one's step, and no modal one."""
    firsts_of = twin_numbers(first, column)
    assert isinstance(column, NumericColumn)

    def of_rows(rows: Rows) -> NDArray[np.bool_]:
        numbers = column.plain_numbers(rows(column.name))[0]
        return are_same(column, namespace_of(numbers).asarray(firsts_of(rows)), numbers)

    return of_rows


def are_same(column: NumericColumn, firsts: Floats, numbers: Floats) -> NDArray[np.bool_]:
    """Which of a column's numbers are those of its twin, to the column's step."""
    half = column.codec.plain.spacing / 2
    with np.errstate(over="ignore", invalid="ignore"):  # of the largest floats; infinite ones are no twins
        are_near: NDArray[np.bool_] = np.abs(firsts - numbers) <= (half or SAME * np.abs(numbers))
    return are_near


def numbers_since(column: NumericColumn, origin: Origin | None, rows: Rows) -> tuple[Floats, Modal | None]:
    """Numbers as `plain_numbers` of a column gives them, or the time between it and its origin if there is one."""
    numbers, which = column.plain_numbers(rows(column.name))
    return (numbers if origin is None else origin.between(numbers, origin.numbers(rows))), which

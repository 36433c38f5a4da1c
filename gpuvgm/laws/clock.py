"""Times of the day and what lies between them: numbers such as 1505 for 15:05 and 150530 for 15:05:30, and times."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import permutations

import numpy as np

from gpuvgm.arrays import namespace_of
from gpuvgm.columns import FittedColumn
from gpuvgm.errors import InputError
from gpuvgm.laws.codes import Columns, Mask, largest_number, spacing_of
from gpuvgm.laws.law import Law
from gpuvgm.laws.numeric import DURATIONS, TIMES, Equation
from gpuvgm.laws.sample import HALF, LEAST_TELLING, PROBED, LawSample
from gpuvgm.laws.texts import equations, splits
from gpuvgm.laws.units import NUMBER, SPANS, Span, Unit
from gpuvgm.summary import Floats

MINUTE, HOUR, DAY = 60, 3600, 86_400  # seconds
MIDNIGHT = 2400  # where the day does not begin with 0; 240000 with seconds
SECONDS = 100  # times as large are numbers that have seconds, too
LEAST_HOURS = 2  # different ones of a column of clock times: with one, minutes are added as numbers
LATER, EARLIER = "+", "-"
UNITS: tuple[Span, ...] = ("", "seconds", "hours")  # of what lies between, minutes first
NANOSECOND = 1e-9  # seconds


class Clock(Equation):
    """The target is the clock time that is minutes later than that of the first operand, or earlier.

    The first operand is a clock time, too; the second one is minutes, or another `span`, or a duration. After midnight
    the clock begins anew.
    """

    sign = "clock"
    examples = ("clock(a) + b = clock(c)", "clock(a) + b = clock(c) in seconds")
    arity = range(2, 3)
    functions = frozenset({LATER, EARLIER})
    takes = (
        "clock() takes times of the day, and numbers such as 1505; what lies between is minutes, or a unit that is "
        'written behind, as in "in seconds"; of dates write "end - start = stay in minutes"'
    )

    @classmethod
    def find(cls, sample: LawSample) -> Iterator[Sequence[Law]]:
        """Yield clock times that others are later than; where no hour passes those of numbers are sums, found first."""
        clocks = [name for name in sample.number_columns if _has_clock_times(sample, name)]
        clocks += [name for name, sort in sample.sorts.items() if sort == TIMES]
        if len(clocks) < 2:
            return
        since = {name: _seconds_of(sample.columns[name])(sample.amounts[name]) for name in clocks}
        for start, end in permutations(clocks, 2):
            for law in cls._between(sample, start, end, since[end] - since[start]):
                if law.is_evident(sample):
                    yield [*law.forms]

    @classmethod
    def _between(cls, sample: LawSample, start: str, end: str, seconds: Floats) -> Iterator[Clock]:
        """Yield columns that may be the time between two clock times, as the first few rows say."""
        durations = [name for name, sort in sample.sorts.items() if sort == DURATIONS]
        for name in (name for name in (*sample.number_columns, *durations) if name not in (start, end)):
            for span in UNITS[:1] if name in durations else UNITS:
                law = cls((start, name), end, span, function=LATER)
                lengths = law._length(sample.columns[name], sample.amounts[name])
                if _agree(seconds, lengths, _grain(sample.columns[end])):
                    yield law

    @classmethod
    def read(cls, text: str, names: Collection[str]) -> Iterator[Law]:
        """Yield clock times, later or earlier by minutes, and minutes between two, of which the later is computed."""
        for left, right, written in equations(text, names):
            span: Span = "" if written == "minutes" else written
            target = _name_in_clock(right)
            for sign in (LATER, EARLIER) if span in UNITS else ():
                for first, second in splits(left, sign):
                    if target and (start := _name_in_clock(first)):
                        yield cls((start, second), target, span, function=sign)
                    elif target and sign == LATER and (start := _name_in_clock(second)):
                        yield cls((start, first), target, span, function=sign)
                    elif sign == EARLIER and (end := _name_in_clock(first)) and (start := _name_in_clock(second)):
                        yield cls((start, right), end, span, function=LATER)

    def learnt(self, sample: LawSample) -> Clock:
        """The law, whose clock times have minutes and seconds below 60.

        Raises
        ------
        InputError
            Where a number is no clock time.
        """
        for name in (self.operands[0], self.target):
            amounts, column = sample.amounts[name], sample.columns[name]
            known = np.isnan(amounts) | _are_clock_times(amounts, has_seconds=_has_seconds(column))
            if sample.sorts[name] == NUMBER and len(wrong := amounts[~known]):
                raise InputError(
                    f'laws: "{self}": column "{name}" has {wrong[0]:.15g}, which is no clock time: these are whole '
                    "numbers such as 1505 for 15:05, from 0 to 2400, or 150530 for 15:05:30"
                )
        return self

    @property
    def text(self) -> str:
        """The clock time, the minutes and the target."""
        clock, between = self.operands
        unit = f" in {self.span}" if self.span else ""
        return f"clock({clock}) {self.function} {between} = clock({self.target}){unit}"

    @property
    def forms(self) -> Iterator[Clock]:
        """Either clock time may be computed."""
        yield self
        clock, between = self.operands
        sign = EARLIER if self.function == LATER else LATER
        yield Clock((self.target, between), clock, self.span, function=sign, breaches=self.breaches, apart=self.apart)

    def fits(self, sorts: Sequence[str]) -> bool:
        """Whether both clock times are numbers or times, and what lies between is a number or a duration."""
        clock, between, target = sorts
        is_between = between == NUMBER if self.span else between in (NUMBER, DURATIONS)
        return {clock, target} <= {NUMBER, TIMES} and is_between and self.span in UNITS

    def amounts(self, columns: Columns, sides: Sequence[Floats]) -> Floats:
        """The clock time in numbers of the target, from numbers of the operands."""
        units = [unit for name in self.names if (unit := Unit.of(columns[name])) is not None]
        (clock, between), target = self.operands, columns[self.target]
        seconds = _seconds_of(columns[clock])(units[0].amounts(sides[0]))
        length = self._length(columns[between], units[1].amounts(sides[1]))
        later = seconds + (length if self.function == LATER else -length)
        grain = _grain(target)
        times = self._times(target, namespace_of(later).rint(later / grain) * grain % DAY)
        numbers: Floats = times / float(units[2].factor) - units[2].base + 0.0
        return numbers

    def _length(self, column: FittedColumn, amounts: Floats) -> Floats:
        """Seconds that amounts of the second operand are."""
        unit = Unit.of(column)
        assert unit is not None
        return amounts * NANOSECOND * (1 if unit.sort == DURATIONS else SPANS[self.span or "minutes"])

    @staticmethod
    def _times(column: FittedColumn, seconds: Floats) -> Floats:
        """What the target has for seconds since midnight."""
        unit = Unit.of(column)
        if unit is not None and unit.sort == TIMES:
            return seconds / NANOSECOND
        hours, rest = divmod(seconds, HOUR)
        minutes, rest = divmod(rest, MINUTE)
        has_seconds = _has_seconds(column)
        times = 10_000 * hours + 100 * minutes + rest if has_seconds else 100 * hours + minutes
        midnight = MIDNIGHT * (SECONDS if has_seconds else 1)
        ends_days = _largest(column) >= midnight
        of_midnight: Floats = namespace_of(times).where(times == 0, midnight if ends_days else 0, times)
        return of_midnight


def _name_in_clock(text: str) -> str:
    """The column in clock(column); empty for other texts."""
    match = re.fullmatch(r"clock\((.*)\)", text)
    return match[1].strip() if match else ""


def _largest(column: FittedColumn) -> float:
    """The largest number of a column, as it is written."""
    unit = Unit.of(column)
    assert unit is not None
    return float(unit.amounts(np.array(largest_number(column))))


def _has_seconds(column: FittedColumn) -> bool:
    """Whether numbers of a column are clock times with seconds, if they are such."""
    return _largest(column) > MIDNIGHT


def _seconds_of(column: FittedColumn) -> Callable[[Floats], Floats]:
    """What makes seconds since midnight of the amounts of a column of clock times."""
    unit = Unit.of(column)
    if unit is not None and unit.sort == TIMES:
        return lambda amounts: amounts * NANOSECOND
    scale = 1 if _has_seconds(column) else SECONDS

    def seconds(amounts: Floats) -> Floats:
        minutes, rest = divmod(amounts * scale, 100.0)
        hours, minutes = divmod(minutes, 100.0)
        since: Floats = HOUR * hours + MINUTE * minutes + rest
        return since

    return seconds


def _are_clock_times(amounts: Floats, *, has_seconds: bool) -> Mask:
    """Which numbers are clock times."""
    times = amounts / SECONDS if has_seconds else amounts
    is_time: Mask = (amounts >= 0) & (times <= MIDNIGHT) & (amounts == np.rint(amounts)) & (times % 100 < MINUTE)
    return is_time & (amounts % 100 < MINUTE)


def _has_clock_times(sample: LawSample, name: str) -> bool:
    """Whether all few rows of a column have clock times, of several hours."""
    has_seconds = _has_seconds(sample.columns[name])
    for amounts in (sample.amounts[name][:PROBED], sample.amounts[name]):
        present = amounts[~np.isnan(amounts)]
        if not _are_clock_times(present, has_seconds=has_seconds).all():
            return False
    return len(np.unique(present // (100 * (SECONDS if has_seconds else 1)))) >= LEAST_HOURS


def _grain(column: FittedColumn) -> float:
    """Distance of neighbouring clock times of a column, in seconds."""
    unit = Unit.of(column)
    if unit is not None and unit.sort == TIMES:
        return spacing_of(column) * float(unit.factor) / SPANS["seconds"]
    return 1.0 if _has_seconds(column) else float(MINUTE)


def _agree(between: Floats, lengths: Floats, grain: float) -> bool:
    """Whether lengths are those between clock times, but for whole days, in the first few rows that tell."""
    off = (between - lengths)[:PROBED]
    off = off[~np.isnan(off)]
    return len(off) >= LEAST_TELLING and not np.any(np.abs(off - DAY * np.rint(off / DAY)) > HALF * grain)

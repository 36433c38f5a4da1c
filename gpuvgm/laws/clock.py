"""Clock times that are written as numbers, such as 1505 for 15:05, and the minutes between them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from itertools import permutations

import numpy as np

from gpuvgm.arrays import namespace_of
from gpuvgm.errors import InputError
from gpuvgm.laws.codes import Columns, Mask, largest_number
from gpuvgm.laws.law import Law
from gpuvgm.laws.numeric import PlainEquation
from gpuvgm.laws.sample import LEAST_TELLING, PROBED, LawSample
from gpuvgm.laws.texts import equations, splits
from gpuvgm.summary import Floats

HOUR, DAY = 60, 1440  # minutes
MIDNIGHT = 2400  # where the day does not begin with 0
LEAST_HOURS = 2  # different ones of a column of clock times: with one, minutes are added as numbers
LATER, EARLIER = "+", "-"


class Clock(PlainEquation):
    """The target is the clock time that is minutes later than that of the first operand, or earlier.

    The first operand is a clock time, too, the second one is minutes. After midnight the clock begins anew.
    """

    sign = "clock"
    examples = ("clock(a) + b = clock(c)",)
    arity = range(2, 3)
    functions = frozenset({LATER, EARLIER})

    @classmethod
    def find(cls, sample: LawSample) -> Iterator[Sequence[Law]]:
        """Yield clock times that others are minutes later than; where no hour passes these are sums, found first."""
        clocks = [name for name in sample.number_columns if _has_clock_times(sample, name)]
        if len(clocks) < 2:
            return
        minutes = {name: _minutes(sample.amounts[name]) for name in clocks}
        for start, end in permutations(clocks, 2):
            between = minutes[end] - minutes[start]
            for name in sample.number_columns:
                law = cls((start, name), end, function=LATER)
                if name not in (start, end) and _agree(between, sample.amounts[name]) and law.is_evident(sample):
                    yield [*law.forms]

    @classmethod
    def read(cls, text: str, names: Collection[str]) -> Iterator[Law]:
        """Yield clock times, later or earlier by minutes, and minutes between two, of which the later is computed."""
        for left, right, span in equations(text, names):
            target = "" if span else _name_in_clock(right)
            for sign in (LATER, EARLIER):
                for first, second in splits(left, sign):
                    if target and (start := _name_in_clock(first)):
                        yield cls((start, second), target, function=sign)
                    elif target and sign == LATER and (start := _name_in_clock(second)):
                        yield cls((start, first), target, function=sign)
                    elif sign == EARLIER and (end := _name_in_clock(first)) and (start := _name_in_clock(second)):
                        yield cls((start, right), end, function=LATER)

    def learnt(self, sample: LawSample) -> Clock:
        """The law, whose clock times have minutes below 60.

        Raises
        ------
        InputError
            Where a number is no clock time.
        """
        for name in (self.operands[0], self.target):
            amounts = sample.amounts[name]
            if len(wrong := amounts[~(np.isnan(amounts) | _are_clock_times(amounts))]):
                raise InputError(
                    f'laws: "{self}": column "{name}" has {wrong[0]:.15g}, which is no clock time: these are whole '
                    "numbers such as 1505 for 15:05, from 0 to 2400"
                )
        return self

    @property
    def text(self) -> str:
        """The clock time, the minutes and the target."""
        clock, minutes = self.operands
        return f"clock({clock}) {self.function} {minutes} = clock({self.target})"

    @property
    def forms(self) -> Iterator[Clock]:
        """Either clock time may be computed."""
        yield self
        clock, minutes = self.operands
        sign = EARLIER if self.function == LATER else LATER
        yield Clock((self.target, minutes), clock, function=sign, breaches=self.breaches, apart=self.apart)

    def amounts(self, columns: Columns, sides: Sequence[Floats]) -> Floats:
        """The clock time in numbers of the target, from numbers of the operands."""
        *units, target = self._units(columns)
        clock, between = (unit.amounts(side) for unit, side in zip(units, sides, strict=True))
        minutes = _minutes(clock) + (between if self.function == LATER else -between)
        hours, minutes = divmod(minutes % DAY, HOUR)
        times = 100 * hours + minutes
        midnight = MIDNIGHT if self._ends_days(columns) else 0
        times = namespace_of(times).where(times == 0, midnight, times)
        numbers: Floats = times / float(target.factor) - target.base + 0.0
        return numbers

    def _ends_days(self, columns: Columns) -> bool:
        """Whether the target's midnight is 2400, not 0."""
        *_, target = self._units(columns)
        return bool(target.amounts(np.array(largest_number(columns[self.target]))) >= MIDNIGHT)


def _name_in_clock(text: str) -> str:
    """The column in clock(column); empty for other texts."""
    match = re.fullmatch(r"clock\((.*)\)", text)
    return match[1].strip() if match else ""


def _minutes(times: Floats) -> Floats:
    """Minutes since midnight of clock times."""
    hours, minutes = divmod(times, 100.0)
    since: Floats = HOUR * hours + minutes
    return since


def _are_clock_times(amounts: Floats) -> Mask:
    """Which numbers are clock times."""
    is_time: Mask = (amounts >= 0) & (amounts <= MIDNIGHT) & (amounts == np.rint(amounts)) & (amounts % 100 < HOUR)
    return is_time


def _has_clock_times(sample: LawSample, name: str) -> bool:
    """Whether all few rows of a column have clock times, of several hours."""
    for amounts in (sample.amounts[name][:PROBED], sample.amounts[name]):
        present = amounts[~np.isnan(amounts)]
        if not _are_clock_times(present).all():
            return False
    return len(np.unique(present // 100)) >= LEAST_HOURS


def _agree(between: Floats, minutes: Floats) -> bool:
    """Whether minutes are those between clock times, but for whole days, in the first few rows that tell."""
    off = (between - minutes)[:PROBED]
    off = off[~np.isnan(off)]
    return len(off) >= LEAST_TELLING and not np.any(off % DAY)

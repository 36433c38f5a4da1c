"""Days between two datetimes that have times, counted by the midnights between them, such as the nights of a stay."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from itertools import permutations

import numpy as np

from gpuvgm.arrays import namespace_of
from gpuvgm.laws.codes import Columns
from gpuvgm.laws.law import Law
from gpuvgm.laws.numeric import Equation
from gpuvgm.laws.sample import LawSample
from gpuvgm.laws.texts import equations
from gpuvgm.laws.units import NUMBER, SPANS, Unit
from gpuvgm.summary import Floats

WITHOUT_ZONE = "moments without a time zone"  # sort of moments that are read as they are written


class Days(Equation):
    """The target is the day of the first operand less that of the second one."""

    sign = "days"
    examples = ("days(end) - days(start) = nights",)
    arity = range(2, 3)
    takes = "days() takes dates without a time zone, and the days between are a number"

    @classmethod
    def find(cls, sample: LawSample) -> Iterator[Sequence[Law]]:
        """Yield days between datetimes; those of dates without times are sums as well, which are found first."""
        moments = [name for name, sort in sample.sorts.items() if sort == WITHOUT_ZONE]
        if len(moments) < 2 or not sample.number_columns:
            return
        for pair in permutations(moments, 2):
            end, start = np.floor(sample.first_amounts(pair) / SPANS["days"])
            laws = (cls(pair, target) for target in sample.number_targets.equal_to(end - start))
            yield from ([law] for law in laws if law.is_evident(sample))

    @classmethod
    def read(cls, text: str, names: Collection[str]) -> Iterator[Law]:
        """Yield the days between two columns."""
        for left, right, _ in equations(text, names):
            if match := re.fullmatch(r"days\((.*)\) - days\((.*)\)", left):
                yield cls((match[1], match[2]), right)

    @property
    def text(self) -> str:
        """The days of both operands, and the target."""
        end, start = self.operands
        return f"days({end}) - days({start}) = {self.target}"

    def amounts(self, columns: Columns, sides: Sequence[Floats]) -> Floats:
        """The days between in numbers of the target, from numbers of the operands."""
        *units, target = self._units(columns)
        end, start = (days_of(unit, side) for unit, side in zip(units, sides, strict=True))
        return (end - start) / float(target.factor) - target.base

    def fits(self, sorts: Sequence[str]) -> bool:
        """Whether the operands are datetimes without a zone, and the target a number."""
        return [*sorts] == [WITHOUT_ZONE, WITHOUT_ZONE, NUMBER] and not self.span


def days_of(unit: Unit, numbers: Floats) -> Floats:
    """Days since 1970 of numbers of datetimes."""
    # Not by nanoseconds, in which floats are too coarse to tell the last moment of a day from midnight.
    per_day = SPANS["days"] / unit.factor
    days, rest = divmod(unit.base, per_day)
    of_numbers: Floats = namespace_of(numbers).floor((numbers + float(rest)) / float(per_day)) + float(days)
    return of_numbers

"""Numbers that two others are written into: 1000 * state + number = county, 60 * hours + minutes = duration."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np

from gpuvgm.laws.codes import Columns
from gpuvgm.laws.law import Law
from gpuvgm.laws.numeric import PlainEquation
from gpuvgm.laws.sample import LEAST_TELLING, LawSample
from gpuvgm.laws.texts import decimal_text, equations
from gpuvgm.summary import Floats

FACTORS = (*(10.0**place for place in range(1, 7)), 60.0, 3600.0, 24.0, 1440.0, 7.0, 12.0)
_FACTOR = r"(-?\d{1,15}(?:\.\d{1,15})?)"


class Places(PlainEquation):
    """The target is the first operand times a factor, such as 100 or 60, and the second one."""

    sign = "* +"
    examples = ("1000 * a + b = c",)
    turn = -1  # before lookups: the target decides both operands
    arity = range(2, 3)
    has_line = True

    @classmethod
    def find(cls, sample: LawSample) -> Iterator[Sequence[Law]]:
        """Yield columns of whole numbers that two others make with a factor."""
        for operands, target, factor in _probable(sample):
            law = cls(operands, target, factor=factor)
            if law.is_evident(sample):
                yield [*law.forms]

    @classmethod
    def read(cls, text: str, names: Collection[str]) -> Iterator[Law]:
        """Yield a factor and two columns, whose names may hold the signs."""
        for left, right, span in equations(text, names):
            match = re.fullmatch(rf"{_FACTOR} \* (.*)", left)
            if match is None or span or float(match[1]) in (0.0, 1.0):
                continue
            parts = match[2].split(" + ")
            for place in range(1, len(parts)):
                operands = " + ".join(parts[:place]).strip(), " + ".join(parts[place:]).strip()
                yield cls(operands, right, factor=float(match[1]))

    @property
    def text(self) -> str:
        """The factor, both operands and the target."""
        first, second = self.operands
        return f"{decimal_text(self.factor)} * {first} + {second} = {self.target}"

    @property
    def forms(self) -> Iterator[Places]:
        """The law, and the one that computes its second operand."""
        yield self
        first, second = self.operands
        yield Places((first, self.target), second, factor=-self.factor, breaches=self.breaches, apart=self.apart)

    def amounts(self, columns: Columns, sides: Sequence[Floats]) -> Floats:
        """What the operands make, in numbers of the target, from numbers of the operands."""
        *units, target = self._units(columns)
        first, second = (unit.amounts(side) for unit, side in zip(units, sides, strict=True))
        return (self.factor * first + second) / float(target.factor) - target.base + 0.0

    def _largest(self, expected: Floats, sides: Sequence[Floats]) -> Floats:
        """What is subtracted may be larger than the result."""
        return super()._largest(expected, sides) + abs(self.factor) * np.abs(sides[0])


def _probable(sample: LawSample) -> Iterator[tuple[tuple[str, str], str, float]]:
    """Yield operands, targets and factors that agree in the first few rows, enough of which tell."""
    names = [name for name in sample.number_columns if _is_whole(sample.amounts[name])]
    amounts: Any = sample.first_amounts(names)
    if len(names) < 3 or not amounts.shape[1]:
        return
    factors = np.array(FACTORS)
    row = int(np.argmin(np.isnan(amounts).sum(axis=0)))
    with np.errstate(over="ignore", invalid="ignore"):  # what is infinite is no number of the table
        made = factors * amounts[:, row, None]  # of the first operand
        sums = made[:, None, :] + amounts[None, :, row, None]
    for target, number in enumerate(amounts[:, row]):
        for first, second, place in np.argwhere((sums == number) | np.isnan(sums) | np.isnan(number)).tolist():
            if len({first, second, target}) == 3:
                with np.errstate(over="ignore", invalid="ignore"):
                    off = factors[place] * amounts[first] + amounts[second] - amounts[target]
                tells = ~np.isnan(off) & (amounts[first] != 0)
                if np.all((off == 0) | np.isnan(off)) and np.count_nonzero(tells) >= LEAST_TELLING:
                    yield (names[first], names[second]), names[target], float(factors[place])


def _is_whole(amounts: Floats) -> bool:
    """Whether all numbers are whole, and some differ."""
    present = amounts[np.isfinite(amounts)]
    return bool(len(present) and np.all(present == np.rint(present)) and present.min() < present.max())

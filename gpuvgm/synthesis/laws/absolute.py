"""Absolute values of a column."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

import numpy as np

from gpuvgm.arrays import namespace_of
from gpuvgm.summary import Floats
from gpuvgm.synthesis.bins import NUMBER
from gpuvgm.synthesis.laws.codes import Columns
from gpuvgm.synthesis.laws.law import Law
from gpuvgm.synthesis.laws.numeric import Equation
from gpuvgm.synthesis.laws.sample import LEAST_BROKEN, LawSample, Targets
from gpuvgm.synthesis.laws.texts import equations


class Absolute(Equation):
    """The target is the absolute value of the operand."""

    sign = "abs"
    examples = ("abs(a) = b",)
    turn = 1  # before sums, which have several forms

    @classmethod
    def find(cls, sample: LawSample) -> Iterator[Sequence[Absolute]]:
        """Yield absolute values of columns with negative numbers; those of others are equal columns."""
        targets = Targets.of(sample, sample.numeric(sample.number_columns))
        for operand in sample.number_columns:
            if np.count_nonzero(sample.amounts[operand] < 0) >= LEAST_BROKEN:
                laws = [cls((operand,), name) for name in targets.equal_to(np.abs(sample.first_amounts([operand])[0]))]
                yield from ([law] for law in laws if law.target != operand and law.is_evident(sample))

    @classmethod
    def read(cls, text: str, names: Collection[str]) -> Iterator[Law]:
        """Yield absolute values."""
        for left, right, span in equations(text, names):
            if operand := re.fullmatch(r"abs\((.*)\)", left):
                yield cls((operand[1],), right, span)

    @property
    def text(self) -> str:
        """The operand in brackets, and the target."""
        return f"abs({self.operands[0]}) = {self.target}{f' in {self.span}' if self.span else ''}"

    def amounts(self, columns: Columns, sides: Sequence[Floats]) -> Floats:
        """The absolute value in numbers of the target, from numbers of the operand."""
        unit, target = self._units(columns)
        amounts = unit.amounts(sides[0])
        absolute: Floats = namespace_of(amounts).abs(amounts) / float(target.factor) - target.base
        return absolute

    def fits(self, sorts: Sequence[str]) -> bool:
        """Whether both columns are plain numbers."""
        return super().fits(sorts) and sorts[0] == NUMBER

"""Products of two columns, with a power of ten where one is in percent."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from fractions import Fraction
from itertools import combinations

import numpy as np

from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.bins import NUMBER
from gpuvgm.synthesis.laws.codes import Columns
from gpuvgm.synthesis.laws.law import MOST_POWER, Law
from gpuvgm.synthesis.laws.numeric import Equation
from gpuvgm.synthesis.laws.sample import LawSample, Targets
from gpuvgm.synthesis.laws.texts import equations, splits


class Product(Equation):
    """The target is the product of the operands, times a power of ten."""

    sign = "*"
    examples = ("a * b = c", "a * b / 100 = c")
    turn = 1  # before sums, which have several forms
    arity = range(2, 3)
    has_factor = True

    @classmethod
    def find(cls, sample: LawSample) -> Iterator[Sequence[Product]]:
        """Yield products."""
        return ([product] for product in cls._candidates(sample) if product.is_evident(sample))

    @classmethod
    def _candidates(cls, sample: LawSample) -> Iterator[Product]:
        """Yield products, as the first few rows say: without a factor, and with one."""
        targets = Targets.of(sample, sample.numeric(sample.number_columns))
        for operands in combinations(sample.number_columns, 2):
            with np.errstate(over="ignore"):  # what is infinite is no number of the table
                products = np.prod(sample.first_amounts(operands), axis=0)
                powers = _powers(products, targets.amounts)
                scaled = products * 10.0 ** powers[:, None]
            laws = [cls(operands, target) for target in targets.equal_to(products)]
            places = np.flatnonzero((powers != 0) & targets.are_equal(scaled)).tolist()
            laws += [cls(operands, targets.names[place], power=int(powers[place])) for place in places]
            yield from (law for law in laws if law.target not in operands)

    @classmethod
    def read(cls, text: str, names: Collection[str]) -> Iterator[Law]:
        """Yield products without a factor, and with one at the end of the left side."""
        for left, right, span in equations(text, names):
            yield from (cls(pair, right, span) for pair in splits(left, cls.sign))
            scaled = re.fullmatch(rf"(.*) ([*/]) 1(0{{1,{MOST_POWER}}})", left)
            if scaled:
                power = len(scaled[3]) * (1 if scaled[2] == "*" else -1)
                yield from (cls(pair, right, span, power) for pair in splits(scaled[1], cls.sign))

    @property
    def text(self) -> str:
        """The operands, the factor unless it is 1, and the target."""
        factor = f" {'*' if self.power > 0 else '/'} {10 ** abs(self.power)}" if self.power else ""
        unit = f" in {self.span}" if self.span else ""
        return f"{' * '.join(self.operands)}{factor} = {self.target}{unit}"

    def amounts(self, columns: Columns, sides: Sequence[Floats]) -> Floats:
        """The product in numbers of the target, from numbers of the operands."""
        *units, target = self._units(columns)
        first, second = (unit.amounts(side) for unit, side in zip(units, sides, strict=True))
        product: Floats = first * second / float(target.factor / Fraction(10) ** self.power) - target.base
        return product

    def fits(self, sorts: Sequence[str]) -> bool:
        """Whether all columns are plain numbers."""
        return super().fits(sorts) and sorts[0] == NUMBER


def _powers(products: Floats, numbers: Floats) -> Ints:
    """Powers of ten that make products nearest to numbers, on average.

    Parameters
    ----------
    products : ndarray of shape (rows,)
        Products of two columns, NaN where one is missing.
    numbers : ndarray of shape (columns, rows)
        Numbers of the columns that they may make.

    Returns
    -------
    ndarray of shape (columns,), int64
        The power for each column; 0 where all are zero.
    """
    present, largest = ~(np.isnan(products) | np.isnan(numbers)), np.finfo(float).max
    with np.errstate(over="ignore"):
        sums = [np.minimum(np.where(present, np.abs(factor), 0).sum(axis=1), largest) for factor in (numbers, products)]
    logarithms = [np.log10(np.where(np.minimum(*sums) > 0, total, 1)) for total in sums]
    powers: Ints = np.rint(np.clip(logarithms[0] - logarithms[1], -MOST_POWER, MOST_POWER)).astype(np.int64)
    return powers

"""Functions of one column: logarithms, powers and roots, absolute values, and numbers rounded down or up."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gpuvgm.arrays import namespace_of
from gpuvgm.columns import NumericColumn
from gpuvgm.laws.codes import Columns, rounded_to_steps
from gpuvgm.laws.expression import Expression
from gpuvgm.laws.law import Law
from gpuvgm.laws.line import Line
from gpuvgm.laws.sample import LawSample
from gpuvgm.laws.texts import equations
from gpuvgm.laws.unary import Probe, Unary, half_digits
from gpuvgm.summary import Floats

LEAST_NUMBERS = 3  # different ones of a target: zeros and ones are also squares and roots


@dataclass(frozen=True, slots=True)
class Formula:
    """A function of numbers.

    Parameters
    ----------
    notation : str
        How it is written, with a place for the operand.
    compute : callable
        Results, from the namespace of an array and the array. Those that are not finite are none: there the function is
        not defined.
    inverse : str
        Name of the function that takes results back to what they are of, if there is one.
    unit : float
        Results are off by rounding as much as numbers of this size, or as they are themselves if they are larger.
    rounds : bool
        Whether numbers are rounded, to the step of the target.
    """

    notation: str
    compute: Callable[[Any, Any], Any]
    inverse: str = ""
    unit: float = 0.0
    rounds: bool = False


#: Functions by name, the better ones of two that compute each other's operand first.
FORMULAS = {
    "log": Formula("log({})", lambda xp, numbers: xp.log(numbers), "exp", unit=1.0),
    "log10": Formula("log10({})", lambda xp, numbers: xp.log10(numbers), unit=1.0),
    "log1p": Formula("log(1 + {})", lambda xp, numbers: xp.log1p(numbers), unit=1.0),
    "square": Formula("{}^2", lambda xp, numbers: numbers * numbers, "sqrt"),
    "cube": Formula("{}^3", lambda xp, numbers: numbers * numbers * numbers),
    "abs": Formula("abs({})", lambda xp, numbers: xp.abs(numbers)),
    "floor": Formula("floor({})", lambda xp, numbers: xp.floor(numbers), rounds=True),
    "ceil": Formula("ceil({})", lambda xp, numbers: xp.ceil(numbers), rounds=True),
    "sqrt": Formula("sqrt({})", lambda xp, numbers: xp.sqrt(numbers), "square"),
    "exp": Formula("exp({})", lambda xp, numbers: xp.exp(numbers), "log"),
}
SEARCHED = {name: formula for name, formula in FORMULAS.items() if name != "exp"}  # a form of logarithms


class Function(Unary):
    """The target is a function of the operand, to its step."""

    sign = "function"
    examples = tuple(f"{FORMULAS[name].notation.format('a')} = b" for name in ("log", "square", "floor"))
    turn = -1  # before lookups, from which rare values would be left out
    functions = frozenset(FORMULAS)
    has_zeros = True

    @classmethod
    def find(cls, sample: LawSample) -> Iterator[Sequence[Law]]:
        """Yield functions, lines of which it is clear which column is computed from the other, and clipped lines."""
        for law in cls._candidates(sample):
            if law.is_evident(sample):
                forms = law.evident_forms(sample)
                forms.sort(key=lambda form: form.rank(sample))
                yield forms
        yield from Line.one_way(sample)
        yield from Expression.clipped_lines(sample)

    @classmethod
    def _candidates(cls, sample: LawSample) -> Iterator[Function]:
        """Yield functions, as a few rows say."""
        for probe in Probe.of_targets(sample, LEAST_NUMBERS):
            for name, formula in SEARCHED.items():
                if formula.rounds and not probe.step:
                    continue
                results = _results(formula, probe.operands, probe.step)
                for operand in probe.equal(results, LEAST_NUMBERS):
                    yield cls((operand,), probe.target, function=name)

    @classmethod
    def read(cls, text: str, names: Collection[str]) -> Iterator[Law]:
        """Yield functions."""
        for left, right, span in equations(text, names):
            for name, formula in FORMULAS.items():
                before, after = formula.notation.split("{}")
                if left.startswith(before) and left.endswith(after) and len(left) > len(before + after):
                    operand = left.removeprefix(before).removesuffix(after).strip()
                    yield cls((operand,), right, span, function=name)

    @property
    def _formula(self) -> Formula:
        return FORMULAS[self.function]

    @property
    def text(self) -> str:
        """The function of the operand, and the target."""
        left = self._formula.notation.format(self.operands[0])
        return f"{left}{self._equals}"

    def amounts(self, columns: Columns, sides: Sequence[Floats]) -> Floats:
        """The function in numbers of the target, from numbers of the operand."""
        unit, target = self._units(columns)
        column = columns[self.target]
        assert isinstance(column, NumericColumn)
        step = column.codec.plain.spacing * float(target.factor) or 1.0
        amounts = _results(self._formula, unit.amounts(sides[0]), step)
        return amounts / float(target.factor) - target.base + 0.0

    def _tolerance(
        self, columns: Columns, numbers: Floats, expected: Floats, sides: Sequence[Floats]
    ) -> Floats | float:
        """By how much numbers of the target may be off; those of seven digits by half of the last one."""
        tolerance = super()._tolerance(columns, numbers, expected, sides)
        of_digits: Floats = namespace_of(numbers).maximum(tolerance, half_digits(numbers))
        return of_digits

    def _largest(self, expected: Floats, sides: Sequence[Floats]) -> Floats:
        """A logarithm near 0 is off by as much as one near 1."""
        largest: Floats = namespace_of(expected).maximum(super()._largest(expected, sides), self._formula.unit)
        return largest

    @property
    def forms(self) -> Iterator[Function]:
        """The law, and its inverse."""
        yield self
        if self._formula.inverse and not self.or_zero:
            inverse = self._form(Function, (self.target,), self.operands[0])
            yield replace(inverse, function=self._formula.inverse)

    def preference(self, sample: LawSample) -> int:
        """The place of the function in the table."""
        return [*FORMULAS].index(self.function)

    def is_on_steps(self, columns: Columns) -> bool:
        """No: of any values of the operand a function makes numbers that are rounded."""
        return False


def _results(formula: Formula, amounts: Floats, step: float) -> Floats:
    """A function of amounts, rounded to a step where it rounds; NaN where it is not defined."""
    xp = namespace_of(amounts)
    with np.errstate(all="ignore"):
        if formula.rounds:
            results = rounded_to_steps(amounts, step, lambda steps: formula.compute(xp, steps))
        else:
            results = formula.compute(xp, amounts)
    defined: Floats = xp.where(xp.isfinite(results), results, np.nan)
    return defined

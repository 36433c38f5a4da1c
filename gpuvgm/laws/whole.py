"""Parts of a whole: columns that add up to the same number in every row, such as shares of 100 percent."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence, Set
from dataclasses import replace
from itertools import chain
from sys import maxsize

import numpy as np

from gpuvgm.columns import CategoricalColumn
from gpuvgm.laws.addends import LEAST_ADDENDS, LeastSquares
from gpuvgm.laws.codes import Columns
from gpuvgm.laws.law import Law
from gpuvgm.laws.numeric import PlainEquation, step_of
from gpuvgm.laws.sample import HALF, NOISE, LawSample
from gpuvgm.laws.sums import SOLVED
from gpuvgm.laws.texts import splits
from gpuvgm.summary import Floats

NUMBER_TEXT = r"-?\d+(\.\d+)?(e[+-]?\d+)?"
PLACES = range(-6, 13)  # decimal places that a whole may be rounded to, the fewest first


class Whole(PlainEquation):
    """The target is what the operands leave of a whole. Each part may be rounded to its step."""

    sign = "+ ="
    examples = ("a + b + c = 100",)
    arity = range(1, maxsize)
    has_shift = True

    @classmethod
    def find(cls, sample: LawSample) -> Iterator[Sequence[Law]]:
        """Yield the forms of columns whose sum is constant."""
        found = set[str]()
        for *operands, target in chain(_pairs(sample), _long_sums(sample, found)):
            law = cls(tuple(operands), target)
            with np.errstate(over="ignore"):
                sums = np.sum([sample.amounts[name] for name in law.names], axis=0)
            whole = _roundest(sums, law._rounding(sample.columns))
            if whole is not None and (law := replace(law, shift=whole)).is_evident(sample):
                found.update(law.names if len(law.names) >= LEAST_ADDENDS else ())
                yield sorted(law.forms, key=lambda form: _rank(form, sample))

    @classmethod
    def read(cls, text: str, names: Collection[str]) -> Iterator[Law]:
        """Yield two parts, whose names may hold the sign, or all between signs, and a number that they add up to."""
        for left, right in splits(text, "="):
            if right in names or not re.fullmatch(NUMBER_TEXT, right):
                continue
            parts = tuple(map(str.strip, left.split(" + ")))
            for *operands, target in (*splits(left, "+"), *([parts] if len(parts) >= LEAST_ADDENDS else [])):
                yield cls(tuple(operands), target, shift=float(right))

    @property
    def text(self) -> str:
        """The parts, the computed one last, and the whole."""
        return f"{' + '.join(self.names)} = {self.shift:.15g}"

    @property
    def forms(self) -> Iterator[Whole]:
        """Any part may be what the others leave."""
        for place, target in enumerate(self.names):
            yield self._form(Whole, (*self.names[:place], *self.names[place + 1 :]), target)

    def amounts(self, columns: Columns, sides: Sequence[Floats]) -> Floats:
        """What the operands leave, in numbers of the target, from numbers of the operands."""
        *units, target = self._units(columns)
        first, *following = (unit.amounts(side) for unit, side in zip(units, sides, strict=True))
        remainder = self.shift - first
        for part in following:
            remainder = remainder - part
        return remainder / float(target.factor) - target.base + 0.0

    def _tolerance(self, columns: Columns, numbers: Floats, expected: Floats, sides: Sequence[Floats]) -> float:
        """By how much the target may be off, as each part is rounded."""
        factor = float(self._units(columns)[-1].factor)
        return (self._rounding(columns) + NOISE * abs(self.shift)) / factor

    def _rounding(self, columns: Columns) -> float:
        """By how much the sum of parts may be off that are rounded to their steps."""
        return HALF * sum(step_of(columns[name]) for name in self.names)


def _rank(form: Law, sample: LawSample) -> tuple[bool, float]:
    """Rank of a form, the lowest is the best: the widest part, for what is left has the errors of all others."""
    is_category = isinstance(sample.columns[form.target], CategoricalColumn)
    return is_category, -float(np.nanstd(sample.amounts[form.target]))


def _roundest(sums: Floats, off: float) -> float | None:
    """The roundest number that no sum is farther from than it may be off; None where there is none."""
    sums = sums[np.isfinite(sums)]
    wholes = [float(np.round(np.median(sums), places)) for places in PLACES] if len(sums) else []
    return next((whole for whole in wholes if np.all(np.abs(sums - whole) <= off + NOISE * abs(whole))), None)


def _pairs(sample: LawSample) -> Iterator[tuple[str, ...]]:
    """Yield two columns that vary and whose sum does not, in the first few rows."""
    names = sample.number_columns
    amounts, off = sample.first_amounts(names), np.array([HALF * step_of(sample.columns[name]) for name in names])
    left, right = np.triu_indices(len(names), 1)
    with np.errstate(over="ignore", invalid="ignore"):  # what is infinite is no number of the table
        sums = amounts[left] + amounts[right]
        are_constant = _spread(sums) <= 2 * (off[left] + off[right] + NOISE * np.abs(amounts[left, 0]))
        vary = _spread(amounts) > 2 * off
    for place in np.flatnonzero(are_constant & vary[left] & vary[right]).tolist():
        yield names[left[place]], names[right[place]]


def _spread(amounts: Floats) -> Floats:
    """Largest less least amount of each row, of those that are there."""
    spread: Floats = np.fmax.reduce(amounts, axis=1) - np.fmin.reduce(amounts, axis=1)
    return spread


def _long_sums(sample: LawSample, found: Set[str]) -> Iterator[tuple[str, ...]]:
    """Yield three columns and more of which each has a weight near -1 in what is nearest to each other, less means.

    Those of wholes that are found are left out.
    """
    names = sample.number_columns
    if len(names) < LEAST_ADDENDS:
        return
    squares = LeastSquares.of({name: _centered(sample.amounts[name][:SOLVED]) for name in names})
    for target in names:
        others = [name for name in names if name not in found and name != target]
        parts = {} if target in found else squares.addends(target, others, -1)
        if len(parts) + 1 >= LEAST_ADDENDS:
            yield tuple(name for name in names if name in (*parts, target))


def _centered(amounts: Floats) -> Floats:
    """Amounts less their mean."""
    finite = amounts[np.isfinite(amounts)]
    with np.errstate(over="ignore"):  # what is infinite is no number of the table
        return amounts - np.sum(finite / max(len(finite), 1))

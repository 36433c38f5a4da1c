"""What laws of one operand have in common, and the rows in which they are looked for first."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from gpuvgm.arrays import namespace_of
from gpuvgm.columns import NumericColumn
from gpuvgm.laws.codes import NEAR_STEP, Columns, Mask, numbers_in
from gpuvgm.laws.numeric import PlainEquation, step_of
from gpuvgm.laws.sample import HALF, LEAST_BROKEN, NOISE, PROBED, LawSample
from gpuvgm.laws.sums import Equality
from gpuvgm.summary import Floats, Ints

SHORT_NOISE = 2.0**-22  # of a number of 32 bits without a step, by which it may be off
DIGITS = 7  # which many programs write
PLAIN, FLOOR, CEIL = "", "floor", "ceil"
COMPARED = 1000  # rows among which different numbers are chosen, and steps of both columns compared


class Unary(PlainEquation):
    """The target is made of one operand; both are plain numbers."""

    @property
    def arranged(self) -> tuple[str, ...]:
        """The target."""
        return (self.target,)

    @property
    @abstractmethod
    def forms(self) -> Iterator[Self]:
        """The law, and the law that computes the operand where there is one."""

    @abstractmethod
    def preference(self, sample: LawSample) -> int:
        """A number that is lower for the better one of two forms which are equally exact."""

    def is_evident(self, sample: LawSample) -> bool:
        """Whether few rows are evidence of the law, the operand decides the target, and they are not just equal."""
        if not super().is_evident(sample) or not self._decides(sample):
            return False
        equal = Equality(self.operands, self.target).score(sample.columns, sample.few_rows)
        return bool(np.count_nonzero(equal.broken) >= LEAST_BROKEN)

    def _decides(self, sample: LawSample) -> bool:
        """Whether no rows with the same operand have different targets, as where half a step is rounded either way."""
        operand, target = (sample.amounts[name] for name in self.names)
        target = np.where(target == 0, np.nan, target) if self.or_zero else target
        order, step = np.argsort(operand), step_of(sample.columns[self.target])
        is_same = np.diff(operand[order]) == 0
        moves = np.abs(np.diff(target[order])[is_same])
        return step == 0 or not np.any(moves > HALF * step)

    def evident_forms(self, sample: LawSample) -> list[Self]:
        """The law, which is evident, and its other form, if that one is, too."""
        columns = sample.columns
        forms = [self]
        for form in self.forms:
            if form != self and isinstance(columns[form.target], NumericColumn) and form.is_evident(sample):
                forms.append(form)
        return forms

    def rank(self, sample: LawSample) -> tuple[tuple[bool, bool], int]:
        """Rank of a form; the lowest is the best."""
        return self.exactness(sample), self.preference(sample)

    def exactness(self, sample: LawSample) -> tuple[bool, bool]:
        """Whether the target is missing in other rows than the operand, and whether its steps are the longer ones.

        Neither is good: computed from the column with finer steps, the coarser one would not decide it any more.
        """
        is_missing_apart = bool(self.score(sample.columns, sample.few_rows).apart.any())
        return is_missing_apart, not self.is_of_coarser(sample)

    def is_of_coarser(self, sample: LawSample) -> bool:
        """Whether the target mostly moves by a step at least where the operand does."""
        operand, target = (sample.columns[name] for name in self.names)
        assert isinstance(target, NumericColumn)
        spacing = target.codec.plain.spacing
        if not isinstance(operand, NumericColumn) or not spacing:
            return True
        numbers = numbers_in(operand, sample.few_rows(self.operands[0]))
        numbers = numbers[~np.isnan(numbers)][:COMPARED]
        before, after = (self.amounts(sample.columns, [numbers + step]) for step in (0, operand.codec.plain.spacing))
        moves = np.abs(after - before)
        return bool(2 * np.count_nonzero(moves > (1 - NOISE) * spacing) > np.count_nonzero(~np.isnan(moves)))

    def _tolerance(
        self, columns: Columns, numbers: Floats, expected: Floats, sides: Sequence[Floats]
    ) -> Floats | float:
        """By how much numbers of the target may be off; without a step, those of 32 bits are rounded to 24 bits."""
        tolerance = super()._tolerance(columns, numbers, expected, sides)
        if not step_of(columns[self.target]):
            tolerance = _noise(numbers) * self._largest(expected, sides)
        return tolerance


@dataclass(frozen=True, slots=True)
class Probe:
    """Rows in which a target has different numbers, on which laws of it are tried first.

    Parameters
    ----------
    target : str
        The column.
    numbers : ndarray of shape (rows,)
        What its numbers there mean.
    tolerance : ndarray of shape (rows,)
        How far these may be from what is computed, by rounding.
    step : float
        Step of the target; 0 where it has none.
    names : sequence of str
        The columns that may be operands.
    operands : ndarray of shape (columns, rows)
        What their numbers mean.
    """

    target: str
    numbers: Floats
    tolerance: Floats
    step: float
    names: Sequence[str]
    operands: Floats

    @classmethod
    def of_targets(cls, sample: LawSample, least: int) -> Iterator[Probe]:
        """Yield rows for each column that has so many different numbers."""
        for target in sample.numeric(sample.computed_columns):
            amounts = sample.amounts[target]
            rows, step = different_rows(amounts), step_of(sample.columns[target])
            if len(rows) >= least:
                names = [name for name in sample.number_columns if name != target]
                operands = np.array([sample.amounts[name][rows] for name in names]).reshape(len(names), len(rows))
                yield cls(target, amounts[rows], tolerances_of(amounts[rows], step), step, names, operands)

    def equal(self, results: Floats, least: int, room: float = 1.0) -> list[str]:
        """Operands whose results, of shape (columns, rows), equal the target in all rows, and in so many at least."""
        with np.errstate(over="ignore"):  # what is infinite is no number of the table
            are_far = np.abs(results - self.numbers) > room * self.tolerance
        enough = np.count_nonzero(~np.isnan(results), axis=1) >= least
        return [self.names[place] for place in np.flatnonzero(enough & ~np.any(are_far, axis=1)).tolist()]


def tolerances_of(amounts: Floats, step: float) -> Floats:
    """How far amounts may be from what is computed: half a step, or the noise of numbers without a step."""
    noise = np.full(len(amounts), HALF * step) if step else _noise(amounts) * np.maximum(np.abs(amounts), 1)
    return np.maximum(noise, half_digits(amounts))


def half_digits(numbers: Floats) -> Floats:
    """Half of the last of seven digits of numbers that have no more, such as 10.38022 beside 9.277999; 0 of others."""
    xp = namespace_of(numbers)
    with np.errstate(all="ignore"):  # of zeros
        units = 10.0 ** (xp.floor(xp.log10(xp.abs(numbers))) + 1 - DIGITS)
        places = numbers / units
        half: Floats = xp.where(xp.abs(places - xp.rint(places)) < NEAR_STEP, HALF * units, 0.0)
    return half


def _noise(numbers: Floats) -> Floats:
    """By how much numbers without a step may be off, as a share; larger for those that 32 bits hold."""
    noise: Floats = namespace_of(numbers).where(have_32_bits(numbers), SHORT_NOISE, NOISE)
    return noise


def have_32_bits(numbers: Floats) -> Mask:
    """Which numbers floats of 32 bits hold."""
    with np.errstate(over="ignore"):  # of numbers that are too large for these
        are_short: Mask = numbers.astype(np.float32) == numbers
    return are_short


def different_rows(amounts: Floats) -> Ints:
    """A few rows with different amounts, from the least to the largest."""
    rows: Ints = np.flatnonzero(np.isfinite(amounts))[:COMPARED]
    _, first = np.unique(amounts[rows], return_index=True)
    few: Ints = rows[first[np.linspace(0, len(first) - 1, min(len(first), PROBED)).astype(np.int64)]]
    return few


@dataclass(frozen=True, slots=True)
class Rounding:
    """How results become the numbers of a column: rounded to its steps, down, up or to the nearest one.

    Parameters
    ----------
    outer : str
        What is done with results.
    below, above : float
        How far below a number its result lies at most, and how far above, in steps.
    """

    outer: str
    below: float
    above: float

    def factors(self, numbers: Floats, step: float, results: Floats) -> tuple[Floats, Floats]:
        """Least and largest constant with which positive results become numbers, along the last axis."""
        with np.errstate(all="ignore"):  # of results that are zero or missing
            low, high = (numbers - self.below * step) / results, (numbers + self.above * step) / results
        is_known = np.isfinite(low) & np.isfinite(high) & (results > 0)
        return np.max(np.where(is_known, low, -np.inf), axis=-1), np.min(np.where(is_known, high, np.inf), axis=-1)


ROUNDINGS = (
    Rounding(PLAIN, HALF, HALF),
    Rounding(FLOOR, NEAR_STEP / 2, 1 - NEAR_STEP),
    Rounding(CEIL, 1 - NEAR_STEP, NEAR_STEP / 2),
)

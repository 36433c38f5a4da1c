"""Laws of numbers: what columns they may have, how amounts in different units are added, and equations."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterator, Sequence
from fractions import Fraction
from typing import ClassVar

import numpy as np

from gpuvgm.arrays import namespace_of
from gpuvgm.columns import FittedColumn, NumericColumn
from gpuvgm.laws.codes import Columns, Rows, codes_of_numbers, numbers_in, read_columns, spacing_of
from gpuvgm.laws.law import Law, Outcome
from gpuvgm.laws.sample import HALF, LEAST_BROKEN, LEAST_ROWS, NOISE, LawSample
from gpuvgm.laws.units import NUMBER, Span, Unit
from gpuvgm.summary import Floats

LEAST_EXACT = 10  # rows of a sample in which equations are looked for
EVIDENCE = 20.0  # nats by which an equation in few rows is less likely by chance, beside those of all that are tried
LEAST_SHARE = 0.02  # of a sample's rows, that break a law where a column has the values of other rows
#: Sorts of numbers beside NUMBER; names of sorts of moments begin so.
DURATIONS, TIMES, MOMENTS = "durations", "times of the day", "moments"
OR_ZERO = " or 0"  # behind the left side of laws whose target is 0 in some rows instead
LENGTHS = {DURATIONS, TIMES}  # text such as 2:30 and columns of times hold lengths, too


def step_of(column: FittedColumn, span: Span = "") -> float:
    """Distance of a column's neighbouring values in a common unit; 0 where they lie anywhere, or are categories."""
    unit = Unit.of(column, span)
    step = column.codec.plain.spacing if isinstance(column, NumericColumn) else 0
    return 0.0 if unit is None else float(unit.factor) * step


class NumericLaw(Law):
    """A law of columns of numbers. What the operands make is their sum, unless a sort says otherwise."""

    takes: ClassVar[str] = (  # which sorts of numbers go together
        'dates and times have orders, and a time between: "end - start = stay in days", where stay is a number, and '
        "without a unit where it is a duration"
    )

    @property
    def signs(self) -> tuple[int, ...]:
        """The sign of each operand in their sum."""
        return (1,) * len(self.operands)

    def numbers(self, columns: Columns, rows: Rows) -> Floats:
        """Numbers of the target, as the operands make them; codes where it has categories."""
        sides = read_columns(numbers_in, columns, self.operands, rows)
        return self._codes(columns, self.amounts(columns, sides), sides)

    def _codes(self, columns: Columns, numbers: Floats, sides: Sequence[Floats]) -> Floats:
        """Codes of numbers of the target."""
        return numbers

    def amounts(self, columns: Columns, sides: Sequence[Floats]) -> Floats:
        """The left side of the law in numbers of the target, from numbers of the operands."""
        *units, target = self._units(columns)
        # Bases are added as fractions: nanoseconds since 1970 are too large for floats, only their difference is not.
        weights = [sign * unit.factor / target.factor for sign, unit in zip(self.signs, units, strict=True)]
        shift = sum((weight * unit.base for weight, unit in zip(weights, units, strict=True)), Fraction(-target.base))
        total: Floats = float(weights[0]) * sides[0]
        for weight, side in zip(weights[1:], sides[1:], strict=True):
            total = total + float(weight) * side
        return total + float(shift) + 0.0

    def _units(self, columns: Columns) -> list[Unit]:
        """Units of the operands and the target, all of which hold numbers."""
        units = [Unit.of(columns[name], self.span) for name in self.names]
        assert all(units)
        return [unit for unit in units if unit is not None]

    def kinds_problem(self, columns: Columns) -> str:
        """What is wrong where columns hold no numbers, or numbers of sorts that do not go together."""
        units = {name: Unit.of(columns[name], self.span) for name in self.names}
        without = [name for name, unit in units.items() if unit is None]
        if without:
            remedy = "its categories are no numbers; give another column"
            return f'column "{without[0]}" is not modelled as numbers: {remedy}'
        if arranged := [name for name in self.arranged if not isinstance(columns[name], NumericColumn)]:
            return f'column "{arranged[0]}" is not modelled as numbers: declare it "continuous"'
        sorts = {name: unit.sort for name, unit in units.items() if unit is not None}
        if self.fits([*sorts.values()]):
            return ""
        held = (f'"{name}" holds {"numbers" if sort == NUMBER else sort}' for name, sort in sorts.items())
        return f"{', '.join(held)}; {self.takes}"

    @property
    def arranged(self) -> tuple[str, ...]:
        """Columns whose numbers the law rounds to their steps, which categories do not have."""
        return ()

    def fits(self, sorts: Sequence[str]) -> bool:
        """Whether columns may hold these sorts of numbers, the target's last."""
        return len({*sorts}) == 1 and not self.span

    def is_on_steps(self, columns: Columns) -> bool:
        """Whether sums or differences of any values of the operands lie on the target's steps."""
        target, *steps = (step_of(columns[name], self.span) for name in (self.target, *self.operands))
        if not target:
            return isinstance(columns[self.target], NumericColumn)
        return all(
            step >= target / 2 and abs(step / target - np.rint(step / target)) < NOISE * step / target for step in steps
        )

    def is_evident(self, sample: LawSample) -> bool:
        """Whether few rows keep the law, and would not if an operand had the values of other rows."""
        present = [~np.isnan(sample.amounts[name]) for name in self.names]
        present += [sample.amounts[self.target] != 0] if self.or_zero else []
        rows = int(np.count_nonzero(np.all(present, axis=0)))
        if rows < self.least_rows or self.score(sample.columns, sample.few_rows).broken.any():
            return False
        shifted = (self.score(sample.columns, sample.with_shifted(name)) for name in self.operands)
        least = self._least_broken(rows, sample)
        return all(np.count_nonzero(outcome.broken) >= least for outcome in shifted)

    def _least_broken(self, rows: int, sample: LawSample) -> float:
        """Rows that break the law where an operand has the values of other rows, at least, of so many."""
        return max(LEAST_BROKEN, LEAST_SHARE * rows)


class Equation(NumericLaw):
    """A law of numbers that makes its target equal to its left side, to the target's step."""

    least_rows = LEAST_EXACT

    @property
    def text(self) -> str:
        """The left side, whether the target may be 0 instead, the target and the unit of the time between."""
        return f"{self._left}{self._equals}"

    @property
    def _equals(self) -> str:
        """What stands behind the left side."""
        return f"{OR_ZERO if self.or_zero else ''} = {self.target}{f' in {self.span}' if self.span else ''}"

    @property
    def _left(self) -> str:
        """The left side."""
        return f" {self.sign} ".join(self.operands)

    @property
    def forms(self) -> Iterator[Equation]:
        """The equation, and equations that say the same and compute one of its operands."""
        yield self

    @classmethod
    @abstractmethod
    def read(cls, text: str, names: Collection[str]) -> Iterator[Law]:
        """Yield the laws that a text may mean."""

    def _least_broken(self, rows: int, sample: LawSample) -> float:
        """In few rows, so many that what agrees by chance would hardly do so in all rows, of all laws that are tried.

        Where k of n rows agree with the values of other rows, one agrees by chance with probability (k + 1) / (n + 2).
        """
        if rows >= LEAST_ROWS:
            return super()._least_broken(rows, sample)
        tried = len(self.names) * np.log(max(len(sample.sorts), 2))
        return rows + 1 - (rows + 2) * float(np.exp(-(EVIDENCE + tried) / rows))

    def score(self, columns: Columns, rows: Rows) -> Outcome:
        """A missing target is certain where an operand is missing, too, unless some rows have one side alone."""
        *sides, numbers = read_columns(numbers_in, columns, self.names, rows)
        return self._outcome(columns, numbers, self.amounts(columns, sides), sides)

    def _outcome(self, columns: Columns, numbers: Floats, expected: Floats, sides: Sequence[Floats]) -> Outcome:
        """What numbers of the target say beside those that are expected of them."""
        xp = namespace_of(numbers)
        is_missing, has_no_left_side = xp.isnan(numbers), xp.isnan(expected)
        apart = is_missing != has_no_left_side
        broken = xp.abs(numbers - expected) > self._tolerance(columns, numbers, expected, sides)
        if self.or_zero:  # the operands do not tell in which rows it is 0
            is_zero = numbers == self._zero(columns)
            return Outcome(broken & ~is_zero, apart & ~is_zero, xp.zeros(len(numbers), bool))
        is_certain = ~is_missing | (is_missing & has_no_left_side & (self.apart == 0))
        return Outcome(broken, apart, ~apart & ~broken & is_certain)

    def _zero(self, columns: Columns) -> float:
        """The target's number that means 0."""
        return -float(self._units(columns)[-1].base)

    def _beside_sampled(self, numbers: Floats, codes: Floats, columns: Columns, rows: Rows) -> Floats:
        """Computed numbers, NaN in rows that keep their sampled values: missing ones, and 0 where the target may be."""
        numbers = super()._beside_sampled(numbers, codes, columns, rows)
        if not self.or_zero:
            return numbers
        zero = namespace_of(codes).full(1, self._zero(columns))
        return np.where(codes == codes_of_numbers(columns[self.target], zero, 0.0), np.nan, numbers)

    def _codes(self, columns: Columns, numbers: Floats, sides: Sequence[Floats]) -> Floats:
        """The nearest category, where the target has categories."""
        return codes_of_numbers(columns[self.target], numbers, self._tolerance(columns, numbers, numbers, sides))

    def _tolerance(
        self, columns: Columns, numbers: Floats, expected: Floats, sides: Sequence[Floats]
    ) -> Floats | float:
        """By how much numbers of the target may be off what is expected of them."""
        spacing = spacing_of(columns[self.target])
        return HALF * spacing if spacing else NOISE * self._largest(expected, sides)

    def _largest(self, expected: Floats, sides: Sequence[Floats]) -> Floats:
        """The largest numbers that the rounding of a result depends on."""
        largest: Floats = namespace_of(expected).abs(expected)
        return largest


class PlainEquation(Equation):
    """An equation between plain numbers: dates and durations have none of its kind."""

    def fits(self, sorts: Sequence[str]) -> bool:
        """Whether all columns are plain numbers."""
        return super().fits(sorts) and sorts[0] == NUMBER

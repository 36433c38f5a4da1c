"""What goes on within a period: a number of the row before, where both rows are of the same year, day or season.

Such laws are of rows that belong to keys, as only these know the row before.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

import numpy as np

from gpuvgm.arrays import beside, namespace_of, to_numpy
from gpuvgm.columns import CategoricalColumn
from gpuvgm.laws.codes import Columns, Mask, Rows, numbers_in, spacing_of
from gpuvgm.laws.dated import DatesInText
from gpuvgm.laws.law import Law, Outcome
from gpuvgm.laws.numeric import Equation
from gpuvgm.laws.sample import HALF
from gpuvgm.laws.sums import Equality
from gpuvgm.laws.texts import splits
from gpuvgm.laws.units import Unit
from gpuvgm.summary import Floats


class Within(Equation):
    """The target is the first operand, or a number to begin with where the other two are of different periods.

    A period is what the function says, such as a year; without one, rows of one value of the second operand.
    """

    sign = "within"
    examples = ()
    arity = range(3, 4)
    functions = frozenset({"", *DatesInText.periods})
    has_shift = True

    @classmethod
    def read(cls, text: str, names: Collection[str]) -> Iterator[Law]:
        """Yield what goes on, such as "previous(a) if year(b) is year(previous(b)) else 0 = c"."""
        for left, target in splits(text, "="):
            goes_on, _, start = left.rpartition(" else ")
            for operand, condition in splits(goes_on, "if") if re.fullmatch(r"-?\d+", start) else ():
                for period, former in splits(condition, "is"):
                    for function in cls.functions:
                        columns = _column_in(period, function), _column_in(former, function)
                        yield cls((operand, *columns), target, function=function, shift=float(start))

    @property
    def text(self) -> str:
        """What goes on, in which rows it does, and what others begin with."""
        operand, *periods = self.operands
        period, former = (f"{self.function}({name})" if self.function else name for name in periods)
        return f"{operand} if {period} is {former} else {self.shift:.0f} = {self.target}"

    def kinds_problem(self, columns: Columns) -> str:
        """What is wrong where what goes on is no number."""
        return self._going_on.kinds_problem(columns)

    def numbers(self, columns: Columns, rows: Rows) -> Floats:
        """Numbers of the target; codes where it has categories."""
        expected = self._expected(columns, rows)
        return self._codes(columns, expected, [expected])

    def score(self, columns: Columns, rows: Rows) -> Outcome:
        """As of all equations."""
        expected = self._expected(columns, rows)
        numbers = beside(numbers_in(columns[self.target], rows(self.target)), expected)
        return self._outcome(columns, numbers, expected, [expected])

    @property
    def _going_on(self) -> Equality:
        """What holds where the period goes on."""
        return Equality(self.operands[:1], self.target)

    def _expected(self, columns: Columns, rows: Rows) -> Floats:
        """Numbers of the target, NaN where nothing is known that could go on, as in first rows."""
        name, unit = self.operands[0], Unit.of(columns[self.target])
        assert unit is not None
        going_on = self._going_on.amounts(columns, [numbers_in(columns[name], rows(name))])
        xp, start = namespace_of(going_on), self.shift / float(unit.factor) - unit.base
        begins = xp.asarray(self._begins(columns, rows)) & ~xp.isnan(going_on)
        expected: Floats = xp.where(begins, start, going_on)
        return expected

    def _begins(self, columns: Columns, rows: Rows) -> Mask:
        """Which rows are of another period than the row before."""
        (period, values), (former, values_before) = ((columns[name], rows(name)) for name in self.operands[1:])
        begins: Mask
        if self.function:
            moments = DatesInText.moments(period, values), DatesInText.moments(former, values_before)
            numbers, before = (DatesInText.numbers_of_periods(to_numpy(one), self.function) for one in moments)
            begins = numbers != before
        elif isinstance(period, CategoricalColumn) and isinstance(former, CategoricalColumn):
            place_of = {category: place for place, category in enumerate(period.categories)}
            places = np.array([*(place_of.get(category, -2) for category in former.categories), -1])
            begins = to_numpy(period.index.find(values)) != places[to_numpy(former.index.find(values_before))]
        else:
            unit, unit_before = Unit.of(period), Unit.of(former)
            assert unit is not None and unit_before is not None
            scale, shift = unit_before.scale_to(unit)
            numbers = to_numpy(numbers_in(period, values))
            before = scale * to_numpy(numbers_in(former, values_before)) + shift
            are_missing = np.isnan(numbers) & np.isnan(before)
            begins = ~(are_missing | (np.abs(numbers - before) <= HALF * spacing_of(period)))
        return begins


def _column_in(text: str, function: str) -> str:
    """The column in year(column), empty for other texts; without a function the text is the column."""
    if not function:
        return text
    return text[len(function) + 1 : -1].strip() if text.startswith(f"{function}(") and text.endswith(")") else ""

"""Sums: equal columns, sums and differences, times between dates among them.

The three sorts are forms of each other: a + b = c is c - b = a, too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import combinations, permutations
from sys import maxsize
from typing import ClassVar

import numpy as np

from gpuvgm.arrays import namespace_of
from gpuvgm.columns import CategoricalColumn
from gpuvgm.laws.addends import LEAST_ADDENDS, LeastSquares
from gpuvgm.laws.law import Law
from gpuvgm.laws.numeric import DURATIONS, MOMENTS, Equation
from gpuvgm.laws.sample import LawSample, Targets
from gpuvgm.laws.texts import equations, splits
from gpuvgm.laws.units import NUMBER, SPANS
from gpuvgm.summary import Floats

SOLVED = 1000  # rows from which weights of addends are learnt
WIDE = 0.5  # of the widest column of a sum: what is computed from the rest is no narrower
FEW_VALUES = 0.5  # of the different values of a column beside it: with fewer, a column is sampled, not computed


class Equality(Equation):
    """The target equals the operand, to the target's step."""

    sign = "="
    examples = ("a = b",)

    @classmethod
    def read(cls, text: str, names: Collection[str]) -> Iterator[Law]:
        """Yield equal columns. To the target's step these are the same as rounded ones: round(a) = b."""
        for left, right, _ in equations(text, names):
            yield cls((left,), right)
            if left.startswith("round(") and left.endswith(")"):
                yield cls((left.removeprefix("round(").removesuffix(")").strip(),), right)

    @classmethod
    def candidates(cls, sample: LawSample) -> Iterator[Equality]:
        """Yield equal columns, as the first few rows say."""
        return (cls(operands, target) for operands, target in _sums_of_columns(sample, 1))

    @property
    def forms(self) -> Iterator[Equation]:
        """Either column may be computed."""
        yield self
        yield self._form(Equality, (self.target,), self.operands[0])


class _Combination(Equation):
    """A sum or a difference of two columns and more."""

    arity = range(2, maxsize)
    dated: ClassVar[frozenset[tuple[bool, ...]]]  # which of the columns may be dates; the target is the last one

    @classmethod
    def read(cls, text: str, names: Collection[str]) -> Iterator[Law]:
        """Yield combinations of two columns, whose names may hold the sign, and of all parts between signs."""
        for left, right, span in equations(text, names):
            yield from (cls(pair, right, span) for pair in splits(left, cls.sign))
            parts = left.split(f" {cls.sign} ")
            if len(parts) > 2:
                yield cls(tuple(map(str.strip, parts)), right, span)

    def fits(self, sorts: Sequence[str]) -> bool:
        """Whether all columns are plain numbers or all durations; or two are dates and one is the time between."""
        dates = [sort for sort in sorts if sort.startswith(MOMENTS)]
        if not dates:
            return super().fits(sorts) and sorts[0] in (NUMBER, DURATIONS)
        are_dates, between = tuple(sort in dates for sort in sorts), NUMBER if self.span else DURATIONS
        return are_dates in self.dated and {*sorts} == {dates[0], between}

    def _largest(self, expected: Floats, sides: Sequence[Floats]) -> Floats:
        """A difference of nearly equal numbers is off by as much as they are."""
        xp = namespace_of(expected)
        largest: Floats = xp.maximum(xp.abs(expected), xp.abs(sides[0]))
        return largest


class Sum(_Combination):
    """The target is the sum of the operands."""

    sign = "+"
    examples = ("a + b = c",)
    dated = frozenset({(True, False, True), (False, True, True)})

    @classmethod
    def find(cls, sample: LawSample) -> Iterator[Sequence[Law]]:
        """Yield the forms of equal columns, of sums and of times between dates that compute a wide column.

        All are looked for here, because what is equal to a column, or a sum of two, is no addend of longer sums.
        """
        sums, rounded = set[str](), list[set[str]]()
        for law in (*Equality.candidates(sample), *cls.candidates(sample)):
            if law.is_evident(sample):
                sums.add(law.target)
                rounded += [{*law.names}] if isinstance(law, Equality) else []
                yield [*_wide_forms(law, sample), *_rounding_forms(law, rounded, sample)]
        for difference in Difference.candidates(sample):
            if difference.is_evident(sample):
                yield _wide_forms(difference, sample)
        for law in _long_sums(sample, sums):
            yield _wide_forms(law, sample)

    @classmethod
    def candidates(cls, sample: LawSample) -> Iterator[Sum]:
        """Yield sums of two columns, as the first few rows say."""
        return (cls(operands, target) for operands, target in _sums_of_columns(sample, 2))

    @property
    def forms(self) -> Iterator[Equation]:
        """The sum, and the target less all other operands for each operand."""
        yield self
        first, *following = self.operands
        yield self._form(Difference, (self.target, *following), first)
        for place, addend in enumerate(following):
            remaining = (*following[:place], *following[place + 1 :])
            yield self._form(Difference, (self.target, first, *remaining), addend)


class Difference(_Combination):
    """The target is the first operand less all further ones."""

    sign = "-"
    examples = ("a - b = c",)
    sign_of_addends = -1
    dated = frozenset({(True, True, False), (True, False, True)})

    @classmethod
    def candidates(cls, sample: LawSample) -> Iterator[Difference]:
        """Yield times between two dates, as the first few rows say; sums have all further differences as forms."""
        dates = [name for name, sort in sample.sorts.items() if sort.startswith(MOMENTS)]
        for span in ("", *SPANS) if len(dates) > 1 else ():
            between = NUMBER if span else DURATIONS
            names = [name for name in sample.columns if sample.sorts.get(name) == between]
            targets = Targets.of(sample, names, span)
            for pair in permutations(dates, 2):
                if sample.sorts[pair[0]] == sample.sorts[pair[1]]:
                    end, start = sample.first_amounts(pair)
                    yield from (cls(pair, target, span) for target in targets.equal_to(end - start))

    @property
    def forms(self) -> Iterator[Equation]:
        """The difference, the sum that is its first operand, and the difference that is each further one."""
        yield self
        first, *following = self.operands
        yield self._form(Sum, (self.target, *following), first)
        for place, operand in enumerate(following):
            remaining = (*following[:place], *following[place + 1 :])
            yield self._form(Difference, (first, self.target, *remaining), operand)


def _sums_of_columns(sample: LawSample, count: int) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield so many columns of numbers, and one that is their sum in the first few rows."""
    targets = sample.number_targets
    for operands in combinations(sample.number_columns, count):
        with np.errstate(over="ignore"):  # what is infinite is no number of the table
            sums = np.sum(sample.first_amounts(operands), axis=0)
        yield from ((operands, target) for target in targets.equal_to(sums) if target not in operands)


def _long_sums(sample: LawSample, sums: Collection[str]) -> Iterator[Sum]:
    """Yield sums of three columns and more, as least squares on few rows say: each addend has a weight near 1.

    What is a sum already is no addend, for weights might be shared between it and its own addends.
    """
    names = sample.number_columns
    if len(names) <= LEAST_ADDENDS:
        return
    squares = LeastSquares.of({name: sample.amounts[name][:SOLVED] for name in names})
    computed, before = {*sums}, -1
    while len(computed) > before:
        before = len(computed)
        for target in (name for name in names if name not in computed):
            addends = squares.addends(target, [name for name in names if name not in computed and name != target])
            law = Sum(addends, target)
            if len(addends) >= LEAST_ADDENDS and law.is_evident(sample):
                computed.add(target)
                yield law


def _wide_forms(law: Equation, sample: LawSample) -> list[Equation]:
    """The forms of a law that compute a column which is not narrow beside the rest, the best form first."""
    targets, scale = [form.target for form in law.forms], SPANS.get(law.span, 1)
    scales = {name: scale if sample.sorts[name] == NUMBER else 1 for name in targets}
    widths = {name: float(np.nanstd(sample.amounts[name])) * scales[name] for name in targets}
    wide = [
        form for form in law.forms if widths[form.target] >= WIDE * max(widths.values()) and form.is_evident(sample)
    ]
    return sorted(wide, key=lambda form: _rank(form, sample))


def _rounding_forms(law: Equation, rounded: Sequence[set[str]], sample: LawSample) -> Iterator[Equation]:
    """Yield forms that compute what rounding adds: the difference of two columns that are equal to the step of one."""
    return (form for form in law.forms if {*form.operands} in rounded and form.is_evident(sample))


def _rank(form: Equation, sample: LawSample) -> tuple[bool, bool, bool, bool, int]:
    """Rank of a form of a law; the lowest is the best.

    Categories are computed where nothing else can be. Of three addends and more none is computed: it would often lie
    beyond its range. It is best if the target is missing only where an operand is. A column with few different values
    is not computed from columns with many, because sums would have other values. Of the forms that remain, the one is
    best whose target is drawn last without laws.
    """
    computes_addend = form.sign_of_addends < 0 and len(form.operands) >= LEAST_ADDENDS
    is_missing_apart = bool(form.score(sample.columns, sample.few_rows).apart.any())
    values = [len(np.unique(sample.amounts[name])) for name in (form.target, *form.operands)]
    is_category = isinstance(sample.columns[form.target], CategoricalColumn)
    return (
        is_category,
        computes_addend,
        is_missing_apart,
        values[0] < FEW_VALUES * max(values),
        -sample.order.index(form.target),
    )

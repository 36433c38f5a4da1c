"""Sums: equal columns, sums and differences, times between dates among them.

The three sorts are forms of each other: a + b = c is c - b = a, too, and a + b - d = c is c + d - b = a.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from itertools import permutations
from sys import maxsize

import numpy as np

from gpuvgm.arrays import namespace_of
from gpuvgm.columns import CategoricalColumn
from gpuvgm.laws.addends import ANY, LEAST_ADDENDS, LeastSquares
from gpuvgm.laws.codes import Columns, Mask, Rows, spacing_of
from gpuvgm.laws.law import Law
from gpuvgm.laws.numeric import DURATIONS, LENGTHS, MOMENTS, Equation, step_of
from gpuvgm.laws.sample import HALF, MOST_COLUMNS, LawSample, Targets
from gpuvgm.laws.texts import equations, splits
from gpuvgm.laws.units import NUMBER, SPANS, Span
from gpuvgm.summary import Floats

SOLVED = 1000  # rows from which weights of addends are learnt
MOST_DATES = 8  # columns of them, between each two of which several lengths are looked for
WIDE = 0.5  # of the widest column of a sum: what is computed from the rest is no narrower
OFTEN_ROWS, OFTEN = 20, 0.02  # rows, and their share, that have the target's most frequent value, which is lost
FEW_VALUES = 0.5  # of the different values of a column beside it: with fewer, a column is sampled, not computed


class _SumEquation(Equation):
    """Columns that are equal, or a sum of two columns and more."""

    has_zeros = True

    def computing_forms(self, sample: LawSample) -> Sequence[Equation]:
        """The forms that compute a column which is not narrow beside the rest, and hardly ever has one value."""
        wide, lost = self.wide_forms(sample), self._lost(sample)
        return [form for form in wide if form.target not in lost] or wide

    def wide_forms(self, sample: LawSample) -> Sequence[Equation]:
        """The forms that compute a column which is not narrow beside the rest, the best one first."""
        targets, scale = [form.target for form in self.forms], SPANS.get(self.span, 1)
        scales = {name: scale if sample.sorts[name] == NUMBER else 1 for name in targets}
        widths = {name: float(np.nanstd(sample.amounts[name])) * scales[name] for name in targets}
        least = WIDE * max(widths.values())
        wide = [form for form in self.forms if widths[form.target] >= least and form.is_evident(sample)]
        lost = self._lost(sample)
        return sorted(wide, key=lambda form: _rank(form, sample, is_lost=form.target in lost))

    def _lost(self, sample: LawSample) -> set[str]:
        """Columns that often have one value, such as 0 of what is left to pay, which the others do not tell.

        Where these have their own most frequent values, as parts of a sum that is 0, they give that one's.
        """
        is_frequent = {name: _has_most_frequent(sample.amounts[name]) for name in self.names}
        lost = set[str]()
        for name, of_rows in is_frequent.items():
            others = np.logical_and.reduce([rows for other, rows in is_frequent.items() if other != name])
            if np.count_nonzero(of_rows & ~others) >= max(OFTEN_ROWS, OFTEN * len(of_rows)):
                lost.add(name)
        return lost


class Equality(_SumEquation):
    """The target equals the operand, to the target's step; a number may count the days or minutes of a duration."""

    sign = "="
    examples = ("a = b", "a = b in minutes")

    @classmethod
    def read(cls, text: str, names: Collection[str]) -> Iterator[Law]:
        """Yield equal columns. To the target's step these are the same as rounded ones: round(a) = b."""
        for left, right, span in equations(text, names):
            yield cls((left,), right, span)
            if left.startswith("round(") and left.endswith(")"):
                yield cls((left.removeprefix("round(").removesuffix(")").strip(),), right, span)

    @classmethod
    def candidates(cls, sample: LawSample) -> Iterator[Equality]:
        """Yield equal columns, and numbers that count durations, as the first few rows say."""
        yield from (cls(operands, target) for operands, target in _sums_of_columns(sample, 1))
        lengths = [name for name, sort in sample.sorts.items() if sort in LENGTHS]
        for span in SPANS if lengths else ():
            targets = Targets.of(sample, sample.number_columns, span)
            for name, amounts in zip(lengths, sample.first_amounts(lengths), strict=True):
                yield from (cls((name,), target, span) for target in targets.equal_to(amounts))

    def fits(self, sorts: Sequence[str]) -> bool:
        """Whether both columns hold the same sort, or one lengths and one the numbers that count them."""
        first, second = sorted(sorts, key=lambda sort: sort == NUMBER)
        return (first in LENGTHS and second == NUMBER) if self.span else super().fits(sorts)

    @property
    def forms(self) -> Iterator[Equation]:
        """Either column may be computed."""
        yield self
        if not self.or_zero:
            yield self._form(Equality, (self.target,), self.operands[0])


class _Combination(_SumEquation):
    """A sum of two columns and more, each with a sign."""

    arity = range(2, maxsize)

    @classmethod
    def read(cls, text: str, names: Collection[str]) -> Iterator[Law]:
        """Yield combinations of two columns, whose names may hold the sign, and of all parts between signs."""
        for left, right, span in equations(text, names):
            yield from (_combination(pair, f"+{cls.sign}", right, span) for pair in splits(left, cls.sign))
            first, *following = left.split(f" {cls.sign} ")
            if len(following) > 1:
                yield _combination((first, *following), "+" + cls.sign * len(following), right, span)

    @property
    def forms(self) -> Iterator[Equation]:
        """The law, and for each operand the one that computes it from all other columns."""
        yield self
        added, taken = ([name for name, sign in self._signed if sign == one] for one in (1, -1))
        for name, sign in self._signed if not self.or_zero else ():
            plus, minus = ([self.target, *taken], added) if sign > 0 else (added, [self.target, *taken])
            less = [other for other in minus if other != name]
            form = _combination([*plus, *less], "+" * len(plus) + "-" * len(less), name, self.span)
            yield replace(form, breaches=self.breaches, apart=self.apart)

    @property
    def _signed(self) -> list[tuple[str, int]]:
        """The operands, each with its sign."""
        return [*zip(self.operands, self.signs, strict=True)]

    @property
    def _left(self) -> str:
        """The operands with their signs."""
        return " ".join(f"{'+' if sign > 0 else '-'} {name}" for name, sign in self._signed).removeprefix("+ ")

    @property
    def identity(self) -> tuple[str, ...]:
        """The same in whatever order the operands are written."""
        return (self.sign, self.span, *(f"{sign} {name}" for name, sign in sorted(self._signed)), self.target)

    def fits(self, sorts: Sequence[str]) -> bool:
        """Whether all columns are plain numbers or all durations; or two are dates and the rest make the time between.

        The two are an operand that is added and the target, or an operand that is added and one that is taken off.
        """
        dates = [sort for sort in sorts if sort.startswith(MOMENTS)]
        if not dates:
            return super().fits(sorts) and sorts[0] in (NUMBER, DURATIONS)
        added = sum(sign for sign, sort in zip(self.signs, sorts[:-1], strict=True) if sort in dates)
        is_balanced = added == (sorts[-1] in dates)
        are_between = {*sorts} - {*dates} <= _sorts_between(self.span)
        return len(dates) == 2 and dates[0] == dates[1] and is_balanced and are_between

    def _grain(self, columns: Columns) -> float:
        """Step of a length between dates in numbers of the target, one of these, if it is coarser than that one's.

        A stay of 1.4 hours does not tell the minute at which it ends.
        """
        units, finest = dict(zip(self.names, self._units(columns), strict=True)), spacing_of(columns[self.target])
        if not units[self.target].sort.startswith(MOMENTS):
            return 0.0
        lengths = (name for name in self.operands if not units[name].sort.startswith(MOMENTS))
        coarsest = max(step_of(columns[name], self.span) for name in lengths) / float(units[self.target].factor)
        return coarsest if coarsest > finest > 0 else 0.0

    def leaves_rows(self, columns: Columns) -> bool:
        """Whether some rows keep sampled values of the target, or what of these is below the step of a length."""
        return super().leaves_rows(columns) or self._grain(columns) > 0

    def _beside_sampled(self, numbers: Floats, codes: Floats, columns: Columns, rows: Rows) -> Floats:
        """Computed numbers; beside a coarser length the nearest ones that lie in a step of it as sampled ones do."""
        numbers, grain = super()._beside_sampled(numbers, codes, columns, rows), self._grain(columns)
        if not grain:
            return numbers
        xp = namespace_of(numbers)
        within: Floats = codes + grain * xp.rint((numbers - codes) / grain)
        return within

    def _tolerance(
        self, columns: Columns, numbers: Floats, expected: Floats, sides: Sequence[Floats]
    ) -> Floats | float:
        """Half a step of a length that is coarser than the target, else as of all equations."""
        grain = self._grain(columns)
        return HALF * grain if grain else super()._tolerance(columns, numbers, expected, sides)

    def _largest(self, expected: Floats, sides: Sequence[Floats]) -> Floats:
        """A difference of nearly equal numbers is off by as much as they are."""
        xp = namespace_of(expected)
        largest: Floats = reduce(xp.maximum, map(xp.abs, sides), xp.abs(expected))
        return largest


class Sum(_Combination):
    """The target is the sum of the operands."""

    sign = "+"
    examples = ("a + b = c",)

    @classmethod
    def find(cls, sample: LawSample) -> Iterator[Sequence[Law]]:
        """Yield the forms of equal columns, of sums and of times between dates that compute a wide column.

        All are looked for here, because what is equal to a column, or a sum of two, is no addend of longer sums.
        """
        sums, rounded = dict[str, set[str]](), list[set[str]]()
        for law in (*Equality.candidates(sample), *cls.candidates(sample)):
            if law.is_evident(sample):
                sums.setdefault(law.target, set()).update(law.operands)
                rounded += [{*law.names}] if isinstance(law, Equality) else []
                yield [*law.wide_forms(sample), *_rounding_forms(law, rounded, sample)]
        between = set[frozenset[str]]()
        for difference in Difference.candidates(sample):
            if difference.is_evident(sample):
                between.add(frozenset(difference.operands))
                yield difference.wide_forms(sample)
        for law in (*_long_sums(sample, sums), *_sums_between_dates(sample, between)):
            yield law.wide_forms(sample)

    @classmethod
    def candidates(cls, sample: LawSample) -> Iterator[Sum]:
        """Yield sums of two columns, as the first few rows say."""
        return (cls(operands, target) for operands, target in _sums_of_columns(sample, 2))


class Difference(_Combination):
    """The target is a sum in which columns are taken off; its `function` has the sign of each operand."""

    sign = "-"
    examples = ("a - b = c", "a + b - d = c")

    @classmethod
    def find(cls, sample: LawSample) -> Iterator[Sequence[Law]]:
        """Yield the forms of sums of two columns and more that equal sums of two and more; sums have all others.

        They are looked for after lines and wholes: of two columns with the same whole, or shift, they follow.
        """
        return (law.wide_forms(sample) for law in _sums_with_signs(sample))

    @classmethod
    def read(cls, text: str, names: Collection[str]) -> Iterator[Law]:
        """Yield differences, and sums with both signs in any order."""
        yield from super().read(text, names)
        for left, right, span in equations(text, names):
            first, *following = re.split(r" ([+-]) ", left)
            signs = "".join(following[::2])
            if {*signs} == {"+", "-"}:
                yield _combination((first, *following[1::2]), f"+{signs}", right, span)

    @property
    def signs(self) -> tuple[int, ...]:
        """The sign of each operand."""
        return tuple(1 if sign == "+" else -1 for sign in self.function)

    @property
    def has_function(self) -> bool:
        """Whether each operand has a sign, the first one a plus and some other a minus."""
        is_signs = re.fullmatch(r"\+[+-]*-[+-]*", self.function) is not None
        return is_signs and len(self.function) == len(self.operands)

    @classmethod
    def candidates(cls, sample: LawSample) -> Iterator[Difference]:
        """Yield times between two dates, as the first few rows say; sums have all further differences as forms."""
        dates = [name for name, sort in sample.sorts.items() if sort.startswith(MOMENTS)]
        for span in ("", *SPANS) if len(dates) > 1 else ():
            names = [name for name in sample.columns if sample.sorts.get(name) in _sorts_between(span)]
            targets = Targets.of(sample, names, span)
            for pair in permutations(dates, 2):
                if sample.sorts[pair[0]] == sample.sorts[pair[1]]:
                    end, start = sample.first_amounts(pair)
                    yield from (cls(pair, target, span, function="+-") for target in targets.equal_to(end - start))


def _sorts_between(span: Span) -> set[str]:
    """Sorts of columns that may be the time between two dates: numbers that count a span, or lengths without one."""
    return {NUMBER} if span else LENGTHS


def _combination(operands: Sequence[str], signs: str, target: str, span: Span = "") -> Sum | Difference:
    """The sum or the difference in which operands have these signs."""
    names = tuple(map(str.strip, operands))
    return Difference(names, target, span, function=signs) if "-" in signs else Sum(names, target, span)


def _sums_of_columns(sample: LawSample, count: int) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield so many columns of numbers, and one that is their sum in the first few rows."""
    targets = sample.number_targets
    for operands, sides in sample.combined(count):
        with np.errstate(over="ignore"):  # what is infinite is no number of the table
            are_equal = targets.are_equal(np.sum(sides, axis=1)[:, None])
        for place, target in np.argwhere(are_equal).tolist():
            if targets.names[target] not in operands[place]:
                yield operands[place], targets.names[target]


def _long_sums(sample: LawSample, sums: Mapping[str, Collection[str]]) -> Iterator[Sum]:
    """Yield sums of three columns and more, as least squares on few rows say: each addend has a weight near 1.

    What is a sum already is no addend, for weights might be shared between it and its own addends. It may be another
    sum of columns that are none of these.

    Parameters
    ----------
    sample : LawSample
        The rows.
    sums : mapping of str to collection of str
        By target the addends of short sums, or the column that it equals.
    """
    names = sample.number_columns
    if len(names) <= LEAST_ADDENDS:
        return
    squares = LeastSquares.of({name: sample.amounts[name][:SOLVED] for name in names})
    equal = [target for target, addends in sums.items() if len(addends) == 1]
    addends_of, before = {target: {*addends} for target, addends in sums.items()}, -1
    while len(addends_of) > before:
        before = len(addends_of)
        for target in (name for name in sample.computed_columns if name not in equal):
            known = addends_of.get(target, set())
            others = [name for name in names if name not in addends_of and name not in known and name != target]
            while len(addends := squares.addends(target, others)) >= LEAST_ADDENDS:
                law = Sum((*addends,), target)
                if not law.is_evident(sample):
                    break
                addends_of.setdefault(target, set()).update(addends)
                yield law
                others = [name for name in others if name not in addends]


def _sums_between_dates(sample: LawSample, between: Collection[frozenset[str]]) -> Iterator[Sum]:
    """Yield dates that several lengths lie between, such as a wait and a talk, but for pairs with one length between.

    Lengths are durations, or numbers that count the same unit; which ones least squares on few rows say.
    """
    dates = [name for name, sort in sample.sorts.items() if sort.startswith(MOMENTS)][:MOST_DATES]
    lengths_by_span = dict[Span, dict[str, Floats]]()
    for span in ("", *SPANS) if len(dates) > 1 else ():
        names = [name for name, sort in sample.sorts.items() if sort in _sorts_between(span)][:MOST_COLUMNS]
        lengths_by_span[span] = {name: SPANS.get(span, 1) * sample.amounts[name][:SOLVED] for name in names}
    for start, end in permutations(dates, 2):
        length = sample.amounts[end][:SOLVED] - sample.amounts[start][:SOLVED]
        is_known = sample.sorts[start] != sample.sorts[end] or frozenset((start, end)) in between
        if is_known or not np.sum(length, where=np.isfinite(length)) > 0:
            continue
        for span, lengths in lengths_by_span.items():
            addends = LeastSquares.of({"": length, **lengths}).addends("", [*lengths])
            law = Sum((start, *addends), end, span)
            if len(addends) > 1 and law.is_evident(sample):
                yield law
                break


def _sums_with_signs(sample: LawSample) -> list[Difference]:
    """Sums of columns that equal a sum of others, as least squares on few rows say, the short ones first."""
    names, laws = sample.number_columns, dict[frozenset[str], Difference]()
    if len(names) <= LEAST_ADDENDS:
        return []
    squares = LeastSquares.of({name: sample.amounts[name][:SOLVED] for name in names})
    for target in sample.computed_columns:
        signs = squares.addends(target, [name for name in names if name != target], ANY)
        added, taken = ([name for name in signs if signs[name] == one] for one in (1, -1))
        law = Difference((*added, *taken), target, function="+" * len(added) + "-" * len(taken))
        names_of_law = frozenset(law.names)
        if len(added) > 1 and taken and names_of_law not in laws and law.is_evident(sample):
            laws[names_of_law] = law
    return sorted(laws.values(), key=lambda law: len(law.operands))


def _rounding_forms(law: Equation, rounded: Sequence[set[str]], sample: LawSample) -> Iterator[Equation]:
    """Yield forms that compute what rounding adds: the difference of two columns that are equal to the step of one."""
    return (form for form in law.forms if {*form.operands} in rounded and form.is_evident(sample))


def _has_most_frequent(numbers: Floats) -> Mask:
    """Which rows have the most frequent number."""
    values, counts = np.unique(numbers[np.isfinite(numbers)], return_counts=True)
    return numbers == values[np.argmax(counts)] if len(values) else np.zeros(len(numbers), bool)


def _rank(form: Equation, sample: LawSample, *, is_lost: bool) -> tuple[bool, bool, bool, bool, bool, int]:
    """Rank of a form of a law; the lowest is the best.

    Categories are computed where nothing else can be. Of three addends and more none is computed: it would often lie
    beyond its range. It is best if the target is missing only where an operand is. A column with few different values
    is not computed from columns with many, because sums would have other values, and neither is one that often has one
    value, which sums would hardly ever have. Of the forms that remain, the one is best whose target is drawn last
    without laws.
    """
    computes_addend = form.signs.count(1) == 1 and len(form.operands) >= LEAST_ADDENDS
    is_missing_apart = bool(form.score(sample.columns, sample.few_rows).apart.any())
    values = [len(np.unique(sample.amounts[name])) for name in (form.target, *form.operands)]
    is_category = isinstance(sample.columns[form.target], CategoricalColumn)
    return (
        is_category,
        computes_addend,
        is_missing_apart,
        is_lost,
        values[0] < FEW_VALUES * max(values),
        -sample.order.index(form.target),
    )

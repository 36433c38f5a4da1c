"""Steps: numbers that are multiples of a step of their own beside each category, such as whole yen among cents.

Numbers in text with decimal places of their own, such as 140, 4.60 and 0.050 of a laboratory, have the places of their
category, and limits such as "<0.5" are those of their category; see `limits`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from gpuvgm.arrays import namespace_of
from gpuvgm.columns import CategoricalColumn, FittedColumn, NumericColumn
from gpuvgm.errors import InputError
from gpuvgm.io import replaced_rows, taken
from gpuvgm.laws.codes import Columns, Mask, Rows, beyond_range, codes_of, numbers_in, read_columns, values_of_codes
from gpuvgm.laws.law import Law, Outcome
from gpuvgm.laws.limits import ANY, NONE, SIGNS, limits_in, signs_of, words_in
from gpuvgm.laws.numeric import EVIDENCE
from gpuvgm.laws.sample import FEW_ROWS, PROBED, LawSample
from gpuvgm.laws.texts import splits
from gpuvgm.laws.units import NUMBER, Unit
from gpuvgm.summary import Floats, Ints

MOST_CATEGORIES = 64  # of a column that says which steps there are
LEAST_VALUES = 256  # different numbers of a target: fewer are drawn as such, and trees know beside which category
LEAST_DIFFERENT = 10  # numbers beside a category that show a step
LONGEST = 10_000  # of the column's own steps, that make one of a category
EXACT = 2.0**53  # up to which floats have all whole numbers
PLACED = 10  # values for one in the last place, where the last digit says how many places there are
TRIED = 2048  # rows that most often show that the numbers of a category have no step
OFF = 0.25  # of the column's own step, by which a number may be off a multiple


class Steps(Law):
    """The target is a multiple of a step that the operand's category says; its sampled numbers are rounded to that."""

    sign = "steps"
    examples = ("a -> steps(b)",)
    turn = 5  # what is computed has its steps, and orders move numbers from column to column
    has_keys = has_limits = rounds = True

    @classmethod
    def find(cls, sample: LawSample) -> Iterator[Sequence[Steps]]:
        """Yield the steps of each column of numbers by the categories that make most of them longer."""
        names = [name for name, sort in sample.sorts.items() if sort == NUMBER]
        for target in sample.numeric(names):
            multiples = _multiples_in(sample, target)
            if len(np.unique(multiples)) < LEAST_VALUES:
                continue
            laws = (cls((name,), target)._with_steps(sample, multiples) for name in sample.columns if name != target)
            found = [law for law in laws if law.keys]
            if found:
                yield [max(found, key=lambda law: sum(np.log(law.values)))]

    @classmethod
    def read(cls, text: str, names: Collection[str]) -> Iterator[Law]:
        """Yield the steps of a column by another one."""
        for left, right in splits(text, "->"):
            if match := re.fullmatch(r"steps\((.*)\)", right):
                yield cls((left,), match[1])

    @property
    def text(self) -> str:
        """The law as users write it."""
        return f"{self.operands[0]} -> steps({self.target})"

    def learnt(self, sample: LawSample) -> Steps:
        """The law with the steps that a sample shows.

        Raises
        ------
        InputError
            Where there is none.
        """
        law = self._with_steps(sample, _multiples_in(sample, self.target))
        if not law.keys:
            raise InputError(f'laws: "{self}": no category of "{self.operands[0]}" has a longer step in the sample')
        return law

    def _with_steps(self, sample: LawSample, multiples: Floats) -> Steps:
        """The law with the categories whose numbers, of several owners, are hardly by chance on a longer step."""
        (name,), places = self.operands, sample.shuffled[:FEW_ROWS]
        operand = sample.columns[name]
        if not isinstance(operand, CategoricalColumn) or len(operand.categories) > MOST_CATEGORIES:
            return self
        column, is_open = sample.columns[self.target], np.ones(len(operand.categories), np.bool_)
        step_of = _step_of_places if _most_places(column) else _step_of
        if step_of is _step_of:
            is_open = ~_have_no_divisor(multiples[:TRIED], sample.codes[name][places[:TRIED]], len(operand.categories))
        if not is_open.any():
            return self
        codes = np.where(np.isnan(multiples), -1, sample.codes[name][places]).astype(np.int64)
        several = is_open & sample.owners.at(places).several(codes, len(operand.categories))
        steps = {code: step_of(column, multiples, codes, code) for code in np.flatnonzero(several).tolist()}
        longer = {float(code): float(step) for code, step in steps.items() if step > 1}
        law = replace(self, keys=tuple(longer), values=tuple(longer.values()))
        return replace(law, limits=limits_in(sample, name, self.target, [*map(int, longer)]) if longer else ())

    def numbers(self, columns: Columns, rows: Rows) -> Floats:
        """None: the category says what numbers there are, and not which."""
        (codes,) = read_columns(codes_of, columns, self.operands, rows)
        none: Floats = np.full(len(codes), np.nan)
        return none

    def score(self, columns: Columns, rows: Rows) -> Outcome:
        """Rows of other categories and without a number keep the law; nothing makes a number certain."""
        values = rows(self.target)
        multiples, rounded = self._rounded(columns, rows, values)
        xp = namespace_of(multiples)
        none, broken = xp.zeros(len(multiples), np.bool_), xp.abs(multiples - rounded) > OFF
        if self.limits:
            words, limits = self._words_and_limits(columns, rows, values)
            broken |= words != limits
        return Outcome(broken, none, none)

    def compute(self, columns: Columns, rows: Rows, sampled: Rows) -> tuple[dict[str, Any], Mask]:
        """Sampled numbers, rounded to the steps of their categories, and which of them lie beyond the range then."""
        column, values = columns[self.target], sampled(self.target)
        multiples, rounded = self._rounded(columns, rows, values)
        changed = np.flatnonzero(np.abs(multiples - rounded) > OFF)
        numbers = rounded * _spacing(column) - _base(column)
        is_changed = np.zeros(len(multiples), np.bool_)
        is_changed[changed] = True
        values = replaced_rows(values, changed, values_of_codes(column, numbers[changed]))
        beyond = is_changed & beyond_range(column, numbers)
        if self.limits:
            words, limits = self._words_and_limits(columns, rows, values)
            values = _with_limits(column, values, np.where(words != limits, limits, NONE))
            beyond |= (words >= 0) & (limits == NONE)
        return {self.target: values}, beyond

    def _words_and_limits(self, columns: Columns, rows: Rows, values: Any) -> tuple[Ints, Ints]:
        """Place of each row's word, -1 where it has none, and that of the limit of its category in its stead."""
        column = columns[self.target]
        words = words_in(column, numbers_in(column, values))
        signs, limits = signs_of(column, words), words
        for sign in range(len(SIGNS)):
            of_category = replace(self, values=self.limits[sign :: len(SIGNS)], limits=()).known(columns, rows)
            limits = np.where((signs == sign) & (of_category >= NONE), of_category, limits)
        return words, limits.astype(np.int64)

    def _rounded(self, columns: Columns, rows: Rows, values: Any) -> tuple[Floats, Floats]:
        """Numbers of the target in its own steps, and what they are rounded to; NaN for missing ones."""
        multiples = _multiples(columns[self.target], numbers_in(columns[self.target], values))
        xp = namespace_of(multiples)
        steps = xp.asarray(self.known(columns, rows))
        steps = xp.where(xp.isnan(steps), 1.0, steps)
        shift = _shift(columns[self.target], steps)
        return multiples, xp.rint((multiples - shift) / steps) * steps + shift

    def leaves_rows(self, columns: Columns) -> bool:
        """All rows keep their sampled values, but for rounding."""
        return True

    def check(self, columns: Columns) -> None:
        """Raise ValueError where a law from a file has limits that are no words of the target."""
        super().check(columns)
        target = columns[self.target]
        assert isinstance(target, NumericColumn)
        words = len(target.codec.plain.word_values)
        has_words = all(ANY <= limit < words and limit.is_integer() for limit in self.limits)
        if self.limits and not (has_words and len(self.limits) == len(SIGNS) * len(self.keys)):
            raise ValueError(f'the limits of "{self}" are no words of "{self.target}"')

    def kinds_problem(self, columns: Columns) -> str:
        """What is wrong where the operand has no categories, or the target no steps."""
        (name,), target = self.operands, columns[self.target]
        operand = columns[name]
        if not isinstance(operand, CategoricalColumn) or len(operand.categories) > MOST_CATEGORIES:
            return f'column "{name}" has not up to {MOST_CATEGORIES} categories: declare it "categorical" if it has'
        unit = Unit.of(target)
        if not isinstance(target, NumericColumn) or unit is None or unit.sort != NUMBER or not _spacing(target):
            return f'column "{self.target}" has no numbers with a step, such as cents; give another column'
        return ""


def _with_limits(column: FittedColumn, values: Any, limits: Ints) -> Any:
    """Values of text with limits, given by the places of their words, in rows that are to have one."""
    assert isinstance(column, NumericColumn)
    plain = column.codec.plain
    for word in np.unique(limits[limits != NONE]).tolist():
        places = np.flatnonzero(limits == word)
        row = plain.row_with(plain.word_values[word])
        values = replaced_rows(values, places, taken(row, np.zeros(len(places), np.int64)))
    return values


def _spacing(column: FittedColumn) -> float:
    """Distance of a column's neighbouring numbers; 0 where they lie anywhere."""
    assert isinstance(column, NumericColumn)
    return float(column.codec.plain.spacing)


def _base(column: FittedColumn) -> float:
    """What a column's numbers are counted from."""
    assert isinstance(column, NumericColumn)
    return float(column.codec.plain.base)


def _multiples(column: FittedColumn, numbers: Floats) -> Floats:
    """How many of the column's own steps numbers are; NaN for words."""
    assert isinstance(column, NumericColumn)
    if column.codec.plain.word_values:
        numbers = np.where(numbers > column.codec.plain.ends[1], np.nan, numbers)
    multiples: Floats = np.rint((numbers + _base(column)) / _spacing(column))
    return multiples


def _most_places(column: FittedColumn) -> int:
    """Decimal places of numbers in text whose last digit says how many they have, at most; 0 for others."""
    assert isinstance(column, NumericColumn)
    return column.codec.plain.most_places


def _shift(column: FittedColumn, steps: Floats) -> Floats | float:
    """What multiples of a category's step begin from: the digit that says how many places its numbers have."""
    most, spacing = _most_places(column), _spacing(column)
    if not most:
        return 0.0
    xp = namespace_of(steps)
    shift: Floats = xp.where(steps > 1, most + 1 - xp.rint(xp.log10(steps * spacing)), 0.0) / spacing
    return shift


def _multiples_in(sample: LawSample, target: str) -> Floats:
    """The few rows of a column in its own steps; of one without a step none."""
    column = sample.columns[target]
    if not _spacing(column):
        return np.full(len(sample.amounts[target]), np.nan)
    return _multiples(column, numbers_in(column, sample.few_rows(target)))


def _step_of_places(column: FittedColumn, multiples: Floats, codes: Ints, code: int) -> float:
    """The step of numbers that all have as many decimal places, where hardly all would by chance; else 1."""
    is_of_category, most = codes == code, _most_places(column)
    places, others = (
        np.unique(multiples[rows] * _spacing(column)) % PLACED
        for rows in (is_of_category, (codes >= 0) & ~is_of_category)
    )
    if len(places) < LEAST_DIFFERENT or np.any(places != places[0]) or places[0] > most:
        return 1.0
    agree = (np.count_nonzero(others == places[0]) + 1) / (len(others) + 2)
    is_evident = -len(places) * np.log(agree) >= EVIDENCE
    return float(PLACED ** (most + 1 - places[0])) / _spacing(column) if is_evident else 1.0


def _have_no_divisor(multiples: Floats, codes: Floats, size: int) -> Mask:
    """Mask of the categories of whose numbers some rows show that 1 alone divides them all; most of the columns' do."""
    is_exact = np.abs(multiples) <= EXACT
    exact, codes_of_exact = multiples[is_exact].astype(np.int64), codes[is_exact].astype(np.int64)
    order = np.argsort(codes_of_exact, kind="stable")
    firsts = np.flatnonzero(np.diff(codes_of_exact[order], prepend=-1))
    mask = np.zeros(size, np.bool_)
    mask[codes_of_exact[order[firsts]]] = np.gcd.reduceat(exact[order], firsts) == 1
    return mask


def _step_of(column: FittedColumn, multiples: Floats, codes: Ints, code: int) -> float:
    """The longest step that all numbers of a category are multiples of, where hardly all would be by chance; else 1.

    Numbers that come again, as those of a timetable do, count once.
    """
    of_category = codes == code
    first = multiples[of_category][:PROBED]
    if np.all(np.abs(first) <= EXACT) and np.gcd.reduce(first.astype(np.int64)) == 1:
        return 1
    numbers, others = (np.unique(multiples[rows]) for rows in (of_category, (codes >= 0) & ~of_category))
    exact = np.abs(numbers) <= EXACT
    step = int(np.gcd.reduce(numbers[exact].astype(np.int64)))
    if not exact.all() or not 1 < step <= LONGEST or len(numbers) < LEAST_DIFFERENT:
        return 1
    with np.errstate(invalid="ignore"):  # of infinite ones
        agree = (np.count_nonzero(others % step == 0) + 1) / (len(others) + 2)
    return step if -len(numbers) * np.log(agree) >= EVIDENCE else 1

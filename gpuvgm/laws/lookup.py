"""Lookups: columns of which each value goes with one value of the target, such as a product and its price.

Several operands are looked up together, by the combinations of their values: see `pairs`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from math import prod
from typing import TypeVar

import numpy as np

from gpuvgm.arrays import namespace_of
from gpuvgm.columns import CategoricalColumn, NumericColumn
from gpuvgm.errors import InputError
from gpuvgm.laws.codes import MISSING, Columns, Mask, Rows, codes_of, read_columns, training_range
from gpuvgm.laws.law import Law, Outcome
from gpuvgm.laws.owners import SEVERAL, Owners
from gpuvgm.laws.sample import LEAST_BROKEN, LawSample
from gpuvgm.laws.texts import splits
from gpuvgm.summary import Floats, Ints

USUAL = 0.95  # of the rows: of a column that decides others, so many have values that several have
MOST_LEARNT = 1 << 8  # keys of a table that trees learn
MOST_KEYS = 1 << 14  # values of a column that decides its target
PROBED_KEYS = 480  # rows that a lookup is tried on first
PROBED_REPEATS = 2000  # rows of a column of numbers, of which some repeat others if it decides any
REPEATS = 0.02  # of these rows, that do
LEAST_RISING = 8  # numbers that rise or fall with those which decide them, hardly by chance
AnyLookup = TypeVar("AnyLookup", bound="Lookup")


class Lookup(Law):
    """The target is looked up in a table by the operands' values; rare ones are not in the table."""

    sign = "->"
    examples = ("a -> b",)
    turn = 0  # what a table decides needs no arithmetic
    has_keys = has_table = True

    @classmethod
    def find(cls, sample: LawSample) -> Iterator[Sequence[Lookup]]:
        """Yield lookups, those of the target that is drawn last first: by the operand with the fewest values.

        Numbers decide categories only where these do not decide them, because new numbers may be drawn; but what rows
        of other tables have decides these rows, which are to be of whatever other row is chosen for them.
        """
        keys_of = {name: keys for name in sample.columns if (keys := _keys_of(name, sample)) is not None}
        pairs = (pair for pair in _probable_pairs(keys_of, sample) if not _are_copied(pair, sample))
        lookups = [law for name, target in pairs if (law := cls._of(name, target, keys_of[name], sample)) is not None]

        def rank(law: Lookup) -> tuple[bool, int]:
            are_categories = [isinstance(sample.columns[name], CategoricalColumn) for name in law.names]
            is_of_other = [name in sample.beside for name in law.names] == [True, False]
            return are_categories == [False, True] and not is_of_other, -sample.order.index(law.target)

        return ([law] for law in sorted(lookups, key=rank))

    @classmethod
    def read(cls, text: str, names: Collection[str]) -> Iterator[Law]:
        """Yield lookups by one column."""
        return (cls((left,), right) for left, right in sides(text))

    @classmethod
    def _of(cls, name: str, target: str, keys: Keys, sample: LawSample) -> Lookup | None:
        """The lookup of a target by a column's keys, if the rows keep it and are evidence of it."""
        codes = sample.codes[target]
        if not keys.decide(codes):
            return None
        values = keys.values(codes)
        shuffled, usual = codes[sample.shuffled], keys.usual(codes)
        broken = np.count_nonzero(np.isfinite(shuffled) & (values[keys.of_rows] != shuffled))
        if isinstance(sample.columns[name], NumericColumn):
            broken = np.minimum(broken, keys.rows_beside_changes(codes))
        if broken < LEAST_BROKEN or np.mean(usual[keys.of_rows]) < USUAL:
            return None
        return cls((name,), target)._with_table(keys, codes)

    @classmethod
    def persons(cls, sample: LawSample) -> Owners:
        """Persons of a sample's rows, of whom several have what the table has."""
        return sample.persons

    def learnt(self, sample: LawSample) -> Lookup:
        """The lookup with the values of a sample that enough persons have.

        Raises
        ------
        InputError
            Where there is none.
        """
        persons = self.persons(sample)
        keys = reduce(Keys.beside, (Keys.of(sample.codes[name], persons) for name in self.operands))
        law = self._with_table(keys, sample.codes[self.target])
        if not law.keys:
            operands = " and ".join(f'"{name}"' for name in self.operands)
            whose = " that are not of fewer keys" if persons.keys else ""
            raise InputError(f'laws: "{self}": no value of {operands} has {SEVERAL} rows of the sample{whose}')
        return law

    def _with_table(self: AnyLookup, keys: Keys, codes: Floats) -> AnyLookup:
        """The lookup with the keys of rows that enough persons have, given the target's codes of these rows."""
        usual, values = keys.usual(codes), keys.values(codes)
        if len(self.operands) > 1:  # what combinations lack, one of their values may decide alone
            usual &= np.isfinite(values)
        of_keys = keys.distinct[usual].ravel()
        return replace(self, keys=tuple(of_keys.tolist()), values=tuple(values[usual].tolist()))

    def score(self, columns: Columns, rows: Rows) -> Outcome:
        """Rows with a value that the table lacks say nothing."""
        *operands, codes = read_columns(codes_of, columns, self.names, rows)
        expected = self.looked_up(*operands)
        xp = namespace_of(expected)
        is_known = ~xp.isnan(expected)
        apart = is_known & xp.isinf(codes) & ~xp.isinf(expected)
        broken = is_known & ~apart & (expected != codes)
        return Outcome(broken, apart, is_known & ~apart & ~broken)

    def numbers(self, columns: Columns, rows: Rows) -> Floats:
        """Codes of the target; NaN where the table lacks the operands' values."""
        return self.known(columns, rows)

    def _beside_sampled(self, numbers: Floats, codes: Floats, columns: Columns, rows: Rows) -> Floats:
        """Where the table lacks the operand's value, a number between those of its neighbours, if they tell it."""
        numbers = super()._beside_sampled(numbers, codes, columns, rows)
        return np.where(np.isnan(numbers) & ~np.isinf(codes), self._between(columns, rows), numbers)

    def _between(self, columns: Columns, rows: Rows) -> Floats:
        """Numbers of the target, interpolated between those in the table.

        NaN unless the target's numbers all rise with those of the operand, or all fall: else neighbours say nothing.
        """
        (codes,) = read_columns(codes_of, columns, self.operands, rows)
        table = np.array([self.keys, self.values])
        keys, values = table[:, np.all(np.isfinite(table), axis=0)]
        steps = np.diff(values)
        are_numbers = all(isinstance(columns[name], NumericColumn) for name in self.names)
        if not are_numbers or len(keys) < LEAST_RISING or not (np.all(steps > 0) or np.all(steps < 0)):
            return np.full(len(codes), np.nan)
        slopes, finite = steps / np.diff(keys), np.where(np.isfinite(codes), codes, keys[0])
        beyond = slopes[0] * np.minimum(finite - keys[0], 0) + slopes[-1] * np.maximum(finite - keys[-1], 0)
        numbers = np.clip(np.interp(finite, keys, values) + beyond, *training_range(columns[self.target]))
        return np.where(np.isfinite(codes), numbers, np.nan)

    def leaves_rows(self, columns: Columns) -> bool:
        """Whether the table lacks values of the operands, or the target is missing apart from them."""
        return super().leaves_rows(columns) or self.lacks_keys(columns)

    def lacks_keys(self, columns: Columns) -> bool:
        """Whether the table has not all values of the operands, as of numbers, which may be any."""
        operands = [columns[name] for name in self.operands]
        sizes = [len(column.categories) for column in operands if isinstance(column, CategoricalColumn)]
        return len(sizes) < len(operands) or prod(sizes) > len(self.values)

    def bars_rare(self, columns: Columns) -> bool:
        """Whether all columns have categories: rare ones beside each other would give their rows away."""
        return all(isinstance(columns[name], CategoricalColumn) for name in self.names)

    @property
    def is_learnt(self) -> bool:
        """Whether the table is so short that trees learn it."""
        return len(self.keys) <= MOST_LEARNT


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of columns, which are the different codes of their rows; the key of each row; and whose the rows are.

    Parameters
    ----------
    distinct : ndarray of shape (keys, columns)
        The keys, ascending.
    of_rows : ndarray of shape (rows,)
        Place of each row's key.
    persons : Owners
        Whose the rows are.
    """

    distinct: Floats
    of_rows: Ints
    persons: Owners

    @classmethod
    def of(cls, codes: Floats, persons: Owners) -> Keys:
        """Keys of the codes of rows."""
        distinct, of_rows = np.unique(codes, return_inverse=True)
        return cls(distinct[:, None], of_rows, persons)

    def beside(self, keys: Keys) -> Keys:
        """The combinations of these keys and those of further columns that the rows have."""
        numbers, of_rows = np.unique(self.of_rows * len(keys.distinct) + keys.of_rows, return_inverse=True)
        first, second = np.divmod(numbers, len(keys.distinct))
        return Keys(np.hstack([self.distinct[first], keys.distinct[second]]), of_rows, self.persons)

    def at(self, places: Ints) -> Keys:
        """The same keys, with some of the rows."""
        return Keys(self.distinct, self.of_rows[places], self.persons.at(places))

    def may_decide(self, codes: Floats) -> Mask:
        """Which columns, whose codes have shape (columns, rows), have the same code in neighbouring rows of a key."""
        order = np.argsort(self.of_rows, kind="stable")
        same = np.diff(self.of_rows[order]) == 0
        earlier, later = codes[:, order[:-1][same]], codes[:, order[1:][same]]
        decided: Mask = ~np.any(np.isfinite(earlier) & np.isfinite(later) & (earlier != later), axis=1)
        return decided

    def decide(self, codes: Floats) -> bool:
        """Whether all rows of a key that have a code of a target have the same one."""
        return not np.any(np.isfinite(codes) & (self.values(codes)[self.of_rows] != codes))

    def values(self, codes: Floats) -> Floats:
        """Code of a target for each key, from the last row that has one; `MISSING` where none has."""
        present, values = np.isfinite(codes), np.full(len(self.distinct), MISSING)
        values[self.of_rows[present]] = codes[present]
        return values

    def usual(self, codes: Floats) -> Mask:
        """Which keys enough persons have in rows with a code of a target, or in rows without one if none has a code."""
        has_code = np.bincount(self.of_rows[np.isfinite(codes)], minlength=len(self.distinct)) > 0
        keys = np.where(np.isfinite(codes) | ~has_code[self.of_rows], self.of_rows, -1)
        return self.persons.several(keys, len(self.distinct))

    @property
    def are_usual(self) -> bool:
        """Whether most rows have keys that enough persons have."""
        return bool(np.mean(self.usual(np.zeros(len(self.of_rows)))[self.of_rows]) >= USUAL)

    def rows_beside_changes(self, codes: Floats) -> int:
        """Rows that repeat the code of a target in an earlier row of their key, where the next key has another code.

        Only these rows show that numbers decide a target. Where the target merely changes at a threshold, all keys but
        those at the threshold have the code of the next key, and few rows are beside it.
        """
        values, rows = self.values(codes), np.bincount(self.of_rows[np.isfinite(codes)], minlength=len(self.distinct))
        changes = np.isfinite(values[1:]) & np.isfinite(values[:-1]) & (values[1:] != values[:-1])
        return int(np.sum(np.maximum(rows[:-1] - 1, 0)[changes]))


def _keys_of(name: str, sample: LawSample) -> Keys | None:
    """Keys of a column; None where they are too many, or most rows have rare ones."""
    codes, is_category = sample.codes[name], isinstance(sample.columns[name], CategoricalColumn)
    probe = codes[sample.shuffled[:PROBED_REPEATS]]
    if not is_category and len(np.unique(probe)) > (1 - REPEATS) * len(probe):
        return None
    keys = Keys.of(codes, sample.persons)
    return keys if (is_category or keys.are_usual) and len(keys.distinct) <= MOST_KEYS else None


def _are_copied(names: tuple[str, str], sample: LawSample) -> bool:
    """Whether a column has the numbers of rows of other tables, of which there may be new ones: an equation says so."""
    are_numbers = all(isinstance(sample.columns[name], NumericColumn) for name in names)
    if not are_numbers or not sample.amounts.keys() >= {*names} or not {*names}.intersection(sample.beside):
        return False
    one, other = (sample.amounts[name] for name in names)
    return np.array_equal(one, other, equal_nan=True)


def _probable_pairs(keys_of: Mapping[str, Keys], sample: LawSample) -> Iterator[tuple[str, str]]:
    """Yield columns and targets that they decide in few rows, the columns with the fewest keys first."""
    names, rows = [*sample.columns], sample.shuffled[:PROBED_KEYS]
    probes = np.array([codes[rows] for codes in sample.codes.values()])
    for name in sorted(keys_of, key=lambda name: len(keys_of[name].distinct)):
        decided = (names[place] for place in np.flatnonzero(keys_of[name].at(rows).may_decide(probes)))
        yield from ((name, target) for target in decided if target != name)


def sides(text: str) -> Iterator[tuple[str, str]]:
    """Yield what decides and what is decided, of a text in which an arrow points to the latter."""
    yield from splits(text, "->")
    yield from ((left, right) for right, left in splits(text, "<-"))

"""New texts beside what their rows have in modelled columns: a date that they hold, a category that says their form.

Texts with the same date are numbered by themselves, as they are in tables. So the number of a text depends on the rows
before it. These are the rows of its period: rows are parted into periods, so that few are to be drawn for any row, and
each period has numbers of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import isqrt
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.columns import CategoricalColumn, FittedColumn, NumericColumn
from gpuvgm.datasets import RowRange
from gpuvgm.engines import philox_words
from gpuvgm.io import taken
from gpuvgm.laws import DatesInText
from gpuvgm.summary import Ints
from gpuvgm.synthesis.keys.identifier_levels import KeyNumbers
from gpuvgm.synthesis.keys.identifiers import IdentifierForm, NewTexts
from gpuvgm.synthesis.keys.keys import period_of
from gpuvgm.synthesis.keys.streams import column_number

PERIOD = 1 << 16  # rows, among which texts are numbered that are no keys
#: Numbers of a period beside those that one date has in the first one: so many times their root, and so many more.
ROOM, MORE = 6, 8


@dataclass(frozen=True, slots=True)
class RowsBeside:
    """Rows with what they have in modelled columns, from the beginning of their period on.

    Parameters
    ----------
    part : RowRange
        The rows.
    columns : mapping of str to FittedColumn
        The columns.
    arrays : mapping of str to Array
        Their values, by modelled column.
    keys : mapping of (str, int) to ndarray of shape (rows,), uint64
        Numbers of the keys of the rows, by group and level.
    first_period : callable, optional
        Gives the first so many rows of a sample. None where all rows are of one period, whose numbers begin with that
        of its first row.
    window : int
        Rows of a period of keys, where these are not laid out; 0 where they are.
    numbers : mapping of str to ndarray of shape (rows,), uint64
        Numbers of rows that are in the order of their times, by the column of texts: those of `numbers_in_order`.
    """

    part: RowRange
    columns: Mapping[str, FittedColumn]
    arrays: Mapping[str, Any]
    keys: KeyNumbers
    first_period: Callable[[int], RowsBeside] | None = None
    window: int = 0
    numbers: Mapping[str, NDArray[np.uint64]] = field(default_factory=dict)

    @staticmethod
    def needed(forms: Mapping[str, IdentifierForm], part: RowRange, window: int) -> RowRange:
        """Rows that the texts of some rows depend on: these, and those before them in their period."""
        periods = [_period(form, window) for form in forms.values() if form.in_groups]
        first = min((part.first_row // period * period for period in periods), default=part.first_row)
        return RowRange(first, part.first_row + part.rows - first)

    def last_keys(self, rows: int) -> KeyNumbers:
        """Numbers of the keys of the last so many rows."""
        return {level: numbers[len(numbers) - rows :] for level, numbers in self.keys.items()}

    def categories(self, name: str, rows: Ints) -> Ints:
        """Categories of some rows in a column, by their places."""
        column = self.columns[name]
        assert isinstance(column, CategoricalColumn)
        return np.asarray(column.index.find(taken(self.arrays[name], rows)), np.int64)

    def texts(self, name: str, form: IdentifierForm, rows: int, seed: int) -> pa.Array[Any]:
        """Texts of the last so many rows."""
        if not rows:
            return pa.array([], pa.string())
        if form.curve is not None:
            return self._rising_texts(name, form, rows, seed)
        if not form.in_groups:
            last = self._rows_alone(rows)
            return form.values(name, last.numbers, seed, self.categories(form.given, last.rows))
        things = self._things(form, rows)
        grouped = self._grouped(name, form, things, seed)
        new = self._new_texts(name, form, things, grouped, seed)
        places: Any = pa.array(things.places)
        return form.texts(name, new.at(things.needed), seed).take(places)

    def _rising_texts(self, name: str, form: IdentifierForm, rows: int, seed: int) -> pa.Array[Any]:
        """Texts of the last so many rows, whose numbers rise with their times."""
        curve, things = form.curve, self._rows_alone(rows)
        assert curve is not None
        grouped = self._grouped(name, form, things, seed)
        if name in self.numbers:
            numbers, form = self.numbers[name], replace(form, curve=None)
        else:
            times = self.columns[curve.column]
            assert isinstance(times, NumericColumn)
            of_rows = np.asarray(times.all_numbers(taken(self.arrays[times.name], things.rows)), np.float64)
            numbers = curve.numbers(name, of_rows, things.numbers, seed)
        return form.texts(name, NewTexts(grouped.patterns, numbers, things.numbers, grouped.moments), seed)

    def numbers_in_order(
        self, name: str, form: IdentifierForm, rows: NDArray[np.bool_], before: Mapping[int, int]
    ) -> tuple[NDArray[np.uint64], dict[int, int]]:
        """Numbers without gaps, from the table's first one on, of rows that are in the order of their times.

        Parameters
        ----------
        name : str
            The column of the texts.
        form : IdentifierForm
            Its form, whose numbers rise with a time.
        rows : ndarray of shape (rows,), bool
            Rows that have a number.
        before : mapping of int to int
            How many rows before these have one, by group: that of a date, where numbers begin again with each.

        Returns
        -------
        numbers : ndarray of shape (rows,), uint64
            The numbers, less the one that follows the largest of the table, as forms count.
        counts : dict of int to int
            As `before`, of these rows as well.
        """
        assert form.curve is not None
        groups = np.zeros(self.part.rows, np.uint64)
        if form.curve.restarts:
            groups = self._grouped(name, form, self._rows_alone(self.part.rows), 0).numbers
        distinct, places = np.unique(groups, return_inverse=True)
        ranks = np.zeros(self.part.rows, np.int64)
        ranks[rows] = _ranks(np.zeros(np.count_nonzero(rows), np.int64), groups[rows])
        first = np.array([before.get(group, 0) for group in distinct.tolist()], np.int64)
        counts = first + np.bincount(places[rows], minlength=len(distinct))
        numbers = form.curve.first + (first[places] + ranks) * form.curve.by - (form.largest + 1)
        return numbers.astype(np.uint64), {**before, **dict(zip(distinct.tolist(), counts.tolist(), strict=True))}

    def _rows_alone(self, rows: int) -> _Things:
        """The last so many rows, each of which gets a text for itself."""
        last, every = np.arange(self.part.rows - rows, self.part.rows), np.arange(rows)
        return _Things((last + self.part.first_row).astype(np.uint64), last, np.zeros(rows, np.int64), every, every)

    def _grouped(self, name: str, form: IdentifierForm, things: _Things, seed: int) -> _Groups:
        """The groups in which rows or keys are numbered."""
        categories = self.categories(form.given, things.rows) if form.given else None
        patterns = form.pattern_of(name, things.numbers, seed, categories)
        return _Groups.of(form, patterns, self._moments(form, things) if form.date else None)

    def _new_texts(self, name: str, form: IdentifierForm, things: _Things, grouped: _Groups, seed: int) -> NewTexts:
        """Which texts rows or keys get: in each group the numbers run on, one after the other."""
        ranks, patterns = _ranks(things.periods, grouped.numbers).astype(np.uint64), grouped.patterns
        first = np.full(len(ranks), self.part.first_row, np.uint64)
        if self.first_period is not None:
            first = things.periods.astype(np.uint64) * np.uint64(self._room(name, form, things, seed))
        numbers = first + ranks
        if form.kind == "number":
            return NewTexts(patterns, numbers, things.numbers, grouped.moments)
        limits = np.array([pattern.limit for pattern in form.patterns], np.uint64)[patterns]
        is_longer = numbers >= limits
        # Each group begins elsewhere, or all dates would have the same few numbers.
        turns = philox_words(grouped.numbers, column_number(f"{name}/turn"), seed)[0] * limits >> np.uint64(32)
        within = (numbers + turns) % np.maximum(limits, np.uint64(1))
        which = np.where(is_longer, ~patterns, patterns)
        return NewTexts(which, np.where(is_longer, things.numbers, within), things.numbers, grouped.moments)

    def _room(self, name: str, form: IdentifierForm, things: _Things, seed: int) -> int:
        """Numbers of a group in each period: more than any has in the first one, where there are several periods."""
        if self.first_period is None or not things.periods.any():
            return 0
        rows = self.first_period(_period(form, self.window))
        first = rows._things(form, rows.part.rows)
        ranks = _ranks(first.periods, rows._grouped(name, form, first, seed).numbers)
        most = int(ranks.max(initial=0)) + 1
        return most + ROOM * (isqrt(most) + 1) + MORE

    def _things(self, form: IdentifierForm, rows: int) -> _Things:
        """Rows or keys that get texts, from the beginning of the period on."""
        first, stop = self.part.first_row, self.part.first_row + self.part.rows
        start, periods = first, np.zeros(self.part.rows, np.int64)
        if self.first_period is not None:
            period = _period(form, self.window)
            start, periods = (stop - rows) // period * period, np.arange(first, stop) // period
        places = np.arange(start - first, stop - first)
        if form.key is None:
            needed = np.arange(len(places) - rows, len(places))
            return _Things((places + first).astype(np.uint64), places, periods[places], needed, np.arange(rows))
        numbers = self.keys[form.key.group, form.level][places]
        distinct, firsts, which = np.unique(numbers, return_index=True, return_inverse=True)
        order = np.argsort(firsts)
        needed, of_rows = np.unique(np.argsort(order)[which[len(places) - rows :]], return_inverse=True)
        at = places[firsts[order]]
        return _Things(distinct[order], at, periods[at], needed, of_rows)

    def _moments(self, form: IdentifierForm, things: _Things) -> Ints:
        """Moments of rows or keys; where one is missing, that of the one before it in the period, or the earliest."""
        column = self.columns[form.date]
        assert isinstance(column, NumericColumn)
        moments = DatesInText.moments(column, taken(self.arrays[form.date], things.rows))
        assert moments is not None
        last = np.maximum.accumulate(np.where(moments == DatesInText.MISSING, -1, np.arange(len(moments))))
        is_known = (last >= 0) & (things.periods[last] == things.periods)
        return np.where(is_known, moments[last], _earliest(column))


@dataclass(frozen=True, slots=True)
class _Things:
    """Rows or keys that get texts, in the order of the rows in which they come first.

    Parameters
    ----------
    numbers : ndarray of shape (things,), uint64
        Their numbers.
    rows : ndarray of shape (things,), int64
        Place of the first row of each.
    periods : ndarray of shape (things,), int64
        Period of this row.
    needed : ndarray of shape (asked things,), int64
        Those whose texts are asked for.
    places : ndarray of shape (asked rows,), int64
        For each row that is asked for, its place among these.
    """

    numbers: NDArray[np.uint64]
    rows: Ints
    periods: Ints
    needed: Ints
    places: Ints


def _period(form: IdentifierForm, window: int) -> int:
    """Rows among which texts of a form are numbered."""
    return PERIOD if form.key is None else window or int(period_of(form.key).stops[-1])


def _earliest(column: NumericColumn) -> int:
    """The earliest moment of a column in the training rows; the beginning of 1970 where it has none."""
    if column.minimum is None:
        return 0
    plain = column.codec.plain
    moments = DatesInText.moments(column, plain.decode(np.array([plain.number(column.minimum)])))
    assert moments is not None
    return int(moments[0])


@dataclass(frozen=True, slots=True)
class _Groups:
    """Groups of rows or keys: those of a date, and of a pattern where these are no running numbers.

    Parameters
    ----------
    numbers : ndarray of shape (things,), uint64
        A number for each group.
    patterns : ndarray of shape (things,), int64
        Place of each pattern.
    moments : ndarray of shape (things,), int64, or None
        Moments whose dates the texts hold.
    """

    numbers: NDArray[np.uint64]
    patterns: Ints
    moments: Ints | None

    @classmethod
    def of(cls, form: IdentifierForm, patterns: Ints, moments: Ints | None) -> _Groups:
        """The groups of patterns and moments."""
        groups = np.zeros(len(patterns), np.int64)
        for place, pattern in enumerate(form.patterns):
            rows = np.flatnonzero(patterns == place)
            of_pattern = np.full(len(rows), 0 if form.kind == "number" else place)
            if moments is not None:
                for part in pattern.dates.values():
                    numbers, count = DatesInText.numbers(moments[rows], part), 10 ** DatesInText.digits[part]
                    of_pattern = of_pattern * count + numbers % count
            groups[rows] = of_pattern
        return cls(groups.view(np.uint64), patterns, moments)


def _ranks(periods: Ints, groups: NDArray[np.uint64]) -> Ints:
    """How many entries before each one have the same period and group."""
    order = np.lexsort((groups, periods))
    changes = (np.diff(groups[order], prepend=0) != 0) | (np.diff(periods[order], prepend=-1) != 0)
    changes[:1] = True
    entries = np.arange(len(order))
    ranks = np.empty(len(order), np.int64)
    ranks[order] = entries - np.maximum.accumulate(np.where(changes, entries, 0))
    return ranks

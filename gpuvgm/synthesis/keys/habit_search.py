"""Which columns have habits, by how often rows of one key are alike, and what a habit costs other columns."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import rel_entr

from gpuvgm.arrays import Column, mixed
from gpuvgm.columns import CategoricalColumn, FittedColumn
from gpuvgm.engines import AskedColumn
from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.bins import LEAST_KEYS, Bins, Clock, Codes, Part, Persons, Rows
from gpuvgm.synthesis.keys.habits import (
    ALL_ROWS,
    ALL_WEEKDAYS,
    EACH_ROW,
    LEAST_SHARE,
    MOST_CATEGORIES,
    MOST_COLUMNS,
    WEEKDAYS,
    Habit,
    HabitPart,
    as_categories,
    as_numbers,
    with_habits,
)
from gpuvgm.synthesis.keys.key_pairs import TURNS, KeyPairs
from gpuvgm.synthesis.keys.key_search import MOST_CODES
from gpuvgm.synthesis.keys.keys import Hashes

MOST_ROWS = 5  # of a category, on average, where it is a key: trees learn the days of those with more
MOST_LOST = 1.5  # nats, on average, that a row may be less likely where a habit moves it
LEAST_TOLD = 20.0  # nats that categories must tell of the weekdays of all keys
MOST_INFORMATION = 0.03  # nats that another column may say of a key's value, which is drawn without it
GROUPS = 16  # of bins, by which that information is computed
MOST_KEPT = 1 << 15  # rows that pairs are made of; keys are left out whole
UNUSUAL = 0.002  # of the rows: a weekday with fewer is one that rows are moved away from
#: Least days between two rows that may show a habit: nearer ones have like weekdays or places in the month anyway.
APART: dict[HabitPart, int] = {
    "day": 16,
    "day from the end": 16,
    "working day": 16,
    "working day from the end": 16,
    "weekday": 4,
    "time": 1,
}
DAYS: tuple[HabitPart, ...] = tuple(APART)[:-1]  # of which one tells the day


@dataclass(frozen=True)  # no slots: bins are cached
class HabitSample:
    """A sample of rows that habits are learnt from.

    Parameters
    ----------
    columns : mapping of str to FittedColumn
        All columns.
    bins : mapping of str to Bins
        Bins of the columns whose sampled values nothing else changes, such as a law.
    rows : callable
        Gives the rows of a column.
    find : callable
        Gives the bins and parts that rows have where their values of a column are replaced.
    names : tuple of str
        All columns that are modelled.
    persons : Persons
        Whose the rows are.
    """

    columns: Mapping[str, FittedColumn]
    bins: Mapping[str, Bins]
    rows: Rows
    find: Callable[[str, Column], tuple[Codes, dict[Part, Codes]]]
    names: tuple[str, ...]
    persons: Persons

    @cached_property
    def coded(self) -> dict[str, tuple[Codes, dict[Part, Codes]]]:
        """Bins and parts of all columns."""
        return {name: self.find(name, self.rows(name)) for name in self.names}

    def places(self, name: str) -> Ints:
        """Places of a column's categories; -1 for what is none."""
        return np.asarray(as_categories(self.columns[name]).index.find(self.rows(name)))

    def numbers(self, name: str) -> tuple[Floats, NDArray[np.signedinteger[Any]] | None]:
        """Numbers of a column, and its modal values, as `NumericColumn.plain_numbers` gives them."""
        return as_numbers(self.columns[name]).plain_numbers(self.rows(name))


def habits_of(
    sample: HabitSample, keys: Mapping[str, Hashes], attributes: Collection[str] = ()
) -> tuple[tuple[Habit, ...], dict[str, Hashes]]:
    """Habits of a sample of rows, and hashes of all keys: columns of many categories are keys here as well.

    Trees cannot learn the days of each of so many categories.

    Parameters
    ----------
    sample : HabitSample
        The sample.
    keys : mapping of str to ndarray of shape (rows,), uint64
        Hashes of the keys of each level, by their first column; 0 for rows without one.
    attributes : collection of str
        Columns that keys decide, which may have calendars.
    """
    columns = {name: sample.columns[name] for name in sample.bins}
    counts = {name: len(column.categories) for name, column in columns.items() if isinstance(column, CategoricalColumn)}
    many = [name for name, count in counts.items() if count > MOST_CODES]
    if not keys and (not many or all(bins.clock is None for bins in sample.bins.values())):
        return (), {}
    keys = {**keys, **{name: (sample.places(name) + 1).astype(np.uint64) for name in many}}
    few = [name for name, count in counts.items() if count <= MOST_CATEGORIES][:MOST_COLUMNS]
    pairs = _all_pairs(sample, keys, few, many)
    habits, groups = list[Habit](), {name: _grouped(codes) for name, (codes, _) in sample.coded.items()}
    for name, bins in sample.bins.items():
        if bins.made_of is None and name not in keys:
            values = _values_of(sample, bins, groups)
            # Samples have the categories of the table by name, so that a value drawn for one would be wrong of it.
            refused = many if bins.clock is None else ()
            options = [
                [*values.habits(name, key, beside, pairs_of_key)]
                for (key, beside), pairs_of_key in pairs.items()
                if name not in (key, beside) and key not in refused
            ]
            best = max(options, key=lambda option: sum(explained for explained, _ in option), default=[])
            habits += [habit for _, habit in best]
    of_keys = dict.fromkeys([*attributes, *(habit.column for habit in habits if habit.part == "value")])
    calendars = _calendars(sample, [name for name in of_keys if name in sample.names])
    if calendars:
        keys[EACH_ROW] = np.arange(1, len(next(iter(keys.values()))) + 1, dtype=np.uint64)
    return (*habits, *calendars), keys


def _calendars(sample: HabitSample, names: Sequence[str]) -> list[Habit]:
    """Calendars of columns of dates by that one of some columns of categories which tells most of their weekdays."""
    calendars = list[Habit]()
    for name, bins in sample.bins.items():
        if bins.clock is not None:
            weekdays = _Moments.of(bins.clock, sample.numbers(name)[0]).codes["weekday"]
            tables = {beside: _weekdays_of(sample, beside, weekdays) for beside in names}
            beside = max(tables, key=lambda beside: tables[beside][1], default="")
            counts, information = tables.get(beside, (np.zeros((0, 0), np.int64), 0.0))
            if information > MOST_INFORMATION:
                calendars += [
                    _calendar(name, beside, category, rows) for category, rows in enumerate(counts) if rows.any()
                ]
    return calendars


def _calendar(name: str, beside: str, category: int, rows: Ints) -> Habit:
    """The calendar of a category, given its rows by weekday."""
    codes = np.flatnonzero(rows)
    weights = tuple(rows[codes].astype(float).tolist())
    return Habit(name, "weekday", EACH_ROW, beside, category, 1.0, tuple(codes.tolist()), weights, ALL_WEEKDAYS)


def _weekdays_of(sample: HabitSample, beside: str, weekdays: Ints) -> tuple[Ints, float]:
    """Rows of each category by weekday, as several persons have them; and what categories tell of weekdays, in nats.

    That is 0 where it may be chance. Rows of one key count as one for this.
    """
    column = sample.columns[beside]
    size = len(column.categories) if isinstance(column, CategoricalColumn) else 0
    if not 1 < size <= MOST_CATEGORIES:
        return np.zeros((0, 0), np.int64), 0.0
    places, codes = sample.places(beside), WEEKDAYS + 1
    cells = np.where((places >= 0) & (weekdays > 0), places * codes + weekdays, -1)
    several = sample.persons.several(cells, size * codes)
    counts = (np.bincount(cells[cells >= 0], minlength=size * codes) * several).reshape(size, codes)
    total = max(int(counts.sum()), 1)
    told = float(np.sum(rel_entr(counts, np.outer(counts.sum(axis=1), counts.sum(axis=0)) / total))) / total
    keys = min((len(np.unique(hashes)) for hashes in sample.persons.keys), default=total)
    told -= (size - 1) * (WEEKDAYS - 1) / (2 * keys)  # Miller 1955
    return counts, told if told * keys > LEAST_TOLD else 0.0


def _all_pairs(
    sample: HabitSample, keys: Mapping[str, Hashes], few: Sequence[str], many: Collection[str]
) -> dict[tuple[str, str], KeyPairs]:
    """Pairs of rows by column of keys, and column of few categories that may say where habits hold.

    Parameters
    ----------
    sample : HabitSample
        The sample.
    keys : mapping of str to ndarray of shape (rows,), uint64
        Hashes of all keys.
    few, many : sequence of str
        Columns of few categories, and those of so many that they are keys.
    """
    places_of = {name: sample.places(name) for name in few}
    places_of[ALL_ROWS] = np.zeros(len(next(iter(keys.values()))), np.int64)
    pairs = dict[tuple[str, str], KeyPairs]()
    for key, hashes in keys.items():
        rows, most = _rows_of_some(hashes), MOST_ROWS if key in many else np.inf
        for beside, places in places_of.items():
            pairs[key, beside] = KeyPairs.of(hashes, places, rows, most, sample.persons)
    return pairs


def _values_of(sample: HabitSample, bins: Bins, groups: Mapping[str, Ints]) -> _Values:
    """Values of a column that keys may have, given groups of bins of all columns."""
    values: Floats | Ints
    other_groups = {name: codes for name, codes in groups.items() if name != bins.name}
    if isinstance(sample.columns[bins.name], CategoricalColumn):
        values = sample.places(bins.name)
    else:
        numbers, modal = sample.numbers(bins.name)
        if bins.clock is not None:
            return _Moments.of(bins.clock, numbers)
        # Missing and modal values are values, too: each becomes a number that no other row has.
        values = np.where(np.isnan(numbers), np.inf, numbers)
        values = values if modal is None else np.where(modal >= 0, (modal + 1) * -1e300, values)
    return _SameValues(values, sample.coded[bins.name][0].astype(np.int64), groups[bins.name], other_groups)


def _rows_of_some(hashes: Hashes) -> Ints:
    """Rows that have a key: all rows of some keys, `MOST_KEPT` rows at most."""
    rows = np.flatnonzero(hashes != 0)
    if len(rows) <= MOST_KEPT:
        return rows
    marks = mixed(hashes[rows], 0)
    kept: Ints = rows[marks < np.partition(marks, MOST_KEPT)[MOST_KEPT]]
    return kept


def _grouped(codes: Codes) -> Ints:
    """Groups of bins with about equally many rows, `GROUPS` at most."""
    column = AskedColumn(codes, int(codes.max(initial=0)) + 1, is_category=False)
    return column.grouped(GROUPS).codes.astype(np.int64)


class _Values(Protocol):
    """Values of a sample that keys may have of their own."""

    def habits(self, column: str, key: str, beside: str, pairs: KeyPairs) -> Iterator[tuple[float, Habit]]:
        """Habits of keys in rows of each category of a column, and how many rows each explains."""


@dataclass(frozen=True, slots=True)
class _SameValues:
    """Values that keys may have of their own: amounts, or payees.

    Parameters
    ----------
    values : ndarray of shape (sample,)
        Numbers, also of what is no number, or places of categories.
    codes, groups : ndarray of shape (sample,), int64
        Bins, and groups of them.
    other_groups : mapping of str to ndarray of shape (sample,), int64
        Groups of bins of all other columns.
    """

    values: Floats | Ints
    codes: Ints
    groups: Ints
    other_groups: Mapping[str, Ints]

    def habits(self, column: str, key: str, beside: str, pairs: KeyPairs) -> Iterator[tuple[float, Habit]]:
        """As of `_Values`, where no other column says anything of what a key has: it is drawn without them."""
        shares = pairs.shares(self.values, self.values)
        for category in np.flatnonzero(shares >= LEAST_SHARE).tolist():
            rows, share = pairs.rows_of_keys(category), float(shares[category])
            codes, weights = _spread(self.codes, rows, pairs.persons)
            groups = self.groups[rows]
            depends = (_information(groups, codes[rows]) > MOST_INFORMATION for codes in self.other_groups.values())
            if codes and not any(depends):
                habit = Habit(column, "value", key, beside, category, share, codes, weights, ALL_WEEKDAYS)
                yield share**2 * float(pairs.counts[category]), habit


def _spread(codes: Ints, rows: Ints, persons: Persons) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Codes that keys may have, and their weights.

    A code that few keys have is not shown: neighbouring ones make a group, whose keys are shared out as the rows of the
    sample lie on its codes. A group of few keys, of any column of keys, has none.

    Parameters
    ----------
    codes : ndarray of shape (sample,), int64
        Code of each row; -1 without one.
    rows : ndarray of shape (keys,), int64
        One row of each key.
    persons : Persons
        Whose the rows of the sample are.
    """
    rows_of_codes, persons = np.bincount(codes[codes >= 0]), persons.at(rows)
    codes_of_keys = codes[rows]
    keys = np.bincount(codes_of_keys[codes_of_keys >= 0], minlength=len(rows_of_codes))
    groups = _groups_of_keys(np.minimum(keys, persons.counts(codes_of_keys, len(rows_of_codes))))
    keys_of_groups, rows_of_groups = np.bincount(groups, keys), np.bincount(groups, rows_of_codes)
    group_of_keys = np.where(codes_of_keys >= 0, groups[codes_of_keys], -1)
    persons_of_groups = persons.counts(group_of_keys, len(keys_of_groups))
    keys_of_groups[(keys_of_groups < LEAST_KEYS) | (persons_of_groups < LEAST_KEYS)] = 0
    weights = (keys_of_groups / np.maximum(rows_of_groups, 1))[groups] * rows_of_codes
    possible = np.flatnonzero(weights)
    return tuple(possible.tolist()), tuple(weights[possible].tolist())


def _groups_of_keys(keys: Ints) -> Ints:
    """Group of each code, by its keys: neighbours up to `LEAST_KEYS` keys; a code with so many begins a new group."""
    groups, counted = np.zeros(len(keys), np.int64), 0
    for code, count in enumerate(keys.tolist()):
        begins = counted >= LEAST_KEYS or count >= LEAST_KEYS
        groups[code] = groups[code - 1] + begins if code else 0
        counted = count if begins else counted + count
    return groups


def _information(first: Ints, second: Ints) -> float:
    """Mutual information of two columns in nats, less that of chance: with the rows of the second turned."""

    def between(turned: Ints) -> float:
        counts = np.bincount(first * GROUPS + turned, minlength=GROUPS**2).reshape(GROUPS, GROUPS)
        expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / max(len(first), 1)
        return float(np.sum(rel_entr(counts, expected))) / max(len(first), 1)

    turns = [len(first) * turn // (TURNS + 1) for turn in range(1, TURNS + 1)]
    return between(second) - float(np.mean([between(np.roll(second, turn)) for turn in turns]))


@dataclass(frozen=True, slots=True)
class _Moments:
    """Days of rows and their parts.

    Parameters
    ----------
    days : ndarray of shape (sample,), int64
        Day of each row on the clock; -1 without one.
    codes : mapping of str to ndarray of shape (sample,), int64
        Parts of each row; -1 without a day.
    """

    days: Ints
    codes: Mapping[HabitPart, Ints]

    @classmethod
    def of(cls, clock: Clock, numbers: Floats) -> _Moments:
        """Days and parts of numbers."""
        _, _, days, cells = clock.read(numbers)
        codes = {part: cells if part == "time" else clock.parts[part][days].astype(np.int64) for part in APART}
        missing = np.isnan(numbers)
        return cls(
            np.where(missing, -1, days), {part: np.where(missing, -1, of_part) for part, of_part in codes.items()}
        )

    def habits(self, column: str, key: str, beside: str, pairs: KeyPairs) -> Iterator[tuple[float, Habit]]:
        """As of `_Values`: of places in the month and weekdays the one is taken that most rows keep to."""
        weekdays = self._weekdays(pairs)
        lowest = {part: self.codes[part] for part in APART}
        lowest["day"] = lowest["day"] - _closed_before(weekdays)[pairs.places, self.codes["weekday"] - 1]
        shares = {part: pairs.shares(self.codes[part], lowest[part], self._far(APART[part])) for part in APART}
        of_day = np.argmax([shares[part] for part in DAYS], axis=0)
        for category in np.flatnonzero(pairs.keys).tolist():
            parts: tuple[HabitPart, ...] = DAYS[of_day[category]], "time"
            for part in parts:
                share = float(shares[part][category])
                if share < LEAST_SHARE:
                    continue
                # Only rows that were not moved to another weekday show the code of their key.
                rows = pairs.rows_of_keys(category, lowest[part] == self.codes[part])
                codes, weights = _spread(self.codes[part], rows, pairs.persons)
                if codes:
                    bits = int(weekdays[category] @ (1 << np.arange(7)))
                    habit = Habit(column, part, key, beside, category, share, codes, weights, bits)
                    yield share**2 * float(pairs.counts[category]), habit

    def _far(self, days: int) -> Callable[[Ints, Ints], NDArray[np.bool_]]:
        """Return what marks pairs of rows that lie so many days apart."""

        def are_far(first: Ints, second: Ints) -> NDArray[np.bool_]:
            has_days = (self.days[first] >= 0) & (self.days[second] >= 0)
            mask: NDArray[np.bool_] = has_days & (np.abs(self.days[first] - self.days[second]) >= days)
            return mask

        return are_far

    def _weekdays(self, pairs: KeyPairs) -> NDArray[np.bool_]:
        """Whether rows of each category have each weekday, shape (categories, 7)."""
        rows = pairs.rows[self.days[pairs.rows] >= 0]
        size = 7 * len(pairs.counts)
        counts = np.bincount(pairs.places[rows] * 7 + self.codes["weekday"][rows] - 1, minlength=size).reshape(-1, 7)
        mask: NDArray[np.bool_] = counts > UNUSUAL * counts.sum(axis=1, keepdims=True)
        return mask


def _closed_before(weekdays: NDArray[np.bool_]) -> Ints:
    """How many weekdays right before each one rows of a category do not have, shape (categories, 7)."""
    before, closed = np.zeros(weekdays.shape, np.int64), np.ones(weekdays.shape, np.bool_)
    for back in range(1, 7):
        closed &= ~np.roll(weekdays, back, axis=1)
        before += closed
    return before


def likely_habits(
    habits: Sequence[Habit],
    sample: HabitSample,
    keys: Mapping[str, Hashes],
    log_probability: Callable[[str, Codes, Mapping[Part, Codes]], Floats],
) -> tuple[Habit, ...]:
    """Habits by which rows can be moved without becoming much less likely, given their other columns.

    A table with a column of weekdays or months loses its habits of dates, as these would no longer fit it. Habits of
    values are kept, but those of which dates must follow by a calendar that is lost so.

    Parameters
    ----------
    habits : sequence of Habit
        Habits of some columns.
    sample : HabitSample
        The sample.
    keys : mapping of str to ndarray of shape (rows,), uint64
        As `habits_of` gives them.
    log_probability : callable
        How likely bins and parts of a column are beside all others, and these beside it, in nats by row.
    """
    keys_of_rows = {key: (hashes, hashes != 0) for key, hashes in keys.items()}
    beside = {habit.beside for habit in habits if habit.beside}
    places, likely = {name: sample.places(name).astype(np.float64) for name in beside}, list[Habit]()
    for name, of_rows in dict.fromkeys((habit.column, habit.is_calendar) for habit in habits):
        of_column = [habit for habit in habits if (habit.column, habit.is_calendar) == (name, of_rows)]
        clock = sample.bins[name].clock
        if clock is None:
            likely += of_column
            continue
        numbers = sample.numbers(name)[0]
        readings, every = clock.readings(numbers), np.arange(len(numbers), dtype=np.uint64)
        places_of_rows = {**places, name: readings}
        kept = [(habit, habit.rows(places_of_rows, keys_of_rows, every, 0)) for habit in of_column]
        moved = with_habits(kept, {name: clock}, places_of_rows, keys_of_rows, 0).get(name, readings)
        losses = _losses(sample, name, numbers, clock.numbers(moved), log_probability)
        likely += of_column if len(losses) and float(np.mean(losses)) <= MOST_LOST else []
    lost = {habit.beside for habit in habits if habit.is_calendar and habit not in likely}
    return tuple(habit for habit in likely if habit.part != "value" or habit.column not in lost)


def _losses(
    sample: HabitSample,
    name: str,
    numbers: Floats,
    moved: Floats,
    log_probability: Callable[[str, Codes, Mapping[Part, Codes]], Floats],
) -> Floats:
    """How many nats each moved row of a column is less likely, given its numbers before and after the move."""
    plain = as_numbers(sample.columns[name]).codec.plain
    values = plain.decode(np.where(np.isnan(numbers), 0.0, moved))
    losses = log_probability(name, *sample.coded[name]) - log_probability(name, *sample.find(name, values))
    losses_of_moved: Floats = losses[~np.isnan(numbers) & (moved != numbers)]
    return losses_of_moved

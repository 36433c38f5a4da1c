"""Habits: days, times and values that a key has of its own, as each account has those of its standing order.

Bins and trees know nothing of a key's other rows, so that each standing order of an account would have another day. A
habit holds in rows of one category, or in all rows. Pairs of rows of the same key tell it: how much more often they
have the same day than other pairs. In samples a key draws its day by its number, and its rows are moved to this day of
their month.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import rel_entr

from gpuvgm.arrays import Column, mixed
from gpuvgm.columns import CategoricalColumn, FittedColumn, NumericColumn
from gpuvgm.engines import AskedColumn, philox_words
from gpuvgm.rules import finite, whole
from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.bins import LEAST_KEYS, Bins, Clock, Codes, Part, Persons, Rows, numbers_of_rows
from gpuvgm.synthesis.keys.keys import MOST_CODES, Hashes
from gpuvgm.synthesis.keys.streams import column_number

LEAST_PAIRS = 30  # of rows of the same key
MOST_ROWS = 5  # of each of many categories: of more, trees tell its days
LEAST_SHARE = 0.5  # of the rows, that keep to a habit
LEAST_SURPRISE = 6.0  # standard errors that pairs are alike beyond chance
MOST_LOST = 1.5  # nats that a row is less likely where a habit moves it
MOST_TOLD, GROUPS = 0.03, 16  # nats that another column tells of a key's value, and groups of bins by which it may
MOST_SEEN = 1 << 15  # rows, of as many keys as have so many
TURNS = 4  # by which rows of other keys are put beside each
MOST_CATEGORIES, MOST_COLUMNS = 64, 16  # of a column that says where habits hold, and of such columns
UNUSUAL = 0.002  # of the rows, that a weekday has on which others are not moved
OPEN = 0.01  # of the rows of a usual day, that a day has which rows are moved to
#: Days between two rows that tell of a habit: nearer ones have like weekdays, or places in the month, anyway.
APART: dict[HabitPart, int] = {
    "day": 16,
    "day from the end": 16,
    "working day": 16,
    "working day from the end": 16,
    "weekday": 4,
    "time": 1,
}
DAYS: tuple[HabitPart, ...] = tuple(APART)[:-1]  # of which one tells the day
ALL_ROWS, ALL_WEEKDAYS = "", 127
HabitPart = Literal["weekday", "day", "day from the end", "working day", "working day from the end", "time", "value"]
KeysOfRows = Mapping[str, tuple[NDArray[np.uint64], NDArray[np.bool_]]]


@dataclass(frozen=True, slots=True)
class Habit:
    """What each key has of its own in rows of a category: a part of dates, or a value.

    Parameters
    ----------
    column : str
        Column of what it has.
    part : str
        Part of the column's clock, or "value".
    key : str
        First column of the keys.
    beside : str
        Column of categories that says in which rows the habit holds; empty for all rows.
    category : int
        Place of the category among those of this column.
    share : float
        Share of these rows that keep to it.
    codes : tuple of int
        Days and cells of the clock, or bins of the column.
    weights : tuple of float
        How many keys have each: those of at least `LEAST_KEYS` spread over neighbouring codes as all rows are.
    weekdays : int
        A bit for each weekday, from Monday, that rows of the category have.
    """

    column: str
    part: HabitPart
    key: str
    beside: str
    category: Annotated[int, whole()]
    share: Annotated[float, finite]
    codes: tuple[int, ...]
    weights: tuple[Annotated[float, finite], ...]
    weekdays: Annotated[int, whole(1, ALL_WEEKDAYS)]

    def check(self, columns: Mapping[str, FittedColumn], bins: Mapping[str, Bins], keys: Set[str]) -> None:
        """Raise ValueError where a loaded habit does not fit columns, their bins and the columns of keys."""
        own, beside, key = bins.get(self.column), columns.get(self.beside), columns.get(self.key)
        is_beside = isinstance(beside, CategoricalColumn) and self.category < len(beside.categories)
        fits = (is_beside or (not self.beside and not self.category)) and LEAST_SHARE <= self.share <= 1
        fits = fits and (self.key in keys or isinstance(key, CategoricalColumn)) and self.key != self.column
        fits = fits and len(self.codes) == len(self.weights) > 0 and min(self.weights) > 0
        size = 0
        if own is not None and self.part == "value" and own.clock is None:
            size = len(own)
        elif own is not None and self.part != "value" and own.clock is not None:
            size = len(own.clock.cells) if self.part == "time" else own.clock.size(self.part)
        if not fits or max(self.codes) >= size:
            raise ValueError(f'the habits of "{self.column}" do not fit it')

    def rows(self, drawn: Mapping[str, Floats], keys: KeysOfRows, first_row: int, seed: int) -> Ints:
        """Those of consecutive rows that keep to the habit; `first_row` is the number of the first."""
        mask = keys[self.key][1]
        at = np.flatnonzero(mask & (drawn[self.beside] == self.category) if self.beside else mask)
        if self.share == 1:
            return at
        # The same words for all parts of a column: rows that keep to its day keep to its time.
        column, numbers = column_number(f"{self.stream}/keeps"), at.astype(np.uint64) + np.uint64(first_row)
        own: Ints = at[philox_words(numbers, column, seed)[0] < self.share * 2**32]
        return own

    def codes_of(self, keys: NDArray[np.uint64], seed: int) -> Ints:
        """The code of each of some keys, by their numbers."""
        stops = np.cumsum(self.weights) / sum(self.weights) * 2**32
        words = philox_words(keys, column_number(f"{self.stream}/{self.part}"), seed)[0]
        codes: Ints = np.array(self.codes)[np.searchsorted(stops[:-1], words, side="right")]
        return codes

    @property
    def stream(self) -> str:
        """Name of the streams of random numbers that what keys have is drawn by."""
        return f"{self.column}/{self.beside}/{self.category}"

    def days(self, clock: Clock, codes: Ints, days: Ints) -> Ints:
        """Days with some codes in place of others, in the same month or else the nearest.

        Rows of a weekday that the category does not have move to the next one that it has, as banks do.
        """
        of_days, found = clock.parts[self.part], days.copy()
        weekdays = clock.parts["weekday"].astype(np.int64) - 1
        is_open = (clock.rows >= OPEN * np.median(clock.rows)) & ((self.weekdays >> weekdays) & 1 == 1)
        open_days, months = np.flatnonzero(is_open), _months_of(clock)
        for code in np.unique(codes).tolist() if len(open_days) else ():
            own, meant = np.flatnonzero(codes == code), np.flatnonzero(of_days == code)
            if not len(meant):
                continue
            targets = open_days[np.minimum(np.searchsorted(open_days, meant), len(open_days) - 1)]
            after = np.searchsorted(targets, days[own])
            ends = targets[np.maximum(after - 1, 0)], targets[np.minimum(after, len(targets) - 1)]
            found[own] = np.where(np.abs(days[own] - ends[0]) <= np.abs(ends[1] - days[own]), *ends)
            if self.part != "weekday":
                of_month = np.full(months[-1] + 1, -1)
                of_month[months[meant]] = targets
                same_month = of_month[months[days[own]]]
                found[own] = np.where(same_month >= 0, same_month, found[own])
        return found


def _months_of(clock: Clock) -> Ints:
    """Months from that of the first day on, by day."""
    months = (clock.first + np.arange(len(clock.kinds))).astype("M8[D]").astype("M8[M]").astype(np.int64)
    from_first: Ints = months - months[0]
    return from_first


# -- which habits there are


@dataclass(frozen=True)  # no slots: bins are cached
class HabitSample:
    """A sample of rows that habits are learnt from.

    Parameters
    ----------
    columns : mapping of str to FittedColumn
        All columns.
    bins : mapping of str to Bins
        Bins of the columns whose drawn values stay.
    rows : callable
        Gives the rows of a column.
    find : callable
        Gives bins and parts of some values in place of a column's.
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
        return np.asarray(_as_categories(self.columns[name]).index.find(self.rows(name)))

    def numbers(self, name: str) -> tuple[Floats, NDArray[np.signedinteger[Any]] | None]:
        """Numbers of a column, and its modal values, as `numbers_of_rows` gives them."""
        return numbers_of_rows(_as_numbers(self.columns[name]), self.rows(name))


def habits_of(sample: HabitSample, keys: Mapping[str, Hashes]) -> tuple[tuple[Habit, ...], dict[str, Hashes]]:
    """Habits of a sample of rows, and hashes of all keys, as columns of many categories are keys as well.

    Trees cannot tell the days of each of so many categories.

    Parameters
    ----------
    sample : HabitSample
        The sample.
    keys : mapping of str to ndarray of shape (rows,), uint64
        Hashes of the keys of each level, by their first column; 0 for rows without one.
    """
    columns = {name: sample.columns[name] for name in sample.bins}
    counts = {name: len(one.categories) for name, one in columns.items() if isinstance(one, CategoricalColumn)}
    many = [name for name, count in counts.items() if count > MOST_CODES]
    if not keys and (not many or all(bins.clock is None for bins in sample.bins.values())):
        return (), {}
    keys = {**keys, **{name: (sample.places(name) + 1).astype(np.uint64) for name in many}}
    few = [name for name, count in counts.items() if count <= MOST_CATEGORIES][:MOST_COLUMNS]
    beside = {name: sample.places(name) for name in few}
    beside[ALL_ROWS] = np.zeros(len(next(iter(keys.values()))), np.int64)
    pairs = dict[tuple[str, str], _Pairs]()
    for key, hashes in keys.items():
        seen, most = _rows_of_some(hashes), MOST_ROWS if key in many else np.inf
        for other, places in beside.items():
            pairs[key, other] = _Pairs.of(hashes, places, seen, most, sample.persons)
    found, groups = list[tuple[float, Habit]](), {name: _grouped(codes) for name, (codes, _) in sample.coded.items()}
    for name, bins in sample.bins.items():
        if bins.made_of is None and name not in keys:
            values = _values_of(sample, bins, groups)
            # What categories that keep their names have is theirs: a value that is drawn for them would be wrong.
            named = many if bins.clock is None else ()
            own_pairs = ((names, own) for names, own in pairs.items() if name not in names and names[0] not in named)
            options = [[*values.habits(name, *names, own)] for names, own in own_pairs]
            found += max(options, key=lambda habits: sum(explained for explained, _ in habits), default=[])
    return tuple(habit for _, habit in found), keys


def _values_of(sample: HabitSample, bins: Bins, groups: Mapping[str, Ints]) -> _Values:
    """Values of a column that keys may have of their own, given groups of bins of all columns."""
    values: Floats | Ints
    others = {name: own for name, own in groups.items() if name != bins.name}
    if isinstance(sample.columns[bins.name], CategoricalColumn):
        values = sample.places(bins.name)
    else:
        numbers, modal = sample.numbers(bins.name)
        if bins.clock is not None:
            return _Moments.of(bins.clock, numbers)
        values = np.where(np.isnan(numbers), np.inf, numbers)
        values = values if modal is None else np.where(modal >= 0, (modal + 1) * -1e300, values)
    return _SameValues(values, sample.coded[bins.name][0].astype(np.int64), groups[bins.name], others)


def _rows_of_some(hashes: Hashes) -> Ints:
    """Rows that have a key: all rows of each key, `MOST_SEEN` of them or fewer."""
    rows = np.flatnonzero(hashes != 0)
    if len(rows) <= MOST_SEEN:
        return rows
    marks = mixed(hashes[rows], 0)
    seen: Ints = rows[marks < np.partition(marks, MOST_SEEN)[MOST_SEEN]]
    return seen


def _grouped(codes: Codes) -> Ints:
    """Groups of bins with about equally many rows, `GROUPS` at most."""
    column = AskedColumn(codes, int(codes.max(initial=0)) + 1, is_category=False)
    return column.grouped(GROUPS).codes.astype(np.int64)


def _as_numbers(column: FittedColumn) -> NumericColumn:
    assert isinstance(column, NumericColumn)
    return column


def _as_categories(column: FittedColumn) -> CategoricalColumn:
    assert isinstance(column, CategoricalColumn)
    return column


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Rows of a sample by key and category, and pairs of rows of the same.

    Parameters
    ----------
    hashes, places : ndarray of shape (sample,)
        Key and category of each row of the sample.
    rows : ndarray of shape (rows,), int64
        Those that have both, of some keys, by key, then category.
    pairs : ndarray of shape (2, pairs), int64
        Pairs of them, by category.
    counts, keys : ndarray of shape (categories,), int64
        Rows and keys of each category; keys are 0 where they have too many rows for a habit.
    persons : Persons
        Whose the rows of the sample are.
    """

    hashes: Hashes
    places: Ints
    rows: Ints
    pairs: Ints
    counts: Ints
    keys: Ints
    persons: Persons

    @classmethod
    def of(cls, hashes: Hashes, places: Ints, rows: Ints, most_rows: float, persons: Persons) -> _Pairs:
        """Pairs of some rows; keys with more rows of a category than so many on average have no habits there."""
        rows = rows[places[rows] >= 0]
        # By key and category, else as if drawn: rows that follow each other in a table may be alike by that alone.
        rows = rows[np.lexsort((mixed(rows.astype(np.uint64)), places[rows], hashes[rows]))]
        follows = (hashes[rows][1:] == hashes[rows][:-1]) & (places[rows][1:] == places[rows][:-1])
        counts = np.bincount(places[rows], minlength=1)
        keys = counts - np.bincount(places[rows[1:][follows]], minlength=len(counts))
        pairs = np.stack((rows[:-1], rows[1:]))[:, follows]
        pairs = pairs[:, np.argsort(places[pairs[0]], kind="stable")]
        return cls(hashes, places, rows, pairs, counts, np.where(counts <= most_rows * keys, keys, 0), persons)

    def shares(
        self, codes: Floats | Ints, lowest: Floats | Ints, far: Callable[[Ints, Ints], NDArray[np.bool_]] | None = None
    ) -> Floats:
        """Share of the rows of each category that keep to a habit; 0 where pairs are alike as if by chance.

        Two rows keep to it with the square of the share, and all other pairs are alike by chance. That chance is what
        pairs of different keys tell, of the same category and as far apart.

        Parameters
        ----------
        codes : ndarray of shape (sample,)
            What may be alike.
        lowest : ndarray of shape (sample,)
            The least code that each row can be meant for: on a Monday, that of the Saturday before, if rows of its
            category have no weekends.
        far : callable, optional
            Which pairs of rows say something.
        """
        (one, other), size = self.pairs, len(self.counts)

        def counts(other: Ints) -> tuple[Ints, Ints]:
            alike, seen = (lowest[one] <= codes[other]) & (lowest[other] <= codes[one]), self.places[one]
            if far is None:
                return np.bincount(seen, minlength=size), np.bincount(seen, alike, size)
            tells = far(one, other)
            return np.bincount(seen[tells], minlength=size), np.bincount(seen[tells & alike], minlength=size)

        count, alike = counts(other)
        if not np.any((count >= LEAST_PAIRS) & (alike >= LEAST_SHARE**2 * count) & (self.keys > 0)):
            return np.zeros(size)
        of_category = np.bincount(self.places[one], minlength=size)
        start, length = (values[self.places[one]] for values in (np.cumsum(of_category) - of_category, of_category))
        at = np.arange(len(one)) - start
        turned = (start + (at + length * turn // (TURNS + 1)) % length for turn in range(1, TURNS + 1))
        beside, alike_beside = np.sum([counts(other[turn]) for turn in turned], axis=0)
        chance = alike_beside / np.maximum(beside, 1)
        surplus, spread = alike - chance * count, np.sqrt(chance * (1 - chance) * count + 1)
        is_sure = (count >= LEAST_PAIRS) & (surplus >= LEAST_SURPRISE * spread) & (self.keys > 0)
        shares: Floats = np.sqrt(np.where(is_sure, surplus / np.maximum(count * (1 - chance), 1), 0.0))
        return np.minimum(shares, 1.0)

    def rows_of_keys(self, category: int, as_meant: NDArray[np.bool_] | None = None) -> Ints:
        """One row of a category of each key."""
        own = self.rows[self.places[self.rows] == category]
        own = own if as_meant is None else own[as_meant[own]]
        rows: Ints = own[np.diff(self.hashes[own], prepend=np.uint64(0)) != 0]
        return rows


class _Values(Protocol):
    """Values of a sample that keys may have of their own."""

    def habits(self, column: str, key: str, beside: str, pairs: _Pairs) -> Iterator[tuple[float, Habit]]:
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
    others : mapping of str to ndarray of shape (sample,), int64
        Groups of other columns.
    """

    values: Floats | Ints
    codes: Ints
    groups: Ints
    others: Mapping[str, Ints]

    def habits(self, column: str, key: str, beside: str, pairs: _Pairs) -> Iterator[tuple[float, Habit]]:
        """As of `_Values`: where no other column tells something of what a key has, as it is drawn by itself."""
        shares = pairs.shares(self.values, self.values)
        for category in np.flatnonzero(shares >= LEAST_SHARE).tolist():
            rows, share = pairs.rows_of_keys(category), float(shares[category])
            codes, weights = _spread(self.codes, rows, pairs.persons)
            is_told = (_information(self.groups[rows], own[rows]) > MOST_TOLD for own in self.others.values())
            if codes and not any(is_told):
                habit = Habit(column, "value", key, beside, category, share, codes, weights, ALL_WEEKDAYS)
                yield share**2 * float(pairs.counts[category]), habit


def _spread(codes: Ints, rows: Ints, persons: Persons) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Codes that keys may have, and weights of them, by the codes of a sample and one row of each key.

    No code is told that few keys have, of any column of them: such neighbours share their keys as they share the rows
    of the sample.
    """
    every, persons = np.bincount(codes[codes >= 0]), persons.at(rows)
    keys = np.bincount(codes[rows][codes[rows] >= 0], minlength=len(every))
    different = persons.counts(codes[rows], len(every))
    group, counted = np.zeros(len(every), np.int64), 0
    for code, count in enumerate(np.minimum(keys, different).tolist()):
        begins = counted >= LEAST_KEYS or count >= LEAST_KEYS
        group[code] = group[code - 1] + begins if code else 0
        counted = count if begins else counted + count
    of_group, in_group = np.bincount(group, keys), np.bincount(group, every)
    groups = np.where(codes[rows] >= 0, group[codes[rows]], -1)
    of_group[(of_group < LEAST_KEYS) | (persons.counts(groups, len(of_group)) < LEAST_KEYS)] = 0
    weights = (of_group / np.maximum(in_group, 1))[group] * every
    found = np.flatnonzero(weights)
    return tuple(found.tolist()), tuple(weights[found].tolist())


def _information(one: Ints, other: Ints) -> float:
    """Mutual information of two columns in nats, less what there is by chance: that beside other rows."""

    def between(other: Ints) -> float:
        counts = np.bincount(one * GROUPS + other, minlength=GROUPS**2).reshape(GROUPS, GROUPS)
        expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / max(len(one), 1)
        return float(np.sum(rel_entr(counts, expected))) / max(len(one), 1)

    turns = [len(one) * turn // (TURNS + 1) for turn in range(1, TURNS + 1)]
    return between(other) - float(np.mean([between(np.roll(other, turn)) for turn in turns]))


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
        return cls(np.where(missing, -1, days), {part: np.where(missing, -1, own) for part, own in codes.items()})

    def habits(self, column: str, key: str, beside: str, pairs: _Pairs) -> Iterator[tuple[float, Habit]]:
        """As of `_Values`: of places in the month and weekdays the one is taken that most rows keep to."""
        weekdays = self._weekdays(pairs)
        lowest = {part: self.codes[part] for part in APART}
        lowest["day"] = lowest["day"] - _closed_before(weekdays)[pairs.places, self.codes["weekday"] - 1]
        shares = {part: pairs.shares(self.codes[part], lowest[part], self._far(APART[part])) for part in APART}
        of_day = np.argmax([shares[part] for part in DAYS], axis=0)
        for category in np.flatnonzero(pairs.keys).tolist():
            both: tuple[HabitPart, ...] = DAYS[of_day[category]], "time"
            for part in both:
                share = float(shares[part][category])
                if share < LEAST_SHARE:
                    continue
                # Rows that are not moved to the next weekday.
                rows = pairs.rows_of_keys(category, lowest[part] == self.codes[part])
                codes, weights = _spread(self.codes[part], rows, pairs.persons)
                if codes:
                    bits = int(weekdays[category] @ (1 << np.arange(7)))
                    habit = Habit(column, part, key, beside, category, share, codes, weights, bits)
                    yield share**2 * float(pairs.counts[category]), habit

    def _far(self, days: int) -> Callable[[Ints, Ints], NDArray[np.bool_]]:
        """Return what marks pairs of rows that lie so many days apart."""

        def are_far(one: Ints, other: Ints) -> NDArray[np.bool_]:
            has_days = (self.days[one] >= 0) & (self.days[other] >= 0)
            mask: NDArray[np.bool_] = has_days & (np.abs(self.days[one] - self.days[other]) >= days)
            return mask

        return are_far

    def _weekdays(self, pairs: _Pairs) -> NDArray[np.bool_]:
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
    """Habits by which rows of a sample can be moved, and are hardly less likely beside their other columns.

    Columns of weekdays or months, for example, would belong to another date. Habits of values are all kept.

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
    of_keys = {key: (hashes, hashes != 0) for key, hashes in keys.items()}
    beside = {habit.beside for habit in habits if habit.beside}
    places, likely = {name: sample.places(name).astype(np.float64) for name in beside}, list[Habit]()
    for name in dict.fromkeys(habit.column for habit in habits):
        own, clock = [habit for habit in habits if habit.column == name], sample.bins[name].clock
        if clock is None:
            likely += own
            continue
        numbers = sample.numbers(name)[0]
        drawn = {**places, name: clock.readings(numbers)}
        kept = [(habit, habit.rows(drawn, of_keys, 0, 0)) for habit in own]
        moved = clock.numbers(with_habits(kept, {name: clock}, drawn, of_keys, 0).get(name, drawn[name]))
        plain = _as_numbers(sample.columns[name]).codec.plain
        others = plain.decode(np.where(np.isnan(numbers), 0.0, moved))
        loss = log_probability(name, *sample.coded[name])
        loss -= log_probability(name, *sample.find(name, others))
        loss = loss[~np.isnan(numbers) & (moved != numbers)]
        likely += own if len(loss) and float(np.mean(loss)) <= MOST_LOST else []
    return tuple(likely)


def describe_habits(habits: Sequence[Habit], columns: Mapping[str, FittedColumn]) -> str:
    """Description of habits; empty without any."""
    texts = []
    for habit in habits:
        where = ""
        if habit.beside:
            beside = _as_categories(columns[habit.beside])
            where = f" where {beside.name} is {beside.text_of(beside.categories[habit.category])}"
        texts.append(f"{habit.part} of {habit.column} (of each {habit.key}{where})")
    return f"habits: {', '.join(texts)}" if texts else ""


# -- habits of samples


def with_habits(
    habits: Sequence[tuple[Habit, Ints]],
    clocks: Mapping[str, Clock],
    drawn: Mapping[str, Floats],
    keys: KeysOfRows,
    seed: int,
) -> dict[str, Floats]:
    """Readings of columns of consecutive rows, moved to the days and times of their keys.

    Parameters
    ----------
    habits : sequence of (Habit, ndarray)
        Habits and the rows that keep to each; those of columns without a clock stay.
    clocks : mapping of str to Clock
        Clocks of the columns.
    drawn : mapping of str to ndarray of shape (rows,)
        Places as they are drawn: readings of the clocks, and categories of the columns that say where habits hold.
    keys : mapping of str to (ndarray, ndarray)
        By first column of keys, the number of each row's key, and whether it has one.
    seed : int
        Seed of what keys have.
    """
    moved: dict[str, Floats] = {}
    for name, clock in clocks.items():
        has_moment = np.isfinite(drawn[name])  # rows with a twin's number have none
        rows = [(habit, at[has_moment[at]]) for habit, at in habits if habit.column == name]
        every = np.unique(np.concatenate([np.empty(0, np.int64), *(at for _, at in rows)]))
        if len(every):
            moments = _DrawnMoments.of(clock, drawn[name][every])
            for habit, at in rows:
                moments.move(habit, np.searchsorted(every, at), habit.codes_of(keys[habit.key][0][at], seed))
            moved[name] = drawn[name].copy()
            moved[name][every] = moments.readings
    return moved


@dataclass(frozen=True, slots=True)
class _DrawnMoments:
    """Days and times of drawn rows, which habits change.

    Parameters
    ----------
    clock : Clock
        The clock.
    days, cells : ndarray of shape (rows,), int64
        Day and cell of each row.
    times : ndarray of shape (rows,)
        Numbers since the start of the day.
    """

    clock: Clock
    days: Ints
    cells: Ints
    times: Floats

    @classmethod
    def of(cls, clock: Clock, readings: Floats) -> _DrawnMoments:
        """Those of readings."""
        numbers = clock.numbers(readings)
        _, _, days, cells = clock.read(numbers)
        return cls(clock, days, cells, numbers - clock.starts[days])

    @property
    def readings(self) -> Floats:
        """Readings of the clock."""
        return self.clock.readings(self.clock.starts[self.days] + self.times)

    def move(self, habit: Habit, places: Ints, codes: Ints) -> None:
        """Move some rows to days with given codes, or to cells of the day, as far within them as they were."""
        clock = self.clock
        if habit.part != "time":
            self.days[places] = habit.days(clock, codes, self.days[places])
            return
        widths, own = np.diff(np.append(clock.cells, clock.length)), self.cells[places]
        inside = np.clip((self.times[places] - clock.cells[own]) / widths[own], 0.0, 1.0)
        steps = np.floor(np.minimum(inside * widths[codes], widths[codes] - clock.tick) / clock.tick)
        self.times[places] = clock.cells[codes] + np.maximum(steps, 0.0) * clock.tick

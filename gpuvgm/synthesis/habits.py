"""Habits: days and times that a key has of its own, as each account has those of its standing order.

Bins and trees know nothing of a key's other rows, so that each standing order of an account would have another day. A
habit holds in rows of one category, or in all rows. Pairs of rows of the same key tell it: how much more often they
have the same day than other pairs. In samples a key draws its day by its number, and its rows are moved to the nearest
such day.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import Column, mixed
from gpuvgm.columns.base import FittedColumn
from gpuvgm.columns.categorical import CategoricalColumn
from gpuvgm.columns.numbers import NumericColumn
from gpuvgm.columns.records import Count
from gpuvgm.columns.rules import finite, whole
from gpuvgm.columns.text import category_text
from gpuvgm.engines.base import philox_words
from gpuvgm.summary.grid import Floats, Ints
from gpuvgm.synthesis.bins import Bins
from gpuvgm.synthesis.clock import PARTS, Clock, PartName
from gpuvgm.synthesis.keys import MOST_CODES, Hashes
from gpuvgm.synthesis.numbers import Rows, numbers_of_rows
from gpuvgm.synthesis.streams import column_number

LEAST_PAIRS = 30  # of rows of the same key
LEAST_KEYS = 5  # that have a day, for it to be drawn
MOST_ROWS = 5  # of each of many categories: of more, trees tell its days
LEAST_SHARE = 0.5  # of the rows, that keep to a habit
LEAST_SURPRISE = 6.0  # standard errors that pairs are alike beyond chance
MOST_LOST = 1.5  # nats that a row is less likely where a habit moves it
MOST_SEEN = 1 << 15  # rows, of as many keys as have so many
TURNS = 4  # by which rows of other keys are put beside each
MOST_CATEGORIES, MOST_COLUMNS = 64, 16  # of a column that says where habits hold, and of such columns
UNUSUAL = 0.002  # of the rows, that a weekday has on which others are not moved
OPEN = 0.01  # of the rows of a usual day, that a day has which rows are moved to
#: Days between two rows that tell of a habit: nearer ones have like weekdays, or places in the month, anyway.
DAYS: tuple[PartName, ...] = (*PARTS[1:5], PARTS[0])  # of which one tells the day
APART: dict[PartName, int] = {name: 16 for name in PARTS[1:5]} | {"weekday": 4, "time": 1}
ALL_ROWS = ""


@dataclass(frozen=True, slots=True)
class Habit:
    """A part of dates that each key has of its own in rows of a category.

    Parameters
    ----------
    column : str
        Column of datetimes.
    part : str
        Part of its clock.
    key : str
        First column of the keys.
    beside : str
        Column of categories that says in which rows the habit holds; empty for all rows.
    category : int
        Place of the category among those of this column.
    share : float
        Share of these rows that keep to it.
    codes, keys : tuple of int
        Days and cells of `Clock.parts`, and how many keys have each.
    weekdays : int
        A bit for each weekday, from Monday, that rows of the category have.
    """

    column: str
    part: PartName
    key: str
    beside: str
    category: Annotated[int, whole()]
    share: Annotated[float, finite]
    codes: tuple[Count, ...]
    keys: tuple[Count, ...]
    weekdays: Annotated[int, whole(1, 127)]

    def check(self, columns: Mapping[str, FittedColumn], clocks: Mapping[str, Clock | None], keys: Set[str]) -> None:
        """Raise ValueError where a loaded habit does not fit columns, their clocks and the columns of keys."""
        clock, beside, key = clocks.get(self.column), columns.get(self.beside), columns.get(self.key)
        is_beside = isinstance(beside, CategoricalColumn) and self.category < len(beside.categories)
        fits = clock is not None and (is_beside or (not self.beside and not self.category))
        fits = fits and (self.key in keys or isinstance(key, CategoricalColumn)) and self.part in APART
        sizes = len(self.codes) == len(self.keys) > 0 and min(self.keys) > 0 and LEAST_SHARE <= self.share <= 1
        if not fits or not sizes or clock is None or max(self.codes) >= clock.size(self.part) - (self.part == "time"):
            raise ValueError(f'the habits of "{self.column}" do not fit it')

    def keeps(self, rows: NDArray[np.uint64], seed: int) -> NDArray[np.bool_]:
        """Whether rows of the category with given numbers keep to the habit."""
        if self.share == 1:
            return np.ones(len(rows), np.bool_)
        column = column_number(f"{self.column}/{self.beside}/{self.category}/keeps")
        mask: NDArray[np.bool_] = philox_words(rows, column, seed)[0] < self.share * 2**32
        return mask

    def codes_of(self, keys: NDArray[np.uint64], seed: int) -> Ints:
        """The code of each of some keys, by their numbers."""
        column = column_number(f"{self.column}/{self.beside}/{self.category}/{self.part}")
        stops = np.cumsum(self.keys) / sum(self.keys) * 2**32
        places = np.searchsorted(stops[:-1], philox_words(keys, column, seed)[0], side="right")
        codes: Ints = np.array(self.codes)[places]
        return codes

    def days(self, clock: Clock, codes: Ints, days: Ints) -> Ints:
        """Days with some codes in place of others, in the same month or else the nearest.

        Rows of a weekday that the category does not have move to the next one that it has, as banks do.
        """
        of_days, found = clock.parts[self.part], days.copy()
        weekdays = clock.parts["weekday"].astype(np.int64) - 1
        is_open = (clock.rows >= OPEN * np.median(clock.rows)) & ((self.weekdays >> weekdays) & 1 == 1)
        open_days, months = np.flatnonzero(is_open), months_of(clock)
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


def months_of(clock: Clock) -> Ints:
    """Months from that of the first day on, by day."""
    months = (clock.first + np.arange(len(clock.kinds))).astype("M8[D]").astype("M8[M]").astype(np.int64)
    from_first: Ints = months - months[0]
    return from_first


# -- which habits there are


def habits_of(
    columns: Mapping[str, FittedColumn], bins: Sequence[Bins], keys: Mapping[str, Hashes], rows: Rows
) -> tuple[tuple[Habit, ...], dict[str, Hashes]]:
    """Habits of a sample of rows, and hashes of all keys, as columns of many categories are keys as well.

    Trees cannot tell the days of each of so many categories.

    Parameters
    ----------
    columns : mapping of str to FittedColumn
        All columns.
    bins : sequence of Bins
        Bins of the columns whose drawn values stay.
    keys : mapping of str to ndarray of shape (rows,), uint64
        Hashes of the keys of each level, by their first column; 0 for rows without one.
    rows : callable
        Gives the rows of a column.
    """
    found, keys = list[tuple[float, Habit]](), {**keys}
    clocks = {one.name: one.clock for one in bins if one.clock is not None}
    beside, most_rows = dict[str, Ints](), dict.fromkeys(keys, np.inf)
    for one in bins if clocks else ():
        column = columns[one.name]
        if isinstance(column, CategoricalColumn) and len(column.categories) <= MOST_CATEGORIES:
            beside[one.name] = np.asarray(column.index.find(rows(one.name)))
        elif isinstance(column, CategoricalColumn) and len(column.categories) > MOST_CODES:
            keys[one.name], most_rows[one.name] = _hashes_of_categories(column, rows(one.name)), MOST_ROWS
    for name, clock in clocks.items():
        moments = _Moments.of(clock, numbers_of_rows(_as_numbers(columns[name]), rows(name))[0])
        anywhere = np.zeros(len(moments.days), np.int64)
        options = [
            [*moments.habits(name, key, hashes, other, places, most_rows[key])]
            for key, hashes in keys.items()
            for other, places in [(ALL_ROWS, anywhere), *beside.items()][: MOST_COLUMNS + 1]
        ]
        found += max(options, key=lambda habits: sum(explained for explained, _ in habits), default=[])
    return tuple(habit for _, habit in found), keys


def _hashes_of_categories(column: CategoricalColumn, values: Column) -> Hashes:
    """Places of categories from 1 on; 0 for rows without one."""
    return (np.asarray(column.index.find(values)) + 1).astype(np.uint64)


def likely_habits(
    habits: Sequence[Habit],
    columns: Mapping[str, FittedColumn],
    clocks: Mapping[str, Clock],
    keys: Mapping[str, Hashes],
    rows: Rows,
    log_probability: Callable[[str, Column], Floats],
) -> tuple[Habit, ...]:
    """Habits by which rows of a sample can be moved, and are hardly less likely beside their other columns.

    Columns of weekdays or months, for example, would belong to another date.

    Parameters
    ----------
    habits : sequence of Habit
        Habits of some columns.
    columns : mapping of str to FittedColumn
        All columns.
    clocks : mapping of str to Clock
        Clocks of the columns.
    keys : mapping of str to ndarray of shape (rows,), uint64
        As `habits_of` gives them.
    rows : callable
        Gives the rows of a column.
    log_probability : callable
        How likely a column's values are beside all others, and these beside it, in nats by row.
    """
    likely = list[Habit]()
    for name, clock in clocks.items():
        own = [habit for habit in habits if habit.column == name]
        column = _as_numbers(columns[name])
        numbers = numbers_of_rows(column, rows(name))[0]
        places = {name: clock.readings(numbers)} | {
            habit.beside: np.asarray(_as_categories(columns[habit.beside]).index.find(rows(habit.beside)))
            for habit in own
            if habit.beside
        }
        of_keys = {key: (hashes, hashes != 0) for key, hashes in keys.items()}
        moved = clock.numbers(with_habits(own, {name: clock}, places, of_keys, 0, 0).get(name, places[name]))
        changed = np.flatnonzero(~np.isnan(numbers) & (moved != numbers))
        if not own or not len(changed):
            continue
        values = column.codec.plain.decode(np.where(np.isnan(numbers), numbers[changed[0]], moved))
        loss = log_probability(name, rows(name)) - log_probability(name, values)
        likely += own if float(np.mean(loss[changed])) <= MOST_LOST else []
    return tuple(likely)


def _as_numbers(column: FittedColumn) -> NumericColumn:
    assert isinstance(column, NumericColumn)
    return column


def _as_categories(column: FittedColumn) -> CategoricalColumn:
    assert isinstance(column, CategoricalColumn)
    return column


@dataclass(frozen=True, slots=True)
class _Moments:
    """Days of rows and their parts.

    Parameters
    ----------
    days : ndarray of shape (rows,), int64
        Day of each row on the clock; -1 without one.
    codes : mapping of str to ndarray of shape (rows,), int64
        Parts of each row.
    """

    days: Ints
    codes: Mapping[PartName, Ints]

    @classmethod
    def of(cls, clock: Clock, numbers: Floats) -> _Moments:
        """Days and parts of numbers."""
        _, _, days, cells = clock.read(numbers)
        codes = {part: cells if part == "time" else clock.parts[part][days].astype(np.int64) for part in APART}
        return cls(np.where(np.isnan(numbers), -1, days), codes)

    def habits(
        self, column: str, key: str, hashes: Hashes, beside: str, places: Ints, most_rows: float
    ) -> Iterator[tuple[float, Habit]]:
        """Habits of keys in rows of each category of a column, and rows that each explains.

        Of places in the month and weekdays the one is taken that most rows keep to. Keys with more rows of a category
        than `most_rows` on average have none there.
        """
        rows = np.flatnonzero((self.days >= 0) & (hashes != 0) & (places >= 0))
        marks = mixed(hashes[rows], 0)
        if len(rows) > MOST_SEEN:
            rows = rows[marks < np.partition(marks, MOST_SEEN)[MOST_SEEN]]
        # By key and category, else as if drawn: rows that follow each other in a table may be alike by that alone.
        rows = rows[np.lexsort((mixed(rows.astype(np.uint64)), places[rows], hashes[rows]))]
        follows = (hashes[rows][1:] == hashes[rows][:-1]) & (places[rows][1:] == places[rows][:-1])
        of_category = np.bincount(places[rows])
        of_keys = of_category - np.bincount(places[rows[1:][follows]], minlength=len(of_category))
        weekdays = self._weekdays(rows, places)
        lowest = {part: self.codes[part] for part in APART}
        lowest["day"] = lowest["day"] - _closed_before(weekdays)[places, self.codes["weekday"] - 1]
        pairs = np.stack((rows[:-1], rows[1:]))[:, follows]
        shares = {part: self._shares(part, lowest[part], pairs, places, len(of_category)) for part in APART}
        of_day = np.argmax([shares[part] for part in DAYS], axis=0)
        for category in np.flatnonzero((of_category > 0) & (of_category <= most_rows * of_keys)).tolist():
            own = rows[places[rows] == category]
            both: tuple[PartName, ...] = DAYS[of_day[category]], "time"
            for part in both:
                share, codes = float(shares[part][category]), self.codes[part]
                # One row of each key, that is not moved to the next weekday.
                as_meant = own[lowest[part][own] == codes[own]]
                counts = np.bincount(codes[as_meant[np.diff(hashes[as_meant], prepend=np.uint64(0)) != 0]])
                found = np.flatnonzero(counts >= LEAST_KEYS)
                if share >= LEAST_SHARE and len(found):
                    numbers = tuple(found.tolist()), tuple(counts[found].tolist())
                    bits = int(weekdays[category] @ (1 << np.arange(7)))
                    yield (
                        share**2 * float(of_category[category]),
                        Habit(column, part, key, beside, category, share, *numbers, bits),
                    )

    def _weekdays(self, rows: Ints, places: Ints) -> NDArray[np.bool_]:
        """Whether rows of each category have each weekday, shape (categories, 7)."""
        counts = np.bincount(places[rows] * 7 + self.codes["weekday"][rows] - 1)
        counts = np.append(counts, np.zeros(-len(counts) % 7, np.int64)).reshape(-1, 7)
        mask: NDArray[np.bool_] = counts > UNUSUAL * counts.sum(axis=1, keepdims=True)
        return mask

    def _shares(self, part: PartName, lowest: Ints, pairs: Ints, places: Ints, size: int) -> Floats:
        """Share of the rows of each category that keep to a habit; 0 where pairs are alike as if by chance.

        Two rows keep to it with the square of the share, and all other pairs are alike by chance. That chance is what
        pairs of different keys tell, of the same category and as far apart.

        Parameters
        ----------
        part : str
            The part.
        lowest : ndarray of shape (rows,)
            The least code that each row can be meant for: on a Monday, that of the Saturday before, if rows of its
            category have no weekends.
        pairs : ndarray of shape (2, pairs)
            Pairs of rows of the same key and category.
        places, size
            Category of each row, and how many there are.
        """
        codes, order = self.codes[part], np.argsort(places[pairs[0]], kind="stable")
        one, other = pairs[:, order]

        def counts(other: Ints) -> tuple[Ints, Ints]:
            far = np.abs(self.days[one] - self.days[other]) >= APART[part]
            alike = far & (lowest[one] <= codes[other]) & (lowest[other] <= codes[one])
            return np.bincount(places[one[far]], minlength=size), np.bincount(places[one[alike]], minlength=size)

        of_category = np.bincount(places[one], minlength=size)
        start, length = (values[places[one]] for values in (np.cumsum(of_category) - of_category, of_category))
        at = np.arange(len(one)) - start
        by_chance = [
            counts(other[start + (at + length * turn // (TURNS + 1)) % length]) for turn in range(1, TURNS + 1)
        ]
        (count, alike), (beside, alike_beside) = counts(other), np.sum(by_chance, axis=0)
        chance = alike_beside / np.maximum(beside, 1)
        surplus, spread = alike - chance * count, np.sqrt(chance * (1 - chance) * count + 1)
        is_sure = (count >= LEAST_PAIRS) & (surplus >= LEAST_SURPRISE * spread)
        shares: Floats = np.sqrt(np.where(is_sure, surplus / np.maximum(count * (1 - chance), 1), 0.0))
        return np.minimum(shares, 1.0)


def _closed_before(weekdays: NDArray[np.bool_]) -> Ints:
    """How many weekdays right before each one rows of a category do not have, shape (categories, 7)."""
    before, closed = np.zeros(weekdays.shape, np.int64), np.ones(weekdays.shape, np.bool_)
    for back in range(1, 7):
        closed &= ~np.roll(weekdays, back, axis=1)
        before += closed
    return before


def describe_habits(habits: Sequence[Habit], columns: Mapping[str, FittedColumn]) -> str:
    """Description of habits; empty without any."""
    texts = []
    for habit in habits:
        where = ""
        if habit.beside:
            beside = _as_categories(columns[habit.beside])
            where = f" where {beside.name} is {category_text(beside.type, beside.categories[habit.category])}"
        texts.append(f"{habit.part} of {habit.column} (of each {habit.key}{where})")
    return f"habits: {', '.join(texts)}" if texts else ""


# -- habits of samples


def with_habits(
    habits: Sequence[Habit],
    clocks: Mapping[str, Clock],
    drawn: Mapping[str, Floats],
    keys: Mapping[str, tuple[NDArray[np.uint64], NDArray[np.bool_]]],
    first_row: int,
    seed: int,
) -> dict[str, Floats]:
    """Readings of columns of consecutive rows, moved to the days and times of their keys.

    Parameters
    ----------
    habits : sequence of Habit
        Habits of these columns.
    clocks : mapping of str to Clock
        Clocks of the columns.
    drawn : mapping of str to ndarray of shape (rows,)
        Places as they are drawn: readings of the clocks, and categories of the columns that say where habits hold.
    keys : mapping of str to (ndarray, ndarray)
        By first column of keys, the number of each row's key, and whether it has one.
    first_row : int
        Number of the first row.
    seed : int
        Seed of what keys have.
    """
    moved: dict[str, Floats] = {}
    for name, clock in clocks.items():
        own = [habit for habit in habits if habit.column == name]
        concerned = np.zeros(len(drawn[name]), np.bool_)
        for habit in own:
            concerned |= drawn[habit.beside] == habit.category if habit.beside else True
        at = np.flatnonzero(concerned & np.isfinite(drawn[name]))  # rows with a twin's number have no reading
        if not len(at):
            continue
        moments = _DrawnMoments.of(clock, drawn[name][at])
        for habit in own:
            numbers, has_key = keys[habit.key]
            mask = has_key[at]
            if habit.beside:
                mask = mask & (drawn[habit.beside][at] == habit.category)
            places = np.flatnonzero(mask)
            places = places[habit.keeps(at[places].astype(np.uint64) + np.uint64(first_row), seed)]
            moments.move(habit, places, habit.codes_of(numbers[at[places]], seed))
        moved[name] = drawn[name].copy()
        moved[name][at] = moments.readings
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

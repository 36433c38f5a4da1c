"""Habits: days, times and values that a key has of its own, as each account has those of its standing order.

Bins and trees know nothing of a key's other rows, so that each standing order of an account would have another day. A
habit holds in rows of one category, or in all rows. Pairs of rows of the same key tell it: how much more often they
have the same day than other pairs. In samples a key draws its day by its number, and its rows are moved to this day of
their month.

What a key has in all rows, or as a habit, is drawn without the dates of its rows. Where weekdays depend on it, as
opening days do on the branch of a customer, it has a calendar: a habit of rows, each of which draws a weekday.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray

from gpuvgm.columns import CategoricalColumn, FittedColumn, NumericColumn
from gpuvgm.engines import philox_words
from gpuvgm.rules import finite, whole
from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.bins import Bins, Clock
from gpuvgm.synthesis.keys.streams import column_number

LEAST_SHARE = 0.5  # of the rows: so many keep to a habit at least
MOST_CATEGORIES, MOST_COLUMNS = 64, 16  # of a column that says where habits hold, and of such columns
OPEN = 0.01  # of the rows of a usual day: on a day with fewer nothing is booked, and no row is moved there
ALL_ROWS, ALL_WEEKDAYS = "", 127
WEEKDAYS = 7
EACH_ROW = ""  # in place of a key, of calendars
HabitPart = Literal["weekday", "day", "day from the end", "working day", "working day from the end", "time", "value"]
KeysOfRows = Mapping[str, tuple[NDArray[np.uint64], NDArray[np.bool_]]]


@dataclass(frozen=True, slots=True)
class Habit:
    """What a key has in its rows of a category: a part of their dates, or a value.

    Parameters
    ----------
    column : str
        Column of the dates or values.
    part : str
        Part of the column's clock, or "value".
    key : str
        First column of the keys; empty of a calendar.
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

    def describe(self, columns: Mapping[str, FittedColumn]) -> str:
        """What is whose, and where."""
        where = ""
        if self.beside:
            beside = as_categories(columns[self.beside])
            where = f" where {beside.name} is {beside.text_of(beside.categories[self.category])}"
        return f"{self.part} of {self.column} ({'of rows' if self.is_calendar else f'of each {self.key}'}{where})"

    def check(self, columns: Mapping[str, FittedColumn], bins: Mapping[str, Bins], keys: Set[str]) -> None:
        """Raise ValueError where a loaded habit does not fit columns, their bins and the columns of keys."""
        beside, key = columns.get(self.beside), columns.get(self.key)
        has_category = isinstance(beside, CategoricalColumn) and self.category < len(beside.categories)
        of_all_rows = not self.beside and not self.category
        fits = (has_category or of_all_rows) and LEAST_SHARE <= self.share <= 1
        of_calendar = self.is_calendar and self.part == "weekday" and has_category
        of_keys = self.key in keys or isinstance(key, CategoricalColumn)
        fits = fits and (of_calendar or of_keys) and self.key != self.column
        fits = fits and len(self.codes) == len(self.weights) > 0 and min(self.weights) > 0
        if not fits or max(self.codes) >= self._size(bins.get(self.column)):
            raise ValueError(f'the habits of "{self.column}" do not fit it')

    def _size(self, bins: Bins | None) -> int:
        """How many codes there are of what the keys have; 0 where bins have no such part."""
        if bins is None or (self.part == "value") != (bins.clock is None):
            return 0
        if bins.clock is None:
            return len(bins)
        return len(bins.clock.cells) if self.part == "time" else bins.clock.size(self.part)

    def rows(self, places: Mapping[str, Floats], keys: KeysOfRows, numbers: NDArray[np.uint64], seed: int) -> Ints:
        """Those of rows that keep to the habit.

        Parameters
        ----------
        places : mapping of str to ndarray of shape (rows,)
            Place of each row's category, by column that says where habits hold.
        keys : mapping of str to (ndarray, ndarray)
            As for `with_habits`.
        numbers : ndarray of shape (rows,), uint64
            Numbers of the rows.
        seed : int
            Seed of which rows keep to it.
        """
        has_key = keys[self.key][1]
        rows = np.flatnonzero(has_key & (places[self.beside] == self.category) if self.beside else has_key)
        if self.share == 1:
            return rows
        # The same words for all parts of a column: rows that keep to its day keep to its time.
        column = column_number(f"{self.stream}/keeps")
        kept: Ints = rows[philox_words(numbers[rows], column, seed)[0] < self.share * 2**32]
        return kept

    def codes_of(self, keys: NDArray[np.uint64], seed: int) -> Ints:
        """The code of each key, by their numbers."""
        stops = np.cumsum(self.weights) / sum(self.weights) * 2**32
        words = philox_words(keys, column_number(f"{self.stream}/{self.part}"), seed)[0]
        codes: Ints = np.array(self.codes)[np.searchsorted(stops[:-1], words, side="right")]
        return codes

    def in_calendar(self, clock: Clock, readings: Floats, numbers: NDArray[np.uint64], seed: int) -> Floats:
        """Readings of rows of the category, with its weekdays; as many rows as can be keep the day that they have.

        Parameters
        ----------
        clock : Clock
            Clock of the column.
        readings : ndarray of shape (rows,)
            Readings before, in which weekdays come as in all rows.
        numbers : ndarray of shape (rows,), uint64
            Numbers of the rows.
        seed : int
            Seed of the weekdays.
        """
        usual = np.bincount(clock.parts["weekday"], clock.rows, minlength=WEEKDAYS + 1)
        wanted = np.bincount(self.codes, self.weights, minlength=WEEKDAYS + 1)
        usual, wanted = usual / usual.sum(), wanted / wanted.sum()
        present = np.flatnonzero(np.isfinite(readings))
        moments = _DrawnMoments.of(clock, readings[present])
        codes = clock.parts["weekday"][moments.days].astype(np.int64)
        kept, drawn = philox_words(numbers[present], column_number(f"{self.stream}/calendar"), seed)[:2]
        rows = np.flatnonzero(kept * usual[codes] >= wanted[codes] * 2.0**32)
        stops = np.cumsum(np.maximum(wanted - usual, 0.0))
        moved_to = np.searchsorted(stops, drawn[rows] * (stops[-1] / 2.0**32), side="right")
        moments.days[rows] = self.days(clock, moved_to, moments.days[rows])
        moved = readings.copy()
        moved[present[rows]] = moments.readings[rows]
        return moved

    @property
    def is_calendar(self) -> bool:
        """Whether each row draws what it has by itself."""
        return self.key == EACH_ROW

    @property
    def stream(self) -> str:
        """Name of the streams of random numbers that what keys have is drawn by."""
        return f"{self.column}/{self.beside}/{self.category}"

    def days(self, clock: Clock, codes: Ints, days: Ints) -> Ints:
        """Days of rows that are moved to days with their codes: in the same month, or else the nearest ones.

        A day on which the category has no rows stands for the next one on which it has, as with banks.

        Parameters
        ----------
        clock : Clock
            Clock of the column.
        codes : ndarray of shape (rows,), int64
            Code that each row's day shall have.
        days : ndarray of shape (rows,), int64
            Days before.
        """
        codes_of_days, moved = clock.parts[self.part], days.copy()
        open_days, months = self._open_days(clock), _months_of(clock)
        for code in np.unique(codes).tolist() if len(open_days) else ():
            rows, days_of_code = np.flatnonzero(codes == code), np.flatnonzero(codes_of_days == code)
            if not len(days_of_code):
                continue
            targets = open_days[np.minimum(np.searchsorted(open_days, days_of_code), len(open_days) - 1)]
            moved[rows] = _nearest(targets, days[rows])
            if self.part != "weekday":
                target_of_month = np.full(months[-1] + 1, -1)
                target_of_month[months[days_of_code]] = targets
                in_month = target_of_month[months[days[rows]]]
                moved[rows] = np.where(in_month >= 0, in_month, moved[rows])
        return moved

    def _open_days(self, clock: Clock) -> Ints:
        """Days that have rows, on weekdays that rows of the category have."""
        weekdays = clock.parts["weekday"].astype(np.int64) - 1
        has_weekday = (self.weekdays >> weekdays) & 1 == 1
        return np.flatnonzero(has_weekday & (clock.rows >= OPEN * np.median(clock.rows)))


def _nearest(targets: Ints, days: Ints) -> Ints:
    """The target nearest to each day, of ascending ones; the earlier of two that are equally near."""
    places = np.searchsorted(targets, days)
    earlier, later = targets[np.maximum(places - 1, 0)], targets[np.minimum(places, len(targets) - 1)]
    return np.where(np.abs(days - earlier) <= np.abs(later - days), earlier, later)


def _months_of(clock: Clock) -> Ints:
    """Months from that of the first day on, by day."""
    months = (clock.first + np.arange(len(clock.kinds))).astype("M8[D]").astype("M8[M]").astype(np.int64)
    from_first: Ints = months - months[0]
    return from_first


def as_numbers(column: FittedColumn) -> NumericColumn:
    """The column, which is one of numbers."""
    assert isinstance(column, NumericColumn)
    return column


def as_categories(column: FittedColumn) -> CategoricalColumn:
    """The column, which is one of categories."""
    assert isinstance(column, CategoricalColumn)
    return column


def with_habits(
    habits: Sequence[tuple[Habit, Ints]],
    clocks: Mapping[str, Clock],
    places: Mapping[str, Floats],
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
    places : mapping of str to ndarray of shape (rows,)
        Sampled places: readings of the clocks, and categories of the columns that say where habits hold.
    keys : mapping of str to (ndarray, ndarray)
        By first column of keys, the number of each row's key, and whether it has one.
    seed : int
        Seed of what keys have.
    """
    moved: dict[str, Floats] = {}
    for name, clock in clocks.items():
        has_reading = np.isfinite(places[name])  # rows with a twin's number have none
        rows = [(habit, indices[has_reading[indices]]) for habit, indices in habits if habit.column == name]
        moved_rows = np.unique(np.concatenate([np.empty(0, np.int64), *(indices for _, indices in rows)]))
        if len(moved_rows):
            moments = _DrawnMoments.of(clock, places[name][moved_rows])
            for habit, indices in rows:
                codes = habit.codes_of(keys[habit.key][0][indices], seed)
                moments.move(habit, np.searchsorted(moved_rows, indices), codes)
            moved[name] = places[name].copy()
            moved[name][moved_rows] = moments.readings
    return moved


@dataclass(frozen=True, slots=True)
class _DrawnMoments:
    """Days and times of sampled rows; `move` changes the arrays, as every habit moves a few rows of them.

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
        """Move rows to days with their codes, or to cells of the day, where they lie as far within as before."""
        clock = self.clock
        if habit.part != "time":
            self.days[places] = habit.days(clock, codes, self.days[places])
            return
        widths, cells = np.diff(np.append(clock.cells, clock.length)), self.cells[places]
        inside = np.clip((self.times[places] - clock.cells[cells]) / widths[cells], 0.0, 1.0)
        steps = np.floor(np.minimum(inside * widths[codes], widths[codes] - clock.tick) / clock.tick)
        self.times[places] = clock.cells[codes] + np.maximum(steps, 0.0) * clock.tick

"""Calendars: how the clock of a column of datetimes is learnt from the rows of a sample.

Days are of several kinds, which a small tree tells apart by their weekday and their place in the month. A kind has its
share of the rows, and its times of the day. What tells kinds apart must hold in weeks that it is not learnt of.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import rel_entr

from gpuvgm.columns import NumericColumn
from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.bins.clock import (
    ATOM_ROWS,
    DAY,
    FARTHEST_DAY,
    MOST_DAYS,
    PARTS,
    Clock,
    days_of,
    moments_with_own_counts,
    odd_weeks,
    parts_of_days,
)
from gpuvgm.synthesis.bins.persons import LEAST_KEYS, Persons

LEAST_ROWS = 200  # of a sample
LEAST_DAYS = 14
SMOOTH_DAYS = 35  # whose mean is what a day has without a calendar: whole weeks, and a month
MOST_ATOMS = 48  # times of the day that have a cell for themselves
HALF_HOURS, TIMES = 48, 32  # further cells of a day: half hours, and cells with about equally many rows
MOST_GAPS, LONG_GAP = 32, 1 / 288  # cells without rows, and the least share of a day that one takes
GROUPS = 24  # of times of the day, by which kinds of days differ
MOST_KINDS = 48
LEAST_GAIN_OF_KIND = 4.0  # nats, in weeks that a kind was not learnt of
LEAST_GAIN = 20.0  # nats, in such weeks, that a part or the times of the day must gain
BACK_OFF = 2.0  # rows that the times of the kind above count for
UNSEEN_TIMES = 2e-4  # of a day's rows, which are spread over all times
UNSEEN = 1e-3  # of the rows of a usual day: what a day without rows has
OF_DAYS = PARTS[:5]  # parts by which kinds of days differ
LISTED = 0.95  # of the rows, that lie on few days where these are a list, and other days have none
ALONE = 0.02  # of the rows, at most, whose moment no other row has, where moments are those of loads


def learn_clock(
    column: NumericColumn, numbers: Floats, persons: Persons, *, has_origin: bool = False
) -> tuple[Clock, bool] | None:
    """The clock of a column, and whether it runs evenly; None for few rows, and for lists of days such as loads.

    Parameters
    ----------
    column : NumericColumn
        A column of dates or timestamps.
    numbers : ndarray of shape (rows,)
        Numbers of the plain codec, NaN for rows without one.
    persons : Persons
        Whose the rows are.
    has_origin : bool
        Whether the clock only tells other columns when datetimes are: then it has lists and frequent moments, too.
    """
    is_present = ~np.isnan(numbers)
    present, persons = numbers[is_present], persons.at(is_present)
    days = _Days.of(column, present)
    if days is not None and has_origin:
        return days.clock(present, persons)
    if days is None or days.are_list(present) or days.are_loads(present):
        return None
    frequent = moments_with_own_counts(days.clock(present, persons)[0], present, persons)
    is_rare = ~np.isin(present, frequent)
    return days.clock(present[is_rare], persons.at(is_rare))


def gain_of_days(column: NumericColumn, numbers: Floats) -> float:
    """Nats a row by which days differ in how often they are each weekday, or each day of a month.

    It is 3.4 where all are the last of a month.

    Parameters
    ----------
    column : NumericColumn
        A column of dates or timestamps.
    numbers : ndarray of shape (rows,)
        As for `learn_clock`.
    """
    present = numbers[~np.isnan(numbers)]
    days = _Days.of(column, present)
    if days is None:
        return 0.0
    count, day, gain = len(days.starts) - 1, days.day_of(present), 0.0
    for name, codes in parts_of_days(days.first, count).items():
        if name in OF_DAYS:
            of_days = np.bincount(codes) / count
            rows = np.bincount(codes[day], minlength=len(of_days)) / len(present)
            chance = (np.count_nonzero(of_days) - 1) / (2 * len(present))  # Miller 1955
            gain = max(gain, float(np.sum(rel_entr(rows, of_days))) - chance)
    return gain


@dataclass(frozen=True, slots=True)
class _Days:
    """The days of a column.

    Parameters
    ----------
    first, starts, tick
        As of `Clock`.
    """

    first: int
    starts: Floats
    tick: float

    @classmethod
    def of(cls, column: NumericColumn, numbers: Floats) -> _Days | None:
        """The days of some numbers; None for few rows or days, and where steps and days do not fit together."""
        if len(numbers) < LEAST_ROWS:
            return None
        codec: Any = column.codec.plain
        unit, step = codec.nanoseconds, int(codec.spacing)
        length = DAY // unit
        if (length % step and step % length) or step * unit < 1000:  # float64 does not hold shorter steps
            return None
        low, high = float(np.min(numbers)), float(np.max(numbers))
        if (high - low) > MOST_DAYS * float(length):
            return None
        first, starts = days_of(column, low, high)
        tick = min(step, length)
        fits = abs(first) <= FARTHEST_DAY and not np.any((starts.astype(np.int64) + codec.base) % tick)
        return cls(first, starts, float(tick)) if fits and LEAST_DAYS <= len(starts) - 1 <= MOST_DAYS else None

    def day_of(self, numbers: Floats) -> Ints:
        """Place of the day of each number."""
        return np.clip(np.searchsorted(self.starts, numbers, side="right") - 1, 0, len(self.starts) - 2)

    def are_list(self, numbers: Floats) -> bool:
        """Return whether nearly all rows lie on less than half of the days, as of loads or reports."""
        rows = np.bincount(np.searchsorted(self.starts, numbers, side="right"))
        full_days = rows[rows >= ATOM_ROWS]
        return bool(np.sum(full_days) >= LISTED * len(numbers) and 2 * len(full_days) < len(self.starts))

    def are_loads(self, numbers: Floats) -> bool:
        """Return whether moments come back in many rows, but none of their times on another day."""
        moments, rows = np.unique(numbers, return_counts=True)
        times = moments - self.starts[np.searchsorted(self.starts, moments, side="right") - 1]
        single_rows, repeated_rows = np.count_nonzero(rows == 1), np.sum(rows[rows >= ATOM_ROWS])
        come_back = single_rows <= ALONE * len(numbers) and 2 * repeated_rows >= len(numbers)
        return bool(come_back and 2 * len(np.unique(times)) > len(moments))

    def clock(self, numbers: Floats, persons: Persons) -> tuple[Clock, bool]:
        """The clock of some rows, and whether it runs evenly; days and times of few persons have as many rows."""
        longest = float(np.max(np.diff(self.starts)))
        day = self.day_of(numbers)
        time = np.clip(numbers - self.starts[day], 0, longest - self.tick)
        cells = _cells(time, self.tick, float(np.median(np.diff(self.starts))), persons)
        cell = np.searchsorted(cells, time, side="right") - 1
        rows = np.bincount(day * len(cells) + cell, minlength=(len(self.starts) - 1) * len(cells))
        rows = _with_weights(rows.reshape(-1, len(cells)), persons.weights(day, len(self.starts) - 1))
        kinds = _KindsOfDays(rows, self.first, np.diff(np.append(cells, longest)))
        of_day, rates, shares = kinds.learnt()
        counted, expected = rows.sum(axis=1), kinds.usual * rates[of_day]
        is_counted = np.maximum(counted, expected) >= ATOM_ROWS
        # Days that are not counted by themselves share the rest of the rows of their kind, which is less than expected.
        rest, expected_rest = (np.bincount(of_day, rows * ~is_counted, len(rates)) for rows in (counted, expected))
        expected *= ((rest + BACK_OFF) / (expected_rest + BACK_OFF))[of_day]
        weights = np.where(is_counted, counted, expected)
        weights = np.maximum(weights, UNSEEN * np.maximum(kinds.usual, UNSEEN))
        clock = Clock(self.first, self.starts, self.tick, of_day, weights, cells, shares.ravel())
        return clock, max(kinds.gain, kinds.gain_of_times()) <= LEAST_GAIN


def _with_weights(rows: Ints, weights: Ints) -> Ints:
    """Rows by day and cell, of which those of days with lower weights are taken as evenly as whole numbers can be."""
    before = np.cumsum(rows, axis=1)
    totals = np.maximum(before[:, -1:], 1)
    kept: Ints = np.diff(before * weights[:, None] // totals, axis=1, prepend=0)
    return kept


def _cells(times: Floats, tick: float, length: float, persons: Persons) -> Floats:
    """Where cells of a day begin: at half hours, at shares of the rows, around frequent times, at both ends of gaps."""
    distinct, places = np.unique(times, return_inverse=True)
    rows = persons.weights(places, len(distinct))
    hour = (distinct * 24 // length).astype(np.int64)
    usual = (np.bincount(hour, rows) / np.maximum(np.bincount(hour), 1))[hour]
    frequent = np.flatnonzero((rows >= ATOM_ROWS) & ((rows >= 2 * usual) | (len(distinct) <= MOST_ATOMS)))
    atoms = distinct[frequent[np.argsort(-rows[frequent], kind="stable")[:MOST_ATOMS]]]
    half_hours = np.ceil(np.arange(HALF_HOURS) / HALF_HOURS * length / tick) * tick
    rest = times[~np.isin(times, atoms)]
    shares = np.quantile(rest, np.arange(1, TIMES) / TIMES, method="lower") if len(rest) else rest
    gaps = np.diff(distinct, append=length)
    longest = np.argsort(-gaps, kind="stable")[:MOST_GAPS]
    longest = longest[gaps[longest] > max(LONG_GAP * length, tick)]
    ends = distinct[longest] + tick, distinct[longest] + gaps[longest]
    cells: Floats = np.unique(np.concatenate(([0.0], half_hours, shares, atoms, atoms + tick, *ends)))
    last: float = max(length - tick, float(distinct[-1]))
    return _of_several(np.extract(cells <= last, cells), times, persons)


def _of_several(cells: Floats, times: Floats, persons: Persons) -> Floats:
    """Where cells of a day begin, without those of many rows that few persons have: these are of the cell before."""
    while persons.keys:
        cell = np.searchsorted(cells, times, side="right") - 1
        are_many = np.bincount(cell, minlength=len(cells)) >= ATOM_ROWS
        of_few = np.flatnonzero(are_many & (persons.counts(cell, len(cells)) < LEAST_KEYS))
        if not len(of_few) or len(cells) == 1:
            break
        cells = np.delete(cells, np.maximum(of_few, 1))
    return cells


def _usual_rows(rows: Ints) -> Floats:
    """Rows that each day would have if neighbouring ones had equally many."""
    window = np.ones(min(SMOOTH_DAYS, len(rows)))
    usual: Floats = np.convolve(rows, window, "same") / np.convolve(np.ones(len(rows)), window, "same")
    return usual


class _KindsOfDays:
    """Kinds of days, told apart by their parts: by weeks that they are not learnt of.

    Parameters
    ----------
    rows : ndarray of shape (days, cells), int64
        Rows of a sample.
    first : int
        See `Clock`.
    widths : ndarray of shape (cells,)
        Widths of the cells.
    """

    def __init__(self, rows: Ints, first: int, widths: Floats) -> None:
        self._rows, self._widths = rows, widths
        self.usual = _usual_rows(rows.sum(axis=1))
        totals = rows.sum(axis=0)
        group = (2 * np.cumsum(totals) - totals) * GROUPS // (2 * int(totals.sum()))
        self._first_cells = np.flatnonzero(np.diff(group, prepend=-1))
        grouped = np.add.reduceat(rows, self._first_cells, axis=1).astype(np.float64)
        expected = self.usual[:, None] * (grouped.sum(axis=0) / grouped.sum())
        folds = odd_weeks(first, len(rows)) == np.arange(2)[:, None]
        self._counts, self._expected = (folds[:, :, None] * rows_of_days for rows_of_days in (grouped, expected))
        self.gain = 0.0  # of all kinds that are told apart
        self._parts = [codes for name, codes in parts_of_days(first, len(rows)).items() if name in OF_DAYS]

    def gain_of_times(self) -> float:
        """Nats that all rows gain by when they lie in the day, on weeks that this is not learnt of."""
        widths = np.add.reduceat(self._widths, self._first_cells)
        even, counts = widths / widths.sum(), self._counts.sum(axis=1)
        shares = (counts[::-1] + even) / (counts.sum(axis=1, keepdims=True)[::-1] + 1)
        return float(np.sum(counts * np.log(shares / even)))

    def learnt(self) -> tuple[Ints, Floats, Floats]:
        """Kind of each day; by kind the rows beside those of usual days, and the share of each cell."""
        of_day = np.zeros(len(self._rows), np.int64)
        rates, shares = list[float](), list[Floats]()
        remaining = [(np.ones(len(of_day), np.bool_), self._widths / self._widths.sum())]
        while remaining:
            days, above = remaining.pop()
            rows = self._rows[days].sum(axis=0)
            share = (rows + BACK_OFF * above) / (rows.sum() + BACK_OFF)
            gain, side = self._split(days) if len(rates) + len(remaining) < MOST_KINDS else (0.0, None)
            if side is None:
                of_day[days] = len(rates)
                rates.append(float(rows.sum() / max(self.usual[days].sum(), UNSEEN)))
                shares.append((1 - UNSEEN_TIMES) * share + UNSEEN_TIMES * self._widths / self._widths.sum())
            else:
                self.gain += gain
                remaining += [(days & ~side, share), (days & side, share)]
        return of_day, np.array(rates), np.array(shares)

    def _split(self, days: NDArray[np.bool_]) -> tuple[float, NDArray[np.bool_] | None]:
        """The largest gain by a cut of days in two, and a mask of one side; None where no cut gains enough."""
        counts, expected = self._counts[:, days], self._expected[:, days]
        totals = counts.sum(axis=1, keepdims=True), expected.sum(axis=1, keepdims=True)
        rates = (totals[0] + 1e-6) / (totals[1] + 1e-6)
        best, side = LEAST_GAIN_OF_KIND, None
        for codes in self._parts:
            one_hot = (codes[days] == np.arange(int(codes.max()) + 1)[:, None]).astype(np.float64)
            single = one_hot @ counts, one_hot @ expected
            options = _with_ranges(single[0]), _with_ranges(single[1])
            remaining = totals[0] - options[0], totals[1] - options[1]
            gain = _likelihood(*options, rates) + _likelihood(*remaining, rates) - _likelihood(*totals, rates)
            place = int(np.argmax(gain))
            if gain[place] > best:
                value, is_range = place % len(one_hot), place >= len(one_hot)
                best, side = float(gain[place]), codes <= value if is_range else codes == value
        return best, side


def _with_ranges(single: Floats) -> Floats:
    """Rows with each code of a part, then with each code or a lower one, shape (weeks, 2 * codes, groups)."""
    return np.concatenate((single, np.cumsum(single, axis=1)), axis=1)


def _likelihood(counts: Floats, expected: Floats, rates: Floats) -> Floats:
    """Log-likelihood of rows by the rates of the other half of the weeks, shape (options,).

    The rate of all rows counts as one row.
    """
    rates_of_days = np.maximum((counts[::-1] + rates[::-1]) / (expected[::-1] + 1), 1e-12)
    likelihood: Floats = np.sum(counts * np.log(rates_of_days) - expected * rates_of_days, axis=(0, 2))
    return likelihood

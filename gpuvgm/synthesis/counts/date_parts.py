"""Which columns of datetimes keep to a calendar, and the parts of dates that other columns depend on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from gpuvgm.columns import FittedColumn, NumericColumn
from gpuvgm.engines import AskedColumn
from gpuvgm.io import is_moment_type
from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.bins import (
    LEAST_GAIN,
    PARTS,
    Bins,
    Clock,
    Part,
    PartName,
    SampledRows,
    learn_clock,
)
from gpuvgm.synthesis.counts.structure import Dependence

LEAST_GAIN_OF_ROW = 0.0005  # nats a row that a part must gain
LEAST_SHARED = 4.0  # rows that the shares of all rows count for
MOST_GROUPS = 32  # of codes, by which parts are chosen
CELLS = 1 << 18  # days times codes of the columns whose gains are computed at once
*CHOSEN, MOMENT = PARTS
OF_ROWS: tuple[PartName, ...] = ("month", MOMENT)  # of sequences, whose trees find out whether they depend on them
OF_MONTH = PARTS[1:5]
OF_DAYS = (PARTS[0], *OF_MONTH)  # of which a code goes with the one that tells most
FAR: dict[str, tuple[int, int]] = {
    "weekday": (4, 10),
    **dict.fromkeys(OF_MONTH, (16, 45)),
    "month": (183, 547),
}  # days to the nearest and the farthest neighbour that a day is compared with


def clocks_and_parts(
    columns: Mapping[str, FittedColumn],
    bins: Mapping[str, Bins],
    codes: Mapping[str, AskedColumn],
    sample: SampledRows,
    dependence: Dependence,
) -> tuple[dict[str, Clock], tuple[Part, ...]]:
    """Clocks of the columns of datetimes that keep to a calendar, and the parts that other columns depend on.

    Parameters
    ----------
    columns : mapping of str to FittedColumn
        Those that are modelled.
    bins : mapping of str to Bins
        Their bins. Datetimes with an origin that is drawn have no clock, as the origin tells when they are. The clock
        of those with another origin, such as the row before, has a part that tells it.
    codes : mapping of str to AskedColumn
        The bin of each row of a sample.
    sample : SampledRows
        This sample.
    dependence : Dependence
        Which columns may depend on which, and rows that are evidence of it.
    """
    clocks, parts, groups = dict[str, Clock](), list[Part](), dict[str, AskedColumn]()
    before = {bins[name].since for name in bins if name not in dependence.given} & dependence.given
    for name, column in columns.items():
        origin = bins[name].since
        is_told = origin is not None and (origin not in dependence.given or name in dependence.given)
        if not isinstance(column, NumericColumn) or not is_moment_type(column.type) or is_told:
            continue
        evidence = dependence.rows_of(name)
        numbers = column.plain_numbers(sample.rows(name))[0][evidence]
        learnt = learn_clock(column, numbers, sample.persons.at(evidence), has_origin=origin is not None)
        if learnt is None:
            continue
        clock, is_even = learnt
        readings = clock.readings(numbers)
        present = np.flatnonzero(~np.isnan(readings))
        dependents = [dependent for dependent in codes if dependent != name and dependence.allows(dependent, name)]
        if isinstance(evidence, slice) and len(present) == len(readings):
            groups = groups or {dependent: column.grouped(MOST_GROUPS) for dependent, column in codes.items()}
            grouped = [groups[dependent] for dependent in dependents]
        else:
            grouped = [_grouped_rows(codes[dependent], evidence, present) for dependent in dependents]
        chosen = chosen_parts(clock, readings[present], grouped)
        of_rows = OF_ROWS if origin is not None else OF_ROWS[:1] if name in before else ()
        chosen = (*(part for part in chosen if part not in of_rows), *of_rows)
        if chosen or not is_even:
            clocks[name] = clock
            parts += [Part(name, part) for part in chosen]
    return clocks, tuple(parts)


def _grouped_rows(column: AskedColumn, evidence: Ints | slice, present: Ints) -> AskedColumn:
    """Groups of a column's codes in those rows of the evidence that have a datetime."""
    return replace(column, codes=column.codes[evidence][present]).grouped(MOST_GROUPS)


def chosen_parts(clock: Clock, readings: Floats, dependents: Sequence[AskedColumn]) -> tuple[PartName, ...]:
    """Parts on which dependents do depend, on days that this is not learnt of.

    A place in the month is taken where a code, or a group of codes, gains more by it than by other places and the
    weekday.

    Parameters
    ----------
    clock : Clock
        Clock of the column.
    readings : ndarray of shape (rows,)
        Readings of the rows of a sample that have one.
    dependents : sequence of AskedColumn
        Groups of codes of the columns that may depend on the parts, in these rows.
    """
    days, cells = clock.places(readings)
    least = max(LEAST_GAIN, LEAST_GAIN_OF_ROW * len(readings))
    of_days, times = np.bincount(days, minlength=len(clock.kinds)), _Times.of(clock, days, cells)
    parts_by_far = {far: [name for name in clock.parts if FAR[name] == far] for far in {*FAR.values()}}
    neighbourhoods = [_Neighbours.of(clock, of_days, far, names) for far, names in parts_by_far.items()]
    gains: dict[str, list[Floats]] = {name: [np.zeros(1)] for name in CHOSEN}
    at_once = max(CELLS // (len(of_days) * MOST_GROUPS), 1)
    for start in range(0, len(dependents), at_once):
        columns = _Columns(dependents[start : start + at_once])
        by_day = columns.rows_at(days, len(of_days)).astype(np.float64)
        gains["time"].append(times.gain(columns))
        for neighbourhood in neighbourhoods:
            for name, gain in neighbourhood.gains(columns, by_day, least).items():
                gains[name].append(gain)
    of_codes = {name: np.concatenate(gain) for name, gain in gains.items()}
    best = np.max([of_codes[name] for name in OF_DAYS], axis=0)
    is_best = {name: (gain == best) | (name not in OF_MONTH) for name, gain in of_codes.items()}
    return tuple(name for name in CHOSEN if np.any((of_codes[name] > least) & is_best[name]))


class _Columns:
    """Columns whose codes stand beside each other, those of one after those of the other.

    Parameters
    ----------
    columns : sequence of AskedColumn
        The columns.
    """

    def __init__(self, columns: Sequence[AskedColumn]) -> None:
        self._columns = columns
        self.sizes = np.array([column.size for column in columns])
        self._firsts = np.cumsum(self.sizes) - self.sizes
        self.slices = [slice(first, first + size) for first, size in zip(self._firsts, self.sizes, strict=True)]

    def rows_at(self, places: Ints, count: int) -> Ints:
        """Rows of each code at each of so many places, shape (places, codes)."""
        counts = [
            np.bincount(places * column.size + column.codes, minlength=count * column.size).reshape(count, column.size)
            for column in self._columns
        ]
        return np.hstack(counts)

    def sums(self, of_codes: Floats | Ints) -> Floats:
        """Sums over the codes of each column, on the last axis."""
        sums: Floats = np.add.reduceat(of_codes, self._firsts, axis=-1)
        return sums

    def spread(self, of_columns: Floats) -> Floats:
        """What each column has, for each of its codes, on the last axis."""
        return np.repeat(of_columns, self.sizes, axis=-1)


@dataclass(frozen=True, slots=True)
class _Neighbours:
    """Days, and the neighbours whose shares of codes they would have if nothing depended on parts, but trends alone.

    Each half of the weeks, or years, is judged by the other half.

    Parameters
    ----------
    names : sequence of str
        Parts.
    far : (int, int)
        Days to the nearest and to the farthest neighbour.
    days : slice
        The days that have all neighbours, before and after.
    near : ndarray of shape (days, 1)
        Rows of each day's neighbours.
    places : ndarray of shape (parts, days), int64
        Place of each day's half and code of a part, among those of all parts.
    firsts : ndarray of shape (parts,), int64
        First place of each part.
    opposite : ndarray of shape (places,), int64
        Place of the same code in the other half.
    sums, weighted : sparse array of shape (places, days)
        Sums over the days of each place, and those by their rows.
    """

    names: Sequence[str]
    far: tuple[int, int]
    days: slice
    near: Floats
    places: Ints
    firsts: Ints
    opposite: Ints
    sums: Any
    weighted: Any

    @classmethod
    def of(cls, clock: Clock, of_days: Ints, far: tuple[int, int], names: Sequence[str]) -> _Neighbours:
        """Days of a clock, by the rows of each."""
        days = slice(far[1], max(len(of_days) - far[1], far[1]))
        places, opposite, firsts, stop = list[Ints](), list[Ints](), list[int](), 0
        for name in names:
            codes = clock.parts[name].astype(np.int64)
            halves = _odd_years(clock.first, len(codes)) if name == "month" else clock.odd_weeks
            size = int(codes.max()) + 1
            places.append((stop + halves * size + codes)[days])
            opposite.append(stop + (np.arange(2 * size) + size) % (2 * size))
            firsts.append(stop)
            stop += 2 * size
        rows, place = of_days[days], np.array(places)
        coordinates = place.ravel(), np.tile(np.arange(len(rows)), len(names))
        sums, weighted = (
            csr_array((np.tile(weights, len(names)), coordinates), shape=(stop, len(rows)))
            for weights in (np.ones(len(rows)), rows.astype(np.float64))
        )
        before = np.concatenate(([0.0], np.cumsum(of_days)))[:, None]
        rows_beside = _sums_beside(before, days, far)
        return cls(names, far, days, rows_beside, place, np.array(firsts), np.concatenate(opposite), sums, weighted)

    def gains(self, columns: _Columns, rows: Floats, least: float) -> dict[str, Floats]:
        """Nats that the rows of each code gain by each part of their day; no more than all rows together gain.

        Parameters
        ----------
        columns : _Columns
            Columns.
        rows : ndarray of shape (days, codes)
            Their rows by day.
        least : float
            Parts that cannot gain more have -inf.
        """
        gains = {name: np.full(rows.shape[1], -np.inf) for name in self.names}
        if not len(self.near):
            return gains
        before = np.concatenate((np.zeros((1, rows.shape[1])), np.cumsum(rows, axis=0)))
        of_codes = rows.sum(axis=0)
        share = (of_codes + 1) / columns.spread(columns.sums(of_codes) + columns.sizes)
        shares = _sums_beside(before, self.days, self.far) + LEAST_SHARED * share
        shares /= self.near + LEAST_SHARED
        rows_of_days = rows[self.days]
        sums, expected = self.sums @ rows_of_days, self.weighted @ shares
        ratio = ((sums + 1) / (expected + 1))[self.opposite]
        logarithms = np.log(ratio)
        # Logarithms of mean ratios are no less than means of logarithms.
        most = np.add.reduceat(columns.sums((sums - expected) * logarithms), self.firsts, axis=0)
        gains_of_parts = np.add.reduceat(sums * logarithms, self.firsts, axis=0)
        for part, column in np.argwhere(most > least).tolist():
            codes = columns.slices[column]
            mixtures = np.einsum("ij,ij->i", shares[:, codes], ratio[self.places[part], codes])
            gain = gains_of_parts[part, codes] - np.log(mixtures) @ rows_of_days[:, codes]
            gains[self.names[part]][codes] = np.minimum(gain, np.sum(gain))
        return gains


def _sums_beside(before: Floats, days: slice, far: tuple[int, int]) -> Floats:
    """Sums over the neighbours of each day, from the sums before each day."""
    nearest, farthest = far
    ends = (before[days.start + end : days.stop + end] for end in (1 - nearest, -farthest, farthest + 1, nearest))
    earlier, none_earlier, later, none_later = ends
    sums: Floats = earlier - none_earlier + later - none_later
    return sums


def _odd_years(first: int, count: int) -> Ints:
    """Whether the year of each day is odd."""
    years: Ints = (first + np.arange(count)).astype("M8[D]").astype("M8[Y]").astype(np.int64) % 2
    return years


@dataclass(frozen=True, slots=True)
class _Times:
    """Times of the day of rows, on which other columns may depend whatever the day is.

    Parameters
    ----------
    size : int
        Groups of cells.
    places : ndarray of shape (rows,), int64
        Half and group of each row.
    """

    size: int
    places: Ints

    @classmethod
    def of(cls, clock: Clock, days: Ints, cells: Ints) -> _Times:
        """Times of rows by their days and cells."""
        part = AskedColumn(cells.astype(np.uint16), int(cells.max(initial=0)) + 1, is_category=False)
        groups = part.grouped(MOST_GROUPS)
        return cls(groups.size, clock.odd_weeks[days] * groups.size + groups.codes)

    def gain(self, columns: _Columns) -> Floats:
        """Nats that the rows of each code gain by the time of the day; no more than all rows together gain.

        Each half of the weeks is judged by the other half.
        """
        rows = columns.rows_at(self.places, 2 * self.size)
        rows = rows.reshape(2, self.size, -1)
        gain = np.zeros(rows.shape[2])
        for judged, learnt in ((rows[0], rows[1]), (rows[1], rows[0])):
            of_codes = learnt.sum(axis=0)
            shares = (of_codes + 1) / columns.spread(columns.sums(of_codes) + columns.sizes)
            of_part = (learnt + LEAST_SHARED * shares) / columns.spread(columns.sums(learnt) + LEAST_SHARED)
            gain += np.sum(judged * np.log(of_part / shares), axis=0)
        return np.concatenate([np.minimum(gain[codes], np.sum(gain[codes])) for codes in columns.slices])

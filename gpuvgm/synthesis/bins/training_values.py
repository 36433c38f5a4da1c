"""Values of a column of numbers that a fit has counted, and where intervals between them end."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.special import ndtr

from gpuvgm.arrays import distinct_values
from gpuvgm.codecs import FloatCodec, with_learned_step
from gpuvgm.columns import NumericColumn
from gpuvgm.io import is_moment_type
from gpuvgm.summary import Floats, Ints, Summary
from gpuvgm.synthesis.bins.clock import Clock
from gpuvgm.synthesis.bins.codes import ALONE, count_codes, may_come_out
from gpuvgm.synthesis.bins.edge_places import apart, in_lulls, of_several, without_dominance
from gpuvgm.synthesis.bins.forms import Forms, forms_of
from gpuvgm.synthesis.bins.persons import LEAST_KEYS, Persons

TAILS = (0.0005, 0.001, 0.002, 0.005, 0.01)  # shares of the rows beyond further edges, at both ends
LEAST_INTERVAL = 8  # rows of an interval, about, or beyond an edge of a tail
COARSE_INTERVALS = 200  # intervals at most that have as few rows as `LEAST_INTERVAL`
FINE_INTERVAL = 25  # rows of an interval, about, where there are more than `COARSE_INTERVALS`
LEAST_ROWS = 8  # of a value that is drawn by its count
LISTED_ROWS = 5  # of such a value that is outermost, one of few, or far from others: hardly any comes back by chance
ROWS_OF_STEP = 0.5  # rows for each step around a value, at most, where it is far from others
LISTED = 0.95  # of a column's rows: a column of few values has so many in frequent ones
SPARSE = 2  # steps for each value, at least, where the values are a list
SAME_SINGLE = 5e-15  # of a float of 32 bits: text with 15 digits is off by no more
SAME = 1e-10  # of the largest number: a summary's numbers are off by no more
BESIDE = 5  # gaps on either side of a gap, by which it is judged whether that is wide
WIDE = 4  # times as wide as all of these is a gap in which no value is drawn
FAR_FLOATS = 1 << 10  # distances of neighbouring floats: ends of gaps are multiples of so many at least, by rounding
ROOM = 4  # steps, about, that are left around a value that lies alone


def middles(numbers: Floats) -> Floats:
    """Middles between ascending numbers."""
    return np.asarray(numbers[:-1] + (numbers[1:] / 2 - numbers[:-1] / 2))  # a difference of the largest floats is none


def step_of_singles(column: NumericColumn, distinct: Floats) -> str | None:
    """The step of different numbers that are all floats of 32 bits, "" if they have none; None if they are not."""
    if column.type != pa.float64() or len(distinct) < 2 or not np.all(are_singles(distinct)):
        return None
    all_rows = np.ones(len(distinct), np.bool_)
    codec: Any = with_learned_step(FloatCodec(pa.float32()), pa.chunked_array([nearest_singles(distinct)]), all_rows)[0]
    return codec.step or ""


def nearest_singles(numbers: Floats) -> Floats:
    """The nearest floats of 32 bits, as floats of 64 bits."""
    with np.errstate(over="ignore"):  # beyond the largest float of 32 bits
        return numbers.astype(np.float32).astype(np.float64)


def are_singles(numbers: Floats) -> NDArray[np.bool_]:
    """Mask of the numbers that are floats of 32 bits, but for what writing and reading of text adds."""
    singles = nearest_singles(numbers)
    return np.asarray(np.isfinite(singles) & (np.abs(numbers - singles) <= SAME_SINGLE * np.abs(singles)))


def exact(numbers: Floats, sampled: Floats) -> Floats:
    """Numbers of a summary, each replaced by the sampled number from which it differs by rounding alone, if any.

    Both are ascending.
    """
    if not len(sampled):
        return numbers
    place = np.clip(np.searchsorted(sampled, numbers), 1, max(len(sampled) - 1, 1))
    low, high = sampled[place - 1], sampled[np.minimum(place, len(sampled) - 1)]
    nearest = np.where(numbers - low <= high - numbers, low, high)
    is_same = np.abs(nearest - numbers) <= SAME * np.max(np.abs(sampled))
    return np.where(is_same, nearest, numbers)


def means(numbers: Floats, sizes: Ints) -> Floats:
    """Mean of the numbers of each bin, also where their sum is beyond all floats; 0 of none."""
    counts = np.maximum(sizes, 1)
    with np.errstate(over="ignore"):
        means = sums(numbers, sizes) / counts
    return np.where(np.isfinite(means), means, sums(numbers / np.repeat(counts, sizes), sizes))


def sums(pieces: Floats, sizes: Ints) -> Floats:
    """Sum over the pieces of each bin, as `np.sum` rounds it; 0 of a bin without pieces."""
    first = np.cumsum(sizes) - sizes
    sums: Floats = np.add.reduceat(np.insert(pieces, first, 0.0), first + np.arange(len(first)))
    return sums


@dataclass(frozen=True, slots=True)
class TrainingValues:
    """Training values of a column of numbers: where they lie, and how many there are.

    Parameters
    ----------
    numbers : ndarray of shape (cells,)
        Numbers of the plain codec, on their step, ascending.
    rows : ndarray of shape (cells,), int64
        Training rows.
    persons : ndarray of shape (cells,), int64
        How many persons have the values of each cell, as far as a sample shows; its rows where there are no keys.
    weights : ndarray of shape (cells,)
        Rows, or persons where few have them, so that no bin or part of one is made of the rows of a few persons.
    single : ndarray of shape (cells,), bool
        Whether all rows of a cell have this value.
    step : float
        Distance of neighbouring values; 0 where they may lie anywhere.
    ends : tuple of float
        Range of the values.
    column : NumericColumn, optional
        Column whose mixture spreads the values that are not drawn by their counts; without it they are spread evenly.
    share : float
        Rows of these values, for each training row.
    forms : Forms, optional
        Which steps between values come more often than others.
    clock : Clock, optional
        Clock whose readings the numbers are, in the middle of their steps.
    are_told : bool
        As for `bins_on_clock`.
    times : float, optional
        Rows that a row of the sample stands for, which says whose rows are; None where there are no keys.
    decide : bool
        Whether they decide another column: then rare ones stay rare, as what they decide may go with no others.
    codes : int
        How many different whole numbers there are, if they repeat as codes do; see `with_codes`.
    """

    numbers: Floats
    rows: Ints
    persons: Ints
    weights: Floats
    single: NDArray[np.bool_]
    step: float
    ends: tuple[float, float]
    column: NumericColumn | None = None
    share: float = 1.0
    forms: Forms | None = None
    clock: Clock | None = None
    are_told: bool = False
    times: float | None = None
    decide: bool = False
    codes: int = 0

    @classmethod
    def between(cls, numbers: Floats, step: float, share: float) -> TrainingValues:
        """Values of the rows of a sample."""
        distinct, counts = distinct_values(numbers)
        ends = float(distinct[0]), float(distinct[-1])
        weights = counts.astype(np.float64)
        return cls(distinct, counts, counts, weights, np.ones(len(counts), np.bool_), step, ends, share=share)

    @classmethod
    def of(cls, column: NumericColumn, summary: Summary) -> TrainingValues:
        """Values of a summary's cells."""
        codec, cells = column.codec, summary.cells()
        plain = codec.plain
        decoded = codec.decode(summary.grid.frame.invert(cells.mean))
        numbers = plain.encode(codec.rows_of(decoded))
        ends = (0.0, 0.0)
        if column.minimum is not None and column.maximum is not None:
            ends = (plain.number(column.minimum), plain.number(column.maximum))
        numbers = np.clip(numbers, *ends)
        rows = cells.weight.astype(np.int64)
        weights = rows.astype(np.float64)
        return cls(numbers, rows, rows, weights, cells.scatter == 0, plain.spacing, ends, column)

    def with_persons(self, numbers: Floats, persons: Persons, known: Ints | None = None) -> TrainingValues:
        """The values, with how many persons have them.

        A person in the sample stands for as many persons as a row of it stands for rows. Where no row of a value is in
        the sample, its rows have as many persons as those of other values have.

        Parameters
        ----------
        numbers : ndarray of shape (rows,)
            Numbers of the sample.
        persons : Persons
            Whose the rows of the sample are.
        known : ndarray of shape (values,), int64, optional
            How many persons have each value in all rows; -1 where that is not known.
        """
        if not persons.keys:
            return self
        distinct, where = np.unique(self.numbers, return_inverse=True)
        value_of_rows = np.where(np.isnan(numbers), -1, np.searchsorted(middles(distinct), numbers, side="right"))
        rows = np.bincount(value_of_rows[value_of_rows >= 0], minlength=len(distinct))
        persons_of_values = persons.counts(value_of_rows, len(distinct))
        all_rows = np.bincount(where, self.rows)
        times = max(float(np.sum(self.rows)) / max(int(np.sum(rows)), 1), 1.0)
        come_back = (rows > 1) & (persons_of_values < LEAST_KEYS)
        per_row = float(np.mean(persons_of_values[come_back]) / np.mean(rows[come_back])) if come_back.any() else 1.0
        in_table = np.where(rows > 0, np.maximum(persons_of_values, 1) * times, np.maximum(all_rows * per_row, 1.0))
        if known is not None:
            in_table = np.where(known >= 0, np.maximum(known, 1), in_table)
            persons_of_values = np.maximum(persons_of_values, known)
        weights = np.where(persons_of_values < LEAST_KEYS, in_table, all_rows)
        weights_of_cells = weights[where] * (self.rows / np.maximum(all_rows, 1)[where])
        return replace(self, persons=persons_of_values[where], weights=weights_of_cells, times=times)

    def with_singles(self, sampled: Floats) -> TrainingValues:
        """The values; those that are the same float of 32 bits become the least one of a sample's numbers."""
        singles_of_sample, first = np.unique(nearest_singles(sampled), return_index=True)

        def least(numbers: Floats) -> Floats:
            singles = nearest_singles(numbers)
            place = np.minimum(np.searchsorted(singles_of_sample, singles), len(singles_of_sample) - 1)
            return np.where(singles_of_sample[place] == singles, sampled[first[place]], numbers)

        numbers, where = np.unique(least(self.numbers), return_inverse=True)
        rows = np.bincount(where, self.rows).astype(np.int64)
        single = np.bincount(where, ~self.single) == 0
        low, high = least(np.array(self.ends)).tolist()
        weights = rows.astype(np.float64)
        return replace(self, numbers=numbers, rows=rows, persons=rows, weights=weights, single=single, ends=(low, high))

    def with_forms(
        self, numbers: Floats, persons: Persons, base: int = 0, precision: Any | None = None
    ) -> TrainingValues:
        """The values with the forms of a sample's numbers, of which 0 stands for the value `base`."""
        points, light = self.numbers[self.heavy], numbers
        if self.step:
            points, light = np.rint(points / self.step), np.rint(light / self.step)
        forms = forms_of(numbers, persons, ~np.isin(light, points), self.step, base, precision)
        return replace(self, forms=forms)

    def edges(self, interval_limit: int) -> Floats:
        """Edges at equal shares and in the tails, between the steps."""
        rows, numbers = int(np.sum(self.weights)), self.numbers
        least = LEAST_INTERVAL * (self.times or 1.0)
        coarse, fine = min(max(2, int(rows // least)), COARSE_INTERVALS), rows // FINE_INTERVAL
        interval_count = min(interval_limit, max(coarse, fine))
        frequent = self._moments(interval_count) if self.are_told else np.empty(0, np.int64)
        interval_count = min(interval_count, max(interval_limit - 2 * len(frequent), 2))
        tails = np.array([tail for tail in TAILS if tail * rows >= least])
        shares = np.unique(np.concatenate((np.arange(1, interval_count) / interval_count, tails, 1 - tails)))
        rows_below = np.cumsum(self.weights)[:-1]
        edge_places = np.unique(np.searchsorted(rows_below, shares * rows))
        edge_places = edge_places[edge_places < len(rows_below)]
        if self.are_told and self.clock is not None:
            around_frequent = np.union1d(frequent - 1, frequent)
            around_frequent = around_frequent[(around_frequent >= 0) & (around_frequent < len(rows_below))]
            lulls = in_lulls(edge_places, np.diff(self.clock.numbers(numbers)))
            edge_places = apart(around_frequent, lulls, rows_below, rows / interval_count / 2)
        if self.times is not None:
            several = LEAST_KEYS if self.times == 1 else least  # of which a sample may think that there are more
            edge_places = of_several(edge_places, np.append(rows_below, rows), several)
            edge_places = without_dominance(edge_places, self.rows, self.rows * self.are_of_few)
        lower, upper = numbers[edge_places], numbers[edge_places + 1]
        middle = lower + (upper / 2 - lower / 2)  # a difference of the largest floats is none
        if self.step:
            # Half-way between two steps, so that no value lies on an edge.
            middle = lower + (np.floor((middle - lower) / self.step) + 0.5) * self.step
            middle = np.where(middle > upper, middle - self.step, middle)
        if self.clock is not None:  # whose steps differ in length
            middle = self.clock.borders(middle)
        return np.unique(middle[(middle > self.ends[0]) & (middle < self.ends[1])])

    def edges_by_hours(self, interval_limit: int, hour: float) -> Floats:
        """Edges at full hours, and others within them, so that an interval has several rows, or none.

        So no value is drawn in hours in which nothing is.
        """
        ascending, least = np.sort(self.numbers), LEAST_INTERVAL * (self.times or 1.0)
        hours = np.arange(1, np.floor(ascending[-1] / hour) + 1) * hour - self.step / 2
        if len(hours) > interval_limit:
            return self.edges(interval_limit)
        sums = np.append(0.0, np.cumsum(self.weights[np.argsort(self.numbers, kind="stable")]))

        def rows_below(edges: Floats) -> Floats:
            return np.asarray(sums[np.searchsorted(ascending, edges)])

        chosen, below = list[float](), 0.0
        following = np.append(rows_below(hours)[1:], sums[-1])
        for edge, rows, rows_after in zip(hours.tolist(), rows_below(hours).tolist(), following.tolist(), strict=True):
            is_end_of_none = rows == below and rows_after > rows
            if is_end_of_none or rows >= below + least:
                chosen, below = [*chosen, edge], rows
        edges = np.array([edge for edge in chosen if self.ends[0] < edge < self.ends[1]])
        within = self.edges(interval_limit)
        bounds = np.concatenate(([-np.inf], edges, [np.inf]))
        places = np.searchsorted(bounds, within)
        first, last = (rows_below(bounds[places + shift]) for shift in (-1, 0))
        has_room = np.minimum(rows_below(within) - first, last - rows_below(within)) >= least
        return np.union1d(edges, within[has_room])[: interval_limit - 1]

    def _moments(self, interval_count: int) -> Ints:
        """Places of the moments that have rows of half an interval, and so one of their own."""
        most_frequent = np.argsort(-self.weights, kind="stable")[: interval_count // 4]
        return most_frequent[2 * interval_count * self.weights[most_frequent] >= np.sum(self.weights)]

    @property
    def outer(self) -> tuple[float, float]:
        """Ends of the first and the last step."""
        low, high = self.ends
        if self.clock is not None:
            below, above = self.clock.spans(self.clock.numbers(np.array(self.ends)))[1]
            return low - below, high + above
        # Where all values are equal, their interval still needs a width to be cut into pieces.
        half = self.step / 2 or (float(np.spacing(max(abs(low), abs(high)))) if low == high else 0.0)
        return low - half, high + half

    @property
    def are_few(self) -> bool:
        """Whether nearly all rows have values of enough rows."""
        return bool(np.sum(self.rows[self._are_frequent]) >= LISTED * np.sum(self.rows) > 0)

    @property
    def are_list(self) -> bool:
        """Whether few values are nearly all, and lie on few of the steps between them: hardly any other is drawn."""
        numbers = np.unique(self.numbers[self._are_frequent] if self.are_few else self.numbers)
        least_range = SPARSE * self.step * len(numbers)
        is_sparse = len(numbers) > 0 and bool(numbers[-1] / 2 - numbers[0] / 2 > least_range / 2)
        return self.are_codes or (is_sparse and (self.are_few or self.repeat) and not self.name_someone)

    @property
    def repeat(self) -> bool:
        """Whether they are datetimes, most rows have one of enough rows, and hardly any has one of its own."""
        rows, single_rows = np.sum(self.rows), np.sum(self.rows[~self.single | (self.persons <= 1)])
        are_moments = self.column is not None and is_moment_type(self.column.type)
        return are_moments and self._most_are_frequent and bool(single_rows <= ALONE * rows)

    @property
    def are_closed(self) -> bool:
        """Whether they are a list of moments or codes, so that an interval without a listed value takes the nearest."""
        return (self.repeat and self.are_list) or (self.are_codes and not self.decide)

    @property
    def are_codes(self) -> bool:
        """Whether they are whole numbers that repeat as codes do, and are so few that they name no one."""
        return self.codes > 0 and self._most_are_frequent and may_come_out(self.codes, int(np.sum(self.rows)))

    @property
    def name_someone(self) -> bool:
        """Whether they are whole numbers that repeat as codes do, but have few rows each, as those of customers."""
        names_no_one = self.column is not None and (self.column.numbers_things or self.column.is_amount)
        return not names_no_one and not may_come_out(self.codes, int(np.sum(self.rows)))

    def with_codes(self) -> TrainingValues:
        """The values, with how many codes they are, if they are whole numbers and repeat as codes do."""
        plain = None if self.column is None else self.column.codec.plain
        is_whole = plain is not None and plain.name in {"float", "integer"} and self.step >= 1 and self.step % 1 == 0
        if not is_whole:
            return self
        return replace(self, codes=count_codes(self.numbers, self.rows, self.persons, self.single, self.step))

    @property
    def _most_are_frequent(self) -> bool:
        return bool(np.sum(self.rows[self._are_frequent]) >= np.sum(self.rows) / 2 > 0)

    @property
    def _are_frequent(self) -> NDArray[np.bool_]:
        return np.asarray(self.single & (self.rows >= LISTED_ROWS) & (self.persons >= LEAST_KEYS))

    @property
    def heavy(self) -> NDArray[np.bool_]:
        """Mask of the values that are drawn by their own counts."""
        are_enough = (self.rows >= LEAST_ROWS) | np.isin(self.numbers, self.ends)
        may_come = are_enough | self.are_few | self.are_list | self._are_apart
        return self._are_frequent & may_come & (not self.name_someone)

    @property
    def are_of_few(self) -> NDArray[np.bool_]:
        """Mask of the values that have the rows to be drawn by their counts, but that few persons have."""
        return np.asarray((self.rows >= LEAST_ROWS) & (self.persons < LEAST_KEYS))

    def spread(self, part_of_value: Ints, interval: Ints) -> Floats:
        """Rows of each part of intervals whose values are not drawn by their counts.

        Rows of values that few persons have are spread over all parts of their interval by the weights of all values
        there.

        Parameters
        ----------
        part_of_value : ndarray of shape (values,), int64
            Part in which each value lies.
        interval : ndarray of shape (parts,), int64
            Interval of each part.
        """
        light, size = ~self.heavy, len(interval)
        weights = np.bincount(part_of_value, self.weights * light, size).astype(np.float64)
        if self.times is None:
            return weights
        rows = np.bincount(part_of_value, self.rows * light, size)
        all_weights, all_rows = np.bincount(interval, weights), np.bincount(interval, rows)
        times = np.where(all_weights >= LEAST_KEYS, all_rows / np.maximum(all_weights, 1), 1.0)
        return np.asarray(weights * times[interval])

    @property
    def _are_apart(self) -> NDArray[np.bool_]:
        """Mask of the values with far fewer rows than steps around them, where hardly any comes back by chance."""
        places, below = np.arange(len(self.rows)), np.concatenate(([0], np.cumsum(self.rows)))
        first, last = np.maximum(places - BESIDE, 0), np.minimum(places + BESIDE, len(self.rows) - 1)
        rows_beside = below[last + 1] - below[first] - self.rows
        with np.errstate(over="ignore"):  # of the largest floats
            return np.asarray(rows_beside * self.step <= ROWS_OF_STEP * (self.numbers[last] - self.numbers[first]))

    def gaps(self) -> tuple[Floats, Floats]:
        """First and last numbers, ascending, of ranges in which no value lies but those that are drawn by their counts.

        These are the steps of such values, and wide gaps. A gap is wide beside the gaps near it, and as much as these
        are wide is left at its ends. The ends are multiples of powers of two, which say nothing of a value. On a step,
        an outermost value of few rows beside a wide gap is left out.
        """
        first, last = map(self.between_steps, _wide_gaps(self.numbers, self.step))
        first, last = first[first < last], last[first < last]
        half = self.lattice / 2
        if not half:
            return first, last
        points = self.numbers[self.heavy]
        below, above = (self.numbers < first[0], self.numbers > last[-1]) if len(first) else ((), ())
        for end, beyond in zip(self.ends, (below, above), strict=True):
            if np.any(beyond) and np.sum(self.weights[beyond]) < LISTED_ROWS:
                points = np.append(points, end)
        low, high = (
            np.maximum(points - half, self.ends[0] - self.step / 2),
            np.minimum(points + half, self.ends[1] + self.step / 2),
        )
        first, last = np.append(first, low), np.append(last, high)
        return np.sort(self.between_steps(first)), np.sort(self.between_steps(last))

    @property
    def lattice(self) -> float:
        """Distance of the steps on which all or most values lie; 0 where there is none."""
        return self.step or (0.0 if self.forms is None else self.forms.step)

    def between_steps(self, numbers: Floats) -> Floats:
        """The nearest middles between two steps; the numbers themselves where there is no step."""
        return np.asarray((np.rint(numbers / self.step - 0.5) + 0.5) * self.step) if self.step else numbers

    def law(self, borders: Floats) -> Floats:
        """Share of the mixture below borders, and its mirror image beyond the ends; themselves without a mixture."""
        low, high = self.ends
        with np.errstate(over="ignore"):  # the mirror image of what is beyond the largest floats is clipped
            inner = np.where(borders < low, 2 * low - borders, np.where(borders > high, 2 * high - borders, borders))
        shares = _share_below(self.column, np.clip(inner, low, high))
        lowest, highest = _share_below(self.column, np.array(self.ends))
        return np.where(borders < low, 2 * lowest - shares, np.where(borders > high, 2 * highest - shares, shares))


def _share_below(column: NumericColumn | None, numbers: Floats) -> Floats:
    """Share of a column's mixture below numbers; the numbers themselves without one."""
    mixture = None if column is None else column.mixture
    if column is None or mixture is None:
        return numbers
    y = mixture.frame.apply(column.codec.of_inner(numbers.ravel())).reshape(numbers.shape)
    shares = np.zeros(numbers.shape)
    for weight, mean, deviation in zip(
        mixture.posterior.weights, mixture.posterior.means, mixture.deviations, strict=True
    ):
        shares += weight * ndtr((y - mean) / deviation)
    return shares


def _wide_gaps(numbers: Floats, step: float) -> tuple[Floats, Floats]:
    """First and last numbers of gaps that are wide beside those near them, without what is left at their ends."""
    distinct = np.unique(numbers)
    with np.errstate(over="ignore"):  # of the largest floats
        widths = np.diff(distinct)
    if len(widths) <= BESIDE:
        return np.empty(0), np.empty(0)
    widest = np.max(sliding_window_view(np.pad(widths, BESIDE), BESIDE), axis=1)
    widest_beside = np.maximum(widest[: len(widths)], widest[BESIDE + 1 :])  # of the gaps before each, and after it
    widest_beside = np.maximum(widest_beside, ROOM * step)
    are_wide = widths / WIDE > widest_beside
    first, last, widest_beside = distinct[:-1][are_wide], distinct[1:][are_wide], widest_beside[are_wide]
    units = np.exp2(np.floor(np.log2(np.maximum(widest_beside / 2, np.finfo(float).smallest_subnormal))))
    before, after = (_above_rounding(units, values) for values in (first, last))
    return (np.floor(first / before) + 2) * before, (np.ceil(last / after) - 2) * after


def _above_rounding(units: Floats, numbers: Floats) -> Floats:
    """Powers of two, or larger ones where these would be lost in the rounding of such numbers."""
    spacing = np.spacing(np.abs(numbers) / 2)  # the largest float itself has none
    return np.where(units < spacing, FAR_FLOATS * spacing, units)

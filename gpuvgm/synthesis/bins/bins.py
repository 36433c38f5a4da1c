"""Bins of fitted columns: which bin a value lies in, and how values are spread within a bin."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import distinct_values, namespace_of
from gpuvgm.columns import MISSING, CategoricalColumn, FittedColumn, NumericColumn
from gpuvgm.io import is_number_type
from gpuvgm.summary import Floats, Ints, Summary
from gpuvgm.synthesis.bins.clock import RARE, TWIN, Clock, PartName, moments_with_own_counts
from gpuvgm.synthesis.bins.forms import Forms
from gpuvgm.synthesis.bins.numbers import HOURS, Origin
from gpuvgm.synthesis.bins.persons import LEAST_KEYS, Persons
from gpuvgm.synthesis.bins.pieces import BinPieces, Days, interval_pieces
from gpuvgm.synthesis.bins.sampled_rows import AskedValues, SampledRows
from gpuvgm.synthesis.bins.training_values import (
    LISTED_ROWS,
    SAME,
    TrainingValues,
    exact,
    means,
    middles,
    step_of_singles,
)

_LOG = logging.getLogger("gpuvgm")

MOST_BINS = 1 << 15  # of a column, so that two bytes number them, and the halves of trees
MOST_CATEGORIES = 1 << 8  # bins of a column of categories: trees have a byte for each at every node
NETWORK_BINS = 200  # of a column of numbers in the network of parents, whose tables have a row for each
Codes = NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class Bins:
    """Bins of a column, and the pieces of each.

    The bins of a column of numbers ascend: that of missing values first, modal values where they lie. So do those of
    categories that are numbers; see `ascend`. Those of other categories are the most frequent ones by falling
    frequency, and one for all further ones, or these in an order by another column.

    Parameters
    ----------
    name : str
        The column.
    edges : ndarray of shape (intervals - 1,)
        Borders between the intervals of ordinary numbers, as `numbers_since` gives them.
    codes : ndarray of shape (bins,), int64
        Bin of each of [missing values, modal values, intervals], or of each category.
    rows : ndarray of shape (bins,), int64
        Training rows of each bin, by which neighbours are grouped.
    first : ndarray of shape (bins + 1,), int64
        First piece of each bin; at the end the number of pieces.
    mass : ndarray of shape (pieces,)
        Share of a bin's rows in each of its pieces.
    low, high : ndarray of shape (pieces,)
        Ends of the piece, in numbers; equal for single values. Those of modal values and categories are their index.
    has_missing : bool
        Whether missing values have a bin, which is a group of its own.
    since : str, optional
        Origin: the column of datetimes from which those of this column are counted.
    back : bool
        Whether they are counted back from it.
    by_days : bool
        Whether they are counted from the beginning of its day.
    ahead : float
        How far before the origin they lie at most; see `Origin`.
    clock_of_first : Clock, optional
        Of the datetimes whose origin is missing; see `Origin`.
    single : str, optional
        Step of the values of a column of 64 bits that are all floats of 32 bits; "" where they have none.
    clock : Clock, optional
        Of a column of datetimes that keep to a calendar: its readings are the numbers of `edges`, `low` and `high`.
    calendar : Clock, optional
        Of a column with an origin that is not drawn: it tells other columns when the datetimes are.
    forms : Forms, optional
        Which steps between values come more often than others.
    twin : str, optional
        Column whose number many rows have, see `gpuvgm.synthesis.counts.twins`. The trees that draw the column have one
        further bin for these rows, behind the bins here.
    """

    name: str
    edges: Floats
    codes: Ints
    rows: Ints
    first: Ints
    mass: Floats
    low: Floats
    high: Floats
    has_missing: bool
    since: str | None = None
    back: bool = False
    by_days: bool = False
    ahead: float = 0.0
    clock_of_first: Clock | None = None
    single: str | None = None
    clock: Clock | None = None
    calendar: Clock | None = None
    forms: Forms | None = None
    twin: str | None = None

    def are_rare(self, column: FittedColumn) -> NDArray[np.bool_]:
        """Which bins of a column of categories have those of few rows alone."""
        assert isinstance(column, CategoricalColumn)
        few = np.array(column.counts)[self.low.astype(np.int64)] < LISTED_ROWS
        rare: NDArray[np.bool_] = np.logical_and.reduceat(few, self.first[:-1])
        return rare

    def __len__(self) -> int:
        return len(self.rows)

    def missing_code(self, column: FittedColumn) -> int:
        """The bin of missing values; -1 where there is none, or where it has others, too."""
        if not isinstance(column, CategoricalColumn):
            return 0 if self.has_missing else -1
        if MISSING not in column.categories:
            return -1
        code = int(self.codes[column.categories.index(MISSING)])
        return code if np.count_nonzero(self.codes == code) == 1 else -1

    def equals(self, other: Bins) -> bool:
        """Return whether all parts are equal."""
        return all(np.array_equal(getattr(self, part.name), getattr(other, part.name)) for part in fields(self))

    def check(self) -> None:
        """Raise ValueError where the parts of loaded bins do not fit together."""
        size, pieces = len(self.rows), len(self.mass)
        fits = 0 < size <= MOST_BINS and len(self.first) == size + 1 and len(self.low) == len(self.high) == pieces
        if not fits or self.first[0] or self.first[-1] != pieces or np.any(np.diff(self.first) < 1):
            raise ValueError(f'the bins of "{self.name}" differ in length')
        if self.clock_of_parts is not None:
            self.clock_of_parts.check()
        if self.clock_of_first is not None:
            self.clock_of_first.check()
        if np.any(np.diff(self.edges) <= 0) or np.any(self.low > self.high) or np.any(self.codes >= size):
            raise ValueError(f'the bins of "{self.name}" do not ascend')
        if self.forms is not None:
            self.forms.check()

    @property
    def made_of(self) -> str | None:
        """The column that the values are counted from, or whose number many rows have."""
        return self.since or self.twin

    @property
    def direction(self) -> str:
        """How the datetimes lie to their origin, in words."""
        if self.ahead:
            return "around"
        return "until" if self.back else "since the day of" if self.by_days else "since"

    @property
    def clock_of_parts(self) -> Clock | None:
        """The clock on which parts of datetimes are read."""
        return self.clock or self.calendar

    @property
    def shares(self) -> Floats:
        """Share of each bin's values that a condition leaves; all of them without one."""
        return np.asarray(np.add.reduceat(self.mass, self.first[:-1]))

    def size_of(self, part: PartName) -> int:
        """Codes of a part of the column."""
        if part in (TWIN, RARE):
            return 2
        return 0 if self.clock_of_parts is None else self.clock_of_parts.size(part)

    def rare_numbers(self, numbers: Floats) -> Codes:
        """Which ordinary numbers are not drawn by their count, as few rows or persons have them: 1, else 0."""
        xp, separate = namespace_of(numbers), self.codes[: len(self.codes) - len(self.edges) - 1]
        bin_of = np.repeat(np.arange(len(self)), np.diff(self.first))
        counted = np.unique(self.low[(self.low == self.high) & ~np.isin(bin_of, separate)])
        tolerance = SAME * np.abs(counted).max(initial=0)
        first, end = (xp.searchsorted(xp.asarray(counted), numbers + shift) for shift in (-tolerance, tolerance))
        rare: Codes = (first == end).astype(np.uint16)
        return rare

    def ordinary_pieces(self, modal_values: int) -> NDArray[np.bool_]:
        """Mask of the pieces that are neither missing nor one of so many modal values."""
        return ~np.isin(np.repeat(np.arange(len(self)), np.diff(self.first)), self.codes[:modal_values])

    def hold(self, numbers: Floats) -> NDArray[np.bool_]:
        """Mask of the numbers that lie in pieces with mass, which a condition leaves."""
        pieces = np.flatnonzero(self.mass > 0)
        pieces = pieces[np.lexsort((self.high[pieces], self.low[pieces]))]
        place = np.searchsorted(self.low[pieces], numbers, side="right") - 1
        mask: NDArray[np.bool_] = (place >= 0) & (numbers <= self.high[pieces][place])
        return mask

    def share_below(self, numbers: Floats, low: Floats, high: Floats) -> Floats:
        """Share of pieces from `low` to `high` that lies below numbers."""
        if self.forms is not None:
            return self.forms.share_below(numbers, low, high)
        return np.asarray(np.clip((numbers - low) / (high - low), 0, 1))

    def network_groups(self) -> Ints:
        """Group of each bin, ascending, as the network of parents has it; missing and modal values are groups alone."""
        if len(self) <= MOST_CATEGORIES:
            return np.arange(len(self))
        rows, is_single = self.rows + 1e-9, np.isin(np.arange(len(self)), self.codes[: -1 - len(self.edges)])
        rank = ((np.cumsum(rows) - rows / 2) / np.sum(rows) * NETWORK_BINS).astype(np.int64)
        begins = is_single | (np.diff(rank, prepend=-1) > 0)
        begins[1:] |= is_single[:-1]
        return np.cumsum(begins) - 1

    def merged(self, groups: Ints) -> Bins:
        """Bins of groups of neighbours, with the pieces of all.

        Parameters
        ----------
        groups : ndarray of shape (bins,), int64
            Group of each bin, ascending from 0.
        """
        rows = self.rows + 1e-9
        share = rows / np.bincount(groups, rows)[groups]
        starts = np.flatnonzero(np.diff(groups, prepend=-1))
        return replace(
            self,
            codes=groups[self.codes],
            rows=np.bincount(groups, self.rows).astype(np.int64),
            first=np.append(self.first[starts], self.first[-1]),
            mass=self.mass * np.repeat(share, np.diff(self.first)),
        )

    def reordered(self, order: Ints) -> Bins:
        """The bins of a column of categories in another order, by the bin that comes at each place."""
        pieces = np.concatenate([np.arange(self.first[code], self.first[code + 1]) for code in order.tolist()])
        return replace(
            self,
            codes=np.argsort(order)[self.codes],
            rows=self.rows[order],
            first=np.append(0, np.cumsum(np.diff(self.first)[order])),
            mass=self.mass[pieces],
            low=self.low[pieces],
            high=self.high[pieces],
        )

    def groups(self, group_limit: int) -> Ints:
        """Group of each bin, ascending: at most `group_limit` groups of neighbours with similar shares of the rows.

        Groups nest where one limit is a multiple of the other.
        """
        missing_bins = int(self.has_missing)
        rows = self.rows[missing_bins:] + 1e-9  # so that bins without rows have a place, too
        middle = (np.cumsum(rows) - rows / 2) / np.sum(rows)
        ranks = np.unique((middle * group_limit).astype(np.int64), return_inverse=True)[1]
        return np.concatenate((np.zeros(missing_bins, np.int64), ranks + missing_bins))


def bins_of(
    column: FittedColumn,
    summary: Summary | None,
    sample: SampledRows,
    interval_limit: int,
    *,
    rare_as_one: bool = False,
    decides: bool = False,
) -> Bins:
    """Bins of a fitted column.

    Parameters
    ----------
    column : FittedColumn
        A column of numbers or categories.
    summary : Summary, optional
        Training rows of a column of numbers.
    sample : SampledRows
        A sample of the rows.
    interval_limit : int
        Intervals of equal share of a column of numbers, if each has eight rows.
    rare_as_one : bool
        Whether rare categories are one bin, so that other columns go with all of them.
    decides : bool
        Whether the column decides another one, see `TrainingValues.decide`.
    """
    if isinstance(column, CategoricalColumn):
        return _bins_of_categories(column, rare_as_one=rare_as_one)
    assert isinstance(column, NumericColumn) and summary is not None
    if column.minimum is None:
        return _bins_of_numbers(column, TrainingValues.of(column, summary), interval_limit)
    plain, numbers = column.codec.plain, column.plain_numbers(sample.rows(column.name))[0]
    values, single = _values_of(column, summary, sample, numbers)
    values = replace(values, decide=decides)
    present = sample.few[~np.isnan(numbers[sample.few])]
    precision = getattr(plain, "precision", np.float64) if plain.name in {"float", "integer"} else None
    precision = np.float32 if single is not None else precision
    values = values.with_forms(numbers[present], sample.persons.at(present), plain.base, precision)
    if values.are_codes and values.are_closed and column.name not in sample.made:
        _LOG.info('column "%s": codes, of which samples have those of five rows and more', column.name)
    elif values.name_someone and column.name not in sample.made:
        _LOG.info('column "%s": numbers as of customers, in place of which samples have others', column.name)
    return replace(_bins_of_numbers(column, values, interval_limit), single=single)


def _values_of(
    column: NumericColumn, summary: Summary, sample: SampledRows, numbers: Floats
) -> tuple[TrainingValues, str | None]:
    """Training values of a column that has ordinary ones, by the numbers of a sample, and `single` of `Bins`."""
    values, single = TrainingValues.of(column, summary), None
    if not values.step:
        numbers_of_few = numbers[sample.few]
        distinct = distinct_values(numbers_of_few[~np.isnan(numbers_of_few)])[0]
        single = step_of_singles(column, distinct)
        values = replace(values, numbers=exact(values.numbers, distinct), step=float(single or 0))
        if single is not None:
            values = values.with_singles(distinct)
    return values.with_persons(numbers, sample.persons, sample.known.get(column.name)).with_codes(), single


def asked_values(column: FittedColumn, summary: Summary | None, sample: SampledRows) -> AskedValues | None:
    """Values that are drawn by their counts if all rows show that several persons have them; None without such.

    Parameters
    ----------
    column, summary, sample
        As for `bins_of`.
    """
    if not isinstance(column, NumericColumn) or summary is None or column.minimum is None:
        return None
    values = _values_of(column, summary, sample, column.plain_numbers(sample.rows(column.name))[0])[0]
    distinct, where = np.unique(values.numbers, return_inverse=True)
    are_asked = values.single & (values.rows >= LISTED_ROWS) & (values.persons < LEAST_KEYS)
    is_asked = np.bincount(where, are_asked) > 0
    return AskedValues(middles(distinct), np.where(is_asked, np.cumsum(is_asked) - 1, -1)) if is_asked.any() else None


def bins_of_persons(
    column: FittedColumn, summary: Summary, sample: SampledRows, bins: Bins, *, decides: bool
) -> tuple[Bins, bool]:
    """The bins with pieces by the persons of all rows, and whether no bin is of too few persons.

    Parameters
    ----------
    column, summary, sample, decides
        As for `bins_of`; the sample knows how many persons have the column's values in all rows.
    bins : Bins
        Bins of the column.
    """
    assert isinstance(column, NumericColumn)
    numbers = column.plain_numbers(sample.rows(column.name))[0]
    values, _ = _values_of(column, summary, sample, numbers)
    interval = np.searchsorted(bins.edges, values.numbers)
    persons = np.bincount(interval, values.weights, len(bins.edges) + 1)
    are_of_few = (persons < LEAST_KEYS) & (np.bincount(interval, values.are_of_few, len(persons)) > 0)
    spread = _bins_of_numbers(column, replace(values, forms=bins.forms, decide=decides), len(persons), bins.edges)
    return replace(bins, mass=spread.mass, low=spread.low, high=spread.high, first=spread.first), not are_of_few.any()


def bins_since(origin: Origin, intervals: Floats, persons: Persons, summary: Summary, interval_limit: int) -> Bins:
    """Bins of the time between a column of datetimes and its origin.

    Parameters
    ----------
    origin : Origin
        Origin of the datetimes.
    intervals : ndarray of shape (rows,)
        The time between the two in each row of a sample; NaN where one of them is missing.
    persons : Persons
        Whose the rows of the sample are.
    summary : Summary
        Training rows of the column.
    interval_limit : int
        As for `bins_of`.
    """
    is_present = ~np.isnan(intervals)
    # A few rows are out of order by error; these count as if there were no time between.
    present, persons = np.maximum(intervals[is_present], 0.0), persons.at(is_present)
    values = TrainingValues.between(present, origin.step, len(present) / np.sum(summary.cells().weight))
    values = values.with_persons(present, persons).with_forms(present, persons)
    hour = origin.day / HOURS
    edges = values.edges_by_hours(interval_limit, hour) if origin.by_days else values.edges(interval_limit)
    between, beyond = edges[edges < origin.first_reading], edges[edges >= origin.first_reading]
    if len(between) and len(beyond):
        # In place of the edges beside it, so that no interval has fewer rows than before.
        edges = np.concatenate((between[:-1], [origin.first_reading - origin.step / 2], beyond[1:]))
    days = Days(origin.day, origin.first_reading) if origin.by_days else None
    bins = _bins_of_numbers(origin.column, values, interval_limit, edges, days)
    bins = replace(bins, since=origin.first.name, back=origin.back, by_days=origin.by_days, ahead=origin.ahead)
    return replace(bins, clock_of_first=origin.clock)


def bins_on_clock(
    column: FittedColumn,
    clock: Clock,
    sample: SampledRows,
    summary: Summary,
    interval_limit: int,
    *,
    are_told: bool,
) -> Bins:
    """Bins of the readings of a clock.

    Parameters
    ----------
    column : FittedColumn
        A column of datetimes.
    clock : Clock
        Its clock.
    sample : SampledRows
        A sample of the rows.
    summary : Summary
        Its summary.
    interval_limit : int
        As for `bins_of`.
    are_told : bool
        Whether datetimes are drawn given columns before them. Then intervals end where hardly any rows are, and a
        frequent moment has an interval alone, as its neighbours may go with other values of these columns. Else
        intervals have equal shares.
    """
    assert isinstance(column, NumericColumn)
    numbers = column.plain_numbers(sample.rows(column.name))[0]
    is_present = ~np.isnan(numbers)
    present, persons = numbers[is_present], sample.persons.at(is_present)
    readings = clock.readings(present)
    values = TrainingValues.between(readings, 0.0, len(present) / np.sum(summary.cells().weight))
    is_frequent = np.isin(values.numbers, clock.readings(moments_with_own_counts(clock, present, persons)))
    values = replace(values, single=is_frequent, clock=clock, are_told=are_told).with_persons(readings, persons)
    return replace(_bins_of_numbers(column, values, interval_limit), clock=clock)


def origin_of(columns: Mapping[str, FittedColumn], bins: Bins) -> Origin | None:
    """Return the origin that a column's datetimes are counted from, if any."""
    if bins.since is None:
        return None
    column, first = columns[bins.name], columns[bins.since]
    assert isinstance(column, NumericColumn) and isinstance(first, NumericColumn)
    return Origin(column, first, bins.back, bins.by_days, bins.ahead, bins.clock_of_first)


def origins_of(bins: Iterable[Bins]) -> dict[str, str]:
    """By column that is counted from an origin or has a twin, this origin or twin."""
    return {column.name: column.made_of for column in bins if column.made_of is not None}


def ascend(column: FittedColumn, bins: int) -> bool:
    """Whether so many bins of a column are in the order of its values, so that trees cut them at a number.

    Those of categories are if they are numbers, more than two, and each has a bin of its own.
    """
    if not isinstance(column, CategoricalColumn):
        return True
    return is_number_type(column.value_type) and 2 < bins == len(column.categories)


def _bins_of_categories(column: CategoricalColumn, *, rare_as_one: bool) -> Bins:
    counts = np.array(column.counts, np.int64)
    codes, are_rare = np.minimum(np.arange(len(counts)), MOST_CATEGORIES - 1), counts < LISTED_ROWS
    if rare_as_one and are_rare.any():
        last = min(int(np.count_nonzero(~are_rare)), MOST_CATEGORIES - 1)
        codes = np.where(are_rare, last, np.minimum(codes, MOST_CATEGORIES - 2))
    if ascend(column, len(np.unique(codes))):
        codes = np.argsort(np.argsort(np.nan_to_num(column.numbers, nan=-np.inf), kind="stable"))
    rows = np.bincount(codes, counts).astype(np.int64)
    by_bin = np.argsort(codes, kind="stable")
    first = np.append(np.searchsorted(codes[by_bin], np.arange(len(rows))), len(codes))
    mass = ((counts + 0.5 * (rows[codes] == 0)) / np.maximum(rows[codes], 0.5))[by_bin]
    places = by_bin.astype(np.float64)
    return Bins(column.name, np.empty(0), codes, rows, first, mass, places, places, has_missing=False)


def _bins_of_numbers(
    column: NumericColumn,
    values: TrainingValues,
    interval_limit: int,
    edges: Floats | None = None,
    days: Days | None = None,
) -> Bins:
    """Missing values, modal values and intervals, in the order of their values; `days` as for `interval_pieces`."""
    edges = values.edges(interval_limit) if edges is None else edges
    inner = interval_pieces(values, edges, days) if column.minimum is not None else BinPieces.of_points(0)
    modal = column.modal_numbers
    places = np.array([column.codec.plain.number(value) for value in modal])
    modal_counts = np.rint(np.array(getattr(column, "modal_counts", ())) * values.share)
    counts = dict(zip(column.modal_values, modal_counts, strict=True))
    has_missing = MISSING in counts
    middles = means(inner.low, inner.sizes)
    position = np.concatenate(([-np.inf] * has_missing, np.nan_to_num(places), middles))
    order = np.argsort(position, kind="stable")
    rows = np.concatenate(([counts[MISSING]] if has_missing else [], [counts[value] for value in modal], inner.rows))
    codes = np.empty(len(order), np.int64)
    codes[order] = np.arange(len(order))
    points = BinPieces.of_points(len(modal) + has_missing)
    sizes = np.concatenate((points.sizes, inner.sizes))
    first = np.concatenate(([0], np.cumsum(sizes[order])))
    order_of_pieces = np.repeat((np.cumsum(sizes) - sizes)[order] - first[:-1], sizes[order]) + np.arange(first[-1])
    mass, low, high = (
        np.concatenate(kinds)[order_of_pieces]
        for kinds in ((points.mass, inner.mass), (points.low, inner.low), (points.high, inner.high))
    )
    rows = rows.astype(np.int64)
    return Bins(column.name, edges, codes, rows[order], first, mass, low, high, has_missing, forms=values.forms)

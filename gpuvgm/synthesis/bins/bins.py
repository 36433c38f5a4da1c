"""Bins of fitted columns: which bin a value lies in, and how values are spread within a bin."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.special import ndtr

from gpuvgm.arrays import Column, distinct_values, namespace_of, to_numpy
from gpuvgm.codecs import FloatCodec, with_learned_step
from gpuvgm.columns import MISSING, CategoricalColumn, FittedColumn, NumericColumn
from gpuvgm.engines import AskedColumn, Engine
from gpuvgm.errors import InputError
from gpuvgm.io import is_moment_type
from gpuvgm.summary import Floats, Ints, Summary
from gpuvgm.synthesis.bins.clock import PARTS, RARE, TWIN, Clock, Part, PartName, moments_with_own_counts
from gpuvgm.synthesis.bins.forms import Forms, forms_of
from gpuvgm.synthesis.bins.numbers import Modal, Origin, Rows, numbers_of_rows, numbers_since, start_finder, twin_finder
from gpuvgm.synthesis.bins.persons import LEAST_KEYS, Persons

TAILS = (0.0005, 0.001, 0.002, 0.005, 0.01)  # shares of the rows beyond further edges, at both ends
LEAST_INTERVAL = 8  # rows of an interval, about, or beyond an edge of a tail
COARSE_INTERVALS = 200  # intervals at most that have as few rows as `LEAST_INTERVAL`
FINE_INTERVAL = 25  # rows of an interval, about, where there are more than `COARSE_INTERVALS`
MOST_BINS = 1 << 15  # of a column, so that two bytes number them, and the halves of trees
MOST_CATEGORIES = 1 << 8  # bins of a column of categories: trees have a byte for each at every node
NETWORK_BINS = 200  # of a column of numbers in the network of parents, whose tables have a row for each
LEAST_ROWS = 8  # of a value that is drawn by its count
LISTED_ROWS = 5  # of such a value that is outermost, one of few, or far from others: hardly any comes back by chance
ROWS_OF_STEP = 0.5  # rows for each step around a value, at most, where it is far from others
LISTED = 0.95  # of a column's rows: a column of few values has so many in frequent ones
ALONE = 0.02  # of the rows, at most, with a datetime that no other row has, where new rows hardly bring new datetimes
SPARSE = 2  # steps for each value, at least, where the values are a list
SAME_SINGLE = 5e-15  # of a float of 32 bits: text with 15 digits is off by no more
SAME = 1e-10  # of the largest number: a summary's numbers are off by no more
UNSEEN_ROWS = 0.5  # that values in an interval count for where all its rows have values that are drawn by their counts
HARDLY = 1e-6  # of `UNSEEN_ROWS`, where the column's values are a list: so that each value has a density
EVEN = 1e-3  # of a part's rows that each of its pieces has, wherever the mixture has the rows
PIECES = 16  # of a part of a bin, over which the mixture spreads its rows
BESIDE = 5  # gaps on either side of a gap, by which it is judged whether that is wide
WIDE = 4  # times as wide as all of these is a gap in which no value is drawn
FAR_FLOATS = 1 << 10  # distances of neighbouring floats: ends of gaps are multiples of so many at least, by rounding
ROUNDING = 1e-6  # of a step: borders between pieces may be off by so much
ROOM = 4  # steps, about, that are left around a value that lies alone
Codes = NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class SampledRows:
    """A sample of rows, and whose they are.

    Parameters
    ----------
    rows : callable
        Gives the rows of a column.
    persons : Persons
        Whose they are.
    few : ndarray of shape (few,), int64
        Places of fewer rows for what takes long: short runs, from all over the sample.
    known : mapping of str to ndarray of shape (values,), int64
        By column of numbers, how many persons have each of its values in all rows, in the order of `AskedValues`; -1
        for values that are not asked about.
    """

    rows: Rows
    persons: Persons
    few: Ints
    known: Mapping[str, Ints] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AskedValues:
    """Values of a column of numbers of which a sample does not show that several persons have them.

    Parameters
    ----------
    starts : ndarray of shape (values - 1,)
        Borders between the different values of the column.
    places : ndarray of shape (values,), int64
        For each value its number among those that are asked about; -1 for others.
    """

    starts: Floats
    places: Ints

    def __len__(self) -> int:
        return int(np.max(self.places, initial=-1)) + 1

    def finder(self, column: FittedColumn, engine: Engine) -> Callable[[Column], Ints]:
        """Return what gives the number of each row's value, on the host."""
        assert isinstance(column, NumericColumn)
        start_of = start_finder(self.starts, engine)

        def of_values(values: Column) -> Ints:
            numbers = numbers_of_rows(column, values)[0]
            cells = to_numpy(start_of(numbers)) + 1
            is_missing = to_numpy(namespace_of(numbers).isnan(numbers))
            places: Ints = np.where(is_missing, -1, self.places[cells])
            return places

        return of_values

    def known(self, persons: Ints) -> Ints:
        """How many persons have each value, by those of the values that are asked about; -1 for others."""
        return np.where(self.places >= 0, np.append(persons, -1)[self.places], -1)


@dataclass(frozen=True, slots=True)
class Bins:
    """Bins of a column, and the pieces of each.

    The bins of a column of numbers ascend: that of missing values first, modal values where they lie. Those of a
    categorical column are its most frequent categories by falling frequency, and one for all further ones.

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
    single : str, optional
        Step of the values of a column of 64 bits that are all floats of 32 bits; "" where they have none.
    clock : Clock, optional
        Of a column of datetimes that keep to a calendar: its readings are the numbers of `edges`, `low` and `high`.
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
    single: str | None = None
    clock: Clock | None = None
    forms: Forms | None = None
    twin: str | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def equals(self, other: Bins) -> bool:
        """Return whether all parts are equal."""
        return all(np.array_equal(getattr(self, part.name), getattr(other, part.name)) for part in fields(self))

    def check(self) -> None:
        """Raise ValueError where the parts of loaded bins do not fit together."""
        size, pieces = len(self.rows), len(self.mass)
        fits = 0 < size <= MOST_BINS and len(self.first) == size + 1 and len(self.low) == len(self.high) == pieces
        if not fits or self.first[0] or self.first[-1] != pieces or np.any(np.diff(self.first) < 1):
            raise ValueError(f'the bins of "{self.name}" differ in length')
        if self.clock is not None:
            self.clock.check()
        if np.any(np.diff(self.edges) <= 0) or np.any(self.low > self.high) or np.any(self.codes >= size):
            raise ValueError(f'the bins of "{self.name}" do not ascend')
        if self.forms is not None:
            self.forms.check()

    @property
    def made_of(self) -> str | None:
        """The column that the values are counted from, or whose number many rows have."""
        return self.since or self.twin

    @property
    def shares(self) -> Floats:
        """Share of each bin's values that a condition leaves; all of them without one."""
        return np.asarray(np.add.reduceat(self.mass, self.first[:-1]))

    def size_of(self, part: PartName) -> int:
        """Codes of a part of the column."""
        if part in (TWIN, RARE):
            return 2
        return 0 if self.clock is None else self.clock.size(part)

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

    def groups(self, group_limit: int) -> Ints:
        """Group of each bin, ascending: at most `group_limit` groups of neighbours with similar shares of the rows.

        Groups nest where one limit is a multiple of the other.
        """
        missing_bins = int(self.has_missing)
        rows = self.rows[missing_bins:] + 1e-9  # so that bins without rows have a place, too
        middle = (np.cumsum(rows) - rows / 2) / np.sum(rows)
        ranks = np.unique((middle * group_limit).astype(np.int64), return_inverse=True)[1]
        return np.concatenate((np.zeros(missing_bins, np.int64), ranks + missing_bins))


# -- bins from fitted columns


def bins_of(
    column: FittedColumn,
    summary: Summary | None,
    sample: SampledRows,
    interval_limit: int,
    *,
    rare_as_one: bool = False,
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
    """
    if isinstance(column, CategoricalColumn):
        return _bins_of_categories(column, rare_as_one=rare_as_one)
    assert isinstance(column, NumericColumn) and summary is not None
    if column.minimum is None:
        return _bins_of_numbers(column, _TrainingValues.of(column, summary), interval_limit)
    plain, numbers = column.codec.plain, numbers_of_rows(column, sample.rows(column.name))[0]
    values, single = _values_of(column, summary, sample, numbers)
    present = sample.few[~np.isnan(numbers[sample.few])]
    precision = getattr(plain, "precision", np.float64) if plain.name in {"float", "integer"} else None
    precision = np.float32 if single is not None else precision
    values = values.with_forms(numbers[present], sample.persons.at(present), plain.base, precision)
    return replace(_bins_of_numbers(column, values, interval_limit), single=single)


def _values_of(
    column: NumericColumn, summary: Summary, sample: SampledRows, numbers: Floats
) -> tuple[_TrainingValues, str | None]:
    """Training values of a column that has ordinary ones, by the numbers of a sample, and `single` of `Bins`."""
    values, single = _TrainingValues.of(column, summary), None
    if not values.step:
        numbers_of_few = numbers[sample.few]
        distinct = distinct_values(numbers_of_few[~np.isnan(numbers_of_few)])[0]
        single = _step_of_singles(column, distinct)
        values = replace(values, numbers=_exact(values.numbers, distinct), step=float(single or 0))
        if single is not None:
            values = values.with_singles(distinct)
    return values.with_persons(numbers, sample.persons, sample.known.get(column.name)), single


def asked_values(column: FittedColumn, summary: Summary | None, sample: SampledRows) -> AskedValues | None:
    """Values that are drawn by their counts if all rows show that several persons have them; None without such.

    Parameters
    ----------
    column, summary, sample
        As for `bins_of`.
    """
    if not isinstance(column, NumericColumn) or summary is None or column.minimum is None:
        return None
    values = _values_of(column, summary, sample, numbers_of_rows(column, sample.rows(column.name))[0])[0]
    distinct, where = np.unique(values.numbers, return_inverse=True)
    are_asked = values.single & (values.rows >= LISTED_ROWS) & (values.persons < LEAST_KEYS)
    is_asked = np.bincount(where, are_asked) > 0
    return AskedValues(_middles(distinct), np.where(is_asked, np.cumsum(is_asked) - 1, -1)) if is_asked.any() else None


def bins_of_persons(column: FittedColumn, summary: Summary, sample: SampledRows, bins: Bins) -> tuple[Bins, bool]:
    """The bins with pieces by the persons of all rows, and whether no bin is of too few persons.

    Parameters
    ----------
    column, summary, sample
        As for `bins_of`; the sample knows how many persons have the column's values in all rows.
    bins : Bins
        Bins of the column.
    """
    assert isinstance(column, NumericColumn)
    numbers = numbers_of_rows(column, sample.rows(column.name))[0]
    values, _ = _values_of(column, summary, sample, numbers)
    interval = np.searchsorted(bins.edges, values.numbers)
    persons = np.bincount(interval, values.weights, len(bins.edges) + 1)
    are_of_few = (persons < LEAST_KEYS) & (np.bincount(interval, values.are_of_few, len(persons)) > 0)
    spread = _bins_of_numbers(column, replace(values, forms=bins.forms), len(persons), bins.edges)
    return replace(bins, mass=spread.mass, low=spread.low, high=spread.high, first=spread.first), not are_of_few.any()


def _middles(numbers: Floats) -> Floats:
    """Middles between ascending numbers."""
    return np.asarray(numbers[:-1] + (numbers[1:] / 2 - numbers[:-1] / 2))  # a difference of the largest floats is none


def _step_of_singles(column: NumericColumn, distinct: Floats) -> str | None:
    """The step of different numbers that are all floats of 32 bits, "" if they have none; None if they are not."""
    singles = nearest_singles(distinct)
    if column.type != pa.float64() or len(distinct) < 2 or not np.all(are_same_singles(distinct, singles)):
        return None
    all_rows = np.ones(len(distinct), np.bool_)
    codec: Any = with_learned_step(FloatCodec(pa.float32()), pa.chunked_array([singles]), all_rows)[0]
    return codec.step or ""


def nearest_singles(numbers: Floats) -> Floats:
    """The nearest floats of 32 bits, as floats of 64 bits."""
    with np.errstate(over="ignore"):  # beyond the largest float of 32 bits
        return numbers.astype(np.float32).astype(np.float64)


def are_same_singles(numbers: Floats, singles: Floats) -> NDArray[np.bool_]:
    """Mask of the numbers that are these floats of 32 bits, but for what writing and reading of text adds."""
    return np.asarray(np.isfinite(singles) & (np.abs(numbers - singles) <= SAME_SINGLE * np.abs(singles)))


def _exact(numbers: Floats, sampled: Floats) -> Floats:
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
    values = _TrainingValues.between(present, origin.step, len(present) / np.sum(summary.cells().weight))
    values = values.with_persons(present, persons).with_forms(present, persons)
    return replace(_bins_of_numbers(origin.column, values, interval_limit), since=origin.first.name, back=origin.back)


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
    numbers = numbers_of_rows(column, sample.rows(column.name))[0]
    is_present = ~np.isnan(numbers)
    present, persons = numbers[is_present], sample.persons.at(is_present)
    readings = clock.readings(present)
    values = _TrainingValues.between(readings, 0.0, len(present) / np.sum(summary.cells().weight))
    is_frequent = np.isin(values.numbers, clock.readings(moments_with_own_counts(clock, present, persons)))
    values = replace(values, single=is_frequent, clock=clock, are_told=are_told).with_persons(readings, persons)
    return replace(_bins_of_numbers(column, values, interval_limit), clock=clock)


def origin_of(columns: Mapping[str, FittedColumn], bins: Bins) -> Origin | None:
    """Return the origin that a column's datetimes are counted from, if any."""
    if bins.since is None:
        return None
    column, first = columns[bins.name], columns[bins.since]
    assert isinstance(column, NumericColumn) and isinstance(first, NumericColumn)
    return Origin(column, first, bins.back)


def origins_of(bins: Iterable[Bins]) -> dict[str, str]:
    """By column that is counted from an origin or has a twin, this origin or twin."""
    return {column.name: column.made_of for column in bins if column.made_of is not None}


def _bins_of_categories(column: CategoricalColumn, *, rare_as_one: bool) -> Bins:
    counts = np.array(column.counts, np.int64)
    codes, are_rare = np.minimum(np.arange(len(counts)), MOST_CATEGORIES - 1), counts < LISTED_ROWS
    if rare_as_one and are_rare.any():
        last = min(int(np.count_nonzero(~are_rare)), MOST_CATEGORIES - 1)
        codes = np.where(are_rare, last, np.minimum(codes, MOST_CATEGORIES - 2))
    rows = np.bincount(codes, counts).astype(np.int64)
    first = np.append(np.searchsorted(codes, np.arange(len(rows))), len(codes))
    mass = (counts + 0.5 * (rows[codes] == 0)) / np.maximum(rows[codes], 0.5)
    places = np.arange(len(counts), dtype=np.float64)
    return Bins(column.name, np.empty(0), codes, rows, first, mass, places, places, has_missing=False)


def _bins_of_numbers(
    column: NumericColumn, values: _TrainingValues, interval_limit: int, edges: Floats | None = None
) -> Bins:
    """Missing values, modal values and intervals, in the order of their values."""
    edges = values.edges(interval_limit) if edges is None else edges
    inner = _interval_pieces(values, edges) if column.minimum is not None else _BinPieces.of_points(0)
    modal = column.modal_numbers
    places = np.array([column.codec.plain.number(value) for value in modal])
    modal_counts = np.rint(np.array(getattr(column, "modal_counts", ())) * values.share)
    counts = dict(zip(column.modal_values, modal_counts, strict=True))
    has_missing = MISSING in counts
    middles = _means(inner.low, inner.sizes)
    position = np.concatenate(([-np.inf] * has_missing, np.nan_to_num(places), middles))
    order = np.argsort(position, kind="stable")
    rows = np.concatenate(([counts[MISSING]] if has_missing else [], [counts[value] for value in modal], inner.rows))
    codes = np.empty(len(order), np.int64)
    codes[order] = np.arange(len(order))
    points = _BinPieces.of_points(len(modal) + has_missing)
    sizes = np.concatenate((points.sizes, inner.sizes))
    first = np.concatenate(([0], np.cumsum(sizes[order])))
    order_of_pieces = np.repeat((np.cumsum(sizes) - sizes)[order] - first[:-1], sizes[order]) + np.arange(first[-1])
    mass, low, high = (
        np.concatenate(kinds)[order_of_pieces]
        for kinds in ((points.mass, inner.mass), (points.low, inner.low), (points.high, inner.high))
    )
    rows = rows.astype(np.int64)
    return Bins(column.name, edges, codes, rows[order], first, mass, low, high, has_missing, forms=values.forms)


def _means(numbers: Floats, sizes: Ints) -> Floats:
    """Mean of the numbers of each bin, also where their sum is beyond all floats; 0 of none."""
    counts = np.maximum(sizes, 1)
    with np.errstate(over="ignore"):
        means = _sums(numbers, sizes) / counts
    return np.where(np.isfinite(means), means, _sums(numbers / np.repeat(counts, sizes), sizes))


@dataclass(frozen=True, slots=True)
class _BinPieces:
    """Pieces of bins, those of a bin after those of the one before, with the rows and pieces of each bin."""

    rows: Ints
    sizes: Ints
    mass: Floats
    low: Floats
    high: Floats

    @classmethod
    def of_points(cls, count: int) -> _BinPieces:
        """Single values, from 0 on."""
        places = np.arange(count, dtype=np.float64)
        return cls(np.zeros(count, np.int64), np.ones(count, np.int64), np.ones(count), places, places)


def _sums(pieces: Floats, sizes: Ints) -> Floats:
    """Sum over the pieces of each bin, as `np.sum` rounds it; 0 of a bin without pieces."""
    first = np.cumsum(sizes) - sizes
    sums: Floats = np.add.reduceat(np.insert(pieces, first, 0.0), first + np.arange(len(first)))
    return sums


@dataclass(frozen=True, slots=True)
class _TrainingValues:
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

    @classmethod
    def between(cls, numbers: Floats, step: float, share: float) -> _TrainingValues:
        """Values of the rows of a sample."""
        distinct, counts = distinct_values(numbers)
        ends = float(distinct[0]), float(distinct[-1])
        weights = counts.astype(np.float64)
        return cls(distinct, counts, counts, weights, np.ones(len(counts), np.bool_), step, ends, share=share)

    @classmethod
    def of(cls, column: NumericColumn, summary: Summary) -> _TrainingValues:
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

    def with_persons(self, numbers: Floats, persons: Persons, known: Ints | None = None) -> _TrainingValues:
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
        value_of_rows = np.where(np.isnan(numbers), -1, np.searchsorted(_middles(distinct), numbers, side="right"))
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

    def with_singles(self, sampled: Floats) -> _TrainingValues:
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
    ) -> _TrainingValues:
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
            lulls = _in_lulls(edge_places, np.diff(self.clock.numbers(numbers)))
            edge_places = _apart(around_frequent, lulls, rows_below, rows / interval_count / 2)
        if self.times is not None:
            several = LEAST_KEYS if self.times == 1 else least  # of which a sample may think that there are more
            edge_places = _of_several(edge_places, np.append(rows_below, rows), several)
        lower, upper = numbers[edge_places], numbers[edge_places + 1]
        middle = lower + (upper / 2 - lower / 2)  # a difference of the largest floats is none
        if self.step:
            # Half-way between two steps, so that no value lies on an edge.
            middle = lower + (np.floor((middle - lower) / self.step) + 0.5) * self.step
            middle = np.where(middle > upper, middle - self.step, middle)
        if self.clock is not None:  # whose steps differ in length
            middle = self.clock.borders(middle)
        return np.unique(middle[(middle > self.ends[0]) & (middle < self.ends[1])])

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
        return is_sparse and (self.are_few or self.repeat)

    @property
    def repeat(self) -> bool:
        """Whether they are datetimes, most rows have one of enough rows, and hardly any has one of its own."""
        rows, frequent_rows = np.sum(self.rows), np.sum(self.rows[self._are_frequent])
        single_rows = np.sum(self.rows[~self.single | (self.persons <= 1)])
        are_moments = self.column is not None and is_moment_type(self.column.type)
        return are_moments and bool(frequent_rows >= rows / 2 > 0) and bool(single_rows <= ALONE * rows)

    @property
    def _are_frequent(self) -> NDArray[np.bool_]:
        return np.asarray(self.single & (self.rows >= LISTED_ROWS) & (self.persons >= LEAST_KEYS))

    @property
    def heavy(self) -> NDArray[np.bool_]:
        """Mask of the values that are drawn by their own counts."""
        are_enough = (self.rows >= LEAST_ROWS) | np.isin(self.numbers, self.ends)
        return self._are_frequent & (are_enough | self.are_few | self.are_list | self._are_apart)

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
        first, last = map(self.between_steps, self._wide_gaps())
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

    def _wide_gaps(self) -> tuple[Floats, Floats]:
        distinct = np.unique(self.numbers)
        with np.errstate(over="ignore"):  # of the largest floats
            widths = np.diff(distinct)
        if len(widths) <= BESIDE:
            return np.empty(0), np.empty(0)
        widest = np.max(sliding_window_view(np.pad(widths, BESIDE), BESIDE), axis=1)
        widest_beside = np.maximum(widest[: len(widths)], widest[BESIDE + 1 :])  # of the gaps before each, and after it
        widest_beside = np.maximum(widest_beside, ROOM * self.step)
        are_wide = widths / WIDE > widest_beside
        first, last, widest_beside = distinct[:-1][are_wide], distinct[1:][are_wide], widest_beside[are_wide]
        units = np.exp2(np.floor(np.log2(np.maximum(widest_beside / 2, np.finfo(float).smallest_subnormal))))
        before, after = (_above_rounding(units, values) for values in (first, last))
        return (np.floor(first / before) + 2) * before, (np.ceil(last / after) - 2) * after

    def law(self, borders: Floats) -> Floats:
        """Share of the mixture below borders, and its mirror image beyond the ends; themselves without a mixture."""
        low, high = self.ends
        with np.errstate(over="ignore"):  # the mirror image of what is beyond the largest floats is clipped
            inner = np.where(borders < low, 2 * low - borders, np.where(borders > high, 2 * high - borders, borders))
        shares, (lowest, highest) = self._share_below(np.clip(inner, low, high)), self._share_below(np.array(self.ends))
        return np.where(borders < low, 2 * lowest - shares, np.where(borders > high, 2 * highest - shares, shares))

    def _share_below(self, numbers: Floats) -> Floats:
        """Share of the column's mixture below numbers; the numbers themselves without one."""
        mixture = None if self.column is None else self.column.mixture
        if self.column is None or mixture is None:
            return numbers
        y = mixture.frame.apply(self.column.codec.of_inner(numbers.ravel())).reshape(numbers.shape)
        shares = np.zeros(numbers.shape)
        for weight, mean, deviation in zip(
            mixture.posterior.weights, mixture.posterior.means, mixture.deviations, strict=True
        ):
            shares += weight * ndtr((y - mean) / deviation)
        return shares


def _above_rounding(units: Floats, numbers: Floats) -> Floats:
    """Powers of two, or larger ones where these would be lost in the rounding of such numbers."""
    spacing = np.spacing(np.abs(numbers) / 2)  # the largest float itself has none
    return np.where(units < spacing, FAR_FLOATS * spacing, units)


def _in_lulls(places: Ints, waits: Floats) -> Ints:
    """Places with the longest waits, each of those nearest to a place: after a wait, rows may be of a new kind."""
    stops = [0, *((places[:-1] + places[1:] + 1) // 2).tolist(), len(waits)]
    nearest = [np.argmax(waits[start:stop]) + start for start, stop in pairwise(stops)] if len(places) else []
    return np.array(nearest, np.int64)


def _of_several(places: Ints, rows_below: Floats, least_rows: float) -> Ints:
    """Places with at least so many rows between two of them, before the first and after the last."""
    kept, last = list[int](), 0.0
    for place in places[rows_below[places] <= rows_below[-1] - least_rows].tolist():
        if rows_below[place] - last >= least_rows:
            kept.append(place)
            last = rows_below[place]
    return np.array(kept, np.int64)


def _apart(places: Ints, further: Ints, rows_below: Floats, least_rows: float) -> Ints:
    """Places, and those further places that have at least so many rows between them and all others."""
    below = np.concatenate(([-np.inf], rows_below[places], [np.inf]))
    after = np.searchsorted(below, rows_below[further])
    distance = np.minimum(below[after] - rows_below[further], rows_below[further] - below[after - 1])
    kept, last = [*places.tolist()], -np.inf
    for place in further[distance >= least_rows].tolist():
        if rows_below[place] - last >= least_rows:
            kept.append(place)
            last = rows_below[place]
    return np.sort(np.array(kept, np.int64))


def _interval_pieces(values: _TrainingValues, edges: Floats) -> _BinPieces:
    """Pieces of each interval: values with many rows by their counts, the others where the mixture has them."""
    low, high = values.outer
    *pieces, of_piece = _pieces_between(values, np.concatenate(([low], edges, [high])))
    heavy = values.heavy
    points, where = np.unique(values.numbers[heavy], return_inverse=True)
    point_rows = np.bincount(where, values.rows[heavy], len(points))
    of_value, of_point = np.searchsorted(edges, values.numbers), np.searchsorted(edges, points)
    if values.repeat and values.are_list:  # an interval without a listed moment takes the nearest one
        without = np.setdiff1d(np.arange(len(edges) + 1), of_point)
        middles = [np.mean(values.numbers[of_value == interval]) for interval in without]
        distances = (np.where(heavy, np.abs(values.numbers - middle), np.inf) for middle in middles)
        nearest = np.array([np.argmin(distance) for distance in distances], np.int64)
        points, point_rows = np.append(points, values.numbers[nearest]), np.append(point_rows, values.rows[nearest])
        of_point = np.append(of_point, without)
    interval = np.concatenate((of_point, of_piece))
    order, sizes = np.argsort(interval, kind="stable"), np.bincount(interval, minlength=len(edges) + 1)
    rows = np.bincount(of_value, values.rows, len(edges) + 1).astype(np.int64)
    of_points = (point_rows, points, points)
    mass, low_ends, high_ends = (np.concatenate(ends)[order] for ends in zip(of_points, pieces, strict=True))
    return _BinPieces(rows, sizes, mass / np.repeat(_sums(mass, sizes), sizes), low_ends, high_ends)


def _pieces_between(values: _TrainingValues, ends: Floats) -> tuple[Floats, Floats, Floats, Ints]:
    """Mass and ends of pieces of intervals, and the interval of each.

    The mass is that of the rows of values that are not drawn by their counts. Gaps cut an interval into parts. Each
    part has the rows that lie in it, which the mixture spreads over its pieces.
    """
    first, last = values.gaps()
    ends = values.between_steps(ends)
    # No piece is wider than the largest float.
    zero = [0.0] if ends[-1] / 2 - ends[0] / 2 > np.finfo(float).max / 2 else []
    cuts = _merged(ends, np.concatenate((first, last, zero)), ROUNDING * values.lattice)
    middles = cuts[:-1] + np.diff(cuts) / 2
    is_gap = np.searchsorted(first, middles) > np.searchsorted(last, middles)
    interval = np.searchsorted(ends[1:-1], cuts[:-1], side="right")
    part_of_value = np.searchsorted(cuts[1:-1], values.numbers, side="right")
    if not is_gap.all():
        beside_gaps = np.flatnonzero(~is_gap)  # where rare outermost values are drawn as well
        part_of_value = beside_gaps[np.maximum(np.searchsorted(beside_gaps, part_of_value, side="right") - 1, 0)]
    rows, of_few = values.spread(part_of_value, interval), np.bincount(part_of_value, values.are_of_few, len(middles))
    has_none = np.bincount(interval, rows)[interval] == 0
    hardly = is_gap | values.are_list
    unseen = np.full(len(rows), UNSEEN_ROWS)
    if values.forms is not None:
        unseen *= np.minimum(values.forms.weight(cuts[:-1], cuts[1:]), 1)
    rows = np.where(hardly, HARDLY * UNSEEN_ROWS, np.where(has_none, unseen, rows))
    pieces = np.where(is_gap, 1, PIECES)
    part = np.repeat(np.arange(len(pieces)), pieces)
    rank = np.arange(len(part)) - (np.cumsum(pieces) - pieces)[part]
    low, high = (cuts[part] + np.diff(cuts)[part] * (place / pieces[part]) for place in (rank, rank + 1))
    # Where many rows are of few persons, the mixture may have a component for these: they are spread evenly.
    share = np.where(of_few[part] > 0, high - low, np.maximum(values.law(high) - values.law(low), 0))
    share += EVEN * np.maximum(np.bincount(part, share), np.finfo(float).tiny)[part]
    if values.forms is not None:
        weighted = share / np.bincount(part, share)[part] * values.forms.weight(low, high)
        share = np.where(np.bincount(part, weighted)[part] > 0, weighted, share)
    return rows[part] * (share / np.bincount(part, share)[part]), low, high, interval[part]


def _merged(ends: Floats, cuts: Floats, least: float) -> Floats:
    """Ends and cuts, ascending, without cuts that are nearer than `least` to an end or to the cut before."""
    places = np.clip(np.searchsorted(ends, cuts), 1, len(ends) - 1)
    cuts = np.sort(cuts[np.minimum(np.abs(cuts - ends[places - 1]), np.abs(cuts - ends[places])) > least])
    return np.unique(np.append(ends, cuts[np.append(True, np.diff(cuts) > least)] if len(cuts) else cuts))


def check_fits(columns: Mapping[str, FittedColumn], bins: Bins) -> None:
    """Raise ValueError for loaded bins that do not fit their column."""
    column = columns[bins.name]
    if isinstance(column, CategoricalColumn):
        fits = len(bins.codes) == len(bins.mass) == len(column.categories)
    else:
        modal = getattr(column, "modal_values", ())
        fits = isinstance(column, NumericColumn) and len(bins.codes) - len(modal) in (0, len(bins.edges) + 1)
        fits &= bins.has_missing == (MISSING in modal)
    if not fits or (bins.since is not None or bins.clock is not None) and not is_moment_type(column.type):
        raise ValueError(f'the bins of "{bins.name}" are none of its column')
    if bins.twin is not None:
        twin_finder(columns[bins.twin], column)  # refuses columns of another sort


def check_origins(bins: Sequence[Bins]) -> None:
    """Raise ValueError where values of loaded bins are made of each other, or of a column without bins."""
    unresolved = {bins_.name: bins_.made_of for bins_ in bins}
    while ready := [name for name, first in unresolved.items() if first not in unresolved]:
        for name in ready:
            del unresolved[name]
    if unresolved or any(bins_.made_of not in {None, *(any_bins.name for any_bins in bins)} for bins_ in bins):
        raise ValueError("its values are made of no column")


# -- rows to bins


def bin_finder(columns: Mapping[str, FittedColumn], bins: Bins, engine: Engine) -> Callable[[Rows], Codes]:
    """Return a function that finds the bin, uint16, of every row of a column.

    The function raises InputError for missing values, categories and numbers that have no bin.
    """
    column = columns[bins.name]
    if isinstance(column, CategoricalColumn):
        index, codes = column.index, bins.codes.astype(np.uint16)

        def of_categories(rows: Rows) -> Codes:
            places = _check_known(column, index.find(rows(column.name)))
            bin_codes: Codes = namespace_of(places).asarray(codes)[places]
            return bin_codes

        return of_categories
    assert isinstance(column, NumericColumn)
    numbers = number_finder(columns, bins)
    return lambda rows: bins_of_rows(column, bins, *numbers(rows), engine)


def number_finder(columns: Mapping[str, FittedColumn], bins: Bins) -> Callable[[Rows], tuple[Floats, Modal | None]]:
    """Return a function that gives the numbers of which a column's bins are made, as `numbers_since` does."""
    column, origin = columns[bins.name], origin_of(columns, bins)
    assert isinstance(column, NumericColumn)

    def of_rows(rows: Rows) -> tuple[Floats, Modal | None]:
        numbers, which = numbers_since(column, origin, rows)
        return numbers if bins.clock is None else bins.clock.readings(numbers), which

    return of_rows


def code_finder(
    columns: Mapping[str, FittedColumn], bins: Bins, parts: Sequence[Part], engine: Engine
) -> Callable[[Rows], tuple[Codes, dict[Part, Codes]]]:
    """Return a function that finds the bin of every row, as `bin_finder` does, and the codes of the column's parts."""
    column, clock, of_clock = columns[bins.name], bins.clock, _parts_of_clock(bins, parts)
    find_others = _other_part_finder(columns, bins, parts)
    if clock is None or not of_clock:
        find = bin_finder(columns, bins, engine)
        return lambda rows: (find(rows), find_others(rows))
    assert isinstance(column, NumericColumn)

    def of_rows(rows: Rows) -> tuple[Codes, dict[Part, Codes]]:
        numbers, which = numbers_of_rows(column, rows(column.name))
        readings, codes = clock.with_parts([part.name for part in of_clock], numbers)
        of_parts = dict(zip(of_clock, codes, strict=True)) | find_others(rows)
        return bins_of_rows(column, bins, readings, which, engine), of_parts

    return of_rows


def part_finder(
    columns: Mapping[str, FittedColumn], bins: Bins, parts: Sequence[Part]
) -> Callable[[Rows], dict[Part, Codes]]:
    """Return a function that finds the codes of a column's parts alone, also of rows that have no bin."""
    column, clock, of_clock = columns[bins.name], bins.clock, _parts_of_clock(bins, parts)
    find_others = _other_part_finder(columns, bins, parts)
    if clock is None or not of_clock:
        return find_others
    assert isinstance(column, NumericColumn)
    names = [part.name for part in of_clock]

    def of_rows(rows: Rows) -> dict[Part, Codes]:
        codes = clock.with_parts(names, numbers_of_rows(column, rows(column.name))[0])[1]
        return dict(zip(of_clock, codes, strict=True)) | find_others(rows)

    return of_rows


def _parts_of_clock(bins: Bins, parts: Sequence[Part]) -> list[Part]:
    """Parts of a column's datetimes."""
    return [part for part in parts if part.column == bins.name and part.name in PARTS]


def _other_part_finder(
    columns: Mapping[str, FittedColumn], bins: Bins, parts: Sequence[Part]
) -> Callable[[Rows], dict[Part, Codes]]:
    """Return a function that finds the codes of those parts of a column that are none of its clock's."""
    column, finders = columns[bins.name], dict[Part, Callable[[Rows], Any]]()
    for part in parts:
        if part == Part(bins.name, TWIN) and bins.twin is not None:
            finders[part] = twin_finder(columns[bins.twin], column)
        elif part == Part(bins.name, RARE):
            finders[part] = _rare_finder(column, bins)
    return lambda rows: {part: find(rows).astype(np.uint16) for part, find in finders.items()}


def _rare_finder(column: FittedColumn, bins: Bins) -> Callable[[Rows], Codes]:
    """Return a function that finds which rows have a rare number, as `Bins.rare_numbers` has it."""
    assert isinstance(column, NumericColumn)

    def of_rows(rows: Rows) -> Codes:
        numbers = numbers_of_rows(column, rows(column.name))[0]
        xp = namespace_of(numbers)
        codes: Codes = xp.where(xp.isnan(numbers), xp.uint16(0), bins.rare_numbers(numbers))
        return codes

    return of_rows


def coded_columns(
    columns: Mapping[str, FittedColumn], bins: Mapping[str, Bins], rows: Rows, engine: Engine
) -> dict[str, AskedColumn]:
    """The bin of each row, by column."""
    return {
        name: AskedColumn(
            bin_finder(columns, bins_of_column, engine)(rows), len(bins_of_column), columns[name].kind == "categorical"
        )
        for name, bins_of_column in bins.items()
    }


def coded_parts(
    columns: Mapping[str, FittedColumn], bins: Mapping[str, Bins], parts: Sequence[Part], rows: Rows
) -> dict[Part, AskedColumn]:
    """The codes of parts of columns, by part."""
    coded = dict[Part, AskedColumn]()
    for bins_of_column in bins.values():
        for part, codes in part_finder(columns, bins_of_column, parts)(rows).items():
            coded[part] = AskedColumn(codes, bins_of_column.size_of(part.name), is_category=False)
    return {part: coded[part] for part in parts}


def _check_known(column: CategoricalColumn, places: Ints) -> Ints:
    if (places < 0).any():
        raise _no_bin_error(column, "is no category of it; list it, or fit with rows that have it")
    return places


def _no_bin_error(column: FittedColumn, why: str) -> InputError:
    return InputError(f'column "{column.name}": a value {why}')


def bins_of_rows(
    column: NumericColumn,
    bins: Bins,
    numbers: Floats,
    which: NDArray[np.signedinteger[Any]] | None,
    engine: Engine,
) -> Codes:
    """Bins of rows of a column of numbers, as `numbers_since` gives them.

    Raises
    ------
    InputError
        For missing values, or numbers, that have no bin.
    """
    codes, modal = bins.codes.astype(np.uint16), len(column.modal_values)
    intervals = codes[modal:] if len(codes) > modal else codes[:1]  # the latter: all values are modal
    row_bins = engine.find_bins(numbers, bins.edges, np.append(intervals, codes[0]))
    xp = namespace_of(row_bins)
    if which is not None:
        row_bins = xp.where(which >= 0, xp.asarray(codes)[which + int(bins.has_missing)], row_bins)
    if bins.has_missing and len(codes) > modal:
        return row_bins
    missing = xp.isnan(numbers)
    if not bins.has_missing and (missing if which is None else missing & (which < 0)).any():
        raise _no_bin_error(column, "is missing, but none was at fit; fit with such rows")
    if len(codes) == modal and not missing.all():
        raise _no_bin_error(column, "differs from the only ones that were there at fit; fit with rows that have it")
    return row_bins

"""Densities of values within their bins.

A category, a modal value and a number on a step have a probability, other numbers a density in the column's unit, but
for values that are drawn by their own count: these have its probability. Beyond the training range a density falls with
the square of the distance, in ranges, so that it is finite everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from gpuvgm.arrays import Column
from gpuvgm.columns import CategoricalColumn, FittedColumn, NumericColumn
from gpuvgm.engines import Engine
from gpuvgm.io import taken
from gpuvgm.summary import Floats
from gpuvgm.synthesis.bins import (
    Bins,
    Codes,
    Rows,
    SampledRows,
    bin_finder,
    bins_of,
    bins_of_rows,
    bins_since,
    gain_of_days,
    numbers_since,
    origin_of,
    possible_origins,
)
from gpuvgm.synthesis.counts.structure import Axis, Dependence, joint_counts
from gpuvgm.synthesis.counts.tables import backed_off
from gpuvgm.table import TableTransformer

MOST_LOST = 0.5  # nats that a row of datetimes may be less likely where they are counted from their origin
LEAST_GAIN = 0.1  # nats that a row is likelier where datetimes are counted from the beginning of a day
FINE_STEP = 1e-7  # of a piece: half a step that is shorter is fine, and its share is the density times the step
UNSEEN = 0.5  # rows that a category that was not in the fit counts for, or missing values that were not


def density_finder(
    columns: Mapping[str, FittedColumn], bins: Bins, engine: Engine
) -> Callable[[Rows], tuple[Codes, Floats]]:
    """Return a function that finds each row's bin, and the logarithm of its density in the bin, in nats."""
    column, origin = columns[bins.name], origin_of(columns, bins)
    unseen = float(np.log(UNSEEN / (float(np.sum(bins.rows)) + 1)))
    if isinstance(column, CategoricalColumn):
        shares = np.append(np.log(bins.mass[np.argsort(bins.low)]), unseen)
        codes = np.append(bins.codes, bins.codes[-1:]).astype(np.uint16)

        def of_categories(rows: Rows) -> tuple[Codes, Floats]:
            places = column.index.find(rows(column.name))
            return codes[places], shares[places]

        return of_categories
    assert isinstance(column, NumericColumn)
    log_density, usual = _BinDensity(column, bins), float(np.median(bins.edges)) if len(bins.edges) else 0.0
    half_step: Floats = np.asarray(column.codec.plain.spacing / 2)

    def of_numbers(rows: Rows) -> tuple[Codes, Floats]:
        numbers, which = numbers_since(column, origin, rows)
        if bins.clock is not None:
            numbers, half = bins.clock.spans(numbers)
        else:
            half = half_step if origin is None else origin.half_steps(rows)
        densities, is_missing = np.zeros(len(numbers)), np.isnan(numbers)
        densities[~is_missing] = log_density(numbers[~is_missing], np.broadcast_to(half, numbers.shape)[~is_missing])
        if not bins.has_missing:
            missing = is_missing if which is None else is_missing & (which < 0)
            densities[missing] = unseen
            # In any bin, as `bins_of_rows` refuses missing values without one; their density is set already.
            numbers = np.where(missing, usual, numbers)
        return bins_of_rows(column, bins, numbers, which, engine), densities

    return of_numbers


def likeliest_bins(
    transformer: TableTransformer, sample: SampledRows, interval_limit: int, engine: Engine, dependence: Dependence
) -> dict[str, Bins]:
    """Bins of every column; of datetimes with an origin those of the time between, unless rows are far less likely so.

    Parameters
    ----------
    transformer : TableTransformer
        The fitted columns, and summaries of their training rows.
    sample : SampledRows
        A sample of the rows.
    interval_limit : int
        See `bins_of`; there are fewer of what each key has.
    engine : Engine
        Compute engine.
    dependence : Dependence
        Which columns may depend on which, and which ones keys have.
    """
    columns, summaries = _encoded_columns(transformer), transformer.summaries_
    limits = {name: dependence.intervals(name, interval_limit) for name in columns}
    deciders = frozenset[str]().union(*dependence.deciders.values())
    of_laws = deciders.union(dependence.deciders)
    bins_by_name = {
        name: bins_of(
            column,
            summaries.get(name),
            sample,
            limits[name],
            rare_as_one=name in of_laws,
            decides=name in deciders,
        )
        for name, column in columns.items()
    }
    return bins_by_name | _bins_since_origins(transformer, bins_by_name, sample, limits, engine, dependence)


def _encoded_columns(transformer: TableTransformer) -> dict[str, FittedColumn]:
    return {column.name: column for column in transformer.model_.columns if column.is_encoded}


def _bins_since_origins(
    transformer: TableTransformer,
    bins_by_name: Mapping[str, Bins],
    sample: SampledRows,
    limits: Mapping[str, int],
    engine: Engine,
    dependence: Dependence,
) -> dict[str, Bins]:
    """Bins of the time between datetimes and their origin, of those that are not far less likely so.

    Parameters
    ----------
    transformer, sample, engine, dependence
        As for `likeliest_bins`.
    bins_by_name : mapping of str to Bins
        Bins of all columns without an origin.
    limits : mapping of str to int
        Intervals of each column, at most.
    """
    columns, given = _encoded_columns(transformer), dependence.given
    options = _OriginOptions(columns, transformer, bins_by_name, sample, limits, engine)
    of_row, of_before = options.in_turn(dependence)
    of_given = {origin.column.name: origin for origin in reversed(of_before)}
    bins_since_origin: dict[str, Bins] = {}
    for origin in (*of_row, *of_before):
        name, first = origin.column.name, origin.first.name
        is_known = name in bins_since_origin or name in _origins_of(first, bins_since_origin)
        counted = dependence.counted_from({name: first})
        is_made = name in dependence.computed or counted.is_circular
        if is_known or is_made or not dependence.allows(name, first):
            continue
        bins, since = options.likeliest(origin)
        is_better = first in given or name not in of_given or since >= options.likeliest(of_given[name])[1]
        if is_better and since > options.without(origin):
            bins_since_origin[name], dependence = bins, counted
    return bins_since_origin


@dataclass(frozen=True, slots=True)
class _OriginOptions:
    """Bins of datetimes since an origin or without one, and how likely rows are so.

    Parameters
    ----------
    columns : mapping of str to FittedColumn
        The modelled columns.
    transformer : TableTransformer
        The fitted columns, and summaries of their training rows.
    bins : mapping of str to Bins
        Bins of all columns without an origin.
    sample : SampledRows
        A sample of the rows.
    limits : mapping of str to int
        Intervals of each column, at most.
    engine : Engine
        Compute engine.
    known : dict
        What `likeliest` has given.
    """

    columns: Mapping[str, FittedColumn]
    transformer: TableTransformer
    bins: Mapping[str, Bins]
    sample: SampledRows
    limits: Mapping[str, int]
    engine: Engine
    known: dict[tuple[Any, ...], tuple[Bins, float]] = field(default_factory=dict)

    def rows(self, name: str) -> Column:
        """Few rows of the sample."""
        rows_of_sample: Column = taken(self.sample.rows(name), self.sample.few)
        return rows_of_sample

    def in_turn(self, dependence: Dependence) -> tuple[list[Any], list[Any]]:
        """Origins of the same row, and those that are not drawn, such as of the row before, the likeliest first.

        What is drawn first, such as when a row is, is not counted from what it may be before and after.
        """
        persons = self.sample.persons.at(self.sample.few)
        of_row, of_before = possible_origins([*self.columns.values()], self.rows, dependence.given, persons)
        of_row = [origin for origin in of_row if not origin.ahead or origin.column.name not in dependence.first]
        return of_row, sorted(of_before, key=lambda origin: -self.likeliest(origin)[1])

    def likeliest(self, origin: Any) -> tuple[Bins, float]:
        """Bins since an origin, or since the beginning of its day where rows are clearly likelier so; made once."""
        which = origin.column.name, origin.first.name, origin.back, origin.ahead
        if which not in self.known:
            self.known[which] = self._likeliest(origin)
        return self.known[which]

    def _likeliest(self, origin: Any) -> tuple[Bins, float]:
        name, persons, best = origin.column.name, self.sample.persons.at(self.sample.few), list[tuple[Bins, float]]()
        for option in (origin, *([replace(origin, by_days=True)] if origin.has_hours(self.rows) else [])):
            numbers = numbers_since(origin.column, option, self.rows)[0]
            bins = bins_since(option, numbers, persons, self.transformer.summaries_[name], self.limits[name])
            of_option = self._likelihood(origin, bins)
            if not best or of_option > best[0][1] + LEAST_GAIN * len(numbers):
                best = [(bins, of_option)]
        return best[0]

    def without(self, origin: Any) -> float:
        """What rows have to be likelier than to be counted from an origin."""
        column = origin.column
        # Bins do not know the calendar yet, which datetimes that are counted from their origin do not keep to.
        of_calendar = gain_of_days(column, column.plain_numbers(self.rows(column.name))[0])
        plain = self._likelihood(origin, self.bins[column.name])
        return plain + (of_calendar - MOST_LOST) * len(self.rows(column.name))

    def _likelihood(self, origin: Any, option: Bins) -> float:
        """Log-likelihood of a column's rows in bins, given the bins of its origin."""
        first = self.bins[origin.first.name]
        codes = bin_finder(self.columns, first, self.engine)(self.rows)
        found = density_finder(self.columns, option, self.engine)(self.rows)
        return _log_likelihood(Axis(first), codes, option, *found)


def _origins_of(name: str, between: Mapping[str, Bins]) -> Iterator[str]:
    """A column, its origin, the origin of that, and so on."""
    while name in between:
        yield name
        name = str(between[name].since)
    yield name


def _log_likelihood(parent: Axis, parent_codes: Codes, bins: Bins, codes: Codes, densities: Floats) -> float:
    """Leave-one-out log-likelihood of a column's rows, in nats: with the parent or without it, whichever is more."""
    counts = joint_counts(parent_codes.astype(np.int64), codes.astype(np.int64), len(parent), len(bins))
    _, without_parent, *_, with_parent = backed_off(counts, parent.levels).likelihoods
    return max(with_parent, without_parent) + float(np.sum(densities))


class _BinDensity:
    """Logarithms of the densities of ordinary numbers in their bins.

    Parameters
    ----------
    column : NumericColumn
        The column.
    bins : Bins
        Its bins.
    """

    def __init__(self, column: NumericColumn, bins: Bins) -> None:
        self._has_steps = column.codec.plain.spacing > 0
        ordinary = bins.ordinary_pieces(len(column.modal_values))
        points = ordinary & (bins.low == bins.high)
        intervals = ordinary & ~points
        self._points, self._shares = bins.low[points], bins.mass[points]
        self._low, self._high, self._mass = bins.low[intervals], bins.high[intervals], bins.mass[intervals]
        self._share_of_pieces, self._is_even = bins.share_below, bins.forms is None
        self._below = np.concatenate(([0.0], np.cumsum(self._mass)))

    def __call__(self, numbers: Floats, half: Floats) -> Floats:
        """Return log densities of numbers within and beyond the range, given half of the step of each."""
        low, high = self._low[0], self._high[-1]
        inner = np.clip(numbers, low + half, high - half)
        piece = np.clip(np.searchsorted(self._low, inner, side="right") - 1, 0, len(self._low) - 1)
        width = (self._high - self._low)[piece]
        with np.errstate(over="ignore"):  # between neighbours of the smallest numbers
            densities = np.minimum(self._mass[piece] / width, np.finfo(float).max)
        if self._has_steps:
            shares = self._share_below(inner + half) - self._share_below(inner - half)
            is_fine = (half < FINE_STEP * width) & self._is_even  # such a difference is lost in rounding
            densities = np.where(is_fine, densities * 2 * half, shares)
        if len(self._points):
            places = np.minimum(np.searchsorted(self._points, inner), len(self._points) - 1)
            is_point = self._points[places] == numbers
            densities = np.where(is_point, self._shares[places] + densities * self._has_steps, densities)
        with np.errstate(over="ignore"):  # of the largest numbers
            distance = np.minimum(np.abs(numbers - inner) / max(high - low, np.finfo(float).tiny), np.finfo(float).max)
        densities = np.clip(densities, np.finfo(float).tiny, np.finfo(float).max)
        return np.asarray(np.log(densities) - 2 * np.log1p(distance))

    def _share_below(self, numbers: Floats) -> Floats:
        """Share of the pieces below numbers, summed over all bins."""
        piece = np.clip(np.searchsorted(self._low, numbers, side="right") - 1, 0, len(self._low) - 1)
        share = self._share_of_pieces(numbers, self._low[piece], self._high[piece])
        return np.asarray(self._below[piece] + share * self._mass[piece])

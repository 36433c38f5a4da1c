"""Pieces of bins: intervals and single values, with the rows that lie in each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.bins.numbers import HOURS
from gpuvgm.synthesis.bins.persons import LEAST_KEYS
from gpuvgm.synthesis.bins.training_values import TrainingValues, sums

UNSEEN_ROWS = 0.5  # that values in an interval count for where all its rows have values that are drawn by their counts
HARDLY = 1e-6  # of `UNSEEN_ROWS`, where the column's values are a list: so that each value has a density
EVEN = 1e-3  # of a part's rows that each of its pieces has, wherever the mixture has the rows
PIECES = 16  # of a part of a bin, over which the mixture spreads its rows
MOST_HOURS = 1 << 13  # that are pieces, of all intervals
ROUNDING = 1e-6  # of a step: borders between pieces may be off by so much


class Days(NamedTuple):
    """Days that numbers count from a midnight: their length, and the number from which on others are readings."""

    length: float
    end: float


@dataclass(frozen=True, slots=True)
class BinPieces:
    """Pieces of bins, those of a bin after those of the one before, with the rows and pieces of each bin."""

    rows: Ints
    sizes: Ints
    mass: Floats
    low: Floats
    high: Floats

    @classmethod
    def of_points(cls, count: int) -> BinPieces:
        """Single values, from 0 on."""
        places = np.arange(count, dtype=np.float64)
        return cls(np.zeros(count, np.int64), np.ones(count, np.int64), np.ones(count), places, places)


def interval_pieces(values: TrainingValues, edges: Floats, days: Days | None = None) -> BinPieces:
    """Pieces of each interval: values with many rows by their counts, the others where the mixture has them.

    Parameters
    ----------
    values : TrainingValues
        The values.
    edges : ndarray of shape (intervals - 1,)
        Edges between the intervals.
    days : Days, optional
        Where numbers count from a midnight: then rows of an interval of hours or days are spread over its hours as all
        rows are, since few rows do not show in which hours of each day they lie.
    """
    low, high = values.outer
    ends = np.concatenate(([low], edges, [high]))
    between = _pieces_between(values, ends)
    *pieces, of_piece = between if days is None else _by_hours(values, ends, days, between)
    heavy = values.heavy
    points, where = np.unique(values.numbers[heavy], return_inverse=True)
    point_rows = np.bincount(where, values.rows[heavy], len(points))
    of_value, of_point = np.searchsorted(edges, values.numbers), np.searchsorted(edges, points)
    if values.are_closed:  # an interval without a listed value takes the nearest one
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
    return BinPieces(rows, sizes, mass / np.repeat(sums(mass, sizes), sizes), low_ends, high_ends)


def _pieces_between(values: TrainingValues, ends: Floats) -> tuple[Floats, Floats, Floats, Ints]:
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


def _by_hours(
    values: TrainingValues, ends: Floats, days: Days, pieces: tuple[Floats, Floats, Floats, Ints]
) -> tuple[Floats, Floats, Floats, Ints]:
    """Pieces with those of intervals longer than an hour replaced by hours; unused ones have hardly any mass."""
    day, hour, counted = days.length, days.length / HOURS, values.numbers < days.end
    hours_of_values = (values.numbers[counted] % day // hour).astype(np.int64)
    weights = np.bincount(hours_of_values, values.weights[counted], HOURS)
    shares = np.where(weights >= LEAST_KEYS, weights, 0.0) / max(float(np.sum(weights)), 1.0) + HARDLY
    mass, low, high, interval = pieces
    of_intervals, far = np.bincount(interval, mass, len(ends) - 1), list[tuple[Floats, Floats, Floats, Ints]]()
    room = MOST_HOURS
    for place in np.flatnonzero((np.diff(ends) > hour) & (ends[1:] < days.end)).tolist():
        first, last = np.floor(ends[place] / hour), np.ceil(ends[place + 1] / hour)
        room -= int(last - first) + 1
        if room < 0:
            break  # of the last intervals, of very many days, each hour would take a piece
        full_hours = np.arange(first, last + 2) * hour - values.step / 2
        borders = np.unique(np.clip(full_hours, ends[place], ends[place + 1]))
        middles = borders[:-1] + np.diff(borders) / 2
        of_hours = shares[(middles % day // hour).astype(np.int64)] * np.diff(borders)
        of_hours *= of_intervals[place] / np.sum(of_hours)
        far.append((of_hours, borders[:-1], borders[1:], np.full(len(of_hours), place)))
    are_near = ~np.isin(interval, [of[0] for *_, of in far])
    joined = [np.concatenate(parts) for parts in zip([part[are_near] for part in pieces], *far, strict=True)]
    order = np.argsort(joined[-1], kind="stable")
    mass, low, high, interval = (part[order] for part in joined)
    return mass, low, high, interval


def _merged(ends: Floats, cuts: Floats, least: float) -> Floats:
    """Ends and cuts, ascending, without cuts that are nearer than `least` to an end or to the cut before."""
    places = np.clip(np.searchsorted(ends, cuts), 1, len(ends) - 1)
    cuts = np.sort(cuts[np.minimum(np.abs(cuts - ends[places - 1]), np.abs(cuts - ends[places])) > least])
    return np.unique(np.append(ends, cuts[np.append(True, np.diff(cuts) > least)] if len(cuts) else cuts))

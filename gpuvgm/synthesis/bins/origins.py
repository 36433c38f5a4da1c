"""Origins that columns of datetimes may be counted from, by a sample of the rows."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from itertools import product

import numpy as np

from gpuvgm.codecs import DatetimeCodec
from gpuvgm.columns import FittedColumn, NumericColumn
from gpuvgm.io import is_moment_type
from gpuvgm.summary import Floats
from gpuvgm.synthesis.bins.calendar import learn_clock
from gpuvgm.synthesis.bins.numbers import Origin, Rows
from gpuvgm.synthesis.bins.persons import LEAST_KEYS, Persons

LEAST_ROWS = 100  # of a sample, that have both datetimes
OUT_OF_ORDER = 0.002  # of these rows, at most: they are taken for errors
PROBED = 1000  # rows that already show of most pairs of datetimes that they are out of order
FARTHEST = 1.2  # standard deviations of the datetimes, for the time between to have one at most
NEAR = 0.25  # of these at most, where datetimes lie before their origin, too
BACK = 1.25  # times as far as forward counts a distance back: what began in a range may end after it


def possible_origins(
    columns: Sequence[FittedColumn], rows: Rows, given: Set[str], persons: Persons
) -> tuple[list[Origin], list[Origin]]:
    """Origins that columns of datetimes may be counted from, the nearest first: those of the row, and those given.

    In a sample, but for errors in few rows, the two are in order, though their ranges overlap, and the time between
    varies hardly more than the datetimes themselves. The origin has no modal values. Where there are given ones, such
    as those of the row before, which first rows of keys lack, the row's own may also lie before and after.

    Parameters
    ----------
    columns : sequence of FittedColumn
        The modelled columns.
    rows : callable
        Gives a sample of the rows of a column.
    given : set of str
        Columns that are not drawn.
    persons : Persons
        Whose the rows are.
    """
    moments = [column for column in columns if isinstance(column, NumericColumn) and is_moment_type(column.type)]
    numbers = {column.name: column.plain_numbers(rows(column.name))[0] for column in moments}
    origins, distances = list[Origin](), list[float]()
    for column, first in product(moments[::-1], moments):
        if column is first or first.modal_numbers or _sort(column) != _sort(first):
            continue
        both_ways = [Origin(column, first, back) for back in (False, True)]
        start = both_ways[0].scaled(numbers[first.name])
        distances += [_distance(origin, numbers[column.name], start) for origin in both_ways]
        origins += both_ways
    possible = [origins[place] for place in np.argsort(distances, kind="stable") if distances[place] < np.inf]
    of_row = [origin for origin in possible if origin.first.name not in given]
    of_given = [
        _with_clock(origin, numbers, persons)
        for origin in possible
        if origin.column.name not in given and origin.first.name in given
    ]
    drawn = [origin for origin in origins if given.isdisjoint((origin.column.name, origin.first.name))]
    return [*of_row, *_near_origins(drawn if given else [], numbers, persons)], of_given


def _with_clock(origin: Origin, numbers: Mapping[str, Floats], persons: Persons) -> Origin:
    """The origin with the clock of the datetimes that lack one, where these keep to a calendar."""
    lacks = np.isnan(numbers[origin.first.name])
    of_rows = numbers[origin.column.name][lacks]
    learnt = None if origin.back else learn_clock(origin.column, of_rows, persons.at(lacks), has_origin=True)
    return origin if learnt is None or learnt[1] else replace(origin, clock=learnt[0])


def _near_origins(origins: Sequence[Origin], numbers: Mapping[str, Floats], persons: Persons) -> list[Origin]:
    """Those of the origins that datetimes lie near to, before them and after them, the nearest first.

    A bus leaves minutes after it is due, and some leave before. The time between varies far less than the datetimes.
    """
    near, distances = list[Origin](), list[float]()
    for origin in origins:
        between = origin.between(numbers[origin.column.name], origin.scaled(numbers[origin.first.name]))
        has_both = ~np.isnan(between)
        between = between[has_both]
        if origin.back or origin.has_longer_step or not origin.nests or len(between) < LEAST_ROWS:
            continue
        first = _least_of_several(between, persons.at(has_both))
        distance = float(np.std(between) / np.nanstd(numbers[origin.column.name]))
        if first < 0 and distance <= NEAR:
            near.append(replace(origin, ahead=-first))
            distances.append(distance)
    return [near[place] for place in np.argsort(distances, kind="stable")]


def _least_of_several(between: Floats, persons: Persons) -> float:
    """The least time between that several persons do not exceed, beside errors in few rows; infinite for few persons.

    So no single person's rows say how far before their origin datetimes lie.
    """
    order = np.argsort(between, kind="stable")
    rows = range(max(LEAST_KEYS, int(OUT_OF_ORDER * len(between)) + 1), len(between) + 1)
    place = bisect_left(rows, LEAST_KEYS, key=lambda least: _persons(persons.at(order[:least]), least))
    return float(between[order[rows[place] - 1]]) if place < len(rows) else np.inf


def _persons(persons: Persons, rows: int) -> int:
    """How many persons rows are of, `LEAST_KEYS` at most."""
    return int(persons.counts(np.zeros(rows, np.int64), 1)[0])


def _distance(origin: Origin, numbers: Floats, start: Floats) -> float:
    """Root mean square of the time since its start, in standard deviations; infinite where it is no origin."""
    probed = origin.between(numbers[:PROBED], start[:PROBED])
    if not origin.nests or np.count_nonzero(probed < 0) > OUT_OF_ORDER * len(numbers):
        return np.inf
    has_both = ~np.isnan(numbers - start)
    if np.count_nonzero(has_both) < LEAST_ROWS:
        return np.inf
    numbers, start = numbers[has_both], start[has_both]
    between = origin.between(numbers, start)
    early, late = (numbers, start) if origin.back else (start, numbers)
    deviation = float(np.std(numbers))
    is_apart, is_far = np.max(early) <= np.min(late), np.std(between) > FARTHEST * deviation
    if is_apart or is_far or np.mean(between < 0) > OUT_OF_ORDER:
        return np.inf
    return float(np.sqrt(np.mean(between**2))) / deviation * (BACK if origin.back else 1)


def _sort(column: NumericColumn) -> str:
    codec = column.codec.plain
    assert isinstance(codec, DatetimeCodec)
    return codec.sort

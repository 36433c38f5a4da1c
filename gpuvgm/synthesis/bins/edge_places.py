"""Places where intervals between ascending values may end, by the rows on either side."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.bins.persons import LEAST_KEYS

# Shares that the one to four largest values of few persons have of an interval's rows at most (rule of dominance).
MOST_OF_ROWS = np.arange(1, LEAST_KEYS) / np.arange(2, LEAST_KEYS + 1)


def in_lulls(places: Ints, waits: Floats) -> Ints:
    """Places with the longest waits, each of those nearest to a place: after a wait, rows may be of a new kind."""
    stops = [0, *((places[:-1] + places[1:] + 1) // 2).tolist(), len(waits)]
    nearest = [np.argmax(waits[start:stop]) + start for start, stop in pairwise(stops)] if len(places) else []
    return np.array(nearest, np.int64)


def of_several(places: Ints, rows_below: Floats, least_rows: float) -> Ints:
    """Places with at least so many rows between two of them, before the first and after the last."""
    kept, last = list[int](), 0.0
    for place in places[rows_below[places] <= rows_below[-1] - least_rows].tolist():
        if rows_below[place] - last >= least_rows:
            kept.append(place)
            last = rows_below[place]
    return np.array(kept, np.int64)


def without_dominance(places: Ints, rows: Ints, rows_of_few: Ints) -> Ints:
    """Those places between which no values of few persons dominate, as `MOST_OF_ROWS` says.

    An interval in which some do is joined with a neighbour, both with the next two, and so on. Pairs are counted from
    the first interval, so that the ends of a joined one do not say where in it these values lie.
    """
    first = np.append(0, places + 1)
    interval = np.repeat(np.arange(len(first)), np.diff(np.append(first, len(rows))))
    largest, rank = np.zeros((len(first), len(MOST_OF_ROWS)), np.int64), np.arange(len(rows)) - first[interval]
    descending, is_large = np.lexsort((-rows_of_few, interval)), rank < len(MOST_OF_ROWS)
    largest[interval[is_large], rank[is_large]] = rows_of_few[descending[is_large]]
    rows_between, number = np.add.reduceat(rows, first), np.arange(len(first))
    begins, size = np.ones(len(first), np.bool_), 1
    while size < len(first):
        block, pair = number // size, number // (2 * size)
        is_one = np.bincount(block, begins & (number % size > 0)) == 0
        rows_of_block = np.bincount(block, rows_between)
        dominate = np.any(np.cumsum(largest, axis=1) > MOST_OF_ROWS * rows_of_block[:, None], axis=1)
        joins = np.bincount(pair[::size], is_one & dominate) > 0
        begins &= ~joins[pair] | (number % (2 * size) == 0)
        both = np.pad(largest, ((0, len(largest) % 2), (0, 0))).reshape(-1, 2 * len(MOST_OF_ROWS))
        largest, size = -np.sort(-both)[:, : len(MOST_OF_ROWS)], 2 * size
    return places[begins[1:]]


def apart(places: Ints, further: Ints, rows_below: Floats, least_rows: float) -> Ints:
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

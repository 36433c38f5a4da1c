"""Sentinels, numbers that stand for something else: repeated values, one or a few, far from all others.

-999 among temperatures, 97, 98 and 99 among ages, 9999-12-31 among dates. They are looked for before anything is
fitted: a mixture gives a value that lies apart a mode of its own, and then finds nothing strange about it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpuvgm.summary import Floats

LEAST_DISTINCT = 50  # with fewer different values there is no saying what lies apart
LEAST_SHARE = 0.005  # of the rows
LEAST_ROWS, FEW_ROWS, LEAST_SHARE_OF_FEW, LEAST_OF_FEW = 20, 1_000, 0.02, 8
MOST_TOGETHER = 5  # neighbours that lie apart together
MOST_APART = 8  # in a column: more are a grid whose steps grow
FAR, USUAL = 8, 0.9  # times what nine of ten distances of neighbours in the bulk do not exceed
FAR_OUT = 3  # ranges of the middle 98 % of the rows


def least_rows(rows: int, least_share: float) -> float:
    """Rows that a value needs to get a one-hot column of its own: a share of all, and in any case some."""
    return max(least_share * rows, LEAST_ROWS if rows >= FEW_ROWS else max(LEAST_OF_FEW, LEAST_SHARE_OF_FEW * rows))


def find_sentinels(values: Floats, counts: NDArray[np.int64], least_share: float = LEAST_SHARE) -> Floats:
    """Numbers that many rows hold and that lie apart from all others, ascending.

    Parameters
    ----------
    values : ndarray of shape (distinct,)
        Different numbers of a sample, ascending.
    counts : ndarray of shape (distinct,), int64
        Rows of each.
    least_share : float
        Share of the rows that each needs.
    """
    frequent = counts >= least_rows(int(counts.sum()), least_share)
    if len(values) < LEAST_DISTINCT or not np.any(frequent):
        return values[:0]
    gaps = np.diff(values)
    group = np.append(0, np.cumsum(gaps > FAR * np.median(gaps)))
    small = np.bincount(group) <= MOST_TOGETHER
    all_frequent = np.bincount(group, ~frequent) == 0
    is_apart = (small & all_frequent)[group]
    if not 0 < np.count_nonzero(is_apart) <= MOST_APART:
        return values[:0]
    other_values, other_counts = values[~is_apart], counts[~is_apart]
    low, high = other_values[np.searchsorted(np.cumsum(other_counts), np.array([0.01, 0.99]) * other_counts.sum())]
    bulk = other_values[(other_values >= low) & (other_values <= high)]
    if len(bulk) < 2:
        return values[:0]
    candidates = values[is_apart]
    place = np.searchsorted(other_values, candidates)
    next_below, next_above = np.r_[-np.inf, other_values][place], np.r_[other_values, np.inf][place]
    is_far = np.minimum(candidates - next_below, next_above - candidates) > FAR * np.quantile(np.diff(bulk), USUAL)
    is_outside = np.maximum(low - candidates, candidates - high) > FAR_OUT * (high - low)
    return np.asarray(candidates[is_far | is_outside])

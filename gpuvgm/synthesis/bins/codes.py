"""Codes: whole numbers that name something, such as answers of a survey, shops or customers, and are no quantities."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpuvgm.summary import Floats, Ints

ALONE = 0.02  # of the rows, at most, with a value that no other row has, where new rows hardly bring new values
BESIDE = 5  # values on either side of a gap, by whose rows it is judged
ROWS_OF_GAP = 2  # that it would have, at least, on average, if it were no gap: that of a smooth law would have one
MOST_CODES = 256  # values of which samples have the table's own ones, however few rows each of them has
ROWS_OF_CODE = 10  # for each value, on average, with which samples have the table's own ones, however many there are


def count_codes(numbers: Floats, rows: Ints, persons: Ints, single: NDArray[np.bool_], step: float) -> int:
    """How many different whole numbers there are if they repeat as codes do; else 0.

    Hardly any row has a number of its own, and numbers have many rows beside the width of their range: the gaps between
    them would have several, were rows spread over a gap as they are on that side of it that has fewer, among the
    numbers next to it and up to its other end. Of a quantity they would have about one row or less, on average: there
    is a gap because rows are few, as in the tails, or there is none.

    Parameters
    ----------
    numbers : ndarray of shape (cells,)
        The numbers.
    rows, persons : ndarray of shape (cells,), int64
        Their rows, and how many persons have them.
    single : ndarray of shape (cells,), bool
        Which of them are no means of several numbers: gaps beside such are none.
    step : float
        Distance of neighbouring numbers.
    """
    single_rows = np.sum(rows[single])
    if single_rows < np.sum(rows) / 2 or np.sum(rows[single & (persons <= 1)]) > ALONE * single_rows:
        return 0
    distinct, where = np.unique(numbers, return_inverse=True)
    is_single = np.bincount(where, ~single) == 0
    gap, below = np.flatnonzero(is_single[:-1] & is_single[1:]), np.append(0, np.cumsum(np.bincount(where, rows)))
    if not len(gap):
        return 0
    first, last = np.maximum(gap - BESIDE + 1, 0), np.minimum(gap + BESIDE, len(distinct) - 1)
    before = (below[gap + 1] - below[first]) / (distinct[gap + 1] - distinct[first])
    after = (below[last + 1] - below[gap + 1]) / (distinct[last] - distinct[gap])
    rows_of_gaps = np.minimum(before, after) * (distinct[gap + 1] - distinct[gap] - step)
    return len(distinct) if np.mean(rows_of_gaps) >= ROWS_OF_GAP else 0


def may_come_out(codes: int, rows: int) -> bool:
    """Whether so many different codes name no one, as they are few or have many rows each."""
    return codes <= max(MOST_CODES, rows // ROWS_OF_CODE)

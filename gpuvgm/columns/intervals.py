"""Categories on a line: each owns an interval as long as its frequency, and a row is a place in that of its category.

The layout of SDV's ``UniformEncoder``, within ±0.99 and for float32: one column of the matrix whatever the number of
categories.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import namespace_of, narrowed, widened
from gpuvgm.columns.options import MOST_INTERVALS
from gpuvgm.summary import Floats, Ints

END = float(np.float32(0.99))
LEAST_SHARE = 2.0**-20  # of the line, before all lengths are scaled to fill it
INNER = 0.98  # of an interval: where places are drawn
MIDDLE = 0.5  # the uniform of an interval's middle

assert MOST_INTERVALS * LEAST_SHARE <= 0.25  # the shortest interval holds 20 float32 numbers, whatever the frequencies


@dataclass(frozen=True, slots=True)
class Intervals:
    """Half-open intervals from -0.99 to 0.99, one a category.

    Parameters
    ----------
    edges : ndarray of shape (categories + 1,), float32
        Where they begin, and where the last one ends. All are float32 numbers, so that float32 and float64 scalars
        lie in the same interval.
    """

    edges: NDArray[np.float32]

    @classmethod
    def of(cls, counts: Sequence[int] | Ints) -> Intervals:
        """Intervals of categories, in their order.

        Parameters
        ----------
        counts : sequence of int
            Training rows of each category; those without any get the least length.
        """
        rows = np.asarray(counts, np.float64)
        lengths = np.maximum(rows / max(float(np.sum(rows)), 1.0), LEAST_SHARE)
        ends = np.cumsum(lengths)
        edges = (2 * END * np.concatenate(([0.0], ends / ends[-1])) - END).astype(np.float32)
        return cls(edges)

    def place(self, categories: Ints, uniforms: Floats | float) -> NDArray[np.float32]:
        """Scalar of each row, inside the interval of its category after rounding to float32.

        Parameters
        ----------
        categories : ndarray of shape (rows,), int64
            Position of each row's category.
        uniforms : ndarray of shape (rows,), or float
            In [0, 1): where in the inner part of the interval.
        """
        low, end = self.edges[:-1].astype(np.float64), self.edges[1:]
        start, length = low + (1 - INNER) / 2 * (end - low), INNER * (end - low)
        scalars = (start[categories] + length[categories] * uniforms).astype(np.float32)
        # Rounding to float32 may reach the end, which belongs to the next category.
        last = np.nextafter(end, np.float32(-1))
        return np.asarray(np.minimum(scalars, last[categories]))

    def find(self, scalars: Floats) -> Ints:
        """Position of the category whose interval holds each scalar; scalars beyond the ends belong to the outermost.

        Parameters
        ----------
        scalars : ndarray of shape (rows,), float32 or float64
            Rounded to float32 first, as `place` gives them: decimals of few digits, as in text, may lie beside. NaN is
            behind the last category.
        """
        xp = namespace_of(scalars)
        narrow = narrowed(xp.clip(widened(scalars), -1, 1))
        edges = xp.asarray(self.edges[1:-1].astype(np.float64))
        # Float64, since arithmetic of devices takes subnormal float32 for 0.
        positions: Ints = xp.searchsorted(edges, widened(narrow), side="right").astype(np.int64)
        return positions

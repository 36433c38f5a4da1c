"""What a column's encoded rows look like: scalars by mode in even bins, and where scalars were cut."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpuvgm.columns.codecs.arrays import cached_parts
from gpuvgm.summary.grid import Floats, Ints

SCALAR_BINS = 64  # even ones over [-1, 1); one more on either side for scalars beyond
_WIDTH = SCALAR_BINS + 2


@dataclass(frozen=True, slots=True)
class EncodedCounts:
    """Counts of encoded rows; merging is commutative.

    Parameters
    ----------
    scalars : ndarray of shape (cells, SCALAR_BINS + 2), int64
        Rows of each cell by scalar: below -1, in even bins, from 1 on.
    below, above : ndarray of shape (cells,), int64
        Rows of each cell that were cut at the lower and at the upper limit.
    """

    scalars: Ints
    below: Ints
    above: Ints

    @classmethod
    def of_modes(
        cls, scalar: NDArray[np.floating], cell: NDArray[np.unsignedinteger], limit: float, cells: int
    ) -> EncodedCounts:
        """Counts of rows of a mixture: scalars and cells of shape (rows,), cut at ±limit."""
        edge, half = scalar.dtype.type(limit), SCALAR_BINS // 2
        counts = np.zeros(cells * _WIDTH, np.int64)
        ends = np.zeros((2, cells), np.int64)
        for part in cached_parts(scalar):
            some, modes = scalar[part], cell[part]
            cut = np.flatnonzero(np.abs(some) >= edge)
            np.add.at(ends, ((some[cut] > 0).astype(np.intp), modes[cut]), 1)
            place = some * half
            place += half + 1
            if edge >= 1:
                np.clip(place, 0, _WIDTH - 1, out=place)
            bins = place.astype(np.int64)
            bins += modes * np.int64(_WIDTH)
            counts += np.bincount(bins, minlength=len(counts))
        return cls(counts.reshape(cells, _WIDTH), ends[0], ends[1])

    @classmethod
    def of_range(cls, numbers: Floats, low: float, high: float) -> EncodedCounts:
        """Counts of rows of a general column, which has no modes: those outside its range."""
        below, above = (np.array([np.count_nonzero(held)]) for held in (numbers < low, numbers > high))
        return cls(np.zeros((0, _WIDTH), np.int64), below, above)

    @property
    def clipped(self) -> int:
        """Rows that were cut."""
        return int(np.sum(self.below) + np.sum(self.above))

    def merge(self, other: EncodedCounts) -> EncodedCounts:
        """Counts of both sets of rows."""
        return EncodedCounts(self.scalars + other.scalars, self.below + other.below, self.above + other.above)

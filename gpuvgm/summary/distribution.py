"""Two summaries of one grid as distributions: their distances, moments and quantiles.

A summary knows how many rows lie in each piece of the grid, and their mean and scatter to a millionth of the piece.
It does not know the distribution inside a piece; the figures here come with bounds of what that could change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gpuvgm.summary.grid import (
    ENTRY_SHIFT,
    OUTER_SHIFT,
    Floats,
    Frame,
    Grid,
    Keys,
    Masses,
    keys_of,
    values_of,
)
from gpuvgm.summary.summary import Summary

MOST_ATOMS = 32  # single values that get a piece of their own
LEAST_SHARE = 2.0**-10  # share of the sample that makes such a value
_OUTER_KEYS = 1 << OUTER_SHIFT
_UNIFORM = 1.8  # fourth moment of an even spread, in squared variances


def _window_borders(grid: Grid) -> Keys:
    """Keys around every window, where the outer cells that reach beyond it are split; none inside a window."""
    width = grid.windows["drop"].astype(np.int64) + grid.windows["bits"]
    borders = []
    for start, last, bits in zip(grid.windows["start"].tolist(), grid.windows["last"].tolist(), width, strict=True):
        end = min(start + ((last + 1) << int(bits)), ((start >> ENTRY_SHIFT) + 1) << ENTRY_SHIFT)
        borders += [start - 1] * (start % _OUTER_KEYS > 0) + [end] * (end % _OUTER_KEYS > 0)
    return np.array(borders, np.uint64)


@dataclass(frozen=True, slots=True)
class Pieces:
    """Occupied pieces of a grid, ascending and side by side.

    Parameters
    ----------
    frame : Frame
        Coordinates.
    start, last : ndarray of uint64
        First and last key of each piece.
    count : ndarray of shape (pieces,)
        Rows.
    mean, scatter : ndarray of shape (pieces,)
        Mean of the rows and sum of their squared deviations from it, in the frame's coordinates.
    unit : ndarray of shape (pieces,)
        Width that the rows' places were rounded to.
    minimum, maximum : float
        Smallest and largest value; inf and -inf where there is none.
    """

    frame: Frame
    start: Keys
    last: Keys
    count: Floats
    mean: Floats
    scatter: Floats
    unit: Floats
    minimum: float
    maximum: float

    @staticmethod
    def grid_around(sample: Floats, values: Floats) -> Grid:
        """Grid to compare distributions on.

        Its pieces lie side by side, so that counts in them say what share of the rows lies below each border. The
        heaviest values of the sample and the given ones are pieces of their own. Values count from the sample's median:
        what a rounding of float64 at their distance from it, or at the median itself, cannot tell apart is one value.

        Parameters
        ----------
        sample : ndarray of shape (rows,)
            Some of the rows; what is not finite is left out.
        values : ndarray
            Values to be told apart from all others.
        """
        frame = Frame.around(sample, keep_small=True)
        masses = Masses.of_sample(frame.apply(sample[np.isfinite(sample)]))
        grid = Grid.of(frame, masses, np.empty(0))
        heavy = np.argsort(-masses.weight, kind="stable")[:MOST_ATOMS]
        heavy = heavy[masses.weight[heavy] >= max(2.0, LEAST_SHARE * np.sum(masses.weight))]
        atoms = np.concatenate((masses.low[heavy], keys_of(frame.apply(values[np.isfinite(values)]))))
        borders = np.concatenate((atoms, atoms + np.uint64(1), _window_borders(grid)))
        # an anchor would stand for all values of its cell, those that come back a rounding beside it included
        return replace(grid, midpoints=np.unique(borders), anchors=np.empty(0, np.uint64))

    @staticmethod
    def grid_over(sample: Floats) -> Grid:
        """Grid to describe one distribution on: as that of `grid_around`, without pieces for the heaviest values.

        Where the sample has one value in a cell, such as one of a few or a price, it is exact there all the same.
        """
        frame = Frame.around(sample, keep_small=True)
        grid = Grid.of(frame, Masses.of_sample(frame.apply(sample[np.isfinite(sample)])), np.empty(0))
        return replace(grid, midpoints=np.unique(_window_borders(grid)))

    @classmethod
    def of(cls, summary: Summary, *, whole: bool) -> Pieces:
        """Pieces of a summary on such a grid; `whole` says that all values are whole numbers."""
        grid, geometry = summary.grid, summary.grid.geometry(summary.cell)
        label = grid.labels(summary.cell, geometry.low)
        cells, order = summary.cells(), np.lexsort((label, geometry.low))  # the order of the cells
        borders = np.concatenate((np.zeros(1, np.uint64), grid.midpoints, np.full(1, 2**64 - 1, np.uint64)))
        low, label = geometry.low[order], label[order]
        width = (np.uint64(1) << (geometry.drop + geometry.bits).astype(np.uint64))[order]
        start = np.maximum(low, borders[label])
        last = np.minimum(low + (width - np.uint64(1)), borders[label + 1] - np.uint64(1))
        mean, scatter = cells.mean, cells.scatter
        unit = np.where(
            geometry.drop[order] == 0,
            0.0,
            np.ldexp(values_of(low + np.uint64(1)) - values_of(low), geometry.drop[order]),
        )
        # A piece of one value has it exactly, though its sums are rounded to units.
        single, value = _single_values(grid.frame, start, last, whole=whole)
        mean, scatter, unit = np.where(single, value, mean), np.where(single, 0.0, scatter), np.where(single, 0.0, unit)
        by_start = np.argsort(start, kind="stable")
        values = (cells.weight[by_start], mean[by_start], scatter[by_start], unit[by_start])
        return cls(grid.frame, start[by_start], last[by_start], *values, summary.minimum, summary.maximum)

    @classmethod
    def of_values(cls, values: Floats, weight: Floats) -> Pieces:
        """A piece for each of one or more values, with the rows that hold it."""
        key, zeros = keys_of(values), np.zeros(len(values))
        ends = float(np.min(values)), float(np.max(values))
        return cls(Frame(1.0, 0.0), key, key, weight, values, zeros, zeros, *ends)

    def without(self, numbers: Sequence[float]) -> Pieces:
        """The distribution without the given numbers, each of which has a piece of its own."""
        is_other = ~np.isin(self.start, keys_of(self.frame.apply(np.array(numbers, np.float64))))
        if np.all(is_other):
            return self
        parts = ("start", "last", "count", "mean", "scatter", "unit")
        remaining = replace(self, **{part: getattr(self, part)[is_other] for part in parts})
        place = remaining.places()
        return replace(
            remaining, minimum=float(np.min(place, initial=np.inf)), maximum=float(np.max(place, initial=-np.inf))
        )

    @property
    def rows(self) -> float:
        """Rows in all pieces."""
        return float(np.sum(self.count))

    def places(self) -> Floats:
        """Mean of the rows of each piece, as a number of the column."""
        return np.clip(self.frame.invert(self.mean), self.minimum, self.maximum)

    def quantiles(self, shares: Sequence[float]) -> list[float]:
        """Smallest values that at least these shares of the rows do not exceed, to within a piece.

        A piece holds about 2^-14 of the sample that the grid was built from. The shares 0 and 1 give the exact minimum
        and maximum.
        """
        cumulative = np.cumsum(self.count)
        rank = np.clip(np.ceil(np.array(shares) * self.rows), 1, self.rows)
        values = self.frame.invert(self.mean[np.searchsorted(cumulative, rank)])
        values = np.clip(values, self.minimum, self.maximum)
        ends = {0.0: self.minimum, 1.0: self.maximum}
        return [ends.get(share, float(value)) for share, value in zip(shares, values, strict=True)]

    def interpolated(self, shares: Sequence[float]) -> list[float]:
        """Quantiles by linear interpolation between neighbouring rows, as NumPy and pandas have them, within a piece.

        They are exact where pieces hold one value each. Rows of a piece of several values are taken for even ones with
        its mean and scatter.
        """
        last = self.rows - 1
        places = np.array(shares) * last
        below, above = np.floor(places), np.ceil(places)
        low, high = self._values_at(below), self._values_at(above)
        quantiles: list[float] = (low + (places - below) * (high - low)).tolist()
        return quantiles

    def _values_at(self, ranks: Floats) -> Floats:
        """Values of rows by their place in ascending order, from 0."""
        ends = np.cumsum(self.count)
        piece = np.minimum(np.searchsorted(ends, ranks, side="right"), len(ends) - 1)
        count = self.count[piece]
        # Places -(c - 1), -(c - 3) … c - 1 have a variance of (c^2 - 1) / 3.
        place = 2 * (ranks - (ends[piece] - count)) + 1 - count
        spread = np.sqrt(self.scatter[piece] / count * 3 / np.maximum(count**2 - 1, 1))
        values = np.clip(self.frame.invert(self.mean[piece] + place * spread), self.minimum, self.maximum)
        values = np.where(ranks <= 0, self.minimum, np.where(ranks >= self.rows - 1, self.maximum, values))
        return np.asarray(values)

    def moments(self) -> Moments:
        """Moments of the rows; mean and deviation are exact to the unit of a piece, the others to the piece."""
        rows = self.rows
        origin = self.mean[np.argmax(self.count)]  # a row's own place, so that a constant column has no deviation
        mean = origin + np.sum(self.count * (self.mean - origin)) / rows
        spreads = np.sqrt(self.scatter / self.count)
        size = float(max(np.max(np.abs(self.mean - mean)), np.max(spreads)))
        if size == 0:
            return Moments(float(self.frame.invert(mean)), 0.0, None, None)
        z, s = (self.mean - mean) / size, (spreads / size) ** 2
        second = float(np.sum(self.count * (z**2 + s)) / rows)
        third = float(np.sum(self.count * (z**3 + 3 * z * s)) / rows)
        fourth = float(np.sum(self.count * (z**4 + 6 * z**2 * s + _UNIFORM * s**2)) / rows)
        deviation = float(np.sqrt(second)) * size / self.frame.scale
        return Moments(float(self.frame.invert(mean)), deviation, third / second**1.5, fourth / second**2 - 3)

    def blur(self) -> float:
        """Average over the rows of the distance that each may have from the mean of its piece."""
        return float(np.sum(np.sqrt(self.count * self.scatter) + self.count * self.unit) / self.rows)


def _single_values(frame: Frame, start: Keys, last: Keys, *, whole: bool) -> tuple[NDArray[np.bool_], Floats]:
    """Mask of the pieces that can hold one value only, and that value."""
    low, high = values_of(start), values_of(last)
    if whole and frame.scale == 1 and frame.centre == np.floor(frame.centre):
        return np.floor(high) <= np.ceil(low), np.ceil(low)
    return start == last, low


@dataclass(frozen=True, slots=True)
class Moments:
    """Moments of a column; `skewness` and `kurtosis` are None where all values are the same.

    Parameters
    ----------
    mean, sd : float
        Mean and standard deviation (of the rows themselves: the sum is divided by their number).
    skewness, kurtosis : float or None
        Third and fourth standardised moment; the kurtosis less 3, so that a normal distribution has 0.
    """

    mean: float
    sd: float
    skewness: float | None
    kurtosis: float | None


@dataclass(frozen=True, slots=True)
class Distances:
    """Distances of two distributions.

    Parameters
    ----------
    ks : float
        Largest difference between the shares of rows at or below any border between pieces: at most the
        Kolmogorov-Smirnov distance of the rows.
    ks_resolution : float
        By how much the distance of the rows may be larger; about the share of the rows in one piece, 2^-14.
    wasserstein : float
        Wasserstein-1 distance, every row taken at the mean of its piece.
    wasserstein_resolution : float
        By how much the distance of the rows may differ.
    """

    ks: float
    ks_resolution: float
    wasserstein: float
    wasserstein_resolution: float

    @classmethod
    def of(cls, first: Pieces, second: Pieces) -> Distances:
        """Distances of two distributions on the same grid; 0 where one of them has no rows."""
        if not first.rows or not second.rows:
            return cls(0.0, 0.0, 0.0, 0.0)
        lower_bound, upper_bound = _ks(first, second)
        scale = first.frame.scale
        return cls(
            lower_bound,
            upper_bound - lower_bound,
            _wasserstein(first, second) / scale,
            (first.blur() + second.blur()) / scale,
        )


def _ks(first: Pieces, second: Pieces) -> tuple[float, float]:
    """Lower bound of the Kolmogorov-Smirnov distance, at the borders, and upper bound for any order inside pieces."""
    start = np.union1d(first.start, second.start)
    counts, value = np.zeros((2, len(start))), np.full((2, len(start)), np.nan)
    for k, pieces in enumerate((first, second)):
        index = np.searchsorted(start, pieces.start)
        counts[k, index] = pieces.count
        value[k, index] = np.where((pieces.scatter == 0) & (pieces.unit == 0), pieces.mean, np.nan)
    shares = np.cumsum(counts, axis=1) / np.array([[first.rows], [second.rows]])
    gap = shares[0] - shares[1]
    previous_gap = np.concatenate(([0.0], gap[:-1]))
    highest, lowest = previous_gap + counts[0] / first.rows, previous_gap - counts[1] / second.rows
    # Where both hold one and the same value, their rows cannot lie apart inside the piece.
    is_equal = value[0] == value[1]
    at_most = np.where(is_equal, np.abs(gap), np.maximum(np.abs(highest), np.abs(lowest)))
    lower_bound = float(np.max(np.abs(gap)))
    return lower_bound, max(lower_bound, float(np.max(at_most)))


def _wasserstein(first: Pieces, second: Pieces) -> float:
    """Area between the two distribution functions, in the frame's coordinates."""
    place = np.concatenate((first.mean, second.mean))
    order = np.argsort(place, kind="stable")
    counts = np.zeros((2, len(place)))
    counts[0, : len(first.mean)], counts[1, len(first.mean) :] = first.count, second.count
    shares = np.cumsum(counts[:, order], axis=1) / np.array([[first.rows], [second.rows]])
    return float(np.sum(np.abs(shares[0] - shares[1])[:-1] * np.diff(place[order])))

"""Bins of a column's histogram, and where its axis has ticks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gpuvgm.grid import Floats
from gpuvgm.report.distributions import Pieces

BINS = 96
TICKS = 5
_ENDS = (0.005, 0.5, 0.995)
_SKEWED = 20.0  # times the median lies the upper end
_MOST = 0.9  # of the rows hold whole numbers: then no bin begins at one
_NEAR = 0.25  # of the axis: an extreme so close is taken in


@dataclass(frozen=True, slots=True)
class Binning:
    """Edges of bins in the numbers of a codec.

    Parameters
    ----------
    edges : ndarray of shape (bins + 1,)
        Ascending.
    base : float
        What the numbers count from.
    logarithmic : bool
        Whether the axis shows logarithms of the values, which are the numbers and `base`.
    """

    edges: Floats
    base: float
    logarithmic: bool = False

    @classmethod
    def of(cls, pieces: Pieces, base: float) -> Binning:
        """Bins over nearly all rows of at least one piece; on a logarithmic axis zeros are left out."""
        place, count = pieces.places(), pieces.count
        whole = np.sum(count[place == np.floor(place)]) >= _MOST * np.sum(count)
        low, middle, high = _quantiles(place, count)
        if pieces.minimum + base >= 0 and middle + base > 0 and high + base > _SKEWED * (middle + base):
            held = place + base > 0
            least = _quantiles(place[held], count[held])[0] + base
            edges = np.geomspace(least, max(pieces.maximum + base, np.nextafter(least, np.inf)), BINS + 1)
            if whole:
                edges = np.unique(np.concatenate((np.floor(edges[:1]) - 0.5, np.ceil(edges) + 0.5)))
            return cls(edges - base, base, logarithmic=True)
        low, high = _taken_in(low, high, pieces)
        if whole:
            step = max(1.0, np.ceil((high - low + 1) / BINS))
            return cls(np.arange(np.floor(low) - 0.5, high + 0.5 + step, step), base)
        if not high > low:
            low, high = low - 0.5, high + 0.5
        return cls(np.linspace(low, high, BINS + 1), base)

    @property
    def places(self) -> Floats:
        """Edges on the axis, from 0 to 1."""
        at = np.log(self.edges + self.base) if self.logarithmic else self.edges
        return np.asarray((at - at[0]) / (at[-1] - at[0]))

    def counts(self, pieces: Pieces) -> tuple[Floats, float, float]:
        """Rows in each bin, and those below and above all of them."""
        place, count = pieces.places(), pieces.count
        held = np.asarray(np.histogram(place, self.edges, weights=count)[0])
        below, above = float(np.sum(count[place < self.edges[0]])), float(np.sum(count[place > self.edges[-1]]))
        return held, below, above


def _quantiles(place: Floats, count: Floats) -> Floats:
    order = np.argsort(place, kind="stable")
    below = np.cumsum(count[order])
    return np.asarray(place[order][np.searchsorted(below, below[-1] * np.array(_ENDS))])


def _taken_in(low: float, high: float, pieces: Pieces) -> tuple[float, float]:
    """Ends of an axis, moved to the extremes where these are near."""
    room = _NEAR * (high - low)
    return (
        pieces.minimum if low - pieces.minimum <= room else low,
        pieces.maximum if pieces.maximum - high <= room else high,
    )


def linear_ticks(low: float, high: float, count: int = TICKS) -> list[float]:
    """Round numbers within a range, about so many."""
    size = (high - low) / count
    power = 10.0 ** np.floor(np.log10(size))
    step = float(power * next(by for by in (1, 2, 5, 10) if power * by >= size * 0.999))
    return [float(k * step) for k in range(int(np.ceil(low / step)), int(np.floor(high / step)) + 1)]


def logarithmic_ticks(low: float, high: float, count: int = TICKS) -> list[float]:
    """Powers of ten within a range, at most about so many; round numbers where the range is short."""
    first, last = int(np.ceil(np.log10(low) - 1e-9)), int(np.floor(np.log10(high) + 1e-9))
    if last - first < 1:
        return [tick for tick in linear_ticks(low, high, count) if tick > 0]
    step = -(-(last - first + 1) // count)
    return [10.0**power for power in range(first, last + 1, step)]


def spread_ticks(low: float, high: float, count: int = TICKS - 1) -> Sequence[float]:
    """Evenly spread places within a range, for values without round numbers."""
    return [low + (high - low) * (k + 0.5) / count for k in range(count)]

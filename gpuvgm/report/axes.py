"""Bins of a column's histogram, and where its axis has ticks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gpuvgm.report.distributions import Pieces
from gpuvgm.summary.grid import Floats

BINS = 96
TICKS = 5
_ENDS = (0.005, 0.5, 0.995)
_SKEWED = 20.0  # times the median lies the upper end
_MOST = 0.9
_SCALES = (1, 10, 100, 1000)
_ROUNDING, _EXACT = 1e-9, 2.0**53
_CLOSE = 0.01  # of a step; what is further from a multiple is none, however large the values are
_STEPS = 2.0**-50  # relative width of the bins of one large number
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
    def of(cls, pieces: Pieces, base: float, *, has_zero: bool = True) -> Binning:
        """Bins over nearly all rows of at least one piece; on a logarithmic axis zeros are left out."""
        place, count = pieces.places(), pieces.count
        low, middle, high = _quantiles(place, count)
        steps = Steps.of(place, count)
        skewed = pieces.minimum + base >= 0 and middle + base > 0 and high + base > _SKEWED * (middle + base)
        if has_zero and skewed:
            edges = _even_ratios(place + base, count) - base
            if steps:
                edges = steps.between(np.concatenate((edges[:1] - steps.unit, edges)))
            return cls(_ascending(edges[edges + base > 0]), base, logarithmic=True)
        low, high = _taken_in(low, high, pieces)
        if not steps:
            return cls(_ascending(np.linspace(low, high, BINS + 1)), base)
        width = steps.unit * max(1.0, np.ceil(((high - low) / steps.unit + 1) / BINS))
        first = steps.between(np.array([low]))[0] - steps.unit
        return cls(_ascending(first + width * np.arange(np.ceil((high - first) / width) + 1)), base)

    @property
    def places(self) -> Floats:
        """Edges on the axis, from 0 to 1."""
        at = np.log(self.edges + self.base) if self.logarithmic else self.edges / np.max(np.abs(self.edges))
        return np.asarray((at - at[0]) / (at[-1] - at[0]))

    def counts(self, pieces: Pieces) -> tuple[Floats, float, float]:
        """Rows in each bin, and those below and above all of them."""
        place, count = pieces.places(), pieces.count
        held = np.asarray(np.histogram(place, self.edges, weights=count)[0])
        below, above = float(np.sum(count[place < self.edges[0]])), float(np.sum(count[place > self.edges[-1]]))
        return held, below, above


@dataclass(frozen=True, slots=True)
class Steps:
    """Nearly all values are `first` and multiples of `unit`; bins of other widths would hold more or fewer of them."""

    first: float
    unit: float

    @classmethod
    def of(cls, place: Floats, count: Floats) -> Steps | None:
        """The widest steps of at least a thousandth that 90 % of the rows lie on; None without any."""
        usual = np.max(np.abs(_quantiles(place, count)))  # the values of a column may all be tiny
        for scale in _SCALES:
            scaled = place * scale
            whole = np.rint(scaled)
            near = _ROUNDING * np.maximum(min(1.0, usual * scale), np.abs(scaled))
            held = np.abs(scaled - whole) <= np.minimum(near, _CLOSE)
            if np.max(np.abs(scaled)) < _EXACT and np.sum(count[held]) >= _MOST * np.sum(count):
                apart = np.diff(np.sort(whole[held])).astype(np.int64)
                return cls(float(whole[held][0] / scale), float(np.gcd.reduce(apart) or 1) / scale)
        return None

    def between(self, values: Floats) -> Floats:
        """Halfway from the steps at or below the values to the next."""
        return np.asarray((np.floor((values - self.first) / self.unit) + 0.5) * self.unit + self.first)


def _ascending(edges: Floats) -> Floats:
    """The edges without those that rounding puts on others, or past the largest number; at least two."""
    kept = np.unique(edges[np.isfinite(edges)])
    if len(kept) > 1:
        return kept
    at = float(kept[0]) if len(kept) else 0.0
    room = max(0.5, _STEPS * abs(at))
    return np.array([at - room, at + room])


def _quantiles(place: Floats, count: Floats) -> Floats:
    order = np.argsort(place, kind="stable")
    below = np.cumsum(count[order])
    return np.asarray(place[order][np.searchsorted(below, below[-1] * np.array(_ENDS))])


def _even_ratios(values: Floats, count: Floats) -> Floats:
    """Edges of even ratios over nearly all values above 0."""
    held = values > 0
    ends = np.log(_quantiles(values[held], count[held])[[0, 2]])
    least, most = np.log(np.min(values[held])), np.log(np.max(values[held]))
    room = _NEAR * (ends[1] - ends[0])
    low = least if ends[0] - least <= room else ends[0]
    return np.asarray(np.exp(np.linspace(low, max(most, np.nextafter(low, np.inf)), BINS + 1)))


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
    if not 0 < size < np.inf:
        return []
    power = 10.0 ** np.floor(np.log10(size))
    step = next((float(power * by) for by in (1, 2, 5) if power * by >= size * 0.999), 10.0 * power)
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

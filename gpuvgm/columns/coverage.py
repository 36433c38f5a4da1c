"""Modes that cover every training row: active components, further ones where needed, and tail modes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpuvgm.summary import Floats, Masses, values_of

MOST_TAILS = 3  # on either side of the modes
MARGIN = 2.0**-20  # of a tail mode's width: its ends have scalars just within the limit, as float32 too


@dataclass(frozen=True, slots=True)
class Stretches:
    """Intervals that hold rows, in ascending order of their lower ends.

    Parameters
    ----------
    low, high : ndarray of shape (stretches,)
        Their ends, which may hold rows.
    """

    low: Floats
    high: Floats

    @classmethod
    def of(cls, masses: Masses, minimum: float, maximum: float) -> Stretches:
        """Intervals of a summary's cells, clipped to the range of the rows."""
        low, high = values_of(masses.low), values_of(masses.high)
        return cls(np.clip(low, minimum, maximum), np.clip(high, minimum, maximum))

    def beyond(self, covered: list[tuple[float, float]]) -> Stretches:
        """The intervals that do not lie within one of `covered`, which are disjoint and ascending."""
        if not covered:
            return self
        starts, ends = np.array(covered).T
        places = np.searchsorted(starts, self.low, side="right") - 1
        is_covered = (places >= 0) & (self.high <= ends[np.maximum(places, 0)])
        return Stretches(self.low[~is_covered], self.high[~is_covered])

    def meet(self, low: float, high: float) -> bool:
        """Return whether any of the intervals has a point in common with [low, high]."""
        return bool(np.any((self.low <= high) & (self.high >= low)))


def covered_by(means: Floats, reaches: Floats) -> list[tuple[float, float]]:
    """Union of intervals around means, as disjoint ascending intervals."""
    low, high = means - reaches, means + reaches
    # Shrunk by a few roundings, so that rows at an end are held however their scalars are rounded.
    slack = 4 * np.spacing(np.maximum(np.abs(low), np.abs(high)))
    covered: list[tuple[float, float]] = []
    for start, end in sorted(zip((low + slack).tolist(), (high - slack).tolist(), strict=True)):
        # Narrower than its roundings: it covers nothing for certain.
        if start > end:
            continue
        if covered and start <= covered[-1][1]:
            covered[-1] = covered[-1][0], max(covered[-1][1], end)
        else:
            covered.append((start, end))
    return covered


def with_needed(
    active: NDArray[np.bool_], weights: Floats, means: Floats, reaches: Floats, rows: Stretches
) -> NDArray[np.bool_]:
    """Active components, with others added, the heaviest first, while they hold rows that no active one holds.

    Parameters
    ----------
    active : ndarray of shape (K,), bool
        Components that are active for their weight.
    weights, means, reaches : ndarray of shape (K,)
        Parameters of all components; one holds rows up to its reach from its mean.
    rows : Stretches
        Where the training rows lie.
    """
    active = active.copy()
    uncovered = rows.beyond(covered_by(means[active], reaches[active]))
    for k in np.argsort(-weights, kind="stable"):
        if not len(uncovered.low):
            break
        if not active[k] and len(uncovered.beyond(covered_by(means[k : k + 1], reaches[k : k + 1])).low) < len(
            uncovered.low
        ):
            active[k] = True
            uncovered = rows.beyond(covered_by(means[active], reaches[active]))
    return active


def tail_modes(means: Floats, reaches: Floats, rows: Stretches, minimum: float, maximum: float) -> Floats:
    """Intervals for the rows that no component holds: at most three on either side, and one in each gap inside.

    On either side they tile what lies between the modes and the end of the training rows; the first is as wide as the
    mode beside it, and each is as many times wider than the one before. Intervals without rows are left out.

    Parameters
    ----------
    means, reaches : ndarray of shape (A,)
        The active components.
    rows : Stretches
        Where the training rows lie.
    minimum, maximum : float
        Least and largest row.

    Returns
    -------
    ndarray of shape (T, 2)
        Lower and upper ends, ascending.
    """
    covered = covered_by(means, reaches)
    uncovered = rows.beyond(covered)
    if not len(uncovered.low):
        return np.empty((0, 2))
    if not covered:
        return np.array([[minimum, maximum]])
    lowest, highest = int(np.argmin(means - reaches)), int(np.argmax(means + reaches))
    tiles = [(-high, -low) for low, high in _tiles(-covered[0][0], -minimum, 2 * reaches[lowest])][::-1]
    tiles += [(end, start) for (_, end), (start, _) in zip(covered[:-1], covered[1:], strict=True)]
    tiles += _tiles(covered[-1][1], maximum, 2 * reaches[highest])
    return np.array([tile for tile in tiles if uncovered.meet(*tile)]).reshape(-1, 2)


def _tiles(start: float, end: float, width: float) -> list[tuple[float, float]]:
    """Intervals from the modes to the end of the rows, of geometrically growing widths."""
    if end <= start:
        return []
    ratio = (end - start) / width
    count = 1 if ratio <= 2 else 2 if ratio <= 8 else MOST_TAILS
    # Widths 1, g, g^2 times the first make up the whole: 1 + g = ratio, or 1 + g + g^2 = ratio.
    growth = {1: 1.0, 2: ratio - 1, 3: (np.sqrt(4 * ratio - 3) - 1) / 2 if ratio > 1 else 1.0}[count]
    shares = np.cumsum(growth ** np.arange(count))
    edges = [start, *(start + (end - start) * shares / shares[-1]).tolist()]
    return list(zip(edges[:-1], [*edges[1:-1], end], strict=True))


def modes_of_tails(tails: Floats, limit: float) -> tuple[Floats, Floats]:
    """Means and widths of tail modes, whose scalars are almost ±limit at their ends.

    Parameters
    ----------
    tails : ndarray of shape (T, 2)
        Their ends.
    limit : float
        Largest scalar.
    """
    low, high = tails.T
    reach = (high - low) / 2 * (1 + MARGIN) + 4 * np.spacing(np.maximum(np.abs(low), np.abs(high)))
    return (low + high) / 2, reach / limit

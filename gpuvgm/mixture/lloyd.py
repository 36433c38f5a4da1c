"""k-means over one feature: scikit-learn's steps in loops of our own, with the bits of its labels and centres.

In its iterations scikit-learn takes distances from a matrix product. Over one feature each of its numbers is a single
product, rounded, twice of which, exactly, is taken from the square of a centre: a fused operation has the same bits.
Where a centre loses all its rows, scikit-learn iterates itself, from the same first centres.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuvgm.mixture.special import native_kernels
from gpuvgm.summary.grid import Floats

_MOST_ITERATIONS, _TOLERANCE = 300, 1e-4  # scikit-learn's defaults
Labels = NDArray[Any]  # of int32


def k_means_of_one(x: Floats, components: int, random: np.random.RandomState) -> tuple[Floats, Labels | None]:
    """Centres (K, 1) and labels as `KMeans(components, n_init=1, random_state=random)` finds them.

    Where a centre loses all its rows there are no labels, and the centres are the first ones, about the mean of `x`.

    Parameters
    ----------
    x : ndarray of shape (rows, 1), float64
        Finite rows.
    components : int
        Number of centres, at most the number of rows.
    random : RandomState
        Source of randomness.
    """
    x = np.ascontiguousarray(x)
    mean = x.mean(axis=0)
    rows = (x - mean).ravel()
    first = _first_centres(rows, components, random)
    found = _iterated(rows, first, float(np.mean(np.var(x, axis=0)) * _TOLERANCE))
    if found is None:
        return first.reshape(-1, 1), None
    return found[0].reshape(-1, 1) + mean, found[1]


def _first_centres(rows: Floats, components: int, random: np.random.RandomState) -> Floats:
    """Rows drawn by k-means++ as `sklearn.cluster.kmeans_plusplus` draws them: of some candidates always the best."""
    weight, closer, trials = np.ones(len(rows)), native_kernels().closer, 2 + int(np.log(components))
    below = np.cumsum(weight / weight.sum())
    centres = rows[np.searchsorted(below / below[-1], random.random_sample(1), "right")]  # as `choice` draws
    nearest = closer(rows, np.full(len(rows), np.inf), centres)
    potential = nearest @ weight
    while len(centres) < components:
        drawn = random.uniform(size=trials) * potential
        candidates = rows[np.minimum(np.searchsorted(np.cumsum(nearest), drawn), len(rows) - 1)]
        distances = closer(rows, nearest.ravel(), candidates)
        potentials = distances @ weight.reshape(-1, 1)
        best = np.argmin(potentials)
        nearest, potential = distances[best], potentials[best]
        centres = np.append(centres, candidates[best])
    return centres


def _iterated(rows: Floats, centres: Floats, tolerance: float) -> tuple[Floats, Labels] | None:
    """Centres and labels; None where a centre loses its rows."""
    labels, lloyd = np.full(len(rows), -1, np.int32), native_kernels().lloyd
    for _ in range(_MOST_ITERATIONS):
        counts, sums, changed = lloyd(rows, centres, labels)
        if not counts.all():
            return None
        before, centres = centres, sums * (1 / counts)
        if not changed:
            return centres, labels
        if (np.sqrt((before - centres) ** 2) ** 2).sum() <= tolerance:
            break
    lloyd(rows, centres, labels)
    return centres, labels

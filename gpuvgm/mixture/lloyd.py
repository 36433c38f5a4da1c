"""k-means: scikit-learn's steps in loops of our own, on any number of threads, with the bits of its labels and centres.

scikit-learn takes distances from a matrix product, which BLAS sums over the features in one chain of fused operations.
Over more features than it takes at once that is no longer so; and where a centre loses all its rows, scikit-learn
iterates itself, from the same first centres.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuvgm.mixture.special import native_kernels
from gpuvgm.summary.grid import Floats

MOST_FEATURES = 31  # that BLAS sums in one chain, however few rows and centres there are
_MOST_ITERATIONS, _TOLERANCE = 300, 1e-4  # scikit-learn's defaults
_PART_VALUES = 1 << 16  # numbers of rows that a thread works on at least
Labels = NDArray[Any]  # of int32


def lloyd_k_means(
    x: Floats, components: int, random: np.random.RandomState, pool: Executor | None = None
) -> tuple[Floats, Labels | None]:
    """Centres (K, D) and labels as `KMeans(components, n_init=1, random_state=random)` finds them.

    Where a centre loses all its rows there are no labels, and the centres are the first ones, about the mean of `x`.

    Parameters
    ----------
    x : ndarray of shape (rows, D), float64
        Finite rows, of at most `MOST_FEATURES` features.
    components : int
        Number of centres, at most the number of rows.
    random : RandomState
        Source of randomness.
    pool : Executor, optional
        Threads to share the rows out to.
    """
    x = np.ascontiguousarray(x)
    mean = x.mean(axis=0)
    rows = _SharedRows(x - mean, pool)
    first = _first_centres(rows, components, random)
    found = _iterated(rows, first, float(np.mean(np.var(x, axis=0)) * _TOLERANCE))
    return (first, None) if found is None else (found[0] + mean, found[1])


@dataclass(frozen=True, slots=True)
class _SharedRows:
    """Rows that threads share."""

    x: Floats
    pool: Executor | None

    def each(self, work: Callable[[slice], Any]) -> list[Any]:
        """What `work` gives for parts of the rows."""
        count, features = self.x.shape
        if self.pool is None or count * features < 2 * _PART_VALUES:
            return [work(slice(0, count))]
        size = max(1, _PART_VALUES // features)
        return list(self.pool.map(work, [slice(start, start + size) for start in range(0, count, size)]))


def _squares(x: Floats) -> Floats:
    """Squared lengths, added up as scikit-learn does."""
    return np.asarray(np.einsum("ij,ij->i", x, x))


def _first_centres(rows: _SharedRows, components: int, random: np.random.RandomState) -> Floats:
    """Rows drawn by k-means++ as `sklearn.cluster.kmeans_plusplus` draws them: of some candidates always the best."""
    x = rows.x
    weight, squares, trials = np.ones(len(x)), _squares(x), 2 + int(np.log(components))
    below = np.cumsum(weight / weight.sum())
    centres = x[np.searchsorted(below / below[-1], random.random_sample(1), "right")]  # as `choice` draws
    # of a single row BLAS sums the products in another order than of several
    nearest = np.maximum((-2 * (centres @ x.T) + _squares(centres)[:, None]) + squares, 0)
    potential = nearest @ weight
    while len(centres) < components:
        drawn = random.uniform(size=trials) * potential
        candidates = x[np.minimum(np.searchsorted(np.cumsum(nearest), drawn), len(x) - 1)]
        distances = _distances_with(candidates, rows, squares, nearest.ravel())
        potentials = distances @ weight.reshape(-1, 1)
        best = np.argmin(potentials)
        nearest, potential = distances[best], potentials[best]
        centres = np.append(centres, candidates[best : best + 1], axis=0)
    return centres


def _distances_with(candidates: Floats, rows: _SharedRows, squares: Floats, nearest: Floats) -> Floats:
    """Squared distances of rows to the nearest of some centres and one of the candidates, shape (candidates, rows)."""
    x, lengths, closer = rows.x, _squares(candidates), native_kernels().closer
    out = np.empty((len(candidates), len(x)))
    rows.each(lambda part: closer(x[part], squares[part], nearest[part], candidates, lengths, out[:, part]))
    return out


def _iterated(rows: _SharedRows, centres: Floats, tolerance: float) -> tuple[Floats, Labels] | None:
    """Centres and labels; None where a centre loses its rows."""
    labels, kernels = np.full(len(rows.x), -1, np.int32), native_kernels()

    def label(centres: Floats) -> bool:
        squares = _squares(centres)
        return any(rows.each(lambda part: kernels.nearest_centres(rows.x[part], centres, squares, labels[part])))

    for _ in range(_MOST_ITERATIONS):
        changed = label(centres)
        counts, sums = kernels.sums_by_centre(rows.x, labels, len(centres))
        if not counts.all():
            return None
        before, centres = centres, sums * (1 / counts)[:, None]
        if not changed:
            return centres, labels
        if (np.sqrt(((before - centres) ** 2).sum(axis=1)) ** 2).sum() <= tolerance:
            break
    label(centres)
    return centres, labels

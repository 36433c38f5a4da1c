"""Starts of fits: scikit-learn's ways to initialise, or centres of the user.

k-means has the bits of scikit-learn's on one thread: in loops of our own, on any number of threads, else
scikit-learn's own. It takes distances from a matrix product, which BLAS sums over the features in one chain of fused
operations. Over more features than it takes at once that is no longer so; and where a centre loses all its rows,
scikit-learn iterates itself, from the same first centres.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import Array, namespace_of, to_numpy
from gpuvgm.engines import native_is_built
from gpuvgm.mixture.rows import Moments, Rows, from_centre, random_places
from gpuvgm.mixture.special import native_kernels
from gpuvgm.summary import Floats, Ints, midpoints

MOST_FEATURES = 31  # that BLAS sums in one chain, however few rows and centres there are
_MOST_ITERATIONS, _TOLERANCE = 300, 1e-4  # scikit-learn's defaults
_PART_VALUES = 1 << 16  # numbers of rows that a thread works on at least
Labels = NDArray[Any]  # of int32


class Shared:
    """A context that its users share, in any thread: the first enters it, the last leaves it.

    Parameters
    ----------
    make : callable
        Gives the context.
    """

    def __init__(self, make: Callable[[], AbstractContextManager[Any]]) -> None:
        self._make, self._users, self._lock, self._stack = make, 0, Lock(), ExitStack()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """The context, entered where nobody is in it."""
        with self._lock:
            if self._users == 0:
                self._stack.enter_context(self._make())
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if self._users == 0:
                    self._stack.close()


def _single_threaded() -> AbstractContextManager[Any]:
    limits: AbstractContextManager[Any] = _thread_pools(len(sys.modules)).limit(limits=1)
    return limits


@lru_cache(1)
def _thread_pools(modules: int) -> Any:
    """The thread pools of the libraries, looked for anew where modules were imported: it takes 5 to 10 ms."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@contextmanager
def _without_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Number of distinct clusters")
        yield


_one_thread, _quiet = Shared(_single_threaded), Shared(_without_warnings)


@dataclass(frozen=True, slots=True)
class Seeds:
    """Start of a fit of one column.

    Parameters
    ----------
    centres : ndarray of shape (K,)
        Centres, in component order.
    """

    centres: Floats

    @classmethod
    def of(cls, y: Floats, components: int, random_state: int, most: int | None = None) -> Seeds:
        """Seeds by k-means, which runs on at most so many rows, by default on all.

        Parameters
        ----------
        y, components, random_state
            As for `k_means_seeds`.
        most : int, optional
            If there are more rows, one is taken at a random place in each of as many equal parts.
        """
        if most is not None and len(y) > most:
            y = y[random_places(len(y), most).astype(np.int64)]
        return k_means_seeds(y, components, random_state)[0]

    def nearest(self, y: Array) -> Ints:
        """Component whose centre is nearest to each value; at a midpoint the upper one, of equal centres the first."""
        xp = namespace_of(y)
        centres, index = np.unique(self.centres, return_index=True)
        place = xp.searchsorted(xp.asarray(midpoints(centres)), y, side="right")
        component: Ints = xp.take(xp.asarray(index.astype(np.int64)), place)
        return component


def k_means(
    x: Floats,
    components: int,
    random: np.random.RandomState,
    weight: Floats | None = None,
    pool: Executor | None = None,
) -> tuple[Floats, Ints]:
    """Centres (K, D) and labels of one k-means run, as `BayesianGaussianMixture(init_params="kmeans")` starts.

    Parameters
    ----------
    x : ndarray of shape (rows, D)
        Finite rows.
    components : int
        Number of centres; at most the number of rows is used.
    random : RandomState
        Source of randomness; the same labels as scikit-learn's mixture gets from it.
    weight : ndarray of shape (rows,), optional
        Weight of each row.
    pool : Executor, optional
        Threads to share the rows out to; the bits do not change.
    """
    init: Any = "k-means++"
    components = min(components, len(x))
    with _one_thread():
        if native_is_built() and weight is None and x.shape[1] <= MOST_FEATURES and x.dtype == np.float64:
            centres, labels = lloyd_k_means(x, components, random, pool)
            if labels is not None:
                return centres, labels
            init = lambda *_, random_state: centres  # noqa: E731 - as scikit-learn calls it
        from sklearn.cluster import KMeans

        with _thread_pools(len(sys.modules)).limit(limits=1, user_api="openmp"):  # OpenMP's limit is the thread's own
            run = KMeans(n_clusters=components, n_init=1, init=init, random_state=random).fit(x, sample_weight=weight)
    return run.cluster_centers_.astype(np.float64), run.labels_


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
    rows = _RowParts(x - mean, pool)  # so that distances by products keep their digits
    centres = _first_centres(rows, components, random)
    variance = np.mean(np.mean(rows.x**2, axis=0))  # as of `np.var`, which subtracts the mean itself
    result = _iterate(rows, centres, float(variance * _TOLERANCE))
    return (centres, None) if result is None else (result[0] + mean, result[1])


@dataclass(frozen=True, slots=True)
class _RowParts:
    """Rows that threads share."""

    x: Floats
    pool: Executor | None

    def each(self, work: Callable[[slice], Any]) -> list[Any]:
        """Results of `work` for parts of the rows."""
        count, features = self.x.shape
        if self.pool is None or count * features < 2 * _PART_VALUES:
            return [work(slice(0, count))]
        size = max(1, _PART_VALUES // features)
        return list(self.pool.map(work, [slice(start, start + size) for start in range(0, count, size)]))


def _squares(x: Floats) -> Floats:
    """Squared lengths, added up as scikit-learn does."""
    return np.asarray(np.einsum("ij,ij->i", x, x))


def _first_centres(rows: _RowParts, components: int, random: np.random.RandomState) -> Floats:
    """Rows drawn by k-means++ as `sklearn.cluster.kmeans_plusplus` draws them: of some candidates always the best."""
    x, kernels = rows.x, native_kernels()
    weight, squares, trials = np.ones(len(x)), _squares(x), 2 + int(np.log(components))
    cumulative = np.cumsum(weight / weight.sum())
    cumulative /= cumulative[-1]
    centres = x[np.searchsorted(cumulative, random.random_sample(1), "right")]  # as `choice` draws
    # of a single row BLAS sums the products in another order than of several
    nearest = np.maximum((-2 * (centres @ x.T) + _squares(centres)[:, None]) + squares, 0)
    potential, nearest = nearest @ weight, nearest.ravel()
    distances = np.empty((trials, len(x)))
    while len(centres) < components:
        draws = random.uniform(size=trials) * potential
        order = np.argsort(draws)
        candidates = np.empty((trials, x.shape[1]))
        candidates[order] = x[kernels.first_reaching(nearest, draws[order])]
        _write_distances_with(candidates, rows, squares, nearest, distances)
        potentials = distances @ weight.reshape(-1, 1)
        best = np.argmin(potentials)
        nearest[:], potential = distances[best], potentials[best]
        centres = np.append(centres, candidates[best : best + 1], axis=0)
    return centres


def _write_distances_with(
    candidates: Floats, rows: _RowParts, squares: Floats, nearest: Floats, distances: Floats
) -> None:
    """Write squared distances of rows to the nearest of some centres and one of the candidates, (candidates, rows)."""
    x, lengths, closer = rows.x, _squares(candidates), native_kernels().closer
    rows.each(lambda part: closer(x[part], squares[part], nearest[part], candidates, lengths, distances[:, part]))


def _iterate(rows: _RowParts, centres: Floats, tolerance: float) -> tuple[Floats, Labels] | None:
    """Centres and labels; None where a centre loses its rows."""
    labels, kernels, largest = np.full(len(rows.x), -1, np.int32), native_kernels(), float(np.max(np.abs(rows.x)))
    counts_in_line = np.zeros(len(centres), np.int64)

    def label(centres: Floats) -> bool:
        squares = _squares(centres)
        return any(rows.each(lambda part: kernels.nearest_centres(rows.x[part], centres, squares, labels[part])))

    def label_and_sum(centres: Floats) -> tuple[bool, NDArray[Any], Floats]:
        if rows.x.shape[1] == 1:  # in one pass, faster than threads share the first half of it
            is_changed, sums = kernels.label_and_sum(
                rows.x, centres, _squares(centres), largest, labels, counts_in_line
            )
            return is_changed, counts_in_line, sums
        is_changed = label(centres)
        return is_changed, *kernels.sums_by_centre(rows.x, labels, len(centres))

    for _ in range(_MOST_ITERATIONS):
        is_changed, counts, sums = label_and_sum(centres)
        if not counts.all():
            return None
        # Times the reciprocal, and with roots that are squared again: scikit-learn's roundings.
        previous, centres = centres, sums * (1 / counts)[:, None]
        if not is_changed:
            return centres, labels
        if (np.sqrt(((previous - centres) ** 2).sum(axis=1)) ** 2).sum() <= tolerance:
            break
    label_and_sum(centres)  # labels must be those of the last centres
    return centres, labels


@contextmanager
def quiet_k_means() -> Iterator[None]:
    """k-means on one thread within, for which fewer different values than centres is no fault.

    Both are settings of the whole process. Whoever starts threads that run k-means enters this first, so that they need
    not look for the libraries' thread pools again.
    """
    with _one_thread(), _quiet():
        yield


def k_means_seeds(y: Floats, components: int, random_state: int) -> tuple[Seeds, Ints]:
    """Seeds of one column, and the component of each row; fewer different values than centres is no fault there.

    Parameters
    ----------
    y : ndarray of shape (rows,), float64
        Finite rows.
    components : int
        Number of centres; at most the number of rows is used.
    random_state : int
        Seed.
    """
    with quiet_k_means():
        centres, labels = k_means(y.reshape(-1, 1), components, np.random.RandomState(random_state))
    return Seeds(centres.ravel()), labels.astype(np.int64)


@dataclass(frozen=True, slots=True)
class LabelStart:
    """Start where every row belongs to the component of its k-means label.

    Parameters
    ----------
    reference : ndarray of shape (K, D)
        Points in the fit's coordinates that moments are taken about, as of all starts.
    labels : ndarray of shape (rows,)
        The components.
    """

    reference: Floats
    labels: Ints

    def responsibilities(self, block: Rows, y: Array) -> Array:
        """Labels of a block."""
        return namespace_of(y).asarray(self.labels[block.numbers])


@dataclass(frozen=True, slots=True)
class CentreStart:
    """Start where every row belongs to the nearest centre."""

    reference: Floats

    def responsibilities(self, block: Rows, y: Array) -> Array:
        """Labels of a block."""
        return nearest(y, self.reference)


@dataclass(frozen=True, slots=True)
class RandomStart:
    """Start whose responsibilities are uniform numbers, drawn in row order."""

    reference: Floats
    random: np.random.RandomState

    def responsibilities(self, block: Rows, y: Array) -> Array:
        """Responsibilities of a block."""
        uniforms = self.random.uniform(size=(block.count, len(self.reference)))
        return namespace_of(y).asarray(uniforms / np.sum(uniforms, axis=1, keepdims=True))


@dataclass(frozen=True, slots=True)
class PointStart:
    """Start of every component from one row; other rows do not count, so that there are no responsibilities."""

    reference: Floats


#: Responsibilities before the first iteration: components of a block's rows, shape (rows,), or shares, (rows, K).
RowStart = LabelStart | CentreStart | RandomStart
Start = RowStart | PointStart


def nearest(y: Array, centres: Floats) -> Array:
    """Component whose centre is nearest to each row, the first of several; for one feature as a column's fit has it."""
    xp = namespace_of(y)
    if centres.shape[1] == 1 and (xp is np or hasattr(y, "get")):  # others may have no searchsorted
        return Seeds(centres[:, 0]).nearest(y[:, 0])
    points = xp.asarray(centres)
    best = xp.zeros(y.shape[0], dtype=xp.int64)
    least_distance = _square_distance(y, points[0, :])
    for k in range(1, centres.shape[0]):
        distance = _square_distance(y, points[k, :])
        closer = distance < least_distance
        best, least_distance = xp.where(closer, xp.asarray(k), best), xp.where(closer, distance, least_distance)
    return best


def _square_distance(y: Array, centre: Array) -> Array:
    """From each row to a centre; a power of CuPy would be slower and round otherwise."""
    d = y - centre
    d *= d
    return namespace_of(y).sum(d, axis=1)


def k_means_start(
    rows: Rows, components: int, random: np.random.RandomState, centre: float | Floats, moments: Moments
) -> Start:
    """k-means on the rows as they are, for scikit-learn's labels; on coordinates where an offset would cost digits."""
    seeding, places = rows.for_seeding()
    x, weight = to_numpy(seeding.array), None if seeding.weight is None else to_numpy(seeding.weight)
    is_far = moments.are_far_from_zero
    centres, labels = k_means(from_centre(x, centre) if is_far else x, components, random, weight, rows.pool)
    centres = centres if is_far else from_centre(centres, centre)
    # Of fewer rows than components the last centre is repeated, for components that no label names.
    reference = centres[np.minimum(np.arange(components), len(centres) - 1)]
    return CentreStart(reference) if places is None else LabelStart(reference, labels[places])


def point_start(
    rows: Rows, init: str, components: int, random: np.random.RandomState, centre: float | Floats
) -> PointStart:
    """Rows drawn as "k-means++" or "random_from_data" draw them, of those that k-means would run on."""
    seeding = rows.for_seeding()[0]
    x, weight = to_numpy(seeding.array), None if seeding.weight is None else to_numpy(seeding.weight)
    if init == "random_from_data":
        share = None if weight is None else weight / np.sum(weight)
        index = random.choice(len(x), size=components, replace=False, p=share)
    else:
        from sklearn.cluster import kmeans_plusplus

        _, index = kmeans_plusplus(x, components, random_state=random, sample_weight=weight)
    return PointStart(from_centre(x[index], centre))

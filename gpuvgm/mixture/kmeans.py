"""Centres that a fit starts from: scikit-learn's k-means, on one thread so that its bits do not change."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import Any

import numpy as np

from gpuvgm.summary.grid import Floats, Ints, midpoints

OFFSET_DEVIATIONS = 1e3  # rows further from 0 than this many sd are centred before k-means


class Shared:
    """A context that its users share, in any thread: the first enters it, the last leaves it.

    Parameters
    ----------
    make : callable
        Gives the context.
    """

    def __init__(self, make: Callable[[], AbstractContextManager[Any]]) -> None:
        self._make, self._users, self._lock, self._held = make, 0, Lock(), ExitStack()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """The context, entered where nobody is in it."""
        with self._lock:
            if self._users == 0:
                self._held.enter_context(self._make())
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if self._users == 0:
                    self._held.close()


def _single_threaded() -> AbstractContextManager[Any]:
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[Any] = threadpool_limits(limits=1)
    return limits


@cache
def _thread_pools() -> Any:
    """The thread pools of the libraries, looked for once; scikit-learn's is among them after its import."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@contextmanager
def _without_warnings() -> Iterator[None]:
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


_one_thread, _quiet = Shared(_single_threaded), Shared(_without_warnings)


@dataclass(frozen=True, slots=True)
class Seeds:
    """Where a fit of one column starts.

    Parameters
    ----------
    centres : ndarray of shape (K,)
        Centres, in component order.
    labels : ndarray of shape (rows,)
        Component of each row that k-means was run on.
    """

    centres: Floats
    labels: Ints

    def nearest(self, y: Floats) -> Ints:
        """Component whose centre is nearest to each value; at a midpoint the upper one, of equal centres the first."""
        ordered, component = np.unique(self.centres, return_index=True)
        return np.asarray(component[np.searchsorted(midpoints(ordered), y, side="right")].astype(np.int64))


def is_far_from_zero(mean: Floats, deviation: Floats) -> bool:
    """Whether the offset of a feature would cost k-means its digits; a constant feature does no harm."""
    offset = np.abs(mean)
    return bool(np.any((offset > OFFSET_DEVIATIONS * deviation) & (deviation > 1e-14 * offset)))


def k_means(
    x: Floats, components: int, random: np.random.RandomState, weight: Floats | None = None
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
    """
    from sklearn.cluster import KMeans

    run = KMeans(n_clusters=min(components, len(x)), n_init=1, random_state=random)
    with _one_thread(), _thread_pools().limit(limits=1, user_api="openmp"):  # OpenMP's limit is the thread's own
        run.fit(x, sample_weight=weight)
    return run.cluster_centers_.astype(np.float64), run.labels_


@contextmanager
def quiet_k_means() -> Iterator[None]:
    """k-means on one thread within, for which fewer different values than centres is no fault.

    Both are settings of the whole process. Whoever starts threads that run k-means enters this first, so that they need
    not look for the libraries' thread pools again.
    """
    with _one_thread(), _quiet():
        yield


def k_means_seeds(y: Floats, components: int, random_state: int) -> Seeds:
    """Seeds of one column; fewer different values than centres is no fault there.

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
    return Seeds(centres.ravel(), labels.astype(np.int64))

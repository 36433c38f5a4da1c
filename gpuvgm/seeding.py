"""Centres that a fit starts from: scikit-learn's k-means, on one thread so that its bits do not change."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from gpuvgm.grid import Floats, Ints, midpoints


@dataclass(frozen=True, slots=True)
class Seeds:
    """Where a fit starts.

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


def k_means_seeds(y: Floats, components: int, random_state: int) -> Seeds:
    """Centres of one k-means run, as `BayesianGaussianMixture(init_params="kmeans")` starts.

    Parameters
    ----------
    y : ndarray of shape (rows,), float64
        Finite rows.
    components : int
        Number of centres; at most the number of rows is used.
    random_state : int
        Seed; the same labels as scikit-learn's mixture gets from it.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    components = min(components, len(y))
    with warnings.catch_warnings(), threadpool_limits(limits=1):
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different values than centres is no fault
        run = KMeans(n_clusters=components, n_init=1, random_state=np.random.RandomState(random_state))
        run.fit(y.reshape(-1, 1))
    return Seeds(run.cluster_centers_.ravel().astype(np.float64), run.labels_.astype(np.int64))

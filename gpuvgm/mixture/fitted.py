"""The fitted half of the estimator: predictions, densities and samples, and the attributes that hold the mixture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from copy import copy
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from gpuvgm.arrays import Array, namespace_of
from gpuvgm.engines import Engine, choose_engine, get_engine
from gpuvgm.engines.multivariate import GaussianTable
from gpuvgm.errors import InputError
from gpuvgm.execution.dask_frames import map_frames
from gpuvgm.execution.local import LocalExecutor
from gpuvgm.execution.sources import lazy_frame
from gpuvgm.io import lies_on_device
from gpuvgm.mixture.posterior import Dirichlet, StickBreaking
from gpuvgm.mixture.posterior_nd import GaussianPosterior
from gpuvgm.mixture.rows import BLOCK_VALUES, Rows, in_order, read_rows
from gpuvgm.summary.grid import Floats, Ints

DENSITY_VALUES = 1 << 25  # log densities of a block on a device, 256 MiB


def labels(densities: Array) -> Array:
    """Most probable component of each row."""
    return namespace_of(densities).argmax(densities, axis=1)


def log_densities(densities: Array) -> Array:
    """Logarithm of the mixture's density at each row; -inf where every component's is."""
    xp = namespace_of(densities)
    shares, top = _relative(densities)
    with np.errstate(divide="ignore"):
        return xp.log(xp.sum(shares, axis=1)) + top


def probabilities(densities: Array) -> Array:
    """Probability of each component, for each row; equal where all densities are 0."""
    xp = namespace_of(densities)
    shares, _ = _relative(densities)
    total = xp.sum(shares, axis=1)[:, None]
    return xp.where(total > 0, shares, xp.ones_like(shares)) / xp.where(total > 0, total, shares.shape[1] + 0 * total)


def _relative(densities: Array) -> tuple[Array, Array]:
    """Densities relative to the largest of each row, and the logarithm of that (0 where it is -inf)."""
    xp = namespace_of(densities)
    top = xp.max(densities, axis=1)
    top = xp.where(xp.isfinite(top), top, xp.zeros_like(top))
    return xp.exp(densities - top[:, None]), top


def of_rows(
    engine: Engine, rows: Rows, posterior: GaussianPosterior, pool: Executor | None, function: Callable[[Array], Array]
) -> Array:
    """A function of the rows' log densities (rows, K), applied block by block.

    Parameters
    ----------
    engine : Engine
        Who computes densities.
    rows : Rows
        The rows.
    posterior : GaussianPosterior
        The mixture.
    pool : Executor or None
        Threads to share the blocks out to.
    function : callable
        One of `labels`, `log_densities`, `probabilities`.
    """
    table: GaussianTable = posterior.table(np.zeros(rows.features))
    wide = max(table.components, rows.features)
    most = BLOCK_VALUES if rows.on_host else max(1, DENSITY_VALUES // wide) * rows.features
    blocks = list(in_order(lambda part: function(engine.log_prob(rows.read(part), table)), rows.parts(most), pool))
    return namespace_of(blocks[0]).concat(blocks, axis=0)


def draw(
    posterior: GaussianPosterior, weights: Floats, count: int, random: np.random.RandomState
) -> tuple[Floats, Ints]:
    """Rows drawn from a mixture, component after component, and their components.

    The same numbers as scikit-learn's mixture draws.
    """
    counts = random.multinomial(count, weights)
    draw_one: Callable[[Floats, Floats, int], Any]
    if posterior.covariance_type in ("full", "tied"):
        draw_one = random.multivariate_normal
    else:

        def draw_one(mean: Floats, variance: Floats, size: int) -> Floats:
            return np.asarray(mean + random.standard_normal(size=(size, len(mean))) * np.sqrt(variance))

    shared = posterior.covariance_type == "tied"
    covariances = [posterior.covariances] * len(counts) if shared else posterior.covariances
    drawn = [
        draw_one(mean, covariance, int(size))
        for mean, covariance, size in zip(posterior.means, covariances, counts, strict=True)
    ]
    return np.vstack(drawn), np.repeat(np.arange(len(counts)), counts)


def _of_partition(mixture: FittedMixture, function: Callable[[Array], Array], frame: Any, _: int) -> Any:
    """A function of a partition's log densities, as a Series or a frame of the partition's library."""
    if len(frame):
        values = mixture._of_rows(frame, function)
    else:
        values = function(np.zeros((1, len(mixture.weights_))))[:0]
    if values.ndim == 1:
        return type(frame.iloc[:, 0])(values, index=frame.index)
    return type(frame)(values, columns=[str(k) for k in range(values.shape[1])], index=frame.index)


class FittedMixture(DensityMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Methods and attributes of a fitted mixture; `BayesianGaussianMixture` adds parameters and fits."""

    engine: str
    executor: LocalExecutor | None
    random_state: Any
    _seen: Any

    def predict(self, X: Any) -> Array:
        """Most probable component of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        array of shape (n_samples,)
            Labels; for a frame of Dask a lazy Series with its index.

        Examples
        --------
        >>> import numpy as np
        >>> from gpuvgm import BayesianGaussianMixture
        >>> x = np.concatenate([np.random.default_rng(0).normal(m, 1, (500, 2)) for m in (1, 9)])
        >>> mixture = BayesianGaussianMixture(n_components=2, random_state=0).fit(x)
        >>> np.bincount(mixture.predict(x)).tolist()
        [500, 500]
        """
        return self._of_rows(X, labels)

    def predict_proba(self, X: Any) -> Array:
        """Probability of each component, for each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        array of shape (n_samples, n_components)
            Probabilities; for a frame of Dask a lazy frame with its index.

        Examples
        --------
        >>> import numpy as np
        >>> from gpuvgm import BayesianGaussianMixture
        >>> x = np.concatenate([np.random.default_rng(0).normal(m, 1, (500, 1)) for m in (1, 9)])
        >>> mixture = BayesianGaussianMixture(n_components=2, random_state=0).fit(x)
        >>> mixture.predict_proba([[1.0], [9.0]]).max(axis=1).round(2).tolist()
        [1.0, 1.0]
        """
        return self._of_rows(X, probabilities)

    def score_samples(self, X: Any) -> Array:
        """Logarithm of the density at each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        array of shape (n_samples,)
            Log densities; for a frame of Dask a lazy Series with its index.

        Examples
        --------
        >>> import numpy as np
        >>> from gpuvgm import BayesianGaussianMixture
        >>> x = np.concatenate([np.random.default_rng(0).normal(m, 1, (500, 1)) for m in (1, 9)])
        >>> mixture = BayesianGaussianMixture(n_components=2, random_state=0).fit(x)
        >>> mixture.score_samples([[1.0], [5.0], [9.0]]).round().tolist()
        [-2.0, -8.0, -2.0]
        """
        return self._of_rows(X, log_densities)

    def score(self, X: Any, y: Any = None) -> float:
        """Compute the mean log density of the rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : None
            Ignored.

        Returns
        -------
        float
            In nats a row.

        Examples
        --------
        >>> import numpy as np
        >>> from gpuvgm import BayesianGaussianMixture
        >>> x = np.random.default_rng(0).normal(5, 1, (1000, 1))
        >>> round(BayesianGaussianMixture(random_state=0).fit(x).score(x), 1)
        -1.4
        """
        densities = self.score_samples(X)
        if hasattr(densities, "compute"):
            return float(densities.mean().compute())
        return float(namespace_of(densities).mean(densities))

    def sample(self, n_samples: int = 1) -> tuple[Floats, Ints]:
        """Draw rows from the mixture.

        Parameters
        ----------
        n_samples : int
            How many.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            The rows, component after component.
        y : ndarray of shape (n_samples,)
            Their components.

        Examples
        --------
        >>> import numpy as np
        >>> from gpuvgm import BayesianGaussianMixture
        >>> x = np.concatenate([np.random.default_rng(0).normal(m, 1, (500, 2)) for m in (1, 9)])
        >>> rows, components = BayesianGaussianMixture(n_components=2, random_state=0).fit(x).sample(100)
        >>> rows.shape, components.shape
        ((100, 2), (100,))
        """
        check_is_fitted(self)
        if n_samples < 1:
            raise ValueError(f"Invalid value for 'n_samples': {n_samples} . The sampling requires at least one sample.")
        return draw(self._posterior(), self.weights_, n_samples, check_random_state(self.random_state))

    def _posterior(self) -> GaussianPosterior:
        """The fitted mixture, from the attributes that people see."""
        given: Any = self.weight_concentration_
        process = isinstance(given, tuple)
        return GaussianPosterior(
            covariance_type=self._covariance_type,
            concentration=(
                StickBreaking(np.stack(given)) if process else Dirichlet(given, self.weight_concentration_prior_)
            ),
            mean_precision=self.mean_precision_,
            means=self.means_,
            degrees_of_freedom=self.degrees_of_freedom_,
            covariances=self.covariances_,
            precisions_cholesky=self.precisions_cholesky_,
        )

    def _keep_posterior(self, posterior: GaussianPosterior) -> None:
        concentration = posterior.concentration
        self.weight_concentration_ = (
            tuple(concentration.sticks) if isinstance(concentration, StickBreaking) else concentration.concentration
        )
        self._covariance_type = posterior.covariance_type
        self.mean_precision_ = posterior.mean_precision
        self.means_ = posterior.means
        self.degrees_of_freedom_ = posterior.degrees_of_freedom
        self.covariances_ = posterior.covariances
        self.precisions_cholesky_ = posterior.precisions_cholesky
        self.precisions_ = posterior.precisions
        self.weights_ = posterior.weights

    def _of_rows(self, x: Any, function: Callable[[Array], Array]) -> Array:
        check_is_fitted(self)
        frame = lazy_frame(x)
        if frame is not None:
            return map_frames(frame, partial(_of_partition, self._alone(), function), numbered=False)
        rows = read_rows(self, x, reset=False)
        with self._pool(rows) as pool:
            return of_rows(self._engine(rows), rows, self._posterior(), pool, function)

    def _engine(self, rows: Rows) -> Engine:
        if rows.on_host:
            return get_engine(choose_engine(self.engine, None if rows.lazy else rows.count * rows.features))
        if self.engine == "native":
            raise InputError('engine "native" runs arrays in main memory; use engine="auto" for those on a device')
        name = choose_engine(self.engine, on_device=lies_on_device(rows.array))
        return get_engine("cuda" if name == "cuda" else "reference")

    def _alone(self) -> FittedMixture:
        """The mixture as it travels to workers: without the rows that `partial_fit` has seen."""
        alone = copy(self)
        alone._seen, alone.executor = None, LocalExecutor(1)
        return alone

    @contextmanager
    def _pool(self, rows: Rows) -> Iterator[Executor | None]:
        """Threads for rows of the host; on a device the current stream and device are those of the caller's thread."""
        threads = (self.executor or LocalExecutor()).threads
        if threads == 1 or not rows.on_host:
            yield None
            return
        with ThreadPoolExecutor(threads, thread_name_prefix="gpuvgm-compute") as pool:
            yield pool

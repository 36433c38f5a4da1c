"""The fitted half of the estimator: what it says of rows, and the attributes that hold the mixture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from gpuvgm.arrays import Array, namespace_of
from gpuvgm.engines import Engine, choose_engine, get_engine
from gpuvgm.errors import InputError
from gpuvgm.execution.local import LocalExecutor
from gpuvgm.io import lies_on_device
from gpuvgm.mixture import outputs
from gpuvgm.mixture.concentration import Dirichlet, StickBreaking
from gpuvgm.mixture.posterior_nd import GaussianPosterior
from gpuvgm.mixture.reading import read_rows
from gpuvgm.mixture.rows import Rows
from gpuvgm.summary.grid import Floats, Ints


class FittedMixture(DensityMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Methods and attributes of a fitted mixture; `BayesianGaussianMixture` adds parameters and fits."""

    engine: str
    executor: LocalExecutor | None
    random_state: Any

    def predict(self, X: Any) -> Array:
        """Most probable component of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        array of shape (n_samples,)
            Labels.
        """
        return self._of_rows(X, outputs.labels)

    def predict_proba(self, X: Any) -> Array:
        """Probability of each component, for each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        array of shape (n_samples, n_components)
            Probabilities.
        """
        return self._of_rows(X, outputs.probabilities)

    def score_samples(self, X: Any) -> Array:
        """Logarithm of the density at each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        array of shape (n_samples,)
            Log densities.
        """
        return self._of_rows(X, outputs.log_densities)

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
        """
        densities = self.score_samples(X)
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
        """
        check_is_fitted(self)
        if n_samples < 1:
            raise ValueError(f"Invalid value for 'n_samples': {n_samples} . The sampling requires at least one sample.")
        return outputs.draw(self._posterior(), self.weights_, n_samples, check_random_state(self.random_state))

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
        rows = read_rows(self, x, reset=False)
        with self._pool() as pool:
            return outputs.of_rows(self._engine(rows), rows, self._posterior(), pool, function)

    def _engine(self, rows: Rows) -> Engine:
        if rows.on_host:
            return get_engine(choose_engine(self.engine, None if rows.lazy else rows.count * rows.features))
        if self.engine == "native":
            raise InputError('engine "native" runs arrays in main memory; use engine="auto" for those on a device')
        name = choose_engine(self.engine, on_device=lies_on_device(rows.array))
        return get_engine("cuda" if name == "cuda" else "reference")

    @contextmanager
    def _pool(self) -> Iterator[Executor | None]:
        threads = (self.executor or LocalExecutor()).threads
        if threads == 1:
            yield None
            return
        with ThreadPoolExecutor(threads, thread_name_prefix="gpuvgm-compute") as pool:
            yield pool

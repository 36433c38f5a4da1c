"""BayesianGaussianMixture: scikit-learn's estimator on gpuvgm's engines."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from functools import partial
from numbers import Integral, Real
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from gpuvgm.arrays import Array, namespace_of
from gpuvgm.config import SUMMARY_ROWS, Algorithm, EngineName
from gpuvgm.engines import ENGINES, Engine, choose_engine, get_engine
from gpuvgm.errors import InputError, NamedParameters, warn
from gpuvgm.estimator.prediction import (
    labels,
    log_densities,
    of_array,
    of_partition,
    of_rows,
    probabilities,
)
from gpuvgm.estimator.reading import local_executor, read_rows, rows_on_cluster, training_rows
from gpuvgm.estimator.settings import checked_prior, init_of, prior_shape
from gpuvgm.execution import DaskExecutor, LocalExecutor, any_source, clone_beside_executor, executor_for, lazy_frame
from gpuvgm.io import holds_device_rows, is_loaded
from gpuvgm.mixture import (
    MATRICES,
    ConcentrationType,
    CovarianceType,
    Estimate,
    Posterior,
    Prior,
    Problem,
    Rows,
    StickBreaking,
    begin_partial_fit,
)
from gpuvgm.summary import Floats, Ints

# parameters that may not change between calls of partial_fit
_KEPT = (
    "n_components", "covariance_type", "weight_concentration_prior_type", "weight_concentration_prior",
    "mean_precision_prior", "mean_prior", "degrees_of_freedom_prior", "covariance_prior", "reg_covar", "init_params",
)  # fmt: skip
MixtureEffort = Literal["research", "best"]
_LOG = logging.getLogger("gpuvgm")


class BayesianGaussianMixture(NamedParameters, DensityMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Variational Bayesian mixture of Gaussians, with scikit-learn's interface.

    It has all arguments of `sklearn.mixture.BayesianGaussianMixture`, with the same defaults and meanings, and its
    methods and attributes. With ``algorithm="exact"`` and the same `random_state` the fit is scikit-learn's. Rows that
    lie more than 1e3 standard deviations from zero are an exception: scikit-learn loses digits there, and this class
    does not, because its sums are centred. Formulas: Bishop 2006 §10.2, Blei & Jordan 2006.

    Parameters
    ----------
    n_components : int
        Largest number of components.
    covariance_type : {"full", "tied", "diag", "spherical"}
        Each component has a covariance matrix, all share one, each has a variance for each feature, or each has one
        variance.
    tol : float
        Change of the lower bound below which a fit ends.
    reg_covar : float
        Added to the diagonal of every covariance.
    max_iter, n_init : int
        Iterations of a fit, and starts of which the best is kept.
    init_params : {"kmeans", "k-means++", "random", "random_from_data"} or array of shape (n_components, n_features)
        How responsibilities are initialised. An array gives centres, and each row starts with the nearest one.
    weight_concentration_prior_type : {"dirichlet_process", "dirichlet_distribution"}
        Prior of the weights.
    weight_concentration_prior, mean_precision_prior : float, optional
        1 / n_components and 1 by default.
    mean_prior : array-like, optional
        Mean of the rows by default.
    degrees_of_freedom_prior : float, optional
        The number of features by default.
    covariance_prior : array-like, optional
        Covariance of the rows by default.
    random_state : int, RandomState or None
        Source of randomness.
    warm_start : bool
        Start from the result of the last fit.
    verbose, verbose_interval : int
        Amount of printed output, and iterations between prints.
    tol_per_row : float, optional
        Replaces `tol`: the change of the lower bound divided by the number of rows. The bound is a sum over rows, so
        that with a million rows it never changes by less than a `tol` of 1e-3.
    algorithm : {"auto", "exact", "summary"}
        "exact": every E-step reads every row. Only this is equal to scikit-learn for the same `random_state`.
        "summary", for one feature: the rows are counted in one scan and EM works on the counts. The result is within
        1e-8 standard deviations of the exact fit from the same start; where the estimated error (`fit_error_`) is
        larger, rows are counted again more finely, or EM reads them. "auto": "summary" for one feature and at least
        200,000 rows, else "exact".
    effort : {"research", "best"}
        "research": `max_iter` iterations from `n_init` starts. "best": these starts and many more, with accelerated EM
        until convergence; the highest lower bound is kept, which with few rows may not be the best density. With
        several features it takes seconds and begins with the iterations of "research". `max_iter=0`, and `partial_fit`
        of several features, ignore it. If `reg_covar` is as large as the variances, plain EM that is started from the
        result may lower the bound again.
    engine : {"auto", "native", "cuda", "reference"}
        Compute engine: C++ on processors, a GPU, or NumPy. "auto" takes the GPU, if it is usable, for arrays that lie
        on it; else the processor.
    executor : DaskExecutor, distributed.Client or gpuvgm.execution.local.LocalExecutor, optional
        Where fits run: a cluster of Dask (such as `gpuvgm.cluster` gives), whose workers hold the rows, or threads of
        this process. By default the current client's cluster for frames and arrays of Dask, and all cores for
        everything else. Arrays on disk, and those on a device of this process, are worked on here.

    Attributes
    ----------
    weights_, means_, covariances_, precisions_, precisions_cholesky_ : ndarray
        The mixture.
    weight_concentration_, mean_precision_, degrees_of_freedom_ : ndarray
        The other parameters of the posterior. The concentration of a Dirichlet process is a tuple of two arrays.
    weight_concentration_prior_, mean_precision_prior_, mean_prior_, degrees_of_freedom_prior_, covariance_prior_
        The prior.
    converged_ : bool
        Whether the last change of the bound was below the tolerance.
    n_iter_ : int
        Iterations of the fit that was kept; for effort="best" those of its last run of EM.
    lower_bound_ : float
        Its evidence lower bound.
    lower_bounds_ : list of float
        The bound after each of its iterations. It never falls, except where variances are as small as `reg_covar`: the
        bound, as scikit-learn defines it, does not include `reg_covar`.
    fit_error_ : float
        Estimated distance to the exact fit, in standard deviations, correct to an order of magnitude; 0 for "exact".
    explanation_ : Explanation or None
        Of effort="best": `modes` (number of components with a weight above 0.005 and at least one row),
        `bound_with_fewer` (the highest bound found with one mode less; NaN with one mode), `held_out_score` (mean log
        density of one row in eight, unweighted, under a fit to the others; NaN for fewer than 16 rows and after
        `partial_fit`) and `starts` (their number).
    n_features_in_, feature_names_in_
        The features.

    Examples
    --------
    >>> import numpy as np
    >>> from gpuvgm import BayesianGaussianMixture
    >>> x = np.concatenate([np.random.default_rng(0).normal(m, 1, (500, 2)) for m in (0, 9)])
    >>> BayesianGaussianMixture(n_components=2, random_state=0).fit(x).weights_.round(1)
    array([0.5, 0.5])
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "covariance_type": [StrOptions(set(get_args(CovarianceType)))],
        "tol": [Interval(Real, 0.0, None, closed="left")],
        "tol_per_row": [None, Interval(Real, 0.0, None, closed="left")],
        "reg_covar": [Interval(Real, 0.0, None, closed="left")],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "init_params": [StrOptions({"kmeans", "k-means++", "random", "random_from_data"}), "array-like"],
        "weight_concentration_prior_type": [StrOptions(set(get_args(ConcentrationType)))],
        "weight_concentration_prior": [None, Interval(Real, 0.0, None, closed="neither")],
        "mean_precision_prior": [None, Interval(Real, 0.0, None, closed="neither")],
        "mean_prior": [None, "array-like"],
        "degrees_of_freedom_prior": [None, Interval(Real, 0.0, None, closed="neither")],
        "covariance_prior": [None, "array-like", Interval(Real, 0.0, None, closed="neither")],
        "random_state": ["random_state"],
        "warm_start": ["boolean"],
        "verbose": ["verbose"],
        "verbose_interval": [Interval(Integral, 1, None, closed="left")],
        "algorithm": [StrOptions(set(get_args(Algorithm)))],
        "effort": [StrOptions(set(get_args(MixtureEffort)))],
        "engine": [StrOptions(set(ENGINES))],
        "executor": [None, LocalExecutor, DaskExecutor, HasMethods(["scheduler_info", "submit"])],
    }

    def __init__(
        self,
        *,
        n_components: int = 1,
        covariance_type: CovarianceType = "full",
        tol: float = 1e-3,
        reg_covar: float = 1e-6,
        max_iter: int = 100,
        n_init: int = 1,
        init_params: Any = "kmeans",
        weight_concentration_prior_type: ConcentrationType = "dirichlet_process",
        weight_concentration_prior: float | None = None,
        mean_precision_prior: float | None = None,
        mean_prior: Any = None,
        degrees_of_freedom_prior: float | None = None,
        covariance_prior: Any = None,
        random_state: Any = None,
        warm_start: bool = False,
        verbose: int = 0,
        verbose_interval: int = 10,
        tol_per_row: float | None = None,
        algorithm: Algorithm = "auto",
        effort: MixtureEffort = "research",
        engine: EngineName = "auto",
        executor: Any = None,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weight_concentration_prior_type = weight_concentration_prior_type
        self.weight_concentration_prior = weight_concentration_prior
        self.mean_precision_prior = mean_precision_prior
        self.mean_prior = mean_prior
        self.degrees_of_freedom_prior = degrees_of_freedom_prior
        self.covariance_prior = covariance_prior
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.verbose_interval = verbose_interval
        self.tol_per_row = tol_per_row
        self.algorithm = algorithm
        self.effort = effort
        self.engine = engine
        self.executor = executor

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> BayesianGaussianMixture:
        """Fit the mixture.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows: an array, a data frame or a list. Memory maps, arrays on disk, and frames and arrays of Dask are read
            block by block. Arrays on a device and cuDF frames stay there. With a cluster (`executor`, or the current
            client for frames and arrays of Dask) rows stay on its workers, with any `init_params` but "random".
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), optional
            How often each row counts: a row of weight 3 counts as three equal rows, one of weight 0 not at all.

        Returns
        -------
        BayesianGaussianMixture
            The estimator itself.

        Raises
        ------
        ValueError
            If the arguments, rows or weights cannot be fitted.

        Examples
        --------
        >>> import numpy as np
        >>> from gpuvgm import BayesianGaussianMixture
        >>> x = np.concatenate([np.random.default_rng(0).normal(m, 1, (500, 1)) for m in (1, 9)])
        >>> mixture = BayesianGaussianMixture(n_components=2, random_state=0).fit(x)
        >>> np.sort(mixture.means_[:, 0]).round().tolist()
        [1.0, 9.0]
        """
        self._validate_params()
        with self._rows(X, sample_weight) as rows:
            _refuse_summary(self, rows.features)
            _refuse_too_few_rows(self, rows)
            problem = self._problem(rows)
            estimate = self._estimate(problem)
        self._keep(estimate, problem.prior)
        self._seen = None
        if not self.converged_ and self.max_iter > 0:
            warn(
                "Best performing initialization did not converge. Try different init parameters, or increase max_iter, "
                "tol, or check for degenerate data.",
                ConvergenceWarning,
            )
        return self

    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> BayesianGaussianMixture:
        """Add rows to those seen so far.

        One feature: the rows are counted on the grid of the first call, and the mixture is fitted again to the counts
        of all rows so far, from the start that the first call chose. The order of later rows, and how they are divided
        into calls, do not change a bit of the result (unless weights are fractions, whose sums are rounded).

        Several features: memoised variational inference (Hughes & Sudderth 2013). The first call fits its rows and sets
        the priors. Each later call updates the mixture with its block of rows. A block that was given before is
        recognised by its content and replaced, not counted twice. No update lowers the bound over all blocks (except
        for `reg_covar`, as in any fit). If you repeat the blocks until the bound no longer changes, the result is a
        local optimum of a fit of all rows at once.

        Rows of an earlier `fit` do not count: the first call after it starts anew.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), optional
            As in `fit`.

        Returns
        -------
        BayesianGaussianMixture
            The estimator itself.

        Examples
        --------
        >>> import numpy as np
        >>> from gpuvgm import BayesianGaussianMixture
        >>> mixture = BayesianGaussianMixture(n_components=2, random_state=0)
        >>> for seed in range(3):
        ...     blocks = [np.random.default_rng(seed).normal(mean, 1, (500, 1)) for mean in (1, 9)]
        ...     mixture = mixture.partial_fit(np.concatenate(blocks))
        >>> np.sort(mixture.means_[:, 0]).round().tolist()
        [1.0, 9.0]
        """
        self._validate_params()
        history: Any = getattr(self, "_seen", None)
        if history is not None:
            _refuse_changes(self, getattr(self, "_seen_with", {}))
        with self._rows(X, sample_weight, reset=history is None) as rows:
            _refuse_summary(self, rows.features)
            if history is None:
                _refuse_too_few_rows(self, rows)
                history = begin_partial_fit(replace(self._problem(rows), warm=None))
            elif rows.total == 0:
                return self
            history = history.add(self._engine(rows), rows)
            problem = replace(self._problem(rows, history), warm=None)
            problem = problem if rows.features == 1 else replace(problem, prior=history.prior)
            estimate = history.estimate(problem, best=self.effort == "best")
        self._keep(estimate, problem.prior)
        self._seen, self._seen_with = history, {name: getattr(self, name) for name in _KEPT}
        return self

    def fit_predict(self, X: Any, y: Any = None, sample_weight: Any = None) -> Array:
        """Fit the mixture, and give the most probable component of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), optional
            As in `fit`.

        Returns
        -------
        array of shape (n_samples,)
            Labels.

        Examples
        --------
        >>> import numpy as np
        >>> from gpuvgm import BayesianGaussianMixture
        >>> x = np.concatenate([np.random.default_rng(0).normal(m, 1, (500, 2)) for m in (1, 9)])
        >>> np.bincount(BayesianGaussianMixture(n_components=2, random_state=0).fit_predict(x)).tolist()
        [500, 500]
        """
        return self.fit(X, y, sample_weight).predict(X)

    @contextmanager
    def _rows(self, x: Any, sample_weight: Any, *, reset: bool = True) -> Iterator[Rows]:
        """Rows to fit on, for as long as the fit takes, in this process or with the workers of a cluster.

        Responsibilities that are drawn in row order are drawn in this process, which then reads the rows.
        """
        frame = lazy_frame(x)
        frame_or_array = x if frame is None else frame
        draws_responsibilities = isinstance(self.init_params, str) and self.init_params == "random"
        if not draws_responsibilities:
            source: Any = frame
            if frame is None and not isinstance(self.executor, LocalExecutor | None):
                host = read_rows(self, x, reset=reset)
                source = None if host.foreign or host.lazy else any_source(host.array)
            executor = None if source is None else executor_for(self.executor, source)
            if executor is not None:
                with (
                    executor.client.as_current(),  # a frame counts its rows through the client that is current
                    rows_on_cluster(self, source, executor, sample_weight, reset=reset) as rows,
                ):
                    yield rows
                return
        with self._in_threads(training_rows(self, frame_or_array, sample_weight, reset=reset)) as threaded_rows:
            yield threaded_rows

    def _problem(self, rows: Rows, history: Any = None) -> Problem:
        """The problem of a fit to rows, or to all that `partial_fit` has seen."""
        engine = self._engine(rows)
        moments = rows.moments(engine) if history is None else history.moments()
        warm = self._posterior() if self.warm_start and hasattr(self, "converged_") else None
        if warm is not None:
            _refuse_other_form(self, warm, rows.features)
        prior = checked_prior(self, moments.mean, moments.covariance, moments.origin)
        problem = replace(Problem.of(self, engine, rows, moments, prior), init=init_of(self, rows.features))
        return problem if warm is None else problem.going_on(warm, self.lower_bound_)

    def _estimate(self, problem: Problem) -> Estimate:
        best = self.effort == "best" and problem.stopping.max_iter > 0
        summary = self.algorithm == "summary" or (self.algorithm == "auto" and problem.rows.count >= SUMMARY_ROWS)
        return problem.fit(best=best, summary=summary)

    def _keep_prior(self, prior: Prior) -> None:
        self.weight_concentration_prior_ = prior.weight_concentration
        self.mean_precision_prior_ = prior.mean_precision
        features = self.n_features_in_
        self.mean_prior_ = np.reshape(prior.mean, features)
        self.degrees_of_freedom_prior_ = prior.degrees_of_freedom
        shape = prior_shape(self.covariance_type, features)
        self.covariance_prior_ = np.reshape(prior.covariance, shape) if shape else float(prior.covariance)

    def _keep(self, estimate: Estimate, prior: Prior) -> None:
        self._keep_prior(prior)
        fit, posterior, form = estimate.fit, estimate.fit.posterior, self.covariance_type
        concentration, features = posterior.concentration, posterior.features
        self.weight_concentration_ = (
            tuple(concentration.sticks) if isinstance(concentration, StickBreaking) else concentration.concentration
        )
        # As fitted: the parameter of this name may be changed before the next call.
        self._covariance_type = form
        self.mean_precision_ = posterior.mean_precision
        self.means_ = posterior.means.reshape(-1, features)
        degrees = posterior.degrees_of_freedom
        self.degrees_of_freedom_ = degrees[0] if form == "tied" else degrees
        self.covariances_ = _as_attribute(posterior.covariances, form, features)
        self.precisions_cholesky_ = factors = _as_attribute(posterior.precisions_cholesky, form, features)
        self.precisions_ = factors @ np.swapaxes(factors, -1, -2) if form in MATRICES else factors**2
        self.weights_ = posterior.weights
        self.converged_ = fit.converged
        self.n_iter_ = len(fit.bounds)
        self.lower_bounds_ = list(fit.bounds)
        self.lower_bound_ = fit.bounds[-1] if fit.bounds else -np.inf
        self.fit_error_ = estimate.error
        self.explanation_ = estimate.explanation
        if not estimate.exact:
            _LOG.info("fitted on a summary of the rows, within %.1e sigma of the exact fit", estimate.error)

    def predict(self, X: Any) -> Array:
        """Most probable component of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        array of shape (n_samples,)
            Labels; for a frame of Dask a lazy Series with its index, for an array of Dask another.

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
            Probabilities; for a frame of Dask a lazy frame with its index, for an array of Dask another.

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
            Log densities; for a frame of Dask a lazy Series with its index, for an array of Dask another.

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
            Number of rows.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            The rows, component after component.
        y : ndarray of shape (n_samples,)
            Their components.

        Raises
        ------
        InputError
            If `n_samples` is no whole number.

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
        number: Any = n_samples
        # A bool is an Integral too.
        if isinstance(number, bool) or not isinstance(number, Integral):
            raise InputError(f"n_samples is a whole number of rows, got {n_samples!r}")
        if n_samples < 1:
            raise ValueError(f"Invalid value for 'n_samples': {n_samples} . The sampling requires at least one sample.")
        random = check_random_state(self.random_state)
        counts = random.multinomial(n_samples, self.weights_)
        rows = [self._draw(random, k, int(size)) for k, size in enumerate(counts)]
        return np.vstack(rows), np.repeat(np.arange(len(counts)), counts)

    def _draw(self, random: np.random.RandomState, component: int, size: int) -> Floats:
        """Rows of one component; the numbers that scikit-learn's mixture draws."""
        mean, form = self.means_[component], self._covariance_type
        covariance = self.covariances_ if form == "tied" else self.covariances_[component]
        if form in MATRICES:
            return np.asarray(random.multivariate_normal(mean, covariance, size))
        return np.asarray(mean + random.standard_normal(size=(size, len(mean))) * np.sqrt(covariance))

    def _posterior(self) -> Posterior:
        """The fitted mixture, from the attributes that people see."""
        concentration: Any = self.weight_concentration_
        form, shape = self._covariance_type, self.means_.shape
        return Posterior(
            concentration=Posterior.weights_of(concentration, self.weight_concentration_prior_),
            mean_precision=self.mean_precision_,
            means=self.means_[:, 0] if shape[1] == 1 else self.means_,
            degrees_of_freedom=np.array(np.broadcast_to(self.degrees_of_freedom_, shape[:1])),
            covariances=_of_components(self.covariances_, form, shape),
            factors=_of_components(self.precisions_cholesky_, form, shape),
        )

    def __sklearn_clone__(self) -> BayesianGaussianMixture:
        clone: BayesianGaussianMixture = clone_beside_executor(self)
        return clone

    def _of_rows(self, x: Any, function: Callable[[Array], Array]) -> Array:
        check_is_fitted(self)
        if is_loaded("dask.array", "Array", x):
            return of_array(self._alone(), function, x)
        frame = lazy_frame(x)
        if frame is not None:
            return frame.map(partial(of_partition, self._alone(), function), numbered=False)
        rows = read_rows(self, x, reset=False)
        with self._in_threads(rows) as threaded_rows:
            return of_rows(self._engine(rows), threaded_rows, self._posterior(), function)

    def _engine(self, rows: Rows) -> Engine:
        if rows.spread and self.engine == "cuda":  # the workers' engine, which this process need not have
            return get_engine("auto")
        if not rows.foreign:
            return get_engine(choose_engine(self.engine))
        if self.engine == "native":
            raise InputError('engine "native" runs arrays in main memory; use engine="auto" for those on a device')
        name = choose_engine(self.engine, on_device=holds_device_rows(rows.array))
        return get_engine("cuda" if name == "cuda" else "reference")

    def _alone(self) -> BayesianGaussianMixture:
        """Return the mixture as it is sent to workers: without the rows that `partial_fit` has seen."""
        portable = copy(self)
        portable._seen, portable.executor = None, LocalExecutor(1)
        return portable

    @contextmanager
    def _in_threads(self, rows: Rows) -> Iterator[Rows]:
        """The rows, with threads for those of the host; a device's current stream is that of the caller's thread."""
        threads = local_executor(self).threads
        if threads == 1:
            yield rows
            return
        with ThreadPoolExecutor(threads, thread_name_prefix="gpuvgm-compute") as pool:
            yield rows.with_threads(pool)


def _as_attribute(values: Floats, form: CovarianceType, features: int) -> Floats:
    """Covariances of components, or factors of precisions, as scikit-learn shapes them."""
    k, d = len(values), features
    if form == "tied":
        return np.asarray(values[0].reshape(d, d))
    if form == "spherical":
        return np.ascontiguousarray(values.reshape(k, d)[:, 0])
    return np.asarray(values.reshape((k, d) if form == "diag" else (k, d, d)))


def _of_components(attribute: Floats, form: CovarianceType, shape: tuple[int, ...]) -> Floats:
    """Invert `_as_attribute`, for means of shape (K, D)."""
    k, d = shape
    if d == 1:
        return np.array(np.broadcast_to(attribute.ravel(), (k,)))
    if form == "spherical":
        return np.repeat(attribute[:, None], d, axis=1)
    return np.array(np.broadcast_to(attribute, (k, d, d))) if form in MATRICES else attribute


def _refuse_too_few_rows(estimator: Any, rows: Rows) -> None:
    """Refuse fewer rows than components; weighted rows count by their weight."""
    row_count = int(rows.total)
    if rows.weight is not None:
        xp = namespace_of(rows.weight)
        row_count = max(row_count, int(xp.sum(xp.sign(rows.weight))))
    if row_count < estimator.n_components:
        raise ValueError(
            f"Expected n_samples >= n_components but got n_components = {estimator.n_components}, "
            f"n_samples = {row_count}"
        )


def _refuse_summary(estimator: Any, features: int) -> None:
    """Refuse the summary for several features."""
    if estimator.algorithm == "summary" and features > 1:
        raise InputError(f'algorithm="summary" needs one feature, but X has {features}; use "exact" or "auto"')


def _refuse_changes(estimator: Any, parameters: dict[str, Any]) -> None:
    """Refuse other parameters than those that rows seen before were taken in with."""
    for name, value in parameters.items():
        current = getattr(estimator, name)
        if current is not value and not np.array_equal(current, value):
            raise InputError(f"{name} has changed since the first partial_fit: call fit, or use a new estimator")


def _refuse_other_form(estimator: Any, warm: Posterior, features: int) -> None:
    """Refuse a warm start with another kind of mixture."""
    process = estimator.weight_concentration_prior_type == "dirichlet_process"
    checks = {
        "n_components": len(warm.means) == estimator.n_components,
        "covariance_type": estimator._covariance_type == estimator.covariance_type,
        "weight_concentration_prior_type": isinstance(warm.concentration, StickBreaking) == process,
        "the number of features": warm.features == features,
    }
    for name, is_equal in checks.items():
        if not is_equal:
            raise InputError(f"{name} has changed since the last fit: go on from it no more, and set warm_start=False")

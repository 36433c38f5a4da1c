"""BayesianGaussianMixture: scikit-learn's estimator on gpuvgm's engines."""

from __future__ import annotations

import logging
import warnings
from concurrent.futures import Executor
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions

from gpuvgm.arrays import Array, to_numpy
from gpuvgm.config import SUMMARY_ROWS, Algorithm
from gpuvgm.engines import ENGINES, EngineName
from gpuvgm.errors import InputError
from gpuvgm.execution.local import LocalExecutor
from gpuvgm.mixture.accumulate import moments_of
from gpuvgm.mixture.em import Narrator, Stopping
from gpuvgm.mixture.fits import (
    Estimate,
    Problem,
    best_of_one,
    best_of_several,
    fit_on_rows,
    fit_on_summary,
    fit_several,
)
from gpuvgm.mixture.fitted import FittedMixture
from gpuvgm.mixture.incremental import SeenBlocks, SeenColumn
from gpuvgm.mixture.initialization import is_far_from_zero
from gpuvgm.mixture.posterior import ConcentrationType, StickBreaking
from gpuvgm.mixture.posterior_nd import FORMS, CovarianceType, GaussianPosterior, GaussianPrior
from gpuvgm.mixture.rows import Moments, Rows, host_floats, hosted, training_rows
from gpuvgm.summary.grid import Floats

# parameters that may not change between calls of partial_fit
_KEPT = (
    "n_components", "covariance_type", "weight_concentration_prior_type", "weight_concentration_prior",
    "mean_precision_prior", "mean_prior", "degrees_of_freedom_prior", "covariance_prior", "reg_covar", "init_params",
)  # fmt: skip
MixtureEffort = Literal["research", "best"]
_LOG = logging.getLogger("gpuvgm")


class BayesianGaussianMixture(FittedMixture):
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
        What is printed, and how often.
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
        What computes: C++ on processors, a GPU, or NumPy. "auto" takes the GPU, if it is usable, for arrays that lie on
        it; else the processor.
    precision : {"float64"}
        Arithmetic; only float64. Rows of float32 are converted exactly.
    executor : gpuvgm.execution.local.LocalExecutor, optional
        Threads; by default all cores.

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
        "precision": [StrOptions({"float64"})],
        "executor": [None, LocalExecutor],
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
        precision: Literal["float64"] = "float64",
        executor: LocalExecutor | None = None,
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
        self.precision = precision
        self.executor = executor

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> BayesianGaussianMixture:
        """Fit the mixture.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows: an array, a data frame or a list. Memory maps, arrays on disk and Dask frames are read block by block.
            Arrays on a device and cuDF frames stay there.
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
        _refuse_precision(self)
        self._validate_params()
        rows = training_rows(self, X, sample_weight)
        _refuse_summary(self, rows.features)
        _refuse_few(self, rows)
        with self._pool(rows) as pool:
            problem = self._problem(rows, pool, moments_of(self._engine(rows), rows, pool))
            estimate = self._estimate(problem)
        self._keep(estimate, problem.prior)
        self._seen = None
        if not self.converged_ and self.max_iter > 0:
            warnings.warn(
                "Best performing initialization did not converge. Try different init parameters, or increase max_iter, "
                "tol, or check for degenerate data.",
                ConvergenceWarning,
                stacklevel=2,
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
        _refuse_precision(self)
        self._validate_params()
        seen: Any = getattr(self, "_seen", None)
        if seen is not None:
            _refuse_changes(self, getattr(self, "_seen_with", {}))
        rows = training_rows(self, X, sample_weight, reset=seen is None)
        _refuse_summary(self, rows.features)
        if seen is None:
            _refuse_few(self, rows)
        elif rows.total == 0:
            return self
        with self._pool(rows) as pool:
            if seen is None:
                problem = replace(self._problem(rows, pool, moments_of(self._engine(rows), rows, pool)), warm=None)
                seen = SeenColumn.begin(problem) if rows.features == 1 else SeenBlocks.begin(problem)
            seen = seen.add(self._engine(rows), rows, pool)
            moments = seen.moments()
            problem = replace(self._problem(rows, pool, moments), warm=None)
            problem = problem if rows.features == 1 else replace(problem, prior=seen.prior)
            estimate = seen.estimate(problem, best=self.effort == "best")
        self._keep(estimate, problem.prior)
        self._seen, self._seen_with = seen, _kept_settings(self)
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

    def _problem(self, rows: Rows, pool: Executor | None, moments: Moments) -> Problem:
        warm = self._posterior() if self.warm_start and hasattr(self, "converged_") else None
        if warm is not None:
            _refuse_other_form(self, warm, rows.features)
        tolerance = self.tol if self.tol_per_row is None else self.tol_per_row * moments.total
        return Problem(
            engine=self._engine(rows),
            pool=pool,
            rows=rows,
            moments=moments,
            prior=_checked_prior(self, moments),
            components=self.n_components,
            init=_init_of(self, rows.features),
            starts=self.n_init,
            random=check_random_state(self.random_state),
            stopping=Stopping(self.max_iter, tolerance, -np.inf if warm is None else self.lower_bound_),
            warm=warm,
            narrator=Narrator(self.verbose, self.verbose_interval),
        )

    def _estimate(self, problem: Problem) -> Estimate:
        best = self.effort == "best" and problem.stopping.max_iter > 0
        if problem.rows.features > 1:
            return best_of_several(problem) if best else fit_several(problem)
        summary = self.algorithm == "summary" or (self.algorithm == "auto" and problem.rows.count >= SUMMARY_ROWS)
        if best:
            return best_of_one(problem, exact=not summary)
        return fit_on_summary(problem) if summary else fit_on_rows(problem)

    def _keep_prior(self, prior: GaussianPrior) -> None:
        self.weight_concentration_prior_ = prior.weight_concentration
        self.mean_precision_prior_ = prior.mean_precision
        self.mean_prior_ = prior.mean
        self.degrees_of_freedom_prior_ = prior.degrees_of_freedom
        self.covariance_prior_ = prior.covariance if prior.covariance.ndim else float(prior.covariance)

    def _keep(self, estimate: Estimate, prior: GaussianPrior) -> None:
        self._keep_prior(prior)
        self._keep_posterior(estimate.posterior)
        self.converged_ = estimate.converged
        self.n_iter_ = len(estimate.bounds)
        self.lower_bounds_ = list(estimate.bounds)
        self.lower_bound_ = estimate.bounds[-1] if estimate.bounds else -np.inf
        self.fit_error_ = estimate.error
        self.explanation_ = estimate.explanation
        if estimate.algorithm == "summary":
            _LOG.info("fitted on a summary of the rows, within %.1e sigma of the exact fit", estimate.error)

    def _check_parameters(self, X: Any) -> None:
        """Set the priors for these rows; scikit-learn's own tests look at them before a fit."""
        self._keep_prior(self._problem_of(X).prior)

    def _initialize_parameters(self, X: Any, random_state: np.random.RandomState) -> None:
        """Set the parameters that a fit starts from; scikit-learn's own tests look at them."""
        problem = replace(self._problem_of(X), random=random_state)
        self._keep(self._estimate(replace(problem, starts=1, stopping=Stopping(0, 0.0))), problem.prior)

    def _problem_of(self, x: Any) -> Problem:
        rows = training_rows(self, x, None)
        return self._problem(rows, None, moments_of(self._engine(rows), rows))


def _checked_prior(estimator: Any, moments: Moments) -> GaussianPrior:
    """Prior of a fit, in the rows' own units.

    Parameters
    ----------
    estimator : BayesianGaussianMixture
        Its parameters.
    moments : Moments
        Moments of the rows.

    Raises
    ------
    ValueError
        For a prior of the wrong shape, or one that is no covariance.
    """
    features = len(moments.mean)
    concentration, precision = estimator.weight_concentration_prior, estimator.mean_precision_prior
    return GaussianPrior(
        covariance_type=estimator.covariance_type,
        concentration_type=estimator.weight_concentration_prior_type,
        weight_concentration=1.0 / estimator.n_components if concentration is None else concentration,
        mean=moments.mean if estimator.mean_prior is None else _given(estimator.mean_prior, (features,), "means"),
        mean_precision=1.0 if precision is None else precision,
        degrees_of_freedom=_degrees_of_freedom(estimator.degrees_of_freedom_prior, features),
        covariance=_covariance(
            estimator.covariance_prior, estimator.covariance_type, moments.scatter / (moments.total - 1)
        ),
        reg_covar=estimator.reg_covar,
        origin=moments.mean if is_far_from_zero(moments.mean, moments.deviations) else np.zeros(features),
    )


def _degrees_of_freedom(given: float | None, features: int) -> float:
    if given is None:
        return features
    if given <= features - 1.0:
        raise ValueError(
            f"The parameter 'degrees_of_freedom_prior' should be greater than {features - 1}, but got {given:.3f}."
        )
    return given


def _covariance(given: Any, covariance_type: CovarianceType, of_rows: Floats) -> Floats:
    features, given = len(of_rows), hosted("covariance_prior", given)
    if given is None:
        variances = np.diagonal(of_rows).copy()
        forms = {"diag": variances, "spherical": np.mean(variances)}
        return np.asarray(forms.get(covariance_type, of_rows))
    if covariance_type == "spherical":
        return np.asarray(given, dtype=np.float64)
    diagonal = FORMS[covariance_type].diagonal
    shape = (features,) if diagonal else (features, features)
    covariance = _given(given, shape, f"{covariance_type} covariance_prior")
    if diagonal:
        if np.any(covariance <= 0):
            raise ValueError(f"'{covariance_type} precision' should be positive")
    elif not np.allclose(covariance, covariance.T) or np.any(np.linalg.eigvalsh(covariance) <= 0):
        raise ValueError(f"'{covariance_type} precision' should be symmetric, positive-definite")
    return covariance


def _given(values: Any, shape: tuple[int, ...], name: str) -> Floats:
    from sklearn.utils import check_array

    array: Floats = check_array(hosted(name, values), dtype=[np.float64, np.float32], ensure_2d=False)
    if array.shape != shape:
        raise ValueError(f"The parameter '{name}' should have the shape of {shape}, but got {array.shape}")
    return array


def _refuse_few(estimator: Any, rows: Rows) -> None:
    """Refuse fewer rows than components; a row with a weight stands for so many."""
    positive = rows.count if rows.weight is None else int(np.count_nonzero(to_numpy(rows.weight)))
    most = max(positive, int(rows.total))
    if most < estimator.n_components:
        raise ValueError(
            f"Expected n_samples >= n_components but got n_components = {estimator.n_components}, n_samples = {most}"
        )


def _refuse_summary(estimator: Any, features: int) -> None:
    """Refuse the summary for several features."""
    if estimator.algorithm == "summary" and features > 1:
        raise InputError(f'algorithm="summary" needs one feature, but X has {features}; use "exact" or "auto"')


def _refuse_precision(estimator: Any) -> None:
    """Refuse float32 arithmetic, with the reason."""
    if isinstance(estimator.precision, str) and estimator.precision == "float32":
        raise InputError(
            'precision="float32" is for transform of TableTransformer only: a fit sums over rows, which takes float64; '
            "rows of float32 are widened exactly"
        )


def _kept_settings(estimator: Any) -> dict[str, Any]:
    """Parameters that later calls of partial_fit are compared with."""
    return {name: getattr(estimator, name) for name in _KEPT}


def _refuse_changes(estimator: Any, before: dict[str, Any]) -> None:
    """Refuse other parameters than those that rows seen before were taken in with."""
    for name, value in before.items():
        now = getattr(estimator, name)
        if now is not value and not np.array_equal(now, value):
            raise InputError(f"{name} has changed since the first partial_fit: call fit, or use a new estimator")


def _refuse_other_form(estimator: Any, warm: GaussianPosterior, features: int) -> None:
    """Refuse a warm start with another kind of mixture."""
    process = estimator.weight_concentration_prior_type == "dirichlet_process"
    same = {
        "n_components": warm.means.shape[0] == estimator.n_components,
        "covariance_type": warm.covariance_type == estimator.covariance_type,
        "weight_concentration_prior_type": isinstance(warm.concentration, StickBreaking) == process,
        "the number of features": warm.means.shape[1] == features,
    }
    for name, kept in same.items():
        if not kept:
            raise InputError(f"{name} has changed since the last fit: go on from it no more, and set warm_start=False")


def _init_of(estimator: Any, features: int) -> str | Floats:
    """How to start: the name of a method, or centres in float64."""
    if isinstance(estimator.init_params, str):
        return estimator.init_params
    centres = host_floats(estimator.init_params)
    if centres.shape != (estimator.n_components, features):
        raise InputError(
            f"init_params holds centres of shape {centres.shape}, but n_components and the features of X ask for "
            f"{(estimator.n_components, features)}"
        )
    if not np.all(np.isfinite(centres)):
        raise InputError("init_params holds centres that are not finite")
    return centres

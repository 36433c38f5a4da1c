"""Prior and posterior of a mixture of Gaussians of several features, for the four forms of covariance.

Formulas: Bishop 2006 §10.2, in the notation and with the constants of scikit-learn's `BayesianGaussianMixture`; the
weights are in `posterior`. At the end, the conversions between this form and the K-vectors of one feature.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gpuvgm.engines.multivariate import GaussianTable
from gpuvgm.mixture.posterior import CONCENTRATIONS, Concentration, ConcentrationType, Posterior, Prior
from gpuvgm.mixture.rows import Coordinates
from gpuvgm.mixture.special import LOG_2, LOG_2_PI, digamma, gammaln, log
from gpuvgm.mixture.statistics import LEAST_COUNT, ComponentStatistics, GaussianStatistics
from gpuvgm.summary.grid import Frame

Array = NDArray[np.float64]
ILL_DEFINED = (
    "Fitting the mixture model failed because some components have ill-defined empirical covariance (for instance "
    "caused by singleton or collapsed samples). Try to decrease the number of components, increase reg_covar, or "
    "scale the input data."
)
CovarianceType = Literal["full", "tied", "diag", "spherical"]


def _each(values: Array) -> Array:
    return values


def _mean_of_components(values: Array) -> Array:
    return np.asarray(np.mean(values, axis=0))


def _mean_of_features(values: Array) -> Array:
    return np.asarray(np.mean(values, axis=1))


@dataclass(frozen=True, slots=True)
class Form:
    """What distinguishes a form of covariance: matrices or their diagonals, and what components or features share."""

    diagonal: bool
    share: Callable[[Array], Array]
    tied: bool = False


FORMS: dict[CovarianceType, Form] = {
    "full": Form(diagonal=False, share=_each),
    "tied": Form(diagonal=False, share=_mean_of_components, tied=True),
    "diag": Form(diagonal=True, share=_each),
    "spherical": Form(diagonal=True, share=_mean_of_features),
}


@dataclass(frozen=True, slots=True)
class GaussianPrior:
    """Prior of the mixture.

    Parameters
    ----------
    covariance_type : {"full", "tied", "diag", "spherical"}
        Form of the covariances.
    concentration_type : {"dirichlet_process", "dirichlet_distribution"}
        Prior of the weights.
    weight_concentration : float
        Concentration of the weights.
    mean : ndarray of shape (D,)
        Prior of a component's mean, in the coordinates of the statistics.
    mean_precision, degrees_of_freedom : float
        Strength of the priors of mean and precision.
    covariance : ndarray
        Wishart prior: (D, D) for "full" and "tied", (D,) for "diag", () for "spherical".
    reg_covar : float
        Added to the diagonal of every covariance.
    origin : ndarray of shape (D,)
        Where a component without rows lies before its prior moves it: at 0, as in scikit-learn.
    """

    covariance_type: CovarianceType
    concentration_type: ConcentrationType
    weight_concentration: float
    mean: Array
    mean_precision: float
    degrees_of_freedom: float
    covariance: Array
    reg_covar: float
    origin: Array

    def within(self, coordinates: Coordinates) -> GaussianPrior:
        """The same prior for rows in these coordinates instead of their own."""
        return replace(self, mean=coordinates.apply(self.mean), origin=coordinates.apply(self.origin))

    @property
    def form(self) -> Form:
        """The form of covariance."""
        return FORMS[self.covariance_type]

    def update(self, statistics: GaussianStatistics) -> GaussianPosterior:
        """Posterior given the sums of an E-step (the M-step).

        Raises
        ------
        ValueError
            Where a covariance is not positive definite.
        """
        nk = statistics.counts + LEAST_COUNT
        shift = (statistics.first + LEAST_COUNT * (self.origin - statistics.reference)) / nk[:, None]
        xk = statistics.reference + shift
        mean_precision = self.mean_precision + nk
        own = self._scatter(statistics, shift, nk, xk - self.mean)
        shared = np.full(1, np.add.accumulate(nk)[-1] / len(nk)) if self.form.tied else nk
        degrees_of_freedom = self.degrees_of_freedom + shared
        summed = self.covariance + self.form.share(own)
        dof = degrees_of_freedom.reshape((-1,) + (1,) * (summed.ndim - 1)) if not self.form.tied else degrees_of_freedom
        covariances = summed / dof
        return GaussianPosterior(
            covariance_type=self.covariance_type,
            concentration=CONCENTRATIONS[self.concentration_type](self.weight_concentration, nk),
            mean_precision=mean_precision,
            means=(self.mean_precision * self.mean + nk[:, None] * xk) / mean_precision[:, None],
            degrees_of_freedom=degrees_of_freedom[0] if self.form.tied else degrees_of_freedom,
            covariances=covariances,
            precisions_cholesky=precision_cholesky(covariances, self.covariance_type),
        )

    def _scatter(self, statistics: GaussianStatistics, shift: Array, nk: Array, from_prior: Array) -> Array:
        """Scatter about the components' own means, with the floor and what lies between these and the prior's mean."""
        weight = nk * (self.mean_precision / (self.mean_precision + nk))
        floor = self.reg_covar * nk
        if self.form.diagonal:
            spread = statistics.second - shift * (2 * statistics.first - shift * statistics.counts[:, None])
            return np.asarray(np.maximum(spread, 0.0) + floor[:, None] + weight[:, None] * from_prior**2)
        cross = statistics.first[:, :, None] * shift[:, None, :]
        own = statistics.second - cross - np.swapaxes(cross, 1, 2)
        own += statistics.counts[:, None, None] * _outer(shift) + weight[:, None, None] * _outer(from_prior)
        diagonal = np.arange(own.shape[1])
        own[:, diagonal, diagonal] += floor[:, None]
        return np.asarray(own)


@dataclass(frozen=True, slots=True)
class GaussianPosterior:
    """Posterior of the mixture, K components of D features, shaped as scikit-learn's attributes.

    Parameters
    ----------
    covariance_type : {"full", "tied", "diag", "spherical"}
        Form of the covariances.
    concentration : StickBreaking or Dirichlet
        Posterior of the weights.
    mean_precision : ndarray of shape (K,)
        Strength of the means.
    means : ndarray of shape (K, D)
        Means.
    degrees_of_freedom : ndarray of shape (K,), or float for "tied"
        Degrees of freedom of the precisions.
    covariances, precisions_cholesky : ndarray
        Expected covariances, and the Cholesky factors P of their inverses P P^T (the reciprocals of the standard
        deviations for "diag" and "spherical"): (K, D, D), (D, D), (K, D) or (K,).
    """

    covariance_type: CovarianceType
    concentration: Concentration
    mean_precision: Array
    means: Array
    degrees_of_freedom: Array
    covariances: Array
    precisions_cholesky: Array

    @property
    def weights(self) -> Array:
        """Expected weights; they sum to one."""
        return self.concentration.weights

    @property
    def counts(self) -> Array:
        """Rows of each component."""
        return self.concentration.counts

    @property
    def precisions(self) -> Array:
        """Expected precisions, the inverses of `covariances`."""
        factors = self.precisions_cholesky
        diagonal = FORMS[self.covariance_type].diagonal
        return np.asarray(factors**2 if diagonal else factors @ np.swapaxes(factors, -1, -2))

    def within(self, coordinates: Coordinates) -> GaussianPosterior:
        """The same mixture for rows in these coordinates instead of their own."""
        return replace(self, means=coordinates.apply(self.means))

    def outside(self, coordinates: Coordinates) -> GaussianPosterior:
        """The same mixture in the rows' own coordinates."""
        return replace(self, means=self.means + coordinates.centre)

    def table(self, centre: Array) -> GaussianTable:
        """Parameters of the row formulas, for rows from which `centre` is subtracted first."""
        components, features = self.means.shape
        factors = self.precisions_cholesky
        if self.covariance_type == "spherical":
            factors = np.repeat(factors[:, None], features, axis=1)
        elif self.covariance_type == "tied":
            factors = np.broadcast_to(factors, (components, features, features))
        return GaussianTable(centre, self.means, np.ascontiguousarray(factors), self.log_coefficients())

    def log_coefficients(self) -> Array:
        """Part of the expected log density of a component that does not depend on the row, weight included."""
        features = self.means.shape[1]
        log_precision = features * LOG_2 + np.sum(_each_of(digamma, self._half_degrees()), axis=0)
        return np.asarray(
            self.concentration.log_weights()
            - 0.5 * features * LOG_2_PI
            + self._log_determinants()
            + 0.5 * (log_precision - features / self.mean_precision)
        )

    def lower_bound(self, entropy: float) -> float:
        """Evidence lower bound up to a constant, as scikit-learn computes it.

        Parameters
        ----------
        entropy : float
            Entropy of the responsibilities that this posterior was updated from.
        """
        components, features = self.means.shape
        dof = np.atleast_1d(self.degrees_of_freedom)
        gamma = np.sum(_each_of(gammaln, self._half_degrees()), axis=0)
        log_wishart = -(dof * self._log_determinants() + 0.5 * features * LOG_2 * dof + gamma)
        terms = self.concentration.log_norms() - 0.5 * features * log(self.mean_precision)
        repeats = components / len(dof)
        return float(entropy + np.sum(terms) - repeats * np.sum(log_wishart))

    def _half_degrees(self) -> Array:
        features = self.means.shape[1]
        return np.asarray(0.5 * (np.atleast_1d(self.degrees_of_freedom) - np.arange(features)[:, None]))

    def _log_determinants(self) -> Array:
        """Logarithms of the determinants of the factors, as of the precisions before their division by the degrees."""
        features = self.means.shape[1]
        factors = np.atleast_1d(self.precisions_cholesky)
        if self.covariance_type == "spherical":
            own = features * log(factors)
        elif self.covariance_type == "diag":
            own = np.sum(_each_of(log, factors), axis=1)
        else:
            own = np.atleast_1d(np.sum(_each_of(log, np.diagonal(factors, axis1=-2, axis2=-1)), axis=-1))
        return np.asarray(own - 0.5 * features * log(np.atleast_1d(self.degrees_of_freedom)))


def precision_cholesky(covariances: Array, covariance_type: CovarianceType) -> Array:
    """Upper triangular factors P with P P^T the inverse of the covariance; reciprocal roots of variances.

    Raises
    ------
    ValueError
        Where a covariance is not positive definite.
    """
    if FORMS[covariance_type].diagonal:
        if not np.all(covariances > 0):
            raise ValueError(ILL_DEFINED)
        return np.asarray(1.0 / np.sqrt(covariances))
    if not np.all(np.isfinite(covariances)):
        raise ValueError(ILL_DEFINED)
    try:
        lower = np.asarray(np.linalg.cholesky(covariances), dtype=np.float64)
    except np.linalg.LinAlgError as problem:
        raise ValueError(ILL_DEFINED) from problem
    return np.ascontiguousarray(np.swapaxes(_inverse_of_lower(lower), -1, -2))


def _inverse_of_lower(lower: Array) -> Array:
    """Inverses of lower triangular matrices, row by row for all of them together.

    LAPACK would be asked once a matrix, and on busy machines its threads cost a hundred times the work.
    """
    inverse = np.zeros_like(lower)
    for i in range(lower.shape[-1]):
        row = -np.sum(lower[..., i, :i, None] * inverse[..., :i, :], axis=-2)
        row[..., i] += 1.0
        inverse[..., i, :] = row / lower[..., i, i, None]
    return inverse


def _each_of(function: Callable[[Array], Array], x: Array) -> Array:
    """A function of vectors, of all numbers of a matrix."""
    return function(np.ravel(x)).reshape(np.shape(x))


def _outer(vectors: Array) -> Array:
    return np.asarray(vectors[:, :, None] * vectors[:, None, :])


def coordinates_of(frame: Frame) -> Coordinates:
    """A column's frame as coordinates of rows with one feature."""
    return Coordinates(np.array([frame.centre]))


def one_prior(prior: GaussianPrior) -> Prior:
    """Prior of one feature; a shared variance is the only form of covariance that differs there."""
    return Prior(
        weight_concentration=prior.weight_concentration,
        mean=float(prior.mean[0]),
        mean_precision=prior.mean_precision,
        covariance=float(np.ravel(prior.covariance)[0]),
        degrees_of_freedom=prior.degrees_of_freedom,
        reg_covar=prior.reg_covar,
        concentration_type=prior.concentration_type,
        tied=prior.form.tied,
        origin=float(prior.origin[0]),
    )


def one_posterior(posterior: GaussianPosterior) -> Posterior:
    """Posterior of one feature, K-vectors throughout."""
    k = len(posterior.means)
    return Posterior(
        concentration=posterior.concentration,
        mean_precision=posterior.mean_precision,
        means=posterior.means[:, 0],
        degrees_of_freedom=np.full(k, posterior.degrees_of_freedom),
        covariances=np.full(k, np.ravel(posterior.covariances)),
    )


def from_one(posterior: Posterior, covariance_type: CovarianceType) -> GaussianPosterior:
    """The way back from `one_posterior`."""
    variances = posterior.covariances
    shapes = {"full": variances[:, None, None], "tied": variances[:1, None], "diag": variances[:, None]}
    covariances = shapes.get(covariance_type, variances)
    degrees = posterior.degrees_of_freedom
    return GaussianPosterior(
        covariance_type=covariance_type,
        concentration=posterior.concentration,
        mean_precision=posterior.mean_precision,
        means=posterior.means[:, None],
        degrees_of_freedom=degrees[0] if covariance_type == "tied" else degrees,
        covariances=covariances,
        precisions_cholesky=precision_cholesky(covariances, covariance_type),
    )


def flat_statistics(statistics: GaussianStatistics) -> ComponentStatistics:
    """Statistics of one feature as K-vectors."""
    k = len(statistics.counts)
    return ComponentStatistics(
        statistics.reference.reshape(k),
        statistics.counts,
        statistics.first.reshape(k),
        statistics.second.reshape(k),
        statistics.entropy,
    )

"""Prior and posterior of a mixture of Gaussians: update, expectations, lower bound.

Formulas: Bishop 2006 §10.2 for the Gaussian-Wishart part, in the notation and with the constants of scikit-learn's
`BayesianGaussianMixture`; for the weights Blei & Jordan 2006 (stick-breaking form of the Dirichlet process) and Bishop
2006 §10.2 (Dirichlet distribution). Arrays of one feature have no axis of features; operations on them, and their
order, are those of `vgm_em.cuh`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from gpuvgm.config import FitConfig
from gpuvgm.engines import GaussianTable, KernelTable, PriorTable
from gpuvgm.mixture.special import LOG_2, LOG_2_PI, Vector, digamma, gammaln, log
from gpuvgm.mixture.statistics import LEAST_COUNT, Statistics, per_component, products
from gpuvgm.summary import Floats, Frame

LARGE = 1e7
ILL_DEFINED = (
    "Fitting the mixture model failed because some components have ill-defined empirical covariance (for instance "
    "caused by singleton or collapsed samples). Try to decrease the number of components, increase reg_covar, or "
    "scale the input data."
)
ConcentrationType = Literal["dirichlet_process", "dirichlet_distribution"]
CovarianceType = Literal["full", "tied", "diag", "spherical"]
MATRICES = ("full", "tied")  # the forms of covariance that are matrices, with several features
OWN_FRAME = Frame(1.0, 0.0)  # of rows in the posterior's own coordinates, such as cells


@dataclass(frozen=True, slots=True)
class StickBreaking:
    """Weights broken off a stick one after the other: component k takes the share v_k of what is left.

    Parameters
    ----------
    sticks : ndarray of shape (2, K)
        Beta parameters of the shares v_k.
    """

    sticks: Vector

    @classmethod
    def of(cls, prior: float, counts: Vector) -> StickBreaking:
        """Posterior from the prior's concentration and the rows of each component."""
        later = np.concatenate((np.add.accumulate(counts[::-1])[-2::-1], [0.0]))
        return cls(np.stack((1.0 + counts, prior + later)))

    @property
    def counts(self) -> Vector:
        """Rows of each component."""
        return np.asarray(self.sticks[0] - 1.0)

    @property
    def weights(self) -> Vector:
        """Expected weights, normalised to sum to one."""
        a, b = self.sticks
        remainder = np.multiply.accumulate(np.concatenate(([1.0], (b / (a + b))[:-1])))
        weights = a / (a + b) * remainder
        return np.asarray(weights / np.add.accumulate(weights)[-1])

    def log_weights(self) -> Vector:
        """Expected logarithms of the weights."""
        a, b = self.sticks
        k = len(a)
        psi = digamma(np.concatenate((a, b, a + b)))
        psi_a, psi_b, psi_ab = psi[:k], psi[k : 2 * k], psi[2 * k :]
        log_rest = np.concatenate(([0.0], np.add.accumulate(psi_b - psi_ab)[:-1]))
        return np.asarray(psi_a - psi_ab + log_rest)

    def log_norms(self) -> Vector:
        """Logarithms of the Beta functions, the weights' terms of the lower bound."""
        a, b = self.sticks
        k = len(a)
        gamma = gammaln(np.concatenate((a, b, a + b)))
        is_large = b > LARGE  # there the last two would cancel
        return np.asarray(
            gamma[:k]
            + np.where(is_large, -_rise_of_gammaln(np.where(is_large, b, LARGE), a), gamma[k : 2 * k] - gamma[2 * k :])
        )


@dataclass(frozen=True, slots=True)
class Dirichlet:
    """Weights with a Dirichlet distribution.

    Parameters
    ----------
    concentration : ndarray of shape (K,)
        Parameters of the distribution.
    prior : float
        Parameter of the prior for each component.
    """

    concentration: Vector
    prior: float

    @classmethod
    def of(cls, prior: float, counts: Vector) -> Dirichlet:
        """Posterior from the prior's concentration and the rows of each component."""
        return cls(prior + counts, prior)

    @property
    def counts(self) -> Vector:
        """Rows of each component."""
        return np.asarray(self.concentration - self.prior)

    @property
    def weights(self) -> Vector:
        """Expected weights."""
        return np.asarray(self.concentration / np.add.accumulate(self.concentration)[-1])

    def log_weights(self) -> Vector:
        """Expected logarithms of the weights."""
        total = np.add.accumulate(self.concentration)[-1:]
        psi = digamma(np.concatenate((self.concentration, total)))
        return np.asarray(psi[:-1] - psi[-1])

    def log_norms(self) -> Vector:
        """Terms of the logarithm of the Dirichlet's normaliser, which are those of the lower bound."""
        gamma = gammaln(np.concatenate((self.concentration, np.add.accumulate(self.concentration)[-1:])))
        return np.asarray(gamma[:-1] - gamma[-1] / len(self.concentration))


def _rise_of_gammaln(b: Vector, a: Vector) -> Vector:
    """Logarithm of gamma(a + b) / gamma(b) for large b, by Stirling's formula; log1p by its artanh series."""
    t = a / b
    f = t / (2 + t)
    q = f * f
    log1p = np.where(t < 0.1, 2 * f * (1 + q * (1 / 3 + q * (1 / 5 + q * (1 / 7 + q * (1 / 9 + q / 11))))), log(1 + t))
    return np.asarray(a * log(a + b) - a + (b - 0.5) * log1p)


Concentration = StickBreaking | Dirichlet
CONCENTRATIONS: dict[ConcentrationType, Callable[[float, Vector], Concentration]] = {
    "dirichlet_process": StickBreaking.of,
    "dirichlet_distribution": Dirichlet.of,
}


@dataclass(frozen=True, slots=True)
class Prior:
    """Prior of the mixture in the coordinates of the rows.

    Parameters
    ----------
    weight_concentration : float
        Concentration of the weights.
    mean : float or ndarray of shape (D,)
        Prior of a component's mean.
    mean_precision : float
        Strength of that prior.
    covariance : float or ndarray
        Wishart prior: (D, D) for "full" and "tied", (D,) for "diag", a number for "spherical" and for one feature.
    degrees_of_freedom : float
        Strength of that prior.
    reg_covar : float
        Added to the diagonal of every covariance.
    least_covariance : float
        No component's expected variance is less; of one feature.
    concentration_type : {"dirichlet_process", "dirichlet_distribution"}
        Prior of the weights.
    covariance_type : {"full", "tied", "diag", "spherical"}
        What components and features share; of one feature all but "tied" are the same.
    origin : float or ndarray of shape (D,), optional
        Where a component without rows lies before its prior moves it; where it was by default.
    """

    weight_concentration: float
    mean: float | Floats
    mean_precision: float
    covariance: float | Floats
    degrees_of_freedom: float
    reg_covar: float
    least_covariance: float = 0.0
    concentration_type: ConcentrationType = "dirichlet_process"
    covariance_type: CovarianceType = "full"
    origin: float | Floats | None = None

    @classmethod
    def of_column(
        cls, mean: float, variance: float, frame: Frame, config: FitConfig, least_variance: float = 0.0
    ) -> Prior:
        """Prior for a column, in the frame's coordinates: with effort="research" scikit-learn's default.

        Parameters
        ----------
        mean, variance : float
            Mean and variance (ddof = 1; 1 for a single row) of the rows, in the frame's coordinates.
        frame : Frame
            Coordinates; `reg_covar` is given in the column's own units and scaled along.
        config : FitConfig
            Concentration, `prior_share`, `reg_covar` and `standardize`.
        least_variance : float
            No component's variance is less, in the square of the column's own units.
        """
        small = np.sqrt(variance) < frame.scale
        standardize = (small if config.standardize == "auto" else config.standardize) and variance > 0
        if variance == 0 and frame.scale != 1:  # a constant of extreme size: any floor near 1 does
            return cls(config.concentration, mean, 1.0, 0.0, 1.0, config.reg_covar)
        return cls(
            weight_concentration=config.concentration,
            mean=mean,
            mean_precision=1.0,
            covariance=config.prior_share * variance,
            degrees_of_freedom=1.0,
            reg_covar=config.reg_covar * (variance if standardize else frame.scale * frame.scale),
            least_covariance=float(np.sqrt(least_variance) * frame.scale) ** 2,
        )

    def evidence(self, bound: float, components: int) -> float:
        """Lower bound plus the terms in `mean_precision` that scikit-learn leaves out."""
        return bound + 0.5 * components * np.size(self.mean) * float(np.log(self.mean_precision))

    def within(self, centre: float | Floats) -> Prior:
        """The prior for rows from which a centre is subtracted."""
        return replace(self, mean=self.mean - centre, origin=None if self.origin is None else self.origin - centre)

    def update(self, statistics: Statistics) -> Posterior:
        """Posterior given the sums of an E-step (the M-step).

        Raises
        ------
        ValueError
            Where a covariance of several features is not positive definite.
        """
        full, reference, second = statistics.full, statistics.reference, statistics.second
        nk = statistics.counts + LEAST_COUNT
        rows = per_component(nk, reference)
        origin = reference if self.origin is None else self.origin
        # The guard counts as rows at the origin: scikit-learn divides sums about it by guarded counts.
        shift = (statistics.first + LEAST_COUNT * (origin - reference)) / rows
        shift_sums = shift * per_component(statistics.counts, shift)
        xk = reference + shift
        spread = second - products(shift, 2 * statistics.first - shift_sums, full=full)
        floor = self.reg_covar * np.eye(second.shape[1]) if full else self.reg_covar
        # A sum of squares about the mean may be negative by rounding.
        sk = (spread if full else np.maximum(spread, 0.0)) / per_component(nk, spread) + floor
        mean_precision = self.mean_precision + nk
        strength = per_component(nk * (self.mean_precision / mean_precision), second)
        mean_scatter = strength * products(xk - self.mean, xk - self.mean, full=full)
        degrees_of_freedom = self.degrees_of_freedom + self._pool(nk)
        scatter = self._pool(per_component(nk, sk) * sk + mean_scatter)
        covariances = (self.covariance + scatter) / per_component(degrees_of_freedom, scatter)
        slack = 0.0
        if self.least_covariance:
            unbounded, covariances = covariances, np.maximum(covariances, self.least_covariance)
            slack = float(np.add.accumulate(0.5 * degrees_of_freedom * (1 - unbounded / covariances))[-1])
        return Posterior(
            concentration=CONCENTRATIONS[self.concentration_type](self.weight_concentration, nk),
            mean_precision=mean_precision,
            means=(self.mean_precision * self.mean + rows * xk) / per_component(mean_precision, xk),
            degrees_of_freedom=degrees_of_freedom,
            covariances=covariances,
            slack=slack,
            factors=None if covariances.ndim == 1 else precision_cholesky(covariances),
        )

    def table(self) -> PriorTable:
        """The prior of one feature as an engine's EM takes it."""
        return PriorTable(
            self.weight_concentration,
            float(self.mean),
            self.mean_precision,
            float(self.covariance),
            self.degrees_of_freedom,
            self.reg_covar,
            self.least_covariance,
            None if self.origin is None else float(self.origin),
            self.concentration_type == "dirichlet_distribution",
            self.covariance_type == "tied",
        )

    def posterior(self, arrays: Sequence[Vector]) -> Posterior:
        """A posterior from the arrays of an engine's EM; see `gpuvgm.engines.base.EMLoop.posterior`."""
        a, b, mean_precision, means, degrees_of_freedom, covariances = arrays
        dirichlet = self.concentration_type == "dirichlet_distribution"
        weights = Dirichlet(a, self.weight_concentration) if dirichlet else StickBreaking(np.stack((a, b)))
        return Posterior(weights, mean_precision, means, degrees_of_freedom, covariances)

    def _pool(self, values: Floats) -> Floats:
        """Sum of each component: its own, or an equal part of the sum that components or features share."""
        if self.covariance_type == "tied":
            return np.full_like(values, np.add.accumulate(values)[-1] / len(values))
        if self.covariance_type == "spherical" and values.ndim == 2:
            return np.repeat(np.mean(values, axis=1, keepdims=True), values.shape[1], axis=1)
        return values


@dataclass(frozen=True, slots=True)
class Posterior:
    """Posterior of the mixture, K components of D features.

    Parameters
    ----------
    concentration : StickBreaking or Dirichlet
        Posterior of the weights.
    mean_precision, degrees_of_freedom : ndarray of shape (K,)
        Strengths of the means and of the precisions.
    means : ndarray of shape (K,) or (K, D)
        Means.
    covariances : ndarray of shape (K,), (K, D) or (K, D, D)
        Expected covariances as scikit-learn reports them: of one feature, of each feature, or matrices.
    slack : float
        What the formula of the bound leaves out where the prior holds up expected covariances: with n degrees of
        freedom half of n (1 - c / held), the difference of n / 2 and the expected sum of squares; 0 elsewhere.
    factors : ndarray, optional
        `precision_cholesky` of the covariances, where it is known.
    """

    concentration: Concentration
    mean_precision: Vector
    means: Floats
    degrees_of_freedom: Vector
    covariances: Floats
    slack: float = 0.0
    factors: Floats | None = None

    @property
    def weights(self) -> Vector:
        """Expected weights; they sum to one."""
        return self.concentration.weights

    @property
    def counts(self) -> Vector:
        """Rows of each component."""
        return self.concentration.counts

    @property
    def features(self) -> int:
        """Number of features, D."""
        return 1 if self.means.ndim == 1 else int(self.means.shape[1])

    @property
    def precisions_cholesky(self) -> Floats:
        """Cholesky factors P of the precisions P P^T, or the reciprocals of standard deviations."""
        return precision_cholesky(self.covariances) if self.factors is None else self.factors

    @staticmethod
    def weights_of(parameters: Vector | tuple[Vector, Vector], prior: float) -> Concentration:
        """Posterior of the weights from scikit-learn's `weight_concentration_`."""
        return StickBreaking(np.stack(parameters)) if isinstance(parameters, tuple) else Dirichlet(parameters, prior)

    def arrays(self) -> list[Vector]:
        """Arrays that an engine's EM starts from; see `gpuvgm.engines.base.EMLoop.posterior`."""
        weights = self.concentration
        parameters = weights.sticks if isinstance(weights, StickBreaking) else [weights.concentration] * 2
        return [*parameters, self.mean_precision, self.means, self.degrees_of_freedom, self.covariances]

    def within(self, centre: float | Floats) -> Posterior:
        """The mixture for rows from which a centre is subtracted."""
        return replace(self, means=self.means - centre)

    def outside(self, centre: float | Floats) -> Posterior:
        """The mixture in the rows' own coordinates."""
        return replace(self, means=self.means + centre)

    def log_coefficients(self) -> Vector:
        """Part of the expected log density of a component that does not depend on the row, weight included."""
        log_precision = self.features * LOG_2 + np.sum(_each_of(digamma, self._half_degrees()), axis=0)
        return np.asarray(
            self.concentration.log_weights()
            - 0.5 * self.features * LOG_2_PI
            + self._log_determinants()
            + 0.5 * (log_precision - self.features / self.mean_precision)
        )

    def kernel_table(self, frame: Frame = OWN_FRAME) -> KernelTable:
        """Parameters of the row formulas of one feature, for rows in `frame`."""
        return KernelTable.of(frame, self.means, self.covariances, self.log_coefficients())

    def gaussian_table(self, centre: Floats) -> GaussianTable:
        """Parameters of the row formulas of any number of features, for rows from which `centre` is subtracted."""
        shape = (len(self.mean_precision), self.features)
        factors = self.precisions_cholesky
        factors = factors if factors.ndim == 3 else factors.reshape(shape)
        return GaussianTable(centre, self.means.reshape(shape), factors, self.log_coefficients())

    def lower_bound(self, entropy: float) -> float:
        """Evidence lower bound up to a constant, as scikit-learn computes it.

        Parameters
        ----------
        entropy : float
            Entropy of the responsibilities that this posterior was updated from.
        """
        dof, features = self.degrees_of_freedom, self.features
        gamma = np.sum(_each_of(gammaln, self._half_degrees()), axis=0)
        log_wishart = -(dof * self._log_determinants() + 0.5 * dof * features * LOG_2 + gamma)
        terms = self.concentration.log_norms() - log_wishart - 0.5 * features * log(self.mean_precision)
        return float(entropy + np.add.accumulate(terms)[-1] + self.slack)

    def _half_degrees(self) -> Floats:
        return np.asarray(0.5 * (self.degrees_of_freedom - np.arange(self.features)[:, None]))

    def _log_determinants(self) -> Vector:
        """Logarithms of the determinants of the factors, as of the precisions before their division by the degrees."""
        covariances, dof = self.covariances, self.degrees_of_freedom
        if covariances.ndim == 3:
            diagonals = np.diagonal(self.precisions_cholesky, axis1=1, axis2=2)
            return np.asarray(np.sum(_each_of(log, diagonals), axis=1) - 0.5 * self.features * log(dof))
        logs = -0.5 * _each_of(log, covariances * per_component(dof, covariances))
        return np.asarray(logs if logs.ndim == 1 else np.sum(logs, axis=1))


def precision_cholesky(covariances: Floats) -> Floats:
    """Upper triangular factors P with P P^T the inverse of the covariance; reciprocal roots of variances.

    Raises
    ------
    ValueError
        Where a covariance is not positive definite.
    """
    if covariances.ndim < 3:
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


def _inverse_of_lower(lower: Floats) -> Floats:
    """Inverses of lower triangular matrices, row by row for all of them together.

    LAPACK would be asked once a matrix, and on busy machines its threads cost a hundred times the work.
    """
    inverse = np.zeros_like(lower)
    for i in range(lower.shape[-1]):
        row = -np.sum(lower[..., i, :i, None] * inverse[..., :i, :], axis=-2)
        row[..., i] += 1.0
        inverse[..., i, :] = row / lower[..., i, i, None]
    return inverse


def _each_of(function: Callable[[Floats], Floats], x: Floats) -> Floats:
    """A function of vectors, of all numbers of a matrix."""
    return function(np.ravel(x)).reshape(np.shape(x))

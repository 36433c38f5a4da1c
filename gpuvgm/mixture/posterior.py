"""Prior and posterior of a mixture of Gaussians of one feature: update, expectations, lower bound.

Formulas: Bishop 2006 §10.2 for the Gaussian-Wishart part, in the notation and with the constants of scikit-learn's
`BayesianGaussianMixture`; for the weights Blei & Jordan 2006 (stick-breaking form of the Dirichlet process) and Bishop
2006 §10.2 (Dirichlet distribution).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from gpuvgm.config import FitConfig
from gpuvgm.engines.tables import LOG2_E, KernelTable, PriorTable
from gpuvgm.mixture.special import LOG_2, LOG_2_PI, digamma, gammaln, log
from gpuvgm.mixture.statistics import LEAST_COUNT, ComponentStatistics, Vector
from gpuvgm.summary.grid import Frame

LARGE = 1e7
ConcentrationType = Literal["dirichlet_process", "dirichlet_distribution"]


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
        rest = np.multiply.accumulate(np.concatenate(([1.0], (b / (a + b))[:-1])))
        weights = a / (a + b) * rest
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
        far = b > LARGE  # there the last two would cancel
        return np.asarray(
            gamma[:k] + np.where(far, -_rise_of_gammaln(np.where(far, b, LARGE), a), gamma[k : 2 * k] - gamma[2 * k :])
        )


@dataclass(frozen=True, slots=True)
class Dirichlet:
    """Weights with a Dirichlet distribution.

    Parameters
    ----------
    concentration : ndarray of shape (K,)
        Parameters of the distribution.
    prior : float
        What the prior gave to each of them.
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
    mean, mean_precision : float
        Gaussian prior of a component's mean.
    covariance, degrees_of_freedom : float
        Wishart prior of a component's precision.
    reg_covar : float
        Added to every component's variance.
    least_covariance : float
        No component's expected variance is less.
    concentration_type : {"dirichlet_process", "dirichlet_distribution"}
        Prior of the weights.
    tied : bool
        Whether the components share one variance.
    origin : float, optional
        Where a component without rows lies before its prior moves it; where it was by default.
    """

    weight_concentration: float
    mean: float
    mean_precision: float
    covariance: float
    degrees_of_freedom: float
    reg_covar: float
    least_covariance: float = 0.0
    concentration_type: ConcentrationType = "dirichlet_process"
    tied: bool = False
    origin: float | None = None

    def update(self, statistics: ComponentStatistics) -> Posterior:
        """Posterior given the sums of an E-step (the M-step)."""
        nk = statistics.counts + LEAST_COUNT
        origin = statistics.reference if self.origin is None else self.origin
        shift = (statistics.first + LEAST_COUNT * (origin - statistics.reference)) / nk
        spread = statistics.second - shift * (2 * statistics.first - shift * statistics.counts)
        xk = statistics.reference + shift
        sk = np.maximum(spread, 0.0) / nk + self.reg_covar
        mean_precision = self.mean_precision + nk
        between = nk * (self.mean_precision / mean_precision) * (xk - self.mean) ** 2
        degrees_of_freedom = self.degrees_of_freedom + self._pooled(nk)
        covariances = (self.covariance + self._pooled(nk * sk + between)) / degrees_of_freedom
        slack = 0.0
        if self.least_covariance:
            free, covariances = covariances, np.maximum(covariances, self.least_covariance)
            slack = float(np.add.accumulate(0.5 * degrees_of_freedom * (1 - free / covariances))[-1])
        return Posterior(
            concentration=CONCENTRATIONS[self.concentration_type](self.weight_concentration, nk),
            mean_precision=mean_precision,
            means=(self.mean_precision * self.mean + nk * xk) / mean_precision,
            degrees_of_freedom=degrees_of_freedom,
            covariances=covariances,
            slack=slack,
        )

    def table(self) -> PriorTable:
        """The prior as an engine's EM takes it."""
        return PriorTable(
            self.weight_concentration,
            self.mean,
            self.mean_precision,
            self.covariance,
            self.degrees_of_freedom,
            self.reg_covar,
            self.least_covariance,
            self.origin,
            self.concentration_type == "dirichlet_distribution",
            self.tied,
        )

    def posterior(self, arrays: Sequence[Vector]) -> Posterior:
        """A posterior from the arrays of an engine's EM; see `gpuvgm.engines.base.EMLoop.posterior`."""
        a, b, mean_precision, means, degrees_of_freedom, covariances = arrays
        dirichlet = self.concentration_type == "dirichlet_distribution"
        weights = Dirichlet(a, self.weight_concentration) if dirichlet else StickBreaking(np.stack((a, b)))
        return Posterior(weights, mean_precision, means, degrees_of_freedom, covariances)

    def _pooled(self, values: Vector) -> Vector:
        """What each component has of a sum: its own, or where the variance is shared an equal part of all."""
        return np.full_like(values, np.add.accumulate(values)[-1] / len(values)) if self.tied else values


def prior_of(mean: float, variance: float, frame: Frame, config: FitConfig, least_variance: float = 0.0) -> Prior:
    """scikit-learn's default prior for a column, in the frame's coordinates.

    Parameters
    ----------
    mean, variance : float
        Mean and variance (ddof = 1; 1 for a single row) of the rows, in the frame's coordinates.
    frame : Frame
        Coordinates; `reg_covar` is given in the column's own units and scaled along.
    config : FitConfig
        Concentration, `reg_covar` and `standardize`.
    least_variance : float
        No component's variance is less, in the square of the column's own units.
    """
    small = np.sqrt(variance) < frame.scale
    standardize = (small if config.standardize == "auto" else config.standardize) and variance > 0
    if variance == 0 and frame.scale != 1:  # a constant of extreme size: any floor near 1 does
        return Prior(config.weight_concentration_prior, mean, 1.0, 0.0, 1.0, config.reg_covar)
    return Prior(
        weight_concentration=config.weight_concentration_prior,
        mean=mean,
        mean_precision=1.0,
        covariance=variance,
        degrees_of_freedom=1.0,
        reg_covar=config.reg_covar * (variance if standardize else frame.scale * frame.scale),
        least_covariance=float(np.sqrt(least_variance) * frame.scale) ** 2,
    )


@dataclass(frozen=True, slots=True)
class Posterior:
    """Posterior of the mixture, K components.

    Parameters
    ----------
    concentration : StickBreaking or Dirichlet
        Posterior of the weights.
    mean_precision, means, degrees_of_freedom, covariances : ndarray of shape (K,)
        Gaussian-Wishart parameters; `covariances` are expected covariances as scikit-learn reports them.
    slack : float
        What the formula of the bound leaves out where the prior holds up expected covariances: with n degrees of
        freedom half of n (1 - c / held), the difference of n / 2 and the expected sum of squares; 0 elsewhere.
    """

    concentration: Concentration
    mean_precision: Vector
    means: Vector
    degrees_of_freedom: Vector
    covariances: Vector
    slack: float = 0.0

    @property
    def weights(self) -> Vector:
        """Expected weights; they sum to one."""
        return self.concentration.weights

    @property
    def counts(self) -> Vector:
        """Rows of each component."""
        return self.concentration.counts

    def arrays(self) -> list[Vector]:
        """What an engine's EM starts from; see `gpuvgm.engines.base.EMLoop.posterior`."""
        weights = self.concentration
        both = weights.sticks if isinstance(weights, StickBreaking) else [weights.concentration] * 2
        return [*both, self.mean_precision, self.means, self.degrees_of_freedom, self.covariances]

    def log_coefficients(self) -> Vector:
        """Part of the expected log density of a component that does not depend on the row, weight included."""
        log_determinant = -0.5 * log(self.covariances * self.degrees_of_freedom)
        log_precision = LOG_2 + digamma(0.5 * self.degrees_of_freedom)
        return np.asarray(
            self.concentration.log_weights()
            - 0.5 * LOG_2_PI
            + log_determinant
            + 0.5 * (log_precision - 1 / self.mean_precision)
        )

    def kernel_table(self, frame: Frame) -> KernelTable:
        """Parameters of the row formulas, for rows in `frame`."""
        half = (0.5 * LOG2_E) / self.covariances
        return KernelTable(frame, self.means, half, self.log_coefficients() * LOG2_E)

    def lower_bound(self, entropy: float) -> float:
        """Evidence lower bound up to a constant, as scikit-learn computes it.

        Parameters
        ----------
        entropy : float
            Entropy of the responsibilities that this posterior was updated from.
        """
        dof = self.degrees_of_freedom
        log_determinant = -0.5 * log(self.covariances * dof)
        log_wishart = -(dof * log_determinant + 0.5 * dof * LOG_2 + gammaln(0.5 * dof))
        terms = self.concentration.log_norms() - log_wishart - 0.5 * log(self.mean_precision)
        return float(entropy + np.add.accumulate(terms)[-1] + self.slack)

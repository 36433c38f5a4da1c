"""The posterior of a one-dimensional variational mixture of Gaussians: update, expectations, lower bound.

Formulas: Bishop 2006 §10.2 for the Gaussian-Wishart part, in the notation and with the constants of scikit-learn's
`BayesianGaussianMixture`; the weights are in `concentration`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gpuvgm.engines.tables import LOG2_E, KernelTable
from gpuvgm.mixture.concentration import CONCENTRATIONS, Concentration, ConcentrationType
from gpuvgm.mixture.special import LOG_2, LOG_2_PI, digamma, gammaln, log
from gpuvgm.mixture.statistics import LEAST_COUNT, ComponentStatistics, Vector
from gpuvgm.summary.grid import Frame


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
        return Posterior(
            concentration=CONCENTRATIONS[self.concentration_type](self.weight_concentration, nk),
            mean_precision=mean_precision,
            means=(self.mean_precision * self.mean + nk * xk) / mean_precision,
            degrees_of_freedom=degrees_of_freedom,
            covariances=(self.covariance + self._pooled(nk * sk + between)) / degrees_of_freedom,
        )

    def _pooled(self, values: Vector) -> Vector:
        """What each component has of a sum: its own, or where the variance is shared an equal part of all."""
        return np.full_like(values, np.add.accumulate(values)[-1] / len(values)) if self.tied else values


@dataclass(frozen=True, slots=True)
class Posterior:
    """Posterior of the mixture, K components.

    Parameters
    ----------
    concentration : StickBreaking or Dirichlet
        Posterior of the weights.
    mean_precision, means, degrees_of_freedom, covariances : ndarray of shape (K,)
        Gaussian-Wishart parameters; `covariances` are expected covariances as scikit-learn reports them.
    """

    concentration: Concentration
    mean_precision: Vector
    means: Vector
    degrees_of_freedom: Vector
    covariances: Vector

    @property
    def weights(self) -> Vector:
        """Expected weights; they sum to one."""
        return self.concentration.weights

    @property
    def counts(self) -> Vector:
        """Rows of each component."""
        return self.concentration.counts

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
        return float(entropy + np.add.accumulate(terms)[-1])

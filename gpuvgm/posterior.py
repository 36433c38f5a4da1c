"""The posterior of a one-dimensional Dirichlet-process mixture of Gaussians: update, expectations, lower bound.

Formulas: Bishop 2006 §10.2 for the Gaussian-Wishart part, Blei & Jordan 2006 for the stick-breaking weights, in the
notation and with the constants of scikit-learn's `BayesianGaussianMixture`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpuvgm.special import LOG_2, LOG_2_PI, digamma, gammaln, log

Vector = NDArray[np.float64]

_LEAST_COUNT = 10 * float(np.finfo(np.float64).eps)  # scikit-learn's guard against empty components


@dataclass(frozen=True, slots=True)
class ComponentStatistics:
    """Sums over rows that an E-step hands to the M-step, per component k.

    Parameters
    ----------
    reference : ndarray of shape (K,)
        The points that first and second moments are taken about: close to the means, so that nothing cancels.
    counts, first, second : ndarray of shape (K,)
        Sums of r_k, r_k (y - reference_k) and r_k (y - reference_k)^2.
    entropy : float
        Minus the sum of r_k ln r_k.
    """

    reference: Vector
    counts: Vector
    first: Vector
    second: Vector
    entropy: float


@dataclass(frozen=True, slots=True)
class Prior:
    """Prior of the mixture in the coordinates of the rows.

    Parameters
    ----------
    weight_concentration : float
        Concentration of the Dirichlet process.
    mean, mean_precision : float
        Gaussian prior of a component's mean.
    covariance, degrees_of_freedom : float
        Wishart prior of a component's precision.
    reg_covar : float
        Added to every component's variance.
    """

    weight_concentration: float
    mean: float
    mean_precision: float
    covariance: float
    degrees_of_freedom: float
    reg_covar: float

    def update(self, statistics: ComponentStatistics) -> Posterior:
        """Posterior given the sums of an E-step (the M-step)."""
        nk = statistics.counts + _LEAST_COUNT
        shift = statistics.first / nk
        spread = statistics.second - shift * (2 * statistics.first - shift * statistics.counts)
        xk = statistics.reference + shift
        sk = np.maximum(spread, 0.0) / nk + self.reg_covar
        mean_precision = self.mean_precision + nk
        degrees_of_freedom = self.degrees_of_freedom + nk
        between = nk * (self.mean_precision / mean_precision) * (xk - self.mean) ** 2
        later = np.concatenate((np.add.accumulate(nk[::-1])[-2::-1], [0.0]))
        return Posterior(
            sticks=np.stack((1.0 + nk, self.weight_concentration + later)),
            mean_precision=mean_precision,
            means=(self.mean_precision * self.mean + nk * xk) / mean_precision,
            degrees_of_freedom=degrees_of_freedom,
            covariances=(self.covariance + nk * sk + between) / degrees_of_freedom,
        )


@dataclass(frozen=True, slots=True)
class Posterior:
    """Posterior of the mixture, K components.

    Parameters
    ----------
    sticks : ndarray of shape (2, K)
        Beta parameters of the stick-breaking weights.
    mean_precision, means, degrees_of_freedom, covariances : ndarray of shape (K,)
        Gaussian-Wishart parameters; `covariances` are expected covariances as scikit-learn reports them.
    """

    sticks: Vector
    mean_precision: Vector
    means: Vector
    degrees_of_freedom: Vector
    covariances: Vector

    @property
    def weights(self) -> Vector:
        """Expected weights, normalised to sum to one."""
        a, b = self.sticks
        stick = a / (a + b)
        rest = np.multiply.accumulate(np.concatenate(([1.0], (b / (a + b))[:-1])))
        weights = stick * rest
        return np.asarray(weights / np.add.accumulate(weights)[-1])

    def log_coefficients(self) -> Vector:
        """Part of the expected log density of a component that does not depend on the row, weight included."""
        a, b = self.sticks
        k = len(a)
        psi = digamma(np.concatenate((a, b, a + b, 0.5 * self.degrees_of_freedom)))
        psi_a, psi_b, psi_ab, psi_dof = psi[:k], psi[k : 2 * k], psi[2 * k : 3 * k], psi[3 * k :]
        log_rest = np.concatenate(([0.0], np.add.accumulate(psi_b - psi_ab)[:-1]))
        log_determinant = -0.5 * log(self.covariances * self.degrees_of_freedom)
        log_precision = LOG_2 + psi_dof
        return np.asarray(
            psi_a
            - psi_ab
            + log_rest
            - 0.5 * LOG_2_PI
            + log_determinant
            + 0.5 * (log_precision - 1 / self.mean_precision)
        )

    def lower_bound(self, entropy: float) -> float:
        """Evidence lower bound up to a constant, as scikit-learn computes it.

        Parameters
        ----------
        entropy : float
            Entropy of the responsibilities that this posterior was updated from.
        """
        a, b = self.sticks
        k = len(a)
        dof = self.degrees_of_freedom
        gamma = gammaln(np.concatenate((a, b, a + b, 0.5 * dof)))
        log_determinant = -0.5 * log(self.covariances * dof)
        log_wishart = -(dof * log_determinant + 0.5 * dof * LOG_2 + gamma[3 * k :])
        log_beta = gamma[:k] + gamma[k : 2 * k] - gamma[2 * k : 3 * k]
        terms = log_beta - log_wishart - 0.5 * log(self.mean_precision)
        return float(entropy + np.add.accumulate(terms)[-1])

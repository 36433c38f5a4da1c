"""The posterior of a one-dimensional variational mixture of Gaussians: update, expectations, lower bound.

Formulas: Bishop 2006 §10.2 for the Gaussian-Wishart part, in the notation and with the constants of scikit-learn's
`BayesianGaussianMixture`; the weights are in `concentration`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpuvgm.concentration import CONCENTRATIONS, Concentration, ConcentrationType
from gpuvgm.special import LOG_2, LOG_2_PI, digamma, gammaln, log

Vector = NDArray[np.float64]

LEAST_COUNT = 10 * float(np.finfo(np.float64).eps)  # scikit-learn's guard against empty components
_NO_VARIANCE = 1e-280  # all rows are equal
_LEAST_VARIANCE = 1e-13  # of the variance of all rows: a component of equal rows has a logarithm too
_APART = 0.8  # halves of a normal distribution lie this many sigma from its mean
_ROOT_2 = 1.4142135623730951
_LONGEST = 0.5  # of its root, mean and deviation: further, a step is not to be trusted


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

    def about(self, reference: Vector) -> ComponentStatistics:
        """The same sums with moments about other points, shape (K,)."""
        by = reference - self.reference
        second = self.second - by * (2 * self.first - by * self.counts)
        return ComponentStatistics(reference, self.counts, self.first - by * self.counts, second, self.entropy)

    def take(self, components: NDArray[np.int64]) -> ComponentStatistics:
        """The sums of some components, in the order given."""
        k = components
        return ComponentStatistics(self.reference[k], self.counts[k], self.first[k], self.second[k], self.entropy)

    def padded(self, components: int) -> ComponentStatistics:
        """The same with empty components behind, so many in all."""
        none = np.zeros(components - len(self.counts))
        return ComponentStatistics(
            reference=np.concatenate((self.reference, none + self.reference[0])),
            counts=np.concatenate((self.counts, none)),
            first=np.concatenate((self.first, none)),
            second=np.concatenate((self.second, none)),
            entropy=self.entropy,
        )

    def split(self, component: int) -> ComponentStatistics:
        """A component cut in two halves, the upper one behind all others; mass and moments stay what they are."""
        k = np.append(np.arange(len(self.counts)), component)
        means, deviations = self._moments()
        half = self.about(means).take(k)
        apart = _APART * deviations[component]
        for i, by in ((component, -apart), (len(k) - 1, apart)):
            half.reference[i] += by
            half.counts[i] /= 2
            half.second[i] = max(half.second[i] / 2 - half.counts[i] * by * by, 0.0)
        half.first[[component, -1]] = 0.0
        return half

    def coordinates(self) -> Vector:
        """Roots of the counts, means, and standard deviations, shape (3 K,)."""
        means, deviations = self._moments()
        return np.concatenate((np.sqrt(self.counts), means, deviations))

    def metric(self) -> Vector:
        """What a change of each coordinate weighs: root of the information that the rows hold on it, shape (3 K,)."""
        _, deviations = self._moments()
        root = np.sqrt(self.counts)
        information = root / deviations
        return np.concatenate((np.full_like(root, 2.0), information, _ROOT_2 * information))

    def moved(self, step: Vector) -> ComponentStatistics:
        """The sums at other coordinates; a component's root, mean and deviation move by at most half of their size."""
        means, deviations = self._moments()
        root = np.sqrt(self.counts)
        steps = step.reshape(3, -1)
        sizes = np.stack((root + LEAST_COUNT, deviations, deviations))
        roots, shifts, changes = steps / np.maximum(np.max(np.abs(steps) / sizes, axis=0) / _LONGEST, 1.0)
        counts = (root + roots) ** 2
        return ComponentStatistics(
            means + shifts, counts, np.zeros_like(counts), counts * (deviations + changes) ** 2, self.entropy
        )

    def _moments(self) -> tuple[Vector, Vector]:
        """Means and standard deviations of the components, none less than a tiny part of that of all rows."""
        counts = self.counts + LEAST_COUNT
        shift = self.first / counts
        means = self.reference + shift
        variances = np.maximum(self.second / counts - shift * shift, 0.0)
        total = np.add.accumulate(counts)[-1]
        centre = np.add.accumulate(counts * means)[-1] / total
        overall = np.add.accumulate(counts * (variances + (means - centre) ** 2))[-1] / total
        floor = _LEAST_VARIANCE * overall if overall > _NO_VARIANCE else 1.0
        return means, np.sqrt(np.maximum(variances, floor))


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

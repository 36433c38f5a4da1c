"""Sums over rows that an E-step hands to the M-step, for one feature."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpuvgm.engines.tables import KernelTable
from gpuvgm.mixture.special import LOG_2
from gpuvgm.summary.grid import Floats

Vector = NDArray[np.float64]


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


def statistics_of(partials: Floats, table: KernelTable) -> ComponentStatistics:
    """Statistics from the chunks' sums, added in row order whatever the blocks and threads were.

    The entropy of the responsibilities follows from the sums: sum of ln density - sum_k (c_k N_k - h_k S_k).
    """
    k = len(table.means)
    total = np.add.accumulate(partials, axis=0)[-1] if len(partials) else np.zeros(3 * k + 1)
    counts, first, second = total[:k], total[k : 2 * k], total[2 * k : 3 * k]
    expected = np.add.accumulate(table.coefficients * counts - table.half_precisions * second)[-1]
    return ComponentStatistics(table.means, counts, first, second, float((total[3 * k] - expected) * LOG_2))


LEAST_COUNT = 10 * float(np.finfo(np.float64).eps)  # scikit-learn's guard against empty components
_NO_VARIANCE = 1e-280  # all rows are equal
_LEAST_VARIANCE = 1e-13  # of the variance of all rows: a component of equal rows has a logarithm too
_APART = 0.8  # halves of a normal distribution lie this many sigma from its mean
_ROOT_2 = 1.4142135623730951
_LONGEST = 0.5  # of its root, mean and deviation: further, a step is not to be trusted

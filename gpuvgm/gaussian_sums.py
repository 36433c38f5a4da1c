"""Sums of an E-step over several features, and their form as free coordinates for searches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpuvgm.grid import Floats
from gpuvgm.posterior import LEAST_COUNT

_LEAST_VARIANCE = 1e-13  # of the variance of all rows: a component of equal rows has a Cholesky factor too
_APART = 0.8  # halves of a normal distribution lie this many sigma from its mean
_ROOT_2 = 1.4142135623730951
_LONGEST = 0.5  # of a coordinate's own size: what a step may change it by


@dataclass(frozen=True, slots=True)
class GaussianStatistics:
    """Sums over rows that an E-step hands to the M-step.

    Parameters
    ----------
    reference : ndarray of shape (K, D)
        The points that the moments are taken about: the means of the E-step's table.
    counts : ndarray of shape (K,)
        Sums of r_k.
    first : ndarray of shape (K, D)
        Sums of r_k (y - reference_k).
    second : ndarray of shape (K, D, D) or (K, D)
        Sums of r_k (y - reference_k) (y - reference_k)^T, symmetric, or their diagonals.
    entropy : float
        Minus the sum of r_k ln r_k.
    """

    reference: Floats
    counts: Floats
    first: Floats
    second: Floats
    entropy: float

    @property
    def diagonal(self) -> bool:
        """Whether only the diagonals of the second moments are kept."""
        return self.second.ndim == 2

    def about(self, reference: Floats) -> GaussianStatistics:
        """The same sums with moments about other points, shape (K, D)."""
        by = reference - self.reference
        first = self.first - by * self.counts[:, None]
        both = self.first + first
        if self.diagonal:
            second = self.second - by * both
        else:
            cross = by[:, :, None] * both[:, None, :]
            second = self.second - 0.5 * (cross + np.swapaxes(cross, 1, 2))
        return GaussianStatistics(reference, self.counts, first, second, self.entropy)

    def plus(self, other: GaussianStatistics) -> GaussianStatistics:
        """Sums over both sets of rows, moments about these points."""
        moved = other.about(self.reference)
        return GaussianStatistics(
            self.reference,
            self.counts + moved.counts,
            self.first + moved.first,
            self.second + moved.second,
            self.entropy + moved.entropy,
        )

    def take(self, components: NDArray[np.int64]) -> GaussianStatistics:
        """The sums of some components, in the order given."""
        return GaussianStatistics(
            self.reference[components],
            self.counts[components],
            self.first[components],
            self.second[components],
            self.entropy,
        )

    def padded(self, components: int) -> GaussianStatistics:
        """The same with empty components behind, so many in all."""
        added = components - len(self.counts)
        more = self.take(np.append(np.arange(len(self.counts)), np.zeros(added, np.int64)))
        for sums in (more.counts, more.first, more.second):
            sums[len(self.counts) :] = 0.0
        return more

    def split(self, component: int) -> GaussianStatistics:
        """A component cut in two across its longest axis, one half behind all others; mass and moments are kept."""
        means, covariances, overall = self._moments()
        halves = self.about(means).take(np.append(np.arange(len(self.counts)), component))
        by = _APART * self._longest_axis(covariances[component], overall)
        square = by * by if self.diagonal else np.outer(by, by)
        for half, side in ((component, -1), (-1, 1)):
            halves.reference[half] += side * by
            halves.counts[half] /= 2
            halves.second[half] = halves.second[half] / 2 - halves.counts[half] * square
            halves.first[half] = 0.0
        return halves

    def coordinates(self) -> Floats:
        """Roots of the counts, means, and Cholesky factors of the covariances or standard deviations, as a vector."""
        means, covariances, _ = self._moments()
        return np.concatenate((np.sqrt(self.counts), means.ravel(), self._factors(covariances).ravel()))

    def metric(self) -> Floats:
        """What a change of each coordinate weighs: root of the information that the rows hold on it, about."""
        _, covariances, _ = self._moments()
        information = np.sqrt(self.counts)[:, None] / self._deviations(covariances)
        spread = information if self.diagonal else np.repeat(information[:, :, None], information.shape[1], axis=2)
        return np.concatenate((np.full(len(self.counts), 2.0), information.ravel(), _ROOT_2 * spread.ravel()))

    def moved(self, step: Floats) -> GaussianStatistics:
        """The sums at other coordinates; a component moves by at most half of its size."""
        means, covariances, _ = self._moments()
        k, d = means.shape
        root, factors, deviations = np.sqrt(self.counts), self._factors(covariances), self._deviations(covariances)
        roots, shifts, changes = step[:k], step[k : k + k * d].reshape(k, d), step[k + k * d :].reshape(factors.shape)
        widest = np.abs(changes) if self.diagonal else np.max(np.abs(changes), axis=2)
        longest = np.maximum(
            np.abs(roots) / (root + np.finfo(np.float64).tiny),
            np.max(np.maximum(np.abs(shifts), widest) / deviations, axis=1),
        )
        share = 1 / np.maximum(longest / _LONGEST, 1.0)
        counts = (root + share * roots) ** 2
        factors = factors + share.reshape((-1,) + (1,) * (factors.ndim - 1)) * changes
        variances = factors**2 if self.diagonal else factors @ np.swapaxes(factors, 1, 2)
        second = counts.reshape((-1,) + (1,) * (factors.ndim - 1)) * variances
        return GaussianStatistics(means + share[:, None] * shifts, counts, np.zeros((k, d)), second, self.entropy)

    def _moments(self) -> tuple[Floats, Floats, Floats]:
        """Means, covariances (none less than a tiny part of that of all rows), and the variances of all rows."""
        counts = self.counts + LEAST_COUNT
        shift = self.first / counts[:, None]
        means = self.reference + shift
        at_means = self.about(means).second / counts.reshape((-1,) + (1,) * (self.second.ndim - 1))
        own = at_means if self.diagonal else np.diagonal(at_means, axis1=1, axis2=2)
        share = counts / np.sum(counts)
        spread = np.maximum(own, 0.0) + (means - share @ means) ** 2
        overall = np.where((variance := share @ spread) > 0, variance, 1.0)
        if self.diagonal:
            return means, np.maximum(at_means, _LEAST_VARIANCE * overall), overall
        scale = np.sqrt(overall[:, None] * overall)
        values, vectors = np.linalg.eigh(at_means / scale)
        widths = np.maximum(values, _LEAST_VARIANCE)
        return means, (vectors * widths[:, None, :]) @ np.swapaxes(vectors, 1, 2) * scale, overall

    def _factors(self, covariances: Floats) -> Floats:
        return np.asarray(np.sqrt(covariances) if self.diagonal else np.linalg.cholesky(covariances))

    def _deviations(self, covariances: Floats) -> Floats:
        return np.sqrt(covariances if self.diagonal else np.diagonal(covariances, axis1=1, axis2=2))

    def _longest_axis(self, covariance: Floats, overall: Floats) -> Floats:
        """Half an axis of one component, the longest in units of the features' deviations over all rows."""
        if self.diagonal:
            longest = int(np.argmax(covariance / overall))
            return np.asarray(np.sqrt(covariance[longest]) * np.eye(len(overall))[longest])
        scale = np.sqrt(overall)
        values, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
        return np.asarray(np.sqrt(values[-1]) * vectors[:, -1] * scale)

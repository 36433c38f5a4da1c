"""Sums over rows that an E-step hands to the M-step, and their form as free coordinates for searches."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from gpuvgm.engines.chunk_sums import ChunkSums
from gpuvgm.engines.multivariate import GaussianTable
from gpuvgm.engines.tables import KernelTable
from gpuvgm.mixture.special import LOG_2
from gpuvgm.summary.grid import Floats

Vector = NDArray[np.float64]
LEAST_COUNT = 10 * float(np.finfo(np.float64).eps)  # scikit-learn's guard against empty components
LEAST_DEVIATION = float(np.sqrt(np.finfo(np.float64).tiny))
_NO_VARIANCE = 1e-280  # all rows are equal
_LEAST_VARIANCE = 1e-13  # of the variance of all rows: a component of equal rows has a Cholesky factor too
_LEAST_WIDTH = 1e-12
_APART = 0.8  # halves of a normal distribution lie this many sigma from its mean
_ROOT_2 = 1.4142135623730951
_LONGEST = 0.5  # of a coordinate's own size: further, a step is not to be trusted


class _ByComponent:
    """Sums whose components can be taken away, reordered and added."""

    __slots__ = ()
    reference: Floats
    counts: Floats
    first: Floats
    second: Floats
    entropy: float

    def take(self, components: NDArray[np.int64]) -> Self:
        """The sums of some components, in the order given."""
        kind: Any = type(self)
        sums = (self.reference, self.counts, self.first, self.second)
        taken: Self = kind(*(array[components] for array in sums), self.entropy)
        return taken

    def without_each(self) -> list[Self]:
        """The sums without one component, for each in turn."""
        kind: Any = type(self)
        kept = np.arange(len(self.counts) - 1)
        others = kept + (kept >= np.arange(len(self.counts))[:, None])
        sums = (self.reference[others], self.counts[others], self.first[others], self.second[others])
        return [kind(*arrays, self.entropy) for arrays in zip(*sums, strict=True)]

    def padded(self, components: int) -> Self:
        """The same with empty components behind, so many in all."""
        own = len(self.counts)
        more = self.take(np.append(np.arange(own), np.zeros(components - own, np.int64)))
        for sums in (more.counts, more.first, more.second):
            sums[own:] = 0.0
        return more


@dataclass(frozen=True, slots=True)
class ComponentStatistics(_ByComponent):
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


@dataclass(frozen=True, slots=True)
class GaussianStatistics(_ByComponent):
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

    def split(self, component: int) -> GaussianStatistics:
        """A component cut in two across its longest axis, one half behind all others; mass and moments are kept."""
        means, factors, overall = self._moments()
        halves = self.about(means).take(np.append(np.arange(len(self.counts)), component))
        by = _APART * self._longest_axis(factors[component], overall)
        square = by * by if self.diagonal else np.outer(by, by)
        for half, side in ((component, -1), (-1, 1)):
            halves.reference[half] += side * by
            halves.counts[half] /= 2
            halves.second[half] = halves.second[half] / 2 - halves.counts[half] * square
            halves.first[half] = 0.0
        return halves

    def coordinates(self) -> Floats:
        """Roots of the counts, means, and Cholesky factors of the covariances or standard deviations, as a vector."""
        means, factors, _ = self._moments()
        return np.concatenate((np.sqrt(self.counts), means.ravel(), factors.ravel()))

    def metric(self) -> Floats:
        """What a change of each coordinate weighs: root of the information that the rows hold on it, about."""
        _, factors, _ = self._moments()
        information = np.sqrt(self.counts)[:, None] / self._deviations(factors)
        spread = information if self.diagonal else np.repeat(information[:, :, None], information.shape[1], axis=2)
        return np.concatenate((np.full(len(self.counts), 2.0), information.ravel(), _ROOT_2 * spread.ravel()))

    def moved(self, step: Floats) -> GaussianStatistics:
        """The sums at other coordinates; a component moves by at most half of its size."""
        means, factors, _ = self._moments()
        k, d = means.shape
        root, deviations = np.sqrt(self.counts), self._deviations(factors)
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
        """Means, factors of the covariances, and the variances of all rows.

        Factors are Cholesky's or standard deviations; no width is less than a tiny part of the widest there is.
        """
        counts = self.counts + LEAST_COUNT
        means = self.reference + self.first / counts[:, None]
        at_means = self.about(means).second / counts.reshape((-1,) + (1,) * (self.second.ndim - 1))
        own = at_means if self.diagonal else np.diagonal(at_means, axis1=1, axis2=2)
        share = counts / np.sum(counts)
        variances = share @ (np.maximum(own, 0.0) + (means - share @ means) ** 2)
        overall = np.where(variances > 0, variances, 1.0)
        if self.diagonal:
            return means, np.sqrt(np.maximum(at_means, _LEAST_VARIANCE * overall)), overall
        scale = np.sqrt(overall)
        return means, scale[:, None] * _cholesky(at_means / scale / scale[:, None]), overall

    def _deviations(self, factors: Floats) -> Floats:
        """Standard deviations, none of them so small that its square is 0."""
        deviations = factors if self.diagonal else np.sqrt(np.sum(factors**2, axis=2))
        return np.asarray(np.maximum(deviations, LEAST_DEVIATION))

    def _longest_axis(self, factor: Floats, overall: Floats) -> Floats:
        """Half an axis of one component, the longest in units of the features' deviations over all rows."""
        scale = np.sqrt(overall)
        if self.diagonal:
            longest = int(np.argmax(factor / scale))
            return np.asarray(factor[longest] * np.eye(len(scale))[longest])
        axes, lengths, _ = np.linalg.svd(factor / scale[:, None])
        return np.asarray(lengths[0] * axes[:, 0] * scale)


def _cholesky(matrices: Floats) -> Floats:
    """Cholesky factors of matrices that may be singular: where one is, all are widened by a tiny part."""
    try:
        return np.asarray(np.linalg.cholesky(matrices))
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(matrices)
        widths = np.maximum(values, _LEAST_WIDTH * np.maximum(values[:, -1:], 1.0))
        return np.asarray(np.linalg.cholesky((vectors * widths[:, None, :]) @ np.swapaxes(vectors, 1, 2)))


def gaussian_statistics(partials: Floats, table: GaussianTable) -> GaussianStatistics:
    """Statistics from the chunks' sums; see `ChunkSums`.

    The entropy of the responsibilities follows from the sums:
    sum of ln density - sum_k (c_k N_k - 1/2 <P_k P_k^T, S_k>).

    Parameters
    ----------
    partials : ndarray of shape (chunks, table.width)
        What `e_step` returned, block after block.
    table : GaussianTable
        The mixture of that E-step.
    """
    k, d = table.means.shape
    sums = ChunkSums(table.width)
    sums.add(partials)
    total = sums.total[0]
    counts, first, packed = total[:k], total[k : k + k * d].reshape(k, d), total[k + k * d : -1].reshape(k, -1)
    second = packed if table.diagonal else _symmetric(packed, d)
    squares = np.add.accumulate((_precisions(table) * second).reshape(k, -1), axis=1)[:, -1]
    expected = np.add.accumulate(table.coefficients * counts - 0.5 * squares)[-1]
    return GaussianStatistics(table.means, counts, first, second, float(total[-1] - expected))


def _symmetric(packed: Floats, features: int) -> Floats:
    """Symmetric matrices from the rows of their upper triangles, shape (K, D, D)."""
    i, j = _upper_triangle(features)
    matrices = np.empty((len(packed), features, features))
    matrices[:, i, j] = packed
    matrices[:, j, i] = packed
    return matrices


@cache
def _upper_triangle(features: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of the upper triangle of a matrix, row by row."""
    return np.triu_indices(features)


def _precisions(table: GaussianTable) -> Floats:
    """P_k P_k^T, or the squares of the diagonals."""
    p = table.precisions
    if table.diagonal:
        return p * p
    product = np.zeros_like(p)
    for j in range(table.features):  # not a matrix product: its order of sums depends on the machine
        column = p[:, : j + 1, j]
        product[:, : j + 1, : j + 1] += column[:, :, None] * column[:, None, :]
    return product

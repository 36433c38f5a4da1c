"""Sums over rows that an E-step hands to the M-step, and their form as free coordinates for searches."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from gpuvgm.engines import ChunkSums, GaussianTable, KernelTable
from gpuvgm.mixture.special import LOG_2
from gpuvgm.summary import Floats, Ints

LEAST_COUNT = 10 * float(np.finfo(np.float64).eps)  # scikit-learn's guard against empty components
LEAST_DEVIATION = float(np.sqrt(np.finfo(np.float64).tiny))
_NO_VARIANCE = 1e-280  # all rows are equal
_LEAST_VARIANCE = 1e-13  # of the variance of all rows: a component of equal rows has a Cholesky factor too
_LEAST_WIDTH = 1e-12
_APART = 0.8  # halves of a normal distribution lie this many sigma from its mean
_ROOT_2 = 1.4142135623730951
_LONGEST = 0.5  # of a coordinate's own size: further, a step is not to be trusted


def per_component(values: Floats, like: Floats) -> Floats:
    """One number a component, shaped so that it multiplies the component's part of an array."""
    return values.reshape((-1,) + (1,) * (like.ndim - 1))


def products(first: Floats, second: Floats, *, full: bool) -> Floats:
    """Products of the features of vectors: each with itself, or (full) all pairs, as symmetric matrices."""
    if not full:
        return first * second
    outer = first[..., :, None] * second[..., None, :]
    return np.asarray(0.5 * (outer + np.swapaxes(outer, -1, -2)))


@dataclass(frozen=True, slots=True)
class Statistics:
    """Sums over rows that an E-step hands to the M-step, for K components of D features.

    Arrays of one feature have no axis of features. Operations on them, and their order, are those of `vgm_em.cuh`.

    Parameters
    ----------
    reference : ndarray of shape (K,) or (K, D)
        The points that first and second moments are taken about: close to the means, so that nothing cancels.
    counts : ndarray of shape (K,)
        Sums of r_k.
    first : ndarray of shape (K,) or (K, D)
        Sums of r_k (y - reference_k).
    second : ndarray of shape (K,), (K, D) or (K, D, D)
        Sums of the squares of these distances, feature by feature, or of r_k (y - reference_k) (y - reference_k)^T.
    entropy : float
        Minus the sum of r_k ln r_k.
    """

    reference: Floats
    counts: Floats
    first: Floats
    second: Floats
    entropy: float

    @property
    def full(self) -> bool:
        """Return whether second moments are matrices."""
        return self.second.ndim == 3

    def take(self, components: Ints) -> Statistics:
        """Sums of some components, in this order."""
        reference, counts = self.reference[components], self.counts[components]
        return Statistics(reference, counts, self.first[components], self.second[components], self.entropy)

    def without_each(self) -> list[Statistics]:
        """The sums without one component, for each in turn."""
        index = np.arange(len(self.counts) - 1)
        remaining = index + (index >= np.arange(len(self.counts))[:, None])
        sums = (self.reference[remaining], self.counts[remaining], self.first[remaining], self.second[remaining])
        return [Statistics(*arrays, self.entropy) for arrays in zip(*sums, strict=True)]

    def padded(self, components: int) -> Statistics:
        """These sums with empty components behind, so many in all."""
        count = len(self.counts)
        sums_of_all = self.take(np.append(np.arange(count), np.zeros(components - count, np.int64)))
        for sums in (sums_of_all.counts, sums_of_all.first, sums_of_all.second):
            sums[count:] = 0.0
        return sums_of_all

    def about(self, reference: Floats) -> Statistics:
        """Sums over these rows with moments about other points, shaped as the reference."""
        shift = reference - self.reference
        shift_sums = shift * per_component(self.counts, shift)
        second = self.second - products(shift, 2 * self.first - shift_sums, full=self.full)
        return Statistics(reference, self.counts, self.first - shift_sums, second, self.entropy)

    def plus(self, statistics: Statistics) -> Statistics:
        """Sums over both sets of rows, moments about these points."""
        term = statistics.about(self.reference)
        return Statistics(
            self.reference,
            self.counts + term.counts,
            self.first + term.first,
            self.second + term.second,
            self.entropy + term.entropy,
        )

    def split(self, component: int) -> Statistics:
        """A component cut in two across its longest axis, the upper half behind all others; mass and moments stay."""
        means, factors, overall = self._moments()
        halves = self.about(means).take(np.append(np.arange(len(self.counts)), component))
        half_axis = _APART * _longest_axis(factors[component], overall)
        for half, side in ((component, -1), (-1, 1)):
            halves.reference[half] += side * half_axis
            halves.counts[half] /= 2
            second = halves.second[half] / 2 - products(halves.counts[half] * half_axis, half_axis, full=self.full)
            halves.second[half] = second if self.full else np.maximum(second, 0.0)
            halves.first[half] = 0.0
        return halves

    def coordinates(self) -> Floats:
        """Roots of the counts, means, and standard deviations (or Cholesky factors of covariances), as a vector."""
        means, factors, _ = self._moments()
        return np.concatenate((np.sqrt(self.counts), means.ravel(), factors.ravel()))

    def metric(self) -> Floats:
        """Weight of a change of each coordinate: about the root of the information that the rows hold on it."""
        means, factors, _ = self._moments()
        information = per_component(np.sqrt(self.counts), means) / _deviations(factors)
        spread = np.broadcast_to(information[:, :, None], factors.shape) if self.full else information
        # The root of a count has variance 1/4, a mean sigma^2 / N, a deviation sigma^2 / (2 N).
        return np.concatenate((np.full(len(self.counts), 2.0), information.ravel(), _ROOT_2 * spread.ravel()))

    def moved(self, step: Floats) -> Statistics:
        """The sums at other coordinates; a component's root, mean and deviation move by at most half of their size."""
        means, factors, _ = self._moments()
        root, deviations = np.sqrt(self.counts), _deviations(factors)
        roots, shifts, changes = np.split(step, np.cumsum([root.size, means.size]))
        shifts, changes = shifts.reshape(means.shape), changes.reshape(factors.shape)
        widest = np.max(np.abs(changes), axis=2) if self.full else np.abs(changes)
        sizes = (np.maximum(np.abs(shifts), widest) / deviations).reshape(len(root), -1)
        longest = np.maximum(np.abs(roots) / (root + LEAST_COUNT), np.max(sizes, axis=1))
        limit = np.maximum(longest / _LONGEST, 1.0)
        counts = (root + roots / limit) ** 2
        factors = factors + changes / per_component(limit, changes)
        variances = factors @ np.swapaxes(factors, 1, 2) if self.full else factors**2
        means = means + shifts / per_component(limit, shifts)
        return Statistics(means, counts, np.zeros_like(means), per_component(counts, factors) * variances, self.entropy)

    def _moments(self) -> tuple[Floats, Floats, Floats]:
        """Means, factors of the covariances, and the variances of all rows (1 where these are equal).

        Factors are standard deviations or Cholesky's; none is less than a tiny part of that of all rows.
        """
        counts = per_component(self.counts + LEAST_COUNT, self.first)
        shift = self.first / counts
        means = self.reference + shift
        scatter = self.second / per_component(counts, self.second) - products(shift, shift, full=self.full)
        variances = np.maximum(np.diagonal(scatter, axis1=1, axis2=2) if self.full else scatter, 0.0)
        total = np.add.accumulate(counts)[-1]
        centre = np.add.accumulate(counts * means)[-1] / total
        overall = np.add.accumulate(counts * (variances + (means - centre) ** 2))[-1] / total
        has_variance = overall > _NO_VARIANCE
        if self.full:
            overall = np.where(has_variance, overall, 1.0)
            scale = np.sqrt(overall)
            return means, scale[:, None] * _cholesky(scatter / scale / scale[:, None]), overall
        floor = np.where(has_variance, _LEAST_VARIANCE * overall, 1.0)
        return means, np.sqrt(np.maximum(variances, floor)), np.where(has_variance, overall, 1.0)


def _deviations(factors: Floats) -> Floats:
    """Standard deviations of components, none of them so small that its square is 0."""
    deviations = np.sqrt(np.sum(factors**2, axis=2)) if factors.ndim == 3 else factors
    return np.asarray(np.maximum(deviations, LEAST_DEVIATION))


def _longest_axis(factor: Floats, overall: Floats) -> Floats:
    """Half an axis of one component, the longest in units of the features' deviations over all rows."""
    scale = np.sqrt(overall)
    if factor.ndim < 2:
        relative = factor / scale
        return np.asarray(np.where(relative == np.max(relative), factor, 0.0))
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


def statistics_of(partials: Floats, table: KernelTable) -> Statistics:
    """Statistics of one feature from the chunks' sums, added in row order whatever the blocks and threads were.

    The entropy of the responsibilities follows from the sums: sum of ln density - sum_k (c_k N_k - h_k S_k).
    """
    k = len(table.means)
    total = np.add.accumulate(partials, axis=0)[-1] if len(partials) else np.zeros(3 * k + 1)
    counts, first, second = total[:k], total[k : 2 * k], total[2 * k : 3 * k]
    expected = np.add.accumulate(table.coefficients * counts - table.half_precisions * second)[-1]
    return Statistics(table.means, counts, first, second, float((total[3 * k] - expected) * LOG_2))


def gaussian_statistics(partials: Floats, table: GaussianTable) -> Statistics:
    """Statistics of several features from the chunks' sums; see `ChunkSums`.

    The entropy of the responsibilities follows from the sums:
    sum of ln density - sum_k (c_k N_k - 1/2 <P_k P_k^T, S_k>).

    Parameters
    ----------
    partials : ndarray of shape (chunks, table.width)
        Results of `e_step`, block after block.
    table : GaussianTable
        The mixture of that E-step.
    """
    k, d = table.means.shape
    sums = ChunkSums(table.width)
    sums.add(partials)
    total = sums.total[0]
    counts, first, triangles = total[:k], total[k : k + k * d].reshape(k, d), total[k + k * d : -1].reshape(k, -1)
    second = triangles if table.diagonal else _symmetric(triangles, d)
    squares = np.add.accumulate((_precisions(table) * second).reshape(k, -1), axis=1)[:, -1]
    expected = np.add.accumulate(table.coefficients * counts - 0.5 * squares)[-1]
    return Statistics(table.means, counts, first, second, float(total[-1] - expected))


def _symmetric(triangles: Floats, features: int) -> Floats:
    """Symmetric matrices from the rows of their upper triangles, shape (K, D, D)."""
    i, j = _upper_triangle(features)
    matrices = np.empty((len(triangles), features, features))
    matrices[:, i, j] = triangles
    matrices[:, j, i] = triangles
    return matrices


@cache
def _upper_triangle(features: int) -> tuple[Ints, Ints]:
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

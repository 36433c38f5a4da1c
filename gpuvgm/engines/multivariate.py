"""Gaussian mixtures over several features: the E-step and log densities as array formulas, and what an M-step reads.

The functions run in the namespace of the rows' arrays (NumPy, CuPy, any of the array API standard). In NumPy they are
the reference that every engine is tested against; on a device they do what no kernel does: log densities, and E-steps
over more than 16 features. Formulas: Bishop 2006 §10.2, with the Cholesky factors of the precisions as in
scikit-learn's `precisions_cholesky_`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gpuvgm.arrays import Array, namespace_of
from gpuvgm.config import CHUNK_ROWS
from gpuvgm.summary import Floats

#: Rows whose sums are taken together where launching an operation costs more than a row: on devices. Log densities of
#: rows there are computed at once.
DEVICE_CHUNK_ROWS = 1 << 16
#: Log densities below are raised to it, so that a row far from every component still has responsibilities.
LEAST_LOG_DENSITY = -1e300 * float(np.log(2.0))


@dataclass(frozen=True, slots=True)
class GaussianTable:
    """Parameters of the row formulas of several features.

    The logarithm of weight times density at x is coefficient_k - 1/2 |(x - centre - mean_k) P_k|^2.

    Parameters
    ----------
    centre : ndarray of shape (D,)
        Subtracted from the rows first, in float64.
    means : ndarray of shape (K, D)
        Means of the components, about the centre.
    precisions : ndarray of shape (K, D, D) or (K, D)
        Upper triangular Cholesky factors P_k of the precisions, or their diagonals.
    coefficients : ndarray of shape (K,)
        The part that does not depend on the row.
    """

    centre: Floats
    means: Floats
    precisions: Floats
    coefficients: Floats

    @property
    def diagonal(self) -> bool:
        """Return whether the features are independent inside each component."""
        return self.precisions.ndim == 2

    @property
    def components(self) -> int:
        """Number of components, K."""
        return int(self.means.shape[0])

    @property
    def features(self) -> int:
        """Number of features, D."""
        return int(self.means.shape[1])

    @property
    def width(self) -> int:
        """Number of sums of a chunk: K (1 + D + M) + 1, where M is D (D + 1) / 2, or D if diagonal."""
        d = self.features
        return self.components * (1 + d + (d if self.diagonal else d * (d + 1) // 2)) + 1


def e_step(x: Array, weight: Array | None, table: GaussianTable) -> Array:
    """Sums of responsibilities, one chunk of rows at a time.

    Parameters
    ----------
    x : array of shape (rows, D), float32 or float64
        Finite rows.
    weight : array of shape (rows,), float64, optional
        Weight of each row, 1 by default. A row of weight 0 adds nothing, whatever its values are.
    table : GaussianTable
        The mixture.

    Returns
    -------
    array of shape (chunks, table.width), float64
        Per chunk the sums of r_k; of r_k d_k, component by component; of r_k d_ki d_kj for i <= j, row by row of the
        upper triangle (of r_k d_ki^2 if diagonal); and of ln density, all times the weight, with
        d_k = (x - centre) - mean_k. Chunks are 4,096 rows in NumPy and 65,536 in other namespaces.
    """
    xp = namespace_of(x)
    device_table = _Table.of(xp, table)
    chunks = _slice_chunks(xp, x.shape[0])
    sums = xp.zeros((len(chunks), table.width), dtype=xp.float64)
    with np.errstate(over="ignore"):  # the distance of an outlier may be infinite
        for i, part in enumerate(chunks):
            n = xp.ones(part.stop - part.start, dtype=xp.float64) if weight is None else weight[part]
            y = device_table.about_centre(x[part, :])
            # Zeros in place of rows of weight 0: the product of 0 and an infinite distance is NaN.
            sums[i, :] = device_table.sums(xp.where((n > 0)[:, None], y, xp.zeros_like(y)), n)
    return sums


def log_prob(x: Array, table: GaussianTable) -> Array:
    """Logarithm of weight times density of every row and component.

    Parameters
    ----------
    x : array of shape (rows, D), float32 or float64
        Finite rows.
    table : GaussianTable
        The mixture.

    Returns
    -------
    array of shape (rows, K), float64
    """
    xp = namespace_of(x)
    device_table = _Table.of(xp, table)
    if xp is not np:
        return device_table.log_density(device_table.about_centre(x), axis=1)
    log_densities = xp.zeros((x.shape[0], table.components), dtype=xp.float64)
    for part in _slice_chunks(xp, x.shape[0]):
        log_densities[part, :] = device_table.log_density(device_table.about_centre(x[part, :])).T
    return log_densities


def _slice_chunks(xp: Any, rows: int) -> list[slice]:
    size = CHUNK_ROWS if xp is np else DEVICE_CHUNK_ROWS
    return [slice(start, min(start + size, rows)) for start in range(0, rows, size)]


@dataclass(frozen=True, slots=True)
class _Table:
    """A table's arrays in the namespace of the rows, and the formulas over one chunk."""

    xp: Any
    centre: Array
    means: Array
    precisions: Array
    coefficients: Array
    upper: Array | None  # where the upper triangle lies in a flattened matrix
    width: int

    @classmethod
    def of(cls, xp: Any, table: GaussianTable) -> _Table:
        centre, means, precisions, coefficients = (
            xp.asarray(array) for array in (table.centre, table.means, table.precisions, table.coefficients)
        )
        i, j = np.triu_indices(table.features)
        upper = None if table.diagonal else xp.asarray(i * table.features + j)
        return cls(xp, centre, means, precisions, coefficients, upper, table.width)

    def about_centre(self, x: Array) -> Array:
        return self.xp.asarray(x, dtype=self.xp.float64) - self.centre

    def log_density(self, y: Array, axis: int = 0) -> Array:
        """Ln of weight times density, shape (K, rows), or with the components along the other axis."""
        return self.xp.stack([self._component(y, k) for k in range(self.means.shape[0])], axis=axis)

    def _component(self, y: Array, k: int) -> Array:
        d = y - self.means[k, :]  # an index for every axis, as the array API standard asks
        z = d * self.precisions[k, :] if self.upper is None else d @ self.precisions[k, :, :]
        return self.coefficients[k] - 0.5 * self.xp.sum(z * z, axis=1)

    def sums(self, y: Array, n: Array) -> Array:
        """One chunk's row of `e_step`."""
        xp = self.xp
        density = self.log_density(y)
        density = xp.where(density > LEAST_LOG_DENSITY, density, xp.full_like(density, LEAST_LOG_DENSITY))
        top = xp.max(density, axis=0)
        share = xp.exp(density - top)
        total = xp.sum(share, axis=0)
        r = share * (n / total)
        row = xp.zeros(self.width, dtype=xp.float64)
        components, features = self.means.shape
        row[:components] = xp.sum(r, axis=1)
        first_start, second_start = components, components * (1 + features)
        moments = (self.width - 1 - second_start) // components
        for k in range(components):
            d = y - self.means[k, :]
            rd = r[k, :, None] * d
            row[first_start : first_start + features] = xp.sum(rd, axis=0)
            row[second_start : second_start + moments] = self._second(rd, d)
            first_start, second_start = first_start + features, second_start + moments
        row[-1] = xp.sum(n * (top + xp.log(total)))
        return row

    def _second(self, rd: Array, d: Array) -> Array:
        if self.upper is None:
            return self.xp.sum(rd * d, axis=0)
        return self.xp.take(self.xp.reshape(rd.T @ d, (-1,)), self.upper, axis=0)

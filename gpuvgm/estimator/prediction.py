"""Predictions of an estimator: functions of the components' log densities at rows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from gpuvgm.arrays import Array, namespace_of
from gpuvgm.engines import Engine, GaussianTable
from gpuvgm.estimator.reading import check_features
from gpuvgm.execution import whole_rows
from gpuvgm.mixture import Posterior, Rows


def labels(densities: Array) -> Array:
    """Most probable component of each row."""
    return namespace_of(densities).argmax(densities, axis=1)


def log_densities(densities: Array) -> Array:
    """Logarithm of the mixture's density at each row; -inf where every component's is."""
    xp = namespace_of(densities)
    shares, top = _relative(densities)
    with np.errstate(divide="ignore"):
        return xp.log(xp.sum(shares, axis=1)) + top


def probabilities(densities: Array) -> Array:
    """Probability of each component, for each row; equal where all densities are 0."""
    xp = namespace_of(densities)
    shares, _ = _relative(densities)
    total = xp.sum(shares, axis=1)[:, None]
    return xp.where(total > 0, shares, xp.ones_like(shares)) / xp.where(total > 0, total, shares.shape[1] + 0 * total)


def _relative(densities: Array) -> tuple[Array, Array]:
    """Densities relative to the largest of each row, and the logarithm of that (0 where it is -inf)."""
    xp = namespace_of(densities)
    top = xp.max(densities, axis=1)
    # 0 for -inf, as -inf - -inf would be NaN.
    top = xp.where(xp.isfinite(top), top, xp.zeros_like(top))
    return xp.exp(densities - top[:, None]), top


def of_rows(engine: Engine, rows: Rows, posterior: Posterior, function: Callable[[Array], Array]) -> Array:
    """A function of the rows' log densities (rows, K), applied block by block.

    Parameters
    ----------
    engine : Engine
        Engine that computes densities.
    rows : Rows
        The rows.
    posterior : Posterior
        The mixture.
    function : callable
        One of `labels`, `log_densities`, `probabilities`.
    """
    table: GaussianTable = posterior.gaussian_table(np.zeros(rows.features))
    values = rows.density_values(table.components)
    blocks = list(rows.each(lambda block: function(engine.log_prob(block.array, table)), values))
    return namespace_of(blocks[0]).concat(blocks, axis=0)


def of_array(mixture: Any, function: Callable[[Array], Array], array: Any) -> Any:
    """A function of the log densities of a Dask array's rows, as a Dask array whose chunks lie where the rows' do."""
    rows = whole_rows(array)
    check_features(mixture, (1, rows.shape[1]), None, reset=False)
    meta = of_chunk(mixture, function, namespace_of(rows._meta).zeros((0, rows.shape[1])))
    shape = {"drop_axis": 1} if meta.ndim == 1 else {"chunks": (rows.chunks[0], (meta.shape[1],))}
    return rows.map_blocks(partial(of_chunk, mixture, function), meta=meta, **shape)


def of_chunk(mixture: Any, function: Callable[[Array], Array], x: Array) -> Array:
    """A function of the log densities of some rows, which may be none."""
    if len(x):
        return mixture._of_rows(x, function)
    return function(namespace_of(x).zeros((1, len(mixture.weights_))))[:0]


def of_partition(mixture: Any, function: Callable[[Array], Array], frame: Any, _: int) -> Any:
    """A function of a partition's log densities, as a Series or a frame of the partition's library."""
    values = of_chunk(mixture, function, frame if len(frame) else np.empty((0, 0)))
    if values.ndim == 1:
        return type(frame.iloc[:, 0])(values, index=frame.index)
    return type(frame)(values, columns=[str(k) for k in range(values.shape[1])], index=frame.index)

"""What a fitted mixture says of rows, block by block: labels, probabilities, log densities; and rows drawn from it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

import numpy as np

from gpuvgm.arrays import Array, namespace_of
from gpuvgm.engines import Engine
from gpuvgm.engines.multivariate import GaussianTable
from gpuvgm.mixture.posterior_nd import GaussianPosterior
from gpuvgm.mixture.rows import Rows, in_order
from gpuvgm.summary.grid import Floats, Ints


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
    top = xp.where(xp.isfinite(top), top, xp.zeros_like(top))
    return xp.exp(densities - top[:, None]), top


def of_rows(
    engine: Engine, rows: Rows, posterior: GaussianPosterior, pool: Executor | None, function: Callable[[Array], Array]
) -> Array:
    """A function of the rows' log densities (rows, K), applied block by block.

    Parameters
    ----------
    engine : Engine
        Who computes densities.
    rows : Rows
        The rows.
    posterior : GaussianPosterior
        The mixture.
    pool : Executor or None
        Threads to share the blocks out to.
    function : callable
        One of `labels`, `log_densities`, `probabilities`.
    """
    table: GaussianTable = posterior.table(np.zeros(rows.features))
    blocks = list(in_order(lambda part: function(engine.log_prob(rows.read(part), table)), rows.parts(), pool))
    return namespace_of(blocks[0]).concat(blocks, axis=0)


def draw(
    posterior: GaussianPosterior, weights: Floats, count: int, random: np.random.RandomState
) -> tuple[Floats, Ints]:
    """Rows drawn from a mixture, component after component, and their components.

    The same numbers as scikit-learn's mixture draws.
    """
    counts = random.multinomial(count, weights)
    draw_one: Callable[[Floats, Floats, int], Any]
    if posterior.covariance_type in ("full", "tied"):
        draw_one = random.multivariate_normal
    else:

        def draw_one(mean: Floats, variance: Floats, size: int) -> Floats:
            return np.asarray(mean + random.standard_normal(size=(size, len(mean))) * np.sqrt(variance))

    shared = posterior.covariance_type == "tied"
    covariances = [posterior.covariances] * len(counts) if shared else posterior.covariances
    drawn = [
        draw_one(mean, covariance, int(size))
        for mean, covariance, size in zip(posterior.means, covariances, counts, strict=True)
    ]
    return np.vstack(drawn), np.repeat(np.arange(len(counts)), counts)

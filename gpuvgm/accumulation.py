"""The E-step of a fit as one function of the posterior: over cells, or over rows in blocks and threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Executor

import numpy as np

from gpuvgm.config import CHUNK_ROWS
from gpuvgm.engines import Engine, runs_on_device, statistics_of
from gpuvgm.errors import InputError
from gpuvgm.gaussian_sums import GaussianStatistics
from gpuvgm.grid import Floats, Frame
from gpuvgm.model import KernelTable
from gpuvgm.multivariate import GaussianTable, gaussian_statistics
from gpuvgm.posterior import ComponentStatistics, Posterior
from gpuvgm.rows import Moments, Rows, in_order, to_numpy
from gpuvgm.summary import Cells
from gpuvgm.wishart import GaussianPosterior

DEVICE_BLOCK_VALUES = 1 << 26  # numbers of a block on a device: an E-step over it outlasts its launch by far
CELL_FRAME = Frame(1.0, 0.0)
Accumulate = Callable[[Posterior], ComponentStatistics]


def over_cells(engine: Engine, cells: Cells) -> Accumulate:
    """E-step over the cells of a summary.

    Parameters
    ----------
    engine : Engine
        Who runs it.
    cells : Cells
        The cells; those that hold one value each are rows with a weight.
    """
    scatter = cells.scatter if np.any(cells.scatter) else None

    def accumulate(posterior: Posterior) -> ComponentStatistics:
        table = KernelTable.of(posterior, CELL_FRAME)
        return statistics_of(engine.e_step(cells.mean, cells.weight, scatter, table), table)

    return accumulate


def over_rows(engine: Engine, rows: Rows, frame: Frame, pool: Executor | None = None) -> Accumulate:
    """E-step over the rows of one feature.

    Parameters
    ----------
    engine : Engine
        Who runs it.
    rows : Rows
        The rows; NaN counts for nothing.
    frame : Frame
        Coordinates of the posterior.
    pool : Executor, optional
        Threads to share the blocks out to.
    """
    here = runs_on_device(engine) and not rows.on_host

    def accumulate(posterior: Posterior) -> ComponentStatistics:
        table = KernelTable.of(posterior, frame)

        def sums(part: slice) -> Floats:
            x = rows.resident_column(part) if here else rows.column(part)
            return engine.e_step(x, rows.column_weights(part), None, table)

        width, parts = 3 * len(table.means) + 1, rows.parts(DEVICE_BLOCK_VALUES) if here else rows.parts()
        return statistics_of(_total(engine, in_order(sums, parts, pool), width), table)

    return accumulate


def over_features(
    engine: Engine, rows: Rows, centre: Floats, pool: Executor | None = None
) -> Callable[[GaussianPosterior], GaussianStatistics]:
    """E-step over rows of several features, block by block; memory does not grow with the rows.

    Parameters
    ----------
    engine : Engine
        Who runs it.
    rows : Rows
        The rows.
    centre : ndarray of shape (D,)
        Origin of the posterior's coordinates.
    pool : Executor, optional
        Threads to share the blocks out to.
    """

    def accumulate(posterior: GaussianPosterior) -> GaussianStatistics:
        return sums_over(engine, rows, posterior.table(centre), pool)

    return accumulate


def sums_over(engine: Engine, rows: Rows, table: GaussianTable, pool: Executor | None = None) -> GaussianStatistics:
    """Statistics of an E-step over all rows."""
    return gaussian_statistics(_total_over(engine, rows, table, pool), table)


def log_density_sum(engine: Engine, rows: Rows, table: GaussianTable, pool: Executor | None = None) -> float:
    """Weighted sum over the rows of the logarithm of the mixture's density."""
    return float(_total_over(engine, rows, table, pool)[0, -1])


def _total_over(engine: Engine, rows: Rows, table: GaussianTable, pool: Executor | None) -> Floats:
    """Sums of an E-step over all rows, added in row order whatever the blocks and threads were; shape (1, width)."""

    def sums(part: slice) -> Floats:
        return np.asarray(to_numpy(engine.e_step_features(rows.read(part), rows.weights(part), table)))

    return _total(engine, in_order(sums, rows.parts(), pool), table.width)


def moments_of(engine: Engine, rows: Rows, pool: Executor | None = None) -> Moments:
    """Moments of the rows.

    One component without a density has all responsibility. Moments are taken about the mean of a sample, so that
    nothing cancels.
    """
    centre = np.asarray(np.mean(rows.sample(CHUNK_ROWS).array, axis=0, dtype=np.float64))
    features = rows.features
    table = GaussianTable(centre, np.zeros((1, features)), np.zeros((1, features, features)), np.zeros(1))
    statistics = sums_over(engine, rows, table, pool)
    shift = statistics.first[0] / statistics.counts[0]
    scatter = statistics.second[0] - np.outer(shift, statistics.first[0])
    if not np.all(np.isfinite(scatter)):
        raise InputError("X reaches so far from its mean that squares overflow; scale the features down")
    return Moments(float(statistics.counts[0]), centre + shift, np.asarray(0.5 * (scatter + scatter.T)))


def _total(engine: Engine, blocks: Iterable[Floats], width: int) -> Floats:
    """Sum of the chunks of all blocks, one after the other: no grouping that blocks or threads could change."""
    total = np.zeros((1, width))
    for partials in blocks:
        total = engine.add_chunks(total, partials)
    return total

"""What is summed over rows, in blocks and threads, or over cells: E-steps, moments, summaries."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, replace

import numpy as np

from gpuvgm.arrays import to_numpy
from gpuvgm.config import CHUNK_ROWS
from gpuvgm.engines import Engine, copied_to, runs_on_device
from gpuvgm.engines.multivariate import GaussianTable
from gpuvgm.engines.tables import KernelTable
from gpuvgm.errors import InputError
from gpuvgm.mixture.posterior import Posterior
from gpuvgm.mixture.posterior_nd import GaussianPosterior
from gpuvgm.mixture.rows import Moments, Rows, in_order
from gpuvgm.mixture.statistics import ComponentStatistics, GaussianStatistics, gaussian_statistics, statistics_of
from gpuvgm.summary.grid import Floats, Frame, Grid, Ints, keys_of, values_of
from gpuvgm.summary.summary import Cells, Summary

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
        table = posterior.kernel_table(CELL_FRAME)
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
    placed = _where_it_works(engine, rows)

    def accumulate(posterior: Posterior) -> ComponentStatistics:
        table = posterior.kernel_table(frame)
        partials = sums_of_chunks(engine, placed, table, pool)
        return statistics_of(added_chunks(engine, partials, 3 * len(table.means) + 1), table)

    return accumulate


def sums_of_chunks(engine: Engine, rows: Rows, table: KernelTable, pool: Executor | None = None) -> Iterator[Floats]:
    """Sums of an E-step over the rows of one feature where they lie, per chunk, block by block in row order."""

    def sums(part: slice) -> Floats:
        if _stay(engine, rows):
            return engine.e_step(rows.resident_column(part), rows.weights(part), None, table)
        return engine.e_step(rows.column(part), rows.column_weights(part), None, table)

    return _in_parts(engine, sums, rows, pool)


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
    placed = _where_it_works(engine, rows)

    def accumulate(posterior: GaussianPosterior) -> GaussianStatistics:
        return sums_over(engine, placed, posterior.table(centre), pool)

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

    return added_chunks(engine, _in_parts(engine, sums, rows, pool), table.width)


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


def _where_it_works(engine: Engine, rows: Rows) -> Rows:
    """The rows, copied to the device that an engine works on, if they are an array in the host's memory and fit."""
    if not runs_on_device(engine) or not rows.on_host or not rows.whole:
        return rows
    array = copied_to(engine, rows.array)
    weight = None if rows.weight is None or array is None else copied_to(engine, rows.weight)
    fits = array is not None and (weight is None) == (rows.weight is None)
    return replace(rows, array=array, weight=weight) if fits else rows


def _stay(engine: Engine, rows: Rows) -> bool:
    """Whether rows lie where the engine works on them, other than in the host's memory."""
    return runs_on_device(engine) and not rows.on_host


def _in_parts(engine: Engine, sums: Callable[[slice], Floats], rows: Rows, pool: Executor | None) -> Iterator[Floats]:
    """Sums of blocks in row order; a device takes long ones, one after the other."""
    if _stay(engine, rows):
        return in_order(sums, rows.parts(DEVICE_BLOCK_VALUES), None)
    return in_order(sums, rows.parts(), pool)


def added_chunks(engine: Engine, blocks: Iterable[Floats], width: int) -> Floats:
    """Sum of the chunks of all blocks, one after the other: no grouping that blocks or threads could change.

    Parameters
    ----------
    engine : Engine
        Who adds.
    blocks : iterable of ndarray of shape (chunks, width)
        Sums of the chunks of each block, in row order.
    width : int
        Number of sums.

    Returns
    -------
    ndarray of shape (1, width)
    """
    total = np.zeros((1, width))
    for partials in blocks:
        total = engine.add_chunks(total, partials)
    return total


def summarise_repeated(engine: Engine, x: Floats, weight: Floats, grid: Grid) -> Summary:
    """Summary of rows that are repeated, equal to the bit to that of the repeated rows.

    Rows whose weight has bit b are summarised together, and count 2^b times.

    Parameters
    ----------
    engine : Engine
        Who summarises.
    x : ndarray of shape (rows,), float64
        Values.
    weight : ndarray of shape (rows,), float64
        Whole numbers.
    grid : Grid
        The grid to use.
    """
    times = weight.astype(np.int64)
    total = Summary.empty(grid)
    for bit in range(int(np.max(times, initial=0)).bit_length()):
        total = total.merge(engine.summarise(x[(times >> bit) & 1 == 1], grid).repeated(bit))
    return total


@dataclass(frozen=True, slots=True)
class WeightedSums:
    """Float64 sums over the cells of a grid, for weights that are no whole numbers.

    Parameters
    ----------
    grid : Grid
        The grid that the sums belong to.
    cell : ndarray of int64
        Occupied cells, ascending.
    weight, first, second : ndarray of float64
        Sums of w, w d and w d^2 per occupied cell, with d the distance from the cell's lower border.
    """

    grid: Grid
    cell: Ints
    weight: Floats
    first: Floats
    second: Floats

    @classmethod
    def of(cls, x: Floats, weight: Floats, grid: Grid) -> WeightedSums:
        """Sums of a block of rows."""
        y = grid.frame.apply(x)
        keys = keys_of(y)
        cell, where = np.unique(grid.split(grid.locate(keys)[0], keys), return_inverse=True)
        d = y - values_of(grid.geometry(cell).low)[where]
        total, first, second = (
            np.bincount(where, part, len(cell)).astype(np.float64) for part in (weight, weight * d, weight * d * d)
        )
        return cls(grid, cell, total, first, second)

    def merge(self, other: WeightedSums) -> WeightedSums:
        """Sums of both sets of rows."""
        cell = np.union1d(self.cell, other.cell)
        sums = np.zeros((3, len(cell)))
        for part in (self, other):
            sums[:, np.searchsorted(cell, part.cell)] += (part.weight, part.first, part.second)
        return WeightedSums(self.grid, cell, *sums)

    def cells(self) -> Cells:
        """The occupied cells as numbers."""
        low = self.grid.geometry(self.cell).low
        shift = self.first / self.weight
        scatter = np.maximum(self.second - shift * self.first, 0.0)
        label = self.grid.labels(self.cell, low)
        order = np.lexsort((label, low))
        mean, parent = values_of(low) + shift, self.grid.unsplit(self.cell)
        return Cells(mean[order], self.weight[order], scatter[order], label[order], parent[order], np.zeros(len(order)))

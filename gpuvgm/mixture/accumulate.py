"""Sums over rows, in blocks and threads, or over cells: E-steps, starts, summaries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from gpuvgm.arrays import Array, is_on_device, namespace_of, to_numpy
from gpuvgm.config import CHUNK_ROWS
from gpuvgm.engines import Engine, GaussianTable, KernelTable
from gpuvgm.mixture.em import Accumulate
from gpuvgm.mixture.initialization import PointStart, RandomStart, RowStart, Seeds
from gpuvgm.mixture.posterior import MATRICES, CovarianceType, Posterior
from gpuvgm.mixture.rows import BLOCK_VALUES, Moments, Rows, are_whole, column_for, from_centre, in_chunks, sums_where
from gpuvgm.mixture.statistics import Statistics, gaussian_statistics, statistics_of
from gpuvgm.summary import Cells, Floats, Frame, Grid, Ints, Summary, midpoints, values_of

START_VALUES = 1 << 24  # of a part that array formulas go through there: what they make takes some 0.5 GiB


def over_cells(engine: Engine, cells: Cells) -> Accumulate:
    """E-step over the cells of a summary.

    Parameters
    ----------
    engine : Engine
        Compute engine.
    cells : Cells
        The cells; those that hold one value each are rows with a weight.
    """
    scatter = cells.scatter if np.any(cells.scatter) else None

    def accumulate(posterior: Posterior) -> Statistics:
        table = posterior.kernel_table()
        return statistics_of(engine.e_step(cells.mean, cells.weight, scatter, table), table)

    return accumulate


def over_rows(engine: Engine, rows: Rows, frame: Frame) -> Accumulate:
    """E-step over the rows of one feature.

    Parameters
    ----------
    engine : Engine
        Compute engine.
    rows : Rows
        The rows; NaN counts for nothing.
    frame : Frame
        Coordinates of the posterior.
    """
    local_rows = rows.near(engine)

    def accumulate(posterior: Posterior) -> Statistics:
        table = posterior.kernel_table(frame)
        sums = local_rows.sums(engine, partial(_column_sums, table), 3 * len(table.means) + 1)
        return statistics_of(sums.total, table)

    return accumulate


def _column_sums(table: KernelTable, engine: Engine, block: Rows) -> Array:
    """Sums of an E-step over some rows of one feature where they lie."""
    return engine.e_step(*column_for(engine, block), None, table)


def over_features(engine: Engine, rows: Rows, centre: Floats) -> Accumulate:
    """E-step over rows of several features, block by block; memory does not grow with the rows.

    Parameters
    ----------
    engine : Engine
        Compute engine.
    rows : Rows
        The rows.
    centre : ndarray of shape (D,)
        Origin of the posterior's coordinates.
    """
    local_rows = rows.near(engine)

    def accumulate(posterior: Posterior) -> Statistics:
        return sums_over(engine, local_rows, posterior.gaussian_table(centre))

    return accumulate


def sums_over(engine: Engine, rows: Rows, table: GaussianTable) -> Statistics:
    """Statistics of an E-step over all rows."""
    return gaussian_statistics(rows.feature_sums(engine, table), table)


def log_density_sum(engine: Engine, rows: Rows, table: GaussianTable) -> float:
    """Weighted sum over the rows of the logarithm of the mixture's density."""
    return float(rows.feature_sums(engine, table)[0, -1])


# -- hard starts of one feature, at once or chunk by chunk.


def hard_start(y: Floats, weight: Floats, scatter: Floats, component: Ints, centres: Floats) -> Statistics:
    """Statistics of rows or cells that each belong to one component, added one after the other.

    Parameters
    ----------
    y, weight, scatter : ndarray of shape (rows,)
        Positions, weights and inner scatter.
    component : ndarray of shape (rows,)
        Component of each.
    centres : ndarray of shape (K,)
        Points that moments are taken about.
    """
    k = len(centres)
    d = y - centres[component]
    return Statistics(
        reference=centres,
        counts=np.bincount(component, weight, k).astype(np.float64),
        first=np.bincount(component, weight * d, k).astype(np.float64),
        second=np.bincount(component, weight * d * d + scatter, k).astype(np.float64),
        entropy=0.0,
    )


def start_over(engine: Engine, rows: Rows, frame: Frame, seeds: Seeds) -> Statistics:
    """Hard start of the rows of one feature that belong to the nearest centre each.

    Chunk by chunk, so that bits depend neither on blocks nor on workers.

    Parameters
    ----------
    engine : Engine
        Compute engine.
    rows : Rows
        The rows; NaN counts for nothing.
    frame : Frame
        Coordinates of the centres.
    seeds : Seeds
        The centres.
    """
    sums = rows.sums(engine, partial(_starts, frame, seeds), 3 * len(seeds.centres), BLOCK_VALUES)
    counts, first, second = sums.total.reshape(3, -1)
    return Statistics(seeds.centres, counts, first, second, 0.0)


def _starts(frame: Frame, seeds: Seeds, engine: Engine, block: Rows) -> Array:
    """Counts and moments of the components, of each chunk, where the rows lie."""
    y = frame.apply(block.array[:, 0])
    if is_on_device(y):
        return _starts_on_device(y, seeds)
    chunks = [y[start : start + CHUNK_ROWS] for start in range(0, len(y), CHUNK_ROWS)]
    sums = []
    for chunk in chunks:
        numbers = chunk[np.isfinite(chunk)]
        starts = hard_start(
            numbers, np.ones(len(numbers)), np.zeros(len(numbers)), seeds.nearest(numbers), seeds.centres
        )
        sums.append(np.concatenate((starts.counts, starts.first, starts.second)))
    return np.array(sums).reshape(-1, 3 * len(seeds.centres))


def _starts_on_device(y: Array, seeds: Seeds) -> Array:
    """Counts and moments as of `_starts`, one component after the other, in sums whose order is fixed."""
    xp, centres = namespace_of(y), np.unique(seeds.centres, return_index=True)
    y = in_chunks(y)
    place = xp.searchsorted(xp.asarray(midpoints(centres[0])), y.ravel(), side="right").reshape(y.shape)
    place = xp.where(xp.isfinite(y), place, -1)
    counts, first, second = ([xp.zeros(len(y))] * len(seeds.centres) for _ in range(3))
    for position, (centre, k) in enumerate(zip(*map(np.ndarray.tolist, centres), strict=True)):
        counts[k], first[k], second[k] = sums_where(place == position, y, centre)
    return xp.stack([*counts, *first, *second], axis=1)


# -- starts of an estimator: hard or soft, of any number of features


def start_statistics(engine: Engine, rows: Rows, start: RowStart, centre: Floats, *, diagonal: bool) -> Statistics:
    """Sums over the rows of a start's responsibilities, in the fit's coordinates, with an axis of features.

    Parameters
    ----------
    engine : Engine
        Engine that adds up rows outside the host's memory.
    rows : Rows
        The rows.
    start : RowStart
        The responsibilities.
    centre : ndarray of shape (D,)
        Origin of the fit's coordinates.
    diagonal : bool
        Whether products of different features are left out.
    """
    k, d = start.reference.shape
    counts, first, second = np.zeros(k), np.zeros((k, d)), np.zeros((k, d) if diagonal else (k, d, d))
    if rows.spread or rows.foreign:
        return _start_where_rows_lie(engine, rows, start, centre, diagonal=diagonal)
    one_by_one = replace(rows, pool=None)  # they are drawn in row order
    for block in one_by_one.each(lambda block: block):
        y = from_centre(block.array, centre)
        responsibilities = start.responsibilities(block, y)
        for component in range(k):
            share = _weighted_share(responsibilities, component, block.weight)
            sums = _component_sums(
                y, share, start.reference[component], hard=responsibilities.ndim == 1, diagonal=diagonal
            )
            counts[component] += sums[0]
            first[component] += sums[1]
            second[component] += sums[2]
    return Statistics(start.reference, counts, first, second, 0.0)


def point_statistics(start: PointStart, moments: Moments, centre: Floats, form: CovarianceType) -> Statistics:
    """`start_statistics` of components that have one row each, for covariances of a form; `moments` are all rows'."""
    k, d = start.reference.shape
    none = np.zeros((k, d, d) if form in MATRICES else (k, d))
    second = _shared_squares(start, moments, centre) if form == "tied" else none
    return Statistics(start.reference, np.ones(k), np.zeros((k, d)), second, 0.0)


def _shared_squares(start: PointStart, moments: Moments, centre: Floats) -> Floats:
    """Second moments of a start from points with a shared covariance, shape (K, D, D): all squares less the points'.

    scikit-learn takes the rows' squares whole, though only the points have a component; about 0, so that an offset
    counts, and here about the mean where the offset would cost digits.
    """
    k = len(start.reference)
    mean, total = moments.mean, moments.total
    is_far = moments.are_far_from_zero
    points = start.reference + centre
    offset, points = (np.zeros_like(mean), points - mean) if is_far else (mean, points)
    squares = moments.scatter + total * np.outer(offset, offset) - points.T @ points
    return np.repeat(squares[None] / k, k, axis=0)


def _weighted_share(responsibilities: Array, component: int, weight: Array | None) -> Array:
    """Share that a component has of each row, by labels or responsibilities, times the row's weight."""
    xp = namespace_of(responsibilities)
    share = (
        xp.astype(responsibilities == component, xp.float64)
        if responsibilities.ndim == 1
        else responsibilities[:, component]
    )
    return share if weight is None else share * weight


def _component_sums(
    y: Floats, share: Floats, reference: Floats, *, hard: bool, diagonal: bool
) -> tuple[float, Floats, Floats]:
    if hard:  # only the component's rows are touched
        members = np.flatnonzero(share)
        y, share = y[members], share[members]
    d = y - reference
    rd = share[:, None] * d
    second = np.sum(rd * d, axis=0) if diagonal else rd.T @ d
    return float(np.sum(share)), np.asarray(np.sum(rd, axis=0)), np.asarray(second)


def _start_where_rows_lie(engine: Engine, rows: Rows, start: RowStart, centre: Floats, *, diagonal: bool) -> Statistics:
    """`start_statistics` by E-steps: a lone component has all of each row, and shares of the start are the weights.

    Chunk by chunk, so that bits do not depend on the parts; few sums come to the host.
    """
    k, d = start.reference.shape
    flat = np.zeros((1, d) if diagonal else (1, d, d))
    tables = [GaussianTable(centre, point[None], flat, np.zeros(1)) for point in start.reference]

    values = BLOCK_VALUES if isinstance(start, RandomStart) else START_VALUES
    width = k * tables[0].width
    total = rows.sums(engine, partial(_sums_of_start, start, tables), width, values).total.reshape(k, 1, -1)
    by_component = [gaussian_statistics(sums, table) for sums, table in zip(total, tables, strict=True)]
    counts, first, second = (
        np.concatenate([getattr(statistics, n) for statistics in by_component]) for n in ("counts", "first", "second")
    )
    return Statistics(start.reference, counts, first, second, 0.0)


def _sums_of_start(start: RowStart, tables: Sequence[GaussianTable], engine: Engine, block: Rows) -> Array:
    """Sums of the E-steps of the components, each alone, over some rows."""
    xp = namespace_of(block.array)
    responsibilities = start.responsibilities(block, from_centre(block.array, tables[0].centre))
    shares = (_weighted_share(responsibilities, k, block.weight) for k in range(len(tables)))
    sums = [engine.e_step_features(block.array, share, table) for share, table in zip(shares, tables, strict=True)]
    return xp.reshape(xp.stack(sums, axis=1), (sums[0].shape[0], len(tables) * tables[0].width))


# -- summaries of rows with weights or without


def summarise_repeated(engine: Engine, x: Array, weight: Array, grid: Grid) -> Summary:
    """Summary of rows that are repeated, equal to the bit to that of the repeated rows.

    Rows whose weight has bit b are summarised together, and count 2^b times.

    Parameters
    ----------
    engine : Engine
        Compute engine.
    x : array of shape (rows,), float64
        Values.
    weight : array of shape (rows,), float64
        Whole numbers, where the values lie.
    grid : Grid
        The grid to use.
    """
    times = weight.astype(np.int64)
    total = Summary.empty(grid)
    for bit in range(int(times.max()).bit_length() if len(times) else 0):
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
        cell, index = np.unique(grid.cells_of(y), return_inverse=True)
        d = y - values_of(grid.geometry(cell).low)[index]
        total, first, second = (
            np.bincount(index, part, len(cell)).astype(np.float64) for part in (weight, weight * d, weight * d * d)
        )
        return cls(grid, cell, total, first, second)

    def merge(self, summary: WeightedSums) -> WeightedSums:
        """Sums of both sets of rows."""
        cell = np.union1d(self.cell, summary.cell)
        sums = np.zeros((3, len(cell)))
        for part in (self, summary):
            sums[:, np.searchsorted(cell, part.cell)] += (part.weight, part.first, part.second)
        return WeightedSums(self.grid, cell, *sums)

    def masses(self) -> None:
        """None: a finer grid needs counts of rows, which are not known."""

    def cells(self) -> Cells:
        """The occupied cells as numbers."""
        low = self.grid.geometry(self.cell).low
        shift = self.first / self.weight
        scatter = np.maximum(self.second - shift * self.first, 0.0)
        label = self.grid.labels(self.cell, low)
        order = np.lexsort((label, low))
        mean, parent = values_of(low) + shift, self.grid.unsplit(self.cell)
        return Cells(mean[order], self.weight[order], scatter[order], label[order], parent[order], np.zeros(len(order)))


def summarise_rows(engine: Engine, rows: Rows, grid: Grid) -> Summary | WeightedSums:
    """Sums of all rows that count over the cells of a grid, in one scan."""
    whole_weights = rows.weight is None or are_whole(rows.weight)
    return rows.merged(engine, partial(_summarise_part, grid, whole_weights=whole_weights))


def _summarise_part(grid: Grid, engine: Engine, block: Rows, *, whole_weights: bool) -> Summary | WeightedSums:
    """Sums of some rows over the cells of a grid; `whole_weights` says whether all weights are whole numbers."""
    numbers, weight = column_for(engine, block)
    if weight is None:
        return engine.summarise(numbers, grid)
    numbers, weight = numbers[weight > 0], weight[weight > 0]
    if whole_weights:
        return summarise_repeated(engine, numbers, weight, grid)
    return WeightedSums.of(to_numpy(numbers).astype(np.float64, copy=False), to_numpy(weight), grid)

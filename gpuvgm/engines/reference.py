"""The reference engine: the formulas in NumPy float64, as printed. Every other engine is tested against it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import Array
from gpuvgm.config import CHUNK_ROWS
from gpuvgm.engines import multivariate
from gpuvgm.engines.base import CellEM, OnehotPart, ReadPart, RunningSummary
from gpuvgm.engines.hold import HoldTable, hold
from gpuvgm.engines.multivariate import GaussianTable
from gpuvgm.engines.philox import philox_uniforms, philox_words
from gpuvgm.engines.reference32 import transform_float32
from gpuvgm.engines.running import MergedSummary
from gpuvgm.engines.tables import (
    Draw,
    DrawTable,
    Float32Table,
    Floats32,
    InverseTable,
    KernelTable,
    PriorTable,
    Step,
    float32_uniforms,
)
from gpuvgm.summary.grid import Floats, Grid, Ints
from gpuvgm.summary.summary import Cells, Summary

LN_2 = np.log(2.0)
SMALLEST_FLOAT32 = float(np.finfo(np.float32).tiny)


class ReferenceEngine:
    """Row loops in NumPy: slow, short, and right by inspection."""

    name = "reference"

    def summarise(self, x: Floats, grid: Grid, step: Step | None = None) -> Summary:
        """Summary of rows; see `Engine.summarise`."""
        return replace(Summary.from_array(x, grid), off_step=0 if step is None else step.count_off(x))

    def running_summary(self, grid: Grid, step: Step | None = None) -> RunningSummary:
        """The summary of no rows yet; see `Engine.running_summary`."""
        return MergedSummary(self.summarise, grid, step)

    def e_step(self, x: Floats, weight: Floats | None, scatter: Floats | None, table: KernelTable) -> Floats:
        """Sums of responsibilities; see `Engine.e_step`."""
        weight = np.ones(len(x)) if weight is None else weight
        chunks = []
        for start in range(0, len(x), CHUNK_ROWS):
            part = slice(start, start + CHUNK_ROWS)
            ordinary = np.isfinite(x[part])
            y, n = table.frame.apply(x[part][ordinary]), weight[part][ordinary]
            m2 = np.zeros(len(y)) if scatter is None else scatter[part][ordinary]
            chunks.append(_sums(y, n, m2, table))
        return np.array(chunks).reshape(len(chunks), 3 * len(table.means) + 1)

    def em(self, cells: Cells, prior: PriorTable, *, sound: bool) -> CellEM | None:
        """None: Python's loop over E-steps is the reference; see `Engine.em`."""
        return None

    def count_most_probable(self, x: Floats, weight: Floats | None, table: KernelTable) -> Floats:
        """Weight by most probable component; see `Engine.count_most_probable`."""
        ordinary = np.isfinite(x)
        best = np.argmax(_log2_density(table.frame.apply(x[ordinary]), table), axis=0)
        weight = np.ones(len(x)) if weight is None else weight
        return np.bincount(best, weight[ordinary], len(table.means)).astype(np.float64)

    def e_step_features(self, x: Array, weight: Array | None, table: GaussianTable) -> Array:
        """Sums of responsibilities over several features; see `Engine.e_step_features`."""
        return multivariate.e_step(x, weight, table)

    def log_prob(self, x: Array, table: GaussianTable) -> Array:
        """Log densities over several features; see `Engine.log_prob`."""
        return multivariate.log_prob(x, table)

    def transform(
        self, x: Floats, table: DrawTable, draw: Draw, scalar: Floats, cell: NDArray[np.unsignedinteger]
    ) -> None:
        """Scalar and cell of every row; see `Engine.transform`."""
        if table.precision == "float32":
            transform_float32(x, Float32Table.of(table), _float32_uniforms_of(draw, len(x)), scalar, cell)
            return
        ordinary = np.isfinite(x)
        y = table.mixture.frame.apply(np.where(ordinary, x, 0.0))
        mode = self._modes(y, table, draw)
        z = (y - table.mixture.means[mode]) / table.widths[mode]
        z = np.clip(z, -table.limit, table.limit)
        z[np.abs(z) < SMALLEST_FLOAT32] = 0.0
        scalar[:] = np.where(ordinary, z, 0.0)
        # a missing row of a column without a missing cell is refused by the caller: 0 is only a placeholder
        cell[:] = np.where(ordinary, table.cells[mode], max(table.missing_cell, 0)).astype(cell.dtype)

    def _modes(self, y: Floats, table: DrawTable, draw: Draw) -> NDArray[np.int64]:
        active = len(table.widths)
        density = _log2_density(y, table.mixture)
        if draw.most_probable:
            return np.asarray(np.argmax(density[:active], axis=0))
        share = np.exp2(density - np.max(density, axis=0))
        share = share[:active] + table.floor * np.sum(share, axis=0)
        cumulative = np.cumsum(share, axis=0)
        uniforms = philox_uniforms(draw, len(y)) if draw.uniforms is None else draw.uniforms
        return np.asarray(np.sum(cumulative[:-1] <= uniforms * cumulative[-1], axis=0))

    def hold(
        self,
        numbers: Floats,
        scalar: Floats,
        cell: NDArray[np.unsignedinteger],
        table: HoldTable,
        off_step: NDArray[np.bool_] | Step | None,
    ) -> Ints:
        """Modes that hold their rows; see `Engine.hold`."""
        return hold(numbers, scalar, cell, table, off_step)

    def inverse_transform(
        self, scalar: Floats, cell: NDArray[np.unsignedinteger], table: InverseTable, out: Floats
    ) -> tuple[int, bool]:
        """Numbers of every row; see `Engine.inverse_transform`."""
        unknown = np.flatnonzero(cell >= len(table.means))
        if len(unknown):
            return int(unknown[0]), False
        kept = np.clip(scalar.astype(np.float64), -table.limit, table.limit)
        out[:] = table.frame.invert(kept * table.widths[cell] + table.means[cell])
        return -1, False

    def fill_onehot(self, parts: Sequence[OnehotPart], out: Floats) -> None:
        """Rows of the onehot layout; see `Engine.fill_onehot`."""
        out[:] = 0
        start = 0
        for scalar, cell, cells in parts:
            if scalar is not None:
                out[:, start] = scalar
                start += 1
            if cell is not None:
                row = np.flatnonzero(cell < cells)
                out[row, start + cell[row].astype(np.int64)] = 1
            start += cells

    def read_onehot(self, matrix: Floats, parts: Sequence[ReadPart]) -> None:
        """Scalars and cells of rows of the onehot layout; see `Engine.read_onehot`."""
        start = 0
        for scalar, cell, order, zero_is_none in parts:
            if scalar is not None:
                scalar[:] = matrix[:, start]
                start += 1
            if cell is not None:
                cells = matrix[:, start : start + len(order)]
                found = order[np.argmax(cells[:, order], axis=1)]
                cell[:] = np.where(zero_is_none & ~np.any(cells != 0, axis=1), len(order), found).astype(cell.dtype)
            start += len(order)


def _log2_density(y: Floats, table: KernelTable) -> Floats:
    """log2 of weight times density, shape (K, rows)."""
    deviation = y - table.means[:, None]
    return np.asarray(table.coefficients[:, None] - table.half_precisions[:, None] * deviation * deviation)


def _sums(y: Floats, n: Floats, m2: Floats, table: KernelTable) -> Floats:
    """One chunk's row of `Engine.e_step`, to second order in the scatter m2."""
    density = _log2_density(y, table)
    top = np.max(density, axis=0, initial=-np.inf)
    share = np.exp2(density - top)
    total = np.sum(share, axis=0)
    r = share / total
    precision = (2 * LN_2 * table.half_precisions)[:, None]
    d = y - table.means[:, None]
    slope = -precision * d
    mean_slope = np.sum(r * slope, axis=0)
    curve = np.sum(r * (slope**2 - precision), axis=0)
    r1 = r * (slope - mean_slope)
    r2 = r * (slope**2 - precision) - 2 * mean_slope * r1 - r * curve
    count = n * r + 0.5 * m2 * r2
    first = d * count + m2 * r1
    second = d**2 * count + 2 * d * m2 * r1 + m2 * r
    log_norm = n * (top + np.log2(total)) + 0.5 * m2 * (curve - mean_slope**2) / LN_2
    return np.concatenate((count.sum(axis=1), first.sum(axis=1), second.sum(axis=1), [log_norm.sum()]))


def _float32_uniforms_of(draw: Draw, rows: int) -> Floats32 | None:
    """Uniforms for the float32 specification, of the words' upper 23 bits; None where nothing is drawn."""
    if draw.most_probable:
        return None
    if draw.uniforms is not None:
        return float32_uniforms(draw.uniforms)
    return np.asarray(((philox_words(draw, rows) >> np.uint64(9)).astype(np.float64) + 0.5) * 2.0**-23, np.float32)

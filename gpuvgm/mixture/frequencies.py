"""Summaries of weighted rows: a whole weight stands for so many equal rows, any other is summed in float64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gpuvgm.engines import Engine
from gpuvgm.summary.grid import Floats, Grid, Ints, keys_of, values_of
from gpuvgm.summary.summary import Cells, Summary


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

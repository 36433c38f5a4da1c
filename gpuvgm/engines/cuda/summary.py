"""Summaries on the device: rows are added to the cells of a grid in integers, a window of rows at a time."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from gpuvgm.engines.cuda.device import Device
from gpuvgm.engines.cuda.programs import C_TYPES, SHORT, Parameter, Program, value, written
from gpuvgm.summary.grid import ENTRIES, NO_HOT_KEY, OUTER_CELLS, Grid, Keys, values_of
from gpuvgm.summary.summary import Summary, check_range

WINDOW_ROWS = (1 << 22) - 4096  # rows whose count and first moment fit one 64-bit word of a cell
WINDOWS = 5  # of a launch; a multiprocessor has a block of each at a time
TRIAL_ROWS = 1 << 16  # rows that are added first, to see which cells are frequent
FREQUENT_SHARE = 1024  # a cell with one row in so many is frequent
SLOTS = 1024
SEVERAL = (1 << 32) - 1  # more than one split cell has this slot
LEAST_ROWS_EACH = 4096  # rows that a block is worth starting for
_CELLS = ("vgm_math.cuh", "cuda/block.cuh", "cuda/cell_table.cuh")


@cache
def rows_program(x: str) -> Program:
    """Program that adds a window of rows of this type to a table of cells."""
    return Program(
        name=f"gpuvgm_summarise_{SHORT[x]}",
        sources=(*_CELLS, "cuda/block_rows.cuh", "cuda/quad.cuh", "cuda/summarise.cuh"),
        constants=(("GPUVGM_VALUE", C_TYPES[x]),),
        parameters=(
            Parameter(x, "x"),
            value("int64", "first"),
            value("int64", "rows"),
            value("int32", "window_rows"),
            value("int32", "window_blocks"),
            value("float64", "scale"),
            value("float64", "centre"),
            Parameter("uint64", "directory"),
            Parameter("uint64", "midpoints"),
            Parameter("uint32", "parents"),
            value("int32", "split_count"),
            value("uint32", "cells"),
            Parameter("uint64", "frequent"),
            Parameter("uint32", "split_cells"),
            value("uint64", "hot_key"),
            value("uint32", "hot_cell"),
            value("uint32", "hot_position"),
            written("uint64", "tables"),
            written("uint64", "totals"),
            written("uint64", "tally"),
        ),
    )


@cache
def carry_program() -> Program:
    """Program that moves the windows' sums into the totals."""
    return Program(
        name="gpuvgm_carry",
        sources=(*_CELLS, "cuda/carry.cuh"),
        constants=(),
        parameters=(
            value("uint32", "inner"),
            value("int32", "windows"),
            written("uint64", "tables"),
            written("uint64", "totals"),
        ),
    )


@cache
def frequent_program() -> Program:
    """Program that finds the frequent cells."""
    return Program(
        name="gpuvgm_frequent",
        sources=(*_CELLS, "cuda/frequent.cuh"),
        constants=(),
        parameters=(
            value("uint32", "cells"),
            value("uint64", "least_rows"),
            Parameter("uint64", "totals"),
            written("uint64", "frequent"),
        ),
    )


def programs() -> list[Program]:
    """The variants that compile tests look at."""
    return [rows_program("float64"), rows_program("float32"), carry_program(), frequent_program()]


def summarise(device: Device, x: Any, grid: Grid) -> Summary:
    """Summary of rows on the device; see `Engine.summarise`.

    Parameters
    ----------
    device : Device
        Where the rows lie.
    x : array of shape (rows,), float32 or float64
        The rows.
    grid : Grid
        Cells to sum over.
    """
    table = CellTable(device, grid)
    table.add(x)
    return table.summary(len(x))


class CellTable:
    """The cells of a grid on the device, and what was added to them.

    Parameters
    ----------
    device : Device
        Where rows lie.
    grid : Grid
        Cells to sum over.
    window_rows : int
        Rows of a window, at most `WINDOW_ROWS`.
    trial_rows : int
        Rows that are added first, to see which cells are frequent.
    """

    def __init__(
        self, device: Device, grid: Grid, window_rows: int = WINDOW_ROWS, trial_rows: int = TRIAL_ROWS
    ) -> None:
        self._device, self._grid, xp = device, grid, device.xp
        self._window_rows, self._trial_rows = window_rows, trial_rows
        splits = grid.splits
        self._inner = grid.inner_cells + len(splits.parent)
        self._tables = xp.zeros((WINDOWS, self._inner, 2), np.uint64)
        self._totals = xp.zeros((OUTER_CELLS + self._inner, 4), np.uint64)
        self._frequent = xp.zeros(SLOTS, np.uint64)
        self._tally = xp.asarray(np.array([0, 0, NO_HOT_KEY, 0], np.uint64))
        self._added = 0
        # arguments for the parameters `scale` to `hot_position`
        self._fixed = [
            grid.frame.scale,
            grid.frame.centre,
            xp.asarray(grid.directory.view(np.uint64).reshape(ENTRIES, 2)),
            xp.asarray(splits.midpoint),
            xp.asarray(splits.parent.astype(np.uint32)),
            len(splits.parent),
            OUTER_CELLS + self._inner,
            self._frequent,
            xp.asarray(_split_cells(splits.parent)),
            grid.hot_key,
            *_place_of_hot_key(grid),
        ]

    def add(self, x: Any) -> None:
        """Add rows of the device, float32 or float64; nothing is waited for."""
        start = 0
        while start < len(x):
            trial = self._trial_rows - self._added
            rows = min(len(x) - start, trial if trial > 0 else WINDOWS * self._window_rows)
            self.add_rows(x, start, rows)
            start += rows
            if trial > 0 and rows == trial:
                self._find_frequent()

    def add_rows(self, x: Any, first: int, rows: int) -> None:
        """Add `rows` rows of `x` from row `first` on, at most `WINDOWS` windows."""
        blocks = self._device.multiprocessors
        windows = max(-(-rows // self._window_rows), min(WINDOWS, rows // (blocks * LEAST_ROWS_EACH)), 1)
        window_rows = -(-rows // windows)
        window_blocks = max(1, min(blocks, window_rows // LEAST_ROWS_EACH))
        windows = -(-rows // window_rows)
        arguments = [x, first, rows, window_rows, window_blocks, *self._fixed, self._tables, self._totals, self._tally]
        self._device.run_blocks(rows_program(x.dtype.name), windows * window_blocks, arguments)
        self._carry(windows)
        self._added += rows

    def _carry(self, windows: int) -> None:
        arguments = [self._inner, windows, self._tables, self._totals]
        self._device.run_blocks(carry_program(), self._blocks_for(self._inner), arguments)

    def _find_frequent(self) -> None:
        least_rows = max(2, self._added // FREQUENT_SHARE)
        cells = OUTER_CELLS + self._inner
        arguments = [cells, least_rows, self._totals, self._frequent]
        self._device.run_blocks(frequent_program(), self._blocks_for(cells), arguments)

    def _blocks_for(self, cells: int) -> int:
        """Blocks of a program that walks over so many cells."""
        return min(-(-cells // 256), 8 * self._device.multiprocessors)

    def summary(self, rows: int) -> Summary:
        """Summary of all rows added, of which there must be `rows`.

        Raises
        ------
        InputError
            For finite rows that overflow in the grid's frame.
        """
        occupied = self._device.xp.flatnonzero(self._totals[:, 0])
        cell = self._device.to_host(occupied).astype(np.int64)
        count, first, second, second_high = np.ascontiguousarray(self._device.to_host(self._totals[occupied]).T)
        tally = self._device.to_host(self._tally)
        missing, infinite = int(tally[0]), int(tally[1])
        ends = _ends(tally[2:])
        summary = Summary(self._grid, cell, count, first, second, second_high, missing, infinite, *ends)
        check_range(summary.ordinary, rows - missing - infinite)
        return summary


def _ends(keys: Keys) -> tuple[float, float]:
    """Smallest and largest value by their keys; inf and -inf where there was no finite one."""
    if keys[0] > keys[1]:
        return np.inf, -np.inf
    low, high = values_of(keys)
    return float(low) + 0.0, float(high) + 0.0


def _split_cells(parents: Keys) -> Any:
    """For every slot the split cell that has it, 0 where there is none, or `SEVERAL`; shape (SLOTS,)."""
    slots = np.zeros(SLOTS, np.uint32)
    for parent in np.unique(parents).tolist():
        slots[parent % SLOTS] = SEVERAL if slots[parent % SLOTS] else parent
    return slots


def _place_of_hot_key(grid: Grid) -> tuple[int, int]:
    """Cell and position of rows with the hot key."""
    if grid.hot_key == NO_HOT_KEY:
        return 0, 0
    key = np.array([grid.hot_key], np.uint64)
    cell, position = grid.locate(key)
    return int(grid.split(cell, key)[0]), int(position[0])

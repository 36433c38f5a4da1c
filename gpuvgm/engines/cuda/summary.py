"""Summaries on the device: rows are added to the cells of a grid in integers, a window of rows at a time."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from functools import cache
from threading import Lock
from typing import Any
from weakref import WeakSet

import numpy as np

from gpuvgm.engines.base import Engine, RunningSummary
from gpuvgm.engines.cuda.device import Device
from gpuvgm.engines.cuda.programs import C_TYPES, SHORT, Parameter, Program, value, written
from gpuvgm.engines.cuda.rows import QUAD
from gpuvgm.engines.tables import Step
from gpuvgm.summary.grid import ENTRIES, NO_HOT_KEY, OUTER_CELLS, Grid, Keys, values_of
from gpuvgm.summary.summary import Summary, check_range

WINDOW_ROWS = (1 << 22) - 4096  # rows whose count and first moment fit one 64-bit word of a cell
WINDOWS = 5  # of a launch; a multiprocessor has a block of each at a time
TRIAL_ROWS = 1 << 16  # rows that are added first, to see which cells are frequent
FREQUENT_SHARE = 1024  # a cell with one row in so many is frequent
SLOTS = 1024
SEVERAL = (1 << 32) - 1  # more than one split cell has this slot
LEAST_ROWS_EACH = 4096  # rows that a block is worth starting for
SEGMENT = 1024  # cells that a block of a walk over them takes at a time
GATHERED = 1 << 16  # occupied cells that are taken out of a table at a time
OCCUPIED, OFF_STEP = 4, 5  # where these numbers stand, after what else is counted apart from cells
APART = 8  # numbers that are
FIRST_GUESS = 1 << 14  # occupied cells that come to the host with what is counted apart, and no wait of their own
LEAST_INNER = 1 << 16  # inner cells that there is room for, so that most columns share what one had
GRIDS = 64  # grids that are kept, of 1 MiB each
ROOMS = 4  # rooms that are kept, of 140 MB and more each
LENT_SHARE = 1 / 16  # of the memory that is free: rooms that rows of several blocks are added to at a time
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
            Parameter("uint32", "split_cells"),
            value("uint64", "hot_key"),
            value("uint32", "hot_cell"),
            value("uint32", "hot_position"),
            Parameter("uint64", "frequent"),
            written("uint64", "tables"),
            written("uint64", "totals"),
            written("uint32", "touched"),
            written("uint64", "apart"),
        ),
    )


#: Moves the windows' sums into the totals.
CARRY = Program(
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


#: Finds the frequent cells.
FREQUENT = Program(
    name="gpuvgm_frequent",
    sources=(*_CELLS, "cuda/frequent.cuh"),
    constants=(),
    parameters=(
        value("uint32", "cells"),
        value("uint64", "least_rows"),
        Parameter("uint32", "touched"),
        Parameter("uint64", "totals"),
        written("uint64", "frequent"),
    ),
)


#: Takes the occupied cells out of the totals.
GATHER = Program(
    name="gpuvgm_gather",
    sources=(*_CELLS, "cuda/gather.cuh"),
    constants=(),
    parameters=(
        value("uint32", "cells"),
        value("uint32", "room"),
        Parameter("uint32", "touched"),
        written("uint64", "totals"),
        written("uint64", "gathered"),
        written("uint64", "occupied"),
    ),
)


@cache
def off_step_program(x: str) -> Program:
    """Program that counts the rows of this type that are no multiples of a step, four of them a thread."""
    return Program(
        name=f"gpuvgm_off_step_{SHORT[x]}",
        sources=("vgm_math.cuh", "vgm_step.cuh", "cuda/block.cuh", "cuda/quad.cuh", "cuda/off_step.cuh"),
        constants=(("GPUVGM_ROWS", str(QUAD)),),
        parameters=(
            Parameter(x, "x"),
            value("int64", "rows"),
            value("float64", "step"),
            value("float64", "parts"),
            value("int32", "bits"),
            written("uint64", "off"),
        ),
        operation="gpuvgm::count_off_step(i, &x[0], rows, step, parts, bits, &off[0])",
    )


class Room:
    """Memory for the cells of a table, whose sums are zero outside of its use.

    Parameters
    ----------
    xp : module
        CuPy.
    inner : int
        Inner cells and parts that there is room for.

    Attributes
    ----------
    tables : array of shape (WINDOWS * inner, 2), uint64
        Sums of the inner cells, a window of rows each.
    totals : array of shape (OUTER_CELLS + inner, 4), uint64
        Sums of all cells.
    frequent : array of shape (SLOTS,), uint64
        The frequent cells.
    touched : array of shape (OUTER_CELLS / SEGMENT,), uint32
        1 for every segment of the outer cells that a row fell into.
    results : array of shape (APART + 5 * GATHERED,), uint64
        Counts apart from cells, and the cells last taken out of the totals.
    apart, occupied, off_step, gathered : array
        Parts of them.
    nbytes : int
        About its memory.
    """

    def __init__(self, xp: Any, inner: int) -> None:
        self.inner = inner
        self.tables = xp.zeros((WINDOWS * inner, 2), np.uint64)
        self.totals = xp.zeros((OUTER_CELLS + inner, 4), np.uint64)
        touched = OUTER_CELLS // SEGMENT // 2
        fresh = np.zeros(SLOTS + touched + APART, np.uint64)
        fresh[SLOTS + touched + 2] = NO_HOT_KEY  # above the key of every row
        words = xp.empty(len(fresh) + 5 * GATHERED, np.uint64)
        self._fresh, self._start_words = xp.asarray(fresh), words[: len(fresh)]
        self.frequent, self.touched = words[:SLOTS], words[SLOTS : SLOTS + touched].view(np.uint32)
        self.results, self.gathered = words[SLOTS + touched :], words[len(fresh) :]
        self.nbytes = self.tables.nbytes + self.totals.nbytes
        self.occupied, self.off_step = self.results[OCCUPIED:OFF_STEP], self.results[OFF_STEP:APART]

    def begin(self) -> None:
        """Make it ready for rows."""
        self._start_words[...] = self._fresh


class GridOnDevice:
    """Grid, and the arguments of it that kernels read.

    Parameters
    ----------
    xp : module
        CuPy.
    grid : Grid
        The grid.

    Attributes
    ----------
    inner, cells : int
        Inner cells and parts; all cells.
    guess : int
        About how many cells rows occupy.
    arguments : list
        Arguments of the parameters `scale` to `hot_position` of the program.
    """

    def __init__(self, xp: Any, grid: Grid) -> None:
        splits = grid.splits
        self.grid, self.inner = grid, grid.inner_cells + len(splits.parent)
        self.cells, self.guess = OUTER_CELLS + self.inner, FIRST_GUESS
        self.arguments = [
            grid.frame.scale,
            grid.frame.centre,
            xp.asarray(grid.directory().view(np.uint64).reshape(ENTRIES, 2)),
            xp.asarray(splits.midpoint),
            xp.asarray(splits.parent.astype(np.uint32)),
            len(splits.parent),
            self.cells,
            xp.asarray(_split_cells(splits.parent)),
            grid.hot_key,
            *_place_of_hot_key(grid),
        ]


class CellTables:
    """Tables of cells on a device. Memory and grids are kept for the next one.

    The outer cells of a table take 128 MiB, which would be allocated and set to zero for each column of each block.

    Parameters
    ----------
    device : Device
        Where rows lie.
    """

    def __init__(self, device: Device) -> None:
        self.device, self._lock = device, Lock()
        self._rooms: dict[int, list[Room]] = {}  # by device
        # By device; weakly, since whoever fails drops its room.
        self._rooms_in_use: defaultdict[int, WeakSet[Room]] = defaultdict(WeakSet)
        self._grids: OrderedDict[tuple[int, str], GridOnDevice] = OrderedDict()

    def summarise(self, x: Any, grid: Grid, step: Step | None = None) -> Summary:
        """Summary of rows on the device; see `Engine.summarise`.

        Parameters
        ----------
        x : array of shape (rows,), float32 or float64
            The rows.
        grid : Grid
            Cells to sum over.
        step : Step, optional
            Count the rows that are no multiples of it.
        """
        table = self.lend(grid, step)
        table.add(x)
        return self.summary(table, len(x))

    def lend(self, grid: Grid, step: Step | None = None) -> CellTable:
        """An empty table on the device that is current here.

        Parameters
        ----------
        grid : Grid
            Cells to sum over.
        step : Step, optional
            Count the rows that are no multiples of it.
        """
        number, xp = self.device.current, self.device.xp
        with self._lock:
            device_grid = self._grids.pop((number, grid.fingerprint), None)
            room = self._rooms[number].pop() if self._rooms.get(number) else None
        device_grid = device_grid or GridOnDevice(xp, grid)
        if room is None or room.inner < device_grid.inner:
            room = None  # its memory first
            room = Room(xp, max(device_grid.inner, LEAST_INNER))
        with self._lock:
            self._rooms_in_use[number].add(room)
        return CellTable(self.device, device_grid, room, step)

    @property
    def are_many(self) -> bool:
        """Return whether the tables in use take more than their share of free memory; one alone never does."""
        with self._lock:
            sizes = [room.nbytes for room in self._rooms_in_use[self.device.current]]
        return len(sizes) > 1 and sum(sizes) > LENT_SHARE * (self.device.free_memory + sum(sizes))

    def summary(self, table: CellTable, rows: int) -> Summary:
        """Summary of all rows added to a table, of which there must be `rows`; the table is taken back.

        Raises
        ------
        InputError
            For finite rows that overflow in the grid's frame.
        """
        number, summary = self.device.current, table.summary()
        with self._lock:  # all work on it is done, so that it may go to any thread and stream
            self._rooms_in_use[number].discard(table.room)
            rooms = self._rooms.setdefault(number, [])
            if table.is_reusable and len(rooms) < ROOMS:
                rooms.append(table.room)
            self._grids[number, table.grid.grid.fingerprint] = table.grid
            if len(self._grids) > GRIDS:
                self._grids.popitem(last=False)
        check_range(summary.ordinary, rows - summary.missing - summary.infinite)
        return summary

    def release(self) -> None:
        """Give back rooms and grids that are kept."""
        with self._lock:
            self._rooms.clear()
            self._grids.clear()


class DeviceSummary(RunningSummary):
    """Adds rows of the device to one table of cells, which stays there until the summary is asked for.

    Where many tables are lent, a block's cells come to the host at once, as do those of rows of the host.

    Parameters
    ----------
    engine : Engine
        Engine that summarises blocks of the host.
    tables : CellTables
        The tables of the device.
    grid : Grid
        Cells to sum over.
    step : Step, optional
        Count the rows that are no multiples of it.
    """

    def __init__(self, engine: Engine, tables: CellTables, grid: Grid, step: Step | None) -> None:
        super().__init__(engine, grid, step)
        self._tables, self._rows = tables, 0
        self._table: CellTable | None = None

    def add(self, x: Any) -> None:
        """Add rows; see `RunningSummary.add`."""
        if not self._tables.device.is_resident(x):
            super().add(x)
            return
        if self._table is None:
            self._table = self._tables.lend(self._grid, self._step)
        try:
            self._table.add(x)
        except BaseException:  # its sums may be anything: `rows` tells whether they are right, and no one has it next
            self._table.is_reusable = False
            raise
        self._rows += len(x)
        if self._tables.are_many:
            self._take()

    def summary(self) -> Summary:
        """Summary of all rows added."""
        self._take()
        return super().summary()

    def _take(self) -> None:
        """Take the cells to the host, and give the table back."""
        table, rows, self._table, self._rows = self._table, self._rows, None, 0
        if table is not None:
            self._merged = self._merged.merge(self._tables.summary(table, rows))


class CellTable:
    """Cells of a grid on the device, and the sums of rows added.

    Parameters
    ----------
    device : Device
        Where rows lie.
    grid : GridOnDevice
        Cells to sum over.
    room : Room
        Memory of the sums.
    step : Step, optional
        Count the rows that are no multiples of it, which must be one of float64 or float32.
    window_rows : int
        Rows of a window, at most `WINDOW_ROWS`.
    trial_rows : int
        Rows that are added first, to see which cells are frequent.

    Attributes
    ----------
    is_reusable : bool
        Whether another table may have its room next.
    """

    def __init__(
        self,
        device: Device,
        grid: GridOnDevice,
        room: Room,
        step: Step | None = None,
        *,
        window_rows: int = WINDOW_ROWS,
        trial_rows: int = TRIAL_ROWS,
    ) -> None:
        self._device, self.grid, self.room, self._step = device, grid, room, step
        self._window_rows, self._trial_rows = window_rows, trial_rows
        self._added, self.is_reusable = 0, True
        room.begin()

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
        if self._step is not None:
            self._count_off_step(x, self._step)

    def _count_off_step(self, x: Any, step: Step) -> None:
        arguments = [x, len(x), step.numerator, step.denominator, step.bits, self.room.off_step]
        self._device.run_rows(off_step_program(x.dtype.name), arguments, -(-len(x) // QUAD))

    def add_rows(self, x: Any, first_row: int, rows: int) -> None:
        """Add `rows` rows of `x` from row `first_row` on, at most `WINDOWS` windows."""
        blocks = self._device.multiprocessors
        windows = max(-(-rows // self._window_rows), min(WINDOWS, rows // (blocks * LEAST_ROWS_EACH)), 1)
        window_rows = -(-rows // windows)
        window_blocks = max(1, min(blocks, window_rows // LEAST_ROWS_EACH))
        windows = -(-rows // window_rows)
        room, launch = self.room, [x, first_row, rows, window_rows, window_blocks]
        sums = [room.frequent, room.tables, room.totals, room.touched, room.results]
        arguments = [*launch, *self.grid.arguments, *sums]
        self._device.run_blocks(rows_program(x.dtype.name), windows * window_blocks, arguments)
        self._carry(windows)
        self._added += rows

    def _carry(self, windows: int) -> None:
        inner = self.grid.inner
        blocks = min(-(-inner // 256), 8 * self._device.multiprocessors)
        self._device.run_blocks(CARRY, blocks, [inner, windows, self.room.tables, self.room.totals])

    def _find_frequent(self) -> None:
        least_rows = max(2, self._added // FREQUENT_SHARE)
        arguments = [self.grid.cells, least_rows, self.room.touched, self.room.totals, self.room.frequent]
        self._walk(FREQUENT, arguments)

    def _walk(self, program: Program, arguments: list[Any]) -> None:
        """Run a program whose blocks take a segment of the cells at a time."""
        blocks = min(-(-self.grid.cells // SEGMENT), 8 * self._device.multiprocessors)
        self._device.run_blocks(program, blocks, arguments)

    def summary(self) -> Summary:
        """Summary of all rows added, which are taken out of the room; all work on it is done then."""
        counts, cells = self._gather()
        parts, cell_count = [cells], int(counts[OCCUPIED])
        while int(counts[OCCUPIED]) > GATHERED:
            self.room.occupied.fill(0)
            counts, cells = self._gather()
            parts.append(cells)
        self.grid.guess = cell_count + cell_count // 8
        cells = np.concatenate(parts)
        cell, count, first, second, high = np.ascontiguousarray(cells[np.argsort(cells[:, 0])].T)
        missing, infinite, ends = int(counts[0]), int(counts[1]), _least_and_most(counts[2:OCCUPIED])
        sums = (cell.astype(np.int64), count, first, second, high)
        return Summary(self.grid.grid, *sums, missing, infinite, *ends, off_step=int(counts[OFF_STEP]))

    def _gather(self) -> tuple[Keys, Keys]:
        """Take occupied cells out of the totals, as many as have room; return counts apart, and these cells."""
        room, limit = self.room, min(self.grid.guess, GATHERED)
        arguments = [self.grid.cells, GATHERED, room.touched, room.totals, room.gathered, room.occupied]
        self._walk(GATHER, arguments)
        results = self._device.to_host(room.results[: APART + 5 * limit])  # which waits for all of this
        counts, cells = results[:APART], results[APART:].reshape(-1, 5)
        occupied = min(int(counts[OCCUPIED]), GATHERED)
        if occupied > limit:
            further_cells = self._device.to_host(room.results[APART + 5 * limit : APART + 5 * occupied])
            cells = np.concatenate((cells, further_cells.reshape(-1, 5)))
        return counts, cells[:occupied]


def _least_and_most(keys: Keys) -> tuple[float, float]:
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

"""Summaries on the device: rows are added to the cells of a grid in integers, a window of rows at a time."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from functools import cache
from threading import Lock
from typing import Any
from weakref import WeakSet

import numpy as np

from gpuvgm.engines.base import PLAIN, Engine, RunningSummary
from gpuvgm.engines.cuda.device import Device
from gpuvgm.engines.cuda.programs import Parameter, Program, value, written
from gpuvgm.engines.cuda.values import SOURCES, Reading, modal_words, reading_of, rule_words
from gpuvgm.engines.tables import RowRules
from gpuvgm.summary import OUTER_CELLS, Grid, Keys, Summary, values_of

WINDOW_ROWS = (1 << 22) - 4096  # rows whose count and first moment fit one 64-bit word of a cell
WINDOWS = 5  # of a launch; a multiprocessor has a block of each at a time,
RULED_WINDOWS = 4  # and fewer where a thread has more to do than find the cell of a number
TRIAL_ROWS = 1 << 16  # rows that are added first, to see which cells are frequent
FREQUENT_SHARE = 1024  # a cell with one row in so many is frequent
SLOTS = 1024
SEVERAL = (1 << 32) - 1  # more than one split cell has this slot
LEAST_ROWS_EACH = 4096  # rows that a block is worth starting for
SEGMENT = 1024  # cells that a block of a walk over them takes at a time
GATHERED = 1 << 16  # occupied cells that are taken out of a table at a time
#: Where numbers stand that are counted apart from cells, see cuda/summarise.cuh; those of modal values come last.
MISSING, INFINITE, LEAST, MOST, OCCUPIED, OFF_STEP, FIRST_MODAL = 0, 1, 2, 3, 4, 5, 8
LEAST_MODAL = 24  # modal values that there is room for
FIRST_GUESS = 1 << 14  # occupied cells that come to the host with what is counted apart, and no wait of their own
LEAST_INNER = 1 << 16  # inner cells that there is room for, so that most columns share what one had
GRIDS = 64  # grids that are kept, of 1 MiB each
ROOMS = 4  # rooms that are kept, of 140 MB and more each
LENT_SHARE = 1 / 16  # of the memory that is free: rooms that rows of several blocks are added to at a time
_CELLS = ("vgm_math.cuh", "cuda/block.cuh", "cuda/cell_table.cuh")


def windows_of(reading: Reading) -> int:
    """Windows of a launch; a multiprocessor has a block of each at a time."""
    return WINDOWS if reading.is_plain else RULED_WINDOWS


@cache
def rows_program(reading: Reading) -> Program:
    """Program that adds a window of such values to a table of cells."""
    return Program(
        name=f"gpuvgm_summarise_{reading.name}",
        sources=(*SOURCES, "cuda/cell_table.cuh", "cuda/values.cuh", "cuda/summarise.cuh"),
        constants=(*reading.constants, ("GPUVGM_BLOCKS", str(windows_of(reading)))),
        parameters=(
            Parameter(reading.value, "x"),
            Parameter("uint8", "missing"),
            Parameter("uint64", "rules"),
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


class Room:
    """Memory for the cells of a table, whose sums are zero outside of its use.

    Parameters
    ----------
    xp : module
        CuPy.
    inner : int
        Inner cells and parts that there is room for.
    modal : int
        Modal values that there is room for.

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
    results : array of shape (apart + 5 * GATHERED,), uint64
        What is counted apart from cells, and the cells last taken out of the totals.
    apart : int
        Numbers that are counted apart.
    occupied, gathered : array
        Parts of the results.
    nbytes : int
        About its memory.
    """

    def __init__(self, xp: Any, inner: int, modal: int = LEAST_MODAL) -> None:
        self.inner, self.modal, self.apart = inner, modal, FIRST_MODAL + modal
        self.tables = xp.zeros((WINDOWS * inner, 2), np.uint64)
        self.totals = xp.zeros((OUTER_CELLS + inner, 4), np.uint64)
        touched = OUTER_CELLS // SEGMENT // 2
        fresh = np.zeros(SLOTS + touched + self.apart, np.uint64)
        fresh[SLOTS + touched + LEAST] = np.iinfo(np.uint64).max  # above the key of every row
        words = xp.empty(len(fresh) + 5 * GATHERED, np.uint64)
        self._fresh, self._start_words = xp.asarray(fresh), words[: len(fresh)]
        self.frequent, self.touched = words[:SLOTS], words[SLOTS : SLOTS + touched].view(np.uint32)
        self.results, self.gathered = words[SLOTS + touched :], words[len(fresh) :]
        self.nbytes = self.tables.nbytes + self.totals.nbytes
        self.occupied = self.results[OCCUPIED : OCCUPIED + 1]

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
        splits, self._xp = grid.splits, xp
        self._rules: dict[tuple[RowRules, np.dtype[Any]], tuple[Any, Any]] = {}
        self.grid, self.inner = grid, grid.inner_cells + len(splits.parent)
        self.cells, self.guess = OUTER_CELLS + self.inner, FIRST_GUESS
        self.arguments = [
            grid.frame.scale,
            grid.frame.centre,
            xp.asarray(grid.directory().view(np.uint64).reshape(-1, 2)),
            xp.asarray(splits.midpoint),
            xp.asarray(splits.parent.astype(np.uint32)),
            len(splits.parent),
            self.cells,
            xp.asarray(_split_cells(splits.parent)),
            grid.hot_key,
            *grid.place_of_hot_key(),
        ]

    def rules(self, rules: RowRules, dtype: np.dtype[Any]) -> tuple[Any, Any]:
        """Rules for values of a type as kernels read them, and an array in the place of a mask where there is none."""
        if (rules, dtype) not in self._rules:
            modal = modal_words(rules, dtype, range(len(rules.modal)))
            words = self._xp.asarray(np.concatenate((rule_words(rules, dtype), modal)))
            self._rules[rules, dtype] = words, words.view(np.uint8)
        return self._rules[rules, dtype]


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

    def summarise(self, values: Any, grid: Grid, rules: RowRules = PLAIN, missing: Any = None) -> Summary:
        """Summary of values on the device; see `Engine.summarise`.

        Parameters
        ----------
        values : array of shape (rows,), float32, float64 or integers
            The values.
        grid : Grid
            Cells to sum over.
        rules : RowRules
            How values become numbers.
        missing : array of shape (rows,), bool, optional
            Rows without a value.
        """
        table = self.lend(grid, rules)
        table.add(values, missing)
        return self.summary(table, len(values))

    def lend(self, grid: Grid, rules: RowRules = PLAIN) -> CellTable:
        """An empty table on the device that is current here.

        Parameters
        ----------
        grid : Grid
            Cells to sum over.
        rules : RowRules
            How values become numbers.
        """
        number, xp, modal = self.device.current, self.device.xp, len(rules.modal)
        with self._lock:
            device_grid = self._grids.pop((number, grid.fingerprint), None)
            room = self._rooms[number].pop() if self._rooms.get(number) else None
        device_grid = device_grid or GridOnDevice(xp, grid)
        if room is None or room.inner < device_grid.inner or room.modal < modal:
            room = None  # its memory first
            room = Room(xp, max(device_grid.inner, LEAST_INNER), max(modal, LEAST_MODAL))
        with self._lock:
            self._rooms_in_use[number].add(room)
        return CellTable(self.device, device_grid, room, rules)

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
        return summary.of_all(rows)

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
    rules : RowRules
        How values become numbers.
    """

    def __init__(self, engine: Engine, tables: CellTables, grid: Grid, rules: RowRules) -> None:
        super().__init__(engine, grid, rules)
        self._tables, self._rows = tables, 0
        self._table: CellTable | None = None

    def add(self, values: Any, missing: Any = None) -> None:
        """Add rows; see `RunningSummary.add`."""
        if not self._tables.device.is_resident(values):
            super().add(values, missing)
            return
        if self._table is None:
            self._table = self._tables.lend(self._grid, self._rules)
        try:
            self._table.add(values, missing)
        except BaseException:  # its sums may be anything: `rows` tells whether they are right, and no one has it next
            self._table.is_reusable = False
            raise
        self._rows += len(values)
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
    rules : RowRules
        How values become numbers.
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
        rules: RowRules = PLAIN,
        *,
        window_rows: int = WINDOW_ROWS,
        trial_rows: int = TRIAL_ROWS,
    ) -> None:
        self._device, self.grid, self.room, self._rules = device, grid, room, rules
        self._window_rows, self._trial_rows = window_rows, trial_rows
        self._added, self.is_reusable, self._dtype = 0, True, np.dtype(np.float64)
        room.begin()

    def add(self, values: Any, missing: Any = None) -> None:
        """Add rows of the device, all of one type, of which a mask may say that they are missing; nobody waits."""
        start = 0
        most_rows = windows_of(reading_of(values.dtype, self._rules, missing=missing is not None)) * self._window_rows
        while start < len(values):
            trial = self._trial_rows - self._added
            rows = min(len(values) - start, trial if trial > 0 else most_rows)
            self.add_rows(values, start, rows, missing)
            start += rows
            if trial > 0 and rows == trial:
                self._find_frequent()

    def add_rows(self, values: Any, first_row: int, rows: int, missing: Any = None) -> None:
        """Add `rows` rows from row `first_row` on, at most `windows_of` windows."""
        reading, self._dtype = reading_of(values.dtype, self._rules, missing=missing is not None), values.dtype
        blocks = self._device.multiprocessors
        most_windows = min(windows_of(reading), rows // (blocks * LEAST_ROWS_EACH))
        windows = max(-(-rows // self._window_rows), most_windows, 1)
        window_rows = -(-rows // windows)
        window_blocks = max(1, min(blocks, window_rows // LEAST_ROWS_EACH))
        windows = -(-rows // window_rows)
        words, no_mask = self.grid.rules(self._rules, values.dtype)
        mask = no_mask if missing is None else missing.view(np.uint8)
        room, launch = self.room, [values, mask, words, first_row, rows, window_rows, window_blocks]
        sums = [room.frequent, room.tables, room.totals, room.touched, room.results]
        arguments = [*launch, *self.grid.arguments, *sums]
        self._device.run_blocks(rows_program(reading), windows * window_blocks, arguments)
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
        sums, ends = (cell.astype(np.int64), count, first, second, high), self._ends(counts)
        numbers = (np.inf, -np.inf)
        if ends is not None:
            low, high = self._rules.numbers(np.array(ends, self._dtype))[0] + 0.0  # no minus zero
            numbers = float(low), float(high)
        return Summary(
            *(self.grid.grid, *sums, int(counts[MISSING]), int(counts[INFINITE]), *numbers),
            modal=tuple(counts[FIRST_MODAL : FIRST_MODAL + len(self._rules.modal)].tolist()),
            ends=ends,
            off_step=int(counts[OFF_STEP]),
        )

    def _ends(self, counts: Keys) -> tuple[int | float, int | float] | None:
        """The least and largest ordinary value by what has their order; None where there was no such value."""
        order = counts[[LEAST, MOST]]
        if order[0] > order[1]:
            return None
        if self._dtype.kind == "f":
            low, high = values_of(order) + 0.0  # no minus zero
            return float(low), float(high)
        lowest = 0 if self._dtype == np.uint64 else 2**63
        return int(order[0]) - lowest, int(order[1]) - lowest

    def _gather(self) -> tuple[Keys, Keys]:
        """Take occupied cells out of the totals, as many as have room; return counts apart, and these cells."""
        room, limit = self.room, min(self.grid.guess, GATHERED)
        arguments = [self.grid.cells, GATHERED, room.touched, room.totals, room.gathered, room.occupied]
        self._walk(GATHER, arguments)
        results = self._device.to_host(room.results[: room.apart + 5 * limit])  # which waits for all of this
        counts, cells = results[: room.apart], results[room.apart :].reshape(-1, 5)
        occupied = min(int(counts[OCCUPIED]), GATHERED)
        if occupied > limit:
            further_cells = self._device.to_host(room.gathered[5 * limit : 5 * occupied])
            cells = np.concatenate((cells, further_cells.reshape(-1, 5)))
        return counts, cells[:occupied]


def _split_cells(parents: Keys) -> Any:
    """For every slot the split cell that has it, 0 where there is none, or `SEVERAL`; shape (SLOTS,)."""
    slots = np.zeros(SLOTS, np.uint32)
    for parent in np.unique(parents).tolist():
        slots[parent % SLOTS] = SEVERAL if slots[parent % SLOTS] else parent
    return slots

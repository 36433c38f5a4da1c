"""The kernels of summaries on the host, against the reference: equal to the bit whatever the windows and pieces."""

from __future__ import annotations

import mmap
from dataclasses import replace

import numpy as np
import pytest

from gpuvgm.engines.base import PLAIN, Engine
from gpuvgm.engines.cuda import summary
from gpuvgm.engines.cuda.summary import CellTable, CellTables, DeviceSummary, GridOnDevice, Room
from gpuvgm.engines.tables import RowRules, Step
from gpuvgm.errors import InputError
from gpuvgm.summary import OUTER_CELLS, Frame, Grid, Summary, values_of
from gpuvgm.summary.grid import NO_HOT_KEY, keys_of
from tests.engines.kernels.building import needs_compiler
from tests.engines.kernels.emulated import EmulatedDevice, resident
from tests.engines.kernels.ruled import RULED
from tests.harness.shapes import SHAPES, shape
from tests.summary.test_grid import grid_of
from tests.summary.test_summary import same

pytestmark = needs_compiler
ORACLE = Engine()
SIZES = [0, 1, 7, 255, 257, 4095, 4096, 4097, 9000]
SPECIAL = [np.inf, -np.inf, np.nan, -0.0, 5e-324, -np.nan]


def table_of(
    device: EmulatedDevice,
    grid: Grid,
    window: int = summary.WINDOW_ROWS,
    trial: int = summary.TRIAL_ROWS,
    rules: RowRules = PLAIN,
) -> CellTable:
    there = GridOnDevice(device.xp, grid)
    return CellTable(device, there, Room(device.xp, there.inner), rules, window_rows=window, trial_rows=trial)


def summarise(device: EmulatedDevice, x: np.ndarray, grid: Grid) -> Summary:
    return CellTables(device).summarise(x, grid)


def all_same(one: Summary, other: Summary) -> bool:
    """Modal values, ends and rows off the step too."""
    return same(one, other) and (one.modal, one.ends, one.off_step) == (other.modal, other.ends, other.off_step)


def in_windows(device: EmulatedDevice, x: np.ndarray, grid: Grid, window: int, trial: int, pieces: int = 1) -> Summary:
    table = table_of(device, grid, window, trial)
    for piece in np.array_split(x, pieces):
        table.add(resident(piece))
    return table.summary()


def grid_with_centres(x: np.ndarray, count: int = 10) -> Grid:
    return grid_of(x, list(np.random.default_rng(0).choice(np.nan_to_num(Frame.around(x).apply(x)), count)))[0]


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape(device: EmulatedDevice, name: str) -> None:
    x = shape(name, 12_000)
    x[::301] = np.nan
    grid = grid_with_centres(x)
    rows = np.concatenate([x, shape(name, 3_001, seed=9), SPECIAL])
    assert same(in_windows(device, rows, grid, 4096, 2048), ORACLE.summarise(rows, grid))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_sizes(device: EmulatedDevice, size: int, dtype: str) -> None:
    x = shape("70 % zeros", 9_000).astype(dtype)
    x[::11] = np.nan
    grid = grid_with_centres(x.astype(np.float64))
    x[5::13], x[6::13] = np.inf, -np.inf
    assert same(summarise(device, resident(x[:size]), grid), ORACLE.summarise(x[:size].astype(float), grid))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("offset", [0, 1, 2, 3])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8, 1031])
def test_pieces_begin_anywhere_in_memory(device: EmulatedDevice, offset: int, size: int, dtype: str) -> None:
    x = shape("mixed signs", 1_100).astype(dtype)
    x[::11] = np.nan
    grid = grid_with_centres(x.astype(np.float64))
    part = x[offset : offset + size]
    assert same(in_windows(device, part, grid, 333, 100), ORACLE.summarise(part.astype(float), grid))


@pytest.mark.parametrize("multiprocessors", [1, 3, 132])
@pytest.mark.parametrize("name", ["poisson", "lognormal", "sorted"])
def test_many_rows_over_several_windows_and_blocks(device: EmulatedDevice, name: str, multiprocessors: int) -> None:
    x = shape(name, 200_003)
    x[::997] = np.nan
    grid = grid_with_centres(x[:20_000])
    device.multiprocessors = multiprocessors
    table = table_of(device, grid, 20_000, 30_000)
    table.add(resident(x))
    assert same(table.summary(), ORACLE.summarise(x, grid))
    launches = [blocks for name, blocks in device.launches if name.startswith("gpuvgm_summarise")]
    assert len(launches) == 3 and max(launches) == min(summary.WINDOWS * multiprocessors, summary.WINDOWS * 4)


@pytest.mark.parametrize("pieces", [1, 2, 7, 40])
def test_pieces_do_not_show(device: EmulatedDevice, pieces: int) -> None:
    x = shape("cents", 30_000)
    grid = grid_with_centres(x)
    assert same(in_windows(device, x, grid, 5_000, 1_000, pieces), ORACLE.summarise(x, grid))


@pytest.mark.parametrize("value", [3.7, 0.0, -0.0, -1e300, 5e-324])
def test_all_rows_have_the_hot_key(device: EmulatedDevice, value: float) -> None:
    x = np.full(9_000, value)
    grid = grid_of(x, [value - 1.0, value, value + 1.0])[0]
    assert same(in_windows(device, x, grid, 4096, 2048), ORACLE.summarise(x, grid))


def crowded(rows: int, place: float = 150.0, dtype: str = "float64") -> tuple[np.ndarray, Grid]:
    """Rows of which 70 % have different keys in one cell, and a grid that did not expect them."""
    g = np.random.default_rng(4)
    grid = grid_of(g.normal(100.0, 30.0, 4_000), [-50.0, 50.0])[0]
    x = np.where(g.uniform(size=rows) < 0.7, place + g.uniform(0, 1e-3, rows), g.normal(100.0, 30.0, rows))
    return x.astype(dtype), grid


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("place", "inner"), [(150.0, True), (1e5, False)])
def test_most_rows_in_one_cell(device: EmulatedDevice, place: float, inner: bool, dtype: str) -> None:
    x, grid = crowded(60_000, place, dtype)
    expected = ORACLE.summarise(x.astype(float), grid)
    crowd = int(expected.cell[expected.count.argmax()])
    assert expected.count.max() > 0.6 * len(x) and (crowd >= OUTER_CELLS) == inner
    table = table_of(device, grid, 40_000, 16_384)
    table.add(resident(x))
    assert same(table.summary(), expected)
    frequent = np.asarray(table.room.frequent)
    assert int(frequent[crowd % summary.SLOTS]) & (2**32 - 1) == crowd
    assert np.count_nonzero(frequent) < summary.SLOTS / 2


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("midpoints", [1, 2, 5, 60])
def test_frequent_cells_that_are_split(device: EmulatedDevice, midpoints: int, dtype: str) -> None:
    """Midpoints lie inside the cell that most rows fall into, several of them."""
    g = np.random.default_rng(midpoints)
    x, grid = crowded(40_000, dtype=dtype)
    inside = np.sort(keys_of(grid.frame.apply(150.0 + g.uniform(0, 1e-3, midpoints))))
    split = Grid(grid.frame, grid.windows, grid.rests, inside, grid.hot_key, grid.anchors)
    expected = ORACLE.summarise(x.astype(float), split)
    parts = expected.count[expected.cell >= OUTER_CELLS + split.inner_cells]
    assert len(parts) > min(midpoints, 40) / 2 and parts.sum() > 0.2 * len(x)
    assert same(in_windows(device, x, split, 20_000, 10_000), expected)


def test_more_splits_than_slots(device: EmulatedDevice) -> None:
    x = shape("uniform", 9_000)
    grid = grid_of(x)[0]
    many = np.unique(keys_of(grid.frame.apply(np.random.default_rng(3).uniform(-1.0, 2.0, 2_500))))
    split = Grid(grid.frame, grid.windows, grid.rests, many, grid.hot_key, grid.anchors)
    assert same(in_windows(device, x, split, 5_000, 5_000), ORACLE.summarise(x, split))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_hot_key_in_a_split_and_in_an_outer_cell(device: EmulatedDevice, dtype: str) -> None:
    x = np.concatenate([np.full(3_000, 1e6), shape("uniform", 9_000)]).astype(dtype)
    grid = grid_of(x[3_000:].astype(float))[0]
    hot = int(keys_of(grid.frame.apply(np.array([1e6])))[0])
    for midpoints in (grid.midpoints, np.append(grid.midpoints, np.uint64(hot)), np.append(grid.midpoints, hot - 5)):
        other = Grid(grid.frame, grid.windows, grid.rests, midpoints.astype(np.uint64), hot, grid.anchors)
        assert same(in_windows(device, x, other, 5_000, 5_000), ORACLE.summarise(x.astype(float), other))


def test_minus_zero_is_zero_in_a_frame_around_zero(device: EmulatedDevice) -> None:
    x = np.array([-0.0, 0.0, 1.0, -1.0] * 100)
    grid = grid_of(x)[0]
    plain = Grid(grid.frame, grid.windows, grid.rests, grid.midpoints, NO_HOT_KEY, grid.anchors)
    assert grid.frame.centre == 0.0
    assert same(in_windows(device, x, plain, 300, 100), ORACLE.summarise(x, plain))


def test_subnormal_floats_are_not_flushed(device: EmulatedDevice) -> None:
    x = (np.arange(1, 600, dtype=np.float32) * np.float32(1e-45)).astype(np.float32)
    grid = grid_of(x.astype(np.float64))[0]
    assert same(summarise(device, resident(x), grid), ORACLE.summarise(x.astype(np.float64), grid))
    rules = RowRules(step=Step(1, 4, "float32"))
    counted = CellTables(device).summarise(resident(x), grid, rules)
    assert same(counted, ORACLE.summarise(x.astype(np.float64), grid, rules)) and counted.off_step == len(x)


@pytest.mark.parametrize("size", [1, 3, 4, 5, 4097])
@pytest.mark.parametrize(
    ("dtype", "precision"),
    [
        ("float64", "float64"),
        ("float32", "float32"),
        ("float64", "float32"),
        ("float32", "float16"),
        ("float64", "float16"),
    ],
)
def test_rows_off_a_step_are_counted_in_every_quad(
    device: EmulatedDevice, dtype: str, precision: str, size: int
) -> None:
    """Wherever the rows begin, and over several pieces; what is found goes to the next column of the room by no way."""
    x, rules = np.round(shape("lognormal", 9000), 2), RowRules(step=Step(1, 100, precision))
    tables = CellTables(device)
    x[::3] += 0.001
    x[::7] = np.nan
    x = x.astype(precision)
    grid, there = grid_of(x.astype(float))[0], resident(x.astype(dtype))
    for first in range(4):
        part = there[first : first + size]
        assert same(tables.summarise(part, grid, rules), ORACLE.summarise(np.array(part, float), grid, rules))
    table = tables.lend(grid, rules)
    table.add(there[:size])
    table.add(there[size : 3 * size + 1])
    count = ORACLE.summarise(np.array(there[: 3 * size + 1], float), grid, rules).off_step
    assert tables.summary(table, len(there[: 3 * size + 1])).off_step == count
    assert tables.summarise(there[:size], grid).off_step == 0


@pytest.mark.parametrize("name", RULED)
def test_values_by_rules(device: EmulatedDevice, name: str) -> None:
    """Of every type, in windows and in pieces that begin anywhere; the ends are values, and so are modal ones."""
    of = RULED[name]
    grid = grid_of(of.numbers())[0]
    with np.errstate(all="ignore"):
        expected = ORACLE.summarise(of.values, grid, of.rules, of.missing)
    mask = None if of.missing is None else resident(of.missing)
    assert all_same(CellTables(device).summarise(resident(of.values), grid, of.rules, mask), expected)
    table = table_of(device, grid, 400, 300, of.rules)
    for part in (slice(0, 1), slice(1, 303), slice(303, None)):
        table.add(resident(of.values[part]), None if mask is None else mask[part])
    assert all_same(table.summary(), expected)
    assert expected.rows == len(of.values) and expected.ordinary > 500


@pytest.mark.parametrize("name", RULED)
def test_values_by_rules_beyond_the_grid(device: EmulatedDevice, name: str) -> None:
    """A grid of the lowest third: most rows fall into outer cells, whose second words take a carry.

    Frequent numbers have cells that are split, and modal values follow more than a block adds up.
    """
    of = RULED[name]
    numbers = of.numbers()
    inside = grid_with_centres(numbers[: len(numbers) // 3])
    often, times = np.unique(keys_of(inside.frame.apply(numbers)), return_counts=True)
    splits, hot = (
        np.sort(often[times.argsort()[-40::3]]),
        int(often[len(often) // 2 + times[len(often) // 2 :].argmax()]),
    )
    rare = tuple(np.arange(1e6, 1e6 + 300).tolist()) if of.rules.modal else ()
    for hot_key, modal in ((inside.hot_key, ()), (hot, rare)):
        grid = Grid(inside.frame, inside.windows, inside.rests, splits, hot_key, inside.anchors)
        rules = replace(of.rules, modal=modal + of.rules.modal)
        with np.errstate(all="ignore"):
            expected = ORACLE.summarise(of.values, grid, rules, of.missing)
        table, before = table_of(device, grid, 400, 300, rules), 2**64 - 1
        table.room.totals[:OUTER_CELLS, 2] = before
        for part in (slice(0, 302), slice(302, None)):
            table.add(resident(of.values[part]), None if of.missing is None else resident(of.missing[part]))
        for cell, *sums in zip(expected.cell, expected.count, expected.first, expected.second, strict=True):
            count, first, second = map(int, sums)
            assert words(table.room.totals[cell]) == [count, first, second + (before if cell < OUTER_CELLS else 0)]


def test_more_modal_values_than_a_block_adds_up(device: EmulatedDevice) -> None:
    """Rows of the last ones are counted one by one; a room with fewer places is not used for them."""
    x = np.random.default_rng(0).integers(0, 400, 9_000).astype(np.float64)
    tables, rules = CellTables(device), RowRules(tuple(np.arange(300.0).tolist()))
    grid = grid_of(x)[0]
    for given in (RowRules((7.0,)), rules):
        assert all_same(tables.summarise(resident(x), grid, given), ORACLE.summarise(x, grid, given))
    assert tables._rooms[0][-1].modal == 300


@pytest.mark.parametrize("trial", [summary.WINDOW_ROWS, summary.TRIAL_ROWS])
def test_windows_as_full_as_they_may_be(device: EmulatedDevice, trial: int) -> None:
    """Every row at the last position of one cell: neither sum of a window outgrows its bits, nor meets the other."""
    grid = grid_of(shape("uniform", 4_000))[0]
    window = grid.windows[-1]
    key = window["start"] + (np.uint64(1) << np.uint64(window["drop"] + window["bits"])) - np.uint64(1)
    plain = Grid(Frame(1.0, 0.0), grid.windows, grid.rests, grid.midpoints, NO_HOT_KEY, grid.anchors)
    rows, last = summary.WINDOW_ROWS + 3, 2**20 - 1
    x = np.full(rows, values_of(np.array([key]))[0])
    assert int(plain.locate(keys_of(x[:1]))[1][0]) == last
    found = in_windows(device, x, plain, summary.WINDOW_ROWS, trial)
    assert [int(n) for n in found.count] == [rows] and [int(n) for n in found.first] == [rows * last]
    assert int(found.second[0]) + 2**64 * int(found.second_high[0]) == rows * last**2


def words(total: np.ndarray) -> list[int]:
    """Count, first and second moment of a cell's totals."""
    return [int(total[0]), int(total[1]), int(total[2]) + 2**64 * int(total[3])]


def test_full_windows_carry_into_the_second_word(device: EmulatedDevice) -> None:
    """Sums of squares that nearly fill a word in every window, twice."""
    table = table_of(device, grid_of(shape("uniform", 4_000))[0])
    count, first, second = 2**22 - 1, 2**42 - 1, 2**64 - 7
    for launch in (1, 2):
        table.room.tables.reshape(summary.WINDOWS, -1, 2)[:, 3] = [(count << 42) + first, second]
        table._carry(summary.WINDOWS)
        times = launch * summary.WINDOWS
        assert words(table.room.totals[OUTER_CELLS + 3]) == [times * count, times * first, times * second]
        assert not np.any(table.room.tables)
    assert np.count_nonzero(table.room.totals) == 4


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_outer_cells_carry_into_the_second_word(device: EmulatedDevice, dtype: str) -> None:
    grid = grid_of(shape("uniform", 4_000))[0]
    table = table_of(device, grid)
    x = np.full(5, 1e9, dtype)
    once = ORACLE.summarise(x.astype(float), grid)
    cell = int(once.cell[0])
    assert cell < OUTER_CELLS and once.second[0] > 2**20
    table.room.totals[cell] = [1, 2, 2**64 - 2**20, 7]
    table.add(resident(x))
    assert words(table.room.totals[cell]) == [6, 2 + int(once.first[0]), 2**64 * 8 - 2**20 + int(once.second[0])]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_outer_cells_carry_whoever_adds_to_them(device: EmulatedDevice, dtype: str) -> None:
    """A thread between two rows, or at its end, and a block the rows of frequent cells and those of the hot key."""
    inside = grid_of(shape("uniform", 4_000))[0]
    far = (1e9 * 1.01 ** np.arange(900)).astype(dtype)
    hot = int(keys_of(inside.frame.apply(far[:1].astype(float)))[0])
    grid = Grid(inside.frame, inside.windows, inside.rests, inside.midpoints, hot, inside.anchors)
    x = np.concatenate([np.repeat(far[100:103], 40), np.full(50, far[0]), far, np.tile(far, 4)])
    table, done = table_of(device, grid, 4_000, 1_070), 0
    for rows in (1_070, len(x) - 1_070):
        piece = x[done : done + rows]
        added, before = ORACLE.summarise(piece.astype(float), grid), np.array(table.room.totals)
        before[:OUTER_CELLS, 2] = 2**64 - 1
        table.room.totals[:] = before
        table.add(resident(piece))
        for cell, *sums in zip(added.cell, added.count, added.first, added.second, strict=True):
            count, first, second = words(before[cell])
            expected = [count + int(sums[0]), first + int(sums[1]), second + int(sums[2])]
            assert cell < OUTER_CELLS and words(table.room.totals[cell]) == expected
        done += rows
    assert np.count_nonzero(table.room.frequent)


def test_values_that_overflow_in_the_frame_are_refused(device: EmulatedDevice) -> None:
    x = 1e-300 * shape("uniform", 2_000)
    grid = grid_of(x)[0]
    assert grid.frame.scale > 1
    with pytest.raises(InputError, match="1 value is more than"):
        summarise(device, resident(np.append(x, 1e300)), grid)


def test_rows_are_counted_in_64_bits(device: EmulatedDevice) -> None:
    """A window that begins beyond row 2^31 of memory that is reserved but not there."""
    first, rows = 2**31 + 3, 1_000
    memory = mmap.mmap(-1, 4 * (first + rows), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000)  # MAP_NORESERVE
    x = np.frombuffer(memory, np.float32)
    x[first:] = shape("uniform", rows)
    grid = grid_of(x[first:].astype(np.float64))[0]
    table = table_of(device, grid)
    table.add_rows(resident(x), first, rows)
    assert same(table.summary(), ORACLE.summarise(x[first:].astype(np.float64), grid))


@pytest.mark.parametrize("room", [*(pytest.param(n, marks=pytest.mark.exhaustive) for n in (1, 4)), 100, 1 << 16])
def test_cells_are_taken_out_as_there_is_room(
    device: EmulatedDevice, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inner and outer ones; what was full is empty then, and holds the next column with a grid of its own."""
    monkeypatch.setattr(summary, "GATHERED", room)
    monkeypatch.setattr(summary, "LEAST_INNER", 1 << 10)
    tables = CellTables(device)
    for name, size in [("uniform", 60), ("lognormal", 400), ("uniform", 60)]:
        x = np.concatenate([shape(name, size), 1e9 * 1.01 ** np.arange(90), [np.nan, np.inf]])
        grid = grid_with_centres(x[:size])
        assert same(tables.summarise(resident(x), grid), ORACLE.summarise(x, grid))
        (kept,) = tables._rooms[0]
        assert not any(np.any(part) for part in (kept.tables, kept.totals))


def test_a_refused_column_leaves_its_room_empty(device: EmulatedDevice) -> None:
    x = 1e-300 * shape("uniform", 2_000)
    grid, tables = grid_of(x)[0], CellTables(device)
    with pytest.raises(InputError, match="1 value is more than"):
        tables.summarise(resident(np.append(x, 1e300)), grid)
    assert same(tables.summarise(resident(x), grid), ORACLE.summarise(x, grid)) and len(tables._rooms[0]) == 1


def test_tables_of_many_columns_take_a_share_of_the_device(
    device: EmulatedDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three of five columns keep their tables for the scan; cells of the others come to the host with each block."""
    monkeypatch.setattr(summary, "LEAST_INNER", 1 << 10)
    x = shape("uniform", 4_000)
    grid, tables = grid_of(x)[0], CellTables(device)
    table = tables.lend(grid)
    monkeypatch.setattr(summary, "LENT_SHARE", 3.5 * table.room.nbytes / device.free_memory)
    columns = [DeviceSummary(ORACLE, tables, grid, PLAIN) for _ in range(5)]
    assert len(tables._rooms_in_use[0]) == 1
    del table
    assert not tables._rooms_in_use[0]
    for block in np.array_split(x, 3):
        for column in columns:
            column.add(resident(block))
        assert len(tables._rooms_in_use[0]) == 3
    gathered = [name for name, _ in device.launches].count("gpuvgm_gather")
    assert gathered == 2 * 3
    for column in columns:
        assert same(column.summary(), ORACLE.summarise(x, grid))
    assert not tables._rooms_in_use[0] and len(tables._rooms[0]) == 4 == summary.ROOMS
    monkeypatch.setattr(summary, "ROOMS", 2)
    several = [tables.lend(grid) for _ in range(3)]
    for table in several:
        tables.summary(table, 0)
    assert len(tables._rooms[0]) == 2


def test_a_running_summary_takes_rows_of_the_host_too(device: EmulatedDevice) -> None:
    x = shape("uniform", 4_000)
    grid = grid_of(x)[0]
    column = DeviceSummary(ORACLE, CellTables(device), grid, PLAIN)
    column.add(resident(x[:1_000]))
    column.add(x[1_000:3_000])
    column.add(resident(x[3_000:]))
    assert same(column.summary(), ORACLE.summarise(x, grid))
    assert [name for name, _ in device.launches].count("gpuvgm_gather") == 1


def test_what_is_kept_is_bounded(device: EmulatedDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summary, "GRIDS", 2)
    tables, x = CellTables(device), shape("uniform", 500)
    grids = [grid_of(x + place)[0] for place in range(4)]
    for grid in (*grids, grids[2]):
        tables.summarise(resident(x), grid)
    assert [key for _, key in tables._grids] == [grids[3].fingerprint, grids[2].fingerprint]
    tables.release()
    assert not tables._grids and not tables._rooms

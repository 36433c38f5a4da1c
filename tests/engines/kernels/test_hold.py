"""Rows that their modes cannot hold, and those that the fit had not seen: the kernel against the array code."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gpuvgm.engines.base import Engine
from gpuvgm.engines.cuda.hold import hold as hold_on_device
from gpuvgm.engines.hold import (
    CLIPPED,
    INFINITE,
    MISSING,
    OFF_STEP,
    OUTSIDE,
    SORTS,
    Coverage,
    HoldTable,
    hold_rows,
)
from gpuvgm.engines.tables import KernelTable, Step
from gpuvgm.summary.grid import Frame
from tests.engines.kernels.building import needs_compiler
from tests.engines.kernels.emulated import EmulatedDevice
from tests.engines.kernels.test_rows import SIZES, shifted

pytestmark = needs_compiler
MEANS, WIDTHS = np.array([-2.0, 1.0, 6.0, 12.0, 30.0, 31.0]), np.array([1.0, 0.5, 2.0, 3.0, 15.0, 8.0])
SHAPES = KernelTable(Frame(0.5, 3.0), MEANS[:3], np.array([0.5, 2.0, 0.125]), np.array([-1.0, -2.0, -0.5]))
TABLE = HoldTable(Coverage(SHAPES, MEANS, WIDTHS, 0.99), np.array([4, 0, 6, 1, 2, 7]), 0.99, -4.0, 70.0)
UNTOLD = replace(TABLE, coverage=None, low=np.inf, high=-np.inf)


def rows(count: int, x: str, scalar: str, code: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of every sort, with modes drawn at random."""
    random = np.random.default_rng(count)
    numbers = random.uniform(-12, 120, count).round(1).astype(x)
    numbers[::7], numbers[3::29] = np.nan, random.choice([np.inf, -np.inf], len(numbers[3::29]))
    mode = random.integers(0, 3, count)
    position = np.clip((numbers.astype(np.float64) * 0.5 - 3.0 - MEANS[mode]) / WIDTHS[mode], -0.99, 0.99)
    position[~np.isfinite(numbers)] = 0.0
    return numbers, position.astype(scalar), TABLE.codes[mode].astype(code)


@pytest.mark.parametrize("size", [*SIZES, 5000])
@pytest.mark.parametrize(
    "types", [("float64", "float32", "uint8"), ("float32", "float32", "uint8"), ("float64", "float64", "uint16")]
)
@pytest.mark.parametrize("table", [TABLE, UNTOLD], ids=["coverage", "none"])
def test_as_the_array_code(device: EmulatedDevice, size: int, types: tuple[str, str, str], table: HoldTable) -> None:
    numbers, scalar, code = rows(size, *types)
    off_step = np.random.default_rng(1).uniform(size=size) < 0.01
    for mask in (None, off_step):
        wanted = scalar.copy(), code.copy()
        counts = hold_rows(numbers, *wanted, table, None if mask is None else mask & ~np.isnan(numbers))
        for shift in (0, 1):
            found = shifted(scalar, shift), shifted(code, shift)
            told = None if mask is None else shifted(mask, shift)
            on_device = hold_on_device(device, shifted(numbers, shift), found, table, told)
            check_counts(device.to_host(on_device), counts)
            for one, other in zip(found, wanted, strict=True):
                np.testing.assert_array_equal(one, other)
    if size == 5000 and table is TABLE:
        assert (counts.reshape(-1, 2)[:, 0] > 0).all(), "every sort is among the rows"
        assert (wanted[1] != code).sum() > 100


@pytest.mark.parametrize("size", [*SIZES, 256, 70_001])
@pytest.mark.parametrize(
    "types", [("float64", "float32", "uint8"), ("float32", "float32", "int8"), ("float64", "float64", "int16")]
)
@pytest.mark.parametrize("table", [TABLE, UNTOLD], ids=["coverage", "none"])
def test_native_loop_as_the_array_code(
    native: Engine, size: int, types: tuple[str, str, str], table: HoldTable
) -> None:
    numbers, scalar, code = rows(size, *types)
    scalar[5::13] = np.nan  # of a row that is nowhere, as of one in its mode
    mask = np.random.default_rng(1).uniform(size=size) < 0.01
    for off_step in (None, mask):
        wanted, found = (scalar.copy(), code.copy()), (scalar.copy(), code.copy())
        counts = hold_rows(numbers, *wanted, table, off_step)
        np.testing.assert_array_equal(native.hold(numbers, *found, table, off_step), counts)
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(one, other)
    with pytest.raises(ValueError, match="one scalar a row"):
        native.hold(np.append(numbers, 0.0), scalar, code, table, None)


def check_counts(found: np.ndarray, wanted: np.ndarray) -> None:
    """How many there are, and the first where there is one."""
    found, wanted = found.astype(np.int64).reshape(-1, 2), wanted.reshape(-1, 2)
    np.testing.assert_array_equal(found[:, 0], wanted[:, 0])
    np.testing.assert_array_equal(found[wanted[:, 0] > 0], wanted[wanted[:, 0] > 0])


@pytest.mark.parametrize(
    ("x", "scalar_type", "code_type", "precision"),
    [
        ("float32", "float32", "uint8", "float32"),
        ("float64", "float32", "uint8", "float64"),
        ("float64", "float64", "uint16", "float32"),
        ("float64", "float64", "uint16", "float16"),
        ("float64", "float32", "uint8", "float16"),
        ("float32", "float32", "uint8", "float16"),
    ],
)
@pytest.mark.parametrize("step", [(1, 100), (1, 8), (5, 1), (1, 1)])
def test_rows_off_a_step(
    device: EmulatedDevice, step: tuple[int, int], x: str, scalar_type: str, code_type: str, precision: str
) -> None:
    whole = np.random.default_rng(3).integers(-(10**6), 10**6, 4099)
    with np.errstate(over="ignore"):
        numbers = (whole * step[0] / step[1]).astype(precision).astype(x)
    numbers[[5, 77, 4098]] = np.array([0.123, 1e-7, np.nan], precision)
    _, scalar, code = rows(len(numbers), x, scalar_type, code_type)
    coded, on_step = (shifted(scalar, 0), shifted(code, 0)), Step(*step, precision)
    found = hold_on_device(device, shifted(numbers, 0), coded, TABLE, on_step)
    counts = device.to_host(found).reshape(len(SORTS), 2)
    assert np.flatnonzero(on_step.is_off(numbers)).tolist() == [5, 77]
    assert counts[OFF_STEP].tolist() == [2, 5] and counts[MISSING].tolist() == [1, 4098]


def test_a_lone_row_of_each_sort(device: EmulatedDevice) -> None:
    """The first row is that of the least number, wherever the blocks and threads are."""
    for sort, value in ((INFINITE, np.inf), (MISSING, np.nan), (OUTSIDE, 71.0)):
        numbers, scalar, code = np.zeros(70_000), np.zeros(70_000, np.float32), np.zeros(70_000, np.uint8)
        numbers[[69_998, 40_001]] = value
        found = hold_on_device(device, shifted(numbers, 0), (shifted(scalar, 0), shifted(code, 0)), TABLE, None)
        assert device.to_host(found).reshape(-1, 2)[sort].tolist() == [2, 40_001]
        assert not device.to_host(found).reshape(-1, 2)[CLIPPED, 0]

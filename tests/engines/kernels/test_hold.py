"""Rows that the modes drawn for them cannot hold, and those that the fit had not seen: the kernel against the host."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gpuvgm.engines.encode import CLIPPED, INFINITE, MISSING, OFF_STEP, OUTSIDE, SORTS, Coverage, EncodeTable
from gpuvgm.engines.tables import Draw, KernelTable, RowRules, Step
from gpuvgm.summary import Frame
from tests.engines.kernels.building import needs_compiler
from tests.engines.kernels.emulated import EmulatedDevice, resident
from tests.engines.kernels.test_rows import SIZES, check_encoded, encoded, expected

pytestmark = needs_compiler
MEANS, WIDTHS = np.array([-2.0, 1.0, 6.0, 12.0, 30.0, 31.0]), np.array([1.0, 0.5, 2.0, 3.0, 15.0, 8.0])
SHAPES = KernelTable(Frame(0.5, 3.0), MEANS[:3], np.array([0.5, 2.0, 0.125]), np.array([-1.0, -2.0, -0.5]))
TABLE = EncodeTable(
    *(SHAPES, WIDTHS[:3], np.array([4, 0, 6, 1, 2, 7]), 1e-6, 0.99, 5),
    low=-4.0,
    high=70.0,
    coverage=Coverage(SHAPES, MEANS, WIDTHS, 0.99),
)
UNTOLD = replace(TABLE, coverage=None, low=np.inf, high=-np.inf)


def numbers(count: int, dtype: str) -> np.ndarray:
    """Rows of every sort."""
    random = np.random.default_rng(count)
    x = random.uniform(-12, 120, count).round(1).astype(dtype)
    x[::7], x[3::29] = np.nan, random.choice([np.inf, -np.inf], len(x[3::29]))
    x[5::31] += 0.05
    return x


@pytest.mark.parametrize("size", [*SIZES, 5000])
@pytest.mark.parametrize(
    "types", [("float64", "float32", "int8"), ("float32", "float32", "int8"), ("float64", "float64", "int16")]
)
@pytest.mark.parametrize("table", [TABLE, UNTOLD], ids=["coverage", "none"])
def test_as_on_the_host(device: EmulatedDevice, size: int, types: tuple[str, str, str], table: EncodeTable) -> None:
    """Wherever rows begin, and whatever is drawn: the generator's modes lie nearer to the rows than those of others."""
    x, rules = numbers(size, types[0]), RowRules(step=Step(1, 10, types[0]))
    far = resident(np.random.default_rng(1).uniform(size=size))
    for draw in (Draw(7, 9, 2), Draw(uniforms=far), Draw(most_probable=True)):
        for limit in (0.99, 0.2):
            coverage = table.coverage and replace(table.coverage, limit=limit)
            of = replace(table, limit=limit, coverage=coverage)
            wanted = expected(x, of, draw, types[1:], rules)
            for shift in (0, 1):
                check_encoded(encoded(device, x, of, draw, types[1:], shift, rules), wanted)
    if size == 5000 and table is TABLE:
        assert (wanted[2].reshape(-1, 2)[:, 0] > 0).all(), "every sort is among the rows"
        kept = expected(x, replace(of, coverage=None), draw, types[1:], rules)
        assert (wanted[1] != kept[1]).sum() > 100


@pytest.mark.parametrize(
    ("x", "scalar_type", "code_type", "precision"),
    [
        ("float32", "float32", "int8", "float32"),
        ("float64", "float32", "int8", "float64"),
        ("float64", "float64", "int16", "float32"),
        ("float64", "float64", "int16", "float16"),
        ("float64", "float32", "int8", "float16"),
        ("float32", "float32", "int8", "float16"),
    ],
)
@pytest.mark.parametrize("step", [(1, 100), (1, 8), (5, 1), (1, 1)])
def test_rows_off_a_step(
    device: EmulatedDevice, step: tuple[int, int], x: str, scalar_type: str, code_type: str, precision: str
) -> None:
    whole = np.random.default_rng(3).integers(-(10**6), 10**6, 4099)
    with np.errstate(over="ignore"):
        rows = (whole * step[0] / step[1]).astype(precision).astype(x)
    rows[[5, 77, 4098]] = np.array([0.123, 1e-7, np.nan], precision)
    on_step = Step(*step, precision)
    found = encoded(device, rows, TABLE, Draw(7, 9), (scalar_type, code_type), rules=RowRules(step=on_step))
    counts = found[2].reshape(len(SORTS), 2)
    assert np.flatnonzero(on_step.is_off(rows)).tolist() == [5, 77]
    assert counts[OFF_STEP].tolist() == [2, 5] and counts[MISSING].tolist() == [1, 4098]


def test_a_lone_row_of_each_sort(device: EmulatedDevice) -> None:
    """The first row is that of the least number, wherever the blocks and threads are."""
    for sort, value in ((INFINITE, np.inf), (MISSING, np.nan), (OUTSIDE, 71.0)):
        rows, rules = np.full(70_000, 2.0), RowRules(step=Step(1, 10, "float64"))
        rows[[69_998, 40_001]] = value
        counts = encoded(device, rows, TABLE, Draw(most_probable=True), rules=rules)[2].reshape(-1, 2)
        assert counts[sort].tolist() == [2, 40_001]
        assert not counts[CLIPPED, 0]

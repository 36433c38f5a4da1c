"""Transform, inverse and onehot kernels on the host, against the native engine and the reference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gpuvgm.engines import get_engine
from gpuvgm.engines.cuda import rows
from gpuvgm.engines.tables import Draw, DrawTable, InverseTable
from gpuvgm.summary.grid import Frame
from tests.engines.kernels.building import needs_compiler
from tests.engines.kernels.emulated import EmulatedDevice, Resident, resident
from tests.engines.kernels.executed import ExecutedDevice
from tests.engines.test_engines import draw_table
from tests.harness.shapes import with_gaps

pytestmark = needs_compiler
ORACLE = get_engine("auto")
SIZES = [0, 1, 3, 4, 5, 255, 257, 1030]


def shifted(array: np.ndarray, elements: int) -> np.ndarray:
    """The array on the device, so many elements after a place that any access may begin at."""
    place = np.zeros(len(array) + elements, array.dtype)[elements:]
    place[:] = array
    return resident(place)


def transformed(device: EmulatedDevice, x: np.ndarray, table, draw: Draw, types=("float32", "uint8"), shift: int = 0):  # type: ignore[no-untyped-def]
    scalar, code = shifted(np.full(len(x), 9, types[0]), shift), shifted(np.full(len(x), 99, types[1]), shift)
    rows.transform(device, shifted(x, shift), table, draw, (scalar, code))
    return scalar, code


def expected(x: np.ndarray, table, draw: Draw, types=("float32", "uint8")):  # type: ignore[no-untyped-def]
    out = np.full(len(x), 9, types[0]), np.full(len(x), 99, types[1])
    ORACLE.transform(x.astype(np.float64), table, draw, *out)
    return out


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("components", [1, 2, 10, 16, 17, 37])
def test_transform(device: EmulatedDevice, size: int, components: int) -> None:
    check_transform(device, with_gaps(size), draw_table(min(7, components), components))


def check_transform(device: EmulatedDevice, x: np.ndarray, table: DrawTable, types=("float32", "uint8")) -> None:  # type: ignore[no-untyped-def]
    """Every way to draw, with rows that begin and end anywhere, and one mode alone."""
    given = resident(np.random.default_rng(5).uniform(size=len(x)))
    draws = [Draw(7, 2**63 + 5, 1000), Draw(7, 9, 3), Draw(uniforms=given), Draw(uniforms=given, first_row=1)]
    cases = [(table, draw) for draw in [*draws, Draw(most_probable=True), Draw(7, 9, 2, most_probable=True)]]
    for of, draw in [*cases, (replace(table, widths=table.widths[:1], codes=table.codes[:1]), Draw(7, 9))]:
        wanted = expected(x, of, draw, types)
        for shift in (0, 1):
            for one, other in zip(transformed(device, x, of, draw, types, shift), wanted, strict=True):
                assert one.dtype == other.dtype
                np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("x", ["float32", "float64"])
@pytest.mark.parametrize("scalar", ["float32", "float64"])
@pytest.mark.parametrize("code", ["uint8", "uint16"])
def test_transform_types(device: EmulatedDevice, x: str, scalar: str, code: str) -> None:
    check_transform(device, with_gaps(1003, x), draw_table(limit=np.inf, floor=0.0), (scalar, code))


@pytest.mark.parametrize("first_row", [0, 1, 2, 3, 2**33 + 1, 2**63 - 5000])
@pytest.mark.parametrize("offset", [0, 1, 2, 3])
def test_rows_anywhere_in_memory_and_in_the_source(device: EmulatedDevice, first_row: int, offset: int) -> None:
    x, table = with_gaps(1031)[offset:], draw_table()
    draw = Draw(3, 11, first_row)
    for found, wanted in zip(transformed(device, x, table, draw), expected(x, table, draw), strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.ptx
@pytest.mark.parametrize("x", ["float32", "float64"])
def test_programs_for_arrays_of_more_than_32_bits(x: str) -> None:
    device, table = ExecutedDevice(wide=True), draw_table()
    check_transform(device, with_gaps(1030, x), table)
    scalar, code = transformed(device, with_gaps(1030, x), table, Draw(7, 9))
    inverse = InverseTable(Frame(0.5, 3.25), np.arange(8.0), np.ones(8), 1.0)
    found, wanted = np.zeros(1030).view(Resident), np.zeros(1030)
    rows.inverse_transform(device, scalar, code, inverse, found)
    ORACLE.inverse_transform(scalar, code, inverse, wanted)
    np.testing.assert_array_equal(found, wanted)


def test_values_that_are_not_finite_get_the_missing_code(device: EmulatedDevice) -> None:
    x, table = np.array([np.nan, np.inf, -np.inf, 1e300, -1e300, 0.0]), draw_table()
    scalar, code = transformed(device, x, table, Draw(1, 1))
    assert list(code[:3]) == [table.missing_code] * 3 and not np.any(scalar[:3])
    np.testing.assert_array_equal(np.asarray(scalar), expected(x, table, Draw(1, 1))[0])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scalar", ["float32", "float64"])
@pytest.mark.parametrize("code", ["uint8", "uint16"])
def test_inverse(device: EmulatedDevice, size: int, scalar: str, code: str) -> None:
    g = np.random.default_rng(size)
    table = InverseTable(Frame(0.5, 3.25), np.array([1.0, -7.5, np.nan, 1e6]), np.array([2.0, 0.1, 0.0, 9.0]), 1.0)
    scalars, codes = g.uniform(-1.5, 1.5, size).astype(scalar), g.integers(0, 4, size).astype(code)
    scalars[::13] = np.nan
    wanted = np.zeros(size)
    assert ORACLE.inverse_transform(scalars, codes, table, wanted)[0] == -1
    for shift in (0, 1):
        for dtype in ("float64", "float32"):
            found = shifted(np.zeros(size, dtype), shift)
            wrong = rows.inverse_transform(device, shifted(scalars, shift), shifted(codes, shift), table, found)
            assert wrong.tolist() == [rows.NO_ROW, 0 if size else rows.NO_ROW]
            np.testing.assert_array_equal(found, wanted.astype(dtype))


def test_inverse_into_float32_rounds_to_the_nearest(device: EmulatedDevice) -> None:
    g = np.random.default_rng(0)
    table = InverseTable(Frame(1.0, 1e-3), np.array([1.0, 3e38, 1e-40]), np.array([2.0, 3e38, 1e-39]), 1.0)
    scalars, codes = g.uniform(-1, 1, 1000).astype(np.float32), g.integers(0, 3, 1000).astype(np.uint8)
    found, wide = resident(np.zeros(1000, np.float32)), np.zeros(1000)
    rows.inverse_transform(device, resident(scalars), resident(codes), table, found)
    ORACLE.inverse_transform(scalars, codes, table, wide)
    with np.errstate(over="ignore", under="ignore"):
        np.testing.assert_array_equal(found, wide.astype(np.float32))


@pytest.mark.parametrize("scalar", ["float32", "float64"])
@pytest.mark.parametrize("code", ["uint8", "uint16"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_inverse_names_the_first_row_without_a_code(device: EmulatedDevice, scalar: str, code: str, dtype: str) -> None:
    table = InverseTable(Frame(1.0, 0.0), np.arange(3.0), np.ones(3), 1.0)
    for first in range(516, 520):  # each row of a thread
        codes = np.zeros(1000, code)
        codes[[first, 700, 999]] = 3, 200, 255
        given = resident(np.zeros(1000, scalar)), resident(codes)
        assert int(rows.inverse_transform(device, *given, table, resident(np.zeros(1000, dtype)))[0]) == first

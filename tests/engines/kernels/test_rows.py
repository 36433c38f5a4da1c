"""Encode, decode and onehot kernels on the host, against the native engine and the reference."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from gpuvgm.engines import get_engine
from gpuvgm.engines.base import PLAIN
from gpuvgm.engines.cuda import rows
from gpuvgm.engines.encode import DecodeTable, EncodeTable
from gpuvgm.engines.tables import Draw, RowRules, Step
from gpuvgm.summary import Frame
from tests.engines.kernels.building import needs_compiler
from tests.engines.kernels.emulated import EmulatedDevice, resident
from tests.engines.kernels.executed import ExecutedDevice
from tests.engines.kernels.ruled import RULED, decode_table, decoded, encode_table
from tests.engines.test_engines import draw_table
from tests.harness.shapes import with_gaps

pytestmark = needs_compiler
ORACLE = get_engine("auto")
SIZES = [0, 1, 3, 4, 5, 255, 257, 1030]
Encoded = tuple[np.ndarray, np.ndarray, np.ndarray]


def shifted(array: np.ndarray, elements: int) -> np.ndarray:
    """The array on the device, so many elements after a place that any access may begin at."""
    place = np.zeros(len(array) + elements, array.dtype)[elements:]
    place[:] = array
    return resident(place)


def encoded(  # noqa: PLR0913
    device: EmulatedDevice,
    x: np.ndarray,
    table: EncodeTable,
    draw: Draw,
    types: tuple[str, str] = ("float32", "int8"),
    shift: int = 0,
    rules: RowRules = PLAIN,
    missing: np.ndarray | None = None,
) -> Encoded:
    """Scalars, codes and counts by the kernel."""
    scalar, code = shifted(np.full(len(x), 9, types[0]), shift), shifted(np.full(len(x), 99, types[1]), shift)
    mask = None if missing is None else shifted(missing, shift)
    counts = rows.encode(device, (shifted(x, shift), mask), rules, table, draw, (scalar, code))
    return scalar, code, device.to_host(counts)


def expected(  # noqa: PLR0913
    x: np.ndarray,
    table: EncodeTable,
    draw: Draw,
    types: tuple[str, str] = ("float32", "int8"),
    rules: RowRules = PLAIN,
    missing: np.ndarray | None = None,
) -> Encoded:
    """What they are."""
    out = np.full(len(x), 9, types[0]), np.full(len(x), 99, types[1])
    with np.errstate(all="ignore"):
        return *out, ORACLE.encode(x, rules, table, draw, out, missing)


def check_encoded(found: Encoded, wanted: Encoded) -> None:
    """All bits of scalars and codes; how many rows of a sort there are, and the first where there is one."""
    for one, other in zip(found[:2], wanted[:2], strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(np.asarray(one).view(np.uint8), other.view(np.uint8))
    counts, others = (np.asarray(one[2]).astype(np.int64).reshape(-1, 2) for one in (found, wanted))
    np.testing.assert_array_equal(counts[:, 0], others[:, 0])
    np.testing.assert_array_equal(counts[others[:, 0] > 0], others[others[:, 0] > 0])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("components", [1, 2, 10, 16, 17, 37])
def test_encode(device: EmulatedDevice, size: int, components: int) -> None:
    check_encode(device, with_gaps(size), draw_table(min(7, components), components))


def check_encode(
    device: EmulatedDevice, x: np.ndarray, table: EncodeTable, types: tuple[str, str] = ("float32", "int8")
) -> None:
    """Every way to draw, with rows that begin and end anywhere, and one mode alone."""
    given = resident(np.random.default_rng(5).uniform(size=len(x)))
    draws = [Draw(7, 2**63 + 5, 1000), Draw(7, 9, 3), Draw(uniforms=given), Draw(uniforms=given, first_row=1)]
    cases = [(table, draw) for draw in [*draws, Draw(most_probable=True), Draw(7, 9, 2, most_probable=True)]]
    for of, draw in [*cases, (replace(table, widths=table.widths[:1], codes=table.codes[:1]), Draw(7, 9))]:
        wanted = expected(x, of, draw, types)
        for shift in (0, 1):
            check_encoded(encoded(device, x, of, draw, types, shift), wanted)


@pytest.mark.parametrize("x", ["float32", "float64"])
@pytest.mark.parametrize("scalar", ["float32", "float64"])
@pytest.mark.parametrize("code", ["int8", "int16"])
def test_encode_types(device: EmulatedDevice, x: str, scalar: str, code: str) -> None:
    rows = with_gaps(1003, x)
    check_encode(device, rows, draw_table(limit=np.inf, floor=0.0), (scalar, code))
    rows[5::13], rows[6::13] = np.inf, -np.inf
    low, high = np.nanquantile(rows, [0.2, 0.8])
    check_encode(device, rows, replace(draw_table(limit=0.3), low=low, high=high), (scalar, code))


@pytest.mark.parametrize("first_row", [0, 1, 2, 3, 2**33 + 1, 2**63 - 5000])
@pytest.mark.parametrize("offset", [0, 1, 2, 3])
def test_rows_anywhere_in_memory_and_in_the_source(device: EmulatedDevice, first_row: int, offset: int) -> None:
    x, table = with_gaps(1031)[offset:], draw_table()
    draw = Draw(3, 11, first_row)
    check_encoded(encoded(device, x, table, draw), expected(x, table, draw))


@pytest.mark.parametrize("multiprocessors", [1, 2])
def test_threads_take_several_quads(
    device: EmulatedDevice, multiprocessors: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "ENCODE_BLOCKS", 1)
    device.multiprocessors = multiprocessors
    of = RULED["asinh, modal, step"]
    table, draw = encode_table(of, tails=2), Draw(3, 11, 5)
    x = np.tile(of.values, 3)
    check_encoded(encoded(device, x, table, draw, rules=of.rules), expected(x, table, draw, rules=of.rules))


@pytest.mark.parametrize("name", RULED)
def test_values_by_rules(device: EmulatedDevice, name: str) -> None:
    """Of every type, with and without tail modes, drawn and not."""
    of = RULED[name]
    for tails, limit in ((None, 0.99), (6, 0.99), (6, 0.2)):
        table, types = encode_table(of, tails=tails), (("float32", "int8") if tails else ("float64", "int16"))
        table = replace(table, limit=limit, coverage=table.coverage and replace(table.coverage, limit=limit))
        for draw in (Draw(7, 9, 3), Draw(most_probable=True)):
            wanted = expected(of.values, table, draw, types, of.rules, of.missing)
            for shift in (0, 3):
                check_encoded(encoded(device, of.values, table, draw, types, shift, of.rules, of.missing), wanted)


def test_values_that_are_not_finite_get_the_missing_code(device: EmulatedDevice) -> None:
    x, table = np.array([np.nan, np.inf, -np.inf, 1e300, -1e300, 0.0]), draw_table()
    scalar, code, counts = encoded(device, x, table, Draw(1, 1))
    assert list(code[:3]) == [table.missing_code] * 3 and not np.any(scalar[:3])
    assert counts.reshape(-1, 2)[:2].tolist() == [[2, 1], [1, 0]]
    np.testing.assert_array_equal(np.asarray(scalar), expected(x, table, Draw(1, 1))[0])


def test_scalars_in_the_middle_and_at_the_ends_of_modes(device: EmulatedDevice) -> None:
    """What is written differs from what is computed: 0 for less than a normal float32, and a limit that is rounded."""
    table = draw_table(1)
    width, limit = table.widths[0], table.limit
    places = np.array([0.0, 2.0**-127, 2.0**-126, -(2.0**-130), limit, limit - 2.0**-30, limit - 2.0**-24, -limit, 1.0])
    table, x = replace(table, mixture=replace(table.mixture, means=np.zeros(10))), places * width
    for types in (("float32", "int8"), ("float64", "int8")):
        check_encoded(encoded(device, x, table, Draw(1, 1), types), expected(x, table, Draw(1, 1), types))


def coded(size: int, codes: int, types: tuple[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """Scalars, of which some are NaN and some beyond the limit, and codes."""
    g = np.random.default_rng(size)
    scalar, code = g.uniform(-1.5, 1.5, size).astype(types[0]), g.integers(0, codes, size).astype(types[1])
    scalar[::13] = np.nan
    return scalar, code


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scalar", ["float32", "float64"])
@pytest.mark.parametrize("code", ["int8", "int16"])
def test_decode(device: EmulatedDevice, size: int, scalar: str, code: str) -> None:
    table = DecodeTable(Frame(0.5, 3.25), np.array([1.0, -7.5, np.nan, 1e6]), np.array([2.0, 0.1, 0.0, 9.0]), 1.0)
    scalars, codes = coded(size, 4, (scalar, code))
    wanted = np.zeros(size)
    assert ORACLE.decode(scalars, codes, PLAIN, table, wanted)[0] == -1
    for shift in (0, 1):
        for dtype in ("float64", "float32"):
            found, mask = shifted(np.zeros(size, dtype), shift), shifted(np.zeros(size, np.bool_), shift)
            there = shifted(scalars, shift), shifted(codes, shift)
            for missing in (None, mask):
                wrong = rows.decode(device, there, PLAIN, table, found, missing)
                assert wrong.tolist() == [rows.NO_ROW, 0 if size else rows.NO_ROW]
                np.testing.assert_array_equal(found, wanted.astype(dtype))
            np.testing.assert_array_equal(mask, np.isnan(wanted))


@pytest.mark.parametrize("name", RULED)
def test_values_of_numbers_by_rules(device: EmulatedDevice, name: str) -> None:
    """Of every type, modal values exactly."""
    of = RULED[name]
    table = decode_table(of)
    steps = [table.step] if of.values.dtype.kind == "f" else [None, Step(3, 1, "int64")]
    for types, step in itertools.product((("float32", "int8"), ("float64", "int16")), steps):
        table = replace(table, step=step)
        scalar, code = coded(1030, len(table.means), types)
        numbers = np.empty(1030)
        ORACLE.decode(scalar, code, PLAIN, replace(table, modal=(), step=None), numbers)
        wanted, lost = decoded(numbers, code, of, table)
        there = slice(None) if wanted.dtype.kind == "f" else ~lost  # a missing whole number may be anything
        for shift in (0, 1):
            found, mask = shifted(np.zeros_like(wanted), shift), shifted(np.zeros(1030, np.bool_), shift)
            without = np.isnan(scalar) & ~np.isin(code, [place for place, _ in table.modal])
            for missing in (None, mask):
                given = shifted(scalar, shift), shifted(code, shift)
                wrong = rows.decode(device, given, of.rules, table, found, missing)
                np.testing.assert_array_equal(found[there], wanted[there])
                np.testing.assert_array_equal(np.signbit(found[there]), np.signbit(wanted[there]))
                assert wrong.tolist() == [rows.NO_ROW, int(np.flatnonzero(without)[0])]
            np.testing.assert_array_equal(mask, lost)
            unknown = code.copy()
            unknown[517::5] = len(table.means)
            for missing in (None, mask):
                given = shifted(scalar, shift), shifted(unknown, shift)
                assert rows.decode(device, given, of.rules, table, found, missing)[0] == 517


@pytest.mark.ptx
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_programs_for_arrays_of_more_than_32_bits(dtype: str) -> None:
    device, table = ExecutedDevice(wide=True), DecodeTable(Frame(0.5, 3.25), np.arange(8.0), np.ones(8), 1.0)
    scalar, code = coded(1030, 8, ("float32", "int8"))
    found, wanted = resident(np.zeros(1030, dtype)), np.zeros(1030)
    rows.decode(device, (resident(scalar), resident(code)), PLAIN, table, found, None)
    ORACLE.decode(scalar, code, PLAIN, table, wanted)
    np.testing.assert_array_equal(found, wanted.astype(dtype))


def test_decode_into_float32_rounds_to_the_nearest(device: EmulatedDevice) -> None:
    g = np.random.default_rng(0)
    table = DecodeTable(Frame(1.0, 1e-3), np.array([1.0, 3e38, 1e-40]), np.array([2.0, 3e38, 1e-39]), 1.0)
    scalars, codes = g.uniform(-1, 1, 1000).astype(np.float32), g.integers(0, 3, 1000).astype(np.int8)
    found, wide = resident(np.zeros(1000, np.float32)), np.zeros(1000)
    rows.decode(device, (resident(scalars), resident(codes)), PLAIN, table, found, None)
    ORACLE.decode(scalars, codes, PLAIN, table, wide)
    with np.errstate(over="ignore", under="ignore"):
        np.testing.assert_array_equal(found, wide.astype(np.float32))


@pytest.mark.parametrize("scalar", ["float32", "float64"])
@pytest.mark.parametrize("code", ["int8", "int16"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_decode_names_the_first_row_without_a_code(device: EmulatedDevice, scalar: str, code: str, dtype: str) -> None:
    table = DecodeTable(Frame(1.0, 0.0), np.arange(3.0), np.ones(3), 1.0, low=-5, high=5)
    for first in range(516, 520):  # each row of a thread
        codes = np.zeros(1000, code)
        codes[[first, 700, 999]] = 3, 100, -1
        given = resident(np.zeros(1000, scalar)), resident(codes)
        assert int(rows.decode(device, given, PLAIN, table, resident(np.zeros(1000, dtype)), None)[0]) == first

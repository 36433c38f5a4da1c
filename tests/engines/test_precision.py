"""precision="float32": one law on every engine, whatever the instruction set does, and close to that of float64."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gpuvgm.engines.base import Engine
from gpuvgm.engines.reference import ReferenceEngine
from gpuvgm.engines.reference32 import exp2, fused
from gpuvgm.engines.tables import Draw, DrawTable, Float32Table, KernelTable, float32_uniforms, parts_of
from gpuvgm.errors import InputError
from gpuvgm.summary.grid import Frame
from tests.conftest import make_engine, native_names
from tests.engines.float32 import DeviceRows, bits, column_of, encode, rows_of, tables_of
from tests.kernels.building import needs_compiler
from tests.shapes import SHAPES, shape

REFERENCE = ReferenceEngine()
SIZES = [0, 1, 2, 15, 16, 17, 31, 33, 63, 64, 65, 1023, 1024, 1025, 4097]
#: Narrower than 1e-300: float32 has no scale for them.
REFUSED = {"1e-300", "subnormal"}
ALLOWED = [name for name in SHAPES if name not in REFUSED]
#: Here float32 parts hold 49 bits of numbers that are 1e12 sd from zero.
FAR = {"1e12 +- 1"}
DRAWS = [Draw(7, 2**63 + 5, 1001), Draw(most_probable=True)]


def simple(active: int = 4, components: int = 6, frame: Frame | None = None, **changes: object) -> DrawTable:
    k = np.arange(components)
    mixture = KernelTable(frame or Frame(1.0, 0.0), k * k * 2.0 - 3.0, 0.7213475 / (1.0 + k) ** 2, -0.3 * k)
    widths = 4 * np.sqrt(0.7213475 / mixture.half_precisions[:active])
    table = DrawTable(mixture, widths, np.arange(active)[::-1].astype(float), 1e-6, 0.99, active, "float32")
    return replace(table, **changes)  # type: ignore[arg-type]


def same(engine: Engine, x: np.ndarray, table: DrawTable, draw: Draw) -> None:
    scalar, cell = encode(engine, x, table, draw)
    expected_scalar, expected_cell = encode(REFERENCE, x, table, draw)
    np.testing.assert_array_equal(cell, expected_cell)
    np.testing.assert_array_equal(bits(scalar), bits(expected_scalar))


@pytest.mark.parametrize("name", ALLOWED)
def test_every_engine_gives_the_reference_bits(candidate: Engine, name: str) -> None:
    x, (_, table) = rows_of(name), tables_of(name)
    uniforms = np.random.default_rng(3).uniform(size=len(x))
    uniforms[:4] = [0.0, 1e-300, 2.0**-24, np.nextafter(1, 0)]
    for draw in (*DRAWS, Draw(uniforms=uniforms)):
        same(candidate, x, replace(table, missing_cell=7), draw)
        same(candidate, x, replace(table, limit=0.99, floor=0.0), draw)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("active", [1, 2, 6])
def test_sizes(candidate: Engine, size: int, active: int) -> None:
    x = np.random.default_rng(size).normal(5, 20, size)
    x[::9] = np.nan
    for draw in (*DRAWS, Draw(uniforms=np.random.default_rng(1).uniform(size=size))):
        same(candidate, x, simple(active), draw)
        same(candidate, x, simple(active, 40), draw)


@pytest.mark.parametrize("offset", [0.0, 1e9, -1e9, 1.6e9, 2.0**40])
@pytest.mark.parametrize("scale", [1.0, 2.0**-400, 2.0**300])
def test_offsets_and_scales(candidate: Engine, offset: float, scale: float) -> None:
    table = simple(frame=Frame(scale, offset))
    x = (offset + np.random.default_rng(0).normal(5, 20, 3000)) / scale
    for draw in DRAWS:
        same(candidate, x, table, draw)
        found, expected = (encode(candidate, x, t, draw) for t in (table, replace(table, precision="float64")))
        assert np.mean(found[1] == expected[1]) >= 0.999
        agree = found[1] == expected[1]
        np.testing.assert_allclose(found[0][agree], expected[0][agree], rtol=0, atol=1e-6 + 2.0**-48 * abs(offset))


@pytest.mark.parametrize("cut", [1, 3, 64, 1000, 1024, 4095])
def test_rows_do_not_depend_on_their_block(candidate: Engine, cut: int) -> None:
    x, table = rows_of("lognormal")[:5000], tables_of("lognormal")[1]
    whole = encode(candidate, x, table, Draw(3, 11, 77))
    parts = [
        encode(candidate, x[:cut], table, Draw(3, 11, 77)),
        encode(candidate, x[cut:], table, Draw(3, 11, 77 + cut)),
    ]
    for i in (0, 1):
        np.testing.assert_array_equal(np.concatenate([part[i] for part in parts]), whole[i])


@pytest.mark.parametrize("name", ["reference", *native_names()])
def test_types(name: str) -> None:
    engine, table, x = make_engine(name), simple(), rows_of("uniform")
    single, cell = encode(engine, x, table, DRAWS[0])
    double, again = encode(engine, x, table, DRAWS[0], "float64")
    two_bytes = np.empty(len(x), np.uint16)
    engine.transform(x, table, DRAWS[0], np.empty(len(x)), two_bytes)
    np.testing.assert_array_equal(single.astype(np.float64), double)
    np.testing.assert_array_equal(cell, again)
    np.testing.assert_array_equal(cell, two_bytes)


@pytest.mark.parametrize("name", ALLOWED)
def test_close_to_the_law_of_float64(name: str) -> None:
    double, single = tables_of(name)
    x = shape(name, 20_000, seed=6)
    for draw, least in ((Draw(most_probable=True), 0.9995), (Draw(5, 6, 7), 0.999)):
        (z64, c64), (z32, c32) = (encode(REFERENCE, x, table, draw, "float64") for table in (double, single))
        agree = c64 == c32
        assert np.mean(agree) >= least
        error = np.abs(z32 - z64)[agree] / np.maximum(1, np.abs(z64[agree]))
        assert np.max(error) < (1e-3 if name in FAR else 1e-6)


def test_draws_follow_the_posterior() -> None:
    rows, x = 200_000, 4.0
    for floor in (0.0, 1e-3):
        table = simple(active=4, floor=floor)
        _, cell = encode(REFERENCE, np.full(rows, x), table, Draw(12, 34))
        density = table.mixture.coefficients - table.mixture.half_precisions * (x - table.mixture.means) ** 2
        share = np.exp2(density)
        share = share[:4] + floor * np.sum(share)
        share /= np.sum(share)
        counts = np.bincount(cell, minlength=4)[::-1]
        assert np.all(np.abs(counts - rows * share) < 5 * np.sqrt(rows * share * (1 - share)) + 1)


def test_uniforms_are_cut_to_24_bits() -> None:
    given = np.array([0.0, 1e-300, 2.0**-24, 0.5, 0.5 + 2.0**-25, np.nextafter(1, 0)])
    expected = [0.0, 0.0, 2.0**-24, 0.5, 0.5, 1 - 2.0**-24]
    assert float32_uniforms(given).dtype == np.float32
    assert list(float32_uniforms(given)) == expected


@pytest.mark.parametrize("name", ["reference", *native_names()])
def test_far_and_odd_numbers(name: str) -> None:
    engine, table = make_engine(name), simple(limit=float(np.finfo(np.float32).max))
    x = np.array([np.nan, 1e300, -1e300, 1e38, 0.0, -0.0, 5e-324, np.inf, -np.inf])
    for draw in DRAWS:
        scalar, cell = encode(engine, x, table, draw)
        assert np.all(np.isfinite(scalar))
        assert list(cell[[0, 7, 8]]) == [4, 4, 4]
        assert np.all(cell[1:7] < 4)
        assert list(scalar[[0, 7, 8]]) == [0, 0, 0]
        assert scalar[1] > 1e30 and scalar[2] < -1e30


@pytest.mark.parametrize("name", ["reference", *native_names()])
def test_positions_below_the_least_are_zero(name: str) -> None:
    mixture = KernelTable(Frame(1.0, 0.0), np.zeros(2), np.array([0.5, 2.0**-240]), np.zeros(2))
    table = DrawTable(mixture, np.array([1.0, 2.0**118]), np.arange(2.0), 0.0, 9.0, -1, "float32")
    only_wide = replace(table, mixture=mixture.take(np.array([1, 0])), widths=table.widths[1:], cells=table.cells[1:])
    scalar, _ = encode(make_engine(name), np.array([1.0, 2.0**17, -(2.0**18), 2.0**19]), only_wide, DRAWS[1])
    assert list(scalar) == [0.0, 0.0, -(2.0**-100), 2.0**-99]
    assert not np.signbit(scalar[:2]).any()


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_tables_that_float32_cannot_hold_are_refused(candidate: Engine, name: str) -> None:
    table = tables_of(name)[1]
    for engine in (REFERENCE, candidate):
        with pytest.raises(InputError, match='precision="float64"'):
            encode(engine, np.zeros(3), table, DRAWS[0])


@pytest.mark.parametrize(
    "change",
    [
        {"means": np.array([0.0, 1e60])},
        {"half_precisions": np.array([1.0, 1e-120])},
        {"frame": Frame(2.0**40, 1e80)},
    ],
)
def test_modes_too_far_apart_are_refused(change: dict[str, object]) -> None:
    mixture = KernelTable(Frame(1.0, 0.0), np.array([0.0, 9.0]), np.ones(2), np.zeros(2))
    table = DrawTable(mixture, np.full(2, 4.0), np.arange(2.0), 0.0, 0.99, -1)
    assert Float32Table.of(table).exponent == -19
    with pytest.raises(InputError, match="too far apart"):
        Float32Table.of(replace(table, mixture=replace(mixture, **change)))  # type: ignore[arg-type]


def test_parameters_keep_their_digits() -> None:
    for name in ALLOWED:
        wide, table = tables_of(name)[0], Float32Table.of(tables_of(name)[1])
        means = np.ldexp(wide.mixture.frame.invert(wide.mixture.means), table.exponent)
        np.testing.assert_allclose(table.mean_high.astype(float) + table.mean_low, means, rtol=2.0**-48, atol=2.0**-73)
        assert 2.0**19 <= np.max(table.root_precisions) < 2.0**20 or table.exponent == 949
        assert np.all((table.coefficients < 0) & np.isfinite(table.coefficients))
        assert len(column_of(name).active_components) == len(table.widths)


def test_numbers_too_far_from_zero_for_their_mode_are_refused() -> None:
    width = float(np.min(simple().widths))
    Float32Table.of(simple(frame=Frame(1.0, 2.0**41 * width)))
    with pytest.raises(InputError, match='far apart or from zero.*precision="float64"'):
        Float32Table.of(simple(frame=Frame(1.0, 2.0**42 * width)))


def test_fused_rounds_once() -> None:
    draws = np.random.default_rng(0)
    a, b, c = (np.float32(draws.normal(size=200_000)) for _ in range(3))
    c[::2] = (-a * b)[::2]  # cancels all but the rounding of the product
    wide = np.asarray(a, np.longdouble) * b + c
    if np.finfo(np.longdouble).nmant >= 63:  # room enough that a second rounding is rare; the midpoints are left out
        near = np.abs(np.asarray(wide - np.float32(wide), np.float64)) / np.spacing(np.abs(np.float32(wide)))
        clear = np.abs(np.abs(near) - 0.5) > 1e-6
        np.testing.assert_array_equal(fused(a, b, c)[clear], np.float32(wide)[clear])
    one, tiny = np.float32(1), np.float32(2.0**-60)
    half = np.float32(2.0**-24)
    assert fused(np.array([one]), np.array([half]), np.array([one]))[0] == 1
    assert fused(np.array([tiny]), np.array([tiny]), np.array([half + one]))[0] == 1
    odd = np.float32(1 + 2.0**-23)
    found = fused(np.array([half, half, -half]), np.array([odd, one, odd]), np.array([one, odd, one], np.float32))
    assert list(found) == [odd, 1 + 2.0**-22, 1 - 2.0**-23 + 2.0**-24]
    # so close to a midpoint that float64 rounds them to it: the products are 1 - 2^-46 times a half of the last digit
    under, near = np.float32(1 - 2.0**-24), np.float32(1 - 2.0**-23)
    found = fused(np.array([half * odd, -half / 2 * odd], np.float32), np.array([near, near]), np.array([odd, under]))
    assert list(found) == [odd, under]
    assert list(fused(-np.array([half * odd, -half / 2 * odd], np.float32), near, -np.array([odd, under]))) == [
        -odd,
        -under,
    ]


def test_power_of_two() -> None:
    t = np.linspace(-100, 0, 300_001, dtype=np.float32)
    np.testing.assert_allclose(exp2(t), np.exp2(t.astype(np.float64)), rtol=2e-7)
    assert list(exp2(np.float32([0, -1, -100, -1e30, -np.inf]))) == [1, 0.5, 2.0**-100, 2.0**-100, 2.0**-100]


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> DeviceRows:
    return DeviceRows(tmp_path_factory.mktemp("float32"))


@needs_compiler
@pytest.mark.parametrize("flush", [False, True])
@pytest.mark.parametrize("name", ALLOWED)
def test_flushed_subnormals_change_no_bit(device: DeviceRows, name: str, flush: bool) -> None:
    x, table = rows_of(name), tables_of(name)[1]
    uniforms = np.random.default_rng(3).uniform(size=len(x))
    for draw in (Draw(uniforms=uniforms), Draw(most_probable=True)):
        given = None if draw.uniforms is None else float32_uniforms(uniforms)
        scalar, cell = device.transform(x, Float32Table.of(table), given, flush=flush)
        expected_scalar, expected_cell = encode(REFERENCE, x, table, draw)
        np.testing.assert_array_equal(cell, expected_cell)
        np.testing.assert_array_equal(bits(scalar), bits(expected_scalar))


@needs_compiler
@pytest.mark.parametrize("flush", [False, True])
@pytest.mark.parametrize("exponent", [-1100, -126, -20, 0, 19, 53, 400, 949])
def test_parts_of_numbers(device: DeviceRows, exponent: int, flush: bool) -> None:
    words = np.random.default_rng(exponent + 2000).integers(0, 2**64, 300_000, dtype=np.uint64)
    middle = np.uint64(1) << np.uint64(28)  # between two floats
    near = [
        words & ~(middle - np.uint64(1)) | middle,
        (words | np.uint64(2**29 - 1)) - middle,
        words | (middle * 2 - 1),
    ]
    x = np.concatenate([words, *(np.asarray(part, np.uint64) for part in near)]).view(np.float64)
    x = np.concatenate([x, rows_of("lognormal"), [np.inf, -np.inf]])
    high, low = device.halves(x, exponent, flush=flush)
    finite = np.isfinite(x)
    with np.errstate(over="ignore"):
        expected = parts_of(np.ldexp(x[finite], exponent))
    np.testing.assert_array_equal(high[finite], expected[0])
    np.testing.assert_array_equal(low[finite], expected[1])
    assert np.all(np.isnan(high[~finite]))


@needs_compiler
@pytest.mark.parametrize("flush", [False, True])
@pytest.mark.parametrize("exponent", [-126, -20, 0, 19, 53])
def test_rows_of_float32_are_their_own_high_part(device: DeviceRows, exponent: int, flush: bool) -> None:
    words = np.random.default_rng(exponent + 200).integers(0, 2**32, 300_000, dtype=np.uint32)
    x = np.concatenate([words.view(np.float32), np.float32([0, -0.0, 1e-45, -1e-39, 3.4e38, np.nan, np.inf])])
    with np.errstate(invalid="ignore"):
        high, low = device.halves(x.astype(np.float64), exponent, flush=False)
    np.testing.assert_array_equal(device.highs(x, exponent, flush=flush), high)
    assert not np.any(low)


@needs_compiler
def test_powers_of_two_on_the_device(device: DeviceRows) -> None:
    t = np.linspace(-130, 0, 300_001, dtype=np.float32)
    np.testing.assert_array_equal(device.powers(t), exp2(t))

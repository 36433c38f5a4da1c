"""Every engine, and every instruction set, against the reference."""

from __future__ import annotations

import inspect
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from gpuvgm.codecs import AsinhCodec, FloatCodec, LogCodec
from gpuvgm.engines import get_engine, native_is_built
from gpuvgm.engines.base import PLAIN, Engine
from gpuvgm.engines.encode import DecodeTable, EncodeTable
from gpuvgm.engines.tables import Draw, DrawnColumn, KernelTable, Lottery, RowRules, Scale, Step, philox_words
from gpuvgm.errors import EnvironmentProblem
from gpuvgm.mixture.statistics import statistics_of
from gpuvgm.summary import Frame
from tests.conftest import make_engine, native_names
from tests.engines.kernels.building import needs_compiler
from tests.harness.shapes import SHAPES, shape, with_gaps
from tests.summary.test_grid import grid_of
from tests.summary.test_summary import same

REFERENCE = Engine()
#: What engines leave to the reference.
INHERITED = {
    "native": {"add_chunks", "copy_to_device", "in_row_order", "information", "joint_counts", "running_summary"},
    "cuda": {"information"},
}
SIZES = [0, 1, 7, 8, 31, 32, 33, 255, 257, 4095, 4096, 4097, 9000]


def mixture(components: int = 10, frame: Frame | None = None) -> KernelTable:
    k = np.arange(components)
    half = 0.7213475204444817 / (1.0 + k * k) ** 1.5
    return KernelTable(frame or Frame(1.0, 0.0), k * k * 2.0 - 3.0, half, -0.3 * k)


def draw_table(active: int = 7, components: int = 10, limit: float = 0.99, floor: float = 1e-6) -> EncodeTable:
    table = mixture(components)
    widths = 4 * np.sqrt(0.7213475204444817 / table.half_precisions[:active])
    return EncodeTable(table, widths, np.arange(active)[::-1], floor, limit, active)


def encode(engine: Engine, x: np.ndarray, table: EncodeTable, draw: Draw, dtype: str = "float32", code: str = "int8"):  # type: ignore[no-untyped-def]
    """Scalars and codes of numbers."""
    scalar, codes = np.full(len(x), 9, dtype), np.full(len(x), 99, code)
    engine.encode(x, PLAIN, table, draw, (scalar, codes))
    return scalar, codes


@needs_compiler
@pytest.mark.usefixtures("strict_cupy")
def test_contract_has_the_same_arguments_everywhere() -> None:
    members = {name for name in vars(Engine) if not name.startswith("_") and callable(getattr(Engine, name))}
    for name in [*native_names(), "cuda-strict"]:
        engine = make_engine(name)
        public = {n for n in dir(engine) if not n.startswith("_") and callable(getattr(engine, n))}
        assert public == members
        own = {member for member in members if getattr(type(engine), member) is not getattr(Engine, member)}
        assert own == members - INHERITED[engine.name]
        for member in members:
            assert inspect.signature(getattr(type(engine), member)) == inspect.signature(getattr(Engine, member))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("components", [1, 2, 10, 37])
def test_e_step_over_rows(candidate: Engine, size: int, components: int) -> None:
    x, table = with_gaps(size), mixture(components, Frame(0.5, 1.25))
    for weight in (None, np.random.default_rng(1).uniform(0, 3, size)):
        expected = REFERENCE.e_step(x, weight, None, table)
        found = candidate.e_step(x, weight, None, table)
        assert found.shape == expected.shape == (-(-size // 4096), 3 * components + 1)
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12 * max(1, size))


@pytest.mark.parametrize("size", SIZES)
def test_e_step_over_cells(candidate: Engine, size: int) -> None:
    g = np.random.default_rng(2)
    x = g.normal(10, 20, size)
    weight, scatter = g.integers(1, 50, size).astype(float), g.uniform(0, 1e-3, size)
    expected = REFERENCE.e_step(x, weight, scatter, mixture())
    found = candidate.e_step(x, weight, scatter, mixture())
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11 * max(1, size))


def test_no_share_of_a_cell_is_so_small_that_its_products_are_subnormal(candidate: Engine) -> None:
    table = KernelTable(Frame(1.0, 0.0), np.array([0.0, 1.0]), np.full(2, 0.5), np.array([0.0, -1e6]))
    sums = candidate.e_step(np.linspace(-1, 1, 50), np.ones(50), np.full(50, 1e-9), table)
    empty = sums[0, [1, 3, 5]]  # of the component that has none of the rows
    assert np.all((np.abs(empty) >= 2.0**-520) & (np.abs(empty) < 2.0**-480))


def test_e_step_far_out_does_not_overflow(engine: Engine) -> None:
    x = np.array([1e6, -1e6, 1e150, 3.0])
    found = engine.e_step(x, None, None, mixture())
    assert np.all(np.isfinite(found[:, :10]))
    assert found[0, :10].sum() == pytest.approx(4)


def test_entropy_follows_from_the_sums(engine: Engine) -> None:
    x, table = with_gaps(5000), mixture()
    statistics = statistics_of(engine.e_step(x, None, None, table), table)
    y = x[np.isfinite(x)]
    density = table.coefficients[:, None] - table.half_precisions[:, None] * (y - table.means[:, None]) ** 2
    log_r = (density - np.logaddexp2.reduce(density, axis=0)) * np.log(2)
    assert statistics.entropy == pytest.approx(-np.sum(np.exp(log_r) * log_r), rel=1e-10)


@pytest.mark.parametrize("size", [0, 1, 5000])
def test_count_most_probable(candidate: Engine, size: int) -> None:
    x = with_gaps(size)
    weight = np.random.default_rng(1).integers(1, 9, size).astype(float)
    for w in (None, weight):
        expected = REFERENCE.count_most_probable(x, w, mixture())
        np.testing.assert_array_equal(candidate.count_most_probable(x, w, mixture()), expected)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("active", [1, 2, 7, 10])
def test_transform(candidate: Engine, size: int, active: int) -> None:
    x, table = with_gaps(size), draw_table(active)
    uniforms = np.random.default_rng(5).uniform(size=size)
    for draw in (Draw(7, 2**63 + 5, 1000), Draw(7, 9, 3), Draw(uniforms=uniforms), Draw(most_probable=True)):
        scalar, code = encode(candidate, x, table, draw)
        expected_scalar, expected_code = encode(REFERENCE, x, table, draw)
        np.testing.assert_array_equal(code, expected_code)
        np.testing.assert_array_equal(scalar, expected_scalar)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("code", ["int8", "int16"])
def test_transform_types(candidate: Engine, dtype: str, code: str) -> None:
    x, table = with_gaps(1000), draw_table(limit=np.inf, floor=0.0)
    for ours, theirs in zip(encode(candidate, x, table, Draw(1, 2), dtype, code),
                            encode(REFERENCE, x, table, Draw(1, 2), dtype, code), strict=True):  # fmt: skip
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("cut", [1, 2, 3, 4, 1023, 1024, 1025, 4096])
def test_rows_do_not_depend_on_their_block(engine: Engine, cut: int) -> None:
    x, table = with_gaps(6000), draw_table()
    whole = encode(engine, x, table, Draw(3, 11, 77))
    parts = [encode(engine, x[:cut], table, Draw(3, 11, 77)), encode(engine, x[cut:], table, Draw(3, 11, 77 + cut))]
    for i in (0, 1):
        np.testing.assert_array_equal(np.concatenate([part[i] for part in parts]), whole[i])


def test_draws_follow_the_posterior(engine: Engine) -> None:
    table = draw_table(10)
    x = np.full(40_000, 4.0)
    _, code = encode(engine, x, table, Draw(12, 34))
    density = table.mixture.coefficients - table.mixture.half_precisions * (4.0 - table.mixture.means) ** 2
    share = np.exp2(density - density.max())
    share /= share.sum()
    counts = np.bincount(code, minlength=10)[::-1]  # codes are numbered backwards in this table
    spread = np.sqrt(len(x) * share * (1 - share))
    assert np.all(np.abs(counts - len(x) * share) < 5 * spread + 1)


def test_scalars_below_the_smallest_float32_are_zero(engine: Engine) -> None:
    table = draw_table(1)
    x = table.mixture.means[0] + table.widths[0] * np.array([1e-39, -1e-39, 1e-3])
    x[:2] = table.mixture.means[0]
    scalar, _ = encode(engine, x, table, Draw(most_probable=True))
    assert list(scalar[:2]) == [0.0, 0.0]
    assert not np.signbit(scalar[:2]).any()


def lottery_of(random: np.random.Generator, sizes: np.ndarray) -> Lottery:
    """Shares of which some are 0, and some blocks have none at all."""
    table = random.exponential(size=int(sizes.sum())) * (random.random(int(sizes.sum())) < 0.7)
    return Lottery.of(table, np.cumsum(sizes) - sizes)


def drawn_column(parents: int, *, stages: int, seed: int = 5) -> tuple[DrawnColumn, list[np.ndarray]]:
    """Tables of a column of 256 bins in 7 groups, and bins of its parents at 1,500 rows."""
    random = np.random.default_rng(seed)
    groups = np.array([1, 24, 3, 70, 2, 155, 1])
    first, width = (9 if parents else 1), (4 if parents > 1 else 1)
    of_context = np.full(first * width, len(groups) if stages > 1 else groups.sum())
    inside = lottery_of(random, np.tile(groups, first)) if stages > 1 else None
    pieces = random.integers(1, 40, groups.sum())
    low = random.normal(size=pieces.sum())
    second = random.integers(0, width, 200) if parents > 1 else np.empty(0, np.int64)
    tables = (lottery_of(random, of_context), inside, lottery_of(random, pieces))
    bins = [random.integers(0, size, 1500).astype(np.uint16) for size in (first, 200)[:parents]]
    return DrawnColumn(*tables, low, low + random.integers(0, 3, len(low)), width, second), bins


@pytest.mark.parametrize("name", native_names())
@pytest.mark.parametrize("stages", [1, 2])
@pytest.mark.parametrize("parents", [0, 1, 2])
@pytest.mark.parametrize("rows", [0, 1, 511, 512, 513, 1500])
def test_drawn_rows(name: str, stages: int, parents: int, rows: int) -> None:
    column, bins = drawn_column(parents, stages=stages)
    bins = [codes[:rows] for codes in bins]
    following = np.arange(2**40 + 3, 2**40 + 3 + rows, dtype=np.uint64)
    for draw in (Draw(2**63, 7, 2**40 + 3), Draw(2**63, 7, numbers=following[::-1].copy())):
        expected, found = (engine.draw_rows(column, bins, draw, rows) for engine in (REFERENCE, make_engine(name)))
        for one, other in zip(found, expected, strict=True):
            assert one.dtype == other.dtype and np.array_equal(one, other)
    given = REFERENCE.draw_rows(column, bins, Draw(2**63, 7, numbers=following), rows)
    alone = REFERENCE.draw_rows(column, bins, Draw(2**63, 7, 2**40 + 3), rows)
    assert all(map(np.array_equal, given, alone))


def places_column() -> tuple[DrawnColumn, np.ndarray]:
    """Pieces of 700 bins, and bins that 1,500 rows have already."""
    random = np.random.default_rng(8)
    pieces = random.integers(1, 40, 700)
    low = random.normal(size=pieces.sum())
    column = DrawnColumn(None, None, lottery_of(random, pieces), low, low + 2, 1, np.empty(0, np.int64))
    return column, random.integers(0, 700, 1500).astype(np.uint16)


@pytest.mark.parametrize("name", native_names())
def test_places_in_bins_that_rows_have(name: str) -> None:
    """Each place lies in a piece of the row's bin; a second parent has no meaning."""
    column, bins = places_column()
    expected, found = (engine.draw_rows(column, [bins], Draw(7), 1500) for engine in (REFERENCE, make_engine(name)))
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype and np.array_equal(one, other)
    assert np.array_equal(found[0], bins)
    for bin_, place in zip(bins.tolist(), found[1].tolist(), strict=True):
        low = column.low[slice(*column.pieces.starts[bin_ : bin_ + 2])]
        assert np.any((low <= place) & (place <= low + 2))
    for parents in ([], [bins, bins]):
        with pytest.raises(ValueError, match="do not fit"):
            make_engine(name).draw_rows(column, parents, Draw(7), 1500)


@pytest.mark.parametrize("name", ["reference", *native_names()])
def test_drawn_rows_are_exact_at_the_borders(name: str) -> None:
    """A word equal to a border belongs to the next entry."""
    engine = make_engine(name)
    draw, rows = Draw(3, 4, 50), 400
    words = philox_words(np.arange(50, 450, dtype=np.uint64), 4, 3)
    ends = np.append(np.sort(np.append(words[0][:60], np.maximum(words[0][60:120], 1) - 1)), 2**32).astype(np.uint64)
    alone = Lottery(np.array([2**32], np.uint64), np.array([0, 1]))
    pieces = Lottery.of(np.ones(len(ends)), np.arange(len(ends)))
    column = DrawnColumn(
        Lottery(ends, np.array([0, len(ends)])), None, pieces, *np.zeros((2, len(ends))), 1, pieces.starts[:0]
    )
    codes, _ = engine.draw_rows(column, [], draw, rows)
    assert codes.tolist() == [int(np.sum(ends <= word)) for word in words[0]]
    only = DrawnColumn(alone, None, alone, np.array([2.0]), np.array([6.0]), 1, pieces.starts[:0])
    assert np.array_equal(engine.draw_rows(only, [], draw, rows)[1], 2 + 4 * ((words[3] + 0.5) * 2.0**-32))


@pytest.mark.parametrize("name", native_names())
def test_wrong_tables_of_a_drawn_column_are_refused(name: str) -> None:
    """Nothing outside of a table is read."""
    column, bins = drawn_column(2, stages=2)
    draw = make_engine(name).draw_rows
    starts, keys = column.groups.starts, column.groups.keys
    assert column.inside is not None
    for wrong in (
        replace(column, width=5),
        replace(column, width=0),
        replace(column, second=column.second + 3),
        replace(column, low=column.low[:-1], high=column.high[:-1]),
        replace(column, inside=None),
        replace(column, inside=replace(column.inside, keys=column.inside.keys[:-1])),
        replace(column, groups=Lottery(keys, starts[::-1].copy())),
        replace(column, groups=Lottery(keys - np.uint64(1), starts)),
        replace(column, pieces=column.groups),
    ):
        with pytest.raises(ValueError, match=r"do not fit|needs a key"):
            draw(wrong, bins, Draw(), 1500)
    for codes in ([bins[0] + np.uint16(1), bins[1]], [bins[0], bins[1] + np.uint16(1)]):
        with pytest.raises(ValueError, match="its parent has not"):
            draw(column, codes, Draw(), 1500)
    with pytest.raises(ValueError, match="one value a row"):
        draw(column, bins, Draw(), 1499)
    with pytest.raises(ValueError, match="needs a number"):
        draw(column, bins, Draw(numbers=np.arange(1499, dtype=np.uint64)), 1500)


@pytest.mark.parametrize("name", native_names())
@pytest.mark.parametrize("edges", [0, 1, 2, 3, 63, 64, 65, 209, 1100])
def test_bins_of_numbers(name: str, edges: int) -> None:
    """An edge belongs to the lower interval, and missing numbers have a bin of their own."""
    random = np.random.default_rng(edges)
    borders = np.unique(random.normal(size=edges))
    codes = random.permutation(1200)[: edges + 2].astype(np.uint16)
    numbers = np.concatenate((random.normal(size=700), borders, [np.nan, np.inf, -np.inf, -0.0]))
    found = make_engine(name).find_bins(numbers, borders, codes)
    assert found.dtype == np.uint16
    assert np.array_equal(found, REFERENCE.find_bins(numbers, borders, codes))
    assert found.tolist() == [int(codes[-1] if np.isnan(x) else codes[np.sum(borders < x)]) for x in numbers]
    with pytest.raises(ValueError, match="needs a code"):
        make_engine(name).find_bins(numbers, borders, codes[1:])


def test_philox_known_answers() -> None:
    """Vectors of the Random123 distribution (kat_vectors) for philox4x32-10."""
    ones = 2**64 - 1
    np.testing.assert_array_equal(
        philox_words(np.array([0], np.uint64), 0, 0)[:, 0], [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    )
    np.testing.assert_array_equal(
        philox_words(np.array([ones], np.uint64), ones, ones)[:, 0], [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]
    )
    digits = philox_words(np.array([0x85A308D3243F6A88], np.uint64), 0x0370734413198A2E, 0x299F31D0A4093822)
    np.testing.assert_array_equal(digits[:, 0], [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1])


def test_uniforms_lie_inside_the_unit_interval() -> None:
    u = Draw(1, 2, 3).generated(10_000)
    assert 0 < u.min() < u.max() < 1
    assert abs(u.mean() - 0.5) < 0.02


@pytest.mark.parametrize("size", [0, 1, 3000])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("width", [3, 300])
def test_decode(candidate: Engine, size: int, dtype: str, width: int) -> None:
    g = np.random.default_rng(0)
    kind = np.int8 if width <= 128 else np.int16
    scalar, code = g.normal(size=size).astype(dtype), g.integers(0, width, size).astype(kind)
    means = g.normal(size=width)
    means[1] = np.nan
    table = DecodeTable(Frame(0.25, 3.0), means, np.abs(g.normal(size=width)) * (means == means), 1.0)
    found, expected = np.empty(size), np.empty(size)
    assert candidate.decode(scalar, code, PLAIN, table, found)[0] == -1
    assert REFERENCE.decode(scalar, code, PLAIN, table, expected)[0] == -1
    np.testing.assert_allclose(found, expected, rtol=1e-14, atol=1e-14)


def test_decode_names_the_first_row_of_an_unknown_code(engine: Engine) -> None:
    table = DecodeTable(Frame(1.0, 0.0), np.zeros(3), np.ones(3), 1.0)
    for code in (np.array([0, 1, 2, 5, 3], np.int8), np.array([0, 1, 2, -1, 3], np.int8)):
        assert engine.decode(np.zeros(5, np.float32), code, PLAIN, table, np.empty(5))[0] == 3


@pytest.mark.parametrize("name", SHAPES)
def test_summaries_are_equal_to_the_bit(candidate: Engine, name: str) -> None:
    x = shape(name, 20_000)
    x[::301] = np.nan
    grid, _ = grid_of(x, list(np.random.default_rng(0).choice(np.nan_to_num(Frame.around(x).apply(x)), 10)))
    other = shape(name, 3_001, seed=9)  # rows outside the sample
    rows_ = np.concatenate([x, other, [np.inf, -np.inf, np.nan, -0.0, 5e-324]])
    assert same(candidate.summarise(rows_, grid), REFERENCE.summarise(rows_, grid))


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257])
def test_summaries_of_odd_sizes(candidate: Engine, size: int) -> None:
    x = shape("70 % zeros", 5_000)
    grid, _ = grid_of(x)
    assert same(candidate.summarise(x[:size], grid), REFERENCE.summarise(x[:size], grid))


STEPS = {
    "cents": Step(1, 100, "float64"),
    "quarters": Step(25, 1, "float64"),
    "sixteenths": Step(3, 16, "float64"),
    "tiny": Step(1, 10**22, "float64"),
    "cents in float32": Step(1, 100, "float32"),
}


def stepped(step: Step, rows: int) -> np.ndarray:
    """Multiples of a step in its precision, most of them; their neighbours; and numbers that are never or always."""
    random = np.random.default_rng(3)
    x = step.nearest(random.integers(-(10**6), 10**6, rows) * (step.numerator / step.denominator))
    x = x.astype(step.precision).astype(np.float64)
    x[5::9] = np.nextafter(x[5::9], np.inf)
    x[7::9] *= 1.37
    x[:9] = [np.nan, np.inf, -np.inf, -0.0, 5e-324, 1e-40, 1e308, -1e300, 1e22]
    return x


@pytest.mark.parametrize("name", STEPS)
def test_rows_off_a_step_are_counted(candidate: Engine, name: str) -> None:
    step = STEPS[name]
    x = stepped(step, 70_001)
    grid, _ = grid_of(np.clip(np.nan_to_num(x), -1e9, 1e9))
    found = candidate.summarise(x, grid, RowRules(step=step))
    with np.errstate(all="ignore"):
        own = x.astype(step.precision)
        nearest = np.rint(x * step.denominator / step.numerator) * step.numerator / step.denominator
        expected = np.count_nonzero((nearest.astype(step.precision) != own) & ~np.isnan(x))
    assert found.off_step == expected > 7_000
    assert same(found, replace(REFERENCE.summarise(x, grid), off_step=expected))
    on_step = x[np.isin(np.arange(len(x)) % 9, (5, 7), invert=True)][9:]
    assert candidate.summarise(on_step, grid, RowRules(step=step)).off_step == 0


def asinh(exponent: int) -> Scale:
    return AsinhCodec(FloatCodec(pa.float64()), exponent).scale


SCALES = {
    "plain": None,
    "asinh": asinh(-5),
    "all large": asinh(-1000),
    "all small": asinh(1000),
    "log": LogCodec(FloatCodec(pa.float64()), None).scale,
    "log1p": LogCodec(FloatCodec(pa.float64()), 0.0).scale,
}


@pytest.mark.parametrize("size", [0, 1, 255, 256, 70_001])
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.covering(1)
@pytest.mark.parametrize("modal", [(), (0.0,), (1e22, 0.0, np.inf, 0.01)])
@pytest.mark.parametrize("name", [None, *STEPS])
def test_summaries_of_values(
    candidate: Engine, size: int, scale: str, modal: tuple[float, ...], name: str | None
) -> None:
    step = None if name is None else STEPS[name]
    x = stepped(step or STEPS["cents"], 70_001)
    x[11::7] = 0.0
    rules = RowRules(modal, step, SCALES[scale])
    with np.errstate(all="ignore"):
        numbers = x if rules.scale is None else rules.scale.formula(x)
        grid, _ = grid_of(np.clip(np.nan_to_num(numbers), -1e9, 1e9))
        x = x[:size]
        found, expected = candidate.summarise(x, grid, rules), REFERENCE.summarise(x, grid, rules)
    assert same(found, expected)
    assert (found.off_step, found.strays) == (expected.off_step, expected.strays)
    assert found.modal == tuple(int(np.sum(x == value)) for value in modal)
    assert found.rows == size and found.missing == np.sum(np.isnan(x))
    ordinary = np.isfinite(numbers[:size]) & ~np.isin(x, modal)
    assert found.ends == ((x[ordinary].min(), x[ordinary].max()) if ordinary.any() else None)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", [None, *STEPS])
def test_values_of_numbers(candidate: Engine, scale: str, name: str | None) -> None:
    """Each row has a code of its own, whose mean is its number."""
    rules = RowRules(step=None if name is None else STEPS[name], scale=SCALES[scale])
    x = stepped(STEPS["cents"], 9_001)
    with np.errstate(all="ignore"):
        numbers = x if rules.scale is None else np.append(rules.scale.formula(x), [709.8, -720.5, 1e4])
        numbers = numbers[~np.isinf(numbers)]
        limits = -1e300, float(np.finfo(np.float64).max)
        table = DecodeTable(Frame(1.0, 0.0), numbers, np.zeros(len(numbers)), 1.0, (), rules.step, *limits)
        coded = np.zeros(len(numbers), np.float32), np.arange(len(numbers), dtype=np.int16)
        found, expected = np.empty(len(numbers)), np.empty(len(numbers))
        assert candidate.decode(*coded, rules, table, found)[0] == REFERENCE.decode(*coded, rules, table, expected)[0]
    np.testing.assert_array_equal(found, expected)
    assert not np.any(np.signbit(found[found == 0])) or rules == RowRules()


@pytest.mark.parametrize("blocks", [0, 1, 2, 7])
def test_a_running_summary_is_that_of_all_blocks(candidate: Engine, blocks: int) -> None:
    step = STEPS["cents"]
    x = stepped(step, 90_001)[: 90_001 * min(blocks, 1)]
    grid, _ = grid_of(np.clip(np.nan_to_num(stepped(step, 9_000)), -1e9, 1e9))
    for rules in (RowRules(step=step), RowRules(modal=(0.0, np.nan), scale=asinh(3))):
        running = candidate.running_summary(grid, rules)
        for block in np.array_split(x, blocks) if blocks else []:
            running.add(block, np.arange(len(block)) % 5 == 0)
        missing = np.concatenate([np.arange(len(block)) % 5 == 0 for block in np.array_split(x, max(blocks, 1))])
        expected = REFERENCE.summarise(x, grid, rules, missing)
        assert same(running.summary(), expected if blocks else replace(expected, modal=()))


@pytest.mark.slow
def test_summary_of_several_windows(candidate: Engine) -> None:
    x = np.tile(shape("lognormal", 1 << 20), 5)[: (1 << 22) + 12_345]
    grid, _ = grid_of(x[: 1 << 17])
    assert same(candidate.summarise(x, grid), REFERENCE.summarise(x, grid))


@pytest.mark.skipif(not native_is_built(), reason="the C++ extension is not built")
def test_instruction_sets_agree_to_the_bit() -> None:
    x, table = with_gaps(20_001), draw_table()
    engines = [make_engine(name) for name in native_names()]
    g = np.random.default_rng(2)
    weight, scatter = g.integers(1, 50, len(x)).astype(float), g.uniform(0, 1e-3, len(x))
    cells = np.nan_to_num(x)
    for engine in engines[1:]:
        np.testing.assert_array_equal(
            engine.e_step(x, None, None, table.mixture), engines[0].e_step(x, None, None, table.mixture)
        )
        np.testing.assert_array_equal(
            engine.e_step(x, weight, None, table.mixture), engines[0].e_step(x, weight, None, table.mixture)
        )
        np.testing.assert_array_equal(
            engine.e_step(cells, weight, scatter, table.mixture),
            engines[0].e_step(cells, weight, scatter, table.mixture),
        )
        for draw in (Draw(5, 6, 7), Draw(most_probable=True)):
            first = encode(engines[0], x, table, draw, "float64")
            for ours, theirs in zip(encode(engine, x, table, draw, "float64"), first, strict=True):
                np.testing.assert_array_equal(ours, theirs)


def test_unknown_engines_are_refused() -> None:
    with pytest.raises(EnvironmentProblem, match="unknown"):
        get_engine("turbo")


@pytest.mark.skipif(not native_is_built(), reason="the C++ extension is not built")
def test_unknown_instruction_sets_are_refused() -> None:
    from gpuvgm.engines.native import NativeEngine

    with pytest.raises(EnvironmentProblem, match="not usable"):
        NativeEngine("mmx")


@pytest.mark.skipif(not native_is_built(), reason="the C++ extension is not built")
def test_native_engine_pickles_by_name() -> None:
    import pickle

    engine = pickle.loads(pickle.dumps(get_engine("native")))
    assert engine.name == "native"

"""Values to scalars, codes and counts, and back, by rules: every engine and instruction set against the reference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from gpuvgm.codecs import AsinhCodec, FloatCodec, LogCodec
from gpuvgm.engines.base import Engine
from gpuvgm.engines.encode import OFF_STEP, SORTS, Coverage, DecodeTable, EncodeTable
from gpuvgm.engines.tables import Draw, KernelTable, RowRules, Scale, Step
from gpuvgm.summary import Frame
from tests.conftest import make_engine, native_names

REFERENCE = Engine()
_FLOATS = FloatCodec(pa.float64())
LARGEST = float(np.finfo(np.float64).max)
SCALES: dict[str, tuple[Scale | None, float]] = {
    "plain": (None, 0.0),
    "asinh": (AsinhCodec(_FLOATS, 2).scale, 0.0),
    "asinh, all large": (AsinhCodec(_FLOATS, -1000).scale, 0.0),
    "asinh from an origin": (AsinhCodec(_FLOATS, -3).scale, 1.5),
    "log": (LogCodec(_FLOATS, None).scale, 0.0),
    "log1p": (LogCodec(_FLOATS, -3.25).scale, -3.25),
    "log1p of 0": (LogCodec(_FLOATS, 0.0).scale, 0.0),
}
STEPS = {
    "none": None,
    "whole": Step(1, 1, "float64"),
    "cents": Step(1, 100, "float64"),
    "quarters": Step(25, 1, "float64"),
    "sixteenths": Step(3, 16, "float64"),
    "cents in float32": Step(1, 100, "float32"),
    "eighths in float16": Step(1, 8, "float16"),
}
MODAL = {"none": (), "some": (0.0, np.nan, 12.5, np.inf), "one": (-7.25,)}
#: Rows, components, floor, and whether rows that their mode does not hold are given to others.
MIXTURES = [
    (0, 2, 0.0, True),
    (1, 1, 1e-4, True),
    (31, 9, 0.0, False),
    (255, 16, 1e-4, False),
    (256, 17, 0.0, True),
    (257, 20, 1e-4, True),
    (20_003, 10, 0.0, True),
]
SIZES = [rows for rows, *_ in MIXTURES]


def values(size: int, *, largest: float = LARGEST) -> np.ndarray:
    """Amounts in cents, most of them; and everything else that a column of floats may hold."""
    random = np.random.default_rng(size)
    x = np.round(random.lognormal(2, 2, size), 2)
    x[4::5] *= -1
    x[3::7] = np.round(x[3::7])
    for start, value in enumerate((np.nan, 0.0, -0.0, 12.5, np.inf, -np.inf, -7.25, 5e-324, -1e-310, 1e-300, -3.25)):
        x[start + 9 :: 41 + start] = value
    for start, value in enumerate((1e300, -1e300, LARGEST, 1e-40, 7.123456789, -3.25 - 2.0**-40)):
        x[start + 20 :: 97 + start] = np.clip(value, -largest, largest)
    return x


def encode_table(numbers: np.ndarray, components: int, floor: float, modal: int, *, covered: bool) -> EncodeTable:
    """A mixture of the numbers, of which the last component is active only where there is no floor; two tail modes."""
    numbers = numbers[np.isfinite(numbers)]
    means = np.quantile(numbers, np.linspace(0.08, 0.92, components)) if len(numbers) else np.zeros(components)
    deviations = 0.05 + 0.3 * np.abs(means - means[components // 2]) + 0.01 * np.arange(components)
    frame = Frame(0.5, 1.25)
    means, deviations = frame.apply(means), deviations * frame.scale
    mixture = KernelTable(frame, means, 0.7213475204444817 / deviations**2, -np.log2(deviations) - 0.1)
    active = components - (floor > 0 and components > 1)
    widths = 4 * deviations[:active]
    tails = np.array([[40.0, 3.0], [-30.0, 20.0]])
    coverage = Coverage(
        mixture.take(np.arange(active)), np.append(means[:active], tails[0]), np.append(widths, tails[1]), 0.99
    )
    codes = np.random.default_rng(components).permutation(active + 2 + modal + 1)
    return EncodeTable(
        mixture,
        widths,
        codes[: active + 2],
        floor,
        0.99,
        int(codes[-1]),
        codes[active + 2 : -1],
        *np.quantile(numbers, (0.1, 0.9)) if len(numbers) else (np.inf, -np.inf),
        coverage if covered else None,
    )


def check_encoded(
    engine: Engine, x: np.ndarray, rules: RowRules, table: EncodeTable, draw: Draw, *, dtype: str = "float32",
    missing: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """Compare scalars, codes and counts with the reference's; return how many rows of each sort there are."""
    results = []
    for one in (engine, REFERENCE):
        scalar, code = np.full(len(x), 9, dtype), np.full(len(x), 99, "int8" if dtype == "float32" else "int16")
        with np.errstate(all="ignore"):
            counts = one.encode(x, rules, table, draw, (scalar, code), missing)
        results.append((scalar, code, np.asarray(counts).astype(np.int64).reshape(len(SORTS), 2)))
    (scalar, code, counts), (expected_scalar, expected_code, expected) = results
    np.testing.assert_array_equal(code, expected_code)
    np.testing.assert_array_equal(scalar, expected_scalar)
    np.testing.assert_array_equal(counts[:, 0], expected[:, 0])
    np.testing.assert_array_equal(counts[expected[:, 0] > 0], expected[expected[:, 0] > 0])
    return counts[:, 0]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.covering(2)
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("modal", MODAL)
def test_encode(candidate: Engine, scale: str, step: str, modal: str) -> None:
    function, origin = SCALES[scale]
    rules = RowRules(MODAL[modal], STEPS[step], function, origin)
    for size, components, floor, covered in MIXTURES:
        x = values(size, largest=LARGEST if function else 1e140)
        with np.errstate(all="ignore"):
            numbers = rules.numbers(x)[0]
        table = encode_table(numbers, components, floor, len(rules.modal), covered=covered)
        for draw in (Draw(7, 2**63 + 5, 1001), Draw(most_probable=True)):
            check_encoded(candidate, x, rules, table, draw)
        draw = Draw(uniforms=np.random.default_rng(5).uniform(size=size))
        counts = check_encoded(candidate, x, rules, table, draw, dtype="float64")
    sorts = np.arange(len(SORTS)) != OFF_STEP if rules.step is None else np.full(len(SORTS), True)
    assert (counts[sorts] > 0).all(), "every sort is among the rows"


@pytest.mark.parametrize("sort", range(4))
def test_a_lone_row_of_each_sort_is_found(candidate: Engine, sort: int) -> None:
    """The first row is that of the least number, in whichever batch it is."""
    rules = RowRules(step=STEPS["cents"])
    table = encode_table(np.array([-1.0, 1.0]), 3, 0.0, 0, covered=False)
    table = replace(table, low=-5.0, high=5.0)
    for first in (0, 255, 256, 8_191, 8_192, 19_999):
        x = np.zeros(20_000)
        x[first::3_000] = (np.inf, np.nan, 5.5, 0.001)[sort]
        counts = check_encoded(candidate, x, rules, table, Draw(1, 2))
        assert counts[(0, 1, 2, OFF_STEP)[sort]] == len(x[first::3_000])


RARE = {
    "float32": (np.float32, RowRules((0.0, 12.5), Step(1, 100, "float32"), SCALES["asinh"][0])),
    "integers": (np.int64, RowRules((0, 12), Step(5, 1, "int64"), origin=-3)),
    "units": (np.int32, RowRules((0,), None, SCALES["log1p"][0], origin=-300, unit=100.0)),
    "infinite": (np.float64, RowRules((0.0, np.inf), STEPS["cents"], infinite_is_missing=True)),
}


@pytest.mark.parametrize("name", RARE)
@pytest.mark.parametrize("has_missing", [True, False])
def test_what_rows_of_the_host_seldom_have(candidate: Engine, name: str, has_missing: bool) -> None:
    dtype, rules = RARE[name]
    x = values(5_003, largest=1e30)
    x = (np.clip(np.nan_to_num(x), -9e4, 9e4) if np.issubdtype(dtype, np.integer) else x).astype(dtype)
    missing = np.random.default_rng(3).uniform(size=len(x)) < 0.1 if has_missing else None
    with np.errstate(all="ignore"):
        numbers = rules.numbers(x, missing)[0]
    table = encode_table(numbers, 6, 0.0, len(rules.modal), covered=True)
    check_encoded(candidate, x, rules, table, Draw(1, 2), missing=missing)


def decode_table(rules: RowRules, step: Step | None, modal: int, *, missing: bool = True) -> DecodeTable:
    """Nine modes, between them the modal values, and what is missing."""
    means, widths = np.linspace(-6.0, 9.0, 9), np.linspace(0.2, 4.0, 9)
    places = (2, 5, 7)[:modal]
    for place in (*places, *[9][: int(missing)]):
        means, widths = np.insert(means, place, np.nan), np.insert(widths, place, 0.0)
    exact = tuple(zip(places, (0.0, -7.25, np.inf), strict=False))
    limits = (-1e4, 2.5e4) if rules.scale is not None else (-np.inf, np.inf)
    return DecodeTable(Frame(0.5, 0.25), means, widths, 1.0, exact, step, *limits)


@pytest.mark.parametrize("scale", [name for name in SCALES if name != "asinh, all large"])
@pytest.mark.covering(2)
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("modal", [0, 1, 3])
@pytest.mark.parametrize("types", [("float32", "int8"), ("float64", "int8"), ("float32", "int16")])
def test_decode(candidate: Engine, scale: str, step: str, modal: int, types: tuple[str, str]) -> None:
    function, origin = SCALES[scale]
    rules = RowRules((), None, function, origin)
    for size, has_missing in [(size, has_missing) for size in SIZES for has_missing in (True, False)]:
        random = np.random.default_rng(size)
        table = decode_table(rules, STEPS[step], modal, missing=has_missing)
        scalar = random.uniform(-1.2, 1.2, size).astype(types[0])
        code = random.integers(0, len(table.means), size).astype(types[1])
        if has_missing:
            scalar[7::50] = np.nan
        found, expected = np.full(size, 3.0), np.full(size, 4.0)
        wrong, complete = candidate.decode(scalar, code, rules, table, found)
        assert REFERENCE.decode(scalar, code, rules, table, expected)[0] == wrong == -1
        np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-13)
        assert not complete or not np.isnan(found).any()
        if table.step is not None:
            on_step = found[~np.isin(code, [place for place, _ in table.modal])]
            np.testing.assert_array_equal(on_step, table.step.nearest(on_step))
            assert not np.signbit(found[found == 0]).any()
        if size:
            code[size // 2 :] = len(table.means)
            assert candidate.decode(scalar, code, rules, table, found)[0] == size // 2


@pytest.mark.skipif(not native_names(), reason="the C++ extension is not built")
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("step", ["none", "cents", "eighths in float16"])
def test_instruction_sets_agree_to_the_bit(scale: str, step: str) -> None:
    function, origin = SCALES[scale]
    rules, x = RowRules(MODAL["some"], STEPS[step], function, origin), values(9_001)
    with np.errstate(all="ignore"):
        table = encode_table(rules.numbers(x)[0], 12, 0.0, len(rules.modal), covered=True)
    back = decode_table(rules, STEPS[step], 3)
    results = []
    for engine in map(make_engine, native_names()):
        scalar, code, out = np.empty(len(x)), np.empty(len(x), np.int8), np.empty(len(x))
        with np.errstate(over="ignore"):
            counts = engine.encode(x, rules, table, Draw(1, 2, 3), (scalar, code))
        assert engine.decode(scalar, code % len(back.means), rules, back, out)[0] == -1
        results.append([part.tobytes() for part in (scalar, code, counts, out)])
    assert all(result == results[0] for result in results)


@pytest.mark.parametrize("name", native_names())
def test_arrays_that_do_not_fit_are_refused(name: str) -> None:
    engine, rules = make_engine(name), RowRules((1.0,))
    table = encode_table(np.array([-1.0, 1.0]), 3, 0.0, 1, covered=False)
    back = decode_table(rules, None, 0)
    x, scalar, code = np.zeros(9), np.zeros(9, np.float32), np.zeros(9, np.int8)
    with pytest.raises(ValueError, match="one value a row"):
        engine.encode(x, rules, table, Draw(), (scalar[1:], code))
    with pytest.raises(ValueError, match="one value a row"):
        engine.encode(x, rules, table, Draw(uniforms=x[1:]), (scalar, code))
    with pytest.raises(ValueError, match="one code each"):
        engine.encode(x, RowRules(), table, Draw(), (scalar, code))
    with pytest.raises(ValueError, match="one value an active component"):
        engine.encode(x, rules, replace(table, widths=np.ones(9)), Draw(), (scalar, code))
    with pytest.raises(ValueError, match="float32 or float64"):
        engine.encode(x, rules, table, Draw(), (scalar.astype(np.float16), code))
    with pytest.raises(ValueError, match="integers of 2 bytes"):
        engine.decode(scalar, code.astype(np.int32), rules, back, x)
    with pytest.raises(ValueError, match="one a code"):
        engine.decode(scalar, code, rules, replace(back, widths=back.widths[1:]), x)
    with pytest.raises(ValueError, match="no scale"):
        engine.decode(scalar, code, RowRules(scale=Scale("root", 0, np.sqrt, np.square)), back, x)
    with pytest.raises(TypeError):  # a copy of which would be written instead
        engine.encode(x, rules, table, Draw(), (np.zeros(18, np.float32)[::2], code))

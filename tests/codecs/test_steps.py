"""Steps: learned from a sample, checked on every row, and given back to the bit."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, strategies as st

from gpuvgm import TableTransformer
from gpuvgm.codecs import codec_for, with_learned_step
from gpuvgm.errors import InferenceWarning
from tests.io.arrow_types import type_of

RANDOM = np.random.default_rng(5)
ROWS = 4_000
SMOOTH = RANDOM.lognormal(3, 1, ROWS)
HOURS = np.datetime64("2013-01-01T00") + RANDOM.integers(0, 9_000, ROWS)
COLUMNS: dict[str, tuple[pa.Array[Any], str]] = {
    "cents": (pa.array(np.round(SMOOTH, 2)), "0.01"),
    "cents in float32": (pa.array(np.round(SMOOTH, 2).astype(np.float32)), "0.01"),
    "tenths in float16": (pa.array(np.round(np.minimum(SMOOTH, 9), 1).astype(np.float16)), "0.1"),
    "quarters": (pa.array(np.round(SMOOTH * 4) / 4), "0.25"),
    "whole floats": (pa.array(np.round(SMOOTH)), "1"),
    "fives": (pa.array(5 * RANDOM.integers(-99, 99, ROWS)), "5"),
    "fives as floats": (pa.array(5.0 * RANDOM.integers(-99, 99, ROWS)), "5"),
    "whole numbers": (pa.array(RANDOM.integers(-99, 99, ROWS)), "1"),
    "wide": (pa.array((RANDOM.integers(0, 2**50, ROWS) * 1024).astype(np.uint64)), "1024"),
    "hours in nanoseconds": (pa.array(HOURS.astype("M8[ns]")), "PT1H"),
    "days": (pa.array(HOURS.astype("M8[D]")), ""),
    "twenties": (pa.array([Decimal(20 * int(i)).scaleb(-2) for i in RANDOM.integers(-99, 99, ROWS)]), "0.2"),
    "nine places": (pa.array(np.round(RANDOM.normal(size=ROWS), 9)), "0.000000001"),
    "two values": (pa.array([0.0, 1.0] * 50), "1"),
    "smooth": (pa.array(SMOOTH), ""),
    "smooth in float32": (pa.array(SMOOTH.astype(np.float32)), ""),
    "smooth and far from zero": (pa.array((1e6 + SMOOTH).astype(np.float32)), ""),
    "thirds": (pa.array(np.round(SMOOTH) / 3), ""),
    "one value": (pa.array([0.5] * 20), ""),
    "none": (pa.array([None] * 20, pa.float64()), ""),
    "far beyond whole floats": (pa.array(1e18 * RANDOM.integers(1, 99, 50)), ""),
}


def learned(values: pa.Array[Any], **rules: Any) -> Any:
    """The codec of a column with its step."""
    sample = pa.chunked_array([values])
    codec = codec_for("x", sample, **rules)
    return with_learned_step(codec, sample, np.isfinite(codec.encode(values)))[0]


@pytest.mark.parametrize("name", COLUMNS)
def test_the_step_of_a_sample(name: str) -> None:
    values, step = COLUMNS[name]
    codec = learned(values)
    if name != "days":
        assert codec.step_text == step
    numbers = codec.encode(values)
    off = codec.off_step(values, numbers)
    assert off is None or not off.any()
    if step:
        near = numbers + 0.3 * codec.spacing * RANDOM.uniform(-1, 1, len(numbers))
        assert codec.decode(near).equals(values)


def test_what_is_asked_for_comes_first() -> None:
    values = COLUMNS["fives as floats"][0]
    assert learned(values, integer=True).step is None


@given(st.integers(1, 9_999), st.integers(0, 6), st.lists(st.integers(-(10**6), 10**6), min_size=45, unique=True))
def test_every_multiple_comes_back(step: int, places: int, multiples: list[int]) -> None:
    """The floats that decimal texts stand for, whatever the step."""
    values = pa.array([float(Decimal(step * k).scaleb(-places)) for k in multiples])
    codec = learned(values)
    assert Decimal(codec.step) % Decimal(step).scaleb(-places) == 0
    assert codec.decode(codec.encode(values) * (1 + 2.0**-52)).equals(values)


def some_rows() -> pd.DataFrame:
    """Columns on steps, with gaps."""
    rows = pd.DataFrame({name: COLUMNS[name][0].to_pandas() for name in ("cents", "quarters", "fives", "nine places")})
    rows.loc[::7, "cents"] = np.nan
    return rows.assign(when=pd.to_datetime(HOURS))


def test_rows_on_steps_come_back_equal(reloaded) -> None:
    rows = some_rows()
    transformer = TableTransformer(effort="best").fit(rows)
    for one in (transformer, reloaded(transformer)):
        encoded = one.transform(rows, seed=3)
        pd.testing.assert_frame_equal(one.inverse_transform(encoded), rows)
    assert {name: encoded[f"{name}.scalar"].dtype.name for name in rows} == {
        "cents": "float32", "quarters": "float32", "fives": "float32", "nine places": "float64", "when": "float32",
    }  # fmt: skip
    assert all(column.resolution == 0 for column in transformer.columns_.values())


def test_the_research_code_knows_no_steps() -> None:
    rows = some_rows()
    columns = TableTransformer(effort="research").fit(rows).columns_
    assert columns["cents"].codec.step is None
    assert columns["fives"].codec.step == 1
    assert not any(column.wide_scalars for column in columns.values())


@pytest.mark.parametrize("declared", ["mixed", "general", {"kind": "mixed", "log": True}])
def test_one_row_off_the_step_refutes_it(declared: Any) -> None:
    """Far behind the sample's rows, in any of the blocks, and of rows that are added later."""
    values = np.round(RANDOM.lognormal(3, 1, 300_000), 2)
    on = TableTransformer({"x": declared}, effort="best", block_rows=1 << 16).fit({"x": values})
    assert on.columns_["x"].codec.step_text == "0.01"
    off = values.copy()
    off[201_003] = 1 / 3
    told = 'column "x": 1 value is no multiple of 0.01, as those of the sample are; it has no step'
    with pytest.warns(InferenceWarning, match=told):
        fitted = TableTransformer({"x": declared}, effort="best", block_rows=1 << 16).fit({"x": off})
    assert fitted.columns_["x"].codec.step_text == ""
    assert on.partial_fit({"x": np.array([1.25, 1 / 3])}).columns_["x"].codec.step_text == ""


def test_values_off_the_step_come_back_on_it() -> None:
    transformer = TableTransformer({"x": "continuous"}, effort="best").fit({"x": np.round(SMOOTH, 2)})
    back = transformer.inverse_transform(transformer.transform({"x": np.array([10.004, 10.007])}, seed=0))
    assert back["x"].tolist() == [10.0, 10.01]


def test_no_mode_is_narrower_than_rounding() -> None:
    """0.289 of a step, where a search would put modes on single values."""
    days = RANDOM.integers(1, 32, 20_000)
    ratings = RANDOM.choice([1.0, 2.0, 3.0, 4.0, 5.0], 20_000, p=[0.1, 0.1, 0.2, 0.2, 0.4])
    kinds = {"day": "continuous", "rating": "continuous"}
    columns = TableTransformer(kinds, effort="best").fit({"day": days, "rating": ratings}).columns_
    for column in columns.values():
        assert np.min(column.stds[column.active]) >= 0.288


@pytest.mark.parametrize(("asinh", "unit"), [(None, 1), (100.0, 128)])
def test_modes_are_those_of_the_values_before_rounding(asinh: float | None, unit: int) -> None:
    """Rounding adds a twelfth of a step's square to the variance (Sheppard), and decoding adds it anew."""
    smooth = np.random.default_rng(4).normal(0, 0.8, 100_000)
    kinds = {"x": {"kind": "continuous", "n_components": 1, "asinh": asinh}}
    column = TableTransformer(kinds).fit({"x": np.rint(smooth)}).columns_["x"]
    np.testing.assert_allclose(column.stds * unit, np.std(smooth), rtol=1e-4)  # 0.799; as rounded 0.850


def test_modal_values_need_no_step() -> None:
    values = np.round(SMOOTH, 2)
    values[::5] = -0.123456789
    column = TableTransformer({"x": {"kind": "mixed", "modal": [-0.123456789]}}, effort="best").fit({"x": values})
    assert column.columns_["x"].codec.step == "0.01"
    back = column.inverse_transform(column.transform({"x": values}, seed=1))
    np.testing.assert_array_equal(back["x"], values)


@pytest.mark.parametrize("years", [2, 5, 30])
def test_microseconds_in_nanoseconds(years: int) -> None:
    """Differences of more than 2^53 ns are no floats; the step is found and given back in integers."""
    when = RANDOM.integers(0, years * 365 * 86_400 * 10**6, 3_000) + 1_420_070_400 * 10**6
    rows = pd.DataFrame({"t": pd.to_datetime(when, unit="us").astype("M8[ns]")})
    for kind in ("continuous", "general"):
        transformer = TableTransformer({"t": kind}, effort="best").fit(rows)
        assert transformer.columns_["t"].codec.step == 1_000
        pd.testing.assert_frame_equal(transformer.inverse_transform(transformer.transform(rows, seed=0)), rows)


def test_wide_integers_have_no_step_by_accident() -> None:
    for seed in range(6):
        values = np.random.default_rng(seed).integers(-(2**63), 2**63 - 1, 60)
        assert learned(pa.array(values)).step == 1
    assert learned(pa.array(RANDOM.integers(0, 9 * 10**17, 3_000) * 10)).step == 10


@pytest.mark.parametrize("text", ["decimal128(38, 18)", "decimal128(38, 9)", "decimal128(19, 4)", "decimal128(38, 2)"])
def test_cents_in_decimals_of_many_digits_come_back_equal(text: str) -> None:
    """The types that Spark and warehouses give: most of their digits are zeros."""
    type_ = type_of(text)
    values = pa.array([None, *(Decimal(int(v)).scaleb(-2) for v in RANDOM.integers(-(10**5), 10**7, 999))], type_)
    assert learned(values).step_text == "0.01"
    rows = pa.table({"x": values})
    transformer = TableTransformer({"x": "continuous"}).fit(rows)
    assert transformer.inverse_transform(transformer.transform(rows, seed=0)).equals(rows)
    for changed, unseen in [("0.015", 1), ("0.05", 0), ("12345678901234567", 0)]:
        if Decimal(changed).as_tuple().exponent < -type_.scale or len(changed) > type_.precision - type_.scale:
            continue
        others = pa.table({"x": pa.array([Decimal(changed), None], type_)})
        counts = transformer.transform(others, seed=0, return_unseen=True)[1].get("x", {})
        assert counts.get("off_step", 0) == unseen


def test_decimals_that_64_bits_cannot_hold_have_no_step() -> None:
    many = [Decimal(int(a) * 10**18 + int(b)) for a, b in RANDOM.integers(1, 10**17, (500, 2))]
    values = pa.array([value * 20 for value in many], pa.decimal128(38, 0))
    assert learned(values).step == 1
    few = pa.array([Decimal(int(v)).scaleb(-2) for v in RANDOM.integers(1, 10**5, 500)], pa.decimal128(38, 18))
    codec = learned(few)
    large = pa.array([Decimal(10**18), Decimal(7), None], pa.decimal128(38, 18))
    assert codec.off_step(large, codec.encode(large)).tolist() == [True, False, False]


@pytest.mark.parametrize("values", [np.round(RANDOM.lognormal(8, 1.2, ROWS), 2), RANDOM.integers(1, 10**6, ROWS)])
def test_logarithms_of_numbers_on_a_step_come_back_equal(values: Any) -> None:
    transformer = TableTransformer({"x": {"kind": "continuous", "log": True}}, effort="best").fit({"x": values})
    back = transformer.inverse_transform(transformer.transform({"x": values}, seed=1))["x"]
    np.testing.assert_array_equal(back, values)


def test_a_sample_teaches_no_step() -> None:
    """The rows that it lacks may lie off it."""
    values = 5.0 * RANDOM.integers(0, 2_000, 50_000)
    fitted = TableTransformer({"x": "continuous"}, effort="best", sample_rows=2_000).fit({"x": values})
    assert fitted.columns_["x"].codec.step is None


@pytest.mark.parametrize(
    ("values", "ends"),
    [
        (pa.array([dt.time(i % 24, 15 * (i % 4)) for i in range(500)]), (dt.time(0), dt.time(23, 45))),
        (pa.array([10 * (i % 25) - 120 for i in range(500)], pa.int8()), (-120, 120)),
        (pa.array([Decimal(5 * (i % 20)) for i in range(500)], pa.decimal128(2, 0)), (Decimal(-95), Decimal(95))),
    ],
)
def test_the_ends_of_a_type_are_on_the_step(values: pa.Array[Any], ends: tuple[Any, Any]) -> None:
    codec = learned(values)
    assert codec.spacing > 1
    assert tuple(codec.decode(np.array([-1e30, 1e30])).to_pylist()) == ends


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_largest_float_overflows_nothing(dtype: Any) -> None:
    values = np.round(RANDOM.uniform(0, 9, 500), 1).astype(dtype)
    values[7] = np.finfo(dtype).max
    assert learned(pa.array(values)).step == (None if dtype is np.float64 else "0.1")
    on = learned(pa.array(np.round(RANDOM.uniform(0, 9, 500), 1).astype(dtype)))
    rows = pa.array(values)
    off = np.flatnonzero(on.off_step(rows, on.encode(rows))).tolist()
    assert off == ([7] if dtype is np.float64 else [])  # the largest float32 is a whole number


@pytest.mark.parametrize(
    ("numbers", "step"),
    [
        (np.round(SMOOTH * 3_000, 2), "0.01"),  # where the floats are .0078 apart, and further
        (np.round(-SMOOTH * 3_000 * 20) / 20, "0.05"),
        (np.append(np.round(SMOOTH, 3), 3e38), "0.001"),
        (np.round(RANDOM.uniform(1e5, 1.3e5, 900), 2), "0.01"),  # each is on cents with a chance of 0.78
        (np.round(RANDOM.uniform(1e5, 1.3e5, 90), 2), ""),
        (np.round(RANDOM.uniform(2e5, 9e5, 900), 2), ""),  # as are all floats from 131,072 on
        (np.append(np.round(SMOOTH * 20) / 20, np.round(RANDOM.uniform(1e5, 1.3e5, 900), 2)), "0.01"),
        (RANDOM.uniform(0, 1e5, 900), ""),
        (np.exp(RANDOM.normal(0, 20, ROWS)), ""),
    ],
)
def test_floats_of_32_bits_need_not_tell_all_of_their_decimals(numbers: Any, step: str) -> None:
    values = pa.array(numbers.astype(np.float32))
    codec = learned(values)
    assert codec.step_text == step
    assert codec.decode(codec.encode(values)).equals(values)


def test_the_scale_of_floats_of_16_bits_is_that_of_the_small_ones() -> None:
    assert learned(pa.array(np.round(SMOOTH, 2).astype(np.float16))).step_text == "0.01"


def test_doubles_may_join_floats_on_a_step() -> None:
    values = np.round(SMOOTH, 2)
    transformer = TableTransformer({"x": "continuous"}, effort="best").fit({"x": values.astype(np.float32)})
    assert transformer.partial_fit({"x": values}).columns_["x"].codec.step == "0.01"


def test_time_of_day_in_microseconds() -> None:
    values = pa.array([dt.time(i % 24, i * 5 % 60) for i in range(500)])
    assert learned(values).step_text == "PT5M"


@pytest.mark.parametrize(
    ("values", "step"),
    [
        (pa.array([np.datetime64("2024-01-01", "us"), np.datetime64("2024-03-01", "us")]), "P1D"),
        (pa.array([np.datetime64("2024-01-01T07:00", "ns"), np.datetime64("2024-01-05T12:31:07", "ns")]), "PT1S"),
        (pa.array([0, 90_500], pa.duration("ms")), "PT0.001S"),
        (pa.array([249.99, 1250.0]), "0.01"),
        (pa.array([3.5, 12_000.25, 8.0]), "0.01"),
        (pa.array([3.123456789012, 12_000.25]), ""),
        (pa.array([249.99, 1250.0], pa.float32()), ""),
    ],
)
def test_two_values_tell_of_steps_that_people_use(values: pa.Array[Any], step: str) -> None:
    assert learned(values).step_text == step

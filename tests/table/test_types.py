"""Number types that differ between fit, transform and inverse, and rows that the inverse is given wrongly."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars
import pyarrow as pa
import pytest

from gpuvgm import TableTransformer
from gpuvgm.engines import DecodeTable, Engine, RowRules
from gpuvgm.errors import InputError, counted
from gpuvgm.summary import Frame
from tests.harness.shapes import shape


@pytest.mark.parametrize("dtype", ["float16", "float64", "int8", "int32", "int64", ">f4", ">f8"])
def test_onehot_matrices_of_any_number_type(dtype: str) -> None:
    transformer = TableTransformer()
    matrix = transformer.fit_transform({"x": shape("lognormal", 500)}, layout="onehot").astype(dtype)
    back = transformer.inverse_transform(matrix)
    expected = transformer.inverse_transform(matrix.astype("float64"))
    np.testing.assert_array_equal(back["x"], expected["x"])


def test_compact_scalars_of_other_types() -> None:
    transformer = TableTransformer().fit({"x": np.r_[np.arange(50.0), 1000 + np.arange(50.0)]})
    encoded = {"x.scalar": np.array([0, 1, -1]), "x.mode": np.array([0, 1, 0])}
    real = {"x.scalar": encoded["x.scalar"].astype(float), "x.mode": encoded["x.mode"].astype("uint8")}
    np.testing.assert_array_equal(transformer.inverse_transform(encoded)["x"], transformer.inverse_transform(real)["x"])


@pytest.mark.parametrize(
    "values",
    [
        np.r_[np.full(60, -9 * 10**18), np.full(40, 9 * 10**18)],
        np.r_[np.zeros(50, np.uint64), np.full(50, 10**19, np.uint64), np.full(5, 2**64 - 1, np.uint64)],
        np.random.default_rng(0).integers(-(2**63), 2**63 - 1, 1000),
    ],
)
def test_integers_that_span_their_whole_type(values: np.ndarray) -> None:
    transformer = TableTransformer({"x": "continuous"}, tails="exact")
    encoded = transformer.fit_transform({"x": values}, mode="argmax", dtype="float64")
    back = transformer.inverse_transform(encoded)["x"]
    assert back.dtype == values.dtype
    error = np.abs(back.astype(float) - values.astype(float))
    assert np.max(error) <= 2.0**-40 * np.max(np.abs(values.astype(float)))


@pytest.mark.parametrize("fitted", ["int8", "int32", "int64", "uint8", "uint64", "float32", "float64"])
@pytest.mark.parametrize("given", ["int8", "int16", "int64", "uint8", "uint64", "float32", "float64"])
def test_fit_and_transform_may_differ_in_type(fitted: str, given: str) -> None:
    x = np.arange(100)
    transformer = TableTransformer(effort="research").fit({"x": x.astype(fitted)})
    expected = transformer.transform({"x": x.astype(fitted)})
    found = transformer.transform({"x": x.astype(given)})
    np.testing.assert_array_equal(found["x.scalar"], expected["x.scalar"])
    transformer.partial_fit({"x": x.astype(given)})
    assert transformer.columns_["x"].fit.rows == 200


def test_rows_with_a_large_base_in_a_narrow_type() -> None:
    transformer = TableTransformer({"x": "continuous"}).fit({"x": 10**15 + np.arange(1000)})
    encoded = transformer.transform({"x": np.array([1, 2], np.int8)})
    np.testing.assert_allclose(np.abs(encoded["x.scalar"]), 0.99)


def test_partial_fit_refuses_what_fit_refuses() -> None:
    transformer = TableTransformer().fit({"x": np.arange(100.0)})
    with pytest.raises(InputError, match='column "x": 1 value is infinite'):
        transformer.partial_fit({"x": np.array([1.0, np.inf])})
    assert transformer.columns_["x"].fit.rows == 100
    empty = TableTransformer().fit({"x": np.full(5, np.nan)})
    with pytest.raises(InputError, match='column "x" had no value at fit'):
        empty.partial_fit({"x": np.arange(5.0)})


def test_a_scalar_that_is_no_number_stays_none(engine: Engine) -> None:
    table = DecodeTable(Frame(1.0, 0.0), np.array([1.0, 2.0]), np.array([4.0, 5.0]), 1.0)
    out = np.empty(3)
    scalar, code = np.array([np.nan, 0.5, np.nan]), np.array([0, 0, 1], np.uint8)
    engine.decode(scalar, code, RowRules(), table, out)
    np.testing.assert_array_equal(out, [np.nan, 3.0, np.nan])


def test_minimum_is_never_minus_zero(engine: Engine) -> None:
    from tests.summary.test_grid import grid_of

    x = np.array([-0.0, 5.0, 0.0])
    summary = engine.summarise(x, grid_of(x)[0])
    assert not np.signbit(summary.minimum)


def test_far_scalars_stay_finite_in_float32() -> None:
    x = np.concatenate([1e-12 * np.random.default_rng(0).normal(size=500), [1e30]])
    scalar = TableTransformer(tails="exact", standardize=True).fit_transform({"x": x})["x.scalar"]
    assert np.all(np.isfinite(scalar))


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("uniforms", {"y": np.zeros(50)}, 'column "y"'),
        ("uniforms", {"x": np.zeros(49)}, "one value a row"),
        ("uniforms", {"x": np.zeros((50, 1))}, "one value a row"),
        ("uniforms", {"x": np.r_[np.zeros(7), 1.0, np.zeros(42)]}, "the uniform 1.0 at row 7"),
        ("uniforms", {"x": np.r_[np.nan, np.zeros(49)]}, "the uniform nan at row 0"),
        ("first_row", -1, "first_row"),
        ("first_row", 1.5, "first_row"),
        ("first_row", 2**63, "first_row"),
    ],
)
def test_wrong_uniforms_and_first_rows_are_refused(option: str, value: Any, message: str) -> None:
    transformer = TableTransformer().fit({"x": np.arange(50.0)})
    with pytest.raises(InputError, match=message):
        transformer.transform({"x": np.arange(50.0)}, **{option: value})


@pytest.mark.parametrize(
    ("categories", "given", "codes"),
    [
        (pa.array([1, 2, 1]), pa.array([1.0, 2.0, 3.5, 1e300, 2**53 + 0.0]), [0, 1, None, None, None]),
        (pa.array([1, None, 1]), pa.array([float("nan"), 1.0]), [1, 0]),
        (pa.array([1, 2, 1], pa.int8()), pa.array([1, 300, 2]), [0, None, 1]),
        (pa.array([1, 2, 1]), pa.array(["2", "two", " ", "1"]), [1, None, None, 0]),
        (pa.array([10, 20, 10], pa.timestamp("s")), pa.array([True, False]), [None, None]),
        (pa.array([True, False, True]), pa.array([0, 1, 2, -1]), [1, 0, None, None]),
        (pa.array(["1", "2", "1"]), pa.array([2, 1, 3]), [1, 0, None]),
        (pa.array([0.5, 2.0, 0.5], pa.float32()), pa.array([2, 3], pa.int8()), [1, None]),
        (
            pa.array([10, 20, 10], pa.timestamp("s")),
            pa.array([10_000, 10_001, 20_000], pa.timestamp("ms")),
            [0, None, 1],
        ),
    ],
)
def test_each_value_of_another_type_is_a_level_or_none(categories: pa.Array, given: pa.Array, codes: list[int]) -> None:
    transformer = TableTransformer({"x": {"kind": "categorical", "unknown": "ignore"}}).fit(pa.table({"x": categories}))
    assert transformer.transform(pa.table({"x": given}))["x.mode"].to_pylist() == codes
    strict = TableTransformer({"x": "categorical"}).fit(pa.table({"x": categories}))
    if None in codes:
        row = codes.index(None)
        values = counted(codes.count(None), "value")
        with pytest.raises(InputError, match=rf"{values} .*first at pyarrow\.Table, row {row}\)"):
            strict.transform(pa.table({"x": given}))


def test_text_of_polars_and_views_of_text() -> None:
    held = ["a", "b", " ", None] * 20
    frame = polars.DataFrame({"s": held, "c": polars.Series(held[:2] * 40, dtype=polars.Categorical)})
    transformer = TableTransformer().fit(frame)
    back = transformer.inverse_transform(transformer.transform(frame))
    assert back.schema == frame.schema
    assert back["s"].to_list() == ["a", "b", None, None] * 20
    assert back["c"].to_list() == frame["c"].to_list()
    assert transformer.partial_fit(frame).columns_["s"].counts == (80, 40, 40)
    views = pa.table({"x": pa.array(held, pa.string_view())})
    transformer = TableTransformer().fit(views)
    assert transformer.inverse_transform(transformer.transform(views)).schema == views.schema


def test_a_general_column_that_gets_missing_rows_becomes_mixed_with_the_settings_of_the_table(reloaded: Any) -> None:
    x = np.arange(100.0)
    transformer = TableTransformer(
        {"x": {"kind": "general", "clip": True}}, tails="exact", scale=2.0, effort="research"
    )
    transformer.fit({"x": x}).partial_fit({"x": np.array([3.0, np.nan])})
    column = transformer.columns_["x"]
    assert (column.kind, column.modal_values, column.modal_counts) == ("mixed", (None,), (1,))
    assert (column.rules.tails, column.rules.scale) == ("exact", 2.0)
    again = reloaded(transformer, summaries=True)
    assert (again.schema_["x"].kind, again.schema_["x"].options) == ("mixed", {})
    assert again.schema_["x"].reason == "declared; 1 row is missing"
    np.testing.assert_array_equal(again.transform({"x": x})["x.mode"], transformer.transform({"x": x})["x.mode"])


@pytest.mark.parametrize("kind", ["continuous", "general"])
def test_values_without_a_logarithm_are_refused_as_such(kind: str) -> None:
    transformer = TableTransformer({"x": {"kind": kind, "log": True}}).fit({"x": np.arange(100.0)})
    message = r'column "x": 1 value is infinite, or too small for the logarithm .* \(first at dict, row 1\); fit again'
    for call in (transformer.transform, transformer.partial_fit):
        with pytest.raises(InputError, match=message):
            call({"x": np.array([3.0, -5.0])})
    general = TableTransformer({"x": "general"}).fit({"x": np.arange(100.0)})
    with pytest.raises(InputError, match=r'1 value is infinite .*row 1\); fit with inf="missing"'):
        general.transform({"x": np.array([np.nan, np.inf])})
    with pytest.raises(InputError, match=r"1 value is missing in a column that had none missing at fit .*row 1"):
        general.transform({"x": np.array([1.0, np.nan])})


def test_a_range_longer_than_any_float_is_refused() -> None:
    x = np.array([-1.7e308, 1.7e308] * 10)
    with pytest.raises(InputError, match=r'column "x": values reach from -1\.7e\+308 to 1\.7e\+308'):
        TableTransformer({"x": "general"}).fit({"x": x})
    halves = TableTransformer({"x": "general"}).fit({"x": x / 2})
    np.testing.assert_array_equal(halves.inverse_transform(halves.transform({"x": x / 2}))["x"], x / 2)

"""Faults that reviews have found, each with the rows that showed it."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars
import pyarrow as pa
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.preprocessing import StandardScaler

from gpuvgm import TableTransformer, TrainingRows
from gpuvgm.errors import ColumnsFailed, InputError

LARGE = pa.array([-(2**60) - 77, *(2**60 + i for i in range(100))])


def test_levels_of_another_unit_mean_the_same_when_rows_are_added() -> None:
    moments = [dt.datetime(2020, 1, 1), dt.datetime(2020, 1, 2)] * 5
    transformer = TableTransformer({"a": "categorical"}).fit(pa.table({"a": pa.array(moments, pa.timestamp("ns"))}))
    transformer.partial_fit(pa.table({"a": pa.array(moments, pa.timestamp("us"))}))
    assert transformer.columns_["a"].counts == (10, 10)
    transformer = TableTransformer({"a": "categorical"}).fit({"a": np.array([1, 2] * 9)})
    with pytest.raises(InputError, match='column "a": holds double values that int64'):
        transformer.partial_fit({"a": np.array([1.5, 2.0])})


@pytest.mark.parametrize("kind", ["continuous", "general"])
def test_bounds_far_from_the_base_are_exact(kind: str) -> None:
    column = TableTransformer({"a": kind}, effort="research").fit(pa.table({"a": LARGE})).columns_["a"]
    assert (column.minimum, column.maximum) == (-(2**60) - 77, 2**60 + 99)


def test_bounds_of_log_columns_are_exact() -> None:
    rows = pa.table({"a": LARGE, "b": pa.array([0.1, *range(1, 101)], pa.float32())})
    log = {"kind": "continuous", "log": True}
    transformer = TableTransformer({"a": log, "b": log}, effort="research").fit(rows)
    assert transformer.columns_["a"].minimum == -(2**60) - 77
    assert transformer.columns_["b"].minimum == np.float32(0.1)
    assert transformer.inverse_transform(transformer.transform(rows), return_valid=True)[1].all()


def test_the_margin_of_a_range_belongs_to_values_not_to_their_logarithms() -> None:
    x = np.arange(1000, 1_000_001, 999)
    transformer = TableTransformer({"a": {"kind": "general", "log": True}}).fit({"a": x})
    np.testing.assert_array_equal(
        transformer.inverse_transform({"a.scalar": np.array([-1.0, 1.0])})["a"], [x[0], x[-1]]
    )


def test_integers_do_not_wrap_into_levels_and_zones_do_not_vanish() -> None:
    spec = {"a": {"kind": "categorical", "unknown": "ignore"}}
    transformer = TableTransformer(spec).fit(pa.table({"a": pa.array([2**64 - 1, 1] * 5, pa.uint64())}))
    assert transformer.transform(pa.table({"a": pa.array([-1, 1])}))["a.mode"].to_pylist() == [None, 1]
    zoned = TableTransformer(spec).fit(pa.table({"a": pa.array([0, 1] * 5, pa.timestamp("us", "Europe/Paris"))}))
    assert zoned.transform(pa.table({"a": pa.array([0, 1], pa.timestamp("us"))}))["a.mode"].to_pylist() == [None, None]


def test_dictionaries_do_not_depend_on_chunks() -> None:
    parts = [pa.table({"x": pa.array(["a", "b"] * 1500).dictionary_encode()})]
    parts.append(pa.table({"x": pa.array(["b", "c"] * 1500).dictionary_encode()}))
    models = [TableTransformer(block_rows=rows).fit(iter(parts)).model_ for rows in (4096, 1 << 20)]
    assert models[0]["x"].dictionary == models[1]["x"].dictionary == ("a", "b", "c")


def test_rare_types_of_levels() -> None:
    halves = {"a": np.array([1, 2, 0.5] * 50, np.float16)}
    transformer = TableTransformer().fit(halves)
    back = transformer.inverse_transform(transformer.transform(halves))["a"]
    assert back.dtype == np.float16
    np.testing.assert_array_equal(back, halves["a"])
    rows = pa.table({"a": pa.array([Decimal("1.50"), Decimal("2.50")] * 20, pa.decimal64(10, 2))})
    for spec in ("categorical", {"kind": "mixed", "modal": ["1.50"]}):
        transformer = TableTransformer({"a": spec}, effort="research").fit(rows)
        assert transformer.inverse_transform(transformer.transform(rows))["a"].type == rows["a"].type


def test_new_entries_find_room_in_a_dictionary_of_bytes() -> None:
    def rows(first: int) -> pa.Table:
        entries = [f"k{i}" for i in range(first, first + 100)]
        return pa.table({"x": pa.DictionaryArray.from_arrays(pa.array(range(100), pa.int8()), entries)})

    transformer = TableTransformer({"x": "categorical"}).fit(rows(0)).partial_fit(rows(100))
    back = transformer.inverse_transform(transformer.transform(rows(100)))["x"]
    assert back.to_pylist() == rows(100)["x"].to_pylist()


def test_foreign_levels_are_not_kept_where_categories_are_declared() -> None:
    spec = {"kind": "categorical", "categories": ["x", "y"], "unknown": "ignore"}
    many = {"a": np.array([f"q{i}" for i in range(70_000)])}
    assert TableTransformer({"a": spec}).fit(many).columns_["a"].counts == (0, 0)


def test_a_stream_whose_columns_all_fail_says_why() -> None:
    spec = {"n": {"kind": "categorical", "categories": ["foo"]}, "b": "pass", "a": "drop"}
    with pytest.raises(ColumnsFailed, match='column "n": categories'):
        TableTransformer(spec).fit(iter([pa.table({"n": [1, 2], "b": [1, 2], "a": [1, 2]})]))


def test_an_absent_column_is_named() -> None:
    transformer = TableTransformer({"p": "pass"}, effort="research").fit({"p": ["a"] * 30, "x": np.arange(30.0)})
    with pytest.raises(InputError, match='no column "p"'):
        transformer.transform({"x": np.arange(3.0)})


def test_streams_of_polars_frames_are_evaluated() -> None:
    frame = polars.DataFrame({"s": ["a", "b"] * 20_000, "v": np.random.default_rng(0).normal(size=40_000)})
    transformer = TableTransformer(effort="research").fit(frame)
    assert transformer.evaluate(iter([frame])).rows == 40_000


@pytest.mark.parametrize("effort", ["best", "research"])
def test_models_of_few_rows_can_be_loaded(effort: str, reloaded: Any) -> None:
    transformer = TableTransformer({"x": "continuous"}, effort=effort).fit({"x": np.arange(7.0)})
    loaded = reloaded(transformer).columns_["x"]
    np.testing.assert_array_equal(loaded.means, transformer.columns_["x"].means)
    assert len(loaded.means) == 7


def test_parametrised_dtypes_of_pandas_come_back(reloaded: Any) -> None:
    frame = pd.DataFrame(
        {
            "price": pd.array([Decimal("1.25"), Decimal("3.50")] * 30, dtype=pd.ArrowDtype(pa.decimal128(10, 2))),
            "text": pd.array(["a", "b"] * 30, dtype=pd.ArrowDtype(pa.string())),
            "cut": pd.cut(np.arange(60), 5),
            "interval": pd.arrays.IntervalArray.from_breaks(range(7)).repeat(10),
        }
    )
    transformer = TableTransformer(effort="research").fit(frame)
    back = transformer.inverse_transform(transformer.transform(frame))
    assert back.dtypes.to_dict() == frame.dtypes.to_dict()
    assert back["cut"].equals(frame["cut"])
    loaded = reloaded(transformer)
    assert loaded.inverse_transform(transformer.transform(frame))["price"].dtype == frame["price"].dtype


def test_times_of_nanoseconds_become_arrays() -> None:
    frame = polars.DataFrame({"t": [dt.time(i % 24, i % 60) for i in range(100)]})
    transformer = TableTransformer(effort="research").fit({"t": frame.to_arrow()["t"]})
    back = transformer.inverse_transform(transformer.transform(frame, layout="onehot"))["t"]
    assert back.dtype == "m8[ns]"
    whole = transformer.inverse_transform(transformer.transform(frame.to_arrow()))["t"]
    assert back.astype("i8").tolist() == whole.cast(pa.int64()).to_pylist()


def test_names_of_features_are_those_of_what_transform_gives(random: np.random.Generator) -> None:
    frame = pd.DataFrame({"a": random.normal(size=50), "i": np.arange(50.0)})
    steps = [("modes", TableTransformer(effort="research"), ["a"]), ("scale", StandardScaler(), ["i"])]
    found = ColumnTransformer(steps).set_output(transform="pandas").fit_transform(frame)
    assert list(found.columns) == ["modes__a.scalar", "modes__a.mode", "scale__i"]


def test_names_that_would_collide_are_refused_before_the_fit() -> None:
    transformer = TableTransformer(effort="research").fit({"x": np.arange(50.0)})
    with pytest.raises(InputError, match='would both be encoded as "a.scalar"'):
        transformer.set_params(columns={"a.scalar": "pass"}).fit({"a": np.arange(50.0), "a.scalar": np.arange(50)})
    assert list(transformer.columns_) == ["x"], "the fitted model is still there"


def test_a_fit_of_what_failed_counts_its_rows() -> None:
    rows = pa.table({"a": [float("inf")] * 70_000, "b": [f"k{i}" for i in range(70_000)]})
    transformer = TableTransformer({"a": "continuous", "b": "pass"})
    with pytest.raises(ColumnsFailed):
        transformer.fit(rows)
    transformer.set_params(columns={"a": "pass", "b": "pass"}).fit_failed(rows)
    assert transformer.model_.rows == 70_000


def test_conditions_leave_rows_without_a_code_out() -> None:
    spec = {"a": {"kind": "categorical", "unknown": "ignore"}}
    transformer = TableTransformer(spec).fit({"a": np.array(["x"] * 6 + ["y"] * 4)})
    rows = TrainingRows(transformer, {"a": np.array(["z", "y", "z"])})
    conditions, index = rows.conditions, rows.index
    assert index.pick(conditions.given("a", "y", 5), seed=0).tolist() == [1] * 5
    with pytest.raises(InputError, match="no row has a 1 in one-hot column 0"):
        index.pick(conditions.given("a", "x", 1), seed=0)
    with pytest.raises(InputError, match="give a list of names"):
        TrainingRows(transformer, {"a": np.array(["y"])}, columns="a")


def test_wide_batches_stay_small() -> None:
    transformer = TableTransformer({"x": "categorical"}).fit({"x": np.array([f"k{i}" for i in range(5000)])})
    rows = {"x": np.array([f"k{i % 5000}" for i in range(20_000)])}
    (first, *_) = transformer.iter_batches(rows, 64)
    assert first.base is None or first.base.nbytes <= 4 * (1 << 22) * 2

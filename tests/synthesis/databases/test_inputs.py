"""What tables may be like: keys that run out, names that are taken, types of keys, kinds of objects, and parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import gpuvgm
from gpuvgm.errors import InferenceWarning, InputError

KEYS = {"orders.customer": "customers.id"}


@pytest.fixture
def tables() -> dict[str, Any]:
    """Customers with whole numbers as keys, and their orders."""
    random = np.random.default_rng(0)
    customers = {"id": np.arange(100, 300), "country": random.choice(["DE", "FR", "IT"], 200)}
    orders = {"customer": random.integers(100, 300, 600), "amount": random.lognormal(3, 1, 600).round(2)}
    return {"customers": pd.DataFrame(customers), "orders": pd.DataFrame(orders)}


def fitted(tables: Any, keys: Any = KEYS, **parameters: Any) -> gpuvgm.DatabaseSynthesizer:
    return gpuvgm.DatabaseSynthesizer(threads=1, **parameters).fit(tables, keys=keys)


def test_keys_of_several_columns_that_run_out_are_fewer() -> None:
    random = np.random.default_rng(0)
    hours = [(airport, hour) for airport in "ABC" for hour in range(100)]
    weather = pd.DataFrame(hours, columns=["airport", "hour"]).assign(wind=random.normal(10, 3, 300).round(1))
    flights = weather.sample(600, replace=True, random_state=0)[["airport", "hour"]].reset_index(drop=True)
    flights["delay"] = random.normal(0, 1, 600).round(2)
    synthesizer = fitted(
        {"weather": weather, "flights": flights}, {"flights.(airport, hour)": "weather.(airport, hour)"}
    )
    with pytest.warns(
        InferenceWarning, match="weather: 300 rows in place of 600, each with another key of airport, hour"
    ):
        sample = synthesizer.sample(2)
    assert not sample["weather"].duplicated(["airport", "hour"]).any()
    assert len(sample["flights"].merge(sample["weather"], on=["airport", "hour"])) == len(sample["flights"])


@pytest.mark.parametrize(
    ("table", "name"),
    [("orders", "customer.country"), ("orders", "row(customer)"), ("customers", "count(orders.customer)")],
)
def test_names_that_are_made_are_not_taken(tables: dict[str, Any], table: str, name: str) -> None:
    with pytest.raises(InputError, match="is the name of a column that is made: rename it"):
        fitted({**tables, table: tables[table].assign(**{name: 1})})


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"customers": {"id": "drop"}}, '"id" of "customers" is a key, of which samples have new ones'),
        ({"customers": {"id": "categorical"}}, '"id" of "customers" is a key, of which samples have new ones'),
        ({"orders": {"customer": "categorical"}}, '"customer" of "orders" has keys of "customers"'),
        ({"orders": ["amount"]}, 'columns of "orders": give a dict'),
        (["orders"], "columns: give a dict"),
    ],
)
def test_kinds_of_keys_are_not_declared(tables: dict[str, Any], columns: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        fitted(tables, columns=columns)


def test_dropped_columns_are_not_in_samples_and_lists_are_missing_there(tables: dict[str, Any]) -> None:
    tables["orders"]["note"], tables["orders"]["tags"] = "n", [["a", "b"]] * 600
    rows = fitted(tables, columns={"orders": {"amount": "drop"}}).sample()["orders"]
    assert rows.columns.tolist() == ["customer", "note", "tags"] and rows.tags.isna().all()


def test_keys_that_pandas_has_as_floats_are_whole_numbers(tables: dict[str, Any]) -> None:
    lacks = np.random.default_rng(1).random(600) < 0.1
    tables["orders"]["customer"] = tables["orders"].customer.astype(float).mask(lacks)
    sample = fitted(tables).sample()
    assert sample["orders"].customer.dtype == np.float64
    assert sample["orders"].customer.isna().mean() == pytest.approx(lacks.mean(), abs=0.01)
    assert sample["orders"].customer.dropna().isin(sample["customers"].id).all()


def test_keys_keep_the_type_of_their_table(tables: dict[str, Any], tmp_path: Path) -> None:
    tables["orders"]["customer"] = tables["orders"].customer.astype("int32")
    tables["orders"][0] = np.random.default_rng(1).normal(0, 1, 600).round(2)
    synthesizer = fitted(tables)
    sample = synthesizer.sample()
    assert sample["orders"].dtypes.to_dict() == tables["orders"].dtypes.to_dict()
    synthesizer.save(tmp_path / "shop.gpuvgm")
    loaded: Any = gpuvgm.load(tmp_path / "shop.gpuvgm")
    for name, rows in loaded.sample().items():
        pd.testing.assert_frame_equal(rows, sample[name])


def test_keys_that_are_times_do_not_go_with_numbers(tables: dict[str, Any]) -> None:
    tables["orders"]["customer"] = pd.Timestamp("2025-01-01")
    with pytest.raises(InputError, match="which do not go together: make them of one type"):
        fitted(tables)


def test_kept_tables_are_of_the_kind_that_was_fitted(tables: dict[str, Any], tmp_path: Path) -> None:
    tables["shops"] = pl.DataFrame({"code": ["A", "B", "C"], "size": [1, 2, 3]})
    tables["orders"]["shop"] = np.random.default_rng(1).choice(["A", "B", "C"], 600)
    tables["customers"] = pa.Table.from_pandas(tables["customers"])
    synthesizer = fitted(tables, KEYS | {"orders.shop": "shops.code"}, keep=["shops"])
    synthesizer.save(tmp_path / "shop.gpuvgm")
    loaded: Any = gpuvgm.load(tmp_path / "shop.gpuvgm")
    for sample in (synthesizer.sample(), loaded.sample()):
        assert isinstance(sample["customers"], pa.Table) and isinstance(sample["orders"], pd.DataFrame)
        assert sample["shops"].equals(tables["shops"])


def test_rows_that_have_but_references_are_drawn(tables: dict[str, Any]) -> None:
    tables["orders"] = tables["orders"][["customer"]]
    sample = fitted(tables).sample()
    assert sample["orders"].columns.tolist() == ["customer"]
    counts = [rows["orders"].customer.value_counts().value_counts(normalize=True)[3] for rows in (tables, sample)]
    assert counts[0] == pytest.approx(counts[1], abs=0.1)


def test_one_row_for_each_parent_stays_one(tables: dict[str, Any]) -> None:
    rows = {"customer": tables["customers"].id, "amount": np.random.default_rng(1).normal(0, 1, 200).round(2)}
    sample = fitted({**tables, "orders": pd.DataFrame(rows)}).sample()
    assert sorted(sample["orders"].customer) == sorted(sample["customers"].id)


def test_the_order_of_tables_and_keys_changes_nothing(tables: dict[str, Any]) -> None:
    random = np.random.default_rng(1)
    codes = np.array([f"S{number:03}" for number in range(60)])
    tables["branches"] = pd.DataFrame({"code": codes, "size": random.choice(["small", "large"], 60)})
    tables["orders"]["branch"] = random.choice(codes, 600)
    keys = KEYS | {"orders.branch": "branches.code"}
    sample = fitted(tables, keys).sample()
    turned = fitted(dict(reversed(tables.items())), dict(reversed(keys.items()))).sample()
    assert [*sample] == [*tables] and [*turned] == [*reversed(tables)]
    for name, rows in sample.items():
        pd.testing.assert_frame_equal(rows, turned[name])


def test_children_without_any_parent_are_compared_row_by_row(tables: dict[str, Any]) -> None:
    tables["orders"]["customer"] = None
    synthesizer = fitted(tables)
    assert synthesizer.evaluate(tables).tables["orders"].rows == 600


@pytest.mark.parametrize(
    ("tables", "keys", "message"),
    [
        ({}, {}, "tables: there are none"),
        ([pd.DataFrame({"x": [1]})], {}, "tables: give a dict"),
        ({"x": pd.DataFrame({"x": [1]})}, ["x.x"], "keys: give a dict"),
    ],
)
def test_what_is_no_database(tables: Any, keys: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        fitted(tables, keys)


def test_what_is_no_sample(tables: dict[str, Any]) -> None:
    synthesizer = fitted(tables)
    with pytest.raises(InputError, match="compare: give a dict"):
        synthesizer.evaluate(tables, 5)  # type: ignore[arg-type]
    with pytest.raises(InputError, match='no column "amount"'):
        synthesizer.evaluate({**tables, "orders": tables["orders"][["customer"]]})
    with pytest.raises(InputError, match='sequence_index: "customers" refers to no table'):
        fitted(tables, sequence_index={"customers": "id"})


def test_names_of_tables_may_be_no_names_of_files(tables: dict[str, Any], tmp_path: Path) -> None:
    named = {"sales/orders": tables["orders"], "customers": tables["customers"]}
    synthesizer = fitted(named, {"sales/orders.customer": "customers.id"})
    with pytest.raises(InputError, match='no file may be called as the table "sales/orders"'):
        synthesizer.sample(out=tmp_path / "sample")
    assert not [*tmp_path.iterdir()]

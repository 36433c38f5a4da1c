"""Descriptions of tables without a model: what they hold is what pandas says, and what a fit would make of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gpuvgm
from gpuvgm.errors import InputError

ROWS = 60_000
SHARES = [0, 0.25, 0.5, 0.75, 1]


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    random = np.random.default_rng(2)
    amounts = np.round(random.lognormal(3, 1, ROWS), 2)
    return pd.DataFrame(
        {
            "id": np.arange(ROWS),
            "amount": np.where(random.random(ROWS) < 0.1, np.nan, amounts),
            "normal": random.normal(1e6, 2, ROWS),
            "narrow": random.normal(0, 1, ROWS).astype(np.float32),
            "count": random.poisson(3, ROWS).astype(np.uint8),
            "day": np.datetime64("2020-01-01", "ms") + 86_400_000 * random.integers(0, 900, ROWS),
            "city": pd.Series(random.choice(["Wien", "Graz", None], ROWS)),
            "flag": random.random(ROWS) < 0.3,
        }
    )


def test_moments_and_quantiles_are_those_of_pandas(frame: pd.DataFrame) -> None:
    description = gpuvgm.describe(frame)
    assert description.rows == ROWS and [*description.columns] == [*frame.columns]
    for name in ("id", "amount", "normal", "narrow", "count"):
        column, values = description.columns[name], frame[name].astype(np.float64)
        assert column.mean == pytest.approx(values.mean(), abs=1e-9 * values.std() + 1e-15 * abs(values.mean()))
        assert column.sd == pytest.approx(values.std(), rel=1e-8)
        assert column.skewness == pytest.approx(values.skew(), abs=1e-5)
        assert np.allclose(column.quantiles, values.quantile(SHARES), rtol=0, atol=2e-4 * values.std())
        assert (column.quantiles[0], column.quantiles[-1]) == (values.min(), values.max())
        assert column.missing == values.isna().sum()
    for name in ("amount", "count"):  # of values that come back, each has a place of its own
        assert np.allclose(description.columns[name].quantiles, frame[name].quantile(SHARES), rtol=1e-12)
    day = description.columns["day"]
    assert day.quantiles == tuple(frame["day"].astype(np.int64).quantile(SHARES))
    assert day.texts[2].startswith("2020-01-01") and day.texts[1].endswith(" d")


def test_a_median_between_two_values_is_halfway() -> None:
    for rows in (2, 400, 200_000):
        column = gpuvgm.describe({"price": np.tile([20.15, 20.16], rows // 2)}).columns["price"]
        assert column.texts[4] == "20.155"
    whole = gpuvgm.describe({"n": np.tile([3, 4, 9, 1], 500)}).columns["n"]
    assert whole.quantiles == (1, 2.5, 3.5, 5.25, 9)


def test_missing_different_and_infinite_values_are_counted(frame: pd.DataFrame) -> None:
    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.append_column("list", pa.array([[1], None] * (ROWS // 2)))
    table = table.append_column("word", pa.array(["a", "b", None, "c"] * (ROWS // 4)).dictionary_encode())
    table = table.append_column("price", pa.array([1, None, 2, 2] * (ROWS // 4), pa.decimal128(9, 2)))
    columns = gpuvgm.describe(table).columns
    for name in ("count", "city", "flag", "day"):
        assert (columns[name].different, columns[name].is_exact) == (frame[name].nunique(), True)
    for name in ("id", "normal", "narrow"):
        assert columns[name].different == pytest.approx(frame[name].nunique(), rel=0.03)
    assert columns["city"].missing == frame["city"].isna().sum()
    assert (columns["list"].missing, columns["list"].different) == (ROWS // 2, None)
    assert (columns["word"].missing, columns["word"].different) == (ROWS // 4, 3)
    assert (columns["price"].missing, columns["price"].different, columns["price"].texts[4]) == (ROWS // 4, 2, "2.00")
    x = gpuvgm.describe({"x": [0.0, -0.0, np.inf, -np.inf, np.nan, 2.0] * 100}).columns["x"]
    assert (x.missing, x.infinite, x.different, x.mean) == (100, 200, 4, pytest.approx(2 / 3))


def test_bytes_are_those_of_arrow_without_masks() -> None:
    texts, rows = ["one", "three", ""], 1_000
    table = {
        "x": np.ones(3 * rows),
        "n": np.ones(3 * rows, np.int16),
        "t": pa.array(texts * rows),
        "b": [True] * 3 * rows,
    }
    columns = gpuvgm.describe(pa.table(table)).columns
    assert {name: column.bytes for name, column in columns.items()} == {
        "x": 24 * rows,
        "n": 6 * rows,
        "t": 12 * rows + 8 * rows,
        "b": 3 * rows,
    }


def test_kinds_and_reasons_are_those_of_kinds(frame: pd.DataFrame) -> None:
    table = frame.assign(
        note=[f"note {row % 50_000}" for row in range(ROWS)], price=[f"{row % 700} EUR" for row in range(ROWS)]
    )
    description, kinds = gpuvgm.describe(table), gpuvgm.kinds(table)
    assert {n: (c.kind, c.reason) for n, c in description.columns.items()} == {
        spec.name: (spec.kind, spec.reason) for spec in kinds.columns
    }
    assert description.columns["price"].quantiles == tuple(pd.Series(np.arange(ROWS) % 700).quantile(SHARES))


@pytest.mark.parametrize("settings", [{"block_rows": 999}, {"threads": 3}, {"engine": "reference"}])
def test_figures_do_not_depend_on_blocks_threads_or_engines(frame: pd.DataFrame, settings: dict[str, Any]) -> None:
    assert gpuvgm.describe(frame, **settings).to_dict() == gpuvgm.describe(frame).to_dict()


def test_sources_that_are_read_once_and_files_give_the_same(frame: pd.DataFrame, tmp_path: Path) -> None:
    table = pa.Table.from_pandas(frame, preserve_index=False)
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=7_000)
    expected = gpuvgm.describe(table).columns
    for source in (tmp_path / "t.parquet", iter(table.to_batches(max_chunksize=9_000))):
        assert gpuvgm.describe(source).columns == expected


def test_text_that_is_numbers_in_the_sample_alone_has_no_moments() -> None:
    texts = np.array([f"{row % 700} EUR" for row in range(300_000)], object)
    texts[12_345] = "see the letter"
    column = gpuvgm.describe({"price": texts}).columns["price"]
    assert (column.rows, column.different, column.quantiles, column.mean) == (300_000, 701, (), None)
    assert column.reason == gpuvgm.kinds({"price": texts}).columns[0].reason


def test_few_and_no_rows() -> None:
    one = gpuvgm.describe({"x": [7.5]}).columns["x"]
    assert (one.mean, one.sd, one.skewness, one.quantiles) == (7.5, None, None, (7.5,) * 5)
    none = gpuvgm.describe({"x": [np.nan, np.nan]}).columns["x"]
    assert (none.missing, none.different, none.quantiles, none.mean) == (2, 0, (), None)
    with pytest.raises(InputError, match="there are no rows"):
        gpuvgm.describe({"x": np.empty(0)})


def test_text_page_and_document(frame: pd.DataFrame, tmp_path: Path) -> None:
    description = gpuvgm.describe(frame)
    text = str(description)
    assert text.startswith("60,000 rows, 8 columns, ") and "missing values in 2 columns" in text
    for words in ("skewness", "median", "different", "about 60,", "amount: continuous, float64"):
        assert words in text
    document = json.loads(json.dumps(description.to_dict()))
    assert document["columns"]["amount"]["missing_share"] == pytest.approx(0.1, abs=0.01)
    assert document["bytes"] == description.bytes
    page = description.to_html(tmp_path / "page.html", title="Payments <1>")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == page
    assert "<h1>Payments &lt;1&gt;</h1>" in page and page.count("<table") >= 4
    assert "<table" in description._repr_html_() and "<script" not in description._repr_html_()
    assert repr(description).startswith("<TableDescription: 60,000 rows")


def test_dictionaries_and_runs_are_described_by_their_values() -> None:
    """As `kinds` and `fit` take them, whatever they are made of."""
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([10, 20, 40]), pa.array(["a", "b", None]))
    numbers = pa.RunEndEncodedArray.from_arrays(pa.array([10, 40]), pa.array([1, 5]))
    codes = pa.array([1, 2, 3, 2] * 10).dictionary_encode()
    columns = gpuvgm.describe(pa.table({"runs": runs, "numbers": numbers, "codes": codes})).columns
    assert (columns["runs"].different, columns["runs"].missing) == (2, 20)
    assert (columns["numbers"].different, columns["numbers"].mean) == (2, 4.0)
    assert (columns["codes"].different, columns["codes"].mean) == (3, 2.0)


def test_text_has_room_for_long_values_and_says_all_digits() -> None:
    """Names stand in one piece beside times, long numbers are whole, infinite values are counted."""
    table = pd.DataFrame(
        {
            "departure_time": pd.date_range("2020", periods=40, freq="h", tz="Europe/Berlin"),
            "number": 4_006_381_333_931 + np.arange(40),
            "large": 2**60 + np.arange(40),
            "rate": [1.0, 2.0, np.inf, 5.5] * 10,
        }
    )
    text = str(gpuvgm.describe(table))
    for said in ("departure_time ", "4006381333931", "4006381333970", "1152921504606846976", "infinite"):
        assert said in text
    assert max(map(len, text.splitlines())) <= 100

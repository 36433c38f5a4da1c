"""Columns that hold one value in all rows, or none: no part of the matrix, and back from the model."""

from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import gpuvgm
from gpuvgm.errors import InputError

ROWS = 300
CONSTANTS: dict[str, pa.Array[Any]] = {
    "text": pa.array(["a"] * ROWS),
    "amounts in text": pa.array(["$5"] * ROWS),
    "codes": pa.array(["z"] * ROWS).dictionary_encode(),
    "booleans": pa.array([True] * ROWS),
    "whole": pa.array([7] * ROWS),
    "floats": pa.array([1.5] * ROWS),
    "half floats": pa.array(np.full(ROWS, 2.0, np.float16)),
    "dates in text": pa.array(["2020-01-01"] * ROWS),
    "dates": pa.array([datetime.date(2020, 1, 1)] * ROWS),
    "nanoseconds": pa.array([1] * ROWS, pa.timestamp("ns")),
    "decimals": pa.array([Decimal("1.50")] * ROWS),
    "no whole number": pa.nulls(ROWS, pa.int32()),
    "no float": pa.nulls(ROWS, pa.float64()),
    "no date": pa.nulls(ROWS, pa.date32()),
    "no decimal": pa.nulls(ROWS, pa.decimal128(5, 2)),
    "no type": pa.nulls(ROWS),
}


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return pa.table({"x": np.random.default_rng(0).normal(size=ROWS)} | CONSTANTS)


@pytest.fixture(scope="module")
def fitted(table: pa.Table) -> gpuvgm.TableTransformer:
    return gpuvgm.TableTransformer().fit(table)


def test_constants_take_no_column(fitted: gpuvgm.TableTransformer, table: pa.Table) -> None:
    assert {name.split(".")[0] for name in fitted.get_feature_names_out(layout="onehot")} == {"x"}
    assert {fitted.fit_report_.columns[name].width for name in CONSTANTS} == {0}


@pytest.mark.parametrize("layout", ["onehot", "compact"])
def test_constants_come_back(fitted: gpuvgm.TableTransformer, table: pa.Table, layout: str) -> None:
    back = fitted.inverse_transform(fitted.transform(table, layout=layout))
    for name, values in CONSTANTS.items():
        assert back[name].combine_chunks().equals(values), name


def test_scalars_and_modes_are_enough(fitted: gpuvgm.TableTransformer, table: pa.Table) -> None:
    encoded = fitted.transform(table, layout="compact").select(["x.scalar", "x.mode"])
    assert fitted.inverse_transform(encoded)["dates"].combine_chunks().equals(CONSTANTS["dates"])


def test_a_saved_model_has_them(fitted: gpuvgm.TableTransformer, table: pa.Table, tmp_path: Path) -> None:
    fitted.save(tmp_path / "model.gpuvgm")
    matrix = fitted.transform(table, layout="onehot")
    again = gpuvgm.load(tmp_path / "model.gpuvgm").inverse_transform(matrix)
    assert again.equals(fitted.inverse_transform(matrix))


def test_another_value_is_refused(fitted: gpuvgm.TableTransformer, table: pa.Table) -> None:
    other = table.set_column(table.schema.get_field_index("whole"), "whole", pa.array([7] * (ROWS - 1) + [8]))
    with pytest.raises(InputError, match=f'column "whole": 1 value .*such as 8.* row {ROWS - 1}'):
        fitted.transform(other)


def test_rows_added_later_bring_another_value() -> None:
    fitted = gpuvgm.TableTransformer().fit({"x": ["a"] * 10, "y": ["p", "q"] * 5})
    assert fitted.model_["x"].width == 0
    fitted.partial_fit({"x": ["b"] * 10, "y": ["p", "q"] * 5})
    assert fitted.model_["x"].width == 2


@pytest.mark.parametrize(
    ("settings", "spec"),
    [
        ({"effort": "research"}, "categorical"),
        ({"unknown": "ignore"}, "categorical"),
        ({}, {"encoding": "onehot"}),
    ],
)
def test_a_column_is_kept_where_it_is_asked_for(settings: dict[str, Any], spec: Any) -> None:
    fitted = gpuvgm.TableTransformer({"x": spec}, **settings).fit({"x": ["a"] * 50, "y": ["p", "q"] * 25})
    assert fitted.model_["x"].width == 1


def test_values_that_the_sample_lacks_make_it_a_number() -> None:
    rows = 200_000
    days = np.full(rows, 18_000)
    days[7::1_009] += np.arange(len(days[7::1_009]))
    varied = pa.table({"d": pa.array(days, pa.int32()).cast(pa.date32()), "x": np.arange(rows) % 7})
    fitted = gpuvgm.TableTransformer(random_state=1).fit(varied)
    assert fitted.model_["d"].kind in ("continuous", "mixed")


def test_a_synthesizer_makes_them(table: pa.Table) -> None:
    made = gpuvgm.TableSynthesizer(random_state=0).fit(table).sample(20)
    for name, values in CONSTANTS.items():
        assert made[name].combine_chunks().equals(values.slice(0, 20)), name


def test_a_table_of_constants_alone() -> None:
    with pytest.warns(gpuvgm.errors.InferenceWarning, match="learns nothing"):
        fitted = gpuvgm.TableTransformer().fit({"x": ["a"] * 10})
    matrix = fitted.transform({"x": ["a"] * 10}, layout="onehot")
    assert matrix.shape == (10, 0)

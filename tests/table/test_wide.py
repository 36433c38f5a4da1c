"""Tables of many columns: no call makes again what the model has, and no column looks at all the others."""

from __future__ import annotations

import pickle
from pathlib import Path
from unittest.mock import PropertyMock, patch

import numpy as np
import pyarrow as pa
import pytest

from gpuvgm import TableTransformer, load
from gpuvgm.columns import TableSchema


def table_of(columns: int) -> pa.Table:
    """Numbers and text in turns."""
    random = np.random.default_rng(0)
    numbers = {f"x{i}": random.standard_normal(200) for i in range(columns)}
    return pa.table(numbers | {f"c{i}": random.choice(["a", "b"], 200) for i in range(columns)})


def test_later_calls_make_nothing_of_the_model_again() -> None:
    table = table_of(2)
    transformer = TableTransformer(effort="research", max_iter=3).fit(table)
    encoded = transformer.transform(table)
    back = transformer.inverse_transform(encoded)
    with (
        patch("gpuvgm.columns.categorical.CategoryIndex", side_effect=AssertionError),
        patch("gpuvgm.columns.model.TableModel.fingerprint", side_effect=AssertionError),
        patch("gpuvgm.columns.base.document_of", side_effect=AssertionError),
    ):
        assert transformer.transform(table).equals(encoded)
        assert transformer.inverse_transform(encoded).equals(back)


@pytest.mark.parametrize("name", ["x0", "c0"])
def test_pickles_of_columns_hold_their_parameters_alone(name: str) -> None:
    table = table_of(1)
    transformer = TableTransformer(effort="research", max_iter=3).fit(table)
    transformer.transform(table)
    column = transformer.columns_[name]
    unused = pickle.loads(pickle.dumps(column))
    assert pickle.dumps(column) == pickle.dumps(unused)
    assert vars(unused).keys() < vars(column).keys()


def test_a_model_is_read_without_a_look_at_all_columns_for_each(tmp_path: Path) -> None:
    calls = []
    for columns in (2, 20):
        transformer = TableTransformer(effort="research", max_iter=3).fit(table_of(columns))
        transformer.save(tmp_path / f"{columns}.gpuvgm")
        with patch.object(TableSchema, "names", PropertyMock(return_value=transformer.model_.names)) as names:
            load(tmp_path / f"{columns}.gpuvgm")
        calls.append(names.call_count)
    assert calls[0] == calls[1]

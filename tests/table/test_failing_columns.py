"""A column that fails is reported; the others finish, and a later fit goes on from there."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

from gpuvgm import TableTransformer
from gpuvgm.errors import ColumnsFailed, InputError
from gpuvgm.io import plain

ROWS = 3000


@pytest.fixture
def frame() -> pd.DataFrame:
    random = np.random.default_rng(0)
    made = pd.DataFrame({name: random.normal(size=ROWS) for name in "abc"})
    made["category"] = random.choice(["x", "y"], ROWS)
    made.loc[[77, 1500], "b"] = np.inf
    return made


def columns_equal(one: TableTransformer, other: TableTransformer) -> bool:
    documents = [plain([column.to_json() for column in each.model_.columns]) for each in (one, other)]
    return documents[0] == documents[1]


def test_the_others_finish_and_what_is_missing_is_fitted(frame: pd.DataFrame) -> None:
    transformer = TableTransformer(effort="research")
    with pytest.raises(ColumnsFailed, match=r'column "b": 2 values are infinite \(first at .* row 77\)') as caught:
        transformer.fit(frame)
    assert list(caught.value.failed) == ["b"]
    assert caught.value.fitted == 3
    assert transformer.unfinished_.names == ("a", "c", "category")
    with pytest.raises(NotFittedError, match='column "b"'):
        transformer.transform(frame)
    kept = transformer.unfinished_["a"]
    transformer.set_params(columns={"b": {"inf": "missing"}}).fit_failed(frame)
    assert transformer.columns_["a"] is kept
    assert not hasattr(transformer, "unfinished_")
    whole = TableTransformer({"b": {"inf": "missing"}}, effort="research").fit(frame)
    assert columns_equal(transformer, whole)
    pd.testing.assert_frame_equal(transformer.transform(frame), whole.transform(frame))


def test_several_failures_are_all_named(frame: pd.DataFrame) -> None:
    frame["c"] = np.where(np.arange(ROWS) == 5, -np.inf, frame["c"])
    with pytest.raises(ColumnsFailed, match='row 77.*1 more failed: "c" .2 other columns are fitted') as caught:
        TableTransformer(effort="research").fit(frame)
    assert set(caught.value.failed) == {"b", "c"}
    assert "row 5" in caught.value.failed["c"]
    assert pickle.loads(pickle.dumps(caught.value)).failed == caught.value.failed


def test_the_only_column_fails_alone(frame: pd.DataFrame) -> None:
    transformer = TableTransformer()
    with pytest.raises(InputError, match="2 values are infinite") as caught:
        transformer.fit(frame[["b"]])
    assert not isinstance(caught.value, ColumnsFailed)
    assert not hasattr(transformer, "unfinished_")


def test_a_failing_column_may_be_dropped_or_redeclared(frame: pd.DataFrame) -> None:
    transformer = TableTransformer(effort="research")
    with pytest.raises(ColumnsFailed):
        transformer.fit(frame)
    transformer.set_params(columns={"b": "drop", "c": "general"}).fit_failed(frame)
    assert list(transformer.columns_) == ["a", "c", "category"]
    assert transformer.columns_["c"].kind == "general"


def test_what_failed_may_fail_again(frame: pd.DataFrame) -> None:
    transformer = TableTransformer(effort="research")
    for fit in (transformer.fit, transformer.fit_failed):
        with pytest.raises(ColumnsFailed, match=r"row 77.*then call fit_failed with the same source"):
            fit(frame)
    assert transformer.unfinished_.names == ("a", "c", "category")


def test_unfinished_fits_are_saved_and_go_on(frame: pd.DataFrame, reloaded) -> None:
    transformer = TableTransformer(effort="research")
    with pytest.raises(ColumnsFailed):
        transformer.fit(frame)
    loaded = reloaded(transformer, summaries=True).set_params(columns={"b": {"inf": "missing"}})
    assert list(loaded.unfinished_.failed) == ["b"]
    loaded.fit_failed(frame)
    assert columns_equal(loaded, TableTransformer({"b": {"inf": "missing"}}, effort="research").fit(frame))
    loaded.partial_fit(frame)
    assert loaded.model_.rows == 2 * ROWS


def test_what_did_not_fail_is_not_fitted_again_nor_another_source(frame: pd.DataFrame) -> None:
    transformer = TableTransformer(effort="research")
    with pytest.raises(InputError, match="no column of this transformer failed: call fit"):
        transformer.fit_failed(frame)
    with pytest.raises(ColumnsFailed):
        transformer.fit(frame)
    with pytest.raises(InputError, match="is not the source that the earlier fit read"):
        transformer.fit_failed(frame.iloc[:100])


def test_columns_with_too_many_levels_fail_alone() -> None:
    rows = 2**18 + 1
    frame = pd.DataFrame({"a": np.arange(float(rows)), "key": [f"k{i}" for i in range(rows)]})
    message = 'column "key": more than 262,144 categories: .* or give max_categories'
    with pytest.raises(ColumnsFailed, match=message) as caught:
        TableTransformer({"key": {"kind": "categorical", "encoding": "interval"}}, effort="research").fit(frame)
    assert list(caught.value.failed) == ["key"]
    fitted = TableTransformer({"key": {"max_categories": 3}, "a": "drop"}).fit(frame)
    assert fitted.columns_["key"].code_counts.tolist() == [1, 1, rows - 2]


def test_partial_fit_changes_nothing_where_it_fails(frame: pd.DataFrame) -> None:
    transformer = TableTransformer(effort="research").fit(frame[["a", "category"]])
    before = transformer.model_
    with pytest.raises(InputError, match="1 value is infinite"):
        transformer.partial_fit(pd.DataFrame({"a": [1.0, np.inf], "category": ["x", "z"]}))
    assert transformer.model_ is before

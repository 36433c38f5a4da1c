"""What transform gives is said in the constructor, so that pipelines and searches can say it."""

from __future__ import annotations

import copy
import inspect
import pickle
from contextlib import nullcontext
from typing import Any

import cloudpickle
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn import config_context
from sklearn.base import BaseEstimator, clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_html_repr, get_tags
from sklearn.utils.validation import check_is_fitted

from gpuvgm import DatabaseSynthesizer, PrivateSynthesizer, TableSynthesizer, TableTransformer
from gpuvgm.errors import InputError

ROWS = 2_000
RANDOM = np.random.default_rng(3)
CLUSTER = RANDOM.choice(6, ROWS, p=[0.21, 0.2, 0.17, 0.16, 0.13, 0.13])
SIDE = CLUSTER % 2
X = pd.DataFrame({"x": 20 * CLUSTER + RANDOM.normal(0, 1, ROWS), "z": CLUSTER})


def test_the_constructor_says_what_transform_gives(reloaded) -> None:
    said = TableTransformer(effort="research", layout="onehot", mode="argmax", dtype="float64", seed=7).fit(X)
    plain = TableTransformer(effort="research").fit(X)
    for one in (said, clone(said).fit(X), reloaded(said)):
        matrix = one.transform(X)
        expected = plain.transform(X, layout="onehot", mode="argmax", dtype="float64", seed=7)
        np.testing.assert_array_equal(matrix, expected)
        assert matrix.dtype == np.float64
        assert len(one.get_feature_names_out()) == matrix.shape[1]


def test_arguments_of_transform_win() -> None:
    said = TableTransformer(effort="research", layout="onehot", mode="argmax", dtype="float64", seed=7).fit(X)
    plain = TableTransformer(effort="research").fit(X)
    options = {"layout": "compact", "mode": "sample", "dtype": "float32", "seed": 2}
    pd.testing.assert_frame_equal(said.transform(X, **options), plain.transform(X, seed=2))
    (batch,) = said.iter_batches(X, ROWS)
    np.testing.assert_array_equal(batch, said.transform(X))
    assert list(said.get_feature_names_out(layout="compact")) == list(plain.get_feature_names_out())


def test_a_pipeline_sees_the_matrix() -> None:
    """Modes as numbers have no order; as one-hot columns a linear model can use them."""
    scores = {}
    for layout in ("onehot", "compact"):
        steps = make_pipeline(TableTransformer(["x"], layout=layout, mode="argmax"), LogisticRegression(max_iter=500))
        with pytest.warns(UserWarning, match="numbers of modes") if layout == "compact" else nullcontext():
            steps.fit(X[: ROWS // 2], SIDE[: ROWS // 2])
        scores[layout] = steps.score(X[ROWS // 2 :], SIDE[ROWS // 2 :])
    assert scores["onehot"] > 0.99
    assert scores["compact"] < scores["onehot"]


def test_modes_as_numbers_before_an_estimator_are_warned_of() -> None:
    told = '"x.mode", "z.mode": numbers of modes, which an estimator takes for quantities: give layout="onehot"'
    with pytest.warns(UserWarning, match=told):
        TableTransformer(effort="research").fit_transform(X, SIDE)
    for layout, y in (("compact", None), ("onehot", SIDE)):
        TableTransformer(layout=layout, effort="research").fit_transform(X, y)


def test_arrays_become_matrices_in_a_pipeline() -> None:
    array = X[["x", "z"]].fillna(0).to_numpy(np.float64)
    steps = make_pipeline(TableTransformer(effort="research", mode="argmax"), LogisticRegression(max_iter=500))
    assert steps.fit(array, SIDE).score(array, SIDE) > 0.9
    transformer = TableTransformer(effort="research").fit(array)
    matrix = transformer.transform(array)
    np.testing.assert_array_equal(matrix, transformer.transform(array, layout="onehot"))
    assert matrix.shape[1] == len(transformer.get_feature_names_out())
    assert set(transformer.transform(array, layout="compact")) == set(
        transformer.get_feature_names_out(layout="compact")
    )
    assert set(TableTransformer(layout="compact", effort="research").fit(array).transform(array)) > {"0.mode"}


def test_a_schema_is_a_mapping_of_its_columns() -> None:
    schema = TableTransformer(effort="research").fit(X).schema_
    assert list(schema) == list(X) and len(schema) == X.shape[1] and "x" in schema
    assert dict(schema) == {column.name: column for column in schema.columns}


def test_a_search_over_settings() -> None:
    steps = make_pipeline(TableTransformer(["x"], layout="onehot", effort="research"), LogisticRegression())
    search = GridSearchCV(steps, {"tabletransformer__n_components": [1, 8]}, cv=2, error_score="raise").fit(X, SIDE)
    assert search.best_params_ == {"tabletransformer__n_components": 8}


@pytest.mark.parametrize("frame", ["pandas", "polars", "pyarrow", "dict"])
def test_a_matrix_comes_back_as_what_was_fitted(frame: str, reloaded) -> None:
    rows: Any = X.assign(z=X["z"].astype("Int8"))
    table = pa.Table.from_pandas(rows, preserve_index=False)
    given = {"pandas": rows, "polars": pl.from_arrow(table), "pyarrow": table, "dict": dict(X)}[frame]
    transformer = TableTransformer(effort="research", layout="onehot").fit(given)
    for one in (transformer, reloaded(transformer)):
        back = one.inverse_transform(one.transform(X))
        assert type(back) is type(given)
        if frame == "pandas":
            assert back["z"].dtype == "Int8"


def test_nan_in_a_matrix_is_named() -> None:
    rows = X.assign(m=np.where(np.arange(ROWS) % 9, X["x"], np.nan))
    transformer = TableTransformer(effort="research", layout="onehot", block_rows=4096).fit(rows)
    names = list(transformer.get_feature_names_out())
    matrix = transformer.transform(rows)
    missing = matrix.copy()
    missing[5, names.index("m.scalar")] = np.nan  # the column has a mode for that
    assert np.isnan(transformer.inverse_transform(missing)["m"][5])
    for name in ("x.scalar", "x.mode.0", "m.mode.1", "z.mode.2"):
        wrong = matrix.copy()
        wrong[[77, 90], names.index(name)] = np.nan
        with pytest.raises(InputError, match=rf'holds NaN in row 77, column {names.index(name)} \("{name}"; 2 such'):
            transformer.inverse_transform(wrong)


def test_columns_that_were_there_are_told_as_scikit_learn_does(reloaded) -> None:
    transformer = TableTransformer({"z": "drop"}, effort="research")
    for fitted in (transformer, clone(transformer)):
        assert not hasattr(fitted, "n_features_in_") and not hasattr(fitted, "feature_names_in_")
    for fitted in (transformer, reloaded(transformer.fit(X)), make_pipeline(transformer)):
        assert fitted.n_features_in_ == 2
        np.testing.assert_array_equal(fitted.feature_names_in_, ["x", "z"])


ESTIMATORS = {
    "transformer": TableTransformer(n_components=5),
    "synthesizer": TableSynthesizer(bins=50),
    "private": PrivateSynthesizer({"x": {"kind": "number", "low": 0, "high": 9}}, epsilon=1, delta=1e-6),
    "database": DatabaseSynthesizer(bins=50),
}


@pytest.fixture(params=ESTIMATORS)
def estimator(request: pytest.FixtureRequest) -> Any:
    return clone(ESTIMATORS[request.param])


def test_scikit_learn_takes_what_is_none_of_its_classes(estimator: Any) -> None:
    """Its base class is imported with all of scipy.stats and pandas, so that no command can afford it."""
    assert not isinstance(estimator, BaseEstimator)
    assert get_tags(estimator) == get_tags(BaseEstimator())
    with pytest.raises(NotFittedError):
        check_is_fitted(estimator)
    assert estimator_html_repr(estimator).count("sk-estimator") > 0
    assert estimator._repr_html_().startswith("<style>")
    with config_context(display="text"):
        assert not hasattr(estimator, "_repr_html_")
    assert not hasattr(estimator, "nothing_of_the_kind") and not hasattr(type(estimator), "set_fit_request")


def test_parameters_are_those_of_the_constructor(estimator: Any) -> None:
    names = [name for name in inspect.signature(type(estimator)).parameters]
    assert list(estimator.get_params()) == sorted(names)
    assert clone(estimator).get_params() == estimator.get_params() and clone(estimator) is not estimator
    assert estimator.set_params(engine="reference") is estimator and estimator.get_params()["engine"] == "reference"
    with pytest.raises(ValueError, match=r"^Invalid parameter 'engines' for estimator .*\. Valid parameters are: \["):
        estimator.set_params(engines="auto")


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, *(
    lambda one, library=library: pickle.loads(library.dumps(one)) for library in (pickle, cloudpickle)
)], ids=["copy", "deepcopy", "pickle", "cloudpickle"])  # fmt: skip
def test_copies_are_equal(estimator: Any, copied: Any) -> None:
    found = copied(estimator)
    assert type(found) is type(estimator) and vars(found) == vars(estimator)


def test_the_text_is_that_of_scikit_learn() -> None:
    assert repr(TableTransformer()) == "TableTransformer()"
    assert repr(TableTransformer({"x": "continuous"}, n_components=5)) == (
        "TableTransformer(columns={'x': 'continuous'}, n_components=5)"
    )
    assert "TableTransformer(n_components=5)" in repr(make_pipeline(TableTransformer(n_components=5)))
    text = repr(TableTransformer({f"column {number}": "continuous" for number in range(1000)}))
    assert len(text) < 720 and "..." in text and text.endswith("'continuous'})")


def test_parameters_of_parameters_are_set() -> None:
    synthesizer = TableSynthesizer(like=TableSynthesizer(bins=50))
    assert synthesizer.get_params()["like__bins"] == 50
    assert "like__bins" not in synthesizer.get_params(deep=False)
    assert synthesizer.set_params(like__bins=60, bins=70).like.bins == 60
    assert synthesizer.bins == 70


def test_what_a_property_lacks_is_told(estimator: Any) -> None:
    """A missing fit is an AttributeError too, after which Python asks for the attribute once more."""
    kind = type(estimator).__name__
    with pytest.raises(NotFittedError, match=f"^this {kind} is not fitted yet: call fit, or load a model"):
        _ = estimator.columns_ if kind == "TableTransformer" else estimator._fitted


def test_metadata_is_requested() -> None:
    with config_context(enable_metadata_routing=True):
        transformer = TableTransformer(layout="onehot", effort="research")
        assert transformer.set_transform_request(seed=True) is transformer
        for one in (transformer, clone(transformer), copy.deepcopy(transformer)):
            assert one.get_metadata_routing().transform.requests["seed"] is True
        assert not hasattr(transformer, "set_predict_request")
        steps = make_pipeline(transformer).fit(X)
        np.testing.assert_array_equal(steps.transform(X, seed=9), transformer.transform(X, seed=9))
        with pytest.raises(TypeError, match="Unexpected args"):
            transformer.set_transform_request(nothing=True)
    with pytest.raises(RuntimeError, match="metadata routing is enabled"):
        TableTransformer().set_transform_request(seed=True)


def test_columns_of_a_frame_go_through_a_column_transformer() -> None:
    modes = TableTransformer(effort="research", layout="onehot", mode="argmax")
    table = ColumnTransformer([("modes", modes, ["x"]), ("rest", "passthrough", ["z"])])
    frame = table.set_output(transform="pandas").fit_transform(X)
    names = table.named_transformers_["modes"].get_feature_names_out()
    assert list(frame) == [f"modes__{name}" for name in names] + ["rest__z"]
    expected = modes.fit(X[["x"]]).transform(X[["x"]])
    np.testing.assert_array_equal(frame.iloc[:, :-1], expected)


def test_scikit_learns_own_setting_chooses_the_output() -> None:
    transformer = TableTransformer(effort="research", layout="onehot").fit(X)
    with config_context(transform_output="polars"):
        assert isinstance(transformer.transform(X), pl.DataFrame)
        assert isinstance(clone(transformer).set_output(transform="pandas").fit_transform(X), pd.DataFrame)
    assert isinstance(transformer.transform(X), np.ndarray)


def test_skrub_takes_a_transformer() -> None:
    skrub = pytest.importorskip("skrub")
    steps = skrub.TableVectorizer(numeric=TableTransformer(effort="research", layout="onehot", mode="argmax"))
    found = steps.fit_transform(X)
    assert found.shape == (ROWS, len(steps.get_feature_names_out()))

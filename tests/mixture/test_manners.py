"""The manners of an estimator: arguments, errors, copies, pipelines, names of features."""

from __future__ import annotations

import copy
import inspect
import pickle
import re

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import sklearn.mixture
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags

from gpuvgm import BayesianGaussianMixture
from gpuvgm.execution import LocalExecutor
from tests.mixture.cases import rows_of
from tests.mixture.closeness import assert_identical, assert_same_parameters

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

ADDED = {
    "algorithm": "auto",
    "effort": "research",
    "engine": "auto",
    "executor": None,
    "tol_per_row": None,
}
Theirs = sklearn.mixture.BayesianGaussianMixture


def error_of(action) -> tuple[type, str]:
    """Type and message of what an action raises; choices in braces are a set's, in any order: they are sorted."""
    with pytest.raises((ValueError, TypeError)) as caught:
        action()
    return type(caught.value), re.sub(
        r"\{(.*?)\}", lambda found: ", ".join(sorted(found[1].split(", "))), str(caught.value)
    )


def assert_same_error(settings: dict[str, object], x: object, method: str = "fit") -> None:
    """Messages are equal; our type is scikit-learn's or derived from it."""
    theirs_type, theirs = error_of(lambda: getattr(Theirs(**settings), method)(x))
    ours_type, ours = error_of(lambda: getattr(BayesianGaussianMixture(**settings), method)(x))
    assert ours == theirs
    assert issubclass(ours_type, theirs_type)


BAD_ARGUMENTS = [
    {"n_components": 0},
    {"n_components": 2.5},
    {"n_components": "2"},
    {"covariance_type": "round"},
    {"covariance_type": None},
    {"tol": -1e-3},
    {"tol": "small"},
    {"reg_covar": -1.0},
    {"max_iter": -1},
    {"max_iter": 1.5},
    {"n_init": 0},
    {"random_state": "seed"},
    {"random_state": -1},
    {"warm_start": "yes"},
    {"verbose": -1},
    {"verbose": "loud"},
    {"verbose_interval": 0},
    {"weight_concentration_prior_type": "dirichlet"},
    {"weight_concentration_prior": 0.0},
    {"weight_concentration_prior": "auto"},
    {"mean_precision_prior": -1.0},
    {"mean_precision_prior": 0},
    {"mean_prior": 3.0},
    {"mean_prior": np.zeros(3)},
    {"mean_prior": [np.nan, 0.0]},
    {"degrees_of_freedom_prior": 0.0},
    {"degrees_of_freedom_prior": 1.0},
    {"degrees_of_freedom_prior": 0.5},
    {"covariance_prior": -1.0},
    {"covariance_prior": "wide"},
    {"covariance_prior": np.eye(3)},
    {"covariance_prior": np.array([[1.0, 2.0], [2.0, 1.0]])},
    {"covariance_prior": np.array([[1.0, 0.5], [0.1, 1.0]])},
    {"covariance_prior": np.full((2, 2), np.inf)},
    {"covariance_type": "tied", "covariance_prior": np.ones(2)},
    {"covariance_type": "tied", "covariance_prior": -np.eye(2)},
    {"covariance_type": "diag", "covariance_prior": np.eye(2)},
    {"covariance_type": "diag", "covariance_prior": np.array([1.0, -1.0])},
    {"covariance_type": "spherical", "covariance_prior": -2.0},
    {"n_components": 301},
]


@pytest.mark.parametrize("method", ["fit", "fit_predict"])
@pytest.mark.parametrize("settings", BAD_ARGUMENTS, ids=lambda settings: "-".join(map(str, settings)))
def test_bad_arguments_are_refused_as_scikit_learn_refuses_them(settings: dict[str, object], method: str) -> None:
    assert_same_error(settings, rows_of(2), method)


@pytest.mark.parametrize("settings", BAD_ARGUMENTS[:22], ids=lambda settings: "-".join(map(str, settings)))
def test_bad_arguments_of_one_feature(settings: dict[str, object]) -> None:
    assert_same_error(settings, rows_of(1))


def _with(value: float) -> np.ndarray:
    x = rows_of(2)
    x[7, 1] = value
    return x


BAD_ROWS = {
    "nan": _with(np.nan),
    "inf": _with(np.inf),
    "-inf": _with(-np.inf),
    "sparse": scipy.sparse.csr_array(rows_of(2)),
    "one dimension": rows_of(1)[:, 0],
    "three dimensions": rows_of(4).reshape(300, 2, 2),
    "a scalar": 3.0,
    "no rows": np.empty((0, 2)),
    "one row": np.zeros((1, 2)),
    "no features": np.empty((10, 0)),
    "text": np.array([["a", "b"], ["c", "d"]]),
    "objects": np.array([[1.0, {}], [2.0, {}]], dtype=object),
    "complex": rows_of(2) + 1j,
    "none": None,
}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_bad_rows_are_refused_as_scikit_learn_refuses_them(name: str) -> None:
    assert_same_error({}, BAD_ROWS[name])


def test_too_few_rows() -> None:
    assert_same_error({"n_components": 6}, rows_of(2, 5))
    assert_same_error({"n_components": 6}, rows_of(1, 5))


METHODS = ["predict", "predict_proba", "score_samples", "score"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("features", [1, 2])
def test_bad_rows_after_the_fit(method: str, features: int, x: np.ndarray) -> None:
    ours, theirs = BayesianGaussianMixture().fit(x), Theirs().fit(x)
    nan = x.copy()
    nan[3, 0] = np.nan
    for bad in (nan, rows_of(features + 1), x[:, 0], np.empty((0, features)), scipy.sparse.csr_array(x)):
        expected = error_of(lambda bad=bad: getattr(theirs, method)(bad))
        assert error_of(lambda bad=bad: getattr(ours, method)(bad))[1] == expected[1]


@pytest.mark.parametrize("method", METHODS)
def test_methods_before_the_fit(method: str) -> None:
    with pytest.raises(NotFittedError) as expected:
        getattr(Theirs(), method)(rows_of(2))
    with pytest.raises(NotFittedError) as found:
        getattr(BayesianGaussianMixture(), method)(rows_of(2))
    assert str(found.value) == str(expected.value)
    with pytest.raises(NotFittedError):
        BayesianGaussianMixture().sample()


@pytest.mark.parametrize("name", ["algorithm", "effort", "engine", "executor", "tol_per_row"])
def test_bad_values_of_added_arguments(name: str) -> None:
    for value in ("nonsense", -1.0):
        for features in (1, 2):
            with pytest.raises((ValueError, TypeError), match=name):
                BayesianGaussianMixture(**{name: value}).fit(rows_of(features))


def test_bad_starts() -> None:
    for value in ("nonsense", None, 3.0):
        with pytest.raises(ValueError, match="The 'init_params' parameter of BayesianGaussianMixture must be"):
            BayesianGaussianMixture(init_params=value).fit(rows_of(2))


def test_the_summary_is_refused_for_several_features() -> None:
    with pytest.raises(ValueError, match="summary.*feature|feature.*summary"):
        BayesianGaussianMixture(algorithm="summary").fit(rows_of(2))


def test_a_refused_fit_leaves_an_earlier_one_as_it_was() -> None:
    x = rows_of(2)
    model = BayesianGaussianMixture(n_components=3, random_state=0, max_iter=5).fit(x)
    before = copy.deepcopy(model)
    with pytest.raises(ValueError):
        model.set_params(max_iter=-1).fit(x)
    assert_identical(model, before)
    np.testing.assert_array_equal(model.predict_proba(x), before.predict_proba(x))


def test_arguments_and_defaults() -> None:
    ours = inspect.signature(BayesianGaussianMixture).parameters
    theirs = inspect.signature(Theirs).parameters
    for name, parameter in theirs.items():
        assert ours[name].default == parameter.default, name
        assert ours[name].kind == parameter.kind, name
    assert {name: ours[name].default for name in ours.keys() - theirs.keys()} == ADDED
    assert BayesianGaussianMixture().get_params() == {**Theirs().get_params(), **ADDED}
    assert repr(BayesianGaussianMixture(n_components=2)) == "BayesianGaussianMixture(n_components=2)"


def test_every_public_name_of_scikit_learns_class() -> None:
    x = rows_of(2)
    ours, theirs = (make(n_components=2).fit(x) for make in (BayesianGaussianMixture, Theirs))
    public = {name for name in dir(theirs) if not name.startswith("_")}
    assert public - set(dir(ours)) == set()
    assert {name for name in vars(theirs) if name.endswith("_")} - set(vars(ours)) == set()
    assert hasattr(ours, "set_output") == hasattr(theirs, "set_output")
    assert get_tags(ours).estimator_type == get_tags(theirs).estimator_type
    assert get_tags(ours).input_tags == get_tags(theirs).input_tags
    assert get_tags(ours).target_tags == get_tags(theirs).target_tags


def test_parameters() -> None:
    centres = rows_of(2, 3)
    model = BayesianGaussianMixture(n_components=3, init_params=centres, algorithm="exact")
    again = clone(model.fit(rows_of(2)))
    assert not hasattr(again, "means_")
    assert again.get_params().keys() == model.get_params().keys()
    np.testing.assert_array_equal(again.init_params, centres)
    assert again.set_params(n_components=2, init_params="random").n_components == 2
    with pytest.raises(ValueError, match="nonsense"):
        again.set_params(nonsense=1)


def test_a_fit_changes_neither_rows_nor_arguments() -> None:
    for features in (1, 3):
        x = rows_of(features)
        kept, centres = x.copy(), x[:2].copy()
        settings = {"n_components": 2, "init_params": centres, "mean_prior": np.zeros(features), "max_iter": 5}
        model = BayesianGaussianMixture(**settings)
        assert model.fit(x, "ignored") is model
        np.testing.assert_array_equal(x, kept)
        np.testing.assert_array_equal(centres, kept[:2])
        for name, value in settings.items():
            assert getattr(model, name) is value


COPIES = {
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
}


@pytest.mark.parametrize("features", [1, 2])
@pytest.mark.parametrize("method", COPIES)
def test_copies(method: str, x: np.ndarray) -> None:
    model = BayesianGaussianMixture(n_components=3, random_state=0, max_iter=10).fit(x)
    other = COPIES[method](model)
    assert_identical(other, model)
    np.testing.assert_array_equal(other.predict_proba(x), model.predict_proba(x))
    np.testing.assert_array_equal(other.sample(5)[0], model.sample(5)[0])
    assert_identical(other.fit(x), model)
    assert not hasattr(COPIES[method](BayesianGaussianMixture()), "means_")


def test_fitted_attributes_set_by_hand_are_used() -> None:
    x = rows_of(2)
    ours, theirs = (make(n_components=2, random_state=0).fit(x) for make in (BayesianGaussianMixture, Theirs))
    for model in (ours, theirs):
        model.means_ = model.means_ + 0.25
    np.testing.assert_allclose(ours.predict_proba(x), theirs.predict_proba(x), atol=1e-6)
    np.testing.assert_allclose(ours.sample(9)[0], theirs.sample(9)[0], rtol=1e-6, atol=1e-6)


def test_pipeline() -> None:
    x = rows_of(3)
    ours, theirs = (
        make_pipeline(StandardScaler(), make(n_components=3, random_state=0, max_iter=10)).fit(x)
        for make in (BayesianGaussianMixture, Theirs)
    )
    assert_same_parameters(ours[-1], theirs[-1])
    np.testing.assert_array_equal(ours.predict(x), theirs.predict(x))
    assert ours.score(x) == pytest.approx(theirs.score(x), rel=1e-9)


@pytest.mark.parametrize("features", [1, 2])
def test_grid_search(x: np.ndarray) -> None:
    searches = []
    for make in (BayesianGaussianMixture, Theirs):
        grid = {"n_components": [1, 2, 4], "covariance_type": ["full", "diag"]}
        searches.append(GridSearchCV(make(random_state=0, max_iter=10), grid, cv=3).fit(x))
    ours, theirs = (search.cv_results_["mean_test_score"] for search in searches)
    np.testing.assert_allclose(ours, theirs, rtol=1e-8)
    assert searches[0].best_params_["n_components"] == searches[1].best_params_["n_components"]


def test_cross_validation_in_processes() -> None:
    x = rows_of(1)
    model = BayesianGaussianMixture(n_components=2, random_state=0, max_iter=5, executor=LocalExecutor(1))
    scores = [cross_val_score(model, x, cv=3, n_jobs=jobs) for jobs in (1, 2)]
    np.testing.assert_array_equal(*scores)


def test_names_of_features() -> None:
    frame = pd.DataFrame(rows_of(2), columns=["height", "width"])
    ours, theirs = (make(n_components=2, random_state=0).fit(frame) for make in (BayesianGaussianMixture, Theirs))
    assert ours.n_features_in_ == 2
    np.testing.assert_array_equal(ours.feature_names_in_, ["height", "width"])
    ours.predict(frame)
    with pytest.warns(UserWarning) as expected:
        theirs.predict(frame.to_numpy())
    with pytest.warns(UserWarning) as found:
        ours.predict(frame.to_numpy())
    assert [str(warning.message) for warning in found] == [str(warning.message) for warning in expected]
    for wrong in (frame[["width", "height"]], frame.rename(columns={"width": "depth"})):
        expected_error = error_of(lambda wrong=wrong: theirs.predict_proba(wrong))
        assert error_of(lambda wrong=wrong: ours.predict_proba(wrong))[1] == expected_error[1]
    ours.fit(frame.to_numpy())
    assert not hasattr(ours, "feature_names_in_")


@pytest.mark.parametrize("number", [1.5, "3", True, None, np.float64(2)], ids=repr)
def test_a_number_of_rows_that_is_none_is_refused(number: object) -> None:
    mixture = BayesianGaussianMixture(n_components=2).fit(rows_of(1))
    with pytest.raises(ValueError, match="n_samples is a whole number of rows, got"):
        mixture.sample(number)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["datetime64[s]", "timedelta64[ns]"])
def test_times_are_no_numbers(kind: str) -> None:
    times = np.arange(300).astype(kind).reshape(-1, 1)
    for action in (BayesianGaussianMixture().fit, BayesianGaussianMixture(n_components=2).fit(rows_of(1)).predict):
        with pytest.raises(ValueError, match=r"X holds .*time.* values, which are no numbers: give X\.astype"):
            action(times)

"""The class against scikit-learn's, for the same arguments, rows and random_state."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn.mixture
from numpy.typing import NDArray

from gpuvgm import BayesianGaussianMixture
from tests.mixture.cases import CASES, COVARIANCE_TYPES, FAR, STARTS, Case, blobs
from tests.mixture.closeness import assert_same_bounds, assert_same_labels, assert_same_parameters, assert_same_priors

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.usefixtures("one_thread"),
]


def fit_both(ours_x: object, theirs_x: object, settings: dict[str, object], random_state: object = 0):
    """Both classes fitted, and the labels from fit_predict."""
    ours = BayesianGaussianMixture(algorithm="exact", random_state=random_state, **settings)
    theirs = sklearn.mixture.BayesianGaussianMixture(random_state=random_state, **settings)
    return ours, ours.fit_predict(ours_x), theirs, theirs.fit_predict(theirs_x)


def assert_same_model(ours, theirs, *, offset: object = 0.0, held_only: bool = False) -> None:
    assert ours.n_iter_ == theirs.n_iter_
    assert ours.converged_ == theirs.converged_
    assert ours.n_features_in_ == theirs.n_features_in_
    assert ours.fit_error_ == 0.0
    assert_same_priors(ours, theirs, offset=offset)
    assert_same_parameters(ours, theirs, offset=offset, held_only=held_only)
    assert_same_bounds(ours, theirs)


def assert_same_output(ours, ours_x: object, theirs, theirs_x: object) -> None:
    probabilities = theirs.predict_proba(theirs_x)
    assert_same_labels(ours.predict(ours_x), theirs.predict(theirs_x), probabilities)
    assert ours.predict_proba(ours_x).shape == probabilities.shape
    assert np.max(np.abs(ours.predict_proba(ours_x) - probabilities)) <= 1e-6
    np.testing.assert_allclose(ours.score_samples(ours_x), theirs.score_samples(theirs_x), rtol=1e-6, atol=1e-6)
    assert ours.score(ours_x) == pytest.approx(theirs.score(theirs_x), rel=1e-6, abs=1e-6)


def assert_same_sample(ours, theirs, *, offset: object = 0.0) -> None:
    ours_x, ours_labels = ours.sample(40)
    theirs_x, theirs_labels = theirs.sample(40)
    np.testing.assert_array_equal(ours_labels, theirs_labels)
    assert ours_x.shape == theirs_x.shape
    assert np.max(np.abs(ours_x - offset - theirs_x) / np.std(theirs_x, axis=0)) <= 1e-6


@pytest.mark.parametrize("case", CASES, ids=str)
def test_same_fit(case: Case) -> None:
    x = case.matrix()
    ours, ours_labels, theirs, theirs_labels = fit_both(x, x, case.settings, case.seed)
    assert_same_model(ours, theirs, held_only=case.data == "constant column")
    assert_same_labels(ours_labels, theirs_labels, theirs.predict_proba(x))
    assert_same_output(ours, x, theirs, x)
    if case.data != "constant column":
        assert_same_sample(ours, theirs)


@pytest.mark.parametrize("case", FAR, ids=str)
def test_far_from_zero(case: Case) -> None:
    x = case.matrix()
    centre = np.mean(x - x[0], axis=0) + x[0]
    centred = x - centre
    ours, ours_labels, theirs, theirs_labels = fit_both(x, centred, case.settings, case.seed)
    assert_same_model(ours, theirs, offset=centre)
    assert_same_labels(ours_labels, theirs_labels, theirs.predict_proba(centred))
    assert_same_output(ours, x, theirs, centred)
    assert_same_sample(ours, theirs, offset=centre)


def _memory_map(x: NDArray, folder: Path) -> NDArray:
    np.save(folder / "x.npy", x)
    return np.load(folder / "x.npy", mmap_mode="r")


def _read_only(x: NDArray, _: Path) -> NDArray:
    x = x.copy()
    x.flags.writeable = False
    return x


def _frame(x: NDArray, _: Path) -> pd.DataFrame:
    return pd.DataFrame(x, columns=[f"feature {i}" for i in range(x.shape[1])], index=np.arange(len(x))[::-1])


CONTAINERS: dict[str, Callable[[NDArray, Path], object]] = {
    "Fortran order": lambda x, _: np.asfortranarray(x),
    "strided": lambda x, _: np.repeat(np.repeat(x, 2, axis=0), 3, axis=1)[::2, ::3],
    "reversed": lambda x, _: x[::-1].copy()[::-1],
    "read-only": _read_only,
    "memory map": _memory_map,
    "lists": lambda x, _: x.tolist(),
    "tuples": lambda x, _: tuple(map(tuple, x.tolist())),
    "pandas": _frame,
}


@pytest.mark.parametrize("features", [1, 3])
@pytest.mark.parametrize("container", CONTAINERS)
def test_containers(container: str, features: int, tmp_path: Path) -> None:
    x = CONTAINERS[container](blobs(np.random.default_rng(3), 200, features), tmp_path)
    ours, _, theirs, _ = fit_both(x, x, {"n_components": 3, "max_iter": 20})
    assert_same_model(ours, theirs)
    assert_same_output(ours, x, theirs, x)
    if container == "pandas":
        np.testing.assert_array_equal(ours.feature_names_in_, theirs.feature_names_in_)


@pytest.mark.parametrize("dtype", ["float32", "float16", "int64", "int32", "int8", "uint16"])
@pytest.mark.parametrize("features", [1, 2])
def test_types_are_widened_before_anything_else(dtype: str, features: int) -> None:
    x = (np.abs(5 * blobs(np.random.default_rng(4), 200, features)) % 100).astype(dtype)
    ours, _, theirs, _ = fit_both(x, x.astype(np.float64), {"n_components": 2, "max_iter": 15})
    assert_same_model(ours, theirs)
    assert_same_output(ours, x, theirs, x.astype(np.float64))


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_float32_rows_far_from_zero(covariance_type: str) -> None:
    x = (blobs(np.random.default_rng(4), 200, 2) + 1000).astype(np.float32)
    settings = {"n_components": 2, "max_iter": 15, "covariance_type": covariance_type}
    ours, _, theirs, _ = fit_both(x, x.astype(np.float64), settings)
    assert_same_model(ours, theirs)


@pytest.mark.parametrize("features", [1, 2])
@pytest.mark.parametrize("init_params", STARTS)
def test_a_generator_is_used_as_scikit_learn_uses_it(init_params: str, features: int) -> None:
    x = blobs(np.random.default_rng(7), 150, features)
    settings = {"n_components": 4, "n_init": 2, "max_iter": 10, "init_params": init_params}
    ours = BayesianGaussianMixture(algorithm="exact", random_state=np.random.RandomState(5), **settings)
    theirs = sklearn.mixture.BayesianGaussianMixture(random_state=np.random.RandomState(5), **settings)
    for _ in range(2):
        ours.fit(x)
        theirs.fit(x)
        assert_same_parameters(ours, theirs)
    assert_same_sample(ours, theirs)


def test_the_global_generator_is_used_where_none_is_given() -> None:
    x = blobs(np.random.default_rng(7), 150, 2)
    settings = {"n_components": 4, "max_iter": 10, "init_params": "random"}
    before = np.random.get_state()  # noqa: NPY002
    try:
        np.random.seed(11)  # noqa: NPY002
        ours = BayesianGaussianMixture(algorithm="exact", **settings).fit(x)
        np.random.seed(11)  # noqa: NPY002
        theirs = sklearn.mixture.BayesianGaussianMixture(**settings).fit(x)
    finally:
        np.random.set_state(before)  # noqa: NPY002
    assert_same_parameters(ours, theirs)


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
@pytest.mark.parametrize("features", [1, 4])
def test_rows_that_the_fit_has_not_seen(covariance_type: str, features: int) -> None:
    g = np.random.default_rng(9)
    x, new = blobs(g, 300, features), 20 * g.normal(size=(500, features))
    ours, _, theirs, _ = fit_both(x, x, {"n_components": 3, "max_iter": 20, "covariance_type": covariance_type})
    assert_same_output(ours, new, theirs, new)


def test_the_number_of_samples_is_checked_as_scikit_learn_does() -> None:
    x = blobs(np.random.default_rng(7), 50, 2)
    ours, _, theirs, _ = fit_both(x, x, {"n_components": 2, "max_iter": 5})
    with pytest.raises(ValueError) as expected:
        theirs.sample(0)
    with pytest.raises(ValueError) as found:
        ours.sample(0)
    # scikit-learn names the number of components as the wrong value
    assert re.sub(r"\d+", "", str(found.value)) == re.sub(r"\d+", "", str(expected.value))

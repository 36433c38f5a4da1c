"""Weights are frequencies of rows; partial fits are fits of all the rows seen."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gpuvgm import BayesianGaussianMixture
from tests.mixture.cases import COVARIANCE_TYPES, PRIOR_TYPES, STARTS, rows_of, skewed
from tests.mixture.closeness import assert_identical, assert_same_bounds, assert_same_parameters, assert_same_priors

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.usefixtures("one_thread"),
]

ALGORITHMS = [("exact", 1), ("exact", 3), ("summary", 1)]


def mixture(x: NDArray, **settings: object) -> BayesianGaussianMixture:
    """A mixture that starts at the first rows."""
    return BayesianGaussianMixture(
        **{"n_components": 4, "init_params": x[:4].copy(), "random_state": 0, "max_iter": 20, "tol": 0.0, **settings}
    )


def assert_same(ours, theirs, tolerance: float) -> None:
    assert_same_priors(ours, theirs, tolerance)
    assert_same_parameters(ours, theirs, tolerance)
    assert_same_bounds(ours, theirs, tolerance)
    assert ours.n_iter_ == theirs.n_iter_


@pytest.mark.parametrize("algorithm, features", ALGORITHMS)
@pytest.mark.parametrize("prior_type", PRIOR_TYPES)
@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_weights_are_frequencies(covariance_type: str, prior_type: str, algorithm: str, x: NDArray) -> None:
    weight = np.random.default_rng(1).integers(0, 5, len(x))
    settings = {
        "covariance_type": covariance_type,
        "weight_concentration_prior_type": prior_type,
        "algorithm": algorithm,
    }
    weighted = mixture(x, **settings).fit(x, sample_weight=weight)
    repeated = mixture(x, **settings).fit(np.repeat(x, weight, axis=0))
    assert_same(weighted, repeated, 1e-10)
    np.testing.assert_allclose(weighted.predict_proba(x), repeated.predict_proba(x), atol=1e-9)


def test_weights_are_frequencies_in_a_large_summary() -> None:
    x = skewed(np.random.default_rng(2), 250_000, 1)
    weight = np.random.default_rng(3).integers(0, 4, len(x))
    weighted = mixture(x).fit(x, sample_weight=weight)
    repeated = mixture(x).fit(np.repeat(x, weight, axis=0))
    assert_same(weighted, repeated, 1e-10)
    assert_same(weighted, mixture(x, algorithm="exact").fit(x, sample_weight=weight), 1e-8)


@pytest.mark.parametrize("algorithm, features", ALGORITHMS)
@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_a_weight_may_be_split(covariance_type: str, algorithm: str, x: NDArray) -> None:
    g = np.random.default_rng(4)
    weight, share = g.exponential(3.0, len(x)), g.uniform(size=len(x))
    settings = {"covariance_type": covariance_type, "algorithm": algorithm}
    whole = mixture(x, **settings).fit(x, sample_weight=weight)
    split = mixture(x, **settings).fit(
        np.repeat(x, 2, axis=0), sample_weight=np.stack([weight * share, weight * (1 - share)], axis=1).ravel()
    )
    assert_same(whole, split, 1e-11)


@pytest.mark.parametrize("algorithm, features", ALGORITHMS)
@pytest.mark.parametrize("start", STARTS)
def test_rows_of_weight_zero_are_no_rows(start: str, algorithm: str, x: NDArray) -> None:
    weight = np.random.default_rng(5).uniform(0.5, 2, len(x))
    weight[::3] = 0.0
    x[0] = 1e9
    settings = {"algorithm": algorithm, "init_params": start, "max_iter": 10}
    with_zeros = mixture(x, **settings).fit(x, sample_weight=weight)
    without = mixture(x, **settings).fit(x[weight > 0], sample_weight=weight[weight > 0])
    assert_identical(with_zeros, without)


@pytest.mark.parametrize("algorithm, features", ALGORITHMS)
@pytest.mark.parametrize("start", STARTS)
def test_weights_of_one_change_nothing(start: str, algorithm: str, x: NDArray) -> None:
    settings = {"algorithm": algorithm, "init_params": start, "max_iter": 10}
    plain = mixture(x, **settings).fit(x)
    assert_same(mixture(x, **settings).fit(x, sample_weight=np.ones(len(x))), plain, 1e-10)
    assert_same(mixture(x, **settings).fit(x, sample_weight=[1] * len(x)), plain, 1e-10)


@pytest.mark.parametrize("features", [1, 3])
@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_default_priors_use_the_weights(covariance_type: str, x: NDArray) -> None:
    weight = np.random.default_rng(6).integers(1, 6, len(x))
    model = mixture(x, covariance_type=covariance_type, max_iter=1).fit(x, sample_weight=weight)
    full = np.atleast_2d(np.cov(x.T, fweights=weight))
    expected = {"full": full, "tied": full, "diag": np.diag(full), "spherical": np.mean(np.diag(full))}
    np.testing.assert_allclose(model.mean_prior_, np.average(x, axis=0, weights=weight), rtol=1e-12)
    np.testing.assert_allclose(model.covariance_prior_, expected[covariance_type], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("algorithm, features", ALGORITHMS)
def test_weights_far_apart(algorithm: str, x: NDArray) -> None:
    weight = 10.0 ** np.random.default_rng(7).uniform(-6, 6, len(x))
    model = mixture(x, algorithm=algorithm).fit(x, sample_weight=weight)
    assert np.sum(model.mean_precision_ - 1.0) == pytest.approx(np.sum(weight), rel=1e-9)
    assert np.all(np.isfinite(model.covariances_))


BAD_WEIGHTS = {
    "negative": (lambda n: np.where(np.arange(n) == 7, -0.5, 1.0), "[Nn]egative"),
    "nan": (lambda n: np.where(np.arange(n) == 7, np.nan, 1.0), "NaN"),
    "infinite": (lambda n: np.where(np.arange(n) == 7, np.inf, 1.0), "infinity"),
    "too few": (lambda n: np.ones(n - 1), "shape"),
    "two columns": (lambda n: np.ones((n, 2)), "1D|1-D|shape|dimension"),
    "all zero": (np.zeros, "zero|sums to 0"),
    "too small": (lambda n: np.full(n, 1 / (2 * n)), "scale them up"),
    "text": (lambda n: ["heavy"] * n, "heavy"),
}


@pytest.mark.parametrize("algorithm, features", ALGORITHMS)
@pytest.mark.parametrize("name", BAD_WEIGHTS)
def test_bad_weights(name: str, algorithm: str, features: int) -> None:
    make, message = BAD_WEIGHTS[name]
    x = rows_of(features)
    with pytest.raises(ValueError, match=message):
        mixture(x, algorithm=algorithm).fit(x, sample_weight=make(len(x)))


@pytest.mark.parametrize("features", [1, 3])
def test_bad_weights_of_a_partial_fit(x: NDArray) -> None:
    for name in ("negative", "nan", "too few"):
        make, message = BAD_WEIGHTS[name]
        with pytest.raises(ValueError, match=message):
            mixture(x).partial_fit(x, sample_weight=make(len(x)))


def test_weights_count_rows_where_components_are_compared_with_them() -> None:
    x = rows_of(2)
    few = np.where(np.arange(len(x)) < 3, 10.0, 0.0)
    assert_same(mixture(x).fit(x, sample_weight=few), mixture(x).fit(np.repeat(x[:3], 10, axis=0)), 1e-10)
    with pytest.raises(ValueError, match="n_components = 4, n_samples = 3"):
        mixture(x).fit(x, sample_weight=few / 10)


def test_a_pipeline_passes_weights() -> None:
    x = rows_of(2)
    weight = np.random.default_rng(8).integers(1, 4, len(x))
    scaled = StandardScaler().fit_transform(x)
    model = mixture(scaled)
    pipeline = make_pipeline(StandardScaler(), model)
    pipeline.fit(x, bayesiangaussianmixture__sample_weight=weight)
    assert_identical(pipeline[-1], mixture(scaled).fit(scaled, sample_weight=weight))

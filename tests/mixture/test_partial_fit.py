"""partial_fit: one feature merges summaries, several features keep the sums of each block."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from numpy.typing import NDArray

from gpuvgm import BayesianGaussianMixture
from tests.mixture.cases import COVARIANCE_TYPES, PRIOR_TYPES, blobs, skewed
from tests.mixture.closeness import assert_identical, assert_same_parameters

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def mixture(x: NDArray, **settings: object) -> BayesianGaussianMixture:
    """A mixture that starts at the first rows, its priors given: they would depend on the first block."""
    features = x.shape[1]
    kind = settings.get("covariance_type", "full")
    prior = {"full": np.eye(features), "tied": np.eye(features), "diag": np.ones(features), "spherical": 1.0}[str(kind)]
    given = {"mean_prior": np.zeros(features), "covariance_prior": prior} if features > 1 else {}
    start = {"n_components": 4, "init_params": x[:4].copy(), "random_state": 0, "max_iter": 20, "tol": 0.0}
    return BayesianGaussianMixture(**{**start, **given, **settings})


def last_bound(model) -> float:
    return float(np.ravel(model.lower_bound_)[0])


@pytest.mark.parametrize("prior_type", PRIOR_TYPES)
def test_chunks_of_one_feature(prior_type: str) -> None:
    x = skewed(np.random.default_rng(0), 30_000, 1)
    first, rest = x[:10_000], x[10_000:]
    settings = {"weight_concentration_prior_type": prior_type}
    once = mixture(x, **settings).partial_fit(first).partial_fit(rest)
    twice = mixture(x, **settings).partial_fit(first).partial_fit(rest[:7]).partial_fit(rest[7:])
    reversed_order = mixture(x, **settings).partial_fit(first).partial_fit(rest[7:]).partial_fit(rest[:7])
    assert_identical(twice, once)
    assert_identical(reversed_order, once)
    np.testing.assert_array_equal(twice.predict_proba(x), once.predict_proba(x))
    for algorithm in ("exact", "summary"):
        whole = mixture(x, algorithm=algorithm, **settings).fit(x)
        assert_same_parameters(once, whole, 1e-8)
        assert last_bound(once) == pytest.approx(last_bound(whole), rel=1e-9)


def test_the_first_chunk_of_one_feature_is_a_fit() -> None:
    x = skewed(np.random.default_rng(1), 5_000, 1)
    for start in (x[:4].copy(), "kmeans"):
        partial = mixture(x, init_params=start).partial_fit(x)
        assert_same_parameters(partial, mixture(x, init_params=start, algorithm="summary").fit(x), 1e-8)


def test_weighted_chunks_of_one_feature() -> None:
    x = skewed(np.random.default_rng(2), 9_000, 1)
    weight = np.random.default_rng(3).integers(0, 4, len(x))
    parts = (slice(0, 4_000), slice(4_000, 5_000), slice(5_000, None))
    model = mixture(x)
    for part in parts:
        model.partial_fit(x[part], sample_weight=weight[part])
    assert_same_parameters(model, mixture(x, algorithm="exact").fit(x, sample_weight=weight), 1e-8)


@pytest.mark.parametrize("features", [1, 2])
@pytest.mark.parametrize("method", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_goes_on_where_the_model_stood(features: int, method) -> None:
    x = blobs(np.random.default_rng(4), 2_000, features)
    model = mixture(x).partial_fit(x[:1_000])
    other = method(model)
    assert_identical(other.partial_fit(x[1_000:]), model.partial_fit(x[1_000:]))


@pytest.mark.parametrize("features", [1, 2])
def test_a_fit_forgets_what_was_partially_fitted(features: int) -> None:
    x = blobs(np.random.default_rng(5), 2_000, features)
    model = mixture(x).partial_fit(x + 50).fit(x)
    assert_identical(model, mixture(x).fit(x))


@pytest.mark.slow
@pytest.mark.parametrize("prior_type", PRIOR_TYPES)
@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
@pytest.mark.covering(1)
def test_blocks_of_several_features(covariance_type: str, prior_type: str) -> None:
    x = blobs(np.random.default_rng(6), 900, 2)
    blocks = np.split(x, 3)
    settings = {
        "covariance_type": covariance_type,
        "weight_concentration_prior_type": prior_type,
        "reg_covar": 0.0,
        "n_components": 3,
        "init_params": np.array([x[0], x[5], x[9]]),
    }
    model = mixture(x, **settings)
    for block in blocks:
        model.partial_fit(block)
    bounds = []
    for epoch in range(150):
        for block in blocks if epoch % 2 else blocks[::-1]:
            bounds.append(last_bound(model.partial_fit(block.copy())))
    bounds = np.array(bounds)
    assert np.all(np.diff(bounds) >= -1e-11 * np.abs(bounds[1:]))
    assert np.sum(model.mean_precision_ - 1.0) == pytest.approx(len(x), rel=1e-9)
    batch = mixture(x, **settings, max_iter=600).fit(x)
    assert_same_parameters(model, batch, 1e-6)
    assert last_bound(model) == pytest.approx(last_bound(batch), rel=1e-9)


@pytest.mark.slow
def test_weighted_blocks_of_several_features() -> None:
    x = blobs(np.random.default_rng(6), 900, 2)
    weight = np.random.default_rng(7).integers(1, 4, len(x)).astype(np.float64)
    settings = {"n_components": 3, "init_params": np.array([x[0], x[5], x[9]])}
    model = mixture(x, **settings)
    for _ in range(150):
        for part in (slice(0, 300), slice(300, 500), slice(500, None)):
            model.partial_fit(x[part], sample_weight=weight[part])
    assert_same_parameters(model, mixture(x, **settings, max_iter=600).fit(x, sample_weight=weight), 1e-6)


@pytest.mark.parametrize("features", [1, 2])
def test_the_attributes_of_a_partial_fit(features: int) -> None:
    x = blobs(np.random.default_rng(8), 1_000, features)
    model = mixture(x)
    assert model.partial_fit(x[:500]) is model
    assert model.n_features_in_ == features
    assert np.sum(model.weights_) == pytest.approx(1.0, abs=1e-12)
    assert model.predict(x).shape == (1_000,)
    assert isinstance(model.fit_error_, float)
    assert np.isfinite(model.lower_bound_)


@pytest.mark.parametrize("features", [1, 2])
def test_blocks_must_have_the_same_features(features: int) -> None:
    x = blobs(np.random.default_rng(9), 500, 3)
    model = mixture(x[:, :features]).partial_fit(x[:, :features])
    before = copy.deepcopy(model)
    with pytest.raises(ValueError, match=f"{features + 1} features"):
        model.partial_fit(x[:, : features + 1])
    assert_identical(model, before)

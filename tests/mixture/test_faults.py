"""Faults that a review found: each once."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.mixture import BayesianGaussianMixture as ScikitLearns

from gpuvgm import BayesianGaussianMixture
from gpuvgm.errors import InputError
from gpuvgm.mixture.rows import Rows
from tests.mixture.cases import blobs
from tests.mixture.closeness import assert_identical, assert_same_parameters

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
X = blobs(np.random.default_rng(0), 1_200, 2)


def test_a_sample_sees_every_phase_of_interleaved_rows() -> None:
    n = 262_144
    x = np.random.default_rng(0).normal(0, 1, n) + np.arange(n) % 8 * 20.0
    settings = {"n_components": 8, "random_state": 0, "algorithm": "summary"}
    interleaved = BayesianGaussianMixture(**settings).fit(x[:, None])
    mixed = BayesianGaussianMixture(**settings).fit(np.random.default_rng(1).permutation(x)[:, None])
    assert np.sum(interleaved.weights_ > 0.01) == np.sum(mixed.weights_ > 0.01) == 8
    sample = Rows.of(x).sample(1 << 15).array[:, 0]
    assert np.max(np.abs(np.bincount(np.round(sample / 20).astype(int)) / len(sample) - 1 / 8)) < 0.01


@pytest.mark.parametrize(
    "change",
    [{"n_components": 5}, {"covariance_type": "diag"}, {"weight_concentration_prior_type": "dirichlet_distribution"}],
)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_what_was_fitted_cannot_go_on_as_something_else(method: str, change: dict[str, object]) -> None:
    model = BayesianGaussianMixture(n_components=3, random_state=0, warm_start=True)
    getattr(model, method)(X[:600])
    before = model.predict(X)
    model.set_params(**change)
    with pytest.raises(InputError, match=next(iter(change))):
        getattr(model, method)(X[600:])
    np.testing.assert_array_equal(model.predict(X), before)


@pytest.mark.parametrize("change", [{"mean_prior": [0.0, 1.0]}, {"reg_covar": 1e-3}, {"mean_precision_prior": 2.0}])
def test_partial_fit_keeps_its_prior(change: dict[str, object]) -> None:
    model = BayesianGaussianMixture(n_components=3, random_state=0).partial_fit(X[:600])
    with pytest.raises(InputError, match=next(iter(change))):
        model.set_params(**change).partial_fit(X[600:])


def test_the_tolerance_per_row_counts_all_rows_seen() -> None:
    x = blobs(np.random.default_rng(3), 6_000, 1)
    settings = {"n_components": 5, "tol_per_row": 1e-6, "max_iter": 1_000, "random_state": 0}
    cuts = [[1_000], [1_000, 5_999], [1_000, 2_000, 5_000]]
    models = []
    for cut in cuts:
        model = BayesianGaussianMixture(**settings)
        for chunk in np.split(x, cut):
            model.partial_fit(chunk)
        models.append(model)
    for model in models[1:]:
        assert_identical(model, models[0])


@pytest.mark.parametrize("features", [1, 2])
def test_later_chunks_may_weigh_little(features: int) -> None:
    x = X[:, :features]
    model = BayesianGaussianMixture(n_components=3, random_state=0).partial_fit(x[:500])
    before = model.means_.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.partial_fit(x[500:600], sample_weight=np.zeros(100))
        np.testing.assert_array_equal(model.means_, before)
        model.partial_fit(x[500:501]).partial_fit(x[501:502], sample_weight=[1.0])
        model.partial_fit(x[502:512], sample_weight=np.full(10, 0.01))
    assert np.sum(model.mean_precision_ - model.mean_precision_prior_) == pytest.approx(502.1)


@pytest.mark.parametrize("algorithm", ["exact", "summary"])
@pytest.mark.parametrize("scale", [1e-310, 1e-200, 1e-160, 1e100, 1e150])
def test_extreme_scales_of_one_feature(scale: float, algorithm: str) -> None:
    x = np.random.default_rng(0).normal(0, 1, (180, 1)) * scale
    settings = {"n_components": 3, "random_state": 0}
    ours, theirs = BayesianGaussianMixture(**settings, algorithm=algorithm).fit(x), ScikitLearns(**settings).fit(x)
    np.testing.assert_allclose(ours.covariances_, theirs.covariances_, rtol=1e-6)


@pytest.mark.parametrize("features", [1, 2])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_squares_that_overflow_are_refused(features: int) -> None:
    with pytest.raises(InputError, match="scale the features down"):
        BayesianGaussianMixture().fit(X[:, :features] * 1e200)


@pytest.mark.parametrize("concentration", [1e12, 1e16, 1e31, 1e200])
def test_a_huge_concentration_leaves_the_bound_sound(concentration: float) -> None:
    x = blobs(np.random.default_rng(5), 180, 1)
    settings = {"n_components": 4, "weight_concentration_prior": concentration, "random_state": 0, "tol": 0.0}
    ours, theirs = BayesianGaussianMixture(**settings).fit(x), ScikitLearns(**settings).fit(x)
    assert ours.lower_bound_ == pytest.approx(theirs.lower_bound_, rel=1e-9)
    assert np.all(np.diff(ours.lower_bounds_) >= -1e-10 * np.abs(ours.lower_bound_))


def test_a_weight_of_zero_does_not_copy_a_memory_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gpuvgm.estimator import reading

    monkeypatch.setattr(reading, "MAPPED_VALUES", 100)
    mapped = np.memmap(tmp_path / "x", mode="w+", dtype=X.dtype, shape=X.shape)
    mapped[:] = X
    weight = np.where(np.arange(len(X)) % 7, 1.0, 0.0)
    rows = reading.training_rows(BayesianGaussianMixture(), mapped, weight)
    assert np.shares_memory(rows.array, mapped)
    start = {"n_components": 3, "init_params": X[:3]}
    ours = BayesianGaussianMixture(**start).fit(mapped, sample_weight=weight)
    assert_same_parameters(ours, BayesianGaussianMixture(**start).fit(X[weight > 0]), 1e-9)
    with pytest.raises(ValueError, match="n_samples = 2"):
        BayesianGaussianMixture(n_components=3).fit(mapped, sample_weight=np.arange(len(X)) < 2)


@pytest.mark.parametrize("init", ["kmeans", "k-means++", "random_from_data"])
def test_whole_weights_are_repeated_rows_for_the_start_too(init: str) -> None:
    few, times = X[::300], np.array([5, 7, 1, 4])
    settings = {"n_components": 6, "init_params": init, "random_state": 0}
    weighted = BayesianGaussianMixture(**settings).fit(few, sample_weight=times)
    repeated = BayesianGaussianMixture(**settings).fit(np.repeat(few, times, axis=0))
    assert_same_parameters(weighted, repeated, 1e-10)


def test_rows_far_from_everything() -> None:
    model = BayesianGaussianMixture(n_components=3, covariance_type="tied").fit(X)
    far = np.array([[1e200, 0.0], [1e100, 0.0], [1e5, 1e5]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        np.testing.assert_allclose(np.sum(model.predict_proba(far), axis=1), 1.0)
        assert model.score_samples(far)[0] == -np.inf
    assert np.all(np.isfinite(model.score_samples(far[1:])))


def test_components_without_rows_are_scikit_learns() -> None:
    x = blobs(np.random.default_rng(7), 300, 2)
    for settings in (
        {"mean_prior": [1e4, -1e4]},
        {"covariance_prior": [1e-12, 1e-12], "covariance_type": "diag"},
        {"mean_precision_prior": 1e-300, "weight_concentration_prior_type": "dirichlet_distribution"},
    ):
        given = {"n_components": 8, "random_state": 0, "max_iter": 50, **settings}
        ours, theirs = BayesianGaussianMixture(**given).fit(x), ScikitLearns(**given).fit(x)
        assert_same_parameters(ours, theirs, 1e-6)


def test_a_refused_fit_leaves_the_number_of_features() -> None:
    model = BayesianGaussianMixture(n_components=3).fit(X)
    with pytest.raises(ValueError, match="zero|sums to 0"):
        model.fit(np.c_[X, X], sample_weight=np.zeros(len(X)))
    assert model.predict(X).shape == (len(X),)


def test_the_summary_is_refused_for_several_features_in_partial_fit_too() -> None:
    with pytest.raises(InputError, match="one feature"):
        BayesianGaussianMixture(algorithm="summary").partial_fit(X)


def test_rows_held_out_are_of_every_kind() -> None:
    x = np.random.default_rng(0).normal(0, 1, 80_000) + np.arange(80_000) % 8 * 20.0
    model = BayesianGaussianMixture(n_components=8, random_state=0, effort="best").fit(x[:, None])
    assert model.explanation_.held_out_score == pytest.approx(model.score(x[:, None]), abs=0.01)


def awkward() -> dict[str, tuple[np.ndarray, dict[str, object]]]:
    r = np.random.default_rng(0)
    a = r.normal(size=(500, 1))
    return {
        "two constant columns": (np.column_stack([np.ones(100), np.ones(100), a[:100]]), {"n_components": 3}),
        "constant": (np.ones((50, 2)), {"n_components": 3}),
        "collinear": (np.column_stack([a * 100, a * 200]), {"n_components": 4}),
        "one-hot": (np.eye(4)[r.integers(0, 4, 500)], {"n_components": 6}),
        "fewer rows than features": (r.normal(size=(15, 20)), {"n_components": 3}),
        "huge": (r.normal(size=(200, 2)) * 1e100, {"n_components": 4}),
        "tiny": (r.normal(size=(200, 2)) * 1e-100, {"n_components": 4}),
        "two points": (np.repeat(r.normal(size=(2, 2)), 20, axis=0), {"n_components": 2}),
        "an outlier": (np.vstack([r.normal(size=(200, 2)), [[1e8, 0.0]]]), {"n_components": 4}),
    }


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag"])
@pytest.mark.parametrize("name", awkward())
@pytest.mark.covering(1)
def test_a_search_never_fails_where_a_fit_does_not(name: str, covariance_type: str) -> None:
    x, settings = awkward()[name]
    settings |= {"covariance_type": covariance_type, "random_state": 0}
    research = BayesianGaussianMixture(**settings).fit(x)
    best = BayesianGaussianMixture(**settings, effort="best").fit(x)
    assert best.lower_bound_ >= research.lower_bound_
    assert np.all(np.isfinite(best.predict_proba(x)))


def test_a_search_is_not_below_what_was_asked_for() -> None:
    r = np.random.default_rng(66)
    r.choice([1, 2, 3, 4]), r.choice([200, 800, 1500])
    x = r.standard_t(1.5, (1500, 4))
    settings = {
        "n_components": 5, "random_state": 0, "init_params": "random_from_data",
        "weight_concentration_prior": 1e-3, "max_iter": 300, "n_init": 5,
    }  # fmt: skip
    research = BayesianGaussianMixture(**settings).fit(x)
    assert BayesianGaussianMixture(**settings, effort="best").fit(x).lower_bound_ >= research.lower_bound_


def test_a_search_goes_to_the_end_of_every_start_that_is_asked_for() -> None:
    """Whatever the iterations and the tolerance of plain fits."""
    settings = {"n_components": 3, "random_state": 0, "effort": "best", "n_init": 2}
    usual, short = (BayesianGaussianMixture(**settings, **own).fit(X[:, :1]) for own in ({}, {"max_iter": 1}))
    assert short.lower_bounds_ == usual.lower_bounds_
    np.testing.assert_array_equal(short.means_, usual.means_)
    one = BayesianGaussianMixture(**settings | {"n_init": 1}).fit(X[:, :1])
    assert usual.explanation_.starts == one.explanation_.starts + 1


@pytest.mark.parametrize("init_params", ["kmeans", "k-means++", "random", "random_from_data"])
@pytest.mark.parametrize("features", [1, 2])
def test_the_bound_of_a_search_is_that_of_its_mixture(features: int, init_params: str) -> None:
    """Not that of a start, whose sums may be those of a few rows."""
    model = BayesianGaussianMixture(n_components=3, random_state=0, init_params=init_params, effort="best")
    best = model.fit(X[:, :features]).lower_bound_
    model.set_params(effort="research", warm_start=True, max_iter=1).fit(X[:, :features])
    assert model.lower_bound_ == pytest.approx(best, abs=1e-6 * len(X))


def test_weights_that_decay_are_searched() -> None:
    x = np.sort(np.random.default_rng(0).normal(size=(300, 1)), axis=0)
    settings = {"n_components": 5, "random_state": 0}
    weight = np.exp(-np.arange(300) / 5)
    best = BayesianGaussianMixture(**settings, effort="best").fit(x, sample_weight=weight)
    assert best.lower_bound_ >= BayesianGaussianMixture(**settings).fit(x, sample_weight=weight).lower_bound_


def test_partial_fit_of_one_feature_searches_too() -> None:
    x = X[:, :1]
    settings = {"n_components": 5, "random_state": 0}
    research, best = (
        BayesianGaussianMixture(**settings, effort=effort).partial_fit(x[:600]).partial_fit(x[600:])
        for effort in ("research", "best")
    )
    whole = BayesianGaussianMixture(**settings, effort="best").fit(x)
    assert best.lower_bound_ >= research.lower_bound_
    assert best.lower_bound_ == pytest.approx(whole.lower_bound_, abs=1e-6 * len(x))
    assert best.explanation_.modes == whole.explanation_.modes


def test_a_search_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    for features in (1, 2):
        BayesianGaussianMixture(n_components=2, random_state=0, effort="best", verbose=1).fit(X[:, :features])
        assert "Search from" in capsys.readouterr().out


@pytest.mark.parametrize("algorithm", ["exact", "summary"])
@pytest.mark.parametrize("rows", [5, 1000])
def test_a_start_is_no_fit(rows: int, algorithm: str) -> None:
    """Where `reg_covar` is as large as variances, the bound of raw starts may be above that of every fit."""
    x, settings = np.full((rows, 1), 2.5), {"n_components": 3, "random_state": 0, "algorithm": algorithm}
    research = BayesianGaussianMixture(**settings, max_iter=1000, tol=1e-10).fit(x)
    best = BayesianGaussianMixture(**settings, effort="best").fit(x)
    assert research.lower_bound_ - 1e-9 <= best.lower_bound_ <= research.lower_bound_ + 0.1


def test_a_search_that_bounds_fall_in_comes_to_an_end() -> None:
    settings = {"n_components": 3, "covariance_type": "diag", "random_state": 0}
    mixture = BayesianGaussianMixture(
        **settings, weight_concentration_prior_type="dirichlet_distribution", effort="best"
    )
    model = mixture.fit(np.zeros((30_000, 2)))
    assert np.isfinite(model.lower_bound_) and np.all(np.abs(model.means_) < 1e-9)

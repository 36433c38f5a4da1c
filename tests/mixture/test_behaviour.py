"""What must hold of every fit, whatever another implementation says."""

from __future__ import annotations

import logging
import re

import numpy as np
import pytest
import sklearn.mixture
from sklearn.exceptions import ConvergenceWarning

from gpuvgm import BayesianGaussianMixture
from gpuvgm.engines import native_is_built
from gpuvgm.execution import LocalExecutor
from gpuvgm.mixture import summary_fit
from tests.mixture.cases import COVARIANCE_TYPES, PRIOR_TYPES, rows_of, skewed
from tests.mixture.closeness import (
    assert_array_close,
    assert_identical,
    assert_same_bounds,
    assert_same_parameters,
    counts as counts_of,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

ALGORITHMS = [("exact", 1), ("exact", 3), ("summary", 1)]


def mixture(**settings: object) -> BayesianGaussianMixture:
    return BayesianGaussianMixture(**{"n_components": 5, "random_state": 0, "max_iter": 30, **settings})


@pytest.mark.parametrize("algorithm, features", ALGORITHMS)
@pytest.mark.parametrize("prior_type", PRIOR_TYPES)
@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_the_bound_never_falls(covariance_type: str, prior_type: str, algorithm: str, features: int) -> None:
    model = mixture(
        covariance_type=covariance_type,
        weight_concentration_prior_type=prior_type,
        algorithm=algorithm,
        tol=0.0,
        max_iter=80,
        reg_covar=0.0,
    ).fit(rows_of(features))
    bounds = np.ravel(model.lower_bounds_)
    assert np.all(np.diff(bounds) >= -1e-12 * np.abs(bounds[1:]))


@pytest.mark.parametrize("algorithm, features", ALGORITHMS)
@pytest.mark.parametrize("n_init", [1, 3])
def test_one_bound_per_iteration(algorithm: str, features: int, n_init: int) -> None:
    model = mixture(algorithm=algorithm, n_init=n_init, tol=1e-2).fit(rows_of(features))
    assert len(model.lower_bounds_) == model.n_iter_
    assert model.lower_bounds_[-1] == model.lower_bound_


@pytest.mark.parametrize("n_init", [1, 4])
def test_the_best_start_is_kept(n_init: int) -> None:
    x = rows_of(2)
    random_state = np.random.RandomState(3)
    single = [
        BayesianGaussianMixture(n_components=6, init_params="random", max_iter=8, random_state=random_state).fit(x)
        for _ in range(n_init)
    ]
    several = BayesianGaussianMixture(n_components=6, init_params="random", max_iter=8, random_state=3, n_init=n_init)
    assert several.fit(x).lower_bound_ == pytest.approx(max(one.lower_bound_ for one in single), rel=1e-12)


@pytest.mark.parametrize("features", [1, 3])
@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_translation(covariance_type: str, features: int, x: np.ndarray) -> None:
    offset = 100.0 * np.arange(1, features + 1)
    still = mixture(covariance_type=covariance_type).fit(x)
    moved = mixture(covariance_type=covariance_type).fit(x + offset)
    assert_same_parameters(moved, still, 1e-8, offset=offset)
    assert_same_bounds(moved, still, 1e-9)
    np.testing.assert_allclose(moved.predict_proba(x + offset), still.predict_proba(x), atol=1e-8)


@pytest.mark.parametrize("factor", [2.0**-40, 1e-3, 1e6])
@pytest.mark.parametrize("features", [1, 3])
@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_scaling(covariance_type: str, factor: float, x: np.ndarray) -> None:
    plain = mixture(covariance_type=covariance_type, reg_covar=1e-6).fit(x)
    scaled = mixture(covariance_type=covariance_type, reg_covar=1e-6 * factor**2).fit(x * factor)
    scaled.means_ = scaled.means_ / factor
    scaled.covariances_ = scaled.covariances_ / factor**2
    scaled.precisions_ = scaled.precisions_ * factor**2
    scaled.precisions_cholesky_ = scaled.precisions_cholesky_ * factor
    assert_same_parameters(scaled, plain, 1e-8)


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag"])
def test_scaling_each_feature(covariance_type: str) -> None:
    x, factor = rows_of(3), np.array([1e-3, 1.0, 1e4])
    settings = {"covariance_type": covariance_type, "init_params": "random", "reg_covar": 0.0}
    plain = mixture(**settings).fit(x)
    scaled = mixture(**settings).fit(x * factor)
    np.testing.assert_allclose(scaled.means_ / factor, plain.means_, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(scaled.weights_, plain.weights_, rtol=1e-8)
    np.testing.assert_allclose(scaled.predict_proba(x * factor), plain.predict_proba(x), atol=1e-8)


@pytest.mark.parametrize("features", [1, 4])
@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_covariances_times_precisions(covariance_type: str, features: int) -> None:
    model = mixture(covariance_type=covariance_type).fit(rows_of(features))
    if covariance_type in ("full", "tied"):
        product, expected = model.covariances_ @ model.precisions_, np.eye(features)
        factor = model.precisions_cholesky_
        np.testing.assert_allclose(factor @ np.swapaxes(factor, -1, -2), model.precisions_, rtol=1e-9, atol=1e-12)
    else:
        product, expected = model.covariances_ * model.precisions_, 1.0
        np.testing.assert_allclose(model.precisions_cholesky_**2, model.precisions_, rtol=1e-12)
    np.testing.assert_allclose(product, np.broadcast_to(expected, product.shape), atol=1e-9)


@pytest.mark.parametrize("algorithm, features", ALGORITHMS)
@pytest.mark.parametrize("prior_type", PRIOR_TYPES)
@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_outputs_agree_with_each_other(covariance_type: str, prior_type: str, algorithm: str, x: np.ndarray) -> None:
    settings = {
        "covariance_type": covariance_type,
        "weight_concentration_prior_type": prior_type,
        "algorithm": algorithm,
    }
    model = mixture(**settings)
    labels = model.fit_predict(x)
    probabilities = model.predict_proba(x)
    np.testing.assert_array_equal(labels, model.predict(x))
    np.testing.assert_array_equal(labels, np.argmax(probabilities, axis=1))
    np.testing.assert_allclose(np.sum(probabilities, axis=1), 1.0, rtol=1e-12)
    assert model.score(x) == pytest.approx(np.mean(model.score_samples(x)), rel=1e-12)
    assert np.sum(model.weights_) == pytest.approx(1.0, abs=1e-12)
    assert np.sum(counts_of(model)) == pytest.approx(len(x), rel=1e-9)
    assert_identical(mixture(**settings).fit(x), model)


@pytest.mark.parametrize("algorithm, features", ALGORITHMS)
@pytest.mark.parametrize("prior_type", PRIOR_TYPES)
@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_warm_start_continues(covariance_type: str, prior_type: str, algorithm: str, x: np.ndarray) -> None:
    settings = {
        "covariance_type": covariance_type,
        "weight_concentration_prior_type": prior_type,
        "algorithm": algorithm,
        "tol": 0.0,
    }
    once = mixture(max_iter=20, **settings).fit(x)
    twice = mixture(max_iter=10, warm_start=True, **settings).fit(x)
    assert_same_bounds(twice, mixture(max_iter=10, **settings).fit(x), 1e-12)
    twice.fit(x)
    assert twice.n_iter_ == 10
    np.testing.assert_allclose(twice.lower_bounds_, once.lower_bounds_[10:], rtol=1e-10)
    assert_same_parameters(twice, once, 1e-9)


def test_warm_start_of_other_rows_is_scikit_learns() -> None:
    x, other = rows_of(2), rows_of(2, 300, seed=8)
    settings = {"n_components": 3, "max_iter": 7, "warm_start": True, "n_init": 2, "random_state": 1}
    ours = BayesianGaussianMixture(algorithm="exact", **settings)
    theirs = sklearn.mixture.BayesianGaussianMixture(**settings)
    for rows in (x, other, other):
        ours.fit(rows)
        theirs.fit(rows)
        assert_same_parameters(ours, theirs)
        assert_same_bounds(ours, theirs)
        assert ours.n_iter_ == theirs.n_iter_


@pytest.mark.parametrize("features", [1, 2])
@pytest.mark.parametrize("max_iter", [0, 7, 100])
@pytest.mark.parametrize("verbose", [0, 1, 2, 5])
def test_verbose_prints_what_scikit_learn_prints(
    verbose: int, max_iter: int, features: int, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = []
    for make in (BayesianGaussianMixture, sklearn.mixture.BayesianGaussianMixture):
        settings = {"n_components": 2, "n_init": 2, "random_state": 0, "max_iter": max_iter, "tol": 1e-2}
        make(verbose=verbose, verbose_interval=3, **settings).fit(rows_of(features))
        printed.append(re.sub(r"time lapse \d+\.\d{5}s", "time lapse", capsys.readouterr().out))
    assert printed[0] == printed[1]
    assert bool(printed[0]) == bool(verbose)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("algorithm, features", ALGORITHMS)
def test_a_fit_that_did_not_converge_warns(algorithm: str, x: np.ndarray) -> None:
    with pytest.warns(ConvergenceWarning) as expected:
        sklearn.mixture.BayesianGaussianMixture(n_components=3, max_iter=2, tol=0.0, random_state=0).fit(x)
    with pytest.warns(ConvergenceWarning) as found:
        model = mixture(algorithm=algorithm, n_components=3, max_iter=2, tol=0.0).fit(x)
    assert [str(warning.message) for warning in found] == [str(warning.message) for warning in expected]
    assert model.converged_ is False
    assert not mixture(algorithm=algorithm, max_iter=0).fit(x).converged_
    assert mixture(algorithm=algorithm, tol=1e9, max_iter=3).fit(x).converged_


@pytest.mark.parametrize("features", [1, 3])
def test_automatic_is_exact_for_few_rows(x: np.ndarray) -> None:
    automatic, exact = mixture().fit(x), mixture(algorithm="exact").fit(x)
    assert_identical(automatic, exact)
    assert automatic.fit_error_ == exact.fit_error_ == 0.0


def test_automatic_is_the_summary_for_many_rows_of_one_feature() -> None:
    x = skewed(np.random.default_rng(1), 250_000, 1)
    settings = {"init_params": np.quantile(x, [0.1, 0.3, 0.5, 0.8, 0.95])[:, None], "max_iter": 20, "tol": 0.0}
    automatic, summary, exact = (mixture(algorithm=name, **settings).fit(x) for name in ("auto", "summary", "exact"))
    assert_identical(automatic, summary)
    assert 0.0 <= summary.fit_error_ <= 1e-8
    assert_same_parameters(summary, exact, 1e-8)
    assert_same_bounds(summary, exact, 1e-10)


@pytest.mark.parametrize("init", ["kmeans", "random_from_data", "random"])
def test_the_rows_take_over_where_the_summary_misses_its_promise(
    init: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    x = skewed(np.random.default_rng(1), 5_000, 1)
    settings = {"algorithm": "summary", "n_components": 3, "init_params": init, "tol": 0.0}
    with caplog.at_level(logging.INFO, "gpuvgm"):
        summary = mixture(**settings).fit(x)
        assert "fitted on a summary of the rows, within" in caplog.text
        caplog.clear()
        monkeypatch.setattr(summary_fit, "LARGEST_FIT_ERROR", -1.0)
        rows = mixture(**settings).fit(x)
    assert "another scan with a finer grid" in caplog.text
    assert "exact EM: a fit on the summary may be" in caplog.text
    assert rows.fit_error_ == 0.0
    assert_same_parameters(rows, summary, 1e-8)


def test_the_rows_take_over_after_a_search_too(monkeypatch: pytest.MonkeyPatch) -> None:
    x = skewed(np.random.default_rng(1), 5_000, 1)
    settings = {"algorithm": "summary", "effort": "best"}
    summary = mixture(**settings).fit(x)
    monkeypatch.setattr(summary_fit, "LARGEST_FIT_ERROR", -1.0)
    rows = mixture(**settings).fit(x)
    assert rows.fit_error_ == 0.0
    assert rows.lower_bound_ >= summary.lower_bound_ - 1e-7 * abs(summary.lower_bound_)


@pytest.mark.parametrize("features", [1, 2])
def test_the_best_effort_is_not_worse(features: int) -> None:
    x = skewed(np.random.default_rng(2), 3_000, features)
    research = mixture(n_components=6, max_iter=100).fit(x)
    best = mixture(n_components=6, effort="best").fit(x)
    assert best.lower_bound_ >= research.lower_bound_ - 1e-9 * abs(research.lower_bound_)
    assert best.converged_


@pytest.mark.parametrize("algorithm, features", ALGORITHMS)
def test_threads_change_nothing(algorithm: str, features: int) -> None:
    rows = 1_200_000 if features == 1 else 150_000
    x = rows_of(features, rows)
    fits = [
        mixture(
            algorithm=algorithm, init_params=x[:5].copy(), max_iter=2, tol=0.0, executor=LocalExecutor(threads)
        ).fit(x)
        for threads in (1, 2, 3)
    ]
    for model in fits[1:]:
        assert_identical(model, fits[0])
        np.testing.assert_array_equal(model.lower_bounds_, fits[0].lower_bounds_)
        np.testing.assert_array_equal(model.predict_proba(x[-9_000:]), fits[0].predict_proba(x[-9_000:]))


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_threads_change_nothing_for_any_covariance(covariance_type: str) -> None:
    x = rows_of(3, 40_000)
    settings = {"covariance_type": covariance_type, "init_params": x[:5].copy(), "max_iter": 3}
    fits = [mixture(executor=LocalExecutor(threads), **settings).fit(x) for threads in (1, 2, 3)]
    for model in fits[1:]:
        assert_identical(model, fits[0])
        np.testing.assert_array_equal(model.score_samples(x), fits[0].score_samples(x))


@pytest.mark.skipif(not native_is_built(), reason="the native engine is not built")
@pytest.mark.parametrize("algorithm, features", ALGORITHMS)
@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_engines_agree(covariance_type: str, algorithm: str, features: int) -> None:
    x = rows_of(features, 3_000)
    settings = {"covariance_type": covariance_type, "algorithm": algorithm, "max_iter": 20}
    reference, native = (mixture(engine=engine, **settings).fit(x) for engine in ("reference", "native"))
    assert_same_parameters(native, reference, 1e-9)
    assert_same_bounds(native, reference, 1e-9)
    np.testing.assert_allclose(native.score_samples(x), reference.score_samples(x), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("algorithm, features", ALGORITHMS)
def test_memory_mapped_rows(algorithm: str, features: int, tmp_path) -> None:
    x = rows_of(features, 5_000)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert_identical(mixture(algorithm=algorithm).fit(mapped), mixture(algorithm=algorithm).fit(x))


@pytest.mark.parametrize("algorithm, features", ALGORITHMS)
def test_the_tolerance_per_row(algorithm: str, x: np.ndarray) -> None:
    settings = {"algorithm": algorithm, "max_iter": 500}
    per_row = mixture(tol_per_row=1e-5, tol=1e9, **settings).fit(x)
    assert_identical(per_row, mixture(tol=1e-5 * len(x), **settings).fit(x))
    assert per_row.converged_
    assert per_row.n_iter_ > 2


@pytest.mark.parametrize("algorithm, features", ALGORITHMS)
def test_given_centres_do_not_depend_on_the_order_of_rows(algorithm: str, features: int) -> None:
    x = rows_of(features, 2_000)
    shuffled = x[np.random.default_rng(1).permutation(len(x))]
    one, other = (mixture(algorithm=algorithm, init_params=x[:5].tolist()).fit(rows) for rows in (x, shuffled))
    assert_same_parameters(one, other, 1e-10)
    assert_same_bounds(one, other, 1e-10)


@pytest.mark.parametrize("algorithm, features", ALGORITHMS)
def test_rows_start_at_the_nearest_centre(algorithm: str, features: int, x: np.ndarray) -> None:
    centres = rows_of(features, 5, seed=9)
    nearest = np.argmin(np.sum((x[:, None] - centres) ** 2, axis=2), axis=1)
    model = mixture(algorithm=algorithm, init_params=centres, max_iter=0, random_state=None).fit(x)
    assert_array_close(counts_of(model), np.bincount(nearest, minlength=5), 1e-9, "counts")
    for k in np.unique(nearest):
        held = x[nearest == k]
        expected = (np.mean(x, axis=0) + np.sum(held, axis=0)) / (1 + len(held))
        np.testing.assert_allclose(model.means_[k], expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("features", [1, 2])
def test_centres_of_the_wrong_shape(features: int) -> None:
    for shape in ((4, features), (5, features + 1), (5,), (5, features, 1)):
        with pytest.raises(ValueError, match=re.escape(f"(5, {features})")):
            mixture(init_params=np.zeros(shape)).fit(rows_of(features))
    for wrong in (np.nan, np.inf):
        centres = np.arange(5.0 * features).reshape(5, features)
        centres[2, 0] = wrong
        with pytest.raises(ValueError, match="init_params"):
            mixture(init_params=centres).fit(rows_of(features))

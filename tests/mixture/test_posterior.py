"""Every term of the posterior against its textbook form, and against scikit-learn's private functions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import betaln, digamma, gammaln
from sklearn.mixture import BayesianGaussianMixture

from gpuvgm.engines import Engine
from gpuvgm.mixture.accumulate import hard_start
from gpuvgm.mixture.cell_em import cell_objective, fit_batch
from gpuvgm.mixture.em import Stopping
from gpuvgm.mixture.posterior import Posterior, Prior, StickBreaking
from gpuvgm.mixture.statistics import Statistics
from gpuvgm.summary import Cells

K, ROWS = 4, 500


@pytest.fixture
def rows() -> np.ndarray:
    return np.random.default_rng(3).normal(size=ROWS) * 3 + 7


@pytest.fixture
def responsibilities() -> np.ndarray:
    return np.random.default_rng(4).dirichlet(np.full(K, 0.4), ROWS)


def statistics(x: np.ndarray, r: np.ndarray, reference: np.ndarray) -> Statistics:
    d = x[:, None] - reference
    entropy = -float(np.sum(r * np.log(np.maximum(r, 1e-300))))
    return Statistics(reference, r.sum(0), (r * d).sum(0), (r * d * d).sum(0), entropy)


def prior(x: np.ndarray) -> Prior:
    return Prior(1e-3, float(x.mean()), 1.0, float(x.var(ddof=1)), 1.0, 1e-6)


def scikit_learn(x: np.ndarray, r: np.ndarray) -> BayesianGaussianMixture:
    model = BayesianGaussianMixture(n_components=K, weight_concentration_prior=1e-3)
    model._check_parameters(x[:, None])
    model._initialize(x[:, None], r)
    return model


@pytest.mark.parametrize("reference", [0.0, 7.0, -50.0])
def test_update_equals_scikit_learns(rows: np.ndarray, responsibilities: np.ndarray, reference: float) -> None:
    theirs = scikit_learn(rows, responsibilities)
    ours = prior(rows).update(statistics(rows, responsibilities, np.full(K, reference)))
    np.testing.assert_allclose(ours.concentration.sticks, np.stack(theirs.weight_concentration_), rtol=1e-13)
    np.testing.assert_allclose(ours.means, theirs.means_.ravel(), rtol=1e-12)
    np.testing.assert_allclose(ours.mean_precision, theirs.mean_precision_, rtol=1e-13)
    np.testing.assert_allclose(ours.degrees_of_freedom, theirs.degrees_of_freedom_, rtol=1e-13)
    np.testing.assert_allclose(ours.covariances, theirs.covariances_.ravel(), rtol=1e-10)


def test_log_density_equals_scikit_learns(rows: np.ndarray, responsibilities: np.ndarray) -> None:
    theirs = scikit_learn(rows, responsibilities)
    ours = prior(rows).update(statistics(rows, responsibilities, np.zeros(K)))
    expected = theirs._estimate_weighted_log_prob(rows[:, None])
    found = ours.log_coefficients() - 0.5 * (rows[:, None] - ours.means) ** 2 / ours.covariances
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_lower_bound_equals_scikit_learns(rows: np.ndarray, responsibilities: np.ndarray) -> None:
    theirs = scikit_learn(rows, responsibilities)
    given = statistics(rows, responsibilities, np.zeros(K))
    expected = theirs._compute_lower_bound(np.log(np.maximum(responsibilities, 1e-300)), 0.0)
    assert prior(rows).update(given).lower_bound(given.entropy) == pytest.approx(expected, rel=1e-11)


def test_evidence_tells_priors_of_one_component_apart_as_the_likelihood_of_the_rows_does(rows: np.ndarray) -> None:
    """With one component the posterior is exact: the rows' likelihood is that of a t distribution (Bishop, 2.3.6)."""
    given = statistics(rows, np.ones((ROWS, 1)), np.zeros(1))
    base = replace(prior(rows), mean=2.0, reg_covar=0.0)

    def evidence(strength: float) -> float:
        weaker = replace(base, mean_precision=strength)
        return weaker.evidence(weaker.update(given).lower_bound(given.entropy), 1)

    def exact(strength: float) -> float:
        squares = ROWS * rows.var() + strength * ROWS / (strength + ROWS) * (rows.mean() - 2.0) ** 2
        shape = (base.degrees_of_freedom + ROWS) / 2
        return 0.5 * np.log(strength / (strength + ROWS)) - shape * np.log(base.covariance + squares)

    assert evidence(1.0) - evidence(0.01) == pytest.approx(exact(1.0) - exact(0.01), rel=1e-9)


def posterior() -> Posterior:
    return Posterior(
        concentration=StickBreaking(np.array([[1.5, 3.0, 1.1], [40.0, 7.0, 0.001]])),
        mean_precision=np.array([2.0, 30.0, 1.0]),
        means=np.array([0.0, 1.0, -4.0]),
        degrees_of_freedom=np.array([3.0, 31.0, 1.5]),
        covariances=np.array([0.5, 2.0, 1e-6]),
    )


def test_weights_are_the_mean_of_stick_breaking() -> None:
    a, b = posterior().concentration.sticks
    draws = np.random.default_rng(0).beta(a, b, (400_000, 3))
    rest = np.cumprod(np.hstack([np.ones((400_000, 1)), 1 - draws[:, :-1]]), axis=1)
    expected = (draws * rest).mean(axis=0)
    np.testing.assert_allclose(posterior().weights, expected / expected.sum(), atol=2e-3)
    assert np.sum(posterior().weights) == pytest.approx(1, abs=1e-15)


def test_expected_log_weights_and_precision_by_sampling() -> None:
    p = posterior()
    a, b = p.concentration.sticks
    random = np.random.default_rng(1)
    sticks = random.beta(a[:2], b[:2], (400_000, 2))
    log_weight = np.log(sticks) + np.hstack([np.zeros((400_000, 1)), np.log1p(-sticks[:, :1])])
    nu, scale = p.degrees_of_freedom[:2], 1 / (p.degrees_of_freedom[:2] * p.covariances[:2])
    precision = random.chisquare(nu, (400_000, 2)) * scale
    expected = log_weight + 0.5 * np.log(precision) - 0.5 * np.log(2 * np.pi) - 0.5 / p.mean_precision[:2]
    np.testing.assert_allclose(p.log_coefficients()[:2], expected.mean(axis=0), atol=1e-2)


def test_terms_of_the_bound() -> None:
    p = posterior()
    a, b = p.concentration.sticks
    nu, log_chol = p.degrees_of_freedom, -0.5 * np.log(p.covariances * p.degrees_of_freedom)
    wishart = -(nu * log_chol + nu * 0.5 * np.log(2) + gammaln(0.5 * nu))
    expected = 12.5 - wishart.sum() + betaln(a, b).sum() - 0.5 * np.log(p.mean_precision).sum()
    assert p.lower_bound(12.5) == pytest.approx(expected, rel=1e-12)
    psi = digamma(a) - digamma(a + b)
    assert p.log_coefficients()[0] == pytest.approx(
        psi[0]
        - 0.5 * np.log(2 * np.pi)
        + log_chol[0]
        + 0.5 * (np.log(2) + digamma(0.5 * nu[0]) - 1 / p.mean_precision[0])
    )


def test_an_empty_component_keeps_the_prior() -> None:
    given = Statistics(np.array([0.0, 900.0]), np.array([10.0, 0.0]), np.array([1.0, 0.0]), np.array([9.0, 0.0]), 0.0)
    updated = Prior(1e-3, 0.25, 1.0, 4.0, 1.0, 1e-6).update(given)
    assert updated.means[1] == pytest.approx(0.25, abs=1e-9)
    assert updated.covariances[1] == pytest.approx(4.0, abs=1e-8)


@pytest.fixture
def on_steps() -> tuple[np.ndarray, Prior]:
    """Whole numbers, of which single ones would have components of their own, and a prior that holds these up."""
    x = np.random.default_rng(3).integers(1, 8, 5_000).astype(float)
    return x, replace(prior(x), least_covariance=1 / 12)


def test_components_are_held_up(on_steps: tuple[np.ndarray, Prior]) -> None:
    x, held = on_steps
    each = np.eye(7)[x.astype(int) - 1]
    given = Statistics(np.zeros(7), each.sum(0), each.T @ x, each.T @ x**2, 0.0)
    free, found = replace(held, least_covariance=0.0).update(given), held.update(given)
    assert np.all(free.covariances < 1 / 12) and free.slack == 0
    np.testing.assert_array_equal(found.covariances, np.maximum(free.covariances, 1 / 12))
    np.testing.assert_array_equal(found.means, free.means)


def test_the_bound_of_a_held_component_is_that_of_its_wishart(on_steps: tuple[np.ndarray, Prior]) -> None:
    """With the precision's posterior as it is, not as the rows would have it: the terms of the bound that it is in."""
    x, held = on_steps
    sums = (np.array([np.sum(x**power)]) for power in range(3))
    given = Statistics(np.zeros(1), *sums, 0.0)

    def terms(p: Posterior, scatter: float) -> float:
        """E[log p(x, precision)] - E[log q(precision)] up to what does not depend on the scale of the precision."""
        nu, scale = p.degrees_of_freedom[0], 1 / (p.degrees_of_freedom[0] * p.covariances[0])
        log_precision = digamma(nu / 2) + np.log(2 * scale)
        log_norm = -0.5 * nu * np.log(2 * scale) - gammaln(nu / 2)
        entropy = -log_norm - (nu / 2 - 1) * log_precision + nu / 2
        return 0.5 * (nu - 2) * log_precision - 0.5 * nu * scale * scatter + entropy

    free = replace(held, least_covariance=0.0).update(given)
    scatter = free.covariances[0] * free.degrees_of_freedom[0]
    for least in (2 * free.covariances[0], 50 * free.covariances[0]):
        found = replace(held, least_covariance=float(least)).update(given)
        assert found.lower_bound(0.0) - free.lower_bound(0.0) == pytest.approx(
            terms(found, scatter) - terms(free, scatter), rel=1e-9
        )


def test_the_bound_never_falls_where_components_are_held_up(on_steps: tuple[np.ndarray, Prior]) -> None:
    x, held = on_steps
    ones = np.ones(len(x))
    component = (x.astype(int) + np.random.default_rng(5).integers(0, 2, len(x))) % 10
    start = held.update(hard_start(x, ones, 0 * ones, component, np.linspace(1, 7, 10)))
    cells = Cells(x, ones, 0 * ones, ones.astype(int), ones.astype(int), 0 * ones)
    bounds = fit_batch([(cell_objective(Engine(), cells, held), start)], Stopping(60, 0.0))[0].bounds
    assert np.min(np.diff(bounds)) > -1e-9 * abs(bounds[-1])
    assert bounds[-1] - bounds[0] > 1e-3 * len(x)

"""The search: statistics that can be moved, split and padded; accelerated EM; never below a start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from sklearn.cluster import KMeans

from gpuvgm.config import FitConfig
from gpuvgm.datasets import amount
from gpuvgm.engines import get_engine, native_is_built
from gpuvgm.mixture.accumulate import hard_start, over_cells
from gpuvgm.mixture.cell_em import cell_objective
from gpuvgm.mixture.em import AcceleratedEM, Objective, Stopping, fit_mixture, quasi_newton
from gpuvgm.mixture.posterior import Posterior, Prior
from gpuvgm.mixture.search import (
    SEARCHES,
    Effort,
    SearchResult,
    Starts,
    SummaryConfig,
    _lloyd_start,
    _search_levels,
    cell_starts,
    coarse_cells,
    coarse_to_fine,
    quantile_start,
    search,
    search_cells,
    search_in_python,
)
from gpuvgm.mixture.statistics import _APART as APART, Statistics
from gpuvgm.mixture.summary_fit import _with_blur, blur
from gpuvgm.summary import Cells, Frame, Grid, Masses
from tests.conftest import make_engine, native_names

QUICK = Effort(screening=10, trial=4, rough_iter=40, max_iter=200, rounds=1)
COMPONENTS = 6


def cells_of(x: np.ndarray) -> tuple[Cells, Prior]:
    """Cells and scikit-learn's prior of a column."""
    frame = Frame.around(x)
    y = frame.apply(x)
    grid = Grid.of(frame, Masses.of_sample(y[:: max(1, len(y) // 50_000)]), np.empty(0))
    mean, variance = Cells.of_values(y, np.ones(len(y))).mean_and_variance()
    config = FitConfig(effort="research", weight_concentration_prior=1.0)
    return get_engine("auto").summarise(x, grid).cells(), Prior.of_column(mean, variance, frame, config)


@pytest.fixture(scope="module")
def column() -> tuple[Cells, Prior]:
    draws = np.random.default_rng(0)
    return cells_of(np.concatenate((draws.normal(0, 1, 3000), draws.lognormal(1, 0.7, 4000), np.full(500, 3.0))))


@pytest.fixture(scope="module")
def found(column: tuple[Cells, Prior]) -> SearchResult:
    return searched(column)


def searched(
    column: tuple[Cells, Prior], seed: int = 0, given: tuple[Posterior | Statistics, ...] = ()
) -> SearchResult:
    cells, prior = column
    return search_cells(get_engine("auto"), cells, prior, config_of(seed, QUICK), given)


def config_of(seed: int, effort: Effort, components: int = COMPONENTS) -> SummaryConfig:
    def nothing(*_: float) -> Any:
        raise AssertionError("a search asks for neither")

    return SummaryConfig(components, nothing, partial(np.random.RandomState, seed), nothing, effort)


def ground_of(column: tuple[Cells, Prior]) -> Objective:
    cells, prior = column
    return Objective(over_cells(get_engine("auto"), cells), prior, cells.rows)


def moments(s: Statistics) -> np.ndarray:
    """Mass, first and second moment about 0 of all components together."""
    at_zero = s.about(np.zeros_like(s.reference))
    return np.concatenate([np.sum(sums, axis=0).ravel() for sums in (at_zero.counts, at_zero.first, at_zero.second)])


@st.composite
def statistics(
    draw: Callable[..., float], kinds: tuple[str, ...] = ("one feature", "diagonals", "matrices")
) -> Statistics:
    """Statistics of rows with one feature, or with three, whole or diagonal."""
    rows, kind = np.random.default_rng(draw(st.integers(0, 1000))), draw(st.sampled_from(kinds))
    k = draw(st.integers(1, 5))
    counts, means, factors = rows.uniform(1, 100, k), rows.normal(0, 10, (k, 3)), rows.normal(0, 2, (k, 3, 3))
    d = rows.normal(0, 1, (k, 3))
    second = counts[:, None, None] * (factors @ np.swapaxes(factors, 1, 2) + d[:, :, None] * d[:, None, :])
    if kind == "matrices":
        return Statistics(means - d, counts, counts[:, None] * d, second, 1.0)
    squares, part = np.diagonal(second, axis1=1, axis2=2).copy(), 0 if kind == "one feature" else slice(None)
    return Statistics((means - d)[:, part], counts, (counts[:, None] * d)[:, part], squares[:, part], 1.0)


@given(statistics(), st.integers(0, 4))
def test_splitting_padding_and_reordering_keep_mass_and_moments(s: Statistics, component: int) -> None:
    k = len(s.counts)
    split, padded = s.split(component % k), s.padded(k + 3)
    assert (len(split.counts), len(padded.counts)) == (k + 1, k + 3)
    np.testing.assert_array_equal(padded.counts[k:], 0.0)
    atol = 1e-7 if s.second.ndim == 1 else 1e-6
    for changed in (split, padded, s.take(np.arange(k)[::-1]), s.about(np.full_like(s.reference, 7.0))):
        np.testing.assert_allclose(moments(changed), moments(s), rtol=1e-9, atol=atol)
    np.testing.assert_allclose(moments(s.plus(s.about(s.reference + 1.0))), 2 * moments(s), rtol=1e-9, atol=atol)


@given(statistics())
def test_every_component_is_left_out_once(s: Statistics) -> None:
    every = np.arange(len(s.counts))
    for k, without in enumerate(s.without_each()):
        taken = s.take(np.delete(every, k))
        for name in ("reference", "counts", "first", "second"):
            np.testing.assert_array_equal(getattr(without, name), getattr(taken, name))
        assert without.entropy == s.entropy


@given(statistics())
def test_moving_reaches_the_coordinates_asked_for(s: Statistics) -> None:
    start, k = s.coordinates(), len(s.counts)
    step, tolerance = np.full(len(start), 1e-4), 1e-7
    if s.full:  # the upper triangles of the factors stay 0
        step[4 * k :] *= np.tile(np.tri(3).ravel(), k)
    elif s.second.ndim == 1:
        step, tolerance = 0.01 * np.concatenate((np.sqrt(s.counts), np.full(2 * k, 0.1))), 1e-9
    np.testing.assert_allclose(s.moved(step).coordinates(), start + step, rtol=tolerance, atol=tolerance)


@given(statistics(("one feature", "diagonals")))
def test_a_step_too_far_is_shortened_to_something_that_rows_can_be(s: Statistics) -> None:
    for sign in (1e6, -1e6):
        moved = s.moved(np.full(len(s.coordinates()), sign))
        assert np.all(moved.counts > 0) and np.all(moved.second > 0)


@pytest.mark.parametrize("diagonal", [True, False])
def test_a_component_is_cut_across_its_longest_axis(diagonal: bool) -> None:
    """Longest in units of the features' deviations: the second feature, though the first has wider rows."""
    variances = np.array([[100.0, 1.0], [100.0, 4.0]])
    means, counts = np.array([[-1000.0, 0.0], [1000.0, 0.0]]), np.array([50.0, 50.0])
    second = counts[:, None] * variances
    second = second if diagonal else second[:, :, None] * np.eye(2)
    split = Statistics(means, counts, np.zeros((2, 2)), second, 0.0).split(0)
    np.testing.assert_array_equal(split.counts, [25.0, 50.0, 25.0])
    np.testing.assert_allclose(split.reference[[0, 2], 0], -1000.0)
    np.testing.assert_allclose(np.sort(split.reference[[0, 2], 1]), [-APART, APART])
    np.testing.assert_array_equal(split.reference[1], means[1])
    np.testing.assert_array_equal(split.first, 0.0)


def test_quasi_newton_finds_the_top_of_a_parabola() -> None:
    curvature = np.array([1.0, 0.3, 0.05])
    steps = np.eye(3)
    np.testing.assert_allclose(quasi_newton(curvature * 2.0, steps, curvature * steps), np.full(3, 2.0))


def test_acceleration_ends_at_a_fixed_point_of_plain_em(column: tuple[Cells, Prior]) -> None:
    cells, prior = column
    start = cell_starts(cells, COMPONENTS, np.random.RandomState(1), Effort())[0]
    ascent = AcceleratedEM(ground_of(column), start).run(400, 1e-12)
    assert ascent.converged
    plain = fit_mixture(ground_of(column), ascent.best.posterior, Stopping(200, 0.0))
    assert plain.bounds[-1] - ascent.best.bound < 1e-8 * cells.rows
    np.testing.assert_allclose(plain.posterior.means, ascent.best.posterior.means, rtol=1e-3, atol=1e-3)


def test_acceleration_is_not_below_plain_em_with_ten_times_the_iterations(column: tuple[Cells, Prior]) -> None:
    cells, prior = column
    start = cell_starts(cells, COMPONENTS, np.random.RandomState(2), Effort())[0]
    plain = fit_mixture(ground_of(column), prior.update(start), Stopping(1500, 0.0))
    assert AcceleratedEM(ground_of(column), start).run(150, 0.0).best.bound > plain.bounds[-1] - 1e-6 * cells.rows


def test_bounds_never_fall(found: SearchResult) -> None:
    assert np.all(np.diff(found.fit.bounds) >= 0)
    assert found.fit.converged


def test_result_is_above_every_start(column: tuple[Cells, Prior], found: SearchResult) -> None:
    cells, prior = column
    for start in cell_starts(cells, COMPONENTS, np.random.RandomState(5), Effort()):
        if len(start.counts) == COMPONENTS:
            fit = fit_mixture(ground_of(column), prior.update(start), Stopping(300, 0.0))
            assert found.fit.bounds[-1] > fit.bounds[-1] - 1e-7 * cells.rows


def test_result_is_never_below_what_is_given(column: tuple[Cells, Prior], found: SearchResult) -> None:
    again = searched(column, 3, (found.fit.posterior, found.statistics))
    assert again.fit.bounds[-1] >= found.fit.bounds[-1]


def test_result_is_not_below_the_end_of_a_start_that_is_given(column: tuple[Cells, Prior]) -> None:
    cells, _ = column
    for seed in range(3):
        start = cell_starts(cells, COMPONENTS, np.random.RandomState(seed), Effort())[0]
        end = AcceleratedEM(ground_of(column), start).run(QUICK.max_iter, QUICK.tolerance)
        assert searched(column, given=(start,)).fit.bounds[-1] >= end.bound


def test_the_same_seed_gives_the_same_bits(column: tuple[Cells, Prior], found: SearchResult) -> None:
    again = searched(column)
    assert again.fit.bounds == found.fit.bounds
    np.testing.assert_array_equal(again.fit.posterior.means, found.fit.posterior.means)


def test_components_are_in_descending_order(found: SearchResult) -> None:
    counts = found.fit.posterior.counts
    assert np.all(np.diff(counts) <= 0.01 * np.max(counts))


def test_one_mode_fewer_costs_something(found: SearchResult) -> None:
    assert found.modes > 1
    assert found.loss_with_fewer is not None and found.loss_with_fewer >= 0


def test_a_constant_has_one_mode_and_none_fewer() -> None:
    result = searched(cells_of(np.full(1000, 5.0)))
    assert result.modes == 1
    assert result.bound_with_fewer is None


def test_two_values_and_fewer_values_than_components() -> None:
    assert searched(cells_of(np.repeat([0.0, 100.0, 101.0], 500))).modes >= 2


def test_coarse_cells_keep_the_mass() -> None:
    cells, _ = cells_of(amount(0, 50_000))
    coarse = coarse_cells(cells, 1000)
    assert 250 < len(coarse.mean) <= 1000 < len(cells.mean)
    assert coarse_cells(cells, len(cells.mean)) is cells
    assert coarse.rows == cells.rows
    assert np.sum(coarse.weight * coarse.mean) == pytest.approx(np.sum(cells.weight * cells.mean), rel=1e-12)


def test_blur_is_left_out_only_where_it_is_the_smaller_error(column: tuple[Cells, Prior], found: SearchResult) -> None:
    cells, posterior = column[0], found.fit.posterior
    least = blur(cells, posterior)
    assert least > 0
    for error in (0.0, 0.5 * least, least, 2 * least, 1.0, np.inf):
        assert _with_blur(error, cells, posterior) == max(error, least)


@pytest.mark.parametrize(("shape", "is_searched"), [("normal", False), ("needles far apart", True)])
def test_a_search_under_another_prior_ends_where_its_start_promises_nothing(shape: str, *, is_searched: bool) -> None:
    """It gives what it was to start from, and else something of a higher evidence."""
    draws = np.random.default_rng(3)
    needles = [draws.normal(centre, 0.01, 500) for centre in (0.0, 1.0, 40.0, 41.0)]
    cells, prior = cells_of(draws.normal(5.0, 2.0, 2000) if shape == "normal" else np.concatenate(needles))
    other, engine = replace(prior, mean_precision=0.01), get_engine("auto")
    first, levels = searched((cells, prior)), coarse_to_fine(cells)
    objectives = [cell_objective(engine, level, other, sound=True) for level in levels]
    second = _search_levels(objectives, levels[0], config_of(0, QUICK), (), first)
    assert (second is not first) == is_searched == (second.evidence > first.evidence)


def test_k_means_from_quantiles_is_a_fixed_point_of_k_means(column: tuple[Cells, Prior]) -> None:
    cells, _ = column
    start = _lloyd_start(cells, 4)
    means = start.reference + start.first / start.counts
    nearest = np.argmin(np.abs(cells.mean[:, None] - means), axis=1)
    assert np.sum(start.counts) == cells.rows
    for k in range(4):
        near = nearest == k
        assert np.average(cells.mean[near], weights=cells.weight[near]) == pytest.approx(means[k], abs=0.05)


def test_k_means_from_quantiles_of_fewer_values_than_components() -> None:
    cells, _ = cells_of(np.repeat([0.0, 100.0, 101.0], 500))
    start = _lloyd_start(cells, 6)
    np.testing.assert_array_equal(start.counts, [500, 500, 500])
    np.testing.assert_allclose(start.second, 0.0, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param("amount", marks=pytest.mark.exhaustive), "lognormal"])
def test_search_is_not_below_ten_long_fits_of_every_row(name: str) -> None:
    x = amount(0, 8_000) if name == "amount" else np.random.default_rng(1).lognormal(0, 1, 8_000)
    cells, prior = cells_of(x)
    frame, random = Frame.around(x), np.random.RandomState(0)
    y = frame.apply(x)
    one, none = np.ones(len(y)), np.zeros(len(y))
    rows = Objective(over_cells(get_engine("auto"), Cells.of_values(y, one)), prior, len(y))
    bounds = []
    for _ in range(10):
        run = KMeans(n_clusters=10, n_init=1, random_state=random).fit(y.reshape(-1, 1))
        start = hard_start(y, one, none, run.labels_.astype(np.int64), run.cluster_centers_.ravel())
        bounds.append(fit_mixture(rows, prior.update(start), Stopping(800, 0.0)).bounds[-1])
    found = search_cells(get_engine("auto"), cells, prior, config_of(0, Effort(), 10))
    statistics = rows.accumulate(found.fit.posterior)
    assert prior.update(statistics).lower_bound(statistics.entropy) >= max(bounds) - 1e-6 * len(x)


def everything_of(result: SearchResult) -> list[Any]:
    """All that a search finds, its numbers by their bits."""
    sums, posterior = result.statistics, result.fit.posterior
    arrays = [sums.reference, sums.counts, sums.first, sums.second, *posterior.arrays(), np.array(posterior.slack)]
    numbers = [result.fit.bounds, result.fit.converged, sums.entropy, result.modes, result.bound_with_fewer]
    return [*(array.tobytes() for array in arrays), *numbers, result.starts, result.rows, result.prior]


@pytest.mark.parametrize("candidate", native_names())
@pytest.mark.parametrize("concentration", ["dirichlet_process", "dirichlet_distribution"])
def test_the_engines_own_search_has_the_bits_of_that_in_python(
    candidate: str, concentration: Any, column: tuple[Cells, Prior]
) -> None:
    cells, prior = column[0], replace(column[1], concentration_type=concentration)
    levels = coarse_to_fine(cells)
    assert len(levels) == 2
    objectives = [cell_objective(make_engine(candidate), level, prior, sound=True) for level in levels]
    coarse = cell_starts(levels[0], 3, np.random.RandomState(0), replace(QUICK, starts=1, rich_starts=0))
    full, sparse = [quantile_start(cells, 3)], [quantile_start(levels[0], 1).padded(3)]
    rich = [start.padded(5) for start in coarse]
    plain = search(objectives, Starts([*coarse, *rich], full, sparse=sparse), QUICK)
    high = replace(plain, fit=replace(plain.fit, bounds=(plain.fit.bounds[-1] + 1.0,)))
    for starts, rival in (
        (Starts([*coarse, *rich], full, sparse=sparse), None),
        (Starts(coarse, fits=[plain.statistics]), replace(high, fit=replace(high.fit, bounds=(-np.inf,)))),
        (Starts(coarse), high),
    ):
        found = search(objectives, starts, QUICK, 0.005, rival)
        expected = search_in_python(objectives, starts, QUICK, 0.005, rival)
        assert everything_of(found) == everything_of(expected)
        assert (found is rival) == (expected is rival) == (rival is high)


@pytest.mark.skipif(not native_is_built(), reason="the C++ extension was not built")
def test_starts_of_an_engines_own_search_are_checked(column: tuple[Cells, Prior]) -> None:
    loops: Any = get_engine("auto").em(column[0], column[1].table(), sound=True)
    extent = QUICK.numbers
    with pytest.raises(ValueError, match="needs a start"):
        loops.search([], [1.0], [[]] * 4, extent, 0.005, None)
    with pytest.raises(ValueError, match="four sorts of starts"):
        loops.search([], [1.0], [[]] * 3, extent, 0.005, None)
    with pytest.raises(ValueError, match="one value a component"):
        loops.search([], [1.0], [[([np.ones(2), *[np.ones(3)] * 3], 0.0)], [], [], []], extent, 0.005, None)
    with pytest.raises(ValueError, match="nine numbers"):
        loops.search([], [1.0], [[]] * 4, (extent[0][:2], extent[1]), 0.005, None)


@pytest.mark.parametrize(("far_below", "going_on"), [(0.0, 1), (1e9, 3)])
def test_ends_far_below_the_best_of_a_coarser_level_do_not_go_on(
    far_below: float, going_on: int, column: tuple[Cells, Prior], monkeypatch: pytest.MonkeyPatch
) -> None:
    cells, prior = column
    coarse, fine = coarse_to_fine(cells)
    objectives = [Objective(over_cells(get_engine("auto"), level), prior, cells.rows) for level in (coarse, fine)]
    starts = Starts(
        [quantile_start(coarse, 4).padded(4)], [quantile_start(fine, 4)], sparse=[quantile_start(coarse, 1).padded(4)]
    )
    begun, ascents = [], Objective.ascents
    monkeypatch.setattr(Objective, "ascents", lambda self, sums: begun.append((self, len(sums))) or ascents(self, sums))
    search_in_python(objectives, starts, replace(QUICK, far_below=far_below), 0.005, None)
    assert next(count for objective, count in begun if objective is objectives[1]) == going_on


@pytest.mark.parametrize("candidate", native_names())
def test_the_engines_own_search_knows_how_far_below_is_too_far(candidate: str, column: tuple[Cells, Prior]) -> None:
    """Below 0 nothing goes on but a fit from elsewhere."""
    cells, prior = column
    levels = coarse_to_fine(cells)
    objectives = [cell_objective(make_engine(candidate), level, prior, sound=True) for level in levels]
    starts = Starts([quantile_start(levels[0], 4).padded(4)], fits=[quantile_start(cells, 1).padded(4)])
    usual, alone = (search(objectives, starts, replace(QUICK, far_below=far), 0.005) for far in (1e-3, -1.0))
    assert everything_of(alone) == everything_of(
        search_in_python(objectives, starts, replace(QUICK, far_below=-1.0), 0.005, None)
    )
    assert alone.fit.bounds[-1] < usual.fit.bounds[-1]


def test_searches_of_best_effort_begin_with_one_that_lets_as_many_fits_go_on() -> None:
    lesser = SEARCHES["best"].lesser
    assert (SEARCHES["auto"].far_below, lesser.far_below) == (3e-4, SEARCHES["best"].far_below) == (3e-4, 1e-3)
    assert replace(lesser, far_below=3e-4) == SEARCHES["auto"]

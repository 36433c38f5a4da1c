"""Columns made to mislead the one-pass fit: it keeps its promise, or says that it may not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gpuvgm import TableTransformer
from gpuvgm.config import FitConfig
from gpuvgm.engines import get_engine
from gpuvgm.errors import InputError
from gpuvgm.execution import Sampled
from gpuvgm.execution.sampling import UNKNOWN_SAMPLE_ROWS
from gpuvgm.mixture import Prior, Seeds, StickBreaking
from gpuvgm.mixture.cell_em import cell_objective
from gpuvgm.mixture.em import Stopping, fit_mixture
from gpuvgm.mixture.summary_fit import CHECKED_ITERATIONS, distance
from gpuvgm.summary import OUTER_CELLS, Cells, Frame, Grid, Masses, Summary
from gpuvgm.summary.grid import keys_of
from tests.mixture.every_row import fit_from_centres, over_every_row

HEAD = UNKNOWN_SAMPLE_ROWS
either_effort = pytest.mark.parametrize("effort", ["research", "best"])


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def true_and_estimated(x: np.ndarray, *, once: bool = False, **settings: Any) -> tuple[float, float]:
    """Distance of a fit to EM over every row, and what the fit says of it.

    From the fit's own centres, or with effort="best" of some more iterations from the end of the search, over the
    summary and over the rows.
    """
    source = iter([{"x": part} for part in np.array_split(x, 8)]) if once else {"x": x}
    transformer = TableTransformer({"x": "continuous"}, **settings).fit(source)
    column = transformer.columns_["x"]
    mixture = column.mixture
    assert mixture is not None
    frame, engine = mixture.frame, get_engine("auto")
    rows = np.ascontiguousarray(x[np.isfinite(x)])
    config = FitConfig(**settings)
    if config.effort == "research":
        exact = fit_from_centres(rows, frame, mixture.centres, config)
        return distance(exact, mixture.posterior), column.fit.fit_error
    moments = Cells.of_values(frame.apply(rows), np.ones(len(rows))).mean_and_variance()
    prior = Prior.of_column(*moments, frame, config)
    sticks = StickBreaking.of(config.concentration, mixture.posterior.counts)  # those of the search
    start, cells = replace(mixture.posterior, concentration=sticks), transformer.summaries_["x"].cells()
    stopping = Stopping(CHECKED_ITERATIONS, 0.0)
    exact, ours = (
        fit_mixture(objective, start, stopping).posterior
        for objective in (over_every_row(rows, frame, prior), cell_objective(engine, cells, prior))
    )
    return distance(exact, ours), column.fit.fit_error


def is_honest(true: float, estimated: float) -> bool:
    """Within the promise, or owned up to."""
    return true < 1e-8 or estimated > max(1e-8, true / 3)


@pytest.mark.parametrize("seed", range(20))
def test_labels_of_cells_are_those_of_their_rows_outside_windows_too(seed: int) -> None:
    g = rng(seed)
    sample = np.where(g.random(4000) < 0.6, 0, 1000.25 + g.normal(size=4000) * 10.0 ** g.integers(-5, 1))
    later = g.uniform(999, 1002, 5000)
    frame = Frame.around(sample)
    centres = g.choice(frame.apply(np.concatenate([sample, later])), 10)
    grid = Grid.of(frame, Masses.of_sample(frame.apply(sample)), centres)
    keys = keys_of(frame.apply(np.concatenate([sample, later])))
    cells = grid.split(grid.locate(keys)[0], keys)
    labels = grid.labels(cells, grid.geometry(cells).low)
    np.testing.assert_array_equal(labels, np.searchsorted(grid.midpoints, keys, side="right"))


@either_effort
def test_midpoints_inside_outer_cells_in_a_stream(effort: str) -> None:
    spike = np.where(rng(0).random(HEAD) < 0.6, 0, 1000.25 + rng(1).normal(size=HEAD) * 1e-4)
    x = np.concatenate([spike, rng(2).uniform(1000.01, 1000.49, HEAD)])
    assert is_honest(*true_and_estimated(x, once=True, tol=0.0, effort=effort))


@either_effort
def test_a_continuum_that_the_sample_of_whole_numbers_hides(effort: str) -> None:
    rows = 1 << 20
    runs = Sampled.runs(rows, 0)
    length, start = max((b - (a + 4096), a + 4096) for (a, _), (b, _) in zip(runs[:-1], runs[1:], strict=True))
    x = np.where(rng(5).random(rows) < 0.55, 0, 992.0 + rng(0).integers(0, 32, rows))
    hidden = np.zeros(rows, bool)
    hidden[start : start + length] = True
    hidden &= x > 0
    x[hidden] += rng(1).uniform(0, 0.4, hidden.sum())
    assert is_honest(*true_and_estimated(x, tol=0.0, effort=effort))


@either_effort
def test_added_rows_between_the_whole_numbers_of_the_fit(effort: str) -> None:
    x = 992.0 + rng(0).integers(0, 32, 100_000)
    transformer = TableTransformer({"x": "continuous"}, tol=0.0, effort=effort).fit({"x": x})
    transformer.partial_fit({"x": x + rng(1).uniform(0, 0.4, len(x))})
    assert transformer.columns_["x"].fit.fit_error > 1e-9


def test_added_rows_do_not_hide_that_the_grid_was_made_for_other_centres() -> None:
    x = rng(0).lognormal(size=140_000)  # more than the sample, so that exact EM has centres of its own
    few = TableTransformer(effort="research").fit({"x": x[:1]})
    exact = TableTransformer(effort="research", algorithm="exact", max_iter=2).fit({"x": x})
    for rows in (slice(1, 100), slice(100, 200)):
        assert few.partial_fit({"x": x[rows]}).columns_["x"].fit.fit_error == np.inf
        assert exact.partial_fit({"x": x[rows]}).columns_["x"].fit.fit_error == np.inf


@pytest.mark.parametrize("settings", [{"algorithm": "exact"}, {"algorithm": "exact", "effort": "best"}, {}])
def test_added_rows_are_trusted_where_the_grid_was_made_for_these_centres(settings: dict[str, Any]) -> None:
    x = rng(0).lognormal(size=1000)
    transformer = TableTransformer(**{"effort": "research"} | settings).fit({"x": x[:800]})
    assert transformer.partial_fit({"x": x[800:]}).columns_["x"].fit.fit_error < 1e-8


@either_effort
def test_a_stream_that_begins_without_values_is_owned_up_to(effort: str, caplog: pytest.LogCaptureFixture) -> None:
    x = np.concatenate([np.full(HEAD, np.nan), 1.6e9 + rng(0).normal(size=HEAD)])
    true, estimated = true_and_estimated(x, once=True, effort=effort)
    assert is_honest(true, estimated)
    assert 'column "x"' in caplog.text


@either_effort
def test_the_same_column_from_a_table_is_fitted_well(effort: str) -> None:
    x = np.concatenate([np.full(HEAD, np.nan), 1.6e9 + rng(0).normal(size=HEAD)])
    true, estimated = true_and_estimated(x, effort=effort)
    assert true < 1e-8
    assert estimated < 1e-8


def test_inner_cells_stay_within_their_budget() -> None:
    g = rng(0)
    x = np.where(g.random(131_072) < 0.5, 1.0, 1.0 + 1e-3) * 2.0 ** g.integers(-100, 100, 131_072)
    x *= 1 + 1e-10 * g.normal(size=len(x))
    frame = Frame.around(x)
    grid = Grid.of(frame, Masses.of_sample(frame.apply(x)), np.array([0.0, 1.0]))
    assert grid.inner_cells <= 1 << 20
    summary = Summary.from_array(x[:5000], grid)
    assert summary.ordinary == 5000
    assert OUTER_CELLS + grid.inner_cells < 1 << 32


def test_equal_and_nearly_equal_centres() -> None:
    step = np.spacing(1000.0)
    seeds = Seeds(np.array([-5.0, 1000 + step, 1000 + 2 * step, 1000 + 3 * step, 5000.0, 5000.0]))
    assert list(seeds.nearest(np.array([-6.0, 5000.0, 1e6, 1000.0]))) == [0, 4, 4, 1]


@pytest.mark.parametrize("value", [1e200, 1e-200, 5e-324, 1.7e308, -1.7e308, 0.0, 3.7])
def test_constants_of_any_size(value: float) -> None:
    x = np.full(50, value)
    transformer = TableTransformer({"x": "continuous"}).fit({"x": x})
    assert np.all(np.isfinite(transformer.columns_["x"].means))
    np.testing.assert_array_equal(transformer.inverse_transform(transformer.transform({"x": x}))["x"], x)


@pytest.mark.parametrize("power", [990, -990])
def test_exact_em_starts_well_where_squares_leave_the_range_of_floats(power: int) -> None:
    x = np.concatenate([rng(0).normal(size=400), rng(1).normal(9, 2, 600)])
    settings = {"algorithm": "exact", "effort": "research", "n_components": 4, "standardize": True}
    here, far = (
        TableTransformer({"x": "continuous"}, **settings).fit({"x": values}).columns_["x"]
        for values in (x, np.ldexp(x, power))
    )
    np.testing.assert_allclose(far.weights, here.weights, rtol=1e-9)
    np.testing.assert_allclose(np.ldexp(far.means, -power), here.means, rtol=1e-9)


@pytest.mark.parametrize(("bulk", "outlier"), [(1.0, 1e160), (1e-160, 1.0), (1e-200, 1e300)])
def test_rows_beyond_what_a_fit_can_span_are_refused(bulk: float, outlier: float) -> None:
    x = bulk * rng(0).normal(size=1 << 19)
    taken = np.concatenate([np.arange(a, a + n) for a, n in Sampled.runs(len(x), 0)])
    x[np.setdiff1d(np.arange(len(x)), taken)[5]] = outlier
    with np.errstate(over="ignore"), pytest.raises(InputError, match="clean"):
        TableTransformer().fit({"x": x})


def test_a_cell_may_hold_more_rows_than_a_window() -> None:
    rows = (1 << 22) + 5000
    transformer = TableTransformer({"x": "continuous"}, block_rows=1 << 23, threads=1, effort="research")
    assert transformer.fit({"x": np.full(rows, 5.0)}).columns_["x"].fit.rows == rows

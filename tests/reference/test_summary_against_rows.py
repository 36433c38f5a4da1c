"""The promise of the one-pass fit: the answer that all rows give, to 1e-8, from the same centres."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from gpuvgm import TableTransformer
from gpuvgm.columns import NumberPlan, TableSchema
from gpuvgm.engines import get_engine
from gpuvgm.execution import LocalExecutor, Run, Sampled
from gpuvgm.io import open_source
from gpuvgm.mixture import ColumnFit, Posterior
from gpuvgm.mixture.summary_fit import LARGEST_FIT_ERROR
from gpuvgm.table.fit import FittedColumns, Stopwatch, fit_table
from tests.harness.shapes import each_shape, shape
from tests.mixture.every_row import fit_from_centres

ROWS = 200_000
PROMISE = 1e-8


SETTINGS = TableTransformer(effort="research", algorithm="summary", random_state=0).get_params()
SCHEMA = TableSchema.declare({"x": "continuous"}, pa.schema([("x", pa.float64())]), "x")


def plan_of(x: np.ndarray) -> NumberPlan:
    sample = pa.chunked_array([pa.array(x[:: max(1, len(x) // 131_072)])])
    return SCHEMA.planners(SETTINGS)["x"](sample)


def fit_rows(plan: NumberPlan, x: np.ndarray) -> Posterior:
    """EM over every row, from the centres of the plan."""
    return fit_from_centres(x, plan.grid.frame, plan.starts[0].centres, plan.config)


@each_shape()
def test_within_the_promise(name: str) -> None:
    x = shape(name, ROWS)
    plan = plan_of(x)
    engine = get_engine("auto")
    outcome = ColumnFit(plan, engine.summarise(x, plan.grid)).fit_cells(engine).outcome
    rows, cells = fit_rows(plan, x), outcome.fit.posterior
    held = rows.counts > 0.5
    assert np.max(np.abs(rows.means - cells.means)[held] / np.sqrt(rows.covariances[held])) < PROMISE
    assert np.max(np.abs(cells.covariances / rows.covariances - 1)[held]) < PROMISE
    assert np.max(np.abs(cells.weights / rows.weights - 1)[held]) < PROMISE
    assert outcome.error <= LARGEST_FIT_ERROR, "no refinement should be needed where the sample is representative"


@each_shape(["lognormal", "cents", "t3 returns", "uniform", "spikes", "sorted"])
def test_exact_em_starts_where_the_summary_does(name: str) -> None:
    x = shape(name, 60_000)
    exact, summary = (
        TableTransformer({"x": "continuous"}, effort="research", algorithm=algorithm).fit({"x": x}).columns_["x"]
        for algorithm in ("exact", "summary")
    )
    np.testing.assert_array_equal(exact.active, summary.active)
    assert np.max(np.abs(exact.means - summary.means)[exact.active] / exact.stds[exact.active]) < PROMISE


def test_without_the_second_order_term_the_promise_would_break() -> None:
    x = shape("lognormal", ROWS)
    plan = plan_of(x)
    engine = get_engine("auto")
    cells = engine.summarise(x, plan.grid).cells()
    posterior = fit_rows(plan, x)
    table = posterior.kernel_table()
    k = len(posterior.means)

    def mean_shifts(sums: np.ndarray) -> np.ndarray:
        """First moments as a distance of means in units of sigma."""
        return sums[k : 2 * k] / sums[:k] / np.sqrt(posterior.covariances)

    rows = mean_shifts(engine.e_step(plan.grid.frame.apply(x), None, None, table).sum(axis=0))
    second_order = mean_shifts(engine.e_step(cells.mean, cells.weight, cells.scatter, table).sum(axis=0))
    zeroth_order = mean_shifts(engine.e_step(cells.mean, cells.weight, np.zeros(len(cells.mean)), table).sum(axis=0))
    assert np.max(np.abs(second_order - rows)) < 1e-9
    assert np.max(np.abs(zeroth_order - rows)) > 100 * np.max(np.abs(second_order - rows))
    assert np.max(np.abs(zeroth_order - rows)) > PROMISE


def fit_table_of(blocks: list[np.ndarray], *, repeatable: bool) -> FittedColumns:
    source = {"x": np.concatenate(blocks)} if repeatable else ({"x": block} for block in blocks)
    run = Run(open_source(source), "auto", LocalExecutor(2))
    return fit_table(Sampled.of(run, ["x"], 0), SCHEMA, SETTINGS, Stopwatch())


def drifting() -> list[np.ndarray]:
    """A stream whose first rows hardly hint at where the later ones lie."""
    g = np.random.default_rng(0)
    first = np.where(g.uniform(size=300_000) < 0.005, g.uniform(4900, 5100, 300_000), g.normal(size=300_000))
    return [first, 4990 + 3 * g.normal(size=300_000), 5002 + 3 * g.normal(size=100_000)]


def test_a_misleading_sample_is_noticed_in_a_stream(caplog: pytest.LogCaptureFixture) -> None:
    fitted = fit_table_of(drifting(), repeatable=False)
    column = fitted.columns["x"]
    assert column.fit.fit_error > PROMISE
    assert 'column "x"' in caplog.text
    assert "can be read again" in caplog.text


def test_an_unrepresentative_grid_is_refined(monkeypatch: pytest.MonkeyPatch) -> None:
    from gpuvgm.execution import sampling

    monkeypatch.setattr(sampling, "sample_runs", lambda rows, seed, **_: [(0, 4096)])
    refined = fit_table_of(drifting(), repeatable=True).columns["x"]
    assert refined.fit.refinements in (1, 2) or refined.fit.algorithm == "exact"
    assert refined.fit.fit_error <= PROMISE


def test_exact_takes_over_where_refining_does_not_help(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ColumnFit, "is_good", property(lambda column: column.outcome is None))
    fitted = fit_table_of([shape("lognormal", 30_000)], repeatable=True)
    assert fitted.columns["x"].fit.algorithm == "exact"
    assert "exact EM" in caplog.text
    monkeypatch.undo()
    summary = fit_table_of([shape("lognormal", 30_000)], repeatable=True)
    np.testing.assert_allclose(fitted.columns["x"].means, summary.columns["x"].means, rtol=1e-8)


def test_the_bound_never_falls() -> None:
    x = shape("cents", 50_000)
    plan = plan_of(x)
    engine = get_engine("auto")
    outcome = ColumnFit(plan, engine.summarise(x, plan.grid)).fit_cells(engine).outcome
    bounds = np.array(outcome.fit.bounds)
    assert np.all(np.diff(bounds) >= -1e-12 * np.abs(bounds[:-1]))


def test_rarely_present_column_takes_its_centres_from_all_rows() -> None:
    x = np.full(600_000, np.nan)
    x[::20_001] = np.random.default_rng(0).normal(size=len(x[::20_001]))
    fitted = fit_table_of([x], repeatable=True)
    column = fitted.columns["x"]
    assert column.mixture is not None
    assert len(column.means) == 10
    assert column.fit.missing == int(np.isnan(x).sum())

"""The estimator's fits of one feature, on the engines of the table's columns: over every row, or over a summary."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import numpy as np

from gpuvgm.engines import Engine
from gpuvgm.execution.aggregate import Results
from gpuvgm.mixture.accumulate import CELL_FRAME, over_cells, over_rows, summarise_rows
from gpuvgm.mixture.em import MixtureFit, Stopping, best_of
from gpuvgm.mixture.initialization import (
    CentreStart,
    LabelStart,
    Seeds,
    draw_start,
    quiet_k_means,
    start_statistics,
)
from gpuvgm.mixture.posterior import Posterior, Prior
from gpuvgm.mixture.posterior_nd import coordinates_of, flat_statistics, from_one, one_posterior, one_prior
from gpuvgm.mixture.problem import Estimate, Problem, explained
from gpuvgm.mixture.rows import LEAST_ROWS, SEED_ROWS, Rows, held_out, learnt
from gpuvgm.mixture.search import accelerated
from gpuvgm.mixture.special import LOG_2
from gpuvgm.mixture.statistics import ComponentStatistics
from gpuvgm.mixture.summary_fit import (
    Accumulators,
    ColumnFit,
    ColumnFits,
    Outcome,
    Start,
    SummaryConfig,
    centres_of,
    fit,
)
from gpuvgm.summary.grid import Floats, Frame, Grid, Masses, build_grid

K_MEANS_ROWS = 1 << 15  # rows of the sample that k-means runs on
Checked = Literal["history", "refit", "end"]
_LOG = logging.getLogger("gpuvgm")


def fit_on_rows(problem: Problem) -> Estimate:
    """Fit with every E-step over every row.

    Parameters
    ----------
    problem : Problem
        What to fit; its rows have one feature.
    """
    frame = _frame_around(_numbers(problem.rows.sample(SEED_ROWS)))
    return estimate_of(problem, frame, Outcome(_exact_fit(problem, frame), 0.0, exact=True))


def _exact_fit(problem: Problem, frame: Frame) -> MixtureFit[Posterior]:
    """The best of the problem's starts, by EM over every row."""
    coordinates, prior = coordinates_of(frame), prior_in(problem, frame)

    def begin() -> Posterior:
        if problem.warm is not None:
            return one_posterior(problem.warm.within(coordinates))
        start = draw_start(problem.rows, problem.init, problem.components, problem.random, coordinates, problem.moments)
        sums = start_statistics(problem.rows, start, coordinates, problem.prior.form, problem.moments)
        return prior.update(flat_statistics(sums))

    accumulate = over_rows(problem.engine, problem.rows, frame, problem.pool)
    return best_of([begin] * problem.tries, accumulate, prior, problem.stopping, problem.narrator)[1]


def fit_on_summary(problem: Problem) -> Estimate:
    """Fit on the cells of a summary, refined where the estimated error asks for it; on the rows where that fails.

    Parameters
    ----------
    problem : Problem
        What to fit; its rows have one feature.
    """

    def summarise(grid: Grid) -> Any:
        return summarise_rows(problem.engine, problem.rows, grid, problem.pool)

    column = _fitted(problem, summarise, plan(problem), checked="refit")
    return estimate_of(problem, column.grid.frame, outcome_of(column))


def best_of_one(problem: Problem, *, exact: bool) -> Estimate:
    """Search on the summary of one feature; the last steps on its rows, where that is asked for or needed.

    Parameters
    ----------
    problem : Problem
        What to fit.
    exact : bool
        Whether the fit shall end on the rows.
    """
    divided: list[list[Any]] = []

    def summarise(grid: Grid) -> Any:
        divided.append(
            [summarise_rows(problem.engine, problem.rows, grid, problem.pool, chosen) for chosen in (learnt, held_out)]
        )
        return divided[-1][0].merge(divided[-1][1])

    with quiet_k_means():
        planned = plan(problem)
    column = _fitted(problem, summarise, planned, best=True)
    if exact and not outcome_of(column).exact:
        column = _on_rows(problem, column)
    frame, outcome = column.grid.frame, outcome_of(column)
    score = np.nan
    if problem.rows.count >= LEAST_ROWS:
        score = _score_of_cells(problem.engine, prior_in(problem, frame), outcome.fit.posterior, *divided[-1])
    return explained(problem, estimate_of(problem, frame, outcome), outcome.search, score)


def _fitted(
    problem: Problem,
    summarise: Callable[[Grid], Any],
    planned: tuple[Frame, list[Start], Grid],
    *,
    best: bool = False,
    checked: Checked = "end",
) -> ColumnFit:
    """The fit of the only column."""
    frame, starts, grid = planned

    def each(work: Callable[[ColumnFit], ColumnFit], columns: ColumnFits) -> Results[ColumnFit]:
        return Results({name: work(column) for name, column in columns.items()}, {})

    def scan(grids: Mapping[str, Grid]) -> Results[Any]:
        if not best:
            _LOG.info("another scan with a finer grid")
        return Results({name: summarise(finer) for name, finer in grids.items()}, {})

    accumulators = Accumulators(
        problem.engine, each, scan, partial(each, partial(_on_rows, problem)), narrator=problem.narrator
    )
    column = ColumnFit(grid, summarise(grid), tuple(starts), config_of(problem, frame, best=best, checked=checked))
    return fit(accumulators, {"x": column}).good["x"]


def _on_rows(problem: Problem, column: ColumnFit) -> ColumnFit:
    """The column with its fit on every row: from the end of a search, or again from the start that was chosen."""
    frame, outcome, start = column.grid.frame, outcome_of(column), column.starts[0]
    if column.config.best:
        accumulate = over_rows(problem.engine, problem.rows, frame, problem.pool)
        rows = column.sums.cells().rows
        end = accelerated(accumulate, prior_in(problem, frame), outcome.fit.posterior, rows)
        return replace(column, outcome=replace(outcome, fit=end, error=0.0, exact=True))
    _LOG.info("exact EM: a fit on the summary may be %.1e sigma off", outcome.error)
    if isinstance(start, Seeds):
        again = replace(problem, starts=1, init=frame.invert(start.centres)[:, None])
    else:
        posterior = from_one(start, problem.prior.covariance_type).outside(coordinates_of(frame))
        again = replace(problem, warm=posterior)
    return replace(column, outcome=Outcome(_exact_fit(again, frame), 0.0, exact=True))


def config_of(problem: Problem, frame: Frame, *, best: bool, checked: Checked) -> SummaryConfig:
    """How the column of a problem is fitted; its prior does not depend on the sums."""
    prior = prior_in(problem, frame)

    def stopping(rows: float) -> Stopping:
        return problem.stopping

    return SummaryConfig(
        components=problem.components,
        stopping=stopping,
        random=lambda: problem.random,
        prior=lambda mean, variance: prior,
        best=best,
        continued=best,
        checked=checked,
    )


def prior_in(problem: Problem, frame: Frame) -> Prior:
    """The problem's prior in a frame."""
    return one_prior(problem.prior.within(coordinates_of(frame)))


def outcome_of(column: ColumnFit) -> Outcome:
    """What a fit of the column gave."""
    assert column.outcome is not None
    return column.outcome


def estimate_of(problem: Problem, frame: Frame, outcome: Outcome) -> Estimate:
    """The fit in the rows' own coordinates."""
    posterior = from_one(outcome.fit.posterior, problem.prior.covariance_type).outside(coordinates_of(frame))
    algorithm = "exact" if outcome.exact else "summary"
    return Estimate(posterior, outcome.fit.bounds, outcome.fit.converged, algorithm, outcome.error)


def plan(problem: Problem) -> tuple[Frame, list[Start], Grid]:
    """Frame, starts and grid from a sample of the rows; the grid is split between the centres of the first start."""
    sample = problem.rows.sample(SEED_ROWS)
    numbers = _numbers(sample)
    frame = _frame_around(numbers)
    starts = _draw_starts(problem, sample, frame)
    return frame, starts, build_grid(frame, Masses.of_sample(frame.apply(numbers)), centres_of(starts[0]))


def _draw_starts(problem: Problem, sample: Rows, frame: Frame) -> list[Start]:
    """Starts from a sample of the rows: centres where rows belong to the nearest, else posteriors."""
    coordinates = coordinates_of(frame)
    if problem.warm is not None:
        return [one_posterior(problem.warm.within(coordinates))]
    prior = prior_in(problem, frame)
    share = problem.rows.total / sample.total
    starts: list[Start] = []
    for _ in range(problem.starts):
        chosen = sample.sample(K_MEANS_ROWS) if _is(problem, "kmeans") else sample
        start = draw_start(chosen, problem.init, problem.components, problem.random, coordinates, problem.moments)
        if isinstance(start, (LabelStart, CentreStart)):
            starts.append(Seeds(start.reference[:, 0], np.empty(0, np.int64)))
            continue
        sums = flat_statistics(start_statistics(chosen, start, coordinates, problem.prior.form, problem.moments))
        scaled = ComponentStatistics(sums.reference, sums.counts * share, sums.first * share, sums.second * share, 0.0)
        starts.append(prior.update(scaled if _is(problem, "random") else sums))
    return starts


def _is(problem: Problem, init: str) -> bool:
    return isinstance(problem.init, str) and problem.init == init


def _frame_around(numbers: Floats) -> Frame:
    """Frame with the lower median at 0; units stay, since `reg_covar` and the priors are given in them."""
    middle = (len(numbers) - 1) // 2
    return Frame(1.0, float(np.partition(numbers, middle)[middle]))


def _numbers(rows: Rows) -> Floats:
    return rows.column(slice(0, rows.count))


def _score_of_cells(engine: Engine, prior: Prior, posterior: Posterior, rest: Any, held: Any) -> float:
    """Log density per held-out row under a fit to the others."""
    others, apart = rest.cells(), held.cells()
    if others.rows == 0 or apart.rows == 0:
        return np.nan
    fit = accelerated(over_cells(engine, others), prior, posterior, others.rows)
    table = fit.posterior.kernel_table(CELL_FRAME)
    sums = engine.e_step(apart.mean, apart.weight, apart.scatter, table)
    return float(np.sum(sums[:, -1]) * LOG_2 / apart.rows)

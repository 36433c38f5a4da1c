"""Continuous and mixed columns: from a summary to a column's model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gpuvgm.columns.model import MISSING, FitRecord, MixtureColumn, MixtureModel, falling
from gpuvgm.columns.numeric import NumberPlan, range_of
from gpuvgm.config import LARGEST_FIT_ERROR
from gpuvgm.engines import Engine
from gpuvgm.mixture.accumulate import CELL_FRAME, over_cells
from gpuvgm.mixture.cell_fit import Trail, end_error, start_components, trail_error
from gpuvgm.mixture.em import MixtureFit, Stopping, fit_mixture, hard_start, mean_and_variance, prior_of
from gpuvgm.mixture.posterior import Posterior, Prior
from gpuvgm.mixture.search import search_cells
from gpuvgm.mixture.statistics import ComponentStatistics
from gpuvgm.summary.grid import Floats
from gpuvgm.summary.summary import Cells, Summary


@dataclass(frozen=True, slots=True)
class Outcome:
    """A column's fit and how far it may be from the exact one."""

    fit: MixtureFit[Posterior]
    error: float
    exact: bool = False
    bound_with_fewer: float | None = None


def fit_summary(engine: Engine, plan: NumberPlan, summary: Summary) -> Outcome:
    """Fit a column on its summary, and estimate the error."""
    cells = summary.cells()
    assert plan.seeds is not None
    component = start_components(plan.grid, plan.seeds, cells)
    start = hard_start(cells.mean, cells.weight, cells.scatter, component, plan.seeds.centres)
    prior, trail = prior_of_cells(plan, cells), Trail(over_cells(engine, cells))
    fine = fit_mixture(trail, prior, prior.update(start), Stopping.of(plan.config, cells.rows))
    if plan.config.effort == "best":
        return _search(engine, plan, cells, fine)
    return Outcome(fine, trail_error(engine, prior, fine, trail, cells) if plan.trusted else np.inf)


def _search(engine: Engine, plan: NumberPlan, cells: Cells, research: MixtureFit[Posterior]) -> Outcome:
    """The best fit that a search finds, never below the research one."""
    assert plan.seeds is not None
    prior, random = prior_of_cells(plan, cells), np.random.RandomState(plan.config.random_state)
    result = search_cells(
        engine,
        cells,
        prior,
        len(plan.seeds.centres),
        random,
        [research.posterior],
        weight_threshold=plan.config.weight_threshold,
    )
    error = end_error(engine, prior, result.fit.posterior, cells) if plan.trusted else np.inf
    return Outcome(result.fit, error, bound_with_fewer=result.bound_with_fewer)


def prior_of_cells(plan: NumberPlan, cells: Cells) -> Prior:
    """Prior of a column from its cells."""
    mean, variance = mean_and_variance(cells.mean, cells.weight, cells.scatter)
    return prior_of(mean, variance, plan.grid.frame, plan.config)


def is_good(outcome: Outcome) -> bool:
    """Whether the fit on the summary keeps the promise."""
    return outcome.error <= LARGEST_FIT_ERROR


def row_start(plan: NumberPlan, y: Floats) -> ComponentStatistics:
    """Statistics of rows given to their k-means component, as scikit-learn starts."""
    assert plan.seeds is not None
    return hard_start(y, np.ones(len(y)), np.zeros(len(y)), plan.seeds.labels, plan.seeds.centres)


def summary_model(engine: Engine, plan: NumberPlan, summary: Summary, outcome: Outcome | None) -> MixtureColumn:
    """The column's model from its summary and its fit (None: the column has no ordinary value)."""
    if outcome is None:
        return _column(plan, summary, None, FitRecord("none", summary.rows, summary.missing))
    cells = summary.cells()
    record = FitRecord(
        algorithm="exact" if outcome.exact else "summary",
        rows=summary.rows,
        missing=summary.missing,
        iterations=len(outcome.fit.bounds),
        converged=outcome.fit.converged,
        lower_bound=outcome.fit.bounds[-1],
        fit_error=outcome.error,
        effort=plan.config.effort,
        bound_with_fewer=outcome.bound_with_fewer,
        cells=len(cells.mean),
        refinements=plan.refinements,
    )
    return _column(plan, summary, _mixture(engine, plan, cells, outcome.fit.posterior), record)


def _mixture(engine: Engine, plan: NumberPlan, cells: Cells, posterior: Posterior) -> MixtureModel:
    """Activity and mode counts, per cell at its mean."""
    table = posterior.kernel_table(CELL_FRAME)
    counts = engine.count_most_probable(cells.mean, cells.weight, table)
    active = posterior.weights > plan.config.weight_threshold
    if plan.config.active_by == "rows":
        active &= counts > 0
    if not np.any(active):
        active = np.arange(len(counts)) == np.argmax(posterior.weights)
    active_counts = engine.count_most_probable(cells.mean, cells.weight, table.take(np.flatnonzero(active)))
    assert plan.seeds is not None
    return MixtureModel(plan.grid.frame, posterior, plan.seeds.centres, counts, active, active_counts)


def _column(plan: NumberPlan, summary: Summary, mixture: MixtureModel | None, record: FitRecord) -> MixtureColumn:
    """Modal values, order and bounds around the mixture."""
    modal, counts = plan.modal, [*summary.modal, *[0] * (len(plan.modal) - len(summary.modal))]
    if summary.missing and MISSING not in modal:
        modal, counts = (*modal, MISSING), [*counts, 0]
    if MISSING in modal:
        counts[modal.index(MISSING)] = summary.missing
    minimum, maximum = range_of(plan, summary)
    return MixtureColumn(
        name=plan.name,
        kind="mixed" if modal else "continuous",
        codec=plan.codec,
        rules=plan.rules,
        mixture=mixture,
        modal_values=modal,
        modal_counts=tuple(counts),
        order=falling([*counts, *([] if mixture is None else mixture.active_counts)]),
        minimum=minimum,
        maximum=maximum,
        fit=record,
    )

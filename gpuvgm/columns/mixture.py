"""Continuous and mixed columns: from a summary to a column's model."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from gpuvgm.columns.base import MISSING, FitRecord
from gpuvgm.columns.continuous import MixtureColumn, MixtureModel, falling
from gpuvgm.columns.numbers import range_of
from gpuvgm.columns.numeric import NumberPlan
from gpuvgm.engines import Engine
from gpuvgm.mixture.accumulate import CELL_FRAME
from gpuvgm.mixture.em import Stopping, hard_start, prior_of
from gpuvgm.mixture.initialization import Seeds
from gpuvgm.mixture.posterior import Posterior
from gpuvgm.mixture.statistics import ComponentStatistics
from gpuvgm.mixture.summary_fit import Column, Outcome, SummaryConfig
from gpuvgm.summary.grid import Floats
from gpuvgm.summary.summary import Cells, Summary


def column_of(plan: NumberPlan, summary: Summary) -> Column:
    """The column as the driver of fits takes it."""
    assert plan.seeds is not None
    config = SummaryConfig(
        components=len(plan.seeds.centres),
        stopping=partial(Stopping.of, plan.config),
        random=partial(np.random.RandomState, plan.config.random_state),
        prior=partial(prior_of, frame=plan.grid.frame, config=plan.config),
        best=plan.config.effort == "best",
        weight_threshold=plan.config.weight_threshold,
    )
    exact = plan.config.algorithm == "exact"
    return Column(plan.grid, summary, (plan.seeds,), config, plan.refinements, plan.trusted, exact)


def plan_of(plan: NumberPlan, column: Column) -> NumberPlan:
    """The plan with grid and centres of a column that was fitted."""
    (seeds,) = column.starts
    assert isinstance(seeds, Seeds)
    return replace(plan, grid=column.grid, seeds=seeds, refinements=column.refinements, trusted=column.trusted)


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

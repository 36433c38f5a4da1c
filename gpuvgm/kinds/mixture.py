"""Continuous columns, and mixed ones whose modal value is "missing": from sample and summary to a column's model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from gpuvgm.accumulation import CELL_FRAME, over_cells
from gpuvgm.cell_search import search_cells
from gpuvgm.cells_fit import end_error, estimate_error, start_components
from gpuvgm.codecs import Codec, codec_for
from gpuvgm.config import LARGEST_FIT_ERROR, EncodingRules, FitConfig
from gpuvgm.engines import Engine
from gpuvgm.fit import MixtureFit, Stopping, fit_mixture, hard_start, mean_and_variance, prior_of
from gpuvgm.grid import MASS_BITS, Floats, Frame, Grid, Masses, build_grid
from gpuvgm.model import MISSING, ColumnModel, FitRecord, KernelTable, MixtureModel
from gpuvgm.posterior import ComponentStatistics, Posterior, Prior
from gpuvgm.rows import Rows
from gpuvgm.seeding import Seeds, k_means_seeds
from gpuvgm.summary import Cells, Summary

SEEDING_ROWS = 1 << 15  # rows of the sample that k-means runs on


@dataclass(frozen=True, slots=True)
class Plan:
    """What is settled about a column before its rows are read.

    Parameters
    ----------
    name : str
        The column.
    codec : Codec
        Values to numbers and back.
    config : FitConfig
        How to fit.
    rules : EncodingRules
        How scalars are made.
    grid : Grid
        Cells to summarise into.
    seeds : Seeds or None
        Centres in the grid's frame; None where the sample has no ordinary value.
    refinements : int
        How often the grid was refined.
    trusted : bool
        False where the centres were found after the only pass, so that the grid knows nothing of them.
    """

    name: str
    codec: Codec
    config: FitConfig
    rules: EncodingRules
    grid: Grid
    seeds: Seeds | None
    refinements: int = 0
    trusted: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """A column's fit and how far it may be from the exact one."""

    fit: MixtureFit[Posterior]
    error: float
    exact: bool = False
    bound_with_fewer: float | None = None


def plan_column(
    name: str, sample: pa.ChunkedArray[Any], config: FitConfig, rules: EncodingRules, *, infinite_is_missing: bool
) -> Plan:
    """Codec, centres and grid of a column from a sample of its values.

    Parameters
    ----------
    name : str
        The column.
    sample : pyarrow.ChunkedArray
        A sample of its values.
    config : FitConfig
        How to fit.
    rules : EncodingRules
        How scalars are made.
    infinite_is_missing : bool
        Take infinities for missing values.
    """
    codec = codec_for(name, sample.type, sample, infinite_is_missing=infinite_is_missing)
    numbers = np.concatenate([np.empty(0), *(codec.encode(chunk) for chunk in sample.chunks)])
    frame = Frame.around(numbers, keep_small=config.standardize is False)
    y = frame.apply(numbers[np.isfinite(numbers)])
    if len(y) == 0:
        return Plan(name, codec, config, rules, build_grid(frame, Masses.of_sample(y), y), None)
    seeding = Rows.of(y).sample(SEEDING_ROWS).column(slice(None))
    seeds = k_means_seeds(seeding, config.n_components, config.random_state)
    return Plan(name, codec, config, rules, build_grid(frame, Masses.of_sample(y), seeds.centres), seeds)


def refine(plan: Plan, summary: Summary) -> Plan:
    """The plan with a finer grid, built from where all rows lie instead of a sample."""
    again = plan.refinements + 1
    centres = np.empty(0) if plan.seeds is None else plan.seeds.centres
    grid = build_grid(plan.grid.frame, summary.masses(), centres, MASS_BITS + 2 * again)
    return replace(plan, grid=grid, refinements=again, trusted=True)


def reseed(plan: Plan, summary: Summary) -> Plan:
    """Centres from the summary's cells, for a column whose sample had too few ordinary values."""
    cells = summary.cells()
    repeats = np.minimum(cells.weight, plan.config.n_components).astype(np.int64)
    rows = np.repeat(cells.mean, repeats)
    seeds = k_means_seeds(rows, plan.config.n_components, plan.config.random_state)
    return replace(plan, seeds=seeds, trusted=False)


def nearest_seeds(plan: Plan, y: Floats) -> Seeds:
    """The plan's centres with every row given to the nearest."""
    assert plan.seeds is not None
    return Seeds(plan.seeds.centres, plan.seeds.nearest(y))


def needs_more_rows(plan: Plan, summary: Summary) -> bool:
    """Whether the sample had too few ordinary values to take the centres from."""
    held = 0 if plan.seeds is None else plan.seeds.centres.size
    return held < min(plan.config.n_components, summary.ordinary)


def fit_summary(engine: Engine, plan: Plan, summary: Summary) -> Outcome:
    """Fit a column on its summary, and estimate the error."""

    def fit_on(cells: Cells) -> MixtureFit[Posterior]:
        return _fit_cells(engine, plan, cells)

    cells = summary.cells()
    fine = fit_on(cells)
    if plan.config.effort == "best":
        return _search(engine, plan, cells, fine)
    return Outcome(fine, estimate_error(cells, fine.posterior, fit_on) if plan.trusted else np.inf)


def _search(engine: Engine, plan: Plan, cells: Cells, research: MixtureFit[Posterior]) -> Outcome:
    """The best fit that a search finds, never below the research one."""
    prior, random = prior_of_cells(plan, cells), np.random.RandomState(plan.config.random_state)
    result = search_cells(
        engine,
        cells,
        prior,
        plan.config.n_components,
        random,
        [research.posterior],
        weight_threshold=plan.config.weight_threshold,
    )
    error = end_error(engine, prior, result.fit.posterior, cells) if plan.trusted else np.inf
    return Outcome(result.fit, error, bound_with_fewer=result.bound_with_fewer)


def prior_of_cells(plan: Plan, cells: Cells) -> Prior:
    """Prior of a column from its cells."""
    mean, variance = mean_and_variance(cells.mean, cells.weight, cells.scatter)
    return prior_of(mean, variance, plan.grid.frame, plan.config)


def _fit_cells(engine: Engine, plan: Plan, cells: Cells) -> MixtureFit[Posterior]:
    assert plan.seeds is not None
    component = start_components(plan.grid, plan.seeds, cells)
    start = hard_start(cells.mean, cells.weight, cells.scatter, component, plan.seeds.centres)
    prior = prior_of_cells(plan, cells)
    return fit_mixture(over_cells(engine, cells), prior, prior.update(start), Stopping.of(plan.config, cells.rows))


def is_good(outcome: Outcome) -> bool:
    """Whether the fit on the summary keeps the promise."""
    return outcome.error <= LARGEST_FIT_ERROR


def row_start(plan: Plan, y: Floats) -> ComponentStatistics:
    """Statistics of rows given to their k-means component, as scikit-learn starts."""
    assert plan.seeds is not None
    return hard_start(y, np.ones(len(y)), np.zeros(len(y)), plan.seeds.labels, plan.seeds.centres)


def summary_model(engine: Engine, plan: Plan, summary: Summary, outcome: Outcome | None) -> ColumnModel:
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


def _mixture(engine: Engine, plan: Plan, cells: Cells, posterior: Posterior) -> MixtureModel:
    """Activity and mode counts, per cell at its mean."""
    table = KernelTable.of(posterior, CELL_FRAME)
    counts = engine.count_most_probable(cells.mean, cells.weight, table)
    active = (posterior.weights > plan.config.weight_threshold) & (counts > 0)
    if not np.any(active):
        active = np.arange(len(counts)) == np.argmax(posterior.weights)
    active_counts = engine.count_most_probable(cells.mean, cells.weight, table.take(np.flatnonzero(active)))
    assert plan.seeds is not None
    return MixtureModel(plan.grid.frame, posterior, plan.seeds.centres, counts, active, active_counts)


def _column(plan: Plan, summary: Summary, mixture: MixtureModel | None, record: FitRecord) -> ColumnModel:
    """Modal values, order and bounds around the mixture."""
    modal = (MISSING,) if summary.missing else ()
    shared = np.array([*([summary.missing] if modal else []), *([] if mixture is None else mixture.active_counts)])
    ordinary = summary.ordinary > 0
    return ColumnModel(
        name=plan.name,
        kind="mixed" if modal else "continuous",
        codec=plan.codec,
        rules=plan.rules,
        mixture=mixture,
        modal_values=modal,
        order=tuple(int(i) for i in np.argsort(-shared, kind="stable")),
        minimum=plan.codec.value(summary.minimum) if ordinary else None,
        maximum=plan.codec.value(summary.maximum) if ordinary else None,
        fit=record,
    )

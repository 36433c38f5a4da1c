"""Fitting the columns of numbers of a table: summaries, refinement, EM per column, and the models that come of it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import Column as Values
from gpuvgm.arrays import host_rows, namespace_of, to_numpy
from gpuvgm.columns import mixture
from gpuvgm.columns.base import TOO_SMALL
from gpuvgm.columns.general import column_of_range
from gpuvgm.columns.mixture import Outcome
from gpuvgm.columns.model import ColumnModel
from gpuvgm.columns.numeric import NumberPlan, needs_more_rows, ordinary_numbers, refine, reseed, with_missing
from gpuvgm.config import MOST_REFINEMENTS, SUMMARY_ROWS
from gpuvgm.engines import Engine, get_engine
from gpuvgm.errors import InputError, SourceChangedError
from gpuvgm.execution.aggregate import COLUMN_PROBLEMS, Failure, Results, side_by_side, tally_columns
from gpuvgm.execution.context import Run
from gpuvgm.io import Source, locate
from gpuvgm.mixture.accumulate import Accumulate, over_rows
from gpuvgm.mixture.cell_fit import climbed
from gpuvgm.mixture.em import Stopping, fit_mixture, prior_of
from gpuvgm.mixture.initialization import Seeds, is_far_from_zero, k_means_seeds
from gpuvgm.mixture.rows import Rows
from gpuvgm.mixture.statistics import ComponentStatistics
from gpuvgm.summary.grid import Floats
from gpuvgm.summary.summary import Summary
from gpuvgm.table.scans import Pass, moments_over, over_array, over_blocks, over_source, start_over
from gpuvgm.table.workers_fit import SEEDING_ROWS, WorkerRows, rows_on_workers

EXACT_BYTES, K_MEANS_BYTES = 64, 64  # a row; measured: 117 together
LARGEST_NUMBER = 2.0**500  # in a frame; squares must not overflow
_LOG = logging.getLogger("gpuvgm")


@dataclass(frozen=True, slots=True)
class Column:
    """A column under way: its plan, its summary, and its fit once there is one."""

    plan: NumberPlan
    summary: Summary
    outcome: Outcome | None = None

    @property
    def needs_fit(self) -> bool:
        """Whether a mixture belongs to the column."""
        return not self.plan.ranged and self.summary.ordinary > 0

    @property
    def is_good(self) -> bool:
        """Whether the fit keeps the promise."""
        return self.outcome is None or mixture.is_good(self.outcome)


Columns = dict[str, Column]


def fit_numbers(
    source: Source, plans: Sequence[NumberPlan], summaries: Mapping[str, Summary], run: Run
) -> tuple[Results[ColumnModel], dict[str, Summary]]:
    """Models of columns of numbers from their summaries; rows are read again only where these are not enough.

    Returns
    -------
    results : Results
        Models and failures.
    summaries : dict of str to Summary
        The summaries that the models came from.
    """
    columns = {plan.name: Column(plan, summaries[plan.name]) for plan in plans}
    checked = side_by_side(run, partial(_checked, source, run), columns)
    columns, failed = checked.good, checked.failed
    for step in (_seed_again, _fit, _fit_exactly):
        done = step(source, columns, run)
        columns, failed = done.good, failed | done.failed
    built = side_by_side(run, partial(_model, run), columns)
    kept = {name: columns[name].summary for name in built.good}
    return Results(built.good, failed | built.failed), kept


def refit(plans: Sequence[NumberPlan], summaries: Mapping[str, Summary], run: Run) -> Results[ColumnModel]:
    """Models from summaries alone, without any row; fits that miss the promise are warned about."""
    columns = {plan.name: Column(with_missing(plan, summaries[plan.name]), summaries[plan.name]) for plan in plans}
    fitted = side_by_side(run, partial(_fit_one, get_engine(run.here.engine)), columns | _reseeded(columns))
    _warn_of_errors([column for column in fitted.good.values() if not column.is_good])
    built = side_by_side(run, partial(_model, run), fitted.good)
    return Results(built.good, fitted.failed | built.failed)


def _checked(source: Source, run: Run, column: Column) -> Column:
    """The column, its kind and algorithm settled, unless its rows cannot be fitted."""
    plan, summary = with_missing(column.plan, column.summary), column.summary
    refuse_infinite(source, plan, summary, run)
    _refuse_overflow(plan.name, summary)
    if plan.config.algorithm == "exact" and not plan.ranged and not source.repeatable:
        raise read_once(f'{source.name}: column "{plan.name}"')
    if plan.config.algorithm == "auto":
        small = summary.rows < SUMMARY_ROWS and source.repeatable
        plan = replace(plan, config=replace(plan.config, algorithm="exact" if small else "summary"))
    return Column(plan, summary)


def read_once(what: str) -> InputError:
    """The refusal of exact EM over a source that can be read only once."""
    return InputError(
        f'{what}: algorithm="exact" reads the rows in every iteration, but this source can be read only once; '
        'use algorithm="summary", or give a file or a table'
    )


def _seed_again(source: Source, columns: Columns, run: Run) -> Results[Column]:
    """Centres from the summary for columns whose sample had too few ordinary values, and another pass for these."""
    again = _reseeded(columns)
    if not again or not source.repeatable:
        return Results(columns | again, {})
    return _refined(source, columns, again, run)


def _reseeded(columns: Columns) -> Columns:
    """The columns whose sample had too few ordinary values, with centres from their summaries."""
    return {
        name: replace(column, plan=reseed(column.plan, column.summary))
        for name, column in columns.items()
        if needs_more_rows(column.plan, column.summary)
    }


def _refined(source: Source, columns: Columns, chosen: Columns, run: Run) -> Results[Column]:
    """All columns, the chosen ones with finer grids and their summaries from another pass over the rows."""
    finer = {name: refine(column.plan, column.summary) for name, column in chosen.items()}
    _LOG.info("another pass with a finer grid for %s", _quoted(finer))
    passed = tally_columns(list(finer.values()), run.passing(source, list(finer)), run)
    renewed = {name: Column(finer[name], summary) for name, summary in passed.good.items()}
    kept = {name: renewed.get(name, column) for name, column in columns.items() if name not in passed.failed}
    return Results(kept, passed.failed)


def _fit(source: Source, columns: Columns, run: Run) -> Results[Column]:
    """Fit on the summaries, and refine the grids of columns that miss the promise."""
    failed: dict[str, Failure] = {}
    pending = {name: column for name, column in columns.items() if column.plan.config.algorithm != "exact"}
    for attempt in range(MOST_REFINEMENTS + 1):
        fitted = side_by_side(run, partial(_fit_one, get_engine(run.here.engine)), pending)
        columns, failed = _renewed(columns, fitted), failed | fitted.failed
        pending = {name: column for name, column in fitted.good.items() if not column.is_good}
        if not pending or not source.repeatable or attempt == MOST_REFINEMENTS:
            break
        finer = _refined(source, columns, pending, run)
        columns, failed = finer.good, failed | finer.failed
        pending = {name: columns[name] for name in pending if name in columns}
    if pending and not source.repeatable:
        _warn_of_errors(pending.values())
    return Results(columns, failed)


def _renewed(columns: Columns, results: Results[Column]) -> Columns:
    """All columns with what came of some of them."""
    return {name: results.good.get(name, column) for name, column in columns.items() if name not in results.failed}


def _fit_one(engine: Engine, column: Column) -> Column:
    if not column.needs_fit:
        return column
    return replace(column, outcome=mixture.fit_summary(engine, column.plan, column.summary))


def _fit_exactly(source: Source, columns: Columns, run: Run) -> Results[Column]:
    """Exact EM for the columns that ask for it, and for those whose summary could not be made fine enough."""
    asked = {n: c for n, c in columns.items() if c.plan.config.algorithm == "exact" and c.needs_fit}
    missed = {n: c for n, c in columns.items() if not c.is_good} if source.repeatable else {}
    if missed:
        _LOG.warning("exact EM for %s: two refinements of the grid were not enough", _quoted(missed))
    results: dict[str, Any] = {}
    for name, column in (asked | missed).items():
        try:
            results[name] = fit_exactly(source, column, run)
        except COLUMN_PROBLEMS as problem:
            results[name] = Failure.of(name, problem)
    done = Results.of(results)
    return Results(_renewed(columns, done), done.failed)


def fit_exactly(source: Source, column: Column, run: Run) -> Column:
    """EM with every E-step over every row; the column is held in memory as float64, and on the device if it lies there.

    Where the user's limit of memory has no room for it, every E-step reads the source again instead.

    With algorithm="exact" the centres come from k-means on all rows, as scikit-learn's; a summary that had to be given
    up keeps its centres.
    """
    if run.spread:
        with rows_on_workers(source, column.plan, run) as held:
            return fit_over_workers(held, column)
    if run.room is not None and column.summary.rows * exact_row_bytes(column.plan) > run.room:
        return _fit_over_blocks(source, column, run)
    plan, engine = column.plan, get_engine(run.engine)
    parts: list[Floats] = []
    run.executor.map_blocks(
        lambda block: ordinary_numbers(plan.codec, plan.modal, block.column(plan.name))[0],
        run.blocks(source, [plan.name]),
        parts.append,
    )
    rows = namespace_of(parts[0]).concatenate(parts) if parts else np.empty(0)
    parts.clear()
    numbers = to_numpy(rows).astype(np.float64, copy=False)
    start = None
    if _starts_from_rows(plan):
        column, start = _started(column, numbers[np.isfinite(numbers)])
    with ThreadPoolExecutor(run.executor.threads) as pool:
        accumulate = over_rows(engine, Rows.of(rows), plan.grid.frame, None if run.on_device else pool)
        return _climbed(engine, column, over_array(engine, numbers, pool), accumulate, start)


def fit_over_workers(rows: WorkerRows, column: Column) -> Column:
    """EM as in `fit_exactly` with the rows in the workers' memory; the result has the same bits.

    For k-means up to 2^24 rows come to this process; with more rows the centres are the plan's.

    Parameters
    ----------
    rows : WorkerRows
        The column's numbers.
    column : Column
        The column, without a fit.
    """
    start = None
    if _starts_from_rows(column.plan) and column.summary.ordinary <= SEEDING_ROWS:
        column, start = _started(column, rows.ordinary())
    return _climbed(rows.here, column, rows.through, rows.accumulate(column.plan.grid.frame), start)


def _starts_from_rows(plan: NumberPlan) -> bool:
    """Whether k-means runs on all rows."""
    return plan.config.algorithm == "exact" and plan.config.effort == "research"


def _started(column: Column, numbers: Floats) -> tuple[Column, ComponentStatistics]:
    """The column with centres from k-means on its ordinary numbers, and the statistics that EM starts from."""
    plan = column.plan
    y = plan.grid.frame.apply(numbers)
    _refuse_changed(column, len(y))
    plan = replace(plan, seeds=_seeds_of_rows(plan, numbers, y))
    return replace(column, plan=plan), mixture.row_start(plan, y)


def exact_row_bytes(plan: NumberPlan) -> int:
    """Bytes a row that exact EM in memory takes: k-means on all rows has many copies of them."""
    return EXACT_BYTES + K_MEANS_BYTES * _starts_from_rows(plan)


def _fit_over_blocks(source: Source, column: Column, run: Run) -> Column:
    """The same without the column in memory: every E-step reads the source again."""
    plan, engine = column.plan, get_engine(run.engine)
    if _starts_from_rows(plan):
        _LOG.warning('column "%s": all its rows do not fit the memory: k-means runs on a sample of them', plan.name)
    through = over_source(source, plan, run, engine)
    return _climbed(engine, column, through, over_blocks(engine, through, plan.grid.frame), None)


def _climbed(
    engine: Engine, column: Column, through: Pass, accumulate: Accumulate, start: ComponentStatistics | None
) -> Column:
    """EM over every row of a column, from where its rows start or from the nearest of the plan's centres."""
    plan, frame = column.plan, column.plan.grid.frame
    moments = moments_over(through, frame)
    _refuse_changed(column, moments.rows)
    prior = prior_of(moments.mean, moments.variance, frame, plan.config)
    if plan.config.effort == "best":
        found = mixture.fit_summary(engine, plan, column.summary)
        end = climbed(accumulate, prior, found.fit.posterior, moments.rows)
        return Column(plan, column.summary, Outcome(end, 0.0, exact=True, bound_with_fewer=found.bound_with_fewer))
    assert plan.seeds is not None
    first = prior.update(start_over(through, frame, plan.seeds) if start is None else start)
    fit = fit_mixture(accumulate, prior, first, Stopping.of(plan.config, moments.rows))
    return Column(plan, column.summary, Outcome(fit, 0.0, exact=True))


def _refuse_changed(column: Column, rows: int) -> None:
    if rows != column.summary.ordinary:
        raise SourceChangedError(f'column "{column.plan.name}" changed while it was read; give a source that stays')


def _seeds_of_rows(plan: NumberPlan, numbers: Floats, y: Floats) -> Seeds:
    """k-means on the numbers themselves, so that the labels are scikit-learn's to the bit.

    Where the offset would cost k-means its digits, or squares overflow or vanish, it runs on the frame's numbers.
    """
    components, random_state = plan.config.n_components, plan.config.random_state
    scaled = plan.grid.frame.scale != 1
    if scaled or is_far_from_zero(np.mean(numbers, keepdims=True), np.std(numbers, keepdims=True)):
        return k_means_seeds(y, components, random_state)
    seeds = k_means_seeds(numbers, components, random_state)
    return Seeds(plan.grid.frame.apply(seeds.centres), seeds.labels)


def _model(run: Run, column: Column) -> ColumnModel:
    if column.plan.ranged:
        return column_of_range(column.plan, column.summary)
    return mixture.summary_model(get_engine(run.here.engine), column.plan, column.summary, column.outcome)


def refuse_infinite(source: Source, plan: NumberPlan, summary: Summary, run: Run, *, fitted: bool = False) -> None:
    """Refuse a column with infinite rows, naming the first; a `fitted` one may be too small for its logarithm."""
    if not summary.infinite:
        return
    where = f" (first at {locate(source, _first_infinite(source, plan, run))})" if source.repeatable else ""
    problem, remedy = "values are infinite", 'pass inf="missing" or clean them'
    if fitted and plan.codec.name == "log":
        problem, remedy = TOO_SMALL, "fit again with all rows, or clean them"
    raise InputError(f'column "{plan.name}": {summary.infinite} {problem}{where}; {remedy}')


def _first_infinite(source: Source, plan: NumberPlan, run: Run) -> int:
    for block in run.here.blocks(source, [plan.name]):
        found = np.flatnonzero(_is_infinite(plan, block.column(plan.name)))
        if len(found):
            return int(block.first_row + found[0])
    raise InputError(f'column "{plan.name}" changed while it was read')


def _is_infinite(plan: NumberPlan, values: Values) -> NDArray[np.bool_]:
    """Rows that are infinite, in the memory of the host."""
    numbers = ordinary_numbers(plan.codec, plan.modal, values)[0]
    return host_rows(namespace_of(numbers).isinf(numbers))


def _refuse_overflow(name: str, summary: Summary) -> None:
    """Refuse columns with rows so far out of the sample's frame that their squares overflow."""
    ends = summary.grid.frame.apply(np.array([summary.minimum, summary.maximum]))
    if summary.ordinary and np.max(np.abs(ends)) > LARGEST_NUMBER:
        raise InputError(
            f'column "{name}": values reach from {summary.minimum:g} to {summary.maximum:g}, further from the bulk of '
            "the column than a fit can span; clean the extreme ones, or leave them out"
        )


def _warn_of_errors(columns: Iterable[Column]) -> None:
    for column in columns:
        _LOG.warning(
            'column "%s": the fit may be %.1e sigma from the exact one; fit from a source that can be read again',
            column.plan.name,
            np.inf if column.outcome is None else column.outcome.error,
        )


def _quoted(names: Mapping[str, object]) -> str:
    return ", ".join(f'"{name}"' for name in names)

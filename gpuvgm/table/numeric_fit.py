"""Fits of a table's columns of numbers: from their summaries, from finer ones, or by exact EM over the rows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from gpuvgm.arrays import Array, namespace_of, to_numpy, widened
from gpuvgm.columns import FittedColumn, NumberPlan
from gpuvgm.config import SUMMARY_ROWS
from gpuvgm.engines import Engine, get_engine
from gpuvgm.errors import InputError, Results, SourceChangedError, counted_values, listed
from gpuvgm.estimator import RowsOfSource
from gpuvgm.execution import LocalExecutor, Run, map_columns, rows_on_workers, summarise_columns
from gpuvgm.io import Block
from gpuvgm.mixture import ColumnFit, Rows, fit, quiet_k_means
from gpuvgm.summary import Floats, Summary

EXACT_BYTES, K_MEANS_BYTES = 64, 64  # a row; measured: 117 together
LARGEST_NUMBER = 2.0**500  # in a frame; squares must not overflow
_LOG = logging.getLogger("gpuvgm")
NumberFit = ColumnFit[NumberPlan]


def fit_numbers(
    run: Run, plans: Sequence[NumberPlan], summaries: Mapping[str, Summary], *, all_rows: bool = True
) -> tuple[Results[FittedColumn], dict[str, Summary]]:
    """Models of columns of numbers from their summaries; rows are read again only where these are not enough.

    Where they cannot be read again, fits that miss the promise are warned about: the source can be read only once, or
    its rows are not all that were summarised.

    Returns
    -------
    results : Results
        Models and failures.
    summaries : dict of str to Summary
        The summaries that the models came from.
    """
    columns = {plan.name: ColumnFit(plan, summaries[plan.name]) for plan in plans}
    threads, repeatable = run.executor.threads, run.source.repeatable and all_rows
    checked = map_columns(threads, partial(_check_counted, run, all_rows=all_rows), columns)
    seeded = _seed_again(run, checked.good, repeatable=repeatable)
    fitted = _fit_columns(run, seeded.good, repeatable=repeatable)
    engine = get_engine(run.here.engine)
    built = map_columns(threads, lambda column: column.plan.fitted(engine, column), fitted.good)
    kept = {name: fitted.good[name].sums for name in built.good}
    return Results(built.good, checked.failed | seeded.failed | fitted.failed | built.failed), kept


def _check_counted(run: Run, column: NumberFit, *, all_rows: bool) -> NumberFit:
    """The column, its kind and algorithm settled, unless its rows cannot be fitted."""
    source, plan, summary = run.source, column.plan.confirmed(column.sums), column.sums
    if not all_rows:
        return ColumnFit(replace(plan, config=replace(plan.config, algorithm="summary")), summary)
    refuse_infinite(run, plan, summary)
    _refuse_overflow(plan.name, summary)
    plan.check_reach(summary)
    if plan.config.algorithm == "exact" and not plan.ranged and not source.repeatable:
        raise read_once(f'{source.name}: column "{plan.name}"')
    if plan.config.algorithm == "auto":
        small = summary.rows < SUMMARY_ROWS and source.repeatable
        plan = replace(plan, config=replace(plan.config, algorithm="exact" if small else "summary"))
    return ColumnFit(plan, summary)


def read_once(what: str) -> InputError:
    """The refusal of exact EM over a source that can be read only once."""
    return InputError(
        f'{what}: algorithm="exact" reads the rows in every iteration, but this source can be read only once; '
        'use algorithm="summary", or give a file or a table'
    )


def _seed_again(run: Run, columns: dict[str, NumberFit], *, repeatable: bool) -> Results[NumberFit]:
    """Centres from the summary for columns whose sample had too few ordinary values, and another scan for these."""
    seeded = {name: replace(column, plan=column.plan.reseeded(column.sums)) for name, column in columns.items()}
    again = {name: column for name, column in seeded.items() if column.plan is not columns[name].plan}
    if not again or not repeatable:
        return Results(seeded, {})
    finer = {name: column.plan.finer(column.sums.masses()) for name, column in again.items()}
    scanned = _scan_again(run, finer)
    counted = {name: ColumnFit(finer[name], summary) for name, summary in scanned.good.items()}
    return Results(Results(counted, scanned.failed).renew(columns), scanned.failed)


def _scan_again(run: Run, plans: Mapping[str, NumberPlan]) -> Results[Summary]:
    """Summaries of columns on finer grids, from another scan of the rows."""
    _LOG.info("another scan with a finer grid for %s", listed(plans))
    return summarise_columns(list(plans.values()), run)


def _fit_columns(run: Run, columns: dict[str, NumberFit], *, repeatable: bool) -> Results[NumberFit]:
    """Fits of the columns; where the rows cannot be read again, from their summaries alone."""
    begun = {name: column for name, column in columns.items() if not column.plan.ranged and column.sums.ordinary > 0}
    done: set[str] = set()

    def report(names: Iterable[str]) -> None:
        """Tell how many columns have their modes, some more among them."""
        done.update(names)
        if run.searched is not None and begun:
            run.searched(len(done), len(begun))

    def note(name: str, result: NumberFit | Exception) -> None:
        """A column is done, or has failed, unless it is fitted again."""
        if isinstance(result, Exception) or result.is_good or not repeatable:
            report([name])

    report([])
    fit_columns = partial(_fit_each, run, note)
    if repeatable:
        fitted = fit(begun, fit_columns, partial(_scan_again, run), partial(_each_exactly, run, note))
    else:
        fitted = fit(begun, fit_columns)
    if len(done) < len(begun):  # the rows of some could not be read again
        report(begun)
    for name, column in fitted.good.items() if not repeatable else ():
        if not column.is_good:
            _LOG.warning(
                'column "%s": the fit may be %.1e sigma from the exact one; fit from a source that can be read again',
                name,
                np.inf if column.outcome is None else column.outcome.error,
            )
    return Results(fitted.renew(columns), fitted.failed)


def _fit_each(run: Run, note: Callable[[str, Any], None], columns: dict[str, NumberFit]) -> Results[NumberFit]:
    """Each column fitted on its summary: by the GPUs of a cluster that has some, else in threads of this process."""
    cluster = run.cluster
    if cluster is None or run.engine != "cuda":
        engine = get_engine(run.here.engine)
        return map_columns(run.executor.threads, lambda column: column.fit_cells(engine), columns, note)
    names, parts = list(columns), cluster.worker_threads
    shares = [{name: columns[name] for name in names[i::parts]} for i in range(min(parts, len(names)))]
    fitted: dict[str, Any] = {}
    for share in cluster.gather("search modes", partial(_fit_share, run.engine), shares):
        for name, result in share.items():
            fitted[name] = result if isinstance(result, Exception) else replace(columns[name], outcome=result)
            note(name, fitted[name])
    return Results.of({name: fitted[name] for name in names})


def _fit_share(name: str, columns: dict[str, NumberFit]) -> dict[str, Any]:
    """The fits that a worker's engine finds for some columns, or why it failed; their cells stay there."""
    engine = get_engine(name)
    with quiet_k_means():
        fitted = map_columns(LocalExecutor().threads, lambda column: column.fit_cells(engine), columns)
    return {name: column.outcome for name, column in fitted.good.items()} | fitted.failed


def _each_exactly(run: Run, note: Callable[[str, Any], None], left: dict[str, NumberFit]) -> Results[NumberFit]:
    """Exact EM for one column after the other."""
    missed = [name for name, column in left.items() if not column.plan.settings.asks_exact]
    if missed:
        _LOG.warning("exact EM for %s: two refinements of the grid were not enough", listed(missed))
    return map_columns(None, partial(fit_exactly, run), left, note)


def fit_exactly(run: Run, column: NumberFit) -> NumberFit:
    """EM with every E-step over every row; the column is held in memory as float64, and on the device if it lies there.

    Where the user's limit of memory has no room for it, every E-step reads the source again instead. The rows of a
    cluster stay in the memory of its workers.

    With algorithm="exact" the centres come from k-means on all rows, as scikit-learn's. A summary that had to be given
    up keeps its centres; so do more rows on a device or a cluster than a sample has, which do not come to this process.
    """
    plan = column.plan
    if run.executor.spread:
        with rows_on_workers(partial(partition_numbers, run.engine, plan), run.blocks([plan.name]), run) as workers:
            return fit_over_workers(get_engine(run.here.engine), workers, column)
    row_bytes = EXACT_BYTES + K_MEANS_BYTES * _starts_from_rows(plan)  # k-means on all rows has many copies of them
    if run.room is not None and column.sums.rows * row_bytes > run.room:
        return _fit_over_blocks(run, column)
    engine, parts = get_engine(run.engine), list[Floats]()
    run.executor.map_blocks(partial(_numbers_of, engine, plan), run.blocks([plan.name]), parts.append)
    numbers = widened(namespace_of(parts[0]).concatenate(parts)) if parts else np.empty(0)
    parts.clear()
    rows = Rows.of(numbers)
    if _starts_from_rows(plan) and (rows.whole or rows.count <= Rows.SEED_ROWS):
        column = _start_from_rows(to_numpy(numbers), column)
    with ThreadPoolExecutor(run.executor.threads) as pool:
        return _fit_exact_rows(engine, column, rows.with_threads(pool))


def _fit_exact_rows(engine: Engine, column: NumberFit, rows: Rows) -> NumberFit:
    """Exact EM; refused where rows are not those that were summarised."""
    moments = rows.column_moments(engine, column.plan.grid.frame)
    _refuse_changed(column, moments.rows)
    return column.fit_rows(engine, rows, moments)


def fit_over_workers(engine: Engine, rows: Rows, column: NumberFit) -> NumberFit:
    """EM as in `fit_exactly` with the rows in the workers' memory; from the same centres the result has the same bits.

    Parameters
    ----------
    engine : Engine
        The engine of this process.
    rows : Rows
        The column's numbers.
    column : ColumnFit
        The column.
    """
    if _starts_from_rows(column.plan) and column.sums.ordinary <= Rows.SEED_ROWS:
        column = _start_from_rows(np.concatenate([*rows.each(_numbers_of_block)]), column)
    return _fit_exact_rows(engine, column, rows)


def _fit_over_blocks(run: Run, column: NumberFit) -> NumberFit:
    """The same without the column in memory: every E-step reads the source again."""
    plan = column.plan
    if _starts_from_rows(plan):
        _LOG.warning('column "%s": all its rows do not fit the memory: k-means runs on a sample of them', plan.name)

    engine = get_engine(run.engine)

    def numbers_of(block: Block) -> Floats:
        return np.asarray(to_numpy(_numbers_of(engine, plan, block)), dtype=np.float64)[:, None]

    assert isinstance(run.executor, LocalExecutor)
    blocks = partial(run.blocks, [plan.name])
    rows = RowsOfSource(np.empty((0, 1)), blocks=blocks, numbers_of=numbers_of, executor=run.executor)
    return _fit_exact_rows(engine, column, rows)


def _numbers_of(engine: Engine, plan: NumberPlan, block: Block) -> Floats:
    """Numbers of a block's rows where they lie, NaN for those without one."""
    return plan.codec.ordinary_numbers(block.column(plan.name), plan.modal, engine)[0]


def partition_numbers(engine: str, plan: NumberPlan, blocks: Iterator[Block]) -> Array:
    """The numbers of a partition, shape (rows,), float64, where they lie; NaN for rows without one."""
    parts = []
    for block in blocks:
        numbers = _numbers_of(get_engine(engine), plan, block)
        xp = namespace_of(numbers)
        parts.append(xp.asarray(numbers, dtype=xp.float64))
    return namespace_of(parts[0]).concatenate(parts) if parts else np.empty(0)


def _starts_from_rows(plan: NumberPlan) -> bool:
    """Whether k-means runs on all rows."""
    return plan.config.algorithm == "exact" and plan.config.effort == "research"


def _numbers_of_block(block: Rows) -> Floats:
    """The numbers of a block, on the host."""
    return np.asarray(to_numpy(block.array)[:, 0])


def _start_from_rows(numbers: Floats, column: NumberFit) -> NumberFit:
    """The column with its start from k-means on all its rows."""
    numbers = numbers[np.isfinite(numbers)]
    _refuse_changed(column, len(numbers))
    return column.seeded(numbers, column.plan.config.n_components, column.plan.config.random_state)


def _refuse_changed(column: NumberFit, rows: int) -> None:
    if rows != column.sums.ordinary:
        raise SourceChangedError(f'column "{column.plan.name}" changed while it was read; give a source that stays')


def refuse_infinite(run: Run, plan: NumberPlan, summary: Summary, *, fitted: bool = False) -> None:
    """Refuse a column with infinite rows, naming the first; a `fitted` one may be too small for its logarithm."""
    if not summary.infinite:
        return
    source = run.source
    where = f" (first at {source.locate(_first_infinite(run, plan))})" if source.repeatable else ""
    problem, remedy = "values are infinite", 'pass inf="missing" or clean them'
    if fitted and plan.codec.infinite:
        problem, remedy = plan.codec.infinite, "fit again with all rows, or clean them"
    raise InputError(f'column "{plan.name}": {counted_values(summary.infinite, problem)}{where}; {remedy}')


def _first_infinite(run: Run, plan: NumberPlan) -> int:
    for block in run.here.blocks([plan.name]):
        numbers = _numbers_of(get_engine(run.here.engine), plan, block)
        infinite = np.flatnonzero(to_numpy(namespace_of(numbers).isinf(numbers)))
        if len(infinite):
            return int(block.first_row + infinite[0])
    raise InputError(f'column "{plan.name}" changed while it was read')


def _refuse_overflow(name: str, summary: Summary) -> None:
    """Refuse columns with rows so far out of the sample's frame that their squares overflow."""
    ends = summary.grid.frame.apply(np.array([summary.minimum, summary.maximum]))
    if summary.ordinary and np.max(np.abs(ends)) > LARGEST_NUMBER:
        raise InputError(
            f'column "{name}": values reach from {summary.minimum:g} to {summary.maximum:g}, further from the bulk of '
            "the column than a fit can span; clean the extreme ones, or leave them out"
        )

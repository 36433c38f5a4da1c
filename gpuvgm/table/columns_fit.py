"""Fitting a table: plans from a sample, one pass over the rows for all columns together, then each kind's own work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa

from gpuvgm.columns.base import ColumnRequest
from gpuvgm.columns.categorical import LevelPlan, column_of_levels, counts_of, plan_again
from gpuvgm.columns.kinds import KINDS
from gpuvgm.columns.model import CategoricalColumn, ColumnModel
from gpuvgm.columns.numeric import Lowest, NumberPlan, lowest_plan
from gpuvgm.columns.passthrough import PassPlan, RowCount, passed_column
from gpuvgm.errors import InputError, SourceChangedError
from gpuvgm.execution.aggregate import Failure, Plan, Results, side_by_side, tally_columns
from gpuvgm.execution.context import Run
from gpuvgm.execution.sampling import Sampled
from gpuvgm.io import Source
from gpuvgm.mixture.initialization import quiet_k_means
from gpuvgm.summary.summary import Summary
from gpuvgm.table.numeric_fit import fit_numbers, refit, refuse_infinite


@dataclass(frozen=True, slots=True)
class FittedColumns:
    """Fitted columns by name, what they came from, and the columns that failed.

    Parameters
    ----------
    columns : dict of str to ColumnModel
        The columns that were fitted.
    summaries : dict of str to Summary
        Of the columns of numbers.
    failed : dict of str to Failure
        Why the others were not.
    rows : int
        Rows of the table.
    """

    columns: dict[str, ColumnModel]
    summaries: dict[str, Summary]
    failed: dict[str, Failure]
    rows: int


def fit_table(sampled: Sampled, requests: Sequence[ColumnRequest], run: Run) -> FittedColumns:
    """Fit every requested column of a source.

    Parameters
    ----------
    sampled : Sampled
        The training rows and a sample of them.
    requests : sequence of ColumnRequest
        The columns.
    run : Run
        Engine, executor and block size.

    Raises
    ------
    InputError
        For a source without rows. What is wrong with single columns is told by `failed`.
    """
    source = sampled.source
    if sampled.rows.num_rows == 0:
        raise InputError(f"{source.name}: there are no rows to fit on")
    with quiet_k_means():
        return _fitted(sampled, requests, run)


def _fitted(sampled: Sampled, requests: Sequence[ColumnRequest], run: Run) -> FittedColumns:
    source = sampled.source
    planned = _plans(sampled, requests, run)
    passed = {name: plan for name, plan in planned.good.items() if isinstance(plan, PassPlan)}
    read = {name: plan for name, plan in planned.good.items() if name not in passed}
    if not read and not planned.failed:
        read = dict(passed)
    tallied = tally_columns(list(read.values()), sampled.blocks(list(read)), run)
    rows = max((tally.rows for tally in tallied.good.values()), default=source.rows or 0)
    if read and not tallied.good and not tallied.failed:
        raise SourceChangedError(f"{source.name}: its rows were gone when it was read again; give a source that stays")
    numeric = [plan for name, plan in read.items() if isinstance(plan, NumberPlan) and name in tallied.good]
    numbers, summaries = fit_numbers(source, numeric, tallied.good, run)
    levels = {
        name: (plan, tallied.good[name])
        for name, plan in read.items()
        if isinstance(plan, LevelPlan) and name in tallied.good
    }
    categorical = side_by_side(run, lambda pair: column_of_levels(*pair), levels)
    passing = {name: passed_column(plan, RowCount(rows, 0)) for name, plan in passed.items()}
    columns = numbers.good | categorical.good | passing
    failed = planned.failed | tallied.failed | numbers.failed | categorical.failed
    return FittedColumns(columns, summaries, failed, rows)


def _plans(sampled: Sampled, requests: Sequence[ColumnRequest], run: Run) -> Results[Plan]:
    """Plans of all columns; those with a logarithm need a pass of their own before."""
    by_name = {request.name: request for request in requests}
    lowest = _lowest(sampled, [request for request in requests if request.spec.log], run)
    ready = {name: request for name, request in by_name.items() if name not in lowest.failed}
    planned = side_by_side(run, partial(_plan, sampled, lowest.good), ready)
    return Results(planned.good, lowest.failed | planned.failed)


def _plan(sampled: Sampled, lowest: Mapping[str, Lowest], request: ColumnRequest) -> Plan:
    name, rows = request.name, sampled.rows
    unread = pa.chunked_array([], sampled.source.schema.field(name).type)  # of a column that is handed through
    sample = rows.column(name) if name in rows.schema.names else unread
    return KINDS[request.spec.kind].plan(request, sample, lowest.get(name))


def _lowest(sampled: Sampled, requests: Sequence[ColumnRequest], run: Run) -> Results[Lowest]:
    """The smallest ordinary value of each log column, over all rows."""
    if not requests:
        return Results({}, {})
    source = sampled.source
    if not source.repeatable:
        raise InputError(
            f'{source.name}: column "{requests[0].name}": a logarithm needs the smallest value before the fit, but '
            "this source can be read only once; give a file or a table"
        )
    planned = side_by_side(
        run,
        lambda request: lowest_plan(request, sampled.rows.column(request.name)),
        {request.name: request for request in requests},
    )
    found = tally_columns(list(planned.good.values()), sampled.blocks(list(planned.good)), run)
    if planned.good and not found.good and not found.failed:
        raise SourceChangedError(f"{source.name}: its rows were gone when it was read again; give a source that stays")
    return Results(found.good, planned.failed | found.failed)


def add_rows(
    source: Source, columns: Sequence[ColumnModel], plans: Sequence[NumberPlan], old: Mapping[str, Summary], run: Run
) -> FittedColumns:
    """Columns with more rows: new tallies merged into the old ones, and fitted again.

    Parameters
    ----------
    source : Source
        The new rows.
    columns : sequence of ColumnModel
        The fitted columns.
    plans : sequence of NumberPlan
        Plans of the columns of numbers, with the grids of their summaries.
    old : mapping of str to Summary
        Their summaries.
    run : Run
        Engine, executor and block size.
    """
    levels = {c.name: (plan_again(c), counts_of(c)) for c in columns if isinstance(c, CategoricalColumn)}
    every: list[Any] = [*plans, *(plan for plan, _ in levels.values())]
    passed = [column for column in columns if column.kind == "pass"]
    every = every or [PassPlan(column.name, column.type) for column in passed]
    tallied = tally_columns(every, run.blocks(source, [plan.name for plan in every]), run)
    for plan in plans:
        if plan.name in tallied.good:
            refuse_infinite(source, plan, tallied.good[plan.name], run, fitted=True)
    if tallied.failed:
        return FittedColumns({}, {}, tallied.failed, 0)
    rows = max((tally.rows for tally in tallied.good.values()), default=0)
    summaries = {plan.name: old[plan.name].merge(tallied.good[plan.name]) for plan in plans} if rows else dict(old)
    with quiet_k_means():
        numbers = refit(plans, summaries, run)
    offset = max(column.fit.rows for column in columns)
    counts = {
        name: (plan, before.merge(tallied.good[name].shifted(offset)) if rows else before)
        for name, (plan, before) in levels.items()
    }
    categorical = side_by_side(run, lambda pair: column_of_levels(*pair), counts)
    passing = {c.name: passed_column(PassPlan(c.name, c.type), RowCount(offset + rows, 0)) for c in passed}
    columns_ = numbers.good | categorical.good | passing
    return FittedColumns(columns_, summaries, numbers.failed | categorical.failed, offset + rows)

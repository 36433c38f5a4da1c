"""From a source and settings to fitted columns: schema, sample, fit, and what is left to do after a failure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import pyarrow as pa

from gpuvgm.columns.base import MODE, SCALAR, ColumnPlan, ColumnRequest
from gpuvgm.columns.model import KINDS, ColumnModel, FittedTable, TableModel
from gpuvgm.columns.numeric import Lowest, NumberPlan, lowest_plan
from gpuvgm.columns.passthrough import PassPlan, RowCount
from gpuvgm.columns.schema import Declared, TableSchema, check_settings
from gpuvgm.config import EncodingRules, FitConfig, check_choice
from gpuvgm.errors import ColumnsFailed, InputError, SourceChangedError
from gpuvgm.execution.aggregate import Failure, Results, side_by_side, summarise_columns
from gpuvgm.execution.context import Run
from gpuvgm.execution.sampling import Sampled, take_sample
from gpuvgm.io import Source, stray_text
from gpuvgm.mixture.initialization import quiet_k_means
from gpuvgm.summary.summary import Summary
from gpuvgm.table.numeric_fit import fit_numbers, read_once, refit, refuse_infinite

Settings = Mapping[str, Any]
_PARTS = {"continuous": (SCALAR, MODE), "mixed": (SCALAR, MODE), "general": (SCALAR, MODE), "categorical": (MODE,)}


def fit_source(
    source: Source, declared: Declared, settings: Settings, run: Run, before: FittedTable | None = None
) -> FittedTable:
    """Fit the columns of a source.

    Parameters
    ----------
    source : Source
        The training rows.
    declared : None, list of str, or mapping
        What the user says of the columns.
    settings : mapping
        The table's settings, by the names of `TableTransformer`.
    run : Run
        Engine, executor and block size.
    before : FittedTable, optional
        What an earlier fit of the same source finished; only the other columns are fitted.

    Raises
    ------
    InputError
        For settings, declarations or a source that cannot be used at all, or when every column fails.
    """
    check_settings(settings)
    check_choice("algorithm", settings["algorithm"], ("summary", "exact", "auto"))
    schema = TableSchema.declare(declared, source.schema, source.name)
    seed = settings["random_state"]
    sampled = take_sample(source, schema.needed or schema.names, run, seed)
    schema = schema.inferred(sampled.rows, source.name, partial(stray_text, source))
    _check_names(schema)
    requests = requests_of(schema, settings)
    _refuse_exact(source, requests)
    if before is not None:
        return _resumed(before, sampled, schema, requests, run)
    fitted = fit_table(sampled, requests, run)
    return _table(schema, fitted, seed, source)


def _check_names(schema: TableSchema) -> None:
    """Refuse columns whose encoded parts would have the same name."""
    names = Counter(
        name
        for spec in schema.used
        for name in ([spec.name] if spec.kind == "pass" else [spec.name + part for part in _PARTS.get(spec.kind, ())])
    )
    double = [name for name, count in names.items() if count > 1]
    if double:
        raise InputError(f'two columns would both be encoded as "{double[0]}"; rename one of them, or drop it')


def _refuse_exact(source: Source, requests: list[ColumnRequest]) -> None:
    exact = any(r.config.algorithm == "exact" and r.spec.kind in ("continuous", "mixed") for r in requests)
    if exact and not source.repeatable:
        raise read_once(source.name)


def _table(schema: TableSchema, fitted: FittedColumns, seed: int, source: Source) -> FittedTable:
    failed = {name: str(fitted.failed[name].problem) for name in schema.names if name in fitted.failed}
    if failed and not fitted.columns:
        raise next(fitted.failed[name].problem for name in failed)
    return FittedTable(schema, fitted.columns, fitted.summaries, failed, seed, fitted.rows, source.fingerprint())


def _resumed(
    before: FittedTable, sampled: Sampled, schema: TableSchema, requests: list[ColumnRequest], run: Run
) -> FittedTable:
    """What was fitted before, and the columns that were not or are declared otherwise now."""
    source = sampled.source
    if before.source != source.fingerprint():
        raise InputError(f"{source.name}: is not the source that the earlier fit read; fit again without resume")
    known = {spec.name: (spec.kind, dict(spec.options)) for spec in before.schema.columns}
    kept = {
        spec.name: before.columns[spec.name]
        for spec in schema.used
        if spec.name in before.columns and known[spec.name] == (spec.kind, dict(spec.options))
    }
    left = [request for request in requests if request.name not in kept]
    if not left:
        return replace(before, schema=schema, columns=kept, failed={})
    fitted = fit_table(sampled, left, run)
    summaries = {name: summary for name, summary in before.summaries.items() if name in kept}
    failed = {name: str(failure.problem) for name, failure in fitted.failed.items()}
    return replace(
        before,
        schema=schema,
        columns=kept | fitted.columns,
        summaries=summaries | fitted.summaries,
        failed=failed,
        rows=max(before.rows, fitted.rows),
    )


def requests_of(schema: TableSchema, settings: Settings) -> list[ColumnRequest]:
    """What is asked for each column: the table's settings and its own."""
    config = FitConfig(**{name: settings[name] for name in FitConfig.__dataclass_fields__ if name in settings})
    rules = EncodingRules(**{name: settings[name] for name in EncodingRules.__dataclass_fields__})
    return [
        ColumnRequest(
            spec,
            spec.fit_config(config),
            spec.encoding_rules(rules),
            spec.inf(settings["inf"]) == "missing",
            spec.unknown(settings["unknown"]),
        )
        for spec in schema.used
    ]


def raise_failures(fitted: FittedTable) -> None:
    """Tell of the columns that failed.

    Raises
    ------
    ColumnsFailed
        Where there are any.
    """
    if fitted.failed:
        raise ColumnsFailed(fitted.failed, len(fitted.columns))


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
    passed = {name: plan for name, plan in planned.good.items() if not plan.needs_rows}
    read = {name: plan for name, plan in planned.good.items() if name not in passed}
    if not read and not planned.failed:
        read = dict(passed)
    summarised = summarise_columns(list(read.values()), sampled.blocks(list(read)), run)
    rows = max((statistics.rows for statistics in summarised.good.values()), default=source.rows or 0)
    if read and not summarised.good and not summarised.failed:
        raise SourceChangedError(f"{source.name}: its rows were gone when it was read again; give a source that stays")
    together = [plan for name, plan in read.items() if plan.fitted_together and name in summarised.good]
    numbers, summaries = fit_numbers(source, cast(list[NumberPlan], together), summarised.good, run)
    alone = {
        name: (plan, summarised.good[name])
        for name, plan in read.items()
        if plan.needs_rows and not plan.fitted_together and name in summarised.good
    }
    categorical = side_by_side(run, lambda pair: pair[0].fit(pair[1]), alone)
    passing = {name: plan.fit(RowCount(rows, 0)) for name, plan in passed.items()}
    columns = numbers.good | categorical.good | passing
    failed = planned.failed | summarised.failed | numbers.failed | categorical.failed
    return FittedColumns(columns, summaries, failed, rows)


def _plans(sampled: Sampled, requests: Sequence[ColumnRequest], run: Run) -> Results[ColumnPlan]:
    """Plans of all columns; those with a logarithm need a pass of their own before."""
    by_name = {request.name: request for request in requests}
    lowest = _lowest(sampled, [request for request in requests if request.spec.log], run)
    ready = {name: request for name, request in by_name.items() if name not in lowest.failed}
    planned = side_by_side(run, partial(_plan, sampled, lowest.good), ready)
    return Results(planned.good, lowest.failed | planned.failed)


def _plan(sampled: Sampled, lowest: Mapping[str, Lowest], request: ColumnRequest) -> ColumnPlan:
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
    found = summarise_columns(list(planned.good.values()), sampled.blocks(list(planned.good)), run)
    if planned.good and not found.good and not found.failed:
        raise SourceChangedError(f"{source.name}: its rows were gone when it was read again; give a source that stays")
    return Results(found.good, planned.failed | found.failed)


def add_rows(
    source: Source, model: TableModel, plans: Sequence[NumberPlan], old: Mapping[str, Summary], run: Run
) -> FittedColumns:
    """Columns with more rows: new statistics merged into the old ones, and fitted again.

    Parameters
    ----------
    source : Source
        The new rows.
    model : TableModel
        The fitted columns.
    plans : sequence of NumberPlan
        Plans of the columns of numbers, with the grids of their summaries.
    old : mapping of str to Summary
        Their summaries.
    run : Run
        Engine, executor and block size.
    """
    categories = {c.name: (c.plan(), c.counted()) for c in model.categorical}
    every: list[Any] = [*plans, *(plan for plan, _ in categories.values())]
    passed = [column for column in model.columns if not column.is_encoded]
    every = every or [PassPlan(column.name, column.type) for column in passed]
    summarised = summarise_columns(every, run.blocks(source, [plan.name for plan in every]), run)
    for plan in plans:
        if plan.name in summarised.good:
            refuse_infinite(source, plan, summarised.good[plan.name], run, fitted=True)
    if summarised.failed:
        return FittedColumns({}, {}, summarised.failed, 0)
    rows = max((statistics.rows for statistics in summarised.good.values()), default=0)
    summaries = {plan.name: old[plan.name].merge(summarised.good[plan.name]) for plan in plans} if rows else dict(old)
    with quiet_k_means():
        numbers = refit(plans, summaries, run)
    offset = max(column.fit.rows for column in model.columns)
    counts = {
        name: (plan, before.merge(summarised.good[name].shifted(offset)) if rows else before)
        for name, (plan, before) in categories.items()
    }
    categorical = side_by_side(run, lambda pair: pair[0].fit(pair[1]), counts)
    passing = {c.name: PassPlan(c.name, c.type).fit(RowCount(offset + rows, 0)) for c in passed}
    columns_ = numbers.good | categorical.good | passing
    return FittedColumns(columns_, summaries, numbers.failed | categorical.failed, offset + rows)

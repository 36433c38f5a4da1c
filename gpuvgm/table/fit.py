"""From a source and settings to fitted columns: schema, sample, scan, fit, and what is left to do after a failure."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, cast

import pyarrow as pa

from gpuvgm.columns.base import ColumnPlan, FittedColumn
from gpuvgm.columns.codecs import UnreadText
from gpuvgm.columns.inference import Recognised, Refuted
from gpuvgm.columns.model import KINDS, TableModel
from gpuvgm.columns.names import NAMES
from gpuvgm.columns.numeric import (
    Lowest,
    NumberPlan,
    lowest_plan,
)
from gpuvgm.columns.options import MIXTURE, check_settings
from gpuvgm.columns.passthrough import PassthroughColumn, RowCount
from gpuvgm.columns.schema import ColumnRequest, ColumnSpec, TableSchema
from gpuvgm.config import FitConfig
from gpuvgm.errors import InputError, Results, SourceChangedError, naming
from gpuvgm.execution.aggregate import map_columns, summarise_columns
from gpuvgm.execution.context import Run
from gpuvgm.execution.sampling import Sampled, take_sample
from gpuvgm.io import Source
from gpuvgm.mixture.initialization import quiet_k_means
from gpuvgm.summary.summary import Summary
from gpuvgm.table.numeric_fit import fit_numbers, read_once, refuse_infinite

_LOG = logging.getLogger("gpuvgm")
Settings = Mapping[str, Any]
REFUTED = (Refuted, UnreadText)  # what costs another plan


class Stopwatch:
    """Seconds of the stages of a fit, by name.

    Attributes
    ----------
    seconds : dict of str to float
        The stages that are done.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        """Count the time since the last stage for this one."""
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._last
        self._last = now


def fit_source(
    run: Run, schema: TableSchema, settings: Settings, before: TableModel | None, watch: Stopwatch
) -> TableModel:
    """Fit the columns of a source.

    Parameters
    ----------
    run : Run
        The training rows, engine, executor and block size.
    schema : TableSchema
        The columns, as they are declared.
    settings : mapping
        The table's settings, by the names of `TableTransformer`.
    before : TableModel or None
        What an earlier fit of the same source finished; only the other columns are fitted.
    watch : Stopwatch
        Counts the seconds of each stage.

    Raises
    ------
    InputError
        For settings, declarations or a source that cannot be used at all, or when every column fails.
    """
    check_settings(settings)
    source = run.source
    seed = settings["random_state"]
    research = any(spec.options.get("effort", settings["effort"]) == "research" for spec in schema.used)
    sampled = take_sample(run, schema.needed or schema.names, seed, fine=not research)
    declared, recognised = schema, partial(_recognised, source, settings)
    schema = schema.inferred(sampled.rows, source.name, recognised, run.executor.threads)
    _check_encoded_names(schema)
    watch.lap("sample and kinds")
    requests = requests_of(schema, settings, final=not source.repeatable)
    if not source.repeatable and any(r.config.algorithm == "exact" and r.spec.kind in MIXTURE for r in requests):
        raise read_once(source.name)
    kept = FittedColumns() if before is None else _unchanged_columns(before, source, schema)
    left = [request for request in requests if request.name not in kept.columns]
    fitted = kept.with_others(fit_table(sampled, left, watch))
    for name, refuted in fitted.failed.items() if source.repeatable else ():
        if isinstance(refuted, REFUTED):
            try:
                spec, again = _fit_otherwise(sampled, declared[name], refuted, settings, watch)
                schema = schema.with_column(spec)
            except InputError as problem:  # one that is refuted twice has failed
                again = FittedColumns(failed={name: naming(name, problem)})
            fitted = fitted.with_others(again)
    failed = {name: str(fitted.failed[name]) for name in schema.names if name in fitted.failed}
    if failed and not fitted.columns:
        raise next(fitted.failed[name] for name in failed)
    columns = tuple(fitted.columns[name] for name in schema.names if name in fitted.columns)
    return TableModel(columns, seed, fitted.rows, source.fingerprint(), schema, fitted.summaries, failed)


def _recognised(source: Source, settings: Settings, spec: ColumnSpec) -> Recognised:
    """What is told apart in a column beside its type: nothing where the effort is the research code's."""
    if spec.options.get("effort", settings["effort"]) == "research":
        return Recognised()
    return Recognised(
        texts=True,
        identifiers=True,
        rows=source.rows,
        components=spec.fit_config(_config(settings)).n_components,
        is_exact=spec.options.get("tails", settings["tails"]) == "exact",
        parse=spec.parse,
        na_values=spec.na_values,
    )


def _fit_otherwise(
    sampled: Sampled,
    declared: ColumnSpec,
    problem: Refuted | UnreadText,
    settings: Settings,
    watch: Stopwatch,
) -> tuple[ColumnSpec, FittedColumns]:
    """A column that the rows showed to be otherwise than the sample: another kind, and a fit from another scan.

    The kind comes from the sample and the values that were otherwise.
    """
    source, column = sampled.run.source, sampled.rows.column(declared.name)
    values = problem.values
    column = pa.chunked_array([*column.chunks, pa.array(values, column.type)], column.type)
    rows = pa.Table.from_arrays([column], [declared.name])
    told_apart = replace(_recognised(source, settings, declared), identifiers=bool(values))
    alone = TableSchema((declared,)).inferred(rows, source.name, lambda _: told_apart)[declared.name]
    spec = replace(alone, reason=f"{alone.reason}; {str(problem).partition(': ')[2].partition(';')[0]}")
    _LOG.info('%s; it is planned again as "%s", with another scan', problem, spec.kind)
    requests = requests_of(TableSchema((spec,)), settings)
    return spec, fit_table(Sampled(sampled.run, rows), requests, watch)


def _check_encoded_names(schema: TableSchema) -> None:
    """Refuse columns whose encoded parts would have the same name."""
    encoded = [spec.name for spec in schema.used if not issubclass(KINDS[spec.kind].column, PassthroughColumn)]
    names = Counter(set(schema.names).difference(encoded))
    names.update(name for column in encoded for name in (NAMES.scalar(column), NAMES.mode(column)))
    double = [name for name, count in names.items() if count > 1]
    if double:
        raise InputError(f'two columns would both be encoded as "{double[0]}"; rename one of them, or drop it')


def _unchanged_columns(before: TableModel, source: Source, schema: TableSchema) -> FittedColumns:
    """The columns that were fitted before and are not declared otherwise now."""
    if before.source != source.fingerprint():
        raise InputError(f"{source.name}: is not the source that the earlier fit read; call fit")
    known = {spec.name: (spec.kind, dict(spec.options)) for spec in before.schema.columns}
    declared = {spec.name: (spec.kind, dict(spec.options)) for spec in schema.used}
    columns = {column.name: column for column in before.columns if known[column.name] == declared.get(column.name)}
    summaries = {name: summary for name, summary in before.summaries.items() if name in columns}
    return FittedColumns(columns, summaries, {}, before.rows)


def _config(settings: Settings) -> FitConfig:
    """The table's settings of fits."""
    return FitConfig(**{name: settings[name] for name in FitConfig.__dataclass_fields__ if name in settings})


def requests_of(schema: TableSchema, settings: Settings, *, final: bool = True) -> list[ColumnRequest]:
    """What is asked for each column: the table's settings and its own; plans that are not final may be refuted."""
    config = _config(settings)
    every = settings.get("sample_rows") is None  # a step is checked on the rows that are read
    return [
        ColumnRequest(
            spec,
            spec.fit_config(config),
            spec.encoding_rules(settings, config.effort),
            spec.options.get("inf", settings["inf"]) == "missing",
            str(spec.options.get("unknown", settings["unknown"])),
            spec.encoding(config.effort),
            spec.max_categories(settings.get("max_categories")),
            every and spec.fit_config(config).effort != "research",
            final or spec.is_declared,
        )
        for spec in schema.used
    ]


@dataclass(frozen=True, slots=True)
class FittedColumns:
    """Fitted columns by name, what they came from, and the columns that failed.

    Parameters
    ----------
    columns : dict of str to FittedColumn
        The columns that were fitted.
    summaries : dict of str to Summary
        Of the columns of numbers.
    failed : dict of str to Exception
        Why the others were not.
    rows : int
        Rows of the table.
    """

    columns: dict[str, FittedColumn] = field(default_factory=dict)
    summaries: dict[str, Summary] = field(default_factory=dict)
    failed: dict[str, Exception] = field(default_factory=dict)
    rows: int = 0

    def with_others(self, other: FittedColumns) -> FittedColumns:
        """With other columns, or another fit of some that failed."""
        failed = {name: problem for name, problem in self.failed.items() if name not in other.columns}
        columns, summaries = self.columns | other.columns, self.summaries | other.summaries
        return FittedColumns(columns, summaries, failed | other.failed, max(self.rows, other.rows))


@quiet_k_means()
def fit_table(sampled: Sampled, requests: Sequence[ColumnRequest], watch: Stopwatch) -> FittedColumns:
    """Fit every requested column of a source.

    Parameters
    ----------
    sampled : Sampled
        The training rows and a sample of them.
    requests : sequence of ColumnRequest
        The columns.
    watch : Stopwatch
        Counts the seconds of each stage.

    Raises
    ------
    InputError
        For a source without rows. What is wrong with single columns is told by `failed`.
    """
    run, source = sampled.run, sampled.run.source
    if sampled.rows.num_rows == 0:
        raise InputError(f"{source.name}: there are no rows to fit on")
    lowest = _lowest(sampled, [request for request in requests if request.spec.needs_lowest])
    ready = {request.name: request for request in requests if request.name not in lowest.failed}
    planned = map_columns(run.executor.threads, partial(_plan_column, sampled, lowest.good), ready)
    not_planned = lowest.failed | planned.failed
    watch.lap("plan")
    read = {name: plan for name, plan in planned.good.items() if plan.needs_rows}
    if not read and not not_planned:
        read = planned.good
    summarised = summarise_columns(list(read.values()), run, sampled.blocks)
    watch.lap("scan")
    rows = max((statistics.rows for statistics in summarised.good.values()), default=source.rows or 0)
    if read and not summarised.good and not summarised.failed:
        raise _rows_gone(source)
    plans = {name: plan for name, plan in planned.good.items() if name in summarised.good or not plan.needs_rows}
    fitted = _fit_planned(run, plans, summarised.good, rows)
    watch.lap("fit")
    return replace(fitted, failed=not_planned | summarised.failed | fitted.failed)


def _rows_gone(source: Source) -> SourceChangedError:
    """The refusal of a source that had rows when it was sampled."""
    return SourceChangedError(f"{source.name}: its rows were gone when it was read again; give a source that stays")


def _fit_planned(
    run: Run, plans: Mapping[str, ColumnPlan], counted: Mapping[str, Any], rows: int, *, all_rows: bool = True
) -> FittedColumns:
    """Columns from the statistics of their rows; see `fit_numbers`."""
    together = [cast(NumberPlan, plan) for plan in plans.values() if plan.fitted_together]
    numbers, summaries = fit_numbers(run, together, counted, all_rows=all_rows)
    alone = {
        name: (plan, counted[name] if plan.needs_rows else RowCount(rows, 0))
        for name, plan in plans.items()
        if not plan.fitted_together
    }
    others = map_columns(run.executor.threads, lambda pair: pair[0].fit(pair[1]), alone)
    return FittedColumns(numbers.good | others.good, summaries, numbers.failed | others.failed, rows)


def _plan_column(sampled: Sampled, lowest: Mapping[str, Lowest], request: ColumnRequest) -> ColumnPlan:
    name, rows = request.name, sampled.rows
    unread = pa.chunked_array([], sampled.run.source.schema.field(name).type)  # of a passthrough column
    sample = rows.column(name) if name in rows.schema.names else unread
    return KINDS[request.spec.kind].plan(request, sample, lowest.get(name))


def _lowest(sampled: Sampled, requests: Sequence[ColumnRequest]) -> Results[Lowest]:
    """The smallest ordinary value of each log column, over all rows."""
    if not requests:
        return Results({}, {})
    run, source = sampled.run, sampled.run.source
    if not source.repeatable:
        raise InputError(
            f'{source.name}: column "{requests[0].name}": a logarithm needs the smallest value before the fit, but '
            "this source can be read only once; give a file or a table"
        )
    planned = map_columns(
        run.executor.threads,
        lambda request: lowest_plan(request, sampled.rows.column(request.name)),
        {request.name: request for request in requests},
    )
    found = summarise_columns(list(planned.good.values()), run)
    if planned.good and not found.good and not found.failed:
        raise _rows_gone(source)
    return Results(found.good, planned.failed | found.failed)


@quiet_k_means()
def add_rows(run: Run, model: TableModel, plans: Sequence[NumberPlan], old: Mapping[str, Summary]) -> FittedColumns:
    """Columns with more rows: new statistics merged into the old ones, and fitted again.

    Parameters
    ----------
    run : Run
        The new rows, engine, executor and block size.
    model : TableModel
        The fitted columns.
    plans : sequence of NumberPlan
        Plans of the columns of numbers, with the grids of their summaries.
    old : mapping of str to Summary
        Their summaries.
    """
    others: tuple[Any, ...] = (*model.categorical, *model.identifiers)
    uncounted: tuple[Any, ...] = tuple(column for column in model.columns if column.kind == "pass")
    read: dict[str, Any] = {plan.name: plan for plan in plans} | {column.name: column.plan() for column in others}
    unread = {column.name: column.plan() for column in uncounted}
    summarised = summarise_columns(list((read or unread).values()), run)
    for plan in plans:
        if plan.name in summarised.good:
            refuse_infinite(run, plan, summarised.good[plan.name], fitted=True)
    if summarised.failed:
        return FittedColumns(failed=summarised.failed)
    rows = max((statistics.rows for statistics in summarised.good.values()), default=0)
    offset = max(column.fit.rows for column in model.columns)
    counted: dict[str, Any] = {**old, **{column.name: column.counted() for column in others}}
    if rows:
        added = summarised.good | {column.name: summarised.good[column.name].shifted(offset) for column in others}
        counted |= {name: counted[name].merge(added[name]) for name in read}
    return _fit_planned(run, read | unread, counted, offset + rows, all_rows=False)

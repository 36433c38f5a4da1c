"""From a source and settings to fitted columns: schema, sample, scan and fit, and further fits after a failure."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, cast

import pyarrow as pa

from gpuvgm.columns import ColumnPlan, ColumnSpec, FittedColumn, NumberPlan, TableModel, TableSchema, check_settings
from gpuvgm.errors import InputError, Results, SourceChangedError, naming
from gpuvgm.execution import (
    Need,
    RowSample,
    Run,
    RunSettings,
    Sampled,
    map_columns,
    summarise_columns,
)
from gpuvgm.io import Source, is_number_type
from gpuvgm.mixture import quiet_k_means
from gpuvgm.rules import whole
from gpuvgm.summary import Summary
from gpuvgm.table.numeric_fit import fit_numbers, read_once, refuse_infinite

_FIT_SEED = whole(0, 2**32 - 1)  # what k-means takes
_LOG = logging.getLogger("gpuvgm")
Settings = Mapping[str, Any]


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
        """Add the time since the last call to a stage."""
        moment = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + moment - self._last
        self._last = moment


@dataclass(frozen=True, slots=True)
class Fit:
    """A fit of a table, and how it was made.

    Parameters
    ----------
    model : TableModel
        The columns, with summaries and failures.
    seconds : dict of str to float
        Seconds of its stages.
    engine : str
        The engine that fitted, and why it was taken.
    parts : sequence of mapping
        The time of each part of the rows.
    """

    model: TableModel
    seconds: Mapping[str, float]
    engine: str
    parts: Sequence[Mapping[str, Any]]


def fit_source(
    table: Source,
    settings: Settings,
    run_settings: RunSettings,
    earlier_fit: TableModel | None = None,
    found: Mapping[str, tuple[Mapping[str, Any], str]] = MappingProxyType({}),
) -> Fit:
    """Fit the columns of a source.

    Parameters
    ----------
    table : Source
        The training rows, of which a sample may be fitted.
    settings : mapping
        The table's settings, by the names of `TableTransformer`.
    run_settings : RunSettings
        Where and how rows are worked on.
    earlier_fit : TableModel, optional
        An unfinished fit of the same source; only the columns that it lacks are fitted.
    found : mapping of str to (mapping, str)
        Options of columns that are not declared, such as those of keys, with the reasons.

    Raises
    ------
    InputError
        For settings, declarations or a source that cannot be used at all, or when every column fails.
    """
    settings = with_seed(settings, None if earlier_fit is None else earlier_fit.seed)
    schema = TableSchema.declare(settings["columns"], table.schema, table.name).with_found(found)
    with training_run(table, schema, settings, run_settings) as run:
        watch = Stopwatch()
        model = _fit_rows(run, schema, settings, earlier_fit, watch)
    name = "reference" if run.engine == "auto" else run.engine  # as `choose_engine` has it
    reason = "where the rows lie" if run_settings.engine == "auto" else "as asked for"
    return Fit(model, watch.seconds, f"{name}, {reason}", run.parts_done)


def with_seed(settings: Settings, seed: int | None = None) -> Settings:
    """Settings with a seed, which is drawn where there is none; the columns of a model share one."""
    random_state = settings["random_state"]
    random_state = secrets.randbits(32) if random_state is None else int(_FIT_SEED(random_state, "random_state"))
    return {**settings, "random_state": random_state if seed is None else seed}


@contextmanager
def training_run(table: Source, schema: TableSchema, settings: Settings, run_settings: RunSettings) -> Iterator[Run]:
    """The run over the training rows of a source: all of them, or the sample that the settings say."""
    fields = table.fields(schema.names)
    sample, sample_bytes = RowSample.of(settings["sample_rows"], stratified=settings["stratified"]), 0
    if sample is not None:
        sample_bytes = sample.size(fields, table.rows)
        with run_settings.run("take a sample", table, lambda: Need.fit(fields, sample_bytes)) as run:
            table = sample.take(table, schema.names, settings["random_state"])
            if run.executor.progress is not None:
                run.executor.progress(table.rows)
    with run_settings.run("fit", table, lambda: Need.fit(fields, sample_bytes)) as run:
        yield run


def infer_kinds(run: Run, declared: TableSchema, settings: Settings) -> tuple[Sampled, TableSchema]:
    """A sample of the rows of a run, and the columns, each with the kind that the sample shows."""
    check_settings(settings)
    research = any(spec.options.get("effort", settings["effort"]) == "research" for spec in declared.used)
    sampled = Sampled.of(run, declared.needed or declared.names, settings["random_state"], fine=not research)
    return sampled, _kinds_in(sampled, declared, settings)


def _kinds_in(sampled: Sampled, declared: TableSchema, settings: Settings) -> TableSchema:
    """The columns, each with the kind that the sample shows or that was declared."""
    source, threads = sampled.run.source, sampled.run.executor.threads
    rows = source.rows
    return declared.inferred(sampled.rows, source.name, lambda spec: spec.inference_settings(settings, rows), threads)


def _fit_rows(
    run: Run, schema: TableSchema, settings: Settings, earlier_fit: TableModel | None, watch: Stopwatch
) -> TableModel:
    """Fit the declared columns on all rows of a run."""
    source, seed = run.source, settings["random_state"]
    # What all rows would make of text would be known after rows that are read once are gone.
    declared = schema if source.repeatable else schema.as_expected()
    sampled, schema = infer_kinds(run, declared, settings)
    watch.lap("sample and kinds")
    if not source.repeatable and settings["algorithm"] == "exact" and schema.has_mixtures:
        raise read_once(source.name)
    unchanged = FittedColumns() if earlier_fit is None else _unchanged_columns(earlier_fit, source, schema)
    remaining = schema.without(unchanged.columns)
    # A plan that the rows refute costs another scan, which a source that is read once does not have.
    fitted = unchanged.with_others(fit_table(sampled, remaining, settings, watch, final=not source.repeatable))
    for name, problem in fitted.failed.items() if source.repeatable else ():
        try:
            revised = declared.revised(name, problem, sampled.rows, source, settings)
            if revised is None:
                continue
            revised_schema, rows = revised
            refit = fit_table(Sampled(run, rows), revised_schema, settings, watch)
            schema = schema.with_others(revised_schema)
        except InputError as second_problem:  # one that is refuted twice has failed
            refit = FittedColumns(failed={name: naming(name, second_problem)})
        fitted = fitted.with_others(refit)
    conflicts = declared.conflicts(fitted.specs)
    if conflicts.columns:
        conflicts = _kinds_in(sampled, conflicts, settings)
        refit = fit_table(Sampled(run, sampled.rows), conflicts, settings, watch)
        fitted, schema = fitted.without(conflicts.names).with_others(refit), schema.with_others(conflicts)
    schema = schema.with_others(TableSchema(tuple(fitted.specs.values())))
    failed = {name: str(fitted.failed[name]) for name in schema.names if name in fitted.failed}
    if failed and not fitted.columns:
        raise next(fitted.failed[name] for name in failed)
    columns = tuple(fitted.columns[name] for name in schema.names if name in fitted.columns)
    return TableModel(columns, seed, fitted.rows, source.fingerprint(), schema, fitted.summaries, failed)


def _unchanged_columns(earlier_fit: TableModel, source: Source, schema: TableSchema) -> FittedColumns:
    """The columns of an earlier fit whose declaration has not changed."""
    if earlier_fit.source != source.fingerprint():
        raise InputError(f"{source.name}: is not the source that the earlier fit read; call fit")
    earlier = {spec.name: spec for spec in earlier_fit.schema.columns}
    specs = {spec.name: spec for spec in schema.used}
    # The same rows decide again as they did of text whose kind the sample leaves open.
    decided = {name: earlier[name] for name, spec in specs.items() if spec.remark is not None and name in earlier}
    specs |= {name: spec for name, spec in decided.items() if not spec.is_declared}
    columns = {
        column.name: column for column in earlier_fit.columns if earlier[column.name].is_like(specs.get(column.name))
    }
    summaries = {name: summary for name, summary in earlier_fit.summaries.items() if name in columns}
    decided = {name: spec for name, spec in decided.items() if name in columns}
    return FittedColumns(columns, summaries, {}, earlier_fit.rows, decided)


@dataclass(frozen=True, slots=True)
class FittedColumns:
    """Fitted columns by name, their summaries, and the columns that failed.

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
    specs : dict of str to ColumnSpec
        Of columns whose kind all rows decided.
    """

    columns: dict[str, FittedColumn] = field(default_factory=dict)
    summaries: dict[str, Summary] = field(default_factory=dict)
    failed: dict[str, Exception] = field(default_factory=dict)
    rows: int = 0
    specs: dict[str, ColumnSpec] = field(default_factory=dict)

    def with_others(self, fitted: FittedColumns) -> FittedColumns:
        """Add other columns, or another fit of some that failed."""
        failed = {name: problem for name, problem in self.failed.items() if name not in fitted.columns}
        columns, summaries = self.columns | fitted.columns, self.summaries | fitted.summaries
        rows, specs = max(self.rows, fitted.rows), self.specs | fitted.specs
        return FittedColumns(columns, summaries, failed | fitted.failed, rows, specs)

    def without(self, names: Collection[str]) -> FittedColumns:
        """Take out columns that are neither numbers nor failed."""
        columns = {name: column for name, column in self.columns.items() if name not in names}
        return replace(self, columns=columns, specs={name: s for name, s in self.specs.items() if name not in names})


@quiet_k_means()
def fit_table(
    sampled: Sampled, schema: TableSchema, settings: Settings, watch: Stopwatch, *, final: bool = True
) -> FittedColumns:
    """Fit the columns of a source.

    Parameters
    ----------
    sampled : Sampled
        The training rows and a sample of them.
    schema : TableSchema
        The columns, each with its kind.
    settings : mapping
        The table's settings.
    watch : Stopwatch
        Counts the seconds of each stage.
    final : bool
        Whether what the sample says of them is not looked at again where the rows refute it.

    Raises
    ------
    InputError
        For a source without rows. What is wrong with single columns is told by `failed`.
    """
    run, source = sampled.run, sampled.run.source
    refuse_empty(sampled)
    _refuse_logarithms(source, schema)
    plan_results = plan_columns(sampled, schema, settings, final=final)
    watch.lap("plan")
    scan_plans = {name: plan for name, plan in plan_results.good.items() if plan.needs_rows}
    if not scan_plans and not plan_results.failed:  # one scan at least counts the rows
        scan_plans = plan_results.good
    scan_results = summarise_columns(list(scan_plans.values()), run, sampled.blocks)
    watch.lap("scan")
    rows = max((statistics.rows for statistics in scan_results.good.values()), default=source.rows or 0)
    if scan_plans and not scan_results.good and not scan_results.failed:
        raise _vanished_rows(source)
    plans = {name: plan for name, plan in plan_results.good.items() if name in scan_results.good or not plan.needs_rows}
    fitted = _fit_planned(run, plans, scan_results.good, rows)
    watch.lap("fit")
    return replace(fitted, failed=plan_results.failed | scan_results.failed | fitted.failed)


def refuse_empty(sampled: Sampled) -> None:
    """Refuse a source without rows."""
    if sampled.rows.num_rows == 0:
        raise InputError(f"{sampled.run.source.name}: there are no rows to fit on")


def _refuse_logarithms(source: Source, schema: TableSchema) -> None:
    """Refuse columns that need their smallest value before the fit, where the rows can be read only once."""
    names = [spec.name for spec in schema.used if spec.needs_lowest]
    if names and not source.repeatable:
        raise InputError(
            f'{source.name}: column "{names[0]}": a logarithm needs the smallest value before the fit, but '
            "this source can be read only once; give a file or a table"
        )


def _vanished_rows(source: Source) -> SourceChangedError:
    """The error for a source that had rows when it was sampled, and has none now."""
    return SourceChangedError(f"{source.name}: its rows were gone when it was read again; give a source that stays")


def _fit_planned(
    run: Run, plans: Mapping[str, ColumnPlan], statistics: Mapping[str, Any], rows: int, *, all_rows: bool = True
) -> FittedColumns:
    """Fit columns from the statistics of their rows; see `fit_numbers`."""
    number_plans = [cast(NumberPlan, plan) for plan in plans.values() if plan.fitted_together]
    numbers, summaries = fit_numbers(run, number_plans, statistics, all_rows=all_rows)
    single_plans = {
        name: (plan, statistics[name] if plan.needs_rows else rows)
        for name, plan in plans.items()
        if not plan.fitted_together
    }
    other_columns = map_columns(run.executor.threads, lambda pair: pair[0].fit(pair[1]), single_plans)
    fitted_plans = {name: single_plans[name] for name in other_columns.good}
    specs = {name: spec for name, (plan, counts) in fitted_plans.items() if (spec := plan.final_spec(counts))}
    failed = numbers.failed | other_columns.failed
    return FittedColumns(numbers.good | other_columns.good, summaries, failed, rows, specs)


def plan_columns(sampled: Sampled, schema: TableSchema, settings: Settings, *, final: bool) -> Results[ColumnPlan]:
    """Plans of the columns of a schema from the sample; some need another scan of the rows before."""
    run, rows, names = sampled.run, sampled.rows, set(sampled.rows.schema.names)
    planners = schema.planners(settings, final=final)

    def sample(name: str) -> pa.ChunkedArray[Any]:
        if name in names:
            return rows.column(name)
        return pa.chunked_array([], run.source.schema.field(name).type)  # of a passthrough column

    def plan(name: str) -> ColumnPlan:
        return planners[name](sample(name))

    plans: Results[ColumnPlan] = map_columns(run.executor.threads, plan, {name: name for name in planners})
    first = {name: plan for name, plan in plans.good.items() if plan.comes_first}
    if not first:
        return plans
    scan_results = summarise_columns(list(first.values()), run)
    if not scan_results.good and not scan_results.failed:
        raise _vanished_rows(run.source)

    def next_plan(name: str) -> ColumnPlan:
        return first[name].next_plan(scan_results.good[name], sample(name))

    following = map_columns(run.executor.threads, next_plan, {name: name for name in scan_results.good})
    failed = scan_results.failed | following.failed
    return Results(Results(following.good, failed).renew(plans.good), plans.failed | failed)


def new_files(table: Source, origin: Mapping[str, Any]) -> Source | None:
    """The files of a table that a fit has not seen; None where there are none.

    Parameters
    ----------
    table : Source
        The files.
    origin : mapping
        Fingerprint of the source of the fit.

    Raises
    ------
    InputError
        For a fit on a sample, and a source that is no files.
    SourceChangedError
        For files of the fit that are gone or changed.
    """
    if "sample" in origin:
        raise InputError(
            f"{table.name}: the model was fitted on a sample, beside which all rows of new files would weigh too much; "
            "fit again"
        )
    return table.new_since(origin)


def check_can_grow(model: TableModel) -> None:
    """Refuse a model to which no rows can be added.

    Raises
    ------
    InputError
        If it lacks a summary, or a value of a column.
    """
    if not all(column.name in model.summaries for column in model.numeric):
        raise InputError("this model was saved without its summaries: save it with summaries=True to add rows later")
    empty = [column.name for column in model.numeric if column.minimum is None]
    empty += [c.name for c in model.categorical if c.categories == (None,) and is_number_type(c.decoded_type)]
    if empty:
        raise InputError(f'column "{empty[0]}" had no value at fit, so rows cannot be added: fit again with all rows')


def add_rows(table: Source, model: TableModel, settings: Settings, run_settings: RunSettings) -> TableModel:
    """Fit columns again with more rows.

    Parameters
    ----------
    table : Source
        The new rows.
    model : TableModel
        The fitted columns, with their summaries; see `check_can_grow`.
    settings, run_settings : mapping, RunSettings
        As for `fit_source`.

    Raises
    ------
    InputError
        If the rows do not match the model.
    """
    model.check_source(table)
    plans = model.number_plans(settings)
    with run_settings.run("fit", table, lambda: Need.fit(table.fields(model.names))) as run:
        fitted = _fit_merged(run, model, plans)
    for problem in fitted.failed.values():
        raise problem
    origin = table.added_to({name: part for name, part in model.source.items() if name != "sample"})
    columns = tuple(fitted.columns[name] for name in model.names)
    return replace(model, columns=columns, rows=fitted.rows, source=origin, summaries=fitted.summaries)


@quiet_k_means()
def _fit_merged(run: Run, model: TableModel, plans: Sequence[NumberPlan]) -> FittedColumns:
    """Fit columns from the statistics of the rows of a run, merged into those of the rows before.

    `plans` are those of the columns of numbers, with the grids of their summaries.
    """
    counted_columns: tuple[Any, ...] = (*model.categorical, *model.identifiers)
    passthrough: tuple[Any, ...] = tuple(column for column in model.columns if column.kind == "pass")
    scan_plans: dict[str, Any] = {plan.name: plan for plan in plans} | {
        column.name: column.plan() for column in counted_columns
    }
    unread_plans = {column.name: column.plan() for column in passthrough}
    scan_results = summarise_columns(list((scan_plans or unread_plans).values()), run)
    for plan in plans:
        if plan.name in scan_results.good:
            refuse_infinite(run, plan, scan_results.good[plan.name], fitted=True)
    if scan_results.failed:
        return FittedColumns(failed=scan_results.failed)
    rows = max((statistics.rows for statistics in scan_results.good.values()), default=0)
    # Categories are ordered by their first rows, which are numbered after those of the earlier fits.
    offset = max(column.fit.rows for column in model.columns)
    totals: dict[str, Any] = {**model.summaries, **{column.name: column.counted() for column in counted_columns}}
    if rows:
        sums = scan_results.good | {
            column.name: scan_results.good[column.name].shifted(offset) for column in counted_columns
        }
        totals |= {name: totals[name].merge(sums[name]) for name in scan_plans}
    return _fit_planned(run, scan_plans | unread_plans, totals, offset + rows, all_rows=False)

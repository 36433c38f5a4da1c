"""From a source and settings to fitted columns: schema, sample, scan, fit, and what is left to do after a failure."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.arrays import Array, Column, host_rows, namespace_of, to_numpy
from gpuvgm.columns import numeric
from gpuvgm.columns.base import MODE, SCALAR, ColumnPlan, ColumnRequest
from gpuvgm.columns.codecs import UnreadText
from gpuvgm.columns.codecs.texts import stray_of
from gpuvgm.columns.general import column_of_range
from gpuvgm.columns.inference import LEAST_VALUE_SHARE, Recognised, Refuted
from gpuvgm.columns.model import KINDS, ColumnModel, FittedTable, TableModel
from gpuvgm.columns.numbers import TOO_SMALL, ordinary_numbers
from gpuvgm.columns.numeric import (
    Lowest,
    NumberPlan,
    check_reach,
    lowest_plan,
    needs_more_rows,
    refine,
    reseed,
    settled,
)
from gpuvgm.columns.passthrough import PassthroughColumn, PassthroughPlan, RowCount
from gpuvgm.columns.schema import ColumnSpec, TableSchema, check_settings
from gpuvgm.config import SUMMARY_ROWS, FitConfig
from gpuvgm.engines import ChunkSums, get_engine
from gpuvgm.errors import InputError, SourceChangedError, counted_values
from gpuvgm.execution.aggregate import COLUMN_PROBLEMS, Checkpoint, Failure, Results, side_by_side, summarise_columns
from gpuvgm.execution.context import Run
from gpuvgm.execution.sampling import Sampled, take_sample
from gpuvgm.execution.worker_rows import HeldChunks, WorkerRows, ordinary_of, rows_on_workers
from gpuvgm.io import Block, Source, place_of_text, stray_text
from gpuvgm.mixture.accumulate import ColumnMoments, RowSums, Scan, over_array, over_rows, over_scan, over_workers
from gpuvgm.mixture.initialization import Seeds, is_far_from_zero, k_means_seeds, quiet_k_means
from gpuvgm.mixture.rows import Rows
from gpuvgm.mixture.statistics import ComponentStatistics
from gpuvgm.mixture.summary_fit import Accumulators, ColumnFit, ColumnFits, Outcome, fit, fit_rows, renewed
from gpuvgm.summary.grid import Floats, Grid
from gpuvgm.summary.summary import Summary

EXACT_BYTES, K_MEANS_BYTES = 64, 64  # a row; measured: 117 together
SEEDING_ROWS = 1 << 24  # k-means runs on all rows of workers up to so many, which go to one of them: 128 MiB
LARGEST_NUMBER = 2.0**500  # in a frame; squares must not overflow
_LOG = logging.getLogger("gpuvgm")
Settings = Mapping[str, Any]
Lap = Callable[[str], None]
REFUTED = (Refuted, UnreadText)  # what costs another plan
_PARTS = {
    "continuous": (SCALAR, MODE),
    "mixed": (SCALAR, MODE),
    "general": (SCALAR, MODE),
    "categorical": (SCALAR, MODE),
    "id": ("",),
    "pass": ("",),
}


def no_lap(stage: str) -> None:
    """No one counts the time."""


def fit_source(  # noqa: PLR0913 - what a fit goes on from, and who hears of it
    source: Source,
    schema: TableSchema,
    settings: Settings,
    run: Run,
    before: FittedTable | None = None,
    checkpoint: Checkpoint | None = None,
    lap: Lap = no_lap,
) -> FittedTable:
    """Fit the columns of a source.

    Parameters
    ----------
    source : Source
        The training rows.
    schema : TableSchema
        The columns, as they are declared.
    settings : mapping
        The table's settings, by the names of `TableTransformer`.
    run : Run
        Engine, executor and block size.
    before : FittedTable, optional
        What an earlier fit of the same source finished; only the other columns are fitted.
    checkpoint : Checkpoint, optional
        Where scans of the source are kept.
    lap : callable, optional
        Called with the name of each stage when it is done.

    Raises
    ------
    InputError
        For settings, declarations or a source that cannot be used at all, or when every column fails.
    """
    check_settings(settings)
    seed = settings["random_state"]
    research = any(spec.options.get("effort", settings["effort"]) == "research" for spec in schema.used)
    sampled = take_sample(source, schema.needed or schema.names, run, seed, fine=not research)
    declared, recognised = schema, _recognised(source, settings)
    stray = partial(_stray, source, sampled.rows)
    schema = schema.inferred(sampled.rows, source.name, stray, recognised, run.executor.threads)
    _check_names(schema)
    lap("sample and kinds")
    requests = requests_of(schema, settings, final=not source.repeatable)
    _refuse_exact(source, requests)
    if before is not None:
        kept = _kept(before, source, schema)
        requests = [request for request in requests if request.name not in kept]
    fitted = fit_table(sampled, requests, run, checkpoint, lap) if requests else FittedColumns({}, {}, {}, 0)
    if source.repeatable and any(isinstance(failure.problem, REFUTED) for failure in fitted.failed.values()):
        again = Replanning(sampled, declared, settings, run, checkpoint)
        schema, fitted = again.of(schema, fitted)
    if before is not None:
        return _resumed(before, schema, kept, fitted)
    return _table(schema, fitted, seed, source)


def _recognised(source: Source, settings: Settings) -> Callable[[ColumnSpec], Recognised]:
    """What is told apart in columns beside their types: nothing where the effort is the research code's."""

    def of_column(spec: ColumnSpec) -> Recognised:
        if spec.options.get("effort", settings["effort"]) == "research":
            return Recognised()
        return Recognised(
            texts=True,
            identifiers=True,
            rows=source.rows,
            least_share=LEAST_VALUE_SHARE,
            components=spec.fit_config(_config(settings)).n_components,
        )

    return of_column


def _stray(source: Source, rows: pa.Table, name: str) -> str | None:
    """Where text stands in a column that holds numbers, dates or times otherwise; None for real text."""
    told = stray_text(source, name)
    found = None if told else stray_of(rows.column(name))
    if found is None:
        return told
    value, what = found
    place = place_of_text(source, name, value) or source.name
    return f'{place}: column "{name}": {value[:60]!r} is no {what}, as others there are'


@dataclass(frozen=True, slots=True)
class Replanning:
    """Another plan for columns that the rows showed to be otherwise than the sample.

    Parameters
    ----------
    sampled : Sampled
        The training rows, which can be read again, and the sample.
    declared : TableSchema
        The columns as they were declared.
    settings : mapping
        The table's settings.
    run : Run
        Engine, executor and block size.
    checkpoint : Checkpoint, optional
        Where scans of the source are kept.
    """

    sampled: Sampled
    declared: TableSchema
    settings: Settings
    run: Run
    checkpoint: Checkpoint | None

    def of(self, schema: TableSchema, fitted: FittedColumns) -> tuple[TableSchema, FittedColumns]:
        """The table with the columns that were refuted fitted again; one that is refuted twice has failed."""
        for name, failure in list(fitted.failed.items()):
            if not isinstance(failure.problem, REFUTED):
                continue
            try:
                spec, again = self._column(name, failure.problem)
            except InputError as problem:
                again = FittedColumns({}, {}, {name: Failure.of(name, problem)}, 0)
            else:
                schema = schema.with_column(spec)
            fitted = fitted.renewed(name, again)
        return schema, fitted

    def _column(self, name: str, problem: Refuted | UnreadText) -> tuple[ColumnSpec, FittedColumns]:
        """One column: its kind from the sample and the values that were otherwise, and its fit from another scan."""
        source, column = self.sampled.source, self.sampled.rows.column(name)
        values = problem.values
        column = pa.chunked_array([*column.chunks, pa.array(values, column.type)], column.type)
        rows = pa.Table.from_arrays([column], [name])
        told_apart = replace(_recognised(source, self.settings)(self.declared[name]), identifiers=bool(values))
        alone = TableSchema((self.declared[name],)).inferred(
            rows, source.name, partial(_stray, source, rows), lambda _: told_apart
        )
        spec = replace(alone[name], reason=f"{alone[name].reason}; {str(problem).partition(': ')[2].partition(';')[0]}")
        _LOG.info('%s; it is planned again as "%s", with another scan', problem, spec.kind)
        requests = requests_of(TableSchema((spec,)), self.settings)
        return spec, fit_table(Sampled(source, rows), requests, self.run, self.checkpoint)


def _check_names(schema: TableSchema) -> None:
    """Refuse columns whose encoded parts would have the same name."""
    names = Counter(name for spec in schema.used for name in [spec.name + part for part in _PARTS[spec.kind]])
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


def _kept(before: FittedTable, source: Source, schema: TableSchema) -> dict[str, ColumnModel]:
    """The columns that were fitted before and are not declared otherwise now."""
    if before.source != source.fingerprint():
        raise InputError(f"{source.name}: is not the source that the earlier fit read; fit again without resume")
    known = {spec.name: (spec.kind, dict(spec.options)) for spec in before.schema.columns}
    return {
        spec.name: before.columns[spec.name]
        for spec in schema.used
        if spec.name in before.columns and known[spec.name] == (spec.kind, dict(spec.options))
    }


def _resumed(
    before: FittedTable, schema: TableSchema, kept: dict[str, ColumnModel], fitted: FittedColumns
) -> FittedTable:
    """What was fitted before, and the columns that were not or are declared otherwise now."""
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
            spec.inf(settings["inf"]) == "missing",
            spec.unknown(settings["unknown"]),
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

    def renewed(self, name: str, again: FittedColumns) -> FittedColumns:
        """With another fit of a column that failed."""
        failed = {other: failure for other, failure in self.failed.items() if other != name}
        columns, summaries = self.columns | again.columns, self.summaries | again.summaries
        return FittedColumns(columns, summaries, failed | again.failed, max(self.rows, again.rows))


@quiet_k_means()
def fit_table(
    sampled: Sampled,
    requests: Sequence[ColumnRequest],
    run: Run,
    checkpoint: Checkpoint | None = None,
    lap: Lap = no_lap,
) -> FittedColumns:
    """Fit every requested column of a source.

    Parameters
    ----------
    sampled : Sampled
        The training rows and a sample of them.
    requests : sequence of ColumnRequest
        The columns.
    run : Run
        Engine, executor and block size.
    checkpoint : Checkpoint, optional
        Where scans of the source are kept.
    lap : callable, optional
        Called with the name of each stage when it is done.

    Raises
    ------
    InputError
        For a source without rows. What is wrong with single columns is told by `failed`.
    """
    source = sampled.source
    if sampled.rows.num_rows == 0:
        raise InputError(f"{source.name}: there are no rows to fit on")
    planned = _plans(sampled, requests, run, checkpoint)
    lap("plan")
    unread = {name: plan for name, plan in planned.good.items() if not plan.needs_rows}
    read = {name: plan for name, plan in planned.good.items() if name not in unread}
    if not read and not planned.failed:
        read = dict(unread)
    summarised = summarise_columns(list(read.values()), source, run, checkpoint, sampled.blocks)
    lap("scan")
    rows = max((statistics.rows for statistics in summarised.good.values()), default=source.rows or 0)
    if read and not summarised.good and not summarised.failed:
        raise SourceChangedError(f"{source.name}: its rows were gone when it was read again; give a source that stays")
    together = [plan for name, plan in read.items() if plan.fitted_together and name in summarised.good]
    numbers, summaries = fit_numbers(source, cast(list[NumberPlan], together), summarised.good, run, checkpoint)
    alone = {
        name: (plan, summarised.good[name])
        for name, plan in read.items()
        if plan.needs_rows and not plan.fitted_together and name in summarised.good
    }
    categorical = side_by_side(run, lambda pair: pair[0].fit(pair[1]), alone)
    passthrough = {name: plan.fit(RowCount(rows, 0)) for name, plan in unread.items()}
    columns = numbers.good | categorical.good | passthrough
    failed = planned.failed | summarised.failed | numbers.failed | categorical.failed
    lap("fit")
    return FittedColumns(columns, summaries, failed, rows)


def _plans(
    sampled: Sampled, requests: Sequence[ColumnRequest], run: Run, checkpoint: Checkpoint | None
) -> Results[ColumnPlan]:
    """Plans of all columns; those with a logarithm need a scan of their own before."""
    by_name = {request.name: request for request in requests}
    lowest = _lowest(sampled, [request for request in requests if request.spec.log], run, checkpoint)
    ready = {name: request for name, request in by_name.items() if name not in lowest.failed}
    planned = side_by_side(run, partial(_plan, sampled, lowest.good), ready)
    return Results(planned.good, lowest.failed | planned.failed)


def _plan(sampled: Sampled, lowest: Mapping[str, Lowest], request: ColumnRequest) -> ColumnPlan:
    name, rows = request.name, sampled.rows
    unread = pa.chunked_array([], sampled.source.schema.field(name).type)  # of a passthrough column
    sample = rows.column(name) if name in rows.schema.names else unread
    return KINDS[request.spec.kind].plan(request, sample, lowest.get(name))


def _lowest(
    sampled: Sampled, requests: Sequence[ColumnRequest], run: Run, checkpoint: Checkpoint | None
) -> Results[Lowest]:
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
    found = summarise_columns(list(planned.good.values()), source, run, checkpoint)
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
    counted: tuple[Any, ...] = (*model.categorical, *model.identifiers)
    categories = {column.name: (column.plan(), column.counted()) for column in counted}
    every: list[Any] = [*plans, *(plan for plan, _ in categories.values())]
    unread = [column for column in model.columns if isinstance(column, PassthroughColumn)]
    every = every or [PassthroughPlan(column.name, column.type) for column in unread]
    summarised = summarise_columns(every, source, run)
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
    passthrough = {c.name: PassthroughPlan(c.name, c.type).fit(RowCount(offset + rows, 0)) for c in unread}
    columns_ = numbers.good | categorical.good | passthrough
    return FittedColumns(columns_, summaries, numbers.failed | categorical.failed, offset + rows)


# -- columns of numbers


@dataclass(frozen=True, slots=True)
class Counted:
    """A column, the summary of its rows, and its fit once there is one."""

    plan: NumberPlan
    summary: Summary
    outcome: Outcome | None = None

    @property
    def needs_fit(self) -> bool:
        """Whether a mixture belongs to the column."""
        return not self.plan.ranged and self.summary.ordinary > 0

    def fitted(self, column: ColumnFit) -> Counted:
        """The column with what the driver of fits made of it."""
        sums: Any = column.sums
        return Counted(numeric.plan_of(self.plan, column), sums, column.outcome)


def fit_numbers(
    source: Source,
    plans: Sequence[NumberPlan],
    summaries: Mapping[str, Summary],
    run: Run,
    checkpoint: Checkpoint | None = None,
) -> tuple[Results[ColumnModel], dict[str, Summary]]:
    """Models of columns of numbers from their summaries; rows are read again only where these are not enough.

    Returns
    -------
    results : Results
        Models and failures.
    summaries : dict of str to Summary
        The summaries that the models came from.
    """
    columns = {plan.name: Counted(plan, summaries[plan.name]) for plan in plans}
    checked = side_by_side(run, partial(_checked, source, run), columns)
    seeded = _seed_again(source, checked.good, run, checkpoint)
    fitted = _fitted(source, seeded.good, run, checkpoint)
    built = side_by_side(run, partial(_model, run), fitted.good)
    kept = {name: fitted.good[name].summary for name in built.good}
    return Results(built.good, checked.failed | seeded.failed | fitted.failed | built.failed), kept


def refit(plans: Sequence[NumberPlan], summaries: Mapping[str, Summary], run: Run) -> Results[ColumnModel]:
    """Models from summaries alone, without any row; fits that miss the promise are warned about."""
    columns = {plan.name: Counted(settled(plan, summaries[plan.name]), summaries[plan.name]) for plan in plans}
    fitted = _fitted(None, columns | _reseeded(columns), run)
    built = side_by_side(run, partial(_model, run), fitted.good)
    return Results(built.good, fitted.failed | built.failed)


def _checked(source: Source, run: Run, column: Counted) -> Counted:
    """The column, its kind and algorithm settled, unless its rows cannot be fitted."""
    plan, summary = settled(column.plan, column.summary), column.summary
    refuse_infinite(source, plan, summary, run)
    _refuse_overflow(plan.name, summary)
    check_reach(plan, summary)
    if plan.config.algorithm == "exact" and not plan.ranged and not source.repeatable:
        raise read_once(f'{source.name}: column "{plan.name}"')
    if plan.config.algorithm == "auto":
        small = summary.rows < SUMMARY_ROWS and source.repeatable
        plan = replace(plan, config=replace(plan.config, algorithm="exact" if small else "summary"))
    return Counted(plan, summary)


def read_once(what: str) -> InputError:
    """The refusal of exact EM over a source that can be read only once."""
    return InputError(
        f'{what}: algorithm="exact" reads the rows in every iteration, but this source can be read only once; '
        'use algorithm="summary", or give a file or a table'
    )


def _seed_again(
    source: Source, columns: dict[str, Counted], run: Run, checkpoint: Checkpoint | None
) -> Results[Counted]:
    """Centres from the summary for columns whose sample had too few ordinary values, and another scan for these."""
    again = _reseeded(columns)
    if not again or not source.repeatable:
        return Results(columns | again, {})
    finer = {name: refine(column.plan, column.summary) for name, column in again.items()}
    scanned = _scanned(source, finer, run, checkpoint)
    counted = {name: Counted(finer[name], summary) for name, summary in scanned.good.items()}
    return Results(renewed(columns, Results(counted, scanned.failed)), scanned.failed)


def _reseeded(columns: dict[str, Counted]) -> dict[str, Counted]:
    """The columns whose sample had too few ordinary values, with centres from their summaries."""
    return {
        name: replace(column, plan=reseed(column.plan, column.summary))
        for name, column in columns.items()
        if needs_more_rows(column.plan, column.summary)
    }


def _scanned(
    source: Source, plans: Mapping[str, NumberPlan], run: Run, checkpoint: Checkpoint | None
) -> Results[Summary]:
    """Summaries of columns on finer grids, from another scan of the rows."""
    _LOG.info("another scan with a finer grid for %s", _quoted(plans))
    return summarise_columns(list(plans.values()), source, run, checkpoint)


@dataclass(slots=True)
class Search:
    """How many columns have their modes.

    Parameters
    ----------
    progress : callable or None
        Called with the number of columns done, and of all.
    names : frozenset of str
        The columns.
    repeatable : bool
        Whether a column that misses the promise is fitted again, from other reads of its rows.
    """

    progress: Callable[[int, int], None] | None
    names: frozenset[str]
    repeatable: bool
    _done: set[str] = field(default_factory=set)

    def note(self, name: str) -> None:
        """A column is done, or has failed."""
        self._done.add(name)
        self.report()

    def note_if_last(self, name: str, result: ColumnFit | Failure) -> None:
        """The same, unless the column is fitted again."""
        if isinstance(result, Failure) or result.is_good or not self.repeatable:
            self.note(name)

    def report(self) -> None:
        """Tell how far the search is."""
        if self.progress is not None and self.names:
            self.progress(len(self._done), len(self.names))

    def end(self) -> None:
        """All are done, also those whose rows could not be read again."""
        if self._done != self.names:
            self._done = set(self.names)
            self.report()


def _fitted(
    source: Source | None, columns: dict[str, Counted], run: Run, checkpoint: Checkpoint | None = None
) -> Results[Counted]:
    """Fits of the columns; without a source that can be read again, from their summaries alone."""
    plans = {name: column.plan for name, column in columns.items() if column.needs_fit}
    begun = {name: numeric.column_of(plan, columns[name].summary) for name, plan in plans.items()}
    if source is None:
        begun = {name: replace(column, asks_exact=False) for name, column in begun.items()}

    def summarise(source: Source, grids: Mapping[str, Grid]) -> Results[Any]:
        for name, grid in grids.items():
            plans[name] = replace(plans[name], grid=grid, refinements=plans[name].refinements + 1, trusted=True)
        return _scanned(source, {name: plans[name] for name in grids}, run, checkpoint)

    def exact(source: Source, left: ColumnFits) -> Results[ColumnFit]:
        return _each_exactly(source, plans, left, run, search)

    def each(work: Callable[[ColumnFit], ColumnFit], pending: ColumnFits) -> Results[ColumnFit]:
        return side_by_side(run, work, pending, search.note_if_last)

    search = Search(run.searched, frozenset(plans), source is not None and source.repeatable)
    accumulators = Accumulators(get_engine(run.here.engine), each)
    if source is not None and source.repeatable:
        accumulators = replace(accumulators, summarise=partial(summarise, source), exact=partial(exact, source))
    search.report()
    fitted = fit(accumulators, begun)
    search.end()
    if accumulators.exact is None:
        _warn_of_errors(fitted.good)
    done = {name: columns[name].fitted(column) for name, column in fitted.good.items()}
    return Results(renewed(columns, Results(done, fitted.failed)), fitted.failed)


def _each_exactly(
    source: Source, plans: Mapping[str, NumberPlan], left: ColumnFits, run: Run, search: Search
) -> Results[ColumnFit]:
    """Exact EM for one column after the other."""
    missed = [name for name, column in left.items() if not column.asks_exact]
    if missed:
        _LOG.warning("exact EM for %s: two refinements of the grid were not enough", _quoted(missed))
    results: dict[str, Any] = {}
    for name, column in left.items():
        try:
            results[name] = fit_exactly(source, plans[name], column, run)
        except COLUMN_PROBLEMS as problem:
            results[name] = Failure.of(name, problem)
        search.note(name)
    return Results.of(results)


def fit_exactly(source: Source, plan: NumberPlan, column: ColumnFit, run: Run) -> ColumnFit:
    """EM with every E-step over every row; the column is held in memory as float64, and on the device if it lies there.

    Where the user's limit of memory has no room for it, every E-step reads the source again instead. The rows of a
    cluster stay in the memory of its workers.

    With algorithm="exact" the centres come from k-means on all rows, as scikit-learn's; a summary that had to be given
    up keeps its centres.
    """
    with rows_on_workers(partial(numbers_of, plan), lambda: run.blocks(source, [plan.name]), run) as workers:
        if workers is not None:
            return fit_over_workers(workers, plan, column)
    if run.room is not None and _counted(column).rows * exact_row_bytes(plan) > run.room:
        return _fit_over_blocks(source, plan, column, run)
    engine, parts = get_engine(run.engine), list[Floats]()
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
        seeds, start = _started(numbers[np.isfinite(numbers)], plan, _counted(column).ordinary)
        column = replace(column, starts=(seeds,))
    frame = plan.grid.frame
    with ThreadPoolExecutor(run.executor.threads) as pool:
        accumulate = over_rows(engine, Rows.of(rows), frame, None if run.on_device else pool)
        sums = RowSums.over(over_array(numbers, pool), frame, accumulate)
        return fit_rows(engine, column, _unchanged(plan, column, sums), start)


def fit_over_workers(rows: WorkerRows, plan: NumberPlan, column: ColumnFit) -> ColumnFit:
    """EM as in `fit_exactly` with the rows in the workers' memory; the result has the same bits.

    For k-means up to 2^24 rows come to one of the workers; with more rows the centres are the plan's. No row comes to
    this process.

    Parameters
    ----------
    rows : WorkerRows
        The column's numbers.
    plan : NumberPlan
        What is settled about the column.
    column : ColumnFit
        The column.
    """
    start = None
    counted = _counted(column).ordinary
    if _starts_from_rows(plan) and counted <= SEEDING_ROWS:
        seeds, start = rows.held.together(_started_over, plan, counted)
        column = replace(column, starts=(seeds,))
    sums = over_workers(rows, plan.grid.frame)
    return fit_rows(rows.here, column, _unchanged(plan, column, sums), start)


def _fit_over_blocks(source: Source, plan: NumberPlan, column: ColumnFit, run: Run) -> ColumnFit:
    """The same without the column in memory: every E-step reads the source again."""
    engine, frame = get_engine(run.engine), plan.grid.frame
    if _starts_from_rows(plan):
        _LOG.warning('column "%s": all its rows do not fit the memory: k-means runs on a sample of them', plan.name)
    scan = over_source(source, plan, run)
    sums = RowSums.over(scan, frame, over_scan(engine, scan, frame))
    return fit_rows(engine, column, _unchanged(plan, column, sums))


def over_source(source: Source, plan: NumberPlan, run: Run) -> Scan:
    """Scans over a source that is read again every time; memory holds a few blocks only.

    Parameters
    ----------
    source : Source
        The rows, which can be read again.
    plan : NumberPlan
        Which column, and how its values become numbers.
    run : Run
        How blocks are read; they are whole chunks.
    """

    def scan(sums: Callable[[Floats], Floats], width: int) -> Floats:
        total = ChunkSums(width)

        def sums_of(block: Block) -> Floats:
            numbers = to_numpy(ordinary_numbers(plan.codec, plan.modal, block.column(plan.name))[0])
            return sums(np.ascontiguousarray(numbers, dtype=np.float64))

        run.executor.map_blocks(sums_of, run.blocks(source, [plan.name]), total.add)
        return np.asarray(total.total[0])

    return scan


def numbers_of(plan: NumberPlan, blocks: Iterator[Block]) -> Array:
    """The numbers of a partition, shape (rows,), float64, where they lie; NaN for rows without one."""
    parts = []
    for block in blocks:
        numbers = ordinary_numbers(plan.codec, plan.modal, block.column(plan.name))[0]
        xp = namespace_of(numbers)
        parts.append(xp.asarray(numbers, dtype=xp.float64))
    return namespace_of(parts[0]).concatenate(parts) if parts else np.empty(0)


def _counted(column: ColumnFit) -> Summary:
    """The summary of a column's rows."""
    assert isinstance(column.sums, Summary)
    return column.sums


def _starts_from_rows(plan: NumberPlan) -> bool:
    """Whether k-means runs on all rows."""
    return plan.config.algorithm == "exact" and plan.config.effort == "research"


def _started(numbers: Floats, plan: NumberPlan, counted: int) -> tuple[Seeds, ComponentStatistics]:
    """Centres from k-means on a column's ordinary numbers, without labels, and the statistics that EM starts from."""
    y = plan.grid.frame.apply(numbers)
    _refuse_changed(plan, counted, len(y))
    seeds = _seeds_of_rows(plan, numbers, y)
    return Seeds(seeds.centres, np.empty(0, np.int64)), numeric.row_start(replace(plan, seeds=seeds), y)


def _started_over(
    partitions: Sequence[HeldChunks], plan: NumberPlan, counted: int
) -> tuple[Seeds, ComponentStatistics]:
    """The same over all partitions of a column, on one worker."""
    return _started(ordinary_of(partitions), plan, counted)


def exact_row_bytes(plan: NumberPlan) -> int:
    """Bytes a row that exact EM in memory takes: k-means on all rows has many copies of them."""
    return EXACT_BYTES + K_MEANS_BYTES * _starts_from_rows(plan)


def _unchanged(plan: NumberPlan, column: ColumnFit, sums: RowSums) -> RowSums:
    """Sums whose moments are refused where the rows are not those that were summarised."""

    def moments() -> ColumnMoments:
        found = sums.moments()
        _refuse_changed(plan, _counted(column).ordinary, found.rows)
        return found

    return replace(sums, moments=moments)


def _refuse_changed(plan: NumberPlan, counted: int, rows: int) -> None:
    if rows != counted:
        raise SourceChangedError(f'column "{plan.name}" changed while it was read; give a source that stays')


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


def _model(run: Run, column: Counted) -> ColumnModel:
    if column.plan.ranged:
        return column_of_range(column.plan, column.summary)
    return numeric.summary_model(get_engine(run.here.engine), column.plan, column.summary, column.outcome)


def refuse_infinite(source: Source, plan: NumberPlan, summary: Summary, run: Run, *, fitted: bool = False) -> None:
    """Refuse a column with infinite rows, naming the first; a `fitted` one may be too small for its logarithm."""
    if not summary.infinite:
        return
    where = f" (first at {source.locate(_first_infinite(source, plan, run))})" if source.repeatable else ""
    problem, remedy = "values are infinite", 'pass inf="missing" or clean them'
    if fitted and plan.codec.name == "log":
        problem, remedy = TOO_SMALL, "fit again with all rows, or clean them"
    raise InputError(f'column "{plan.name}": {counted_values(summary.infinite, problem)}{where}; {remedy}')


def _first_infinite(source: Source, plan: NumberPlan, run: Run) -> int:
    for block in run.here.blocks(source, [plan.name]):
        found = np.flatnonzero(_is_infinite(plan, block.column(plan.name)))
        if len(found):
            return int(block.first_row + found[0])
    raise InputError(f'column "{plan.name}" changed while it was read')


def _is_infinite(plan: NumberPlan, values: Column) -> NDArray[np.bool_]:
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


def _warn_of_errors(columns: ColumnFits) -> None:
    for name, column in columns.items():
        if not column.is_good:
            _LOG.warning(
                'column "%s": the fit may be %.1e sigma from the exact one; fit from a source that can be read again',
                name,
                np.inf if column.outcome is None else column.outcome.error,
            )


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)

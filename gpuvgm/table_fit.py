"""Fitting a table: sample, one pass over the rows for all columns together, then EM per column."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.accumulation import over_rows
from gpuvgm.cells_fit import climbed
from gpuvgm.config import BLOCK_ROWS, CHUNK_ROWS, MOST_REFINEMENTS, SUMMARY_ROWS, EncodingRules, FitConfig
from gpuvgm.engines import Engine, get_engine
from gpuvgm.errors import InputError
from gpuvgm.execution import LocalExecutor
from gpuvgm.fit import Stopping, fit_mixture, mean_and_variance, prior_of
from gpuvgm.frames import Block, Source, locate
from gpuvgm.grid import Floats
from gpuvgm.kinds import mixture
from gpuvgm.kinds.mixture import Outcome, Plan
from gpuvgm.model import ColumnModel, TableModel
from gpuvgm.rows import Rows
from gpuvgm.seeding import Seeds, is_far_from_zero, k_means_seeds, quiet_k_means
from gpuvgm.summary import Summary

SAMPLE_RUNS = 32
RUN_ROWS = 4096
UNKNOWN_SAMPLE_ROWS = 1 << 18  # sampled from the start of a source that does not know its length
LARGEST_NUMBER = 2.0**500  # in a frame; squares must not overflow
T = TypeVar("T")
U = TypeVar("U")
RowTest = Callable[["pa.Array[Any]"], NDArray[np.bool_]]
_LOG = logging.getLogger("gpuvgm")


@dataclass(frozen=True, slots=True)
class ColumnRequest:
    """What is asked for one column.

    Parameters
    ----------
    name : str
        The column.
    config : FitConfig
        How to fit it.
    rules : EncodingRules
        How its scalars are made.
    infinite_is_missing : bool
        Take infinities for missing values instead of refusing them.
    """

    name: str
    config: FitConfig
    rules: EncodingRules
    infinite_is_missing: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """Where and how the work is done.

    Parameters
    ----------
    engine : str
        Name of the engine.
    executor : LocalExecutor
        What runs blocks.
    block_rows : int
        Rows of a block, rounded up to whole chunks of 4,096.
    """

    engine: str
    executor: LocalExecutor
    block_rows: int = BLOCK_ROWS

    def __post_init__(self) -> None:
        if self.block_rows < 1:
            raise InputError(f"block_rows must be at least 1, got {self.block_rows}")

    @property
    def rows_per_block(self) -> int:
        """Rows of a block in whole chunks."""
        return -(-self.block_rows // CHUNK_ROWS) * CHUNK_ROWS


@dataclass(frozen=True, slots=True)
class FittedTable:
    """A fitted table and the summaries that it came from."""

    model: TableModel
    summaries: Mapping[str, Summary]


def fit_table(source: Source, requests: Sequence[ColumnRequest], run: Run, seed: int) -> FittedTable:
    """Fit every requested column of a source.

    Parameters
    ----------
    source : Source
        The training rows.
    requests : sequence of ColumnRequest
        The columns, in output order.
    run : Run
        Engine, executor and block size.
    seed : int
        Seed of the sample's positions, and transform's seed unless given there.

    Raises
    ------
    InputError
        For a source without rows, and for columns that cannot be fitted as they are.
    """
    names = [request.name for request in requests]
    _refuse_one_shot(source, requests)
    sample, blocks = take_sample(source, names, run, seed)
    if sample.num_rows == 0:
        raise InputError(f"{source.name}: there are no rows to fit on")
    plans = _side_by_side(run, lambda request: _plan(request, sample), requests)
    summaries = summarise(plans, blocks, run)
    refuse_infinite(source, summaries, run)
    for name, summary in summaries.items():
        _refuse_overflow(name, summary)
    plans = [_settled(plan, summaries[plan.name], source) for plan in plans]
    plans, summaries = _seed_again(source, plans, summaries, run)
    fitted, plans, summaries = _fit_columns(source, plans, summaries, run)
    columns = tuple(_model(run, plan, summaries[plan.name], fitted[plan.name]) for plan in plans)
    rows = next(iter(summaries.values())).rows if summaries else 0
    return FittedTable(TableModel(columns, seed, rows, source.fingerprint()), summaries)


def refit(plans: Sequence[Plan], summaries: Mapping[str, Summary], run: Run) -> tuple[ColumnModel, ...]:
    """Models from summaries alone, without any row; fits that miss the promise are warned about."""
    outcomes = _fit_each(plans, summaries, run)
    _warn_of_errors([plan.name for plan in plans if not _good(outcomes[plan.name])], outcomes)
    return tuple(_model(run, plan, summaries[plan.name], outcomes[plan.name]) for plan in plans)


def take_sample(
    source: Source, names: Sequence[str], run: Run, seed: int
) -> tuple[pa.Table, Callable[[], Iterator[Block]]]:
    """A sample, and a function that gives all blocks, those read for the sample included.

    Where the number of rows is known: 32 runs of 4,096 rows at seeded global positions. Elsewhere: the first 2^18 rows.
    """
    size = run.rows_per_block
    if source.rows is not None and source.repeatable:
        return source.sample(names, sample_runs(source.rows, seed)), lambda: source.blocks(names, size)
    stream = source.blocks(names, size)
    head: list[Block] = []
    for block in stream:
        head.append(block)
        if block.first_row + block.rows >= UNKNOWN_SAMPLE_ROWS:
            break
    schema = pa.schema([source.schema.field(name) for name in names])
    table = pa.Table.from_batches([block.table for block in head], schema).slice(0, UNKNOWN_SAMPLE_ROWS)
    if source.repeatable:
        return table, lambda: source.blocks(names, size)
    return table, lambda: chain(head, stream)


def sample_runs(rows: int, seed: int) -> list[tuple[int, int]]:
    """Runs (start, length) of a sample: one at a random place in each of 32 equal parts; all rows of a short source."""
    if rows <= SAMPLE_RUNS * RUN_ROWS:
        return [(0, rows)] if rows else []
    random = np.random.Generator(np.random.PCG64(seed))
    borders = [i * rows // SAMPLE_RUNS for i in range(SAMPLE_RUNS + 1)]
    return [
        (low + int(random.integers(0, high - low - RUN_ROWS + 1)), RUN_ROWS)
        for low, high in zip(borders[:-1], borders[1:], strict=True)
    ]


def summarise(plans: Sequence[Plan], blocks: Callable[[], Iterator[Block]], run: Run) -> dict[str, Summary]:
    """Summaries of all planned columns in one pass over the rows."""
    if not plans:
        return {}
    merged = run.executor.map_merge(partial(summarise_block, run.engine, tuple(plans)), blocks(), _merge_columns)
    return merged or {plan.name: Summary.empty(plan.grid) for plan in plans}


def summarise_block(engine: str, plans: Sequence[Plan], block: Block) -> dict[str, Summary]:
    """Summaries of one block."""
    rows = get_engine(engine)
    return {plan.name: rows.summarise(plan.codec.encode(block.table.column(plan.name)), plan.grid) for plan in plans}


def _merge_columns(one: dict[str, Summary], other: dict[str, Summary]) -> dict[str, Summary]:
    return {name: summary.merge(other[name]) for name, summary in one.items()}


def _plan(request: ColumnRequest, sample: pa.Table) -> Plan:
    return mixture.plan_column(
        request.name,
        sample.column(request.name),
        request.config,
        request.rules,
        infinite_is_missing=request.infinite_is_missing,
    )


def _seed_again(
    source: Source, plans: list[Plan], summaries: dict[str, Summary], run: Run
) -> tuple[list[Plan], dict[str, Summary]]:
    """Centres from the summary for columns whose sample had too few ordinary values, and another pass for these."""
    short = [plan for plan in plans if mixture.needs_more_rows(plan, summaries[plan.name])]
    again = [mixture.reseed(plan, summaries[plan.name]) for plan in short]
    if again and source.repeatable:
        again, finer = _refine(source, again, summaries, run)
        summaries = summaries | finer
    changed = {plan.name: plan for plan in again}
    return [changed.get(plan.name, plan) for plan in plans], summaries


def _refine(
    source: Source, plans: Sequence[Plan], summaries: Mapping[str, Summary], run: Run
) -> tuple[list[Plan], dict[str, Summary]]:
    """Finer grids for some columns, and their summaries from another pass over the rows."""
    finer = [mixture.refine(plan, summaries[plan.name]) for plan in plans]
    _LOG.info("another pass with a finer grid for %s", _quoted(finer))
    names = [plan.name for plan in finer]
    return finer, summarise(finer, partial(source.blocks, names, run.rows_per_block), run)


def _fit_columns(
    source: Source, plans: list[Plan], summaries: dict[str, Summary], run: Run
) -> tuple[dict[str, Outcome | None], list[Plan], dict[str, Summary]]:
    """Fit on the summaries; refine the grids of columns that miss the promise; where that fails, run exact EM."""
    fitted: dict[str, Outcome | None] = {}
    current = {plan.name: plan for plan in plans}
    pending = [plan for plan in plans if plan.config.algorithm != "exact"]
    for attempt in range(MOST_REFINEMENTS + 1):
        fitted |= _fit_each(pending, summaries, run)
        pending = [plan for plan in pending if not _good(fitted[plan.name])]
        if not pending or not source.repeatable or attempt == MOST_REFINEMENTS:
            break
        pending, finer = _refine(source, pending, summaries, run)
        summaries = summaries | finer
        current |= {plan.name: plan for plan in pending}
    if pending and not source.repeatable:
        _warn_of_errors([plan.name for plan in pending], fitted)
    elif pending:
        _LOG.warning("exact EM for %s: two refinements of the grid were not enough", _quoted(pending))
    exact = [plan for plan in plans if plan.config.algorithm == "exact"] + (pending if source.repeatable else [])
    for plan in exact:
        fitted[plan.name], current[plan.name] = fit_exactly(source, plan, run, summaries[plan.name])
    return fitted, [current[plan.name] for plan in plans], summaries


def _fit_each(plans: Sequence[Plan], summaries: Mapping[str, Summary], run: Run) -> dict[str, Outcome | None]:
    """Fits of several columns side by side."""
    engine = get_engine(run.engine)
    outcomes = _side_by_side(run, lambda plan: _fit_one(engine, plan, summaries[plan.name]), plans)
    return dict(zip([plan.name for plan in plans], outcomes, strict=True))


def _side_by_side(run: Run, work: Callable[[T], U], columns: Iterable[T]) -> list[U]:
    """What `work` gives for each column, by threads; it may run k-means."""
    with quiet_k_means(), ThreadPoolExecutor(run.executor.threads) as pool:
        return list(pool.map(work, columns))


def _fit_one(engine: Engine, plan: Plan, summary: Summary) -> Outcome | None:
    return mixture.fit_summary(engine, plan, summary) if summary.ordinary else None


def _good(outcome: Outcome | None) -> bool:
    return outcome is None or mixture.is_good(outcome)


def _model(run: Run, plan: Plan, summary: Summary, outcome: Outcome | None) -> ColumnModel:
    return mixture.summary_model(get_engine(run.engine), plan, summary, outcome)


def fit_exactly(source: Source, plan: Plan, run: Run, summary: Summary) -> tuple[Outcome | None, Plan]:
    """EM with every E-step over every row; the column is held in memory as float64.

    With algorithm="exact" the centres come from k-means on all rows, as scikit-learn's; a summary that had to be given
    up keeps its centres.
    """
    names = [plan.name]
    parts: list[Floats] = []
    run.executor.map_blocks(
        lambda block: plan.codec.encode(block.table.column(plan.name)),
        source.blocks(names, run.rows_per_block),
        parts.append,
    )
    numbers = np.concatenate(parts) if parts else np.empty(0)
    frame = plan.grid.frame
    y = frame.apply(numbers[np.isfinite(numbers)])
    if len(y) == 0:
        return None, plan
    if plan.config.algorithm == "exact":
        seeds = _seeds_of_rows(plan, numbers[np.isfinite(numbers)], y)
    else:
        seeds = mixture.nearest_seeds(plan, y)
    plan = replace(plan, seeds=seeds)
    mean, variance = mean_and_variance(y, np.ones(len(y)), np.zeros(len(y)))
    with ThreadPoolExecutor(run.executor.threads) as pool:
        accumulate = over_rows(get_engine(run.engine), Rows.of(numbers), frame, pool)
        prior = prior_of(mean, variance, frame, plan.config)
        if plan.config.effort == "best":
            found = mixture.fit_summary(get_engine(run.engine), plan, summary)
            end = climbed(accumulate, prior, found.fit.posterior, len(y))
            return Outcome(end, 0.0, exact=True, bound_with_fewer=found.bound_with_fewer), plan
        fit = fit_mixture(accumulate, prior, prior.update(mixture.row_start(plan, y)), Stopping.of(plan.config, len(y)))
    return Outcome(fit, 0.0, exact=True), plan


def _seeds_of_rows(plan: Plan, numbers: Floats, y: Floats) -> Seeds:
    """k-means on the numbers themselves, so that the labels are scikit-learn's to the bit.

    Where the offset would cost k-means its digits it runs on centred numbers.
    """
    components, random_state = plan.config.n_components, plan.config.random_state
    if is_far_from_zero(np.mean(numbers, keepdims=True), np.std(numbers, keepdims=True)):
        return k_means_seeds(y, components, random_state)
    seeds = k_means_seeds(numbers, components, random_state)
    return Seeds(plan.grid.frame.apply(seeds.centres), seeds.labels)


def _settled(plan: Plan, summary: Summary, source: Source) -> Plan:
    """algorithm="auto" decided: exact for a small table that can be read again."""
    if plan.config.algorithm != "auto":
        return plan
    small = summary.rows < SUMMARY_ROWS and source.repeatable
    return replace(plan, config=replace(plan.config, algorithm="exact" if small else "summary"))


def _refuse_one_shot(source: Source, requests: Sequence[ColumnRequest]) -> None:
    exact = [request.name for request in requests if request.config.algorithm == "exact"]
    if exact and not source.repeatable:
        raise InputError(
            f'{source.name}: algorithm="exact" reads the rows in every iteration, but this source can be read only '
            'once; use algorithm="summary", or give a file or a table'
        )


def refuse_infinite(source: Source, summaries: Mapping[str, Summary], run: Run) -> None:
    """Refuse columns with infinite rows, naming the first."""
    bad = [name for name, summary in summaries.items() if summary.infinite]
    if not bad:
        return
    name = bad[0]
    where = ""
    if source.repeatable:
        row = first_row(source.blocks([name], run.rows_per_block), name, _is_infinite)
        where = f" (first at {locate(source, row)})"
    count = summaries[name].infinite
    raise InputError(f'column "{name}": {count} values are infinite{where}; pass inf="missing" or clean them')


def _refuse_overflow(name: str, summary: Summary) -> None:
    """Refuse columns with rows so far out of the sample's frame that their squares overflow."""
    ends = summary.grid.frame.apply(np.array([summary.minimum, summary.maximum]))
    if summary.ordinary and np.max(np.abs(ends)) > LARGEST_NUMBER:
        raise InputError(
            f'column "{name}": values reach from {summary.minimum:g} to {summary.maximum:g}, further from the bulk of '
            "the column than a fit can span; clean the extreme ones, or leave them out"
        )


def _is_infinite(column: pa.Array[Any]) -> NDArray[np.bool_]:
    return np.asarray(np.isinf(column.to_numpy(zero_copy_only=False).astype(np.float64)))


def first_row(blocks: Iterable[Block], name: str, test: RowTest) -> int:
    """First row of a column for which `test` is true."""
    for block in blocks:
        found = np.flatnonzero(test(block.table.column(name)))
        if len(found):
            return block.first_row + int(found[0])
    raise InputError(f'column "{name}" changed while it was read')


def _warn_of_errors(names: Sequence[str], outcomes: Mapping[str, Outcome | None]) -> None:
    for name in names:
        outcome = outcomes[name]
        if outcome is not None:
            _LOG.warning(
                'column "%s": the fit may be %.1e sigma from the exact one; fit from a source that can be read again',
                name,
                outcome.error,
            )


def _quoted(plans: Sequence[Plan]) -> str:
    return ", ".join(f'"{plan.name}"' for plan in plans)

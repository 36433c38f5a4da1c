"""One scan over the rows for many columns; a column that fails stops alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Protocol, TypeVar

import pyarrow as pa

from gpuvgm.arrays import Column, DeviceColumn
from gpuvgm.engines import Engine, get_engine
from gpuvgm.errors import Results, naming
from gpuvgm.execution.context import Run
from gpuvgm.execution.local import CallerExecutor, LocalExecutor
from gpuvgm.execution.partitions import Partition, blocks_of
from gpuvgm.io import Block
from gpuvgm.shortage import ARROW_PROBLEMS

COLUMNS_TOGETHER = 64  # of a table in memory: more wait for their blocks' summaries
COLUMN_PROBLEMS = (ValueError, ArithmeticError, TypeError, *ARROW_PROBLEMS)  # what one column's values may lead to
T = TypeVar("T")
Merged = Any  # statistics of the same kind


class ColumnStatistics(Protocol):
    """Statistics of a column; merging is commutative to the last bit."""

    @property
    def rows(self) -> int:
        """All rows counted."""

    def merge(self, statistics: Merged, /) -> Merged:
        """Statistics of both sets of rows."""


class Plan(Protocol):
    """A plan for the fit of a column, made before its rows are read."""

    @property
    def name(self) -> str:
        """The column."""

    @property
    def counts_codes(self) -> bool:
        """Whether text is counted by its codes in dictionaries, where it is stored so."""

    def works_on_device(self, type_: pa.DataType) -> bool:
        """Return whether rows of a type that lie on a device are worked on there."""

    def statistics(self, engine: Engine, values: Column, first_row: int) -> ColumnStatistics:
        """Statistics of consecutive rows; `first_row` is the global index of the first.

        Rows on a device are given only to engines that run there.
        """

    def running(self, engine: Engine, type_: pa.DataType) -> Any | None:
        """Sums of rows on a device, without a wait between blocks; None where the host has to look at each block.

        See `gpuvgm.columns.numeric.RunningNumbers`.
        """


def summarise_columns(plans: Sequence[Plan], run: Run, blocks: Iterable[Block] | None = None) -> Results[Any]:
    """Statistics of all planned columns in one scan over the rows; empty without rows.

    Parameters
    ----------
    plans : sequence of Plan
        The columns.
    run : Run
        The rows, and where and how they are counted.
    blocks : iterable of Block, optional
        All rows of a source that can be read only once, of which some have been read already.
    """
    if not plans:
        return Results({}, {})
    names = [plan.name for plan in plans]
    run = run.coded([plan.name for plan in plans if plan.counts_codes])
    if blocks is None and run.cluster is not None:
        # One task a partition summarises all columns, so that its rows are read once.
        summarise = partial(summarise_partition, run.block_rows, tuple(plans))
        spread: dict[str, Any] | None = run.cluster.merge_each(summarise, run.blocks(names), merge_columns)
        return Results.of(spread or {})
    if blocks is None and run.on_device:
        return Results.of(_on_device(plans, run, run.blocks))
    if blocks is None and run.source.in_memory and run.source.rows:
        return Results.of(_group_by_group(plans, run, run.source.rows))
    count = partial(count_planned, run.engine, tuple(plans))
    merged = run.executor.map_merge(count, run.blocks(names) if blocks is None else blocks, merge_columns)
    return Results.of(merged or {})


def _group_by_group(plans: Sequence[Plan], run: Run, rows: int) -> dict[str, Any]:
    """Statistics of columns in memory, a group of columns after the other.

    Each block under way has summaries of its own, of the columns of one group alone.
    """
    statistics: dict[str, Any] = {}
    for first in range(0, len(plans), COLUMNS_TOGETHER):
        group = tuple(plans[first : first + COLUMNS_TOGETHER])
        progress = run.executor.progress
        if progress is not None:
            progress = partial(_report_share, progress, rows * first / len(plans), len(group) / len(plans))
        blocks = run.blocks([plan.name for plan in group])
        count = partial(count_planned, run.engine, group)
        merged = run.executor.reporting(progress).map_merge(count, blocks, merge_columns)
        statistics |= merged or {}
    return statistics


def _report_share(progress: Callable[[int], None], offset: float, share: float, rows: int) -> None:
    """Report the progress of one group of columns as rows of the whole table; `offset` are those of earlier groups."""
    progress(round(offset + share * rows))


def _on_device(plans: Sequence[Plan], run: Run, blocks: Callable[..., Iterable[Block]]) -> dict[str, Any]:
    """Statistics of rows that lie on a device.

    Columns of files are summarised together, so that each file is read once. Columns in memory come one after the
    other: in longer blocks, and with memory for the cells of one.
    """
    source = run.source
    if source.paths:
        executor = CallerExecutor(run.executor.threads, run.executor.progress, run.executor.parts)
        return _scan_on_device(plans, run, blocks, executor)
    statistics: dict[str, Any] = {}
    for number, plan in enumerate(plans, start=1):
        resident = int(plan.works_on_device(source.schema.field(plan.name).type))
        read_blocks = partial(blocks, resident=resident)
        executor = CallerExecutor(run.executor.threads, parts=run.executor.parts)
        statistics |= _scan_on_device([plan], run, read_blocks, executor)
        if run.executor.progress is not None and source.rows is not None:
            run.executor.progress(source.rows * number // len(plans))
    return statistics


def _scan_on_device(
    plans: Sequence[Plan],
    run: Run,
    blocks: Callable[[Sequence[str]], Iterable[Block]],
    executor: CallerExecutor,
) -> dict[str, Any]:
    """Statistics of rows on a device; columns whose running sums failed are read again, block by block."""
    engine = get_engine(run.engine)
    columns = [_DeviceScan(plan, engine, run.source.schema.field(plan.name).type) for plan in plans]

    def add(block: Block) -> None:
        for column in columns:
            column.add(block)

    executor.map_blocks(add, blocks([plan.name for plan in plans]), lambda none: none)
    results: dict[str, Any] = {column.plan.name: column.statistics() for column in columns}
    retries = [plan for plan in plans if results[plan.name] is None]
    if retries:
        count, rows = partial(count_planned, run.engine, retries), blocks([plan.name for plan in retries])
        merged = CallerExecutor(executor.threads).map_merge(count, rows, merge_columns)
        results.update(merged or {})
    return {name: statistics for name, statistics in results.items() if statistics is not None}


class _DeviceScan:
    """A scan over a column whose rows lie on a device.

    Parameters
    ----------
    plan : Plan
        The column.
    engine : Engine
        The engine that counts.
    type_ : pyarrow.DataType
        Of the rows.
    """

    def __init__(self, plan: Plan, engine: Engine, type_: pa.DataType) -> None:
        self.plan, self._engine = plan, engine
        self._running = plan.running(engine, type_)
        self._merged: Any = None  # of blocks that are looked at
        self._failed, self._end = False, 0
        self._rows = 0  # of blocks that stay

    def add(self, block: Block) -> None:
        """Add a block; a part of a block that came already, as another column ran out of memory, is left out."""
        if block.first_row < self._end or self._failed:
            return
        values = block.column(self.plan.name)
        if self._running is None or not isinstance(values, DeviceColumn):
            statistics = _count_column(self.plan, self._engine, block)
            self._merged = (
                statistics if self._merged is None else _merge_column(self.plan.name, self._merged, statistics)
            )
        else:
            try:
                self._running.add(values)
                self._rows += block.rows
            except COLUMN_PROBLEMS:  # the scan that looks at each block names the row
                self._failed, self._running = True, None
        self._end = block.first_row + block.rows

    def statistics(self) -> Any | None:
        """Statistics of all rows, or a failure; None for no rows, or where the scan must go block by block."""
        running, self._running = self._running, None
        if self._failed or running is None or not self._rows:
            return None if self._failed else self._merged
        try:
            statistics = running.statistics()
        except (*COLUMN_PROBLEMS, MemoryError):  # a scan block by block needs less memory, and names the row
            return None
        if statistics is None or statistics.rows != self._rows:  # memory ran out as rows were added
            return None
        return statistics if self._merged is None else _merge_column(self.plan.name, statistics, self._merged)


def summarise_partition(
    block_rows: int | None, plans: Sequence[Plan], partition: Partition, executor: LocalExecutor
) -> dict[str, Any]:
    """Statistics, or failures, of the columns of a partition.

    Rows on a device are summarised as those of a whole source, rows on the host block by block.

    Parameters
    ----------
    block_rows : int, optional
        Rows of a block, where the user chose them.
    plans : sequence of Plan
        The columns.
    partition : Partition
        The rows.
    executor : LocalExecutor
        The executor of the worker.
    """
    rows, engine = partition.read(), partition.reading.engine
    if not rows.on_device:
        count = partial(count_planned, engine, plans)
        return executor.map_merge(count, rows.blocks, merge_columns) or {}
    run = Run(partition.source, engine, CallerExecutor(executor.threads, executor.progress), block_rows)

    def blocks(columns: Sequence[str], resident: int = 0) -> Iterator[Block]:
        return run.blocks(columns, slices=partial(blocks_of, partition, columns), resident=resident)

    return _on_device(plans, run, blocks)


def count_planned(engine: str, plans: Sequence[Plan], block: Block) -> dict[str, Any]:
    """Statistics, or failures, of one block."""
    rows = get_engine(engine)
    return {plan.name: _count_column(plan, rows, block) for plan in plans}


def _count_column(plan: Plan, engine: Engine, block: Block) -> Any:
    """Statistics of a column in a block, or its failure."""
    try:
        return plan.statistics(engine, block.column(plan.name), block.first_row)
    except COLUMN_PROBLEMS as problem:
        return naming(plan.name, problem)


def merge_columns(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Statistics of two sets of rows by column; either may be empty, as a partition without rows gives none."""
    if not first or not second:
        return first or second
    return {name: _merge_column(name, statistics, second[name]) for name, statistics in first.items()}


def _merge_column(name: str, first: Any, second: Any) -> Any:
    """Merge two statistics of a column; of two failures the first one stays."""
    if isinstance(first, Exception) or isinstance(second, Exception):
        return first if isinstance(first, Exception) else second
    try:
        return first.merge(second)
    except COLUMN_PROBLEMS as problem:
        return naming(name, problem)


def map_columns(
    threads: int | None, work: Any, columns: Mapping[str, Any], report: Callable[[str, Any], None] | None = None
) -> Results[Any]:
    """Results of `work` for each column, computed in threads; `report` gets each column and its result in order.

    `report` is called in the caller's thread, and so is the work where `threads` is None. Callers whose work runs
    k-means enter `quiet_k_means` first.
    """

    def attempt(item: tuple[str, Any]) -> Any:
        try:
            return work(item[1])
        except COLUMN_PROBLEMS as problem:
            return naming(item[0], problem)

    if threads is None:
        return _reported(columns, map(attempt, columns.items()), report)
    with ThreadPoolExecutor(threads) as pool:
        # Threads for a column alone would be a tenth of a short fit.
        return _reported(columns, (pool.map if len(columns) > 1 else map)(attempt, columns.items()), report)


def _reported(names: Iterable[str], results: Iterable[Any], report: Callable[[str, Any], None] | None) -> Results[Any]:
    """Results by name, each of which is reported as it comes."""
    by_name = {}
    for name, result in zip(names, results, strict=True):
        by_name[name] = result
        if report is not None:
            report(name, result)
    return Results.of(by_name)

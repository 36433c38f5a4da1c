"""Runs: the rows of a table, opened from what holds them, with the engine, executor and blocks that work on them."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import pyarrow as pa

from gpuvgm.config import BLOCK_ROWS, CHUNK_ROWS
from gpuvgm.engines import choose_engine, get_engine
from gpuvgm.errors import InputError
from gpuvgm.execution.dask import ClusterExecutor, DaskExecutor, OnWorker, client_if_any
from gpuvgm.execution.dask_frames import DaskFrame, array_source, frame_source
from gpuvgm.execution.grouped import grouped_on_workers
from gpuvgm.execution.local import CallerExecutor, Executor, InlineExecutor, LocalExecutor, bounded
from gpuvgm.execution.memory import Need, limits_of, parse_memory
from gpuvgm.execution.partitions import (
    Reading,
    file_rows,
    partitions,
    rows_of_file,
    single_files,
    with_known_rows,
)
from gpuvgm.execution.stages import SEARCH, Progress, Stage, Stages
from gpuvgm.io import FileSource, Source, is_loaded, open_source

BLOCK_VALUES = 1 << 25  # of a block: 256 MiB of float64
#: Blocks of rows that lie on a device: each costs launches and merges.
DEVICE_BLOCK_ROWS, DEVICE_BLOCK_VALUES = 1 << 26, 1 << 27
#: The same where none of the rows comes to the host: a value of a block goes with so many bytes of the memory that is
#: free on the device, so that a block is a sixteenth of it in float64.
RESIDENT_BLOCK_ROWS, RESIDENT_BYTES_A_VALUE = 1 << 30, 128
#: Blocks of the host that go through a device: several pieces, so that copies and kernels overlap.
STREAMED_BLOCK_ROWS = 1 << 22
#: Rows that go to a worker with their partition: 8 MiB, which the scheduler keeps until they are worked on.
TRAVELLING_VALUES = 1 << 20
#: Kinds of Dask's objects that hold tables, as rows of the table in `io/open.py`.
DASK_OPENERS = (
    (partial(is_loaded, "dask.array", "Array"), array_source),
    (partial(is_loaded, "dask.dataframe", "DataFrame"), frame_source),
)
R = TypeVar("R")
_LOG = logging.getLogger("gpuvgm")


def any_source(source: object) -> Source:
    """Open anything that holds a table, in this process or as a graph of Dask.

    Parameters
    ----------
    source : object
        What `gpuvgm.io.open_source` takes, a DataFrame of Dask (of pandas' frames or cuDF's), an Array of Dask with
        two dimensions (of NumPy's arrays or CuPy's), or an iterator of these.

    Returns
    -------
    Source

    Raises
    ------
    InputError
        When nothing readable is there, or the object is no table; the message says what to do.
    """
    return open_source(source, DASK_OPENERS)


def lazy_frame(source: object) -> DaskFrame | None:
    """A DataFrame or an Array of Dask as a source; None for everything else."""
    return next((opens(source) for recognises, opens in DASK_OPENERS if recognises(source)), None)


def executor_for(executor: Any, source: Source) -> ClusterExecutor | None:
    """The cluster that works on a source; None for this process.

    Parameters
    ----------
    executor : DaskExecutor, distributed.Client, LocalExecutor or None
        What the user chose; None is the current client for frames of Dask, and this process for everything else.
    source : Source
        The rows.

    Raises
    ------
    InputError
        For anything else.
    """
    if executor is None:
        client = client_if_any() if source.lazy and not _set_to_this_process() else None
        return None if client is None else ClusterExecutor(client)
    if isinstance(executor, LocalExecutor):
        return None
    if isinstance(executor, DaskExecutor):
        return ClusterExecutor.of(executor)
    # A client is known by its methods: Dask is an extra, and is not imported for this.
    if hasattr(executor, "scheduler_info") and hasattr(executor, "submit"):
        return ClusterExecutor(executor)
    raise InputError(f"executor is a {type(executor).__name__}: give a DaskExecutor, a client of Dask, or None")


def clone_beside_executor(estimator: Any) -> Any:
    """A clone with the same executor: a client of Dask is one connection, which no copy can have."""
    from sklearn.base import BaseEstimator

    bare = copy(estimator)
    bare.executor = None
    cloned = BaseEstimator.__sklearn_clone__(bare)
    cloned.executor = estimator.executor
    return cloned


def _set_to_this_process() -> bool:
    """Return whether Dask is set to threads, processes or one thread of this machine, which it prefers to a client."""
    dask = sys.modules.get("dask")
    return dask is not None and dask.config.get("scheduler", None) not in {None, "distributed", "dask.distributed"}


@dataclass(frozen=True, slots=True)
class Run:
    """The rows of a source, and where and how they are worked on.

    Parameters
    ----------
    source : Source
        The rows; in this process, as the engine reads them.
    engine : str
        Name of the engine.
    executor : Executor
        What runs blocks.
    block_rows : int, optional
        Rows of a block, rounded up to whole chunks of 4,096; by default 2^20, 2^22 where they go through a device, and
        2^26 where they lie on one, or 2^30 if they stay there.
    room : int, optional
        Bytes that the user's limit of memory leaves beside the blocks.
    searched : callable, optional
        Called with the number of columns whose modes are found, and the number of all, in the caller's thread.
    stage : Stage, optional
        The stage of the user's run that this is, with the time of its parts.
    """

    source: Source
    engine: str
    executor: Executor
    block_rows: int | None = None
    room: int | None = None
    searched: Callable[[int, int], None] | None = None
    stage: Stage | None = None

    def __post_init__(self) -> None:
        if self.block_rows is not None and self.block_rows < 1:
            raise InputError(f"block_rows must be at least 1, got {self.block_rows}")

    @classmethod
    def over(
        cls,
        source: Source,
        engine: str,
        executor: LocalExecutor | DaskExecutor | None = None,
        block_rows: int | None = None,
    ) -> Run:
        """A run over a source, with the engine that suits its rows; the workers of a cluster say which one they have.

        In this process, rows on a device that the engine works on there stay in the caller's thread, whose stream they
        belong to; so do the rows of a single chunk.
        """
        if isinstance(executor, DaskExecutor):
            cluster = ClusterExecutor.of(executor)
            name = cluster.ask(partial(choose_engine, on_device=source.partitions_on_device), engine)
            return cls(source, name, cluster, block_rows)
        name = choose_engine(engine, on_device=source.lies_on_device)
        source = source.as_read(on_device=get_engine(name).runs_on_device)
        executor = executor or LocalExecutor()
        is_short = source.rows is not None and source.rows <= CHUNK_ROWS
        kind = CallerExecutor if source.lies_on_device else InlineExecutor if is_short else LocalExecutor
        return cls(source, name, kind(executor.threads, executor.progress, executor.parts), block_rows)

    @property
    def cluster(self) -> ClusterExecutor | None:
        """The cluster that works on the rows; None for this process."""
        return self.executor if isinstance(self.executor, ClusterExecutor) else None

    @property
    def on_device(self) -> bool:
        """Return whether rows lie on a device of this process, where the engine works on them."""
        return isinstance(self.executor, CallerExecutor)

    @property
    def machine(self) -> dict[str, str | int]:
        """Engine and threads, and of a cluster the workers, for the log."""
        if self.cluster is None:
            return {"engine": self.engine, "threads": self.executor.threads}
        threads = self.cluster.threads_of_workers
        return {"engine": self.engine, "workers": len(threads), "threads": sum(threads)}

    @property
    def parts_done(self) -> list[dict[str, Any]]:
        """The time of each part of the rows, as JSON can hold it."""
        return [] if self.stage is None else self.stage.parts_done()

    @property
    def writer(self) -> Executor:
        """What runs blocks whose results are written."""
        executor = self.executor
        return executor.for_writing(on_device=self.on_device) if isinstance(executor, LocalExecutor) else executor

    @property
    def here(self) -> Run:
        """The run in this process instead of its cluster, for cells of summaries and single rows."""
        if not self.executor.spread:
            return self
        # "cuda" is the workers' engine; this process may have no device.
        engine = "auto" if self.engine == "cuda" else self.engine
        return Run(self.source.as_read(on_device=False), engine, LocalExecutor(), self.block_rows)

    def blocks(
        self,
        columns: Sequence[str],
        width: int = 0,
        slices: Callable[[int], Iterator[Any]] | None = None,
        resident: int = 0,
    ) -> Iterator[Any]:
        """Blocks, or partitions, of some columns.

        Parameters
        ----------
        columns : sequence of str
            Columns to read.
        width : int
            Columns of the result.
        slices : callable, optional
            Gives blocks of so many rows in place of the source's blocks; used in this process alone.
        resident : int
            Of rows that lie on a device, how many columns are worked on together; 0 where some may come to the host.
        """
        rows = self.rows_of_blocks(max(len(columns), width))
        if resident and self.on_device and not self.source.paths and not self.block_rows:
            rows = max(rows, self._resident_rows(resident))
        if self.executor.spread:
            return self.partitions(columns, width, most=rows if width else None)
        return self.source.blocks(columns, rows) if slices is None else slices(rows)

    def coded(self, columns: Sequence[str]) -> Run:
        """The run over its rows with some columns of text as dictionaries, where they are stored so."""
        return replace(self, source=self.source.coded(columns))

    def prepared(self, build: Callable[..., Callable[[Any], R]], *arguments: Any) -> Callable[[Any], R]:
        """A function of blocks, built by `build(*arguments)` in this process, or by `build()` on each worker."""
        return OnWorker(build) if self.executor.spread else build(*arguments)

    def partitions(
        self,
        columns: Sequence[str],
        width: int = 0,
        *,
        cuts: Sequence[int] | None = None,
        most: int | None = None,
    ) -> Iterator[Any]:
        """Partitions of some columns: between cuts of files, or of as many rows as suit the executor, up to `most`."""
        source = self.source
        if isinstance(source, FileSource) and self.executor.spread:
            source = source.reachable()
        if isinstance(source, FileSource) and source.rows is None and self.cluster is not None:
            # Rows are numbered through the files, so those of CSV are counted first, by the workers.
            source = with_known_rows(source, self.cluster.gather("count rows", rows_of_file, single_files(source)))
        limits = [self.executor.rows_of_partitions(source.rows, len(columns)), most or sys.maxsize]
        if not isinstance(source, FileSource):
            limits.append(travelling_rows(len(columns)))
        reading = Reading(self.engine, tuple(columns), self.rows_of_blocks(max(len(columns), width)))
        if cuts is not None and isinstance(source, FileSource):
            return file_rows(source, reading, cuts)
        return partitions(source, reading, min(limits), whole_groups=self.engine == "cuda")

    def grouped(
        self, columns: Sequence[str], hashes: Callable[[pa.Table], Any], sort: Callable[[pa.Table], pa.Table]
    ) -> Any:
        """A context with the rows on the workers of a cluster, those of a group together; see `grouped_on_workers`."""
        assert self.cluster is not None
        parts = [*self.partitions(columns)]
        return grouped_on_workers(self.cluster.client, parts, self.source.fields(columns), hashes, sort)

    def rows_of_blocks(self, width: int) -> int:
        """Rows of a block: few enough that every thread gets some, and that wide ones fit the memory."""
        source = self.source
        on_device = self.on_device or (self.executor.spread and source.partitions_on_device and self.engine == "cuda")
        rows, values = STREAMED_BLOCK_ROWS if self.engine == "cuda" else BLOCK_ROWS, BLOCK_VALUES
        if on_device:
            rows, values = DEVICE_BLOCK_ROWS, DEVICE_BLOCK_VALUES
        if self.block_rows:
            rows = _in_chunks(self.block_rows)
        rows = min(rows, max(CHUNK_ROWS, _in_chunks(values // max(width, 1))))
        if on_device:
            numbers = all(pa.types.is_primitive(field.type) for field in source.schema)
            return rows if numbers else min(rows, STREAMED_BLOCK_ROWS)  # an Arrow array of text has 2^31 bytes at most
        if source.rows is None or self.executor.spread:
            return rows
        return min(rows, max(CHUNK_ROWS, _in_chunks(-(-source.rows // self.executor.threads))))

    def _resident_rows(self, width: int) -> int:
        memory = get_engine(self.engine).free_device_memory or 0
        return min(RESIDENT_BLOCK_ROWS, max(CHUNK_ROWS, _in_chunks(memory // RESIDENT_BYTES_A_VALUE // width)))


def travelling_rows(width: int) -> int:
    """Rows that go to a worker with their partition."""
    return max(CHUNK_ROWS, _in_chunks(TRAVELLING_VALUES // max(width, 1)))


def _in_chunks(rows: int) -> int:
    return -(-rows // CHUNK_ROWS) * CHUNK_ROWS


def _within(run: Run, memory: int, need: Need) -> Run:
    """A run in this process with blocks and threads that keep to a limit of the host's memory.

    Raises
    ------
    InputError
        Where one thread and the shortest blocks need more.
    """
    if run.on_device:  # the limit is for blocks in the host's memory
        return run
    limits = limits_of(memory, run.executor.threads, need, run.block_rows)
    executor = LocalExecutor(limits.threads, run.executor.progress, run.executor.parts)
    return replace(run, executor=executor, block_rows=limits.block_rows, room=limits.room)


@dataclass(frozen=True, slots=True)
class RunSettings:
    """The user's choice of engine, executor, memory, threads and progress.

    Parameters
    ----------
    engine : str
        Name of the engine, or "auto".
    executor : DaskExecutor, distributed.Client, LocalExecutor or None
        As for `executor_for`.
    memory : int, str or None
        Memory that the process may use.
    threads : int, optional
        Threads that compute.
    progress : callable, optional
        Called with a stage, and how much of it is done.
    block_rows : int, optional
        Rows of a block.
    """

    engine: str
    executor: Any
    memory: int | str | None
    threads: int | None
    progress: Progress | None
    block_rows: int | None = None

    @contextmanager
    def run(self, stage: str, source: Source, need: Callable[[], Need]) -> Iterator[Run]:
        """The run of a stage; `need` is called only where the memory is limited."""
        stages = Stages.of(self.progress)
        with ExitStack() as stack:
            memory = None if self.memory is None else parse_memory(self.memory)
            report = (lambda rows: stages(stage, rows, source.rows)) if stages.are_heard else None
            if self.progress is None:  # else it takes the place of the executor's own
                report = _both(getattr(self.executor, "progress", None), report)
            cluster = executor_for(self.executor, source)
            if cluster is not None:
                LocalExecutor(self.threads)  # refuses wrong numbers; workers have threads and memory of their own
                stack.enter_context(cluster.client.as_current())  # through which a frame counts its rows
                cluster = cluster.reporting(report, stages.take, "scan" if stage == "fit" else stage)
                run = Run.over(source, self.engine, cluster, self.block_rows)
            else:
                threads = self.executor.threads if isinstance(self.executor, LocalExecutor) else self.threads
                run = Run.over(source, self.engine, LocalExecutor(threads, report, stages.take), self.block_rows)
                stack.enter_context(bounded(threads))
                run = run if memory is None else _within(run, memory, need())
            machine = run.machine if stages.are_logged else {}
            limit = {} if memory is None or cluster is not None else {"memory": memory}
            current = stack.enter_context(stages.stage(stage, source, machine | limit))
            yield replace(run, searched=partial(stages, SEARCH), stage=current)


def _both(first: Callable[[int], None] | None, second: Callable[[int], None] | None) -> Callable[[int], None] | None:
    """A function that calls both; either may be missing."""
    if first is None or second is None:
        return first or second

    def call(rows: int) -> None:
        first(rows)
        second(rows)

    return call

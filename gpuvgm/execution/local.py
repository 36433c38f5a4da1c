"""The local executor: blocks are read ahead, computed in a pool and consumed in order, in bounded memory."""

from __future__ import annotations

import logging
import math
import os
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Generic, Protocol, Self, TypeVar

import pyarrow as pa

from gpuvgm.errors import InputError
from gpuvgm.execution.stages import PartTime, Progress, Stages
from gpuvgm.io import result_of

READ_AHEAD = 2  # blocks in flight beyond one a thread
PARTITION_ROWS = 1 << 26  # of one process
CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # microseconds of each period, as Kubernetes' limits.cpu sets them
KEPT_BYTES = 1 << 23  # a column of a block
LEAST_ROWS = 1 << 12  # of the parts of a block that memory was too short for
_LOG = logging.getLogger("gpuvgm")


def callers_stream() -> Callable[[], None]:
    """A function that makes this thread's current device and stream the current ones of the thread that calls it."""
    import cupy  # there, as some rows are its arrays

    device, stream = cupy.cuda.Device(), cupy.cuda.get_current_stream()

    def use() -> None:
        device.use()
        stream.use()

    return use


class HasRows(Protocol):
    """Anything that stands for a number of rows; `gpuvgm.io.Block` does."""

    @property
    def rows(self) -> int:
        """Number of rows."""


B = TypeVar("B", bound=HasRows)
R = TypeVar("R")


def available_threads() -> int:
    """Number of cores this process may run on, or that the quota of its container is worth if that is less."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = CGROUP_QUOTA.read_text().split()
        return max(1, min(cores, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # "max", which is no quota, or another system than Linux
        return max(1, cores)


@cache
def _keep_memory() -> None:
    """Make glibc reuse freed memory for later arrays: new pages, faulted in, would cost a fit a sixth of its time.

    Freeing a large array raises glibc's M_MMAP_THRESHOLD to its size (mallopt(3)), and smaller arrays then come from
    the heap. The array freed here is never written to. Thresholds set in the environment stay as they are.
    """
    bytes(KEPT_BYTES)


class Executor(Protocol):
    """Runs a function over the blocks of a source, or over its partitions.

    Attributes
    ----------
    spread : bool
        Whether it takes partitions, which other processes read, instead of blocks.
    progress : callable or None
        Called with the number of rows done.
    parts : callable or None
        Called with the time that each block or partition took.
    """

    spread: bool
    progress: Callable[[int], None] | None
    parts: Callable[[PartTime], None] | None

    @property
    def threads(self) -> int:
        """Threads of this process."""

    def rows_of_partitions(self, rows: int | None, columns: int = 1) -> int:
        """Rows of a partition of a source with so many rows, of which so many columns are read."""

    def reporting(self, progress: Callable[[int], None] | None) -> Self:
        """The executor with another listener."""

    def map_merge(self, function: Callable[[Any], R], blocks: Iterable[Any], merge: Callable[[R, R], R]) -> R | None:
        """Merge the results of all blocks, in row order; None where there are no rows."""

    def map_blocks(self, function: Callable[[Any], R], blocks: Iterable[Any], sink: Callable[[R], None]) -> None:
        """Pass the result of each block to `sink`, in row order and in the caller's thread."""

    def stream(self, function: Callable[[Any], R], blocks: Iterable[Any]) -> Iterator[R]:
        """Yield the result of each block, in row order."""


class RemoteBlocks(ABC, Iterator[Any]):
    """Blocks that other processes read; iteration brings them to this process."""

    @abstractmethod
    def map_merge(self, function: Callable[[Any], R], merge: Callable[[R, R], R]) -> R | None:
        """Merge the results of all blocks where these are, in row order; None where there are no rows."""


class LocalExecutor:
    """Runs a function over blocks on threads of this process.

    A reader thread pulls blocks ahead, a pool computes (the engines release the GIL) and the caller's thread consumes
    results in block order, so that nothing depends on the number of threads. At most `threads` + 2 blocks are in
    flight, counted from before a block is read until its result is consumed.

    Parameters
    ----------
    threads : int, optional
        Threads that compute; by default the cores this process may run on.
    progress : callable, optional
        Called with the number of rows done after each block, in the caller's thread.
    parts : callable, optional
        Called there with the time that each block took.

    Raises
    ------
    InputError
        For fewer than one thread.
    """

    __slots__ = ("parts", "progress", "threads")
    spread = False

    def __init__(
        self,
        threads: int | None = None,
        progress: Callable[[int], None] | None = None,
        parts: Callable[[PartTime], None] | None = None,
    ) -> None:
        self.threads = available_threads() if threads is None else int(threads)
        self.progress, self.parts = progress, parts
        if self.threads < 1:
            raise InputError(f"threads must be at least 1, got {threads}")
        _keep_memory()

    @classmethod
    @contextmanager
    def drawing(cls, rows: int, progress: Progress | None, threads: int | None = None) -> Iterator[Self]:
        """An executor that draws so many rows, as a stage of which progress and the log hear."""
        stages = Stages.of(progress)
        executor = cls(threads, lambda done: stages("sample", min(done, rows), rows), stages.take)
        with stages.stage("sample", None, {"rows": rows, "threads": executor.threads}):
            yield executor

    def rows_of_partitions(self, rows: int | None, columns: int = 1) -> int:
        """Rows of a partition, which bound the work that is lost when a run is cut short."""
        return PARTITION_ROWS

    def reporting(self, progress: Callable[[int], None] | None) -> Self:
        """The executor with another listener."""
        return type(self)(self.threads, progress, self.parts)

    def map_merge(self, function: Callable[[B], R], blocks: Iterable[B], merge: Callable[[R, R], R]) -> R | None:
        """Merge the results of all blocks, in block order; None when there are no blocks."""
        if isinstance(blocks, RemoteBlocks):
            return blocks.map_merge(function, merge)
        merged: list[R] = []

        def take(result: R) -> None:
            merged[:] = [merge(merged[0], result) if merged else result]

        self.map_blocks(function, blocks, take)
        return merged[0] if merged else None

    def map_blocks(self, function: Callable[[B], R], blocks: Iterable[B], sink: Callable[[R], None]) -> None:
        """Pass the result of each block to `sink`, in block order and in the caller's thread.

        An exception in the blocks, the function or the sink stops everything and propagates as it is; so does
        KeyboardInterrupt. When this method ends, its threads have ended.
        """
        with self._start(function, blocks) as pipeline:
            while (step := pipeline.steps.get()) is not None:
                sink(step.take())
                self._tell(pipeline.release(step.rows), step.time)

    def stream(self, function: Callable[[B], R], blocks: Iterable[B]) -> Iterator[R]:
        """Yield the result of each block, in block order.

        A result counts as consumed when the next one is asked for. Closing the iterator ends its threads.
        """
        with self._start(function, blocks) as pipeline:
            while (step := pipeline.steps.get()) is not None:
                yield step.take()
                self._tell(pipeline.release(step.rows), step.time)

    def _tell(self, rows: int, part: PartTime) -> None:
        """Tell those who listen that so many rows are done, and how long the last of them took."""
        if self.parts is not None:
            self.parts(part)
        if self.progress is not None:
            self.progress(rows)

    def for_writing(self, *, on_device: bool) -> LocalExecutor:
        """The executor for blocks whose results are written: a device too works on others while one is written."""
        return DeviceExecutor(callers_stream(), self.progress, self.parts) if on_device else self

    @contextmanager
    def _start(self, function: Callable[[B], R], blocks: Iterable[B]) -> Iterator[_Pipeline[B, R]]:
        pipeline = _Pipeline(function, iter(blocks), self.threads, self._begin)
        try:
            pipeline.reader.start()
            yield pipeline
        finally:
            pipeline.stop()

    def _begin(self) -> None:
        """Prepare a thread; the reader and every thread of the pool call this first."""


class InlineExecutor(LocalExecutor):
    """Runs blocks in the caller's thread, one after the other; few rows take less time than starting a thread.

    Parameters
    ----------
    threads, progress, parts
        As for `LocalExecutor`; other work on the columns uses the threads.
    """

    __slots__ = ()

    def map_blocks(self, function: Callable[[B], R], blocks: Iterable[B], sink: Callable[[R], None]) -> None:
        """Pass the result of each block to `sink`, in block order."""
        for result in self.stream(function, blocks):
            sink(result)

    def stream(self, function: Callable[[B], R], blocks: Iterable[B]) -> Iterator[R]:
        """Yield the result of each block, in block order."""
        rows = 0
        for block, seconds in _read(blocks):
            result, time_ = timed(function, block, seconds)
            yield result
            rows += block.rows
            self._tell(rows, time_)


class CallerExecutor(InlineExecutor):
    """Runs blocks on a device in the caller's thread, one after the other.

    The current stream and device belong to a thread, and calls only start the work. Where memory runs out, `map_blocks`
    goes on with halves of the block, and logs it.
    """

    __slots__ = ()

    def map_blocks(self, function: Callable[[B], R], blocks: Iterable[B], sink: Callable[[R], None]) -> None:
        """Pass the result of each block, or of the parts that fit into memory, to `sink` in row order."""
        total, limit = 0, [sys.maxsize]
        for block, seconds in _read(blocks):
            first, start = first_row_of(block), time.perf_counter() - seconds
            for rows, result in _run_in_parts(function, block, limit):
                sink(result)
                end = time.perf_counter()
                total += rows
                self._tell(total, PartTime(first, rows, end - start))
                first, start = first + rows, end


class DeviceExecutor(LocalExecutor):
    """Runs blocks on a device in one thread, while another reads ahead and the caller's thread consumes results.

    Where memory runs out, it goes on with halves of the block, as `CallerExecutor` does.

    Parameters
    ----------
    begin : callable
        Sets the caller's device and stream in a thread, so that the work is in the caller's order.
    progress, parts : callable, optional
        As for `LocalExecutor`.
    """

    __slots__ = ("_make_ready",)

    def __init__(
        self,
        begin: Callable[[], None],
        progress: Callable[[int], None] | None = None,
        parts: Callable[[PartTime], None] | None = None,
    ) -> None:
        super().__init__(1, progress, parts)
        self._make_ready = begin

    def map_blocks(self, function: Callable[[B], R], blocks: Iterable[B], sink: Callable[[R], None]) -> None:
        """Pass the result of each block, or of the parts that fit into memory, to `sink` in row order."""
        limit = [sys.maxsize]

        def run(block: B) -> list[R]:
            return [result for _, result in _run_in_parts(function, block, limit)]

        def take(results: list[R]) -> None:
            for result in results:
                sink(result)

        super().map_blocks(run, blocks, take)

    def _begin(self) -> None:
        self._make_ready()


def _run_in_parts(function: Callable[[Any], R], block: Any, limit: list[int]) -> Iterator[tuple[int, R]]:
    """Yield rows and result of a block, or of its halves where memory runs out.

    `limit` holds the most rows of a part. All blocks of a run share it: later ones are halved without a try.
    """
    if block.rows <= limit[0]:
        try:
            result = function(block)
        except MemoryError:
            if block.rows < 2 * LEAST_ROWS or not hasattr(block, "halves"):
                raise
            limit[0] = block.rows - block.rows // 2
            _LOG.warning("memory ran out: going on with blocks of %d rows", limit[0])
        else:
            yield block.rows, result
            return
    for half in block.halves():
        yield from _run_in_parts(function, half, limit)


def timed(function: Callable[[Any], R], block: Any, read_seconds: float = 0.0) -> tuple[R, PartTime]:
    """The result of a function for a block, and the time it took beside that of reading the block."""
    start = time.perf_counter()
    result = function(block)
    return result, PartTime(first_row_of(block), block.rows, read_seconds + time.perf_counter() - start)


def first_row_of(block: Any) -> int:
    """Global index of the first row of a block; 0 for anything else that has rows."""
    first_row: int = getattr(block, "first_row", 0)
    return first_row


def _read(blocks: Iterable[B]) -> Iterator[tuple[B, float]]:
    """Blocks with the seconds that each took to read."""
    start = time.perf_counter()
    for block in blocks:
        yield block, time.perf_counter() - start
        start = time.perf_counter()


@dataclass(slots=True)
class _BlockResult:
    """A block under way: its rows, and the future of its result and time."""

    rows: int
    future: Future[Any]
    time: PartTime = PartTime(0, 0, 0.0)

    def take(self) -> Any:
        """Wait for the result, and release it here, so that the caller alone keeps it in memory."""
        future, self.future = self.future, Future()
        result, self.time = result_of(future)
        return result


class _Pipeline(Generic[B, R]):
    """Reader thread and pool of one run.

    `slots` counts the blocks that may still come into flight; `steps` holds those under way in order, then None.
    """

    def __init__(
        self, function: Callable[[B], R], blocks: Iterator[B], threads: int, begin: Callable[[], None]
    ) -> None:
        self.slots = threading.Semaphore(threads + READ_AHEAD)
        self.steps: SimpleQueue[_BlockResult | None] = SimpleQueue()
        self.reader = threading.Thread(target=self._read, name="gpuvgm-read", daemon=True)
        self._function, self._blocks, self._rows = function, blocks, 0
        self._stopped = threading.Event()
        self._begin = begin
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="gpuvgm-compute", initializer=begin)

    def release(self, rows: int) -> int:
        """Let another block come into flight, after the result of one is consumed; return the rows done."""
        self.slots.release()
        self._rows += rows
        return self._rows

    def stop(self) -> None:
        """End reader and pool; blocks that wait are dropped."""
        self._stopped.set()
        self.slots.release()  # the reader may wait for one
        if self.reader.ident is not None:  # its start may have failed
            self.reader.join()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _read(self) -> None:
        """Submit all blocks; an exception is raised in the caller's thread, after the results of earlier blocks."""
        try:
            self._begin()
            self._submit_all()
        except BaseException as caught:
            failure = Future[R]()
            failure.set_exception(caught)
            self.steps.put(_BlockResult(0, failure))
        self.steps.put(None)

    def _submit_all(self) -> None:
        try:
            while self._has_slot():
                start = time.perf_counter()
                if (block := next(self._blocks, None)) is None:
                    break
                seconds = time.perf_counter() - start
                self.steps.put(_BlockResult(block.rows, self._pool.submit(timed, self._function, block, seconds)))
                del block  # else the reader would keep it in memory while it waits for a slot
        finally:
            # A generator closes its open file here, in the thread that ran it.
            close = getattr(self._blocks, "close", None)
            if close is not None:
                close()

    def _has_slot(self) -> bool:
        """Wait until another block may come into flight, and return whether the run goes on."""
        self.slots.acquire()
        return not self._stopped.is_set()


class ArrowThreads:
    """Limits of Arrow's pools, which belong to the process: of all runs under way the smallest limit holds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._limits: list[int] = []
        self._defaults = (0, 0)

    @contextmanager
    def __call__(self, threads: int | None) -> Iterator[None]:
        """Bound Arrow's pools; None leaves them as they are.

        Parameters
        ----------
        threads : int, optional
            Most threads of the pool that computes, and of the one that reads.
        """
        if threads is None:
            yield
            return
        with self._lock:
            if not self._limits:
                self._defaults = (pa.cpu_count(), pa.io_thread_count())
            self._limits.append(threads)
            self._set()
        try:
            yield
        finally:
            with self._lock:
                self._limits.remove(threads)
                self._set()

    def _set(self) -> None:
        """Set the smallest limit, or the sizes of before where there is none."""
        compute, io = (min([count, *self._limits]) for count in self._defaults)
        pa.set_cpu_count(compute)
        pa.set_io_thread_count(io)


bounded = ArrowThreads()

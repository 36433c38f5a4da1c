"""Dask: map and merge over the partitions of a source on the workers of a cluster."""

from __future__ import annotations

import sys
import time
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from gpuvgm.errors import EnvironmentProblem, InputError, pip_command
from gpuvgm.execution.dask_rows import DaskPartition, task_key
from gpuvgm.execution.local import CallerExecutor, LocalExecutor, available_threads
from gpuvgm.execution.partitions import HeldRows, OpenPartition
from gpuvgm.execution.stages import PartTime
from gpuvgm.execution.unwanted import stopping, this_worker, wait_until_stopped, while_wanted
from gpuvgm.io import Block, Packed

if TYPE_CHECKING:
    from distributed import Client, Future

R = TypeVar("R")
PARTITION_VALUES = 1 << 28  # of a partition; a thread reads and summarises so many in some two seconds


class OnWorker:
    """A function that is built where it is first called; only how to build it travels.

    Parameters
    ----------
    build : callable
        Gives the function.
    """

    def __init__(self, build: Callable[[], Callable[[Any], Any]]) -> None:
        self._build = build
        self._built: Callable[[Any], Any] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return OnWorker, (self._build,)

    def __call__(self, block: Any) -> Any:
        """The function's result for a block, or a partition."""
        if self._built is None:
            self._built = self._build()
        return self._built(block)


def read_partition(partition: Any) -> tuple[LocalExecutor, Any]:
    """The executor for the blocks of a partition, and these blocks; a block may stand for a partition of one."""
    if isinstance(partition, Block):
        return LocalExecutor(1), iter([partition])
    rows: OpenPartition = partition.read()
    return (CallerExecutor if rows.on_device else LocalExecutor)(1), while_wanted(rows.blocks)


def merge_blocks(
    function: Callable[[Any], R], merge: Callable[[R, R], R], partition: Any, _: LocalExecutor
) -> R | None:
    """Merge the results of the blocks of a partition; None for a partition without rows."""
    executor, blocks = read_partition(partition)
    return executor.map_merge(function, blocks, merge)


def merge_results(merge: Callable[[R, R], R], results: Iterable[R | None]) -> R | None:
    """Merge results of several partitions, in row order; None where none of them has rows."""
    merged: R | None = None
    for result in results:
        merged = result if merged is None else merged if result is None else merge(merged, result)
    return merged


class Timed(NamedTuple):
    """A value from workers, and the time that the partitions took which it is of."""

    value: Any
    parts: tuple[PartTime, ...]

    @classmethod
    def of(cls, partition: Any, value: Any, start: float) -> Timed:
        """The value of a partition that this worker began at a time of `time.perf_counter`."""
        seconds = time.perf_counter() - start
        return cls(value, (PartTime(partition.first_row, partition.rows, seconds, this_worker()),))


def merge_timed(merge: Callable[[R, R], R], results: Iterable[Timed]) -> Timed:
    """Merge results of several partitions, in row order, and join their times."""
    results = [*results]
    value = merge_results(merge, (result.value for result in results))
    return Timed(value, tuple(chain.from_iterable(result.parts for result in results)))


def map_blocks(function: Callable[[Any], R], partition: Any) -> Timed:
    """The results of the blocks of a partition, packed."""
    start = time.perf_counter()
    executor, blocks = read_partition(partition)
    return Timed.of(partition, Packed.pack(list(executor.stream(function, blocks))), start)


def call_with_partition(function: Callable[[Any, LocalExecutor], R], partition: Any) -> Timed:
    """Call a function with a partition and an executor of one thread, which stops with the task."""
    start = time.perf_counter()
    return Timed.of(partition, function(partition, LocalExecutor(1, stopping())), start)


def call_with_blocks(function: Callable[[Iterator[Any]], R], partition: Any) -> R:
    """Call a function with the blocks of a partition."""
    _, blocks = read_partition(partition)
    return function(blocks)


def call_on_worker(partition: Any, function: Callable[[Any], R], *computed: Any) -> R:
    """Call a function with a partition, and with its rows if another task computed them."""
    return function(partition.of(*computed) if computed else Packed.unpack(partition))


def itself(function: R) -> R:
    """The function itself, as a task whose result other tasks call."""
    return function


def values_for(function: Callable[..., Any], values: Sequence[Any], *arguments: Sequence[Any]) -> list[Any]:
    """Results of a function for each value of a worker; see `HeldPartitions.by_worker`."""
    return list(map(function, values, *arguments))


def answers_for(function: Callable[..., Any], arguments: Sequence[Any], values: Sequence[Any]) -> Any:
    """Results of a function for the values of a worker; arrays are joined, and come with the length of each."""
    answers = function(values, *arguments)
    if not all(isinstance(answer, np.ndarray) for answer in answers):
        return answers
    return np.concatenate(answers), [len(answer) for answer in answers]


def each_of(values: Sequence[Any], function: Callable[..., R], *arguments: Any) -> list[R]:
    """Results of a function for each value."""
    return [function(value, *arguments) for value in values]


def split_answers(answers: Any) -> list[Any]:
    """The single results in an answer of `answers_for`."""
    if not isinstance(answers, tuple):
        return list(answers)
    rows, lengths = answers
    return np.split(rows, np.cumsum(lengths)[:-1])


WINDOW = 4  # tasks on their way for each thread of the workers
BRANCHES = 8  # results that one task of a graph merges
STEP = 2.0  # seconds of waiting before the workers are looked at
WITHOUT_WORKERS = 60.0  # seconds that a cluster may be without a worker
QUIET = {"distributed.admin.large-graph-warning-threshold": "1TiB"}  # rows in the client's memory travel on purpose


class Tasks:
    """The tasks of one run, sent in few graphs, all forgotten when the run ends.

    Parameters
    ----------
    client : distributed.Client
        The client.
    function : callable
        Is called by each task with its partition.
    threads : int
        Threads of all workers.
    progress : callable, optional
        Called with the number of rows done.
    parts : callable, optional
        Called with the time that each partition took.
    work : str
        What the tasks do, in words for Dask's dashboard.
    """

    def __init__(
        self,
        client: Client,
        function: Callable[..., Any],
        threads: int,
        progress: Callable[[int], None] | None,
        parts: Callable[[PartTime], None] | None = None,
        work: str = "scan",
    ) -> None:
        self.client, self._progress, self._parts, self._work = client, progress, parts, work
        self._threads, self._window = threads, WINDOW * threads  # tasks on their way
        # the function is a task of its own: its bytes cross the network once, and are there again after a loss
        self._function = client.submit(itself, function, key=task_key(f"prepare {work}"), pure=False)
        # Weak, so that workers may forget a result that has no reader here.
        self._futures: weakref.WeakSet[Future] = weakref.WeakSet([self._function])
        self._rows_done = 0

    def submit(self, work: str, function: Callable[..., Any], *arguments: Any, **options: Any) -> Future:
        """Send a task of any function; `work` says what it does."""
        import dask

        # pure=True would hash all arguments, and give an earlier task's result to one with equal arguments.
        with dask.config.set(QUIET):
            future = self.client.submit(function, *arguments, key=task_key(work), pure=False, **options)
        self._futures.add(future)
        return future

    def compute(self, delayed: Sequence[Any]) -> list[Future]:
        """Send tasks in one graph."""
        import dask

        with dask.config.set(QUIET):
            futures: list[Future] = self.client.compute(delayed)
        self._futures.update(futures)
        return futures

    def merge(self, partitions: Sequence[Any], merge: Callable[[Sequence[Any]], Any]) -> Any:
        """Merge the results of all partitions by a tree of tasks, sent in one graph with the partitions' own.

        The client is told of single partitions only where progress is reported.
        """
        import dask

        merge_task = dask.delayed(merge, pure=False)
        # `merge` also makes the result of a single partition, so there is one level of merges at least.
        level = parts = self._build_tasks(partitions)
        while len(level) > 1 or level is parts:
            groups = (level[i : i + BRANCHES] for i in range(0, len(level), BRANCHES))
            level = [merge_task(group, dask_key_name=task_key("merge")) for group in groups]
        single_tasks = parts if self._progress is not None else []
        futures = deque(self.compute([*single_tasks, *level]))
        for partition, _ in zip(partitions, single_tasks, strict=False):
            self._watch(futures.popleft(), partition.rows)  # its worker may forget it once it is merged
        return self._value_of(self.result(futures.popleft()))

    def in_order(self, partitions: Iterable[Any]) -> Iterator[Any]:
        """The results of partitions, in order; only a few tasks are sent ahead of the caller."""
        ahead: deque[tuple[Any, Future]] = deque()
        for pair in self._send_batches(partitions):
            ahead.append(pair)
            if len(ahead) > self._threads:
                yield self._collect(*ahead.popleft())
        while ahead:
            yield self._collect(*ahead.popleft())

    def as_ready(self, partitions: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        """Partitions with their results, as they are ready; only a few tasks are sent ahead of the caller."""
        queue = iter(partitions)
        partition_of: dict[Future, Any] = {}
        while True:
            # more than two a thread at first: Dask spreads so many over all workers, and fewer go where the function is
            if batch := list(islice(queue, self._window - len(partition_of))):
                partition_of.update(zip(self.compute(self._build_tasks(batch)), batch, strict=True))
            if not partition_of:
                return
            for future in wait_for_any(self.client, list(partition_of)):
                partition = partition_of.pop(future)
                yield partition, self._collect(partition, future)

    def hold(self, partitions: Iterable[Any]) -> HeldPartitions:
        """Keep the results of all partitions in the workers' memory, and wait until they are there."""
        pairs = list(self._send_batches(partitions))
        for partition, future in pairs:
            self._watch(future, partition.rows)
        return HeldPartitions(self, [future for _, future in pairs], [partition.rows for partition, _ in pairs])

    def wait(self, future: Future) -> None:
        """Wait until a task is done, or has failed."""
        if not future.done():
            wait_for_any(self.client, [future])

    def result(self, future: Future) -> Any:
        """Wait for the result of a task, which its worker may then forget."""
        result = result_of(self.client, future)
        self._futures.discard(future)
        return result

    def forget(self) -> None:
        """Release every task: those that have not begun never begin, and the workers drop their results.

        `Client.cancel` is no way to do it: where a task depends on one that nobody wants any more, as in a tree of
        merges, the scheduler fails at an assertion and closes the client's connection (distributed 2026.7 to 2026.8).
        """
        futures = list(self._futures)
        self._futures.clear()
        for future in futures:
            future.release()

    def _send_batches(self, partitions: Iterable[Any]) -> Iterator[tuple[Any, Future]]:
        """Each partition with its task; some go together, as Dask walks through a frame's whole graph each time."""
        queue = iter(partitions)
        while batch := list(islice(queue, max(2, self._window // 2))):
            yield from zip(batch, self.compute(self._build_tasks(batch)), strict=True)

    def _build_tasks(self, partitions: Sequence[Any]) -> list[Any]:
        """The tasks of partitions, which follow the tasks that compute their rows, if there are such."""
        import dask

        return [
            dask.delayed(partial(call_on_worker, part), pure=False)(
                self._function, *computed, dask_key_name=task_key(self._work, columns_of(partition))
            )
            for partition, (part, computed) in zip(partitions, map(parts_of_task, partitions), strict=True)
        ]

    def _collect(self, partition: Any, future: Future) -> Any:
        value = self._value_of(self.result(future))
        self._report(partition.rows)
        return value

    def _value_of(self, result: Timed) -> Any:
        """The value of a result, whose times are told."""
        if self._parts is not None:
            for part in result.parts:
                self._parts(part)
        return result.value

    def _watch(self, future: Future, rows: int) -> None:
        self.wait(future)
        if future.status != "finished":  # it failed, or was lost with its worker since
            result_of(self.client, future)
        self._report(rows)

    def _report(self, rows: int) -> None:
        self._rows_done += rows
        if self._progress is not None:
            self._progress(self._rows_done)


def parts_of_task(partition: Any) -> tuple[Any, list[Any]]:
    """The part of a partition that travels with its task, and the tasks that compute its rows."""
    if isinstance(partition, DaskPartition):
        return partition.alone, [partition.computed]
    return Packed.pack(partition), []


def columns_of(partition: Any) -> Sequence[str]:
    """The columns that are read of a partition; none of one that is generated."""
    reading = getattr(partition, "reading", None)
    return () if reading is None else reading.columns


def wait_for_any(client: Client, futures: Sequence[Future]) -> set[Future]:
    """Wait until one of some tasks is done, and return all that are.

    Raises
    ------
    EnvironmentProblem
        Where the cluster has lost its workers and gets no others.
    """
    from distributed import wait

    while True:
        try:
            with client.as_current():  # `wait` asks the current client, which may be another or none
                done: set[Future] = wait(futures, timeout=STEP, return_when="FIRST_COMPLETED").done
        except TimeoutError:
            wait_for_workers(client)
        else:
            return done


def result_of(client: Client, future: Future) -> Any:
    """Wait for the result of a task; one that is lost with its worker on the way is computed again."""
    patience = WITHOUT_WORKERS
    while True:
        wait_for_any(client, [future])
        try:
            return future.result(timeout=patience)
        except TimeoutError:
            if future.status == "error":  # the TimeoutError was raised by the task itself
                raise
            wait_for_workers(client)
            patience *= 2  # else a large result, or one over a slow network, would never arrive


def wait_for_workers(client: Client) -> None:
    """Wait until there is a worker.

    Raises
    ------
    EnvironmentProblem
        Where none comes in a minute.
    """
    try:
        client.wait_for_workers(1, timeout=WITHOUT_WORKERS)
    except TimeoutError as problem:
        raise EnvironmentProblem(
            f"the Dask cluster at {scheduler_address(client)} has had no worker for {WITHOUT_WORKERS:g} s: "
            "start some, with `dask worker` and this address"
        ) from problem


def scheduler_address(client: Client) -> str:
    """Address of the scheduler, also of one that is lost."""
    return str(getattr(client.scheduler, "address", "an unknown address"))


@contextmanager
def naming_cluster(client: Client) -> Iterator[None]:
    """Raise an EnvironmentProblem that says what to do where workers or the scheduler are lost."""
    from distributed import KilledWorker
    from distributed.client import CancelledError
    from distributed.comm import CommClosedError

    try:
        yield
    except KilledWorker as problem:
        raise EnvironmentProblem(
            f"Dask gave up a task whose worker died {problem.allowed_failures + 1} times: give workers more memory, or "
            "make partitions smaller (partition_rows, or more of them)"
        ) from problem
    except (CancelledError, CommClosedError) as problem:
        raise EnvironmentProblem(
            f"the Dask cluster at {scheduler_address(client)} was lost ({type(problem).__name__}: {problem}): "
            "start it again, or connect to another"
        ) from problem


#: Of a worker's memory, by its threads: the values of one task of `HeldPartitions.map`, which may come from disk.
HELD_SHARE = 0.2


class DaskExecutor:
    """The workers of a Dask cluster, on which partitions of a source are worked on.

    Each partition is one task, which reads its rows itself where they lie in files, and works through them in blocks.
    Results are merged in a tree of tasks, in row order. A worker that is lost costs the tasks it had: Dask runs them
    again elsewhere, and the result is the same to the bit.

    Parameters
    ----------
    client : distributed.Client, optional
        Any client; by default the current one.
    partition_rows : int, optional
        Rows of a partition of files; by default about four partitions for each thread of the workers, none of which
        takes a thread longer than some two seconds. Dask's frames keep the partitions that they have.
    progress : callable, optional
        Called with the number of rows done.

    Raises
    ------
    EnvironmentProblem
        Where no client is current, or it has lost its scheduler.

    Examples
    --------
    >>> import numpy as np
    >>> from distributed import Client
    >>> import gpuvgm
    >>> table = {"amount": np.random.default_rng(0).normal(50, 9, 1000)}
    >>> with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=":0") as client:
    ...     executor = gpuvgm.DaskExecutor(client, partition_rows=250)
    ...     transformer = gpuvgm.TableTransformer(executor=executor).fit(table)
    >>> transformer.fit_report_.rows
    1000
    """

    def __init__(
        self,
        client: Client | None = None,
        *,
        partition_rows: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        if partition_rows is not None and partition_rows < 1:
            raise InputError(f"partition_rows must be at least 1, got {partition_rows}")
        self.client = current_client() if client is None else client
        self.partition_rows, self.progress = partition_rows, progress

    def __deepcopy__(self, memory: object) -> DaskExecutor:
        return self  # scikit-learn's clone copies parameters; there is one cluster

    def __reduce__(self) -> tuple[Any, ...]:
        return _current_executor, (self.partition_rows,)


class ClusterExecutor(DaskExecutor):
    """Runs functions over partitions on the workers of a `DaskExecutor`: the `Executor` of a cluster."""

    spread = True
    parts: Callable[[PartTime], None] | None = None  # called with the time that each partition took
    work = "scan"  # what tasks do, in words for Dask's dashboard

    @classmethod
    def of(cls, executor: DaskExecutor) -> ClusterExecutor:
        """The executor of the cluster that a user chose."""
        if isinstance(executor, ClusterExecutor):
            return executor
        return cls(executor.client, partition_rows=executor.partition_rows, progress=executor.progress)

    @property
    def threads(self) -> int:
        """Threads of this process: those that fit the columns once their rows are summed up."""
        return available_threads()

    @property
    def threads_of_workers(self) -> list[int]:
        """Threads of each worker.

        Raises
        ------
        EnvironmentProblem
            Where there is no worker.
        """
        with naming_cluster(self.client):
            wait_for_workers(self.client)
            return [int(count) for count in self.client.nthreads().values()]

    @property
    def worker_threads(self) -> int:
        """Threads of all workers; raises as `threads_of_workers`."""
        return max(1, sum(self.threads_of_workers))

    def rows_of_partitions(self, rows: int | None, columns: int = 1) -> int:
        """Rows of a partition of a source with so many rows, of which so many columns are read.

        What the executor was told, or a quarter of what each thread gets: 2^28 values at most, 2^20 rows at least.
        """
        if self.partition_rows is not None:
            return self.partition_rows
        even = -(-(rows or 0) // (4 * self.worker_threads))
        return max(1 << 20, min(PARTITION_VALUES // max(columns, 1), -(-even // (1 << 20)) << 20))

    def ask(self, function: Callable[..., R], *arguments: Any) -> R:
        """Call a function on one of the workers."""
        with naming_cluster(self.client):
            future = self.client.submit(function, *arguments, key=task_key("ask a worker"), pure=False)
            answer: R = result_of(self.client, future)
        return answer

    def reporting(
        self,
        progress: Callable[[int], None] | None,
        parts: Callable[[PartTime], None] | None = None,
        work: str | None = None,
    ) -> ClusterExecutor:
        """The executor with other listeners, and another name for its work, in the places of those that it has."""
        cluster = ClusterExecutor(
            self.client, partition_rows=self.partition_rows, progress=self.progress if progress is None else progress
        )
        cluster.parts = self.parts if parts is None else parts
        cluster.work = work or self.work
        return cluster

    def gather(self, work: str, function: Callable[[Any], R], values: Sequence[Any]) -> list[R]:
        """The results of a function for each value, called on the workers, in the order of the values."""
        import dask

        with naming_cluster(self.client):
            with dask.config.set(QUIET):
                futures = self.client.map(function, values, key=[task_key(work) for _ in values], pure=False)
            return [result_of(self.client, future) for future in futures]

    def map_merge(self, function: Callable[..., R], partitions: Iterable[Any], merge: Callable[[R, R], R]) -> R | None:
        """Merge the results of all blocks of all partitions, in row order; None where there are no rows."""
        return self.merge_each(partial(merge_blocks, function, merge), partitions, merge)

    def merge_each(
        self, function: Callable[..., R | None], partitions: Iterable[Any], merge: Callable[[R, R], R]
    ) -> R | None:
        """Merge what a function gives for each partition, in row order; None where there are no rows.

        It is called on a worker with a partition and an executor of that worker, and gives None for no rows.
        """
        queue = iter(partitions)
        first = next(queue, None)
        if first is None:
            return None
        with self._tasks(partial(call_with_partition, function)) as tasks:
            if isinstance(first, (Block, HeldRows)):  # a graph would keep all their rows on the scheduler until its end
                return merge_results(merge, tasks.in_order(chain([first], queue)))
            merged: R | None = tasks.merge([first, *queue], partial(merge_timed, merge))
            return merged

    def map_blocks(self, function: Callable[..., R], partitions: Iterable[Any], sink: Callable[[R], None]) -> None:
        """Pass the result of each block to `sink`, in row order and in the caller's thread."""
        with self._tasks(partial(map_blocks, function)) as tasks:  # not by `stream`: a generator sees no Ctrl-C
            for results in tasks.in_order(partitions):
                for result in Packed.unpack(results):
                    sink(result)

    def stream(self, function: Callable[..., R], partitions: Iterable[Any]) -> Generator[R]:
        """Yield the result of each block, in row order; few partitions are ahead of what is asked for."""
        with self._tasks(partial(map_blocks, function)) as tasks:
            for results in tasks.in_order(partitions):
                yield from Packed.unpack(results)

    def each(self, function: Callable[..., R], partitions: Iterable[Any]) -> Iterator[tuple[Any, R]]:
        """Yield each partition with what a function gives for it, as they are ready.

        It is called on a worker with a partition and an executor of that worker.
        """
        with self._tasks(partial(call_with_partition, function)) as tasks:
            yield from tasks.as_ready(partitions)

    @contextmanager
    def hold(self, function: Callable[..., Any], partitions: Iterable[Any]) -> Iterator[HeldPartitions]:
        """Keep what a function gives for the blocks of each partition in the workers' memory."""
        with self._tasks(partial(call_with_blocks, function)) as tasks:
            yield tasks.hold(partitions)

    @contextmanager
    def _tasks(self, function: Callable[..., Any]) -> Iterator[Tasks]:
        with naming_cluster(self.client):
            tasks = Tasks(self.client, function, self.worker_threads, self.progress, self.parts, self.work)
            try:
                yield tasks
            except KeyboardInterrupt:
                tasks.forget()
                wait_until_stopped(self.client)
                raise
            finally:
                tasks.forget()


@dataclass(frozen=True, slots=True)
class Passing:
    """One value in an exchange: how much it gives to an earlier value, and which later values give to it.

    Parameters
    ----------
    gives : int
        How much of its beginning it gives away.
    takes_from : tuple of int
        Numbers of the values that give to it, in order.
    """

    gives: int
    takes_from: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Share:
    """Values that one task works on.

    Parameters
    ----------
    numbers : list of int
        Their numbers among all values, in row order.
    values : list of Future, or Future of a list
        The values' tasks.
    where : mapping
        Options of `Client.submit` that name the worker that holds them.
    """

    numbers: list[int]
    values: Any
    where: Mapping[str, Any]


class HeldPartitions:
    """Values in the workers' memory, one for each partition; a lost one is made again from its rows."""

    def __init__(self, tasks: Tasks, futures: list[Future], rows: list[int]) -> None:
        self.rows = rows
        self._tasks, self._futures = tasks, futures

    def passing(
        self,
        passings: Sequence[Passing],
        give: Callable[[Any, int], Any],
        fill: Callable[[Any, int, Sequence[Any]], Any],
    ) -> HeldPartitions:
        """Exchange parts of the values between workers.

        Parameters
        ----------
        passings : sequence of Passing
            The parts that each value gives and gets.
        give : callable
            `give(value, gives)` is the part that a value gives.
        fill : callable
            `fill(value, gives, [parts that it gets, …])` replaces a value that gives or gets a part.

        Returns
        -------
        HeldPartitions
            The values after the exchange.
        """
        import dask

        give_task, fill_task = dask.delayed(give, pure=False), dask.delayed(fill, pure=False)
        pairs = list(zip(self._futures, passings, strict=True))
        gifts = [
            give_task(value, passing.gives, dask_key_name=task_key("give rows")) if passing.gives else None
            for value, passing in pairs
        ]
        key = partial(task_key, "take rows")
        fills = [
            (i, fill_task(value, passing.gives, [gifts[j] for j in passing.takes_from], dask_key_name=key()))
            for i, (value, passing) in enumerate(pairs)
            if passing.gives or passing.takes_from
        ]
        futures = list(self._futures)
        for (i, _), future in zip(fills, self._tasks.compute([delayed for _, delayed in fills]), strict=True):
            futures[i] = future
        return HeldPartitions(self._tasks, futures, self.rows)

    def by_worker(self, function: Callable[..., Any], *arguments: Sequence[Any]) -> HeldShares:
        """Replace the values by a function of each, and join those of a worker, so that a call costs one task a worker.

        Parameters
        ----------
        function : callable
            `function(value, *arguments)` replaces a value.
        *arguments : sequence
            Further arguments, one for each value.
        """
        for future in self._futures:
            self._tasks.wait(future)  # Dask knows the worker of a value once it is computed
        shares = []
        for share in self._shares():
            share_arguments = [[argument[number] for number in share.numbers] for argument in arguments]
            shares.append(
                replace(
                    share,
                    values=self._tasks.submit(
                        "keep rows", values_for, function, share.values, *share_arguments, **share.where
                    ),
                )
            )
        return HeldShares(self._tasks, shares)

    def map(self, function: Callable[..., R], *arguments: Any) -> list[R]:
        """Results of `function(value, *arguments)` for each value, in row order; see `HeldShares.map`."""
        return HeldShares(self._tasks, list(self._shares())).map(function, *arguments)

    def _shares(self) -> Iterator[Share]:
        """The values of each worker: one share, or several where they take more than a fifth of its memory.

        A task needs all its values in memory at once, and Dask may have spilled them to disk.
        """
        client = self._tasks.client
        holders = client.who_has(self._futures)
        sizes = client.nbytes([future.key for future in self._futures], summary=False)
        limits = {  # Dask's limit of 0 is none
            address: HELD_SHARE * (worker["memory_limit"] or float("inf")) / worker["nthreads"]
            for address, worker in client.scheduler_info()["workers"].items()
        }
        places: dict[str, list[int]] = {}
        for i, future in enumerate(self._futures):
            places.setdefault(min(holders.get(future.key) or (), default=""), []).append(i)
        for place, numbers in places.items():
            # Where the worker is lost meanwhile, another one may compute the share again.
            where = {"workers": [place], "allow_other_workers": True} if place in limits else {}
            limit = limits.get(place) or min(limits.values(), default=float("inf"))
            for share in in_shares(numbers, [sizes.get(future.key, 0) for future in self._futures], limit):
                yield Share(share, [self._futures[i] for i in share], where)


@dataclass(frozen=True, slots=True)
class HeldShares:
    """Values in the workers' memory, in shares that one task works on each; a lost share is made again."""

    tasks: Tasks
    shares: list[Share]

    def map(self, function: Callable[..., R], *arguments: Any) -> list[R]:
        """Results of `function(value, *arguments)` for each value, in row order; see `map_shares`."""
        return self.map_shares(each_of, function, *arguments)

    def map_shares(self, function: Callable[..., list[R]], *arguments: Any) -> list[R]:
        """Results of `function(values, *arguments)`, which gives a list for the values of a share, in row order.

        Arrays come joined from each share.
        """
        pairs = [
            (share, self.tasks.submit("iterate", answers_for, function, arguments, share.values, **share.where))
            for share in self.shares
        ]
        answers: dict[int, R] = {}
        for share, future in pairs:
            answers.update(zip(share.numbers, split_answers(self.tasks.result(future)), strict=True))
        return [answers[number] for number in sorted(answers)]


def in_shares(numbers: Sequence[int], sizes: Sequence[int], limit: float) -> Iterator[list[int]]:
    """Split numbers into lists whose sizes add up to a limit at most; a number that is larger gets its own list."""
    share: list[int] = []
    size = 0
    for number in numbers:
        if share and size + sizes[number] > limit:
            yield share
            share, size = [], 0
        share.append(number)
        size += sizes[number]
    if share:
        yield share


def _current_executor(partition_rows: int | None) -> DaskExecutor | None:
    """The executor as another process unpickles it: with the client that is current there, or None."""
    try:
        return DaskExecutor(partition_rows=partition_rows)
    except EnvironmentProblem:
        return None


def current_client() -> Client:
    """The current client of Dask.

    Raises
    ------
    EnvironmentProblem
        Where there is none, or no Dask.
    """
    client = client_if_any()
    if client is None:
        raise EnvironmentProblem(
            "there is no Dask client: start one with gpuvgm.cluster(), or connect with gpuvgm.cluster('tcp://…'); "
            f"both need {pip_command('dask')}"
        )
    return client


def client_if_any() -> Client | None:
    """The current client of Dask, or None; `distributed` is not imported for this."""
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return None
    try:
        client: Client = distributed.default_client()
    except ValueError:
        return None
    return client

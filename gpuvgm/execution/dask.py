"""Dask: map and merge over the partitions of a source on the workers of a cluster."""

from __future__ import annotations

import sys
import warnings
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial, reduce
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from gpuvgm.errors import EnvironmentProblem, InputError, install_extra
from gpuvgm.execution.local import CallerExecutor, LocalExecutor, available_threads
from gpuvgm.execution.partitions import HeldRows, OpenPartition
from gpuvgm.execution.unwanted import stopping, wait_until_stopped, while_wanted
from gpuvgm.io import Block

if TYPE_CHECKING:
    from distributed import Client, Future

R = TypeVar("R")


class Task:
    """A function that a worker holds, called with one partition after the other.

    Parameters
    ----------
    function : callable
        It takes a partition.
    """

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function

    def __call__(self, partition: Any) -> Any:
        """What the function gives."""
        return self._function(partition)


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
        """What the function gives."""
        if self._built is None:
            self._built = self._build()
        return self._built(block)


def travels(partition: Any) -> bool:
    """Whether the rows of a partition go to the worker with it, and are not read there."""
    return isinstance(partition, (Block, HeldRows))


def is_lazy(partition: Any) -> bool:
    """Whether the rows of a partition are computed by tasks of their own."""
    return getattr(partition, "delayed", None) is not None


def opened(partition: Any) -> tuple[LocalExecutor, Any]:
    """What runs the blocks of a partition, and these blocks; a block is a partition of one."""
    if isinstance(partition, Block):
        return LocalExecutor(1), iter([partition])
    found: OpenPartition = partition.opened()
    return (CallerExecutor if found.on_device else LocalExecutor)(1), while_wanted(found.blocks)


def blocks_merged(function: Callable[[Any], R], merge: Callable[[R, R], R], partition: Any) -> R | None:
    """The blocks' results as one; None for a partition without rows."""
    executor, blocks = opened(partition)
    return executor.map_merge(function, blocks, merge)


def merged_pair(merge: Callable[[R, R], R], one: R | None, other: R | None) -> R | None:
    """Results of two partitions, either of which may have no rows."""
    if one is None or other is None:
        return other if one is None else one
    return merge(one, other)


def all_merged(merge: Callable[[R, R], R], results: Sequence[R | None]) -> R | None:
    """Results of several partitions, in row order."""
    return reduce(partial(merged_pair, merge), results)


def blocks_mapped(function: Callable[[Any], R], partition: Any) -> list[R]:
    """The blocks' results."""
    executor, blocks = opened(partition)
    return list(executor.stream(function, blocks))


def partition_given(function: Callable[[Any, LocalExecutor], R], partition: Any) -> R:
    """What a function makes of a partition."""
    return function(partition, LocalExecutor(1, stopping()))


def held(function: Callable[[Iterator[Any]], R], partition: Any) -> R:
    """What a function makes of the blocks of a partition; it stays on the worker."""
    _, blocks = opened(partition)
    return function(blocks)


def held_of(function: Callable[[Any, Any], Any], firsts: Sequence[Any], values: Sequence[Any]) -> list[Any]:
    """What a worker holds in the place of its values; see `Held.by_worker`."""
    return list(map(function, firsts, values))


def answers_of_held(function: Callable[..., Any], arguments: Sequence[Any], values: Sequence[Any]) -> Any:
    """What a function gives for each of the values that this worker holds; arrays as one, and the length of each."""
    answers = [function(value, *arguments) for value in values]
    if not all(isinstance(answer, np.ndarray) for answer in answers):
        return answers
    return np.concatenate(answers), [len(answer) for answer in answers]


def apart(answers: Any) -> list[Any]:
    """What `answers_of_held` made one of, one by one."""
    if not isinstance(answers, tuple):
        return list(answers)
    rows, lengths = answers
    return np.split(rows, np.cumsum(lengths)[:-1])


def in_row_order(function: Callable[..., R], numbers: Sequence[int], shares: Sequence[Any], *arguments: Any) -> R:
    """What a function gives for all values of several shares; the numbers are those of the values, one by one."""
    values = dict(zip(numbers, chain.from_iterable(shares), strict=True))
    return function([values[number] for number in sorted(values)], *arguments)


WINDOW = 4  # tasks on their way for each thread of the workers
TOGETHER = 1 << 10  # partitions of a Dask frame that are sent in one graph, where their results are small
BRANCHES = 8  # results that one task of such a graph merges
STEP = 2.0  # seconds of waiting before the workers are looked at
WITHOUT_WORKERS = 60.0  # seconds that a cluster may be without a worker
QUIET = {"distributed.admin.large-graph-warning-threshold": "1TiB"}  # rows in the client's memory travel on purpose


class Tasks:
    """The tasks of one run: a bounded number on their way, all forgotten when the run ends.

    Parameters
    ----------
    client : distributed.Client
        The client.
    function : callable
        What each task makes of its partition.
    threads : int
        Threads of all workers.
    progress : callable, optional
        Called with the number of rows done.
    """

    def __init__(
        self, client: Client, function: Callable[..., Any], threads: int, progress: Callable[[int], None] | None
    ) -> None:
        self._client, self._progress, self._window = client, progress, WINDOW * threads
        # the function is a task of its own: its bytes cross the network once, and are there again after a loss
        self._function = client.submit(Task, function, pure=False)
        self._futures: weakref.WeakSet[Future] = weakref.WeakSet([self._function])  # results that nobody wants may go
        self._done = 0

    def submit(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Future:
        """A task of any function."""
        future = self._client.submit(function, *arguments, pure=False, **options)
        self._futures.add(future)
        return future

    def each(self, partitions: Iterable[Any]) -> Iterator[Future]:
        """The task of each partition, in order; yielded when it is sent.

        At most a window of them is under way, but of Dask's frames, whose partitions are sent together.
        """
        under_way: deque[tuple[Future, int]] = deque()
        for partition, future in self._sent(partitions, TOGETHER):
            if len(under_way) >= self._window:
                self._await(*under_way.popleft())
            under_way.append((future, partition.rows))
            yield future
        while under_way:
            self._await(*under_way.popleft())

    def merged(self, partitions: Sequence[Any], merge: Callable[[Sequence[Any]], Any]) -> Any:
        """The results of a Dask frame's partitions as one: their tasks and a tree of merges go in one graph.

        The client hears of the single partitions only where somebody wants to know of the progress.
        """
        import dask

        merging = dask.delayed(merge, pure=False)
        level = parts = self._delayed(partitions)
        while len(level) > 1 or level is parts:
            level = [merging(level[i : i + BRANCHES]) for i in range(0, len(level), BRANCHES)]
        watched = parts if self._progress is not None else []
        futures = deque(self.computed([*watched, *level]))
        for partition, _ in zip(partitions, watched, strict=False):
            self._await(futures.popleft(), partition.rows)  # its worker may forget it once it is merged
        return self.result(futures.popleft())

    def in_order(self, partitions: Iterable[Any]) -> Iterator[Any]:
        """The results of partitions, in order."""
        ahead: deque[tuple[Future, int]] = deque()
        most = max(2, self._window // 2)
        for partition, future in self._sent(partitions, most):
            ahead.append((future, partition.rows))
            if len(ahead) >= most:
                yield self._taken(*ahead.popleft())
        while ahead:
            yield self._taken(*ahead.popleft())

    def as_ready(self, partitions: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        """Partitions with their results, as they are ready."""
        left = self._sent(partitions, self._window)
        known: dict[Future, Any] = {}
        while True:
            while len(known) < self._window and (pair := next(left, None)) is not None:
                known[pair[1]] = pair[0]
            if not known:
                return
            for future in settled(self._client, list(known)):
                partition = known.pop(future)
                yield partition, self._taken(future, partition.rows)

    def computed(self, delayed: Sequence[Any]) -> list[Future]:
        """Tasks that are sent in one graph."""
        import dask

        with dask.config.set(QUIET):
            futures: list[Future] = self._client.compute(delayed)
        self._futures.update(futures)
        return futures

    def settle(self, future: Future) -> None:
        """Wait until a task is done, or has failed."""
        if not future.done():
            settled(self._client, [future])

    def result(self, future: Future) -> Any:
        """The result of a task, which its worker may forget."""
        result = result_of(self._client, future)
        self._futures.discard(future)
        return result

    def forget(self) -> None:
        """Let go of every task: what has not begun never does, and the workers drop what they hold.

        `Client.cancel` is no way to do it: where a task depends on one that nobody wants any more, as in a tree of
        merges, the scheduler fails at an assertion and closes the client's connection (distributed 2026.7 to 2026.8).
        """
        futures = list(self._futures)
        self._futures.clear()
        for future in futures:
            future.release()

    def _sent(self, partitions: Iterable[Any], together: int) -> Iterator[tuple[Any, Future]]:
        """Each partition with its task; so many of a Dask frame at a time, whose graph is gone through each time."""
        left = iter(partitions)
        for partition in left:
            if not is_lazy(partition):
                yield partition, self._submitted(partition)
                continue
            batch = [partition, *islice(left, together - 1)]
            yield from zip(batch, self.computed(self._delayed(batch)), strict=True)

    def _submitted(self, partition: Any) -> Future:
        """The task of a partition of files, or of rows that go with it."""
        import dask

        with dask.config.set(QUIET):
            return self.submit(_run, self._function, partition)

    def _delayed(self, partitions: Sequence[Any]) -> list[Any]:
        """The tasks of partitions of a Dask frame, after those that compute their rows."""
        import dask

        tasks = [dask.delayed(partial(_run_on, one.alone), pure=False) for one in partitions]
        return [task(self._function, one.computed) for task, one in zip(tasks, partitions, strict=True)]

    def _taken(self, future: Future, rows: int) -> Any:
        result = self.result(future)
        self._report(rows)
        return result

    def _await(self, future: Future, rows: int) -> None:
        self.settle(future)
        if future.status != "finished":  # it failed, or was lost with its worker since
            result_of(self._client, future)
        self._report(rows)

    def _report(self, rows: int) -> None:
        self._done += rows
        if self._progress is not None:
            self._progress(self._done)


def _run(task: Task, partition: Any) -> Any:
    return task(partition)


def _run_on(partition: Any, task: Task, rows: Any) -> Any:
    return task(partition.of(rows))


def settled(client: Client, futures: Sequence[Future]) -> set[Future]:
    """Those that are done, once one is.

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
    """The result of a task; it may be lost with its worker before it is here, and is made again then."""
    patience = WITHOUT_WORKERS
    while True:
        settled(client, [future])
        try:
            return future.result(timeout=patience)
        except TimeoutError:
            if future.status == "error":  # the task's own
                raise
            wait_for_workers(client)
            patience *= 2  # a result that is large, or comes slowly, arrives in the end


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
            f"the Dask cluster at {address_of(client)} has had no worker for {WITHOUT_WORKERS:g} s: start some, with "
            "`dask worker` and this address"
        ) from problem


def address_of(client: Client) -> str:
    """Where the scheduler is, or was."""
    return str(getattr(client.scheduler, "address", "an unknown address"))


@contextmanager
def naming_cluster(client: Client) -> Iterator[None]:
    """Losses of workers and of the scheduler as problems of the environment that say what to do."""
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
            f"the Dask cluster at {address_of(client)} was lost ({type(problem).__name__}: {problem}): start it again, "
            "or connect to another"
        ) from problem


HELD_SHARE = 0.2  # of a worker's memory: what one task of `Held.map` takes from where it may have been spilled to


class DaskExecutor:
    """Runs a function over the partitions of a source on the workers of a Dask cluster.

    Each partition is one task, which reads its rows itself where they lie in files, and works through them in blocks.
    Results are merged in a tree of tasks, in row order. A worker that is lost costs the tasks it had: Dask runs them
    again elsewhere, and the result is the same to the bit.

    Parameters
    ----------
    client : distributed.Client, optional
        Any client; by default the current one.
    partition_rows : int, optional
        Rows of a partition of files; by default about four partitions for each thread of the workers, of 2^20 to 2^24
        rows. Dask's frames keep the partitions that they have.
    progress : callable, optional
        Called with the number of rows done.
    portion_rows : int, optional
        The former name of `partition_rows`.

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

    spread = True

    def __init__(
        self,
        client: Client | None = None,
        *,
        partition_rows: int | None = None,
        progress: Callable[[int], None] | None = None,
        portion_rows: int | None = None,
    ) -> None:
        if portion_rows is not None:
            warnings.warn("portion_rows is called partition_rows now", FutureWarning, stacklevel=2)
            partition_rows = portion_rows
        if partition_rows is not None and partition_rows < 1:
            raise InputError(f"partition_rows must be at least 1, got {partition_rows}")
        self.client = current_client() if client is None else client
        self.partition_rows, self.progress = partition_rows, progress

    def __deepcopy__(self, memory: object) -> DaskExecutor:
        return self  # scikit-learn's clone copies parameters; there is one cluster

    def __reduce__(self) -> tuple[Any, ...]:
        return _elsewhere, (self.partition_rows,)

    @property
    def threads(self) -> int:
        """Threads of this process: those that fit the columns once their rows are summed up."""
        return available_threads()

    @property
    def worker_threads(self) -> int:
        """Threads of all workers.

        Raises
        ------
        EnvironmentProblem
            Where there is none.
        """
        with naming_cluster(self.client):
            wait_for_workers(self.client)
            return max(1, sum(int(count) for count in self.client.nthreads().values()))

    def rows_of_partitions(self, rows: int | None) -> int:
        """Choose how many rows a partition of a source has.

        Parameters
        ----------
        rows : int or None
            Rows of the source; None where that is unknown.

        Returns
        -------
        int
            What the executor was told, or a quarter of what each thread gets, between 2^20 and 2^24.

        Examples
        --------
        >>> from distributed import Client
        >>> from gpuvgm import DaskExecutor
        >>> with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=":0") as client:
        ...     DaskExecutor(client).rows_of_partitions(1 << 24)
        ...     DaskExecutor(client, partition_rows=1000).rows_of_partitions(1 << 24)
        4194304
        1000
        """
        if self.partition_rows is not None:
            return self.partition_rows
        even = -(-(rows or 0) // (4 * self.worker_threads))
        return min(1 << 24, max(1 << 20, -(-even // (1 << 20)) << 20))

    def ask(self, function: Callable[..., R], *arguments: Any) -> R:
        """Call a function on one of the workers.

        Parameters
        ----------
        function : callable
            What is called there.
        *arguments : object
            Its arguments.

        Returns
        -------
        object
            What it returned.

        Examples
        --------
        >>> from distributed import Client
        >>> from gpuvgm import DaskExecutor
        >>> with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=":0") as client:
        ...     DaskExecutor(client).ask(sum, [1, 2, 3])
        6
        """
        with naming_cluster(self.client):
            answer: R = result_of(self.client, self.client.submit(function, *arguments, pure=False))
        return answer

    def reporting(self, progress: Callable[[int], None] | None) -> DaskExecutor:
        """Make an executor with a listener of its own.

        Parameters
        ----------
        progress : callable, optional
            Is called with a number of rows when these are done.

        Returns
        -------
        DaskExecutor
            This one where there is no listener.

        Examples
        --------
        >>> from distributed import Client
        >>> from gpuvgm import DaskExecutor
        >>> with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=":0") as client:
        ...     DaskExecutor(client, partition_rows=1000).reporting(print).partition_rows
        1000
        """
        if progress is None:
            return self
        return DaskExecutor(self.client, partition_rows=self.partition_rows, progress=progress)

    def gather(self, function: Callable[[Any], R], values: Sequence[Any]) -> list[R]:
        """Call a function for each value on the workers.

        Parameters
        ----------
        function : callable
            What is called there, with one value.
        values : sequence of object
            The values.

        Returns
        -------
        list of object
            What it returned, in the order of the values.

        Examples
        --------
        >>> from distributed import Client
        >>> from gpuvgm import DaskExecutor
        >>> with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=":0") as client:
        ...     DaskExecutor(client).gather(abs, [-1, 2, -3])
        [1, 2, 3]
        """
        with naming_cluster(self.client):
            futures = self.client.map(function, values, pure=False)
            return [result_of(self.client, future) for future in futures]

    def map_merge(self, function: Callable[..., R], partitions: Iterable[Any], merge: Callable[[R, R], R]) -> R | None:
        """Merge the results of all blocks of all partitions, in row order.

        Parameters
        ----------
        function : callable
            Is called with each block.
        partitions : iterable of Partition
            The rows.
        merge : callable
            Makes one of two results.

        Returns
        -------
        object or None
            The merged result; None where there are no rows.

        Examples
        --------
        >>> from operator import add, attrgetter
        >>> from distributed import Client
        >>> from gpuvgm import DaskExecutor
        >>> from gpuvgm.execution.partitions import Reading, partitions
        >>> from gpuvgm.execution.sources import open_source
        >>> parts = partitions(open_source({"x": range(1000)}), Reading("auto", ("x",), 100), 400)
        >>> with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=":0") as client:
        ...     DaskExecutor(client).map_merge(attrgetter("rows"), parts, add)
        1000
        """
        left = iter(partitions)
        first = next(left, None)
        if first is None:
            return None
        two = partial(merged_pair, merge)
        with self._tasks(partial(blocks_merged, function, merge)) as tasks:
            if travels(first):  # a tree of tasks would keep all their rows on the scheduler until its end
                tree = Tree(two)
                for result in tasks.in_order(chain([first], left)):
                    tree.add(result)
                return cast("R | None", tree.root())
            if is_lazy(first):
                return cast("R | None", tasks.merged([first, *left], partial(all_merged, merge)))
            tree = Tree(partial(tasks.submit, two))
            for future in tasks.each(chain([first], left)):
                tree.add(future)
            return cast("R | None", tasks.result(tree.root()))

    def map_blocks(self, function: Callable[..., R], partitions: Iterable[Any], sink: Callable[[R], None]) -> None:
        """Pass the result of each block to `sink`, in row order and in the caller's thread.

        Parameters
        ----------
        function : callable
            Is called with each block.
        partitions : iterable of Partition
            The rows.
        sink : callable
            Is called with each result.

        Examples
        --------
        >>> from operator import attrgetter
        >>> from distributed import Client
        >>> from gpuvgm import DaskExecutor
        >>> from gpuvgm.execution.partitions import Reading, partitions
        >>> from gpuvgm.execution.sources import open_source
        >>> parts = partitions(open_source({"x": range(1000)}), Reading("auto", ("x",), 400), 400)
        >>> with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=":0") as client:
        ...     DaskExecutor(client).map_blocks(attrgetter("rows"), parts, print)
        400
        400
        200
        """
        with self._tasks(partial(blocks_mapped, function)) as tasks:  # not by `stream`: a generator sees no Ctrl-C
            for results in tasks.in_order(partitions):
                for result in results:
                    sink(result)

    def stream(self, function: Callable[..., R], partitions: Iterable[Any]) -> Generator[R]:
        """Give the result of each block, in row order; few partitions are ahead of what is asked for.

        Parameters
        ----------
        function : callable
            Is called with each block.
        partitions : iterable of Partition
            The rows.

        Yields
        ------
        object
            What the function returned.

        Examples
        --------
        >>> from operator import attrgetter
        >>> from distributed import Client
        >>> from gpuvgm import DaskExecutor
        >>> from gpuvgm.execution.partitions import Reading, partitions
        >>> from gpuvgm.execution.sources import open_source
        >>> parts = partitions(open_source({"x": range(1000)}), Reading("auto", ("x",), 400), 400)
        >>> with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=":0") as client:
        ...     list(DaskExecutor(client).stream(attrgetter("rows"), parts))
        [400, 400, 200]
        """
        with self._tasks(partial(blocks_mapped, function)) as tasks:
            for results in tasks.in_order(partitions):
                yield from results

    def each(self, function: Callable[..., R], partitions: Iterable[Any]) -> Iterator[tuple[Any, R]]:
        """Give each partition with its result, as they are ready.

        Parameters
        ----------
        function : callable
            Is called on a worker with a partition and an executor of that worker.
        partitions : iterable of Partition
            The rows.

        Yields
        ------
        tuple of Partition and object
            A partition, and what the function returned for it.

        Examples
        --------
        >>> from distributed import Client
        >>> from gpuvgm import DaskExecutor
        >>> from gpuvgm.execution.partitions import Reading, partitions
        >>> from gpuvgm.execution.sources import open_source
        >>> parts = partitions(open_source({"x": range(1000)}), Reading("auto", ("x",), 400), 400)
        >>> with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=":0") as client:
        ...     sorted(rows for _, rows in DaskExecutor(client).each(lambda part, executor: part.rows, parts))
        [200, 400, 400]
        """
        with self._tasks(partial(partition_given, function)) as tasks:
            yield from tasks.as_ready(partitions)

    @contextmanager
    def hold(self, function: Callable[..., Any], partitions: Iterable[Any]) -> Iterator[Held]:
        """Keep what a function gives for the blocks of each partition in the workers' memory.

        Parameters
        ----------
        function : callable
            Is called with the blocks of a partition.
        partitions : iterable of Partition
            The rows.

        Yields
        ------
        Held
            What the workers hold until the context ends.

        Examples
        --------
        >>> from distributed import Client
        >>> from gpuvgm import DaskExecutor
        >>> from gpuvgm.execution.partitions import Reading, partitions
        >>> from gpuvgm.execution.sources import open_source
        >>> parts = partitions(open_source({"x": range(1000)}), Reading("auto", ("x",), 400), 400)
        >>> with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=":0") as client:
        ...     with DaskExecutor(client).hold(list, parts) as held:
        ...         held.map(len)
        [1, 1, 1]
        """
        sizes: list[int] = []

        def sized() -> Iterator[Any]:
            for partition in partitions:
                sizes.append(8 * partition.rows)
                yield partition

        with self._tasks(partial(held, function)) as tasks:
            yield Held(self, tasks, list(tasks.each(sized())), sizes)

    @contextmanager
    def _tasks(self, function: Callable[..., Any]) -> Iterator[Tasks]:
        with naming_cluster(self.client):
            tasks = Tasks(self.client, function, self.worker_threads, self.progress)
            try:
                yield tasks
            except KeyboardInterrupt:
                tasks.forget()
                wait_until_stopped(self.client)
                raise
            finally:
                tasks.forget()


class Tree:
    """Merges neighbours of equal height as they come, so that the order of rows is kept.

    Parameters
    ----------
    merge : callable
        Two results to one.
    """

    def __init__(self, merge: Callable[[Any, Any], Any]) -> None:
        self._merge = merge
        self._held: list[tuple[int, Any]] = []

    def add(self, result: Any) -> None:
        """Take the next result."""
        height = 0
        while self._held and self._held[-1][0] == height:
            result, height = self._merge(self._held.pop()[1], result), height + 1
        self._held.append((height, result))

    def root(self) -> Any | None:
        """All results as one."""
        while len(self._held) > 1:
            (_, last), (height, before) = self._held.pop(), self._held.pop()
            self._held.append((height, self._merge(before, last)))
        return self._held[0][1] if self._held else None


@dataclass(frozen=True, slots=True)
class Passing:
    """What one of several values gives to one before it, and what it gets from others after it.

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
        Which they are, in row order.
    values : list of Future, or Future of a list
        Where they are.
    where : mapping
        Which worker should run the task: one that holds them; for `Client.submit`.
    """

    numbers: list[int]
    values: Any
    where: Mapping[str, Any]


class Held:
    """Values in the workers' memory, one for each partition; a lost one is made again from its rows."""

    def __init__(self, executor: DaskExecutor, tasks: Tasks, futures: list[Future], sizes: list[int]) -> None:
        self._executor, self._tasks, self._futures, self._bytes = executor, tasks, futures, sizes

    def passing(
        self,
        passings: Sequence[Passing],
        given: Callable[[Any, int], Any],
        taken: Callable[[Any, int, Sequence[Any]], Any],
    ) -> Held:
        """Values held in the place of these, after parts went from worker to worker.

        Parameters
        ----------
        passings : sequence of Passing
            What each value gives and gets.
        given : callable
            `given(value, gives)` is what it gives away.
        taken : callable
            `taken(value, gives, [what it gets, …])` is held in the place of a value that gives or gets anything.
        """
        import dask

        giving, taking = dask.delayed(given, pure=False), dask.delayed(taken, pure=False)
        pairs = list(zip(self._futures, passings, strict=True))
        gifts = [giving(value, one.gives) if one.gives else None for value, one in pairs]
        changed = [
            (i, taking(value, one.gives, [gifts[j] for j in one.takes_from]))
            for i, (value, one) in enumerate(pairs)
            if one.gives or one.takes_from
        ]
        futures = list(self._futures)
        for (i, _), future in zip(changed, self._tasks.computed([delayed for _, delayed in changed]), strict=True):
            futures[i] = future
        return Held(self._executor, self._tasks, futures, self._bytes)

    def by_worker(self, function: Callable[[Any, Any], Any], firsts: Sequence[Any]) -> HeldShares:
        """Values held in the place of these, those of a worker as one: a call then costs no more for more partitions.

        Parameters
        ----------
        function : callable
            `function(first, value)` is held in the place of a value.
        firsts : sequence
            One for each value.
        """
        for future in self._futures:
            self._tasks.settle(future)  # its worker is known then
        shares = []
        for one in self._shares():
            mine = [firsts[number] for number in one.numbers]
            shares.append(replace(one, values=self._tasks.submit(held_of, function, mine, one.values, **one.where)))
        return HeldShares(self._tasks, shares)

    def map(self, function: Callable[..., R], *arguments: Any) -> list[R]:
        """What `function(value, *arguments)` gives for each value, in row order; see `HeldShares.map`."""
        return HeldShares(self._tasks, list(self._shares())).map(function, *arguments)

    def _shares(self) -> Iterator[Share]:
        """The values of each worker: one share, or several where they are more than a fifth of its memory.

        They may lie on disk.
        """
        client = self._executor.client
        holders = client.who_has(self._futures)
        limits = {
            address: HELD_SHARE * (worker["memory_limit"] or float("inf")) / worker["nthreads"]
            for address, worker in client.scheduler_info()["workers"].items()
        }
        places: dict[str, list[int]] = {}
        for i, future in enumerate(self._futures):
            places.setdefault(min(holders.get(future.key) or (), default=""), []).append(i)
        for place, mine in places.items():
            where = {"workers": [place], "allow_other_workers": True} if place in limits else {}
            for share in in_shares(mine, self._bytes, limits.get(place) or min(limits.values(), default=float("inf"))):
                yield Share(share, [self._futures[i] for i in share], where)


@dataclass(frozen=True, slots=True)
class HeldShares:
    """Values in the workers' memory, in shares that one task works on each; a lost share is made again."""

    tasks: Tasks
    shares: list[Share]

    def map(self, function: Callable[..., R], *arguments: Any) -> list[R]:
        """What `function(value, *arguments)` gives for each value, in row order; arrays come as one from each share."""
        sent = [
            (share, self.tasks.submit(answers_of_held, function, arguments, share.values, **share.where))
            for share in self.shares
        ]
        found: dict[int, R] = {}
        for share, future in sent:
            found.update(zip(share.numbers, apart(self.tasks.result(future)), strict=True))
        return [found[number] for number in sorted(found)]

    def together(self, function: Callable[..., R], *arguments: Any) -> R:
        """What `function([value, …], *arguments)` gives on the one worker that all values are brought to."""
        numbers = [number for share in self.shares for number in share.numbers]
        shares = [share.values for share in self.shares]
        result: R = self.tasks.result(self.tasks.submit(in_row_order, function, numbers, shares, *arguments))
        return result


def in_shares(numbers: Sequence[int], sizes: Sequence[int], limit: float) -> Iterator[list[int]]:
    """The numbers in lists whose sizes add up to a limit at most; one that is larger is alone."""
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


def _elsewhere(partition_rows: int | None) -> DaskExecutor | None:
    """The executor in another process: with its current client, if it has one."""
    try:
        return DaskExecutor(partition_rows=partition_rows)
    except EnvironmentProblem:
        return None


def current_client() -> Client:
    """The client that is current.

    Raises
    ------
    EnvironmentProblem
        Where there is none, or no Dask.
    """
    client = client_if_any()
    if client is None:
        raise EnvironmentProblem(
            "there is no Dask client: start one with gpuvgm.cluster(), or connect with gpuvgm.cluster('tcp://…'); "
            f"both need {install_extra('dask')}"
        )
    return client


def client_if_any() -> Client | None:
    """The client that is current; None where there is none. It loads nothing."""
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return None
    try:
        client: Client = distributed.default_client()
    except ValueError:
        return None
    return client

"""The Dask executor: portions of a source as tasks of a cluster, their results merged in a tree of tasks."""

from __future__ import annotations

import sys
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from gpuvgm.distributed.work import Task, blocks_mapped, blocks_merged, held, merged_pair, portion_given, sums_of_held
from gpuvgm.errors import EnvironmentProblem, InputError
from gpuvgm.execution import available_threads

if TYPE_CHECKING:
    from distributed import Client, Future

R = TypeVar("R")
WINDOW = 4  # tasks on their way for each thread of the workers


class DaskExecutor:
    """Runs a function over the portions of a source on the workers of a Dask cluster.

    Each portion is one task, which reads its rows itself where they lie in files, and works through them in blocks.
    Results are merged in a tree of tasks, in row order. A worker that is lost costs the tasks it had: Dask runs them
    again elsewhere, and the result is the same to the bit.

    Parameters
    ----------
    client : distributed.Client, optional
        Any client; by default the current one.
    portion_rows : int, optional
        Rows of a portion of files; by default about four portions for each thread of the workers, of 2^20 to 2^24 rows.
        Partitions of Dask's frames are portions by themselves.
    progress : callable, optional
        Called with the number of rows done.

    Raises
    ------
    EnvironmentProblem
        Where no client is current, or it has lost its scheduler.
    """

    spread = True

    def __init__(
        self,
        client: Client | None = None,
        *,
        portion_rows: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        if portion_rows is not None and portion_rows < 1:
            raise InputError(f"portion_rows must be at least 1, got {portion_rows}")
        self.client = current_client() if client is None else client
        self.portion_rows, self.progress = portion_rows, progress

    def __deepcopy__(self, memory: object) -> DaskExecutor:
        return self  # scikit-learn's clone copies parameters; there is one cluster

    def __reduce__(self) -> tuple[Any, ...]:
        return _elsewhere, (self.portion_rows,)

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
            self.client.wait_for_workers(1, timeout=60)
            return max(1, sum(int(count) for count in self.client.nthreads().values()))

    def rows_of_portions(self, rows: int | None) -> int:
        """Rows of a portion of a source with so many rows."""
        if self.portion_rows is not None:
            return self.portion_rows
        even = -(-(rows or 0) // (4 * self.worker_threads))
        return min(1 << 24, max(1 << 20, -(-even // (1 << 20)) << 20))

    def ask(self, function: Callable[..., R], *arguments: Any) -> R:
        """What a function gives on one of the workers."""
        with naming_cluster(self.client):
            answer: R = self.client.submit(function, *arguments, pure=False).result()
        return answer

    def reporting(self, progress: Callable[[int], None] | None) -> DaskExecutor:
        """The executor with a listener of its own."""
        if progress is None:
            return self
        return DaskExecutor(self.client, portion_rows=self.portion_rows, progress=progress)

    def gather(self, function: Callable[[Any], R], values: Sequence[Any]) -> list[R]:
        """What a function gives for each value, on the workers."""
        with naming_cluster(self.client):
            found: list[R] = self.client.gather(self.client.map(function, values, pure=False))
        return found

    def map_merge(self, function: Callable[..., R], portions: Iterable[Any], merge: Callable[[R, R], R]) -> R | None:
        """Merge the results of all blocks of all portions, in row order; None where there are no rows."""
        task = partial(blocks_merged, function, merge)
        with self._tasks(task) as tasks:
            tree = Tree(partial(tasks.submit, partial(merged_pair, merge)))
            for future in tasks.each(portions):
                tree.add(future)
            root = tree.root()
            if root is None:
                return None
            merged: R | None = tasks.result(root)
            return merged

    def map_blocks(self, function: Callable[..., R], portions: Iterable[Any], sink: Callable[[R], None]) -> None:
        """Pass the result of each block to `sink`, in row order and in the caller's thread."""
        for result in self.stream(function, portions):
            sink(result)

    def stream(self, function: Callable[..., R], portions: Iterable[Any]) -> Iterator[R]:
        """The result of each block, in row order; few portions are ahead of what is asked for."""
        with self._tasks(partial(blocks_mapped, function)) as tasks:
            for results in tasks.in_order(portions):
                yield from results

    def each(self, function: Callable[..., R], portions: Iterable[Any]) -> Iterator[tuple[Any, R]]:
        """Each portion with what `function(portion, executor)` gives for it on a worker, as they are ready."""
        with self._tasks(partial(portion_given, function)) as tasks:
            yield from tasks.as_ready(portions)

    @contextmanager
    def hold(self, function: Callable[..., Any], portions: Iterable[Any]) -> Iterator[Held]:
        """Keep what a function gives for the blocks of each portion in the workers' memory."""
        with self._tasks(partial(held, function)) as tasks:
            yield Held(self, tasks, list(tasks.each(portions)))

    @contextmanager
    def _tasks(self, function: Callable[..., Any]) -> Iterator[_Tasks]:
        tasks = _Tasks(self, function)
        try:
            with naming_cluster(self.client):
                yield tasks
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


class Held:
    """Values in the workers' memory, one for each portion; a lost one is made again from its rows."""

    def __init__(self, executor: DaskExecutor, tasks: _Tasks, futures: list[Future]) -> None:
        self._client, self._tasks, self._futures = executor.client, tasks, futures

    def wait(self) -> None:
        """Wait until all are there."""
        for future in self._futures:
            self._tasks.result(future, keep=True)

    def map(self, function: Callable[..., R], *arguments: Any) -> list[R]:
        """What `function(value, *arguments)` gives for each value, in row order; one task for each worker."""
        places: dict[str, list[int]] = {}
        holders = self._client.who_has(self._futures)
        for i, future in enumerate(self._futures):
            where = sorted(holders.get(future.key) or ())
            places.setdefault(where[0] if where else "", []).append(i)
        sent = [
            (
                mine,
                self._client.submit(
                    sums_of_held,
                    function,
                    arguments,
                    [self._futures[i] for i in mine],
                    workers=[place] if place else None,
                    allow_other_workers=True,
                    pure=False,
                ),
            )
            for place, mine in places.items()
        ]
        found: dict[int, R] = {}
        for mine, future in sent:
            found.update(zip(mine, future.result(), strict=True))
        return [found[i] for i in range(len(self._futures))]


class _Tasks:
    """The tasks of one run: a bounded number on their way, all cancelled when the run ends."""

    def __init__(self, executor: DaskExecutor, function: Callable[..., Any]) -> None:
        self._executor, self._client = executor, executor.client
        # the function is a task of its own: its bytes cross the network once, and are there again after a loss
        self._function = self._client.submit(Task, function, pure=False)
        self._window = WINDOW * executor.worker_threads
        self._futures: weakref.WeakSet[Future] = weakref.WeakSet([self._function])  # results that nobody wants may go
        self._done = 0

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future:
        """A task of any function."""
        future = self._client.submit(function, *arguments, pure=False)
        self._futures.add(future)
        return future

    def each(self, portions: Iterable[Any]) -> Iterator[Future]:
        """The task of each portion, in order; yielded when it is sent, and at most a window of them is under way."""
        under_way: deque[tuple[Future, int]] = deque()
        for portion in portions:
            if len(under_way) >= self._window:
                self._await(*under_way.popleft())
            future = self._start(portion)
            under_way.append((future, portion.rows))
            yield future
        while under_way:
            self._await(*under_way.popleft())

    def in_order(self, portions: Iterable[Any]) -> Iterator[Any]:
        """The results of portions, in order."""
        ahead: deque[tuple[Future, int]] = deque()
        for portion in portions:
            ahead.append((self._start(portion), portion.rows))
            if len(ahead) >= max(2, self._window // 2):
                yield self._taken(*ahead.popleft())
        while ahead:
            yield self._taken(*ahead.popleft())

    def as_ready(self, portions: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        """Portions with their results, as they are ready."""
        from distributed import as_completed

        left = iter(portions)
        known: dict[Any, Any] = {}
        ready = as_completed()
        for portion in left:
            self._enter(portion, known, ready)
            if len(known) >= self._window:
                break
        for future in ready:
            portion = known.pop(future.key)
            result = self._taken(future, portion.rows)
            following = next(left, None)
            if following is not None:
                self._enter(following, known, ready)
            yield portion, result

    def _enter(self, portion: Any, known: dict[Any, Any], ready: Any) -> None:
        future = self._start(portion)
        known[future.key] = portion
        ready.add(future)

    def _start(self, portion: Any) -> Future:
        delayed = getattr(portion, "delayed", None)
        if delayed is None:
            return self.submit(_run, self._function, portion)
        rows = self._client.compute(delayed)
        self._futures.add(rows)
        future = self.submit(_run_on, self._function, portion.alone, rows)
        self._futures.discard(rows)  # the task keeps it as long as it needs it
        return future

    def _taken(self, future: Future, rows: int) -> Any:
        result = self.result(future)
        self._report(rows)
        return result

    def _await(self, future: Future, rows: int) -> None:
        self.result(future, keep=True)
        self._report(rows)

    def result(self, future: Future, *, keep: bool = False) -> Any:
        """The result of a task, or None where it is to stay on its worker."""
        if keep:
            from distributed import wait

            wait(future)
            if future.status != "finished":
                future.result()
            return None
        result = future.result()
        self._futures.discard(future)
        return result

    def _report(self, rows: int) -> None:
        self._done += rows
        if self._executor.progress is not None:
            self._executor.progress(self._done)

    def forget(self) -> None:
        """Cancel what is left."""
        futures = [future for future in self._futures if future.status == "pending"]
        if futures and self._client.status == "running":
            self._client.cancel(futures, force=True)


def _run(task: Task, portion: Any) -> Any:
    return task(portion)


def _run_on(task: Task, portion: Any, rows: Any) -> Any:
    return task(portion.of(rows))


def _elsewhere(portion_rows: int | None) -> DaskExecutor | None:
    """The executor in another process: with its current client, if it has one."""
    try:
        return DaskExecutor(portion_rows=portion_rows)
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
            'both need pip install "gpuvgm[dask]"'
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


@contextmanager
def naming_cluster(client: Client) -> Iterator[None]:
    """Losses of workers and of the scheduler as problems of the environment that say what to do."""
    from distributed import KilledWorker
    from distributed.client import FutureCancelledError

    try:
        yield
    except KilledWorker as problem:
        raise EnvironmentProblem(
            f"Dask gave up a task whose worker died {problem.allowed_failures + 1} times: give workers more memory, or "
            "make portions smaller (portion_rows, or more partitions)"
        ) from problem
    except (FutureCancelledError, OSError, TimeoutError) as problem:
        if isinstance(problem, OSError) and problem.errno is not None and not isinstance(problem, TimeoutError):
            raise
        if client.status == "running" and not isinstance(problem, TimeoutError):
            raise
        raise EnvironmentProblem(
            f"the Dask cluster at {client.scheduler_info().get('address', 'an unknown address')} cannot be used "
            f"({type(problem).__name__}: {problem}): start its workers, or connect to another"
        ) from problem

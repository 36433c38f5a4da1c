"""The Dask executor: portions of a source as tasks of a cluster, their results merged in a tree of tasks."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar, cast

from gpuvgm.errors import EnvironmentProblem, InputError
from gpuvgm.execution.dask_tasks import Tasks, naming_cluster, result_of, wait_for_workers
from gpuvgm.execution.dask_work import (
    blocks_mapped,
    blocks_merged,
    held,
    merged_pair,
    portion_given,
    sums_of_held,
    travels,
)
from gpuvgm.execution.local import available_threads

if TYPE_CHECKING:
    from distributed import Client, Future

R = TypeVar("R")
HELD_SHARE = 0.2  # of a worker's memory: what one task of `Held.map` takes from where it may have been spilled to


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
            wait_for_workers(self.client)
            return max(1, sum(int(count) for count in self.client.nthreads().values()))

    def rows_of_portions(self, rows: int | None) -> int:
        """Choose how many rows a portion of a source has.

        Parameters
        ----------
        rows : int or None
            Rows of the source; None where that is unknown.

        Returns
        -------
        int
            What the executor was told, or a quarter of what each thread gets, between 2^20 and 2^24.
        """
        if self.portion_rows is not None:
            return self.portion_rows
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
        """
        if progress is None:
            return self
        return DaskExecutor(self.client, portion_rows=self.portion_rows, progress=progress)

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
        """
        with naming_cluster(self.client):
            futures = self.client.map(function, values, pure=False)
            return [result_of(self.client, future) for future in futures]

    def map_merge(self, function: Callable[..., R], portions: Iterable[Any], merge: Callable[[R, R], R]) -> R | None:
        """Merge the results of all blocks of all portions, in row order.

        Parameters
        ----------
        function : callable
            Is called with each block.
        portions : iterable of Portion
            The rows.
        merge : callable
            Makes one of two results.

        Returns
        -------
        object or None
            The merged result; None where there are no rows.
        """
        left = iter(portions)
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
            tree = Tree(partial(tasks.submit, two))
            for future in tasks.each(chain([first], left)):
                tree.add(future)
            return cast("R | None", tasks.result(tree.root()))

    def map_blocks(self, function: Callable[..., R], portions: Iterable[Any], sink: Callable[[R], None]) -> None:
        """Pass the result of each block to `sink`, in row order and in the caller's thread.

        Parameters
        ----------
        function : callable
            Is called with each block.
        portions : iterable of Portion
            The rows.
        sink : callable
            Is called with each result.
        """
        with closing(self.stream(function, portions)) as results:
            for result in results:
                sink(result)

    def stream(self, function: Callable[..., R], portions: Iterable[Any]) -> Generator[R]:
        """Give the result of each block, in row order; few portions are ahead of what is asked for.

        Parameters
        ----------
        function : callable
            Is called with each block.
        portions : iterable of Portion
            The rows.

        Yields
        ------
        object
            What the function returned.
        """
        with self._tasks(partial(blocks_mapped, function)) as tasks:
            for results in tasks.in_order(portions):
                yield from results

    def each(self, function: Callable[..., R], portions: Iterable[Any]) -> Iterator[tuple[Any, R]]:
        """Give each portion with its result, as they are ready.

        Parameters
        ----------
        function : callable
            Is called on a worker with a portion and an executor of that worker.
        portions : iterable of Portion
            The rows.

        Yields
        ------
        tuple of Portion and object
            A portion, and what the function returned for it.
        """
        with self._tasks(partial(portion_given, function)) as tasks:
            yield from tasks.as_ready(portions)

    @contextmanager
    def hold(self, function: Callable[..., Any], portions: Iterable[Any]) -> Iterator[Held]:
        """Keep what a function gives for the blocks of each portion in the workers' memory.

        Parameters
        ----------
        function : callable
            Is called with the blocks of a portion.
        portions : iterable of Portion
            The rows.

        Yields
        ------
        Held
            What the workers hold until the context ends.
        """
        sizes: list[int] = []

        def sized() -> Iterator[Any]:
            for portion in portions:
                sizes.append(8 * portion.rows)
                yield portion

        with self._tasks(partial(held, function)) as tasks:
            yield Held(self, tasks, list(tasks.each(sized())), sizes)

    @contextmanager
    def _tasks(self, function: Callable[..., Any]) -> Iterator[Tasks]:
        with naming_cluster(self.client):
            tasks = Tasks(self.client, function, self.worker_threads, self.progress)
            try:
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

    def __init__(self, executor: DaskExecutor, tasks: Tasks, futures: list[Future], sizes: list[int]) -> None:
        self._executor, self._tasks, self._futures, self._bytes = executor, tasks, futures, sizes

    def amended(self, function: Callable[[Any, Any], Any], arguments: Sequence[Any]) -> Held:
        """Values held in the place of these: `function(value, argument)` where there is an argument, else the same."""
        pairs = zip(self._futures, arguments, strict=True)
        futures = [
            future if argument is None else self._tasks.submit(function, future, argument) for future, argument in pairs
        ]
        return Held(self._executor, self._tasks, futures, self._bytes)

    def map(self, function: Callable[..., R], *arguments: Any) -> list[R]:
        """What `function(value, *arguments)` gives for each value, in row order.

        One task for each worker, or several where its values are more than a fifth of its memory: they may lie on disk.
        """
        sent = [
            (mine, self._tasks.submit(sums_of_held, function, arguments, [self._futures[i] for i in mine], **where))
            for mine, where in self._shares()
        ]
        found: dict[int, R] = {}
        for mine, future in sent:
            found.update(zip(mine, self._tasks.result(future), strict=True))
        return [found[i] for i in range(len(self._futures))]

    def _shares(self) -> Iterator[tuple[list[int], dict[str, Any]]]:
        """The values that one task works on, and which worker should run it: one that holds them."""
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
                yield share, where


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

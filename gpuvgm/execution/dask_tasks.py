"""Tasks of one run on a cluster: how many are on their way, how they are waited for, and how they end."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gpuvgm.errors import EnvironmentProblem
from gpuvgm.execution.dask_work import Task, travels

if TYPE_CHECKING:
    from distributed import Client, Future

WINDOW = 4  # tasks on their way for each thread of the workers
STEP = 2.0  # seconds of waiting before the workers are looked at
WITHOUT_WORKERS = 60.0  # seconds that a cluster may be without a worker
QUIET = {"distributed.admin.large-graph-warning-threshold": "1TiB"}


class Tasks:
    """The tasks of one run: a bounded number on their way, all forgotten when the run ends.

    Parameters
    ----------
    client : distributed.Client
        The client.
    function : callable
        What each task makes of its portion.
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
        left = iter(portions)
        known: dict[Future, Any] = {}
        while True:
            while len(known) < self._window and (portion := next(left, None)) is not None:
                known[self._start(portion)] = portion
            if not known:
                return
            for future in settled(self._client, list(known)):
                portion = known.pop(future)
                yield portion, self._taken(future, portion.rows)

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

    def _start(self, portion: Any) -> Future:
        delayed = getattr(portion, "delayed", None)
        if delayed is None:
            return self._sent(portion)
        rows = self._client.compute(delayed)
        self._futures.add(rows)
        future = self.submit(_run_on, self._function, portion.alone, rows)
        self._futures.discard(rows)  # the task keeps it as long as it needs it
        return future

    def _sent(self, portion: Any) -> Future:
        if not travels(portion):
            return self.submit(_run, self._function, portion)
        import dask

        with dask.config.set(QUIET):  # a warning of Dask's against what is done on purpose, in small portions
            return self.submit(_run, self._function, portion)

    def _taken(self, future: Future, rows: int) -> Any:
        result = self.result(future)
        self._report(rows)
        return result

    def _await(self, future: Future, rows: int) -> None:
        settled(self._client, [future])
        if future.status != "finished":
            future.result()
        self._report(rows)

    def _report(self, rows: int) -> None:
        self._done += rows
        if self._progress is not None:
            self._progress(self._done)


def _run(task: Task, portion: Any) -> Any:
    return task(portion)


def _run_on(task: Task, portion: Any, rows: Any) -> Any:
    return task(portion.of(rows))


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
            "make portions smaller (portion_rows, or more partitions)"
        ) from problem
    except (CancelledError, CommClosedError) as problem:
        raise EnvironmentProblem(
            f"the Dask cluster at {address_of(client)} was lost ({type(problem).__name__}: {problem}): start it again, "
            "or connect to another"
        ) from problem

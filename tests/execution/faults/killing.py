"""Ways to lose workers at a known point of a run."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from gpuvgm.execution.dask import ClusterExecutor


def kill_workers(client: Any, count: int = 1) -> list[int]:
    """End so many worker processes at once, as the kernel does where memory runs out."""
    pids = list(client.run(os.getpid).values())[:count]
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return pids


class Dying(ClusterExecutor):
    """An executor whose first worker dies when some rows are done, and at some calls over held values.

    Parameters
    ----------
    client : distributed.Client
        The client.
    after : int
        Rows that are done before.
    partition_rows : int
        Rows of a partition.
    """

    def __init__(self, client: Any, after: int, partition_rows: int) -> None:
        super().__init__(client, partition_rows=partition_rows)
        self.after, self.killed = after, []
        self.progress = self.watch

    def reporting(self, *_: Any) -> ClusterExecutor:
        """The same executor, which listens itself."""
        return self

    def watch(self, done: int) -> None:
        """Kill a worker when enough rows are done, once."""
        if done >= self.after and not self.killed:
            self.killed = kill_workers(self.client)


def dying_at(calls: Sequence[int], client: Any, original: Callable[..., Any]) -> Callable[..., Any]:
    """A method of `HeldShares` in the place of `map` that kills a worker right before some of its calls."""
    count = 0

    def map_(self: Any, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        nonlocal count
        count += 1
        if count in calls:
            kill_workers(client)
        return original(self, function, *arguments)

    return map_

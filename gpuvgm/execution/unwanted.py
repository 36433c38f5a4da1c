"""Cancelled tasks: Dask cannot stop a thread, so each task checks before every block whether it is cancelled."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from distributed import Client

B = TypeVar("B")
ON_THE_WAY = 0.1  # seconds until the workers know of a cancellation
PATIENCE = 5.0  # seconds that tasks get to end
STEP = 0.02


def stopping() -> Callable[[object], None]:
    """A function that ends the task of this thread once it is cancelled; outside of tasks it does nothing."""
    from distributed import Reschedule, get_worker

    try:
        worker = get_worker()
        key = worker.get_current_task()
    except ValueError:
        return lambda _: None

    def stop(_: object) -> None:
        task = worker.state.tasks.get(key)
        if task is not None and task.state == "cancelled":
            raise Reschedule

    return stop


def this_worker() -> str:
    """Address of the worker that runs the task of this thread; empty outside of tasks."""
    from distributed import get_worker

    try:
        return str(get_worker().address)
    except ValueError:
        return ""


def while_wanted(blocks: Iterable[B]) -> Iterator[B]:
    """The blocks of a partition, until the task that reads them is cancelled."""
    stop = stopping()  # here, in the thread of the task: a generator's body may run in another

    def check_each() -> Iterator[B]:
        for block in blocks:
            stop(block)
            yield block

    return check_each()


def wait_until_stopped(client: Client) -> None:
    """Wait until no worker runs a cancelled task; files that such tasks had begun are removed then."""
    with suppress(Exception):  # of a cluster that is gone
        client.run(_wait_while_cancelled, on_error="ignore")


async def _wait_while_cancelled(dask_worker: Any) -> None:
    import asyncio

    end = time.monotonic() + PATIENCE
    await asyncio.sleep(ON_THE_WAY)
    while any(task.state == "cancelled" for task in dask_worker.state.tasks.values()) and time.monotonic() < end:
        await asyncio.sleep(STEP)

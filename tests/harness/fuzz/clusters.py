"""Runs on a Dask cluster whose client or worker is killed."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from tests.harness.fuzz.harness import Target
from tests.harness.fuzz.jobs import Healthy, Unclean, again, check_readers, finish, snapshot, start
from tests.harness.fuzz.runs import DRAWS, Prepared, check_end, chosen_run, emptied, prepare, signalled

SECONDS = 240
COMMANDS = ("fit", "transform", "inverse", "generate", "evaluate")
SPREAD_SECONDS = 0.6  # that a run takes longer on a cluster: it connects, and tasks travel


@contextmanager
def cluster() -> Iterator[tuple[str, list[int]]]:
    """A cluster of two worker processes, held by a process of its own: its address, and the workers' numbers."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        _hold_cluster(write)
    os.close(write)
    with open(read) as told:
        address, workers = json.loads(told.readline())
    try:
        yield address, workers
    finally:
        os.kill(pid, signal.SIGKILL)  # workers end where it ends
        os.waitpid(pid, 0)


def _hold_cluster(write: int) -> NoReturn:
    from distributed import LocalCluster

    started = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", memory_limit="2GiB")
    told = [started.scheduler_address, [nanny.pid for nanny in started.workers.values()]]
    os.write(write, f"{json.dumps(told)}\n".encode())
    while True:
        signal.pause()


def kill_client(prepared: Prepared, random: random.Random, folder: Path) -> None:
    """Kill the client of a cluster that lives on; the next run may meet workers that still write for the first."""
    run, work = chosen_run(prepared, random, folder)
    begun = snapshot(work)
    with cluster() as (address, _):
        on = ("--scheduler", address)
        for _ in range(DRAWS):
            ended = signalled(run, (*run.job.arguments, *on), work, random, signal.SIGKILL)
            if ended is not None and ended[0] == -signal.SIGKILL:
                break
            emptied(work, begun)
        check_readers(snapshot(work), run)
        finish_on(run, work, on)


def kill_worker(prepared: Prepared, random: random.Random, folder: Path) -> None:
    """Kill a worker under the run: its work is done by the other, or by the one that takes its place."""
    run, work = chosen_run(prepared, random, folder)
    with cluster() as (address, workers):
        on = ("--scheduler", address)
        process = start((*run.job.arguments, *on), work)
        process.ends_within(random.uniform(0, run.seconds + SPREAD_SECONDS))
        os.kill(random.choice(workers), signal.SIGKILL)
        code, said = process.wait(), process.said
        if code not in (0, 3):
            raise Unclean(f"{' '.join(run.job.arguments)}: exit code {code}\n{said}")
        if code:
            finish_on(run, work, on)
        else:
            settle(run, work)
            check_end(run, work)


def finish_on(run: Healthy, work: Path, on: tuple[str, ...]) -> None:
    """The run after one that was cut short, on the cluster."""
    arguments = (*again(run, work, resume=True), *on)
    code, said = finish(arguments, work)
    if code:
        raise Unclean(f"{' '.join(arguments)}: exit code {code}\n{said}")
    settle(run, work)
    check_end(run, work)


def settle(run: Healthy, work: Path) -> None:
    """Wait until workers have ended what they were about for a client that is gone."""
    end = time.monotonic() + 5
    while set(snapshot(work)) != set(run.right) and time.monotonic() < end:
        time.sleep(0.1)


def prepare_all(_: Path) -> Prepared:
    """Inputs, and healthy runs of every job in one process."""
    return prepare(*COMMANDS)


TARGETS = (
    Target("kill-dask-client", prepare_all, kill_client, SECONDS, None),
    Target("kill-dask-worker", prepare_all, kill_worker, SECONDS, None),
)

"""Ctrl-C with workers: one line, no process and no partial file is left, and what nobody wants any more is not done."""

from __future__ import annotations

import logging
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from gpuvgm.cli.cluster import executor_of
from gpuvgm.cli.console import Terminal
from gpuvgm.errors import counted_values
from gpuvgm.execution.dask import ClusterExecutor
from gpuvgm.execution.partitions import OpenPartition
from gpuvgm.io import Manifest
from tests.cli.running import run, start
from tests.execution.distributed.working import wait_until

FILES = 40
GENERATE = ("--rows", f"{FILES}e5", "--file-rows", "1e5", "--workers", "2", "--quiet")


def of_group(group):
    """Processes of a group, but those that have ended."""
    found = []
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, of = place.read_text().rpartition(")")[2].split()[:3]
        except OSError:  # it has ended
            continue
        if int(of) == group and state != "Z":
            found.append(place.parent.name)
    return found


def stopped(process, number=signal.SIGINT):
    """Send a signal to all processes of a command, as a terminal does: what the command said."""
    os.killpg(process.pid, number)
    _, said = process.communicate(timeout=60)
    wait_until(lambda: not of_group(process.pid), 5)
    return process.returncode, said


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are listed in /proc")


@needs_proc
def test_ctrl_c_is_one_line_and_leaves_what_is_complete(tmp_path):
    folder, place = tmp_path / "g", tmp_path / ".g.unfinished"
    with start("generate", folder, *GENERATE, start_new_session=True) as process:
        wait_until(lambda: (found := Manifest.read(place / "_manifest.json")) and found.done, 60)
        code, said = stopped(process)
    done = Manifest.read(place / "_manifest.json").done
    complete = counted_values(len(done), "files are complete")
    assert (code, said) == (130, f"gpuvgm: interrupted; {complete} in {place}: go on with --resume\n")
    assert os.listdir(tmp_path) == [".g.unfinished"]
    assert not [name for name in os.listdir(place) if name.startswith(".")]
    run("generate", folder, *GENERATE, "--resume")
    assert os.listdir(tmp_path) == ["g"]
    assert len(list(folder.glob("part-*"))) == FILES


@needs_proc
def test_ctrl_c_while_the_workers_start(tmp_path):
    with start("generate", tmp_path / "g", *GENERATE, start_new_session=True) as process:
        wait_until(lambda: len(of_group(process.pid)) > 2, 60)  # beside the command one of multiprocessing's
        time.sleep(0.2)
        assert stopped(process) == (130, "gpuvgm: interrupted; no partial files are left\n")
    assert os.listdir(tmp_path) == []


@needs_proc
def test_what_workers_that_are_ended_had_begun_is_removed(tmp_path):
    """SIGTERM to all processes, as of systemd, ends workers at once."""
    place = tmp_path / ".g.unfinished"
    with start("generate", tmp_path / "g", *GENERATE, start_new_session=True) as process:
        wait_until(lambda: list(place.glob(".*.partial")), 60)
        assert stopped(process, signal.SIGTERM)[0] == 143
    assert not list(place.glob(".*"))


def miss_the_scheduler():
    """Log what a worker does whose scheduler or command ends first, and what it does that uses much memory."""
    logging.getLogger("distributed.worker").error("Failed to communicate with scheduler during heartbeat.")
    logging.getLogger("distributed.worker.state_machine").warning("Async instruction ended with CancelledError")
    logging.getLogger("distributed.worker.memory").warning("Unmanaged memory use is high.")


def test_workers_that_end_after_their_scheduler_say_nothing_of_it(capfd):
    with executor_of(Terminal(quiet=True), None, 1, None) as executor:
        executor.client.run(miss_the_scheduler)
    said = capfd.readouterr().err
    assert "heartbeat" not in said and "Async instruction" not in said
    assert "Unmanaged" in said


@dataclass(frozen=True)
class Long:
    """A partition of very many blocks, each of which takes a while."""

    rows: int = 10_000

    def read(self):
        """Blocks without rows."""
        return OpenPartition(on_device=False, blocks=map(slow, [self] * self.rows))


def slow(block):
    """A block after a while."""
    time.sleep(0.02)
    return block


def work(partition, executor):
    """A part that a worker writes, for example."""
    executor.map_blocks(slow, partition.read().blocks, id)


def at_work(client):
    return sum(client.run(lambda dask_worker: len(dask_worker.state.executing)).values())


@pytest.mark.parametrize("way", ["map_merge", "map_blocks", "each"])
def test_interrupted_tasks_end_at_their_next_block(client, monkeypatch, way):
    def interrupted(*_, **__):
        wait_until(lambda: at_work(client))
        raise KeyboardInterrupt

    executor, parts = ClusterExecutor(client), [Long(), Long()]
    monkeypatch.setattr("gpuvgm.execution.dask.wait_for_any", interrupted)
    ways = {
        "map_merge": lambda: executor.map_merge(slow, parts, max),
        "map_blocks": lambda: executor.map_blocks(slow, parts, id),
        "each": lambda: list(executor.each(work, parts)),
    }
    with pytest.raises(KeyboardInterrupt):
        ways[way]()
    assert at_work(client) == 0

"""The local executor: order, bounded look-ahead, progress, and a clean end in every case."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from unittest.mock import Mock

import numpy as np
import pytest

import gpuvgm
from gpuvgm.errors import InputError
from gpuvgm.execution import local as execution
from gpuvgm.execution.local import CallerExecutor, DeviceExecutor, InlineExecutor, LocalExecutor, available_threads
from gpuvgm.io import open_source
from tests.execution.distributed.working import joined, pieces, uneven


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize("threads", [1, 2, 5, None])
@pytest.mark.parametrize("count", [0, 1, 2, 40])
def test_results_arrive_in_block_order(threads, count):
    got = []
    LocalExecutor(threads).map_blocks(uneven, pieces(count), got.extend)
    assert got == list(range(count))
    merged = LocalExecutor(threads).map_merge(uneven, pieces(count), joined)
    assert merged == (list(range(count)) if count else None)


@pytest.mark.parametrize("threads", [1, 3])
def test_sums_have_the_same_bits_for_any_number_of_threads(threads):
    source = open_source({"x": np.random.default_rng(0).standard_normal(10_000)})

    def total(block):
        return float(np.sum(block.table.column(0).to_numpy()))

    expected = 0.0
    for start in range(0, 10_000, 77):
        expected += float(np.sum(source.sample(["x"], [(start, min(77, 10_000 - start))]).column(0).to_numpy()))
    merged = LocalExecutor(threads).map_merge(total, source.blocks(["x"], 77), joined)
    assert merged == expected


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_at_most_threads_and_two_blocks_are_in_flight(threads):
    lock, pulled, consumed, most = threading.Lock(), 0, 0, 0

    def counted():
        nonlocal pulled, most
        for piece in pieces(60):
            with lock:
                pulled += 1
                most = max(most, pulled - consumed)
            yield piece

    def sink(_result):
        nonlocal consumed
        time.sleep(0.001)
        with lock:
            consumed += 1

    LocalExecutor(threads).map_blocks(uneven, counted(), sink)
    assert most == threads + 2


def test_one_thread_still_reads_computes_and_writes_at_once():
    together = threading.Barrier(3, timeout=10)
    meets = [1, 2, 3]  # block 3 is read while block 2 is computed and block 1 written

    def read():
        for piece in pieces(6):
            if piece.number == 3:
                together.wait()
            yield piece

    def compute(piece):
        if piece.number == 2:
            together.wait()
        return piece.number

    def sink(number):
        if number == 1:
            together.wait()

    LocalExecutor(1).map_blocks(compute, read(), sink)
    assert not together.broken and meets


def test_progress_counts_rows_in_the_callers_thread():
    seen = []
    executor = LocalExecutor(2, progress=lambda rows: seen.append((rows, threading.current_thread())))
    executor.map_blocks(uneven, pieces(4), lambda _: None)
    assert seen == [(rows, threading.current_thread()) for rows in (10, 20, 30, 40)]


class Odd(Exception):
    """Raised by the tests only."""


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("kind", [Odd, InputError, StopIteration, KeyboardInterrupt, OSError])
@pytest.mark.parametrize("place", ["read", "compute", "sink", "progress"])
def test_an_exception_anywhere_comes_through_and_stops_everything(threads, kind, place):
    closed, consumed, pulled = [], [], []

    def fail(where, number):
        if where == place and number == 5:
            raise kind("at five")

    def read():
        try:
            for piece in pieces(1000):
                if place == "read" and piece.number == 5 and kind is StopIteration:
                    raise Odd
                fail("read", piece.number)
                pulled.append(piece.number)
                yield piece
        finally:
            closed.append(True)

    def compute(piece):
        fail("compute", piece.number)
        return piece.number

    def sink(number):
        fail("sink", number)
        consumed.append(number)

    executor = LocalExecutor(threads, progress=lambda rows: fail("progress", rows // 10 - 1))
    with pytest.raises(Odd if place == "read" and kind is StopIteration else kind):
        executor.map_blocks(compute, read(), sink)
    assert closed == [True]
    assert consumed == list(range(6 if place == "progress" else 5))
    assert len(pulled) <= 5 + threads + 3


def test_an_exception_in_merge_comes_through():
    with pytest.raises(Odd):
        LocalExecutor(2).map_merge(uneven, pieces(10), Mock(side_effect=Odd))


def test_the_first_failing_block_is_reported():
    def compute(piece):
        time.sleep(0.02 if piece.number == 2 else 0)
        if piece.number >= 2:
            raise Odd(piece.number)

    with pytest.raises(Odd, match="2"):
        LocalExecutor(4).map_blocks(compute, pieces(30), lambda _: None)


@pytest.mark.parametrize("slow_read", [0, 0.3])
def test_blocks_that_wait_are_dropped_on_failure(slow_read):
    computed = []

    def read():
        for piece in pieces(1000):
            if piece.number == 3:
                time.sleep(slow_read)
            yield piece

    def compute(piece):
        if piece.number:
            time.sleep(0.05)
        computed.append(piece.number)
        return piece.number

    def sink(_number):
        time.sleep(0.01)
        raise Odd

    with pytest.raises(Odd):
        LocalExecutor(1).map_blocks(compute, read(), sink)
    assert len(computed) <= 2


def test_it_runs_in_any_thread_and_twice_at_once():
    results = {}

    def run(name):
        results[name] = LocalExecutor(2).map_merge(uneven, pieces(20), joined)

    runners = [threading.Thread(target=run, args=(name,)) for name in "ab"]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join()
    assert results == {"a": list(range(20)), "b": list(range(20))}


INTERRUPTED = """
import signal, sys, threading, time
from pathlib import Path
import pyarrow as pa
from gpuvgm.execution.local import LocalExecutor
from gpuvgm.io import ParquetSink, open_source
source = open_source({"x": __import__("numpy").zeros(10**6)})
def compute(block):
    time.sleep(0.05)
    return block.table
try:
    with ParquetSink(sys.argv[1], source.schema, row_group_rows=100) as sink:
        def write(batch):
            sink.write(batch)
            print("writing", flush=True)
        LocalExecutor(2).map_blocks(compute, source.blocks(["x"], 100), write)
except KeyboardInterrupt:
    left = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    # not to stdout: the signal may have left half a line there
    print(left, [path.name for path in Path(sys.argv[1]).parent.iterdir()], file=sys.stderr)
    sys.exit(130)
"""


def test_ctrl_c_leaves_no_thread_and_no_file(tmp_path):
    command = [sys.executable, "-c", INTERRUPTED, str(tmp_path / "o.parquet")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "writing\n"
        sent = time.monotonic()
        os.kill(process.pid, signal.SIGINT)
        _, left = process.communicate(timeout=20)
    assert process.returncode == 130, left
    assert left == "[] []\n"
    assert time.monotonic() - sent < 5


def test_ctrl_c_between_the_locks_of_a_condition_is_still_ctrl_c():
    """Python's `Condition.wait` may lose it: the lock that its `with` lets go was not taken yet."""

    class Interrupted(Future):
        def result(self, timeout=None):
            try:
                raise KeyboardInterrupt
            finally:
                raise RuntimeError("cannot release un-acquired lock")

    with pytest.raises(KeyboardInterrupt):
        execution._BlockResult(1, Interrupted()).take()
    failed = Future()
    failed.set_exception(RuntimeError("of the function"))
    with pytest.raises(RuntimeError, match="of the function"):
        execution._BlockResult(1, failed).take()


def test_threads_are_counted_and_checked():
    assert LocalExecutor().threads == available_threads() >= 1
    assert LocalExecutor(3).threads == 3
    with pytest.raises(InputError, match="threads must be at least 1, got 0"):
        LocalExecutor(0)


@pytest.mark.parametrize(
    ("quota", "threads"), [("200000 100000", 2), ("150000 100000", 2), ("50000 100000", 1), ("max 100000", 64)]
)
def test_threads_of_a_container(tmp_path, monkeypatch, quota, threads):
    (tmp_path / "cpu.max").write_text(f"{quota}\n")
    monkeypatch.setattr(execution, "CGROUP_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(64), raising=False)
    assert available_threads() == threads


class Rows:
    """A block that can be halved."""

    def __init__(self, first_row, rows):
        self.first_row, self.rows = first_row, rows

    def halves(self):
        half = self.rows // 2
        return [Rows(self.first_row, half), Rows(self.first_row + half, self.rows - half)]


@pytest.mark.parametrize("kind", [InlineExecutor, CallerExecutor])
def test_these_executors_stay_in_the_callers_thread(kind):
    seen, done = [], []
    executor = kind(3, done.append)
    executor.map_blocks(lambda block: threading.get_ident(), [Rows(0, 5), Rows(5, 6)], seen.append)
    assert seen == [threading.get_ident()] * 2
    assert done == [5, 11]
    assert list(executor.stream(lambda block: block.rows, [Rows(0, 5), Rows(5, 6)])) == [5, 6]
    assert executor.map_merge(lambda block: block.rows, [Rows(0, 5), Rows(5, 6)], joined) == 11


@pytest.mark.parametrize(("rows", "begun"), [(1, False), (4096, False), (4097, True)])
def test_few_rows_start_no_threads(monkeypatch, rows, begun):
    started, start = [], threading.Thread.start
    table = {"x": np.arange(rows) / 4}
    transformer = gpuvgm.TableTransformer({"x": "continuous"}, effort="research").fit({"x": np.arange(5000) / 4})
    encoded = transformer.transform(table)
    monkeypatch.setattr(threading.Thread, "start", lambda self: started.append(self) or start(self))
    assert np.array_equal(transformer.transform(table)["x.scalar"], encoded["x.scalar"])
    assert len(transformer.inverse_transform(encoded)["x"]) == rows
    assert bool(started) == begun


def test_blocks_are_halved_where_memory_runs_out(caplog):
    tried, done = [], []

    def work(block):
        tried.append(block.rows)
        if block.rows > 10_000:
            raise MemoryError
        return block.first_row, block.rows

    blocks, found = [Rows(0, 32_001), Rows(32_001, 32_001)], []
    CallerExecutor(1, done.append).map_blocks(work, blocks, found.append)
    ends = [first + rows for first, rows in found]
    assert [first for first, _ in found] == [0, *ends[:-1]]
    assert ends[-1] == done[-1] == 64_002
    assert [rows for rows in tried if rows > 10_000] == [32_001, 16_000]  # the second block is cut before it is tried
    assert "going on with blocks of" in caplog.text


def test_memory_that_is_too_short_for_small_blocks_is_an_error():
    with pytest.raises(MemoryError):
        CallerExecutor(1).map_blocks(Mock(side_effect=MemoryError), [Rows(0, 100_000)], print)


def test_a_sink_without_memory_is_not_tried_again():
    taken = []

    def sink(result):
        taken.append(result)
        raise MemoryError

    with pytest.raises(MemoryError):
        CallerExecutor(1).map_blocks(lambda block: block.rows, [Rows(0, 100_000)], sink)
    assert taken == [100_000]


def test_on_a_device_blocks_are_read_and_worked_on_as_others_are_written():
    """The first block is written until the third is read and the second is worked on; each is done in one thread."""
    read, worked, ready, computing, done = threading.Event(), threading.Event(), [], set(), []

    def blocks():
        yield Rows(0, 5)
        yield Rows(5, 6)
        read.set()
        yield Rows(11, 7)

    def work(block):
        computing.add(threading.get_ident())
        if block.first_row == 5:
            worked.set()
        return block.first_row

    def sink(first):
        assert read.wait(30) and worked.wait(30)
        found.append((first, threading.get_ident()))

    found = []
    DeviceExecutor(lambda: ready.append(threading.get_ident()), done.append).map_blocks(work, blocks(), sink)
    assert found == [(first, threading.get_ident()) for first in (0, 5, 11)]
    assert done == [5, 11, 18]
    assert len(ready) == 2 and computing < {*ready} and threading.get_ident() not in ready


def test_on_a_device_blocks_are_halved_where_memory_runs_out():
    def work(block):
        if block.rows > 10_000:
            raise MemoryError
        return block.first_row, block.rows

    found, done = [], []
    blocks = [Rows(0, 32_001), Rows(32_001, 32_001)]
    DeviceExecutor(lambda: None, done.append).map_blocks(work, blocks, found.append)
    ends = [first + rows for first, rows in found]
    assert [first for first, _ in found] == [0, *ends[:-1]]
    assert (ends[-1], done) == (64_002, [32_001, 64_002])

"""The Dask executor: order, bounded look-ahead, progress, and a clean end in every case."""

from __future__ import annotations

import copy
import logging
import os
import pickle
from functools import partial
from itertools import islice
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import given, strategies as st

import gpuvgm
from gpuvgm.errors import EnvironmentProblem, InputError
from gpuvgm.execution import Run, any_source, dask as tasks
from gpuvgm.execution.dask import WINDOW, ClusterExecutor, DaskExecutor, in_shares
from gpuvgm.execution.dask_rows import task_key
from tests.execution.distributed.working import (
    Piece,
    is_clean,
    joined,
    of_portion,
    pieces,
    refusing,
    uneven,
    wait_until,
)

distributed = pytest.importorskip("distributed")
key_split = pytest.importorskip("dask.utils").key_split


@pytest.fixture(autouse=True)
def nothing_is_left(client):
    yield
    wait_until(partial(is_clean, client))


@pytest.fixture
def executor(client):
    return ClusterExecutor(client)


@pytest.mark.parametrize("count", [1, 2, 5, 30])
def test_results_are_in_row_order(executor, count):
    assert executor.map_merge(uneven, pieces(count), joined) == list(range(count))
    assert [n for result in executor.stream(uneven, pieces(count)) for n in result] == list(range(count))
    got = []
    executor.map_blocks(uneven, pieces(count), got.extend)
    assert got == list(range(count))


def test_without_portions_there_is_nothing(executor):
    assert executor.map_merge(uneven, iter(()), joined) is None
    assert list(executor.stream(uneven, iter(()))) == []
    assert list(executor.each(of_portion, iter(()))) == []
    with executor.hold(list, iter(())) as held:
        assert held.map(len) == []


def test_partitions_without_rows_are_passed_over(executor):
    some = [Piece(0, rows=0), Piece(1), Piece(2, rows=0), Piece(3), Piece(4, rows=0)]
    assert executor.map_merge(uneven, some, joined) == [1, 3]
    assert executor.map_merge(uneven, [Piece(0, rows=0)], joined) is None
    assert list(executor.stream(uneven, some)) == [[1], [3]]


def test_each_gives_portions_with_their_results(executor):
    found = list(executor.each(of_portion, pieces(20)))
    assert sorted(partition.number for partition, _ in found) == list(range(20))
    assert all(result[:2] == (partition.number, False) for partition, result in found)
    assert os.getpid() not in {result[2] for _, result in found}


def test_each_gives_first_what_is_ready_first(executor, tmp_path):
    gate = tmp_path / "closed"
    gate.touch()
    partitions = executor.each(of_portion, iter([Piece(0, gate=str(gate)), *islice(pieces(8), 1, None)]))
    first = next(partitions)[0].number
    gate.unlink()
    assert first != 0
    assert sorted([first, *(partition.number for partition, _ in partitions)]) == list(range(8))


def test_a_run_that_ends_amid_its_merges_leaves_the_client_connected(executor, client, tmp_path):
    gate = tmp_path / "closed"
    gate.touch()

    def refused_after_four():
        yield from [Piece(0, gate=str(gate)), Piece(1), Piece(2), Piece(3)]
        raise InputError("the fifth")

    with pytest.raises(InputError, match="the fifth"):
        executor.map_merge(uneven, refused_after_four(), joined)
    gate.unlink()
    assert executor.map_merge(uneven, pieces(4), joined) == [0, 1, 2, 3]


@pytest.mark.parametrize("call", ["stream", "each"])
def test_few_portions_are_read_ahead(executor, call):
    pulled = 0

    def counted():
        nonlocal pulled
        for piece in pieces(100):
            pulled += 1
            yield piece

    most = WINDOW * executor.worker_threads
    function = uneven if call == "stream" else of_portion
    stream = getattr(executor, call)(function, counted())
    for taken, _ in enumerate(islice(stream, 12), 1):
        assert pulled <= taken + most
    stream.close()
    assert pulled <= 12 + most


def test_a_scan_is_sent_as_one_graph(executor, client, monkeypatch):
    sent = []
    compute = type(client).compute
    monkeypatch.setattr(
        type(client), "compute", lambda self, tasks, **o: sent.append(tasks) or compute(self, tasks, **o)
    )
    assert executor.map_merge(uneven, pieces(60), joined) == list(range(60))
    assert [len(tasks) for tasks in sent] == [1]


@pytest.mark.parametrize("call", ["map_merge", "stream", "each"])
def test_progress_counts_every_row_once(client, call):
    seen = []
    executor = ClusterExecutor(client).reporting(seen.append)
    if call == "map_merge":
        executor.map_merge(uneven, pieces(17, rows=7), joined)
    else:
        list(getattr(executor, call)(uneven if call == "stream" else of_portion, pieces(17, rows=7)))
    assert seen == list(range(7, 17 * 7 + 1, 7))


@pytest.mark.parametrize("call", ["map_merge", "stream", "each"])
def test_every_partition_has_its_time_and_worker(client, call):
    parts = []
    executor = ClusterExecutor(client).reporting(None, parts.append)
    if call == "map_merge":
        executor.map_merge(uneven, pieces(17, rows=7), joined)
    else:
        list(getattr(executor, call)(uneven if call == "stream" else of_portion, pieces(17, rows=7)))
    assert sorted((part.first_row, part.rows) for part in parts) == [(first, 7) for first in range(0, 17 * 7, 7)]
    assert {part.worker for part in parts} <= {*client.nthreads()}
    assert all(part.seconds > 0 for part in parts)


def test_the_log_tells_of_workers(client, caplog, tmp_path):
    gpuvgm.generate(tmp_path / "rows.parquet", 3000)
    with caplog.at_level(logging.DEBUG, "gpuvgm"):
        gpuvgm.TableTransformer(executor=DaskExecutor(client, partition_rows=1000)).fit(tmp_path / "rows.parquet")
    told = [record for record in caplog.records if hasattr(record, "event")]
    assert (told[0].event, told[0].rows, told[0].workers) == ("begin", 3000, 2)
    parts = [record for record in told if record.event == "part" and record.stage == "fit"]
    assert [(record.first_row, record.rows) for record in parts] == [(0, 1000), (1000, 1000), (2000, 1000)]
    assert {record.part for record in parts} == {"rows.parquet"}
    assert {record.worker for record in parts} <= {*client.nthreads()}


def test_tasks_are_named_by_what_they_do(client, tmp_path):
    """As Dask's dashboard shows them: by the words that their keys begin with."""
    gpuvgm.generate(tmp_path / "rows.parquet", 3000)
    executor = DaskExecutor(client, partition_rows=1000)
    with distributed.get_task_stream(client) as ran:
        transformer = gpuvgm.TableTransformer(executor=executor).fit(tmp_path / "rows.parquet")
    shown = {key_split(task["key"]) for task in ran.data}
    assert {"gpuvgm-scan-Amount", "gpuvgm-merge"} <= shown
    assert all(name.startswith("gpuvgm-") for name in shown), shown
    with distributed.get_task_stream(client) as ran:
        transformer.transform(tmp_path / "rows.parquet", out=tmp_path / "encoded", part_rows=1000)
        gpuvgm.generate(tmp_path / "mixed", 2000, kind="mixed-table", file_rows=1000, executor=executor)
        gpuvgm.TableTransformer(executor=executor).fit(tmp_path / "mixed")
    shown = {key_split(task["key"]) for task in ran.data}
    assert {"gpuvgm-transform-Amount", "gpuvgm-generate", "gpuvgm-scan-columns"} <= shown
    assert all(name.startswith("gpuvgm-") for name in shown), shown


@pytest.mark.parametrize(
    ("columns", "name"),
    [
        (["amount"], "gpuvgm-scan-amount"),
        (["amount_2 (eur)"], "gpuvgm-scan-amount-eur"),
        (["größe"], "gpuvgm-scan-größe"),
        (["customer"], "gpuvgm-scan-Customer"),
        (["42"], "gpuvgm-scan"),
        ([], "gpuvgm-scan"),
        (["a", "b", "c"], "gpuvgm-scan-columns"),
    ],
)
def test_the_name_of_a_task_has_the_words_of_its_column(columns, name):
    assert key_split(task_key("scan", columns)) == name
    assert key_split(task_key("evaluate", columns)) == name.replace("scan", "Evaluate")
    assert task_key("scan", columns) != task_key("scan", columns)
    assert len(task_key("scan", ["a" * 1000])) < 100


@pytest.mark.parametrize("call", ["map_merge", "stream", "hold"])
def test_an_error_of_a_worker_arrives_as_it_is(executor, call):
    with pytest.raises(InputError, match=r'^column "x", row 70: refused$') as caught:
        if call == "map_merge":
            executor.map_merge(refusing, pieces(30), joined)
        elif call == "stream":
            list(executor.stream(refusing, pieces(30)))
        else:
            with executor.hold(refused_blocks, pieces(30)):
                pass
    assert caught.type is InputError
    wait_until(partial(is_clean, executor.client))  # while the traceback still refers to everything


def refused_blocks(blocks):
    return [refusing(block) for block in blocks]


def test_an_error_of_the_source_ends_everything(executor):
    def partitions():
        yield from pieces(5, pause=0.3)
        raise OSError(5, "the disk is gone")

    with pytest.raises(OSError, match="the disk is gone") as caught:
        executor.map_merge(uneven, partitions(), joined)
    assert caught.type is OSError
    wait_until(partial(is_clean, executor.client))


@pytest.mark.parametrize("problem", [KeyboardInterrupt, ValueError("full")])
def test_an_error_of_the_sink_leaves_no_task(executor, problem):
    with pytest.raises((KeyboardInterrupt, ValueError)) as caught:
        executor.map_blocks(uneven, pieces(40, pause=0.1), Mock(side_effect=problem))
    wait_until(partial(is_clean, executor.client))
    assert caught.tb is not None


def test_closing_a_stream_leaves_no_task(executor):
    stream = executor.stream(uneven, pieces(40, pause=0.1))
    assert next(stream) == [0]
    stream.close()
    wait_until(partial(is_clean, executor.client))


def test_a_timeout_of_a_task_is_its_own(executor):
    with pytest.raises(TimeoutError, match="the store did not answer"):
        executor.map_merge(timed_out, pieces(1), joined)


def test_a_result_that_is_lost_before_it_is_here_is_waited_for_and_the_loss_told(executor, monkeypatch):
    monkeypatch.setattr(tasks, "WITHOUT_WORKERS", 0.1)
    monkeypatch.setattr(executor.client, "wait_for_workers", none_comes)
    lost = SimpleNamespace(status="finished", result=none_comes)
    monkeypatch.setattr(tasks, "wait_for_any", lambda *_: [lost])
    with pytest.raises(EnvironmentProblem, match="has had no worker for 0.1 s"):
        tasks.result_of(executor.client, lost)


def none_comes(*_, timeout):
    assert timeout == 0.1
    raise TimeoutError


def timed_out(piece):
    raise TimeoutError("the store did not answer")


def test_held_values_stay_on_their_workers(executor):
    with executor.hold(numbers_of, pieces(9)) as held:
        assert held.map(added, 100) == [n + 100 for n in range(9)]
        assert held.map(added, 5) == [n + 5 for n in range(9)]
        where = {key for keys in executor.client.has_what().values() for key in keys}
        assert len(where) >= 9


def test_a_call_over_what_workers_hold_is_one_task_a_worker(executor, monkeypatch):
    with executor.hold(numbers_of, pieces(40)) as held:
        shares = held.by_worker(added_first, [1000 * n for n in range(40)])
        del held
        sent = []
        submit = tasks.Tasks.submit
        monkeypatch.setattr(tasks.Tasks, "submit", lambda self, *a, **o: sent.append(a) or submit(self, *a, **o))
        assert shares.map(added, 100) == [1001 * n + 100 for n in range(40)]
        found = shares.map(first_of, 3)
        assert [list(one) for one in found] == [[1001 * n] * (1001 * n % 3) for n in range(40)]
        assert len(sent) == 2 * 2
        assert all(not isinstance(one.values, list) for one in shares.shares)
        assert sorted(number for one in shares.shares for number in one.numbers) == list(range(40))
        wait_until(lambda: sum(map(len, executor.client.has_what().values())) <= 2 + 2)  # shares, and the function


def added_first(numbers, first):
    """What is held in the place of the numbers."""
    return [first + number for number in numbers]


def first_of(numbers, most):
    """Arrays of different lengths, some of them empty."""
    return np.full(numbers[0] % most, numbers[0])


def numbers_of(blocks):
    return [block.number for block in blocks]


def added(numbers, more):
    return numbers[0] + more


@given(st.lists(st.integers(0, 50), max_size=30), st.integers(1, 100))
def test_shares_hold_everything_in_order_and_fit(sizes, limit):
    shares = list(in_shares(range(len(sizes)), sizes, limit))
    assert [number for share in shares for number in share] == list(range(len(sizes)))
    assert all(len(share) == 1 or sum(sizes[n] for n in share) <= limit for share in shares)


def test_rows_in_memory_go_through_and_are_not_kept(executor):
    values = np.arange(50_000.0)
    source = any_source({"x": values})
    merged = executor.map_merge(rows_and_sum, source.blocks(["x"], 4096), summed)
    assert merged == (50_000, values.sum())


def rows_and_sum(block):
    return block.rows, float(block.column("x").to_numpy().sum())


def summed(one, other):
    return one[0] + other[0], one[1] + other[1]


def test_large_blocks_travel_without_a_warning(executor):
    source = any_source({"x": np.zeros(1_500_000)})  # 12 MB, above what Dask warns of
    assert executor.map_merge(rows_and_sum, source.blocks(["x"], 1_500_000), summed) == (1_500_000, 0.0)


def test_gather_and_ask(executor):
    assert executor.gather("count", abs, [-1, 2, -3]) == [1, 2, 3]
    assert executor.ask(os.getpid) != os.getpid()


def test_partitions_fill_the_workers(executor):
    assert executor.worker_threads == 2
    assert executor.rows_of_partitions(None) == 1 << 20
    assert executor.rows_of_partitions(10**6) == 1 << 20
    assert executor.rows_of_partitions(100 << 20) == 13 << 20
    assert executor.rows_of_partitions(10**10) == 1 << 28
    assert executor.rows_of_partitions(10**10, 16) == 1 << 24
    assert executor.rows_of_partitions(10**10, 10**4) == 1 << 20
    assert ClusterExecutor(executor.client, partition_rows=7).rows_of_partitions(10**10) == 7


def test_copies_are_the_same_and_pickles_find_the_current_client(client, clusters):
    executor = DaskExecutor(client, partition_rows=77)
    assert copy.deepcopy(executor) is executor
    again = pickle.loads(pickle.dumps(executor))
    assert (again.client, again.partition_rows) == (client, 77)
    transformer = copy.deepcopy(gpuvgm.TableTransformer(executor=executor))
    assert transformer.executor is executor


def test_a_user_has_the_cluster_alone_and_a_run_its_methods(client):
    chosen = DaskExecutor(client, partition_rows=77, progress=print)
    assert {name for name in dir(chosen) if name[0] != "_"} == {"client", "partition_rows", "progress"}
    cluster = Run.over(any_source({"x": [1.0]}), "reference", chosen).cluster
    assert (cluster.client, cluster.partition_rows, cluster.progress) == (client, 77, print)
    assert ClusterExecutor.of(cluster) is cluster
    assert Run.over(any_source({"x": [1.0]}), "reference").cluster is None


def test_a_portion_has_rows(client):
    with pytest.raises(InputError, match="partition_rows must be at least 1, got 0"):
        DaskExecutor(client, partition_rows=0)


def test_without_a_client_it_says_how_to_get_one(monkeypatch):
    monkeypatch.setattr("gpuvgm.execution.dask.client_if_any", lambda: None)
    with pytest.raises(EnvironmentProblem, match=r"start one with gpuvgm\.cluster\(\)"):
        DaskExecutor()

"""Workers that die, all of them or one, and workers with too little memory: the result is the same, or told."""

from __future__ import annotations

import os
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gpuvgm
from gpuvgm.errors import EnvironmentProblem
from gpuvgm.execution.dask import ClusterExecutor, DaskExecutor, HeldShares
from tests.columns.tables import DECLARED, table
from tests.execution.faults.killing import Dying, dying_at

ROWS, PORTION = 60_000, 1500


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "t.parquet"
    pq.write_table(table(ROWS, 5), path, row_group_size=4000)
    return path


@pytest.fixture(scope="module")
def fitted(rows):
    return gpuvgm.TableTransformer(DECLARED, effort="research").fit(rows)


@pytest.mark.parametrize("workers", [2, 1])
def test_a_worker_dies_in_a_fit(cluster, rows, fitted, workers):
    """Where it is the only one, the fit goes on when it was started again."""
    executor = Dying(cluster(workers=workers), ROWS // 4, PORTION)
    again = gpuvgm.TableTransformer(DECLARED, effort="research", executor=executor).fit(rows)
    assert executor.killed
    assert again.model_.fingerprint() == fitted.model_.fingerprint()


@pytest.mark.parametrize("way", ["transform", pytest.param("inverse", marks=pytest.mark.exhaustive)])
def test_a_worker_dies_while_a_file_is_written(cluster, rows, fitted, tmp_path, way):
    fitted.transform(rows, out=tmp_path / "encoded.parquet")
    executor = Dying(cluster(), ROWS // 4, PORTION)
    again = gpuvgm.TableTransformer(DECLARED, executor=executor)
    again.model_, again.pandas_dtypes_ = fitted.model_, {}
    if way == "transform":
        one = tmp_path / "encoded.parquet"
        written = again.transform(rows, out=tmp_path / "many.parquet")
    else:
        one = tmp_path / "decoded.parquet"
        fitted.inverse_transform(tmp_path / "encoded.parquet", out=one)
        written = again.inverse_transform(tmp_path / "encoded.parquet", out=tmp_path / "many.parquet")
    assert executor.killed
    assert written.rows == ROWS
    assert one.read_bytes() == (tmp_path / "many.parquet").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted({"encoded.parquet", one.name, "many.parquet"})


@pytest.mark.exhaustive
def test_a_worker_dies_in_an_evaluation(cluster, rows, fitted):
    executor = Dying(cluster(), ROWS // 4, PORTION)
    again = gpuvgm.TableTransformer(DECLARED, executor=executor)
    again.model_ = fitted.model_
    assert again.evaluate(rows).to_dict() == fitted.evaluate(rows).to_dict()
    assert executor.killed


def test_workers_die_in_exact_em(cluster, rows, monkeypatch):
    settings = {"columns": ["price"], "algorithm": "exact", "effort": "research", "max_iter": 20}
    one = gpuvgm.TableTransformer(**settings).fit(rows)
    client = cluster()
    monkeypatch.setattr(HeldShares, "map", dying_at((2, 9, 15), client, HeldShares.map))
    many = gpuvgm.TableTransformer(**settings, executor=DaskExecutor(client, partition_rows=PORTION)).fit(rows)
    assert many.model_.fingerprint() == one.model_.fingerprint()


@pytest.mark.parametrize("call", ["fit", "transform"])
def test_all_workers_are_lost_and_none_comes(cluster, rows, fitted, monkeypatch, call, tmp_path):
    monkeypatch.setattr("gpuvgm.execution.dask.WITHOUT_WORKERS", 2.0)
    client = cluster(workers=1)
    executor = Dying(client, ROWS // 4, PORTION)

    def lose_all(done):
        if done >= ROWS // 4 and not executor.killed:
            executor.killed = [1]
            client.cluster.scale(0)
            while client.nthreads():
                time.sleep(0.05)

    executor.progress = lose_all
    transformer = gpuvgm.TableTransformer(DECLARED, effort="research", executor=executor)
    transformer.model_, transformer.pandas_dtypes_ = fitted.model_, {}
    start = time.monotonic()
    with pytest.raises(EnvironmentProblem, match=r"at tcp://127\.0\.0\.1:\d+ has had no worker for 2 s: start some"):
        if call == "fit":
            transformer.fit(rows)
        else:
            transformer.transform(rows, out=tmp_path / "out.parquet")
    assert time.monotonic() - start < 30
    assert not list(tmp_path.iterdir())


def test_a_portion_that_always_kills_its_worker_is_given_up(cluster, rows, monkeypatch):
    client = cluster()
    with pytest.raises(EnvironmentProblem, match="Dask gave up a task whose worker died 4 times: give workers more"):
        ClusterExecutor(client).map_merge(deadly, [Fatal()], sum)


class Fatal:
    """A partition that cannot be worked on."""

    rows = 1

    def read(self):
        os._exit(1)


def deadly(block):
    return block


def test_the_scheduler_is_lost(cluster, rows):
    import dask

    dask.config.set({"distributed.comm.timeouts.connect": "2s"})  # how long a client looks for a lost scheduler
    client = cluster(workers=1)
    executor = Dying(client, ROWS // 4, PORTION)

    def lose(done):
        if not executor.killed:
            executor.killed = [1]
            client.sync(client.cluster.scheduler.close)

    executor.progress = lose
    with pytest.raises(EnvironmentProblem, match=r"the Dask cluster at tcp://127\.0\.0\.1:\d+ was lost"):
        gpuvgm.TableTransformer(DECLARED, effort="research", executor=executor).fit(rows)
    client.close(timeout=1)
    dask.config.refresh()


@pytest.mark.exhaustive
def test_held_rows_that_are_more_than_a_workers_memory_go_to_disk(cluster, tmp_path, random):
    import dask

    path, many = tmp_path / "large.parquet", 80_000_000  # 640 MB as float64
    with pq.ParquetWriter(path, pa.schema([("x", pa.float32())])) as writer:
        for _ in range(80):
            writer.write_table(pa.table({"x": random.standard_normal(many // 80, np.float32)}))
    settings = {"columns": ["x"], "algorithm": "exact", "n_components": 3}
    one = gpuvgm.TableTransformer(**settings).fit(path)
    # Dask counts what it holds, and spills from 60 % of the limit on: too late here, where libraries take 40 % of it
    shares = {"target": 0.25, "spill": 0.5}
    with dask.config.set({f"distributed.worker.memory.{name}": share for name, share in shares.items()}):
        client = cluster(workers=1, memory="600MiB")
    spilled = []

    def look(self, function, *arguments, original=HeldShares.map_shares):
        spilled.append(client.run(on_disk))
        return original(self, function, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HeldShares, "map_shares", look)
        again = gpuvgm.TableTransformer(**settings, executor=DaskExecutor(client, partition_rows=10**6)).fit(path)
    assert max(max(seen.values()) for seen in spilled) > 0
    assert again.model_.fingerprint() == one.model_.fingerprint()


def on_disk(dask_worker):
    return len(dask_worker.data.slow)

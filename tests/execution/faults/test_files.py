"""Files that change or break between opening and reading on workers, and folders of very many small ones."""

from __future__ import annotations

import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gpuvgm
from gpuvgm.errors import InputError, SourceChangedError
from gpuvgm.execution.dask import DaskExecutor
from gpuvgm.io import open_source
from tests.execution.distributed.working import model_of

ROWS = 6000


@pytest.fixture(scope="module")
def client():
    pytest.importorskip("distributed", reason="Dask is not installed: pip install gpuvgm[dask]")
    with gpuvgm.cluster(workers=2, threads=1, memory="2GiB") as client:
        yield client


@pytest.fixture
def folder(tmp_path):
    values, folder = np.random.default_rng(0).normal(size=ROWS), tmp_path / "rows"
    folder.mkdir()
    for number in range(3):
        part = values[number * 2000 : (number + 1) * 2000]
        pq.write_table(pa.table({"x": part}), folder / f"{number}.parquet", row_group_size=500)
    return folder


def truncate(path):
    path.write_bytes(path.read_bytes()[:-100])


def replace(path):
    pq.write_table(pa.table({"x": np.zeros(2000)}), path.with_suffix(".new"))
    os.replace(path.with_suffix(".new"), path)


def remove(path):
    path.unlink()


def damage(path):
    """Other bytes in the middle, with the size and the time of before."""
    before, content = path.stat(), bytearray(path.read_bytes())
    content[40:8000] = bytes(7960)
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("change", [truncate, replace, remove])
def test_a_file_that_changes_before_a_worker_reads_it(client, folder, change, tmp_path):
    transformer = gpuvgm.TableTransformer(executor=DaskExecutor(client, partition_rows=700)).fit(folder)
    source = open_source(folder)
    change(folder / "1.parquet")
    with pytest.raises(SourceChangedError, match=r"1\.parquet"):
        transformer.transform(source, out=tmp_path / "out.parquet")
    with pytest.raises(SourceChangedError, match=r"1\.parquet"):
        transformer.fit(source)
    assert not (tmp_path / "out.parquet").exists()


def test_a_file_that_changes_between_the_portions_of_a_fit(client, folder):
    done = []

    def change(stage, rows, total):
        if not done:
            replace(folder / "2.parquet")
        done.append(rows)

    small = DaskExecutor(client, partition_rows=100)
    with pytest.raises(SourceChangedError, match=r"2\.parquet"):
        gpuvgm.TableTransformer(executor=small, progress=change).fit(folder)
    assert max(done) < ROWS


def test_a_damaged_file_is_named(client, folder):
    source = open_source(folder)
    damage(folder / "1.parquet")
    with pytest.raises(InputError, match=r"1\.parquet"):
        gpuvgm.TableTransformer(executor=DaskExecutor(client, partition_rows=700)).fit(source)


@pytest.mark.exhaustive
def test_a_thousand_small_files_are_one_table(client, tmp_path, random):
    table = pa.table({"x": random.normal(size=20_000), "word": pa.array(random.choice(["a", "b"], 20_000))})
    many = tmp_path / "many"
    many.mkdir()
    edges = [0, 0, *sorted(random.integers(0, 20_000, 997)), 20_000, 20_000]  # the first and the last have no rows
    for number, (low, high) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        pq.write_table(table.slice(low, high - low), many / f"{number:04}.parquet")
    assert number == 999
    pq.write_table(table, tmp_path / "one.parquet")
    spread = gpuvgm.TableTransformer(effort="research", executor=DaskExecutor(client, partition_rows=300)).fit(many)
    alone = gpuvgm.TableTransformer(effort="research").fit(tmp_path / "one.parquet")
    assert model_of(spread) == model_of(alone)
    spread.transform(many, out=tmp_path / "a.parquet")
    alone.transform(tmp_path / "one.parquet", out=tmp_path / "b.parquet")
    assert pq.read_table(tmp_path / "a.parquet").equals(pq.read_table(tmp_path / "b.parquet"))

"""What neither resumes nor grows, and what a process that was killed leaves behind."""

from __future__ import annotations

import os

import pyarrow.parquet as pq
import pytest

import gpuvgm
from gpuvgm.errors import InputError

ROWS = 20_000


@pytest.fixture
def place(working_folder):
    """A folder to stand in, with a file and a model of it."""
    gpuvgm.generate("a.parquet", ROWS)
    gpuvgm.TableTransformer(effort="research").fit("a.parquet").save("m.gpuvgm")
    return working_folder


@pytest.fixture
def transformer(place):
    return gpuvgm.load(place / "m.gpuvgm")


def test_rows_in_memory_are_not_resumed(place, transformer):
    rows = pq.read_table("a.parquet")
    transformer.transform(rows, out="e", part_rows=5000)
    with pytest.raises(InputError, match="rows in memory cannot be told"):
        transformer.transform(rows, out="e", part_rows=5000, resume=True)


def test_a_folder_of_a_store_is_emptied_before_it_is_written_again(place, transformer):
    transformer.transform("a.parquet", out="memory://again/e", part_rows=5000)
    transformer.transform(pq.read_table("a.parquet").slice(0, 6000), out="memory://again/e/", part_rows=5000)
    back = transformer.inverse_transform("memory://again/e")
    assert back.num_rows == 6000
    pq.write_table(back, "b.parquet")
    gpuvgm.generate("memory://again/other/mine.parquet", 10)
    with pytest.raises(InputError, match=r"holds mine\.parquet, which no complete run wrote there"):
        transformer.transform("a.parquet", out="memory://again/other")


def test_what_a_killed_process_left_is_not_published(place, transformer):
    transformer.transform("a.parquet", out="whole", part_rows=5000)
    os.rename("whole", ".e.unfinished")
    (place / ".e.unfinished" / ".part-00002.parquet.21d01dd8.partial").write_bytes(b"half")
    (place / ".e.unfinished" / "part-00001.parquet").unlink()
    transformer.transform("a.parquet", out="e", part_rows=5000, resume=True)
    assert sorted(os.listdir("e")) == ["_manifest.json", *(f"part-0000{n}.parquet" for n in range(4))]
    transformer.transform("a.parquet", out="e", part_rows=5000)


def test_generated_folders_are_cleared_too(place):
    (place / ".g.unfinished").mkdir()
    (place / ".g.unfinished" / ".part-00000.parquet.21d01dd8.partial").write_bytes(b"half")
    gpuvgm.generate("g", 1000)
    assert sorted(os.listdir("g")) == ["_manifest.json", "part-00000.parquet"]
    assert not (place / ".g.unfinished").exists()


def test_a_sample_does_not_grow(place):
    (place / "data").mkdir()
    os.rename("a.parquet", "data/a.parquet")
    fitted = gpuvgm.TableTransformer(effort="research", sample_rows=1000).fit("data")
    gpuvgm.generate("data/b.parquet", 1000)
    with pytest.raises(InputError, match="was fitted on a sample"):
        fitted.add_files("data")
    assert "sample" not in fitted.partial_fit("data/b.parquet").model_.source


def test_workers_that_stand_elsewhere_find_relative_paths(place, transformer, tmp_path_factory):
    with gpuvgm.cluster(workers=1, threads=1, gpus=False) as client:
        client.run(os.chdir, str(tmp_path_factory.mktemp("elsewhere")))
        executor = gpuvgm.DaskExecutor(client)
        spread = gpuvgm.TableTransformer(effort="research", executor=executor).fit("a.parquet")
        assert spread.model_.rows == ROWS
        spread.transform("a.parquet", out="e", part_rows=5000)
        gpuvgm.generate("g", 1000, file_rows=500, executor=executor)
        with pytest.raises(InputError, match="where workers cannot write"):
            spread.transform("a.parquet", out="memory://nowhere/e")
        gpuvgm.generate("memory://nowhere/a.parquet", 100)
        with pytest.raises(InputError, match="where workers cannot read"):
            spread.evaluate("memory://nowhere/a.parquet")
        for wrong in ({"memory": "nonsense"}, {"threads": 0}):
            with pytest.raises(InputError):
                gpuvgm.TableTransformer(executor=executor, **wrong).fit("a.parquet")
    assert len(list((place / "e").glob("*.parquet"))) == 4 and len(list((place / "g").glob("*.parquet"))) == 2
    transformer.transform("a.parquet", out="one.parquet")
    assert pq.read_table("e").equals(pq.read_table("one.parquet"))


def test_a_local_executor_brings_its_threads_and_listener(place):
    seen = []
    executor = gpuvgm.execution.local.LocalExecutor(1, seen.append)
    gpuvgm.TableTransformer(effort="research", executor=executor).fit("a.parquet")
    assert seen and seen[-1] == ROWS

"""Rows in several files, a model of them, and processes that are killed."""

from __future__ import annotations

import shutil
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gpuvgm
from gpuvgm.io import Manifest, ParquetSink
from gpuvgm.io.manifest import digest_of_file

PARTS = 2_500  # rows: borders lie within blocks and across files


def table(rows, seed=0):
    """Numbers, numbers with gaps, and categories."""
    random = np.random.default_rng(seed)
    amount = np.where(random.random(rows) < 0.4, random.normal(-2, 0.1, rows), random.lognormal(2, 0.7, rows)).round(2)
    gaps = pa.array(random.normal(50, 9, rows), mask=random.random(rows) < 0.1)
    return pa.table({"amount": amount, "gaps": gaps, "word": random.choice(["a", "bb", "ccc"], rows)})


def contents(folder):
    """Names and bytes of all files but the manifest."""
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.name != "_manifest.json"}


def bodies(folder):
    """Size and SHA-256 of the Parquet files."""
    return {path.name: digest_of_file(path) for path in sorted(folder.glob("*.parquet"))}


def damage(file, harm):
    """Let a file lose its end, hold a flipped bit, or be gone."""
    body = bytearray(file.read_bytes())
    body[len(body) // 2] ^= 1
    if harm == "remove":
        file.unlink()
    else:
        file.write_bytes(body if harm == "flip" else body[:-7])


def cut_short(transformer, source, out, *, after, problem=KeyboardInterrupt, **options):
    """Let the files after the first `after` fail."""
    made, enter = [], ParquetSink.__enter__

    def failing(sink):
        made.append(sink)
        if len(made) > after:
            raise problem
        return enter(sink)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ParquetSink, "__enter__", failing)
        with pytest.raises(type(problem) if isinstance(problem, BaseException) else problem) as failed:
            transformer.transform(source, **{"out": out, "part_rows": PARTS} | options)
    return failed.value


def written_by(transformer, source, **options):
    """Names of the files that a transform wrote."""
    made, enter = [], ParquetSink.__enter__
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ParquetSink, "__enter__", lambda sink: made.append(sink.path.name) or enter(sink))
        transformer.transform(source, **{"part_rows": PARTS, "resume": True} | options)
    return made


def kill_after(process, manifest, entries):
    """Kill a process as soon as its manifest holds so many entries."""
    end = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < end:
        found = Manifest.read(manifest)
        if found is not None and len(found.done) >= entries:
            break
    process.kill()
    process.wait()


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """A folder of three files, and the model of them."""
    folder = tmp_path_factory.mktemp("recovery")
    (folder / "rows").mkdir()
    for number, rows in enumerate((9_000, 1, 11_000)):
        pq.write_table(table(rows, number), folder / "rows" / f"{number}.parquet", row_group_size=4_000)
    gpuvgm.TableTransformer(effort="research").fit(folder / "rows").save(folder / "model.gpuvgm")
    return folder


@pytest.fixture
def rows(shared, tmp_path):
    """A copy of the rows."""
    return shutil.copytree(shared / "rows", tmp_path / "rows")


@pytest.fixture
def transformer(shared):
    """The model, loaded."""
    return gpuvgm.load(shared / "model.gpuvgm")

"""Two runs at once in one folder: the second is refused, and the first loses nothing by it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import gpuvgm
from gpuvgm.datasets import writing
from gpuvgm.errors import InputError
from gpuvgm.io import ParquetSink, locked
from gpuvgm.io.locks import FolderInUse
from gpuvgm.table import write as parts
from tests.table.recovery.conftest import contents

HOLD = (
    "import pathlib, sys; from gpuvgm.io.locks import locked\nwith locked(pathlib.Path(sys.argv[1])): print(1); input()"
)


@contextmanager
def held_elsewhere(folder: Path) -> Iterator[subprocess.Popen]:
    """The lock of a folder, in another process."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], env=environment, **pipes) as holder:
        holder.stdout.readline()
        yield holder


def test_a_lock_ends_with_its_block_or_its_process(tmp_path):
    with locked(tmp_path / "a"):
        assert (tmp_path / ".a.lock").read_text() == str(os.getpid())
    assert os.listdir(tmp_path) == []
    with held_elsewhere(tmp_path / "a") as holder:
        with pytest.raises(FolderInUse, match=f"a: process {holder.pid} works there"), locked(tmp_path / "a"):
            pass
        (tmp_path / ".a.lock").write_text("")  # as where it has just begun
        with pytest.raises(FolderInUse, match="a: another process works there"), locked(tmp_path / "a"):
            pass
        holder.kill()
    assert os.listdir(tmp_path) == [".a.lock"]
    with locked(tmp_path / "a"):
        pass
    assert os.listdir(tmp_path) == []


def test_runs_may_share_the_numbered_files_of_a_folder(tmp_path):
    with locked(tmp_path / "a", range(0, 3)):
        with locked(tmp_path / "a", range(3, 5)), pytest.raises(FolderInUse), locked(tmp_path / "a", range(4, 9)):
            pass
        for other in (None, range(2, 3)):
            with pytest.raises(FolderInUse), locked(tmp_path / "a", other):
                pass
    assert os.listdir(tmp_path) == []


def test_a_folder_stays_locked_while_it_is_removed_made_and_renamed(tmp_path):
    with locked(tmp_path / "a"):
        (tmp_path / "a").mkdir()
        (tmp_path / "a").rename(tmp_path / "b")
        with pytest.raises(FolderInUse), locked(tmp_path / "a"):
            pass


@pytest.mark.parametrize("left", ["", "1", "no number"])
def test_what_a_lock_says_does_not_hold_it(tmp_path, left):
    (tmp_path / ".a.lock").write_text(left)  # 1 always lives; a process that has just begun has written nothing yet
    with locked(tmp_path / "a"):
        assert (tmp_path / ".a.lock").read_text() == str(os.getpid())


def test_threads_of_one_process_are_told_apart(tmp_path):
    refused = []

    def attempt() -> None:
        try:
            with locked(tmp_path / "a"):
                pass
        except FolderInUse as problem:
            refused.append(problem)

    with locked(tmp_path / "a"):
        thread = threading.Thread(target=attempt)
        thread.start()
        thread.join()
    assert len(refused) == 1


@pytest.mark.parametrize("resume", [False, True])
def test_a_second_transform_takes_nothing_from_the_first(transformer, rows, tmp_path, monkeypatch, resume):
    transformer.transform(rows, out=tmp_path / "alone", part_rows=5000)
    refused, encode = [], parts.PartFiles.take

    def take(self, pieces):
        if not refused:
            refused.append(None)
            with pytest.raises(InputError, match="works there"):
                gpuvgm.load(rows.parent / "m.gpuvgm").transform(
                    rows, out=tmp_path / "both", part_rows=5000, resume=resume
                )
        encode(self, pieces)

    transformer.save(rows.parent / "m.gpuvgm")
    monkeypatch.setattr(parts.PartFiles, "take", take)
    transformer.transform(rows, out=tmp_path / "both", part_rows=5000)
    assert refused and contents(tmp_path / "both") == contents(tmp_path / "alone")


GENERATE = [sys.executable, "-m", "gpuvgm", "generate", "--quiet", "--rows", "400000"]


@pytest.mark.parametrize(
    "options", [["g", "--file-rows", "1e5"], ["g", "--file-rows", "1e5", "--resume"], ["g.parquet"]]
)
def test_of_runs_that_generate_at_once_one_wins(tmp_path, options):
    runs = [subprocess.Popen([*GENERATE, *options], cwd=tmp_path, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    told = [run.communicate()[1] for run in runs]
    assert {run.returncode for run in runs} <= {0, 2} and 0 in [run.returncode for run in runs]
    for run, line in zip(runs, told, strict=True):
        assert run.returncode == 0 or "works there" in line or "there already, of 4" in line
    alone = [part for part in GENERATE if part != "--quiet"] + ["--quiet", "alone" + options[0][1:], *options[1:]]
    subprocess.run(alone, cwd=tmp_path, check=True)
    assert sorted(os.listdir(tmp_path)) == sorted([options[0], "alone" + options[0][1:]])
    if options[0] == "g":
        assert contents(tmp_path / "g") == contents(tmp_path / "alone")
    else:
        assert (tmp_path / "g.parquet").read_bytes() == (tmp_path / "alone.parquet").read_bytes()


@pytest.mark.parametrize("name", ["g", "g.parquet"])
def test_a_second_generate_takes_nothing_from_the_first(tmp_path, monkeypatch, name):
    refused, rows_of = [], writing.Generator._generate_rows

    def written(self, part):
        if not refused:
            with ParquetSink(tmp_path / "x.parquet", self.schema):  # what the first has begun
                before = sorted(tmp_path.rglob("*"))
                with pytest.raises(FolderInUse, match=f"{name}: process {os.getpid()} works there"):
                    gpuvgm.generate(tmp_path / name, 1000)
                refused.append(sorted(tmp_path.rglob("*")) == before)
        return rows_of(self, part)

    monkeypatch.setattr(writing.Generator, "_generate_rows", written)
    gpuvgm.generate(tmp_path / name, 1000)
    assert refused == [True]

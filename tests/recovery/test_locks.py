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
from gpuvgm import journal, parts
from gpuvgm.errors import InputError
from gpuvgm.locks import FolderInUse, locked
from tests.recovery.conftest import contents

HOLD = "import pathlib, sys; from gpuvgm.locks import locked\nwith locked(pathlib.Path(sys.argv[1])): print(1); input()"


@contextmanager
def held_elsewhere(folder: Path) -> Iterator[subprocess.Popen]:
    """The lock of a folder, in another process."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], env=environment, **pipes) as holder:
        holder.stdout.readline()
        yield holder


def test_a_lock_ends_with_its_block_or_its_process(tmp_path):
    with locked(tmp_path):
        assert (tmp_path / "lock").read_text() == str(os.getpid())
    assert os.listdir(tmp_path) == []
    with held_elsewhere(tmp_path) as holder:
        with pytest.raises(FolderInUse, match=f"process {holder.pid} works there"), locked(tmp_path):
            pass
        holder.kill()
    assert os.listdir(tmp_path) == ["lock"]
    with locked(tmp_path):
        pass


@pytest.mark.parametrize("left", ["", "1", "no number"])
def test_what_a_lock_says_does_not_hold_it(tmp_path, left):
    (tmp_path / "lock").write_text(left)  # 1 always lives; a process that has just begun has written nothing yet
    with locked(tmp_path):
        assert (tmp_path / "lock").read_text() == str(os.getpid())


def test_threads_of_one_process_are_told_apart(tmp_path):
    refused = []

    def attempt() -> None:
        try:
            with locked(tmp_path):
                pass
        except FolderInUse as problem:
            refused.append(problem)

    with locked(tmp_path):
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


@pytest.mark.parametrize("resume", [False, True])
def test_a_second_fit_takes_no_journal_from_the_first(rows, tmp_path, monkeypatch, resume):
    refused, keep = [], journal.Pass.keep

    def kept(self, portion, tallies):
        if not refused:
            refused.append(None)
            with pytest.raises(InputError, match="works there"):
                gpuvgm.TableTransformer(effort="research").fit(rows, journal=tmp_path / "j", resume=resume)
        keep(self, portion, tallies)

    monkeypatch.setattr(journal.Pass, "keep", kept)
    gpuvgm.TableTransformer(effort="research").fit(rows, journal=tmp_path / "j")
    assert refused

"""What processes that were killed leave on their way to a name is removed by the next that writes there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

import gpuvgm
from gpuvgm.errors import InputError
from gpuvgm.files import partial_of, remove_left_over, replace_folder
from gpuvgm.io import ParquetSink, Sink, location_of, write_bytes
from gpuvgm.table.training import TrainingRows

BEGIN = """
import pathlib, sys
from gpuvgm.files import partial_of
with partial_of(pathlib.Path(sys.argv[1]), folder=sys.argv[2] == "folder"):
    print(1, flush=True)
    input()
"""

TRAIN = """
import sys
import gpuvgm
from gpuvgm.table.training import TrainingRows
table = {"word": ["a", "b"] * 50}
rows = TrainingRows(gpuvgm.TableTransformer(effort="research").fit(table), table, place="disk")
print(1, flush=True)
input()
"""


def killed(target: Path, sort: str = "file") -> None:
    """Let a process begin to write, and kill it."""
    with begun(target, sort) as process:
        process.send_signal(signal.SIGKILL)


def begun(target: Path, sort: str = "file") -> subprocess.Popen:
    """A process that writes to a name."""
    command = [sys.executable, "-c", BEGIN, str(target), sort]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdout.readline()
    return process


@pytest.mark.parametrize("sort", ["file", "folder"])
def test_only_what_no_living_process_owns_is_removed(tmp_path, sort):
    target = tmp_path / "x"
    killed(target, sort)
    assert len(os.listdir(tmp_path)) == 1
    with begun(target, sort) as process:
        (held,) = os.listdir(tmp_path)  # the one that was left is gone
        remove_left_over(target)
        assert os.listdir(tmp_path) == [held]
        process.send_signal(signal.SIGKILL)
    remove_left_over(target)
    assert os.listdir(tmp_path) == []


def test_every_writer_of_one_file_removes_what_is_left_over(tmp_path):
    model = gpuvgm.TableTransformer(effort="research").fit({"x": [1.0, 2.5, 2.5]})
    writers = {
        "a.json": lambda path: write_bytes(path, b"{}"),
        "a.parquet": lambda path: gpuvgm.generate(path, 10),
        "b.parquet": lambda path: model.transform({"x": [1.0]}, out=path),
        "m.gpuvgm": model.save,
        "folder": model.save,
    }
    for name, write in writers.items():
        killed(tmp_path / name)
        (tmp_path / f".{name}.01234567.partial").mkdir()
        write(tmp_path / name)
        assert os.listdir(tmp_path) == [name], name
        write(tmp_path / name)
        assert os.listdir(tmp_path) == [name], name
        (tmp_path / name).rename(tmp_path.parent / name)


def test_names_that_only_look_alike_stay(tmp_path):
    names = [".x.partial", ".x.0123456g.partial", ".xx.01234567.partial", "x.01234567.partial", ".x.01234567.old"]
    for name in names:
        (tmp_path / name).write_text("mine")
    os.mkfifo(tmp_path / ".x.89abcdef.partial")
    (tmp_path / ".x.76543210.partial").symlink_to(tmp_path / ".x.partial")
    remove_left_over(tmp_path / "x")
    assert set(names) < set(os.listdir(tmp_path))


def test_an_old_folder_goes_when_there_is_a_new_one(tmp_path):
    target = tmp_path / "x"
    for name in (".x.01234567.old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    remove_left_over(target)  # it may be all that is left of the folder
    assert (tmp_path / ".x.01234567.old").exists()
    replace_folder(tmp_path / "new", target)
    assert os.listdir(tmp_path) == ["x"] and (target / "file").read_text() == "new"


def test_two_that_replace_a_folder_at_once_both_succeed(tmp_path, monkeypatch):
    target, rename, met = tmp_path / "x", Path.rename, []
    for name in ("x", "one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)

    def meeting(self, to):
        if self.name == "one" and not met:
            met.append(None)
            replace_folder(tmp_path / "two", target)
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", meeting)
    replace_folder(tmp_path / "one", target)
    assert os.listdir(tmp_path) == ["x"] and (target / "file").read_text() == "one"


def test_what_was_on_its_way_to_a_store_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    killed(tmp_path / "gpuvgm.other.parquet")
    with ParquetSink("memory://left/a.parquet", pa.schema([("x", pa.int64())])) as sink:
        (held,) = os.listdir(tmp_path)
        gpuvgm.generate("memory://left/b.parquet", 10)
        assert os.listdir(tmp_path) == [held]
        sink.write(pa.record_batch({"x": [1]}))
    assert os.listdir(tmp_path) == []


@pytest.fixture
def with_mask(tmp_path, monkeypatch):
    """Set the mask of the user, and a temporary folder that all users share."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = os.umask(0)
    yield os.umask
    os.umask(before)


def modes_in(folder):
    """Permissions of what lies in a folder."""
    return {path.stat().st_mode & 0o777 for path in folder.iterdir()}


@pytest.mark.parametrize("name", ["a.parquet", "a.csv", "a.csv.gz"])
def test_only_its_user_reads_what_is_on_its_way_to_a_store(name, tmp_path, with_mask):
    with_mask(0)
    batch = pa.record_batch({"x": [1]})
    with Sink.of_values(location_of("memory://sent/" + name), batch.schema, {}) as sink:
        sink.write(batch)
        assert modes_in(tmp_path) == {0o600}


def test_only_its_user_reads_rows_on_the_disk_from_the_beginning(tmp_path, with_mask, monkeypatch):
    with_mask(0)
    monkeypatch.setattr(Path, "chmod", lambda *_: pytest.fail("it was open until now"))
    table = {"word": ["a", "b"] * 50}
    rows = TrainingRows(gpuvgm.TableTransformer(effort="research").fit(table), table, place="disk")
    assert modes_in(tmp_path) == {0o700}
    assert len(rows) == 100


def test_only_its_user_reads_a_copy_of_rows_that_come_once(tmp_path, with_mask):
    with_mask(0)
    modes = []

    def parts():
        for _ in range(3):
            modes.append(modes_in(tmp_path))
            yield pa.table({"x": ["a", "b"] * 5})

    gpuvgm.TableSynthesizer().fit(parts())
    assert modes[-1] == {0o700}


def test_a_partial_file_has_the_mode_that_it_ends_with(tmp_path, with_mask):
    """The user's mask decides on both: whoever may read the file may read it while it grows."""
    for mask, mode in ((0o027, 0o640), (0o022, 0o644), (0o077, 0o600)):
        with_mask(mask)
        folder = tmp_path / oct(mode)
        folder.mkdir()
        with ParquetSink(folder / "a.parquet", pa.schema([("x", pa.int64())])) as sink:
            sink.write(pa.record_batch({"x": [1]}))
            assert modes_in(folder) == {mode}
        assert modes_in(folder) == {mode}
        gpuvgm.TableTransformer().fit({"x": ["a", "b"]}).save(folder / "model")
        assert (folder / "model").stat().st_mode & 0o777 == mode | (mode & 0o444) >> 2
        assert modes_in(folder / "model") == {mode}


def test_training_rows_on_the_disk_of_a_killed_process_are_removed(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    process = subprocess.Popen([sys.executable, "-c", TRAIN], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdout.readline()
    table = {"word": ["a", "b"] * 50}
    fitted = gpuvgm.TableTransformer(effort="research").fit(table)
    rows = TrainingRows(fitted, table, place="disk")
    assert len(os.listdir(tmp_path)) == 2
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o700}
    with process:
        process.kill()
    more = TrainingRows(fitted, table, place="disk")
    assert len(os.listdir(tmp_path)) == 2
    del rows, more
    assert os.listdir(tmp_path) == []


def test_a_partial_file_that_cannot_be_made_is_told_with_its_target(tmp_path):
    (tmp_path / "closed").mkdir(mode=0o500)
    if os.access(tmp_path / "closed", os.W_OK):
        pytest.skip("this user writes everywhere")
    with pytest.raises(PermissionError, match=r"closed/x\.json"):
        write_bytes(tmp_path / "closed" / "x.json", b"")


def test_a_failure_leaves_nothing(tmp_path):
    with pytest.raises(InputError), partial_of(tmp_path / "x") as partial:
        partial.write_text("half")
        raise InputError
    assert os.listdir(tmp_path) == []

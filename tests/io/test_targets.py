"""What may be written where."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gpuvgm.errors import InputError
from gpuvgm.io import ParquetSink, open_source, refuse_overwriting, write_bytes

TABLE = pa.table({"x": [1.0, 2.0]})


def write(path):
    with ParquetSink(path, TABLE.schema) as sink:
        sink.write(TABLE.to_batches()[0])


def test_the_file_behind_a_link_is_written(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "link.parquet").symlink_to(tmp_path / "far" / "a.parquet")
    write(tmp_path / "link.parquet")
    assert (tmp_path / "link.parquet").is_symlink()
    assert pq.read_table(tmp_path / "far" / "a.parquet").equals(TABLE)
    assert sorted(os.listdir(tmp_path)) == ["far", "link.parquet"]


def test_a_read_only_folder_is_told_with_the_name_that_was_given(tmp_path, monkeypatch):
    def refuse(self, *_, **__):
        raise OSError(errno.EROFS, "Read-only file system", str(self))

    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(OSError, match="Read-only file system") as caught:
        write_bytes(tmp_path / "page.html", b"")
    assert caught.value.filename == str(tmp_path / "page.html")


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "null.parquet").symlink_to("/dev/null")
    for path in (tmp_path / "pipe", "/dev/null", tmp_path / "null.parquet"):
        with pytest.raises(InputError, match="is no ordinary file"):
            write(path)


@pytest.mark.parametrize("ending", [".csv", ".CSV", ".csv.gz", ".arrow", ".feather", ".ipc", ".gz", ".json"])
def test_endings_of_other_formats_are_refused(tmp_path, ending):
    with pytest.raises(InputError, match=r"gpuvgm writes Parquet: name it a\.parquet"):
        write(tmp_path / f"a{ending}")


def test_problems_name_the_file_that_was_asked_for(tmp_path):
    path = tmp_path / ("a" * 250 + ".parquet")
    with pytest.raises(OSError, match="name too long") as caught:
        write(path)
    assert caught.value.filename == str(path)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "rows"
    (folder / "more").mkdir(parents=True)
    for name in ("a.parquet", "b.parquet", "more/c.parquet"):
        pq.write_table(TABLE, folder / name)
    (tmp_path / "link.parquet").symlink_to(folder / "a.parquet")
    (tmp_path / "door").symlink_to(folder)
    return folder


@pytest.mark.parametrize(
    ("given", "out"),
    [
        ("rows/a.parquet", "rows/a.parquet"),
        ("rows/a.parquet", "link.parquet"),
        ("link.parquet", "rows/a.parquet"),
        ("rows", "rows/b.parquet"),
        ("rows", "rows/new.parquet"),
        ("rows", "rows/more/new.pq"),
        ("rows", "door/new.parquet"),
        ("door", "rows/new.parquet"),
        ("rows/*.parquet", "rows/new.parquet"),
        ("rows/*", "rows/more/new.parquet"),
        ("ro*/**/*.parquet", "rows/more/new.parquet"),
    ],
)
def test_what_is_read_is_not_written(folder, monkeypatch, given, out):
    monkeypatch.chdir(folder.parent)
    for source in (given, folder.parent / given, [given]):
        with pytest.raises(InputError, match="is read as part of|which would read it the next time"):
            refuse_overwriting(open_source(source), out)


@pytest.mark.parametrize(
    ("given", "out"),
    [
        ("rows/a.parquet", "rows/new.parquet"),
        ("rows", "new.parquet"),
        ("rows", "rows/.new.parquet"),
        ("rows", "rows/new"),
        ("rows/a*.parquet", "rows/new.parquet"),
        ("rows/*.parquet", "rows/more/new.parquet"),
    ],
)
def test_other_files_may_be_written(folder, monkeypatch, given, out):
    monkeypatch.chdir(folder.parent)
    refuse_overwriting(open_source(given), out)
    refuse_overwriting(open_source(TABLE), out)

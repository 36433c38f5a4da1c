"""What is written into a store is there as a whole or not at all, and never over what is being read."""

from __future__ import annotations

import tempfile

import pyarrow as pa
import pytest

import gpuvgm
from gpuvgm.errors import EnvironmentProblem, InputError, ModelFileError
from gpuvgm.io import ParquetSink, location_of, open_source, remote
from gpuvgm.io.sink import refuse_overwriting
from gpuvgm.table import ModelFile
from tests.io.conftest import FullDisk
from tests.io.storage.conftest import keys, store

TABLE = pa.table({"x": [1.0, 2.0, 3.0]})


@pytest.fixture(autouse=True)
def spool(tmp_path, monkeypatch):
    """The folder of temporary files, empty again after every test."""
    folder = tmp_path / "spool"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


def write(url, table=TABLE):
    with ParquetSink(url, table.schema) as sink:
        for batch in table.to_batches():
            sink.write(batch)
    return sink


def put_rows(url):
    write(url)
    return url


def failing_puts(method, path):
    return "503" if method in ("PUT", "POST") else None


def test_an_upload_that_fails_for_good_leaves_nothing(bucket, server):
    server.behave(fails=failing_puts)
    message = rf"^{bucket}/o.parquet: writing failed 6 times, at last with .*(SlowDown|reduce|as a test wants)"
    with pytest.raises(EnvironmentProblem, match=message):
        write(f"{bucket}/o.parquet")
    assert [method for method, _, _ in server.requests].count("PUT") == 6
    server.behave()
    assert keys(bucket) == []


def test_an_upload_that_fails_keeps_what_was_there(bucket, server):
    write(f"{bucket}/o.parquet")
    before = store().cat(f"{bucket}/o.parquet")
    server.behave(fails=failing_puts)
    with pytest.raises(EnvironmentProblem):
        write(f"{bucket}/o.parquet", TABLE.slice(1))
    server.behave()
    assert store().cat(f"{bucket}/o.parquet") == before


def test_rows_that_fail_leave_nothing(bucket, spool):
    with pytest.raises(ZeroDivisionError), ParquetSink(f"{bucket}/o.parquet", TABLE.schema) as sink:
        sink.write(TABLE.to_batches()[0])
        assert len(list(spool.iterdir())) == 1
        1 / 0  # noqa: B018
    assert keys(bucket) == []


def test_a_full_disk_of_this_machine_is_named(bucket, spool, monkeypatch):
    monkeypatch.setattr(pa, "OSFile", FullDisk)
    with pytest.raises(OSError, match=rf"No space left on device: '{spool}/.*on its way to {bucket}/o.parquet"):
        write(f"{bucket}/o.parquet")
    assert keys(bucket) == []


def test_large_files_go_up_in_parts_which_are_retried_one_by_one(bucket, server, tmp_path, monkeypatch):
    import s3fs.core

    monkeypatch.setattr(remote, "IN_PARTS_BYTES", 1 << 20)
    monkeypatch.setattr(s3fs.core, "calculate_chunksize", lambda size, chunksize=None: 5 << 20)
    body = bytes(range(256)) * (12 << 12)
    (tmp_path / "large.bin").write_bytes(body)
    failed = []

    def once(method, path):
        part = method == "PUT" and not failed
        failed.extend(["part"] if part else [])
        return "503" if part else None

    server.behave(fails=once)
    location_of(f"{bucket}/large.bin").put(tmp_path / "large.bin")
    assert [method for method, _, _ in server.requests].count("PUT") == 4  # three parts, one of them twice
    assert store().cat(f"{bucket}/large.bin") == body


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("o.csv", r"gpuvgm writes Parquet: name it o\.parquet"),
        ("folder/", "is a folder; give the name of a file"),
        ("folder", "is a folder; give the name of a file"),
    ],
)
def test_names_that_are_refused_before_the_work(bucket, name, message):
    store().pipe_file(f"{bucket}/folder/rows.txt", b"x")
    with pytest.raises(InputError, match=rf"^{bucket}/{name}: {message}"):
        ParquetSink(f"{bucket}/{name}", TABLE.schema)


def test_nothing_is_written_over_http():
    with pytest.raises(InputError, match=r"^http://127\.0\.0\.1:9/o\.parquet: nothing is written over HTTP"):
        ParquetSink("http://127.0.0.1:9/o.parquet", TABLE.schema)


@pytest.mark.parametrize(
    ("given", "out", "message"),
    [
        ("in/a.parquet", "in/a.parquet", "is read as part of"),
        ("in", "in/b/new.parquet", "lies in"),
        ("in/", "in/new.parquet", "lies in"),
        ("*/*.parquet", "in/new.parquet", "lies in"),
        ("i*", "in/new.parquet", "lies in"),
        ("in/a.parquet", "in/new.parquet", None),
        ("in", "in/_new.parquet", None),
        ("in", "inner/new.parquet", None),
        ("in/*.parquet", "out/new.parquet", None),
    ],
)
def test_no_file_joins_or_replaces_its_source(bucket, given, out, message):
    put_rows(f"{bucket}/in/a.parquet")
    source = open_source(f"{bucket}/{given}")
    if message is None:
        refuse_overwriting(source, f"{bucket}/{out}")
    else:
        with pytest.raises(InputError, match=rf"^{bucket}/{out}: {message}"):
            refuse_overwriting(source, f"{bucket}/{out}")


def test_other_stores_are_other_places(bucket, tmp_path):
    put_rows(f"{bucket}/a.parquet")
    source = open_source(f"{bucket}/a.parquet")
    path = bucket.removeprefix("s3://") + "/a.parquet"
    for out in (f"memory://{path}", tmp_path / "a.parquet"):
        refuse_overwriting(source, out)


# -- models


@pytest.fixture(scope="module")
def fitted():
    return gpuvgm.TableTransformer(effort="research", n_components=2).fit({"x": [1.0, 2.0, 3.0, 4.0, 9.0, 9.5]})


def test_models_come_back_with_their_summaries(bucket, fitted, tmp_path):
    fitted.save(f"{bucket}/m.gpuvgm", summaries=True)
    fitted.save(tmp_path / "m.gpuvgm", summaries=True)
    there, here = gpuvgm.load(f"{bucket}/m.gpuvgm"), gpuvgm.load(tmp_path / "m.gpuvgm")
    assert there.model_.fingerprint() == here.model_.fingerprint()
    assert there.summaries_.keys() == here.summaries_.keys() == {"x"}
    fitted.save(f"{bucket}/m.gpuvgm")
    assert gpuvgm.load(f"{bucket}/m.gpuvgm").summaries_ == {}


@pytest.mark.parametrize("body", [b"", b"PK", b"nothing of the kind"])
def test_what_is_no_model_is_refused(bucket, body):
    store().pipe_file(f"{bucket}/m.gpuvgm", body)
    with pytest.raises(ModelFileError, match=rf"^{bucket}/m.gpuvgm: no model of gpuvgm, or truncated or damaged"):
        gpuvgm.load(f"{bucket}/m.gpuvgm")


def test_a_model_that_is_not_there(bucket, fitted, monkeypatch):
    with pytest.raises(ModelFileError, match=rf"^{bucket}/none.gpuvgm: there is no model"):
        gpuvgm.load(f"{bucket}/none.gpuvgm")
    fitted.save(f"{bucket}/folder/m.gpuvgm")
    with pytest.raises(ModelFileError, match=rf"^{bucket}/folder: is a folder; a model at a URL is one file"):
        gpuvgm.load(f"{bucket}/folder")
    monkeypatch.setattr("gpuvgm.table.model_file.MOST_REMOTE_BYTES", 100)
    with pytest.raises(ModelFileError, match=r"m.gpuvgm: has [\d,]+ bytes; this is no model"):
        gpuvgm.load(f"{bucket}/folder/m.gpuvgm")


def test_folders_are_not_replaced(bucket, fitted):
    with pytest.raises(InputError, match=r"/model: a model at a URL is one file: give it a name that ends in \.gpuvgm"):
        fitted.save(f"{bucket}/model")
    fitted.save(f"{bucket}/x.gpuvgm/m.gpuvgm")
    with pytest.raises(InputError, match=r"x\.gpuvgm: is a folder"):
        ModelFile.at(f"{bucket}/x.gpuvgm").check_target()

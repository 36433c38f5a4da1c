"""What goes wrong with a store is said once, with the URL and what to set; the exit code tells whose fault it is."""

from __future__ import annotations

import json
import socket
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gpuvgm
from gpuvgm.errors import EnvironmentProblem, InputError
from gpuvgm.io import location_of, open_source
from tests.cli.running import invoke
from tests.io.storage.conftest import ROWS, forget_connections, keys, store


@pytest.fixture
def elsewhere(monkeypatch):
    """Connections of this test alone: the environment is read when they are made."""
    forget_connections()
    yield monkeypatch
    forget_connections()


def test_names_that_are_not_there(bucket, server):
    for name in ("none.parquet", "none/"):
        with pytest.raises(InputError, match=rf"^{bucket}/{name}: no such file or folder$"):
            open_source(f"{bucket}/{name}")
    with pytest.raises(InputError, match=rf"^{bucket}/\*\.parquet: no file matches this pattern$"):
        open_source(f"{bucket}/*.parquet")
    store().pipe_file(f"{bucket}/notes/a.txt", b"x")
    with pytest.raises(InputError, match=rf"^{bucket}/notes: the folder holds no file to read; known endings"):
        open_source(f"{bucket}/notes")


def test_a_bucket_that_is_not_there(server):
    for name in ("rows.parquet", "*.parquet"):
        with pytest.raises(InputError, match=r"^s3://no-such-bucket/.*: there is no bucket of this name; create it"):
            open_source(f"s3://no-such-bucket/{name}")
    with pytest.raises(InputError, match="there is no bucket of this name"):
        gpuvgm.generate("s3://no-such-bucket/o.parquet", 10)


def denied(code):
    def answer(environ, start_response):
        body = f"<Error><Code>{code}</Code><Message>not you</Message></Error>".encode()
        body = b"" if environ["REQUEST_METHOD"] == "HEAD" else body
        start_response("403 Forbidden", [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
        return [body]

    return answer


@pytest.mark.parametrize("code", ["InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied"])
def test_wrong_credentials_are_no_reason_to_try_again(bucket, server, monkeypatch, code):
    monkeypatch.setattr(server, "app", denied(code))
    for body, said in ((b"", "Forbidden"), (b"x", "not you")):
        message = rf"^{bucket}/a.parquet: access refused \(.*{said}.*\); set AWS_ACCESS_KEY_ID and "
        server.behave()
        with pytest.raises(EnvironmentProblem, match=message):
            location_of(f"{bucket}/a.parquet").write_bytes(body) if body else open_source(f"{bucket}/a.parquet")
        assert len(server.requests) == 1


def test_missing_credentials_are_named(bucket, elsewhere):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        elsewhere.delenv(name)
    with pytest.raises(EnvironmentProblem, match=r"access refused \(Unable to locate credentials\); set AWS_"):
        open_source(f"{bucket}/a.parquet")


def test_a_server_that_is_not_there_is_given_up(elsewhere, server):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        elsewhere.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(EnvironmentProblem, match=r"^s3://b/a.parquet: looking it up failed 6 times, at last with"):
            open_source("s3://b/a.parquet")


@pytest.mark.parametrize(
    ("module", "url", "extra"), [("s3fs", "s3", "s3"), ("gcsfs", "gs", "gcs"), ("adlfs", "abfs", "azure")]
)
def test_a_missing_package_is_named_with_the_command(monkeypatch, module, url, extra):
    import fsspec  # noqa: F401

    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, url, raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(EnvironmentProblem, match=rf'{url}:// needs a package .*: pip install "gpuvgm\[{extra}\]"$'):
        open_source(f"{url}://bucket/rows.parquet")


def test_without_fsspec_the_command_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(EnvironmentProblem, match=r'memory:// needs a package .*: pip install "gpuvgm\[s3\]"$'):
        open_source("memory://rows.parquet")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("zip://a.parquet::s3://b/c.zip", "chained URLs are not taken"),
        ("ftp://me:secret@host/a.parquet", "ftp URL with a password: passwords in URLs end in logs"),
        ("gopher://host/a.parquet", "unknown kind of URL; known are s3, gs, abfs, memory, file"),
    ],
)
def test_urls_that_are_not_taken(url, message):
    with pytest.raises(InputError, match=message) as raised:
        open_source(url)
    assert "secret" not in str(raised.value)


# -- on the command line


def test_the_command_line_takes_urls_and_tells_faults_apart(bucket, folder, server):
    store().put(str(folder / "rows.parquet"), f"{bucket}/rows.parquet")
    source, model = f"{bucket}/rows.parquet", f"{bucket}/m.gpuvgm"
    invoke("fit", source, "--model", model, "--effort", "research", "--columns", "x,n")
    invoke("transform", source, f"{bucket}/e.parquet", "--model", model)
    assert f"{ROWS:,}" in invoke("info", model).stdout
    assert keys(bucket) == ["e.parquet", "m.gpuvgm", "rows.parquet"]
    assert "no such file" in invoke("transform", f"{bucket}/no.parquet", "o.parquet", "--model", model, code=2).stderr
    assert "is read as part of" in invoke("transform", source, source, "--model", model, code=2).stderr
    server.behave(fails=lambda method, path: "500")
    assert "failed 6 times" in invoke("info", model, code=3).stderr


def test_fits_that_some_columns_failed_are_kept_beside_the_model(bucket, folder, tmp_path):
    pq.write_table(pa.table({"x": [1.0, 2.0, 3.0], "y": [1.0, float("inf"), 2.0]}), tmp_path / "bad.parquet")
    arguments = ("fit", tmp_path / "bad.parquet", "--model", f"{bucket}/m.gpuvgm", "--effort", "research")
    assert "run again with --failed" in invoke(*arguments, code=2).stderr
    assert keys(bucket) == ["m.unfinished.gpuvgm"]
    invoke(*arguments, "--inf", "missing", "--failed")
    assert keys(bucket) == ["m.gpuvgm"]


def test_reports_are_written_where_they_can_be(bucket, folder, tmp_path):
    source, model = folder / "rows.parquet", folder / "m.gpuvgm"
    invoke("fit", source, "--model", model, "--effort", "research")
    arguments = ("evaluate", source, "--model", model, "--report")
    printed = json.loads(invoke(*arguments, tmp_path / "r.json", "--json", "--max-ks", 0, code=1).stdout)
    assert printed.pop("run") and printed["broken"]
    assert json.loads((tmp_path / "r.json").read_text()) == printed
    for wrong, message in [
        (source, "a report is JSON"),
        (tmp_path / "no/r.json", "does not exist; create it first"),
        (f"{bucket}/r.txt", "a report is JSON"),
        ("https://127.0.0.1:9/r.json", "nothing is written over HTTP"),
    ]:
        assert message in invoke(*arguments, wrong, code=2).stderr
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []

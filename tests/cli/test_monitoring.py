"""Logs for programs, records of runs, and figures that are pushed."""

from __future__ import annotations

import json
import socket
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from gpuvgm.cli import record
from gpuvgm.cli.stages import Stages
from tests.cli.conftest import ROWS
from tests.cli.running import document, invoke


def lines(stderr):
    return [json.loads(line) for line in stderr.splitlines()]


def test_log_lines_are_json_with_their_fields(folder, tmp_path):
    arguments = ("transform", folder / "table.parquet", tmp_path / "e.parquet", "--model", folder / "m.gpuvgm")
    stage, end = lines(invoke(*arguments, "--log-format", "json").stderr)
    assert (stage["level"], stage["logger"], stage["stage"], stage["rows"]) == ("info", "gpuvgm", "transform", ROWS)
    assert stage["time"].endswith("+00:00")
    assert (end["command"], end["exit_code"]) == ("transform", 0)
    assert 0 < end["stages"][0]["seconds"] == stage["seconds"] <= end["seconds"]


def test_errors_and_warnings_are_json_too(folder, tmp_path):
    result = invoke("info", tmp_path / "a", "--log-format", "json", env={"GPUVGM_THREDS": "3"}, code=2)
    warning, error, end = lines(result.stderr)
    assert (warning["level"], "did you mean GPUVGM_THREADS?" in warning["message"]) == ("warning", True)
    assert (error["level"], error["kind"], error["exit_code"]) == ("error", "ModelFileError", 2)
    assert str(tmp_path / "a") in error["message"]
    assert "exception" not in error
    assert end["exit_code"] == 2
    error = lines(invoke("info", tmp_path / "a", "--log-format", "json", "--debug", code=2).stderr)[0]
    assert "Traceback" in error["exception"]


def test_a_broken_limit_is_logged(folder):
    arguments = ("evaluate", folder / "table.parquet", "--model", folder / "m.gpuvgm", "--max-error", "0")
    broken = lines(invoke(*arguments, "--log-format", "json", code=1).stderr)[1]
    assert (broken["level"], broken["message"].startswith('column "x": 99.9th')) == ("error", True)


def test_text_says_nothing_of_stages(folder):
    assert invoke("info", folder / "m.gpuvgm").stderr == ""


def test_a_record_holds_the_run(folder, tmp_path):
    record, source, out = tmp_path / "record.json", folder / "table.parquet", tmp_path / "e.parquet"
    found = document("transform", source, out, "--model", folder / "m.gpuvgm", "--record", record)
    kept = json.loads(record.read_text())
    assert (kept["command"], kept["exit_code"], kept["error"]) == ("transform", 0, None)
    assert (kept["bytes_in"], kept["bytes_out"], kept["rows"]) == (source.stat().st_size, out.stat().st_size, ROWS)
    assert [(stage["name"], stage["rows"]) for stage in kept["stages"]] == [("transform", ROWS)]
    assert found["run"]["stages"] == kept["stages"]
    assert kept["options"]["mode"] == "sample"
    assert kept["versions"].keys() >= {"gpuvgm", "python", "pyarrow"}
    assert kept["machine"]["cores"] >= 1
    assert 2**25 < kept["peak_memory"] < 2**36


def test_stages_follow_each_other():
    stages = Stages()
    with stages.heard():
        for stage, rows in [("fit", 5), ("fit", 9), ("fit", 3), ("transform", 9), ("fit", 2)]:
            stages(stage, rows, 9)
    assert [(stage.name, stage.rows) for stage in stages.done] == [("fit", 9), ("transform", 9), ("fit", 2)]
    first, second, third = stages.done
    assert first.start < first.end == second.start <= second.end == third.start <= third.end


def test_a_failed_run_is_recorded(tmp_path):
    record = tmp_path / "record.json"
    invoke("info", tmp_path / "a", "--record", record, code=2)
    kept = json.loads(record.read_text())
    assert (kept["exit_code"], kept["error"]["kind"], kept["stages"]) == (2, "ModelFileError", [])


def test_a_record_that_cannot_be_written_is_refused_before_the_work(folder, tmp_path):
    out = tmp_path / "e.parquet"
    arguments = ("transform", folder / "table.parquet", out, "--model", folder / "m.gpuvgm")
    assert "ends in .json" in invoke(*arguments, "--record", tmp_path / "r.txt", code=2).stderr
    assert "does not exist" in invoke(*arguments, "--record", tmp_path / "a" / "r.json", code=2).stderr
    assert not out.exists()


@contextmanager
def gateway():
    """What a push gateway is told, path and text."""
    told = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self):
            told.append((self.path, self.rfile.read(int(self.headers["Content-Length"])).decode()))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", told
        finally:
            server.shutdown()
            thread.join()


def test_figures_are_pushed(tmp_path):
    pytest.importorskip("prometheus_client")
    with gateway() as (url, told):
        invoke("generate", tmp_path / "a.parquet", "--rows", "1000", "--push-gateway", url)
    ((path, text),) = told
    assert path == "/metrics/job/gpuvgm/command/generate"
    assert "gpuvgm_run_rows 1000.0\n" in text
    assert 'gpuvgm_run_stage_seconds{stage="generate"}' in text
    assert "gpuvgm_run_exit_code 0.0" in text


def test_a_gateway_that_is_not_there_fails_no_run(tmp_path):
    pytest.importorskip("prometheus_client")
    result = invoke("generate", tmp_path / "a.parquet", "--rows", "10", "--push-gateway", "http://127.0.0.1:9")
    assert result.stderr.startswith("gpuvgm: the run's figures could not be pushed: ")


def test_without_its_package_nothing_is_begun(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    arguments = ("generate", tmp_path / "a.parquet", "--rows", "10", "--push-gateway", "http://127.0.0.1:9")
    assert 'pip install "gpuvgm[serve]"' in invoke(*arguments, code=3).stderr
    assert not (tmp_path / "a.parquet").exists()


def test_spans_of_run_and_stages(tmp_path, monkeypatch):
    telemetry = pytest.importorskip("opentelemetry.trace", reason="a dependency of newer versions of FastAPI")
    spans = []

    class Span(telemetry.NonRecordingSpan):
        def end(self, end_time=None):
            spans.append((self.name, self.start, end_time))

    class Tracer(telemetry.NoOpTracer):
        def start_span(self, name, start_time=None, **_):
            span = Span(telemetry.INVALID_SPAN_CONTEXT)
            span.name, span.start = name, start_time
            return span

    monkeypatch.setattr(telemetry, "get_tracer", lambda _: Tracer())
    invoke("generate", tmp_path / "a.parquet", "--rows", "10")
    (stage, begun, ended), (whole, start, end) = spans
    assert (stage, whole) == ("generate", "gpuvgm generate")
    assert start <= begun < ended <= end


def test_passwords_are_in_no_log_and_no_record(tmp_path):
    written = tmp_path / "record.json"
    arguments = ("fit", "https://me:hunter2@host/a.parquet", "--model", "m", "--record", written)
    told = invoke(*arguments, "--log-format", "json", code=2).stderr
    assert "hunter2" not in written.read_text() + told
    assert json.loads(written.read_text())["options"]["source"] == "https://me:***@host/a.parquet"


@pytest.mark.parametrize("answer", [b"no HTTP at all\r\n\r\n", b"HTTP/1.1 99999999 \r\n\r\n"])
def test_a_gateway_that_speaks_something_else_fails_no_run(tmp_path, answer):
    pytest.importorskip("prometheus_client")

    def nonsense(listening):
        connection, _ = listening.accept()
        with connection:
            connection.recv(1 << 16)
            connection.sendall(answer)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1 << 16):
                pass

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=nonsense, args=(listening,))
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        result = invoke("generate", tmp_path / "a.parquet", "--rows", "10", "--push-gateway", url)
        thread.join(30)
    assert "could not be pushed: no HTTP (BadStatusLine)" in result.stderr


def test_peak_memory_where_the_system_does_not_tell_all(tmp_path, monkeypatch):
    status = tmp_path / "status"
    status.write_text("Name:\tpython\nVmRSS:\t5 kB\n")
    monkeypatch.setattr(record, "_STATUS", status)
    assert record.peak_memory() > 2**20

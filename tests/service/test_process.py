"""`gpuvgm serve` as a process: a socket, a token, a signal."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import sys
import threading
from contextlib import closing, suppress

import numpy as np
import pytest

import gpuvgm.service
from gpuvgm import TableTransformer
from gpuvgm.cli.serve import token_of
from gpuvgm.errors import ColumnsFailed
from gpuvgm.service.models import load_models
from tests.cli.running import invoke, start
from tests.execution.distributed.working import wait_until
from tests.service.conftest import ARROW, TOKEN, stream_of, table_of


def test_a_process_serves_and_stops(folder, tmp_path):
    """Requests under way when SIGTERM comes are answered; then the process ends with exit code 0."""
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    arguments = ("--model", folder, "--port", "0", "--token-file", tmp_path / "token", "--log-format", "json", "--json")
    with start("serve", *arguments) as process:
        try:
            out = _answered_until_its_end(process)
        finally:
            process.kill()
    assert process.returncode == 0
    found = json.loads(out)
    assert found["models"] == ["one", "table"]
    assert found["requests"] >= 4


def _answered_until_its_end(process):
    port = int(re.search(r":(\d+)$", told(process, "serving"))[1])
    with closing(client_of(port)) as first, closing(client_of(port)) as other:
        _ask_until_the_end(process, first, other)
    assert process.wait(timeout=60) == 0
    return process.stdout.read()


def client_of(port):
    return http.client.HTTPConnection("127.0.0.1", port, timeout=60)


def _ask_until_the_end(process, first, other):
    rows = stream_of(table_of())
    headers = {"Content-Type": ARROW, "Authorization": f"Bearer {TOKEN}"}
    first.request("POST", "/v1/models/table/transform", rows, headers)
    check_whole(first.getresponse())
    first.putrequest("POST", "/v1/models/table/transform")
    for name, value in {**headers, "Content-Length": str(len(rows))}.items():
        first.putheader(name, value)
    first.endheaders()
    _ask_with_two_lengths(first.port, rows, headers)
    first.send(rows[:100])
    wait_until(lambda: b"gpuvgm_requests_in_flight 2.0" in ask(other, "/metrics", headers)[1], 60)
    process.send_signal(signal.SIGTERM)
    wait_until(lambda: ask(other, "/ready", {})[0] == 503, 60)
    first.send(rows[100:])
    check_whole(first.getresponse())


def _ask_with_two_lengths(port, rows, headers):
    """The body is as long as its pieces say, and nothing is read after it: RFC 9112, section 6.3."""
    lengths = {"Host": "x", "Content-Length": "5", "Transfer-Encoding": "chunked"}
    head = "".join(f"{name}: {value}\r\n" for name, value in {**headers, **lengths}.items())
    body = f"{len(rows):x}\r\n".encode() + bytes(rows) + b"\r\n0\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=60) as raw:
        raw.sendall(f"POST /v1/models/table/transform HTTP/1.1\r\n{head}\r\n".encode() + body)
        raw.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        with raw.makefile("rb") as answer:
            said = answer.read()
    assert said.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in said.partition(b"\r\n\r\n")[0].lower().splitlines()
    assert said.count(b"HTTP/1.1 ") == 1


def check_whole(response):
    assert (response.status, len(response.read())) == (200, int(response.headers["content-length"]))


def drop(lines):
    """Read to the end, or until the file is closed, which is earlier where the process is only just gone."""
    with suppress(ValueError):
        for _ in lines:
            pass


def told(process, begin):
    """The message of the first line of the log that begins so; what follows is read and dropped."""
    for line in process.stderr:
        message = json.loads(line)["message"]
        if message.startswith(begin):
            threading.Thread(target=drop, args=(process.stderr,), daemon=True).start()
            return message
    raise AssertionError(f"nothing begins with {begin}")


def ask(connection, path, headers):
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    return response.status, response.read()


def test_tokens(tmp_path, monkeypatch):
    assert token_of(None) is None
    monkeypatch.setenv("GPUVGM_TOKEN", f" {TOKEN}\n")
    assert token_of(None) == TOKEN
    (tmp_path / "token").write_text("a" * 20)
    assert token_of(tmp_path / "token") == "a" * 20
    for wrong in ("", "short", "a b" * 9, "ä" * 20):
        (tmp_path / "token").write_text(wrong)
        message = invoke("serve", "--model", tmp_path, "--token-file", tmp_path / "token", code=2).stderr
        assert "openssl rand -hex 32" in message
    assert "cannot be read" in invoke("serve", "--model", tmp_path, "--token-file", tmp_path / "no", code=2).stderr


def test_models_are_found_by_their_names(folder, tmp_path):
    assert list(load_models(folder)) == ["one", "table"]
    assert list(load_models(folder / "one")) == ["one"]
    assert list(load_models(folder / "table.gpuvgm")) == ["table"]
    assert "no model found" in invoke("serve", "--model", tmp_path, code=2).stderr
    assert "no such file or folder" in invoke("serve", "--model", tmp_path / "a", code=2).stderr
    (tmp_path / "m.gpuvgm").write_bytes((folder / "table.gpuvgm").read_bytes())
    (tmp_path / "m").symlink_to(folder / "one")
    assert 'two models are called "m"' in invoke("serve", "--model", tmp_path, code=2).stderr


def test_an_unfinished_fit_is_not_served(folder, tmp_path, caplog):
    """It lies beside the models, where `gpuvgm fit` left it."""
    transformer = TableTransformer(effort="research")
    with pytest.raises(ColumnsFailed):
        transformer.fit({"good": [0.5, 1.5, 2.5] * 9, "bad": [0.5, 1.5, np.inf] * 9})
    transformer.save(tmp_path / "half.unfinished.gpuvgm")
    (tmp_path / "m.gpuvgm").write_bytes((folder / "table.gpuvgm").read_bytes())
    assert list(load_models(tmp_path)) == ["m"]
    assert "half.unfinished.gpuvgm: not served" in caplog.text


def test_addresses_and_packages_that_are_not_there(folder, monkeypatch):
    arguments = ("serve", "--model", folder / "one")
    assert "cannot listen on 203.0.113.1 port 8080" in invoke(*arguments, "--host", "203.0.113.1", code=2).stderr
    assert "64 apples" in invoke(*arguments, "--max-bytes", "64 apples", code=2).stderr
    for name in [name for name in sys.modules if name.startswith("gpuvgm.service.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(vars(gpuvgm.service), "Service", raising=False)  # which the room's door keeps
    monkeypatch.setitem(sys.modules, "fastapi", None)
    assert 'pip install "gpuvgm[serve]"' in invoke(*arguments, code=3).stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_open_addresses_are_warned_of(folder, host, monkeypatch):
    monkeypatch.setattr("gpuvgm.service.server._serve", lambda *_: 0)
    result = invoke("serve", "--model", folder / "one", "--host", host, "--port", "0")
    assert f"anyone who can reach {host} can use the models" in result.stderr

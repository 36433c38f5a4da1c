"""Clients that are slow on purpose, by raw sockets, and whether others are answered meanwhile."""

from __future__ import annotations

import re
import socket
from contextlib import ExitStack, closing

import pytest

import gpuvgm
from tests.cli.running import start
from tests.service.conftest import ARROW, stream_of, table_of
from tests.service.test_process import ask, client_of, told, until

MOST = 300  # connections of the service
ROUNDS = 3  # in which every slow client sends one more byte
LATE = re.compile(rb"HTTP/1.1 408 .*the body arrived at less than 1024 bytes per second", re.DOTALL)
HALF = re.compile(rb"(HTTP/1.1 200 .*)?HTTP/1.1 408 |(HTTP/1.1 200 [^{]*{[^}]*})?$", re.DOTALL)  # or closed for others
GET = "GET /health HTTP/1.1\r\nHost: service\r\n"
POST = f"POST /v1/models/one/transform HTTP/1.1\r\nHost: service\r\nContent-Type: {ARROW}\r\n"


@pytest.fixture(scope="module")
def port(folder):
    """Of a process with room for two requests and 300 connections, that waits 2 s for a slow client."""
    settings = {"CONCURRENCY": 2, "CONNECTIONS": MOST, "CLIENT_TIMEOUT": 2, "MIN_RATE": 1024, "LOG_FORMAT": "json"}
    env = {f"GPUVGM_{name}": str(value) for name, value in settings.items()}
    with start("serve", "--model", folder, "--port", "0", env=env) as process:
        try:
            yield int(re.search(r":(\d+)$", told(process, "serving"))[1])
        finally:
            process.kill()


@pytest.fixture(scope="module")
def expected(folder):
    rows = table_of().select(["x"])
    model = gpuvgm.load(folder / "one").set_output(transform="pyarrow")
    return stream_of(rows), model.transform(rows)


def check_health(port):
    with closing(client_of(port)) as client:
        assert ask(client, "/health", {})[0] == 200


def check_rows(port, expected):
    rows, encoded = expected
    with closing(client_of(port)) as client:
        client.request("POST", "/v1/models/one/transform", rows, {"Content-Type": ARROW})
        response = client.getresponse()
        body = response.read()
        assert response.status == 200, body
        assert body == stream_of(encoded)


def attack(stack, port, heads):
    """Connections that send the beginning of a request each."""
    sockets = [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60)) for _ in heads]
    for one, head in zip(sockets, heads, strict=True):
        drip([one], head.encode())
    return sockets


def drip(sockets, piece=b"x"):
    for one in sockets:
        try:
            one.sendall(piece)
        except OSError:
            continue  # the service has closed it, as it may


def rest_of(one):
    """What the service says until it closes the connection."""
    pieces = []
    try:
        while piece := one.recv(1 << 16):
            pieces.append(piece)
    except ConnectionResetError:
        pass  # closed with bytes of ours unread
    return b"".join(pieces)


SLOW = [
    f"{POST}Content-Length: 5000\r\n\r\nx",
    f"{POST}Content-Length: {64 << 20}\r\n\r\n",
    f"{POST}Transfer-Encoding: chunked\r\n\r\n1388\r\nx",
    f"{POST}Transfer-Encoding: chunked\r\n\r\n5;a=x",
]


@pytest.mark.parametrize(
    ("count", "heads", "answer"),
    [
        pytest.param(200, SLOW, LATE, id="bodies"),
        pytest.param(500, [""], re.compile(b"$"), id="nothing"),
        pytest.param(500, [POST], HALF, id="heads"),
        pytest.param(500, [f"{GET}\r\n"], None, id="nothing after an answer"),
        pytest.param(500, [f"{GET}\r\n{GET}"], HALF, id="heads after an answer"),
        pytest.param(200, [f"{GET}Content-Length: 5000\r\n\r\n"], None, id="a body after its answer"),
    ],
)
def test_others_are_answered(port, expected, count, heads, answer):
    with ExitStack() as stack:
        sockets = attack(stack, port, [heads[i % len(heads)] for i in range(count)])
        for _ in range(ROUNDS):
            if heads != [""]:
                drip(sockets)
            check_health(port)
            check_rows(port, expected)
        if answer is not None:
            assert all(answer.match(rest_of(one)) for one in sockets)
    check_rows(port, expected)


def test_health_is_told_to_more_than_there_is_room_for(port, expected):
    """Where all connections are bodies under way, others are refused and health is told."""
    with ExitStack() as stack:
        sockets = attack(stack, port, SLOW[:1] * MOST)

        def is_full():
            sockets.extend(attack(stack, port, SLOW[:1] * 20))
            return refused_for_connections(port, expected[0])

        until(is_full)
        check_health(port)
        assert all(re.match(b"HTTP/1.1 (408|503) |$", rest_of(one)) for one in sockets)
    check_rows(port, expected)


def refused_for_connections(port, rows):
    with closing(client_of(port)) as client:
        client.request("POST", "/v1/models/one/transform", rows, {"Content-Type": ARROW})
        response = client.getresponse()
        return response.status == 503 and "too many open connections" in response.read().decode()

"""Sizes, times, numbers of requests, the token, and what is told of it all."""

from __future__ import annotations

import asyncio
import logging
import threading
import time

import httpx
import pyarrow as pa
import pytest

import gpuvgm
from gpuvgm.service import app
from gpuvgm.service.bodies import RowsResponse
from gpuvgm.service.limits import Deadline, Limits
from gpuvgm.service.work import Work
from gpuvgm.table.description import model_document
from tests.service.conftest import ARROW, TOKEN, error_of, stream_of, table_of

ROWS = stream_of(table_of().select(["x"]))
PATH = "/v1/models/one/transform"


def test_health_models_and_documents(client, folder):
    assert client("GET", "/health").json() == {"status": "ok", "version": gpuvgm.__version__}
    assert client("GET", "/ready").json() == {"status": "ready"}
    listed = client("GET", "/v1/models").json()["models"]
    assert [(model["name"], model["rows"]) for model in listed] == [("one", 300), ("table", 300)]
    assert listed[1]["columns"] == table_of().schema.names
    found = client("GET", "/v1/models/one").json()
    assert found["model"] == "one"
    fitted = gpuvgm.load(folder / "one")
    assert found["columns"].keys() == model_document(fitted.model_, fitted.schema_)["columns"].keys()
    assert error_of(client("GET", "/v1/models/two"), 404).startswith('no model "two"')
    assert error_of(client("GET", "/redoc"), 404)
    assert error_of(client("GET", PATH), 405)


def test_a_body_is_refused_while_it_is_read(made):
    """The first piece too many ends it, whatever length was claimed; nothing beyond it is taken."""
    taken = []

    async def pieces():
        for number in range(1000):
            taken.append(number)
            yield b"x" * 1000

    client = made(max_bytes=10_000)
    sent = client("POST", PATH, content=pieces(), headers={"content-type": ARROW})
    assert "more than 10000 bytes" in error_of(sent, 413)
    assert len(taken) < 15
    claimed = client.post("one/transform", b"", **{"content-length": "10001"})
    assert "more than 10000 bytes" in error_of(claimed, 413)
    assert client.app.gate.under_way == 0


def test_a_body_that_does_not_arrive(made):
    async def pieces():
        yield ROWS[:100]
        await asyncio.sleep(30)

    start = time.monotonic()
    response = made(timeout=0.2)("POST", PATH, content=pieces(), headers={"content-type": ARROW})
    assert "did not arrive within 0.2 s" in error_of(response, 408)
    assert time.monotonic() - start < 20


async def half_of_a_body(size, sent):
    yield bytes(size)
    sent.set()
    await asyncio.sleep(60)


def test_a_body_that_is_sent_slowly(made):
    client, sent = made(timeout=60, client_timeout=0.2, min_rate=5000), asyncio.Event()
    response = client("POST", PATH, content=half_of_a_body(900, sent), headers={"content-type": ARROW})
    assert "less than 5000 bytes per second" in error_of(response, 408)
    assert response.headers["connection"] == "close"
    unhurried = made(timeout=0.5, client_timeout=0.1, min_rate=0)
    response = unhurried("POST", PATH, content=half_of_a_body(900, sent), headers={"content-type": ARROW})
    assert "did not arrive within 0.5 s" in error_of(response, 408)


def test_bodies_have_room_together(made):
    """Large ones under way take the room of other large ones, not that of small ones, nor any slot."""
    client, most = made(max_bytes=1 << 20, concurrency=1, client_timeout=60), 1 << 20

    async def ask():
        sent = asyncio.Event()
        transport, headers = httpx.ASGITransport(client.app), {"content-type": ARROW}
        async with httpx.AsyncClient(transport=transport, base_url="http://service", timeout=60) as many:
            slow = asyncio.create_task(many.post(PATH, content=half_of_a_body(most - 1, sent), headers=headers))
            await sent.wait()
            large = await many.post(PATH, content=bytes(most - 1), headers=headers)
            small = await many.post(PATH, content=ROWS, headers=headers)
            slow.cancel()
            await asyncio.wait([slow])
            return large, small, await many.post(PATH, content=bytes(most - 1), headers=headers)

    large, small, later = asyncio.run(ask())
    assert "use all memory" in error_of(large, 429)
    assert small.status_code == 200
    assert "not a valid Arrow IPC stream" in error_of(later, 400)
    assert client.app.gate.idle


def test_answers_have_room_together(made):
    """An answer that its client is slow to take holds no slot, but memory."""
    client = made(max_bytes=1 << 17, concurrency=1, timeout=60)
    rows, path = stream_of(pa.table({"x": [1.0] * 14_000})), f"{PATH}?dtype=float64"

    async def ask():
        begun, let_go, first = asyncio.Event(), asyncio.Event(), []

        async def receive():
            return {"type": "http.request", "body": rows, "more_body": False}

        async def send(message):
            first.append(message)
            begun.set()
            await let_go.wait()

        headers = [(b"content-type", ARROW.encode())]
        scope = {"type": "http", "method": "POST", "path": PATH, "query_string": b"dtype=float64", "headers": headers}
        slow = asyncio.create_task(client.app(scope, receive, send))
        await begun.wait()
        async with httpx.AsyncClient(transport=httpx.ASGITransport(client.app), base_url="http://service") as many:
            refused = await many.post(path, content=rows, headers={"content-type": ARROW})
            small = await many.post(PATH, content=ROWS, headers={"content-type": ARROW})
            let_go.set()
            await slow
            return first, refused, small, await many.post(path, content=rows, headers={"content-type": ARROW})

    with client.app.gate.answers.share() as others:
        others.grow(client.app.gate.limits.answer_bytes - (1 << 15))
        first, refused, small, later = asyncio.run(ask())
    assert "use all memory" in error_of(refused, 429)
    assert [first[0]["status"], small.status_code, later.status_code] == [200, 200, 200]


def test_an_answer_that_nobody_takes(made, monkeypatch):
    """The work has all its time, which a loaded machine may need; of sending the rest is waited for 0.2 s."""
    client, sent, given = made(timeout=60), [], []

    def answer_for_a_moment(answer, seconds, held):
        given.append(seconds)
        return RowsResponse(answer, 0.2, held)

    monkeypatch.setattr(app, "RowsResponse", answer_for_a_moment)

    async def receive():
        return {"type": "http.request", "body": ROWS, "more_body": False}

    async def send(message):
        sent.append(message)
        if message["type"] == "http.response.body":
            await asyncio.sleep(30)

    headers = [(b"content-type", ARROW.encode())]
    scope = {"type": "http", "method": "POST", "path": PATH, "query_string": b"", "headers": headers}
    asyncio.run(client.app(scope, receive, send))
    assert given == [60]
    assert [message.get("status", 0) for message in sent] == [200, 0]
    assert client.app.gate.under_way == 0
    assert 'gpuvgm_requests_total{route="transform",status="499"} 1.0' in client("GET", "/metrics").text


@pytest.fixture
def held(monkeypatch):
    """Work that waits until it is let go."""
    let_go, begun, plain = threading.Event(), threading.Semaphore(0), Work.__call__

    def waiting(work, body):
        begun.release()
        assert let_go.wait(60)
        return plain(work, body)

    monkeypatch.setattr(Work, "__call__", waiting)
    yield let_go, begun
    let_go.set()


def test_work_that_takes_too_long_keeps_its_room(made, held):
    let_go, _ = held
    client = made(timeout=2, concurrency=1)
    assert "not finished within 2 s" in error_of(client.post("one/transform", ROWS), 504)
    assert client.app.gate.under_way == 1
    response = client.post("one/transform", ROWS)
    assert "try again" in error_of(response, 429)
    assert response.headers["retry-after"] == "1"
    let_go.set()
    deadline = time.monotonic() + 30
    while client.app.gate.under_way and time.monotonic() < deadline:
        time.sleep(0.01)
    assert client.app.gate.under_way == 0


def test_work_stops_after_a_block(made, models):
    late = Deadline(1.0, time.monotonic() - 1)
    work = Work(models["one"], None, ARROW, ARROW, Limits(), late)
    with pytest.raises(Exception, match="not finished within 1 s"):
        work(bytearray(ROWS))
    with pytest.raises(Exception, match="not finished within 1 s"):
        models["one"].reporting(late.check).transform(table_of())


def test_more_requests_than_there_may_be(made, held):
    let_go, begun = held
    client = made(concurrency=2, threads=1)

    async def ask():
        transport = httpx.ASGITransport(client.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service", timeout=60) as many:
            waiting = [
                asyncio.create_task(many.post(PATH, content=ROWS, headers={"content-type": ARROW})) for _ in "ab"
            ]
            while not begun.acquire(blocking=False):
                await asyncio.sleep(0.01)
            refused = await many.post(PATH, content=ROWS, headers={"content-type": ARROW})
            healthy = await many.get("/health")
            let_go.set()
            return refused, healthy, await asyncio.gather(*waiting)

    refused, healthy, answered = asyncio.run(ask())
    assert "the limit of 2 concurrent requests is reached" in error_of(refused, 429)
    assert healthy.status_code == 200
    assert [response.status_code for response in answered] == [200, 200]


def test_the_token(made):
    client = made(token=TOKEN)
    for headers in ({}, {"authorization": TOKEN}, {"authorization": f"Bearer {TOKEN}x"}, {"authorization": "Bearer "}):
        for path in ("/v1/models", "/metrics", "/nothing"):
            response = client("GET", path, headers=headers)
            assert "Authorization: Bearer TOKEN" in error_of(response, 401)
            assert response.headers["www-authenticate"] == "Bearer"
        assert client("GET", "/health", headers=headers).status_code == 200
        assert client("GET", "/ready", headers=headers).status_code == 200
    right = {"authorization": f"Bearer {TOKEN}"}
    assert client("GET", "/metrics", headers=right).status_code == 200
    assert client.post("one/transform", ROWS, **right).status_code == 200


def test_figures(made):
    client = made()
    client.post("one/transform", ROWS)
    client.post("one/inverse", b"", "text/plain")
    client.post("../../etc/transform", b"")
    client("GET", "/made-up-by-a-client")
    text = client("GET", "/metrics").text
    assert 'gpuvgm_requests_total{route="transform",status="200"} 1.0' in text
    assert 'gpuvgm_requests_total{route="inverse",status="415"} 1.0' in text
    assert 'gpuvgm_request_seconds_bucket{le="0.02",route="transform"}' in text
    assert 'gpuvgm_rows_total{model="one",route="transform"} 300.0' in text
    assert f'gpuvgm_received_bytes_total{{route="transform"}} {float(len(ROWS))}' in text
    assert "gpuvgm_requests_in_flight 1.0" in text
    assert "made-up" not in text


def test_a_stopping_service(made):
    client = made()
    client.app.gate.stopping = True
    assert client("GET", "/ready").status_code == 503
    assert client("GET", "/health").status_code == 200
    assert "is stopping" in error_of(client.post("one/transform", ROWS), 503)


def test_defects_are_logged_and_not_told(made, monkeypatch, caplog):
    def broken(*_):
        raise RuntimeError("a secret of /etc/shadow")

    monkeypatch.setattr(Work, "__call__", broken)
    with caplog.at_level(logging.INFO, "gpuvgm.service"):
        response = made().post("one/transform", ROWS)
    assert error_of(response, 500) == "internal error; see the log of the service"
    defect, request = caplog.records
    assert "secret" in defect.message
    assert defect.exc_info is not None
    assert (request.route, request.status, request.bytes_in) == ("transform", 500, len(ROWS))


def test_memory_that_runs_out(made, monkeypatch):
    def full(*_):
        raise pa.ArrowMemoryError("malloc of size 9 failed")

    monkeypatch.setattr(Work, "__call__", full)
    assert "out of memory" in error_of(made().post("one/transform", ROWS), 503)

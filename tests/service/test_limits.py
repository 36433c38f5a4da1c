"""Sizes, times, numbers of requests, the token, and what is told of it all."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from unittest.mock import Mock

import pyarrow as pa
import pytest

import gpuvgm
from gpuvgm.service.bodies import PIECE_BYTES
from gpuvgm.service.limits import Deadline, Limits
from gpuvgm.service.work import Work
from tests.service.conftest import ARROW, TOKEN, error_of, stream_of, table_of

ROWS = stream_of(table_of().select(["x"]))
PATH = "/v1/models/one/transform"
HEADERS = {"content-type": ARROW}


def test_health_models_and_documents(client, folder):
    assert client("GET", "/health").json() == {"status": "ok", "version": gpuvgm.__version__}
    assert client("GET", "/ready").json() == {"status": "ready"}
    listed = client("GET", "/v1/models").json()["models"]
    assert [(model["name"], model["rows"]) for model in listed] == [("one", 300), ("table", 300)]
    assert listed[1]["columns"] == table_of().schema.names
    found = client("GET", "/v1/models/one").json()
    assert found["model"] == "one"
    fitted = gpuvgm.load(folder / "one")
    assert found["columns"].keys() == fitted.model_.describe()["columns"].keys()
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
    sent = client("POST", PATH, content=pieces(), headers=HEADERS)
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
    response = made(timeout=0.2)("POST", PATH, content=pieces(), headers=HEADERS)
    assert "did not arrive within 0.2 s" in error_of(response, 408)
    assert time.monotonic() - start < 20


def test_a_request_counts_from_its_head_to_the_end_of_its_answer(made):
    """Its client may be slow to send the body, and to take the answer, which is handed on in pieces."""
    client = made(concurrency=1, timeout=60)
    begun, sent, let_go = asyncio.Event(), asyncio.Event(), asyncio.Event()
    rows = stream_of(pa.table({"x": [1.0] * 40_000}))
    bodies = [{"type": "http.request", "body": rows[:100], "more_body": True}]
    bodies.append({"type": "http.request", "body": rows[100:], "more_body": False})
    answers = []

    async def receive():
        begun.set()
        if len(bodies) == 1:
            await sent.wait()
        return bodies.pop(0)

    async def send(message):
        answers.append(message)
        begun.set()
        await let_go.wait()

    async def ask():
        slow = asyncio.create_task(client.answer(PATH, receive, send, b"dtype=float64"))
        answered = []
        async with client.many() as many:
            for go_on in (sent, let_go):
                await begun.wait()
                begun.clear()
                answered.append(await many.post(PATH, content=ROWS, headers=HEADERS))
                go_on.set()
            await slow
            answered.append(await many.post(PATH, content=ROWS, headers=HEADERS))
        return answered

    *refused, later = asyncio.run(ask())
    assert all("limit of 1 concurrent requests is reached" in error_of(one, 429) for one in refused)
    assert [later.status_code, answers[0]["status"], client.app.gate.under_way] == [200, 200, 0]
    sizes = [len(message["body"]) for message in answers[1:]]
    assert len(sizes) > 2
    assert max(sizes) == PIECE_BYTES


def test_an_answer_that_nobody_takes(made):
    client = made()

    async def receive():
        return {"type": "http.request", "body": ROWS, "more_body": False}

    async def send(message):
        if message["type"] == "http.response.body":
            raise OSError("the connection is gone")

    asyncio.run(client.answer(PATH, receive, send))
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

    async def ask():
        async with client.many() as many:
            late, refused = [await many.post(PATH, content=ROWS, headers=HEADERS) for _ in range(2)]
            assert client.app.gate.under_way == 1
            let_go.set()
            deadline = time.monotonic() + 30
            while client.app.gate.under_way and time.monotonic() < deadline:
                await asyncio.sleep(0.01)
            return late, refused

    late, refused = asyncio.run(ask())
    assert "not finished within 2 s" in error_of(late, 504)
    assert "try again" in error_of(refused, 429)
    assert refused.headers["retry-after"] == "1"
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
        async with client.many() as many:
            waiting = [asyncio.create_task(many.post(PATH, content=ROWS, headers=HEADERS)) for _ in "ab"]
            while not begun.acquire(blocking=False):
                await asyncio.sleep(0.01)
            refused = await many.post(PATH, content=ROWS, headers=HEADERS)
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
    monkeypatch.setattr(Work, "__call__", Mock(side_effect=RuntimeError("a secret of /etc/shadow")))
    with caplog.at_level(logging.INFO, "gpuvgm.service"):
        response = made().post("one/transform", ROWS)
    assert error_of(response, 500) == "internal error; see the log of the service"
    defect, request = caplog.records
    assert "secret" in defect.message
    assert defect.exc_info is not None
    assert (request.route, request.status, request.bytes_in) == ("transform", 500, len(ROWS))


def test_memory_that_runs_out(made, monkeypatch):
    monkeypatch.setattr(Work, "__call__", Mock(side_effect=pa.ArrowMemoryError("malloc of size 9 failed")))
    assert "out of memory" in error_of(made().post("one/transform", ROWS), 503)

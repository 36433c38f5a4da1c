"""Two small models, and a client of the service that holds them."""

from __future__ import annotations

import asyncio
import datetime as dt
from decimal import Decimal

import httpx
import numpy as np
import pyarrow as pa
import pytest

import gpuvgm
from gpuvgm.service.app import create_app
from gpuvgm.service.limits import Limits
from gpuvgm.service.models import load_models

ARROW, JSON = "application/vnd.apache.arrow.stream", "application/json"
TOKEN = "0123456789abcdef"
ROWS = 300


def table_of(rows=ROWS):
    draws = np.random.default_rng(5)
    day = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    return pa.table(
        {
            "x": draws.lognormal(3, 1, rows),
            "n": pa.array(draws.integers(0, 900, rows), mask=draws.random(rows) < 0.2),
            "colour": np.tile(["red", "grün", "blue"], rows // 3),
            "price": pa.array(
                [Decimal(int(cents)) / 100 for cents in draws.integers(0, 9999, rows)], pa.decimal128(8, 2)
            ),
            "when": pa.array(
                [day + dt.timedelta(minutes=int(m)) for m in draws.integers(0, 500_000, rows)],
                pa.timestamp("us", "UTC"),
            ),
            "took": pa.array(draws.integers(0, 10**6, rows), pa.duration("ms")),
        }
    )


def stream_of(table, **options):
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def table_from(response):
    return pa.ipc.open_stream(response.content).read_all()


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    settings = {"effort": "research", "n_components": 3, "max_iter": 10, "tails": "exact"}
    gpuvgm.TableTransformer(**settings).fit(table_of()).save(folder / "table.gpuvgm")
    gpuvgm.TableTransformer(**settings).fit(table_of().select(["x"])).save(folder / "one")
    (folder / "notes.txt").write_text("no model")
    return folder


@pytest.fixture(scope="session")
def models(folder):
    return load_models(folder)


class Client:
    """Requests to an application in this process."""

    def __init__(self, app):
        self.app = app

    def many(self):
        """A client for requests side by side."""
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://service", timeout=60)

    def __call__(self, method, path, **request):
        async def ask():
            async with self.many() as client:
                return await client.request(method, path, **request)

        return asyncio.run(ask())

    async def answer(self, path, receive, send, query=b""):
        """Answer one request whose messages a test receives and sends itself."""
        headers = [(b"content-type", ARROW.encode())]
        scope = {"type": "http", "method": "POST", "path": path, "query_string": query, "headers": headers}
        await self.app({**scope, "asgi": {"spec_version": "2.4"}}, receive, send)

    def post(self, path, body, kind=ARROW, **headers):
        return self("POST", f"/v1/models/{path}", content=body, headers={"content-type": kind, **headers})


@pytest.fixture(scope="session")
def client(models):
    client = Client(create_app(models, Limits(max_bytes=1 << 20, timeout=60, concurrency=2, threads=1)))
    yield client
    client.app.gate.close()


@pytest.fixture
def made(models):
    """Clients of services with other limits."""
    clients = []

    def make(token=None, **limits):
        clients.append(Client(create_app(models, Limits(**{"threads": 1, "concurrency": 2, **limits}), token)))
        return clients[-1]

    yield make
    for client in clients:
        client.app.gate.close()


def error_of(response, status):
    assert response.status_code == status, response.text[:300]
    error = response.json()["error"]
    assert error.keys() == {"type", "message"}
    assert "Traceback" not in error["message"]
    return error["message"]

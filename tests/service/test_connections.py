"""Connections that say nothing are closed, and never keep others from an answer."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest
from uvicorn.server import ServerState

from gpuvgm.service import server
from gpuvgm.service.app import create_app

HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def config(models, monkeypatch):
    """The settings with which a process serves that may open ten files."""
    monkeypatch.setattr(server.resource, "getrlimit", lambda _: (10, 10))
    configs = []
    monkeypatch.setattr(server.Server, "run", lambda self, _: configs.append(self.config))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server._serve(models, listener, create_app(models), str)
    configs[0].load()
    return configs[0]


async def connect(stack, port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    stack.push_async_callback(writer.wait_closed)
    stack.callback(writer.close)
    return reader, writer


async def open_connections(config, stack, count):
    """A server, and connections to it that say nothing."""
    state = ServerState()
    made = await asyncio.get_running_loop().create_server(
        lambda: config.http_protocol_class(config=config, server_state=state, app_state={}), "127.0.0.1", 0
    )
    stack.callback(made.close)
    port = made.sockets[0].getsockname()[1]
    return state, [await connect(stack, port) for _ in range(count)], port


async def ask(reader, writer):
    """The status of /health."""
    writer.write(HEALTH)
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
    await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r")[0]))
    return head.split()[1]


def test_silent_connections_make_room_for_others(config):
    async def scenario():
        async with contextlib.AsyncExitStack() as stack:
            state, silent, port = await open_connections(config, stack, 5)
            assert await ask(*silent[0]) == b"200"
            others = [await connect(stack, port) for _ in range(3)]
            assert [await ask(*other) for other in others] == [b"200"] * 3
            assert [await asyncio.wait_for(silent[place][0].read(), 30) for place in (1, 2, 3)] == [b""] * 3
            assert await ask(*silent[0]) == await ask(*silent[4]) == b"200"
            assert len(state.connections) == 5

    asyncio.run(scenario())


def test_a_head_that_does_not_arrive_is_not_waited_for(config, monkeypatch):
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.1)
    monkeypatch.setattr(server, "KEEP_ALIVE_SECONDS", 0.1)

    async def scenario():
        async with contextlib.AsyncExitStack() as stack:
            state, (silent, begun, again), _ = await open_connections(config, stack, 3)
            begun[1].write(HEALTH[:20])
            assert await ask(*again) == b"200"
            again[1].write(HEALTH[:20])
            for reader, _ in (silent, begun, again):
                assert await asyncio.wait_for(reader.read(), 30) == b""
            assert not state.connections

    asyncio.run(scenario())

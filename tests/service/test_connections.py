"""When a connection is closed, and how many files there may be."""

from __future__ import annotations

import resource
import socket
from contextlib import ExitStack
from unittest.mock import Mock

import h11
import pytest
import uvicorn
from uvicorn.server import ServerState

from gpuvgm.service import connections as watched
from gpuvgm.service import server
from gpuvgm.service.connections import SPARE, Connection, Connections
from gpuvgm.service.limits import Limits

LIMITS = Limits(connections=3, client_timeout=5.0, timeout=50.0)


@pytest.fixture
def clock(monkeypatch):
    clock = Mock()
    clock.monotonic.return_value = 0.0
    monkeypatch.setattr(watched, "time", clock)
    return clock.monotonic


@pytest.fixture
def opened(clock):
    """Opens connections of one service; `said` are bytes of a client that the service has not read."""
    everything = Connections(LIMITS)
    config = uvicorn.Config(Mock(), log_config=None)
    sockets = ExitStack()

    def make(said=b""):
        connection = Connection(everything, config=config, server_state=ServerState(), app_state={}, _loop=Mock())
        transport = Mock()
        transport.is_closing.return_value = False
        ours, theirs = map(sockets.enter_context, socket.socketpair())
        theirs.sendall(said)
        transport.get_extra_info.side_effect = {"socket": ours}.get
        connection.connection_made(transport)
        return connection

    with sockets:
        yield make


def test_connections_that_are_late_are_closed(opened, clock):
    silent, half, kept, draining, busy, stuck = (opened() for _ in range(6))
    half.data_received(b"GET")
    kept.cycle = draining.cycle = Mock(response_complete=True)
    busy.cycle = Mock(response_complete=False)
    draining.conn = Mock(their_state=h11.SEND_BODY)
    stuck.transport.is_closing.return_value = True
    closed = []
    for now in (1.0, 5.5, 7.0, 52.0):
        clock.return_value = now
        for name, one in {"silent": silent, "half": half, "kept": kept, "draining": draining, "busy": busy}.items():
            one.close_if_late(LIMITS)
            if one.transport.close.called and name not in closed:
                closed.append(name)
                one.transport.is_closing.return_value = True
        stuck.close_if_late(LIMITS)
        assert stuck.transport.abort.called == (now > 6)
    assert closed == ["silent", "half", "draining"]
    assert [one.transport.write.called for one in (silent, half, draining)] == [False, True, False]


def test_those_who_wait_longest_make_room(opened, clock):
    busy, oldest, younger = opened(), opened(), []
    busy.cycle = Mock(response_complete=False)
    for number in range(SPARE + 2):
        clock.return_value = number + 1.0
        younger.append(opened())
    assert oldest.transport.abort.called
    assert not busy.transport.abort.called
    assert not younger[-1].transport.abort.called


def test_the_newest_are_let_in_where_all_others_are_busy_for_a_moment(opened, clock):
    for one in (opened() for _ in range(LIMITS.connections + SPARE)):
        one.cycle = Mock(response_complete=False)
    newest = []
    for number in range(SPARE + 1):
        clock.return_value = number + 1.0
        newest.append(opened())
    assert [one.transport.abort.called for one in newest] == [True] + [False] * SPARE


def test_who_has_asked_waits_for_the_service(opened, clock):
    asked, silent = opened(b"GET"), [opened() for _ in range(LIMITS.connections + SPARE - 1)]
    clock.return_value = 1.0
    opened()
    assert sum(one.transport.abort.called for one in silent) == 3
    assert not asked.transport.abort.called
    clock.return_value = 7.0
    for one in (asked, silent[-1]):
        one.close_if_late(LIMITS)
    assert silent[-1].transport.close.called
    assert not asked.transport.close.called


def test_a_service_asks_for_files(monkeypatch, caplog):
    asked = []
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: asked.append(limits))
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))
    assert server._open_files_for(1000) == 1000
    assert asked == [(1160, 4096)]
    assert server._open_files_for(100) == 100
    assert not caplog.records
    assert server._open_files_for(5000) == 4096 - 160
    assert "raise ulimit -n" in caplog.text

"""What is tried again, how often and when."""

from __future__ import annotations

import errno
import http.client
import logging

import aiohttp
import botocore.exceptions
import pytest

from gpuvgm.config import RETRIES, Retries
from gpuvgm.errors import EnvironmentProblem
from gpuvgm.io import remote as retries
from gpuvgm.io.remote import ShortRead, delay_after, passes, persistently


def answer(status, code="Code"):
    response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return botocore.exceptions.ClientError(response, "GetObject")


def caused(problem, cause):
    problem.__cause__ = cause
    return problem


class Answered(Exception):
    """As the clients of other stores raise them."""

    def __init__(self, **status):
        super().__init__("answer")
        vars(self).update(status)


@pytest.mark.parametrize(
    "problem",
    [
        *map(answer, (408, 429, 500, 502, 503, 504)),
        caused(OSError(errno.EIO, "SlowDown"), answer(503)),
        OSError(errno.EBUSY, "SlowDown"),
        ConnectionResetError(),
        TimeoutError(),
        http.client.IncompleteRead(b""),
        ShortRead("3 of 7 bytes came"),
        aiohttp.ServerDisconnectedError(),
        aiohttp.ClientPayloadError(),
        botocore.exceptions.ConnectionClosedError(endpoint_url="x"),
        botocore.exceptions.EndpointConnectionError(endpoint_url="x"),
        botocore.exceptions.ReadTimeoutError(endpoint_url="x"),
        Answered(status=503),
        Answered(status_code=429),
        Answered(code=500),
    ],
    ids=repr,
)
def test_what_passes(problem):
    assert passes(problem)


@pytest.mark.parametrize(
    "problem",
    [
        *map(answer, (400, 401, 403, 404, 416, 501)),
        caused(FileNotFoundError("NoSuchKey"), answer(404)),
        PermissionError("AccessDenied"),
        OSError(errno.ENOSPC, "No space left on device"),
        botocore.exceptions.NoCredentialsError(),
        Answered(code="500"),
        ValueError("a defect"),
    ],
    ids=repr,
)
def test_what_lasts(problem):
    assert not passes(problem)
    calls = []
    with pytest.raises(type(problem)) as raised:
        persistently(failing(calls, problem, 9), "x: reading")
    assert raised.value is problem and len(calls) == 1


def failing(calls, problem, times):
    def action():
        calls.append(None)
        if len(calls) <= times:
            raise problem
        return "done"

    return action


@pytest.mark.parametrize("times", [0, 1, 5])
def test_what_passes_is_tried_again_and_logged(times, monkeypatch, caplog):
    slept, calls = [], []
    monkeypatch.setattr(retries.time, "sleep", slept.append)
    with caplog.at_level(logging.INFO, logger="gpuvgm"):
        assert persistently(failing(calls, answer(503, "SlowDown"), times), "s3://b/k: reading", RETRIES) == "done"
    assert len(slept) == len(caplog.records) == times
    assert all(0.05 * 2**n <= seconds <= 0.1 * 2**n for n, seconds in enumerate(slept))
    for number, record in enumerate(caplog.records, 1):
        assert record.levelname == "INFO"
        assert f"s3://b/k: reading failed (attempt {number} of 6, ClientError: " in record.getMessage()


def test_giving_up_names_place_attempts_and_reason():
    calls = []
    with pytest.raises(EnvironmentProblem, match=r"^s3://b/k: reading failed 3 times, at last with ConnectionResetErr"):
        persistently(failing(calls, ConnectionResetError(), 9), "s3://b/k: reading", Retries(3, 0, 0))
    assert len(calls) == 3


def test_no_delay_is_longer_than_the_longest():
    assert 5 <= delay_after(20, RETRIES) <= 10
    assert len({delay_after(3, RETRIES) for _ in range(9)}) > 1

"""Files of stores as seekable files, in few requests and bounded memory; what is tried again, how often and when."""

from __future__ import annotations

import errno
import http.client
import io
import logging
import random
import threading
import time
from collections import Counter

import aiohttp
import botocore.exceptions
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gpuvgm
from gpuvgm.errors import EnvironmentProblem, SourceChangedError
from gpuvgm.io import open_source, remote
from gpuvgm.io.remote import RETRIES, RangeReader, Retries, ShortRead, delay_after, passes, persistently
from tests.io.conftest import rows_of

MIB = 1 << 20
BODY = random.Random(0).randbytes(5 * MIB)


class Fetch:
    def __init__(self, body=BODY):
        self.body, self.spans = body, []

    def __call__(self, start, stop):
        self.spans.append((start, stop))
        return self.body[start:stop]


def held(reader):
    return sum(stop - first for first, stop, _ in reader._requests)


def test_any_reads_give_what_a_file_gives():
    reader, file, draws = RangeReader(Fetch(), len(BODY)), io.BytesIO(BODY), random.Random(1)
    for _ in range(300):
        offset, size = draws.randrange(len(BODY) + 100), draws.choice([0, 1, 1000, 300_000])
        whence = draws.choice([io.SEEK_SET, io.SEEK_CUR, io.SEEK_END])
        offset = -offset if whence == io.SEEK_END else offset // 2
        if whence == io.SEEK_END and -offset > len(BODY):
            continue
        assert reader.seek(offset, whence) == file.seek(offset, whence) == reader.tell()
        assert reader.read(size) == file.read(size)
    reader.seek(10)
    assert reader.read() == BODY[10:]
    assert reader.read(1) == b""
    reader.seek(3)
    buffer = bytearray(7)
    assert reader.readinto(buffer) == 7 and bytes(buffer) == BODY[3:10]


def test_reading_on_takes_ever_larger_requests(monkeypatch):
    fetch = Fetch(bytes(40 * MIB))
    reader = RangeReader(fetch, len(fetch.body))
    while reader.read(100_000):
        assert held(reader) <= 16 * MIB
    assert [(stop - start) // MIB for start, stop in sorted(fetch.spans)] == [1, 2, 4, 8, 8, 8, 8, 1]


def test_small_chunks_beside_each_other_come_together():
    fetch = Fetch()
    reader = RangeReader(fetch, len(BODY))
    chunks = [(1000 + 10_000 * i, 11_000 + 10_000 * i) for i in range(20)]
    reader.expect([chunks[:10], [*chunks[10:], (3 * MIB, 3 * MIB + 50)]])
    for at in range(0, 10_000, 2500):
        for start, _ in chunks:
            reader.seek(start + at)
            assert reader.read(2500) == BODY[start + at : start + at + 2500]
    assert [request.result() for request in reader._requests.values()] == [BODY[3 * MIB : 3 * MIB + 50]]
    assert fetch.spans == [(1000, 201_000), (3 * MIB, 3 * MIB + 50)]  # the last one ahead of time
    assert held(reader) == 50


def test_chunks_side_by_side_are_each_fetched_once_in_bounded_memory(monkeypatch):
    monkeypatch.setattr(remote, "HELD_BYTES", 256 << 10)
    monkeypatch.setattr(remote, "FIRST_BYTES", 16 << 10)
    monkeypatch.setattr(remote, "WINDOW_BYTES", 128 << 10)
    fetch, most = Fetch(), 0
    reader = RangeReader(fetch, len(BODY))
    chunks = [(i << 19, (i + 1) << 19) for i in range(8)]
    reader.expect([chunks])
    for at in range(0, 1 << 19, 4096):
        for start, _ in chunks:
            reader.seek(start + at)
            assert reader.read(4096) == BODY[start + at : start + at + 4096]
            most = max(most, held(reader))
    assert sum(stop - start for start, stop in fetch.spans) == 8 << 19
    assert most <= (256 + 2 * 128) << 10
    assert len(fetch.spans) == 8 * (1 << 19) // (16 << 10)


def test_the_next_window_comes_while_the_last_one_is_worked_on():
    started, released = threading.Event(), threading.Event()

    def fetch(start, stop):
        if start:
            started.set()
            assert released.wait(10)
        return BODY[start:stop]

    reader = RangeReader(fetch, len(BODY))
    reader.expect([[(0, MIB)], [(2 * MIB, 3 * MIB)], [(4 * MIB, 5 * MIB)]])
    assert reader.read(10) == BODY[:10]
    assert started.wait(10)
    released.set()
    reader.seek(2 * MIB)
    assert reader.read(10) == BODY[2 * MIB :][:10]


def test_columns_read_backwards_are_fetched_once():
    fetch = Fetch()
    reader = RangeReader(fetch, len(BODY))
    chunks = [(MIB * i, MIB * i + 5000) for i in range(4)]
    reader.expect([chunks])
    for start, _ in reversed(chunks):
        reader.seek(start)
        assert reader.read(5000) == BODY[start : start + 5000]
    assert sorted(fetch.spans) == chunks


def test_a_failure_ahead_of_time_is_told_when_the_bytes_are_wanted():
    def fetch(start, stop):
        if start:
            raise ZeroDivisionError
        return BODY[start:stop]

    reader = RangeReader(fetch, len(BODY))
    reader.expect([[(0, MIB)], [(2 * MIB, 3 * MIB)]])
    assert reader.read(MIB) == BODY[:MIB]
    reader.seek(2 * MIB)
    with pytest.raises(ZeroDivisionError):
        reader.read(1)


@pytest.mark.parametrize("place", [0, 2 * MIB, 5 * MIB - 1])
def test_what_was_not_expected_is_read_all_the_same(place):
    reader = RangeReader(Fetch(), len(BODY))
    reader.expect([[(MIB, MIB + 100)]])
    reader.seek(place)
    assert reader.read(500) == BODY[place : place + 500]


FILES, ROWS = 120, 50
MANY = "counted:///many"


class Requests:
    """What a store in memory was asked, and how many at a time."""

    def __init__(self):
        self.lock, self.delay = threading.Lock(), 0.0
        self.forget()

    def forget(self):
        self.log, self.now, self.most = [], 0, 0

    def __call__(self, kind, path, start=None, stop=None):
        with self.lock:
            self.log.append((kind, path, start, stop))
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(self.delay)
        with self.lock:
            self.now -= 1

    def counts(self):
        return dict(Counter(kind for kind, *_ in self.log))

    def spans(self):
        return [(start, stop) for kind, _, start, stop in self.log if kind == "read"]


@pytest.fixture
def requests():
    """The requests that a store gets whose URLs begin with counted://."""
    fsspec = pytest.importorskip("fsspec")
    from fsspec.implementations.memory import MemoryFileSystem

    noted = Requests()

    class Counted(MemoryFileSystem):
        protocol, cacheable = "counted", False
        store, pseudo_dirs = {}, [""]
        told, other = ("name", "size", "type", "ETag"), {}  # what a listing tells, and what it tells otherwise

        @classmethod
        def _strip_protocol(cls, path):
            return MemoryFileSystem._strip_protocol(path.replace("counted://", "memory://"))

        def unstrip_protocol(self, name):
            return f"counted://{name}"

        def info(self, path, **options):
            noted("ask", path)
            return self.described(path, **options)

        def described(self, path, **options):
            said = super().info(path, **options)
            return said if said["type"] == "directory" else {**said, "ETag": f'"{said["created"].timestamp()}"'}

        def find(self, path, maxdepth=None, withdirs=False, detail=False, **_):
            noted("list", path)
            names = sorted(name for name in self.store if name.startswith(f"{path.rstrip('/')}/"))
            found = {name: {**self.described(name), **self.other} for name in names}
            return {name: {key: one[key] for key in self.told} for name, one in found.items()}

        def cat_file(self, path, start=None, end=None, **_):
            noted("read", path, start, end)
            return self.held(path).getvalue()[start:end]

        def held(self, path):
            if path not in self.store:
                raise FileNotFoundError(path)
            return self.store[path]

    fsspec.register_implementation("counted", Counted, clobber=True)
    remote.KEPT.clear()
    noted.system = Counted
    yield noted
    remote.KEPT.clear()


def parquet(rows, number=0):
    draws, body = np.random.default_rng(number), io.BytesIO()
    pq.write_table(pa.table({"x": draws.normal(size=rows), "n": draws.integers(0, 9, rows)}), body, compression="none")
    return body.getvalue()


def put(requests, name, body):
    requests.system().pipe_file(f"/{name}", body)
    requests.forget()


@pytest.fixture
def many(requests, tmp_path):
    """The same small files in the store and in a folder of this machine."""
    for number in range(FILES):
        body = parquet(ROWS, number)
        put(requests, f"many/{number:03}.parquet", body)
        (tmp_path / "many").mkdir(exist_ok=True)
        (tmp_path / "many" / f"{number:03}.parquet").write_bytes(body)
    return tmp_path / "many"


def test_many_small_files_are_listed_once_and_each_is_fetched_once(requests, many):
    source = open_source(MANY)
    assert requests.counts() == {"ask": 1, "list": 1, "read": FILES}
    requests.forget()
    assert rows_of(source).equals(rows_of(many))
    assert requests.counts() == {"list": 1}  # whether any was changed
    requests.forget()
    gpuvgm.TableTransformer(effort="research").fit(source)
    assert set(requests.counts()) == {"list"}


def test_files_that_a_pattern_stands_for_are_not_asked_for_one_by_one(requests, many):
    assert rows_of(f"{MANY}/*.parquet").equals(rows_of(many))
    assert requests.counts() == {"ask": 1 + 3, "list": 2, "read": FILES}  # 3 whether the folder is a table's of a lake


def test_more_than_is_kept_is_fetched_once_a_scan(requests, many, monkeypatch):
    monkeypatch.setattr(remote, "KEPT_BYTES", 20 * len(parquet(ROWS)))
    source = open_source(MANY)
    requests.forget()
    assert rows_of(source).equals(rows_of(many))
    assert requests.counts() == {"list": 1, "read": FILES}
    assert remote.KEPT._bytes <= remote.KEPT_BYTES
    assert remote.KEPT._bytes == sum(size for size, _ in remote.KEPT._ranges.values())


def test_small_files_are_fetched_side_by_side(requests, many):
    requests.delay = 0.005
    source = open_source(MANY)
    assert 2 < requests.most <= remote.SMALL_AT_ONCE
    remote.KEPT.clear()
    requests.forget()
    rows_of(source)
    assert 2 < requests.most <= remote.SMALL_AT_ONCE + 1


def test_one_of_many_that_is_replaced_is_named(requests, many):
    source = open_source(MANY)
    put(requests, "many/077.parquet", parquet(ROWS, 7))
    with pytest.raises(SourceChangedError, match=r"^counted:///many/077.parquet: the file was changed"):
        rows_of(source)
    source = open_source(MANY)
    assert sum(rows_of(source)["n"].to_pylist()) == sum(sum(part.to_pylist()) for part in rows_of(MANY)["n"].chunks)
    remote.KEPT.clear()
    put(requests, "many/033.parquet", parquet(1))
    with pytest.raises(SourceChangedError, match=r"^counted:///many/033.parquet: the file was changed"):
        rows_of(source)
    requests.system().rm_file("/many/033.parquet")
    with pytest.raises(SourceChangedError, match=r"^counted:///many/033.parquet: the file was removed"):
        rows_of(source)


@pytest.mark.parametrize(
    ("told", "other"), [(("name", "type"), {}), (("name", "type", "size", "mtime"), {"mtime": "yesterday"})]
)
def test_a_store_whose_listing_tells_no_versions_is_asked_file_by_file(requests, many, monkeypatch, told, other):
    monkeypatch.setattr(requests.system, "told", told)
    monkeypatch.setattr(requests.system, "other", other)
    assert rows_of(MANY).equals(rows_of(many))
    assert requests.counts()["ask"] > FILES
    put(requests, "many/000.parquet", parquet(ROWS, 9))
    assert not rows_of(MANY).equals(rows_of(many))


def test_a_folder_in_memory_is_read_again(many):
    fsspec = pytest.importorskip("fsspec")
    for path in sorted(many.iterdir())[:5]:
        fsspec.filesystem("memory").pipe_file(f"/listed-again/{path.name}", path.read_bytes())
    source = open_source("memory://listed-again")  # its listing has times as text
    assert rows_of(source).equals(rows_of(source))


def test_one_of_few_files_is_compared_before_and_after(requests):
    put(requests, "one.parquet", parquet(ROWS))
    rows_of("counted:///one.parquet")
    assert requests.counts() == {"ask": 3, "read": 1}


def test_larger_files_are_opened_by_their_end_and_fetched_as_a_whole_when_they_are_read(requests):
    body = parquet(50_000)
    assert remote.SMALL_BYTES < len(body) <= remote.FIRST_BYTES
    for number in range(5):
        put(requests, f"some/{number}.parquet", body)
    source = open_source("counted:///some")
    assert requests.spans() == [(len(body) - remote.GAP_BYTES, len(body))] * 5
    requests.forget()
    rows_of(source)
    assert requests.spans() == [(0, len(body))] * 5


def test_many_small_csv_files_are_fetched_once_side_by_side(requests):
    for number in range(40):
        put(requests, f"texts/{number:02}.csv", b"x,y\n" + b"".join(b"%d,%d.5\n" % (number, i) for i in range(30)))
    requests.delay = 0.005
    table = rows_of("counted:///texts", ["x", "y"])
    assert requests.counts() == {"ask": 1, "list": 2, "read": 40}
    assert requests.most > 2
    assert table["x"].to_pylist() == [number for number in range(40) for _ in range(30)]


@pytest.mark.parametrize("rows", [1000, 200_000])
def test_the_beginning_of_a_csv_file_is_fetched_once(requests, rows):
    put(requests, "one.csv", b"x;y\n" + b"".join(b"%d;%d,5\n" % (i, i) for i in range(rows)))
    assert rows_of("counted:///one.csv", ["x", "y"]).num_rows == rows
    assert sum(start == 0 for start, _ in requests.spans()) == 1
    assert requests.counts()["ask"] == 3


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
    monkeypatch.setattr(remote.time, "sleep", slept.append)
    monkeypatch.setattr(remote, "RETRIES", RETRIES)
    with caplog.at_level(logging.INFO, logger="gpuvgm"):
        assert persistently(failing(calls, answer(503, "SlowDown"), times), "s3://b/k: reading") == "done"
    assert len(slept) == len(caplog.records) == times
    assert all(0.05 * 2**n <= seconds <= 0.1 * 2**n for n, seconds in enumerate(slept))
    for number, record in enumerate(caplog.records, 1):
        assert record.levelname == "INFO"
        assert f"s3://b/k: reading failed (attempt {number} of 6, ClientError: " in record.getMessage()


def test_giving_up_names_place_attempts_and_reason(monkeypatch):
    monkeypatch.setattr(remote, "RETRIES", Retries(3, 0, 0))
    calls = []
    with pytest.raises(EnvironmentProblem, match=r"^s3://b/k: reading failed 3 times, at last with ConnectionResetErr"):
        persistently(failing(calls, ConnectionResetError(), 9), "s3://b/k: reading")
    assert len(calls) == 3


def test_no_delay_is_longer_than_the_longest(monkeypatch):
    monkeypatch.setattr(remote, "RETRIES", RETRIES)
    assert 5 <= delay_after(20) <= 10
    assert len({delay_after(3) for _ in range(9)}) > 1

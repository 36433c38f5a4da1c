"""How many requests a store gets: small files are listed together and fetched once, side by side."""

from __future__ import annotations

import io
import threading
import time
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gpuvgm
from gpuvgm.errors import SourceChangedError
from gpuvgm.io import open_source, remote

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


def read(source, columns=("x", "n")):
    opened = open_source(source)
    return pa.Table.from_batches([block.batch for block in opened.blocks(list(columns), 1000)]).combine_chunks()


def test_many_small_files_are_listed_once_and_each_is_fetched_once(requests, many):
    source = open_source(MANY)
    assert requests.counts() == {"ask": 1, "list": 1, "read": FILES}
    requests.forget()
    assert read(source).equals(read(many))
    assert requests.counts() == {"list": 1}  # whether any was changed
    requests.forget()
    gpuvgm.TableTransformer(effort="research").fit(source)
    assert set(requests.counts()) == {"list"}


def test_files_that_a_pattern_stands_for_are_not_asked_for_one_by_one(requests, many):
    assert read(f"{MANY}/*.parquet").equals(read(many))
    assert requests.counts() == {"ask": 1, "list": 2, "read": FILES}


def test_more_than_is_kept_is_fetched_once_a_scan(requests, many, monkeypatch):
    monkeypatch.setattr(remote, "KEPT_BYTES", 20 * len(parquet(ROWS)))
    source = open_source(MANY)
    requests.forget()
    assert read(source).equals(read(many))
    assert requests.counts() == {"list": 1, "read": FILES}
    assert remote.KEPT._bytes <= remote.KEPT_BYTES
    assert remote.KEPT._bytes == sum(size for size, _ in remote.KEPT._ranges.values())


def test_small_files_are_fetched_side_by_side(requests, many):
    requests.delay = 0.005
    source = open_source(MANY)
    assert 2 < requests.most <= remote.SMALL_AT_ONCE
    remote.KEPT.clear()
    requests.forget()
    read(source)
    assert 2 < requests.most <= remote.SMALL_AT_ONCE + 1


def test_one_of_many_that_is_replaced_is_named(requests, many):
    source = open_source(MANY)
    put(requests, "many/077.parquet", parquet(ROWS, 7))
    with pytest.raises(SourceChangedError, match=r"^counted:///many/077.parquet: the file was changed"):
        read(source)
    source = open_source(MANY)
    assert sum(read(source)["n"].to_pylist()) == sum(sum(part.to_pylist()) for part in read(MANY)["n"].chunks)
    remote.KEPT.clear()
    put(requests, "many/033.parquet", parquet(1))
    with pytest.raises(SourceChangedError, match=r"^counted:///many/033.parquet: the file was changed"):
        read(source)
    requests.system().rm_file("/many/033.parquet")
    with pytest.raises(SourceChangedError, match=r"^counted:///many/033.parquet: the file was removed"):
        read(source)


@pytest.mark.parametrize(
    ("told", "other"), [(("name", "type"), {}), (("name", "type", "size", "mtime"), {"mtime": "yesterday"})]
)
def test_a_store_whose_listing_tells_no_versions_is_asked_file_by_file(requests, many, monkeypatch, told, other):
    monkeypatch.setattr(requests.system, "told", told)
    monkeypatch.setattr(requests.system, "other", other)
    assert read(MANY).equals(read(many))
    assert requests.counts()["ask"] > FILES
    put(requests, "many/000.parquet", parquet(ROWS, 9))
    assert not read(MANY).equals(read(many))


def test_a_folder_in_memory_is_read_again(many):
    fsspec = pytest.importorskip("fsspec")
    for path in sorted(many.iterdir())[:5]:
        fsspec.filesystem("memory").pipe_file(f"/listed-again/{path.name}", path.read_bytes())
    source = open_source("memory://listed-again")  # its listing has times as text
    assert read(source).equals(read(source))


def test_one_of_few_files_is_compared_before_and_after(requests):
    put(requests, "one.parquet", parquet(ROWS))
    read("counted:///one.parquet")
    assert requests.counts() == {"ask": 3, "read": 1}


def test_larger_files_are_opened_by_their_end_and_fetched_as_a_whole_when_they_are_read(requests):
    body = parquet(50_000)
    assert remote.SMALL_BYTES < len(body) <= remote.FIRST_BYTES
    for number in range(5):
        put(requests, f"some/{number}.parquet", body)
    source = open_source("counted:///some")
    assert requests.spans() == [(len(body) - remote.GAP_BYTES, len(body))] * 5
    requests.forget()
    read(source)
    assert requests.spans() == [(0, len(body))] * 5


def test_many_small_csv_files_are_fetched_once_side_by_side(requests):
    for number in range(40):
        put(requests, f"texts/{number:02}.csv", b"x,y\n" + b"".join(b"%d,%d.5\n" % (number, i) for i in range(30)))
    requests.delay = 0.005
    table = read("counted:///texts", ["x", "y"])
    assert requests.counts() == {"ask": 1, "list": 2, "read": 40}
    assert requests.most > 2
    assert table["x"].to_pylist() == [number for number in range(40) for _ in range(30)]


@pytest.mark.parametrize("rows", [1000, 200_000])
def test_the_beginning_of_a_csv_file_is_fetched_once(requests, rows):
    put(requests, "one.csv", b"x;y\n" + b"".join(b"%d;%d,5\n" % (i, i) for i in range(rows)))
    assert read("counted:///one.csv", ["x", "y"]).num_rows == rows
    assert sum(start == 0 for start, _ in requests.spans()) == 1
    assert requests.counts()["ask"] == 3

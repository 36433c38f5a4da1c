"""Files of stores as seekable files: the right bytes, in few requests, in bounded memory."""

from __future__ import annotations

import io
import random
import threading

import pytest

from gpuvgm.io import remote as ranges
from gpuvgm.io.remote import RangeReader

MIB = 1 << 20
BODY = random.Random(0).randbytes(5 * MIB)


class Fetch:
    def __init__(self, body=BODY):
        self.body, self.spans = body, []

    def __call__(self, start, stop):
        self.spans.append((start, stop))
        return self.body[start:stop]


def held(reader):
    return sum(stop - first for first, stop, _ in reader._coming)


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
    assert [coming.result() for coming in reader._coming.values()] == [BODY[3 * MIB : 3 * MIB + 50]]
    assert fetch.spans == [(1000, 201_000), (3 * MIB, 3 * MIB + 50)]  # the last one ahead of time
    assert held(reader) == 50


def test_chunks_side_by_side_are_each_fetched_once_in_bounded_memory(monkeypatch):
    monkeypatch.setattr(ranges, "HELD_BYTES", 256 << 10)
    monkeypatch.setattr(ranges, "FIRST_BYTES", 16 << 10)
    monkeypatch.setattr(ranges, "WINDOW_BYTES", 128 << 10)
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

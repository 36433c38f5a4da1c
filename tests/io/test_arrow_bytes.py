"""Arrow bytes of someone else: what they may hold, and what is refused before it is read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from gpuvgm import arrow_bytes
from gpuvgm.arrow_bytes import ArrowBytes

NUMBERS = pa.schema([("numbers", pa.large_list(pa.int64())), ("name", pa.string())])


def written(*columns: Any, schema: pa.Schema = NUMBERS, compression: str | None = None) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_batch(pa.record_batch([*columns], schema=schema))
    return sink.getvalue().to_pybytes()


LISTS, NAMES = [[0, 1, 2], [3]], ["a", "b"]
WHOLE = written(pa.array(LISTS, NUMBERS.field(0).type), pa.array(NAMES))


def with_offsets(*offsets: int, text: bool = False) -> bytes:
    """The file with other offsets of its lists, or of its text, such as Arrow never writes."""
    dtype, whole = (np.int32, [0, 1, 2]) if text else (np.int64, [0, 3, 4])
    return WHOLE.replace(np.array(whole, dtype).tobytes(), np.array(offsets, dtype).tobytes())


@pytest.mark.parametrize("compression", [None, "zstd", "lz4"])
def test_what_was_written_is_read(compression: str | None) -> None:
    columns = (pa.array(LISTS, NUMBERS.field(0).type), pa.array(NAMES))
    table = ArrowBytes.of(written(*columns, compression=compression)).table(NUMBERS)
    assert table.to_pydict() == {"numbers": LISTS, "name": NAMES}


@pytest.mark.parametrize(
    "body",
    [
        with_offsets(0, 3, 9),
        with_offsets(0, 3, 2),
        with_offsets(-5, 3, 4),
        with_offsets(0, 9, 12, text=True),
        with_offsets(0, 2, 1, text=True),
        WHOLE.replace(b"ab\0\0\0\0\0\0", b"\xff\xfe\0\0\0\0\0\0"),
        written(pa.array([[1], None], NUMBERS.field(0).type), pa.array(NAMES)),
        written(pa.array([[1], [None]], NUMBERS.field(0).type), pa.array(NAMES)),
    ],
    ids=["beyond", "backwards", "before", "text beyond", "text backwards", "no text", "no list", "no number"],
)
def test_offsets_text_and_missing_values_are_checked(body: bytes) -> None:
    assert body != WHOLE
    with pytest.raises(pa.ArrowInvalid):
        ArrowBytes.of(body).table(NUMBERS)


def test_what_unpacks_to_too_much_is_refused_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """A million zeros are some hundred bytes; allocated are those alone that the bound allows."""
    zeros = pa.array([np.zeros(1_000_000, np.int64)], NUMBERS.field(0).type)
    body = written(zeros, pa.array(["a"]), compression="zstd")
    assert len(ArrowBytes.of(body).table(NUMBERS)) == 1
    monkeypatch.setattr(arrow_bytes, "LEAST_UNPACKED", 1 << 20)
    before = pa.total_allocated_bytes()
    with pytest.raises(pa.ArrowInvalid, match="would unpack to more than 1,048,576 bytes"):
        ArrowBytes.of(body).table(NUMBERS)
    assert pa.total_allocated_bytes() == before


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "no Arrow file"),
        (b"ARROW1\0\0", "."),
        (b"PAR1" * 9, "no Arrow file"),
        (written(pa.array([1]), schema=pa.schema([("numbers", pa.int64())])), "columns are not those"),
        (WHOLE[:300], "."),
    ],
)
def test_other_bytes_are_refused(body: bytes, why: str) -> None:
    with pytest.raises(pa.ArrowInvalid, match=why):
        ArrowBytes.of(body).table(NUMBERS)

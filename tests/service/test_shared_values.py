"""Streams in which many rows point to one long value, or hold any number of empty ones."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

import gpuvgm
from gpuvgm.io import written_bytes
from gpuvgm.io.untrusted import check_views, viewed_bytes
from gpuvgm.service.app import create_app
from gpuvgm.service.limits import Limits
from gpuvgm.service.models import Served
from tests.service.conftest import JSON, Client, error_of, stream_of

MOST = 1 << 20
LONG = "a" * (MOST // 4)
ROWS = 40
ZEROS = pa.array([0] * ROWS, pa.int32())


def views(length: int = len(LONG)) -> pa.Array:
    """Views of one text, as many as there are rows."""
    words = np.zeros((ROWS, 4), np.int32)
    words[:, 0], words[:, 1] = length, 0x61616161
    return of_buffers(ROWS, [None, pa.py_buffer(words), pa.py_buffer(LONG.encode())])


def of_buffers(rows: int, buffers: list[pa.Buffer | None]) -> pa.Array:
    """Views made by hand."""
    try:
        return pa.Array.from_buffers(pa.string_view(), rows, buffers)
    except ValueError as problem:
        pytest.skip(f"this pyarrow makes no views of buffers: {problem}")


def shared() -> dict[str, pa.Array]:
    many = pa.DictionaryArray.from_arrays(ZEROS, pa.array([LONG]))
    one, five_thousand = (pa.array(range(0, (ROWS + 1) * size, size), pa.int32()) for size in (1, 5000))
    return {
        "dictionary": many,
        "runs": pa.RunEndEncodedArray.from_arrays(pa.array([ROWS], pa.int32()), pa.array([LONG])),
        "lists of a dictionary": pa.ListArray.from_arrays(one, many),
        "lists of nothing": pa.ListArray.from_arrays(five_thousand, pa.nulls(ROWS * 5000)),
        "one list": pa.ListViewArray.from_arrays(ZEROS, pa.array([5000] * ROWS, pa.int32()), pa.nulls(5000)),
        "a union": pa.UnionArray.from_dense(ZEROS.cast(pa.int8()), ZEROS, [pa.array([LONG])], ["a"]),
    }


@pytest.fixture(scope="module")
def client():
    rows = {"x": np.arange(50.0), "key": pa.array([str(i) for i in range(50)])}
    fitted = gpuvgm.TableTransformer({"key": "pass"}, effort="research", n_components=2).fit(pa.table(rows))
    client = Client(create_app({"one": Served.of("one", fitted)}, Limits(max_bytes=MOST, timeout=60, threads=1)))
    yield client
    client.app.gate.close()


def body_of(column: pa.Array) -> bytes:
    return stream_of(pa.table({"x": np.ones(len(column)), "key": column}))


@pytest.mark.parametrize("is_inside", [False, True])
def test_views_are_counted_before_they_are_looked_through(client, is_inside):
    column = pa.StructArray.from_arrays([views()], ["a"]) if is_inside else views()
    assert "stand for too many bytes" in error_of(client.post("one/transform", body_of(column)), 413)


@pytest.mark.parametrize("what", shared())
def test_what_would_become_too_large_as_json_is_refused(client, what):
    body = body_of(shared()[what])
    assert len(body) < MOST / 2
    assert client.post("one/transform", body).status_code == 200
    message = error_of(client.post("one/transform", body, accept=JSON), 413)
    assert message.startswith('column "key" would become more than 4194304 bytes of JSON')


@pytest.mark.parametrize("type_", [pa.string_view(), pa.dictionary(pa.int8(), pa.string()), pa.list_(pa.string())])
def test_columns_of_a_usual_size_come_back(client, type_):
    values = [["a"], ["b" * 40]] * 20 if pa.types.is_list(type_) else ["a", "b" * 40] * 20
    answer = client.post("one/transform", body_of(pa.array(values, type_)), accept=JSON)
    assert answer.json()["columns"]["key"] == values


def test_a_buffer_of_views_may_have_any_length():
    words = pa.py_buffer(np.array([1, 97, 0, 0], np.int32).tobytes() + b"abc")
    column = of_buffers(1, [None, words])
    assert viewed_bytes(column) == 1
    check_views(column)


def test_sizes():
    assert viewed_bytes(pa.array(["a", None, "b" * 20, "c" * 30], pa.string_view()).slice(1)) == 50
    assert written_bytes(pa.array([1.0] * 9), 128) == written_bytes(pa.array(["a" * 99]), 128) == 0
    assert written_bytes(pa.array([], pa.dictionary(pa.int8(), pa.string())), 128) == 0
    assert written_bytes(pa.array([[1, 2], [3]]), 128) == 128 * 5


def test_views_of_missing_rows_point_to_what_is_there(client):
    """A cast follows them, and ends the process where they point to nothing."""
    text = pa.array(["a" * 20, None, "b" * 20], pa.string_view())
    missing, words, letters = text.buffers()
    wrong = np.frombuffer(words, np.int32).copy()
    wrong[4:8] = 13, 0, 2, 2**30
    column = of_buffers(3, [missing, pa.py_buffer(wrong), letters])
    column.validate(full=True)
    for values in (column, pa.StructArray.from_arrays([column], ["a"]), pa.DictionaryArray.from_arrays([0, 1], column)):
        assert "holds no valid" in error_of(client.post("one/transform", body_of(values)), 400)
    answer = client.post("one/transform", body_of(text), accept=JSON)
    assert answer.json()["columns"]["key"] == ["a" * 20, None, "b" * 20]

"""Bodies that lie: each is refused with a status and one line, and costs next to nothing."""

from __future__ import annotations

import logging
import random
import struct

import numpy as np
import pyarrow as pa
import pytest

from tests.service.conftest import JSON, error_of, stream_of, table_of

MOST = 1 << 20  # of the client's service
NO_BYTES = pa.py_buffer(b"")


@pytest.mark.parametrize("claim", [2**62, 2**40, MOST, -5, 10])
@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_decompressed_lengths_are_not_believed(client, compression, claim):
    body = bytearray(stream_of(pa.table({"x": np.zeros(9000)}), compression=compression))
    place = body.find(struct.pack("<q", 72000))
    assert place > 0
    body[place : place + 8] = struct.pack("<q", claim)
    message = error_of(client.post("one/transform", bytes(body)), 413 if claim >= MOST else 400)
    assert ("decompressed; send fewer rows" in message) == (claim >= MOST)


def test_many_small_bombs_are_one(client):
    batch = pa.table({"x": np.zeros(9000)})
    body = stream_of(pa.concat_tables([batch] * 20), compression="zstd")
    assert len(body) < MOST / 10
    assert "when decompressed" in error_of(client.post("one/transform", body), 413)
    words = pa.DictionaryArray.from_arrays(pa.array([0], pa.int8()), pa.array(["a" * 2 * MOST]))
    assert "when decompressed" in error_of(
        client.post("one/transform", stream_of(pa.table({"x": words}), compression="lz4")), 413
    )


@pytest.mark.parametrize("rows", [10**7, 2**62])
@pytest.mark.parametrize(
    "column",
    [
        lambda rows: pa.Array.from_buffers(pa.null(), rows, [None]),
        lambda rows: pa.Array.from_buffers(pa.binary(0), rows, [None, NO_BYTES]),
        lambda rows: pa.RunEndEncodedArray.from_arrays(pa.array([rows], pa.int64()), pa.array([1.0])),
    ],
)
def test_rows_that_take_no_bytes(client, rows, column):
    body = stream_of(pa.table({"x": column(rows)}), allow_64bit=True)
    assert len(body) < 1000
    assert f"{rows} rows would become more than" in error_of(client.post("one/transform", body), 413)


def test_an_answer_has_its_limit_too(client):
    rows = stream_of(pa.table({"x": np.ones(200_000, np.float32)}))
    assert client.post("one/transform", rows).status_code == 200
    assert "send at most" in error_of(client.post("one/transform?layout=onehot&dtype=float64", rows), 413)
    assert "send at most" in error_of(client.post("one/transform", rows, accept=JSON), 413)


def nonsense():
    numbers, words = pa.array([1.0, 2.0]), pa.array(["red", "blue"])
    yield "no valid dictionary", pa.DictionaryArray.from_arrays(pa.array([127, 0], pa.int8()), words, safe=False)
    yield "no valid dictionary", pa.DictionaryArray.from_arrays(pa.array([-1, 0], pa.int8()), numbers, safe=False)
    offsets = pa.py_buffer(struct.pack("<3i", 0, 1000, 5))
    yield "no valid string", pa.StringArray.from_buffers(2, offsets, pa.py_buffer(b"redblue"))
    offsets = pa.py_buffer(struct.pack("<3i", 0, 2, 4))
    yield "no valid string", pa.StringArray.from_buffers(2, offsets, pa.py_buffer(b"\xff\xfe\xff\xff"))
    yield "but double was fitted", words
    yield "but double was fitted", pa.array([True, False])
    yield "but double was fitted", pa.array([[1.0], [2.0]])
    yield "1 value is infinite", pa.array([1.0, np.inf])


@pytest.mark.parametrize(("told", "column"), list(nonsense()))
def test_columns_of_nonsense(client, told, column):
    message = error_of(client.post("one/transform", stream_of(pa.table({"x": column}))), 400)
    assert 'column "x"' in message
    assert told in message


def test_too_many_columns_and_batches(made):
    schema = pa.schema([(f"c{i}", pa.null()) for i in range(20_001)])
    assert "20001 columns" in error_of(made().post("one/transform", schema.serialize().to_pybytes()), 413)
    batch = pa.record_batch([pa.array([1.0])], ["x"])
    body = stream_of(pa.Table.from_batches([batch] * 8300))
    assert "8192 batches" in error_of(made().post("one/transform", body), 413)


def test_bodies_that_are_no_streams(client):
    rows = stream_of(table_of().select(["x"]))
    for body in (b"", b"PAR1" * 99, rows[:-300], b"ARROW1\0\0" + rows):
        assert "not a valid Arrow IPC stream" in error_of(client.post("one/transform", body), 400)
    double = pa.table([pa.array([1.0])] * 2, names=["x", "x"])
    assert "duplicate column names" in error_of(client.post("one/transform", stream_of(double)), 400)


def test_damaged_streams_never_end_in_a_defect(client):
    rows = table_of().slice(0, 40)
    bodies = [stream_of(rows), stream_of(rows, compression="lz4")]
    draws = random.Random(11)
    seen = set()
    for _ in range(150):
        body = bytearray(draws.choice(bodies))
        for _ in range(draws.choice([1, 1, 2, 4])):
            body[draws.randrange(len(body))] = draws.choice([0, 1, 127, 128, 255])
        seen.add(client.post("table/transform", bytes(body)).status_code)
    assert 400 in seen
    assert seen <= {200, 400, 413}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "not valid JSON"),
        (b"[1]", "and nothing else"),
        (b'{"columns": {"x": [1]}, "path": "/etc/passwd"}', "and nothing else"),
        (b'{"columns": {"x": [NaN]}}', "NaN, which is not JSON"),
        (b'{"columns": {"x": [-Infinity]}}', "-Infinity, which is not JSON"),
        (b'{"columns": {"x": [1e999]}}', "1 value is infinite"),
        (b"[" * 500_000, "the body is nested too deeply"),
        (b'{"columns": {"x": [1], "x": [2]}}', 'the key "x", more than once'),
        (b'{"columns": {"\\ud800": [1]}}', "which is not valid text"),
        (b'{"columns": {"\xff": [1]}}', "not valid JSON"),
        (b'{"columns": {"x": 5}}', 'column "x" is not a list'),
        (b'{"columns": {"x": ["1"]}}', "but double was fitted"),
        (b'{"columns": {"x": [1, 2, "a"]}}', "column \"x\", row 2: 'a' is out of range, or of another type"),
        (b'{"columns": {"x": [1.5, true]}}', 'column "x", row 1: a boolean among numbers'),
        (b'{"columns": {"x": [18446744073709551616]}}', "row 0: 18446744073709551616 is out of range"),
        (b'{"columns": {"x": [' + b"9" * 5000 + b"]}}", "not valid JSON"),
        (b'{"columns": {"x": [1], "y": [1, 2]}}', "Column 1 named y expected length 1 but got length 2"),
        (b'{"columns": {"y": [1]}}', 'no column "x"'),
    ],
)
def test_wrong_json(made, body, told):
    assert told in error_of(made().post("one/transform", body, JSON), 400)


def test_text_that_is_no_date_names_its_row(made, models):
    names = [name for name in table_of().schema.names if name != "when"]
    columns = {name: "[null, null]" for name in names}
    text = ", ".join(f'"{name}": {values}' for name, values in columns.items())
    body = f'{{"columns": {{"when": ["2024-01-01 00:00:00Z", "soon"], {text}}}}}'
    message = error_of(made().post("table/transform", body.encode(), JSON), 400)
    assert message.startswith('column "when", row 1 is not a valid timestamp[us, tz=UTC]')


def test_json_has_a_limit_of_its_own(client):
    assert f"more than {MOST // 16} bytes" in error_of(client.post("one/transform", b" " * (MOST // 16 + 1), JSON), 413)


def test_names_are_looked_up_and_nothing_else(client):
    for name in ("..%2ftable", "%2e%2e", "table.gpuvgm", "notes.txt", "", "%00"):
        assert client.post(f"{name}/transform", b"").status_code == 404


def test_no_line_of_the_log_is_written_by_a_client(made, caplog):
    nested = pa.StructArray.from_arrays([pa.array([1] * 3)], ["a\ngpuvgm: serving all\r\x1b[2J" + "b" * 50_000])
    rows = table_of().slice(0, 3).set_column(2, "colour", nested)
    with caplog.at_level(logging.INFO, "gpuvgm.service"):
        made().post("table/transform", stream_of(rows))
        made()("GRÜSSE" * 900, "/v1/models")
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO", "INFO"]
    assert all(record.message.isprintable() and len(record.message) < 2100 for record in caplog.records)
    assert (caplog.records[-1].method, caplog.records[-1].status) == ("other", 405)


def test_nobody_is_sent_to_where_a_client_says(client):
    for path in ("/v1/models/", "/health/", "/v1/models/one/transform/"):
        assert error_of(client("GET", path, headers={"host": "evil.example"}), 404)


@pytest.mark.parametrize("scale", [2**30, -(2**30), 77])
def test_decimals_of_a_billion_places(client, scale):
    """A cast of such a column ends the process."""
    digits = pa.Array.from_buffers(pa.decimal128(8, scale), 3, [None, pa.py_buffer(b"\1" * 48)])
    rows = table_of().slice(0, 3)
    for column in (digits, pa.StructArray.from_arrays([digits], ["a"]), pa.array([[1]] * 3, pa.list_(pa.int8()))):
        body = stream_of(rows.set_column(rows.schema.get_field_index("price"), "price", column))
        message = error_of(client.post("table/transform", body), 400)
        assert ("76 are the most" in message) == (not pa.types.is_list(column.type))


def test_time_zones_and_names_that_are_no_text(client):
    rows = table_of().slice(0, 3)
    for part in (b"UTC", b"took", b"colour"):
        body = stream_of(rows)
        assert body.count(part) == 1
        assert "not a valid Arrow IPC stream" in error_of(
            client.post("table/transform", body.replace(part, b"\xc9" * len(part))), 400
        )


@pytest.mark.parametrize("pairs", [{b"\xff": b"1"}, {b"key": b"\xff"}])
def test_metadata_that_is_no_text_is_refused(client, pairs):
    rows = pa.table({"x.scalar": [0.5], "x.mode": pa.array([0], pa.uint8())})
    message = error_of(client.post("one/inverse", stream_of(rows.replace_schema_metadata(pairs))), 400)
    assert "its metadata is no text in UTF-8" in message

"""Bodies of requests for rows, in JSON and Arrow, that the service answers after they were spoilt.

Each answer is compared with what the library gives for the rows of the body, read once more by other means.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import gpuvgm
from gpuvgm.errors import EnvironmentProblem, InputError
from gpuvgm.service.app import create_app
from gpuvgm.service.guard import Guard
from gpuvgm.service.limits import Limits
from gpuvgm.service.models import Served, load_models
from tests.harness.fuzz.encoded import QUICK, rows_of_every_kind
from tests.harness.fuzz.harness import Target, WrongResult
from tests.harness.fuzz.mutations import spoil

ARROW, JSON = "application/vnd.apache.arrow.stream", "application/json"
ROWS = 40  # of a body
REFUSALS = (400, 406, 408, 413, 415)
ZONED = pa.timestamp("us", "UTC")
DAY = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
#: Queries of each route with the library's arguments that they stand for; None for those that are refused.
QUERIES: dict[str, tuple[tuple[str, dict[str, Any] | None], ...]] = {
    "transform": (
        ("", {}),
        ("mode=argmax&dtype=float64", {"mode": "argmax", "dtype": "float64"}),
        ("layout=onehot", {"layout": "onehot"}),
        ("seed=7&first_row=3", {"seed": 7, "first_row": 3}),
        ("seed=18446744073709551615", {"seed": 2**64 - 1}),
        ("first_row=9223372036854775808", None),
        ("seed=%00", None),
        ("mode=%ff%fe&mode=argmax&x", None),
    ),
    "inverse": (
        ("", {}),
        ("return_valid=true", {"return_valid": True}),
        ("invalid=drop", {"invalid": "drop"}),
        ("invalid=drop&return_valid=1", {"invalid": "drop", "return_valid": True}),
        ("return_valid=perhaps", None),
        ("mode=argmax", None),
    ),
}
#: Headers beside a right content type, and the status that they alone ask for.
HEADERS: tuple[tuple[dict[str, str], int], ...] = (
    *[({}, 200)] * 120,
    ({"accept": JSON}, 200),
    ({"accept": ARROW}, 200),
    ({"accept": "text/html"}, 406),
    ({"accept": ";q=nan,,\xff"}, 406),
    ({"content-encoding": "gzip"}, 415),
    ({"content-type": "text/plain"}, 415),
    ({"content-type": "\xff;charset=\x00"}, 415),
    ({"content-length": "9" * 400}, 413),
    ({"content-length": "-1"}, 200),
)
TOKENS = (
    *("null", "true", "0", "-0.0", "1E0", "1e-400", "1e400", "-1e400", "NaN", "-Infinity", "00", "+1", "1_0"),
    *(str(2**53 + 1), str(2**63 - 1), str(2**63), str(-(2**63) - 1), str(2**64 - 1), "9" * 400, "9" * 5000),
    *("0." + "1" * 5000, '""', '"1"', '"a"', '"\\ud800"', '"\\u0000"', '"\xe9"', '"' + "x" * 300_000 + '"'),
    *("[]", "{}", "[1]", "[" * 100_000, '{"a":' * 100_000, '"0.001"', '"1e9"', '"99999999999.99"'),
    *('"2024-02-30 00:00:00Z"', '"9999-12-31 23:59:59Z"', '"2024-01-31T12:00:00+01:00"', '"2024-01-31 12:00:00"'),
)
PLACE = '"@"'


@dataclass(frozen=True, slots=True)
class Prepared:
    """A service, its model, and whole rows of both routes."""

    app: Guard
    served: Served
    rows: Mapping[str, pa.Table]


def prepare(folder: Path) -> Prepared:
    """A model of numbers, text, booleans, decimals, moments and durations."""
    rows = rows_of_every_kind(600).select(QUICK)
    draws = np.random.default_rng(1).integers(0, 10_000, len(rows)).tolist()
    rows = rows.append_column("price", pa.array([Decimal(draw) / 100 for draw in draws], pa.decimal128(8, 2)))
    rows = rows.append_column("when", pa.array([DAY + dt.timedelta(minutes=draw) for draw in draws], ZONED))
    rows = rows.append_column("took", pa.array(draws, pa.duration("ms")))
    rows = rows.append_column("note", pa.array([str(draw) for draw in draws]))
    transformer = gpuvgm.TableTransformer(effort="research", n_components=3, max_iter=10, columns={"note": "pass"})
    transformer.fit(rows).save(folder / "table.gpuvgm")
    models = load_models(folder)
    sent = rows.slice(0, ROWS)
    encoded = models["table"].transformer.transform(sent)
    limits = Limits(max_bytes=16 << 20, timeout=50, concurrency=1, threads=1)
    return Prepared(create_app(models, limits), models["table"], {"transform": sent, "inverse": encoded})


def ask(app: Guard, path: str, query: str, headers: Mapping[str, str], body: bytes) -> tuple[int, str, bytes]:
    """Status, content type and content of an answer."""
    messages: list[dict[str, Any]] = []
    pieces = [body[start : start + 50_000] for start in range(0, len(body), 50_000)] or [b""]

    async def receive() -> dict[str, Any]:
        piece = pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    async def send(message: Any) -> None:
        messages.append(message)

    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": path, "query_string": query.encode(), "headers": raw}
    scope["asgi"] = {"spec_version": "2.4"}  # without it, what is received beside an answer is a client that leaves
    asyncio.run(app(scope, receive, send))
    kinds = dict(messages[0]["headers"])
    content = b"".join(bytes(message["body"]) for message in messages[1:])
    if int(kinds[b"content-length"]) != len(content):
        raise WrongResult("the answer has another length than it claims")
    return messages[0]["status"], kinds[b"content-type"].decode(), content


def check_refusal(status: int, content: bytes) -> None:
    """Raise what a refusal stands for."""
    error = json.loads(content)["error"]
    message = f"{status} {error['type']}: {error['message']}"
    if error.keys() != {"type", "message"} or not error["message"].isprintable():
        raise RuntimeError(f"no document of an error: {content[:500]!r}")
    if status == 503 and error["type"] == "OutOfMemory":
        raise EnvironmentProblem(message)
    if status not in REFUSALS:
        raise RuntimeError(message)
    raise InputError(message)


def answer_and_judge(prepared: Prepared, kind: str, route: str, body: bytes, random: random.Random) -> None:
    """Send a body with some options, and compare the answer with the library's."""
    query, arguments = random.choice(QUERIES[route][:4] * 12 + QUERIES[route])
    headers, asked = random.choice(HEADERS)
    headers = {"content-type": kind, **headers}
    status, given, content = ask(prepared.app, f"/v1/models/table/{route}", query, headers, body)
    if status != 200:
        check_refusal(status, content)
    if arguments is None or asked != 200:
        raise WrongResult(f"200 for {query} and {headers}")
    rows = read_json(body, prepared.served.types) if kind == JSON else read_arrow(body)
    judge(expected_of(prepared.served, route, rows, arguments), given, content)


def expected_of(served: Served, route: str, rows: pa.Table, arguments: Mapping[str, Any]) -> pa.Table:
    """What the library gives."""
    try:
        if route == "transform":
            return served.transformer.transform(rows, **arguments)
        invalid = arguments.get("invalid", "mask")
        values, valid = served.transformer.inverse_transform(rows, return_valid=True, invalid=invalid)
    except InputError as problem:
        raise WrongResult(f"200 for rows that the library refuses: {problem}") from None
    return values.append_column("valid", pa.array(valid)) if arguments.get("return_valid") else values


def judge(expected: pa.Table, given: str, content: bytes) -> None:
    """Compare an answer with a table."""
    if given == ARROW:
        answer = pa.ipc.open_stream(content).read_all()
        answer.validate(full=True)
        if answer.schema != expected.schema or _written(answer) != _written(expected):
            raise WrongResult("the answer is not what the library gives")
        return
    document = json.loads(content, parse_constant=_refuse)
    columns = {**document["columns"], **({"valid": document["valid"]} if "valid" in document else {})}
    if columns != {name: [_as_json(value) for value in expected[name].to_pylist()] for name in expected.schema.names}:
        raise WrongResult("the answer in JSON is not what the library gives")


def _written(table: pa.Table) -> list[bytes]:
    """Columns as bytes, whatever their chunks."""
    written = []
    for column in table.combine_chunks().columns:
        sink = pa.BufferOutputStream()
        alone = pa.table({"x": column})
        with pa.ipc.new_stream(sink, alone.schema) as writer:
            writer.write_table(alone)
        written.append(sink.getvalue().to_pybytes())
    return written


def _as_json(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S.%fZ")
    if isinstance(value, dt.timedelta):
        return value // dt.timedelta(milliseconds=1)
    if isinstance(value, Decimal):
        return str(value)
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _refuse(text: str) -> None:
    raise WrongResult(f"{text} in an answer")


def read_arrow(body: bytes) -> pa.Table:
    """The rows of a stream that the service has read."""
    return pa.ipc.open_stream(body).read_all()


def read_json(body: bytes, types: Mapping[str, pa.DataType]) -> pa.Table:
    """The rows of a document that the service has read, value by value."""
    columns = json.loads(body)["columns"]
    try:
        return pa.table({name: _read_column(values, types.get(name)) for name, values in columns.items()})
    except (InvalidOperation, ValueError, OverflowError) as problem:
        raise WrongResult(f"200 for values that are none: {problem}") from None


def _read_column(values: list[Any], type_: Any) -> pa.Array[Any]:
    present = [value for value in values if value is not None]
    if type_ is not None and (pa.types.is_decimal(type_) or pa.types.is_timestamp(type_)):
        read = _read_decimal if pa.types.is_decimal(type_) else _read_moment
        return pa.array([None if value is None else read(value) for value in values], type_)
    if type_ is not None and (pa.types.is_duration(type_) or not present):
        return pa.array(values, type_)
    return pa.array(values, pa.float64() if float in map(type, present) else None)


def _read_decimal(value: Any) -> Decimal:
    return Decimal(str(value))


def _read_moment(value: Any) -> dt.datetime:
    moment = dt.datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError(f"{value} has no zone")
    return moment.astimezone(dt.UTC)


def document_of(rows: pa.Table) -> dict[str, Any]:
    """Rows as the service reads them."""
    return {name: [_as_json(value) for value in rows[name].to_pylist()] for name in rows.schema.names}


def spoilt_document(columns: dict[str, Any], random: random.Random) -> bytes:
    """A body in JSON with one fault."""
    match random.randrange(10):
        case 0 | 1 | 2:
            return spoil(json.dumps({"columns": columns}).encode(), random)
        case 3 | 4:
            return other_text(columns, random)
        case 5 | 6:
            return json.dumps({"columns": other_columns(columns, random)}).encode()
    name, token = random.choice(list(columns)), random.choice(TOKENS)
    if random.random() < 0.2:
        columns[name] = ["@"] * ROWS
    else:
        columns[name][random.randrange(ROWS)] = "@"
    return json.dumps({"columns": columns}).replace(PLACE, token).encode()


def other_text(columns: dict[str, Any], random: random.Random) -> bytes:
    """Columns in other encodings or documents, one twice, or something else."""
    text, name = json.dumps(columns), random.choice(list(columns))
    twice = f'{{"columns": {text[:-1]}, {json.dumps(name)}: {json.dumps(columns[name])}}}}}'
    plain = f'{{"columns": {text}}}'
    return random.choice(
        [
            *(plain.encode(encoding) for encoding in ("utf-8-sig", "utf-16", "utf-32-be", "utf-16-le")),
            *(other.encode() for other in (text, twice, f"[{plain}]", f'{plain[:-1]}, "more": 1}}', "null", "{}")),
            *(b"", b" " * 100_000, b"[" * 100_000, b'{"columns":' * 100_000, b"\x00"),
        ]
    )


def other_columns(columns: dict[str, Any], random: random.Random) -> dict[str, Any]:
    """One column less, more, shorter, or of something else."""
    name = random.choice(list(columns))
    other = random.choice([None, {}, 1, "a", [], [[1]] * ROWS, [None] * ROWS, [True] * ROWS, columns[name][1:]])
    more = random.choice(["", "more", "\u0000", "x" * 70_000, "\ud800"])
    without = {key: values for key, values in columns.items() if key != name}
    return random.choice([without, {**columns, name: other}, {**columns, name: other}, {**columns, more: [1] * ROWS}])


def json_case(prepared: Prepared, random: random.Random, _: Path) -> None:
    """One body in JSON."""
    route = random.choice(["transform", "inverse"])
    answer_and_judge(prepared, JSON, route, spoilt_document(document_of(prepared.rows[route]), random), random)


def stream_of(rows: pa.Table, random: random.Random) -> bytes:
    """Rows as a stream, in one of the many ways to write one."""
    if "word" in rows.schema.names:
        type_ = random.choice([pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string()), pa.string_view()])
        rows = rows.set_column(rows.schema.get_field_index("word"), "word", rows["word"].cast(type_))
    compression = random.choice([None, None, "lz4", "zstd"])
    if pa.string_view() in rows.schema.types and int(pa.__version__.partition(".")[0]) < 25:  # which crashes
        compression = None
    options = pa.ipc.IpcWriteOptions(compression=compression)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema, options=options) as writer:
        writer.write_table(rows, random.choice([ROWS, 7]))
    return sink.getvalue().to_pybytes()


def rename(body: bytes, rows: pa.Table, random: random.Random) -> bytes:
    """Make a column's name another of the same length, mostly no text."""
    name = random.choice(rows.schema.names).encode()
    return body.replace(name, random.choice([b"\xff", b"\xc9", b"\x00", b"a"]) * len(name))


def arrow_case(prepared: Prepared, random: random.Random, _: Path) -> None:
    """One body in Arrow."""
    route = random.choice(["transform", "inverse"])
    rows = prepared.rows[route]
    if random.random() < 0.05:
        rows = rows.replace_schema_metadata({b"\xff\xfe": b"\xff", **(rows.schema.metadata or {})})
    body = stream_of(rows, random)
    spoilt = rename(body, rows, random) if random.random() < 0.1 else spoil(body, random)
    answer_and_judge(prepared, ARROW, route, spoilt, random)


def whole(prepared: Prepared, kind: str, route: str, random: random.Random) -> None:
    """A body that is not spoilt."""
    rows = prepared.rows[route]
    body = json.dumps({"columns": document_of(rows)}).encode() if kind == JSON else stream_of(rows, random)
    status, given, content = ask(prepared.app, f"/v1/models/table/{route}", "", {"content-type": kind}, body)
    if status != 200:
        raise RuntimeError(content)
    read = read_json(body, prepared.served.types) if kind == JSON else read_arrow(body)
    judge(expected_of(prepared.served, route, read, {}), given, content)


TARGETS = (Target("json-body", prepare, json_case), Target("arrow-body", prepare, arrow_case))

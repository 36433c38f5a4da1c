"""Every line is one JSON object, whatever is logged, and holds no password."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest

from gpuvgm.cli.log_lines import JsonLines


def line_of(message: object, **fields: object) -> str:
    record = logging.makeLogRecord({"name": "gpuvgm", "levelname": "INFO", "msg": message, **fields})
    return JsonLines().format(record)


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def parsed(line: str) -> dict[str, object]:
    assert line.isascii()
    assert len(line.splitlines()) == 1
    found: dict[str, object] = json.loads(line, parse_constant=refuse)
    return found


@pytest.mark.parametrize(
    "message",
    [
        'a"b\\',
        "one\ntwo\r\x0b\x0c\x1c\x1d\x1e",
        "\x85\u2028\u2029",
        "\x00\x1b[31m\x7f",
        "\ud800",
        "grün \U0001f600",
        "",
    ],
)
def test_messages(message: str) -> None:
    assert parsed(line_of(message))["message"] == message


def test_fields() -> None:
    given = {"nan": np.nan, "inf": [-np.inf], "size": np.float64(2), "pair": {(1, 2): 3}, "object": logging, "n": None}
    found = parsed(line_of("a", **given))
    assert (found["nan"], found["inf"], found["size"], found["n"]) == (None, [None], 2.0, None)
    assert found["pair"] == {"(1, 2)": 3}
    assert str(found["object"]).startswith("<module")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("at https://me:hunter2@host/a?: no file", "at https://me:***@host/a?: no file"),
        ("tls://me:hun@ter2@host:8786 is not there", "tls://me:***@host:8786 is not there"),
        ('"https://host/x?X-Amz-Signature=hunter2&b=1" is', '"https://host/x?***" is'),
        ("s3://bucket/part-?.parquet", "s3://bucket/part-?.parquet"),
        ("http://host:8080/a@b and 5:6@7", "http://host:8080/a@b and 5:6@7"),
    ],
)
def test_credentials(text: str, kept: str) -> None:
    line = parsed(line_of(text, where=text))
    assert (line["message"], line["where"]) == (kept, kept)

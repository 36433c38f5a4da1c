"""Codecs as documents, and which types they are for."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from gpuvgm.columns.codecs import (
    Codec,
    CodecRules,
    DatetimeCodec,
    DecimalCodec,
    FloatCodec,
    IntegerCodec,
    LogCodec,
    codec_document,
    codec_for,
    codec_of,
)
from gpuvgm.errors import InputError
from gpuvgm.io.arrow import is_number_type

CODECS: list[Codec] = [
    FloatCodec("float", infinite_is_missing=True),
    FloatCodec("double", integer=True),
    FloatCodec("null"),
    IntegerCodec("uint64", 2**64 - 1),
    DatetimeCodec("timestamp[ns, tz=Europe/Berlin]", 2**62),
    DatetimeCodec("date64[ms]", 0),
    DecimalCodec("decimal128(38, 2)", 10**38 - 1),
    DecimalCodec("decimal128(10, 2)", -5, integer=True),
    LogCodec(FloatCodec("double"), -0.1),
    LogCodec(IntegerCodec("int8", 3), None),
]
FLOATS = {"name": "float", "type": "double"}
NUMBERS = [
    pa.null(), pa.int8(), pa.uint64(), pa.float16(), pa.float64(), pa.decimal128(38, 2), pa.date32(), pa.date64(),
    pa.time32("s"), pa.time64("ns"), pa.timestamp("us", "UTC"), pa.timestamp("s"), pa.duration("ns"),
]  # fmt: skip
OTHERS = [
    pa.bool_(), pa.string(), pa.large_string(), pa.binary(), pa.decimal256(50, 2), pa.list_(pa.int8()),
    pa.struct([("a", pa.int8())]), pa.dictionary(pa.int8(), pa.int64()), pa.month_day_nano_interval(),
]  # fmt: skip


@pytest.mark.parametrize("codec", CODECS, ids=str)
def test_a_codec_comes_back_from_its_document(codec: Codec) -> None:
    document = json.loads(json.dumps(codec_document(codec)))
    assert codec_of(document) == codec
    assert document == codec_document(codec)


def test_documents_of_older_versions() -> None:
    floats = {"name": "float", "type": "double", "infinite_is_missing": True}
    integers = {"name": "integer", "type": "int64", "base": 7}
    assert codec_of(floats) == FloatCodec("double", True)
    assert codec_of(integers) == IntegerCodec("int64", 7)
    assert codec_document(codec_of(floats)) == floats
    assert codec_document(codec_of(integers)) == integers


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({"name": "pickle"}, KeyError),
        ({"type": "int64", "base": 0}, KeyError),
        ({"name": "integer", "type": "int64", "base": 0, "other": 1}, TypeError),
        ({"name": "integer", "type": "int64"}, TypeError),
        ({"name": "integer", "type": "string", "base": 0}, ValueError),
        ({"name": "integer", "type": "int65", "base": 0}, ValueError),
        ({"name": "decimal", "type": "decimal256(50, 2)", "base": 0}, ValueError),
        ({"name": "log", "inner": {"name": "log", "inner": FLOATS, "low": 0}, "low": 0}, ValueError),
        ({"name": "log", "low": 0}, KeyError),
    ],
)  # fmt: skip
def test_other_documents_are_refused(document: dict[str, Any], problem: type[Exception]) -> None:
    with pytest.raises(problem):
        codec_of(document)


@pytest.mark.parametrize("type_", NUMBERS, ids=str)
def test_types_that_are_numbers(type_: pa.DataType) -> None:
    assert is_number_type(type_)
    empty = pa.chunked_array([], type_)
    codec = codec_for("x", type_, empty, CodecRules())
    assert codec.type == str(type_)
    assert codec.base == 0
    none = pa.nulls(3, type_)
    assert codec_for("x", type_, pa.chunked_array([none]), CodecRules()) == codec
    assert np.isnan(codec.encode(none)).all()
    assert codec.encode(none[:0]).shape == (0,)
    assert codec.decode(np.full(3, np.nan)).null_count == 3
    assert codec.equals(none, codec.value(0.0)).tolist() == [False] * 3
    assert codec_of(codec_document(codec)) == codec


@pytest.mark.parametrize("type_", OTHERS, ids=str)
def test_other_types_are_refused(type_: pa.DataType) -> None:
    assert not is_number_type(type_)
    with pytest.raises(InputError, match='column "x" holds .* values'):
        codec_for("x", type_, pa.chunked_array([], type_), CodecRules())


def test_rules() -> None:
    sample = pa.chunked_array([pa.array([1.0])])
    assert codec_for("x", pa.float64(), sample, CodecRules(True, True)) == FloatCodec("double", True, True)
    decimals = pa.chunked_array([], pa.decimal128(10, 2))
    assert codec_for("x", decimals.type, decimals, CodecRules(integer=True)).integer  # type: ignore[attr-defined]

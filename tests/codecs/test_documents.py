"""Codecs as documents, and which types they are for."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from gpuvgm.codecs import Codec, DatetimeCodec, FloatCodec, IntegerCodec, LogCodec, codec_for, codec_of
from gpuvgm.codecs.decimals import DecimalCodec
from gpuvgm.errors import InputError
from gpuvgm.io import from_plain, is_number_type, plain
from gpuvgm.records import document_of

CODECS: list[Codec] = [
    FloatCodec(pa.float32(), infinite_is_missing=True),
    FloatCodec(pa.float64(), integer=True),
    FloatCodec(pa.null()),
    IntegerCodec(pa.uint64(), 2**64 - 1),
    DatetimeCodec(pa.timestamp("ns", "Europe/Berlin"), 2**62),
    DatetimeCodec(pa.date64(), 0),
    DecimalCodec(pa.decimal128(38, 2), 10**38 - 1),
    DecimalCodec(pa.decimal128(10, 2), -5, integer=True),
    LogCodec(FloatCodec(pa.float64()), -0.1),
    LogCodec(IntegerCodec(pa.int8(), 3), None),
]
FLOATS = document_of(FloatCodec(pa.float64()))
INTEGERS = document_of(IntegerCodec(pa.int64(), 0))
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
    text = json.dumps(plain(document_of(codec)))
    assert codec_of(json.loads(text, object_hook=from_plain)) == codec
    assert json.loads(text) == plain(document_of(codec))


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({"name": "pickle"}, "not a codec"),
        ({"type": pa.int64(), "base": 0}, "not a codec"),
        (INTEGERS | {"other": 1}, "holds 'other', which is not known"),
        ({"name": "integer", "type": pa.int64()}, "lacks base"),
        (INTEGERS | {"type": pa.string()}, "not an Arrow type of numbers"),
        (INTEGERS | {"type": "int64"}, "type is 'int64', not an Arrow type"),
        ({"name": "decimal", "type": pa.decimal256(50, 2), "base": 0}, "not an Arrow type of numbers"),
        ({"name": "log", "inner": {"name": "log", "inner": FLOATS, "low": 0}, "low": 0}, "inner is .*, not a codec"),
        ({"name": "log", "low": 0}, "lacks inner"),
    ],
)  # fmt: skip
def test_other_documents_are_refused(document: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        codec_of(document)


@pytest.mark.parametrize("type_", NUMBERS, ids=str)
def test_types_that_are_numbers(type_: pa.DataType) -> None:
    assert is_number_type(type_)
    empty = pa.chunked_array([], type_)
    codec = codec_for("x", empty)
    assert codec.type == type_
    assert codec.base == 0
    none = pa.nulls(3, type_)
    assert codec_for("x", pa.chunked_array([none])) == codec
    assert np.isnan(codec.encode(none)).all()
    assert codec.encode(none[:0]).shape == (0,)
    assert codec.decode(np.full(3, np.nan)).null_count == 3
    assert codec.equals(none, codec.value(0.0)).tolist() == [False] * 3
    assert codec_of(document_of(codec)) == codec


@pytest.mark.parametrize("type_", OTHERS, ids=str)
def test_other_types_are_refused(type_: pa.DataType) -> None:
    assert not is_number_type(type_)
    with pytest.raises(InputError, match='column "x" holds .* values'):
        codec_for("x", pa.chunked_array([], type_))


def test_rules() -> None:
    sample = pa.chunked_array([pa.array([1.0])])
    assert codec_for("x", sample, infinite_is_missing=True, integer=True) == FloatCodec(pa.float64(), True, True)
    decimals = pa.chunked_array([], pa.decimal128(10, 2))
    assert codec_for("x", decimals, integer=True).integer  # type: ignore[attr-defined]

"""Integer columns: exact beyond 2^53, at the ends of their types, and with rows of other types."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from gpuvgm.codecs import IntegerCodec, codec_for, json_value


@pytest.mark.parametrize("kind", ["int64", "uint64"])
def test_neighbours_beyond_floats_differ(kind: str) -> None:
    column = pa.array([2**53, 2**53 + 1, None, 2**63 - 1], kind)
    codec = IntegerCodec(kind, 2**53)
    assert codec.equals(column, 2**53 + 1).tolist() == [False, True, False, False]
    assert codec.equals(column, float(2**53)).tolist() == [True, False, False, False]
    assert codec.equals(column, 2.0**63).tolist() == [False] * 4
    assert codec.equals(column, 0.5).tolist() == [False] * 4
    floats = pa.array([2.0**53, None, 2.0**63])
    assert codec.equals(floats, 2**53 + 1).tolist() == [False] * 3
    assert codec.equals(floats, 2**53).tolist() == [True, False, False]


def test_decode_rounds_half_to_even() -> None:
    assert IntegerCodec(pa.int64(), 10).decode(np.array([0.5, 1.5, -0.5, 2.4])).to_pylist() == [10, 12, 10, 12]


@pytest.mark.parametrize(
    ("column", "numbers"),
    [
        (pa.array([1.5, None, np.inf]), [-8.5, np.nan, np.inf]),
        (pa.array(np.array([1.5, np.nan], np.float16), from_pandas=True), [-8.5, np.nan]),
        (pa.array([1, None], pa.uint8()), [-9, np.nan]),
        (pa.array([True, None]), [-9, np.nan]),
        (pa.array([Decimal("12.00"), None]), [2, np.nan]),
        (pa.array([Decimal("12.50"), None]), [2.5, np.nan]),
        (pa.nulls(2), [np.nan, np.nan]),
        (pa.array([], pa.int64()), []),
    ],
)
def test_rows_of_other_types(column: pa.Array, numbers: list[float]) -> None:
    np.testing.assert_array_equal(IntegerCodec(pa.int64(), 10).encode(column), numbers)


def test_rows_of_wider_types_stay_exact() -> None:
    codec = IntegerCodec(pa.int32(), 5)
    assert codec.encode(pa.array([2**62 + 5])).tolist() == [2.0**62]
    assert IntegerCodec(pa.int64(), 2**60).encode(pa.array([Decimal(2**60 + 1)])).tolist() == [1.0]


@pytest.mark.parametrize(
    ("given_", "value"),
    [("12", 12), (" -3 ", -3), ("1e3", 1000), (12.0, 12), (np.int8(3), 3), (np.float32(4), 4), (Decimal("2.50e1"), 25),
     (str(2**63 - 1), 2**63 - 1), (-(2**63), -(2**63))],
)  # fmt: skip
def test_parse(given_: object, value: int) -> None:
    codec = IntegerCodec(pa.int64(), 7)
    found = codec.parse(json_value(given_))
    assert found == value and type(found) is int
    assert codec.parse(codec.show(value)) == value


def test_base_is_the_median() -> None:
    sample = pa.chunked_array([pa.array([2**62, None, 5]), pa.array([2**62 + 1])])
    assert codec_for("x", sample) == IntegerCodec(pa.int64(), 2**62)
    empty = pa.chunked_array([], pa.uint16())
    assert codec_for("x", empty) == IntegerCodec(pa.uint16(), 0)

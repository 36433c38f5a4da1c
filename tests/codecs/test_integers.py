"""Integer columns: exact beyond 2^53, at the ends of their types, and with rows of other types."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuvgm.columns.codecs import CodecRules, IntegerCodec, codec_for
from gpuvgm.errors import InputError

TYPES = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]


@st.composite
def columns(draw: st.DrawFn) -> tuple[IntegerCodec, list[int | None]]:
    """A codec, and values within 2^53 of its base."""
    name = draw(st.sampled_from(TYPES))
    limits = np.iinfo(name)
    base = draw(st.integers(int(limits.min), int(limits.max)))
    near = st.integers(max(int(limits.min), base - 2**53), min(int(limits.max), base + 2**53))
    return IntegerCodec(name, base), draw(st.lists(near | st.none(), max_size=20))


@given(columns(), st.integers(0, 3))
def test_values_come_back_exactly(case: tuple[IntegerCodec, list[int | None]], start: int) -> None:
    codec, values = case
    column = pa.array(values, codec.type)[start:]
    numbers = codec.encode(column)
    assert numbers.dtype == np.float64
    assert codec.decode(numbers).equals(column)
    for number, value in zip(numbers, values[start:], strict=True):
        assert np.isnan(number) if value is None else codec.value(number) == value
        assert value is None or codec.number(value) == number


@given(columns())
def test_equality_is_exact(case: tuple[IntegerCodec, list[int | None]]) -> None:
    codec, values = case
    column = pa.array([None, *values], codec.type)[1:]
    for value in [*filter(None, values), codec.base, codec.base + 1, codec.base - 1, 2**64, -(2**63) - 1]:
        assert codec.equals(column, value).tolist() == [one == value for one in values]


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


@pytest.mark.parametrize("kind", TYPES)
def test_decode_keeps_to_the_type(kind: str) -> None:
    limits = np.iinfo(kind)
    for base in (0, int(limits.min), int(limits.max)):
        found = IntegerCodec(kind, base).decode(np.array([np.inf, -np.inf, 1e300, -1e300, np.nan]))
        assert found.to_pylist() == [limits.max, limits.min, limits.max, limits.min, None]
        assert found.type == kind


def test_decode_rounds_half_to_even() -> None:
    assert IntegerCodec("int64", 10).decode(np.array([0.5, 1.5, -0.5, 2.4])).to_pylist() == [10, 12, 10, 12]


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
    np.testing.assert_array_equal(IntegerCodec("int64", 10).encode(column), numbers)


def test_rows_of_wider_types_stay_exact() -> None:
    codec = IntegerCodec("int32", 5)
    assert codec.encode(pa.array([2**62 + 5])).tolist() == [2.0**62]
    assert IntegerCodec("int64", 2**60).encode(pa.array([Decimal(2**60 + 1)])).tolist() == [1.0]


@pytest.mark.parametrize("column", [pa.array(["1"]), pa.array([date(2024, 1, 1)])])
def test_rows_that_are_no_numbers_are_refused(column: pa.Array) -> None:
    with pytest.raises(InputError, match="holds .* values, but int64 values when it was fitted"):
        IntegerCodec("int64", 0).encode(column)


@pytest.mark.parametrize(
    ("given_", "value"),
    [("12", 12), (" -3 ", -3), ("1e3", 1000), (12.0, 12), (np.int8(3), 3), (np.float32(4), 4), (Decimal("2.50e1"), 25),
     (str(2**63 - 1), 2**63 - 1), (-(2**63), -(2**63))],
)  # fmt: skip
def test_parse(given_: object, value: int) -> None:
    codec = IntegerCodec("int64", 7)
    found = codec.parse(given_)
    assert found == value and type(found) is int
    assert codec.parse(codec.show(value)) == value


@pytest.mark.parametrize(
    "given_",
    ["12.5", "abc", "", "nan", "inf", "1e999999999", "1e-999999999", 1e300, 0.5, np.nan, True, np.True_, None, 2**63,
     1j, b"1", date(2024, 1, 1)],
)  # fmt: skip
def test_parse_refuses_what_is_no_integer(given_: object) -> None:
    with pytest.raises(ValueError):
        IntegerCodec("int64", 7).parse(given_)


def test_base_is_the_median() -> None:
    sample = pa.chunked_array([pa.array([2**62, None, 5]), pa.array([2**62 + 1])])
    assert codec_for("x", pa.int64(), sample, CodecRules()) == IntegerCodec("int64", 2**62)
    empty = pa.chunked_array([], pa.uint16())
    assert codec_for("x", pa.uint16(), empty, CodecRules()) == IntegerCodec("uint16", 0)

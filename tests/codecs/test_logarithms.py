"""Logarithms around every other codec."""

from __future__ import annotations

import math
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, strategies as st

from gpuvgm.codecs import DatetimeCodec, FloatCodec, IntegerCodec, LogCodec
from gpuvgm.codecs.decimals import DecimalCodec

EPSILON = 2.0**-52


@given(st.lists(st.floats(5e-324, 1.7e308), min_size=1))
def test_positive_floats_come_back_as_near_as_their_logarithm(values: list[float]) -> None:
    codec = LogCodec.around(FloatCodec(pa.float64()), None, min(values))
    assert codec.low is None
    x = np.array(values)
    numbers = codec.encode(pa.array(values))
    np.testing.assert_array_max_ulp(numbers, np.log(x), 4)
    back = codec.decode(numbers).to_numpy()
    assert np.all(np.abs(back - x) <= (2 + np.abs(np.log(x))) * EPSILON * x + 5e-324)


@given(st.lists(st.floats(-1e150, 1e150), min_size=1), st.booleans())
def test_floats_from_a_minimum_come_back(values: list[float], zero: bool) -> None:
    low = 0.0 if zero else min(0.0, *values, -1.0)
    x = np.abs(values) if zero else np.array(values)
    codec = LogCodec.around(FloatCodec(pa.float64()), None, low)
    assert codec.low == low
    numbers = codec.encode(pa.array(x))
    np.testing.assert_array_max_ulp(numbers, np.log1p(x - low), 4)
    back = codec.decode(numbers).to_numpy()
    assert np.all(np.abs(back - x) <= (4 + numbers) * EPSILON * (x - low) + EPSILON * abs(low) + 5e-324)


@given(st.lists(st.integers(0, 2**44) | st.none()), st.integers(-(2**62), 2**62))
def test_integers_come_back_exactly(steps: list[int | None], low: int) -> None:
    inner = IntegerCodec(pa.int64(), 5)
    codec = LogCodec(inner, low)
    values = [None if step is None else low + step for step in steps]
    column = pa.array(values, pa.int64())
    assert codec.decode(codec.encode(column)).equals(column)
    for value in values:
        if value is not None:
            assert codec.value(codec.number(value)) == value
            assert codec.number(value) == codec.encode(pa.array([value]))[0]


def test_which_logarithm() -> None:
    codec = IntegerCodec(pa.int32(), 9)
    assert LogCodec.around(codec, None, 1) == LogCodec(codec, None)
    assert LogCodec.around(codec, None, 0) == LogCodec(codec, 0)
    assert LogCodec.around(codec, None, -3) == LogCodec(codec, -3)
    np.testing.assert_allclose(LogCodec.around(codec, None, 1).encode(pa.array([1, 10])), [0, math.log(10)])
    np.testing.assert_allclose(LogCodec.around(codec, None, 0).encode(pa.array([0, 9])), [0, math.log(10)])
    np.testing.assert_allclose(LogCodec.around(codec, None, -3).encode(pa.array([-3, 6])), [0, math.log(10)])
    assert LogCodec(codec, None).base == 0
    assert LogCodec(codec, None).type == pa.int32()


@pytest.mark.parametrize(
    ("codec", "column"),
    [
        (LogCodec(FloatCodec(pa.float64()), None), pa.array([0.0, -0.0, -5e-324, -1.0, -np.inf])),
        (LogCodec(FloatCodec(pa.float64()), 2.0), pa.array([1.0, 0.5, -1e300, -np.inf])),
        (LogCodec(IntegerCodec(pa.int64(), 7), None), pa.array([0, -1, -(2**63)])),
        (LogCodec(IntegerCodec(pa.int64(), 7), -5), pa.array([-6, -7, -(2**63)])),
        (LogCodec(DecimalCodec(pa.decimal128(10, 2), 7), 0), pa.array([Decimal("-1.00"), Decimal("-1.01")])),
    ],
)
def test_outside_the_domain(codec: LogCodec, column: pa.Array) -> None:
    assert codec.encode(column).tolist() == [-np.inf] * len(column)


def test_missing_and_infinite() -> None:
    column = pa.array([np.nan, None, np.inf])
    np.testing.assert_array_equal(LogCodec(FloatCodec(pa.float64()), 0.0).encode(column), [np.nan, np.nan, np.inf])
    missing = LogCodec(FloatCodec(pa.float64(), infinite_is_missing=True), 0.0)
    assert np.isnan(missing.encode(pa.array([np.inf, -np.inf]))).all()
    assert missing.decode(np.array([np.nan, 0.0])).to_pylist() == [None, 0.0]


def test_decode_rounds_and_keeps_to_the_type() -> None:
    far = np.array([1e3, np.inf, -1e3, -np.inf, np.nan])
    assert LogCodec(IntegerCodec(pa.int16(), 7), None).decode(far).to_pylist() == [32767, 32767, 0, 0, None]
    assert LogCodec(IntegerCodec(pa.int16(), 7), -3).decode(far).to_pylist() == [32767, 32767, -4, -4, None]
    assert LogCodec(IntegerCodec(pa.uint8(), 7), 0).decode(far).to_pylist() == [255, 255, 0, 0, None]
    assert LogCodec(IntegerCodec(pa.int16(), 7), None).decode(np.log([2.5, 3.5])).to_pylist() == [2, 4]
    assert LogCodec(FloatCodec(pa.float64(), integer=True), None).decode(np.log([2.4, 3.6])).to_pylist() == [2.0, 4.0]
    largest = float(np.finfo(np.float32).max)
    assert LogCodec(FloatCodec(pa.float32()), 1.5).decode(far).to_pylist() == [largest, largest, 0.5, 0.5, None]
    codec = LogCodec(IntegerCodec(pa.int16(), 7), None)
    assert (codec.value(1e3), codec.value(-1e3), codec.value(math.log(8))) == (32767, 0, 8)


def test_decimals_count_with_their_point() -> None:
    codec = LogCodec(DecimalCodec(pa.decimal128(10, 2), 99), 0)
    column = pa.array([Decimal("0.00"), Decimal("1.07"), None], pa.decimal128(10, 2))
    np.testing.assert_allclose(codec.encode(column), [0, math.log(2.07), np.nan])
    assert codec.decode(codec.encode(column)).equals(column)
    assert codec.value(codec.number(107)) == 107


def test_durations() -> None:
    codec = LogCodec(DatetimeCodec(pa.duration("ns"), 10**15), 0)
    column = pa.array([0, 12_345_678_901, None]).view(pa.duration("ns"))
    assert codec.decode(codec.encode(column)).equals(column)


def test_values_are_not_logarithms() -> None:
    codec = LogCodec(FloatCodec(pa.float64()), None)
    assert codec.parse("12.5") == 12.5
    assert codec.show(12.5) == "12.5"
    assert codec.equals(pa.array([12.5, None]), 12.5).tolist() == [True, False]
    assert codec.value(codec.number(1.0)) == 1.0
    assert codec.number(-1.0) == -np.inf

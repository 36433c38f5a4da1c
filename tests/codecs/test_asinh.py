"""The scale that is a logarithm far from zero, around every codec of numbers."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, strategies as st

from gpuvgm.codecs import AsinhCodec, FloatCodec, IntegerCodec, codec_of, rounding_variance
from gpuvgm.codecs.decimals import DecimalCodec
from gpuvgm.records import document_of

EPSILON = 2.0**-52
EXPONENTS = st.integers(-300, 300)


@given(st.lists(st.floats(-1.7e308, 1.7e308), min_size=1), EXPONENTS)
def test_floats_come_back_as_near_as_their_number(values: list[float], exponent: int) -> None:
    codec, x = AsinhCodec(FloatCodec(pa.float64()), exponent), np.array(values)
    numbers = codec.encode(pa.array(values))
    with np.errstate(over="ignore"):
        scaled = np.ldexp(x, -exponent)
    finite = np.isfinite(scaled)
    np.testing.assert_allclose(numbers[finite], np.arcsinh(scaled[finite]), rtol=4 * EPSILON, atol=2 * EPSILON)
    back = codec.decode(numbers).to_numpy()
    allowed = (4 + 3 * np.abs(numbers)) * EPSILON * (np.abs(x) + np.ldexp(1.0, exponent))
    assert np.all(np.abs(back - x) <= allowed)
    np.testing.assert_array_equal(codec.encode(pa.array(-x)), -numbers)


def test_every_value_that_is_no_number_stays_what_it_is() -> None:
    codec = AsinhCodec(FloatCodec(pa.float64()), 3)
    column = pa.array([None, np.inf, -np.inf, 0.0])
    numbers = codec.encode(column)
    np.testing.assert_array_equal(numbers, [np.nan, np.inf, -np.inf, 0.0])
    assert codec.decode(numbers[[0, 3]]).to_pylist() == [None, 0.0]
    assert (codec.value(np.inf), codec.value(-np.inf)) == (codec.limits[1], codec.limits[0])


@given(st.lists(st.integers(-(2**44), 2**44)), st.integers(-(2**40), 2**40), st.integers(-3, 30))
def test_integers_come_back_exactly(values: list[int], base: int, exponent: int) -> None:
    codec, column = AsinhCodec(IntegerCodec(pa.int64(), base), exponent), pa.array(values, pa.int64())
    numbers = codec.encode(column)
    assert codec.decode(numbers).equals(column)
    np.testing.assert_array_equal(codec.of_inner(codec.inner.encode(column)), numbers)
    for value in values:
        assert codec.value(codec.number(value)) == value


def test_decimals_count_with_their_point() -> None:
    column = pa.array([Decimal("12.50"), Decimal("-0.07")])
    codec = AsinhCodec.around(DecimalCodec(column.type, 3), 4.0)
    np.testing.assert_allclose(codec.encode(column), np.arcsinh([12.5 / 4, -0.07 / 4]), atol=2 * EPSILON)
    assert codec.decode(codec.encode(column)).equals(column)


@pytest.mark.parametrize(("size", "exponent"), [(1.0, 0), (0.3, -2), (3.0, 2), (1e308, 1000), (1e-308, -1000)])
def test_the_nearest_power_of_two_is_taken(size: float, exponent: int) -> None:
    codec = AsinhCodec.around(FloatCodec(pa.float64(), step="0.01"), size)
    assert codec.exponent == exponent
    assert codec_of(document_of(codec)) == codec


@given(st.floats(-1e6, 1e6), st.integers(-19, 19))
def test_the_error_of_a_value_is_bounded(value: float, exponent: int) -> None:
    codec = AsinhCodec(FloatCodec(pa.float64()), exponent)
    for error in (1e-3, -1e-3, 1e-9):
        allowed = codec.value_error(abs(error), min(value, 0.0), max(value, 0.0))
        assert abs(codec.value(codec.number(value) + error) - value) <= allowed


def test_rounding_is_wider_where_the_scale_is_steeper() -> None:
    step, x = 0.25, np.array([0.0, 1.0, -64.0])
    codec = AsinhCodec(FloatCodec(pa.float64(), step="0.25"), 1)
    spread = codec.curve(x + step / 2) - codec.curve(x - step / 2)
    np.testing.assert_allclose(np.sqrt(12 * rounding_variance(codec, codec.curve(x))), spread, rtol=3e-3)
    np.testing.assert_array_equal(rounding_variance(codec.inner, x), step**2 / 12)


def test_the_slope_is_finite_wherever_values_are() -> None:
    codec, x = AsinhCodec(FloatCodec(pa.float64()), -900), np.array([-1.7e308, -1.0, 0.0, 1e-300, 1e300])
    np.testing.assert_allclose(codec.slope(codec.curve(x)), np.hypot(x, 2.0**-900), rtol=1e-12)

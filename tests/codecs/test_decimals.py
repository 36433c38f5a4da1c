"""Decimal columns: exact up to 38 digits."""

from __future__ import annotations

from decimal import Decimal, localcontext

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, strategies as st

from gpuvgm.codecs import codec_for, json_value
from gpuvgm.codecs.arrays import differences_of_digits, sums_of_digits
from gpuvgm.codecs.decimals import DecimalCodec
from gpuvgm.errors import InputError
from tests.codecs.test_laws import NARROW, Case, column_of, columns
from tests.io.arrow_types import type_of

MOST = 10**38 - 1
DIGITS = st.integers(-MOST, MOST)


def decimal(unscaled: int | None, scale: int) -> Decimal | None:
    if unscaled is None:
        return None
    digits = Decimal(unscaled).as_tuple()
    return Decimal((digits.sign, digits.digits, -scale))


@given(columns("decimals"))
def test_what_is_shown_is_read_again(case: Case) -> None:
    codec, values = case
    for value in values:
        if value is not None:
            assert codec.parse(codec.show(value)) == value
            assert codec.parse(json_value(decimal(value, codec.scale))) == value


@given(st.lists(st.tuples(DIGITS, DIGITS), min_size=1, max_size=20))
def test_arithmetic_of_wide_decimals(pairs: list[tuple[int, int]]) -> None:
    column, none = column_of([value for value, _ in pairs], "decimal128(38, 5)"), np.zeros(len(pairs), np.bool_)
    for _, other in pairs:
        steps = differences_of_digits(column, other)
        np.testing.assert_allclose(steps, [float(value - other) for value, _ in pairs], rtol=2.0**-52)
        low, high = float(-MOST - other), float(MOST - other)
        sums = [-MOST if step <= low else MOST if step >= high else other + int(step) for step in steps.tolist()]
        found = sums_of_digits(other, steps, (-MOST, MOST), column.type, none)
        assert found.equals(column_of(sums, "decimal128(38, 5)"))


def test_difference_over_the_whole_range() -> None:
    end = 10**38 - 1
    column = column_of([end, -end, None], "decimal128(38, 0)")
    assert DecimalCodec(pa.decimal128(38, 0), -end).encode(column)[0] == float(2 * end)
    for base in (end, -end, 0):
        codec = DecimalCodec(pa.decimal128(38, 0), base)
        assert codec.decode(codec.encode(column)).equals(column)


@pytest.mark.parametrize("text", ["decimal128(12, 2)", "decimal128(30, 2)"])
def test_whole_numbers_on_request(text: str) -> None:
    found = DecimalCodec(type_of(text), 100, integer=True).decode(
        np.array([50.0, 150.0, 151.0, -150.0, -250.0, -99.0, np.nan])
    )
    assert found.equals(column_of([200, 200, 300, 0, -200, 0, None], text))
    assert (
        DecimalCodec(pa.decimal128(2, 4), 0, integer=True)
        .decode(np.array([99.0]))
        .equals(column_of([0], "decimal128(2, 4)"))
    )


@pytest.mark.parametrize(
    ("column", "numbers"),
    [
        (pa.array([1.25, None, np.inf]), [25, np.nan, np.inf]),
        (pa.array([1e308]), [np.inf]),
        (pa.array([3, None]), [200, np.nan]),
        (pa.array([2**62], pa.uint64()), [float(2**62 * 100 - 100)]),
        (pa.array([Decimal("1.2"), None]), [20, np.nan]),
        (pa.array([Decimal("1.234"), None]), [23.4, np.nan]),
        (pa.array([Decimal("1.20"), None], pa.decimal256(50, 2)), [20, np.nan]),
        (pa.array([Decimal("1.234"), None], pa.decimal256(50, 3)), [23.4, np.nan]),
        (pa.nulls(2), [np.nan, np.nan]),
        (pa.array([None, None], pa.decimal128(10, 2)), [np.nan, np.nan]),
    ],
)
@pytest.mark.parametrize("text", ["decimal128(10, 2)", "decimal128(30, 2)"])
def test_rows_of_other_types(column: pa.Array, numbers: list[float], text: str) -> None:
    np.testing.assert_allclose(DecimalCodec(type_of(text), 100).encode(column), numbers, rtol=1e-13)


def test_equality_with_rows_of_other_types() -> None:
    codec = DecimalCodec(pa.decimal128(10, 2), 0)
    assert codec.equals(pa.array([0.07, None, 0.08]), 7).tolist() == [True, False, False]
    assert codec.equals(pa.array([3, None]), 300).tolist() == [True, False]
    assert codec.equals(pa.array([3, None]), 301).tolist() == [False, False]
    assert codec.equals(pa.array([Decimal("1.5"), None]), 150).tolist() == [True, False]
    assert codec.equals(pa.array([Decimal("1.5"), None]), 151).tolist() == [False, False]
    assert codec.equals(pa.array([Decimal("1.500"), None], pa.decimal256(40, 3)), 150).tolist() == [True, False]


@pytest.mark.parametrize(
    ("given_", "text"),
    [("12.50", "12.50"), (12.5, "12.50"), (0.1, "0.10"), (Decimal("-1.2"), "-1.20"),
     (3, "3.00"), ("1e3", "1000.00"), (np.int16(-4), "-4.00"), ("-0", "0.00")],
)  # fmt: skip
def test_parse(given_: object, text: str) -> None:
    codec = DecimalCodec(pa.decimal128(10, 2), 7)
    assert codec.show(codec.parse(json_value(given_))) == text


def test_the_users_decimal_context_does_not_matter() -> None:
    with localcontext() as context:
        context.prec = 3
        codec = DecimalCodec(pa.decimal128(38, 2), 0)
        assert codec.parse("123456789012345678901234567890.12") == 12345678901234567890123456789012
        assert codec.show(12345678901234567890123456789012) == "123456789012345678901234567890.12"


@pytest.mark.parametrize("text", ["decimal128(10, 2)", "decimal128(38, 2)"])
def test_base_is_the_median(text: str) -> None:
    first, second = column_of([700, None, -5], text), column_of([699, 701], text)[:1]
    sample = pa.chunked_array([first, second])
    assert codec_for("x", sample) == DecimalCodec(type_of(text), 699)
    assert codec_for("x", pa.chunked_array([], type_of(text))) == DecimalCodec(type_of(text), 0)


def test_wider_decimals_are_refused_with_a_remedy() -> None:
    sample = pa.chunked_array([], pa.decimal256(50, 2))
    with pytest.raises(InputError, match='column "price" .* cast it to decimal128'):
        codec_for("price", sample)


@pytest.mark.parametrize(("bits", "digits"), [*NARROW, (128, 18), (128, 38)])
def test_buffers_may_be_longer_than_their_rows(bits: int, digits: int) -> None:
    """As in Arrow's files and streams, whose buffers may end anywhere."""
    whole = column_of([5, -7, 10**8, 3], f"decimal{bits}({digits}, 0)")
    padded = pa.py_buffer(whole.buffers()[1].to_pybytes() + b"\xff" * 5)
    codec = codec_for("x", pa.chunked_array([whole]))
    for offset in (0, 2):
        given = pa.Array.from_buffers(whole.type, 4 - offset, [None, padded], offset=offset)
        np.testing.assert_array_equal(codec.encode(given), codec.encode(whole[offset:]))

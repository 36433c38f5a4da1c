"""Floating-point columns of every precision."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, strategies as st

from gpuvgm.codecs import FloatCodec, json_value
from tests.io.arrow_types import type_of

EDGES = [-0.0, 0.0, 5e-324, -5e-324, 1e300, -1e300, 0.1, np.inf, -np.inf]
WIDTHS = {"halffloat": 16, "float": 32, "double": 64}


@pytest.mark.parametrize("kind", WIDTHS)
@given(st.data())
def test_values_come_back_to_the_bit(kind: str, data: st.DataObject) -> None:
    finite = st.floats(allow_nan=False, width=WIDTHS[kind])
    dtype = f"float{WIDTHS[kind]}"
    values = np.array(data.draw(st.lists(finite, min_size=1, max_size=20)), dtype)
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values))))
    column = pa.array(values, mask=mask)
    codec = FloatCodec(type_of(kind))
    back = codec.decode(codec.encode(column))
    assert back.equals(column)
    kept = back.drop_null().to_numpy()
    assert kept.tobytes() == values[~mask].tobytes()


@pytest.mark.parametrize("edge", EDGES)
def test_edges(edge: float) -> None:
    codec = FloatCodec(pa.float64())
    column = pa.array([edge, None, 7.0])[0:2]
    assert codec.encode(column).tobytes() == np.array([edge, np.nan]).tobytes()
    assert codec.decode(codec.encode(column)).equals(column)
    assert codec.equals(column, edge).tolist() == [True, False]
    assert codec.parse(codec.show(edge)) == edge


def test_nan_is_missing() -> None:
    codec = FloatCodec(pa.float32())
    assert codec.decode(codec.encode(pa.array([1.0, np.nan, None], pa.float32()))).to_pylist() == [1.0, None, None]
    assert codec.equals(pa.array([1.0, np.nan, None]), np.nan).tolist() == [False] * 3


def test_infinite_may_be_missing() -> None:
    codec = FloatCodec(pa.float64(), infinite_is_missing=True)
    column = pa.array([np.inf, 1.0, -np.inf, None])
    np.testing.assert_array_equal(codec.encode(column), [np.nan, 1.0, np.nan, np.nan])
    assert codec.equals(column, np.inf).tolist() == [False] * 4


def test_whole_numbers_on_request() -> None:
    codec = FloatCodec(pa.float64(), integer=True)
    found = codec.decode(np.array([0.5, 1.5, -0.3, np.nan, 1e300]))
    assert found.to_pylist() == [0.0, 2.0, 0.0, None, 1e300]
    assert not np.signbit(found[2].as_py())


def test_columns_without_values() -> None:
    codec = FloatCodec(pa.null())
    assert np.isnan(codec.encode(pa.nulls(3))).all()
    assert codec.equals(pa.nulls(3), 0.0).tolist() == [False] * 3
    assert codec.decode(np.full(2, np.nan)).null_count == 2


@pytest.mark.parametrize(
    ("column", "numbers"),
    [
        (pa.array([1, None]), [1, np.nan]),
        (pa.array([2**53 + 1]), [2.0**53]),
        (pa.array([True, None]), [1, np.nan]),
        (pa.array([Decimal("0.07"), None]), [0.07, np.nan]),
        (pa.array([Decimal("7"), None]), [7, np.nan]),
        (pa.array([Decimal("0.07"), None], pa.decimal128(38, 2)), [0.07, np.nan]),
        (pa.array([Decimal("0.07"), None], pa.decimal256(50, 2)), [0.07, np.nan]),
        (pa.array(np.array([1.5], np.float16)), [1.5]),
        (pa.array([], pa.float32()), []),
    ],
)
def test_rows_of_other_types(column: pa.Array, numbers: list[float]) -> None:
    np.testing.assert_allclose(FloatCodec(pa.float64()).encode(column), numbers, rtol=1e-15)


def test_equality_across_types_is_exact() -> None:
    codec = FloatCodec(pa.float64())
    large = pa.array([2**53, 2**53 + 1], pa.int64())
    assert codec.equals(large, 2.0**53).tolist() == [True, False]
    assert codec.equals(pa.array([2.0**53]), 2**53 + 1).tolist() == [False]
    assert codec.equals(pa.array([2.0**53]), 2**53).tolist() == [True]
    assert codec.equals(pa.array([np.inf]), 10**400).tolist() == [False]
    narrow = pa.array([0.1], pa.float32())
    assert codec.equals(narrow, 0.1).tolist() == [False]
    assert codec.equals(narrow, float(np.float32(0.1))).tolist() == [True]


@pytest.mark.parametrize("kind", WIDTHS)
@pytest.mark.parametrize("given_", ["0.1", 0.1, Decimal("0.1"), np.float32(0.1), 3, "1e-3", np.int64(2)])
def test_parse_gives_a_value_of_the_precision(kind: str, given_: object) -> None:
    codec = FloatCodec(type_of(kind))
    value = codec.parse(json_value(given_))
    assert codec.equals(pa.array([value], pa.float64()).cast(type_of(kind), safe=False), value).tolist() == [True]
    assert codec.parse(codec.show(value)) == value


def test_show() -> None:
    assert FloatCodec(pa.float32()).show(float(np.float32(0.1))) == "0.1"
    assert FloatCodec(pa.float64()).show(3.0) == "3"
    assert FloatCodec(pa.float64()).show(1e300) == "1e+300"

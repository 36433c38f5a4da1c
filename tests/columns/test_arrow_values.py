"""Arrays of Arrow put together, picked from and cast, where Arrow itself fails or errs."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from gpuvgm.io import joined_arrays, plain_values_of, taken
from gpuvgm.io.arrow import exactly_cast


def coded(codes, entries, type_=None):
    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int8()), pa.array(entries, type_))


def values_of(array):
    return [None if code is None else array.dictionary[code].as_py() for code in array.indices.to_pylist()]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (["a", None], [None, "b"]),
        (np.array([0.5, -1.25], np.float16), np.array([-1.25, 0.5], np.float16)),
        ([[1], [2]], [[2], [1]]),
        (["a", "b"], ["a", "b"]),
    ],
    ids=["missing entries", "halves", "lists", "the same"],
)
def test_dictionaries_that_differ_are_joined(first, second):
    arrays = [coded([0, 1, None], first), coded([1, 0], second), coded([0], first)]
    joined = joined_arrays(arrays, arrays[0].type)
    assert joined.type == arrays[0].type
    assert values_of(joined) == [value for array in arrays for value in values_of(array)]


def test_more_entries_than_the_indices_number_are_refused():
    arrays = [coded([0], [f"{part}{i}" for i in range(100)]) for part in "ab"]
    with pytest.raises(pa.ArrowInvalid):
        joined_arrays(arrays, arrays[0].type)


def test_nothing_joined_is_nothing():
    assert joined_arrays([], pa.string()).equals(pa.array([], pa.string()))


def test_the_values_behind_a_column():
    column = pa.chunked_array([coded([1, None], [5, None]), coded([0], [7])])
    assert plain_values_of(column).to_pylist() == [None, None, 7]
    assert plain_values_of(pa.chunked_array([], column.type)).type == pa.int64()


def test_rows_of_views():
    views = pa.array(["a", None, "c"], pa.string_view())
    assert taken(views, np.array([2, 1])).to_pylist() == ["c", None]
    assert taken(views, np.array([], np.int64)).type == views.type
    assert taken(pa.chunked_array([views, views]), np.array([5, 0])).to_pylist() == ["c", "a"]


@pytest.mark.parametrize(
    ("values", "type_"),
    [
        (pa.array([0.5, 0.1]), pa.float32()),
        (pa.array([0.123]), pa.decimal128(5, 2)),
        (pa.array(["123456789012345678.12"]).cast(pa.decimal128(20, 2)), pa.float64()),
        (pa.array([1001], pa.timestamp("s")), pa.date32()),
        (pa.array([2**53 + 1]), pa.float64()),
    ],
)
def test_casts_that_would_round_are_refused(values, type_):
    with pytest.raises(pa.ArrowInvalid):
        exactly_cast(values, type_)


@pytest.mark.parametrize(
    ("values", "type_"),
    [
        (pa.array([0.5, np.nan, None]), pa.float32()),
        (pa.array([0.1]), pa.decimal128(5, 2)),
        (pa.array(np.array([0.5], np.float16)), pa.float64()),
        (pa.array([86_400, None], pa.timestamp("s")), pa.date32()),
        (pa.array([0.1]), pa.string()),
    ],
)
def test_casts_that_hold_the_values(values, type_):
    assert exactly_cast(values, type_).type == type_

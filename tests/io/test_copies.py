"""Slices copied and pickled: the same values, in buffers that hold no other rows."""

from __future__ import annotations

import pickle

import numpy as np
import pyarrow as pa
import pytest

from gpuvgm.io.arrow import Packed, copied, taken
from gpuvgm.io.block import copied_rows
from tests.io.arrow_types import MISSING, arrow_columns

ROWS, FIRST, LENGTH = 100_000, 1003, 20  # of a slice that begins within a byte of the bits
TEXTS = [f"text number {i} of many" for i in range(ROWS)]
ENTRIES = 50


def _dictionary(entries: list[str]) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(np.arange(ROWS) % len(entries), pa.int32()), pa.array(entries))


def _runs(values: pa.Array) -> pa.Array:
    return pa.RunEndEncodedArray.from_arrays(pa.array(range(1, ROWS + 1), pa.int32()), values)


def columns() -> dict[str, pa.Array]:
    """Rows of every way in which Arrow lays out values, by what it is called."""
    views, words = pa.array(TEXTS, pa.string_view()), _dictionary([f"word {i}" for i in range(ENTRIES)])
    numbers, odd = pa.array(np.arange(ROWS)), np.arange(ROWS) % 2 == 1
    lists = np.arange(0, 2 * ROWS + 1, 2, np.int32)
    return {
        "int64": numbers,
        "missing": pa.array(np.arange(ROWS), mask=odd),
        "bool": pa.array(odd),
        "decimal": numbers.cast(pa.decimal128(20, 0)),
        "string": pa.array(TEXTS),
        "large_string": pa.array(TEXTS, pa.large_string()),
        "string_view": views,
        "binary": pa.array([text.encode() for text in TEXTS]),
        "binary_view": pa.array([text.encode() for text in TEXTS]).cast(pa.binary_view()),
        "fixed_size_binary": pa.array([text.encode()[:15] for text in TEXTS], pa.binary(15)),
        "dictionary": words,
        "list": pa.array([[i, i + 1] for i in range(ROWS)]),
        "large_list": pa.array([[text] for text in TEXTS], pa.large_list(pa.string())),
        "fixed_size_list": pa.FixedSizeListArray.from_arrays(pa.array(TEXTS + TEXTS), 2),
        "list_view": pa.array([[text] for text in TEXTS], pa.list_view(pa.string())),
        "struct": pa.array([{"a": i, "b": text} for i, text in enumerate(TEXTS)]),
        "map": pa.array([[(text, i)] for i, text in enumerate(TEXTS)], pa.map_(pa.string(), pa.int64())),
        "run_end_encoded": _runs(pa.array(TEXTS)),
        "union": pa.UnionArray.from_sparse(pa.array(odd.astype(np.int8)), [numbers, pa.array(TEXTS)]),
        "uuid": pa.ExtensionArray.from_storage(
            pa.uuid(), pa.array([text.encode()[-16:] for text in TEXTS], pa.binary(16))
        ),
        "list of views": pa.ListArray.from_arrays(lists, pa.array(TEXTS + TEXTS, pa.string_view())),
        "list of dictionaries": pa.ListArray.from_arrays(lists, pa.concat_arrays([words, words])),
        "struct of views and dictionaries": pa.StructArray.from_arrays([views, words, numbers], ["v", "d", "n"]),
        "map of views": pa.array([[(text, i)] for i, text in enumerate(TEXTS)], pa.map_(pa.string_view(), pa.int64())),
        "fixed_size_list of views": pa.FixedSizeListArray.from_arrays(pa.array(TEXTS + TEXTS, pa.string_view()), 2),
        "list_view of views": pa.array([[text] for text in TEXTS], pa.list_view(pa.string_view())),
        "run_end_encoded of views": _runs(views),
    }


COLUMNS = columns()
LEAST = 5000  # bytes: more than so many rows of any of them take


@pytest.mark.parametrize("name", COLUMNS)
def test_a_copied_slice_holds_its_own_rows(name):
    rows = COLUMNS[name].slice(FIRST, LENGTH)
    found = copied(rows)
    found.validate(full=True)
    assert found.type == rows.type and found.equals(rows)
    assert found.get_total_buffer_size() < LEAST < rows.get_total_buffer_size()
    assert found.to_pylist() == rows.to_pylist()


@pytest.mark.parametrize("name", COLUMNS)
def test_a_packed_slice_is_as_long_as_its_rows(name):
    """Where Arrow's own pickle holds all rows of the column."""
    table = pa.table({"x": COLUMNS[name].slice(FIRST, LENGTH)})
    value = [(3, table), table.to_batches()[0]]
    for version in (4, 5):
        sent = pickle.dumps(Packed(value), version)
        assert len(sent) < 2 * LEAST < len(pickle.dumps(table))
        (number, first), second = Packed.unpack(pickle.loads(sent))
        assert number == 3 and first.equals(table) and second.equals(value[1]) and first.schema == table.schema


@pytest.mark.parametrize("missing", MISSING)
def test_slices_of_every_type_are_the_same_once_copied(missing):
    for name, column in arrow_columns(missing).items():
        for start, length in ((7, 13), (0, 0), (0, len(column))):
            rows = column.slice(start, length)
            for found in (copied(rows), Packed.unpack(Packed(rows))):
                found.validate(full=True)
                assert found.type == rows.type and found.equals(rows), name


def test_what_is_whole_is_not_copied():
    for name in ("int64", "missing", "string", "list", "struct", "fixed_size_binary"):
        assert copied(COLUMNS[name]) is COLUMNS[name]


def test_a_dictionary_of_several_arrays_is_packed_once():
    entries = pa.array([f"entry number {i}" for i in range(50_000)])
    codes = [pa.array(np.arange(10) + first, pa.int32()) for first in range(40)]
    arrays = [pa.DictionaryArray.from_arrays(one, entries) for one in codes]
    sent = pickle.dumps(Packed(arrays))
    assert entries.nbytes < len(sent) < 1.1 * entries.nbytes
    found = Packed.unpack(pickle.loads(sent))
    assert all(a.equals(b) and a.type == b.type for a, b in zip(found, arrays, strict=True))


def test_what_only_dask_can_pickle_stays_as_it_is():
    value = [lambda: 0]
    assert Packed.pack(value) is value and Packed.unpack(value) is value


def test_copied_rows_of_views_leave_the_batch_behind():
    batch = pa.record_batch({name: COLUMNS[name] for name in ("string_view", "binary_view", "list of views")})
    rows = copied_rows(batch, FIRST, LENGTH)
    assert rows.equals(batch.slice(FIRST, LENGTH))
    assert rows.get_total_buffer_size() < 3 * LEAST


@pytest.mark.parametrize("name", ["string_view", "binary_view"])
def test_single_rows_of_views_leave_the_others_behind(name):
    rows = np.array([5, 3, 99_999, 3])
    for column in (COLUMNS[name], pa.chunked_array([COLUMNS[name].slice(0, 7), COLUMNS[name].slice(7)])):
        found = taken(column, rows)
        assert found.type == column.type and found.to_pylist() == [column[int(row)].as_py() for row in rows]
        assert found.get_total_buffer_size() < LEAST


def test_rows_that_are_missing_are_so_in_types_that_arrow_does_not_take():
    column = pa.StructArray.from_arrays([COLUMNS["string_view"].slice(0, 3)], ["text"])
    rows = pa.array([2, None, 0])
    for values in (column, pa.chunked_array([column.slice(0, 1), column.slice(1)])):
        found = taken(values, rows)
        assert found.type == column.type and found.to_pylist() == [column[2].as_py(), None, column[0].as_py()]

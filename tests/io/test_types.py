"""All types of Arrow, in every shape in memory, through every kind of result: as the plain path gives them."""

from __future__ import annotations

from functools import cache

import dask.dataframe as dd
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from gpuvgm import TableTransformer
from gpuvgm.columns.categories import is_category_type
from gpuvgm.errors import InputError
from gpuvgm.io import open_source
from gpuvgm.io.arrow import is_number_type
from tests.io.arrow_types import MISSING, ROWS, SHAPES, arrow_columns, python_values


def table_of(missing="some", shape="whole"):
    """Every column thrice, as far as kinds can hold it: categorical, as a number, passed on."""
    columns = {}
    for name, values in arrow_columns(missing).items():
        shaped = SHAPES[shape](values)
        columns[f"{name}: pass"] = shaped
        if is_category_type(values.type):
            columns[f"{name}: categorical"] = shaped
        if is_number_type(values.type):
            columns[f"{name}: continuous"] = shaped
    return pa.table(columns)


def kinds_of(names):
    return {name: {"kind": name.rpartition(": ")[2]} for name in names}


@cache
def fitted():
    table = table_of()
    return TableTransformer(kinds_of(table.schema.names), effort="research", block_rows=23).fit(table)


@cache
def encoded(missing):
    return fitted().transform(table_of(missing))


@cache
def decoded(missing):
    return fitted().inverse_transform(encoded(missing))


PANDAS_MOVES_RUNS = pd.__version__.startswith("2.")  # pandas 2 itself forgets the offset of run ends


def assert_same(got, expected, names=None):
    names = expected.schema.names if names is None else names
    wrong = [name for name in names if python_values(got[name]) != python_values(expected[name])]
    assert not wrong, {name: (python_values(got[name])[:4], python_values(expected[name])[:4]) for name in wrong}


@pytest.mark.parametrize("missing", MISSING)
def test_what_is_categorical_or_passed_on_comes_back_as_it_was(missing):
    table = table_of(missing)
    kept = [name for name in table.schema.names if not name.endswith("continuous")]
    got = decoded(missing)
    assert_same(got, table, kept)
    assert [got.schema.field(name).type for name in kept] == [table.schema.field(name).type for name in kept]


@pytest.mark.parametrize("missing", MISSING)
@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape != "whole"])
def test_shapes_in_memory_change_nothing(shape, missing):
    table = table_of(missing, shape)
    got = fitted().transform(table)
    assert_same(got, encoded(missing))
    assert_same(fitted().inverse_transform(shaped_again(got, shape)), decoded(missing))


def shaped_again(table, shape):
    """A table with its columns in some shape, each from one array."""
    arrays = {name: pa.concat_arrays(table.column(name).chunks) for name in table.schema.names}
    return pa.table({name: SHAPES[shape](array) for name, array in arrays.items()})


@pytest.mark.parametrize("shape", SHAPES)
def test_other_sources_of_the_same_rows_give_the_same(shape):
    table = table_of("some", shape)
    columns = {name: table.column(name) for name in table.schema.names}
    sources = {
        "dict": columns,
        "batches": iter(table.to_batches(max_chunksize=11)),
        "stream": table.to_reader(),
        "pandas": table.to_pandas(types_mapper=pd.ArrowDtype),
    }
    kept = [name for name in encoded("some").schema.names if not (PANDAS_MOVES_RUNS and name.startswith("run ends"))]
    for kind, given in sources.items():
        got = fitted().transform(given)
        assert_same(got, encoded("some"), kept if kind == "pandas" else None)


def test_a_fit_sees_the_same_in_every_shape():
    kinds = kinds_of(table_of().schema.names)
    for shape in SHAPES:
        again = TableTransformer(kinds, effort="research", block_rows=31).fit(table_of("some", shape))
        assert_same(again.transform(table_of("some")), encoded("some"))


@pytest.mark.parametrize("missing", MISSING)
def test_arrays_hold_what_arrow_holds(missing):
    got = fitted().inverse_transform({name: encoded(missing).column(name) for name in encoded(missing).schema.names})
    assert all(isinstance(values, np.ndarray) and values.shape == (ROWS,) for values in got.values())
    assert_same(got, decoded(missing), got)
    assert list(got) == decoded(missing).schema.names


@pytest.mark.parametrize("missing", MISSING)
def test_a_matrix_holds_what_arrow_holds(missing):
    """It comes back as the kind of table that was fitted."""
    got = fitted().inverse_transform(fitted().transform(table_of(missing), layout="onehot"))
    assert isinstance(got, pa.Table)
    assert_same(got, decoded(missing), got.schema.names)


@pytest.mark.parametrize("missing", MISSING)
def test_pandas_holds_what_arrow_holds(missing):
    frame = encoded(missing).to_pandas(types_mapper=pd.ArrowDtype)
    assert_same(fitted().inverse_transform(frame), decoded(missing))
    fitted().set_output(transform="pandas")
    try:
        assert_same(fitted().transform(table_of(missing, "chunks")), encoded(missing))
    finally:
        fitted().set_output(transform="default")


@pytest.mark.parametrize("missing", MISSING)
def test_polars_holds_what_arrow_holds(missing):
    table = table_of(missing)
    fitted().set_output(transform="polars")
    try:
        got = fitted().transform(table)
    finally:
        fitted().set_output(transform="default")
    assert isinstance(got, pl.DataFrame)
    assert_same(got, encoded(missing))


def test_batches_put_together_are_what_transform_gives():
    table = table_of("some", "offset chunks")
    batches = list(fitted().iter_batches(table, 13, layout="compact"))
    assert [len(batch) for batch in batches] == [13, 13, 13, 13, 8]
    for name in encoded("some").schema.names:
        values = [value for batch in batches for value in python_values(batch[name])]
        assert values == python_values(encoded("some")[name]), name


def test_frames_of_dask_give_the_same():
    table = table_of("some")
    refused = ("_view", "run ends")  # Dask itself picks no rows of these
    kept = [name for name in table.schema.names if not any(part in name for part in refused)]
    frame = table.select(kept).to_pandas(types_mapper=pd.ArrowDtype)
    transformer = TableTransformer(kinds_of(kept), effort="research").fit(table.select(kept))
    lazy = transformer.transform(dd.from_pandas(frame, npartitions=2, sort=False))
    back = transformer.inverse_transform(lazy)
    assert_same(lazy.compute(), transformer.transform(table))
    assert_same(back.compute(), table, [name for name in kept if not name.endswith("continuous")])


def test_invalid_rows_are_left_out_of_columns_of_every_type():
    table = encoded("some")
    far = table.schema.get_field_index("int64: continuous.scalar")
    scalars = np.array(table.column(far).to_numpy())
    scalars[5] = 1.0
    given = table.set_column(far, table.schema.field(far), pa.array(scalars))
    whole, valid = fitted().inverse_transform(given, return_valid=True)
    kept = fitted().inverse_transform(given, invalid="drop")
    assert 0 < np.sum(~valid)
    for name in whole.schema.names:
        values = [value for value, holds in zip(python_values(whole[name]), valid, strict=True) if holds]
        assert python_values(kept[name]) == values, name


@pytest.mark.parametrize("kind", ["continuous", "general", "categorical"])
def test_types_that_a_kind_cannot_hold_are_refused_by_name(kind):
    holds = is_category_type if kind == "categorical" else is_number_type
    refused = {name: values for name, values in arrow_columns("some").items() if not holds(values.type)}
    assert {"list", "uuid", "binary"} <= set(refused)
    for values in refused.values():
        with pytest.raises(InputError, match="own name"):
            TableTransformer({"own name": {"kind": kind}}, effort="research").fit(pa.table({"own name": values}))


def test_samples_by_strata_take_rows_of_every_type():
    table = pa.concat_tables([table_of("some", "chunks")] * 3)
    transformer = TableTransformer(
        {name: {"kind": "pass"} for name in table.schema.names}, sample_rows=20, stratified=True
    )
    assert transformer.fit(table).model_.rows == 20


@pytest.mark.parametrize(
    "given",
    [
        [2**60 + 3, None, 5],
        [2**60 + 3, float("nan"), 5],
        np.array([2**60 + 3, None, 5], object),
        np.ma.MaskedArray([2**60 + 3, 9, 5], [False, True, False]),
        pd.array([2**60 + 3, None, 5], "Int64"),
    ],
    ids=["list", "list with NaN", "objects", "masked", "nullable"],
)
def test_whole_numbers_keep_their_digits_on_the_way_in(given):
    source = open_source({"n": given})
    (block,) = source.blocks(["n"], 10)
    assert block.column("n").to_pylist() == [2**60 + 3, None, 5]


def test_masked_cells_of_an_encoded_matrix_are_missing():
    transformer = TableTransformer({"x": {"kind": "continuous"}}, effort="research").fit({"x": np.arange(50.0)})
    matrix = transformer.transform({"x": np.arange(3.0)}, layout="onehot", dtype="float64")
    masked = np.ma.MaskedArray(matrix, np.zeros(matrix.shape, bool))
    np.testing.assert_array_equal(
        transformer.inverse_transform(masked)["x"], transformer.inverse_transform(matrix)["x"]
    )
    masked[1, 0] = np.ma.masked
    with pytest.raises(InputError, match=r'holds NaN in row 1, column 0 \("x.scalar"'):
        transformer.inverse_transform(masked)


@pytest.mark.parametrize("type_", [pa.dictionary(pa.int8(), pa.uint8()), pa.bool_()])
def test_modes_that_are_missing_are_refused(type_):
    transformer = TableTransformer(effort="research").fit({"c": ["a", "b"] * 20})
    modes = pa.array([0, 1, None], pa.uint8())
    given = pa.table({"c.mode": modes.dictionary_encode().cast(type_) if type_ != pa.bool_() else modes.cast(type_)})
    with pytest.raises(InputError, match="nan at row 2"):
        transformer.inverse_transform(given)


def test_a_dictionary_may_fill_its_indices_beside_missing_rows():
    entries = pa.array([f"{i:03}" for i in range(128)])
    codes = pa.array([*range(128), None] * 2, pa.int8())
    table = pa.table({"c": pa.DictionaryArray.from_arrays(codes, entries)})
    transformer = TableTransformer({"c": {"kind": "categorical"}}, effort="research").fit(table)
    back = transformer.inverse_transform(transformer.transform(table))
    assert python_values(back["c"]) == python_values(table["c"])

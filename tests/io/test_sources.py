"""Every form of a table reads as the same rows, in blocks of exactly the length asked for."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from gpuvgm import TableTransformer
from gpuvgm.errors import InputError
from gpuvgm.io import Source, open_source, restore

ONCE = ("reader", "foreign_reader", "iterator_of_frames", "iterator_of_mixed")
UNCOUNTED = (*ONCE, "capsule", "arrow_stream")
FLAVOURS = {
    "parquet": "path",
    "parquet_text": "path",
    "parquet_without_ending": "path",
    "folder_of_parquet": "path",
    "glob": "path",
    "list_of_paths": "path",
    "arrow_file": "path",
    "arrow_stream": "path",
    "feather_lz4": "path",
    "pandas": "pandas",
    "pandas_one_matrix": "pandas",
    "polars": "polars",
    "polars_chunked": "polars",
    "pyarrow": "pyarrow",
    "record_batch": "pyarrow",
    "reader": "stream",
    "capsule": "stream",
    "foreign_reader": "stream",
    "dataset": "pyarrow",
    "filtered_dataset": "pyarrow",
    "relation": "pyarrow",
    "lazy_frame": "polars",
    "lazy_scan": "polars",
    "dict_of_arrays": "dict",
    "dict_of_strided": "dict",
    "dict_of_big_endian": "dict",
    "dict_of_arrow": "dict",
    "iterator_of_frames": "stream",
    "iterator_of_mixed": "stream",
}


def read(source: Source, columns: list[str], block_rows: int) -> pa.Table:
    """All rows; every block is checked for its place and length."""
    blocks = list(source.blocks(columns, block_rows))
    for number, block in enumerate(blocks):
        assert block.first_row == number * block_rows
        assert block.rows == block_rows or (block is blocks[-1] and 0 < block.rows < block_rows)
        assert block.table.schema.names == columns
    return pa.Table.from_batches([block.table for block in blocks])


@pytest.mark.parametrize("form", FLAVOURS)
@pytest.mark.parametrize("block_rows", [1, 77, 100, 401, 1003, 5000])
def test_blocks_are_the_table(forms, table, form, block_rows):
    source = open_source(getattr(forms, form)())
    columns = ["n", "f", "x"] if block_rows % 2 else ["x"]
    assert source.flavour == FLAVOURS[form]
    assert source.schema.names == ["x", "n", "f"]
    assert source.schema.types == table.schema.types
    assert source.rows == (None if form in UNCOUNTED else table.num_rows)
    assert read(source, columns, block_rows).equals(table.select(columns))


@pytest.mark.parametrize("form", FLAVOURS)
def test_a_second_reading_is_the_first_or_refused(forms, table, form):
    source = open_source(getattr(forms, form)())
    assert source.repeatable == (form not in ONCE)
    read(source, ["x"], 100)
    if source.repeatable:
        assert read(source, ["n", "x"], 333).equals(table.select(["n", "x"]))
    else:
        with pytest.raises(InputError, match="only once"):
            source.blocks(["x"], 100)


@pytest.mark.parametrize("form", FLAVOURS)
def test_sample_takes_rows_by_position(forms, table, form):
    source = open_source(getattr(forms, form)())
    runs = [(0, 3), (120, 290), (400, 1), (399, 3), (1000, 3), (7, 0), (50, 20)]
    if source.rows is None:
        with pytest.raises(InputError, match="number is unknown"):
            source.sample(["x"], runs)
        return
    expected = pa.concat_tables([table.slice(start, length) for start, length in runs]).select(["f", "x"])
    assert source.sample(["f", "x"], runs).equals(expected)
    assert source.sample(["x"], []).num_rows == 0
    with pytest.raises(InputError, match="rows 1000 to 1004 were asked for, there are 1003"):
        source.sample(["x"], [(1000, 4)])


@pytest.mark.parametrize("form", FLAVOURS)
def test_fingerprints_are_json_and_missing_columns_are_named_with_those_there_are(forms, form):
    source = open_source(getattr(forms, form)())
    assert json.loads(json.dumps(source.fingerprint())) == source.fingerprint()
    assert open_source(source) is source
    assert isinstance(source, Source)
    with pytest.raises(InputError, match=r'no column "xx"; did you mean "x"\? columns: "x", "n", "f"'):
        source.blocks(["n", "xx"], 100)


def test_fingerprint_of_files_tells_name_and_size(forms):
    path = forms.parquet()
    (file,) = open_source(path).fingerprint()["files"]
    assert file == {"name": "t.parquet", "bytes": path.stat().st_size, "changed_ns": path.stat().st_mtime_ns}


class Tensor:
    """An array of another library on the host, which gives its numbers by DLPack alone."""

    def __init__(self, array):
        self.array = array

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()

    def __dlpack__(self, **options):
        if not self.array.flags.writeable:
            raise BufferError("it requires a gradient")
        return self.array.__dlpack__(**options)


def test_a_tensor_of_the_host_is_a_matrix():
    matrix = np.arange(6, dtype=np.float32).reshape(3, 2)
    transformer = TableTransformer(layout="onehot").fit(Tensor(matrix))
    encoded = transformer.transform(matrix)
    back = transformer.inverse_transform(Tensor(encoded))
    np.testing.assert_array_equal(np.column_stack([back["0"], back["1"]]), matrix)
    with pytest.raises(InputError, match="a one-dimensional"):
        open_source(Tensor(np.arange(3.0)))
    matrix.flags.writeable = False
    with pytest.raises(InputError, match=r"Tensor: .*requires a gradient.*tensor\.detach\(\)\.numpy\(\)"):
        open_source(Tensor(matrix))


def test_matrix_columns_are_numbered():
    matrix = np.arange(12.0).reshape(4, 3)
    source = open_source(matrix)
    assert (source.flavour, source.rows, source.schema.names) == ("matrix", 4, ["0", "1", "2"])
    assert read(source, ["2", "0"], 3).to_pydict() == {"2": [2.0, 5.0, 8.0, 11.0], "0": [0.0, 3.0, 6.0, 9.0]}


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "uint8"])
def test_arrays_in_memory_are_not_copied(dtype):
    values = np.arange(1000).astype(dtype)
    for given in ({"a": values}, pd.DataFrame({"a": values}, copy=False), pa.table({"a": values})):
        held = values if not isinstance(given, pd.DataFrame) else given["a"].to_numpy()
        *_, block = open_source(given).blocks(["a"], 300)
        address = block.table.column(0).to_numpy().__array_interface__["data"][0]
        assert address == held.__array_interface__["data"][0] + 900 * values.itemsize


def test_nan_stays_a_value_in_floats_and_null_in_nullable():
    frame = pd.DataFrame({"float": [1.0, np.nan], "nullable": pd.array([1, None], dtype="Int64")})
    (block,) = open_source(frame).blocks(["float", "nullable"], 10)
    assert block.table.column(0).null_count == 0
    assert np.isnan(block.table.column(0).to_numpy()[1])
    assert block.table.column(1).to_pylist() == [1, None]


def test_object_columns_keep_one_type_over_all_blocks():
    source = open_source({"a": np.array([1, 2, 3, 4.5, None], dtype=object)})
    assert [block.table.schema.types for block in source.blocks(["a"], 2)] == [[pa.float64()]] * 3


def test_text_dictionaries_join_over_chunk_borders():
    chunks = pa.chunked_array([pa.array(["a", "b"]).dictionary_encode(), pa.array(["c", "a", "b"]).dictionary_encode()])
    source = open_source(pa.table({"category": chunks}))
    assert read(source, ["category"], 3).column(0).to_pylist() == ["a", "b", "c", "a", "b"]
    frame = pl.DataFrame({"category": pl.Series(["a", "b", "a"], dtype=pl.Categorical), "text": ["x", "y", "z"]})
    joined = read(open_source(pl.concat([frame, frame], rechunk=False)), ["category", "text"], 4)
    assert joined.column("category").to_pylist() == ["a", "b", "a"] * 2
    assert joined.column("text").to_pylist() == ["x", "y", "z"] * 2


def test_dicts_may_hold_series_and_lists():
    source = open_source(
        {"pandas": pd.Series([1, None], dtype="Int64"), "polars": pl.Series([1.5, None]), "list": [1, 2]}
    )
    assert source.schema.types == [pa.int64(), pa.float64(), pa.int64()]
    assert read(source, ["pandas", "polars"], 1).to_pydict() == {"pandas": [1, None], "polars": [1.5, None]}


def test_rows_are_located_in_their_file(forms):
    inner = forms.folder_of_parquet()
    source = open_source(inner)
    assert source.locate(0) == f"{inner / 'a.parquet'}, row 1"
    assert source.locate(400) == f"{inner / 'b' / 'c.parquet'}, row 1"
    assert source.locate(1002) == f"{inner / 'b' / 'd.PARQUET'}, row 602"
    assert open_source(forms.pandas()).locate(7) == "pandas.DataFrame, row 7"
    for name in "12":
        (forms.folder / f"{name}.csv").write_text("a\n1\n")
    assert open_source(forms.path("1.csv")).locate(3) == f"{forms.path('1.csv')}, row 4"
    assert open_source([forms.path("1.csv"), forms.path("2.csv")]).locate(3).endswith("1.csv and 1 more, row 4")


def test_masked_arrays_are_missing_where_masked():
    source = open_source({"a": np.ma.masked_array([1.0, 2.0, 3.0], [False, True, False])})
    assert read(source, ["a"], 2).column(0).to_pylist() == [1.0, None, 3.0]


def test_parts_of_an_iterator_widen_without_loss():
    parts = [pd.DataFrame({"a": [1.5]}), pd.DataFrame({"a": [2]}), pa.table({"a": pa.nulls(1)})]
    assert read(open_source(iter(parts)), ["a"], 2).column(0).to_pylist() == [1.5, 2.0, None]


@pytest.mark.parametrize(
    "empty", [pd.DataFrame({"a": np.zeros(0)}), {"a": np.zeros(0)}, pa.table({"a": pa.array([], pa.float64())})]
)
def test_no_rows_are_legal_in_memory(empty):
    source = open_source(empty)
    assert source.rows == 0
    assert list(source.blocks(["a"], 10)) == []
    assert source.sample(["a"], []).schema.names == ["a"]
    assert len(restore(source.sample(["a"], []), source)) == (1 if isinstance(empty, dict) else 0)


def test_importing_frames_loads_no_frame_library():
    code = (
        "import sys, gpuvgm.io, gpuvgm.execution.local, gpuvgm.datasets;"
        "assert not {'pandas', 'polars', 'sklearn', 'dask'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("write", [pq.write_table, feather.write_feather])
def test_dictionaries_of_files_differ_in_their_indices(tmp_path, write):
    """As pandas' categories do, which it numbers with as few bits as it can."""
    words = [f"w{i % 300}" for i in range(3000)]
    for number, (low, high, bits) in enumerate(((0, 100, pa.int8()), (100, 3000, pa.int16()), (200, 290, pa.int8()))):
        coded = pa.array(words[low:high]).dictionary_encode().cast(pa.dictionary(bits, pa.string()))
        write(pa.table({"word": coded}), tmp_path / f"{number}.{'parquet' if write is pq.write_table else 'feather'}")
    opened = open_source(tmp_path)
    (block,) = opened.blocks(["word"], 5000)
    assert block.batch.schema == opened.schema == pa.schema([("word", pa.dictionary(pa.int32(), pa.string()))])
    assert block.column("word").to_pylist() == words + words[200:290]
    assert opened.sample(["word"], [(95, 10)]).column("word").to_pylist() == words[95:105]

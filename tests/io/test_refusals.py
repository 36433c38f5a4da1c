"""What cannot be read is refused with a message that names it and says what to do."""

from __future__ import annotations

import gzip
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from gpuvgm.errors import InputError
from gpuvgm.io import open_source
from tests.io.conftest import rows_of


class Lazy:
    """A query of an unknown library."""

    def collect(self) -> pd.DataFrame:
        return pd.DataFrame({"a": [1]})


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (pd.Series([1.0]), r"a Series is one column, not a table; pass series\.to_frame\(\)"),
        (pl.Series([1.0]), r"a Series is one column"),
        (np.arange(3), r'a one-dimensional ndarray has no column name; pass \{"name": array\}'),
        (pa.array([1.0]), r"a one-dimensional DoubleArray has no column name"),
        (pa.chunked_array([[1.0]]), r"a one-dimensional ChunkedArray has no column name"),
        (np.zeros((2, 2, 2)), r"an array with 3 dimensions is not a table"),
        (np.zeros(3, [("a", "f8")]), r"a structured array .* array\.dtype\.names"),
        (object(), r"object cannot be read as a table; give a path, glob, folder"),
        (None, r"NoneType cannot be read as a table"),
        (Lazy(), r"a lazy Lazy has no rows yet; pass the result of its collect\(\)"),
        ([], r"an empty list was given"),
        ([pd.DataFrame()], r"must hold paths only; for a list of frames pass iter\(frames\)"),
        ({}, r"dict: no columns"),
        ({"a": np.zeros(3), "b": np.zeros(4)}, r'column "b" has 4 rows, column "a" has 3'),
        ({"a": np.zeros((3, 2))}, r'column "a" has 2 dimensions'),
        ({"a": np.zeros(3, complex)}, r'dict: column "a" has dtype complex128, which is not supported'),
        ({"a": np.array([1, 2], "m8[Y]")}, r'column "a", row 0 does not fit the type duration\[s\] \(1 years'),
        (
            {"a": np.array([1.5, 2.5, 3.5, "x"], object)},
            r'dict: column "a", row 3 does not fit the type double of the rows before',
        ),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), r'pandas\.DataFrame: duplicate column names: "a"'),
        (pa.Table.from_arrays([[1], [2]], names=["a", "a"]), r'pyarrow\.Table: duplicate column names: "a"'),
        (pd.DataFrame([[1, 2]], columns=[1, "1"]), r'duplicate column names: "1"'),
        (iter([]), r"list_iterator: the iterator gave nothing"),
        (iter([3]), r"list_iterator, part 0: int cannot be read as a table"),
        (iter([pa.table({"a": [1]}), pa.table({"a": [1.5]})]), r'part 1: column "a" has type double, in part 0 int64'),
        (
            iter([pa.table({"a": pa.array([1], pa.float32())}), pa.table({"a": [0.1]})]),
            'part 1: column "a" has type double',
        ),
        ({"a": [2**63 + 5, None]}, r'column "a", row 0 does not fit the type int64 \('),
        (
            {"a": ["x", "y", "\ud800"]},
            r"column \"a\", row 2 holds text with half of a character, .*; replace such halves: column\.str\.encode",
        ),
        ({"a": [2**60 + 3, 0.5]}, 'column "a", row 0 does not fit the type double'),
        (iter([pa.table({"a": [1]}), pa.table({"b": [1]})]), r'list_iterator, part 1: no column "a"; columns: "b"'),
        ("nowhere.parquet", r"nowhere\.parquet: no such file or folder"),
        ("nowhere-*.parquet", r"nowhere-\*\.parquet: no file matches this pattern"),
        ("memory://nothing.parquet", r"memory://nothing\.parquet: no such file or folder"),
        ("memory://nothing*.parquet", r"memory://nothing\*\.parquet: no file matches this pattern"),
        ("file:///nowhere.parquet", r"file:///nowhere\.parquet: no such file or folder"),
        ("unheard://of", "unheard://of: unknown kind of URL; known are s3, gs, abfs, memory, file"),
    ],
)
def test_what_is_no_table(source, message):
    with pytest.raises(InputError, match=message):
        rows_of(source)


def test_block_rows_must_be_positive():
    with pytest.raises(InputError, match="block_rows must be at least 1, got 0"):
        open_source({"a": np.zeros(3)}).blocks(["a"], 0)


def test_an_unsupported_column_does_not_stop_the_others():
    source = open_source({"a": np.zeros(3, complex), "b": np.arange(3)})
    assert [block.rows for block in source.blocks(["b"], 2)] == [2, 1]


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (pl.Series([object(), None], dtype=pl.Object), "Object"),
        (pl.Series([2**100, None], dtype=pl.Int128), "Int128"),
    ],
)
def test_values_that_arrow_would_take_for_others_are_refused(values, dtype):
    frames = [{"a": [1, 2], "b": values}]
    if isinstance(values, pl.Series):
        frames.append(pl.DataFrame(frames[0]))
    for frame in frames:
        assert [block.table.to_pydict() for block in open_source(frame).blocks(["a"], 2)] == [{"a": [1, 2]}]
        with pytest.raises(InputError, match=f'column "b" has dtype {dtype}, which is not supported'):
            rows_of(frame)


def test_an_open_file_is_refused(forms):
    with forms.parquet().open("rb") as file, pytest.raises(InputError, match="an open file .* pass its path"):
        open_source(file)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        *((name, "", r"the file is empty \(0 bytes\)") for name in ("t.parquet", "t.csv", "t.feather", "t")),
        ("a.txt", "some text that is no table", "unknown kind of file"),
        ("a.arrow", "some text that is no table", "not a complete Arrow IPC"),
    ],
)
def test_a_file_of_another_kind_is_refused_by_name(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=rf"{name}: {message}"):
        open_source(tmp_path / name)


def test_an_empty_folder_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match=r"the folder holds no file to read; known endings: \.parquet"):
        open_source(tmp_path)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"x": [1.0]}, r'b\.parquet: column "n" is missing, .*a\.parquet has it'),
        ({"x": [1.0], "n": [1], "z": [1]}, r'b\.parquet: column "z" is not in .*a\.parquet'),
        ({"x": [1], "n": [1]}, r'b\.parquet: column "x" has type int64, in .*a\.parquet double; cast it'),
    ],
)
def test_files_that_differ_are_named(tmp_path, second, message):
    pq.write_table(pa.table({"x": [1.0], "n": [1]}), tmp_path / "a.parquet")
    pq.write_table(pa.table(second), tmp_path / "b.parquet")
    with pytest.raises(InputError, match=message):
        open_source([tmp_path / "a.parquet", tmp_path / "b.parquet"])


@pytest.mark.parametrize("lacks", ["a.parquet", "b.parquet"])
def test_files_without_a_column_are_read_as_the_error_says(tmp_path, lacks):
    for name in ("a.parquet", "b.parquet"):
        pq.write_table(pa.table({"x": [1.0]} if name == lacks else {"x": [2.0], "n": [1]}), tmp_path / name)
    paths = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    with pytest.raises(InputError, match=r"pass pyarrow\.dataset\.dataset\(paths, schema=schema\)"):
        open_source(paths)
    schema = pa.unify_schemas(list(map(pq.read_schema, paths)))
    rows = rows_of(ds.dataset(list(map(str, paths)), schema=schema)).to_pylist()
    assert {(row["x"], row["n"]) for row in rows} == {(1.0, None), (2.0, 1)}


def test_a_cut_arrow_file_is_refused_by_name(forms):
    for path in (forms.arrow_file(), forms.arrow_stream()):
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        with pytest.raises(InputError, match=rf"{path.name}: (not a complete|damaged) Arrow"):
            rows_of(path)


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.2024.ndjson", "it's.jsonl.gz"])
@pytest.mark.parametrize("whole_folder", [False, True])
def test_json_lines_are_refused_with_the_command_that_converts_them(
    tmp_path: Path, name: str, whole_folder: bool
) -> None:
    folder = tmp_path / "table"
    folder.mkdir()
    if whole_folder:  # where rows would be lost if the file were left out
        pq.write_table(pa.table({"x": [1.0]}), folder / "a.parquet")
    lines = b'{"x": 1.5}\n{"x": null}\n'
    (folder / name).write_bytes(gzip.compress(lines) if name.endswith(".gz") else lines)
    with pytest.raises(InputError, match=rf"{re.escape(name)}: JSON lines are not read; convert them: ") as refused:
        open_source(folder if whole_folder else folder / name)
    command = shlex.split(str(refused.value).partition("convert them: ")[2])
    subprocess.run([sys.executable, *command[1:]], check=True)
    assert open_source(folder / f"{name.partition('.')[0]}.parquet").rows == 2

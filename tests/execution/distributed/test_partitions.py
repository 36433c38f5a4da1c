"""Partitions of sources: any cut gives every row once and in order, and they are small where rows lie in files."""

from __future__ import annotations

import pickle
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings, strategies as st

from gpuvgm.execution import any_source
from gpuvgm.execution.partitions import Reading, partitions, rows_of_file, single_files, with_known_rows
from gpuvgm.io import FileSource
from tests.io.conftest import write_file

ROWS = 1003
SIZES = (0, 1, 400, 0, 2, 599, 1, 0)  # rows of files one after the other
FORMATS = ("parquet", "arrow", "arrows", "csv", "mixed")
FORMS = (*FORMATS, "pyarrow", "pandas", "batches", "dict")


@cache
def table() -> pa.Table:
    random = np.random.default_rng(5)
    words = pa.array(random.choice(["a", "bb", "ccc"], ROWS))
    return pa.table({"x": random.normal(size=ROWS), "n": np.arange(ROWS), "word": words})


@cache
def files(form: str) -> tuple[Path, ...]:
    """The table as files of several sizes; none is empty of rows in formats that keep no types then."""
    folder = Path(mkdtemp(prefix="gpuvgm-test-partitions-"))
    endings = ("parquet", "arrow", "csv", "arrows") if form == "mixed" else (form,)
    paths, start = [], 0
    for number, rows in enumerate(SIZES):
        ending = endings[number % len(endings)]
        if rows or ending != "csv":
            paths.append(write_file(table().slice(start, rows), folder / f"{number}.{ending}", 130))
        start += rows
    return tuple(paths)


def source_of(form: str):
    """The table in one of the forms, opened; files with the rows that a cluster counts."""
    if form in FORMATS:
        source = any_source(list(files(form)))
        counts = [rows_of_file(file) for file in single_files(source)]
        assert counts == [rows for rows, path in zip(sizes_of(form), files(form), strict=True)]
        return with_known_rows(source, counts)
    forms = {
        "pyarrow": table,
        "pandas": lambda: table().to_pandas(),
        "batches": lambda: iter(table().to_batches(max_chunksize=90)),
        "dict": lambda: {name: table().column(name).to_numpy(zero_copy_only=False) for name in table().schema.names},
    }
    return any_source(forms[form]())


def sizes_of(form: str) -> list[int]:
    return [SIZES[int(path.stem)] for path in files(form)]


def rows_of(cut) -> list[dict[str, object]]:
    """All rows of partitions, read from pickles of them; their places are checked on the way."""
    found, at = [], 0
    for partition in cut:
        again = pickle.loads(pickle.dumps(partition))
        assert again.first_row == at
        for block in again.read().blocks:
            assert block.first_row == at
            found += block.batch.to_pylist()
            at += block.rows
        assert at == again.first_row + again.rows
    return found


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=12, deadline=None)
@given(partition_rows=st.integers(1, ROWS + 10), block_rows=st.integers(1, ROWS + 10))
def test_any_cut_gives_the_same_rows(form, partition_rows, block_rows):
    partition_rows = max(partition_rows, 20)  # below that it takes long, and the small files are cut anyhow
    names = ("word", "n")
    cut = list(partitions(source_of(form), Reading("reference", names, block_rows), partition_rows))
    assert rows_of(cut) == table().select(names).to_pylist()
    assert all(partition.rows > 0 for partition in cut)
    if form not in ("csv", "arrows", "mixed"):  # these are read from their beginning, so each is a partition
        assert max(partition.rows for partition in cut) <= partition_rows


def test_rows_without_columns_are_counted():
    cut = list(partitions(source_of("parquet"), Reading("reference", (), 100), 250))
    assert [partition.rows for partition in cut] == [250, 250, 250, 250, 3]
    assert sum(block.rows for partition in cut for block in partition.read().blocks) == ROWS


def test_an_empty_source_has_no_portions():
    assert list(partitions(any_source(table().slice(0, 0)), Reading("reference", ("x",), 10), 10)) == []
    nothing = any_source(files("parquet")[0])
    assert isinstance(nothing, FileSource)
    assert list(partitions(nothing, Reading("reference", ("x",), 10), 10)) == []


@pytest.mark.parametrize("partition_rows", [10, 200, 100_000])
def test_partitions_of_a_thousand_files_are_small(tmp_path, partition_rows):
    rows = table().slice(0, 5)
    for number in range(1000):
        pq.write_table(rows, tmp_path / f"part-{number:04}.parquet")
    for given_as in (tmp_path, sorted(tmp_path.iterdir())):
        cut = list(partitions(any_source(given_as), Reading("reference", ("x",), 1000), partition_rows))
        assert sum(partition.rows for partition in cut) == 5000
        sizes = [len(pickle.dumps(partition)) for partition in cut]
        files_each = max(len(partition.source.parts) for partition in cut)
        assert max(sizes) < 2_000 + 300 * files_each
        assert partition_rows > 200 or max(sizes) < 20_000


def test_a_pandas_frame_keeps_its_types_in_every_portion():
    words = pd.DataFrame({"word": pd.Series([None] * 10 + ["a"] * 10, dtype=object), "n": [1] * 20})
    cut = list(partitions(any_source(words), Reading("reference", ("word", "n"), 5), 10))
    schemas = {str(block.batch.schema) for partition in cut for block in partition.read().blocks}
    assert len(schemas) == 1

"""Parquet: bounded memory, only what is asked for is read, damage is located, no file is read as two."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gpuvgm.errors import InputError, SourceChangedError
from gpuvgm.io import open_source
from gpuvgm.io.parquet import ParquetPart

# VmHWM, not ru_maxrss: the latter starts at what the parent process held when it forked.
PEAK = """
import sys
from gpuvgm.io import open_source
def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
source, rows, before = open_source(sys.argv[1]), 0, peak()
for block in source.blocks(["x"], 1 << 18):
    rows += block.rows
source.sample(["x"], [(source.rows - 10, 10)])
print(rows, (peak() - before) // 1024)
"""


@pytest.mark.parametrize("rows", [6_000_000, pytest.param(20_000_000, marks=pytest.mark.exhaustive)])
def test_one_huge_row_group_keeps_the_memory_bound(tmp_path, rows):
    draws, path = np.random.default_rng(0), tmp_path / "a.parquet"
    table = pa.table({"x": draws.standard_normal(rows), "unused": draws.standard_normal(rows)})
    pq.write_table(table, path, row_group_size=rows, use_dictionary=False, compression="none")
    command = [sys.executable, "-c", PEAK, str(path)]
    read, mebibytes = map(int, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
    assert read == rows
    assert mebibytes < 40  # the column alone is 46 or 153 MiB, a block 2 MiB


def test_names_with_dots_select_themselves_only(tmp_path):
    table = pa.table({"a": [1.0, 2.0], "a.scalar": [3.0, 4.0], "a.mode": pa.array([5, 6], pa.uint8())})
    pq.write_table(table, tmp_path / "t.parquet")
    source = open_source(tmp_path / "t.parquet")
    for columns in (["a"], ["a.mode", "a"], ["a.scalar"]):
        (block,) = source.blocks(columns, 10)
        assert block.table.to_pydict() == table.select(columns).to_pydict()


def test_sample_reads_only_row_groups_it_needs_and_stops_early(tmp_path, monkeypatch):
    pq.write_table(pa.table({"x": np.arange(1_000_000.0)}), tmp_path / "t.parquet", row_group_size=200_000)
    read = []
    original = ParquetPart._as_stored

    def counted(self, columns, batch_rows, groups):
        for batch in original(self, columns, batch_rows, groups):
            read.append((*groups, batch.num_rows))
            yield batch

    monkeypatch.setattr(ParquetPart, "_as_stored", counted)
    table = open_source(tmp_path / "t.parquet").sample(["x"], [(810_000, 5), (10, 5), (199_998, 4)])
    assert table.column(0).to_pylist() == [*range(810_000, 810_005), *range(10, 15), *range(199_998, 200_002)]
    assert sorted({group for group, _ in read}) == [0, 1, 4]
    assert sum(rows for group, rows in read if group in (1, 4)) <= 2 * 65_536


def test_nullability_and_field_metadata_may_differ_between_files(tmp_path):
    strict = pa.schema([pa.field("x", pa.float64(), nullable=False, metadata={"unit": "s"})])
    pq.write_table(pa.table({"x": [1.0]}, schema=strict), tmp_path / "a.parquet")
    pq.write_table(pa.table({"x": [2.0, None]}), tmp_path / "b.parquet")
    source = open_source(tmp_path)
    for block_rows in (1, 2):
        tables = [block.table for block in source.blocks(["x"], block_rows)]
        assert pa.Table.from_batches(tables).column(0).to_pylist() == [1.0, 2.0, None]
    assert source.sample(["x"], [(0, 3)]).column(0).to_pylist() == [1.0, 2.0, None]


@pytest.fixture
def damaged(tmp_path):
    """Five row groups of 20,000 rows; a page of column "x" in the third is overwritten."""
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"n": np.arange(100_000), "x": np.arange(100_000.0)}), path, row_group_size=20_000)
    at = pq.read_metadata(path).row_group(2).column(1).data_page_offset
    content = bytearray(path.read_bytes())
    content[at : at + 60] = b"\xff" * 60
    path.write_bytes(content)
    return path


def test_a_damaged_page_is_located(damaged):
    with pytest.raises(
        InputError, match=r't\.parquet: damaged Parquet file: column "x" cannot be read after row 40000'
    ):
        list(open_source(damaged).blocks(["n", "x"], 10_000))
    with pytest.raises(InputError, match=r'column "x" cannot be read after row 40000'):
        open_source(damaged).sample(["n", "x"], [(50_000, 10)])


def test_damage_in_columns_not_asked_for_does_not_matter(damaged):
    assert sum(block.rows for block in open_source(damaged).blocks(["n"], 10_000)) == 100_000


@pytest.mark.parametrize("kept", [0.3, 0.99])
def test_a_truncated_file_is_refused_by_name(forms, kept):
    path = forms.parquet()
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(InputError, match=r"t\.parquet: not a complete Parquet file .*cut short"):
        open_source(path)


def test_a_file_that_changes_between_two_readings_is_refused(forms, table):
    path = forms.parquet()
    source = open_source(path)
    list(source.blocks(["x"], 100))
    pq.write_table(table.slice(1), path)
    with pytest.raises(SourceChangedError, match=r"t\.parquet: the file was changed"):
        list(source.blocks(["x"], 100))
    path.unlink()
    with pytest.raises(SourceChangedError, match=r"t\.parquet: the file was removed"):
        source.sample(["x"], [(0, 1)])


ROWS, BLOCK_ROWS = 100_000, 4096


def write_constant(path, value):
    pq.write_table(
        pa.table({"x": np.full(ROWS, value)}), path, row_group_size=BLOCK_ROWS, use_dictionary=False, compression=None
    )
    return path


@pytest.fixture
def file(tmp_path):
    return write_constant(tmp_path / "rows.parquet", 0.0)


def values_read(file, change):
    """All values of a file that changes after the first block."""
    found = []
    for block in open_source(file).blocks(["x"], BLOCK_ROWS):
        if not found:
            change()
        found.append(np.asarray(block.batch.column(0)))
    return set(np.concatenate(found))


def test_a_file_that_is_written_to_between_two_row_groups_is_refused(file, tmp_path):
    other = write_constant(tmp_path / "other", 1.0).read_bytes()

    def overwrite():
        with file.open("r+b") as opened:
            opened.write(other)

    with pytest.raises(SourceChangedError, match=r"rows\.parquet: the file was changed while it was in use"):
        values_read(file, overwrite)


@pytest.mark.parametrize("change", ["replace", "remove"])
def test_a_file_that_loses_its_name_is_read_to_its_end(file, tmp_path, change):
    other = write_constant(tmp_path / "other", 1.0)
    assert values_read(file, file.unlink if change == "remove" else lambda: os.replace(other, file)) == {0.0}


@pytest.mark.parametrize(
    "stored",
    [
        b"\xff",
        b"{",
        b"[]",
        b"{}",
        b'{"columns": 3}',
        b'{"columns": [{}]}',
        b'{"columns": [{"field_name": "x", "numpy_type": 3}]}',
    ],
)
def test_metadata_of_pandas_that_nobody_understands_changes_nothing(tmp_path, stored):
    rows = pa.table({"x": [1, 2, None]}).replace_schema_metadata({b"pandas": stored})
    pq.write_table(rows, tmp_path / "rows.parquet")
    source = open_source(tmp_path / "rows.parquet")
    assert source.dtypes == {}
    assert source.schema == rows.schema.remove_metadata()


def test_files_with_other_widths_of_categories_are_one_table(tmp_path):
    """A file of its own keeps indices of 8 bits; of several all have those that hold any number of entries."""
    for number in range(3):
        words = pa.array([f"{number}{word}" for word in "abc"]).dictionary_encode()
        narrow = words.cast(pa.dictionary(pa.int8(), pa.string()))
        pq.write_table(pa.table({"word": narrow}), tmp_path / f"{number}.parquet")
    source = open_source(tmp_path)
    shares = [source.holding(runs) for runs in ([(0, 2)], [(4, 2), (6, 1)])]
    sampled = pa.concat_tables([files.sample(["word"], runs) for files, runs in shares])
    assert sampled["word"].to_pylist() == ["0a", "0b", "1b", "1c", "2a"]
    assert open_source(tmp_path / "1.parquet").schema.field("word").type.index_type == pa.int8()


def test_files_without_sampled_rows_are_left_out(tmp_path):
    for number in range(9):
        pq.write_table(pa.table({"row": range(10 * number, 10 * number + 10)}), tmp_path / f"{number}.parquet")
    files, runs = open_source(tmp_path).holding([(18, 5), (71, 2), (79, 1)])
    assert [part.path.name for part in files.parts] == ["1.parquet", "2.parquet", "7.parquet"]
    assert files.sample(["row"], runs)["row"].to_pylist() == [18, 19, 20, 21, 22, 71, 72, 79]

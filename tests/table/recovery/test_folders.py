"""Folders of parts beside other things: what is never lost, never mixed, and never done twice."""

from __future__ import annotations

import errno
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gpuvgm
from gpuvgm.cli.console import explain
from gpuvgm.errors import InputError
from gpuvgm.io.parquet import ParquetPart
from tests.table.recovery.conftest import PARTS, contents, cut_short, damage, table, written_by


@pytest.fixture
def expected(transformer, rows, tmp_path):
    transformer.transform(rows, out=tmp_path / "expected", part_rows=PARTS)
    return contents(tmp_path / "expected")


# -- nothing is lost


def test_a_folder_that_also_holds_something_else_is_not_replaced(transformer, rows, expected, tmp_path):
    (tmp_path / "expected" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="also holds notes.txt, which gpuvgm did not write there"):
        transformer.transform(rows, out=tmp_path / "expected", part_rows=PARTS)
    assert (tmp_path / "expected" / "notes.txt").read_text() == "mine"


def test_a_folder_that_holds_the_source_is_not_replaced(transformer, expected, tmp_path):
    source = tmp_path / "expected" / "part-00003.parquet"
    with pytest.raises(InputError, match=r"holds .*part-00003.parquet, which is read"):
        transformer.inverse_transform(source, out=tmp_path / "expected")
    assert contents(tmp_path / "expected") == expected


def test_workers_lose_no_rows_of_csv_files(transformer, rows, expected, tmp_path):
    (tmp_path / "csv").mkdir()
    for file in rows.iterdir():
        pq.read_table(file).to_pandas().to_csv(tmp_path / "csv" / f"{file.stem}.csv", index=False)
    with gpuvgm.cluster(workers=1, threads=1, gpus=False) as client:
        transformer.set_params(executor=client).transform(tmp_path / "csv", out=tmp_path / "enc", part_rows=PARTS)
    assert contents(tmp_path / "enc") == expected


def test_a_link_to_a_folder_stays_a_link(transformer, rows, expected, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "expected")
    transformer.transform(rows, out=tmp_path / "link", part_rows=10 * PARTS)
    assert (tmp_path / "link").is_symlink()
    assert sorted(contents(tmp_path / "expected")) == ["part-00000.parquet"]


def test_wrong_rows_in_the_first_part_leave_nothing(transformer, tmp_path):
    wrong = table(10).drop_columns("word").append_column("word", pa.array(["zzz"] * 10))
    with pytest.raises(InputError, match="zzz"):
        transformer.transform(wrong, out=tmp_path / "enc")
    assert list(tmp_path.iterdir()) == []


def test_files_of_unequal_schema_are_named_before_anything_is_written(transformer, rows, tmp_path):
    pq.write_table(table(10).drop_columns("gaps"), rows / "3.parquet")
    with pytest.raises(InputError, match='3.parquet: column "gaps" is missing'):
        transformer.transform(rows, out=tmp_path / "enc")
    assert [path.name for path in tmp_path.iterdir()] == ["rows"]


def test_no_rows_at_all_give_one_file_with_the_columns(transformer, tmp_path):
    run = transformer.transform(table(0), out=tmp_path / "none")
    assert (run.rows, run.files) == (0, 1)
    assert "amount.scalar" in pq.read_table(tmp_path / "none").column_names


# -- the same rows in the same part, wherever they come from


def test_parts_stand_for_the_same_rows_where_some_are_left_out(transformer, expected, tmp_path):
    encoded = pq.read_table(tmp_path / "expected")
    scalar = np.where(np.arange(len(encoded)) % 3 == 0, 0.99, np.asarray(encoded["gaps.scalar"])).astype(np.float32)
    place = encoded.schema.get_field_index("gaps.scalar")
    encoded = encoded.set_column(place, encoded.schema.field(place), pa.array(scalar))
    pq.write_table(encoded, tmp_path / "encoded.parquet")
    for name, source in {"memory": encoded, "file": tmp_path / "encoded.parquet"}.items():
        transformer.inverse_transform(source, out=tmp_path / name, invalid="drop", part_rows=PARTS)
    assert contents(tmp_path / "memory") == contents(tmp_path / "file")
    kept = [len(pq.read_table(tmp_path / "file" / name)) for name in sorted(expected)]
    assert len(kept) == 9 and sum(kept) < 20_001


def test_a_matrix_in_memory(transformer, rows, tmp_path):
    matrix = transformer.transform(rows, layout="onehot")
    transformer.inverse_transform(matrix, out=tmp_path / "one.parquet")
    transformer.inverse_transform(matrix, out=tmp_path / "back", part_rows=PARTS)
    assert pq.read_table(tmp_path / "back").equals(pq.read_table(tmp_path / "one.parquet"))


def test_another_model_is_not_gone_on_with(transformer, rows, expected, tmp_path):
    fitted = gpuvgm.TableTransformer(effort="research", scale=3.0).fit(rows)
    with pytest.raises(InputError, match="the run to resume had model"):
        fitted.transform(rows, out=tmp_path / "expected", part_rows=PARTS, resume=True)
    assert contents(tmp_path / "expected") == expected


# -- nothing is done twice


def test_rows_that_were_done_are_not_read_again(transformer, rows, expected, tmp_path, monkeypatch):
    cut_short(transformer, rows, tmp_path / "enc", after=5)  # 12,500 rows: all of the first two files
    read, between = [], ParquetPart.between
    monkeypatch.setattr(ParquetPart, "between", lambda part, *rest: read.append(part.path.name) or between(part, *rest))
    made = written_by(transformer, rows, out=tmp_path / "enc")
    assert (made, read) == ([f"part-0000{i}.parquet" for i in range(5, 9)], ["2.parquet"])
    assert contents(tmp_path / "enc") == expected and not (tmp_path / ".enc.unfinished").exists()


def test_csv_goes_on_too(transformer, rows, expected, tmp_path):
    pq.read_table(rows).to_pandas().to_csv(tmp_path / "rows.csv", index=False)
    cut_short(transformer, tmp_path / "rows.csv", tmp_path / "enc", after=5)
    made = written_by(transformer, tmp_path / "rows.csv", out=tmp_path / "enc")
    assert made == [f"part-0000{i}.parquet" for i in range(5, 9)]
    assert contents(tmp_path / "enc") == expected


@pytest.mark.parametrize("harm", ["cut", "flip", "remove"])
def test_a_complete_folder_is_mended(transformer, rows, expected, tmp_path, harm):
    part = tmp_path / "expected" / "part-00005.parquet"
    damage(part, harm)
    assert written_by(transformer, rows, out=tmp_path / "expected") == [part.name]
    assert contents(tmp_path / "expected") == expected


def test_the_run_that_was_cut_short_is_gone_on_with_not_the_one_before(transformer, rows, expected, tmp_path):
    transformer.transform(rows, out=tmp_path / "enc", part_rows=PARTS, seed=5)
    cut_short(transformer, rows, tmp_path / "enc", after=6)
    assert len(written_by(transformer, rows, out=tmp_path / "enc")) == 3
    assert contents(tmp_path / "enc") == expected


def test_a_full_disk_says_what_is_kept(transformer, rows, tmp_path):
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "enc")
    problem = cut_short(transformer, rows, tmp_path / "enc", after=3, problem=full)
    assert explain(problem).endswith(f"3 files are complete in {tmp_path}/.enc.unfinished: go on with --resume")


def test_a_run_that_ends_in_its_first_part_leaves_nothing(transformer, rows, tmp_path):
    cut_short(transformer, rows, tmp_path / "enc", after=0)
    assert [path.name for path in tmp_path.iterdir()] == ["rows"]


def test_a_thousand_small_files_and_an_empty_one(transformer, tmp_path):
    whole, folder = table(3_000), tmp_path / "small"
    folder.mkdir()
    for number in range(1_000):
        pq.write_table(whole.slice(3 * number, 0 if number == 500 else 3), folder / f"{number:04d}.parquet")
    run = transformer.transform(folder, out=tmp_path / "enc", part_rows=PARTS)
    assert (run.rows, run.files) == (2_997, 2)
    assert written_by(transformer, folder, out=tmp_path / "enc") == []

"""Generated folders: whole or not there, any file made alone, files that are there kept, and what is refused."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gpuvgm
from gpuvgm.datasets import writing
from gpuvgm.datasets.amounts import amount_rows
from gpuvgm.datasets.mixed_table import TABLE_SCHEMA, mixed_table_rows
from gpuvgm.datasets.ranges import CHUNK_ROWS, RowRange
from gpuvgm.errors import InputError
from gpuvgm.execution import LocalExecutor, any_source
from gpuvgm.io import Manifest, location_of, locked
from gpuvgm.io.manifest import digest_of_file
from tests.cli.running import run
from tests.table.recovery.conftest import bodies, damage

ROWS, FILE_ROWS = 250_000, 100_000


def made(out, *files, rows=ROWS, **options):
    """Generate files of the whole folder, each range of numbers by a run of its own."""
    for first, stop in files:
        low, high = first * FILE_ROWS, min(stop * FILE_ROWS, rows)
        chosen = {"kind": "mixed-table", "seed": 5, "file_rows": FILE_ROWS, "block_rows": FILE_ROWS, **options}
        gpuvgm.generate(out, high - low, first_row=low, **chosen)


class Interrupted(KeyboardInterrupt):
    """What ends a run."""


def rows_before(row):
    """The function of the table, which ends the run where rows from this number on are to be made."""

    def rows_of(first_row, rows, seed):
        if first_row >= row:
            raise Interrupted
        return mixed_table_rows(first_row, rows, seed)

    return rows_of


@contextmanager
def interrupted_at(row):
    """A run ends at this row."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(writing.TABLES, "mixed-table", (TABLE_SCHEMA, rows_before(row)))
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("generated") / "whole"
    gpuvgm.generate(folder, ROWS, kind="mixed-table", seed=5, file_rows=FILE_ROWS)
    return folder


def test_a_folder_holds_the_rows_of_one_file(whole, tmp_path):
    gpuvgm.generate(tmp_path / "one.parquet", ROWS, kind="mixed-table", seed=5)
    assert pq.read_table(tmp_path / "one.parquet").equals(pq.read_table(whole))
    assert sorted(bodies(whole)) == ["part-00000.parquet", "part-00001.parquet", "part-00002.parquet"]
    manifest = Manifest.read(whole / "_manifest.json")
    assert manifest.complete
    assert {name: (entry["bytes"], entry["sha256"]) for name, entry in manifest.done.items()} == bodies(whole)
    assert [entry["rows"] for entry in manifest.done.values()] == [100_000, 100_000, 50_000]


@pytest.mark.parametrize("threads", [1, 3])
def test_files_made_alone_are_those_of_the_whole(whole, tmp_path, threads):
    made(tmp_path / "parts", (2, 3), (0, 1), (1, 2), executor=LocalExecutor(threads))
    assert bodies(tmp_path / "parts") == bodies(whole)


def test_another_process_makes_the_same_file(whole, tmp_path):
    options = ("--kind", "mixed-table", "--first-row", "2e5", "--file-rows", "1e5", "--quiet")
    run("generate", tmp_path / "far", "--rows", "50000", "--seed", "5", *options)
    assert bodies(tmp_path / "far") == {"part-00002.parquet": bodies(whole)["part-00002.parquet"]}


def test_resume_writes_what_is_missing_or_cut_short(whole, tmp_path):
    options = {"kind": "mixed-table", "seed": 5, "file_rows": FILE_ROWS}
    folder = tmp_path / "parts"
    gpuvgm.generate(folder, ROWS, **options)
    (folder / "part-00000.parquet").unlink()
    cut = folder / "part-00001.parquet"
    cut.write_bytes(cut.read_bytes()[:1000])
    before = (folder / "part-00002.parquet").stat().st_mtime_ns
    done = gpuvgm.generate(folder, ROWS, resume=True, **options)
    assert bodies(folder) == bodies(whole)
    assert (folder / "part-00002.parquet").stat().st_mtime_ns == before
    assert (done.files, done.rows, done.path) == (3, ROWS, str(folder))
    assert done.bytes == sum(size for size, _ in bodies(folder).values())


def test_a_folder_appears_as_a_whole(whole, tmp_path):
    folder, place = tmp_path / "g", tmp_path / ".g.unfinished"
    with interrupted_at(2 * FILE_ROWS), pytest.raises(Interrupted) as caught:
        made(folder, (0, 3), executor=LocalExecutor(1))
    assert caught.value.__notes__ == [f"2 files are complete in {place}: go on with resume=True"]
    assert os.listdir(tmp_path) == [".g.unfinished"]
    before = (place / "part-00001.parquet").stat().st_mtime_ns
    with pytest.raises(InputError, match=r"left 2 complete files in .*, of 3: go on with resume=True, or remove that"):
        made(folder, (0, 3))
    cut = place / "part-00000.parquet"
    cut.write_bytes(cut.read_bytes()[:1000])
    made(folder, (0, 3), resume=True)
    assert os.listdir(tmp_path) == ["g"]
    assert bodies(folder) == bodies(whole)
    assert (folder / "part-00001.parquet").stat().st_mtime_ns == before


def test_of_a_run_that_completed_no_file_nothing_is_left(tmp_path):
    with interrupted_at(0), pytest.raises(Interrupted):
        made(tmp_path / "g", (0, 3))
    assert os.listdir(tmp_path) == []
    made(tmp_path / "g", (0, 1))
    assert os.listdir(tmp_path) == ["g"]


def test_runs_that_share_a_folder_have_a_manifest_each(whole, tmp_path):
    folder = tmp_path / "g"
    with interrupted_at(2 * FILE_ROWS), pytest.raises(Interrupted):
        made(folder, (1, 3), executor=LocalExecutor(1))
    assert os.listdir(tmp_path) == [".g.00001.unfinished"]
    made(folder, (0, 1))
    assert sorted(os.listdir(folder)) == ["_manifest.json", "part-00000.parquet"]
    made(folder, (1, 3), resume=True)
    assert os.listdir(tmp_path) == ["g"]
    assert sorted(os.listdir(folder)) == ["_manifest.00001.json", "_manifest.json", *bodies(whole)]
    assert bodies(folder) == bodies(whole)
    assert any_source(folder).rows == ROWS


def test_other_libraries_read_a_folder(tmp_path):
    made(tmp_path / "g", (0, 1), (1, 2), rows=2 * FILE_ROWS)
    expected = mixed_table_rows(0, 2 * FILE_ROWS, 5)["id"].to_numpy()
    assert (pd.read_parquet(tmp_path / "g")["id"] == expected).all()
    polars = pytest.importorskip("polars")
    for lazy in (
        polars.scan_parquet(tmp_path / "g", hidden_file_prefix="_"),
        polars.scan_parquet(tmp_path / "g" / "*.parquet"),
    ):
        assert (lazy.collect()["id"].to_numpy() == expected).all()


def test_rows_that_come_once_begin_again(tmp_path):
    generator = writing.Generator(mixed_table_rows, TABLE_SCHEMA, 5, FILE_ROWS, {"gpuvgm.kind": "sample"})
    write = partial(writing.Generator.write, path=tmp_path / "g", part=RowRange(0, ROWS), file_rows=FILE_ROWS)

    with pytest.raises(Interrupted) as caught:
        write(replace(generator, rows_of=rows_before(FILE_ROWS)), executor=LocalExecutor(1), resume=None)
    place = tmp_path / ".g.unfinished"
    assert caught.value.__notes__ == [f"1 file is complete in {place}: remove that folder to begin again"]
    with pytest.raises(InputError, match=r"left 1 complete file in .*, of 3: remove that folder to begin again"):
        write(generator, executor=LocalExecutor(1), resume=None)
    shutil.rmtree(place)
    assert write(generator, executor=LocalExecutor(1), resume=None).files == 3
    with pytest.raises(InputError, match=r"3 files are there already, of 3 \(first part-00000\.parquet\): remove them"):
        write(generator, executor=LocalExecutor(1), resume=None)


def test_a_folder_of_no_rows_has_the_columns(tmp_path):
    assert gpuvgm.generate(tmp_path / "g", 0).files == 1
    assert pq.read_table(tmp_path / "g").column_names == ["Amount"]


def test_runs_share_a_folder_at_once(whole, tmp_path):
    with locked(tmp_path / "g", range(1, 3)):
        made(tmp_path / "g", (0, 1))
        with pytest.raises(InputError, match="works there"):
            made(tmp_path / "g", (1, 2))
    made(tmp_path / "g", (1, 2), (2, 3))
    assert bodies(tmp_path / "g") == bodies(whole)


@pytest.mark.parametrize("harm", ["flip", "remove", "cut"])
@pytest.mark.parametrize("number", [0, 2])
def test_a_damaged_file_of_a_shared_folder_is_told_and_written_again(whole, tmp_path, harm, number):
    folder = tmp_path / "g"
    made(folder, (0, 2), (2, 3))
    others = {path: path.stat().st_mtime_ns for path in folder.iterdir() if path.name != f"part-{number:05d}.parquet"}
    damage(folder / f"part-{number:05d}.parquet", harm)
    with pytest.raises(InputError, match=rf"part-0000{number}\.parquet: .*write the folder again with resume=True"):
        gpuvgm.TableTransformer(effort="research").fit(folder)
    made(folder, (0, 2) if number == 0 else (2, 3), resume=True)
    assert bodies(folder) == bodies(whole)
    kept = {path: then for path, then in others.items() if path.name.startswith("part-")}
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert os.listdir(tmp_path) == ["g"]


def test_a_file_that_no_run_lists_is_refused(tmp_path):
    made(tmp_path / "g", (0, 1), (1, 2))
    gpuvgm.generate(tmp_path / "g" / "mine.parquet", 10, kind="mixed-table")
    with pytest.raises(InputError, match=r"mine\.parquet: gpuvgm did not write it there; remove it"):
        any_source(tmp_path / "g")


def test_runs_share_a_folder_of_a_store(whole):
    folder = "memory://generated/shared/g"
    made(folder, (2, 3))
    with interrupted_at(FILE_ROWS), pytest.raises(Interrupted) as caught:
        made(folder, (0, 2), executor=LocalExecutor(1))
    assert caught.value.__notes__ == [f"1 file is complete in {folder}: go on with resume=True"]
    with pytest.raises(InputError, match=r"_manifest\.json: the folder is unfinished; go on with resume=True"):
        any_source(folder)
    with pytest.raises(InputError, match="is there already, of 2 .*: go on with resume=True, or remove them"):
        made(folder, (0, 2))
    made(folder, (0, 2), resume=True)
    assert any_source(folder).rows == ROWS
    found = {name: digest_of_file(location_of(f"{folder}/{name}")) for name in bodies(whole)}
    assert found == bodies(whole)


def test_files_that_are_there_are_refused(whole):
    before = bodies(whole)
    told = (
        r"whole: 3 files are there already, of 4 \(first part-00000\.parquet\): go on with resume=True, or remove them"
    )
    with pytest.raises(InputError, match=told):
        gpuvgm.generate(whole, ROWS + FILE_ROWS, kind="mixed-table", seed=5, file_rows=FILE_ROWS)
    assert bodies(whole) == before


@pytest.mark.parametrize("options", [{"seed": 6}, {"kind": "amount"}, {"rows": ROWS - 1}, {"block_rows": 1000}])
def test_files_with_other_rows_are_not_kept(whole, options):
    before = bodies(whole)
    chosen = {"rows": ROWS, "kind": "mixed-table", "seed": 5, "file_rows": FILE_ROWS} | options
    with pytest.raises(InputError, match=r"the run to resume had .*, this one has .*; run as before, or give another"):
        gpuvgm.generate(whole, chosen.pop("rows"), resume=True, **chosen)
    assert bodies(whole) == before


def test_files_of_another_run_are_not_replaced(tmp_path):
    made(tmp_path / "g", (0, 3))
    before = bodies(tmp_path / "g")
    for resume in (False, True):
        with pytest.raises(
            InputError, match=r"1 file is there already, of 1 \(first part-00001.parquet\): remove them"
        ):
            made(tmp_path / "g", (1, 2), seed=6, resume=resume)
    assert bodies(tmp_path / "g") == before
    assert os.listdir(tmp_path) == ["g"]


def test_a_range_that_begins_within_a_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="first_row must be a multiple of file_rows"):
        gpuvgm.generate(tmp_path / "parts", 10, first_row=5, file_rows=10)
    assert list(tmp_path.iterdir()) == []


def test_one_file_may_begin_anywhere(tmp_path):
    gpuvgm.generate(tmp_path / "far.parquet", 1000, first_row=CHUNK_ROWS - 10, seed=3)
    expected = amount_rows(CHUNK_ROWS - 10, 1000, 3)
    assert pq.read_table(tmp_path / "far.parquet").equals(pa.Table.from_batches([expected]))


def test_any_range_of_the_mixed_table_has_the_same_rows():
    rows = mixed_table_rows(0, 2 * CHUNK_ROWS, 1)
    assert rows.schema.equals(TABLE_SCHEMA)
    for first, count in ((0, 7), (CHUNK_ROWS - 3, 11), (CHUNK_ROWS + 100, 5000), (10, 0)):
        assert mixed_table_rows(first, count, 1).equals(rows.slice(first, count))


def test_the_mixed_table_is_what_it_says():
    table = pa.Table.from_batches([mixed_table_rows(0, 8 * CHUNK_ROWS, 2)]).to_pandas()
    shares = table.channel.value_counts(normalize=True)
    assert abs(shares["app"] - 0.5) < 0.005 and abs(shares["phone"] - 0.05) < 0.003
    assert abs((table.quantity == 0).mean() - 0.41) < 0.005 and table.quantity.max() <= 50
    assert abs(table.balance.isna().mean() - 0.05) < 0.002
    assert abs((table.balance == 0).mean() - 0.13) < 0.003 and (table.balance < 0).mean() > 0.2
    assert table.amount[table.channel == "phone"].median() > 1.8 * table.amount[table.channel == "app"].median()
    assert abs(table.active[table.quantity > 0].mean() - 0.9) < 0.005
    assert table.when.min().year == 2024 and table.when.max().year == 2025
    assert table.city.nunique() == 200 and table.city.value_counts().index[0] == "city-001"
    assert table.id.is_monotonic_increasing and table.score.between(0, 100).all()
    assert float(table.rate.min()) >= 1.25 and float(table.rate.max()) <= 4.9625


def test_a_fit_finds_the_kinds(tmp_path):
    gpuvgm.generate(tmp_path / "t.parquet", 20_000, kind="mixed-table")
    kinds = {
        name: column.kind
        for name, column in gpuvgm.TableTransformer(effort="research").fit(tmp_path / "t.parquet").columns_.items()
    }
    assert kinds == {
        **dict.fromkeys(("id", "amount", "when", "score", "rate"), "continuous"),
        "balance": "mixed",
        **dict.fromkeys(("city", "channel", "active", "quantity"), "categorical"),
    }

"""Generated folders: any file made alone, files that are there kept, and what is refused."""

from __future__ import annotations

import os
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gpuvgm
from gpuvgm.datasets.amounts import amount_rows
from gpuvgm.datasets.mixed_table import TABLE_SCHEMA, mixed_table_rows
from gpuvgm.datasets.ranges import CHUNK_ROWS
from gpuvgm.errors import InputError
from gpuvgm.execution.local import LocalExecutor
from gpuvgm.io.manifest import digest_of_file

ROWS, FILE_ROWS = 250_000, 100_000


def bodies(folder):
    """Size and SHA-256 of the files."""
    return {path.name: digest_of_file(path) for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("generated") / "whole"
    gpuvgm.generate(folder, ROWS, kind="mixed-table", seed=5, file_rows=FILE_ROWS)
    return folder


def test_a_folder_holds_the_rows_of_one_file(whole, tmp_path):
    gpuvgm.generate(tmp_path / "one.parquet", ROWS, kind="mixed-table", seed=5)
    assert pq.read_table(tmp_path / "one.parquet").equals(pq.read_table(whole))
    assert sorted(bodies(whole)) == ["part-00000.parquet", "part-00001.parquet", "part-00002.parquet"]


@pytest.mark.parametrize("threads", [1, 3])
def test_files_made_alone_are_those_of_the_whole(whole, tmp_path, threads):
    for first in (200_000, 0, 100_000):
        rows = min(FILE_ROWS, ROWS - first)
        gpuvgm.generate(
            tmp_path / "parts",
            rows,
            kind="mixed-table",
            seed=5,
            first_row=first,
            file_rows=FILE_ROWS,
            executor=LocalExecutor(threads),
        )
    assert bodies(tmp_path / "parts") == bodies(whole)


def test_another_process_makes_the_same_file(whole, tmp_path):
    command = [sys.executable, "-m", "gpuvgm", "generate", str(tmp_path / "far"), "--rows", "50000", "--seed", "5"]
    command += ["--kind", "mixed-table", "--first-row", "2e5", "--file-rows", "1e5", "--quiet"]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
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
    assert (done.files, done.kept, done.rows) == (3, 1, ROWS)
    assert done.bytes == sum(size for size, _ in bodies(folder).values())


def test_files_beyond_the_rows_are_told(tmp_path):
    gpuvgm.generate(tmp_path / "parts", 30, file_rows=10)
    with pytest.warns(
        UserWarning, match=r"part-00001\.parquet: is there too, beyond the 10 rows of this run; remove it"
    ) as caught:
        gpuvgm.generate(tmp_path / "parts", 10, file_rows=10, resume=True)
    assert [warning.filename for warning in caught] == [__file__]
    assert len(bodies(tmp_path / "parts")) == 3


def test_files_that_are_there_are_refused(whole):
    before = bodies(whole)
    told = (
        r"whole: 3 files are there already, of 4 \(first part-00000\.parquet\): go on with resume=True, or remove them"
    )
    with pytest.raises(InputError, match=told):
        gpuvgm.generate(whole, ROWS + FILE_ROWS, kind="mixed-table", seed=5, file_rows=FILE_ROWS)
    assert bodies(whole) == before


@pytest.mark.parametrize("options", [{"seed": 6}, {"kind": "amount"}, {"rows": ROWS - 1}])
def test_files_with_other_rows_are_not_kept(whole, options):
    chosen = {"rows": ROWS, "kind": "mixed-table", "seed": 5, "file_rows": FILE_ROWS} | options
    with pytest.raises(InputError, match="holds other rows"):
        gpuvgm.generate(whole, chosen.pop("rows"), resume=True, **chosen)


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

"""New files of a folder are added to a model without reading the old ones."""

from __future__ import annotations

import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gpuvgm
from gpuvgm.datasets import mixed_table_rows
from tests.cli.running import invoke

ROWS = 40_000
COLUMNS = {
    "amount": {"kind": "continuous", "log": True},
    "balance": "mixed",
    "when": "continuous",
    "city": "categorical",
    "active": "categorical",
    "id": "pass",
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("added") / "data"
    folder.mkdir()
    table = pa.Table.from_batches([mixed_table_rows(0, ROWS, 3)]).select(list(COLUMNS))
    pq.write_table(table.slice(0, 15_000), folder / "0.parquet", row_group_size=4000)
    pq.write_table(table.slice(15_000), folder / "1.parquet", row_group_size=4000)
    return folder


@pytest.fixture
def grown(data, tmp_path):
    """A folder with a model of two of its files, and a third that came later."""
    folder = shutil.copytree(data, tmp_path / "data")
    fitted = gpuvgm.TableTransformer(COLUMNS, effort="research").fit(folder)
    fitted.save(tmp_path / "m.gpuvgm", summaries=True)
    more = pa.Table.from_batches([mixed_table_rows(ROWS, 5000, 3)]).select(list(COLUMNS))
    pq.write_table(more, folder / "2.parquet")
    return tmp_path, fitted.partial_fit(folder / "2.parquet")


def test_new_files_are_fitted_in_without_the_old_ones(grown, monkeypatch):
    place, expected = grown
    opened = []
    read = gpuvgm.io.parquet.ParquetPart.read
    monkeypatch.setattr(
        gpuvgm.io.parquet.ParquetPart,
        "read",
        lambda part, *rest: opened.append(part.path.name) or read(part, *rest),
    )
    fitted = gpuvgm.load(place / "m.gpuvgm").add_files(place / "data")
    assert set(opened) == {"2.parquet"}
    assert fitted.model_.fingerprint() == expected.model_.fingerprint()
    assert fitted.model_.rows == ROWS + 5000
    assert [file["name"] for file in fitted.model_.source["files"]] == ["0.parquet", "1.parquet", "2.parquet"]
    opened.clear()
    before = fitted.model_.fingerprint()
    assert fitted.add_files(place / "data").model_.fingerprint() == before and not opened


def test_files_that_were_added_by_hand_are_not_fitted_in_again(grown):
    place, expected = grown
    expected.save(place / "by-hand.gpuvgm", summaries=True)
    before = expected.model_.fingerprint()
    fitted = gpuvgm.load(place / "by-hand.gpuvgm").add_files(place / "data")
    assert fitted.model_.rows == ROWS + 5000 and fitted.model_.fingerprint() == before
    pq.write_table(pq.read_table(place / "data" / "2.parquet").slice(0, 1000), place / "data" / "3.parquet")
    for _ in range(2):
        fitted.add_files(place / "data")
        assert fitted.model_.rows == ROWS + 6000


def test_the_command_line_adds_new_files_and_keeps_the_summaries(grown):
    place, expected = grown
    for _ in range(2):
        invoke("fit", place / "data", "--model", place / "m.gpuvgm", "--add", "--quiet")
        fitted = gpuvgm.load(place / "m.gpuvgm")
        assert fitted.model_.fingerprint() == expected.model_.fingerprint() and fitted.summaries_


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--add", "--tails", "clip"], "m.gpuvgm: files are added with the settings of the model; leave out --tails"),
        (["--add", "--failed"], "--add and --failed exclude each other"),
        (["--failed"], "m.gpuvgm: no column failed in a fit of this model; run fit without --failed"),
        (["--add", "--model", "none.gpuvgm"], "none.gpuvgm: there is no model to add files to; run fit without --add"),
    ],
)
def test_what_cannot_be_added_or_fitted_again_is_refused(grown, options, message):
    place, _ = grown
    before = (place / "m.gpuvgm").read_bytes()
    assert message in invoke("fit", place / "data", "--model", place / "m.gpuvgm", *options, code=2).stderr
    assert (place / "m.gpuvgm").read_bytes() == before

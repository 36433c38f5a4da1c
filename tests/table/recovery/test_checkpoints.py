"""Checkpoints of fits: one that was cut short reads only what it had not counted; its model is the same to the bit."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gpuvgm
from gpuvgm.columns.categories import CategoryCounts
from gpuvgm.columns.numeric import Lowest
from gpuvgm.columns.passthrough import RowCount
from gpuvgm.datasets.mixed_table import mixed_table_rows
from gpuvgm.errors import InputError, ModelFileError, SourceChangedError
from gpuvgm.execution import local as execution
from gpuvgm.io.manifest import NAME, read_manifest
from gpuvgm.summary.summary import Summary
from gpuvgm.table import checkpoint
from gpuvgm.table.checkpoint import packed, unpacked
from gpuvgm.table.model_file import fingerprint
from tests.table.recovery.conftest import damage, kill_after

ROWS, PARTITION_ROWS = 40_000, 7000
PORTIONS = -(-ROWS // PARTITION_ROWS)
COLUMNS = {
    "amount": {"kind": "continuous", "log": True},
    "balance": "mixed",
    "when": "continuous",
    "city": "categorical",
    "active": "categorical",
    "id": "pass",
}


@pytest.fixture(autouse=True)
def small_portions(monkeypatch):
    monkeypatch.setattr(execution, "PARTITION_ROWS", PARTITION_ROWS)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint") / "data"
    folder.mkdir()
    table = pa.Table.from_batches([mixed_table_rows(0, ROWS, 3)]).select(list(COLUMNS))
    pq.write_table(table.slice(0, 15_000), folder / "0.parquet", row_group_size=4000)
    pq.write_table(table.slice(15_000), folder / "1.parquet", row_group_size=4000)
    return folder


def transformer(**settings):
    return gpuvgm.TableTransformer(COLUMNS, effort="research", **settings)


@pytest.fixture(scope="module")
def whole(data):
    return transformer().fit(data)


class Interrupted(Exception):
    """What ends a run."""


def count_partitions(patch, most=np.inf):
    """First rows of the partitions that are counted; what comes after so many is interrupted."""
    seen, count = [], checkpoint.summarise_partition

    def noted(engine, plans, partition, executor):
        seen.append(partition.first_row)
        if len(seen) > most:
            raise Interrupted
        return count(engine, plans, partition, executor)

    patch.setattr(checkpoint, "summarise_partition", noted)
    return seen


@pytest.fixture
def counted(monkeypatch):
    """First rows of the partitions that were counted."""
    return count_partitions(monkeypatch)


@pytest.fixture
def cut(data, tmp_path, monkeypatch):
    """A checkpoint that two partitions of the scan after the logarithm's were kept in."""
    with monkeypatch.context() as patched, pytest.raises(Interrupted):
        count_partitions(patched, most=PORTIONS + 2)
        transformer().fit(data, journal=tmp_path / "j")
    assert len(read_manifest(tmp_path / "j" / NAME).done) == PORTIONS + 2
    return tmp_path / "j"


def is_the_same(fitted, whole):
    assert fingerprint(fitted.model_) == fingerprint(whole.model_)
    for name, summary in whole.summaries_.items():
        assert packed({"x": fitted.summaries_[name]}) == packed({"x": summary})


def test_a_fit_with_a_checkpoint_is_the_same(data, whole, tmp_path, counted):
    is_the_same(transformer().fit(data, journal=tmp_path / "j"), whole)
    assert counted == [*range(0, ROWS, PARTITION_ROWS)] * 2
    again = transformer().fit(data, journal=tmp_path / "j", resume=True)
    is_the_same(again, whole)
    assert len(counted) == 2 * PORTIONS


def test_only_what_is_missing_is_counted(data, whole, cut, counted):
    is_the_same(transformer().fit(data, journal=cut, resume=True), whole)
    assert counted == [*range(2 * PARTITION_ROWS, ROWS, PARTITION_ROWS)]


def test_without_resume_everything_is_counted_again(data, whole, cut, counted):
    is_the_same(transformer().fit(data, journal=cut), whole)
    assert len(counted) == 2 * PORTIONS


@pytest.mark.parametrize("harm", ["flip", "cut", "remove"])
def test_a_damaged_file_is_counted_again(data, whole, cut, counted, caplog, harm):
    name = next(name for name, entry in read_manifest(cut / NAME).done.items() if entry["first_row"] == PARTITION_ROWS)
    damage(cut / name, harm)
    is_the_same(transformer().fit(data, journal=cut, resume=True), whole)
    assert PARTITION_ROWS in counted
    assert f"{name}: is damaged" in caplog.text


def test_other_settings_count_anew(data, cut, counted):
    other = transformer(random_state=5).fit(data, journal=cut, resume=True)
    is_the_same(other, transformer(random_state=5).fit(data))
    assert len(counted) == PORTIONS, "the scan that logarithms need is the same"


def test_a_changed_file_is_named(data, cut, tmp_path):
    moved = shutil.copytree(data, tmp_path / "data", copy_function=shutil.copy)
    with pytest.raises(SourceChangedError, match=r"0\.parquet was changed since the run began"):
        transformer().fit(moved, journal=cut, resume=True)


def test_folders_that_are_no_checkpoint_are_refused(data, tmp_path):
    (tmp_path / "letter").write_text("dear")
    with pytest.raises(InputError, match="is no journal of a fit"):
        transformer().fit(data, journal=tmp_path)


def test_a_cluster_keeps_a_checkpoint_too(data, whole, cut):
    with gpuvgm.cluster(workers=2, threads=1, gpus=False) as client:
        executor = gpuvgm.DaskExecutor(client, partition_rows=PARTITION_ROWS)
        is_the_same(transformer(executor=executor).fit(data, journal=cut, resume=True), whole)


def test_all_statistics_come_back():
    x = np.concatenate((np.random.default_rng(0).normal(size=1000), [np.nan]))
    summary = gpuvgm.TableTransformer(effort="research").fit({"x": x}).summaries_["x"]
    held = {
        "numbers": summary,
        "categories": CategoryCounts.of(pa.array(["a", None, "b", "a"]), 7),
        "times": CategoryCounts.of(pa.array([1, 2, 2]).cast(pa.timestamp("us")), 0),
        "lowest": Lowest(4, -(2**62)),
        "none": Lowest(0, None),
        "passthrough": RowCount(3, 1),
    }
    back = unpacked(packed(held))
    assert packed(back) == packed(held)
    assert isinstance(back["numbers"], Summary) and back["numbers"].missing == 1
    assert back["categories"].categories == held["categories"].categories
    assert back["categories"].first_rows.tolist() == [7, 9, 8]
    for name in ("lowest", "none", "passthrough"):
        assert back[name] == held[name]


def started(*arguments):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", SMALL, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)


def exit_code(*arguments):
    with started(*arguments) as process:
        return process.wait()


SMALL = """
import sys
from gpuvgm.execution import local as execution
execution.PARTITION_ROWS = 2000
from gpuvgm.__main__ import main
main()
"""


def test_a_killed_process_is_resumed(data, tmp_path):
    fit = ("fit", data, "--effort", "research", "--quiet", "--model")
    assert exit_code(*fit, tmp_path / "whole.gpuvgm") == 0
    process = started(*fit, tmp_path / "cut.gpuvgm")
    kill_after(process, tmp_path / ".cut.gpuvgm.journal" / NAME, 2)
    assert not (tmp_path / "cut.gpuvgm").exists(), "killed before the end"
    assert exit_code(*fit, tmp_path / "cut.gpuvgm", "--resume") == 0
    whole, back = (gpuvgm.load(tmp_path / f"{name}.gpuvgm") for name in ("whole", "cut"))
    assert fingerprint(back.model_) == fingerprint(whole.model_)
    assert sorted(os.listdir(tmp_path)) == ["cut.gpuvgm", "whole.gpuvgm"]


@pytest.fixture
def grown(data, tmp_path):
    """A folder with a model of two of its files, and a third that came later."""
    folder = shutil.copytree(data, tmp_path / "data")
    fitted = transformer().fit(folder)
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
    fitted = gpuvgm.load(place / "m.gpuvgm").fit(place / "data", resume=True)
    assert set(opened) == {"2.parquet"}
    assert fingerprint(fitted.model_) == fingerprint(expected.model_)
    assert fitted.model_.rows == ROWS + 5000
    assert [file["name"] for file in fitted.model_.source["files"]] == ["0.parquet", "1.parquet", "2.parquet"]
    opened.clear()
    before = fingerprint(fitted.model_)
    assert fingerprint(fitted.fit(place / "data", resume=True).model_) == before and not opened


def test_files_that_were_added_by_hand_are_not_fitted_in_again(grown):
    place, expected = grown
    expected.save(place / "by-hand.gpuvgm", summaries=True)
    before = fingerprint(expected.model_)
    fitted = gpuvgm.load(place / "by-hand.gpuvgm").fit(place / "data", resume=True)
    assert fitted.model_.rows == ROWS + 5000 and fingerprint(fitted.model_) == before
    pq.write_table(pq.read_table(place / "data" / "2.parquet").slice(0, 1000), place / "data" / "3.parquet")
    for _ in range(2):
        fitted.fit(place / "data", resume=True)
        assert fitted.model_.rows == ROWS + 6000


def test_the_command_line_adds_new_files_and_keeps_the_summaries(grown):
    place, expected = grown
    for _ in range(2):
        assert exit_code("fit", place / "data", "--model", place / "m.gpuvgm", "--resume", "--quiet") == 0
        fitted = gpuvgm.load(place / "m.gpuvgm")
        assert fingerprint(fitted.model_) == fingerprint(expected.model_) and fitted.summaries_


def test_settings_that_a_complete_model_does_not_have_are_refused(grown, capfd):
    place, _ = grown
    before = (place / "m.gpuvgm").read_bytes()
    command = ["fit", place / "data", "--model", place / "m.gpuvgm", "--resume", "--tails", "clip"]
    assert exit_code(*command) == 2
    told = capfd.readouterr().err
    assert "m.gpuvgm: the fit is complete, so --resume can only add new files; leave out --tails" in told
    assert (place / "m.gpuvgm").read_bytes() == before


@pytest.mark.parametrize(
    ("change", "message"), [("touch", "0.parquet was changed"), ("remove", "0.parquet was fitted")]
)
def test_old_files_that_changed_are_named(grown, change, message):
    place, _ = grown
    if change == "touch":
        os.utime(place / "data" / "0.parquet", ns=(1, 1))
    else:
        (place / "data" / "0.parquet").unlink()
    with pytest.raises(SourceChangedError, match=message):
        gpuvgm.load(place / "m.gpuvgm").fit(place / "data", resume=True)


def test_what_cannot_grow_is_refused(grown, data):
    place, expected = grown
    with pytest.raises(InputError, match="only files can be told apart"):
        gpuvgm.load(place / "m.gpuvgm").fit({"x": [1.0]}, resume=True)
    expected.save(place / "bare.gpuvgm")
    bare = gpuvgm.load(place / "bare.gpuvgm")
    bare.model_.source["files"] = bare.model_.source["files"][:1]
    with pytest.raises((InputError, ModelFileError), match="saved without its summaries|was fitted and is gone"):
        bare.fit(place / "data", resume=True)

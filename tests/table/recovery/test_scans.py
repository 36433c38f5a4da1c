"""Checkpoints of fits: rows counted once, whatever was counted before, and by whom."""

from __future__ import annotations

import os

import pytest

import gpuvgm
from gpuvgm.execution.local import LocalExecutor
from gpuvgm.io.files import told_apart
from gpuvgm.io.locks import locked
from gpuvgm.io.manifest import Manifest
from gpuvgm.table.checkpoint import forget_checkpoint
from gpuvgm.table.model_file import fingerprint


@pytest.mark.parametrize("lengths", [(8_192, 4_096), (4_096, 12_288)])
def test_partitions_of_another_length_are_counted_again(rows, tmp_path, monkeypatch, lengths):
    whole = gpuvgm.TableTransformer(effort="research").fit(rows)
    for length in lengths:
        monkeypatch.setattr(LocalExecutor, "rows_of_partitions", lambda self, *_, length=length: length)
        again = gpuvgm.TableTransformer(effort="research").fit(rows, journal=tmp_path / "journal", resume=True)
        assert again.model_.rows == 20_001
        assert fingerprint(again.model_) == fingerprint(whole.model_)
        assert again.summaries_["amount"].count.sum() == whole.summaries_["amount"].count.sum()


def test_a_checkpoint_that_was_cut_short_before_its_manifest(rows, tmp_path):
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / ".manifest.json.21d01dd8.partial").write_text("9")
    gpuvgm.TableTransformer(effort="research").fit(rows, journal=tmp_path / "journal")
    assert sorted(path.suffix for path in (tmp_path / "journal").iterdir()) == [".json", ".zip"]


def test_a_checkpoint_that_another_run_has_begun_since_is_not_removed(tmp_path):
    (tmp_path / "journal").mkdir()
    Manifest(tmp_path / "journal" / "manifest.json", {}, {}).write()
    with locked(tmp_path / "journal"):
        forget_checkpoint(tmp_path / "journal")
        assert (tmp_path / "journal" / "manifest.json").exists()
    forget_checkpoint(tmp_path / "journal")
    assert list(tmp_path.iterdir()) == []


def test_the_manifest_is_what_is_removed_last(tmp_path, monkeypatch):
    Manifest(tmp_path / "manifest.json", {}, {}).write()
    for number in range(50):
        (tmp_path / f"{number}.zip").write_bytes(b"")
    removed, unlink = [], os.unlink

    def noted(path, **options):
        removed.append(os.path.basename(path))
        unlink(path, **options)

    monkeypatch.setattr(os, "unlink", noted)
    forget_checkpoint(tmp_path)
    assert len(removed) == 52 and removed[-2] == "manifest.json" and not tmp_path.exists()  # and the lock beside it


def test_files_of_one_name_in_several_folders_are_told_apart():
    file = {"name": "part-0.parquet", "bytes": 10, "changed_ns": 1}
    other, third = file | {"changed_ns": 2}, file | {"bytes": 11}
    assert told_apart([file, other], [other, third, file]) == ([1], [])
    assert told_apart([file, file], [file, other]) == ([1], [file])


def test_files_of_one_name_are_fitted_in(shared, tmp_path):
    for day in ("1", "2"):
        (tmp_path / "days" / day).mkdir(parents=True)
    first, second = tmp_path / "days" / "1" / "part-0.parquet", tmp_path / "days" / "2" / "part-0.parquet"
    first.write_bytes((shared / "rows" / "0.parquet").read_bytes())
    transformer = gpuvgm.TableTransformer(effort="research").fit(tmp_path / "days")
    second.write_bytes((shared / "rows" / "2.parquet").read_bytes())
    transformer.fit(tmp_path / "days", resume=True)
    added = gpuvgm.TableTransformer(effort="research").fit(first).partial_fit(second)
    assert transformer.model_.rows == 20_000
    assert fingerprint(transformer.model_) == fingerprint(added.model_)


@pytest.mark.parametrize("change", ["none", "touched", "new"])
def test_files_that_changed_since_the_fit_are_noted(rows, caplog, change):
    transformer = gpuvgm.TableTransformer(effort="research").fit(rows)
    if change == "touched":
        os.utime(rows / "1.parquet", ns=(1, 1))
    elif change == "new":
        (rows / "3.parquet").write_bytes((rows / "2.parquet").read_bytes())
    with caplog.at_level("INFO", "gpuvgm"):
        transformer.transform(rows)
    noted = [record.getMessage() for record in caplog.records if "changed since the fit" in record.getMessage()]
    assert noted == (
        [f"{rows / '1.parquet'}: changed since the fit, or another file of its name"] * (change == "touched")
    )

"""Files of a fit: those of one name told apart, those that were added, those that changed since."""

from __future__ import annotations

import os

import pytest

import gpuvgm
from gpuvgm.io.files import told_apart


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
    transformer.add_files(tmp_path / "days")
    added = gpuvgm.TableTransformer(effort="research").fit(first).partial_fit(second)
    assert transformer.model_.rows == 20_000
    assert transformer.model_.fingerprint() == added.model_.fingerprint()


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

"""Keys that a fit does not see, with all their rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gpuvgm
from gpuvgm.report import HoldOut
from gpuvgm.synthesis.sequences import source
from tests.cli.running import invoke
from tests.synthesis.sequences.trades import hospital_stays

OF_KEYS: dict[str, Any] = {"sequence_key": "patient", "sequence_index": "arrival", "threads": 1}


@pytest.fixture(scope="module")
def stays() -> pd.DataFrame:
    return hospital_stays(400, 0)


@pytest.fixture(scope="module")
def fitted(stays: pd.DataFrame) -> gpuvgm.TableSynthesizer[pd.DataFrame]:
    return gpuvgm.TableSynthesizer(hold_out=0.25, **OF_KEYS).fit(stays)


def held(table: pd.DataFrame, share: float = 0.25) -> np.ndarray[Any, Any]:
    """Which rows are held out."""
    (batch,) = pa.Table.from_pandas(table).combine_chunks().to_batches()
    return HoldOut(share, 0, (*table.columns,), "patient").holds(batch)


def test_all_rows_of_a_key_are_held_out_together(stays: pd.DataFrame) -> None:
    of_keys = pd.Series(held(stays)).groupby(stays.patient.to_numpy())
    assert (of_keys.nunique() == 1).all()
    assert abs(of_keys.first().mean() - 0.25) < 0.07
    assert (held(stays.assign(ward="surgery")) == held(stays)).all(), "other columns do not count"


def test_rows_without_a_key_are_held_out_by_their_own_values(stays: pd.DataFrame) -> None:
    for lacking in (None, " "):
        table = stays.assign(patient=stays.patient.where(stays.index % 2 > 0, lacking))
        alone = held(table)[stays.index % 2 == 0]
        assert abs(alone.mean() - 0.25) < 0.07
    lacking_all = stays.assign(patient=pd.Series(None, stays.index, dtype="str"))
    assert abs(held(lacking_all).mean() - 0.25) < 0.07


def test_a_fit_equals_that_of_the_keys_that_are_left(
    stays: pd.DataFrame, fitted: gpuvgm.TableSynthesizer[pd.DataFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a file, an iterator of batches, and rows of which not all are held in memory."""
    left = stays[~held(stays)].reset_index(drop=True)
    alone = gpuvgm.TableSynthesizer(**OF_KEYS).fit(left)
    sample = alone.sample(keys=200)
    pd.testing.assert_frame_equal(fitted.sample(keys=200), sample)
    table = pa.Table.from_pandas(stays)
    pq.write_table(table, tmp_path / "stays.parquet", row_group_size=170)
    for rows in (tmp_path / "stays.parquet", iter(table.to_batches(max_chunksize=111))):
        again = gpuvgm.TableSynthesizer(hold_out=0.25, **OF_KEYS).fit(rows)
        frame = pa.table(again.sample(keys=200)).to_pandas()
        pd.testing.assert_frame_equal(frame, sample, check_dtype=False)
    monkeypatch.setattr(source, "MOST_HELD", 100)
    sorted_apart = [
        gpuvgm.TableSynthesizer(**OF_KEYS).fit(left),
        gpuvgm.TableSynthesizer(hold_out=0.25, **OF_KEYS).fit(stays),
    ]
    pd.testing.assert_frame_equal(*(one.sample(keys=200) for one in sorted_apart))


def test_further_keys_are_held_out_as_well(
    stays: pd.DataFrame, fitted: gpuvgm.TableSynthesizer[pd.DataFrame], tmp_path: Path
) -> None:
    fitted.save(tmp_path / "stays.gpuvgm")
    loaded: Any = gpuvgm.load(tmp_path / "stays.gpuvgm")
    assert loaded.hold_out == 0.25
    more = hospital_stays(300, 5).assign(patient=lambda rows: "Q" + rows.patient.str[1:])
    other = gpuvgm.TableSynthesizer(like=loaded).fit(more)
    assert other.network_.counts.rows == np.count_nonzero(~held(more)) < len(more)
    rows = loaded.network_.counts.rows
    assert rows == np.count_nonzero(~held(stays))
    assert loaded.partial_fit(more).network_.counts.rows == rows + other.network_.counts.rows


def test_samples_are_measured_by_keys_held_out(
    stays: pd.DataFrame, fitted: gpuvgm.TableSynthesizer[pd.DataFrame], tmp_path: Path
) -> None:
    """A sample of fitted keys stands out, one of keys held out does not; a file says which these are."""
    comparison = fitted.evaluate(stays)
    assert comparison.near.rows == np.count_nonzero(~held(stays))
    assert comparison.near.held_out_share is not None
    assert not comparison.near.stand_out
    fitted.save(tmp_path / "stays.gpuvgm")
    loaded: Any = gpuvgm.load(tmp_path / "stays.gpuvgm")
    assert loaded.evaluate(stays).to_dict() == comparison.to_dict()
    renamed = stays.assign(patient="R" + stays.patient.str[1:])
    for rows, copies in ((renamed[~held(stays)], True), (renamed[held(stays)], False)):
        found = fitted.transformer_.evaluate(stays, compare=rows.reset_index(drop=True))
        assert found.copies.stand_out == copies


def test_the_command_line_holds_keys_out(stays: pd.DataFrame, tmp_path: Path) -> None:
    stays.to_parquet(tmp_path / "stays.parquet")
    paths = str(tmp_path / "stays.parquet"), str(tmp_path / "stays.gpuvgm")
    of_keys = ("--sequence-key", "patient", "--sequence-index", "arrival", "--hold-out", "0.25", "--seed", "0")
    run = invoke("train", paths[0], "--model", paths[1], *of_keys)
    assert f"trained on {np.count_nonzero(~held(stays)):,} rows" in " ".join(run.stdout.split())


def test_rules_that_are_none_are_refused() -> None:
    rule: dict[str, Any] = {"share": 0.25, "seed": 0, "columns": ["patient"], "key": "ward"}
    with pytest.raises(ValueError, match="its rule of rows that are held out is none"):
        HoldOut.of_settings({"hold_out": rule})

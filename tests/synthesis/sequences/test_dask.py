"""Dask frames whose rows belong to keys, which lie in several partitions."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

import gpuvgm
from gpuvgm.synthesis.sequences import source
from tests.synthesis.sequences.trades import hospital_stays

dataframe: Any = pytest.importorskip("dask.dataframe", reason="Dask is not installed")
OF_KEYS: dict[str, Any] = {"sequence_key": "patient", "sequence_index": "arrival", "threads": 1}


def stays() -> pd.DataFrame:
    """Rows of a patient lie anywhere."""
    return hospital_stays(400, 0).sample(frac=1, random_state=1, ignore_index=True)


def part_of_stays(number: int) -> pd.DataFrame:
    return stays().iloc[number * 200 : (number + 1) * 200]


@pytest.mark.parametrize("is_held", [True, False])
def test_frames_are_fitted_as_tables_are(monkeypatch: pytest.MonkeyPatch, *, is_held: bool) -> None:
    """Of known and of unknown length, in memory and by way of sorted files."""
    if not is_held:
        monkeypatch.setattr(source, "MOST_HELD", 100)
    expected = gpuvgm.TableSynthesizer(**OF_KEYS).fit(stays()).sample(keys=100)
    frames = dataframe.from_pandas(stays(), npartitions=5, sort=False), dataframe.from_map(part_of_stays, range(5))
    for frame in frames:
        synthesizer = gpuvgm.TableSynthesizer(**OF_KEYS).fit(frame)
        pd.testing.assert_frame_equal(synthesizer.sample(keys=100), expected, check_dtype=False)


def test_workers_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor do keys that are held out."""
    pytest.importorskip("distributed", reason="Dask is not installed")
    monkeypatch.setattr(source, "MOST_HELD", 100)
    of_keys = {**OF_KEYS, "hold_out": 0.2}
    expected = gpuvgm.TableSynthesizer(**of_keys).fit(stays()).sample(keys=100)
    frame = dataframe.from_pandas(stays(), npartitions=3, sort=False)
    with gpuvgm.cluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0") as client:
        synthesizer = gpuvgm.TableSynthesizer(executor=gpuvgm.DaskExecutor(client), **of_keys).fit(frame)
        pd.testing.assert_frame_equal(synthesizer.sample(keys=100), expected, check_dtype=False)

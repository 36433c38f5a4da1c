"""CTGAN from a file, at a tiny size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from benchmarks import training

ctgan = pytest.importorskip("ctgan", reason="ctgan, which is trained, is not installed")


@pytest.mark.parametrize("place", training.PLACES)
def test_a_training_is_measured(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "STEPS", 3)
    source = tmp_path / "payments.parquet"
    training.write_payments(2_000, source)
    assert pq.read_metadata(source).num_rows == 2_000
    begin, step = training.trained(2_000, source, place)
    assert begin.seconds > 0 and step.seconds > 0
    assert begin.details["row_bytes"] == 32
    assert 0 < begin.details["anonymous"] <= begin.details["peak"]
    assert begin.notes["bytes a row"] == "32.0"


def test_an_epoch_has_ctgans_losses(monkeypatch: pytest.MonkeyPatch, random: np.random.Generator) -> None:
    frame = pd.DataFrame({name: random.normal(size=1_500) for name in training.FLIGHTS})
    for name in training.FLIGHTS_DISCRETE:
        frame[name] = random.choice(["a", "b", "c"], 1_500)
    stock: Any = ctgan.synthesizers.ctgan.Generator
    monkeypatch.setattr(stock, "__init__", stock.__init__)  # given back at the end
    monkeypatch.setattr(training, "flights", lambda: frame)
    found = training.epoch_side()
    ours, theirs = found["losses"]
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    assert found["rows"] == 1_500 and min(found["seconds"]) > 0

"""The notebooks that need PyTorch run from clean kernels."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.notebooks.running import run_notebook

pytest.importorskip("ctgan", reason="ctgan is not installed")


@pytest.mark.exhaustive
def test_runs_from_a_clean_kernel(tmp_path: Path) -> None:
    assert "CTGAN 0.12" in run_notebook("02", tmp_path, GPUVGM_NOTEBOOK_ROWS="1000", GPUVGM_NOTEBOOK_EPOCHS="1")


@pytest.mark.exhaustive
def test_a_loop_of_ones_own(tmp_path: Path) -> None:
    assert "in the last" in run_notebook("06", tmp_path, GPUVGM_NOTEBOOK_ROWS="2000", GPUVGM_NOTEBOOK_EPOCHS="2")

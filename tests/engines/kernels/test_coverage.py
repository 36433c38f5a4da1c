"""The report on PTX that no test executed."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from tests.engines.kernels.executed import ExecutedDevice
from tests.harness.ptx import coverage
from tests.harness.ptx.interpreter import Kernel


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> dict[coverage.Key, Kernel]:
    """Two kernels in the place of all, of which two instructions of six were executed."""
    lines, text = ["a.cuh:1", "a.cuh:1", "a.cuh:2"], ["ld", "st", "ret"]
    first = Kernel("one", lines=lines, text=text, executed=np.array([3, 0, 1], np.uint64))
    second = Kernel("two", lines=lines, text=text, executed=np.zeros(3, np.uint64))
    found = {("one", "75", False): first, ("two", "75", True): second}
    monkeypatch.setattr(ExecutedDevice, "kernels", found)
    monkeypatch.setattr(coverage, "every_program", lambda: [])
    return found


def test_lines_that_were_not_reached_are_listed(kernels: dict[coverage.Key, Kernel]) -> None:
    assert coverage.report(kernels, 33.0) == (
        "compute_75: 2 of 6 PTX instructions of 2 kernels were executed (33.33 %), 4 times in all\n"
        "  a.cuh:1: 3 not executed (two (wide) 2, one 1)\n"
        "  a.cuh:2: 1 not executed (two (wide) 1)",
        True,
    )
    assert not coverage.report(kernels, 34.0)[1]


def test_nothing_executed_is_not_enough() -> None:
    assert coverage.report({}) == ("", False)


def test_processes_are_added_up(kernels: dict[coverage.Key, Kernel], tmp_path: Path) -> None:
    for _ in range(2):
        coverage.save(str(tmp_path / "new"))
    found = coverage.executed(tmp_path / "new")
    assert found.keys() == kernels.keys()
    assert found["one", "75", False].executed.tolist() == [6, 0, 2]


@pytest.mark.ptx
def test_programs_that_no_test_runs_count(kernels: dict[coverage.Key, Kernel], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    text, enough = coverage.report({("none", "75", False): Kernel("none", executed=np.zeros(0, np.uint64))})
    assert (
        re.search(r"compute_75: 0 of \d\d,", text) and "cuda/chunk_totals.cuh:74: 1 not executed" in text and not enough
    )

"""How far threads go: Amdahl's share, stacks that hold the lock, and the table of a page."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import threads
from benchmarks.measure import Measurement


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 1.0])
@pytest.mark.parametrize("count", [2, 3, 16])
def test_the_share_is_that_of_amdahls_law(share: float, count: int) -> None:
    assert threads.serial_share(1 / (share + (1 - share) / count), count) == pytest.approx(share)


def test_a_share_lies_between_none_and_all() -> None:
    assert threads.serial_share(2.4, 2) == 0 and threads.serial_share(0.7, 2) == 1 and threads.serial_share(1, 1) == 1


def test_stacks_count_by_the_innermost_function_within_a_stage() -> None:
    """Loading the model is left out, and so is what no function of the library called; other threads run in stages."""
    main = "<module> (benchmarks/threads.py:9);main (benchmarks/threads.py:8)"
    stacks = [
        f"{main};load (gpuvgm/table/load.py:3) 50",
        f"{main};run_stage (benchmarks/threads.py:7);fit (gpuvgm/table/fit.py:5);sort (numpy/a.py:1) 2",
        f"{main};run_stage (benchmarks/threads.py:7);fit (gpuvgm/table/fit.py:6) 3",
        "run (threading.py:1);work (gpuvgm/io/sink.py:1) 4",
        "run (threading.py:1) 30",
    ]
    found = threads.shares_of(stacks, 20)
    assert found == {"gpuvgm/table/fit.py: fit": 0.25, "gpuvgm/io/sink.py: work": 0.2}
    assert list(found) == ["gpuvgm/table/fit.py: fit", "gpuvgm/io/sink.py: work"]


def test_without_a_sampler_nobody_is_said_to_hold_the_lock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(threads.shutil, "which", lambda *_, **__: None)
    assert threads.lock_holders(tmp_path, "wide", "fit") is None


@pytest.mark.parametrize("case", threads.CASES)
@pytest.mark.parametrize("stage", threads.STAGES)
def test_every_stage_runs(case: str, stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(threads.CASES, case, replace_columns(threads.CASES[case]))
    threads.prepare(tmp_path, case, 300)
    runs = threads.main(tmp_path, case, stage, 2, 2)
    assert len(runs) == 2 and all(wall > 0 and cpu > 0 for wall, cpu in runs)
    assert (tmp_path / "written.parquet").exists() == (threads.CASES[case].in_files and stage != "fit")


def replace_columns(case: threads.Case) -> threads.Case:
    """With few columns, so that it is quick."""
    return case._replace(columns=min(case.columns, 3))


def test_the_page_has_the_last_run_of_each_case() -> None:
    details = {
        "threads": [1, 2],
        "wall": {1: 3.0, 2: 2.0},
        "processes": 1.9,
        "serial": 1 / 3,
        "held": {"a": 0.2, "b": 0.1},
    }
    old = Measurement("fit, 1 column", 1000, 9.0, details=details)
    new = replace(old, details=details | {"held": None})
    machine = {"processor": "P", "cores": 2, "instruction_sets": [], "python": "3", "versions": {}}
    lines = [json.dumps({"benchmark": "threads", "machine": machine, **one.to_dict()}) for one in (old, new)]
    first, second = list(threads.table(lines[:1])), list(threads.table(lines))
    assert first[4] == "| fit, 1 column | 1,000 | 3.00 s | 2.00 s | 1.50 × | 1.90 × | 33% | 30% |"
    assert first[-1] == "| fit, 1 column | `a` 20.0%, `b` 10.0% |"
    assert second[4].endswith("| 33% |  |") and second[-1] == "| fit, 1 column |  |" and not list(threads.table([]))

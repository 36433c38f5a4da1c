"""The harness itself: every way to end is told as what it is, and a number gives the same case again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.harness.fuzz.harness import Outcome, Result, WrongResult, table, unclear
from tests.harness.fuzz.jobs import Healthy, Job, Snapshot, check_readers, check_right

Results = list[dict[str, Any]]


@pytest.fixture(scope="module")
def results() -> Results:
    """What came of cases of every behaviour, in a process without threads of pytest's."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.harness.fuzz.behaviours"], capture_output=True, check=True, text=True
    )
    found: Results = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    ("name", "outcome", "message"),
    [
        ("right", Outcome.CORRECT, ""),
        ("wrong", Outcome.SILENT_WRONG, "2 is not 3"),
        ("clear", Outcome.CLEAR_ERROR, "…/table.csv: row 3 has no value"),
        ("no-disk", Outcome.CLEAR_ERROR, "the disk is full"),
        ("nameless", Outcome.FOREIGN, "does not name table.csv"),
        ("two-lines", Outcome.FOREIGN, "more than one line"),
        ("long", Outcome.FOREIGN, "511 letters"),
        ("innards", Outcome.FOREIGN, "innards of a program"),
        ("foreign", Outcome.FOREIGN, "KeyError: 'absent'"),
        ("sys-exit", Outcome.FOREIGN, "SystemExit"),
        ("memory", Outcome.FOREIGN, "MemoryError"),
        ("exit", Outcome.CRASH, "status 3"),
        ("crash", Outcome.CRASH, "SIGSEGV"),
        ("hang", Outcome.HANG, "no end after 2 s"),
    ],
)
def test_every_way_to_end_is_told(results: Results, name: str, outcome: Outcome, message: str) -> None:
    (found,) = [result for result in results if result["target"] == name]
    assert found["outcome"] == outcome
    assert message in found["message"]


def test_a_number_gives_the_same_case_whatever_runs_before_and_beside_it(results: Results) -> None:
    shown = [(result["number"], result["message"]) for result in results if result["target"] == "shown"]
    assert len(shown) == 4
    assert len(set(shown)) == 2


@pytest.mark.parametrize("side_by_side", [1, 3])
def test_every_number_is_run_once_in_an_empty_folder(results: Results, side_by_side: int) -> None:
    shown = [result for result in results if result["target"] == f"shown-{side_by_side}"]
    assert sorted(result["number"] for result in shown) == [*range(5)]
    assert all(result["message"].endswith("[]") for result in shown)


def test_a_case_is_run_even_when_time_is_up(results: Results) -> None:
    assert [result["number"] for result in results if result["target"] == "late"] == [0]


def test_processes_that_a_case_leaves_are_ended(results: Results) -> None:
    (left,) = [result["message"] for result in results if result["target"] == "leaves"]
    status = Path("/proc", left, "stat")
    assert not status.exists() or status.read_text().split()[2] == "Z"


def test_table() -> None:
    results = [Result("a", 0, Outcome.CORRECT, ""), Result("a", 1, Outcome.HANG, ""), Result("b", 0, Outcome.CRASH, "")]
    header, _, *rows = table(results).splitlines()
    assert header == "| target | tried | correct | clear error | silent wrong | foreign | crash | hang |"
    assert rows == ["| a | 2 | 1 | 0 | 0 | 0 | 0 | 1 |", "| b | 1 | 0 | 0 | 0 | 0 | 1 | 0 |"]


@pytest.mark.parametrize(
    "message", ["t.csv: Traceback (most", "t.csv: reader.cc:71 Check failed", "t.csv: at 0x7f00aa11"]
)
def test_innards_are_not_clear(message: str) -> None:
    assert unclear(message, ["t.csv"]) == "innards of a program"
    assert unclear("t.csv: row 0x10 is no number", ["t.csv"]) is None


def left_by_a_run(seconds: float, manifest: str) -> Snapshot:
    """What a command leaves: a folder with one file, which says how long it took."""
    files = {"part-00000.parquet": {"rows": 3, "seconds": seconds}}
    return {"b": None, manifest: json.dumps({"done": files, "sha256": f"of {seconds}"}).encode()}


def test_readers_may_see_other_seconds_in_a_manifest() -> None:
    run = Healthy(Job(("inverse",), ("b",)), 1.0, 1, left_by_a_run(0.5, "b/_manifest.json"), {})
    check_readers(left_by_a_run(0.7, "b/_manifest.json"), run)
    check_right(left_by_a_run(0.7, "b/_manifest.json"), run.right)


def test_readers_may_see_no_other_bytes_in_any_other_file() -> None:
    run = Healthy(Job(("inverse",), ("b",)), 1.0, 1, left_by_a_run(0.5, "b/part-00000.parquet"), {})
    with pytest.raises(WrongResult, match="readers see something incomplete"):
        check_readers(left_by_a_run(0.7, "b/part-00000.parquet"), run)
    with pytest.raises(WrongResult, match="differs from that of a healthy run"):
        check_right(left_by_a_run(0.7, "b/part-00000.parquet"), run.right)

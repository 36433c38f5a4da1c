"""Every benchmark runs once, at a tiny size; its figures are shaped right, whatever they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import picture, pipeline
from benchmarks.__main__ import BENCHMARKS, main
from benchmarks.measure import Measurement, best_times

ROWS = 20_000


@pytest.mark.parametrize("benchmark", [name for name in BENCHMARKS if name != "pipeline"])
def test_benchmark_prints_a_table_and_writes_json_lines(
    benchmark: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = tmp_path / "results" / "lines.jsonl"
    assert main([benchmark, "--rows", str(ROWS), "--json", str(lines)]) == 0
    measured = [json.loads(line) for line in lines.read_text().splitlines()]
    printed = " ".join(capsys.readouterr().out.split())
    assert printed.startswith(f"{benchmark}: ")
    for row in measured:
        assert row["benchmark"] == benchmark
        assert row["seconds"] > 0
        assert row["ratios"].keys() == row["yardsticks"].keys() != set()
        assert row["machine"]["cores"] >= 1
        assert row["case"].split()[0] in printed


def test_pipeline_reports_stages_and_peak_memory_of_every_side(tmp_path: Path) -> None:
    lines = tmp_path / "lines.jsonl"
    main(["pipeline", "--rows", "3e4", "--json", str(lines)])
    (row,) = map(json.loads, lines.read_text().splitlines())
    assert row["ratios"].keys() == set(pipeline.NAMES.values())
    sides = row["details"]["sides"]
    assert list(sides["gpuvgm"]["seconds"]) == ["fit", "transform", "inverse"]
    for side in ("sinks", "defaults"):
        stages = {"read values", "write values", "read encoded", "write encoded"}
        assert sides[side]["seconds"].keys() == stages
        assert 2**20 < sides[side]["peak_memory"] < 2**30


def test_a_missed_aim_is_named() -> None:
    row = Measurement("x", 100, 2.0, {"numpy.sum": 1.0, "copy": 4.0}, {"numpy.sum": 0.6})
    assert row.missed() == ["numpy.sum"]
    assert (row.rows_per_second, row.ratio("copy")) == (50.0, 2.0)


def test_functions_take_turns() -> None:
    called: list[str] = []
    best_times({"a": lambda: called.append("a"), "b": lambda: called.append("b")}, 3)
    assert called == ["a", "b"] * 3


def test_picture_is_the_same_twice(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    one, two = (picture.draw(5000, tmp_path / name) for name in ("one.svg", "two.svg"))
    assert one.read_bytes() == two.read_bytes()
    assert b"<svg" in one.read_bytes()

"""Predictions of whole stages: every goal has one, more work is never faster, and what is measured stands apart."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks import predict, stages
from benchmarks.kernels import prediction
from benchmarks.kernels.cards import CARDS, H200
from benchmarks.stages import STAGES, Host, Stage

HOST = Host((1e-6, 2e-6), 0.03)


def test_constants_are_ranges() -> None:
    for seconds in (stages.LAUNCH_SECONDS, stages.SYNCHRONISATION_SECONDS, stages.ALLOCATION_SECONDS):
        assert 1e-6 < seconds[0] <= seconds[1] < 1e-4
    for share in (stages.BANDWIDTH_SHARE, stages.FP64_SHARE, stages.ISSUE_SHARE):
        assert 1 >= share[0] > share[1]


def test_every_program_of_a_stage_takes_time_for_its_rows() -> None:
    for stage in STAGES:
        found = stages.of_estimator(stage) if stage.iterations else stages.of_table(stage)
        known = {name for name in found.passes if name in stages.works()}
        assert known, stage
        for least, most in map(stages.kernel_seconds, known):
            assert 0.1e-12 < least <= most < 1e-9
        # the others go over cells or chunks, whose number does not grow with the rows, or have a term of their own
        walks = {"gpuvgm_carry", "gpuvgm_frequent", "gpuvgm_gather", "gpuvgm_chunk_totals"}
        assert set(found.passes) - known <= walks, stage


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_more_work_is_never_faster(stage: Stage) -> None:
    here = stages.predict(stage, HOST)
    bytes_a_row = {"transform": 13, "onehot": 49, "inverse": 13}.get(stage.counted, 8)
    assert here.total[0] > stage.rows * stage.columns * bytes_a_row / (H200.bandwidth * 1e9)
    assert set(here.seconds) == set(stages.PARTS)
    assert all(0 <= least <= most for least, most in here.seconds.values())
    others = [replace(stage, rows=2 * stage.rows)]
    if stage.iterations:
        more = stages.predict(replace(stage, iterations=2 * stage.iterations), HOST)
        assert 1.5 * here.seconds["rows"][0] < more.seconds["rows"][0] < 2 * here.seconds["rows"][0]
    else:
        others.append(replace(stage, columns=2 * stage.columns))
    for other in others:
        assert all(more > less for more, less in zip(stages.predict(other, HOST).total, here.total, strict=True))


def test_planning_is_part_of_a_fit_alone() -> None:
    for stage in STAGES:
        least, most = stages.predict(stage, HOST).seconds["planning"]
        assert most == (stage.columns * HOST.planning if stage.counted == "fit" else 0)
        assert least == most / min(stage.columns, stages.HOST_THREADS)


def test_a_whole_run_reads_twice_and_writes() -> None:
    run = stages.whole_run(HOST)
    parts = [stages.predict(Stage("", name, 10**9, 0.0), HOST) for name in ("fit", "transform")]
    assert run.seconds["launches"][1] == pytest.approx(sum(one.seconds["launches"][1] for one in parts))
    assert run.seconds["bus"][0] > 10**9 * (16 / stages.UP + 5 / stages.DOWN)
    least, most = run.seconds["files"]
    assert 0.1 < least < most / 4


def test_what_a_call_takes_is_measured() -> None:
    least, most = predict.call_seconds()
    assert 1e-8 < least <= most < 1e-3


def test_all_is_printed_and_written_and_what_was_measured_is_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "measured_host", lambda: HOST)
    console, path = Console(width=400, record=True), tmp_path / "results" / "lines.jsonl"
    assert predict.run(console, path) == 0
    text = console.export_text()
    assert text.startswith("predicted, not measured") and stages.LEFT_OUT in text
    assert all(name in text for name in (*(stage.name for stage in STAGES), "Parquet to Parquet"))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    kernels = [line for line in lines if "program" in line]
    assert [line["card"] for line in kernels] == [card.name for _ in prediction.works() for card in CARDS]
    for line in kernels:
        assert line["predicted"] and line["predicted_milliseconds"][line["limit"]] == max(
            line["predicted_milliseconds"].values()
        )
    whole = [line for line in lines if "stage" in line]
    assert [line["stage"] for line in whole[:-1]] == [stage.name for stage in STAGES]
    for line in whole:
        for end in (0, 1):
            parts = sum(seconds[end] for seconds in line["predicted_milliseconds"].values())
            assert line["predicted"] and line["predicted_total_milliseconds"][end] == pytest.approx(parts, abs=1e-2)
    measured = lines[-1]
    assert not measured["predicted"] and measured["seconds_a_column"] == HOST.planning
    assert measured["seconds_a_call"] == list(HOST.call)

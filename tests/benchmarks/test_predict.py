"""Predictions of whole stages: every goal has one, more work is never faster, and what is measured stands apart."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks import predict, stages
from benchmarks.kernels.cards import H200
from benchmarks.kernels.compile import missing
from benchmarks.stages import STAGES, Stage

needs_programs = pytest.mark.skipif(missing() is not None, reason=f"programs cannot be compiled: {missing()}")


def test_the_constants_are_those_committed_before_the_first_optimisation() -> None:
    assert (stages.LAUNCH_SECONDS, stages.SYNCHRONISATION_SECONDS) == (4e-6, 15e-6)
    assert (stages.ALLOCATION_SECONDS, stages.PYTHON_CALL_SECONDS) == (2e-6, 1e-6)
    assert (stages.BANDWIDTH_SHARE, stages.FP64_SHARE) == (0.7, 0.4)


@needs_programs
def test_every_program_of_a_stage_takes_time_for_its_rows() -> None:
    for stage in STAGES:
        found = stages.of_estimator(stage) if stage.iterations else stages.of_table(stage)
        known = {name for name in found.passes if name in stages.works()}
        assert known, stage
        assert all(0.1e-12 < stages.kernel_seconds(name) < 1e-9 for name in known)
        # the others go over cells or chunks, whose number does not grow with the rows, or have a term of their own
        walks = {"gpuvgm_carry", "gpuvgm_frequent", "gpuvgm_gather", "gpuvgm_chunk_totals"}
        assert set(found.passes) - known <= walks, stage


@needs_programs
@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_more_work_is_never_faster(stage: Stage) -> None:
    here = stages.predict(stage)
    bytes_a_row = {"transform": 13, "onehot": 49, "inverse": 13}.get(stage.counted, 8)
    least = stage.rows * stage.columns * bytes_a_row / (H200.bandwidth * 1e9)
    assert here.total > least and set(here.seconds) == set(stages.PARTS)
    assert all(seconds >= 0 for seconds in here.seconds.values())
    assert stages.predict(replace(stage, rows=2 * stage.rows)).total > here.total
    if stage.iterations:
        more = stages.predict(replace(stage, iterations=2 * stage.iterations))
        assert 1.5 * here.seconds["rows"] < more.seconds["rows"] < 2 * here.seconds["rows"]
    else:
        assert stages.predict(replace(stage, columns=2 * stage.columns)).total > here.total


@needs_programs
def test_every_stage_is_in_the_table_and_what_was_measured_is_apart(tmp_path: Path) -> None:
    console, found, path = Console(width=250, record=True), stages.predictions(), tmp_path / "lines.jsonl"
    predict.show_stages(found, 0.125, console)
    text = console.export_text()
    assert all(stage.name in text for stage in STAGES) and stages.LEFT_OUT in text and "predicted, not measured" in text
    predict.append(path, map(predict.stage_line, found))
    predict.append_measured(path, 0.125)
    *lines, measured = map(json.loads, path.read_text().splitlines())
    assert [line["stage"] for line in lines] == [stage.name for stage in STAGES]
    for line in lines:
        assert line["predicted"] and line["predicted_total_milliseconds"] == pytest.approx(
            sum(line["predicted_milliseconds"].values()), abs=1e-2
        )
    assert not measured["predicted"] and measured["seconds_a_column"] == 0.125

"""Logs for programs and records of runs."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest

from gpuvgm import TableTransformer
from gpuvgm.cli import record
from gpuvgm.execution import Stages
from tests.cli.conftest import ROWS
from tests.cli.running import document, invoke


def lines(stderr):
    return [json.loads(line) for line in stderr.splitlines()]


def test_log_lines_are_json_with_their_fields(transformation):
    begin, stage, end = lines(invoke(*transformation, "--log-format", "json").stderr)
    assert (begin["event"], begin["stage"], begin["rows"], begin["columns"]) == ("begin", "transform", ROWS, 3)
    assert (stage["event"], stage["rows_per_second"]) == ("end", pytest.approx(ROWS / stage["seconds"]))
    assert (stage["level"], stage["logger"], stage["stage"], stage["rows"]) == ("info", "gpuvgm", "transform", ROWS)
    assert stage["time"].endswith("+00:00")
    assert (end["command"], end["exit_code"]) == ("transform", 0)
    assert 0 < end["stages"][0]["seconds"] == stage["seconds"] <= end["seconds"]


def test_errors_and_warnings_are_json_too(folder, tmp_path):
    result = invoke("info", tmp_path / "a", "--log-format", "json", env={"GPUVGM_THREDS": "3"}, code=2)
    warning, error, end = lines(result.stderr)
    assert (warning["level"], "did you mean GPUVGM_THREADS?" in warning["message"]) == ("warning", True)
    assert (error["level"], error["kind"], error["exit_code"]) == ("error", "ModelFileError", 2)
    assert str(tmp_path / "a") in error["message"]
    assert "exception" not in error
    assert end["exit_code"] == 2
    error = lines(invoke("info", tmp_path / "a", "--log-format", "json", "--debug", code=2).stderr)[0]
    assert "Traceback" in error["exception"]


def test_a_broken_limit_is_logged(evaluation):
    broken = lines(invoke(*evaluation, "--max-error", "0", "--log-format", "json", code=1).stderr)[2]
    assert (broken["level"], broken["message"].startswith('column "x": 99.9th')) == ("error", True)


def test_text_says_nothing_of_stages(folder):
    assert invoke("info", folder / "m.gpuvgm").stderr == ""


def test_a_record_holds_the_run(folder, tmp_path):
    record, source, out = tmp_path / "record.json", folder / "table.parquet", tmp_path / "e.parquet"
    found = document("transform", source, out, "--model", folder / "m.gpuvgm", "--record", record)
    kept = json.loads(record.read_text())
    assert (kept["command"], kept["exit_code"], kept["error"]) == ("transform", 0, None)
    assert (kept["bytes_in"], kept["bytes_out"], kept["rows"]) == (source.stat().st_size, out.stat().st_size, ROWS)
    assert [(stage["name"], stage["rows"]) for stage in kept["stages"]] == [("transform", ROWS)]
    assert found["run"]["stages"] == kept["stages"]
    assert kept["options"]["mode"] == "sample"
    assert kept["versions"].keys() >= {"gpuvgm", "python", "pyarrow"}
    assert kept["machine"]["cores"] >= 1
    assert 2**25 < kept["peak_memory"] < 2**36


def test_stages_follow_each_other():
    stages = Stages()
    with stages.listen():
        for stage, rows in [("fit", 5), ("fit", 9), ("fit", 3), ("transform", 9), ("fit", 2)]:
            stages(stage, rows, 9)
    assert [(stage.name, stage.rows) for stage in stages.done] == [("fit", 9), ("transform", 9), ("fit", 2)]
    first, second, third = stages.done
    assert first.start < first.end == second.start <= second.end == third.start <= third.end


def test_rows_read_during_the_search_for_modes_belong_to_it():
    stages = Stages()
    with stages.listen():
        for stage, done, total in [
            ("fit", 9, 9),
            ("search modes", 0, 2),
            ("fit", 5, 9),
            ("search modes", 2, 2),
            ("fit", 4, 9),
        ]:
            stages(stage, done, total)
    assert [(stage.name, stage.rows) for stage in stages.done] == [("fit", 9), ("search modes", 2), ("fit", 4)]
    assert stages.done[1].document().keys() == {"name", "seconds", "columns"}


def test_a_fit_logs_the_search_for_modes(folder, tmp_path):
    result = invoke("fit", folder / "table.parquet", "--model", tmp_path / "m.gpuvgm", "--log-format", "json")
    told = [line for line in lines(result.stderr) if "stage" in line]
    assert [(line["event"], line["stage"]) for line in told] == [
        ("begin", "fit"),
        ("end", "fit"),
        ("begin", "search modes"),
        ("end", "search modes"),
    ]
    assert told[3]["columns"] == told[2]["columns"] >= 1
    assert told[3]["message"].startswith(f"stage search modes: {told[3]['columns']} column")


def test_a_failed_run_is_recorded(tmp_path):
    record = tmp_path / "record.json"
    invoke("info", tmp_path / "a", "--record", record, code=2)
    kept = json.loads(record.read_text())
    assert (kept["exit_code"], kept["error"]["kind"], kept["stages"]) == (2, "ModelFileError", [])


def test_a_record_that_cannot_be_written_is_refused_before_the_work(transformation, tmp_path):
    assert "ends in .json" in invoke(*transformation, "--record", tmp_path / "r.txt", code=2).stderr
    assert "does not exist" in invoke(*transformation, "--record", tmp_path / "a" / "r.json", code=2).stderr
    assert not (tmp_path / "e.parquet").exists()


def test_passwords_are_in_no_log_and_no_record(tmp_path):
    written = tmp_path / "record.json"
    arguments = ("fit", "https://me:hunter2@host/a.parquet", "--model", "m", "--record", written)
    told = invoke(*arguments, "--log-format", "json", code=2).stderr
    assert "hunter2" not in written.read_text() + told
    assert json.loads(written.read_text())["options"]["source"] == "https://me:***@host/a.parquet"


def test_peak_memory_where_the_system_does_not_tell_all(tmp_path, monkeypatch):
    status = tmp_path / "status"
    status.write_text("Name:\tpython\nVmRSS:\t5 kB\n")
    monkeypatch.setattr(record, "_STATUS", status)
    assert record.peak_memory() > 2**20


def test_stages_are_logged_in_python(caplog):
    table = {"x": np.random.default_rng(0).lognormal(size=900), "word": ["a", "b", "c"] * 300}
    transformer = TableTransformer()
    with caplog.at_level(logging.INFO, "gpuvgm"):
        transformer.fit(table)
        encoded = transformer.transform(table)
        transformer.inverse_transform(encoded)
        transformer.evaluate(table)
    told = [record for record in caplog.records if hasattr(record, "stage")]
    assert [record.event for record in told] == ["begin", "end"] * 5
    stages = told[1::2]
    assert [record.stage for record in told[::2]] == [record.stage for record in stages]
    assert [record.stage for record in stages] == ["fit", "search modes", "transform", "inverse", "evaluate"]
    assert [record.rows for record in stages if record.stage != "search modes"] == [900] * 4
    assert all(record.seconds > 0 and record.levelno == logging.INFO for record in stages)


def test_progress_and_the_log_tell_the_same(caplog):
    heard = []
    with caplog.at_level(logging.INFO, "gpuvgm"):
        TableTransformer(progress=lambda *told: heard.append(told)).fit({"x": np.arange(300) % 7 + 0.5})
    assert heard == [("fit", 300, 300)]
    told = [record for record in caplog.records if hasattr(record, "stage")]
    assert [(record.event, record.rows) for record in told] == [("begin", 300), ("end", 300)]


def test_a_record_tells_of_processors(transformation, tmp_path):
    invoke(*transformation, "--record", tmp_path / "r.json")
    kept = json.loads((tmp_path / "r.json").read_text())
    assert 0 < kept["cpu_seconds"] < 600
    assert kept["cores_used"] == pytest.approx(kept["cpu_seconds"] / kept["seconds"])

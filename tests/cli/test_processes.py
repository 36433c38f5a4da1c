"""Pipes, full devices, signals and the environment, in processes of their own."""

from __future__ import annotations

import json
import os
import signal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.running import invoke, run, start
from tests.execution.distributed.working import wait_until


@pytest.mark.parametrize("command", ["--help", "fit --help", "--version", "doctor --json", "info m.gpuvgm"])
def test_a_broken_pipe_is_quiet(folder, command):
    reader, writer = os.pipe()
    os.close(reader)
    with start(*command.split(), stdout=writer, cwd=folder) as process:
        _, stderr = process.communicate(timeout=60)
    os.close(writer)
    assert (process.returncode, stderr) == (0, "")


@pytest.mark.parametrize("option", ["--json", "--no-progress"])
def test_a_full_device(option):
    with open("/dev/full", "w") as full:
        _, stderr = run("doctor", option, stdout=full, code=3)
    assert stderr.startswith("gpuvgm: disk full: standard output: No space left")
    assert stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGTERM, 143, "terminated"), (signal.SIGHUP, 129, "terminated"), (signal.SIGINT, 130, "interrupted")],
)
def test_a_signal_leaves_nothing(tmp_path, number, code, word):
    with start("generate", tmp_path / "a.parquet", "--rows", "1e10") as process:
        wait_until(lambda: list(tmp_path.iterdir()), 30)
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout, stderr) == (code, "", f"gpuvgm: {word}; no partial files are left\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("disk", ["size=1m,ro"], indirect=True)
def test_problems_of_writing_name_the_target(folder, tmp_path, disk):
    fit = ("fit", folder / "table.parquet", "--columns", "n", "--model")
    for path in (disk / "a.parquet", disk / "m", disk / "m.gpuvgm"):
        arguments = ("generate", path, "--rows", "9") if path.suffix == ".parquet" else (*fit, path)
        assert invoke(*arguments, code=3).stderr == f"gpuvgm: {path}: Read-only file system\n"
    long = tmp_path / ("a" * 246 + ".parquet"), tmp_path / ("a" * 250)
    for arguments in (("generate", long[0], "--rows", "9"), (*fit, long[1])):
        message = invoke(*arguments, code=2).stderr
        assert "File name too long" in message
        assert "partial" not in message


def test_unknown_variables_are_named():
    _, stderr = run("doctor", "--json", env={"GPUVGM_THREDS": "3", "GPUVGM_THREADS": "3"})
    assert stderr == "gpuvgm: warning: unknown environment variable GPUVGM_THREDS; did you mean GPUVGM_THREADS?\n"


def test_wrong_values_name_their_origin(tmp_path):
    arguments = ("fit", "a.parquet", "--model", tmp_path / "m")
    assert (
        "'x' in the environment variable GPUVGM_THREADS"
        in invoke(*arguments, code=2, env={"GPUVGM_THREADS": "x"}).stderr
    )
    (tmp_path / "c.toml").write_text('threads = "x"\n')
    assert f"'x' in {tmp_path / 'c.toml'}" in invoke(*arguments, "--config", tmp_path / "c.toml", code=2).stderr


def test_tables_fit_80_columns(folder, tmp_path):
    model, name = tmp_path / "m", "a_rather_long_name_of_a_column"
    pq.write_table(pa.table({name: np.random.default_rng(0).normal(size=5000) * 1e-5}), tmp_path / "t.parquet")
    outputs = [
        invoke("fit", tmp_path / "t.parquet", "--model", model, env={"COLUMNS": "80"}),
        invoke("info", model, env={"COLUMNS": "80"}),
        invoke("evaluate", tmp_path / "t.parquet", "--model", model, env={"COLUMNS": "80"}),
        invoke("evaluate", "--help", env={"COLUMNS": "80"}),
    ]
    for output in outputs:
        tables = [line for line in output.stdout.splitlines() if str(tmp_path) not in line]
        assert max(map(len, tables)) <= 80
        assert "…" not in output.stdout
    assert "--min-mode-agreement" in outputs[-1].stdout
    wide = invoke("info", model, env={"COLUMNS": "120"}).stdout
    assert name in wide
    assert "1 column, fitted on 5,000 rows" in wide


def test_a_broken_limit_is_shown_with_quiet_too(evaluation):
    arguments = (*evaluation, "--max-error", "0")
    assert 'column "x"' in invoke(*arguments, code=1).stdout
    result = invoke(*arguments, "--quiet", code=1)
    assert result.stdout == ""
    assert 'gpuvgm: column "x": 99.9th percentile' in result.stderr
    assert json.loads(invoke(*arguments, "--json", code=1).stdout)["broken"]


def test_infinite_values_as_missing(tmp_path):
    pq.write_table(pa.table({"v": [1.0, 2.0, 3.0, np.inf] * 9}), tmp_path / "t.parquet")
    arguments = ("fit", tmp_path / "t.parquet", "--model", tmp_path / "m")
    assert "--inf missing" in invoke(*arguments, code=2).stderr
    invoke(*arguments, "--inf", "missing")


@pytest.mark.parametrize("name", ["m.pkl", "m.joblib", "m.zip"])
def test_models_have_their_own_ending(tmp_path, name):
    assert "name it" in invoke("fit", "a.parquet", "--model", tmp_path / name, code=2).stderr

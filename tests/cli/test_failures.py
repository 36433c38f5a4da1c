"""Exit codes, one line on stderr, no traceback, nothing partial."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gpuvgm
from gpuvgm.cli import commands as cli
from gpuvgm.errors import EnvironmentProblem, InputError, ModelFileError
from tests.cli.running import document, invoke, run, start
from tests.conftest import gpu_is_usable


def refused(*arguments, code=2, parts=()):
    result = invoke(*arguments, code=code)
    assert result.stdout == ""
    assert result.stderr.startswith("gpuvgm: ")
    assert result.stderr.count("\n") == 1, result.stderr
    assert "Traceback" not in result.stderr
    for part in parts:
        assert str(part) in result.stderr
    return result.stderr


def test_wrong_usage(folder, tmp_path):
    refused("fit", parts=["argument", 'see "gpuvgm fit --help"'])
    refused("fit", "a.parquet", parts=["--model"])
    refused("fit", "a.parquet", "--modle", "m", parts=["--modle", "--model"])
    refused("fti", parts=["Did you mean 'fit'? See \"gpuvgm --help\""])
    refused("fit", "a.parquet", "--model", "m", "--engine", "turbo", parts=["'--engine': 'turbo' is", "native", "cuda"])
    refused("fit", "a.parquet", "--model", "m", "--threads", "0", parts=["--threads"])


@pytest.mark.skipif(gpu_is_usable(), reason="there is a GPU here")
def test_no_gpu(folder, tmp_path):
    source = tmp_path / "a.csv"
    source.write_text("a\n1\n2\n")
    model = tmp_path / "m.gpuvgm"
    told = refused("fit", source, "--model", model, "--engine", "cuda", code=3, parts=['engine "cuda" needs'])
    assert "install" in told and not model.exists()


def test_wrong_usage_as_json():
    result = invoke("fit", "--json", code=2)
    assert json.loads(result.stdout)["error"]["exit_code"] == 2
    assert json.loads(result.stdout)["error"]["message"] in result.stderr


def test_bad_sources(folder, tmp_path):
    model = ("--model", tmp_path / "m.gpuvgm")
    refused("fit", tmp_path / "absent.parquet", *model, parts=["absent.parquet"])
    no_number = ["table.parquet", '"word" holds string values', 'declare it "categorical"']
    refused("fit", folder / "table.parquet", *model, "--columns", "word=continuous", parts=no_number)
    refused("fit", folder / "table.parquet", *model, "--columns", "y", parts=["table.parquet", 'no column "y"'])
    close = 'no column "wrd"; did you mean "word"? columns: "'
    refused("fit", folder / "table.parquet", *model, "--columns", "wrd", parts=[close])
    (tmp_path / "empty.parquet").write_bytes(b"")
    refused("fit", tmp_path / "empty.parquet", *model, parts=["empty.parquet"])
    (tmp_path / "cut.parquet").write_bytes((folder / "table.parquet").read_bytes()[:-100])
    refused("fit", tmp_path / "cut.parquet", *model, parts=["cut.parquet"])
    (tmp_path / "words.csv").write_text("x\n" + "".join(f"{i % 20}\n" for i in range(200)) + "two\n" * 20)
    words = [
        'column "x" holds string values',
        'if they are numbers, write "two" as "0" is written, or list it in na_values',
    ]
    refused("fit", tmp_path / "words.csv", *model, "--columns", "x=continuous", parts=words)
    pq.write_table(pa.table({"v": [1.0, np.inf]}), tmp_path / "inf.parquet")
    refused("fit", tmp_path / "inf.parquet", *model, parts=["v", "infinite"])
    pq.write_table(pa.table({"v": pa.array([], pa.float64())}), tmp_path / "none.parquet")
    refused("fit", tmp_path / "none.parquet", *model, parts=["none.parquet"])
    assert not (tmp_path / "m.gpuvgm").exists()


@pytest.mark.parametrize("ending", ["parquet", "csv", "arrow"])
def test_names_that_are_no_text_are_refused_in_words(folder, tmp_path, ending):
    path = tmp_path / os.fsdecode(b"\xe9t\xe9." + ending.encode())
    path.write_text("a\n1\n")
    told = [r"\udce9t\udce9." + ending, "this name of a file is no UTF-8 text; rename the file"]
    refused("fit", path, "--model", tmp_path / "m.gpuvgm", parts=told)


def test_pipes_are_refused_in_words(folder, tmp_path):
    os.mkfifo(tmp_path / "p.csv")
    for path in (tmp_path / "p.csv", "/dev/null"):
        refused("fit", path, "--model", tmp_path / "m.gpuvgm", parts=[f"{path}: is a pipe or a device, and files are"])


@pytest.mark.parametrize("command", ["fit", "transform", "inverse", "evaluate", "validate", "info", "generate"])
def test_exit_codes_of_a_missing_input(folder, tmp_path, command):
    """The table of exit codes on the page on the environment says 2 for wrong input."""
    absent, model = tmp_path / "absent.parquet", folder / "m.gpuvgm"
    arguments = {
        "fit": [absent, "--model", tmp_path / "m"],
        "transform": [absent, tmp_path / "e.parquet", "--model", model],
        "inverse": [absent, tmp_path / "e.parquet", "--model", model],
        "evaluate": [absent, "--model", model],
        "validate": [absent, "--model", model],
        "info": [absent],
        "generate": [tmp_path / "no" / "t.parquet", "--rows", "5"],
    }
    refused(command, *arguments[command], parts=[tmp_path])


@pytest.mark.parametrize("closed", [(1,), (2,), (1, 2), (0, 1, 2)], ids=str)
def test_closed_standard_streams(folder, tmp_path, closed):
    streams = " ".join(f"{descriptor}>&-" for descriptor in closed)
    python = ["sh", "-c", f'exec "$@" {streams}', "sh", sys.executable, "-m", "gpuvgm"]
    model = tmp_path / "m.gpuvgm"
    for arguments in (["fit", folder / "table.parquet", "--model", model], ["info", model], ["--version"]):
        done = subprocess.run([*python, *map(str, arguments)], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        assert 1 in closed or done.stdout or arguments[0] == "fit"
        assert "Error" not in done.stderr
    loaded = gpuvgm.load(model)
    assert loaded.transform(folder / "table.parquet").num_rows > 0
    assert subprocess.run([*python, "info", str(tmp_path / "absent")], timeout=120).returncode == 2


def test_bad_targets_are_refused_before_the_work(folder, tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "precious.txt").write_text("")
    refused("fit", "absent.parquet", "--model", tmp_path / "work", parts=["work", "no gpuvgm model"])
    refused("fit", "absent.parquet", "--model", tmp_path / "no" / "m", parts=["no/m", "does not exist"])
    target = ("transform", folder / "table.parquet", tmp_path / "no" / "e.parquet", "--model", folder / "m.gpuvgm")
    refused(*target, parts=["no/e.parquet", "does not exist"])


def test_bad_models(folder, tmp_path):
    (tmp_path / "m.gpuvgm").write_bytes((folder / "m.gpuvgm").read_bytes()[:-50])
    for command in (["info"], ["evaluate", folder / "table.parquet", "--model"]):
        refused(*command, tmp_path / "m.gpuvgm", parts=["m.gpuvgm", "truncated"])
        refused(*command, folder / "table.parquet", parts=["no model of gpuvgm", "give what fit wrote"])
        refused(*command, tmp_path / "absent", parts=["absent", "there is no model"])


def test_info_of_a_fit_that_some_columns_failed(tmp_path):
    pq.write_table(pa.table({"x": [1.0, 2.0, 4.0] * 9, "y": [1.0, float("inf"), 2.0] * 9}), tmp_path / "t.parquet")
    refused("fit", tmp_path / "t.parquet", "--model", tmp_path / "m", parts=['column "y"', "infinite"])
    refused("info", tmp_path / "m.unfinished.gpuvgm", parts=["this fit is unfinished", 'column "y"'])


def test_a_file_of_another_model_is_refused(folder, tmp_path):
    invoke("fit", folder / "table.parquet", "--model", tmp_path / "m", "--columns", "x,n", "--tails", "exact")
    arguments = ("inverse", folder / "encoded.parquet", tmp_path / "b.parquet", "--model", tmp_path / "m")
    refused(*arguments, parts=["encoded.parquet", "another model"])
    assert not (tmp_path / "b.parquet").exists()


PROBLEMS = [
    (InputError('column "x": wrong'), 2, 'column "x": wrong'),
    (ModelFileError("m: damaged"), 2, "m: damaged"),
    (FileNotFoundError(errno.ENOENT, "No such file or directory", "a.csv"), 2, "a.csv: No such file"),
    (PermissionError(errno.EACCES, "Permission denied", "a.csv"), 2, "a.csv: Permission denied"),
    (EnvironmentProblem("engine missing"), 3, "engine missing"),
    (OSError(errno.ENOSPC, "No space left on device", "out"), 3, "disk full"),
    (OSError(errno.EIO, "Input/output error", "out"), 3, "out: Input/output error"),
    (MemoryError("malloc of size 3 failed"), 3, "out of memory"),
    (ImportError("no scipy"), 3, "no scipy"),
    (KeyboardInterrupt(), 130, "interrupted"),
    (ZeroDivisionError("a\nb"), 70, "internal error, ZeroDivisionError: a b"),
    (ValueError("not ours"), 70, "internal error"),
]


@pytest.mark.parametrize(("problem", "code", "message"), PROBLEMS)
def test_exit_codes(monkeypatch, problem, code, message):
    monkeypatch.setattr(cli.gpuvgm, "doctor", Mock(side_effect=problem), raising=False)
    assert message in refused("doctor", code=code)
    error = document("doctor", code=code)["error"]
    assert error["exit_code"] == code
    assert error["kind"] == type(problem).__name__
    assert message in error["message"]
    result = invoke("doctor", "--debug", code=code)
    assert "Traceback" in result.stderr
    assert message in result.stderr.splitlines()[-1]


def test_log_and_warnings_go_to_stderr(monkeypatch):
    import logging
    import warnings

    def talk():
        logging.getLogger("gpuvgm").warning("slow engine")
        logging.getLogger("gpuvgm").debug("detail")
        warnings.warn("take care", UserWarning, stacklevel=1)
        return type("Nothing", (), {"to_dict": lambda self: {}, "__str__": lambda self: "nothing"})()

    monkeypatch.setattr(cli.gpuvgm, "doctor", talk, raising=False)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        result = invoke("doctor")
        assert result.stderr == "gpuvgm: warning: slow engine\ngpuvgm: warning: take care\n"
        assert result.stdout == "nothing\n"
        assert invoke("doctor", "--quiet").stderr == ""
        assert "gpuvgm: detail\n" in invoke("doctor", "--debug").stderr
        assert json.loads(invoke("doctor", "--json").stdout).keys() == {"run"}


def test_an_unusable_engine_is_an_environment_problem(folder, tmp_path):
    command = ("fit", folder / "table.parquet", "--model", tmp_path / "m", "--columns", "x", "--engine", "native")
    _, err = run(*command, code=3, env={"GPUVGM_INSTRUCTION_SET": "mmx"})
    assert "mmx" in err or "not built" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "target", "options"),
    [
        ("fit", ("--model", "out/m"), ("--algorithm", "exact", "--engine", "reference")),
        ("transform", ("out/e.parquet",), ("--model", "m.gpuvgm", "--threads", "1")),
    ],
)
def test_ctrl_c_leaves_nothing(tmp_path, command, target, options):
    source, out = tmp_path / "in" / "a.parquet", tmp_path / "out"
    source.parent.mkdir()
    out.mkdir()
    invoke("generate", source, "--rows", "3e5")
    for number in range(400):  # a long source that costs no disk
        os.link(source, source.with_name(f"{number}.parquet"))
    invoke("fit", source, "--model", tmp_path / "m.gpuvgm", "--algorithm", "summary")
    with start(command, "in", *target, *options, cwd=tmp_path) as process:
        start_of_it = time.monotonic()
        while time.monotonic() < start_of_it + 60 and process.poll() is None:
            time.sleep(0.2)
            if command == "fit" and time.monotonic() > start_of_it + 3 and holds_open(process, source.parent):
                break
            if any(path.stat().st_size for path in out.iterdir()):
                break
        assert process.poll() is None, process.communicate()
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert stdout == ""
    assert stderr == "gpuvgm: interrupted; no partial files are left\n"
    assert list(out.iterdir()) == []


def holds_open(process, folder):
    """Whether a process has a file of this folder open now."""
    found = []
    for descriptor in Path(f"/proc/{process.pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found.append(descriptor.readlink())
    return any(path.is_relative_to(folder) for path in found)


@pytest.mark.parametrize("disk", ["size=1m"], indirect=True)
def test_a_full_disk_leaves_nothing(folder, disk):
    assert "disk full" in refused("generate", disk / "a.parquet", "--rows", "5e6", code=3)
    assert list(disk.iterdir()) == []
    filler = disk / "filler"
    with pytest.raises(OSError, match="No space left"), filler.open("wb", buffering=0) as file:
        while True:
            file.write(b" " * 4096)
    refused("transform", folder / "table.parquet", disk / "e.parquet", "--model", folder / "m.gpuvgm", code=3)
    for name in ("m", "m.gpuvgm"):
        refused(
            "fit",
            folder / "table.parquet",
            "--model",
            disk / name,
            "--columns",
            "n",
            "--algorithm",
            "exact",
            code=3,
        )
    assert list(disk.iterdir()) == [filler]

"""What people see on a terminal: whole warnings and errors, each on a line of its own, whatever is drawn meanwhile."""

from __future__ import annotations

import json
import logging

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest

from gpuvgm.cli.console import Terminal
from tests.cli.running import invoke, start
from tests.harness.screen import Screen, terminal

WIDTHS = [40, 80, pytest.param(120, marks=pytest.mark.exhaustive)]
ROWS = 10_000
WORDS = (
    'words among values are kept as words: "delay" (',
    "name those that mean a missing value in na_values",
)
CODES = ('by their names these numbers may be codes: "zip" (', ' or "drop" if they are')


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A CSV file that a fit warns of three times."""
    path = tmp_path_factory.mktemp("warned") / "delays.csv"
    random = np.random.default_rng(0)
    delay = random.normal(50, 9, ROWS).round(2).astype(str)
    delay[random.random(ROWS) < 0.1] = "cancelled"
    columns = {"delay": delay, "zip": random.integers(10_000, 99_999, ROWS), "amount": random.lognormal(3, 1, ROWS)}
    pa_csv.write_csv(pa.table(columns), path)
    return path


def seen(columns, *arguments, code=0, streams=("stdin", "stdout", "stderr"), **options):
    """Lines on a terminal that some streams of a command are, and what it writes to the others."""
    with terminal(columns) as (child, read):
        ends = {name: child for name in streams}
        with start(*arguments, **ends, env={"TERM": "xterm", "COLUMNS": None, "LINES": None, **options}) as process:
            written = read()
            out, err = process.communicate(timeout=120)
    assert process.returncode == code, (written, out, err)
    return Screen(columns).write(written).lines, out, err


def check_warned(lines, *warnings):
    """Each warning is one whole line."""
    for first, last in warnings:
        (line,) = [line for line in lines if first in line]
        assert line.startswith(f"gpuvgm: warning: {first}") and line.endswith(last), line


@pytest.mark.parametrize("columns", WIDTHS)
def test_warnings_of_a_fit_are_whole_lines(table, tmp_path, columns):
    lines, _, _ = seen(columns, "fit", table, "--model", tmp_path / "m.gpuvgm")
    check_warned(lines, WORDS, CODES)
    assert not any("━" in line for line in lines)


@pytest.fixture(scope="module")
def fitted(table):
    """A model of rows whose range is smaller than that of the table."""
    model, head = table.with_name("m.gpuvgm"), table.with_name("head.csv")
    head.write_text("\n".join(table.read_text().splitlines()[:2_000]))
    invoke("fit", head, "--model", model, "--columns", 'amount = "continuous", delay = {na_values = ["cancelled"]}')
    return model


OUTSIDE = ('column "amount": ', ")")


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("out", ["e.parquet", "e"], ids=["file", "folder"])
def test_what_the_log_says_is_whole_lines(table, fitted, tmp_path, columns, out):
    """Of a folder it is said while the bar is drawn."""
    lines, _, _ = seen(columns, "transform", table, tmp_path / out, "--model", fitted, "--part-rows", "5000")
    check_warned(lines, OUTSIDE)
    assert not any("━" in line for line in lines)


@pytest.mark.parametrize("columns", WIDTHS)
def test_a_generator_warns_once_in_whole_lines(table, tmp_path, columns):
    lines, _, _ = seen(columns, "train", table, "--model", tmp_path / "m.gpuvgm")
    check_warned(lines, WORDS, CODES)
    assert [line for line in lines if line.startswith("gpuvgm: ")] == lines[:2]


@pytest.mark.parametrize("columns", WIDTHS)
def test_an_error_while_bars_are_drawn_is_a_whole_line(table, fitted, tmp_path, columns):
    text = table.read_text().splitlines()
    (tmp_path / "wrong.csv").write_text("\n".join([*text, "9.5,12345,many"]) + "\n")
    arguments = ("transform", tmp_path / "wrong.csv", tmp_path / "e", "--model", fitted)
    lines, _, _ = seen(columns, *arguments, code=2)
    (line,) = [line for line in lines if line.startswith("gpuvgm: ")]
    assert line == lines[-1] and 'column "amount"' in line and str(tmp_path / "wrong.csv") in line


def test_a_redirected_standard_error_has_plain_lines(table, tmp_path):
    lines, _, err = seen(80, "fit", table, "--model", tmp_path / "m.gpuvgm", streams=("stdin", "stdout"))
    check_warned(err.splitlines(), WORDS, CODES)
    assert "\x1b" not in err and len(err.splitlines()) == 2
    assert any("amount" in line for line in lines) and not any(line.startswith("gpuvgm: ") for line in lines)


@pytest.mark.parametrize("columns", WIDTHS)
def test_a_redirected_standard_output_has_the_document_alone(table, tmp_path, columns):
    arguments = ("fit", table, "--model", tmp_path / "m.gpuvgm", "--json")
    lines, out, _ = seen(columns, *arguments, streams=("stdin", "stderr"))
    assert json.loads(out)["rows"] == ROWS
    check_warned(lines, WORDS, CODES)
    assert len(lines) == 2


@pytest.mark.parametrize(
    ("options", "environment"),
    [((), {"NO_COLOR": "1"}), ((), {"TERM": "dumb"}), (("--no-progress",), {}), (("--log-format", "json"), {})],
    ids=["no colour", "dumb", "no bars", "JSON lines"],
)
def test_warnings_are_whole_on_every_terminal(table, tmp_path, options, environment):
    lines, _, _ = seen(40, "fit", table, "--model", tmp_path / "m.gpuvgm", *options, **environment)
    if "json" in options:
        lines = [json.loads(line)["message"] for line in lines if line.startswith("{")]
        lines = [f"gpuvgm: warning: {line}" for line in lines]
    check_warned(lines, WORDS, CODES)


def test_a_quiet_command_shows_nothing(table, tmp_path):
    assert seen(80, "fit", table, "--model", tmp_path / "m.gpuvgm", "--quiet")[0] == []


def test_a_name_cannot_erase_what_is_said(tmp_path, capsys):
    with Terminal().messages():
        logging.getLogger("gpuvgm").warning('column "%s": 3 values', "a\rb\x1b[2Kc")
    assert capsys.readouterr().err == 'gpuvgm: warning: column "a\\rb\\x1b[2Kc": 3 values\n'


def test_what_a_screen_shows():
    screen = Screen(4).write("abcdef\r\nbar\x1b[1A\r\x1b[2Kx\n\x1b[2K\rend")
    assert screen.lines == ["abcd", "x", "end"]
    assert Screen(4).write("abcdefgh\r\ni").lines == ["abcdefgh", "i"]

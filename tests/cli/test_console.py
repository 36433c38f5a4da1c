"""Bars, JSON and numbers for people."""

from __future__ import annotations

import errno
import io
import json
import os
import pty
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from rich.progress import Progress, TextColumn

from gpuvgm.cli.console import Bars, Terminal, on_command_line, rendered, speed
from gpuvgm.cli.tables import number, size
from gpuvgm.table.description import jsonable
from tests.cli.running import start


def test_bars_show_stages_rows_and_speed():
    out = io.StringIO()
    columns = TextColumn("{task.description} {task.percentage} {task.fields[rate]}")
    with Progress(columns, console=Console(file=out, width=200), auto_refresh=False) as progress:
        bars = Bars(progress)
        bars("fit", 500, 1000)
        bars("fit", 1000, 1000)
        bars("fit", 100, 1000)  # the next pass
        bars("transform", 7, None)
        assert [(task.description, task.completed, task.total) for task in progress.tasks] == [
            ("fit", 100, 1000),
            ("transform", 7, None),
        ]
    assert "fit 10.0 100 rows" in out.getvalue()


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ('fit with inf="missing" or clean them', "fit with --inf missing or clean them"),
        ('pass unknown="ignore", or layout="onehot"', "pass --unknown ignore, or --layout onehot"),
        ("write it again with resume=True (--resume)", "write it again with --resume"),
        ('column "sample_rows": give sample_rows', 'column "sample_rows": give --sample'),
        ("stratified=True: give sample_rows too", "--stratified: give --sample too"),
        ('leave it out (kind="drop")', 'leave it out (kind="drop")'),
    ],
)
def test_messages_name_options_instead_of_arguments(message, shown):
    assert on_command_line(message) == shown


def test_a_bar_counts_columns_while_modes_are_searched():
    out = io.StringIO()
    columns = TextColumn("{task.description} {task.percentage} {task.fields[rate]}")
    with Progress(columns, console=Console(file=out, width=200), auto_refresh=False) as progress:
        bars = Bars(progress)
        bars("fit", 1000, 1000)
        bars("search modes", 0, 12)
        bars("search modes", 3, 12)
    assert "search modes 25.0 3 of 12 columns" in out.getvalue()


@pytest.mark.parametrize("settings", [{"progress": False}, {"quiet": True}, {}])
def test_no_bars_without_a_terminal(settings, capsys):
    with Terminal(**settings).bars() as progress:
        assert progress is None
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("option", ["--progress", "--no-progress", "--quiet"])
def test_bars_on_a_terminal(tmp_path, option):
    """A real process whose standard error is a terminal."""
    parent, child = pty.openpty()
    arguments = ("generate", tmp_path / "a.parquet", "--rows", "2e6", "--json", option)
    with start(*arguments, stderr=child, env={"TERM": "xterm", "COLUMNS": "120"}) as process:
        os.close(child)
        shown = drain(parent)
        out, _ = process.communicate(timeout=60)
    os.close(parent)
    assert json.loads(out)["rows"] == 2_000_000
    assert ("2,000,000 rows" in shown) == (option == "--progress")


def drain(terminal):
    shown = b""
    while True:
        try:
            part = os.read(terminal, 1 << 16)
        except OSError as problem:  # what Linux says when the other end was closed
            assert problem.errno == errno.EIO
            return shown.decode()
        if not part:
            return shown.decode()
        shown += part


def test_jsonable():
    given = {"a": np.float64("inf"), 1: (np.int64(3), None, True), "b": np.array([0.5, np.nan]), "c": Path("x")}
    assert jsonable(given) == {"a": None, "1": [3, None, True], "b": [0.5, None], "c": "x"}


def test_rendered_text_is_not_broken_into_lines():
    line = "x" * 500
    assert rendered([line, "[b]y[/b]"]) == f"{line}\n[b]y[/b]\n"


def test_for_people():
    assert [size(count) for count in (0, 999, 1000, 2_340_000, 5 * 10**12)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "2.3 MB",
        "5000.0 GB",
    ]
    assert [number(value) for value in (None, 12345, 0.1234567, 1e300)] == ["", "12,345", "0.123457", "1e+300"]
    assert (speed(10, 2.0), speed(30_000_000, 2.0)) == ("5 rows/s", "15.0 M rows/s")

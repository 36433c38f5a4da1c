"""Bars, JSON and numbers for people."""

from __future__ import annotations

import errno
import io
import json
import os
import pty
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from gpuvgm.cli.bars import draw_bars
from gpuvgm.cli.console import Terminal, on_command_line, render
from gpuvgm.cli.options import parse_columns
from gpuvgm.cli.record import speed
from gpuvgm.errors import declaration
from gpuvgm.table import jsonable
from tests.cli.running import start


def shown(*steps, width=200):
    """What is drawn of reports of progress."""
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    with draw_bars(console) as bars:
        for step in steps:
            bars(*step)
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("steps", "parts"),
    [
        (
            [("fit", 500, 1000), ("fit", 1000, 1000), ("transform", 7, None)],
            ["fit", "1,000 rows", "transform", "7 rows"],
        ),
        ([("fit", 1000, 1000), ("fit", 100, 1000)], ["100 rows"]),
        ([("fit", 1000, 1000), ("search modes", 0, 12), ("search modes", 3, 12)], ["1,000 rows", "3 of 12 columns"]),
        ([("train", 20, 600)], ["20 of 600 steps"]),
    ],
    ids=["stages", "another scan", "columns", "steps"],
)
def test_bars(steps, parts):
    last = shown(*steps)
    assert [part for part in parts if not re.search(part.replace(" ", ".*"), last)] == []


@pytest.mark.parametrize("width", [20, 40, 60, 80])
def test_a_bar_is_one_line_on_a_narrow_terminal(width):
    drawn = shown(("count dependencies", 1_234_567, 20_000_000), ("fit", 7, None), width=width)
    *_, frame = (part for part in drawn.split("\r") if "fit" in part or "count" in part)
    assert len([line for line in frame.split("\n") if re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", line).strip()]) == 2


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


@pytest.mark.parametrize("name", ["mail", "my mail", "straße", "it's", "a=b"])
@pytest.mark.parametrize("spec", [{"key": True}, {"keep": False}, "drop", "key"])
def test_a_declaration_can_be_typed(name, spec):
    """In Python as it stands, and in a shell as the command line shows it."""
    argument = declaration([name], spec)
    assert eval(f"dict({argument})")["columns"] == {name: spec}
    option, value = shlex.split(on_command_line(argument))
    assert option == "--columns"
    assert parse_columns(value) == {name: spec}


def test_a_declaration_of_several_columns_can_be_typed():
    text = on_command_line(f"declare {declaration(['mail', 'my mail', 'iban', 'fourth'], {'key': True})}, or not")
    assert text == """declare --columns 'mail={key=true},"my mail"={key=true},iban={key=true}', or not"""
    assert on_command_line(declaration(["mail", "iban"], "drop")) == "--columns mail=drop,iban=drop"


@pytest.mark.parametrize("settings", [{"progress": False}, {"quiet": True}, {}])
def test_no_bars_without_a_terminal(settings, capsys):
    terminal = Terminal(**settings)
    with terminal.bars() as progress:
        assert progress is terminal.stages
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
    assert render([line, "[b]y[/b]"]) == f"{line}\n[b]y[/b]\n"


def test_for_people():
    assert (speed(10, 2.0), speed(30_000_000, 2.0)) == ("5 rows/s", "15.0 M rows/s")

"""What people see on a terminal: whole warnings and errors, each on a line of its own, whatever is drawn meanwhile."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.csv as pa_csv
import pyarrow as pa
import pytest

from tests.cli.running import start
from tests.harness.screen import Screen, terminal

WIDTHS = [pytest.param(40, id="narrow"), 80, 120]
ROWS = 20_000
WORDS = ('words among values have one-hot columns of their own: "delay" (', "name those that mean a missing value in na_values")
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
        with start(*arguments, **ends, env={"TERM": "xterm", **options}) as process:
            written = read()
            out, err = process.communicate(timeout=120)
    assert process.returncode == code, (written, out, err)
    return Screen(columns).write(written).lines, out, err


def check_warned(lines, *warnings):
    """Each warning is one whole line."""
    for first, last in warnings:
        (line,) = [line for line in lines if first in line]
        assert line.startswith(f"gpuvgm: {first}") and line.endswith(last), line


@pytest.mark.parametrize("columns", WIDTHS)
def test_warnings_of_a_fit_are_whole_lines(table, tmp_path, columns):
    lines, _, _ = seen(columns, "fit", table, "--model", tmp_path / "m.gpuvgm")
    check_warned(lines, WORDS, CODES)
    assert not any("━" in line for line in lines)

"""Every exit code of the page on the environment, from commands that end so, with one line that says why."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from gpuvgm.cli import console
from gpuvgm.files import RAISED
from tests.cli.running import invoke

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "environment.md"
ROWS = re.compile(r"^\| (\d+) \| (.*) \|$", re.MULTILINE)
MODEL = ("--model", "m.gpuvgm")
#: In the place of a module of the run: ends it as nothing that is known can.
INTERNAL = "import gpuvgm.cli.commands as commands; commands.gpuvgm.doctor = lambda: {}['absent']; "
MAIN = "from gpuvgm.__main__ import main; main()"


#: What the shell does before it becomes the command: the tests' own process, which may be large, is not copied for it.
LIMITED_FILES, FULL_OUTPUT, FULL_ERRORS = "ulimit -f 1", "exec > /dev/full", "exec 2> /dev/full"
CLOSED_OUTPUT, UNREAD_OUTPUT = "exec >&-", ""


@contextmanager
def nobody_reads() -> Iterator[int]:
    """A pipe that nobody reads."""
    read, write = os.pipe()
    os.close(read)
    try:
        yield write
    finally:
        os.close(write)


def raise_signal(number: int) -> str:
    """Code that sends the process a signal when the work begins."""
    kill = (
        f"import os, gpuvgm.cli.commands as commands; commands.gpuvgm.doctor = lambda: os.kill(os.getpid(), {number})"
    )
    return f"{kill}; "


#: By exit code: arguments, what the shell does before, code before the entry point, and what is said.
CASES: list[tuple[int, tuple[str, ...], str | None, str, str]] = [
    (0, ("info", "m.gpuvgm"), None, "", ""),
    (0, ("--version",), None, "", ""),
    (0, ("fit", "--help"), None, "", ""),
    (0, ("info", "m.gpuvgm"), CLOSED_OUTPUT, "", ""),
    (0, ("info", "m.gpuvgm"), UNREAD_OUTPUT, "", ""),
    (0, ("--help",), UNREAD_OUTPUT, "", ""),
    (1, ("evaluate", "table.parquet", *MODEL, "--max-error", "0"), None, "", ""),
    (0, (), None, "", ""),
    (2, ("fti",), None, "", "No such command 'fti'"),
    (2, ("fit", "table.parquet"), None, "", "--model"),
    (2, ("info", "absent"), None, "", "absent: there is no model"),
    (2, ("transform", "absent.csv", "e.parquet", *MODEL), None, "", r"absent\.csv: "),
    (2, ("transform", "table.parquet", "no/e.parquet", *MODEL), None, "", "no/e.parquet: .* does not exist"),
    (2, ("inverse", "table.parquet", "b.parquet", *MODEL), None, "", r"table\.parquet"),
    (2, ("info", "absent"), FULL_ERRORS, "", ""),
    (2, ("fti",), FULL_ERRORS, "", ""),
    (2, ("info", "absent", "--log-format", "json"), FULL_ERRORS, "", ""),
    (3, ("generate", "g.parquet", "--rows", "1000"), LIMITED_FILES, "", r"g\.parquet.*: File too large"),
    (3, ("info", "m.gpuvgm"), FULL_OUTPUT, "", "disk full: standard output: "),
    (3, ("--version",), FULL_OUTPUT, "", "disk full: standard output: "),
    (3, ("fit", "--help"), FULL_OUTPUT, "", "disk full: standard output: "),
    (2, ("info", "absent", "--json"), FULL_OUTPUT, "", "there is no model; .*\ngpuvgm: disk full: standard output: "),
    (2, ("fti", "--json"), FULL_OUTPUT, "", "No such command 'fti'.*\ngpuvgm: disk full: standard output: "),
    (
        70,
        ("doctor",),
        None,
        INTERNAL,
        "internal error, KeyError: 'absent'; please report it with the output of --debug",
    ),
    (129, ("doctor",), None, raise_signal(signal.SIGHUP), "terminated; "),
    (130, ("doctor",), None, raise_signal(signal.SIGINT), "interrupted; "),
    (143, ("doctor",), None, raise_signal(signal.SIGTERM), "terminated; "),
]
#: Of those that need nothing of the process, one of each code goes through the entry point too.
WHOLE = [(), ("--version",), ("fti",), ("evaluate", "table.parquet", *MODEL, "--max-error", "0")]


def documented() -> dict[int, str]:
    """The page's table."""
    rows = ROWS.findall(PAGE.read_text().partition("## Exit codes")[2].partition("## ")[0])
    return {int(code): meaning for code, meaning in rows}


def test_the_page_has_all_exit_codes_and_the_cases_have_all_of_the_page():
    constants = (console.DONE, console.BOUND_FAILED, console.WRONG_INPUT, console.ENVIRONMENT, console.INTERNAL)
    assert {*documented()} == {*constants, *(console.exit_code(ended()) for ended in RAISED.values())}
    assert {*documented()} == {case[0] for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}: {' '.join(case[1])}")
def test_commands_end_as_the_page_says(folder, working_folder, case):
    """In a process of their own where it is about that: the others share the entry point, and its imports."""
    code, arguments, before, changed, told = case
    for name in ("table.parquet", "m.gpuvgm"):
        (working_folder / name).symlink_to(folder / name)
    if before is None and not changed and arguments not in WHOLE:
        errors = invoke(*arguments, code=code).stderr
    else:
        command = ["sh", "-c", f'{before or ":"}; exec "$@"', "sh", sys.executable, "-c", changed + MAIN, *arguments]
        with nobody_reads() if before == UNREAD_OUTPUT else nullcontext() as output:
            done = subprocess.run(command, stdout=output, stderr=subprocess.PIPE, text=True, timeout=120)
        assert done.returncode == code, done.stderr
        errors = done.stderr
    assert "Traceback" not in errors
    if told:
        assert re.fullmatch(f"gpuvgm: .*{told}.*\n", errors), errors
    assert sorted(path.name for path in working_folder.iterdir()) == ["m.gpuvgm", "table.parquet"]

"""Commands whose standard streams are closed, full, unread or not to be written to: they do what they do else."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.harness.fuzz.harness import Target
from tests.harness.fuzz.jobs import Unclean, check_right, snapshot
from tests.harness.fuzz.runs import JOBS, MODEL, Prepared, check_end, chosen_run, prepare

ROOT = Path(__file__).parents[3]
NAMES = ("stdin", "stdout", "stderr")
READ = (
    ("info", "../inputs/model.gpuvgm"),
    ("evaluate", "../inputs/rows", *MODEL[:2]),
    ("validate", "../inputs/rows", *MODEL[:2]),
    ("doctor",),
    ("--version",),
    ("--help",),
    ("fit", "--help"),
)
REFUSED = (
    ("info", "absent"),
    ("fit", "../inputs/rows", "--model"),
    ("fti",),
    ("transform", "../inputs/absent", "e", *MODEL),
    ("validate", "../inputs/model.gpuvgm", *MODEL),
    ("info", "../inputs/rows"),
)
MORE = ((), (), (), ("--json",), ("--log-format", "json"), ("--debug",), ("--record", "record.json"))


def close(number: int) -> None:
    """``>&-``."""
    os.close(number)


def fill(number: int) -> None:
    """A disk without room."""
    os.dup2(os.open("/dev/full", os.O_RDWR), number)


def leave(number: int) -> None:
    """A pipe whose other end is closed."""
    read, write = os.pipe()
    os.close(read)
    os.dup2(write, number)
    os.close(write)


def turn(number: int) -> None:
    """A file that is open for the other direction."""
    os.dup2(os.open(os.devnull, os.O_WRONLY if number == 0 else os.O_RDONLY), number)


#: The entry point in a process of its own, whose streams are as the interpreter finds them.
PROGRAM = """
from tests.harness.fuzz.jobs import same_for_every_run
from gpuvgm.__main__ import main
same_for_every_run()
main()
"""
STATES: tuple[Callable[[int], None], ...] = (close, close, leave, fill, turn)
UNWRITABLE = (fill, turn)


def attempt(prepared: Prepared, random: random.Random, folder: Path) -> None:
    """Run a command with one to three of its streams in some state."""
    states = {number: random.choice(STATES) for number in random.sample((0, 1, 2), random.choice((1, 1, 2, 3)))}
    (run, work), chosen = chosen_run(prepared, random, folder), random.random()
    (folder / "tmp").mkdir()
    refused, writes, before = chosen < 0.2, chosen > 0.6, snapshot(work)
    arguments = run.job.arguments if writes else random.choice(REFUSED if refused else READ)
    if not arguments[-1].startswith("--"):
        arguments = (*arguments, *random.choice(MORE))

    def alter() -> None:
        for number, state in states.items():
            state(number)

    errors = folder / "said"
    with errors.open("w") as file:
        environment = {**os.environ, "TMPDIR": str(folder / "tmp"), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", PROGRAM, *arguments]
        code = subprocess.run(command, stderr=file, cwd=work, env=environment, preexec_fn=alter).returncode
    said = errors.read_text()
    (work / "record.json").unlink(missing_ok=True)
    told = f"{' '.join(arguments)} with {', '.join(f'{NAMES[n]}: {s.__name__}' for n, s in states.items())}"
    no_output = code == 3 and not refused and states.get(1) in UNWRITABLE
    if code != (2 if refused else 0) and not no_output:
        raise Unclean(f"{told}: exit code {code}\n{said}")
    if 2 not in states and "--debug" not in arguments and re.search(r"Traceback|^\w*Error\b|Exception", said):
        raise Unclean(f"{told}: {said}")
    if 2 not in states and no_output and "standard output" not in said:
        raise Unclean(f"{told}: does not say what cannot be written: {said}")
    if writes:
        check_end(run, work)
    else:
        check_right(snapshot(work), before)


TARGETS = (Target("streams", lambda _: prepare(*JOBS), attempt, memory=None),)

"""Cases that run in a process of their own, with limits of time and memory, and what came of each."""

from __future__ import annotations

import json
import os
import random
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from gpuvgm.errors import EnvironmentProblem, InputError

SECONDS = 60  # of one case; more is a hang
MEMORY = 6 << 30  # bytes of address space of one case


class Outcome(StrEnum):
    """What came of a case; only the first two are allowed."""

    CORRECT = "correct"
    CLEAR_ERROR = "clear error"
    SILENT_WRONG = "silent wrong"
    FOREIGN = "foreign"  # an exception that gpuvgm does not raise on purpose
    CRASH = "crash"  # the process ended by a signal
    HANG = "hang"


ALLOWED = frozenset({Outcome.CORRECT, Outcome.CLEAR_ERROR})


class WrongResult(AssertionError):
    """Raised by a case whose result is wrong though nothing was said."""


@dataclass(frozen=True, slots=True)
class Target:
    """One kind of case.

    Parameters
    ----------
    name : str
        Its name in the table and on the command line.
    prepare : callable
        Called once, with an empty folder: makes whole inputs and right results. What it returns goes to every case.
    attempt : callable
        One case, called in a process of its own with what `prepare` gave, a seeded `random.Random` and an empty
        folder. It spoils a copy and uses it. It returns where the result is right, raises `InputError` or
        `EnvironmentProblem` where gpuvgm did, and `WrongResult` where a wrong result came without a word.
    seconds : int
        Limit of time of one case.
    memory : int or None
        Limit of address space of one case, in bytes; None for cases that start processes of their own.
    """

    name: str
    prepare: Callable[[Path], Any]
    attempt: Callable[[Any, random.Random, Path], None]
    seconds: int = SECONDS
    memory: int | None = MEMORY


@dataclass(frozen=True, slots=True)
class Result:
    """A case that was run: `python -m tests.fuzz --only TARGET --case NUMBER` runs it again."""

    target: str
    number: int
    outcome: Outcome
    message: str


def run_target(target: Target, numbers: Iterable[int], until: float = float("inf")) -> Iterator[Result]:
    """Run cases of one target, one after the other, until a moment of `time.monotonic`."""
    folder = Path(tempfile.mkdtemp(prefix=f"fuzz-{target.name}-"))
    try:
        prepared = target.prepare(folder)
        for number in numbers:
            if time.monotonic() > until:
                return
            yield run_case(target, prepared, number)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run_case(target: Target, prepared: Any, number: int) -> Result:
    """Run one case in a forked process; its random numbers depend on the target's name and the case's number alone."""
    folder = Path(tempfile.mkdtemp(prefix=f"fuzz-{target.name}-{number}-"))
    read, write = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.close(read)
        _in_child(target, prepared, number, folder, write)
    os.close(write)
    try:
        return _watched(target, number, child, read)
    finally:
        os.close(read)
        shutil.rmtree(folder, ignore_errors=True)


def _in_child(target: Target, prepared: Any, number: int, folder: Path, write: int) -> None:
    """Run the case, tell the parent what came of it, and end without the parent's clean-up."""
    os.setsid()  # what it leaves running is ended with it
    silent = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silent, stream)
    if target.memory is not None:
        resource.setrlimit(resource.RLIMIT_AS, (target.memory, target.memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        target.attempt(prepared, random.Random(f"{target.name}:{number}"), folder)
        outcome, message = Outcome.CORRECT, ""
    except WrongResult as problem:
        outcome, message = Outcome.SILENT_WRONG, str(problem)
    except (InputError, EnvironmentProblem) as problem:
        outcome, message = Outcome.CLEAR_ERROR, str(problem)
    except BaseException:
        outcome, message = Outcome.FOREIGN, traceback.format_exc(limit=-6)
    os.write(write, json.dumps([outcome, message[-4000:]]).encode())
    os._exit(0)


def _watched(target: Target, number: int, child: int, read: int) -> Result:
    """Wait for a case and end what it started."""
    process = os.pidfd_open(child)
    try:
        ended, _, _ = select.select([process], [], [], target.seconds)
    finally:
        os.close(process)
    try:
        os.killpg(child, signal.SIGKILL)
    except ProcessLookupError:
        pass
    _, status = os.waitpid(child, 0)
    if not ended:
        return Result(target.name, number, Outcome.HANG, f"no end after {target.seconds} s")
    if os.WIFSIGNALED(status):
        return Result(target.name, number, Outcome.CRASH, signal.Signals(os.WTERMSIG(status)).name)
    outcome, message = json.loads(os.read(read, 1 << 16))
    return Result(target.name, number, Outcome(outcome), message)


def table(results: Iterable[Result]) -> str:
    """How many cases of each target ended how, as a Markdown table."""
    counts: dict[str, Counter[Outcome]] = {}
    for result in results:
        counts.setdefault(result.target, Counter())[result.outcome] += 1
    lines = [" | ".join(["target", "tried", *Outcome]), " | ".join(["---", *["--:"] * (len(Outcome) + 1)])]
    for name, of_target in counts.items():
        lines.append(" | ".join([name, str(of_target.total()), *(str(of_target[outcome]) for outcome in Outcome)]))
    return "\n".join(f"| {line} |" for line in lines)

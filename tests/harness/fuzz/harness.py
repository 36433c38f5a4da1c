"""Cases that run in a process of their own, with limits of time and memory, and what came of each."""

from __future__ import annotations

import faulthandler
import json
import os
import random
import re
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Any

from gpuvgm.errors import EnvironmentProblem, InputError

SECONDS = 60  # of one case; more is a hang
MEMORY = 6 << 30  # bytes of address space of one case
WHOLE = 0.05  # share of cases in which nothing is spoilt, and an error is wrong
LONGEST = 500  # letters of a clear message, without the folder of the case
_INNARDS = re.compile(r"Traceback|\bat 0x[0-9a-f]{6,}|<\S+ object|\.cc:\d+")


class Outcome(StrEnum):
    """What came of a case; only the first two are allowed."""

    CORRECT = "correct"
    CLEAR_ERROR = "clear error"
    SILENT_WRONG = "silent wrong"
    FOREIGN = "foreign"  # an exception that gpuvgm does not raise on purpose, or a message that does not help
    CRASH = "crash"  # the process ended by a signal, or without a word
    HANG = "hang"


ALLOWED = frozenset({Outcome.CORRECT, Outcome.CLEAR_ERROR})


class WrongResult(AssertionError):
    """Raised by a case whose result is wrong though nothing was said."""


@contextmanager
def taken_if(whole: bool) -> Iterator[None]:
    """Turn a refusal of what is whole into a wrong result."""
    try:
        yield
    except InputError as problem:
        if whole:
            raise WrongResult(f"refused, though nothing was spoilt: {problem}") from problem
        raise


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
    named : tuple of str
        One of these must occur in the message of an `InputError`: the name of what was spoilt, above all.
    """

    name: str
    prepare: Callable[[Path], Any]
    attempt: Callable[[Any, random.Random, Path], None]
    seconds: int = SECONDS
    memory: int | None = MEMORY
    named: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """A case that was run: `python -m tests.harness.fuzz --only TARGET --case NUMBER` runs it again."""

    target: str
    number: int
    outcome: Outcome
    message: str


@dataclass(frozen=True, slots=True)
class _Case:
    """A case that runs: its process, the pipe of its answer, the file of its last words, and its end in any case."""

    number: int
    folder: Path
    child: int
    answer: int
    last_words: int
    end: float
    process: int = field(default=-1)


def run_target(
    target: Target,
    numbers: Iterable[int],
    until: float = float("inf"),
    *,
    side_by_side: int = 1,
    keep: Path | None = None,
) -> Iterator[Result]:
    """Run cases of one target, the first in any case, the others until a moment of `time.monotonic`.

    With `keep` their files are left in that folder.
    """
    home = keep or Path(tempfile.mkdtemp(prefix=f"fuzz-{target.name}-"))
    running: dict[int, _Case] = {}
    left: Iterator[int] = iter(numbers)
    try:
        (home / "prepared").mkdir(parents=True)
        prepared = target.prepare(home / "prepared")
        while True:
            for number in islice(left, side_by_side - len(running)):
                case = _start(target, prepared, number, home / str(number))
                running[case.process] = case
            if not running:
                return
            for case in _ended(running):
                yield _result(target, running.pop(case.process))
                if keep is None:
                    shutil.rmtree(case.folder, ignore_errors=True)
            if time.monotonic() > until:
                left = iter(())
    finally:
        for case in running.values():
            _result(target, case)
        if keep is None:
            shutil.rmtree(home, ignore_errors=True)


def _start(target: Target, prepared: Any, number: int, folder: Path) -> _Case:
    """Begin a case in a forked process."""
    folder.mkdir()
    read, write = os.pipe()
    last_words = os.memfd_create("last words")
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.close(read)
        _in_child(target, prepared, number, folder, (write, last_words))
    os.close(write)
    return _Case(number, folder, child, read, last_words, time.monotonic() + target.seconds, os.pidfd_open(child))


def _in_child(target: Target, prepared: Any, number: int, folder: Path, files: tuple[int, int]) -> None:
    """Run the case, tell the parent what came of it, and end without the parent's clean-up."""
    write, last_words = files
    os.setsid()  # what it leaves running is ended with it
    silent = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silent, stream)
    faulthandler.enable(last_words, all_threads=False)
    if target.memory is not None:
        resource.setrlimit(resource.RLIMIT_AS, (target.memory, target.memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    outcome, message = _outcome_of(target, prepared, number, folder)
    os.write(write, json.dumps([outcome, message[-4000:]]).encode())
    os._exit(0)


def _outcome_of(target: Target, prepared: Any, number: int, folder: Path) -> tuple[Outcome, str]:
    """Run the case; its random numbers depend on the target's name and the case's number alone."""
    try:
        target.attempt(prepared, random.Random(f"{target.name}:{number}"), folder)
    except WrongResult as problem:
        return Outcome.SILENT_WRONG, str(problem)
    except (InputError, EnvironmentProblem) as problem:
        message = str(problem).replace(str(folder), "…")
        fault = unclear(message, target.named if isinstance(problem, InputError) else ())
        return (Outcome.FOREIGN, f"{fault}: {message!r}") if fault else (Outcome.CLEAR_ERROR, message)
    except BaseException:
        return Outcome.FOREIGN, traceback.format_exc(limit=-6)
    return Outcome.CORRECT, ""


def unclear(message: str, named: Sequence[str]) -> str | None:
    """Why the message of an error does not help, if it does not."""
    if not message.isprintable():
        return "more than one line, or unprintable"
    if len(message) > LONGEST:
        return f"{len(message)} letters"
    if _INNARDS.search(message):
        return "innards of a program"
    if named and not any(name in message for name in named):
        return f"does not name {' or '.join(named)}"
    return None


def _ended(running: dict[int, _Case]) -> list[_Case]:
    """Wait until a case has ended or run out of time."""
    first = min(case.end for case in running.values())
    ended, _, _ = select.select(list(running), [], [], max(0.0, first - time.monotonic()))
    return [case for case in running.values() if case.process in ended or case.end <= time.monotonic()]


def _result(target: Target, case: _Case) -> Result:
    """What came of a case; what it started is ended, and so is the case where it has not."""
    ended, _, _ = select.select([case.process], [], [], 0)
    try:
        os.killpg(case.child, signal.SIGKILL)
    except ProcessLookupError:
        pass
    _, status = os.waitpid(case.child, 0)
    answer, last_words = os.read(case.answer, 1 << 16), os.pread(case.last_words, 4000, 0).decode(errors="replace")
    for file in (case.process, case.answer, case.last_words):
        os.close(file)
    if not ended:
        return Result(target.name, case.number, Outcome.HANG, f"no end after {target.seconds} s")
    if os.WIFSIGNALED(status):
        message = f"{signal.Signals(os.WTERMSIG(status)).name}\n{last_words}"
        return Result(target.name, case.number, Outcome.CRASH, message)
    if not answer:
        message = f"ended with status {os.WEXITSTATUS(status)} and no answer"
        return Result(target.name, case.number, Outcome.CRASH, message)
    outcome, message = json.loads(answer)
    return Result(target.name, case.number, Outcome(outcome), message)


def table(results: Iterable[Result]) -> str:
    """How many cases of each target ended how, as a Markdown table."""
    counts: dict[str, Counter[Outcome]] = {}
    for result in results:
        counts.setdefault(result.target, Counter())[result.outcome] += 1
    lines = [" | ".join(["target", "tried", *Outcome]), " | ".join(["---", *["--:"] * (len(Outcome) + 1)])]
    for name, of_target in counts.items():
        lines.append(" | ".join([name, str(of_target.total()), *(str(of_target[outcome]) for outcome in Outcome)]))
    return "\n".join(f"| {line} |" for line in lines)

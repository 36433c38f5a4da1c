"""Commands whose results are known, run in forked processes, so that hundreds can be cut short in a minute."""

from __future__ import annotations

import atexit
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from tests.harness.fuzz.harness import WrongResult

PARTITION_ROWS = 2_500
ROWS = 20_000
FILES = 3  # of a folder of sources
STEPS = frozenset({"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "shutil.rmtree", "fcntl.flock"})
Snapshot = Mapping[str, bytes | None]  # by name: the bytes of a file, None of a folder
FACTS = re.compile(rb'<p class="facts">.*?</p>')


class Unclean(AssertionError):
    """Raised by a case that left something behind, or ended as it may not."""


@dataclass(frozen=True, slots=True)
class Job:
    """A command, without what it writes to.

    Parameters
    ----------
    arguments : tuple of str
        As on the command line; it runs in the folder that it writes to, and sources lie in ``../inputs``.
    outputs : tuple of str
        Names that it writes.
    other : tuple of str
        Options with which it writes something else, which may lie there before.
    resume : bool
        Whether it takes ``--resume``.
    """

    arguments: tuple[str, ...]
    outputs: tuple[str, ...]
    other: tuple[str, ...] = ("--seed", "5")
    resume: bool = False

    @property
    def command(self) -> str:
        """Its first word."""
        return self.arguments[0]

    def left_unfinished(self, work: Path) -> bool:
        """Whether something is there to go on with."""
        (name, *_) = self.outputs
        return (work / f".{name}.unfinished" / "_manifest.json").exists()


@dataclass(frozen=True, slots=True)
class Healthy:
    """A job, and what came of it where nothing went wrong.

    Parameters
    ----------
    job : Job
        The job.
    seconds : float
        How long it took.
    steps : int
        How many calls of the operating system changed names.
    right, old : mapping
        What it leaves, and what its other options leave.
    """

    job: Job
    seconds: float
    steps: int
    right: Snapshot
    old: Snapshot


@dataclass(frozen=True, slots=True)
class Process:
    """A command under way."""

    pid: int
    errors: Path

    def signal(self, number: int) -> None:
        """Send it a signal."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def wait(self) -> int:
        """Its exit code, negative where a signal ended it."""
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def ends_within(self, seconds: float) -> bool:
        """Wait for its end for so long, without taking its exit code."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                return True
            time.sleep(min(0.001, max(0, end - time.monotonic())))
        return False

    @property
    def said(self) -> str:
        """What it wrote to stderr."""
        return self.errors.read_text()


class StepHook:
    """Counts the calls that change names in the current folder, and does something right before one of them."""

    def __init__(self, number: int | None = None, action: Callable[[], None] | None = None) -> None:
        self.count, self.number, self.action = 0, number, action

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Audit hook, see `sys.addaudithook`."""
        if event not in STEPS and not (event == "open" and _creates(arguments)):
            return
        self.count += 1
        if self.count == self.number and self.action is not None:
            self.action()


def _creates(arguments: tuple[Any, ...]) -> bool:
    path, _, flags = arguments
    return not isinstance(path, int) and bool(flags & os.O_CREAT) and not str(path).startswith(("/dev", "/proc"))


def start(
    arguments: tuple[str, ...], work: Path, hook: StepHook | None = None, before: Callable[[], None] | None = None
) -> Process:
    """Begin a command in a process of its own, which is a fork of this one: nothing has to be imported.

    Parameters
    ----------
    arguments : tuple of str
        As on the command line.
    work : pathlib.Path
        The current folder of the process; temporary files and what it says go to folders beside.
    hook : StepHook, optional
        What is to happen at its steps.
    before : callable, optional
        Called in the process before the command.
    """
    temporary = work.with_name("tmp")
    temporary.mkdir(exist_ok=True)
    handle, errors = tempfile.mkstemp(prefix="said-", dir=work.parent)
    handlers = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGINT, signal.SIGTERM)}
    pid = os.fork()
    if pid == 0:
        os.dup2(handle, 2)
        os.chdir(work)
        os.environ["TMPDIR"], tempfile.tempdir = str(temporary), None
        _run(arguments, hook or StepHook(), before)
    os.close(handle)
    for number, handler in handlers.items():
        signal.signal(number, handler)
    return Process(pid, Path(errors))


def _run(arguments: tuple[str, ...], hook: StepHook, before: Callable[[], None] | None) -> NoReturn:
    """The command from its entry point to the end of the interpreter."""
    code: Any = 70
    try:
        same_for_every_run()
        if before is not None:
            before()
        sys.argv = ["gpuvgm", *arguments]
        sys.addaudithook(hook)
        from gpuvgm.__main__ import main

        signal.signal(signal.SIGINT, signal.default_int_handler)
        main()
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
    figures = {"steps": hook.count, "modules": [*sys.modules]}
    with suppress(OSError):
        Path(os.environ["TMPDIR"]).with_name("figures.json").write_text(json.dumps(figures))
    threading._shutdown()
    atexit._run_exitfuncs()
    os._exit(code or 0)


def same_for_every_run() -> None:
    """Small partitions, and models that say they were made at one and the same time."""
    from gpuvgm.execution import local as execution
    from gpuvgm.table import model_file as store

    class Now(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime(2026, 1, 1, tzinfo=UTC)

    execution.PARTITION_ROWS = PARTITION_ROWS
    store.datetime = Now


def finish(arguments: tuple[str, ...], work: Path, before: Callable[[], None] | None = None) -> tuple[int, str]:
    """Run a command; its exit code and what it said."""
    process = start(arguments, work, before=before)
    return process.wait(), process.said


def must(arguments: tuple[str, ...], work: Path) -> None:
    """Run a command that has no reason to fail.

    Raises
    ------
    Unclean
        Where it does.
    """
    code, said = finish(arguments, work)
    if code:
        raise Unclean(f"{' '.join(arguments)}: exit code {code}\n{said}")


def snapshot(folder: Path) -> Snapshot:
    """Everything in a folder, pages without the line of when and how long, in which two healthy runs differ."""
    found: dict[str, bytes | None] = {}
    for path in sorted(folder.rglob("*")):
        with suppress(FileNotFoundError):  # of a process that still works
            body = None if path.is_dir() else path.read_bytes()
            if body is not None and path.suffix == ".html":
                body = FACTS.sub(b"", body)
            found[path.relative_to(folder).as_posix()] = body
    return found


def lay(contents: Snapshot, folder: Path) -> None:
    """Make a folder of a snapshot."""
    for name, body in contents.items():
        if body is None:
            (folder / name).mkdir(parents=True, exist_ok=True)
        else:
            (folder / name).write_bytes(body)


def of(contents: Snapshot, name: str) -> Snapshot:
    """What a snapshot holds of one output."""
    return {other: body for other, body in contents.items() if other == name or other.startswith(f"{name}/")}


def healthy(job: Job, folder: Path) -> Healthy:
    """Run a job, as it is and with its other options, and import here what it imports."""
    made = []
    for options in (job.other, ()):
        work = folder / "work"
        work.mkdir()
        began = time.monotonic()
        must((*job.arguments, *options), work)
        seconds = time.monotonic() - began
        made.append(snapshot(work))
        shutil.rmtree(work)
        steps = steps_of_the_last(folder)
    return Healthy(job, seconds, steps, made[1], made[0])


def steps_of_the_last(folder: Path) -> int:
    """Steps of the last command that ran to its end here; what it imported is imported, so that forks have it."""
    figures = json.loads((folder / "figures.json").read_text())
    for name in figures["modules"]:
        if name not in sys.modules and not name.startswith("__"):
            with suppress(Exception):
                import_module(name)
    return int(figures["steps"])


def check_right(found: Snapshot, expected: Snapshot) -> None:
    """Refuse other bytes, and anything that is left behind.

    Raises
    ------
    WrongResult
        For outputs that differ.
    Unclean
        For names that a healthy run does not leave.
    """
    lost = sorted(set(expected) - set(found))
    if lost:
        raise WrongResult(f"{lost[0]} is missing; there is {sorted(found)}")
    seen, right = without_seconds(found), without_seconds(expected)
    other = [name for name in expected if seen[name] != right[name]]
    if other:
        raise WrongResult(f"{other[0]} differs from that of a healthy run")
    left = sorted(set(found) - set(expected))
    if left:
        raise Unclean(f"left behind: {left}")


def without_seconds(contents: Snapshot) -> dict[str, Any]:
    """What two healthy runs have in common: manifests without the seconds of their files and without their checksum."""
    return {name: _lasting(name, body) for name, body in contents.items()}


def _lasting(name: str, body: bytes | None) -> Any:
    if body is None or not name.endswith("_manifest.json"):
        return body
    document = json.loads(body)
    files = {file: {**entry, "seconds": None} for file, entry in document["done"].items()}
    return document | {"done": files, "sha256": None}


def check_readers(found: Snapshot, run: Healthy) -> None:
    """Refuse what readers may not see between a run that was cut short and the next: neither old nor new, nor nothing.

    Raises
    ------
    WrongResult
        Naming the output.
    """
    for name in run.job.outputs:
        seen, right, old = (without_seconds(of(contents, name)) for contents in (found, run.right, run.old))
        if seen not in ({}, right, old):
            raise WrongResult(f"{name}: readers see something incomplete: {sorted(seen)}")


def again(run: Healthy, work: Path, *, resume: bool) -> tuple[str, ...]:
    """Arguments of the run after one that was cut short."""
    job = run.job
    unfinished = job.left_unfinished(work)
    on = job.resume and (unfinished or (job.command == "generate" and (work / job.outputs[0]).exists()))
    refused = job.command == "generate" or (work / f".{job.outputs[0]}.unfinished").exists()  # to begin again
    return (*job.arguments, "--resume") if on and (resume or refused) else job.arguments

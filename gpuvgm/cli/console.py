"""What the command line shows: one JSON document or text on stdout, everything else on stderr, and exit codes."""

from __future__ import annotations

import errno
import io
import json
import logging
import os
import re
import shutil
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gpuvgm.cli.log_lines import JsonLines
from gpuvgm.cli.stages import SEARCH, Stages
from gpuvgm.errors import EnvironmentProblem, InputError, printable
from gpuvgm.files import HungUp, Terminated

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.progress import Progress, TaskID

DONE, BOUND_FAILED, WRONG_INPUT, ENVIRONMENT, INTERNAL = 0, 1, 2, 3, 70
HUNG_UP, INTERRUPTED, TERMINATED = 129, 130, 143
#: Problems of the operating system that another name or another choice of file solves.
WRONG_NAMES = (errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL, errno.ETXTBSY, errno.ENXIO)
#: Arguments that messages of the library name, and that are options here.
VALUE = re.compile(r'\b(algorithm|effort|inf|layout|precision|tails|unknown)="(\w+)"')
SAMPLE_ROWS = re.compile(r'("[^"]*")|\bsample_rows\b')  # not within quotes, where names of columns are
SWITCH = re.compile(r"\b(resume|stratified)=True(?: \(--resume\))?")
NO_TERMINAL_WIDTH = 80
LEAST_SECONDS = 0.2  # before this a rate says nothing

Report = Callable[[str, int, int | None], None]  # stage, rows done, rows in all where known
_LOG = logging.getLogger("gpuvgm")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command found.

    Parameters
    ----------
    document : mapping
        For programs: what `--json` prints.
    view : sequence
        For people: strings and rich renderables.
    code : int
        Exit code.
    broken : sequence of str
        Limits that do not hold, in sentences; shown in any case.
    """

    document: Mapping[str, Any]
    view: Sequence[RenderableType]
    code: int = DONE
    broken: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Terminal:
    """Where the output of one command goes.

    Parameters
    ----------
    json : bool
        One JSON document on stdout instead of text.
    quiet : bool
        Errors only (and the document).
    debug : bool
        Tracebacks and the library's log.
    progress : bool
        Bars, where stderr is a terminal.
    log_format : {"text", "json"}
        What stands on stderr: lines for people, or one JSON object a line, which tell of stages and of the end too.
    stages : Stages, optional
        Who listens to progress beside the bars.
    """

    json: bool = False
    quiet: bool = False
    debug: bool = False
    progress: bool = True
    log_format: str = "text"
    stages: Stages | None = None

    def show(self, outcome: Outcome) -> None:
        """Print what a command found."""
        if self.json:
            write_json(outcome.document)
        elif not self.quiet:
            write(rendered([*outcome.view, *map(on_command_line, outcome.broken)]))
        for line in map(on_command_line, outcome.broken):
            if self.log_format == "json":
                _LOG.error("%s", line)
            elif self.quiet:
                sys.stderr.write(f"gpuvgm: {line}\n")

    def tell(self, line: str) -> None:
        """Say something beside the outcome."""
        if self.log_format == "json":
            _LOG.info("%s", line)
        elif not self.quiet:
            sys.stderr.write(f"gpuvgm: {line}\n")

    def fail(self, problem: BaseException) -> int:
        """Say what went wrong, on one line, and give the exit code."""
        code, message = exit_code(problem), explained(problem)
        if self.log_format == "json":
            fields = {"exit_code": code, "kind": type(problem).__name__}
            _LOG.error("%s", printable(message), extra=fields, exc_info=problem if self.debug else None)
        else:
            if self.debug:
                sys.stderr.write("".join(traceback.format_exception(problem)))
            report_error(message)
        if self.json:
            write_json(error_document(message, code, type(problem).__name__))
        return code

    @contextmanager
    def messages(self) -> Iterator[None]:
        """The library's log and warnings as lines on stderr."""
        handler = logging.StreamHandler(sys.stderr)
        as_json = self.log_format == "json"
        handler.setFormatter(JsonLines() if as_json else logging.Formatter("gpuvgm: %(message)s"))
        logger = logging.getLogger("gpuvgm")
        level = logger.level
        logger.addHandler(handler)
        told = logging.ERROR if self.quiet else logging.INFO if as_json else logging.WARNING
        logger.setLevel(logging.DEBUG if self.debug else told)
        try:
            with warnings.catch_warnings():
                warnings.showwarning = lambda message, *_, **__: logger.warning("%s", message)
                yield
        finally:
            logger.removeHandler(handler)
            logger.setLevel(level)

    @contextmanager
    def bars(self) -> Iterator[Report | None]:
        """A callable that hears of progress; None where nobody listens and there is no terminal to draw on."""
        with nullcontext() if self.stages is None else self.stages.heard() as stages, self._drawn() as bars:
            if stages is None or bars is None:
                yield stages or bars
            else:
                yield lambda *step: (stages(*step), bars(*step))[0]

    @contextmanager
    def _drawn(self) -> Iterator[Report | None]:
        """Bars with rows/s and time left, on a terminal."""
        if not self.progress or self.quiet or self.log_format == "json" or not sys.stderr.isatty():
            yield None
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            yield Bars(progress)


@dataclass(slots=True)
class Bars:
    """One bar a stage; stages follow each other.

    Parameters
    ----------
    progress : rich.progress.Progress
        What draws.
    """

    progress: Progress
    _stages: dict[str, _Stage] = field(default_factory=dict)

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        """Show that `done` rows of `total`, or columns, are through a stage."""
        found = self._stages.get(stage)
        if found is None:
            for other in self._stages.values():
                self.progress.stop_task(other.task)
            found = self._stages[stage] = _Stage(self.progress.add_task(stage, total=total, rate=""))
        if stage == SEARCH:
            self.progress.update(found.task, completed=done, total=total, rate=f"{done:,} of {total:,} columns")
            return
        if done < found.done:  # another scan of the rows
            self.progress.reset(found.task)
            found.start, found.first = time.monotonic(), done
        elif found.first is None:
            found.first = done
        found.done = done
        seconds = time.monotonic() - found.start  # since the first rows were done: they are not counted
        rate = f"{done:,} rows"
        if seconds >= LEAST_SECONDS:
            rate += f", {speed(done - found.first, seconds)}"
        self.progress.update(found.task, completed=done, total=total, rate=rate)


@dataclass(slots=True)
class _Stage:
    task: TaskID
    start: float = field(default_factory=time.monotonic)
    done: int = 0
    first: int | None = None


def exit_code(problem: BaseException) -> int:
    """Exit code: 2 wrong input or usage, 3 environment, 70 an internal error, and those of signals.

    129 is for a terminal that was closed, 130 interrupted, 143 terminated.
    """
    if isinstance(problem, HungUp):
        return HUNG_UP
    if isinstance(problem, Terminated):
        return TERMINATED
    if isinstance(problem, KeyboardInterrupt):
        return INTERRUPTED
    from gpuvgm.shortage import is_shortage  # not for signals, which may come while pyarrow is being imported

    if isinstance(
        problem,
        (InputError, FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError),
    ):
        return WRONG_INPUT
    if isinstance(problem, OSError) and problem.errno in WRONG_NAMES:
        return WRONG_INPUT
    is_of_machine = isinstance(problem, (EnvironmentProblem, OSError, ImportError)) or is_shortage(problem)
    return ENVIRONMENT if is_of_machine else INTERNAL


def explained(problem: BaseException) -> str:
    """One line that says what happened and what to do."""
    text = " ".join(str(problem).split()) or type(problem).__name__
    if isinstance(problem, KeyboardInterrupt):
        said = "terminated" if isinstance(problem, Terminated) else "interrupted"
        return f"{said}; {left_of(problem)}"
    from gpuvgm.shortage import lacks_memory, lacks_threads

    if isinstance(problem, OSError) and problem.errno in (errno.ENOSPC, errno.EDQUOT):
        place = f"{problem.filename}: {problem.strerror}" if problem.filename is not None else text
        return f"disk full: {place}; free some space or write elsewhere; {left_of(problem)}"
    if lacks_memory(problem):
        return f"out of memory: {text}; set --memory, or reduce --block-rows or --threads"
    if lacks_threads(problem):
        return f"cannot start more threads: {text}; reduce --threads, or raise the limit (ulimit -u, -v)"
    if isinstance(problem, OSError) and problem.filename is not None and problem.strerror:
        kept = f"; {left_of(problem)}" if hasattr(problem, "__notes__") else ""
        return f"{problem.filename}: {problem.strerror}{kept}"
    if exit_code(problem) == INTERNAL:
        return f"internal error, {type(problem).__name__}: {text}; please report it with the output of --debug"
    return on_command_line(text)


def left_of(problem: BaseException) -> str:
    """What a run that was cut short leaves, by the note that it gave."""
    notes = getattr(problem, "__notes__", None)
    return on_command_line(notes[-1]) if notes else "no partial files are left"


def on_command_line(message: str) -> str:
    """A message of the library with the options that do here what its arguments do in Python."""
    message = SWITCH.sub(r"--\1", VALUE.sub(r"--\1 \2", message))
    return SAMPLE_ROWS.sub(lambda found: found[1] or "--sample", message)


def report_error(message: str) -> None:
    """One line on stderr."""
    with suppress(BrokenPipeError):
        sys.stderr.write(f"gpuvgm: {printable(message)}\n")


def error_document(message: str, code: int, kind: str) -> dict[str, Any]:
    """An error for programs."""
    return {"error": {"kind": kind, "message": message, "exit_code": code}}


def write_json(document: Mapping[str, Any]) -> None:
    """One JSON document on stdout; numbers that JSON lacks become null."""
    write(json_text(document))


def json_text(document: Mapping[str, Any]) -> str:
    """A JSON document as text; numbers that JSON lacks become null."""
    from gpuvgm.table.description import jsonable

    return json.dumps(jsonable(document), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write(text: str) -> None:
    """Text on stdout; a reader that has gone away is no error."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as problem:
        discard_stdout()
        if not isinstance(problem, BrokenPipeError):
            raise OSError(problem.errno, problem.strerror, "standard output") from problem


def discard_stdout() -> None:
    """Send what is still to be written nowhere, or the interpreter flushes again at its end, and complains."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def rendered(view: Sequence[RenderableType]) -> str:
    """What rich makes of it: colours on a terminal only, and no line broken without one."""
    from rich.console import Console

    at_terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size((NO_TERMINAL_WIDTH, 24)).columns
    target = io.StringIO()
    console = Console(
        file=target,
        force_terminal=at_terminal,
        width=width,
        markup=False,
        highlight=False,
        emoji=False,
        soft_wrap=False,
    )
    for part in view:
        console.print(part, soft_wrap=isinstance(part, str))
    return target.getvalue()


def speed(rows: int, seconds: float) -> str:
    """Rows a second, for people."""
    rate = rows / max(seconds, 1e-9)
    return f"{rate / 1e6:.1f} M rows/s" if rate >= 1e6 else f"{rate:,.0f} row{'s' * (round(rate) != 1)}/s"

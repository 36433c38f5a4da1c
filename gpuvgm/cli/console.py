"""Output of the command line: one JSON document or text on stdout, everything else on stderr, and exit codes."""

from __future__ import annotations

import ast
import errno
import io
import json
import logging
import os
import re
import shlex
import shutil
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

from gpuvgm.errors import EnvironmentProblem, InferenceWarning, InputError, UnseenWarning, printable
from gpuvgm.execution import Progress, Stages
from gpuvgm.files import Terminated

if TYPE_CHECKING:
    from rich.console import RenderableType

DONE, BOUND_FAILED, WRONG_INPUT, ENVIRONMENT, INTERNAL = 0, 1, 2, 3, 70
BY_SIGNAL, INTERRUPTED = 128, 130  # the number of another signal is added to the first
#: Problems of the operating system that another name or another choice of file solves.
WRONG_NAMES = (errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL, errno.ETXTBSY, errno.ENXIO)
#: Arguments that messages of the library name, and that are options here.
VALUE = re.compile(r'\b(algorithm|effort|inf|layout|tails|unknown)="(\w+)"')
SAMPLE_ROWS = re.compile(r'("[^"]*")|\bsample_rows\b')  # not within quotes, where names of columns are
SWITCH = re.compile(r"\b(resume|stratified)=True(?: \(--resume\))?")
_COLUMN = r'"(?:[^"\\]|\\.)*": (?:\{[^{}]*\}|"\w+")'
DECLARATION = re.compile(rf"columns=(\{{{_COLUMN}(?:, {_COLUMN})*\}})")  # as `gpuvgm.errors.declaration` writes it
NO_TERMINAL_WIDTH = 80
STANDARD_OUTPUT = "-"  # the name that stands for it among files to write

_LOG = logging.getLogger("gpuvgm")


@dataclass(frozen=True, slots=True)
class CommandOutcome:
    """Result of a command.

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
    written : bool
        Whether the document is in a file already, and `--json` leaves stdout to people.
    """

    document: Mapping[str, Any]
    view: Sequence[RenderableType]
    code: int = DONE
    broken: Sequence[str] = ()
    written: bool = False


@dataclass(frozen=True, slots=True)
class Terminal:
    """Output of one command.

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
        Format of stderr: lines for people, or one JSON object a line, also for stages and the end.
    stages : Stages
        Listen to progress beside the bars.
    """

    json: bool = False
    quiet: bool = False
    debug: bool = False
    progress: bool = True
    log_format: str = "text"
    stages: Stages = field(default_factory=Stages)

    def show(self, outcome: CommandOutcome) -> None:
        """Print the result of a command."""
        if self.json and not outcome.written:
            write_json(outcome.document)
        elif not self.quiet:
            view = [on_command_line(part) if isinstance(part, str) else part for part in outcome.view]
            write(render([*view, *map(on_command_line, outcome.broken)]))
        if self.quiet or self.log_format == "json":
            for line in map(on_command_line, outcome.broken):
                _LOG.error("%s", line)

    def tell(self, line: str) -> None:
        """Print a line on stderr."""
        if self.log_format == "json":
            _LOG.info("%s", line)
        elif not self.quiet:
            say(f"gpuvgm: {line}\n")

    def fail(self, problem: BaseException) -> int:
        """Print a problem on one line, and return the exit code."""
        code, message = exit_code(problem), explain(problem)
        if self.log_format == "json":
            fields = {"exit_code": code, "kind": type(problem).__name__}
            _LOG.error("%s", printable(message), extra=fields, exc_info=problem if self.debug else None)
        else:
            if self.debug:
                say("".join(traceback.format_exception(problem)))
            report_error(message)
        if self.json:
            write_error(message, code, type(problem).__name__)
        return code

    @contextmanager
    def messages(self) -> Iterator[None]:
        """Print the library's log and warnings as lines on stderr."""
        handler = Lines()
        formatter: logging.Formatter = _PlainLines("gpuvgm: %(message)s")
        as_json = self.log_format == "json"
        if as_json:
            from gpuvgm.cli.log_lines import JsonLines  # not for help

            formatter = JsonLines()
        handler.setFormatter(formatter)
        logger = logging.getLogger("gpuvgm")
        level = logger.level
        logger.addHandler(handler)
        threshold = logging.ERROR if self.quiet else logging.INFO if as_json else logging.WARNING
        logger.setLevel(logging.DEBUG if self.debug else threshold)
        try:
            with warnings.catch_warnings():
                # Python would show the warnings of one line of code only once.
                for category in (InferenceWarning, UnseenWarning):
                    warnings.simplefilter("always", category)
                warnings.showwarning = lambda message, *_, **__: logger.warning("%s", message)
                yield
        finally:
            logger.removeHandler(handler)
            logger.setLevel(level)

    @contextmanager
    def bars(self) -> Iterator[Progress]:
        """Yield a callable that takes progress; on a terminal it draws bars with rows/s and time left."""
        with self.stages.listen() as stages:
            if not self.progress or self.quiet or self.log_format == "json" or not sys.stderr.isatty():
                yield stages
                return
            from gpuvgm.cli.bars import draw_bars

            with draw_bars() as stages.listener:
                yield stages


class _PlainLines(logging.Formatter):
    """Lines for people: warnings are told from errors."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Put the word before a warning, and name options in it."""
        if record.levelno != logging.WARNING:
            return super().formatMessage(record)
        return f"gpuvgm: warning: {on_command_line(record.message)}"


class Lines(logging.Handler):
    """Log records as lines on the current standard error: while bars are drawn, the console that draws them."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record, with escapes for unprintable characters."""
        say("".join(f"{printable(line)}\n" for line in self.format(record).split("\n")))


def exit_code(problem: BaseException) -> int:
    """Exit code: 2 wrong input or usage, 3 environment, 70 an internal error, and those of signals.

    129 is for a terminal that was closed, 130 interrupted, 143 terminated.
    """
    if isinstance(problem, Terminated):
        return BY_SIGNAL + problem.number
    if isinstance(problem, KeyboardInterrupt):
        return INTERRUPTED
    from gpuvgm.shortage import shortage_of  # not for signals, which may come while pyarrow is being imported

    if isinstance(
        problem,
        (InputError, FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError),
    ):
        return WRONG_INPUT
    if isinstance(problem, OSError) and problem.errno in WRONG_NAMES:
        return WRONG_INPUT
    is_of_machine = isinstance(problem, (EnvironmentProblem, OSError, ImportError)) or shortage_of(problem)
    return ENVIRONMENT if is_of_machine else INTERNAL


def explain(problem: BaseException) -> str:
    """Describe on one line what happened, and what to do."""
    text = " ".join(str(problem).split()) or type(problem).__name__
    if isinstance(problem, KeyboardInterrupt):
        event = "terminated" if isinstance(problem, Terminated) else "interrupted"
        return f"{event}; {leftovers_of(problem)}"
    from gpuvgm.shortage import shortage_of

    if isinstance(problem, OSError) and problem.errno in (errno.ENOSPC, errno.EDQUOT):
        place = f"{problem.filename}: {problem.strerror}" if problem.filename is not None else text
        return f"disk full: {place}; free some space or write elsewhere; {leftovers_of(problem)}"
    shortage = shortage_of(problem)
    if shortage == "memory":
        return f"out of memory: {text}; set --memory, or reduce --block-rows or --threads"
    if shortage == "threads":
        return f"cannot start more threads: {text}; reduce --threads, or raise the limit (ulimit -u, -v)"
    if isinstance(problem, OSError) and problem.filename is not None and problem.strerror:
        note = f"; {leftovers_of(problem)}" if hasattr(problem, "__notes__") else ""
        return f"{problem.filename}: {problem.strerror}{note}"
    if exit_code(problem) == INTERNAL:
        return f"internal error, {type(problem).__name__}: {text}; please report it with the output of --debug"
    return on_command_line(text)


def leftovers_of(problem: BaseException) -> str:
    """Describe the files that an interrupted run leaves, by the note on the problem."""
    notes = getattr(problem, "__notes__", None)
    return on_command_line(notes[-1]) if notes else "no partial files are left"


def _declared_by_option(argument: re.Match[str]) -> str:
    """Option that declares columns as the argument does, for a shell."""
    columns = ast.literal_eval(argument[1])
    if all(isinstance(spec, str) for spec in columns.values()):
        return f"--columns {shlex.quote(','.join(f'{name}={kind}' for name, kind in columns.items()))}"
    parts = [f"{_toml_key(name)}={_toml_table(spec)}" for name, spec in columns.items()]
    return f"--columns {shlex.quote(','.join(parts))}"


def _toml_key(name: str) -> str:
    return name if re.fullmatch(r"[\w-]+", name, re.ASCII) else json.dumps(name, ensure_ascii=False)


def _toml_table(options: Mapping[str, object]) -> str:
    return f"{{{','.join(f'{option}={json.dumps(value)}' for option, value in options.items())}}}"


def on_command_line(message: str) -> str:
    """Translate arguments in a message of the library to the options of the command line."""
    message = DECLARATION.sub(_declared_by_option, message)
    message = SWITCH.sub(r"--\1", VALUE.sub(r"--\1 \2", message))
    message = message.replace("conditions: ", "--where: ", 1) if message.startswith("conditions: ") else message
    return SAMPLE_ROWS.sub(lambda match: match[1] or "--sample", message)


def report_error(message: str) -> None:
    """Print an error line on stderr."""
    say(f"gpuvgm: {printable(message)}\n")


def say(text: str) -> None:
    """Print on stderr; a run goes on, and ends with its exit code, even if nobody can read it."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        discard(sys.stderr)


def write_error(message: str, code: int, kind: str) -> None:
    """Print an error as a JSON document on stdout; what keeps it from that is said on stderr."""
    try:
        write_json({"error": {"kind": kind, "message": message, "exit_code": code}})
    except OSError as problem:
        report_error(explain(problem))


def write_json(document: Mapping[str, Any]) -> None:
    """Print one JSON document on stdout; numbers that JSON lacks become null."""
    write(json_text(document))


def json_text(document: Mapping[str, Any]) -> str:
    """A JSON document as text; numbers that JSON lacks become null."""
    from gpuvgm.table import jsonable

    return json.dumps(jsonable(document), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write(text: str) -> None:
    """Print on stdout; a reader that has gone is no error."""
    with _until_the_reader_goes():
        sys.stdout.write(text)
        sys.stdout.flush()


@contextmanager
def _until_the_reader_goes() -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        discard(sys.stdout)
        if not isinstance(problem, BrokenPipeError):
            raise OSError(problem.errno, problem.strerror, "standard output") from problem


@contextmanager
def written_to(terminal: Terminal, out: str) -> Iterator[str]:
    """Name of the file to write; of `STANDARD_OUTPUT` a CSV file whose bytes are printed once it is whole.

    Raises
    ------
    InputError
        Where standard output has the document of `--json`, and for columns that CSV cannot hold.
    """
    if out != STANDARD_OUTPUT:
        yield out
        return
    if terminal.json:
        raise InputError("- and --json both write to standard output: give a file, or leave out --json")
    with tempfile.TemporaryDirectory(prefix="gpuvgm-") as folder:
        path = os.path.join(folder, "rows.csv")
        try:
            yield path
        except InputError as problem:
            raise InputError(str(problem).replace(path, "standard output (CSV)")) from problem
        with open(path, "rb") as file, _until_the_reader_goes():
            shutil.copyfileobj(file, sys.stdout.buffer)
            sys.stdout.buffer.flush()


def discard(stream: TextIO) -> None:
    """Redirect a stream to the null device, or the interpreter would complain when it flushes at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def render(view: Sequence[RenderableType]) -> str:
    """Render strings and rich objects: colours on a terminal only, and unbroken lines without one."""
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

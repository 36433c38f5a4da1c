"""Options of the command line: where their values come from, and what all commands share."""

from __future__ import annotations

import difflib
import inspect
import os
import sys
import tomllib
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

import gpuvgm
from gpuvgm.cli.console import (
    DONE,
    WRONG_INPUT,
    Outcome,
    discard_stdout,
    error_document,
    report_error,
    write,
    write_json,
)
from gpuvgm.errors import InputError

PREFIX = "GPUVGM"
OTHER_VARIABLES = {"GPUVGM_INSTRUCTION_SET", "GPUVGM_REQUIRE_NATIVE", "GPUVGM_TOKEN"}
CONFIG_FILE = "gpuvgm.config_file"
MACHINE, OUTPUT, LIMITS = "Machine", "Output and settings", "Limits"  # groups of options in the help
_NEEDS_FILE = 'Names that hold a comma or "=", and options of a column, need a file: --columns SPEC.toml'
EPILOG = (
    "Every option has an environment variable, GPUVGM_ and its name (GPUVGM_BLOCK_ROWS), and a key in a TOML file "
    "(--config). The command line wins over the environment, the environment over the file."
)


class Commands(TyperGroup):
    """The commands; wrong usage is one line on stderr, like every other error."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> NoReturn:
        """Run the command that `args` name, and exit."""
        given = list(sys.argv[1:] if args is None else args) or ["--help"]
        extra["standalone_mode"] = False
        try:
            code = super().main(given, *rest, **extra)
        except SystemExit as stop:
            if not isinstance(stop.__context__, BrokenPipeError):
                raise
            discard_stdout()  # the reader has seen enough
            code = DONE
        except Exception as problem:  # what typer raises for wrong usage can show itself
            describe = getattr(problem, "format_message", None)
            if describe is None:
                raise
            context = getattr(problem, "ctx", None)
            message = " ".join(describe().split()).rstrip(".").replace(": Value error, ", ": ", 1) + origin(problem)
            if context is not None:
                message += f'{" See" if message.endswith("?") else "; see"} "{context.command_path} --help"'
            for line in (*unknown_variables(), message):
                report_error(line)
            if "--json" in given:
                write_json(error_document(message, WRONG_INPUT, "UsageError"))
            code = WRONG_INPUT
        sys.exit(code if isinstance(code, int) else DONE)


def origin(problem: Any) -> str:
    """Where a wrong value came from, if not from the command line."""
    context, parameter = getattr(problem, "ctx", None), getattr(problem, "param", None)
    if context is None or parameter is None or parameter.name == "config":
        return ""
    source = getattr(context.get_parameter_source(parameter.name), "name", "")
    if source == "ENVIRONMENT":
        variable = f"{PREFIX}_{parameter.name.upper()}"
        return f" ({os.environ.get(variable)!r} in the environment variable {variable})"
    if source == "DEFAULT_MAP":
        return f" ({(context.default_map or {}).get(parameter.name)!r} in {context.meta.get(CONFIG_FILE)})"
    return ""


def unknown_variables() -> list[str]:
    """Which GPUVGM_* variables of the environment nothing reads, in sentences."""
    known = {f"{PREFIX}_{name.upper()}" for options in OPTIONS.values() for name in options} | OTHER_VARIABLES
    told = []
    for name in sorted(name for name in os.environ if name.startswith(f"{PREFIX}_") and name not in known):
        close = difflib.get_close_matches(name, sorted(known), n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        told.append(f"{name}: no option reads this environment variable{hint}")
    return told


class Command(TyperCommand):
    """A command whose help has a section for each group of options."""

    def get_help_option(self, ctx: Any) -> Any:
        """The option --help, which no variable stands for."""
        option = super().get_help_option(ctx)
        if option is not None:
            option.allow_from_autoenv = False
        return option

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, then the options by their help panels."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            title = "Arguments" if parameter.param_type_name == "argument" else "Options"
            line = parameter.get_help_record(ctx)
            if line is not None:
                sections.setdefault(getattr(parameter, "rich_help_panel", None) or title, []).append(line)
        for title, lines in sections.items():
            with formatter.section(title):
                formatter.write_dl(lines)


app = typer.Typer(
    name="gpuvgm",
    cls=Commands,
    help="Mode-specific normalisation of table columns: variational Gaussian mixtures for a billion rows.",
    epilog=EPILOG,
    rich_markup_mode=None,  # plain help: rich's panels cut names of options at 80 columns
    context_settings={"help_option_names": ["-h", "--help"]},
)


def option(name: str, text: str, group: str | None = None, **more: Any) -> Any:
    """An option; its environment variable is told of once, by the epilog."""
    return typer.Option(name, help=text, rich_help_panel=group, show_envvar=False, **more)


def parse_count(text: str) -> int:
    """A whole number that may be written 1e9 or 1_000_000."""
    try:
        value = Decimal(str(text))
    except InvalidOperation:
        value = Decimal("nan")
    if not value.is_finite() or not 0 <= value < 2**63 or value != int(value):
        raise typer.BadParameter(f"{text!r} is not a whole number of at least 0")
    return int(value)


def _read_config(context: typer.Context, path: Path | None) -> Path | None:
    """Take defaults from a TOML file; it runs before the other options are looked at."""
    if path is not None and not context.resilient_parsing:
        try:
            context.meta[CONFIG_FILE] = path
            context.default_map = config_defaults(path, str(context.info_name))
        except InputError as problem:
            raise typer.BadParameter(str(problem)) from problem
    return path


def config_defaults(path: Path, command: str) -> dict[str, Any]:
    """Options of one command from a TOML file: keys at the top for all commands, tables for one each."""
    document = read_toml(path)
    tables = {name: document.pop(name) for name in OPTIONS if isinstance(document.get(name), dict)}
    _check_keys(path, "", document, set().union(*OPTIONS.values(), OPTIONS) - {"config"})
    for name, table in tables.items():
        _check_keys(path, f"[{name}] ", table, OPTIONS[name])
    values = [*document.items(), *tables.get(command, {}).items()]
    found = {key.replace("-", "_"): _as_given(path, key, value) for key, value in values}
    return {key: value for key, value in found.items() if key in OPTIONS[command]}


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file as a dict."""
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as problem:
        raise InputError(f"{path}: {problem.strerror}") from problem
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise InputError(f"{path}: no valid TOML ({problem})") from problem


def _check_keys(path: Path, where: str, keys: Any, known: set[str]) -> None:
    for key in keys:
        if key.replace("-", "_") not in known:
            close = difflib.get_close_matches(key.replace("-", "_"), sorted(known), n=1)
            hint = f', did you mean "{close[0].replace("_", "-")}"?' if close else ""
            raise InputError(f'{path}: {where}key "{key}" is no option{hint}')


def _as_given(path: Path, key: str, value: Any) -> Any:
    """A value as the command line would give it: text, apart from true and false."""
    if isinstance(value, bool):
        return value
    if isinstance(value, list) and all(isinstance(part, str) and "," not in part for part in value):
        return ",".join(value)
    if isinstance(value, (str, int, float)):
        return str(value)
    raise InputError(f'{path}: key "{key}" holds a {type(value).__name__}; give text, a number, or true or false')


def parse_columns(text: str | None) -> list[str] | dict[str, Any] | None:
    """What the columns are: names with commas between, NAME=KIND with commas between, or a TOML file.

    The file has a list of names, or a table of kinds, called ``columns``.
    """
    if text is None:
        return None
    if text.endswith(".toml"):
        return _columns_of_file(text)
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise InputError(f'--columns "{text}": a name is empty: there is a comma too many')
    pairs = [part for part in parts if "=" in part]
    if not pairs:
        return parts
    if len(pairs) < len(parts):
        name = next(part for part in parts if part not in pairs)
        raise InputError(
            f'--columns "{text}": "{name}" has no kind; give names only (the other columns are left out), or NAME=KIND '
            f"for each (the others are inferred). {_NEEDS_FILE}"
        )
    return _kinds_by_name(text, pairs)


def _kinds_by_name(text: str, pairs: Sequence[str]) -> dict[str, Any]:
    from gpuvgm.columns.schema import KINDS

    kinds: dict[str, Any] = {}
    for pair in pairs:
        name, kind = (side.strip() for side in pair.rsplit("=", 1))
        if not name or kind not in KINDS:
            wrong = f'"{kind}" is no kind: {", ".join(KINDS)}' if name else f'"{pair}" has no name'
            raise InputError(f'--columns "{text}": {wrong}. {_NEEDS_FILE}')
        if name in kinds:
            raise InputError(f'--columns "{text}": "{name}" is given more than once; name every column once')
        kinds[name] = kind
    return kinds


def _columns_of_file(path: str) -> list[str] | dict[str, Any]:
    document = read_toml(Path(path))
    columns = document.pop("columns", None)
    if document or not isinstance(columns, (dict, list)):
        wrong = f'"{next(iter(document))}" is not expected' if document else "there is none"
        raise InputError(f'{path}: one table [columns], or a list "columns", says what each column is; {wrong}')
    return columns


Source = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="Parquet, CSV, JSON lines or Arrow: a file, a glob, a folder or a URL.",
        show_default=False,
    ),
]
Delimiter = Annotated[
    str | None,
    option(
        "--delimiter",
        "What stands between the fields of CSV files, for example ';' or tab; by default told from the header.",
        metavar="CHARACTER",
        show_default=False,
    ),
]
Model = Annotated[str, option("--model", "Model: a folder, or a file or URL ending in .gpuvgm.", show_default=False)]
Summaries = Annotated[bool, option("--summaries", "Keep the summaries in the model; they are near-raw data.")]
Resume = Annotated[
    bool, option("--resume", "Do only what is left: columns that failed, rows not counted yet, files that are new.")
]
GoOn = Annotated[bool, option("--resume", "Go on with a folder whose writing was cut short.")]
PartRows = Annotated[int, option("--part-rows", "Rows of each file of a folder.", parser=parse_count, metavar="ROWS")]
Threads = Annotated[
    int | None, option("--threads", "Threads; by default all cores.", MACHINE, min=1, show_default=False)
]
Scheduler = Annotated[
    str | None,
    option(
        "--scheduler",
        "Work on the Dask cluster at this address.",
        MACHINE,
        metavar="tcp://HOST:PORT",
        show_default=False,
    ),
]
Workers = Annotated[
    int | None,
    option(
        "--workers", "Start so many Dask workers on this machine, and work there.", MACHINE, min=1, show_default=False
    ),
]
BlockRows = Annotated[
    int | None,
    option(
        "--block-rows",
        "Rows in memory at a time, per thread; by default 1048576.",
        MACHINE,
        parser=parse_count,
        metavar="ROWS",
    ),
]
Memory = Annotated[
    str | None,
    option("--memory", "Memory to keep to, for example 1GiB or 512MB.", MACHINE, metavar="BYTES", show_default=False),
]
Sample = Annotated[
    int | None,
    option("--sample", "Fit on this many rows only.", parser=parse_count, metavar="ROWS", show_default=False),
]
Stratified = Annotated[bool, option("--stratified", "Choose each column's sample by strata of its values.")]
Against = Annotated[
    str | None,
    option("--against", "Also tell how far MODEL is from this one.", metavar="FULL", show_default=False),
]
Compare = Annotated[
    str | None,
    option("--compare", "Compare SOURCE with these synthetic rows instead.", metavar="SYNTHETIC", show_default=False),
]
Seed = Annotated[
    int | None, option("--seed", "Seed of the draws; by default the fitted one.", min=0, show_default=False)
]
Engine = Annotated[Literal["auto", "reference", "native", "cuda"], option("--engine", "Compute engine.")]

Columns = Annotated[
    str | None,
    option(
        "--columns",
        "Names, or NAME=KIND, with commas between, or SPEC.toml; by default all columns, kinds inferred.",
        show_default=False,
    ),
]
Algorithm = Annotated[
    Literal["auto", "summary", "exact"], option("--algorithm", "One pass, or every row in every iteration.")
]
Effort = Annotated[
    Literal["auto", "best", "research"],
    option("--effort", "Search until little more is gained, for the best fit, or 100 iterations from one start."),
]
Precision = Annotated[
    Literal["float64", "float32"],
    option("--precision", "Arithmetic of transform: float32 is for GPUs with few FP64 units."),
]
Infinities = Annotated[Literal["error", "missing"], option("--inf", "Refuse infinite values, or take them as missing.")]
Unknown = Annotated[
    Literal["error", "ignore"], option("--unknown", "Categories unseen in fit: raise an error, or encode as all zeros.")
]
MaxCategories = Annotated[
    int | None,
    option(
        "--max-categories",
        "One-hot columns at most; infrequent categories share one. By default over 256 categories are one scalar.",
        min=1,
        show_default=False,
    ),
]
Tails = Annotated[
    Literal["modes", "clip", "exact"] | None,
    option(
        "--tails",
        "Far values: with modes of their own (clipped with --effort research), clipped, or kept exactly.",
        show_default=False,
    ),
]
TokenFile = Annotated[
    Path | None,
    option("--token-file", "File with the token that clients must show; or GPUVGM_TOKEN.", show_default=False),
]
Concurrency = Annotated[
    int | None, option("--concurrency", "Requests under way; by default 8 a core.", LIMITS, min=1, show_default=False)
]
ClientTimeout = Annotated[
    float,
    option("--client-timeout", "Seconds for a request's head, and in which --min-rate is counted.", LIMITS, min=0.1),
]
MinRate = Annotated[int, option("--min-rate", "Bytes a second of a body at the least; 0 for any.", LIMITS, min=0)]

JSON = option("--json", "Print one JSON document.", OUTPUT)
QUIET = option("--quiet", "Print errors only.", OUTPUT)
DEBUG = option("--debug", "Print tracebacks and the log.", OUTPUT)
PROGRESS = option("--progress/--no-progress", "Bars, on a terminal only.", OUTPUT)
CONFIG = option("--config", "TOML file with options.", OUTPUT, is_eager=True, callback=_read_config, show_default=False)


LOG_FORMAT = option("--log-format", "Lines for people on stderr, or one JSON object a line.", OUTPUT)
RECORD = option(
    "--record", "Write a record of the run to this JSON file or URL.", OUTPUT, metavar="FILE", show_default=False
)
#: The options of every command: type and default.
COMMON: dict[str, tuple[Any, Any]] = {
    "json": (Annotated[bool, JSON], False),
    "quiet": (Annotated[bool, QUIET], False),
    "debug": (Annotated[bool, DEBUG], False),
    "progress": (Annotated[bool, PROGRESS], True),
    "log_format": (Annotated[Literal["text", "json"], LOG_FORMAT], "text"),
    "record": (Annotated[str | None, RECORD], None),
    "config": (Annotated[Path | None, CONFIG], None),
}
OPTIONS: dict[str, set[str]] = {}


def command(function: Callable[..., Outcome]) -> Callable[..., Outcome]:
    """Make a command of a function that takes a `Terminal` and its own options."""
    kind = inspect.Parameter.KEYWORD_ONLY
    common = [
        inspect.Parameter(name, kind, default=default, annotation=annotation)
        for name, (annotation, default) in COMMON.items()
    ]
    _, *own = inspect.signature(function, eval_str=True).parameters.values()

    @wraps(function)
    def run(**options: Any) -> None:
        from gpuvgm.cli.run import run_command

        common = {part: options.pop(part) for part in COMMON}
        raise typer.Exit(run_command(function, options, common, unknown_variables()))

    parameters = [*own, *common]  # arguments of the function are arguments of the command, its keywords are options
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {part.name: part.annotation for part in parameters}
    name = function.__name__
    OPTIONS[name] = {part.name for part in parameters if part.kind is part.KEYWORD_ONLY}
    app.command(name, cls=Command, epilog=EPILOG, context_settings={"auto_envvar_prefix": PREFIX})(run)
    return function


def _print_version(*, version: bool) -> None:
    if version:
        write(f"gpuvgm {gpuvgm.__version__}\n")
        raise typer.Exit(DONE)


VERSION = typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)


@app.callback()
def _root(*, version: Annotated[bool, VERSION] = False) -> None:
    """Options that stand before the command."""

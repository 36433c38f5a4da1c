"""Options of the command line: where their values come from, and those that all commands share."""

from __future__ import annotations

import difflib
import inspect
import os
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from functools import wraps
from keyword import iskeyword
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer
from typer.core import TyperGroup

import gpuvgm
from gpuvgm.cli.console import (
    DONE,
    WRONG_INPUT,
    CommandOutcome,
    Terminal,
    discard,
    report_error,
    write,
    write_error,
)
from gpuvgm.config import Compression, Effort, Flavor
from gpuvgm.errors import InputError

PREFIX = "GPUVGM"
OTHER_VARIABLES = {"GPUVGM_INSTRUCTION_SET", "GPUVGM_REQUIRE_NATIVE", "GPUVGM_TOKEN"}
CONFIG_FILE = "gpuvgm.config_file"
MACHINE, OUTPUT, LIMITS = "Machine", "Output and settings", "Limits"  # groups of options in the help
FIT, PRIVACY, VALUES = "Fit", "Privacy", "Values"
_NEEDS_FILE = 'For names that contain a comma, "=" or "{" use a file: --columns SPEC.toml'
EPILOG = (
    "Every option can also be set by an environment variable (--block-rows: GPUVGM_BLOCK_ROWS) or in a TOML file "
    "(--config). The command line overrides the environment, which overrides the file."
)


class Commands(TyperGroup):
    """The commands; wrong usage is reported on one line of stderr, like every other error."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> NoReturn:
        """Run the command that `args` name, and exit."""
        arguments = list(sys.argv[1:] if args is None else args) or ["--help"]
        extra["standalone_mode"] = False  # click would print wrong usage itself, and exit
        try:
            code = super().main(arguments, *rest, **extra)
        except SystemExit as stop:
            if not isinstance(stop.__context__, BrokenPipeError):
                raise
            discard(sys.stdout)  # the reader has seen enough
            code = DONE
        except OSError as problem:  # help or version have no room, or a file cannot be read
            discard(sys.stdout)
            place = problem.filename or "standard output"
            code = Terminal().fail(OSError(problem.errno, problem.strerror, place))
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
            if "--json" in arguments:
                write_error(message, WRONG_INPUT, "UsageError")
            code = WRONG_INPUT
        sys.exit(code if isinstance(code, int) else DONE)


def origin(problem: Any) -> str:
    """Describe where a wrong value came from, if not from the command line."""
    context, parameter = getattr(problem, "ctx", None), getattr(problem, "param", None)
    if context is None or parameter is None or parameter.name == "config":
        return ""
    source = getattr(context.get_parameter_source(parameter.name), "name", "")
    if source == "ENVIRONMENT":
        variable = variable_of(parameter.name)
        return f" ({os.environ.get(variable)!r} in the environment variable {variable})"
    if source == "DEFAULT_MAP":
        return f" ({(context.default_map or {}).get(parameter.name)!r} in {context.meta.get(CONFIG_FILE)})"
    return ""


def unknown_variables() -> list[str]:
    """Messages about GPUVGM_* environment variables that nothing reads."""
    variables = {variable_of(name) for options in OPTIONS.values() for name in options} | OTHER_VARIABLES
    messages = []
    for name in sorted(name for name in os.environ if name.startswith(f"{PREFIX}_") and name not in variables):
        close = difflib.get_close_matches(name, sorted(variables), n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        messages.append(f"unknown environment variable {name}{hint}")
    return messages


app = typer.Typer(
    name="gpuvgm",
    cls=Commands,
    help="gpuvgm learns a table and makes a synthetic one, at any size.",
    epilog=EPILOG,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def option(name: str, text: str, group: str | None = None, **more: Any) -> Any:
    """An option; the epilog names its environment variable."""
    variable = variable_of(name.partition("/")[0].removeprefix("--"))
    return typer.Option(name, help=text, rich_help_panel=group, envvar=variable, show_envvar=False, **more)


def variable_of(option: str) -> str:
    """Environment variable of an option."""
    return f"{PREFIX}_{option.rstrip('_').upper().replace('-', '_')}"


def refuse(given: Mapping[str, bool], why: str) -> None:
    """Refuse the first of some options that is given."""
    option = next((name for name, is_given in given.items() if is_given), None)
    if option is not None:
        raise InputError(f"{option} {why}")


def parse_count(text: str) -> int:
    """Parse a whole number, which may be written 1e9 or 1_000_000."""
    try:
        value = Decimal(str(text))
    except InvalidOperation:
        value = Decimal("nan")
    if not value.is_finite() or not 0 <= value < 2**63 or value != int(value):
        raise typer.BadParameter(f"{text!r} is not a whole number of at least 0")
    return int(value)


def _read_config(context: typer.Context, path: Path | None) -> Path | None:
    """Read defaults from a TOML file, before other options are processed."""
    if path is not None and not context.resilient_parsing:
        try:
            context.meta[CONFIG_FILE] = path
            context.default_map = config_defaults(path, str(context.info_name))
        except InputError as problem:
            raise typer.BadParameter(str(problem)) from problem
    return path


def config_defaults(path: Path, command: str) -> dict[str, Any]:
    """Options of one command in a TOML file: keys at the top are for all commands, those of a table for one."""
    document = read_toml(path)
    tables = {name: document.pop(name) for name in OPTIONS if isinstance(document.get(name), dict)}
    _check_keys(path, "", document, set().union(*OPTIONS.values(), OPTIONS) - {"config"})
    for name, table in tables.items():
        _check_keys(path, f"[{name}] ", table, OPTIONS[name])
    # Later ones win: the table of the command overrides the top.
    values = [*document.items(), *tables.get(command, {}).items()]
    options = {key.replace("-", "_"): _as_given(path, key, value) for key, value in values}
    # The option --with is the parameter with_.
    return {f"{key}_" if iskeyword(key) else key: value for key, value in options.items() if key in OPTIONS[command]}


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file as a dict."""
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as problem:
        raise InputError(f"{path}: {problem.strerror}") from problem
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise InputError(f"{path}: not valid TOML ({problem})") from problem


def _check_keys(path: Path, table: str, keys: Any, keys_of_table: set[str]) -> None:
    for key in keys:
        if key.replace("-", "_") not in keys_of_table:
            close = difflib.get_close_matches(key.replace("-", "_"), sorted(keys_of_table), n=1)
            hint = f', did you mean "{close[0].replace("_", "-")}"?' if close else ""
            raise InputError(f'{path}: {table}unknown key "{key}"{hint}')


def _as_given(path: Path, key: str, value: Any) -> Any:
    """A value as the command line gives it: text, but true and false as booleans, and lists of options given again."""
    if isinstance(value, bool):
        return value
    if key in REPEATED and isinstance(value, (str, list)):
        return [value] if isinstance(value, str) else value
    if isinstance(value, list) and all(isinstance(part, str) and "," not in part for part in value):
        return ",".join(value)
    if isinstance(value, (str, int, float)):
        return str(value)
    raise InputError(f'{path}: key "{key}" holds a {type(value).__name__}; give text, a number, or true or false')


def parse_columns(text: str | None) -> list[str] | dict[str, Any] | None:
    """Parse columns: names, NAME=KIND pairs, or options as in TOML, with commas between; or a TOML file.

    The file has a list of names, or a table of kinds, called ``columns``.
    """
    if text is None:
        return None
    if text.endswith(".toml"):
        return _columns_of_file(text)
    if "{" in text:
        return _columns_of_toml(text)
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise InputError(f'--columns "{text}": a column name is empty; remove the extra comma')
    pairs = [part for part in parts if "=" in part]
    if not pairs:
        return parts
    if len(pairs) < len(parts):
        name = next(part for part in parts if part not in pairs)
        raise InputError(
            f'--columns "{text}": "{name}" has no kind; give names only (all other columns are left out), or NAME=KIND '
            f"for each (other kinds are inferred). {_NEEDS_FILE}"
        )
    return _kinds_by_name(text, pairs)


def _columns_of_toml(text: str) -> dict[str, Any]:
    """Parse columns and their options as a TOML inline table without its braces."""
    try:
        columns: dict[str, Any] = tomllib.loads(f"columns = {{{text}}}")["columns"]
    except tomllib.TOMLDecodeError as problem:
        raise InputError(
            f"--columns '{text}': not valid TOML ({problem}); write for example "
            f"--columns 'amount = {{modal = [0]}}, note = \"drop\"'. {_NEEDS_FILE}"
        ) from problem
    return columns


def _kinds_by_name(text: str, pairs: Sequence[str]) -> dict[str, Any]:
    from gpuvgm.columns import KIND_NAMES

    kinds: dict[str, Any] = {}
    for pair in pairs:
        name, kind = (side.strip() for side in pair.rsplit("=", 1))
        if not name or kind not in (*KIND_NAMES, "key"):
            wrong = (
                f'"{kind}" is not a kind; choose from {", ".join(KIND_NAMES)}'
                if name
                else f'"{pair}" has no column name'
            )
            raise InputError(f'--columns "{text}": {wrong}. {_NEEDS_FILE}')
        if name in kinds:
            raise InputError(f'--columns "{text}": "{name}" appears more than once; name each column once')
        kinds[name] = kind
    return kinds


def _columns_of_file(path: str) -> list[str] | dict[str, Any]:
    document = read_toml(Path(path))
    columns = document.pop("columns", None)
    if document or not isinstance(columns, (dict, list)):
        wrong = f'"{next(iter(document))}"' if document else "neither"
        raise InputError(f'{path}: expected a table [columns] or a list "columns", and nothing else; found {wrong}')
    return columns


def _parse_part_rows(text: str) -> int | str:
    return text if text == "file" else parse_count(text)


Source = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="Parquet, CSV or Arrow: a file, a glob, a folder or a URL.",
    ),
]
Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE...",
        help="Parquet, CSV or Arrow: a file, a glob, a folder or a URL; of tables that refer to each other one "
        "NAME=SOURCE for each.",
    ),
]
Out = Annotated[
    str,
    typer.Argument(
        metavar="OUT",
        help="Parquet or CSV file, or folder of Parquet files, to write: a path or a URL; - prints CSV.",
    ),
]
Delimiter = Annotated[
    str | None,
    option(
        "--delimiter",
        "Delimiter of CSV files, for example ';' or tab; by default found in the header.",
        metavar="CHARACTER",
    ),
]
Columns = Annotated[
    str | None,
    option(
        "--columns",
        "Columns to fit (NAME,...), or kinds (NAME=KIND,...), or options as in TOML (NAME = {modal = [0]}, ...), or "
        "SPEC.toml; by default all columns, with inferred kinds.",
    ),
]
FitEffort = Annotated[
    Effort,
    option(
        "--effort",
        "auto: search until the gain is small; best: search longer; research: 100 iterations from one start.",
        FIT,
    ),
]
FitSeed = Annotated[int, option("--seed", "Random seed of the fit, and of transform by default.", FIT, min=0)]
GeneratorName = Literal["counts", "ctgan", "tvae"]
Model = Annotated[str, option("--model", "Model: a folder, or a file or URL that ends in .gpuvgm.")]
GoOn = Annotated[bool, option("--resume", "Continue an interrupted run that writes a folder.")]
PartRows = Annotated[
    int,
    option(
        "--part-rows",
        "Rows per file, if OUT is a folder; file: a file for each input file.",
        parser=_parse_part_rows,
        metavar="ROWS|file",
    ),
]
Partitioned = Annotated[
    bool, option("--partitioned", "Write the folders key=value that the input lies in, if OUT is a folder.")
]
Compressed = Annotated[
    Compression | None,
    option("--compression", "Codec of Parquet files; by default the fastest for each column."),
]
RowGroupRows = Annotated[
    int | None,
    option(
        "--row-group-rows",
        "Rows per row group of Parquet files; by default 1048576, fewer in wide tables.",
        parser=parse_count,
        metavar="ROWS",
    ),
]
For = Annotated[
    Flavor | None,
    option("--for", "Write types that this program reads in Parquet files, in place of those that it refuses."),
]
Threads = Annotated[int | None, option("--threads", "Number of threads; by default one per core.", MACHINE, min=1)]
Scheduler = Annotated[
    str | None,
    option(
        "--scheduler",
        "Address of a Dask cluster to run on.",
        MACHINE,
        metavar="tcp://HOST:PORT",
    ),
]
Workers = Annotated[
    int | None,
    option("--workers", "Number of Dask workers to start on this machine.", MACHINE, min=1),
]
BlockRows = Annotated[
    int | None,
    option(
        "--block-rows",
        "Rows in memory at a time, per thread; 1048576 by default.",
        MACHINE,
        parser=parse_count,
        metavar="ROWS",
    ),
]
Memory = Annotated[
    str | None,
    option("--memory", "Memory limit, for example 1GiB or 512MB.", MACHINE, metavar="BYTES"),
]

#: The options of every command: type and default.
COMMON: dict[str, tuple[Any, Any]] = {
    "json": (Annotated[bool, option("--json", "Print one JSON document.", OUTPUT)], False),
    "quiet": (Annotated[bool, option("--quiet", "Print errors only.", OUTPUT)], False),
    "debug": (Annotated[bool, option("--debug", "Print tracebacks and the full log.", OUTPUT)], False),
    "progress": (
        Annotated[bool, option("--progress/--no-progress", "Show progress bars on a terminal.", OUTPUT)],
        True,
    ),
    "log_format": (
        Annotated[
            Literal["text", "json"],
            option("--log-format", "Log on stderr: text, or one JSON object per line.", OUTPUT),
        ],
        "text",
    ),
    "record": (
        Annotated[
            str | None,
            option(
                "--record",
                "Write a record of the run to this JSON file or URL.",
                OUTPUT,
                metavar="FILE",
            ),
        ],
        None,
    ),
    "config": (
        Annotated[
            Path | None,
            option("--config", "TOML file with options.", OUTPUT, is_eager=True, callback=_read_config),
        ],
        None,
    ),
}
OPTIONS: dict[str, set[str]] = {}
REPEATED = {"key"}  # options that are given several times


def command(function: Callable[..., CommandOutcome]) -> Callable[..., CommandOutcome]:
    """Make a command of a function that takes a `Terminal` and its options."""
    kind = inspect.Parameter.KEYWORD_ONLY
    common = [
        inspect.Parameter(name, kind, default=default, annotation=annotation)
        for name, (annotation, default) in COMMON.items()
    ]
    _, *function_parameters = inspect.signature(function, eval_str=True).parameters.values()

    @wraps(function)
    def run(**options: Any) -> None:
        from gpuvgm.cli.run import run_command

        common = {part: options.pop(part) for part in COMMON}
        raise typer.Exit(run_command(function, options, common, unknown_variables()))

    parameters = [*function_parameters, *common]
    # typer reads the signature and the annotations: arguments stay arguments, and keywords become options.
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {part.name: part.annotation for part in parameters}
    name = function.__name__
    OPTIONS[name] = {part.name.rstrip("_") for part in parameters if part.kind is part.KEYWORD_ONLY}  # --with is with_
    app.command(name, epilog=EPILOG)(run)
    return function


def _print_version(*, version: bool) -> None:
    if version:
        write(f"gpuvgm {gpuvgm.__version__}\n")
        raise typer.Exit(DONE)


VERSION = typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)


@app.callback()
def _root(*, version: Annotated[bool, VERSION] = False) -> None:
    """Options that stand before the command."""

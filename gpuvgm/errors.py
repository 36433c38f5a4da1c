"""The exceptions that gpuvgm raises, which the CLI maps to exit codes, and the pip commands that messages name."""

from __future__ import annotations

import difflib
import functools
import inspect
import json
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any, Generic, Self, TypeVar

RELEASED = False  # whether PyPI has gpuvgm; until then it is installed from a checkout, and docs/install.md says so
_REBUILD = "pip install --force-reinstall --no-deps --no-cache-dir"
_COMMANDS = {  # before the first release, and after it
    "upgrade": ("update the checkout of gpuvgm, and pip install . there", "pip install --upgrade gpuvgm"),
    "rebuild": (f"{_REBUILD} . in the checkout of gpuvgm", f"{_REBUILD} --no-binary gpuvgm gpuvgm"),
}


def pip_command(aim: str) -> str:
    """Return the command that changes this installation.

    Parameters
    ----------
    aim : str
        "upgrade", "rebuild" (with a native engine of its own), "cuda" (the extra for a GPU, which follows the driver),
        or the name of any other extra to add.
    """
    if aim in _COMMANDS:
        return _COMMANDS[aim][RELEASED]
    if aim == "cuda":
        return f'{pip_command("cu13")} (or "gpuvgm[cu12]" for a driver of CUDA 12)'
    return f'pip install "gpuvgm[{aim}]"'


T = TypeVar("T")


class InputError(ValueError):
    """Wrong input or wrong usage; the message names column, file and row where they exist (exit code 2)."""


class ColumnsFailed(InputError):
    """Some columns of a table could not be fitted; the others are kept, and `fit_failed(source)` goes on.

    Parameters
    ----------
    failed : dict of str to str
        Why, for each column that failed.
    fitted : int
        Number of columns that were fitted.
    """

    def __init__(self, failed: dict[str, str], fitted: int) -> None:
        self.failed, self.fitted = failed, fitted
        super().__init__(self.message("declare what failed otherwise, then call fit_failed with the same source"))

    def message(self, remedy: str) -> str:
        """Return the cause of the first failure, the names of the other columns that failed, and the remedy."""
        first, *other_causes = self.failed.values()
        other_failures = f"; {len(other_causes)} more failed: {listed(list(self.failed)[1:])}" if other_causes else ""
        outcome = f"{self.fitted} other {'column is' if self.fitted == 1 else 'columns are'} fitted"
        return f"{first}{other_failures} ({outcome}: {remedy})"

    def __reduce__(self) -> tuple[type[ColumnsFailed], tuple[dict[str, str], int]]:
        # Exceptions are pickled with the arguments of Exception.__init__, here the message alone.
        return type(self), (self.failed, self.fitted)


def naming(column: str, problem: Exception) -> Exception:
    """Return the problem, with a message that names the column."""
    if f'"{column}"' in str(problem):
        return problem
    text = str(problem) if isinstance(problem, InputError) else f"{type(problem).__name__}: {problem}"
    error = InputError(f'column "{column}": {text}')
    error.__cause__ = problem
    return error


class InferenceWarning(UserWarning):
    """Choices that a fit made for columns by itself, where they may not be intended."""


class InMemoryWarning(UserWarning):
    """The result of a lazy table is held in memory, because its library cannot compute it lazily."""


class UnseenWarning(UserWarning):
    """Values that a fit had not seen, and that may not come back as they are."""


_BETWEEN = {"gpuvgm", "sklearn", "joblib", "ctgan", "rdt", "sdv"}  # packages that lead from a user's line to a warning


_TOLD: set[tuple[str, ...]] = set()  # causes of warnings that this process has shown


def warn(message: str, category: type[Warning] = UserWarning, cause: Sequence[str] = ()) -> None:
    """Warn at the line of the user's code that led here, past pipelines and drop-ins.

    Parameters
    ----------
    message : str
        The warning.
    category : type
        Its category.
    cause : sequence of str
        What it is about, without the figures that differ from table to table. By Python's own filter a warning is shown
        once for each line and text; with a cause it is shown once in the process.
    """
    # A stacklevel of 1 is this function, 2 its caller.
    frame, level = sys._getframe(1), 2
    if issubclass(category, UnseenWarning) and _is_cross_validation(frame):
        return
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _BETWEEN:
        frame, level = frame.f_back, level + 1
    key = (category.__name__, *cause)
    if cause and key in _TOLD and _is_shown_once(message, category, frame.f_globals.get("__name__", "")):
        return
    warnings.warn(message, category, stacklevel=level)
    _TOLD.add(key)


def _is_shown_once(message: str, category: type[Warning], module: str) -> bool:
    """Return whether the first of Python's filters that takes a warning shows it once for each line."""
    for action, text, of_category, of_module, line in warnings.filters:
        if issubclass(category, of_category) and _takes(text, message) and _takes(of_module, module) and not line:
            return bool(action == "default")
    return True


def _takes(pattern: Any, text: str) -> bool:
    """Return whether a filter's pattern takes a text; those that Python begins with are plain strings, or None."""
    if pattern is None or isinstance(pattern, str):
        return pattern in (None, text)
    return bool(pattern.match(text))


def _is_cross_validation(frame: FrameType | None) -> bool:
    """Return whether scikit-learn's model selection led here, whose folds always have values that no fit has seen."""
    while frame is not None and not str(frame.f_globals.get("__name__")).startswith("sklearn.model_selection."):
        frame = frame.f_back
    return frame is not None


class EnvironmentProblem(RuntimeError):
    """The machine lacks something, such as an engine or space on the disk (exit code 3)."""


class ModelFileError(InputError):
    """A model file is damaged, truncated, tampered with, or newer than this library."""


class SourceChangedError(InputError):
    """A source was different when it was read again."""


LONGEST_NAME, LONGEST_LIST = 60, 300  # letters of a name, and of a list of them, in a message


def printable(text: str) -> str:
    """Return the text with escapes in place of characters that cannot be printed."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)


def counted(count: int, word: str) -> str:
    """Return a count with its noun: "1 row", "3 rows"."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def counted_values(count: int, problem: str) -> str:
    """Return a count with a problem of values: "1 value is missing" for "values are missing"."""
    if count != 1:
        return f"{count:,} {problem}"
    noun, _, predicate = problem.partition(" ")
    return f"1 {noun.removesuffix('s')} {f' {predicate}'.replace(' are ', ' is ', 1).strip()}"


def shortened(text: str, longest: int = LONGEST_NAME) -> str:
    """Return the text, cut to a number of characters."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def listed(names: Iterable[str], limit: int = 20) -> str:
    """Return names in quotes for a message: the first `limit`, or as many as have room, each cut where it is long."""
    names = list(names)
    labels = [f'"{shortened(printable(name))}"' for name in names[:limit]]
    while len(labels) > 1 and sum(map(len, labels)) > LONGEST_LIST:
        labels.pop()
    surplus = len(names) - len(labels)
    return ", ".join(labels) + (f" and {surplus} more" if surplus else "")


def declaration(names: Iterable[str], spec: str | Mapping[str, object], limit: int = 3) -> str:
    """Return the argument that declares the first `limit` columns, as it can be typed, in Python."""
    value = repr(spec).replace("'", '"') if isinstance(spec, Mapping) else f'"{spec}"'
    columns = [f"{json.dumps(name, ensure_ascii=False)}: {value}" for name in [*names][:limit]]
    return f"columns={{{', '.join(columns)}}}"


def suggestion(name: str, names: Sequence[str]) -> str:
    """Return names close to a wrong one, as the end of a message; empty where there are none."""
    close = difflib.get_close_matches(name, names, n=3)
    return f"; did you mean {listed(close)}?" if close else ""


_OTHERS_WORDS = {"num_rows": "n", "data": "source", "output_file_path": "out"}  # arguments of SDV's methods


class NamedParameters:
    """Base of classes that name the parameter which is meant where a call has one that there is not.

    Raises
    ------
    TypeError
        For an unknown parameter of the constructor or of a public method.
    """

    def __init_subclass__(cls, **settings: Any) -> None:
        super().__init_subclass__(**settings)
        for name, method in [*vars(cls).items()]:
            if inspect.isfunction(method) and not name.startswith("_"):
                setattr(cls, name, _naming_parameters(method))

    def __new__(cls, *_: object, **parameters: object) -> Self:
        """Check the names of the parameters; their values are the constructor's."""
        _check_parameters(cls.__name__, cls.__init__, parameters)
        return super().__new__(cls)


def _naming_parameters(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def checked(self: Any, *arguments: Any, **parameters: Any) -> Any:
        _check_parameters(f"{type(self).__name__}.{method.__name__}", method, parameters)
        return method(self, *arguments, **parameters)

    return checked


def _check_parameters(called: str, function: Callable[..., Any], parameters: Mapping[str, object]) -> None:
    names = inspect.signature(function).parameters if parameters else {}
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in names.values())
    unknown = [] if takes_any else [name for name in parameters if name not in names]
    if unknown:
        meant = _OTHERS_WORDS.get(unknown[0], "")
        hint = f'; it is called "{meant}" here' if meant in names else suggestion(unknown[0], [*names])
        raise TypeError(f"{called}() got an unexpected keyword argument {listed(unknown[:1])}{hint}")


def check_present(source: str, wanted: Iterable[str], names: Sequence[str]) -> None:
    """Refuse columns that a source does not have.

    Raises
    ------
    InputError
        Naming all of them, names that are close where one is missing, and the columns that there are.
    """
    column_names = set(names)
    missing = [name for name in wanted if name not in column_names]
    if len(missing) == 1:
        hint = suggestion(missing[0], names) or ";"
        raise InputError(f"{source}: no column {listed(missing)}{hint} columns: {listed(names)}")
    if missing:
        raise InputError(f"{source}: no columns {listed(missing)}; columns: {listed(names)}")


@dataclass(frozen=True, slots=True)
class Results(Generic[T]):
    """Results of the columns that succeeded, and errors of those that failed, by name."""

    good: dict[str, T]
    failed: dict[str, Exception]

    @classmethod
    def of(cls, results: Mapping[str, T | Exception]) -> Results[T]:
        """Separate results from errors."""
        return cls(
            {name: result for name, result in results.items() if not isinstance(result, Exception)},
            {name: result for name, result in results.items() if isinstance(result, Exception)},
        )

    def renew(self, columns: Mapping[str, T]) -> dict[str, T]:
        """All columns with the results of some of them, without those that failed."""
        return {name: self.good.get(name, column) for name, column in columns.items() if name not in self.failed}

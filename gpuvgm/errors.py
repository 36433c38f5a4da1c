"""The exceptions that gpuvgm raises, which the CLI maps to exit codes, and the pip commands that messages name."""

from __future__ import annotations

import difflib
import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

RELEASED = False  # whether PyPI has gpuvgm; until then it is installed from a checkout, and docs/install.md says so
UPGRADE = "pip install --upgrade gpuvgm" if RELEASED else "update the checkout of gpuvgm, and pip install . there"
REBUILD = "pip install --force-reinstall --no-deps --no-cache-dir " + (
    "--no-binary gpuvgm gpuvgm" if RELEASED else ". in the checkout of gpuvgm"
)


def install_extra(name: str) -> str:
    """The command that adds an extra to the installation at hand, from wherever that came."""
    return f'pip install "gpuvgm[{name}]"'


INSTALL_CUDA = f'{install_extra("cu13")} (or "gpuvgm[cu12]" for a driver of CUDA 12)'


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
        """What failed, and what to do."""
        first, *others = self.failed.values()
        more = f"; {len(others)} more failed: {listed(list(self.failed)[1:])}" if others else ""
        kept = f"{self.fitted} other {'column is' if self.fitted == 1 else 'columns are'} fitted"
        return f"{first}{more} ({kept}: {remedy})"

    def __reduce__(self) -> tuple[type[ColumnsFailed], tuple[dict[str, str], int]]:
        return type(self), (self.failed, self.fitted)


def naming(column: str, problem: Exception) -> Exception:
    """The problem with a message that names the column."""
    if f'"{column}"' in str(problem):
        return problem
    text = str(problem) if isinstance(problem, InputError) else f"{type(problem).__name__}: {problem}"
    named = InputError(f'column "{column}": {text}')
    named.__cause__ = problem
    return named


class InferenceWarning(UserWarning):
    """What a fit chose for columns of its own accord, where it may not be what is wanted."""


class InMemoryWarning(UserWarning):
    """A lazy table whose result is held in memory, because its library does not give what was asked for lazily."""


_BETWEEN = {"gpuvgm", "sklearn", "joblib", "ctgan", "rdt", "sdv"}  # packages that lead from a user's line to a warning


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the user's line that led here, through whichever methods, pipelines or drop-ins."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals["__name__"].partition(".")[0] in _BETWEEN:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


class EnvironmentProblem(RuntimeError):
    """The machine lacks something: an engine is missing, a disk is full (exit code 3)."""


class ModelFileError(InputError):
    """A model file that is damaged, truncated, tampered with or newer than this library."""


class SourceChangedError(InputError):
    """A source that must be read twice was different the second time."""


LONGEST_NAME, LONGEST_LIST = 60, 300  # letters of a name, and of a list of them or a cause, in a message


def printable(text: str) -> str:
    """The text with escapes for what cannot be shown."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)


def counted(count: int, word: str) -> str:
    """So many of something: "1 row", "3 rows"."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def counted_values(count: int, problem: str) -> str:
    """So many values with a problem: "1 value is missing" of "values are missing"."""
    if count != 1:
        return f"{count:,} {problem}"
    noun, _, rest = problem.partition(" ")
    return f"1 {noun.removesuffix('s')} {f' {rest}'.replace(' are ', ' is ', 1).strip()}"


def shortened(text: str, longest: int = LONGEST_NAME) -> str:
    """The text, cut where it is long."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def listed(names: Iterable[str], limit: int = 20) -> str:
    """Names in quotes for a message: the first `limit` of them, or those that have room, each cut where it is long."""
    names = list(names)
    shown = [f'"{shortened(printable(name))}"' for name in names[:limit]]
    while len(shown) > 1 and sum(map(len, shown)) > LONGEST_LIST:
        shown.pop()
    left = len(names) - len(shown)
    return ", ".join(shown) + (f" and {left} more" if left else "")


def suggestion(name: str, names: Sequence[str]) -> str:
    """Names close to a wrong one, as the end of a message; may be empty."""
    close = difflib.get_close_matches(name, names, n=3)
    return f"; did you mean {listed(close)}?" if close else ""


def check_present(source: str, wanted: Iterable[str], names: Sequence[str]) -> None:
    """Refuse columns that a source does not have.

    Raises
    ------
    InputError
        Naming all of them, names that are close where one is missing, and the columns that there are.
    """
    known = set(names)
    missing = [name for name in wanted if name not in known]
    if len(missing) == 1:
        hint = suggestion(missing[0], names) or ";"
        raise InputError(f"{source}: no column {listed(missing)}{hint} columns: {listed(names)}")
    if missing:
        raise InputError(f"{source}: no columns {listed(missing)}; columns: {listed(names)}")


@dataclass(frozen=True, slots=True)
class Results(Generic[T]):
    """What came of the columns, by name: those that went well, and why the others failed."""

    good: dict[str, T]
    failed: dict[str, Exception]

    @classmethod
    def of(cls, results: Mapping[str, T | Exception]) -> Results[T]:
        """Results told apart."""
        return cls(
            {name: result for name, result in results.items() if not isinstance(result, Exception)},
            {name: result for name, result in results.items() if isinstance(result, Exception)},
        )

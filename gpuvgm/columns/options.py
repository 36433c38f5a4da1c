"""The options that a column may have: which kinds have them, and which values they take."""

from __future__ import annotations

import difflib
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from numbers import Integral, Real
from typing import Any

import numpy as np

from gpuvgm.errors import InputError, listed

Value = str | int | float | bool | None
Setting = Value | list[Value]

KINDS = ("continuous", "mixed", "categorical", "general", "drop", "pass")
INFER = "infer"
MIXTURE = ("continuous", "mixed")
NUMBERS = ("continuous", "mixed", "general")
#: A category has an index of 16 bits.
MOST_CATEGORIES = 65_535
MISSING = "missing"


@dataclass(frozen=True, slots=True)
class _Numbers:
    """Numbers from `least` (without it if `open`) to below `end`; if `optional` also None, in a file "none"."""

    text: str
    least: float = 0.0
    end: float = math.inf
    open: bool = False
    whole: bool = False
    optional: bool = False

    def take(self, value: object) -> Setting:
        if self.optional and (value is None or value == "none"):
            return None
        if isinstance(value, bool) or not isinstance(value, Integral if self.whole else Real):
            raise ValueError
        number = float(value)
        if not self.least <= number < self.end or (self.open and number == self.least):
            raise ValueError
        return int(number) if self.whole else number


@dataclass(frozen=True, slots=True)
class _Choices:
    """One of some values."""

    text: str
    values: tuple[Setting, ...]

    def take(self, value: object) -> Setting:
        if not any(type(value) is type(one) and value == one for one in self.values):
            raise ValueError
        return value  # type: ignore[return-value]


@dataclass(frozen=True, slots=True)
class _ModalValues:
    """Values of a number column; one may stand without a list. Empty: none, whatever is frequent."""

    text: str

    def take(self, value: object) -> Setting:
        alone = value is None or isinstance(value, (str, bytes)) or not isinstance(value, Iterable)
        return _distinct([self._one(item) for item in ([value] if alone else _listed(value))])

    def _one(self, item: object) -> Value:
        value = None if isinstance(item, str) and item == MISSING else plain(item)
        if isinstance(value, bool):
            raise ValueError(f"holds {item!r}: a modal value is a number, a date or a time")
        return value


@dataclass(frozen=True, slots=True)
class _Categories:
    """Categories of a categorical column, at least one."""

    text: str

    def take(self, value: object) -> Setting:
        values = [plain(item) for item in _listed(value)]
        if not values:
            raise ValueError("is empty: list the categories, or leave the option out to take those of the rows")
        if len(values) > MOST_CATEGORIES:
            raise ValueError(f"holds {len(values):,} values: a column has at most {MOST_CATEGORIES:,} categories")
        return _distinct(values)


@dataclass(frozen=True, slots=True)
class _Option:
    """One option: the kinds that have it, its values, and whether the whole table has it too."""

    kinds: tuple[str, ...]
    values: _Numbers | _Choices | _ModalValues | _Categories
    of_table: bool = True


_YES_OR_NO = _Choices("true or false", (True, False))
_OPTIONS: dict[str, _Option] = {
    "standardize": _Option(MIXTURE, _Choices('"auto", true or false', ("auto", True, False))),
    "tails": _Option(MIXTURE, _Choices('"clip" or "exact"', ("clip", "exact"))),
    "scale": _Option(MIXTURE, _Numbers("a positive number", open=True)),
    "precision": _Option(MIXTURE, _Choices('"float64" or "float32"', ("float64", "float32"))),
    "floor": _Option(MIXTURE, _Numbers('a number from 0 to below 1, or None ("none" in a file)', end=1, optional=True)),
    "n_components": _Option(MIXTURE, _Numbers("a whole number from 1 to 255", least=1, end=256, whole=True)),
    "weight_threshold": _Option(MIXTURE, _Numbers("a number from 0 to below 1", end=1)),
    "weight_concentration_prior": _Option(MIXTURE, _Numbers("a positive number", open=True)),
    "max_iter": _Option(MIXTURE, _Numbers("a whole number, at least 1", least=1, whole=True)),
    "tol": _Option(MIXTURE, _Numbers("a number, at least 0")),
    "tol_per_row": _Option(MIXTURE, _Numbers('a number, at least 0, or None ("none" in a file)', optional=True)),
    "effort": _Option(MIXTURE, _Choices('"best" or "research"', ("best", "research"))),
    "modal": _Option(MIXTURE, _ModalValues("a list of numbers, dates or times"), of_table=False),
    "inf": _Option(NUMBERS, _Choices('"error" or "missing"', ("error", "missing"))),
    "integer": _Option(NUMBERS, _YES_OR_NO, of_table=False),
    "log": _Option(NUMBERS, _YES_OR_NO, of_table=False),
    "clip": _Option(("general",), _YES_OR_NO, of_table=False),
    "categories": _Option(("categorical",), _Categories("a list of categories"), of_table=False),
    "unknown": _Option(("categorical",), _Choices('"error" or "ignore"', ("error", "ignore"))),
}


def check_settings(settings: Mapping[str, object]) -> None:
    """Check the settings of a whole table; those that are no options of a column are left alone.

    Raises
    ------
    InputError
        For an impossible value; the message names the setting.
    """
    for key, option in _OPTIONS.items():
        if option.of_table and key in settings:
            _taken("", key, settings[key])


def checked_option(name: str, key: object, value: object) -> Setting:
    """An option's value as it is kept: JSON-able, and of one type for each meaning.

    Parameters
    ----------
    name : str
        The column, for messages.
    key : object
        The option.
    value : object
        What the user gave.

    Raises
    ------
    InputError
        For an unknown option or an impossible value.
    """
    if not isinstance(key, str) or key not in _OPTIONS:
        hint = suggestion(str(key), list(_OPTIONS))
        raise InputError(f'column "{name}": option "{key}" is unknown{hint}; options: {", ".join(_OPTIONS)}')
    return _taken(f'column "{name}": ', key, value)


def kinds_with(options: Iterable[str]) -> tuple[str, ...]:
    """Kinds that have all of these options."""
    names = list(options)
    return tuple(kind for kind in KINDS if all(kind in _OPTIONS[name].kinds for name in names))


def fitting_kind(name: str, kind: str, options: Mapping[str, Setting]) -> str:
    """A declared kind, which must have all the options; modal values make a continuous column mixed.

    Raises
    ------
    InputError
        For an option of other kinds.
    """
    foreign = [option for option in options if kind not in _OPTIONS[option].kinds]
    if foreign:
        raise InputError(
            f'column "{name}": a "{kind}" column has no option "{foreign[0]}"; {holders(foreign[0])} have it'
        )
    return "mixed" if kind == "continuous" and options.get("modal") else kind


def narrowed_kind(name: str, options: Mapping[str, Setting]) -> tuple[str, str]:
    """Kind and reason where only options were given: the one kind that has them all, or still to be inferred.

    Raises
    ------
    InputError
        For options that no kind has together.
    """
    possible = kinds_with(options)
    if options.get("modal") and "mixed" in possible:
        return "mixed", 'option "modal"'
    if len(possible) > 1:
        return INFER, "to be inferred"
    first = min(options, key=lambda option: len(_OPTIONS[option].kinds))
    if possible:
        return possible[0], f'option "{first}"'
    other = next(option for option in options if not set(_OPTIONS[option].kinds) & set(_OPTIONS[first].kinds))
    raise InputError(
        f'column "{name}": no kind has both options "{first}" and "{other}": {holders(first)} have the '
        f"first, {holders(other)} the second"
    )


def holders(option: str) -> str:
    """The kinds that have an option, for messages: '"continuous" and "mixed" columns'."""
    kinds = _OPTIONS[option].kinds
    first = listed(kinds[:-1])
    return f'{first + " and " if first else ""}"{kinds[-1]}" columns'


def plain(value: object) -> Value:
    """One value as JSON can hold it: missing ones None, dates and times ISO text, decimals text with all digits.

    Raises
    ------
    ValueError
        For what is no value of a column, with the reason in words.
    """
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, (np.datetime64, np.timedelta64)):
        return _numpy_time(value)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (str, bool)):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        seconds = 86_400 * value.days + value.seconds
        return _duration(10**9 * seconds + 1_000 * value.microseconds + getattr(value, "nanoseconds", 0))
    if not isinstance(value, (Real, Decimal)):
        raise ValueError(f"holds {value!r}, a {type(value).__name__}: give numbers, text, dates or times")
    return _plain_number(value)


def _plain_number(value: Real | Decimal) -> Value:
    if math.isnan(value):
        return None
    if math.isinf(value):
        raise ValueError(f"holds {value}: infinities cannot be listed")
    if isinstance(value, Decimal):
        return f"{value:f}"
    return int(value) if isinstance(value, Integral) else float(value)


def _numpy_time(value: np.datetime64 | np.timedelta64) -> str | None:
    if np.isnat(value):
        return None
    if isinstance(value, np.datetime64):
        finer = {"Y": "D", "M": "D", "h": "m"}.get(np.datetime_data(value.dtype)[0])
        return str(value if finer is None else value.astype(f"datetime64[{finer}]"))
    return _duration(int(value.astype("timedelta64[ns]").astype(np.int64)))


def _duration(nanoseconds: int) -> str:
    """ISO 8601 text of a duration, in seconds: "PT86400S", "-PT0.5S"."""
    seconds, rest = divmod(abs(nanoseconds), 10**9)
    fraction = f".{rest:09}".rstrip("0") if rest else ""
    return f"{'-' if nanoseconds < 0 else ''}PT{seconds}{fraction}S"


def _taken(where: str, key: str, value: object) -> Setting:
    option = _OPTIONS[key]
    try:
        return option.values.take(value)
    except ValueError as problem:
        refusal = str(problem) or f"must be {option.values.text}, got {value!r}"
        raise InputError(f"{where}{key} {refusal}") from None


def _listed(value: object) -> list[Any]:
    """The items of a list, a tuple or an array."""
    if isinstance(value, (str, bytes, Mapping, Set)) or not isinstance(value, Iterable):
        raise ValueError
    return list(value)


def _distinct(values: list[Value]) -> list[Value]:
    """The values, refused where one stands there twice; 1, 1.0 and true are one value."""
    double = [value for value, count in Counter(values).items() if count > 1]
    if double:
        shown = "the missing value" if double[0] is None else repr(double[0])
        raise ValueError(f"holds {shown} more than once; list every value once")
    return values


def suggestion(name: str, names: Sequence[str]) -> str:
    """Names close to a wrong one, as the end of a message; may be empty."""
    close = difflib.get_close_matches(name, names, n=3)
    return f"; did you mean {listed(close)}?" if close else ""

"""The options that a column may have: which kinds have them, and which values they take."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Any, Literal

from gpuvgm.codecs import PARSES, Value, json_value
from gpuvgm.config import (
    Algorithm,
    Effort,
    Infinities,
    Layout,
    ModeChoice,
    ScalarType,
    Tails,
    UnknownCategories,
)
from gpuvgm.engines import ENGINES
from gpuvgm.errors import InputError, listed, suggestion
from gpuvgm.rules import Rule, choice, finite, whole

Setting = Value | list[Value]
Encoding = Literal["onehot", "interval"]
Regeneration = Literal["sequence", "missing"]

KIND_NAMES = ["continuous", "mixed", "categorical", "general", "id", "drop", "pass"]
INFER = "infer"
MIXTURE = ("continuous", "mixed")  # kinds that are fitted with a mixture, and have its options
NUMBERS = ("continuous", "mixed", "general")  # kinds whose values are numbers, or text in one form
#: Up to so many categories get a one-hot column each unless something else is asked for; beyond, each gets an interval.
MOST_ONEHOT = 256
#: Intervals for more categories than these would be too short for float32.
MOST_INTERVALS = 1 << 18
#: Categories that a column can count, whatever they are encoded as.
MOST_CATEGORIES = 1 << 22
MISSING = "missing"


@dataclass(frozen=True, slots=True)
class _Option:
    """One option: the kinds that have it, and its values."""

    kinds: tuple[str, ...]
    values: Rule


def _is_list(value: object) -> bool:
    """Return whether a value is a list, a tuple or an array."""
    return isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping, Set))


def _check_modal_values(value: Any) -> Setting:
    """Values of a number column; one may stand without a list. Empty: none, whatever is frequent."""
    return _distinct([_check_modal_value(item) for item in (value if _is_list(value) else [value])])


def _check_modal_value(item: object) -> Value:
    value = None if isinstance(item, str) and item == MISSING else json_value(item)
    if isinstance(value, bool):
        raise ValueError(f"holds {item!r}: a modal value is a number, a date or a time")
    return value


def _categories(value: Any) -> Setting:
    """Categories of a categorical column, at least one."""
    values = [json_value(item) for item in value]
    if not values:
        raise ValueError("is empty: list the categories, or leave the option out to take those of the rows")
    if len(values) > MOST_INTERVALS:
        raise ValueError(f"holds {len(values):,} values: at most {MOST_INTERVALS:,} categories can be listed")
    return _distinct(values)


def _texts(value: Any) -> Setting:
    """Texts, of which one may stand without a list."""
    texts = [value] if isinstance(value, str) else list(value)
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("holds something else than text: a number that means a missing value is a modal value")
    return _distinct(texts)


def _distinct(values: list[Value]) -> list[Value]:
    """The values, refused where one stands there twice; 1, 1.0 and true are one value."""
    double = [value for value, count in Counter(values).items() if count > 1]
    if double:
        text = "the missing value" if double[0] is None else repr(double[0])
        raise ValueError(f"holds {text} more than once; list every value once")
    return values


positive = finite.narrowed("a positive number", lambda value: value > 0)
not_negative = finite.narrowed("a number, at least 0", lambda value: value >= 0)
share = finite.narrowed("a number from 0 to below 1", lambda value: 0 <= value < 1)
_BOOLEAN = choice(Literal[True, False])
_OR_NONE = Rule('None ("none" in a file)', (choice("none") | None).allows, lambda value: None)
_OPTIONS: dict[str, _Option] = {
    "standardize": _Option(MIXTURE, choice(Literal["auto", True, False])),
    "tails": _Option(MIXTURE, choice(Tails)),
    "scale": _Option(MIXTURE, positive),
    "floor": _Option(MIXTURE, share | _OR_NONE),
    "n_components": _Option(MIXTURE, whole(1, 255)),
    "weight_threshold": _Option(MIXTURE, share),
    "weight_concentration_prior": _Option(MIXTURE, positive | _OR_NONE),
    "max_iter": _Option(MIXTURE, whole(1)),
    "tol": _Option(MIXTURE, not_negative),
    "tol_per_row": _Option(MIXTURE, not_negative | _OR_NONE),
    "effort": _Option(MIXTURE, choice(Effort)),
    "modal": _Option(
        MIXTURE,
        Rule(
            "a list of numbers, dates or times",
            lambda value: not isinstance(value, (Mapping, Set)),
            _check_modal_values,
        ),
    ),
    "inf": _Option(NUMBERS, choice(Infinities)),
    "parse": _Option(NUMBERS, choice(*PARSES)),
    "na_values": _Option(
        NUMBERS, Rule("a text or a list of texts", lambda value: isinstance(value, str) or _is_list(value), _texts)
    ),
    "integer": _Option(NUMBERS, _BOOLEAN),
    "log": _Option(NUMBERS, _BOOLEAN),
    "asinh": _Option(MIXTURE, positive | _OR_NONE),
    "clip": _Option(("general",), _BOOLEAN),
    "categories": _Option(("categorical",), Rule("a list of categories", _is_list, _categories)),
    "unknown": _Option(("categorical",), choice(UnknownCategories)),
    "max_categories": _Option(("categorical",), whole(1) | _OR_NONE),
    "encoding": _Option(("categorical",), choice(Encoding)),
    "keep": _Option(("categorical",), _BOOLEAN),
    "regenerate": _Option(("id",), choice(Regeneration)),
    "key": _Option(("id",), _BOOLEAN),
}
_OF_COLUMNS_TOO = """standardize scale floor n_components weight_threshold weight_concentration_prior max_iter tol
    tol_per_row effort inf unknown max_categories""".split()
#: What the settings of a whole table may be: those that its columns have too, and those that no column has.
SETTINGS = {name: _OPTIONS[name].values for name in _OF_COLUMNS_TOO} | {
    "tails": _OPTIONS["tails"].values | None,
    "layout": choice(Layout) | None,
    "mode": choice(ModeChoice),
    "dtype": choice(ScalarType),
    "seed": whole(0, 2**64 - 1) | None,
    "algorithm": choice(Algorithm),
    "engine": choice(*ENGINES),
    "block_rows": whole(1) | None,
    "threads": whole(1) | None,
}


def check_settings(settings: Mapping[str, object]) -> None:
    """Check the settings of a whole table; those that are checked where they are used are left alone.

    Raises
    ------
    InputError
        For an impossible value; the message names the setting.
    """
    for name in filter(SETTINGS.__contains__, settings):
        SETTINGS[name](settings[name], name)


def checked_option(name: str, key: object, value: object) -> Setting:
    """Check an option's value and return it in its stored form: JSON-able, of one type for each meaning.

    Parameters
    ----------
    name : str
        The column, for messages.
    key : object
        The option.
    value : object
        The value from the user.

    Raises
    ------
    InputError
        For an unknown option or an impossible value.
    """
    if not isinstance(key, str) or key not in _OPTIONS:
        names = ["kind", *_OPTIONS]
        hint = suggestion(str(key), names) or ";"
        raise InputError(f'column "{name}": option "{key}" is unknown{hint} options: {", ".join(names)}')
    setting: Setting = _OPTIONS[key].values(value, f'column "{name}": {key}')
    return setting


def kinds_with(options: Iterable[str]) -> tuple[str, ...]:
    """Kinds that have all of these options."""
    names = list(options)
    return tuple(kind for kind in KIND_NAMES if all(kind in _OPTIONS[name].kinds for name in names))


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
    conflicting = next(option for option in options if not set(_OPTIONS[option].kinds) & set(_OPTIONS[first].kinds))
    raise InputError(
        f'column "{name}": no kind has both options "{first}" and "{conflicting}": {holders(first)} have the '
        f"first, {holders(conflicting)} the second"
    )


def holders(option: str) -> str:
    """The kinds that have an option, for messages: '"continuous" and "mixed" columns'."""
    kinds = _OPTIONS[option].kinds
    first = listed(kinds[:-1])
    return f'{first + " and " if first else ""}"{kinds[-1]}" columns'


def toml_text(value: Setting) -> str:
    """A setting as TOML, which has no None: of a list it is the missing value, elsewhere no setting."""
    if isinstance(value, list):
        return f"[{', '.join(toml_text(MISSING if item is None else item) for item in value)}]"
    # TOML has JSON's texts and numbers, and escapes of one more character.
    return json.dumps("none" if value is None else value, ensure_ascii=False).replace("\x7f", "\\u007f")

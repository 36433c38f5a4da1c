"""Rules for values: settings of a table, options of columns and parts of documents."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from numbers import Integral, Real
from typing import Any, get_args

from gpuvgm.errors import InputError

MOST = 2**63 - 1
_SHOWN = 60


def _as_it_is(value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule for a value: its text, a test, and a conversion to the stored form.

    Tables map names to rules; ``rule(value, name)`` checks a value, ``one | other`` allows of both, ``one | None`` of
    None too.

    Parameters
    ----------
    text : str
        Allowed values, in words that go on after "must be".
    allows : callable
        Test of a value.
    convert : callable, optional
        Stored form of an allowed value; raises a ValueError for what is wrong in one of the right form.
    """

    text: str
    allows: Callable[[Any], bool]
    convert: Callable[[Any], Any] = _as_it_is

    def __call__(self, value: Any, name: str) -> Any:
        """Check a value and return its stored form.

        Raises
        ------
        InputError
            For a value that is not allowed; the message says what is.
        """
        if not self.allows(value):
            raise InputError(f"{name} must be {self.text}, got {shown(value)}")
        try:
            return self.convert(value)
        except ValueError as problem:
            raise InputError(f"{name} {problem}") from None

    def __or__(self, other: Rule | None) -> Rule:
        other = _NONE if other is None else other
        return Rule(
            f"{self.text}{',' if ' or ' in other.text else ' or'} {other.text}",
            lambda value: self.allows(value) or other.allows(value),
            lambda value: (self.convert if self.allows(value) else other.convert)(value),
        )


def shown(value: object) -> str:
    """A value in a message, cut short where it is long."""
    try:
        representation = repr(value)
    except (ValueError, RecursionError):  # integers of very many digits, deep lists
        representation = f"a {type(value).__name__}"
    return representation if len(representation) <= _SHOWN else f"{representation[: _SHOWN - 1]}…"


def numbers(text: str, least: float = 0.0, end: float = math.inf, *, above: bool = False) -> Rule:
    """Numbers from `least` (without it if `above`) to below `end`."""
    return Rule(text, lambda value: is_number(value) and least <= value < end and not (above and value == least), float)


@cache
def whole(least: int = 0, most: int = MOST) -> Rule:
    """Whole numbers from `least` to `most`."""
    text = f"a whole number, at least {least}" if most == MOST else f"a whole number from {least} to {most}"
    return Rule(text, lambda value: _is(value, int, Integral) and least <= value <= most, int)


def one_of(*values: str) -> Rule:
    """One of these texts."""
    *first_values, last_value = (f'"{value}"' for value in values)
    text = f"{', '.join(first_values)} or {last_value}" if first_values else last_value
    return Rule(text, lambda value: isinstance(value, str) and value in values)


@cache
def choice(literal: Any) -> Rule:
    """One of the texts of a Literal."""
    return one_of(*get_args(literal))


def is_number(value: Any) -> bool:
    """Return whether a value is a number, with infinities and NaN, but no integer that is too large."""
    return _is(value, float, Real) and not (isinstance(value, int) and abs(value) > MOST)


def _is(value: Any, usual: type, kind: type) -> bool:
    return isinstance(value, (usual, kind)) and not isinstance(value, bool)  # abstract classes take longer to ask


number = Rule("a number", is_number, float)
finite = numbers("a finite number", -math.inf, above=True)
positive = numbers("a positive number", above=True)
not_negative = numbers("a number, at least 0")
share = numbers("a number from 0 to below 1", end=1)
boolean = Rule("true or false", lambda value: isinstance(value, bool))
_NONE = Rule("None", lambda value: value is None)

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

    Tables map names to rules; ``rule(value, name)`` checks a value, ``rule | alternative`` allows what one of the
    two does, ``rule | None`` None too.

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

    def __or__(self, alternative: Rule | None) -> Rule:
        rule = _NONE if alternative is None else alternative
        return Rule(
            f"{self.text}{',' if ' or ' in rule.text else ' or'} {rule.text}",
            lambda value: self.allows(value) or rule.allows(value),
            lambda value: (self.convert if self.allows(value) else rule.convert)(value),
        )

    def narrowed(self, text: str, allows: Callable[[Any], bool]) -> Rule:
        """The rule for those of its values that pass a second test."""
        return Rule(text, lambda value: self.allows(value) and allows(value), self.convert)


def shown(value: object) -> str:
    """A value in a message, cut short where it is long."""
    try:
        representation = repr(value)
    except (ValueError, RecursionError):  # integers of very many digits, deep lists
        representation = f"a {type(value).__name__}"
    return representation if len(representation) <= _SHOWN else f"{representation[: _SHOWN - 1]}…"


@cache
def whole(least: int = 0, most: int = MOST) -> Rule:
    """Whole numbers from `least` to `most`."""
    text = f"a whole number, at least {least}" if most == MOST else f"a whole number from {least} to {most}"
    return Rule(text, lambda value: _is(value, int, Integral) and least <= value <= most, int)


@cache
def choice(*values: Any) -> Rule:
    """One of these texts and booleans; a Literal stands for all its values."""
    allowed = [part for value in values for part in get_args(value) or (value,)]
    *texts, last_text = (f'"{value}"' if isinstance(value, str) else str(value).lower() for value in allowed)
    text = f"{', '.join(texts)} or {last_text}" if texts else last_text
    return Rule(text, lambda value: isinstance(value, (str, bool)) and value in allowed)


def is_number(value: Any) -> bool:
    """Return whether a value is a number, with infinities and NaN, but no integer that is too large."""
    return _is(value, float, Real) and not (isinstance(value, int) and abs(value) > MOST)


def _is(value: Any, usual: type, kind: type) -> bool:
    return isinstance(value, (usual, kind)) and not isinstance(value, bool)  # abstract classes take longer to ask


number = Rule("a number", is_number, float)
finite = number.narrowed("a finite number", lambda value: -math.inf < value < math.inf)
_NONE = Rule("None", lambda value: value is None)

"""Checks of documents that are loaded: names, types, lengths and ranges of every part."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from gpuvgm.io.arrow import is_number_type, type_of

MOST = 2**63 - 1
MOST_TYPE = 100_000  # letters of the text of a type
_SHOWN = 60

Check = Callable[[Any, str], None]  # the value, and where it stands


def refuse(value: object, where: str, wanted: str) -> NoReturn:
    """Raise a ValueError that says what stands where, and what may."""
    try:
        shown = repr(value)
    except (ValueError, RecursionError):  # integers of very many digits, deep lists
        shown = f"a {type(value).__name__}"
    shown = shown if len(shown) <= _SHOWN else f"{shown[: _SHOWN - 1]}…"
    raise ValueError(f"{where} is {shown}, not {wanted}")


def text(value: Any, where: str) -> None:
    """Text that can be written as UTF-8."""
    if not isinstance(value, str):
        refuse(value, where, "a text")
    try:
        value.encode()
    except UnicodeEncodeError:
        refuse(value, where, "text that can be written as UTF-8")


def boolean(value: Any, where: str) -> None:
    """True or false."""
    if not isinstance(value, bool):
        refuse(value, where, "true or false")


def number(value: Any, where: str) -> None:
    """Any number that a float holds, infinities and NaN too."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or (isinstance(value, int) and abs(value) > MOST):
        refuse(value, where, "a number")


def anything(value: Any, where: str) -> None:
    """No check here: it is checked together with what stands beside it."""


def finite(value: Any, where: str) -> None:
    """A finite number that a float holds."""
    number(value, where)
    if not math.isfinite(value):
        refuse(value, where, "a finite number")


def positive(value: Any, where: str) -> None:
    """A finite number above 0."""
    finite(value, where)
    if value <= 0:
        refuse(value, where, "a number above 0")


def not_negative(value: Any, where: str) -> None:
    """A finite number of at least 0."""
    finite(value, where)
    if value < 0:
        refuse(value, where, "a number of at least 0")


def share(value: Any, where: str) -> None:
    """A number from 0 to below 1."""
    not_negative(value, where)
    if value >= 1:
        refuse(value, where, "a number below 1")


def whole(low: int = 0, high: int = MOST) -> Check:
    """A whole number between two others."""

    def check(value: Any, where: str) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            refuse(value, where, f"a whole number from {low} to {high}")

    return check


def one_of(*values: str) -> Check:
    """One of these texts."""

    def check(value: Any, where: str) -> None:
        if not isinstance(value, str) or value not in values:
            refuse(value, where, f"one of {', '.join(values)}")

    return check


def optional(check: Check) -> Check:
    """None, or what the check lets pass."""

    def check_or_none(value: Any, where: str) -> None:
        if value is not None:
            check(value, where)

    return check_or_none


def listed(check: Check) -> Check:
    """A list of what the check lets pass."""

    def check_all(value: Any, where: str) -> None:
        if not isinstance(value, list):
            refuse(value, where, "a list")
        for position, part in enumerate(value):
            check(part, f"{where}[{position}]")

    return check_all


def mapped(check: Check) -> Check:
    """An object of any names, each with what the check lets pass."""

    def check_all(value: Any, where: str) -> None:
        if not isinstance(value, dict):
            refuse(value, where, "an object")
        for name, part in value.items():
            text(name, f"a name in {where}")
            check(part, f"{where}: {name}")

    return check_all


@dataclass(frozen=True, slots=True)
class Record:
    """An object with these names and no others.

    Parameters
    ----------
    parts : mapping of str to Check
        What stands under each name.
    left_out : frozenset of str
        Names that older formats, or values that are the default, leave out.
    """

    parts: Mapping[str, Check]
    left_out: frozenset[str] = frozenset()

    def __call__(self, value: Any, where: str) -> None:
        """Check an object."""
        if not isinstance(value, dict):
            refuse(value, where, "an object")
        for name in value:
            if name not in self.parts:
                raise ValueError(f"{where} holds {name!r:.60}, which is not known")
        for name, check in self.parts.items():
            if name in value:
                check(value[name], f"{where}: {name}")
            elif name not in self.left_out:
                raise ValueError(f"{where} lacks {name}")


def arrow_type(value: Any, where: str) -> None:
    """The text of an Arrow type that a column may have."""
    text(value, where)
    if len(value) > MOST_TYPE:
        refuse(value, where, "an Arrow type")
    if "extension<" in value:  # of another library, such as pandas' intervals: told when its values are decoded
        return
    try:
        type_of(value)
    except RecursionError:
        refuse(value, where, "an Arrow type of moderate depth")


def number_type(value: Any, where: str) -> None:
    """The text of an Arrow type of numbers, decimals or datetimes."""
    arrow_type(value, where)
    if not is_number_type(type_of(value)):
        refuse(value, where, "an Arrow type of numbers")

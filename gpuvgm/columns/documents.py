"""Checks of documents that are loaded: names, types, lengths and ranges of every part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from gpuvgm.columns.rules import shown
from gpuvgm.io.arrow import is_number_type, is_text_type, type_of

MOST_TYPE = 100_000  # letters of the text of a type

Check = Callable[[Any, str], Any]  # the value, and where it stands


def refuse(value: object, where: str, wanted: str) -> NoReturn:
    """Raise a ValueError that says what stands where, and what may."""
    raise ValueError(f"{where} is {shown(value)}, not {wanted}")


def text(value: Any, where: str) -> None:
    """Text that can be written as UTF-8."""
    if not isinstance(value, str):
        refuse(value, where, "a text")
    try:
        value.encode()
    except UnicodeEncodeError:
        refuse(value, where, "text that can be written as UTF-8")


def anything(value: Any, where: str) -> None:
    """No check here: it is checked together with what stands beside it."""


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


def text_type(value: Any, where: str) -> None:
    """The text of an Arrow type of text."""
    arrow_type(value, where)
    if not is_text_type(type_of(value)):
        refuse(value, where, "an Arrow type of text")


def category(value: Any, where: str) -> None:
    """A category: text, a boolean, a number other than NaN, or None for missing values."""
    if isinstance(value, str):
        text(value, where)
    elif value is not None and not isinstance(value, bool):
        if not isinstance(value, (int, float)) or value != value or (isinstance(value, int) and abs(value) >= 2**64):
            refuse(value, where, "a category")

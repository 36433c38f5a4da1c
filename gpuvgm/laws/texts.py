"""Texts of laws as users write them, and how signs part them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np

from gpuvgm.laws.units import Span


def texts_of(wanted: str | Sequence[Any]) -> list[str]:
    """Texts of laws, without those that are objects; in a single text, semicolons stand between them."""
    parts = wanted.split(";") if isinstance(wanted, str) else wanted
    return [text.strip() for text in parts if isinstance(text, str)]


def splits(text: str, sign: str) -> Iterator[tuple[str, str]]:
    """Yield the two sides of a sign with blanks around it, for each place where the text has it.

    All places count, because names of columns may hold signs.
    """
    parts = text.split(f" {sign} ")
    for place in range(1, len(parts)):
        yield f" {sign} ".join(parts[:place]).strip(), f" {sign} ".join(parts[place:]).strip()


def equations(text: str, names: Collection[str]) -> Iterator[tuple[str, str, Span]]:
    """Yield the two sides of an equation, and the unit behind it, as in "end - start = stay in days".

    There is no unit where a column's name ends so.
    """
    with_unit = re.fullmatch(r"(.*) in (days|hours|minutes|seconds)", text)
    is_name = text.rpartition(" = ")[2].strip() in names
    equation, span = (text, "") if with_unit is None or is_name else with_unit.groups()
    unit: Any = span
    yield from ((left, right, unit) for left, right in splits(equation, "="))


def decimal_text(number: float) -> str:
    """A number as it is written, without an exponent."""
    return np.format_float_positional(number, trim="-")

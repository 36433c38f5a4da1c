"""Texts of laws as users write them, and how signs part them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np

from gpuvgm.laws.units import Span

LEAST_ALIKE = 0.75  # as difflib measures it, of a word and the name that it may have meant


SIGNS = r"<=|>=|->|<-|\*\*|[-+*/<>%^]|(?<!!)="
QUOTED = r'"(?:[^"]|"")+"'
BLANKS = "blanks"  # in the place of a pattern: signs get blanks around them, but for those in names
#: What people write otherwise, and how laws are written; each pair goes on from what those before have made.
REWRITINGS = (
    (r"[\"'`]", ""),
    ("==", "="),
    ("≤|=<", "<="),
    ("≥", ">="),
    ("→|=>", "->"),
    ("×", "*"),
    (r" *(?:\*\*|\^) *", "^"),
    (BLANKS, ""),
    (r" \^ ", "^"),
    (" x ", " * "),
    (" (determines|decides) ", " -> "),
    (r"\bstep\(", "steps("),
    (r"\bsum\((.*), (.*)\)", r"\1 + \2"),
    (r"^round\((.*)\) = ", r"\1 = "),
    (" < ", " <= "),
    (" > ", " >= "),
    (r"^(.*) >= (.*)$", r"\2 <= \1"),
    (r"^(.*) - (.*) = 0$", r"\1 = \2"),
)


def rewritings(text: str, names: Collection[str]) -> Iterator[str]:
    """Yield what a text may have meant that is no law of columns with these names, the nearest first."""
    for pattern, written in REWRITINGS:
        text = _with_blanks(text, names) if pattern == BLANKS else re.sub(pattern, written, text).strip()
        yield text
        yield _with_names(text, names)


def _with_blanks(text: str, names: Collection[str]) -> str:
    """A text with blanks around its signs, but for those in names."""
    known = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True)) or "(?!)"
    pattern = rf"(?<!\w)({known})(?!\w)|\s*({SIGNS})\s*"
    return re.sub(pattern, lambda match: match[1] or f" {match[2]} ", text).strip()


def _with_names(text: str, names: Collection[str]) -> str:
    """A text with the nearest names in place of what is no name."""
    by_letters, parts = {name.casefold(): name for name in names}, re.split(rf"( (?:{SIGNS}) |, |[()])", text)
    for place in range(0, len(parts), 2):
        word, is_function = parts[place].strip(), parts[place + 1 : place + 2] == ["("]
        close = get_close_matches(word.casefold(), by_letters, 1, LEAST_ALIKE)
        if close and word not in names and not is_function:
            parts[place] = by_letters[close[0]]
    return "".join(parts)


def texts_of(wanted: str | Sequence[Any]) -> list[str]:
    """Texts of laws, without those that are objects; in a single text, semicolons stand between them, but in quotes."""
    if isinstance(wanted, str):
        return [text for part in re.findall(rf"(?:{QUOTED}|[^;])+", wanted) if (text := part.strip())]
    return [text.strip() for text in wanted if isinstance(text, str)]


def without_quotes(text: str, names: Collection[str]) -> tuple[str, dict[str, str]]:
    """A text with marks in place of names of columns in quotes, and the name of each mark.

    What is in quotes is no sign of a law, whatever it holds, as in "net -> gross" -> steps("amount").
    """
    marks: dict[str, str] = {}

    def mark(match: re.Match[str]) -> str:
        name = unquoted(match[0])
        if name not in names:
            return match[0]
        of_name = f"\0{len(marks)}\0"
        marks[of_name] = name
        return of_name

    return re.sub(QUOTED, mark, text), marks


def unquoted(name: str) -> str:
    """The name of a column that may be in quotes, within which a quote is written twice."""
    return name[1:-1].replace('""', '"') if re.fullmatch(QUOTED, name) else name


def quoted(name: str) -> str:
    """The name of a column in quotes."""
    return '"' + name.replace('"', '""') + '"'


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

"""Conditions of `gpuvgm sample --where`, as `sample` of a synthesizer takes them.

    conditions = condition, {"and", condition};
    condition  = column, ("=" | ">=" | "<="), value
               | column, "in", "(", value, {",", value}, ")"
               | column, "is", "missing";

A column or a value that holds a space, a comma, a bracket or one of = < > ! is written in quotes, single or double;
within them a quote is written twice. Every value is text, which its column reads in its own type.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from gpuvgm.errors import InputError

_TOKEN = re.compile(
    r"""\s*(?:(?P<quoted>'(?:[^']|'')*'|"(?:[^"]|"")*")|(?P<sign>[<>=!]=?|[(),])|(?P<word>[^\s'"(),<>=!]+))"""
)
_COMPARISON, _LIST = re.compile(r"\?(=|==|>=|<=)\?"), re.compile(r"\?in\(\?(,\?)*\)")  # "?" for a name or a value
_EXAMPLE = "write, for example, \"age >= 30 and city in (Rome, 'New York') and rate is missing\""


class _Token(NamedTuple):
    """A name, a value, a keyword or a sign."""

    sort: str
    text: str

    @property
    def keyword(self) -> str:
        """What a word says, in small letters; a quoted one is none."""
        return "" if self.sort == "quoted" else self.text.lower()


def parse_where(text: str | None) -> dict[str, Any]:
    """Conditions by column: a list of values, or a range (low, high) with None for no end.

    Raises
    ------
    InputError
        Naming the condition that cannot be read.
    """
    found: dict[str, Any] = {}
    for tokens in [] if text is None else _conditions(text):
        name, condition = _condition(tokens)
        found[name] = _one_range(name, found[name], condition) if name in found else condition
    return found


def _one_range(name: str, one: Any, other: Any) -> Any:
    """A range of two conditions, of which each gives another end."""
    if isinstance(one, tuple) and isinstance(other, tuple):
        ends = [[end for end in both if end is not None] for both in zip(one, other, strict=True)]
        if all(len(both) < 2 for both in ends):
            return tuple(both[0] if both else None for both in ends)
    raise InputError(f'--where: column "{name}" has two conditions; join them to one range or one list')


def _conditions(text: str) -> Iterator[list[_Token]]:
    """Tokens of each condition."""
    tokens: list[_Token] = []
    for token in [*_tokens(text), _Token("word", "and")]:
        if token.keyword != "and":
            tokens.append(token)
        elif tokens:
            yield tokens
            tokens = []
        else:
            raise InputError(f'--where "{text}": a condition is empty; {_EXAMPLE}')


def _tokens(text: str) -> Iterator[_Token]:
    place = 0
    while text[place:].strip():
        found = _TOKEN.match(text, place)
        if found is None:
            raise InputError(f"--where: a quote is not closed, from {text[place:].strip()} on")
        sort = str(found.lastgroup)
        said = found[sort]
        yield _Token(sort, said[1:-1].replace(said[0] * 2, said[0]) if sort == "quoted" else said)
        place = found.end()


def _condition(tokens: Sequence[_Token]) -> tuple[str, Any]:
    """Column and condition of the tokens of one condition."""
    verb = tokens[1].keyword if len(tokens) > 1 else ""
    shape = "".join(
        token.text if token.sort == "sign" else "in" if verb == "in" and place == 1 else "?"
        for place, token in enumerate(tokens)
    )
    name, *values = [token.text for token in tokens if token.sort != "sign"] or [""]
    if _COMPARISON.fullmatch(shape):
        ranges = {">=": (*values, None), "<=": (None, *values)}
        return name, ranges.get(verb, values)
    if _LIST.fullmatch(shape):
        return name, values[1:]
    if verb == "is" and shape == "???" and tokens[2].keyword == "missing":
        return name, [None]
    shown = " ".join(repr(token.text) if token.sort == "quoted" else token.text for token in tokens)
    if verb in ("<", ">"):
        raise InputError(f'--where: "{shown}": ranges include their ends; write {verb}= and the last value to be drawn')
    raise InputError(f'--where: "{shown}" is no condition; {_EXAMPLE}; put names and values of several words in quotes')

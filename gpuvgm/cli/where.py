"""Conditions of `gpuvgm sample --where`, as the `sample` method of a synthesizer takes them.

    conditions = condition, {"and", condition};
    condition  = column, ("=" | ">=" | "<="), value
               | column, "in", "(", value, {",", value}, ")"
               | column, "is", "missing";
    column     = name | "any", "(", name, ")";

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
        """The word in lower case; "" for a quoted one."""
        return "" if self.sort == "quoted" else self.text.lower()


def parse_where(text: str | None) -> dict[str, Any]:
    """Conditions by column: a list of values, or a range (low, high) with None for no end.

    Raises
    ------
    InputError
        Naming the condition that cannot be read.
    """
    conditions: dict[str, Any] = {}
    for tokens in [] if text is None else _conditions(text):
        name, condition = _parse_condition(tokens)
        conditions[name] = _join_ranges(name, conditions[name], condition) if name in conditions else condition
    return conditions


def _join_ranges(name: str, first: Any, second: Any) -> Any:
    """One range of two conditions, each of which gives one end."""
    if isinstance(first, tuple) and isinstance(second, tuple):
        ends = [[end for end in bounds if end is not None] for bounds in zip(first, second, strict=True)]
        if all(len(bounds) < 2 for bounds in ends):
            return tuple(bounds[0] if bounds else None for bounds in ends)
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
        match = _TOKEN.match(text, place)
        if match is None:
            raise InputError(f"--where: a quote is not closed, from {text[place:].strip()} on")
        sort = str(match.lastgroup)
        word = match[sort]
        yield _Token(sort, word[1:-1].replace(word[0] * 2, word[0]) if sort == "quoted" else word)
        place = match.end()


def _parse_condition(tokens: Sequence[_Token]) -> tuple[str, Any]:
    """Column and condition from the tokens of one condition."""
    if len(tokens) > 4 and tokens[0].keyword == "any" and [token.text for token in tokens[1:4:2]] == ["(", ")"]:
        tokens = [_Token("quoted", f"any({tokens[2].text})"), *tokens[4:]]
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
    text = " ".join(repr(token.text) if token.sort == "quoted" else token.text for token in tokens)
    if verb in ("<", ">"):
        raise InputError(f'--where: "{text}": ranges include their ends; write {verb}= and the last value to be drawn')
    raise InputError(f'--where: "{text}" is no condition; {_EXAMPLE}; put names and values of several words in quotes')

"""Laws that say what texts hold which are not modelled, as users write them: `date -> code(invoice)`."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

from gpuvgm.errors import InputError, suggestion
from gpuvgm.laws.texts import splits, texts_of, unquoted

EXAMPLE = "a -> code(b)"
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class CodeTexts:
    """Laws by which texts of a column hold dates, or codes of the categories, of another one.

    Parameters
    ----------
    is_searched : bool
        Whether such laws are found.
    declared : tuple of (str, str)
        Both columns of each law that is written, that of the texts last.
    forbidden : frozenset of (str, str)
        Both columns of laws that there shall not be.
    remaining : list
        What else a user asks for.
    """

    is_searched: bool
    declared: tuple[Pair, ...]
    forbidden: frozenset[Pair]
    remaining: list[Any]

    @classmethod
    def of(cls, wanted: str | Sequence[Any], modelled: Collection[str], others: Collection[str]) -> Self:
        """Of what a user asks for, what is about texts; given names of columns that are modelled, and of others.

        Raises
        ------
        InputError
            For a law of columns that there are not, or of which one has other values.
        """
        declared, forbidden, remaining = list[Pair](), set[Pair](), list[Any]()
        for law in wanted if not isinstance(wanted, str) else texts_of(wanted):
            text = law.strip() if isinstance(law, str) else ""
            pairs = [*pairs_in(text.removeprefix("not "))]
            known = (pair for pair in pairs if {*pair} <= {*modelled, *others})
            pair = next(known, pairs[0] if pairs else None)
            if pair is None or pair[1] in modelled or f"code({pair[1]})" in modelled:
                remaining.append(law)
                continue
            _check(*pair, modelled, others)
            if text.startswith("not "):
                forbidden.add(pair)
            else:
                declared.append(pair)
        return cls("auto" in texts_of(wanted), tuple(declared), frozenset(forbidden), remaining)


def _check(operand: str, target: str, modelled: Collection[str], others: Collection[str]) -> None:
    """Raise InputError for a law of columns that there are not, and where the first one is not modelled."""
    law = f'laws: "{operand} -> code({target})"'
    for name in (operand, target):
        if name not in modelled and name not in others:
            raise InputError(f'{law}: there is no column "{name}"{suggestion(name, [*modelled, *others])}')
    if operand not in modelled:
        raise InputError(f'{law}: "{operand}" is not modelled; give a column of dates or categories in its place')


def pairs_in(text: str) -> Iterator[Pair]:
    """Yield both columns of a law about texts, for each place where a text has the arrow."""
    for left, right in splits(text, "->"):
        if match := re.fullmatch(r"code\((.*)\)", right):
            yield unquoted(left), unquoted(match[1])

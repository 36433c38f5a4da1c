"""The table `LAWS` of all sorts of laws, and how texts and documents of laws are read."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from gpuvgm.errors import InputError
from gpuvgm.laws.clock import Clock
from gpuvgm.laws.days import Days
from gpuvgm.laws.expression import Expression
from gpuvgm.laws.function import Function
from gpuvgm.laws.law import Law
from gpuvgm.laws.line import Line
from gpuvgm.laws.lookup import Lookup
from gpuvgm.laws.order import Order
from gpuvgm.laws.pairs import PairLookup
from gpuvgm.laws.places import Places
from gpuvgm.laws.product import Decrease, Increase, Product, Quotient
from gpuvgm.laws.programmed import ProgrammedLaw
from gpuvgm.laws.steps import Steps
from gpuvgm.laws.sums import Difference, Equality, Sum
from gpuvgm.laws.texts import rewritings
from gpuvgm.laws.whole import Whole
from gpuvgm.records import read_as

#: The sorts of laws, in the order in which messages name them. Each is searched in its `turn`: what it finds no later
#: sort computes.
LAWS: tuple[type[Law], ...] = (
    Sum,
    Difference,
    Places,
    Whole,
    Days,
    Clock,
    Product,
    Quotient,
    Increase,
    Decrease,
    Line,
    Function,
    Equality,
    Expression,
    ProgrammedLaw,
    PairLookup,
    Order,
    Lookup,
    Steps,
)

#: Signs that tell what a text that is no law comes near to, the most telling first.
SIGNS_IN_TURN = ("->", "<=", "(", "^", " * ", " / ", " + ", " - ")


def law_of_text(text: str, names: Collection[str]) -> Law:
    """The law of columns with these names that a user wrote.

    Raises
    ------
    InputError
        For a text that is no law of them.
    """
    laws = _laws_of_either(text, names)
    if not laws:
        nearest = next(filter(None, (_laws_of_either(one, names) for one in rewritings(text, names))), [])
        advice = f'did you mean "{nearest[0]}"?' if nearest else _advice(text, names)
        raise InputError(f"laws: {text!r} is no law of the modelled columns {', '.join(names)}; {advice}")
    return min(laws, key=lambda law: len(law.operands))  # a column may be called a + b


def _laws_of_either(text: str, names: Collection[str]) -> list[Law]:
    """All laws that a text may mean; what is computed may be written on either side."""
    left, sign, right = text.partition(" = ")
    texts = (text, f"{right} = {left}") if sign else (text,)
    return next(filter(None, ([*_laws_of(written, names)] for written in texts)), [])


def _advice(text: str, names: Collection[str]) -> str:
    """How laws are written: those with the signs of a text, or with the first one of them; else all."""
    *_, plain = rewritings(text, names)
    examples = [example for sort in LAWS for example in sort.examples]
    signs = [sign for sign in SIGNS_IN_TURN if sign in plain]
    near = [example for example in examples if signs and all(sign in example for sign in signs)]
    near = near or [example for example in examples if signs and signs[0] in example] or examples
    written = ", ".join(f'"{example}"' for example in near)
    program = "what no text says, an object with holds(rows) does"
    if signs:
        return f"the nearest laws are written {written}; {program}"
    return f'{program}; laws are written {written} and "end - start = stay in days", with blanks around the signs'


def _laws_of(text: str, names: Collection[str]) -> Iterator[Law]:
    """Yield all laws of columns with these names that a text may mean."""
    return (law for sort in LAWS for law in sort.read(text, names) if {*law.names} <= {*names})


def law_of_document(document: Any) -> Law:
    """The law of a document, whose sign tells its sort."""
    if not isinstance(document, dict):
        raise ValueError(f"a law is {document!r:.60}, not an object")
    sign = document.get("sign")
    sort = next((sort for sort in LAWS if sort.sign == sign), None)
    if sort is None:
        *signs, last = (f'"{sort.sign}"' for sort in LAWS)
        raise ValueError(f"a law: sign must be {', '.join(signs)} or {last}, got {sign!r:.60}")
    return read_as(sort, document, "a law")

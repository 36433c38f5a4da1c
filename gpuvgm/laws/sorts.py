"""The table `LAWS` of all sorts of laws, and how texts and documents of laws are read."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any

from gpuvgm.errors import InputError, suggestion
from gpuvgm.laws.clock import Clock
from gpuvgm.laws.code_texts import EXAMPLE, pairs_in
from gpuvgm.laws.days import Days
from gpuvgm.laws.expression import Expression
from gpuvgm.laws.function import Function
from gpuvgm.laws.law import Law
from gpuvgm.laws.line import Line
from gpuvgm.laws.lookup import Lookup
from gpuvgm.laws.numeric import OR_ZERO
from gpuvgm.laws.order import Order
from gpuvgm.laws.pairs import PairLookup
from gpuvgm.laws.places import Places
from gpuvgm.laws.product import Decrease, Increase, Product, Quotient
from gpuvgm.laws.programmed import ProgrammedLaw
from gpuvgm.laws.steps import Steps
from gpuvgm.laws.sums import Difference, Equality, Sum
from gpuvgm.laws.texts import quoted, rewritings, without_quotes
from gpuvgm.laws.whole import Whole
from gpuvgm.laws.within import Within
from gpuvgm.records import read_as

#: The sorts of laws, in the order in which messages name them. Each is searched in its `turn`: what it finds no later
#: sort computes.
LAWS: tuple[type[Law], ...] = (
    Sum,
    Places,
    Whole,
    Days,
    Clock,
    Product,
    Quotient,
    Increase,
    Decrease,
    Line,
    Difference,
    Function,
    Equality,
    Expression,
    ProgrammedLaw,
    PairLookup,
    Order,
    Lookup,
    Steps,
    Within,
)

#: Signs that tell what a text that is no law comes near to, the most telling first.
SIGNS_IN_TURN = ("->", "<=", "(", "^", " * ", " / ", " + ", " - ")


def law_of_text(text: str, names: Collection[str], unmodelled: Collection[str] = ()) -> Law:
    """The law of columns with these names that a user wrote, given the names of others, which have no laws.

    Raises
    ------
    InputError
        For a text that is no law of them.
    """
    if not text:
        raise InputError("laws: an empty text is no law; leave it out")
    if laws := _laws_of_either(text, names):
        return laws[0]
    if modelled := [pair for pair in pairs_in(text) if pair[1] in names]:
        operand, target = modelled[0]
        raise InputError(
            f'laws: "{text}": "{target}" is modelled, so that samples have values of the table or numbers like these: '
            f'write "{operand} -> {target}", or declare columns={{"{target}": "id"}} for new texts'
        )
    if laws := _laws_of_either(text, [*names, *unmodelled]):
        name = next(name for name in laws[0].names if name not in names)
        raise InputError(
            f'laws: "{laws[0]}": column "{name}" is not modelled, so that samples have new values of it: declare its '
            'kind, such as "categorical", or leave the law out'
        )
    nearest = next(filter(None, (_laws_of_either(one, names) for one in rewritings(text, names))), [])
    advice = f'did you mean "{nearest[0]}"?' if nearest else f"{_unknown_in(text, names)}{_advice(text, names)}"
    raise InputError(f"laws: {text!r} is no law of the modelled columns {', '.join(names)}; {advice}")


def _unknown_in(text: str, names: Collection[str]) -> str:
    """What is said of a single word of a text that would be a law, if that were a column; else empty."""
    left, sign, right = text.partition(" = ")
    texts = (text, f"{right} = {left}") if sign else (text,)
    read = (law.names for one in texts for sort in LAWS for law in sort.read(one, names))
    lacking = [[name for name in of_law if name not in names] for of_law in read if {*of_law} & {*names}]
    words = [unknown[0] for unknown in lacking if len(unknown) == 1 and re.fullmatch(r"\w+( \w+)*", unknown[0])]
    word = min(words, key=len, default="")
    return f'there is no column "{word}"{suggestion(word, [*names])}; ' if word else ""


def is_law_of(text: str, names: Collection[str]) -> bool:
    """Whether a text is a law of columns with these names, whatever their kinds."""
    return bool(_laws_of_either(text, names)) or any({*pair} <= {*names} for pair in pairs_in(text))


def text_of(law: Law, names: Collection[str]) -> str:
    """A law of columns with these names as users write it, with names in quotes where it would be read as another."""
    if not law.names or [one.identity for one in _laws_of_either(law.text, names)][:1] == [law.identity]:
        return law.text
    return law.renamed(quoted).text


def _laws_of_either(text: str, names: Collection[str]) -> list[Law]:
    """All laws that a text may mean, those of few columns first; what is computed may be written on either side."""
    plain, marks = without_quotes(text, names)
    # What has quotes is read first as if nothing else were a name: "2.5" may be one, too.
    for one, known in ((text, names), (plain, marks), (plain, [*names, *marks])):
        left, sign, right = one.partition(" = ")
        for either in (one, f"{right} = {left}") if sign else (one,):
            if laws := [law.renamed(lambda name: marks.get(name, name)) for law in _laws_of(either, known)]:
                return sorted(laws, key=lambda law: len(law.operands))  # a column may be called a + b
    return []


def _advice(text: str, names: Collection[str]) -> str:
    """How laws are written: those with the signs of a text, or with the first one of them; else all."""
    *_, plain = rewritings(text, names)
    examples = [*(example for sort in LAWS for example in sort.examples), EXAMPLE]
    signs = [sign for sign in SIGNS_IN_TURN if sign in plain]
    near = [example for example in examples if signs and all(sign in example for sign in signs)]
    near = near or [example for example in examples if signs and signs[0] in example] or examples
    written = ", ".join(f'"{example}"' for example in near)
    if any(re.search(r"[^\w ]", name) and name in text for name in names):
        written += ", with names that hold signs in quotes"
    program = "what no text says, an object with holds(rows) does"
    if re.search(r"\bprevious\(|\bcount\(\)", text):
        program = f"previous() and count() are of rows that belong to keys: give sequence_key; {program}"
    if signs:
        return f"the nearest laws are written {written}; {program}"
    return f'{program}; laws are written {written} and "end - start = stay in days", with blanks around the signs'


def _laws_of(text: str, names: Collection[str]) -> Iterator[Law]:
    """Yield all laws of columns with these names that a text may mean."""
    laws = [law for sort in LAWS for law in sort.read(text, names) if {*law.names} <= {*names}]
    left, sign, right = text.partition(f"{OR_ZERO} = ")
    yield from laws
    if sign and not laws:
        yield from (replace(law, or_zero=True) for law in _laws_of(f"{left} = {right}", names) if law.has_zeros)


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

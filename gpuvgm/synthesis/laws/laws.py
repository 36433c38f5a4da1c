"""The table `LAWS` of all sorts of laws, and what concerns several laws at once."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from gpuvgm.errors import InputError, counted, listed
from gpuvgm.records import read_as
from gpuvgm.synthesis.laws.codes import Columns
from gpuvgm.synthesis.laws.days import Days
from gpuvgm.synthesis.laws.function import Function
from gpuvgm.synthesis.laws.law import Law
from gpuvgm.synthesis.laws.line import Line
from gpuvgm.synthesis.laws.lookup import Lookup
from gpuvgm.synthesis.laws.order import Order
from gpuvgm.synthesis.laws.pairs import PairLookup
from gpuvgm.synthesis.laws.product import Decrease, Increase, Product, Quotient
from gpuvgm.synthesis.laws.sums import Difference, Equality, Sum
from gpuvgm.synthesis.laws.whole import Whole

_LOG = logging.getLogger("gpuvgm")
#: The sorts of laws, in the order in which messages name them. Each is searched in its `turn`: what it finds no later
#: sort computes.
LAWS: tuple[type[Law], ...] = (
    Sum,
    Difference,
    Whole,
    Days,
    Product,
    Quotient,
    Increase,
    Decrease,
    Line,
    Function,
    Equality,
    PairLookup,
    Order,
    Lookup,
)


def law_of_text(text: str, names: Collection[str]) -> Law:
    """The law of columns with these names that a user wrote.

    Raises
    ------
    InputError
        For a text that is no law of them.
    """
    left, sign, right = text.partition(" = ")
    texts = (text, f"{right} = {left}") if sign else (text,)  # what is computed may be written on either side
    laws = next(filter(None, ([*_laws_of(written, names)] for written in texts)), [])
    if not laws:
        examples = ", ".join(f'"{example}"' for sort in LAWS for example in sort.examples)
        raise InputError(
            f"laws: {text!r} is no law of the modelled columns {', '.join(names)}; laws are written {examples} and "
            '"end - start = stay in days", with blanks around the signs'
        )
    return min(laws, key=lambda law: len(law.operands))  # a column may be called a + b


def _laws_of(text: str, names: Collection[str]) -> Iterator[Law]:
    """Yield all laws of columns with these names that a text may mean."""
    return (law for sort in LAWS for law in sort.read(text, names) if {*law.names} <= {*names})


def read_laws(documents: Iterable[Any], columns: Columns) -> tuple[Law, ...]:
    """Laws from the documents of a model's file.

    Raises
    ------
    ValueError
        Where a document is no law of the columns, or two laws do not go together.
    """
    laws = tuple(map(_law_of_document, documents))
    for law in laws:
        law.check(columns)
    if len(in_order(laws)) < sum(law.decides for law in laws):
        raise ValueError("two laws compute the same column")
    return laws


def _law_of_document(document: Any) -> Law:
    """The law of a document, whose sign tells its sort."""
    if not isinstance(document, dict):
        raise ValueError(f"a law is {document!r:.60}, not an object")
    sign = document.get("sign")
    sort = next((sort for sort in LAWS if sort.sign == sign), None)
    if sort is None:
        *signs, last = (f'"{sort.sign}"' for sort in LAWS)
        raise ValueError(f"a law: sign must be {', '.join(signs)} or {last}, got {sign!r:.60}")
    return read_as(sort, document, "a law")


def in_order(laws: Iterable[Law]) -> list[Law]:
    """Laws that compute, each after those that compute its operands.

    Raises
    ------
    ValueError
        Where columns are computed from each other.
    """
    remaining, ordered = {law.target: law for law in laws if law.decides}, list[Law]()
    while remaining:
        ready = [law for law in remaining.values() if not any(name in remaining for name in law.operands)]
        if not ready:
            raise ValueError(f"laws compute {listed([*remaining])} from each other")
        ordered += ready
        for law in ready:
            del remaining[law.target]
    return ordered


def made_of(laws: Iterable[Law]) -> dict[str, set[str]]:
    """Columns that values of others are made of by laws: what computes them, and what they change together with."""
    columns: dict[str, set[str]] = {}
    for law in laws:
        columns.setdefault(law.target, set()).update(law.operands)
        for operand in () if law.decides else law.operands:
            columns.setdefault(operand, set()).add(law.target)
    return columns


def sources(names: Iterable[str], computing: Mapping[str, Law]) -> Iterator[str]:
    """Yield columns, and those that they are computed from by laws, which are given by their targets."""
    for name in names:
        yield name
        if name in computing:
            yield from sources(computing[name].operands, computing)


def merged_laws(laws: Sequence[Law], counted_elsewhere: Sequence[Law]) -> tuple[Law, ...]:
    """Laws with the counts of two sets of rows; a warning names those that the second set is the first to break."""
    merged = tuple(map(Law.merge, laws, counted_elsewhere))
    tell_of_broken(laws, merged)
    return merged


def tell_of_broken(before: Sequence[Law], after: Sequence[Law]) -> list[Law]:
    """Laws that held before some rows were counted and do not hold after; a warning names each."""
    broken = [law for former, law in zip(before, after, strict=True) if former.holds and not law.holds]
    for law in broken:
        _LOG.warning('the law "%s" is broken by %s: samples do not keep it', law, counted(law.breaches, "row"))
    return broken


def columns_to_restrict(laws: Sequence[Law], names: Sequence[str]) -> tuple[str, ...]:
    """Columns whose values decide whether some columns meet conditions: these, or those that they are looked up by."""
    operands = {law.target: law.operands for law in laws if law.has_table}
    while any(name in operands for name in names):
        names = [operand for name in names for operand in operands.get(name, (name,))]
    return tuple(dict.fromkeys(names))


def laws_under(laws: Sequence[Law], names: Collection[str], columns: Columns) -> tuple[Law, ...]:
    """Laws in forms that compute none of some columns, where a form computes another column on steps as fine."""
    chosen = list(laws)
    for place, law in enumerate(laws):
        if law.target in names:
            remaining = [*chosen[:place], *chosen[place + 1 :]]
            forms = (form for form in law.forms if form.target not in names and _fits_beside(form, remaining, columns))
            if (form := next(forms, None)) is not None:
                # The law does not say which values of its new target are missing: so they are sampled.
                chosen[place] = replace(form, apart=form.apart + 1)
    return tuple(chosen)


def _fits_beside(law: Law, laws: Sequence[Law], columns: Columns) -> bool:
    """Whether a law computes a column that other laws neither compute nor need before nor put in order."""
    computing = {law.target: law for law in laws if law.decides}
    arranged = {name for law in laws if not law.decides for name in law.names}
    is_free = law.target not in {*computing, *arranged, *sources(law.operands, computing)}
    return is_free and law.is_on_steps(columns)

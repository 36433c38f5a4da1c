"""How the columns of the tables of keys and of rows are declared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gpuvgm.columns import FittedColumn, TableModel
from gpuvgm.synthesis.sequences.names import COUNT, HAS_KEY, PLACE, REMAINING, after, before, pace, since, span
from gpuvgm.synthesis.sequences.occurrences import NO, YES
from gpuvgm.synthesis.sequences.plan import SequencePlan


def kinds_of(names: Iterable[str], plan: SequencePlan, table: TableModel) -> dict[str, Any]:
    """Declarations of the columns of a table that is made.

    Parameters
    ----------
    names : iterable of str
        Its columns.
    plan : SequencePlan
        What it is made by.
    table : TableModel
        The fitted columns of the table that it is made of.
    """
    originals = {before(name): name for name in plan.remembered}
    originals |= {number.former: number.column for number in plan.running if not number.base}
    return {
        name: _kind(name, plan, table.by_name) or _like(originals.get(name, name), table, lacks_some=name in originals)
        for name in names
    }


def _kind(name: str, plan: SequencePlan, columns: Mapping[str, FittedColumn]) -> Any:
    """How a column is declared that has no counterpart in the table."""
    if name in (
        COUNT,
        PLACE,
        REMAINING,
        *plan.places,
        *map(after, plan.places),
        *(each.variety for each in plan.recencies),
    ):
        return {"kind": "continuous", "integer": True}
    usual = next((usual for usual in plan.usual if usual.name == name), None)
    if usual is not None:
        return {"kind": "categorical", "categories": usual.texts(columns[usual.column])}
    if name in (*(each.name for each in plan.occurrences), *(each.novelty for each in plan.recencies)):
        return {"kind": "categorical", "categories": [NO, YES]}
    recency = next((recency for recency in plan.recencies if recency.name == name), None)
    if recency is not None:
        return {"kind": "categorical", "categories": recency.texts}
    if name == HAS_KEY:
        return "categorical"
    return "continuous" if name in (span(plan.index), pace(plan.index), *map(since, plan.stepping)) else None


def _like(name: str, table: TableModel, *, lacks_some: bool) -> Any:
    """How a column is declared that has values of another one; an unmodelled one as that is."""
    column, spec = table.by_name.get(name), table.schema[name]
    return spec if column is None else column.declared_like(spec, lacks_some=lacks_some)

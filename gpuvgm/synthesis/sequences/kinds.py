"""How the columns of the tables of keys and of rows are declared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gpuvgm.columns import MISSING, CategoricalColumn, FittedColumn, NumericColumn
from gpuvgm.synthesis.sequences.names import COUNT, HAS_KEY, PLACE, REMAINING, before, since
from gpuvgm.synthesis.sequences.occurrences import NO, YES
from gpuvgm.synthesis.sequences.plan import SequencePlan


def kinds_of(
    names: Iterable[str], plan: SequencePlan, columns: Mapping[str, FittedColumn], schema: Any
) -> dict[str, Any]:
    """Declarations of the columns of a table that is made.

    Parameters
    ----------
    names : iterable of str
        Its columns.
    plan : SequencePlan
        What it is made by.
    columns : mapping of str to FittedColumn
        The fitted columns of the table that it is made of.
    schema : TableSchema
        Their kinds.
    """
    originals = {before(name): name for name in plan.asked}
    return {
        name: _kind(name, plan, columns)
        or _like(originals.get(name, name), columns, schema, lacks_some=name in originals)
        for name in names
    }


def _kind(name: str, plan: SequencePlan, columns: Mapping[str, FittedColumn]) -> Any:
    """How a column is declared that has no counterpart in the table."""
    if name in (COUNT, PLACE, REMAINING):
        return {"kind": "continuous", "integer": True}
    usual = next((usual for usual in plan.usual if usual.name == name), None)
    if usual is not None:
        return {"kind": "categorical", "categories": usual.texts(columns[usual.column])}
    if name in (occurrence.name for occurrence in plan.occurrences):
        return {"kind": "categorical", "categories": [NO, YES]}
    if name == HAS_KEY:
        return "categorical"
    return "continuous" if name in map(since, plan.stepping) else None


def _like(name: str, columns: Mapping[str, FittedColumn], schema: Any, *, lacks_some: bool) -> Any:
    """How a column is declared that has values of another one, of which any may be lacking, and rows may lack all."""
    column, spec = columns.get(name), schema[name]
    if isinstance(column, NumericColumn) and MISSING in column.modal_values:
        modal = [value for value in spec.options.get("modal", ()) if value is not None]
        return {**spec.options, "modal": [*modal, None]}  # rows lack values that a sample may all have
    if not isinstance(column, CategoricalColumn):
        return spec
    values = [None if category is MISSING else category for category in column.categories]
    return {"kind": "categorical", "categories": [*values, *([None] if lacks_some and None not in values else [])]}

"""What databases refuse before their tables are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gpuvgm.errors import InputError, suggestion
from gpuvgm.synthesis.databases.model import DatabaseModel
from gpuvgm.synthesis.databases.plan import DatabasePlan
from gpuvgm.synthesis.databases.references import Reference

Columns = Mapping[str, Sequence[str]]


def check_mapping(parameter: str, value: Any, example: str) -> None:
    """Refuse what is no dict."""
    if not isinstance(value, Mapping):
        raise InputError(f"{parameter}: give a dict, such as {example}, got a {type(value).__name__}")


def check_parameters(columns: Columns, given: Mapping[str, Any], references: Sequence[Reference]) -> None:
    """Refuse parameters for tables that are not there, and a database of which no table is drawn.

    Parameters
    ----------
    columns : mapping of str to sequence of str
        Columns of each table.
    given : mapping of str to mapping or sequence
        The parameters "columns", "sequence_index" and "keep", by table.
    references : sequence of Reference
        The references.
    """
    for parameter, tables in given.items():
        for table in tables:
            if table not in columns:
                raise InputError(f'{parameter}: there is no table "{table}"{suggestion(str(table), [*columns])}')
    if not columns:
        raise InputError("tables: there are none")
    if {*columns} <= {*given["keep"]}:
        raise InputError("keep: all tables are kept as they are: leave those out of which a sample is to be drawn")
    _check_indices(columns, given["sequence_index"], references)
    for table, declared in given["columns"].items():
        check_mapping(f'columns of "{table}"', declared, '{"amount": "continuous"}')
        for reference in references:
            _check_declared(table, {str(name): kind for name, kind in declared.items()}, reference, given["keep"])


def _check_indices(columns: Columns, indices: Mapping[str, Any], references: Sequence[Reference]) -> None:
    """Refuse columns of order that are not there, and those of tables that are in none."""
    for table, index in indices.items():
        if index is not None and not any(reference.child == table for reference in references):
            raise InputError(f'sequence_index: "{table}" refers to no table, so that its rows have no order')
        if index is not None and str(index) not in columns[table]:
            near = suggestion(str(index), columns[table])
            raise InputError(f'sequence_index: {table} has no column "{index}"{near}')


def _check_declared(table: str, declared: Mapping[str, Any], reference: Reference, kept: Sequence[str]) -> None:
    """Refuse kinds of columns whose values are those of keys."""
    if reference.parent in kept:
        dropped = [
            name for name in reference.columns if table == reference.child and is_declared(declared.get(name), "drop")
        ]
        if dropped:
            raise InputError(f'columns: "{dropped[0]}" of "{table}" is not to be dropped: {reference}')
        return
    if table == reference.child:
        for name in reference.columns:
            if not is_declared(declared.get(name, "id"), "id"):
                raise InputError(f'columns: "{name}" of "{table}" has keys of "{reference.parent}": leave its kind out')
    if table == reference.parent:
        for name in reference.key:
            is_lost = name in declared and is_declared(declared[name], "drop")
            if is_lost or (len(reference.key) == 1 and not is_declared(declared.get(name, "id"), "id")):
                raise InputError(
                    f'columns: "{name}" of "{table}" is a key, of which samples have new ones: {reference}'
                )


def conditions_by_table(conditions: Any, model: DatabaseModel) -> dict[str, dict[str, Any]]:
    """Conditions by table, of those on ``"customers.country"``.

    Raises
    ------
    InputError
        For tables that are not there, that refer to others, or are kept, and for columns that their children decide.
    """
    check_mapping("conditions", conditions, '{"customers.country": "AT"}')
    by_table = dict[str, dict[str, Any]]()
    for name, condition in conditions.items():
        table, _, column = str(name).partition(".")
        if table not in model.names:
            near = suggestion(table, model.names)
            raise InputError(f'conditions: there is no table "{table}"{near} for "{name}": write "customers.country"')
        if table in model.kept:
            raise InputError(f'conditions: "{table}" is kept as it is, so that samples have all of its rows')
        if table in model.plan.first:
            above = model.plan.first[table].parent
            raise InputError(
                f'conditions: rows of "{table}" are drawn for those of "{above}": give conditions on a table without '
                f"parents, which are {', '.join(part for part in model.parts if part not in model.plan.first)}"
            )
        if column in model.summed(table):
            raise InputError(f'conditions: "{column}" of "{table}" is computed of rows of its children, drawn later')
        by_table.setdefault(table, {})[column] = condition
    return by_table


def is_declared(declared: Any, kind: str) -> bool:
    """Whether a column is declared to be of a kind."""
    return bool((declared.get("kind") if isinstance(declared, Mapping) else declared) == kind)


def check_names_made(columns: Columns, plan: DatabasePlan) -> None:
    """Refuse columns that are called as those that are made beside them."""
    for table, names in columns.items():
        for name in _names_made(table, columns, plan):
            if name in names and table not in plan.kept:
                raise InputError(f'table "{table}": "{name}" is the name of a column that is made: rename it')


def _names_made(table: str, columns: Columns, plan: DatabasePlan) -> Iterator[str]:
    """Names of columns that may be made beside those of a table."""
    yield from plan.owners(table)
    for reference in (*plan.references, *plan.to_kept):
        if reference.parent == table:
            yield reference.count
        if reference.child == table:
            yield from (reference.number, reference.target, reference.place)
            yield from map(
                reference.beside, (*columns[reference.parent], *_names_made(reference.parent, columns, plan))
            )

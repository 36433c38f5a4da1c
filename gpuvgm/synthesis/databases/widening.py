"""What stands beside the rows of a table while they are learnt: columns of its parents, and numbers of its children."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from gpuvgm.io import is_datetime_type, is_number_type, plain_type
from gpuvgm.synthesis.databases.checks import is_declared
from gpuvgm.synthesis.databases.joins import ELSEWHERE, HERE, NOWHERE
from gpuvgm.synthesis.databases.model import TablePart
from gpuvgm.synthesis.databases.plan import DatabasePlan
from gpuvgm.synthesis.databases.references import Reference


@dataclass(frozen=True, slots=True)
class Widening:
    """Which columns a table is learnt with, given the models of the tables that come before it.

    Parameters
    ----------
    plan : DatabasePlan
        How the tables are drawn.
    table : str
        The table.
    own : tuple of str
        Its columns that refer to no table.
    columns : dict of str to object
        How columns are declared.
    beside : dict of Reference to list of str
        Columns of the rows that its rows refer to.
    targets : list of Reference
        Further references of which rows may lead nowhere.
    """

    plan: DatabasePlan
    table: str
    own: tuple[str, ...]
    columns: dict[str, Any]
    beside: dict[Reference, list[str]] = field(default_factory=dict)
    targets: list[Reference] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        table: str,
        plan: DatabasePlan,
        schemas: Mapping[str, pa.Schema],
        parts: Mapping[str, TablePart],
        declared: Mapping[str, Any],
        lacks_some: Callable[[Reference], bool],
    ) -> Widening:
        """The columns of a table.

        Parameters
        ----------
        table : str
            The table.
        plan : DatabasePlan
            How the tables are drawn.
        schemas : mapping of str to pyarrow.Schema
            Columns of the tables.
        parts : mapping of str to TablePart
            Models of the tables that come before.
        declared : mapping of str to object
            How the user declares columns.
        lacks_some : callable
            Whether a reference does not lead to a row everywhere.
        """
        referring = plan.referring(table)
        referring_to_any = referring.union(*(of.columns for of in plan.to_kept if of.child == table))
        # Metadata calls them identifiers, which they are not in their own table.
        columns = {
            str(column): kind
            for column, kind in declared.items()
            if column not in referring_to_any or not is_declared(kind, "id")
        }
        own = (*plan.own(table, schemas[table].names),)
        widening = cls(plan, table, own, columns)
        for reference in plan.counted(table):
            columns[reference.count] = {"kind": "continuous", "integer": True}
            if len(reference.key) == 1 and reference.key[0] not in referring:
                columns.setdefault(reference.key[0], "id")
        first = plan.first.get(table)
        for reference in (*([first] if first else []), *plan.seconds(table)):
            widening._put_beside(reference, parts[reference.parent], lacks_some=lacks_some(reference))
        for reference in plan.kept_beside(table):
            columns.setdefault(reference.name, "categorical")
            widening.beside[reference] = _amounts_in(schemas[reference.parent], reference.key)
        return widening

    def _put_beside(self, reference: Reference, part: TablePart, *, lacks_some: bool) -> None:
        """Put modelled columns of a parent beside the rows, and of the first one whose rows they are."""
        # A key of one column is another for each row; parts of one of several tell of the children.
        keys = reference.key if len(reference.key) == 1 else ()
        model, left_out = part.model.table, {*keys, reference.count}
        modelled = [column for column in model.columns if column.is_encoded and column.name not in left_out]
        self.beside[reference] = [column.name for column in modelled]
        for column in modelled:
            spec = model.schema[column.name]
            self.columns[reference.beside(column.name)] = column.declared_like(spec, lacks_some=lacks_some)
        if reference == self.first:
            self.columns.update(dict.fromkeys(map(reference.beside, self.owners), {"key": True}))
            return
        if str(reference) in self.plan.returning:
            self.columns[reference.recency.name] = {"kind": "categorical", "categories": reference.recency.texts}
        if lacks_some:
            self.targets.append(reference)
            self.columns[reference.target] = {"kind": "categorical", "categories": [HERE, ELSEWHERE, NOWHERE]}

    @property
    def first(self) -> Reference | None:
        """The reference to the first parent."""
        return self.plan.first.get(self.table)

    @property
    def owners(self) -> list[str]:
        """Columns of the first parent with the rows that its rows belong to."""
        return [] if self.first is None else self.plan.owners(self.first.parent)

    @property
    def given(self) -> tuple[str, ...]:
        """Columns that are not drawn: those of the first parent."""
        first = self.first
        return () if first is None else (*map(first.beside, (*self.beside[first], *self.owners)),)

    def drawn(self, names: Sequence[str]) -> list[str]:
        """Which of some columns are drawn."""
        not_drawn = {*self.given, "" if self.first is None else self.first.number}
        return [name for name in names if name not in not_drawn and not is_declared(self.columns.get(name), "drop")]


def _amounts_in(schema: pa.Schema, key: Sequence[str]) -> list[str]:
    """Columns of numbers and times that are no key."""
    types = zip(schema.names, map(plain_type, schema.types), strict=True)
    return [name for name, type_ in types if name not in key and (is_number_type(type_) or is_datetime_type(type_))]

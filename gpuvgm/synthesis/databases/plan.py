"""Which tables are kept, which reference of a table comes first, and what stands beside its rows."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from gpuvgm.errors import InputError
from gpuvgm.io import Source
from gpuvgm.summary import Ints
from gpuvgm.synthesis.databases.joins import Links
from gpuvgm.synthesis.databases.references import Reference, in_order
from gpuvgm.synthesis.databases.telling import SomeChildren, most_telling

MOST_THINGS, LEAST_CHILDREN = 255, 10  # rows of a table that may be one of things, and children of each on average


@dataclass(frozen=True, slots=True)
class DatabasePlan:
    """How the tables are drawn.

    Parameters
    ----------
    references : tuple of Reference
        Those to tables that are drawn.
    kept : tuple of str
        Tables that samples have as they are.
    to_kept : tuple of Reference
        References to these, whose columns are drawn as any others.
    first : mapping of str to Reference
        By table the reference whose parent's rows its rows belong to.
    same : mapping of str to Reference
        References, as text, to the row to which the first parent refers as well: that reference of the first parent.
    indices : mapping of str to str
        By table the column that orders the children of its first parent.
    returning : tuple of str
        Further references, as text, to rows that come back among the rows of one first parent.
    """

    references: tuple[Reference, ...]
    kept: tuple[str, ...]
    to_kept: tuple[Reference, ...]
    first: Mapping[str, Reference]
    same: Mapping[str, Reference]
    indices: Mapping[str, str] = field(default_factory=dict)
    returning: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        references: Sequence[Reference],
        tables: Mapping[str, Source],
        links: Mapping[Reference, Links],
        kept: Collection[str],
        indices: Mapping[str, Any],
    ) -> DatabasePlan:
        """The plan of some tables; see `most_telling` for which parent comes first.

        Without links no reference is known to be of one row with that of the first parent.
        """
        for reference in references:
            if reference.child in kept and reference.parent not in kept:
                raise InputError(
                    f'keep: "{reference.child}" refers to "{reference.parent}", whose keys are new in samples: keep '
                    "that one, too, or neither"
                )
        to_kept = tuple(reference for reference in references if reference.parent in kept)
        drawn = tuple(reference for reference in references if reference.parent not in kept)
        first, returning = dict[str, Reference](), list[str]()
        ordering = {table: str(index) for table, index in indices.items() if index is not None}
        for child in dict.fromkeys(reference.child for reference in drawn):
            of_child = [reference for reference in drawn if reference.child == child]
            if len(of_child) == 1:
                first[child] = of_child[0]
                continue
            referring = {name for of in references if of.child == child for name in of.columns}
            names = [name for name in tables[child].schema.names if name not in referring]
            index = ordering.get(child)
            columns = [name for of in of_child for name in of.columns]
            asked = [*dict.fromkeys((*names, *columns, *([index] if index else ())))]
            some = {of: SomeChildren.of(of, tables[child], tables[of.parent], asked) for of in of_child}
            first[child] = most_telling([*some.values()], names, index)
            further = (of for of in of_child if of != first[child])
            returning += [str(of) for of in further if some[first[child]].has_returning(of.columns)]
        plan = cls(drawn, tuple(kept), to_kept, first, {}, ordering, tuple(returning))
        plan = replace(
            plan, same={str(of): above for of, above in plan.maybe_same() if _are_same(of, above, plan, links)}
        )
        plan.check_shared()
        return plan

    def maybe_things(self, counts: Mapping[Reference, Ints]) -> dict[str, int]:
        """Rows of small tables that refer to none, to each row of which many refer, as many do to a product.

        Parameters
        ----------
        counts : mapping of Reference to ndarray of int64
            Numbers of children of each row.
        """
        of_parents = {reference.parent: counts[reference] for reference in self.references}
        return {
            table: len(children)
            for table, children in of_parents.items()
            if table not in self.first
            and len(children) <= MOST_THINGS
            and children.sum() >= LEAST_CHILDREN * len(children)
        }

    def maybe_same(self) -> Iterator[tuple[Reference, Reference]]:
        """Further references, each with one of the first parent to the same table."""
        for reference in self.references:
            of_parent = self.first[reference.child]
            for above in self.references:
                if (above.child, above.parent) == (of_parent.parent, reference.parent) and reference != of_parent:
                    yield reference, above

    def check_shared(self) -> None:
        """Refuse a column that two references take."""
        for table in self.first:
            seen = dict[str, Reference]()
            for reference in (reference for reference in self.references if reference.child == table):
                for name in reference.columns:
                    if name in seen and str(reference) not in self.same and str(seen[name]) not in self.same:
                        raise InputError(
                            f'keys: "{name}" of "{table}" is part of two references, {seen[name]} and {reference}: '
                            "leave one of them out, or keep the parent of one, if it names no persons"
                        )
                    seen[name] = reference

    def ordering(self, table: str) -> Reference | None:
        """The reference by whose keys rows are in order: to the first parent, or of the first child."""
        of_parent = (reference for reference in self.references if reference.parent == table)
        return self.first.get(table) or next(of_parent, None)

    def seconds(self, table: str) -> list[Reference]:
        """Further references of a table, whose parents are chosen when its rows are drawn."""
        further = (reference for reference in self.references if reference.child == table)
        return [
            reference for reference in further if reference != self.first[table] and str(reference) not in self.same
        ]

    def owners(self, table: str) -> list[str]:
        """Columns with the rows that those of a table belong to: of its first parent, of that one's, and so on."""
        first = self.first.get(table)
        return [] if first is None else [first.number, *map(first.beside, self.owners(first.parent))]

    def shared(self, table: str) -> tuple[str, ...]:
        """How columns begin of what many rows of a table share: further parents, its own or of its first parent."""
        first = self.first.get(table)
        above = () if first is None else map(first.beside, self.shared(first.parent))
        return (*(further.beside("") for further in (*self.seconds(table), *self.kept_beside(table))), *above)

    def kept_beside(self, table: str) -> list[Reference]:
        """References of one column to tables that are kept, whose numbers and times stand beside the rows.

        A column that refers to a table that is drawn, too, comes from there.
        """
        of_table = (reference for reference in self.to_kept if reference.child == table)
        return [of for of in of_table if len(of.columns) == 1 and of.name not in self.referring(table)]

    def counted(self, table: str) -> list[Reference]:
        """References to a table, whose children each of its rows counts."""
        return [
            reference for reference in self.references if reference.parent == table and str(reference) not in self.same
        ]

    def referring(self, table: str) -> frozenset[str]:
        """Columns of a table that refer to rows of others, and are not drawn."""
        mine = (reference for reference in self.references if reference.child == table)
        return frozenset(name for reference in mine for name in reference.columns)

    def own(self, table: str, names: Sequence[str]) -> list[str]:
        """Those columns of a table that refer to no rows."""
        referring = self.referring(table)
        return [name for name in names if name not in referring]

    def referring_to(self, table: str) -> Iterator[tuple[Reference, Reference | None]]:
        """References of a table, each with that of its first parent by which it is known, if it is."""
        for reference in self.references:
            if reference.child == table:
                yield reference, self.same.get(str(reference))

    def is_of_owner(self, key: Collection[str], table: str) -> bool:
        """Whether rows of a table that have the same key of several columns are of one row of its first parent."""
        first = self.first.get(table)
        return first is not None and {*first.columns} <= {*key}

    def keys_of_several(self, table: str) -> set[tuple[str, ...]]:
        """Keys of several columns that rows of other tables refer to."""
        return {reference.key for reference in self.references if reference.parent == table and len(reference.key) > 1}

    def in_order(self, tables: Mapping[str, object] | Sequence[str]) -> list[str]:
        """Tables that are drawn: parents before their children."""
        return [table for table in in_order(self.references, tables) if table not in self.kept]


def _are_same(reference: Reference, above: Reference, plan: DatabasePlan, links: Mapping[Reference, Links]) -> bool:
    """Whether rows refer to the row to which their first parent refers."""
    if reference not in links:
        return False
    of_parent = links[plan.first[reference.child]]
    here = of_parent.is_here
    through = links[above].rows[np.where(here, of_parent.rows, 0)]
    return len(through) > 0 and np.array_equal(links[reference].rows[here], through[here])

"""References between tables: columns of a child that have the key of a row of its parent."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from gpuvgm.errors import InputError, suggestion
from gpuvgm.synthesis.sequences import Recency

_SIDE = re.compile(r"([^.]+)\.(?:\(([^()]+)\)|([^()]+))")


@dataclass(frozen=True, slots=True)
class Reference:
    """Columns of a table that have the key of a row of another one.

    Parameters
    ----------
    child : str
        The table that refers.
    columns : tuple of str
        Its columns.
    parent : str
        The table that is referred to.
    key : tuple of str
        Columns of its key, as many.
    """

    child: str
    columns: tuple[str, ...]
    parent: str
    key: tuple[str, ...]

    def __str__(self) -> str:
        return f"{_side(self.child, self.columns)} -> {_side(self.parent, self.key)}"

    @property
    def name(self) -> str:
        """Name of the columns of the child."""
        return ", ".join(self.columns)

    @property
    def number(self) -> str:
        """Name of the column that has the number of the parent's row."""
        return f"row({self.name})"

    @property
    def recency(self) -> Recency:
        """Says which of the rows of the parent that rows before refer to comes back."""
        return Recency(self.name)

    @property
    def place(self) -> str:
        """Name of the column that has the place of a row among those of its parent."""
        return f"place({self.name})"

    @property
    def count(self) -> str:
        """Name of the column of the parent that has the number of its children."""
        return f"count({_side(self.child, self.columns)})"

    @property
    def target(self) -> str:
        """Name of the column that says whether a row refers to one that is there, to another, or to none."""
        return f"target({self.name})"

    def beside(self, column: str) -> str:
        """Name of a column of the parent beside the rows of the child."""
        return f"{self.name}.{column}"

    @classmethod
    def read(cls, keys: Mapping[str, str]) -> tuple[Reference, ...]:
        """References as users write them: ``{"orders.customer": "customers.id"}``, of several columns in brackets.

        Raises
        ------
        InputError
            For what is none.
        """
        read = []
        for child, parent in keys.items():
            sides = [_SIDE.fullmatch(str(side).strip()) for side in (child, parent)]
            parts = [None if side is None else (side[1], _columns(side[2] or side[3])) for side in sides]
            if parts[0] is None or parts[1] is None or len(parts[0][1]) != len(parts[1][1]):
                raise InputError(
                    f'keys: "{child}": "{parent}" is no reference; write "orders.customer": "customers.id", and of '
                    'several columns "flights.(origin, hour)": "weather.(origin, hour)"'
                )
            read.append(cls(*parts[0], *parts[1]))
        return tuple(sorted(read, key=str))  # whichever order they are given in


def _side(table: str, columns: Sequence[str]) -> str:
    """A side of a reference as users write it."""
    return f"{table}.{columns[0]}" if len(columns) == 1 else f"{table}.({', '.join(columns)})"


def _columns(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))


def check_references(references: Sequence[Reference], columns: Mapping[str, Sequence[str]]) -> None:
    """Refuse references between tables or columns that are not there, and circles.

    Parameters
    ----------
    references : sequence of Reference
        The references.
    columns : mapping of str to sequence of str
        Columns of each table.

    Raises
    ------
    InputError
        With the reference that cannot be.
    """
    for reference in references:
        for table, names in ((reference.child, reference.columns), (reference.parent, reference.key)):
            if table not in columns:
                raise InputError(f'keys: there is no table "{table}"{suggestion(table, [*columns])}, for {reference}')
            for name in names:
                if name not in columns[table]:
                    near = suggestion(name, columns[table])
                    raise InputError(f'keys: table "{table}" has no column "{name}"{near}, for {reference}')
        if reference.child == reference.parent:
            raise InputError(
                f"keys: {reference}: a table that refers to itself has no first row: leave this reference out, and "
                f'"{reference.name}" is drawn as any column'
            )
    in_order(references, columns)


def in_order(references: Sequence[Reference], tables: Mapping[str, object] | Sequence[str]) -> list[str]:
    """Tables in an order in which parents come before their children.

    Raises
    ------
    InputError
        For tables that refer to each other in a circle.
    """
    sorter = TopologicalSorter[str]({table: [] for table in tables})
    for reference in references:
        sorter.add(reference.child, reference.parent)
    try:
        return [*sorter.static_order()]
    except CycleError as problem:
        circle = " -> ".join(reversed(problem.args[1]))
        raise InputError(
            f"keys: the tables refer to each other in a circle, {circle}: leave one reference out"
        ) from None


def unnamed_references(references: Sequence[Reference], columns: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """References that names of columns suggest, and that are not declared: "customer_id" where there are customers.

    Parameters
    ----------
    references : sequence of Reference
        Those that are declared.
    columns : mapping of str to sequence of str
        Columns of each table.
    """
    referred = {(reference.child, name) for reference in references for name in reference.columns}
    keys = {reference.parent: reference.key for reference in references if len(reference.key) == 1}
    for child, names in columns.items():
        for parent, (key,) in keys.items():
            words = {f"{stem}{ending}" for stem in (parent, parent.removesuffix("s")) for ending in ("_id", "id", "")}
            words |= {key} if key.lower() not in ("id", "key", "code", "number", "name") else set()
            for name in names:
                if (
                    child != parent
                    and name.lower() in {word.lower() for word in words}
                    and (child, name) not in referred
                ):
                    yield f'"{child}.{name}": "{parent}.{key}"'

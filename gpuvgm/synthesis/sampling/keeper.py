"""What makes sampled rows keep laws: columns are computed or put in order, and conditions are passed to operands."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuvgm.columns import CategoricalColumn, FittedColumn
from gpuvgm.errors import InputError
from gpuvgm.laws import Laws
from gpuvgm.summary import Floats
from gpuvgm.synthesis.bins import Bins, Rows, restricted, restricted_to, restricted_without, row_finder
from gpuvgm.synthesis.counts import Dependence

Mask = NDArray[np.bool_]


@dataclass(frozen=True)  # no slots: laws are cached
class LawKeeper:
    """Makes sampled rows keep laws.

    Parameters
    ----------
    columns : mapping of str to FittedColumn
        The columns.
    laws : Laws
        The laws.
    origins : mapping of str to str
        The column from which each column of counted values is counted; see `origins_of`.
    """

    columns: Mapping[str, FittedColumn]
    laws: Laws
    origins: Mapping[str, str]

    @cached_property
    def changed(self) -> frozenset[str]:
        """Columns in which laws may change sampled values."""
        return self.computed.union(*(law.names for law in self.laws.arranging))

    @property
    def computed(self) -> frozenset[str]:
        """Columns whose values are computed."""
        return frozenset(self.laws.by_target)

    def in_turn(self, order: Sequence[str]) -> LawKeeper:
        """The same with those laws alone that can be kept when the turn of their target comes, in an order of columns.

        Then all columns that the target is made of are sampled and final. Instead of a computed column that comes later
        a sampled one will do if trees draw it nearly as it is computed.
        """
        place = {name: rank for rank, name in enumerate(order)}
        laws, late = self.laws.arranging, set[str]()
        for name, law in self.laws.by_target.items():
            with_law = Laws((*laws, law))
            sources = replace(self, laws=with_law).sources(name)
            if late.isdisjoint(sources) and all(place[source] < place[name] for source in sources):
                laws = with_law
            elif not law.is_learnt:
                late.add(name)
        return replace(self, laws=laws)

    def sources(self, name: str) -> set[str]:
        """Columns that the values of a column are made of in the end."""
        return Dependence(made_of=self.laws.made_of).counted_from(self.origins).sources(name)

    def is_circular(self, name: str) -> bool:
        """Whether a computed column is made of what is counted from it."""
        return name in self._circular

    @cached_property
    def _circular(self) -> frozenset[str]:
        """Columns that are; columns that are computed first and put in order then are not."""
        laws = Laws(law for law in self.laws if law.decides or not self.computed.issuperset(law.names))
        without_orders = replace(self, laws=laws)
        return frozenset(name for name in self.computed if name in without_orders.sources(name))

    def restricted(self, bins: Mapping[str, Bins], name: str, condition: Any) -> dict[str, Bins]:
        """Bins that leave a computed column values that may meet a condition; sampled rows are still to be tested.

        The condition restricts the column whose values the computed one is looked up by, or else the computed column.

        Raises
        ------
        InputError
            Where no value that may be drawn decides one that meets the condition.
        """
        root, target = self.root(name), self.columns[name]
        if root is None:
            return {name: restricted(target, bins[name], condition)}
        first, keys, codes = root
        if bins[first].since is not None:
            return {}
        known = np.flatnonzero(~np.isnan(codes))
        meets = row_finder(target, condition)(self.laws.by_target[name].values_of(self.columns, codes[known]))
        if bins[first].clock is None:
            of_first = restricted_without(self.columns[first], bins[first], keys[known[~meets]])
        else:
            of_first = restricted_to(self.columns[first], bins[first], keys[known[meets]])
        if not np.any(of_first.mass > 0):
            law = next(law for law in self.laws if law.target == name)
            raise InputError(f'conditions: column "{name}": no row meets {condition!r} and keeps the law "{law}"')
        return {first: of_first}

    def root(self, name: str) -> tuple[str, Floats, Floats] | None:
        """The column that a column is looked up by in the end, its codes, and those that they give the other.

        None for a column that is not looked up by one column: of two, either may have any value for a value of the
        target. Codes are NaN where the tables lack a value.
        """
        path = []
        while (law := self.laws.by_target.get(name)) is not None and law.has_table and len(law.operands) == 1:
            path.append(law)
            (name,) = law.operands
        if not path:
            return None
        column = self.columns[name]
        if isinstance(column, CategoricalColumn):
            keys = np.arange(len(column.categories), dtype=np.float64)
        else:
            keys = np.array(path[-1].keys)
        codes = keys
        for law in reversed(path):
            codes = law.looked_up(codes)
        return name, keys, codes

    def ordered(self, rows: Rows, names: Collection[str] | None = None) -> tuple[dict[str, Any], Mask | bool]:
        """Columns of orders, put in order, and which rows break an order still.

        With names, only these columns and those that they are in order with.
        """
        beside = None if names is None else set[str]().union(*map(self._in_order_with.sources, names))
        laws = [law for law in self.laws.arranging if beside is None or law.target in beside]
        arrays: dict[str, Any] = {}

        def current(name: str) -> Any:
            return arrays[name] if name in arrays else rows(name)

        unordered: Mask | bool = False
        for _ in (None, *laws):  # a value may move along all of them; the last round sees whether all hold
            unordered = False
            for law in laws:
                changed, broken = law.compute(self.columns, current, current)
                arrays |= changed
                unordered = unordered | broken
            if not np.any(unordered):
                break
        return arrays, unordered

    def breaking(self, rows: Rows) -> Mask | bool:
        """Which rows break an order of columns that are computed."""
        broken: Mask | bool = False
        for law in self.laws.testing:
            broken = broken | law.score(self.columns, rows).broken
        return broken

    @cached_property
    def _in_order_with(self) -> Dependence:
        return Dependence(made_of=self.laws.arranging.made_of)

    def values(self, name: str, rows: Rows, sampled: Rows) -> tuple[Any, Mask]:
        """Values of a computed column, and which of them lie beyond its range.

        Parameters
        ----------
        name : str
            The column.
        rows : callable
            Gives the values of what it is computed from.
        sampled : callable
            Gives its sampled values. It is called only where the law leaves some rows to them.
        """
        law = self.laws.by_target[name]
        ordered, _ = self.ordered(rows, law.operands)

        def operands(column: str) -> Any:
            return ordered[column] if column in ordered else rows(column)

        arrays, beyond = law.compute(self.columns, operands, sampled)
        return arrays[name], beyond

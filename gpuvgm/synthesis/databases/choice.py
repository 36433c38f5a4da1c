"""Which row of a further parent a row refers to: by lot, one that is like what was drawn beside the row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from gpuvgm.engines import philox_words
from gpuvgm.io import is_datetime_type, is_number_type, plain_values_of
from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.databases.joins import ELSEWHERE, HERE, numbers_of
from gpuvgm.synthesis.databases.references import Reference
from gpuvgm.synthesis.databases.telling import MOST_ROWS, groups_of, told_of

MOST_AGAIN, ATTEMPTS = 32, 4  # for rows to keep laws, and to have other parents than those of their owner; of one turn
UNLIKE = -1 << 31  # in place of a code
WIDER = (4, 16)  # such groups that are alike, where there are none in one
GROUPS = 32  # of numbers of about as many rows each, which are alike within one


def chosen_parents(
    reference: Reference,
    child: pa.Table,
    parent: pa.Table,
    seed: int,
    elsewhere: int,
    wrong: Callable[[Ints, Ints], Ints],
) -> Ints:
    """Number of the parent's row for each row of a child; -1 for none, from the parent's rows on for others.

    The row is drawn by how many children each has, of those that have what was drawn beside the child. Where there are
    none, what goes with no other column of the child is left out; then numbers need be near only, and nearer ones go
    before; at last columns are left out, those that go least with others first.

    Parameters
    ----------
    reference : Reference
        The reference.
    child, parent : pyarrow.Table
        The tables; the child has columns of the parent, by `Reference.beside`.
    seed : int
        The seed, of this reference alone.
    elsewhere : int
        How many rows the parent lacks.
    wrong : callable
        Which rows of the child are to have another one, of those that were chosen last, given the choice for all.
    """
    words, every = _words(child.num_rows, seed), np.arange(child.num_rows)
    weights = weights_of(reference, parent)
    names = [name for name in parent.schema.names if reference.beside(name) in child.schema.names]
    columns = {name: Likeness.of(parent.column(name), child.column(reference.beside(name))) for name in names}
    telling = [columns[name] for name in _most_telling_first(reference, child, names)]
    turns, here = _in_turn([*columns.values()], telling), np.ones(child.num_rows, np.bool_)
    if reference.target in child.schema.names:
        targets = np.asarray(child.column(reference.target).to_pylist(), object)
        here = targets == HERE
    rows = np.full(child.num_rows, -1)
    rows[here] = _each_as_often(turns, weights, every[here], words[0][here] / 2.0**32)
    again = np.flatnonzero(here)
    for attempt in range(1, MOST_AGAIN):
        again = wrong(again, rows)
        if not len(again):
            break
        shares = _words(child.num_rows, seed, attempt)[0][again] / 2.0**32
        # Of those that are alike none may do: from some attempts on they need be less so.
        wider = turns[min(attempt // ATTEMPTS, len(turns) - 1) :]
        rows[again] = _by_lot(wider, weights, again, shares)
    if not here.all():
        lost = targets == ELSEWHERE
        rows[lost] = parent.num_rows + (words[1][lost] % max(elsewhere, 1)).astype(np.int64)
    return rows


def weights_of(reference: Reference, parent: pa.Table) -> Floats:
    """How many children each row of a parent has."""
    weights: Floats = np.maximum(np.nan_to_num(numbers_of(parent.column(reference.count))), 0)
    return weights if weights.sum() else np.ones(len(weights))


def _words(rows: int, seed: int, attempt: int = 0) -> Any:
    """Random words for each row."""
    return philox_words(np.arange(rows, dtype=np.uint64), attempt, seed)


@dataclass(frozen=True, slots=True)
class Likeness:
    """A column of parents, and of the same parents as they were drawn beside their children.

    Parameters
    ----------
    parent, child : ndarray of int64
        Categories, or groups of numbers, of both tables.
    are_numbers : bool
        Whether neighbouring groups are alike.
    """

    parent: Ints
    child: Ints
    are_numbers: bool

    @classmethod
    def of(cls, parent: Any, child: Any) -> Likeness:
        """The codes of two columns."""
        both = [plain_values_of(column.combine_chunks()) for column in (parent, child)]
        if is_number_type(both[0].type) or is_datetime_type(both[0].type):
            numbers = [numbers_of(column) for column in both]
            known = np.sort(numbers[0][~np.isnan(numbers[0])])
            edges = np.unique(known[np.arange(1, GROUPS) * len(known) // GROUPS]) if len(known) else known
            of_parent, of_child = (
                np.where(np.isnan(of), GROUPS, np.searchsorted(edges, of, side="right")) for of in numbers
            )
            return cls(of_parent, of_child, are_numbers=True)
        indices: Any = pa.concat_arrays([both[0], both[1].cast(both[0].type)]).dictionary_encode().indices
        of_both = np.asarray(indices.fill_null(-1), np.int64) + 1
        return cls(of_both[: len(both[0])], of_both[len(both[0]) :], are_numbers=False)

    @property
    def size(self) -> int:
        """One more than the largest code."""
        return int(max(self.parent.max(initial=0), self.child.max(initial=0))) + 1

    def wider(self, times: int) -> Likeness:
        """The same with so many neighbouring groups as one."""
        return Likeness(self.parent // times, self.child // times, self.are_numbers)


def _most_telling_first(reference: Reference, child: pa.Table, names: Sequence[str]) -> list[str]:
    """Columns of the parent that go with others of the child, those that go most with them first."""
    lead = reference.beside("")
    others = [name for name in child.schema.names if not name.startswith(lead) and not name.startswith("row(")]
    rows = child.take(np.arange(0, child.num_rows, 1 + child.num_rows // MOST_ROWS))
    mixed = np.random.default_rng(0).permutation(rows.num_rows)
    codes = [groups_of(rows.column(name)) for name in others]

    def told(name: str) -> float:
        """Information on all other columns in nats."""
        groups = groups_of(rows.column(reference.beside(name)))
        return sum(told_of(groups, of, of[mixed]) for of in codes)

    nats = {name: told(name) for name in names}
    return sorted((name for name in names if nats[name] > 0), key=nats.__getitem__, reverse=True)


def _in_turn(columns: Sequence[Likeness], telling: Sequence[Likeness]) -> list[list[Likeness]]:
    """What is to be alike: first all columns, then those that go with others less and less, at last nothing."""
    wider = [[column.wider(times) if column.are_numbers else column for column in telling] for times in WIDER]
    return [[*columns], [*telling], *wider, *(wider[-1][:several] for several in range(len(telling) - 1, 0, -1)), []]


def _each_as_often(turns: Sequence[Sequence[Likeness]], weights: Floats, children: Ints, shares: Floats) -> Ints:
    """A parent for each of some children: one that is alike, of those that have not all of their children yet.

    Children beyond those wait for the next turn, in which less is alike, and in the last one take what is left.
    """
    rows, left = np.full(len(children), -1), weights * (len(children) / weights.sum())
    for alike in turns:
        waiting = np.flatnonzero(rows < 0)
        if not len(waiting):
            break
        cells = Cells.of(alike, left, children[waiting])
        codes, rank = cells.codes, np.empty(len(waiting))
        sizes = np.bincount(codes)
        rank[np.lexsort((shares[waiting], codes))] = np.arange(len(waiting))
        rank += 0.5 - (np.cumsum(sizes) - sizes)[codes]
        room = cells.weights[codes]
        is_enough = (sizes[codes] <= room) | (not alike)
        rows[waiting] = cells.parents_at(np.where(is_enough, rank / sizes[codes] * room, rank))
        left = np.maximum(left - np.bincount(rows[waiting][rows[waiting] >= 0], minlength=len(left)), 0)
    return rows


def _by_lot(turns: Sequence[Sequence[Likeness]], weights: Floats, children: Ints, shares: Floats) -> Ints:
    """A parent for each of some children: of those that are alike by lot, whatever others have."""
    rows = np.full(len(children), -1)
    for alike in turns:
        waiting = np.flatnonzero(rows < 0)
        cells = Cells.of(alike, weights, children[waiting])
        rows[waiting] = cells.parents_at(shares[waiting] * cells.weights[cells.codes])
    return rows


@dataclass(frozen=True, slots=True)
class Cells:
    """Parents in cells of those that are alike.

    Parameters
    ----------
    order : ndarray of shape (parents,), int64
        The parents, cell after cell.
    stops : ndarray of shape (parents,)
        Sums of their weights, in this order.
    starts : ndarray of shape (cells + 1,)
        Where each cell begins among these sums.
    children : ndarray of shape (children,), int64
        Cell of each child; -1 for none.
    """

    order: Ints
    stops: Floats
    starts: Floats
    children: Ints

    @classmethod
    def of(cls, alike: Sequence[Likeness], weights: Floats, children: Ints) -> Cells:
        """Cells of parents, and those of some children, by their numbers."""
        parents, of_children = _codes(alike, children) if alike else (np.zeros(len(weights), np.int64), 0 * children)
        order = np.argsort(parents, kind="stable")
        stops = np.cumsum(weights[order])
        places = np.searchsorted(parents[order], np.arange(parents.max(initial=0) + 2))
        return cls(order, stops, np.append(0.0, stops)[places], of_children)

    @property
    def codes(self) -> Ints:
        """Cell of each child; of one in none the first."""
        return np.maximum(self.children, 0)

    @property
    def weights(self) -> Floats:
        """Sum of the weights of each cell."""
        return np.diff(self.starts)

    def parents_at(self, places: Floats) -> Ints:
        """The parent of each child at a place within the weights of its cell; -1 for children beyond it, or of none."""
        found = np.searchsorted(self.stops, self.starts[self.codes] + places, side="right")
        is_within = (self.children >= 0) & (places < self.weights[self.codes])
        return np.where(is_within, self.order[np.minimum(found, len(self.order) - 1)], -1)


def _codes(alike: Sequence[Likeness], open_rows: Ints) -> tuple[Ints, Ints]:
    """Codes of columns together, from 0 on: of all parents, and of some children; -1 for what no parent has."""
    parents, children = np.zeros(1, np.int64), np.zeros(1, np.int64)
    for column in alike:
        parents, children = parents * column.size + column.parent, children * column.size + column.child[open_rows]
        known, parents = np.unique(parents, return_inverse=True)
        places = np.minimum(np.searchsorted(known, children), len(known) - 1)
        children = np.where((known[places] == children) & (children >= 0), places, UNLIKE)
    return parents, children

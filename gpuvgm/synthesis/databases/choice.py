"""Which row of a further parent a row refers to: by lot, one that is like what was drawn beside the row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from gpuvgm.engines import philox_words
from gpuvgm.io import is_datetime_type, is_number_type, plain_values_of
from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.databases.joins import ELSEWHERE, HERE
from gpuvgm.synthesis.databases.references import Reference

MOST_AGAIN = 16  # attempts for the rows of an owner to have different parents
UNLIKE = -1 << 31  # in place of a code
LEAST_ALIKE = 10  # parents on average, so that each has about as many children as drawn for it
GROUPS = 32  # of numbers of about as many rows each, which are alike within one


def chosen_parents(
    reference: Reference, child: pa.Table, parent: pa.Table, seed: int, elsewhere: int, owners: Ints | None = None
) -> Ints:
    """Number of the parent's row for each row of a child; -1 for none, from the parent's rows on for others.

    The row is drawn by how many children each has, of those that have what was drawn beside the child. Where there are
    none, numbers need be near only, and nearer ones go before; then categories are left out, those of the most first.

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
    owners : ndarray of shape (rows,), int64, optional
        First parent of each row, of which no two rows have one further parent.
    """
    words, every = _words(child.num_rows, seed), np.arange(child.num_rows)
    weights = np.maximum(np.nan_to_num(_numbers(parent.column(reference.count))), 0)
    names = [name for name in parent.schema.names if reference.beside(name) in child.schema.names]
    columns = [Likeness.of(parent.column(name), child.column(reference.beside(name))) for name in names]
    turns, here = _in_turn(columns), np.ones(child.num_rows, np.bool_)
    if reference.target in child.schema.names:
        targets = np.asarray(child.column(reference.target).to_pylist(), object)
        here = targets == HERE
    rows = np.full(child.num_rows, -1)
    rows[here] = _drawn_in_turn(turns, weights, every[here], words[0][here] / 2.0**32, is_even=True)
    for attempt in range(1, MOST_AGAIN) if owners is not None else ():
        again = np.flatnonzero(here & _are_repeated(np.asarray(owners), rows))
        shares = _words(child.num_rows, seed, attempt)[0][again] / 2.0**32
        rows[again] = _drawn_in_turn(turns, weights, again, shares, is_even=False)
    if not here.all():
        lost = targets == ELSEWHERE
        rows[lost] = parent.num_rows + (words[1][lost] % max(elsewhere, 1)).astype(np.int64)
    return rows


def _words(rows: int, seed: int, attempt: int = 0) -> Any:
    """Random words for each row."""
    return philox_words(np.arange(rows, dtype=np.uint64), attempt, seed)


def _are_repeated(owners: Ints, rows: Ints) -> Any:
    """Which rows have the parent of a row before of their owner."""
    order = np.lexsort((np.arange(len(rows)), rows, owners))
    repeated = np.zeros(len(rows), np.bool_)
    repeated[order[1:]] = (np.diff(owners[order]) == 0) & (np.diff(rows[order]) == 0)
    return repeated


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
            numbers = [_numbers(column) for column in both]
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


def _in_turn(columns: Sequence[Likeness]) -> list[list[Likeness]]:
    """What is to be alike: first as much as `LEAST_ALIKE` allows, then less and less, at last nothing."""
    turns = [[column.wider(times) if column.are_numbers else column for column in columns] for times in (1, 4, 16)]
    categories = sorted((column for column in columns if not column.are_numbers), key=lambda column: column.size)
    turns += [categories[:several] for several in range(len(categories), -1, -1)]
    alike = [_codes(turn)[0] for turn in turns]
    return [
        turn for turn, codes in zip(turns, alike, strict=True) if len(codes) >= LEAST_ALIKE * (codes.max() + 1)
    ] or [[]]


def _drawn_in_turn(
    turns: Sequence[Sequence[Likeness]], weights: Floats, children: Ints, shares: Floats, *, is_even: bool
) -> Ints:
    """A parent for each of some children: the first that is alike."""
    rows = np.full(len(children), -1)
    for alike in turns:
        open_rows = np.flatnonzero(rows < 0)
        if not len(open_rows):
            break
        rows[open_rows] = _drawn(alike, weights, children[open_rows], shares[open_rows], is_even=is_even)
    return rows


def _drawn(alike: Sequence[Likeness], weights: Floats, open_rows: Ints, shares: Floats, *, is_even: bool) -> Ints:
    """A parent for each of some children, by lot among those that are alike; -1 where none has children.

    Even shares of the children that are alike give each parent as many as its weight says, but for one.
    """
    parents, children = _codes(alike, open_rows) if alike else (np.zeros(len(weights), np.int64), 0 * open_rows)
    order = np.argsort(parents, kind="stable")
    stops = np.cumsum((weights if weights.sum() else np.ones(len(weights)))[order])
    bounds = np.append(0.0, stops)[np.searchsorted(parents[order], np.arange(parents.max(initial=0) + 2))]
    codes = np.maximum(children, 0)
    if is_even:
        ranked, sizes = np.lexsort((shares, codes)), np.bincount(codes)
        shares = np.empty(len(codes))
        shares[ranked] = (np.arange(len(codes)) - (np.cumsum(sizes) - sizes)[codes[ranked]] + 0.5) / sizes[
            codes[ranked]
        ]
    low, high = bounds[codes], bounds[codes + 1]
    places = np.searchsorted(stops, low + shares * (high - low), side="right")
    rows = order[np.minimum(places, len(order) - 1)]
    return np.where((children >= 0) & (high > low), rows, -1)


def _codes(alike: Sequence[Likeness], open_rows: Ints | slice = slice(0)) -> tuple[Ints, Ints]:
    """Codes of columns together, from 0 on: of all parents, and of some children; -1 for what no parent has."""
    parents, children = np.zeros(1, np.int64), np.zeros(1, np.int64)
    for column in alike:
        parents, children = parents * column.size + column.parent, children * column.size + column.child[open_rows]
        known, parents = np.unique(parents, return_inverse=True)
        places = np.minimum(np.searchsorted(known, children), len(known) - 1)
        children = np.where((known[places] == children) & (children >= 0), places, UNLIKE)
    return parents, children


def _numbers(column: Any) -> Floats:
    """Numbers of a column, NaN where missing; of times their ticks."""
    values = plain_values_of(column if isinstance(column, pa.Array) else column.combine_chunks())
    if is_datetime_type(values.type):
        values = values.cast(pa.int64()) if not pa.types.is_date32(values.type) else values.cast(pa.int32())
    return np.asarray(values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)

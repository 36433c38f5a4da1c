"""Which row of a further parent a row refers to: by lot, one that is like what was drawn beside the row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gpuvgm.engines import philox_words
from gpuvgm.io import is_datetime_type, is_number_type, plain_values_of
from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.databases.joins import ELSEWHERE, HERE, Bools, numbers_of
from gpuvgm.synthesis.databases.references import Reference
from gpuvgm.synthesis.databases.telling import MOST_ROWS, groups_of, most_groups, told_of
from gpuvgm.synthesis.databases.uniqueness import repeated

MOST_AGAIN, ATTEMPTS = 32, 4  # for rows to keep laws, and to have other parents than those of their owner; of one turn
UNLIKE = -1 << 31  # in place of a code
WIDER = (4, 16)  # such groups that are alike, where there are none in one
SPARE = 0.1  # times as many children as were drawn for a row it may have beyond these, for the sake of likeness
GROUPS = 32  # of numbers of about as many rows each, which are alike within one

Alike = tuple[tuple[str, int], ...]  # columns, each with how many neighbouring groups are one


@dataclass(slots=True)
class FurtherParent:
    """Rows of a further parent, each of which is given to about as many rows of a child as it was drawn to have.

    Rows of the child come in blocks, in their order. Each gets a row of the parent that has children left, and that has
    what was drawn beside the child. Where there are none, what goes with no other column of the child is left out; then
    numbers need be near only, and nearer ones go before; at last columns are left out, those that go least with others
    first. Once no row that is alike has children left, one is given by lot.

    Parameters
    ----------
    reference : Reference
        The reference.
    rows : pyarrow.Table
        The parent.
    seed : int
        The seed, of this reference alone.
    elsewhere : int
        How many rows the parent lacks.
    decided : frozenset of str
        Columns of the parent that laws compute from others of the child, in which rows are alike as long as can be.
    """

    reference: Reference
    rows: pa.Table
    seed: int
    elsewhere: int
    decided: frozenset[str] = frozenset()
    weights: Floats = field(init=False)  # children of each row
    left: Floats = field(init=False)  # of these, those which no row of the child is yet
    columns: dict[str, Likeness] = field(default_factory=dict)
    turns: list[Cells] = field(default_factory=list)

    def __post_init__(self) -> None:
        counts: Floats = np.maximum(np.nan_to_num(numbers_of(self.rows.column(self.reference.count))), 0)
        self.weights = counts if counts.sum() else np.ones(len(counts))
        self.left = self.weights

    def chosen(self, child: pa.Table, first_row: int, owners: Ints, wrong: Callable[[Ints, Ints], Ints]) -> Ints:
        """Number of the parent's row for each row of a block; -1 for none, from the parent's rows on for others.

        Parameters
        ----------
        child : pyarrow.Table
            Rows of the child, with columns of the parent, by `Reference.beside`.
        first_row : int
            Number of the first one.
        owners : ndarray of shape (rows,), int64
            Numbers of the first parent's rows, of which each has its rows next to each other.
        wrong : callable
            Which rows of the block are to have another one, of those that were chosen last, given the choice for all.
        """
        if not self.turns:
            self._compare(child)
        rows, every = np.full(child.num_rows, -1), np.arange(child.num_rows)
        words, here = self._words(first_row + every), np.ones(child.num_rows, np.bool_)
        if self.reference.target in child.schema.names:
            targets = np.asarray(child.column(self.reference.target).to_pylist(), object)
            here = targets == HERE
            lost = targets == ELSEWHERE
            rows[lost] = self.rows.num_rows + (words[1][lost] % max(self.elsewhere, 1)).astype(np.int64)
        codes = {name: of.of_children(child.column(self.reference.beside(name))) for name, of in self.columns.items()}
        # What comes back is the row of the parent of another child, which is chosen for all of these together.
        sources, last = self._sources(child, owners, here), len(self.turns) - (2 if self.decided else 1)
        again = np.flatnonzero(here)
        new, children = again[sources[again] == again], np.bincount(sources, minlength=len(rows))
        rows[new] = self._alike(self.turns, _of_rows(codes, new), words[0][new] / 2.0**32, children[new], self.left)
        rows[again] = rows[sources[again]]
        for attempt in range(1, MOST_AGAIN):
            new = wrong(again, rows)
            if attempt < ATTEMPTS and self.reference.recency.name in child.schema.names:
                are_new = np.flatnonzero(sources == np.arange(len(rows)))
                new = np.union1d(new, are_new[repeated([owners[are_new], rows[are_new]])])
            if not len(new):
                break
            sources[new] = new
            again, children = np.flatnonzero(np.isin(sources, new)), np.bincount(sources, minlength=len(rows))
            shares = self._words(first_row + new, attempt)[0] / 2.0**32
            # Of those that are alike none may do: from some attempts on they need be less so.
            turn = min(attempt // ATTEMPTS, last)
            turns, rows[again] = self.turns[turn : max(turn + 1, len(self.turns) - 1)], -1
            rows[new] = self._alike(turns, _of_rows(codes, new), shares, children[new], self._left_after(rows))
            rows[again] = rows[sources[again]]
        return rows

    def _sources(self, child: pa.Table, owners: Ints, here: Bools) -> Ints:
        """The row of the child whose row of the parent each one has: its own number, unless that one comes back."""
        recency, rows = self.reference.recency, np.arange(len(owners))
        if recency.name not in child.schema.names:
            return rows
        ranks = np.where(here, recency.ranks(child.column(recency.name).combine_chunks()), 0)  # 0: new
        are_first = (owners < 0) | (owners != np.roll(owners, 1)) | (rows == 0)
        sources = recency.sources(ranks, are_first)
        return np.where(here[sources], sources, rows)

    def settle(self, rows: Ints) -> None:
        """Take what rows of the child refer to from the children that are left."""
        self.left = self._left_after(rows)

    def _left_after(self, rows: Ints) -> Floats:
        """Children that are left of each row of the parent after some."""
        of_parents = np.bincount(rows[(rows >= 0) & (rows < len(self.left))], minlength=len(self.left))
        return self.left - of_parents

    def _room(self, left: Floats) -> Floats:
        """How many more children each row of the parent may have so that these find one that is like them."""
        return np.maximum(left + SPARE * self.weights, 0)

    def _compare(self, child: pa.Table) -> None:
        """Put the rows in cells of those that are alike, by columns that tell of the first rows of the child."""
        names = [name for name in self.rows.schema.names if self.reference.beside(name) in child.schema.names]
        self.columns = {name: Likeness.of(self.rows.column(name)) for name in names}
        decided = [name for name in names if name in self.decided]
        telling = [name for name in _most_telling_first(self.reference, child, names) if name not in decided]
        for alike in _in_turn({name: of.are_numbers for name, of in self.columns.items()}, decided, telling):
            self.turns.append(Cells.of(alike, self.columns, self.rows.num_rows))

    def _words(self, rows: Ints, attempt: int = 0) -> Any:
        """Random words for each row."""
        return philox_words(rows.astype(np.uint64), attempt, self.seed)

    def _alike(
        self, turns: Sequence[Cells], codes: Mapping[str, Ints], shares: Floats, children: Ints, left: Floats
    ) -> Ints:
        """A parent for each of some children: one that is alike, of those that have not all of their children yet.

        A child may stand for others, which are counted as well.
        Children beyond those wait for the next turn, in which less is alike; after the last one they are given to
        parents by lot, whatever others have, and in the end to any.
        """
        rows = np.full(len(shares), -1)
        for turn in turns:
            waiting = np.flatnonzero(rows < 0)
            if not len(waiting):
                return rows
            cells = turn.of_children(_of_rows(codes, waiting), len(waiting))
            of_cells = turn.weighed(np.maximum(left, 0) if turn is self.turns[0] else self._room(left))
            known, room = np.maximum(cells, 0), of_cells.room(cells)
            of_each, rank, order = children[waiting], np.empty(len(waiting)), np.lexsort((shares[waiting], known))
            sizes = np.bincount(known, of_each)
            rank[order] = np.cumsum(of_each[order]) - of_each[order]
            rank += shares[waiting] * of_each - (np.cumsum(sizes) - sizes)[known]
            places = np.where(sizes[known] <= room, rank / sizes[known] * room, rank)
            rows[waiting] = of_cells.parents_at(cells, places)
            given = waiting[rows[waiting] >= 0]
            left = left - np.bincount(rows[given], children[given], minlength=len(left))
        for turn in (*turns, self.turns[-1]):
            waiting = np.flatnonzero(rows < 0)
            if not len(waiting):
                break
            cells, of_cells = turn.of_children(_of_rows(codes, waiting), len(waiting)), turn.weighed(self.weights)
            rows[waiting] = of_cells.parents_at(cells, shares[waiting] * of_cells.room(cells))
        return rows


@dataclass(frozen=True, slots=True)
class Likeness:
    """A column of parents in groups.

    Parameters
    ----------
    codes : ndarray of shape (parents,), int64
        Group of each row.
    size : int
        How many groups there are.
    edges : ndarray, optional
        Of numbers, where groups end.
    values : pyarrow.Array, optional
        Of categories, the values of groups from 1 on.
    """

    codes: Ints
    size: int
    edges: Floats | None = None
    values: Any = None

    @classmethod
    def of(cls, column: Any) -> Likeness:
        """The groups of a column."""
        plain = plain_values_of(column.combine_chunks())
        if is_number_type(plain.type) or is_datetime_type(plain.type):
            numbers = numbers_of(plain)
            known = np.sort(numbers[~np.isnan(numbers)])
            edges = np.unique(known[np.arange(1, GROUPS) * len(known) // GROUPS]) if len(known) else known
            return cls(_groups(numbers, edges), GROUPS + 1, edges=edges)
        encoded: Any = plain.dictionary_encode()
        codes = np.asarray(encoded.indices.fill_null(-1), np.int64) + 1
        return cls(codes, len(encoded.dictionary) + 1, values=encoded.dictionary)

    @property
    def are_numbers(self) -> bool:
        """Whether neighbouring groups are alike."""
        return self.edges is not None

    def of_children(self, column: Any) -> Ints:
        """Groups of the same column as it was drawn beside children; below 0 for what no parent has."""
        plain = plain_values_of(column.combine_chunks())
        if self.edges is not None:
            return _groups(numbers_of(plain), self.edges)
        places: Any = pc.index_in(plain.cast(self.values.type), self.values)
        return np.where(np.asarray(plain.is_valid()), np.asarray(places.fill_null(UNLIKE), np.int64) + 1, 0)


def _groups(numbers: Floats, edges: Floats) -> Ints:
    """Groups of numbers; missing ones are the last."""
    return np.where(np.isnan(numbers), GROUPS, np.searchsorted(edges, numbers, side="right"))


def _of_rows(codes: Mapping[str, Ints], rows: Ints) -> dict[str, Ints]:
    """Codes of some rows."""
    return {name: of_column[rows] for name, of_column in codes.items()}


def _most_telling_first(reference: Reference, child: pa.Table, names: Sequence[str]) -> list[str]:
    """Columns of the parent that go with others of the child, those that go most with them first."""
    lead = reference.beside("")
    others = [name for name in child.schema.names if not name.startswith((lead, "row(", "recency("))]
    rows = child.take(np.arange(0, child.num_rows, 1 + child.num_rows // MOST_ROWS))
    mixed, most = np.random.default_rng(0).permutation(rows.num_rows), max(most_groups(rows.num_rows), 2)
    codes = [groups_of(rows.column(name), most) for name in others]

    def told(name: str) -> float:
        """Information on all other columns in nats."""
        groups = groups_of(rows.column(reference.beside(name)), most)
        return sum(told_of(groups, of, of[mixed]) for of in codes)

    nats = {name: told(name) for name in names}
    return sorted((name for name in names if nats[name] > 0), key=nats.__getitem__, reverse=True)


def _in_turn(are_numbers: Mapping[str, bool], decided: Sequence[str], telling: Sequence[str]) -> list[Alike]:
    """What is to be alike: all columns, then those that go with others less and less, what laws decide, and nothing."""
    every, kept, some = (tuple((name, 1) for name in names) for names in (are_numbers, decided, telling))
    wider = [tuple((name, times if are_numbers[name] else 1) for name in telling) for times in WIDER]
    fewer = [wider[-1][:several] for several in range(len(telling) - 1, -1 if kept else 0, -1)]
    return [every, *((*kept, *alike) for alike in (some, *wider, *fewer)), ()]


@dataclass(frozen=True, slots=True)
class Cells:
    """Parents in cells of those that are alike.

    Parameters
    ----------
    alike : tuple of (str, int)
        Columns in whose groups they are alike, and how many neighbouring groups are one.
    sizes : tuple of int
        How many groups each has.
    known : tuple of ndarray of int64
        Codes of the cells that there are, by the first columns, one more each time.
    order : ndarray of shape (parents,), int64
        The parents, cell after cell.
    places : ndarray of shape (cells + 1,), int64
        Where each cell begins among these.
    """

    alike: Alike
    sizes: tuple[int, ...]
    known: tuple[Ints, ...]
    order: Ints
    places: Ints

    @classmethod
    def of(cls, alike: Alike, columns: Mapping[str, Likeness], parents: int) -> Cells:
        """Cells of all parents."""
        cells, known = np.zeros(parents, np.int64), list[Ints]()
        sizes = tuple(columns[name].size for name, _ in alike)
        for (name, times), size in zip(alike, sizes, strict=True):
            values, cells = np.unique(cells * size + columns[name].codes // times, return_inverse=True)
            known.append(values)
        order = np.argsort(cells, kind="stable")
        places = np.searchsorted(cells[order], np.arange(cells.max(initial=0) + 2))
        return cls(alike, sizes, (*known,), order, places)

    def of_children(self, codes: Mapping[str, Ints], children: int) -> Ints:
        """Cell of each child, by codes of its columns; below 0 for none."""
        cells = np.zeros(children, np.int64)
        for (name, times), size, known in zip(self.alike, self.sizes, self.known, strict=True):
            wanted = cells * size + codes[name] // times
            places = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
            cells = np.where((known[places] == wanted) & (cells >= 0) & (codes[name] >= 0), places, UNLIKE)
        return cells

    def weighed(self, weights: Floats) -> WeighedCells:
        """The cells, given how often each parent is to be taken."""
        stops = np.append(0.0, np.cumsum(weights[self.order]))
        return WeighedCells(self.order, stops[1:], stops[self.places])


@dataclass(frozen=True, slots=True)
class WeighedCells:
    """Cells of parents, each of which is taken by its weight.

    Parameters
    ----------
    order : ndarray of shape (parents,), int64
        The parents, cell after cell.
    stops : ndarray of shape (parents,)
        Sums of their weights, in this order.
    starts : ndarray of shape (cells + 1,)
        Where each cell begins among these sums.
    """

    order: Ints
    stops: Floats
    starts: Floats

    def room(self, cells: Ints) -> Floats:
        """Sum of the weights of the cell of each child; of one in none that of the first."""
        known = np.maximum(cells, 0)
        room: Floats = self.starts[known + 1] - self.starts[known]
        return room

    def parents_at(self, cells: Ints, places: Floats) -> Ints:
        """The parent of each child at a place within the weights of its cell; -1 for children beyond it, or of none."""
        found = np.searchsorted(self.stops, self.starts[np.maximum(cells, 0)] + places, side="right")
        is_within = (cells >= 0) & (places < self.room(cells))
        return np.where(is_within, self.order[np.minimum(found, len(self.order) - 1)], -1)

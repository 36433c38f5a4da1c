"""Rows drawn from trees or a network: every row is a function of its number, whichever rows are drawn with it.

A column of a row takes the four words of Philox4x32-10 (Salmon et al. 2011) at the row's number, as
`Engine.draw_in_trees` and `Engine.draw_rows` say. Cumulative probabilities of pieces are whole numbers of 2^-32, which
words are compared with, so that all engines draw the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import beside, namespace_of, to_numpy
from gpuvgm.engines import Draw, DrawnColumn, Engine, Lottery
from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.bins import Bins, Codes
from gpuvgm.synthesis.counts import Network
from gpuvgm.synthesis.drawing.conditioned import ConditionedTrees
from gpuvgm.synthesis.drawing.messages import Messages, propagate
from gpuvgm.synthesis.keys import column_number

Drawn = list[tuple[Codes, Floats]]
LONGEST_GAP = 1 << 9  # keys that are drawn although no row has them
MOST_AGAIN = 16  # draws of a bin that is to be none of some


@dataclass(frozen=True, slots=True)
class KeyTable:
    """Consecutive keys of one level, which are drawn as rows are.

    Parameters
    ----------
    seed : int
        Seed of the draws.
    ranges : tuple of (int, int)
        First number and count of the keys, one range after the other.
    places : ndarray of shape (rows,), int64
        For each row the place of its key in these ranges.
    level : int
        Level of the keys.
    above : mapping of int to ndarray of shape (keys,), int64
        By level above, the place of the key that each of these keys belongs to in the table of that level.
    lacking : ndarray of shape (keys,), uint16
        As `codes_of_lacking` gives it: 0, or which levels the rows of what is no key lack.
    """

    seed: int
    ranges: tuple[tuple[int, int], ...]
    places: Ints
    level: int = 0
    above: Mapping[int, Ints] = field(default_factory=dict)
    lacking: Codes = field(default_factory=lambda: np.empty(0, np.uint16))

    @classmethod
    def of(cls, numbers: NDArray[np.uint64], seed: int) -> KeyTable:
        """The keys that have given numbers, and those between where the engine draws all faster than ranges."""
        if not len(numbers):
            return cls(seed, ((0, 0),), np.empty(0, np.int64))
        first, last = numbers.min(), numbers.max()
        if int(last - first) < max(len(numbers), LONGEST_GAP):
            return cls(seed, ((int(first), int(last - first) + 1),), (numbers - first).astype(np.int64))
        distinct = np.unique(numbers)
        breaks = np.flatnonzero(np.diff(distinct) > LONGEST_GAP)
        firsts, lasts = distinct[np.append(0, breaks + 1)], distinct[np.append(breaks, len(distinct) - 1)]
        counts = (lasts - firsts).astype(np.int64) + 1
        which = np.searchsorted(firsts, numbers, side="right") - 1
        places = (numbers - firsts[which]).astype(np.int64) + (np.cumsum(counts) - counts)[which]
        return cls(seed, tuple(zip(firsts.tolist(), counts.tolist(), strict=True)), places)

    @property
    def numbers(self) -> NDArray[np.uint64]:
        """Numbers of the keys."""
        return np.concatenate([np.arange(first, first + count, dtype=np.uint64) for first, count in self.ranges])


@dataclass(frozen=True, slots=True)
class ComputedColumn:
    """A column that a law computes: when its turn comes, its bins are those of the computed values.

    Parameters
    ----------
    sources : tuple of int
        Columns that its values are made of.
    is_drawn : bool
        Whether trees draw it first, as the law leaves some rows to them.
    is_learnt : bool
        Whether trees draw it nearly so, too.
    codes : callable
        Gives its bins, and the codes of its parts by place, of bins and places of these columns by node; and of its own
        where it is drawn.
    """

    sources: tuple[int, ...]
    is_drawn: bool
    is_learnt: bool
    codes: Callable[[Mapping[int, tuple[Codes, Floats]]], tuple[Codes, dict[int, Codes]]]


@dataclass(frozen=True)  # no slots: keys are cached
class Drawing:
    """Draws rows.

    Parameters
    ----------
    network : Network
        Network to draw from.
    conditions : mapping of int to Bins
        Bins of nodes with a condition, restricted to the pieces that meet it.
    engine : Engine
        Engine whose loops draw.
    computed : callable
        Gives the columns that are computed in their turn, by node, in an order of the nodes.
    barred : mapping of int to ndarray of shape (bins,), bool
        Bins of nodes that trees are to draw others than.
    """

    network: Network
    conditions: Mapping[int, Bins]
    engine: Engine
    computed: Callable[[Sequence[int]], Mapping[int, ComputedColumn]] = lambda _: {}
    barred: Mapping[int, NDArray[np.bool_]] = field(default_factory=dict)

    @cached_property
    def _of_trees_in_turn(self) -> Mapping[int, ComputedColumn]:
        return self.computed(self.network.structure.order)

    @cached_property
    def messages(self) -> Messages:
        """Factors that the conditions imply for each column.

        Raises
        ------
        InputError
            Where no row can meet them.
        """
        evidence = {place: self._network_bins(place).shares for place in self.conditions}
        return propagate(self.network, evidence)

    @cached_property
    def _columns(self) -> tuple[DrawnColumn, ...]:
        """Distributions that rows of each node are drawn from."""
        return tuple(self._column(place) for place in range(len(self.network.structure.nodes)))

    def _network_bins(self, place: int) -> Bins:
        """Bins of a node in the network of parents, restricted to the pieces that meet its condition."""
        structure = self.network.structure
        return self.conditions.get(place, structure.bins[place]).merged(structure.groups[place])

    def _column(self, place: int) -> DrawnColumn:
        structure, tables = self.network.structure, self.network.tables[place]
        axis, parents = structure.axes[place], structure.parents[place]
        bins = self._network_bins(place)
        second = structure.axes[parents[1]].parent if len(parents) > 1 else np.empty(0, np.int64)
        pieces = Lottery.of(bins.mass, bins.first[:-1])
        if self.messages.concern(place):
            table, width, second = self.messages.table(place)
            of_bins = Lottery.of(table.ravel(), np.arange(0, table.size, len(axis)))
            return DrawnColumn(of_bins, None, pieces, bins.low, bins.high, width, second)
        groups = Lottery.of(tables.groups.ravel(), np.arange(0, tables.groups.size, len(axis.starts)))
        first = np.arange(len(tables.inside))[:, None] * len(axis) + axis.starts
        bins_in_group = Lottery.of(tables.inside.ravel(), first.ravel())
        return DrawnColumn(groups, bins_in_group, pieces, bins.low, bins.high, tables.groups.shape[1], second)

    @cached_property
    def _places_of_bins(self) -> tuple[DrawnColumn, ...]:
        """Places of each node's rows in bins that are drawn already."""
        columns, nothing = [], np.empty(0, np.int64)
        for place, every in enumerate(self.network.structure.bins):
            bins = self.conditions.get(place, every)
            pieces = Lottery.of(bins.mass, bins.first[:-1])
            columns.append(DrawnColumn(None, None, pieces, bins.low, bins.high, 1, nothing))
        return tuple(columns)

    @cached_property
    def trees(self) -> ConditionedTrees:
        """Trees of the columns up to the last one with a condition."""
        evidence = {place: bins.shares for place, bins in self.conditions.items()}
        computed = frozenset(place for place, column in self._of_trees_in_turn.items() if not column.is_learnt)
        return ConditionedTrees(self.network, evidence, self._codes, self.engine, computed)

    def _codes(self, place: int, drawn: Mapping[int, Any], first_row: int, rows: int, seed: int) -> dict[int, Any]:
        """Bins of a column for consecutive rows, given those of columns before it; see `ConditionedTrees`."""
        structure, computed = self.network.structure, self._of_trees_in_turn.get(place)
        draw = Draw(seed, column_number(structure.nodes[place].name), first_row)
        beside = {one: drawn[one] for other in computed.sources for one in (other, ~other)} if computed else {}
        if computed is not None and not computed.is_drawn:
            return self._by_law(computed, place, beside, by_trees=True)
        asked = [drawn[other] for other in structure.trees[place].asked]
        codes = drawn[place] if place in drawn else self._of_trees(place, asked, draw, rows)
        if place not in structure.parts_of and computed is None and place not in _sources(self._of_trees_in_turn):
            return {place: codes}
        codes, readings = self._within(place, codes, draw, rows)
        if computed is not None:
            return self._by_law(computed, place, beside | {place: codes, ~place: readings}, by_trees=True)
        return {place: codes, ~place: readings} | structure.codes_of_parts(place, codes, readings, self.engine)

    def _of_trees(self, place: int, asked: Sequence[Codes], draw: Draw, rows: int) -> Codes:
        """Bins of a column, by its trees; those that are barred are drawn again."""
        trees = self.network.structure.trees[place].trees
        codes = self.engine.draw_in_trees(trees, asked, self.network.shares[place], draw, rows)
        return self._without_barred(place, codes, asked, draw)

    def _without_barred(self, place: int, codes: Codes, asked: Sequence[Codes], draw: Draw) -> Codes:
        """Bins of a column, those that are barred drawn again by its trees."""
        barred = self.barred.get(place, np.empty(0, np.bool_))
        if not barred.any():
            return codes
        trees, shares = self.network.structure.trees[place].trees, self.network.shares[place]
        xp = namespace_of(codes)
        for attempt in range(1, MOST_AGAIN):
            again = xp.asarray(barred)[codes]
            if not again.any():
                break
            stream = f"{self.network.structure.nodes[place].name}/again/{attempt}"
            more = replace(draw, column=column_number(stream))
            others = self.engine.draw_in_trees(trees, asked, shares, more, len(codes))
            codes = xp.where(again, beside(others, codes), codes)
        return codes

    def _within(self, place: int, codes: Codes, draw: Draw, rows: int) -> tuple[Codes, Floats]:
        """Bins that a column's trees draw, and places in them, infinite where rows have a twin's number."""
        bins, column = self.conditions.get(place, self.network.structure.bins[place]), self._places_of_bins[place]
        if place not in self.network.structure.twins:
            return self.engine.draw_rows(column, [codes], draw, rows)
        xp = namespace_of(codes)
        same, usual = codes == len(bins), np.argmax(bins.shares)
        codes, places = self.engine.draw_rows(column, [xp.where(same, xp.uint16(usual), codes)], draw, rows)
        return codes, xp.where(same, xp.inf, places)

    def _drawn(
        self, place: int, former: Sequence[Codes], draw: Draw, rows: int, *, by_trees: bool
    ) -> tuple[Codes, Floats]:
        """Bins of a column and places in them, given the columns that it depends on."""
        if not by_trees:
            return self.engine.draw_rows(self._columns[place], former, draw, rows)
        return self._within(place, self._of_trees(place, former, draw, rows), draw, rows)

    def _any_bin(self, place: int, codes: Codes) -> Codes:
        """A bin of each of the network's; what is missing or modal is the only one."""
        first = np.flatnonzero(np.diff(self.network.structure.groups[place], prepend=-1))
        return first.astype(codes.dtype)[codes]

    def rows(
        self,
        first_row: int,
        rows: int,
        seed: int,
        keys: Mapping[int, KeyTable] | None = None,
        former: Mapping[int, tuple[Codes, Floats]] | None = None,
        stop: int | None = None,
    ) -> Drawn:
        """Consecutive rows, by node: the bin of each, and its place in a piece of the bin.

        A place is a number of the plain codec, or the index of a modal value or a category. With conditions rows are
        those of the trees that meet them; where hardly any does, columns are drawn for keys, or there are no trees,
        rows are drawn from the network of parents.

        Parameters
        ----------
        first_row, rows : int
            The rows.
        seed : int
            Seed of the columns that are drawn for each row.
        keys : mapping of int to KeyTable, optional
            By node, the keys of columns that are drawn for each key.
        former : mapping of int to (ndarray, ndarray), optional
            Columns that are drawn for each row already, as this gives them.
        stop : int, optional
            How many columns are drawn, in their order; of others nothing is given.
        """
        structure, tables = self.network.structure, keys or {}
        by_trees = bool(structure.trees) and (not self.conditions or (not tables and self.trees.is_exact))
        order = structure.order if by_trees else range(len(structure.nodes))
        decided = self.trees.codes(first_row, rows, seed) if by_trees and self.conditions else {}
        for place, pair in (former or {}).items():
            decided[place], decided[~place] = pair
        in_turn = self._of_trees_in_turn if by_trees else self.computed(order)
        sources = _sources(in_turn)
        known, columns = _Former(), dict[int, tuple[Codes, Floats]]()
        for place in order[:stop]:
            own, others = tables.get(place), structure.trees[place].asked if by_trees else structure.parents[place]
            if own:
                known.of_keys.update({key: own.lacking for key in structure.keys_asked if key in others})
            asked, computed = [known.beside(other, own) for other in others], in_turn.get(place)
            draws, ranges = list[tuple[Codes, Floats]](), own.ranges if own else ((first_row, rows),)
            is_drawn, stream = computed is None or computed.is_drawn, structure.nodes[place].name
            for draw, count, at in _draws(ranges if is_drawn else (), own.seed if own else seed, stream):
                codes = [one[at] for one in asked]
                if ~place in decided:
                    draws.append((decided[place], decided[~place]))
                elif place in decided:
                    own_codes = self._without_barred(place, decided[place], codes, draw)
                    draws.append(self.engine.draw_rows(self._places_of_bins[place], [own_codes], draw, count))
                else:
                    draws.append(self._drawn(place, codes, draw, count, by_trees=by_trees))
            drawn = dict[int, Any]()
            if draws:
                drawn[place], drawn[~place] = map(_joined, zip(*draws, strict=True))
            if computed is not None:
                beside = {one: known.beside(one, own) for other in computed.sources for one in (other, ~other)}
                drawn = self._by_law(computed, place, beside | drawn, by_trees=by_trees)
            elif by_trees:
                drawn |= structure.codes_of_parts(place, drawn[place], drawn[~place], self.engine)
            codes, places = (to_numpy(_taken(drawn[one], own.places if own else None)) for one in (place, ~place))
            columns[place] = codes if by_trees else self._any_bin(place, codes), places
            known.add(drawn if place in sources else {one: drawn[one] for one in drawn if one >= 0}, own)
        nothing = np.empty(0, np.uint16), np.empty(0)
        return [columns.get(place, nothing) for place in range(len(structure.nodes))]

    def of_keys(self, place: int, codes: Ints, keys: KeyTable, stream: str) -> tuple[Codes, Floats]:
        """Bins of a column and places in them that rows have of their keys.

        Parameters
        ----------
        place : int
            Place of the column.
        codes : ndarray of shape (keys,)
            The bin of each key of the table.
        keys : KeyTable
            The keys.
        stream : str
            Name of the stream of random numbers.
        """
        column, bins = self._places_of_bins[place], codes.astype(np.uint16)
        draws = [
            self.engine.draw_rows(column, [bins[at]], draw, count)
            for draw, count, at in _draws(keys.ranges, keys.seed, stream)
        ]
        own, places = (to_numpy(_joined(one)) for one in zip(*draws, strict=True))
        return own[keys.places], places[keys.places]

    def _by_law(
        self, column: ComputedColumn, place: int, drawn: Mapping[int, Any], *, by_trees: bool
    ) -> dict[int, Any]:
        """Bins of a computed column, on the host, its places where it was drawn, and the codes of its parts.

        Of what is drawn of others, and of it: as `ConditionedTrees` has bins and places.
        """
        places, pairs = {~one for one in drawn if one < 0}, dict[int, tuple[Codes, Floats]]()
        for one in places:
            codes = to_numpy(drawn[one])
            pairs[one] = codes if by_trees else self._any_bin(one, codes), to_numpy(drawn[~one])
        codes, parts = column.codes(pairs)
        within = drawn[~place] if column.is_drawn else np.zeros(len(codes))
        if by_trees:
            return {place: codes, ~place: within} | parts
        return {place: self.network.structure.in_network(place, codes), ~place: within}


@dataclass(frozen=True, slots=True)
class _Former:
    """What is drawn of columns and parts, by place as in `ConditionedTrees`: for their own keys, and for the rows."""

    of_keys: dict[int, Any] = field(default_factory=dict)
    of_rows: dict[int, Any] = field(default_factory=dict)
    levels: dict[int, int] = field(default_factory=dict)

    def add(self, drawn: Mapping[int, Any], own: KeyTable | None) -> None:
        """Add what is drawn for each key of a table, or for each row."""
        for place, values in drawn.items():
            self.of_keys[place], self.levels[place] = values, own.level if own else 0
            self.of_rows[place] = _taken(values, own.places if own else None)

    def beside(self, place: int, own: KeyTable | None) -> Any:
        """What is drawn of a place, for each key of a table that belongs to one of its keys, or for each row."""
        if own is None:
            return self.of_rows[place]
        return _taken(self.of_keys[place], own.above.get(self.levels.get(place, own.level)))


def _draws(ranges: Sequence[tuple[int, int]], seed: int, stream: str) -> Iterator[tuple[Draw, int, slice]]:
    """Draw of each range of rows or keys, how many they are, and their places among those of all ranges."""
    column, at = column_number(stream), 0
    for first, count in ranges:
        yield Draw(seed, column, first), count, slice(at, at + count)
        at += count


def _sources(columns: Mapping[int, ComputedColumn]) -> frozenset[int]:
    """Columns that values of computed ones are made of."""
    return frozenset(place for column in columns.values() for place in column.sources)


def _joined(parts: Sequence[Any]) -> Any:
    """Arrays one after the other, where they lie."""
    return parts[0] if len(parts) == 1 else namespace_of(parts[0]).concatenate(parts)


def _taken(values: Any, places: Ints | None) -> Any:
    """Values at some places, where they lie; None takes them as they are."""
    return values if places is None else values[namespace_of(values).asarray(places)]

"""Rows drawn from trees or a network: every row is a function of its number, whichever rows are drawn with it.

A column of a row takes the four words of Philox4x32-10 (Salmon et al. 2011) at the row's number, as
`Engine.draw_in_trees` and `Engine.draw_rows` say. Cumulative probabilities of pieces are whole numbers of 2^-32, which
words are compared with, so that all engines draw the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import namespace_of, to_numpy
from gpuvgm.engines import Engine
from gpuvgm.engines.tables import Draw, DrawnColumn, Lottery
from gpuvgm.summary.grid import Floats, Ints
from gpuvgm.synthesis.bins import Bins, Codes
from gpuvgm.synthesis.conditioned import ConditionedTrees
from gpuvgm.synthesis.messages import Messages, propagate
from gpuvgm.synthesis.network import Network
from gpuvgm.synthesis.streams import column_number

Drawn = list[tuple[Codes, Floats]]
LONGEST_GAP = 1 << 9  # keys that are drawn although no row has them


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
    """

    network: Network
    conditions: Mapping[int, Bins]
    engine: Engine

    @cached_property
    def messages(self) -> Messages:
        """Factors that the conditions imply for each column.

        Raises
        ------
        InputError
            Where no row can meet them.
        """
        evidence = {place: _share_of_bins(self._network_bins(place)) for place in self.conditions}
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
        evidence = {place: _share_of_bins(bins) for place, bins in self.conditions.items()}
        return ConditionedTrees(self.network, evidence, self._codes, self.engine)

    def _codes(self, place: int, drawn: Mapping[int, Any], first_row: int, rows: int, seed: int) -> dict[int, Any]:
        """Bins of a column for consecutive rows, given those of columns before it; see `ConditionedTrees`."""
        structure = self.network.structure
        draw = Draw(seed, column_number(structure.nodes[place].name), first_row)
        asked = [drawn[other] for other in structure.trees[place].asked]
        codes = drawn[place] if place in drawn else self._of_trees(place, asked, draw, rows)
        if place not in structure.parts_of:
            return {place: codes}
        codes, readings = self.engine.draw_rows(self._places_of_bins[place], [codes], draw, rows)
        return {place: codes, ~place: readings} | structure.codes_of_parts(place, codes, readings)

    def _of_trees(self, place: int, asked: Sequence[Codes], draw: Draw, rows: int) -> Codes:
        """Bins of a column, by its trees."""
        trees = self.network.structure.trees[place].trees
        return self.engine.draw_in_trees(trees, asked, self.network.shares[place], draw, rows)

    def _drawn(
        self, place: int, former: Sequence[Codes], draw: Draw, rows: int, *, by_trees: bool
    ) -> tuple[Codes, Floats]:
        """Bins of a column and places in them, given the columns that it depends on."""
        if not by_trees:
            return self.engine.draw_rows(self._columns[place], former, draw, rows)
        codes = self._of_trees(place, former, draw, rows)
        return self.engine.draw_rows(self._places_of_bins[place], [codes], draw, rows)

    def _any_bin(self, place: int, codes: Codes) -> Codes:
        """A bin of each of the network's; what is missing or modal is the only one."""
        first = np.flatnonzero(np.diff(self.network.structure.groups[place], prepend=-1))
        return first.astype(codes.dtype)[codes]

    def rows(self, first_row: int, rows: int, seed: int, keys: Mapping[int, KeyTable] | None = None) -> Drawn:
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
        """
        structure, tables = self.network.structure, keys or {}
        by_trees = bool(structure.trees) and (not self.conditions or (not tables and self.trees.is_exact))
        order = structure.order if by_trees else range(len(structure.nodes))
        decided = self.trees.codes(first_row, rows, seed) if by_trees and self.conditions else {}
        bins, bins_of_rows = dict[int, Codes](), dict[int, Codes]()  # where the engine draws, also of parts
        levels = dict[int, int]()
        columns: dict[int, tuple[Codes, Floats]] = {}
        for place in order:
            own, others = tables.get(place), structure.trees[place].asked if by_trees else structure.parents[place]
            if own:
                bins |= {key: own.lacking for key in structure.keys_asked if key in others}
            former = [
                _taken(bins[other], own.above.get(levels.get(other, own.level))) if own else bins_of_rows[other]
                for other in others
            ]
            number, draws = column_number(structure.nodes[place].name), list[tuple[Codes, Floats]]()
            ranges, at = own.ranges if own else ((first_row, rows),), 0
            for first, count in ranges:
                draw, codes = (
                    Draw(own.seed if own else seed, number, first),
                    [one[at : at + count] for one in former],
                )
                if ~place in decided:
                    draws.append((decided[place], decided[~place]))
                elif place in decided:
                    draws.append(self.engine.draw_rows(self._places_of_bins[place], [decided[place]], draw, count))
                else:
                    draws.append(self._drawn(place, codes, draw, count, by_trees=by_trees))
                at += count
            drawn_codes, places = map(_joined, zip(*draws, strict=True))
            of_rows, coded = own.places if own else None, {place: drawn_codes}
            if by_trees:
                coded |= structure.codes_of_parts(place, drawn_codes, places)
            for part, part_codes in coded.items():
                bins[part], bins_of_rows[part] = part_codes, _taken(part_codes, of_rows)
                levels[part] = own.level if own else 0
            codes = to_numpy(bins_of_rows[place])
            columns[place] = codes if by_trees else self._any_bin(place, codes), to_numpy(_taken(places, of_rows))
        return [columns[place] for place in range(len(structure.nodes))]


def _share_of_bins(bins: Bins) -> Floats:
    """Share of each bin's values that are left of it."""
    share: Floats = np.add.reduceat(bins.mass, bins.first[:-1])
    return share


def _joined(parts: Sequence[Any]) -> Any:
    """Arrays one after the other, where they lie."""
    return parts[0] if len(parts) == 1 else namespace_of(parts[0]).concatenate(parts)


def _taken(values: Any, places: Ints | None) -> Any:
    """Values at some places, where they lie; None takes them as they are."""
    return values if places is None else values[namespace_of(values).asarray(places)]

"""Rows drawn from trees or a network: every row is a function of its number, whichever rows are drawn with it.

A column of a row takes the four words of Philox4x32-10 (Salmon et al. 2011) at the row's number, as
`Engine.draw_in_trees` and `Engine.draw_rows` say. Cumulative probabilities of pieces are whole numbers of 2^-32, which
words are compared with, so that all engines draw the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
        For each row, or key of the level below, the place of its key in these ranges.
    """

    seed: int
    ranges: tuple[tuple[int, int], ...]
    places: Ints

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
        return propagate(self.network, self.trees.evidence)

    @cached_property
    def _columns(self) -> tuple[DrawnColumn, ...]:
        """Distributions that rows of each node are drawn from."""
        return tuple(self._column(place) for place in range(len(self.network.structure.nodes)))

    def _column(self, place: int) -> DrawnColumn:
        structure, tables = self.network.structure, self.network.tables[place]
        axis, parents = structure.axes[place], structure.parents[place]
        bins = self.conditions.get(place, axis.bins)
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
            bins, size = self.conditions.get(place, every), len(every)
            own = Lottery.of(np.eye(size).ravel(), np.arange(0, size * size, size))
            pieces = Lottery.of(bins.mass, bins.first[:-1])
            columns.append(DrawnColumn(own, None, pieces, bins.low, bins.high, 1, nothing))
        return tuple(columns)

    @cached_property
    def trees(self) -> ConditionedTrees:
        """Trees of the columns up to the last one with a condition."""
        evidence = {place: np.add.reduceat(bins.mass, bins.first[:-1]) for place, bins in self.conditions.items()}
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

    def rows(self, first_row: int, rows: int, seed: int, keys: Mapping[int, Sequence[KeyTable]] | None = None) -> Drawn:
        """Consecutive rows, by node: the bin of each, and its place in a piece of the bin.

        A place is a number of the plain codec, or the index of a modal value or a category. With conditions rows are
        those of the trees that meet them; where hardly any does, or columns are drawn for keys, rows are drawn from the
        network of parents.

        Parameters
        ----------
        first_row, rows : int
            The rows.
        seed : int
            Seed of the columns that are drawn for each row.
        keys : mapping of int to sequence of KeyTable, optional
            By node, of columns that are drawn for each key: the tables of the finest keys, of the next level, and so
            on up to the keys that they are drawn for.
        """
        structure, tables = self.network.structure, keys or {}
        by_trees = not self.conditions or (not tables and self.trees.is_exact)
        order = structure.order if by_trees else range(len(structure.nodes))
        decided = self.trees.codes(first_row, rows, seed) if by_trees and self.conditions else {}
        bins, bins_of_rows = dict[int, Codes](), dict[int, Codes]()  # where the engine draws, also of parts
        tables_of = dict[int, Sequence[KeyTable]]()
        columns: dict[int, tuple[Codes, Floats]] = {}
        for place in order:
            own, others = tables.get(place, ()), structure.trees[place].asked if by_trees else structure.parents[place]
            former = [
                _in_rows(bins[other], tables_of[other][len(own) :]) if own else bins_of_rows[other] for other in others
            ]
            number, draws = column_number(structure.nodes[place].name), list[tuple[Codes, Floats]]()
            ranges, at = own[-1].ranges if own else ((first_row, rows),), 0
            for first, count in ranges:
                draw, codes = (
                    Draw(own[-1].seed if own else seed, number, first),
                    [one[at : at + count] for one in former],
                )
                if ~place in decided:
                    draws.append((decided[place], decided[~place]))
                elif place in decided:
                    draws.append(self.engine.draw_rows(self._places_of_bins[place], [decided[place]], draw, count))
                else:
                    draws.append(self._drawn(place, codes, draw, count, by_trees=by_trees))
                at += count
            codes_of_column, places = map(_joined, zip(*draws, strict=True))
            for at, codes_at in (
                {place: codes_of_column} | structure.codes_of_parts(place, codes_of_column, places)
            ).items():
                bins[at], bins_of_rows[at], tables_of[at] = codes_at, _in_rows(codes_at, own), own
            columns[place] = to_numpy(bins_of_rows[place]), to_numpy(_in_rows(places, own))
        return [columns[place] for place in range(len(structure.nodes))]


def _joined(parts: Sequence[Any]) -> Any:
    """Arrays one after the other, where they lie."""
    return parts[0] if len(parts) == 1 else namespace_of(parts[0]).concatenate(parts)


def _in_rows(values: Any, tables: Sequence[KeyTable]) -> Any:
    """What keys have, in the keys of lower levels, or the rows, that belong to them."""
    for table in reversed(tables):
        values = values[namespace_of(values).asarray(table.places)]
    return values

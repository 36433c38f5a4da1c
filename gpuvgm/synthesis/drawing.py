"""Rows drawn from a network: every row is a function of its number, whichever rows are drawn with it.

A column of a row takes the four words of Philox4x32-10 (Salmon et al. 2011) at the row's number, as `Engine.draw_rows`
says. Cumulative probabilities are whole numbers of 2^-32, which words are compared with, so that all engines draw the
same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import to_numpy
from gpuvgm.engines import Engine
from gpuvgm.engines.base import philox_words
from gpuvgm.engines.tables import Draw, DrawnColumn, Lottery
from gpuvgm.summary.grid import Floats
from gpuvgm.synthesis.bins import Bins, Codes
from gpuvgm.synthesis.messages import Messages, propagate
from gpuvgm.synthesis.network import Network

Drawn = list[tuple[Codes, Floats]]


def column_number(name: str) -> int:
    """Column part of the generator's counter, another one than that of transform."""
    return int.from_bytes(sha256(b"sample " + name.encode()).digest()[:8], "big")


def shuffled(numbers: NDArray[np.uint64], count: int, name: str, seed: int) -> NDArray[np.uint64]:
    """Other numbers below `count` for numbers below it, no two the same, as if drawn.

    A Feistel network of four rounds is applied again where it leaves the range (Black & Rogaway, 2002).
    """
    half = np.uint64((max(count - 1, 1).bit_length() + 1) // 2)
    mask = np.uint64((1 << int(half)) - 1)

    def permute(left: NDArray[np.uint64], right: NDArray[np.uint64]) -> NDArray[np.uint64]:
        for round_ in range(4):
            word = philox_words(right, column_number(f"{name}/round {round_}"), seed)[0]
            left, right = right, left ^ (word & mask)
        return left << half | right

    permutation = permute(numbers >> half, numbers & mask)
    while (is_outside := permutation >= np.uint64(count)).any():
        permutation[is_outside] = permute(permutation[is_outside] >> half, permutation[is_outside] & mask)
    return permutation


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
        evidence = {place: np.add.reduceat(bins.mass, bins.first[:-1]) for place, bins in self.conditions.items()}
        return propagate(self.network, evidence)

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
        for bins in self.network.structure.bins:
            size = len(bins)
            own = Lottery.of(np.eye(size).ravel(), np.arange(0, size * size, size))
            pieces = Lottery.of(bins.mass, bins.first[:-1])
            columns.append(DrawnColumn(own, None, pieces, bins.low, bins.high, 1, nothing))
        return tuple(columns)

    def _rows_of_trees(self, first_row: int, rows: int, seed: int) -> Drawn:
        """Consecutive rows without conditions."""
        structure, drawn = self.network.structure, dict[int, Codes]()
        columns: dict[int, tuple[Codes, Floats]] = {}
        for place in structure.order:
            node, draw = structure.trees[place], Draw(seed, column_number(structure.nodes[place].name), first_row)
            asked = [drawn[other] for other in node.asked]
            codes = self.engine.draw_in_trees(node.trees, asked, self.network.shares[place], draw, rows)
            drawn[place], places = self.engine.draw_rows(self._places_of_bins[place], [codes], draw, rows)
            columns[place] = to_numpy(drawn[place]), to_numpy(places)
        return [columns[place] for place in range(len(structure.nodes))]

    def rows(self, first_row: int, rows: int, seed: int) -> Drawn:
        """Consecutive rows, by node: the bin of each, and its place in a piece of the bin.

        A place is a number of the plain codec, or the index of a modal value or a category.
        """
        if not self.conditions:
            return self._rows_of_trees(first_row, rows, seed)
        columns: Drawn = []
        structure, bins = self.network.structure, list[Codes]()  # where the engine draws
        for node, column, parents in zip(structure.nodes, self._columns, structure.parents, strict=True):
            draw = Draw(seed, column_number(node.name), first_row)
            codes, places = self.engine.draw_rows(column, [bins[parent] for parent in parents], draw, rows)
            bins.append(codes)
            columns.append((to_numpy(codes), to_numpy(places)))
        return columns

"""Rows drawn from a network: every row is a function of its number, whichever rows are drawn with it.

A column of a row takes the four words of Philox4x32-10 (Salmon et al. 2011) at the row's number, as `Engine.draw_rows`
says. Cumulative probabilities are whole numbers of 2^-32, which words are compared with, so that all engines draw the
same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gpuvgm.arrays import to_numpy
from gpuvgm.engines import Engine
from gpuvgm.engines.tables import Draw, DrawnColumn, Lottery
from gpuvgm.summary.grid import Floats
from gpuvgm.synthesis.bins import Bins, Codes
from gpuvgm.synthesis.conditioned import ConditionedTrees
from gpuvgm.synthesis.messages import Messages, propagate
from gpuvgm.synthesis.network import Network
from gpuvgm.synthesis.streams import column_number

Drawn = list[tuple[Codes, Floats]]


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

    def _codes(self, place: int, drawn: Mapping[int, Codes], first_row: int, rows: int, seed: int) -> Codes:
        """Bins of a column for consecutive rows, given those of columns before it, where the engine draws."""
        structure = self.network.structure
        node, draw = structure.trees[place], Draw(seed, column_number(structure.nodes[place].name), first_row)
        asked = [drawn[other] for other in node.asked]
        return self.engine.draw_in_trees(node.trees, asked, self.network.shares[place], draw, rows)

    def _rows_of_trees(self, first_row: int, rows: int, seed: int) -> Drawn:
        """Consecutive rows, by the trees."""
        structure, columns = self.network.structure, dict[int, tuple[Codes, Floats]]()
        drawn = self.trees.codes(first_row, rows, seed) if self.conditions else dict[int, Codes]()
        for place in structure.order:
            if place not in drawn:
                drawn[place] = self._codes(place, drawn, first_row, rows, seed)
            draw = Draw(seed, column_number(structure.nodes[place].name), first_row)
            drawn[place], places = self.engine.draw_rows(self._places_of_bins[place], [drawn[place]], draw, rows)
            columns[place] = to_numpy(drawn[place]), to_numpy(places)
        return [columns[place] for place in range(len(structure.nodes))]

    def rows(self, first_row: int, rows: int, seed: int) -> Drawn:
        """Consecutive rows, by node: the bin of each, and its place in a piece of the bin.

        A place is a number of the plain codec, or the index of a modal value or a category. With conditions rows are
        those of the trees that meet them; where hardly any does, rows are drawn from the network of parents.
        """
        if not self.conditions or self.trees.is_exact:
            return self._rows_of_trees(first_row, rows, seed)
        columns: Drawn = []
        structure, bins = self.network.structure, list[Codes]()  # where the engine draws
        for node, column, parents in zip(structure.nodes, self._columns, structure.parents, strict=True):
            draw = Draw(seed, column_number(node.name), first_row)
            codes, places = self.engine.draw_rows(column, [bins[parent] for parent in parents], draw, rows)
            bins.append(codes)
            columns.append((to_numpy(codes), to_numpy(places)))
        return columns

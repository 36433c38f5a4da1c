"""Rows drawn from trees or a network: every row is a function of its number, whichever rows are drawn with it.

A column of a row takes the four words of Philox4x32-10 (Salmon et al. 2011) at the row's number, as
`Engine.draw_in_trees` and `Engine.draw_rows` say. Cumulative probabilities of pieces are whole numbers of 2^-32, which
words are compared with, so that all engines draw the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import beside, namespace_of, to_numpy
from gpuvgm.engines import Draw, DrawnColumn, Engine, Lottery
from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.bins import Bins, Codes
from gpuvgm.synthesis.counts import Network
from gpuvgm.synthesis.drawing.coded_rows import CodedRows, taken_rows
from gpuvgm.synthesis.drawing.conditioned import ConditionedTrees
from gpuvgm.synthesis.drawing.messages import Messages, propagate
from gpuvgm.synthesis.keys import column_number

Drawn = list[tuple[Codes, Floats]]
MOST_AGAIN = 16  # draws of a bin that is to be none of some


@dataclass(frozen=True, slots=True)
class KeyTable:
    """Keys of one level, which are drawn as rows are.

    Parameters
    ----------
    seed : int
        Seed of the draws.
    numbers : ndarray of shape (keys,), uint64
        Numbers of the keys, ascending.
    places : ndarray of shape (rows,), int64
        For each row the place of its key among them.
    level : int
        Level of the keys.
    above : mapping of int to ndarray of shape (keys,), int64
        By level above, the place of the key that each of these keys belongs to in the table of that level.
    lacking : ndarray of shape (keys,), uint16
        As `codes_of_lacking` gives it: 0, or which levels the rows of what is no key lack.
    """

    seed: int
    numbers: NDArray[np.uint64]
    places: Ints
    level: int = 0
    above: Mapping[int, Ints] = field(default_factory=dict)
    lacking: Codes = field(default_factory=lambda: np.empty(0, np.uint16))

    @classmethod
    def of(cls, numbers: NDArray[np.uint64], seed: int) -> KeyTable:
        """The keys that have given numbers, and those between where there are few of them."""
        if len(numbers):
            first, last = numbers.min(), numbers.max()
            if int(last - first) < len(numbers):
                between = np.arange(int(last - first) + 1, dtype=np.uint64)
                return cls(seed, first + between, (numbers - first).astype(np.int64))
        distinct, places = np.unique(numbers, return_inverse=True)
        return cls(seed, distinct, places)


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
        for place, whole_bins in enumerate(self.network.structure.bins):
            bins = self.conditions.get(place, whole_bins)
            pieces = Lottery.of(bins.mass, bins.first[:-1])
            columns.append(DrawnColumn(None, None, pieces, bins.low, bins.high, 1, nothing))
        return tuple(columns)

    @cached_property
    def trees(self) -> ConditionedTrees:
        """Trees of the columns up to the last one with a condition."""
        evidence = {place: bins.shares for place, bins in self.conditions.items()}
        computed = frozenset(place for place, column in self._of_trees_in_turn.items() if not column.is_learnt)
        return ConditionedTrees(self.network, evidence, self._codes, self.engine, computed)

    def _codes(self, place: int, former: CodedRows, numbers: NDArray[np.uint64], seed: int) -> CodedRows:
        """Bins of a column for rows, given those of columns before it; see `ConditionedTrees`."""
        structure, computed = self.network.structure, self._of_trees_in_turn.get(place)
        draw, rows = RowsToDraw(seed, numbers).draw(structure.nodes[place].name), len(numbers)
        sources = former.of_places(computed.sources) if computed else CodedRows()
        if computed is not None and not computed.is_drawn:
            return self._by_law(computed, place, sources, by_trees=True)
        asked = [former.codes[asked_place] for asked_place in structure.trees[place].asked]
        codes = former.codes[place] if place in former.codes else self._of_trees(place, asked, draw, rows)
        if place not in structure.parts_of and computed is None and place not in _sources(self._of_trees_in_turn):
            return CodedRows({place: codes})
        codes, readings = self._within(place, codes, draw, rows)
        if computed is not None:
            return self._by_law(computed, place, sources | CodedRows.of_column(place, codes, readings), by_trees=True)
        return self._with_parts(CodedRows.of_column(place, codes, readings), place)

    def _with_parts(self, column: CodedRows, place: int) -> CodedRows:
        """A column with the codes of its parts."""
        codes, readings = column.codes[place], column.readings[place]
        return column | CodedRows(self.network.structure.codes_of_parts(place, codes, readings, self.engine))

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
            are_barred = xp.asarray(barred)[codes]
            if not are_barred.any():
                break
            stream = f"{self.network.structure.nodes[place].name}/again/{attempt}"
            more = replace(draw, column=column_number(stream))
            redrawn = self.engine.draw_in_trees(trees, asked, shares, more, len(codes))
            codes = xp.where(are_barred, beside(redrawn, codes), codes)
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
        numbers: NDArray[np.uint64],
        seed: int,
        keys: Mapping[int, KeyTable] | None = None,
        given: CodedRows | None = None,
        stop: int | None = None,
    ) -> Drawn:
        """Rows, by node: the bin of each, and its place in a piece of the bin.

        A place is a number of the plain codec, or the index of a modal value or a category. With conditions rows are
        those of the trees that meet them; where hardly any does, columns are drawn for keys, or there are no trees,
        rows are drawn from the network of parents.

        Parameters
        ----------
        numbers : ndarray of shape (rows,), uint64
            Numbers of the rows.
        seed : int
            Seed of the columns that are drawn for each row.
        keys : mapping of int to KeyTable, optional
            By node, the keys of columns that are drawn for each key.
        given : CodedRows, optional
            Columns that are drawn for each row already, or given, with their parts if these are known.
        stop : int, optional
            How many columns are drawn, in their order; of others nothing is given.
        """
        structure, tables = self.network.structure, keys or {}
        by_trees = bool(structure.trees) and (not self.conditions or (not tables and self.trees.is_exact))
        order = structure.order if by_trees else range(len(structure.nodes))
        decided = self.trees.codes(numbers, seed) if by_trees and self.conditions else CodedRows()
        decided = decided if given is None else decided | given
        computed = self._of_trees_in_turn if by_trees else self.computed(order)
        turns = _Turns(self, by_trees, computed, decided, RowsToDraw(seed, numbers))
        before, sources, columns = _Former(), _sources(computed), dict[int, tuple[Codes, Floats]]()
        for place in order[:stop]:
            table = tables.get(place)
            column = turns.column(place, before, table)
            columns[place] = self._of_rows(place, column, table, by_trees=by_trees)
            before = before.followed_by(column if place in sources else CodedRows(column.codes), table)
        nothing = np.empty(0, np.uint16), np.empty(0)
        return [columns.get(place, nothing) for place in range(len(structure.nodes))]

    def _of_rows(
        self, place: int, column: CodedRows, table: KeyTable | None, *, by_trees: bool
    ) -> tuple[Codes, Floats]:
        """Bins of a column and places in them that rows have, on the host, of what is drawn for them or their keys."""
        rows = table.places if table else None
        codes, readings = (to_numpy(taken_rows(of_place[place], rows)) for of_place in (column.codes, column.readings))
        return codes if by_trees else self._any_bin(place, codes), readings

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
        draw = RowsToDraw(keys.seed, keys.numbers).draw(stream)
        drawn_bins, readings = map(to_numpy, self.engine.draw_rows(column, [bins], draw, len(bins)))
        return drawn_bins[keys.places], readings[keys.places]

    def _by_law(self, column: ComputedColumn, place: int, rows: CodedRows, *, by_trees: bool) -> CodedRows:
        """Bins of a computed column, on the host, its places where it was drawn, and the codes of its parts.

        Of its sources, and of it where it was drawn.
        """
        pairs = dict[int, tuple[Codes, Floats]]()
        for source, readings in rows.readings.items():
            source_codes = to_numpy(rows.codes[source])
            pairs[source] = source_codes if by_trees else self._any_bin(source, source_codes), to_numpy(readings)
        codes, parts = column.codes(pairs)
        within = rows.readings[place] if column.is_drawn else np.zeros(len(codes))
        if by_trees:
            return CodedRows({place: codes, **parts}, {place: within})
        return CodedRows.of_column(place, self.network.structure.in_network(place, codes), within)


@dataclass(frozen=True)  # no slots: whether numbers follow each other is cached
class RowsToDraw:
    """Rows or keys that are drawn together.

    Parameters
    ----------
    seed : int
        Seed of the draws.
    numbers : ndarray of shape (rows,), uint64
        Their numbers.
    """

    seed: int
    numbers: NDArray[np.uint64]

    def draw(self, stream: str) -> Draw:
        """What draws a column of them; numbers that follow each other need not lie in memory."""
        first = int(self.numbers[0]) if len(self.numbers) else 0
        return Draw(self.seed, column_number(stream), first, numbers=None if self._follow else self.numbers)

    @cached_property
    def _follow(self) -> bool:
        """Whether the numbers follow each other."""
        return bool((np.diff(self.numbers) == 1).all())


@dataclass(frozen=True, slots=True)
class _Turns:
    """Draws columns in their turn.

    Parameters
    ----------
    drawing : Drawing
        What draws.
    by_trees : bool
        Whether trees draw, or the network of parents.
    computed : mapping of int to ComputedColumn
        Columns that laws compute.
    decided : CodedRows
        Columns that are drawn already, and bins of which the readings are to be drawn.
    rows : RowsToDraw
        The rows.
    """

    drawing: Drawing
    by_trees: bool
    computed: Mapping[int, ComputedColumn]
    decided: CodedRows
    rows: RowsToDraw

    def column(self, place: int, before: _Former, table: KeyTable | None) -> CodedRows:
        """A column of all rows, or of all keys of a table, given the columns before it."""
        structure, computed = self.drawing.network.structure, self.computed.get(place)
        if computed is None and place in self.decided.readings:
            return self._decided(place)
        asked = structure.trees[place].asked if self.by_trees else structure.parents[place]
        if table:
            before = before.with_lacking(structure.keys_asked, table)
        asked_rows = before.beside(asked, table)
        codes = [asked_rows.codes[asked_place] for asked_place in asked]
        if computed is not None:
            sources = before.beside(computed.sources, table)
            rows = sources | self._drawn(place, codes, table) if computed.is_drawn else sources
            return self.drawing._by_law(computed, place, rows, by_trees=self.by_trees)
        column = self._drawn(place, codes, table)
        return self.drawing._with_parts(column, place) if self.by_trees else column

    def _decided(self, place: int) -> CodedRows:
        """A column that is drawn or given already, with its parts."""
        column, parts = self.decided.of_places([place]), self.drawing.network.structure.parts_of.get(place, ())
        if self.by_trees and not self.decided.codes.keys() >= {*parts}:
            return self.drawing._with_parts(column, place)
        return column | self.decided.of_places([part for part in parts if part in self.decided.codes])

    def _drawn(self, place: int, asked: Sequence[Codes], table: KeyTable | None) -> CodedRows:
        """Bins of a column and places in them."""
        drawing, decided = self.drawing, self.decided
        if place in decided.readings:
            return decided.of_places([place])
        rows = RowsToDraw(table.seed, table.numbers) if table else self.rows
        draw, count = rows.draw(drawing.network.structure.nodes[place].name), len(rows.numbers)
        if place in decided.codes:
            codes = drawing._without_barred(place, decided.codes[place], asked, draw)
            column = drawing.engine.draw_rows(drawing._places_of_bins[place], [codes], draw, count)
        else:
            column = drawing._drawn(place, asked, draw, count, by_trees=self.by_trees)
        return CodedRows.of_column(place, *column)


@dataclass(frozen=True, slots=True)
class _Former:
    """What is drawn of columns and parts before a column.

    Parameters
    ----------
    of_keys : CodedRows
        For keys, where a column is drawn for these; else for rows.
    of_rows : CodedRows
        For rows.
    levels : mapping of int to int
        Level of the keys by place; 0 where it is drawn for rows.
    """

    of_keys: CodedRows = field(default_factory=CodedRows)
    of_rows: CodedRows = field(default_factory=CodedRows)
    levels: Mapping[int, int] = field(default_factory=dict)

    def followed_by(self, column: CodedRows, table: KeyTable | None) -> _Former:
        """The same with a column, which is drawn for each key of a table or for each row."""
        rows, level = (table.places, table.level) if table else (None, 0)
        levels = {**self.levels, **dict.fromkeys(column.codes, level)}
        return _Former(self.of_keys | column, self.of_rows | column.at(rows), levels)

    def with_lacking(self, places: Iterable[int], table: KeyTable) -> _Former:
        """The same for the keys of a table: by places that say so, which keys the rows of what is no key lack."""
        return replace(self, of_keys=self.of_keys | CodedRows(dict.fromkeys(places, table.lacking)))

    def beside(self, places: Sequence[int], table: KeyTable | None) -> CodedRows:
        """What is drawn of places, for each key of a table that belongs to one of their keys, or for each row."""
        if table is None:
            return self.of_rows.of_places(places)
        columns = CodedRows()
        for place in places:
            above = table.above.get(self.levels.get(place, table.level))
            columns = columns | self.of_keys.of_places([place]).at(above)
        return columns


def _sources(columns: Mapping[int, ComputedColumn]) -> frozenset[int]:
    """Columns that values of computed ones are made of."""
    return frozenset(place for column in columns.values() for place in column.sources)

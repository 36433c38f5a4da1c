"""A step: the next row of each of several keys, given their rows before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuvgm.columns import CategoricalColumn, FittedColumn
from gpuvgm.engines import get_engine
from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.bins import code_finder
from gpuvgm.synthesis.drawing import CodedRows, MadeRows
from gpuvgm.synthesis.keys import seed_of_attempt
from gpuvgm.synthesis.sampling import RowDrawer
from gpuvgm.synthesis.sequences.occurrences import codes_in, is_yes
from gpuvgm.synthesis.sequences.recency import NEW, Recency, RecentValues
from gpuvgm.synthesis.sequences.rows import numbers_in_order

CANDIDATES = 8  # for each row that is drawn again
MOST_AGAIN = 8  # attempts to find one that may follow
DRAWN_AGAIN = -2  # in place of an attempt, and lower ones: seeds of rows that are drawn again as values repeat
MOST_RECALLED = 16  # attempts to find a value that comes back, or a new one
RECALLED_AGAIN = DRAWN_AGAIN - MOST_AGAIN  # and of values that are drawn again as they cannot come back

Arrays = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Recall:
    """A column of which values come back in the next row.

    Parameters
    ----------
    recency : Recency
        The column.
    drawer : RowDrawer
        Draws rows given such columns before it.
    recent : RecentValues
        The values of each key that may.
    """

    recency: Recency
    drawer: RowDrawer
    recent: RecentValues

    def drawn(self, numbers: NDArray[np.uint64], seed: int, given: CodedRows, places: Ints) -> CodedRows:
        """What is known of the next row of some keys, with this column.

        Parameters
        ----------
        numbers : ndarray of shape (rows,), uint64
            Numbers of the rows.
        seed : int
            Their seed.
        given : CodedRows
            What is known of them already.
        places : ndarray of shape (rows,), int64
            Places of their keys.
        """
        # Whether a value comes back is drawn once; which one, until there is one.
        recent, former = self.recent.at(places), self._columns(numbers, seed, given, self._position(self.recency.name))
        ranks, values = self._values(numbers, seed, former, recent)
        for attempt in range(MOST_RECALLED):
            wrong = np.flatnonzero(recent.lack(ranks, values))
            if not len(wrong):
                break
            again = seed_of_attempt(seed, RECALLED_AGAIN - attempt)
            redrawn = self._values(numbers[wrong], again, former.at(wrong), recent.at(wrong))
            ranks[wrong], values[wrong] = redrawn
        wrong = np.flatnonzero(recent.lack(ranks, values))
        ranks[wrong], values[wrong] = 1, recent.codes[wrong, 0]
        made = {**self.recency.of_ranks(ranks), self.recency.column: self._column.category_values()(values)}
        return given_columns(self.drawer, made, given)

    def _columns(self, numbers: NDArray[np.uint64], seed: int, given: CodedRows, stop: int) -> CodedRows:
        """What is known of rows, with what is drawn of them before a place in the order."""
        drawing, structure = self.drawer.drawing, self.drawer.network.structure
        drawn = drawing.rows(numbers, seed, given=given, stop=stop)
        for place in structure.order[:stop]:
            if place not in given.codes:
                given = given | CodedRows.of_column(place, *drawn[place])
        return given

    def _values(
        self, numbers: NDArray[np.uint64], seed: int, former: CodedRows, recent: RecentValues
    ) -> tuple[Ints, Ints]:
        """Ranks of rows, and places of the categories that come back or are new; -1 for none.

        A first row has a new one, whatever its trees say, which first rows are few of.
        """
        rows = self._columns(numbers, seed, former, self._position(self.recency.column) + 1)
        names, place_of = (*self.recency.drawn, self.recency.column), self.drawer.place_of
        codes = {name: rows.readings[place_of[name]].astype(np.int64) for name in names}
        columns: Any = self.drawer.model.by_name
        sizes = {name: len(columns[name].categories) for name in self.recency.drawn}
        texts = (columns[name].category_values()(np.arange(size)) for name, size in sizes.items())
        novelties, ranks_of_codes = is_yes(next(texts)), self.recency.ranks(next(texts))
        are_new = (recent.varieties == 0) | novelties[codes[self.recency.novelty]]
        ranks = np.where(are_new, NEW, ranks_of_codes[codes[self.recency.name]])
        old = np.where(ranks == NEW, -1, recent.recalled(np.maximum(ranks, 1)))
        return ranks, np.where(are_new, codes[self.recency.column], old)

    def _position(self, name: str) -> int:
        """Which column is drawn at its turn, from 0 on."""
        structure = self.drawer.network.structure
        return structure.order.index(structure.place_of[name])

    @property
    def _column(self) -> Any:
        return self.drawer.model.by_name[self.recency.column]

    def after(self, made: MadeRows) -> RecentValues:
        """The values that may come back after a row of each key."""
        return self.recent.followed_by(codes_in(self._column, made.arrays[self.recency.column]))


@dataclass(frozen=True, slots=True)
class Step:
    """The next row of keys.

    Parameters
    ----------
    drawer : RowDrawer
        Draws rows given those before, and the columns of which values come back.
    keys : ndarray of shape (keys,), uint64
        Numbers of the keys.
    given : CodedRows
        What is known of them and their rows before.
    seeds : tuple of (int, int)
        Seed of the step, and that of what other keys of the rows have, which come back in other steps.
    columns : mapping of str to FittedColumn
        The fitted columns of the table, whose numbers may have other origins than those of the drawer's columns.
    bounds : mapping of str to (ndarray of shape (keys,), ndarray of shape (keys,))
        By column that rises along rows, its lowest and highest numbers, those of the table's column; NaN for none.
    recalls : sequence of Recall
        Columns of which values come back, in the order in which they are drawn.
    """

    drawer: RowDrawer
    keys: NDArray[np.uint64]
    given: CodedRows
    seeds: tuple[int, int]
    columns: Mapping[str, FittedColumn]
    bounds: Mapping[str, tuple[Floats, Floats]]
    recalls: Sequence[Recall] = ()

    def rows(self, rows_before: Mapping[str, Sequence[Floats]]) -> MadeRows:
        """The rows, drawn again while they have a value that their key has already, or one beyond its bounds.

        Parameters
        ----------
        rows_before : mapping of str to sequence of ndarray
            By column of which no key has a value twice, its readings in all rows before, by place, of at least as many
            keys.
        """
        former = {name: [rows[: len(self.keys)] for rows in places] for name, places in rows_before.items()}
        every = np.arange(len(self.keys))
        seed, _ = self.seeds
        made = self._drawn(every, self.keys, seed)
        wrong = self._wrong(made, former, every)
        for attempt in range(MOST_AGAIN):
            if not wrong.any():
                break
            places = np.repeat(np.flatnonzero(wrong), CANDIDATES)
            candidates = np.tile(np.arange(CANDIDATES, dtype=np.uint64), len(places) // CANDIDATES)
            numbers = self.keys[places] * np.uint64(CANDIDATES) + candidates
            redrawn = self._drawn(places, numbers, seed_of_attempt(seed, DRAWN_AGAIN - attempt))
            fitting = np.flatnonzero(~self._wrong(redrawn, former, places))
            changed, first = np.unique(places[fitting], return_index=True)
            made = made.replaced(changed, redrawn, fitting[first])
            wrong[changed] = False
        return made

    def _drawn(self, places: Ints, numbers: NDArray[np.uint64], seed: int) -> MadeRows:
        """Rows of some keys, with the values that come back."""
        given = self.given.at(places)
        for recall in self.recalls:
            given = recall.drawn(numbers, seed, given, places)
        return self.drawer.rows(numbers, seed, given, self.seeds[1])

    def _wrong(self, made: MadeRows, former: Mapping[str, Sequence[Floats]], places: Ints) -> NDArray[np.bool_]:
        """Which rows have a value that their key has already, or one beyond its bounds."""
        wrong = np.zeros(len(places), np.bool_)
        for name, rows_before in former.items():
            readings = readings_of(self.columns[name], made.arrays[name])
            for before in rows_before:
                wrong |= readings == before[places]
        for name, (lowest, highest) in self.bounds.items():
            numbers = numbers_in_order(self.columns[name], made.arrays[name])
            wrong |= (numbers < lowest[places]) | (numbers > highest[places])
        return wrong


def given_columns(drawer: RowDrawer, arrays: Arrays, coded: CodedRows | None = None) -> CodedRows:
    """Bins of the values of columns that are not drawn, and their numbers or categories.

    Parameters
    ----------
    drawer : RowDrawer
        Draws the other columns.
    arrays : mapping of str to Array
        The values.
    coded : CodedRows, optional
        Columns of which that is known already.
    """
    structure, columns, engine = drawer.network.structure, drawer.model.by_name, get_engine(drawer.engine)
    coded = coded or CodedRows()
    for name in arrays.keys() & structure.place_of.keys():
        place = structure.place_of[name]
        if place in coded.codes:
            continue
        codes, parts = code_finder(columns, structure.bins[place], structure.parts, engine)(arrays.__getitem__)
        of_parts = {structure.place_of_part[part]: part_codes for part, part_codes in parts.items()}
        readings = readings_of(columns[name], arrays[name])
        coded = coded | CodedRows({place: codes, **of_parts}, {place: readings})
    return coded


def columns_by_themselves(drawer: RowDrawer, arrays: Arrays) -> Arrays:
    """Those columns whose bins are made of none but these."""
    origins = {bins.name: bins.made_of for bins in drawer.network.structure.bins}
    return {name: array for name, array in arrays.items() if origins.get(name) in (None, *arrays)}


def readings_of(column: FittedColumn, array: Any) -> Floats:
    """Numbers of a column's values, or its categories."""
    if isinstance(column, CategoricalColumn):
        return np.asarray(column.index.find(array), np.float64)
    numeric: Any = column
    numbers: Floats = np.asarray(numeric.all_numbers(array), np.float64)
    return numbers if np.isfinite(numbers).all() else np.nan_to_num(numbers)

"""A step: the next row of each of several keys, given their rows before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuvgm.columns import CategoricalColumn, FittedColumn
from gpuvgm.datasets import RowRange
from gpuvgm.engines import get_engine
from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.bins import code_finder
from gpuvgm.synthesis.drawing import CodedRows, MadeRows
from gpuvgm.synthesis.keys import seed_of_attempt
from gpuvgm.synthesis.sampling import RowDrawer, ranges_of_marked

MOST_AGAIN = 64  # attempts for a row to have no value that its key has already
DRAWN_AGAIN = -2  # in place of an attempt, and lower ones: seeds of rows that are drawn again as values repeat

Arrays = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """The next row of consecutive keys.

    Parameters
    ----------
    drawer : RowDrawer
        Draws rows given those before.
    keys : RowRange
        Numbers of the keys.
    given : CodedRows
        What is known of them and their rows before.
    seed : int
        Seed of the step.
    """

    drawer: RowDrawer
    keys: RowRange
    given: CodedRows
    seed: int

    def rows(self, distinct: Sequence[str], rows_before: Sequence[Arrays]) -> MadeRows:
        """The rows, drawn again while they have a value of a column that their key has already.

        Parameters
        ----------
        distinct : sequence of str
            Columns of which no key has a value twice.
        rows_before : sequence of mapping of str to Array
            All rows before, by place, of at least as many keys.
        """
        former = {name: [self._readings(name, rows)[: self.keys.rows] for rows in rows_before] for name in distinct}
        every = np.arange(self.keys.rows)
        made = self._drawn(every, self.seed)
        repeated = self._repeated(made, former, every)
        for attempt in range(MOST_AGAIN):
            if not repeated.any():
                break
            for part in ranges_of_marked(repeated):
                places = every[part.first_row : part.first_row + part.rows]
                redrawn = self._drawn(places, seed_of_attempt(self.seed, DRAWN_AGAIN - attempt))
                accepted = np.flatnonzero(repeated[places] & ~self._repeated(redrawn, former, places))
                made = made.replaced(places[accepted], redrawn, accepted)
                repeated[places[accepted]] = False
        return made

    def _drawn(self, places: Ints, seed: int) -> MadeRows:
        """Rows of keys that follow each other."""
        part = RowRange(self.keys.first_row + int(places[0]), len(places))
        return self.drawer.rows(part, seed, self.given.at(places))

    def _repeated(self, made: MadeRows, former: Mapping[str, Sequence[Floats]], places: Ints) -> NDArray[np.bool_]:
        """Which rows have a value that their key has already."""
        repeated = np.zeros(len(places), np.bool_)
        for name, rows_before in former.items():
            readings = self._readings(name, made.arrays)
            for before in rows_before:
                repeated |= readings == before[places]
        return repeated

    def _readings(self, name: str, rows: Arrays) -> Floats:
        return readings_of(self.drawer.model.by_name[name], rows[name])


def given_columns(drawer: RowDrawer, arrays: Arrays) -> CodedRows:
    """Bins of the values of columns that are not drawn, and their numbers or categories."""
    structure, columns, engine = drawer.network.structure, drawer.model.by_name, get_engine(drawer.engine)
    coded = CodedRows()
    for name in arrays.keys() & structure.place_of.keys():
        place = structure.place_of[name]
        codes, parts = code_finder(columns, structure.bins[place], structure.parts, engine)(arrays.__getitem__)
        of_parts = {structure.place_of_part[part]: part_codes for part, part_codes in parts.items()}
        readings = readings_of(columns[name], arrays[name])
        coded = coded | CodedRows({place: codes, **of_parts}, {place: readings})
    return coded


def readings_of(column: FittedColumn, array: Any) -> Floats:
    """Numbers of a column's values, or its categories."""
    if isinstance(column, CategoricalColumn):
        return np.asarray(column.index.find(array), np.float64)
    numeric: Any = column
    return np.nan_to_num(np.asarray(numeric.all_numbers(array), np.float64))

"""Rows under conditions where keys have attributes: those of a sample without conditions that meet them.

A key's attributes are the same in all its rows, so that rows cannot be drawn until they meet conditions, each for
itself: keys would have too few rows, or too many. Instead rows are drawn key after key, and those that meet the
conditions stay. Rows are numbered in windows, each a stream of candidates of its own, so that all are functions of the
seed and their number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gpuvgm.datasets import RowRange
from gpuvgm.io import joined_arrays, taken
from gpuvgm.summary import Ints
from gpuvgm.synthesis.conditioned import LEAST_SHARE, LEAST_WITH_VALUES
from gpuvgm.synthesis.conditions import Finder
from gpuvgm.synthesis.identifiers import KeyNumbers
from gpuvgm.synthesis.streams import seed_of_attempt, shuffled
from gpuvgm.synthesis.values import replaced_rows

KEYS_OF_WINDOW = 128  # at least, of which the last one is cut off
LONGEST_SHUFFLE = 1 << 14  # rows that change places among themselves
MOST_OF_WINDOW = 1 << 20  # candidates
MOST_AT_ONCE = 1 << 16  # candidates that are drawn together
FEW = 32  # candidates that are drawn beyond those that are expected to do


@dataclass(frozen=True, slots=True)
class MadeRows:
    """Values of rows by modelled column, and numbers of their keys by group and level."""

    arrays: Mapping[str, Any]
    keys: KeyNumbers

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values()), ()))

    def joined(self, others: Sequence[MadeRows]) -> MadeRows:
        """These rows, and further ones."""
        if not others:
            return self
        every = (self, *others)
        arrays = {
            name: joined_arrays([rows.arrays[name] for rows in every], own.type) for name, own in self.arrays.items()
        }
        return MadeRows(arrays, {level: np.concatenate([rows.keys[level] for rows in every]) for level in self.keys})

    def replaced(self, places: Ints, other: MadeRows, chosen: Ints) -> MadeRows:
        """Rows with others at some places, which are chosen of other rows."""
        arrays = {
            name: replaced_rows(own, places, taken(other.arrays[name], chosen)) for name, own in self.arrays.items()
        }
        keys = {level: own.copy() for level, own in self.keys.items()}
        for level, own in keys.items():
            own[places] = other.keys[level][chosen]
        return MadeRows(arrays, keys)

    def taken(self, places: Ints) -> MadeRows:
        """The rows at some places."""
        arrays = {name: taken(own, places) for name, own in self.arrays.items()}
        return MadeRows(arrays, {level: own[places] for level, own in self.keys.items()})

    def numbered(self, first_row: int, levels: Mapping[str, int]) -> MadeRows:
        """These rows, whose keys are numbered in the order in which they come, none with a larger number than its row.

        Parameters
        ----------
        first_row : int
            Number of the first row, and of its key.
        levels : mapping of str to int
            Levels of each group; what keys have behind them are no numbers of keys.
        """
        keys = dict[tuple[str, int], NDArray[np.uint64]]()
        for (group, level), numbers in self.keys.items():
            first, own = np.unique(numbers, return_index=True, return_inverse=True)[1:]
            ranks = np.argsort(np.argsort(first)).astype(np.uint64) + np.uint64(first_row)
            keys[group, level] = ranks[own] if level < levels[group] else numbers
        return MadeRows(self.arrays, keys)


class Candidates(Protocol):
    """Rows without conditions, key after key."""

    @property
    def period(self) -> int:
        """Rows after which keys are others."""

    @property
    def pilot(self) -> tuple[MadeRows, int]:
        """Rows by which shares are found, as any sample has them, and how many were drawn for them."""

    @property
    def owners(self) -> tuple[str, int]:
        """Group and level of the keys whose rows follow each other."""

    @property
    def levels(self) -> Mapping[str, int]:
        """Levels of each group of keys."""

    def that_meet(
        self, part: RowRange, seed: int, tests: Mapping[str, Finder], first_row: int = 0
    ) -> tuple[MadeRows, int]:
        """Those of consecutive rows that keep all laws and meet conditions.

        First the columns are drawn that can be tested by themselves, of all rows. Those that meet these conditions are
        numbered from `first_row` on, and how many they are is given too: by these numbers the other columns are drawn.
        """


@dataclass(frozen=True)  # no slots: shares are cached
class FilteredRows:
    """Candidates that meet conditions.

    Row i is the one with number i mod M of a window's candidates that meet them, shuffled among the next few. M rows
    are some candidates of 128 keys at least; of each window the last key is cut off.

    Parameters
    ----------
    candidates : Candidates
        Rows without conditions.
    tests : mapping of str to callable
        By column, what marks the rows that meet a condition.
    least_share : float
        Share of the candidates that meet all, below which too many would be drawn.
    """

    candidates: Candidates
    tests: Mapping[str, Finder]
    least_share: float

    @cached_property
    def _met(self) -> tuple[float, float]:
        """Share of the candidates that meet the conditions, and how many rows of a key do where one does."""
        rows, drawn = self.candidates.pilot
        met = np.logical_and.reduce([test(rows.arrays[name]) for name, test in self.tests.items()])
        count = int(np.count_nonzero(met))
        keys = len(np.unique(rows.keys[self.candidates.owners][met]))
        return count / drawn, count / max(keys, 1)

    @property
    def is_exact(self) -> bool:
        """Whether as many candidates as needed can be drawn."""
        return self._met[0] >= self.least_share

    @property
    def is_slow(self) -> bool:
        """Whether hundreds are drawn for each row that meets the conditions."""
        return self.is_exact and self._met[0] < LEAST_SHARE

    @property
    def is_helped(self) -> bool:
        """Whether rows could be drawn if columns with conditions came first."""
        return LEAST_WITH_VALUES <= self._met[0] < self.least_share

    @cached_property
    def _lengths(self) -> tuple[int, int]:
        """Rows that change places among themselves: as many as meet the conditions in a period; and of a window."""
        share, rows_per_key = self._met
        shuffled_rows = int(min(max(round(share * self.candidates.period), 1), LONGEST_SHUFFLE))
        wanted = -(-int(KEYS_OF_WINDOW * rows_per_key) // shuffled_rows)
        return shuffled_rows, shuffled_rows * max(1, min(wanted, int(share * MOST_OF_WINDOW) // shuffled_rows))

    def rows(self, part: RowRange, seed: int) -> MadeRows:
        """Consecutive rows."""
        length, first, stop = self._lengths[1], part.first_row, part.first_row + part.rows
        if not part.rows:
            return self.first(0, seed)
        first_made, *made = [
            self._of_window(window, seed, range(max(first - window * length, 0), min(stop - window * length, length)))
            for window in range(first // length, -(-stop // length))
        ]
        return first_made.joined(made)

    def _of_window(self, window: int, seed: int, part: range) -> MadeRows:
        """Some rows of a window, by their places in it."""
        (shuffled_rows, length), own_seed = self._lengths, seed_of_attempt(seed, window)
        rows = min(-(-part.stop // shuffled_rows) * shuffled_rows, length)
        places = np.arange(rows, dtype=np.uint64)
        inside = places % np.uint64(shuffled_rows)
        order = (places - inside + shuffled(inside, shuffled_rows, "conditions", own_seed)).astype(np.int64)
        made = self.first(rows, own_seed).taken(order).numbered(window * length, self.candidates.levels)
        return made.taken(np.arange(part.start, part.stop))

    def first(self, rows: int, seed: int) -> MadeRows:
        """The first candidates of a seed that meet the conditions, key after key."""
        made, drawn, passed, count = list[MadeRows](), 0, 0, 0
        while not made or count < rows:
            expected = int((rows - count) / max(self._met[0], 1 / MOST_OF_WINDOW)) + FEW
            part = RowRange(drawn, min(expected, MOST_AT_ONCE) if rows else 0)
            met, numbered = self.candidates.that_meet(part, seed, self.tests, passed)
            made.append(met)
            drawn, passed, count = drawn + part.rows, passed + numbered, count + len(met)
        return made[0].joined(made[1:]).taken(np.arange(rows))

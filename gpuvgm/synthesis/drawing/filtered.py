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

from gpuvgm.datasets import RowRange
from gpuvgm.io import joined_arrays, replaced_rows, taken
from gpuvgm.summary import Ints
from gpuvgm.synthesis.bins import Finder
from gpuvgm.synthesis.drawing.conditioned import LEAST_SHARE, LEAST_WITH_VALUES
from gpuvgm.synthesis.keys import KeyNumbers, seed_of_attempt, shuffled

KEYS_OF_WINDOW = 128  # at least: the last key of a window is cut off, which should be one of many
LONGEST_SHUFFLE = 1 << 10  # rows that change places among themselves
LONGEST_WINDOW = 1 << 14  # rows; more where `KEYS_OF_WINDOW` keys have more
USUAL_OF_WINDOW, MOST_OF_WINDOW = 1 << 17, 1 << 20  # candidates of a window; the latter whatever its keys have
MOST_PILOT_ROWS = 1 << 18  # which show the share of the rows that meet rare conditions
APART = 1 << 32  # numbers from a window's first candidate to that of the next, more than a window can have
MOST_AT_ONCE = 1 << 16  # candidates that are drawn together
FEW = 32  # candidates beyond those that are expected to be enough


@dataclass(frozen=True, slots=True)
class MadeRows:
    """Values of rows by modelled column, and numbers of their keys by group and level."""

    arrays: Mapping[str, Any]
    keys: KeyNumbers

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values()), ()))

    def joined(self, further: Sequence[MadeRows]) -> MadeRows:
        """These rows, and further ones."""
        if not further:
            return self
        blocks = (self, *further)
        arrays = {
            name: joined_arrays([rows.arrays[name] for rows in blocks], array.type)
            for name, array in self.arrays.items()
        }
        return MadeRows(arrays, {level: np.concatenate([rows.keys[level] for rows in blocks]) for level in self.keys})

    def replaced(self, places: Ints, source: MadeRows, chosen: Ints) -> MadeRows:
        """These rows, with the chosen rows of a source in place of those at some places."""
        arrays = {
            name: replaced_rows(array, places, taken(source.arrays[name], chosen))
            for name, array in self.arrays.items()
        }
        keys = {level: numbers.copy() for level, numbers in self.keys.items()}
        for level, numbers in keys.items():
            numbers[places] = source.keys[level][chosen]
        return MadeRows(arrays, keys)

    def taken(self, places: Ints) -> MadeRows:
        """The rows at some places."""
        arrays = {name: taken(array, places) for name, array in self.arrays.items()}
        return MadeRows(arrays, {level: numbers[places] for level, numbers in self.keys.items()})

    def numbered(self, first_row: int, keys: Sequence[tuple[str, int]]) -> MadeRows:
        """These rows, with keys numbered in the order in which they come, none with a larger number than its row.

        Parameters
        ----------
        first_row : int
            Number of the first row, and of its keys.
        keys : sequence of (str, int)
            Groups and levels of the keys.
        """
        numbers = dict(self.keys)
        for key in keys:
            _, firsts, which = np.unique(numbers[key], return_index=True, return_inverse=True)
            ranks = np.argsort(np.argsort(firsts)).astype(np.uint64) + np.uint64(first_row)
            numbers[key] = ranks[which]
        return MadeRows(self.arrays, numbers)


@dataclass(frozen=True, slots=True)
class Window:
    """Numbers of the candidates of a stretch of rows.

    Parameters
    ----------
    seed : int
        The seed.
    number : int
        The place of the window among all of the seed.
    expected : int
        Candidates that are expected to be used. Keys whose rows do not follow each other go on in the next window after
        so many; further candidates have the keys of these candidates again.
    """

    seed: int
    number: int = 0
    expected: int = APART

    @property
    def first_row(self) -> int:
        """Number of the first candidate, by which rows and the keys that follow each other are drawn."""
        return self.number * APART % (1 << 63)

    @property
    def own_seed(self) -> int:
        """Seed of the order of keys, and of that of rows."""
        return seed_of_attempt(self.seed, self.number)

    def laps(self, part: RowRange) -> list[tuple[RowRange, int]]:
        """For keys that do not follow each other: the rows whose keys consecutive candidates have, and their seeds.

        Each `expected` candidates are a lap over the same rows, with a seed of its own.
        """
        stop, ranges = part.first_row + part.rows, list[tuple[RowRange, int]]()
        last = max(stop - 1, part.first_row)
        for lap in range(part.first_row // self.expected, last // self.expected + 1):
            start, end = max(part.first_row, lap * self.expected), min(stop, (lap + 1) * self.expected)
            first_row = ((self.number - lap) * self.expected + start) % (1 << 63)
            seed = seed_of_attempt(self.seed, lap) if lap else self.seed
            ranges.append((RowRange(first_row, end - start), seed))
        return ranges


class Candidates(Protocol):
    """Rows without conditions, key after key."""

    @property
    def period(self) -> int:
        """Rows after which keys are others."""

    @property
    def pilot(self) -> tuple[MadeRows, int]:
        """Rows by which shares are found, as any sample has them, and how many were drawn for them."""

    @property
    def keys_in_turn(self) -> Sequence[tuple[str, int]]:
        """Group and levels of the keys whose rows follow each other, owners last."""

    def that_meet(
        self, window: Window, part: RowRange, tests: Mapping[str, Finder], passed: int = 0
    ) -> tuple[MadeRows, int]:
        """Those of consecutive rows of a window that keep all laws and meet conditions.

        First the columns that can be tested by themselves are drawn for all rows. The rows that meet these conditions
        are numbered after the `passed` ones before, and by these numbers their other columns are drawn. How many rows
        are numbered is returned, too.
        """


@dataclass(frozen=True)  # no slots: shares are cached
class FilteredRows:
    """Candidates that meet conditions.

    A window has M of them, which are the rows of 128 keys at least; the last key is cut off. But for a shuffle of
    neighbours, row i is the candidate number i mod M of its window that meets the conditions.

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
        """Share of the candidates that meet the conditions, and rows that do of a key that has such rows."""
        (rows, drawn_rows), owners = self.candidates.pilot, self.candidates.keys_in_turn[-1]
        met = np.logical_and.reduce([test(rows.arrays[name]) for name, test in self.tests.items()])
        keys = rows.keys[owners][met]
        if 0 < len(keys) < LEAST_SHARE * drawn_rows:  # of few keys, perhaps
            drawn_rows = MOST_PILOT_ROWS
            keys = self.candidates.that_meet(Window(0), RowRange(0, drawn_rows), self.tests)[0].keys[owners]
        return len(keys) / drawn_rows, len(keys) / max(len(np.unique(keys)), 1)

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
        """How many rows change places among themselves, and how many a window has.

        The former are at most those of a period that meet the conditions: after it, keys are others.
        """
        share, rows_per_key = self._met
        shuffled_rows = int(min(max(round(share * self.candidates.period), 1), LONGEST_SHUFFLE))
        usual = min(LONGEST_WINDOW, share * USUAL_OF_WINDOW)
        rows = min(max(KEYS_OF_WINDOW * rows_per_key, usual), share * MOST_OF_WINDOW)
        return shuffled_rows, shuffled_rows * max(1, int(rows) // shuffled_rows)

    @property
    def window(self) -> int:
        """Rows of a window."""
        return self._lengths[1]

    def rows(self, part: RowRange, seed: int) -> MadeRows:
        """Consecutive rows."""
        length, first, stop = self._lengths[1], part.first_row, part.first_row + part.rows
        if not part.rows:
            return self.first(0, Window(seed))
        expected = round(length / self._met[0])
        blocks = list[MadeRows]()
        for number in range(first // length, -(-stop // length)):
            places = range(max(first - number * length, 0), min(stop - number * length, length))
            blocks.append(self._of_window(Window(seed, number, expected), places))
        return blocks[0].joined(blocks[1:])

    def _of_window(self, window: Window, part: range) -> MadeRows:
        """The rows at some places of a window."""
        shuffled_rows, length = self._lengths
        rows = min(-(-part.stop // shuffled_rows) * shuffled_rows, length)
        places = np.arange(rows, dtype=np.uint64)
        inside = places % np.uint64(shuffled_rows)
        order = (places - inside + shuffled(inside, shuffled_rows, "conditions", window.own_seed)).astype(np.int64)
        first_row = window.number * length
        numbered = self.first(rows, window).taken(order).numbered(first_row, self.candidates.keys_in_turn)
        return numbered.taken(np.arange(part.start, part.stop))

    def first(self, rows: int, window: Window) -> MadeRows:
        """The first candidates of a window that meet the conditions, key after key."""
        blocks, drawn_rows, passed, count = list[MadeRows](), 0, 0, 0
        while not blocks or count < rows:
            expected = int((rows - count) / max(self._met[0], 1 / MOST_OF_WINDOW)) + FEW
            part = RowRange(drawn_rows, min(expected, MOST_AT_ONCE) if rows else 0)
            met, numbered = self.candidates.that_meet(window, part, self.tests, passed)
            blocks.append(met)
            drawn_rows, passed, count = drawn_rows + part.rows, passed + numbered, count + len(met)
        return blocks[0].joined(blocks[1:]).taken(np.arange(rows))

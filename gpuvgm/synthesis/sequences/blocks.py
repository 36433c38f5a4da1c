"""Keys by their numbers, in blocks that are drawn together: laid out by a period, or in turn under conditions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, takewhile

import numpy as np
import pyarrow as pa

from gpuvgm.datasets import RowRange
from gpuvgm.summary import Ints
from gpuvgm.synthesis.drawing import MadeRows
from gpuvgm.synthesis.keys import KeyLayout
from gpuvgm.synthesis.sampling import Sampler
from gpuvgm.synthesis.sequences.names import COUNT
from gpuvgm.synthesis.sequences.steps import given_columns

BLOCK_ROWS, MOST_KEYS = 1 << 18, 1 << 17  # of keys that are drawn together, and how many these are at most
#: Where keys have many rows: a step, which draws a row of each key, takes as long of one key as of a thousand.
FEW_KEYS, LONG_BLOCK_ROWS = 1 << 11, 1 << 20
BLOCK_IN_TURN = 1 << 12  # keys under conditions, of which samples are often small


@dataclass(frozen=True, slots=True)
class KeyBlock:
    """Consecutive keys, which are drawn together.

    Parameters
    ----------
    keys : RowRange
        Numbers of the keys.
    part : RowRange
        Numbers of their rows.
    counts : ndarray of shape (keys,), int64
        Rows of each key.
    made : MadeRows
        Columns of the keys.
    """

    keys: RowRange
    part: RowRange
    counts: Ints
    made: MadeRows

    @property
    def rows(self) -> int:
        """How many rows they have."""
        return self.part.rows

    def of_rows(self, part: RowRange) -> KeyBlock:
        """Those of the keys that have some consecutive rows."""
        stops, asked = np.cumsum(self.counts), part.first_row - self.part.first_row
        first = int(np.searchsorted(stops, asked, side="right"))
        last = int(np.searchsorted(stops, asked + part.rows)) + 1
        counts, before = self.counts[first:last], int(stops[first] - self.counts[first])
        keys = RowRange(self.keys.first_row + first, len(counts))
        rows = RowRange(self.part.first_row + before, int(counts.sum()))
        return KeyBlock(keys, rows, counts, self.made.taken(np.arange(first, first + len(counts))))


@dataclass(frozen=True, slots=True)
class KeyBlocks(ABC):
    """Numbers keys and their rows.

    Parameters
    ----------
    sampler : Sampler
        Draws keys.
    are_whole : bool
        Whether blocks have all their keys, or those alone whose rows are asked for.
    """

    sampler: Sampler
    are_whole: bool

    @abstractmethod
    def of_rows(self, part: RowRange, seed: int) -> Iterator[KeyBlock]:
        """Blocks of the keys of consecutive rows."""

    @abstractmethod
    def rows_before(self, key: int, seed: int) -> int:
        """Rows of all keys before one."""


@dataclass(frozen=True, slots=True)
class LaidOutKeys(KeyBlocks):
    """Keys of which a layout says how many rows each has.

    Parameters
    ----------
    layout : KeyLayout
        Distribution of rows per key.
    """

    layout: KeyLayout

    def of_rows(self, part: RowRange, seed: int) -> Iterator[KeyBlock]:
        """Blocks of the keys of consecutive rows."""
        stops, drawer = self._stops(seed), self.sampler.drawer
        counts, length, block_keys = np.diff(stops, prepend=0), int(stops[-1]), self._block_keys
        row, stop = part.first_row, part.first_row + part.rows
        while row < stop:
            period, place = divmod(row, length)
            first = int(np.searchsorted(stops, place, side="right"))
            last = first // block_keys * block_keys + block_keys
            if self.are_whole:
                first = last - block_keys
            else:
                last = min(last, int(np.searchsorted(stops, stop - period * length)) + 1)
            of_block = counts[first:last]
            keys = RowRange(period * len(stops) + first, len(of_block))
            of_keys = RowRange(period * length + int(stops[first]) - int(counts[first]), int(of_block.sum()))
            made = drawer.rows(keys.numbers, seed, given_columns(drawer, {COUNT: pa.array(of_block)}))
            yield KeyBlock(keys, of_keys, of_block, made)
            row = of_keys.first_row + of_keys.rows

    def rows_before(self, key: int, seed: int) -> int:
        """Rows of all keys before one."""
        stops = self._stops(seed)
        period, place = divmod(key, len(stops))
        return period * int(stops[-1]) + (int(stops[place - 1]) if place else 0)

    def keys_of(self, part: RowRange, seed: int) -> RowRange:
        """Keys of consecutive rows."""
        stops = self._stops(seed)

        def key_of(row: int) -> int:
            period, place = divmod(row, int(stops[-1]))
            return period * len(stops) + int(np.searchsorted(stops, place, side="right"))

        first = key_of(part.first_row)
        return RowRange(first, key_of(part.first_row + part.rows - 1) - first + 1 if part.rows else 0)

    @property
    def _block_keys(self) -> int:
        """Keys that are drawn together."""
        rows_per_key = self.layout.rows_per_owner
        keys = max(BLOCK_ROWS / rows_per_key, min(FEW_KEYS, LONG_BLOCK_ROWS / rows_per_key))
        return int(min(max(keys, 1), MOST_KEYS))

    def _stops(self, seed: int) -> Ints:
        """Rows of a period up to the end of each key."""
        return self.layout.in_turn(seed)[1]


@dataclass(frozen=True, slots=True)
class KeysInTurn(KeyBlocks):
    """Keys that meet conditions, each drawn with its number of rows, from the first one on."""

    def of_rows(self, part: RowRange, seed: int) -> Iterator[KeyBlock]:
        """Blocks of the keys of consecutive rows."""
        stop = part.first_row + part.rows
        for block in takewhile(lambda block: block.part.first_row < stop, self._in_turn(seed)):
            if block.part.first_row + block.rows > part.first_row:
                yield block if self.are_whole else block.of_rows(part)

    def rows_before(self, key: int, seed: int) -> int:
        """Rows of all keys before one."""
        blocks = takewhile(lambda block: block.keys.first_row < key, self._in_turn(seed))
        return sum(int(block.counts[: key - block.keys.first_row].sum()) for block in blocks)

    def _in_turn(self, seed: int) -> Iterator[KeyBlock]:
        row = 0
        for number in count():
            keys = RowRange(number * BLOCK_IN_TURN, BLOCK_IN_TURN)
            made = self.sampler.made(keys, seed)
            counts: Ints = np.maximum(np.asarray(made.arrays[COUNT], np.int64), 1)
            yield KeyBlock(keys, RowRange(row, int(counts.sum())), counts, made)
            row += int(counts.sum())

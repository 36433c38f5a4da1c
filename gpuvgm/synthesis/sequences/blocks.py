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

BLOCK_KEYS = 1 << 14  # that are drawn together
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


class KeyBlocks(ABC):
    """Numbers keys and their rows."""

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
    sampler : Sampler
        Draws keys, given their rows.
    """

    layout: KeyLayout
    sampler: Sampler

    def of_rows(self, part: RowRange, seed: int) -> Iterator[KeyBlock]:
        """Blocks of the keys of consecutive rows."""
        stops = self._stops(seed)
        counts, length = np.diff(stops, prepend=0), int(stops[-1])
        row, stop = part.first_row, part.first_row + part.rows
        while row < stop:
            period, place = divmod(row, length)
            first = int(np.searchsorted(stops, place, side="right")) // BLOCK_KEYS * BLOCK_KEYS
            of_block = counts[first : first + BLOCK_KEYS]
            keys = RowRange(period * len(stops) + first, len(of_block))
            of_keys = RowRange(period * length + int(stops[first]) - int(counts[first]), int(of_block.sum()))
            drawer = self.sampler.drawer
            made = drawer.rows(keys, seed, given_columns(drawer, {COUNT: pa.array(of_block)}))
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

    def _stops(self, seed: int) -> Ints:
        """Rows of a period up to the end of each key."""
        return self.layout.in_turn(seed)[1]


@dataclass(frozen=True, slots=True)
class KeysInTurn(KeyBlocks):
    """Keys that meet conditions, each drawn with its number of rows, from the first one on.

    Parameters
    ----------
    sampler : Sampler
        Draws keys that meet the conditions.
    """

    sampler: Sampler

    def of_rows(self, part: RowRange, seed: int) -> Iterator[KeyBlock]:
        """Blocks of the keys of consecutive rows."""
        stop = part.first_row + part.rows
        for block in takewhile(lambda block: block.part.first_row < stop, self._in_turn(seed)):
            if block.part.first_row + block.rows > part.first_row:
                yield block

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

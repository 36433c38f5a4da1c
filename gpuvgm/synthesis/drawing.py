"""Rows drawn from a network: every row is a function of its number, whoever draws it and beside which others.

A column of a row takes the four words of Philox4x32-10 (Salmon et al. 2011) at the row's number: for the group, for
the bin in it, for the piece of the bin, and for the place in the piece. Cumulative probabilities are whole numbers of
2^-32, which words are compared with, so that all engines draw the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuvgm.engines import Engine
from gpuvgm.summary.grid import Floats, Ints, Keys
from gpuvgm.synthesis.bins import Bins, Codes
from gpuvgm.synthesis.messages import Messages, propagate
from gpuvgm.synthesis.network import Network

BITS = 32  # of a word


@dataclass(frozen=True, slots=True)
class Lottery:
    """What words draw from; see `Engine.draw_entries`.

    Parameters
    ----------
    keys : ndarray of shape (entries,), uint64
        Blocks and cumulative shares.
    starts : ndarray of shape (blocks + 1,), int64
        First entry of each block.
    """

    keys: Keys
    starts: Ints

    def draw(self, engine: Engine, blocks: NDArray[Any], words: Keys) -> Ints:
        """Entry that each word draws from its block, counted from the block's first."""
        blocks = blocks.astype(np.int64, copy=False)
        entries: Ints = engine.draw_entries(self.keys, self.starts, blocks, words) - self.starts[blocks]
        return entries


def lottery(table: Floats, starts: Ints) -> Lottery:
    """Shares of the entries of a table in its blocks, in whole numbers of 2^-32.

    Parameters
    ----------
    table : ndarray of shape (entries,)
        What the probabilities of a block are proportional to.
    starts : ndarray of shape (blocks,), int64
        First entry of each block.
    """
    sizes = np.diff(np.append(starts, len(table)))
    block = np.repeat(np.arange(len(starts), dtype=np.uint64), sizes)
    below = np.cumsum(table)
    before, total = below[starts] - table[starts], np.add.reduceat(table, starts)
    share = (below - np.repeat(before, sizes)) / np.repeat(np.where(total > 0, total, 1.0), sizes)
    ends = np.clip(np.rint(share * 2.0**BITS), 0, 2.0**BITS).astype(np.uint64)
    ends[starts + sizes - 1] = 1 << BITS
    return Lottery((block << np.uint64(BITS + 1)) | ends, np.append(starts, len(table)))


def column_number(name: str) -> int:
    """Column part of the generator's counter, another one than that of transform."""
    return int.from_bytes(sha256(b"sample " + name.encode()).digest()[:8], "big")


@dataclass(frozen=True, slots=True)
class DrawnColumn:
    """Rows of a column.

    Parameters
    ----------
    codes : ndarray of shape (rows,), uint8
        Bin of each row.
    numbers : ndarray of shape (rows,)
        Its place in a piece of the bin: a number of the plain codec, or the index of a category.
    """

    codes: Codes
    numbers: Floats


@dataclass(frozen=True)  # no slots: keys are cached
class Drawing:
    """Draws rows.

    Parameters
    ----------
    network : Network
        What they are drawn from.
    conditions : mapping of int to Bins
        Of nodes with a condition: their bins with what the condition leaves of each piece.
    engine : Engine
        Whose loops draw.
    """

    network: Network
    conditions: Mapping[int, Bins]
    engine: Engine

    @cached_property
    def messages(self) -> Messages:
        """What the conditions say of each column.

        Raises
        ------
        InputError
            Where no row can meet them.
        """
        evidence = {place: np.add.reduceat(bins.mass, bins.first[:-1]) for place, bins in self.conditions.items()}
        return propagate(self.network, evidence)

    @cached_property
    def _lotteries(self) -> tuple[tuple[Lottery, Lottery, Lottery], ...]:
        """Of each node: for groups, for bins in groups, and for pieces in bins."""
        structure, found = self.network.structure, []
        for place, (axis, tables) in enumerate(zip(structure.axes, self.network.tables, strict=True)):
            bins = self.conditions.get(place, axis.bins)
            groups = len(axis.starts)
            group = lottery(tables.groups.ravel(), np.arange(0, tables.groups.size, groups))
            first = np.arange(len(tables.inside))[:, None] * len(axis) + axis.starts
            found.append((group, lottery(tables.inside.ravel(), first.ravel()), lottery(bins.mass, bins.first[:-1])))
        return tuple(found)

    def rows(self, first_row: int, rows: int, seed: int) -> list[DrawnColumn]:
        """Consecutive rows, by node."""
        codes: list[Codes] = []
        columns = []
        for place, node in enumerate(self.network.structure.nodes):
            words = self.engine.philox(first_row, rows, column_number(node.name), seed)
            codes.append(self._bins(place, codes, words, rows).astype(np.uint8))
            bins = self.conditions.get(place, self.network.structure.bins[place])
            pieces = self._lotteries[place][2].draw(self.engine, codes[-1], words[2]) + bins.first[codes[-1]]
            low = bins.low[pieces]
            columns.append(DrawnColumn(codes[-1], low + (bins.high[pieces] - low) * ((words[3] + 0.5) * 2.0**-BITS)))
        return columns

    def _bins(self, place: int, codes: list[Codes], words: Keys, rows: int) -> Ints:
        """Bins of a node, given those of its parents."""
        structure = self.network.structure
        axis = structure.axes[place]
        if self.messages.concern(place):
            context, table = self.messages.table(place, codes, rows)
            of_all = lottery(table.ravel(), np.arange(0, table.size, len(axis)))
            return of_all.draw(self.engine, context, words[0])
        context, _, groups = structure.contexts(place, codes, rows)
        of_group, of_bin, _ = self._lotteries[place]
        group = of_group.draw(self.engine, context, words[0])
        inside = (context // groups) * len(axis.starts) + group
        return axis.starts[group] + of_bin.draw(self.engine, inside, words[1])

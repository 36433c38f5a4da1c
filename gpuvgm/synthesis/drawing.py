"""Rows drawn from a network: every row is a function of its number, whichever rows are drawn with it.

A column of a row takes the four words of Philox4x32-10 (Salmon et al. 2011) at the row's number, as `Engine.draw_rows`
says. Cumulative probabilities are whole numbers of 2^-32, which words are compared with, so that all engines draw the
same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import namespace_of, to_numpy
from gpuvgm.engines import Engine
from gpuvgm.engines.base import philox_words
from gpuvgm.engines.tables import Draw, DrawnColumn, Lottery
from gpuvgm.summary.grid import Floats, Ints
from gpuvgm.synthesis.bins import Bins, Codes
from gpuvgm.synthesis.messages import Messages, propagate
from gpuvgm.synthesis.network import Network

Drawn = list[tuple[Codes, Floats]]
LONGEST_GAP = 1 << 9  # keys that are drawn although no row has them


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


@dataclass(frozen=True, slots=True)
class KeyTable:
    """Consecutive keys of one level, which are drawn as rows are.

    Parameters
    ----------
    seed : int
        Seed of the draws.
    ranges : tuple of (int, int)
        First number and count of the keys, one range after the other.
    places : ndarray of shape (rows,), int64
        For each row, or key of the level below, the place of its key in these ranges.
    """

    seed: int
    ranges: tuple[tuple[int, int], ...]
    places: Ints

    @classmethod
    def of(cls, numbers: NDArray[np.uint64], seed: int) -> KeyTable:
        """The keys that have given numbers, and those between where the engine draws all faster than ranges."""
        if not len(numbers):
            return cls(seed, ((0, 0),), np.empty(0, np.int64))
        first, last = numbers.min(), numbers.max()
        if int(last - first) < max(len(numbers), LONGEST_GAP):
            return cls(seed, ((int(first), int(last - first) + 1),), (numbers - first).astype(np.int64))
        distinct = np.unique(numbers)
        breaks = np.flatnonzero(np.diff(distinct) > LONGEST_GAP)
        firsts, lasts = distinct[np.append(0, breaks + 1)], distinct[np.append(breaks, len(distinct) - 1)]
        counts = (lasts - firsts).astype(np.int64) + 1
        which = np.searchsorted(firsts, numbers, side="right") - 1
        places = (numbers - firsts[which]).astype(np.int64) + (np.cumsum(counts) - counts)[which]
        return cls(seed, tuple(zip(firsts.tolist(), counts.tolist(), strict=True)), places)

    @property
    def numbers(self) -> NDArray[np.uint64]:
        """Numbers of the keys."""
        return np.concatenate([np.arange(first, first + count, dtype=np.uint64) for first, count in self.ranges])


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

    def rows(self, first_row: int, rows: int, seed: int, keys: Mapping[int, Sequence[KeyTable]] | None = None) -> Drawn:
        """Consecutive rows, by node: the bin of each, and its place in a piece of the bin.

        A place is a number of the plain codec, or the index of a modal value or a category.

        Parameters
        ----------
        first_row, rows : int
            The rows.
        seed : int
            Seed of the columns that are drawn for each row.
        keys : mapping of int to sequence of KeyTable, optional
            By node, of columns that are drawn for each key: the tables of the finest keys, of the next level, and so
            on up to the keys that they are drawn for.
        """
        columns: Drawn = []
        structure, tables = self.network.structure, keys or {}
        bins, bins_of_rows = list[Codes](), list[Codes]()  # where the engine draws
        for place, (node, column) in enumerate(zip(structure.nodes, self._columns, strict=True)):
            own = tables.get(place, ())
            parents = [
                _in_rows(bins[parent], tables[parent][len(own) :]) if own else bins_of_rows[parent]
                for parent in structure.parents[place]
            ]
            number, draws = column_number(node.name), list[tuple[Codes, Floats]]()
            ranges, at = own[-1].ranges if own else ((first_row, rows),), 0
            for first, count in ranges:
                draw = Draw(own[-1].seed if own else seed, number, first)
                parent_codes = [codes[at : at + count] for codes in parents]
                draws.append(self.engine.draw_rows(column, parent_codes, draw, count))
                at += count
            codes, places = map(_joined, zip(*draws, strict=True))
            bins.append(codes)
            bins_of_rows.append(_in_rows(codes, own))
            columns.append((to_numpy(bins_of_rows[-1]), to_numpy(_in_rows(places, own))))
        return columns


def _joined(parts: Sequence[Any]) -> Any:
    """Arrays one after the other, where they lie."""
    return parts[0] if len(parts) == 1 else namespace_of(parts[0]).concatenate(parts)


def _in_rows(values: Any, tables: Sequence[KeyTable]) -> Any:
    """What keys have, in the keys of lower levels, or the rows, that belong to them."""
    for table in reversed(tables):
        values = values[namespace_of(values).asarray(table.places)]
    return values

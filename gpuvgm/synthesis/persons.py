"""Persons: whose the rows of a sample are, so that nothing comes out by its count that few of them have.

A birth date is in as many rows as a patient has visits. How often a value comes says nothing of how many have it where
the table has keys: so what is drawn by its count needs several keys of each column of keys.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.columns import PassthroughColumn
from gpuvgm.summary import Ints

LEAST_KEYS = 5  # different ones of each column of keys, that have what is drawn by its count
LEAST_NAMED = 50  # different values of a column of keys: fewer name no one
MOST_LACKING = 0.5  # of the rows, that lack a key, for these rows to count as nobody's


@dataclass(frozen=True)  # no slots: what most rows lack is cached
class Persons:
    """Keys of the rows of a sample.

    Parameters
    ----------
    keys : tuple of ndarray of shape (rows,), int64
        For each column of keys the number of each row's key, from 0; -1 for rows without one.
    """

    keys: tuple[Ints, ...] = ()

    @classmethod
    def of(cls, names: Iterable[str], rows: pa.Table) -> Persons:
        """Persons of the rows of a table, by columns whose values may each be someone.

        Those of few values name no one, and those without a value that comes back say nothing beyond the rows.
        """
        keys = []
        for name in dict.fromkeys(names):
            hashes, codes, counts = np.unique(_hashes_of(rows.column(name)), return_inverse=True, return_counts=True)
            without = int(len(hashes) > 0 and hashes[0] == 0)
            if len(hashes) - without >= LEAST_NAMED and np.any(counts[without:] > 1):
                keys.append(codes.astype(np.int64) - without)
        return cls(tuple(keys))

    def at(self, rows: Any) -> Persons:
        """Persons of some of the rows, by their places or a mask."""
        return Persons(tuple(codes[rows] for codes in self.keys))

    def counts(self, things: Ints, size: int) -> Ints:
        """How many different persons have each of some things, by the column of keys of which the fewest have it.

        Without columns of keys each row is of someone else. So is a row that lacks a key which most rows lack, where
        fewer rows of its thing than `LEAST_KEYS` have one; other rows without a key are nobody's.

        Parameters
        ----------
        things : ndarray of shape (rows,), int64
            Number of each row's thing, below `size`; -1 for none.
        size : int
            How many things there are.
        """
        has_thing = things >= 0
        rows = np.bincount(things[has_thing], minlength=size)
        persons = rows
        for codes, rest in zip(self.keys, self._are_rare, strict=True):
            has_both = has_thing & (codes >= 0)
            width = int(codes.max(initial=0)) + 1
            of_keys = np.unique(things[has_both] * width + codes[has_both]) // width
            different = np.bincount(of_keys, minlength=size)
            if rest:
                with_key = np.bincount(things[has_both], minlength=size)
                different = np.where(with_key < LEAST_KEYS, different + rows - with_key, different)
            persons = np.minimum(persons, different)
        return persons

    def weights(self, things: Ints, size: int) -> Ints:
        """Rows of each of some things, as for `counts`; of those that few persons have, these."""
        rows = np.bincount(things[things >= 0], minlength=size)
        if not self.keys:
            return rows
        persons = self.counts(things, size)
        return np.where(persons < LEAST_KEYS, np.minimum(rows, np.maximum(persons, 1)), rows)

    @cached_property
    def _are_rare(self) -> tuple[bool, ...]:
        """Whether most rows lack the key, by column."""
        return tuple(bool(np.mean(codes < 0) > MOST_LACKING) for codes in self.keys)


def _hashes_of(column: pa.ChunkedArray[Any]) -> NDArray[np.uint64]:
    """Hashes of a column's values; 0 for missing ones."""
    return PassthroughColumn.hashes(column.combine_chunks())

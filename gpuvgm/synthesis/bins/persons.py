"""Persons: whose rows are, so that nothing comes out by its count that few of them have.

A birth date is in as many rows as a patient has visits. So where a table has keys, the rows of a value do not say how
many persons have it, and what is drawn by its count needs several keys of each column of keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.arrays import distinct_values
from gpuvgm.columns import PassthroughColumn
from gpuvgm.summary import Ints

LEAST_KEYS = 5  # different keys of each column of keys that have what is drawn by its count
LEAST_NAMED = 50  # different values of a column of keys: fewer name no one
MOST_LACKING = 0.5  # of the rows: where no more lack a key, these rows count as nobody's
Hashes = NDArray[np.uint64]


def hashes_of(column: pa.Array[Any]) -> Hashes:
    """Hashes of a column's values, whatever its type; 0 for missing ones."""
    return PassthroughColumn.hashes(column)


@dataclass(frozen=True, slots=True)
class KeysOfThings:
    """Of each thing, such as a value, the keys with the smallest hashes that have it; merging in any order is the same.

    Parameters
    ----------
    rows : ndarray of shape (things,), int64
        Rows of each thing.
    with_key : tuple of ndarray of shape (things,), int64
        For each column of keys, how many of these have one.
    smallest : tuple of ndarray, uint64
        For each column of keys, ascending: the thing in the first bits, the first bits of a hash in the others. Of each
        thing there are `LEAST_KEYS` at most.
    """

    rows: Ints
    with_key: tuple[Ints, ...]
    smallest: tuple[Hashes, ...]

    @classmethod
    def of(cls, things: Ints, size: int, keys: Sequence[Hashes]) -> KeysOfThings:
        """Keys of rows.

        Parameters
        ----------
        things : ndarray of shape (rows,), int64
            The thing of each row, below `size`; -1 for none.
        size : int
            Things that there are.
        keys : sequence of ndarray of shape (rows,), uint64
            For each column of keys the hash of each row's key; 0 for rows without one.
        """
        rows, smallest, with_key = np.flatnonzero(things >= 0), list[Hashes](), list[Ints]()
        bits = np.uint64(size.bit_length())
        for hashes in keys:
            named = rows[hashes[rows] != 0]
            first_bits = things[named].astype(np.uint64) << (np.uint64(64) - bits)
            smallest.append(_smallest(first_bits | hashes[named] >> bits, bits))
            with_key.append(np.bincount(things[named], minlength=size))
        return cls(np.bincount(things[rows], minlength=size), tuple(with_key), tuple(smallest))

    def merge(self, other: KeysOfThings) -> KeysOfThings:
        """Those of both sets of rows."""
        bits = np.uint64(len(self.rows).bit_length())
        smallest = (_smallest(np.append(*pair), bits) for pair in zip(self.smallest, other.smallest, strict=True))
        with_key = (np.add(*pair) for pair in zip(self.with_key, other.with_key, strict=True))
        return KeysOfThings(self.rows + other.rows, tuple(with_key), tuple(smallest))

    def persons(self, are_rare: Sequence[bool]) -> Ints:
        """How many persons have each thing, `LEAST_KEYS` at most: the fewest that any column of keys says.

        Without columns of keys each row is of someone else. Rows that lack a key are nobody's, but where most rows of
        the table lack it, as `are_rare` says by column, and fewer than `LEAST_KEYS` rows of the thing have one: then
        each is of someone else.
        """
        persons, bits = np.minimum(self.rows, LEAST_KEYS), np.uint64(len(self.rows).bit_length())
        for smallest, with_key, is_rare in zip(self.smallest, self.with_key, are_rare, strict=True):
            things = (smallest >> (np.uint64(64) - bits)).astype(np.int64)
            different = np.bincount(things, minlength=len(self.rows))
            if is_rare:
                different = np.where(with_key < LEAST_KEYS, different + self.rows - with_key, different)
            persons = np.minimum(persons, different)
        return persons


def _smallest(packed: Hashes, bits: np.uint64) -> Hashes:
    """The smallest hashes of each thing, ascending, from things and hashes as `KeysOfThings` has them."""
    distinct = distinct_values(packed)[0]
    things, places = distinct >> (np.uint64(64) - bits), np.arange(len(distinct))
    is_first = np.append(True, things[1:] != things[:-1])[: len(places)]
    rank = places - np.maximum.accumulate(np.where(is_first, places, 0))
    smallest: Hashes = distinct[rank < LEAST_KEYS]
    return smallest


@dataclass(frozen=True, slots=True)
class Persons:
    """Whose the rows of a sample are.

    Parameters
    ----------
    names : tuple of str
        Columns of keys.
    keys : tuple of ndarray of shape (rows,), uint64
        For each of these the hash of each row's key; 0 for rows without one.
    are_rare : tuple of bool
        For each of these, whether most rows of the table lack it.
    """

    names: tuple[str, ...] = ()
    keys: tuple[Hashes, ...] = ()
    are_rare: tuple[bool, ...] = ()

    @classmethod
    def of(
        cls, names: Iterable[str], rows: pa.Table, *, whole: bool = True, sequence_key: str | None = None
    ) -> Persons:
        """Persons of the rows of a table, by columns whose values may each be someone.

        Columns of few values name no one, but for the key of a sequence, and columns in which no value comes back say
        nothing beyond the rows. Few values may be part of many where the rows are not the whole table and each value is
        in one place of them.
        """
        keys = dict[str, Hashes]()
        for name in dict.fromkeys(names):
            hashes = hashes_of(rows.column(name).combine_chunks())
            present = hashes[hashes != 0]
            distinct = len(distinct_values(present)[0])
            is_sorted = np.count_nonzero(present[1:] != present[:-1]) < 2 * distinct
            may_name = distinct >= LEAST_NAMED or name == sequence_key or (is_sorted and not whole)
            if may_name and distinct < len(present):
                keys[name] = hashes
        are_rare = (bool(np.mean(hashes == 0) > MOST_LACKING) for hashes in keys.values())
        return cls(tuple(keys), tuple(keys.values()), tuple(are_rare))

    def at(self, rows: Any) -> Persons:
        """Persons of a part of the rows, by their places or a mask."""
        return Persons(self.names, tuple(hashes[rows] for hashes in self.keys), self.are_rare)

    def numbers(self) -> list[Ints]:
        """For each column of keys the number of each row's person, from 0 on; rows without one are of someone each."""
        numbers = list[Ints]()
        for hashes in self.keys:
            lacking = np.flatnonzero(hashes == 0)
            of_rows = np.unique(hashes, return_inverse=True)[1].astype(np.int64)
            of_rows[lacking] = of_rows.max(initial=0) + 1 + np.arange(len(lacking))
            numbers.append(of_rows)
        return numbers

    def counts(self, things: Ints, size: int) -> Ints:
        """How many persons have each thing, as `KeysOfThings.persons` gives it, by the thing of each row."""
        return KeysOfThings.of(things, size, self.keys).persons(self.are_rare)

    def several(self, things: Ints, size: int) -> NDArray[np.bool_]:
        """Which things several persons have."""
        return self.counts(things, size) >= LEAST_KEYS

    def weights(self, things: Ints, size: int) -> Ints:
        """Rows of each thing, by the thing of each row; or its persons where these are few."""
        rows = np.bincount(things[things >= 0], minlength=size)
        if not self.keys:
            return rows
        persons = self.counts(things, size)
        return np.where(persons < LEAST_KEYS, np.minimum(rows, np.maximum(persons, 1)), rows)

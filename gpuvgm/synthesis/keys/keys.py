"""Keys: text whose values each name someone and come back in several rows. Samples have new ones, in as many rows.

A row's key is a function of the seed and its number. A period of rows is laid out into keys by the distribution of rows
per key, and row i takes the place that a permutation of the period gives it; each period has keys of its own. Where
rows are drawn key after key, those of an owner follow each other instead, in a permutation of the owners.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuvgm.synthesis.keys.streams import shuffled

Hashes = NDArray[np.uint64]
Ints = NDArray[np.int64]
Bits = NDArray[np.uint64]  # of columns that are missing
LONGEST_PERIOD = 1 << 20  # rows
MOST_COLUMNS = 16  # of a group of keys, whose missing values are told apart
MOST_LEVELS = 6  # whose missing keys a code tells apart
LACKING_CODES = 1 + (1 << MOST_LEVELS)


@dataclass(frozen=True, slots=True)
class KeyLayout:
    """Distribution of rows per key, in a tree of keys, each of which determines the one above it.

    The last level is that of owners, such as customers. Keys of the levels before, such as cards and accounts, belong
    to keys of a level above theirs. All keys of a row together are a combination. A tree of a single level has nothing
    but the distribution of rows per key.

    Parameters
    ----------
    group : str
        The first column of the finest keys.
    above : tuple of int
        For each level but the last, the level above it.
    rows : int
        Rows of the table that have an owner.
    sizes : tuple of int
        Rows of each combination; combinations of an owner follow each other.
    keys : tuple of int
        For each entry of `members`, how many of the counted owners have just these combinations.
    members : tuple of int
        Combinations of each owner; empty where all have one.
    places : tuple of tuple of int
        For each level but the last, and each combination, the number of its key among those of its owner, from 0 on.
    columns : tuple of tuple of str
        By level, the columns whose missing values are told apart, the first column of the keys first.
    missing : tuple of int
        For each combination a bit for each of these columns, set where its rows lack it; empty where none does.
    ownerless : tuple of (int, int)
        Bits of the columns that rows without an owner lack, and how many rows have just these.
    """

    group: str
    above: tuple[int, ...] = ()
    rows: int = 0
    sizes: tuple[int, ...] = ()
    keys: tuple[int, ...] = ()
    members: tuple[int, ...] = ()
    places: tuple[tuple[int, ...], ...] = ()
    columns: tuple[tuple[str, ...], ...] = ()
    missing: tuple[int, ...] = ()
    ownerless: tuple[tuple[int, ...], ...] = ()

    def check(self) -> None:
        """Raise ValueError where the parts of a loaded layout do not fit together."""
        members = self.members or (1,) * len(self.sizes)
        if len(self.keys) != len(members):
            raise ValueError(f'the keys of "{self.group}" are not as many as their rows say')
        if sum(members) != len(self.sizes) or 0 in members or (self.above and self.sizes and not self.members):
            raise ValueError(f'the keys of "{self.group}" do not belong to others')
        if not all(level < above <= len(self.above) for level, above in enumerate(self.above)):
            raise ValueError(f'the levels of keys of "{self.group}" are no tree')
        lengths = {len(self.sizes)} if self.places else set()
        is_tree = not self.sizes or len(self.places) == len(self.above)
        if {*map(len, self.places)} != lengths or not is_tree or not _are_numbered(self):
            raise ValueError(f'the keys of "{self.group}" are not numbered')
        has_bits = len(self.missing) in (0, len(self.sizes)) and all(len(pair) == 2 for pair in self.ownerless)
        bits = (*self.missing, *(pair[0] for pair in self.ownerless if has_bits))
        has_columns = not self.sizes or len(self.columns) == len(self.above) + 1
        if not has_bits or not has_columns or max(bits, default=0) >> sum(map(len, self.columns)):
            raise ValueError(f'what is missing of the keys of "{self.group}" is not that of their rows')

    def path(self, level: int) -> tuple[int, ...]:
        """A level and those above it."""
        return (level, *(self.path(self.above[level]) if level < len(self.above) else ()))

    def bit_of(self, name: str, level: int) -> int:
        """Place of the bit of a column of a level; a column without a bit lacks what the first of its level lacks."""
        columns = self.columns[level] if self.columns else ()
        first = sum(map(len, self.columns[:level]))
        return first + (columns.index(name) if name in columns else 0)

    def lacking(self, bits: Bits) -> list[NDArray[np.bool_]]:
        """By level, whether bits are those of rows that lack all columns of the level."""
        stops = np.cumsum([0, *map(len, self.columns)])
        masks = [np.uint64((1 << int(stop)) - (1 << int(start))) for start, stop in pairwise(stops)]
        return [bits & mask == mask for mask in masks]

    def numbers(self, rows: Hashes, seed: int, *, by_key: bool = False) -> list[Hashes]:
        """Numbers of the keys of rows, by level; as a last array the bits of the columns that rows lack.

        Parameters
        ----------
        rows : ndarray of shape (rows,), uint64
            Numbers of the rows.
        seed : int
            Seed of which rows have which keys.
        by_key : bool
            Whether all rows of an owner follow each other.
        """
        period = period_of(self)
        length = np.uint64(period.stops[-1])
        periods, places = np.divmod(rows, length)
        combinations: NDArray[np.signedinteger[Any]]
        if by_key:
            order, stops = self.in_turn(seed)
            combinations = order[np.searchsorted(stops, places, side="right")]
        else:
            combinations = period.combinations[shuffled(places, int(length), f"{self.group}/keys", seed)]
        numbers = [periods * np.uint64(len(level.lacking)) + level.keys[combinations] for level in period.levels]
        return [*numbers, period.missing[combinations]]

    def in_turn(self, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Combinations of a period, those of an owner one after the other, and the rows up to the end of each."""
        return _key_after_key(self, seed)

    @property
    def rows_per_owner(self) -> float:
        """Rows of a period for each owner, those that lack it with the owner of their other keys."""
        return float(period_of(self).stops[-1]) / (int(_owners_of(self).max()) + 1)

    def period_lengths(self, level: int) -> tuple[int, int]:
        """Rows of a period, and its keys of a level."""
        period = period_of(self)
        return int(period.stops[-1]), len(period.levels[level].lacking)

    def rows_per_key(self, level: int) -> float:
        """Rows of the keys of a level on average."""
        return period_of(self).levels[level].rows_per_key

    def lacking_of(self, numbers: Hashes, level: int) -> NDArray[np.uint16]:
        """Codes of the levels that the rows of what is no key lack, as `codes_of_lacking` gives them; 0 of keys."""
        codes = period_of(self).levels[level].lacking
        of_keys: NDArray[np.uint16] = codes[numbers % np.uint64(len(codes))]
        return of_keys

    def numbers_above(self, numbers: Hashes, level: int, above: int) -> Hashes:
        """Numbers of the keys of a level above that keys determine."""
        period = period_of(self)
        for below, next_level in pairwise(self.path(level)):
            if below == above:
                break
            keys, keys_above = period.levels[below], period.levels[next_level]
            periods, places = np.divmod(numbers, np.uint64(len(keys.lacking)))
            numbers = periods * np.uint64(len(keys_above.lacking)) + keys.above[places]
        return numbers


@dataclass(frozen=True, slots=True)
class LevelKeys:
    """Keys of a level in a period.

    Parameters
    ----------
    keys : ndarray of shape (combinations,), uint64
        Number of each combination's key.
    above : ndarray of shape (keys,), uint64
        Number of the key above each key; of an owner its number.
    lacking : ndarray of shape (keys,), uint16
        0 for a key; for what stands for a missing key, which levels its rows lack, as `codes_of_lacking` gives it.
    rows_per_key : float
        Rows of a key on average, missing ones left out.
    """

    keys: Hashes
    above: Hashes
    lacking: NDArray[np.uint16]
    rows_per_key: float


@dataclass(frozen=True, slots=True)
class Period:
    """Keys of a period of rows.

    Parameters
    ----------
    stops : ndarray of shape (combinations,), int64
        Rows up to the end of each combination of keys.
    combinations : ndarray of shape (rows,), int32
        Combination of each row.
    levels : tuple of LevelKeys
        Its keys.
    missing : ndarray of shape (combinations,), uint64
        Bits of the columns that the rows of each combination lack.
    """

    stops: NDArray[np.int64]
    combinations: NDArray[np.int32]
    levels: tuple[LevelKeys, ...]
    missing: Bits


@lru_cache(maxsize=16)  # which frozen layouts are keys of
def period_of(layout: KeyLayout) -> Period:
    """Keys of a period; a few periods are as long as the table."""
    sizes, alike = np.array(layout.sizes, np.int64), np.array(layout.keys, np.int64)
    members = np.array(layout.members, np.int64) if layout.members else np.ones(len(alike), np.int64)
    counted_owners, counted_rows = int(alike.sum()), int(np.dot(np.repeat(alike, members), sizes))
    if not counted_rows:
        return _period_without_owners(layout)
    table_rows = layout.rows + sum(rows for _, rows in layout.ownerless)
    periods = -(-table_rows // LONGEST_PERIOD)
    owners = max(1, round(layout.rows / periods * counted_owners / counted_rows))
    # Counted owners at even distances: each comes as often as its share says.
    templates = np.searchsorted(np.cumsum(alike), (np.arange(owners) + 0.5) * (counted_owners / owners))
    return _combinations_of(layout, sizes, members, templates).with_ownerless(layout).period(layout)


def _period_without_owners(layout: KeyLayout) -> Period:
    """A period of one row, whose keys are all missing; what it lacks is what most rows lack."""
    keys = LevelKeys(np.zeros(1, np.uint64), np.zeros(1, np.uint64), np.zeros(1, np.uint16), 1.0)
    bits, _ = max(layout.ownerless, key=lambda pair: pair[1], default=(0, 0))
    levels = (keys,) * (len(layout.above) + 1)
    return Period(np.ones(1, np.int64), np.zeros(1, np.int32), levels, np.array([bits], np.uint64))


def _combinations_of(layout: KeyLayout, sizes: Ints, members: Ints, templates: Ints) -> _Combinations:
    """Combinations of the owners of a period, each of whom is like the counted owner that is its template."""
    counts, starts = members[templates], np.cumsum(members) - members
    owners = np.repeat(np.arange(len(templates)), counts)
    inside = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
    counted = np.repeat(starts[templates], counts) + inside
    numbers = []
    for places in map(np.array, layout.places):
        keys = np.maximum.reduceat(places, starts)[templates] + 1  # of each owner
        numbers.append((np.cumsum(keys) - keys)[owners] + places[counted])
    missing = np.array(layout.missing or (0,) * len(sizes), np.uint64)[counted]
    return _Combinations(sizes[counted], np.stack([*numbers, owners]), missing)


@dataclass(frozen=True, slots=True)
class _Combinations:
    """Combinations of keys in a period.

    Parameters
    ----------
    rows : ndarray of shape (combinations,), int64
        Rows of each.
    numbers : ndarray of shape (levels, combinations), int64
        Numbers of their keys.
    missing : ndarray of shape (combinations,), uint64
        Bits of the columns that their rows lack.
    """

    rows: NDArray[np.int64]
    numbers: NDArray[np.int64]
    missing: Bits

    def followed_by(self, further: _Combinations) -> _Combinations:
        """These combinations, and further ones behind them."""
        numbers = np.append(self.numbers, further.numbers, axis=1)
        return _Combinations(np.append(self.rows, further.rows), numbers, np.append(self.missing, further.missing))

    def with_ownerless(self, layout: KeyLayout) -> _Combinations:
        """These combinations, and those of rows without an owner, as often as in the table.

        Where such rows have keys of some levels, these are keys of owners; what they lack has numbers of its own.
        """
        combinations = self
        for bits, rows in layout.ownerless:
            wanted = min(rows / layout.rows * float(self.rows.sum()), LONGEST_PERIOD)
            lacks = np.array(layout.lacking(np.array([bits], np.uint64)))
            ownerless = self._of_no_key(wanted) if lacks.all() else self._spread(bits, wanted)
            unused = combinations.numbers.max(axis=1, keepdims=True) + 1 + np.arange(len(ownerless.rows))
            numbers = np.where(lacks, unused, ownerless.numbers)
            combinations = combinations.followed_by(
                _Combinations(ownerless.rows, numbers, ownerless.missing | np.uint64(bits))
            )
        return combinations

    def _of_no_key(self, rows: float) -> _Combinations:
        """Rows of one combination each."""
        places = np.zeros(round(rows), np.int64)
        return _Combinations(np.ones(len(places), np.int64), self.numbers[:, places], self.missing[places])

    def _spread(self, bits: int, rows: float) -> _Combinations:
        """Rows spread over these combinations: over those that lack nothing beside the bits, if there are such."""
        fits = (self.missing & ~np.uint64(bits)) == 0
        weights = self.rows * fits if fits.any() else self.rows
        stops = np.round(np.cumsum(weights) * (rows / float(weights.sum()))).astype(np.int64)
        counts = np.diff(stops, prepend=0)
        places = np.flatnonzero(counts)
        return _Combinations(counts[places], self.numbers[:, places], self.missing[places])

    def period(self, layout: KeyLayout) -> Period:
        """The period of these combinations, one after the other."""
        levels, lacking = [], layout.lacking(self.missing)
        for level, keys in enumerate(self.numbers):
            above = layout.above[level] if level < len(layout.above) else level
            # A key belongs to the one above that its rows have: rows that lack one of both come last, and say nothing.
            order = np.lexsort((lacking[above], lacking[level], keys))
            firsts = order[np.unique(keys[order], return_index=True)[1]]
            keys_above, codes = self.numbers[above][firsts], codes_of_lacking(lacking, level)[firsts]
            rows = np.bincount(keys, self.rows)[codes == 0]
            per_key = float(rows.sum()) / max(len(rows), 1)
            levels.append(LevelKeys(keys.astype(np.uint64), keys_above.astype(np.uint64), codes, per_key))
        combinations = np.repeat(np.arange(len(self.rows), dtype=np.int32), self.rows)
        return Period(np.cumsum(self.rows), combinations, tuple(levels), self.missing)


@lru_cache(maxsize=16)
def _owners_of(layout: KeyLayout) -> NDArray[np.int64]:
    """Owner of each combination of a period, numbered from 0 on: that of any key that its rows have."""
    period = period_of(layout)
    owners = [layout.numbers_above(level.keys, place, len(layout.above)) for place, level in enumerate(period.levels)]
    # A missing owner has a larger number than all owners, so the least one is that of a key.
    return np.unique(np.min(owners, axis=0), return_inverse=True)[1]


@lru_cache(maxsize=4)
def _key_after_key(layout: KeyLayout, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Combinations of a period, those of an owner one after the other, and the rows up to the end of each."""
    owners, sizes = _owners_of(layout), np.diff(period_of(layout).stops, prepend=0)
    count = int(owners.max()) + 1
    ranks = shuffled(np.arange(count, dtype=np.uint64), count, f"{layout.group}/owners", seed)
    order = np.argsort(ranks[owners], kind="stable")
    return order, np.cumsum(sizes[order])


def codes_of_lacking(lacking: Sequence[NDArray[np.bool_]], level: int) -> NDArray[np.uint16]:
    """For rows that lack the keys of a level, a code for all levels that they lack; 0 for rows that have them.

    Parameters
    ----------
    lacking : sequence of ndarray of shape (rows,), bool
        Whether rows lack the keys of a level, by level.
    level : int
        The level that they must lack.
    """
    codes = np.ones(len(lacking[level]), np.uint16)
    for place, lacks in enumerate(lacking[:MOST_LEVELS]):
        codes += lacks.astype(np.uint16) << np.uint16(place)
    return np.where(lacking[level], codes, np.uint16(0))


def _are_numbered(layout: KeyLayout) -> bool:
    """Return whether the keys of each owner are numbered from 0 on without gaps, at each level."""
    owners = np.repeat(np.arange(len(layout.members)), layout.members)
    for places in map(np.array, layout.places):
        owners_of_keys, numbers = np.unique(np.stack((owners, places)), axis=1)
        starts = np.flatnonzero(np.diff(owners_of_keys, prepend=-1))
        counts = np.diff(starts, append=len(numbers))
        if not np.array_equal(numbers, np.arange(len(numbers)) - np.repeat(starts, counts)):
            return False
    return True

"""Keys: text whose values each name someone and come back in several rows. Samples have new ones, in as many rows.

A row's key is a function of the seed and its number. A period of rows is laid out into keys by the distribution of rows
per key, and row i takes the place that a permutation of the period gives it; each period has keys of its own. Where
rows are drawn key after key, those of an owner follow each other instead, in a permutation of the owners.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gpuvgm.arrays import mixed
from gpuvgm.datasets import RowRange
from gpuvgm.io import is_text_type, plain_values_of
from gpuvgm.synthesis.keys.checks import ALIKE, check_by_name
from gpuvgm.synthesis.keys.streams import shuffled

Hashes = NDArray[np.uint64]
Ints = NDArray[np.int64]
Bits = NDArray[np.uint64]  # of columns that are missing
Claims = Set[tuple[str, str]]  # pairs of columns of which the first is said to determine the second
#: Text of at most so many different values is a code and no key; of values that look like addresses, fewer are codes.
MOST_CODES, MOST_ALIKE = 255, 20
LOOKED_AT = 20_000  # different texts, by which a column's look is judged
ONE_TO_ONE = 1.02  # pairs for each value, at most, where a column determines another one: a few errors are let pass
LEAST_REPEATED = 10  # values that come back: with fewer, columns may determine each other by chance
NEARLY_AS_MANY = 0.8  # values for each key, from which on a column that keys determine names each of them
LEAST_SHARE = 0.5  # values for each key, from which on numbers that it determines are keys, too
COUNTED_KEYS = 1 << 14  # combinations with the smallest hashes, whose rows are counted
LONGEST_PERIOD = 1 << 20  # rows
FEW_ROWS = 1 << 16  # of a block: so many hold enough keys, mostly
MOST_COLUMNS = 16  # of a group of keys, whose missing values are told apart
MOST_LEVELS = 6  # whose missing keys a code tells apart
LACKING_CODES = 1 + (1 << MOST_LEVELS)
LOOKS = {
    "e-mail addresses": r"\A[^@\s]+@[^@\s]+\.[A-Za-z]+\z",
    "IBANs": r"\A[A-Z]{2}[0-9]{2} ?([A-Z0-9] ?){11,30}\z",
    "phone numbers": r"\A(\+[0-9][0-9 ()/.-]{6,}[0-9]|\(?0[0-9]+[ )/-][0-9 ()/-]{4,}[0-9]|"
    r"\(?[0-9]{3}[-. )]+[0-9]{3}[-. ][0-9]{4})\z",
    "payment cards": r"\A[0-9]{4}([ -]?[0-9]{3,6}){2,4}\z",
}
DATES = r"\A[0-9]{1,2}[-/. ][0-9]{1,2}[-/. ][0-9]{2,4}\z"  # which look like phone numbers


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

    def numbers(self, part: RowRange, seed: int, *, by_key: bool = False) -> list[Hashes]:
        """Numbers of the keys of consecutive rows, by level; as a last array the bits of the columns that rows lack.

        Parameters
        ----------
        part : RowRange
            The rows.
        seed : int
            Seed of which rows have which keys.
        by_key : bool
            Whether all rows of an owner follow each other.
        """
        period = period_of(self)
        length = np.uint64(period.stops[-1])
        rows = np.arange(part.first_row, part.first_row + part.rows, dtype=np.uint64)
        periods, places = np.divmod(rows, length)
        combinations: NDArray[np.signedinteger[Any]]
        if by_key:
            order, stops = _key_after_key(self, seed)
            combinations = order[np.searchsorted(stops, places, side="right")]
        else:
            combinations = period.combinations[shuffled(places, int(length), f"{self.group}/keys", seed)]
        numbers = [periods * np.uint64(len(level.lacking)) + level.keys[combinations] for level in period.levels]
        return [*numbers, period.missing[combinations]]

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


@dataclass(frozen=True, slots=True)
class KeyCounts:
    """Rows of the keys of the owners with the smallest hashes; merging does not depend on the order.

    Parameters
    ----------
    hashes : ndarray of shape (levels + 1, combinations), uint64
        Hashes of the owners, then of keys with their owner, down to the first level; and bits of the columns that rows
        lack, as of `KeyLayout`. Ascending, the first ones first.
    rows : ndarray of shape (combinations,), int64
        Rows of each combination.
    all_rows : int
        Rows that have an owner.
    ownerless : ndarray of shape (2, combinations), uint64
        Bits of the columns that other rows lack, ascending, and how many rows have them.
    above : tuple of int
        As for `KeyLayout`.
    """

    hashes: Hashes
    rows: NDArray[np.int64]
    all_rows: int
    ownerless: Bits
    above: tuple[int, ...] = ()

    @classmethod
    def of(cls, levels: Sequence[Sequence[Hashes]], above: Sequence[int] = ()) -> KeyCounts:
        """Counts of the rows of a table.

        Parameters
        ----------
        levels : sequence of sequence of ndarray of shape (rows,), uint64
            Hashes of the columns of each level, 0 for missing values; the last level is that of owners. The first
            column of a level tells its keys apart.
        above : sequence of int
            As for `KeyLayout`.
        """
        bits, owners = np.zeros(len(levels[0][0]), np.uint64), levels[-1][0]
        for place, column in enumerate(column for level in levels for column in level):
            bits |= (column == 0).astype(np.uint64) << np.uint64(place)
        present = owners != 0
        hashes, bits_of_owned = {len(above): owners[present]}, bits[present]
        for level in reversed(range(len(above))):
            keys = levels[level][0][present]
            # Missing keys are told apart by the key above, which a row may lack as well, and by what rows lack.
            belonging = np.where(keys == 0, hashes[above[level]] ^ mixed(bits_of_owned, 2), hashes[len(above)])
            hashes[level] = mixed(keys ^ mixed(belonging, 0), 1)
        for low in low_hashes(hashes[len(above)]):
            combinations = np.stack([*(level[low] for level in hashes.values()), bits_of_owned[low]])
            counts = _added(combinations, np.ones(len(low), np.int64))
            if len(counts[1]) == COUNTED_KEYS:
                break
        ownerless, rows = np.unique(bits[~present], return_counts=True)
        return cls(*counts, len(bits_of_owned), np.stack([ownerless, rows.astype(np.uint64)]), tuple(above))

    def merge(self, other: KeyCounts) -> KeyCounts:
        """Counts of both sets of rows."""
        hashes, rows = np.concatenate((self.hashes, other.hashes), axis=1), np.concatenate((self.rows, other.rows))
        bits, counts = np.concatenate((self.ownerless, other.ownerless), axis=1)
        (bits, *_), totals = _added(bits[None], counts.astype(np.int64))
        ownerless = np.stack([bits, totals.astype(np.uint64)])
        return KeyCounts(*_added(hashes, rows), self.all_rows + other.all_rows, ownerless, self.above)

    def layout(self, group: str, columns: Sequence[Sequence[str]]) -> KeyLayout:
        """Distribution of rows per key, without the hashes, given the columns of each level that were counted."""
        ownerless = tuple((int(bits), int(rows)) for bits, rows in self.ownerless.T)
        names, lacks_any = tuple(map(tuple, columns)), bool(self.hashes[-1].any())
        layout = KeyLayout(group, self.above, self.all_rows, columns=names, ownerless=ownerless)
        if not self.above and not lacks_any:
            sizes, owners_alike = np.unique(self.rows, return_counts=True)
            return replace(layout, sizes=tuple(sizes.tolist()), keys=tuple(owners_alike.tolist()))
        owners, count = np.unique(self.hashes[0], return_inverse=True)[1], len(self.rows)
        if count == COUNTED_KEYS and owners.any():  # the combinations of the last owner may not all be counted
            count = int(np.searchsorted(owners, owners[-1]))
        owners, rows = owners[:count], self.rows[:count]
        order = np.lexsort((owners, np.bincount(owners, rows)[owners]))
        hashes = self.hashes[:, order]
        starts = np.flatnonzero(np.diff(owners[order], prepend=-1))
        members = np.diff(starts, append=count)
        return replace(
            layout,
            sizes=tuple(rows[order].tolist()),
            keys=(1,) * len(starts),
            members=tuple(members.tolist()),
            places=tuple(_places_in_owner(keys, starts, members) for keys in hashes[-2:0:-1]),
            missing=tuple(hashes[-1].tolist()) if lacks_any else (),
        )


def _places_in_owner(keys: Hashes, starts: Ints, members: Ints) -> tuple[int, ...]:
    """Number of each combination's key among those of its owner, from 0 on, in the order in which they come."""
    _, firsts, which = np.unique(keys, return_index=True, return_inverse=True)
    numbers = np.argsort(np.argsort(firsts))[which]
    return tuple((numbers - np.repeat(numbers[starts], members)).tolist())


def low_hashes(hashes: Hashes) -> Iterator[NDArray[np.int64]]:
    """Yield rows with low hashes, then more of them, and at last all rows: mostly the first ones hold enough keys."""
    rows = FEW_ROWS
    while rows < len(hashes):
        yield np.flatnonzero(hashes < np.uint64(2**64 * rows // len(hashes)))
        rows *= 8
    yield np.arange(len(hashes))


def _added(hashes: Hashes, rows: NDArray[np.int64]) -> tuple[Hashes, NDArray[np.int64]]:
    """The smallest different combinations of hashes, and the sums of their rows."""
    ordering = [level for level in hashes if level.any()]
    order = np.argsort(ordering[0]) if len(ordering) == 1 else np.lexsort(hashes[::-1])  # a single one is quicker
    hashes, rows = hashes[:, order], rows[order]
    is_first = np.append(True, (hashes[:, 1:] != hashes[:, :-1]).any(axis=0))[: len(rows)]
    firsts = np.flatnonzero(is_first)
    totals = np.add.reduceat(rows, firsts) if len(firsts) else rows
    return hashes[:, firsts[:COUNTED_KEYS]], totals[:COUNTED_KEYS]


# -- which columns are keys


def keys_found(columns: Mapping[str, Any], *, whole: bool) -> dict[str, str]:
    """Names of the columns that hold keys, each with a reason.

    Parameters
    ----------
    columns : mapping of str to pyarrow.ChunkedArray
        A sample of columns whose kind is not declared.
    whole : bool
        Whether the sample is the whole table.
    """
    plain = {name: plain_values_of(column) for name, column in columns.items()}
    codes = {name: Codes.of(column) for name, column in plain.items() if is_text_type(column.type)}
    candidates = {
        name: column
        for name, column in codes.items()
        if len(column.texts) > MOST_ALIKE and column.come_back(whole=whole)
    }
    keys = {name: look for name, column in candidates.items() if (look := _look_of(column.texts))}
    by_look = [*keys]
    for what, look_alike, belong in (("numbers", _has_one_form, _belong), ("names", _are_names, _name_each)):
        for name, column in candidates.items():
            if name not in keys and len(column.texts) > MOST_CODES and look_alike(column.texts):
                key = next((key for key in by_look if belong(column, candidates[key])), "")
                keys |= {name: f'{what} that belong to "{key}"'} if key else {}
    return {name: keys[name] for name in columns if name in keys}


@dataclass(frozen=True, slots=True)
class Codes:
    """A column as numbers of its texts.

    Parameters
    ----------
    numbers : ndarray of shape (rows,), int64
        Number of each row's text; -1 without one.
    texts : pyarrow.Array
        The different texts.
    """

    numbers: NDArray[np.int64]
    texts: pa.Array[Any]

    @classmethod
    def of(cls, column: pa.ChunkedArray[Any]) -> Codes:
        """Numbers of a column's texts."""
        encoded: Any = column.cast(pa.string()).cast(pa.large_string()).combine_chunks().dictionary_encode()
        numbers = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        return cls(numbers, encoded.dictionary)

    @property
    def rows(self) -> int:
        """Rows with a text."""
        return int(np.count_nonzero(self.numbers >= 0))

    def come_back(self, *, whole: bool) -> bool:
        """Return whether texts come back; of a sample a few do, as other rows may repeat more."""
        return len(self.texts) < ALIKE * self.rows if whole else len(self.texts) <= self.rows - LEAST_REPEATED


def rows_of_keys(column: Any) -> NDArray[np.int64]:
    """One row of each key in a sample of a column, ascending, and all rows without a key."""
    numbers = Codes.of(plain_values_of(column)).numbers
    firsts, without = np.unique(numbers, return_index=True)[1], np.flatnonzero(numbers < 0)
    return np.union1d(firsts, without)


def _look_of(texts: Any) -> str | None:
    """What nearly all texts look like; None for others."""
    texts = texts[:LOOKED_AT]
    for look, pattern in LOOKS.items():
        share = _share_like(texts, pattern) - (_share_like(texts, DATES) if look == "phone numbers" else 0)
        if share >= ALIKE and (look != "payment cards" or check_of(texts.to_pylist()) == "luhn"):
            return look
    return None


def _share_like(texts: Any, pattern: str) -> float:
    """Share of the texts that match a pattern."""
    return float(pc.mean(pc.match_substring_regex(texts, pattern)).as_py())


def _has_one_form(texts: Any) -> bool:
    """Return whether texts are single words with numbers of six digits, or of five beside letters, equally long."""
    alike = _share_like(texts, r"\A([0-9]{6,}|[A-Za-z]+[-_]?[0-9]{4,})\z")
    lengths = pc.value_counts(pc.utf8_length(texts)).field("counts")
    return bool(alike >= ALIKE and pc.max(lengths).as_py() >= ALIKE * len(texts))


def _are_names(texts: Any) -> bool:
    """Return whether texts are several words of letters, as names of persons are."""
    return _share_like(texts, r"\A\pL[\pL.'’-]*( \pL[\pL.'’-]*)+\z") >= ALIKE


def _name_each(names: Codes, key: Codes) -> bool:
    """Return whether a key determines names, and has hardly more values."""
    return len(names.texts) >= NEARLY_AS_MANY * len(key.texts) and _determines(key, names)


def _determines(column: Codes, dependent: Codes) -> bool:
    """Return whether rows with the same value of a column have the same value of the dependent.

    Only values that come back count: where each is in a single row, as in a sample of a long table, every column would
    determine every other.
    """
    present = (column.numbers >= 0) & (dependent.numbers >= 0)
    numbers, dependent_numbers = column.numbers[present], dependent.numbers[present]
    repeated = np.bincount(numbers, minlength=len(column.texts)) > 1
    of_repeated = repeated[numbers]
    pairs = len(np.unique(numbers[of_repeated] * len(dependent.texts) + dependent_numbers[of_repeated]))
    return LEAST_REPEATED <= pairs <= ONE_TO_ONE * int(repeated.sum())


def _belong(column: Codes, key: Codes) -> bool:
    """Return whether a column determines a key, or a key determines it and has not many more values."""
    is_fine = len(column.texts) >= LEAST_SHARE * len(key.texts)
    return _determines(column, key) or (is_fine and _determines(key, column))


def trees_of_keys(columns: Mapping[str, Any], refuted: Claims = frozenset()) -> dict[str, tuple[KeyLayout, int]]:
    """For each column of keys the layout of its group, and the column's level there.

    Columns that determine each other in a sample have the same level of the same group. A group is a tree, in which
    the keys of each level determine those of the level above it, such as cards and accounts their customer. It has the
    name of the first column of its finest keys. A column that keys of a tree determine as well, and that has nearly as
    many values, such as a second number that few customers share, has the level of these keys.

    Parameters
    ----------
    columns : mapping of str to pyarrow.ChunkedArray
        A sample of columns of keys.
    refuted : set of (str, str)
        Columns of keys that do not determine another one, whatever the sample says.
    """
    codes = {name: Codes.of(plain_values_of(column)) for name, column in columns.items()}

    @cache
    def determines(name: str, dependent: str) -> bool:
        return (name, dependent) not in refuted and _determines(codes[name], codes[dependent])

    firsts: dict[str, str] = {}
    for name in codes:
        different = dict.fromkeys(firsts.values())
        equivalents = (first for first in different if determines(name, first) and determines(first, name))
        firsts[name] = next(equivalents, name)
    distinct = dict.fromkeys(firsts.values())
    above = {name: [upper for upper in distinct if upper != name and determines(name, upper)] for name in distinct}
    finest_first = sorted(above, key=lambda name: -len(above[name]))
    next_above = {
        name: next((upper for upper in finest_first[place + 1 :] if upper in above[name]), name)
        for place, name in enumerate(finest_first)
    }
    levels = _levels_of_trees(finest_first, next_above)
    groups = [layout.group for layout, _ in levels.values()]
    for name in (name for name in distinct if groups.count(name) == 1):
        most = len(codes[name].texts) / NEARLY_AS_MANY
        below = [levels[lower] for lower in distinct if name in above[lower] and len(codes[lower].texts) <= most]
        levels[name] = max(below, key=lambda key: key[1], default=levels[name])
    return {name: levels[first] for name, first in firsts.items()}


def _levels_of_trees(names: Sequence[str], above: Mapping[str, str]) -> dict[str, tuple[KeyLayout, int]]:
    """Layout of the group of each name, and its level, given the name above it; owners are above themselves.

    A name comes before the one above it.
    """
    owner: dict[str, str] = {}
    for name in reversed(names):
        owner[name] = name if above[name] == name else owner[above[name]]
    levels: dict[str, tuple[KeyLayout, int]] = {}
    for root in dict.fromkeys(owner[name] for name in names):
        group = [name for name in names if owner[name] == root]
        layout = KeyLayout(group[0], tuple(group.index(above[name]) for name in group[:-1]))
        levels |= {name: (layout, level) for level, name in enumerate(group)}
    return levels


def keys_that_determine(
    columns: Mapping[str, Any], dependents: Mapping[str, Any], refuted: Claims = frozenset()
) -> dict[str, str]:
    """For each dependent that keys determine in a sample, the column of keys with the fewest values that does.

    Parameters
    ----------
    columns : mapping of str to pyarrow.ChunkedArray
        A sample of columns of keys.
    dependents : mapping of str to pyarrow.ChunkedArray
        The same rows of columns that keys may determine.
    refuted : set of (str, str)
        Columns of keys that do not determine another one, whatever the sample says.
    """
    codes = {name: Codes.of(plain_values_of(column)) for name, column in columns.items()}
    fewest_first = sorted(codes, key=lambda name: len(codes[name].texts))
    determined: dict[str, str] = {}
    for name, column in dependents.items() if codes else ():
        texts = Codes.of(plain_values_of(column))
        keys = (key for key in fewest_first if (key, name) not in refuted and _determines(codes[key], texts))
        determined[name] = next(keys, "")
    return {name: key for name, key in determined.items() if key}


def check_of(texts: list[str]) -> str:
    """The check digits that nearly all texts have right which look like IBANs or payment cards; else none."""
    for check, look in {"iban": "IBANs", "luhn": "payment cards"}.items():
        if texts and _share_like(pa.array(texts), LOOKS[look]) >= ALIKE and check_by_name(texts, (check,), 1):
            return check
    return ""

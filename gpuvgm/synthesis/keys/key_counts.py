"""Rows of keys, of those with the smallest hashes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import mixed
from gpuvgm.synthesis.keys.keys import Bits, Hashes, Ints, KeyLayout

COUNTED_KEYS = 1 << 14  # combinations with the smallest hashes, whose rows are counted
FEW_ROWS = 1 << 16  # of a block: so many hold enough keys, mostly


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

"""Pairs of rows that have the same key: how much more often they are alike than rows of different keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import mixed
from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.bins import Persons
from gpuvgm.synthesis.keys.habits import LEAST_SHARE
from gpuvgm.synthesis.keys.keys import Hashes

LEAST_PAIRS = 30  # of rows of the same key and category, or nothing is known
LEAST_SURPRISE = 6.0  # standard errors: so much more often than by chance pairs of rows are alike
TURNS = 4  # times that rows of other keys are put beside each row, to know what is alike by chance


@dataclass(frozen=True, slots=True)
class KeyPairs:
    """Rows of a sample by key and category, and pairs of rows that have the same key and category.

    Parameters
    ----------
    hashes, places : ndarray of shape (sample,)
        Key and category of each row of the sample.
    rows : ndarray of shape (rows,), int64
        Those that have both, of some keys, by key, then category.
    pairs : ndarray of shape (2, pairs), int64
        Pairs of them, by category.
    counts, keys : ndarray of shape (categories,), int64
        Rows and keys of each category; keys are 0 where they have too many rows for a habit.
    persons : Persons
        Whose the rows of the sample are.
    """

    hashes: Hashes
    places: Ints
    rows: Ints
    pairs: Ints
    counts: Ints
    keys: Ints
    persons: Persons

    @classmethod
    def of(cls, hashes: Hashes, places: Ints, rows: Ints, most_rows: float, persons: Persons) -> KeyPairs:
        """Pairs of these rows; a category in which keys have more than `most_rows` on average has no habits."""
        rows = rows[places[rows] >= 0]
        # By key and category, else in random order: rows that follow each other in a table may be alike by that alone.
        rows = rows[np.lexsort((mixed(rows.astype(np.uint64)), places[rows], hashes[rows]))]
        follows = (hashes[rows][1:] == hashes[rows][:-1]) & (places[rows][1:] == places[rows][:-1])
        counts = np.bincount(places[rows], minlength=int(places.max(initial=0)) + 1)  # keys left out may have others
        keys = counts - np.bincount(places[rows[1:][follows]], minlength=len(counts))
        pairs = np.stack((rows[:-1], rows[1:]))[:, follows]
        pairs = pairs[:, np.argsort(places[pairs[0]], kind="stable")]
        return cls(
            hashes, places, rows, pairs, counts, np.where(counts <= most_rows * np.maximum(keys, 1), keys, 0), persons
        )

    def shares(
        self, codes: Floats | Ints, lowest: Floats | Ints, far: Callable[[Ints, Ints], NDArray[np.bool_]] | None = None
    ) -> Floats:
        """Share of the rows of each category that keep to a habit; 0 where pairs are alike as if by chance.

        Both rows of a pair keep to it with the square of the share, and all other pairs are alike by chance. How often
        that is, pairs of rows of different keys show, of the same category and as far apart.

        Parameters
        ----------
        codes : ndarray of shape (sample,)
            What may be alike.
        lowest : ndarray of shape (sample,)
            The least code that each row can stand for: on a Monday, that of the Saturday before, if rows of its
            category have no weekends.
        far : callable, optional
            Which pairs of rows say something, as they are far enough apart; all by default.
        """
        (first, second), size = self.pairs, len(self.counts)
        categories = self.places[first]

        def counts(partners: Ints) -> tuple[Ints, Ints]:
            """Pairs of each category that say something, and those of them that are alike."""
            are_alike = (lowest[first] <= codes[partners]) & (lowest[partners] <= codes[first])
            are_far = np.ones(len(first), np.bool_) if far is None else far(first, partners)
            of_pairs, of_alike = categories[are_far], categories[are_far & are_alike]
            return np.bincount(of_pairs, minlength=size), np.bincount(of_alike, minlength=size)

        count, alike = counts(second)
        if not np.any((count >= LEAST_PAIRS) & (alike >= LEAST_SHARE**2 * count) & (self.keys > 0)):
            return np.zeros(size)
        unrelated, alike_by_chance = np.sum([counts(partners) for partners in self._partners()], axis=0)
        chance = alike_by_chance / np.maximum(unrelated, 1)
        surplus, spread = alike - chance * count, np.sqrt(chance * (1 - chance) * count + 1)
        is_sure = (count >= LEAST_PAIRS) & (surplus >= LEAST_SURPRISE * spread) & (self.keys > 0)
        shares: Floats = np.sqrt(np.where(is_sure, surplus / np.maximum(count * (1 - chance), 1), 0.0))
        return np.minimum(shares, 1.0)

    def _partners(self) -> Iterator[Ints]:
        """Yield rows of other keys beside the first row of each pair, `TURNS` times: second rows of its category."""
        first, second = self.pairs
        counts = np.bincount(self.places[first], minlength=len(self.counts))
        starts = np.cumsum(counts) - counts
        start, length = starts[self.places[first]], counts[self.places[first]]
        inside = np.arange(len(first)) - start
        for turn in range(1, TURNS + 1):
            yield second[start + (inside + length * turn // (TURNS + 1)) % length]

    def rows_of_keys(self, category: int, is_meant: NDArray[np.bool_] | None = None) -> Ints:
        """One row of a category of each key."""
        candidates = self.rows[self.places[self.rows] == category]
        candidates = candidates if is_meant is None else candidates[is_meant[candidates]]
        rows: Ints = candidates[np.diff(self.hashes[candidates], prepend=np.uint64(0)) != 0]
        return rows

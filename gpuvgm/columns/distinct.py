"""Numbers of different values, from a few hashes of them: exact for few values, and merged in any order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
KEPT = 1 << 14  # hashes: the standard error is 0.8 %
_MORE = 1.2  # times as many are looked at, so that most often enough of them are there


@dataclass(frozen=True, eq=False)  # no slots: the number is cached
class DistinctValues:
    """The different values with the smallest hashes, and how often each occurs; merging does not depend on the order.

    The hashes are a random sample of the different values, whose number their spread tells (Bar-Yossef et al. 2002).

    Parameters
    ----------
    hashes : ndarray of shape (values,), uint64
        The smallest hashes, ascending: 2^14 at most.
    rows : ndarray of shape (values,), int64
        Rows of each of these values.
    """

    hashes: Hashes
    rows: NDArray[np.int64]

    @classmethod
    def of(cls, hashes: Hashes, rows: NDArray[np.int64] | None = None) -> DistinctValues:
        """Values of rows with these hashes, or of so many rows each."""
        if len(hashes) > _MORE * KEPT:
            low = np.flatnonzero(hashes < np.uint64(2**64 * _MORE * KEPT / len(hashes)))
            first = _added(hashes[low], None if rows is None else rows[low])
            if len(first.hashes) == KEPT:
                return first
        return _added(hashes, rows)

    @classmethod
    def of_parts(cls, hashes_of: Callable[[slice], Hashes], parts: Sequence[slice], rows: int) -> DistinctValues:
        """Values of so many rows, whose hashes are worked out part by part: only the smallest ones are kept."""
        limit = 2.0**64 * _MORE * KEPT / max(rows, 1)
        low = [hashes[hashes < limit] for hashes in map(hashes_of, parts)]
        first = _added(np.concatenate([np.empty(0, np.uint64), *low]), None)
        if len(first.hashes) == KEPT or limit >= 2.0**64:
            return first
        return _added(np.concatenate([*map(hashes_of, parts)]), None)

    def merge(self, values: DistinctValues) -> DistinctValues:
        """Values of both sets of rows."""
        return _added(np.concatenate((self.hashes, values.hashes)), np.concatenate((self.rows, values.rows)))

    @property
    def is_exact(self) -> bool:
        """True if all different values are among these."""
        return len(self.hashes) < KEPT

    @cached_property
    def number(self) -> int:
        """How many different values there are, or about how many."""
        if self.is_exact:
            return len(self.hashes)
        return round((KEPT - 1) / (float(self.hashes[-1]) / 2.0**64))

    @property
    def all_once(self) -> bool:
        """True if none of these values comes back."""
        return not np.any(self.rows > 1)


def _added(hashes: Hashes, rows: NDArray[np.int64] | None) -> DistinctValues:
    """The smallest different hashes, with the sums of their rows."""
    if rows is None:
        distinct, counts = np.unique(hashes, return_counts=True)
        return DistinctValues(distinct[:KEPT], counts[:KEPT].astype(np.int64))
    order = np.argsort(hashes)
    hashes = hashes[order]
    firsts = np.flatnonzero(np.append(True, hashes[1:] != hashes[:-1])[: len(hashes)])
    totals = np.add.reduceat(rows[order], firsts) if len(firsts) else rows
    return DistinctValues(hashes[firsts[:KEPT]], totals[:KEPT])

"""Whose rows are: what few have is no evidence of a law, and stands in no table of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gpuvgm.laws.codes import Mask
from gpuvgm.summary import Ints

SEVERAL = 5  # of whom a table or a sample may show what they have: hardly anything has so many by chance


class Owners(Protocol):
    """Whose the rows of a sample are."""

    @property
    def keys(self) -> tuple[Any, ...]:
        """Columns of keys that say so; none where each row is of someone else."""

    def at(self, rows: Any) -> Owners:
        """Owners of a part of the rows, by their places or a mask."""

    def several(self, things: Ints, size: int) -> Mask:
        """Which things at least `SEVERAL` have, by the thing of each row, -1 for none."""


@dataclass(frozen=True, slots=True)
class OwnersOfRows:
    """Each row is of someone else."""

    keys: tuple[Any, ...] = ()

    def at(self, rows: Any) -> OwnersOfRows:
        """The same."""
        return self

    def several(self, things: Ints, size: int) -> Mask:
        """Things that have so many rows."""
        enough: Mask = np.bincount(things[things >= 0], minlength=size) >= SEVERAL
        return enough


@dataclass(frozen=True, slots=True)
class OwnersOfKeys:
    """Rows of one key are of one owner.

    Parameters
    ----------
    of_rows : ndarray of shape (rows,), int64
        Number of the key of each row, from 0 on; rows without one are of one owner.
    """

    of_rows: Ints

    @classmethod
    def of(cls, hashes: NDArray[np.uint64]) -> OwnersOfKeys:
        """Owners by the hash of the key of each row."""
        return cls(np.unique(hashes, return_inverse=True)[1])

    @property
    def keys(self) -> tuple[Any, ...]:
        """The keys."""
        return (self.of_rows,)

    def at(self, rows: Any) -> OwnersOfKeys:
        """Owners of these rows."""
        return OwnersOfKeys(self.of_rows[rows])

    def several(self, things: Ints, size: int) -> Mask:
        """Things that so many keys have."""
        known, owners = things >= 0, int(self.of_rows.max(initial=0)) + 1
        pairs = np.unique(things[known] * owners + self.of_rows[known])
        enough: Mask = np.bincount(pairs // owners, minlength=size) >= SEVERAL
        return enough

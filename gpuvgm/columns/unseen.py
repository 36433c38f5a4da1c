"""Values of a column that the fit had not seen, counted where rows are encoded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gpuvgm.arrays import Array


@dataclass(frozen=True, slots=True)
class Unseen:
    """Number of a column's rows of one sort, and the first of them in the source."""

    rows: int
    first_row: int

    @classmethod
    def of(cls, first_row: int, **sorts: Array | None) -> dict[str, Unseen]:
        """The rows of a part of a column by sort; sorts without any are left out.

        Parameters
        ----------
        first_row : int
            Where the part begins.
        **sorts : ndarray of shape (rows,), bool, or None
            Which rows are of that sort; None: none. They are called "outside" (the training range), "clipped" (at the
            end of their mode), "off_step", "unknown" (no category), and "infrequent" (of those that share a
            one-hot column).
        """
        unseen = {}
        for sort, is_of_sort in sorts.items():
            if is_of_sort is not None and is_of_sort.any():
                unseen[sort] = cls(int(is_of_sort.sum()), first_row + int(is_of_sort.argmax()))
        return unseen

    @classmethod
    def counted(cls, first_row: int, **sorts: Array) -> dict[str, Unseen]:
        """Rows of a part by sort, from a count of each sort and its first row in the part."""
        return {sort: cls(int(rows), first_row + int(first)) for sort, (rows, first) in sorts.items() if rows}

    def merge(self, unseen: Unseen) -> Unseen:
        """Add both counts."""
        return Unseen(self.rows + unseen.rows, min(self.first_row, unseen.first_row))


@dataclass(frozen=True, slots=True, eq=False)
class Pending:
    """Counts of rows that lie on a device, for which nobody has waited.

    Parameters
    ----------
    counts : array
        The counts, integers of 64 bits.
    unseen : callable
        Unseen values, from the counts on the host; raises for values that the model has no place for.
    """

    counts: Array
    unseen: Callable[[Array], Mapping[str, Unseen]]

"""Values that the fit had not seen: counted where rows are encoded, and warned of once for each column."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gpuvgm.arrays import Array
from gpuvgm.errors import UnseenWarning, counted, warn

_TOLD = {"outside": "outside the training range", "off_step": "off the step that training rows lie on"}


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

    def merge(self, other: Unseen) -> Unseen:
        """Add both counts."""
        return Unseen(self.rows + other.rows, min(self.first_row, other.first_row))


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


UnseenRows = Mapping[str, Mapping[str, Unseen]]  # of a block, by column and sort


@dataclass(slots=True)
class UnseenCounts:
    """Unseen values of a table, by column and sort."""

    columns: dict[str, dict[str, Unseen]] = field(default_factory=dict)

    def add(self, counts: UnseenRows) -> None:
        """Add the unseen values of a block."""
        for column, sorts in counts.items():
            column_counts = self.columns.setdefault(column, {})
            for sort, rows in sorts.items():
                column_counts[sort] = rows.merge(column_counts[sort]) if sort in column_counts else rows

    def to_json(self) -> dict[str, Any]:
        """Rows and first row by column and sort."""
        return {
            column: {sort: [rows.rows, rows.first_row] for sort, rows in sorts.items()}
            for column, sorts in self.columns.items()
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> UnseenCounts:
        """Read what `to_json` gave."""
        return cls(
            {
                column: {sort: Unseen(int(rows), int(first)) for sort, (rows, first) in sorts.items()}
                for column, sorts in document.items()
            }
        )

    def rows(self) -> dict[str, dict[str, int]]:
        """Rows by column and sort."""
        return {column: {sort: rows.rows for sort, rows in sorts.items()} for column, sorts in self.columns.items()}

    def warn(self, place: Callable[[int], str]) -> None:
        """Warn of the columns whose values may not come back; unknown ones are ignored as users asked.

        In cross-validation nothing is told.
        """
        for column, sorts in self.columns.items():
            for sort, what in _TOLD.items():
                if sort in sorts:
                    rows, first = sorts[sort].rows, place(sorts[sort].first_row)
                    text = f'column "{column}": {counted(rows, "value")} {what} (first at {first})'
                    warn(text, UnseenWarning, (column, sort, place(0)))

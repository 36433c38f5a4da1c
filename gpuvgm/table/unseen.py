"""Values of a table that the fit had not seen: merged over blocks, and warned of once for each column."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gpuvgm.columns import Unseen
from gpuvgm.errors import UnseenWarning, counted, warn

_TOLD = {"outside": "outside the training range", "off_step": "off the step that training rows lie on"}
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

"""Dates of one column in the texts of another, as in the numbers of invoices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gpuvgm.columns import CategoricalColumn
from gpuvgm.io import is_text_type
from gpuvgm.laws import DatesInText
from gpuvgm.report.laws.rows import CODE, SomeRows
from gpuvgm.report.laws.rules import Rule, Share


@dataclass(frozen=True, slots=True)
class HoldsDate(Rule):
    """Texts hold the date of their row.

    Parameters
    ----------
    columns : tuple of str
        The column of dates, and that of texts.
    dates : DatesInText
        Where texts hold parts of dates.
    """

    columns: tuple[str, ...]
    dates: DatesInText

    @classmethod
    def find(cls, rows: SomeRows) -> Iterator[HoldsDate]:
        """Yield each column of texts that hold dates, with the column whose dates they hold most of."""
        moments = {name: DatesInText.moments(column, rows.few_values(name)) for name, column in rows.columns.items()}
        known = {name: of_column for name, of_column in moments.items() if of_column is not None}
        for name, column in rows.columns.items() if known else ():
            if is_text_type(rows.column(name).type) and name not in known and not isinstance(column, CategoricalColumn):
                date, dates = DatesInText.of_most(rows.few_values(name), known)
                if date:
                    yield cls((date, name), dates)

    @property
    def may_be_declared(self) -> bool:
        """Yes."""
        return True

    @property
    def text(self) -> str:
        """The law, as people write it."""
        date, name = self.columns
        return f"{date} -> {CODE}({name})"

    def share(self, rows: SomeRows) -> Share:
        """Rows without a date and texts of other forms are not judged."""
        date, name = self.columns
        moments = DatesInText.moments(rows.columns[date], rows.few_values(date))
        return (0, 0) if moments is None else self.dates.share(rows.few_values(name), moments)

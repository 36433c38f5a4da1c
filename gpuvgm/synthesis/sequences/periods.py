"""Periods within which numbers of rows run on, and begin anew: a year of pay, a season of goals, visits of a day."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gpuvgm.columns import FittedColumn, NumericColumn
from gpuvgm.io import is_moment_type
from gpuvgm.laws import DatesInText
from gpuvgm.summary import Ints
from gpuvgm.synthesis.sequences.names import PLACE, after, before, within
from gpuvgm.synthesis.sequences.rows import KeyRows

LEAST_STEPS = 20  # other than 0, that show a running number
LEAST_RESTARTS = 10  # within keys, that show with what a number begins anew
MOSTLY = 0.99  # of the rows that keep a law, of which the others are told

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Period:
    """Rows of a key that follow each other, of one year of a date, or of one value of a column, such as a season.

    Parameters
    ----------
    column : str
        The column.
    unit : str
        "year", "quarter", "month", "week" or "day" of its dates; empty for its values.
    """

    column: str
    unit: str = ""

    def __str__(self) -> str:
        return f"{self.unit}({self.column})" if self.unit else self.column

    def begins(self, rows: KeyRows, column: FittedColumn) -> Bools:
        """Which rows are of another one than the row of their key before."""
        if not self.unit:
            return rows.changes(self.column)
        moments = DatesInText.moments(column, rows.column(self.column))
        assert moments is not None
        numbers = DatesInText.numbers_of_periods(moments, self.unit)
        return np.append(False, numbers[1:] != numbers[:-1])[: len(numbers)] & ~rows.are_first

    def places(self, rows: KeyRows, column: FittedColumn) -> Ints:
        """Place of each row among those of its key and period, from 1 on."""
        numbers = np.arange(rows.table.num_rows)
        places: Ints = numbers - np.maximum.accumulate(np.where(self.begins(rows, column) | rows.are_first, numbers, 0))
        return places + 1


@dataclass(frozen=True, slots=True)
class CarryOver:
    """A column of what a row takes over from the row before, where both are of one period.

    Parameters
    ----------
    going_on : str
        The column of what it takes over then.
    period : Period
        The period.
    start : int
        What it has else.
    of : str
        What its name says that it is, if not the column of what it takes over.
    """

    going_on: str
    period: Period
    start: int
    of: str = ""

    @classmethod
    def of_places(cls, period: Period) -> CarryOver:
        """The place of a row within a period."""
        return cls(after(within(PLACE, str(period))), period, 1, PLACE)

    @property
    def name(self) -> str:
        """Its name."""
        return within(self.of or self.going_on, str(self.period))

    @property
    def law(self) -> str:
        """The law by which it is computed."""
        former = replace(self.period, column=before(self.period.column))
        return f"{self.going_on} if {self.period} is {former} else {self.start} = {self.name}"

    def of_rows(self, rows: KeyRows, column: FittedColumn, going_on: Any) -> Any:
        """The column; where nothing is known that may go on, it lacks what begins as well, as in first rows."""
        begins = pc.and_(pa.array(self.period.begins(rows, column)), pc.is_valid(going_on))
        return pc.if_else(begins, pa.scalar(self.start, going_on.type), going_on)


def periods_of(columns: Mapping[str, FittedColumn], index: str | None) -> tuple[Period, ...]:
    """Periods with which numbers may begin anew: of the index, values, then of other dates, the longest first."""
    dates = [
        name for name, column in columns.items() if isinstance(column, NumericColumn) and is_moment_type(column.type)
    ]
    of_index, of_others = (
        [Period(name, unit) for name in dates if (name == index) == is_index for unit in DatesInText.periods]
        for is_index in (True, False)
    )
    return (*of_index, *map(Period, columns), *of_others)


@dataclass(frozen=True, slots=True)
class Restarts:
    """Which rows a number goes on in from the row before, and which ones it begins anew in; both may be true of some.

    Parameters
    ----------
    rows : KeyRows
        Rows of whole keys.
    goes_on, begins : ndarray of shape (rows,), bool
        What they may be; of first rows, and those that lack a number, neither is asked.
    are_known : ndarray of shape (rows,), bool
        Of which it is asked.
    """

    rows: KeyRows
    goes_on: Bools
    begins: Bools
    are_known: Bools

    @property
    def are_shown(self) -> bool:
        """Whether enough rows do one and not the other, and hardly any does neither."""
        goes_on, begins = self.goes_on[self.are_known], self.begins[self.are_known]
        only_begin, only_go_on = np.count_nonzero(begins & ~goes_on), np.count_nonzero(goes_on & ~begins)
        neither = np.flatnonzero(~goes_on & ~begins)
        is_told = only_begin >= LEAST_RESTARTS and only_go_on >= LEAST_STEPS
        return bool(is_told and self.are_few(neither))

    def are_few(self, broken: Ints) -> bool:
        """Whether nearly all rows are others than some."""
        return bool(len(broken) <= (1 - MOSTLY) * np.count_nonzero(self.are_known))

    def broken(self, begins: Bools | None = None) -> Ints:
        """Rows that do another thing than to begin anew in some rows alone, or in none."""
        does_it = self.goes_on if begins is None else np.where(begins, self.begins, self.goes_on)
        return np.flatnonzero(self.are_known & ~does_it)

    def period(self, periods: Iterable[Period], columns: Mapping[str, FittedColumn]) -> tuple[Period | None, Ints]:
        """The first period that most rows go by, none where most never begin anew, and the rows that do not."""
        best, broken = None, self.broken()
        for period in periods if self.are_shown else ():
            if not len(broken):
                break
            of_period = self.broken(period.begins(self.rows, columns[period.column]))
            if len(of_period) < len(broken):
                best, broken = period, of_period
        return best, broken

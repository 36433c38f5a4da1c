"""Running numbers that rise with a time over all rows, whichever key these belong to, such as those of invoices.

A row's number depends on its time and on the number of the row alone, so that any part of a sample can be drawn alone.
Times have places, whole numbers that rise with each step of time; each place has as many numbers as rows may share it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.columns import FittedColumn, IdColumn, NumericColumn
from gpuvgm.engines import philox_words
from gpuvgm.errors import InputError, warn
from gpuvgm.io import is_datetime_type, is_text_type, plain_type, plain_values_of
from gpuvgm.rules import finite, whole
from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.keys.streams import column_number

LEAST_STEPS = 20  # from one time to the next, by which numbers are known to rise
RISING = 0.99  # share of these steps, at least, in which no number falls
TIMES_AS_MANY = 10  # rows as in the table, at least, that share no number of a place
MORE_PLACES = 4  # times as many places as steps of time, so that the curve has most of them
INTERVALS = 256  # of equal length, of which the curve has the rows
LEAST_KEYS = 5  # of each interval
MOST_TEXT, MOST_WHOLE = 10**17, 10**18  # numbers in text, and of 64 bits: with room for more
MOST_STEPS = 2**52  # of which a float holds each
LEAST_PLACES = 100  # or the numbers of a type are too few
MOST = 2**63 - 1  # a number of which there is a text


@dataclass(frozen=True, slots=True)
class NumberCurve:
    """How the numbers of a column rise with a time.

    Parameters
    ----------
    column : str
        The column of times.
    start, step : float
        The first time, and the step of times, as numbers of their column; times of one step are not told apart.
    steps : int
        Steps of time.
    ends : tuple of int
        Ends of intervals of time, in steps from the first time on.
    rows : tuple of int
        Rows of each interval, of at least five keys; in a sample.
    places : int
        Places of times: each step has one at least, and the others are shared among the intervals by their rows.
    room : int
        Numbers of each place, and rows that share none: further rows begin again, behind all places.
    by : int
        By how much numbers rise at least.
    first : int
        The table's first number; of text, where a sample is of some rows, that of the sample.
    restarts : bool
        Whether the table's numbers begin again with each date that their texts hold.
    lead : int
        What is added to numbers of texts without zeros before them, so that all have as many digits, as in the table.
    """

    column: str
    start: Annotated[float, finite]
    step: Annotated[float, finite]
    steps: Annotated[int, whole(1)]
    ends: tuple[Annotated[int, whole(1)], ...]
    rows: tuple[Annotated[int, whole(1)], ...]
    places: Annotated[int, whole(1)]
    room: Annotated[int, whole(1)]
    by: Annotated[int, whole(1)]
    first: int
    restarts: bool = False
    lead: Annotated[int, whole(0, MOST)] = 0

    def tell_of_rounds(self, name: str, rows: int) -> None:
        """Warn where the numbers of a column do not rise over so many rows."""
        if rows > self.room:
            warn(
                f'column "{name}": its numbers rise with "{self.column}" within each {self.room:,} rows of a sample, '
                f'and not from these to others; draw it in order, with sort="{self.column}"'
            )

    def check(self) -> None:
        """Raise ValueError where the parts of a loaded curve do not fit together."""
        rises = np.all(np.diff(self.ends, prepend=0) > 0)
        if len(self.ends) != len(self.rows) or not rises or self.ends[-1] != self.steps or self.places < self.steps:
            raise ValueError(f'numbers do not rise with "{self.column}" as its intervals say')
        if self.step <= 0 or self.most > MOST:
            raise ValueError(f'numbers that rise with "{self.column}" are too large')

    @property
    def most(self) -> int:
        """The largest of the numbers of the first `room` rows."""
        return self.lead + self.places * self.room * self.by

    def numbers(self, name: str, times: Floats, rows: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
        """Numbers of rows, of which no two are the same: what is added to the largest number of the table, less 1.

        Parameters
        ----------
        name : str
            The column of the numbers.
        times : ndarray of shape (rows,), float64
            Numbers of the column of times; a row without one gets any place.
        rows : ndarray of shape (rows,), uint64
            Numbers of the rows.
        seed : int
            The seed.
        """
        words = philox_words(rows, column_number(f"{name}/time"), seed)[0] * (self.steps / 2.0**32)
        steps = np.where(np.isnan(times), words, (times - self.start) / self.step)
        # Rounded to whole numbers before they are compared: a time on a step may be a rounding apart from it.
        steps = np.clip(np.floor(steps + 0.5), 0, self.steps - 1)
        rounds, within = np.divmod(rows.astype(np.int64), self.room)
        last = int(rounds.max(initial=0)) + 1
        if last * self.most > MOST:
            raise InputError(f'column "{name}": there are no numbers for row {int(rows.max()):,}; draw fewer rows')
        numbers = (rounds * self.places + self._places(steps)) * self.room + within
        return np.asarray(self.lead + (numbers + 1) * self.by - 1).astype(np.uint64)

    def _places(self, steps: Floats) -> Ints:
        """Place of each step of time: later ones have higher ones."""
        shares = np.cumsum([0, *self.rows]) / sum(self.rows)
        more = np.interp(steps, [0, *self.ends], np.floor(shares * (self.places - self.steps)))
        places: Ints = steps.astype(np.int64) + np.floor(more).astype(np.int64)
        return places


@dataclass(frozen=True, slots=True)
class CurveSearch:
    """Looks for times with which the numbers of a column rise.

    Parameters
    ----------
    column : FittedColumn
        The column of the numbers, fitted to all rows.
    form : IdentifierForm
        Its form.
    rows : pyarrow.Table
        A sample of the rows.
    keys : ndarray of shape (rows,), int64
        Key of each row.
    in_all : int
        Rows of the table.
    """

    column: FittedColumn
    form: Any
    rows: pa.Table
    keys: Ints
    in_all: int

    def beside(self, times: Mapping[str, FittedColumn]) -> NumberCurve | None:
        """How the numbers rise with the first of some columns with which they do; None where there is none."""
        numbers, heads = _numbers_of(self.form, self.rows.column(self.column.name).combine_chunks())
        for time in times.values():
            if not isinstance(time, NumericColumn) or not is_datetime_type(time.decoded_type):
                continue
            moments = np.asarray(time.all_numbers(self.rows.column(time.name).combine_chunks()), np.float64)
            known = np.isfinite(moments) & (numbers >= 0)
            groups = np.zeros_like(numbers), heads
            falls = [_falls(numbers[known], moments[known], of_group[known]) for of_group in groups]
            if min(falls) <= 1 - RISING:
                curve = self._curve(time, moments[known], known, self._first(numbers[known]))
                return curve and replace(curve, restarts=bool(self.form.date) and falls[1] < falls[0])
        return None

    def _curve(self, time: Any, moments: Floats, known: NDArray[np.bool_], first: int) -> NumberCurve | None:
        """The curve beside a column of times; None where the column's type has too few numbers, or there are few keys.

        Parameters
        ----------
        time : NumericColumn
            The column of times.
        moments : ndarray of shape (known rows,), float64
            Its numbers.
        known : ndarray of shape (rows,), bool
            The rows that have a number and a time.
        first : int
            The table's first number.
        """
        room, by = 10, self.column.step if isinstance(self.column, IdColumn) and self.form.is_plain else 1
        while room < TIMES_AS_MANY * self.in_all:
            room *= 10
        most = min((_most_of(self.column) - self.form.largest) // (by * room), MOST_STEPS)
        if most < LEAST_PLACES:
            return None
        (start, stop), step = time.plain_range, time.codec.plain.spacing or 1.0
        steps, places = round((stop - start) / step) + 1, LEAST_PLACES
        while places < MORE_PLACES * steps:
            places *= 10
        places = min(places, most)
        if steps > places:  # times of one step are not told apart
            steps = places // MORE_PLACES
            step = (stop - start) / (steps - 1)
        intervals = _intervals(np.clip(np.rint((moments - start) / step), 0, steps - 1), self.keys[known], steps)
        lead = self._lead(first, places * room * by)
        curve = NumberCurve(time.name, float(start), float(step), steps, *intervals, places, room, by, first, lead=lead)
        return curve if curve.ends else None

    def _first(self, numbers: Ints) -> int:
        """The least number: of whole numbers that of all rows, of text that of the sample."""
        if isinstance(self.column, IdColumn) and self.form.is_plain and self.column.first:  # which is 0 of text
            return self.column.first
        return int(numbers.min())

    def _lead(self, first: int, most: int) -> int:
        """What gives all numbers of texts as many digits, where those of the table have; see `NumberCurve`."""
        largest, type_ = self.form.largest, plain_type(self.column.decoded_type)
        are_alike = is_text_type(type_) and not self.form.width and len(str(first)) == len(str(largest))
        return int(10 ** len(str(largest + most))) if are_alike else 0


def _numbers_of(form: Any, values: Any) -> tuple[Ints, Ints]:
    """Running numbers of texts, -1 for those without, and a number for each different text before them."""
    texts = plain_values_of(IdColumn.digits(values)).to_pylist()
    expressions = [re.compile(pattern.expression.removesuffix(r"\z") + r"\Z") for pattern in form.patterns]
    numbers, heads = np.full(len(texts), -1), np.zeros(len(texts), np.int64)
    known: dict[str, int] = {}
    for row, text in enumerate(texts):
        matches = (expression.match(text) for expression in expressions if text is not None)
        match = next(filter(None, matches), None)
        if match is not None:
            numbers[row] = int(match["number"])
            heads[row] = known.setdefault(match.string[: match.start("number")], len(known))
    return numbers, heads


def _falls(numbers: Ints, moments: Floats, groups: Ints) -> float:
    """Share of the steps from one time to the next, within groups, in which numbers fall; 1 where there are few."""
    order = np.lexsort((numbers, moments, groups))
    later = (np.diff(groups[order]) == 0) & (np.diff(moments[order]) > 0)
    steps = np.count_nonzero(later)
    return float(np.count_nonzero(later & (np.diff(numbers[order]) < 0)) / steps) if steps >= LEAST_STEPS else 1.0


def _intervals(steps: Floats, keys: Ints, count: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Ends of intervals of so many steps, of which each has rows of five keys, and the rows of each.

    The intervals are of equal length, so that no end is the time of a row; those of fewer keys are part of the next.
    """
    grid = np.unique(np.linspace(0, count, INTERVALS + 1).astype(np.int64)[1:])
    cells = np.searchsorted(grid, steps, side="right")
    pairs = np.unique(np.stack([cells, keys]), axis=1)
    keys_of_cells = [pairs[1][pairs[0] == cell] for cell in range(len(grid))]
    rows_of_cells = np.bincount(cells, minlength=len(grid))
    ends, rows, waiting, waiting_rows = list[int](), list[int](), set[int](), 0
    for end, of_cell, rows_of_cell in zip(grid.tolist(), keys_of_cells, rows_of_cells.tolist(), strict=True):
        waiting, waiting_rows = waiting.union(of_cell.tolist()), waiting_rows + rows_of_cell
        if len(waiting) >= LEAST_KEYS:
            ends, rows, waiting, waiting_rows = [*ends, end], [*rows, waiting_rows], set(), 0
    if ends:  # the last ones are too few for an interval of their own
        ends[-1], rows[-1] = int(count), rows[-1] + waiting_rows
    return tuple(ends), tuple(rows)


def _most_of(column: FittedColumn) -> int:
    """About the largest number that a column's type holds."""
    type_: Any = plain_type(column.decoded_type)
    if is_text_type(type_):
        return MOST_TEXT
    if pa.types.is_decimal(type_):
        return min(MOST_WHOLE, int(10 ** (type_.precision - type_.scale)) - 1)
    if pa.types.is_floating(type_):
        return int(2 ** {16: 11, 32: 24, 64: 53}[type_.bit_width])
    return min(MOST_WHOLE, int(np.iinfo(type_.to_pandas_dtype()).max))

"""Numbers that never fall from row to row of a key, and dates that are never before or after one of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Any

import numpy as np

from gpuvgm.columns import FittedColumn, NumericColumn
from gpuvgm.io import is_datetime_type
from gpuvgm.rules import finite
from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.sequences.periods import LEAST_STEPS
from gpuvgm.synthesis.sequences.rows import KeyRows, amounts_of, numbers_in_order

LEAST_OF_KEYS = 5  # that rose as little or less, over several rows
MOST_FOLLOWING = 32  # rows after one, of which it is learnt by how much numbers rise up to the last one


@dataclass(frozen=True, slots=True)
class Rise:
    """A column of which no number is below one of the row before, in any row; or one of rows and one of their key.

    Parameters
    ----------
    column, former : str
        The column, and that of the row before: the same one, or another one of datetimes. Where one of them is of the
        key, both are of the same row.
    step : float
        By how much it is above at least, in numbers of the columns, which may have two origins; 0 where some are equal.
    further : tuple of float
        By how much the second row that follows is, the third one, and so on, in all keys but four, of one column.
    """

    column: str
    former: str
    step: Annotated[float, finite]
    further: tuple[Annotated[float, finite], ...] = ()

    def room(self, following: Ints) -> Floats:
        """By how much the last one of so many rows that follow is above at least: ten working days are two weeks."""
        rooms = np.array([0.0, self.step, *self.further])
        most = len(rooms) - 1
        room: Floats = rooms[most] * (following // most) + rooms[following % most]
        return room


def rises(rows: KeyRows, columns: Mapping[str, FittedColumn]) -> Iterator[Rise]:
    """Numbers that are never below that of the row before, and datetimes never below another one of it."""
    numbers = {name: numbers_in_order(column, rows.column(name)) for name, column in columns.items()}
    amounts = {name: amounts_of(column, rows.column(name)) for name, column in columns.items()}
    moments = {name for name in columns if is_datetime_type(columns[name].decoded_type)}
    after = np.flatnonzero(~rows.are_first)
    for name, former in product(columns, columns):
        types = columns[name].decoded_type, columns[former].decoded_type
        if name == former or types[0] == types[1] and {name, former} <= moments:
            steps = numbers[name][after] - numbers[former][after - 1]
            known = ~np.isnan(steps)
            # Numbers of two columns may have two origins, and what they mean has one.
            rises = (amounts[name][after] - amounts[former][after - 1])[known]
            if np.count_nonzero(rises > 0) >= LEAST_STEPS and rises.min() >= 0:
                step = float(steps[known].min())
                # Where some are equal, any number of rows has room.
                is_apart = name == former and step > 0
                yield Rise(name, former, step, tuple(_further_rises(rows, numbers[name])) if is_apart else ())


def _further_rises(rows: KeyRows, numbers: Floats) -> Iterator[float]:
    """Yield by how much numbers of the second row that follows one are above it at least, of the third, and so on.

    That is so but for the fewest keys: what one of them did alone stands in no model.
    """
    for several in range(2, MOST_FOLLOWING + 1):
        after, of_keys = np.flatnonzero(rows.places >= several), np.full(len(rows.starts), np.inf)
        np.fmin.at(of_keys, rows.keys[after], numbers[after] - numbers[after - several])
        known = np.sort(of_keys[np.isfinite(of_keys)])
        if len(known) < LEAST_OF_KEYS:
            return
        yield float(known[LEAST_OF_KEYS - 1])


def rises_of_keys(
    rows: KeyRows, numbers: Mapping[str, NumericColumn], constants: Sequence[str], columns: Mapping[str, FittedColumn]
) -> Iterator[Rise]:
    """Datetimes that are never before one of their key, or never after it: nothing is lent before a member joined."""
    of_keys = (name for name in constants if isinstance(columns[name], NumericColumn))
    moments = [name for name in (*numbers, *of_keys) if is_datetime_type(columns[name].decoded_type)]
    moment_columns: Any = {name: columns[name] for name in moments}
    readings = {name: np.asarray(column.all_numbers(rows.column(name))) for name, column in moment_columns.items()}
    amounts = {name: amounts_of(column, rows.column(name)) for name, column in moment_columns.items()}
    mixed = np.random.default_rng(0).permutation(rows.table.num_rows)
    for name, former in product(moments, moments):
        if (name in numbers) != (former in numbers):
            rises, by_chance = amounts[name] - amounts[former], amounts[name][mixed] - amounts[former]
            known = ~np.isnan(rises)
            if np.count_nonzero(by_chance < 0) >= LEAST_STEPS and rises[known].min(initial=np.inf) >= 0:
                yield Rise(name, former, float((readings[name] - readings[former])[known].min()))

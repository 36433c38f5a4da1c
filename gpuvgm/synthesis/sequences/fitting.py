"""What is put right once all rows of keys are drawn: the end of their time, and laws over the rows of a key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gpuvgm.arrays import Column
from gpuvgm.io import replaced_rows, taken
from gpuvgm.summary import Floats, Ints
from gpuvgm.synthesis.sequences.model import SequenceModel
from gpuvgm.synthesis.sequences.names import HAS_KEY
from gpuvgm.synthesis.sequences.rows import amounts_of, start_of, values_of_amounts
from gpuvgm.synthesis.sequences.running import RunningNumber

MOST_TRIED = 4  # rows of a key, of which one is to balance a sum and keep the laws of a row
Arrays = Mapping[str, Column]


@dataclass(frozen=True, slots=True)
class RowsOfKeys:
    """Puts rows of keys right.

    Parameters
    ----------
    sequences : SequenceModel
        What they are drawn from.
    counts : ndarray of shape (keys,), int64
        Rows of each key.
    """

    sequences: SequenceModel
    counts: Ints

    @property
    def starts(self) -> Ints:
        """First row of each key."""
        return np.cumsum(self.counts) - self.counts

    @property
    def keys(self) -> Ints:
        """Key of each row."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    def within_range(self, rows: Arrays) -> dict[str, Column]:
        """Rows of which none has an index beyond the table's: all rows of such a key move by as much."""
        plan, moved = self.sequences.plan, dict(rows)
        if plan.index not in plan.differences:
            return moved
        column: Any = self.sequences.columns[plan.index]
        numbers = np.asarray(column.all_numbers(rows[plan.index]), np.float64)
        low, high = column.plain_range
        last = np.fmax.reduceat(numbers, self.starts)
        numbers = numbers - np.nan_to_num(np.maximum(last - high, 0))[self.keys]
        first = np.fmin.reduceat(numbers, self.starts)
        numbers = np.minimum(numbers + np.nan_to_num(np.maximum(low - first, 0))[self.keys], high)
        if not np.array_equal(numbers, column.all_numbers(rows[plan.index]), equal_nan=True):
            changed = np.flatnonzero(~np.isnan(numbers))
            moved[plan.index] = replaced_rows(rows[plan.index], changed, column.codec.plain.decode(numbers[changed]))
        return moved

    def used_up(self, keys: Arrays, rows: Arrays) -> dict[str, Column]:
        """Rows of which the last ones of keys use up what is 0 in all last rows of the table."""
        fitted, last = dict(rows), self.starts + self.counts - 1
        for number in self.sequences.plan.running:
            if number.is_used_up:
                changed: dict[str, Any] = {}
                if not number.base:
                    changed[number.former] = self._before_last(number, keys, fitted[number.column])
                changed[number.column] = pa.array(np.zeros(len(last))).cast(fitted[number.column].type)
                fitted |= self._solved(fitted, last, changed, [number.column], are_last=True)
        return fitted

    def balanced(self, rows: Arrays) -> dict[str, Column]:
        """Rows of which one of each key balances sums that are equal in all keys of the table.

        That is the one with the largest number, which changes least by it: the whole is what its parts are.
        """
        columns, fitted = self.sequences.columns, dict(rows)
        for law, rank in product(self.sequences.plan.balanced, range(MOST_TRIED)):
            numbers = law.numbers(columns, fitted)
            places = self._largest(np.max(np.abs(numbers), axis=0), rank)
            changed = law.balancing(columns, numbers, self.starts, places)
            fitted |= self._solved(fitted, places, changed, law.names)
        return fitted

    def rounded(self, keys: Arrays, rows: Arrays) -> dict[str, Column]:
        """Rows of which the one with the largest number of a key takes what a rounded total is more than their sum."""
        columns, fitted = self.sequences.columns, dict(rows)
        for law in self.sequences.totals:
            if law.function == "sum":
                amounts = amounts_of(columns[law.operand], fitted[law.operand])
                rest = law.rounding(columns, np.add.reduceat(amounts, self.starts), keys)
                some = np.flatnonzero(rest)
                places = self._largest(np.abs(amounts))[some]
                values = values_of_amounts(columns[law.operand], amounts[places] + rest[some])
                fitted |= self._solved(fitted, places, {law.operand: values}, [law.operand]) if len(some) else {}
        return fitted

    def _largest(self, sizes: Floats, rank: int = 0) -> Ints:
        """The row of each key with the largest size, the next one for 1, and so on; the least one of fewer rows."""
        order = np.lexsort((-sizes, self.keys))
        return order[self.starts + np.minimum(rank, self.counts - 1)]

    def _solved(
        self, rows: Arrays, places: Ints, known: Arrays, changed: Sequence[str], *, are_last: bool = False
    ) -> dict[str, Column]:
        """Columns of rows, of which some have other values, for which laws of the row are solved; others stay.

        None where the next rows would have to change as well.
        """
        plan, steps = self.sequences.plan, self.sequences.steps
        some_rows = {**{name: taken(column, places) for name, column in rows.items()}, **known}
        made, are_kept = steps.kept_laws.solved(steps.columns, some_rows, changed, plan.varying, plan.moving)
        if not are_last and not plan.passed_on.isdisjoint(made):
            return {}
        kept = np.flatnonzero(are_kept)
        return {name: replaced_rows(rows[name], places[kept], taken(values, kept)) for name, values in made.items()}

    def _before_last(self, number: RunningNumber, keys: Arrays, numbers: Any) -> Any:
        """What a number has before the last rows."""
        are_alone, last = self.counts == 1, self.starts + self.counts - 1
        values = taken(numbers, pa.array(last - 1, mask=are_alone))
        if number.start is None:
            return values
        return pc.if_else(pa.array(are_alone), start_of(numbers.type, len(last), keys.get(number.start)), values)

    def _with_missing_keys(self, keys: Arrays) -> dict[str, Column]:
        """Columns of keys, of which some that have one row are missing."""
        key = self.sequences.plan.key
        if HAS_KEY not in keys:
            return dict(keys)
        has_key: Any = keys[HAS_KEY]
        lacks = np.array([text == "no" for text in has_key.to_pylist()]) & (self.counts == 1)
        return {**keys, key: taken(keys[key], pa.array(np.arange(len(self.counts)), mask=lacks))}

    def with_totals(self, keys: Arrays, rows: Arrays) -> dict[str, Column]:
        """Columns of keys that keep the laws over their rows, and what other laws make of these."""
        columns, totalled = self.sequences.columns, self._with_missing_keys(keys)
        for law in self.sequences.totals:
            totalled[law.target] = law.compute(columns, rows.__getitem__, self.starts, keys)
        changed = {law.target for law in self.sequences.totals}
        laws = self.sequences.keys.kept_laws
        return totalled | laws.recomputed(self.sequences.keys.columns, totalled, changed)

"""The two tables that sequences are learnt from: a row for each key, and rows beside the rows before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gpuvgm.columns import FittedColumn, NumericColumn
from gpuvgm.io import joined_arrays, taken
from gpuvgm.synthesis.sequences.names import COUNT, HAS_KEY, PLACE, REMAINING, after, before, pace, since, span
from gpuvgm.synthesis.sequences.plan import SequencePlan
from gpuvgm.synthesis.sequences.rows import KeyRows, amounts_of

MOST_DIGITS = 15  # behind the point, that a float holds


@dataclass(frozen=True)  # no slots: tables are cached
class SequenceTables:
    """The rows of a table, and the two tables that are made of them when they are asked for.

    Parameters
    ----------
    rows : KeyRows
        The rows.
    plan : SequencePlan
        How the tables are made.
    columns : mapping of str to FittedColumn
        The fitted columns.
    """

    rows: KeyRows
    plan: SequencePlan
    columns: Mapping[str, FittedColumn]

    @cached_property
    def keys(self) -> pa.Table:
        """One row for each key: the key, its constant columns, its number of rows, and what is usual for it."""
        return _table_of_keys(self.rows, self.plan, self.columns)

    @cached_property
    def steps(self) -> pa.Table:
        """The rows, beside what they may ask of their key and of the row before."""
        return _table_of_steps(self.rows, self.keys, self.plan, self.columns)


def with_first_steps(plan: SequencePlan, rows: KeyRows, columns: Mapping[str, FittedColumn]) -> SequencePlan:
    """The plan with what stands for the step of first rows: the most frequent one of some rows, the least of several.

    Where no key has two rows it is 0, or 1 as a ratio.
    """
    first_steps = {}
    for name in plan.moving:
        is_ratio = name in plan.ratios
        steps = _steps(rows.column(name), rows.before(name), columns[name], is_ratio=is_ratio)
        usual = pc.min(pc.mode(steps).field("mode")).as_py()
        first_steps[name] = float(usual if usual is not None and np.isfinite(usual) else is_ratio)
    return replace(plan, first_steps=first_steps)


def _table_of_keys(rows: KeyRows, plan: SequencePlan, columns: Mapping[str, FittedColumn]) -> pa.Table:
    """One row for each key."""
    table = taken(rows.table.select([plan.key, *plan.constants]), rows.starts)
    table = table.append_column(COUNT, pa.array(rows.counts))
    if plan.lacks_keys:
        table = table.append_column(HAS_KEY, pc.if_else(pc.is_null(table.column(plan.key)), "no", "yes"))
    for usual in plan.usual:
        table = table.append_column(usual.name, usual.of_keys(rows, columns[usual.column]))
    if plan.is_paced:
        amounts = amounts_of(columns[plan.index], rows.column(plan.index))
        spans = amounts[rows.starts + rows.counts - 1] - amounts[rows.starts]
        table = table.append_column(span(plan.index), pa.array(spans, from_pandas=True))
    keys: pa.Table = table.combine_chunks()
    return keys


def _table_of_steps(rows: KeyRows, keys: pa.Table, plan: SequencePlan, columns: Mapping[str, FittedColumn]) -> pa.Table:
    """One row for each row."""
    unmodelled = [name for name in plan.constants if not columns[name].is_encoded and name not in plan.above]
    asked = [name for name in keys.schema.names if name not in (HAS_KEY, *unmodelled)]
    of_keys = taken(keys.select(asked), rows.keys)
    columns_of_keys = (joined_arrays(column.chunks, column.type) for column in of_keys.columns)
    arrays: dict[str, Any] = dict(zip(of_keys.schema.names, columns_of_keys, strict=True))
    arrays[PLACE] = pa.array(rows.places + 1)
    arrays[REMAINING] = pa.array(rows.counts[rows.keys] - rows.places - 1)
    arrays |= {before(name): rows.before(name, plan.starts.get(name)) for name in plan.remembered}
    arrays |= {occurrence.name: occurrence.of_rows(rows, columns[occurrence.column]) for occurrence in plan.occurrences}
    for recency in plan.recencies:
        arrays |= recency.of_rows(rows, columns[recency.column])
    if plan.is_paced:
        arrays |= paces(columns[plan.index], arrays, taken(rows.column(plan.index), rows.starts[rows.keys]))
    for name in plan.moving:
        steps = _steps(rows.column(name), arrays[before(name)], columns[name], is_ratio=name in plan.ratios)
        # First rows have none; one that is there keeps later rows from lacking it.
        of_first = pa.scalar(plan.first_steps[name]).cast(steps.type)
        arrays[since(name)] = pc.if_else(pa.array(rows.are_first), of_first, steps)
    for name, period in zip(plan.places, plan.place_periods, strict=True):
        places = period.places(rows, columns[period.column])
        arrays[after(name)] = pa.array(np.where(rows.are_first, 1, np.roll(places, 1) + 1))
    for carry_over in plan.carry_overs:
        column = columns[carry_over.period.column]
        arrays[carry_over.name] = carry_over.of_rows(rows, column, arrays[carry_over.going_on])
    for number in plan.running:
        if number.has_step:
            added, taken_off = (rows.column(names[0]) for names in (number.added, number.taken_off))
            arrays[since(number.column)] = _steps(added, taken_off, columns[number.column], is_ratio=False)
    arrays |= {name: rows.column(name) for name in plan.varying}
    return pa.table(arrays)


def paces(index: FittedColumn, rows: Mapping[str, Any], first: Any) -> dict[str, Any]:
    """The steps by which even ones would reach the span of each key, by the name of their column.

    None of first rows, and of last ones.

    Parameters
    ----------
    index : FittedColumn
        The column by which rows are in order.
    rows : mapping of str to Array
        Columns of rows.
    first : Array
        The index of the first row of each one's key.
    """
    since_first = amounts_of(index, rows[before(index.name)]) - amounts_of(index, first)
    ahead = rows[span(index.name)].to_numpy(zero_copy_only=False) - since_first
    # The last step is as any other: a span that is drawn first knows nothing of weekdays.
    remaining = np.asarray(rows[REMAINING])
    even = np.where(remaining > 0, ahead / (1 + remaining), np.nan)
    return {pace(index.name): pa.array(even, from_pandas=True)}


def _steps(values: Any, values_before: Any, column: FittedColumn, *, is_ratio: bool) -> Any:
    """Differences or ratios of numbers and those of the rows before, on the column's step."""
    if pa.types.is_integer(values.type) and not is_ratio:
        return pc.subtract(values.cast(pa.int64()), values_before.cast(pa.int64()))
    numbers, numbers_before = values.cast(pa.float64()), values_before.cast(pa.float64())
    if is_ratio:
        return pc.divide(numbers, numbers_before)
    assert isinstance(column, NumericColumn)
    spacing, steps = column.codec.plain.spacing, pc.subtract(numbers, numbers_before)
    digits = MOST_DIGITS if not spacing else max(0, -int(np.floor(np.log10(spacing))))
    return pc.round(steps, ndigits=digits) if digits < MOST_DIGITS else steps

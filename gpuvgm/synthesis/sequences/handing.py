"""Columns with what another one has in the row before: an opening balance, or the ward that a patient comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gpuvgm.columns import CategoricalColumn, FittedColumn
from gpuvgm.io import is_datetime_type, plain_values_of, taken
from gpuvgm.summary import Ints
from gpuvgm.synthesis.sequences.names import before
from gpuvgm.synthesis.sequences.rows import KeyRows

LEAST_CHANGES = 20  # rows with another value than the row before has there, and with another one than in both columns
SECONDS = {"D": 86_400.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
PROBED = 256  # rows after others, that pairs of columns are tried on first


@dataclass(frozen=True, slots=True)
class HandedOver:
    """A column with what another one has in the row before, in all rows but first ones, or with the next day or number.

    Parameters
    ----------
    column : str
        The column.
    former : str
        The column of the row before.
    step : int
        By how much it is above, in whole numbers, or in units of datetimes.
    unit : str
        This unit, one of `SECONDS`; empty for numbers.
    """

    column: str
    former: str
    step: int = 0
    unit: str = ""

    def __str__(self) -> str:
        if not self.step:
            return f"{before(self.former)} = {self.column}"
        size, of_unit = f"{abs(self.step)}", ""
        if self.unit:
            seconds = abs(self.step) * SECONDS[self.unit]
            of_days = seconds % SECONDS["D"] == 0
            size, of_unit = f"{seconds / (SECONDS['D'] if of_days else 1):g}", f" in {'days' if of_days else 'seconds'}"
        return f"{before(self.former)} {'-' if self.step < 0 else '+'} {size} = {self.column}{of_unit}"

    @classmethod
    def each(cls, rows: KeyRows, columns: Mapping[str, FittedColumn], names: Sequence[str]) -> Iterator[HandedOver]:
        """Yield those of some columns that are handed over in all rows, each from the first one that does.

        Parameters
        ----------
        rows : KeyRows
            Rows of whole keys.
        columns : mapping of str to FittedColumn
            The columns.
        names : sequence of str
            Those that may be.
        """
        after, found = np.flatnonzero(~rows.are_first), set[str]()
        values = {name: plain_values_of(rows.column(name)) for name in names}
        for name, former in permutations(names, 2):
            are_alike = type(columns[name]) is type(columns[former]) and values[name].type == values[former].type
            if not are_alike or name in found:
                continue
            handed = cls(name, former)
            if columns[name].decoded_type == values[name].type:
                step = _step(values[name], values[former], after)
                handed = cls(name, former, step, _unit(values[name].type) if step else "")
            # Few rows refute nearly all pairs.
            if all(handed._is_kept(values, some) for some in (after[:PROBED], after)):
                if handed._is_shown(values, after):
                    found.add(name)
                    yield handed

    def of_rows(self, values: Any, own: Any, column: FittedColumn) -> Any:
        """Values of rows.

        Parameters
        ----------
        values, own : Array
            What both columns have in the rows before. Where the column cannot have the first, which no row of the table
            hands over, it keeps its own.
        column : FittedColumn
            The column.
        """
        taken_over = self._above(values.cast(own.type))
        if isinstance(column, CategoricalColumn):
            can_be = np.asarray(column.index.find(taken_over)) >= 0
        else:
            can_be = np.asarray(pc.is_valid(taken_over)) | bool(column.fit.missing)
        return pc.if_else(pa.array(can_be), taken_over, own)

    def _above(self, values: Any) -> Any:
        """Values, with the step added."""
        if not self.step:
            return values
        whole = _whole(values)
        return pc.add(whole, self.step).cast(_storage(values.type), safe=False).cast(values.type)

    def _is_kept(self, values: Mapping[str, Any], rows: Ints) -> bool:
        """Whether rows have what the rows before them hand over."""
        handed: Any = self._above(taken(values[self.former], rows - 1))
        return bool(taken(values[self.column], rows).equals(handed))

    def _is_shown(self, values: Mapping[str, Any], rows: Ints) -> bool:
        """Whether enough rows have another value than the row before, and than the former column, have."""
        now, differ = taken(values[self.column], rows), np.ones(len(rows), np.bool_)
        for others in (taken(values[self.column], rows - 1), taken(values[self.former], rows)):
            differ &= np.asarray(pc.fill_null(pc.not_equal(now, others), False))  # noqa: FBT003
        return bool(np.count_nonzero(differ) >= LEAST_CHANGES)


def _step(values: Any, former: Any, rows: Ints) -> int:
    """By how much the first row is above the one before, where both have whole numbers or datetimes; else 0."""
    type_ = values.type
    if not (pa.types.is_integer(type_) or is_datetime_type(type_)):
        return 0
    steps: Any = pc.drop_null(
        pc.subtract(_whole(taken(values, rows[:PROBED])), _whole(taken(former, rows[:PROBED] - 1)))
    )
    return int(steps[0].as_py()) if len(steps) else 0


def _whole(values: Any) -> Any:
    """Whole numbers of datetimes, in units of their type, and of whole numbers."""
    return values.cast(_storage(values.type)).cast(pa.int64())


def _storage(type_: Any) -> Any:
    """The type of whole numbers that datetimes are stored as; of others the type itself."""
    if not is_datetime_type(type_):
        return type_
    return pa.int32() if type_.bit_width == 32 else pa.int64()


def _unit(type_: Any) -> str:
    """Unit of datetimes, one of `SECONDS`; empty for numbers."""
    if not is_datetime_type(type_):
        return ""
    if pa.types.is_date(type_):
        return "D" if pa.types.is_date32(type_) else "ms"
    return str(type_.unit)

"""Columns that are handed through as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gpuvgm.arrays import Column
from gpuvgm.columns.base import Coded, EncodingOptions, Slice, Values
from gpuvgm.columns.codecs.arrays import missing_rows
from gpuvgm.columns.model import FitRecord, PassedColumn
from gpuvgm.engines import Engine


@dataclass(frozen=True, slots=True)
class RowCount:
    """Rows of a column, and those without a value."""

    rows: int
    missing: int

    def merge(self, other: RowCount) -> RowCount:
        """Both."""
        return RowCount(self.rows + other.rows, self.missing + other.missing)


@dataclass(frozen=True, slots=True)
class PassPlan:
    """A column that is handed through."""

    name: str
    type: str

    def tally(self, engine: Engine, values: Column, first_row: int) -> RowCount:
        """Rows."""
        missing = missing_rows(values)
        return RowCount(len(values), 0 if missing is None else int(missing.sum()))


def passed_column(plan: PassPlan, count: RowCount) -> PassedColumn:
    """The column's model."""
    return PassedColumn(plan.name, plan.type, FitRecord("none", count.rows, count.missing))


class Passing:
    """Encodes and decodes a column by leaving it alone; parameters as for the encoders of other kinds."""

    def __init__(self, engine: Engine, column: PassedColumn, options: EncodingOptions | None = None) -> None:
        pass

    def __call__(self, part: Slice | Coded, first_row: int = 0) -> Any:
        """The values as they are."""
        if isinstance(part, Slice):
            return Coded(passed=part.values)
        assert part.passed is not None
        return Values(part.passed)

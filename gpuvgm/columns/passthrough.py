"""Passthrough columns: their values are handed on as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gpuvgm.arrays import Column
from gpuvgm.columns.base import (
    Coded,
    ColumnPlan,
    Decoder,
    Encoder,
    EncodingOptions,
    FitRecord,
    FittedColumn,
    Slice,
    Values,
)
from gpuvgm.columns.codecs.arrays import missing_rows
from gpuvgm.columns.records import ArrowType
from gpuvgm.engines import Engine


@dataclass(frozen=True, slots=True, repr=False)
class PassthroughColumn(FittedColumn):
    """A passthrough column; the onehot matrix leaves it out.

    Parameters
    ----------
    name, type : str
        The column and its Arrow type.
    fit : FitRecord
        Rows.
    """

    name: str
    type: ArrowType
    fit: FitRecord
    kind: ClassVar[str] = "pass"
    width: ClassVar[int] = 0
    without_meaning: ClassVar[tuple[str, ...]] = ("fit", "type")

    def encoder(self, engine: Engine, options: EncodingOptions) -> Encoder:
        """What hands parts of the column through."""
        return handed_through

    def decoder(self, engine: Engine, *, check: bool) -> Decoder:
        """What hands parts of the column back."""
        return handed_back


def handed_through(part: Slice) -> Coded:
    """The values as they are."""
    return Coded(passthrough=part.values)


def handed_back(part: Coded, first_row: int) -> Values:
    """The values as they are."""
    assert part.passthrough is not None
    return Values(part.passthrough)


@dataclass(frozen=True, slots=True)
class RowCount:
    """Rows of a column, and those without a value."""

    rows: int
    missing: int

    def merge(self, other: RowCount) -> RowCount:
        """Both."""
        return RowCount(self.rows + other.rows, self.missing + other.missing)


@dataclass(frozen=True, slots=True)
class PassthroughPlan(ColumnPlan):
    """A passthrough column."""

    name: str
    type: str
    needs_rows: ClassVar[bool] = False

    def statistics(self, engine: Engine, values: Column, first_row: int) -> RowCount:
        """Rows."""
        missing = missing_rows(values)
        return RowCount(len(values), 0 if missing is None else int(missing.sum()))

    def fit(self, count: RowCount) -> PassthroughColumn:
        """The column's model."""
        return PassthroughColumn(self.name, self.type, FitRecord("none", count.rows, count.missing))

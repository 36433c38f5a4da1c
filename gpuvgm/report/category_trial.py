"""The round trip of a categorical column, and of columns that are handed through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.arrays import on_host
from gpuvgm.columns.base import MISSING, EncodingOptions, Slice
from gpuvgm.columns.categorical import CategoricalColumn
from gpuvgm.columns.categories import CategoryIndex, plain_values, value_type
from gpuvgm.columns.identifiers import IdColumn
from gpuvgm.columns.passthrough import PassthroughColumn, RowCount
from gpuvgm.columns.text import category_text
from gpuvgm.engines import Engine
from gpuvgm.io.arrow import type_of
from gpuvgm.report.figures import CategoryFigures, IdFigures, PassedFigures, ValueCount

LISTED_CATEGORIES = 20


@dataclass(frozen=True, slots=True)
class CategoryStatistics:
    """Rows of each category before and after, then those of no category and those missing without a category for it.

    Parameters
    ----------
    before, after : ndarray of shape (categories + 2,), int64
        Rows.
    agreeing : int
        Rows whose category comes back.
    """

    before: NDArray[np.int64]
    after: NDArray[np.int64]
    agreeing: int

    @property
    def rows(self) -> int:
        """All rows."""
        return int(np.sum(self.before))

    def merge(self, other: CategoryStatistics) -> CategoryStatistics:
        """Statistics of both sets of rows."""
        return CategoryStatistics(self.before + other.before, self.after + other.after, self.agreeing + other.agreeing)


class CategoryTrial:
    """The round trip of a categorical column.

    Parameters
    ----------
    engine : Engine
        Compute engine.
    column : CategoricalColumn
        The fitted column.
    options : EncodingOptions
        How to encode.
    sample : pyarrow.Table
        Not used: categories need no grid.
    """

    def __init__(self, engine: Engine, column: CategoricalColumn, options: EncodingOptions, sample: pa.Table) -> None:
        self._column = column
        self._encode, self._decode = column.encoder(engine, options), column.decoder(engine, check=True)
        self._index = CategoryIndex(column.categories, value_type(type_of(column.type)))

    def statistics(self, values: pa.Array[Any], first_row: int) -> tuple[CategoryStatistics, None]:
        """Statistics of consecutive rows; all of them are valid."""
        unknown = len(self._column.categories)
        absent = unknown + 1
        before = self._index.find(values)
        if np.any(before < 0):
            missing = plain_values(values).is_null().to_numpy(zero_copy_only=False)
            before[before < 0] = np.where(missing, absent, unknown)[before < 0]
        after = self._index.find(self.decoded(values, first_row))
        after[after < 0] = absent
        agreeing = int(np.count_nonzero(before == after))
        return CategoryStatistics(_counted(before, absent + 1), _counted(after, absent + 1), agreeing), None

    def decoded(self, values: pa.Array[Any], first_row: int) -> pa.Array[Any]:
        """What comes back of consecutive rows."""
        return on_host(self._decode(self._encode(Slice(values, first_row)), first_row).array)

    def figures(self, statistics: CategoryStatistics) -> CategoryFigures:
        """The counts as figures."""
        column, rows, known = self._column, statistics.rows, len(self._column.categories)
        before, after = statistics.before[:known], statistics.after[:known]
        missing, distinct = int(statistics.before[-1]), int(np.count_nonzero(before))
        if MISSING in column.categories:
            at = column.categories.index(MISSING)
            missing, distinct = missing + int(before[at]), distinct - int(before[at] > 0)
        top = np.argsort(-before, kind="stable")[:LISTED_CATEGORIES]
        listed = [(column.categories[position], position) for position in top]
        return CategoryFigures(
            rows=rows,
            missing=missing,
            level_agreement=statistics.agreeing / rows if rows else 1.0,
            total_variation=float(np.sum(np.abs(statistics.after - statistics.before))) / (2 * rows) if rows else 0.0,
            unknown_rows=int(statistics.before[known]),
            infrequent_rows=int(np.sum(before[known - len(column.infrequent) :])),
            level_count=known,
            distinct=distinct,
            levels=tuple(
                ValueCount(category, category_text(column.type, category), int(before[position]), int(after[position]))
                for category, position in listed
            ),
            other_rows_before=int(np.sum(before) - np.sum(before[top])),
            other_rows_after=int(np.sum(after) - np.sum(after[top])),
        )


def _counted(cells: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    return np.bincount(cells, minlength=width).astype(np.int64)


class PassedTrial:
    """A column that is handed through; there is nothing to lose. Parameters as for `CategoryTrial`."""

    def __init__(
        self, engine: Engine, column: PassthroughColumn | IdColumn, options: EncodingOptions, sample: pa.Table
    ) -> None:
        pass

    def statistics(self, values: pa.Array[Any], first_row: int) -> tuple[RowCount, None]:
        """Rows."""
        return RowCount(len(values), values.null_count), None

    def decoded(self, values: pa.Array[Any], first_row: int) -> pa.Array[Any]:
        """What comes back of consecutive rows."""
        return values

    def figures(self, statistics: RowCount) -> PassedFigures:
        """The counts as figures."""
        return PassedFigures(statistics.rows, statistics.missing)


class IdTrial(PassedTrial):
    """An identifier; there is nothing to lose. Parameters as for `CategoryTrial`."""

    def figures(self, statistics: RowCount) -> IdFigures:
        """The counts as figures."""
        return IdFigures(statistics.rows, statistics.missing)

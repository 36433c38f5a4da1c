"""Columns of two tables beside each other: what is counted of both, and the figures that come of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.columns.base import MISSING, Category
from gpuvgm.columns.categorical import CategoricalColumn
from gpuvgm.columns.categories import CategoryCounts, CategoryIndex, plain_values, value_type
from gpuvgm.columns.codecs import Codec
from gpuvgm.columns.continuous import MixtureColumn
from gpuvgm.columns.general import GeneralColumn
from gpuvgm.columns.text import category_text
from gpuvgm.engines import Engine
from gpuvgm.errors import naming
from gpuvgm.io.arrow import type_of
from gpuvgm.report.category_trial import LISTED_CATEGORIES
from gpuvgm.report.distributions import Pieces, distances
from gpuvgm.report.encoded import SCALAR_BINS, EncodedCounts
from gpuvgm.report.figures import Description, ValueCount
from gpuvgm.report.histogram import ErrorHistogram
from gpuvgm.report.number_trial import description, grid_of, modal_counts, modal_rows, numbers_of
from gpuvgm.report.profiles import Evaluated, NumberProfile, plain_of, profile_of
from gpuvgm.summary.grid import Floats
from gpuvgm.summary.summary import Summary


@dataclass(frozen=True, slots=True)
class NumberComparison:
    """How alike the values of a column of numbers are in two tables.

    Parameters
    ----------
    kind : str
        "continuous", "mixed" or "general".
    rows, missing : int
        All original rows, and those without a value.
    synthetic_rows, synthetic_missing : int
        The same of the synthetic rows.
    score : float or None
        `ks_complement` of the values; None where a table has none.
    wasserstein : float or None
        Wasserstein distance of the values, in standard deviations of the original ones; None where there is none.
    before, after : Description or None
        The original and the synthetic values.
    modal : tuple of ValueCount
        Rows of each modal value, in the original and in the synthetic table.
    profile : NumberProfile or None
        Distributions for the page, the synthetic rows scaled to as many as the original ones; no part of the document.
    """

    kind: str
    rows: int
    missing: int
    synthetic_rows: int
    synthetic_missing: int
    score: float | None
    wasserstein: float | None
    before: Description | None
    after: Description | None
    modal: tuple[ValueCount, ...]
    profile: NumberProfile | None = field(default=None, repr=False)
    metric: ClassVar[str] = "KS complement"


@dataclass(frozen=True, slots=True)
class CategoryComparison:
    """How alike the categories of a column are in two tables.

    Parameters
    ----------
    rows, missing : int
        All original rows, and those without a value.
    synthetic_rows, synthetic_missing : int
        The same of the synthetic rows.
    score : float or None
        `tv_complement` of the categories; None where a table has none.
    new_rows : int
        Synthetic rows of categories that the original table lacks.
    categories : int
        Categories of both tables.
    levels : tuple of ValueCount
        The most frequent categories of both tables together, with their rows in each.
    other_rows_before, other_rows_after : int
        Rows of the categories that are not listed.
    """

    rows: int
    missing: int
    synthetic_rows: int
    synthetic_missing: int
    score: float | None
    new_rows: int
    categories: int
    levels: tuple[ValueCount, ...]
    other_rows_before: int
    other_rows_after: int
    kind: ClassVar[str] = "categorical"
    metric: ClassVar[str] = "TV complement"


ColumnComparison = NumberComparison | CategoryComparison


def missing_shares(column: ColumnComparison) -> tuple[float, float]:
    """Shares of rows without a value in the original and in the synthetic table."""
    return column.missing / max(column.rows, 1), column.synthetic_missing / max(column.synthetic_rows, 1)


NO_CATEGORY = -2


def ks_complement(one: Floats, other: Floats) -> float | None:
    """1 less the Kolmogorov-Smirnov distance of two sets of numbers, sup |F - G|; None where one is empty.

    That of SDMetrics, which leaves out missing values too, and rounds numbers to 14 decimal places before.
    """
    if not len(one) or not len(other):
        return None
    one, other = np.sort(one), np.sort(other)
    at = np.concatenate((one, other))
    shares = (np.searchsorted(numbers, at, side="right") / len(numbers) for numbers in (one, other))
    return 1.0 - float(np.max(np.abs(next(shares) - next(shares))))


def tv_complement(one: Mapping[Category, int], other: Mapping[Category, int]) -> float | None:
    """1 less the total variation distance of two sets of categories, sum |p - q| / 2; None where one is empty.

    That of SDMetrics, which leaves out missing values too, and counts a category that `one` lacks as a millionth of a
    row there.
    """
    rows, others = sum(one.values()), sum(other.values())
    if not rows or not others:
        return None
    return 1.0 - sum(abs(one.get(key, 0) / rows - other.get(key, 0) / others) for key in one.keys() | other.keys()) / 2


@dataclass(frozen=True, slots=True)
class _Numbers:
    """What is kept of a column of numbers of one table."""

    rows: int
    numbers: tuple[Floats, ...]  # by blocks, NaN where a value is missing
    summary: Summary
    modal: NDArray[np.int64]

    def merge(self, other: _Numbers) -> _Numbers:
        """Of both sets of rows."""
        return _Numbers(
            self.rows + other.rows,
            self.numbers + other.numbers,
            self.summary.merge(other.summary),
            self.modal + other.modal,
        )


class NumberPair:
    """A continuous, mixed or general column of two tables.

    Parameters
    ----------
    engine : Engine
        Compute engine.
    column : MixtureColumn or GeneralColumn
        The fitted column.
    sample : pyarrow.Table
        Some rows of the original table: histogram and quantiles are finest where these lie.
    """

    def __init__(self, engine: Engine, column: MixtureColumn | GeneralColumn, sample: pa.Table) -> None:
        self._engine, self._column = engine, column
        self._plain: Codec = plain_of(column)
        self._grid = grid_of(column, numbers_of(self._plain, sample.column(column.name)))

    def count(self, values: pa.Array[Any], first_row: int) -> _Numbers:
        """What is kept of consecutive rows."""
        numbers = self._plain.encode(values)
        summary = self._engine.summarise(numbers, self._grid)
        modal = modal_rows(self._column, values, numbers)
        return _Numbers(len(numbers), (numbers,), summary, modal)

    def rows(self, kept: _Numbers) -> Floats:
        """The numbers of all rows, NaN where a value is missing."""
        return np.concatenate([np.empty(0), *kept.numbers])

    def compare(self, original: _Numbers, synthetic: _Numbers) -> NumberComparison:
        """The figures."""
        plain, column = self._plain, self._column
        rows = (self.rows(original), self.rows(synthetic))
        values = [numbers[~np.isnan(numbers)] for numbers in rows]
        before, after = (Pieces.of(one.summary, whole=plain.name != "float") for one in (original, synthetic))
        described = [description(plain, pieces) if pieces.rows else None for pieces in (before, after)]
        apart = distances(before, after).wasserstein if before.rows and after.rows else None
        sd = described[0].sd if described[0] else 0.0
        return NumberComparison(
            kind=column.kind,
            rows=original.rows,
            missing=original.rows - len(values[0]),
            synthetic_rows=synthetic.rows,
            synthetic_missing=synthetic.rows - len(values[1]),
            score=ks_complement(values[0], values[1]),
            wasserstein=apart / sd if apart is not None and sd else None,
            before=described[0],
            after=described[1],
            modal=modal_counts(column, original.modal, synthetic.modal),
            profile=self._profile(before, after),
        )

    def _profile(self, before: Pieces, after: Pieces) -> NumberProfile:
        scaled = replace(after, count=after.count * (before.rows / max(after.rows, 1.0)))
        column: Any = self._column
        nothing = np.zeros(column.width if column.draws_modes else 0, np.int64)
        encoded = EncodedCounts(np.zeros((len(nothing), SCALAR_BINS + 2), np.int64), nothing, nothing)
        return profile_of(column, Evaluated(before, scaled, encoded, ErrorHistogram(), 1.0))


@dataclass(frozen=True, slots=True)
class _Categories:
    """What is kept of a categorical column of one table."""

    counts: CategoryCounts
    codes: tuple[NDArray[np.int32], ...]  # places of the model's categories by blocks, -1 for others, -2 for none

    def merge(self, other: _Categories) -> _Categories:
        """Of both sets of rows."""
        return _Categories(self.counts.merge(other.counts), self.codes + other.codes)


class CategoryPair:
    """A categorical column of two tables. Parameters as for `NumberPair`."""

    def __init__(self, engine: Engine, column: CategoricalColumn, sample: pa.Table) -> None:
        self._column = column
        self._index = CategoryIndex(column.categories, value_type(type_of(column.type)))

    def count(self, values: pa.Array[Any], first_row: int) -> _Categories:
        """What is kept of consecutive rows."""
        codes = self._index.find(values)
        if np.any(codes < 0):
            codes[(codes < 0) & plain_values(values).is_null().to_numpy(zero_copy_only=False)] = NO_CATEGORY
        return _Categories(CategoryCounts.of(values, first_row), (codes.astype(np.int32),))

    def rows(self, kept: _Categories) -> NDArray[np.int64]:
        """Places of the model's categories of all rows, -1 for other ones, -2 where there is none."""
        return np.concatenate([np.empty(0, np.int64), *kept.codes])

    def compare(self, original: _Categories, synthetic: _Categories) -> CategoryComparison:
        """The figures."""
        one, other = self._counts(original.counts), self._counts(synthetic.counts)
        missing, synthetic_missing = one.pop(MISSING, 0), other.pop(MISSING, 0)
        rows = one | {key: one.get(key, 0) + count for key, count in other.items()}
        top = sorted(rows, key=lambda category: -rows[category])[:LISTED_CATEGORIES]
        type_ = self._column.type
        return CategoryComparison(
            rows=original.counts.rows,
            missing=missing,
            synthetic_rows=synthetic.counts.rows,
            synthetic_missing=synthetic_missing,
            score=tv_complement(one, other),
            new_rows=sum(rows for category, rows in other.items() if category not in one),
            categories=len(rows),
            levels=tuple(ValueCount(key, category_text(type_, key), one.get(key, 0), other.get(key, 0)) for key in top),
            other_rows_before=sum(one.values()) - sum(one.get(key, 0) for key in top),
            other_rows_after=sum(other.values()) - sum(other.get(key, 0) for key in top),
        )

    def _counts(self, counts: CategoryCounts) -> dict[Category, int]:
        """Rows by category, the first to occur first."""
        try:
            held = counts.of_type(value_type(type_of(self._column.type))).ordered()
        except ValueError as problem:
            raise naming(self._column.name, problem) from None
        return dict(zip(held.categories, held.counts.tolist(), strict=True))


Pair = NumberPair | CategoryPair


def pair_of(engine: Engine, column: Any, sample: pa.Table) -> Pair:
    """A column of two tables, by its kind."""
    return (CategoryPair if column.kind == "categorical" else NumberPair)(engine, column, sample)

"""Differences of two sets of values of one column, for evaluating, comparing and validating."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.arrays import Column, namespace_of, widened
from gpuvgm.codecs import Codec, FloatCodec, Number
from gpuvgm.columns import MISSING, CategoricalColumn, Category, GeneralColumn, MixtureColumn
from gpuvgm.engines import Engine
from gpuvgm.report.counting import Counts, rows_of_places
from gpuvgm.report.figures import SHARES, Description, ValueCount
from gpuvgm.summary import Distances, Floats, Ints, Pieces, Summary

LISTED_CATEGORIES = 20
FEW_VALUES = 1024  # different floats that others a rounding away are taken for
_ROUNDINGS = 64
KS_ROWS = 1 << 24  # whose shares are in memory at a time
RARE = 3.0  # standard deviations
RARE_KS = 1.9495  # the quantile of Kolmogorov's distribution for 0.999 (Smirnov 1948)


def total_variation(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Half the sum of the differences between the shares of two sets of counts; 0 to 1."""
    shares, other_shares = (counts / max(np.sum(counts), 1) for counts in (first, second))
    return float(np.sum(np.abs(shares - other_shares)) / 2)


def category_variation(first: Mapping[Any, int], second: Mapping[Any, int]) -> float:
    """Total variation distance of rows by category; a category that one of them lacks has no rows there."""
    return total_variation(*_counts_of_both(first, second))


def _counts_of_both(first: Mapping[Any, int], second: Mapping[Any, int]) -> list[Ints]:
    keys: dict[Hashable, None] = dict.fromkeys([*first, *second])
    return [np.array([counts.get(key, 0) for key in keys], np.int64) for counts in (first, second)]


def tv_complement(first: Mapping[Any, int], second: Mapping[Any, int]) -> float | None:
    """1 less the total variation distance of two sets of categories; 0 where one is empty, None where both are.

    SDMetrics' figure, which leaves out missing values too, and counts a category that `first` lacks as a millionth of a
    row there.
    """
    have_rows = [any(first.values()), any(second.values())]
    return 1.0 - category_variation(first, second) if all(have_rows) else 0.0 if any(have_rows) else None


def distance_by_chance(rows: Sequence[float], sd: float = 1.0) -> float:
    """Distance of two sample means that chance hardly ever exceeds, from both numbers of rows and the deviation."""
    return float(RARE * sd * np.sqrt(sum(1 / max(count, 1) for count in rows)))


def variation_by_chance(first: Floats, second: Floats, rows: Sequence[int]) -> float:
    """Total variation distance of two samples that chance hardly ever exceeds: its mean plus `RARE` deviations.

    Differences of shares are taken for normal and independent.
    """
    mean = (first + second) / 2
    variances = mean * (1 - mean) * sum(1 / max(count, 1) for count in rows)
    # Absolute differences are half-normal: of mean sqrt(2 / pi) sd and variance (1 - 2 / pi) sd^2.
    mean_sum, deviation = np.sqrt(2 / np.pi) * np.sum(np.sqrt(variances)), np.sqrt((1 - 2 / np.pi) * np.sum(variances))
    return float(mean_sum + RARE * deviation) / 2


def tv_by_chance(first: Mapping[Any, int], second: Mapping[Any, int]) -> float:
    """`variation_by_chance` of rows by category; 0 if a table has no rows."""
    counts = _counts_of_both(first, second)
    rows = [int(np.sum(table)) for table in counts]
    return variation_by_chance(counts[0] / rows[0], counts[1] / rows[1], rows) if all(rows) else 0.0


def ks_by_chance(rows: Sequence[int]) -> float:
    """Kolmogorov-Smirnov distance of two samples that chance hardly ever exceeds; 0 where one is empty.

    One pair of samples in a thousand exceeds it.
    """
    return float(RARE_KS * np.sqrt(sum(1 / count for count in rows))) if all(rows) else 0.0


def ks_complement(first: Floats, second: Floats) -> float | None:
    """1 less the Kolmogorov-Smirnov distance of two sets of numbers, sup |F - G|; 0 or None as for `tv_complement`.

    SDMetrics' figure, which leaves out missing values too, and rounds numbers to 14 decimal places first. Both sets lie
    on one device.
    """
    if not len(first) or not len(second):
        return 0.0 if len(first) or len(second) else None
    xp = namespace_of(first)
    first, second = xp.sort(first), xp.sort(second)
    largest: float = 0.0
    for rows in (first, second):
        for start in range(0, len(rows), KS_ROWS):
            points = rows[start : start + KS_ROWS]
            share, other_share = (
                xp.searchsorted(numbers, points, side="right") / len(numbers) for numbers in (first, second)
            )
            largest = max(largest, float(abs(share - other_share).max()))
    return 1.0 - largest


@dataclass(frozen=True, slots=True)
class FewFloats:
    """Different values of a column of floats; others a rounding away are taken for them, as 0.3 - 0.2 is for 0.1.

    Parameters
    ----------
    values : ndarray of shape (values,)
        The values, ascending.
    """

    values: Floats

    @classmethod
    def of(cls, numbers: Floats, modal: Floats) -> FewFloats:
        """The different finite ones of some numbers; of many different ones only those that are modal."""
        different = np.unique(numbers[np.isfinite(numbers)])
        return cls(different if len(different) <= FEW_VALUES else np.unique(modal))

    def nearest(self, numbers: Floats, type_: pa.DataType) -> Floats:
        """Numbers, those of a type that are a rounding away from a value replaced by it."""
        if not len(self.values):
            return numbers
        xp = namespace_of(numbers)
        values, places = xp.asarray(self.values), xp.searchsorted(xp.asarray(self.values), numbers)
        low, high = values[xp.maximum(places - 1, 0)], values[xp.minimum(places, len(values) - 1)]
        with np.errstate(over="ignore"):  # of the largest floats
            near = xp.where(numbers - low < high - numbers, low, high)
            nearest: Floats = xp.where(xp.abs(numbers - near) <= self._rounding(type_), near, numbers)
        return nearest

    def _rounding(self, type_: pa.DataType) -> float:
        """Largest distance that is a rounding, in the precision of a type; less than what lies between two values."""
        precision = np.finfo(np.float32 if type_ in (pa.float32(), pa.float16()) else np.float64)
        gap = np.min(np.diff(self.values), initial=np.inf)
        return float(min(_ROUNDINGS * precision.eps * np.max(np.abs(self.values)), gap / 4))


@dataclass(frozen=True, slots=True)
class NumberCounts(Counts):
    """Summary of numbers of a column, and the rows of each modal value."""

    summary: Summary
    modal: Ints


@dataclass(frozen=True, slots=True)
class NumberDifference:
    """Two sets of numbers of a column.

    Parameters
    ----------
    pieces : tuple of Pieces
        Both as distributions.
    descriptions : tuple of Description or None
        Both in words; None where there is no value.
    distances : Distances
        Between them; 0 where one of them has no value.
    modal : tuple of ValueCount
        Rows of each modal value.
    """

    pieces: tuple[Pieces, Pieces]
    descriptions: tuple[Description | None, Description | None]
    distances: Distances
    modal: tuple[ValueCount, ...]


class NumberCounter:
    """Counter of values of a continuous, mixed or general column, which compares two sets of them.

    Parameters
    ----------
    engine : Engine
        Compute engine.
    column : MixtureColumn or GeneralColumn
        The fitted column.
    sample : pyarrow.Table
        Some rows of the columns of numbers: distances and quantiles are finest where these lie.
    """

    def __init__(self, engine: Engine, column: MixtureColumn | GeneralColumn, sample: pa.Table) -> None:
        self._engine, self._column = engine, column
        self.codec: Codec = column.codec.plain
        chunks: list[Any] = sample.column(column.name).chunks
        read: Any = [self.codec.split(chunk)[0] for chunk in chunks]  # unreadable text is NaN: a scan says where it is
        self.numbers = np.concatenate([np.empty(0), *map(self.codec.encode, read)])
        modal = [self.codec.number(value) for value in column.modal_numbers if self.codec.word_of(value) is None]
        self._modal = np.array(modal, np.float64)
        self._grid = Pieces.grid_around(self.numbers, self._modal)

    def numbers_of(self, values: Column) -> Floats:
        """Numbers that values are, in float64, where the codec works on them."""
        numbers: Floats = widened(self.codec.encode(values))
        return numbers

    @property
    def few_floats(self) -> FewFloats | None:
        """The values of a column of few different floats, or its modal ones; None for a column of another sort."""
        return FewFloats.of(self.numbers, self._modal) if isinstance(self.codec, FloatCodec) else None

    def count(self, values: Column, numbers: Floats) -> NumberCounts:
        """Counts of values, and of the numbers that they are."""
        xp = namespace_of(numbers)
        modal = [
            int(xp.count_nonzero(xp.isnan(numbers) if value is MISSING else self._equals(values, numbers, value)))
            for value in self._column.modal_values
        ]
        return NumberCounts(self._engine.summarise(numbers, self._grid), np.array(modal, np.int64))

    def _equals(self, values: Column, numbers: Floats, value: Number) -> NDArray[np.bool_]:
        """Rows that hold a value; of floats those whose number it is."""
        is_float = isinstance(self.codec, FloatCodec)
        return numbers == self.codec.number(value) if is_float else self.codec.equals(values, value)

    def difference(self, before: NumberCounts, after: NumberCounts) -> NumberDifference:
        """Distances, descriptions and modal counts of two sets of values."""
        are_integers = self.codec.name != "float"
        first, second = (Pieces.of(counts.summary, whole=are_integers) for counts in (before, after))
        return NumberDifference(
            (first, second),
            (_description(self.codec, first), _description(self.codec, second)),
            Distances.of(first, second),
            tuple(
                ValueCount(value, self.codec.modal_text(value), int(rows_before), int(rows_after))
                for value, rows_before, rows_after in zip(
                    self._column.modal_values, before.modal, after.modal, strict=True
                )
            ),
        )


def _description(codec: Codec, pieces: Pieces) -> Description | None:
    """Moments and quantiles in the column's own unit; None without a row."""
    if not pieces.rows:
        return None
    moments = pieces.moments()
    values = tuple(codec.value(number) for number in pieces.quantiles(SHARES))
    mean_text, *texts = (codec.text_beside(value, moments.sd) for value in (codec.value(moments.mean), *values))
    if codec.name == "integer":  # the mean of whole numbers is none
        mean_text = codec.mean_text(codec.base + moments.mean, moments.sd)
    texts = [mean_text, codec.length_text(moments.sd), *texts]
    return Description(codec.base + moments.mean, moments.sd, moments.skewness, moments.kurtosis, values, tuple(texts))


class CategoryCodes:
    """Codes of a column's categories; two more are for unknown values, and for missing ones that are no category."""

    def __init__(self, column: CategoricalColumn) -> None:
        self._index = column.index
        self.unknown = len(column.categories)
        self.missing = self.unknown + 1

    def find(self, values: Column) -> Ints:
        """The place of each value, where the rows lie."""
        return self._index.find_all(values, self.unknown, self.missing)

    def count(self, codes: Ints) -> Ints:
        """Rows of each place."""
        return rows_of_places(codes, self.missing + 1)


def most_frequent(
    column: CategoricalColumn,
    before: Mapping[Category, int],
    after: Mapping[Category, int],
    rank: Mapping[Category, int],
) -> tuple[tuple[ValueCount, ...], int, int]:
    """Rows of the categories that rank highest in two tables, and the rows of all others in both."""
    top = sorted(rank, key=lambda category: -rank[category])[:LISTED_CATEGORIES]
    top_counts = tuple(ValueCount(key, column.text_of(key), before.get(key, 0), after.get(key, 0)) for key in top)
    other_rows = sum(before.values()) - sum(count.rows_before for count in top_counts)
    return top_counts, other_rows, sum(after.values()) - sum(count.rows_after for count in top_counts)

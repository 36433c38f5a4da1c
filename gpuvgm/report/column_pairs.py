"""A column of two tables: what is counted of its rows in each, and how both are compared."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.arrays import Column, DeviceColumn, beside, mixed, namespace_of, on_host, to_numpy, widened
from gpuvgm.codecs import Codec, FloatCodec, IntegerCodec
from gpuvgm.columns import (
    MISSING,
    CategoricalColumn,
    Category,
    GeneralColumn,
    Histogram,
    MixtureColumn,
    PassthroughColumn,
)
from gpuvgm.engines import Engine
from gpuvgm.errors import naming
from gpuvgm.report.column_comparison import (
    CategoryComparison,
    ColumnComparison,
    NumberComparison,
    UnmodelledComparison,
    is_of_many,
)
from gpuvgm.report.combinations import Known
from gpuvgm.report.copies import hits_of
from gpuvgm.report.counting import Counter, Counts, rows_of_places
from gpuvgm.report.detection import UNKNOWN, Feature, date_parts, local_days
from gpuvgm.report.differences import (
    RARE,
    CategoryCodes,
    FewFloats,
    NumberCounter,
    ks_by_chance,
    ks_complement,
    most_frequent,
    tv_by_chance,
    tv_complement,
)
from gpuvgm.report.figures import PartScore
from gpuvgm.report.pair_trends import thinned
from gpuvgm.report.pictures import Axis, Binned, Shares, shares_of_parts
from gpuvgm.report.running_numbers import RunningNumbers
from gpuvgm.summary import Floats, Ints, Pieces

ROWS_OF_KEY = 1.2, 50  # on average
_FILLED = 0.25  # of the numbers of a range, from which on they run in steps and name no one: every generator counts so
_LEAST_KEYS, _KEY_DIGITS = 100, 7  # rows and digits of whole numbers that are keys
_OWN = 0.95  # of the rows, which have a whole number of their own
_MANY = 0.05  # of the rows of a column of keys, from which on a value such as "unknown" names no one
LONGEST = 1_000  # characters; longer texts count as of so many


@dataclass(frozen=True, slots=True)
class ColumnRows(Counts):
    """Counts and rows of a column of one table: blocks of numbers, NaN for missing values, or of codes.

    The rows stay where the table lies; on the host are hashes of those values that are no category.
    """

    counts: Any
    blocks: tuple[NDArray[Any], ...]
    unknown: tuple[NDArray[np.uint64], ...] = ()

    @property
    def rows(self) -> NDArray[Any]:
        """Numbers or codes of all rows."""
        rows: NDArray[Any] = namespace_of(self.blocks[0]).concatenate(self.blocks)
        return rows


class Pair(Counter):
    """A column of two tables.

    Parameters
    ----------
    engine : Engine
        Compute engine.
    column : FittedColumn
        The fitted column.
    sample : pyarrow.Table
        Some rows of the columns.
    """

    @abstractmethod
    def __init__(self, engine: Engine, column: Any, sample: pa.Table) -> None: ...

    @abstractmethod
    def compare(self, original: ColumnRows, synthetic: ColumnRows) -> ColumnComparison:
        """The figures."""

    @abstractmethod
    def is_missing(self, rows: NDArray[Any]) -> NDArray[np.bool_]:
        """Which of some rows on the host have no value."""

    def features(self, rows: NDArray[Any]) -> dict[Feature, NDArray[Any]]:
        """What a classifier sees of some rows; nothing of columns for which samples shall have values of their own."""
        return {}

    def binned(self, comparison: Any, tables: Sequence[NDArray[Any]]) -> Binned | None:
        """Some rows of both tables in the bins of the axis that the column is drawn on; None without one."""
        return None

    @property
    def tells_near(self) -> bool:
        """True if a row that repeats another but for small changes has the same category, or nearly the same number."""
        return True

    def numbers_rows(self, counts: ColumnRows) -> bool:
        """Return whether each row has a whole number of its own, or nearly so."""
        return False

    @property
    def has_dates(self) -> bool:
        """True of dates and moments."""
        return False

    def order(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Numbers of some rows on the host, by which they are sorted."""
        return rows

    def keys(self, column: ColumnRows) -> NDArray[np.uint64]:
        """Hashes of the values of all rows; 0 for missing ones."""
        return np.asarray(column.rows, np.uint64)

    def known(self, tables: Sequence[NDArray[Any]]) -> Known:
        """What someone may know of the rows of each table who does not know the table."""
        return Known([*tables], well=True, days=False)


class NumberPair(Pair):
    """A continuous, mixed or general column of two tables. Parameters as for `Pair`."""

    def __init__(self, engine: Engine, column: MixtureColumn | GeneralColumn, sample: pa.Table) -> None:
        self._column, self._counter = column, NumberCounter(engine, column, sample)
        self._few_floats = self._counter.few_floats

    def works_on_device(self, type_: pa.DataType) -> bool:
        """Those of text and wide decimals are counted and kept on the host."""
        return self._counter.codec.works_on_device(type_)

    def count(self, values: Column, first_row: int) -> tuple[ColumnRows, None]:
        """Count consecutive rows, and keep their numbers or codes."""
        numbers = self._counter.numbers_of(values)
        if self._few_floats is not None:
            numbers = self._few_floats.nearest(numbers, values.type)
        return ColumnRows(self._counter.count(values, numbers), (numbers,)), None

    def features(self, rows: NDArray[Any]) -> dict[Feature, NDArray[Any]]:
        """What a classifier sees of some rows: the numbers, and parts of dates and times."""
        parts = {"": rows} | date_parts(self._counter.codec, rows)
        return {(self._column.name, part): values for part, values in parts.items()}

    def compare(self, original: ColumnRows, synthetic: ColumnRows) -> NumberComparison:
        """The figures."""
        column: Any = self._column
        first = original.rows
        all_rows = first, beside(synthetic.rows, first)
        some_rows = thinned(all_rows[0]), thinned(all_rows[1])
        original_numbers, synthetic_numbers = (numbers[~namespace_of(first).isnan(numbers)] for numbers in all_rows)
        difference = self._counter.difference(original.counts, synthetic.counts)
        # Distances from an empty table are 0, which would read as agreement: without an sd they become None.
        sd = difference.descriptions[0].sd if difference.descriptions[0] and difference.pieces[1].rows else 0.0
        return NumberComparison(
            kind=column.kind,
            rows=len(all_rows[0]),
            missing=len(all_rows[0]) - len(original_numbers),
            synthetic_rows=len(all_rows[1]),
            synthetic_missing=len(all_rows[1]) - len(synthetic_numbers),
            score=ks_complement(original_numbers, synthetic_numbers),
            reachable=1 - ks_by_chance([len(original_numbers), len(synthetic_numbers)]),
            wasserstein=difference.distances.wasserstein / sd if sd else None,
            before=difference.descriptions[0],
            after=difference.descriptions[1],
            modal=difference.modal,
            parts=parts_of_dates(self._counter.codec, *some_rows),
            holds_keys=(holds_keys := self._are_keys(original_numbers)),
            real_rows=_real_rows(original_numbers, synthetic_numbers) if holds_keys else 0,
            pictures=(
                *self._values(difference.pieces, [*map(len, all_rows)]),
                *shares_of_parts(column.name, self._counter.codec, *some_rows),
            ),
        )

    def numbers_rows(self, counts: ColumnRows) -> bool:
        """Return whether each row has a whole number of its own, or nearly so."""
        if not isinstance(self._counter.codec, IntegerCodec):
            return False
        rows = thinned(counts.rows)
        return len(np.unique(rows)) >= _OWN * len(rows) >= _OWN * _LEAST_KEYS

    def _are_keys(self, numbers: Floats) -> bool:
        """Return whether numbers are whole ones of as many digits, all different, and far from filling their range."""
        codec = self._counter.codec
        if not isinstance(codec, IntegerCodec) or len(numbers) < _LEAST_KEYS:
            return False
        least, most = (codec.base + int(end) for end in (numbers.min(), numbers.max()))
        if not 10 ** (_KEY_DIGITS - 1) <= least < most < 10 ** len(str(least)):
            return False
        steps = (most - least) / codec.spacing
        return len(numbers) <= _FILLED * steps and len(namespace_of(numbers).unique(numbers)) == len(numbers)

    def is_missing(self, rows: NDArray[Any]) -> NDArray[np.bool_]:
        """Rows without a number."""
        return np.asarray(np.isnan(rows))

    @property
    def has_dates(self) -> bool:
        """True of dates and moments."""
        return local_days(self._counter.codec, np.empty(0)) is not None

    def keys(self, column: ColumnRows) -> NDArray[np.uint64]:
        """Hashes of the numbers; 0 for missing ones."""
        numbers = to_numpy(column.rows) + 0.0  # without the sign of 0
        return np.where(np.isnan(numbers), np.uint64(0), mixed(numbers.view(np.uint64), 0))

    def _values(self, pieces: tuple[Pieces, Pieces], rows: Sequence[int]) -> Iterator[Shares]:
        """Yield the shares of the values but modal ones, on the fitted scale, if there are any."""
        column, codec = self._column, self._counter.codec
        modal = [codec.number(value) for value in column.modal_values if value is not None]
        before, after = (table.without(modal) for table in pieces)
        if before.rows or after.rows:
            with np.errstate(over="ignore", invalid="ignore"):  # at the end of the numbers there is no room for an axis
                histogram = Histogram.of_two(column, before, after)
            axis = Axis.of_histogram(column.name, column.codec, histogram)
            yield Shares.of(axis, [histogram.before, histogram.after], rows)

    def known(self, tables: Sequence[NDArray[Any]]) -> Known:
        """The days of moments and dates, and other numbers as they are."""
        days = [days for rows in tables if (days := local_days(self._counter.codec, rows)) is not None]
        return Known(days or tables, well=bool(days), days=bool(days))

    def binned(self, comparison: Any, tables: Sequence[NDArray[Any]]) -> Binned | None:
        """Some rows of both tables in the bins of the axis that the column is drawn on; None without one."""
        axes = [shares.axis for shares in comparison.pictures if shares.axis.edges]
        return Binned.of_numbers(axes[0], tables) if axes else None


class CategoryPair(Pair):
    """A categorical column of two tables. Parameters as for `Pair`."""

    def __init__(self, engine: Engine, column: CategoricalColumn, sample: pa.Table) -> None:
        self._column, self._codes = column, CategoryCodes(column)
        few = [category for category in column.categories if isinstance(category, float)]
        self._few_floats = FewFloats(np.sort(np.array(few))) if few else None

    def count(self, values: Column, first_row: int) -> tuple[ColumnRows, None]:
        """Count consecutive rows, and keep their numbers or codes."""
        codes = self._codes.find(values)
        if self._few_floats is not None and (codes == self._codes.unknown).any():
            values = self._rounded(values)
            codes = self._codes.find(values)
        counts, unknown = self._column.count_values(values, first_row), self._unknown(values, codes)
        return ColumnRows(counts, (codes.astype(np.int32),), unknown), None

    def _unknown(self, values: Column, codes: Ints) -> tuple[NDArray[np.uint64], ...]:
        """Hashes of the values that are no category, where there are any: a sample may have keys of its own."""
        is_unknown: Any = codes == self._codes.unknown
        if not is_unknown.any():
            return ()
        rows = values.filter(is_unknown if isinstance(values, DeviceColumn) else pa.array(is_unknown))
        return (PassthroughColumn.hashes(on_host(rows)),)

    def is_missing(self, rows: NDArray[Any]) -> NDArray[np.bool_]:
        """Rows without a category."""
        return np.asarray(rows == self._codes.missing)

    @property
    def tells_near(self) -> bool:
        """True of text, booleans and whole numbers: what is added to others makes them another category."""
        type_ = self._column.value_type
        return not (pa.types.is_floating(type_) or pa.types.is_decimal(type_) or pa.types.is_temporal(type_))

    def _rounded(self, values: Column) -> Column:
        """Values with the categories for floats that are a rounding away from one, where they lie."""
        if self._few_floats is None or not pa.types.is_floating(values.type):
            return values
        codec = FloatCodec(self._column.value_type)
        return codec.column_of(self._few_floats.nearest(widened(codec.encode(values)), values.type))

    @property
    def has_dates(self) -> bool:
        """True of dates and moments."""
        return pa.types.is_date(self._column.value_type) or pa.types.is_timestamp(self._column.value_type)

    def order(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Places of the categories in their own order; of missing and unknown ones infinity."""
        values = {code: value for code, value in enumerate(self._column.categories) if value is not MISSING}
        places = np.full(self._codes.missing + 1, np.inf)
        places[sorted(values, key=values.__getitem__)] = np.arange(len(values))
        ordered: NDArray[Any] = places[rows]
        return ordered

    def keys(self, column: ColumnRows) -> NDArray[np.uint64]:
        """Hashes of the categories, and of other values; 0 for missing ones."""
        codes = to_numpy(column.rows)
        hashes = np.where(codes == self._codes.missing, np.uint64(0), mixed(codes.astype(np.uint64), 0))
        hashes[codes == self._codes.unknown] = np.concatenate([hashes[:0], *column.unknown])
        return hashes

    def features(self, rows: NDArray[Any]) -> dict[Feature, NDArray[Any]]:
        """What a classifier sees of some rows: the codes, -1 for missing values and `UNKNOWN` for other values."""
        codes = np.where(rows == self._codes.unknown, UNKNOWN, rows)
        return {(self._column.name, ""): np.where(rows == self._codes.missing, -1, codes)}

    def compare(self, original: ColumnRows, synthetic: ColumnRows) -> CategoryComparison:
        """The figures."""
        original_rows, synthetic_rows = self._counts(original), self._counts(synthetic)
        missing, synthetic_missing = original_rows.pop(MISSING, 0), synthetic_rows.pop(MISSING, 0)
        rows = original_rows | {key: original_rows.get(key, 0) + count for key, count in synthetic_rows.items()}
        may_be_shown = {
            key: count
            for key, count in rows.items()
            if not self._column.holds_keys and is_of_many(original_rows.get(key, 0), synthetic_rows.get(key, 0))
        }
        levels, *unlisted = most_frequent(self._column, original_rows, synthetic_rows, may_be_shown)
        row_counts = original.counts.rows, synthetic.counts.rows
        return CategoryComparison(
            rows=row_counts[0],
            missing=missing,
            synthetic_rows=row_counts[1],
            synthetic_missing=synthetic_missing,
            score=tv_complement(original_rows, synthetic_rows),
            reachable=1 - tv_by_chance(original_rows, synthetic_rows),
            new_rows=sum(rows for category, rows in synthetic_rows.items() if category not in original_rows),
            categories=len(rows),
            levels=levels,
            other_rows_before=unlisted[0],
            other_rows_after=unlisted[1],
            holds_keys=self._column.holds_keys,
            pictures=(Shares.of_values(self._column.name, levels, unlisted, row_counts),) if levels else (),
        )

    def binned(self, comparison: Any, tables: Sequence[NDArray[Any]]) -> Binned | None:
        """Some rows of both tables by category; None where no category may be shown."""
        codes = {category: code for code, category in enumerate(self._column.categories)}
        names = {codes[level.value]: level.text for level in comparison.levels if level.value in codes}
        return Binned.of_codes(self._column.name, names, self._codes.missing, tables) if names else None

    def _counts(self, rows: ColumnRows) -> dict[Category, int]:
        """Rows by category, the first to occur first."""
        try:
            sorted_counts = rows.counts.of_type(self._column.value_type).ordered()
        except ValueError as problem:
            raise naming(self._column.name, problem) from None
        return dict(zip(sorted_counts.categories, sorted_counts.counts.tolist(), strict=True))


class UnmodelledPair(Pair):
    """A column of two tables that no model sees. Parameters as for `Pair`."""

    def __init__(self, engine: Engine, column: Any, sample: pa.Table) -> None:
        self._column, self._running = column, RunningNumbers.of(sample.column(column.name))

    def works_on_device(self, type_: pa.DataType) -> bool:
        """All come to the host."""
        return False

    def count(self, values: Column, first_row: int) -> tuple[ColumnRows, None]:
        """Lengths and hashes of consecutive rows."""
        hashes, lengths = self._column.hashes(values), self._column.lengths(values)
        places = np.minimum(lengths[(hashes != 0) & (lengths >= 0)], LONGEST)
        return ColumnRows(rows_of_places(places, LONGEST + 1), (hashes,)), None

    def is_missing(self, rows: NDArray[Any]) -> NDArray[np.bool_]:
        """Rows without a value."""
        return np.asarray(rows == 0)

    def compare(self, original: ColumnRows, synthetic: ColumnRows) -> UnmodelledComparison:
        """The figures."""
        tables = original.rows, synthetic.rows
        present = [hashes[hashes != 0] for hashes in tables]
        different, occurrences = np.unique(present[0], return_counts=True)
        other_occurrences = np.unique(present[1], return_counts=True)[1]
        fewest, is_id = min(map(len, present)), self._column.kind == "id"
        may_name = is_id or self._column.tells_apart(len(different))
        return UnmodelledComparison(
            kind=self._column.kind,
            rows=len(tables[0]),
            missing=len(tables[0]) - len(present[0]),
            synthetic_rows=len(tables[1]),
            synthetic_missing=len(tables[1]) - len(present[1]),
            known_rows=int(np.count_nonzero(np.isin(present[1], different))),
            different=len(different),
            synthetic_different=len(other_occurrences),
            different_share=different_share(occurrences, fewest),
            synthetic_different_share=different_share(other_occurrences, fewest),
            length_score=None if is_id else _ks_complement_of_counts(original.counts, synthetic.counts),
            holds_keys=may_name and not self._runs_in_steps(different),
            real_rows=self._real_rows(different, occurrences, present[1]),
        )

    def _real_rows(self, different: NDArray[np.uint64], occurrences: Ints, synthetic: NDArray[np.uint64]) -> int:
        """Rows with an original value that few original rows have; 0 where the table has others as often by chance.

        Names and sentences come twice by chance. What rows share by plan, as those of a person do, is no chance.
        """
        rows = int(np.sum(occurrences))
        is_named = occurrences < max(_MANY * rows, 2)
        named, times = different[is_named], occurrences[is_named]
        real = synthetic[np.isin(synthetic, named)]
        if rows >= ROWS_OF_KEY[0] * len(different) or not len(real):
            return len(real)
        hits = np.sum(hits_of(times[np.searchsorted(named, real)]))
        by_chance = len(synthetic) * float(np.sum(times * hits_of(times - 1))) / rows
        return len(real) if hits > by_chance + RARE * by_chance**0.5 else 0

    def _runs_in_steps(self, different: NDArray[np.uint64]) -> bool:
        """Return whether the different values, as hashes, are numbers that fill their range."""
        if self._running is None:
            return False
        return bool(np.mean(np.isin(self._column.hashes(self._running.some()), different)) >= _FILLED)


def different_share(occurrences: Ints, rows: int) -> float:
    """Share of different values that is expected among some rows of a column (Hurlbert 1971).

    Parameters
    ----------
    occurrences : ndarray of shape (values,), int64
        Rows of each different value.
    rows : int
        Rows that are drawn without replacement; 0 gives 0.
    """
    if not rows:
        return 0.0
    times, values = np.unique(occurrences, return_counts=True)
    # A value is absent where each of its rows in turn is none of those drawn, of the rows that are left.
    left = int(np.sum(occurrences)) - np.arange(times[-1])
    with np.errstate(divide="ignore"):  # of the logarithm of 0, where too few others are left
        absent = np.cumsum(np.log1p(-np.minimum(rows / left, 1.0)))[times - 1]
    return min(float(-np.sum(values * np.expm1(absent)) / rows), 1.0)


def _ks_complement_of_counts(first: Ints, second: Ints) -> float | None:
    """1 less the Kolmogorov-Smirnov distance of two histograms; None where one is empty."""
    totals = int(np.sum(first)), int(np.sum(second))
    if not all(totals):
        return None
    return 1 - float(np.max(np.abs(np.cumsum(first) / totals[0] - np.cumsum(second) / totals[1])))


def _real_rows(original: Floats, synthetic: Floats) -> int:
    """Synthetic numbers that are original ones; 0 where numbers drawn evenly from the range are so as often."""
    rows = int(namespace_of(original).isin(synthetic, original).sum())
    by_chance = len(original) * len(synthetic) / (float(original.max() - original.min()) + 1)
    return rows if rows > by_chance + RARE * by_chance**0.5 else 0


def parts_of_dates(codec: Codec, original: Floats, synthetic: Floats) -> dict[str, PartScore]:
    """Scores of the parts of dates and times; none of other columns.

    Parameters
    ----------
    codec : Codec
        Codec of the column.
    original, synthetic : ndarray of shape (rows,)
        Its numbers in both tables; NaN for missing ones.
    """
    tables = date_parts(codec, original), date_parts(codec, synthetic)
    scores = {}
    for part in tables[0]:
        counts = [np.unique(table[part][~np.isnan(table[part])], return_counts=True) for table in tables]
        rows = [dict(zip(values.tolist(), times.tolist(), strict=True)) for values, times in counts]
        scores[part] = PartScore(tv_complement(rows[0], rows[1]), 1 - tv_by_chance(rows[0], rows[1]))
    return scores


PAIRS: Mapping[str, Callable[[Engine, Any, pa.Table], Pair]] = {
    "numbers": NumberPair,
    "categories": CategoryPair,
    "passed": UnmodelledPair,
}

"""Comparing a synthetic table with the original one, by columns, pairs of them and whole rows: one scan of each."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from textwrap import fill
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.arrays import Column, beside, namespace_of, widened
from gpuvgm.columns import (
    MISSING,
    CategoricalColumn,
    Category,
    CategoryCounts,
    Codec,
    FloatCodec,
    GeneralColumn,
    Histogram,
    MixtureColumn,
    TableModel,
    floats,
)
from gpuvgm.engines import Engine, get_engine
from gpuvgm.errors import InputError, counted, listed, naming
from gpuvgm.execution import Run, Sampled
from gpuvgm.report.advice import Advice
from gpuvgm.report.closest import ClosestRecords, closest_records
from gpuvgm.report.copies import Copies, copies
from gpuvgm.report.counting import (
    FIRST_COLUMNS,
    FIRST_ROWS,
    Counter,
    Counts,
    FirstRows,
    TableCounts,
    count_table,
    counts_of_table,
    refuse_types,
    rows_of_places,
)
from gpuvgm.report.detection import (
    LEAST_ROWS,
    UNKNOWN,
    Detection,
    Feature,
    date_parts,
    detect,
    row_hashes,
    sample_places,
)
from gpuvgm.report.differences import (
    CategoryCodes,
    FewFloats,
    NumberCounter,
    distance_by_chance,
    ks_by_chance,
    ks_complement,
    most_frequent,
    tv_by_chance,
    tv_complement,
)
from gpuvgm.report.figures import (
    SHARE_NAMES,
    SHARES,
    ColumnPart,
    Description,
    PartScore,
    Reached,
    ValueCount,
)
from gpuvgm.report.markup import Child, Markup, join, tag
from gpuvgm.report.measures import (
    COUNT,
    SCORE,
    SHARE,
    SPARSE_SHARE,
    Measure,
    Tile,
    Unit,
    broken_limits,
    check_limits,
    document,
    score_text,
    share,
    short,
    tiles,
)
from gpuvgm.report.page import (
    LISTED,
    SCORE_LIMIT,
    Places,
    Scored,
    chart_figure,
    description_table,
    first_rows_table,
    link,
    pair_cells,
    scroll_table,
    share_bar,
    tile_list,
    with_others,
)
from gpuvgm.report.pair_trends import PairTrend, missing_together, pair_trends, rows_at, thinned, worst_pairs
from gpuvgm.report.pictures import FEWEST, Axis, Binned, JointPictures, Shares, shares_of_parts
from gpuvgm.report.shares import heat_maps, shares_chart
from gpuvgm.report.text import WIDTH, Row, aligned, head_text
from gpuvgm.summary import Floats, Ints, Pieces

_NAMED = 3  # columns that the verdict names
_NOTE = """\
AUC: how well a boosted classifier tells synthetic rows from original ones that
    it has not seen: 0.5 not at all, up to 0.55 hardly, up to 0.7 with effort,
    above at once, 1 all
score: 1 less the Kolmogorov-Smirnov distance of numbers and datetimes, or the
    total variation distance of categories, as SDMetrics' KSComplement and
    TVComplement; missing values are left out
pairs: correlations of numbers, joint shares of all others, as SDMetrics'
    CorrelationSimilarity and ContingencySimilarity; beside a column the mean of
    its pairs
missing: share of rows without a value in the original and the synthetic table
lengths: 1 less the Kolmogorov-Smirnov distance of the lengths of text, of
    columns that no model sees
Wasserstein: distance of the values, in standard deviations of the original"""
PAIRS = (
    "Pairs of columns that have lost most, but for chance and what each column has lost alone. Correlation: 1 less "
    "half the difference of Pearson's r. Contingency: 1 less the total variation distance of the joint shares, numbers "
    "in ten bins of one width over the original range. These are SDMetrics' CorrelationSimilarity and "
    "ContingencySimilarity. The bins mislead where values are skewed: one value far out puts nearly all rows into one "
    "bin, and the score is high whatever they are. Missing together: 1 less the difference of the shares of rows "
    "without a value in both columns, of those without one in either."
)
LOST = 0.1  # of a score, from which on a column or a pair is worth a look, and is named in the verdict
# Differences of shares, and shares of rows, from which on they are worth a word.
_MISSING_SHARE, _NEW_SHARE = 0.05, 0.01
_NO_CHANCE = 10  # synthetic rows of a category that are expected, where none is no chance
#: By whether the model would make new ones.
_REMEDIES_OF_REAL_VALUES = {
    True: "The generator repeats original values.",
    False: 'Declare {"key": True}, so that samples have new ones, or "drop".',
}
_REMEDY_OF_LEFT_OUT = (
    'The model does not see free text: declare "categorical" for the real ones, {"key": True} for new ones in their '
    'form, or "drop".'
)
LONGEST = 1_000  # characters; longer texts count as of so many
WORST = 5  # columns whose values stand side by side, and values of each
_QUANTILES = frozenset({0.05, 0.25, 0.5, 0.75, 0.95})
_NEARLY_ALL = 0.9999  # of the rows


def is_of_many(rows: int, synthetic_rows: int) -> bool:
    """True for a value that may be shown: of at least five original rows, or of none and five synthetic ones."""
    return (rows or synthetic_rows) >= FEWEST


_WASSERSTEIN = Measure(
    "wasserstein",
    "Wasserstein",
    Unit("{:.2g}".format, short, " sd"),
    "how far values would have to move, on average",
)
_LENGTHS = Unit(score_text, score_text)  # left out where a table has no text
_DIFFERENT_TILES = (
    Measure("different_share", "different", SHARE, "of the original values, among as many as are synthetic"),
    Measure("synthetic_different_share", "different, synthetic", SHARE, "of as many synthetic values"),
)
_MISSING_TILES = (
    Measure("missing_share", "missing", SHARE, "of the original values"),
    Measure("synthetic_missing_share", "missing, synthetic", SHARE, "of the synthetic values"),
)
_OF_BOTH = (
    Measure("missing_share", "missing", SPARSE_SHARE),
    Measure("synthetic_missing_share", "synthetic", SPARSE_SHARE),
    _WASSERSTEIN,
)
_IN_TEXT = (Measure("shown_score", "score", SCORE), *_OF_BOTH)
_AUC_LIMIT = Measure(
    "auc",
    "AUC",
    limit="max_auc",
    words="the AUC of a classifier",
    unknown=f"not known for fewer than {LEAST_ROWS} rows",
)
_DOCUMENT = (
    "rows", "synthetic_rows", "verdict", "detection", "score", "pair_score", "copies", "closest", "real_values",
    "real_shares", "pairs", "columns",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class OfTables(Reached, ColumnPart):
    """Rows of a column in both tables, and how much of it is lost.

    Parameters
    ----------
    kind : str
        The column's kind.
    rows, missing : int
        All original rows, and those without a value.
    synthetic_rows, synthetic_missing : int
        The same of the synthetic rows.
    """

    synthetic_rows: int
    synthetic_missing: int
    metric: ClassVar[str]
    DERIVED: ClassVar[tuple[str, ...]] = ("metric",)
    TILES: ClassVar[tuple[Measure, ...]]

    @property
    def synthetic_missing_share(self) -> float:
        """Share of synthetic rows without a value."""
        return self.synthetic_missing / max(self.synthetic_rows, 1)

    @property
    def present(self) -> tuple[int, int]:
        """Rows of both tables that have a value."""
        return self.rows - self.missing, self.synthetic_rows - self.synthetic_missing

    @property
    def shown_score(self) -> float | None:
        """The score that tables of text show."""
        return self.score

    @property
    def losses(self) -> dict[str, float]:
        """How much each figure has lost, less what chance explains, by the words for it."""
        before, after = self.missing_share, self.synthetic_missing_share
        rows = self.rows, self.synthetic_rows
        return {
            score_text(self.score): self.score_lost,
            f"missing {share(before)}, synthetic {share(after)}": _share_lost(before, after, rows),
        }

    @property
    def lost(self) -> float:
        """The largest of `losses`."""
        return max(self.losses.values())

    @property
    def worst_figure(self) -> str:
        """Words for the figure that has lost most."""
        losses = self.losses
        return max(losses, key=losses.__getitem__)


def _share_lost(before: float, after: float, rows: Sequence[int]) -> float:
    """Difference of the shares of both tables' rows, less what chance explains."""
    p = float(np.average([before, after], weights=np.maximum(rows, 1)))
    return abs(before - after) - distance_by_chance(rows, float(np.sqrt(max(p * (1 - p), 0.0))))  # 1 may be rounded up


@dataclass(frozen=True, slots=True)
class NumberComparison(OfTables):
    """Similarity of the values of a column of numbers in two tables.

    Parameters
    ----------
    kind, rows, missing, synthetic_rows, synthetic_missing : object
        As for `OfTables`.
    score : float or None
        `ks_complement` of the values: 0 where one table has none, None where both have none.
    reachable : float
        Score that another sample of the original rows nearly always reaches: 1 less what chance explains.
    wasserstein : float or None
        Wasserstein distance of the values, in standard deviations of the original ones; None where there is none.
    before, after : Description or None
        The original and the synthetic values.
    modal : tuple of ValueCount
        Rows of each modal value, in the original and in the synthetic table.
    parts : dict of str to PartScore
        Of dates and times: "hour", "weekday" and "day of the month", of up to 50,000 rows.
    pictures : tuple of Shares
        Shares of the values, and of hours and weekdays of dates and times, in both tables; no part of the document.
    """

    score: float | None
    reachable: float
    wasserstein: float | None
    before: Description | None
    after: Description | None
    modal: tuple[ValueCount, ...]
    parts: dict[str, PartScore] = field(default_factory=dict)
    pictures: tuple[Shares, ...] = field(default=(), repr=False)
    metric: ClassVar[str] = "KS complement"
    TILES: ClassVar[tuple[Measure, ...]] = (
        Measure("score", metric, SCORE, "1: the distributions are the same"), _WASSERSTEIN, *_MISSING_TILES
    )  # fmt: skip

    @property
    def losses(self) -> dict[str, float]:
        """As for other columns, with the parts of dates and times."""
        parts = {f"{part} {score_text(one.score)}": one.score_lost for part, one in self.parts.items()}
        return super(NumberComparison, self).losses | parts  # of the class that has slots

    @property
    def shown_quantiles(self) -> frozenset[float]:
        """Shares of the quantiles that at least five original rows lie on either side of: others may name someone."""
        present = self.rows - self.missing
        return frozenset(part for part in SHARES if min(part, 1 - part) * present >= FEWEST)


@dataclass(frozen=True, slots=True)
class CategoryComparison(OfTables):
    """Similarity of the categories of a column in two tables.

    Parameters
    ----------
    rows, missing, synthetic_rows, synthetic_missing : int
        As for `OfTables`.
    score : float or None
        `tv_complement` of the categories; as for `NumberComparison`.
    reachable : float
        As for `NumberComparison`.
    new_rows : int
        Synthetic rows of categories that the original table lacks.
    categories : int
        Categories of both tables.
    levels : tuple of ValueCount
        The most frequent categories of both tables together, with their rows in each. Those of fewer than five rows,
        and all that may name someone, are not among them.
    other_rows_before, other_rows_after : int
        Rows of the categories that are not listed.
    holds_keys : bool
        Whether the values may each name someone or something: text of more than 255 different ones.
    pictures : tuple of Shares
        Shares of the listed categories in both tables; no part of the document.
    """

    kind: str = field(default="categorical", init=False, repr=False)
    score: float | None
    reachable: float
    new_rows: int
    categories: int
    levels: tuple[ValueCount, ...]
    other_rows_before: int
    other_rows_after: int
    holds_keys: bool = False
    pictures: tuple[Shares, ...] = field(default=(), repr=False)
    metric: ClassVar[str] = "TV complement"
    TILES: ClassVar[tuple[Measure, ...]] = (
        Measure("score", metric, SCORE, "1: the distributions are the same"),
        Measure("categories", "categories", COUNT, "in both tables"),
        Measure("new_rows", "new", COUNT, "synthetic rows of categories that the original table lacks"),
        *_MISSING_TILES,
    )

    @property
    def known_rows(self) -> int:
        """Synthetic rows of categories that the original table has."""
        return self.present[1] - self.new_rows


@dataclass(frozen=True, slots=True)
class UnmodelledComparison(OfTables):
    """Comparison of a column that is not modelled: an identifier or a passthrough column.

    Parameters
    ----------
    kind, rows, missing, synthetic_rows, synthetic_missing : object
        As for `OfTables`; blank text is no value.
    known_rows : int
        Synthetic rows with a value that the original table has.
    different, synthetic_different : int
        Different values of both tables.
    different_share, synthetic_different_share : float
        Shares of different values among equal numbers of rows, as many as the smaller table has (rarefaction, Hurlbert
        1971); rows without a value are left out.
    length_score : float or None
        1 less the Kolmogorov-Smirnov distance of the lengths of text; None for other types, for identifiers, whose new
        values may be longer, and where a table has none.
    holds_keys : bool
        As for `CategoryComparison`.
    """

    known_rows: int
    different: int
    synthetic_different: int
    different_share: float
    synthetic_different_share: float
    length_score: float | None
    holds_keys: bool
    score: float | None = None
    reachable: float = 1.0
    metric: ClassVar[str] = "lengths"
    TILES: ClassVar[tuple[Measure, ...]] = (
        Measure("different", "values", COUNT, "different values of the original table"),
        Measure("known_rows", "known", COUNT, "synthetic rows of values that the original table has"),
        Measure("length_score", "lengths", _LENGTHS, "1: texts are as long in both tables (KS complement)"),
        *_DIFFERENT_TILES,
        *_MISSING_TILES,
    )
    pictures: ClassVar[tuple[Shares, ...]] = ()

    @property
    def shown_score(self) -> float | None:
        """`length_score`."""
        return self.length_score

    @property
    def lengths_lost(self) -> float:
        """The distance of `length_score` below what is reachable."""
        return 0.0 if self.length_score is None else 1 - ks_by_chance(self.present) - self.length_score

    @property
    def different_lost(self) -> float:
        """Difference of the shares of different values, less what chance explains; 0 where a table has none."""
        fewest = min(self.present)
        return _share_lost(self.different_share, self.synthetic_different_share, (fewest, fewest)) if fewest else 0.0

    @property
    def losses(self) -> dict[str, float]:
        """As for other columns, with lengths of text and shares of different values."""
        shares = share(self.different_share), share(self.synthetic_different_share)
        return super(UnmodelledComparison, self).losses | {  # of the class that has slots
            f"lengths {score_text(self.length_score)}": self.lengths_lost,
            f"different {shares[0]}, synthetic {shares[1]}": self.different_lost,
        }


ColumnComparison = NumberComparison | CategoryComparison | UnmodelledComparison


@dataclass(frozen=True, slots=True)
class _ColumnRows(Counts):
    """Counts and rows of a column of one table: blocks of numbers, NaN for missing values, or of codes.

    The rows stay where the table lies.
    """

    counts: Any
    blocks: tuple[NDArray[Any], ...]

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
    def compare(self, original: _ColumnRows, synthetic: _ColumnRows) -> ColumnComparison:
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


class NumberPair(Pair):
    """A continuous, mixed or general column of two tables. Parameters as for `Pair`."""

    def __init__(self, engine: Engine, column: MixtureColumn | GeneralColumn, sample: pa.Table) -> None:
        self._column, self._counter = column, NumberCounter(engine, column, sample)
        self._few_floats = self._counter.few_floats

    def works_on_device(self, type_: pa.DataType) -> bool:
        """Those of text and wide decimals are counted and kept on the host."""
        return self._counter.codec.works_on_device(type_)

    def count(self, values: Column, first_row: int) -> tuple[_ColumnRows, None]:
        """Count consecutive rows, and keep their numbers or codes."""
        numbers = self._counter.numbers_of(values)
        if self._few_floats is not None:
            numbers = self._few_floats.nearest(numbers, values.type)
        return _ColumnRows(self._counter.count(values, numbers), (numbers,)), None

    def features(self, rows: NDArray[Any]) -> dict[Feature, NDArray[Any]]:
        """What a classifier sees of some rows: the numbers, and parts of dates and times."""
        parts = {"": rows} | date_parts(self._counter.codec, rows)
        return {(self._column.name, part): values for part, values in parts.items()}

    def compare(self, original: _ColumnRows, synthetic: _ColumnRows) -> NumberComparison:
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
            pictures=(
                *self._values(difference.pieces, [*map(len, all_rows)]),
                *shares_of_parts(column.name, self._counter.codec, *some_rows),
            ),
        )

    def is_missing(self, rows: NDArray[Any]) -> NDArray[np.bool_]:
        """Rows without a number."""
        return np.asarray(np.isnan(rows))

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

    def binned(self, comparison: Any, tables: Sequence[NDArray[Any]]) -> Binned | None:
        """Some rows of both tables in the bins of the axis that the column is drawn on; None without one."""
        drawn = [shares.axis for shares in comparison.pictures if shares.axis.edges]
        return Binned.of_numbers(drawn[0], tables) if drawn else None


class CategoryPair(Pair):
    """A categorical column of two tables. Parameters as for `Pair`."""

    def __init__(self, engine: Engine, column: CategoricalColumn, sample: pa.Table) -> None:
        self._column, self._codes = column, CategoryCodes(column)
        few = [category for category in column.categories if isinstance(category, float)]
        self._few_floats = FewFloats(np.sort(np.array(few))) if few else None

    def count(self, values: Column, first_row: int) -> tuple[_ColumnRows, None]:
        """Count consecutive rows, and keep their numbers or codes."""
        codes = self._codes.find(values)
        if self._few_floats is not None and (codes == self._codes.unknown).any():
            values = self._rounded(values)
            codes = self._codes.find(values)
        return _ColumnRows(CategoryCounts.of(values, first_row), (codes.astype(np.int32),)), None

    def is_missing(self, rows: NDArray[Any]) -> NDArray[np.bool_]:
        """Rows without a category."""
        return np.asarray(rows == self._codes.missing)

    def _rounded(self, values: Column) -> Column:
        """Values with the categories for floats that are a rounding away from one, where they lie."""
        if self._few_floats is None or not pa.types.is_floating(values.type):
            return values
        near = self._few_floats.nearest(widened(floats(values)), values.type)
        return FloatCodec(self._column.value_type).column_of(near)

    def features(self, rows: NDArray[Any]) -> dict[Feature, NDArray[Any]]:
        """What a classifier sees of some rows: the codes, -1 for missing values and `UNKNOWN` for other values."""
        codes = np.where(rows == self._codes.unknown, UNKNOWN, rows)
        return {(self._column.name, ""): np.where(rows == self._codes.missing, -1, codes)}

    def compare(self, original: _ColumnRows, synthetic: _ColumnRows) -> CategoryComparison:
        """The figures."""
        original_rows, synthetic_rows = self._counts(original.counts), self._counts(synthetic.counts)
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

    def _counts(self, counts: CategoryCounts) -> dict[Category, int]:
        """Rows by category, the first to occur first."""
        try:
            sorted_counts = counts.of_type(self._column.value_type).ordered()
        except ValueError as problem:
            raise naming(self._column.name, problem) from None
        return dict(zip(sorted_counts.categories, sorted_counts.counts.tolist(), strict=True))


class UnmodelledPair(Pair):
    """A column of two tables that no model sees. Parameters as for `Pair`."""

    def __init__(self, engine: Engine, column: Any, sample: pa.Table) -> None:
        self._column = column

    def works_on_device(self, type_: pa.DataType) -> bool:
        """All come to the host."""
        return False

    def count(self, values: Column, first_row: int) -> tuple[_ColumnRows, None]:
        """Lengths and hashes of consecutive rows."""
        hashes, lengths = self._column.hashes(values), self._column.lengths(values)
        places = np.minimum(lengths[(hashes != 0) & (lengths >= 0)], LONGEST)
        return _ColumnRows(rows_of_places(places, LONGEST + 1), (hashes,)), None

    def is_missing(self, rows: NDArray[Any]) -> NDArray[np.bool_]:
        """Rows without a value."""
        return np.asarray(rows == 0)

    def compare(self, original: _ColumnRows, synthetic: _ColumnRows) -> UnmodelledComparison:
        """The figures."""
        tables = original.rows, synthetic.rows
        present = [hashes[hashes != 0] for hashes in tables]
        different, occurrences = np.unique(present[0], return_counts=True)
        other_occurrences = np.unique(present[1], return_counts=True)[1]
        fewest, is_id = min(map(len, present)), self._column.kind == "id"
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
            holds_keys=self._column.tells_apart(len(different)) or getattr(self._column, "regenerate", "") == "key",
        )


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


_PAIRS: Mapping[str, Callable[[Engine, Any, pa.Table], Pair]] = {
    "continuous": NumberPair,
    "mixed": NumberPair,
    "general": NumberPair,
    "categorical": CategoryPair,
    "pass": UnmodelledPair,
    "id": UnmodelledPair,
}
_UNMODELLED = ("pass", "id")  # kinds, whose columns come last


@dataclass(frozen=True, slots=True)
class OriginalTable:
    """The original table, counted, and what counts the synthetic one the same way.

    The numbers of a column are kept as they are, 8 bytes each, so that the distance of two tables is exact.

    Parameters
    ----------
    model : TableModel
        The fitted model.
    pairs : dict of str to Pair
        The columns that are compared.
    counts : TableCounts
        Counts and rows of the table.
    """

    model: TableModel
    pairs: Mapping[str, Pair]
    counts: TableCounts

    @classmethod
    def count(cls, model: TableModel, names: Sequence[str], run: Run) -> OriginalTable:
        """Count the table.

        Parameters
        ----------
        model : TableModel
            The fitted model.
        names : sequence of str
            Its columns that both tables have, which are compared.
        run : Run
            The rows, and where and how they are counted.

        Raises
        ------
        InputError
            For columns of another sort, and for a table without rows.
        """
        refuse_types(model, run.source)
        columns = [column for column in model.columns if column.name in names]
        # `copies` takes the first columns as those that are modelled.
        columns.sort(key=lambda column: _UNMODELLED.count(column.kind))
        names = [column.name for column in columns]
        if not names or columns[0].kind in _UNMODELLED:
            raise InputError("the model encodes no column, so that there is nothing to compare")
        sample = Sampled.of(run, names, model.seed)
        engine = get_engine(run.here.engine)
        pairs: dict[str, Pair] = {column.name: _PAIRS[column.kind](engine, column, sample.rows) for column in columns}
        return cls(model, pairs, count_table(run, pairs, "compare", sample.blocks, keeps_rows=True))

    def count_synthetic(self, run: Run) -> TableCounts:
        """Count the synthetic table. Errors as for `count`."""
        refuse_types(self.model, run.source)
        return count_table(run, self.pairs, "compare", keeps_rows=True)

    def count_held_out(self, run: Run) -> TableCounts | None:
        """Count original rows that were held out; None where there are none."""
        refuse_types(self.model, run.source)
        return counts_of_table(run, self.pairs, keeps_rows=True)

    def compare(self, synthetic: TableCounts, held_out: TableCounts | None = None) -> Comparison:
        """The figures of all columns.

        Parameters
        ----------
        synthetic : TableCounts
            Counts and rows of the synthetic table.
        held_out : TableCounts, optional
            Those of original rows that were held out of the fit, to which distances are compared.
        """
        columns = {
            name: pair.compare(self.counts.columns[name], synthetic.columns[name]) for name, pair in self.pairs.items()
        }
        modelled = [name for name, column in columns.items() if column.kind not in _UNMODELLED]
        tables, row_count = (self.counts, synthetic), min(self.counts.rows, synthetic.rows, FIRST_ROWS)
        before, after = (
            {name: texts[:row_count] for name, texts in counts.first.before.items() if name in modelled}
            for counts in tables
        )
        samples = [
            {name: thinned(counts.columns[name].rows) for name in [*columns][:FIRST_COLUMNS]} for counts in tables
        ]
        original_sample, synthetic_sample = (
            {name: rows for name, rows in table.items() if name in modelled} for table in samples
        )
        missing = [{name: self.pairs[name].is_missing(rows) for name, rows in table.items()} for table in samples]
        binned = {
            name: self.pairs[name].binned(columns[name], (original_sample[name], synthetic_sample[name]))
            for name in original_sample
        }
        detection, closest = _judge_rows({name: self.pairs[name] for name in modelled}, (*tables, held_out))
        rows = [
            {name: counts.columns[name].blocks for name in columns if columns[name].kind != "id"} for counts in tables
        ]
        return Comparison(
            rows=self.counts.rows,
            synthetic_rows=synthetic.rows,
            columns=columns,
            first=FirstRows(0, before, after),
            pairs=worst_pairs([*pair_trends(original_sample, synthetic_sample), *missing_together(*missing)]),
            copies=copies(rows[0], rows[1], len(modelled)),
            detection=detection,
            closest=closest,
            joint=JointPictures.of({name: rows for name, rows in binned.items() if rows is not None}),
        )


def _judge_rows(
    pairs: Mapping[str, Pair], tables: Sequence[TableCounts | None]
) -> tuple[Detection | None, ClosestRecords | None]:
    """What some rows of the tables, as wholes, say of all: whether they are told, and how near they are."""
    features: list[dict[Feature, NDArray[Any]]] = []
    for counts in tables:
        if counts is not None:
            places = sample_places(counts.rows, len(pairs))
            rows = {name: rows_at(counts.columns[name].rows, places) for name in pairs}
            parts = [pair.features(rows[name]) for name, pair in pairs.items()]
            features.append({key: part for features_of_pair in parts for key, part in features_of_pair.items()})
    values = [{key: part for key, part in table.items() if not key[1]} for table in features]
    hashes = row_hashes(values[0], values[1])
    held_out = values[2] if len(values) > 2 else None
    return detect(features[0], features[1], hashes), closest_records(values[0], values[1], hashes, held_out)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison(Scored):
    """Similarity of two tables, column by column; `str` gives a verdict and a table.

    Columns have `NumberComparison` or `CategoryComparison`, those that no model sees `UnmodelledComparison`, and come
    last; pairs are of the first 50 columns.

    Parameters
    ----------
    synthetic_rows : int
        Rows of the synthetic table.
    copies : Copies
        Synthetic rows that equal original ones.
    detection : Detection or None
        How well a classifier tells synthetic rows from original ones; None for fewer than 200 rows.
    closest : ClosestRecords or None
        Distances of synthetic rows to the closest original ones; None for fewer than 200 rows.
    joint : JointPictures
        Joint shares of pairs of columns, of up to 50,000 rows of each table, as `plot_pair` draws them.
    rows, columns, reasons, facts, first, pairs : object
        As for `Scored`.
    """

    synthetic_rows: int
    copies: Copies
    detection: Detection | None = None
    closest: ClosestRecords | None = None
    joint: JointPictures = field(default_factory=JointPictures, repr=False, compare=False)
    TITLE: ClassVar[str] = "Original and synthetic rows"
    SHOWN: ClassVar[str] = "Blue: the original rows, orange line: the synthetic ones"
    LEAD: ClassVar[str] = "How alike the synthetic rows and the original ones are, column by column."
    FOOT: ClassVar[str] = "Wasserstein distances are in standard deviations (sd) of the original values."
    REMEDIES: ClassVar[str] = (
        "Scores are 1 less the Kolmogorov-Smirnov distance of numbers and datetimes, or the total variation distance "
        "of categories; missing values are left out. SDMetrics calls them KSComplement and TVComplement."
    )
    OVERVIEW: ClassVar[Sequence[Measure]] = (Measure("score", "score", SCORE), *_OF_BOTH)

    @property
    def scores(self) -> dict[str, float]:
        """Score of every column that has a value in both tables, 0 to 1."""
        return {name: column.score for name, column in self.columns.items() if column.score is not None}

    @property
    def worst_first(self) -> list[str]:
        """Names of the columns by falling loss, their own or that of a pair of them.

        The loss of a pair is divided between its columns in proportion to the losses of all pairs of each.
        """
        in_pairs = dict.fromkeys(self.columns, 0.0)
        for pair in self.pairs:
            for name in (pair.one, pair.other):
                in_pairs[name] += max(pair.lost, 0.0)
        lost = {name: column.lost for name, column in self.columns.items()}
        for pair in self.pairs:
            total = in_pairs[pair.one] + in_pairs[pair.other]
            for name in (pair.one, pair.other):
                lost[name] = max(lost[name], pair.lost * in_pairs[name] / (total or 1.0))
        return sorted(self.columns, key=lost.__getitem__, reverse=True)

    @property
    def column_pair_scores(self) -> dict[str, float]:
        """Mean score of the pairs of values of every column that is in one with a score."""
        scores_by_column: dict[str, list[float]] = {}
        for pair in self.pairs:
            for name in (pair.one, pair.other):
                scores_by_column.setdefault(name, []).extend(
                    [] if pair.score is None or not pair.of_values else [pair.score]
                )
        return {name: fmean(scores) for name, scores in scores_by_column.items() if scores}

    @property
    def real_values(self) -> list[str]:
        """Columns of text whose synthetic values are original ones that may each name someone or something."""
        return [name for name, part in self.real_shares.items() if part > 0.5]

    @property
    def real_keys(self) -> list[str]:
        """Those of `real_values` for which samples shall have new ones."""
        return [name for name in self.real_values if self.columns[name].kind in _UNMODELLED]

    @property
    def verdict(self) -> str:
        """One line: copied rows and keys, whether rows are told, the score, columns and pairs that have lost most."""
        if self.score is None:
            return "No column has a value"
        columns = sorted(self.columns.items(), key=lambda item: -item[1].lost)
        low = [f"{name} ({column.worst_figure})" for name, column in columns if column.lost >= LOST]
        pairs = [f"{pair.one} and {pair.other} ({_pair_figure(pair)})" for pair in self.pairs if pair.lost >= LOST]
        sentences = [*self._on_privacy]
        # Copies cannot be told from their originals, which is no praise.
        if self.detection is not None and not (sentences and self.detection.hardly):
            sentences.append(self.detection.text)
        sentences.append(f"overall score {self.score:.3f} of 1 for {counted(len(self.scores), 'column')}")
        if low or not self._stand_out:
            sentences.append(f"look at {_first_names(low)}" if low else "no column stands out")
        line = "; ".join([*sentences, f"pairs to look at: {_first_names(pairs)}"] if pairs else sentences)
        return line[0].upper() + line[1:]

    @property
    def _on_privacy(self) -> list[str]:
        """Sentences on keys and rows that are original ones, or nearly so, where there are more than by chance."""
        if self.copies.stand_out:
            return [_share_of_copies(self.copies)]
        keys = [f"{share(self.real_shares[name])} of the values of {name} are original ones" for name in self.real_keys]
        return [self.closest.share_text, *keys] if self.closest is not None and self.closest.stand_out else keys

    @property
    def _stand_out(self) -> bool:
        """True if rows stand out as wholes, whatever their columns are like."""
        return bool(self._on_privacy) or not (self.detection is None or self.detection.hardly)

    @property
    def real_shares(self) -> dict[str, float]:
        """Share of the synthetic values that are original ones, of the columns of text that may name someone."""
        return {
            name: column.known_rows / max(column.present[1], 1)
            for name, column in self.columns.items()
            if getattr(column, "holds_keys", False)
        }

    def plot(self, name: str | None = None, ax: Any = None) -> Any:
        """Draw columns with matplotlib (extra ``report``), original and synthetic rows on one axis, as the page does.

        Areas are shares of all rows, on the scale that was fitted; modal values and missing ones are left out. Of
        categories those of fewer than five rows are drawn together.

        Parameters
        ----------
        name : str, optional
            A column, or a part of its dates, such as "hour of when"; by default the six worst columns, the worst first.
        ax : matplotlib.axes.Axes, optional
            Where to draw one column; by default a new figure.

        Returns
        -------
        matplotlib.axes.Axes or ndarray of them
            What was drawn on: axes for one column, an array for the worst.

        Raises
        ------
        InputError
            For a column that cannot be drawn, and for `ax` without a column.
        EnvironmentProblem
            Where matplotlib is missing.

        Examples
        --------
        >>> from matplotlib.figure import Figure
        >>> import gpuvgm
        >>> table = {"colour": ["red", "red", "blue"] * 1000}
        >>> comparison = gpuvgm.TableSynthesizer().fit(table).evaluate(table)
        >>> ax = comparison.plot("colour", ax=Figure().subplots())
        >>> [text.get_text() for text in ax.get_yticklabels()]
        ['red', 'blue']
        """
        from gpuvgm.report.plots import draw_all, draw_shares

        drawn = [self.columns[column].pictures for column in self.worst_first]
        if name is None and ax is None and any(drawn):
            return draw_all([pictures[0] for pictures in drawn if pictures])
        by_title = {shares.axis.title: shares for pictures in drawn for shares in pictures}
        if name not in by_title:
            raise InputError(f"there is no picture of {name!r}: choose from {', '.join(by_title)}")
        return draw_shares(by_title[name], ax)

    def plot_pair(self, one: str, other: str, axes: Any = None) -> Any:
        """Draw the joint shares of two columns with matplotlib: a heat map of each table, on one scale of colours.

        Parameters
        ----------
        one, other : str
            The columns, across and upwards: two of the first 50 that are modelled.
        axes : array of two matplotlib.axes.Axes, optional
            Where to draw; by default a new figure.

        Returns
        -------
        ndarray of matplotlib.axes.Axes
            What was drawn on: the original rows first.

        Raises
        ------
        InputError
            For columns that cannot be drawn.
        EnvironmentProblem
            Where matplotlib is missing.

        Examples
        --------
        >>> from matplotlib.figure import Figure
        >>> import gpuvgm
        >>> table = {"colour": ["red", "red", "blue"] * 1000, "size": ["S", "S", "L"] * 1000}
        >>> comparison = gpuvgm.TableSynthesizer().fit(table).evaluate(table)
        >>> axes = comparison.plot_pair("colour", "size", axes=Figure().subplots(1, 2))
        >>> axes[0].get_xlabel(), axes[0].get_ylabel()
        ('colour', 'size')
        """
        from gpuvgm.report.plots import draw_pair

        return draw_pair(self.joint.pair(one, other), axes)

    @property
    def facts_line(self) -> str:
        """Line on when and how the comparison was made; empty where that is not known."""
        return "" if self.facts is None else self.facts.line(self.rows, self.synthetic_rows)

    def broken(self, bounds: Mapping[str, float | None]) -> list[str]:
        """Limits that do not hold, as sentences; empty when all hold.

        Parameters
        ----------
        bounds : mapping of str to float
            "min_score" limits the overall score, "max_auc" the AUC of `detection`. None is no limit.

        Raises
        ------
        InputError
            For a limit of another name.
        """
        check_limits(bounds, [SCORE_LIMIT, _AUC_LIMIT])
        limited = ((SCORE_LIMIT, self), (_AUC_LIMIT, self.detection))
        return [text for measure, part in limited for _, text in broken_limits([measure], part, bounds)]

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as a dict that JSON can hold."""
        return {name: document(getattr(self, name)) for name in _DOCUMENT}

    def to_text(self) -> str:
        """A verdict, and a table for people, 80 columns wide."""
        head = head_text(self.verdict, self.facts_line)
        pairs = {name: f"{score:.3f}" for name, score in self.column_pair_scores.items()}
        rows: list[Row] = []
        for name in self.worst_first:
            column = self.columns[name]
            metric = "" if column.shown_score is None else column.metric
            rows.append((name, [metric, *(measure.text(column) for measure in _IN_TEXT), pairs.get(name, "")]))
        table = aligned(["metric", *(measure.title for measure in _IN_TEXT), "pairs"], rows)
        overall = [] if self.pair_score is None else [f"mean score of all pairs of columns: {self.pair_score:.3f}"]
        remarks = [fill(f"{_share_of_copies(self.copies)}: {_halves(self.copies)}", WIDTH)]
        if self.closest is not None:
            remarks.append(fill(self.closest.text, WIDTH))
        remarks += [fill(f"{advice.problem} {advice.remedy}", WIDTH) for advice in self._advice_on_keys()]
        return "\n\n".join([head, "\n".join(table), *overall, *remarks, _NOTE])

    def _warnings(self) -> Iterator[Advice]:
        """Yield advice on whole rows."""
        if self.copies.stand_out:
            yield Advice(
                f"{_share_of_copies(self.copies)}: {_halves(self.copies)}.", "The generator repeats original rows."
            )
        elif self.closest is not None and self.closest.stand_out:
            yield Advice(
                f"{self.closest.text}.",
                "The generator repeats original rows but for some noise.",
            )
        if self.detection is not None and not self.detection.hardly:
            told = self.detection.text
            yield Advice(f"{told[0].upper()}{told[1:]}.", "Look at these columns, and at the pairs of them.")
        yield from self._advice_on_keys()

    def _advice_on_keys(self) -> Iterator[Advice]:
        """Yield advice on columns whose synthetic values are original ones."""
        for is_key, remedy in _REMEDIES_OF_REAL_VALUES.items():
            names = [name for name in self.real_values if (name in self.real_keys) == is_key]
            shares = ", ".join(f"{listed([name])} ({share(self.real_shares[name])} of them)" for name in names)
            if names:
                yield Advice(
                    f"Synthetic rows hold real values of {shares}, each of which may name someone or something.", remedy
                )

    def _advice(self, name: str, column: ColumnComparison) -> Iterator[Advice]:
        """Yield advice on a column: on its values, and on the pair of it that has changed most."""
        yield from _advice_on_values(column)
        changed_pairs = (pair for pair in self.pairs if name in (pair.one, pair.other) and pair.lost >= LOST)
        pair = max(changed_pairs, key=lambda pair: pair.lost, default=None)
        if pair is not None:
            yield _advice_on_pair(name, pair)

    def _tiles(self) -> Iterator[Tile]:
        scores = self.scores
        if self.detection is not None:
            yield "AUC of a classifier", score_text(self.detection.auc), self.detection.words
        yield "overall score", score_text(self.score), "mean of the columns' scores, from 0 to 1"
        if scores:
            worst = min(scores, key=scores.__getitem__)
            yield "lowest score", score_text(scores[worst]), f"of {worst}"
        if self.pair_score is not None:
            yield "pair score", score_text(self.pair_score), "mean of the scores of pairs of columns"
        yield (
            "copied rows",
            share(self.copies.share),
            f"{_share_of_copies(self.copies)}: {_halves(self.copies)}",
        )
        if self.closest is not None:
            yield "near rows", share(self.closest.near_share), self.closest.text
        for name, part in self.real_shares.items():
            yield f"real values of {name}", share(part), "of the synthetic values are values of the original table"
        yield "original rows", f"{self.rows:,}", "rows of the original table"
        yield "synthetic rows", f"{self.synthetic_rows:,}", "rows of the synthetic table"
        yield "columns", f"{len(self.columns):,}", "columns that are compared"

    def _parts(self, places: Places) -> Iterator[Markup | None]:
        yield _worst_values(self, places)
        if self.pairs:
            yield tag("h2", "Pairs of columns")
            yield _worst_pair(self)
            yield _lowest_pairs(self, places)
        if self.first is not None:
            caption = (
                "Values of the first rows of both tables. Rows that stand beside each other do not belong together."
            )
            yield first_rows_table(self.first, "synthetic", caption, len(self.columns))

    def _body(self, name: str, column: ColumnComparison) -> Iterator[Child]:
        hidden = () if all(column.present) else _DIFFERENT_TILES
        yield tile_list(tiles([measure for measure in column.TILES if measure not in hidden], column))
        if isinstance(column, UnmodelledComparison):
            return
        if isinstance(column, CategoryComparison):
            counts = with_others(column, column.categories)
            yield _shares_table(column, counts, "Categories by falling frequency, with shares of all rows")
            return
        for shares in column.pictures:
            yield chart_figure(shares_chart(shares), _picture_caption(shares))
        modal = [count for count in column.modal if is_of_many(count.rows_before, count.rows_after)]
        if modal:
            yield _shares_table(column, modal, "Modal values, with shares of all rows")
        if column.before is not None and column.after is not None:
            yield description_table(column.before, column.after, ("original", "synthetic"), column.shown_quantiles)


def _share_of_copies(copies: Copies) -> str:
    """Share of synthetic rows that equal an original row, as words."""
    return f"{share(copies.share)} of the synthetic rows equal an original row"


def _halves(copies: Copies) -> str:
    """Shares of rows that equal one of half the original table, as words: the yardstick for copied rows."""
    synthetic_share, original_share = share(copies.half_share), share(copies.other_half_share)
    return (
        f"{synthetic_share} equal one of a half of the original rows, and {original_share} of the other half's rows do"
    )


def _first_names(names: Sequence[str]) -> str:
    """First few names of columns or pairs, and how many more there are."""
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else "")


def _pair_figure(pair: PairTrend) -> str:
    """Figure of a pair for the verdict: its score, or shares of rows where both values are missing."""
    if pair.of_values or pair.before is None or pair.after is None:
        return score_text(pair.score)
    return f"missing together {share(pair.before)}, synthetic {share(pair.after)}"


def _lowest_pairs(comparison: Comparison, places: Places) -> Markup:
    """The pairs of columns that have lost most; correlations where one of them has any."""
    lowest = comparison.pairs[:LISTED]
    rows, titles = [], ["original", "synthetic"] if any(pair.before is not None for pair in lowest) else []
    for pair in lowest:
        links, correlations = pair_cells(pair, places, 2)
        rows.append((*links, pair.metric, *correlations[: len(titles)], score_text(pair.score)))
    titles = ["column", "and", "metric", *titles, "score"]
    return scroll_table(titles, rows, PAIRS, text=3)


def _worst_values(comparison: Comparison, places: Places) -> Markup | None:
    """Five rows each of the worst columns, both tables side by side.

    They are values of many rows, and no rows of the table: these would be personal data.
    """
    values = {name: _values_of_many(comparison.columns[name])[:WORST] for name in comparison.worst_first}
    worst = [name for name, cells in values.items() if cells][:WORST]
    rows = [(link(name, places) if i == 0 else "", *cells) for name in worst for i, cells in enumerate(values[name])]
    caption = (
        "The worst columns. Of categories the shares of the most frequent ones, of numbers quantiles. Values of fewer "
        "than five original rows are shown nowhere, and so are rows of the table."
    )
    titles = ("column", "value or quantile", "original", "synthetic")
    return join(tag("h2", "Side by side"), scroll_table(titles, rows, caption, text=2)) if rows else None


def _values_of_many(column: ColumnComparison) -> list[Sequence[str]]:
    """Values of a column that stand for many rows, in both tables: what they are, and the figure of each table."""
    if isinstance(column, CategoryComparison):
        return [(text, *map(share, parts)) for text, *parts in _parts_of(column, column.levels)]
    if isinstance(column, NumberComparison) and column.before is not None and column.after is not None:
        texts = zip(SHARES, column.before.texts[2:], column.after.texts[2:], strict=True)
        return [(SHARE_NAMES[part], *both) for part, *both in texts if part in _QUANTILES & column.shown_quantiles]
    return []


def _worst_pair(comparison: Comparison) -> Markup | None:
    """The pair of columns that has lost most, of those that can be drawn, as two heat maps."""
    pairs = [(pair.one, pair.other) for pair in comparison.pairs if pair.of_values]
    drawn = [pair for pair in pairs if pair in comparison.joint]
    if not drawn:
        return None
    joint = comparison.joint.pair(*drawn[0])
    caption = f"{drawn[0][0]} across, {drawn[0][1]} upwards: the darkest cells hold {share(joint.largest)} of the rows."
    return chart_figure(heat_maps(joint), f"The pair that has lost most. {caption}")


def _advice_on_values(column: ColumnComparison) -> Iterator[Advice]:
    if column.score is None:
        if column.kind not in _UNMODELLED:
            yield Advice("The tables have no value here.", "Leave the column out.")
    elif column.score_lost >= LOST:
        yield Advice(f"The {column.metric} is {column.score:.3f}.", "See below where the two distributions differ.")
    for part, one in column.parts.items() if isinstance(column, NumberComparison) else ():
        if one.score_lost >= LOST:
            yield Advice(
                f"The {part} has another distribution: its TV complement is {score_text(one.score)}.",
                "Look whether the generator knows parts of dates, and at the time zone.",
            )
    yield from _advice_on_missing(column)
    if isinstance(column, UnmodelledComparison):
        yield from _advice_on_unmodelled(column)
    if isinstance(column, CategoryComparison) and column.new_rows >= _NEW_SHARE * column.synthetic_rows:
        yield Advice(
            f"{share(column.new_rows / column.synthetic_rows)} of the synthetic rows hold categories that the original "
            "table lacks.",
            "Look at how both tables write their categories.",
        )
    lost = _absent_rows(column) if isinstance(column, CategoryComparison) else 0
    if lost and lost >= _NEW_SHARE * column.rows:
        yield Advice(
            f"{share(lost / column.rows)} of the original rows hold categories that the synthetic table lacks.",
            "Look whether the generator knows rare categories.",
        )


def _advice_on_missing(column: ColumnComparison) -> Iterator[Advice]:
    before, after = column.missing_share, column.synthetic_missing_share
    if abs(before - after) >= _MISSING_SHARE:
        is_left_out = column.kind in _UNMODELLED and after == 1
        yield Advice(
            f"{share(before)} of the original values are missing, and {share(after)} of the synthetic ones.",
            _REMEDY_OF_LEFT_OUT if is_left_out else "Look whether the generator knows missing values.",
        )


def _advice_on_unmodelled(column: UnmodelledComparison) -> Iterator[Advice]:
    if column.lengths_lost >= LOST:
        yield Advice(
            f"The lengths of the texts differ: their KS complement is {score_text(column.length_score)}.",
            "Look at what the generator writes here.",
        )
    if column.different_lost >= LOST:
        yield Advice(
            f"{share(column.different_share)} of the original values are different, and "
            f"{share(column.synthetic_different_share)} of as many synthetic ones.",
            "Look whether the generator repeats values as the table does.",
        )


def _absent_rows(column: CategoryComparison) -> int:
    """Original rows of the listed categories that the synthetic table lacks, where that is no chance."""
    scale = column.synthetic_rows / max(column.rows, 1)
    absent = [count.rows_before for count in column.levels if not count.rows_after]
    return sum(rows for rows in absent if rows * scale >= _NO_CHANCE)


def _advice_on_pair(name: str, pair: PairTrend) -> Advice:
    """Advice on a column whose dependence on another one has changed."""
    partner = pair.other if name == pair.one else pair.one
    if not pair.of_values:
        before, after = (share(part or 0.0) for part in (pair.before, pair.after))
        return Advice(
            f"Of the rows where this column or {partner} has no value, {before} have none in both, and {after} of the "
            "synthetic ones.",
            "The generator does not know which values are missing together.",
        )
    if pair.before is None or pair.after is None:
        problem = f"The contingency score with {partner} is {score_text(pair.score)}."
    else:
        problem = f"The correlation with {partner} is {pair.after:z.2f}, in the original table {pair.before:z.2f}."
    return Advice(problem, "The generator does not know how these columns depend on each other.")


def _picture_caption(shares: Shares) -> Markup:
    """What the two colours are, and what is not on the axis."""
    scale = f" The scale is {shares.axis.scale}, as it was fitted." if shares.axis.scale else ""
    on_axis = [min(sum(table), 1.0) for table in (shares.original, shares.synthetic)]
    outside = (
        f" On the axis are {share(on_axis[0])} of the original rows, and {share(on_axis[1])} of the synthetic ones."
        if min(on_axis) < _NEARLY_ALL
        else ""
    )
    swatches = [join(tag("i", class_=f"swatch {table}"), f"{table} ") for table in ("original", "synthetic")]
    return join(f"{shares.axis.title}: ", swatches, f"rows, as shares of all of them.{scale}{outside}")


def _parts_of(column: ColumnComparison, counts: Iterable[ValueCount]) -> list[tuple[str, float, float]]:
    """Text and shares of values, of all rows of both tables."""
    return [
        (count.text, count.rows_before / max(column.rows, 1), count.rows_after / max(column.synthetic_rows, 1))
        for count in counts
    ]


def _shares_table(column: ColumnComparison, counts: Iterable[ValueCount], caption: str) -> Markup:
    parts = _parts_of(column, counts)
    longest = max((max(pair) for _, *pair in parts), default=1.0) or 1.0
    rows = [
        (text, share_bar(part, part / longest, "original"), share_bar(other, other / longest, "synthetic"))
        for text, part, other in parts
    ]
    return scroll_table(("value", "original", "synthetic"), rows, caption)

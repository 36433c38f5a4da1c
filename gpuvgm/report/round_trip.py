"""Round trip of a table and its columns: counts of the rows, and the figures that follow from them.

Rows are read once, in bounded memory. Everything that is accumulated is a count, a sum of integers or a maximum, so the
figures do not depend on blocks, threads or order.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.arrays import Column, namespace_of, widened
from gpuvgm.codecs import Codec, cached_parts
from gpuvgm.columns import (
    MISSING,
    CategoricalColumn,
    Coded,
    EncodingOptions,
    FittedColumn,
    GeneralColumn,
    MixtureColumn,
    PassthroughColumn,
    Slice,
    TableModel,
)
from gpuvgm.engines import Engine, get_engine
from gpuvgm.errors import Results
from gpuvgm.execution import Run, Sampled, map_columns
from gpuvgm.io import taken
from gpuvgm.report.counting import FIRST_COLUMNS, Counter, Counts, EncodedCounts, ErrorHistogram, count_table
from gpuvgm.report.differences import CategoryCodes, NumberCounter, NumberCounts, most_frequent, total_variation
from gpuvgm.report.figures import CategoryFigures, ColumnFigures, NumberFigures, PassedFigures
from gpuvgm.report.pair_trends import PairTrend, even_steps, pair_trends
from gpuvgm.report.profiles import heaviest, hides_values, profile_of
from gpuvgm.report.report import Report
from gpuvgm.summary import Floats, Ints, Pieces

GRID_ROWS = 1 << 15  # rows of the sample that grids are built from
COARSE = 1e-3  # of the quartile range: a median error that is no rounding
ROUNDING = 1e-6  # of errors, which are counted in another unit
SMALLEST = float(np.finfo(np.float64).tiny)


class ColumnTrial(Counter):
    """The round trip of one column.

    Parameters
    ----------
    engine : Engine
        Compute engine.
    column : FittedColumn
        The fitted column.
    options : EncodingOptions
        Options of the encoding.
    sample : pyarrow.Table
        Some rows of the columns of numbers, for their grids.
    """

    def __init__(self, engine: Engine, column: Any, options: EncodingOptions, sample: pa.Table) -> None:
        self._column = column
        self._encode, self._decode = column.encoder(engine, options), column.decoder(engine, check=False)

    @abstractmethod
    def figures(self, counts: Any) -> ColumnFigures:
        """Return the counts as figures."""

    def decoded(self, values: Column, first_row: int) -> Any:
        """Consecutive rows after encoding and decoding, where they lie."""
        return self._decode(self._encode(Slice(values, first_row)), first_row).array


@dataclass(frozen=True, slots=True)
class NumberTripCounts(Counts):
    """Counts of a column of numbers.

    Parameters
    ----------
    before, after : NumberCounts
        The values before and after the round trip.
    absolute, relative : ErrorHistogram
        Errors, in the trial's unit and relative to the values.
    encoded : EncodedCounts
        Scalars and modes, and where scalars were cut.
    rows, missing, unequal, agreeing, invalid, off_step, under_threshold : int
        Rows, as in `NumberFigures`.
    """

    before: NumberCounts
    after: NumberCounts
    absolute: ErrorHistogram
    relative: ErrorHistogram
    encoded: EncodedCounts
    rows: int
    missing: int
    unequal: int
    agreeing: int
    invalid: int
    off_step: int
    under_threshold: int


class NumberTrial(ColumnTrial):
    """The round trip of a continuous, mixed or general column; the most probable modes are compared too."""

    _column: MixtureColumn | GeneralColumn

    def __init__(
        self, engine: Engine, column: MixtureColumn | GeneralColumn, options: EncodingOptions, sample: pa.Table
    ) -> None:
        super().__init__(engine, column, options, sample)
        self._engine, self._counter = engine, NumberCounter(engine, column, sample)
        self._codec = self._counter.codec
        self._encode_probable = column.encoder(engine, replace(options, most_probable=True))
        self._unit = _unit_before(column, self._codec)
        self._resolution = column.resolution * (1 + ROUNDING)
        self._is_whole = pa.types.is_integer(column.type)
        self._different = _different_share(self._counter.numbers) if self._is_whole else 0.0

    def works_on_device(self, type_: pa.DataType) -> bool:
        """Rows are counted where they are encoded: text, wide decimals and ranges of logarithms on the host."""
        return self._column.works_on_device(type_)

    def count(self, values: Column, first_row: int) -> tuple[NumberTripCounts, NDArray[np.bool_] | None]:
        """Counts of consecutive rows, and which of them lie in the training range as they came in (None: all)."""
        column = self._column
        coded = self._encode(Slice(values, first_row))
        decoded = self._decode(coded, first_row).array
        x, y = (self._counter.numbers_of(rows) for rows in (values, decoded))
        xp = namespace_of(x)
        ordinary = xp.isfinite(x)
        is_number = slice(None) if ordinary.all() else ordinary
        absolute, relative = self._errors(x[is_number], y[is_number])
        numbers = widened(column.codec.ordinary_numbers(values, column.modal_values, self._engine)[0])
        off_step = column.codec.off_step_rows(values, numbers)
        bounded_column: Any = column  # rows of general columns all count as valid
        valid = None if coded.code is None else bounded_column.within_bounds(numbers, coded.code)
        counts = NumberTripCounts(
            before=self._counter.count(values, x),
            after=self._counter.count(decoded, y),
            absolute=absolute,
            relative=relative,
            encoded=self._encoded_counts(coded, numbers),
            rows=len(x),
            missing=len(x) - int(xp.count_nonzero(ordinary)),
            unequal=column.count_unequal(values, decoded),
            agreeing=0 if coded.code is None else self._count_agreeing(Slice(values, first_row), is_number),
            invalid=0 if valid is None else len(x) - int(xp.count_nonzero(valid)),
            off_step=0 if off_step is None else int(xp.count_nonzero(off_step & ordinary)),
            under_threshold=self._count_under_threshold(numbers),
        )
        return counts, valid

    def _errors(self, x: Floats, y: Floats) -> tuple[ErrorHistogram, ErrorHistogram]:
        """Histograms of the errors, in the trial's unit and relative to the values; by parts that a cache holds."""
        absolute, relative, xp = ErrorHistogram(), ErrorHistogram(), namespace_of(x)
        for part in cached_parts(x):
            error, size = xp.abs(y[part] - x[part]), xp.abs(x[part] + float(self._codec.base))
            nonzero = slice(None) if size.all() else size > 0
            absolute = absolute.merge(ErrorHistogram.of(error / self._unit))
            relative = relative.merge(ErrorHistogram.of(error[nonzero] / size[nonzero]))
        return absolute, relative

    def _count_agreeing(self, rows: Slice, mask: Any) -> int:
        """Number of rows in the mask whose most probable mode is the same after a round trip."""
        modes = self._encode_probable(rows)
        decoded_modes = self._encode_probable(Slice(self._decode(modes, rows.first_row).array, rows.first_row))
        assert modes.code is not None and decoded_modes.code is not None
        return int(namespace_of(modes.code).count_nonzero((modes.code == decoded_modes.code)[mask]))

    def _is_near(self, counts: NumberTripCounts, before: Pieces, ks: float) -> bool:
        """Return whether values that are no integers all come back within the resolution, and do not change places."""
        if self._is_whole:
            return False
        low, high = before.quantiles((0.25, 0.75))
        if counts.absolute.quantile(0.5) * self._unit > COARSE * (high - low):
            return False
        if hides_values(ks, counts.rows, heaviest(before, counts.rows)):
            return False
        return 0 < self._resolution and counts.absolute.maximum * self._unit <= self._resolution

    def _encoded_counts(self, coded: Coded, numbers: Floats) -> EncodedCounts:
        column: Any = self._column
        if not column.has_codes:
            return EncodedCounts.of_range(numbers, column.low, column.high)
        assert coded.scalar is not None and coded.code is not None
        return EncodedCounts.of_modes(coded.scalar, coded.code, column.rules.scalar_limit, column.width)

    def _count_under_threshold(self, numbers: Floats) -> int:
        """Ordinary rows whose most probable component is not active."""
        column = self._column
        if column.mixture is None or np.all(column.active):
            return 0
        table = column.mixture.posterior.kernel_table(column.mixture.frame)
        return int(np.sum(self._engine.count_most_probable(numbers, None, table)[~column.active]))

    def figures(self, counts: NumberTripCounts) -> NumberFigures:
        """Return the counts as figures."""
        column, ordinary = self._column, counts.rows - counts.missing
        difference = self._counter.difference(counts.before, counts.after)
        distances, description = difference.distances, difference.descriptions[0]
        sd = self._unit if _has_fitted_unit(column) else (description.sd if description else 0.0) or self._unit
        scale = self._unit / sd
        agreement = counts.agreeing / ordinary if ordinary else 1.0
        profile = profile_of(column, difference.pieces, counts.encoded, counts.absolute, scale)
        return NumberFigures(
            kind=column.kind,
            rows=counts.rows,
            missing=counts.missing,
            sd=sd,
            median_error=counts.absolute.quantile(0.5) * scale,
            p999_error=counts.absolute.quantile(0.999) * scale,
            maximum_error=counts.absolute.maximum * scale,
            median_relative_error=counts.relative.quantile(0.5),
            p999_relative_error=counts.relative.quantile(0.999),
            maximum_relative_error=counts.relative.maximum,
            clipped_share=counts.encoded.clipped / ordinary if ordinary else 0.0,
            mode_agreement=agreement if column.has_codes else None,
            invalid_rows=counts.invalid,
            off_step_rows=counts.off_step,
            unequal_rows=counts.unequal,
            comes_back=counts.unequal == 0 or self._is_near(counts, difference.pieces[0], distances.ks),
            under_threshold_rows=counts.under_threshold,
            ks=distances.ks,
            ks_resolution=distances.ks_resolution,
            wasserstein=distances.wasserstein / sd,
            wasserstein_resolution=distances.wasserstein_resolution / sd,
            before=difference.descriptions[0],
            after=difference.descriptions[1],
            modal=difference.modal,
            profile=replace(profile, different=self._different),
        )


def _different_share(numbers: Floats) -> float:
    """Number of different numbers, as a share of those present."""
    present = numbers[np.isfinite(numbers)]
    return len(np.unique(present)) / max(len(present), 1)


def _has_fitted_unit(column: MixtureColumn | GeneralColumn) -> bool:
    """Return whether the fitted mixture gives the standard deviation of the column's values."""
    return column.mixture is not None and not column.codec.formula


def _unit_before(column: MixtureColumn | GeneralColumn, codec: Codec) -> float:
    """Unit of errors while rows are read: the deviation of the fitted mixture, elsewhere the training range."""
    if _has_fitted_unit(column):
        means, weights = column.means - column.codec.base, column.weights
        offsets = np.abs(means - np.sum(weights * means))
        size = max(float(np.max(offsets)), float(np.max(column.stds)), SMALLEST)  # squares of huge columns overflow
        return max(
            size * float(np.sqrt(np.sum(weights * ((column.stds / size) ** 2 + (offsets / size) ** 2)))), SMALLEST
        )
    if column.minimum is None or column.maximum is None:
        return 1.0
    return (codec.number(column.maximum) - codec.number(column.minimum)) or 1.0


@dataclass(frozen=True, slots=True)
class CategoryTripCounts(Counts):
    """Rows of each category before and after, as `CategoryCodes` counts them, and rows that keep theirs."""

    before: Ints
    after: Ints
    agreeing: int


class CategoryTrial(ColumnTrial):
    """The round trip of a categorical column."""

    _column: CategoricalColumn

    def __init__(self, engine: Engine, column: CategoricalColumn, options: EncodingOptions, sample: pa.Table) -> None:
        super().__init__(engine, column, options, sample)
        self._codes = CategoryCodes(column)

    def count(self, values: Column, first_row: int) -> tuple[CategoryTripCounts, None]:
        """Counts of consecutive rows; all of them are valid."""
        before, after = (self._codes.find(rows) for rows in (values, self.decoded(values, first_row)))
        agreeing = int((before == namespace_of(before).asarray(after)).sum())  # intervals are decoded on the host
        return CategoryTripCounts(self._codes.count(before), self._codes.count(after), agreeing), None

    def figures(self, counts: CategoryTripCounts) -> CategoryFigures:
        """Return the counts as figures."""
        column, rows = self._column, int(np.sum(counts.before))
        category_count = len(column.categories)
        before, after = (
            dict(zip(column.categories, codes.tolist(), strict=False)) for codes in (counts.before, counts.after)
        )
        levels, *unlisted = most_frequent(column, before, after, before)
        infrequent = column.categories[category_count - len(column.infrequent) :]
        return CategoryFigures(
            rows=rows,
            missing=int(counts.before[-1]) + before.get(MISSING, 0),
            level_agreement=counts.agreeing / rows if rows else 1.0,
            total_variation=total_variation(counts.before, counts.after),
            unknown_rows=int(counts.before[category_count]),
            infrequent_rows=sum(before[category] for category in infrequent),
            level_count=category_count,
            distinct=sum(count > 0 for category, count in before.items() if category is not MISSING),
            levels=levels,
            other_rows_before=unlisted[0],
            other_rows_after=unlisted[1],
        )


@dataclass(frozen=True, slots=True)
class PassedCounts(Counts):
    """Rows of a column, and those without a value."""

    rows: int
    missing: int


class PassedTrial(ColumnTrial):
    """A column that is handed through; there is nothing to lose."""

    _column: PassthroughColumn

    def count(self, values: Column, first_row: int) -> tuple[PassedCounts, None]:
        """Rows."""
        return PassedCounts(len(values), self._column.count_missing(values)), None

    def figures(self, counts: PassedCounts) -> PassedFigures:
        """Return the counts as figures."""
        return PassedFigures(self._column.kind, counts.rows, counts.missing)


#: (engine, column, how to encode, a sample of the columns of numbers) -> the trial of a column of each kind.
TRIALS: dict[str, Callable[[Engine, Any, EncodingOptions, pa.Table], ColumnTrial]] = {
    "numbers": NumberTrial,
    "categories": CategoryTrial,
    "passed": PassedTrial,
}


def evaluate_table(model: TableModel, run: Run) -> Report:
    """Figures of a table in one scan over its rows; a sample before it decides how finely distances are measured.

    Parameters
    ----------
    model : TableModel
        The fitted model; its seed draws the modes.
    run : Run
        The rows, and where and how they are counted.

    Raises
    ------
    InputError
        For rows that the model cannot encode, or when there are none.
    """
    numbers = [column.name for column in model.numeric]
    # a source that can be read only once must give all columns with its sample
    names = numbers if numbers and run.source.repeatable else model.names
    sample = Sampled.of(run, names, model.seed)
    rows = _grid_rows(model, sample.rows)
    options = EncodingOptions(model.seed, place=run.source.place)
    engine = get_engine(run.here.engine)

    def trial(column: FittedColumn) -> ColumnTrial:
        return TRIALS[column.family](engine, column, options, rows)

    trials = _results_or_raise(map_columns(run.executor.threads, trial, model.by_name))
    counts = count_table(run, trials, "evaluate", sample.blocks)
    pairs = {name: (trial, counts.columns[name]) for name, trial in trials.items()}
    return Report(
        rows=counts.rows,
        invalid_rows=counts.invalid,
        columns=_results_or_raise(map_columns(run.executor.threads, lambda pair: pair[0].figures(pair[1]), pairs)),
        widths=model.widths,
        first=counts.first,
        pairs=_sample_correlations(model, trials, rows),
    )


def _results_or_raise(results: Results[Any]) -> dict[str, Any]:
    """Results of all columns; raise the first problem if one failed."""
    for problem in results.failed.values():
        raise problem
    return results.good


def _grid_rows(model: TableModel, sample: pa.Table) -> pa.Table:
    """At most `GRID_ROWS` rows of a sample, of the columns of numbers."""
    if sample.num_rows <= GRID_ROWS:
        return sample
    places = even_steps(sample.num_rows, GRID_ROWS)
    rows: pa.Table = taken(sample.select([column.name for column in model.numeric]), places)
    return rows


def _sample_correlations(
    model: TableModel, trials: Mapping[str, ColumnTrial], sample: pa.Table
) -> tuple[PairTrend, ...]:
    """Correlations of the first columns of numbers in a sample, before and after."""
    before, after = {}, {}
    for column in model.numeric[:FIRST_COLUMNS]:
        values = sample.column(column.name).combine_chunks()
        before[column.name], after[column.name] = (
            column.codec.plain.encode(rows) for rows in (values, trials[column.name].decoded(values, 0))
        )
    return pair_trends(before, after)

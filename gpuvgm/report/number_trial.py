"""The round trip of a column of numbers: what is counted of its rows, and the figures that come of it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gpuvgm.arrays import on_host
from gpuvgm.columns.base import MISSING, Coded, EncodingOptions, Slice
from gpuvgm.columns.codecs import Codec, CurvedCodec
from gpuvgm.columns.codecs.arrays import cached_parts
from gpuvgm.columns.codecs.texts import OfText
from gpuvgm.columns.continuous import MixtureColumn, within_bounds
from gpuvgm.columns.general import GeneralColumn
from gpuvgm.columns.text import length_text, modal_text, number_beside, tick_of, value_text, without_fractions
from gpuvgm.engines import Engine
from gpuvgm.io.arrow import type_of
from gpuvgm.report.distributions import Distances, Pieces, distances, grid_around
from gpuvgm.report.encoded import EncodedCounts
from gpuvgm.report.figures import SHARES, Description, NumberFigures, ValueCount
from gpuvgm.report.histogram import ErrorHistogram
from gpuvgm.report.profiles import Evaluated, heaviest, hides_values, plain_of, profile_of
from gpuvgm.summary.grid import Floats, Grid
from gpuvgm.summary.summary import Summary

_MINUTE = 60.0
COARSE = 1e-3  # of the quartile range: a median error that is no rounding
ROUNDING = 1e-6  # of errors, which are counted in another unit
SMALLEST = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True, slots=True)
class NumberStatistics:
    """What is counted of a column of numbers; merging is commutative to the last bit.

    Parameters
    ----------
    before, after : Summary
        The values before and after the round trip.
    absolute, relative : ErrorHistogram
        Errors, in the trial's unit and relative to the values.
    modal_before, modal_after : ndarray of int64
        Rows of each modal value.
    encoded : EncodedCounts
        Scalars and cells, and where scalars were cut.
    rows, missing, unequal, agreeing, invalid, off_step, under_threshold : int
        Rows, as in `NumberFigures`.
    """

    before: Summary
    after: Summary
    absolute: ErrorHistogram
    relative: ErrorHistogram
    modal_before: NDArray[np.int64]
    modal_after: NDArray[np.int64]
    encoded: EncodedCounts
    rows: int = 0
    missing: int = 0
    unequal: int = 0
    agreeing: int = 0
    invalid: int = 0
    off_step: int = 0
    under_threshold: int = 0

    def merge(self, other: NumberStatistics) -> NumberStatistics:
        """Statistics of both sets of rows."""
        merged = {}
        for part in fields(self):
            one, more = getattr(self, part.name), getattr(other, part.name)
            merged[part.name] = one.merge(more) if hasattr(one, "merge") else one + more
        return NumberStatistics(**merged)


@dataclass(frozen=True, slots=True)
class _Trip:
    """Rows on their way: encoded, decoded, and whether they keep their mode."""

    coded: Coded
    after: pa.Array[Any]
    agreeing: NDArray[np.bool_] | None


class NumberTrial:
    """The round trip of a continuous, mixed or general column.

    Parameters
    ----------
    engine : Engine
        Compute engine.
    column : MixtureColumn or GeneralColumn
        The fitted column.
    options : EncodingOptions
        How to encode; the most probable modes are looked at beside those drawn.
    sample : pyarrow.Table
        Some rows of the columns of numbers: distances and quantiles are finest where these lie.
    """

    def __init__(
        self,
        engine: Engine,
        column: MixtureColumn | GeneralColumn,
        options: EncodingOptions,
        sample: pa.Table,
    ) -> None:
        self._engine, self._column = engine, column
        self._plain: Codec = plain_of(column)
        self._modal = [value for value in column.modal_values if value is not MISSING]
        self._encode, self._decode = column.encoder(engine, options), column.decoder(engine, check=False)
        probable = EncodingOptions(options.seed, most_probable=True, first_row=options.first_row, place=options.place)
        self._encode_probable = column.encoder(engine, probable)
        self._unit = _unit_before(column, self._plain)
        self._resolution = column.resolution * (1 + ROUNDING)
        numbers = numbers_of(self._plain, sample.column(column.name))
        self._grid = grid_of(column, numbers)
        self._different = _different(numbers) if pa.types.is_integer(type_of(column.type)) else 0.0

    def statistics(self, values: pa.Array[Any], first_row: int) -> tuple[NumberStatistics, NDArray[np.bool_] | None]:
        """Statistics of consecutive rows, and which of them lie in the training range as they came in (None: all)."""
        column, trip = self._column, self._trip(Slice(values, first_row))
        x, y = self._plain.encode(values), self._plain.encode(trip.after)
        rows, ordinary = len(x), np.isfinite(x)
        held = slice(None) if np.all(ordinary) else ordinary
        absolute, relative = self._errors(x[held], y[held])
        valid = self._valid(trip.coded, values, x)
        statistics = NumberStatistics(
            before=self._engine.summarise(x, self._grid),
            after=self._engine.summarise(y, self._grid),
            absolute=absolute,
            relative=relative,
            modal_before=modal_rows(column, values, x),
            modal_after=modal_rows(column, trip.after, y),
            encoded=self._encoded(trip.coded, values, x),
            rows=rows,
            missing=rows - int(np.count_nonzero(ordinary)),
            unequal=_unequal(values, trip.after),
            agreeing=0 if trip.agreeing is None else int(np.count_nonzero(trip.agreeing[held])),
            invalid=0 if valid is None else rows - int(np.count_nonzero(valid)),
            off_step=self._off_step(values, x),
            under_threshold=self._under_threshold(trip.coded, values, x),
        )
        return statistics, valid

    def _errors(self, x: Floats, y: Floats) -> tuple[ErrorHistogram, ErrorHistogram]:
        """Histograms of the errors, in the trial's unit and relative to the values; by parts that a cache holds."""
        absolute, relative = ErrorHistogram(), ErrorHistogram()
        for part in cached_parts(x):
            error, size = np.abs(y[part] - x[part]), np.abs(x[part] + self._plain.base)
            some = slice(None) if np.all(size) else size > 0
            absolute = absolute.merge(ErrorHistogram.of(error / self._unit))
            relative = relative.merge(ErrorHistogram.of(error[some] / size[some]))
        return absolute, relative

    def decoded(self, values: pa.Array[Any], first_row: int) -> pa.Array[Any]:
        """What comes back of consecutive rows."""
        return on_host(self._decode(self._encode(Slice(values, first_row)), first_row).array)

    def _trip(self, part: Slice) -> _Trip:
        coded = self._encode(part)
        values = on_host(self._decode(coded, part.first_row).array)
        if coded.cell is None:
            return _Trip(coded, values, None)
        once = self._encode_probable(part)
        again = self._encode_probable(Slice(self._decode(once, part.first_row).array, part.first_row))
        assert once.cell is not None and again.cell is not None
        return _Trip(coded, values, once.cell == again.cell)

    def _fitted_numbers(self, values: pa.Array[Any], x: Floats) -> Floats:
        """Numbers as they were fitted: logarithms for log columns."""
        return x if self._plain is self._column.codec else self._column.codec.encode(values)

    def _valid(self, coded: Coded, values: pa.Array[Any], x: Floats) -> NDArray[np.bool_] | None:
        """Rows that lie in the training range before anything is clipped; those of general columns all count so."""
        column: Any = self._column
        return None if coded.cell is None else within_bounds(column, self._fitted_numbers(values, x), coded.cell)

    def _is_near(self, statistics: NumberStatistics, before: Pieces, ks: float) -> bool:
        """Whether all values come back to within the resolution, and that of most does not hide where they lie."""
        low, high = before.quantiles((0.25, 0.75))
        if statistics.absolute.quantile(0.5) * self._unit > COARSE * (high - low):
            return False
        if hides_values(ks, statistics.rows, heaviest(before, statistics.rows)):
            return False
        return 0 < self._resolution and statistics.absolute.maximum * self._unit <= self._resolution

    def _off_step(self, values: pa.Array[Any], x: Floats) -> int:
        """Rows that are off the step, modal values left out."""
        off = self._plain.off_step(values, x)
        if off is None or not off.any():
            return 0
        for value in self._modal:
            off &= ~self._plain.equals(values, value)
        return int(np.count_nonzero(off & np.isfinite(x)))

    def _encoded(self, coded: Coded, values: pa.Array[Any], x: Floats) -> EncodedCounts:
        column: Any = self._column
        if not column.has_cells:
            return EncodedCounts.of_range(self._fitted_numbers(values, x), column.low, column.high)
        assert coded.scalar is not None and coded.cell is not None
        return EncodedCounts.of_modes(coded.scalar, coded.cell, column.rules.scalar_limit, column.width)

    def _under_threshold(self, coded: Coded, values: pa.Array[Any], x: Floats) -> int:
        """Ordinary rows whose most probable component is not active."""
        column = self._column
        if column.mixture is None or np.all(column.active):
            return 0
        numbers = self._fitted_numbers(values, x)
        if self._modal:
            assert coded.cell is not None
            cells = column.cell_positions()[: len(column.modal_values)]
            numbers = np.where(np.isin(coded.cell, cells), np.nan, numbers)
        table = column.mixture.posterior.kernel_table(column.mixture.frame)
        return int(np.sum(self._engine.count_most_probable(numbers, None, table)[~column.active]))

    def figures(self, statistics: NumberStatistics) -> NumberFigures:
        """The counts as figures."""
        column, ordinary = self._column, statistics.rows - statistics.missing
        whole = self._plain.name != "float"
        before, after = (Pieces.of(summary, whole=whole) for summary in (statistics.before, statistics.after))
        means = [description(self._plain, pieces) if pieces.rows else None for pieces in (before, after)]
        apart = distances(before, after) if before.rows and after.rows else Distances(0.0, 0.0, 0.0, 0.0)
        sd = self._unit if _has_fitted_unit(column) else (means[0].sd if means[0] else 0.0) or self._unit
        scale = self._unit / sd
        agreement = statistics.agreeing / ordinary if ordinary else 1.0
        return NumberFigures(
            kind=column.kind,
            rows=statistics.rows,
            missing=statistics.missing,
            sd=sd,
            median_error=statistics.absolute.quantile(0.5) * scale,
            p999_error=statistics.absolute.quantile(0.999) * scale,
            maximum_error=statistics.absolute.maximum * scale,
            median_relative_error=statistics.relative.quantile(0.5),
            p999_relative_error=statistics.relative.quantile(0.999),
            maximum_relative_error=statistics.relative.maximum,
            clipped_share=statistics.encoded.clipped / ordinary if ordinary else 0.0,
            mode_agreement=agreement if column.has_cells else None,
            invalid_rows=statistics.invalid,
            off_step_rows=statistics.off_step,
            unequal_rows=statistics.unequal,
            comes_back=statistics.unequal == 0 or self._is_near(statistics, before, apart.ks),
            under_threshold_rows=statistics.under_threshold,
            ks=apart.ks,
            ks_resolution=apart.ks_resolution,
            wasserstein=apart.wasserstein / sd,
            wasserstein_resolution=apart.wasserstein_resolution / sd,
            before=means[0],
            after=means[1],
            modal=modal_counts(column, statistics.modal_before, statistics.modal_after),
            profile=profile_of(
                column,
                Evaluated(before, after, statistics.encoded, statistics.absolute, scale, self._different),
            ),
        )


def _different(numbers: Floats) -> float:
    """Share of the numbers that are there which are different from all before them."""
    held = numbers[np.isfinite(numbers)]
    return len(np.unique(held)) / max(len(held), 1)


def _unequal(before: pa.Array[Any], after: pa.Array[Any]) -> int:
    """Rows with a value before and after that is not the same."""
    if pa.types.is_null(before.type):
        return 0
    after = after.cast(before.type)
    if pa.types.is_float16(before.type):  # which Arrow does not compare
        before, after = before.cast(pa.float32()), after.cast(pa.float32())
    return int(pc.not_equal(before, after).true_count)


def _has_fitted_unit(column: MixtureColumn | GeneralColumn) -> bool:
    """Whether the fitted column knows the standard deviation of its values."""
    return column.mixture is not None and not isinstance(column.codec, CurvedCodec)


def _unit_before(column: MixtureColumn | GeneralColumn, plain: Codec) -> float:
    """Unit of errors while rows are read: the deviation of the fitted mixture, elsewhere the training range."""
    if _has_fitted_unit(column):
        means, weights = column.means - column.codec.base, column.weights
        apart = np.abs(means - np.sum(weights * means))
        size = max(float(np.max(apart)), float(np.max(column.stds)), SMALLEST)  # squares of huge columns overflow
        return max(size * float(np.sqrt(np.sum(weights * ((column.stds / size) ** 2 + (apart / size) ** 2)))), SMALLEST)
    if column.minimum is None or column.maximum is None:
        return 1.0
    return (plain.number(column.maximum) - plain.number(column.minimum)) or 1.0


def numbers_of(codec: Codec, sample: pa.ChunkedArray[Any]) -> Floats:
    """Numbers of some rows of a column; NaN for text that cannot be read, of which a scan says where it is."""
    chunks = (codec.split(chunk)[0] if isinstance(codec, OfText) else chunk for chunk in sample.chunks)
    return np.concatenate([np.empty(0), *map(codec.encode, chunks)])


def grid_of(column: MixtureColumn | GeneralColumn, numbers: Floats) -> Grid:
    """Grid to compare values of a column on, finest where some of its numbers lie."""
    plain = plain_of(column)
    modal = [plain.number(value) for value in column.modal_values if value is not MISSING]
    return grid_around(numbers, np.array(modal, np.float64))


def modal_rows(column: MixtureColumn | GeneralColumn, values: pa.Array[Any], numbers: Floats) -> NDArray[np.int64]:
    """Rows of each modal value, "missing" among them where the column has a cell for it."""
    plain = plain_of(column)
    return np.array(
        [
            np.count_nonzero(np.isnan(numbers) if value is MISSING else plain.equals(values, value))
            for value in column.modal_values
        ],
        np.int64,
    )


def modal_counts(
    column: MixtureColumn | GeneralColumn, before: NDArray[np.int64], after: NDArray[np.int64]
) -> tuple[ValueCount, ...]:
    """Modal values with their rows, as `modal_rows` counts them."""
    plain = plain_of(column)
    return tuple(
        ValueCount(value, modal_text(plain, value), int(one), int(other))
        for value, one, other in zip(column.modal_values, before, after, strict=True)
    )


def description(plain: Codec, pieces: Pieces) -> Description:
    """Moments and quantiles of at least one row in the column's own unit."""
    moments = pieces.moments()
    values = tuple(plain.value(number) for number in pieces.quantiles(SHARES))
    mean_text = value_text(plain, plain.value(moments.mean))
    if plain.name == "integer":  # the mean of whole numbers is none
        mean_text = number_beside(plain.base + moments.mean, moments.sd)
    texts = [mean_text, *(value_text(plain, value) for value in values)]
    if moments.sd * tick_of(plain.type) > _MINUTE:
        texts = [without_fractions(text) for text in texts]
    texts.insert(1, length_text(plain.type, moments.sd))
    return Description(plain.base + moments.mean, moments.sd, moments.skewness, moments.kurtosis, values, tuple(texts))

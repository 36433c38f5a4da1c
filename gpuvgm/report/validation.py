"""Validating a table: whether it could be one that the model was fitted to, judged without the training rows.

Counts alone are taken of the rows, so that the figures do not depend on blocks, threads or order. Everything is judged
as it comes in: nothing is encoded, clipped or rounded before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from textwrap import fill
from typing import Any

import numpy as np
import pyarrow as pa

from gpuvgm.arrays import Column, namespace_of, widened
from gpuvgm.columns import MISSING, TableModel
from gpuvgm.engines import Engine, get_engine
from gpuvgm.errors import counted
from gpuvgm.execution import Run
from gpuvgm.io import is_text_type, plain_type
from gpuvgm.report.counting import Counter, Counts, count_table, refuse_types, rows_of_places
from gpuvgm.report.differences import CategoryCodes, total_variation
from gpuvgm.report.measures import COUNT, Measure, ReportPart, Unit, check_limits
from gpuvgm.report.text import WIDTH, figures_tables
from gpuvgm.summary import Cells, Floats, Frame, Grid, Ints, Summary

KS_BY_CHANCE = 1.63
_SHARE_ROUNDING = 1e-12
LEAST_EXPECTED = 10  # rows in a tail, below which its share says nothing

_DISTANCE = Unit("{:.2g}".format, "{:.2g}".format)
_MEASURES = (
    Measure(
        "invalid_rows", "invalid", COUNT,
        limit="max_invalid_share", bound=0.001, words="share of values outside the training range is", table=1,
    ),
    Measure(
        "off_step_rows", "off step", COUNT,
        limit="max_off_step_share", bound=0.001, words="share of values that are no multiples of {step} is", table=1,
    ),
    Measure(
        "unknown_rows", "unknown", COUNT,
        limit="max_unknown_share", bound=0.0, words="share of values that are no category is", table=1,
    ),
    Measure(
        "shares", "shares", _DISTANCE,
        limit="max_shares", bound=0.1, words="shares of categories, modal and missing values differ by", table=1,
    ),
    Measure(
        "ks", "KS", _DISTANCE,
        limit="max_ks", bound=0.1, words="Kolmogorov-Smirnov distance to the training rows is", table=1,
    ),
    Measure(
        "mean_shift", "mean", _DISTANCE,
        limit="max_mean_shift", bound=0.25, words="mean is off, in sd of the training rows, by", table=2,
    ),
    Measure(
        "sd_shift", "sd", _DISTANCE,
        limit="max_sd_shift", bound=0.25, words="sd is off, in sd of the training rows, by", table=2,
    ),
    Measure(
        "skewness_shift", "skewness", _DISTANCE,
        limit="max_skewness_shift", bound=0.5, words="skewness is off, as a share of 1 + the larger one, by", table=2,
    ),
    Measure(
        "quantile_shift", "quantiles", _DISTANCE,
        limit="max_quantile_shift", bound=0.25, words="some quantile is off, in sd of the training rows, by", table=2,
    ),
    Measure(
        "tail_ratio", "tails", _DISTANCE,
        limit="max_tail_ratio", bound=10.0, words="outermost rows are more, or fewer, by a factor of", table=2,
    ),
)  # fmt: skip
#: What is wrong with a table that breaks them; see `Validation.broken`.
LIMITS: Mapping[str, float | None] = {measure.limit: measure.bound for measure in _MEASURES}


def by_chance(rows: float, trained_rows: float) -> float:
    """Standard error of the difference of two means, in standard deviations."""
    return float(np.sqrt(1 / max(rows, 1) + 1 / max(trained_rows, 1)))


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnValidation(ReportPart):
    """Agreement of a column with the training rows; None where a figure has no meaning.

    Parameters
    ----------
    kind : str
        The column's kind.
    rows : int
        All rows.
    invalid_rows : int
        Values outside the training range, text in another form, values that are missing where none was, and infinite
        ones.
    off_step_rows : int or None
        Values that are no multiples of the step of all training values.
    unknown_rows : int or None
        Values that are no category.
    shares : float
        Half the sum of the differences between the shares of categories, or of modal, missing and other values.
    ks : float or None
        Kolmogorov-Smirnov distance to the ordinary training values, at some thirty of their quantiles.
    mean_shift : float or None
        Distance of the mean from theirs, in their standard deviations, on the scale that was fitted.
    sd_shift : float or None
        Distance of the standard deviation from theirs, in it.
    skewness_shift : float or None
        Distance of the skewness from theirs, divided by 1 + the larger one without its sign: of long tails it varies.
    quantile_shift : float or None
        Largest distance of a quantile from theirs, in their standard deviations, those of the outermost 1 % left out.
        What chance may move it does not count; see `allowances`.
    sd_error, skewness_error : float
        Standard errors of `sd_shift` and `skewness_shift` for a single row, the larger ones of both tables: those of n
        rows are smaller by the root of n.
    tail_ratio : float or None
        Largest factor between the shares of rows in the outermost 0.1 % and 1 % of theirs, on either side, and these.
    trained_rows : int
        Training rows.
    ordinary_rows : tuple of (int, int)
        Ordinary rows of the table and of the training rows, which all figures from `ks` to `tail_ratio` are of.
    groups : int
        Categories, or modal values with missing ones and all others.
    step : str
        Step that all training values are multiples of.
    """

    kind: str
    rows: int
    invalid_rows: int
    off_step_rows: int | None = None
    unknown_rows: int | None = None
    shares: float
    ks: float | None = None
    mean_shift: float | None = None
    sd_shift: float | None = None
    skewness_shift: float | None = None
    quantile_shift: float | None = None
    sd_error: float = 0.0
    skewness_error: float = 0.0
    tail_ratio: float | None = None
    trained_rows: int
    ordinary_rows: tuple[int, int] = (0, 0)
    groups: int = 1
    step: str = ""

    @property
    def allowances(self) -> dict[str, float]:
        """Figures that chance may add between two samples of one table, by the name of their limit.

        A new value lies beyond n known ones with a probability of 2 / (n + 1); the Kolmogorov-Smirnov distance of two
        samples is above 1.63 sqrt(1/n + 1/m) once in a hundred tables (Smirnov 1948).
        """
        chance, of_ordinary = by_chance(self.rows, self.trained_rows), by_chance(*self.ordinary_rows)
        beyond = 2 / (self.trained_rows + 1)
        return {
            "max_invalid_share": beyond + 3 * float(np.sqrt(beyond / max(self.rows, 1))),
            "max_shares": 2 * float(np.sqrt(self.groups / (2 * np.pi))) * chance,
            "max_ks": KS_BY_CHANCE * of_ordinary,
            "max_mean_shift": 3 * of_ordinary,
            "max_sd_shift": 3 * self.sd_error * of_ordinary,
            "max_skewness_shift": 3 * self.skewness_error * of_ordinary,
        }


@dataclass(frozen=True, slots=True, repr=False)
class Validation(ReportPart):
    """Agreement of a table with the training rows of a model; `str` gives a verdict and a table.

    Parameters
    ----------
    rows : int
        Rows of the table.
    columns : dict of str to ColumnValidation
        The columns that are encoded, in the model's order.
    not_judged : tuple of str
        The model's other columns: identifiers, and those that are handed through.
    other_types : dict of str to (str, str)
        Of these, the type that a column has and the fitted one, where its values are of another sort.
    """

    rows: int
    columns: Mapping[str, ColumnValidation]
    not_judged: tuple[str, ...] = ()
    other_types: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, model: TableModel, run: Run) -> Validation:
        """Judge a table in one scan over its rows.

        Parameters
        ----------
        model : TableModel
            The fitted model.
        run : Run
            The rows, and where and how they are counted.

        Raises
        ------
        InputError
            For a table without rows, and for columns of other types than were fitted.
        """
        refuse_types(model, run.source)
        engine = get_engine(run.here.engine)
        checks: dict[str, _NumberCheck | _CategoryCheck] = {
            column.name: _CHECKS[column.family](engine, column) for column in model.encoded if column.family in _CHECKS
        }
        counts = count_table(run, checks, "validate")
        validations = {name: check.judge(counts.columns[name]) for name, check in checks.items()}
        not_judged = tuple(name for name in model.names if name not in validations)
        return cls(counts.rows, validations, not_judged, _other_types(model, not_judged, run.source.schema))

    def broken(self, limits: Mapping[str, float | None] | None = None) -> list[str]:
        """Return the limits that a column breaks, and columns of other types, as sentences; empty when all is well.

        Parameters
        ----------
        limits : mapping of str to float, optional
            Wins over `LIMITS`: the shares of values outside the training range, off the step and of no category
            ("max_invalid_share", "max_off_step_share": 0.001, "max_unknown_share": 0), "max_shares" and "max_ks" (0.1),
            "max_mean_shift", "max_sd_shift" and "max_quantile_shift" (0.25 sd), "max_skewness_shift" (0.5) and
            "max_tail_ratio" (10). None is no limit.

        Raises
        ------
        InputError
            For a limit of another name.
        """
        return [text for sentences in self._sentences_by_column(limits).values() for text in sentences]

    def _sentences_by_column(self, limits: Mapping[str, float | None] | None) -> dict[str, list[str]]:
        """Sentences on broken limits by column."""
        bounds = {**LIMITS, **(limits or {})}
        check_limits(bounds, _MEASURES)
        sentences_by_column: dict[str, list[str]] = {}
        for name, column in self.columns.items():
            allowances = column.allowances
            for measure in _MEASURES:
                bound, figure = bounds[measure.limit], measure.limited(column)
                if bound is not None and measure.is_broken(figure, bound + allowances.get(measure.limit, 0.0)):
                    words = measure.words.format(step=column.step)
                    sentence = f'column "{name}": {words} {figure:.3g}, but may be at most {bound:g}'
                    sentences_by_column.setdefault(name, []).append(sentence)
        for name, (type_, fitted) in self.other_types.items():
            sentences_by_column[name] = [f'column "{name}": holds {type_}, but {fitted} when it was fitted']
        return sentences_by_column

    def verdict(self, limits: Mapping[str, float | None] | None = None) -> str:
        """One line: how many columns agree with the model, and which do not."""
        wrong = self._sentences_by_column(limits)
        good = sum(name not in wrong for name in self.columns)
        line = f"{good} of {counted(len(self.columns), 'column')} {'agrees' if good == 1 else 'agree'} with the model"
        return f"{line}; look at {', '.join(wrong)}" if wrong else line

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as a dict that JSON can hold."""
        other_types = {name: {"type": now, "fitted": fitted} for name, (now, fitted) in self.other_types.items()}
        return ReportPart.to_dict(self) | {"other_types": other_types}

    def to_text(self, limits: Mapping[str, float | None] | None = None) -> str:
        """A verdict by these limits, and a table for people, 80 columns wide."""
        parts = [fill(self.verdict(limits), WIDTH), *map("\n".join, figures_tables(_MEASURES, self.columns))]
        if self.not_judged:
            parts.append(fill(f"not judged, identifiers or handed through: {', '.join(self.not_judged)}", WIDTH))
        return "\n\n".join(parts)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.verdict()}>"

    def __str__(self) -> str:
        return self.to_text()


@dataclass(frozen=True, slots=True)
class _ColumnCounts(Counts):
    """Counts of a column.

    Parameters
    ----------
    rows, invalid, off_step, unknown : int
        Rows, as in `ColumnValidation`.
    groups : ndarray of int64
        Rows of each category, or of each modal value, of those missing where that is none, and of all others.
    below : ndarray of int64, optional
        Ordinary rows below each quantile.
    summary : Summary, optional
        Summary of the ordinary rows.
    """

    rows: int
    invalid: int
    off_step: int
    unknown: int
    groups: Ints
    below: Ints | None = None
    summary: Summary | None = None


class _NumberCheck(Counter):
    """Counter of a column of numbers, and its judge."""

    def __init__(self, engine: Engine, column: Any) -> None:
        self._engine, self._column = engine, column
        self._marks = getattr(column, "quantiles", None)
        marks = np.array([] if self._marks is None else self._marks.numbers)
        self._grid = None if self._marks is None else Grid.around(np.append(marks, self._marks.mean))
        # An edge belongs to the interval below it, and a mark does not lie below itself.
        self._edges = np.nextafter(marks, -np.inf)

    def works_on_device(self, type_: pa.DataType) -> bool:
        """Those of text and wide decimals are counted on the host."""
        return bool(self._column.codec.works_on_device(type_))

    def count(self, values: Column, first_row: int) -> tuple[_ColumnCounts, None]:
        """Counts of consecutive rows, where these lie."""
        column, codec = self._column, self._column.codec
        values, unread = codec.plain.split(values)
        numbers, which = codec.ordinary_numbers(values, column.modal_values, self._engine)
        numbers, xp = widened(numbers), namespace_of(numbers)
        modal = xp.full(len(numbers), -1) if which is None else which
        unread = xp.zeros(len(numbers), np.bool_) if unread is None else unread
        ordinary, infinite = xp.isfinite(numbers), xp.isinf(numbers)
        missing = ~ordinary & ~infinite & ~unread & (modal < 0)
        modal_count = len(column.modal_values)
        of_missing = column.modal_values.index(MISSING) if MISSING in column.modal_values else modal_count
        group = xp.where(missing, of_missing, xp.where(modal < 0, modal_count + 1, modal))
        invalid = infinite | unread | ordinary & ~column.in_range(numbers)
        if of_missing == modal_count:
            invalid |= missing
        off = codec.off_step_rows(values, numbers)
        counts = _ColumnCounts(
            rows=len(numbers),
            invalid=int(xp.count_nonzero(invalid)),
            off_step=0 if off is None else int(xp.count_nonzero(off)),
            unknown=0,
            groups=rows_of_places(group, modal_count + 2),
            below=self._rows_below(xp.where(infinite, np.nan, numbers)),
            summary=None if self._grid is None else self._engine.summarise(numbers, self._grid),
        )
        return counts, None

    def _rows_below(self, numbers: Floats) -> Ints:
        """Number of ordinary rows below each quantile."""
        marks = len(self._edges)
        intervals: Any = self._engine.find_bins(numbers, self._edges, np.arange(marks + 2, dtype=np.uint16))
        return np.cumsum(rows_of_places(intervals, marks + 2)[:marks])

    def judge(self, counts: _ColumnCounts) -> ColumnValidation:
        """The counts beside the training rows."""
        column = self._column
        modal_rows = [*getattr(column, "modal_counts", ()), 0]
        training_rows = np.array([*modal_rows, max(column.fit.rows - sum(modal_rows), 0)])
        step = column.codec.step_text
        return ColumnValidation(
            kind=column.kind,
            rows=counts.rows,
            invalid_rows=counts.invalid,
            off_step_rows=counts.off_step if step else None,
            shares=total_variation(counts.groups, training_rows),
            **self._distances(counts),
            trained_rows=column.fit.rows,
            ordinary_rows=(0 if counts.summary is None else counts.summary.ordinary, self._trained_ordinary),
            groups=len(counts.groups),
            step=step,
        )

    @property
    def _trained_ordinary(self) -> int:
        """Training rows that are neither modal nor missing."""
        rows: int = self._column.fit.rows - sum(getattr(self._column, "modal_counts", ()))
        return max(rows, 0)

    def _distances(self, counts: _ColumnCounts) -> dict[str, Any]:
        """Figures of the ordinary rows; none without any, here or in the training rows."""
        marks = self._marks
        ordinary = 0 if counts.summary is None else counts.summary.ordinary
        if marks is None or counts.summary is None or counts.below is None or not ordinary:
            return {}
        cells, shares, frame = counts.summary.cells(), np.array(marks.shares), counts.summary.grid.frame
        (mean, variance), shape = cells.mean_and_variance(), cells.shape()
        sd = float(np.sqrt(variance)) / frame.scale if ordinary > 1 else 0.0

        skewness_unit = 1 + max(abs(shape.skewness), abs(marks.skewness))

        def in_sd(distance: float) -> float:
            return distance / marks.sd if marks.sd else (0.0 if distance == 0 else np.inf)

        shares_below = counts.below / max(ordinary, 1)
        ratios = [1.0]
        for share, below in zip(shares.tolist(), counts.below.tolist(), strict=True):
            for tail, rows in ((share, below), (1 - share, ordinary - below)):
                if tail <= 2 * marks.longest_tail and tail * ordinary >= LEAST_EXPECTED:
                    # One row more on both sides keeps the factor finite where a tail is empty.
                    ratios.append(max((rows + 1) / (tail * ordinary + 1), (tail * ordinary + 1) / (rows + 1)))
        return {
            "ks": float(np.max(np.abs(shares_below - shares), initial=0.0)),
            "mean_shift": in_sd(abs(float(frame.invert(np.array([mean]))[0]) - marks.mean)),
            # A single row has no spread.
            "sd_shift": in_sd(abs(sd - marks.sd)) if min(ordinary, self._trained_ordinary) > 1 else None,
            "skewness_shift": abs(shape.skewness - marks.skewness) / skewness_unit,
            "quantile_shift": in_sd(self._quantile_shift(marks, cells, frame)),
            "sd_error": max(in_sd(shape.sd_error * sd) if marks.sd else 0.0, marks.sd_error),
            "skewness_error": max(shape.skewness_error, marks.skewness_error) / skewness_unit,
            "tail_ratio": max(ratios),
        }

    def _quantile_shift(self, marks: Any, cells: Cells, frame: Frame) -> float:
        """Largest distance of a quantile of the rows from that of the training rows, the outermost left out.

        It is the distance from the nearest value that chance may make the quantile (as for `max_ks`), so that quantiles
        within a gap between values are not off.
        """
        pairs, tail = zip(marks.numbers, marks.shares, strict=True), marks.longest_tail
        inner = [(number, share) for number, share in pairs if tail < share < 1 - tail]
        if not inner:
            return 0.0
        numbers, shares = np.array(inner).T
        chance = KS_BY_CHANCE * by_chance(cells.rows, self._trained_ordinary)
        ends = np.cumsum(cells.weight) / cells.rows
        values, last = frame.invert(cells.mean), len(ends) - 1
        # A mark lies between two values: of the training rows themselves the one before it and the one after it.
        lower, upper = shares - chance - _SHARE_ROUNDING, shares + chance + _SHARE_ROUNDING
        low = np.where(lower > 0, values[np.minimum(np.searchsorted(ends, lower), last)], -np.inf)
        high = np.where(upper < 1, values[np.minimum(np.searchsorted(ends, upper, side="right"), last)], np.inf)
        return float(np.max(np.maximum(low - numbers, numbers - high), initial=0.0))


class _CategoryCheck(Counter):
    """Counter of a categorical column, and its judge."""

    def __init__(self, engine: Engine, column: Any) -> None:
        self._column, self._codes = column, CategoryCodes(column)

    def count(self, values: Column, first_row: int) -> tuple[_ColumnCounts, None]:
        """Counts of consecutive rows, where these lie."""
        *category_rows, unknown, missing = self._codes.count(self._codes.find(values)).tolist()
        return _ColumnCounts(
            len(values), missing, 0, unknown, np.array([*category_rows, unknown + missing], np.int64)
        ), None

    def judge(self, counts: _ColumnCounts) -> ColumnValidation:
        """The counts beside the training rows."""
        column = self._column
        return ColumnValidation(
            kind=column.kind,
            rows=counts.rows,
            invalid_rows=counts.invalid,
            unknown_rows=counts.unknown,
            shares=total_variation(counts.groups, np.array([*column.counts, 0])),
            trained_rows=column.fit.rows,
            groups=len(counts.groups),
        )


_CHECKS: Mapping[str, type[_NumberCheck | _CategoryCheck]] = {
    "numbers": _NumberCheck,
    "categories": _CategoryCheck,
}


def _other_types(model: TableModel, names: Sequence[str], schema: pa.Schema) -> dict[str, tuple[str, str]]:
    """Types of columns, and the fitted ones, of which the values are of other sorts; a column without any has none."""
    pairs = {name: (schema.field(name).type, model[name].row_type) for name in names if name in schema.names}
    return {
        name: (str(now), str(fitted))
        for name, (now, fitted) in pairs.items()
        # a registered kind may have no type of Arrow
        if isinstance(fitted, pa.DataType) and _sort_of(now) != _sort_of(fitted) and not pa.types.is_null(now)
    }


def _sort_of(type_: pa.DataType) -> str:
    """Sort of the values of a type: text, whole numbers and floats of any width are the same to users."""
    plain = type_ if isinstance(type_, pa.BaseExtensionType) else plain_type(type_)
    sorts: dict[str, Any] = {"text": is_text_type, "integers": pa.types.is_integer, "floats": pa.types.is_floating}
    return next((sort for sort, holds in sorts.items() if holds(plain)), str(plain))

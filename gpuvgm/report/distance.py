"""Distance of two fitted models of one table: of their densities, modal shares and categories."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np

from gpuvgm.codecs import Codec
from gpuvgm.columns import MISSING, CategoricalColumn, FittedColumn, GeneralColumn, MixtureColumn, TableModel
from gpuvgm.errors import InputError, counted
from gpuvgm.mixture import normal_cdf
from gpuvgm.report.differences import category_variation
from gpuvgm.report.measures import DISTANCE, SHARE, Measure, ReportPart, Unit
from gpuvgm.report.text import figures_table, notes_on
from gpuvgm.summary import Floats

POINTS = 513  # of the grid within each component of either model
REACH = 9.0  # standard deviations on either side of a mean: beyond lies less than 1e-18

_WHOLE = Unit(str, str)


@dataclass(frozen=True, slots=True)
class NumbersDistance(ReportPart):
    """Distance between two fits of a column of numbers.

    Parameters
    ----------
    modes, other_modes : int
        Active modes in both.
    ks : float
        Kolmogorov-Smirnov distance, the largest difference sup |F - G| of the distribution functions.
    wasserstein : float
        Wasserstein-1 distance, the area between the distribution functions, ∫ |F - G| dx (Vallender 1974), divided by
        the standard deviation of the other model's distribution.
    modal_share, other_modal_share : float
        Share of training rows with a modal value, missing ones among them.
    """

    modes: int
    other_modes: int
    ks: float
    wasserstein: float
    modal_share: float
    other_modal_share: float
    MEASURES: ClassVar[Sequence[Measure]] = (
        Measure("modes", "modes", _WHOLE, note="modes: of this model, and of the other"),
        Measure("other_modes", "other", _WHOLE),
        Measure(
            "ks", "KS", DISTANCE,
            note="KS, Wasserstein: Kolmogorov-Smirnov distance between the fitted distributions,\n"
            "    and their Wasserstein distance in units of the other's sd",
        ),
        Measure("wasserstein", "Wasserstein", DISTANCE),
        Measure(
            "modal_share", "modal", SHARE,
            note="modal: share of rows with a modal value, missing among them; in the other",
        ),
        Measure("other_modal_share", "other", SHARE),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class CategoriesDistance(ReportPart):
    """Distance between two fits of a categorical column.

    Parameters
    ----------
    levels, other_levels : int
        Categories in both.
    total_variation : float
        Half the sum of the absolute differences of the categories' shares of training rows: the largest difference of
        the probability of any set of categories (Levin, Peres & Wilmer 2017, proposition 4.2).
    """

    levels: int
    other_levels: int
    total_variation: float
    MEASURES: ClassVar[Sequence[Measure]] = (
        Measure("levels", "categories", _WHOLE),
        Measure("other_levels", "other", _WHOLE),
        Measure(
            "total_variation", "variation", DISTANCE,
            note="variation: total variation distance between the shares of the categories",
        ),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class RangeDistance(ReportPart):
    """Distance between two fits of a general column.

    Parameters
    ----------
    covered : float
        Share of the other model's range that lies within this one's.
    """

    covered: float
    MEASURES: ClassVar[Sequence[Measure]] = (
        Measure(
            "covered", "covered", SHARE,
            note="covered: share of the other model's range that lies within this one's",
        ),
    )  # fmt: skip


ColumnDistance = NumbersDistance | CategoriesDistance | RangeDistance


@dataclass(frozen=True, slots=True, repr=False)
class ModelDistance(ReportPart):
    """Distance of a model, such as that of a sample, from another one of the same columns; `str` gives tables.

    Parameters
    ----------
    rows, other_rows : int
        Training rows of both.
    columns : dict of str to NumbersDistance, CategoriesDistance or RangeDistance
        The columns that both models have, but for passthrough columns.
    """

    rows: int
    other_rows: int
    columns: Mapping[str, ColumnDistance]

    @classmethod
    def between(cls, model: TableModel, reference: TableModel) -> ModelDistance:
        """Distance of a model from another one of the same columns.

        Parameters
        ----------
        model : TableModel
            For example the fit of a sample.
        reference : TableModel
            For example the fit of all rows; distances are in units of its standard deviations.

        Raises
        ------
        InputError
            For a column that is of another kind, type or logarithm in the other model, and where no column is in both.
        """
        other_columns = {column.name: column for column in reference.encoded}
        pairs = {
            column.name: (column, other_columns[column.name])
            for column in model.encoded
            if column.name in other_columns and column.family in _DISTANCES
        }
        if not pairs:
            raise InputError("the two models have no column in common; compare fits of the same table")
        for column, other_fit in pairs.values():
            if not column.is_comparable(other_fit):
                raise _no_distance(column, other_fit)
        return cls(
            model.rows, reference.rows, {name: _DISTANCES[pair[0].family](*pair) for name, pair in pairs.items()}
        )

    def to_text(self) -> str:
        """Tables for people, 80 columns wide."""
        parts = [f"fitted on {self.rows:,} rows, the other on {self.other_rows:,}"]
        for kind in (NumbersDistance, CategoriesDistance, RangeDistance):
            columns = {name: distance for name, distance in self.columns.items() if isinstance(distance, kind)}
            if columns:
                parts.append("\n".join([*figures_table(kind.MEASURES, columns), *notes_on(kind.MEASURES)]))
        return "\n\n".join(parts)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {counted(len(self.columns), 'column')} of two fits>"

    def __str__(self) -> str:
        return self.to_text()


def _no_distance(column: FittedColumn, other: FittedColumn) -> InputError:
    """The error for two fits of a column whose numbers mean different things, with the first that they differ in."""
    descriptions = (_kind_text, _scale_text, _codec_text)
    pairs = ((description(column), description(other)) for description in descriptions)
    here, there = next((pair for pair in pairs if pair[0] != pair[1]), ("fitted", "fitted otherwise"))
    return InputError(
        f'column "{column.name}": is {here} here and {there} in the other model, so they cannot be compared: '
        "declare the same kind and options for both fits"
    )


def _kind_text(column: Any) -> str:
    return f"{column.kind} of type {column.type}"


def _scale_text(column: Any) -> str:
    """The scale that a column of numbers was fitted on, with the option that declares it."""
    options = ", ".join(f"{name}={value!r}" for name, value in column.codec.declared.items())
    return f"fitted on the scale {column.codec.formula} ({options})" if options else "fitted on the plain scale"


def _codec_text(column: Any) -> str:
    """What the numbers of a column are: logarithms of x, or of 1 + x - low, are of one scale."""
    codec = column.codec
    return f"fitted as {codec.scale.name if codec.formula else codec.name}"


def _categories_distance(first: CategoricalColumn, second: CategoricalColumn) -> CategoriesDistance:
    counts, other_counts = (dict(zip(column.categories, column.counts, strict=True)) for column in (first, second))
    return CategoriesDistance(len(counts), len(other_counts), category_variation(counts, other_counts))


def _range_distance(first: GeneralColumn, second: GeneralColumn) -> RangeDistance:
    place, _ = _coordinates(first.codec, second.codec)
    lowest, highest = (float(end) + first.codec.base for end in place(np.array([first.low, first.high])))
    low, high = second.low + second.codec.base, second.high + second.codec.base
    # A range of one value has no length to take a share of: it is covered or it is not.
    if not high > low:
        return RangeDistance(float(lowest <= low <= highest))
    overlap = min(highest, high) - max(lowest, low)
    return RangeDistance(max(0.0, overlap) / (high - low))


def _numbers_distance(first: Any, second: Any) -> NumbersDistance | RangeDistance:
    """Distance of distributions, or of ranges where no mixture was fitted."""
    return _range_distance(first, second) if first.mixture is None else _mixture_distance(first, second)


def _mixture_distance(first: MixtureColumn, second: MixtureColumn) -> NumbersDistance:
    (places, shares), (other_places, other_shares) = (_distribution(column, second.codec) for column in (first, second))
    points = np.unique(np.concatenate((places, other_places)))
    ks = area = deviation = 0.0
    if len(points):
        (after, before), (other_after, other_before) = shares(points), other_shares(points)
        gaps = np.abs(after - other_after), np.abs(before - other_before)
        ks = float(max(np.max(gaps[0]), np.max(gaps[1])))
        # between two points the gap goes from its value after the first to that before the second
        area = float(np.sum(np.diff(points) * (gaps[0][:-1] + gaps[1][1:]) / 2))
        deviation = _deviation(points, other_after, other_before)
    return NumbersDistance(
        modes=int(np.count_nonzero(first.active)),
        other_modes=int(np.count_nonzero(second.active)),
        ks=ks,
        wasserstein=_in_deviations(area, deviation),
        modal_share=sum(first.modal_counts) / max(first.fit.rows, 1),
        other_modal_share=sum(second.modal_counts) / max(second.fit.rows, 1),
    )


_DISTANCES: Mapping[str, Callable[[Any, Any], ColumnDistance]] = {
    "numbers": _numbers_distance,
    "categories": _categories_distance,
}


def _in_deviations(area: float, deviation: float) -> float:
    """An area in units of a deviation; any area is infinitely many where all rows are equal."""
    if deviation > 0:
        return area / deviation
    return np.inf if area > 0 else 0.0


def _deviation(points: Floats, after: Floats, before: Floats) -> float:
    """Standard deviation of a distribution, from the shares of rows at or below each point, and below it."""
    # Rows between two points count at the middle of the points.
    between, middle = np.diff(np.r_[0.0, after]) - (after - before), np.r_[points[0], (points[1:] + points[:-1]) / 2]
    places, shares = np.concatenate((points, middle)), np.concatenate((after - before, np.maximum(between, 0.0)))
    total = np.sum(shares)
    mean = np.sum(places * shares) / total
    return float(np.sqrt(np.sum(shares * (places - mean) ** 2) / total))


def _distribution(column: MixtureColumn, codec: Codec) -> tuple[Floats, Callable[[Floats], tuple[Floats, Floats]]]:
    """The fitted distribution of a column's rows that hold a number: all components by weight, and modal values.

    Returns
    -------
    points : ndarray
        Where its distribution function has to be looked at, in numbers of the codec.
    shares : callable
        Shares of rows at or below each of some points, and of those below it.
    """
    counts = zip(column.modal_values, column.modal_counts, strict=True)
    modal_rows = [
        (value, rows) for value, rows in counts if value is not MISSING and column.codec.plain.word_of(value) is None
    ]
    number_rows = column.fit.rows - sum(column.modal_counts) + sum(rows for _, rows in modal_rows)
    means = _means(column, codec)
    numbers = means, column.stds, column.weights
    place, to_own = _coordinates(column.codec, codec)
    points = np.sort(np.ravel(numbers[0] + numbers[1] * np.linspace(-REACH, REACH, POINTS)[:, None]))
    lowest = float(place(points[:1])[0]) if len(points) else None
    jumps: dict[float, float] = {}
    for value, count in modal_rows:
        number = codec.number(value)
        number = (
            number if np.isfinite(number) or lowest is None else lowest
        )  # zero has no logarithm: it lies at the lower end
        jumps[number] = jumps.get(number, 0.0) + count / max(number_rows, 1)
    ordinary = 1.0 - sum(jumps.values())
    places, parts = np.array(list(jumps)), np.array(list(jumps.values()))

    def shares(x: Floats) -> tuple[Floats, Floats]:
        lower, equal = (
            np.sum(np.where(mask, parts, 0.0), axis=1) for mask in (x[:, None] >= places, x[:, None] == places)
        )
        after = lower + ordinary * _mixture_function(to_own(x), *numbers)
        return after, after - equal

    return np.concatenate((place(points), places)), shares


def _means(column: MixtureColumn, codec: Codec) -> Floats:
    """Means of a column in numbers of another codec of its sort; the difference of the origins is exact."""
    if column.mixture is None:
        return np.empty(0)
    shift = float(column.codec.base - codec.base)
    return np.asarray(shift + column.mixture.frame.invert(column.mixture.posterior.means))


def _mixture_function(x: Floats, means: Floats, deviations: Floats, weights: Floats) -> Floats:
    """Distribution function of a Gaussian mixture, sum of w_k Φ((x - μ_k) / σ_k) (Bishop 2006, equation 2.188)."""
    if not len(means):
        return np.zeros(len(x))
    return np.asarray(normal_cdf((x[:, None] - means) / deviations) @ (weights / np.sum(weights)))


def _coordinates(codec: Codec, target: Codec) -> tuple[Callable[[Floats], Floats], Callable[[Floats], Floats]]:
    """Numbers of a codec as those of another one, and back; they differ for functions of other parameters only."""
    return partial(codec.converted, codec=target), partial(target.converted, codec=codec)

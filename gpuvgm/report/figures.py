"""Figures of fidelity of columns as frozen values, by what a column holds: numbers, categories, or anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, ClassVar

from gpuvgm.codecs import Number
from gpuvgm.columns import Category
from gpuvgm.errors import counted
from gpuvgm.report.measures import COUNT, DISTANCE, LENGTH, SHARE, SPARSE_SHARE, Measure, ReportPart
from gpuvgm.report.profiles import NumberProfile

SHARES = (0.0, 0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999, 1.0)
SHARE_NAMES = {share: f"{100 * share:g} %" for share in SHARES} | {0.0: "minimum", 0.5: "median", 1.0: "maximum"}

#: Measures of the columns of a round trip by name: of a class of figures those that are attributes of it.
MEASURES = {
    measure.name: measure
    for measure in (
        Measure("rows", "rows", COUNT, table=1),
        Measure("missing", "missing", COUNT, table=1),
        Measure("missing_share", "missing", SPARSE_SHARE, overview=True),
        Measure("part_count", "modes, categories", COUNT, overview=True),
        Measure(
            "median_error", "median error", LENGTH,
            "half of the rows come back closer than this",
            table=1, tile=2, overall=True,
            note="errors: of transform and inverse, in units of the column's standard deviation",
        ),
        Measure(
            "p999_error", "99.9 % error", LENGTH,
            "all rows but one in a thousand come back closer than this",
            limit="max_error", words="99.9th percentile of the round-trip error, in sd",
            table=1, tile=1, overview=True, overall=True,
        ),
        Measure("maximum_error", "largest", LENGTH, alone="largest error", table=1, overview=True, overall=True),
        Measure(
            "median_relative_error", "median relative", DISTANCE, alone="median relative error",
            table=2, overall=True,
            note="relative: the same as shares of the value; values of 0 are left out",
        ),
        Measure(
            "p999_relative_error", "99.9 % relative", DISTANCE, alone="99.9 % relative error",
            limit="max_relative_error", words="99.9th percentile of the relative error",
            table=2, overall=True,
        ),
        Measure(
            "maximum_relative_error", "largest relative", DISTANCE, alone="largest relative error",
            table=2, overall=True,
        ),
        Measure(
            "clipped_share", "clipped", SHARE,
            "rows whose scalar was cut at ±0.99",
            limit="max_clipped_share", words="share of clipped rows",
            table=3, tile=3, overview=True, overall=True,
            note="clipped: scalars cut at ±0.99; of general columns, rows outside their range",
        ),
        Measure(
            "mode_agreement", "same mode", SHARE,
            "rows that keep their most probable mode on the way",
            limit="min_mode_agreement", words="mode agreement",
            table=3, tile=4, overall=True,
            note="same mode: most probable mode kept through transform, inverse, transform",
        ),
        Measure("agreement", "same", SHARE, overview=True),
        Measure(
            "invalid_rows", "invalid", COUNT,
            "rows outside the fitted range, as they came in",
            limit="max_invalid_share", words="share of rows outside the training range",
            table=3, tile=7,
            note="invalid: rows outside the training range; off step: no multiples of the step",
        ),
        Measure("invalid_share", "invalid", SHARE, overall=True),
        Measure(
            "off_step_rows", "off step", COUNT,
            limit="max_off_step_share", words="share of rows that are off the step",
            table=3,
        ),
        Measure(
            "under_threshold_rows", "no mode", COUNT,
            table=3,
            note="no mode: rows whose most probable component is under the weight threshold",
        ),
        Measure(
            "ks", "KS", DISTANCE,
            "Kolmogorov-Smirnov distance of the values before and after",
            limit="max_ks", words="Kolmogorov-Smirnov distance",
            table=3, tile=5, overview=True, overall=True,
            note="KS: Kolmogorov-Smirnov distance between the values before and after; values\n"
            "    that repeat and come back a rounding apart count in full",
        ),
        Measure(
            "wasserstein", "Wasserstein", LENGTH,
            "Wasserstein distance of the values before and after",
            limit="max_wasserstein", words="Wasserstein distance, in sd",
            table=3, tile=6, overview=True, overall=True,
            note="Wasserstein: distance between the values before and after, in units of sd",
        ),
        Measure("level_count", "categories", COUNT, "known to the model", table=1, tile=1),
        Measure(
            "level_agreement", "same", SHARE,
            "rows whose category comes back", "same category",
            limit="min_level_agreement", words="category agreement",
            table=1, tile=2, overall=True,
            note="same: rows whose category comes back; unknown: values that are no category",
        ),
        Measure(
            "unknown_rows", "unknown", COUNT,
            "rows with a value that is no category",
            limit="max_unknown_share", words="share of rows that are no category",
            table=1, tile=3,
        ),
        Measure(
            "total_variation", "variation", DISTANCE,
            "half the sum of the differences between shares",
            table=1, tile=4, overall=True,
            note="variation: half the sum of the differences between the categories' shares",
        ),
    )
}  # fmt: skip
_OUTSIDE = Measure("clipped_share", "outside", SHARE, "rows outside the fitted range")  # of columns without modes


def measures_of(kind: type) -> list[Measure]:
    """Measures that a class of figures has."""
    return [measure for measure in MEASURES.values() if hasattr(kind, measure.name)]


def tiles_of(kind: type) -> list[Measure]:
    """Measures at the top of the part of the page of a column of a class, in their order."""
    return sorted((measure for measure in measures_of(kind) if measure.tile), key=lambda measure: measure.tile)


@dataclass(frozen=True, slots=True)
class Description(ReportPart):
    """Moments and quantiles of the values of a column, in its own unit.

    Parameters
    ----------
    mean, sd : float
        Mean and standard deviation; of datetimes and decimals in integers of their own unit.
    skewness, kurtosis : float or None
        Third and fourth standardised moment, the kurtosis less 3; None where all values are the same.
    quantiles : tuple of int or float
        Quantiles of `SHARES`; the first and the last are the minimum and the maximum, the others lie within a piece
        of the grid, about 2^-14 of the rows, of the exact ones.
    texts : tuple of str
        Mean, standard deviation and quantiles for people.
    """

    mean: float
    sd: float
    skewness: float | None
    kurtosis: float | None
    quantiles: tuple[Number, ...]
    texts: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return moments and quantiles, each with its text, as a dict that JSON can hold."""
        mean, sd, *quantiles = self.texts
        return {
            "mean": self.mean,
            "sd": self.sd,
            "skewness": self.skewness,
            "kurtosis": self.kurtosis,
            "quantiles": [
                {"share": share, "value": value, "text": text}
                for share, value, text in zip(SHARES, self.quantiles, quantiles, strict=True)
            ],
            "mean_text": mean,
            "sd_text": sd,
        }


class Reached(ReportPart):
    """Base of figures with a score from 0 to 1, and the score that is `reachable` despite chance."""

    __slots__ = ()
    score: float | None
    reachable: float

    @property
    def score_lost(self) -> float:
        """`reachable` less the score; 0 without a score."""
        return 0.0 if self.score is None else self.reachable - self.score

    @property
    def lost(self) -> float:
        """What is lost in all: `score_lost`, where there is no other figure."""
        return self.score_lost


@dataclass(frozen=True, slots=True)
class PartScore(Reached):
    """Similarity of a part of dates and times in two tables, such as their hours.

    Parameters
    ----------
    score : float or None
        1 less the total variation distance; 0 where one table has no value, None where both have none.
    reachable : float
        As for columns.
    """

    score: float | None
    reachable: float


@dataclass(frozen=True, slots=True)
class ValueCount(ReportPart):
    """Rows that hold one value or category before and after the round trip; `text` is the value for people."""

    value: Category
    text: str
    rows_before: int
    rows_after: int


@dataclass(frozen=True, slots=True)
class ColumnPart(ReportPart):
    """Figures that every column has.

    Parameters
    ----------
    kind : str
        The column's kind.
    rows, missing : int
        All rows, and those without a value.
    """

    kind: str
    rows: int
    missing: int

    @property
    def missing_share(self) -> float:
        """Share of rows without a value."""
        return self.missing / max(self.rows, 1)


@dataclass(frozen=True, slots=True)
class NumberFigures(ColumnPart):
    """Fidelity of a continuous, mixed or general column.

    Errors are those of transform with drawn modes and float32 scalars (float64 in general columns), then inverse.
    Shares are of the rows that have a value. Quantiles of errors are at most 6.25 % too high, maxima exact. All is in
    values, of log columns too, and takes in rows with modal values.

    Parameters
    ----------
    kind, rows, missing : object
        As for `ColumnPart`.
    sd : float
        The unit of errors and distances, in the column's unit: the standard deviation of the fitted mixture, which is
        that of the training column; for log and general columns that of the evaluated values.
    median_error, p999_error, maximum_error : float
        |x' - x| in units of `sd`.
    median_relative_error, p999_relative_error, maximum_relative_error : float
        |x' - x| / |x|, rows with x = 0 left out; datetimes count from the origin of their type.
    clipped_share : float
        Rows whose scalar was cut at ±0.99; of general columns, rows outside the training range.
    mode_agreement : float or None
        Rows that keep their most probable mode through transform, inverse and transform; 1 where no row has a value,
        None for general columns.
    invalid_rows : int
        Rows whose value lies outside the training range as it comes in, before anything is clipped.
    off_step_rows : int
        Rows whose value is no multiple of the step that all training values are multiples of; they come back on it.
    unequal_rows : int
        Rows whose value does not come back to the bit.
    comes_back : bool
        Whether every value comes back: to the bit, or, unless the type is of whole numbers, to within the column's
        `resolution`, which does not hide where most values lie.
    under_threshold_rows : int
        Rows whose most probable component did not become a mode (its weight is under the threshold).
    ks, ks_resolution : float
        Kolmogorov-Smirnov distance between the values before and after, and by how much the exact one may be larger:
        about 2^-14. Values that repeat and come back a rounding apart count in full.
    wasserstein, wasserstein_resolution : float
        Wasserstein-1 distance between the values before and after in units of `sd`, and by how much the exact one may
        differ.
    before, after : Description or None
        The values before and after; None where there are none.
    modal : tuple of ValueCount
        Rows of each modal value.
    profile : NumberProfile or None
        Distributions for the page of a report; no part of the document.
    """

    sd: float
    median_error: float
    p999_error: float
    maximum_error: float
    median_relative_error: float
    p999_relative_error: float
    maximum_relative_error: float
    clipped_share: float
    mode_agreement: float | None
    invalid_rows: int
    off_step_rows: int
    unequal_rows: int
    comes_back: bool
    under_threshold_rows: int
    ks: float
    ks_resolution: float
    wasserstein: float
    wasserstein_resolution: float
    before: Description | None
    after: Description | None
    modal: tuple[ValueCount, ...]
    profile: NumberProfile | None = field(default=None, repr=False)
    _DERIVED: ClassVar[tuple[str, ...]] = ("invalid_share", "off_step_share")

    @property
    def tiles(self) -> Sequence[Measure]:
        """Measures at the top of the column's part of the page; without modes, scalars lie outside a range."""
        tiles = tiles_of(NumberFigures)
        return tiles if self.has_modes else [_OUTSIDE if tile.name == _OUTSIDE.name else tile for tile in tiles]

    @property
    def score(self) -> float | None:
        """1 less the Kolmogorov-Smirnov distance; None where no row has a value."""
        return None if self.before is None else 1.0 - self.ks

    @property
    def has_modes(self) -> bool:
        """True if rows have modes; otherwise their scalars are places in a range."""
        return self.mode_agreement is not None

    @property
    def unchanged(self) -> bool:
        """True if every value lies in the training range and comes back to the bit."""
        return self.unequal_rows == self.invalid_rows == 0

    @property
    def invalid_share(self) -> float:
        """Share of all rows whose value lies outside the training range."""
        return self.invalid_rows / self.rows if self.rows else 0.0

    @property
    def off_step_share(self) -> float:
        """Share of all rows whose value is off the step."""
        return self.off_step_rows / self.rows if self.rows else 0.0

    @property
    def agreement(self) -> float | None:
        """`mode_agreement`."""
        return self.mode_agreement

    @property
    def part_count(self) -> int | None:
        """Number of modes; None without any."""
        return len(self.profile.modes) or None if self.profile else None

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as a dict that JSON can hold, shares worked out."""
        return ReportPart.to_dict(self) | {"modal": _with_shares(self.modal, self.rows)}


@dataclass(frozen=True, slots=True)
class CategoryFigures(ColumnPart):
    """Fidelity of a categorical column.

    Parameters
    ----------
    rows, missing : int
        As for `ColumnPart`.
    level_agreement : float
        Rows whose category comes back, missing ones included; 1 where there are no rows.
    total_variation : float
        Half the sum of the differences between the categories' shares before and after, 0 to 1.
    unknown_rows : int
        Rows with a value that is no category of the model; they come back missing.
    infrequent_rows : int
        Rows whose category shares its one-hot column with others (`max_categories`); they come back missing.
    level_count, distinct : int
        Categories of the model, a missing value among them where it is one; and how many occur, a missing value not
        counted.
    levels : tuple of ValueCount
        The most frequent categories.
    other_rows_before, other_rows_after : int
        Rows of the categories that are not listed.
    """

    kind: str = field(default="categorical", init=False, repr=False)
    level_agreement: float
    total_variation: float
    unknown_rows: int
    infrequent_rows: int
    level_count: int
    distinct: int
    levels: tuple[ValueCount, ...]
    other_rows_before: int
    other_rows_after: int
    _DERIVED: ClassVar[tuple[str, ...]] = ("unknown_share", "comes_back")

    @property
    def tiles(self) -> Sequence[Measure]:
        """Measures at the top of the column's part of the page."""
        return tiles_of(CategoryFigures)

    @property
    def score(self) -> float:
        """1 less the total variation distance."""
        return 1.0 - self.total_variation

    @property
    def unknown_share(self) -> float:
        """Share of all rows whose value is no category."""
        return self.unknown_rows / self.rows if self.rows else 0.0

    @property
    def comes_back(self) -> bool:
        """True if every category comes back."""
        return self.level_agreement == 1

    unchanged = comes_back

    @property
    def agreement(self) -> float:
        """`level_agreement`."""
        return self.level_agreement

    @property
    def part_count(self) -> int:
        """Number of categories."""
        return self.level_count

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as a dict that JSON can hold, shares worked out."""
        return ReportPart.to_dict(self) | {"levels": _with_shares(self.levels, self.rows)}


@dataclass(frozen=True, slots=True)
class PassedFigures(ColumnPart):
    """A passthrough column or an identifier, which is not modelled: its values are unchanged."""

    comes_back: ClassVar[bool] = True
    unchanged: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Overall(ReportPart):
    """One figure over all columns that have it: the worst, the column that it is of, and the mean."""

    worst: float
    column: str
    mean: float


ColumnFigures = NumberFigures | CategoryFigures | PassedFigures


def _with_shares(counts: Sequence[ValueCount], rows: int) -> list[dict[str, Any]]:
    """Rows of values as dicts that JSON can hold, with their shares of all rows."""
    total = max(rows, 1)
    return [
        count.to_dict() | {"share_before": count.rows_before / total, "share_after": count.rows_after / total}
        for count in counts
    ]


@dataclass(frozen=True, slots=True)
class RunFacts:
    """Facts of the run that made a report.

    Parameters
    ----------
    source : str
        The table: a path, or the type of an object.
    model : str
        The file that the model was loaded from; empty where it was fitted in this process.
    version : str
        Version of gpuvgm.
    date : str
        Day and time.
    seconds : float
        Time that reading and evaluating the rows took.
    synthetic : str
        The table that it is compared with; empty where there is none.
    """

    source: str
    model: str
    version: str
    date: str
    seconds: float
    synthetic: str = ""

    def line(self, rows: int, synthetic_rows: int = 0) -> str:
        """One line of all facts; of paths only the last part, so that no folder or credentials are shown."""
        tables = f"{_file(self.source)}: {counted(rows, 'row')}"
        if self.synthetic:
            tables += f", {_file(self.synthetic)}: {counted(synthetic_rows, 'row')},"
        parts = [f"{tables} read in {self.seconds:.2f} s"]
        parts += [f"model {_file(self.model)}"] * bool(self.model)
        return ", ".join([*parts, f"gpuvgm {self.version}", self.date])


def _file(path: str) -> str:
    """Last part of a path; of a URL without its query (elsewhere a question mark is a wildcard)."""
    return PurePath(path.partition("?")[0] if "://" in path else path).name or path

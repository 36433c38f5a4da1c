"""Reports of fidelity: the figures of all columns, the worst and the mean of each, and limits on them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from textwrap import fill
from typing import Any, ClassVar

from gpuvgm.columns.text import widths_line
from gpuvgm.errors import InputError, counted
from gpuvgm.report.advice import A_ROUNDING, share, short
from gpuvgm.report.facts import RunFacts
from gpuvgm.report.figures import CategoryFigures, ColumnFigures, NumberFigures, Overall, figures_document
from gpuvgm.report.first_rows import FirstRows
from gpuvgm.report.layout import Content
from gpuvgm.report.page import content_of
from gpuvgm.report.pair_trends import PairTrend
from gpuvgm.report.profiles import KS
from gpuvgm.report.scores import Scored, score_text
from gpuvgm.report.text import WIDTH, head_text, overall_text, report_text

#: Figures that the table has a worst and a mean of, and whether a small one is the worst.
_OVERALL = {
    "median_error": False,
    "p999_error": False,
    "maximum_error": False,
    "median_relative_error": False,
    "p999_relative_error": False,
    "maximum_relative_error": False,
    "clipped_share": False,
    "mode_agreement": True,
    "invalid_share": False,
    "ks": False,
    "wasserstein": False,
    "level_agreement": True,
    "total_variation": False,
}

#: Limits that `Report.broken` checks: the figure, whether it is a lower limit, and what to call it.
_BOUNDS = {
    "max_error": ("p999_error", False, "99.9th percentile of the round-trip error, in sd"),
    "max_relative_error": ("p999_relative_error", False, "99.9th percentile of the relative error"),
    "max_clipped_share": ("clipped_share", False, "share of clipped rows"),
    "max_invalid_share": ("invalid_share", False, "share of rows outside the training range"),
    "max_off_step_share": ("off_step_share", False, "share of rows that are off the step"),
    "max_unknown_share": ("unknown_share", False, "share of rows that are no category"),
    "max_ks": ("ks", False, "Kolmogorov-Smirnov distance"),
    "max_wasserstein": ("wasserstein", False, "Wasserstein distance, in sd"),
    "min_mode_agreement": ("mode_agreement", True, "mode agreement"),
    "min_level_agreement": ("level_agreement", True, "category agreement"),
}

_NAMED = 6  # columns that the verdict names beside the worst


@dataclass(frozen=True, slots=True)
class Report(Scored):
    """Figures of fidelity of a table; `str` gives tables for people.

    Parameters
    ----------
    rows : int
        Rows evaluated.
    invalid_rows : int
        Rows with a value outside the training range in any column.
    columns : dict of str to NumberFigures, CategoryFigures or PassedFigures
        The figures, in the model's order.
    reasons : dict of str to str
        Why each column has its kind, for the page; those that are not in `columns` were left out.
    facts : RunFacts, optional
        When and how the report was made, for people.
    widths : dict of str to int
        Columns of the one-hot matrix, by the column of the table that they come from.
    first : FirstRows, optional
        The first rows before and after, for the page.
    pairs : tuple of PairTrend
        Pairs of the first 50 columns of numbers, in a sample: correlations before and after, those that change most
        first.
    """

    rows: int
    invalid_rows: int
    columns: Mapping[str, ColumnFigures]
    reasons: Mapping[str, str] = field(default_factory=dict)
    facts: RunFacts | None = field(default=None, compare=False)
    widths: Mapping[str, int] = field(default_factory=dict)
    first: FirstRows | None = field(default=None, repr=False)
    pairs: tuple[PairTrend, ...] = field(default=(), repr=False)
    TITLE: ClassVar[str] = "Round trip"

    @property
    def scores(self) -> dict[str, float]:
        """Scores of the columns that are encoded, 0 to 1.

        1 less the Kolmogorov-Smirnov distance of numbers before and after, or the total variation distance of
        categories.
        """
        found = {}
        for name, column in self.columns.items():
            if isinstance(column, NumberFigures) and column.before is not None:
                found[name] = 1.0 - column.ks
            elif isinstance(column, CategoryFigures):
                found[name] = 1.0 - column.total_variation
        return found

    @property
    def invalid_share(self) -> float:
        """Share of rows with a value outside the training range in any column."""
        return self.invalid_rows / self.rows if self.rows else 0.0

    @property
    def overall(self) -> dict[str, Overall]:
        """The worst and the mean of every figure that a column has."""
        found = {}
        for figure, small in _OVERALL.items():
            values = dict(self._values(figure))
            if values:
                column = (min if small else max)(values, key=values.__getitem__)
                found[figure] = Overall(values[column], column, sum(values.values()) / len(values))
        return found

    @property
    def verdict(self) -> str:
        """One line: how many columns come back, equal or but for a rounding, and which do not, the worst first."""
        bad = {name: _lost(column) for name, column in self.columns.items() if not column.comes_back}
        rounded = sum(column.comes_back and getattr(column, "unequal_rows", 0) > 0 for column in self.columns.values())
        good = len(self.columns) - len(bad)
        line = f"{good} of {counted(len(self.columns), 'column')} come{'s' * (good == 1)} back"
        line += f", {rounded} of them to within a rounding" if rounded else " exactly" if good else ""
        return f"{line}; look at {_worst_first(bad)}" if bad else line

    @property
    def facts_line(self) -> str:
        """When and how the report was made, in one line; empty where that is not known."""
        return "" if self.facts is None else self.facts.line(self.rows)

    def to_dict(self) -> dict[str, Any]:
        """The same as a dict that JSON can hold."""
        return {
            "rows": self.rows,
            "verdict": self.verdict,
            "score": self.score,
            "pair_score": self.pair_score,
            "pairs": [asdict(pair) for pair in self.pairs],
            "invalid_rows": self.invalid_rows,
            "invalid_share": self.invalid_share,
            "widths": dict(self.widths),
            "overall": {figure: asdict(overall) for figure, overall in self.overall.items()},
            "columns": {name: figures_document(column) for name, column in self.columns.items()},
        }

    def to_text(self) -> str:
        """A verdict, and tables for people, 80 columns wide, by what the columns hold, and what the words mean."""
        numbers = f"rows with any invalid value: {self.invalid_rows:,} of {self.rows:,}"
        overall = overall_text(self.overall, len(self.columns))
        head = head_text(self.verdict, self.facts_line)
        width = [fill(widths_line(self.widths), WIDTH)] if self.widths else []
        return "\n\n".join([head, report_text(self.columns), *overall, *self._scores_text(), numbers, *width])

    def _scores_text(self) -> Iterator[str]:
        """The overall score, and the correlation that changes most."""
        if self.score is not None:
            yield f"overall score: {score_text(self.score)} of 1, the mean of 1 less KS or variation"
        if self.pairs and self.pairs[0].score is not None:
            pair = self.pairs[0]
            changed = f"{pair.before:z.4f} to {pair.after:z.4f}, {pair.one} and {pair.other}"
            yield fill(f"largest change of a correlation: {changed}", WIDTH)

    def _content(self, title: str, *, first_rows: bool) -> Content:
        return content_of(title, self if first_rows else replace(self, first=None))

    def broken(self, bounds: Mapping[str, float | None]) -> list[str]:
        """Limits that a column breaks, as sentences; empty when all hold.

        Parameters
        ----------
        bounds : mapping of str to float
            "max_error" limits `p999_error` and "max_relative_error" `p999_relative_error`: the largest error of a draw
            is a matter of luck, because a mode that a row has a one-in-a-million chance of clips it.
            "max_clipped_share", "max_invalid_share", "max_off_step_share", "max_unknown_share", "max_ks",
            "max_wasserstein", "min_mode_agreement" and "min_level_agreement" limit the figures of these names, in the
            columns that have them. "max_invalid_share" also limits the share of rows with any invalid value, and
            "min_score" the overall score. None is no limit.

        Raises
        ------
        InputError
            For a limit of another name.
        """
        bounds = dict(bounds)
        found = self._score_below(bounds.pop("min_score", None))
        for bound, limit in bounds.items():
            if bound not in _BOUNDS:
                raise InputError(f'no limit is called "{bound}": choose from {", ".join([*_BOUNDS, "min_score"])}')
            if limit is None:
                continue
            figure, lower, words = _BOUNDS[bound]
            side = f"must be at {'least' if lower else 'most'} {limit:g}"
            for name, value in self._values(figure):
                if not (value >= limit if lower else value <= limit):
                    text = f'column "{name}": {words} is {value:.6g}, but {side}'
                    found.append(text + _remedy(figure, self.columns[name]))
            if figure == "invalid_share" and not self.invalid_share <= limit:
                found.append(f"share of rows with any value outside its range is {self.invalid_share:.6g}, but {side}")
        return found

    def _values(self, figure: str) -> Iterator[tuple[str, float]]:
        """One figure of the columns that have it."""
        for name, column in self.columns.items():
            value = getattr(column, figure, None)
            if value is not None:
                yield name, float(value)


def _lost(column: ColumnFigures) -> tuple[float, float, str]:
    """How much of a column is lost, to find the worst, and the figure in words: an error in sd, or a share of rows.

    Where all rows but one in a thousand come back to within a rounding, the row that is furthest off decides.
    """
    if isinstance(column, CategoryFigures):
        other = 1 - column.level_agreement
        return other, 0.0, f"{share(other)} of rows change"
    assert isinstance(column, NumberFigures)  # all others come back
    if column.p999_error < A_ROUNDING:
        if column.maximum_error < A_ROUNDING and column.ks > KS:
            return column.ks, column.maximum_error, f"errors larger than distances of values, KS {short(column.ks)}"
        return 0.0, column.maximum_error, f"largest error {short(column.maximum_error)} sd"
    return column.p999_error, column.maximum_error, f"99.9 % error {short(column.p999_error)} sd"


def _worst_first(lost: Mapping[str, tuple[float, float, str]]) -> str:
    """The column that loses most, with its figure, and the names of the next ones."""
    worst, *others = sorted(lost, key=lambda name: lost[name][:2], reverse=True)
    words = f"{worst}{' first' * bool(others)} ({lost[worst][2]})"
    named = ", ".join(others[:_NAMED])
    more = f" and {len(others) - _NAMED:,} more" if len(others) > _NAMED else ""
    return f"{words}, then {named}{more}" if others else words


def _remedy(figure: str, column: ColumnFigures) -> str:
    if not isinstance(column, NumberFigures) or column.kind == "general":
        return ""
    if figure in ("p999_error", "p999_relative_error", "clipped_share") and column.clipped_share > 0:
        return f'; {100 * column.clipped_share:.3f} % of rows are clipped, which a fit with tails="exact" avoids'
    if figure == "ks" and column.p999_error < A_ROUNDING and column.ks > KS:
        return "; values that repeat come back a rounding apart: declare them modal, or the column integer, where it is"
    return ""

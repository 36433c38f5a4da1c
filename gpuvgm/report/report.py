"""Reports of fidelity: the figures of all columns, the worst and the mean of each, limits on them, and the page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from textwrap import fill
from typing import ClassVar

from gpuvgm.columns import TableModel
from gpuvgm.errors import counted
from gpuvgm.report.advice import A_ROUNDING, Advice, advice
from gpuvgm.report.charts import colour, errors_chart, histogram_chart, scalars_chart
from gpuvgm.report.figures import MEASURES, CategoryFigures, ColumnFigures, NumberFigures, Overall
from gpuvgm.report.markup import Child, Markup, join, piece
from gpuvgm.report.measures import (
    COUNT,
    Measure,
    Tile,
    broken_limits,
    check_limits,
    figure_tiles,
    score_text,
    share,
    short,
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
    section,
    share_bar,
    swatch,
    tile_list,
    with_others,
)
from gpuvgm.report.pair_trends import PairTrend
from gpuvgm.report.profiles import KS, ModeProfile, NumberProfile
from gpuvgm.report.text import WIDTH, by_width, first_names, head_text, overall_text, report_text

_INVALID_ROWS = Measure(
    "invalid_rows", "", COUNT, limit="max_invalid_share", words="share of rows with any value outside its range"
)
_NAMED = 6  # columns that the verdict names beside the worst


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Report(Scored):
    """Figures of fidelity of a table; `str` gives tables for people.

    Columns have `NumberFigures`, `CategoryFigures` or `PassedFigures`; pairs are of the first 50 columns of numbers, in
    a sample.

    Parameters
    ----------
    invalid_rows : int
        Rows with a value outside the training range in any column.
    widths : dict of str to int
        Columns of the one-hot matrix, by the column of the table that they come from.
    rows, columns, reasons, facts, first, pairs : object
        As for `Scored`.
    """

    invalid_rows: int
    widths: Mapping[str, int] = field(default_factory=dict)
    _DOCUMENT: ClassVar[tuple[str, ...]] = (
        "rows", "verdict", "score", "pair_score", "pairs", "invalid_rows", "invalid_share", "widths", "overall",
        "columns",
    )  # fmt: skip
    TITLE: ClassVar[str] = "Round trip"
    SHOWN: ClassVar[str] = "Grey: the rows, thin line: after the round trip"
    _LEAD: ClassVar[str] = "What encoding and decoding do to these rows, and how well the fitted modes describe them."
    _FOOT: ClassVar[str] = "Errors and distances are in standard deviations (sd) of each column."
    _REMEDIES: ClassVar[str] = (
        'Remedies are arguments of TableTransformer. On the command line, tails="exact" is gpuvgm fit --tails exact, '
        'kind="drop" is --columns NAME=drop, and what has no option of its own stands in a file: --columns SPEC.toml.'
    )
    _OVERVIEW: ClassVar[Sequence[Measure]] = [measure for measure in MEASURES.values() if measure.overview]

    @property
    def invalid_share(self) -> float:
        """Share of rows with a value outside the training range in any column."""
        return self.invalid_rows / self.rows if self.rows else 0.0

    @property
    def overall(self) -> dict[str, Overall]:
        """The worst and the mean of every figure that a column has."""
        figures = {}
        for measure in (measure for measure in MEASURES.values() if measure.overall):
            figures_by_column = {name: measure.of(column) for name, column in self.columns.items()}
            values = {name: float(value) for name, value in figures_by_column.items() if value is not None}
            if values:
                column = (min if measure.is_lower else max)(values, key=values.__getitem__)
                figures[measure.name] = Overall(values[column], column, sum(values.values()) / len(values))
        return figures

    @property
    def verdict(self) -> str:
        """One line: the number of columns that come back, exactly or to within a rounding, and the worst others."""
        bad = {name: _loss(column) for name, column in self.columns.items() if not column.comes_back}
        rounded = sum(column.comes_back and getattr(column, "unequal_rows", 0) > 0 for column in self.columns.values())
        good = len(self.columns) - len(bad)
        line = f"{good} of {counted(len(self.columns), 'column')} come{'s' * (good == 1)} back"
        line += f", {rounded} of them to within a rounding" if rounded else " exactly" if good else ""
        return f"{line}; look at {_worst_first(bad)}" if bad else line

    def to_text(self) -> str:
        """A verdict, tables of the columns that change, 80 columns wide, and notes on the words in them."""
        changed = {name: column for name, column in self.columns.items() if not column.unchanged}
        unchanged_names = ", ".join(name for name in self.columns if name not in changed)
        parts = [head_text(self.verdict, self.facts_line)]
        if changed:
            parts += [fill(f"every row comes back exactly: {unchanged_names}", WIDTH)] * bool(unchanged_names)
            parts += [report_text(changed), *overall_text(self.overall, len(changed)), *self._scores_text()]
            parts.append(f"rows with any invalid value: {self.invalid_rows:,} of {self.rows:,}")
        if self.widths:
            parts.append(fill(TableModel.describe_widths(self.widths), WIDTH))
        numbers = {name: column for name, column in self.columns.items() if isinstance(column, NumberFigures)}
        fits = {name: column.profile.fit for name, column in numbers.items() if column.profile is not None}
        unconverged = TableModel.describe_unconverged(fits)
        parts += [fill(unconverged, WIDTH)] * bool(unconverged)
        return "\n\n".join(parts)

    def _scores_text(self) -> Iterator[str]:
        """The overall score, and the correlation that changes most."""
        if self.score is not None:
            yield f"overall score: {score_text(self.score)} of 1, the mean of 1 less KS or variation"
        if self.pairs and self.pairs[0].score is not None:
            pair = self.pairs[0]
            change_words = f"{pair.before:z.4f} to {pair.after:z.4f}, {pair.one} and {pair.other}"
            yield fill(f"largest change of a correlation: {change_words}", WIDTH)

    def _tiles(self) -> Iterator[Tile]:
        numbers = [column for column in self.columns.values() if isinstance(column, NumberFigures)]
        yield "rows", f"{self.rows:,}", "rows evaluated"
        yield "columns", f"{len(self.columns):,}", "columns of the model"
        if self.widths:
            yield "matrix", f"{sum(self.widths.values()):,}", "columns of the one-hot matrix, which a network sees"
        if self.score is not None:
            yield "score", score_text(self.score), "of 1: how alike the values before and after are, on average"
        if numbers:
            worst = max(column.p999_error for column in numbers)
            yield "worst 99.9 % error", f"{short(worst)} sd", "of all columns of numbers"
            share_outside = share(self.invalid_share) if self.rows else "–"
            yield "rows out of range", share_outside, "in any column, as they came in"

    def _advice(self, name: str, column: ColumnFigures) -> Iterable[Advice]:
        return advice(name, column)

    def _parts(self, places: Places) -> Iterable[Markup | None]:
        yield _widest_columns(self.widths, places)
        yield _correlation_changes(self.pairs, places)
        if self.first:
            caption = "Values of the first rows, and what is decoded of them. Bold: another value."
            yield first_rows_table(self.first, "decoded", caption, len(self.columns), mark=True)

    def _body(self, name: str, column: ColumnFigures) -> Iterable[Child]:
        if isinstance(column, NumberFigures):
            return _number_section(name, column)
        if isinstance(column, CategoryFigures):
            return _category_section(column)
        return [piece("paragraph", words="Handed through as it is.")]

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
        check_limits(bounds, [*MEASURES.values(), SCORE_LIMIT])
        sentences = [sentence for _, sentence in broken_limits([SCORE_LIMIT], self, bounds)]
        for limit, bound in bounds.items():
            for name, column in self.columns.items():
                for measure, sentence in broken_limits(MEASURES.values(), column, {limit: bound}):
                    sentences.append(f'column "{name}": {sentence}{_limit_remedy(measure.name, column)}')
            sentences += [sentence for _, sentence in broken_limits([_INVALID_ROWS], self, {limit: bound})]
        return sentences


def _loss(column: ColumnFigures) -> tuple[float, float, str]:
    """Sort key by how much of a column is lost, and the figure in words: an error in sd, or a share of rows.

    Where all rows but one in a thousand come back to within a rounding, the row that is furthest off decides.
    """
    if isinstance(column, CategoryFigures):
        changed_share = 1 - column.level_agreement
        return changed_share, 0.0, f"{share(changed_share)} of rows change"
    assert isinstance(column, NumberFigures)  # all others come back
    if column.p999_error < A_ROUNDING:
        if column.maximum_error < A_ROUNDING and column.ks > KS:
            return column.ks, column.maximum_error, f"errors larger than distances of values, KS {short(column.ks)}"
        if column.maximum_error < A_ROUNDING:
            difference = "a rounding apart" if column.maximum_error else "written otherwise"  # text of equal numbers
            return 0.0, column.maximum_error, f"{counted(column.unequal_rows, 'row')} {difference}"
        return 0.0, column.maximum_error, f"largest error {short(column.maximum_error)} sd"
    return column.p999_error, column.maximum_error, f"99.9 % error {short(column.p999_error)} sd"


def _worst_first(lost: Mapping[str, tuple[float, float, str]]) -> str:
    """The column that loses most, with its figure, and the names of the next ones."""
    worst, *other_names = sorted(lost, key=lambda name: lost[name][:2], reverse=True)
    words = f"{worst}{' first' * bool(other_names)} ({lost[worst][2]})"
    return f"{words}, then {first_names(other_names, _NAMED)}" if other_names else words


def _limit_remedy(figure: str, column: ColumnFigures) -> str:
    if not isinstance(column, NumberFigures) or not column.has_modes:
        return ""
    if figure in ("p999_error", "p999_relative_error", "clipped_share") and column.clipped_share > 0:
        return f'; {100 * column.clipped_share:.3f} % of rows are clipped, which a fit with tails="exact" avoids'
    if figure == "ks" and column.p999_error < A_ROUNDING and column.ks > KS:
        return "; values that repeat come back a rounding apart: declare them modal, or the column integer, where it is"
    return ""


_MODE_TITLES = (
    "mode", "mean or value", "sd", "scalars, −1 to 1", "fitted weight", "drawn share", "cut below", "cut above",
)  # fmt: skip
UNCHANGED = "Every row comes back exactly."


def _widest_columns(widths: Mapping[str, int], places: Places) -> Markup | None:
    """The columns that make the one-hot matrix wide."""
    total = sum(widths.values())
    if not total:
        return None
    rows = []
    for name in by_width(widths)[:LISTED]:
        part = widths[name] / total
        rows.append((link(name, places), f"{widths[name]:,}", share_bar(part, part, "m0")))
    listing_note = f" Shown are the {len(rows)} widest of {len(widths):,}." if len(widths) > len(rows) else ""
    caption = f"The one-hot matrix, which a network sees, has {counted(total, 'column')}.{listing_note}"
    return section("Width of the matrix", scroll_table(("column", "matrix columns", "share"), rows, caption))


def _correlation_changes(pairs: Sequence[PairTrend], places: Places) -> Markup | None:
    """The pairs of columns whose correlation changes most."""
    changes = [
        (pair, abs(pair.before - pair.after)) for pair in pairs if pair.before is not None and pair.after is not None
    ]
    if not changes:
        return None
    if changes[0][1] == 0:
        return piece("caption", words="No correlation of columns of numbers changes.")
    rows = []
    for pair, change in changes[:LISTED]:
        links, correlations = pair_cells(pair, places, 4)
        rows.append((*links, *correlations, short(change)))
    listing_note = (
        f" Shown are the {LISTED} of {len(changes):,} pairs that change most." if len(changes) > LISTED else ""
    )
    caption = f"Pearson's correlation of columns of numbers before and after, in a sample of the rows.{listing_note}"
    titles = ("column", "and", "before", "after", "change")
    return section("Correlations", scroll_table(titles, rows, caption, text=2))


def _number_section(name: str, column: NumberFigures) -> Iterator[Markup | None]:
    profile = column.profile
    yield piece("caption", words=UNCHANGED) if column.unchanged else tile_list(figure_tiles(column.tiles, column))
    if profile is None:
        return
    yield _histogram_figure(name, profile, has_modal=bool(column.modal))
    if profile.modes:
        yield _modes_section(column, profile)
    errors = errors_chart(name, column, profile)
    if errors is not None:
        verb = "comes" if profile.no_errors == 1 else "come"
        exact = f" {counted(profile.no_errors, 'row')} {verb} back exactly." if profile.no_errors else ""
        words = "Errors of the round trip, in standard deviations; a step up is ten times as many rows."
        yield chart_figure(errors, words + exact)
    if column.before is not None and column.after is not None:
        yield description_table(column.before, column.after, ("before", "after"))
    if column.has_modes:
        yield piece("fit", words=_fit_words(profile))


def _histogram_figure(name: str, profile: NumberProfile, *, has_modal: bool) -> Markup | None:
    """Histogram of a column, if it has one; modal values stand in a table below."""
    histogram = profile.histogram
    if histogram is None:
        return None
    curves = ", curves: the fitted modes, dashed: the whole mixture" if histogram.curves else ""
    parts = [f"{Report.SHOWN}{curves}."]
    if histogram.logarithmic:
        parts.append("The axis is logarithmic.")
    beyond = ((histogram.below, "below"), (histogram.above, "above"))
    outside_words = " and ".join(f"{counted(count, 'row')} {side} it" for count, side in beyond if count)
    if outside_words:
        parts.append(f"Not on the axis: {outside_words}.")
    if has_modal:
        parts.append("Modal values and missing rows are in the table below.")
    return chart_figure(histogram_chart(name, profile, histogram), " ".join(parts))


def _modes_section(column: NumberFigures, profile: NumberProfile) -> Markup:
    ordinary = sum(mode.rows for mode in profile.modes if mode.weight is not None)
    parts = [mode.rows / max(column.rows if mode.weight is None else ordinary, 1) for mode in profile.modes]
    longest = max(parts) or 1.0
    rows = [
        _mode_row(place, mode, share_bar(part, part / longest, colour(place) if mode.scalars else "modal"))
        for place, (mode, part) in enumerate(zip(profile.modes, parts, strict=True), 1)
    ]
    note = "Shares of modes are of the rows drawn from the mixture; those of modal values of all rows."
    return scroll_table(_MODE_TITLES, rows, f"Modes. {note}", text=2)


def _mode_row(place: int, mode: ModeProfile, share_markup: Markup) -> Sequence[Child]:
    cut_counts = [f"{count:,}" if count else "–" for count in (mode.below, mode.above)]
    if mode.weight is None:
        return (str(mode.code), mode.name, "", "", "", share_markup, *(cut_counts if mode.tail else ("", "")))
    number = join(swatch(colour(place)), str(mode.code))
    return (number, mode.name, mode.sd, scalars_chart(place, mode), share(mode.weight), share_markup, *cut_counts)


def _fit_words(profile: NumberProfile) -> str:
    fit = profile.fit
    if fit.algorithm == "none":
        return "No mixture was fitted: no row had an ordinary value."
    active = sum(mode.weight is not None for mode in profile.modes)
    words = [
        f'Fit: algorithm="{fit.algorithm}", effort="{fit.effort}", on {fit.rows:,} rows; {active} of '
        f"{profile.components} components became modes; {fit.iterations:,} iterations, "
        f"{'not converged' if fit.stopped_early else 'converged'}; lower bound {fit.lower_bound:,.6g}"
    ]
    # It is NaN, which does not equal itself, where there was one mode.
    if fit.bound_with_fewer is not None and fit.bound_with_fewer == fit.bound_with_fewer:
        gain = fit.bound_with_fewer - fit.lower_bound
        words.append(f"{abs(gain):,.4g} {'lower' if gain <= 0 else 'higher'} with one mode fewer")
    words.append(f"estimated distance to the exact fit {short(fit.fit_error)} sigma")
    return ", ".join(words) + "."


def _category_section(column: CategoryFigures) -> Iterator[Markup]:
    yield tile_list(figure_tiles(column.tiles, column))
    counts = with_others(column, column.level_count)
    parts = [count.rows_before / max(column.rows, 1) for count in counts]
    longest = max(parts, default=1.0) or 1.0
    rows = [
        (count.text, share_bar(part, part / longest, "m0"), f"{count.rows_before:,}", f"{count.rows_after:,}")
        for count, part in zip(counts, parts, strict=True)
    ]
    yield scroll_table(("category", "share", "rows before", "rows after"), rows, "Categories by falling frequency")

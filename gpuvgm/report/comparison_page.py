"""The page of a comparison: the page of a report with original and synthetic rows in the place of before and after."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from gpuvgm.errors import counted
from gpuvgm.report.advice import Advice, share, short
from gpuvgm.report.charts import histogram_chart
from gpuvgm.report.comparison_trial import CategoryComparison, ColumnComparison, NumberComparison, missing_shares
from gpuvgm.report.figures import ValueCount
from gpuvgm.report.first_rows import first_rows_table
from gpuvgm.report.layout import LISTED, Cell, Content, Places, correlations, number_cell, pair_links, warnings_of
from gpuvgm.report.markup import Child, Markup, join, tag
from gpuvgm.report.profiles import Histogram
from gpuvgm.report.scores import score_text
from gpuvgm.report.sections import advice_list, column_heading, description_table, figure, share_bar, table, tiles

if TYPE_CHECKING:
    from gpuvgm.report.comparison import Comparison

LEAD = "How alike the synthetic rows and the original ones are, column by column."
FOOT = "Wasserstein distances are in standard deviations (sd) of the original values."
REMEDIES = (
    "Scores are 1 less the Kolmogorov-Smirnov distance of numbers and datetimes, or the total variation distance of "
    "categories; missing values are left out. SDMetrics calls them KSComplement and TVComplement."
)
PAIRS = (
    "Pairs of columns with the lowest scores. Correlation: 1 less half the difference of Pearson's r. Contingency: 1 "
    "less the total variation distance of the joint shares, numbers in ten bins of one width over the original range. "
    "These are SDMetrics' CorrelationSimilarity and ContingencySimilarity. The bins mislead where values are skewed: "
    "one value far out puts nearly all rows into one bin, and the score is high whatever they are."
)
LOW = 0.9  # scores below which a column is worth a look, and is named in the verdict
MISSING, NEW = 0.05, 0.01  # differences of shares, and shares of rows, from which on they are worth a word


def content_of(title: str, comparison: Comparison) -> Content:
    """What the page says.

    Parameters
    ----------
    title : str
        Heading.
    comparison : Comparison
        The figures.
    """
    columns, reasons = comparison.columns, comparison.reasons
    said = {name: comparison_advice(column) for name, column in columns.items()}

    def parts(places: Places) -> Iterator[Markup]:
        if comparison.pairs:
            yield _pairs(comparison, places)
        if comparison.first is not None:
            caption = (
                "Values of the first rows of both tables. Rows that stand beside each other do not belong together."
            )
            yield first_rows_table(comparison.first, "synthetic", caption, len(columns))

    return Content(
        title=title,
        verdict=comparison.verdict,
        facts=comparison.facts_line,
        lead=LEAD,
        foot=FOOT,
        figures=list(_summary(comparison, said)),
        columns=columns,
        said=said,
        remedies=REMEDIES,
        overview=_FIGURES,
        parts=parts,
        sections={name: _section(name, column, reasons.get(name), said[name]) for name, column in columns.items()},
        left_out={name: reason for name, reason in reasons.items() if name not in columns},
    )


def _pairs(comparison: Comparison, places: Places) -> Markup:
    """The pairs of columns with the lowest scores."""
    rows = [
        (*pair_links(pair, places), pair.metric, *correlations(pair, 2), score_text(pair.score))
        for pair in comparison.pairs[:LISTED]
    ]
    titles = ("column", "and", "metric", "original r", "synthetic r", "score")
    return join(tag("h2", "Pairs of columns"), table(titles, rows, PAIRS, text=3))


def comparison_advice(column: ColumnComparison) -> list[Advice]:
    """What is to be said of a column, the worst first; empty where nothing is."""
    return list(_advice(column))


def _advice(column: ColumnComparison) -> Iterator[Advice]:
    if column.score is None:
        yield Advice("A table has no value here.", "Look at the missing values.")
    elif column.score < LOW:
        yield Advice(f"The {column.metric} is {column.score:.3f}.", "See below where the two distributions differ.")
    before, after = missing_shares(column)
    if abs(before - after) >= MISSING:
        yield Advice(
            f"{share(before)} of the original values are missing, and {share(after)} of the synthetic ones.",
            "Look whether the generator knows missing values.",
        )
    if isinstance(column, CategoryComparison) and column.new_rows >= NEW * column.synthetic_rows:
        yield Advice(
            f"{share(column.new_rows / column.synthetic_rows)} of the synthetic rows hold categories that the original "
            "table lacks.",
            "Look at how both tables write their categories.",
        )


def _summary(comparison: Comparison, said: Mapping[str, list[Advice]]) -> Iterator[tuple[str, str, str]]:
    scores = comparison.scores
    yield "overall score", score_text(comparison.score), "mean of the columns' scores, from 0 to 1"
    if scores:
        worst = min(scores, key=scores.__getitem__)
        yield "lowest score", score_text(scores[worst]), f"of {worst}"
    if comparison.pair_score is not None:
        yield "pair score", score_text(comparison.pair_score), "mean of the scores of pairs of columns"
    yield "original rows", f"{comparison.rows:,}", "rows of the original table"
    yield "synthetic rows", f"{comparison.synthetic_rows:,}", "rows of the synthetic table"
    yield "columns", f"{len(comparison.columns):,}", "columns that are compared"
    noted = sum(bool(warnings_of(found)) for found in said.values())
    yield "columns to look at", f"{noted:,}", "columns with a warning"


def _share_cell(at: int) -> Any:
    def cell(column: ColumnComparison) -> Cell:
        part = missing_shares(column)[at]
        return (share(part) if part else "–", f"{part:.9g}")

    return cell


_FIGURES = {
    "score": number_cell("score", score_text),
    "missing": _share_cell(0),
    "synthetic": _share_cell(1),
    "Wasserstein": number_cell("wasserstein", short),
}


def _section(name: str, column: ColumnComparison, reason: str | None, said: list[Advice]) -> tuple[Markup, Markup]:
    """Heading of a column, and everything about it."""
    why = tag("p", f"Kind {column.kind}: {reason}.", class_="caption") if reason else None
    body: list[Child] = [why, advice_list(said), tiles(_tiles(column))]
    if isinstance(column, NumberComparison):
        body += _numbers(name, column)
    else:
        body.append(_categories(column))
    return column_heading(name, column), join(*body)


def _tiles(column: ColumnComparison) -> Iterator[tuple[str, str, str]]:
    yield column.metric, score_text(column.score), "1: the distributions are the same"
    if isinstance(column, NumberComparison):
        if column.wasserstein is not None:
            yield "Wasserstein", f"{short(column.wasserstein)} sd", "how far values would have to move, on average"
    else:
        yield "categories", f"{column.categories:,}", "in both tables"
        yield "new", f"{column.new_rows:,}", "synthetic rows of categories that the original table lacks"
    before, after = missing_shares(column)
    yield "missing", share(before), "of the original values"
    yield "missing, synthetic", share(after), "of the synthetic values"


def _numbers(name: str, column: NumberComparison) -> Iterable[Markup | None]:
    profile = column.profile
    if profile is not None and profile.histogram is not None:
        yield figure(histogram_chart(name, profile, profile.histogram), _caption(column, profile.histogram))
    if column.modal:
        yield table(_TITLES, _shares(column, column.modal), "Modal values, with shares of all rows")
    if column.before is not None and column.after is not None:
        yield description_table(column.before, column.after, ("original", "synthetic"))


def _caption(column: NumberComparison, histogram: Histogram) -> str:
    curves = ", curves: the fitted modes" if histogram.curves else ""
    parts = [f"Grey: the original rows, thin line: the synthetic ones, scaled to as many{curves}."]
    if histogram.logarithmic:
        parts.append("The axis is logarithmic.")
    if histogram.below + histogram.above:
        parts.append(f"Not on the axis: {counted(histogram.below + histogram.above, 'original row')}.")
    if column.modal:
        parts.append("Modal values and missing rows are in the table below.")
    return " ".join(parts)


_TITLES = ("value", "original", "synthetic")


def _shares(column: ColumnComparison, counts: Iterable[ValueCount]) -> list[tuple[Child, ...]]:
    parts = [
        (one.text, one.rows_before / max(column.rows, 1), one.rows_after / max(column.synthetic_rows, 1))
        for one in counts
    ]
    longest = max((max(pair) for _, *pair in parts), default=1.0) or 1.0
    return [(text, *(share_bar(part, part / longest, "m0") for part in pair)) for text, *pair in parts]


def _categories(column: CategoryComparison) -> Markup:
    counts = list(column.levels)
    left = column.categories - len(counts)
    if left > 0:
        counts.append(
            ValueCount(None, f"{left:,} other{'s' * (left > 1)}", column.other_rows_before, column.other_rows_after)
        )
    return table(_TITLES, _shares(column, counts), "Categories by falling frequency, with shares of all rows")

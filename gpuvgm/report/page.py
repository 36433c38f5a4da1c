"""The page of a report on the round trip."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from gpuvgm.columns.text import by_width
from gpuvgm.errors import counted
from gpuvgm.report.advice import Advice, advice, share, short
from gpuvgm.report.figures import CategoryFigures, ColumnFigures, NumberFigures
from gpuvgm.report.first_rows import DECODED, first_rows_table
from gpuvgm.report.layout import LISTED, Cell, Content, Places, correlations, number_cell, pair_links, warnings_of
from gpuvgm.report.markup import Markup, join, tag
from gpuvgm.report.pair_trends import PairTrend
from gpuvgm.report.scores import score_text
from gpuvgm.report.sections import section, share_bar, table

if TYPE_CHECKING:
    from gpuvgm.report.report import Report

REMEDIES = (
    'Remedies are arguments of TableTransformer. On the command line, tails="exact" is gpuvgm fit --tails exact, '
    'kind="drop" is --columns NAME=drop, and what has no option of its own stands in a file: --columns SPEC.toml.'
)
LEAD = "What encoding and decoding do to these rows, and how well the fitted modes describe them."
FOOT = "Errors and distances are in standard deviations (sd) of each column."


def content_of(title: str, report: Report) -> Content:
    """What the page says.

    Parameters
    ----------
    title : str
        Heading.
    report : Report
        The figures.
    """
    columns, reasons = report.columns, report.reasons
    said = {name: advice(name, column) for name, column in columns.items()}

    def parts(places: Places) -> Iterable[Markup | None]:
        yield _widest(report.widths, places)
        yield _correlations(report.pairs, places)
        if report.first:
            caption = "Values of the first rows, and what is decoded of them. Bold: another value."
            yield first_rows_table(report.first, DECODED, caption, len(columns))

    return Content(
        title=title,
        verdict=report.verdict,
        facts=report.facts_line,
        lead=LEAD,
        foot=FOOT,
        figures=_summary(report, said),
        columns=columns,
        said=said,
        remedies=REMEDIES,
        overview=_FIGURES,
        parts=parts,
        sections={name: section(name, column, reasons.get(name), said[name]) for name, column in columns.items()},
        left_out={name: reason for name, reason in reasons.items() if name not in columns},
    )


def _summary(report: Report, said: Mapping[str, list[Advice]]) -> list[tuple[str, str, str]]:
    columns = report.columns
    numbers = [column for column in columns.values() if isinstance(column, NumberFigures)]
    found = [("rows", f"{report.rows:,}", "rows evaluated"), ("columns", f"{len(columns):,}", "columns of the model")]
    if report.widths:
        width = sum(report.widths.values())
        found.append(("matrix", f"{width:,}", "columns of the one-hot matrix, which a network sees"))
    if report.score is not None:
        found.append(("score", score_text(report.score), "of 1: how alike the values before and after are, on average"))
    if numbers:
        worst = max(column.p999_error for column in numbers)
        found.append(("worst 99.9 % error", f"{short(worst)} sd", "of all columns of numbers"))
        outside = share(report.invalid_share) if report.rows else "–"
        found.append(("rows out of range", outside, "in any column, as they came in"))
    noted = sum(bool(warnings_of(held)) for held in said.values())
    found.append(("columns to look at", f"{noted:,}", "columns with a warning"))
    return found


def _widest(widths: Mapping[str, int], places: Places) -> Markup | None:
    """The columns that make the one-hot matrix wide."""
    total = sum(widths.values())
    if not total:
        return None
    rows = []
    for name in by_width(widths)[:LISTED]:
        part = widths[name] / total
        rows.append((tag("a", name, href=f"#{places[name]}"), f"{widths[name]:,}", share_bar(part, part, "m0")))
    shown = f" Shown are the {len(rows)} widest of {len(widths):,}." if len(widths) > len(rows) else ""
    caption = f"The one-hot matrix, which a network sees, has {counted(total, 'column')}.{shown}"
    return join(tag("h2", "Width of the matrix"), table(("column", "matrix columns", "share"), rows, caption))


def _correlations(pairs: Sequence[PairTrend], places: Places) -> Markup | None:
    """The pairs of columns whose correlation changes most."""
    known = [
        (pair, abs(pair.before - pair.after)) for pair in pairs if pair.before is not None and pair.after is not None
    ]
    if not known:
        return None
    rows = [(*pair_links(pair, places), *correlations(pair, 4), short(change)) for pair, change in known[:LISTED]]
    shown = f" Shown are the {LISTED} of {len(known):,} pairs that change most." if len(known) > LISTED else ""
    caption = f"Pearson's correlation of columns of numbers before and after, in a sample of the rows.{shown}"
    return join(tag("h2", "Correlations"), table(("column", "and", "before", "after", "change"), rows, caption, text=2))


def _missing(column: ColumnFigures) -> Cell:
    part = column.missing / max(column.rows, 1)
    return (share(part) if column.missing else "–", f"{part:.9g}")


def _cells(column: ColumnFigures) -> Cell:
    """Modes or categories."""
    if isinstance(column, CategoryFigures):
        return (f"{column.level_count:,}", column.level_count)
    modes = column.profile.modes if isinstance(column, NumberFigures) and column.profile else ()
    return (str(len(modes)), len(modes)) if modes else ("", "")


def _kept(column: ColumnFigures) -> Cell:
    """Rows that keep their mode or category."""
    figure = "level_agreement" if isinstance(column, CategoryFigures) else "mode_agreement"
    return number_cell(figure, share)(column)


_FIGURES: Mapping[str, Callable[[ColumnFigures], Cell]] = {
    "missing": _missing,
    "modes, categories": _cells,
    "99.9 % error": number_cell("p999_error", short),
    "largest": number_cell("maximum_error", short),
    "clipped": number_cell("clipped_share", share),
    "same": _kept,
    "KS": number_cell("ks", short),
    "Wasserstein": number_cell("wasserstein", short),
}

"""The page of a report on the round trip."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from gpuvgm.columns.text import by_width
from gpuvgm.errors import counted
from gpuvgm.report.advice import Advice, advice, share, short
from gpuvgm.report.figures import CategoryFigures, ColumnFigures, NumberFigures
from gpuvgm.report.first_rows import DECODED, FirstRows, first_rows_table
from gpuvgm.report.layout import LISTED, Cell, Content, Places, number_cell, warnings_of
from gpuvgm.report.markup import Markup, join, tag
from gpuvgm.report.sections import section, share_bar, table

REMEDIES = (
    'Remedies are arguments of TableTransformer. On the command line, tails="exact" is gpuvgm fit --tails exact, '
    'kind="drop" is --columns NAME=drop, and what has no option of its own stands in a file: --columns SPEC.toml.'
)
LEAD = "What encoding and decoding do to these rows, and how well the fitted modes describe them."
FOOT = "Errors and distances are in standard deviations (sd) of each column."


@dataclass(frozen=True, slots=True)
class Head:
    """What a page begins with.

    Parameters
    ----------
    rows, invalid_rows : int
        Rows evaluated, and those with a value outside the fitted range in any column.
    verdict : str
        The result in a sentence.
    facts : str
        When and how the report was made; may be empty.
    widths : mapping of str to int
        Columns of the one-hot matrix, by the column of the table that they come from.
    first : FirstRows or None
        The first rows before and after.
    """

    rows: int
    invalid_rows: int
    verdict: str
    facts: str
    widths: Mapping[str, int]
    first: FirstRows | None = None


def content_of(title: str, about: Head, columns: Mapping[str, ColumnFigures], reasons: Mapping[str, str]) -> Content:
    """What the page says.

    Parameters
    ----------
    title : str
        Heading.
    about : Head
        Rows, verdict and facts.
    columns : mapping of str to ColumnFigures
        The figures.
    reasons : mapping of str to str
        Why columns have their kinds, those that were left out too.
    """
    said = {name: advice(name, column) for name, column in columns.items()}

    def parts(places: Places) -> Iterable[Markup | None]:
        yield _widest(about.widths, places)
        if about.first:
            caption = "Values of the first rows, and what is decoded of them. Bold: another value."
            yield first_rows_table(about.first, DECODED, caption, len(columns))

    return Content(
        title=title,
        verdict=about.verdict,
        facts=about.facts,
        lead=LEAD,
        foot=FOOT,
        figures=_summary(about, columns, said),
        columns=columns,
        said=said,
        remedies=REMEDIES,
        overview=_FIGURES,
        parts=parts,
        sections={name: section(name, column, reasons.get(name)) for name, column in columns.items()},
        left_out={name: reason for name, reason in reasons.items() if name not in columns},
    )


def _summary(
    about: Head, columns: Mapping[str, ColumnFigures], said: Mapping[str, list[Advice]]
) -> list[tuple[str, str, str]]:
    numbers = [column for column in columns.values() if isinstance(column, NumberFigures)]
    found = [("rows", f"{about.rows:,}", "rows evaluated"), ("columns", f"{len(columns):,}", "columns of the model")]
    if about.widths:
        width = sum(about.widths.values())
        found.append(("matrix", f"{width:,}", "columns of the one-hot matrix, which a network sees"))
    if numbers:
        worst = max(column.p999_error for column in numbers)
        found.append(("worst 99.9 % error", f"{short(worst)} sd", "of all columns of numbers"))
        outside = share(about.invalid_rows / about.rows) if about.rows else "–"
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

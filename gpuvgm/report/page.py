"""HTML pages of all reports: one page that needs no other file.

No script, style, font or picture comes from elsewhere.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, compress
from os import PathLike
from typing import Any, ClassVar

from gpuvgm.errors import counted
from gpuvgm.io import Document
from gpuvgm.report.advice import Advice, advice_on_kind
from gpuvgm.report.charts import preview_chart
from gpuvgm.report.counting import FirstRows
from gpuvgm.report.figures import SHARE_NAMES, SHARES, Description, RunFacts, ValueCount
from gpuvgm.report.markup import Child, Markup, join, piece, resource
from gpuvgm.report.measures import NOTHING, SCORE, Measure, ReportPart, Tile, share
from gpuvgm.report.pair_trends import PairTrend

WIDE = 50  # columns: the sections of more are folded and compressed
PACKING = 6  # level of compression
LISTED = 8  # problems that are listed at the top
ALIKE = 6  # other columns with one of them that are named
Places = Mapping[str, str]  # anchors of the columns
AdviceByColumn = Mapping[str, list[Advice]]
SCORE_LIMIT = Measure("score", "score", SCORE, limit="min_score", words="the overall score", unknown="not known")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored(ReportPart, ABC):
    """A result with a score for every column and pair of columns, that people read as text and as one HTML page.

    Parameters
    ----------
    rows : int
        Rows of the table.
    columns : dict of str to object
        Figures of each column, in the model's order.
    reasons : dict of str to str
        Why each column has its kind; those that are not in `columns` were left out.
    facts : RunFacts, optional
        When and how the result was found, for people.
    first : FirstRows, optional
        The first rows before and after, or of both tables, for the page.
    pairs : tuple of PairTrend
        Dependence of pairs of columns, those that change most first.
    """

    rows: int
    columns: Mapping[str, Any]
    reasons: Mapping[str, str] = field(default_factory=dict)
    facts: RunFacts | None = field(default=None, compare=False)
    first: FirstRows | None = field(default=None, repr=False)
    pairs: tuple[PairTrend, ...] = field(default=(), repr=False)
    TITLE: ClassVar[str]
    SHOWN: ClassVar[str]  # what the bars and the line of a histogram show
    _LEAD: ClassVar[str]  # first and last paragraph of the page
    _FOOT: ClassVar[str]
    _REMEDIES: ClassVar[str]  # explanation of the remedies
    _OVERVIEW: ClassVar[Sequence[Measure]]

    @property
    def scores(self) -> dict[str, float]:
        """Score of every column that has one, 0 to 1.

        1 less the Kolmogorov-Smirnov distance of numbers, or the total variation distance of categories.
        """
        scores = {name: getattr(column, "score", None) for name, column in self.columns.items()}
        return {name: score for name, score in scores.items() if score is not None}

    @property
    @abstractmethod
    def verdict(self) -> str:
        """The result in one line."""

    @property
    def worst_first(self) -> list[str]:
        """Names of the columns, those with the lowest scores first."""
        scores = self.scores
        return sorted(self.columns, key=lambda name: scores.get(name, 1.0))

    @property
    def facts_line(self) -> str:
        """Line on when and how the result was found; empty where that is not known."""
        return "" if self.facts is None else self.facts.line(self.rows)

    @abstractmethod
    def to_text(self) -> str:
        """A verdict, and tables for people, 80 columns wide."""

    @abstractmethod
    def _tiles(self) -> Iterable[Tile]:
        """Tiles of the table."""

    @abstractmethod
    def _advice(self, name: str, column: Any) -> Iterable[Advice]:
        """Advice on a column."""

    def _warnings(self) -> Iterable[Advice]:
        """Warnings on the table as a whole."""
        return ()

    @abstractmethod
    def _parts(self, places: Places) -> Iterable[Markup | None]:
        """Sections of the page between the overview and the columns, from the anchors of the columns."""

    @abstractmethod
    def _body(self, name: str, column: Any) -> Iterable[Child]:
        """Everything about a column but its heading, reason and advice."""

    def _advice_by_column(self) -> AdviceByColumn:
        """Advice on each column, the worst column first, with that on numbers or dates that are categories."""
        advice_by_column = {name: [*self._advice(name, self.columns[name])] for name in self.worst_first}
        for name, items in advice_by_column.items():
            levels = getattr(self.columns[name], "levels", ())
            items += advice_on_kind(levels, self.reasons.get(name, ""))
        return advice_by_column

    @property
    def score(self) -> float | None:
        """Mean of the columns' scores, SDMetrics' Column Shapes; None where no column has one."""
        return _mean([*self.scores.values()])

    @property
    def pair_score(self) -> float | None:
        """Mean of the scores of pairs of values; None where no pair has one."""
        return _mean([pair.score for pair in self.pairs if pair.score is not None and pair.of_values])

    def to_html(
        self, path: str | PathLike[str] | None = None, *, title: str | None = None, first_rows: bool = False
    ) -> str:
        """One HTML page for people that needs nothing else: pictures of the columns, figures, what to do.

        Parameters
        ----------
        path : path, optional
            File or URL to write the page to; its name ends in .html.
        title : str, optional
            Heading of the page; by default `TITLE`.
        first_rows : bool
            Whether it shows the first rows of the tables, which may be personal data.

        Returns
        -------
        str
            The page.

        Raises
        ------
        InputError
            For a path that cannot be written.
        """
        target = None if path is None else Document.page(path)
        result = self if first_rows else replace(self, first=None)
        text = page(self.TITLE if title is None else title, result)
        if target is not None:
            target.write(text)
        return text

    @staticmethod
    def _page_of_tables(title: str, lead: str, lines: Iterable[str], results: Mapping[str, Scored]) -> str:
        """HTML of one page of several results by name, with lines on all of them before; columns are folded."""
        mains = [
            _main_element(name, replace(result, first=None), result._advice_by_column(), f"table-{number}")
            for number, (name, result) in enumerate(results.items(), 1)
        ]
        items = [piece("item", words=line) for line in lines]
        return whole_page(title, piece("tables", title=title, lead=lead, items=items, mains=mains), packed=False)

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.verdict}>"

    def _repr_html_(self) -> str:
        """HTML that notebooks show."""
        result = replace(self, first=None)
        return fragment(self.TITLE, result)


def _mean(scores: list[float]) -> float | None:
    return sum(scores) / len(scores) if scores else None


def page(title: str, result: Scored) -> str:
    """HTML of the page."""
    packed = len(result.columns) > WIDE
    return whole_page(title, _main_element(title, result, result._advice_by_column(), packed=packed), packed=packed)


def whole_page(title: str, main: Markup, *, packed: bool) -> str:
    """HTML of a page around its main element."""
    script = resource("page.js")
    document = piece(
        "document",
        policy=_policy(script),
        title=title,
        css=Markup(resource("page.css")),
        no_script=piece("no_script") if packed else None,
        main=main,
        script=Markup(script),
    )
    return f"<!doctype html>\n{document}\n"


def fragment(title: str, result: Scored) -> str:
    """HTML of a result for a notebook: without a script, columns folded."""
    advice = result._advice_by_column()
    content_text = repr((result.verdict, result.facts_line, _all_tiles(result, advice), result.columns))
    # Anchors must differ between the reports of one notebook.
    mark = hashlib.sha256(content_text.encode("utf-8", "replace")).hexdigest()[:8]
    return piece("fragment", css=Markup(resource("page.css")), main=_main_element(title, result, advice, mark))


def _policy(script: str) -> str:
    """Content security policy: nothing is loaded, and no script but ours runs."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    # The hash lets the page's own script run and no other, without allowing inline scripts in general.
    return f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


def _main_element(
    title: str, result: Scored, advice: AdviceByColumn, mark: str = "", *, packed: bool = False
) -> Markup:
    """Main element of a page; with a mark for its anchors, all columns are folded and none is packed."""
    places = {name: f"{mark or 'column'}-{i}" for i, name in enumerate(result.columns, 1)}
    bodies = {name: _column_body(result, advice[name], name) for name in result.worst_first}
    sections = [
        piece(
            "column",
            place=places[name],
            open=None if packed or mark else Markup(" open"),
            name=name,
            kind=result.columns[name].kind,
            rows=_rows_text(result.columns[name]),
            body=None if packed else body,
        )
        for name, body in bodies.items()
    ]
    return piece(
        "main",
        title=title,
        verdict=result.verdict,
        facts=piece("facts", line=result.facts_line) if result.facts_line else None,
        lead=result._LEAD,
        tiles=tile_list(_all_tiles(result, advice)),
        problems=_problems(result, advice, places),
        overview=_overview(result, advice, places),
        parts=join(*result._parts(places)),
        no_first_rows=None if result.first else piece("no_first_rows"),
        columns=sections,
        packed=_packed_bodies(bodies.values()) if packed else None,
        omitted=_omitted_columns(result),
        foot=result._FOOT,
    )


def _packed_bodies(bodies: Iterable[Markup]) -> Markup:
    """Bodies of all sections in one compressed text, which the page's script unpacks."""
    # NUL separates them, which `escaped` leaves in no text.
    text = base64.b64encode(zlib.compress("\0".join(bodies).encode(), PACKING)).decode()
    return piece("packed", bodies=text)


def _rows_text(column: Any) -> str:
    """Rows of a column, and how many of them have no value."""
    missing = f", {share(column.missing_share)} missing" if column.missing else ""
    return f"{counted(column.rows, 'row')}{missing}"


def _column_body(result: Scored, advice: Sequence[Advice], name: str) -> Markup:
    """Everything about a column."""
    column, reason = result.columns[name], result.reasons.get(name)
    why = piece("caption", words=f"Kind {column.kind}: {reason}.") if reason else None
    return join(why, _advice_list(advice), *result._body(name, column))


def _advice_list(advice: Sequence[Advice]) -> Markup:
    """Lists of problems, each with its remedy."""
    lists = []
    for sort in ("warning", "note"):
        items = [_advice_item(item.problem, item) for item in advice if item.sort == sort]
        lists += [piece("advice", sort=sort, items=items)] if items else []
    return join(lists)


def _advice_item(problem: Child, advice: Advice) -> Markup:
    return piece("advice_item", problem=problem, remedy=advice.remedy)


def _problems(result: Scored, advice: AdviceByColumn, places: Places) -> Markup:
    """Warnings on the table and the first one on each column; columns with the same remedy share a line."""
    first_warnings = {name: warnings for name, items in advice.items() if (warnings := warnings_among(items))}
    of_table = [*result._warnings()]
    if not first_warnings and not of_table:
        return piece("no_problem")
    columns_by_remedy: dict[str, list[str]] = {}
    for name, warnings in first_warnings.items():
        columns_by_remedy.setdefault(warnings[0].remedy, []).append(name)
    items = [_advice_item(warning.problem, warning) for warning in of_table]
    items += [
        _problem(names, first_warnings[names[0]][0], places) for names in list(columns_by_remedy.values())[:LISTED]
    ]
    remaining_columns = sum(map(len, list(columns_by_remedy.values())[LISTED:]))
    if remaining_columns:
        items.append(piece("item", words=f"and {counted(remaining_columns, 'more column')}: see the warnings below"))
    return piece("problems", items=items, explanation=result._REMEDIES)


def _problem(names: list[str], warning: Advice, places: Places) -> Markup:
    """A warning on a column, and the others that have one like it, with other figures."""
    links = [link(name, places) for name in names[: 1 + ALIKE]]
    similar_links = Markup(", ").join(links[1:])
    remaining_words = f" and {len(names) - len(links):,} more" if len(names) > len(links) else ""
    similar = Markup(f" Much the same in {similar_links}{remaining_words}.") if similar_links else None
    return _advice_item(join(links[0], ": ", warning.problem, similar), warning)


def _omitted_columns(result: Scored) -> Markup | None:
    """Columns of the source that the model does not have."""
    reasons = [(name, reason) for name, reason in result.reasons.items() if name not in result.columns]
    items = [piece("omitted_item", name=name, reason=reason) for name, reason in reasons]
    return piece("omitted", items=items) if items else None


def warnings_among(advice: list[Advice]) -> list[Advice]:
    """Warnings of a list of advice, without its notes."""
    return [item for item in advice if item.sort == "warning"]


def _all_tiles(result: Scored, advice: AdviceByColumn) -> list[Tile]:
    """Tiles of the table, and one with the number of columns that have a warning."""
    columns = sum(bool(warnings_among(items)) for items in advice.values())
    return [*result._tiles(), ("columns to look at", f"{columns:,}", "columns with a warning")]


def _overview(result: Scored, advice: AdviceByColumn, places: Places) -> Markup:
    """A table of all columns, which the script sorts and filters."""
    names = result.worst_first
    figures = {measure.title: [measure.cell(result.columns[name]) for name in names] for measure in result._OVERVIEW}
    warning_counts = [len(warnings_among(advice[name])) for name in names]
    figures["warnings"] = [(str(count or NOTHING), count) for count in warning_counts]
    figures = {title: cells for title, cells in figures.items() if any(text.strip(NOTHING) for text, _ in cells)}
    rows = []
    for name, *cells in zip(names, *figures.values(), strict=True):
        column = result.columns[name]
        rows.append(
            piece(
                "overview_row",
                name=name,
                link=link(name, places),
                kind=column.kind,
                preview=_preview(name, column, result.SHOWN),
                figures=[piece("overview_figure", text=text, key=str(key)) for text, key in cells],
            )
        )
    titles = _title_cells(["column", "kind", "values", *figures], text=2)
    return piece("overview", shown=result.SHOWN, titles=titles, rows=rows)


def _preview(name: str, column: Any, caption: str) -> Markup | None:
    """The values of a column as small as a line: numbers in bins, or the most frequent categories."""
    pictures = getattr(column, "pictures", ())
    if pictures:
        styles = ("original", "synthetic")
        return preview_chart((f"Values of {name}", caption), pictures[0].original, pictures[0].synthetic, styles)
    if getattr(column, "levels", ()):
        counts = [(level.rows_before, level.rows_after) for level in column.levels]
    elif getattr(column, "profile", None) is not None and column.profile.histogram is not None:
        histogram = column.profile.histogram
        counts = [*zip(histogram.before, histogram.after, strict=True)]
    else:
        return None
    before, after = zip(*counts, strict=True)
    return preview_chart((f"Values of {name}", caption), before, after)


def link(name: str, places: Places) -> Markup:
    """A link to a column."""
    return piece("link", place=places[name], name=name)


def pair_cells(pair: PairTrend, places: Places, digits: int) -> tuple[list[Markup], list[str]]:
    """Cells of a table of pairs: links to both columns, and the correlations that there are before and after."""
    correlations = ["" if r is None else f"{r:z.{digits}f}" for r in (pair.before, pair.after)]
    return [link(name, places) for name in pair.columns], correlations


def section(title: str, *content: Child) -> Markup:
    """A part of the page with its heading."""
    return piece("section", title=title, content=join(*content))


def swatch(style: str) -> Markup:
    """A spot of the colour that a style has in charts."""
    return piece("swatch", style=style)


def tile_list(figures: Iterable[Tile]) -> Markup:
    """Figures side by side."""
    return piece(
        "tiles", tiles=[piece("tile", title=title, value=value, meaning=text) for title, value, text in figures]
    )


def chart_figure(chart: Markup, caption: Child) -> Markup:
    """A chart with its caption."""
    return piece("figure", chart=chart, caption=caption)


def scroll_table(titles: Sequence[str], rows: Iterable[Sequence[Child]], caption: str, text: int = 1) -> Markup:
    """A table that scrolls in its own box; the first cell of a row is its heading, `text` columns are set left."""
    sides = _sides(len(titles), text)[1:]
    body = [
        piece(
            "table_row",
            heading=heading,
            cells=[piece("table_cell", side=side, content=cell) for cell, side in zip(cells, sides, strict=True)],
        )
        for heading, *cells in rows
    ]
    label = caption.partition(".")[0]
    return piece("table", caption=caption, label=label, titles=_title_cells(titles, text), rows=body)


def _title_cells(titles: Sequence[str], text: int) -> list[Markup]:
    sides = _sides(len(titles), text)
    return [piece("table_title", title=title, side=side) for title, side in zip(titles, sides, strict=True)]


def _sides(columns: int, text: int) -> list[Markup | None]:
    """Attribute of the cells of each column: all but the first `text` hold numbers, which are set right."""
    return [None if i < text else Markup(' class="n"') for i in range(columns)]


def share_bar(part: float, length: float, style: str) -> Markup:
    """A share behind a bar, whose length is from 0 to 1."""
    return piece("share_bar", width=f"{100 * length:.1f}", style=style, share=share(part))


def with_others(column: Any, categories: int) -> list[ValueCount]:
    """The listed categories of a column, and all others of `categories` together."""
    unlisted = categories - len(column.levels)
    words = f"{unlisted:,} other{'s' * (unlisted > 1)}"
    return [
        *column.levels,
        *[ValueCount(None, words, column.other_rows_before, column.other_rows_after)] * (unlisted > 0),
    ]


def description_table(
    first: Description, second: Description, titles: tuple[str, str], quantiles: Collection[float] = SHARES
) -> Markup:
    """Moments and quantiles of two sets of values, folded; `quantiles` are those that may be shown."""
    words = ["mean", "sd", *SHARE_NAMES.values()]
    is_shown = [True, True, *(part in quantiles for part in SHARES)]
    rows = list(compress(zip(words, first.texts, second.texts, strict=True), is_shown))
    table = scroll_table(("", *titles), rows, f"Moments and quantiles, {' and '.join(titles)}")
    return piece("quantiles", table=table)


def first_rows_table(first_rows: FirstRows, after: str, caption: str, columns: int, *, mark: bool = False) -> Markup:
    """The rows as a table that scrolls in its own box.

    Parameters
    ----------
    first_rows : FirstRows
        The rows.
    after : str
        Title of the second value of a pair.
    caption : str
        Text above the table.
    columns : int
        Columns of the report, which may be more.
    mark : bool
        Whether second values that differ from the first are bold.
    """
    titles = ["row", *chain.from_iterable((name, after) for name in first_rows.before)]
    pairs = [
        [
            (first, piece("changed", text=second) if mark and first != second else second)
            for first, second in zip(before, first_rows.after[name], strict=True)
        ]
        for name, before in first_rows.before.items()
    ]
    rows = [(f"{place:,}", *chain.from_iterable(cells)) for place, cells in enumerate(zip(*pairs, strict=True), 1)]
    columns_note = f" Shown are the first {len(pairs)} of {columns:,} columns." if columns > len(pairs) else ""
    return section("First rows", scroll_table(titles, rows, caption + columns_note, text=len(titles)))

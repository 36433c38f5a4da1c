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
from importlib import resources
from itertools import chain, compress
from os import PathLike
from typing import Any, ClassVar

from gpuvgm.errors import counted
from gpuvgm.io import Document
from gpuvgm.report.advice import Advice, advice_on_kind
from gpuvgm.report.charts import preview_chart
from gpuvgm.report.counting import FirstRows
from gpuvgm.report.figures import SHARE_NAMES, SHARES, Description, RunFacts, ValueCount
from gpuvgm.report.markup import Child, Markup, join, tag
from gpuvgm.report.measures import NOTHING, SCORE, Measure, ReportPart, Tile, share
from gpuvgm.report.pair_trends import PairTrend

WIDE = 50  # columns: the sections of more are folded and compressed
PACKING = 6  # level of compression
NO_FIRST_ROWS = "First rows may be personal data: --first-rows, or to_html(first_rows=True), shows them."
NO_SCRIPT = "The columns of this wide table are compressed: allow scripts to open them."
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
    script = _resource("page.js")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", http_equiv="Content-Security-Policy", content=_policy(script)),
        tag("link", rel="icon", href="data:,"),
        tag("title", title),
        tag("style", Markup(_resource("page.css"))),
    )
    packed = len(result.columns) > WIDE
    script_note = tag("noscript", tag("p", NO_SCRIPT)) if packed else None
    main = _main_element(title, result, result._advice_by_column(), packed=packed)
    body = tag("body", script_note, main, tag("script", Markup(script)))
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def fragment(title: str, result: Scored) -> str:
    """HTML of a result for a notebook: without a script, columns folded."""
    advice = result._advice_by_column()
    content_text = repr((result.verdict, result.facts_line, _all_tiles(result, advice), result.columns))
    # Anchors must differ between the reports of one notebook.
    mark = hashlib.sha256(content_text.encode("utf-8", "replace")).hexdigest()[:8]
    return join(tag("style", Markup(_resource("page.css"))), _main_element(title, result, advice, mark))


def _policy(script: str) -> str:
    """Content security policy: nothing is loaded, and no script but ours runs."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    # The hash lets the page's own script run and no other, without allowing inline scripts in general.
    return f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


def _resource(name: str) -> str:
    return resources.files("gpuvgm.report").joinpath(name).read_text(encoding="utf-8").strip()


def _main_element(
    title: str, result: Scored, advice: AdviceByColumn, mark: str = "", *, packed: bool = False
) -> Markup:
    """Main element of a page; with a mark for its anchors, all columns are folded and none is packed."""
    places = {name: f"{mark or 'column'}-{i}" for i, name in enumerate(result.columns, 1)}
    bodies = {name: _column_body(result, advice[name], name) for name in result.worst_first}
    sections = [
        tag(
            "details",
            _heading(name, result.columns[name]),
            None if packed else body,
            id=places[name],
            open=not (packed or mark),
            class_="column",
        )
        for name, body in bodies.items()
    ]
    return tag(
        "main",
        tag("h1", title),
        tag("p", f"{result.verdict}.", class_="verdict"),
        tag("p", result.facts_line, class_="facts") if result.facts_line else None,
        tag("p", result._LEAD, class_="lead"),
        tile_list(_all_tiles(result, advice)),
        _problems(result, advice, places),
        _overview(result, advice, places),
        join(*result._parts(places)),
        None if result.first else tag("p", NO_FIRST_ROWS, class_="caption"),
        sections,
        _packed_bodies(bodies.values()) if packed else None,
        _omitted_columns(result),
        tag("p", f"Made by gpuvgm. {result._FOOT}", class_="foot"),
        class_="gpuvgm",
    )


def _packed_bodies(bodies: Iterable[Markup]) -> Markup:
    """Bodies of all sections in one compressed text, which the page's script unpacks."""
    # NUL separates them, which `escaped` leaves in no text.
    text = base64.b64encode(zlib.compress("\0".join(bodies).encode(), PACKING)).decode()
    return tag("template", Markup(text), class_="packed")


def _heading(name: str, column: Any) -> Markup:
    """Name and kind of a column, and its rows."""
    words = counted(column.rows, "row")
    if column.missing:
        words += f", {share(column.missing_share)} missing"
    return tag("summary", tag("h2", name), tag("span", column.kind, class_="kind"), tag("span", words, class_="rows"))


def _column_body(result: Scored, advice: Sequence[Advice], name: str) -> Markup:
    """Everything about a column."""
    column, reason = result.columns[name], result.reasons.get(name)
    why = tag("p", f"Kind {column.kind}: {reason}.", class_="caption") if reason else None
    return join(why, _advice_list(advice), *result._body(name, column))


def _advice_list(advice: Sequence[Advice]) -> Markup:
    """Lists of problems, each with its remedy."""
    lists = []
    for sort in ("warning", "note"):
        items = [tag("li", item.problem, " ", _remedy(item)) for item in advice if item.sort == sort]
        lists += [tag("ul", items, class_=f"advice {sort}")] if items else []
    return join(lists)


def _remedy(advice: Advice) -> Markup:
    return tag("span", advice.remedy, class_="remedy")


def _problems(result: Scored, advice: AdviceByColumn, places: Places) -> Markup:
    """Warnings on the table and the first one on each column; columns with the same remedy share a line."""
    first_warnings = {name: warnings for name, items in advice.items() if (warnings := warnings_among(items))}
    of_table = [*result._warnings()]
    if not first_warnings and not of_table:
        return tag("p", "Nothing stands out.", class_="fine")
    columns_by_remedy: dict[str, list[str]] = {}
    for name, warnings in first_warnings.items():
        columns_by_remedy.setdefault(warnings[0].remedy, []).append(name)
    items = [tag("li", warning.problem, " ", _remedy(warning)) for warning in of_table]
    items += [
        _problem(names, first_warnings[names[0]][0], places) for names in list(columns_by_remedy.values())[:LISTED]
    ]
    remaining_columns = sum(map(len, list(columns_by_remedy.values())[LISTED:]))
    if remaining_columns:
        items.append(tag("li", f"and {counted(remaining_columns, 'more column')}: see the warnings below"))
    explanation = tag("p", result._REMEDIES, class_="caption")
    return join(tag("h2", "What to look at"), tag("ul", items, class_="advice warning"), explanation)


def _problem(names: list[str], warning: Advice, places: Places) -> Markup:
    """A warning on a column, and the others that have one like it, with other figures."""
    links = [link(name, places) for name in names[: 1 + ALIKE]]
    other_links = join([join(", " if i else "", anchor) for i, anchor in enumerate(links[1:])])
    remaining_words = f" and {len(names) - len(links):,} more" if len(names) > len(links) else ""
    similar = join(" Much the same in ", other_links, remaining_words, ".") if other_links else None
    return tag("li", links[0], ": ", warning.problem, similar, " ", _remedy(warning))


def _omitted_columns(result: Scored) -> Markup | None:
    """Columns of the source that the model does not have."""
    reasons = [(name, reason) for name, reason in result.reasons.items() if name not in result.columns]
    items = [tag("li", tag("b", name), f": {reason}") for name, reason in reasons]
    return join(tag("h2", "Left out"), tag("ul", items)) if items else None


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
    titles = ["column", "kind", "values", *figures]
    head = [tag("th", title, scope="col", class_=None if i < 2 else "n") for i, title in enumerate(titles)]
    body = []
    for name, *cells in zip(names, *figures.values(), strict=True):
        column = result.columns[name]
        heading = tag("th", link(name, places), scope="row", data_v=name)
        preview = tag("td", _preview(name, column, result.SHOWN), class_="n", data_v="")
        figure_cells = [tag("td", text, class_="n", data_v=key) for text, key in cells]
        body.append(tag("tr", heading, tag("td", column.kind, data_v=column.kind), preview, figure_cells))
    rows = tag("table", tag("thead", tag("tr", head)), tag("tbody", body), class_="overview", aria_label="All columns")
    caption = tag("p", f"{result.SHOWN}.", class_="caption")
    return join(tag("h2", "Columns"), caption, tag("div", rows, class_="scroll", tabindex=0))


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
    return tag("a", name, href=f"#{places[name]}")


def pair_cells(pair: PairTrend, places: Places, digits: int) -> tuple[list[Markup], list[str]]:
    """Cells of a table of pairs: links to both columns, and the correlations that there are before and after."""
    correlations = ["" if r is None else f"{r:z.{digits}f}" for r in (pair.before, pair.after)]
    return [link(name, places) for name in (pair.one, pair.other)], correlations


def tile_list(figures: Iterable[Tile]) -> Markup:
    """Figures side by side."""
    return tag(
        "dl",
        [tag("div", tag("dt", word), tag("dd", value), title=meaning) for word, value, meaning in figures],
        class_="tiles",
    )


def chart_figure(chart: Markup, caption: Child) -> Markup:
    """A chart with its caption."""
    return tag("figure", chart, tag("figcaption", caption))


def scroll_table(titles: Sequence[str], rows: Iterable[Sequence[Child]], caption: str, text: int = 1) -> Markup:
    """A table that scrolls in its own box; the first cell of a row is its heading, `text` columns are set left."""
    sides = [None if i < text else "n" for i in range(len(titles))]
    head = [tag("th", title, scope="col", class_=side) for title, side in zip(titles, sides, strict=True)]
    body = [
        tag(
            "tr",
            tag("th", row[0], scope="row", class_=sides[0]),
            [tag("td", cell, class_=side) for cell, side in zip(row[1:], sides[1:], strict=True)],
        )
        for row in rows
    ]
    table = tag("table", tag("thead", tag("tr", head)), tag("tbody", body), aria_label=caption.partition(".")[0])
    return join(tag("p", caption, class_="caption"), tag("div", table, class_="scroll", tabindex=0))


def share_bar(part: float, length: float, style: str) -> Markup:
    """A share behind a bar, whose length is from 0 to 1."""
    bar = tag("span", tag("i", style=f"width:{100 * length:.1f}%", class_=style), class_="bar")
    return join(bar, share(part))


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
    return tag("details", tag("summary", "Moments and quantiles"), table, class_="more")


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
            (first, tag("b", second) if mark and first != second else second)
            for first, second in zip(before, first_rows.after[name], strict=True)
        ]
        for name, before in first_rows.before.items()
    ]
    rows = [(f"{place:,}", *chain.from_iterable(cells)) for place, cells in enumerate(zip(*pairs, strict=True), 1)]
    columns_note = f" Shown are the first {len(pairs)} of {columns:,} columns." if columns > len(pairs) else ""
    return join(tag("h2", "First rows"), scroll_table(titles, rows, caption + columns_note, text=len(titles)))

"""What the pages of all reports have in common: one HTML page that needs nothing else.

No script, style, font or picture comes from elsewhere.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from os import PathLike
from typing import Any, ClassVar

from gpuvgm.errors import counted
from gpuvgm.io import PAGE_ENDINGS, check_document, write_bytes
from gpuvgm.report.advice import Advice
from gpuvgm.report.markup import Markup, join, tag
from gpuvgm.report.pair_trends import PairTrend
from gpuvgm.report.sections import remedy, tiles

WIDE = 50  # columns: the sections of more are folded and compressed
PACKING = 6  # level of compression
NO_SCRIPT = "The columns of this wide table are compressed: allow scripts to open them."
LISTED = 8  # problems that are listed at the top
ALIKE = 6  # other columns with one of them that are named
Cell = tuple[str, float | str]  # what is shown, and what it is sorted by
Places = Mapping[str, str]  # anchors of the columns


@dataclass(frozen=True, slots=True)
class Content:
    """What a page says.

    Parameters
    ----------
    title, verdict, facts, lead, foot : str
        Heading, the result in a sentence, when and how it was found (may be empty), what the page is about, its end.
    figures : sequence of tuple of str
        Tiles of the table.
    columns : mapping of str to object
        Figures of each column.
    said : mapping of str to list of Advice
        What is to be said of each column.
    remedies : str
        How to read what to do.
    overview : mapping of str to callable
        Columns of the overview: title, and the cell of a column's figures.
    parts : callable
        What stands between the overview and the columns, from the anchors of these.
    sections : mapping of str to pair of Markup
        Heading of each column, and everything about it.
    left_out : mapping of str to str
        Columns that are not there, and why.
    """

    title: str
    verdict: str
    facts: str
    lead: str
    foot: str
    figures: Sequence[tuple[str, str, str]]
    columns: Mapping[str, Any]
    said: Mapping[str, list[Advice]]
    remedies: str
    overview: Mapping[str, Callable[[Any], Cell]]
    parts: Callable[[Places], Iterable[Markup | None]]
    sections: Mapping[str, tuple[Markup, Markup]]
    left_out: Mapping[str, str]


class Paged(ABC):
    """A result that people read as text, and as one HTML page that needs nothing else."""

    __slots__ = ()
    TITLE: ClassVar[str]

    @abstractmethod
    def to_text(self) -> str:
        """A verdict, and tables for people, 80 columns wide."""

    @abstractmethod
    def _content(self, title: str, *, first_rows: bool) -> Content:
        """What the page says."""

    def to_html(
        self, path: str | PathLike[str] | None = None, *, title: str | None = None, first_rows: bool = True
    ) -> str:
        """One HTML page for people that needs nothing else: histograms with the fitted modes, figures, what to do.

        Parameters
        ----------
        path : path, optional
            File or URL to write the page to; its name ends in .html.
        title : str, optional
            Heading of the page; by default `TITLE`.
        first_rows : bool
            Whether it shows the first rows of the tables.

        Returns
        -------
        str
            The page.

        Raises
        ------
        InputError
            For a path that cannot be written.
        """
        target = None if path is None else check_document(path, PAGE_ENDINGS)
        text = page(self._content(self.TITLE if title is None else title, first_rows=first_rows))
        if target is not None:
            write_bytes(target, text.encode())
        return text

    def __str__(self) -> str:
        return self.to_text()

    def _repr_html_(self) -> str:
        """What notebooks show."""
        return fragment(self._content(self.TITLE, first_rows=True))


def page(content: Content) -> str:
    """The whole page."""
    script = _beside("page.js")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", http_equiv="Content-Security-Policy", content=_policy(script)),
        tag("link", rel="icon", href="data:,"),
        tag("title", content.title),
        tag("style", Markup(_beside("page.css"))),
    )
    packed = len(content.columns) > WIDE
    none = tag("noscript", tag("p", NO_SCRIPT)) if packed else None
    body = tag("body", none, _main(content, packed=packed), tag("script", Markup(script)))
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def fragment(content: Content) -> str:
    """The same for a notebook: without a script, columns folded."""
    style = tag("style", Markup(_beside("page.css")))
    said = repr((content.verdict, content.facts, content.figures, content.sections))
    mark = hashlib.sha256(said.encode("utf-8", "replace")).hexdigest()[:8]  # there may be others in the notebook
    return join(style, _main(content, mark))


def _policy(script: str) -> str:
    """Content security policy: nothing is loaded, and no script but ours runs."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


def _beside(name: str) -> str:
    return resources.files("gpuvgm.report").joinpath(name).read_text(encoding="utf-8").strip()


def _main(content: Content, mark: str = "", *, packed: bool = False) -> Markup:
    """What a page holds; with a mark for its anchors, all columns are folded and none is packed."""
    places = {name: f"{mark or 'column'}-{i}" for i, name in enumerate(content.columns, 1)}
    sections = [
        tag("details", heading, None if packed else body, id=places[name], open=not (packed or mark), class_="column")
        for name, (heading, body) in content.sections.items()
    ]
    return tag(
        "main",
        tag("h1", content.title),
        tag("p", f"{content.verdict}.", class_="verdict"),
        tag("p", content.facts, class_="facts") if content.facts else None,
        tag("p", content.lead, class_="lead"),
        tiles(content.figures),
        _problems(content, places),
        _overview(content, places),
        join(*content.parts(places)),
        sections,
        _packed(body for _, body in content.sections.values()) if packed else None,
        _left_out(content.left_out),
        tag("p", f"Made by gpuvgm. {content.foot}", class_="foot"),
        class_="gpuvgm",
    )


def _packed(bodies: Iterable[Markup]) -> Markup:
    """What stands in the sections, one after the other and compressed, for the script to write out."""
    text = base64.b64encode(zlib.compress("\0".join(bodies).encode(), PACKING)).decode()
    return tag("template", Markup(text), class_="packed")


def _problems(content: Content, places: Places) -> Markup:
    """The first warning on each column, one line for those alike; the others stand with the columns."""
    noted = {name: warnings for name, found in content.said.items() if (warnings := warnings_of(found))}
    if not noted:
        return tag("p", "Nothing stands out.", class_="fine")
    alike: dict[str, list[str]] = {}
    for name, warnings in noted.items():
        alike.setdefault(warnings[0].remedy, []).append(name)
    items = [_problem(names, noted[names[0]][0], places) for names in list(alike.values())[:LISTED]]
    left = sum(map(len, list(alike.values())[LISTED:]))
    if left:
        items.append(tag("li", f"and {counted(left, 'more column')}: see the warnings below"))
    meant = tag("p", content.remedies, class_="caption")
    return join(tag("h2", "What to look at"), tag("ul", items, class_="advice warning"), meant)


def _problem(names: list[str], warning: Advice, places: Places) -> Markup:
    """A warning on a column, and the others that have one like it, with other figures."""
    links = [tag("a", name, href=f"#{places[name]}") for name in names[: 1 + ALIKE]]
    others = join([join(", " if i else "", link) for i, link in enumerate(links[1:])])
    more = f" and {len(names) - len(links):,} more" if len(names) > len(links) else ""
    also = join(" Much the same in ", others, more, ".") if others else None
    return tag("li", links[0], ": ", warning.problem, also, " ", remedy(warning))


def _left_out(reasons: Mapping[str, str]) -> Markup | None:
    """Columns of the source that the model does not have."""
    if not reasons:
        return None
    items = [tag("li", tag("b", name), f": {reason}") for name, reason in reasons.items()]
    return join(tag("h2", "Left out"), tag("ul", items))


def warnings_of(found: list[Advice]) -> list[Advice]:
    """What is wrong, without what may be better."""
    return [one for one in found if one.sort == "warning"]


def _overview(content: Content, places: Places) -> Markup:
    """A table of all columns, which the script sorts and filters."""
    titles = ["column", "kind", *content.overview, "warnings"]
    head = [tag("th", title, scope="col", class_=None if i < 2 else "n") for i, title in enumerate(titles)]
    body = []
    for name, column in content.columns.items():
        cells = [figure(column) for figure in content.overview.values()]
        noted = len(warnings_of(content.said[name]))
        cells.append((str(noted or "–"), noted))
        link = tag("th", tag("a", name, href=f"#{places[name]}"), scope="row", data_v=name)
        figures = [tag("td", text, class_="n", data_v=key) for text, key in cells]
        body.append(tag("tr", link, tag("td", column.kind, data_v=column.kind), figures))
    held = tag("table", tag("thead", tag("tr", head)), tag("tbody", body), class_="overview", aria_label="All columns")
    return join(tag("h2", "Columns"), tag("div", held, class_="scroll", tabindex=0))


def pair_links(pair: PairTrend, places: Places) -> list[Markup]:
    """Cells of a table of pairs: links to both columns."""
    return [tag("a", name, href=f"#{places[name]}") for name in (pair.one, pair.other)]


def correlations(pair: PairTrend, digits: int) -> list[str]:
    """Cells of a table of pairs: the correlations before and after, empty where there is none."""
    return ["" if r is None else f"{r:z.{digits}f}" for r in (pair.before, pair.after)]


def number_cell(figure: str, show: Callable[[float], str]) -> Callable[[Any], Cell]:
    """Cell of a figure; columns without it come last."""

    def cell(column: Any) -> Cell:
        value = getattr(column, figure, None)
        return ("", "") if value is None else (show(value), f"{value:.9g}")

    return cell

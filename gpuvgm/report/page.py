"""A report as one HTML page that needs nothing else: no script, style, font or picture from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from gpuvgm.columns.text import by_width
from gpuvgm.errors import counted
from gpuvgm.report.advice import Advice, advice, share, short
from gpuvgm.report.figures import CategoryFigures, ColumnFigures, NumberFigures
from gpuvgm.report.first_rows import FirstRows, first_rows_table
from gpuvgm.report.markup import Markup, join, tag
from gpuvgm.report.sections import remedy, section, share_bar, table, tiles

REMEDIES = (
    'Remedies are arguments of TableTransformer. On the command line, tails="exact" is gpuvgm fit --tails exact, '
    'kind="drop" is --columns NAME=drop, and what has no option of its own stands in a file: --columns SPEC.toml.'
)
LEAD = "What encoding and decoding do to these rows, and how well the fitted modes describe them."
WIDE = 50  # columns: the sections of more are folded and compressed
PACKING = 6  # level of compression
NO_SCRIPT = "The columns of this wide table are compressed: allow scripts to open them."
LISTED = 8  # problems that are listed at the top
ALIKE = 6  # other columns with one of them that are named
_Cell = tuple[str, float | str]  # what is shown, and what it is sorted by


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


def page(title: str, about: Head, columns: Mapping[str, ColumnFigures], reasons: Mapping[str, str]) -> str:
    """The whole page.

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
    script = _beside("page.js")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", http_equiv="Content-Security-Policy", content=_policy(script)),
        tag("link", rel="icon", href="data:,"),
        tag("title", title),
        tag("style", Markup(_beside("page.css"))),
    )
    packed = len(columns) > WIDE
    none = tag("noscript", tag("p", NO_SCRIPT)) if packed else None
    content = _content(title, about, columns, reasons, packed=packed)
    body = tag("body", none, content, tag("script", Markup(script)))
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def fragment(about: Head, columns: Mapping[str, ColumnFigures], reasons: Mapping[str, str]) -> str:
    """The same for a notebook: without a script, columns folded."""
    style = tag("style", Markup(_beside("page.css")))
    mark = hashlib.sha256(repr((about, columns)).encode()).hexdigest()[:8]  # there may be others in the notebook
    return join(style, _content("Round trip", about, columns, reasons, mark))


def _policy(script: str) -> str:
    """Content security policy: nothing is loaded, and no script but ours runs."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


def _beside(name: str) -> str:
    return resources.files("gpuvgm.report").joinpath(name).read_text(encoding="utf-8").strip()


def _content(
    title: str,
    about: Head,
    columns: Mapping[str, ColumnFigures],
    reasons: Mapping[str, str],
    mark: str = "",
    *,
    packed: bool = False,
) -> Markup:
    """What a page holds; with a mark for its anchors, all columns are folded and none is packed."""
    said = {name: advice(name, column) for name, column in columns.items()}
    places = {name: f"{mark or 'column'}-{i}" for i, name in enumerate(columns, 1)}
    sections = {name: section(name, column, reasons.get(name)) for name, column in columns.items()}
    return tag(
        "main",
        tag("h1", title),
        tag("p", f"{about.verdict}.", class_="verdict"),
        tag("p", about.facts, class_="facts") if about.facts else None,
        tag("p", LEAD, class_="lead"),
        tiles(_summary(about, columns, said)),
        _problems(said, places),
        _overview(columns, said, places),
        _widest(about.widths, places),
        first_rows_table(about.first, "decoded", len(columns)) if about.first else None,
        [
            tag(
                "details",
                heading,
                None if packed else body,
                id=places[name],
                open=not (packed or mark),
                class_="column",
            )
            for name, (heading, body) in sections.items()
        ],
        _packed(body for _, body in sections.values()) if packed else None,
        _left_out({name: reason for name, reason in reasons.items() if name not in columns}),
        tag("p", "Made by gpuvgm. Errors and distances are in standard deviations (sd) of each column.", class_="foot"),
        class_="gpuvgm",
    )


def _packed(bodies: Iterable[Markup]) -> Markup:
    """What stands in the sections, one after the other and compressed, for the script to write out."""
    text = base64.b64encode(zlib.compress("\0".join(bodies).encode(), PACKING)).decode()
    return tag("template", Markup(text), class_="packed")


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
    noted = sum(bool(_warnings(held)) for held in said.values())
    found.append(("columns to look at", f"{noted:,}", "columns with a warning"))
    return found


def _problems(said: Mapping[str, list[Advice]], places: Mapping[str, str]) -> Markup:
    """The first warning on each column, one line for those alike; the others stand with the columns."""
    noted = {name: warnings for name, found in said.items() if (warnings := _warnings(found))}
    if not noted:
        return tag("p", "Nothing stands out.", class_="fine")
    alike: dict[str, list[str]] = {}
    for name, warnings in noted.items():
        alike.setdefault(warnings[0].remedy, []).append(name)
    items = [_problem(names, noted[names[0]][0], places) for names in list(alike.values())[:LISTED]]
    left = sum(map(len, list(alike.values())[LISTED:]))
    if left:
        items.append(tag("li", f"and {left:,} more columns: see their warnings below"))
    meant = tag("p", REMEDIES, class_="caption")
    return join(tag("h2", "What to look at"), tag("ul", items, class_="advice warning"), meant)


def _problem(names: list[str], warning: Advice, places: Mapping[str, str]) -> Markup:
    """A warning on a column, and the others that have one like it, with other figures."""
    links = [tag("a", name, href=f"#{places[name]}") for name in names[: 1 + ALIKE]]
    others = join([join(", " if i else "", link) for i, link in enumerate(links[1:])])
    more = f" and {len(names) - len(links):,} more" if len(names) > len(links) else ""
    also = join(" Much the same in ", others, more, ".") if others else None
    return tag("li", links[0], ": ", warning.problem, also, " ", remedy(warning))


def _widest(widths: Mapping[str, int], places: Mapping[str, str]) -> Markup | None:
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


def _left_out(reasons: Mapping[str, str]) -> Markup | None:
    """Columns of the source that the model does not have."""
    if not reasons:
        return None
    items = [tag("li", tag("b", name), f": {reason}") for name, reason in reasons.items()]
    return join(tag("h2", "Left out"), tag("ul", items))


def _warnings(found: list[Advice]) -> list[Advice]:
    return [one for one in found if one.sort == "warning"]


def _overview(
    columns: Mapping[str, ColumnFigures], said: Mapping[str, list[Advice]], places: Mapping[str, str]
) -> Markup:
    titles = ["column", "kind", *_FIGURES, "warnings"]
    head = [tag("th", title, scope="col", class_=None if i < 2 else "n") for i, title in enumerate(titles)]
    body = []
    for name, column in columns.items():
        cells = [figure(column) for figure in _FIGURES.values()]
        noted = len(_warnings(said[name]))
        cells.append((str(noted or "–"), noted))
        link = tag("th", tag("a", name, href=f"#{places[name]}"), scope="row", data_v=name)
        figures = [tag("td", text, class_="n", data_v=key) for text, key in cells]
        body.append(tag("tr", link, tag("td", column.kind, data_v=column.kind), figures))
    held = tag("table", tag("thead", tag("tr", head)), tag("tbody", body), class_="overview", aria_label="All columns")
    return join(tag("h2", "Columns"), tag("div", held, class_="scroll", tabindex=0))


def _number(figure: str, show: Callable[[float], str]) -> Callable[[ColumnFigures], _Cell]:
    """Cell of a figure; columns without it come last."""

    def cell(column: ColumnFigures) -> _Cell:
        value: Any = getattr(column, figure, None)
        return ("", "") if value is None else (show(value), f"{value:.9g}")

    return cell


def _missing(column: ColumnFigures) -> _Cell:
    part = column.missing / max(column.rows, 1)
    return (share(part) if column.missing else "–", f"{part:.9g}")


def _cells(column: ColumnFigures) -> _Cell:
    """Modes or categories."""
    if isinstance(column, CategoryFigures):
        return (f"{column.level_count:,}", column.level_count)
    modes = column.profile.modes if isinstance(column, NumberFigures) and column.profile else ()
    return (str(len(modes)), len(modes)) if modes else ("", "")


def _kept(column: ColumnFigures) -> _Cell:
    """Rows that keep their mode or category."""
    figure = "level_agreement" if isinstance(column, CategoryFigures) else "mode_agreement"
    return _number(figure, share)(column)


_FIGURES: Mapping[str, Callable[[ColumnFigures], _Cell]] = {
    "missing": _missing,
    "modes, categories": _cells,
    "99.9 % error": _number("p999_error", short),
    "largest": _number("maximum_error", short),
    "clipped": _number("clipped_share", share),
    "same": _kept,
    "KS": _number("ks", short),
    "Wasserstein": _number("wasserstein", short),
}

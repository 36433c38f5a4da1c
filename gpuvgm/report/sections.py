"""The part of a page that is about one column."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from gpuvgm.errors import counted
from gpuvgm.report.advice import Advice, share, short
from gpuvgm.report.charts import colour, errors_chart, histogram_chart, scalars_chart
from gpuvgm.report.figures import (
    SHARE_NAMES,
    CategoryFigures,
    ColumnFigures,
    Description,
    NumberFigures,
    PassedFigures,
    ValueCount,
)
from gpuvgm.report.markup import Child, Markup, join, tag
from gpuvgm.report.profiles import Histogram, ModeProfile, NumberProfile

_MODE_TITLES = (
    "mode", "mean or value", "sd", "scalars, −1 to 1", "fitted weight", "drawn share", "cut below", "cut above",
)  # fmt: skip


def section(name: str, column: ColumnFigures, reason: str | None, said: Sequence[Advice]) -> tuple[Markup, Markup]:
    """Heading of a column, and everything about it; `reason` is why it has its kind."""
    why = tag("p", f"Kind {column.kind}: {reason}.", class_="caption") if reason else None
    body: list[Child] = [why, advice_list(said)]
    if isinstance(column, NumberFigures):
        body += _numbers(name, column)
    elif isinstance(column, CategoryFigures):
        body += [_category_tiles(column), _categories_table(column)]
    elif isinstance(column, PassedFigures):
        body.append(tag("p", "Handed through as it is."))
    return column_heading(name, column), join(*body)


def column_heading(name: str, column: Any) -> Markup:
    """Name and kind of a column, and its rows."""
    return tag("summary", tag("h2", name), tag("span", column.kind, class_="kind"), _missing(column))


def advice_list(said: Sequence[Advice]) -> Markup | None:
    """Problems, each with what to do; None without any."""
    lists = []
    for sort in ("warning", "note"):
        items = [tag("li", one.problem, " ", remedy(one)) for one in said if one.sort == sort]
        lists += [tag("ul", items, class_=f"advice {sort}")] if items else []
    return join(lists) if lists else None


def remedy(one: Advice) -> Markup:
    """What to do."""
    return tag("span", one.remedy, class_="remedy")


def _missing(column: Any) -> Markup:
    words = counted(column.rows, "row")
    if column.missing:
        words += f", {share(column.missing / column.rows)} missing"
    return tag("span", words, class_="rows")


def tiles(figures: Iterable[tuple[str, str, str]]) -> Markup:
    """Figures side by side: what it is, its value, and what that means."""
    return tag(
        "dl",
        [tag("div", tag("dt", word), tag("dd", value), title=meaning) for word, value, meaning in figures],
        class_="tiles",
    )


def _numbers(name: str, column: NumberFigures) -> Iterable[Markup | None]:
    profile = column.profile
    yield tiles(_number_figures(column))
    if profile is None:
        return
    if profile.histogram is not None:
        yield figure(histogram_chart(name, profile, profile.histogram), _histogram_caption(column, profile.histogram))
    yield _modes_table(column, profile)
    errors = errors_chart(name, column, profile)
    if errors is not None:
        exact = f" {_come_back(profile.no_errors)} exactly." if profile.no_errors else ""
        words = "Errors of the round trip, in standard deviations; a step up is ten times as many rows."
        yield figure(errors, words + exact)
    elif profile.no_errors:
        yield tag("p", "Every row comes back exactly.", class_="caption")
    if column.before is not None and column.after is not None:
        yield description_table(column.before, column.after, ("before", "after"))
    if column.kind != "general":
        yield tag("p", _fit_words(profile), class_="fit")


def _come_back(rows: int) -> str:
    return f"{counted(rows, 'row')} {'comes' if rows == 1 else 'come'} back"


def figure(drawn: Markup, caption: str) -> Markup:
    """A chart and what it shows."""
    return tag("figure", drawn, tag("figcaption", caption))


def _number_figures(column: NumberFigures) -> Iterable[tuple[str, str, str]]:
    yield "99.9 % error", f"{short(column.p999_error)} sd", "all rows but one in a thousand come back closer than this"
    yield "median error", f"{short(column.median_error)} sd", "half of the rows come back closer than this"
    cut = "rows outside the fitted range" if column.kind == "general" else "rows whose scalar was cut at ±0.99"
    yield ("outside" if column.kind == "general" else "clipped"), share(column.clipped_share), cut
    if column.mode_agreement is not None:
        yield "same mode", share(column.mode_agreement), "rows that keep their most probable mode on the way"
    yield "KS", short(column.ks), "Kolmogorov-Smirnov distance of the values before and after"
    yield "Wasserstein", f"{short(column.wasserstein)} sd", "Wasserstein distance of the values before and after"
    yield "invalid", f"{column.invalid_rows:,}", "rows outside the fitted range, as they came in"


def _histogram_caption(column: NumberFigures, histogram: Histogram) -> str:
    curves = ", curves: the fitted modes, dashed: the whole mixture" if histogram.curves else ""
    parts = [f"Grey: the rows, thin line: after the round trip{curves}."]
    if histogram.logarithmic:
        parts.append("The axis is logarithmic.")
    beyond = ((histogram.below, "below"), (histogram.above, "above"))
    left = " and ".join(f"{counted(count, 'row')} {side} it" for count, side in beyond if count)
    if left:
        parts.append(f"Not on the axis: {left}.")
    if column.modal:
        parts.append("Modal values and missing rows are in the table below.")
    return " ".join(parts)


def _modes_table(column: NumberFigures, profile: NumberProfile) -> Markup | None:
    if not profile.modes:
        return None
    ordinary = sum(mode.rows for mode in profile.modes if mode.weight is not None)
    parts = [mode.rows / max(column.rows if mode.weight is None else ordinary, 1) for mode in profile.modes]
    longest = max(parts) or 1.0
    rows = [
        _mode_row(place, mode, share_bar(part, part / longest, colour(place) if mode.scalars else "modal"))
        for place, (mode, part) in enumerate(zip(profile.modes, parts, strict=True), 1)
    ]
    drawn = "Shares of modes are of the rows drawn from the mixture; those of modal values of all rows."
    return table(_MODE_TITLES, rows, f"Modes. {drawn}", text=2)


def _mode_row(place: int, mode: ModeProfile, drawn: Markup) -> Sequence[Child]:
    cut = [f"{count:,}" if count else "–" for count in (mode.below, mode.above)]
    if mode.weight is None:
        return (
            ("tail", mode.name, "", "", "", drawn, *cut)
            if mode.tail
            else ("value", mode.name, *[""] * 3, drawn, "", "")
        )
    swatch = join(tag("i", class_=f"swatch {colour(place)}"), str(place))
    return (swatch, mode.name, mode.sd, scalars_chart(place, mode), share(mode.weight), drawn, *cut)


def share_bar(part: float, length: float, style: str) -> Markup:
    """A share behind a bar, whose length is from 0 to 1."""
    bar = tag("span", tag("i", style=f"width:{100 * length:.1f}%", class_=style), class_="bar")
    return join(bar, share(part))


def table(titles: Sequence[str], rows: Iterable[Sequence[Child]], caption: str, text: int = 1) -> Markup:
    """A table that scrolls in its own box; the first cell of a row is its heading, `text` columns are set left."""
    head = tag("tr", [tag("th", title, scope="col", class_=_side(i, text)) for i, title in enumerate(titles)])
    body = [tag("tr", [_cell(cell, i, text) for i, cell in enumerate(row)]) for row in rows]
    held = tag("table", tag("thead", head), tag("tbody", body), aria_label=caption.partition(".")[0])
    return join(tag("p", caption, class_="caption"), tag("div", held, class_="scroll", tabindex=0))


def _cell(cell: Child, at: int, text: int) -> Markup:
    return tag("th" if at == 0 else "td", cell, scope="row" if at == 0 else None, class_=_side(at, text))


def _side(at: int, text: int) -> str | None:
    return None if at < text else "n"


def description_table(one: Description, other: Description, titles: tuple[str, str]) -> Markup:
    """Moments and quantiles of two sets of values, folded."""
    words = ["mean", "sd", *SHARE_NAMES.values()]
    rows = list(zip(words, one.texts, other.texts, strict=True))
    folded = table(("", *titles), rows, f"Moments and quantiles, {' and '.join(titles)}")
    return tag("details", tag("summary", "Moments and quantiles"), folded, class_="more")


def _fit_words(profile: NumberProfile) -> str:
    fit = profile.fit
    if fit.algorithm == "none":
        return "No mixture was fitted: no row had an ordinary value."
    active = sum(mode.weight is not None for mode in profile.modes)
    words = [
        f'Fit: algorithm="{fit.algorithm}", effort="{fit.effort}", on {fit.rows:,} rows; {active} of '
        f"{profile.components} components became modes; {fit.iterations:,} iterations, "
        f"{'converged' if fit.converged else 'not converged'}; lower bound {fit.lower_bound:,.6g}"
    ]
    if fit.bound_with_fewer is not None and fit.bound_with_fewer == fit.bound_with_fewer:
        words.append(f"{_apart(fit.bound_with_fewer - fit.lower_bound)} with one mode fewer")
    words.append(f"estimated distance to the exact fit {short(fit.fit_error)} sigma")
    return ", ".join(words) + "."


def _apart(difference: float) -> str:
    return f"{abs(difference):,.4g} {'lower' if difference <= 0 else 'higher'}"


def _category_tiles(column: CategoryFigures) -> Markup:
    return tiles(
        [
            ("categories", f"{column.level_count:,}", "known to the model"),
            ("same category", share(column.level_agreement), "rows whose category comes back"),
            ("unknown", f"{column.unknown_rows:,}", "rows with a value that is no category"),
            ("variation", short(column.total_variation), "half the sum of the differences between shares"),
        ]
    )


def _categories_table(column: CategoryFigures) -> Markup:
    counts = list(column.levels)
    left = column.level_count - len(counts)
    if left > 0:
        counts.append(
            ValueCount(None, f"{left:,} other{'s' * (left > 1)}", column.other_rows_before, column.other_rows_after)
        )
    parts = [count.rows_before / max(column.rows, 1) for count in counts]
    longest = max(parts, default=1.0) or 1.0
    rows = [
        (count.text, share_bar(part, part / longest, "m0"), f"{count.rows_before:,}", f"{count.rows_after:,}")
        for count, part in zip(counts, parts, strict=True)
    ]
    return table(("category", "share", "rows before", "rows after"), rows, "Categories by falling frequency")

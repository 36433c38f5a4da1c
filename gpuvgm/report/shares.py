"""Charts of two tables on one axis as inline SVG: shares of a column, and heat maps of a pair."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpuvgm.report.charts import FEET, SIDE, Label, chart, drawing_box, linear_ticks, path, rule, steps_path
from gpuvgm.report.markup import Markup, join, piece, tag
from gpuvgm.report.measures import share
from gpuvgm.report.pictures import Axis, JointShares, Shares

HEIGHT, HEAT_HEIGHT = 180, 240
_ROOM = 1.12  # of the highest bar: none is cut
_SIDE = 26  # per cent of a heat map's width, for the labels of the axis upwards
_SHADES = 24
_LONGEST = 14  # characters of a label beside a heat map


def shares_chart(shares: Shares) -> Markup:
    """Both tables on one axis: the original as an area, the synthetic one as an outline."""
    original, synthetic = shares.heights
    top = _ROOM * max(float(np.max(original)), float(np.max(synthetic)), 1e-300)
    ticks = [tick for tick in linear_ticks(0, top, 4) if 0 < tick < 0.95 * top]
    paths = [rule(tick / top, "grid") for tick in ticks]
    paths.append(path(steps_path(shares.axis.places, original / top, closed=True), "original"))
    paths.append(path(steps_path(shares.axis.places, synthetic / top, closed=False), "synthetic"))
    labels = [*shares.axis.ticks, *(Label(1.0, f"{100 * tick:.4g} %", 1 - tick / top - 0.01) for tick in ticks)]
    words = (f"Shares of {shares.axis.title}", "Original rows as an area, synthetic ones as a line")
    return chart(words, HEIGHT, paths, labels, "histogram")


def heat_maps(joint: JointShares) -> Markup:
    """Joint shares of both tables side by side, on one scale of colours."""
    tables = (("original", joint.original), ("synthetic", joint.synthetic))
    maps = [piece("map", table=table, map=_heat_map(joint, table, shares)) for table, shares in tables]
    return piece("maps", maps=maps)


def _heat_map(joint: JointShares, title: str, shares: NDArray[np.float32]) -> Markup:
    # A quotient of 1 may be rounded up.
    shade = np.minimum(np.ceil(_SHADES * shares / (joint.largest or 1.0)).astype(np.int64), _SHADES)
    paths = [
        tag("path", d=Markup(_cells(joint, shade == at)), class_="heat", style=f"fill-opacity:{at / _SHADES:.3f}")
        for at in range(1, _SHADES + 1)
        if np.any(shade == at)
    ]
    box = drawing_box(paths, HEAT_HEIGHT, _SIDE)
    columns = f"{joint.across.title} and {joint.upwards.title}"
    words = f"Joint shares of {columns}, {title} rows: at most {share(joint.largest)}"
    return tag(
        "svg", tag("title", words), box, _labels_across(joint.across), _labels_upwards(joint.upwards),
        class_="chart", role="img", width="100%", style=f"height:{HEAT_HEIGHT + FEET}px",
    )  # fmt: skip


def _cells(joint: JointShares, cells: NDArray[np.bool_]) -> str:
    """Path of the rectangles of some cells."""
    x, y = ([round(SIDE * place) for place in axis.places] for axis in (joint.across, joint.upwards))
    return "".join(
        f"M{x[i]} {SIDE - y[j]}H{x[i + 1]}V{SIDE - y[j + 1]}H{x[i]}z" for i, j in zip(*np.nonzero(cells), strict=True)
    )


def _labels_across(axis: Axis) -> Markup:
    """Labels under a heat map, as many as have room."""
    ticks = [*axis.ticks]
    longest = max((len(_short(tick.text)) for tick in ticks), default=1)
    kept = ticks[:: -(-len(ticks) * longest // 40) or 1]
    return join([_text(tick, _SIDE + (100 - _SIDE) * tick.place, HEAT_HEIGHT + FEET - 7, "middle") for tick in kept])


def _labels_upwards(axis: Axis) -> Markup:
    """Labels on the left of a heat map."""
    return join([_text(tick, _SIDE - 1, round(HEAT_HEIGHT * (1 - tick.place)) + 4, "end") for tick in axis.ticks])


def _text(tick: Label, x: float, y: int, anchor: str) -> Markup:
    words = join(tag("title", tick.text), _short(tick.text))
    return tag("text", words, x=f"{x:.2f}%", y=y, text_anchor=anchor, class_="tick")


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"

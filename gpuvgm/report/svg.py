"""Charts as inline SVG: paths of few points that stretch with the page, and text that does not.

A path lives in a box of 1000 by 1000 units that is stretched to the chart; labels are placed in per cent of its width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gpuvgm.report.markup import Child, Markup, join, tag
from gpuvgm.summary.grid import Floats

SIDE = 1000
FEET = 22  # pixels under a chart for the labels of its axis
_RIGHT, _RIGHT_INSIDE = 0.94, 0.8  # labels further right end where they are placed
_NOTHING = 2  # units above the axis below which a curve is not drawn


@dataclass(frozen=True, slots=True)
class Label:
    """A text on a chart, from 0 to 1 along the axis; `top` in per cent of the chart, None under the axis."""

    place: float
    text: str
    top: float | None = None
    style: str | None = None


def chart(words: tuple[str, str], height: int, paths: Child, labels: Sequence[Label] = (), css: str = "") -> Markup:
    """A chart with its title and description.

    Parameters
    ----------
    words : tuple of str
        Title, and what the chart shows in words.
    height : int
        Of the part with the paths, in pixels.
    paths : Markup
        What is drawn in the box.
    labels : sequence of Label
        Texts, those under the axis among them.
    css : str
        Further classes.
    """
    feet = FEET if any(label.top is None for label in labels) else 0
    box = tag("svg", paths, width="100%", height=height, viewBox=f"0 0 {SIDE} {SIDE}", preserveAspectRatio="none")
    texts = [_label(label, height) for label in labels]
    return tag(
        "svg", tag("title", words[0]), tag("desc", words[1]), box, texts,
        class_=f"chart {css}".strip(), role="img", width="100%", height=height + feet,
    )  # fmt: skip


def _label(label: Label, height: int) -> Markup:
    low = label.top is None
    y = height + FEET - 7 if label.top is None else round(label.top * height, 1)
    right = _RIGHT if low else _RIGHT_INSIDE
    anchor = "start" if label.place < 1 - _RIGHT else "end" if label.place > right else "middle"
    x = f"{100 * min(max(label.place, 0.0), 1.0):.2f}%"
    return tag("text", label.text, x=x, y=y, text_anchor=anchor, class_=label.style or ("tick" if low else None))


def steps(places: Sequence[float] | Floats, heights: Sequence[float] | Floats, *, closed: bool) -> str:
    """Path of a histogram: edges and heights from 0 to 1; closed along the axis, or only its outline."""
    x, y = _units(places), [SIDE - height for height in _units(heights)]
    parts, category = [f"M{x[0]} {SIDE}"], SIDE
    for left, top in zip(x, y, strict=False):
        if top != category:
            parts.append(f"H{left}V{top}")
            category = top
    return f"{''.join(parts)}H{x[-1]}V{SIDE}{'z' if closed else ''}"


def curve(places: Sequence[float] | Floats, heights: Sequence[float] | Floats) -> str:
    """Path through points from 0 to 1, where it is high enough to be seen, closed along the axis; empty elsewhere."""
    x, y = _units(places), _units(heights)
    held = [i for i, height in enumerate(y) if height >= _NOTHING]
    if not held:
        return ""
    first, last = max(held[0] - 1, 0), min(held[-1] + 1, len(y) - 1)
    x, y = x[first : last + 1], [SIDE - height for height in y[first : last + 1]]
    moves = [f"l{b - a} {d - c}" for a, b, c, d in zip(x, x[1:], y, y[1:], strict=False)]
    return f"M{x[0]} {SIDE}V{y[0]}{''.join(moves)}V{SIDE}"


def _units(values: Sequence[float] | Floats) -> list[int]:
    inside = np.minimum(np.maximum(values, 0.0), 1.0)
    units: list[int] = np.rint(SIDE * inside).astype(np.int64).tolist()
    return units


def _unit(value: float) -> int:
    return round(SIDE * min(max(value, 0.0), 1.0))


def line(place: float, style: str) -> Markup:
    """A vertical line."""
    return tag("path", d=f"M{_unit(place)} 0V{SIDE}", class_=style)


def rule(height: float, style: str) -> Markup:
    """A horizontal line."""
    return tag("path", d=f"M0 {SIDE - _unit(height)}H{SIDE}", class_=style)


def path(d: str, style: str, title: str | None = None) -> Markup:
    """A path, with a text that is shown where one points at it."""
    return tag("path", join(None if title is None else tag("title", title)), d=Markup(d), class_=style) if d else join()

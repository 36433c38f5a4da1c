"""A report's figures as text for people, 80 columns wide."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpuvgm.report import ColumnFigures

WIDTH = 80

_Headings = Sequence[tuple[str, "Callable[[ColumnFigures], str]"]]
_ERRORS: _Headings = (
    ("rows", lambda c: f"{c.rows:,}"),
    ("missing", lambda c: f"{c.missing:,}"),
    ("median error", lambda c: f"{c.median_error:.1e}"),
    ("99.9 % error", lambda c: f"{c.p999_error:.1e}"),
    ("largest", lambda c: f"{c.maximum_error:.1e}"),
)
_SHARES: _Headings = (
    ("clipped", lambda c: f"{100 * c.clipped_share:.3f} %"),
    ("same mode", lambda c: f"{100 * c.mode_agreement:.3f} %"),
    ("invalid", lambda c: f"{c.invalid_rows:,}"),
    ("no mode", lambda c: f"{c.under_threshold_rows:,}"),
)
_NOTE = """\
errors: of transform and inverse, in units of the column's standard deviation
clipped: scalars cut at ±0.99
same mode: most probable mode kept through transform, inverse, transform
invalid: rows outside the training range
no mode: rows whose most probable component is under the weight threshold"""


def figures_text(columns: Mapping[str, ColumnFigures]) -> str:
    """Two tables, errors and shares, one line a column, and what the words mean."""
    return "\n".join([*_lines(_ERRORS, columns), "", *_lines(_SHARES, columns), "", _NOTE])


def _lines(headings: _Headings, columns: Mapping[str, ColumnFigures]) -> list[str]:
    rows = [[title for title, _ in headings], *([cell(column) for _, cell in headings] for column in columns.values())]
    widths = [max(len(row[i]) for row in rows) for i in range(len(headings))]
    room = WIDTH - sum(width + 2 for width in widths)
    names = ["column", *columns]
    wide = max((len(name) for name in names if len(name) <= room), default=0)
    lines = []
    for name, row in zip(names, rows, strict=True):
        *above, last = [name[i : i + room] for i in range(0, len(name), room)] or [""]
        figures = "".join("  " + text.rjust(width) for text, width in zip(row, widths, strict=True))
        lines += [*above, last.ljust(wide) + figures]
    return lines

"""Pictures of columns, with matplotlib (extra ``report``)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from statistics import NormalDist
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.codecs import unit_of
from gpuvgm.columns.histograms import Curve, Histogram
from gpuvgm.columns.numbers import NumericColumn
from gpuvgm.errors import EnvironmentProblem, InputError, pip_command
from gpuvgm.io import is_moment_type
from gpuvgm.summary import Floats, Pieces, Summary

PLOT_CATEGORIES = 20
_LEAST_SHARE = 5e-4  # that is not 0.0 %
_DAY, _HOUR = 86_400.0, 3_600.0  # seconds
_QUANTILES = 100  # of each component, to place the axis where there are no rows


def new_axes(rows: int = 1, columns: int = 1, *, height: float = 4.2) -> Any:
    """Axes of a new figure, an array of shape (rows, columns); `height` of each row in inches."""
    try:
        from matplotlib import pyplot
    except ImportError as problem:
        raise EnvironmentProblem(f"pictures need matplotlib: {pip_command('report')}") from problem
    return pyplot.subplots(rows, columns, figsize=(9, height * rows), layout="constrained", squeeze=False)[1]


def _axes(ax: Any) -> Any:
    """The axes to draw on, new ones where none were given, without a frame."""
    ax = new_axes()[0, 0] if ax is None else ax
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def plot_mixture(column: NumericColumn, rows: Floats | Summary | None, ax: Any) -> Any:
    """Draw a mixture over the histogram of its rows, as pages do; skewed columns get logarithmic bins.

    The curves are the rows that each active mode expects in a bin; without rows they are drawn alone, as shares.
    """
    if column.mixture is None:
        raise InputError(f'column "{column.name}" had no ordinary value, and has no modes to draw')
    ax = _axes(ax)
    numbers, weight = _expected_numbers(column) if rows is None else _row_numbers(column, rows)
    histogram = Histogram.of(column, Pieces.of_values(numbers, weight))
    edges, places = (np.array(histogram.edges) + histogram.base) / _axis_unit(column), np.array(histogram.places)
    bin_width = float(np.median(np.diff(places)))

    def points(curve: Curve) -> tuple[Floats, Floats]:
        """A curve in values and rows per bin."""
        at = np.interp(curve.places, places, np.log(edges) if histogram.logarithmic else edges)
        return np.exp(at) if histogram.logarithmic else at, np.array(curve.heights) * bin_width

    if rows is not None:
        bars = np.array(histogram.before) * bin_width / np.diff(places)
        ax.stairs(bars, edges, fill=True, color="0.84", label="rows")
    for k, curve in zip(column.components_by_mean, histogram.curves, strict=True):
        mean, sd = float(column.means[k]), float(column.stds[k])
        label = f"{column.codec.rounded_mean_text(mean, sd)} ± {column.codec.rounded_length_text(sd)}"
        share = "< 0.1" if column.weights[k] < _LEAST_SHARE else f"{100 * column.weights[k]:.1f}"
        line = ax.plot(*points(curve), label=f"{label}   {share} %")[0]
        ax.fill_between(*points(curve), alpha=0.2, color=line.get_color(), linewidth=0)
    if histogram.mixture is not None:
        ax.plot(*points(histogram.mixture), color="black", linewidth=1, linestyle="--", label="whole mixture")
    ax.set_xscale("log" if histogram.logarithmic else "linear")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter("{x:,g}")
    if is_moment_type(column.type):
        _label_dates(ax, getattr(column.type, "tz", None))
    ax.set(
        xlabel=_literal(column.name) + _axis_note(column) + (", logarithmic" if histogram.logarithmic else ""),
        ylabel="share of rows per bin" if rows is None else "rows per bin",
        xlim=(edges[0], edges[-1]),
        ylim=(0, None),
    )
    ax.legend(title="mean ± sd   weight", frameon=False, fontsize="small")
    return ax


def plot_categories(name: str, texts: Iterable[str], counts: Sequence[int], ax: Any) -> Any:
    """Draw the training rows of the most frequent categories each, and of the others together."""
    ax = _axes(ax)
    labels, rows = [_literal(text) for text in islice(texts, PLOT_CATEGORIES)], list(counts[:PLOT_CATEGORIES])
    if len(counts) > PLOT_CATEGORIES:
        labels.append(f"{len(counts) - PLOT_CATEGORIES:,} others")
        rows.append(sum(counts[PLOT_CATEGORIES:]))
    places = range(len(labels))
    ax.barh(places, rows, color="0.7")
    ax.set_yticks(places, labels)
    ax.invert_yaxis()
    ax.xaxis.set_major_formatter("{x:,g}")
    ax.set(xlabel="rows", ylabel=_literal(name))
    return ax


def _axis_unit(column: NumericColumn) -> float:
    """Units of the column in one of the axis: cents in an amount, nanoseconds in a day, in a second or in an hour."""
    if not column.codec.plain.tick:
        return unit_of(column.codec.plain)
    seconds = _DAY if is_moment_type(column.type) else _HOUR if pa.types.is_time(column.type) else 1.0
    return seconds / column.codec.plain.tick


def _axis_note(column: NumericColumn) -> str:
    """Unit of an axis that does not show values as they are written."""
    return " (hours)" if pa.types.is_time(column.type) else " (seconds)" if pa.types.is_duration(column.type) else ""


def _label_dates(ax: Any, zone: str | None) -> None:
    """Dates on an axis of days since 1970, as matplotlib counts them."""
    from matplotlib import dates

    kinds: Any = dates  # which has no types for all of it
    locator = kinds.AutoDateLocator(tz=zone)
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(kinds.ConciseDateFormatter(locator, tz=zone))


def _in_own_unit(column: NumericColumn, values: NDArray[Any]) -> Floats:
    """Finite values as floats in the column's unit."""
    if values.dtype.kind in "mM":
        return values.astype(f"{values.dtype.kind}8[ns]").view(np.int64) / (column.codec.plain.tick * 1e9)
    return values.astype(np.float64) * unit_of(column.codec.plain)


def _literal(text: str) -> str:
    """A text that matplotlib does not take for a formula."""
    return text.replace("$", r"\$")


def _expected_numbers(column: NumericColumn) -> tuple[Floats, Floats]:
    """Quantiles of every component within the column's range, and its ends, as numbers with their weights."""
    quantiles = [NormalDist().inv_cdf((place + 0.5) / _QUANTILES) for place in range(_QUANTILES)]
    x = column.means[:, None] + column.stds[:, None] * np.array(quantiles)
    assert column.minimum is not None and column.maximum is not None
    ends = np.array([column.codec.plain.number(end) for end in (column.minimum, column.maximum)])
    numbers = np.clip(column.codec.to_inner(x.ravel() - column.codec.base), ends[0], ends[1])
    return np.append(numbers, ends), np.append(np.repeat(column.weights / _QUANTILES, _QUANTILES), [0.0, 0.0])


def _row_numbers(column: NumericColumn, rows: Floats | Summary) -> tuple[Floats, Floats]:
    """One or more numbers without the function of the column's scale, and the rows that hold each."""
    if isinstance(rows, Summary):
        cells = rows.cells()
        numbers, weight = column.codec.to_inner(rows.grid.frame.invert(cells.mean)), cells.weight
    else:
        values = np.asarray(rows)
        if values.ndim != 1 or values.dtype.kind not in "biufmM":
            raise InputError(f'column "{column.name}": rows must be an array of one dimension that holds numbers')
        numbers = _in_own_unit(column, values[np.isfinite(values)]) - column.codec.plain.base
        weight = np.ones(len(numbers))
    if not len(numbers):
        raise InputError(f'column "{column.name}": there is no value to draw but modal and missing ones')
    return numbers, weight

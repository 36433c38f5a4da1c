"""Pictures of columns, with matplotlib (extra ``report``)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from scipy.special import ndtr, ndtri
from sklearn.utils.validation import check_is_fitted

from gpuvgm.columns.categorical import CategoricalColumn
from gpuvgm.columns.codecs import AsinhCodec, CurvedCodec
from gpuvgm.columns.continuous import MixtureColumn
from gpuvgm.columns.model import ColumnModel, TableModel
from gpuvgm.columns.text import category_text
from gpuvgm.errors import EnvironmentProblem, InputError, install_extra
from gpuvgm.summary.grid import Floats
from gpuvgm.summary.summary import Summary

PLOT_BINS = 120
PLOT_CATEGORIES = 20
MOST_TICKS = 12  # of an axis of logarithms
_QUANTILES = 256  # of each component, where there are no rows


def plot_column(column: ColumnModel, rows: Floats | Summary | None = None, ax: Any = None) -> Any:
    """Picture of a column; needs matplotlib (extra ``report``).

    A mixture is drawn over the histogram of its rows: the curves are the rows that each active mode expects in every
    bin, and skewed columns get logarithmic bins. Without rows the curves are drawn alone, as shares. Of a categorical
    column the training rows of its categories are drawn, the most frequent ones each and the others together.

    Parameters
    ----------
    column : MixtureColumn or CategoricalColumn
        The fitted column.
    rows : ndarray of shape (rows,), or Summary
        Values of a continuous or mixed column, or what was summarised of them.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InputError
        For columns of other kinds, and those that had no value to fit.
    """
    if not isinstance(column, (MixtureColumn, CategoricalColumn)):
        raise InputError(f'column "{column.name}" is {column.kind}: only mixtures and categories can be drawn')
    if isinstance(column, MixtureColumn) and column.mixture is None:
        raise InputError(f'column "{column.name}" had no ordinary value, and has no modes to draw')
    if ax is None:
        ax = _new_axes()
    if isinstance(column, CategoricalColumn):
        _draw_categories(column, ax)
    else:
        _draw_mixture(column, rows, ax)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _new_axes() -> Any:
    try:
        from matplotlib import pyplot
    except ImportError as problem:
        raise EnvironmentProblem(f"pictures need matplotlib: {install_extra('report')}") from problem
    return pyplot.subplots(figsize=(9, 4.2), layout="constrained")[1]


class ColumnPlots:
    """Pictures of fitted columns; part of `TableTransformer`.

    Attributes
    ----------
    model_ : TableModel
        The fitted columns.
    summaries_ : dict of str to Summary
        What is kept of their rows.
    """

    model_: TableModel
    summaries_: dict[str, Summary]

    def plot(self, name: str, ax: Any = None, *, rows: Floats | None = None) -> Any:
        """Draw one column with matplotlib: its modes over the histogram of its rows, or its categories.

        Parameters
        ----------
        name : str
            A fitted column.
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default a new figure.
        rows : ndarray of shape (rows,), optional
            Values to draw; by default the training rows. A model that was saved without summaries has none, and draws
            its modes alone.

        Returns
        -------
        matplotlib.axes.Axes
            What was drawn on.

        Raises
        ------
        InputError
            For a column that cannot be drawn.
        EnvironmentProblem
            Where matplotlib is missing.

        Examples
        --------
        >>> import numpy as np
        >>> from matplotlib.figure import Figure
        >>> import gpuvgm
        >>> transformer = gpuvgm.TableTransformer().fit({"amount": np.random.default_rng(0).normal(50, 9, 1000)})
        >>> ax = transformer.plot("amount", ax=Figure().subplots())
        >>> ax.get_xlabel()
        'amount'
        >>> ax.figure.savefig("amount.png")
        """
        check_is_fitted(self, "model_")
        if name not in self.model_.names:
            raise InputError(f'there is no column "{name}": the model has {", ".join(self.model_.names)}')
        return plot_column(self.model_[name], self.summaries_.get(name) if rows is None else rows, ax)


def _draw_mixture(column: MixtureColumn, rows: Floats | Summary | None, ax: Any) -> None:
    x, weight = _expected_points(column) if rows is None else _points(column, rows)
    codec = column.codec if isinstance(column.codec, CurvedCodec) else None
    edges, logarithmic = _bin_edges(x, weight) if codec is None else (_even_edges(x, weight), False)
    middles = np.sqrt(edges[1:] * edges[:-1]) if logarithmic else 0.5 * (edges[1:] + edges[:-1])
    if rows is not None:
        ax.stairs(np.histogram(x, edges, weights=weight)[0], edges, fill=True, color="0.84", label="rows")
    shares = column.weights[:, None] * np.diff(ndtr((edges - column.means[:, None]) / column.stds[:, None]))
    expected = np.sum(weight) * shares
    for k in sorted(column.active_components, key=lambda k: column.means[k]):
        mean = float(codec.linear(column.means[[k]])[0]) if isinstance(codec, AsinhCodec) else column.means[k]
        label = f"{mean:,.4g} ± {column.stds[k]:,.3g}   {100 * column.weights[k]:.1f} %"
        line = ax.plot(middles, expected[k], label=label)[0]
        ax.fill_between(middles, expected[k], alpha=0.2, color=line.get_color(), linewidth=0)
    ax.plot(middles, np.sum(expected, axis=0), color="black", linewidth=1, linestyle="--", label="whole mixture")
    ax.set_xscale("log" if logarithmic else "linear")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter("{x:,g}")
    if codec is not None:
        places, values = _ticks(codec, edges[0], edges[-1])
        ax.set_xticks(places, [f"{value:,g}" for value in values])
    ax.set(
        xlabel=_literal(column.name),
        ylabel="share of rows per bin" if rows is None else "rows per bin",
        xlim=(edges[0], edges[-1]),
        ylim=(0, None),
    )
    name = "sd" if codec is None else f"sd of {'logarithm' if codec.name == 'log' else codec.name}"
    ax.legend(title=f"mean ± {name}   weight", frameon=False, fontsize="small")


def _draw_categories(column: CategoricalColumn, ax: Any) -> None:
    texts = [_literal(category_text(column.type, category)) for category in column.categories[:PLOT_CATEGORIES]]
    counts = list(column.counts[:PLOT_CATEGORIES])
    if len(column.categories) > PLOT_CATEGORIES:
        texts.append(f"{len(column.categories) - PLOT_CATEGORIES:,} others")
        counts.append(sum(column.counts[PLOT_CATEGORIES:]))
    places = range(len(texts))
    ax.barh(places, counts, color="0.7")
    ax.set_yticks(places, texts)
    ax.invert_yaxis()
    ax.xaxis.set_major_formatter("{x:,g}")
    ax.set(xlabel="rows", ylabel=_literal(column.name))


def _literal(text: str) -> str:
    """A text that matplotlib does not take for a formula."""
    return text.replace("$", r"\$")


def _expected_points(column: MixtureColumn) -> tuple[Floats, Floats]:
    """Quantiles of every component within the column's range, and their weights, ascending."""
    x = column.means[:, None] + column.stds[:, None] * ndtri((np.arange(_QUANTILES) + 0.5) / _QUANTILES)
    if not isinstance(column.codec, CurvedCodec):
        x = np.clip(x, column.minimum, column.maximum)
    weight = np.broadcast_to(column.weights[:, None] / _QUANTILES, x.shape).ravel()
    order = np.argsort(x, axis=None)
    return x.ravel()[order], weight[order]


def _points(column: MixtureColumn, rows: Floats | Summary) -> tuple[Floats, Floats]:
    """Values and their weights, ascending; at least one."""
    if isinstance(rows, Summary):
        cells = rows.cells()
        x, weight = column.codec.base + rows.grid.frame.invert(cells.mean), cells.weight
    else:
        given = np.asarray(rows)
        if given.ndim != 1 or given.dtype.kind not in "biufmM":
            raise InputError(f'column "{column.name}": rows must be an array of one dimension that holds numbers')
        if isinstance(column.codec, CurvedCodec):  # its modes are those of the logarithms
            given = column.codec.encode(pa.array(given))
        x = np.sort(given[np.isfinite(given)]).astype(np.float64)
        weight = np.ones(len(x))
    if not len(x):
        raise InputError(f'column "{column.name}": there is no value to draw but modal and missing ones')
    return x, weight


def _bin_edges(x: Floats, weight: Floats) -> tuple[Floats, bool]:
    """Edges of bins over nearly all rows, and whether they are logarithmic (zeros left out then); `x` ascends."""
    low, middle, high = _quantiles(x, weight, [0.005, 0.5, 0.995])
    if x[0] >= 0 and middle > 0 and high > 20 * middle:
        return np.geomspace(_quantiles(x[x > 0], weight[x > 0], [0.005])[0], x[-1], PLOT_BINS + 1), True
    return _even_edges(x, weight), False


def _even_edges(x: Floats, weight: Floats) -> Floats:
    """Edges of equal bins over nearly all rows; `x` ascends."""
    low, high = _quantiles(x, weight, [0.005, 0.995])
    return np.linspace(low, max(high, np.nextafter(low, np.inf)), PLOT_BINS + 1)


def _ticks(codec: CurvedCodec, low: float, high: float) -> tuple[Floats, Floats]:
    """Where an axis of numbers is labelled, and with which values: zero and powers of ten that have room."""
    powers = 10.0 ** np.arange(-300, 301)
    values = np.concatenate((-powers[::-1], [0.0], powers))
    numbers = codec.curve(values - float(codec.origin) / codec.unit)
    kept: list[int] = []
    for at in np.flatnonzero((numbers >= low) & (numbers <= high))[::-1]:
        if not kept or numbers[kept[-1]] - numbers[at] > (high - low) / MOST_TICKS:
            kept.append(int(at))
    return numbers[kept], values[kept]


def _quantiles(x: Floats, weight: Floats, shares: list[float]) -> Floats:
    return np.asarray(x[np.searchsorted(np.cumsum(weight), np.sum(weight) * np.array(shares))])

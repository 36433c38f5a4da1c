"""Figures of fidelity: what a transform and its inverse do to the rows of a table, streamed in one pass.

Everything that is accumulated is a count or a maximum, so the figures do not depend on blocks, threads or order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from gpuvgm.encoding import Decoded, Encoded, EncodingOptions, decode_rows, encode_block, within_bounds
from gpuvgm.engines import Engine, get_engine
from gpuvgm.errors import InputError
from gpuvgm.execution import LocalExecutor
from gpuvgm.frames import Block
from gpuvgm.grid import Floats, Ints
from gpuvgm.model import ColumnModel, KernelTable, TableModel
from gpuvgm.report_text import figures_text
from gpuvgm.summary import Summary

MANTISSA_BITS = 4  # a bin of the histogram spans 2^-4 of its lower end
LEAST_EXPONENT, MOST_EXPONENT = -64, 64
BINS = (MOST_EXPONENT - LEAST_EXPONENT) << MANTISSA_BITS
PLOT_BINS = 120
SMALLEST = float(np.finfo(np.float64).tiny)
_SHIFT = 52 - MANTISSA_BITS
_FIRST_BIN = (LEAST_EXPONENT + 1023) << MANTISSA_BITS


@dataclass(frozen=True, slots=True)
class ErrorHistogram:
    """Counts of errors in logarithmic bins, read off the bits of the float64 values.

    A bin is 2^-4 of its lower end wide, so a quantile is at most 6.25 % too high; the maximum is exact. Errors
    below 2^-64 count as 0, those of 2^64 and more fall into the last bin.

    Parameters
    ----------
    counts : ndarray of shape (BINS + 1,), int64
        Errors that count as 0, then the bins.
    maximum : float
        The largest error.
    """

    counts: Ints = field(default_factory=lambda: np.zeros(BINS + 1, np.int64))
    maximum: float = 0.0

    @classmethod
    def of(cls, errors: Floats) -> ErrorHistogram:
        """Histogram of non-negative errors, shape (rows,)."""
        bits = np.ascontiguousarray(errors, dtype=np.float64).view(np.int64)
        bins = np.clip((bits >> _SHIFT) - (_FIRST_BIN - 1), 0, BINS)
        return cls(np.bincount(bins, minlength=BINS + 1), float(np.max(errors, initial=0.0)))

    def merge(self, other: ErrorHistogram) -> ErrorHistogram:
        """Histogram of both sets of errors."""
        return ErrorHistogram(self.counts + other.counts, max(self.maximum, other.maximum))

    def quantile(self, share: float) -> float:
        """Upper end of the bin that holds this quantile, or the maximum where that is less; 0 without errors."""
        cumulative = np.cumsum(self.counts)
        if cumulative[-1] == 0:
            return 0.0
        at = int(np.searchsorted(cumulative, min(max(share * cumulative[-1], 1), cumulative[-1])))
        if at == 0:
            return 0.0
        upper = np.array([(_FIRST_BIN + at) << _SHIFT], np.int64).view(np.float64)[0]
        return min(float(upper), self.maximum)


@dataclass(frozen=True, slots=True)
class ColumnFigures:
    """Fidelity of one column.

    Errors are those of transform with drawn modes and float32 scalars, then inverse. Shares are of the rows that have a
    value; quantiles are at most 6.25 % too high, maxima exact.

    Parameters
    ----------
    rows, missing : int
        All rows, and those without a value.
    median_error, p999_error, maximum_error : float
        |x' - x| in units of the standard deviation of the fitted mixture, which is that of the training column.
    median_relative_error, p999_relative_error, maximum_relative_error : float
        |x' - x| / |x|, rows with x = 0 left out.
    clipped_share : float
        Rows whose scalar was cut at ±0.99.
    mode_agreement : float
        Rows that keep their most probable mode through transform, inverse and transform; 1 where no row has a value.
    invalid_rows : int
        Rows whose value after the inverse lies outside the training range.
    under_threshold_rows : int
        Rows whose most probable component did not become a mode (its weight is under the threshold).
    """

    rows: int
    missing: int
    median_error: float
    p999_error: float
    maximum_error: float
    median_relative_error: float
    p999_relative_error: float
    maximum_relative_error: float
    clipped_share: float
    mode_agreement: float
    invalid_rows: int
    under_threshold_rows: int

    @property
    def invalid_share(self) -> float:
        """Share of all rows whose value after the inverse lies outside the training range."""
        return self.invalid_rows / self.rows if self.rows else 0.0


@dataclass(frozen=True, slots=True)
class ColumnTally:
    """What is counted of a column; the two histograms hold absolute errors in sd and relative errors."""

    rows: int = 0
    missing: int = 0
    clipped: int = 0
    agreeing: int = 0
    invalid: int = 0
    under_threshold: int = 0
    absolute: ErrorHistogram = field(default_factory=ErrorHistogram)
    relative: ErrorHistogram = field(default_factory=ErrorHistogram)

    def merge(self, other: ColumnTally) -> ColumnTally:
        """Tally of both sets of rows."""
        counts = {name: getattr(self, name) + getattr(other, name) for name in _COUNTS}
        return ColumnTally(
            **counts, absolute=self.absolute.merge(other.absolute), relative=self.relative.merge(other.relative)
        )

    def figures(self) -> ColumnFigures:
        """The counts as figures."""
        ordinary = self.rows - self.missing
        return ColumnFigures(
            rows=self.rows,
            missing=self.missing,
            median_error=self.absolute.quantile(0.5),
            p999_error=self.absolute.quantile(0.999),
            maximum_error=self.absolute.maximum,
            median_relative_error=self.relative.quantile(0.5),
            p999_relative_error=self.relative.quantile(0.999),
            maximum_relative_error=self.relative.maximum,
            clipped_share=self.clipped / ordinary if ordinary else 0.0,
            mode_agreement=self.agreeing / ordinary if ordinary else 1.0,
            invalid_rows=self.invalid,
            under_threshold_rows=self.under_threshold,
        )


_COUNTS = ("rows", "missing", "clipped", "agreeing", "invalid", "under_threshold")

#: Limits that `Report.broken` checks: the figure, whether it is a lower limit, and what to call it.
_BOUNDS = {
    "max_error": ("p999_error", False, "99.9th percentile of the round-trip error, in sd"),
    "max_clipped_share": ("clipped_share", False, "share of clipped rows"),
    "max_invalid_share": ("invalid_share", False, "share of rows outside the training range"),
    "min_mode_agreement": ("mode_agreement", True, "mode agreement"),
}


@dataclass(frozen=True, slots=True)
class Report:
    """Figures of fidelity of a table; `str` gives a table for people.

    Parameters
    ----------
    rows : int
        Rows evaluated.
    columns : dict of str to ColumnFigures
        The figures, in the model's order.
    """

    rows: int
    columns: Mapping[str, ColumnFigures]

    def to_dict(self) -> dict[str, Any]:
        """The same as a dict that JSON can hold."""
        return {"rows": self.rows, "columns": {name: asdict(column) for name, column in self.columns.items()}}

    def to_text(self) -> str:
        """Tables for people, 80 columns wide, one line a column, and what the words mean."""
        return figures_text(self.columns)

    def __str__(self) -> str:
        return self.to_text()

    def broken(self, bounds: Mapping[str, float | None]) -> list[str]:
        """Limits that a column breaks, as sentences; empty when all hold.

        Parameters
        ----------
        bounds : mapping of str to float
            "max_error" limits `p999_error`: the largest error of a draw is a matter of luck, because a mode that a row
            has a one-in-a-million chance of clips it. "min_mode_agreement", "max_clipped_share" and
            "max_invalid_share" limit the figures of these names. None is no limit.

        Raises
        ------
        InputError
            For a limit of another name.
        """
        found = []
        for bound, limit in bounds.items():
            if bound not in _BOUNDS:
                raise InputError(f'no limit is called "{bound}": choose from {", ".join(_BOUNDS)}')
            figure, lower, words = _BOUNDS[bound]
            for name, column in self.columns.items():
                value = getattr(column, figure)
                if limit is not None and not (value >= limit if lower else value <= limit):
                    side = "at least" if lower else "at most"
                    text = f'column "{name}": {words} is {value:.6g}, but must be {side} {limit:g}'
                    found.append(text + _remedy(figure, column))
        return found


def _remedy(figure: str, column: ColumnFigures) -> str:
    if figure not in ("p999_error", "clipped_share") or column.clipped_share == 0:
        return ""
    return f'; {100 * column.clipped_share:.3f} % of rows are clipped, which a fit with tails="exact" avoids'


def evaluate_table(model: TableModel, blocks: Iterator[Block], engine: str, executor: LocalExecutor) -> Report:
    """Figures of a table in one pass over its rows, in bounded memory.

    Parameters
    ----------
    model : TableModel
        The fitted model; its seed draws the modes.
    blocks : iterator of Block
        The rows.
    engine : str
        Name of the engine.
    executor : LocalExecutor
        What runs the blocks.

    Raises
    ------
    InputError
        For rows that the model cannot encode, or when there are none.
    """
    tallies = executor.map_merge(partial(tally_block, engine, model), blocks, _merge_tallies)
    tallies = tallies or {name: ColumnTally() for name in model.names}
    rows = max((tally.rows for tally in tallies.values()), default=0)
    if rows == 0:
        raise InputError("there are no rows to evaluate")
    return Report(rows, {name: tally.figures() for name, tally in tallies.items()})


def tally_block(engine: str, model: TableModel, block: Block) -> dict[str, ColumnTally]:
    """Tallies of one block of rows."""
    drawn = encode_block(engine, model, EncodingOptions(model.seed), block)
    back = decode_rows(engine, model, drawn)
    agreeing = _agreeing(engine, model, block)
    return {
        column.name: _tally_column(get_engine(engine), column, block, drawn, back, agreeing[column.name])
        for column in model.columns
    }


def _merge_tallies(one: dict[str, ColumnTally], other: dict[str, ColumnTally]) -> dict[str, ColumnTally]:
    return {name: tally.merge(other[name]) for name, tally in one.items()}


def _agreeing(engine: str, model: TableModel, block: Block) -> dict[str, NDArray[np.bool_]]:
    """Rows that keep their most probable mode, per column."""
    options = EncodingOptions(model.seed, most_probable=True)
    once = encode_block(engine, model, options, block)
    again = encode_block(engine, model, options, Block(block.first_row, decode_rows(engine, model, once).table))
    return {name: cell == again.cells[name] for name, cell in once.cells.items()}


def _tally_column(
    engine: Engine, column: ColumnModel, block: Block, drawn: Encoded, back: Decoded, agreeing: NDArray[np.bool_]
) -> ColumnTally:
    x = column.codec.encode(block.table.column(column.name))
    again = column.codec.encode(back.table.column(column.name))
    ordinary = np.isfinite(x)
    scalar, cell = drawn.scalars[column.name], drawn.cells[column.name]
    error = np.abs(again[ordinary] - x[ordinary])
    size = np.abs(x[ordinary] + column.codec.base)
    return ColumnTally(
        rows=len(x),
        missing=len(x) - int(np.count_nonzero(ordinary)),
        clipped=int(np.count_nonzero(np.abs(scalar) >= scalar.dtype.type(column.rules.scalar_limit))),
        agreeing=int(np.count_nonzero(agreeing[ordinary])),
        invalid=int(np.count_nonzero(~within_bounds(column, again, cell))),
        under_threshold=_under_threshold(engine, column, x),
        absolute=ErrorHistogram.of(error / _deviation(column)),
        relative=ErrorHistogram.of(error[size > 0] / size[size > 0]),
    )


def _deviation(column: ColumnModel) -> float:
    """Standard deviation of the whole mixture in the column's own units; never 0."""
    means, weights = column.means - column.codec.base, column.weights
    variance = np.sum(weights * (column.stds**2 + (means - np.sum(weights * means)) ** 2))
    return max(float(np.sqrt(variance)), SMALLEST)


def _under_threshold(engine: Engine, column: ColumnModel, x: Floats) -> int:
    """Rows whose most probable component is not active."""
    if column.mixture is None or np.all(column.active):
        return 0
    table = KernelTable.of(column.mixture.posterior, column.mixture.frame)
    return int(np.sum(engine.count_most_probable(x, None, table)[~column.active]))


def plot_column(column: ColumnModel, rows: Floats | Summary, ax: Any = None) -> Any:
    """Histogram of a column with its active modes drawn over it; needs matplotlib (extra ``report``).

    The curves are the rows that each mode expects in every bin; skewed columns get logarithmic bins.

    Parameters
    ----------
    column : ColumnModel
        The fitted column.
    rows : ndarray of shape (rows,), or Summary
        Its values, or what was summarised of them.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    matplotlib.axes.Axes
    """
    if ax is None:
        from matplotlib import pyplot

        ax = pyplot.subplots(figsize=(9, 4.2), layout="constrained")[1]
    x, weight = _points(column, rows)
    edges, logarithmic = _bin_edges(x, weight)
    middles = np.sqrt(edges[1:] * edges[:-1]) if logarithmic else 0.5 * (edges[1:] + edges[:-1])
    ax.stairs(np.histogram(x, edges, weights=weight)[0], edges, fill=True, color="0.84", label="rows")
    shares = column.weights[:, None] * np.diff(ndtr((edges - column.means[:, None]) / column.stds[:, None]))
    expected = np.sum(weight) * shares
    for k in sorted(column.active_components, key=lambda k: column.means[k]):
        label = f"{column.means[k]:,.4g} ± {column.stds[k]:,.3g}   {100 * column.weights[k]:.1f} %"
        line = ax.plot(middles, expected[k], label=label)[0]
        ax.fill_between(middles, expected[k], alpha=0.2, color=line.get_color(), linewidth=0)
    ax.plot(middles, np.sum(expected, axis=0), color="black", linewidth=1, linestyle="--", label="whole mixture")
    ax.set_xscale("log" if logarithmic else "linear")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter("{x:,g}")
    ax.spines[["top", "right"]].set_visible(False)
    ax.set(xlabel=column.name, ylabel="rows per bin", xlim=(edges[0], edges[-1]), ylim=(0, None))
    ax.legend(title="mean ± sd   weight", frameon=False, fontsize="small")
    return ax


def _points(column: ColumnModel, rows: Floats | Summary) -> tuple[Floats, Floats]:
    """Values and their weights, ascending."""
    if isinstance(rows, Summary):
        cells = rows.cells()
        return column.codec.base + rows.grid.frame.invert(cells.mean), cells.weight
    x = np.sort(rows[np.isfinite(rows)]).astype(np.float64)
    return x, np.ones(len(x))


def _bin_edges(x: Floats, weight: Floats) -> tuple[Floats, bool]:
    """Edges of bins over nearly all rows, and whether they are logarithmic (zeros left out then); `x` ascends."""
    low, middle, high = _quantiles(x, weight, [0.005, 0.5, 0.995])
    if x[0] >= 0 and middle > 0 and high > 20 * middle:
        return np.geomspace(_quantiles(x[x > 0], weight[x > 0], [0.005])[0], x[-1], PLOT_BINS + 1), True
    return np.linspace(low, max(high, np.nextafter(low, np.inf)), PLOT_BINS + 1), False


def _quantiles(x: Floats, weight: Floats, shares: list[float]) -> Floats:
    return np.asarray(x[np.searchsorted(np.cumsum(weight), np.sum(weight) * np.array(shares))])

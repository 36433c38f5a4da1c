"""Fitted columns as frozen values: mixtures, levels, ranges, and columns that pass through."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal, cast

import numpy as np
from numpy.typing import NDArray

from gpuvgm.columns.codecs import Codec, Number
from gpuvgm.config import EncodingRules, Precision
from gpuvgm.engines.tables import DrawTable, InverseTable, NarrowTable
from gpuvgm.mixture.posterior import Posterior
from gpuvgm.summary.grid import Floats, Frame

MISSING = None  # the modal value, or the level, that stands for "missing"
FLOAT32_STEP = 2.0**-24  # relative, of a scalar of 24 bits

Level = str | int | float | bool | None


def cell_dtype_of(cells: int) -> np.dtype[np.unsignedinteger]:
    """Integer type that numbers this many cells."""
    return np.dtype(np.uint8 if cells <= 256 else np.uint16)


def falling(counts: Sequence[int] | Floats) -> tuple[int, ...]:
    """Indices by falling count; of equal counts the lower index first."""
    return tuple(int(i) for i in np.argsort(-np.asarray(counts, np.float64), kind="stable"))


class Drawable:
    """A column that draws itself."""

    __slots__ = ()

    def plot(self, ax: Any = None, *, rows: Any = None) -> Any:
        """Draw the column with matplotlib (extra ``report``): its modes, over its rows where they are given, or levels.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default a new figure.
        rows : ndarray of shape (rows,), or Summary, optional
            Values of a continuous or mixed column; `TableTransformer.plot` takes those that it was fitted on.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        InputError
            For a column that has neither modes nor levels.
        EnvironmentProblem
            Where matplotlib is missing.
        """
        from gpuvgm.columns.plots import plot_column

        return plot_column(cast("ColumnModel", self), rows, ax)


@dataclass(frozen=True, slots=True)
class MixtureColumn(Drawable):
    """A continuous or mixed column: everything that transform and inverse need to know of it.

    Parameters
    ----------
    name, kind : str
        The column and its kind, "continuous" or "mixed".
    codec : Codec
        From the column's values to numbers and back.
    rules : EncodingRules
        How scalars are made.
    mixture : MixtureModel or None
        None where the column had no ordinary value.
    modal_values : tuple
        Values with a cell of their own, in the codec's unit; None stands for "missing".
    modal_counts : tuple of int
        Training rows that hold each modal value.
    order : tuple of int
        For each cell of the onehot layout its index in [modal values, then active components in index order].
    minimum, maximum : int, float or None
        Range of the ordinary training values, in the codec's unit: numbers as they are, datetimes and decimals as
        integers in their own unit.
    fit : FitRecord
        How the fit went.

    Raises
    ------
    InputError
        For a mixture that transform in float32, where the rules ask for it, cannot hold.
    """

    name: str
    kind: str
    codec: Codec
    rules: EncodingRules
    mixture: MixtureModel | None
    modal_values: tuple[Number | None, ...]
    modal_counts: tuple[int, ...]
    order: tuple[int, ...]
    minimum: Number | None
    maximum: Number | None
    fit: FitRecord
    has_scalar: ClassVar[bool] = True

    def __post_init__(self) -> None:
        table = self.draw_table() if self.rules.precision == "float32" else None
        if table is not None:
            NarrowTable.of(table)  # refuses a mixture that float32 cannot hold

    @property
    def type(self) -> str:
        """Arrow type of the values, as `str` gives it."""
        return self.codec.type

    @property
    def means(self) -> Floats:
        """Means of the K components in the codec's unit (of logarithms for a log column)."""
        if self.mixture is None:
            return np.empty(0)
        return self.codec.base + self.mixture.frame.invert(self.mixture.posterior.means)

    @property
    def stds(self) -> Floats:
        """Standard deviations of the K components, in the unit of `means`."""
        return np.empty(0) if self.mixture is None else self.mixture.deviations / self.mixture.frame.scale

    @property
    def weights(self) -> Floats:
        """Weights of the K components."""
        return np.empty(0) if self.mixture is None else self.mixture.posterior.weights

    @property
    def active(self) -> NDArray[np.bool_]:
        """Which of the K components rows may be given to."""
        return np.empty(0, np.bool_) if self.mixture is None else self.mixture.active

    @property
    def active_components(self) -> NDArray[np.int64]:
        """Indices of the active components, ascending."""
        return np.flatnonzero(self.active)

    @property
    def width(self) -> int:
        """Number of cells of the onehot layout."""
        return len(self.order)

    @property
    def cell_dtype(self) -> np.dtype[np.unsignedinteger]:
        """Integer type of the column's cells in the compact layout."""
        return cell_dtype_of(self.width)

    @property
    def cell_counts(self) -> Floats:
        """Training rows of each cell, by most probable active component."""
        counts = np.array([*self.modal_counts, *([] if self.mixture is None else self.mixture.active_counts)])
        return np.asarray(counts[list(self.order)], np.float64)

    @property
    def scalar_step(self) -> float:
        """Step of a float32 scalar in the widest active mode, in the unit of `means`."""
        if self.mixture is None:
            return 0.0
        return float(self.rules.scale * np.max(self.stds[self.active]) * FLOAT32_STEP)

    @property
    def resolution(self) -> float:
        """Largest distance of a value from what comes back for it, in the unit of `minimum`; 0 where all are exact.

        That is of ordinary values within the training range whose scalars, as float32, were not cut; as float64 they
        come back closer. It is a step of the largest scalar, and the rounding of float64 and of the column's type; for
        log columns, what that comes to at the largest value. Columns of whole numbers on request hold such values only.
        """
        if self.mixture is None or self.minimum is None or self.maximum is None:
            return 0.0
        low, high = (self.codec.number(end) for end in (self.minimum, self.maximum))
        means = self.mixture.frame.invert(self.mixture.posterior.means)[self.active] * FLOAT32_STEP
        steps = np.maximum(np.abs(low * FLOAT32_STEP - means), np.abs(high * FLOAT32_STEP - means))
        with np.errstate(over="ignore"):
            cut = self.rules.scalar_limit * (self.rules.scale * (self.stds[self.active] * FLOAT32_STEP))
        error = _error_of(float(np.max(np.minimum(steps, cut))), low, high, self.rules.precision)
        return self.codec.value_error(error, self.minimum, self.maximum)

    @property
    def column_id(self) -> int:
        """Column part of the generator's counter: first 64 bits of SHA-256 of the name."""
        return int.from_bytes(hashlib.sha256(self.name.encode()).digest()[:8], "big")

    def cell_positions(self) -> NDArray[np.int64]:
        """Cell of each of [modal values, then active components in index order]."""
        positions = np.empty(self.width, np.int64)
        positions[list(self.order)] = np.arange(self.width)
        return positions

    def draw_table(self) -> DrawTable | None:
        """Table for transform; None where the column has no mixture."""
        if self.mixture is None:
            return None
        active, positions, modal = self.active_components, self.cell_positions(), len(self.modal_values)
        taking_part = np.flatnonzero(~self.active) if self.rules.floor is not None else np.empty(0, np.int64)
        table = self.mixture.posterior.kernel_table(self.mixture.frame)
        return DrawTable(
            mixture=table.take(np.concatenate((active, taking_part))),
            widths=self.rules.scale * self.mixture.deviations[active],
            cells=positions[modal:].astype(np.float64),
            floor=self.rules.floor or 0.0,
            limit=self.rules.scalar_limit,
            missing_cell=self.missing_cell,
            precision=self.rules.precision,
        )

    def inverse_table(self) -> InverseTable:
        """Table for the inverse, one row a cell; modal cells have mean NaN and width 0."""
        means, widths = np.full(self.width, np.nan), np.zeros(self.width)
        if self.mixture is None:
            return InverseTable(Frame(1.0, 0.0), means, widths, self.rules.inverse_limit)
        cells = self.cell_positions()[len(self.modal_values) :]
        means[cells] = self.mixture.posterior.means[self.active]
        widths[cells] = self.rules.scale * self.mixture.deviations[self.active]
        return InverseTable(self.mixture.frame, means, widths, self.rules.inverse_limit)

    @property
    def missing_cell(self) -> int:
        """Cell of missing rows; -1 where the column has none."""
        return int(self.cell_positions()[self.modal_values.index(MISSING)]) if MISSING in self.modal_values else -1


@dataclass(frozen=True)  # no slots: `positions` is cached
class CategoricalColumn(Drawable):
    """A categorical column: one cell a level.

    Parameters
    ----------
    name : str
        The column.
    type : str
        Arrow type of the values.
    levels : tuple
        Levels by falling frequency, of equal frequency in order of first appearance; None is the level "missing".
        Datetimes are integers in their own unit, decimals text.
    counts : tuple of int
        Training rows of each level.
    first_rows : tuple of int
        First training row of each level; -1 for declared levels that did not occur.
    unknown : {"error", "ignore"}
        What a value that is no level does: stop, or get no cell at all.
    dictionary : tuple, optional
        For dictionary types: the values of the dictionary, in its own order.
    declared : bool
        Whether the user gave the levels, so that rows added later bring no new ones.
    fit : FitRecord
        Rows and missing rows.
    """

    name: str
    type: str
    levels: tuple[Level, ...]
    counts: tuple[int, ...]
    first_rows: tuple[int, ...]
    unknown: Literal["error", "ignore"]
    dictionary: tuple[Level, ...] | None
    declared: bool
    fit: FitRecord
    kind: ClassVar[str] = "categorical"
    has_scalar: ClassVar[bool] = False

    @property
    def width(self) -> int:
        """Number of levels."""
        return len(self.levels)

    @property
    def cell_dtype(self) -> np.dtype[np.unsignedinteger]:
        """Integer type of the column's cells in the compact layout; values that are no level are `width`."""
        return cell_dtype_of(self.width + 1)

    @property
    def cell_counts(self) -> Floats:
        """Training rows of each level."""
        return np.array(self.counts, np.float64)

    @cached_property
    def positions(self) -> dict[Level, int]:
        """Cell of each level; true and 1 are told apart by the column's type."""
        return {level: cell for cell, level in enumerate(self.levels)}


@dataclass(frozen=True, slots=True)
class GeneralColumn(Drawable):
    """A general column: its range laid on [-1, 1].

    Parameters
    ----------
    name : str
        The column.
    codec : Codec
        From the column's values to numbers and back.
    minimum, maximum : int, float or None
        Range of the training values in the codec's unit; None where there was no value.
    margin : float
        Added to the range on either side: 0.001 for columns of whole numbers, else 0.
    clip : bool
        Whether transform keeps values within the range.
    fit : FitRecord
        Rows.
    """

    name: str
    codec: Codec
    minimum: Number | None
    maximum: Number | None
    margin: float
    clip: bool
    fit: FitRecord
    kind: ClassVar[str] = "general"
    has_scalar: ClassVar[bool] = True
    width: ClassVar[int] = 0

    @property
    def type(self) -> str:
        """Arrow type of the values."""
        return self.codec.type

    @property
    def low(self) -> float:
        """Number that -1 stands for."""
        return self._end(self.minimum, -self.margin)

    @property
    def high(self) -> float:
        """Number that 1 stands for."""
        return self._end(self.maximum, self.margin)

    def _end(self, value: Number | None, margin: float) -> float:
        """Number of one end of the range; the margin belongs to the value, not to its logarithm."""
        if value is None:
            return margin
        return self.codec.number(value + margin) if self.codec.name == "log" else self.codec.number(value) + margin

    @property
    def resolution(self) -> float:
        """Largest distance of a training value from what comes back for it, as for `MixtureColumn`."""
        if self.minimum is None or self.maximum is None:
            return 0.0
        error = _error_of((self.high - self.low) / 2 * FLOAT32_STEP, self.low, self.high)
        return self.codec.value_error(error, self.minimum, self.maximum)


def _error_of(step: float, low: float, high: float, precision: Precision = "float64") -> float:
    """Largest error of a number that was a float32 scalar.

    Parameters
    ----------
    step : float
        Step of the largest scalar: 2^-24 of the distance from where it is 0 to the furthest number.
    low, high : float
        Ends of the numbers.
    precision : {"float64", "float32"}
        Of the arithmetic that made the scalar; that of `NarrowTable` rounds numbers to 2^-48 and a scalar five times.
    """
    steps, rounding = (1, 2.0**-50) if precision == "float64" else (6, 2.0**-46)
    return (steps + rounding / FLOAT32_STEP) * step + rounding * max(abs(low), abs(high))


@dataclass(frozen=True, slots=True)
class PassedColumn(Drawable):
    """A column that is handed through as it is; the onehot matrix leaves it out.

    Parameters
    ----------
    name, type : str
        The column and its Arrow type.
    fit : FitRecord
        Rows.
    """

    name: str
    type: str
    fit: FitRecord
    kind: ClassVar[str] = "pass"
    has_scalar: ClassVar[bool] = False
    width: ClassVar[int] = 0


ColumnModel = MixtureColumn | CategoricalColumn | GeneralColumn | PassedColumn


@dataclass(frozen=True, slots=True)
class TableModel:
    """The columns of a fitted table, in input order.

    Parameters
    ----------
    columns : tuple of ColumnModel
        The columns.
    seed : int
        Seed of transform's generator unless the caller gives another.
    rows : int
        Training rows.
    source : dict
        Fingerprint of the training source, for people.
    """

    columns: tuple[ColumnModel, ...]
    seed: int
    rows: int
    source: dict[str, object]

    def __getitem__(self, name: str) -> ColumnModel:
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(column.name for column in self.columns)

    @property
    def encoded(self) -> tuple[ColumnModel, ...]:
        """Columns with a scalar or cells, which are those of the onehot matrix."""
        return tuple(column for column in self.columns if column.kind != "pass")


@dataclass(frozen=True, slots=True)
class FitRecord:
    """How a column's fit went.

    Parameters
    ----------
    algorithm : str
        "summary", "exact", or "none" where no mixture was fitted.
    rows, missing : int
        Rows seen, and how many of them were missing.
    iterations : int
        Iterations of variational EM.
    converged : bool
        Whether the change of the bound fell under the tolerance.
    lower_bound : float
        Evidence lower bound, as scikit-learn defines it.
    fit_error : float
        Estimated distance to the exact fit in units of sigma; 0 for the exact algorithm.
    cells, refinements : int
        Occupied cells, and how often the grid was refined.
    effort : {"research", "best"}
        How far the fit went.
    bound_with_fewer : float, optional
        The highest bound found with one mode fewer, where a search looked for it.
    """

    algorithm: str
    rows: int
    missing: int
    iterations: int = 0
    converged: bool = False
    lower_bound: float = 0.0
    fit_error: float = 0.0
    cells: int = 0
    refinements: int = 0
    effort: str = "research"
    bound_with_fewer: float | None = None


@dataclass(frozen=True, slots=True)
class MixtureModel:
    """A fitted mixture in the coordinates of its frame.

    Parameters
    ----------
    frame : Frame
        Coordinates of the column's numbers.
    posterior : Posterior
        The fitted posterior, K components.
    centres : ndarray of shape (K,)
        Centres that the fit started from.
    counts : ndarray of shape (K,)
        Training rows whose most probable component is k.
    active : ndarray of shape (K,), bool
        Components that rows may be given to.
    active_counts : ndarray of shape (A,)
        Training rows by most probable active component.
    """

    frame: Frame
    posterior: Posterior
    centres: Floats
    counts: Floats
    active: NDArray[np.bool_]
    active_counts: Floats

    @property
    def deviations(self) -> Floats:
        """Standard deviations in the frame's coordinates, shape (K,)."""
        return np.sqrt(self.posterior.covariances)

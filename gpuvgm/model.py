"""Fitted models as frozen values, and the tables of parameters that engines work from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpuvgm.codecs import Codec, Number
from gpuvgm.config import EncodingRules
from gpuvgm.grid import Floats, Frame
from gpuvgm.posterior import Posterior

LOG2_E = 1.4426950408889634
MISSING = None  # the modal value that stands for "missing"
FLOAT32_BITS = 24


@dataclass(frozen=True, slots=True)
class KernelTable:
    """Parameters of the row formulas, to base 2.

    log2 of weight times density at y is coefficient - half_precision (y - mean)^2.

    Parameters
    ----------
    frame : Frame
        Rows x enter as y = x * scale - centre; cells are in y already (``Frame(1, 0)``).
    means, half_precisions, coefficients : ndarray of shape (K,)
        Parameters of the components.
    """

    frame: Frame
    means: Floats
    half_precisions: Floats
    coefficients: Floats

    @classmethod
    def of(cls, posterior: Posterior, frame: Frame) -> KernelTable:
        """Table of a posterior for rows in `frame`."""
        half = (0.5 * LOG2_E) / posterior.covariances
        return cls(frame, posterior.means, half, posterior.log_coefficients() * LOG2_E)

    def take(self, components: NDArray[np.int64]) -> KernelTable:
        """The same for some of the components, in the order given."""
        return KernelTable(
            self.frame, self.means[components], self.half_precisions[components], self.coefficients[components]
        )


@dataclass(frozen=True, slots=True)
class DrawTable:
    """What transform needs: the mixture with the components that may be drawn first, and their cells.

    Parameters
    ----------
    mixture : KernelTable
        Active components in index order, then those that only take part in the posterior.
    widths : ndarray of shape (A,)
        scale * sd of the active components.
    cells : ndarray of shape (A,), float64
        Cell of each active component in the onehot order.
    floor : float
        Added to every active component's probability, as a share of the whole posterior.
    limit : float
        Scalars are kept within ±limit.
    missing_cell : int
        Cell of missing rows; -1 where the column has none.
    """

    mixture: KernelTable
    widths: Floats
    cells: Floats
    floor: float
    limit: float
    missing_cell: int


@dataclass(frozen=True, slots=True)
class Draw:
    """Where the uniforms of a transform come from.

    Parameters
    ----------
    seed, column : int
        Key and column part of the Philox counter, 64 bits each.
    first_row : int
        Global index of the first row.
    uniforms : ndarray of shape (rows,), optional
        Uniforms in [0, 1) to use instead of the generator's.
    most_probable : bool
        No draw: take the most probable active component.
    """

    seed: int = 0
    column: int = 0
    first_row: int = 0
    uniforms: Floats | None = None
    most_probable: bool = False


@dataclass(frozen=True, slots=True)
class InverseTable:
    """Mean and width of every cell of the onehot order; a missing cell has mean NaN and width 0."""

    frame: Frame
    means: Floats
    widths: Floats
    limit: float


@dataclass(frozen=True, slots=True)
class FitRecord:
    """How a column's fit went.

    Parameters
    ----------
    algorithm : str
        "summary", "exact", or "none" where the column has no ordinary value.
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


@dataclass(frozen=True, slots=True)
class ColumnModel:
    """Everything that transform and inverse need to know of a column.

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
        Values with a cell of their own; None stands for "missing".
    order : tuple of int
        For each cell of the onehot layout its index in [modal values, then active components in index order].
    minimum, maximum : int, float or None
        Range of the ordinary training values, in the column's own type.
    fit : FitRecord
        How the fit went.
    """

    name: str
    kind: str
    codec: Codec
    rules: EncodingRules
    mixture: MixtureModel | None
    modal_values: tuple[None, ...]
    order: tuple[int, ...]
    minimum: Number | None
    maximum: Number | None
    fit: FitRecord

    @property
    def means(self) -> Floats:
        """Means of the K components in the column's own units."""
        if self.mixture is None:
            return np.empty(0)
        return self.codec.base + self.mixture.frame.invert(self.mixture.posterior.means)

    @property
    def stds(self) -> Floats:
        """Standard deviations of the K components in the column's own units."""
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
        return np.dtype(np.uint8 if self.width <= 256 else np.uint16)

    @property
    def resolution(self) -> float:
        """Step of a float32 scalar in the widest active mode, in the column's own units."""
        if self.mixture is None:
            return 0.0
        return float(self.rules.scale * np.max(self.stds[self.active]) / 2.0**FLOAT32_BITS)

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
        table = KernelTable.of(self.mixture.posterior, self.mixture.frame)
        return DrawTable(
            mixture=table.take(np.concatenate((active, taking_part))),
            widths=self.rules.scale * self.mixture.deviations[active],
            cells=positions[modal:].astype(np.float64),
            floor=self.rules.floor or 0.0,
            limit=self.rules.scalar_limit,
            missing_cell=self.missing_cell,
        )

    def inverse_table(self) -> InverseTable:
        """Table for the inverse, one row a cell."""
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
        return next(column for column in self.columns if column.name == name)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(column.name for column in self.columns)

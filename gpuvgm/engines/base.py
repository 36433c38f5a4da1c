"""The contract of an engine: the row loops of fit, transform and inverse over arrays of one device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import Array
from gpuvgm.engines.hold import HoldTable
from gpuvgm.engines.multivariate import GaussianTable
from gpuvgm.engines.tables import Draw, DrawTable, InverseTable, KernelTable, PriorTable, Step
from gpuvgm.summary.grid import Floats, Grid, Ints
from gpuvgm.summary.summary import Cells, Summary

OnehotPart = tuple[Floats | None, NDArray[np.unsignedinteger] | None, int]
ReadPart = tuple[Floats | None, NDArray[np.unsignedinteger] | None, Ints, bool]


class EMLoop(Protocol):
    """EM over the cells of one problem, by an engine's own loop."""

    @property
    def statistics(self) -> tuple[tuple[Floats, Floats, Floats, Floats], float]:
        """What the posterior was updated from: points of reference, counts, first and second moments; entropy."""

    @property
    def posterior(self) -> tuple[Floats, ...]:
        """Parameters of weights (two), mean precisions, means, degrees of freedom and covariances, shape (K,) each."""

    @property
    def bounds(self) -> list[float]:
        """The lower bound after each iteration."""

    @property
    def converged(self) -> bool:
        """Whether the last run ended by its tolerance."""


class PlainEM(EMLoop, Protocol):
    """Variational EM from a posterior, which remembers the posteriors that its last iterations began with."""

    @property
    def last(self) -> int:
        """How many posteriors are remembered."""

    @property
    def oldest(self) -> tuple[Floats, ...]:
        """The oldest of them, as `posterior`."""


class Ascent(EMLoop, Protocol):
    """Accelerated EM; see `gpuvgm.mixture.em.AcceleratedEM`, whose bits it has."""

    @property
    def bound(self) -> float:
        """The highest bound."""

    def begin(self) -> None:
        """Make the first iteration, if it is not made."""


class CellEM(Protocol):
    """EM for mixtures of one feature over the cells of a summary, a batch of problems at a time."""

    def ascents(self, starts: Sequence[Sequence[Floats]]) -> list[Ascent]:
        """Accelerated EM from sums of assignments of the rows: reference, counts, first and second moments each."""

    def plain(self, start: Sequence[Floats], remembered: int) -> PlainEM:
        """Variational EM from a posterior, as `EMLoop.posterior`; the last `remembered` posteriors are kept."""

    def run(self, batch: Sequence[EMLoop], iterations: int, tolerance: float) -> None:
        """Go on with every loop of a batch.

        Parameters
        ----------
        batch : sequence of EMLoop
            Loops over these cells or others.
        iterations : int
            Most iterations of each.
        tolerance : float
            Gain of the bound below which one ends.
        """


class RunningSummary(Protocol):
    """The summary of rows that come one block after the other."""

    def add(self, x: Floats) -> None:
        """Add rows, as for `Engine.summarise`; nobody waits for those of a device."""

    def summary(self) -> Summary:
        """Summary of all rows added, which is asked for once."""


class Engine(Protocol):
    """Row loops. Every engine equals the reference engine."""

    name: str

    def summarise(self, x: Floats, grid: Grid, step: Step | None = None) -> Summary:
        """Summary of rows.

        Parameters
        ----------
        x : ndarray of shape (rows,), float64
            Numbers; NaN is missing.
        grid : Grid
            Cells to sum over.
        step : Step, optional
            Count the rows that are no multiples of it, in `Summary.off_step`.
        """

    def running_summary(self, grid: Grid, step: Step | None = None) -> RunningSummary:
        """The summary of no rows, to add blocks of rows to; parameters as for `summarise`."""

    def e_step(self, x: Floats, weight: Floats | None, scatter: Floats | None, table: KernelTable) -> Floats:
        """Sums of responsibilities, 4,096 rows at a time.

        Parameters
        ----------
        x : ndarray of shape (rows,), float64
            Rows (NaN counts for nothing), or the means of cells.
        weight : ndarray of shape (rows,), optional
            Weight of each row, 1 by default, or the number of rows in each cell.
        scatter : ndarray of shape (rows,), optional
            Sum of squared deviations inside each cell; given, the sums are those of the cells' rows to second order.
        table : KernelTable
            The mixture.

        Returns
        -------
        ndarray of shape (chunks, 3 K + 1)
            Per chunk the sums of r_k, of r_k (y - mean_k), of r_k (y - mean_k)^2, and of log2 of the density; on the
            device where the rows lie there.
        """

    def em(self, cells: Cells, prior: PriorTable, *, sound: bool) -> CellEM | None:
        """EM over cells in loops of the engine's own; None: a loop over `e_step` in Python takes its place.

        Parameters
        ----------
        cells : Cells
            The cells, in the coordinates of the prior.
        prior : PriorTable
            Prior of the mixture.
        sound : bool
            Components of negative counts are empty: the expansion within cells far wider than a component.
        """

    def count_most_probable(self, x: Floats, weight: Floats | None, table: KernelTable) -> Floats:
        """Weight of the rows whose most probable component is k, shape (K,); ties go to the lower index."""

    def e_step_features(self, x: Array, weight: Array | None, table: GaussianTable) -> Array:
        """Sums of responsibilities over several features, 4,096 rows at a time.

        Parameters
        ----------
        x : ndarray of shape (rows, D), float32 or float64
            Finite rows.
        weight : ndarray of shape (rows,), optional
            Weight of each row, 1 by default. A row of weight 0 adds nothing, whatever its values are.
        table : GaussianTable
            The mixture, K components.

        Returns
        -------
        ndarray of shape (chunks, table.width)
            Per chunk the sums of r_k, of r_k d_k, of the upper triangle of r_k d_k d_k^T (its diagonal if diagonal),
            and of ln of the density, with d_k = (x - centre) - mean_k.
        """

    def log_prob(self, x: Array, table: GaussianTable) -> Array:
        """Logarithm of weight times density of every row (as in `e_step_features`) and component, shape (rows, K)."""

    def transform(
        self, x: Floats, table: DrawTable, draw: Draw, scalar: Floats, cell: NDArray[np.unsignedinteger]
    ) -> None:
        """Write scalar (float32 or float64) and cell (uint8 or uint16) of every row.

        A missing row gets scalar 0 and the missing cell. ``table.precision`` says which specification the rows follow;
        by that of float32, see `Float32Table`, all engines give the same bits.
        """

    def hold(
        self,
        numbers: Floats,
        scalar: Floats,
        cell: NDArray[np.unsignedinteger],
        table: HoldTable,
        off_step: NDArray[np.bool_] | Step | None,
    ) -> Ints:
        """Give rows that their modes cannot hold to others, see `Coverage`, and count those that the fit had not seen.

        Parameters
        ----------
        numbers : ndarray of shape (rows,), float32 or float64
            The rows; NaN is missing.
        scalar, cell : ndarray of shape (rows,)
            What `transform` gave for them; changed in place.
        table : HoldTable
            Modes and training range.
        off_step : ndarray of shape (rows,), bool, or Step, or None
            Which rows are off their step; on a device a step to find them by is enough, and missing rows may be among
            them.

        Returns
        -------
        ndarray of shape (10,), int64 or uint64
            For each sort of `gpuvgm.engines.hold.SORTS` how many rows there are, and the first (anything where there is
            none): infinite ones, missing ones, those outside the training range, those at the end of the mode that was
            drawn where no mode holds them (all at the end of their mode where the table has no coverage), those off
            their step. On the device where the rows lie there, and nobody has waited for it.
        """

    def inverse_transform(
        self, scalar: Floats, cell: NDArray[np.unsignedinteger], table: InverseTable, out: Floats
    ) -> tuple[int, bool]:
        """Write the number of every row; NaN for missing cells.

        Returns
        -------
        wrong : int
            The first row whose cell does not exist, or -1.
        complete : bool
            Whether every number is known to be one; False where none was looked at.
        """

    def fill_onehot(self, parts: Sequence[OnehotPart], out: Floats) -> None:
        """Write encoded columns as rows of the onehot layout.

        Parameters
        ----------
        parts : sequence of (scalar, cell, cells)
            For each column its scalars and its cells, shape (rows,) or None, and how many cells it has; a cell that it
            does not have leaves the row's block zero.
        out : ndarray of shape (rows, width), float32 or float64
            The matrix, C-contiguous.
        """

    def read_onehot(self, matrix: Floats, parts: Sequence[ReadPart]) -> None:
        """Read rows of the onehot layout; of its cells the one with the largest value counts, NaN being the largest.

        Parameters
        ----------
        matrix : ndarray of shape (rows, width), float32 or float64
            The rows, C-contiguous.
        parts : sequence of (scalar, cell, order, zero_is_none)
            For each column where its scalars (of the matrix's dtype) and its cells (uint8, uint16 or uint32) are
            written, shape (rows,) or None; all its cells, int64, in the order that ties go by; and whether a row of
            zeros has no cell, which is written as the number of cells.
        """

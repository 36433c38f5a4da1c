"""Fitted mixtures as frozen values, and the tables of parameters that engines work from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpuvgm.grid import Floats, Frame
from gpuvgm.posterior import Posterior

LOG2_E = 1.4426950408889634


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

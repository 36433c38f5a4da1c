"""Fits on a summary's cells: where they start, and how far they may be from the fit on the rows."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import numpy as np

from gpuvgm.engines import Engine
from gpuvgm.mixture.accumulate import CELL_FRAME, over_cells
from gpuvgm.mixture.em import Climb, Fitted, Ground, MixtureFit, Movable, Stopping, Update, fit_mixture
from gpuvgm.mixture.initialization import Seeds
from gpuvgm.mixture.posterior import Posterior, Prior
from gpuvgm.mixture.search import Effort
from gpuvgm.summary.grid import Grid, Ints, midpoint_keys, values_of
from gpuvgm.summary.summary import Cells

CHECKED_ITERATIONS = 20  # of EM from the end of a fit, on other cells too, to see what the cells cost
COARSE_TO_FINE = 4.0  # the error falls with the third power of the width, to 1/7 of the difference; twice that is kept

S = TypeVar("S", bound=Movable)
P = TypeVar("P", bound=Fitted)


def start_components(grid: Grid, seeds: Seeds, cells: Cells) -> Ints:
    """Component of each cell's rows: the nearest centre's, exactly so where the grid is split between the centres."""
    if not np.array_equal(grid.midpoints, midpoint_keys(seeds.centres)):
        return seeds.nearest(cells.mean)
    # the rows of a label lie from its midpoint to the next
    lowest = np.concatenate(([-np.inf], values_of(grid.midpoints)))
    return seeds.nearest(lowest)[cells.label]


def estimate_error(cells: Cells, fine: Posterior, fit_on: Callable[[Cells], MixtureFit[Posterior]]) -> float:
    """Estimated distance of a fit on cells from the fit on their rows, in units of sigma.

    The largest of three: the distance to a fit on cells twice as wide; that to a fit in which the rows of each cell are
    spread unevenly, with the same mean and scatter; and the rounding of positions.

    Parameters
    ----------
    cells : Cells
        The cells.
    fine : Posterior
        The fit on them.
    fit_on : callable
        The same fit on other cells.
    """
    return max(_cell_error(cells, fine, fit_on), blur(cells, fine))


def _cell_error(cells: Cells, fine: Posterior, fit_on: Callable[[Cells], MixtureFit[Posterior]]) -> float:
    """What wider cells, and rows spread unevenly in them, change."""
    coarse = distance(fine, fit_on(cells.coarsen()).posterior) / COARSE_TO_FINE
    return max(coarse, distance(fine, fit_on(cells.uneven()).posterior))


class Trail(Generic[P, S]):
    """An E-step that remembers the posteriors of its last calls.

    Parameters
    ----------
    accumulate : callable
        The E-step.
    """

    def __init__(self, accumulate: Callable[[P], S]) -> None:
        self._accumulate = accumulate
        self.posteriors: deque[P] = deque(maxlen=CHECKED_ITERATIONS)

    def __call__(self, posterior: P) -> S:
        """Statistics of a posterior."""
        self.posteriors.append(posterior)
        return self._accumulate(posterior)


def trail_error(
    engine: Engine, prior: Prior, fit: MixtureFit[Posterior], trail: Trail[Posterior, Any], cells: Cells
) -> float:
    """`estimate_error` from the last iterations of a fit: what other cells would have made of these.

    The fit went through more iterations, whose differences add up, but shrink on the way to the end: a third of the
    number of times that the last ones fit in is what they are multiplied by.
    """
    last = len(trail.posteriors)

    def fit_on(others: Cells) -> MixtureFit[Posterior]:
        return fit_mixture(over_cells(engine, others), prior, trail.posteriors[0], Stopping(last, 0.0))

    factor = max(1.0, len(fit.bounds) / (3 * last))
    return max(factor * _cell_error(cells, fit.posterior, fit_on), blur(cells, fit.posterior))


def distance(one: Posterior, other: Posterior) -> float:
    """Largest difference over components that hold a row: means in sigma, variances and weights relative."""
    held = (one.counts > 0.5) | (other.counts > 0.5)
    variance = one.covariances[held]
    differences = (
        np.abs(one.means[held] - other.means[held]) / np.sqrt(variance),
        np.abs(other.covariances[held] / variance - 1),
        np.abs(other.weights[held] / one.weights[held] - 1),
    )
    largest = float(np.max(np.concatenate(differences), initial=0.0))
    return largest if np.all(np.isfinite(one.means)) and np.isfinite(largest) else np.inf


def blur(cells: Cells, posterior: Posterior) -> float:
    """What the rounding of positions may move a mean by, in its sigma: units are spread over by chance, rows add up."""
    table = posterior.kernel_table(CELL_FRAME)
    density = table.coefficients[:, None] - table.half_precisions[:, None] * (cells.mean - table.means[:, None]) ** 2
    share = np.exp2(density - np.max(density, axis=0))
    share /= np.sum(share, axis=0)
    counts = posterior.counts
    variance = np.sum(share * (cells.weight * cells.unit**2 / 12), axis=1)
    held = counts > 0.5
    return float(np.max(np.sqrt(variance[held] / posterior.covariances[held]) / counts[held], initial=0.0))


def climbed(accumulate: Callable[[P], S], prior: Update[S, P], posterior: P, rows: float) -> MixtureFit[P]:
    """Accelerated EM from a posterior to its end."""
    effort = Effort()
    climb = Climb(Ground(accumulate, prior, rows), accumulate(posterior)).run(effort.max_iter, effort.tolerance)
    reached = climb.best.posterior
    return MixtureFit(posterior if reached is None else reached, tuple(climb.bounds), climb.converged)


def end_error(engine: Engine, prior: Prior, posterior: Posterior, cells: Cells) -> float:
    """How far a few iterations on the cells lead from the same iterations on the rows.

    From the end of a fit, not from its start: on a flat optimum two fits may end apart though their bounds are equal.
    """

    def fit_on(others: Cells) -> MixtureFit[Posterior]:
        return fit_mixture(over_cells(engine, others), prior, posterior, Stopping(CHECKED_ITERATIONS, 0.0))

    return estimate_error(cells, fit_on(cells).posterior, fit_on)

"""Variational EM for one column: the loop, the prior and the starts; it knows no array library, device or cluster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gpuvgm.config import FitConfig
from gpuvgm.grid import Floats, Frame, Ints
from gpuvgm.model import KernelTable
from gpuvgm.posterior import ComponentStatistics, Posterior, Prior

Accumulate = Callable[[KernelTable], ComponentStatistics]


@dataclass(frozen=True, slots=True)
class MixtureFit:
    """Result of the EM loop.

    Parameters
    ----------
    posterior : Posterior
        The fitted posterior.
    bounds : tuple of float
        Lower bound after each iteration.
    converged : bool
        Whether the last change was below the tolerance.
    """

    posterior: Posterior
    bounds: tuple[float, ...]
    converged: bool


def fit_mixture(
    accumulate: Accumulate, prior: Prior, start: ComponentStatistics, frame: Frame, config: FitConfig
) -> MixtureFit:
    """Variational EM.

    Parameters
    ----------
    accumulate : callable
        Runs the E-step over all rows or cells for a `KernelTable`.
    prior : Prior
        Prior of the mixture.
    start : ComponentStatistics
        Sums of the initial responsibilities.
    frame : Frame
        Frame of the rows that `accumulate` reads.
    config : FitConfig
        Iterations and tolerances.
    """
    posterior, bounds, converged = prior.update(start), [-np.inf], False
    rows = float(np.sum(start.counts))
    tolerance = config.tol if config.tol_per_row is None else config.tol_per_row * rows
    for _ in range(config.max_iter):
        statistics = accumulate(KernelTable.of(posterior, frame))
        posterior = prior.update(statistics)
        bounds.append(posterior.lower_bound(statistics.entropy))
        converged = abs(bounds[-1] - bounds[-2]) < tolerance
        if converged:
            break
    return MixtureFit(posterior, tuple(bounds[1:]), converged)


def prior_of(mean: float, variance: float, frame: Frame, config: FitConfig) -> Prior:
    """scikit-learn's default prior for a column, in the frame's coordinates.

    Parameters
    ----------
    mean, variance : float
        Mean and variance (ddof = 1; 1 for a single row) of the rows, in the frame's coordinates.
    frame : Frame
        Coordinates; `reg_covar` is given in the column's own units and scaled along.
    config : FitConfig
        Concentration, `reg_covar` and `standardize`.
    """
    small = np.sqrt(variance) < frame.scale
    standardize = (small if config.standardize == "auto" else config.standardize) and variance > 0
    if variance == 0 and frame.scale != 1:  # a constant of extreme size: any floor near 1 does
        return Prior(config.weight_concentration_prior, mean, 1.0, 0.0, 1.0, config.reg_covar)
    return Prior(
        weight_concentration=config.weight_concentration_prior,
        mean=mean,
        mean_precision=1.0,
        covariance=variance,
        degrees_of_freedom=1.0,
        reg_covar=config.reg_covar * (variance if standardize else frame.scale * frame.scale),
    )


def hard_start(y: Floats, weight: Floats, scatter: Floats, component: Ints, centres: Floats) -> ComponentStatistics:
    """Statistics of rows or cells that each belong to one component.

    Parameters
    ----------
    y, weight, scatter : ndarray of shape (rows,)
        Positions, weights and inner scatter.
    component : ndarray of shape (rows,)
        Component of each.
    centres : ndarray of shape (K,)
        Points that moments are taken about.
    """
    k = len(centres)
    d = y - centres[component]
    return ComponentStatistics(
        reference=centres,
        counts=np.bincount(component, weight, k).astype(np.float64),
        first=np.bincount(component, weight * d, k).astype(np.float64),
        second=np.bincount(component, weight * d * d + scatter, k).astype(np.float64),
        entropy=0.0,
    )


def mean_and_variance(y: Floats, weight: Floats, scatter: Floats) -> tuple[float, float]:
    """Mean and variance with ddof = 1 of weighted rows or cells; the variance of a single row is 1 as in the prior."""
    total = float(np.sum(weight))
    rough = float(np.sum(weight * y) / total)
    mean = rough + float(np.sum(weight * (y - rough)) / total)
    squares = float(np.sum(weight * (y - mean) ** 2) + np.sum(scatter))
    return mean, squares / (total - 1) if total > 1 else 1.0

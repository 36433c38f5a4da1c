"""Variational EM: the loop for any number of features; prior and starts of a column. It knows no device or cluster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np

from gpuvgm.config import FitConfig
from gpuvgm.mixture.posterior import Prior
from gpuvgm.mixture.statistics import ComponentStatistics
from gpuvgm.summary.grid import Floats, Frame, Ints

S = TypeVar("S", bound="Statistics")
P = TypeVar("P", bound="Fitted")
S_contra = TypeVar("S_contra", bound="Statistics", contravariant=True)
P_co = TypeVar("P_co", bound="Fitted", covariant=True)
Observer = Callable[[int, float], None]


class Statistics(Protocol):
    """What an E-step hands to the M-step."""

    @property
    def entropy(self) -> float:
        """Entropy of the responsibilities."""


class Fitted(Protocol):
    """A posterior."""

    def lower_bound(self, entropy: float) -> float:
        """Evidence lower bound."""


class Update(Protocol[S_contra, P_co]):
    """A prior."""

    def update(self, statistics: S_contra) -> P_co:
        """Posterior given the sums of an E-step (the M-step)."""


@dataclass(frozen=True, slots=True)
class Stopping:
    """When the loop ends.

    Parameters
    ----------
    max_iter : int
        Most iterations.
    tolerance : float
        Change of the lower bound below which it ends.
    bound : float
        Bound of the start, where it is known.
    """

    max_iter: int
    tolerance: float
    bound: float = -np.inf

    @classmethod
    def of(cls, config: FitConfig, rows: float) -> Stopping:
        """What the settings say for this many rows."""
        return cls(config.max_iter, config.tol if config.tol_per_row is None else config.tol_per_row * rows)


@dataclass(frozen=True, slots=True)
class MixtureFit(Generic[P]):
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

    posterior: P
    bounds: tuple[float, ...]
    converged: bool


def fit_mixture(
    accumulate: Callable[[P], S],
    prior: Update[S, P],
    start: P,
    stopping: Stopping,
    observe: Observer | None = None,
) -> MixtureFit[P]:
    """Variational EM, for any number of features.

    Parameters
    ----------
    accumulate : callable
        Runs the E-step for a posterior over all rows or cells.
    prior : Prior
        Prior of the mixture.
    start : Posterior
        Where to start from.
    stopping : Stopping
        When to end.
    observe : callable, optional
        Called after each iteration with its number, from 1, and the change of the bound.
    """
    posterior, bounds, converged = start, [stopping.bound], False
    for iteration in range(1, stopping.max_iter + 1):
        statistics = accumulate(posterior)
        posterior = prior.update(statistics)
        bounds.append(posterior.lower_bound(statistics.entropy))
        change = bounds[-1] - bounds[-2]
        if observe is not None:
            observe(iteration, change)
        converged = abs(change) < stopping.tolerance
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

"""What the estimator asks for and gets back, whatever the number of features: a problem, and an estimate."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gpuvgm.engines import Engine
from gpuvgm.mixture.em import Narrator, Stopping
from gpuvgm.mixture.posterior_nd import GaussianPosterior, GaussianPrior
from gpuvgm.mixture.rows import Moments, Rows
from gpuvgm.mixture.search import SearchResult
from gpuvgm.summary.grid import Floats


@dataclass(frozen=True, slots=True)
class Problem:
    """A fit to be done.

    Parameters
    ----------
    engine : Engine
        Compute engine.
    pool : Executor or None
        Threads to share the rows out to.
    rows : Rows
        The rows.
    moments : Moments
        Their mean and scatter.
    prior : GaussianPrior
        The prior, in the rows' own units.
    components : int
        Number of components.
    init : {"kmeans", "k-means++", "random", "random_from_data"} or ndarray of shape (K, D)
        How to start, or centres.
    starts : int
        How many starts to try.
    random : RandomState
        Source of randomness.
    stopping : Stopping
        When a fit ends.
    warm : GaussianPosterior or None
        Where to go on from, instead of starting.
    narrator : Narrator
        Who tells how it goes.
    """

    engine: Engine
    pool: Executor | None
    rows: Rows
    moments: Moments
    prior: GaussianPrior
    components: int
    init: str | Floats
    starts: int
    random: np.random.RandomState
    stopping: Stopping
    warm: GaussianPosterior | None
    narrator: Narrator

    @property
    def tries(self) -> int:
        """How many starts there are: one where the fit goes on from another."""
        return 1 if self.warm is not None else self.starts


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a search says of its result.

    Parameters
    ----------
    modes : int
        Components with more weight than 0.005, and a row.
    bound_with_fewer : float
        The highest bound found with one mode fewer; NaN where there is one mode.
    held_out_score : float
        Log density per row of one row in eight under a fit to the others; NaN for fewer than 16 rows.
    starts : int
        Starts tried.
    """

    modes: int
    bound_with_fewer: float
    held_out_score: float
    starts: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a fit found.

    Parameters
    ----------
    posterior : GaussianPosterior
        The posterior, in the rows' own units.
    bounds : tuple of float
        Lower bound after each iteration.
    converged : bool
        Whether the last change was below the tolerance.
    algorithm : {"exact", "summary"}
        How it was found.
    error : float
        Estimated distance to the exact fit in units of sigma; 0 for "exact".
    explanation : Explanation, optional
        What a search says of its result.
    """

    posterior: GaussianPosterior
    bounds: tuple[float, ...]
    converged: bool
    algorithm: str
    error: float
    explanation: Explanation | None = None


def explained(problem: Problem, estimate: Estimate, search: SearchResult[Any, Any] | None, score: float) -> Estimate:
    """The estimate with what there is to say of the search that found it, which is told too."""
    assert search is not None
    bound, loss = estimate.bounds[-1], search.loss_with_fewer
    problem.narrator.searched(search.starts, bound)
    fewer = np.nan if loss is None else bound - loss * search.rows
    return replace(estimate, explanation=Explanation(search.modes, fewer, score, search.starts))

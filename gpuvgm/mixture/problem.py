"""What the estimator asks for and gets back, whatever the number of features: a problem, and an estimate."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from time import perf_counter
from typing import TypeVar

import numpy as np

from gpuvgm.engines import Engine
from gpuvgm.mixture.em import Fitted, MixtureFit, Statistics, Stopping, Update, fit_mixture
from gpuvgm.mixture.posterior_nd import GaussianPosterior, GaussianPrior
from gpuvgm.mixture.rows import Moments, Rows
from gpuvgm.summary.grid import Floats

S = TypeVar("S", bound=Statistics)
P = TypeVar("P", bound=Fitted)


@dataclass(slots=True)
class Narrator:
    """Prints how a fit goes, in scikit-learn's words.

    Parameters
    ----------
    level : int
        0 nothing, 1 what happens, 2 times and changes too.
    interval : int
        Iterations between two lines.
    """

    level: int
    interval: int
    _began: float = field(default_factory=perf_counter)
    _last: float = field(default_factory=perf_counter)

    def begin(self, start: int) -> None:
        """A start begins."""
        self._began = self._last = perf_counter()
        if self.level:
            print(f"Initialization {start}")

    def iteration(self, number: int, change: float) -> None:
        """An iteration is done."""
        if not self.level or number % self.interval:
            return
        if self.level == 1:
            print(f"  Iteration {number}")
            return
        now = perf_counter()
        print(f"  Iteration {number}\t time lapse {now - self._last:.5f}s\t ll change {change:.5f}")
        self._last = now

    def end(self, bound: float, *, converged: bool) -> None:
        """A start is done."""
        outcome = f"Initialization {'converged' if converged else 'did not converge'}."
        if self.level == 1:
            print(outcome)
        elif self.level > 1:
            print(f"{outcome} time lapse {perf_counter() - self._began:.5f}s\t lower bound {bound:.5f}.")

    def searched(self, starts: int, bound: float) -> None:
        """A search from many starts is done."""
        if self.level:
            print(f"Search from {starts} starts. lower bound {bound:.5f}.")


@dataclass(frozen=True, slots=True)
class Problem:
    """A fit to be done.

    Parameters
    ----------
    engine : Engine
        Who runs the rows.
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

    def best_of(
        self, begin: Callable[[], P], accumulate: Callable[[P], S], prior: Update[S, P]
    ) -> tuple[int, MixtureFit[P]]:
        """The start with the highest bound, and its fit.

        Parameters
        ----------
        begin : callable
            Gives the next start.
        accumulate : callable
            Runs the E-step.
        prior : object
            Prior in the coordinates of the E-step.
        """
        best: tuple[int, MixtureFit[P]] | None = None
        for start in range(1 if self.warm is not None else self.starts):
            self.narrator.begin(start)
            fit = fit_mixture(accumulate, prior, begin(), self.stopping, self.narrator.iteration)
            if fit.bounds:
                self.narrator.end(fit.bounds[-1], converged=fit.converged)
            if best is None or not fit.bounds or fit.bounds[-1] > best[1].bounds[-1]:
                best = start, fit
        assert best is not None
        return best


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

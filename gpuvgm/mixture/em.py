"""Variational EM for any number of features: the plain loop, and quasi-Newton steps on top of it.

An EM step is a gradient step in the metric of the statistics (natural gradient: Hensman, Rattray & Lawrence 2012).
Limited-memory BFGS (Nocedal 1980) on top of it learns the curvature from the last steps (Jamshidian & Jennrich 1997):
the same fixed points in a fraction of the iterations. Every step is guarded by the lower bound: one that does not raise
it is shortened, then taken back. Nothing here knows a device or a cluster.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np

from gpuvgm.mixture.posterior import Posterior, Prior
from gpuvgm.mixture.special import Vector
from gpuvgm.mixture.statistics import Statistics

Accumulate = Callable[[Posterior], Statistics]
Observer = Callable[[int, float], None]
MEMORY = 12  # steps that the curvature is learnt from
SHORTER = 0.25
SHORTEST = 0.2
PATIENCE = 4  # quiet iterations in a row: one may be quiet by chance
LEAST_CURVATURE = 1e-8  # cosine below which a pair of steps says nothing of the curvature


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
    def of(cls, config: Any, rows: float, bound: float = -np.inf) -> Stopping:
        """Rule of a fit's settings, or an estimator's, for this many rows."""
        return cls(config.max_iter, config.tol if config.tol_per_row is None else config.tol_per_row * rows, bound)


@dataclass(frozen=True, slots=True)
class MixtureFit:
    """Result of EM.

    Parameters
    ----------
    posterior : Posterior
        The fitted posterior.
    bounds : tuple of float
        Lower bound after each iteration.
    converged : bool
        Whether the last change was below the tolerance.
    earlier : Posterior, optional
        Posterior that the last iterations of a plain fit began from, `remembered` of them.
    """

    posterior: Posterior
    bounds: tuple[float, ...]
    converged: bool
    earlier: Posterior | None = None


def fit_mixture(
    objective: Objective, start: Posterior, stopping: Stopping, remembered: int = 1, observe: Observer | None = None
) -> MixtureFit:
    """Variational EM, for any number of features.

    Parameters
    ----------
    objective : Objective
        E-step and prior.
    start : Posterior
        Where to start from.
    stopping : Stopping
        When to end.
    remembered : int
        How many iterations before the end `MixtureFit.earlier` is taken.
    observe : callable, optional
        Called after each iteration with its number, from 1, and the change of the bound.
    """
    posterior, bounds, converged = start, [stopping.bound], False
    history = deque([start], maxlen=remembered)
    for iteration in range(1, stopping.max_iter + 1):
        if iteration > 1:
            history.append(posterior)
        statistics = objective.accumulate(posterior)
        posterior = objective.prior.update(statistics)
        bounds.append(posterior.lower_bound(statistics.entropy))
        change = bounds[-1] - bounds[-2]
        if observe is not None:
            observe(iteration, change)
        converged = abs(change) < stopping.tolerance
        if converged:
            break
    return MixtureFit(posterior, tuple(bounds[1:]), converged, history[0])


@dataclass(slots=True)
class Verbosity:
    """Prints how a fit goes, in scikit-learn's words.

    Parameters
    ----------
    level : int
        0 nothing, 1 what happens, 2 times and changes too.
    interval : int
        Iterations between two lines.
    """

    level: int = 0
    interval: int = 1
    _start_time: float = field(default_factory=perf_counter)
    _line_time: float = field(default_factory=perf_counter)

    def begin(self, start: int) -> None:
        """Note that a start begins."""
        self._start_time = self._line_time = perf_counter()
        if self.level:
            print(f"Initialization {start}")

    def iteration(self, number: int, change: float) -> None:
        """Note that an iteration is done."""
        if number % self.interval:
            return
        if self.level == 1:
            print(f"  Iteration {number}")
            return
        time = perf_counter()
        print(f"  Iteration {number}\t time lapse {time - self._line_time:.5f}s\t ll change {change:.5f}")
        self._line_time = time

    def end(self, fit: MixtureFit) -> None:
        """Note that a start is done."""
        outcome = f"Initialization {'converged' if fit.converged else 'did not converge'}."
        if self.level == 1:
            print(outcome)
        elif self.level > 1:
            print(f"{outcome} time lapse {perf_counter() - self._start_time:.5f}s\t lower bound {fit.bounds[-1]:.5f}.")

    def end_search(self, starts: int, bound: float) -> None:
        """Note that a search from many starts is done."""
        if self.level:
            print(f"Search from {starts} starts. lower bound {bound:.5f}.")


def best_of(
    starts: Iterable[Callable[[], Posterior]],
    fit: Callable[..., MixtureFit],
    verbosity: Verbosity | None = None,
) -> tuple[int, MixtureFit]:
    """The start with the highest bound, and its fit.

    Parameters
    ----------
    starts : iterable of callable
        Give the starts, at least one.
    fit : callable
        Plain EM from a start; ``observe`` is as in `fit_mixture`.
    verbosity : Verbosity, optional
        Printer of the progress; by default it prints nothing.
    """
    verbosity = Verbosity() if verbosity is None else verbosity
    best: tuple[int, MixtureFit] | None = None
    for number, begin in enumerate(starts):
        verbosity.begin(number)
        result = fit(begin(), observe=verbosity.iteration if verbosity.level else None)
        if result.bounds:
            verbosity.end(result)
        if best is None or not result.bounds or result.bounds[-1] > best[1].bounds[-1]:
            best = number, result
    assert best is not None
    return best


@dataclass(frozen=True, slots=True)
class Point:
    """Statistics of an E-step, the posterior updated from them, and its lower bound.

    Where the statistics allow of no posterior, there is none, and the bound is -inf.
    """

    statistics: Statistics
    posterior: Posterior | None
    bound: float


@dataclass(frozen=True, slots=True)
class Objective:
    """Objective of a fit: E-step, prior and number of rows.

    Parameters
    ----------
    accumulate : callable
        Runs the E-step for a posterior over all rows or cells.
    prior : Prior
        Prior of the mixture.
    rows : float
        Total weight of the rows.
    """

    accumulate: Accumulate
    prior: Prior
    rows: float

    def point(self, statistics: Statistics) -> Point:
        """The posterior of an E-step's statistics, and its bound: -inf where a covariance is ill-defined."""
        try:
            posterior = self.prior.update(statistics)
        except ValueError:
            return Point(statistics, None, -np.inf)
        return Point(statistics, posterior, posterior.lower_bound(statistics.entropy))

    def bound(self, statistics: Statistics) -> float:
        """The bound of `point`."""
        return self.point(statistics).bound

    def ascents(self, starts: Sequence[Statistics]) -> Sequence[Any]:
        """Ascents from sums of assignments of the rows: `AcceleratedEM`, or what an engine has in its place."""
        return [AcceleratedEM(self, start) for start in starts]

    def run(self, ascents: Sequence[Any], iterations: int, tolerance: float) -> list[float]:
        """Go on with ascents, and give their bounds.

        Parameters
        ----------
        ascents : sequence
            Results of `ascents`.
        iterations : int
            Most E-steps of each.
        tolerance : float
            Gain of the bound per row, made and expected, below which an iteration counts as quiet.
        """
        for ascent in ascents:
            ascent.run(iterations, tolerance)
        return [ascent.bound for ascent in ascents]

    def em_step(self, point: Point) -> Point:
        """One iteration of variational EM from a point; the point itself where it has no posterior."""
        return point if point.posterior is None else self.point(self.accumulate(point.posterior))


class AcceleratedEM:
    """An ascent of the lower bound that can be stopped and taken up again.

    Parameters
    ----------
    objective : Objective
        E-step, prior and rows.
    start : Statistics
        Where to start from: sums of any assignment of the rows.

    Attributes
    ----------
    best : Point
        The highest point reached; after an E-step of its own.
    bounds : list of float
        The bound after each iteration; it never falls.
    converged : bool
        Whether there is nothing left to gain.
    """

    def __init__(self, objective: Objective, start: Statistics) -> None:
        self._objective = objective
        self.best: Point = objective.em_step(objective.point(start))
        self.bounds = [self.best.bound]
        self.converged = False
        self._memory: deque[tuple[Vector, Vector]] = deque(maxlen=MEMORY)
        self._last_point: tuple[Vector, Vector] | None = None
        self._extra_step: Vector | None = None
        self._length = 1.0
        self._quiet = 0
        self._trial: Statistics | None = None

    @property
    def statistics(self) -> Statistics:
        """The statistics of the highest point."""
        return self.best.statistics

    @property
    def bound(self) -> float:
        """The highest bound."""
        return self.best.bound

    def run(self, iterations: int, tolerance: float) -> AcceleratedEM:
        """Go on with accelerated EM.

        Parameters
        ----------
        iterations : int
            Most E-steps.
        tolerance : float
            Gain of the bound per row, made and expected, below which an iteration counts as quiet.
        """
        self.converged = self.best.posterior is None  # it may have been so for a wider tolerance
        for _ in range(iterations):
            if self.converged:
                break
            self._iterate(tolerance * self._objective.rows)
            self.bounds.append(self.best.bound)
        return self

    def _iterate(self, least_gain: float) -> None:
        """One E-step from the trial point or, without one, from the best."""
        statistics = self.best.statistics if self._trial is None else self._trial
        point = self._objective.em_step(self.best if self._trial is None else self._objective.point(statistics))
        gain = point.bound - self.best.bound
        if not gain >= 0:  # NaN is a fall too
            self._fall_back()
            return
        self.best = point
        x = statistics.coordinates()
        residual = point.statistics.coordinates() - x
        if self._last_point is not None:
            self._memory.append((x - self._last_point[0], self._last_point[1] - residual))
        self._last_point, self._length = (x, residual), 1.0
        metric = point.statistics.metric()
        pairs = np.array(self._memory).reshape(-1, 2, len(x)) * metric
        direction = quasi_newton(residual * metric, pairs[:, 0], pairs[:, 1])
        # Half the slope times the step: the gain where the bound is quadratic along it.
        expected_gain = 0.5 * inner(direction, residual * metric)
        self._quiet = self._quiet + 1 if max(gain, expected_gain) < least_gain else 0
        self.converged = self._quiet >= PATIENCE
        self._extra_step = direction / np.maximum(metric, 1e-300) - residual if self._memory else None
        self._aim()

    def _fall_back(self) -> None:
        """After a step that lowered the bound: a shorter one, then plain EM; where that lowers it too, the end."""
        if self._trial is None:
            self.converged = True
            return
        self._length *= SHORTER
        if self._length < SHORTEST:
            self._memory.clear()
            self._last_point = self._extra_step = None
        self._aim()

    def _aim(self) -> None:
        """Set the next trial point; None for plain EM."""
        self._trial = None if self._extra_step is None else self.best.statistics.moved(self._length * self._extra_step)


def inner(first: Vector, second: Vector) -> float:
    """Inner product, added in order: the order of BLAS depends on the machine."""
    return float(np.add.accumulate(first * second)[-1])


def quasi_newton(residual: Vector, steps: Vector, falls: Vector) -> Vector:
    """Step of limited-memory BFGS by the two-loop recursion (Nocedal 1980).

    Parameters
    ----------
    residual : ndarray of shape (coordinates,)
        Gradient in the metric: the step of plain EM.
    steps, falls : ndarray of shape (pairs, coordinates)
        Earlier steps, the oldest first, and the fall of the residual along each.
    """
    curvatures = np.add.accumulate(steps * falls, axis=1)[:, -1]
    lengths = np.sqrt(np.add.accumulate(np.stack((steps, falls)) ** 2, axis=2)[:, :, -1])
    pairs = np.flatnonzero(curvatures > LEAST_CURVATURE * lengths[0] * lengths[1])
    step, shares = residual, {}  # the initial metric is the identity: a step of plain EM
    for i in pairs[::-1]:
        shares[i] = inner(steps[i], step) / curvatures[i]
        step = step - shares[i] * falls[i]
    for i in pairs:
        step = step + (shares[i] - inner(falls[i], step) / curvatures[i]) * steps[i]
    return step

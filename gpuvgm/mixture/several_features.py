"""Fits of several features: every E-step over every row, in blocks; effort="best" searches on a sample first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import namespace_of, to_numpy
from gpuvgm.engines import get_engine
from gpuvgm.mixture.accumulate import log_density_sum, over_features
from gpuvgm.mixture.em import best_of
from gpuvgm.mixture.initialization import (
    CentreStart,
    LabelStart,
    Start,
    draw_start,
    k_means,
    quiet_k_means,
    start_statistics,
)
from gpuvgm.mixture.posterior_nd import GaussianPosterior
from gpuvgm.mixture.problem import Estimate, Problem, explained
from gpuvgm.mixture.rows import LEAST_ROWS, Coordinates, Rows, held_out, learnt
from gpuvgm.mixture.search import accelerated, search
from gpuvgm.mixture.statistics import GaussianStatistics

COARSE_ROWS = 1 << 13  # rows of the sample that starts of several features compete on
STARTS, RICH_STARTS, RICH = 6, 2, 4  # k-means, and k-means with more components, which are taken away again
POINT_STARTS = 4  # rows as centres: where tails are heavy k-means gives its centres to outliers


def fit_several(problem: Problem) -> Estimate:
    """Fit a mixture of any number of features, about the mean of the rows.

    Parameters
    ----------
    problem : Problem
        What to fit.
    """
    coordinates = Coordinates(problem.moments.mean)
    prior = problem.prior.within(coordinates)

    def begin() -> GaussianPosterior:
        if problem.warm is not None:
            return problem.warm.within(coordinates)
        start = draw_start(problem.rows, problem.init, problem.components, problem.random, coordinates, problem.moments)
        return prior.update(start_statistics(problem.rows, start, coordinates, prior.form, problem.moments))

    accumulate = over_features(problem.engine, problem.rows, problem.moments.mean, problem.pool)
    _, fit = best_of([begin] * problem.tries, accumulate, prior, problem.stopping, problem.narrator)
    return Estimate(fit.posterior.outside(coordinates), fit.bounds, fit.converged, "exact", 0.0)


def best_of_several(problem: Problem) -> Estimate:
    """Search on a sample of the rows, then on all of them.

    Parameters
    ----------
    problem : Problem
        What to fit.
    """
    with quiet_k_means():  # on one thread: LAPACK's would cost small matrices a hundred times their work
        return _best_of_several(problem)


def _best_of_several(problem: Problem) -> Estimate:
    rows, engine, centre = problem.rows, problem.engine, problem.moments.mean
    coordinates = Coordinates(centre)
    prior = problem.prior.within(coordinates)
    research = fit_several(problem).posterior.within(coordinates)
    fine = over_features(engine, rows, centre, problem.pool)
    sample = rows.sample(COARSE_ROWS)
    coarse = Rows.of(sample.array, np.full(sample.count, rows.total / sample.count))
    level = over_features(get_engine("auto" if engine.name == "native" else engine.name), coarse, centre)
    starts = _sample_starts(problem, coarse, coordinates)
    result = search([level, fine], starts, prior, rows.total, given=[fine(research)])
    posterior = result.fit.posterior
    score = np.nan
    others, held = _weighted(rows, learnt), _weighted(rows, held_out)
    if rows.count >= LEAST_ROWS and held.total > 0:
        apart = accelerated(over_features(engine, others, centre, problem.pool), prior, posterior, others.total)
        score = log_density_sum(engine, held, apart.posterior.table(centre), problem.pool) / held.total
    fit = result.fit
    estimate = Estimate(posterior.outside(coordinates), fit.bounds, fit.converged, "exact", 0.0)
    return explained(problem, estimate, result, score)


def _weighted(rows: Rows, chosen: Callable[[slice], NDArray[np.bool_]]) -> Rows:
    """Rows of which only those chosen count."""
    weight = chosen(slice(0, rows.count)).astype(np.float64)
    if rows.weight is not None:
        weight *= to_numpy(rows.weight)
    on_device = weight if rows.on_host else namespace_of(rows.array).asarray(weight)
    return replace(rows, weight=on_device)


def _sample_starts(problem: Problem, sample: Rows, coordinates: Coordinates) -> list[GaussianStatistics]:
    """Starts from k-means and from single rows of a sample, some of them with more components."""
    y, random = coordinates.apply(sample.array), problem.random
    starts: list[Start] = []
    for components, times in ((problem.components, STARTS), (problem.components + RICH, RICH_STARTS)):
        starts += [LabelStart(*k_means(y, components, random)) for _ in range(times)]
    few = min(problem.components, len(y))
    starts += [CentreStart(y[random.choice(len(y), few, replace=False)]) for _ in range(POINT_STARTS)]
    sums = [start_statistics(sample, start, coordinates, problem.prior.form, problem.moments) for start in starts]
    return [one.padded(max(len(one.counts), problem.components)) for one in sums]

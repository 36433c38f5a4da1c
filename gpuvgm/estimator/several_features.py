"""Fits of several features: every E-step over every row, in blocks."""

from __future__ import annotations

from gpuvgm.accumulation import over_features
from gpuvgm.estimator.problem import Estimate, Problem
from gpuvgm.estimator.starts import draw_start, start_statistics
from gpuvgm.rows import Coordinates
from gpuvgm.wishart import GaussianPosterior


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
    _, fit = problem.best_of(begin, accumulate, prior)
    return Estimate(fit.posterior.outside(coordinates), fit.bounds, fit.converged, "exact", 0.0)

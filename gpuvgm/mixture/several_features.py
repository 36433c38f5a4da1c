"""Fits of several features: every E-step over every row, in blocks."""

from __future__ import annotations

from gpuvgm.mixture.accumulate import over_features
from gpuvgm.mixture.initialization import draw_start, start_statistics
from gpuvgm.mixture.posterior_nd import GaussianPosterior
from gpuvgm.mixture.problem import Estimate, Problem
from gpuvgm.mixture.rows import Coordinates


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

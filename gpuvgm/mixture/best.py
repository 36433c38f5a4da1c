"""effort="best": a search for the highest bound, what one mode fewer costs, and a look at rows held out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import namespace_of, to_numpy
from gpuvgm.config import LARGEST_FIT_ERROR, MOST_REFINEMENTS
from gpuvgm.engines import Engine, get_engine
from gpuvgm.mixture.accumulate import CELL_FRAME, log_density_sum, over_cells, over_features, over_rows
from gpuvgm.mixture.cell_fit import climbed, end_error
from gpuvgm.mixture.initialization import CentreStart, LabelStart, Start, k_means, quiet_k_means, start_statistics
from gpuvgm.mixture.one_feature import Sums, best_start, estimate_of, plan, summarise_rows
from gpuvgm.mixture.posterior import Posterior, Prior
from gpuvgm.mixture.posterior_nd import coordinates_of, one_prior
from gpuvgm.mixture.problem import Estimate, Explanation, Problem
from gpuvgm.mixture.rows import Coordinates, Rows
from gpuvgm.mixture.search import SearchResult, search, search_cells
from gpuvgm.mixture.several_features import fit_several
from gpuvgm.mixture.special import LOG_2
from gpuvgm.mixture.statistics import GaussianStatistics
from gpuvgm.summary.grid import MASS_BITS, Grid, build_grid
from gpuvgm.summary.summary import Summary

HELD_OUT_BITS = 3  # one row in 2^3
LEAST_ROWS = 16  # fewer are not divided
COARSE_ROWS = 1 << 13  # rows of the sample that starts of several features compete on
STARTS, RICH_STARTS, RICH = 6, 2, 4  # k-means, and k-means with more components, which are taken away again
POINT_STARTS = 4  # rows as centres: where tails are heavy k-means gives its centres to outliers


def best_of_one(problem: Problem, *, exact: bool) -> Estimate:
    """Search on the summary of one feature; the last steps on its rows, where that is asked for or needed.

    Parameters
    ----------
    problem : Problem
        What to fit.
    exact : bool
        Whether the fit shall end on the rows.
    """
    with quiet_k_means():
        frame, starts, grid = plan(problem)
    prior = one_prior(problem.prior.within(coordinates_of(frame)))
    learnt, held = _divided(problem, grid)
    sums = learnt.merge(held)
    cells = sums.cells()
    _, research = best_start(problem, frame, grid, starts, cells)
    result = search_cells(problem.engine, cells, prior, problem.components, problem.random, [research.posterior])
    fit, error = result.fit, end_error(problem.engine, prior, result.fit.posterior, cells)
    for refinement in range(1, MOST_REFINEMENTS + 1):
        if error <= LARGEST_FIT_ERROR or not isinstance(sums, Summary):
            break
        grid = build_grid(frame, sums.masses(), np.empty(0), MASS_BITS + 2 * refinement)
        learnt, held = _divided(problem, grid)
        sums = learnt.merge(held)
        cells = sums.cells()
        fit = climbed(over_cells(problem.engine, cells), prior, fit.posterior, cells.rows)
        error = end_error(problem.engine, prior, fit.posterior, cells)
    if exact or error > LARGEST_FIT_ERROR:
        exact, error = True, 0.0
        fit = climbed(over_rows(problem.engine, problem.rows, frame, problem.pool), prior, fit.posterior, cells.rows)
    estimate = estimate_of(problem, fit, frame, "exact" if exact else "summary", error)
    many = problem.rows.count >= LEAST_ROWS
    score = _score_of_cells(problem.engine, prior, fit.posterior, learnt, held) if many else np.nan
    problem.narrator.searched(result.starts, estimate.bounds[-1])
    return replace(estimate, explanation=explanation_of(result, estimate.bounds[-1], score))


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
    others, held = _weighted(rows, _learnt), _weighted(rows, _held_out)
    if rows.count >= LEAST_ROWS and held.total > 0:
        apart = climbed(over_features(engine, others, centre, problem.pool), prior, posterior, others.total)
        score = log_density_sum(engine, held, apart.posterior.table(centre), problem.pool) / held.total
    bounds = result.fit.bounds
    problem.narrator.searched(result.starts, bounds[-1])
    return Estimate(
        posterior.outside(coordinates), bounds, result.fit.converged, "exact", 0.0,
        explanation_of(result, bounds[-1], score),
    )  # fmt: skip


def _divided(problem: Problem, grid: Grid) -> tuple[Any, Any]:
    """Sums of the rows that are learnt from, and of those held out."""
    rows = problem.rows
    divided = [summarise_rows(problem.engine, rows, grid, problem.pool, chosen) for chosen in (_learnt, _held_out)]
    return divided[0], divided[1]


def _held_out(part: slice) -> NDArray[np.bool_]:
    """One row in eight, by a hash of its number: every eighth might be all that one of eight sensors says."""
    hashed = np.arange(part.start, part.stop, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return np.asarray(hashed >> np.uint64(64 - HELD_OUT_BITS) == 0)


def _learnt(part: slice) -> NDArray[np.bool_]:
    return ~_held_out(part)


def _weighted(rows: Rows, chosen: Callable[[slice], NDArray[np.bool_]]) -> Rows:
    """Rows of which only those chosen count."""
    weight = chosen(slice(0, rows.count)).astype(np.float64)
    if rows.weight is not None:
        weight *= to_numpy(rows.weight)
    on_device = weight if rows.on_host else namespace_of(rows.array).asarray(weight)
    return replace(rows, weight=on_device)


def _score_of_cells(engine: Engine, prior: Prior, posterior: Posterior, learnt: Sums, held: Sums) -> float:
    """Log density per held-out row under a fit to the others."""
    others, apart = learnt.cells(), held.cells()
    if others.rows == 0 or apart.rows == 0:
        return np.nan
    fit = climbed(over_cells(engine, others), prior, posterior, others.rows)
    table = fit.posterior.kernel_table(CELL_FRAME)
    sums = engine.e_step(apart.mean, apart.weight, apart.scatter, table)
    return float(np.sum(sums[:, -1]) * LOG_2 / apart.rows)


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


def explanation_of(result: SearchResult[Any, Any], bound: float, score: float) -> Explanation:
    """What there is to say of a search's result."""
    loss = result.loss_with_fewer
    fewer = np.nan if loss is None else bound - loss * result.rows
    return Explanation(result.modes, fewer, score, result.starts)

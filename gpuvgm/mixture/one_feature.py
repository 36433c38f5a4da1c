"""Fits of one feature: over every row, or over the cells of its summary, both on the engines of the table's columns."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial, reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import to_numpy
from gpuvgm.config import BLOCK_ROWS, LARGEST_FIT_ERROR, MOST_REFINEMENTS
from gpuvgm.engines import Engine
from gpuvgm.mixture.accumulate import WeightedSums, over_cells, over_rows, summarise_repeated
from gpuvgm.mixture.cell_fit import estimate_error, start_components
from gpuvgm.mixture.em import MixtureFit, fit_mixture, hard_start
from gpuvgm.mixture.initialization import CentreStart, LabelStart, Seeds, draw_start, start_statistics
from gpuvgm.mixture.posterior import Posterior, Prior
from gpuvgm.mixture.posterior_nd import coordinates_of, flat_statistics, from_one, one_posterior, one_prior
from gpuvgm.mixture.problem import Estimate, Problem
from gpuvgm.mixture.rows import SEED_ROWS, Rows, are_whole, in_order
from gpuvgm.mixture.statistics import ComponentStatistics
from gpuvgm.summary.grid import MASS_BITS, Floats, Frame, Grid, Masses, build_grid, midpoint_keys
from gpuvgm.summary.summary import Cells, Summary

K_MEANS_ROWS = 1 << 15  # rows of the sample that k-means runs on
Sums = Summary | WeightedSums
Start = Seeds | Posterior
Chosen = slice | NDArray[np.bool_]
_LOG = logging.getLogger("gpuvgm")


def fit_on_rows(problem: Problem) -> Estimate:
    """Fit with every E-step over every row.

    Parameters
    ----------
    problem : Problem
        What to fit; its rows have one feature.
    """
    frame = _frame_around(_numbers(problem.rows.sample(SEED_ROWS)))
    coordinates = coordinates_of(frame)
    prior = one_prior(problem.prior.within(coordinates))

    def begin() -> Posterior:
        if problem.warm is not None:
            return one_posterior(problem.warm.within(coordinates))
        start = draw_start(problem.rows, problem.init, problem.components, problem.random, coordinates, problem.moments)
        return prior.update(
            flat_statistics(start_statistics(problem.rows, start, coordinates, problem.prior.form, problem.moments))
        )

    _, fit = problem.best_of(begin, over_rows(problem.engine, problem.rows, frame, problem.pool), prior)
    return estimate_of(problem, fit, frame, "exact", 0.0)


def fit_on_summary(problem: Problem) -> Estimate:
    """Fit on the cells of a summary, refined where the estimated error asks for it; on the rows where that fails.

    Parameters
    ----------
    problem : Problem
        What to fit; its rows have one feature.
    """
    frame, starts, grid = plan(problem)
    sums = summarise_rows(problem.engine, problem.rows, grid, problem.pool)
    start, fit = best_start(problem, frame, grid, starts, sums.cells())
    error = np.inf
    for refinement in range(1, MOST_REFINEMENTS + 2):
        fit_on = partial(fit_cells, problem, frame, grid, start)
        if np.array_equal(grid.midpoints, midpoint_keys(centres_of(start))):
            error = estimate_error(sums.cells(), fit.posterior, fit_on)
        if error <= LARGEST_FIT_ERROR:
            return estimate_of(problem, fit, frame, "summary", error)
        if refinement > MOST_REFINEMENTS or not isinstance(sums, Summary):
            break
        _LOG.info("another pass with a finer grid")
        grid = build_grid(frame, sums.masses(), centres_of(start), MASS_BITS + 2 * refinement)
        sums = summarise_rows(problem.engine, problem.rows, grid, problem.pool)
        fit = fit_cells(problem, frame, grid, start, sums.cells())
    _LOG.info("exact EM: a fit on the summary may be %.1e sigma off", error)
    if isinstance(start, Seeds):
        return fit_on_rows(replace(problem, starts=1, init=frame.invert(start.centres)[:, None]))
    posterior = from_one(start, problem.prior.covariance_type).outside(coordinates_of(frame))
    return fit_on_rows(replace(problem, warm=posterior))


def plan(problem: Problem) -> tuple[Frame, list[Start], Grid]:
    """Frame, starts and grid from a sample of the rows; the grid is split between the centres of the first start."""
    sample = problem.rows.sample(SEED_ROWS)
    numbers = _numbers(sample)
    frame = _frame_around(numbers)
    starts = _draw_starts(problem, sample, frame)
    return frame, starts, build_grid(frame, Masses.of_sample(frame.apply(numbers)), centres_of(starts[0]))


def slice_all(part: slice) -> slice:
    """Every row of a block."""
    return slice(None)


def summarise_rows(
    engine: Engine, rows: Rows, grid: Grid, pool: Executor | None, chosen: Callable[[slice], Chosen] = slice_all
) -> Sums:
    """Sums of all rows, or of those chosen in each block, over the cells of a grid, in one pass."""
    whole = rows.weight is None or are_whole(to_numpy(rows.weight))

    def sums(part: slice) -> Sums:
        kept = chosen(part)
        x, weight = rows.column(part)[kept], rows.column_weights(part)
        weight = None if weight is None else weight[kept]
        if weight is None:
            return engine.summarise(x, grid)
        return summarise_repeated(engine, x, weight, grid) if whole else WeightedSums.of(x, weight, grid)

    blocks: Iterator[Any] = in_order(sums, rows.parts(BLOCK_ROWS), pool)
    merged: Sums = reduce(lambda one, other: one.merge(other), blocks)
    return merged


def centres_of(start: Start) -> Floats:
    """Centres whose midpoints the grid must be split at."""
    return start.centres if isinstance(start, Seeds) else np.empty(0)


def _draw_starts(problem: Problem, sample: Rows, frame: Frame) -> list[Start]:
    """Starts from a sample of the rows: centres where rows belong to the nearest, else posteriors."""
    coordinates = coordinates_of(frame)
    if problem.warm is not None:
        return [one_posterior(problem.warm.within(coordinates))]
    prior = one_prior(problem.prior.within(coordinates))
    share = problem.rows.total / sample.total
    starts: list[Start] = []
    for _ in range(problem.starts):
        chosen = sample.sample(K_MEANS_ROWS) if _is(problem, "kmeans") else sample
        start = draw_start(chosen, problem.init, problem.components, problem.random, coordinates, problem.moments)
        if isinstance(start, (LabelStart, CentreStart)):
            starts.append(Seeds(start.reference[:, 0], np.empty(0, np.int64)))
            continue
        sums = flat_statistics(start_statistics(chosen, start, coordinates, problem.prior.form, problem.moments))
        scaled = ComponentStatistics(sums.reference, sums.counts * share, sums.first * share, sums.second * share, 0.0)
        starts.append(prior.update(scaled if _is(problem, "random") else sums))
    return starts


def best_start(
    problem: Problem, frame: Frame, grid: Grid, starts: Sequence[Start], cells: Cells
) -> tuple[Start, MixtureFit[Posterior]]:
    """The start that leads to the highest bound on these cells, and its fit."""
    prior = one_prior(problem.prior.within(coordinates_of(frame)))
    remaining = iter(starts)
    number, fit = problem.best_of(
        lambda: _begin(prior, grid, next(remaining), cells), over_cells(problem.engine, cells), prior
    )
    return starts[number], fit


def fit_cells(problem: Problem, frame: Frame, grid: Grid, start: Start, cells: Cells) -> MixtureFit[Posterior]:
    """EM over cells from a start."""
    prior = one_prior(problem.prior.within(coordinates_of(frame)))
    return fit_mixture(over_cells(problem.engine, cells), prior, _begin(prior, grid, start, cells), problem.stopping)


def _begin(prior: Prior, grid: Grid, start: Start, cells: Cells) -> Posterior:
    if isinstance(start, Posterior):
        return start
    component = start_components(grid, start, cells)
    return prior.update(hard_start(cells.mean, cells.weight, cells.scatter, component, start.centres))


def _is(problem: Problem, init: str) -> bool:
    return isinstance(problem.init, str) and problem.init == init


def _frame_around(numbers: Floats) -> Frame:
    """Frame with the lower median at 0; units stay, since `reg_covar` and the priors are given in them."""
    middle = (len(numbers) - 1) // 2
    return Frame(1.0, float(np.partition(numbers, middle)[middle]))


def _numbers(rows: Rows) -> Floats:
    return rows.column(slice(0, rows.count))


def estimate_of(problem: Problem, fit: MixtureFit[Posterior], frame: Frame, algorithm: str, error: float) -> Estimate:
    """The fit in the rows' own coordinates."""
    posterior = from_one(fit.posterior, problem.prior.covariance_type)
    return Estimate(posterior.outside(coordinates_of(frame)), fit.bounds, fit.converged, algorithm, error)

"""The search on the summary of a column: coarse cells, and starts from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from gpuvgm.engines import Engine
from gpuvgm.mixture.accumulate import Accumulate, over_cells
from gpuvgm.mixture.em import hard_start
from gpuvgm.mixture.kmeans import k_means, quiet_k_means
from gpuvgm.mixture.posterior import Posterior, Prior
from gpuvgm.mixture.search import Effort, SearchResult, search
from gpuvgm.mixture.statistics import ComponentStatistics
from gpuvgm.summary.grid import Floats, Ints
from gpuvgm.summary.summary import Cells

COARSE_CELLS = 1000
MOST_DOUBLINGS = 20
KMEANS_STARTS = 8
RICH_STARTS = 2
RICH = 5  # components more than asked for, to be taken away again


def search_cells(  # noqa: PLR0913 - the public signature
    engine: Engine,
    cells: Cells,
    prior: Prior,
    components: int,
    random: np.random.RandomState,
    given: Sequence[Posterior | ComponentStatistics] = (),
    *,
    weight_threshold: float = 0.005,
    effort: Effort | None = None,
) -> SearchResult[ComponentStatistics, Posterior]:
    """Search for the best fit of a column on its summary.

    Parameters
    ----------
    engine : Engine
        Who runs E-steps.
    cells : Cells
        The summary's cells, at least one.
    prior : Prior
        Prior of the mixture.
    components : int
        Components of the fit.
    random : numpy.random.RandomState
        What starts are drawn with.
    given : sequence of Posterior or ComponentStatistics, optional
        Fits from elsewhere on these cells; the result is never below any of them.
    weight_threshold : float
        A mode is a component with more weight than this.
    effort : Effort, optional
        How far to go.
    """
    fine = _sound(over_cells(engine, cells))
    coarse = coarse_cells(cells, COARSE_CELLS)
    return search(
        [fine] if len(coarse.mean) == len(cells.mean) else [_sound(over_cells(engine, coarse)), fine],
        cell_starts(coarse, components, random),
        prior,
        cells.rows,
        given=[(fine(fit) if isinstance(fit, Posterior) else fit).padded(components) for fit in given],
        weight_threshold=weight_threshold,
        effort=effort,
    )


def _sound(accumulate: Accumulate) -> Accumulate:
    """The E-step with components of negative counts empty: the expansion within cells far wider than a component."""

    def sound(posterior: Posterior) -> ComponentStatistics:
        sums = accumulate(posterior)
        held = sums.counts >= 0
        if np.all(held):
            return sums
        return replace(sums, counts=sums.counts * held, first=sums.first * held, second=sums.second * held)

    return sound


def coarse_cells(cells: Cells, most: int) -> Cells:
    """Cells put together with their neighbours in the grid until at most so many are left, where that can be."""
    coarse = cells
    for doublings in range(MOST_DOUBLINGS):
        if len(coarse.mean) <= most:
            break
        coarse = replace(cells, parent=cells.parent >> doublings).coarsen()
    return coarse


def cell_starts(cells: Cells, components: int, random: np.random.RandomState) -> list[ComponentStatistics]:
    """Starts from k-means, as scikit-learn's mixtures start, from quantiles, and some with more components."""
    draws = [(components, KMEANS_STARTS), (components + RICH, RICH_STARTS)]
    starts = [_k_means_start(cells, many, random).padded(many) for many, times in draws for _ in range(times)]
    return [*starts, _quantile_start(cells, components).padded(components)]


def _k_means_start(cells: Cells, components: int, random: np.random.RandomState) -> ComponentStatistics:
    with quiet_k_means():
        centres, labels = k_means(cells.mean.reshape(-1, 1), components, random, cells.weight)
    return _hard(cells, labels.astype(np.int64), centres.ravel())


def _quantile_start(cells: Cells, components: int) -> ComponentStatistics:
    """Components with about the same number of rows each, in the order of the values."""
    order = np.argsort(cells.mean, kind="stable")
    weight = cells.weight[order]
    share = (np.add.accumulate(weight) - 0.5 * weight) / cells.rows
    component = np.empty(len(order), np.int64)
    rank = np.minimum(share * components, components - 1).astype(np.int64)
    component[order] = np.unique(rank, return_inverse=True)[1]
    counts = np.bincount(component, cells.weight)
    return _hard(cells, component, np.bincount(component, cells.weight * cells.mean) / counts)


def _hard(cells: Cells, component: Ints, centres: Floats) -> ComponentStatistics:
    return hard_start(cells.mean, cells.weight, cells.scatter, component, centres)

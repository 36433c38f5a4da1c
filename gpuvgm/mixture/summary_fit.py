"""The fit of one feature: on the cells of its summary, refined where the estimated error asks for it, else on its rows.

The callers hand in what reads rows: the table for many columns, which share every scan, and the estimator for one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, Protocol, Self, TypeVar

import numpy as np

from gpuvgm.config import LARGEST_FIT_ERROR, MOST_REFINEMENTS
from gpuvgm.engines import Engine
from gpuvgm.errors import Results
from gpuvgm.mixture.accumulate import CELL_FRAME, ColumnMoments, hard_start, mean_and_variance
from gpuvgm.mixture.cell_em import cell_objective, fit_batch
from gpuvgm.mixture.em import Accumulate, MixtureFit, Objective, Observer, Stopping, Verbosity, best_of, fit_mixture
from gpuvgm.mixture.initialization import Seeds
from gpuvgm.mixture.posterior import Posterior, Prior
from gpuvgm.mixture.search import Effort, SearchResult, accelerated, coarse_to_fine, search_cells
from gpuvgm.mixture.statistics import Statistics
from gpuvgm.summary.grid import MASS_BITS, Floats, Grid, Ints, Masses, build_grid, midpoint_keys, values_of
from gpuvgm.summary.summary import Cells

CHECKED_ITERATIONS = 20  # of EM from the end of a fit, on other cells too, to see what the cells cost
FIRST_LOOKS = (1, 4)  # of them: each further one adds no more than one of these, so that they often suffice
COARSE_TO_FINE = 4.0  # the error falls with the third power of the width, to 1/7 of the difference; twice that is kept
LEAST_EVIDENCE = 5e-3  # nats a row that another prior gains: less is a few needles in the steps of the values
ROUNDED = 1.001  # more than what sums of shares are rounded by
Start = Seeds | Posterior
T = TypeVar("T")


class Sums(Protocol):
    """Sums of a column's rows over the cells of a grid."""

    def cells(self) -> Cells:
        """The occupied cells as numbers."""

    def masses(self) -> Masses | None:
        """Where the rows lie, for a finer grid; None where the grid cannot be refined."""


@dataclass(frozen=True, slots=True)
class SummaryConfig:
    """How a column is fitted.

    Parameters
    ----------
    components : int
        Number of components.
    stopping : callable
        When EM ends, for so many rows.
    random : callable
        The source of randomness of a search.
    prior : callable
        The prior, from mean and variance of the rows in the grid's frame.
    search : Effort, optional
        How far a search goes; None for plain fits.
    mean_precisions : tuple of float
        Strengths of the prior of the means that a search tries, the usual one first; none: the one that `prior` gives.
    continued : bool
        Whether a search is made once, and its result accelerated on finer summaries; else they are searched again.
    checked : {"history", "refit", "end"}
        What the error of a plain fit is estimated from: its last iterations, whole fits to other cells, or iterations
        from its end on, as that of a search always is.
    weight_threshold : float
        A mode is a component with more weight than this.
    """

    components: int
    stopping: Callable[[float], Stopping]
    random: Callable[[], np.random.RandomState]
    prior: Callable[[float, float], Prior]
    search: Effort | None = None
    mean_precisions: tuple[float, ...] = ()
    continued: bool = False
    checked: Literal["history", "refit", "end"] = "history"
    weight_threshold: float = 0.005


@dataclass(frozen=True, slots=True)
class Outcome:
    """A column's fit and how far it may be from the exact one, in units of sigma."""

    fit: MixtureFit
    error: float
    exact: bool = False
    search: SearchResult | None = None

    @property
    def is_good(self) -> bool:
        """Whether the fit on the summary keeps the promise."""
        return self.error <= LARGEST_FIT_ERROR

    @property
    def bound_with_fewer(self) -> float | None:
        """The highest bound that a search found with one mode fewer."""
        return None if self.search is None else self.search.bound_with_fewer


@dataclass(frozen=True, slots=True)
class ColumnFit:
    """A column under way.

    Parameters
    ----------
    grid : Grid
        The cells that it is summarised into.
    sums : Summary or WeightedSums
        Its rows on this grid.
    starts : tuple of Seeds or Posterior
        Where to start: centres that every row goes to the nearest of, or posteriors. After a plain fit only the best.
    config : SummaryConfig
        How to fit.
    refinements : int
        How often the grid was refined.
    trusted : bool
        False where the grid knows nothing of the centres, which were found after it was made.
    asks_exact : bool
        Whether the fit shall be made on the rows.
    outcome : Outcome, optional
        The fit, once there is one.
    """

    grid: Grid
    sums: Sums
    starts: tuple[Start, ...]
    config: SummaryConfig
    refinements: int = 0
    trusted: bool = True
    asks_exact: bool = False
    outcome: Outcome | None = None

    @property
    def is_good(self) -> bool:
        """Whether the fit keeps the promise, and is one on the rows where that is asked for."""
        outcome = self.outcome
        return outcome is not None and outcome.is_good and (outcome.exact or not self.asks_exact)

    def finer_grid(self) -> Grid | None:
        """A finer grid, built from where all rows lie instead of a sample; None where that cannot be."""
        masses = self.sums.masses()
        return None if masses is None else finer_grid(self.grid, masses, centres_of(self.starts[0]), self.refinements)

    def on(self, grid: Grid, sums: Sums) -> Self:
        """The column with its rows on a finer grid."""
        return replace(self, grid=grid, sums=sums, refinements=self.refinements + 1, trusted=True)


ColumnFits = dict[str, ColumnFit]
CellFit = Callable[[Engine, ColumnFit], ColumnFit]


@dataclass(frozen=True, slots=True)
class Accumulators:
    """What a fit asks of the rows.

    Parameters
    ----------
    each : callable
        What a function gives for each column with the engine that runs E-steps over cells, or why it failed.
    summarise : callable, optional
        Sums of columns over finer grids, in one scan for all of them; None where rows cannot be read again.
    exact : callable, optional
        Exact EM for columns; None where rows cannot be read again.
    verbosity : Verbosity, optional
        What is printed of plain fits before the grid is refined.
    """

    each: Callable[[CellFit, ColumnFits], Results[ColumnFit]]
    summarise: Callable[[Mapping[str, Grid]], Results[Any]] | None = None
    exact: Callable[[ColumnFits], Results[ColumnFit]] | None = None
    verbosity: Verbosity | None = None


def fit(accumulators: Accumulators, columns: ColumnFits) -> Results[ColumnFit]:
    """Fit columns on their summaries, refine the grids of those that miss the promise, else run exact EM.

    Parameters
    ----------
    accumulators : Accumulators
        What reads the rows.
    columns : dict of str to ColumnFit
        The columns, each with its summary.

    Returns
    -------
    Results
        The columns with their fits, and why others have none.
    """
    failed: dict[str, Exception] = {}
    pending = {name: column for name, column in columns.items() if not column.asks_exact or column.config.search}
    for attempt in range(MOST_REFINEMENTS + 1):
        verbosity = accumulators.verbosity if attempt == 0 else None
        fitted = accumulators.each(partial(fit_cells, verbosity=verbosity), pending)
        columns, failed = renewed(columns, fitted), failed | fitted.failed
        if accumulators.summarise is None or attempt == MOST_REFINEMENTS:
            break
        missed = {
            name: column.finer_grid()
            for name, column in fitted.good.items()
            if not (column.is_good or column.asks_exact)
        }
        finer = {name: grid for name, grid in missed.items() if grid is not None}
        if not finer:
            break
        scanned = accumulators.summarise(finer)
        pending = {name: columns[name].on(finer[name], sums) for name, sums in scanned.good.items()}
        columns, failed = renewed(columns, Results(pending, scanned.failed)), failed | scanned.failed
    left = {name: column for name, column in columns.items() if not column.is_good}
    if not left or accumulators.exact is None:
        return Results(columns, failed)
    done = accumulators.exact(left)
    return Results(renewed(columns, done), failed | done.failed)


def renewed(columns: Mapping[str, T], results: Results[T]) -> dict[str, T]:
    """All columns with the results of some of them, without those that failed."""
    return {name: results.good.get(name, column) for name, column in columns.items() if name not in results.failed}


def finer_grid(grid: Grid, masses: Masses, centres: Floats, refinements: int) -> Grid:
    """The grid of the next refinement, from where all rows lie, split between the centres."""
    return build_grid(grid.frame, masses, centres, MASS_BITS + 2 * (refinements + 1))


def centres_of(start: Start) -> Floats:
    """Centres whose midpoints the grid must be split at."""
    return start.centres if isinstance(start, Seeds) else np.empty(0)


def fit_cells(engine: Engine, column: ColumnFit, verbosity: Verbosity | None = None) -> ColumnFit:
    """Fit a column on its summary, and estimate the error.

    Parameters
    ----------
    engine : Engine
        Who runs E-steps over the cells.
    column : ColumnFit
        The column.
    verbosity : Verbosity, optional
        What is printed of a plain fit.
    """
    cells, config = column.sums.cells(), column.config
    prior = config.prior(*mean_and_variance(cells.mean, cells.weight, cells.scatter))
    if config.continued and column.outcome is not None:
        fit = accelerated(cell_objective(engine, cells, prior), column.outcome.fit.posterior, config.search)
        error = search_error(engine, prior, fit.posterior, cells)
        return replace(column, outcome=replace(column.outcome, fit=fit, error=error))
    if config.search is not None:
        search = _searched(engine, column, config.search, cells, prior)
        error = search_error(engine, search.prior, search.fit.posterior, cells) if column.trusted else np.inf
        return replace(column, outcome=Outcome(search.fit, error, search=search))
    begins = [partial(first_posterior, prior, column.grid, start, cells) for start in column.starts]
    stopping = config.stopping(cells.rows)

    def from_start(start: Posterior, observe: Observer | None) -> MixtureFit:
        return fit_batch(engine, [(cells, start)], prior, stopping, CHECKED_ITERATIONS, observe)[0]

    number, fit = best_of(begins, from_start, verbosity)
    chosen = replace(column, starts=(column.starts[number],))
    keys = midpoint_keys(centres_of(chosen.starts[0]))
    is_split = column.trusted if number == 0 else np.array_equal(column.grid.midpoints, keys)
    if config.checked == "end":
        error = end_error(engine, prior, fit.posterior, cells)
    elif not is_split:
        error = np.inf
    elif config.checked == "history":
        error = history_error(engine, prior, fit, cells)
    else:
        error = estimate_error(cells, fit.posterior, partial(_refits, engine, chosen, prior))
    return replace(chosen, outcome=Outcome(fit, error))


def _searched(engine: Engine, column: ColumnFit, effort: Effort, cells: Cells, prior: Prior) -> SearchResult:
    """What a search finds, under another prior than the usual one where the rows are clearly likelier under that."""
    config, best = column.config, None
    starts = [first_sums(column.grid, start, cells) for start in column.starts]
    levels = coarse_to_fine(cells)
    for strength in config.mean_precisions or (prior.mean_precision,):
        found = search_cells(
            engine,
            levels,
            replace(prior, mean_precision=strength),
            config.components,
            config.random(),
            starts,
            weight_threshold=config.weight_threshold,
            effort=effort,
            after=best,
        )
        if best is None or found.evidence > best.evidence + LEAST_EVIDENCE * cells.rows:
            best = found
    assert best is not None
    return best


def _refits(engine: Engine, column: ColumnFit, prior: Prior, every: Sequence[Cells]) -> list[Posterior]:
    """The same fit on other cells of the same rows."""
    begins = [(cells, first_posterior(prior, column.grid, column.starts[0], cells)) for cells in every]
    stopping = column.config.stopping(every[0].rows)
    return [fit.posterior for fit in fit_batch(engine, begins, prior, stopping)]


def fit_rows(column: ColumnFit, accumulate: Accumulate, moments: ColumnMoments, start: Statistics | None) -> ColumnFit:
    """Exact EM: every E-step over every row.

    Parameters
    ----------
    column : ColumnFit
        The column; after a search its result is where EM goes on from.
    accumulate : callable
        E-step over all its rows.
    moments : ColumnMoments
        Their mean and variance.
    start : Statistics or None
        Where EM starts; None after a search.
    """
    config = column.config
    prior = config.prior(moments.mean, moments.variance)
    if start is None:
        searched = column.outcome
        assert searched is not None and searched.search is not None
        prior = replace(prior, mean_precision=searched.search.prior.mean_precision)
        objective = Objective(accumulate, prior, moments.rows)
        end = accelerated(objective, searched.fit.posterior, config.search)
        return replace(column, outcome=replace(searched, fit=end, error=0.0, exact=True))
    plain = fit_mixture(accumulate, prior, prior.update(start), config.stopping(moments.rows))
    return replace(column, outcome=Outcome(plain, 0.0, exact=True))


def first_posterior(prior: Prior, grid: Grid, start: Start, cells: Cells) -> Posterior:
    """Where plain EM over cells starts."""
    sums = first_sums(grid, start, cells)
    return sums if isinstance(sums, Posterior) else prior.update(sums)


def first_sums(grid: Grid, start: Start, cells: Cells) -> Posterior | Statistics:
    """Sums over cells whose rows go to the nearest centre each; a posterior is itself where EM starts."""
    if isinstance(start, Posterior):
        return start
    component = start_components(grid, start, cells)
    return hard_start(cells.mean, cells.weight, cells.scatter, component, start.centres)


def start_components(grid: Grid, seeds: Seeds, cells: Cells) -> Ints:
    """Component of each cell's rows: the nearest centre's, exactly so where the grid is split between the centres."""
    if not np.array_equal(grid.midpoints, midpoint_keys(seeds.centres)):
        return seeds.nearest(cells.mean)
    # the rows of a label lie from its midpoint to the next
    lowest = np.concatenate(([-np.inf], values_of(grid.midpoints)))
    return seeds.nearest(lowest)[cells.label]


def estimate_error(cells: Cells, fine: Posterior, fit_on: Callable[[Sequence[Cells]], Sequence[Posterior]]) -> float:
    """Estimated distance of a fit on cells from the fit on their rows, in units of sigma.

    The largest of three: the distance to a fit on cells twice as wide; that to a fit in which the rows of each cell are
    spread unevenly, with the same mean and scatter; and the rounding of positions.

    Parameters
    ----------
    cells : Cells
        The cells.
    fine : Posterior
        The fit on them.
    fit_on : callable
        The same fits on other cells.
    """
    return _with_blur(_cell_error(fine, *fit_on(_others(cells))), cells, fine)


def _others(cells: Cells) -> tuple[Cells, Cells]:
    """Cells twice as wide, and cells whose rows are spread unevenly."""
    return cells.coarsen(), cells.uneven()


def _cell_error(fine: Posterior, coarse: Posterior, uneven: Posterior) -> float:
    """What wider cells, and rows spread unevenly in them, change."""
    return max(distance(fine, coarse) / COARSE_TO_FINE, distance(fine, uneven))


def history_error(engine: Engine, prior: Prior, fit: MixtureFit, cells: Cells) -> float:
    """`estimate_error` from the last iterations of a fit: what other cells would have made of these.

    The fit went through more iterations, whose differences add up, but shrink on the way to the end: a third of the
    number of times that the last ones fit in is what they are multiplied by.
    """
    assert fit.earlier is not None
    iterations, begins = min(len(fit.bounds), CHECKED_ITERATIONS), [(others, fit.earlier) for others in _others(cells)]
    coarse, uneven = fit_batch(engine, begins, prior, Stopping(iterations, 0.0))
    factor = max(1.0, len(fit.bounds) / (3 * iterations))
    error = factor * _cell_error(fit.posterior, coarse.posterior, uneven.posterior)
    return _with_blur(error, cells, fit.posterior)


def distance(one: Posterior, other: Posterior) -> float:
    """Largest difference over components that hold a row: means in sigma, variances and weights relative."""
    held = (one.counts > 0.5) | (other.counts > 0.5)
    variance = one.covariances[held]
    differences = (
        np.abs(one.means[held] - other.means[held]) / np.sqrt(variance),
        np.abs(other.covariances[held] / variance - 1),
        np.abs(other.weights[held] / one.weights[held] - 1),
    )
    largest = float(np.max(np.concatenate(differences), initial=0.0))
    return largest if np.all(np.isfinite(one.means)) and np.isfinite(largest) else np.inf


def blur(cells: Cells, posterior: Posterior) -> float:
    """What the rounding of positions may move a mean by, in its sigma: units are spread over by chance, rows add up."""
    table = posterior.kernel_table(CELL_FRAME).take(_with_rows(posterior))
    density = table.coefficients[:, None] - table.half_precisions[:, None] * (cells.mean - table.means[:, None]) ** 2
    share = np.exp2(density - np.max(density, axis=0, initial=-np.inf))
    share /= np.sum(share, axis=0)
    return _moved_by(np.sum(share * _rounding(cells), axis=1), posterior)


def _with_rows(posterior: Posterior) -> Ints:
    """The components that hold a row."""
    return np.flatnonzero(posterior.counts > 0.5)


def _rounding(cells: Cells) -> Floats:
    """Variance of the sum of each cell's rounding errors."""
    return np.asarray(cells.weight * cells.unit**2 / 12)


def _moved_by(variance: Floats | float, posterior: Posterior) -> float:
    """Largest deviation of a mean, in its sigma, where the sums of the rows of those that hold some vary so much."""
    held = _with_rows(posterior)
    deviations = np.sqrt(variance / posterior.covariances[held]) / posterior.counts[held]
    return float(np.max(deviations, initial=0.0))


def _with_blur(error: float, cells: Cells, posterior: Posterior) -> float:
    """The larger of an error and `blur`; this is left out where it is smaller even if every component had all rows."""
    most = _moved_by(float(np.sum(_rounding(cells))), posterior)
    return error if ROUNDED * most <= error else max(error, blur(cells, posterior))


def search_error(engine: Engine, prior: Prior, posterior: Posterior, cells: Cells) -> float:
    """`end_error`; where the rows of every cell are equal, EM on the cells is EM on the rows but for their rounding."""
    return end_error(engine, prior, posterior, cells) if np.any(cells.scatter) else blur(cells, posterior)


def end_error(engine: Engine, prior: Prior, posterior: Posterior, cells: Cells) -> float:
    """How far a few iterations on the cells lead from the same iterations on the rows.

    From the end of a fit, not from its start: on a flat optimum two fits may end apart though their bounds are equal.
    EM is a contraction there, so that the first iterations lead apart at least as far as as many later ones.
    """
    begins = [(one, posterior) for one in (cells, *_others(cells))]
    for iterations in (*FIRST_LOOKS, CHECKED_ITERATIONS):
        fine, coarse, uneven = (one.posterior for one in fit_batch(engine, begins, prior, Stopping(iterations, 0.0)))
        error = CHECKED_ITERATIONS / iterations * _cell_error(fine, coarse, uneven)
        if error <= LARGEST_FIT_ERROR:
            break
    return _with_blur(error, cells, fine)

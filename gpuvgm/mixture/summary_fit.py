"""The fit of one feature: on the cells of its summary, refined where the estimated error asks for it, else on its rows.

The callers hand in what reads rows: the table for many columns, which share every scan, and the estimator for one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Generic, Self, TypeVar

import numpy as np

from gpuvgm.engines import Engine
from gpuvgm.errors import Results
from gpuvgm.mixture.accumulate import hard_start, over_rows, start_over
from gpuvgm.mixture.cell_em import cell_objective, fit_batch
from gpuvgm.mixture.em import MixtureFit, Objective, Observer, Stopping, Verbosity, best_of, fit_mixture
from gpuvgm.mixture.initialization import Seeds, k_means_seeds
from gpuvgm.mixture.posterior import Posterior, Prior
from gpuvgm.mixture.rows import ColumnMoments, Rows, is_far_from_zero
from gpuvgm.mixture.search import SearchResult, SummaryConfig, accelerated, search_cells
from gpuvgm.mixture.statistics import Statistics
from gpuvgm.summary import Cells, Floats, Grid, Ints, Masses, values_of

LARGEST_FIT_ERROR = 1e-8  # of the fit on a summary, to the exact one, in units of sigma
MOST_REFINEMENTS = 2  # of the grid, before the exact algorithm takes over
CHECKED_ITERATIONS = 20  # of EM from the end of a fit, on other cells too, to see what the cells cost
FIRST_LOOKS = (1, 4)  # of them: each further one adds no more than one of these, so that they often suffice
COARSE_TO_FINE = 4.0  # the error falls with the third power of the width, to 1/7 of the difference; twice that is kept
ROUNDED = 1.001  # more than what sums of shares are rounded by
ColumnStart = Seeds | Posterior
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Outcome:
    """A column's fit and how far it may be from the exact one, in units of sigma."""

    fit: MixtureFit
    error: float
    exact: bool = False
    search: SearchResult | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MixturePlan:
    """Where a fit of one feature on its summary starts, and how it goes; who plans one adds what else it knows.

    Parameters
    ----------
    grid : Grid
        The cells that the rows are summarised into.
    starts : tuple of Seeds or Posterior
        Where to start: centres that every row goes to the nearest of, or posteriors. After a plain fit only the best.
    refinements : int
        How often the grid was refined.
    trusted : bool
        False where the grid knows nothing of the centres, which were found after it was made.
    """

    grid: Grid
    starts: tuple[ColumnStart, ...] = ()
    refinements: int = 0
    trusted: bool = True

    @property
    def settings(self) -> SummaryConfig:
        """How to fit."""
        raise NotImplementedError

    @property
    def centres(self) -> Floats:
        """Centres of the first start; none where it is a posterior."""
        return centres_of(self.starts)

    def finer(self, masses: Masses) -> Self:
        """The plan with a finer grid, built from where all rows lie instead of a sample, split between the centres."""
        refinements = self.refinements + 1
        grid = Grid.of(self.grid.frame, masses, self.centres, refinements)
        return replace(self, grid=grid, refinements=refinements, trusted=True)


P = TypeVar("P", bound=MixturePlan)


@dataclass(frozen=True, slots=True)
class ColumnFit(Generic[P]):
    """A column under way: each step of a fit replaces a part.

    Parameters
    ----------
    plan : MixturePlan
        Its grid and starts, and what is settled about it.
    sums : Summary, WeightedSums or SeenColumn
        Its rows on this grid.
    outcome : Outcome, optional
        The fit, once there is one.
    start : Statistics, optional
        Where plain EM over the rows starts, if not with every row at the nearest centre.
    """

    plan: P
    sums: Any
    outcome: Outcome | None = None
    start: Statistics | None = None

    @property
    def is_good(self) -> bool:
        """Whether the fit keeps the promise, and is one on the rows where that is asked for."""
        outcome = self.outcome
        if outcome is None or not outcome.error <= LARGEST_FIT_ERROR:
            return False
        return outcome.exact or not self.plan.settings.asks_exact

    def seeded(self, numbers: Floats, components: int, random_state: int) -> Self:
        """The column with centres from k-means on all its rows, without labels, and the sums that exact EM starts from.

        k-means runs on the numbers themselves, so that the labels are scikit-learn's to the bit. Where the offset would
        cost it its digits, or squares overflow or vanish, it runs on the frame's numbers.

        Parameters
        ----------
        numbers : ndarray of shape (rows,)
            The finite numbers of all its rows.
        components, random_state : int
            As for `k_means_seeds`.
        """
        frame = self.plan.grid.frame
        y = frame.apply(numbers)
        in_frame = frame.scale != 1 or is_far_from_zero(  # of a scaled frame squares would overflow here
            np.mean(numbers, keepdims=True), np.std(numbers, keepdims=True)
        )
        seeds, labels = k_means_seeds(y if in_frame else numbers, components, random_state)
        if not in_frame:
            seeds = Seeds(frame.apply(seeds.centres))
        start = hard_start(y, np.ones(len(y)), np.zeros(len(y)), labels, seeds.centres)
        return replace(self, plan=replace(self.plan, starts=(seeds,)), start=start)

    def fit_cells(self, engine: Engine, verbosity: Verbosity | None = None) -> Self:
        """The column with its fit on its summary, and the estimated error.

        Parameters
        ----------
        engine : Engine
            Who runs E-steps over the cells.
        verbosity : Verbosity, optional
            What is printed of a plain fit.
        """
        plan, config = self.plan, self.plan.settings
        cells: Cells = self.sums.cells()
        prior = config.prior(*cells.mean_and_variance())
        if config.continued and self.outcome is not None:
            fit = accelerated(cell_objective(engine, cells, prior), self.outcome.fit.posterior, config.search)
            error = search_error(engine, prior, fit.posterior, cells)
            return replace(self, outcome=replace(self.outcome, fit=fit, error=error))
        if config.search is not None:
            starts = [first_sums(plan.grid, start, cells) for start in plan.starts]
            search = search_cells(engine, cells, prior, config, starts)
            error = search_error(engine, search.prior, search.fit.posterior, cells) if plan.trusted else np.inf
            return replace(self, outcome=Outcome(search.fit, error, search=search))
        begins = [partial(first_posterior, prior, plan.grid, start, cells) for start in plan.starts]
        objective, stopping = cell_objective(engine, cells, prior), config.stopping(cells.rows)

        def from_start(start: Posterior, observe: Observer | None) -> MixtureFit:
            return fit_batch([(objective, start)], stopping, CHECKED_ITERATIONS, observe)[0]

        number, fit = best_of(begins, from_start, verbosity)
        plan = replace(plan, starts=(plan.starts[number],))
        is_split = plan.trusted
        if number > 0:
            is_split = plan.grid.is_split_between(plan.centres)
        if config.checked == "end":
            error = end_error(engine, prior, fit.posterior, cells)
        elif not is_split:
            error = np.inf
        elif config.checked == "history":
            error = history_error(engine, prior, fit, cells)
        else:
            error = refit_error(engine, prior, plan, fit, cells)
        return replace(self, plan=plan, outcome=Outcome(fit, error))

    def fit_rows(self, engine: Engine, rows: Rows, moments: ColumnMoments) -> Self:
        """The column with exact EM: every E-step over every row.

        Parameters
        ----------
        engine : Engine
            Who runs E-steps over the rows.
        rows : Rows
            All its rows; NaN counts for nothing.
        moments : ColumnMoments
            Their mean and variance in the grid's frame.
        """
        plan, config, frame = self.plan, self.plan.settings, self.plan.grid.frame
        prior = config.prior(moments.mean, moments.variance)
        objective = Objective(over_rows(engine, rows, frame), prior, moments.rows)
        if config.search is not None:  # its result is where EM goes on from
            searched = self.outcome
            assert searched is not None and searched.search is not None
            prior = replace(prior, mean_precision=searched.search.prior.mean_precision)
            end = accelerated(replace(objective, prior=prior), searched.fit.posterior, config.search)
            return replace(self, outcome=replace(searched, fit=end, error=0.0, exact=True))
        start = start_over(engine, rows, frame, Seeds(plan.centres)) if self.start is None else self.start
        plain = fit_mixture(objective, prior.update(start), config.stopping(moments.rows))
        return replace(self, outcome=Outcome(plain, 0.0, exact=True))


ColumnFits = dict[str, ColumnFit[P]]


def fit(
    columns: ColumnFits[P],
    fit_columns: Callable[[ColumnFits[P]], Results[ColumnFit[P]]],
    summarise: Callable[[Mapping[str, P]], Results[Any]] | None = None,
    exact: Callable[[ColumnFits[P]], Results[ColumnFit[P]]] | None = None,
) -> Results[ColumnFit[P]]:
    """Fit columns on their summaries, refine the grids of those that miss the promise, else run exact EM.

    Parameters
    ----------
    columns : dict of str to ColumnFit
        The columns, each with its summary.
    fit_columns : callable
        What `ColumnFit.fit_cells` gives for each column, or why it failed.
    summarise : callable, optional
        Sums of columns by plans with finer grids, in one scan for all of them; None where rows cannot be read again.
    exact : callable, optional
        Exact EM for columns; None where rows cannot be read again.

    Returns
    -------
    Results
        The columns with their fits, and why others have none.
    """
    failed: dict[str, Exception] = {}
    settings = {name: column.plan.settings for name, column in columns.items()}
    pending = {name: columns[name] for name, config in settings.items() if not config.asks_exact or config.search}
    for attempt in range(MOST_REFINEMENTS + 1):
        fitted = fit_columns(pending)
        columns, failed = fitted.renew(columns), failed | fitted.failed
        if summarise is None or attempt == MOST_REFINEMENTS:
            break
        finer = {}
        for name, column in fitted.good.items():
            masses = None if column.is_good or settings[name].asks_exact else column.sums.masses()
            if masses is not None:
                finer[name] = column.plan.finer(masses)
        if not finer:
            break
        scanned = summarise(finer)
        pending = {name: replace(columns[name], plan=finer[name], sums=sums) for name, sums in scanned.good.items()}
        columns, failed = Results(pending, scanned.failed).renew(columns), failed | scanned.failed
    left = {name: column for name, column in columns.items() if not column.is_good}
    if not left or exact is None:
        return Results(columns, failed)
    done = exact(left)
    return Results(done.renew(columns), failed | done.failed)


def centres_of(starts: Sequence[ColumnStart]) -> Floats:
    """Centres whose midpoints the grid must be split at: those of the first start, none where it is a posterior."""
    return starts[0].centres if starts and isinstance(starts[0], Seeds) else np.empty(0)


def first_posterior(prior: Prior, grid: Grid, start: ColumnStart, cells: Cells) -> Posterior:
    """Where plain EM over cells starts."""
    sums = first_sums(grid, start, cells)
    return sums if isinstance(sums, Posterior) else prior.update(sums)


def first_sums(grid: Grid, start: ColumnStart, cells: Cells) -> Posterior | Statistics:
    """Sums over cells whose rows go to the nearest centre each; a posterior is itself where EM starts."""
    if isinstance(start, Posterior):
        return start
    component = start_components(grid, start, cells)
    return hard_start(cells.mean, cells.weight, cells.scatter, component, start.centres)


def start_components(grid: Grid, seeds: Seeds, cells: Cells) -> Ints:
    """Component of each cell's rows: the nearest centre's, exactly so where the grid is split between the centres."""
    if not grid.is_split_between(seeds.centres):
        return seeds.nearest(cells.mean)
    # the rows of a label lie from its midpoint to the next
    lowest = np.concatenate(([-np.inf], values_of(grid.midpoints)))
    return seeds.nearest(lowest)[cells.label]


def refit_error(engine: Engine, prior: Prior, plan: MixturePlan, fit: MixtureFit, cells: Cells) -> float:
    """Estimated distance of a fit on cells from the fit on their rows, in units of sigma.

    The largest of three: the distance to a fit on cells twice as wide; that to a fit in which the rows of each cell are
    spread unevenly, with the same mean and scatter; and the rounding of positions.

    Parameters
    ----------
    engine : Engine
        Who runs E-steps over the cells.
    prior : Prior
        Prior of the mixture.
    plan : MixturePlan
        Where the fit started, and when it ended.
    fit : MixtureFit
        The fit.
    cells : Cells
        The cells.
    """
    begins = [
        (cell_objective(engine, variant, prior), first_posterior(prior, plan.grid, plan.starts[0], variant))
        for variant in _variants(cells)
    ]
    coarse, uneven = fit_batch(begins, plan.settings.stopping(cells.rows))
    return _with_blur(_cell_error(fit.posterior, coarse.posterior, uneven.posterior), cells, fit.posterior)


def _variants(cells: Cells) -> tuple[Cells, Cells]:
    """Cells twice as wide, and cells whose rows are spread unevenly."""
    return cells.coarsen(), cells.uneven()


def _cell_error(fine: Posterior, coarse: Posterior, uneven: Posterior) -> float:
    """What wider cells, and rows spread unevenly in them, change."""
    return max(distance(fine, coarse) / COARSE_TO_FINE, distance(fine, uneven))


def history_error(engine: Engine, prior: Prior, fit: MixtureFit, cells: Cells) -> float:
    """`refit_error` from the last iterations of a fit: what other cells would have made of these.

    The fit went through more iterations, whose differences add up, but shrink on the way to the end: a third of the
    number of times that the last ones fit in is what they are multiplied by.
    """
    assert fit.earlier is not None
    iterations = min(len(fit.bounds), CHECKED_ITERATIONS)
    begins = [(cell_objective(engine, variant, prior), fit.earlier) for variant in _variants(cells)]
    coarse, uneven = fit_batch(begins, Stopping(iterations, 0.0))
    factor = max(1.0, len(fit.bounds) / (3 * iterations))
    error = factor * _cell_error(fit.posterior, coarse.posterior, uneven.posterior)
    return _with_blur(error, cells, fit.posterior)


def distance(reference: Posterior, posterior: Posterior) -> float:
    """Largest difference over components that hold a row: means in sigma, variances and weights relative."""
    has_rows = (reference.counts > 0.5) | (posterior.counts > 0.5)
    variance = reference.covariances[has_rows]
    differences = (
        np.abs(reference.means[has_rows] - posterior.means[has_rows]) / np.sqrt(variance),
        np.abs(posterior.covariances[has_rows] / variance - 1),
        np.abs(posterior.weights[has_rows] / reference.weights[has_rows] - 1),
    )
    largest = float(np.max(np.concatenate(differences), initial=0.0))
    return largest if np.all(np.isfinite(reference.means)) and np.isfinite(largest) else np.inf


def blur(cells: Cells, posterior: Posterior) -> float:
    """What the rounding of positions may move a mean by, in its sigma: units are spread over by chance, rows add up."""
    table = posterior.kernel_table().take(np.flatnonzero(posterior.counts > 0.5))
    density = table.coefficients[:, None] - table.half_precisions[:, None] * (cells.mean - table.means[:, None]) ** 2
    share = np.exp2(density - np.max(density, axis=0, initial=-np.inf))
    share /= np.sum(share, axis=0)
    return _moved_by(np.sum(share * _rounding(cells), axis=1), posterior)


def _rounding(cells: Cells) -> Floats:
    """Variance of the sum of each cell's rounding errors."""
    return np.asarray(cells.weight * cells.unit**2 / 12)


def _moved_by(variance: Floats | float, posterior: Posterior) -> float:
    """Largest deviation of a mean, in its sigma, where the sums of the rows of those that hold some vary so much."""
    has_rows = posterior.counts > 0.5
    deviations = np.sqrt(variance / posterior.covariances[has_rows]) / posterior.counts[has_rows]
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
    begins = [(cell_objective(engine, variant, prior), posterior) for variant in (cells, *_variants(cells))]
    for iterations in (*FIRST_LOOKS, CHECKED_ITERATIONS):
        fine, coarse, uneven = (result.posterior for result in fit_batch(begins, Stopping(iterations, 0.0)))
        error = CHECKED_ITERATIONS / iterations * _cell_error(fine, coarse, uneven)
        if error <= LARGEST_FIT_ERROR:
            break
    return _with_blur(error, cells, fine)

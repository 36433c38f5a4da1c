"""The estimator's fits: a problem in, an estimate out, for one feature over every row or a summary, and for several.

One feature is fitted as a column of a table is; several features with every E-step over every row, in blocks.
effort="best" searches on a summary, or on a sample, first.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from gpuvgm.engines import Engine, get_engine
from gpuvgm.errors import Results
from gpuvgm.mixture import summary_fit
from gpuvgm.mixture.accumulate import (
    log_density_sum,
    over_features,
    over_rows,
    point_statistics,
    start_statistics,
    summarise_rows,
)
from gpuvgm.mixture.cell_em import cell_objective
from gpuvgm.mixture.em import Accumulate, MixtureFit, Objective, Stopping, Verbosity, best_of, fit_mixture
from gpuvgm.mixture.initialization import (
    CentreStart,
    LabelStart,
    PointStart,
    RandomStart,
    Seeds,
    Start,
    k_means,
    k_means_start,
    point_start,
    quiet_k_means,
)
from gpuvgm.mixture.posterior import MATRICES, Posterior, Prior
from gpuvgm.mixture.rows import (
    LEAST_ROWS,
    Moments,
    Rows,
    first_feature,
    from_centre,
    held_out,
    learnt,
)
from gpuvgm.mixture.search import Checked, Effort, Starts, SummaryConfig, accelerated, search
from gpuvgm.mixture.special import LOG_2
from gpuvgm.mixture.statistics import Statistics
from gpuvgm.mixture.summary_fit import (
    ColumnFit,
    ColumnFits,
    ColumnStart,
    MixturePlan,
    Outcome,
    centres_of,
)
from gpuvgm.summary import Floats, Frame, Grid, Masses

K_MEANS_ROWS = 1 << 15  # rows of the sample that k-means of one feature runs on
COARSE_ROWS = 1 << 13  # rows of the sample that starts of several features compete on
STARTS, RICH_STARTS, RICH = 6, 2, 4  # k-means, and k-means with more components, which are taken away again
POINT_STARTS = 4  # rows as centres: where tails are heavy k-means gives its centres to outliers
_LOG = logging.getLogger("gpuvgm")


@dataclass(frozen=True, slots=True)
class Problem:
    """Problem of a fit.

    Parameters
    ----------
    engine : Engine
        Compute engine.
    rows : Rows
        The rows.
    moments : Moments
        Their mean and scatter.
    prior : Prior
        The prior, in the rows' own units.
    components : int
        Number of components.
    init : {"kmeans", "k-means++", "random", "random_from_data"} or ndarray of shape (K, D)
        Method of initialisation, or centres.
    starts : int
        Number of starts.
    random : RandomState
        Source of randomness.
    stopping : Stopping
        When a fit ends.
    warm : Posterior or None
        Posterior to go on from, instead of starts.
    verbosity : Verbosity
        Printer of the progress.
    """

    engine: Engine
    rows: Rows
    moments: Moments
    prior: Prior
    components: int
    init: str | Floats
    starts: int
    random: np.random.RandomState
    stopping: Stopping
    warm: Posterior | None
    verbosity: Verbosity

    @classmethod
    def of(cls, settings: Any, engine: Engine, rows: Rows, moments: Moments, prior: Prior) -> Problem:
        """Problem of an estimator, whose parameters `settings` has."""
        from sklearn.utils import check_random_state

        return cls(
            engine=engine,
            rows=rows,
            moments=moments,
            prior=prior,
            components=settings.n_components,
            init=settings.init_params,
            starts=settings.n_init,
            random=check_random_state(settings.random_state),
            stopping=Stopping.of(settings, moments.total),
            warm=None,
            verbosity=Verbosity(settings.verbose, settings.verbose_interval),
        )

    def going_on(self, posterior: Posterior, bound: float) -> Problem:
        """The problem of a fit that goes on from the end of another, and the bound there."""
        return replace(self, warm=posterior, stopping=replace(self.stopping, bound=bound))

    def fit(self, *, best: bool, summary: bool) -> Estimate:
        """Fit the mixture, or search for the best fit.

        Parameters
        ----------
        best : bool
            Whether a search is made.
        summary : bool
            Of one feature: whether a summary of the rows is enough; several are always fitted on the rows.
        """
        if self.rows.features > 1:
            return best_of_several(self) if best else fit_on_rows(self)
        if best:
            return best_of_one(self, exact=not summary)
        return fit_on_summary(self) if summary else fit_on_rows(self)

    def fit_in_one_scan(self, planning_rows: int) -> Estimate:
        """Fit one feature on the cells of a summary, whatever the error; it is estimated where EM ends.

        Parameters
        ----------
        planning_rows : int
            Most rows of the sample that starts and cells are made from.
        """
        planned = plan(replace(self, rows=self.rows.sample(planning_rows)))
        column = ColumnFit(planned, summarise_rows(self.engine, self.rows, planned.grid))
        outcome = outcome_of(column.fit_cells(self.engine, self.verbosity))
        return estimate_of(planned.grid.frame.centre, outcome)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeaturePlan(MixturePlan):
    """Plan of the fit of a problem of one feature on its summary.

    Parameters
    ----------
    grid, starts, refinements, trusted
        As for `MixturePlan`.
    problem : Problem
        What to fit; its prior does not depend on the sums.
    best : bool
        Whether a search is made.
    checked : {"history", "refit", "end"}
        As for `SummaryConfig`.
    """

    problem: Problem
    best: bool = False
    checked: Checked = "end"

    @property
    def settings(self) -> SummaryConfig:
        """Settings of the fit; see `MixturePlan.settings`."""
        problem, prior = self.problem, self.problem.prior.within(self.grid.frame.centre)
        return SummaryConfig(
            components=problem.components,
            stopping=lambda rows: problem.stopping,
            random=lambda: problem.random,
            prior=lambda mean, variance: prior,
            search=Effort() if self.best else None,
            continued=self.best,
            checked=self.checked,
        )


@dataclass(frozen=True, slots=True)
class Explanation:
    """Figures that a search gives of its result.

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
class Estimate(Outcome):
    """Result of a fit, in the rows' own coordinates.

    Parameters
    ----------
    fit, error, exact, search
        As for `Outcome`.
    explanation : Explanation, optional
        Figures of a search.
    """

    explanation: Explanation | None = None


def explained(problem: Problem, estimate: Estimate, score: float) -> Estimate:
    """Add the figures of the search that found it to an estimate, and print that it has ended."""
    search, bound = estimate.search, estimate.fit.bounds[-1]
    assert search is not None
    problem.verbosity.end_search(search.starts, bound)
    loss = search.loss_with_fewer
    fewer = np.nan if loss is None else bound - loss * search.rows
    return replace(estimate, explanation=Explanation(search.modes, fewer, score, search.starts))


def fit_on_rows(problem: Problem) -> Estimate:
    """Fit with every E-step over every row: about the median of one feature, about the mean of several."""
    if problem.rows.features > 1:
        centre: float | Floats = problem.moments.mean
    else:
        centre = _frame_around(first_feature(problem.rows.sample(Rows.SEED_ROWS).array)).centre
    return estimate_of(centre, Outcome(_exact_fit(problem, centre), 0.0, exact=True))


def _exact_fit(problem: Problem, centre: float | Floats) -> MixtureFit:
    """The best of the problem's starts, by EM over every row."""
    prior = problem.prior.within(centre)
    objective = Objective(_e_step(problem, centre), prior, problem.moments.total)

    def begin() -> Posterior:
        if problem.warm is not None:
            return problem.warm.within(centre)
        start = _draw_start(problem, problem.rows, centre)
        return prior.update(_sums_of(start, problem, problem.rows, centre))

    starts = [begin] if problem.warm is not None else [begin] * problem.starts
    return best_of(starts, partial(fit_mixture, objective, stopping=problem.stopping), problem.verbosity)[1]


def _e_step(problem: Problem, centre: float | Floats) -> Accumulate:
    """The E-step over all rows, by the engine's loop for one feature or for several."""
    engine, rows = problem.engine, problem.rows
    if isinstance(centre, float):
        return over_rows(engine, rows, Frame(1.0, centre))
    return over_features(engine, rows, centre)


def _draw_start(problem: Problem, rows: Rows, centre: float | Floats) -> Start:
    """Start by one of scikit-learn's methods, or from centres; the same as its mixture gets from this randomness."""
    init, components, random = problem.init, problem.components, problem.random
    if not isinstance(init, str):
        return CentreStart(from_centre(init, centre))
    if init == "random":
        return RandomStart(np.zeros((components, rows.features)), random)
    if init == "kmeans":
        return k_means_start(rows, components, random, centre, problem.moments)
    return point_start(rows, init, components, random, centre)


def _sums_of(start: Start, problem: Problem, rows: Rows, centre: float | Floats) -> Statistics:
    """Sums over rows of the problem's of a start's responsibilities."""
    origin, form = np.atleast_1d(centre), problem.prior.covariance_type
    if isinstance(start, PointStart):
        sums = point_statistics(start, problem.moments, origin, form)
    else:
        sums = start_statistics(problem.engine, rows, start, origin, diagonal=form not in MATRICES)
    if rows.features > 1:
        return sums
    return Statistics(sums.reference.ravel(), sums.counts, sums.first.ravel(), sums.second.ravel(), 0.0)


def fit_on_summary(problem: Problem) -> Estimate:
    """Fit on the cells of a summary, refined where the estimated error asks for it; on the rows where that fails.

    Parameters
    ----------
    problem : Problem
        What to fit; its rows have one feature.
    """
    summarise = partial(summarise_rows, problem.engine, problem.rows)
    column = _fit_column(summarise, plan(problem, checked="refit"))
    return estimate_of(column.plan.grid.frame.centre, outcome_of(column))


def best_of_one(problem: Problem, *, exact: bool) -> Estimate:
    """Search on the summary of one feature; the last steps on its rows, where that is asked for or needed.

    Parameters
    ----------
    problem : Problem
        What to fit.
    exact : bool
        Whether the fit shall end on the rows.
    """
    sums: list[list[Any]] = []

    def summarise(grid: Grid) -> Any:
        divisions = [replace(problem.rows, choice=choice) for choice in (learnt, held_out)]
        sums.append([summarise_rows(problem.engine, rows, grid) for rows in divisions])
        return sums[-1][0].merge(sums[-1][1])

    with quiet_k_means():
        feature_plan = plan(problem, best=True)
    column = _fit_column(summarise, feature_plan)
    if exact and not outcome_of(column).exact:
        column = _on_rows(column)
    centre, outcome = feature_plan.grid.frame.centre, outcome_of(column)
    score = np.nan
    if problem.rows.count >= LEAST_ROWS:
        prior = problem.prior.within(centre)
        score = _score_of_cells(problem.engine, prior, outcome.fit.posterior, *sums[-1])
    return explained(problem, estimate_of(centre, outcome), score)


def _fit_column(summarise: Callable[[Grid], Any], feature_plan: FeaturePlan) -> ColumnFit[FeaturePlan]:
    """Fit of the only column; after a refinement of the grid nothing is printed."""

    def on_cells(columns: ColumnFits[FeaturePlan]) -> Results[ColumnFit[FeaturePlan]]:
        column = columns["x"]
        verbosity = None if column.plan.refinements else feature_plan.problem.verbosity
        return Results({"x": column.fit_cells(feature_plan.problem.engine, verbosity)}, {})

    def scan(plans: Mapping[str, FeaturePlan]) -> Results[Any]:
        if not feature_plan.best:
            _LOG.info("another scan with a finer grid")
        return Results({"x": summarise(plans["x"].grid)}, {})

    def on_rows(columns: ColumnFits[FeaturePlan]) -> Results[ColumnFit[FeaturePlan]]:
        return Results({"x": _on_rows(columns["x"])}, {})

    column_fits = {"x": ColumnFit(feature_plan, summarise(feature_plan.grid))}
    return summary_fit.fit(column_fits, on_cells, scan, on_rows).good["x"]


def _on_rows(column: ColumnFit[FeaturePlan]) -> ColumnFit[FeaturePlan]:
    """The column with its fit on every row: from the end of a search, or again from the start that was chosen."""
    plan, outcome = column.plan, outcome_of(column)
    problem, centre, start = plan.problem, plan.grid.frame.centre, plan.starts[0]
    if plan.best:
        objective = Objective(_e_step(problem, centre), problem.prior.within(centre), column.sums.cells().rows)
        end = accelerated(objective, outcome.fit.posterior)
        return replace(column, outcome=replace(outcome, fit=end, error=0.0, exact=True))
    _LOG.info("exact EM: a fit on the summary may be %.1e sigma off", outcome.error)
    if isinstance(start, Seeds):
        restart = replace(problem, starts=1, init=plan.grid.frame.invert(start.centres)[:, None])
    else:
        restart = replace(problem, warm=start.outside(centre))
    return replace(column, outcome=Outcome(_exact_fit(restart, centre), 0.0, exact=True))


def outcome_of(column: ColumnFit[Any]) -> Outcome:
    """Outcome of the fit of the column."""
    assert column.outcome is not None
    return column.outcome


def estimate_of(centre: float | Floats, outcome: Outcome) -> Estimate:
    """The fit in the rows' own coordinates."""
    fit = replace(outcome.fit, posterior=outcome.fit.posterior.outside(centre))
    return Estimate(fit, outcome.error, outcome.exact, outcome.search)


def plan(problem: Problem, *, best: bool = False, checked: Checked = "end") -> FeaturePlan:
    """Starts and grid from a sample of the rows; the grid is split between the centres of the first start."""
    sample = problem.rows.sample(Rows.SEED_ROWS)
    numbers = first_feature(sample.array)
    frame = _frame_around(numbers)
    starts = tuple(_draw_starts(problem, sample, frame.centre))
    grid = Grid.of(frame, Masses.of_sample(frame.apply(numbers)), centres_of(starts))
    return FeaturePlan(grid=grid, starts=starts, problem=problem, best=best, checked=checked)


def _draw_starts(problem: Problem, sample: Rows, centre: float) -> list[ColumnStart]:
    """Starts from a sample of the rows: centres where rows belong to the nearest, else posteriors."""
    if problem.warm is not None:
        return [problem.warm.within(centre)]
    prior = problem.prior.within(centre)
    share = problem.rows.total / sample.total
    method = problem.init if isinstance(problem.init, str) else "centres"
    starts: list[ColumnStart] = []
    for _ in range(problem.starts):
        rows = sample.sample(K_MEANS_ROWS) if method == "kmeans" else sample
        start = _draw_start(problem, rows, centre)
        if isinstance(start, (LabelStart, CentreStart)):
            starts.append(Seeds(start.reference[:, 0]))
            continue
        sums = _sums_of(start, problem, rows, centre)
        sums_of_all = Statistics(sums.reference, sums.counts * share, sums.first * share, sums.second * share, 0.0)
        # A start from points has one row a component, however many rows there are.
        starts.append(prior.update(sums_of_all if method == "random" else sums))
    return starts


def _frame_around(numbers: Floats) -> Frame:
    """Frame with the lower median at 0; units stay, since `reg_covar` and the priors are given in them."""
    middle = (len(numbers) - 1) // 2
    return Frame(1.0, float(np.partition(numbers, middle)[middle]))


def _score_of_cells(engine: Engine, prior: Prior, posterior: Posterior, training: Any, test: Any) -> float:
    """Log density per held-out row under a fit to the others."""
    training_cells, test_cells = training.cells(), test.cells()
    if training_cells.rows == 0 or test_cells.rows == 0:
        return np.nan
    fit = accelerated(cell_objective(engine, training_cells, prior), posterior)
    table = fit.posterior.kernel_table()
    sums = engine.e_step(test_cells.mean, test_cells.weight, test_cells.scatter, table)
    return float(np.sum(sums[:, -1]) * LOG_2 / test_cells.rows)


@quiet_k_means()  # on one thread: LAPACK's would cost small matrices a hundred times their work
def best_of_several(problem: Problem) -> Estimate:
    """Search on a sample of the rows, then on all of them.

    Parameters
    ----------
    problem : Problem
        What to fit.
    """
    rows, engine, centre = problem.rows, problem.engine, problem.moments.mean
    prior = problem.prior.within(centre)
    research = _exact_fit(problem, centre)
    fine = over_features(engine, rows, centre)
    sample = rows.sample(COARSE_ROWS)
    coarse = Rows.of(sample.array, np.full(sample.count, rows.total / sample.count))
    level = over_features(get_engine("auto" if engine.name == "native" else engine.name), coarse, centre)
    starts = _sample_starts(problem, coarse, centre)
    levels = [Objective(accumulate, prior, rows.total) for accumulate in (level, fine)]
    fits = [fine(research.posterior)]
    result = search(levels, Starts(starts, fits, fits))
    fit = max(result.fit, research, key=lambda fit: fit.bounds[-1])  # a step further `reg_covar` may lower the bound
    score = np.nan
    training, test = replace(rows, choice=learnt), replace(rows, choice=held_out)
    if rows.count >= LEAST_ROWS and test.total > 0:
        sums = over_features(engine, training, centre)
        training_fit = accelerated(Objective(sums, prior, training.total), fit.posterior)
        score = log_density_sum(engine, test, training_fit.posterior.gaussian_table(centre)) / test.total
    return explained(problem, estimate_of(centre, Outcome(fit, 0.0, exact=True, search=result)), score)


def _sample_starts(problem: Problem, sample: Rows, centre: Floats) -> list[Statistics]:
    """Starts from k-means and from single rows of a sample, some of them with more components."""
    y, random = from_centre(sample.array, centre), problem.random
    starts: list[Start] = []
    for components, times in ((problem.components, STARTS), (problem.components + RICH, RICH_STARTS)):
        starts += [LabelStart(*k_means(y, components, random)) for _ in range(times)]
    points = min(problem.components, len(y))
    starts += [CentreStart(y[random.choice(len(y), points, replace=False)]) for _ in range(POINT_STARTS)]
    sums = [_sums_of(start, problem, sample, centre) for start in starts]
    return [statistics.padded(max(len(statistics.counts), problem.components)) for statistics in sums]

"""Search for the best fit: many starts, coarse to fine, components added and taken away, each to the end.

EM ends at the local maximum that its start leads to, and the lower bound of a mixture has many. Starts compete on a
coarse copy of the rows; the winners get components more and lose the least useful ones again (split and merge: Ueda et
al. 2000) for as long as the bound rises. The best settle on all rows, and beside them a fit that began with few
components. Components are put in descending order of their rows, which costs stick-breaking weights least. Nothing here
knows the number of features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np

from gpuvgm.config import FitConfig
from gpuvgm.engines import Engine, get_engine
from gpuvgm.mixture.accumulate import hard_start
from gpuvgm.mixture.cell_em import Ascent, cell_objective, loops_of, sums_of
from gpuvgm.mixture.em import MixtureFit, Objective, Point, Stopping
from gpuvgm.mixture.initialization import k_means, quiet_k_means
from gpuvgm.mixture.posterior import ILL_DEFINED, Posterior, Prior
from gpuvgm.mixture.statistics import Statistics
from gpuvgm.summary import Cells, Floats, Frame, Ints, midpoints

_REORDERINGS = 3
_LEAST_ROWS = 0.5  # a component with less is empty
_LLOYD_STEPS = 20
_SHORT_TRIAL = 2  # iterations after which fits are compared that lose more components yet
Checked = Literal["history", "refit", "end"]


@dataclass(frozen=True, slots=True)
class Effort:
    """Extent of a search.

    Parameters
    ----------
    tolerance : float
        Gain of the bound per row, made and expected, below which a fit is at its end.
    max_iter : int
        Most iterations of a fit on the way to the end.
    rough_tolerance, rough_iter : float, int
        The same for fits that are compared with each other.
    screening, trial : int
        Iterations after which starts, and fits with a component more or less, are compared.
    finalists : int
        Starts and fits that go on after a comparison.
    rounds : int
        Most times that a fit gets a component more and loses one again.
    far_below : float
        Nats a row that the end of a fit on a coarser level may lie below the best of them for the fit to go on; more
        than coarse cells change the bound of a fit by.
    starts, rich_starts : int
        scikit-learn's k-means starts on the cells of a summary with as many components as the fit, and with more. None:
        k-means from quantiles, which is a twentieth of the work, and quantiles, both with more.
    lesser : Effort, optional
        A search that is made before, on the cells of a summary; the result is never below that of it.
    """

    tolerance: float = 1e-11
    max_iter: int = 500
    rough_tolerance: float = 1e-7
    rough_iter: int = 60
    screening: int = 25
    trial: int = 6
    finalists: int = 2
    rounds: int = 6
    far_below: float = 1e-3
    starts: int = 8
    rich_starts: int = 2
    lesser: Effort | None = None

    @property
    def numbers(self) -> tuple[tuple[float, ...], list[int]]:
        """Tolerances and counts as an engine's own search takes them."""
        counts = [self.max_iter, self.rough_iter, self.screening, self.trial, self.finalists, self.rounds]
        return (self.tolerance, self.rough_tolerance, self.far_below), counts


#: By the names that users know. "auto" ends where little is left to gain: a fit where the curvature learnt from its
#: steps promises less than `tolerance` four times in a row, the rounds where one gains less than `rough_tolerance`.
BEST = Effort()
AUTO = Effort(
    1e-5, rough_tolerance=1e-4, rough_iter=40, screening=15, rounds=3, far_below=3e-4, starts=0, rich_starts=0
)
SEARCHES = {"auto": AUTO, "best": replace(BEST, lesser=replace(AUTO, far_below=BEST.far_below))}


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Result of a search.

    Parameters
    ----------
    prior : Prior
        Prior of the mixture.
    fit : MixtureFit
        The best fit; `bounds` are those of its last ascent on the finest level and never fall.
    statistics : Statistics
        Sums that its posterior was updated from.
    starts : int
        Starts tried.
    modes : int
        Components of the best fit with more weight than the threshold, and a row.
    bound_with_fewer : float or None
        The highest bound found with fewer modes, on the same footing as the fit's; None where there is one mode.
    rows : float
        Total weight of the rows.
    """

    prior: Prior
    fit: MixtureFit
    statistics: Statistics
    starts: int
    modes: int
    bound_with_fewer: float | None
    rows: float

    @property
    def evidence(self) -> float:
        """The bound of the fit, to compare priors by."""
        return self.prior.evidence(self.fit.bounds[-1], len(self.fit.posterior.means))

    @property
    def loss_with_fewer(self) -> float | None:
        """Loss of the bound by one mode fewer, in nats a row."""
        return None if self.bound_with_fewer is None else (self.fit.bounds[-1] - self.bound_with_fewer) / self.rows


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
    asks_exact : bool
        Whether the fit shall be made on the rows.
    """

    components: int
    stopping: Callable[[float], Stopping]
    random: Callable[[], np.random.RandomState]
    prior: Callable[[float, float], Prior]
    search: Effort | None = None
    mean_precisions: tuple[float, ...] = ()
    continued: bool = False
    checked: Checked = "history"
    weight_threshold: float = 0.005
    asks_exact: bool = False

    @classmethod
    def of_column(cls, config: FitConfig, frame: Frame, components: int, least_variance: float) -> SummaryConfig:
        """How a column of a table is fitted.

        Parameters
        ----------
        config : FitConfig
            What is asked for.
        frame : Frame
            Coordinates of the grid.
        components : int
            Number of components.
        least_variance : float
            As for `Prior.of_column`.
        """
        return cls(
            components=components,
            stopping=partial(Stopping.of, config),
            random=partial(np.random.RandomState, config.random_state),
            prior=partial(Prior.of_column, frame=frame, config=config, least_variance=least_variance),
            search=SEARCHES.get(config.effort),
            mean_precisions=config.mean_precisions,
            weight_threshold=config.weight_threshold,
            asks_exact=config.algorithm == "exact",
        )


@dataclass(frozen=True, slots=True)
class Starts:
    """Where a search starts: sums of assignments of the rows.

    Parameters
    ----------
    coarse : sequence of Statistics
        Sums over the coarsest level. Those with the fewest components say how many the fit may have; those with more
        lose the least useful ones one by one.
    full : sequence of Statistics
        Further starts, as sums over all rows. Each takes part in the search, and goes on to its end from level to
        level unless it ends far below the best on one; the result is never below that.
    fits : sequence of Statistics
        Fits from elsewhere, sums of an E-step over all rows. They take no part in the search, but go on from where they
        are; the result is never below them.
    sparse : sequence of Statistics
        Starts on the coarsest level with most components empty. The best fit to many rows may have few components
        while those with some more are lower than those with many: taking components away one by one does not lead
        there. The best of these starts goes on to its end as the full ones do.
    """

    coarse: Sequence[Statistics]
    full: Sequence[Statistics] = ()
    fits: Sequence[Statistics] = ()
    sparse: Sequence[Statistics] = ()


def search(
    levels: Sequence[Objective],
    starts: Starts,
    effort: Effort = BEST,
    weight_threshold: float = 0.005,
    rival: SearchResult | None = None,
) -> SearchResult:
    """Search for the highest lower bound.

    Parameters
    ----------
    levels : sequence of Objective
        From coarse to fine: over few cells or rows that stand for all, at last over all. Every level has the same
        prior, total weight and coordinates.
    starts : Starts
        Where to start from.
    effort : Effort
        Extent of the search.
    weight_threshold : float
        A mode is a component with more weight than this.
    rival : SearchResult, optional
        Result under another prior: the result where no start gets above its evidence on the coarsest level.
    """
    loops = loops_of(levels)
    if not loops:
        return search_in_python(levels, starts, effort, weight_threshold, rival)
    sorts = (starts.coarse, starts.full, starts.fits, starts.sparse)
    sums = [[(sums_of(start), start.entropy) for start in sort] for sort in sorts]
    least = None if rival is None else (rival.evidence, float(np.log(levels[-1].prior.mean_precision)))
    rows = [level.rows for level in levels]
    end = loops[-1].search(loops[:-1], rows, sums, effort.numbers, weight_threshold, least)
    if end.statistics is None:
        assert rival is not None
        return rival
    fine, (arrays, entropy) = levels[-1], end.statistics
    statistics = Statistics(*arrays, entropy)
    posterior = fine.point(statistics).posterior if end.posterior is None else fine.prior.posterior(end.posterior)
    assert posterior is not None
    return SearchResult(
        prior=fine.prior,
        fit=MixtureFit(posterior, tuple(end.bounds), end.converged),
        statistics=statistics,
        starts=len(starts.coarse) + len(starts.full) + len(starts.sparse),
        modes=end.modes,
        bound_with_fewer=end.bound_with_fewer,
        rows=fine.rows,
    )


def search_in_python(
    levels: Sequence[Objective],
    starts: Starts,
    effort: Effort,
    weight_threshold: float,
    rival: SearchResult | None,
) -> SearchResult:
    """`search` step by step: of several features, and what an engine's own search equals to the bit."""
    objectives = [_Level(objective, effort) for objective in levels]
    coarse, fine = objectives[0], objectives[-1]
    all_starts = [*starts.coarse, *starts.full]
    prior = fine.objective.prior
    start = max(_screening(coarse, all_starts), key=_height)
    if rival is not None and not prior.evidence(start.bound, len(start.statistics.counts)) > rival.evidence:
        return rival
    simple, fewer = coarse.simplify(start)
    ascent = coarse.improve(simple)
    if ascent.bound - simple.bound > effort.rough_tolerance * coarse.objective.rows:
        ascent, fewer = coarse.simplify(ascent)
    begin, sparse = [ascent.statistics, *starts.full], [*starts.sparse]
    for level in objectives[:-1]:
        ends = level.finish(level.objective.ascents([*begin, *sparse]))
        lowest = max(map(_height, ends)) - effort.far_below * level.objective.rows
        main_ends, best_of_few = ends[: len(begin)], sorted(ends[len(begin) :], key=_height)[-1:]
        begin, sparse = ([end.statistics for end in group if end.bound >= lowest] for group in (main_ends, best_of_few))
    ascent = max(fine.finish(fine.objective.ascents([*begin, *sparse, *starts.fits])), key=_height)
    bounds, best = _not_below(ascent, [fine.objective.point(fit) for fit in starts.fits])
    while True:
        modes = _modes(best.posterior, weight_threshold)
        lesser = _with_fewer((coarse, fine), fewer, modes, weight_threshold)
        with_fewer = None if lesser is None else fine.objective.point(lesser.padded(len(best.statistics.counts)))
        if with_fewer is None or not with_fewer.bound > best.bound:
            break
        (ascent,) = fine.finish(
            fine.objective.ascents([with_fewer.statistics])
        )  # fewer modes are better: they are the fit
        bounds, best = _not_below(ascent, [with_fewer])
        fewer = coarse.one_fewer(best.statistics)
    if best.posterior is None:
        raise ValueError(ILL_DEFINED)
    return SearchResult(
        prior=prior,
        fit=MixtureFit(best.posterior, bounds, ascent.converged),
        statistics=best.statistics,
        starts=len(all_starts) + len(starts.sparse),
        modes=modes,
        bound_with_fewer=None if with_fewer is None else with_fewer.bound,
        rows=fine.objective.rows,
    )


@dataclass(frozen=True, slots=True)
class _Level:
    """Accelerated EM on one copy of the rows."""

    objective: Objective
    effort: Effort

    def finish(self, ascents: Sequence[Ascent], *, rough: bool = False) -> list[Ascent]:
        """Ascents to their ends, their components in descending order where that is better."""
        effort = self.effort
        iterations, tolerance = effort.max_iter, effort.tolerance
        if rough:
            iterations, tolerance = effort.rough_iter, effort.rough_tolerance
        ends, indices = list(ascents), list(range(len(ascents)))
        for _ in range(_REORDERINGS):
            if not indices:
                break
            self.objective.run([ends[i] for i in indices], iterations, tolerance)
            better = {i: self._reorder(ends[i]) for i in indices}
            indices = [i for i, statistics in better.items() if statistics is not None]
            restarts = self.objective.ascents([statistics for statistics in better.values() if statistics is not None])
            for i, ascent in zip(indices, restarts, strict=True):
                ends[i] = ascent
        return ends

    def _reorder(self, ascent: Ascent) -> Statistics | None:
        """Statistics with components in descending order; None unless the bound is higher then."""
        statistics = ascent.statistics
        if (statistics.counts[:-1] >= statistics.counts[1:]).all():
            return None
        descending = _descending(statistics)
        return descending if self.objective.bound(descending) > ascent.bound else None

    def compare(self, starts: Iterable[Statistics], iterations: int) -> list[Ascent]:
        """Runs of a few iterations, the highest first; of equal ones the first."""
        ascents = self.objective.ascents(list(starts))
        falls = [-bound for bound in self.objective.run(ascents, iterations, self.effort.rough_tolerance)]
        return [ascents[i] for i in sorted(range(len(ascents)), key=falls.__getitem__)]

    def best(self, ascents: Sequence[Ascent]) -> Ascent:
        """The highest of the first few, roughly at their ends."""
        return max(self.finish(ascents[: self.effort.finalists], rough=True), key=_height)

    def go_on(self, ascent: Ascent) -> Statistics:
        """Statistics of an ascent after some more iterations."""
        self.objective.run([ascent], self.effort.screening, 0.0)
        return ascent.statistics

    def grow(self, statistics: Statistics) -> Statistics:
        """The most promising fit with one component more."""
        splits = (statistics.split(int(k)) for k in np.flatnonzero(statistics.counts >= _LEAST_ROWS))
        return self.go_on(self.compare(splits, self.effort.trial)[0])

    def prune(self, statistics: Statistics, components: int) -> Ascent:
        """The best fit found when components are taken away one by one; the first ones after a short look."""
        while True:
            is_last = len(statistics.counts) - 1 <= components
            ascents = self.compare(statistics.without_each(), self.effort.trial if is_last else _SHORT_TRIAL)
            if is_last:
                return self.best(ascents)
            statistics = ascents[0].statistics

    def improve(self, ascent: Ascent) -> Ascent:
        """One component more and one fewer, for as long as that raises the bound."""
        components = len(ascent.statistics.counts)
        for _ in range(self.effort.rounds):
            candidate = self.prune(self.grow(ascent.statistics), components)
            gain = candidate.bound - ascent.bound
            if gain > 0:
                ascent = candidate
            if not gain > self.effort.rough_tolerance * self.objective.rows:
                break
        return ascent

    def one_fewer(self, statistics: Statistics) -> Statistics | None:
        """The best fit found with one component fewer; None where there is but one with rows."""
        nonempty = statistics.take(np.flatnonzero(statistics.counts >= _LEAST_ROWS))
        components = len(nonempty.counts)
        return self.prune(nonempty, components - 1).statistics if components > 1 else None

    def simplify(self, ascent: Ascent) -> tuple[Ascent, Statistics | None]:
        """An ascent with components left empty for as long as that raises the bound, and the first that does not."""
        components = len(ascent.statistics.counts)
        for _ in range(components):
            fewer = self.one_fewer(ascent.statistics)
            if fewer is None or not self.objective.bound(fewer.padded(components)) > ascent.bound:
                break
            (ascent,) = self.objective.ascents([fewer.padded(components)])
        return ascent, fewer


def _screening(level: _Level, starts: Sequence[Statistics]) -> list[Ascent]:
    """Best fit from the starts of each number of components."""
    numbers = sorted({len(start.counts) for start in starts})
    winners = []
    for components in numbers:
        descending = (_descending(start) for start in starts if len(start.counts) == components)
        ascents = level.compare(descending, level.effort.screening)
        is_fewest = components == numbers[0]
        winners.append(level.best(ascents) if is_fewest else level.prune(level.go_on(ascents[0]), numbers[0]))
    return winners


def _with_fewer(
    levels: tuple[_Level, _Level], fewer: Statistics | None, modes: int, weight_threshold: float
) -> Statistics | None:
    """The best fit found with fewer modes: components are taken away until there are."""
    coarse, fine = levels
    while fewer is not None:
        if _modes(coarse.objective.point(fewer).posterior, weight_threshold) < modes:
            return fine.finish(fine.objective.ascents([fewer]), rough=True)[0].statistics
        fewer = coarse.one_fewer(fewer)
    return None


def _not_below(ascent: Ascent, points: Sequence[Point]) -> tuple[tuple[float, ...], Point]:
    """Bounds and end of an ascent, or the highest known point: EM may lower it by a rounding, or `reg_covar`."""
    best = ascent.best
    highest = max([best, *points], key=lambda point: point.bound)
    return (tuple(ascent.bounds) if highest is best else (highest.bound,)), highest


def _height(ascent: Ascent) -> float:
    return ascent.bound


def _modes(posterior: Posterior | None, weight_threshold: float) -> int:
    """Components with some weight, and with a row: few rows leave weight to components that have none."""
    if posterior is None:
        return 0
    return int(np.count_nonzero((posterior.weights > weight_threshold) & (posterior.counts > 0.5)))


def _descending(statistics: Statistics) -> Statistics:
    """Components in descending order of their rows."""
    return statistics.take(np.argsort(-statistics.counts, kind="stable"))


COARSE_CELLS = 1000
MOST_DOUBLINGS = 20
RICH = 5  # components more than asked for, to be taken away again
FEW = 5  # components; fits from starts with fewer are looked at too
LEAST_EVIDENCE = 5e-3  # nats a row that another prior gains: less is a few needles in the steps of the values


def search_cells(
    engine: Engine, cells: Cells, prior: Prior, config: SummaryConfig, candidates: Sequence[Posterior | Statistics] = ()
) -> SearchResult:
    """Search for the best fit of a column on its summary.

    Under another prior than the usual one where the rows are clearly likelier under that.

    Parameters
    ----------
    engine : Engine
        Compute engine.
    cells : Cells
        The summary's cells, at least one.
    prior : Prior
        Prior of the mixture.
    config : SummaryConfig
        How the column is fitted; `search` is the extent of the search.
    candidates : sequence of Posterior or Statistics, optional
        Starts on these cells, and fits from elsewhere, which the result is never below.
    """
    levels, best = coarse_to_fine(cells), None
    for strength in config.mean_precisions or (prior.mean_precision,):
        own_prior = replace(prior, mean_precision=strength)
        objectives = [cell_objective(engine, level, own_prior, sound=True) for level in levels]
        result = _search_levels(objectives, levels[0], config, candidates, best)
        if best is None or result.evidence > best.evidence + LEAST_EVIDENCE * cells.rows:
            best = result
    assert best is not None
    return best


def _search_levels(
    levels: Sequence[Objective],
    coarse: Cells,
    config: SummaryConfig,
    candidates: Sequence[Posterior | Statistics],
    after: SearchResult | None,
) -> SearchResult:
    """What a search under one prior finds.

    Parameters
    ----------
    levels : sequence of Objective
        From coarse to fine.
    coarse : Cells
        The coarsest cells.
    config, candidates
        As for `search_cells`.
    after : SearchResult, optional
        Result of a search under another prior, to start from in place of k-means and quantiles, and the rival.
    """
    assert config.search is not None
    effort, components, random, fine = config.search, config.components, config.random(), levels[-1].accumulate
    fits = [fine(fit).padded(components) for fit in candidates if isinstance(fit, Posterior)]
    full = [*fits, *(start.padded(components) for start in candidates if isinstance(start, Statistics))]

    def run(effort: Effort, lesser_fits: Sequence[Statistics]) -> SearchResult:
        if after is None:
            starts = cell_starts(coarse, components, random, effort)
            sparse = [quantile_start(coarse, count).padded(components) for count in range(1, min(FEW, components))]
        else:
            starts, sparse = [after.statistics.padded(components)], []
        return search(
            levels, Starts(starts, full, [*fits, *lesser_fits], sparse), effort, config.weight_threshold, after
        )

    lesser_fits = [] if effort.lesser is None else [run(effort.lesser, []).statistics.padded(components)]
    return run(effort, lesser_fits)


def coarse_to_fine(cells: Cells) -> list[Cells]:
    """Coarse cells for what is compared with others, where there are fewer of them, and the cells themselves."""
    coarse = coarse_cells(cells, COARSE_CELLS)
    return [cells] if len(coarse.mean) == len(cells.mean) else [coarse, cells]


def coarse_cells(cells: Cells, limit: int) -> Cells:
    """Cells put together with their neighbours in the grid until at most so many are left, where that can be."""
    coarse, parents = cells, np.sort(cells.parent)
    bits = np.frexp((parents[1:] ^ parents[:-1]).astype(np.float64))[1]  # up to the highest that differs
    counts = (1 + np.count_nonzero(bits > doublings + 1) for doublings in range(MOST_DOUBLINGS))
    start = next((doublings for doublings, count in enumerate(counts) if count <= limit), MOST_DOUBLINGS - 1)
    for doublings in range(start, MOST_DOUBLINGS):
        if len(coarse.mean) <= limit:
            break
        coarse = replace(cells, parent=cells.parent >> doublings).coarsen()
    return coarse


def cell_starts(cells: Cells, components: int, random: np.random.RandomState, effort: Effort) -> list[Statistics]:
    """Starts from k-means and from quantiles, some of them with more components."""
    rich = components + RICH
    draws = [(components, effort.starts), (rich, effort.rich_starts)]
    starts = [_k_means_start(cells, count, random).padded(count) for count, times in draws for _ in range(times)]
    if not starts:
        starts = [start(cells, rich).padded(rich) for start in (_lloyd_start, quantile_start)]
    return [*starts, quantile_start(cells, components).padded(components)]


def _k_means_start(cells: Cells, components: int, random: np.random.RandomState) -> Statistics:
    with quiet_k_means():
        centres, labels = k_means(cells.mean.reshape(-1, 1), components, random, cells.weight)
    return _hard(cells, labels.astype(np.int64), centres.ravel())


def quantile_start(cells: Cells, components: int) -> Statistics:
    """Components with about the same number of rows each, in the order of the values."""
    order = np.argsort(cells.mean, kind="stable")
    weight = cells.weight[order]
    share = (np.add.accumulate(weight) - 0.5 * weight) / cells.rows
    component = np.empty(len(order), np.int64)
    rank = np.minimum(share * components, components - 1).astype(np.int64)
    # Numbered anew, because a heavy cell leaves quantiles empty.
    component[order] = np.append(0, np.cumsum(rank[1:] != rank[:-1]))
    counts = np.bincount(component, cells.weight)
    return _hard(cells, component, np.bincount(component, cells.weight * cells.mean) / counts)


def fit_from_quantiles(cells: Cells, prior: Prior, components: int, iterations: int, tolerance: float) -> Posterior:
    """Posterior of a mixture after a few iterations of accelerated EM over cells, which may be wider than components.

    On this machine's engine.

    Parameters
    ----------
    cells : Cells
        The cells, at least one.
    prior : Prior
        Prior of the mixture.
    components : int
        Largest number of components.
    iterations, tolerance : int, float
        As for `Objective.run`.
    """
    objective = cell_objective(get_engine(), cells, prior, sound=True)
    ascents = objective.ascents([quantile_start(cells, components)])
    objective.run(ascents, iterations, tolerance)
    posterior: Posterior | None = ascents[0].best.posterior
    assert posterior is not None  # statistics of one feature always have one
    return posterior


def _lloyd_start(cells: Cells, components: int) -> Statistics:
    """k-means (Lloyd 1982) from the means of quantiles, by running sums over the cells in the order of their values."""
    order = np.argsort(cells.mean, kind="stable")
    value, centres = cells.mean[order], np.unique(quantile_start(cells, components).reference)
    rows = np.append(0.0, np.add.accumulate(cells.weight[order]))
    sums = np.append(0.0, np.add.accumulate(cells.weight[order] * value))
    for _ in range(_LLOYD_STEPS):
        ends = np.concatenate(([0], value.searchsorted(midpoints(centres)), [len(value)]))
        has_rows, total, count = ends[1:] > ends[:-1], sums[ends], rows[ends]
        previous, centres = centres, (total[1:] - total[:-1])[has_rows] / (count[1:] - count[:-1])[has_rows]
        if np.array_equal(previous, centres):
            break
    return _hard(cells, np.searchsorted(midpoints(centres), cells.mean), centres)


def _hard(cells: Cells, component: Ints, centres: Floats) -> Statistics:
    return hard_start(cells.mean, cells.weight, cells.scatter, component, centres)


def accelerated(objective: Objective, posterior: Posterior, effort: Effort | None = None) -> MixtureFit:
    """Accelerated EM from a posterior to its end."""
    effort = BEST if effort is None else effort
    ascents = objective.ascents([objective.accumulate(posterior)])
    objective.run(ascents, effort.max_iter, effort.tolerance)
    (ascent,) = ascents
    end = ascent.best.posterior
    return MixtureFit(posterior if end is None else end, tuple(ascent.bounds), ascent.converged)

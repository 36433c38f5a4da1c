"""EM over the cells of a summary: in the engine's own loops where it has them, else in Python's over its E-steps.

Both take the same steps; over the native engine's E-steps they have the same bits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gpuvgm.engines import Engine
from gpuvgm.engines.base import Ascent as EngineAscent
from gpuvgm.engines.base import CellEM, PlainEM
from gpuvgm.mixture.accumulate import Accumulate, over_cells
from gpuvgm.mixture.em import Ascent, MixtureFit, Narrator, Objective, Point, Stopping, fit_mixture
from gpuvgm.mixture.posterior import Posterior, Prior
from gpuvgm.mixture.statistics import ComponentStatistics
from gpuvgm.summary.summary import Cells

_UNINTERRUPTED = 500  # iterations between which Python may end a fit
CellAscents = Sequence[Ascent[ComponentStatistics, Posterior]]


def cell_objective(
    engine: Engine, cells: Cells, prior: Prior, *, sound: bool = False
) -> Objective[ComponentStatistics, Posterior]:
    """What accelerated EM over cells takes place on.

    Parameters
    ----------
    engine : Engine
        Compute engine.
    cells : Cells
        The cells, at least one.
    prior : Prior
        Prior of the mixture.
    sound : bool
        Components of negative counts are empty: the expansion within cells far wider than a component.
    """
    accumulate = over_cells(engine, cells)
    if sound:
        accumulate = _sound(accumulate)
    loops = engine.em(cells, prior.table(), sound=sound)
    if loops is None:
        return Objective(accumulate, prior, cells.rows)
    return _EngineObjective(accumulate, prior, cells.rows, loops)


def _sound(accumulate: Accumulate) -> Accumulate:
    """The E-step with components of negative counts empty."""

    def sound(posterior: Posterior) -> ComponentStatistics:
        sums = accumulate(posterior)
        held = sums.counts >= 0
        if held.all():
            return sums
        return replace(sums, counts=sums.counts * held, first=sums.first * held, second=sums.second * held)

    return sound


@dataclass(frozen=True, slots=True)
class _EngineObjective(Objective[ComponentStatistics, Posterior]):
    """Accelerated EM in loops of the engine's own."""

    loops: CellEM

    def begun(self, starts: Sequence[ComponentStatistics]) -> list[Ascent[ComponentStatistics, Posterior]]:
        """Ascents from sums of assignments of the rows."""
        loops = self.loops.ascents([[s.reference, s.counts, s.first, s.second] for s in starts])
        return [_CellAscent(self, loop) for loop in loops]

    def run(self, ascents: CellAscents, iterations: int, tolerance: float) -> list[float]:
        """Go on with ascents, as one batch; see `Objective.run`."""
        batch = [ascent.loop for ascent in ascents if isinstance(ascent, _CellAscent)]
        self.loops.run(batch, iterations, tolerance * self.rows)
        return [loop.bound for loop in batch]


@dataclass(frozen=True, slots=True)
class _CellAscent:
    """An ascent in the engine's loop."""

    objective: _EngineObjective
    loop: EngineAscent

    @property
    def best(self) -> Point[ComponentStatistics, Posterior]:
        prior: Any = self.objective.prior
        return Point(self.statistics, prior.posterior(self.loop.posterior), self.loop.bound)

    @property
    def statistics(self) -> ComponentStatistics:
        self.loop.begin()
        arrays, entropy = self.loop.statistics
        return ComponentStatistics(*arrays, entropy)

    @property
    def bound(self) -> float:
        self.loop.begin()
        return self.loop.bound

    @property
    def bounds(self) -> Sequence[float]:
        self.loop.begin()
        return self.loop.bounds

    @property
    def converged(self) -> bool:
        return self.loop.converged


@dataclass(frozen=True, slots=True)
class CellFit:
    """A plain fit, and the posterior from which its last iterations began.

    Parameters
    ----------
    fit : MixtureFit
        The fit.
    earlier : Posterior
        Where it was some iterations before.
    iterations : int
        How many.
    """

    fit: MixtureFit[Posterior]
    earlier: Posterior
    iterations: int


def fit_plainly(
    engine: Engine, begins: Sequence[tuple[Cells, Posterior]], prior: Prior, stopping: Stopping, remembered: int = 1
) -> list[CellFit]:
    """Variational EM over cells, several sets of them as one batch.

    Parameters
    ----------
    engine : Engine
        Compute engine.
    begins : sequence of (Cells, Posterior)
        Cells, at least one of each set, and where to start on them.
    prior : Prior
        Prior of the mixture.
    stopping : Stopping
        When to end.
    remembered : int
        How many iterations before the end `CellFit.earlier` is taken.
    """
    loops = [engine.em(cells, prior.table(), sound=False) for cells, _ in begins]
    batch = [one.plain(start.arrays(), remembered) for one, (_, start) in zip(loops, begins, strict=True) if one]
    if loops[0] is None or len(batch) < len(begins):
        return [fit_observed(engine, cells, prior, start, stopping, remembered) for cells, start in begins]
    left = batch
    for done in range(0, stopping.max_iter, _UNINTERRUPTED):
        loops[0].run(left, min(_UNINTERRUPTED, stopping.max_iter - done), stopping.tolerance)
        left = [loop for loop in left if not loop.converged]
        if not left:
            break
    return [_come_to(prior, start, loop) for (_, start), loop in zip(begins, batch, strict=True)]


def _come_to(prior: Prior, start: Posterior, loop: PlainEM) -> CellFit:
    fit = MixtureFit(prior.posterior(loop.posterior), tuple(loop.bounds), loop.converged)
    return CellFit(fit, prior.posterior(loop.oldest) if loop.last else start, loop.last)


def fit_observed(  # noqa: PLR0913 - as fit_plainly
    engine: Engine,
    cells: Cells,
    prior: Prior,
    start: Posterior,
    stopping: Stopping,
    remembered: int,
    observe: Callable[[int, float], None] | None = None,
) -> CellFit:
    """The same over one set of cells in Python's loop, whose iterations can be observed.

    Parameters
    ----------
    engine, cells, prior, start, stopping, remembered
        As in `fit_plainly`.
    observe : callable, optional
        Called after each iteration with its number, from 1, and the change of the bound.
    """
    accumulate, history = over_cells(engine, cells), deque[Posterior](maxlen=remembered)

    def remembering(posterior: Posterior) -> ComponentStatistics:
        history.append(posterior)
        return accumulate(posterior)

    fit = fit_mixture(remembering, prior, start, stopping, observe)
    return CellFit(fit, history[0] if history else start, len(history))


def best_plain_fit(  # noqa: PLR0913 - as fit_plainly
    engine: Engine,
    cells: Cells,
    prior: Prior,
    begins: Sequence[Callable[[], Posterior]],
    stopping: Stopping,
    remembered: int,
    narrator: Narrator | None,
) -> tuple[int, CellFit]:
    """The start with the highest bound, and its fit.

    Parameters
    ----------
    engine, cells, prior, stopping, remembered
        As in `fit_plainly`.
    begins : sequence of callable
        Give the starts, at least one.
    narrator : Narrator or None
        Who tells how it goes.
    """
    telling = narrator if narrator is not None and narrator.level else None
    best: tuple[int, CellFit] | None = None
    for number, begin in enumerate(begins):
        if telling is not None:
            telling.begin(number)
        if telling is None:
            (done,) = fit_plainly(engine, [(cells, begin())], prior, stopping, remembered)
        else:
            done = fit_observed(engine, cells, prior, begin(), stopping, remembered, telling.iteration)
        bounds = done.fit.bounds
        if telling is not None and bounds:
            telling.end(bounds[-1], converged=done.fit.converged)
        if best is None or not bounds or bounds[-1] > best[1].fit.bounds[-1]:
            best = number, done
    assert best is not None
    return best

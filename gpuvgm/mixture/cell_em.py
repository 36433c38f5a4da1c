"""EM over the cells of a summary: in the engine's own loops where it has them, else in Python's over its E-steps.

Both take the same steps; over the native engine's E-steps they have the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gpuvgm.engines import AcceleratedLoop, CellEM, Engine
from gpuvgm.mixture.accumulate import over_cells
from gpuvgm.mixture.em import AcceleratedEM, Accumulate, MixtureFit, Objective, Observer, Point, Stopping, fit_mixture
from gpuvgm.mixture.posterior import Posterior, Prior
from gpuvgm.mixture.statistics import Statistics
from gpuvgm.summary import Cells, Floats

_UNINTERRUPTED = 500  # iterations between which Python may end a fit


def cell_objective(engine: Engine, cells: Cells, prior: Prior, *, sound: bool = False) -> Objective:
    """Objective of EM over cells.

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
    """E-step that leaves components of negative counts empty."""

    def sound(posterior: Posterior) -> Statistics:
        sums = accumulate(posterior)
        is_valid = sums.counts >= 0
        if is_valid.all():
            return sums
        return replace(sums, counts=sums.counts * is_valid, first=sums.first * is_valid, second=sums.second * is_valid)

    return sound


@dataclass(frozen=True, slots=True)
class _EngineObjective(Objective):
    """EM in loops of the engine's own."""

    loops: CellEM

    def bound(self, statistics: Statistics) -> float:
        """The bound of `point`, without its posterior."""
        return self.loops.bound(sums_of(statistics), statistics.entropy)

    def ascents(self, starts: Sequence[Statistics]) -> Sequence[_CellAscent]:
        """Ascents from sums of assignments of the rows."""
        loops = self.loops.ascents([sums_of(start) for start in starts])
        return [_CellAscent(self.prior, loop) for loop in loops]

    def run(self, ascents: Sequence[_CellAscent], iterations: int, tolerance: float) -> list[float]:
        """Go on with ascents, as one batch; see `Objective.run`."""
        batch = [ascent.loop for ascent in ascents]
        self.loops.run(batch, iterations, tolerance * self.rows)
        return [loop.bound for loop in batch]


def loops_of(levels: Sequence[Objective]) -> list[CellEM]:
    """The engine's own loops of objectives; none unless all have some."""
    loops = [level.loops for level in levels if isinstance(level, _EngineObjective)]
    return loops if len(loops) == len(levels) else []


def sums_of(statistics: Statistics) -> list[Floats]:
    """Arrays of statistics as an engine takes them."""
    return [statistics.reference, statistics.counts, statistics.first, statistics.second]


@dataclass(frozen=True, slots=True)
class _CellAscent:
    """`AcceleratedEM` in the engine's loop."""

    prior: Prior
    loop: AcceleratedLoop

    @property
    def best(self) -> Point:
        return Point(self.statistics, self.prior.posterior(self.loop.posterior), self.loop.bound)

    @property
    def statistics(self) -> Statistics:
        self.loop.begin()
        arrays, entropy = self.loop.statistics
        return Statistics(*arrays, entropy)

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


Ascent = AcceleratedEM | _CellAscent  # of the lower bound; it can be stopped and taken up again


def fit_batch(
    problems: Sequence[tuple[Objective, Posterior]],
    stopping: Stopping,
    remembered: int = 1,
    observe: Observer | None = None,
) -> list[MixtureFit]:
    """Variational EM over cells, several sets of them as one batch.

    Parameters
    ----------
    problems : sequence of (Objective, Posterior)
        A `cell_objective` for each set of cells, and where to start on them.
    stopping, remembered, observe
        As in `fit_mixture`; only the fit of a batch of one is observed.
    """
    loops = [objective.loops for objective, _ in problems if isinstance(objective, _EngineObjective)]
    if len(loops) < len(problems):
        return [fit_mixture(objective, start, stopping, remembered, observe) for objective, start in problems]
    batch = [loop.plain(start.arrays(), remembered) for loop, (_, start) in zip(loops, problems, strict=True)]
    active, at_once = batch, _UNINTERRUPTED if observe is None else 1
    for iteration in range(0, stopping.max_iter, at_once):
        # Loops that converged are left out: another run would let them go on.
        loops[0].run(active, min(at_once, stopping.max_iter - iteration), stopping.tolerance)
        if observe is not None:
            bounds = [stopping.bound, *active[0].bounds]
            observe(iteration + 1, bounds[-1] - bounds[-2])
        active = [loop for loop in active if not loop.converged]
        if not active:
            break
    return [
        MixtureFit(
            posterior=objective.prior.posterior(loop.posterior),
            bounds=tuple(loop.bounds),
            converged=loop.converged,
            earlier=objective.prior.posterior(loop.oldest) if loop.bounds else start,
        )
        for (objective, start), loop in zip(problems, batch, strict=True)
    ]

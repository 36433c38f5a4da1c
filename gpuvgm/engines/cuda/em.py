"""EM over cells on the device: the loops of `NativeEM`, one problem a block, with their bits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, fields
from functools import cache
from threading import Lock
from typing import Any, Generic, TypeVar

import numpy as np

from gpuvgm.engines.base import CellEM, EMLoop
from gpuvgm.engines.base import PlainEM as EnginePlainEM
from gpuvgm.engines.cuda.device import Device, Lane, address_of
from gpuvgm.engines.cuda.programs import Parameter, Program, value, written
from gpuvgm.engines.tables import PriorTable
from gpuvgm.summary.grid import Floats
from gpuvgm.summary.summary import Cells

MOST_COMPONENTS = 16  # with more the host runs the loops
#: Components whose sums and steps fit into a block's shared memory, and the threads of the block.
_SIZES = {12: 128, MOST_COMPONENTS: 96}
_STEP_MEMORY, _SCALARS = 12, 11  # as in the kernel
Work = TypeVar("Work")


@cache
def em_program(most: int) -> Program:
    """The program of a batch of loops.

    Parameters
    ----------
    most : int
        Components of a mixture at most, one of `_SIZES`.
    """
    return Program(
        name=f"gpuvgm_em_{most}",
        sources=("vgm_math.cuh", "vgm_special.cuh", "vgm_em.cuh", "cuda/block.cuh", "cuda/em.cuh"),
        constants=(("GPUVGM_COMPONENTS", str(most)), ("GPUVGM_THREADS", str(_SIZES[most]))),
        parameters=(
            Parameter("int64", "places"),
            Parameter("float64", "numbers"),
            value("int32", "iterations"),
            value("int32", "width"),
            written("float64", "bounds"),
            written("float64", "results"),
        ),
        threads=_SIZES[most],
    )


def programs() -> list[Program]:
    """For mixtures of few components, and of more."""
    return [em_program(most) for most in _SIZES]


class Gathered(Generic[Work]):
    """Work that threads hand in side by side, done together: who finds none being done does all that waits.

    Parameters
    ----------
    do : callable
        Does several pieces of work.
    """

    def __init__(self, do: Callable[[Sequence[Work]], None]) -> None:
        self._do, self._adding, self._doing = do, Lock(), Lock()
        self._waiting: list[tuple[Work, Future[None]]] = []

    def do(self, work: Work) -> None:
        """Return when it is done, by whomever."""
        done: Future[None] = Future()
        with self._adding:
            self._waiting.append((work, done))
        with self._doing:
            if not done.done():
                with self._adding:
                    together, self._waiting = self._waiting, []
                self._do_all(together)
        done.result()

    def _do_all(self, together: Sequence[tuple[Work, Future[None]]]) -> None:
        try:
            self._do([work for work, _ in together])
        except BaseException as problem:
            for _, done in together:
                done.set_exception(problem)
            return
        for _, done in together:
            done.set_result(None)


@dataclass(slots=True)
class Problem:
    """Cells, on the device from the first run on, and the prior of their mixture."""

    mean: Floats
    weight: Floats
    scatter: Floats | None
    prior: list[float]
    resident: list[Any] = field(default_factory=list)

    @classmethod
    def of(cls, cells: Cells, prior: PriorTable, *, sound: bool) -> Problem:
        """The problem with the numbers as the kernel reads them."""
        numbers = [getattr(prior, part.name) for part in fields(prior)[:7]]
        origin = (prior.origin or 0.0, prior.origin is not None)
        scatter = np.ascontiguousarray(cells.scatter) if np.any(cells.scatter) else None
        mean, weight = np.ascontiguousarray(cells.mean), np.ascontiguousarray(cells.weight)
        return cls(mean, weight, scatter, [*numbers, *origin, prior.dirichlet, prior.tied, sound])

    def addresses(self, lane: Lane) -> list[int]:
        """Where the cells lie on the device."""
        if not self.resident:
            arrays = (self.mean, self.weight, self.scatter)
            self.resident = [None if array is None else lane.upload(array) for array in arrays]
        return [address_of(array) for array in self.resident]


@dataclass(slots=True)
class Loop:
    """EM over the cells of one problem; see `EMLoop`. What it has come to lies in this process's memory after a run.

    Parameters
    ----------
    em : DeviceEM
        Who runs it.
    start : sequence of ndarray of shape (K,)
        Four statistics, for accelerated EM, or the six parameters of a posterior.
    remembered : int
        Posteriors that plain EM remembers; 0 for accelerated EM.
    """

    em: DeviceEM
    start: Sequence[Floats]
    remembered: int = 0
    bounds: list[float] = field(default_factory=list)
    bound: float = -np.inf
    converged: bool = False
    numbers: Floats = field(default_factory=lambda: np.empty(0))  # statistics and posterior
    state: Any = None  # on the device, as the posteriors that are remembered
    history: Any = None

    @property
    def components(self) -> int:
        """Components of the mixture."""
        return len(self.start[0])

    @property
    def most(self) -> int:
        """Components that its program is for."""
        return min(most for most in _SIZES if most >= self.components)

    @property
    def statistics(self) -> tuple[tuple[Floats, Floats, Floats, Floats], float]:
        """What the posterior was updated from; see `EMLoop.statistics`."""
        k = self.components
        reference, counts, first, second = self.numbers[: 4 * k].reshape(4, k)
        return (reference, counts, first, second), float(self.numbers[4 * k])

    @property
    def posterior(self) -> tuple[Floats, ...]:
        """Parameters; see `EMLoop.posterior`."""
        k = self.components
        return tuple(self.numbers[4 * k + 1 :].reshape(6, k)) if self.bounds else tuple(self.start)

    @property
    def last(self) -> int:
        """How many posteriors are remembered."""
        return min(len(self.bounds), self.remembered)

    @property
    def oldest(self) -> tuple[Floats, ...]:
        """The oldest of them."""
        place = len(self.bounds) % self.remembered if len(self.bounds) > self.remembered else 0
        history = self.em.loops.to_host(self.history)
        return tuple(history.reshape(self.remembered, 6, self.components)[place])

    def begin(self) -> None:
        """Make the first iteration, if it is not made."""
        if not self.bounds:
            self.em.run([self], 0, 0.0)

    def first_state(self) -> Floats:
        """The memory of a loop that has not run, as the kernel lays it out."""
        k, start = self.components, np.concatenate(self.start)
        point = 4 * k + 1 + 6 * k
        size = 3 * (4 * k + 1) + 12 * k + 2 * k + 3 * k + 1 + 31 * k + 2 * _STEP_MEMORY
        state = np.zeros(size + _SCALARS + 12 * _STEP_MEMORY * k)
        first = 4 * k + 1 if self.remembered else 2 * point  # the best posterior, or the trial's statistics
        state[first : first + len(start)] = start
        state[size + 7], state[size + 9] = 1.0, -np.inf  # the length of a step, and the best bound
        return state

    def take(self, results: Floats, bounds: Floats) -> None:
        """What a run has come to."""
        self.bound, self.converged = float(results[-3]), bool(results[-2])
        self.bounds += bounds[: int(results[-1])].tolist()
        self.numbers = results[: 10 * self.components + 1].copy()


Batch = tuple[Sequence[Loop], int, float]


class LoopsOnDevice:
    """Runs loops on a device; batches of several threads are one launch.

    Parameters
    ----------
    device : Device
        The device.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._gathered = Gathered(self._run_all)

    def run(self, batch: Sequence[Loop], iterations: int, tolerance: float) -> None:
        """Go on with a batch; see `CellEM.run`."""
        if batch:
            self._gathered.do((batch, iterations, tolerance))

    def to_host(self, array: Any) -> Floats:
        """Copy of an array of the device."""
        return self._device.to_host(array)

    def _run_all(self, batches: Sequence[Batch]) -> None:
        """Batches of the same number of iterations at a time, and of the same program."""
        every = [(iterations, loop, tolerance) for batch, iterations, tolerance in batches for loop in batch]
        for kind in sorted({(loop.most, iterations) for iterations, loop, _ in every}):
            same = [(loop, tolerance) for iterations, loop, tolerance in every if (loop.most, iterations) == kind]
            self._launch(same, *kind)

    def _launch(self, loops: Sequence[tuple[Loop, float]], most: int, iterations: int) -> None:
        width = 10 * max(loop.components for loop, _ in loops) + 4
        bounds, results = np.empty((len(loops), iterations + 1)), np.empty((len(loops), width))
        with self._device.lanes() as (lane, _), lane:
            places = np.array([self._place(lane, loop) for loop, _ in loops], np.int64)
            numbers = np.array([[*loop.em.problem.prior, tolerance] for loop, tolerance in loops], np.float64)
            written_ = [self._device.xp.empty(array.shape, array.dtype) for array in (bounds, results)]
            arguments = [lane.upload(places), lane.upload(numbers), iterations, width, *written_]
            self._device.run_blocks(em_program(most), len(loops), arguments)
            lane.download(written_[0], bounds)
            lane.download(written_[1], results)
            lane.wait()
        for (loop, _), found, gained in zip(loops, results, bounds, strict=True):
            loop.take(found, gained)

    def _place(self, lane: Lane, loop: Loop) -> list[int]:
        """Where a loop's arrays lie, and what the kernel is to know of it."""
        if loop.state is None:
            loop.state = lane.upload(loop.first_state())
            if loop.remembered:
                loop.history = self._device.xp.empty(6 * loop.components * loop.remembered, np.float64)
        addresses = [*loop.em.problem.addresses(lane), address_of(loop.state), address_of(loop.history)]
        cells = len(loop.em.problem.mean)
        return [*addresses, cells, loop.components, loop.remembered, len(loop.bounds)]


class DeviceEM:
    """EM over cells on the device; see `CellEM`. Mixtures of many components are left to the host.

    Parameters
    ----------
    loops : LoopsOnDevice
        Who runs the loops of all problems.
    host : CellEM
        The same problem in the host's loops.
    problem : Problem
        Cells and prior.
    """

    def __init__(self, loops: LoopsOnDevice, host: CellEM, problem: Problem) -> None:
        self.loops, self._host, self.problem = loops, host, problem

    def ascent(self, start: Sequence[Floats]) -> Any:
        """Accelerated EM; see `CellEM.ascent`."""
        return Loop(self, list(start)) if len(start[0]) <= MOST_COMPONENTS else self._host.ascent(start)

    def plain(self, start: Sequence[Floats], remembered: int) -> EnginePlainEM:
        """Variational EM; see `CellEM.plain`."""
        if len(start[0]) > MOST_COMPONENTS:
            return self._host.plain(start, remembered)
        return Loop(self, list(start), remembered)

    def run(self, batch: Sequence[EMLoop], iterations: int, tolerance: float) -> None:
        """Go on with a batch; see `CellEM.run`."""
        self.loops.run([loop for loop in batch if isinstance(loop, Loop)], iterations, tolerance)
        others = [loop for loop in batch if not isinstance(loop, Loop)]
        if others:
            self._host.run(others, iterations, tolerance)

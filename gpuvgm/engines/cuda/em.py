"""EM over cells on the device: the loops of `NativeEM`, one problem a block, with their bits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cache, cached_property
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuvgm.engines.base import CellEM, EMLoop, PlainEM, SearchEnd
from gpuvgm.engines.cuda.device import Device, Lane, address_of
from gpuvgm.engines.cuda.programs import Parameter, Program, value, written
from gpuvgm.engines.tables import PriorTable
from gpuvgm.summary import Cells, Floats

MOST_COMPONENTS = 16  # with more the host runs the loops
#: With fewer the host runs them, too: one block, whose threads wait for each other, is slower than a core there.
LEAST_CELLS = 10_000
#: Components whose sums and steps fit into a block's shared memory, and the threads of the block.
SIZES = {12: 128, MOST_COMPONENTS: 96}
_PLACES, _NUMBERS, _STEP_MEMORY, _SCALARS = 10, 13, 12, 11  # as in the kernel
_HEAD = 3  # bound, whether it has converged, and how many iterations were made: what results begin with


@cache
def em_program(most: int) -> Program:
    """The program of a batch of loops.

    Parameters
    ----------
    most : int
        Components of a mixture at most, one of `SIZES`.
    """
    return Program(
        name=f"gpuvgm_em_{most}",
        sources=("vgm_math.cuh", "vgm_special.cuh", "vgm_em.cuh", "cuda/block.cuh", "cuda/em.cuh"),
        constants=(("GPUVGM_COMPONENTS", str(most)), ("GPUVGM_THREADS", str(SIZES[most]))),
        parameters=(
            Parameter("int64", "problems"),
            value("int32", "stride"),
            written("float64", "results"),
        ),
        threads=SIZES[most],
    )


@dataclass(slots=True)
class Problem:
    """Cells, on the device from the first run on, and the prior of their mixture.

    Parameters
    ----------
    cells : ndarray of shape (2 or 3, cells)
        Means and weights, and scatters where there are any.
    prior : list of float
        The prior, and whether components of negative counts are empty, as the kernel reads them.
    """

    cells: Floats
    prior: list[float]
    resident: Any = None
    places: tuple[int, int, int] = (0, 0, 0)

    @classmethod
    def of(cls, cells: Cells, prior: PriorTable, *, sound: bool) -> Problem:
        """The problem with the numbers as the kernel reads them."""
        origin = (prior.origin or 0.0, prior.origin is not None)
        arrays = (cells.mean, cells.weight, cells.scatter) if np.any(cells.scatter) else (cells.mean, cells.weight)
        return cls(np.array(arrays, np.float64), [*prior.numbers, *origin, prior.dirichlet, prior.tied, sound])

    def upload(self, lane: Lane) -> None:
        """Begin to copy the cells to the device."""
        self.resident = lane.upload(self.cells)
        address, size = address_of(self.resident), self.cells.itemsize * self.cells.shape[1]
        self.places = (address, address + size, address + 2 * size if len(self.cells) > 2 else 0)


class Loop:
    """EM over the cells of one problem; see `EMLoop`. Its results lie in this process's memory after a run.

    Parameters
    ----------
    em : DeviceEM
        Engine's EM that it belongs to.
    start : sequence of ndarray of shape (K,)
        Four statistics, for accelerated EM, or the six parameters of a posterior.
    remembered : int
        Posteriors that plain EM remembers; 0 for accelerated EM.

    Attributes
    ----------
    components : int
        Components of the mixture.
    most : int
        Components that its program is for.
    room : tuple of int
        Numbers of its memory, and of the posteriors that it remembers.
    memory : array or None
        Array that both are parts of, on the device from the first run on.
    places : tuple of int
        Addresses of both; 0 where no posterior is remembered.
    iterations : int
        Number of iterations.
    bound : float
        The bound after the last.
    converged : bool
        Whether the last run ended by its tolerance.
    stride : int
        Numbers in the results of a run before the bounds of its iterations.
    results : list of ndarray
        Results of each run; see the kernel.
    """

    __slots__ = (
        *("bound", "components", "converged", "em", "iterations", "memory", "most", "places", "remembered", "results"),
        *("room", "start", "stride"),
    )

    def __init__(self, em: DeviceEM, start: Sequence[Floats], remembered: int = 0) -> None:
        self.em, self.start, self.remembered = em, start, remembered
        self.components = k = len(start[0])
        self.most = next(most for most in SIZES if most >= k)
        size = (
            3 * (4 * k + 1) + 12 * k + 2 * k + 3 * k + 1 + 31 * k + 2 * _STEP_MEMORY + _SCALARS + 12 * _STEP_MEMORY * k
        )
        self.room = (size, 6 * k * remembered)
        self.stride = _HEAD + (16 if remembered else 10) * k + 1
        self.memory: Any = None
        self.places = (0, 0)
        self.iterations, self.bound, self.converged = 0, -np.inf, False
        self.results: list[Floats] = []

    @property
    def statistics(self) -> tuple[tuple[Floats, Floats, Floats, Floats], float]:
        """Sums that the posterior was updated from; see `EMLoop.statistics`."""
        k, row = self.components, self.results[-1]
        reference, counts, first, second = row[_HEAD : _HEAD + 4 * k].reshape(4, k)
        return (reference, counts, first, second), float(row[_HEAD + 4 * k])

    @property
    def posterior(self) -> tuple[Floats, ...]:
        """Parameters; see `EMLoop.posterior`."""
        return self._posterior_at(_HEAD + 4 * self.components + 1) if self.iterations else tuple(self.start)

    @property
    def bounds(self) -> list[float]:
        """The lower bound after each iteration."""
        start = self.stride
        return [bound for row in self.results for bound in row[start : start + int(row[2])].tolist()]

    @property
    def oldest(self) -> tuple[Floats, ...]:
        """The oldest posterior that is remembered."""
        return self._posterior_at(_HEAD + 10 * self.components + 1)

    def _posterior_at(self, start: int) -> tuple[Floats, ...]:
        return tuple(self.results[-1][start : start + 6 * self.components].reshape(6, -1))

    def begin(self) -> None:
        """Make the first iteration, unless it has been made."""
        if not self.iterations:
            self.em.run([self], 0, 0.0)


Run = tuple[Loop, int, float]  # with most iterations, and the gain of the bound below which it ends


class LoopsOnDevice:
    """Runs loops on a device, on a stream of its own; batches of several threads are one launch.

    Threads hand in their batches side by side: the first that finds no run in progress runs all batches that wait.

    Parameters
    ----------
    device : Device
        The device.
    """

    def __init__(self, device: Device) -> None:
        self._device, self._running = device, Lock()
        self._waiting: list[tuple[list[Run], Future[None]]] = []

    @cached_property
    def _lane(self) -> Lane:
        return self._device.lane()

    def run(self, batch: Sequence[Loop], iterations: int, tolerance: float) -> None:
        """Go on with a batch; see `CellEM.run`."""
        if not batch:
            return
        future = Future[None]()
        self._waiting.append(([(loop, iterations, tolerance) for loop in batch], future))
        with self._running:
            if not future.done():
                self._run_all()
        future.result()

    def _run_all(self) -> None:
        """Run all batches that wait, those of one program as one launch."""
        waiting = self._waiting[:]
        del self._waiting[: len(waiting)]  # other threads may have added batches meanwhile
        try:
            for most in SIZES:
                runs = [run for batch, _ in waiting for run in batch if run[0].most == most]
                if runs:
                    self._launch(runs, most)
        except BaseException as problem:
            for _, future in waiting:
                future.set_exception(problem)
        else:
            for _, future in waiting:
                future.set_result(None)

    def _launch(self, runs: Sequence[Run], most: int) -> None:
        stride = max(loop.stride for loop, _, _ in runs) + 1 + max(iterations for _, iterations, _ in runs)
        results = np.empty((len(runs), stride))
        with self._lane as lane, self._device.range("gpuvgm.em"):
            self._make_ready([loop for loop, _, _ in runs])
            output = self._device.xp.empty(results.shape)
            problems = lane.upload(_records(runs, most))
            self._device.run_blocks(em_program(most), len(runs), [problems, stride, output])
            lane.download(output, results)
            lane.wait()
        heads = results[:, :_HEAD].tolist()
        for (loop, _, _), row, (bound, converged, count) in zip(runs, results, heads, strict=True):
            loop.bound, loop.converged, loop.iterations = bound, bool(converged), loop.iterations + int(count)
            loop.results.append(row)

    def _make_ready(self, loops: Iterable[Loop]) -> None:
        """Copy cells to the device, and give memory to the loops that have none: an array for all of them."""
        new = [loop for loop in loops if loop.memory is None]
        if not new:
            return
        memory = self._device.xp.empty(sum(sum(loop.room) for loop in new))
        address = address_of(memory)
        for loop in new:
            problem, (size, history) = loop.em.problem, loop.room
            if problem.resident is None:
                problem.upload(self._lane)
            loop.memory, loop.places = memory, (address, address + 8 * size if history else 0)
            address += 8 * (size + history)


def _records(runs: Sequence[Run], most: int) -> NDArray[np.int64]:
    """Records that the kernel reads of the loops, shape (loops, ...): addresses, counts, and the bits of numbers."""
    start = _PLACES + _NUMBERS
    records = np.zeros((len(runs), start + 6 * most), np.int64)
    numbers = records.view(np.float64)
    for i, (loop, iterations, tolerance) in enumerate(runs):
        problem, k = loop.em.problem, loop.components
        counts = (problem.cells.shape[1], k, loop.remembered, loop.iterations, iterations)
        records[i, :_PLACES] = (*problem.places, *loop.places, *counts)
        numbers[i, _PLACES:start] = (*problem.prior, tolerance)
        if not loop.iterations:
            for j, array in enumerate(loop.start):
                numbers[i, start + j * k : start + (j + 1) * k] = array
    return records


class DeviceEM:
    """EM over cells on the device; see `CellEM`. Few cells, mixtures of many components and searches are the host's.

    Parameters
    ----------
    loops : LoopsOnDevice
        Runner of the loops of all problems.
    host : CellEM
        The same problem in the host's loops.
    problem : Problem
        Cells and prior.
    """

    def __init__(self, loops: LoopsOnDevice, host: CellEM, problem: Problem) -> None:
        self.loops, self._host, self.problem = loops, host, problem

    def bound(self, sums: Sequence[Floats], entropy: float) -> float:
        """Lower bound after some sums, by the host; see `CellEM.bound`."""
        return self._host.bound(sums, entropy)

    def ascents(self, starts: Sequence[Sequence[Floats]]) -> list[Any]:
        """Accelerated EM from several starts; see `CellEM.ascents`."""
        loops: list[Any] = []
        for start in starts:
            loops += self._host.ascents([start]) if self._is_for_host(start) else [Loop(self, start)]
        return loops

    def plain(self, start: Sequence[Floats], remembered: int) -> PlainEM:
        """Variational EM; see `CellEM.plain`."""
        return self._host.plain(start, remembered) if self._is_for_host(start) else Loop(self, start, remembered)

    def _is_for_host(self, start: Sequence[Floats]) -> bool:
        """Whether the host runs a loop from a start."""
        return len(start[0]) > MOST_COMPONENTS or self.problem.cells.shape[1] < LEAST_CELLS

    def run(self, batch: Sequence[EMLoop], iterations: int, tolerance: float) -> None:
        """Go on with a batch; see `CellEM.run`."""
        self.loops.run([loop for loop in batch if isinstance(loop, Loop)], iterations, tolerance)
        host_loops = [loop for loop in batch if not isinstance(loop, Loop)]
        if host_loops:
            self._host.run(host_loops, iterations, tolerance)

    def search(
        self,
        coarser: Sequence[CellEM],
        rows: Sequence[float],
        starts: Sequence[Sequence[tuple[Sequence[Floats], float]]],
        extent: tuple[tuple[float, ...], list[int]],
        weight_threshold: float,
        least: tuple[float, float] | None,
    ) -> SearchEnd:
        """Search on the host: most iterations are over few cells, and none waits for a round; see `CellEM.search`."""
        hosts = [level._host for level in coarser if isinstance(level, DeviceEM)]
        return self._host.search(hosts, rows, starts, extent, weight_threshold, least)

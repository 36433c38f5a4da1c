"""Barriers taken out of kernels one at a time: each of them is missed. One that is not is not needed, or not tested."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from gpuvgm.engines.cuda import e_step, summary
from gpuvgm.engines.cuda.programs import Program
from gpuvgm.engines.kernels import source
from tests.engines.test_engines import mixture
from tests.kernels.compiled import PROGRAMS
from tests.kernels.emulated import Resident
from tests.kernels.executed import ExecutedDevice
from tests.kernels.ptx.interpreter import KernelFault
from tests.kernels.test_summarise import grid_with_centres

pytestmark = pytest.mark.ptx
ROWS = 5000  # more than a chunk


class OneBlock(ExecutedDevice):
    """A device on which one block does the work of all, so that it uses its shared memory again."""

    def run_blocks(self, program: Program, blocks: int, arguments: Sequence[Any]) -> None:
        super().run_blocks(program, 1, arguments)


def resident(array: np.ndarray, dtype: str = "float64") -> np.ndarray:
    return array.astype(dtype).view(Resident)


def run_e_step(program: Program) -> None:
    constants, (x, *_) = dict(program.constants), program.parameters
    g, table = np.random.default_rng(1), mixture(int(constants["GPUVGM_COMPONENTS"]) or 20)
    given = resident(g.lognormal(2, 1, ROWS), x.type)
    weight = resident(g.uniform(0, 3, ROWS)) if int(constants["GPUVGM_WEIGHTED"]) else None
    scatter = resident(g.uniform(0, 1e-3, ROWS)) if int(constants["GPUVGM_CELLS"]) else None
    if constants["GPUVGM_REAL"] == "float":
        e_step.narrow_partials(DEVICE, given, weight, table)
    else:
        e_step.e_step_partials(DEVICE, given, weight, scatter, table)


def run_most_probable(program: Program) -> None:
    weight = resident(np.ones(ROWS)) if int(dict(program.constants)["GPUVGM_WEIGHTED"]) else None
    x = resident(np.random.default_rng(1).lognormal(2, 1, ROWS), program.parameters[0].type)
    e_step.count_most_probable(DEVICE, x, weight, mixture(10))


def run_totals(program: Program) -> None:
    e_step.ordered_total(DEVICE, resident(np.random.default_rng(1).normal(size=(600, 8))))


def run_summarise(program: Program) -> None:
    x = np.random.default_rng(1).lognormal(2, 1, ROWS)
    summary.CellTable(DEVICE, grid_with_centres(x), 2000, 1000).add(resident(x, program.parameters[0].type))


RUN: dict[str, Callable[[Program], None]] = {
    "gpuvgm_e_step": run_e_step,
    "gpuvgm_most_probable": run_most_probable,
    "gpuvgm_chunk_totals": run_totals,
    "gpuvgm_summarise": run_summarise,
}
DEVICE = OneBlock()
WITH_BARRIERS = [name for name in PROGRAMS if name.startswith(tuple(RUN))]


def test_other_programs_have_no_barriers() -> None:
    assert [name for name in PROGRAMS if name not in WITH_BARRIERS and DEVICE.kernel(PROGRAMS[name]).barriers()] == []


@pytest.mark.parametrize("name", WITH_BARRIERS)
def test_every_barrier_is_missed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    run = next(work for start, work in RUN.items() if name.startswith(start))
    kernel = DEVICE.kernel(PROGRAMS[name])
    before = int(kernel.executed.sum())
    run(PROGRAMS[name])
    assert kernel.executed.sum() > before and kernel.barriers()
    for barrier in kernel.barriers():
        file, _, line = kernel.lines[barrier].partition(":")
        assert source(file).splitlines()[int(line) - 1].strip() == "__syncthreads();"
        monkeypatch.setitem(DEVICE.changed, name, kernel.without(barrier))
        with pytest.raises(KernelFault, match=rf"{name}: (race|read of shared memory)"):
            run(PROGRAMS[name])
        monkeypatch.undo()

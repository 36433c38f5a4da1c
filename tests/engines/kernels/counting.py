"""Instructions that programs execute, as PTX: of a row, or of a step of EM over cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from benchmarks.kernels.budget import division_steps
from benchmarks.kernels.cards import H200
from benchmarks.kernels.prediction import CLASSES
from gpuvgm.config import CHUNK_ROWS
from gpuvgm.engines.cuda.em import DeviceEM, LoopsOnDevice, Problem, em_program
from gpuvgm.engines.cuda.features import features_partials, features_program
from gpuvgm.engines.cuda.hold import hold, hold_program
from gpuvgm.engines.cuda.programs import Program
from gpuvgm.engines.cuda.rows import BLOCKS_EACH, QUAD, TILE_ROWS, fill_onehot, fill_program
from gpuvgm.engines.hold import HoldTable
from gpuvgm.engines.tables import Step
from tests.engines.kernels.emulated import Resident
from tests.engines.kernels.executed import ExecutedDevice
from tests.engines.test_em import column, starts
from tests.harness.ptx.interpreter import Kernel
from tests.mixture.test_multivariate import gaussian_rows, gaussian_table

COMPONENTS, FEATURES = 10, 8
_NOTHING = ("mov", "neg", "abs", "ret", "cvta", "pragma")  # which become part of other instructions
_LONG = ("div", "sqrt", "rcp")  # of float64: taken for as many instructions as a division
_ARITHMETIC = ("add", "sub", "mul", "fma", "mad", "min", "max", "setp", "div", "sqrt", "rcp")


def opcode_of(text: str) -> str:
    """Opcode of an instruction of PTX, with its modifiers."""
    return next(word for word in text.split() if not word.startswith("@")).rstrip(";")


def class_of(text: str) -> str | None:
    """The unit that runs an instruction of PTX, as `prediction.class_of` names those of machine code; None: no one."""
    name, *modifiers = opcode_of(text).split(".")
    if name in _NOTHING or (name == "ld" and "param" in modifiers):
        return None
    if name in ("ld", "st", "atom", "red"):
        return _of_memory(name, modifiers)
    if name in ("bra", "bar", "barrier", "exit", "call"):
        return "control"
    if name == "cvt":
        return "conversion" if {"f64", "s64", "u64"} & {*modifiers} and {"f64", "f32"} & {*modifiers} else "integer"
    if name in ("ex2", "lg2") or "approx" in modifiers:
        return "special"
    if name in _ARITHMETIC and {"f64", "f32"} & {*modifiers}:
        return "fp64" if "f64" in modifiers else "fp32"
    return "multiply" if name in ("mul", "mad") else "integer"


def _of_memory(name: str, modifiers: list[str]) -> str:
    is_shared = "shared" in modifiers
    if name in ("atom", "red"):
        return "shared atomic" if is_shared else "atomic"
    return "shared" if is_shared else "load" if name == "ld" else "store"


@dataclass(frozen=True)
class Counts:
    """Instructions by class, accesses of four bytes, and the longest way, see `Kernel.longest_way`."""

    numbers: Counter[str]

    @classmethod
    def of(cls, kernel: Kernel) -> Counts:
        """All that a kernel executed so far."""
        numbers: Counter[str] = Counter(way=int(kernel.longest_way[0]))
        steps = sum(division_steps(H200.architecture)[name] for name in ("DFMA", "DMUL", "DADD"))
        for text, code, times in zip(kernel.text, kernel.code, kernel.executed.tolist(), strict=True):
            kind = class_of(text)
            if kind is None or not times:
                continue
            several = steps if kind == "fp64" and opcode_of(text).startswith(_LONG) else 1
            numbers[kind] += times * several
            if kind in ("load", "store", "shared"):
                numbers["accesses"] += times * _accesses(code)
        return cls(numbers)

    def minus(self, other: Counts) -> Counts:
        """What was executed since."""
        since = Counter(self.numbers)
        since.subtract(other.numbers)
        return Counts(since)

    def each(self, count: float) -> dict[str, float]:
        """Numbers of one of so many."""
        return {name: self.numbers[name] / count for name in (*CLASSES, "accesses", "way")}


def _accesses(code: Any) -> int:
    """Lanes of four bytes; what these programs read as vectors is the mixture, the same for all threads."""
    return 1 if code["count"] > 1 else max(1, int(code["bytes"]) // 4)


def executed(device: ExecutedDevice, program: Program, work: Callable[[], Any]) -> Counts:
    """What a call executes of a program."""
    kernel = device.kernel(program)
    before = Counts.of(kernel)
    work()
    return Counts.of(kernel).minus(before)


def features_row(components: int, *, weighted: bool) -> dict[str, float]:
    """A row of the E-step over several features."""
    device, table = ExecutedDevice(architecture="75"), gaussian_table(components, FEATURES)
    program = features_program(FEATURES, "float64", diagonal=False, weighted=weighted)

    def run(rows: int) -> Counts:
        x = np.ascontiguousarray(gaussian_rows(rows, table)).view(Resident)
        weight = np.ones(rows).view(Resident) if weighted else None
        return executed(device, program, lambda: features_partials(device, x, weight, table))

    return run(2 * CHUNK_ROWS).minus(run(CHUNK_ROWS)).each(CHUNK_ROWS)


def onehot_row() -> dict[str, float]:
    """A row of a column of the onehot layout: a scalar and as many cells as components."""
    device, program = ExecutedDevice(architecture="75"), fill_program("float32")

    def run(rows: int) -> Counts:
        scalar, cell = (np.zeros(rows, kind).view(Resident) for kind in (np.float32, np.uint8))
        out = np.zeros((rows, COMPONENTS + 1), np.float32).view(Resident)
        return executed(device, program, lambda: fill_onehot(device, [(scalar, cell, COMPONENTS)], out))

    return run(2 * TILE_ROWS).minus(run(TILE_ROWS)).each(TILE_ROWS)


def hold_row() -> dict[str, float]:
    """An ordinary row on a step of cents, as `Engine.hold` looks at it after a transform."""
    device, program = ExecutedDevice(architecture="75"), hold_program("float64", "float32", "uint8")
    table = HoldTable(None, np.zeros(1, np.int64), 0.99, -1e6, 1e6)
    each = BLOCKS_EACH * device.multiprocessors * program.threads * QUAD

    def run(rows: int) -> Counts:
        x, scalar, cell = (np.zeros(rows, kind).view(Resident) for kind in (np.float64, np.float32, np.uint8))
        return executed(device, program, lambda: hold(device, x, (scalar, cell), table, Step(1, 100, "float64")))

    return run(2 * each).minus(run(each)).each(each)


def em_steps() -> dict[str, dict[str, float]]:
    """A cell's part in an iteration of accelerated EM, a component; and an iteration's without its cells, a component.

    The kernel works on a problem in one block, so that `way` is what it waits for.
    """
    (few, small), (many, large) = (_iteration(cells) for cells in (512, 1536))
    cell = {name: (many[name] - few[name]) / (large - small) / COMPONENTS for name in many}
    rest = {name: few[name] / COMPONENTS - cell[name] * small for name in few}
    return {"cell": _without_noise(cell), "iteration": _without_noise(rest)}


def _without_noise(numbers: dict[str, float]) -> dict[str, float]:
    """Differences that are no less than nothing: the last tile of a problem is not full."""
    return {name: round(max(0.0, number), 4) for name, number in numbers.items()}


def _iteration(size: int) -> tuple[dict[str, float], int]:
    """What an iteration executes, and over how many cells."""
    cells, prior = column("cents", 20_000)
    cells = replace(cells, **{one.name: getattr(cells, one.name)[:size] for one in fields(cells)})
    start, device = starts(cells, COMPONENTS)[0], ExecutedDevice(architecture="75")
    loops: Any = LoopsOnDevice(device)
    em = DeviceEM(loops, None, Problem.of(cells, prior.table(), sound=False))  # type: ignore[arg-type]
    (loop,) = em.ascents([[start.reference, start.counts, start.first, start.second]])
    em.run([loop], 2, 0.0)
    made = len(loop.bounds)
    counts = executed(device, em_program(12), lambda: em.run([loop], 8, 0.0))
    return counts.each(len(loop.bounds) - made), len(cells.mean)


def every_count() -> dict[str, Any]:
    """What `benchmarks.stages` reads of programs whose loops the reader of machine code does not know."""
    return {
        "gpuvgm_features_8_f8": features_row(COMPONENTS, weighted=False),
        "gpuvgm_features_8_f8_weighted": features_row(1, weighted=True),  # as starts use it
        "gpuvgm_fill_onehot_f4": onehot_row(),
        "gpuvgm_hold_f8_f4_u1": hold_row(),
        "gpuvgm_em": em_steps(),
    }

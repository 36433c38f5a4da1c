"""Instructions that programs execute, as PTX: of a row, or of a step of EM over cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

import numpy as np

from benchmarks.kernels.budget import division_steps
from benchmarks.kernels.cards import H200
from benchmarks.kernels.prediction import CLASSES
from gpuvgm.config import CHUNK_ROWS
from gpuvgm.engines import get_engine
from gpuvgm.engines.base import PLAIN
from gpuvgm.engines.cuda import CudaEngine
from gpuvgm.engines.cuda.em import DeviceEM, Loop, LoopsOnDevice, Problem, em_program
from gpuvgm.engines.cuda.programs import Program
from gpuvgm.engines.cuda.variants import every_program
from gpuvgm.engines.encode import DecodeTable
from gpuvgm.engines.tables import Draw, RowRules, Step
from tests.engines.kernels.emulated import Resident, resident
from tests.engines.kernels.executed import ExecutedDevice
from tests.engines.test_em import column, starts
from tests.engines.test_engines import asinh, draw_table, mixture
from tests.harness.ptx.interpreter import Kernel
from tests.mixture.test_multivariate import gaussian_rows, gaussian_table
from tests.summary.test_grid import grid_of

COMPONENTS, FEATURES = 10, 8
#: Amounts in cents on a scale, as the default has them.
AMOUNTS = RowRules(step=Step(1, 100, "float64"), scale=asinh(3))
_NOTHING = ("mov", "neg", "abs", "ret", "cvta", "pragma")  # which become part of other instructions
_LONG = ("div", "sqrt", "rcp")  # of float64: taken for as many instructions as a division
_ARITHMETIC = ("add", "sub", "mul", "fma", "mad", "min", "max", "setp", "div", "sqrt", "rcp")


def opcode_of(text: str) -> str:
    """Opcode of an instruction of PTX, with its modifiers."""
    return next(word for word in text.split() if not word.startswith("@")).rstrip(";")


def class_of(text: str) -> str | None:
    """The unit that runs an instruction of PTX, of `prediction.CLASSES`; None: no one."""
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


Work = Callable[[CudaEngine, int], Any]  # what is run over so many rows of the device


@dataclass(frozen=True)
class RowWork:
    """Programs whose instructions a row are counted, by what runs them.

    Parameters
    ----------
    bytes : dict
        Bytes of memory that a row of each program takes, in and out.
    run : callable
        From an engine and a number of rows.
    case : str
        What rows it is, where programs take some in another way than others.
    each : int
        Rows that are counted, and as many come before them.
    """

    bytes: dict[str, int]
    run: Work
    case: str = ""
    each: int = 1 << 17

    def counts(self) -> dict[str, dict[str, float]]:
        """Of a row, by program and case."""
        few, many = (self._executed(rows) for rows in (self.each, 2 * self.each))
        assert set(self.bytes) == set(many), "no kernel of these was launched"
        return {
            f"{name}: {self.case}" if self.case else name: {"row_bytes": size}
            | _without_noise(self._of_a_row(many[name].minus(few[name])))
            for name, size in self.bytes.items()
        }

    def _of_a_row(self, counts: Counts) -> dict[str, float]:
        """Without the longest way, which depends on where threads meet: nothing waits for one of so many rows."""
        return {kind: number for kind, number in counts.each(self.each).items() if kind != "way"}

    def _executed(self, rows: int) -> dict[str, Counts]:
        device = ExecutedDevice(architecture=H200.architecture)
        known = {program.name: device.kernel(program) for program in every_program() if program.name in self.bytes}
        before = {name: Counts.of(kernel) for name, kernel in known.items()}
        self.run(CudaEngine(get_engine("reference"), device), rows)
        launched = {name for name, _ in device.launches}
        return {name: Counts.of(kernel).minus(before[name]) for name, kernel in known.items() if name in launched}


def lognormal(rows: int) -> Resident:
    """Rows that few cells share."""
    return resident(np.random.default_rng(0).lognormal(2, 1, rows))


def cents(rows: int) -> Resident:
    """Rows on a step."""
    return resident(np.round(np.asarray(lognormal(rows)), 2))


def few_values(rows: int) -> Resident:
    """Rows of forty values."""
    return resident(np.random.default_rng(0).integers(0, 40, rows).astype(float))


def coded(rows: int) -> tuple[Resident, Resident]:
    """Scalars and codes."""
    return resident(np.zeros(rows, np.float32)), resident(np.zeros(rows, np.int8))


def encoded(engine: CudaEngine, rows: int, rules: RowRules = PLAIN, *, most_probable: bool = False) -> None:
    """All components take part in the draw."""
    draw, table = Draw(7, 9, most_probable=most_probable), draw_table(COMPONENTS, COMPONENTS)
    engine.encode(cents(rows), rules, replace(table, low=0.0, high=1e9), draw, coded(rows))


def decoded(engine: CudaEngine, rows: int, rules: RowRules = PLAIN) -> None:
    """Back to float64."""
    table = draw_table(COMPONENTS, COMPONENTS)
    ends = {} if rules.scale is None else {"low": -1e300, "high": 1e300}
    back = DecodeTable(table.mixture.frame, table.mixture.means, table.widths, 0.99, (), rules.step, **ends)
    engine.decode(*coded(rows), rules, back, resident(np.zeros(rows)))


def summarised(
    engine: CudaEngine, rows: int, of: Callable[[int], Resident] = lognormal, rules: RowRules = PLAIN
) -> None:
    """Into cells of a sample of the numbers."""
    sample = np.asarray(of(1 << 17))
    engine.summarise(of(rows), grid_of(sample if rules.scale is None else rules.scale.formula(sample))[0], rules)


def e_stepped(engine: CudaEngine, rows: int, components: int = COMPONENTS, *, weighted: bool = False) -> None:
    """An E-step over one feature."""
    weight = resident(np.ones(rows)) if weighted else None
    engine.e_step(lognormal(rows), weight, None, mixture(components))


def features_stepped(engine: CudaEngine, rows: int, components: int = COMPONENTS, *, weighted: bool = False) -> None:
    """An E-step over several features, with full covariances."""
    table = gaussian_table(components, FEATURES)
    x = resident(np.ascontiguousarray(gaussian_rows(rows, table)))
    engine.e_step_features(x, resident(np.ones(rows)) if weighted else None, table)


def onehot_filled(engine: CudaEngine, rows: int) -> None:
    """A column of the onehot layout: a scalar and as many codes as components."""
    engine.fill_onehot([(*coded(rows), COMPONENTS)], resident(np.zeros((rows, COMPONENTS + 1), np.float32)))


ROWS = (
    RowWork({"gpuvgm_encode_10_generator_f8_f4_u1": 13}, encoded),
    RowWork({"gpuvgm_encode_10_none_f8_f4_u1": 13}, partial(encoded, most_probable=True)),
    RowWork({"gpuvgm_encode_10_generator_f8_asinh_step_f4_u1": 13}, partial(encoded, rules=AMOUNTS)),
    RowWork({"gpuvgm_decode_f4_u1_f8": 13}, decoded),
    RowWork({"gpuvgm_decode_f4_u1_f8_asinh_step": 13}, partial(decoded, rules=AMOUNTS)),
    RowWork({"gpuvgm_summarise_f8": 8}, summarised, "rows spread over many cells"),
    RowWork({"gpuvgm_summarise_f8": 8}, partial(summarised, of=few_values), "rows in frequent cells"),
    RowWork({"gpuvgm_summarise_f8_asinh_step": 8}, partial(summarised, of=cents, rules=AMOUNTS)),
    RowWork({"gpuvgm_e_step_10_f8": 8}, e_stepped),
    RowWork({"gpuvgm_e_step_1_f8": 8}, partial(e_stepped, components=1)),
    RowWork({"gpuvgm_e_step_1_f8_weighted": 16}, partial(e_stepped, components=1, weighted=True)),
    RowWork({"gpuvgm_features_8_f8": 64}, features_stepped, each=CHUNK_ROWS),
    RowWork(  # as starts use it
        {"gpuvgm_features_8_f8_weighted": 72}, partial(features_stepped, components=1, weighted=True), each=CHUNK_ROWS
    ),
    RowWork({"gpuvgm_fill_onehot_f4": 4 * (COMPONENTS + 1) + 5}, onehot_filled, each=1 << 12),
)


def em_steps() -> dict[str, dict[str, float]]:
    """A cell's part in an iteration of accelerated EM, a component; and an iteration's without its cells, a component.

    The kernel works on a problem in one block, so that `way` is what it waits for.
    """
    (few, small), (many, large) = (_iteration(cells) for cells in (512, 1536))
    cell = {name: (many[name] - few[name]) / (large - small) / COMPONENTS for name in many}
    rest = {name: few[name] / COMPONENTS - cell[name] * small for name in few}
    return {"cell": _without_noise(cell), "iteration": _without_noise(rest)}


def _without_noise(numbers: dict[str, float]) -> dict[str, float]:
    """Differences that are no less than nothing: a last tile that is not full, a trial of the first rows."""
    return {name: round(max(0.0, number), 4) for name, number in numbers.items()}


def _iteration(size: int) -> tuple[dict[str, float], int]:
    """What an iteration executes, and over how many cells."""
    cells, prior = column("cents", 20_000)
    cells = replace(cells, **{one.name: getattr(cells, one.name)[:size] for one in fields(cells)})
    start, device = starts(cells, COMPONENTS)[0], ExecutedDevice(architecture=H200.architecture)
    loops: Any = LoopsOnDevice(device)
    em = DeviceEM(loops, None, Problem.of(cells, prior.table(), sound=False))  # type: ignore[arg-type]
    loop = Loop(em, [start.reference, start.counts, start.first, start.second])
    em.run([loop], 2, 0.0)
    made = len(loop.bounds)
    counts = executed(device, em_program(12), lambda: em.run([loop], 8, 0.0))
    return counts.each(len(loop.bounds) - made), len(cells.mean)


def every_count() -> dict[str, Any]:
    """What `benchmarks.kernels.prediction` reads."""
    rows = {name: counts for work in ROWS for name, counts in work.counts().items()}
    return rows | {"gpuvgm_em": em_steps()}

"""Predicted times of whole stages on an H200: what the strict device counted, and what the kernels take.

The host's part is the ledger of a run at a small size on the software device of the tests, extended to the blocks,
columns and iterations of the real one, times the constants below. The kernels' part is that of
`benchmarks.kernels.prediction` with less than the published rates. Everything is added up: nothing is taken to overlap.
``python -m tests.harness.device.stages`` counts anew. Nothing here is measured.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.kernels import prediction
from benchmarks.kernels.budget import compiled
from benchmarks.kernels.cards import H200
from benchmarks.kernels.prediction import CLASSES, Work
from benchmarks.plan import BUS
from gpuvgm.config import CHUNK_ROWS
from gpuvgm.engines.cuda.programs import Program

LEDGER = Path(__file__).parent / "predicted" / "ledger.json"

# Fixed before the first optimisation, and not touched after.
LAUNCH_SECONDS = 4e-6  # of a kernel, gpuvgm's or CuPy's
SYNCHRONISATION_SECONDS = 15e-6  # the host waits for a stream
ALLOCATION_SECONDS = 2e-6  # from a pool
PYTHON_CALL_SECONDS = 1e-6  # a call that gpuvgm's code makes
BANDWIDTH_SHARE = 0.7  # of the published bandwidth of the device's memory
FP64_SHARE = 0.4  # of the published rate of float64

#: Of an instruction that waits for the one before it: "typically 4 clock cycles" for most arithmetic (CUDA C++
#: Programming Guide, "Multiprocessor Level").
DEPENDENT_CYCLES = 4
#: Threads of the host that fit columns side by side, so that their loops of EM share launches; assumed.
HOST_THREADS = 16
CARD, COMPONENTS = H200, 10
MEMORY = 139 << 30  # bytes that the card has, as its driver says
#: Rows of a launch of the summary after which there is another, and the kernels that come with each.
LAUNCH_ROWS, KERNELS_OF_LAUNCH = 5 * ((1 << 22) - 4096), 2
PARTS = ("rows", "checks", "EM", "launches", "waits", "allocations", "bus", "Python")
LEFT_OUT = (
    "left out: reading of files; the host's arithmetic in NumPy and scikit-learn, as sampling, grid and k-means; "
    "compilation; waits for other streams; what Dask does (1,000 partitions over 8 GPUs are not predicted)"
)
ASSUMED = (
    f"assumed: {BANDWIDTH_SHARE:.0%} of the bandwidth, {FP64_SHARE:.0%} of the FP64 rate, other units at their "
    f"published rates, atomics as cards.py documents; {LAUNCH_SECONDS * 1e6:g} us a launch, "
    f"{SYNCHRONISATION_SECONDS * 1e6:g} a synchronisation, {ALLOCATION_SECONDS * 1e6:g} an allocation, "
    f"{PYTHON_CALL_SECONDS * 1e6:g} a call that gpuvgm makes of what is no builtin; on the bus {BUS / 1e9:g} GB/s\n"
    "EM over cells: a block on one multiprocessor; the slowest threads' PTX instructions one in "
    f"{DEPENDENT_CYCLES} cycles, or the FP64 rate if that is slower; iterations and cells as counted in a fit of "
    f"2^18 rows; of a table, {HOST_THREADS} columns side by side"
)
Numbers = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of the real size, and what it must reach.

    Parameters
    ----------
    name : str
        What it is called.
    counted : str
        Its counts in the ledger.
    rows, columns, iterations : int
        How many; iterations of estimators alone.
    goal : float
        Seconds.
    """

    name: str
    counted: str
    rows: int
    goal: float
    columns: int = 1
    iterations: int = 0


STAGES = (
    Stage("fit, cuDF, 1e9 x 1, effort auto", "fit", 10**9, 0.1),
    Stage("fit, cuDF, 1e8 x 50, effort auto", "fit", 10**8, 0.5, columns=50),
    Stage("transform compact, 1e8 x 50", "transform", 10**8, 0.25, columns=50),
    Stage("one-hot, 5e7 x 50", "onehot", 5 * 10**7, 0.2, columns=50),
    Stage("inverse, 1e9 x 1, with its checks", "inverse", 10**9, 0.005),
    Stage("estimator exact, 1e8 x 1, 100 iterations", "exact", 10**8, 0.4, iterations=100),
    Stage("estimator exact, 1e7 x 8, full, 100 iterations", "features", 10**7, 0.3, iterations=100),
)


@dataclass(frozen=True, slots=True)
class StagePrediction:
    """Seconds of the parts of a stage, and the counts that they come from."""

    stage: Stage
    seconds: Mapping[str, float]
    counts: Mapping[str, float]

    @property
    def total(self) -> float:
        """All parts one after the other."""
        return sum(self.seconds.values())


@dataclass(frozen=True, slots=True)
class Counted:
    """A stage of the real size in the ledger's terms: counts, rows by program, and bytes that CuPy's kernels touch."""

    counts: Mapping[str, float]
    passes: Mapping[str, float]
    touched: float


@cache
def ledger() -> dict[str, Any]:
    """What the strict device counted."""
    found: dict[str, Any] = json.loads(LEDGER.read_text())
    return found


def predictions() -> list[StagePrediction]:
    """Every stage."""
    return [predict(stage) for stage in STAGES]


def predict(stage: Stage) -> StagePrediction:
    """A stage's time."""
    counted = of_table(stage) if not stage.iterations else of_estimator(stage)
    counts = counted.counts
    seconds = {
        "rows": rows_seconds(counted, stage),
        "checks": counted.touched / (BANDWIDTH_SHARE * CARD.bandwidth * 1e9),
        "EM": em_seconds(counts, stage.columns),
        "launches": (counts["kernels"] + counts["operations"]) * LAUNCH_SECONDS,
        "waits": counts["synchronisations"] * SYNCHRONISATION_SECONDS,
        "allocations": counts["allocations"] * ALLOCATION_SECONDS,
        "bus": (counts["bytes_up"] + counts["bytes_down"]) / BUS,
        "Python": counts["calls"] * PYTHON_CALL_SECONDS,
    }
    return StagePrediction(stage, seconds, counts)


# -- counts of the real size


def of_table(stage: Stage) -> Counted:
    """Counts of a stage of a table: the first block of a column, and what more blocks and columns add."""
    found = ledger()["stages"][stage.counted]
    rows = block_rows(found, stage)
    blocks, columns = -(-stage.rows // rows), stage.columns

    def at(name: str) -> float:
        more, other = columns - 1, blocks - 1
        if "lone" in found and not other:
            return float(found["lone"][name] + more * found["lone column"][name])
        first, column, block, both = (found[part][name] for part in ("first", "column", "block", "both"))
        return max(0.0, first + more * column + other * block + more * other * both)

    counts = {name: at(name) for name in found["first"] if name != "names"}
    if stage.counted == "fit":
        counts["kernels"] += KERNELS_OF_LAUNCH * columns * blocks * (-(-min(rows, stage.rows) // LAUNCH_ROWS) - 1)
    one, more = ("lone", "lone column") if "lone" in found and blocks == 1 else ("block", "both")
    of_row = (found[one]["touched"] + (columns - 1) * found[more]["touched"]) / found["block_rows"]
    return Counted(counts, dict.fromkeys(found["block"]["names"], columns), of_row * stage.rows)


def block_rows(found: Numbers, stage: Stage) -> int:
    """Rows of a block, as `gpuvgm.execution.context` makes them for rows of a device."""
    from gpuvgm.execution.context import RESIDENT_BLOCK_ROWS, RESIDENT_BYTES_A_VALUE

    first, more = found["width"]
    values = MEMORY // RESIDENT_BYTES_A_VALUE
    rows = -(-(values // (first + (stage.columns - 1) * more)) // CHUNK_ROWS) * CHUNK_ROWS
    return min(RESIDENT_BLOCK_ROWS, rows)


def of_estimator(stage: Stage) -> Counted:
    """Counts of an estimator's fit: what comes before, which goes through the rows in parts, and its iterations."""
    found = ledger()["stages"][stage.counted]
    first, block, one = (found[part] for part in ("first", "block", "iteration"))
    more, blocks = stage.iterations - found["iterations"], stage.rows / found["block_rows"]
    counts = {name: first[name] + (blocks - 1) * block[name] + more * one[name] for name in first if name != "names"}
    passes: Counter[str] = Counter(first["names"])
    for name, count in one["names"].items():
        passes[name] += count * more
    return Counted(counts, passes, blocks * (block["touched"] + more * one["touched"]))


# -- kernels


def rows_seconds(counted: Counted, stage: Stage) -> float:
    """Seconds of gpuvgm's kernels over rows, one after the other."""
    kernels = sum(kernel_seconds(name) * times for name, times in counted.passes.items() if name in works())
    moments = 1 + 8 + 36 if stage.counted == "features" else 3  # of a component
    sums = 8 * (COMPONENTS * moments + 1) / CHUNK_ROWS * counted.passes.get("gpuvgm_chunk_totals", 0)  # bytes a row
    return stage.rows * (kernels + sums / (BANDWIDTH_SHARE * CARD.bandwidth * 1e9))


def kernel_seconds(name: str) -> float:
    """Seconds of a row of a program, by the unit that takes longest at its share of the published rate."""
    return max(_derated(work) for work in works()[name])


def _derated(work: Work) -> float:
    shares = {"memory": BANDWIDTH_SHARE, "fp64": FP64_SHARE}
    times = prediction.predict(work, CARD, rows=1.0).milliseconds
    return max(time / shares.get(unit, 1.0) for unit, time in times.items()) / 1e3


def em_seconds(counts: Numbers, columns: int) -> float:
    """Seconds of EM over cells: as long as the longest block of each launch, or as all share the multiprocessors."""
    cell, iteration = (ledger()["programs"]["gpuvgm_em"][part] for part in ("cell", "iteration"))
    cycles = max(DEPENDENT_CYCLES * cell["way"], cell["fp64"] / (FP64_SHARE * CARD.fp64))
    rest = DEPENDENT_CYCLES * iteration["way"]  # a few threads alone have work
    together = min(columns, HOST_THREADS)
    longest = counts["em_longest"] * cycles + counts["em_iterations"] * rest
    shared = counts["em_total"] * cell["fp64"] / (FP64_SHARE * CARD.fp64 * CARD.multiprocessors)
    return max(longest / together, shared) / (CARD.clock * 1e9)


def counted_of_fits() -> str:
    """What the ledger says of the fits among `STAGES`: synchronisations of a block, and bytes to the host."""
    waits = ledger()["stages"]["fit"]["block"]["synchronisations"]
    fits = [stage for stage in STAGES if stage.counted == "fit"]
    megabytes = [of_table(stage).counts["bytes_down"] / stage.columns / 1e6 for stage in fits]
    told = ", ".join(f"{size:.1f} in {stage.name}" for stage, size in zip(fits, megabytes, strict=True))
    return f"counted: {waits:g} synchronisations a block of a column (goal 0); MB to the host a column (goal 2): {told}"


@cache
def works() -> dict[str, list[Work]]:
    """What rows cost, by program: from machine code, or as executed where that reader does not know the loops."""
    from benchmarks.kernels.programs import every_program

    wanted = {
        name for stage in ledger()["stages"].values() for part in ("first", "block") for name in stage[part]["names"]
    }
    found = {work.program.name: [work] for work in executed_works(CARD.architecture)}
    for program in every_program():
        if program.name in wanted and prediction.is_predictable(program):
            code = compiled(program, CARD.architecture)
            found[program.name] = [prediction.work_of(code, case) for case in prediction.cases_of(program)]
    return found


def executed_works(architecture: str = CARD.architecture) -> list[Work]:
    """What rows cost of programs whose instructions were counted as their PTX was executed."""
    from benchmarks.kernels.programs import every_program

    onehot = 4 * (COMPONENTS + 1) + 5  # of a column: scalar and one-hot columns out, scalar and code in
    sizes = {
        "gpuvgm_features_8_f8": 8.0 * 8,
        "gpuvgm_features_8_f8_weighted": 8.0 * 8 + 8,
        "gpuvgm_fill_onehot_f4": float(onehot),
        "gpuvgm_hold_f8_f4_u1": 8.0 + 4,
    }
    counted = {program.name: program for program in every_program() if program.name in ledger()["programs"]}
    return [_executed(counted[name], architecture, size) for name, size in sizes.items() if name in counted]


def _executed(program: Program, architecture: str, size: float) -> Work:
    numbers = ledger()["programs"][program.name]
    registers = compiled(program, architecture).resources.registers
    instructions = {kind: numbers[kind] for kind in CLASSES}
    return Work(program, "its PTX as executed", architecture, registers, size, instructions, numbers["accesses"])

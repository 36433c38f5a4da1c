"""Predicted times of whole stages on an H200: what the strict device counted, and what the kernels take.

The host's part is the ledger of a run at a small size on the software device of the tests, extended to the blocks,
columns and iterations of the real one, times the constants below and what Python takes on this processor. The kernels'
part is that of `benchmarks.kernels.prediction` with less than the published rates. Each part is a range, and everything
is added up: nothing is taken to overlap. ``python -m tests.harness.device.stages`` counts anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from benchmarks.kernels import prediction
from benchmarks.kernels.cards import H200
from benchmarks.kernels.prediction import Work, ledger
from benchmarks.plan import STORAGE, newest, units_of
from gpuvgm.config import CHUNK_ROWS

Range = tuple[float, float]  # the least and the most

# Measured on an H200 (benchmarks/results/h200-2026-11-27), but for allocations, which are assumed.
LAUNCH_SECONDS: Range = (15.6e-6, 15.6e-6)  # of a kernel through CuPy, gpuvgm's or its own; half of it in Python
SYNCHRONISATION_SECONDS: Range = (4.7e-6, 4.7e-6)  # the host waits for a stream
DEPENDENT_CYCLES = 8.8  # of an operation of float64 that waits for the one before it
ALLOCATION_SECONDS: Range = (2e-6, 4e-6)  # from a pool
BANDWIDTH_SHARE: Range = (0.89, 0.60)  # of the published bandwidth of the device's memory: of a copy, of one-hot rows
FP64_SHARE: Range = (0.68, 0.65)  # of the published rate of float64: the E-step, drawn modes
ISSUE_SHARE: Range = (0.72, 0.70)  # machine code has more instructions than PTX
UP, DOWN = 9.5e9, 3.7e9  # bytes a second over the bus: from pinned memory, and to pageable memory

#: Threads of the host that plan and fit columns side by side; assumed.
HOST_THREADS = 16
CARD, COMPONENTS = H200, 10
MEMORY = 139 << 30  # bytes that the card has, as its driver says
#: Rows of a launch of the summary after which there is another, and the kernels that come with each.
LAUNCH_ROWS, KERNELS_OF_LAUNCH = 5 * ((1 << 22) - 4096), 2
PARTS = ("rows", "checks", "EM", "launches", "waits", "allocations", "bus", "Python", "planning", "files")
LEFT_OUT = "left out: compilation; what Dask does (1,000 partitions over 8 GPUs are not predicted)"


def assumed(host: Host) -> str:
    """What predictions rest on."""
    return (
        f"as an H200 showed: {_told(BANDWIDTH_SHARE, '.0%')} of the bandwidth, {_told(FP64_SHARE, '.0%')} of the FP64 "
        f"rate, {_told(ISSUE_SHARE, '.0%')} of the rate of issue, other units at their published rates, atomics as "
        f"cards.py documents; {_told([1e6 * s for s in LAUNCH_SECONDS])} us a launch, "
        f"{_told([1e6 * s for s in SYNCHRONISATION_SECONDS])} a synchronisation, "
        f"{_told([1e6 * s for s in ALLOCATION_SECONDS])} an allocation; {UP / 1e9:g} GB/s up and {DOWN / 1e9:g} GB/s "
        "down the bus\n"
        f"measured on this processor: {_told([1e6 * s for s in host.call], '.2g')} us a call that gpuvgm makes of "
        f"what is no builtin, {1e3 * host.planning:.3g} ms of a column's plan and search, on one thread or "
        f"{HOST_THREADS}; reading and writing of files as in benchmarks/results, on as many, or "
        f"{_told([s / 1e9 for s in _storage()])} GB/s of the drives\n"
        "EM over cells on the device, after the search: a block on one multiprocessor; the slowest threads' PTX "
        f"instructions one in {DEPENDENT_CYCLES} cycles, or the FP64 rate if that is slower; iterations and cells as "
        f"counted in a fit of 2^18 rows; of a table, {HOST_THREADS} columns side by side"
    )


def _told(numbers: Iterable[float], form: str = "g") -> str:
    return " to ".join(format(number, form) for number in numbers)


def _storage() -> Range:
    """Bytes a second of a host's drives, and of one of them."""
    return STORAGE["NVMe"], STORAGE["NVMe"] / 8


Numbers = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Host:
    """What was measured of a processor.

    Parameters
    ----------
    call : (float, float)
        Seconds of a call that gpuvgm makes, in the stage where they are shortest and in the one where they are longest.
    planning : float
        Seconds that a thread plans a column of numbers (sample, kind, scale, step, grid and centres) and searches for
        its modes.
    """

    call: Range
    planning: float


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
        Seconds; 0 where there is none.
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
    """Seconds of the parts of a stage, at least and at most, and the counts that they come from."""

    stage: Stage
    seconds: Mapping[str, Range]
    counts: Mapping[str, float]

    @property
    def total(self) -> Range:
        """All parts one after the other."""
        return _sum(self.seconds.values())


@dataclass(frozen=True, slots=True)
class Counted:
    """A stage of the real size in the ledger's terms: counts, rows by program, and bytes that CuPy's kernels touch."""

    counts: Mapping[str, float]
    passes: Mapping[str, float]
    touched: float


def predictions(host: Host) -> list[StagePrediction]:
    """Every stage, and a whole run."""
    return [*(predict(stage, host) for stage in STAGES), whole_run(host)]


def predict(stage: Stage, host: Host) -> StagePrediction:
    """A stage's time."""
    counted = of_table(stage) if not stage.iterations else of_estimator(stage)
    counts = counted.counts
    planned = stage.columns * host.planning if stage.counted == "fit" else 0.0
    over_bus = counts["bytes_up"] / UP + counts["bytes_down"] / DOWN
    seconds = {
        "rows": rows_seconds(counted, stage),
        "checks": _over(counted.touched / (CARD.bandwidth * 1e9), BANDWIDTH_SHARE),
        "EM": em_seconds(counts, stage.columns),
        "launches": _times(counts["kernels"] + counts["operations"], LAUNCH_SECONDS),
        "waits": _times(counts["synchronisations"], SYNCHRONISATION_SECONDS),
        "allocations": _times(counts["allocations"], ALLOCATION_SECONDS),
        "bus": (over_bus, over_bus),
        "Python": _times(counts["calls"], host.call),
        "planning": (planned / min(stage.columns, HOST_THREADS), planned),
        "files": (0.0, 0.0),
    }
    return StagePrediction(stage, seconds, counts)


def whole_run(host: Host, rows: int = 10**9) -> StagePrediction:
    """A column from Parquet to Parquet: read and fitted, read again, transformed and written.

    Files are read and written at the costs of a row that were measured here, on one thread at most and on many at
    least, or as fast as the drives are, if that is slower.
    """
    units = units_of(newest("results"))
    stages = [predict(Stage("", counted, rows, 0.0), host) for counted in ("fit", "transform")]
    seconds = {part: _sum(one.seconds[part] for one in stages) for part in PARTS}
    worked = rows * (2 * units["read"]["seconds"] + units["write"]["seconds"])
    moved = rows * (2 * units["read"]["row_bytes"] + units["write"]["row_bytes"])
    over_bus = rows * (2 * 8 / UP + 5 / DOWN)
    fast, slow = (moved / rate for rate in _storage())
    seconds["files"] = (max(worked / HOST_THREADS, fast), max(worked, slow))
    seconds["bus"] = _sum([seconds["bus"], (over_bus, over_bus)])
    counts = Counter({name: sum(one.counts[name] for one in stages) for name in stages[0].counts})
    return StagePrediction(Stage("fit and transform, Parquet to Parquet, 1e9 x 1", "fit", rows, 0.0), seconds, counts)


def _sum(ranges: Iterable[Range]) -> Range:
    given = list(ranges)
    return sum(least for least, _ in given), sum(most for _, most in given)


def _times(count: float, each: Range) -> Range:
    return count * each[0], count * each[1]


def _over(whole: float, shares: Range) -> Range:
    return whole / shares[0], whole / shares[1]


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


def rows_seconds(counted: Counted, stage: Stage) -> Range:
    """Seconds of gpuvgm's kernels over rows, one after the other."""
    kernels = _sum(_times(times, kernel_seconds(name)) for name, times in counted.passes.items() if name in works())
    moments = 1 + 8 + 36 if stage.counted == "features" else 3  # of a component
    sums = 8 * (COMPONENTS * moments + 1) / CHUNK_ROWS * counted.passes.get("gpuvgm_chunk_totals", 0)  # bytes a row
    return _times(stage.rows, _sum([kernels, _over(sums / (CARD.bandwidth * 1e9), BANDWIDTH_SHARE)]))


def kernel_seconds(name: str) -> Range:
    """Seconds of a row of a program, by the unit that takes longest at its share of the published rate."""
    least, most = (max(_derated(work, end) for work in works()[name]) for end in (0, 1))
    return least, most


def _derated(work: Work, end: int) -> float:
    shares = {"memory": BANDWIDTH_SHARE, "fp64": FP64_SHARE, "issue": ISSUE_SHARE}
    times = prediction.predict(work, CARD, rows=1.0).milliseconds
    return max(time / shares.get(unit, (1.0, 1.0))[end] for unit, time in times.items()) / 1e3


def em_seconds(counts: Numbers, columns: int) -> Range:
    """Seconds of EM over cells: as long as the longest block of each launch, or as all share the multiprocessors."""
    cell, iteration = (ledger()["programs"]["gpuvgm_em"][part] for part in ("cell", "iteration"))
    rest = DEPENDENT_CYCLES * iteration["way"]  # a few threads alone have work
    together = min(columns, HOST_THREADS)

    def at(share: float) -> float:
        cycles = max(DEPENDENT_CYCLES * cell["way"], cell["fp64"] / (share * CARD.fp64))
        longest = counts["em_longest"] * cycles + counts["em_iterations"] * rest
        shared = counts["em_total"] * cell["fp64"] / (share * CARD.fp64 * CARD.multiprocessors)
        return max(longest / together, shared) / (CARD.clock * 1e9)

    return at(FP64_SHARE[0]), at(FP64_SHARE[1])


def counted_of_fits() -> str:
    """What the ledger says of the fits among `STAGES`: synchronisations of a block, and bytes to the host."""
    waits = ledger()["stages"]["fit"]["block"]["synchronisations"]
    fits = [stage for stage in STAGES if stage.counted == "fit"]
    megabytes = [of_table(stage).counts["bytes_down"] / stage.columns / 1e6 for stage in fits]
    told = ", ".join(f"{size:.1f} in {stage.name}" for stage, size in zip(fits, megabytes, strict=True))
    return f"counted: {waits:g} synchronisations a block of a column (goal 0); MB to the host a column (goal 2): {told}"


@cache
def works() -> dict[str, list[Work]]:
    """What rows cost, by program."""
    found: dict[str, list[Work]] = {}
    for work in prediction.works():
        found.setdefault(work.program, []).append(work)
    return found

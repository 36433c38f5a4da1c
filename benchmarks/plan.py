"""What runs past this machine would cost: calculated, never measured.

``python -m benchmarks plan`` takes the costs of steps from the last ``python -m benchmarks scaling`` in
`benchmarks/results`, the times of kernels from `benchmarks/predicted`, and bandwidths as published, and prints tables
in Markdown. docs/scaling.md holds them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpuvgm.execution.dask import PARTITION_VALUES
from gpuvgm.table.write import PART_ROWS

ROOT = Path(__file__).resolve().parent
ROWS = (10**9, 10**11, 10**12)
GPUS = (1, 8, 64)
GPUS_OF_A_HOST = 8
PARTITION_ROWS = {"fit": PARTITION_VALUES, "transform": PART_ROWS}  # at most; a thread gets four of a fit or more
#: Bytes a second. PCI Express 5.0 x16: 32 GT/s, 128b/130b (PCI-SIG). Eight NVMe drives of PCIe 4.0 x4 a host, as in
#: NVIDIA's DGX H200 (data sheet), at the 7 GB/s that such drives are sold with. Object storage: 100 Gbit/s a host,
#: the bandwidth that Amazon publishes to S3 for its largest instances.
BUS = 63e9
STORAGE = {"NVMe": 8 * 7e9, "object storage": 12.5e9}
TASK_SECONDS = 1e-3  # of the scheduler for a task; Dask's documentation says 0.2 to 1 ms
EM_SECONDS = 1.0  # DESIGN's target for effort="best", one column
CARD = "H200"
KERNELS = {
    "fit": ("gpuvgm_summarise_f8", "spread"),
    "transform": ("gpuvgm_encode_10_generator_f8_f4_u1", ""),
}


@dataclass(frozen=True)
class Step:
    """Part of a run that goes on beside the others: what bounds it, and how long it takes."""

    name: str
    seconds: float


@dataclass(frozen=True)
class Plan:
    """A run: its slowest step, and what comes before and after."""

    steps: tuple[Step, ...]
    after: float

    @property
    def slowest(self) -> Step:
        """The step that the others wait for."""
        return max(self.steps, key=lambda step: step.seconds)

    @property
    def seconds(self) -> float:
        """All of it."""
        return self.slowest.seconds + self.after


def plan(stage: str, rows: int, gpus: int, storage: str, units: dict[str, Any], kernel: float) -> Plan:
    """A run over one column of payment amounts.

    Parameters
    ----------
    stage : {"fit", "transform"}
        What is done.
    rows, gpus : int
        How many.
    storage : str
        Where the files lie.
    units : dict
        Measured costs of steps: seconds and bytes of a row.
    kernel : float
        Predicted seconds of the stage's kernel for a row.
    """
    hosts = -(-gpus // GPUS_OF_A_HOST)
    moved = units["read"]["row_bytes"] + (units["write"]["row_bytes"] if stage == "transform" else 0)
    over_bus = 8 + (5 if stage == "transform" else 0)  # float64 in; float32 and uint8 out
    partitions = max(-(-rows // PARTITION_ROWS[stage]), 4 * gpus if stage == "fit" else 1)
    steps = (
        Step("storage", rows * moved / (hosts * STORAGE[storage])),
        Step("PCIe", rows * over_bus / (gpus * BUS)),
        Step("kernel", rows * kernel / gpus),
        Step("scheduler", partitions * TASK_SECONDS * (2 if stage == "fit" else 1)),
    )
    merges = partitions / gpus * units["merge of two summaries"]["seconds"]
    return Plan(steps, merges + EM_SECONDS if stage == "fit" else 0.0)


def units_of(lines: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Costs of steps from the JSON lines of the last scaling run."""
    found: dict[str, dict[str, Any]] = {}
    for line in lines:
        document = json.loads(line)
        if document.get("benchmark") == "scaling" and document["case"].startswith("model of"):
            found |= document["details"]["units"]
    return found


def kernel_seconds(stage: str, lines: Iterable[str]) -> float:
    """Predicted seconds a row of a stage's kernel on the card, by the last prediction."""
    program, case = KERNELS[stage]
    for line in reversed(list(lines)):
        document = json.loads(line)
        if document.get("program", "").startswith(program) and case in document["case"] and document["card"] == CARD:
            return float(max(document["predicted_milliseconds"].values())) / 1e3 / document["rows"]
    raise LookupError(f"no prediction of {program} for {CARD}")


def tables(measured: Sequence[str], predicted: Sequence[str]) -> Iterator[str]:
    """A table for each stage, in Markdown."""
    units = units_of(measured)
    for stage in KERNELS:
        kernel = kernel_seconds(stage, predicted)
        yield f"| {stage}, rows | storage | " + " | ".join(f"{gpus} H200" for gpus in GPUS) + " |"
        yield "|--:|---|" + "--:|" * len(GPUS)
        for rows in ROWS:
            for storage in STORAGE:
                plans = [plan(stage, rows, gpus, storage, units, kernel) for gpus in GPUS]
                cells = " | ".join(f"{duration(one.seconds)} ({one.slowest.name})" for one in plans)
                yield f"| {rows:.0e} | {storage} | {cells} |".replace("e+0", "e").replace("e+", "e")
        yield ""


def duration(seconds: float) -> str:
    """Seconds in words."""
    if seconds < 120:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def newest(folder: str) -> list[str]:
    """Lines of all files of a folder of results, in the order of their names."""
    return [line for path in sorted((ROOT / folder).glob("*.jsonl")) for line in path.read_text().splitlines()]


def text() -> str:
    """The tables of what is committed."""
    return "\n".join(tables(newest("results"), newest("predicted")))

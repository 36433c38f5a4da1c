"""One side of the pipeline benchmark in a process of its own: ``python -m benchmarks.pipeline_side SIDE INPUT FOLDER``.

SIDE "gpuvgm" fits with effort="research", transforms and inverts from file to file; "best" with a search to
convergence. The others are what pyarrow alone needs for the same files: reading the values, writing and reading scalar
and mode, and writing the values, one after the other in batches of a row group; "sinks" writes with the options of
gpuvgm's own sinks, "defaults" with pyarrow's.
"""

from __future__ import annotations

import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

import gpuvgm
from benchmarks.machine import peak_memory
from gpuvgm.io.sink import column_options

COLUMNS = {"Amount": "continuous"}
BATCH_ROWS = 1 << 20
ENCODED, BACK, COPY = "encoded.parquet", "back.parquet", "copy.parquet"
EFFORTS = {"gpuvgm": "research", "best": "best"}
SIDES = (*EFFORTS, "sinks", "defaults")


def main(side: str, source: Path, folder: Path) -> dict[str, Any]:
    """Seconds by stage, processor seconds of all threads together, and the peak memory of this process."""
    if side in EFFORTS:
        gpuvgm.TableTransformer  # noqa: B018 - imported on first use
    before = time.process_time()
    seconds = run_gpuvgm(side, source, folder) if side in EFFORTS else run_pyarrow(side, source, folder)
    return {
        "side": side,
        "seconds": seconds,
        "total": sum(seconds.values()),
        "processor_seconds": time.process_time() - before,
        "peak_memory": peak_memory(),
    }


def run_gpuvgm(side: str, source: Path, folder: Path) -> dict[str, float]:
    """Fit, transform and inverse through files; imports are not timed, as pyarrow's are not."""
    watch = Stopwatch()
    with watch("fit"):
        transformer = gpuvgm.TableTransformer(COLUMNS, effort=EFFORTS[side]).fit(source)
    with watch("transform"):
        transformer.transform(source, out=folder / ENCODED)
    with watch("inverse"):
        transformer.inverse_transform(folder / ENCODED, out=folder / BACK)
    return dict(watch.seconds)


def run_pyarrow(side: str, source: Path, folder: Path) -> dict[str, float]:
    """The same files by pyarrow; what the gpuvgm side encoded must be there."""
    watch = Stopwatch()
    copy(watch("read values").over(batches(source)), folder / COPY, side, watch("write values"))
    copy(batches(folder / ENCODED), folder / COPY, side, watch("write encoded"))
    for _ in watch("read encoded").over(batches(folder / COPY)):
        pass
    return dict(watch.seconds)


def batches(path: Path) -> Iterator[pa.RecordBatch]:
    """A file in batches of a row group."""
    with pq.ParquetFile(path) as file:
        yield from file.iter_batches(BATCH_ROWS)


def copy(source: Iterator[pa.RecordBatch], target: Path, side: str, lap: Lap) -> None:
    """Write the batches; only the writing is timed."""
    first = next(source)
    options = column_options(first.schema) if side == "sinks" else {}
    with lap:
        writer = pq.ParquetWriter(target, first.schema, **options)
        writer.write_batch(first)
    for batch in source:
        with lap:
            writer.write_batch(batch)
    with lap:
        writer.close()


class Stopwatch:
    """Seconds by name; ``with watch(name):`` adds to them."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def __call__(self, name: str) -> Lap:
        return Lap(self.seconds, name)


class Lap:
    """A piece of time under one name."""

    def __init__(self, seconds: dict[str, float], name: str) -> None:
        self._seconds, self._name, self._start = seconds, name, 0.0

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._seconds[self._name] += time.perf_counter() - self._start

    def over(self, source: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The batches, each wait for the next one timed."""
        while True:
            with self:
                batch = next(source, None)
            if batch is None:
                return
            yield batch


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))))

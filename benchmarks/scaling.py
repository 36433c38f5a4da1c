"""Fit and transform of 10^6 rows and more on one and two Dask workers, or on GPUs, and the cost model that follows.

The model is t = fixed + rows / workers * (read + compute [+ write]): the costs of a row are measured alone, in one
thread; what a run takes beyond them is shown as its excess.

``--partitions 1000`` measures another thing: the processor time of the client and the scheduler, which share a process
then, for a Dask frame of so many small partitions on two workers, in a fit and in an iteration of exact EM.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from itertools import count, takewhile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from scipy.optimize import nnls

import gpuvgm
from benchmarks.inputs import fitted_column
from benchmarks.measure import Measurement, median_times, seconds_of
from gpuvgm.engines import get_engine
from gpuvgm.execution import Run, any_source, rows_on_workers
from gpuvgm.io import ParquetSink
from gpuvgm.mixture.accumulate import over_rows

LEAST_ROWS = 1_000_000
WORKERS = (1, 2)
UNIT_ROWS = 1 << 22
LARGEST_OVERHEAD = 0.1
OVERHEAD_ROWS = 100_000_000  # where the aim holds
BUSY = "the workers' busy time"
ALONE = "one worker"
PORTION = "gpuvgm-"  # what the keys of tasks over partitions begin with
ROWS_EACH, WIDTH = 5000, 5  # of a partition of a frame whose partitions are many and small
ITERATIONS = 20


@dataclass(frozen=True)
class Unit:
    """Cost of one step in one thread: seconds a row, and bytes a row where it moves some."""

    seconds: float
    row_bytes: float = 0.0


@dataclass(frozen=True)
class Watched:
    """One run on a cluster: wall time, the time of all tasks over partitions, and that from the first to the last."""

    rows: int
    workers: int
    wall: float
    busy: float
    span: float

    @property
    def overhead(self) -> float:
        """Share of the workers' time, from the first task over a partition to the last, that no such task had."""
        return 1 - self.busy / (self.workers * self.span)


def measure(
    rows: int, engine: str = "auto", gpus: int | None = None, partitions: int | None = None
) -> list[Measurement]:
    """All sizes up to `rows`, by factors of ten; with `engine="cuda"` on 1, 2, 4 and more GPUs, a worker each.

    With `partitions` instead what so many partitions cost the client and the scheduler.
    """
    if partitions is not None:
        return list(shares_of_client(partitions, engine, gpus))
    workers = numbers_of_workers(engine, gpus)
    sizes = [size for size in (LEAST_ROWS * 10**power for power in range(12)) if size <= rows] or [rows]
    with tempfile.TemporaryDirectory(prefix="gpuvgm-benchmark-") as name:
        folder = Path(name)
        gpuvgm.generate(folder / "unit.parquet", UNIT_ROWS)
        units = unit_costs(folder / "unit.parquet", folder, engine)
        runs = [run for size in sizes for run in runs_of(size, folder, engine, workers)]
    alone = {(stage, run.rows): run for stage, run in runs if run.workers == 1}
    shown = [_measurement(stage, run, alone[stage, run.rows]) for stage, run in runs]
    models = [_model(stage, [watched for name, watched in runs if name == stage], units) for stage in STAGES]
    return [*shown, *models]


def numbers_of_workers(engine: str, gpus: int | None) -> tuple[int, ...]:
    """How many workers there are in turn: of the host, or as many as GPUs, by default all of this machine."""
    if engine != "cuda":
        return WORKERS
    most = gpus or import_module("cupy").cuda.runtime.getDeviceCount()
    return powers_up_to(most)


def powers_up_to(most: int) -> tuple[int, ...]:
    """1, 2, 4 and so on below a number, and the number."""
    return (*takewhile(lambda number: number < most, (2**power for power in count())), most)


def runs_of(rows: int, folder: Path, engine: str, numbers: Sequence[int]) -> Iterator[tuple[str, Watched]]:
    """Every stage over so many rows, by each number of workers."""
    source = folder / f"{rows}.parquet"
    gpuvgm.generate(source, rows)
    for workers in numbers:
        with gpuvgm.cluster(workers=workers, threads=1, gpus=engine == "cuda") as client:
            client.run(lambda: __import__("gpuvgm.execution.context"))  # imports are not what is measured
            settings = {"executor": gpuvgm.DaskExecutor(client), "engine": engine}
            for stage, function in STAGES.items():
                work = partial(function, source, folder / "encoded", **settings)
                repeats = 3 if rows < OVERHEAD_ROWS else 1
                yield stage, min((watch(client, workers, rows, work) for _ in range(repeats)), key=lambda run: run.wall)
    source.unlink()


def shares_of_client(partitions: int, engine: str, gpus: int | None) -> Iterator[Measurement]:
    """What a fit of a Dask frame, and an iteration of exact EM over it, cost the client and the scheduler."""
    dataframe, distributed = import_module("dask.dataframe"), import_module("distributed")
    with gpuvgm.cluster(workers=gpus or max(WORKERS), threads=1, gpus=engine == "cuda") as client:
        client.run(lambda: __import__("gpuvgm.execution.context"))
        frame = dataframe.from_map(_many_amounts, range(partitions), meta=_many_amounts(0)).persist()
        distributed.wait(frame)
        transformer = gpuvgm.TableTransformer(dict.fromkeys(frame.columns, "continuous"), engine=engine)
        transformer.fit(frame.partitions[:2])  # imports, here and there
        yield _client_share(client, f"fit of {WIDTH} columns", partitions, partial(transformer.fit, frame))
        mixture = fitted_column(LEAST_ROWS).mixture
        assert mixture is not None
        run = Run.over(any_source(frame[["0"]]), engine, gpuvgm.DaskExecutor(client))
        with rows_on_workers(_numbers, run.blocks(["0"]), run) as rows:
            iterate = partial(over_rows(get_engine(run.here.engine), rows, mixture.frame), mixture.posterior)
            iterate()  # the workers hold the rows then
            yield _client_share(client, "iteration of exact EM", partitions, iterate, ITERATIONS)


def _client_share(
    client: Any, case: str, partitions: int, function: Callable[[], object], times: int = 1
) -> Measurement:
    """Seconds of this process's processor beside the time on the clock, and how many tasks ran."""
    before = time.process_time()
    with _task_stream(client) as tasks:
        wall = sum(seconds_of(function, time.perf_counter) for _ in range(times))
        taken = (time.process_time() - before) / times
        time.sleep(0.5)  # the scheduler hears of the last tasks
    return Measurement(
        f"client and scheduler: {case}, {partitions:,} partitions",
        partitions * ROWS_EACH,
        taken,
        {"the time it took": wall / times},
        details={"partitions": partitions, "tasks": len(tasks) / times},
        notes={"tasks": f"{len(tasks) / times:,.0f}"},
        shown_as_time=True,
    )


def _many_amounts(number: int) -> Any:
    """A partition of amounts."""
    random = np.random.default_rng(number)
    return import_module("pandas").DataFrame(
        {str(column): np.round(random.lognormal(3, 1, ROWS_EACH), 2) for column in range(WIDTH)}
    )


def _numbers(blocks: Iterator[Any]) -> np.ndarray:
    """The column of a partition."""
    return np.concatenate([block.column("0").to_numpy() for block in blocks])


def _fit(source: Path, encoded: Path, **settings: Any) -> None:
    gpuvgm.TableTransformer(COLUMNS, effort="research", **settings).fit(source).save(encoded.with_suffix(".gpuvgm"))


def _transform(source: Path, encoded: Path, **settings: Any) -> None:
    gpuvgm.load(encoded.with_suffix(".gpuvgm")).set_params(**settings).transform(source, out=encoded)


COLUMNS = {"Amount": "continuous"}
STAGES: dict[str, Callable[..., None]] = {"fit": _fit, "transform": _transform}
STEPS = {"fit": ("read", "summarise"), "transform": ("read", "transform", "write")}


def watch(client: Any, workers: int, rows: int, function: Callable[[], None]) -> Watched:
    """Run a function, and read off what the workers did meanwhile."""
    with _task_stream(client) as tasks:
        wall = seconds_of(function, time.perf_counter)
        time.sleep(0.5)  # the scheduler hears of the last tasks
    spans = [
        (step["start"], step["stop"])
        for task in tasks
        for step in task["startstops"]
        if step["action"] == "compute" and str(task["key"]).startswith(PORTION)
    ]
    busy = sum(stop - start for start, stop in spans)
    return Watched(rows, workers, wall, busy, max(stop for _, stop in spans) - min(start for start, _ in spans))


@contextmanager
def _task_stream(client: Any) -> Iterator[list[Any]]:
    """The tasks of a time, filled in when it ends."""
    from distributed import get_task_stream

    found: list[Any] = []
    with get_task_stream(client) as stream:
        yield found
    found += stream.data


def unit_costs(source: Path, folder: Path, name: str) -> dict[str, Unit]:
    """What reading, computing with the engine of that name, merging and writing take alone."""
    table = pq.read_table(source)
    x = table.column(0).combine_chunks().to_numpy()
    transformer = gpuvgm.TableTransformer(COLUMNS, effort="research", threads=1, engine=name).fit({"Amount": x})
    encoded = gpuvgm.TableTransformer.transform(transformer, table)
    engine, summary = get_engine(name), transformer.summaries_["Amount"]
    target = folder / "written.parquet"

    def write() -> None:
        with ParquetSink(target, encoded.schema) as sink:
            for batch in encoded.to_batches(1 << 20):
                sink.write(batch)

    functions = {
        "read": lambda: _read(source),
        "summarise": lambda: engine.summarise(x, summary.grid),
        "transform": lambda: transformer.transform({"Amount": x}),
        "write": write,
    }
    seconds = median_times(functions, 3, time.perf_counter)
    size = {"read": source.stat().st_size, "write": target.stat().st_size}
    units = {name: Unit(seconds[name] / len(x), size.get(name, 0) / len(x)) for name in functions}
    merges = median_times({"merge": lambda: summary.merge(summary)}, clock=time.perf_counter)
    return units | {"merge of two summaries": Unit(merges["merge"])}


def _read(source: Path) -> None:
    with pq.ParquetFile(source, pre_buffer=False, buffer_size=1 << 20) as file:
        for _ in file.iter_batches(1 << 20, use_threads=False):
            pass


def _measurement(stage: str, watched: Watched, alone: Watched) -> Measurement:
    """A run as a row of the table; the aim is that so many workers are nearly as many times as fast as one alone."""
    has_aim = watched.rows >= OVERHEAD_ROWS and watched.workers > 1
    aims = {ALONE: (1 - LARGEST_OVERHEAD) * watched.workers} if has_aim else {}
    return Measurement(
        f"{stage}, {watched.workers} {'worker' if watched.workers == 1 else 'workers'}",
        watched.rows,
        watched.wall,
        {BUSY: watched.wall * (1 - watched.overhead), ALONE: alone.wall},
        aims,
        details={"busy": watched.busy, "span": watched.span, "overhead": watched.overhead, "workers": watched.workers},
        notes={
            "scheduler's overhead": f"{watched.overhead:.1%}",
            "a worker's seconds": f"{watched.busy / alone.busy:.2f} of {ALONE}'s" if watched.workers > 1 else "",
        },
    )


def _model(stage: str, runs: Sequence[Watched], units: dict[str, Unit]) -> Measurement:
    """Fixed cost and cost of a row by least squares of relative errors, none of them below 0."""
    design = np.array([[1 / run.wall, run.rows / run.workers / run.wall] for run in runs])
    (fixed, row), _ = nnls(design, np.ones(len(runs)))
    alone = sum(units[step].seconds for step in STEPS[stage])
    worst = max(abs((fixed + row * run.rows / run.workers) / run.wall - 1) for run in runs)
    largest = max(runs, key=lambda run: (run.rows, -run.workers))
    return Measurement(
        f"model of {stage}",
        largest.rows,
        fixed + row * largest.rows / largest.workers,
        {"as measured": largest.wall},
        details={
            "fixed_seconds": fixed,
            "row_seconds": row,
            "units": {step: vars(units[step]) for step in (*STEPS[stage], "merge of two summaries")},
            "excess": row / alone,
            "largest_error": worst,
        },
        notes={
            "model": f"{fixed:.2f} s + {row * 1e9:.1f} ns a row and worker",
            "steps alone": f"{alone * 1e9:.1f} ns",
            "largest error": f"{worst:.0%}",
        },
    )

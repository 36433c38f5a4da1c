"""A whole table of columns of all kinds: fitted in one pass, transformed and inverted in both layouts, and evaluated.

In memory and from file to file, with one thread and with all; then real tables.

``python -m benchmarks.table PLACE INPUT FOLDER SETTINGS`` is one of them in a process of its own: PLACE "memory" reads
the Parquet file INPUT and works on an Arrow table, "parquet" works from file to file in FOLDER. SETTINGS are as JSON:
what the columns are declared as, the effort, and the number of threads.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import gpuvgm
from benchmarks.inputs import mixed_table, real_tables
from benchmarks.machine import bind_to_one_core, found_by, peak_memory, repeated
from benchmarks.measure import FLOAT_BYTES, Measurement, mebibytes
from gpuvgm.execution import Run, Sampled, available_threads

COLUMNS = 50
SMALL_ROWS, SMALL_COLUMNS, SMALL_REPEATS = 1000, 20, 100
PLACES = {"memory": "in memory", "parquet": "Parquet to Parquet"}


def measure(rows: int, columns: int = COLUMNS, effort: str = "research") -> list[Measurement]:
    """A generated table of `rows` rows, small ones, of as many columns too, and real tables of at most as many rows."""
    widths = dict.fromkeys((SMALL_COLUMNS, columns))
    few = [measurement for width in widths for measurement in small(min(rows, SMALL_ROWS), width)]
    return [*generated(rows, columns, effort), *few, *real(rows, effort)]


def generated(rows: int, columns: int, effort: str) -> list[Measurement]:
    """Every place and number of threads in a process of its own."""
    found = []
    with tempfile.TemporaryDirectory(prefix="gpuvgm-benchmark-") as name:
        source = Path(name) / "table.parquet"
        table, declared = mixed_table(rows, columns)
        pq.write_table(table, source, row_group_size=1 << 20)
        row_bytes = table.nbytes / max(rows, 1)
        del table
        for place in PLACES:
            for threads in dict.fromkeys((1, available_threads())):
                settings = {"columns": declared, "effort": effort, "threads": threads}
                result = run_side(place, source, settings)
                found += stages(rows, row_bytes, result | {"place": place, "threads": threads, "effort": effort})
    return found


def run_side(place: str, source: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """One place in a fresh process, with a folder of its own for files."""
    with tempfile.TemporaryDirectory(prefix="gpuvgm-benchmark-") as folder:
        result = found_by("benchmarks.table", place, str(source), folder, json.dumps(settings))
    return result | {"columns": len(settings["columns"])}


def stages(rows: int, row_bytes: float, result: dict[str, Any]) -> list[Measurement]:
    """Every stage of one place; the fit is beside fits of one column each, and says where its time goes."""
    words = f"{PLACES[result['place']]}, {result['threads']} thread{'s' if result['threads'] > 1 else ''}"
    seconds = result["seconds"]
    shares = ", ".join(f"{part} {100 * taken / seconds['fit']:.0f} %" for part, taken in result["parts"].items())
    noted = {"fit": {"parts": shares, "peak memory above the rows": mebibytes(result["added_memory"])}}
    return [
        Measurement(
            f"{words}, {stage}",
            rows,
            taken,
            {ONE_BY_ONE: seconds[ONE_BY_ONE]} if stage == "fit" else {},
            row_bytes=row_bytes,
            details={
                **result,
                "table": "generated",
                "words": words,
                "stage": stage,
                "values_per_second": rows * result["columns"] / taken,
            },
            notes=values_note(rows * result["columns"] / taken) | noted.get(stage, {}),
        )
        for stage, taken in seconds.items()
    ]


def values_note(values_per_second: float) -> dict[str, str]:
    """Million values a second, for the table of measurements."""
    return {"Mvalues/s": f"{values_per_second / 1e6:.3g}"}


def small(rows: int, columns: int) -> Iterator[Measurement]:
    """Calls on few rows of amounts with the default effort: what a call costs whatever the rows."""
    random = np.random.default_rng(0)
    table = {f"amount {i}": random.lognormal(3, 1, rows).round(2) for i in range(columns)}
    one = {name: values[:1] for name, values in table.items()}
    transformer = gpuvgm.TableTransformer().fit(table)
    encoded = transformer.transform(one)
    with tempfile.TemporaryDirectory(prefix="gpuvgm-benchmark-") as folder:
        file = Path(folder) / "model.gpuvgm"
        calls = {
            "fit": (rows, lambda: gpuvgm.TableTransformer().fit(table)),
            "transform": (rows, lambda: transformer.transform(table)),
            "transform of 1 row": (1, lambda: transformer.transform(one)),
            "inverse of 1 row": (1, lambda: transformer.inverse_transform(encoded)),
            "save": (1, lambda: transformer.save(file)),
            "load": (1, lambda: gpuvgm.load(file)),
        }
        for stage, (of, call) in calls.items():
            taken = repeated(call, SMALL_REPEATS)
            details = {"table": "small", "stage": stage, "columns": columns, "cpu_seconds": taken.processor_seconds}
            notes = {"ms": f"{1e3 * taken.seconds:.3g}", "ms of CPU": f"{1e3 * taken.processor_seconds:.3g}"}
            case, row_bytes = f"{columns} columns of few rows, {stage}", columns * FLOAT_BYTES
            yield Measurement(case, of, taken.seconds, row_bytes=row_bytes, details=details, notes=notes)


def real(rows: int, effort: str) -> Iterator[Measurement]:
    """Real tables as DataFrames: columns inferred, all threads, compact layout."""
    for name, frame in real_tables():
        few = frame[:rows]
        bytes_of_row = pa.Table.from_pandas(few, preserve_index=False).nbytes / len(few)
        seconds, details = round_trip(few, effort)
        for stage, taken in seconds.items():
            values_per_second = len(few) * few.shape[1] / taken
            more = {"table": name, "stage": stage, "effort": effort, "values_per_second": values_per_second}
            notes = values_note(values_per_second)
            yield Measurement(
                f"{name}, {stage}", len(few), taken, row_bytes=bytes_of_row, details=details | more, notes=notes
            )


def round_trip(frame: Any, effort: str) -> tuple[dict[str, float], dict[str, Any]]:
    """Seconds of fit, transform and inverse, and the columns by kind."""
    transformer = gpuvgm.TableTransformer(effort=effort)
    fit = repeated(lambda: transformer.fit(frame), 3)
    transform = repeated(lambda: transformer.transform(frame), 3)
    inverse = repeated(lambda: transformer.inverse_transform(transform.result), 3)
    seconds = {"fit": fit.seconds, "transform": transform.seconds, "inverse": inverse.seconds}
    kinds = [column.kind for column in transformer.columns_.values()]
    return seconds, {"columns": frame.shape[1], "kinds": {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}}


WARM_ROWS = 1_000
LAYOUTS = ("compact", "onehot")
ONE_BY_ONE = "fit, one column a pass"
#: Where a fit spends its time, by function. What is left is planned from the sample: k-means and grids.
PARTS = {"summarise_columns": "pass", "fit_numbers": "EM"}


def main(place: str, source: Path, folder: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Seconds by stage, those of the parts of a fit, and the peak memory before and after."""
    columns, threads = settings["columns"], settings["threads"]
    if threads == 1:
        bind_to_one_core()
    new = partial(gpuvgm.TableTransformer, effort=settings["effort"], threads=threads)
    warm_up(new(columns), pq.read_table(source).slice(0, WARM_ROWS))
    rows = pq.read_table(source) if place == "memory" else source
    before, clock = peak_memory(), Clock()
    parts: dict[str, float] = defaultdict(float)
    transformer = new(columns)
    with watched(parts):
        clock.time("fit", lambda: transformer.fit(rows))
    for layout in LAYOUTS:
        both_ways(clock, transformer, rows, layout, None if place == "memory" else folder)
    after = peak_memory()
    clock.time("evaluate", lambda: transformer.evaluate(rows))
    clock.time(ONE_BY_ONE, lambda: [new(only(name, columns)).fit(rows) for name in columns])
    return {
        "seconds": clock.seconds,
        "processor_seconds": clock.processor_seconds,
        "peaks": clock.peaks,
        "parts": shares(parts, clock.seconds["fit"]),
        "width": transformer.get_feature_names_out(layout="onehot").size,
        "peak_memory": after,
        "added_memory": after - before,
        "files": {path.name: path.stat().st_size for path in folder.iterdir()},
    }


def only(name: str, columns: dict[str, Any]) -> dict[str, Any]:
    """Declarations that leave one column."""
    return dict.fromkeys(columns, "drop") | {name: columns[name]}


def warm_up(transformer: Any, rows: pa.Table) -> None:
    """A run over few rows loads what is loaded on first use."""
    for layout in LAYOUTS:
        transformer.inverse_transform(transformer.fit(rows).transform(rows, layout=layout))


def both_ways(clock: Clock, transformer: Any, rows: Any, layout: str, folder: Path | None) -> None:
    """Transform and inverse in one layout, in memory or from file to file."""
    out, back = (None, None) if folder is None else (folder / f"{layout}.parquet", folder / f"{layout}-back.parquet")
    encoded = clock.time(f"transform, {layout}", lambda: transformer.transform(rows, layout=layout, out=out))
    source = encoded if out is None else out
    clock.time(f"inverse, {layout}", lambda: transformer.inverse_transform(source, out=back))


class Clock:
    """By stage: seconds, seconds of all threads together, and the peak memory of the process at its end."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.processor_seconds: dict[str, float] = {}
        self.peaks: dict[str, int] = {}

    def time(self, stage: str, function: Callable[[], Any]) -> Any:
        """What a function returns."""
        start, before = time.perf_counter(), time.process_time()
        result = function()
        self.processor_seconds[stage] = time.process_time() - before
        self.seconds[stage], self.peaks[stage] = time.perf_counter() - start, peak_memory()
        return result


def shares(parts: dict[str, float], total: float) -> dict[str, float]:
    """Seconds of the parts of a fit; reading goes on beside the pass, so it is not taken off the total."""
    parts = {name: parts.get(name, 0.0) for name in ("sample", *PARTS.values(), "pass again", "reading")}
    parts["EM"] -= parts["pass again"]
    return {**parts, "planning": total - sum(parts.values()) + parts["reading"]}


@contextmanager
def watched(seconds: dict[str, float]) -> Iterator[None]:
    """Add up the seconds of the parts of a fit, and of the blocks' reader."""
    blocks, running = Run.blocks, []

    def read(run: Run, *arguments: Any, **options: Any) -> Iterator[Any]:
        return each_timed(blocks(run, *arguments, **options), seconds)

    def timed(function: Callable[..., Any], part: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            name = "pass again" if part == "pass" and "EM" in running else part
            running.append(name)
            start = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                seconds[name] += time.perf_counter() - start
                running.pop()

        return call

    with ExitStack() as stack:
        for function, part in PARTS.items():
            for module in holders(function):
                stack.enter_context(patch.object(module, function, timed(getattr(module, function), part)))
        stack.enter_context(patch.object(Sampled, "of", timed(Sampled.of, "sample")))
        stack.enter_context(patch.object(Run, "blocks", read))
        yield


def holders(function: str) -> list[Any]:
    """Modules of gpuvgm that have a function by this name."""
    modules = [module for name, module in sys.modules.items() if name.startswith("gpuvgm.")]
    return [module for module in modules if callable(vars(module).get(function))]


def each_timed(blocks: Iterator[Any], seconds: dict[str, float]) -> Iterator[Any]:
    """The blocks, the wait for each one added up."""
    while True:
        start = time.perf_counter()
        block = next(blocks, None)
        seconds["reading"] += time.perf_counter() - start
        if block is None:
            return
        yield block


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), json.loads(sys.argv[4]))))

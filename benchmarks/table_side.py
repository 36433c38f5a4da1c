"""A whole table in a process of its own: ``python -m benchmarks.table_side PLACE INPUT FOLDER SETTINGS``.

PLACE "memory" reads the Parquet file INPUT and works on an Arrow table, "parquet" works from file to file in FOLDER.
SETTINGS are as JSON: what the columns are declared as, the effort, and the number of threads.
"""

from __future__ import annotations

import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

import gpuvgm
from benchmarks.machine import peak_memory
from benchmarks.one_core import bind_to_one_core
from gpuvgm.execution.context import Run

WARM_ROWS = 1_000
LAYOUTS = ("compact", "onehot")
ONE_BY_ONE = "fit, one column a pass"
#: Where a fit spends its time, by function. What is left is planned from the sample: k-means and grids.
PARTS = {"take_sample": "sample", "summarise_columns": "pass", "fit_numbers": "EM"}


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
        round_trip(clock, transformer, rows, layout, None if place == "memory" else folder)
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


def round_trip(clock: Clock, transformer: Any, rows: Any, layout: str, folder: Path | None) -> None:
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
    parts = {name: parts.get(name, 0.0) for name in (*PARTS.values(), "pass again", "reading")}
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
                replaced(stack, module, function, timed(getattr(module, function), part))
        replaced(stack, Run, "blocks", read)
        yield


def holders(function: str) -> list[Any]:
    """Modules of gpuvgm that have a function by this name."""
    modules = [module for name, module in sys.modules.items() if name.startswith("gpuvgm.")]
    return [module for module in modules if callable(vars(module).get(function))]


def replaced(stack: ExitStack, owner: Any, name: str, value: Any) -> None:
    """Set an attribute until the stack is left."""
    stack.callback(setattr, owner, name, getattr(owner, name))
    setattr(owner, name, value)


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

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
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

import gpuvgm
from benchmarks.inputs import mixed_table, real_tables
from benchmarks.machine import bind_to_one_core, found_by, peak_memory, repeated
from benchmarks.measure import Measurement, mebibytes
from gpuvgm.execution.context import Run
from gpuvgm.execution.local import available_threads

COLUMNS = 50
PLACES = {"memory": "in memory", "parquet": "Parquet to Parquet"}
REAL_STAGES = ("fit", "transform", "inverse")


def measure(rows: int, columns: int = COLUMNS, effort: str = "research") -> list[Measurement]:
    """A generated table of `rows` rows, and real tables of at most as many."""
    return [*generated(rows, columns, effort), *real(rows, effort)]


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
    """Every stage of one place; the fit is beside fits of one column each."""
    words = f"{PLACES[result['place']]}, {result['threads']} thread{'s' if result['threads'] > 1 else ''}"
    seconds = result["seconds"]
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
        )
        for stage, taken in seconds.items()
    ]


def real(rows: int, effort: str) -> Iterator[Measurement]:
    """Real tables as DataFrames: columns inferred, all threads, compact layout."""
    for name, frame in real_tables():
        few = frame[:rows]
        bytes_of_row = pa.Table.from_pandas(few, preserve_index=False).nbytes / len(few)
        seconds, details = round_trip(few, effort)
        for stage, taken in seconds.items():
            values_per_second = len(few) * few.shape[1] / taken
            more = {"table": name, "stage": stage, "effort": effort, "values_per_second": values_per_second}
            yield Measurement(f"{name}, {stage}", len(few), taken, row_bytes=bytes_of_row, details=details | more)


def round_trip(frame: Any, effort: str) -> tuple[dict[str, float], dict[str, Any]]:
    """Seconds of fit, transform and inverse, and the columns by kind."""
    transformer = gpuvgm.TableTransformer(effort=effort)
    fit = repeated(lambda: transformer.fit(frame), 3)
    transform = repeated(lambda: transformer.transform(frame), 3)
    inverse = repeated(lambda: transformer.inverse_transform(transform.result), 3)
    seconds = {"fit": fit.seconds, "transform": transform.seconds, "inverse": inverse.seconds}
    kinds = [column.kind for column in transformer.columns_.values()]
    return seconds, {"columns": frame.shape[1], "kinds": {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}}


def show(title: str, measurements: Sequence[Measurement], console: Console) -> None:
    """Stages of the generated table in every place, where the fit's time goes, and real tables."""
    console.print(title, soft_wrap=True, highlight=False)
    own = [row for row in measurements if row.details["table"] == "generated"]
    console.print(stage_table(own))
    for row in own:
        if row.details["stage"] == "fit":
            console.print(parts_line(row), highlight=False, soft_wrap=True)
    others = [row for row in measurements if row.details["table"] != "generated"]
    if others:
        console.print(real_table(others))


def stage_table(measurements: Sequence[Measurement]) -> Table:
    """Stages below each other, places beside each other."""
    first = measurements[0]
    places = list(dict.fromkeys(row.details["words"] for row in measurements))
    columns, width, effort = (first.details[name] for name in ("columns", "width", "effort"))
    heading = f"{first.rows:,} rows, {columns} columns ({width} onehot), effort={effort}"
    table = Table(title=f"{heading}: seconds, and million values a second", title_justify="left")
    table.add_column("stage")
    for place in places:
        table.add_column(place, justify="right")
    for stage in dict.fromkeys(row.details["stage"] for row in measurements):
        table.add_row(stage, *(cell(row) for row in measurements if row.details["stage"] == stage))
    added = {row.details["words"]: row.details["added_memory"] for row in measurements}
    table.add_row("peak memory above the rows", *(mebibytes(added[place]) for place in places))
    return table


def cell(row: Measurement) -> str:
    """Seconds and values a second."""
    return f"{row.seconds:.3g} s, {row.details['values_per_second'] / 1e6:.3g} M"


def parts_line(row: Measurement) -> str:
    """Where the time of a fit goes."""
    seconds: dict[str, float] = row.details["parts"]
    parts = ", ".join(f"{name} {part:.2f} s ({100 * part / row.seconds:.0f} %)" for name, part in seconds.items())
    return f"{row.case}: {parts}; {row.ratio(ONE_BY_ONE):.2f}× as fast as one column a pass"


def real_table(measurements: Sequence[Measurement]) -> Table:
    """Real tables below each other."""
    table = Table(title="real tables as DataFrames, all threads, compact layout", title_justify="left")
    table.add_column("table")
    for heading in ("rows", "columns", *REAL_STAGES):
        table.add_column(heading, justify="right")
    for name in dict.fromkeys(row.details["table"] for row in measurements):
        rows = [row for row in measurements if row.details["table"] == name]
        table.add_row(name, f"{rows[0].rows:,}", str(rows[0].details["columns"]), *(cell(row) for row in rows))
    return table


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

"""A whole table of columns of all kinds: fitted in one pass, transformed and inverted in both layouts, and evaluated.

In memory and from file to file, with one thread and with all; then real tables.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

import gpuvgm
from benchmarks.measure import Measurement
from benchmarks.mixed_rows import mixed_table, real_tables
from benchmarks.one_core import repeated
from benchmarks.output import mebibytes
from benchmarks.side_process import found_by
from benchmarks.table_side import ONE_BY_ONE
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
        result = found_by("benchmarks.table_side", place, str(source), folder, json.dumps(settings))
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

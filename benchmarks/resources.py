"""What tables of many sizes take: seconds, and memory, by rows, columns, files, threads and a limit of memory.

Every stage is a command of its own (``gpuvgm fit`` and so on), the interpreter's start included, with the defaults: no
column is declared. Tables have columns of several kinds (`benchmarks.inputs.mixed_table`).

``python -m benchmarks.resources FILE ROWS COLUMNS`` writes such a table.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from benchmarks.billion import folder_of_files, run
from benchmarks.inputs import mixed_table
from benchmarks.machine import ROOT, machine_line
from benchmarks.measure import Measurement
from benchmarks.usage import timed
from gpuvgm.execution import available_threads

LEAST_ROWS, PART_ROWS = 100_000, 1_000_000
COLUMNS = (1, 10, 50)
FORMATS = ("parquet", "csv")
LIMIT = "1GiB"
STAGES = ("fit", "transform", "inverse")
GIBIBYTE = 1 << 30


def measure(rows: int, columns: int = COLUMNS[-1]) -> list[Measurement]:
    """All stages of tables of 100,000 rows, ten times as many, and so on, with 1, 10 and 50 columns, at most."""
    return list(measurements(rows, columns))


def measurements(most_rows: int, most_columns: int) -> Iterator[Measurement]:
    """Each table as a file of each format, on one thread and all; the longest Parquet also with a limit of memory."""
    sizes = [rows for rows in (LEAST_ROWS * 10**power for power in range(20)) if rows <= most_rows] or [most_rows]
    for columns in [number for number in COLUMNS if number <= most_columns] or [most_columns]:
        for rows in sizes:
            for ending in FORMATS:
                with folder_of_files() as folder:
                    source = folder / f"table.{ending}"
                    timed([sys.executable, "-m", "benchmarks.resources", str(source), str(rows), str(columns)], ROOT)
                    limited = ending == "parquet" and rows == sizes[-1]
                    for threads, memory in settings(LIMIT if limited else None):
                        yield from stages(source, rows, columns, threads, memory)


def settings(limit: str | None) -> list[tuple[int, str | None]]:
    """Threads, and limits of memory."""
    every = available_threads()
    free: list[tuple[int, str | None]] = [(threads, None) for threads in sorted({1, every})]
    return [*free, (every, limit)] if limit else free


def stages(source: Path, rows: int, columns: int, threads: int, memory: str | None) -> Iterator[Measurement]:
    """Fit, transform and inverse of one file."""
    ending, folder = source.suffix, source.parent
    files = {
        "fit": [source.name],
        "transform": [source.name, "encoded.parquet"],
        "inverse": ["encoded.parquet", f"back{ending}"],
    }
    limit = ["--memory", memory] if memory else []
    for stage in STAGES:
        options = ["--model", "model.gpuvgm", "--threads", str(threads), *limit, "--quiet"]
        usage = run([stage, *files[stage], *options], folder)
        details: dict[str, Any] = {
            "columns": columns,
            "format": ending[1:],
            "file_bytes": source.stat().st_size,
            "threads": threads,
            "memory": memory,
            "cpu_seconds": usage.cpu_seconds,
            "peak_memory": usage.peak_memory,
        }
        notes = {
            "columns": str(columns),
            "threads": str(threads),
            "limit": memory or "",
            "CPU s": f"{usage.cpu_seconds:.1f}",
            "GiB": gibibytes(usage.peak_memory),
        }
        row_bytes = details["file_bytes"] / rows
        yield Measurement(
            f"{stage}, {ending[1:]}", rows, usage.seconds, row_bytes=row_bytes, details=details, notes=notes
        )


def gibibytes(count: float) -> str:
    """A number of bytes in GiB."""
    return f"{count / GIBIBYTE:.2f}"


def table(lines: Iterable[str]) -> Iterator[str]:
    """The last run in Markdown; seconds of the processor, as those by the clock depend on what else runs."""
    documents = [document for document in map(json.loads, lines) if document["benchmark"] == "resources"]
    found: dict[tuple[Any, ...], dict[str, dict[str, Any]]] = {}
    for document in documents:
        details = document["details"]
        case = tuple(details[name] for name in ("format", "columns", "threads", "memory"))
        found.setdefault((document["rows"], *case), {})[document["case"].partition(",")[0]] = document
    if documents:
        yield f"{machine_line(documents[-1]['machine'])}."
        yield ""
    yield "| rows | columns | file | threads | limit | fit, CPU | transform, CPU | inverse, CPU | peak memory |"
    yield "|--:|--:|---|--:|--:|--:|--:|--:|--:|"
    for (rows, ending, columns, threads, memory), of_stages in found.items():
        size = of_stages["fit"]["details"]["file_bytes"]
        peak = max(document["details"]["peak_memory"] for document in of_stages.values())
        name = {"csv": "CSV", "parquet": "Parquet"}[ending]
        taken = " | ".join(f"{of_stages[stage]['details']['cpu_seconds']:.1f} s" for stage in STAGES)
        yield (
            f"| {rows:,} | {columns} | {name}, {gibibytes(size)} GiB | {threads} | {memory or ''} | {taken} "
            f"| {gibibytes(peak)} GiB |"
        )


def write_table(path: Path, rows: int, columns: int) -> None:
    """Write a table part after part."""
    writer: Any = None
    for number, start in enumerate(range(0, rows, PART_ROWS)):
        part, _ = mixed_table(min(PART_ROWS, rows - start), columns, number)
        if writer is None:
            kind = pq.ParquetWriter if path.suffix == ".parquet" else pa.csv.CSVWriter
            writer = kind(path, part.schema)
        writer.write_table(part)
    writer.close()


if __name__ == "__main__":
    write_table(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))

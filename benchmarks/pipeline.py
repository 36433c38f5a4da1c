"""From file to file: fit, transform and inverse of generated amounts, beside what pyarrow needs for the same files."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import gpuvgm
from benchmarks.measure import Measurement
from benchmarks.output import mebibytes
from benchmarks.pipeline_side import SIDES
from benchmarks.side_process import found_by

LARGEST_RATIO = 1.6
AIM_ROWS = 100_000_000  # fewer do not outweigh what a fit costs whatever the rows
SMALL_ROWS = 10_000_000  # peak memory must be the same for these
NAMES = {"sinks": "pyarrow, same file options", "defaults": "pyarrow, its own options"}


def measure(rows: int) -> list[Measurement]:
    """The pipeline over `rows` rows, and over ten million where that is less."""
    return [pipeline(count) for count in sorted({min(rows, SMALL_ROWS), rows})]


def pipeline(rows: int, repeats: int = 3) -> Measurement:
    """Best of some runs; the sides take turns, each run in a process of its own."""
    repeats = repeats if rows >= SMALL_ROWS else 1
    with tempfile.TemporaryDirectory(prefix="gpuvgm-benchmark-") as name:
        folder = Path(name)
        source = folder / "amount.parquet"
        gpuvgm.generate(source, rows)
        runs = [{side: run_side(side, source, folder) for side in SIDES} for _ in range(repeats)]
        sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
    best = {side: min((run[side] for run in runs), key=lambda result: result["total"]) for side in SIDES}
    ours = best["gpuvgm"]
    return Measurement(
        "fit, transform, inverse",
        rows,
        ours["total"],
        {words: best[side]["total"] for side, words in NAMES.items()},
        {NAMES["sinks"]: 1 / LARGEST_RATIO} if rows >= AIM_ROWS else {},
        details={"stages": ours["seconds"], "peak_memory": ours["peak_memory"], "sides": best, "files": sizes},
        notes={
            "peak memory": mebibytes(ours["peak_memory"]),
            'fit with effort="best"': f"{best['best']['seconds']['fit']:.2f} s",
        },
        shown_as_time=True,
    )


def run_side(side: str, source: Path, folder: Path) -> dict[str, Any]:
    """One side in a fresh process."""
    return found_by("benchmarks.pipeline_side", side, str(source), str(folder))

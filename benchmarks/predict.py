"""Predicted times of the GPU kernels: their compiled instructions against the published speeds of devices."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import gpuvgm
from benchmarks.kernels import prediction
from benchmarks.kernels.compile import missing, versions
from benchmarks.kernels.prediction import CLASSES, Prediction

TITLE = "predicted, not measured: the least time for 10^9 rows, every unit of the device working without a pause"


def programs() -> list[Any]:
    """Programs whose times are predicted."""
    from gpuvgm.engines.cuda import every_program

    return [program for program in every_program() if prediction.is_predictable(program)]


def run(console: Console, path: Path | None) -> int:
    """Print the table and append JSON lines; 1 where the kernels cannot be compiled here."""
    reason = missing()
    if reason is not None:
        console.print(f"nothing is predicted: {reason}")
        return 1
    found = prediction.predictions(programs())
    show(found, console)
    if path is not None and path.name != "-":
        append(path, found)
    return 0


def show(found: Sequence[Prediction], console: Console) -> None:
    """Print a table."""
    used = [kind for kind in CLASSES if any(one.work.instructions[kind] >= 0.05 for one in found)]
    console.print(TITLE, highlight=False, soft_wrap=True)
    console.print("instructions are those of a row, by the unit that runs them", highlight=False)
    table = Table(box=None, padding=(0, 1, 0, 0))
    for heading in ("program", "card"):
        table.add_column(heading, no_wrap=True)
    for heading in ("registers", "bytes", "instructions", *used, "ms"):
        table.add_column(heading, justify="right")
    table.add_column("limit", no_wrap=True)
    for one in found:
        work = one.work
        counts = (work.total, *(work.instructions[kind] for kind in used))
        numbers = (str(work.registers), f"{work.row_bytes:g}", *(f"{count:.1f}" for count in counts), f"{one.time:.3g}")
        name = work.program.name.removeprefix("gpuvgm_")
        table.add_row(f"{name}: {work.case}" if work.case else name, one.card.name, *numbers, one.limit)
    console.print(table)


def append(path: Path, found: Iterable[Prediction]) -> None:
    """Append one JSON line a prediction."""
    path.parent.mkdir(parents=True, exist_ok=True)
    known = {"gpuvgm": gpuvgm.__version__, **versions()}
    with path.open("a") as file:
        for one in found:
            whole = {"benchmark": "predict", "predicted": True, **line(one), "versions": known}
            file.write(json.dumps(whole) + "\n")


def line(one: Prediction) -> dict[str, Any]:
    """A prediction as a dict that JSON can hold."""
    work = one.work
    return {
        "program": work.program.name,
        "case": work.case,
        "card": one.card.name,
        "architecture": f"sm_{work.architecture}",
        "rows": int(prediction.ROWS),
        "registers": work.registers,
        "row_bytes": work.row_bytes,
        "instructions": {kind: round(count, 3) for kind, count in work.instructions.items() if count},
        "predicted_milliseconds": {unit: round(time, 4) for unit, time in one.milliseconds.items()},
        "limit": one.limit,
    }

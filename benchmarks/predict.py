"""Predicted times on GPUs: of the kernels from their compiled instructions, of whole stages from what they do beside.

Two tables: the least times of kernels on several cards, and `benchmarks.stages`. What is measured on this machine, the
host's planning of a column, has a column and JSON lines of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import gpuvgm
from benchmarks import stages
from benchmarks.inputs import FITTED_ROWS, amounts
from benchmarks.kernels import prediction
from benchmarks.kernels.cards import CARDS
from benchmarks.kernels.compile import missing, versions
from benchmarks.kernels.prediction import CLASSES, Prediction
from benchmarks.machine import describe_machine
from benchmarks.stages import StagePrediction

TITLE = "predicted, not measured: the least time for 10^9 rows, every unit of the device working without a pause"


STAGES_TITLE = (
    "whole stages, predicted, not measured: H200, ten components, caches warm, in ms; parts are added, none overlaps"
)
MEASURED = "host's planning, s on a thread, measured here"
PLANNED_TIMES = 5


def programs() -> list[Any]:
    """Programs whose times are predicted."""
    from benchmarks.kernels.programs import every_program

    return [program for program in every_program() if prediction.is_predictable(program)]


def run(console: Console, path: Path | None) -> int:
    """Print the table and append JSON lines; 1 where the kernels cannot be compiled here."""
    reason = missing()
    if reason is not None:
        console.print(f"nothing is predicted: {reason}")
        return 1
    found = prediction.predictions(programs())
    found += [prediction.predict(one, card) for card in CARDS for one in stages.executed_works(card.architecture)]
    whole, planning = stages.predictions(), planning_seconds()
    show(found, console)
    show_stages(whole, planning, console)
    if path is not None and path.name != "-":
        append(path, [*map(line, found), *map(stage_line, whole)])
        append_measured(path, planning)
    return 0


def planning_seconds() -> float:
    """Seconds that a thread of this machine takes to plan a column: sample, kind, scale, step, grid and centres."""
    table = {"x": amounts(FITTED_ROWS)}
    fits = [gpuvgm.TableTransformer(threads=1).fit(table).fit_report_.seconds for _ in range(PLANNED_TIMES)]
    return min(seconds["sample and kinds"] + seconds["plan"] for seconds in fits)


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


def show_stages(found: Sequence[StagePrediction], planning: float, console: Console) -> None:
    """Print the table of whole stages, and what was counted of a fit."""
    console.print(f"\n{STAGES_TITLE}", highlight=False, soft_wrap=True)
    for text in (stages.ASSUMED, stages.LEFT_OUT):
        console.print(text, highlight=False, soft_wrap=True)
    table = Table(box=None, padding=(0, 1, 0, 0))
    table.add_column("stage", no_wrap=True)
    for heading in ("goal", "predicted", "by goal", *stages.PARTS):
        table.add_column(heading, justify="right")
    table.add_column(MEASURED, justify="right")
    for one in found:
        goal, total, *parts = (
            f"{1e3 * seconds:,.1f}"
            for seconds in (one.stage.goal, one.total, *(one.seconds[part] for part in stages.PARTS))
        )
        planned = f"{planning * one.stage.columns:.2g}" if one.stage.counted == "fit" else ""
        table.add_row(one.stage.name, goal, total, f"{one.total / one.stage.goal:.2f}", *parts, planned)
    console.print(table)
    console.print(stages.counted_of_fits(), highlight=False, soft_wrap=True)


def append(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    """Append one JSON line a prediction."""
    path.parent.mkdir(parents=True, exist_ok=True)
    known = {"gpuvgm": gpuvgm.__version__, **versions()}
    with path.open("a") as file:
        for one in lines:
            whole = {"benchmark": "predict", "predicted": True, **one, "versions": known}
            file.write(json.dumps(whole) + "\n")


def append_measured(path: Path, planning: float) -> None:
    """Append the line of what was measured on this machine."""
    measured = {"measured": MEASURED, "seconds_a_column": round(planning, 4), "machine": describe_machine()}
    with path.open("a") as file:
        file.write(json.dumps({"benchmark": "predict", "predicted": False, **measured}) + "\n")


def stage_line(one: StagePrediction) -> dict[str, Any]:
    """A stage's prediction as a dict that JSON can hold."""
    stage = one.stage
    return {
        "stage": stage.name,
        "card": stages.CARD.name,
        "rows": stage.rows,
        "columns": stage.columns,
        "iterations": stage.iterations,
        "goal_milliseconds": 1e3 * stage.goal,
        "predicted_milliseconds": {part: round(1e3 * seconds, 4) for part, seconds in one.seconds.items()},
        "predicted_total_milliseconds": round(1e3 * one.total, 4),
        "counts": {name: round(count) for name, count in one.counts.items()},
    }


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

"""Predicted times on GPUs: of the kernels from the instructions they execute, of whole stages from what they do beside.

Two tables: the least times of kernels on several cards, and `benchmarks.stages`. What Python and planning take is
measured on this machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from time import process_time
from typing import Any

from rich.console import Console
from rich.table import Table

import gpuvgm
from benchmarks import stages
from benchmarks.calls import Calls
from benchmarks.inputs import FITTED_ROWS, amounts
from benchmarks.kernels import prediction
from benchmarks.kernels.prediction import CLASSES, Prediction
from benchmarks.machine import describe_machine
from benchmarks.measure import append_documents
from benchmarks.stages import Host, Range, StagePrediction

TITLE = "predicted, not measured: the least time for 10^9 rows, every unit of the device working without a pause"
STAGES_TITLE = (
    "whole stages, predicted, not measured: H200, ten components, caches warm, in ms, at least and at most; parts are "
    "added, none overlaps"
)
VERSIONS = {"gpuvgm": gpuvgm.__version__}
PLANNED_TIMES = 5
FEW_ROWS, CALLED_TIMES = 64, 200  # rows that take no time beside the calls


def run(console: Console, path: Path | None) -> int:
    """Print the tables and append JSON lines."""
    found, host = prediction.predictions(), measured_host()
    whole = stages.predictions(host)
    show(found, console)
    show_stages(whole, host, console)
    if path is not None and path.name != "-":
        lines = [*map(line, found), *map(stage_line, whole), measured_line(host)]
        append_documents(path, [{"benchmark": "predict", **one} for one in lines])
    return 0


def measured_host() -> Host:
    """What this processor takes for a call that gpuvgm makes, and for a column's plan and search."""
    return Host(call_seconds(), planning_seconds())


def planning_seconds() -> float:
    """Seconds that a thread of this machine takes for a column but for its rows: the plan, and the search for modes."""
    table = {"x": amounts(FITTED_ROWS)}
    fits = [gpuvgm.TableTransformer(threads=1).fit(table).fit_report_.seconds for _ in range(PLANNED_TIMES)]
    return min(sum(seconds.values()) - seconds["scan"] for seconds in fits)


def call_seconds() -> Range:
    """Seconds of the processor for a call, where they are shortest and longest: transforms and inverses of few rows."""
    table = {f"c{i}": amounts(FEW_ROWS) for i in range(10)}
    transformer = gpuvgm.TableTransformer(threads=1, effort="research", max_iter=5).fit(table)
    encoded, found = transformer.transform(table), []
    for work, given in ((transformer.transform, table), (transformer.inverse_transform, encoded)):
        calls = Calls()
        with calls.counted():
            work(given)
        began = process_time()
        for _ in range(CALLED_TIMES):
            work(given)
        found.append((process_time() - began) / CALLED_TIMES / calls.count)
    return min(found), max(found)


def show(found: Sequence[Prediction], console: Console) -> None:
    """Print a table."""
    used = [kind for kind in CLASSES if any(one.work.instructions[kind] >= 0.05 for one in found)]
    console.print(TITLE, highlight=False, soft_wrap=True)
    console.print("instructions are those of a row in PTX, by the unit that runs them", highlight=False)
    table = Table(box=None, padding=(0, 1, 0, 0))
    for heading in ("program", "card"):
        table.add_column(heading, no_wrap=True)
    for heading in ("bytes", "instructions", *used, "ms"):
        table.add_column(heading, justify="right")
    table.add_column("limit", no_wrap=True)
    for one in found:
        work = one.work
        counts = (work.total, *(work.instructions[kind] for kind in used))
        numbers = (f"{work.row_bytes:g}", *(f"{count:.1f}" for count in counts), f"{one.time:.3g}")
        name = work.program.removeprefix("gpuvgm_")
        table.add_row(f"{name}: {work.case}" if work.case else name, one.card.name, *numbers, one.limit)
    console.print(table)


def show_stages(found: Sequence[StagePrediction], host: Host, console: Console) -> None:
    """Print the table of whole stages, and what was counted of a fit."""
    console.print(f"\n{STAGES_TITLE}", highlight=False, soft_wrap=True)
    for text in (stages.assumed(host), stages.LEFT_OUT):
        console.print(text, highlight=False, soft_wrap=True)
    table = Table(box=None, padding=(0, 1, 0, 0))
    table.add_column("stage", no_wrap=True)
    for heading in ("goal", "predicted", *stages.PARTS):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in found:
        goal = f"{1e3 * one.stage.goal:,g}" if one.stage.goal else ""
        table.add_row(one.stage.name, goal, _ends(one.total), *(_ends(one.seconds[part]) for part in stages.PARTS))
    console.print(table)
    console.print(stages.counted_of_fits(), highlight=False, soft_wrap=True)


def _ends(seconds: Range) -> str:
    """A range in milliseconds; nothing for nothing."""
    least, most = (f"{1e3 * end:,.1f}" for end in seconds)
    return "" if not seconds[1] else least if least == most else f"{least}–{most}"


def measured_line(host: Host) -> dict[str, Any]:
    """What was measured on this machine as a dict that JSON can hold."""
    return {
        "predicted": False,
        "measured": "seconds of a call that gpuvgm makes, and of a column's plan and search on a thread",
        "seconds_a_call": list(host.call),
        "seconds_a_column": round(host.planning, 4),
        "machine": describe_machine(),
    }


def stage_line(one: StagePrediction) -> dict[str, Any]:
    """A stage's prediction as a dict that JSON can hold."""
    stage = one.stage
    return {
        "predicted": True,
        "stage": stage.name,
        "card": stages.CARD.name,
        "rows": stage.rows,
        "columns": stage.columns,
        "iterations": stage.iterations,
        "goal_milliseconds": 1e3 * stage.goal,
        "predicted_milliseconds": {part: _milliseconds(seconds) for part, seconds in one.seconds.items()},
        "predicted_total_milliseconds": _milliseconds(one.total),
        "counts": {name: round(count) for name, count in one.counts.items()},
        "versions": VERSIONS,
    }


def _milliseconds(seconds: Range) -> list[float]:
    return [round(1e3 * end, 4) for end in seconds]


def line(one: Prediction) -> dict[str, Any]:
    """A prediction as a dict that JSON can hold."""
    work = one.work
    return {
        "predicted": True,
        "program": work.program,
        "case": work.case,
        "card": one.card.name,
        "rows": int(prediction.ROWS),
        "row_bytes": work.row_bytes,
        "instructions": {kind: round(count, 3) for kind, count in work.instructions.items() if count},
        "predicted_milliseconds": {unit: round(time, 4) for unit, time in one.milliseconds.items()},
        "limit": one.limit,
        "versions": VERSIONS,
    }

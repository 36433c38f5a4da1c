"""Functions timed beside each other, what comes out as values, and these as tables and JSON lines."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

FLOAT_BYTES = 8
REPEATS = 5
Clock = Callable[[], float]  # seconds


@dataclass(frozen=True)
class Measurement:
    """One row of a table.

    Parameters
    ----------
    case : str
        What was done.
    rows : int
        Rows it was done to.
    seconds : float
        What it took: of functions that are timed here the median of the CPU seconds.
    yardsticks : mapping of str to float
        Seconds that others need for as many rows, in the same run.
    least : mapping of str to float
        Smallest speed, relative to a yardstick, that is aimed at.
    row_bytes : float
        Bytes of a row, for GB/s.
    details : mapping of str to object
        More figures, for the JSON lines.
    notes : mapping of str to str
        More columns of the table, by heading.
    shown_as_time : bool
        Tables give times relative to the yardsticks instead of speeds.
    """

    case: str
    rows: int
    seconds: float
    yardsticks: Mapping[str, float] = field(default_factory=dict)
    least: Mapping[str, float] = field(default_factory=dict)
    row_bytes: float = FLOAT_BYTES
    details: Mapping[str, Any] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    shown_as_time: bool = False

    @property
    def rows_per_second(self) -> float:
        """Rows a second."""
        return self.rows / self.seconds

    @property
    def gigabytes_per_second(self) -> float:
        """10^9 bytes of input a second."""
        return self.rows_per_second * self.row_bytes / 1e9

    def ratio(self, yardstick: str) -> float:
        """Speed relative to a yardstick."""
        return self.yardsticks[yardstick] / self.seconds

    def missed(self) -> list[str]:
        """Yardsticks whose aim was not reached."""
        return [name for name, least in self.least.items() if name in self.yardsticks and self.ratio(name) < least]

    def to_dict(self) -> dict[str, Any]:
        """The same as a dict that JSON can hold, with the ratios."""
        ratios = {name: self.ratio(name) for name in self.yardsticks}
        return {**asdict(self), "rows_per_second": self.rows_per_second, "ratios": ratios, "missed": self.missed()}


def median_times(
    functions: Mapping[str, Callable[[], object]], repeats: int = REPEATS, clock: Clock = time.process_time
) -> dict[str, float]:
    """Median seconds of each function; they take turns, so that all see the same machine.

    They are CPU seconds of all threads unless another clock is given. On a busy machine the least time on the wall
    favours short calls, as they are more often not interrupted.
    """
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            times[name].append(seconds_of(function, clock))
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def seconds_of(function: Callable[[], object], clock: Clock = time.process_time) -> float:
    """Seconds of one call; CPU seconds unless another clock is given."""
    start = clock()
    function()
    return clock() - start


def yardstick_functions(x: np.ndarray) -> dict[str, Callable[[], object]]:
    """numpy.sum and a copy over the same bytes."""
    target = np.empty_like(x)
    return {"numpy.sum": lambda: np.sum(x), "copy": lambda: np.copyto(target, x)}


def beside_yardsticks(
    x: np.ndarray, functions: Mapping[str, Callable[[], object]], least: Mapping[str, float], repeats: int = REPEATS
) -> list[Measurement]:
    """Functions over the rows `x` beside numpy.sum and a copy; `least` gives the aim relative to numpy.sum by case."""
    yardsticks = yardstick_functions(x)
    times = median_times({**yardsticks, **functions}, repeats)
    seconds = {name: times[name] for name in yardsticks}
    return [
        Measurement(case, len(x), times[case], seconds, {"numpy.sum": least[case]} if case in least else {})
        for case in functions
    ]


def show(title: str, measurements: Sequence[Measurement], console: Console) -> None:
    """Print a table; "against" is the speed relative to a yardstick, and an aim that was missed is marked."""
    yardsticks = list(dict.fromkeys(name for row in measurements for name in row.yardsticks))
    notes = list(dict.fromkeys(heading for row in measurements for heading in row.notes))
    console.print(title, soft_wrap=True, highlight=False)
    table = Table()
    table.add_column("case", overflow="fold", min_width=30)
    for heading in ("rows", "time", "Mrows/s", "GB/s"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name in yardsticks:
        table.add_column(f"against {name}", justify="right")
    for heading in notes:
        table.add_column(heading, justify="right")
    for row in measurements:
        noted = (row.notes.get(heading, "") for heading in notes)
        table.add_row(*numbers(row), *(against(row, name) for name in yardsticks), *noted)
    console.print(table)
    for row in measurements:
        if "sides" in row.details:
            console.print(stages(row), highlight=False)


def numbers(row: Measurement) -> list[str]:
    """Case, rows, time and speeds."""
    speed, bandwidth = row.rows_per_second / 1e6, row.gigabytes_per_second
    speeds = [f"{speed:,.3g}" if speed < 1000 else f"{speed:,.0f}", f"{bandwidth:.3g}"] if row.rows > 1 else ["", ""]
    return [row.case, f"{row.rows:,}" if row.rows > 1 else "", seconds_text(row.seconds), *speeds]


def seconds_text(seconds: float) -> str:
    """A time for people."""
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"


def against(row: Measurement, name: str) -> str:
    """Speed (or time) relative to a yardstick, and the aim."""
    if name not in row.yardsticks:
        return ""
    write = time_text if row.shown_as_time else ratio_text
    aim = f" (aim {write(row.least[name])}{', missed' if name in row.missed() else ''})" if name in row.least else ""
    return write(row.ratio(name)) + aim


def time_text(ratio: float) -> str:
    """A ratio of speeds as that of the times."""
    return f"{1 / ratio:.2f}× the time"


def ratio_text(ratio: float) -> str:
    """A ratio of speeds: per cent below 1, times above."""
    return f"{100 * ratio:.3g} %" if ratio < 1 else f"{ratio:.3g}×"


def mebibytes(count: float) -> str:
    """A number of bytes."""
    return f"{count / 2**20:.0f} MiB"


def share_text(share: float, largest: float | None) -> str:
    """A part of what others need, and the largest aimed at."""
    aim = "" if largest is None else f" (aim {ratio_text(largest)}{', missed' if share > largest else ''})"
    return ratio_text(share) + aim


def stages(row: Measurement) -> str:
    """Seconds by stage, of every side."""
    lines = [f"{row.case}, {row.rows:,} rows"]
    for side, result in row.details["sides"].items():
        parts = ", ".join(f"{stage} {seconds:.2f} s" for stage, seconds in result["seconds"].items())
        lines.append(f"  {side}: {parts}; {result['total']:.2f} s, {mebibytes(result['peak_memory'])}")
    return "\n".join(lines)


def documents(benchmark: str, machine: dict[str, Any], measurements: Iterable[Measurement]) -> list[dict[str, Any]]:
    """Measurements as JSON can hold them."""
    return [{"benchmark": benchmark, **row.to_dict(), "machine": machine} for row in measurements]


def append_lines(path: Path, benchmark: str, machine: dict[str, Any], measurements: Iterable[Measurement]) -> None:
    """Append one JSON line a measurement."""
    append_documents(path, documents(benchmark, machine, measurements))


def print_and_append(path: Path, benchmark: str, machine: dict[str, Any], results: Iterable[dict[str, Any]]) -> None:
    """Print each result when it is there, and append it to a file."""
    for result in results:
        print(json.dumps(result), flush=True)  # noqa: T201
        append_documents(path, [{"benchmark": benchmark, **result, "machine": machine}])


def append_documents(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Append JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)

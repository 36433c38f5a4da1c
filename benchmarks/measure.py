"""Timing functions beside each other, and what comes out as values."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

FLOAT_BYTES = 8
REPEATS = 5


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
        Best time.
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


def best_times(functions: Mapping[str, Callable[[], object]], repeats: int = REPEATS) -> dict[str, float]:
    """Best seconds of each function; they take turns, so that all see the same machine."""
    best = dict.fromkeys(functions, np.inf)
    for _ in range(repeats):
        for name, function in functions.items():
            best[name] = min(best[name], seconds_of(function))
    return best


def seconds_of(function: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def yardstick_functions(x: np.ndarray) -> dict[str, Callable[[], object]]:
    """numpy.sum and a copy over the same bytes."""
    target = np.empty_like(x)
    return {"numpy.sum": lambda: np.sum(x), "copy": lambda: np.copyto(target, x)}


def beside_yardsticks(
    x: np.ndarray, functions: Mapping[str, Callable[[], object]], least: Mapping[str, float], repeats: int = REPEATS
) -> list[Measurement]:
    """Functions over the rows `x` beside numpy.sum and a copy; `least` gives the aim relative to numpy.sum by case."""
    yardsticks = yardstick_functions(x)
    times = best_times({**yardsticks, **functions}, repeats)
    seconds = {name: times[name] for name in yardsticks}
    return [
        Measurement(case, len(x), times[case], seconds, {"numpy.sum": least[case]} if case in least else {})
        for case in functions
    ]

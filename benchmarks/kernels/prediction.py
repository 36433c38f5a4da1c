"""Times that kernels would take, from the instructions of a row and the published speeds of devices.

The instructions are those of PTX, counted as the kernels were executed on the host (`tests.harness.device.stages`),
which are in `benchmarks/predicted/ledger.json`. Machine code has up to a quarter more in most kernels, for moves and
addresses. Each unit of a device is taken to work without a pause and beside all others, so a predicted time is the
least that is possible; which unit needs longest says where to look. Only the rate of atomics was measured.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.kernels.cards import ATOMIC_CLOCKS, CARDS, ISSUED, SHARED_ATOMICS, Card

LEDGER = Path(__file__).parents[1] / "predicted" / "ledger.json"
ROWS = 1e9
CLASSES = (
    ("fp64", "fp32", "multiply", "integer", "special", "conversion", "load", "store", "shared")
    + ("atomic", "shared atomic", "control")
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Work:
    """What a row costs: bytes of memory, instructions by class, and accesses of four bytes through the cache."""

    program: str
    case: str
    row_bytes: float
    instructions: Mapping[str, float]
    accesses: float

    @property
    def total(self) -> float:
        """Instructions of every class."""
        return sum(self.instructions.values())


@cache
def ledger() -> dict[str, Any]:
    """What was counted on the software device of the tests."""
    found: dict[str, Any] = json.loads(LEDGER.read_text())
    return found


def works() -> list[Work]:
    """What rows cost, of all programs over rows that were counted."""
    found = []
    for key, numbers in ledger()["programs"].items():
        if "row_bytes" in numbers:
            program, _, case = key.partition(": ")
            instructions = {kind: numbers[kind] for kind in CLASSES}
            found.append(Work(program, case, numbers["row_bytes"], instructions, numbers["accesses"]))
    return found


@dataclass(frozen=True, slots=True)
class Prediction:
    """Milliseconds that each unit of a card needs for 10^9 rows of a program."""

    work: Work
    card: Card
    milliseconds: Mapping[str, float]

    @property
    def limit(self) -> str:
        """The unit that needs longest."""
        return max(self.milliseconds, key=lambda unit: self.milliseconds[unit])

    @property
    def time(self) -> float:
        """Milliseconds of that unit."""
        return self.milliseconds[self.limit]


def predict(work: Work, card: Card, rows: float = ROWS) -> Prediction:
    """Time of each unit."""
    count = work.instructions
    cycles = {
        "fp64": count["fp64"] / card.fp64,
        "fp32": (count["fp32"] + count["multiply"]) / card.fp32,
        "multiply": count["multiply"] / card.multiply,
        "integer": count["integer"] / card.integer,
        "special": count["special"] / card.special,
        "conversion": count["conversion"] / card.conversion,
        "load/store": work.accesses / card.lanes,
        "shared atomics": count["shared atomic"] / SHARED_ATOMICS,
        "issue": work.total / ISSUED,
    }
    seconds = {unit: rows * each / card.cycles for unit, each in cycles.items()}
    seconds["memory"] = rows * work.row_bytes / (card.bandwidth * 1e9)
    seconds["atomics"] = rows * count["atomic"] * ATOMIC_CLOCKS / (card.slices * card.clock * 1e9)
    return Prediction(work, card, {unit: 1e3 * each for unit, each in seconds.items()})


def predictions() -> list[Prediction]:
    """Every program on every card."""
    return [predict(work, card) for work in works() for card in CARDS]

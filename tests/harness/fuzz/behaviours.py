"""Cases that end in every way there is, to test the harness with: prints what came of them as JSON."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from gpuvgm.errors import EnvironmentProblem, InputError
from tests.harness.fuzz.harness import Target, WrongResult, run_target

NAMED = "table.csv"


def fail(problem: BaseException) -> None:
    """Raise it."""
    raise problem


def show(prepared: Any, random: random.Random, folder: Path) -> None:
    """Tell what the case was given."""
    raise WrongResult(f"{prepared} {random.random()} {list(folder.iterdir())}")


def leave_process() -> None:
    """Leave a process running."""
    raise WrongResult(str(subprocess.Popen(["sleep", "60"]).pid))


BEHAVIOURS: dict[str, Callable[[Path], object]] = {
    "right": lambda folder: None,
    "wrong": lambda folder: fail(WrongResult("2 is not 3")),
    "clear": lambda folder: fail(InputError(f"{folder / NAMED}: row 3 has no value")),
    "no-disk": lambda folder: fail(EnvironmentProblem("the disk is full")),
    "nameless": lambda folder: fail(InputError("row 3 has no value")),
    "two-lines": lambda folder: fail(InputError(f"{NAMED}: row 3\nrow 4")),
    "long": lambda folder: fail(InputError(f"{NAMED}: {'x' * 500}")),
    "innards": lambda folder: fail(InputError(f"{NAMED}: {object()!r}")),
    "foreign": lambda folder: {}["absent"],
    "exit": lambda folder: os._exit(3),
    "sys-exit": lambda folder: sys.exit(0),
    "crash": lambda folder: os.kill(os.getpid(), signal.SIGSEGV),
    "hang": lambda folder: time.sleep(60),
    "memory": lambda folder: bytearray(1 << 33),
    "leaves": lambda folder: leave_process(),
}


def target_of(name: str, attempt: Callable[..., None]) -> Target:
    """A target with narrow limits."""
    return Target(name, lambda folder: name, attempt, seconds=2, named=(NAMED,))


def behave(name: str, prepared: Any, random: random.Random, folder: Path) -> None:
    """Behave so."""
    BEHAVIOURS[name](folder)


def main() -> None:
    """Run every behaviour once, and some cases twice."""
    targets = [target_of(name, partial(behave, name)) for name in BEHAVIOURS]
    results = [result for target in targets for result in run_target(target, [0])]
    for side_by_side in (1, 3):
        results += run_target(target_of(f"shown-{side_by_side}", show), range(5), side_by_side=side_by_side)
        results += run_target(target_of("shown", show), [3, 4], side_by_side=side_by_side)
    results += run_target(target_of("late", show), range(5), until=time.monotonic() - 1)
    print(json.dumps([asdict(result) for result in results]))


if __name__ == "__main__":
    main()

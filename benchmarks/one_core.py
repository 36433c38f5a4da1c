"""What side processes on one core share: the core, repeated timing, and packages."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from importlib import metadata
from typing import Any, NamedTuple

PATIENCE = 3.0  # seconds after which nothing is repeated
MOST_REPEATS = 7


def bind_to_one_core() -> None:
    """Let this process run on one core only, so that no library takes more; where the system can do so."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


class Repeated(NamedTuple):
    """Best times of some calls, the processor's among them, and what the last one returned."""

    seconds: float
    processor_seconds: float
    result: Any


def repeated(function: Callable[[], Any], most: int = MOST_REPEATS) -> Repeated:
    """Time some calls, one where that takes long."""
    best, least, start = float("inf"), float("inf"), time.perf_counter()
    for _ in range(most):
        result = None  # what an earlier call returned shall not add to the peak memory
        before, used = time.perf_counter(), time.process_time()
        result = function()
        now = time.perf_counter()
        best, least = min(best, now - before), min(least, time.process_time() - used)
        if now - start > PATIENCE:
            break
    return Repeated(best, least, result)


def versions_of(packages: Iterable[str]) -> dict[str, str]:
    """Versions of the packages that are installed."""
    found = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found

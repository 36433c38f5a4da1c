"""What a measurement was made on, and parts of a benchmark in processes of their own."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, NamedTuple

import gpuvgm
from gpuvgm.cli.record import commit
from gpuvgm.engines import native_is_built
from gpuvgm.execution import available_threads

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("numpy", "scipy", "scikit-learn", "pyarrow")


def describe_machine() -> dict[str, Any]:
    """The machine as a dict that JSON can hold."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": processor(),
        "cores": available_threads(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "instruction_sets": instruction_sets(),
        "python": platform.python_version(),
        "versions": {"gpuvgm": gpuvgm.__version__, **{name: metadata.version(name) for name in PACKAGES}},
        "commit": commit(),
    }


def machine_line(machine: dict[str, Any]) -> str:
    """The machine in one line."""
    sets = ", ".join(machine["instruction_sets"]) or "no native engine"
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return f"{machine['cores']} cores of {machine['processor']} ({sets}), Python {machine['python']}, {versions}"


def processor() -> str:
    """Model of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def instruction_sets() -> list[str]:
    """Instruction sets of the native engine that can run here, best first."""
    return list(import_module("gpuvgm._native").instruction_sets()) if native_is_built() else []


def aim(with_avx512: float, with_avx2: float) -> float:
    """The aim that holds for this machine's instruction set."""
    return with_avx512 if "avx512" in instruction_sets() else with_avx2


def peak_memory() -> int:
    """Largest resident memory of this process so far, in bytes."""
    peak = memory_figure("VmHWM")
    if peak is None:
        raise RuntimeError("this system does not report the peak memory of a process")
    return peak


def peak_memory_of_all() -> int:
    """Peaks of this process and of those that it started and that still run, added up, in bytes."""
    return peak_memory() + sum(memory_figure("VmHWM", pid) or 0 for pid in _descendants(os.getpid()))


def memory_figure(name: str, pid: int | str = "self") -> int | None:
    """Bytes that Linux reports of a process by the name of the figure; None for a process that is ending."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), None)


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            found += [child, *_descendants(child)]
    return found


#: For processes that load these libraries; joblib and gpuvgm go by the cores that the process may run on.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "LOKY_MAX_CPU_COUNT"), "1")


def found_by(module: str, *arguments: str, **variables: str) -> dict[str, Any]:
    """What a module found in a fresh process with variables: the last line that it prints; what it says if it fails."""
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))  # for its workers too
    environment = os.environ | variables | {"PYTHONPATH": paths}
    command = [sys.executable, "-m", module, *arguments]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if run.returncode:
        raise RuntimeError(f"{module} failed:\n{run.stderr[-4000:]}")
    found: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return found


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

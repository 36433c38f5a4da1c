"""What a measurement was made on: processor, instruction sets, versions, commit; nothing that names the machine."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import gpuvgm
from gpuvgm.engines import native_is_built
from gpuvgm.execution.local import available_threads

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
        "commit": _commit(),
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
    peak = _peak("self")
    if peak is None:
        raise RuntimeError("this system does not report the peak memory of a process")
    return peak


def peak_memory_of_all() -> int:
    """Peaks of this process and of those that it started and that still run, added up, in bytes."""
    return peak_memory() + sum(_peak(pid) or 0 for pid in _descendants(os.getpid()))


def _peak(pid: int | str) -> int | None:
    """Peak of a process; None for one that is ending."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            found += [child, *_descendants(child)]
    return found


def _commit() -> str | None:
    """Commit of the tree, with a plus sign where files differ from it."""
    try:
        commit = _git("rev-parse", "--short", "HEAD")
        return commit + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()

"""The record of a run: its options, its machine, and the time and memory it took."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import gpuvgm
from gpuvgm.cli.log_lines import redact
from gpuvgm.execution import Stages, available_threads
from gpuvgm.io import expand

try:
    import resource
except ImportError:  # Windows
    USAGE = False
else:
    USAGE = True

PACKAGES = ("numpy", "scipy", "scikit-learn", "pyarrow")
MAXRSS_BYTES = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux kibibytes
_SOURCES = ("source", "encoded", "compare")
_STATUS = Path("/proc/self/status")


@dataclass(slots=True)
class RunRecord:
    """One run of a command.

    Parameters
    ----------
    command : str
        Its name.
    options : mapping of str to object
        Its arguments and options.
    stages : Stages
        Its progress.
    """

    command: str
    options: Mapping[str, Any]
    stages: Stages
    start: int = field(default_factory=time.time_ns)
    cpu_start: float = field(default_factory=lambda: cpu_seconds())

    def figures(self) -> dict[str, Any]:
        """Time and memory that the run has taken so far."""
        stages = [stage.document() for stage in self.stages.done]
        seconds, cpu = (time.time_ns() - self.start) / 1e9, cpu_seconds() - self.cpu_start
        usage = {"cpu_seconds": cpu, "cores_used": cpu / seconds if seconds else 0.0}
        return {"seconds": seconds, **usage, "stages": stages, "peak_memory": peak_memory()}

    def document(
        self, code: int, error: Mapping[str, str] | None, figures: Mapping[str, Any], result: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The complete record of a run, with its exit code, error, figures and result."""
        return {
            "command": self.command,
            "started": datetime.fromtimestamp(self.start / 1e9, UTC).isoformat(timespec="milliseconds"),
            "exit_code": code,
            "error": redact(error),
            **figures,
            "rows": result.get("rows"),
            "bytes_in": self.bytes_in(),
            "bytes_out": result.get("bytes"),
            "options": redact(self.options),
            "versions": versions(),
            "machine": {"host": platform.node(), "system": platform.platform(), "cores": available_threads()},
        }

    def bytes_in(self) -> int | None:
        """Bytes of the files read; None where there are none, or they are gone."""
        sources = [self.options[name] for name in _SOURCES if self.options.get(name) is not None]
        if not sources:
            return None
        with suppress(Exception):  # whatever a store says: the run is over, and the record goes without
            return sum(expand(source).bytes for source in sources)
        return None


def cpu_seconds() -> float:
    """Processor time of this process, and of its workers that have ended, in seconds."""
    workers = os.times()
    return time.process_time() + workers.children_user + workers.children_system


def peak_memory() -> int:
    """Most bytes of memory that this process, or one of its ended workers, held; 0 on Windows."""
    if not USAGE:
        return 0
    process, workers = (
        resource.getrusage(scope).ru_maxrss * MAXRSS_BYTES for scope in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    lines = _STATUS.read_text().splitlines() if _STATUS.exists() else []
    peaks = (int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:"))  # absent in some sandboxes
    return max(next(peaks, process), workers)  # the system's `ru_maxrss` begins with what the process' parent held


def versions() -> dict[str, str]:
    """Versions of gpuvgm, Python and the packages that compute."""
    numbers = {"gpuvgm": gpuvgm.__version__, "python": platform.python_version()}
    return numbers | {name: metadata.version(name) for name in PACKAGES}


def commit() -> str | None:
    """Commit of the checkout that gpuvgm is from, with a plus sign if files differ from it."""
    root = Path(gpuvgm.__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None
    try:
        revision = _git(root, "rev-parse", "--short", "HEAD")
        return revision + ("+" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True).stdout.strip()


def speed(rows: float, seconds: float) -> str:
    """Rows a second, for people."""
    rate = rows / max(seconds, 1e-9)
    return f"{rate / 1e6:.1f} M rows/s" if rate >= 1e6 else f"{rate:,.0f} row{'s' * (round(rate) != 1)}/s"

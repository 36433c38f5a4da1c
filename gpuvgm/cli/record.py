"""The record of a run: what was asked for, on what machine, and what it took."""

from __future__ import annotations

import platform
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
from gpuvgm.cli.log_lines import plain
from gpuvgm.cli.stages import Stages
from gpuvgm.execution.local import available_threads
from gpuvgm.io.files import expand, first_stamp

try:
    import resource
except ImportError:  # Windows
    USAGE = False
else:
    USAGE = True

PACKAGES = ("numpy", "scipy", "scikit-learn", "pyarrow")
MAXRSS_BYTES = 1 if sys.platform == "darwin" else 1024
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
        What was heard of its progress.
    """

    command: str
    options: Mapping[str, Any]
    stages: Stages
    start: int = field(default_factory=time.time_ns)
    end: int = 0
    exit_code: int = 0
    found: Mapping[str, Any] = field(default_factory=dict)
    error: Mapping[str, str] | None = None

    def finish(self, code: int, found: Mapping[str, Any], error: Mapping[str, str] | None) -> None:
        """The run has ended with this exit code, and this document or error."""
        self.end, self.exit_code, self.found, self.error = time.time_ns(), code, found, error

    @property
    def seconds(self) -> float:
        """Time that it took."""
        return ((self.end or time.time_ns()) - self.start) / 1e9

    def figures(self) -> dict[str, Any]:
        """What it took so far."""
        stages = [stage.document() for stage in self.stages.done]
        return {"seconds": self.seconds, "stages": stages, "peak_memory": peak_memory()}

    def document(self) -> dict[str, Any]:
        """The whole record."""
        return {
            "command": self.command,
            "started": datetime.fromtimestamp(self.start / 1e9, UTC).isoformat(timespec="milliseconds"),
            "exit_code": self.exit_code,
            "error": plain(self.error),
            **self.figures(),
            "rows": self.found.get("rows"),
            "bytes_in": self.bytes_in(),
            "bytes_out": self.found.get("bytes"),
            "options": plain(self.options),
            "versions": versions(),
            "machine": {"host": platform.node(), "system": platform.platform(), "cores": available_threads()},
        }

    def bytes_in(self) -> int | None:
        """Bytes of the files read; None where there are none, or they are gone."""
        given = [self.options[name] for name in _SOURCES if self.options.get(name) is not None]
        if not given:
            return None
        with suppress(Exception):  # whatever a store says: the run is over, and the record goes without
            return sum(first_stamp(file)[0] for one in given for file in expand(one).files)
        return None


def peak_memory() -> int:
    """Bytes of memory that this process, or one of its workers that have ended, held at most; 0 on Windows."""
    if not USAGE:
        return 0
    workers = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * MAXRSS_BYTES
    return max(_own_peak(), workers)


def _own_peak() -> int:
    """Bytes that this process held at most; the system's `ru_maxrss` begins with what its parent held."""
    lines = _STATUS.read_text().splitlines() if _STATUS.exists() else []
    told = (
        int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:")
    )  # some sandboxes have no such line
    return next(told, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_BYTES)


def versions() -> dict[str, str]:
    """Versions of gpuvgm, Python and what the arithmetic comes from."""
    found = {"gpuvgm": gpuvgm.__version__, "python": platform.python_version()}
    return found | {name: metadata.version(name) for name in PACKAGES}

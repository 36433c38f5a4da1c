"""What a command takes: seconds by the clock and of the processor, and its peak memory.

The peak that the system tells of a process counts what the one that started it had, so a small process starts it: this
file as a program, which runs the command of its arguments and prints what that took.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]


class Usage(NamedTuple):
    """Seconds by the clock, the largest resident memory in bytes, and seconds of the processor."""

    seconds: float
    peak_memory: int
    cpu_seconds: float


def timed(command: Sequence[str], folder: Path, **variables: str) -> Usage:
    """Run a command in a folder, with further variables of the environment; what it prints is left out."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    starter = [sys.executable, "-I", "-S", __file__, *command]
    process = subprocess.run(starter, cwd=folder, stdout=subprocess.PIPE, env=environment)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, list(command))
    return Usage(*json.loads(process.stdout))


def main(command: list[str]) -> int:
    """Run a command and print what it took; its exit code is the one of this process."""
    start = time.perf_counter()
    silent = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    _, status, usage = os.wait4(os.posix_spawnp(command[0], command, os.environ, file_actions=silent), 0)
    seconds = time.perf_counter() - start
    print(json.dumps(Usage(seconds, usage.ru_maxrss * 1024, usage.ru_utime + usage.ru_stime)))
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

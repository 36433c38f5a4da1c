"""Time of imports in fresh processes."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.machine import ROOT
from benchmarks.measure import Measurement

LARGEST_SECONDS = 0.2
_TIMED = "import time; start = time.perf_counter(); {statement}; print(time.perf_counter() - start)"
AIM = f"{LARGEST_SECONDS} s"


def measure(rows: int) -> list[Measurement]:
    """Imports, beside that of NumPy and the largest time aimed at; `rows` has no part in it."""
    numpy, alone = import_seconds("import numpy"), import_seconds("import gpuvgm")
    used = import_seconds("import gpuvgm; gpuvgm.TableTransformer", 2)
    return [
        Measurement("import gpuvgm", 1, alone, {"import numpy": numpy, AIM: LARGEST_SECONDS}, {AIM: 1.0}),
        Measurement("import gpuvgm, first use of TableTransformer", 1, used, {"import numpy": numpy}),
    ]


def import_seconds(statement: str, repeats: int = 5) -> float:
    """Best seconds of a statement in a fresh interpreter, the files being in the page cache."""
    command = [sys.executable, "-c", _TIMED.format(statement=statement)]
    runs = [subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True) for _ in range(repeats)]
    return min(float(run.stdout) for run in runs)

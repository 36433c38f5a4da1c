"""Parts of a benchmark in processes of their own, whose memory and libraries are no other part's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from benchmarks.machine import ROOT

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

"""A few cases of every target; `make fuzz` runs many."""

from __future__ import annotations

import subprocess
import sys

from tests.fuzz.targets import TARGETS

CASES, MINUTES = 10, 0.35  # of each target; of all together, where that is less


def test_a_few_cases_of_every_target_end_as_they_may() -> None:
    command = [sys.executable, "-m", "tests.fuzz", "--cases", str(CASES), "--minutes", str(MINUTES)]
    done = subprocess.run([*command, "--side-by-side", "2"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [name for name in TARGETS if f"| {name} |" not in done.stdout] == []

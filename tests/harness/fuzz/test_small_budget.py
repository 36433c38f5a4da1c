"""A few cases of every target; `make fuzz` runs many."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.harness.fuzz.targets import TARGETS


@pytest.mark.parametrize(
    ("cases", "minutes"),  # of each target; of all together, where that is less
    [(2, 0.1), pytest.param(10, 0.35, marks=pytest.mark.exhaustive)],
)
def test_a_few_cases_of_every_target_end_as_they_may(cases: int, minutes: float) -> None:
    command = [sys.executable, "-m", "tests.harness.fuzz", "--cases", str(cases), "--minutes", str(minutes)]
    done = subprocess.run([*command, "--side-by-side", "2"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [name for name in TARGETS if f"| {name} |" not in done.stdout] == []

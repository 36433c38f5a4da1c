"""Resident memory of a process that does the same many times over: it stays where it was."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import gpuvgm

SCRIPT = """
import resource, sys
import gpuvgm
folder, stage, runs = sys.argv[1], sys.argv[2], int(sys.argv[3])
file, encoded, back = f"{folder}/in.parquet", f"{folder}/e.parquet", f"{folder}/b.parquet"
settings = {"effort": "research", "max_iter": 3, "threads": 2, "block_rows": 1 << 17}
fitted = gpuvgm.load(f"{folder}/model").set_params(threads=2, block_rows=1 << 17)
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() / 2**20
found = []
for run in range(runs):
    if stage == "fit":
        gpuvgm.TableTransformer(**settings).fit(file)
    else:
        fitted.transform(file, out=encoded)
        fitted.inverse_transform(encoded, out=back)
    found.append(resident())
print(max(found[3:8]), max(found[-5:]))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="resident memory is read from /proc")
@pytest.mark.parametrize("runs", [14, pytest.param(50, marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("stage", ["transform", "fit"])
def test_many_runs_leave_memory_where_five_did(stage: str, runs: int, tmp_path: Path) -> None:
    gpuvgm.generate(tmp_path / "in.parquet", 1_000_000)
    gpuvgm.TableTransformer(effort="research", max_iter=3).fit(tmp_path / "in.parquet").save(tmp_path / "model")
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), stage, str(runs)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    early, late = map(float, done.stdout.split())
    assert late <= 1.02 * early, f"{early:.0f} MiB after five runs, {late:.0f} MiB after {runs}"

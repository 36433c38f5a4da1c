"""Memory of a run from file to file: bounded by the block size, whatever the file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import gpuvgm

SCRIPT = """
import sys
import gpuvgm
folder, rows = sys.argv[1], int(sys.argv[2])
t = gpuvgm.TableTransformer(block_rows=1 << 17, max_iter=3).fit(f"{folder}/in.parquet")
t.transform(f"{folder}/in.parquet", out=f"{folder}/encoded.parquet")
t.inverse_transform(f"{folder}/encoded.parquet", out=f"{folder}/back.parquet")
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(peak.split()[1]) / 1024)
"""


def peak_mib(folder: Path, rows: int, row_group: int) -> float:
    """Peak memory of a fresh process that fits, transforms and inverts a file of one column."""
    gpuvgm.generate(folder / "whole.parquet", rows)
    pq.write_table(pq.read_table(folder / "whole.parquet"), folder / "in.parquet", row_group_size=row_group)
    command = [sys.executable, "-c", SCRIPT, str(folder), str(rows)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_one_huge_row_group_needs_no_more_memory_than_small_ones(tmp_path: Path) -> None:
    few = peak_mib(tmp_path, 500_000, 100_000)
    many = peak_mib(tmp_path, 12_000_000, 12_000_000)
    assert many < few + 120, f"{few:.0f} MiB for small row groups, {many:.0f} MiB for one of 12 million rows"
    assert pq.ParquetFile(tmp_path / "in.parquet").num_row_groups == 1

"""Memory of a run: from file to file bounded by the block size, in wide tables by what is kept of each column."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
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


def test_a_wide_table_costs_little_more_than_its_summaries(random: np.random.Generator) -> None:
    """A directory of 1 MiB was kept of each column."""
    table = {f"x{i}": random.standard_normal(10_000) for i in range(200)}
    gpuvgm.TableTransformer(effort="research", max_iter=3).fit({"x": table["x0"]})
    tracemalloc.start()
    try:
        transformer = gpuvgm.TableTransformer(effort="research", max_iter=3, threads=2).fit(table)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    summaries = sum(40 * len(summary.cell) for summary in transformer.summaries_.values())
    assert peak < 2 * summaries + (8 << 20), f"{peak >> 20} MiB for summaries of {summaries >> 20} MiB"


def test_progress_of_columns_that_are_read_in_groups() -> None:
    random, done = np.random.default_rng(0), list[int]()
    table = {f"x{i}": random.standard_normal(10_000) for i in range(150)}

    def note(stage: str, rows: int, total: int | None) -> None:
        if stage == "fit":
            assert total == 10_000
            done.append(rows)

    gpuvgm.TableTransformer(effort="research", max_iter=3, threads=2, progress=note).fit(table)
    assert len(done) > 2 and done == sorted(set(done)) and done[-1] == 10_000

"""What tables of many sizes take: which commands run, what the table shows, and that memory is a process's own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from benchmarks import resources
from benchmarks.machine import describe_machine
from benchmarks.measure import documents
from benchmarks.usage import Usage, timed


def test_every_table_is_measured_with_every_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def run(arguments: list[str], folder: Path) -> Usage:
        commands.append(arguments)
        return Usage(1.5, 300 << 20, 2.0)

    def write(command: list[str], folder: Path) -> None:
        Path(command[3]).write_bytes(bytes(1 << 20))

    monkeypatch.setattr(resources, "run", run)
    monkeypatch.setattr(resources, "timed", write)
    monkeypatch.setattr(resources, "available_threads", lambda: 4)
    rows = resources.measure(1_000_000, 10)
    tables, settings = 2 * 2, 2 * 2  # numbers of rows and of columns; formats and numbers of threads
    limited = [command for command in commands if "--memory" in command]
    assert len(rows) == len(commands) == 3 * (tables * settings + 2)
    assert [command[0] for command in commands] == ["fit", "transform", "inverse"] * (tables * settings + 2)
    assert all(command[1].endswith("parquet") for command in limited) and len(limited) == 2 * 3
    shown = list(resources.table(json.dumps(one) for one in documents("resources", describe_machine(), rows)))
    assert shown[-1] == "| 1,000,000 | 10 | CSV, 0.00 GiB | 4 |  | 2.0 s | 2.0 s | 2.0 s | 0.29 GiB |"
    assert "| 1,000,000 | 1 | Parquet, 0.00 GiB | 4 | 1GiB |" in "\n".join(shown)
    assert len([line for line in shown if line.startswith("| 1")]) == tables * settings + 2


def test_few_rows_and_columns_are_a_table_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "run", lambda arguments, folder: Usage(1.0, 1, 1.0))
    monkeypatch.setattr(resources, "timed", lambda command, folder: Path(command[3]).touch())
    assert {(row.rows, row.details["columns"]) for row in resources.measure(500, 3)} == {(500, 1)}


def test_a_table_has_as_many_rows_in_any_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "PART_ROWS", 400)
    for ending in resources.FORMATS:
        resources.write_table(tmp_path / f"table.{ending}", 1_000, 6)
    table = pq.read_table(tmp_path / "table.parquet")
    assert table.shape == (1_000, 6)
    values = table.column(0).to_numpy()
    assert not np.array_equal(values[:400], values[400:800])
    assert pa.csv.read_csv(tmp_path / "table.csv").column(0).to_numpy() == pytest.approx(values)


@pytest.mark.exhaustive
def test_commands_run(tmp_path: Path) -> None:
    rows = resources.measure(1_000, 1)
    assert all(row.seconds > 0 and row.details["peak_memory"] > 50 << 20 for row in rows)


def test_memory_of_a_process_is_its_own(tmp_path: Path) -> None:
    """That of the process which starts it, several hundred MiB here, is no part of it."""
    ballast = np.ones(50 << 20, np.uint8)
    small = timed([sys.executable, "-S", "-c", "pass"], tmp_path)
    large = timed([sys.executable, "-S", "-c", "x = bytes([1]) * (100 << 20); sum(range(10**6))"], tmp_path)
    assert small.peak_memory < len(ballast) < large.peak_memory
    assert large.cpu_seconds > 0 < large.seconds


def test_a_command_that_fails_is_named(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError, match="exit status 3"):
        timed([sys.executable, "-c", "raise SystemExit(3)"], tmp_path)

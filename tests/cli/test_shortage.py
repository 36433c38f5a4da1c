"""What a machine runs out of: never called damage of a file, always exit code 3."""

from __future__ import annotations

import errno
import resource
import subprocess
import sys
from unittest.mock import Mock

import pyarrow as pa
import pytest

from gpuvgm.cli import address_space
from gpuvgm.cli.address_space import MIB, check_address_space, needed
from gpuvgm.cli.console import exit_code, explain
from gpuvgm.errors import EnvironmentProblem, InputError
from gpuvgm.execution.aggregate import COLUMN_PROBLEMS
from gpuvgm.io import open_source
from tests.io.conftest import write_file

SHORTAGES = [
    pa.ArrowMemoryError("malloc of size 9 failed"),
    MemoryError("std::bad_alloc"),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
    OSError("ZSTD decompression failed: Allocation error : not enough memory"),
    pa.ArrowException("Unknown error: Failed to launch worker thread: Resource temporarily unavailable"),
    RuntimeError("can't start new thread"),
]


@pytest.mark.parametrize("problem", SHORTAGES, ids=repr)
def test_a_shortage_is_the_environment_s(problem):
    assert exit_code(problem) == 3
    told = explain(problem)
    assert "--threads" in told and ("out of memory" in told or "cannot start more threads" in told)
    assert not isinstance(problem, COLUMN_PROBLEMS)


@pytest.fixture(params=["parquet", "csv", "arrow"])
def source(request, tmp_path):
    return write_file(pa.table({"x": [1.0, 2.0]}), tmp_path / f"a.{request.param}")


READERS = {
    "parquet": "gpuvgm.io.parquet.open_parquet",
    "csv": "pyarrow.csv.read_csv",
    "arrow": "gpuvgm.io.ipc.open_ipc",
}


@pytest.mark.parametrize(
    "problem", [problem for problem in SHORTAGES if not isinstance(problem, RuntimeError)], ids=repr
)
def test_a_shortage_while_a_file_is_read_is_no_damage(source, monkeypatch, problem):
    opened = open_source(source)
    monkeypatch.setattr(READERS[source.suffix[1:]], Mock(side_effect=problem))
    with pytest.raises(type(problem)) as caught:
        list(opened.blocks(["x"], 4096))
    with pytest.raises(type(problem)):
        open_source(source)
    assert caught.value is problem or str(caught.value) == str(problem)
    monkeypatch.setattr(READERS[source.suffix[1:]], Mock(side_effect=pa.ArrowInvalid("wrong")))
    with pytest.raises(InputError):
        open_source(source)


def test_a_limit_of_address_space_that_is_too_small_is_refused_before_anything_is_loaded(tmp_path):
    # A shell sets the limit: the process of the tests may be larger, and could start nothing once it is set.
    command = ["sh", "-c", f'ulimit -v {600 * 1024} && exec "$0" -m gpuvgm doctor', sys.executable]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stdout) == (3, "")
    assert run.stderr.startswith("gpuvgm: the address space limit (ulimit -v) is 600 MiB")
    assert run.stderr.count("\n") == 1 and "; raise the limit" in run.stderr


@pytest.mark.parametrize(
    ("threads", "asked"), [(4, {}), (1, {"OPENBLAS_NUM_THREADS": "1"}), (2, {"OMP_NUM_THREADS": "2"})]
)
def test_the_limit_that_is_needed_goes_by_the_threads_of_openblas(monkeypatch, threads, asked):
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in asked.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(address_space.os, "sched_getaffinity", lambda _: set(range(4)))
    for limit in (needed(threads), resource.RLIM_INFINITY):
        monkeypatch.setattr(address_space.resource, "getrlimit", lambda _, limit=limit: (limit, limit))
        check_address_space()
    monkeypatch.setattr(address_space.resource, "getrlimit", lambda _: (needed(threads) - 1, needed(threads) - 1))
    with pytest.raises(
        EnvironmentProblem, match=f"{needed(threads) // MIB} MiB are needed for {threads} OpenBLAS thread"
    ):
        check_address_space()

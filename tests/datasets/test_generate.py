"""Generated amounts: a function of seed and row, with the distribution that is promised."""

from __future__ import annotations

import subprocess
import sys
import threading
from unittest.mock import Mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, strategies as st
from scipy import stats

from gpuvgm.datasets import amounts, generate
from gpuvgm.datasets.amounts import AMOUNT_CAP, AMOUNT_LOG_MEANS, AMOUNT_LOG_SDS, AMOUNT_WEIGHTS, amount
from gpuvgm.datasets.ranges import CHUNK_ROWS
from gpuvgm.errors import InputError
from gpuvgm.execution import LocalExecutor
from gpuvgm.io.parquet import read_metadata

ROWS = 3 * CHUNK_ROWS
ALL = amount(0, ROWS, seed=7)


@given(first=st.integers(0, ROWS), stop=st.integers(0, ROWS))
def test_any_range_alone_has_the_same_bits(first, stop):
    first, stop = sorted((first, stop))
    np.testing.assert_array_equal(amount(first, stop - first, seed=7), ALL[first:stop])


def test_far_rows_need_no_rows_before():
    far = 10**12
    np.testing.assert_array_equal(amount(far, 10), amount(far - 5, 100)[5:15])


def test_seeds_and_chunks_differ():
    assert (amount(0, 1000, seed=8) != ALL[:1000]).mean() > 0.9
    assert (ALL[:CHUNK_ROWS] != ALL[CHUNK_ROWS : 2 * CHUNK_ROWS]).mean() > 0.9
    assert len(amount(0, 10, seed=2**64 - 1)) == 10


def test_values_are_cents_between_zero_and_the_cap():
    assert ALL.dtype == np.float64
    assert ALL.min() == 0.0
    assert ALL.max() <= AMOUNT_CAP
    np.testing.assert_array_equal(np.round(ALL, 2), ALL)


def test_the_cap_holds(monkeypatch):
    monkeypatch.setattr(amounts, "AMOUNT_CAP", 100.25)
    np.testing.assert_array_equal(amount(0, ROWS, seed=7), np.minimum(ALL, 100.25))


def test_the_distribution_is_the_mixture():
    rows = 1_000_000
    values = amount(0, rows, seed=11)
    assert abs((values == 0).mean() - 0.02) < 4 * np.sqrt(0.02 * 0.98 / rows)
    edges = np.array([0.505, 1.005, 2.005, 5.005, 10.005, 20.005, 50.005, 100.005, 500.005, 2000.005])
    below = stats.norm.cdf((np.log(edges)[:, None] - AMOUNT_LOG_MEANS) / AMOUNT_LOG_SDS) @ AMOUNT_WEIGHTS
    expected = 0.02 + 0.98 * below
    observed = (values[:, None] < edges).mean(axis=0)
    assert np.all(np.abs(observed - expected) < 4.5 * np.sqrt(expected * (1 - expected) / rows))


@pytest.mark.parametrize("block_rows", [1000, 65_536, 100_003, 10**6])
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.covering(1)
def test_the_file_holds_the_function(tmp_path, block_rows, threads):
    rows = 150_000
    done = generate(tmp_path / "a.parquet", rows, seed=7, block_rows=block_rows, executor=LocalExecutor(threads))
    table = pq.read_table(tmp_path / "a.parquet")
    np.testing.assert_array_equal(table.column("Amount").to_numpy(), ALL[:rows])
    assert table.schema.types == [pa.float64()]
    assert (done.rows, done.bytes) == (rows, (tmp_path / "a.parquet").stat().st_size)
    assert read_metadata(done.path) == {"gpuvgm.kind": "amount", "gpuvgm.seed": "7"}


def test_no_rows_make_an_empty_table(tmp_path):
    generate(tmp_path / "a.parquet", 0)
    assert pq.read_table(tmp_path / "a.parquet").num_rows == 0


def test_one_file_begins_again(tmp_path, caplog):
    for resume in (False, True):
        generate(tmp_path / "a.parquet", 1_000, resume=resume)
    assert [line.message for line in caplog.records] == ["--resume: one file is written as a whole; it begins again"]


def test_progress_reaches_all_rows(tmp_path):
    seen = []
    generate(tmp_path / "a.parquet", 25_000, block_rows=10_000, executor=LocalExecutor(1, seen.append))
    assert seen == [10_000, 20_000, 25_000]


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (10, {"kind": "amounts"}, 'kind "amounts" cannot be generated; there is: amount, mixed-table'),
        (10, {"first_row": -1}, "rows must not be negative"),
        (-1, {}, "rows must not be negative"),
        (10, {"seed": -1}, r"seed must be in \[0, 2\*\*64\)"),
        (10, {"seed": 2**64}, r"seed must be in \[0, 2\*\*64\)"),
        (10, {"block_rows": 0}, "block_rows must be at least 1"),
    ],
)
def test_what_cannot_be_generated_is_refused_before_writing(tmp_path, rows, options, message):
    with pytest.raises(InputError, match=message):
        generate(tmp_path / "a.parquet", rows, **options)
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_leaves_nothing(tmp_path):
    before = set(threading.enumerate())
    with pytest.raises(KeyboardInterrupt):
        generate(
            tmp_path / "a.parquet",
            10**6,
            block_rows=1000,
            executor=LocalExecutor(2, Mock(side_effect=KeyboardInterrupt)),
        )
    assert list(tmp_path.iterdir()) == []
    assert set(threading.enumerate()) <= before


PEAK = """
import sys
from gpuvgm.datasets import generate
def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
generate(sys.argv[1], 1_000_000, block_rows=1 << 17)  # as many blocks as are under way at a time
before = peak()
generate(sys.argv[1], int(sys.argv[2]), block_rows=1 << 17)
print((peak() - before) // 1024)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_rows(tmp_path):
    command = [sys.executable, "-c", PEAK, str(tmp_path / "a.parquet"), "10000000"]
    growth = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert growth < 40  # the column alone is 76 MiB

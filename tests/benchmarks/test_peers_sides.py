"""Every side that is measured encodes a column and gets it back, and says honestly what it fitted."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from benchmarks import peers_sides
from benchmarks.machine import peak_memory, peak_memory_of_all
from benchmarks.peers_side import accuracy_of, fit_of
from benchmarks.peers_sides import KNOWN, numbers_of, reason_not_to_run, side_of

ROWS = 3_000
ONE_COLUMN = [side for side in KNOWN if side not in ("onehot",)]


@pytest.fixture
def table() -> pa.Table:
    return pa.table({"x": np.random.default_rng(0).lognormal(3, 1, ROWS)})


@pytest.mark.parametrize("name", ONE_COLUMN)
@pytest.mark.filterwarnings("ignore")  # of libraries that are measured
def test_a_side_gets_a_column_back(name: str, table: pa.Table, monkeypatch: pytest.MonkeyPatch) -> None:
    if reason := reason_not_to_run(name, ROWS):
        pytest.skip(f"{KNOWN[name].words} cannot run here: {reason}")
    monkeypatch.setattr(peers_sides, "SAMPLE_ROWS", 1_000)
    side = side_of(name, ["x"], [])
    rows = side.prepare(table)
    side.fit(rows)
    first, encoded = side.transform(rows), side.transform(rows)
    back = side.collected(side.inverse(encoded))
    assert len(numbers_of(back, "x")) == ROWS
    accuracy = accuracy_of(table, back) | fit_of(table, side, encoded)
    assert accuracy["median_error_sd"] < 1e-6
    assert accuracy["clipped"] < 0.01
    assert -4.7 < accuracy["log_likelihood"] < -4.3  # of the lognormal density: -3 - 0.5 log(2 pi e) = -4.42
    assert side.iterations is not None and side.iterations > 0
    assert np.max(np.abs(side.scalars(first)[0])) <= 0.99 + 1e-6
    (mixture,) = side.mixtures().values()
    assert np.sum(mixture.weights) == pytest.approx(1, abs=1e-4)


def test_a_sample_is_told_and_all_rows_count_in_its_likelihood(
    table: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers_sides, "SAMPLE_ROWS", 20)
    polars_side, whole = side_of("polars", ["x"], []), side_of("scikit-learn", ["x"], [])
    likelihoods = []
    for side in (polars_side, whole):
        rows = side.prepare(table)
        side.fit(rows)
        likelihoods.append(fit_of(table, side, side.transform(rows))["log_likelihood"])
    assert polars_side.sample == 20_000 and whole.sample is None
    assert likelihoods[0] < likelihoods[1] - 0.01


def test_the_formula_in_numpy_is_that_of_predict_proba(table: pa.Table) -> None:
    side = side_of("research", ["x"], [])
    side.fit(table)
    x = np.linspace(-5, 70, 500)
    assert np.allclose(side.shares(x), side.fitted.predict_proba(x[:, None]), atol=1e-12)


def test_dask_draws_apart_in_every_partition() -> None:
    table = pa.table({"x": np.tile(np.random.default_rng(0).normal(0, 1, 500), peers_sides.PARTITIONS)})
    side = side_of("dask", ["x"], [])
    rows = side.prepare(table)
    side.fit(rows)
    mode = side.collected(side.transform(rows))["mode"].to_numpy().reshape(peers_sides.PARTITIONS, -1)
    assert len(side.means) > 1
    assert np.any(mode[0] != mode[1])


def test_reasons_name_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert reason_not_to_run("rdt", peers_sides.SLOW_ROWS + 1) in ("more than 500,000 rows", "no rdt")
    assert reason_not_to_run("compact", 10**9) is None
    monkeypatch.setattr(peers_sides, "find_spec", lambda name: None if name == "torchgmm" else object())
    assert reason_not_to_run("torchgmm", 1) == "no torchgmm"
    monkeypatch.setattr(peers_sides.shutil, "which", lambda name: None)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert reason_not_to_run("spark", 1) == "no Java"


def test_memory_of_a_process_that_was_started_counts() -> None:
    waiting = "import sys; x = bytearray(64 << 20); print(len(x), flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", waiting]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline()
        assert peak_memory_of_all() > peak_memory() + (64 << 20)
        process.communicate()

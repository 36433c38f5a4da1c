"""A small table and its model, made by the command line itself."""

from __future__ import annotations

import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.running import invoke

ROWS = 5000


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    draws = np.random.default_rng(3)
    x = np.where(draws.random(ROWS) < 0.5, draws.normal(0, 1, ROWS), draws.normal(20, 2, ROWS))
    n = draws.integers(0, 100, ROWS)
    table = pa.table({"x": pa.array(x, mask=draws.random(ROWS) < 0.1), "n": n, "word": ["a"] * ROWS})
    pq.write_table(table, folder / "table.parquet")
    invoke("fit", folder / "table.parquet", "--model", folder / "m.gpuvgm", "--columns", "x,n")
    invoke("transform", folder / "table.parquet", folder / "encoded.parquet", "--model", folder / "m.gpuvgm")
    return folder


@pytest.fixture
def evaluation(folder):
    """Arguments of an evaluation of the table."""
    return "evaluate", folder / "table.parquet", "--model", folder / "m.gpuvgm"


@pytest.fixture
def transformation(folder, tmp_path):
    """Arguments that encode the table to e.parquet."""
    return "transform", folder / "table.parquet", tmp_path / "e.parquet", "--model", folder / "m.gpuvgm"


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch):
    for name in [name for name in os.environ if name.startswith("GPUVGM_") and name != "GPUVGM_REQUIRE_NATIVE"]:
        monkeypatch.delenv(name)

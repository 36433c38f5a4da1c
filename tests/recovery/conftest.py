"""Rows in several files, a model of them, and processes that are killed."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gpuvgm


def table(rows, seed=0):
    """Numbers, numbers with gaps, and categories."""
    random = np.random.default_rng(seed)
    amount = np.where(random.random(rows) < 0.4, random.normal(-2, 0.1, rows), random.lognormal(2, 0.7, rows)).round(2)
    gaps = pa.array(random.normal(50, 9, rows), mask=random.random(rows) < 0.1)
    return pa.table({"amount": amount, "gaps": gaps, "word": random.choice(["a", "bb", "ccc"], rows)})


def contents(folder):
    """Names and bytes of all files but the manifest."""
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.name != "_manifest.json"}


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """A folder of three files, and the model of them."""
    folder = tmp_path_factory.mktemp("recovery")
    (folder / "rows").mkdir()
    for number, rows in enumerate((9_000, 1, 11_000)):
        pq.write_table(table(rows, number), folder / "rows" / f"{number}.parquet", row_group_size=4_000)
    gpuvgm.TableTransformer(effort="research").fit(folder / "rows").save(folder / "model.gpuvgm")
    return folder


@pytest.fixture
def rows(shared, tmp_path):
    """A copy of the rows."""
    copy = tmp_path / "rows"
    copy.mkdir()
    for file in (shared / "rows").iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    return copy


@pytest.fixture
def transformer(shared):
    """The model, loaded."""
    return gpuvgm.load(shared / "model.gpuvgm")

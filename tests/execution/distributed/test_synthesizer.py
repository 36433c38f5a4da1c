"""A synthesizer on a cluster: the same counts, network and rows as in one process."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import gpuvgm
from gpuvgm.errors import InferenceWarning
from tests.execution.distributed.working import Clusters
from tests.synthesis.test_attributes import bank


@pytest.mark.parametrize("workers", [1, 3])
def test_counts_and_files_of_a_cluster(tmp_path: Path, clusters: Clusters, workers: int) -> None:
    """Fits of files, and of Dask's frames, count as one process does; workers write the rows that it draws."""
    client: Any = clusters[workers]
    gpuvgm.generate(tmp_path / "rows.parquet", 20_000, kind="mixed-table", block_rows=5_000)
    here = gpuvgm.TableSynthesizer().fit(tmp_path / "rows.parquet")
    there = gpuvgm.TableSynthesizer(executor=client).fit(tmp_path / "rows.parquet")
    assert there.network_.nodes == here.network_.nodes
    for part in ("pairs", "triples"):
        assert all(map(np.array_equal, getattr(there.network_.counts, part), getattr(here.network_.counts, part)))
    there.sample(3_000, out=tmp_path / "sampled")
    assert pq.read_table(tmp_path / "sampled").equals(here.sample(3_000))
    scores = there.score_samples(tmp_path / "rows.parquet")
    assert np.array_equal(scores, here.score_samples(tmp_path / "rows.parquet"))

    import dask.dataframe as dd

    frame = dd.from_pandas(pq.read_table(tmp_path / "rows.parquet").to_pandas()[["amount", "channel", "score"]], 3)
    lazy = gpuvgm.TableSynthesizer(executor=client).fit(frame)
    assert lazy.network_.counts.rows == 20_000
    assert list(lazy.sample(10)) == ["amount", "channel", "score"]


def test_keys_and_attributes_of_a_cluster(tmp_path: Path, clusters: Clusters) -> None:
    """Workers find the same keys and attributes, and draw the same rows."""
    client: Any = clusters[3]
    bank().to_parquet(tmp_path / "rows.parquet", row_group_size=1_000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InferenceWarning)
        here = gpuvgm.TableSynthesizer().fit(tmp_path / "rows.parquet")
        there = gpuvgm.TableSynthesizer(executor=client).fit(tmp_path / "rows.parquet")
    assert there.attributes_ == here.attributes_ and len(here.attributes_) == 6
    assert there.identifiers_ == here.identifiers_
    there.sample(3_000, out=tmp_path / "sampled")
    assert pq.read_table(tmp_path / "sampled").equals(here.sample(3_000))

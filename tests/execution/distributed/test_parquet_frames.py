"""Dask's own frames of many small Parquet files, whose optimisation joins them, in processes of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("distributed")

CHECK = """
import sys
from contextlib import nullcontext

import dask
import dask.dataframe as dd
import pandas as pd

import gpuvgm


def check(lazy, alone):
    settings = {"effort": "research", "max_iter": 3, "random_state": 0}
    fitted, expected = (gpuvgm.TableTransformer(**settings).fit(rows) for rows in (lazy, alone))
    encoded = fitted.transform(lazy)
    assert encoded.npartitions == lazy.npartitions and encoded.divisions == lazy.divisions
    same = expected.transform(alone)
    pd.testing.assert_frame_equal(encoded.compute().reset_index(drop=True), same)
    narrow = encoded[["x.scalar", "x.mode"]].compute()  # Dask takes what is not wanted out of the graph
    pd.testing.assert_frame_equal(narrow.reset_index(drop=True), same[["x.scalar", "x.mode"]])
    back = fitted.inverse_transform(encoded).compute()
    pd.testing.assert_frame_equal(back.reset_index(drop=True), expected.inverse_transform(same), check_dtype=False)


def of_dask_cudf(folder):
    # The frame of dask_cudf.read_parquet(folder), with the engine of pandas, which needs no GPU.
    from dask.dataframe.dask_expr import new_collection
    from dask.dataframe.io.parquet.arrow import ArrowDatasetEngine
    from dask_cudf.io.parquet import CudfReadParquetFSSpec, NoOp

    dask.config.set({"dataframe.backend": "pandas"})
    settings = {"filesystem": "fsspec", "blocksize": "256MiB", "kwargs": {"dtype_backend": None}}
    return new_collection(NoOp(CudfReadParquetFSSpec(folder, engine=ArrowDatasetEngine, **settings)))


def main(folder, filesystem, where):
    assert "distributed" not in sys.modules or filesystem == "dask_cudf"
    frame = of_dask_cudf(folder) if filesystem == "dask_cudf" else dd.read_parquet(folder, filesystem=filesystem)
    order = [int(part.path[-10:-8]) for part in frame.expr.fragments] if filesystem == "arrow" else range(12)
    whole = pd.concat([pd.read_parquet(f"{folder}/{n:02}.parquet") for n in order], ignore_index=True)
    client = nullcontext()
    if where == "client":
        client = gpuvgm.cluster(workers=1, processes=False, gpus=False)
    with client:
        check(frame, whole)
        few = whole.y % 3 == 0
        check(frame[frame.y % 3 == 0][["x", "city"]], whole[few][["x", "city"]].reset_index(drop=True))
        check(frame.assign(z=frame.x * 2), whole.assign(z=whole.x * 2))
        check(frame[["x"]].repartition(npartitions=5), whole[["x"]])


if __name__ == "__main__":
    main(*sys.argv[1:])
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve small files, no two of one length."""
    place = tmp_path_factory.mktemp("parts")
    random = np.random.default_rng(0)
    for number in range(12):
        rows = 60 + number
        columns = {"x": random.normal(size=rows), "city": random.choice(list("ab"), rows)}
        pd.DataFrame(columns | {"y": np.arange(rows) + 100 * number}).to_parquet(place / f"{number:02}.parquet")
    return place


@pytest.mark.parametrize("where", ["client", "no client"])
@pytest.mark.parametrize("filesystem", ["arrow", "fsspec", "dask_cudf"])
def test_frames_of_many_small_files(folder: Path, tmp_path: Path, filesystem: str, where: str) -> None:
    if filesystem == "dask_cudf":
        pytest.importorskip("dask_cudf", reason="RAPIDS is not installed: pip install gpuvgm[cu13]")
    script = tmp_path / "check.py"
    script.write_text(CHECK)
    command = [sys.executable, str(script), str(folder), filesystem, where]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]

"""Every kind of frame that Dask and dask-cudf make gives what its rows give in one process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import gpuvgm
from tests.execution.distributed.working import lazy_frame, model_of, parts_of
from tests.mixture.closeness import assert_same_parameters

pytest.importorskip("distributed")
dask = pytest.importorskip("dask")
dd = pytest.importorskip("dask.dataframe")
pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:.*inplace:DeprecationWarning"),  # Dask's reader, with pandas 3.1
]
FILES, LENGTH = 6, 900
SETTINGS: dict[str, Any] = {"effort": "research", "max_iter": 2, "random_state": 0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small files, no two of one length."""
    place, random = tmp_path_factory.mktemp("parts"), np.random.default_rng(0)
    for number in range(FILES):
        rows = LENGTH + number
        columns = {"x": random.normal(size=rows), "city": random.choice(list("ab"), rows)}
        pd.DataFrame(columns | {"y": np.arange(rows) + 1000 * number}).to_parquet(place / f"{number}.parquet")
    return place


def whole(folder: Path) -> pd.DataFrame:
    return pd.concat([pd.read_parquet(folder / f"{n}.parquet") for n in range(FILES)], ignore_index=True)


def arrow(folder: Path) -> Any:
    return dd.read_parquet(folder, filesystem="arrow")


def fsspec(folder: Path) -> Any:
    return dd.read_parquet(folder, filesystem="fsspec")


def of_dask_cudf(folder: Path) -> Any:
    """The frame of dask_cudf.read_parquet(folder), with the engine of pandas, which needs no GPU."""
    pytest.importorskip("dask_cudf", reason="RAPIDS is not installed: pip install gpuvgm[cu13]")
    from dask.dataframe.dask_expr import new_collection
    from dask.dataframe.io.parquet.arrow import ArrowDatasetEngine
    from dask_cudf.io.parquet import CudfReadParquetFSSpec, NoOp

    settings = {"filesystem": "fsspec", "blocksize": "256MiB", "kwargs": {"dtype_backend": None}}
    return new_collection(NoOp(CudfReadParquetFSSpec(str(folder), engine=ArrowDatasetEngine, **settings)))


def with_empty_partitions(folder: Path) -> Any:
    return lazy_frame(parts_of(whole(folder), 0, 2500, 2500, 2501, 5000))


def with_other_categories(folder: Path) -> Any:
    """Pandas numbers few categories with int8, more with int16, and a frame may know none before it is read."""
    rows = whole(folder)
    words = rows.assign(city=[f"w{row % 300}" for row in range(len(rows))])
    parts = [part.astype({"city": "category"}) for part in parts_of(words, 100, 100)]
    unknown = parts[0].iloc[:0].astype({"city": pd.CategoricalDtype(["__UNKNOWN_CATEGORIES__"])})
    return dd.from_delayed([dask.delayed(part) for part in parts], meta=unknown, verify_meta=False)


def with_other_indices(folder: Path) -> Any:
    parts = parts_of(whole(folder), 200, 3000)
    for place, kind in enumerate((pa.int8(), pa.int16(), pa.int32())):
        codes = pa.array((parts[place].city == "b").to_numpy(np.int8), kind)
        words = pa.DictionaryArray.from_arrays(codes, pa.array(["a", "b"]))
        parts[place] = parts[place].assign(city=pd.arrays.ArrowExtensionArray(words))
    return lazy_frame(parts, enforce_metadata=False)


def changed(make: Callable[[Path], Any], function: Callable[[Any], Any], folder: Path) -> Any:
    return function(make(folder))


def some(frame: Any) -> Any:
    return frame[frame.y % 3 == 0]


MADE: dict[str, Callable[[Path], Any]] = {
    "arrow": arrow,
    "fsspec": fsspec,
    "dask_cudf": of_dask_cudf,
    "dask_cudf, filtered and projected": partial(changed, of_dask_cudf, lambda frame: some(frame)[["x", "y"]]),
    "fused": partial(changed, arrow, lambda frame: frame.optimize()),
    "filtered": partial(changed, arrow, some),
    "filtered by the reader": lambda folder: dd.read_parquet(folder, filters=[("y", ">", 1300)]),
    "projected": partial(changed, arrow, lambda frame: frame[["x", "y"]]),
    "assigned": partial(changed, arrow, lambda frame: frame.assign(z=frame.x * 2)),
    "repartitioned": partial(changed, arrow, lambda frame: frame.repartition(npartitions=4)),
    "shuffled": partial(changed, fsspec, lambda frame: frame.shuffle("y", shuffle_method="tasks")),
    "set_index": partial(changed, fsspec, lambda frame: frame.set_index("y", drop=False, shuffle_method="tasks")),
    "persisted": partial(changed, fsspec, lambda frame: frame.persist()),
    "from_pandas": lambda folder: dd.from_pandas(whole(folder), npartitions=4),
    "from_delayed": lambda folder: dd.from_delayed([dask.delayed(part) for part in parts_of(whole(folder), 3000)]),
    "empty partitions": with_empty_partitions,
    "other categories": with_other_categories,
    "other indices": with_other_indices,
}


@pytest.fixture(params=["threads", "workers"])
def where(request: pytest.FixtureRequest) -> Iterator[str]:
    """Dask's threads, or two workers in processes of their own."""
    if request.param == "workers":
        request.getfixturevalue("client")
        yield request.param
        return
    with dask.config.set(scheduler="threads"):
        yield request.param


@pytest.fixture(params=MADE)
def frame(request: pytest.FixtureRequest, where: str, folder: Path) -> Any:
    """A frame of each kind."""
    with dask.config.set({"dataframe.backend": "pandas"}):
        return MADE[request.param](folder)


@pytest.mark.covering(1)
def test_a_frame_gives_what_its_rows_give(frame: Any, where: str) -> None:
    rows = frame.compute().reset_index(drop=True)  # where Dask joins files, it numbers their rows through
    declared = {name: dtype for name, dtype in frame.dtypes.items() if str(dtype) not in ("category", "object")}
    rows = rows.astype(declared)  # with pandas 2, what is declared as object may hold Arrow's strings
    for settings in (SETTINGS | {"algorithm": "exact"}, SETTINGS):
        fitted, expected = (gpuvgm.TableTransformer(**settings).fit(table) for table in (frame, rows))
        assert model_of(fitted) == model_of(expected)
    encoded, same = fitted.transform(frame), expected.transform(rows)
    assert encoded.npartitions == frame.npartitions and encoded.divisions == frame.divisions
    back = fitted.inverse_transform(encoded).compute().reset_index(drop=True)
    pd.testing.assert_frame_equal(encoded.compute().reset_index(drop=True), same)
    narrow = encoded[["x.scalar", "x.mode"]].compute()  # Dask takes what is not wanted out of the graph
    pd.testing.assert_frame_equal(narrow.reset_index(drop=True), same[["x.scalar", "x.mode"]])
    for name, column in expected.inverse_transform(same).items():
        assert back[name].tolist() == column.tolist()
    given = {"n_components": 2, "algorithm": "exact", "max_iter": 2, "random_state": 0}
    ours, theirs = (gpuvgm.BayesianGaussianMixture(**given).fit(table[["x", "y"]]) for table in (frame, rows))
    assert_same_parameters(ours, theirs, 1e-12 if where == "workers" else 0)
    assert ours.predict(frame[["x", "y"]]).compute().tolist() == theirs.predict(rows[["x", "y"]]).tolist()


FRESH = """
import sys

import dask.dataframe as dd

import gpuvgm

assert "distributed" not in sys.modules
frame = dd.read_parquet(sys.argv[1], filesystem="arrow")
fitted = gpuvgm.TableTransformer(effort="research", max_iter=3).fit(frame)
assert len(fitted.transform(frame).compute()) == fitted.model_.rows
"""


def test_a_frame_of_files_in_a_process_that_knows_no_cluster(folder: Path) -> None:
    """Dask loads its scheduler to read statistics of files, within settings that it then takes back."""
    done = subprocess.run([sys.executable, "-c", FRESH, str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def test_labels_that_are_numbers_come_back() -> None:
    frame = pd.DataFrame({0: np.arange(600), 1: np.arange(600) % 7})
    lazy = dd.from_pandas(frame, npartitions=3)
    fitted = gpuvgm.TableTransformer(columns={"0": "id", "1": "continuous"}).fit(lazy)
    decoded = fitted.inverse_transform(fitted.transform(lazy)).compute()
    pd.testing.assert_frame_equal(decoded, frame, check_index_type=False)
    assert gpuvgm.TableSynthesizer().fit(lazy[[1]]).sample(5).columns.tolist() == [1]

"""What a transform says of values that the fit had not seen; the counts are the same for all blocks and workers."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gpuvgm
from gpuvgm import TableTransformer
from gpuvgm.errors import InputError, UnseenWarning
from gpuvgm.io.manifest import MANIFEST

ROWS = 6_000
COUNTS = {
    "amount": {"outside": 3, "clipped": 3, "off_step": 2},
    "age": {"outside": 2, "clipped": 1},
    "score": {"outside": 2},
    "code": {"unknown": 4, "infrequent": 900},
}


@pytest.fixture(scope="module")
def table():
    random = np.random.default_rng(0)
    codes = np.where(np.arange(ROWS) < 900, np.char.add("rare", (np.arange(ROWS) % 30).astype(str)), "often")
    return pa.table(
        {
            "amount": np.round(random.uniform(1, 50, ROWS), 2),
            "age": random.integers(18, 90, ROWS),
            "score": random.uniform(0, 1, ROWS),
            "code": codes,
        }
    )


@pytest.fixture(scope="module")
def fitted(table):
    columns = {"score": "general", "code": {"max_categories": 2, "unknown": "ignore"}}
    return TableTransformer(columns=columns, random_state=0).fit(table)


@pytest.fixture(scope="module")
def strange(table):
    """The table with some values that it did not have."""
    columns = {name: table[name].to_numpy(zero_copy_only=False).copy() for name in table.column_names}
    columns["amount"][[2_000, 3_000, 5_999]] = [1e4, -50.005, 99.999]
    columns["age"][[10, 4_000]] = [17, 1_000]
    columns["score"][[0, 1]] = [-1, 2]
    columns["code"][[1_000, 1_001, 5_000, 5_998]] = "new"
    return pa.table(columns)


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_rows_in_a_gap_between_modes_are_clipped(engine, random):
    x = np.concatenate([random.normal(0, 1, ROWS), random.normal(1_000, 1, ROWS)])
    transformer = TableTransformer(engine=engine).fit({"x": x})
    assert transformer.transform({"x": x}, return_unseen=True)[1] == {}
    strange = {"x": np.array([0.5, 300.0, 999.0, 700.0])}
    assert transformer.transform(strange, return_unseen=True)[1] == {"x": {"clipped": 2}}


@pytest.mark.parametrize("layout", ["compact", "onehot"])
@pytest.mark.parametrize("block_rows", [None, 1_024])
def test_values_are_counted_by_sort(fitted, table, strange, layout, block_rows):
    fitted.set_params(block_rows=block_rows)
    known, none = fitted.transform(table, layout=layout, return_unseen=True)
    assert none == {"code": {"infrequent": 900}}
    assert len(known) == ROWS
    encoded, unseen = fitted.transform(strange, layout=layout, return_unseen=True)
    assert unseen == COUNTS
    assert len(encoded) == ROWS


def test_each_column_is_told_of_once(fitted, strange):
    with pytest.warns(UnseenWarning) as told:
        fitted.set_params(block_rows=1_024).transform(strange)
    assert all(warning.filename == __file__ for warning in told)
    assert [str(warning.message) for warning in told] == [
        'column "amount": 3 values outside the training range (first at pyarrow.Table, row 2000)',
        'column "amount": 2 values off the step that training rows lie on (first at pyarrow.Table, row 3000)',
        'column "age": 2 values outside the training range (first at pyarrow.Table, row 10)',
        'column "score": 2 values outside the training range (first at pyarrow.Table, row 0)',
    ]


def test_batches_tell_at_their_end(fitted, strange):
    batches = fitted.iter_batches(strange, 500, layout="compact")
    with pytest.warns(UnseenWarning) as told:
        assert sum(batch.num_rows for batch in batches) == ROWS
    assert len(told) == 4


def test_far_values_kept_exactly_are_outside_and_not_clipped(table, strange):
    columns = {"columns": {"amount": "continuous"}, "random_state": 0}
    exact = TableTransformer(**columns, tails="exact").fit(table.select(["amount"]))
    _, unseen = exact.transform(strange.select(["amount"]), return_unseen=True)
    assert unseen == {"amount": {"outside": 3, "off_step": 2}}
    research = TableTransformer(**columns, effort="research").fit(table.select(["amount"]))
    encoded, unseen = research.transform(strange.select(["amount"]), return_unseen=True)
    cut = np.count_nonzero(np.abs(encoded["amount.scalar"]) >= np.float32(0.99))
    assert unseen["amount"] == {"outside": 3, "clipped": cut}


def test_a_float32_column_counts_alike(table, strange):
    single = TableTransformer(random_state=0).fit({"x": table["score"].to_numpy().astype(np.float32)})
    _, unseen = single.transform({"x": strange["score"].to_numpy().astype(np.float32)}, return_unseen=True)
    assert unseen == {"x": {"outside": 2, "clipped": 2}}


@pytest.mark.parametrize("out", ["one.parquet", "folder"])
def test_a_file_has_the_same_counts(fitted, strange, tmp_path, out):
    pq.write_table(strange, tmp_path / "rows.parquet")
    summary = fitted.transform(tmp_path / "rows.parquet", out=tmp_path / out, part_rows=2_048)
    assert summary.unseen == COUNTS
    if out == "folder":
        again = fitted.transform(tmp_path / "rows.parquet", out=tmp_path / out, part_rows=2_048, resume=True)
        assert again.unseen == COUNTS
        manifest = json.loads((tmp_path / out / MANIFEST).read_text())
        assert manifest["done"]["part-00002.parquet"]["unseen"]["code"] == {"unknown": [2, 5_000]}
    assert fitted.inverse_transform(tmp_path / out, out=tmp_path / "back.parquet").unseen == {}


def test_workers_count_alike(fitted, strange, tmp_path):
    distributed = pytest.importorskip("distributed")
    pq.write_table(strange, tmp_path / "rows.parquet")
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        there = gpuvgm.TableTransformer(**{**fitted.get_params(deep=False), "executor": client})
        there.model_, there.pandas_dtypes_, there.frame_ = fitted.model_, fitted.pandas_dtypes_, fitted.frame_
        _, unseen = there.transform(tmp_path / "rows.parquet", return_unseen=True)
        summary = there.transform(tmp_path / "rows.parquet", out=tmp_path / "parts", part_rows=2_048)
    assert unseen == summary.unseen == COUNTS


def test_frames_of_dask_are_refused(fitted, strange):
    dataframe = pytest.importorskip("dask.dataframe")
    with pytest.raises(InputError, match="return_unseen cannot be given for frames of Dask"):
        fitted.transform(dataframe.from_pandas(strange.to_pandas(), npartitions=2), return_unseen=True)

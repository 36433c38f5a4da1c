"""Fits and files of a cluster: identical to those of one process, whatever the partitions and the workers."""

from __future__ import annotations

import dataclasses
import datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from sklearn.base import clone

import gpuvgm
from gpuvgm.errors import ColumnsFailed, InputError
from gpuvgm.execution import any_source
from gpuvgm.execution.context import Run
from gpuvgm.execution.dask import DaskExecutor
from gpuvgm.execution.local import LocalExecutor
from gpuvgm.execution.sampling import Sampled
from gpuvgm.io import FileSource
from tests.columns import tables
from tests.execution.distributed.working import is_clean, wait_until

ROWS = 7001
exhaustive = pytest.mark.exhaustive
#: Workers, and rows of a partition.
CUTS = [
    pytest.param(1, 10**6, marks=exhaustive),
    (2, 1001),
    pytest.param(2, 71, marks=exhaustive),
    (3, 500),
]


def everything(rows: int) -> pa.Table:
    """Columns of every kind and type."""
    random = np.random.default_rng(2)
    cents = random.integers(0, 10**6, rows)
    more = {
        "paid": pa.array([Decimal(int(c)).scaleb(-2) for c in cents], pa.decimal128(12, 2)),
        "ok": pa.array(random.random(rows) < 0.3),
        "day": pa.array([datetime.date(2020, 1, 1) + datetime.timedelta(int(d)) for d in cents % 900]),
    }
    table = tables.table(rows, 1)
    for name, column in more.items():
        table = table.append_column(name, column)
    return table


DECLARED = tables.DECLARED | {"paid": "continuous", "ok": "categorical", "day": "continuous"}


def transformer(executor=None, **settings):
    return gpuvgm.TableTransformer(**{"columns": DECLARED, "effort": "research"} | settings, executor=executor)


@pytest.mark.parametrize("fine", [False, True])
def test_workers_read_the_sample_of_files(tmp_path, client, monkeypatch, fine):
    rows = 300_000
    table = pa.table({"row": np.arange(rows), "word": [f"w{i % 9}" for i in range(rows)]})
    for number in range(30):
        pq.write_table(table.slice(number * 10_000, 10_000), tmp_path / f"{number:02}.parquet", row_group_size=3000)
    monkeypatch.chdir(tmp_path)
    source = any_source("*.parquet")
    expected = Sampled.of(Run(source, "native", LocalExecutor(1)), ["row", "word"], 5, fine=fine).rows
    assert Sampled.of(Run(source, "native", LocalExecutor(3)), ["row", "word"], 5, fine=fine).rows.equals(expected)
    monkeypatch.setattr(FileSource, "sample", lambda *_: pytest.fail("the client read the sample"))
    run = Run.over(source, "native", DaskExecutor(client))
    assert Sampled.of(run, ["row", "word"], 5, fine=fine).rows.equals(expected)
    assert len(np.unique(expected["row"].to_numpy())) == len(expected) == 1 << 17


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fit")
    pq.write_table(everything(ROWS), folder / "t.parquet", row_group_size=900)
    return folder


@pytest.fixture(scope="module")
def path(folder):
    return folder / "t.parquet"


@pytest.fixture(scope="module")
def one(path):
    return transformer().fit(path)


def assert_same(ours, theirs):
    """The same model and the same summaries, to the bit."""
    assert ours.model_.fingerprint() == theirs.model_.fingerprint()
    assert_same_summaries(ours, theirs)


def assert_same_summaries(ours, theirs):
    assert ours.summaries_.keys() == theirs.summaries_.keys()
    for name, summary in theirs.summaries_.items():
        for part in dataclasses.fields(summary):
            if part.name != "grid":
                np.testing.assert_array_equal(getattr(ours.summaries_[name], part.name), getattr(summary, part.name))


@pytest.mark.parametrize(("workers", "partition_rows"), CUTS)
def test_the_fit_is_the_same_to_the_bit(clusters, path, one, workers, partition_rows):
    many = transformer(DaskExecutor(clusters[workers], partition_rows=partition_rows)).fit(path)
    assert_same(many, one)
    wait_until(lambda: is_clean(clusters[workers]))


def test_best_effort_and_inferred_kinds(clusters, path):
    wanted = ["price", "city", "age"]
    many = gpuvgm.TableTransformer(wanted, executor=DaskExecutor(clusters[3], partition_rows=999)).fit(path)
    assert_same(many, gpuvgm.TableTransformer(wanted).fit(path))


@pytest.mark.parametrize(("workers", "partition_rows"), CUTS)
@pytest.mark.parametrize("layout", ["compact", "onehot"])
@pytest.mark.covering(1)
def test_files_are_the_same_to_the_byte(clusters, path, one, tmp_path, workers, partition_rows, layout):
    many = transformer(DaskExecutor(clusters[workers], partition_rows=partition_rows))
    many.model_, many.pandas_dtypes_ = one.model_, {}
    one.transform(path, layout=layout, out=tmp_path / "one.parquet")
    many.transform(path, layout=layout, out=tmp_path / "many.parquet")
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "many.parquet").read_bytes()
    one.inverse_transform(tmp_path / "one.parquet", out=tmp_path / "back.parquet")
    many.inverse_transform(tmp_path / "many.parquet", out=tmp_path / "back of many.parquet")
    assert (tmp_path / "back.parquet").read_bytes() == (tmp_path / "back of many.parquet").read_bytes()


@pytest.fixture
def many(client, one):
    """The fitted model on two workers, with many small partitions."""
    found = transformer(DaskExecutor(client, partition_rows=333))
    found.__dict__.update({name: vars(one)[name] for name in ("model_", "summaries_", "pandas_dtypes_")})
    return found


def test_results_in_memory_are_the_same(many, one, path):
    encoded = one.transform(path, seed=5, mode="argmax", dtype="float64")
    assert many.transform(path, seed=5, mode="argmax", dtype="float64").equals(encoded)
    np.testing.assert_array_equal(many.transform(path, layout="onehot"), one.transform(path, layout="onehot"))
    assert many.inverse_transform(encoded).equals(one.inverse_transform(encoded))
    matrix = one.transform(path, layout="onehot")
    back, valid = many.inverse_transform(matrix, return_valid=True)
    there, expected = one.inverse_transform(matrix, return_valid=True)
    np.testing.assert_array_equal(valid, expected)
    assert back.keys() == there.keys()
    for name, values in there.items():
        np.testing.assert_array_equal(back[name], values)


def test_uniforms_belong_to_their_rows(many, one, path):
    uniforms = {"price": np.random.default_rng(0).random(ROWS)}
    assert many.transform(path, uniforms=uniforms).equals(one.transform(path, uniforms=uniforms))


def test_rows_outside_the_range_are_dropped(many, one, path):
    encoded = one.transform(path)
    scalars = np.where(np.arange(ROWS) % 5 == 0, np.nan, encoded.column("price.scalar").to_numpy())
    encoded = encoded.set_column(encoded.schema.get_field_index("price.scalar"), "price.scalar", pa.array(scalars))
    kept = one.inverse_transform(encoded, invalid="drop")
    assert 0 < kept.num_rows < ROWS
    assert many.inverse_transform(encoded, invalid="drop").equals(kept)


def test_batches_are_the_same(many, one, path):
    for ours, theirs in zip(many.iter_batches(path, 1000), one.iter_batches(path, 1000), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_evaluation_is_the_same(many, one, path):
    assert many.evaluate(path).to_dict() == one.evaluate(path).to_dict()


FORMS = {
    "pyarrow": lambda table: table,
    "pandas": lambda table: table.to_pandas(),
    "dict": lambda table: {name: table.column(name).to_numpy() for name in ("price", "ratio", "age", "income")},
    "batches": lambda table: iter(table.to_batches(max_chunksize=700)),
    "reader": lambda table: table.to_reader(max_chunksize=700),
}


@pytest.mark.parametrize("form", FORMS)
def test_rows_in_memory_and_streams_that_are_read_once(client, path, form):
    make, table = FORMS[form], pq.read_table(path)
    names = ["price", "ratio", "age"] if form in ("batches", "reader", "dict") else ["price", "income", "city", "paid"]
    executor = DaskExecutor(client, partition_rows=800)
    many = transformer(executor, columns=names).fit(make(table))
    assert_same(many, transformer(columns=names).fit(make(table)))
    encoded, expected = many.transform(make(table)), transformer(columns=names).fit(make(table)).transform(make(table))
    for name in expected if form == "dict" else expected.columns if form == "pandas" else expected.schema.names:
        np.testing.assert_array_equal(np.asarray(encoded[name]), np.asarray(expected[name]))


def test_csv_files(client, folder):
    table = pq.read_table(folder / "t.parquet").select(["price", "delay", "city"])
    inner = folder / "csv"
    inner.mkdir()
    for number, start in enumerate(range(0, ROWS, 1750)):
        pyarrow.csv.write_csv(table.slice(start, 1750), inner / f"{number}.csv")
    columns = {name: DECLARED[name] for name in table.schema.names}
    alone, spread = transformer(columns=columns), transformer(DaskExecutor(client, partition_rows=500), columns=columns)
    assert_same(spread.fit(inner), alone.fit(inner))
    assert spread.transform(inner).equals(alone.transform(inner))


def test_a_failed_column_and_what_is_left_of_the_fit(client, tmp_path):
    values = np.random.default_rng(0).normal(size=5000)
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"good": values, "bad": np.where(np.arange(5000) == 4321, np.inf, values)}), path)
    many = transformer(DaskExecutor(client, partition_rows=300), columns=None)
    with pytest.raises(ColumnsFailed, match=r"t\.parquet, row 4322") as caught:
        many.fit(path)
    with pytest.raises(ColumnsFailed) as alone:
        transformer(columns=None).fit(path)
    assert str(caught.value) == str(alone.value)
    declared = {"good": "continuous", "bad": {"kind": "continuous", "inf": "missing"}}
    many.set_params(columns=declared).fit_failed(path)
    assert_same(many, transformer(columns=declared).fit(path))


def test_an_error_of_a_row_names_it(many, path, tmp_path):
    table = pq.read_table(path)
    cities = table.column("city").to_pylist()
    cities[5005] = "Atlantis"
    position = table.schema.get_field_index("city")
    pq.write_table(table.set_column(position, "city", pa.array(cities)), tmp_path / "t.parquet")
    with pytest.raises(InputError, match=r"t\.parquet, row 5006.*Atlantis|Atlantis.*t\.parquet, row 5006"):
        many.transform(tmp_path / "t.parquet", out=tmp_path / "out.parquet")
    assert [found.name for found in tmp_path.iterdir()] == ["t.parquet"]


def test_rows_are_added(client, path, tmp_path):
    table = pq.read_table(path)
    found = []
    for executor in (None, DaskExecutor(client, partition_rows=700)):
        grown = transformer(executor).fit(table.slice(0, 4000))
        found.append(grown.partial_fit(table.slice(4000)))
    assert_same(*found)


@pytest.mark.parametrize(
    ("effort", "workers", "partition_rows"),
    [
        ("research", 2, 2001),
        pytest.param("best", 3, 1001, marks=exhaustive),
        pytest.param("research", 2, 71, marks=exhaustive),
    ],
)
def test_exact_fits_are_the_same_to_the_bit(clusters, path, effort, workers, partition_rows):
    names = {"delay": DECLARED["delay"]}
    settings = {"columns": names, "algorithm": "exact", "effort": effort, "max_iter": 20}
    theirs = transformer(**settings).fit(path)
    ours = transformer(DaskExecutor(clusters[workers], partition_rows=partition_rows), **settings).fit(path)
    assert_same(ours, theirs)
    assert ours.columns_["delay"].fit.algorithm == "exact"
    assert ours.columns_["delay"].fit.rows == ROWS
    wait_until(lambda: is_clean(clusters[workers]))


def test_progress_adds_up(client, path, tmp_path):
    seen = []
    many = transformer(DaskExecutor(client, partition_rows=500), progress=lambda *step: seen.append(step))
    many.fit(path).transform(path, out=tmp_path / "out.parquet")
    assert seen[-1] == ("transform", ROWS, ROWS)
    assert {total for stage, _, total in seen if stage != "search modes"} == {ROWS}
    assert [done for stage, done, _ in seen if stage == "transform"] == [*range(500, ROWS, 500), ROWS]


def test_a_client_is_an_executor(client, path):
    columns = ["price"]
    assert_same(transformer(client, columns=columns).fit(path), transformer(columns=columns).fit(path))


def test_a_transformer_with_a_client_can_be_cloned(client):
    for executor in (client, DaskExecutor(client)):
        cloned = clone(transformer(executor, columns=["price"]).set_output(transform="pandas"))
        assert cloned.executor is executor
        assert cloned.columns == ["price"]
        assert cloned._sklearn_output_config == {"transform": "pandas"}


def test_other_executors_are_refused(path):
    with pytest.raises(InputError, match="executor is a str: give a DaskExecutor, a client of Dask, or None"):
        transformer("two workers").fit(path)

"""Datasets, relations and lazy frames are scanned in batches, and fit as the table of the same rows does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from gpuvgm import TableTransformer
from gpuvgm.errors import InputError, SourceChangedError
from gpuvgm.io import open_source, scans

ROWS = 140_000  # more than the sample that kinds are inferred from


@pytest.fixture(scope="module")
def table() -> pa.Table:
    draws = np.random.default_rng(3)
    amounts = np.sort(np.round(draws.lognormal(3, 1, ROWS), 2))  # its first rows are unlike the others
    return pa.table(
        {
            "amount": pa.array(amounts, mask=draws.random(ROWS) < 0.05),
            "delay": draws.normal(size=ROWS),
            "colour": pa.array(np.array(["red", "blue", None])[draws.integers(0, 3, ROWS)]),
        }
    )


def dataset(table: pa.Table, folder: Path) -> ds.Dataset:
    for part in range(3):
        pq.write_table(table.slice(part * 50_000, 50_000), folder / f"{part}.parquet", row_group_size=20_000)
    return ds.dataset(folder)


def lazy(table: pa.Table, folder: Path) -> pl.LazyFrame:
    return pl.DataFrame(table).lazy()


def lazy_scan(table: pa.Table, folder: Path) -> pl.LazyFrame:
    return pl.scan_parquet(dataset(table, folder).files)


def relation(table: pa.Table, folder: Path) -> Any:
    return pytest.importorskip("duckdb").from_arrow(table)


SCANNED = [dataset, lazy, lazy_scan, relation]


@pytest.mark.parametrize("scanned", SCANNED)
@pytest.mark.parametrize("algorithm", ["summary", "exact"])
def test_a_fit_is_that_of_the_table_to_the_bit(
    table: pa.Table, tmp_path: Path, scanned: Callable[..., Any], algorithm: str
) -> None:
    source = scanned(table, tmp_path)
    few = {"effort": "best", "max_iter": 3} if algorithm == "exact" else {}
    options: dict[str, Any] = {"algorithm": algorithm, "random_state": 5, **few}
    found, expected = TableTransformer(**options).fit(source), TableTransformer(**options).fit(table)
    assert {name: one.kind for name, one in found.columns_.items()} == {
        name: one.kind for name, one in expected.columns_.items()
    }
    for name in ("amount", "delay"):
        for attribute in ("weights", "means", "stds"):
            ours, theirs = (getattr(one.columns_[name], attribute) for one in (found, expected))
            assert ours.tobytes() == theirs.tobytes()
    assert found.columns_["colour"].counts == expected.columns_["colour"].counts
    encoded = found.transform(source, layout="onehot", dtype="float64")
    assert encoded.tobytes() == expected.transform(table, layout="onehot", dtype="float64").tobytes()


@pytest.mark.parametrize(
    ("scanned", "kind"), [(dataset, pa.Table), (lazy, pl.DataFrame), (lazy_scan, pl.DataFrame), (relation, pa.Table)]
)
def test_results_are_tables_of_the_library(
    table: pa.Table, tmp_path: Path, scanned: Callable[..., Any], kind: type
) -> None:
    few = table.slice(0, 2_000)
    transformer = TableTransformer().fit(few)
    encoded = transformer.transform(scanned(few, tmp_path))
    assert isinstance(encoded, kind)
    assert isinstance(transformer.inverse_transform(encoded), kind)
    assert transformer.evaluate(scanned(few, tmp_path)).rows == 2_000


@pytest.mark.parametrize("scanned", [dataset, lazy, lazy_scan])
def test_batches_are_no_longer_than_a_block(table: pa.Table, tmp_path: Path, scanned: Callable[..., Any]) -> None:
    source = open_source(scanned(table, tmp_path))
    if scanned is not dataset and not hasattr(pl.LazyFrame, "collect_batches"):
        pytest.skip("this polars has no collect_batches, and collects all rows of the columns")
    assert max(batch.num_rows for batch in source.scan(["delay"], 10_000)) <= 10_000


def test_a_dataset_keeps_its_own_reading_options(table: pa.Table, tmp_path: Path) -> None:
    files = dataset(table, tmp_path).files
    chosen = ds.ParquetFileFormat(default_fragment_scan_options=ds.ParquetFragmentScanOptions(use_buffered_stream=True))
    assert not scans._fragment_options(ds.dataset(files, format=chosen))
    assert not scans._fragment_options(ds.dataset(table))
    (options,) = scans._fragment_options(ds.dataset(files)).values()
    assert not options.pre_buffer


def computed() -> pl.LazyFrame:
    return pl.LazyFrame({"x": [1.5, 2.5], "text": ["1", "b"]}).with_columns(number=pl.col("text").cast(pl.Int8))


def queried() -> Any:
    query = "select x, t::int8 as number from (values (1.5::double, '1'), (2.5, 'b')) v(x, t)"
    return pytest.importorskip("duckdb").sql(query)  # of its own connection, which stays open


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (computed, r"polars\.LazyFrame: its scan failed: .*conversion.*"),
        (queried, r"duckdb\.DuckDBPyRelation: its scan failed: .*Could not convert.*"),
    ],
)
def test_only_the_columns_asked_for_are_computed(given: Callable[[], Any], message: str) -> None:
    source = open_source(given())
    assert [block.batch.to_pydict() for block in source.blocks(["x"], 10)] == [{"x": [1.5, 2.5]}]
    with pytest.raises(InputError, match=f"{message}; correct it, or pass its rows as a table"):
        list(source.blocks(["number"], 10))


def test_a_damaged_file_of_a_dataset_is_named(table: pa.Table, tmp_path: Path) -> None:
    source = open_source(dataset(table, tmp_path))
    (tmp_path / "1.parquet").unlink()
    with pytest.raises(InputError, match=r"pyarrow\.dataset\.Dataset: its scan failed: .*1\.parquet"):
        list(source.blocks(["delay"], 10_000))


def test_names_of_columns_are_no_patterns() -> None:
    names = ["*", "^x.*$", "x1", 'x"2']
    source = open_source(pl.LazyFrame({name: [number] for number, name in enumerate(names)}))
    assert [block.batch.to_pydict() for block in source.blocks(names[::-1], 5)] == [
        {name: [names.index(name)] for name in names[::-1]}
    ]


def test_names_of_relations_may_differ_in_case_alone() -> None:
    connection = pytest.importorskip("duckdb").connect()
    source = open_source(connection.sql('select 1 as a, 2 as "A", 3 as "x""y"'))
    assert source.schema.names == ["a", "A", 'x"y']
    assert [block.batch.to_pydict() for block in source.blocks(['x"y', "A"], 5)] == [{'x"y': [3], "A": [2]}]


def test_double_names_are_refused() -> None:
    connection = pytest.importorskip("duckdb").connect()
    with pytest.raises(InputError, match=r'duckdb\.DuckDBPyRelation: duplicate column names: "a"; rename them'):
        open_source(connection.sql("select 1 as a, 2 as a"))


def test_rows_that_change_between_scans_are_refused() -> None:
    connection = pytest.importorskip("duckdb").connect()
    connection.sql("create table t as select i as x from range(100) r(i)")
    source = open_source(connection.table("t"))
    connection.sql("delete from t where x < 10")
    with pytest.raises(SourceChangedError, match=r"a scan gave 90 rows, its count 100; .*compute it once"):
        list(source.blocks(["x"], 30))


def test_a_connection_is_free_after_a_part_of_a_scan() -> None:
    connection = pytest.importorskip("duckdb").connect()
    source = open_source(connection.sql("select i as x from range(1000000) r(i)"))
    assert source.sample(["x"], [(3, 2)]).to_pydict() == {"x": [3, 4]}
    blocks = source.blocks(["x"], 10)
    assert next(blocks).rows == 10
    del blocks
    assert connection.sql("select 1").fetchall() == [(1,)]


@pytest.mark.parametrize("scanned", SCANNED)
def test_no_rows_are_legal(table: pa.Table, tmp_path: Path, scanned: Callable[..., Any]) -> None:
    source = open_source(scanned(table.slice(0, 0), tmp_path))
    assert source.rows == 0
    assert list(source.blocks(["delay"], 10)) == []
    assert source.sample(["delay"], []).schema.names == ["delay"]


@pytest.mark.parametrize("scanned", SCANNED)
def test_rows_are_counted_without_columns(table: pa.Table, tmp_path: Path, scanned: Callable[..., Any]) -> None:
    source = open_source(scanned(table.slice(0, 25), tmp_path))
    assert [block.rows for block in source.blocks([], 10)] == [10, 10, 5]

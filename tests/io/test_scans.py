"""Datasets, relations and lazy frames are scanned in batches, and fit as the table of the same rows does."""

from __future__ import annotations

import warnings
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
from gpuvgm.errors import InMemoryWarning, InputError, SourceChangedError, UnseenWarning
from gpuvgm.io import open_source, scans
from gpuvgm.table.encode import Coding

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


@pytest.fixture
def few(table: pa.Table) -> pa.Table:
    return table.slice(0, 2_000)


@pytest.fixture
def transformer(few: pa.Table) -> TableTransformer:
    return TableTransformer().fit(few)


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


@pytest.mark.filterwarnings("ignore::gpuvgm.errors.InMemoryWarning")
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
    encoded = found.transform(source, dtype="float64")
    assert holds(encoded, expected.transform(table, dtype="float64"))


def in_memory(given: Any) -> pa.Table:
    """A table, or what is computed of a lazy one, as Arrow's."""
    if isinstance(given, pa.Table):
        return given
    return given.collect().to_arrow()  # type: ignore[no-any-return]


def holds(given: Any, expected: pa.Table) -> bool:
    """Whether a table has these rows, whatever sort of text its library has."""
    expected = expected.replace_schema_metadata()
    return in_memory(given).replace_schema_metadata().cast(expected.schema).equals(expected)


@pytest.mark.filterwarnings("ignore::gpuvgm.errors.InMemoryWarning")
@pytest.mark.parametrize(
    ("scanned", "kind"),
    [(dataset, "Table"), (lazy, "LazyFrame"), (lazy_scan, "LazyFrame"), (relation, "Table")],
)
def test_results_are_tables_of_the_library(
    few: pa.Table, transformer: TableTransformer, tmp_path: Path, scanned: Callable[..., Any], kind: str
) -> None:
    encoded = transformer.transform(scanned(few, tmp_path))
    decoded = transformer.inverse_transform(encoded)
    assert type(encoded).__name__ == type(decoded).__name__ == kind
    for _ in range(2):  # computed anew
        assert holds(decoded, transformer.inverse_transform(transformer.transform(few)))
    assert transformer.evaluate(scanned(few, tmp_path)).rows == 2_000


@pytest.mark.parametrize("scanned", [dataset, lazy, lazy_scan])
def test_batches_are_no_longer_than_a_block(table: pa.Table, tmp_path: Path, scanned: Callable[..., Any]) -> None:
    source = open_source(scanned(table, tmp_path))
    if scanned is not dataset and not hasattr(pl.LazyFrame, "collect_batches"):
        pytest.skip("this polars has no collect_batches, and collects all rows of the columns")
    assert max(batch.num_rows for batch in source.scan(["delay"], 10_000)) <= 10_000


def test_rows_of_a_dataset_are_those_that_a_scan_gives(tmp_path: Path) -> None:
    """Arrow's own count takes missing numbers for rows that meet a filter, and all row groups of a file for a few."""
    number = np.arange(1.0, 2001.0)
    number[::10] = np.nan
    pq.write_table(pa.table({"x": number, "y": np.arange(2000)}), tmp_path / "a.parquet", row_group_size=500)
    whole = ds.dataset(tmp_path)
    (file,) = whole.get_fragments()
    group = ds.FileSystemDataset([file.subset(row_group_ids=[1])], whole.schema, whole.format, whole.filesystem)
    for given, rows in ((whole.filter(ds.field("x") > 0), 1800), (group, 500), (group.filter(ds.field("x") > 0), 450)):
        assert given.count_rows() > rows == open_source(given).rows
        found, expected = TableTransformer().fit(given), TableTransformer().fit(given.to_table())
        assert found.columns_["x"].means.tobytes() == expected.columns_["x"].means.tobytes()


def test_a_dataset_keeps_its_own_reading_options(table: pa.Table, tmp_path: Path) -> None:
    files = dataset(table, tmp_path).files
    chosen = ds.ParquetFileFormat(default_fragment_scan_options=ds.ParquetFragmentScanOptions(use_buffered_stream=True))
    assert not scans._fragment_options(ds.dataset(files, format=chosen))
    assert not scans._fragment_options(ds.dataset(table))
    (options,) = scans._fragment_options(ds.dataset(files)).values()
    assert not options.pre_buffer


LAZY = [lazy, lazy_scan]


@pytest.mark.parametrize("scanned", LAZY)
def test_a_lazy_result_is_encoded_when_it_is_computed_and_no_further(
    table: pa.Table, tmp_path: Path, scanned: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    transformer = TableTransformer(block_rows=10_000, threads=1).fit(table.slice(0, 2_000))
    encoded_rows: list[int] = []
    parts = Coding.parts

    def counted(coding: Coding, *given: Any) -> Callable[[Any], Any]:
        encode = parts(coding, *given)
        return lambda block: encoded_rows.append(block.rows) or encode(block)  # type: ignore[func-returns-value]

    monkeypatch.setattr(Coding, "parts", counted)
    encoded = transformer.transform(scanned(table, tmp_path))
    assert not encoded_rows
    assert len(encoded.head(5).collect()) == 5
    assert 0 < sum(encoded_rows) < ROWS
    encoded_rows.clear()
    assert in_memory(encoded).num_rows == sum(encoded_rows) == ROWS


@pytest.mark.parametrize("scanned", LAZY)
@pytest.mark.parametrize("layout", ["compact", "onehot"])
def test_lazy_results_have_the_names_and_kept_columns_that_are_asked_for(
    few: pa.Table, transformer: TableTransformer, tmp_path: Path, scanned: Callable[..., Any], layout: Any
) -> None:
    options: dict[str, Any] = {"layout": layout, "names": "{column}_{part}", "keep_original": True, "seed": 3}
    encoded = transformer.transform(scanned(few, tmp_path), **options)
    expected = transformer.transform(few, **options)
    assert holds(encoded, expected)
    decoded = transformer.inverse_transform(encoded, names="{column}_{part}")
    assert holds(decoded, transformer.inverse_transform(expected))


def test_polars_pushes_what_it_needs_into_a_lazy_result(
    few: pa.Table, transformer: TableTransformer, tmp_path: Path
) -> None:
    encoded = transformer.transform(lazy_scan(few, tmp_path))
    whole = encoded.collect()
    for query in (
        lambda frame: frame.filter(pl.col("delay.scalar") > 0).select("colour.mode", "delay.scalar"),
        lambda frame: frame.filter(pl.col("delay.scalar") > 0).select("colour.mode"),
        lambda frame: frame.slice(700, 300).filter(pl.col("colour.mode") == 1),
        lambda frame: frame.head(10).filter(pl.col("colour.mode") == 1),
        lambda frame: frame.filter(pl.col("colour.mode") == 1).head(10),
        lambda frame: frame.select(pl.len(), pl.col("delay.mode").sum()),
        lambda frame: frame.tail(3),
        lambda frame: frame.head(0),
    ):
        assert query(encoded).collect().equals(query(whole))


@pytest.mark.parametrize("scanned", LAZY)
def test_what_is_needed_in_memory_is_held_there(
    few: pa.Table, transformer: TableTransformer, tmp_path: Path, scanned: Callable[..., Any]
) -> None:
    source = scanned(few, tmp_path)
    with pytest.warns(InMemoryWarning, match="with return_unseen the result is held in memory"):
        encoded, unseen = transformer.transform(source, return_unseen=True)
    assert (len(encoded), unseen) == (2_000, {})
    with pytest.warns(InMemoryWarning, match="with return_valid the result is held in memory"):
        _, valid = transformer.inverse_transform(transformer.transform(source), return_valid=True)
    assert valid.all()
    assert isinstance(transformer.set_output(transform="pyarrow").transform(source), pa.Table)
    run = transformer.transform(source, out=tmp_path / "out.parquet")
    assert run.rows == 2_000


def test_results_of_a_relation_are_held_in_memory(few: pa.Table, transformer: TableTransformer, tmp_path: Path) -> None:
    source = relation(few, tmp_path)
    with pytest.warns(InMemoryWarning, match=r"DuckDBPyRelation: the result is held in memory; write it with out="):
        encoded = transformer.transform(source)
    assert holds(encoded, transformer.transform(few))
    assert transformer.transform(source, out=tmp_path / "out.parquet").rows == 2_000
    assert len([*transformer.iter_batches(source, 500)]) == 4


@pytest.mark.parametrize("scanned", LAZY)
def test_problems_of_rows_are_told_when_they_are_computed(
    few: pa.Table,
    transformer: TableTransformer,
    tmp_path: Path,
    scanned: Callable[..., Any],
) -> None:
    other = few.set_column(2, "colour", pa.array(["red", "green"] * 1_000))
    encoded = transformer.transform(scanned(other, tmp_path))
    with pytest.raises(Exception, match=r'column "colour": .*green'):
        in_memory(encoded)
    wide = few.set_column(1, "delay", pa.array([1e9] * 2_000))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoded = transformer.transform(scanned(wide, tmp_path))
    with pytest.warns(UnseenWarning, match='column "delay": 2,000 values outside the training range'):
        in_memory(encoded)


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


class Lance(ds.Dataset):
    """A dataset as pylance 14 has it: a class of Arrow's without files, whose schema is never replaced."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    @property
    def schema(self) -> pa.Schema:
        return self._table.schema

    def replace_schema(self, schema: pa.Schema) -> None:
        raise NotImplementedError("Cannot replace the schema of a dataset.")

    def scanner(self, columns: list[str] | None = None, batch_size: int = 2) -> ds.Scanner:
        return ds.dataset(self._table).scanner(columns=columns, batch_size=batch_size)


def test_datetimes_of_a_dataset_of_another_library_are_read() -> None:
    times = pa.table({"time": pa.array([1, None, 3], pa.timestamp("us")), "n": [1, 2, 3]})
    source = open_source(Lance(times))
    assert source.rows == 3
    assert source.sample(["time", "n"], [(0, 3)]).equals(times)


@pytest.mark.parametrize("is_lazy", [False, True])
def test_named_categories_of_polars_are_those_of_the_results(*, is_lazy: bool) -> None:
    colours = pl.Series("colour", ["red", "blue", None] * 20, pl.Categorical(pl.Categories("colours", "shop")))
    frame = pl.DataFrame([colours, colours.alias("grade").cast(pl.Enum(["red", "blue"]))])
    transformer = TableTransformer().fit(frame.lazy() if is_lazy else frame)
    decoded = transformer.inverse_transform(transformer.transform(frame))
    assert decoded.schema == frame.schema
    assert pl.concat([frame, decoded])["colour"].to_list() == 2 * colours.to_list()

"""Frames of Spark: what the executors fit, encode and decode is what one process does."""

from __future__ import annotations

import datetime as dt
import decimal
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import gpuvgm
from gpuvgm.errors import InputError, SourceChangedError
from gpuvgm.io import open_source
from tests.docs.pages import Block, python_blocks, run_python

pytest.importorskip("pyspark", reason="needs PySpark, which is not installed")
if not (shutil.which("java") or os.environ.get("JAVA_HOME")):
    pytest.skip("needs Java, which is not installed", allow_module_level=True)

from pyspark.errors import PythonException
from pyspark.sql import DataFrame, SparkSession

from gpuvgm.integrations import spark
from gpuvgm.integrations.spark import PartitionReader

ROWS, PARTS = 6000, 5
OPTIONS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.host": "localhost",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.memory": "1g",
    "spark.sql.shuffle.partitions": "2",
    "spark.sql.session.timeZone": "Europe/Berlin",
}


@pytest.fixture(scope="session")
def session() -> Iterator[SparkSession]:
    builder = SparkSession.builder.master("local[1]").appName("tests")
    for name, value in OPTIONS.items():
        builder = builder.config(name, value)
    made = builder.getOrCreate()
    made.sparkContext.setLogLevel("OFF")
    yield made
    made.stop()


def table() -> pa.Table:
    draws = np.random.default_rng(0)
    missing = draws.random(ROWS) < 0.1
    return pa.table(
        {
            "amount": pa.array(draws.lognormal(3, 1, ROWS).round(2), mask=missing),
            "a.b": draws.choice(["x", "y", "ü z"], ROWS),
            "back`tick": draws.integers(0, 100, ROWS),
            "when": pa.array(draws.integers(0, 10**15, ROWS), pa.timestamp("us", tz="UTC")),
            "id": np.arange(ROWS) * 3,
        }
    )


COLUMNS = {"id": {"kind": "id", "regenerate": "sequence"}}


@pytest.fixture(scope="session")
def frame(session: SparkSession) -> DataFrame:
    """The rows in partitions of other lengths, one of them empty."""
    held = session.createDataFrame(table()).repartitionByRange(PARTS, "amount").filter("amount is null or amount > 12")
    held = held.persist()
    assert held.count() < ROWS
    return held


@pytest.fixture(scope="session")
def rows(frame: DataFrame) -> pa.Table:
    return frame.toArrow()


@pytest.fixture(scope="session")
def here(rows: pa.Table) -> gpuvgm.TableTransformer:
    return gpuvgm.TableTransformer(COLUMNS).fit(rows)


def equal(one: pa.Table, other: pa.Table) -> bool:
    bare = [part.combine_chunks().replace_schema_metadata() for part in (one, other)]
    return bool(bare[0].equals(bare[1]))


def test_a_fit_is_that_of_one_process(frame: DataFrame, here: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spark, "BRANCHES", 2)
    fitted = spark.fit(gpuvgm.TableTransformer(COLUMNS), frame)
    assert fitted.fit_report_.rows == here.fit_report_.rows == frame.count()
    assert fitted.model_.digest() == here.model_.digest()


def test_rows_are_encoded_and_decoded_to_the_bit(frame: DataFrame, rows: pa.Table, here: Any) -> None:
    expected = here.transform(rows, first_row=7, seed=3)
    encoded = spark.encode(here, frame, first_row=7, seed=3)
    assert equal(encoded.toArrow(), expected)
    modes = [kind for name, kind in encoded.dtypes if name.endswith(".mode")]
    assert modes == ["tinyint"] * 4
    assert equal(encoded.coalesce(1).toArrow(), expected)  # the partitions have other numbers then
    assert equal(encoded.union(encoded).toArrow().slice(rows.num_rows), expected)
    decoded = spark.decode(here, encoded)
    assert equal(decoded.toArrow(), here.inverse_transform(expected))
    assert decoded.schema == frame.schema


def test_identifiers_that_did_not_come_are_numbered(frame: DataFrame, rows: pa.Table, here: Any) -> None:
    encoded = spark.encode(here, frame, mode="argmax").drop("id")
    expected = here.inverse_transform(here.transform(rows, mode="argmax").drop_columns("id"))
    assert equal(spark.decode(here, encoded).toArrow(), expected)


def test_a_matrix_has_named_columns(frame: DataFrame, rows: pa.Table) -> None:
    few = gpuvgm.TableTransformer({"amount": "mixed"}, layout="onehot").fit(rows.select(["amount", "a.b"]))
    encoded = spark.encode(few, frame)
    matrix = few.transform(rows)
    assert encoded.columns == few.get_feature_names_out().tolist()
    assert np.array_equal(np.column_stack([*map(np.asarray, encoded.toArrow().columns)]), matrix)
    decoded = spark.decode(few, encoded).toArrow()
    assert decoded["a.b"].equals(rows["a.b"])


def test_rows_outside_the_range_are_dropped(session: SparkSession, here: Any, rows: pa.Table) -> None:
    encoded = here.transform(rows.slice(0, 200))
    far = encoded.set_column(
        encoded.schema.names.index("when.scalar"), "when.scalar", pa.array(np.r_[np.full(80, 1.0), np.zeros(120)])
    )
    _, valid = here.inverse_transform(far, return_valid=True)
    given = session.createDataFrame(far)
    assert spark.decode(here, given, invalid="drop").count() == valid.sum() < 200
    assert spark.decode(here, given).count() == 200


def test_exact_em_reads_a_column_to_the_driver(frame: DataFrame, rows: pa.Table) -> None:
    chosen, options = ["back`tick"], {"algorithm": "exact", "effort": "research"}
    fitted = spark.fit(gpuvgm.TableTransformer(**options), frame.select("`back``tick`"))
    expected = gpuvgm.TableTransformer(**options).fit(rows.select(chosen))
    assert fitted.model_.digest() == expected.model_.digest()


def test_faults_are_said_with_their_row(session: SparkSession, frame: DataFrame, here: Any) -> None:
    given = session.createDataFrame(pa.table({"x": [1.0, 2.0, np.inf] * 40})).coalesce(1)
    with pytest.raises(InputError, match=r'column "x": 40 values are infinite \(first at pyspark.DataFrame, row 2\)'):
        spark.fit(gpuvgm.TableTransformer(effort="research"), given)
    with pytest.raises(InputError, match=r'pyspark.DataFrame: .*"amount"'):
        spark.encode(here, given)
    with pytest.raises(InputError, match="no frame of Spark"):
        spark.fit(gpuvgm.TableTransformer(), {"x": [1.0]})  # type: ignore[arg-type]
    other = frame.selectExpr("amount", "'none' as `a.b`", "`back``tick`", "`when`", "id")
    with pytest.raises(PythonException, match=r'begins at row \d+ of the Spark frame: column "a\.b": \d+ values'):
        spark.encode(here, other).collect()


@pytest.mark.parametrize("call", ["fit", "transform", "inverse_transform"])
def test_no_frame_comes_to_the_driver_by_itself(frame: DataFrame, here: Any, call: str) -> None:
    with pytest.raises(InputError, match=r"gpuvgm\.integrations\.spark has fit, encode and decode"):
        getattr(here, call)(frame)


def test_a_partition_that_changed_is_refused() -> None:
    batch = pa.record_batch({"c0": [1, 2, 3], "number": [0, 1, 2]})
    schema = pa.schema([("x", pa.int64())])
    (block,) = PartitionReader(schema, 8, {4: 10}, {4: 3}).blocks(4, [batch])
    assert block.first_row == 10 and block.column("x").to_pylist() == [1, 2, 3]
    for counted in (2, 4):
        with pytest.raises(SourceChangedError, match=r"partition 4 .* than the \d rows that were counted: persist"):
            list(PartitionReader(schema, 8, {4: 10}, {4: counted}).blocks(4, [batch]))


def test_types_that_spark_has_not_become_larger_ones(session: SparkSession) -> None:
    given = pa.table(
        {
            "byte": pa.array(np.arange(200) % 256, pa.uint8()),
            "long": pa.array(np.arange(200, dtype="uint64") * 8192 + 2**63, pa.uint64()),
            "ns": pa.array(np.arange(200) * 1000, pa.timestamp("ns")),
            "half": pa.array(np.arange(200, dtype="float16") / 4),
            "name": pa.array(["a", "b"] * 100).dictionary_encode(),
            "day": pa.array(np.arange(200) * 86_400_000, pa.date64()),
        }
    )
    transformer = gpuvgm.TableTransformer(dict.fromkeys(("byte", "long", "ns", "half", "day"), "continuous")).fit(given)
    encoded = session.createDataFrame(transformer.transform(given))
    decoded = spark.decode(transformer, encoded)
    assert [kind for _, kind in decoded.dtypes] == [
        *("smallint", "decimal(20,0)", "timestamp_ntz", "float", "string", "date")
    ]
    expected = transformer.inverse_transform(transformer.transform(given))
    found = decoded.toArrow()
    for name in given.column_names:
        assert found[name].cast(expected[name].type if name != "name" else pa.string()).to_pylist() == (
            expected[name].to_pylist()
        )


def test_spark_reads_encoded_files(session: SparkSession, here: Any, rows: pa.Table, tmp_path: Path) -> None:
    here.transform(rows, out=tmp_path / "encoded.parquet")
    read = session.read.parquet(str(tmp_path / "encoded.parquet"))
    assert [kind for name, kind in read.dtypes if name.endswith(".mode")] == ["tinyint"] * 4
    assert equal(spark.decode(here, read.coalesce(1)).toArrow(), here.inverse_transform(here.transform(rows)))


BLOCKS = python_blocks({"pyspark"})


def test_spark_reads_files_that_are_written_for_it(session: SparkSession, tmp_path: Path) -> None:
    count = range(100)
    uuids = [uuid.UUID(int=number).bytes for number in count]
    odd = pa.table(
        {
            "half": pa.array([number / 4 for number in count], pa.float16()),
            "at": pa.array([dt.time(number % 24, 5, 0, number) for number in count], pa.time64("us")),
            "second": pa.array([dt.time(number % 24) for number in count], pa.time32("s")),
            "uuid": pa.ExtensionArray.from_storage(pa.uuid(), pa.array(uuids, pa.binary(16))),
            "wide": pa.array([decimal.Decimal(number) for number in count], pa.decimal256(50, 2)),
            "fine": pa.array([10**18 + number for number in count], pa.timestamp("ns", "UTC")),
        }
    )
    kinds = {"uuid": "pass", "wide": "pass"}
    transformer = gpuvgm.TableTransformer(kinds).fit(odd)
    transformer.transform(odd, out=tmp_path / "rows.parquet", keep_original=True, flavor="spark")
    read = session.read.parquet(str(tmp_path / "rows.parquet")).select(*odd.schema.names)
    types = [field.dataType.simpleString() for field in read.schema]
    assert types == ["float", "string", "string", "string", "string", "timestamp"]
    assert read.toArrow().num_rows == 100
    encoded = transformer.transform(odd).drop_columns(["uuid", "wide"])  # which Spark does not take from Arrow
    decoded = spark.decode(transformer, session.createDataFrame(encoded))
    expected = {"half": "float", "at": "string", "second": "string", "fine": "timestamp"}
    assert expected.items() <= dict(decoded.dtypes).items()
    assert decoded.toArrow()["at"].to_pylist() == [f"{number % 24:02}:05:00.{number:06}" for number in count]


def test_intervals_of_months_are_named(session: SparkSession) -> None:
    frame = session.sql("select interval '1-2' year to month as `age`, 1 as n")
    with pytest.raises(
        InputError, match=r'column "age" has type interval year to month, .*: cast it to months, \.cast'
    ):
        spark.fit(gpuvgm.TableTransformer(), frame)
    assert frame.select(frame.age.cast("int")).collect() == [(14,)]


def test_files_that_spark_writes_in_legacy_mode_are_told_of(session: SparkSession, tmp_path: Path) -> None:
    session.conf.set("spark.sql.parquet.datetimeRebaseModeInWrite", "LEGACY")
    try:
        session.sql("select date'1500-01-01' as d").write.parquet(str(tmp_path / "old"))
        session.sql("select date'2020-01-01' as d").write.parquet(str(tmp_path / "new"))
    finally:
        session.conf.unset("spark.sql.parquet.datetimeRebaseModeInWrite")
    with pytest.warns(UserWarning, match='Spark wrote "d" in LEGACY mode'):
        assert open_source(tmp_path / "old").sample(["d"], [(0, 1)])["d"].to_pylist() == [dt.date(1500, 1, 10)]
    open_source(tmp_path / "new")


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"{block.page.name}:{block.line}")
def test_a_block_of_the_page_runs(session: SparkSession, block: Block, working_folder: Path) -> None:
    run_python(block)

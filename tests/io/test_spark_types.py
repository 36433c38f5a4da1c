"""Files for Spark, and files of Spark in another calendar."""

from __future__ import annotations

import datetime as dt
import decimal
import uuid
import warnings
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gpuvgm
from gpuvgm.errors import InputError
from gpuvgm.io import open_source
from gpuvgm.io.spark_types import spark_batch, spark_values
from tests.cli.running import invoke

UUID = "01234567-89ab-cdef-0123-456789abcdef"
NOON = dt.time(12, 0, 0, 5)
#: Values, and what Spark reads in their place.
CASES: dict[str, tuple[pa.Array[Any], pa.Array[Any]]] = {
    "float16": (pa.array([1.5, None], pa.float16()), pa.array([1.5, None], pa.float32())),
    "time32": (pa.array([dt.time(1, 2, 3), None], pa.time32("s")), pa.array(["01:02:03", None])),
    "time64": (pa.array([NOON, None], pa.time64("us")), pa.array(["12:00:00.000005", None])),
    "uuid": (pa.array([uuid.UUID(UUID).bytes, None], pa.uuid()), pa.array([UUID, None])),
    "decimal": (pa.array([decimal.Decimal("1.25"), None], pa.decimal256(50, 2)), pa.array(["1.25", None])),
    "ns": (pa.array([1_999, None], pa.timestamp("ns", "UTC")), pa.array([1, None], pa.timestamp("us", "UTC"))),
    "dictionary": (
        pa.array([1.5, None, 1.5], pa.float16()).cast(pa.float32()).dictionary_encode(),
        pa.array([1.5, None, 1.5], pa.float32()).dictionary_encode(),
    ),
    "list": (pa.array([[NOON], None, []], pa.list_(pa.time64("us"))), pa.array([["12:00:00.000005"], None, []])),
    "struct": (
        pa.array([{"t": NOON, "n": 1}, None], pa.struct([("t", pa.time64("us")), ("n", pa.int8())])),
        pa.array([{"t": "12:00:00.000005", "n": 1}, None], pa.struct([("t", pa.string()), ("n", pa.int8())])),
    ),
    "map": (
        pa.array([[("a", NOON)], None], pa.map_(pa.string(), pa.time64("us"))),
        pa.array([[("a", "12:00:00.000005")], None], pa.map_(pa.string(), pa.string())),
    ),
    "int64": (pa.array([1, None]), pa.array([1, None])),
    "date": (pa.array([dt.date(2024, 1, 1)]), pa.array([dt.date(2024, 1, 1)])),
}


@pytest.mark.parametrize("name", CASES)
def test_values_have_types_that_spark_reads(name: str) -> None:
    values, expected = CASES[name]
    assert spark_values(values).equals(expected)
    assert spark_values(values[1:]).equals(expected[1:]), "also in a slice"
    assert spark_values(values[:0]).type == expected.type


def table() -> pa.Table:
    rows = range(200)
    times = [dt.time(row % 24, 0, 0, row) for row in rows]
    return pa.table(
        {
            "amount": pa.array([row / 4 for row in rows], pa.float16()),
            "when": pa.array([10**18 + row for row in rows], pa.timestamp("ns")),
            "at": pa.array(times, pa.time64("us")),
            "price": pa.array([decimal.Decimal(row) for row in rows], pa.decimal128(10, 2)),
        }
    )


TYPES = {"amount": pa.float32(), "when": pa.timestamp("us"), "at": pa.string(), "price": pa.decimal128(10, 2)}


def test_decoded_and_sampled_files_for_spark(tmp_path: Path) -> None:
    rows = table()
    transformer = gpuvgm.TableTransformer().fit(rows)
    encoded, written = tmp_path / "encoded.parquet", tmp_path / "decoded.parquet"
    transformer.transform(rows, out=encoded, keep_original=True, flavor="spark")
    assert {field.name: field.type for field in pq.read_schema(encoded) if field.name in TYPES} == TYPES
    transformer.inverse_transform(encoded, out=written, flavor="spark")
    assert {field.name: field.type for field in pq.read_schema(written)} == TYPES
    expected = pa.Table.from_batches(map(spark_batch, transformer.inverse_transform(encoded).to_batches()))
    assert pq.read_table(written).replace_schema_metadata().equals(expected.replace_schema_metadata())
    synthesizer = gpuvgm.TableSynthesizer().fit(rows)
    synthesizer.sample(50, out=tmp_path / "sample", flavor="spark")
    assert {field.name: field.type for field in pq.read_schema(tmp_path / "sample" / "part-00000.parquet")} == TYPES
    with pytest.raises(InputError, match='"flavor" cannot be chosen for CSV'):
        transformer.inverse_transform(encoded, out=tmp_path / "rows.csv", flavor="spark")


def test_a_folder_goes_on_with_the_same_flavor_alone(tmp_path: Path) -> None:
    synthesizer = gpuvgm.TableSynthesizer().fit(table())
    synthesizer.sample(50, out=tmp_path / "sample", flavor="spark")
    with pytest.raises(InputError):
        synthesizer.sample(50, out=tmp_path / "sample", resume=True)


def test_commands_write_for_spark(tmp_path: Path) -> None:
    pq.write_table(table(), tmp_path / "t.parquet")
    model, out = tmp_path / "m.gpuvgm", tmp_path / "s.parquet"
    assert invoke("train", tmp_path / "t.parquet", "--model", model).exit_code == 0
    assert invoke("sample", model, out, "--rows", "20", "--for", "spark").exit_code == 0
    assert {field.name: field.type for field in pq.read_schema(out)} == TYPES


def legacy_file(path: Path, keys: list[str], values: pa.Array[Any], **options: Any) -> Path:
    """A file with keys in its footer, as Spark leaves them."""
    with pq.ParquetWriter(path, pa.schema([("d", values.type), ("n", pa.int64())]), **options) as writer:
        writer.write_table(pa.table({"d": values, "n": pa.array(range(len(values)))}))
        writer.add_key_value_metadata({f"org.apache.spark.{key}": "" for key in keys})
    return path


OLD, NEW = dt.datetime(1500, 1, 10), dt.datetime(2020, 1, 1)
DAYS, MOMENTS, LOCAL = pa.date32(), pa.timestamp("us", "UTC"), pa.timestamp("us")
INT96 = {"use_deprecated_int96_timestamps": True}


@pytest.mark.parametrize(
    ("keys", "values", "options", "told"),
    [
        (["legacyDateTime"], pa.array([OLD, NEW], DAYS), {}, True),
        (["legacyDateTime"], pa.array([OLD, NEW], DAYS), {"write_statistics": False}, True),
        (["legacyDateTime"], pa.array([NEW], DAYS), {}, False),
        (["legacyDateTime"], pa.array([dt.datetime(1899, 1, 1)], MOMENTS), {}, True),
        (["legacyDateTime"], pa.array([NEW], MOMENTS), {}, False),
        (["legacyDateTime"], pa.array([OLD], LOCAL), {}, False),
        (["legacyINT96"], pa.array([NEW], LOCAL), INT96, True),
        (["legacyDateTime"], pa.array([NEW], LOCAL), INT96, False),
        (["legacyINT96"], pa.array([OLD], DAYS), {}, False),
        ([], pa.array([OLD], DAYS), {}, False),
    ],
)
def test_files_of_spark_in_legacy_mode_are_told_of(
    tmp_path: Path, keys: list[str], values: pa.Array[Any], options: dict[str, Any], told: bool
) -> None:
    legacy_file(tmp_path / "a.parquet", keys, values, **options)
    legacy_file(tmp_path / "b.parquet", keys, values, **options)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        open_source(tmp_path)
    texts = [str(warning.message) for warning in caught]
    assert len(texts) == told
    assert all('a.parquet and 1 more file: Spark wrote "d" in LEGACY mode: days before 1582' in text for text in texts)


@pytest.mark.filterwarnings("default")
def test_the_command_line_tells_of_legacy_files(tmp_path: Path) -> None:
    file = legacy_file(tmp_path / "a.parquet", ["legacyDateTime"], pa.array([OLD, NEW] * 50, DAYS))
    told = invoke("fit", file, "--model", tmp_path / "m.gpuvgm")
    assert told.exit_code == 0 and told.stderr.count("in LEGACY mode") == 1

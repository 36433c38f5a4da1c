"""CSV out: what is written is read back equal, and is complete under its name or not there at all."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest

import gpuvgm
from gpuvgm.errors import InputError
from gpuvgm.io import CsvSink, open_source

VALUES = pa.table(
    {
        "text": ['a "quoted" word', "two\nlines", "a,b;c\td|e", None, " padded "],
        "category": pa.array(["x", "y", "x", None, "x"]).dictionary_encode(),
        "whole": pa.array([1, None, 3, -4, 2**53 + 1], pa.int64()),
        "float": [0.1, 1 / 3, None, 1e300, -2.5e-300],
        "boolean": [True, False, None, True, True],
        "day": [date(2020, 2, 29), None, date(1969, 1, 1), date(2020, 1, 1), date(2020, 1, 2)],
        "time": pa.array([datetime(2020, 1, 1, 1, 2, 3, 456789), *4 * [None]], pa.timestamp("us")),
        "zoned": pa.array([datetime(2020, 1, 1, 1, 2, 3, tzinfo=UTC)] * 5, pa.timestamp("us", "UTC")),
        "money": pa.array([Decimal("1.20"), None, Decimal("-3.05"), Decimal("0.00"), Decimal("7.50")]),
    }
)


def written(path, table, step=2):
    with CsvSink(path, table.schema) as sink:
        for batch in table.combine_chunks().to_batches(step):
            sink.write(batch)
    return sink


@pytest.mark.parametrize("name", ["o.csv", "o.csv.gz", "O.CSV"])
def test_values_are_read_back_equal(tmp_path, name):
    path = tmp_path / name
    sink = written(path, VALUES)
    assert (sink.rows, sink.bytes) == (5, path.stat().st_size)
    assert (path.read_bytes()[:2] == b"\x1f\x8b") == name.endswith(".gz")
    found = pa.Table.from_batches([block.batch for block in open_source(path).blocks(VALUES.schema.names, 100)])
    for column in VALUES.schema.names:
        wrote = VALUES.column(column)
        type_ = pa.string() if pa.types.is_dictionary(wrote.type) else wrote.type
        assert found.column(column).cast(type_).to_pylist() == wrote.to_pylist(), column
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_a_failure_leaves_the_file_that_was_there(tmp_path):
    path = tmp_path / "o.csv"
    path.write_text("before")
    with pytest.raises(RuntimeError, match="stop"), CsvSink(path, VALUES.schema) as sink:
        sink.write(VALUES.combine_chunks().to_batches()[0])
        raise RuntimeError("stop")
    assert path.read_text() == "before"
    assert [file.name for file in tmp_path.iterdir()] == ["o.csv"]


@pytest.mark.parametrize("type_", [pa.binary(), pa.list_(pa.int64()), pa.duration("s")])
def test_types_that_csv_cannot_hold(tmp_path, type_):
    with pytest.raises(InputError, match=r'column "x" is of type .*, which CSV cannot hold: write a \.parquet file'):
        CsvSink(tmp_path / "o.csv", pa.schema([("x", type_)]))


def test_missing_values_of_a_single_column(tmp_path):
    table = pa.table({"x": [1, None]})
    with pytest.raises(InputError, match='column "x" is the only one and has missing values'):
        written(tmp_path / "o.csv", table)
    assert not list(tmp_path.iterdir())


def test_only_decoded_rows_are_written_as_csv(tmp_path):
    table = pa.table({"x": [0.5, 1.5, 2.5] * 200, "colour": ["red", "blue", None] * 200})
    transformer = gpuvgm.TableTransformer().fit(table)
    with pytest.raises(InputError, match="gpuvgm writes Parquet"):
        transformer.transform(table, out=tmp_path / "e.csv")
    encoded = transformer.transform(table)
    run = transformer.inverse_transform(encoded, out=tmp_path / "d.csv")
    assert (run.rows, run.columns) == (600, 2)
    source = open_source(tmp_path / "d.csv")
    found = pa.Table.from_batches([block.batch for block in source.blocks(["x", "colour"], 1000)])
    expected = transformer.inverse_transform(encoded)
    assert found.to_pydict() == expected.to_pydict()

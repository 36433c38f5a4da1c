"""Timestamps that Parquet files hold as INT96, as Hive, Impala and Spark write them: from the year 1 to 9999."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

import gpuvgm
from gpuvgm.errors import InputError
from gpuvgm.execution import any_source
from gpuvgm.io import open_source, scans
from tests.io.conftest import rows_of

FAR = [dt.datetime(9999, 12, 31), dt.datetime(1, 1, 1), None, dt.datetime(2020, 5, 17, 1, 2, 3, 456789)]
US = pa.timestamp("us")
PAIR = pa.struct([("from", US), ("to", US)])
TABLE = pa.table(
    {
        "t": pa.array(FAR, US),
        "each": pa.array([FAR[:2], [], None, FAR[3:]], pa.list_(US)),
        "pair": pa.array([{"from": FAR[1], "to": FAR[0]}, None, {"from": None, "to": FAR[0]}, {}], PAIR),
        "a.b": pa.array(FAR, US),
        "x": [1.0, 2.0, 3.0, 4.0],
    }
)


def written(path: Path, table: pa.Table = TABLE, **options: Any) -> Path:
    """The table with INT96, as the engines write it: without the schema of Arrow."""
    pq.write_table(table, path, use_deprecated_int96_timestamps=True, store_schema=False, **options)
    leaves = pq.ParquetFile(path).schema
    assert "INT96" in {leaves.column(number).physical_type for number in range(len(leaves))}
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return written(tmp_path / "t.parquet", row_group_size=3)


def test_they_are_read_as_they_are(path: Path) -> None:
    assert rows_of(path).equals(TABLE)
    source = open_source(path)
    assert source.sample(["pair", "t"], [(1, 3)]).equals(TABLE.select(["pair", "t"]).slice(1))
    assert open_source(str(path.parent)).sample(["each"], [(0, 1)]).equals(TABLE.select(["each"]).slice(0, 1))


def test_they_come_back(tmp_path: Path) -> None:
    """A column of validity, most of which have no end."""
    draws = np.random.default_rng(4)
    days = pa.array(draws.integers(0, 5000, 900) * 86_400_000_000, US)
    ends = pa.chunked_array([days, pa.array([FAR[0]] * 600, US)]).combine_chunks()
    path = written(tmp_path / "ends.parquet", pa.table({"end": ends}))
    transformer = gpuvgm.TableTransformer().fit(path)
    transformer.transform(path, out=tmp_path / "encoded.parquet")
    transformer.inverse_transform(tmp_path / "encoded.parquet", out=tmp_path / "back.parquet")
    assert pq.read_table(tmp_path / "back.parquet")["end"].combine_chunks().equals(ends)
    gpuvgm.TableSynthesizer().fit(path).sample(500, out=tmp_path / "sample.parquet")
    sample = pq.read_table(tmp_path / "sample.parquet")["end"]
    assert sample.type == US
    assert 120 < pc.sum(pc.equal(sample, pa.scalar(FAR[0], US))).as_py() < 280
    assert pc.max(sample).as_py() == FAR[0] and pc.min(sample).as_py().year >= 1970


@pytest.mark.parametrize("filtered", [False, True])
@pytest.mark.parametrize("schema", [None, TABLE.schema])
def test_datasets_of_arrow_are_read_as_they_are(path: Path, filtered: bool, schema: Any) -> None:  # noqa: FBT001
    for dataset in (ds.dataset(path, schema=schema), ds.dataset([ds.dataset(path, schema=schema)] * 2)):
        expected = pa.concat_tables([TABLE] * (2 if isinstance(dataset, ds.UnionDataset) else 1))
        if filtered:
            dataset, expected = dataset.filter(pc.field("x") > 1), expected.filter(pc.field("x") > 1)
        assert open_source(dataset).rows == expected.num_rows
        assert rows_of(dataset).equals(expected.cast(rows_of(dataset).schema))
        assert rows_of(dataset).schema.field("t").type == US


def test_fragments_of_a_dataset_keep_their_partitions(path: Path) -> None:
    (whole,) = ds.dataset(path).get_fragments()
    part = whole.format.make_fragment(whole.path, whole.filesystem, pc.field("k") == 7)
    schema = whole.physical_schema.append(pa.field("k", pa.int32()))
    dataset = ds.FileSystemDataset([part], schema, whole.format, whole.filesystem)
    assert rows_of(dataset, ["t", "k"]).equals(pa.table({"t": pa.array(FAR, US), "k": pa.array([7] * 4, pa.int32())}))


def test_fragments_of_a_dataset_keep_their_row_groups(path: Path) -> None:
    (whole,) = ds.dataset(path).get_fragments()
    dataset = ds.FileSystemDataset([whole.subset(row_group_ids=[1])], whole.physical_schema, whole.format)
    assert scans._with_int96(dataset).to_table(["t"]).equals(pa.table({"t": pa.array(FAR[3:], US)}))


def test_a_unit_that_a_dataset_was_given_stays(path: Path) -> None:
    form = ds.ParquetFileFormat(coerce_int96_timestamp_unit="ms")
    assert rows_of(ds.dataset(path, format=form), ["t"]).equals(
        TABLE.select(["t"]).cast(pa.schema({"t": pa.timestamp("ms")}), safe=False)
    )


def test_other_datasets_are_taken_as_they_are(tmp_path: Path) -> None:
    table = TABLE.select(["t", "x"])
    pq.write_table(table, tmp_path / "us.parquet")
    for dataset in (
        ds.dataset(tmp_path / "us.parquet"),
        ds.dataset(table),
        ds.dataset(table).filter(pc.field("x") > 0),
    ):
        assert rows_of(dataset).equals(table)


def test_cudf_leaves_them_to_arrow(path: Path, cudf: Any) -> None:
    """cuDF reads them in nanoseconds."""
    names = ["t", "a.b", "x"]
    blocks = [*open_source(path).as_read(on_device=True).blocks(names, 100)]
    assert [type(block.column(name)).__name__ == "DeviceColumn" for block in blocks for name in names] == [0, 0, 1]
    assert pa.Table.from_batches([block.batch for block in blocks]).equals(TABLE.select(names))


@pytest.mark.parametrize("filesystem", ["arrow", "fsspec"])
def test_frames_of_dask_are_refused(path: Path, filesystem: Any) -> None:
    """Dask's readers tell pyarrow no unit: 9999-12-31 is 1816-03-29 in its partitions."""
    dd = pytest.importorskip("dask.dataframe")
    frame = dd.read_parquet(path, filesystem=filesystem)
    with pytest.raises(InputError, match=r't\.parquet holds .*"t".* as INT96 timestamps, .*: pass the path itself'):
        any_source(frame)
    with pytest.raises(InputError, match='holds "t" as INT96'):
        any_source(frame.assign(year=frame["t"].dt.year)[["year"]])
    assert any_source(frame[["x"]]).rows == 4


def test_nanoseconds_are_cut_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    moments = pa.array([1_577_840_523_000_001_999, None, -1], pa.timestamp("ns"))
    path = written(
        tmp_path / "fine.parquet", pa.table({"t": moments, "u": pa.array([1000, None, -2000], moments.type)})
    )
    taken = open_source(path).sample(["t", "u"], [(0, 1), (2, 1)])
    assert taken["t"].cast(pa.int64()).to_pylist() == [1_577_840_523_000_001, -1]
    assert taken["u"].cast(pa.int64()).to_pylist() == [1, -2]
    (told,) = caplog.messages
    assert told.startswith(f'{path}: column "t": INT96 timestamps are read in microseconds, and the nanoseconds')


def test_far_moments_are_no_nanoseconds(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    open_source(path).sample(TABLE.column_names, [(0, 4)])
    assert not caplog.messages

"""Parquet out: complete under its name, or not there at all."""

from __future__ import annotations

import errno
import subprocess
import sys
from unittest.mock import Mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gpuvgm.errors import InputError
from gpuvgm.io import ParquetSink, read_metadata

ROWS = 5000


@pytest.fixture
def encoded():
    draws = np.random.default_rng(1)
    return pa.record_batch(
        {
            "Amount.scalar": draws.standard_normal(ROWS).astype(np.float32),
            "Amount.mode": draws.integers(0, 9, ROWS, dtype=np.uint8),
            "wide.mode": draws.integers(0, 900, ROWS, dtype=np.uint16),
            "value": draws.standard_normal(ROWS),
            "text": [f"category {i % 7}" for i in range(ROWS)],
            "row": np.arange(ROWS),
        }
    )


def write(path, batch, step, **options):
    with ParquetSink(path, batch.schema, {"gpuvgm.model": "abc"}, **options) as sink:
        for start in range(0, batch.num_rows, step):
            sink.write(batch.slice(start, step))
    return sink


@pytest.mark.parametrize("options", [{}, {"compression": "zstd"}])
@pytest.mark.parametrize("step", [7, 1000, 1024, 5000])
def test_what_was_written_is_read(tmp_path, encoded, step, options):
    sink = write(tmp_path / "o.parquet", encoded, step, row_group_rows=1000, **options)
    assert pq.read_table(tmp_path / "o.parquet").equals(pa.Table.from_batches([encoded]))
    assert (sink.rows, sink.bytes) == (ROWS, (tmp_path / "o.parquet").stat().st_size)
    assert [path.name for path in tmp_path.iterdir()] == ["o.parquet"]
    footer = pq.read_metadata(tmp_path / "o.parquet")
    assert [footer.row_group(i).num_rows for i in range(footer.num_row_groups)] == [1000] * 5


def test_the_file_does_not_depend_on_the_batches(tmp_path, encoded):
    for step in (13, 1000, 5000):
        write(tmp_path / f"{step}.parquet", encoded, step, row_group_rows=1024)
    contents = {path.read_bytes() for path in tmp_path.iterdir()}
    assert len(contents) == 1


def test_columns_get_their_own_encoding(tmp_path, encoded):
    write(tmp_path / "o.parquet", encoded, ROWS)
    group = pq.read_metadata(tmp_path / "o.parquet").row_group(0)
    columns = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
    for name in ("Amount.mode", "wide.mode"):
        assert "DELTA_BINARY_PACKED" in columns[name].encodings
        assert columns[name].compression == "UNCOMPRESSED"
    for name in ("Amount.scalar", "value"):
        assert "PLAIN" in columns[name].encodings and not columns[name].has_dictionary_page
    assert columns["text"].has_dictionary_page
    assert columns["text"].compression == "LZ4"
    assert columns["Amount.mode"].total_compressed_size < ROWS


def test_metadata_comes_back(tmp_path, encoded):
    write(tmp_path / "o.parquet", encoded, ROWS)
    assert read_metadata(tmp_path / "o.parquet") == {"gpuvgm.model": "abc"}
    pq.write_table(pa.table({"a": [1]}), tmp_path / "plain.parquet")
    assert read_metadata(tmp_path / "plain.parquet") == {}
    with pytest.raises(InputError, match=r"none\.parquet: cannot be read: No such file"):
        read_metadata(tmp_path / "none.parquet")


def test_no_rows_make_a_valid_file(tmp_path, encoded):
    with ParquetSink(tmp_path / "o.parquet", encoded.schema) as sink:
        sink.write(encoded.slice(0, 0))
    assert sink.rows == 0
    assert pq.read_table(tmp_path / "o.parquet").schema.equals(encoded.schema)


@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_failure_leaves_nothing_and_keeps_what_was_there(tmp_path, encoded, kind):
    (tmp_path / "old.parquet").write_bytes(b"old")
    for name in ("new.parquet", "old.parquet"):
        with pytest.raises(kind), ParquetSink(tmp_path / name, encoded.schema, row_group_rows=1000) as sink:
            sink.write(encoded)
            assert len(list(tmp_path.iterdir())) == 2
            raise kind
    assert [path.name for path in tmp_path.iterdir()] == ["old.parquet"]
    assert (tmp_path / "old.parquet").read_bytes() == b"old"


@pytest.mark.parametrize("row_group_rows", [100, 100_000])
def test_a_full_disk_is_an_os_error_and_leaves_nothing(tmp_path, encoded, monkeypatch, row_group_rows):
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(pq.ParquetWriter, "write_table", Mock(side_effect=full))
    with pytest.raises(OSError, match="No space left") as caught:
        write(tmp_path / "o.parquet", encoded, 1000, row_group_rows=row_group_rows)
    assert caught.value.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == []


LIMITED = """
import resource, signal, sys
import numpy as np, pyarrow as pa
from gpuvgm.io import ParquetSink
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
batch = pa.record_batch({"a": np.random.default_rng(0).random(100_000)})
try:
    with ParquetSink(sys.argv[1], batch.schema, row_group_rows=int(sys.argv[2])) as sink:
        sink.write(batch)
except OSError as problem:
    print(problem.errno)
"""


@pytest.mark.parametrize("row_group_rows", [1000, 1_000_000])
def test_a_real_write_error_keeps_its_number_and_leaves_nothing(tmp_path, row_group_rows):
    command = [sys.executable, "-c", LIMITED, str(tmp_path / "o.parquet"), str(row_group_rows)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert (int(done.stdout), done.stderr) == (errno.EFBIG, "")
    assert list(tmp_path.iterdir()) == []


def test_targets_that_cannot_be_written(tmp_path, encoded):
    with pytest.raises(InputError, match="is a folder; give the name of a file"):
        ParquetSink(tmp_path, encoded.schema)
    with pytest.raises(InputError, match=r"o\.parquet: the folder .*missing does not exist"):
        ParquetSink(tmp_path / "missing" / "o.parquet", encoded.schema)
    with pytest.raises(InputError, match="not open; use it in a with statement"):
        ParquetSink(tmp_path / "o.parquet", encoded.schema, row_group_rows=10).write(encoded)
    assert list(tmp_path.iterdir()) == []


def test_a_batch_of_another_schema_is_refused(tmp_path, encoded):
    with (
        pytest.raises(ValueError, match="schema"),
        ParquetSink(tmp_path / "o.parquet", encoded.schema, row_group_rows=10) as sink,
    ):
        sink.write(encoded.select(["value", "text"]))
    assert list(tmp_path.iterdir()) == []

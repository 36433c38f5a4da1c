"""Parquet and CSV out: what may be written where, and complete under its name or not there at all."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import count
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gpuvgm
from gpuvgm.errors import InputError
from gpuvgm.io import ParquetSink, open_source, sink as sinks, write_bytes
from gpuvgm.io.parquet import read_metadata
from gpuvgm.io.sink import CsvSink, refuse_overwriting
from tests.io.conftest import FullDisk, rows_of

ROWS = 5000


@pytest.fixture
def encoded():
    draws = np.random.default_rng(1)
    return pa.record_batch(
        {
            "Amount.scalar": draws.standard_normal(ROWS).astype(np.float32),
            "Amount.mode": draws.integers(0, 9, ROWS, dtype=np.int8),
            "wide.mode": draws.integers(0, 900, ROWS, dtype=np.int16),
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


def test_float64_that_repeats_has_a_dictionary(tmp_path):
    """Amounts in cents take as many bytes as in the file that they came from."""
    rng = np.random.default_rng(0)
    cents = np.round(rng.lognormal(1, 1, ROWS), 2)
    columns = {"cents": cents, "cents32": cents.astype(np.float32), "all": rng.normal(size=ROWS)}
    columns |= {"missing": pa.array(cents, mask=rng.random(ROWS) < 0.9), "none": pa.nulls(ROWS, pa.float64())}
    batch = pa.record_batch(columns)
    write(tmp_path / "o.parquet", batch, 700)
    group = pq.read_metadata(tmp_path / "o.parquet").row_group(0)
    written = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
    assert {name for name in columns if written[name].has_dictionary_page} == {"cents", "missing", "none"}
    assert written["cents"].total_compressed_size < 0.8 * written["all"].total_compressed_size
    assert pq.read_table(tmp_path / "o.parquet").equals(pa.Table.from_batches([batch]))


def test_metadata_comes_back(tmp_path, encoded):
    write(tmp_path / "o.parquet", encoded, ROWS)
    assert read_metadata(tmp_path / "o.parquet") == {"gpuvgm.model": "abc"}
    pq.write_table(pa.table({"a": [1]}), tmp_path / "plain.parquet")
    assert read_metadata(tmp_path / "plain.parquet") == {}
    with pytest.raises(InputError, match=r"none\.parquet: cannot be read: No such file"):
        read_metadata(tmp_path / "none.parquet")


WORDS = pa.array(["a", "b", None, "a"])
INSTANTS = pa.array([0, 86400, None, 0], pa.timestamp("s"))
VALUES_OF_LEVELS = {
    "text": WORDS,
    "large text": WORDS.cast(pa.large_string()),
    "instants": INSTANTS.cast(pa.timestamp("us")),
    "days": INSTANTS.cast(pa.date32()),
    "decimals": pa.array([1, 2, None, 1]).cast(pa.decimal128(20, 1)),
}


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("values", VALUES_OF_LEVELS.values(), ids=list(VALUES_OF_LEVELS))
def test_categories_of_any_values_are_written(tmp_path, values, ordered):
    levels = values.dictionary_encode()
    levels = pa.DictionaryArray.from_arrays(levels.indices, levels.dictionary, ordered=ordered)
    batch = pa.record_batch({"x": levels})
    write(tmp_path / "o.parquet", batch, 3, row_group_rows=3)
    read = pq.read_table(tmp_path / "o.parquet")["x"].combine_chunks()
    assert read.cast(values.type).equals(values)


def test_row_groups_are_no_longer_than_those_of_pyarrow(tmp_path, encoded, monkeypatch):
    monkeypatch.setattr(sinks, "MOST_GROUP_ROWS", 2000)
    write(tmp_path / "o.parquet", encoded, 700, row_group_rows=10**9)
    footer = pq.read_metadata(tmp_path / "o.parquet")
    assert [footer.row_group(i).num_rows for i in range(footer.num_row_groups)] == [2000, 2000, 1000]
    assert pq.read_table(tmp_path / "o.parquet").equals(pa.Table.from_batches([encoded]))


@pytest.mark.parametrize("threads", [1, 2])
def test_a_file_that_lacks_rows_is_not_finished(tmp_path, threads):
    """Whoever goes on after an error has no file."""
    schema = pa.schema([pa.field("x", pa.int64(), nullable=False)])
    batches = [pa.record_batch([pa.array([n, None if n == 1 else n])], schema=schema) for n in range(4)]
    with (
        pytest.raises(InputError, match="rows of it could not be written"),
        ParquetSink(tmp_path / "o.parquet", schema, row_group_rows=2, threads=threads) as out,
    ):
        for batch in batches:
            with suppress(ValueError, OSError):
                out.write(batch)
    assert list(tmp_path.iterdir()) == []


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
    monkeypatch.setattr(pa, "OSFile", FullDisk)
    with pytest.raises(OSError, match="No space left") as caught:
        write(tmp_path / "o.parquet", encoded, 1000, row_group_rows=row_group_rows)
    assert caught.value.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == []


def test_threads_encode_row_groups_side_by_side(tmp_path, encoded, monkeypatch):
    """Each of the first three waits until three are begun."""
    encode, begun, together = ParquetSink._encode_group, count(), threading.Barrier(3)

    def waiting(sink, group, pairs=None):
        if group.num_rows and next(begun) < 3:
            together.wait(60)
        return encode(sink, group, pairs)

    for threads in (1, 2):
        write(tmp_path / f"{threads}.parquet", encoded, 77, row_group_rows=300, threads=threads)
    monkeypatch.setattr(ParquetSink, "_encode_group", waiting)
    write(tmp_path / "3.parquet", encoded, 77, row_group_rows=300, threads=3)
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1
    assert pq.read_table(tmp_path / "3.parquet").equals(pa.Table.from_batches([encoded]))


@pytest.mark.parametrize("failing", [0, 2, 5])  # of five row groups of 1,000 rows, and the footer
def test_a_row_group_that_cannot_be_encoded_ends_the_file(tmp_path, encoded, monkeypatch, failing):
    encode, begun = ParquetSink._encode_group, count()

    def refusing(sink, group, pairs=None):
        if next(begun) == failing:
            raise MemoryError("no room for a row group")
        return encode(sink, group, pairs)

    monkeypatch.setattr(ParquetSink, "_encode_group", refusing)
    with pytest.raises(MemoryError, match="no room for a row group"):
        write(tmp_path / "o.parquet", encoded, 1000, row_group_rows=1000, threads=2)
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
    found = rows_of(path)
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


FIXED = pa.struct([pa.field("vector", pa.list_(pa.int8(), 2), nullable=False)])


@pytest.mark.parametrize(
    "type_",
    [pa.decimal128(9, -2), pa.month_day_nano_interval(), pa.struct([]), pa.run_end_encoded(pa.int32(), pa.int8()),
     pa.dense_union([pa.field("a", pa.int8())]), pa.dictionary(pa.int8(), pa.uuid())],
    ids=str,
)  # fmt: skip
def test_types_that_parquet_cannot_hold(tmp_path, type_):
    schema = pa.schema([("first", pa.int8()), ("x", type_)])
    with pytest.raises(InputError, match=r'o.parquet: column "x" is of type .*, which Parquet cannot hold: leave it'):
        ParquetSink(tmp_path / "o.parquet", schema)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    "values",
    [
        pa.array([{"vector": [1, 2]}, None], FIXED),  # which Arrow writes, and does not read
        pa.DictionaryArray.from_arrays(pa.array([0, 0], pa.int8()), pa.array([{"a": 1}])),
    ],
    ids=["fixed lists below a null", "a dictionary of structs"],
)
def test_values_that_parquet_cannot_hold(tmp_path, values):
    batch = pa.record_batch({"first": pa.array([1, 2]), "x": values})
    told = r'o.parquet: column "x" is of type .*, of which Parquet cannot hold such values \(.*\): leave it out'
    with pytest.raises(InputError, match=told), ParquetSink(tmp_path / "o.parquet", batch.schema) as sink:
        sink.write(batch)
    assert not [*tmp_path.iterdir()]


def test_lists_of_fixed_size_within_structs_that_are_there_are_written(tmp_path):
    batch = pa.record_batch({"x": pa.array([{"vector": [1, 2]}, {"vector": [3, 4]}], FIXED)})
    with ParquetSink(tmp_path / "o.parquet", batch.schema) as sink:
        sink.write(batch)
    assert pq.read_table(tmp_path / "o.parquet").to_batches() == [batch]


def test_views_of_text_are_written_as_text(tmp_path):
    batch = pa.record_batch({"x": pa.array(["a", None, 'b "c"'], pa.string_view()), "n": pa.array([1, 2, 3])})
    with CsvSink(tmp_path / "o.csv", batch.schema) as sink:
        sink.write(batch)
    assert (tmp_path / "o.csv").read_text() == '"x","n"\n"a",1\n,2\n"b ""c""",3\n'


@pytest.mark.parametrize(
    "type_",
    [pa.binary(), pa.list_(pa.int64()), pa.duration("s"), pa.binary_view(), pa.month_day_nano_interval(), pa.uuid(),
     pa.run_end_encoded(pa.int32(), pa.int8()), pa.dictionary(pa.int8(), pa.struct([("a", pa.int8())]))],
    ids=str,
)  # fmt: skip
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
    found = rows_of(tmp_path / "d.csv")
    expected = transformer.inverse_transform(encoded)
    assert found.to_pydict() == expected.to_pydict()


TABLE = pa.table({"x": [1.0, 2.0]})


def write_two(path):
    with ParquetSink(path, TABLE.schema) as sink:
        sink.write(TABLE.to_batches()[0])


def test_the_file_behind_a_link_is_written(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "link.parquet").symlink_to(tmp_path / "far" / "a.parquet")
    write_two(tmp_path / "link.parquet")
    assert (tmp_path / "link.parquet").is_symlink()
    assert pq.read_table(tmp_path / "far" / "a.parquet").equals(TABLE)
    assert sorted(os.listdir(tmp_path)) == ["far", "link.parquet"]


def test_a_read_only_folder_is_told_with_the_name_that_was_given(tmp_path, monkeypatch):
    def refuse(self, *_, **__):
        raise OSError(errno.EROFS, "Read-only file system", str(self))

    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(OSError, match="Read-only file system") as caught:
        write_bytes(tmp_path / "page.html", b"")
    assert caught.value.filename == str(tmp_path / "page.html")


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "null.parquet").symlink_to("/dev/null")
    for path in (tmp_path / "pipe", "/dev/null", tmp_path / "null.parquet"):
        with pytest.raises(InputError, match="is no ordinary file"):
            write_two(path)


@pytest.mark.parametrize("ending", [".csv", ".CSV", ".csv.gz", ".arrow", ".feather", ".ipc", ".gz", ".json"])
def test_endings_of_other_formats_are_refused(tmp_path, ending):
    with pytest.raises(InputError, match=r"gpuvgm writes Parquet: name it a\.parquet"):
        write_two(tmp_path / f"a{ending}")


def test_problems_name_the_file_that_was_asked_for(tmp_path):
    path = tmp_path / ("a" * 250 + ".parquet")
    with pytest.raises(OSError, match="name too long") as caught:
        write_two(path)
    assert caught.value.filename == str(path)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "rows"
    (folder / "more").mkdir(parents=True)
    for name in ("a.parquet", "b.parquet", "more/c.parquet"):
        pq.write_table(TABLE, folder / name)
    (tmp_path / "link.parquet").symlink_to(folder / "a.parquet")
    (tmp_path / "door").symlink_to(folder)
    return folder


@pytest.mark.parametrize(
    ("given", "out"),
    [
        ("rows/a.parquet", "rows/a.parquet"),
        ("rows/a.parquet", "link.parquet"),
        ("link.parquet", "rows/a.parquet"),
        ("rows", "rows/b.parquet"),
        ("rows", "rows/new.parquet"),
        ("rows", "rows/more/new.pq"),
        ("rows", "door/new.parquet"),
        ("door", "rows/new.parquet"),
        ("rows/*.parquet", "rows/new.parquet"),
        ("rows/*", "rows/more/new.parquet"),
        ("ro*/**/*.parquet", "rows/more/new.parquet"),
    ],
)
def test_what_is_read_is_not_written(folder, monkeypatch, given, out):
    monkeypatch.chdir(folder.parent)
    for source in (given, folder.parent / given, [given]):
        with pytest.raises(InputError, match="is read as part of|which would read it the next time"):
            refuse_overwriting(open_source(source), out)


@pytest.mark.parametrize(
    ("given", "out"),
    [
        ("rows/a.parquet", "rows/new.parquet"),
        ("rows", "new.parquet"),
        ("rows", "rows/.new.parquet"),
        ("rows", "rows/new"),
        ("rows/a*.parquet", "rows/new.parquet"),
        ("rows/*.parquet", "rows/more/new.parquet"),
    ],
)
def test_other_files_may_be_written(folder, monkeypatch, given, out):
    monkeypatch.chdir(folder.parent)
    refuse_overwriting(open_source(given), out)
    refuse_overwriting(open_source(TABLE), out)

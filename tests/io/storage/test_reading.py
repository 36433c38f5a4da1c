"""What is read from a store: every format, folders and patterns, in few requests, and never two versions as one."""

from __future__ import annotations

import gzip
import io
import pickle
import re
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gpuvgm.errors import InputError, SourceChangedError
from gpuvgm.io import device, open_source
from gpuvgm.io.parquet import read_metadata
from tests.io.conftest import rows_of, write_file
from tests.io.storage.conftest import ROWS, store


def put(url, body):
    store().pipe_file(url, body)


@pytest.fixture
def tree(tmp_path, rows, bucket):
    """The same folder of each format on this machine and in the store."""
    for kind in ("parquet", "csv", "arrow"):
        for name in (f"a.{kind}", f"b/c.{kind}", f"_hidden.{kind}", f"b/.draft.{kind}", "notes.txt"):
            path = tmp_path / kind / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write_file(rows, path, 3000)
    text = (tmp_path / "csv/a.csv").read_bytes()
    (tmp_path / "packed.csv.gz").write_bytes(gzip.compress(text))
    for file in tmp_path.rglob("*"):
        if file.is_file():
            put(f"{bucket}/{file.relative_to(tmp_path).as_posix()}", file.read_bytes())
    return tmp_path


@pytest.mark.parametrize(
    ("given", "requests"),
    [
        ("a/b/c/0.parquet", 3 * 4),  # three formats, and a/b/c, a/b, a and the bucket
        ("a/b/c", 3 * 3),  # what is in the folder was listed
        # older versions of s3fs do not keep what they listed for a pattern
        pytest.param("a/b/c/*.parquet", 3 * 3, marks=pytest.mark.slow),
        pytest.param("a/b/*/*.parquet", 3 * 2, marks=pytest.mark.slow),
    ],
)
def test_folders_above_take_three_requests_each(bucket, server, given, requests):
    body = io.BytesIO()
    pq.write_table(pa.table({"x": [1.0, 2.0]}), body)
    for number in range(5):
        put(f"{bucket}/a/b/c/{number}.parquet", body.getvalue())
    server.behave()
    assert open_source(f"{bucket}/{given}").rows in (2, 10)
    paths = [f"{query}" for method, path, query in server.queries if method == "GET"]
    asked = [query for query in paths if re.search(r"(_delta_log|metadata|\.hoodie)%2F", query)]
    assert len(asked) == len(set(asked)) == requests
    put(f"{bucket}/a/_delta_log/00000000000000000000.json", b"{}")
    with pytest.raises(InputError, match=rf"{bucket}/a, a table of Delta Lake, .*DeltaTable\(\"{bucket}/a\"\)"):
        open_source(f"{bucket}/{given}")


@pytest.mark.parametrize(
    "given",
    ["parquet", "csv", "arrow", "*/a.parquet", "csv/**/*.csv", "parquet/b*", "packed.csv.gz"],
)
def test_folders_patterns_and_formats_are_read_as_on_this_machine(tree, bucket, given):
    here, there = open_source(str(tree / given)), open_source(f"{bucket}/{given}")
    names = [part.path.relative_to(tree).as_posix() for part in here.parts]
    assert [str(part.path) for part in there.parts] == [f"{bucket}/{name}" for name in names]
    assert there.rows == here.rows
    assert rows_of(f"{bucket}/{given}").equals(rows_of(str(tree / given)))


def test_lists_may_hold_paths_and_urls(tree, bucket):
    both = [str(tree / "parquet/a.parquet"), f"{bucket}/parquet/b/c.parquet"]
    assert rows_of(both).equals(rows_of(str(tree / "parquet")))


@pytest.mark.parametrize("name", ["parquet/a.parquet", "arrow/a.arrow"])
def test_rows_are_sampled_by_position(tree, bucket, name):
    runs = [(5, 3), (5990, 20), (ROWS - 2, 2)]
    here, there = open_source(str(tree / name)), open_source(f"{bucket}/{name}")
    assert there.sample(["n", "x"], runs).equals(here.sample(["n", "x"], runs))


def test_metadata_is_read(bucket, rows, tmp_path):
    pq.write_table(rows.replace_schema_metadata({"gpuvgm.model": "abc"}), tmp_path / "m.parquet")
    put(f"{bucket}/m.parquet", (tmp_path / "m.parquet").read_bytes())
    assert read_metadata(f"{bucket}/m.parquet") == {"gpuvgm.model": "abc"}


@pytest.fixture
def wide(tmp_path, bucket):
    """40 columns in 3 row groups, 19 MB: URL and path."""
    draws = np.random.default_rng(0)
    table = pa.table({f"c{i}": draws.standard_normal(60_000) for i in range(40)})
    pq.write_table(table, tmp_path / "wide.parquet", row_group_size=20_000, use_dictionary=False, compression="none")
    store().put(str(tmp_path / "wide.parquet"), f"{bucket}/wide.parquet")
    return f"{bucket}/wide.parquet", tmp_path / "wide.parquet"


def spans(server):
    return [tuple(map(int, span.removeprefix("bytes=").split("-"))) for _, span in server.gets()]


def test_few_requests_read_a_file_once(wide, server):
    url, path = wide
    server.behave()
    assert rows_of(url, block_rows=10_000).equals(rows_of(str(path), block_rows=10_000))
    sizes = [stop - start + 1 for start, stop in spans(server)]
    assert len(sizes) <= 2 + 3  # the footer when it is opened and when it is read, and a request for each row group
    assert sum(sizes) <= path.stat().st_size + (3 << 20)
    assert sum(method == "HEAD" for method, _, _ in server.requests) <= 6


def test_columns_that_are_not_wanted_are_not_fetched(wide, server):
    url, path = wide
    server.behave()
    assert rows_of(url, ["c3", "c30"], block_rows=7_000).equals(rows_of(str(path), ["c3", "c30"], block_rows=7_000))
    sizes = [stop - start + 1 for start, stop in spans(server)]
    assert len(sizes) <= 2 + 2 * 3
    assert sum(sizes) <= path.stat().st_size * 2 / 40 + (3 << 20)


def test_a_source_can_be_read_by_another_process(tree, bucket):
    body = pickle.dumps(open_source(f"{bucket}/parquet/a.parquet"))
    code = (
        "import pickle, sys; s = pickle.load(sys.stdin.buffer); "
        "print(sum(block.rows for block in s.blocks(['x'], 4096)), s.sample(['n'], [(7, 1)])['n'][0])"
    )
    done = subprocess.run([sys.executable, "-c", code], input=body, capture_output=True, timeout=60, check=True)
    assert done.stdout.split() == [b"20000", str(rows_of(str(tree / "parquet/a.parquet"))["n"][7]).encode()]


def test_an_object_replaced_between_two_passes_is_named(tree, bucket, rows):
    source = open_source(f"{bucket}/parquet")
    assert sum(block.rows for block in source.blocks(["x"], 4096)) == 2 * ROWS
    body = store().cat(f"{bucket}/parquet/b/c.parquet")
    put(f"{bucket}/parquet/b/c.parquet", body[:-9] + body[-8:])
    with pytest.raises(SourceChangedError, match=f"^{bucket}/parquet/b/c.parquet: the file was changed"):
        list(source.blocks(["x"], 4096))
    with pytest.raises(SourceChangedError, match="changed"):
        source.sample(["x"], [(2 * ROWS - 1, 1)])
    store().rm(f"{bucket}/parquet/a.parquet")
    with pytest.raises(SourceChangedError, match=f"^{bucket}/parquet/a.parquet: the file was removed"):
        list(source.blocks(["x"], 4096))


@pytest.mark.parametrize("shorter", [False, True])
def test_an_object_replaced_while_it_is_read_is_named(wide, shorter):
    url, path = wide
    blocks = open_source(url).blocks(["c1"], 4096)
    next(blocks)
    body = path.read_bytes()
    put(url, body[:100] if shorter else bytes(len(body)))
    with pytest.raises(SourceChangedError, match="wide.parquet: the file was changed while it was in use"):
        list(blocks)


def test_files_of_this_machine_need_no_fsspec(folder):
    code = (
        "import sys; from gpuvgm.io import ParquetSink, open_source; s = open_source(sys.argv[1]); "
        "ParquetSink(sys.argv[1] + '.parquet', s.schema); print([m for m in sys.modules if m.startswith('fsspec')])"
    )
    command = [sys.executable, "-c", code, str(folder / "rows.parquet")]
    assert subprocess.run(command, capture_output=True, timeout=60, check=True).stdout.split() == [b"[]"]


def test_files_of_stores_are_read_by_arrow_even_where_cudf_is_there(tree, bucket, monkeypatch):
    monkeypatch.setattr(device.util, "find_spec", lambda name: name)
    monkeypatch.setattr(device, "import_module", lambda name: name)
    assert open_source(str(tree / "parquet")).as_read(on_device=True).lies_on_device
    assert not open_source(f"{bucket}/parquet").as_read(on_device=True).lies_on_device


def test_a_damaged_object_is_named_like_a_damaged_file(bucket, tree):
    body = (tree / "parquet/a.parquet").read_bytes()
    put(f"{bucket}/cut.parquet", body[:-100])
    with pytest.raises(InputError, match=f"^{bucket}/cut.parquet: not a complete Parquet file"):
        open_source(f"{bucket}/cut.parquet")
    put(f"{bucket}/ragged.csv", b"a,b\n1,2\n3\n")
    with pytest.raises(InputError, match=f"^{bucket}/ragged.csv: row 2 has 1 value, the header has 2"):
        rows_of(f"{bucket}/ragged.csv")
    put(f"{bucket}/empty.csv", b"")
    with pytest.raises(InputError, match=r"empty.csv: the file is empty"):
        open_source(f"{bucket}/empty.csv")

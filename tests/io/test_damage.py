"""Files with flipped bits: refused in words, or what was flipped decides nothing."""

from __future__ import annotations

import hashlib
import random
import threading
from threading import Event
from unittest.mock import Mock

import numpy as np
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gpuvgm
from gpuvgm.errors import InputError
from gpuvgm.io import ParquetSink, checksums, open_source, parquet, sink as sink_module
from gpuvgm.io.parquet import read_metadata
from tests.io.conftest import rows_of

ROWS = 1_000
FORMATS = [(kind, codec) for kind in ("file", "stream") for codec in (None, "lz4", "zstd")]


def rows():
    words = pa.array(["a", "bb", None, "cccc"] * (ROWS // 4))
    decimals = pa.array([1, 2, None, 3] * (ROWS // 4), pa.int64()).cast(pa.decimal128(21, 2))
    return pa.table(
        {
            "number": np.random.default_rng(0).normal(size=ROWS).astype("f4"),
            "mode": np.arange(ROWS).astype("u1"),
            "word": words,
            "category": words.dictionary_encode(),
            "exact": decimals,
        }
    )


def written(path, table=None, *, kind="file", codec=None, chunk=300):
    table = rows() if table is None else table
    opened = pa.ipc.new_file if kind == "file" else pa.ipc.new_stream
    with opened(str(path), table.schema, options=pa.ipc.IpcWriteOptions(compression=codec)) as writer:
        writer.write_table(table, max_chunksize=chunk)
    return path


def flipped(body, place, bit):
    spoilt = bytearray(body)
    spoilt[place] ^= 1 << bit
    return bytes(spoilt)


# -- Arrow files


@pytest.mark.parametrize(("kind", "codec"), FORMATS)
def test_flipped_bits_of_arrow_files_are_refused_or_read(tmp_path, kind, codec):
    table, chance = rows(), random.Random(f"{kind}{codec}")
    if codec is None:  # Arrow up to 23 crashes where it compresses views
        table = table.append_column("view", table["word"].cast(pa.string_view()))
    body = written(tmp_path / "whole.arrow", table, kind=kind, codec=codec).read_bytes()
    spoilt, refused = tmp_path / "spoilt.arrow", 0
    for _ in range(40):
        spoilt.write_bytes(flipped(body, chance.randrange(len(body)), chance.randrange(8)))
        try:
            opened = open_source(spoilt)
            for block in opened.blocks(opened.schema.names, ROWS):
                block.batch.to_pylist()
        except InputError as problem:
            refused += 1
            assert str(spoilt) in str(problem)
    assert refused


@pytest.mark.parametrize("kind", ["file", "stream"])
def test_an_index_that_leads_out_of_the_levels_is_named(tmp_path, kind):
    indices = pa.array([0, 1] * 500, pa.int32())
    table = pa.table({"category": pa.DictionaryArray.from_arrays(indices, pa.array(["a", "b"]))})
    body = bytearray(written(tmp_path / "x.arrow", table, kind=kind, chunk=400).read_bytes())
    place = body.rfind(np.array([0, 1] * 100, "i4").tobytes())
    body[place + 3] = 0x70
    (tmp_path / "x.arrow").write_bytes(body)
    with pytest.raises(InputError, match=r'x\.arrow: damaged .* after row 800 \(column "category" holds no valid dict'):
        rows_of(tmp_path / "x.arrow").to_pylist()


@pytest.mark.parametrize("kind", ["file", "stream"])
@pytest.mark.parametrize("more", [0, 1])
def test_a_buffer_larger_than_a_file_could_be_decompressed_to_is_damage(tmp_path, monkeypatch, kind, more):
    path = written(tmp_path / "x.arrow", kind=kind, codec="zstd")
    opened, most = open_source(path), path.stat().st_size * 32_768
    problem = pa.ArrowMemoryError(f"malloc of size {most + more} failed")
    monkeypatch.setattr("gpuvgm.io.ipc.each_batch", Mock(side_effect=problem))
    with pytest.raises(InputError if more else pa.ArrowMemoryError) as caught:
        list(opened.blocks(["number"], ROWS))
    if more:
        told = f"{path}: damaged Arrow file, cannot be read after row 0 (malloc of size {most + 1} failed)"
        assert str(caught.value).startswith(told)


def test_text_of_arrow_files_is_utf8(tmp_path):
    body = written(tmp_path / "x.arrow", pa.table({"word": ["wörd"] * 10})).read_bytes()
    (tmp_path / "x.arrow").write_bytes(body.replace("ö".encode(), b"\xff\xfe"))
    with pytest.raises(InputError, match=r'x\.arrow: damaged .* \(column "word" holds no valid string'):
        rows_of(tmp_path / "x.arrow").to_pylist()


def test_samples_of_arrow_files_are_checked_and_in_order(tmp_path):
    path = written(tmp_path / "x.arrow")
    runs = [(290, 20), (950, 1), (0, 2), (599, 300)]
    expected = pa.concat_tables([rows().slice(start, length) for start, length in runs])
    assert open_source(path).sample(rows().column_names, runs).to_pylist() == expected.to_pylist()
    body = path.read_bytes()
    place = body.find(np.arange(300).astype("u1").tobytes()[:200])
    assert place > 0
    offsets = rows()["word"].combine_chunks().slice(0, 300).buffers()[1][:400].to_pybytes()
    path.write_bytes(body.replace(offsets, b"\x7f" * 400, 1))
    with pytest.raises(InputError, match=r'x\.arrow: damaged .* after row 0 \(column "word"'):
        open_source(path).sample(["word"], [(0, 10)])


def test_decimals_of_impossible_scale_are_refused(tmp_path):
    path = written(tmp_path / "x.arrow", pa.table({"exact": rows()["exact"]}), kind="stream")
    body = path.read_bytes()
    place = body.find((21).to_bytes(4, "little"))
    place = place + 4 if body[place + 4] == 2 else place - 4
    path.write_bytes(body[:place] + (2**30).to_bytes(4, "little") + body[place + 4 :])
    with pytest.raises(InputError, match=r'x\.arrow: .*column "exact" has decimals of 1073741824 places'):
        open_source(path)


# -- names and metadata that are no text


@pytest.mark.parametrize("ending", ["arrow", "parquet"])
def test_names_that_are_no_utf8_are_refused(tmp_path, ending):
    path, table = tmp_path / f"x.{ending}", pa.table({"namé": [1.0, 2.0]})
    pq.write_table(table, path, store_schema=False) if ending == "parquet" else written(path, table)
    path.write_bytes(path.read_bytes().replace("é".encode(), b"\xff\xfe"))
    with pytest.raises(InputError, match=rf"x\.{ending}: not a complete .*(codec|UTF)"):
        open_source(path)


@pytest.mark.parametrize("pairs", [{b"\xff": b"1"}, {b"key": b"\xff"}])
def test_metadata_that_is_no_utf8_is_refused(tmp_path, pairs):
    table = pa.table({"x": np.arange(50.0)}).replace_schema_metadata(pairs)
    pq.write_table(table, tmp_path / "x.parquet")
    transformer = gpuvgm.TableTransformer(effort="research").fit({"x": np.arange(50.0)})
    for source, name in ((tmp_path / "x.parquet", r"x\.parquet"), (table, r"pyarrow\.Table")):
        with pytest.raises(InputError, match=f"{name}: its metadata is no text in UTF-8"):
            transformer.inverse_transform(source)


# -- Parquet files


@pytest.fixture
def sealed(tmp_path):
    """A file of several row groups and pages, as gpuvgm writes it."""
    path, table = tmp_path / "x.parquet", rows()
    with ParquetSink(path, table.schema, {"gpuvgm.model": "abc"}, row_group_rows=400) as sink:
        for batch in table.to_batches(max_chunksize=170):
            sink.write(batch)
    assert sink.sha256 == checksums.sha256_of(path, path.stat().st_size) and sink.bytes == path.stat().st_size
    return path


def test_row_groups_are_written_in_pieces(tmp_path, monkeypatch):
    table = pa.table({"x": np.random.default_rng(0).normal(size=300_000)})
    bodies = []
    for size in (sink_module.WRITE_BYTES, 1 << 30, 999):
        monkeypatch.setattr(sink_module, "WRITE_BYTES", size)
        with ParquetSink(tmp_path / "x.parquet", table.schema, row_group_rows=200_000) as sink:
            sink.write(table.combine_chunks().to_batches()[0])
        bodies.append((tmp_path / "x.parquet").read_bytes())
        assert sink.sha256 == hashlib.sha256(bodies[-1]).hexdigest() and sink.bytes == len(bodies[-1])
    assert len(bodies[0]) > 2 << 20 and len(set(bodies)) == 1
    assert rows_of(tmp_path / "x.parquet").equals(table)


def test_every_flipped_bit_of_a_written_file_is_found(sealed):
    body, chance = sealed.read_bytes(), random.Random(0)
    rows_of(sealed).to_pylist()
    for place in [*range(4, 100), *range(len(body) - 300, len(body)), *chance.sample(range(len(body)), 100)]:
        sealed.write_bytes(flipped(body, place, chance.randrange(8)))
        with pytest.raises(InputError, match=r"x\.parquet: "):  # at the first row: all of it is checked before
            next(open_source(sealed).blocks(["mode"], 1))


def test_indices_of_a_parquet_file_that_lead_out_of_its_dictionary_are_refused(tmp_path, monkeypatch):
    batch = rows().select(["category"]).combine_chunks().to_batches()[0]
    indices = pa.array(np.full(ROWS, 77, "i4"))
    wrong = pa.DictionaryArray.from_arrays(indices, batch.column(0).dictionary, safe=False)
    pq.write_table(rows(), tmp_path / "t.parquet")
    monkeypatch.setattr(pq.ParquetFile, "iter_batches", lambda *_, **__: [pa.record_batch([wrong], ["category"])])
    with pytest.raises(
        InputError, match=r't\.parquet: damaged Parquet file: column "category" cannot be read after row 0'
    ):
        list(open_source(tmp_path / "t.parquet").blocks(["category"], 100))


def test_a_large_file_is_checked_by_its_pages_and_not_read_twice(sealed, monkeypatch):
    monkeypatch.setattr(parquet, "MOST_HASHED_BYTES", 0)
    monkeypatch.setattr(checksums, "sha256_of", None)
    rows_of(sealed).to_pylist()
    body = sealed.read_bytes()
    chunk = pq.read_metadata(sealed).row_group(1).column(0)
    sealed.write_bytes(flipped(body, chunk.data_page_offset + chunk.total_compressed_size - 9, 3))
    with pytest.raises(InputError, match=r'x\.parquet: damaged Parquet file: column "number" cannot be read after row'):
        rows_of(sealed).to_pylist()


def test_metadata_is_what_was_given(sealed):
    assert read_metadata(sealed) == {"gpuvgm.model": "abc"}


@pytest.mark.parametrize("type_", [pa.decimal128(12, 2), pa.time64("us")])
def test_values_outside_their_type_are_refused(tmp_path, type_):
    words = np.full((3, type_.bit_width // 64), 0, "i8")
    words[:, 0] = 5 * 10**12
    exact = pa.Array.from_buffers(type_, 3, [None, pa.py_buffer(words.tobytes())])
    table = pa.table({"fine": [1.0, 2.0, 3.0], "exact": exact})
    pq.write_table(table, tmp_path / "t.parquet", use_dictionary=False)
    with pytest.raises(InputError, match=r't\.parquet: damaged Parquet file: column "exact" cannot be read after'):
        rows_of(tmp_path / "t.parquet")


def test_files_without_checksums_are_read(tmp_path):
    pq.write_table(rows(), tmp_path / "x.parquet")
    assert rows_of(tmp_path / "x.parquet").num_rows == ROWS


def test_pages_of_users_files_are_checked_where_they_have_checksums(tmp_path):
    path = tmp_path / "x.parquet"
    table = pa.table({"number": np.arange(1000.0)})
    pq.write_table(table, path, use_dictionary=False, compression="none", write_page_checksum=True)
    body = path.read_bytes()
    path.write_bytes(flipped(body, body.find(np.arange(1000.0).tobytes()) + 4_001, 3))
    with pytest.raises(InputError, match=r'x\.parquet: damaged Parquet file: column "number" .*(CRC|checksum)'):
        rows_of(path).to_pylist()


def test_a_file_is_hashed_once_for_each_source(sealed, monkeypatch):
    hashed = []
    monkeypatch.setattr(checksums, "sha256_of", lambda path, stop: hashed.append(path) or real(path, stop))
    source = open_source(sealed)
    for _ in range(2):
        list(source.blocks(["mode"], 100))
        list(source.between(["mode"], 500, 600, 100))
        source.sample(["mode"], [(3, 4)])
    assert hashed == [sealed]
    list(open_source(sealed).blocks(["mode"], 100))
    assert hashed == [sealed, sealed]


def test_a_file_that_pyarrow_wrote_again_with_its_metadata_is_read(sealed, tmp_path):
    """pyarrow.parquet.ParquetFile gives the metadata of the file with the rows, and write_table takes it over."""
    again = tmp_path / "again.parquet"
    pq.write_table(pq.ParquetFile(sealed).read(columns=["number", "mode"]), again)
    assert rows_of(again).equals(rows_of(sealed).select(["number", "mode"]))
    gpuvgm.TableTransformer(effort="research", max_iter=2).fit(again)
    body = sealed.read_bytes()
    place = body.index(b"ARROW:schema") + 100
    sealed.write_bytes(body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :])
    with pytest.raises(InputError, match="its footer is not the one that was written"):
        open_source(sealed)


def test_the_next_file_is_checked_while_one_is_read(sealed, monkeypatch):
    body, seen = sealed.read_bytes(), Event()
    other = sealed.with_name("y.parquet")
    other.write_bytes(flipped(body, len(body) // 2, 3))

    def hashed(path, stop):
        if path == other:
            assert threading.current_thread().name.startswith("gpuvgm-check")
            seen.set()
        return real(path, stop)

    monkeypatch.setattr(checksums, "sha256_of", hashed)
    blocks = open_source([sealed, other]).blocks(["mode"], ROWS // 2)
    next(blocks)
    assert seen.wait(10)
    next(blocks)  # the other half of the first file
    with pytest.raises(InputError, match=r"y\.parquet: damaged"):
        next(blocks)


real = checksums.sha256_of


def test_types_that_arrow_does_not_read_are_no_damage(tmp_path):
    polars.DataFrame({"wide": polars.Series([1, 2] * 9, dtype=polars.Int128)}).write_parquet(tmp_path / "wide.parquet")
    with pytest.raises(InputError, match=r"holds what Arrow cannot read .*Int128 of polars as Int64") as told:
        open_source(tmp_path / "wide.parquet")
    assert "damaged" not in str(told.value)

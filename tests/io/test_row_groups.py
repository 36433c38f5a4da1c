"""Row groups that were written apart make the file that pyarrow's writer makes of them, to the byte."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gpuvgm.io.checksums import MAGIC
from gpuvgm.io.row_groups import moved_group, parted, with_groups

ROWS = 4000
DRAWS = np.random.default_rng(0)
NUMBERS = pa.table({"x": DRAWS.normal(size=ROWS), "m": DRAWS.integers(0, 9, ROWS, dtype=np.int8)})
KINDS = pa.table(
    {
        "text": [f"word {i % 11}" if i % 5 else None for i in range(ROWS)],
        "flag": DRAWS.random(ROWS) < 0.5,
        "day": pa.array(DRAWS.integers(0, 20_000, ROWS), pa.int32()).cast(pa.date32()),
        "money": pa.array(DRAWS.integers(0, 1000, ROWS)).cast(pa.decimal128(20, 0)),
        "pair": [{"a": i, "b": [i] * (i % 3)} for i in range(ROWS)],
        "category": pa.array([f"c{i % 7}" for i in range(ROWS)]).dictionary_encode(),
        "nothing": pa.nulls(ROWS),
    }
)


def in_memory(schema, groups, pairs, **options):
    """A file that one writer writes, with key/value metadata."""
    written = pa.BufferOutputStream()
    with pq.ParquetWriter(written, schema, write_page_checksum=True, **options) as writer:
        for group in groups:
            writer.write_table(group, group.num_rows)
        writer.add_key_value_metadata(pairs)
    return memoryview(written.getvalue())


def joined(table, rows, pairs, **options):
    """The file of row groups that were each written as a file."""
    found, notes = bytearray(MAGIC), []
    for start in range(0, table.num_rows, rows):
        pages, footer = parted(in_memory(table.schema, [table.slice(start, rows)], {}, **options))
        notes.append(moved_group(footer, len(found) - len(MAGIC)))
        found += pages
    footer = with_groups(parted(in_memory(table.schema, [], pairs, **options))[1], notes, table.num_rows)
    return bytes(found + footer + len(footer).to_bytes(4, "little") + MAGIC)


@pytest.mark.parametrize("table", [NUMBERS, KINDS], ids=["numbers", "kinds"])
@pytest.mark.parametrize("rows", [ROWS, 3000, 280, 7])  # one row group, 2, 15 and 572
@pytest.mark.parametrize("options", [{}, {"compression": "zstd", "use_dictionary": False, "version": "1.0"}])
def test_the_file_is_that_of_one_writer(table, rows, options):
    schema, pairs = table.schema.with_metadata({"a": "b"}), {"key": "value"}
    groups = [table.slice(start, rows) for start in range(0, ROWS, rows)]
    whole = in_memory(schema, [group.cast(schema) for group in groups], pairs, **options)
    assert joined(table.cast(schema), rows, pairs, **options) == bytes(whole)


class Places(pa.ExtensionType):
    """Places on a sphere; what Parquet's footer says of them is a field of a number above 15."""

    def __init__(self):
        super().__init__(pa.binary(), "geoarrow.wkb")

    def __arrow_ext_serialize__(self):
        return b'{"edges":"spherical"}'

    @classmethod
    def __arrow_ext_deserialize__(cls, storage, serialized):
        return cls()


@pytest.fixture
def places():
    pa.register_extension_type(Places())
    point = b"\x01\x01\x00\x00\x00" + np.arange(2.0).tobytes()
    storage = pa.array([point] * ROWS, pa.binary())
    yield pa.table({"n": NUMBERS["x"], "place": pa.ExtensionArray.from_storage(Places(), storage)})
    pa.unregister_extension_type("geoarrow.wkb")


def test_fields_of_large_numbers_are_passed(places):
    groups = [places.slice(start, 1500) for start in range(0, ROWS, 1500)]
    assert joined(places, 1500, {}) == bytes(in_memory(places.schema, groups, {}))


def test_no_row_groups_leave_the_file_as_it_is():
    assert joined(NUMBERS.slice(0, 0), 10, {"a": "b"}) == bytes(in_memory(NUMBERS.schema, [], {"a": "b"}))


def test_indices_of_pages_are_found():
    """They lie after the pages of their row group; one writer puts those of all behind the last."""
    options = {"write_page_index": True, "data_page_size": 1000}
    read = pq.ParquetFile(pa.BufferReader(joined(NUMBERS, 1500, {}, **options)), page_checksum_verification=True)
    assert read.read().equals(NUMBERS)
    shift = 0
    for number in range(3):
        body = in_memory(NUMBERS.schema, [NUMBERS.slice(1500 * number, 1500)], {}, **options)
        alone = pq.ParquetFile(pa.BufferReader(pa.py_buffer(body))).metadata.row_group(0)
        for at in range(2):
            column = read.metadata.row_group(number).column(at)
            assert column.has_offset_index and column.has_column_index
            assert column.data_page_offset == alone.column(at).data_page_offset + shift
        shift += len(parted(body)[0])

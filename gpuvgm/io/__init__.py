"""Tables in, tables out: the only package that knows pandas, polars and file formats."""

from gpuvgm.io.block import Block, DeviceTable, host_batch, joined
from gpuvgm.io.device import (
    callers_stream,
    device_array,
    device_rows,
    holds_device_rows,
    lies_on_device,
)
from gpuvgm.io.files import FileSource
from gpuvgm.io.locations import Given, Location, location_of, open_binary, write_bytes
from gpuvgm.io.manifest import MANIFEST, manifest_document, manifest_text
from gpuvgm.io.open import TableLike, open_source
from gpuvgm.io.parquet import read_metadata
from gpuvgm.io.remote import RemoteFile, lies_in_process
from gpuvgm.io.restore import frame_batches, numpy_array, restore
from gpuvgm.io.sink import (
    CsvSink,
    Document,
    ParquetSink,
    check_folder_of,
    decoded_sink,
    is_csv,
    refuse_overwriting,
)
from gpuvgm.io.source import Source

__all__ = [
    "Block",
    "CsvSink",
    "DeviceTable",
    "Document",
    "FileSource",
    "Given",
    "Location",
    "MANIFEST",
    "ParquetSink",
    "RemoteFile",
    "Source",
    "TableLike",
    "callers_stream",
    "check_folder_of",
    "decoded_sink",
    "device_array",
    "device_rows",
    "frame_batches",
    "holds_device_rows",
    "is_csv",
    "joined",
    "numpy_array",
    "lies_in_process",
    "lies_on_device",
    "location_of",
    "manifest_document",
    "manifest_text",
    "open_binary",
    "open_source",
    "read_metadata",
    "refuse_overwriting",
    "restore",
    "host_batch",
    "write_bytes",
]

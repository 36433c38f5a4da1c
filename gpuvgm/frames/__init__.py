"""Tables in, tables out: the only package that knows pandas, polars and file formats."""

from gpuvgm.frames.block import Block, DeviceTable, host_batch
from gpuvgm.frames.cudf_files import CudfFiles, device_files
from gpuvgm.frames.device import DeviceSource, device_array, lies_on_device
from gpuvgm.frames.device_results import joined
from gpuvgm.frames.files import locate, metadata_of
from gpuvgm.frames.opening import open_source
from gpuvgm.frames.parquet import read_metadata
from gpuvgm.frames.restore import restore
from gpuvgm.frames.sampled import SampleSource
from gpuvgm.frames.sinks import ParquetSink, rows_of_group
from gpuvgm.frames.source import Source
from gpuvgm.frames.stray_text import stray_text
from gpuvgm.frames.targets import refuse_overwriting

__all__ = [
    "Block",
    "CudfFiles",
    "DeviceSource",
    "DeviceTable",
    "ParquetSink",
    "SampleSource",
    "Source",
    "device_array",
    "device_files",
    "joined",
    "lies_on_device",
    "locate",
    "metadata_of",
    "open_source",
    "read_metadata",
    "refuse_overwriting",
    "restore",
    "rows_of_group",
    "stray_text",
    "host_batch",
]

"""Tables in, tables out: the only package that knows pandas, polars and file formats."""

from gpuvgm.frames.block import Block, DeviceTable, host_batch, join_batches, kept_rows
from gpuvgm.frames.cudf_files import CudfFiles, device_files
from gpuvgm.frames.dask_frames import DaskFrame, is_dask_frame
from gpuvgm.frames.device import DeviceSource, device_array, lies_on_device
from gpuvgm.frames.device_results import joined
from gpuvgm.frames.files import FileSource, locate, metadata_of, place_in
from gpuvgm.frames.folders import manifest_document, manifest_text
from gpuvgm.frames.locations import Given, Location, location_of, open_binary, refuse_read_only, write_bytes
from gpuvgm.frames.numpy_arrays import numpy_array
from gpuvgm.frames.opening import open_source
from gpuvgm.frames.parquet import read_metadata
from gpuvgm.frames.paths import MANIFEST
from gpuvgm.frames.portions import HeldRows, OpenPortion, Portion, Reading, as_read_by, portions, stays_on_device
from gpuvgm.frames.remote import RemoteFile, lies_in_process
from gpuvgm.frames.restore import restore
from gpuvgm.frames.sampled import SampleSource
from gpuvgm.frames.sinks import ParquetSink, rows_of_group
from gpuvgm.frames.source import Source
from gpuvgm.frames.stray_text import stray_text
from gpuvgm.frames.targets import PAGE_ENDINGS, check_document, check_folder_of, refuse_overwriting

__all__ = [
    "Block",
    "CudfFiles",
    "DaskFrame",
    "DeviceSource",
    "DeviceTable",
    "FileSource",
    "HeldRows",
    "OpenPortion",
    "Portion",
    "Reading",
    "as_read_by",
    "Given",
    "Location",
    "MANIFEST",
    "PAGE_ENDINGS",
    "ParquetSink",
    "RemoteFile",
    "SampleSource",
    "Source",
    "check_document",
    "check_folder_of",
    "device_array",
    "device_files",
    "is_dask_frame",
    "join_batches",
    "joined",
    "kept_rows",
    "numpy_array",
    "lies_in_process",
    "lies_on_device",
    "locate",
    "location_of",
    "manifest_document",
    "manifest_text",
    "metadata_of",
    "open_binary",
    "open_source",
    "place_in",
    "portions",
    "read_metadata",
    "refuse_overwriting",
    "refuse_read_only",
    "restore",
    "stays_on_device",
    "rows_of_group",
    "stray_text",
    "host_batch",
    "write_bytes",
]

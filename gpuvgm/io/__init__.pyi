from .arrow import (
    Packed,
    is_datetime_type,
    is_moment_type,
    is_number_type,
    is_plain_number_type,
    is_text_type,
    joined_arrays,
    metadata_of_values,
    out_of_dictionary,
    plain_type,
    plain_values_of,
    row_bytes,
    taken,
    with_wide_index,
    with_wide_indices,
)
from .block import Block, Runs
from .declared import DeclaredColumns
from .device import device_rows, holds_device_rows
from .files import FileSource, expand
from .frames import TableSource
from .locations import Location, location_of, naming_file, write_bytes
from .locks import locked
from .manifest import Manifest
from .open import TableLike, open_source
from .output_folder import OutputFolder
from .plain_json import from_plain, plain
from .restoring import restore
from .sink import Document, ParquetSink, Sink, check_file, check_folder_of, target_of
from .source import Source, check_unique, is_loaded
from .spark_types import spark_batch
from .text_types import parse, parse_or_null
from .threads import result_of
from .untrusted import UntrustedStream, written_bytes

__all__ = [
    "Block",
    "DeclaredColumns",
    "Document",
    "FileSource",
    "Location",
    "Manifest",
    "OutputFolder",
    "Packed",
    "ParquetSink",
    "Runs",
    "Sink",
    "Source",
    "TableLike",
    "TableSource",
    "UntrustedStream",
    "check_file",
    "check_folder_of",
    "check_unique",
    "device_rows",
    "expand",
    "from_plain",
    "holds_device_rows",
    "is_datetime_type",
    "is_loaded",
    "is_moment_type",
    "is_number_type",
    "is_plain_number_type",
    "is_text_type",
    "joined_arrays",
    "location_of",
    "locked",
    "metadata_of_values",
    "naming_file",
    "open_source",
    "out_of_dictionary",
    "parse",
    "parse_or_null",
    "plain",
    "plain_type",
    "plain_values_of",
    "restore",
    "result_of",
    "row_bytes",
    "spark_batch",
    "taken",
    "target_of",
    "with_wide_index",
    "with_wide_indices",
    "write_bytes",
    "written_bytes",
]

from .arrow import (
    Packed as Packed,
    is_datetime_type as is_datetime_type,
    is_moment_type as is_moment_type,
    is_number_type as is_number_type,
    is_plain_number_type as is_plain_number_type,
    is_text_type as is_text_type,
    joined_arrays as joined_arrays,
    metadata_of_values as metadata_of_values,
    plain_type as plain_type,
    plain_values_of as plain_values_of,
    replaced_rows as replaced_rows,
    row_bytes as row_bytes,
    taken as taken,
    with_wide_index as with_wide_index,
)
from .block import Block as Block, Runs as Runs
from .declared import DeclaredColumns as DeclaredColumns
from .device import device_rows as device_rows, holds_device_rows as holds_device_rows
from .files import FileSource as FileSource, expand as expand
from .frames import TableSource as TableSource
from .locations import (
    Location as Location,
    location_of as location_of,
    naming_file as naming_file,
    write_bytes as write_bytes,
)
from .locks import locked as locked
from .manifest import Manifest as Manifest
from .open import TableLike as TableLike, open_source as open_source
from .output_folder import OutputFolder as OutputFolder
from .plain_json import from_plain as from_plain, plain as plain
from .restoring import restore as restore
from .sink import (
    Document as Document,
    ParquetSink as ParquetSink,
    Sink as Sink,
    check_file as check_file,
    check_folder_of as check_folder_of,
    target_of as target_of,
)
from .source import Source as Source, check_unique as check_unique, is_loaded as is_loaded
from .spark_types import spark_batch as spark_batch
from .text_types import parse as parse, parse_or_null as parse_or_null
from .threads import result_of as result_of
from .untrusted import UntrustedStream as UntrustedStream, written_bytes as written_bytes

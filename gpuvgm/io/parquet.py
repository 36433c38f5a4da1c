"""Single Parquet files, read in batches with bounded memory, or sampled by position."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gpuvgm.errors import InputError
from gpuvgm.io.arrow import dtypes_of_pandas, is_text_type, promoted
from gpuvgm.io.block import Runs
from gpuvgm.io.checksums import (
    DATA_KEY,
    MAGIC,
    TRAILER_BYTES,
    Content,
    check_footer,
    footer_of,
    without_checksums,
)
from gpuvgm.io.locations import Location, location_of, range_reader
from gpuvgm.io.remote import SMALL_AT_ONCE, RemoteFile
from gpuvgm.io.source import Format, Part, one_by_one, rows_of_runs, shares_of_runs, text_of_metadata
from gpuvgm.io.spark_types import legacy_columns
from gpuvgm.io.untrusted import check_schema
from gpuvgm.shortage import ARROW_PROBLEMS, damage_as, reason

#: As Spark reads them: nanoseconds in 64 bits reach from 1677 to 2262 alone, and pyarrow wraps what lies beyond.
INT96_UNIT = "us"
BUFFER_BYTES = 1 << 20
MOST_HASHED_BYTES = 1 << 30  # of a file that is read twice, from the page cache; larger ones are checked by page
# Reading through a buffer is what bounds the memory: unbuffered or memory-mapped, a whole column chunk of a row group
# is resident (20 million float64 rows in one group: 210 MiB against 62 MiB), and the buffer costs no speed.
SAMPLE_ROWS = 1 << 16
TEXT_BYTES = 4  # of a text at least, that of its length; codes of dictionaries have fewer
MOST_TEXT_BYTES = (1 << 31) - 1  # of an Arrow array of text


@dataclass(frozen=True, slots=True)
class ParquetPart(Part):
    """A Parquet file of a source.

    Parameters
    ----------
    path : pathlib.Path or RemoteFile
        The file.
    schema : pyarrow.Schema
        Its columns and types.
    rows : int
        Number of rows.
    group_rows : tuple of int
        Rows of each row group.
    content : Content, optional
        Expected bytes, where known; they are checked once, before the first row is read.
    dtypes : mapping of str to str
        Nullable dtypes of pandas by column, if it wrote the file.
    int96 : frozenset of str
        Columns that hold timestamps as INT96, which are read in microseconds.
    legacy : frozenset of str
        Columns of Spark in another calendar; see `legacy_columns`.
    coded : frozenset of str
        Columns of text that are read as codes and a dictionary.
    """

    group_rows: tuple[int, ...] = ()
    content: Content | None = None
    dtypes: Mapping[str, str] = field(default_factory=dict)
    int96: frozenset[str] = frozenset()
    legacy: frozenset[str] = frozenset()
    coded: frozenset[str] = frozenset()

    def metadata(self) -> dict[str, str]:
        """Key/value metadata, as `read_metadata` gives it."""
        return read_metadata(self.path)

    def check(self) -> None:
        """Compare the file with its SHA-256, once; see `Part.check`."""
        if self.content is not None and isinstance(self.path, Path):
            self.content.check(self.path)

    def sample(self, columns: Sequence[str], runs: Runs) -> list[list[pa.RecordBatch]]:
        """Batches of each run; only row groups that hold some are read, each up to the last row asked for."""
        batches: list[list[pa.RecordBatch]] = [[] for _ in runs]
        for group, group_runs in shares_of_runs(runs, self.group_rows).items():
            pieces = rows_of_runs(self._as_stored(columns, SAMPLE_ROWS, [group]), [run for _, run in group_runs])
            for (number, _), piece in zip(group_runs, pieces, strict=True):
                batches[number] += [rows for batch in piece for rows in self._with_types(batch)]
        return batches

    def finer(self, columns: Sequence[str], runs: Runs) -> set[str]:
        """Columns of INT96 whose rows in runs have nanoseconds, which are lost when read in microseconds."""
        names = [name for name in columns if name in self.int96 and pa.types.is_timestamp(self.schema.field(name).type)]
        finer_names = set()
        for group, group_runs in shares_of_runs(runs, self.group_rows).items() if names else ():
            rows = [run for _, run in group_runs]
            coarse, fine = (
                pa.Table.from_batches(
                    batch for run in rows_of_runs(self.read(names, SAMPLE_ROWS, [group], unit), rows) for batch in run
                )
                for unit in (INT96_UNIT, "ns")
            )
            for name in names:
                nanoseconds: Any = pc.multiply(coarse[name].cast(pa.int64()), 1000)  # wraps as the nanoseconds do
                if pc.any(pc.not_equal(nanoseconds, fine[name].cast(pa.int64()))).as_py():
                    finer_names.add(name)
        return finer_names

    def read(
        self, columns: Sequence[str], batch_rows: int, groups: Sequence[int] | None = None, unit: str = INT96_UNIT
    ) -> Iterator[pa.RecordBatch]:
        """Row groups, all or some, in batches of at most `batch_rows` rows, with INT96 timestamps in a unit."""
        for batch in self._as_stored(columns, batch_rows, groups, unit):
            yield from self._with_types(batch)

    def _as_stored(
        self, columns: Sequence[str], batch_rows: int, groups: Sequence[int] | None = None, unit: str = INT96_UNIT
    ) -> Iterator[pa.RecordBatch]:
        """Rows as they are stored: text that is stored as codes of a dictionary in these, so that few are validated."""
        groups = range(len(self.group_rows)) if groups is None else groups
        row = 0
        self.check()

        def explain(problem: Exception) -> Exception:
            return self._damage(columns, groups, row, problem)

        text = {name: name in self.coded for name in columns if is_text_type(self.schema.field(name).type)}
        context = open_parquet(self.path, columns, groups, check_pages=self.content is None, int96_unit=unit, text=text)
        with damage_as(explain), context as file:
            for batch in file.iter_batches(batch_rows, row_groups=list(groups), columns=list(columns)):
                yield _valid_batch(batch)
                row += batch.num_rows

    def _with_types(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """Rows whose text has the type that the file says: codes where these are asked for, else values.

        Values that one array cannot hold come in several batches.
        """
        names = batch.schema.names
        text = {
            name: column for name, column in zip(names, batch.columns, strict=True) if self._is_turned(name, column)
        }
        longest = max((_longest(column) for name, column in text.items() if name not in self.coded), default=0)
        rows = max(MOST_TEXT_BYTES // max(longest, 1), 1)
        for start in range(0, batch.num_rows if text else 0, rows):
            part = batch.slice(start, rows)
            columns = [
                self._of_type(name, column) if name in text else column
                for name, column in zip(names, part.columns, strict=True)
            ]
            yield pa.RecordBatch.from_arrays(columns, names=names)
        if not text:
            yield batch

    def _is_turned(self, name: str, column: pa.Array[Any]) -> bool:
        """Whether codes are turned into text of the file's type, or text into codes."""
        is_text = is_text_type(self.schema.field(name).type)
        return is_text and (name in self.coded or pa.types.is_dictionary(column.type))

    def _of_type(self, name: str, column: Any) -> pa.Array[Any]:
        type_: Any = self.schema.field(name).type
        if name not in self.coded:
            values: pa.Array[Any] = promoted(column, type_)
            return values
        if not pa.types.is_dictionary(column.type):
            column = column.cast(pa.large_string()).dictionary_encode()
        return pa.DictionaryArray.from_arrays(column.indices, column.dictionary.cast(type_))

    def _damage(self, columns: Sequence[str], groups: Sequence[int], rows_before: int, problem: Exception) -> Exception:
        if isinstance(problem, OSError) and problem.errno:
            return problem
        column = next((name for name in columns if not self._readable(name, groups)), columns[0] if columns else "")
        row = sum(self.group_rows[: groups[0]]) + rows_before
        return InputError(
            f'{self.path}: damaged Parquet file: column "{column}" cannot be read after row {row} ({reason(problem)}); '
            "write or copy the file again"
        )

    def _readable(self, column: str, groups: Sequence[int]) -> bool:
        try:
            with open_parquet(self.path, [column], groups) as file:
                for batch in file.iter_batches(SAMPLE_ROWS, row_groups=list(groups), columns=[column]):
                    _valid_batch(batch)
        except (*ARROW_PROBLEMS, OSError, UnicodeError):
            return False
        return True


def _longest(column: Any) -> int:
    """Bytes of the longest text of a dictionary."""
    return pc.max(pc.binary_length(column.dictionary)).as_py() or 0


def _valid_batch(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch, validated: Arrow reads invalid text, indices, decimals and times without an error."""
    batch.validate(full=True)
    return batch


@contextmanager
def open_parquet(
    path: Location,
    columns: Sequence[str] = (),
    groups: Sequence[int] = (),
    *,
    check_pages: bool = True,
    int96_unit: str = INT96_UNIT,
    text: Mapping[str, bool] = MappingProxyType({}),
) -> Iterator[pq.ParquetFile]:
    """Open a file, read through a small buffer; naming columns and row groups saves requests to a store.

    Columns of text are read as codes of a dictionary where they are stored so, or, where `text` says it, in any case.
    The checksums of pages are checked as far as there are any, unless all bytes were checked before.

    Raises
    ------
    InputError
        For a footer that is not the one that gpuvgm wrote.
    """
    reader = range_reader(path) if isinstance(path, RemoteFile) else None
    source: Any = pa.OSFile(str(path), "rb") if reader is None else pa.PythonFile(reader, mode="r")
    with source:
        metadata = _checked_metadata(path, source)
        coded = _read_as_codes(metadata, groups, text) if text and metadata is not None else []
        with pq.ParquetFile(
            source,
            metadata=metadata,
            read_dictionary=coded,
            pre_buffer=False,
            buffer_size=BUFFER_BYTES,
            page_checksum_verification=check_pages,
            coerce_int96_timestamp_unit=int96_unit,
        ) as file:
            if reader is not None:
                reader.expect([_column_chunks(file.metadata.row_group(group), columns) for group in groups])
            yield file


def _checked_metadata(path: Location, source: pa.NativeFile) -> pq.FileMetaData | None:
    """Metadata of a checked footer; None where there is no footer, for which pyarrow has a message."""
    footer = footer_of(source)
    if footer is None:
        return None
    check_footer(str(path), footer)
    return pq.read_metadata(pa.BufferReader(MAGIC + footer))


def _read_as_codes(footer: pq.FileMetaData, groups: Sequence[int], text: Mapping[str, bool]) -> list[str]:
    """Columns of text that Arrow can read as codes: all asked for so, and those stored so, as far as sizes tell."""
    rows = [footer.row_group(group) for group in groups]
    names = []
    for place in range(footer.num_columns):
        name = footer.schema.column(place).path
        chunks = [group.column(place) for group in rows] if name in text else []
        if not chunks or any(code.startswith("DELTA") for chunk in chunks for code in chunk.encodings):
            continue  # Arrow makes no dictionaries of texts that are stored as differences
        size, values = (sum(map(attrgetter(of), chunks)) for of in ("total_uncompressed_size", "num_values"))
        if text[name] or (all(chunk.has_dictionary_page for chunk in chunks) and size < TEXT_BYTES * values):
            names.append(name)
    return names


def _column_chunks(group: pq.RowGroupMetaData, columns: Sequence[str]) -> list[tuple[int, int]]:
    """Byte ranges of the columns in a row group."""
    prefixes = tuple(f"{name}." for name in columns)
    ranges = []
    for chunk in map(group.column, range(group.num_columns)):
        if chunk.path_in_schema in columns or chunk.path_in_schema.startswith(prefixes):
            first = chunk.data_page_offset
            if chunk.has_dictionary_page and chunk.dictionary_page_offset is not None:
                # The page of the dictionary comes before those of values.
                first = min(first, chunk.dictionary_page_offset)
            ranges.append((first, first + chunk.total_compressed_size))
    return ranges


def parquet_part(path: Location) -> ParquetPart:
    """Read the footer of a Parquet file.

    Raises
    ------
    InputError
        Naming the file, when it is empty, truncated or no Parquet file.
    """
    with damage_as(partial(_incomplete, path)):
        with open_parquet(path) as file:
            footer, schema = file.metadata, file.schema_arrow
            groups = tuple(footer.row_group(i).num_rows for i in range(footer.num_row_groups))
            int96 = int96_columns(footer, schema)
            legacy = legacy_columns(footer, schema, int96)
        # Checksums within the Arrow schema are those of another file, whose metadata pyarrow copied.
        content = None if DATA_KEY.encode() in (schema.metadata or {}) else _content(path, footer)
        dtypes, schema = dtypes_of_pandas(schema.metadata), schema.remove_metadata()
        check_schema(schema)
        return ParquetPart(path, schema, footer.num_rows, groups, (), content, dtypes, int96, legacy)


PARQUET = Format("Parquet", (".parquet", ".parq", ".pq"), one_by_one(parquet_part), MAGIC)


def int96_columns(footer: pq.FileMetaData, schema: pa.Schema) -> frozenset[str]:
    """Columns that hold timestamps as INT96, also within lists and structs."""
    leaves = [footer.schema.column(number) for number in range(footer.num_columns)]
    paths = [leaf.path for leaf in leaves if leaf.physical_type == "INT96"]
    return frozenset(name for name in schema.names if any(f"{path}.".startswith(f"{name}.") for path in paths))


def holds_int96(fragments: Sequence[Any]) -> bool:
    """Return whether any of Arrow's fragments of Parquet files has INT96 timestamps; their footers are read."""
    schemas = zip(fragments, schemas_of(fragments), strict=True)
    return any(int96_columns(fragment.metadata, schema) for fragment, schema in schemas)


def schemas_of(fragments: Sequence[Any]) -> list[pa.Schema]:
    """Columns and types of each of Arrow's fragments of Parquet files; their footers are read, several at a time."""
    with ThreadPoolExecutor(SMALL_AT_ONCE, "gpuvgm-schema") as threads:
        return list(threads.map(lambda fragment: fragment.physical_schema, fragments))


def _incomplete(path: Location, problem: Exception) -> InputError:
    if isinstance(problem, OSError) and problem.errno:
        return InputError(f"{path}: cannot be read: {os.strerror(problem.errno)}")
    if isinstance(problem, pa.ArrowNotImplementedError):  # the file is whole, and says what Arrow does not read
        return InputError(
            f"{path}: holds what Arrow cannot read ({reason(problem)}); write it with other types: Int128 of polars "
            "as Int64 or Decimal"
        )
    return InputError(
        f"{path}: not a complete Parquet file ({reason(problem)}); it is damaged or its writing was cut short"
    )


def _content(path: Location, footer: pq.FileMetaData) -> Content | None:
    """Expected bytes before the footer; None where it has no checksum, in stores, and for files too large to hash."""
    sha256 = (footer.metadata or {}).get(DATA_KEY.encode())
    if sha256 is None or isinstance(path, RemoteFile) or (size := path.stat().st_size) > MOST_HASHED_BYTES:
        return None
    return Content(size - footer.serialized_size - TRAILER_BYTES, sha256.decode())


def read_metadata(path: str | Location) -> dict[str, str]:
    """Key/value metadata of a Parquet file, as `ParquetSink` wrote it.

    Parameters
    ----------
    path : str, pathlib.Path or RemoteFile
        A Parquet file.

    Returns
    -------
    dict of str to str
        Without the Arrow schema that pyarrow stores beside it, and without checksums.

    Raises
    ------
    InputError
        For a missing file, one of another format, and metadata that is no text.
    """
    location = location_of(path)
    with damage_as(partial(_incomplete, location)), open_parquet(location) as file:
        pairs = file.metadata.metadata or {}
    entries = {key: value for key, value in pairs.items() if key != b"ARROW:schema"}
    return without_checksums(text_of_metadata(str(location), entries))

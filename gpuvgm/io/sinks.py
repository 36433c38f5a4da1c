"""Parquet out: written beside the target, renamed when complete, removed on any failure.

What goes into a store is written to a temporary file of this machine, and put there as one when it is complete.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from gpuvgm.errors import InputError
from gpuvgm.files import partial_of, remove_temporary
from gpuvgm.io.arrow_types import row_bytes
from gpuvgm.io.block import Gatherer, join_batches
from gpuvgm.io.checksums import WrittenDigest
from gpuvgm.io.locations import Given, Location, location_of
from gpuvgm.io.remote import RemoteFile
from gpuvgm.io.targets import check_target

TEMPORARY = "gpuvgm"  # begins the names of what is on its way to a store
ROW_GROUP_ROWS = 1 << 20
LEAST_GROUP_ROWS = 1 << 12
ROW_GROUP_BYTES = 1 << 26  # of wide tables: a row group is gathered in memory before it is written


class ParquetSink:
    """Writes batches to one Parquet file; nothing is left under its name unless all went well.

    Parameters
    ----------
    path : str or os.PathLike
        The file to write, or its URL, symbolic links followed; an existing one is replaced at the end.
    schema : pyarrow.Schema
        Columns and types of every batch.
    metadata : mapping of str to str, optional
        Stored in the file's key/value metadata; `read_metadata` reads it.
    row_group_rows : int, optional
        Rows of a row group; batches are cut and joined to it, so the file does not depend on their length. By default
        2^20, fewer where so many would have more than 64 MiB.
    compression : str, optional
        One codec for all columns, with dictionaries. By default per column what was measured fastest: floats plain and
        uncompressed, 8- and 16-bit modes delta-packed, everything else lz4 with dictionaries.

    Attributes
    ----------
    rows, bytes : int
        Rows taken so far; size of the file, known after closing.
    sha256 : str
        Of the whole file, as hexadecimal digits, known after closing.
    """

    def __init__(
        self,
        path: Given,
        schema: pa.Schema,
        metadata: Mapping[str, str] | None = None,
        *,
        row_group_rows: int | None = None,
        compression: str | None = None,
    ) -> None:
        self.path, self.rows, self.bytes, self.sha256 = location_of(path), 0, 0, ""
        self._final = check_target(self.path)
        self._beside = _beside(self._final)
        self._place = f"{self._beside} (on its way to {self.path})" if isinstance(self.path, RemoteFile) else self.path
        self._schema = schema.with_metadata(dict(metadata or {}))
        self._options = {"compression": compression} if compression else column_options(schema)
        self._digest: WrittenDigest | None = None
        self._gatherer = Gatherer(row_group_rows or rows_of_group(schema), join_batches)
        self._opened = ExitStack()
        self._file: pa.OSFile | None = None
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> Self:
        """Create the partial file."""
        try:
            with naming(self._place):
                self._partial = self._opened.enter_context(partial_of(self._beside))
                self._file = pa.OSFile(str(self._partial), "wb")
                self._digest = WrittenDigest(self._partial)
            self._writer = pq.ParquetWriter(self._file, self._schema, write_page_checksum=True, **self._options)
        except BaseException:
            self._abandon()
            raise
        return self

    def write(self, batch: pa.RecordBatch) -> None:
        """Take one batch of any length; full row groups are written at once."""
        self.rows += batch.num_rows
        for group in self._gatherer.add(batch):
            self._put(group)

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish and rename, or remove the partial file."""
        if kind is not None:
            self._abandon()
            return
        try:
            for group in self._gatherer.rest():
                self._put(group)
            with naming(self._place):
                self._finish()
                self.bytes = self._partial.stat().st_size
                if not isinstance(self._final, RemoteFile):
                    self._partial.replace(self._final)
            if isinstance(self._final, RemoteFile):
                self._final.put(self._partial)
            self._opened.close()
        except BaseException:
            self._abandon()
            raise

    def _put(self, group: pa.RecordBatch) -> None:
        if self._writer is None:
            raise InputError(f"{self.path}: the sink is not open; use it in a with statement")
        table = pa.Table.from_batches([group]).replace_schema_metadata(self._schema.metadata)
        with naming(self._place):
            self._writer.write_table(table, row_group_size=max(1, group.num_rows))
            self._hash()

    def _hash(self) -> None:
        assert self._digest is not None and self._file is not None
        self._digest.reach(self._file.tell())

    def _finish(self) -> None:
        """Write the footer with the file's checksums."""
        assert self._digest is not None and self._writer is not None
        self._hash()
        self._writer.add_key_value_metadata(self._digest.metadata())
        self._close()
        self.sha256 = self._digest.seal()
        self._digest.close()

    def _close(self) -> None:
        writer, self._writer = self._writer, None
        try:
            if writer is not None:
                writer.close()
        finally:
            if writer is not None:
                writer.is_open = False  # else its finaliser tries once more
            if self._file is not None:
                self._file.close()

    def _abandon(self) -> None:
        try:
            self._close()
        except (OSError, pa.ArrowException):
            pass  # the failure that led here is the one to report
        finally:
            if self._digest is not None:
                self._digest.close()
            self._opened.close()


def _beside(final: Location) -> Path:
    """The name that a file is written beside: of what goes to a store one in the temporary folder."""
    if isinstance(final, Path):
        return final
    folder = Path(tempfile.gettempdir())
    remove_temporary(folder, f".{TEMPORARY}.")
    return folder / f"{TEMPORARY}.{final.name}"


def rows_of_group(schema: pa.Schema) -> int:
    """Rows of a row group; they depend on the columns alone."""
    rows = ROW_GROUP_BYTES // max(1, round(row_bytes(schema)))
    return min(ROW_GROUP_ROWS, max(LEAST_GROUP_ROWS, rows // LEAST_GROUP_ROWS * LEAST_GROUP_ROWS))


@contextmanager
def naming(path: Path | str) -> Iterator[None]:
    """Errors of the operating system name the file that was asked for, not the partial one."""
    try:
        yield
    except OSError as problem:
        if problem.errno is None:
            raise
        raise OSError(problem.errno, os.strerror(problem.errno), str(path)) from problem


def column_options(schema: pa.Schema) -> dict[str, Any]:
    """Options of ParquetWriter per column.

    Measured on two cores (million rows a second, bytes a row): float64 plain 107, 8.0; lz4 48, 5.9; dictionary and
    snappy 32, 6.4; float32 plain 157, 4.0; uint8 delta 152, 0.54; dictionary 80, 0.38.
    """
    floats = [field.name for field in schema if pa.types.is_floating(field.type)]
    modes = [field.name for field in schema if field.type in (pa.uint8(), pa.uint16())]
    others = [field.name for field in schema if field.name not in {*floats, *modes}]
    return {
        "compression": {**dict.fromkeys([*floats, *modes], "none"), **dict.fromkeys(others, "lz4")},
        "use_dictionary": others,
        "column_encoding": {**dict.fromkeys(floats, "PLAIN"), **dict.fromkeys(modes, "DELTA_BINARY_PACKED")},
    }

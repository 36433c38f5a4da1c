"""Writing results: names that may not be overwritten, and Parquet and CSV files as sinks."""

from __future__ import annotations

import fnmatch
import glob
import hashlib
import json
import os
import tempfile
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from gpuvgm.errors import InputError
from gpuvgm.files import SIGNALS, partial_of, remove_temporary
from gpuvgm.io.arrow import CSV_FORM, is_moment_type, plain_type, row_bytes
from gpuvgm.io.block import Gatherer
from gpuvgm.io.checksums import MAGIC, checksums_beside, sealed
from gpuvgm.io.csv import COMMAS
from gpuvgm.io.csv_forms import CsvForm
from gpuvgm.io.files import belongs
from gpuvgm.io.formats import NOT_PARQUET
from gpuvgm.io.lakes import refuse_to_write_into_lakes
from gpuvgm.io.locations import Given, Location, location_of, naming_file, write_bytes
from gpuvgm.io.remote import RemoteFile
from gpuvgm.io.row_groups import moved_group, parted, with_groups
from gpuvgm.io.source import Source
from gpuvgm.io.spark_types import spark_batch
from gpuvgm.io.threads import result_of
from gpuvgm.shortage import ARROW_PROBLEMS, reason

_FIRST_DAY, _LAST_DAY = -12_687_428, 11_248_737  # since 1970: the years -32767 to 32767, which Arrow writes as text
_UNITS_A_DAY = {"s": 86_400, "ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}
NOT_IN_CSV = (
    *(pa.types.is_nested, pa.types.is_duration, pa.types.is_interval),
    *(pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary),
)


def check_parquet_target(path: Location) -> Location:
    """The file to write, symbolic links followed.

    Raises
    ------
    InputError
        When the folder is not there, something other than a file has the name, or its ending is of another format.
    """
    if path.name.lower().endswith(NOT_PARQUET):
        raise InputError(f"{path}: gpuvgm writes Parquet: name it {_stem_of(path)}.parquet")
    return check_file(path)


def _stem_of(path: Location) -> str:
    return path.name.partition(".")[0] or "x"


def check_file(path: Location) -> Location:
    """The file to write, with links followed.

    Raises
    ------
    InputError
        When the folder is not there, or something other than a file has the name.
    """
    if isinstance(path, RemoteFile):
        path.refuse_read_only()
        entry = path.entry()
        if entry is not None and entry.is_folder:
            raise InputError(f"{path}: is a folder; give the name of a file to write")
        return path
    final = Path(os.path.realpath(path))
    if final.is_dir():
        raise InputError(f"{path}: is a folder; give the name of a file to write")
    if not final.parent.is_dir():
        raise InputError(f"{path}: the folder {final.parent} does not exist; create it first")
    if final.exists() and not final.is_file():
        raise InputError(f"{path}: is no ordinary file (a device, pipe or socket); give the name of a file to write")
    return final


def check_folder_of(path: Location) -> None:
    """Refuse a name in a folder of this machine that does not exist, or in a table of Delta Lake and the like."""
    if isinstance(path, Path) and not path.parent.is_dir():
        raise InputError(f"{path}: the folder {path.parent} does not exist; create it first")
    refuse_to_write_into_lakes(path)


@dataclass(frozen=True, slots=True)
class Document:
    """A report to write, whose place is checked before the work that it tells of.

    Parameters
    ----------
    place : Location
        Path or URL of the report.
    """

    place: Location

    @classmethod
    def json(cls, name: Given) -> Self:
        """A report as JSON.

        Raises
        ------
        InputError
            When its ending is another, the folder is not there, or something other than a file has the name.
        """
        return cls._checked(name, (".json",), "a report is JSON")

    @classmethod
    def page(cls, name: Given) -> Self:
        """A report as a page; raises as `json`."""
        return cls._checked(name, (".html", ".htm"), "a page is HTML")

    @classmethod
    def columns(cls, name: Given) -> Self:
        """A file of columns, which its user edits; raises as `json`, and where there is one with the name already."""
        document = cls._checked(name, (".toml",), "a file of columns is TOML")
        if document.place.exists():
            raise InputError(
                f"{document.place}: exists, perhaps with changes of yours: name another file, or remove it"
            )
        return document

    @classmethod
    def _checked(cls, name: Given, endings: Sequence[str], sort: str) -> Self:
        target = location_of(name)
        if target.suffix.lower() not in endings:
            raise InputError(f"{target}: {sort}: give it a name that ends in {endings[0]}")
        check_folder_of(target)
        return cls(check_file(target))

    def write(self, text: str) -> None:
        """Write the report atomically."""
        write_bytes(self.place, text.encode())


def refuse_overwriting(source: Source, out: Given) -> None:
    """Refuse a target that is or would be one of the source's files, or lies in a table of Delta Lake and the like.

    Raises
    ------
    InputError
        Naming the target and the source.
    """
    target = location_of(out)
    refuse_to_write_into_lakes(target)
    if any(_is_same_file(target, path) for path in source.paths):
        raise InputError(f"{target}: is read as part of {source.name}; give another name to write")
    for origin in source.origins:
        if _would_join(target, location_of(origin)):
            raise InputError(f"{target}: lies in {origin}, which would read it the next time; write it elsewhere")


def target_of(source: Source, out: Given) -> Location:
    """The file or folder to write.

    Raises
    ------
    InputError
        Where it would be read as part of the source, and for "-", which commands that decode rows take alone.
    """
    target = location_of(out)
    if str(target) == "-":
        raise InputError('"-": name a file or a folder; the commands sample, inverse and generate print CSV there')
    refuse_overwriting(source, target if target.suffix else target / "part-00000.parquet")
    # The folder behind a link is replaced, and the link stays.
    if isinstance(target, Path) and target.is_symlink() and not target.suffix:
        target = Path(os.path.realpath(target))
    sources = [] if target.suffix else _inside_of(target, source)
    if sources:
        raise InputError(f"{target}: holds {sources[0]}, which is read; give another name to write")
    return target


def _inside_of(folder: Location, source: Source) -> list[Location]:
    """Files of a source that lie in a folder."""
    if not isinstance(folder, Path):
        return []
    final = os.path.realpath(folder)
    paths = [path for path in source.paths if isinstance(path, Path)]
    return [path for path in paths if Path(os.path.realpath(path)).is_relative_to(final)]


def _is_same_file(target: Location, file: Location) -> bool:
    if isinstance(target, RemoteFile):
        return target.shares_store(file) and target.path == file.path
    return isinstance(file, Path) and target.exists() and file.exists() and target.samefile(file)


def _would_join(target: Location, origin: Location) -> bool:
    """Return whether a folder or pattern includes a file of this name."""
    if isinstance(target, Path) and isinstance(origin, Path):
        origin = origin.expanduser()
        is_pattern = not origin.exists()  # the name of a folder may hold characters of patterns
        names = [(Path(as_one(target)), Path(as_one(origin))) for as_one in (os.path.abspath, os.path.realpath)]
        names.append((names[0][0], names[1][1]))
        return any(_takes_in(origin, target, is_pattern=is_pattern) for target, origin in names)
    if not isinstance(target, RemoteFile) or not target.shares_store(origin):
        return False
    return _takes_in(PurePosixPath(origin.path), PurePosixPath(target.path))


def _takes_in(origin: PurePath, file: PurePath, *, is_pattern: bool = True) -> bool:
    if file.is_relative_to(origin):
        return file != origin and belongs(file, origin)
    if not is_pattern or not glob.has_magic(str(origin)):
        return False
    folders = (folder for folder in file.parents if _matches(folder, str(origin)))
    return _matches(file, str(origin)) or any(belongs(file, folder) for folder in folders)


def _matches(path: PurePath, pattern: str) -> bool:
    return fnmatch.fnmatchcase(str(path), pattern.replace("**/", "*")) if "**" in pattern else path.match(pattern)


TEMPORARY = "gpuvgm"  # begins the names of what is on its way to a store
ROW_GROUP_ROWS = 1 << 20
LEAST_GROUP_ROWS = 1 << 12
MOST_GROUP_ROWS = 1 << 26  # pyarrow's writer makes several of longer ones
ROW_GROUP_BYTES = 1 << 25  # of wide tables: each thread holds a row group as rows and as bytes of the file
WRITE_BYTES = 1 << 20  # ext4 of Linux 6.18 takes those of 4 MiB at a seventh of the speed
LOOKED_AT = 1 << 13  # first rows of a column of floats
MOST_DIFFERENT = 0.75  # share of them that differ, for a dictionary


class Sink(ABC):
    """A file that batches are written to; it has its name only once it is complete.

    Parameters
    ----------
    path : pathlib.Path or RemoteFile
        The file to write; an existing one is replaced at the end.
    final : pathlib.Path or RemoteFile
        The file, with symbolic links followed.
    schema : pyarrow.Schema
        Columns and types of every batch.

    Attributes
    ----------
    rows, bytes : int
        Rows taken so far; size of the file, known after closing.
    sha256 : str
        Of a whole Parquet file, as hexadecimal digits, known after closing.
    """

    def __init__(self, path: Location, final: Location, schema: pa.Schema) -> None:
        self.path, self.rows, self.bytes, self.sha256 = path, 0, 0, ""
        self._final, self._schema, self._streams, self._exits = final, schema, ExitStack(), ExitStack()
        self._local_target = _partial_name(final)
        self._place = f"{self._local_target} (on its way to {path})" if isinstance(path, RemoteFile) else path

    @staticmethod
    def writes_csv(path: Location) -> bool:
        """Return whether `of_values` writes a file of this name as CSV."""
        return path.name.lower().endswith(COMMAS)

    @staticmethod
    def of_values(path: Location, schema: pa.Schema, metadata: Mapping[str, str], **options: Any) -> Sink:
        """A file for values of the columns' own types: CSV by its name, else Parquet with metadata and options.

        The form of CSV is in the metadata, if it is known.
        """
        if Sink.writes_csv(path):
            form = metadata.get(CSV_FORM)
            return CsvSink(path, schema, None if form is None else CsvForm.from_json(json.loads(form)))
        metadata = {key: value for key, value in metadata.items() if key != CSV_FORM}
        if path.name.lower().endswith(NOT_PARQUET):
            stem = _stem_of(path)
            raise InputError(
                f"{path}: gpuvgm writes CSV and Parquet: name it {stem}.csv, which spreadsheets open, or {stem}.parquet"
            )
        return ParquetSink(path, schema, metadata, **options)

    def __enter__(self) -> Self:
        """Create the partial file."""
        with ExitStack() as exits:
            with naming_file(self._place):
                is_sent = isinstance(self._final, RemoteFile)  # from the temporary folder, which all users share
                self._partial = exits.enter_context(partial_of(self._local_target, private=is_sent))
            # Exits run in reverse: threads end, then streams close, then the partial file is removed.
            exits.callback(self._release)
            self._begin(exits)
            self._exits = exits.pop_all()  # from here on `__exit__` runs them
        return self

    @abstractmethod
    def write(self, batch: pa.RecordBatch) -> None:
        """Write one batch of any length."""

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish and rename, or remove the partial file."""
        with self._exits:
            if kind is not None:
                return
            self._finish()
            self.bytes = self._partial.stat().st_size
            if isinstance(self._final, RemoteFile):
                self._final.put(self._partial)
            else:
                with naming_file(self._place):
                    self._partial.replace(self._final)

    @abstractmethod
    def _begin(self, exits: ExitStack) -> None:
        """Open the partial file among the streams; what else is to be closed at the end goes on `exits`."""

    @abstractmethod
    def _finish(self) -> None:
        """Write the remaining rows and close the streams."""

    def _release(self) -> None:
        with suppress(OSError, pa.ArrowException):  # the failure that led here is the one to report
            self._streams.close()


class ParquetSink(Sink):
    """Writes batches to one Parquet file, which has its name only once it is complete.

    Parameters
    ----------
    path : str or os.PathLike
        The file to write, or its URL, symbolic links followed; an existing one is replaced at the end.
    schema : pyarrow.Schema
        Columns and types of every batch, or of what `spark_batch` makes of these.
    metadata : mapping of str to str, optional
        Stored in the file's key/value metadata; `read_metadata` reads it.
    row_group_rows : int, optional
        Rows of a row group; batches are cut and joined to it, so the file does not depend on their length. By default
        2^20, fewer where so many would have more than 32 MiB.
    compression : str, optional
        One codec for all columns, with dictionaries. By default what `column_options` finds best for each column.
    threads : int, optional
        Row groups that are encoded at a time; by default as many as Arrow has threads.

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
        threads: int | None = None,
    ) -> None:
        place = location_of(path)
        super().__init__(place, check_parquet_target(place), schema.with_metadata(dict(metadata or {})))
        _refuse_columns(schema, place, _write_parquet, "Parquet cannot hold: leave it out, or convert it first")
        self._compression = compression
        self._gatherer = Gatherer(self.rows_of_group(schema, row_group_rows))
        self._lacks_rows = False
        self._at_once = threads or pa.cpu_count()
        self._options: dict[str, Any] = {}
        self._file: pa.OSFile | None = None
        self._under_way = deque[Future[memoryview]]()
        self._groups: list[bytes] = []

    @staticmethod
    def rows_of_group(schema: pa.Schema, asked: int | None = None) -> int:
        """Rows of a row group: as many as asked for, or what the columns alone determine."""
        if asked is not None:
            return min(asked, MOST_GROUP_ROWS)
        rows = ROW_GROUP_BYTES // max(1, round(row_bytes(schema)))
        return min(ROW_GROUP_ROWS, max(LEAST_GROUP_ROWS, rows // LEAST_GROUP_ROWS * LEAST_GROUP_ROWS))

    def write(self, batch: pa.RecordBatch) -> None:
        """Write one batch of any length; full row groups are encoded in threads."""
        self._check_whole()
        batch = batch if batch.schema.types == self._schema.types else spark_batch(batch)
        self.rows += batch.num_rows
        # Still true after an error: the row group that failed is in no file.
        self._lacks_rows = True
        for group in self._gatherer.add(batch):
            if self._file is None or self._file.closed:
                raise InputError(f"{self.path}: the sink is not open; use it in a with statement")
            self._choose_options(group)
            if self._at_once == 1:
                self._add(self._encode_group(group))
                continue
            self._append(self._at_once - 1)
            with SIGNALS.deferred():  # a thread is not waited for in the end if a signal comes while it starts
                self._under_way.append(self._threads.submit(self._encode_group, group))
        self._lacks_rows = False

    def _check_whole(self) -> None:
        if self._lacks_rows:
            raise InputError(f"{self.path}: rows of it could not be written, so the file is not; write it again")

    def _begin(self, exits: ExitStack) -> None:
        with naming_file(self._place):
            self._file = self._streams.enter_context(pa.OSFile(str(self._partial), "wb"))
        self._sha256, self._hash_thread = hashlib.sha256(), ThreadPoolExecutor(1, "gpuvgm-checksum")
        exits.callback(self._hash_thread.shutdown)
        self._put(memoryview(MAGIC))
        self._threads = ThreadPoolExecutor(self._at_once, "gpuvgm-write")
        exits.callback(self._threads.shutdown, cancel_futures=True)

    def _choose_options(self, first: pa.RecordBatch | pa.Table) -> None:
        """Choose the best options for the first row group, and keep them."""
        if not self._options:
            self._options = {"compression": self._compression} if self._compression else column_options(first)
            for field in first.schema:
                is_nested = pa.types.is_nested(plain_type(field.type))
                missing: Any = first.column(field.name).is_null() if is_nested else None
                if is_nested and missing.true_count:  # some can only be written
                    self._check_column(first.select([field.name]).slice(missing.index(True).as_py(), 1))

    def _encode_group(self, group: pa.RecordBatch | pa.Table, pairs: dict[str, str] | None = None) -> memoryview:
        """Encode rows as a file of one row group in memory; without rows, one with key/value metadata alone."""
        buffer = pa.BufferOutputStream()
        try:
            with pq.ParquetWriter(buffer, self._schema, write_page_checksum=True, **self._options) as writer:
                if group.num_rows:
                    writer.write(group.replace_schema_metadata(self._schema.metadata), group.num_rows)
                writer.add_key_value_metadata(pairs or {})
        except ARROW_PROBLEMS:
            for name in group.schema.names:
                self._check_column(group.select([name]))
            raise
        return memoryview(buffer.getvalue())

    def _check_column(self, rows: pa.RecordBatch | pa.Table) -> None:
        """Refuse a column whose rows Arrow cannot write, or cannot read back."""
        buffer = pa.BufferOutputStream()
        try:
            pq.write_table(pa.table(rows), buffer)
            pq.read_table(pa.BufferReader(buffer.getvalue()))
        except ARROW_PROBLEMS as problem:
            (field,) = rows.schema
            raise InputError(
                f'{self.path}: column "{field.name}" is of type {field.type}, of which Parquet cannot hold such values '
                f"({reason(problem)}): leave it out, or convert it first"
            ) from None

    def _append(self, limit: int) -> None:
        """Append row groups to the file in order, until threads have at most `limit` of them."""
        while len(self._under_way) > limit:
            self._add(result_of(self._under_way.popleft()))

    def _add(self, group: memoryview) -> None:
        assert self._file is not None
        pages, footer = parted(group)
        self._groups.append(moved_group(footer, self._file.tell() - len(MAGIC)))
        self._put(pages)

    def _put(self, data: memoryview) -> None:
        """Write to the file, while a thread updates its checksum."""
        assert self._file is not None
        update = self._hash_thread.submit(self._sha256.update, data)
        with naming_file(self._place):
            for start in range(0, len(data), WRITE_BYTES):
                self._file.write(data[start : start + WRITE_BYTES])
        result_of(update)

    def _finish(self) -> None:
        """Write the remaining rows, and the footer with the file's checksums."""
        assert self._file is not None
        self._check_whole()
        groups, no_rows = list(self._gatherer.rest()), pa.Table.from_batches([], self._schema)
        self._choose_options(groups[0] if groups else no_rows)
        files = [self._encode_group(group) for group in groups]  # while threads are at those before
        self._append(0)
        for group in files:
            self._add(group)
        _, footer = parted(self._encode_group(no_rows, checksums_beside(self._sha256.hexdigest())))
        footer = with_groups(footer, self._groups, self.rows)
        self._put(memoryview(sealed(footer + len(footer).to_bytes(4, "little") + MAGIC)))
        with naming_file(self._place):
            self._streams.close()
        self.sha256 = self._sha256.hexdigest()


class CsvSink(Sink):
    """Writes batches to one CSV file, which has its name only once it is complete.

    Missing values are empty fields, text is quoted. Read as CSV, empty text is missing too.

    Parameters
    ----------
    path : str or os.PathLike
        The file to write, or its URL; compressed where it ends in ".csv.gz". An existing one is replaced at the end.
    schema : pyarrow.Schema
        Columns and types of every batch.
    form : CsvForm, optional
        How the file is written; by default as Arrow writes it.

    Attributes
    ----------
    rows, bytes : int
        Rows taken so far; size of the file, known after closing.

    Raises
    ------
    InputError
        For a column whose values CSV cannot hold.
    """

    def __init__(self, path: Given, schema: pa.Schema, form: CsvForm | None = None) -> None:
        place, self._form = location_of(path), form
        for at, field in enumerate(schema):
            if pa.types.is_string_view(field.type):  # which Arrow does not write
                schema = schema.set(at, field.with_type(pa.large_string()))
        super().__init__(place, check_file(place), schema.remove_metadata())
        _refuse_columns(self._schema, place, _write_csv, "CSV cannot hold: write a .parquet file, or drop the column")

    def write(self, batch: pa.RecordBatch) -> None:
        """Write one batch of any length."""
        if batch.num_columns == 1 and batch.column(0).null_count:
            raise InputError(
                f'{self.path}: column "{batch.schema.names[0]}" is the only one and has missing values, which would be '
                "empty lines in CSV: write a .parquet file"
            )
        self.rows += batch.num_rows
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            if _lies_beyond_csv(column):
                raise InputError(
                    f'{self.path}: column "{name}" has moments beyond the year 32767, as infinities of databases are, '
                    "which Arrow does not write as text: write a .parquet file, or drop the column"
                )
        with naming_file(self._place):
            self._write_rows(batch.replace_schema_metadata(None).cast(self._schema))

    def _begin(self, exits: ExitStack) -> None:
        with naming_file(self._place):
            file: Any = self._streams.enter_context(pa.OSFile(str(self._partial), "wb"))
            if self.path.name.lower().endswith(".gz"):
                file = self._streams.enter_context(pa.CompressedOutputStream(file, "gzip"))
            if (form := self._form) is None:
                writer = self._streams.enter_context(pyarrow.csv.CSVWriter(file, self._schema))
                self._write_rows: Callable[[pa.RecordBatch], Any] = writer.write_batch
            else:
                file.write(form.header(self._schema.names))
                self._write_rows = lambda rows: file.write(form.lines(rows))

    def _finish(self) -> None:
        with naming_file(self._place):
            self._streams.close()


def _lies_beyond_csv(column: pa.Array[Any]) -> bool:
    """Return whether Arrow writes "value out of range" for some date or timestamp of a column."""
    if not is_moment_type(column.type):
        return False
    ends: Any = pc.min_max(column)
    least, most = ends["min"].value, ends["max"].value
    a_day = 1 if pa.types.is_date32(column.type) else _UNITS_A_DAY[getattr(column.type, "unit", "ms")]
    return least is not None and not _FIRST_DAY <= least // a_day <= most // a_day <= _LAST_DAY


def _refuse_columns(schema: pa.Schema, path: Location, write: Callable[[pa.DataType], None], advice: str) -> None:
    """Refuse a column of a type that cannot be written.

    Parameters
    ----------
    schema : pyarrow.Schema
        The columns.
    path : pathlib.Path or RemoteFile
        File to write, for messages.
    write : callable
        Writes no rows of a type, and reads them where that may fail.
    advice : str
        The format that cannot hold the type, and the remedy.

    Raises
    ------
    InputError
        Naming the column.
    """
    types: list[pa.DataType] = []  # types of extensions have no hash
    for field in schema:
        if field.type in types:
            continue
        types.append(field.type)
        try:
            write(field.type)
        except (OSError, *ARROW_PROBLEMS):
            raise InputError(f'{path}: column "{field.name}" is of type {field.type}, which {advice}') from None


def _write_parquet(type_: Any) -> None:
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_batches([], pa.schema([("", type_)])), buffer)
    pq.read_schema(pa.BufferReader(buffer.getvalue()))  # Arrow writes some that it does not read


def _write_csv(type_: pa.DataType) -> None:
    if any(is_one(type_) for is_one in NOT_IN_CSV):
        raise pa.ArrowNotImplementedError
    nowhere: Any = pa.BufferOutputStream()  # the stubs know files alone
    pyarrow.csv.CSVWriter(nowhere, pa.schema([("", type_)])).close()


def _partial_name(final: Location) -> Path:
    """Name that the partial file is made from; for a store it lies in the temporary folder."""
    if isinstance(final, Path):
        return final
    folder = Path(tempfile.gettempdir())
    remove_temporary(folder, f".{TEMPORARY}.")
    return folder / f"{TEMPORARY}.{final.name}"


def column_options(rows: pa.RecordBatch | pa.Table) -> dict[str, Any]:
    """Options of ParquetWriter per column: the fastest measured, unless it takes much more space.

    8- and 16-bit modes are delta-packed. Floats are uncompressed, and plain but for float64 of which a quarter of the
    first rows repeat others, as amounts in cents do: those have dictionaries, as has everything else, with lz4.

    ns of a core a row, and bytes a row, on two cores, with checksums of pages. float64 plain 11.8, 8.0; with
    dictionaries, normal values of one decimal 12.5, 1.3; amounts in cents 18.8, 2.1; 131,072 different values 32, 3.1;
    all different 23, 8.3. float32 plain 6.9, 4.0; amounts with dictionaries 17, 2.0. Million rows a second, bytes a
    row: float64 lz4 48, 5.9; one-byte integers delta 152, 0.54; dictionary 80, 0.38.

    Parameters
    ----------
    rows : pyarrow.RecordBatch or pyarrow.Table
        The first rows of the file.
    """
    floats = [field.name for field in rows.schema if pa.types.is_floating(field.type)]
    modes = [field.name for field in rows.schema if field.type in (pa.int8(), pa.int16())]
    other_columns = [field.name for field in rows.schema if field.name not in {*floats, *modes}]
    dictionary_floats = [name for name in floats if _repeats(rows.column(name).slice(0, LOOKED_AT))]
    plain_floats = [name for name in floats if name not in dictionary_floats]
    return {
        "compression": {**dict.fromkeys([*floats, *modes], "none"), **dict.fromkeys(other_columns, "lz4")},
        "use_dictionary": [*other_columns, *dictionary_floats],
        "column_encoding": {**dict.fromkeys(plain_floats, "PLAIN"), **dict.fromkeys(modes, "DELTA_BINARY_PACKED")},
    }


def _repeats(values: pa.Array[Any] | pa.ChunkedArray[Any]) -> bool:
    """Return whether values are float64, and a quarter of them repeat others."""
    limit = MOST_DIFFERENT * (len(values) - values.null_count)
    return values.type == pa.float64() and pc.count_distinct(values).as_py() <= limit

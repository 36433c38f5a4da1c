"""Output of transform, inverse, sample and generate: one file, or a folder of Parquet files that can be resumed.

Each file of a folder holds the same rows whichever process writes it, so complete files need not be written again.
"""

from __future__ import annotations

import logging
import os
import time
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import accumulate, groupby
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self

import pyarrow as pa

from gpuvgm.config import Compression, Flavor
from gpuvgm.errors import InputError, SourceChangedError, counted, listed
from gpuvgm.execution import LocalExecutor, Partition, Run
from gpuvgm.files import SIGNALS
from gpuvgm.io import (
    FileSource,
    Location,
    Manifest,
    OutputFolder,
    ParquetSink,
    Sink,
    Source,
    locked,
    result_of,
    spark_batch,
    target_of,
)
from gpuvgm.rules import choice, whole
from gpuvgm.table.unseen import UnseenCounts, UnseenRows

PART_ROWS = 1 << 24
Written = tuple[pa.RecordBatch, UnseenRows]  # rows, and what the fit had not seen of them
Encode = Callable[[Any], Written]
_LOG = logging.getLogger("gpuvgm")


@dataclass(frozen=True, slots=True)
class RunSummary:
    """Summary of a transform, an inverse, a sample or a generation to files.

    Parameters
    ----------
    path : str
        The file or folder written.
    rows, bytes, columns : int
        Its rows, size and columns.
    seconds : float
        Time taken.
    files : int
        Files; more than one in a folder.
    unseen : dict
        Of a transform, the rows of each column that the fit had not seen, as `transform` gives them.
    parts : list of dict
        Of a folder its files, of one file the parts of the rows that were read for it: `part` (the file), `first_row`,
        `rows` and `seconds`. Empty where rows are generated into one file.
    """

    path: str
    rows: int
    bytes: int
    columns: int
    seconds: float
    files: int = 1
    unseen: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    parts: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class ParquetOptions:
    """How Parquet files are written.

    Parameters
    ----------
    partitioned : bool
        Whether rows of the source's folders `key=value` are written to such folders.
    by_file : bool
        Whether each file of the source becomes one file of the folder.
    compression : {"zstd", "snappy", "none"}, optional
        Codec of all columns; by default each has what is the fastest.
    row_group_rows : int, optional
        Rows of a row group.
    flavor : {"spark"}, optional
        Write the types that Spark reads.

    Raises
    ------
    InputError
        For other values.
    """

    partitioned: bool = False
    by_file: bool = False
    compression: Compression | None = None
    row_group_rows: int | None = None
    flavor: Flavor | None = None

    def __post_init__(self) -> None:
        (choice(Compression) | None)(self.compression, "compression")
        (whole(1) | None)(self.row_group_rows, "row_group_rows")
        (choice(Flavor) | None)(self.flavor, "flavor")

    @property
    def asked(self) -> dict[str, Any]:
        """The options that differ from the default."""
        return {name: value for name, value in asdict(self).items() if value not in (None, False)}


@dataclass(frozen=True, slots=True)
class FileOutput:
    """Where the rows of a source are written, and how.

    Parameters
    ----------
    out : path
        The file, or the folder.
    part_rows : {"file"} or int
        Rows of each file of a folder, or that it has those of a file of the source.
    options : ParquetOptions
        How each file is written.
    resume : bool
        Go on with a run that was cut short.
    """

    out: str | os.PathLike[str]
    part_rows: int | Literal["file"]
    options: ParquetOptions
    resume: bool

    def parts(self, source: Source, schema: pa.Schema, asked: Mapping[str, Any], *, decoded: bool = False) -> Parts:
        """The files of rows of a schema; `asked` is what determines them, but for the options of the files."""
        rows = PART_ROWS if self.part_rows == "file" else self.part_rows  # as long as the source's files do not say it
        target, asked = target_of(source, self.out), {**asked, **self.options.asked}
        return Parts(target, schema, asked, rows, self.options, decoded=decoded)


class FolderRows(NamedTuple):
    """Consecutive rows that are written to a folder within the output.

    Parameters
    ----------
    first_row : int
        The first of them.
    folder : str
        Names of folders `key=value`, with slashes between; "" for the output itself.
    files : int
        Files of the folder that hold rows before these.
    """

    first_row: int
    folder: str
    files: int


def _files_of(source: Source, options: ParquetOptions) -> Sequence[Any]:
    """Files of a source, each of which says how many rows it has.

    Raises
    ------
    InputError
        Where there are none, or they do not lie in folders `key=value` while the rows are to be written to such.
    """
    files = source.parts if isinstance(source, FileSource) else ()
    if options.partitioned and not any(file.keys for file in files):
        raise InputError(f"{source.name}: does not lie in folders key=value; write without partitioned")
    if not files:
        raise InputError(f"{source.name}: has no files to write one for each; give part_rows a number of rows")
    if source.rows is None:
        name, option = ("folder", "partitioned") if options.partitioned else ("file", 'part_rows="file"')
        raise InputError(
            f"{source.name}: CSV does not say how many rows a {name} has; write without {option}, or "
            "from Parquet or Arrow files"
        )
    return files


def folders_of(files: Sequence[Any], part_rows: int) -> tuple[FolderRows, ...]:
    """Rows of files by the folders `key=value` that they lie in, which have files of so many rows."""
    folders: list[FolderRows] = []
    row, file_counts = 0, Counter[str]()
    for folder, group in groupby((file for file in files if file.rows), lambda file: file.folder):
        folders.append(FolderRows(row, folder, file_counts[folder]))
        rows = sum(file.rows or 0 for file in group)
        row += rows
        file_counts[folder] += -(-rows // part_rows)
    return tuple(folders)


def _rows_of_files(files: Sequence[Any], *, partitioned: bool) -> tuple[FolderRows, ...]:
    """Rows of each file, which becomes a file of its own; files without rows have a number too."""
    starts, file_counts = accumulate((file.rows or 0 for file in files), initial=0), Counter[str]()
    places: list[FolderRows] = []
    for start, file in zip(starts, files, strict=False):
        folder = file.folder if partitioned else ""
        places += [FolderRows(start, folder, file_counts[folder])] if file.rows else []
        file_counts[folder] += 1
    return tuple(places)


@dataclass(frozen=True, slots=True)
class Parts:
    """The files of an output, and the rows of each.

    Parameters
    ----------
    out : Location
        The folder.
    schema : pyarrow.Schema
        Columns and metadata of the files.
    asked : mapping
        All that determines the rows: command, model, options and inputs.
    part_rows : int
        Rows of each file but the last.
    options : ParquetOptions
        How each file is written.
    root : pathlib.Path
        Folder that the name counts from; workers may stand in another.
    decoded : bool
        Whether the rows are values of the columns' own types, which one file may hold as CSV.
    folders : sequence of FolderRows
        Which rows are written to which folder, or file.
    left_out : frozenset of str
        Columns that the files do not have, because the names of their folders say them.
    numbers : range, optional
        Of generated rows, the numbers of the files; other runs may write other numbers of the same folder.
    """

    out: Location
    schema: pa.Schema
    asked: Mapping[str, Any]
    part_rows: int = PART_ROWS
    options: ParquetOptions = ParquetOptions()
    root: Path = field(default_factory=Path.cwd)
    decoded: bool = False
    folders: Sequence[FolderRows] = (FolderRows(0, "", 0),)
    left_out: frozenset[str] = frozenset()
    numbers: range | None = None

    def __post_init__(self) -> None:
        if self.part_rows < 1:
            raise InputError(f"part_rows must be at least 1, got {self.part_rows}")
        if self.options.partitioned and self.out.suffix:
            raise InputError(f"{self.out}: one file cannot be partitioned; give a folder (a name without an ending)")
        if self.options.by_file and self.out.suffix:
            raise InputError(f"{self.out}: is one file, and the source may have several; give a folder")
        if self.options.asked and self.decoded and Sink.writes_csv(self.out):
            raise InputError(f"{self.out}: {listed(list(self.options.asked))} cannot be chosen for CSV; leave it out")

    def partitioned_as(self, source: Source) -> Parts:
        """The parts by the folders or the files of a source."""
        files, is_partitioned = _files_of(source, self.options), self.options.partitioned
        keys = {key.name for file in files for key in file.keys if is_partitioned and not key.stored}
        if not self.options.by_file:
            return replace(self, folders=folders_of(files, self.part_rows), left_out=frozenset(keys))
        folders = _rows_of_files(files, partitioned=is_partitioned) or self.folders
        most = max([file.rows or 1 for file in files])
        return replace(self, folders=folders, left_out=frozenset(keys), part_rows=most)

    def numbered(self, first_row: int, rows: int) -> Self:
        """The parts for generated rows: files are numbered by their rows, and other runs may write other files."""
        first = first_row // self.part_rows
        numbers = range(first, first + max(1, -(-rows // self.part_rows)))
        return replace(self, folders=(FolderRows(first_row, "", first),), numbers=numbers)

    @property
    def columns(self) -> list[str]:
        """Columns of the files."""
        return [name for name in self.schema.names if name not in self.left_out]

    @property
    def file_schema(self) -> pa.Schema:
        """Columns of the files, in the types that are written."""
        schema = pa.schema([self.schema.field(name) for name in self.columns])
        return schema if self.options.flavor is None else spark_batch(pa.RecordBatch.from_pylist([], schema)).schema

    def sink(self, path: Location, threads: int, first_row: int) -> Sink:
        """A sink for the file that begins with a row, encoded by `threads`."""
        make: Callable[..., Sink] = Sink.of_values if self.decoded else ParquetSink
        return make(path, self.file_schema, self.metadata(first_row), threads=threads, **self.encoding)

    def metadata(self, first_row: int) -> dict[str, str]:
        """Key/value metadata of the file that begins with a row."""
        return {key.decode(): value.decode() for key, value in (self.schema.metadata or {}).items()}

    @property
    def encoding(self) -> dict[str, Any]:
        """Options of each file's sink."""
        return {"compression": self.options.compression, "row_group_rows": self.options.row_group_rows}

    def file(self, first_row: int, threads: int) -> Sink:
        """A sink for the file that begins with a row; its folder is made first."""
        path = self.output_folder.place / self.name(first_row)
        if isinstance(path, Path):
            path.parent.mkdir(parents=True, exist_ok=True)
        return self.sink(path, threads, first_row)

    @property
    def output_folder(self) -> OutputFolder:
        """The folder that they are written to, if they are not one file."""
        return OutputFolder(self.out, self.asked, self.names, self.root, self.numbers)

    @property
    def first_row(self) -> int:
        """The first row of all."""
        return self.folders[0].first_row

    def name(self, first_row: int) -> str:
        """Name of the file that begins with a row."""
        rows = self.folders[self._folder_of(first_row)]
        number = rows.files + (first_row - rows.first_row) // self.part_rows
        return f"{rows.folder}/part-{number:05d}.parquet".removeprefix("/")

    def bounds(self, row: int) -> tuple[int, int]:
        """First row of the file that has a row, and the row that the next file may begin with."""
        at = self._folder_of(row)
        start = self.folders[at].first_row
        first = start + (row - start) // self.part_rows * self.part_rows
        stop = first + self.part_rows
        return first, stop if at + 1 == len(self.folders) else min(stop, self.folders[at + 1].first_row)

    def files(self, rows: int) -> list[tuple[int, int]]:
        """First row of every file of so many rows, and the row after its last."""
        bounds, row = [], self.first_row
        end = row + rows
        while row < end:
            bounds.append((row, min(end, self.bounds(row)[1])))
            row = bounds[-1][1]
        return bounds

    def names(self, rows: int) -> list[str]:
        """Names of the files of so many rows."""
        return [self.name(row) for row, _ in self.files(rows)]

    def write(self, run: Run, columns: Sequence[str], build: Callable[[], Encode], *, resume: bool) -> RunSummary:
        """Encode and write the rows of a run: to one file if the name has an ending, else to a folder of files."""
        encode = run.prepared(build)
        if not self.out.suffix:
            return write_parts(run, columns, self, encode, resume=resume)
        start, out, schema = time.perf_counter(), self.out, self.schema
        if resume:
            _LOG.warning("--resume: one file is written as a whole; it begins again")
        sink = self.sink(out, run.executor.threads, self.first_row)
        with locked(out), sink:
            writer = PartWriter(sink, self.columns)
            run.writer.map_blocks(encode, run.blocks(columns, len(schema)), writer.take)
        seconds = time.perf_counter() - start
        writer.unseen.warn(run.source.place)
        unseen, parts = writer.unseen.rows(), run.parts_done
        return RunSummary(str(out), sink.rows, sink.bytes, len(schema), seconds, unseen=unseen, parts=parts)

    def _folder_of(self, row: int) -> int:
        return bisect_right(self.folders, row, key=lambda rows: rows.first_row) - 1


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of a part.

    Parameters
    ----------
    first_row : int
        The part's.
    rows : (pyarrow.RecordBatch, UnseenRows)
        The rows.
    is_last : bool
        Whether the part is full with them.
    """

    first_row: int
    rows: Written
    is_last: bool


@dataclass(frozen=True, slots=True)
class Cut:
    """Encodes blocks, cut at the borders of parts.

    Parameters
    ----------
    parts : Parts
        The files.
    encode : callable
        From blocks to Arrow batches.
    done : frozenset of str
        Names of the files that are there.
    """

    parts: Parts
    encode: Encode
    done: frozenset[str]

    def __call__(self, block: Any) -> list[Piece]:
        """Encode the rows of each part that is missing."""
        pieces, row, end = [], block.first_row, block.first_row + block.rows
        while row < end:
            first, stop = self.parts.bounds(row)
            if self.parts.name(first) not in self.done:
                low, high = row - block.first_row, min(stop, end) - block.first_row
                rows = self.encode(block if high - low == block.rows else block.between(low, high))
                pieces.append(Piece(first, rows, stop <= end))
            row = stop
        return pieces


@dataclass(frozen=True, slots=True)
class PartWriter:
    """Writes rows to a file, and counts values that the fit had not seen."""

    sink: Sink
    columns: Sequence[str]
    first_row: int = 0
    unseen: UnseenCounts = field(default_factory=UnseenCounts)
    start: float = field(default_factory=time.perf_counter)

    def take(self, rows: Written) -> None:
        """Write the rows of a block."""
        batch, unseen = rows
        self.sink.write(batch if len(self.columns) == batch.num_columns else batch.select(self.columns))
        self.unseen.add(unseen)

    def entry(self) -> dict[str, Any]:
        """The entry of the file in a manifest, once the file is closed."""
        sink = self.sink
        record = {"first_row": self.first_row, "rows": sink.rows, "bytes": sink.bytes, "sha256": sink.sha256}
        return record | {"unseen": self.unseen.to_json(), "seconds": time.perf_counter() - self.start}


class PartFiles:
    """Writes rows to the files of their parts, one after the other; threads end files while later ones are written.

    Parameters
    ----------
    parts : Parts
        The files.
    manifest : Manifest
        Where those that are complete are noted, in the caller's thread.
    threads : int
        Row groups of a file that are encoded at a time.
    """

    def __init__(self, parts: Parts, manifest: Manifest, threads: int) -> None:
        self._parts, self._manifest, self._threads = parts, manifest, threads
        groups = -(-parts.part_rows // ParquetSink.rows_of_group(parts.schema, parts.options.row_group_rows))
        self._most = max(0, threads // groups - 1)  # files that are ended while one is filled
        self._enders = ThreadPoolExecutor(max(1, self._most), "gpuvgm-write")
        self._ending = deque[tuple[str, Future[dict[str, Any]]]]()
        self._open_files = ExitStack()
        self._part_writer: PartWriter | None = None

    def __enter__(self) -> Self:
        """The files."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the threads; of a run that fails, the files that have all their rows stay."""
        with self._enders:
            self._open_files.__exit__(kind, value, trace)
            while self._ending:
                with suppress(Exception):  # the failure that led here is the one to report
                    self._finish(len(self._ending) - 1)

    def take(self, pieces: Sequence[Piece]) -> None:
        """Write rows of some parts."""
        for piece in pieces:
            writer = self._part_writer or self._begin(piece.first_row)
            writer.take(piece.rows)
            if piece.is_last:
                self._end()

    def end(self) -> None:
        """End the last file; of a table without rows write one file that has the columns."""
        self._finish(0)
        if not self._manifest.done and self._part_writer is None:
            self._begin(self._parts.first_row)
        if self._part_writer is not None:
            self._end()
        self._finish(0)

    def _begin(self, first_row: int) -> PartWriter:
        sink = self._open_files.enter_context(self._parts.file(first_row, self._threads))
        self._part_writer = PartWriter(sink, self._parts.columns, first_row)
        return self._part_writer

    def _end(self) -> None:
        """Let a thread end the file; wait if too many others are not ended yet."""
        assert self._part_writer is not None
        with SIGNALS.deferred():  # a thread is not waited for in the end if a signal comes while it starts
            files, writer, self._part_writer = self._open_files.pop_all(), self._part_writer, None
            self._ending.append((self._parts.name(writer.first_row), self._enders.submit(_close_part, files, writer)))
        self._finish(self._most)

    def _finish(self, most: int) -> None:
        """Wait until at most so many files are not ended yet."""
        while len(self._ending) > most:
            name, future = self._ending.popleft()
            entry = result_of(future)
            self._manifest.add(name, entry)


def _close_part(files: ExitStack, writer: PartWriter) -> dict[str, Any]:
    """Close a file, and return its entry in a manifest."""
    files.close()
    return writer.entry()


def write_part(parts: Parts, encode: Encode, partition: Partition, executor: LocalExecutor) -> dict[str, Any]:
    """Write one file from its partition, and return its entry in a manifest."""
    rows = partition.read()
    block_executor = executor.for_writing(on_device=rows.on_device)
    with parts.file(partition.first_row, executor.threads) as sink:
        writer = PartWriter(sink, parts.columns, partition.first_row)
        block_executor.map_blocks(encode, rows.blocks, writer.take)
    return writer.entry()


# -- the run


def write_parts(run: Run, columns: Sequence[str], parts: Parts, encode: Encode, *, resume: bool) -> RunSummary:
    """Encode and write the rows of a run to a folder of files.

    Parameters
    ----------
    run : Run
        The rows, and where and how they are worked on.
    columns : sequence of str
        Columns to read.
    parts : Parts
        The files.
    encode : callable
        From blocks to Arrow batches; it can travel to workers.
    resume : bool
        Go on with a run that was cut short.

    Raises
    ------
    InputError
        Where the folder holds something else, the run to resume was another one, or complete files of an interrupted
        run would be lost.
    """
    start, source = time.perf_counter(), run.source
    parts = parts.partitioned_as(source) if parts.options.partitioned or parts.options.by_file else parts
    with parts.output_folder.opened(source, resume=resume, spread=run.executor.spread) as manifest:
        if manifest.complete:
            return _summary(source, parts, manifest, start)
        _work(run, columns, parts, encode, manifest)
        _check_rows(source, parts, manifest)
    summary = _summary(source, parts, manifest, start)
    rows, size = counted(summary.rows, "row"), counted(summary.bytes, "byte")
    _LOG.info("%s: %s, %s, %.2f s", summary.path, rows, size, summary.seconds)
    return summary


def _work(run: Run, columns: Sequence[str], parts: Parts, encode: Encode, manifest: Manifest) -> None:
    """Write the parts that are missing.

    Workers that can read their rows themselves write parts side by side. Otherwise this process writes one part after
    the other from the results of blocks.
    """
    width = len(parts.schema)
    if run.cluster is not None and run.source.read_apart and run.source.rows:
        cuts = [0, *(stop for _, stop in parts.files(run.source.rows))]
        partitions = run.partitions(columns, width, cuts=cuts)
        missing = (partition for partition in partitions if parts.name(partition.first_row) not in manifest.done)
        for partition, entry in run.cluster.each(partial(write_part, parts, encode), missing):
            manifest.add(parts.name(partition.first_row), entry)
        return
    cut = Cut(parts, encode, frozenset(manifest.done))
    with PartFiles(parts, manifest, run.executor.threads) as files:
        run.writer.map_blocks(cut, _blocks(run, columns, cut), files.take)
        files.end()


def _blocks(run: Run, columns: Sequence[str], cut: Cut) -> Iterator[Any]:
    """Blocks of the rows whose parts are missing."""
    width, rows = len(cut.parts.schema), run.source.rows
    if run.executor.spread or not run.source.paths or rows is None:
        return run.blocks(columns, width)
    missing = [file for file in cut.parts.files(rows) if cut.parts.name(file[0]) not in cut.done]
    borders = Counter(row for file in missing for row in file)
    ends = sorted(row for row, files in borders.items() if files == 1)  # where nothing missing lies on both sides
    read_between = partial(run.source.between, columns)
    block_rows = run.rows_of_blocks(max(len(columns), width))
    runs = zip(ends[::2], ends[1::2], strict=True)
    return _concatenate(read_between(start, stop, block_rows) for start, stop in runs)


def _concatenate(streams: Iterable[Iterator[Any]]) -> Iterator[Any]:
    """Concatenate iterators; closing the result closes the current one."""
    for stream in streams:
        yield from stream


def _check_rows(source: Source, parts: Parts, manifest: Manifest) -> None:
    if source.rows is None:
        return
    rows = sum(entry["rows"] for entry in manifest.done.values())
    is_complete = rows == source.rows or manifest.asked.get("drop")
    if not is_complete or len(manifest.done) != max(1, len(parts.files(source.rows))):
        raise SourceChangedError(f"{source.name}: its number of rows changed while it was read")


def _summary(source: Source, parts: Parts, manifest: Manifest, start: float) -> RunSummary:
    """Summary of a run; warns of values that the fit had not seen."""
    entries, unseen = manifest.done.values(), UnseenCounts()
    for entry in entries:
        unseen.add(UnseenCounts.from_json(entry.get("unseen", {})).columns)
    rows, size = (sum(entry[part] for entry in entries) for part in ("rows", "bytes"))
    seconds = time.perf_counter() - start
    unseen.warn(source.place)
    times = [
        {"part": name, **{key: entry[key] for key in ("first_row", "rows", "seconds") if key in entry}}
        for name, entry in manifest.done.items()
    ]
    width = len(parts.columns)
    return RunSummary(str(parts.out), rows, size, width, seconds, len(entries), unseen.rows(), times)

"""Output of transform, inverse, sample and generate: one file, or a folder of Parquet files that can be resumed.

Each file of a folder holds the same rows whichever process writes it, so complete files need not be written again.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import accumulate, groupby
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self

import pyarrow as pa

from gpuvgm.columns import choice, none, whole
from gpuvgm.config import Compression, Flavor
from gpuvgm.errors import EnvironmentProblem, InputError, SourceChangedError, counted, counted_values, listed
from gpuvgm.execution import DaskExecutor, Executor, LocalExecutor, Partition, Run
from gpuvgm.files import SIGNALS, remove_temporary, replace_folder
from gpuvgm.io import (
    FileSource,
    Given,
    Location,
    Manifest,
    ParquetSink,
    RemoteFile,
    Source,
    check_folder_of,
    decoded_sink,
    is_csv,
    lies_in_process,
    location_of,
    locked,
    refuse_overwriting,
    result_of,
    spark_batch,
)
from gpuvgm.table.unseen import UnseenCounts, UnseenRows

PART_ROWS = 1 << 24
Written = tuple[pa.RecordBatch, UnseenRows]  # rows, and what the fit had not seen of them
Encode = Callable[[Any], Written]
_ANEW = "remove that folder to begin again"
_ENDS = (InputError, EnvironmentProblem, OSError, KeyboardInterrupt)  # ends of runs that are no defect of gpuvgm
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
    """

    path: str
    rows: int
    bytes: int
    columns: int
    seconds: float
    files: int = 1
    unseen: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


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
        (choice(Compression) | none)(self.compression, "compression")
        (whole(1) | none)(self.row_group_rows, "row_group_rows")
        (choice(Flavor) | none)(self.flavor, "flavor")

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

    out: Given
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
        if self.options.asked and self.is_csv:
            raise InputError(f"{self.out}: {listed(list(self.options.asked))} cannot be chosen for CSV; leave it out")

    @property
    def is_csv(self) -> bool:
        """Return whether one file is written as CSV."""
        return self.decoded and is_csv(self.out)

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

    def sink(self, path: Location, threads: int, first_row: int) -> Any:
        """A sink for the file that begins with a row, encoded by `threads`: a ParquetSink or a CsvSink."""
        make: Any = decoded_sink if self.decoded else ParquetSink
        return make(path, self.file_schema, self.metadata(first_row), threads=threads, **self.encoding)

    def metadata(self, first_row: int) -> dict[str, str]:
        """Key/value metadata of the file that begins with a row."""
        return {key.decode(): value.decode() for key, value in (self.schema.metadata or {}).items()}

    @property
    def encoding(self) -> dict[str, Any]:
        """Options of each file's sink."""
        return {"compression": self.options.compression, "row_group_rows": self.options.row_group_rows}

    def file(self, first_row: int, threads: int) -> Any:
        """A sink for the file that begins with a row; its folder is made first."""
        path = self.place / self.name(first_row)
        if isinstance(path, Path):
            path.parent.mkdir(parents=True, exist_ok=True)
        return self.sink(path, threads, first_row)

    @property
    def place(self) -> Location:
        """Folder that files are written to: beside the output until all are complete; in a store the output itself."""
        if isinstance(self.out, RemoteFile):
            return self.out
        return (self.root / self.out).with_name(f".{self.out.name}{self._number}.unfinished")

    @property
    def manifest(self) -> str:
        """Name of the manifest: runs that write other files of the folder have their own."""
        return f"_manifest{self._number}.json"

    @property
    def _number(self) -> str:
        return f".{self.numbers.start:05d}" if self.numbers and self.numbers.start else ""

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
            _writer(run).map_blocks(encode, run.blocks(columns, len(schema)), writer.take)
        seconds = time.perf_counter() - start
        writer.unseen.warn(run.source.place)
        return RunSummary(str(out), sink.rows, sink.bytes, len(schema), seconds, unseen=writer.unseen.rows())

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

    sink: Any  # ParquetSink or CsvSink
    columns: Sequence[str]
    first_row: int = 0
    unseen: UnseenCounts = field(default_factory=UnseenCounts)

    def take(self, rows: Written) -> None:
        """Write the rows of a block."""
        batch, unseen = rows
        self.sink.write(batch if len(self.columns) == batch.num_columns else batch.select(self.columns))
        self.unseen.add(unseen)

    def entry(self) -> dict[str, Any]:
        """The entry of the file in a manifest, once the file is closed."""
        sink = self.sink
        record = {"first_row": self.first_row, "rows": sink.rows, "bytes": sink.bytes, "sha256": sink.sha256}
        return record | {"unseen": self.unseen.to_json()}


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


def _writer(run: Run) -> Executor:
    """What runs blocks whose results are written."""
    executor = run.executor
    return executor.for_writing(on_device=run.on_device) if isinstance(executor, LocalExecutor) else executor


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
    if resume and not source.identified:
        raise InputError(
            f"{source.name}: rows in memory cannot be told from those of a run that was cut short; write without resume"
        )
    if run.executor.spread and lies_in_process(parts.out):
        raise InputError(f"{parts.out}: lies in the memory of one process, where workers cannot write")
    _check_folder(parts)
    with locked(parts.out, parts.numbers):
        complete = _complete_manifest(parts) if resume else None
        if complete is not None:
            return _summary(source, parts, complete, start)
        manifest = _start_manifest(parts, source, resume=resume)
        with _keep_complete_files(parts, source, manifest):
            manifest.done = {name: entry for name, entry in manifest.done.items() if _fits(manifest, parts.place, name)}
            if manifest.done:
                _LOG.info("%s: going on after %s", parts.out, counted(len(manifest.done), "part"))
            manifest.write()  # before any file: a folder without a manifest is refused later
            _work(run, columns, parts, encode, manifest)
            _check_rows(source, parts, manifest)
            # Sorted, as workers finish their parts in any order.
            manifest.complete, manifest.done = True, dict(sorted(manifest.done.items()))
            manifest.write()
            _clear(parts.place, {parts.manifest, *manifest.done})
            if isinstance(parts.place, Path) and isinstance(parts.out, Path):
                _publish(parts, parts.place, Path(os.path.realpath(parts.out)), manifest)
    summary = _summary(source, parts, manifest, start)
    rows, size = counted(summary.rows, "row"), counted(summary.bytes, "byte")
    _LOG.info("%s: %s, %s, %.2f s", summary.path, rows, size, summary.seconds)
    return summary


@contextmanager
def _keep_complete_files(parts: Parts, source: Source, manifest: Manifest) -> Iterator[None]:
    """Keep the complete files of a run that fails, and note them in the error; remove a folder without any."""
    try:
        yield
    except BaseException as problem:
        if manifest.done:
            amount = counted_values(len(manifest.done), "files are complete")
            remedy = "go on with resume=True" if source.identified else _ANEW
            problem.add_note(f"{amount} in {parts.place}: {remedy}")
            if isinstance(parts.place, Path):  # workers that were killed had begun others
                remove_temporary(parts.place, ".part-")
        elif isinstance(problem, _ENDS) and isinstance(parts.place, Path):
            shutil.rmtree(parts.place, ignore_errors=True)
        raise


def _publish(parts: Parts, place: Path, out: Path, manifest: Manifest) -> None:
    """Rename a complete folder to its final name; files of generated rows join those of other runs."""
    if parts.numbers is None:  # which removes the older folder last
        replace_folder(place, out)
        return
    with SIGNALS.deferred():
        with suppress(OSError):  # of a folder that is there
            place.rename(out)
            return
        # The manifest moves last: while it is in the unfinished folder, the run can be resumed.
        _move([*manifest.done, parts.manifest], place, out)
        place.rmdir()


def _move(names: Iterable[str], start: Path, end: Path) -> None:
    for name in names:
        with suppress(FileNotFoundError):
            (start / name).replace(end / name)


def _fits(manifest: Manifest, folder: Location, name: str) -> bool:
    if manifest.still_fits(folder, name):
        return True
    _LOG.info("%s: is not what the run had written; it is written again", folder / name)
    return False


def _work(run: Run, columns: Sequence[str], parts: Parts, encode: Encode, manifest: Manifest) -> None:
    """Write the parts that are missing.

    Workers that can read their rows themselves write parts side by side. Otherwise this process writes one part after
    the other from the results of blocks.
    """
    width = len(parts.schema)
    if isinstance(run.executor, DaskExecutor) and run.source.read_apart and run.source.rows:
        cuts = [0, *(stop for _, stop in parts.files(run.source.rows))]
        partitions = run.partitions(columns, width, cuts=cuts)
        missing = (partition for partition in partitions if parts.name(partition.first_row) not in manifest.done)
        for partition, entry in run.executor.each(partial(write_part, parts, encode), missing):
            manifest.add(parts.name(partition.first_row), entry)
        return
    cut = Cut(parts, encode, frozenset(manifest.done))
    with PartFiles(parts, manifest, run.executor.threads) as files:
        _writer(run).map_blocks(cut, _blocks(run, columns, cut), files.take)
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


# -- the folder


def _complete_manifest(parts: Parts) -> Manifest | None:
    """The manifest of a complete folder; one with damaged files becomes an unfinished folder, without a result."""
    if parts.place != parts.out and Manifest.read(parts.place / parts.manifest) is not None:
        return None
    manifest = Manifest.read(parts.out / parts.manifest)
    if manifest is None or not manifest.complete:
        return None
    options = {} if parts.numbers is None else {"otherwise": "give another folder"}
    manifest.refuse_other_run(parts.asked, str(parts.out), **options)
    # A list, so that every damaged file is logged.
    if all([_fits(manifest, parts.out, name) for name in manifest.done]):
        return manifest
    if isinstance(parts.out, Path) and isinstance(parts.place, Path):
        _check_folder(parts)
        _remove_unfinished(parts.place, None)
        if parts.numbers is None:
            parts.out.rename(parts.place)
        else:  # other runs have files there
            parts.place.mkdir()
            _move([*manifest.done, parts.manifest], parts.out, parts.place)
    return None


def _start_manifest(parts: Parts, source: Source, *, resume: bool) -> Manifest:
    """The manifest of the run to resume, or a new one in a folder of its own."""
    _check_folder(parts)
    place = parts.place / parts.manifest
    manifest = Manifest.read(place)
    if resume and manifest is not None:
        manifest.refuse_other_run(parts.asked, _describe_unfinished(manifest, parts), _ANEW)
        return replace(manifest, place=place, complete=False)
    if parts.numbers is not None:
        _refuse_to_replace(parts, source)
    if resume:
        _LOG.info("%s: there is no unfinished run; it begins from the start", parts.out)
    else:
        _refuse_to_overwrite(parts, source, manifest)
    if isinstance(parts.out, RemoteFile) and parts.numbers is None:
        _empty_store(parts.out, parts.out / parts.manifest)
    if isinstance(parts.place, Path):
        _remove_unfinished(parts.place, manifest)
        parts.place.mkdir()
    return Manifest(place, dict(parts.asked), {})


def _refuse_to_replace(parts: Parts, source: Source) -> None:
    """Refuse to replace files of generated rows, which other runs may have written."""
    names = [parts.name(row) for row, _ in parts.files(source.rows or 0)]
    existing = [name for name in names if (parts.out / name).exists()]
    if existing:
        amount = counted_values(len(existing), f"files are there already, of {len(names):,}")
        is_own = source.identified and Manifest.read(parts.out / parts.manifest)
        remedy = "go on with resume=True, or " if is_own else ""
        raise InputError(f"{parts.out}: {amount} (first {existing[0]}): {remedy}remove them to begin again")


def _describe_unfinished(manifest: Manifest, parts: Parts) -> str:
    """Say how many complete files an interrupted run left, and where."""
    return f"{parts.out}: a run that was cut short left {counted(len(manifest.done), 'complete file')} in {parts.place}"


def _refuse_to_overwrite(parts: Parts, source: Source, manifest: Manifest | None) -> None:
    """Refuse to begin again where an interrupted run left complete files."""
    if manifest is None or not manifest.done or (manifest.complete and parts.place == parts.out):
        return
    description, remedy = _describe_unfinished(manifest, parts), ""
    if source.identified:
        manifest.refuse_other_run(parts.asked, description, _ANEW)
        remedy = "go on with resume=True, or "
    total = "" if source.rows is None else f", of {len(parts.files(source.rows)):,}"
    raise InputError(f"{description}{total}: {remedy}{_ANEW}")


def _remove_unfinished(place: Path, manifest: Manifest | None) -> None:
    """Remove the folder of a run that ended before its first file was complete; refuse one with unknown files."""
    if place.exists():
        names = sorted(name for name in _names_within(place) if not Path(name).name.startswith("."))
        if manifest is None and names:
            raise InputError(f"{place}: holds {names[0]}, but no whole manifest of a run; {_ANEW}")
        shutil.rmtree(place)


def _empty_store(out: RemoteFile, place: RemoteFile) -> None:
    """Remove the files of an earlier run from a folder of a store; refuse one that holds others than its manifest's."""
    manifest = Manifest.read(place)
    own_names = {place.name, *(manifest.done if manifest else ())}
    files = out.files()
    foreign = sorted({str(file.name_from(place)) for file in files} - own_names)
    if foreign:
        raise InputError(
            f"{out}: holds {foreign[0]}, which no complete run wrote there; choose another name, or empty it"
        )
    for file in files:
        file.unlink(missing_ok=True)


def _check_folder(parts: Parts) -> None:
    """Refuse folders that hold something else.

    Raises
    ------
    InputError
        Naming the folder.
    """
    out = parts.out
    if isinstance(out, RemoteFile):
        return
    check_folder_of(out)
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file; give a name that ends in .parquet, or that of a folder")
    if parts.numbers is not None:
        return
    names = _names_within(out)
    manifest = Manifest.read(out / parts.manifest)
    if names and manifest is None:
        raise InputError(f"{out}: a folder that gpuvgm did not write is not replaced; choose another name")
    entries = manifest.done if manifest else ()
    folders = {name.rpartition("/")[0] for name in entries}  # their files may be gone
    foreign = sorted(names - {parts.manifest, *entries, *folders})
    if foreign:
        raise InputError(f"{out}: also holds {foreign[0]}, which gpuvgm did not write there; choose another name")


def _names_within(folder: Path) -> set[str]:
    """Names of the files in a folder and below, and of empty folders."""
    paths = [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir() or not any(path.iterdir())]
    return {path.relative_to(folder).as_posix() for path in paths}


def _clear(place: Location, names: set[str]) -> None:
    """Remove all files but `names`: those that a killed process had begun."""
    if isinstance(place, Path):
        for name in _names_within(place) - names:
            (place / name).unlink()


def _summary(source: Source, parts: Parts, manifest: Manifest, start: float) -> RunSummary:
    """Summary of a run; warns of values that the fit had not seen."""
    entries, unseen = manifest.done.values(), UnseenCounts()
    for entry in entries:
        unseen.add(UnseenCounts.from_json(entry.get("unseen", {})).columns)
    rows, size = (sum(entry[part] for entry in entries) for part in ("rows", "bytes"))
    seconds = time.perf_counter() - start
    unseen.warn(source.place)
    return RunSummary(str(parts.out), rows, size, len(parts.columns), seconds, len(entries), unseen.rows())

"""Files as sources: paths, globs and folders; files that change while they are read are refused."""

from __future__ import annotations

import glob
import logging
import os
from bisect import bisect_right
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import accumulate, chain, tee, zip_longest
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.errors import EnvironmentProblem, InputError, SourceChangedError, counted, listed, printable, warn
from gpuvgm.io.arrow import is_text_type, with_wide_indices
from gpuvgm.io.block import Batch, Block, Runs
from gpuvgm.io.csv import CsvPart
from gpuvgm.io.csv_forms import CsvForm
from gpuvgm.io.csv_lines import has_lines, lines_within, read_lines
from gpuvgm.io.device import cudf_tables, grouped, reads_with_cudf
from gpuvgm.io.formats import READ_ENDINGS, format_by_ending, format_of, open_parts
from gpuvgm.io.lakes import folder_of, refuse_lakes_around, refuse_lakes_within
from gpuvgm.io.locations import Location, location_of
from gpuvgm.io.manifest import MANIFESTS, Stamp, as_recorded, recorded_files
from gpuvgm.io.parquet import PARQUET, ParquetPart
from gpuvgm.io.parts import common_schema, folder_values, promoted_batch, with_key_columns, with_keys
from gpuvgm.io.remote import KEPT, RemoteFile, lies_in_process, no_such_file, read_ahead, side_by_side
from gpuvgm.io.source import BY_HEADER, Part, Source, TextOptions, check_unique, shares_of_runs
from gpuvgm.io.threads import in_order


@dataclass(frozen=True, slots=True)
class Listing:
    """Files to read, sorted, manifests of the folders that they lie in, and folders and patterns of stores to list.

    `values` are what the folders of each file say, below what was given; `lake_folders` are folders
    that may lie in a table of Delta Lake and the like, with what was given.
    """

    files: list[Location]
    manifests: list[Location]
    folders: list[RemoteFile] = field(default_factory=list)
    values: dict[Location, dict[str, str | None]] = field(default_factory=dict)
    lake_folders: dict[Location, Location] = field(default_factory=dict)

    @property
    def formats(self) -> set[str]:
        """Names of the files' formats."""
        return {format_of(file).name for file in self.files}

    @property
    def bytes(self) -> int:
        """Bytes of the files."""
        return sum(stamp_of(file, listed=True)[0] for file in self.files)


def expand(name: str) -> Listing:
    """List the files that a path, URL, glob or folder stands for.

    Raises
    ------
    InputError
        When there are none.
    """
    location = location_of(name)
    if isinstance(location, RemoteFile):
        return _expand_remote(location)
    path = location.expanduser()
    if path.is_dir():
        return _files_within(path, [(file, file.relative_to(path)) for file in path.rglob("*") if file.is_file()])
    if path.exists():
        return _one_file(path)
    if glob.has_magic(str(path)):
        matches = sorted(Path(match) for match in glob.glob(str(path), recursive=True))
        if not matches:
            raise InputError(f"{name}: no file matches this pattern")
        listings = [expand(str(match)) if match.is_dir() else _one_file(match) for match in matches]
        return _join_matches(listings, path)
    raise no_such_file(name)


def _expand_remote(location: RemoteFile) -> Listing:
    entry = location.known or location.entry()
    if entry is not None and not entry.is_folder:
        return _one_file(replace(location, known=entry))
    if entry is not None:
        folder = PurePosixPath(location.path)
        listing = _files_within(
            location, [(file, PurePosixPath(file.path).relative_to(folder)) for file in location.files()]
        )
        return replace(listing, folders=[replace(location, known=entry)])
    if not glob.has_magic(location.path):
        raise no_such_file(location.url)
    # Python's glob leaves out such names, that of fsspec does not.
    matches = [match for match in location.matches() if not match.name.startswith(".")]
    if not matches:
        raise InputError(f"{location}: no file matches this pattern")
    listing = _join_matches([_expand_remote(match) for match in matches], PurePosixPath(location.path))
    return replace(listing, folders=[location, *listing.folders])


def _one_file(file: Location) -> Listing:
    """Listing of one file that was named, or matches a pattern."""
    return Listing(
        [file], [], lake_folders={folder_of(file): file, **_targets([file])} if _may_be_parquet(file) else {}
    )


def _may_be_parquet(file: Location) -> bool:
    """Return whether a file may belong to a table of Delta Lake and the like, whose files hold no text."""
    return format_by_ending(file) in (PARQUET, None)


def _targets(files: Sequence[Location]) -> dict[Location, Location]:
    """Folders that links among files lead to, each with such a link."""
    links = (file for file in files if isinstance(file, Path) and os.path.islink(file))
    return {Path(os.path.realpath(link)).parent: link for link in links if _may_be_parquet(link)}


def _join_matches(listings: Sequence[Listing], pattern: PurePath) -> Listing:
    """Join the listings of a pattern's matches; folders say values from the pattern's first variable part on."""
    listing = join_listings(listings)
    first = next(place for place, part in enumerate(pattern.parts) if glob.has_magic(part))
    paths = {file: PurePosixPath(file.path) if isinstance(file, RemoteFile) else file for file in listing.files}
    return replace(listing, values={file: folder_values(path.parent.parts[first:]) for file, path in paths.items()})


def _files_within(folder: Location, files: Iterable[tuple[Location, PurePath]]) -> Listing:
    """Select the files to read from those in a folder, given with their names in it."""
    pairs = sorted(files, key=lambda pair: pair[1].parts)
    refuse_lakes_within(str(folder), [name for _, name in pairs])
    tables = [file for file, name in pairs if not _is_hidden(name) and format_by_ending(name) is not None]
    manifests = [file for file, name in pairs if MANIFESTS.fullmatch(name.name) and not _is_hidden(name.parent)]
    if not tables and not manifests:
        refuse_lakes_around({folder: folder})
        raise nothing_in(str(folder))
    values = {file: folder_values(name.parent.parts) for file, name in pairs}
    lake_folders = _targets(tables)
    if any(map(_may_be_parquet, tables)):  # a listing of a store told of what is in the folder itself
        lake_folders[folder if isinstance(folder, Path) else folder_of(folder)] = folder
    return Listing(tables, manifests, values={file: values[file] for file in tables}, lake_folders=lake_folders)


def join_listings(listings: Sequence[Listing]) -> Listing:
    """Join listings, in their order."""
    return Listing(
        [file for listing in listings for file in listing.files],
        [place for listing in listings for place in listing.manifests],
        [folder for listing in listings for folder in listing.folders],
        {file: keys for listing in listings for file, keys in listing.values.items()},
        {folder: origin for listing in listings for folder, origin in listing.lake_folders.items()},
    )


def nothing_in(folder: str) -> InputError:
    """The error for a folder without tables."""
    return InputError(f"{folder}: the folder holds no file to read; known endings: {READ_ENDINGS}")


def belongs(file: PurePath, folder: PurePath) -> bool:
    """Return whether a file in a folder is read when the folder is the source."""
    name = file.relative_to(folder)
    return not _is_hidden(name) and format_by_ending(name) is not None


def _is_hidden(name: PurePath) -> bool:
    # As for Spark, a folder that says the value of a column is not hidden: "_year=2024".
    return any(step.startswith(".") or (step.startswith("_") and "=" not in step) for step in name.parts)


def stamp_of(path: Location, *, listed: bool = False) -> Stamp:
    """Size and time of change, or ETag; with `listed` as its store listed it, if it did.

    Raises
    ------
    InputError
        When the file cannot be reached.
    """
    if isinstance(path, RemoteFile):
        entry = (path.known if listed else None) or path.entry()
        if entry is None:
            raise no_such_file(path.url)
        return entry.size, entry.version
    try:
        status = path.stat()
    except OSError as problem:
        raise InputError(f"{path}: cannot be read: {problem.strerror}") from problem
    return status.st_size, status.st_mtime_ns


def with_entry(path: Location) -> Location:
    """A file with the entry of its store, which is requested unless a listing had it."""
    return replace(path, known=path.entry()) if isinstance(path, RemoteFile) and path.known is None else path


@contextmanager
def unchanged(path: Location, stamp: Stamp, *, listed: bool = False) -> Iterator[None]:
    """Refuse a file that was changed since it was opened, or changes while it is read.

    Parameters
    ----------
    path : pathlib.Path or RemoteFile
        The file.
    stamp : (int, int or str)
        Stamp of the file when it was opened.
    listed : bool
        Whether a listing compares it later, so that it is checked here only if it cannot be read.

    Raises
    ------
    SourceChangedError
        Naming the file.
    """
    if not listed:
        check_unchanged(path, stamp)
    inode = _inode_of(path)
    try:
        yield
    except (InputError, EnvironmentProblem):
        check_unchanged(path, stamp)
        raise
    if not listed and _inode_of(path) == inode:  # else it was replaced, and read as it was before
        check_unchanged(path, stamp)


def _inode_of(path: Location) -> int | None:
    """Number of the file that has a name of this machine at present."""
    try:
        return None if isinstance(path, RemoteFile) else path.stat().st_ino
    except OSError:
        return None


def check_unchanged(path: Location, stamp: Stamp) -> None:
    """Refuse a file that was changed since it was opened.

    Raises
    ------
    SourceChangedError
        Naming the file.
    """
    try:
        current_stamp = stamp_of(path)
    except InputError:
        if path.exists():
            raise
        raise SourceChangedError(f"{path}: the file was removed while it was in use") from None
    if current_stamp != stamp:
        raise _change_error(path)


def _change_error(path: Location) -> SourceChangedError:
    # Some stores give versions in whole seconds: bytes kept from before could pass for new ones.
    KEPT.clear()
    return SourceChangedError(f"{path}: the file was changed while it was in use; run again when it is complete")


def check_listed(folders: Sequence[RemoteFile], stamps: Mapping[RemoteFile, Stamp]) -> None:
    """Refuse files that were changed since they were opened, by listing the folders and patterns of a store again.

    Raises
    ------
    SourceChangedError
        Naming the first.
    """
    listings = [folder.matches() if folder.known is None else folder.files() for folder in folders]
    entries = {file: file.known for listing in listings for file in listing}
    for path, stamp in stamps.items():
        entry = entries.get(path)
        if entry is None:
            check_unchanged(path, stamp)
        elif (entry.size, entry.version) != stamp:
            raise _change_error(path)


_LOG = logging.getLogger("gpuvgm")
Paths = Sequence[str | os.PathLike[str]]


LISTED_AT_ONCE = 1000  # names that a store tells in one answer


@dataclass(frozen=True, slots=True)
class FileSource(Source):
    """Files with the same columns, read one after the other.

    Parameters
    ----------
    name : str
        The path or pattern as given.
    schema : pyarrow.Schema
        Columns, with types that hold the values of every file.
    parts : tuple of Part
        The files in reading order.
    stamps : tuple of (int, int or str)
        Size in bytes and time of change in nanoseconds, or ETag, of each file when it was opened.
    origins : tuple of str
        The paths, folders and patterns as given.
    folders : tuple of RemoteFile
        Folders and patterns of stores that the files were listed by.
    lies_on_device : bool
        Whether cuDF reads blocks into a device; samples come to the host all the same.
    """

    name: str
    schema: pa.Schema
    parts: tuple[Part, ...]
    stamps: tuple[Stamp, ...]
    flavour: str = "path"
    origins: tuple[str, ...] = ()
    folders: tuple[RemoteFile, ...] = ()
    lies_on_device: bool = False
    identified: ClassVar[bool] = True

    @property
    def paths(self) -> tuple[Location, ...]:
        """The files."""
        return tuple(part.path for part in self.parts)

    @property
    def dtypes(self) -> Mapping[str, str]:
        """Nullable dtypes of pandas by column, of the first file that has the common type."""
        firsts = {name: next((p for p in self.parts if self._is_common(p, name)), None) for name in self.schema.names}
        dtypes = {name: part.dtypes.get(name) for name, part in firsts.items() if part is not None}
        return {name: dtype for name, dtype in dtypes.items() if dtype is not None}

    def _is_common(self, part: Part, name: str) -> bool:
        """Return whether a column has the type in a file that it has in all together."""
        return bool(part.schema.field(name).type == self.schema.field(name).type)

    @property
    def rows(self) -> int | None:
        """Rows of all files; None when a file of text is among them."""
        counts = [part.rows for part in self.parts if part.rows is not None]
        return sum(counts) if len(counts) == len(self.parts) else None

    def ends_of_groups(self, rows: int) -> list[int] | None:
        """Rows after runs of whole row groups with at most so many rows together; None for other files than Parquet."""
        files = [part.group_rows for part in self.parts if isinstance(part, ParquetPart)]
        if len(files) < len(self.parts):
            return None
        groups = [*chain.from_iterable(files)]
        ends = [*accumulate(groups)]
        return [ends[numbers[-1]] for numbers in grouped(groups, rows)]

    def reachable(self) -> FileSource:
        """The files by absolute paths, as workers may run in other folders.

        Raises
        ------
        InputError
            For files that lie in this process.
        """
        for part in self.parts:
            if lies_in_process(part.path):
                raise InputError(f"{part.path}: lies in the memory of one process, where workers cannot read it")
        return replace(self, parts=tuple(map(_with_absolute_path, self.parts)))

    def blocks(self, columns: Sequence[str], block_rows: int) -> Iterator[Block]:
        """Read the columns in blocks, across the borders of files."""
        self.check_request(columns, block_rows)
        rows = {number: (0, part.rows) for number, part in enumerate(self.parts)}
        return Block.cut(self._batches(columns, block_rows, rows), block_rows)

    def between(self, columns: Sequence[str], start: int, stop: int, block_rows: int) -> Iterator[Block]:
        """Read rows [start, stop) in blocks that keep their global indices; only where `rows` is known."""
        self.check_request(columns, block_rows)
        shares = shares_of_runs([(start, stop - start)], [part.rows or 0 for part in self.parts])
        rows = {number: (low, low + length) for number, ((_, (low, length)),) in shares.items()}
        return Block.cut(self._batches(columns, block_rows, rows), block_rows, start)

    def holding(self, runs: Runs) -> tuple[FileSource, Runs]:
        """The files that hold rows of runs, and where the runs lie in them; only where `rows` is known."""
        by_file = shares_of_runs(runs, [part.rows or 0 for part in self.parts])
        left_out = [0 if number in by_file else part.rows or 0 for number, part in enumerate(self.parts)]
        rows_before = [*accumulate(left_out, initial=0)]
        offsets = {number: rows_before[file] for file, shares in by_file.items() for number, _ in shares}
        files = replace(
            self, parts=tuple(self.parts[i] for i in by_file), stamps=tuple(self.stamps[i] for i in by_file), origins=()
        )
        return files, [(start - offsets[number], length) for number, (start, length) in enumerate(runs)]

    def shares_of(self, runs: Runs, most: int) -> list[tuple[FileSource, Runs]]:
        """The runs in up to `most` shares, each with the files that hold its rows and its runs there."""
        size = -(-len(runs) // most)
        return [self.holding(runs[first : first + size]) for first in range(0, len(runs), size)]

    def sample_in_threads(self, columns: Sequence[str], runs: Runs, threads: int) -> pa.Table:
        """The rows that `sample` gives, of which each thread reads some runs."""
        if min(threads, len(runs)) < 2:
            return self.sample(columns, runs)
        shares = self.shares_of(runs, threads)
        return pa.concat_tables(in_order(lambda share: share[0].sample(columns, share[1]), shares))

    def sample(self, columns: Sequence[str], runs: Runs) -> pa.Table:
        """Rows of each run, one after the other; only the files and row groups that hold them are read."""
        self.check_sample(columns, runs)
        batches: list[list[pa.RecordBatch]] = [[] for _ in runs]
        finer: set[str] = set()
        file_runs = shares_of_runs(runs, [part.rows or 0 for part in self.parts])
        with self._guarded_parts([*file_runs]) as parts:
            for (part, check), shares in zip(parts, file_runs.values(), strict=True):
                with check:
                    rows = [run for _, run in shares]
                    pieces = part.sample(part.stored(columns), rows)
                    finer |= part.finer(columns, rows)
                for (number, _), piece in zip(shares, pieces, strict=True):
                    batches[number] += [self._uniform(part, with_key_columns(part, columns, batch)) for batch in piece]
        for name in sorted(finer):
            _warn_of_nanoseconds(str(self.parts[0].path), name)
        schema = pa.schema([(name, self.schema.field(name).type) for name in columns])
        return pa.Table.from_batches([batch for run in batches for batch in run], schema=schema)

    @property
    def text_bytes(self) -> int | None:
        """Bytes of files of text whose rows `lines_within` reaches; None where there are others."""
        return sum(size for size, _ in self.stamps) if all(map(has_lines, self.parts)) else None

    def lines_within(self, runs: Runs) -> NDArray[np.int64] | None:
        """Lines that begin within runs of bytes, counted over all files: file, first byte, and the one after the last.

        None where the text does not tell which line ends end rows.
        """
        shares = shares_of_runs(runs, [size for size, _ in self.stamps])
        lines = [np.empty((0, 3), np.int64)]
        with self._guarded_parts([*shares]) as parts:
            for (part, check), (number, share) in zip(parts, shares.items(), strict=True):
                with check:
                    spans = lines_within(part, [run for _, run in share])
                if spans is None:
                    return None
                lines.append(np.insert(spans, 0, number, axis=1))
        return np.concatenate(lines)

    def read_lines(self, columns: Sequence[str], lines: NDArray[np.int64]) -> pa.Table:
        """Rows of lines that `lines_within` gave."""
        numbers = np.unique(lines[:, 0]).tolist()
        batches: list[pa.RecordBatch] = []
        with self._guarded_parts(numbers) as parts:
            for (part, check), number in zip(parts, numbers, strict=True):
                with check:
                    rows = read_lines(part, part.stored(columns), lines[lines[:, 0] == number, 1:])
                    batches += [self._uniform(part, with_key_columns(part, columns, batch)) for batch in rows]
        return pa.Table.from_batches(batches, schema=self.fields(columns))

    def fingerprint(self) -> dict[str, Any]:
        """File names, sizes and times of change, or ETags; of CSV also how the first file is written."""
        identity, first = {"kind": "files", "files": self._stamped_names()}, self.parts[0]
        return identity | {"csv": CsvForm.of_part(first).to_json()} if isinstance(first, CsvPart) else identity

    def _stamped_names(self) -> list[dict[str, Any]]:
        """Each file with its size and time of change, or ETag."""
        return [
            {"name": part.path.name, "bytes": size, "changed_ns" if isinstance(version, int) else "etag": version}
            for part, (size, version) in zip(self.parts, self.stamps, strict=True)
        ]

    def metadata(self) -> dict[str, dict[str, str]]:
        """Key/value metadata of the Parquet files."""
        files = {part.path: part for part in self.parts}
        by_file = zip(files, side_by_side(lambda path: files[path].metadata(), list(files)), strict=True)
        return {str(path): pairs for path, pairs in by_file if pairs is not None}

    def locate(self, row: int) -> str:
        """The file that holds a row, and its number there, counted from 1."""
        row_in_file = row
        for part in self.parts:
            if part.rows is None and part is not self.parts[-1]:
                return f"{self.name}, row {row + 1}"
            if part.rows is None or row_in_file < part.rows:
                return f"{part.path}, row {row_in_file + 1}"
            row_in_file -= part.rows
        raise InputError(f"{self.name}: there is no row {row} after the last")

    @property
    def place(self) -> Callable[[int], str]:
        """`locate`: files hold their rows elsewhere."""
        return self.locate

    @property
    def holder(self) -> Callable[[int], str]:
        """A function that names the file of a row, within the folder that holds all files; see `Source.holder`."""
        if self.rows is None:
            return lambda row: self.name
        names = [str(part.path).replace(os.sep, "/") for part in self.parts]
        folder = os.path.commonprefix([name.rpartition("/")[0] + "/" for name in names]).rpartition("/")[0]
        names = [name.removeprefix(folder).lstrip("/") for name in names]
        ends = [*accumulate(part.rows or 0 for part in self.parts)]
        return lambda row: names[min(bisect_right(ends, row), len(names) - 1)]

    def as_read(self, *, on_device: bool) -> Source:
        """The files, read into a device by cuDF where it is installed and supports them."""
        if on_device and reads_with_cudf(self.parts):
            on_device = all(self._is_common(part, name) for part in self.parts for name in self.schema.names)
            return replace(self, lies_on_device=on_device)
        return replace(self, lies_on_device=False)

    def coded(self, columns: Collection[str]) -> FileSource:
        """The files, of which some columns of text are dictionaries, as Parquet files store them."""
        parts = [part for part in self.parts if isinstance(part, ParquetPart)]
        if self.lies_on_device or len(parts) < len(self.parts):
            return self
        added = {key.name for part in parts for key in part.keys if not key.stored}
        different = [part for part in parts if not part.schema.equals(self.schema)]
        names = frozenset(
            name
            for name in columns
            if is_text_type(self.schema.field(name).type)
            and name not in added
            and all(self._is_common(part, name) for part in different)
        )
        if not names:
            return self
        fields = [
            field.with_type(pa.dictionary(pa.int32(), field.type)) if field.name in names else field
            for field in self.schema
        ]
        return replace(self, schema=pa.schema(fields), parts=tuple(replace(part, coded=names) for part in parts))

    def new_since(self, known: Mapping[str, Any]) -> FileSource | None:
        """The files that a fingerprint neither lists nor had added; None where there are none."""
        if known.get("kind") != "files":
            Source.new_since(self, known)
        files = self._stamped_names()
        new, missing_files = told_apart(known["files"], files)
        positions, _ = told_apart(known.get("added", ()), [files[i] for i in new])
        new = [new[i] for i in positions]
        names = {self.parts[i].path.name for i in new}
        for file in missing_files:
            if file["name"] in names:
                raise SourceChangedError(f"{self.name}: {file['name']} was changed since it was fitted; fit all again")
            raise SourceChangedError(f"{self.name}: {file['name']} was fitted and is gone; fit all again")
        if not new:
            _LOG.info("%s: no file is new", self.name)
            return None
        return replace(self, parts=tuple(self.parts[i] for i in new), stamps=tuple(self.stamps[i] for i in new))

    def added_to(self, known: Mapping[str, Any]) -> dict[str, Any]:
        """A fingerprint that also lists these files, as added to another source."""
        return {**known, "added": [*known.get("added", ()), *self._stamped_names()]}

    def note_changes(self, known: Mapping[str, Any]) -> None:
        """Log files with the name of one in a fingerprint that are different files."""
        if known.get("kind") != "files":
            return
        new, missing_files = told_apart(known["files"], self._stamped_names())
        fitted_names = {file["name"] for file in missing_files}
        for position in new:
            if self.parts[position].path.name in fitted_names:
                _LOG.info("%s: changed since the fit, or another file of its name", self.parts[position].path)

    def _batches(
        self, columns: Sequence[str], batch_rows: int, rows: Mapping[int, tuple[int, int | None]]
    ) -> Iterator[Batch]:
        """Rows [start, stop) of files, by number of the file; a stop of None is the end."""
        with self._guarded_parts([*rows]) as parts:
            for (part, check), (start, stop) in zip(parts, rows.values(), strict=True):
                with check:
                    if self.lies_on_device and isinstance(part, ParquetPart):
                        yield from cudf_tables(part, columns, batch_rows, start, stop)
                    else:
                        for batch in part.between(part.stored(columns), batch_rows, start, stop):
                            yield self._uniform(part, with_key_columns(part, columns, batch))

    @contextmanager
    def _guarded_parts(self, numbers: Sequence[int]) -> Iterator[Iterator[tuple[Part, AbstractContextManager[None]]]]:
        """Parts for some of the files, each with the context for reading, which refuses a changed file.

        Many files of a store are compared together, in a listing at the end.
        """
        pairs = [(self.parts[number], self.stamps[number]) for number in numbers]
        remote = {part.path: stamp for part, stamp in pairs if isinstance(part.path, RemoteFile)}
        # A listing takes a request for every LISTED_AT_ONCE names, single comparisons one for each file.
        is_compared_at_end = bool(self.folders) and len(remote) > 2 + len(self.parts) // LISTED_AT_ONCE
        with closing(_check_ahead(read_ahead(pairs, lambda pair: pair[0].path))) as stream:
            yield (
                (part, unchanged(part.path, stamp, listed=is_compared_at_end and part.path in remote))
                for part, stamp in stream
            )
        if is_compared_at_end:
            check_listed(self.folders, remote)

    def _uniform(self, part: Part, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Rows with the types of all files, without field metadata and nullability, which may differ."""
        schema = pa.schema([(name, self.schema.field(name).type) for name in batch.schema.names])
        return promoted_batch(str(part.path), batch, schema) if batch.columns else batch


def _with_absolute_path(part: Part) -> Part:
    if not isinstance(part.path, Path) or part.path.is_absolute():
        return part
    return replace(part, path=Path(os.path.abspath(part.path)))


@lru_cache(64)  # the threads of a sample and the samples of a fit say it once
def _warn_of_nanoseconds(path: str, column: str) -> None:
    message = "INT96 timestamps are read in microseconds, and the nanoseconds that some have are cut"
    _LOG.warning('%s: column "%s": %s; pyarrow.parquet.read_table keeps them', path, printable(column), message)


def _check_ahead(pairs: Generator[tuple[Part, Stamp]]) -> Generator[tuple[Part, Stamp]]:
    """Yield the files while the bytes of the next are checked, whose error is raised when it is read."""
    with closing(pairs), ThreadPoolExecutor(1, "gpuvgm-check") as thread:
        first, second = tee(pairs)
        next(second, None)
        for pair, next_pair in zip_longest(first, second):
            if next_pair is not None:
                thread.submit(next_pair[0].check)
            yield pair


def told_apart(
    before: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]
) -> tuple[list[int], list[Mapping[str, Any]]]:
    """Compare two lists of files: those that are new, and those that are gone; names may occur again.

    Returns
    -------
    new : list of int
        Places among the current files.
    gone : list of mapping
        Earlier files without a current one.
    """
    unmatched = [dict(file) for file in before]
    new = []
    for place, file in enumerate(now):
        if file in unmatched:
            unmatched.remove(dict(file))
        else:
            new.append(place)
    return new, [*unmatched]


def file_source(paths: Paths, text: TextOptions = BY_HEADER) -> FileSource:
    """Open files, globs and folders as one source.

    Raises
    ------
    InputError
        For missing, empty or damaged files, folders without files to read, and files whose columns differ, or whose
        types have none in common that loses nothing.
    """
    listing = join_listings([expand(os.fspath(path)) for path in paths])
    refuse_lakes_around(listing.lake_folders)
    files = [with_entry(file) for file in listing.files]
    names = tuple(os.fspath(path) for path in paths)
    name = names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
    stamps = tuple(stamp_of(file, listed=True) for file in files)
    entries = recorded_files(listing.manifests, dict(zip(files, stamps, strict=True))) if listing.manifests else {}
    if not files:
        raise nothing_in(name)
    for path, (size, _) in zip(files, stamps, strict=True):
        check_name(str(path))
        if size == 0:
            raise InputError(f"{path}: {_why_empty(path)}")
    parts: Sequence[Part] = open_parts(files, text)
    if entries:
        parts = [as_recorded(part, entries) for part in parts]
    if listing.values:
        parts = with_keys(parts, [listing.values.get(file, {}) for file in listing.files])
    check_unique(str(parts[0].path), parts[0].schema.names)
    schema, parts = _in_one_schema(parts)
    _warn_of_legacy(parts)
    return FileSource(name, schema, tuple(parts), stamps, origins=names, folders=tuple(listing.folders))


def _in_one_schema(parts: Sequence[Part]) -> tuple[pa.Schema, Sequence[Part]]:
    """Columns and types that hold the values of all files, and the files with indices as wide as these."""
    if len(parts) == 1:
        return parts[0].schema, parts
    parts = [replace(part, schema=with_wide_indices(part.schema)) for part in parts]
    return common_schema([(str(part.path), part.schema) for part in parts]), parts


def _warn_of_legacy(parts: Sequence[Part]) -> None:
    """Warn of files that Spark wrote in LEGACY mode."""
    legacy = [part for part in parts if part.legacy]
    if legacy:
        names = sorted({name for part in legacy for name in part.legacy})
        more = f" and {counted(len(legacy) - 1, 'more file')}" if legacy[1:] else ""
        text = (
            f"{legacy[0].path}{more}: Spark wrote {listed(names)} in LEGACY mode: days before 1582-10-15 and moments "
            "before 1900 are read as others than Spark reads; let it write them again in mode CORRECTED "
            "(spark.sql.parquet.datetimeRebaseModeInWrite and spark.sql.parquet.int96RebaseModeInWrite)"
        )
        warn(text, cause=("legacy", str(legacy[0].path)))


def check_name(name: str) -> None:
    """Refuse a name that is not UTF-8: Arrow cannot open it, and a model cannot store it.

    Raises
    ------
    InputError
        Showing the name.
    """
    try:
        name.encode()
    except UnicodeEncodeError as problem:
        raise InputError(f"{printable(name)}: this name of a file is no UTF-8 text; rename the file") from problem


def _why_empty(path: Location) -> str:
    if isinstance(path, RemoteFile) or path.is_file():
        return "the file is empty (0 bytes)"
    return "is a pipe or a device, and files are read more than once; write its rows to a file first"

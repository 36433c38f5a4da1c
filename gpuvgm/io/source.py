"""The interface of sources, and checks of their columns."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import pyarrow as pa

from gpuvgm.errors import InputError, check_present, counted, listed
from gpuvgm.io.block import Batch, Block, Runs, copied_rows, runs_within, trimmed
from gpuvgm.io.remote import side_by_side
from gpuvgm.shortage import reason

if TYPE_CHECKING:
    from gpuvgm.io.locations import Location

MISSING = "__HIVE_DEFAULT_PARTITION__"  # in a folder's name
_ESCAPED = re.compile(r"""[\x00-\x1f"#%'*/:=?\\{}\[\]^\x7f]""")
#: From a schema and batches to a lazy table.
Lazily = Callable[[pa.Schema, Callable[[], Iterator[pa.RecordBatch]]], Any]


class Source:
    """A table that can be read in blocks, wherever it comes from; subclasses override what differs.

    A subclass needs `name`, `flavour`, `schema`, `rows`, `repeatable` and `blocks`; `sample` and `between` only where
    the number of rows is known. What is scanned anew for each read is a `ScanSource` (`scans.py`).

    Attributes
    ----------
    name : str
        For messages: the path, or the type of the object given.
    flavour : str
        Kind of the object given: "pandas", "polars", "pyarrow", "cudf", "dict", "matrix", "path", "stream", "dask" or
        "sample". Rows come back as that kind, and as pyarrow tables where no such thing can hold them, as for a "path".
    schema : pyarrow.Schema
        Columns and Arrow types as given.
    rows : int or None
        Number of rows; None when unknown without reading.
    repeatable : bool
        Whether `blocks` can be called again.
    identified : bool
        Whether the fingerprint tells the rows from all others, so that work on them can be resumed.
    lazy : bool
        Whether the rows are computed by Dask's graph.
    in_memory : bool
        Whether columns lie in memory each for itself, so that reading them group by group costs no more.
    reordered : bool
        Whether a row's place is another one than in the table that was given.
    """

    __slots__ = ()  # or dataclasses with slots would have a __dict__ all the same
    identified: ClassVar[bool] = False
    lazy: ClassVar[bool] = False
    in_memory: ClassVar[bool] = False
    reordered: ClassVar[bool] = False

    # For type checkers alone: dataclasses would take these properties for the defaults of their fields.
    if TYPE_CHECKING:

        @property
        def name(self) -> str:
            """For messages."""

        @property
        def flavour(self) -> str:
            """Kind of the object given."""

        @property
        def schema(self) -> pa.Schema:
            """Columns and Arrow types as given."""

        @property
        def rows(self) -> int | None:
            """Number of rows."""

        def blocks(self, columns: Sequence[str], block_rows: int) -> Iterator[Block]:
            """Read the columns in blocks of `block_rows` rows (the last one may be shorter).

            Blocks of sources on a device hold a `DeviceTable`, of all others Arrow batches.
            """

        def between(self, columns: Sequence[str], start: int, stop: int, block_rows: int) -> Iterator[Block]:
            """Read rows [start, stop) of files in blocks that keep their global indices; only where `rows` is known."""

        def sample(self, columns: Sequence[str], runs: Runs) -> pa.Table:
            """Rows [start, start + length) of each run, one after the other; only where `rows` is known."""

    @property
    def repeatable(self) -> bool:
        """True if `blocks` can be called again."""
        return True

    @property
    def paths(self) -> tuple[Location, ...]:
        """The files that hold the rows, if these are files."""
        return ()

    @property
    def origins(self) -> tuple[str, ...]:
        """The paths, folders and patterns that were given for the files, as far as they are known."""
        return ()

    @property
    def read_apart(self) -> bool:
        """True if other processes can read any rows by themselves."""
        return bool(self.paths)

    @property
    def lies_on_device(self) -> bool:
        """True if blocks lie on a device."""
        return False

    @property
    def partitions_on_device(self) -> bool:
        """True if the partitions of a Dask frame lie on the devices of workers."""
        return False

    @property
    def is_query(self) -> bool:
        """True if the rows are those of a query of a lazy library."""
        return False

    @property
    def lazily(self) -> Lazily | None:
        """(schema, batches) -> a lazy table of the same library, for which `batches` is called whenever computed."""
        return None

    @property
    def arrays(self) -> Any:
        """Module for arrays in the memory that the rows lie in."""
        return np

    def fields(self, names: Iterable[str]) -> pa.Schema:
        """The schema of some columns."""
        return pa.schema([self.schema.field(name) for name in names])

    def check_request(self, columns: Sequence[str], block_rows: int = 1) -> None:
        """Refuse columns that do not exist, and impossible block lengths.

        Raises
        ------
        InputError
            Naming the columns that are missing and those that there are.
        """
        if block_rows < 1:
            raise InputError(f"block_rows must be at least 1, got {block_rows}")
        check_present(self.name, columns, self.schema.names)

    def check_sample(self, columns: Sequence[str], runs: Runs) -> None:
        """Refuse missing columns, runs of rows outside the source, and all runs where its length is unknown.

        Raises
        ------
        InputError
            Naming the columns, or the rows.
        """
        self.check_request(columns)
        check_runs(self.name, self.rows, runs)

    def sample_of_blocks(self, columns: Sequence[str], runs: Runs, block_rows: int) -> pa.Table:
        """Rows of each run, one after the other; all rows up to the last of them are read, and these are copied."""
        self.check_sample(columns, runs)
        pieces = rows_of_runs((block.batch for block in self.blocks(columns, block_rows)), runs)
        return pa.Table.from_batches([batch for run in pieces for batch in run], self.fields(columns))

    def fingerprint(self) -> dict[str, Any]:
        """Identity of the source for later comparison, JSON-able: kind and shape, as far as known."""
        rows = {} if self.rows is None else {"rows": self.rows}
        return {"kind": self.name, **rows, "columns": len(self.schema.names)}

    def metadata(self) -> dict[str, dict[str, str]]:
        """Key/value metadata: by file for Parquet files, else that of the schema."""
        return {self.name: text_of_metadata(self.name, self.schema.metadata or {})}

    def locate(self, row: int) -> str:
        """Describe the place of a global row, counted from 0, for messages.

        Returns
        -------
        str
            The file and the row in it, counted from 1; for tables in memory their name and the row, counted from 0.
        """
        return self.place(row)

    def coded(self, columns: Collection[str]) -> Source:
        """The source with some columns of text as dictionaries, where it stores them so."""
        return self

    def keep_sampled(self, columns: Sequence[str], runs: Runs, room: int | None) -> Source:
        """The source with the sampled rows in memory, if they would have to be computed again."""
        return self

    @property
    def place(self) -> Callable[[int], str]:
        """`locate` without the rows, which can be sent to another process."""
        return f"{self.name}, row {{}}{' of its rows when they are sorted' if self.reordered else ''}".format

    @property
    def holder(self) -> Callable[[int], str]:
        """A function that names what holds a row: the source, or its file."""
        return lambda row: self.name

    def as_read(self, *, on_device: bool) -> Source:
        """The source as engines of a device, or of the host, read it."""
        return self

    def new_since(self, known: Mapping[str, Any]) -> Source | None:
        """The files that a fingerprint neither lists nor had added; None where there are none.

        Raises
        ------
        SourceChangedError
            For a file that was changed or removed since, naming it.
        InputError
            For a source that is no files.
        """
        raise InputError(f"{self.name}: only files can be told apart from those that were fitted; use partial_fit")

    def added_to(self, known: Mapping[str, Any]) -> dict[str, Any]:
        """A fingerprint that also lists these files, as added to another source."""
        return dict(known)

    def note_changes(self, known: Mapping[str, Any]) -> None:
        """Log files with the name of one in a fingerprint that are different files."""


class FolderKey(NamedTuple):
    """A column that the name of a file's folder gives.

    Parameters
    ----------
    name : str
        The column.
    value : str, optional
        Its value in all rows; None for a missing one.
    stored : bool
        Whether the file has the column too.
    """

    name: str
    value: str | None
    stored: bool

    @property
    def folder(self) -> str:
        """The name of its folder, escaped as Hive does."""
        return f"{_escaped(self.name)}={MISSING if self.value is None else _escaped(self.value)}"


def _escaped(text: str) -> str:
    return _ESCAPED.sub(lambda match: f"%{ord(match[0]):02X}", text)


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a source; the defaults are those of text, which is read from its beginning.

    Parameters
    ----------
    path : pathlib.Path or RemoteFile
        Place of the file.
    schema : pyarrow.Schema
        Columns and types.
    rows : int, optional
        Number of rows; None when unknown.
    group_rows : tuple of int, optional
        Rows of each row group or record batch that is reached without those before it; None where there are none.
    keys : tuple of FolderKey
        Columns of its folders' names; the file is read without those that it does not have.
    """

    path: Location
    schema: pa.Schema
    rows: int | None = None
    group_rows: tuple[int, ...] | None = None
    keys: tuple[FolderKey, ...] = ()

    if TYPE_CHECKING:

        def read(self, columns: Sequence[str], batch_rows: int, groups: Sequence[int] | None = None) -> Iterator[Batch]:
            """Read the columns through, or some of the groups."""

    @property
    def dtypes(self) -> Mapping[str, str]:
        """Nullable dtypes of pandas by column, if it wrote the file."""
        return {}

    @property
    def legacy(self) -> frozenset[str]:
        """Columns that Spark wrote in a calendar in which they are not read."""
        return frozenset()

    def check(self) -> None:
        """Refuse a file whose bytes are not those that were written, where these are known."""

    def stored(self, columns: Sequence[str]) -> list[str]:
        """Select the columns that the file itself has."""
        folder_columns = [key.name for key in self.keys if not key.stored]
        return [name for name in columns if name not in folder_columns]

    @property
    def folder(self) -> str:
        """Names of the folders `key=value` that it lies in, with slashes between; "" where there are none."""
        return "/".join(key.folder for key in self.keys)

    @property
    def sequential(self) -> bool:
        """True if rows are reached only through all rows before them."""
        return self.group_rows is None

    def between(self, columns: Sequence[str], batch_rows: int, start: int, stop: int | None) -> Iterator[Batch]:
        """Read rows [start, stop), or all of them where their number is unknown."""
        if stop is None:
            return self.read(columns, batch_rows)
        if self.group_rows is None:
            return trimmed(self.read(columns, batch_rows), start, stop - start)
        groups = [*shares_of_runs([(start, stop - start)], self.group_rows)]
        if not groups:
            return iter(())
        first = sum(self.group_rows[: groups[0]])
        return trimmed(self.read(columns, batch_rows, groups), start - first, stop - start)

    def sample(self, columns: Sequence[str], runs: Runs) -> list[list[Batch]]:
        """Batches of each run; only where `rows` is known."""
        check_runs(str(self.path), None, runs)
        return []

    def finer(self, columns: Sequence[str], runs: Runs) -> set[str]:
        """Columns whose rows in runs have more digits than are read."""
        return set()

    def metadata(self) -> dict[str, str] | None:
        """Key/value metadata of a Parquet file; None for other formats."""
        return None


@dataclass(frozen=True, slots=True)
class TextOptions:
    """How files of text are read.

    Parameters
    ----------
    delimiter : str, optional
        The character between two fields; by default the one that splits each file's header.
    as_text : bool
        Whether all columns are text, whatever their values, which are not read before.
    """

    delimiter: str | None = None
    as_text: bool = False


BY_HEADER = TextOptions()


@dataclass(frozen=True, slots=True)
class Format:
    """A format of files: a row of the table in `formats.py`.

    Parameters
    ----------
    name : str
        Its name, for messages.
    endings : tuple of str
        Endings of the names of its files, in lower case; the first is the one to write.
    open : callable
        (files of one table, options of text) -> their parts, in the same order.
    magic : bytes
        The first four bytes of all its files, which are known by them where their names have no ending; empty where
        some files begin otherwise.
    is_read : bool
        Whether its files are read; if not, `open` raises the error that says what to do.
    """

    name: str
    endings: tuple[str, ...]
    open: Callable[[Sequence[Location], TextOptions], Sequence[Part]]
    magic: bytes = b""
    is_read: bool = True


def one_by_one(open_file: Callable[[Location], Part]) -> Callable[[Sequence[Location], TextOptions], Sequence[Part]]:
    """From what opens a file to `Format.open`, for formats whose files say all about themselves."""

    def open_files(paths: Sequence[Location], _options: TextOptions) -> Sequence[Part]:
        return side_by_side(open_file, paths)

    return open_files


def text_of_metadata(name: str, pairs: Mapping[bytes, bytes]) -> dict[str, str]:
    """Metadata as text.

    Raises
    ------
    InputError
        For a key or value that is no UTF-8, naming what holds it.
    """
    try:
        return {key.decode(): value.decode() for key, value in pairs.items()}
    except UnicodeDecodeError as problem:
        raise InputError(f"{name}: its metadata is no text in UTF-8 ({reason(problem)}); write it without") from problem


def check_unique(source: str, names: Iterable[str]) -> None:
    """Refuse duplicate column names.

    Raises
    ------
    InputError
        Naming the columns that occur more than once.
    """
    double = [name for name, count in Counter(names).items() if count > 1]
    if double:
        raise InputError(f"{source}: duplicate column names: {listed(double)}; rename them, every name must be unique")


def check_runs(source: str, rows: int | None, runs: Runs) -> None:
    """Refuse runs of rows outside the source, or any where its number of rows is unknown."""
    if rows is None:
        raise InputError(f"{source}: rows cannot be picked by position, their number is unknown; read blocks instead")
    for start, length in runs:
        if start < 0 or length < 0 or start + length > rows:
            raise InputError(f"{source}: rows {start} to {start + length} were asked for, there are {rows}")


def shares_of_runs(runs: Runs, counts: Sequence[int]) -> dict[int, list[tuple[int, tuple[int, int]]]]:
    """Shares of runs, as `runs_within` gives them, by the number of each part (file, row group) that has some.

    Parameters
    ----------
    runs : sequence of (int, int)
        First row and number of rows.
    counts : sequence of int
        Rows of the parts.
    """
    firsts = accumulate(counts, initial=0)
    # `firsts` has one more: the total.
    shares = (runs_within(runs, first, rows) for first, rows in zip(firsts, counts, strict=False))
    return {number: share for number, share in enumerate(shares) if share}


def rows_of_runs(batches: Iterable[pa.RecordBatch], runs: Runs) -> list[list[pa.RecordBatch]]:
    """Copies of each run's rows from consecutive batches; none is read after the last of them."""
    pieces: list[list[pa.RecordBatch]] = [[] for _ in runs]
    first, end = 0, max((start + length for start, length in runs), default=0)
    for batch in batches if end else ():
        for number, (start, length) in runs_within(runs, first, batch.num_rows):
            pieces[number].append(copied_rows(batch, start, length))
        first += batch.num_rows
        if first >= end:
            break
    return pieces


def check_lengths(source: str, rows: Mapping[str, int]) -> int:
    """Number of rows of columns, which must be equal.

    Raises
    ------
    InputError
        Naming the first column that has more or fewer than the first.
    """
    (first, length), *other_columns = rows.items()
    for name, count in other_columns:
        if count != length:
            raise InputError(
                f'{source}: column "{name}" has {counted(count, "row")}, column "{first}" has {length:,}; '
                "cut them to one length"
            )
    return length


def is_loaded(module: str, name: str, source: object) -> bool:
    """Return whether `source` is an instance of module.name, without importing the module."""
    library = sys.modules.get(module)
    return library is not None and isinstance(source, getattr(library, name, ()))  # nothing is an instance of ()

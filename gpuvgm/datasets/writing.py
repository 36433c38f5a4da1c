"""Generated rows into files: one of Parquet or CSV, or a folder of Parquet that several machines may fill."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from gpuvgm.datasets.amounts import AMOUNT_SCHEMA, amount_rows
from gpuvgm.datasets.mixed_table import TABLE_SCHEMA, mixed_table_rows
from gpuvgm.datasets.ranges import RowRange, check_row_range
from gpuvgm.errors import InputError, counted, counted_values, warn
from gpuvgm.execution.context import check_reachable
from gpuvgm.execution.local import Executor, LocalExecutor
from gpuvgm.files import remove_left_over
from gpuvgm.io import Given, Location, check_folder_of, decoded_sink, location_of, read_metadata
from gpuvgm.io.files import stamp_of
from gpuvgm.io.locks import locked
from gpuvgm.io.manifest import inside
from gpuvgm.io.parquet import parquet_part, stored_schema

BLOCK_ROWS = 1 << 20
FILE_ROWS = 1 << 26
_ANEW = "remove them to begin again"
Rows = Callable[[int, int, int], pa.RecordBatch]  # first row, rows, seed

Kind = Literal["amount", "mixed-table"]
KINDS: dict[Kind, tuple[pa.Schema, Rows]] = {
    "amount": (AMOUNT_SCHEMA, amount_rows),
    "mixed-table": (TABLE_SCHEMA, mixed_table_rows),
}


@dataclass(frozen=True, slots=True)
class GeneratedFile:
    """What was written.

    Parameters
    ----------
    path : pathlib.Path or RemoteFile
        The file, or the folder.
    rows, bytes : int
        Its rows and its size; of a folder those that were asked for.
    files, kept : int
        Files, and how many of them were there already.
    """

    path: Location
    rows: int
    bytes: int
    files: int = 1
    kept: int = 0


@dataclass(frozen=True, slots=True)
class Generator:
    """What is generated.

    Parameters
    ----------
    rows_of : callable
        Rows of a range, by first row, rows and seed.
    schema : pyarrow.Schema
        Its columns.
    seed : int
        The seed.
    block_rows : int
        Rows computed at a time, also the rows of a row group.
    described : dict of str to str
        Stored in each file's metadata.
    """

    rows_of: Rows
    schema: pa.Schema
    seed: int
    block_rows: int
    described: Mapping[str, str]

    def write(self, path: Given, part: RowRange, executor: LocalExecutor) -> tuple[int, int]:
        """Write a range of rows to a file; returns its rows and its size."""
        described = dict(self.described)
        if part.first_row:
            described["gpuvgm.first_row"] = str(part.first_row)
        options: dict[str, Any] = {"row_group_rows": self.block_rows, "compression": "lz4"}
        with decoded_sink(location_of(path), self.schema, described, **options) as sink:
            executor.map_blocks(self._batch, part.ranges(self.block_rows), sink.write)
        return sink.rows, sink.bytes

    def _batch(self, part: RowRange) -> pa.RecordBatch:
        return self.rows_of(part.first_row, part.rows, self.seed)


def generate(
    path: Given,
    rows: int,
    *,
    kind: Kind = "amount",
    seed: int = 0,
    first_row: int = 0,
    file_rows: int = FILE_ROWS,
    block_rows: int = BLOCK_ROWS,
    resume: bool = False,
    executor: Executor | None = None,
) -> GeneratedFile:
    """Write generated rows to files, block by block. Every row depends on the seed and its number only.

    Parameters
    ----------
    path : path or URL
        A name that ends in ``.parquet`` (or another ending) is one file, CSV where it ends in ``.csv`` or ``.csv.gz``,
        of which nothing is left under this name unless all rows were written. Any other name is a folder, of files
        ``part-00000.parquet`` and so on. One run at a time writes a file, or a file of a folder.
    rows : int
        Number of rows.
    kind : {"amount", "mixed-table"}
        "amount": one column "Amount", see `gpuvgm.datasets.amount`. "mixed-table": ten columns of every kind, see
        `gpuvgm.datasets.mixed_table.mixed_table_rows`.
    seed : int
        0 to 2**64 - 1.
    first_row : int
        Row to begin with: rows [first_row, first_row + rows) are what a file of more rows has there. In a folder, a
        multiple of `file_rows`; the files are numbered by their rows, so that several machines may fill one folder.
    file_rows : int
        Rows of each file of a folder.
    block_rows : int
        Rows computed at a time, also the rows of a row group.
    resume : bool
        Keep the files of a folder that are complete, and write what is missing.
    executor : LocalExecutor or DaskExecutor, optional
        Who computes; by default the cores of this process. A cluster writes files of a folder side by side.

    Returns
    -------
    GeneratedFile
        Its path, rows, bytes and files.

    Raises
    ------
    InputError
        For an unknown kind, negative rows, a folder that does not exist or holds something else.
    FolderInUse
        Where another run writes the same file, or some of the same files.

    Examples
    --------
    >>> import gpuvgm
    >>> written = gpuvgm.generate("payments.parquet", 1000)
    >>> written.rows, str(written.path)
    (1000, 'payments.parquet')
    >>> gpuvgm.TableTransformer().fit("payments.parquet").feature_names_in_.tolist()
    ['Amount']
    """
    generator = _generator(kind, seed, block_rows)
    check_row_range(first_row, rows, seed)
    chosen = LocalExecutor() if executor is None else executor
    return write_generated(generator, path, RowRange(first_row, rows), file_rows, chosen, resume=resume)


def write_generated(
    generator: Generator, path: Given, part: RowRange, file_rows: int, chosen: Executor, *, resume: bool | None
) -> GeneratedFile:
    """Write a range of rows, as `generate` describes; `resume` is None where a run that was cut short cannot go on."""
    target = location_of(path)
    if not target.suffix:
        return _write_folder(generator, target, part, file_rows, chosen, resume=resume)
    if resume:
        raise InputError(
            f"{target}: one file is written as a whole: give a folder (a name without an ending) to resume"
        )
    local = chosen if isinstance(chosen, LocalExecutor) else LocalExecutor(progress=chosen.progress)
    check_folder_of(target)
    with locked(target):
        return GeneratedFile(target, *generator.write(target, part, local))


def _generator(kind: Kind, seed: int, block_rows: int) -> Generator:
    if block_rows < 1:
        raise InputError(f"block_rows must be at least 1, got {block_rows}")
    if kind not in KINDS:
        raise InputError(f'kind "{kind}" cannot be generated; there is: {", ".join(KINDS)}')
    schema, rows_of = KINDS[kind]
    return Generator(rows_of, schema, seed, block_rows, {"gpuvgm.kind": kind, "gpuvgm.seed": str(seed)})


def _write_folder(
    generator: Generator, folder: Location, part: RowRange, file_rows: int, executor: Executor, *, resume: bool | None
) -> GeneratedFile:
    if file_rows < 1 or part.first_row % file_rows:
        raise InputError(
            f"first_row must be a multiple of file_rows in a folder, got first_row={part.first_row} and "
            f"file_rows={file_rows}"
        )
    files = {file.first_row // file_rows: file for file in part.ranges(file_rows)}
    check_reachable(executor, folder)
    check_folder_of(folder)
    with locked(folder, _span_of_files(files)):
        held = _held_files(generator, folder, files, resume=resume)
        if resume:
            _warn_of_more(part_of(folder, _span_of_files(files).stop), part)
        missing = [file for number, file in files.items() if number not in held]
        place = Path(os.path.abspath(folder)) if isinstance(folder, Path) else folder  # workers may stand elsewhere
        with _say_what_is_complete(folder, files, resume=resume):
            written = executor.each(partial(_write_numbered, generator, place, file_rows), missing)
            sizes = list(held.values()) + [size for _, size in written]
    return GeneratedFile(folder, part.rows, sum(sizes), len(files), len(held))


@contextmanager
def _say_what_is_complete(folder: Location, numbers: Iterable[int], *, resume: bool | None) -> Iterator[None]:
    """Of a run that fails, say which files are complete; remove what workers that were killed had begun."""
    try:
        yield
    except BaseException as problem:
        if isinstance(folder, Path):
            final: list[Any] = [part_of(folder, number) for number in numbers]
            begun = {path.name[1:].rsplit(".", 2)[0] for path in folder.glob(".*.partial")}
            for path in final:
                if path.name in begun:
                    remove_left_over(path)
            complete = sum(path.exists() for path in final)
            if complete:
                told = counted_values(complete, "files are complete")
                problem.add_note(f"{told} in {folder}: {_ANEW if resume is None else 'go on with resume=True'}")
        raise


def _span_of_files(files: Mapping[int, RowRange]) -> range:
    return range(min(files, default=0), max(files, default=0) + 1)


def _warn_of_more(following: Location, part: RowRange) -> None:
    """Another machine may have written the file that follows these rows, or an earlier run that had more."""
    if part.rows and following.exists():
        told = f"{following}: is there too, beyond the {counted(part.rows, 'row')} of this run"
        warn(f"{told}; remove it and those after it if the folder shall have no more rows")


def part_of(folder: Location, number: int) -> Location:
    """Name of a file of a folder."""
    return inside(folder, f"part-{number:05d}.parquet")


def _write_numbered(
    generator: Generator, folder: Location, file_rows: int, part: RowRange, executor: LocalExecutor
) -> int:
    return generator.write(part_of(folder, part.first_row // file_rows), part, executor)[1]


def _held_files(
    generator: Generator, folder: Location, files: Mapping[int, RowRange], *, resume: bool | None
) -> dict[int, int]:
    """Sizes of the complete files that are there, by number; the folder is made where there is none."""
    if isinstance(folder, Path):
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder}: is a file; give a name that ends in .parquet, or that of a folder")
        folder.mkdir(exist_ok=True)
    there = {number: part_of(folder, number) for number in files if part_of(folder, number).exists()}
    if there and not resume:
        told = counted_values(len(there), f"files are there already, of {len(files):,}")
        first, way = next(iter(there.values())).name, "" if resume is None else "go on with resume=True, or "
        raise InputError(f"{folder}: {told} (first {first}): {way}{_ANEW}")
    return {n: size for n, path in there.items() if (size := _size_if_complete(generator, path, files[n])) is not None}


def _size_if_complete(generator: Generator, path: Location, part: RowRange) -> int | None:
    """Size of a file with these rows; None for a damaged one.

    Raises
    ------
    InputError
        For a file that holds other rows.
    """
    try:
        held, described = parquet_part(path), read_metadata(path)
    except InputError:
        return None
    expected = dict(generator.described) | ({"gpuvgm.first_row": str(part.first_row)} if part.first_row else {})
    if described != expected or held.rows != part.rows or not held.schema.equals(stored_schema(generator.schema)):
        raise InputError(f"{path}: holds other rows ({held.rows:,}, {described}); write to another folder")
    return stamp_of(path)[0]

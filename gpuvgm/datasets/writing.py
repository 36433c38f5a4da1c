"""Write generated rows: one file of Parquet or CSV, or a folder of Parquet files that several machines may fill."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import pyarrow as pa

from gpuvgm.config import BLOCK_ROWS, Flavor
from gpuvgm.datasets.amounts import AMOUNT_SCHEMA, amount_rows
from gpuvgm.datasets.mixed_table import TABLE_SCHEMA, mixed_table_rows
from gpuvgm.datasets.ranges import RowRange
from gpuvgm.errors import InputError
from gpuvgm.execution import DaskExecutor, LocalExecutor, OpenPartition, Run, executor_for
from gpuvgm.io import Location, Source, location_of, target_of
from gpuvgm.table import Parts, RunSummary

FILE_ROWS = 1 << 26
Written = tuple[pa.RecordBatch, dict[str, Any]]  # nothing that a fit had not seen
Rows = Callable[[int, int, int], pa.RecordBatch]  # first row, rows, seed

Kind = Literal["amount", "mixed-table"]
TABLES: dict[Kind, tuple[pa.Schema, Rows]] = {
    "amount": (AMOUNT_SCHEMA, amount_rows),
    "mixed-table": (TABLE_SCHEMA, mixed_table_rows),
}


@dataclass(frozen=True, slots=True)
class GeneratedParts(Parts):
    """Files of generated rows, each with the number of its first row.

    Parameters
    ----------
    block_rows : int
        Rows of a row group.
    """

    block_rows: int = BLOCK_ROWS

    def metadata(self, first_row: int) -> dict[str, str]:
        """Key/value metadata of the file that begins with a row, which it tells."""
        return Parts.metadata(self, first_row) | ({"gpuvgm.first_row": str(first_row)} if first_row else {})

    @property
    def encoding(self) -> dict[str, Any]:
        """Options of each file's sink."""
        return {"compression": "lz4", "row_group_rows": self.block_rows}


@dataclass(frozen=True, slots=True)
class Generator:
    """Generator of the rows of a table.

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
    flavor : {"spark"}, optional
        Write the types that Spark reads.
    """

    rows_of: Rows
    schema: pa.Schema
    seed: int
    block_rows: int
    described: Mapping[str, str]
    flavor: Flavor | None = None

    def parts(self, out: Location, part: RowRange, file_rows: int) -> GeneratedParts:
        """Files of a range of rows, numbered by their rows."""
        description = {key.removeprefix("gpuvgm."): text for key, text in self.described.items() if key != "pandas"}
        request = {**description, "first_row": part.first_row, "rows": part.rows, "part_rows": file_rows}
        request |= {"row_group_rows": self.block_rows} | ({"flavor": self.flavor} if self.flavor else {})
        schema = self.schema.with_metadata(dict(self.described))
        parts = GeneratedParts(out, schema, request, file_rows, decoded=True, block_rows=self.block_rows)
        parts = replace(parts, options=replace(parts.options, flavor=self.flavor))
        return parts.numbered(part.first_row, part.rows)

    def encoder(self) -> Callable[[RowRange], Written]:
        """Function that generates the rows of a range."""
        return self._generate_rows

    def _generate_rows(self, part: RowRange) -> Written:
        return self.rows_of(part.first_row, part.rows, self.seed), {}

    def write(
        self,
        path: str | os.PathLike[str],
        part: RowRange,
        executor: Any,
        file_rows: int = FILE_ROWS,
        *,
        here: LocalExecutor | None = None,
        resume: bool | None,
    ) -> RunSummary:
        """Write a range of rows, as `generate` describes; raises as that.

        Parameters
        ----------
        path : path or URL
            Where to.
        part : RowRange
            The rows.
        executor : LocalExecutor, DaskExecutor, distributed.Client or None
            What the user chose; None is this process.
        file_rows : int
            Rows of each file of a folder.
        here : LocalExecutor, optional
            What works in this process, and hears of progress; by default what the user chose.
        resume : bool or None
            Keep complete files; None where a run that ends early cannot go on.
        """
        out = location_of(path)
        if here is None:
            progress = getattr(executor, "progress", None)
            here = executor if isinstance(executor, LocalExecutor) else LocalExecutor(progress=progress)
        if out.suffix:
            file_rows = max(1, part.rows)
        elif file_rows < 1 or part.first_row % file_rows:
            raise InputError(
                f"first_row must be a multiple of file_rows in a folder, got first_row={part.first_row} and "
                f"file_rows={file_rows}"
            )
        kind = RowsInOrder if resume is None else GeneratedRows
        source = kind("generated rows", self.schema, part, file_rows, self.block_rows)
        parts = self.parts(target_of(source, out), part, file_rows)
        cluster = executor_for(executor, source)
        # One file has all rows, and one process writes it.
        runner = here if cluster is None or out.suffix else cluster.reporting(here.progress, here.parts, "generate")
        run = Run(source, "reference", runner)
        return parts.write(run, self.schema.names, self.encoder, resume=bool(resume))


@dataclass(frozen=True, slots=True)
class GeneratedRows(Source):
    """Ranges of rows to generate, as a source and as its partitions.

    Parameters
    ----------
    name : str
        For messages.
    schema : pyarrow.Schema
        Their columns.
    part : RowRange
        The rows.
    file_rows, block_rows : int
        Rows of a partition and of a block.
    """

    name: str
    schema: pa.Schema
    part: RowRange
    file_rows: int
    block_rows: int
    identified: ClassVar[bool] = True
    read_apart: ClassVar[bool] = True

    @property
    def first_row(self) -> int:
        """Number of the first row."""
        return self.part.first_row

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.part.rows

    def blocks(self, *_: Any) -> Iterator[Any]:
        """The rows in blocks of constant length, none of which crosses a border of files."""
        return (block for file in self.part.ranges(self.file_rows) for block in file.ranges(self.block_rows))

    def partitions(self, _: Any) -> Iterator[GeneratedRows]:
        """The rows of each file."""
        return (replace(self, part=file) for file in self.part.ranges(self.file_rows))

    def read(self) -> OpenPartition:
        """The rows as a worker generates them."""
        return OpenPartition(on_device=False, blocks=self.blocks())


class RowsInOrder(GeneratedRows):
    """Rows that are drawn one after the other, and cannot be drawn again."""

    __slots__ = ()
    identified = False


def generate(
    path: str | os.PathLike[str],
    rows: int,
    *,
    kind: Kind = "amount",
    seed: int = 0,
    first_row: int = 0,
    file_rows: int = FILE_ROWS,
    block_rows: int = BLOCK_ROWS,
    resume: bool = False,
    executor: LocalExecutor | DaskExecutor | None = None,
) -> RunSummary:
    """Write generated rows to files, block by block. Every row depends on the seed and its number only.

    Parameters
    ----------
    path : path or URL
        A name that ends in ``.parquet`` (or another ending) is one file, CSV where it ends in ``.csv`` or ``.csv.gz``,
        of which nothing is left under this name unless all rows were written. Any other name is a folder, of files
        ``part-00000.parquet`` and so on and a manifest with their checksums; it appears when all are there, unless
        other files of it are. One run at a time writes a file, or a file of a folder.
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
        Each such run has a manifest of its own there.
    file_rows : int
        Rows of each file of a folder.
    block_rows : int
        Rows computed at a time, also the rows of a row group.
    resume : bool
        Keep the files of a folder that are complete, and write what is missing.
    executor : LocalExecutor or DaskExecutor, optional
        Executor of the work; by default the cores of this process. A cluster writes files of a folder side by side.

    Returns
    -------
    RunSummary
        Its path, rows, bytes, columns, seconds and files; of a folder those of this run.

    Raises
    ------
    InputError
        For an unknown kind, negative rows, a folder that does not exist or holds some of the files.
    FolderInUse
        While another run writes the same file, or some of the same files.

    Examples
    --------
    >>> import gpuvgm
    >>> written = gpuvgm.generate("payments.parquet", 1000)
    >>> written.rows, written.path
    (1000, 'payments.parquet')
    >>> gpuvgm.TableTransformer().fit("payments.parquet").feature_names_in_.tolist()
    ['Amount']
    """
    generator = _generator(kind, seed, block_rows)
    part = RowRange(first_row, rows)
    part.check(seed)
    return generator.write(path, part, executor, file_rows, resume=resume)


def _generator(kind: Kind, seed: int, block_rows: int) -> Generator:
    if block_rows < 1:
        raise InputError(f"block_rows must be at least 1, got {block_rows}")
    if kind not in TABLES:
        raise InputError(f'kind "{kind}" cannot be generated; there is: {", ".join(TABLES)}')
    schema, rows_of = TABLES[kind]
    return Generator(rows_of, schema, seed, block_rows, {"gpuvgm.kind": kind, "gpuvgm.seed": str(seed)})

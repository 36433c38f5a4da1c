"""Arrow IPC files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from gpuvgm.errors import InputError
from gpuvgm.io.arrow import reading_options
from gpuvgm.io.block import Runs, copied_rows
from gpuvgm.io.locations import Location, arrow_input
from gpuvgm.io.remote import RemoteFile
from gpuvgm.io.source import Format, Part, one_by_one, shares_of_runs
from gpuvgm.io.untrusted import check_batch, check_schema
from gpuvgm.shortage import damage_as, reason

FILE_MAGIC = b"ARROW1"


@dataclass(frozen=True, slots=True)
class IpcPart(Part):
    """An Arrow IPC file of a source.

    Parameters
    ----------
    path : pathlib.Path or RemoteFile
        The file.
    schema : pyarrow.Schema
        Its columns and types.
    rows : int, optional
        Number of rows, which the stream format does not know.
    group_rows : tuple of int, optional
        Rows of each record batch; None for the stream format, which has no index.
    """

    def sample(self, columns: Sequence[str], runs: Runs) -> list[list[pa.RecordBatch]]:
        """Copies of each run's rows; only record batches that hold some are read, each once."""
        batches: list[list[pa.RecordBatch]] = [[] for _ in runs]
        shares = shares_of_runs(runs, self.group_rows or ())
        for pieces, batch in zip(shares.values(), self.read(columns, 0, [*shares]), strict=True):
            for number, (start, length) in pieces:
                batches[number].append(copied_rows(batch, start, length))
        return batches

    def read(
        self, columns: Sequence[str], batch_rows: int, groups: Sequence[int] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Checked record batches of the file, all or those with some numbers."""
        row, fields = 0, [self.schema.get_field_index(name) for name in columns]

        def explain(problem: Exception) -> InputError:
            return InputError(
                f"{self.path}: damaged Arrow file, cannot be read after row {row} ({reason(problem)}); write or copy "
                "the file again"
            )

        with damage_as(explain, InputError), open_ipc(self.path, fields) as reader:
            for order, batch in enumerate(each_batch(reader, groups)):
                if groups is not None:
                    row = sum((self.group_rows or ())[: groups[order]])
                selection = batch.select(list(columns))
                check_batch(selection)
                yield selection
                row += batch.num_rows


def each_batch(reader: Any, numbers: Sequence[int] | None = None) -> Iterator[pa.RecordBatch]:
    """Record batches of a reader of either format; those with some numbers where it has an index."""
    if isinstance(reader, pa.ipc.RecordBatchFileReader):
        return map(reader.get_batch, range(reader.num_record_batches) if numbers is None else numbers)
    return iter(reader)


@contextmanager
def open_ipc(path: Location, fields: list[int] | None = None) -> Iterator[Any]:
    """Open a reader that decodes only the columns at these positions."""
    with arrow_input(path) if isinstance(path, RemoteFile) else pa.memory_map(str(path)) as file:
        is_file = file.read(len(FILE_MAGIC)) == FILE_MAGIC
        file.seek(0)
        opener = pa.ipc.open_file if is_file else pa.ipc.open_stream
        with (
            damage_as(lambda problem: pa.ArrowInvalid(str(problem)), stored=file.size()),
            opener(file, options=reading_options(included_fields=fields)) as reader,
        ):
            yield reader


def ipc_part(path: Location) -> IpcPart:
    """Read the footer of an Arrow IPC file.

    Raises
    ------
    InputError
        Naming the file, when it is truncated or of another kind.
    """
    with damage_as(
        lambda problem: InputError(f"{path}: not a complete Arrow IPC file ({reason(problem)})"), InputError
    ):
        with open_ipc(path) as reader:
            schema = reader.schema.remove_metadata()
            has_index = isinstance(reader, pa.ipc.RecordBatchFileReader)
        check_schema(schema)
        if not has_index:
            return IpcPart(path, schema)
        group_rows = _rows_of_batches(path)
    return IpcPart(path, schema, sum(group_rows), group_rows)


def _rows_of_batches(path: Location) -> tuple[int, ...]:
    """Rows of each record batch of the file format; the first column is read to check them."""
    rows = []
    with open_ipc(path, [0]) as reader:
        for batch in each_batch(reader):
            batch.validate()
            rows.append(batch.num_rows)
    return tuple(rows)


IPC = Format("Arrow IPC", (".arrow", ".arrows", ".feather", ".ipc"), one_by_one(ipc_part), FILE_MAGIC[:4])

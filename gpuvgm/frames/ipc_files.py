"""One Arrow IPC file (also Feather), in the file or the stream format; memory-mapped where it lies on this machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from gpuvgm.errors import InputError
from gpuvgm.frames.block import trimmed
from gpuvgm.frames.locations import Location, arrow_input
from gpuvgm.frames.remote import RemoteFile
from gpuvgm.frames.source import Runs, reason
from gpuvgm.shortage import damage_told

FILE_MAGIC = b"ARROW1"


@dataclass(frozen=True, slots=True)
class IpcPart:
    """An Arrow IPC file of a source.

    Parameters
    ----------
    path : pathlib.Path or RemoteFile
        The file.
    schema : pyarrow.Schema
        Its columns and types.
    batch_rows : tuple of int, optional
        Rows of each record batch; None for the stream format, which has no index.
    """

    path: Location
    schema: pa.Schema
    batch_rows: tuple[int, ...] | None

    @property
    def rows(self) -> int | None:
        """Number of rows."""
        return None if self.batch_rows is None else sum(self.batch_rows)

    def batches(self, columns: Sequence[str], batch_rows: int) -> Iterator[pa.RecordBatch]:
        """Read the columns through, one record batch of the file after the other."""
        done = 0

        def told(problem: Exception) -> InputError:
            return InputError(f"{self.path}: damaged Arrow file, cannot be read after row {done} ({reason(problem)})")

        with damage_told(told), open_ipc(self.path, self._positions(columns)) as reader:
            for batch in each_batch(reader):
                yield batch.select(list(columns))
                done += batch.num_rows

    def between(self, columns: Sequence[str], batch_rows: int, start: int, stop: int) -> Iterator[pa.RecordBatch]:
        """Read rows [start, stop), and of the stream format those before them."""
        if self.batch_rows is None:
            return trimmed(self.batches(columns, batch_rows), start, stop - start)
        return iter(self.sample(columns, [(start, stop - start)]))

    def sample(self, columns: Sequence[str], runs: Runs) -> list[pa.RecordBatch]:
        """Rows of each run; only the record batches that hold some are read."""
        found = []
        with open_ipc(self.path, self._positions(columns)) as reader:
            for start, length in runs:
                first = 0
                for number, rows in enumerate(self.batch_rows or ()):
                    low, high = max(start, first), min(start + length, first + rows)
                    if low < high:
                        found.append(reader.get_batch(number).select(list(columns)).slice(low - first, high - low))
                    first += rows
        return found

    def _positions(self, columns: Sequence[str]) -> list[int]:
        return [self.schema.get_field_index(name) for name in columns]


def each_batch(reader: Any) -> Iterator[pa.RecordBatch]:
    """The record batches of a reader of either format."""
    if isinstance(reader, pa.ipc.RecordBatchFileReader):
        return (reader.get_batch(number) for number in range(reader.num_record_batches))
    return iter(reader)


@contextmanager
def open_ipc(path: Location, fields: list[int] | None = None) -> Iterator[Any]:
    """A reader of the file that decodes the columns at these positions only."""
    with arrow_input(path) if isinstance(path, RemoteFile) else pa.memory_map(str(path)) as file:
        is_file = file.read(len(FILE_MAGIC)) == FILE_MAGIC
        file.seek(0)
        opener = pa.ipc.open_file if is_file else pa.ipc.open_stream
        with opener(file, options=pa.ipc.IpcReadOptions(included_fields=fields)) as reader:
            yield reader


def ipc_part(path: Location) -> IpcPart:
    """Read the footer of an Arrow IPC file.

    Raises
    ------
    InputError
        Naming the file, when it is truncated or of another kind.
    """
    with damage_told(lambda problem: InputError(f"{path}: not a complete Arrow IPC file ({reason(problem)})")):
        with open_ipc(path) as reader:
            schema = reader.schema.remove_metadata()
            indexed = isinstance(reader, pa.ipc.RecordBatchFileReader)
        with open_ipc(path, [0]) as reader:
            rows = tuple(batch.num_rows for batch in each_batch(reader)) if indexed else None
    return IpcPart(path, schema, rows)

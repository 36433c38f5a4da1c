"""Rows on the workers of a cluster, those of a group in one partition: Dask's shuffle."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate, islice, pairwise
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.execution.dask import parts_of_task
from gpuvgm.execution.dask_frames import delayed_partitions
from gpuvgm.execution.dask_rows import DaskPartition, DaskRows, forget, task_key
from gpuvgm.execution.partitions import Reading
from gpuvgm.io import Packed, Source, TableSource, joined_arrays, taken

if TYPE_CHECKING:
    from distributed import Client

R = TypeVar("R")
Hashes = NDArray[np.uint64]
RESULTS_AT_ONCE = 64  # of partitions, in the memory of this process


@contextmanager
def grouped_on_workers(
    client: Client,
    parts: Sequence[Any],
    schema: pa.Schema,
    hashes: Callable[[pa.Table], Hashes],
    sort: Callable[[pa.Table], pa.Table],
) -> Iterator[GroupedRows]:
    """Rows with those of a group in one partition, in the workers' memory until the end.

    There are as many partitions as before. What is shuffled are pieces of partitions as bytes, so that Dask changes no
    type.

    Parameters
    ----------
    client : distributed.Client
        The cluster.
    parts : sequence of Partition
        The rows.
    schema : pyarrow.Schema
        The columns that are kept.
    hashes : callable
        A hash of each row's group.
    sort : callable
        Puts the rows of a partition, which come in the order of the source, in another order.
    """
    import dask
    import dask.dataframe as dd

    with client.as_current():
        tasks = [
            dask.delayed(partial(_cut, part, hashes, len(parts)), pure=False)(
                *computed, dask_key_name=task_key("cut into keys")
            )
            for part, computed in map(parts_of_task, parts)
        ]
        pieces: Any = dd.from_delayed(tasks, meta=_pieces([], [], []), verify_meta=False)
        pieces = pieces.set_index("part", divisions=[*range(len(parts) + 1)], sorted=False)
        joined = dask.delayed(partial(_joined, sort, schema), pure=False)
        tables = dask.persist(
            *(joined(part, dask_key_name=task_key("join keys")) for part in delayed_partitions(pieces))
        )
        try:
            count = dask.delayed(len, pure=False)
            lengths = dask.compute(*(count(table, dask_key_name=task_key("count rows")) for table in tables))
            yield GroupedRows("rows", schema, lengths, tables, partial(TableSource, "rows", "pyarrow"))
        finally:
            forget([table.dask for table in tables])


@dataclass(frozen=True, slots=True, eq=False)
class GroupedRows(DaskRows):
    """Rows with those of a group in one partition, or a table that is made of each partition's rows.

    Parameters
    ----------
    name : str
        Of the source.
    schema : pyarrow.Schema
        The columns.
    lengths : tuple of int
        Rows of the partitions.
    tables : sequence of dask.delayed.Delayed
        The partitions.
    open : callable
        From a partition to a source of it.
    """

    name: str
    schema: pa.Schema
    lengths: tuple[int, ...]
    tables: Sequence[Any]
    open: Callable[[pa.Table], Source]
    flavour: str = "dask"
    reordered: ClassVar[bool] = True

    def partitions(self, reading: Reading) -> Iterator[DaskPartition]:
        """The partitions that have rows."""
        offsets = accumulate(self.lengths, initial=0)
        for number, (table, first, rows) in enumerate(zip(self.tables, offsets, self.lengths, strict=False)):
            if rows:
                yield DaskPartition(number, first, rows, reading, _Opened(self.open), table)

    def each(self, function: Callable[[pa.Table], R]) -> Iterator[R]:
        """What a function gives of each partition that has rows; it is called where they lie."""
        import dask

        call = dask.delayed(partial(_packed, function), pure=False)
        queue = self.partitions(Reading("reference", (), 1))
        while parts := list(islice(queue, RESULTS_AT_ONCE)):
            yield from map(
                Packed.unpack, dask.compute(*(call(part.computed, dask_key_name=task_key("keys")) for part in parts))
            )

    def made(self, schema: pa.Schema, lengths: tuple[int, ...], open_table: Callable[[pa.Table], Source]) -> Source:
        """A table that is made of each partition where it lies, whenever it is read."""
        return replace(self, schema=schema, lengths=lengths, open=open_table)


@dataclass(frozen=True, slots=True)
class _Opened:
    """Partitions of tables, which have the types of all."""

    open: Callable[[pa.Table], Source]

    def source(self, _name: str, frame: Any, _columns: Sequence[str]) -> Source:
        """A partition as a source."""
        return self.open(frame)


def _packed(function: Callable[[pa.Table], R], table: pa.Table) -> Packed:
    return Packed(function(table))


def _pieces(parts: Sequence[int], first_rows: Sequence[int], rows: Sequence[bytes]) -> Any:
    """A frame of pieces: the partition each belongs to, the row that its own partition begins at, and its rows."""
    import pandas

    columns = {"part": parts, "first": first_rows}
    frame = pandas.DataFrame({name: np.array(values, np.int64) for name, values in columns.items()})
    frame["rows"] = pandas.arrays.ArrowExtensionArray(pa.array(rows, pa.large_binary()))
    return frame


def _cut(part: Any, hashes: Callable[[pa.Table], Hashes], count: int, *computed: Any) -> Any:
    """A partition's pieces, by ranges of hashes."""
    part = Packed.unpack(part)
    opened = part.of(*computed) if computed else part
    table = pa.Table.from_batches([block.batch for block in opened.read().blocks])
    numbers = ((hashes(table) >> np.uint64(32)) * np.uint64(count) >> np.uint64(32)).astype(np.int64)
    rows = taken(table, np.argsort(numbers, kind="stable"))
    stops = np.append(0, np.cumsum(np.bincount(numbers, minlength=count)))
    filled = [(number, start, stop) for number, (start, stop) in enumerate(pairwise(stops.tolist())) if start < stop]
    pieces = [_as_bytes(rows.slice(start, stop - start)) for _, start, stop in filled]
    return _pieces([number for number, *_ in filled], [part.first_row] * len(filled), pieces)


def _as_bytes(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    return sink.getvalue().to_pybytes()


def _joined(sort: Callable[[pa.Table], pa.Table], schema: pa.Schema, pieces: Any) -> pa.Table:
    """The rows of pieces, in the order of the source before they are sorted."""
    tables = [pa.ipc.open_stream(rows).read_all() for rows in pieces.sort_values("first")["rows"]]
    if not tables:
        return schema.empty_table()
    columns = pa.concat_tables(tables).columns
    arrays = [joined_arrays(column.chunks, column.type) for column in columns]
    return sort(pa.Table.from_arrays(arrays, schema=tables[0].schema))

"""Tables that other libraries scan: streams and datasets of Arrow, relations of DuckDB, lazy frames of polars."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from gpuvgm.errors import InputError, SourceChangedError
from gpuvgm.io.arrow import taken
from gpuvgm.io.block import Block, reblock
from gpuvgm.io.frames import polars_source, read_once
from gpuvgm.io.source import Runs, Source, check_names, check_request, check_runs
from gpuvgm.shortage import ARROW_PROBLEMS, damage_as, reason

Scan = Callable[[Sequence[str], int], Iterable[pa.RecordBatch]]
BATCH_ROWS = 1 << 16  # at most; the libraries read several batches ahead


@dataclass(frozen=True, slots=True)
class ScanSource(Source):
    """A table that is scanned anew for every reading.

    Parameters
    ----------
    name, flavour, schema, rows, repeatable : object
        See `Source`.
    scan : callable
        (columns, rows) -> batches of these columns, in row order; `rows` is the length of the blocks to be made.
    """

    name: str
    flavour: str
    schema: pa.Schema
    scan: Scan
    rows: int | None = None
    repeatable: bool = True

    def __post_init__(self) -> None:
        check_names(self.name, self.schema.names)

    def blocks(self, columns: Sequence[str], block_rows: int) -> Iterator[Block]:
        """Scan the columns in blocks; without columns, the first one is scanned for the number of rows."""
        check_request(self.name, self.schema, columns, block_rows)
        batches = self.scan(columns or self.schema.names[:1], block_rows)
        return reblock(self._checked(batches, columns), block_rows)

    def sample(self, columns: Sequence[str], runs: Runs) -> pa.Table:
        """Rows of each run, one after the other; scans up to the last of them, and copies them."""
        check_request(self.name, self.schema, columns)
        check_runs(self.name, self.rows, runs)
        pieces: list[list[pa.RecordBatch]] = [[] for _ in runs]
        end = max((start + length for start, length in runs), default=0)
        for block in self.blocks(columns, BATCH_ROWS) if end else ():
            for run, (start, length) in zip(pieces, runs, strict=True):
                low, high = max(start, block.first_row), min(start + length, block.first_row + block.rows)
                if low < high:
                    run.append(_copied(block.batch, low - block.first_row, high - block.first_row))
            if block.first_row + block.rows >= end:
                break
        schema = pa.schema([self.schema.field(name) for name in columns])
        return pa.Table.from_batches([batch for run in pieces for batch in run], schema)

    def fingerprint(self) -> dict[str, Any]:
        """Kind and shape, as far as it is known."""
        rows = {} if self.rows is None else {"rows": self.rows}
        return {"kind": self.name, **rows, "columns": len(self.schema.names)}

    def _checked(self, batches: Iterable[pa.RecordBatch], columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        wanted = pa.schema([self.schema.field(name) for name in columns])
        rows = 0
        for batch in batches:
            rows += batch.num_rows
            if not columns:
                yield batch.select([])
            elif batch.schema.types == wanted.types:
                yield pa.RecordBatch.from_arrays(batch.columns, schema=wanted)
            else:
                raise SourceChangedError(f"{self.name}: its columns changed between two scans; give a table that stays")
        if self.rows not in (None, rows):
            raise SourceChangedError(
                f"{self.name}: a scan gave {rows} rows, its count {self.rows}; the rows of a query must stay: "
                "compute it once and give the table"
            )


def _copied(batch: pa.RecordBatch, start: int, stop: int) -> pa.RecordBatch:
    """Rows of a batch in memory of their own, so that the batch is freed."""
    rows = np.arange(start, stop)
    return pa.RecordBatch.from_arrays([taken(column, rows) for column in batch.columns], schema=batch.schema)


def stream_source(name: str, stream: Any) -> ScanSource:
    """A source over a RecordBatchReader, read once, or what gives a new stream whenever `__arrow_c_stream__` is called.

    Raises
    ------
    InputError
        For a stream of a single column without a name.
    """
    repeatable = not isinstance(stream, (pa.RecordBatchReader, Iterator))
    unread = [_opened(name, stream)]
    schema = unread[0].schema

    def scan(columns: Sequence[str], _rows: int) -> Iterator[pa.RecordBatch]:
        if not unread and not repeatable:
            raise read_once(name)
        reader = unread.pop() if unread else _opened(name, stream)
        if not reader.schema.equals(schema):
            raise SourceChangedError(f"{name}: its columns changed between two scans; give a table that stays")
        return (batch.select(list(columns)) for batch in reader)

    return ScanSource(name, "stream", schema, scan, repeatable=repeatable)


def _opened(name: str, stream: Any) -> pa.RecordBatchReader:
    if isinstance(stream, pa.RecordBatchReader):
        return stream
    try:
        return pa.RecordBatchReader.from_stream(stream)
    except (*ARROW_PROBLEMS, TypeError, ValueError, RuntimeError) as problem:
        raise InputError(f"{name}: its Arrow stream is not a table ({reason(problem)}); it needs columns") from problem


def dataset_source(dataset: Any) -> ScanSource:
    """A source over a pyarrow.dataset.Dataset; its files are scanned in the order of the dataset."""
    name = "pyarrow.dataset.Dataset"
    options = _reading_options(dataset)

    def scan(columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        with _explained(name):
            scanner = dataset.scanner(columns=list(columns), batch_size=min(rows, BATCH_ROWS), **options)
            with scanner.to_reader() as reader:
                yield from reader

    with _explained(name):
        return ScanSource(name, "pyarrow", dataset.schema, scan, dataset.count_rows())


def _reading_options(dataset: Any) -> dict[str, Any]:
    """Keywords of a scan of Parquet files: no buffers beforehand, which hold a file until it is read to its end.

    A dataset that has options of its own keeps these.
    """
    kind = sys.modules["pyarrow.dataset"].ParquetFragmentScanOptions
    chosen = getattr(getattr(dataset, "format", None), "default_fragment_scan_options", None)
    return {"fragment_scan_options": kind(pre_buffer=False)} if isinstance(chosen, kind) and chosen == kind() else {}


def relation_source(relation: Any) -> ScanSource:
    """A source over a DuckDB relation; its query runs for the number of rows, and for every scan."""
    name, problem = "duckdb.DuckDBPyRelation", sys.modules["duckdb"].Error

    def scan(columns: Sequence[str], _rows: int) -> Iterator[pa.RecordBatch]:
        numbers = [f"#{schema.get_field_index(column) + 1}" for column in columns]  # of the columns, from 1
        query = relation.project(", ".join(numbers))
        with _explained(name, problem), pa.RecordBatchReader.from_stream(query) as reader:
            yield from reader

    with _explained(name, problem):
        types = _opened(name, relation.limit(0)).schema.types  # its names differ where some are alike
        ((rows,),) = relation.aggregate("count(*)").fetchall()
    schema = pa.schema(list(zip(relation.columns, types, strict=True)))
    return ScanSource(name, "pyarrow", schema, scan, rows)


def lazy_source(frame: Any) -> ScanSource:
    """A source over a polars LazyFrame; its query runs for the number of rows, and for every scan.

    From polars 1.34 on a scan holds a few batches in memory, before that the columns asked for.
    """
    name, polars = "polars.LazyFrame", sys.modules["polars"]
    problem = polars.exceptions.PolarsError

    def scan(columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        chosen = frame.select(polars.nth([schema.get_field_index(column) for column in columns]))
        with _explained(name, problem):
            for part in _frames_of(chosen, min(rows, BATCH_ROWS)):
                yield from (block.batch for block in polars_source(part, name).blocks(columns, rows))

    with _explained(name, problem):
        empty = polars.DataFrame(schema=frame.collect_schema())
        rows = frame.select(polars.len()).collect().item()
    schema = polars_source(empty, name).schema
    return ScanSource(name, "polars", schema, scan, rows)


def _frames_of(query: Any, rows: int) -> Iterator[Any]:
    """The rows of a LazyFrame as DataFrames, in their order."""
    if hasattr(query, "collect_batches"):
        yield from query.collect_batches(chunk_size=rows, maintain_order=True)
    else:
        yield query.collect()


def _explained(name: str, *problems: type[Exception]) -> AbstractContextManager[None]:
    """Errors of the library that scans as errors that say what was scanned."""
    return damage_as(
        lambda problem: InputError(
            f"{name}: its scan failed: {reason(problem)}; correct it, or pass its rows as a table"
        ),
        *problems,
    )

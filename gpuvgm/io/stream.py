"""Sources of unknown length: Arrow streams and iterators of tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

import pyarrow as pa

from gpuvgm.errors import InputError, SourceChangedError
from gpuvgm.io.arrow_values import exactly_cast
from gpuvgm.io.block import Block, reblock
from gpuvgm.io.source import Runs, Source, check_names, check_request, check_runs, check_same, reason
from gpuvgm.shortage import ARROW_PROBLEMS


class StreamSource(Source):
    """Anything with `__arrow_c_stream__`.

    A RecordBatchReader can be read once. Others (a duckdb relation) are asked for a new stream each time.

    Parameters
    ----------
    name : str
        See `Source`.
    stream : object
        The producer of the stream.
    """

    flavour = "stream"
    rows: int | None = None
    name: str
    repeatable: bool
    schema: pa.Schema

    def __init__(self, name: str, stream: Any) -> None:
        self.name = name
        self.repeatable = not isinstance(stream, (pa.RecordBatchReader, Iterator))
        self._stream = stream
        self._reader: pa.RecordBatchReader | None = self._open()
        self.schema = self._reader.schema
        check_names(name, self.schema.names)

    def blocks(self, columns: Sequence[str], block_rows: int) -> Iterator[Block]:
        """Read the columns through in blocks."""
        check_request(self.name, self.schema, columns, block_rows)
        reader, self._reader = self._reader, None
        if reader is None:
            reader = self._again()
        return reblock((batch.select(list(columns)) for batch in reader), block_rows)

    def sample(self, columns: Sequence[str], runs: Runs) -> pa.Table:
        """Refused: the number of rows is unknown."""
        check_runs(self.name, None, runs)
        raise AssertionError

    def fingerprint(self) -> dict[str, Any]:
        """Kind and number of columns."""
        return {"kind": self.name, "columns": len(self.schema.names)}

    def _open(self) -> pa.RecordBatchReader:
        if isinstance(self._stream, pa.RecordBatchReader):
            return self._stream
        try:
            return pa.RecordBatchReader.from_stream(self._stream)
        except (*ARROW_PROBLEMS, TypeError, ValueError, RuntimeError) as problem:
            raise InputError(
                f"{self.name}: its Arrow stream is not a table ({reason(problem)}); it needs columns"
            ) from problem

    def _again(self) -> pa.RecordBatchReader:
        if not self.repeatable:
            raise read_once(self.name)
        reader = self._open()
        if not reader.schema.equals(self.schema):
            raise SourceChangedError(f"{self.name}: its columns changed between two readings; give a table that stays")
        return reader


class IteratorSource(Source):
    """An iterator of tables, or of anything else `open_source` takes; read once.

    Parameters
    ----------
    parts : iterator
        Tables of the same columns and types; types may differ where the cast to those of the first loses nothing.
    opener : callable
        `open_source`.
    """

    flavour = "stream"
    repeatable = False
    rows: int | None = None
    name: str
    schema: pa.Schema

    def __init__(self, parts: Iterator[Any], opener: Callable[[object], Source]) -> None:
        self.name = type(parts).__name__
        self._opener = opener
        first = next(parts, None)
        if first is None:
            raise InputError(f"{self.name}: the iterator gave nothing; it may have been read before, give a new one")
        opened = self._opened(0, first)
        self.schema = opened.schema
        self._parts: Iterator[Any] | None = chain([opened], parts)

    def blocks(self, columns: Sequence[str], block_rows: int) -> Iterator[Block]:
        """Read the columns through in blocks, across the borders of the parts."""
        check_request(self.name, self.schema, columns, block_rows)
        parts, self._parts = self._parts, None
        if parts is None:
            raise read_once(self.name)
        return reblock(self._batches(parts, columns, block_rows), block_rows)

    def sample(self, columns: Sequence[str], runs: Runs) -> pa.Table:
        """Refused: the number of rows is unknown."""
        check_runs(self.name, None, runs)
        raise AssertionError

    def fingerprint(self) -> dict[str, Any]:
        """Kind and number of columns."""
        return {"kind": self.name, "columns": len(self.schema.names)}

    def _opened(self, number: int, part: Any) -> Source:
        try:
            return self._opener(part)
        except InputError as problem:
            raise InputError(f"{self.name}, part {number}: {problem}") from problem

    def _batches(self, parts: Iterator[Any], columns: Sequence[str], batch_rows: int) -> Iterator[pa.RecordBatch]:
        wanted = pa.schema([self.schema.field(name) for name in columns])
        for number, part in enumerate(parts):
            source = self._opened(number, part)
            check_request(f"{self.name}, part {number}", source.schema, columns)
            for block in source.blocks(columns, batch_rows):
                yield self._fitted(number, block.batch, wanted)

    def _fitted(self, number: int, batch: pa.RecordBatch, wanted: pa.Schema) -> pa.RecordBatch:
        if batch.schema.types == wanted.types:
            return batch if batch.schema.equals(wanted) else pa.RecordBatch.from_arrays(batch.columns, schema=wanted)
        try:
            columns = [exactly_cast(*pair) for pair in zip(batch.columns, wanted.types, strict=True)]
            return pa.RecordBatch.from_arrays(columns, schema=wanted)
        except ARROW_PROBLEMS:
            check_same(f"{self.name}, part {number}", "part 0", wanted, batch.schema)
            raise


def read_once(name: str) -> InputError:
    """The refusal of a second reading."""
    return InputError(f"{name}: can be read only once; give a file, a table or a new iterator")

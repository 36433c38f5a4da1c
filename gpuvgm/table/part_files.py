"""The files of a folder, each with the same rows whoever wrote it: cut, written one by one, noted when complete."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from gpuvgm.errors import InputError
from gpuvgm.execution.local import CallerExecutor, LocalExecutor
from gpuvgm.execution.partitions import Portion
from gpuvgm.io import Location, ParquetSink, RemoteFile
from gpuvgm.io.manifest import Manifest, inside

PART_ROWS = 1 << 24
Encode = Callable[[Any], pa.RecordBatch]


@dataclass(frozen=True, slots=True)
class Parts:
    """What is written.

    Parameters
    ----------
    out : Location
        The folder.
    schema : pyarrow.Schema
        Columns and metadata of the files.
    asked : mapping
        What decides the rows: command, model, options and inputs.
    part_rows : int
        Rows of each file but the last.
    root : pathlib.Path
        Folder that the name counts from; workers may stand in another.
    """

    out: Location
    schema: pa.Schema
    asked: Mapping[str, Any]
    part_rows: int = PART_ROWS
    root: Path = field(default_factory=Path.cwd)

    def __post_init__(self) -> None:
        if self.part_rows < 1:
            raise InputError(f"part_rows must be at least 1, got {self.part_rows}")

    @property
    def place(self) -> Location:
        """Where the files are written: beside the folder until all are there; in a store, in the folder."""
        if isinstance(self.out, RemoteFile):
            return self.out
        return (self.root / self.out).with_name(f".{self.out.name}.unfinished")

    def name(self, first_row: int) -> str:
        """Name of the file that begins with a row."""
        return f"part-{first_row // self.part_rows:05d}.parquet"


@dataclass(frozen=True, slots=True)
class Cut:
    """Works blocks, cut at the borders of parts.

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

    def __call__(self, block: Any) -> list[tuple[int, pa.RecordBatch]]:
        """First row of each part that is missing, and its batch."""
        size, stop = self.parts.part_rows, block.first_row + block.rows
        firsts = range(block.first_row - block.first_row % size, stop, size)
        wanted = [first for first in firsts if self.parts.name(first) not in self.done]
        return [(first, self.encode(self._within(block, first, first + size))) for first in wanted]

    @staticmethod
    def _within(block: Any, first: int, stop: int) -> Any:
        low, high = max(0, first - block.first_row), min(block.rows, stop - block.first_row)
        return block if high - low == block.rows else block.between(low, high)


class PartFiles:
    """Takes batches in the order of rows and puts each into the file of its part.

    Parameters
    ----------
    parts : Parts
        The files.
    manifest : Manifest
        Where those that are complete are noted.
    """

    def __init__(self, parts: Parts, manifest: Manifest) -> None:
        self._parts, self._manifest = parts, manifest
        self._sink: ParquetSink | None = None
        self._first = 0

    def __enter__(self) -> PartFiles:
        return self

    def take(self, pieces: Sequence[tuple[int, pa.RecordBatch]]) -> None:
        """Batches of some parts, by the first row of these."""
        for first, batch in pieces:
            if self._sink is None or first != self._first:
                self._close()
                self._open(first)
            assert self._sink is not None
            self._sink.write(batch)

    def __exit__(self, kind: Any, value: Any, trace: Any) -> None:
        if kind is not None:
            if self._sink is not None:
                self._sink.__exit__(kind, value, trace)
            return
        self._close()
        if not self._manifest.done:
            self._open(0)  # no rows at all: a file that has the columns
            self._close()

    def _open(self, first: int) -> None:
        self._first = first
        self._sink = _sink(self._parts, self._path).__enter__()

    @property
    def _path(self) -> Location:
        return inside(self._parts.place, self._parts.name(self._first))

    def _close(self) -> None:
        sink, self._sink = self._sink, None
        if sink is None:
            return
        sink.__exit__(None, None, None)
        self._manifest.add(self._path.name, _entry(sink, self._first))


def write_part(parts: Parts, encode: Encode, portion: Portion, executor: LocalExecutor) -> dict[str, Any]:
    """One file from its portion: its rows, size and SHA-256."""
    path = inside(parts.place, parts.name(portion.first_row))
    opened = portion.opened()
    chosen = CallerExecutor(executor.threads, executor.progress) if opened.on_device else executor
    with _sink(parts, path) as sink:
        chosen.map_blocks(encode, opened.blocks, sink.write)
    return _entry(sink, portion.first_row)


def _sink(parts: Parts, path: Location) -> ParquetSink:
    metadata = {key.decode(): value.decode() for key, value in (parts.schema.metadata or {}).items()}
    return ParquetSink(path, parts.schema, metadata)


def _entry(sink: ParquetSink, first_row: int) -> dict[str, Any]:
    return {"first_row": first_row, "rows": sink.rows, "bytes": sink.bytes, "sha256": sink.sha256}

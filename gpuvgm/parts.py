"""Rows into a folder of files: each holds the same rows whoever wrote it, and what is there need not be done again."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from gpuvgm.errors import InputError, SourceChangedError
from gpuvgm.execution import CallerExecutor, LocalExecutor
from gpuvgm.frames import FileSource, Location, ParquetSink, Portion, RemoteFile, Source
from gpuvgm.manifest import (
    NAME,
    Manifest,
    digest_of,
    inside,
    locked,
    read_manifest,
    refuse_other_run,
    still_fits,
)
from gpuvgm.output import RunSummary, write_parquet
from gpuvgm.run import Run

PART_ROWS = 1 << 24
HIDDEN = f"_{NAME}"  # readers of folders leave out names that begin like this
_LOG = logging.getLogger("gpuvgm")
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
    """

    out: Location
    schema: pa.Schema
    asked: Mapping[str, Any]
    part_rows: int = PART_ROWS

    def __post_init__(self) -> None:
        if self.part_rows < 1:
            raise InputError(f"part_rows must be at least 1, got {self.part_rows}")

    @property
    def place(self) -> Location:
        """Where the files are written: beside the folder until all are there; in a store, in the folder."""
        if isinstance(self.out, RemoteFile):
            return self.out
        return self.out.with_name(f".{self.out.name}.unfinished")

    def name(self, first_row: int) -> str:
        """Name of the file that begins with a row."""
        return f"part-{first_row // self.part_rows:05d}.parquet"


def write_rows(
    run: Run, source: Source, columns: Sequence[str], parts: Parts, encode: Encode, *, resume: bool
) -> RunSummary:
    """Write the rows of a source, worked on: to one file where the name has an ending, else to a folder of files."""
    if not parts.out.suffix:
        return write_parts(run, source, columns, parts, encode, resume=resume)
    blocks = run.blocks(source, columns, len(parts.schema))
    return write_parquet(run, parts.out, parts.schema, encode, blocks)


def write_parts(
    run: Run, source: Source, columns: Sequence[str], parts: Parts, encode: Encode, *, resume: bool
) -> RunSummary:
    """Write the rows of a source, worked on, to a folder of files.

    Parameters
    ----------
    run : Run
        Where and how.
    source : Source
        The rows.
    columns : sequence of str
        Columns to read.
    parts : Parts
        The files.
    encode : callable
        From blocks to Arrow batches; it can travel to workers.
    resume : bool
        Go on with a run that was cut short.

    Raises
    ------
    InputError
        Where the folder is something else, or the run to resume was another one.
    """
    began = time.perf_counter()
    finished = _finished(parts) if resume else None
    if finished is not None:
        return _summary(parts, finished, began)
    manifest = _begun(parts, resume=resume)
    with locked(parts.place):
        manifest.done = {name: entry for name, entry in manifest.done.items() if _fits(parts, name, entry)}
        if manifest.done:
            _LOG.info("%s: going on after %d parts", parts.out, len(manifest.done))
        manifest.write()
        for name, entry in _work(run, source, columns, parts, encode, set(manifest.done)):
            manifest.add(name, entry)
        _check_rows(source, manifest)
        manifest.complete = True
        manifest.write()
    _publish(parts)
    summary = _summary(parts, manifest, began)
    _LOG.info("%s: %d rows, %d bytes, %.2f s", summary.path, summary.rows, summary.bytes, summary.seconds)
    return summary


def _fits(parts: Parts, name: str, entry: Mapping[str, Any]) -> bool:
    if still_fits(inside(parts.place, name), entry):
        return True
    _LOG.info("%s: is not what the run had written; it is written again", inside(parts.place, name))
    return False


def _work(
    run: Run, source: Source, columns: Sequence[str], parts: Parts, encode: Encode, done: set[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Write the parts that are missing; name and entry of each."""
    width = len(parts.schema)
    if isinstance(source, FileSource) and (source.rows is not None or run.spread):
        left = (
            portion
            for portion in run.portions(source, columns, width, exactly=parts.part_rows)
            if parts.name(portion.first_row) not in done
        )
        for portion, entry in run.executor.each(partial(write_part, parts, encode), left):
            yield parts.name(portion.first_row), entry
        return
    batches = run.executor.stream(encode, run.blocks(source, columns, width))
    yield from _cut(parts, batches, done)


def write_part(parts: Parts, encode: Encode, portion: Portion, executor: LocalExecutor) -> dict[str, Any]:
    """One file from its portion: its rows, size and SHA-256."""
    path = inside(parts.place, parts.name(portion.first_row))
    opened = portion.opened()
    chosen = CallerExecutor(executor.threads, executor.progress) if opened.on_device else executor
    with _sink(parts, path) as sink:
        chosen.map_blocks(encode, opened.blocks, sink.write)
    return _entry(path, portion.first_row, sink.rows)


def _sink(parts: Parts, path: Location) -> ParquetSink:
    metadata = {key.decode(): value.decode() for key, value in (parts.schema.metadata or {}).items()}
    return ParquetSink(path, parts.schema, metadata)


def _entry(path: Location, first_row: int, rows: int) -> dict[str, Any]:
    size, digest = digest_of(path)
    return {"first_row": first_row, "rows": rows, "bytes": size, "sha256": digest}


def _cut(parts: Parts, batches: Iterator[pa.RecordBatch], done: set[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """A stream of rows cut into files, one after the other."""
    row, current = 0, ExitStack()
    sink: ParquetSink | None = None
    with current:
        for batch in batches:
            while batch.num_rows:
                first = row - row % parts.part_rows
                taken = batch[: first + parts.part_rows - row]
                if parts.name(first) not in done:
                    if sink is None:
                        sink = current.enter_context(_sink(parts, inside(parts.place, parts.name(first))))
                    sink.write(taken)
                row, batch = row + taken.num_rows, batch[taken.num_rows :]
                if row == first + parts.part_rows and sink is not None:
                    current.pop_all().close()
                    yield parts.name(first), _entry(inside(parts.place, parts.name(first)), first, sink.rows)
                    sink = None
    if sink is not None:
        first = row - row % parts.part_rows
        yield parts.name(first), _entry(inside(parts.place, parts.name(first)), first, sink.rows)


def _check_rows(source: Source, manifest: Manifest) -> None:
    written = sum(entry["rows"] for entry in manifest.done.values())
    if source.rows not in (None, written) and not manifest.asked.get("drop"):
        raise SourceChangedError(f"{source.name}: its number of rows changed while it was read")


# -- the folder


def _finished(parts: Parts) -> Manifest | None:
    """The manifest of a folder that is complete already."""
    found = read_manifest(inside(parts.out, HIDDEN))
    if found is None or not found.complete:
        return None
    refuse_other_run(found, parts.asked, str(parts.out))
    return found


def _begun(parts: Parts, *, resume: bool) -> Manifest:
    """The manifest of the run to resume, or a new one in a folder of its own."""
    _check_folder(parts.out)
    place = inside(parts.place, HIDDEN)
    found = read_manifest(place) if resume else None
    if found is not None:
        refuse_other_run(found, parts.asked, str(parts.out))
        return replace(found, place=place)
    if resume:
        _LOG.info("%s: there is no unfinished run; it begins from the start", parts.out)
    if isinstance(parts.place, Path):
        if parts.place.exists():
            with locked(parts.place):
                _LOG.info("%s: what an unfinished run left is removed", parts.out)
            shutil.rmtree(parts.place)
        parts.place.mkdir()
    return Manifest(place, dict(parts.asked), {})


def _check_folder(out: Location) -> None:
    """Refuse folders that hold something else.

    Raises
    ------
    InputError
        Naming the folder.
    """
    if isinstance(out, RemoteFile):
        return
    if not out.parent.is_dir():
        raise InputError(f"{out}: the folder {out.parent} does not exist; create it first")
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file; give a name that ends in .parquet, or that of a folder")
    if out.is_dir() and any(out.iterdir()) and read_manifest(out / HIDDEN) is None:
        raise InputError(f"{out}: a folder that gpuvgm did not write is not replaced; choose another name")


def _publish(parts: Parts) -> None:
    """Give the finished folder its name; what it replaces goes after."""
    if not isinstance(parts.place, Path) or not isinstance(parts.out, Path):
        return
    final = Path(os.path.realpath(parts.out))
    old = final.with_name(f".{final.name}.{secrets.token_hex(4)}.old")
    if final.exists():
        final.rename(old)
    parts.place.rename(final)
    shutil.rmtree(old, ignore_errors=True)


def _summary(parts: Parts, manifest: Manifest, began: float) -> RunSummary:
    entries = manifest.done.values()
    rows, size = (sum(entry[part] for entry in entries) for part in ("rows", "bytes"))
    return RunSummary(str(parts.out), rows, size, len(parts.schema), time.perf_counter() - began, len(entries))

"""Rows into a folder of files: each holds the same rows whoever wrote it, and what is there need not be done again."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa

from gpuvgm.errors import InputError, SourceChangedError
from gpuvgm.execution import CallerExecutor, LocalExecutor
from gpuvgm.frames import DaskFrame, FileSource, Location, ParquetSink, Portion, RemoteFile, Source, lies_in_process
from gpuvgm.locks import LOCK, FolderInUse, locked
from gpuvgm.manifest import (
    NAME,
    Manifest,
    digest_of,
    inside,
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
    _check_run(run, source, parts, resume=resume)
    finished = _finished(parts) if resume else None
    if finished is not None:
        return _summary(parts, finished, began)
    manifest = _begun(parts, resume=resume)
    with _left_for_later(parts, manifest):
        with locked(parts.place):
            manifest.done = {name: entry for name, entry in manifest.done.items() if _fits(parts, name, entry)}
            if manifest.done:
                _LOG.info("%s: going on after %d parts", parts.out, len(manifest.done))
            manifest.write()
            _work(run, source, columns, parts, encode, manifest)
            _check_rows(source, parts, manifest)
            manifest.complete, manifest.done = True, dict(sorted(manifest.done.items()))
            manifest.write()
            _clear(parts.place, {HIDDEN, LOCK, *manifest.done})
        _publish(parts)
    summary = _summary(parts, manifest, began)
    _LOG.info("%s: %d rows, %d bytes, %.2f s", summary.path, summary.rows, summary.bytes, summary.seconds)
    return summary


def _check_run(run: Run, source: Source, parts: Parts, *, resume: bool) -> None:
    """Refuse to resume what cannot be told from other rows, and folders that workers have no part in."""
    if resume and not isinstance(source, (FileSource, DaskFrame)):
        raise InputError(
            f"{source.name}: rows in memory cannot be told from those of a run that was cut short; write without resume"
        )
    if run.spread and lies_in_process(parts.out):
        raise InputError(f"{parts.out}: lies in the memory of one process, where workers cannot write")


@contextmanager
def _left_for_later(parts: Parts, manifest: Manifest) -> Iterator[None]:
    """Of a run that fails, keep what is complete and say so; nothing where nothing is, and the input is wrong."""
    try:
        yield
    except FolderInUse:
        raise
    except BaseException as problem:
        if manifest.done:
            problem.add_note(f"{len(manifest.done)} files are complete in {parts.place}: go on with resume=True")
        elif isinstance(problem, InputError) and isinstance(parts.place, Path):
            shutil.rmtree(parts.place, ignore_errors=True)
        raise


def _fits(parts: Parts, name: str, entry: Mapping[str, Any], folder: Location | None = None) -> bool:
    path = inside(folder or parts.place, name)
    if still_fits(path, entry):
        return True
    _LOG.info("%s: is not what the run had written; it is written again", path)
    return False


def _work(run: Run, source: Source, columns: Sequence[str], parts: Parts, encode: Encode, manifest: Manifest) -> None:
    """Write the parts that are missing.

    Workers write parts side by side where they can read their rows alone. Else rows come in order, and one part follows
    the other without a pause: threads never wait for the end of a file.
    """
    width = len(parts.schema)
    if run.spread and isinstance(source, FileSource) and source.rows:
        portions = run.portions(source, columns, width, exactly=parts.part_rows)
        left = (portion for portion in portions if parts.name(portion.first_row) not in manifest.done)
        for portion, entry in run.executor.each(partial(write_part, parts, encode), left):
            manifest.add(parts.name(portion.first_row), entry)
        return
    cut = Cut(parts, encode, frozenset(manifest.done))
    blocks = run.blocks(source, columns, width)
    if manifest.done and isinstance(source, FileSource) and source.rows is not None:
        blocks = _left(source, columns, run.rows_of(source, max(len(columns), width)), cut)
    with PartFiles(parts, manifest) as taking:
        run.executor.map_blocks(cut, blocks, taking.take)


def _left(source: FileSource, columns: Sequence[str], block_rows: int, cut: Cut) -> Iterator[Any]:
    """Blocks of the rows whose parts are missing."""
    rows, part_rows = source.rows or 0, cut.parts.part_rows
    missing = [first for first in range(0, rows, part_rows) if cut.parts.name(first) not in cut.done]
    for _, neighbours in groupby(enumerate(missing), lambda pair: pair[1] - pair[0] * part_rows):
        firsts = [first for _, first in neighbours]
        yield from source.between(list(columns), firsts[0], min(firsts[-1] + part_rows, rows), block_rows)


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

    Checksums are computed while the next part is written.

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
        self._ended: dict[str, Future[dict[str, Any]]] = {}
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="gpuvgm-checksum")

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
        try:
            if kind is not None:
                if self._sink is not None:
                    self._sink.__exit__(kind, value, trace)
                return
            self._close()
            if not self._ended and not self._manifest.done:
                self._open(0)  # no rows at all: a file that has the columns
                self._close()
        finally:
            self._pool.shutdown(wait=True)
            self._note_ended()

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
        self._ended[self._path.name] = self._pool.submit(_entry, self._path, self._first, sink.rows)
        self._note_ended()

    def _note_ended(self) -> None:
        for name in [name for name, entry in self._ended.items() if entry.done()]:
            self._manifest.add(name, self._ended.pop(name).result())


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


def _check_rows(source: Source, parts: Parts, manifest: Manifest) -> None:
    if source.rows is None:
        return
    written = sum(entry["rows"] for entry in manifest.done.values())
    whole = written == source.rows or manifest.asked.get("drop")
    if not whole or len(manifest.done) != max(1, -(-source.rows // parts.part_rows)):
        raise SourceChangedError(f"{source.name}: its number of rows changed while it was read")


# -- the folder


def _finished(parts: Parts) -> Manifest | None:
    """The manifest of a folder that is complete already; where files of it are damaged, it becomes unfinished."""
    if parts.place != parts.out and read_manifest(inside(parts.place, HIDDEN)) is not None:
        return None
    found = read_manifest(inside(parts.out, HIDDEN))
    if found is None or not found.complete:
        return None
    refuse_other_run(found, parts.asked, str(parts.out))
    if all([_fits(parts, name, entry, parts.out) for name, entry in found.done.items()]):
        return found
    if isinstance(parts.out, Path) and isinstance(parts.place, Path):
        _check_folder(parts.out)
        shutil.rmtree(parts.place, ignore_errors=True)
        parts.out.rename(parts.place)
    return None


def _begun(parts: Parts, *, resume: bool) -> Manifest:
    """The manifest of the run to resume, or a new one in a folder of its own."""
    _check_folder(parts.out)
    place = inside(parts.place, HIDDEN)
    found = read_manifest(place) if resume else None
    if found is not None:
        refuse_other_run(found, parts.asked, str(parts.out))
        return replace(found, place=place, complete=False)
    if resume:
        _LOG.info("%s: there is no unfinished run; it begins from the start", parts.out)
    if isinstance(parts.out, RemoteFile):
        _empty_store(parts.out)
    elif isinstance(parts.place, Path):
        if parts.place.exists():
            with locked(parts.place):
                _LOG.info("%s: what an unfinished run left is removed", parts.out)
                shutil.rmtree(parts.place)
        parts.place.mkdir()
    return Manifest(place, dict(parts.asked), {})


def _empty_store(out: RemoteFile) -> None:
    """Remove what an earlier run wrote to a folder of a store, and refuse one that holds something else."""
    manifest = read_manifest(inside(out, HIDDEN))
    known = {HIDDEN, *(manifest.done if manifest else ())}
    held = out.files()
    foreign = sorted(file.name for file in held if file.name not in known)
    if foreign:
        raise InputError(
            f"{out}: holds {foreign[0]}, which no complete run wrote there; choose another name, or empty it"
        )
    for file in held:
        file.unlink(missing_ok=True)


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
    held = {path.name for path in out.iterdir()} if out.is_dir() else set()
    manifest = read_manifest(out / HIDDEN)
    if held and manifest is None:
        raise InputError(f"{out}: a folder that gpuvgm did not write is not replaced; choose another name")
    foreign = sorted(held - {HIDDEN, *(manifest.done if manifest else ())})
    if foreign:
        raise InputError(f"{out}: also holds {foreign[0]}, which gpuvgm did not write there; choose another name")


def _clear(place: Location, kept: set[str]) -> None:
    """Remove what a process that was killed had left of files on their way."""
    for path in place.iterdir() if isinstance(place, Path) else ():
        if path.name not in kept:
            path.unlink()


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

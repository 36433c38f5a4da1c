"""What a fit has counted so far, partition by partition, so that a run that was cut short reads only the other rows.

A checkpoint is a folder, which users know as the journal of a fit: ``manifest.json``, and a file for each partition of
each scan, ``<scan>-<first row>-<rows>.zip``, which holds ``statistics.json`` and an Arrow file for each summary. A scan
is named by the SHA-256 of the plans that decide what is counted; plans come from a seeded sample, so that the same
source and settings have the same.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from gpuvgm.columns.categories import CategoryCounts
from gpuvgm.columns.identifiers import IdStatistics
from gpuvgm.columns.numeric import Lowest
from gpuvgm.columns.passthrough import RowCount
from gpuvgm.errors import EnvironmentProblem, InputError, SourceChangedError
from gpuvgm.execution.aggregate import Plan, Results, merge_columns, summarise_partition
from gpuvgm.execution.context import Run
from gpuvgm.execution.partitions import Partition
from gpuvgm.io import Source, check_folder_of, location_of, write_bytes
from gpuvgm.io.locks import FolderInUse, locked
from gpuvgm.io.manifest import NAME, Manifest, digest_of_file, read_manifest, refuse_other_run, still_fits
from gpuvgm.io.plain_json import from_plain, plain
from gpuvgm.summary.summary import Summary
from gpuvgm.table.model_file import arrow_file, zipped

_LOG = logging.getLogger("gpuvgm")
_STATISTICS = "statistics.json"
AllStatistics = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The checkpoint of one fit.

    Parameters
    ----------
    folder : pathlib.Path
        Where it lies.
    manifest : Manifest
        The source, and the files with their checksums.
    """

    folder: Path
    manifest: Manifest

    def summarise(self, plans: Sequence[Plan], source: Source, run: Run) -> Results[Any]:
        """Statistics of all planned columns; partitions that are kept are not read again."""
        scan, merged, left = digest_of_plans(plans), dict[str, Any](), []
        for partition in run.partitions(source, [plan.name for plan in plans]):
            kept = self.read(name_of(scan, partition))
            if kept is None:
                left.append(partition)
            else:
                merged = merge_columns(merged, kept)
        for partition, counted in run.executor.each(partial(summarise_partition, run.of_task, tuple(plans)), left):
            if counted and not any(isinstance(statistics, Exception) for statistics in counted.values()):
                self.keep(name_of(scan, partition), partition.first_row, counted)
            merged = merge_columns(merged, counted)
        return Results.of(merged)

    def read(self, name: str) -> AllStatistics | None:
        """What was counted of a partition; None where it was not, or its file is damaged."""
        path, entry = self.folder / name, self.manifest.done.get(name)
        if entry is None:
            return None
        if not still_fits(path, entry):
            _LOG.warning("%s: is damaged; its rows are read again", path)
            return None
        return unpacked(path.read_bytes())

    def keep(self, name: str, first_row: int, all_statistics: AllStatistics) -> None:
        """Keep what was counted of a partition."""
        write_bytes(self.folder / name, packed(all_statistics))
        size, digest = digest_of_file(self.folder / name)
        self.manifest.add(name, {"first_row": first_row, "bytes": size, "sha256": digest})


def name_of(scan: str, partition: Partition) -> str:
    """Name of a partition's file: another length of partitions, on another number of workers, has other names."""
    return f"{scan[:16]}-{partition.first_row}-{partition.rows}.zip"


@contextmanager
def open_checkpoint(given: str | PathLike[str], source: Source, *, resume: bool) -> Iterator[Checkpoint | None]:
    """The checkpoint for the fit of a source, while no other process uses it.

    Parameters
    ----------
    given : path
        Where; the folder is made where it is not.
    source : Source
        The rows; where these are no files there is no checkpoint: nothing tells others from them.
    resume : bool
        Go on with the checkpoint that is there, if there is one, instead of beginning anew.

    Raises
    ------
    SourceChangedError
        Where the source is not the one that the checkpoint was begun with; the message names the first file.
    InputError
        For a folder that is no checkpoint, or does not lie on this machine.
    """
    if not source.paths:
        yield None
        return
    folder = location_of(given)
    if not isinstance(folder, Path):
        raise InputError(f"{folder}: a journal lies on this machine; give a path")
    check_folder_of(folder)
    with locked(folder), _begin_checkpoint(folder, source, resume=resume) as checkpoint:
        yield checkpoint


@contextmanager
def _begin_checkpoint(folder: Path, source: Source, *, resume: bool) -> Iterator[Checkpoint]:
    """The checkpoint in a folder that is locked; what is worth nothing after a failure is removed."""
    asked = {"command": "fit", "inputs": source.fingerprint()}
    place = folder / NAME
    found = read_manifest(place)
    if folder.exists() and found is None and {*folder.iterdir()} - {*folder.glob(f".{NAME}.*.partial")}:
        raise InputError(f"{folder}: is no journal of a fit; choose another name")
    folder.mkdir(exist_ok=True)
    begun = False
    try:
        if found is not None and resume:
            refuse_other_run(found, asked, source.name)
        else:
            found = Manifest(place, asked, {})
            for file in folder.glob("*.zip"):
                file.unlink()
        for file in folder.glob(".*.partial"):
            file.unlink()
        found.write()
        begun = True
        yield Checkpoint(folder, found)
    except (OSError, EnvironmentProblem, InputError, KeyboardInterrupt) as problem:
        is_wrong = isinstance(problem, InputError) and not isinstance(problem, SourceChangedError)
        if found is None or not found.done or (begun and is_wrong):  # the same rows would be refused again
            with suppress(OSError):
                _remove_checkpoint(folder)
        elif begun:
            note_checkpoint(problem, folder)
        raise


def note_checkpoint(problem: BaseException, folder: Path) -> None:
    """Let the end of a run that was cut short say that its checkpoint is kept."""
    problem.add_note(f"what was counted so far is kept in {folder}: go on with resume=True")


def forget_checkpoint(folder: Path) -> None:
    """Remove a checkpoint, but that of another run which has begun since."""
    if read_manifest(folder / NAME) is not None:
        with suppress(FolderInUse), locked(folder):
            _remove_checkpoint(folder)


def _remove_checkpoint(folder: Path) -> None:
    """Remove a checkpoint, the manifest last: what is left when this is cut short is a checkpoint still."""
    for file in folder.iterdir():
        if file.name != NAME:
            file.unlink()
    shutil.rmtree(folder)


def digest_of_plans(plans: Sequence[Plan]) -> str:
    """SHA-256 over everything of the plans that decides what is counted."""
    digest = hashlib.sha256()
    for plan in plans:
        grid = getattr(plan, "grid", None)
        parts = [type(plan).__name__, plan.name, "" if grid is None else grid.fingerprint]
        parts += [repr(getattr(plan, part, None)) for part in ("codec", "modal", "type", "unknown", "declared")]
        digest.update("\0".join(parts).encode() + b"\1")
    return digest.hexdigest()


def packed(all_statistics: Mapping[str, Any]) -> bytes:
    """Statistics by column as one zip of JSON and Arrow files; the same bytes at any time."""
    files, documents = dict[str, bytes](), {}
    for number, (column, statistics) in enumerate(all_statistics.items()):
        if isinstance(statistics, Summary):
            documents[column] = {"class": "Summary", "file": f"{number}.arrow"}
            files[f"{number}.arrow"] = arrow_file(statistics)
            continue
        parts = {field.name: getattr(statistics, field.name) for field in fields(statistics)}
        if isinstance(statistics, IdStatistics):
            parts["registers"] = statistics.registers.hex()
        documents[column] = {"class": type(statistics).__name__} | parts
    files[_STATISTICS] = json.dumps(plain(documents, "journal")).encode()
    return zipped(files, level=1)


def unpacked(body: bytes) -> AllStatistics:
    """What `packed` packed."""
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    documents = json.loads(files[_STATISTICS], object_hook=from_plain)
    return {column: _statistics(files, document) for column, document in documents.items()}


def _statistics(files: Mapping[str, bytes], document: Mapping[str, Any]) -> Any:
    parts = dict(document)
    name = parts.pop("class")
    if name == "Summary":
        return Summary.from_table(pa.ipc.open_file(pa.BufferReader(files[parts["file"]])).read_all(), parts["file"])
    return _CLASSES[name](**{part: _READ[part](value) if part in _READ else value for part, value in parts.items()})


_CLASSES = {one.__name__: one for one in (CategoryCounts, IdStatistics, Lowest, RowCount)}
_READ: dict[str, Callable[[Any], Any]] = {  # what JSON holds otherwise
    "categories": tuple,
    "counts": partial(np.array, dtype=np.int64),
    "first_rows": partial(np.array, dtype=np.int64),
    "registers": bytes.fromhex,
}

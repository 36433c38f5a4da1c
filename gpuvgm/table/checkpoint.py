"""What a fit has counted so far, partition by partition, so that a run that was cut short reads only the other rows.

A checkpoint is a folder, which users know as the journal of a fit: ``manifest.json``, and a file for each partition of
each scan, ``<scan>-<first row>-<rows>.zip``, which holds ``tallies.json`` and an Arrow file for each summary. A scan is
named by the SHA-256 of the plans that decide what is counted; plans come from a seeded sample, so that the same source
and settings have the same.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import shutil
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
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
from gpuvgm.execution.aggregate import Plan
from gpuvgm.execution.partitions import Partition
from gpuvgm.io import Source, check_folder_of, location_of, write_bytes
from gpuvgm.io.locks import FolderInUse, locked
from gpuvgm.io.manifest import NAME, Manifest, digest_of, read_manifest, refuse_other_run, still_fits
from gpuvgm.io.plain_json import from_plain, plain
from gpuvgm.summary.summary import Summary

_LOG = logging.getLogger("gpuvgm")
_STATISTICS = "tallies.json"
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

    def scan(self, plans: Sequence[Plan]) -> ScanCheckpoint:
        """What is kept of the scan of these plans."""
        return ScanCheckpoint(self, digest_of_plans(plans))


@dataclass(frozen=True, slots=True)
class ScanCheckpoint:
    """What is kept of one scan over the rows."""

    checkpoint: Checkpoint
    digest: str

    def name(self, partition: Partition) -> str:
        """Name of a partition's file: another length of partitions, on another number of workers, has other names."""
        return f"{self.digest[:16]}-{partition.first_row}-{partition.rows}.zip"

    def held(self, partition: Partition) -> AllStatistics | None:
        """What was counted of a partition; None where it was not, or its file is damaged."""
        path = self.checkpoint.folder / self.name(partition)
        entry = self.checkpoint.manifest.done.get(path.name)
        if entry is None:
            return None
        if not still_fits(path, entry):
            _LOG.warning("%s: is damaged; its rows are read again", path)
            return None
        return unpacked(path.read_bytes())

    def keep(self, partition: Partition, all_statistics: AllStatistics) -> None:
        """Keep what was counted of a partition."""
        path = self.checkpoint.folder / self.name(partition)
        write_bytes(path, packed(all_statistics))
        size, digest = digest_of(path)
        self.checkpoint.manifest.add(path.name, {"first_row": partition.first_row, "bytes": size, "sha256": digest})


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
    with locked(folder), _begun(folder, source, resume=resume) as checkpoint:
        yield checkpoint


@contextmanager
def _begun(folder: Path, source: Source, *, resume: bool) -> Iterator[Checkpoint]:
    """The checkpoint in a folder that is locked; what is worth nothing after a failure is removed."""
    asked = {"command": "fit", "inputs": source.fingerprint()}
    place = folder / NAME
    found = read_manifest(place)
    if folder.exists() and found is None and not all(map(_is_of_a_beginning, folder.iterdir())):
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
                _remove(folder)
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
            _remove(folder)


def _is_of_a_beginning(path: Path) -> bool:
    """Whether a checkpoint whose first manifest was not complete yet holds the file."""
    return path.name.startswith(f".{NAME}.") and path.suffix == ".partial"


def _remove(folder: Path) -> None:
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
    body, documents = io.BytesIO(), {}
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for number, (column, statistics) in enumerate(all_statistics.items()):
            documents[column] = _document(statistics, f"{number}.arrow")
            if isinstance(statistics, Summary):
                sink = pa.BufferOutputStream()
                statistics.write(sink)
                archive.writestr(
                    zipfile.ZipInfo(f"{number}.arrow"), sink.getvalue().to_pybytes(), zipfile.ZIP_DEFLATED, 1
                )
        archive.writestr(zipfile.ZipInfo(_STATISTICS), json.dumps(plain(documents, "journal")), zipfile.ZIP_DEFLATED)
    return body.getvalue()


def unpacked(body: bytes) -> AllStatistics:
    """What `packed` packed."""
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        documents = json.loads(archive.read(_STATISTICS), object_hook=from_plain)
        return {column: _statistics(archive, document) for column, document in documents.items()}


def _document(statistics: Any, file: str) -> dict[str, Any]:
    if isinstance(statistics, Summary):
        return {"kind": "summary", "file": file}
    if isinstance(statistics, CategoryCounts):
        counts, first = statistics.counts.tolist(), statistics.first_rows.tolist()
        return {
            "kind": "levels",
            "type": statistics.type,
            "rows": statistics.rows,
            "levels": list(statistics.categories),
            "counts": counts,
            "first_rows": first,
        }
    if isinstance(statistics, Lowest):
        return {"kind": "lowest", "rows": statistics.rows, "value": statistics.value}
    if isinstance(statistics, IdStatistics):
        held = {"least": statistics.least, "most": statistics.most, "step": statistics.step}
        registers = statistics.registers.hex()
        return {
            "kind": "ids",
            "rows": statistics.rows,
            "missing": statistics.missing,
            **held,
            "registers": registers,
        }
    return {"kind": "rows", "rows": statistics.rows, "missing": statistics.missing}


def _statistics(archive: zipfile.ZipFile, document: Mapping[str, Any]) -> Any:
    kind = document["kind"]
    if kind == "summary":
        with pa.ipc.open_file(pa.BufferReader(archive.read(document["file"]))) as reader:
            return Summary.from_table(reader.read_all(), document["file"])
    if kind == "levels":
        counts, first = (np.array(document[part], np.int64) for part in ("counts", "first_rows"))
        return CategoryCounts(document["type"], document["rows"], tuple(document["levels"]), counts, first)
    if kind == "lowest":
        return Lowest(document["rows"], document["value"])
    if kind == "ids":
        held = {part: document[part] for part in ("rows", "missing", "least", "most", "step")}
        return IdStatistics(**held, registers=bytes.fromhex(document["registers"]))
    return RowCount(document["rows"], document["missing"])

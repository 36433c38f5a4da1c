"""Folders that gpuvgm wrote: their manifests, and refusal of files that differ from what the manifest says."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gpuvgm.errors import InputError
from gpuvgm.io.checksums import Content
from gpuvgm.io.locations import Location
from gpuvgm.io.parquet import ParquetPart
from gpuvgm.io.paths import MANIFEST, Stamp

FORMAT = 2  # 1 had no checksum of the manifest itself
_CHECKSUM = "sha256"
_AGAIN = "write the folder again with resume=True (--resume)"
_AS_IT_IS = f"or remove {MANIFEST} to read what is there unchecked"
_PARTS = {"library", "asked", "done"}


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """What a manifest says of a file."""

    rows: int
    bytes: int
    sha256: str


def manifest_text(document: Mapping[str, Any]) -> bytes:
    """A manifest as it is written: with its format and a checksum of its own content."""
    whole = {"format": FORMAT, **document}
    return json.dumps(whole | {_CHECKSUM: _digest(whole)}, indent=1).encode()


def manifest_document(place: Location) -> dict[str, Any] | None:
    """A manifest of gpuvgm's; None for another program's.

    Raises
    ------
    InputError
        For one that is damaged or newer than this library.
    """
    body = place.read_bytes()
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as problem:
        raise _damaged(place, "no JSON") from problem
    if not isinstance(document, dict) or not _PARTS & document.keys():
        return None
    checksum = document.pop(_CHECKSUM, None)
    number = document.get("format")
    if isinstance(number, int) and number > FORMAT and document.get("library") == "gpuvgm":
        raise InputError(f"{place}: was written in format {number}, by a newer gpuvgm; install that")
    if number != 1 and (number != FORMAT or checksum != _digest(document)):
        raise _damaged(place, "its checksum does not fit")
    return document


def _digest(document: Mapping[str, Any]) -> str:
    """SHA-256 of what a manifest says, however it is laid out."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _damaged(place: Location, why: str) -> InputError:
    return InputError(
        f"{place}: damaged manifest ({why}), so the files beside it cannot be checked; write the rows to "
        f"another folder, {_AS_IT_IS}"
    )


def recorded_files(manifests: Sequence[Location], files: Mapping[Location, Stamp]) -> dict[Location, ManifestEntry]:
    """What manifests say of files; every file must be there with its size, and no other may lie beside it.

    Parameters
    ----------
    manifests : sequence of Location
        Manifests of folders that are read.
    files : mapping of Location to (int, int or str)
        The files, with their sizes.

    Raises
    ------
    InputError
        Naming the first file that is missing, not listed, or of another size; for manifests that are damaged, and
        folders that are unfinished.
    """
    found = {}
    for place in manifests:
        document = manifest_document(place)
        if document is not None:
            beside = {file.name: file for file in files if file.with_name(place.name) == place}
            found.update(_compared(place, _entries(place, document), beside, files))
    return found


def _entries(place: Location, document: Mapping[str, Any]) -> dict[str, ManifestEntry]:
    try:
        entries = {
            name: ManifestEntry(int(entry["rows"]), int(entry["bytes"]), str(entry["sha256"]))
            for name, entry in document["done"].items()
        }
        is_complete = document["complete"]
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        raise _damaged(place, "entries are missing") from problem
    if is_complete is not True:
        raise InputError(f"{place}: the folder is unfinished; go on with resume=True (--resume), {_AS_IT_IS}")
    return entries


def _compared(
    place: Location,
    entries: Mapping[str, ManifestEntry],
    beside: Mapping[str, Location],
    files: Mapping[Location, Stamp],
) -> dict[Location, ManifestEntry]:
    for name in sorted({*entries, *beside}):
        if name not in beside:
            raise InputError(f"{place.with_name(name)}: is missing; {_AGAIN}, {_AS_IT_IS}")
        if name not in entries:
            raise InputError(f"{beside[name]}: gpuvgm did not write it there; remove it, {_AS_IT_IS}")
        size, _ = files[beside[name]]
        if size != entries[name].bytes:
            raise InputError(
                f"{beside[name]}: has {size} bytes, {entries[name].bytes} were written; {_AGAIN}, {_AS_IT_IS}"
            )
    return {beside[name]: recorded for name, recorded in entries.items()}


def as_recorded(part: Any, recorded: Mapping[Location, ManifestEntry]) -> Any:
    """A file that is checked against its manifest, if it has one: its rows now, its bytes when they are read.

    Raises
    ------
    InputError
        For other rows.
    """
    expected = recorded.get(part.path)
    if expected is None or not isinstance(part, ParquetPart):
        return part
    if part.rows != expected.rows:
        raise InputError(f"{part.path}: holds {part.rows} rows, {expected.rows} were written; {_AGAIN}, {_AS_IT_IS}")
    if not isinstance(part.path, Path):
        return part
    return replace(part, content=Content(expected.bytes, expected.sha256, f"{_AGAIN}, {_AS_IT_IS}"))

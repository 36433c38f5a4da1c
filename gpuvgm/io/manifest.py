"""Manifests of folders and runs: what a folder holds, what a run reads and was asked for, and what of it is done."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gpuvgm
from gpuvgm.errors import InputError, SourceChangedError, counted
from gpuvgm.io.checksums import Content
from gpuvgm.io.locations import Location, location_of, open_binary, write_bytes
from gpuvgm.io.parquet import ParquetPart
from gpuvgm.io.plain_json import plain

#: Lies beside the files of a folder that gpuvgm wrote; readers of folders skip names that begin with "_" or ".".
MANIFEST = "_manifest.json"
MANIFESTS = re.compile(r"_manifest(\.\d+)?\.json")  # runs that generate files of one folder have one each
#: Size, and time of change in nanoseconds; of files in stores the ETag, or what stands for it.
Stamp = tuple[int, int | str]

FORMAT = 2
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
    return json.dumps(whole | {_CHECKSUM: _digest_of_document(whole)}, indent=1).encode()


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
    if number != FORMAT or checksum != _digest_of_document(document):
        raise _damaged(place, "its checksum does not fit")
    return document


def _digest_of_document(document: Mapping[str, Any]) -> str:
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
    listed: dict[str, tuple[Location, dict[str, ManifestEntry]]] = {}
    for place in manifests:
        document = manifest_document(place)
        if document is not None:
            listed.setdefault(str(place).removesuffix(place.name), (place, {}))[1].update(
                _file_entries(place, document)
            )
    found = {}
    for place, entries in listed.values():
        folders = {"", *(name.rpartition("/")[0] for name in entries)}
        names = ((name_below(place, file), file) for file in files)
        below = {name: file for name, file in names if name and name.rpartition("/")[0] in folders}
        found.update(_compared(place, entries, below, files))
    return found


def name_below(place: Location, file: Location) -> str | None:
    """Name of a file in the folder of a manifest, or in a folder of that; None for one that lies elsewhere."""
    if isinstance(place, Path) and isinstance(file, Path):
        return file.relative_to(place.parent).as_posix() if file.is_relative_to(place.parent) else None
    if isinstance(place, Path) or isinstance(file, Path):
        return None
    folder = place.path.removesuffix(place.name)
    return file.path.removeprefix(folder) if file.path.startswith(folder) and place.shares_store(file) else None


def _file_entries(place: Location, document: Mapping[str, Any]) -> dict[str, ManifestEntry]:
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
            raise InputError(f"{str(place).removesuffix(place.name)}{name}: is missing; {_AGAIN}, {_AS_IT_IS}")
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
        held = counted(sum(part.group_rows), "row")
        raise InputError(f"{part.path}: holds {held}, {expected.rows:,} were written; {_AGAIN}, {_AS_IT_IS}")
    if not isinstance(part.path, Path):
        return part
    return replace(part, content=Content(expected.bytes, expected.sha256, f"{_AGAIN}, {_AS_IT_IS}"))


NAME = "manifest.json"


@dataclass(slots=True)
class Manifest:
    """A manifest and where it lies.

    Parameters
    ----------
    place : Location
        The file.
    asked : dict
        What decides the result: the command, model, options and inputs.
    done : dict
        What is there already: by name of the file, its size, SHA-256 and more.
    complete : bool
        Whether all of it is.
    """

    place: Location
    asked: dict[str, Any]
    done: dict[str, dict[str, Any]]
    complete: bool = False

    def write(self) -> None:
        """Write it; the old one is there until the new one is."""
        header = {"library": "gpuvgm", "version": gpuvgm.__version__}
        document = {**header, "complete": self.complete, "asked": self.asked, "done": self.done}
        write_bytes(self.place, manifest_text(plain(document, "manifest")))

    def add(self, name: str, entry: Mapping[str, Any]) -> None:
        """Note what is done."""
        self.done[name] = dict(entry)
        self.write()


def read_manifest(place: Location) -> Manifest | None:
    """A manifest that was written there; None where there is none, or no whole one."""
    try:
        document = manifest_document(place)
        if document is None or document["library"] != "gpuvgm":
            return None
        return Manifest(place, document["asked"], document["done"], document["complete"])
    except (OSError, InputError, KeyError):
        return None


def refuse_other_run(
    found: Manifest, asked: Mapping[str, Any], name: str, otherwise: str = "run without resume=True"
) -> None:
    """Refuse to go on with a run that read or did something else; the message says what to do otherwise.

    Raises
    ------
    SourceChangedError
        For inputs that are other ones now, naming the first.
    InputError
        For another command, model or options.
    """
    wanted = json.loads(json.dumps(plain(asked, "manifest")))
    known = json.loads(json.dumps(plain(found.asked, "manifest")))
    if known.get("inputs") != wanted.get("inputs"):
        raise SourceChangedError(f"{name}: {changed_input(known['inputs'], wanted['inputs'])}; {otherwise}")
    for key in sorted({*known, *wanted}):
        if known.get(key) != wanted.get(key):
            raise InputError(
                f"{name}: the run to resume had {key} {known.get(key)!r}, this one has {wanted.get(key)!r}; run as "
                f"before, or {otherwise}"
            )


def changed_input(known: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """What is different about the inputs, in words."""
    old = {file["name"]: file for file in known.get("files", ())}
    new = {file["name"]: file for file in found.get("files", ())}
    for name in [*old, *new]:
        if name not in new:
            return f"{name} was removed since the run began"
        if name not in old:
            return f"{name} was added since the run began"
        if old[name] != new[name]:
            what = "size" if old[name]["bytes"] != new[name]["bytes"] else "contents or time of change"
            return f"{name} was changed since the run began ({what})"
    return "the source is another one than that of the run that began"


def digest_of_file(location: Location) -> tuple[int, str]:
    """Size and SHA-256 of a file."""
    with open_binary(location) as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        return file.tell(), sha256


def still_fits(location: Location, entry: Mapping[str, Any]) -> bool:
    """Whether a file is the one that a manifest lists."""
    try:
        return location.exists() and digest_of_file(location) == (entry["bytes"], entry["sha256"])
    except (OSError, InputError):
        return False


def inside(folder: Location, name: str) -> Location:
    """A file of a folder."""
    return folder / name if isinstance(folder, Path) else location_of(f"{str(folder).rstrip('/')}/{name}")

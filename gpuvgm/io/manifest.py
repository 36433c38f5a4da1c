"""Manifests of folders and runs: the files of a folder, the inputs and options of a run, and its progress."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import gpuvgm
from gpuvgm.errors import InputError, SourceChangedError, counted
from gpuvgm.io.checksums import Content
from gpuvgm.io.locations import Location, open_binary, write_bytes
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
    """Entry of a file in a manifest."""

    rows: int
    bytes: int
    sha256: str


def manifest_text(document: Mapping[str, Any]) -> bytes:
    """A manifest as text, with its format and a checksum of its content."""
    content = {"format": FORMAT, **document}
    return json.dumps(content | {_CHECKSUM: _digest_of_document(content)}, indent=1).encode()


def manifest_document(place: Location) -> dict[str, Any] | None:
    """A manifest of gpuvgm as a document; None for one of another program.

    Raises
    ------
    InputError
        For one that is damaged or newer than this library.
    """
    body = place.read_bytes()
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as problem:
        raise _damage_error(place, "no JSON") from problem
    if not isinstance(document, dict) or not _PARTS & document.keys():
        return None
    checksum = document.pop(_CHECKSUM, None)
    number = document.get("format")
    if isinstance(number, int) and number > FORMAT and document.get("library") == "gpuvgm":
        raise InputError(f"{place}: was written in format {number}, by a newer gpuvgm; install that")
    if number != FORMAT or checksum != _digest_of_document(document):
        raise _damage_error(place, "its checksum does not fit")
    return document


def _digest_of_document(document: Mapping[str, Any]) -> str:
    """SHA-256 of a manifest's content, however it is laid out."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _damage_error(place: Location, fault: str) -> InputError:
    return InputError(
        f"{place}: damaged manifest ({fault}), so the files beside it cannot be checked; write the rows to "
        f"another folder, {_AS_IT_IS}"
    )


def recorded_files(manifests: Sequence[Location], files: Mapping[Location, Stamp]) -> dict[Location, ManifestEntry]:
    """Entries of files in manifests; every file must exist with its size, and the folder holds no other.

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
    by_folder: dict[str, tuple[Location, dict[str, ManifestEntry]]] = {}
    for place in manifests:
        document = manifest_document(place)
        if document is not None:
            by_folder.setdefault(str(place).removesuffix(place.name), (place, {}))[1].update(
                _file_entries(place, document)
            )
    entries_of_files = {}
    for place, entries in by_folder.values():
        folders = {"", *(name.rpartition("/")[0] for name in entries)}
        names = ((_name_below(place, file), file) for file in files)
        folder_files = {name: file for name, file in names if name and name.rpartition("/")[0] in folders}
        entries_of_files.update(_match_entries(place, entries, folder_files, files))
    return entries_of_files


def _name_below(place: Location, file: Location) -> str | None:
    """Name of a file relative to the folder of a manifest; None for one that lies elsewhere."""
    if isinstance(place, Path) and isinstance(file, Path):
        return file.relative_to(place.parent).as_posix() if file.is_relative_to(place.parent) else None
    return None if isinstance(place, Path) or isinstance(file, Path) else file.name_from(place)


def _file_entries(place: Location, document: Mapping[str, Any]) -> dict[str, ManifestEntry]:
    try:
        entries = {
            name: ManifestEntry(int(entry["rows"]), int(entry["bytes"]), str(entry["sha256"]))
            for name, entry in document["done"].items()
        }
        is_complete = document["complete"]
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        raise _damage_error(place, "entries are missing") from problem
    if is_complete is not True:
        raise InputError(f"{place}: the folder is unfinished; go on with resume=True (--resume), {_AS_IT_IS}")
    return entries


def _match_entries(
    place: Location,
    entries: Mapping[str, ManifestEntry],
    folder_files: Mapping[str, Location],
    files: Mapping[Location, Stamp],
) -> dict[Location, ManifestEntry]:
    for name in sorted({*entries, *folder_files}):
        if name not in folder_files:
            raise InputError(f"{str(place).removesuffix(place.name)}{name}: is missing; {_AGAIN}, {_AS_IT_IS}")
        if name not in entries:
            raise InputError(f"{folder_files[name]}: gpuvgm did not write it there; remove it, {_AS_IT_IS}")
        size, _ = files[folder_files[name]]
        if size != entries[name].bytes:
            raise InputError(
                f"{folder_files[name]}: has {size} bytes, {entries[name].bytes} were written; {_AGAIN}, {_AS_IT_IS}"
            )
    return {folder_files[name]: entry for name, entry in entries.items()}


def as_recorded(part: Any, recorded: Mapping[Location, ManifestEntry]) -> Any:
    """A file that is checked against its manifest entry, if any: its rows now, its bytes before reading.

    Raises
    ------
    InputError
        For other rows.
    """
    entry = recorded.get(part.path)
    if entry is None or not isinstance(part, ParquetPart):
        return part
    if part.rows != entry.rows:
        count = counted(sum(part.group_rows), "row")
        raise InputError(f"{part.path}: holds {count}, {entry.rows:,} were written; {_AGAIN}, {_AS_IT_IS}")
    if not isinstance(part.path, Path):
        return part
    return replace(part, content=Content(entry.bytes, entry.sha256, f"{_AGAIN}, {_AS_IT_IS}"))


NAME = "manifest.json"


@dataclass(slots=True)
class Manifest:
    """A manifest and its place.

    Parameters
    ----------
    place : Location
        The file.
    asked : dict
        All that determines the result: the command, model, options and inputs.
    done : dict
        Finished files by name, with size, SHA-256 and more.
    complete : bool
        Whether all files are finished.
    """

    place: Location
    asked: dict[str, Any]
    done: dict[str, dict[str, Any]]
    complete: bool = False

    def write(self) -> None:
        """Write the manifest; the old one stays until the new one is complete."""
        header = {"library": "gpuvgm", "version": gpuvgm.__version__}
        document = {**header, "complete": self.complete, "asked": self.asked, "done": self.done}
        write_bytes(self.place, manifest_text(plain(document, "manifest")))

    def add(self, name: str, entry: Mapping[str, Any]) -> None:
        """Record a finished file."""
        self.done[name] = dict(entry)
        self.write()

    @classmethod
    def read(cls, place: Location) -> Self | None:
        """Read a manifest; None where there is none, or it is damaged."""
        try:
            document = manifest_document(place)
            if document is None or document["library"] != "gpuvgm":
                return None
            return cls(place, document["asked"], document["done"], document["complete"])
        except (OSError, InputError, KeyError):
            return None

    def still_fits(self, folder: Location, name: str) -> bool:
        """Return whether a file of a folder is the one that the manifest lists."""
        file, entry = folder / name, self.done[name]
        try:
            return file.exists() and digest_of_file(file) == (entry["bytes"], entry["sha256"])
        except (OSError, InputError):
            return False

    def refuse_other_run(self, asked: Mapping[str, Any], name: str, otherwise: str = "run without resume=True") -> None:
        """Refuse to resume a run that had other inputs or options.

        Raises
        ------
        SourceChangedError
            For inputs that are other ones now, naming the first.
        InputError
            For another command, model or options.
        """
        # As JSON gives them back, with lists for tuples and text for keys.
        request = json.loads(json.dumps(plain(asked, "manifest")))
        original = json.loads(json.dumps(plain(self.asked, "manifest")))
        if original.get("inputs") != request.get("inputs"):
            raise SourceChangedError(f"{name}: {changed_input(original['inputs'], request['inputs'])}; {otherwise}")
        for key in sorted({*original, *request}):
            if original.get(key) != request.get(key):
                raise InputError(
                    f"{name}: the run to resume had {key} {original.get(key)!r}, this one has {request.get(key)!r}; "
                    f"run as before, or {otherwise}"
                )


def changed_input(original: Mapping[str, Any], current: Mapping[str, Any]) -> str:
    """Describe the first difference between the inputs of two runs."""
    old = {file["name"]: file for file in original.get("files", ())}
    new = {file["name"]: file for file in current.get("files", ())}
    for name in [*old, *new]:
        if name not in new:
            return f"{name} was removed since the run began"
        if name not in old:
            return f"{name} was added since the run began"
        if old[name] != new[name]:
            difference = "size" if old[name]["bytes"] != new[name]["bytes"] else "contents or time of change"
            return f"{name} was changed since the run began ({difference})"
    return "the source is another one than that of the run that began"


def digest_of_file(location: Location) -> tuple[int, str]:
    """Size and SHA-256 of a file."""
    with open_binary(location) as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        return file.tell(), sha256

"""Manifests: what a run reads, what it was asked for, and what of it is done; rewritten as one after every step."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gpuvgm
from gpuvgm.errors import InputError, SourceChangedError
from gpuvgm.io import Location, location_of, manifest_document, manifest_text, open_binary, write_bytes
from gpuvgm.io.plain_json import plain

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


def refuse_other_run(found: Manifest, asked: Mapping[str, Any], name: str) -> None:
    """Refuse to go on with a run that read or did something else.

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
        raise SourceChangedError(f"{name}: {changed_input(known['inputs'], wanted['inputs'])}; run without resume=True")
    for key in sorted({*known, *wanted}):
        if known.get(key) != wanted.get(key):
            raise InputError(
                f"{name}: the run to resume had {key} {known.get(key)!r}, this one has {wanted.get(key)!r}; run as "
                "before, or without resume=True"
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


def digest_of(location: Location) -> tuple[int, str]:
    """Size and SHA-256 of a file."""
    with open_binary(location) as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        return file.tell(), sha256


def still_fits(location: Location, entry: Mapping[str, Any]) -> bool:
    """Whether a file is the one that a manifest lists."""
    try:
        return location.exists() and digest_of(location) == (entry["bytes"], entry["sha256"])
    except (OSError, InputError):
        return False


def inside(folder: Location, name: str) -> Location:
    """A file of a folder."""
    return folder / name if isinstance(folder, Path) else location_of(f"{str(folder).rstrip('/')}/{name}")

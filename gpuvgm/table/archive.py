"""Members of a model, read from a folder, a zip or a store: sizes and checksums hold, or the file is refused."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, cast

import gpuvgm
from gpuvgm.errors import ModelFileError
from gpuvgm.io import Location, RemoteFile
from gpuvgm.io.plain_json import from_plain

FORMAT = 4
SUFFIX = ".gpuvgm"
MODEL, MANIFEST = "model.json", "manifest.json"
MOST_MANIFEST_BYTES = 1 << 24
#: A zip may hold this many bytes, or this many times its own size.
LEAST_ZIP_BOUND, MOST_ZIP_RATIO = 1 << 26, 200
#: A model in a store is read into memory, and no more than this.
MOST_REMOTE_BYTES = 1 << 30

_MEMBER = re.compile(r"model\.json|summaries/[0-9]{1,9}\.arrow")

Reader = Callable[[str, int], bytes]  # a member's name and the most bytes it may have


def opened_file(target: Location) -> tuple[BinaryIO, int]:
    """A model's one file, and its size."""
    if isinstance(target, RemoteFile):
        entry = target.entry()
        if entry is None:
            raise _no_model(target)
        if entry.is_folder:
            raise ModelFileError(f"{target}: is a folder; a model at a URL is one file ending in {SUFFIX}")
        if entry.size > MOST_REMOTE_BYTES:
            raise ModelFileError(f"{target}: has {entry.size:,} bytes; this is no model of gpuvgm")
        return cast(BinaryIO, io.BytesIO(target.read_range(0, entry.size) if entry.size else b"")), entry.size
    if not target.is_file():
        raise _no_model(target)
    file = target.open("rb")
    return file, os.fstat(file.fileno()).st_size


def _no_model(target: Location) -> ModelFileError:
    return ModelFileError(f"{target}: there is no model; write one with save() or `gpuvgm fit`")


def listed_files(target: Location, body: bytes) -> dict[str, tuple[int, str]]:
    """Size and SHA-256 of every file that the manifest lists."""
    document = parsed(target, MANIFEST, body)
    if document.get("library") != "gpuvgm":
        raise ModelFileError(f"{target}: its {MANIFEST} is not that of a gpuvgm model")
    check_format(target, document.get("format"))
    try:
        listed = {str(name): (entry["size"], entry["sha256"]) for name, entry in document["files"].items()}
        if not all(type(size) is int and size >= 0 and isinstance(digest, str) for size, digest in listed.values()):
            raise ValueError
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelFileError(f"{target}: {MANIFEST} is damaged; copy the model again") from error
    wrong = [name for name in listed if not _MEMBER.fullmatch(name)]
    if wrong or MODEL not in listed:
        raise ModelFileError(f"{target}: {MANIFEST} lists {(wrong or ['no ' + MODEL])[0]!r}; the model was changed")
    return listed


def check_format(target: Location, found: object) -> None:
    """Refuse a format number that this library does not know."""
    if not isinstance(found, int) or found < 1:
        raise ModelFileError(f"{target}: no valid format number ({found!r}); the model was changed")
    if found > FORMAT:
        raise ModelFileError(
            f"{target}: written by a newer gpuvgm (format {found}; version {gpuvgm.__version__} reads up to {FORMAT}): "
            "pip install --upgrade gpuvgm"
        )


def parsed(target: Location, name: str, body: bytes) -> dict[str, Any]:
    """A member that is JSON."""
    try:
        document = json.loads(body, object_hook=from_plain, parse_constant=_refuse_constant)
    except (ValueError, TypeError, RecursionError) as error:
        raise ModelFileError(f"{target}: {name} is damaged ({error}); copy the model again") from error
    if not isinstance(document, dict):
        raise ModelFileError(f"{target}: {name} is damaged; copy the model again")
    return document


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def verified(target: Location, name: str, entry: tuple[int, str], read: Reader) -> bytes:
    """A member whose size and SHA-256 are those of the manifest."""
    size, digest = entry
    body = read(name, size)
    if len(body) < size:
        raise ModelFileError(f"{target}: {name} is truncated ({len(body)} of {size} bytes); copy the model again")
    if len(body) > size or hashlib.sha256(body).hexdigest() != digest:
        raise ModelFileError(f"{target}: {name} was changed after it was written (its SHA-256 differs); copy it again")
    return body


def read_file(folder: Path, name: str, most: int) -> bytes:
    """A member of a folder, and no more than one byte above what it may have."""
    try:
        with _opened(folder, name) as file:
            return file.read(most + 1)
    except FileNotFoundError:
        if name == MANIFEST:
            raise ModelFileError(f"{folder}: no gpuvgm model, {MANIFEST} is not there") from None
        raise ModelFileError(f"{folder}: {name} is missing; copy the model again") from None


def _opened(folder: Path, name: str) -> BinaryIO:
    """An ordinary file that lies in the folder; nothing else is opened, since a pipe would wait for ever."""
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ModelFileError(f"{folder}: {name} is a link to elsewhere; copy the model again")
    if not stat.S_ISREG(path.stat().st_mode):
        what = "no ordinary file (a folder, pipe, socket or device)"
        raise ModelFileError(f"{folder}: {name} is {what}; copy the model again")
    return open(path, "rb", opener=lambda place, flags: os.open(place, flags | os.O_NONBLOCK))


def zip_reader(target: Location, archive: zipfile.ZipFile, size: int) -> Reader:
    """Reads members by name, none of them to disk, and no more than a model can hold."""
    names = archive.namelist()
    if len(names) != len(set(names)):
        raise ModelFileError(f"{target}: holds a file twice; the model was changed")
    bound = max(LEAST_ZIP_BOUND, MOST_ZIP_RATIO * size)
    if sum(member.file_size for member in archive.infolist()) > bound:
        raise ModelFileError(f"{target}: would unpack to more than {bound:,} bytes; this is no model of gpuvgm")

    def read(name: str, most: int) -> bytes:
        if name not in names:
            missing = "no gpuvgm model, " if name == MANIFEST else ""
            raise ModelFileError(f"{target}: {missing}{name} is missing; copy the model again")
        try:
            with archive.open(name) as member:
                return member.read(min(most, bound) + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
            raise ModelFileError(f"{target}: {name} is damaged ({error}); copy the model again") from error

    return read

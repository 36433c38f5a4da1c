"""Models on disk: one directory or one zip of JSON and Arrow files, checksummed, without pickle; in stores, a zip.

A model is ``model.json``, optional ``summaries/<i>.arrow``, ``network.arrow`` of a synthesizer, and ``manifest.json``,
which lists size and SHA-256 of the others. It is written beside its name and renamed, and read back bit for bit or
refused.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, BinaryIO, ClassVar, NoReturn, Self, cast

import pyarrow as pa

import gpuvgm
from gpuvgm.arrow_bytes import ArrowBytes
from gpuvgm.columns import TableModel
from gpuvgm.errors import InputError, ModelFileError, pip_command
from gpuvgm.files import partial_of, replace_folder
from gpuvgm.io import (
    Location,
    check_folder_of,
    from_plain,
    location_of,
    naming_file,
    plain,
    write_bytes,
)
from gpuvgm.records import LARGEST_WHOLE, read_as, refuse
from gpuvgm.rules import whole
from gpuvgm.shortage import ARROW_PROBLEMS, reason
from gpuvgm.summary import Summary

FORMAT = 28
MODEL, MANIFEST, NETWORK = "model.json", "manifest.json", "network.arrow"
MOST_MANIFEST_BYTES = 1 << 24  # no checksum says how long the manifest itself is
#: A zip may hold this many bytes, or this many times its own size.
#: A model in a store is read into memory, and no more than this.
MOST_REMOTE_BYTES = 1 << 30
_MOST_DEPTH = 32  # of lists and objects in each other

_MEMBER = re.compile(r"model\.json|network\.arrow|summaries/[0-9]{1,9}\.arrow")

_Reader = Callable[[str, int], bytes]  # a member's name and the most bytes it may have


@dataclass(frozen=True, slots=True)
class _Spec:
    name: str
    kind: str
    reason: str
    options: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Document:
    """The document of a model file: declared columns, fitted columns and their origin."""

    format: Annotated[int, whole(1)]
    library: str
    version: str
    created: str
    settings: dict[str, Any]
    schema: tuple[_Spec, ...]
    seed: Annotated[int, whole(0, 2**64 - 1)]
    rows: int
    source: dict[str, Any]
    columns: tuple[Any, ...]
    summaries: dict[str, str]
    failed: dict[str, str]


MODEL_KEY = "gpuvgm.model"  # metadata of encoded files: the fingerprint of the model
NAMES_KEY = "gpuvgm.names"  # the template of the columns' names, where it is another than the default
_FOREIGN = re.compile(r"\.(?!gpuvgm$)[A-Za-z]\w*")  # an ending, and no number of a version


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model on disk or in a store, or the place of one.

    Parameters
    ----------
    place : Location
        A zip if its name ends in ``.gpuvgm``, else a directory.
    """

    place: Location
    SUFFIX: ClassVar[str] = ".gpuvgm"

    @classmethod
    def at(cls, path: str | os.PathLike[str]) -> Self:
        """The model of a path or URL."""
        return cls(location_of(path))

    @property
    def name(self) -> str:
        """Its name without the ending."""
        return self.place.name.removesuffix(self.SUFFIX)

    @property
    def unfinished(self) -> Location:
        """Place of the fitted columns of a fit in which other columns failed."""
        return self.place.with_name(f"{self.name}.unfinished{self.SUFFIX}")

    @property
    def is_local(self) -> bool:
        """Whether a model is on this machine, by the ending of a file or the manifest of a folder."""
        if not isinstance(self.place, Path):
            return False
        return self.place.suffix == self.SUFFIX if self.place.is_file() else (self.place / MANIFEST).is_file()

    def save(self, fitted: TableModel, load: Callable[[TableModel], object] = lambda _: None) -> None:
        """Write a model. The bytes are read as a model before anything is written.

        Parameters
        ----------
        fitted : TableModel
            The model; nothing appears under the name before everything is written.
        load : callable
            What loading makes of the model; nothing is written where it fails.

        Raises
        ------
        InputError
            When something is there that is no model, a setting is no JSON, or the model could not be read again.
        """
        self.check_target()
        target, files = self.place, _files_of(fitted)
        try:
            load(_read_model(target, lambda name, _: files[name]))
        except ModelFileError as problem:
            raise InputError(
                f"{target}: not written, as it could not be read again: {problem.__cause__ or problem}; "
                "please report it"
            ) from problem
        if not isinstance(target, Path) or target.suffix == self.SUFFIX:
            write_bytes(target, zipped(files))
            return
        final = Path(os.path.realpath(target))
        with naming_file(target), partial_of(final, folder=True) as partial:
            for name, body in files.items():
                (partial / name).parent.mkdir(exist_ok=True)
                write_bytes(partial / name, body)
            replace_folder(partial, final)

    @staticmethod
    def packed(fitted: TableModel) -> bytes:
        """A model as the bytes of a file, which another model holds."""
        return zipped(_files_of(fitted))

    def unpacked(self, body: bytes) -> TableModel:
        """A model that this one holds, of what `packed` gave."""
        return _zipped_model(self.place, io.BytesIO(body), len(body))

    def check_target(self) -> None:
        """Refuse a place that `save` would refuse, before the work is done.

        Raises
        ------
        InputError
            Where the folder does not exist, or something is there that is no model.
        """
        target = self.place
        if not isinstance(target, Path):
            if target.suffix != self.SUFFIX:
                raise InputError(f"{target}: a model at a URL is one file: give it a name that ends in {self.SUFFIX}")
            target.refuse_read_only()
            entry = target.entry()
            if entry is not None and entry.is_folder:
                raise InputError(f"{target}: is a folder; a name ending in {self.SUFFIX} is written as one file")
            return
        if _FOREIGN.fullmatch(target.suffix) and not target.exists():
            form = f"a file ending in {self.SUFFIX}, or a folder without an ending"
            raise InputError(f"{target}: a model is {form}: name it {target.stem}{self.SUFFIX}")
        check_folder_of(target)
        if target.exists():
            _check_replaceable(target)

    def load(self) -> TableModel:
        """Read a model that `save` wrote.

        Raises
        ------
        ModelFileError
            Where there is no model, or it is damaged, truncated, tampered with or newer; the message says which.
        """
        # A save may replace the model meanwhile, so that files of two models were read: then it is read once more.
        for _ in range(2):
            identity = _identity(self.place)
            try:
                return _model_at(self.place)
            except (ModelFileError, FileNotFoundError):
                if _identity(self.place) == identity:
                    raise
        raise ModelFileError(
            f"{self.place}: the model was replaced while it was read, twice; load it when it is complete"
        )


def _identity(target: Location) -> tuple[int, int] | None:
    """Inode and time of a local model, which another model of its name does not share; None if there is none."""
    try:
        status = target.stat() if isinstance(target, Path) else None
    except OSError:
        return None
    return status and (status.st_ino, status.st_mtime_ns)


def _model_at(target: Location) -> TableModel:
    if isinstance(target, Path) and target.is_dir():
        folder = target
        return _read_model(target, lambda name, most: _read_file(folder, name, most))
    return _zipped_model(target, *_open_file(target))


def _zipped_model(target: Location, file: BinaryIO, size: int) -> TableModel:
    try:
        with file, zipfile.ZipFile(file) as archive:
            return _read_model(target, _zip_reader(target, archive, size), archive.namelist())
    except ModelFileError:
        raise
    except (zipfile.BadZipFile, EOFError, NotImplementedError, ValueError, struct.error, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # a damaged directory points outside the file
            raise
        raise ModelFileError(
            f"{target}: no model of gpuvgm, or truncated or damaged ({error}); give what fit wrote, or copy it again"
        ) from error


# -- the files of a model


def _files_of(fitted: TableModel) -> dict[str, bytes]:
    names = {column: f"summaries/{i}.arrow" for i, column in enumerate(fitted.summaries)}
    document = {
        "format": FORMAT,
        "library": "gpuvgm",
        "version": gpuvgm.__version__,
        "created": _time_of_writing().isoformat(timespec="seconds"),
        "settings": fitted.settings,
        "schema": fitted.schema.to_json(),
        "seed": fitted.seed,
        "rows": fitted.rows,
        "source": fitted.source,
        "columns": [column.to_json() for column in fitted.columns],
        "summaries": names,
        "failed": fitted.failed,
    }
    files = {MODEL: json.dumps(plain(document), allow_nan=False, ensure_ascii=False).encode()}
    files |= {name: arrow_file(fitted.summaries[column]) for column, name in names.items()}
    files |= {NETWORK: fitted.network} if fitted.network else {}
    entries = {name: {"sha256": hashlib.sha256(body).hexdigest(), "size": len(body)} for name, body in files.items()}
    manifest = {"library": "gpuvgm", "format": FORMAT, "files": entries}
    return {**files, MANIFEST: json.dumps(manifest, indent=1).encode()}


def arrow_file(summary: Summary) -> bytes:
    """A summary as the bytes of an Arrow file."""
    sink = pa.BufferOutputStream()
    summary.write(sink)
    return sink.getvalue().to_pybytes()


def _time_of_writing() -> datetime:
    """Time that a model file has: SOURCE_DATE_EPOCH, with which builds can be repeated to the byte, or now.

    Raises
    ------
    InputError
        For an epoch that is none.
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    try:
        return datetime.now(UTC) if epoch is None else datetime.fromtimestamp(int(epoch), UTC)
    except (ValueError, OverflowError, OSError):
        raise InputError(f'SOURCE_DATE_EPOCH="{epoch}": give whole seconds since 1970, or leave it out') from None


def zipped(files: Mapping[str, bytes]) -> bytes:
    """Files as one zip; its entries have no time, so that equal files give equal bytes."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for name, body in files.items():
            archive.writestr(zipfile.ZipInfo(name), body, zipfile.ZIP_DEFLATED)
    return sink.getvalue()


def _check_replaceable(target: Path) -> None:
    if target.suffix == ModelFile.SUFFIX:
        if target.is_dir():
            raise InputError(f"{target}: is a folder; a name ending in {ModelFile.SUFFIX} is written as one file")
        return
    if not target.is_dir():
        raise InputError(f"{target}: is a file and no model; a name without {ModelFile.SUFFIX} is written as a folder")
    names = {part.relative_to(target).as_posix() for part in target.rglob("*") if not part.is_dir()}
    try:
        files = {MANIFEST, *_entries_of(target, _read_file(target, MANIFEST, MOST_MANIFEST_BYTES))} if names else set()
    except ModelFileError:
        raise InputError(f"{target}: a folder that is no gpuvgm model is not replaced; choose another name") from None
    if names - files:
        raise InputError(f"{target}: also holds {min(names - files)}, which a model does not; choose another name")


# -- reading


def _read_model(target: Location, read_member: _Reader, names: list[str] | None = None) -> TableModel:
    entries = _entries_of(target, read_member(MANIFEST, MOST_MANIFEST_BYTES))
    foreign = sorted(set(names or ()) - {MANIFEST, *entries})
    if foreign:
        raise ModelFileError(f"{target}: holds {foreign[0]!r}, which its manifest does not list; the file was changed")
    bodies = {name: _checked_body(target, name, entry, read_member) for name, entry in entries.items()}
    document = _json_member(target, MODEL, bodies[MODEL])
    _check_format(target, document.get("format"))
    try:
        return _fitted_table(target, document, bodies)
    except ModelFileError:
        raise
    except (LookupError, TypeError, ValueError, ArithmeticError, RecursionError, *ARROW_PROBLEMS) as error:
        detail = str(error) if type(error) in (ValueError, InputError) else f"{type(error).__name__}: {error}"
        raise ModelFileError(f"{target}: {MODEL} is inconsistent ({detail}); write the model again") from error


def _fitted_table(target: Location, document: dict[str, Any], bodies: Mapping[str, bytes]) -> TableModel:
    _check_plain(document)
    read_as(_Document, document, "the model")
    model = TableModel.from_json(document)
    summaries = {}
    for name, file in document["summaries"].items():
        summaries[name] = Summary.from_bytes(bodies[file], f"{target}: {file}")
        if name not in model.by_name:
            raise ValueError(f'there is a summary of "{name}", which is no column of numbers')
        model[name].check_summary(summaries[name])
    return replace(model, summaries=summaries, network=bodies.get(NETWORK, b""))


def _check_plain(document: Any) -> None:
    """Refuse deep nesting, and text and integers that cannot be written or shown."""
    values = [document]
    for _ in range(_MOST_DEPTH):
        values = [part for value in values for part in _plain_parts(value)]
        if not values:
            return
    raise ValueError("the model is nested too deeply")


def _plain_parts(value: Any) -> list[Any]:
    """Check a value, and return its parts."""
    if isinstance(value, dict):
        for name in value:
            read_as(str, name, "a name")
        return list(value.values())
    if isinstance(value, str):
        read_as(str, value, "a text")
    elif isinstance(value, int) and abs(value) > LARGEST_WHOLE + 1:
        refuse(value, "a value", "a whole number of at most 38 digits")
    return value if isinstance(value, list) else []


# -- the members of a folder, a zip or a store: sizes and checksums hold, or the file is refused


def _open_file(target: Location) -> tuple[BinaryIO, int]:
    """Open a model that is one file; also its size."""
    if not isinstance(target, Path):
        entry = target.entry()
        if entry is None:
            raise _no_model(target)
        if entry.is_folder:
            raise ModelFileError(f"{target}: is a folder; a model at a URL is one file ending in {ModelFile.SUFFIX}")
        if entry.size > MOST_REMOTE_BYTES:
            raise ModelFileError(f"{target}: has {entry.size:,} bytes; this is no model of gpuvgm")
        return cast(BinaryIO, io.BytesIO(target.read_range(0, entry.size) if entry.size else b"")), entry.size
    if not target.is_file():
        raise _no_model(target)
    file = target.open("rb")
    return file, os.fstat(file.fileno()).st_size


def _no_model(target: Location) -> ModelFileError:
    return ModelFileError(f"{target}: there is no model; write one with save(), `gpuvgm fit` or `gpuvgm train`")


def _entries_of(target: Location, body: bytes) -> dict[str, tuple[int, str]]:
    """Size and SHA-256 of every file that the manifest lists."""
    document = _json_member(target, MANIFEST, body)
    if document.get("library") != "gpuvgm":
        raise ModelFileError(f"{target}: its {MANIFEST} is not that of a gpuvgm model")
    _check_format(target, document.get("format"))
    try:
        entries = {str(name): (entry["size"], entry["sha256"]) for name, entry in document["files"].items()}
        if not all(type(size) is int and size >= 0 and isinstance(digest, str) for size, digest in entries.values()):
            raise ValueError
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelFileError(f"{target}: {MANIFEST} is damaged; copy the model again") from error
    invalid = [name for name in entries if not _MEMBER.fullmatch(name)]
    if invalid or MODEL not in entries:
        raise ModelFileError(f"{target}: {MANIFEST} lists {(invalid or ['no ' + MODEL])[0]!r}; the model was changed")
    return entries


def _check_format(target: Location, number: object) -> None:
    """Refuse a format number that this library does not know."""
    if not isinstance(number, int) or number < 1:
        raise ModelFileError(f"{target}: no valid format number ({number!r}); the model was changed")
    if number < FORMAT:
        raise ModelFileError(f"{target}: written by an older gpuvgm (format {number}, not {FORMAT}): fit again")
    if number > FORMAT:
        raise ModelFileError(
            f"{target}: written by a newer gpuvgm (format {number}; version {gpuvgm.__version__} reads {FORMAT}): "
            f"{pip_command('upgrade')}"
        )


def _json_member(target: Location, name: str, body: bytes) -> dict[str, Any]:
    """A member that is JSON."""
    try:
        document = json.loads(body, object_hook=from_plain, parse_constant=_refuse_constant)
    except (ValueError, TypeError, RecursionError) as error:
        raise ModelFileError(f"{target}: {name} is damaged ({reason(error)}); copy the model again") from error
    if not isinstance(document, dict):
        raise ModelFileError(f"{target}: {name} is damaged; copy the model again")
    return document


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _checked_body(target: Location, name: str, entry: tuple[int, str], read_member: _Reader) -> bytes:
    """Read a member, and check its size and SHA-256 against the manifest."""
    size, digest = entry
    body = read_member(name, size)
    if len(body) < size:
        raise ModelFileError(f"{target}: {name} is truncated ({len(body)} of {size} bytes); copy the model again")
    if len(body) > size or hashlib.sha256(body).hexdigest() != digest:
        raise ModelFileError(f"{target}: {name} was changed after it was written (its SHA-256 differs); copy it again")
    return body


def _read_file(folder: Path, name: str, most: int) -> bytes:
    """Read a member of a folder; one byte more than `most` shows that it is too long."""
    try:
        with _open_member(folder, name) as file:
            return file.read(most + 1)
    except FileNotFoundError:
        if name == MANIFEST:
            raise ModelFileError(f"{folder}: no gpuvgm model, {MANIFEST} is not there") from None
        raise ModelFileError(f"{folder}: {name} is missing; copy the model again") from None


def _open_member(folder: Path, name: str) -> BinaryIO:
    """Open an ordinary file of the folder; anything else is refused, as opening a pipe would wait for ever."""
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ModelFileError(f"{folder}: {name} is a link to elsewhere; copy the model again")
    if not stat.S_ISREG(path.stat().st_mode):
        kind = "no ordinary file (a folder, pipe, socket or device)"
        raise ModelFileError(f"{folder}: {name} is {kind}; copy the model again")
    # O_NONBLOCK, as the file may have become a pipe since.
    return open(path, "rb", opener=lambda place, flags: os.open(place, flags | getattr(os, "O_NONBLOCK", 0)))


def _zip_reader(target: Location, archive: zipfile.ZipFile, size: int) -> _Reader:
    """A reader of members by name, in memory, and of no more bytes than a model can hold."""
    names = archive.namelist()
    if len(names) != len(set(names)):
        raise ModelFileError(f"{target}: holds a file twice; the model was changed")
    bound = ArrowBytes.most_unpacked(size)
    if sum(member.file_size for member in archive.infolist()) > bound:
        raise ModelFileError(f"{target}: would unpack to more than {bound:,} bytes; this is no model of gpuvgm")

    def read(name: str, most: int) -> bytes:
        if name not in names:
            prefix = "no gpuvgm model, " if name == MANIFEST else ""
            raise ModelFileError(f"{target}: {prefix}{name} is missing; copy the model again")
        try:
            with archive.open(name) as member:
                return member.read(min(most, bound) + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
            raise ModelFileError(f"{target}: {name} is damaged ({reason(error)}); copy the model again") from error

    return read

"""Formats of files: which endings and first bytes they have, and what opens them.

A new format is a file of this folder with its `Part` and its `Format`, and a line of `FORMATS`; its endings leave
`FOREIGN_ENDINGS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from gpuvgm.errors import InputError
from gpuvgm.io.csv import CSV
from gpuvgm.io.ipc import IPC
from gpuvgm.io.json_lines import JSON_LINES
from gpuvgm.io.locations import Location, open_binary
from gpuvgm.io.parquet import PARQUET
from gpuvgm.io.remote import RemoteFile
from gpuvgm.io.source import Format, Part, TextOptions

FORMATS: tuple[Format, ...] = (
    PARQUET,
    CSV,
    IPC,
    JSON_LINES,
)
#: Endings of files that gpuvgm neither reads nor writes.
FOREIGN_ENDINGS = (
    *(".txt", ".xlsx", ".xlsm", ".xls", ".ods", ".sav", ".dta", ".xml", ".orc", ".avro", ".json", ".html", ".pkl"),
    *(".gz", ".zip", ".gpuvgm"),
)
#: Endings under which nobody looks for Parquet.
NOT_PARQUET = (*(ending for form in FORMATS if form is not PARQUET for ending in form.endings), *FOREIGN_ENDINGS)
READ_FORMATS = ", ".join(form.name for form in FORMATS if form.is_read)
READ_ENDINGS = ", ".join(ending for form in FORMATS if form.is_read for ending in form.endings)


def format_by_ending(path: PurePath | RemoteFile) -> Format | None:
    """The format that the ending of a name gives, in capital letters or small ones; None for an unknown ending."""
    name, suffix = path.name.lower(), path.suffix.lower()

    def is_ending(ending: str) -> bool:
        return name.endswith(ending) if ending.endswith(".gz") else suffix == ending

    return next((form for form in FORMATS if any(map(is_ending, form.endings))), None)


def format_of(path: Location) -> Format:
    """Format by the file's ending, or by its first bytes.

    Raises
    ------
    InputError
        When neither is known.
    """
    form = format_by_ending(path)
    if form is not None:
        return form
    with open_binary(path) as file:
        start = file.read(4)
    form = next((form for form in FORMATS if form.magic and form.magic == start), None)
    if form is None:
        raise InputError(f"{path}: unknown kind of file; known endings: {READ_ENDINGS}")
    return form


def open_parts(paths: Sequence[Location], text: TextOptions) -> list[Part]:
    """Open every file by its format, those of one format together; the order is kept.

    Raises
    ------
    InputError
        For files that are unknown or damaged, and for a delimiter where none is CSV.
    """
    by_format: dict[Format, list[Location]] = {}
    for path in paths:
        by_format.setdefault(format_of(path), []).append(path)
    if text.delimiter is not None and CSV not in by_format:
        raise InputError(f"{paths[0]}: a delimiter is given, but this is not a CSV file; leave it out")
    parts: dict[Location, Part] = {}
    for form, files in by_format.items():
        parts.update(zip(files, form.open(files, text), strict=True))
    return [parts[path] for path in paths]

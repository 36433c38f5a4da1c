"""Folders and patterns that grow: the files that are new, and a refusal of those that changed."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gpuvgm.errors import InputError, SourceChangedError
from gpuvgm.frames.files import FileSource
from gpuvgm.frames.source import Source

_LOG = logging.getLogger("gpuvgm")


def new_files(source: Source, known: Mapping[str, Any]) -> FileSource | None:
    """The files of a source that a fingerprint does not list; None where all are known.

    Parameters
    ----------
    source : Source
        The files now.
    known : mapping
        Fingerprint of the source when it was fitted.

    Raises
    ------
    SourceChangedError
        For a file that was changed or removed since, naming it.
    InputError
        For a source that is no files.
    """
    if not isinstance(source, FileSource) or known.get("kind") != "files":
        raise InputError(f"{source.name}: only files can be told apart from those that were fitted; use partial_fit")
    files = source.fingerprint()["files"]
    names = [file["name"] for file in files]
    if len(set(names)) < len(names):
        double = next(name for name in names if names.count(name) > 1)
        raise InputError(
            f"{source.name}: several files are called {double}, so that new ones cannot be told; fit all again"
        )
    before = {file["name"]: file for file in known["files"]}
    for name in before.keys() - {file["name"] for file in files}:
        raise SourceChangedError(f"{source.name}: {name} was fitted and is gone; fit again without resume")
    for file in files:
        if file["name"] in before and file != before[file["name"]]:
            raise SourceChangedError(f"{source.name}: {file['name']} was changed since it was fitted; fit all again")
    new = [i for i, file in enumerate(files) if file["name"] not in before]
    if not new:
        _LOG.info("%s: no file is new", source.name)
        return None
    return replace(source, parts=tuple(source.parts[i] for i in new), stamps=tuple(source.stamps[i] for i in new))

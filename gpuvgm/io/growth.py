"""Folders and patterns that grow: the files that are new, and a refusal of those that changed."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from gpuvgm.errors import InputError, SourceChangedError
from gpuvgm.io.files import FileSource
from gpuvgm.io.source import Source

_LOG = logging.getLogger("gpuvgm")


def new_files(source: Source, known: Mapping[str, Any]) -> FileSource | None:
    """The files of a source that a fingerprint does not list, also not as added; None where all are known.

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
    now = source.fingerprint()["files"]
    new, gone = told_apart(known["files"], now)
    unknown, _ = told_apart(known.get("added", ()), [now[i] for i in new])
    new = [new[i] for i in unknown]
    names = {source.parts[i].path.name for i in new}
    for file in gone:
        if file["name"] in names:
            raise SourceChangedError(f"{source.name}: {file['name']} was changed since it was fitted; fit all again")
        raise SourceChangedError(f"{source.name}: {file['name']} was fitted and is gone; fit again without resume=True")
    if not new:
        _LOG.info("%s: no file is new", source.name)
        return None
    return replace(source, parts=tuple(source.parts[i] for i in new), stamps=tuple(source.stamps[i] for i in new))


def with_added(known: Mapping[str, Any], source: Source) -> dict[str, Any]:
    """A fingerprint that also lists the files whose rows were added to those of the source."""
    if not isinstance(source, FileSource):
        return dict(known)
    return {**known, "added": [*known.get("added", ()), *source.fingerprint()["files"]]}


def note_changes(source: Source, known: Mapping[str, Any]) -> None:
    """Log the files that have the name of a fitted one, and are not what was fitted."""
    if not isinstance(source, FileSource) or known.get("kind") != "files":
        return
    new, gone = told_apart(known["files"], source.fingerprint()["files"])
    fitted = {file["name"] for file in gone}
    for place in new:
        if source.parts[place].path.name in fitted:
            _LOG.info("%s: changed since the fit, or another file of its name", source.parts[place].path)


def told_apart(
    before: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]
) -> tuple[list[int], list[Mapping[str, Any]]]:
    """Which of the files are none of those before, and those that are no longer there; names may occur again.

    Returns
    -------
    new : list of int
        Places among the files now.
    gone : list of mapping
        The others of before.
    """
    left = [dict(file) for file in before]
    new = []
    for place, file in enumerate(now):
        if file in left:
            left.remove(dict(file))
        else:
            new.append(place)
    return new, [*left]

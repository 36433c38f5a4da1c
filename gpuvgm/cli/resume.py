"""Fits on the command line that were cut short, or that some columns failed: kept beside the model until resumed."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from gpuvgm.errors import ColumnsFailed, InputError, counted
from gpuvgm.io import Location, location_of
from gpuvgm.table.base import OF_THIS_MACHINE, BaseTransformer, load_as, settings_of
from gpuvgm.table.checkpoint import forget_checkpoint, note_checkpoint
from gpuvgm.table.model_file import SUFFIX

_LOG = logging.getLogger("gpuvgm")
OPTION_NAMES = {"random_state": "seed", "sample_rows": "sample"}  # of settings that are called otherwise in Python


def path_of(model: str) -> Location:
    """Where an unfinished fit of a model is kept."""
    path = location_of(model)
    return path.with_name(f"{path.name.removesuffix(SUFFIX)}.unfinished{SUFFIX}")


def checkpoint_of(model: str) -> Path | None:
    """Folder in which the fit of a model keeps its checkpoint; None for models in stores."""
    path = location_of(model)
    return path.with_name(f".{path.name}.journal") if isinstance(path, Path) else None


def fit_or_resume(
    transformer: BaseTransformer, source: Any, model: str, *, resume: bool, journal: bool
) -> BaseTransformer:
    """Fit, or go on: with columns that failed, with rows that a fit cut short had not read, or with new files.

    What is fitted has not warned of its choices yet.

    Parameters
    ----------
    transformer : BaseTransformer
        With the settings of this run.
    source : str or Source
        The training rows.
    model : str
        Where the model is going to be written.
    resume : bool
        Do only what is left.
    journal : bool
        Keep what is counted beside the model, until it is written.

    Returns
    -------
    BaseTransformer
        The one that is fitted: that of the model where new files are added.

    Raises
    ------
    InputError
        Where there is nothing to resume, and where columns failed, after keeping the others.
    """
    kept, folder = path_of(model), checkpoint_of(model)
    begun = folder is not None and folder.exists()
    if resume and kept.exists():
        transformer.unfinished_ = load_as(BaseTransformer, str(kept)).unfinished_
    elif resume and not begun:
        return _add_files(transformer, source, model)
    elif folder is not None and begun and not resume:
        told = "%s: what an interrupted fit had counted is removed (%s in %s); --resume would have gone on with it"
        _LOG.warning(told, model, counted(len([*folder.glob("*.zip")]), "part"), folder)
    try:
        return transformer._fit(source, resume=resume, journal=folder if journal or begun else None)
    except ColumnsFailed as problem:
        transformer.save(str(kept), summaries=True)
        remedy = "give failed columns another kind (--columns NAME=KIND, or a TOML file), then run again with --resume"
        raise InputError(problem.message(remedy)) from problem
    except OSError as problem:
        if folder is None or not str(problem.filename or "").startswith(str(folder)):
            raise
        named = OSError(problem.errno, problem.strerror, model)  # not the checkpoint's name
        for note in getattr(problem, "__notes__", ()):
            named.add_note(note)
        raise named from problem


def _add_files(transformer: BaseTransformer, source: Any, model: str) -> BaseTransformer:
    """The model that is there, with the files that are new since; settings that it does not have are refused."""
    if not location_of(model).exists():
        raise InputError(f"{model}: nothing to resume, neither an unfinished fit nor a model; run fit without --resume")
    machine = {name: getattr(transformer, name) for name in OF_THIS_MACHINE if name != "columns"}
    grown = load_as(BaseTransformer, model, **machine)
    asked, usual, held = map(settings_of, (transformer, BaseTransformer(), grown))
    ignored = [name for name in asked if name not in OF_THIS_MACHINE and asked[name] not in (usual[name], held[name])]
    if ignored:
        options = ", ".join(f"--{OPTION_NAMES.get(name, name).replace('_', '-')}" for name in ignored)
        told = f"{model}: the fit is complete, so --resume can only add new files"
        raise InputError(f"{told}; leave out {options}, or fit without --resume")
    return grown.fit(source, resume=True)


def complete(fitted: Any, model: str, **options: Any) -> None:
    """Write the model, and remove what was kept of its unfinished fit; a checkpoint stays where that fails.

    Options are those of its `save`.
    """
    folder = checkpoint_of(model)
    try:
        fitted.save(model, **options)
        path_of(model).unlink(missing_ok=True)
        if folder is not None:
            forget_checkpoint(folder)
    except (OSError, KeyboardInterrupt) as problem:
        if folder is not None and folder.exists():
            note_checkpoint(problem, folder)
        raise

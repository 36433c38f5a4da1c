"""Fits on the command line: of all columns, of those that failed and were kept beside the model, or of new files."""

from __future__ import annotations

from typing import Any

from gpuvgm.errors import ColumnsFailed, InputError
from gpuvgm.io import Location, location_of
from gpuvgm.table.base import OF_THIS_MACHINE, BaseTransformer, load_as, settings_of
from gpuvgm.table.model_file import SUFFIX

OPTION_NAMES = {"random_state": "seed", "sample_rows": "sample"}  # of settings that are called otherwise in Python


def unfinished_of(model: str) -> Location:
    """Where the columns of a fit are kept of which others failed."""
    path = location_of(model)
    return path.with_name(f"{path.name.removesuffix(SUFFIX)}.unfinished{SUFFIX}")


def fit_columns(transformer: BaseTransformer, source: Any, model: str, *, failed: bool = False) -> BaseTransformer:
    """Fit all columns, or those that failed before; where some fail, the others are kept beside the model.

    Parameters
    ----------
    transformer : BaseTransformer
        With the settings of this run.
    source : str or Source
        The training rows.
    model : str
        Where the model is going to be written.
    failed : bool
        Fit only the columns that failed before, or that are declared differently now.

    Returns
    -------
    BaseTransformer
        The one that was given, fitted.

    Raises
    ------
    InputError
        Where no column failed before, and where columns fail.
    """
    kept = unfinished_of(model)
    if failed:
        if not kept.exists():
            raise InputError(f"{model}: no column failed in a fit of this model; run fit without --failed")
        transformer.unfinished_ = load_as(BaseTransformer, str(kept)).unfinished_
    try:
        return transformer.fit_failed(source) if failed else transformer.fit(source)
    except ColumnsFailed as problem:
        transformer.save(str(kept), summaries=True)
        remedy = "give failed columns another kind (--columns NAME=KIND, or a TOML file), then run again with --failed"
        raise InputError(problem.message(remedy)) from problem


def add_files(transformer: BaseTransformer, source: Any, model: str) -> BaseTransformer:
    """The model that is there, with the files that it lacks.

    Parameters
    ----------
    transformer : BaseTransformer
        With the settings of this run; those that the model does not have are refused.
    source : str or Source
        The files of the fit, and new ones.
    model : str
        The model.

    Raises
    ------
    InputError
        Where there is no model, and for settings of a fit.
    """
    if not location_of(model).exists():
        raise InputError(f"{model}: there is no model to add files to; run fit without --add")
    machine = {name: getattr(transformer, name) for name in OF_THIS_MACHINE if name != "columns"}
    grown = load_as(BaseTransformer, model, **machine)
    asked, usual, settings = map(settings_of, (transformer, BaseTransformer(), grown))
    ignored = [
        name for name in asked if name not in OF_THIS_MACHINE and asked[name] not in (usual[name], settings[name])
    ]
    if ignored:
        options = ", ".join(f"--{OPTION_NAMES.get(name, name).replace('_', '-')}" for name in ignored)
        raise InputError(f"{model}: files are added with the settings of the model; leave out {options}, or --add")
    return grown.add_files(source)


def complete(fitted: Any, model: str, **options: Any) -> None:
    """Write the model, and remove what was kept of a fit in which columns failed.

    Options are those of its `save`.
    """
    fitted.save(model, **options)
    unfinished_of(model).unlink(missing_ok=True)

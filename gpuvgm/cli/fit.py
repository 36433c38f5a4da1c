"""Fits on the command line: of all columns, of those that failed before, or of new files."""

from __future__ import annotations

from typing import Any

from gpuvgm.errors import ColumnsFailed, InputError
from gpuvgm.table import ModelFile, TableTransformer, load_as, load_for

OPTION_NAMES = {"random_state": "seed", "sample_rows": "sample"}  # of settings that are called otherwise in Python


def fit_columns(transformer: TableTransformer, source: Any, model: str, *, failed: bool = False) -> TableTransformer:
    """Fit all columns, or those that failed before; if some fail, the others are kept next to the model.

    Parameters
    ----------
    transformer : TableTransformer
        With the settings of this run.
    source : str or Source
        The training rows.
    model : str
        Path or URL of the model to write.
    failed : bool
        Fit only the columns that failed before, or that are declared differently now.

    Returns
    -------
    TableTransformer
        The one that was given, fitted.

    Raises
    ------
    InputError
        If no column failed before, and if columns fail.
    """
    unfinished = ModelFile.at(model).unfinished
    if failed:
        if not unfinished.exists():
            raise InputError(f"{model}: no column failed in a fit of this model; run fit without --failed")
        transformer.unfinished_ = load_as(TableTransformer, str(unfinished)).unfinished_
    try:
        return transformer.fit_failed(source) if failed else transformer.fit(source)
    except ColumnsFailed as problem:
        transformer.save(str(unfinished), summaries=True)
        remedy = "give failed columns another kind (--columns NAME=KIND, or a TOML file), then run again with --failed"
        raise InputError(problem.message(remedy)) from problem


def add_files(transformer: TableTransformer, source: Any, model: str) -> TableTransformer:
    """The model at its place, with the files added that it lacks.

    Parameters
    ----------
    transformer : TableTransformer
        With the settings of this run; those that the model does not have are refused.
    source : str or Source
        The files of the fit, and new ones.
    model : str
        The model.

    Raises
    ------
    InputError
        Without a model, and for settings of a fit.
    """
    if not ModelFile.at(model).place.exists():
        raise InputError(f"{model}: there is no model to add files to; run fit without --add")
    fitted, ignored = load_for(transformer, model)
    if ignored:
        options = ", ".join(f"--{OPTION_NAMES.get(name, name).replace('_', '-')}" for name in ignored)
        raise InputError(f"{model}: files are added with the settings of the model; leave out {options}, or --add")
    return fitted.add_files(source)


def complete(fitted: Any, model: str, **options: Any) -> None:
    """Write the model, and remove what was kept of a fit with failed columns.

    Options are those of its `save`.
    """
    fitted.save(model, **options)
    ModelFile.at(model).unfinished.unlink(missing_ok=True)

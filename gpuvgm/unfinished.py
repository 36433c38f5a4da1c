"""Fits on the command line that some columns failed: kept beside the model until they are resumed."""

from __future__ import annotations

from gpuvgm.errors import ColumnsFailed, InputError
from gpuvgm.frames import Location, location_of
from gpuvgm.store import SUFFIX
from gpuvgm.transformer import TableTransformer, load


def path_of(model: str) -> Location:
    """Where an unfinished fit of a model is kept."""
    path = location_of(model)
    return path.with_name(f"{path.name.removesuffix(SUFFIX)}.unfinished{SUFFIX}")


def fit(transformer: TableTransformer, source: str, model: str, *, resume: bool) -> None:
    """Fit, or go on with an unfinished fit; keep what is fitted where columns fail.

    Parameters
    ----------
    transformer : TableTransformer
        With the settings of this run.
    source : str
        The training rows.
    model : str
        Where the model is going to be written.
    resume : bool
        Fit only what is left.

    Raises
    ------
    InputError
        Where there is nothing to resume, and where columns failed, after keeping the others.
    """
    kept = path_of(model)
    if resume:
        if not kept.exists():
            raise InputError(f"{kept}: there is no unfinished fit to resume; fit without --resume")
        transformer.unfinished_ = load(str(kept)).unfinished_
    try:
        transformer.fit(source, resume=resume)
    except ColumnsFailed as problem:
        transformer.save(str(kept), summaries=True)
        remedy = "declare what failed otherwise (--columns NAME=KIND, or a TOML file), and run it again with --resume"
        raise InputError(problem.message(remedy)) from problem


def forget(model: str) -> None:
    """Remove what was kept of an unfinished fit: the model is complete."""
    path_of(model).unlink(missing_ok=True)

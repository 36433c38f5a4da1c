"""open_source: anything that holds a table, frames of Dask included."""

from __future__ import annotations

from typing import Any

from gpuvgm import io
from gpuvgm.execution.dask_frames import DaskFrame, dask_source
from gpuvgm.io import Source
from gpuvgm.io.frames import is_loaded


def open_source(source: object) -> Source:
    """Open anything that holds a table.

    Parameters
    ----------
    source : object
        What `gpuvgm.io.open_source` takes, a DataFrame of Dask (of pandas' frames or cuDF's), or an iterator of these.

    Returns
    -------
    Source

    Raises
    ------
    InputError
        When nothing readable is there, or the object is no table; the message says what to do.
    """
    if is_loaded("dask.dataframe", "DataFrame", source):
        return dask_source(source, open_source)
    return io.open_source(source, open_source)


def lazy_frame(source: object) -> DaskFrame | None:
    """A DataFrame of Dask as a source; None for everything else."""
    return dask_source(source, open_source) if is_loaded("dask.dataframe", "DataFrame", source) else None


def values_of_series(values: Any) -> Any:
    """A Series of Dask, computed; everything else as it is."""
    return values.compute() if is_loaded("dask.dataframe", "Series", values) else values

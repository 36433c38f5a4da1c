"""Sources from objects of any kind, frames of Dask included."""

from __future__ import annotations

from gpuvgm import io
from gpuvgm.execution.dask_frames import DaskFrame, array_source, dask_source
from gpuvgm.io import Source, is_loaded


def any_source(source: object) -> Source:
    """Open anything that holds a table, in this process or as a graph of Dask.

    Parameters
    ----------
    source : object
        What `gpuvgm.io.open_source` takes, a DataFrame of Dask (of pandas' frames or cuDF's), an Array of Dask with
        two dimensions (of NumPy's arrays or CuPy's), or an iterator of these.

    Returns
    -------
    Source

    Raises
    ------
    InputError
        When nothing readable is there, or the object is no table; the message says what to do.
    """
    lazy = lazy_frame(source)
    return io.open_source(source, any_source) if lazy is None else lazy


def lazy_frame(source: object) -> DaskFrame | None:
    """A DataFrame or an Array of Dask as a source; None for everything else."""
    if is_loaded("dask.array", "Array", source):
        return array_source(source, any_source)
    return dask_source(source, any_source) if is_loaded("dask.dataframe", "DataFrame", source) else None

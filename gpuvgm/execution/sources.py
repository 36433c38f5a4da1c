"""open_source: anything that holds a table, frames of Dask included."""

from __future__ import annotations

import sys
from typing import Any

from gpuvgm import io
from gpuvgm.execution.dask_frames import dask_source
from gpuvgm.io import Source


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
    if not io.is_source(source) and is_dask_frame(source):
        return dask_source(source, open_source)
    return io.open_source(source, open_source)


def is_dask_frame(source: Any) -> bool:
    """Whether something is a frame of Dask, of pandas or cuDF; nothing is imported."""
    dask = sys.modules.get("dask.dataframe")
    return dask is not None and isinstance(source, dask.DataFrame)

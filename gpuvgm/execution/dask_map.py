"""Work on Dask's frames that stays in Dask's graph: one call a partition, done when the user computes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import accumulate
from typing import Any

from gpuvgm.errors import InputError
from gpuvgm.execution.dask_frames import DaskFrame

PartFunction = Callable[[Any, int], Any]  # a partition's frame and the global index of its first row


def map_frames(source: DaskFrame, function: PartFunction, *, numbered: bool) -> Any:
    """A lazy frame of what a function gives for each partition, with the partitions, index and divisions of the source.

    Parameters
    ----------
    source : DaskFrame
        The frame.
    function : callable
        From a partition and its first row to a frame or series of the same library; on no rows it says the types.
    numbered : bool
        Whether the function needs the first row, for which the rows are counted where they are not known; else it is 0.
    """
    import dask.dataframe as dd
    import pandas

    meta = function(source.frame._meta, 0)
    if not numbered:
        return source.frame.map_partitions(partial(_at_zero, function), meta=meta)
    starts = list(accumulate(source.lengths, initial=0))[: len(source.lengths)]
    offsets = dd.from_map(lambda start: pandas.Series([start]), starts, meta=pandas.Series([0]))
    return source.frame.map_partitions(partial(_at, function), offsets, meta=meta, align_dataframes=False)


def _at(function: PartFunction, frame: Any, start: Any) -> Any:
    """The function's result, with the offset as Dask hands it over."""
    first = int(start.iloc[0])
    try:
        return function(frame, first)
    except InputError as problem:
        raise InputError(f"the partition that begins at row {first}: {problem}") from problem


def _at_zero(function: PartFunction, frame: Any) -> Any:
    return function(frame, 0)

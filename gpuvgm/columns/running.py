"""The summary of a column of numbers whose rows lie on a device, without a look at them between blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.arrays import Array, DeviceColumn, namespace_of, to_numpy
from gpuvgm.columns.codecs import Codec, FloatCodec, Number, are_rounded
from gpuvgm.columns.numbers import ordinary_numbers
from gpuvgm.engines import Engine
from gpuvgm.engines.tables import Step
from gpuvgm.summary.grid import Floats, Grid, values_of
from gpuvgm.summary.summary import Summary

FAR = 2.0**52  # from where on in the sample some row is likely to be rounded as a float64


class RunningNumbers:
    """What `NumberPlan.statistics` gives for all blocks, merged.

    Parameters
    ----------
    engine : Engine
        Who sums up.
    codec : Codec
        Values to numbers.
    modal : tuple
        Values that are counted apart.
    grid : Grid
        Cells to summarise into.
    step : Step or None
        The step that the engine counts the rows off.
    """

    def __init__(
        self, engine: Engine, codec: Codec, modal: tuple[Number | None, ...], grid: Grid, step: Step | None
    ) -> None:
        self._codec, self._modal, self._step = codec, modal, step
        self._type: pa.DataType | None = None
        self._cells = engine.running_summary(grid, step)
        self._is_counted = bool(modal) or (step is None and codec != codec.without_step())
        self._is_far = not isinstance(codec, FloatCodec) and _reach(grid) >= FAR
        self._counts: list[Array] = []  # of each block: rows of the modal values, rows off the step
        self._ends: list[Array] = []  # of each block: least and largest value in the column's unit

    def add(self, values: DeviceColumn) -> None:
        """Add a block of rows; where this fails, none of them is added."""
        numbers, which = ordinary_numbers(self._codec, self._modal, values)
        counts = self._counted(values, numbers, which) if self._is_counted else []
        ends = _ends_on_device(values, numbers) if self._is_far and str(values.type) == self._codec.type else []
        self._cells.add(numbers)
        self._type = values.type
        self._counts += counts
        self._ends += ends

    def statistics(self) -> Summary | None:
        """Summary of all rows; None where rows off the step are to be named, or values are rounded unexpectedly."""
        codec, summary = self._codec, self._cells.summary()
        modal, off = [], summary.off_step
        if self._is_counted:
            *modal, own = _bring_to_host(self._counts).reshape(-1, len(self._modal) + 1).sum(axis=0).tolist()
            off += own
        if off:
            return None
        low, high, ends = summary.minimum, summary.maximum, None
        if low <= high and not are_rounded(codec, self._type, low, high):
            ends = codec.value(low), codec.value(high)
        elif low <= high and not self._is_far:
            return None
        elif low <= high:
            least, largest = _bring_to_host(self._ends).reshape(-1, 2).T
            ends = least.min().item(), largest.max().item()
        return replace(summary, ends=ends, missing=summary.missing - sum(modal), modal=tuple(modal))

    def _counted(self, values: DeviceColumn, numbers: Floats, which: Array | None) -> list[Array]:
        """Rows of each modal value, and ordinary rows off a step that the engine does not count."""
        xp = namespace_of(numbers)
        off = None if self._step else self._codec.off_step(values, numbers)
        none = xp.zeros((), np.int64)
        modal = [none if which is None else (which == index).sum() for index in range(len(self._modal))]
        return [*modal, none if off is None else (off & ~xp.isnan(numbers)).sum()]


def _ends_on_device(values: DeviceColumn, numbers: Floats) -> list[Array]:
    """Least and largest ordinary value, or the wrong end of the type where there is none."""
    xp, own = namespace_of(numbers), values.values
    ordinary, limits = ~xp.isnan(numbers), np.iinfo(own.dtype)
    return [xp.where(ordinary, own, limits.max).min(), xp.where(ordinary, own, limits.min).max()]


def _reach(grid: Grid) -> float:
    """About how far from 0 the numbers of the sample lie that the grid was made for."""
    starts = values_of(np.asarray(grid.windows["start"]))
    return float(np.max(np.abs(grid.frame.invert(starts)), initial=0.0))


def _bring_to_host(numbers: Sequence[Array]) -> NDArray[Any]:
    """Single numbers, which come to the host together."""
    there: NDArray[Any] = to_numpy(namespace_of(numbers[0]).stack(numbers))
    return there

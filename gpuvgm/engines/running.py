"""The summary of rows that come one block after the other, for engines that are through with a block at once."""

from __future__ import annotations

from collections.abc import Callable

from gpuvgm.engines.tables import Step
from gpuvgm.summary.grid import Floats, Grid
from gpuvgm.summary.summary import Summary

Summarise = Callable[[Floats, Grid, Step | None], Summary]


class MergedSummary:
    """Merges the summaries of blocks.

    Parameters
    ----------
    summarise : callable
        `Engine.summarise` of the engine.
    grid : Grid
        Cells to sum over.
    step : Step, optional
        Count the rows that are no multiples of it.
    """

    def __init__(self, summarise: Summarise, grid: Grid, step: Step | None) -> None:
        self._summarise, self._grid, self._step = summarise, grid, step
        self._merged: Summary | None = None

    def add(self, x: Floats) -> None:
        """Add rows; see `RunningSummary.add`."""
        self._merge(self._summarise(x, self._grid, self._step))

    def summary(self) -> Summary:
        """Summary of all rows added."""
        return Summary.empty(self._grid) if self._merged is None else self._merged

    def _merge(self, summary: Summary) -> None:
        self._merged = summary if self._merged is None else self._merged.merge(summary)

"""Stages of a run, timed by the reports of its progress."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ClassVar

from gpuvgm.errors import counted

SEARCH = "search modes"
Progress = Callable[[str, int, int | None], None]  # stage, rows done, rows in all where known
_LOG = logging.getLogger("gpuvgm")


@dataclass(slots=True)
class Stage:
    """A part of a run.

    Parameters
    ----------
    name : str
        As progress calls it: "fit", "search modes", "transform", ….
    start, end : int
        In nanoseconds since 1970.
    rows : int
        Rows done in its longest scan; columns in the search for modes, steps of a training.
    total : int, optional
        Of how many.
    """

    name: str
    start: int
    end: int = 0
    rows: int = 0
    total: int | None = None

    @property
    def seconds(self) -> float:
        """Seconds that the stage took."""
        return (self.end - self.start) / 1e9

    def document(self) -> dict[str, str | float | int]:
        """The stage as JSON can hold it."""
        return {"name": self.name, "seconds": self.seconds, self.unit: self.rows}

    @property
    def unit(self) -> str:
        """Unit of the numbers: rows, columns or steps."""
        return Stages.UNITS.get(self.name, "rows")

    @property
    def is_searching(self) -> bool:
        """Return whether the stage is a search in which some columns still lack their modes."""
        return self.name == SEARCH and not self.end and self.rows != self.total


@dataclass(slots=True)
class Stages:
    """The stages of one run; they follow each other, and each ends where rows of the next one are reported.

    Rows that are read again while modes are searched belong to the search.

    Parameters
    ----------
    done : list of Stage
        In their order.
    """

    #: What stages count that do not count rows.
    UNITS: ClassVar[Mapping[str, str]] = {SEARCH: "columns", "train": "steps"}

    done: list[Stage] = field(default_factory=list)
    _start: int = 0

    def __call__(self, stage: str, rows: int, total: int | None) -> None:
        """Take a report of progress: so many rows, or columns, are done in a stage."""
        if self.done and self.done[-1].is_searching and stage != SEARCH:
            return
        if not self.done or self.done[-1].name != stage or self.done[-1].end:
            self._close()
            self.done.append(Stage(stage, self._start))
        self.done[-1].rows, self.done[-1].total = max(self.done[-1].rows, rows), total

    @contextmanager
    def listen(self) -> Iterator[Stages]:
        """Time the work in the context: the first stage starts and the last one ends with it."""
        self._start = time.time_ns()
        try:
            yield self
        finally:
            self._close()

    def _close(self) -> None:
        if not self.done or self.done[-1].end:
            return
        last = self.done[-1]
        last.end = self._start = time.time_ns()
        amount = counted(last.rows, last.unit.removesuffix("s"))
        fields = {"stage": last.name, last.unit: last.rows, "seconds": last.seconds}
        _LOG.info("stage %s: %s in %.2f s", last.name, amount, last.seconds, extra=fields)

"""Stages of a run, timed by the reports of its progress."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

_LOG = logging.getLogger("gpuvgm")


@dataclass(slots=True)
class Stage:
    """A part of a run.

    Parameters
    ----------
    name : str
        As progress calls it: "fit", "transform", ….
    start, end : int
        In nanoseconds since 1970.
    rows : int
        Rows that were through in its longest pass.
    """

    name: str
    start: int
    end: int = 0
    rows: int = 0

    @property
    def seconds(self) -> float:
        """Time that it took."""
        return (self.end - self.start) / 1e9

    def document(self) -> dict[str, str | float | int]:
        """The stage as JSON can hold it."""
        return {"name": self.name, "seconds": self.seconds, "rows": self.rows}


@dataclass(slots=True)
class Stages:
    """The stages of one run; they follow each other, and each ends where rows of the next one are reported.

    Parameters
    ----------
    done : list of Stage
        In their order.
    """

    done: list[Stage] = field(default_factory=list)
    _began: int = 0

    def __call__(self, stage: str, rows: int, _total: int | None) -> None:
        """Hear of progress: so many rows are through a stage."""
        if not self.done or self.done[-1].name != stage or self.done[-1].end:
            self._close()
            self.done.append(Stage(stage, self._began))
        self.done[-1].rows = max(self.done[-1].rows, rows)

    @contextmanager
    def heard(self) -> Iterator[Stages]:
        """The time in which work is done: the first stage starts with it, the last one ends with it."""
        self._began = time.time_ns()
        try:
            yield self
        finally:
            self._close()

    def _close(self) -> None:
        if not self.done or self.done[-1].end:
            return
        last = self.done[-1]
        last.end = self._began = time.time_ns()
        _LOG.info("stage %s: %d rows in %.2f s", last.name, last.rows, last.seconds, extra=_fields(last))


def _fields(stage: Stage) -> dict[str, object]:
    return {"stage": stage.name, "rows": stage.rows, "seconds": stage.seconds}

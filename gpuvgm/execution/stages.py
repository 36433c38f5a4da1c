"""Stages of a run and their parts: what progress bars, the log and reports show of them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from gpuvgm.errors import counted

if TYPE_CHECKING:
    from gpuvgm.io import Source

SEARCH = "search modes"
MOST_PARTS = 1024  # of a stage: neighbours are added up where there are more
ROWS_OF_PART = 1 << 20  # of a source that does not know its number of rows
Progress = Callable[[str, int, int | None], None]  # stage, rows done, rows in all where known
_LOG = logging.getLogger("gpuvgm")


@dataclass(frozen=True, slots=True)
class PartTime:
    """How long a part of the rows took.

    Parameters
    ----------
    first_row, rows : int
        The rows.
    seconds : float
        Seconds that one thread took to read them and to work on them.
    worker : str
        Address of the worker; empty in this process.
    """

    first_row: int
    rows: int
    seconds: float
    worker: str = ""

    def joined(self, part: PartTime) -> PartTime:
        """Both parts together; the same rows again add their seconds alone."""
        first = min(self.first_row, part.first_row)
        end = max(self.first_row + self.rows, part.first_row + part.rows)
        return PartTime(first, end - first, self.seconds + part.seconds, part.worker)


@dataclass
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
    source : Source, optional
        Of its rows.
    parts : dict of int to PartTime
        The time that its parts took, by their place among all rows.
    """

    name: str
    start: int
    end: int = 0
    rows: int = 0
    total: int | None = None
    source: Source | None = None
    parts: dict[int, PartTime] = field(default_factory=dict)

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

    def add(self, part: PartTime) -> None:
        """Add the time of a part."""
        rows = self._source_rows
        place = part.first_row // ROWS_OF_PART if rows is None else part.first_row * MOST_PARTS // max(rows, 1)
        self.parts[place] = part if place not in self.parts else self.parts[place].joined(part)

    def describe(self, part: PartTime) -> dict[str, Any]:
        """A part as JSON can hold it: file or table, rows, seconds and worker."""
        row, worker = part.first_row, {"worker": part.worker} if part.worker else {}
        return {"part": self._name_of(row), "first_row": row, "rows": part.rows, "seconds": part.seconds} | worker

    def parts_done(self) -> list[dict[str, Any]]:
        """The parts in the order of their rows."""
        return [self.describe(part) for _, part in sorted(self.parts.items())]

    @cached_property
    def _source_rows(self) -> int | None:
        return None if self.source is None else self.source.rows  # files are counted once

    @cached_property
    def _name_of(self) -> Callable[[int], str]:
        return (lambda row: "") if self.source is None else self.source.holder


@dataclass(slots=True)
class Stages:
    """The stages of one run; they follow each other, and each ends where rows of the next one are reported.

    Rows that are read again while modes are searched belong to the search. The log tells of the beginning and the end
    of each stage, and at the level DEBUG of each part.

    Parameters
    ----------
    done : list of Stage
        In their order.
    listener : callable, optional
        Progress, to which all reports are passed on.
    level : int
        Level of the log's records of stages.
    """

    #: What stages count that do not count rows.
    UNITS: ClassVar[Mapping[str, str]] = {SEARCH: "columns", "train": "steps"}

    done: list[Stage] = field(default_factory=list)
    listener: Progress | None = None
    level: int = logging.INFO
    _start: int = 0

    @classmethod
    def of(cls, progress: Progress | None) -> Stages:
        """The stages that were given as progress, or new ones that pass reports on to it."""
        return progress if isinstance(progress, Stages) else cls(listener=progress)

    @property
    def are_heard(self) -> bool:
        """Return whether anyone hears of rows while they are worked on."""
        return self.listener is not None or self._start > 0 or self.are_logged

    @property
    def are_logged(self) -> bool:
        """Return whether the log shows stages."""
        return _LOG.isEnabledFor(self.level)

    def __call__(self, stage: str, rows: int, total: int | None) -> None:
        """Take a report of progress: so many rows, or columns, are done in a stage."""
        if self.listener is not None:
            self.listener(stage, rows, total)
        if self.done and self.done[-1].is_searching and stage != SEARCH:
            return
        if not self.done or self.done[-1].name != stage or self.done[-1].end:
            self._close()
            start = Stage(stage, self._start or time.time_ns(), total=total)
            self._begin(start, {} if total is None else {start.unit: total})
        self.done[-1].rows, self.done[-1].total = max(self.done[-1].rows, rows), total

    def take(self, part: PartTime) -> None:
        """Take the time of a part of the rows; those that a search reads again are logged alone."""
        if not self.done or self.done[-1].end:
            return
        stage = self.done[-1]
        if stage.name != SEARCH:
            stage.add(part)
        if _LOG.isEnabledFor(logging.DEBUG):
            fields = {"event": "part", "stage": stage.name, **stage.describe(part)}
            last, by = part.first_row + part.rows - 1, f" by {part.worker}" if part.worker else ""
            text = "stage %s: %s, rows %d to %d in %.3f s%s"
            _LOG.debug(text, stage.name, fields["part"], part.first_row, last, part.seconds, by, extra=fields)

    @contextmanager
    def stage(self, name: str, source: Source | None, facts: Mapping[str, str | int]) -> Iterator[Stage]:
        """Time the work in the context as a stage; the search for modes follows it there.

        Parameters
        ----------
        name : str
            The stage.
        source : Source, optional
            The rows it reads.
        facts : mapping
            For the log: engine, threads or workers, the limit of memory in bytes, and what a source does not say.
        """
        self._close()
        stage = Stage(name, time.time_ns(), source=source)
        self._begin(stage, {**_rows_of(source), **facts} if self.are_logged else {})
        try:
            yield stage
        except (Exception, KeyboardInterrupt):
            self._close("failure")
            raise
        finally:
            self._close()

    @contextmanager
    def listen(self) -> Iterator[Stages]:
        """Time the work in the context: the first stage starts and the last one ends with it."""
        self._start = time.time_ns()
        try:
            yield self
        finally:
            self._close()

    def _begin(self, stage: Stage, facts: Mapping[str, Any]) -> None:
        """Begin a stage; the log says so with what is known of it."""
        self.done.append(stage)
        if self.are_logged:
            fields = {"event": "begin", "stage": stage.name, **facts}
            _LOG.log(self.level, "stage %s begins%s", stage.name, _text_of(facts), extra=fields)

    def _close(self, event: str = "end") -> None:
        """End the last stage, if it has not ended."""
        if not self.done or self.done[-1].end:
            return
        last = self.done[-1]
        last.end = time.time_ns()
        if self._start:
            self._start = last.end
        if not self.are_logged:
            return
        rate = last.rows / max(last.seconds, 1e-9)
        fields = {"event": event, "stage": last.name, last.unit: last.rows, "seconds": last.seconds}
        fields[f"{last.unit}_per_second"] = rate
        rows, speed = (counted(number, last.unit.removesuffix("s")) for number in (last.rows, round(rate)))
        name = f"{last.name} failed" if event == "failure" else last.name
        _LOG.log(self.level, "stage %s: %s in %.2f s, %s a second", name, rows, last.seconds, speed, extra=fields)


def _rows_of(source: Source | None) -> dict[str, Any]:
    """What a stage reads, for the log."""
    if source is None:
        return {}
    rows = {} if source.rows is None else {"rows": source.rows}
    return {"source": source.name, **rows, "columns": len(source.schema)}


def _text_of(facts: Mapping[str, Any]) -> str:
    """The same as text: ": payments.parquet, 1,000 rows, 3 columns, engine native, 2 threads, memory 1 GiB"."""
    texts = {
        "source": "{}".format,
        "engine": "engine {}".format,
        "memory": lambda bytes_: f"memory {bytes_ / 2**30:.3g} GiB",
    }
    parts = [texts.get(fact, lambda n, fact=fact: counted(n, fact.removesuffix("s")))(facts[fact]) for fact in facts]
    return f": {', '.join(parts)}" if parts else ""

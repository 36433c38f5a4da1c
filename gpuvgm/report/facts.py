"""When and how a report was made, in one line for people."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

from gpuvgm.errors import counted


@dataclass(frozen=True, slots=True)
class RunFacts:
    """When and how a report was made.

    Parameters
    ----------
    source : str
        The table: a path, or the type of an object.
    model : str
        The file that the model was loaded from; empty where it was fitted in this process.
    version : str
        Version of gpuvgm.
    date : str
        Day and time.
    seconds : float
        What reading and evaluating the rows took.
    """

    source: str
    model: str
    version: str
    date: str
    seconds: float

    def line(self, rows: int) -> str:
        """All of it; of paths the last part, which tells no folder and no credentials."""
        parts = [f"{_file(self.source)}: {counted(rows, 'row')} read in {self.seconds:.2f} s"]
        parts += [f"model {_file(self.model)}"] * bool(self.model)
        return ", ".join([*parts, f"gpuvgm {self.version}", self.date])


def _file(path: str) -> str:
    return PurePath(path.partition("?")[0]).name or path

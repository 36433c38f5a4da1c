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
    synthetic : str
        The table that it is compared with; empty where there is none.
    """

    source: str
    model: str
    version: str
    date: str
    seconds: float
    synthetic: str = ""

    def line(self, rows: int, synthetic_rows: int = 0) -> str:
        """All of it; of paths the last part, which tells no folder and no credentials."""
        tables = f"{_file(self.source)}: {counted(rows, 'row')}"
        if self.synthetic:
            tables += f", {_file(self.synthetic)}: {counted(synthetic_rows, 'row')},"
        parts = [f"{tables} read in {self.seconds:.2f} s"]
        parts += [f"model {_file(self.model)}"] * bool(self.model)
        return ", ".join([*parts, f"gpuvgm {self.version}", self.date])


def _file(path: str) -> str:
    """The last part of a path; of URLs without what follows a question mark, which is a wildcard in other paths."""
    return PurePath(path.partition("?")[0] if "://" in path else path).name or path

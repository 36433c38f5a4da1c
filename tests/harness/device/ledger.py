"""What a device did: launches, synchronisations, allocations and bytes over the bus, by stage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields

ALL = "all"


@dataclass
class Entry:
    """Counts of one stage."""

    kernels: int = 0  # of gpuvgm
    operations: int = 0  # CuPy's own kernels: sums, comparisons, copies on the device
    touched: int = 0  # bytes that those read and wrote
    synchronisations: int = 0  # the host waits
    allocations: int = 0
    allocated: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    names: Counter[str] = field(default_factory=Counter)  # gpuvgm's kernels by name

    def add(self, **counts: int) -> None:
        """Count."""
        for name, count in counts.items():
            setattr(self, name, getattr(self, name) + count)

    def __str__(self) -> str:
        return ", ".join(f"{one.name} {getattr(self, one.name)}" for one in fields(self) if one.name != "names")


class Ledger:
    """Entries by stage; "all" has everything. A stage within another counts in both."""

    def __init__(self) -> None:
        self.stages: dict[str, Entry] = {ALL: Entry()}
        self._open: list[str] = [ALL]

    @contextmanager
    def stage(self, name: str) -> Iterator[Entry]:
        """Count what is done within as a stage of that name, in whatever thread."""
        entry = self.stages.setdefault(name, Entry())
        self._open.append(name)
        try:
            yield entry
        finally:
            self._open.remove(name)

    @property
    def all(self) -> Entry:
        """Everything."""
        return self.stages[ALL]

    def add(self, **counts: int) -> None:
        """Count in every open stage."""
        for name in set(self._open):
            self.stages[name].add(**counts)

    def launched(self, name: str) -> None:
        """Count a kernel of gpuvgm."""
        for stage in set(self._open):
            self.stages[stage].kernels += 1
            self.stages[stage].names[name] += 1

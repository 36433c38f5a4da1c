"""Clusters for tests, partitions that tell who works on them, and functions that workers run."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import gpuvgm
from gpuvgm.errors import InputError
from gpuvgm.execution.partitions import OpenPartition


def model_of(transformer: Any) -> str:
    """What identifies a fit, apart from where the rows came from."""
    return replace(transformer.model_, source={}).fingerprint()


def parts_of(rows: Any, *cuts: int) -> list[Any]:
    """Frames of the rows between cuts."""
    return [rows.iloc[low:high] for low, high in pairwise((0, *cuts, len(rows)))]


def lazy_frame(parts: Sequence[Any], **options: Any) -> Any:
    """A frame of Dask with these partitions."""
    import dask.dataframe as dd

    return dd.from_map(lambda part: part, parts, meta=parts[0].iloc[:0], **options)


class Clusters(dict[int, Any]):
    """Clients of clusters by their number of workers."""

    def __missing__(self, workers: int) -> Any:
        self[workers] = gpuvgm.cluster(workers=workers, threads=1, memory="2GiB")
        return self[workers]

    def close(self) -> None:
        """End them all, the last one first: each sets Dask's scheduler back to what it was."""
        for client in reversed(self.values()):
            client.close()
        self.clear()


@dataclass(frozen=True)
class Piece:
    """A partition without rows in memory; it lasts while a file is there."""

    number: int
    rows: int = 10
    pause: float = 0.0
    gate: str | None = None

    @property
    def first_row(self) -> int:
        """Its first row, where all have as many."""
        return self.number * self.rows

    def read(self) -> OpenPartition:
        """One block: itself."""
        time.sleep(self.pause)
        while self.gate is not None and Path(self.gate).exists():
            time.sleep(0.01)
        return OpenPartition(on_device=False, blocks=iter([self] if self.rows else []))


def pieces(count: int, **settings: Any) -> Iterator[Piece]:
    """So many partitions."""
    return (Piece(number, **settings) for number in range(count))


def uneven(piece: Piece) -> list[int]:
    """Later ones end before earlier ones."""
    time.sleep(0.02 if piece.number % 3 == 0 else 0)
    return [piece.number]


def refusing(piece: Piece) -> list[int]:
    """The seventh piece is refused; those after it last long."""
    if piece.number == 7:
        raise InputError(f'column "x", row {piece.number * piece.rows}: refused')
    time.sleep(0.5 if piece.number > 7 else 0)
    return [piece.number]


def joined(one: list[int], other: list[int]) -> list[int]:
    """A merge whose order matters."""
    return one + other


def of_portion(partition: Piece, executor: Any) -> tuple[int, bool, int]:
    """What each() hands over: the partition, an executor of the worker, and its process."""
    partition.read()
    return partition.number, executor.spread, os.getpid()


def wait_until(condition: Any, seconds: float = 20.0) -> None:
    """Wait for what comes soon."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.02)


def tasks_of(client: Any) -> list[str]:
    """Keys of all tasks that the scheduler knows."""

    def keys(dask_scheduler: Any) -> list[str]:
        return [str(key) for key in dask_scheduler.tasks]

    return list(client.run_on_scheduler(keys))


def is_clean(client: Any) -> bool:
    """Whether no task and no result is left; futures that only a cycle of references holds are none."""
    gc.collect()
    return not tasks_of(client) and not any(client.has_what().values())

"""What reports count of a table: of the columns of a block, and of all its blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, TypeVar

import pyarrow as pa

from gpuvgm.columns.codecs import UnreadText
from gpuvgm.errors import InputError
from gpuvgm.execution.context import Run
from gpuvgm.io import Block, Source


class Counts(Protocol):
    """What is counted of some rows."""

    @property
    def rows(self) -> int:
        """How many they are."""


C = TypeVar("C", bound=Counts)
K = TypeVar("K")
R = TypeVar("R")


def count_columns(
    counters: Mapping[str, K], block: Block, count: Callable[[K, pa.Array[Any]], R], place: Callable[[int], str]
) -> dict[str, R]:
    """What is counted of each column of a block; text that cannot be read is an error that names column and place."""
    found = {}
    for name, counter in counters.items():
        try:
            found[name] = count(counter, block.batch.column(name))
        except UnreadText as problem:
            raise problem.at(name, place(block.first_row + problem.row), "correct them first") from None
    return found


def merged_columns(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """What is counted of the same columns in both sets of rows."""
    return {name: counts.merge(other[name]) for name, counts in one.items()}


def count_table(
    source: Source,
    blocks: Iterable[Any],
    count: Callable[[Block], C],
    merge: Callable[[C, C], C],
    run: Run,
    purpose: str,
) -> C:
    """What is counted of all blocks of a table.

    Parameters
    ----------
    source : Source
        The table.
    blocks : iterable
        Its rows, as `Run.blocks` gives them.
    count : callable
        What is counted of a block.
    merge : callable
        What is counted of the rows of both its arguments.
    run : Run
        Where and how.
    purpose : str
        What the rows are for, such as "evaluate", for the error.

    Raises
    ------
    InputError
        For a table without rows.
    """
    counts = run.executor.map_merge(count, blocks, merge)
    if counts is None or counts.rows == 0:
        raise InputError(f"{source.name}: there are no rows to {purpose}")
    return counts

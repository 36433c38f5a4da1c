"""Numbers of a column in the memory of a cluster's workers, in partitions of whole chunks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import Array, namespace_of, to_numpy
from gpuvgm.config import CHUNK_ROWS
from gpuvgm.execution.dask import HeldPartitions, HeldShares, Passing

Floats = NDArray[np.float64]


class HeldChunks(NamedTuple):
    """Numbers of a partition, and the number of its first chunk of 4,096 rows in the table.

    Dask measures the size of tuples.

    Parameters
    ----------
    numbers : array of shape (rows,) or (rows, D), float64
        Whole chunks, but for the table's last one; NaN for rows without a number.
    first : int
        Number of the first chunk.
    weight : array of shape (rows,), float64, optional
        Weights of the rows, on the device of the numbers.
    """

    numbers: Array
    first: int
    weight: Array | None


def in_whole_chunks(partitions: HeldPartitions, weight: Floats | None = None) -> HeldShares:
    """`HeldChunks` of some partitions: all rows of a chunk move to the partition that holds its first row.

    Parameters
    ----------
    partitions : HeldPartitions
        Numbers by partition, in row order.
    weight : ndarray of shape (rows,), optional
        Weights of all rows.
    """
    firsts = -(-np.cumsum([0, *partitions.rows])[:-1] // CHUNK_ROWS)
    weights = [None] * len(firsts) if weight is None else np.split(weight, CHUNK_ROWS * firsts[1:])
    chunks = partitions.passing(completions(partitions.rows), first_rows, fill_chunks)
    return chunks.by_worker(_held_chunks, firsts.tolist(), weights)


def _held_chunks(numbers: Array, first: int, weight: Floats | None) -> HeldChunks:
    return HeldChunks(numbers, first, None if weight is None else namespace_of(numbers).asarray(weight))


def completions(counts: Sequence[int]) -> list[Passing]:
    """The passings that make the chunks of each partition whole.

    Rows of a chunk that begins in an earlier partition go there.

    Parameters
    ----------
    counts : sequence of int
        Rows of each partition.

    Returns
    -------
    list of Passing
        One for each partition.
    """
    firsts = np.cumsum([0, *counts])[:-1]
    passings: list[Passing] = []
    givers: list[int] = []  # partitions after this one with rows of a chunk that begins in it or before
    # From the end: a chunk gets its rows from partitions after the one in which it begins.
    for number, (count, first) in reversed(list(enumerate(zip(counts, firsts, strict=True)))):
        surplus = min(int(-first % CHUNK_ROWS), count)
        passings.append(Passing(surplus, tuple(givers) if surplus < count else ()))
        later_givers = [] if surplus < count else givers
        givers = [number, *later_givers] if surplus else later_givers
    return passings[::-1]


def first_rows(numbers: Array, surplus: int) -> Floats:
    """The rows that a partition gives to an earlier one, on the host."""
    return np.asarray(to_numpy(numbers[:surplus]))


def fill_chunks(numbers: Array, surplus: int, arrivals: Sequence[Floats]) -> Array:
    """A partition without the rows that it gives, and with those that it gets."""
    xp = namespace_of(numbers)
    return xp.concatenate([numbers[surplus:], *map(xp.asarray, arrivals)])

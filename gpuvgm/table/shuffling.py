"""Random orders of rows, computed place by place: no order is kept in memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import mixed
from gpuvgm.summary import Ints

ROUNDS = 6
Words = NDArray[np.uint64]


def permuted(places: Words, rows: int, seed: int, epoch: int) -> Ints:
    """Rows at places of an epoch: a permutation of the numbers below `rows`.

    A Feistel network permutes the numbers below a power of four; those that fall beyond the rows are permuted again
    until they do not (Black and Rogaway 2002, "Ciphers with arbitrary finite domains", method 2).

    Parameters
    ----------
    places : ndarray of uint64
        Numbers below `rows`.
    rows : int
        How many there are.
    seed, epoch : int
        Each pair has an order of its own.
    """
    half = np.uint64((max(rows - 1, 1).bit_length() + 1) // 2)
    low = (np.uint64(1) << half) - np.uint64(1)
    numbers = _feistel(places, half, low, seed, epoch)
    while len(outside := np.flatnonzero(numbers >= rows)):
        numbers[outside] = _feistel(numbers[outside], half, low, seed, epoch)
    return numbers.astype(np.int64)


def _feistel(numbers: Words, half: np.uint64, low: np.uint64, seed: int, epoch: int) -> Words:
    left, right = numbers >> half, numbers & low
    for turn in range(ROUNDS):
        left, right = right, left ^ (mixed(right, seed, epoch, turn) & low)
    return left << half | right

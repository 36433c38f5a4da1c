"""A random order of rows that is computed, not kept: which row comes at a place of an epoch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpuvgm.summary.grid import Ints

ROUNDS = 6
GOLDEN = 0x9E3779B97F4A7C15
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
    found = _feistel(places, half, low, seed, epoch)
    while len(beyond := np.flatnonzero(found >= rows)):
        found[beyond] = _feistel(found[beyond], half, low, seed, epoch)
    return found.astype(np.int64)


def _feistel(numbers: Words, half: np.uint64, low: np.uint64, seed: int, epoch: int) -> Words:
    left, right = numbers >> half, numbers & low
    for turn in range(ROUNDS):
        left, right = right, left ^ (mixed(right, seed, epoch, turn) & low)
    return left << half | right


def mixed(numbers: Words, *keys: int) -> Words:
    """64 bits for each number, as random as those of a generator: the finaliser of SplitMix64 (Steele et al. 2014).

    Parameters
    ----------
    numbers : ndarray of uint64
        What is mixed.
    *keys : int
        Whole numbers; each set of them mixes otherwise.
    """
    words = numbers
    for key in keys:
        words = words + np.uint64(((key + 1) * GOLDEN) % 2**64)
        words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        words = words ^ (words >> np.uint64(31))
    return words

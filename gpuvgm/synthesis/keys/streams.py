"""Streams of random numbers: which counters and seeds draws of rows take."""

from __future__ import annotations

from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from gpuvgm.engines import philox_words


def column_number(name: str) -> int:
    """Column part of the generator's counter, another one than that of transform."""
    return int.from_bytes(sha256(b"sample " + name.encode()).digest()[:8], "big")


def seed_of_attempt(seed: int, attempt: int) -> int:
    """Seed of further draws for a row: of seed and attempt alone, so that a row is the same beside any others."""
    return int.from_bytes(sha256(f"{seed} {attempt}".encode()).digest()[:8], "big")


def shuffled(numbers: NDArray[np.uint64], count: int, name: str, seed: int) -> NDArray[np.uint64]:
    """Numbers below `count` in a random order: the place of each number in a permutation that a seed decides.

    A Feistel network of four rounds is applied again where it leaves the range (Black & Rogaway, 2002).
    """
    half = np.uint64((max(count - 1, 1).bit_length() + 1) // 2)
    mask = np.uint64((1 << int(half)) - 1)
    columns = [column_number(f"{name}/round {round_}") for round_ in range(4)]
    # Where there are fewer halves than numbers, the words of all halves are drawn once and looked up.
    halves = np.arange(int(mask) + 1 if mask < len(numbers) else 0, dtype=np.uint64)
    tables = [philox_words(halves, column, seed)[0] for column in columns]

    def permute(left: NDArray[np.uint64], right: NDArray[np.uint64]) -> NDArray[np.uint64]:
        for round_ in range(4):
            word = tables[round_][right] if len(halves) else philox_words(right, columns[round_], seed)[0]
            left, right = right, left ^ (word & mask)
        return left << half | right

    permutation = permute(numbers >> half, numbers & mask)
    outside = np.flatnonzero(permutation >= np.uint64(count))
    while len(outside):
        renewed = permute(permutation[outside] >> half, permutation[outside] & mask)
        permutation[outside], outside = renewed, outside[renewed >= np.uint64(count)]
    return permutation

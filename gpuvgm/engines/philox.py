"""Uniforms as a function of seed, column and row: Philox4x32-10 (Salmon et al. 2011) in NumPy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpuvgm.engines.tables import Draw
from gpuvgm.summary.grid import Floats

COUNTERS = 1 << 14  # worked on at a time, so that they stay in the cache


def philox_uniforms(draw: Draw, rows: int) -> Floats:
    """Uniforms of consecutive rows: the middles of their words' intervals of 2^-32."""
    return np.asarray((philox_words(draw, rows).astype(np.float64) + 0.5) * 2.0**-32)


def philox_words(draw: Draw, rows: int) -> NDArray[np.uint64]:
    """Words of consecutive rows: word row % 4 of Philox4x32-10 at counter row // 4."""
    first, end = draw.first_row >> 2, (draw.first_row + rows + 3) >> 2
    words = np.empty((end - first, 4), np.uint64)
    for start in range(0, end - first, COUNTERS):
        part = words[start : start + COUNTERS]
        counter = np.arange(first + start, first + start + len(part), dtype=np.uint64)
        part[:] = _philox(counter, draw.column, draw.seed).T
    return words.ravel()[draw.first_row & 3 :][:rows]


def _philox(counter: NDArray[np.uint64], column: int, seed: int) -> NDArray[np.uint64]:
    """Four 32-bit words for each counter (Salmon et al. 2011), shape (4, counters)."""
    low = np.uint64(0xFFFFFFFF)
    half = np.uint64(32)
    c0, c1 = counter & low, counter >> half
    c2, c3 = np.full_like(c0, column & 0xFFFFFFFF), np.full_like(c0, column >> 32)
    k0, k1 = seed & 0xFFFFFFFF, seed >> 32
    for _ in range(10):
        p0, p1 = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        c0, c1, c2, c3 = (p1 >> half) ^ c1 ^ np.uint64(k0), p1 & low, (p0 >> half) ^ c3 ^ np.uint64(k1), p0 & low
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack((c0, c1, c2, c3))

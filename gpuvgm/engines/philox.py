"""Uniforms as a function of seed, column and row: Philox4x32-10 (Salmon et al. 2011) in NumPy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpuvgm.engines.tables import Draw
from gpuvgm.summary.grid import Floats


def philox_uniforms(draw: Draw, rows: int) -> Floats:
    """Uniforms of consecutive rows: the middles of their words' intervals of 2^-32."""
    return np.asarray((philox_words(draw, rows).astype(np.float64) + 0.5) * 2.0**-32)


def philox_words(draw: Draw, rows: int) -> NDArray[np.uint64]:
    """Words of consecutive rows: word row % 4 of Philox4x32-10 at counter row // 4."""
    row = np.arange(draw.first_row, draw.first_row + rows, dtype=np.uint64)
    words = _philox(np.unique(row >> np.uint64(2)), draw.column, draw.seed)
    at = (row >> np.uint64(2)) - (row[0] >> np.uint64(2) if rows else np.uint64(0))
    return np.asarray(words[(row & np.uint64(3)).astype(np.int64), at.astype(np.int64)])


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

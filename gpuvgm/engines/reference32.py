"""The float32 specification in NumPy, operation by operation; `gpuvgm.engines.tables.Float32Table` states it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpuvgm.engines.tables import Float32Table, Floats32, parts_of
from gpuvgm.summary.grid import Floats

#: 2^r on [-1/2, 1/2], relative error at most 1e-7, from the highest power down.
EXP2 = tuple(np.float32(c) for c in (0.00132695155, 0.00967129041, 0.0555071086, 0.240222469, 0.693147004, 1.0))
LEAST_POWER = np.float32(-100)
SMALLEST_POSITION = np.float32(2.0**-100)
LARGEST = np.finfo(np.float32).max


def transform_float32(
    x: Floats, table: Float32Table, uniforms: Floats32 | None, scalar: Floats, cell: NDArray[np.unsignedinteger]
) -> None:
    """Write scalar and cell of every row; without uniforms the mode is the most probable one.

    Parameters
    ----------
    x : ndarray of shape (rows,)
        Numbers; NaN is missing.
    table : Float32Table
        The mixture.
    uniforms : ndarray of shape (rows,), float32, optional
        Multiples of 2^-24 in [0, 1).
    scalar, cell : ndarray of shape (rows,)
        Written.
    """
    ordinary = np.isfinite(x)
    with np.errstate(over="ignore", under="ignore"):
        high, low = parts_of(np.ldexp(np.where(ordinary, x, 0.0), table.exponent))
        deviation = ((high - table.mean_high[:, None]) - table.mean_low[:, None]) + low
        t = deviation * table.root_precisions[:, None]
        density = fused(-t, t, table.coefficients[:, None])
        mode = _most_probable(density, table) if uniforms is None else _drawn(density, table, uniforms)
        d, width = deviation[mode, np.arange(len(x))], table.widths[mode]
        limit = np.float32(table.limit)
        z = np.clip(d / width, -limit, limit)
        z[~(np.abs(d) >= width * SMALLEST_POSITION)] = 0.0
    scalar[:] = np.where(ordinary, z, np.float32(0.0))
    cell[:] = np.where(ordinary, table.cells[mode], max(table.missing_cell, 0)).astype(cell.dtype)


def _most_probable(density: Floats32, table: Float32Table) -> NDArray[np.int64]:
    return np.asarray(np.argmax(density[: len(table.widths)], axis=0))


def _drawn(density: Floats32, table: Float32Table, uniforms: Floats32) -> NDArray[np.int64]:
    active = len(table.widths)
    share = exp2(density - np.max(density, axis=0, initial=-LARGEST))
    running = np.add.accumulate(share, axis=0)
    floor = np.float32(table.floor) * running[-1]
    threshold = uniforms * fused(np.float32(active), floor, running[active - 1])
    sums = np.add.accumulate(share[:active] + floor, axis=0)
    return np.asarray(np.sum(sums[:-1] <= threshold, axis=0))


def exp2(t: Floats32) -> Floats32:
    """2^t for t at most 0, and 2^-100 from -100 on."""
    t = np.maximum(t, LEAST_POWER)
    k = np.rint(t)
    r = t - k
    p = np.full_like(r, EXP2[0])
    for coefficient in EXP2[1:]:
        p = fused(p, r, coefficient)
    return np.asarray(np.ldexp(p, k.astype(np.int32)))


def fused(a: Floats32 | np.float32, b: Floats32, c: Floats32 | np.float32) -> Floats32:
    """Product and sum a b + c, rounded once; for results that are not subnormal.

    A float64 holds the product exactly. The sum is rounded to odd (Boldo and Melquiond 2008): where bits are lost, the
    last one that is kept is 1, so that rounding to float32 sees on which side of a midpoint the exact sum lies.
    """
    product, c = np.asarray(a, np.float64) * np.asarray(b, np.float64), np.asarray(c, np.float64)
    with np.errstate(invalid="ignore"):
        total = product + c
        virtual = total - product
        lost = (product - (total - virtual)) + (c - virtual)
    bits = total.view(np.int64)
    odd = np.where((lost > 0) == (total > 0), bits, bits - 1) | 1
    exact = (lost == 0) | ~np.isfinite(total)
    return np.asarray(np.where(exact, total, odd.view(np.float64)), np.float32)

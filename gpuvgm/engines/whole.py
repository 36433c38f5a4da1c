"""Whole numbers as floats and back: the integer arithmetic of columns of integers, datetimes and decimals."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import Array, namespace_of


def difference(values: Array, origin: float) -> Array:
    """Value - origin as float64, where the values lie; of integers exact wherever integers can hold it.

    Parameters
    ----------
    values : array of shape (rows,)
        Integers or floats.
    origin : int or float
        A whole number for integers.
    """
    xp = namespace_of(values)
    if values.dtype.kind == "f" or values.dtype.itemsize < 8 and abs(origin) < 2**53:
        return xp.asarray(values.astype(np.float64) - float(origin))
    if values.dtype == np.uint64 and origin >= 0:
        base = np.uint64(origin)
        return xp.where(values >= base, (values - base).astype(np.float64), -(base - values).astype(np.float64))
    if values.dtype == np.uint64 or not -(2**63) <= origin < 2**63:
        return xp.asarray(values.astype(np.float64) - float(origin))
    integers, least = values.astype(np.int64), np.int64(origin)
    with np.errstate(over="ignore"):
        steps = integers - least
    overflow = ((integers ^ least) & (integers ^ steps)) < 0
    numbers = steps.astype(np.float64)
    if xp is not np or overflow.any():  # which would wait for a device
        numbers = xp.where(overflow, integers.astype(np.float64) - float(least), numbers)
    return numbers


def total(steps: Array, base: int, limits: tuple[int, int], dtype: np.dtype[Any]) -> Array:
    """Base + steps, which are whole numbers of any size, in integers kept within the limits; where the steps lie."""
    xp = namespace_of(steps)
    low, high = float(limits[0] - base), float(limits[1] - base)
    is_inside = (steps > low) & (steps < high)
    # in two halves of 32 bits and modulo 2^64: a step may be longer than any integer type
    upper = xp.floor(xp.where(is_inside, steps, 0.0) * 2.0**-32)
    lower = xp.where(is_inside, steps, 0.0) - upper * 2.0**32
    sums = (upper.astype(np.int64).view(np.uint64) << np.uint64(32)) + lower.astype(np.uint64)
    values = (sums + np.uint64(base % 2**64)).astype(dtype)
    values[steps <= low] = dtype.type(limits[0])  # beyond the ends the end itself is the value
    values[steps >= high] = dtype.type(limits[1])
    return values


def nearest_multiples(numbers: Array, base: int, step: int, limits: tuple[int, int], dtype: np.dtype[Any]) -> Array:
    """Multiples of a step nearest to base + numbers, within the limits, in integers; halves go to the even multiple."""
    low, high = limits
    parts = numbers if step == 1 else (numbers + base % step) / step
    steps = namespace_of(numbers).rint(parts)
    wholes = total(steps, base // step, (-(-low // step), high // step), dtype)
    return wholes if step == 1 else wholes * dtype.type(step)


def is_no_multiple(integers: NDArray[Any], step: int) -> NDArray[np.bool_]:
    """Mask of the integers that are no multiples of a step, where they lie."""
    if integers.dtype.itemsize < 8:
        integers = integers.astype(np.int64)
    if integers.dtype == np.int64 and step >= 2**63:
        off: NDArray[np.bool_] = integers != 0
        return off
    unit = integers.dtype.type(step)
    off = integers // unit * unit != integers
    return off

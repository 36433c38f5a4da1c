"""Buffers of cuDF's columns as arrays of CuPy that do not expose them: cuDF may spill them once the arrays are gone.

`Series.values` gives a buffer's address away for good, and cuDF never spills such a buffer again. Here the array holds
a lock on it, as cuDF's own code does while it works on one (`SpillableBufferOwner.spill_lock`). cuDF frees memory on
the null stream, which waits for the work of other streams on it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuvgm.arrays import Array


class LockedMemory:
    """Part of a buffer of cuDF, which is not spilled as long as this object lives; CuPy's arrays over it hold it.

    Parameters
    ----------
    buffer : cudf.core.buffer.Buffer
        The buffer.
    first : int
        Byte that the part starts at.
    shape : tuple of int
        Shape of the contiguous array that it holds.
    dtype : numpy.dtype
        Type of the array.
    cupy : module
        CuPy; its current stream is the one that works on the array.
    """

    def __init__(self, buffer: Any, first: int, shape: tuple[int, ...], dtype: np.dtype[Any], cupy: Any) -> None:
        self._owner, self._cuda = buffer.owner, cupy.cuda
        self._device, self._stream = cupy.cuda.Device(), cupy.cuda.get_current_stream()
        if hasattr(self._owner, "spill_lock"):  # spilling is on; the lock brings back what is spilled
            self._owner.spill_lock(self)
        self.__cuda_array_interface__ = {
            "shape": shape,
            "typestr": dtype.str,
            "data": (buffer.ptr + first, False),
            "strides": None,
            "version": 3,
        }

    def __del__(self) -> None:
        if self._stream.ptr:
            with self._device:
                self._cuda.Stream.null.wait_event(self._stream.record())


def buffer_values(column: Any, dtype: np.dtype[Any], width: int, cupy: Any) -> Array:
    """Values, shape (rows,), or (rows, width) for values of several words; arbitrary where null."""
    rows = column.size()
    shape = (rows,) if width == 1 else (rows, width)
    if not rows:
        return cupy.empty(shape, dtype)
    return cupy.asarray(LockedMemory(column.data(), column.offset() * width * dtype.itemsize, shape, dtype, cupy))


def nulls_of(column: Any, cupy: Any) -> Array:
    """Rows that are null by the column's bitmask, shape (rows,), bool."""
    rows, (start, skip) = column.size(), divmod(column.offset(), 8)
    size = -(-(skip + rows) // 8)
    bits = cupy.asarray(LockedMemory(column.null_mask(), start, (size,), np.dtype(np.uint8), cupy))
    return cupy.unpackbits(bits, bitorder="little")[skip : skip + rows] == 0

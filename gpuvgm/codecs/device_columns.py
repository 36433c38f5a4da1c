"""Columns whose values lie on a device, and the way between device and host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.multivariate import Array, namespace_of
from gpuvgm.rows import to_numpy


@dataclass(frozen=True, slots=True, eq=False)
class DeviceColumn:
    """Consecutive rows of a column of numbers, datetimes or truth values on a device.

    Parameters
    ----------
    values : array of shape (rows,)
        One contiguous array of the device's namespace: floats, integers or bool; datetimes and durations as the
        integers that they are stored as.
    type : pyarrow.DataType
        Arrow type of the column.
    missing : array of shape (rows,), bool, optional
        Rows without a value, whose `values` may be anything; None where every row has one. NaN is missing too.
    """

    values: Array
    type: pa.DataType
    missing: Array | None = None

    def __len__(self) -> int:
        return int(self.values.shape[0])

    def to_arrow(self) -> pa.Array[Any]:
        """The same rows in the memory of the host."""
        values = to_numpy(self.values)
        if pa.types.is_boolean(self.type):
            values = values.astype(np.bool_, copy=False)
        mask = None if self.missing is None else to_numpy(self.missing)
        array: pa.Array[Any] = pa.array(values, mask=mask)
        return array if array.type == self.type else array.view(self.type)

    def filter(self, rows: Any) -> DeviceColumn:
        """The rows of a mask of the device, or of a slice."""
        return DeviceColumn(self.values[rows], self.type, None if self.missing is None else self.missing[rows])

    def stored(self) -> DeviceColumn:
        """The column as the integers or floats that it is stored as."""
        return DeviceColumn(self.values, pa.from_numpy_dtype(self.values.dtype), self.missing)

    def replaced(self, rows: Array, value: int | float) -> DeviceColumn:
        """The column with one value, in the unit of its type, in some rows."""
        xp = namespace_of(self.values)
        missing = None if self.missing is None else self.missing & ~rows
        return DeviceColumn(xp.where(rows, self.values.dtype.type(value), self.values), self.type, missing)


#: Rows of a column, wherever they lie.
Column: TypeAlias = "pa.Array[Any] | DeviceColumn"


def column_of(values: Array, type_: pa.DataType, missing: Array | None) -> Column:
    """Column of stored values where these lie: an Arrow array on the host, a `DeviceColumn` elsewhere."""
    column = DeviceColumn(values, type_, missing)
    return column if is_on_device(values) else column.to_arrow()


def on_host(column: Column) -> pa.Array[Any]:
    """The column in the memory of the host."""
    return column.to_arrow() if isinstance(column, DeviceColumn) else column


def is_on_device(array: Array) -> bool:
    """Whether an array lies anywhere but in the memory of the host."""
    return namespace_of(array) is not np


def beside(array: Array, other: Array) -> Array:
    """An array where the other one lies."""
    xp = namespace_of(other)
    if xp is np:
        return to_numpy(array)
    return array if is_on_device(array) else xp.asarray(array)


def host_rows(rows: Array) -> NDArray[np.bool_]:
    """A mask of rows in the memory of the host, where messages are made."""
    found: NDArray[np.bool_] = to_numpy(rows)
    return found

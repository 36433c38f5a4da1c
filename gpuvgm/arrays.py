"""Arrays of any namespace, columns whose values lie on a device, and the way between device and host."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.errors import InputError

SHORT = 18  # digits of decimals that 64 bits always hold

GOLDEN = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio

Array = Any  # an array of any namespace; mypy knows no protocol of the array API standard


def namespace_of(x: Array) -> Any:
    """Return the module of an array's functions; CuPy's arrays do not name theirs."""
    if isinstance(x, np.ndarray):
        return np
    if hasattr(x, "__array_namespace__"):
        return x.__array_namespace__()
    return sys.modules[type(x).__module__.partition(".")[0]]


def check_device(x: Array, current: int, name: str = "") -> None:
    """Refuse an array of CuPy on another device than the current one.

    Raises
    ------
    InputError
        Naming both, and what to do.
    """
    number = x.device.id
    if number != current:
        raise InputError(
            f"{name and f'{name}: '}rows lie on device {number}, but device {current} is the current one: "
            f"work within `with cupy.cuda.Device({number}):`"
        )


def to_numpy(x: Array) -> Any:
    """An array on the host."""
    if hasattr(x, "get"):
        return x.get()
    return x if isinstance(x, np.ndarray) else np.from_dlpack(x)


def ascending(values: NDArray[Any]) -> NDArray[Any]:
    """Return values of the host in ascending order; an array that is sorted already is returned as it is."""
    return values if _ascend(values) else np.sort(values)


def _ascend(values: NDArray[Any]) -> bool:
    return bool(np.all(values[1:] >= values[:-1]))


def distinct_values(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the distinct values of the host, none of them NaN, in ascending order, and their counts."""
    sorted_values = ascending(values)
    rises = sorted_values[1:] != sorted_values[:-1]
    if rises.all():
        return sorted_values, np.ones(len(sorted_values), np.int64)
    first = np.append(0, np.flatnonzero(rises) + 1)
    return sorted_values[first], np.diff(first, append=len(sorted_values))


@dataclass(frozen=True, slots=True, eq=False)
class DeviceColumn:
    """Consecutive rows of a column on a device: numbers, datetimes, booleans, decimals, or places in a dictionary.

    Parameters
    ----------
    values : array of shape (rows,)
        One contiguous array of the device's namespace: floats, integers or bool; datetimes and durations as the
        integers that they are stored as; decimals without their decimal point; or places in the dictionary.
    type : pyarrow.DataType
        Arrow type of the column.
    missing : array of shape (rows,), bool, optional
        Rows without a value, whose `values` may be anything; None where every row has one. NaN is missing too.
    dictionary : pyarrow.Array, optional
        Values, on the host, of a column that has places for them: the words of a dictionary type, or values of any
        other type, perhaps in a wider one.
    """

    values: Array
    type: pa.DataType
    missing: Array | None = None
    dictionary: pa.Array[Any] | None = None

    def __len__(self) -> int:
        return int(self.values.shape[0])

    @classmethod
    def of(cls, array: pa.Array[Any], type_: pa.DataType, namespace: Any) -> DeviceColumn:
        """Return rows of the host as a column of a type on the device of a namespace.

        What the device cannot store as numbers, such as text and decimals, becomes places in the array.
        """
        stored: Any
        words: Any = None
        if pa.types.is_dictionary(type_):
            stored, words = array.indices, array.dictionary  # type: ignore[attr-defined]
        elif cls.is_plain(type_):
            stored = array.cast(type_)
            stored = stored.view(pa.int64()) if pa.types.is_temporal(type_) else stored
        else:
            stored, words = pa.array(np.arange(len(array), dtype=np.min_scalar_type(len(array)))), array
        values = stored.fill_null(pa.scalar(0).cast(stored.type)).to_numpy(zero_copy_only=False)
        missing = namespace.asarray(array.is_null().to_numpy(zero_copy_only=False)) if array.null_count else None
        return cls(namespace.asarray(values), type_, missing, words)

    @staticmethod
    def is_plain(type_: pa.DataType) -> bool:
        """Return whether devices store the type as one array of numbers that engines work on."""
        if pa.types.is_timestamp(type_):
            return type_.tz is None
        numbers = pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_boolean(type_)
        return bool(numbers or pa.types.is_duration(type_))

    @property
    def is_array(self) -> bool:
        """True if `values` are the column's own values, not unscaled decimals or places in a dictionary."""
        return self.dictionary is None and not pa.types.is_decimal(self.type)

    def to_arrow(self) -> pa.Array[Any]:
        """Return the rows in the memory of the host."""
        values, mask = to_numpy(self.values), None if self.missing is None else to_numpy(self.missing)
        if self.dictionary is None:
            return _array_of(values, self.type, mask)
        places: pa.Array[Any] = pa.array(values, mask=mask)
        if not pa.types.is_dictionary(self.type):
            return self.dictionary.take(places).cast(self.type)
        dictionary_type: Any = self.type
        words: Any = pa.DictionaryArray.from_arrays(places.cast(dictionary_type.index_type), self.dictionary)
        return words if words.type == self.type else words.cast(self.type)  # type: ignore[no-any-return]

    def slice(self, first_row: int, length: int) -> DeviceColumn:
        """Consecutive rows."""
        return self.filter(slice(first_row, first_row + length))

    def filter(self, rows: Any) -> DeviceColumn:
        """Return the rows that a mask or numbers on the device, or a slice, select."""
        missing = None if self.missing is None else self.missing[rows]
        return DeviceColumn(self.values[rows], self.type, missing, self.dictionary)

    def float64(self) -> Array:
        """Return numbers in float64, NaN where they are missing."""
        xp, values = namespace_of(self.values), widened(self.values)
        return values if self.missing is None else xp.where(self.missing, np.float64(np.nan), values)

    def stored(self) -> DeviceColumn:
        """Return the column as the integers or floats that store it."""
        return DeviceColumn(self.values, pa.from_numpy_dtype(self.values.dtype), self.missing)

    def replaced(self, rows: Array, value: int | float) -> DeviceColumn:
        """Return the column with one value, in the unit of its type, in some rows."""
        xp = namespace_of(self.values)
        missing = None if self.missing is None else self.missing & ~rows
        if missing is not None and not missing.any():
            missing = None  # what is missing nowhere keeps its type
        return DeviceColumn(xp.where(rows, self.values.dtype.type(value), self.values), self.type, missing)


def decimals(unscaled: NDArray[Any], type_: pa.DataType, missing: NDArray[np.bool_] | None) -> pa.Array[Any]:
    """Return a decimal column of unscaled integers, or of two 64-bit words each; null where missing."""
    if unscaled.ndim == 1 and type_.bit_width == 128:
        # The upper word of 128 bits is the sign of the lower one.
        unscaled = np.column_stack([unscaled, unscaled.astype(np.int64) >> 63])
    words = unscaled.astype("<i4" if type_.bit_width == 32 else "<i8", copy=False)
    holds = None if missing is None or not missing.any() else pa.array(~missing).buffers()[1]
    return pa.Array.from_buffers(type_, len(words), [holds, pa.py_buffer(np.ascontiguousarray(words).data)])


#: Rows of a column, wherever they lie.
Column: TypeAlias = "pa.Array[Any] | DeviceColumn"


def column_of(values: Array, type_: pa.DataType, missing: Array | None) -> Column:
    """Return a column of stored values: an Arrow array on the host, a `DeviceColumn` on a device."""
    return DeviceColumn(values, type_, missing) if is_on_device(values) else _array_of(values, type_, missing)


def _array_of(values: NDArray[Any], type_: pa.DataType, missing: NDArray[np.bool_] | None) -> pa.Array[Any]:
    """Return an Arrow array of values of the host that are stored as those of a `DeviceColumn`."""
    if pa.types.is_decimal(type_):
        return decimals(values, type_, missing)
    if pa.types.is_boolean(type_):
        values = values.astype(np.bool_, copy=False)
    array: pa.Array[Any] = pa.array(values, mask=missing)
    return array if array.type == type_ else array.view(type_)


def on_host(column: Column) -> pa.Array[Any]:
    """The column in the memory of the host."""
    return column.to_arrow() if isinstance(column, DeviceColumn) else column


class RowReader(Protocol):
    """A codec, a column or a counter, which says where it works on rows."""

    def works_on_device(self, type_: pa.DataType) -> bool:
        """Return whether rows of a type are worked on where they lie on a device."""


def usable_rows(reader: RowReader, column: Column) -> Column:
    """Rows where their reader works on them: those of a device stay there, or come to the host."""
    return column if isinstance(column, DeviceColumn) and reader.works_on_device(column.type) else on_host(column)


def is_on_device(array: Array) -> bool:
    """Return whether an array lies anywhere but in the memory of the host."""
    return namespace_of(array) is not np


def beside(array: Array, target: Array) -> Array:
    """Move an array to the memory that the target lies in."""
    xp = namespace_of(target)
    if xp is np:
        return to_numpy(array)
    return array if is_on_device(array) else xp.asarray(array)


def together(*arrays: Array) -> list[Array]:
    """Move arrays to the device of the first one that lies on a device."""
    target = next(filter(is_on_device, arrays), arrays[0])
    return [beside(array, target) for array in arrays]


def widened(numbers: Array) -> Array:
    """Return floats exactly as float64; on a device a plain conversion flushes subnormal float32 to 0."""
    if not is_on_device(numbers) or numbers.dtype != np.float32:
        return numbers.astype(np.float64, copy=False)
    bits = numbers.view(np.uint32)
    sign = 1.0 - 2.0 * (bits >> np.uint32(31)).astype(np.float64)
    subnormal = (bits & np.uint32(0x007FFFFF)).astype(np.float64) * 2.0**-149
    small = (bits & np.uint32(0x7F800000)) == 0
    return namespace_of(numbers).where(small, sign * subnormal, numbers.astype(np.float64))


def narrowed(numbers: Array) -> Array:
    """Float64 rounded to the nearest float32, subnormal ones too; see `widened`."""
    if not is_on_device(numbers) or numbers.dtype == np.float32:
        return numbers.astype(np.float32, copy=False)
    xp = namespace_of(numbers)
    size = xp.abs(numbers)
    small = size < 2.0**-126
    steps = xp.rint(xp.where(small, size, 0.0) * 2.0**149).astype(np.uint32)  # 2^23 of them are the least normal one
    signs = xp.signbit(numbers).astype(np.uint32) << np.uint32(31)
    return xp.where(small, (steps | signs).view(np.float32), numbers.astype(np.float32))


def mixed(numbers: NDArray[np.uint64], *keys: int) -> NDArray[np.uint64]:
    """Hash each number to 64 random bits: the finaliser of SplitMix64 (Steele et al. 2014).

    Parameters
    ----------
    numbers : ndarray of uint64
        Numbers to hash.
    *keys : int
        Whole numbers; different keys give independent bits.
    """
    words = numbers
    for key in keys:
        words = words + np.uint64(((key + 1) * GOLDEN) % 2**64)
        words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        words = words ^ (words >> np.uint64(31))
    return words

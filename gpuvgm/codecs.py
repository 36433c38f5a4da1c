"""Codecs: Arrow columns to float64 arrays, in which NaN is the one mark of a missing value, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gpuvgm.errors import InputError
from gpuvgm.grid import Floats

Number = int | float


class Codec(Protocol):
    """How one column's values become float64 numbers and come back.

    The numbers may lie on another origin than the values (`base`); everything fitted refers to the numbers.
    """

    name: ClassVar[str]

    @property
    def type(self) -> str:
        """Arrow type of the column, as `str` gives it."""

    @property
    def base(self) -> int:
        """What is subtracted from the values, exactly, before they become numbers."""

    def encode(self, column: pa.Array[Any]) -> Floats:
        """Numbers of a column, shape (rows,); NaN where a value is missing."""

    def decode(self, numbers: Floats) -> pa.Array[Any]:
        """Values of the numbers in the column's own type; null where a number is NaN."""

    def value(self, number: float) -> Number:
        """One number as a value of the column's own kind."""


@dataclass(frozen=True, slots=True)
class FloatCodec:
    """Floating-point columns; 16 and 32 bits are widened exactly.

    Parameters
    ----------
    type : str
        "double", "float", "halffloat", or "null" for a column without any value.
    infinite_is_missing : bool
        Take infinities for missing values instead of refusing them later.
    """

    type: str
    infinite_is_missing: bool = False
    name: ClassVar[str] = "float"

    @property
    def base(self) -> int:
        """Always 0: the grid's centre does this work."""
        return 0

    def encode(self, column: pa.Array[Any]) -> Floats:
        """Numbers of a column; nulls and NaN are both missing."""
        if pa.types.is_null(column.type):
            return np.full(len(column), np.nan)
        numbers = column.to_numpy(zero_copy_only=False).astype(np.float64, copy=False)
        if self.infinite_is_missing and not np.all(np.isfinite(numbers) | np.isnan(numbers)):
            numbers = np.where(np.isinf(numbers), np.nan, numbers)
        return np.ascontiguousarray(numbers)

    def decode(self, numbers: Floats) -> pa.Array[Any]:
        """Values in the column's own precision."""
        # without a NaN the array is taken as it is, without a copy
        array = pa.array(numbers, pa.float64(), from_pandas=bool(np.isnan(numbers).any()))
        return array if self.type in ("double", "null") else pc.cast(array, arrow_type(self.type), safe=False)

    def value(self, number: float) -> Number:
        """The number itself."""
        return float(number)


@dataclass(frozen=True, slots=True)
class IntegerCodec:
    """Integer columns: `base` is subtracted in integers first, so that values beyond 2^53 keep their digits.

    Parameters
    ----------
    type : str
        Arrow integer type, for example "int64".
    base : int
        An integer near the middle of the column.
    """

    type: str
    base: int
    name: ClassVar[str] = "integer"

    def encode(self, column: pa.Array[Any]) -> Floats:
        """Numbers of a column: value - base."""
        whole = pc.fill_null(column, pa.scalar(self.base, column.type)).to_numpy(zero_copy_only=False)
        numbers = self._difference(whole)
        if column.null_count:
            numbers[pc.is_null(column).to_numpy(zero_copy_only=False)] = np.nan
        return numbers

    def _difference(self, whole: np.ndarray[Any, Any]) -> Floats:
        if whole.dtype.kind == "f":  # an integer column that comes with missing values, from pandas say
            return np.asarray(whole.astype(np.float64) - self.base)
        if whole.dtype.itemsize < 8 or self.base == 0:
            return np.asarray(whole.astype(np.float64) - self.base)
        if whole.dtype == np.uint64:
            return np.where(
                whole >= np.uint64(self.base),
                (whole - np.uint64(self.base)).astype(np.float64),
                -(np.uint64(self.base) - whole).astype(np.float64),
            )
        base = np.int64(self.base)
        with np.errstate(over="ignore"):
            difference = whole - base
        overflow = ((whole ^ base) & (whole ^ difference)) < 0
        numbers = difference.astype(np.float64)
        if np.any(overflow):
            numbers[overflow] = whole[overflow].astype(np.float64) - float(base)
        return numbers

    def decode(self, numbers: Floats) -> pa.Array[Any]:
        """Values rounded half to even and kept within the type's range."""
        dtype: np.dtype[Any] = np.dtype(self.type)
        missing = np.isnan(numbers)
        limits = np.iinfo(dtype)
        steps = np.rint(np.where(missing, 0.0, numbers))
        # compared as float64: beyond the ends the end itself is the value
        low, high = float(int(limits.min) - self.base), float(int(limits.max) - self.base)
        inside = (steps > low) & (steps < high) & (np.abs(steps) < 2.0**63)
        whole = np.where(inside, steps, 0.0).astype(np.int64)
        values = whole.astype(dtype) + np.array(self.base).astype(dtype)
        values[~inside & (steps <= low)] = limits.min
        values[~inside & (steps >= high)] = limits.max
        array: pa.Array[Any] = pa.array(values, mask=missing) if np.any(missing) else pa.array(values)
        return array

    def value(self, number: float) -> Number:
        """The integer that a number stands for."""
        return self.base + round(number)


def arrow_type(name: str) -> pa.DataType:
    """Arrow type of a name that `str` gave."""
    return pa.type_for_alias(name)  # type: ignore[call-overload,no-any-return]  # the stubs want a literal


def codec_for(name: str, type_: pa.DataType, sample: pa.ChunkedArray[Any], *, infinite_is_missing: bool) -> Codec:
    """Codec for a numeric column.

    Parameters
    ----------
    name : str
        The column, for messages.
    type_ : pyarrow.DataType
        Its Arrow type.
    sample : pyarrow.ChunkedArray
        Some of its values; integers take their base from here.
    infinite_is_missing : bool
        Take infinities for missing values.

    Raises
    ------
    InputError
        For a type that is not a number.
    """
    if pa.types.is_integer(type_):
        present = sample.drop_null()
        middle = pc.sort_indices(present)[len(present) // 2].as_py() if len(present) else None
        return IntegerCodec(str(type_), 0 if middle is None else int(present[middle].as_py()))
    if pa.types.is_floating(type_) or pa.types.is_null(type_):
        return FloatCodec(str(type_), infinite_is_missing)
    raise InputError(
        f'column "{name}" holds {type_} values, not numbers: leave it out of `columns`, or convert it first'
    )

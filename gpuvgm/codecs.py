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
        filled: pa.Array[Any] = pc.fill_null(column, pa.scalar(0, column.type)) if column.null_count else column
        whole = filled.to_numpy(zero_copy_only=False)
        numbers = self._difference(whole)
        if column.null_count:
            numbers[pc.is_null(column).to_numpy(zero_copy_only=False)] = np.nan
        return numbers

    def _difference(self, whole: np.ndarray[Any, Any]) -> Floats:
        """Value - base, exact in integers wherever these can hold it; the type need not be the model's."""
        if whole.dtype.kind == "f" or whole.dtype.itemsize < 8 and abs(self.base) < 2**53:
            return np.asarray(whole.astype(np.float64) - self.base)
        if whole.dtype == np.uint64 and self.base >= 0:
            base = np.uint64(self.base)
            return np.where(whole >= base, (whole - base).astype(np.float64), -(base - whole).astype(np.float64))
        if whole.dtype == np.uint64 or self.base >= 2**63:
            return np.asarray(whole.astype(np.float64) - float(self.base))
        whole, base_ = whole.astype(np.int64), np.int64(self.base)
        with np.errstate(over="ignore"):
            difference = whole - base_
        overflow = ((whole ^ base_) & (whole ^ difference)) < 0
        numbers = difference.astype(np.float64)
        numbers[overflow] = whole[overflow].astype(np.float64) - float(base_)
        return numbers

    def decode(self, numbers: Floats) -> pa.Array[Any]:
        """Values rounded half to even and kept within the type's range."""
        dtype: np.dtype[Any] = np.dtype(self.type)
        missing = np.isnan(numbers)
        limits = np.iinfo(dtype)
        steps = np.rint(np.where(missing, 0.0, numbers))
        low, high = float(int(limits.min) - self.base), float(int(limits.max) - self.base)
        inside = (steps > low) & (steps < high)
        # in two halves of 32 bits and modulo 2^64: a step may be longer than any integer type
        upper = np.floor(np.where(inside, steps, 0.0) * 2.0**-32)
        lower = np.where(inside, steps, 0.0) - upper * 2.0**32
        total = (upper.astype(np.int64).view(np.uint64) << np.uint64(32)) + lower.astype(np.uint64)
        values = (total + np.uint64(self.base % 2**64)).astype(dtype)
        values[steps <= low] = limits.min  # beyond the ends the end itself is the value
        values[steps >= high] = limits.max
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

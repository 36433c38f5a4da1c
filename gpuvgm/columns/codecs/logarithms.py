"""Columns whose numbers are logarithms."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from gpuvgm.arrays import Column, on_host, to_numpy
from gpuvgm.columns.codecs.arrays import power_of_ten
from gpuvgm.columns.codecs.base import Bools, Codec, Number
from gpuvgm.columns.codecs.decimals import DecimalCodec
from gpuvgm.columns.codecs.floats import FloatCodec
from gpuvgm.summary.grid import Floats

ROUNDING = 2.0**-49  # of logarithms and of what they are taken of, there and back


@dataclass(frozen=True, slots=True)
class LogCodec:
    """Columns whose numbers are natural logarithms of the values; decimals count with their decimal point.

    Parameters
    ----------
    inner : Codec
        The column without its logarithm.
    low : int, float or None
        None: numbers are ln(x), for columns above 0. Otherwise they are ln(1 + (x - low)), with `low` in the column's
        own unit.
    """

    inner: Codec
    low: Number | None
    name: ClassVar[str] = "log"
    host_only: ClassVar[bool] = True

    @property
    def type(self) -> str:
        """Arrow type of the column."""
        return self.inner.type

    @property
    def base(self) -> int:
        """Always 0."""
        return 0

    @property
    def limits(self) -> tuple[Number, Number]:
        """Least and largest value that the column can hold."""
        return self.inner.limits

    @property
    def _origin(self) -> Number:
        return 0 if self.low is None else self.low

    @property
    def unit(self) -> float:
        """How many of the column's own units make 1."""
        return power_of_ten(self.inner.scale) if isinstance(self.inner, DecimalCodec) else 1.0

    @property
    def _shifted(self) -> Codec:
        """The inner codec with its base at the origin, so that differences from there are exact."""
        if isinstance(self.inner, FloatCodec):
            return self.inner
        return replace(self.inner, base=int(self._origin))  # type: ignore[type-var]  # all codecs are dataclasses

    @property
    def spacing(self) -> float:
        """Always 0: logarithms of equal steps are not equally far apart."""
        return 0.0

    def off_step(self, column: Column, numbers: Floats) -> Bools | None:
        """Rows whose value, not its logarithm, is no multiple of the step; see `Codec.off_step`."""
        if getattr(self.inner, "step", None) in (None, 1):
            return None
        column = on_host(column)
        return self.inner.off_step(column, self.inner.encode(column))

    def encode(self, column: Column) -> Floats:
        """Logarithms of a column, on the host; -inf at and below the limit of the domain, NaN for missing values."""
        numbers = self._shifted.encode(on_host(column))
        if isinstance(self.inner, FloatCodec) and self._origin:
            with np.errstate(over="ignore"):
                numbers = numbers - self._origin
        return self._logarithms(numbers / self.unit)

    def _logarithms(self, numbers: Floats) -> Floats:
        with np.errstate(divide="ignore"):
            if self.low is None:
                return np.asarray(np.log(np.maximum(numbers, 0.0)))
            return np.asarray(np.log1p(np.maximum(numbers, -1.0)))

    def of_inner(self, numbers: Floats) -> Floats:
        """Logarithms of numbers of the inner codec."""
        return self._logarithms((numbers + float(self.inner.base - self._origin)) / self.unit)

    def decode(self, numbers: Floats) -> Column:
        """Values of logarithms on the host, rounded and kept within the type's range."""
        return self._shifted.decode(self._linear(to_numpy(numbers)))

    def _linear(self, numbers: Floats) -> Floats:
        """Numbers of `_shifted`; none too large for a float."""
        with np.errstate(over="ignore", under="ignore"):
            linear = np.asarray((np.exp(numbers) if self.low is None else np.expm1(numbers)) * self.unit)
            if isinstance(self.inner, FloatCodec):
                linear = np.clip(linear + self._origin, *self.inner.limits)
        return linear

    def value(self, number: float) -> Number:
        """The value whose logarithm a number is."""
        linear = float(self._linear(np.array([number]))[0])
        low, high = self.limits
        return high if linear == np.inf else min(max(self._shifted.value(linear), low), high)

    def number(self, value: Number) -> float:
        """The value's logarithm; -inf at and below the limit of the domain."""
        shifted = self._shifted.number(value)
        if isinstance(self.inner, FloatCodec):
            shifted -= self._origin
        return float(self._logarithms(np.array([shifted / self.unit]))[0])

    def value_error(self, error: float, low: Number, high: Number) -> float:
        """What a logarithm's error comes to at the largest value; see `Codec.value_error`."""
        ends = self.number(low), self.number(high)
        error += ROUNDING * (1 + max(map(abs, ends)))
        linear = float(np.exp(ends[1] + np.log(np.expm1(error)))) * self.unit
        size = max(abs(float(low)), abs(float(high)))
        return self.inner.value_error(linear + ROUNDING * size, low, high)

    def parse(self, given: object) -> Number:
        """A value, not its logarithm, as the inner codec reads it."""
        return self.inner.parse(given)

    def equals(self, column: Column, value: Number) -> Bools:
        """Rows that hold exactly the value."""
        return self.inner.equals(on_host(column), value)

    def show(self, value: Number) -> str:
        """The value, not its logarithm."""
        return self.inner.show(value)

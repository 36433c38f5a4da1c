"""Base of codecs whose numbers are a curved function of the values."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.arrays import Column, DeviceColumn, namespace_of, to_numpy
from gpuvgm.codecs.arrays import in_parts, power_of_ten
from gpuvgm.codecs.base import ORDINARY, Bools, Codec, Number
from gpuvgm.codecs.decimals import DecimalCodec
from gpuvgm.codecs.floats import FloatCodec
from gpuvgm.engines import Draw, EncodeTable, Engine, KernelTable, RowRules, Scale, Step
from gpuvgm.summary import Floats, Frame

ROUNDING = 2.0**-49  # of numbers and of the values that they are taken of, there and back
_NO_NUMBER, _MODAL = 1, 2  # codes of rows without a number, and of the first modal value
#: On a scale every number is below 2^11; engines flush scalars below 2^-126 to 0, which only subnormal ones reach so.
_LARGE = 2.0**900


class CurvedCodec(Codec):
    """A codec around another one, whose numbers are a function of the values.

    Attributes
    ----------
    name : str
        The function, and the option that asks for it.
    needs_lowest : bool
        Whether `around` needs the least ordinary value of all rows.
    """

    __slots__ = ()
    name: ClassVar[str]
    needs_lowest: ClassVar[bool] = False

    def works_on_device(self, type_: pa.DataType) -> bool:
        """Return whether an engine makes numbers of what a device stores; the function itself runs on the host."""
        return self.row_rules(type_, on_device=True) is not None

    def row_rules(self, type_: pa.DataType, *, on_device: bool) -> RowRules | None:
        """Rules of the inner codec's values, counted from the origin, on the scale; see `Codec.row_rules`."""
        rules, scale = self.shifted.row_rules(type_, on_device=on_device), self.scale
        if rules is None or scale is None:
            return None
        return replace(rules, scale=scale, origin=self.origin, unit=self.unit)

    @property
    def decoded_step(self) -> Step | None:
        """The step of the inner codec."""
        return self.inner.decoded_step

    @property
    def stored_dtype(self) -> np.dtype[Any]:
        """Dtype of the inner codec."""
        return self.inner.stored_dtype

    if TYPE_CHECKING:

        @property
        def inner(self) -> Codec:
            """The column without the function."""

    @property
    def plain(self) -> Codec:
        """The inner codec."""
        return self.inner

    @property
    def declared(self) -> dict[str, float]:
        """The option of the function's name, which only asks for it."""
        return {self.name: True}

    @classmethod
    def around(cls, inner: Codec, setting: Any, lowest: Number | None) -> Codec:
        """A codec with the function around it, as the option's setting and the least ordinary value say."""
        return cls(inner)  # type: ignore[call-arg]  # a dataclass

    def check(self) -> None:
        """Raise ValueError where the parts of a loaded codec do not fit together."""

    def ordinary_numbers(
        self, values: Column, modal: Sequence[Number | None] = (), engine: Engine | None = None
    ) -> tuple[Floats, NDArray[np.int64] | None]:
        """Numbers of rows, those of a device by an engine; infinite ones have no sign then. See `Codec`."""
        values = self.rows_of(values)
        if engine is None or not isinstance(values, DeviceColumn):
            return Codec.ordinary_numbers(self, values, modal)
        rules = self.modal_rules(values.type, modal, on_device=True)
        assert rules is not None
        (rows, missing), xp = self.stored_rows(values), namespace_of(values.values)
        scalar, code = xp.empty(len(rows), np.float64), xp.empty(len(rows), np.int16)
        engine.encode(rows, rules, _single_mode(len(modal)), Draw(most_probable=True), (scalar, code), missing)
        is_infinite = (code == _NO_NUMBER) & ~xp.isnan(self.plain.encode(values))
        numbers = xp.where(code == 0, scalar / _LARGE, xp.where(is_infinite, np.inf, np.nan))
        return numbers, xp.maximum(code.astype(np.int64) - _MODAL, ORDINARY) if modal else None

    def converted(self, numbers: Floats, codec: Codec) -> Floats:
        """Numbers as those of a comparable codec, whose function may have other parameters."""
        assert isinstance(codec, CurvedCodec)
        is_same = replace(self, inner=codec.inner) == codec
        return numbers if is_same else codec.curve(self.linear(numbers))

    @property
    def length_mark(self) -> str:
        """Text after a difference of two numbers."""
        return f" ({self.name})"

    @property
    def type(self) -> Any:
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
    def origin(self) -> Number:
        """Origin that values are counted from, in the column's own unit."""
        return 0

    @property
    def unit(self) -> float:
        """Number of the column's own units that make 1: decimals count with their decimal point."""
        return unit_of(self.inner)

    @property
    def shifted(self) -> Codec:
        """The inner codec with its base at the origin, so that differences from there are exact."""
        return self.inner.with_base(int(self.origin))

    @property
    def step_text(self) -> str:
        """The step of the inner codec."""
        return self.inner.step_text

    def without_step(self) -> Codec:
        """The codec whose inner one has no step."""
        return replace(self, inner=self.inner.without_step())

    @property
    def scale(self) -> Scale | None:
        """The function, for engines; None for one that they do not know."""
        return None

    @abstractmethod
    def curve(self, numbers: Floats) -> Floats:
        """The function, of values counted from the origin."""

    @abstractmethod
    def linear(self, numbers: Floats) -> Floats:
        """The inverse of `curve`; infinite where it is too large for a float."""

    @abstractmethod
    def slope(self, numbers: Floats) -> Floats:
        """Derivative of `linear`, which is positive."""

    @property
    def spacing(self) -> float:
        """Always 0: functions of equal steps are not equally far apart."""
        return 0.0

    def off_step(self, column: Column, numbers: Floats) -> Bools | None:
        """Rows whose value, not the function of it, is no multiple of the step; see `Codec.off_step`."""
        if getattr(self.inner, "step", None) in (None, 1):
            return None
        return self.inner.off_step(column, self.inner.encode(column))

    def encode(self, column: Column) -> Floats:
        """Numbers of rows of the host, NaN for missing values; an engine makes those of a device, see `row_rules`."""
        numbers = self.shifted.encode(column)
        if isinstance(self.inner, FloatCodec) and self.origin:
            with np.errstate(over="ignore"):
                numbers = numbers - self.origin
        curved: Floats = in_parts(lambda part: self.curve(part / self.unit), numbers)
        return curved

    def of_inner(self, numbers: Floats) -> Floats:
        """Numbers of numbers of the inner codec."""
        return self.curve((numbers + float(self.inner.base - self.origin)) / self.unit)

    def to_inner(self, numbers: Floats) -> Floats:
        """Numbers of the inner codec of numbers."""
        return self.linear(numbers) * self.unit - float(self.inner.base - self.origin)

    def decode(self, numbers: Floats, *, complete: bool = False) -> Column:
        """Values of numbers on the host, rounded and kept within the type's range."""
        return self.shifted.decode(in_parts(self._values, to_numpy(numbers)))

    def _values(self, numbers: Floats) -> Floats:
        """Numbers of `shifted`; none too large for a float."""
        with np.errstate(over="ignore", under="ignore"):
            linear = self.linear(numbers) * self.unit
            if isinstance(self.inner, FloatCodec):
                linear = np.clip(linear + self.origin, *self.inner.limits)
        return np.asarray(linear)

    def value(self, number: float) -> Number:
        """The value of a number."""
        linear = float(self._values(np.array([number]))[0])
        low, high = self.limits
        if np.isinf(linear):
            return high if linear > 0 else low
        return min(max(self.shifted.value(linear), low), high)

    def number(self, value: Number) -> float:
        """The number of a value."""
        shifted = self.shifted.number(value)
        if isinstance(self.inner, FloatCodec):
            shifted -= self.origin
        return float(self.curve(np.array([shifted / self.unit]))[0])

    def value_error(self, error: float, low: Number, high: Number) -> float:
        """Error of a value where the function is flattest; see `Codec.value_error`."""
        ends = self.number(low), self.number(high)
        error += ROUNDING * (1 + max(map(abs, ends)))
        # Within the error the slope grows by a factor of exp(error) at most.
        linear = float(np.max(self.slope(np.array(ends)))) * float(np.expm1(error)) * self.unit
        size = max(abs(float(low)), abs(float(high)))
        return self.inner.value_error(linear + ROUNDING * size, low, high)

    def parse(self, literal: object) -> Number:
        """A value, not its number, as the inner codec reads it."""
        return self.inner.parse(literal)

    def equals(self, column: Column, value: Number) -> Bools:
        """Rows that hold exactly the value."""
        return self.inner.equals(column, value)

    def show(self, value: Number) -> str:
        """The value, not its number."""
        return self.inner.show(value)

    def length_text(self, length: float, digits: int = 4) -> str:
        """A difference of two numbers, on the scale."""
        return f"{length:.{digits}g}{self.length_mark}"


@cache
def _single_mode(modal: int) -> EncodeTable:
    """Table that gives all numbers a scalar, which is `_LARGE` times the number, and as many modal values a code."""
    mixture = KernelTable(Frame(_LARGE, 0.0), np.zeros(1), np.zeros(1), np.zeros(1))
    limit, codes = float(np.finfo(np.float64).max), np.arange(modal) + _MODAL
    return EncodeTable(mixture, np.ones(1), np.zeros(1, np.int64), 0.0, limit, _NO_NUMBER, codes)


def unit_of(codec: Codec) -> float:
    """Number of a column's own units that make 1."""
    return power_of_ten(codec.scale) if isinstance(codec, DecimalCodec) else 1.0


def rounding_variance(codec: Codec, numbers: Floats) -> Floats:
    """Variance of numbers by rounding to the column's step h: h^2 / 12, uniform over the step; 0 without one."""
    if not isinstance(codec, CurvedCodec):
        return np.full(len(numbers), codec.spacing**2 / 12)
    with np.errstate(over="ignore"):
        return np.asarray((codec.inner.spacing / codec.unit / codec.slope(numbers)) ** 2 / 12)


def rounding_in(codec: Codec, frame: Frame, means: Floats) -> Floats:
    """Variance of rounding to the step at the mean of each component, in the frame's coordinates."""
    return np.asarray((np.sqrt(rounding_variance(codec, frame.invert(means))) * frame.scale) ** 2)

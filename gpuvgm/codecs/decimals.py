"""Decimal columns: integers without their decimal point."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gpuvgm.arrays import SHORT, Column, DeviceColumn, column_of, decimals, to_numpy
from gpuvgm.codecs.arrays import (
    WIDE,
    WIDEST,
    Integers,
    as_numbers,
    decimal_floats,
    differences_of_digits,
    digits_of,
    equal_rows,
    filled,
    float_values,
    power_of_ten,
    present,
    sums_of_digits,
    whole_units,
    with_missing,
    words_of,
)
from gpuvgm.codecs.base import Bools, Number, NumberType, WholeCodec, error_in_steps
from gpuvgm.codecs.integers import decoded_integers, difference_of, differences, multiples, off_multiples
from gpuvgm.codecs.literals import decimal_of, scaled, within
from gpuvgm.engines import RowRules
from gpuvgm.records import LARGEST_WHOLE
from gpuvgm.rules import whole
from gpuvgm.summary import Floats


@dataclass(frozen=True, slots=True)
class DecimalCodec(WholeCodec):
    """Decimal columns of up to 38 digits, as integers in units of the last decimal place.

    Parameters
    ----------
    type : pyarrow.DataType
        Arrow type, for example "decimal128(10, 2)".
    base : int
        A value near the middle of the column, without its decimal point.
    integer : bool
        Round half to even to whole numbers when numbers become values again.
    step : int
        Values come back as multiples of it, in units of the last decimal place.
    """

    type: NumberType
    base: Annotated[int, whole(-LARGEST_WHOLE, LARGEST_WHOLE)]
    integer: bool = False
    step: Annotated[int, whole(1, LARGEST_WHOLE + 1)] = 1
    name: ClassVar[str] = "decimal"

    def works_on_device(self, type_: pa.DataType) -> bool:
        """Return whether rows of a type are processed where they lie: decimals of 64 bits with the same places."""
        decimal_type: Any = type_
        short = pa.types.is_decimal(decimal_type) and max(decimal_type.precision, self.type.precision) <= SHORT
        return bool(short and decimal_type.scale == self.scale)

    def row_rules(self, type_: pa.DataType, *, on_device: bool) -> RowRules | None:
        """Rules of whole numbers; None where values are rounded once more; see `Codec.row_rules`."""
        return None if self.integer and self.scale > 0 else WholeCodec.row_rules(self, type_, on_device=on_device)

    @property
    def _end(self) -> int:
        """Largest value of the precision."""
        return int(10 ** int(self.type.precision)) - 1

    @property
    def scale(self) -> int:
        """Decimal places; negative where the last digit counts tens or more."""
        return int(self.type.scale)

    @property
    def limits(self) -> tuple[int, int]:
        """Least and largest value of the precision, without its decimal point."""
        end = self._end
        if self.integer and self.scale > 0:
            end -= end % 10**self.scale
        return -end, end

    @property
    def _zeros(self) -> int:
        """Zeros that the step ends in, where values may need more than 64 bits; 0 elsewhere."""
        digits = str(self.step)
        return 0 if self.type.precision <= SHORT else len(digits) - len(digits.rstrip("0"))

    @property
    def spacing(self) -> float:
        """The step, or that of whole numbers where `integer` is set."""
        return power_of_ten(self.scale) if self.integer and self.scale > 0 else float(self.step)

    def off_step(self, column: Column, numbers: Floats) -> Bools | None:
        """Rows that are no multiple of the step; see `Codec.off_step`."""
        if self.step == 1:
            return None
        if isinstance(column, DeviceColumn):
            return off_multiples(column, filled(column.stored()), self.step)
        exact = self._with_scale(column)
        if exact is None:
            return ~np.isnan(numbers)
        zeros = self._zeros
        values, is_inexact = whole_units(exact, zeros)
        return present(exact, is_inexact) | off_multiples(exact, values, self.step // 10**zeros)

    def encode(self, column: Column) -> Floats:
        """Numbers of a column: value - base, without the decimal point.

        Raises
        ------
        InputError
            For a column that does not hold numbers.
        """
        if isinstance(column, DeviceColumn):
            return differences(column.stored(), self.base)  # type: ignore[no-any-return]
        exact = self._with_scale(column)
        if exact is None:
            return self._rounded_numbers(column)
        if exact.type.precision > SHORT:
            return differences_of_digits(exact, self.base)
        return with_missing(difference_of(words_of(exact)[:, 0], self.base), exact)

    def _with_scale(self, column: pa.Array[Any]) -> pa.Array[Any] | None:
        """The column with as many decimal places as the codec's type; None where that does not hold it."""
        kind, scale = column.type, self.scale
        if pa.types.is_decimal(kind) and kind.scale == scale and kind.bit_width <= 128:
            return column
        if not (pa.types.is_decimal(kind) or pa.types.is_integer(kind)):
            return None
        try:
            return pc.cast(column, pa.decimal128(WIDEST, scale))
        except pa.ArrowInvalid:
            return None

    def _rounded_numbers(self, column: pa.Array[Any]) -> Floats:
        """Numbers of a column of another type, with the precision of floats."""
        if pa.types.is_decimal(column.type):
            numbers = decimal_floats(column)
        else:
            numbers = float_values(column, self.type).astype(np.float64)
        with np.errstate(over="ignore"):
            return np.asarray(numbers * power_of_ten(self.scale) - self.base)

    def decode(self, numbers: Floats, *, complete: bool = False) -> Column:
        """Values rounded half to even and kept within the precision's range; on the host where 64 bits are too few."""
        type_ = self.type
        if type_.precision <= SHORT:
            values, missing = decoded_integers(self, self.step, numbers, complete=complete)
            return column_of(self._to_whole(values), type_, missing)
        numbers = to_numpy(numbers)
        missing = np.isnan(numbers)
        if self.step == 1:
            steps = np.rint(np.where(missing, 0.0, numbers))
            array = sums_of_digits(self.base, steps, self.limits, type_, missing)
        else:
            array = self._multiples(numbers, missing)
        return pc.round(array, 0, "half_to_even") if self.integer and self.scale > 0 else array

    def _multiples(self, numbers: Floats, missing: Bools) -> pa.Array[Any]:
        """Multiples of the step in units of its power of ten, which 64 bits hold for all training values."""
        zeros, type_ = self._zeros, self.type
        unit, int64 = 10**zeros, np.iinfo(np.int64)
        limits = max(-(-self.limits[0] // unit), int(int64.min)), min(self.limits[1] // unit, int(int64.max))
        numbers = np.where(missing, 0.0, numbers / unit)
        values = multiples(numbers, self.base // unit, self.step // unit, limits, int64.dtype)
        return pc.cast(decimals(values, pa.decimal128(WIDEST, self.scale - zeros), missing), type_)

    def _to_whole(self, values: Integers) -> Integers:
        """Round values of 64 bits to whole numbers, if `integer` is set."""
        if not self.integer or self.scale <= 0 or self.limits[1] == 0:
            return values
        unit = 10**self.scale
        wholes = values // unit
        remainder = values - wholes * unit
        rounds_up = (remainder > unit - remainder) | ((remainder == unit - remainder) & (wholes % 2 == 1))
        rounded: Integers = (wholes + rounds_up) * unit
        return rounded

    def value_error(self, error: float, low: Number, high: Number) -> float:
        """Error of a number after rounding, twice where the column gives whole numbers."""
        if self.integer and self.scale > 0:
            return error_in_steps(error + 0.5, 10**self.scale)
        return error_in_steps(error, self.step)

    def parse(self, literal: object) -> Number:
        """The value without its decimal point; a float counts as it is printed.

        Raises
        ------
        ValueError
            For what is no number, or has more digits than the type.
        """
        return within(scaled(decimal_of(literal), self.scale), (-self._end, self._end), self.type)

    def equals(self, column: Column, value: Number) -> Bools:
        """Rows that hold exactly the value; for floating-point rows, the float nearest to it."""
        if isinstance(column, DeviceColumn):
            return equal_rows(column.stored(), value)
        if isinstance(value, float) and not value.is_integer():
            return np.zeros(len(column), np.bool_)
        if not pa.types.is_decimal(column.type):
            return equal_rows(as_numbers(column, self.type), self._plain(column.type, int(value)))
        try:
            unscaled: Any = pa.scalar(Decimal(scaled(Decimal(int(value)), column.type.scale - self.scale)), WIDE)
        except ValueError:  # more digits, or more decimal places
            return np.zeros(len(column), np.bool_)
        return np.asarray(pc.equal(digits_of(column), unscaled).fill_null(fill_value=False))

    def _plain(self, kind: pa.DataType, value: int) -> Number:
        """The value with its decimal point, as rows of another type may hold it."""
        if pa.types.is_floating(kind):
            return float(self.show(value))
        integer, remainder = divmod(value, 10**self.scale) if self.scale > 0 else (value * 10**-self.scale, 0)
        return float("nan") if remainder else integer

    def show(self, value: Number) -> str:
        """The digits with their decimal point."""
        digits = Decimal(int(value)).as_tuple()
        return f"{Decimal((digits.sign, digits.digits, -self.scale)):f}"

    def length_text(self, length: float, digits: int = 4) -> str:
        """A difference of two values, with its decimal point."""
        return f"{length * 10.0**-self.scale:.{digits}g}"

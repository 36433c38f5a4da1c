"""Base of all codecs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import Field, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gpuvgm.arrays import Array, Column, DeviceColumn, namespace_of, usable_rows
from gpuvgm.codecs.number_text import number_beside, plain_number, rounded_beside, shorten_float
from gpuvgm.engines import Engine, RowRules, Step
from gpuvgm.errors import InputError
from gpuvgm.io import is_number_type, plain_values_of
from gpuvgm.records import read_as, refuse
from gpuvgm.summary import Floats

Number = int | float
Bools = NDArray[np.bool_]
ORDINARY = -1  # in place of the index of a modal value: rows that hold none


def _number_type(value: Any, where: str) -> pa.DataType:
    type_ = read_as(pa.DataType, value, where)
    return type_ if is_number_type(type_) else refuse(value, where, "an Arrow type of numbers")


NumberType = Annotated[Any, _number_type]  # an Arrow type, which the stubs of pyarrow know little of


def error_in_steps(error: float, step: float) -> float:
    """Largest distance between a multiple of a step and the one that it is rounded to after an error."""
    return step * float(np.floor(error / step + 0.5))


class Refuted(InputError):
    """All rows contradict what a sample showed of a column.

    Parameters
    ----------
    message : str
        What the rows show instead.
    values : sequence of object
        Values that the sample lacked, of the column's own type.
    """

    def __init__(self, message: str, values: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.values = values

    def __reduce__(self) -> tuple[type[Refuted], tuple[Any, ...]]:
        return type(self), (str(self), self.values)


class Codec(ABC):
    """Conversion of one column's values to float64 numbers and back.

    The numbers may lie on another origin than the values (`base`); everything fitted refers to the numbers. A single
    value is held in the column's own unit: a float for floating-point columns, otherwise an integer (datetimes in the
    unit of their type, decimals without their decimal point).
    """

    __slots__ = ()
    name: ClassVar[str]
    plain_numbers: ClassVar[bool] = False  # whether means are written as numbers, and not as values
    infinite: ClassVar[str] = ""  # what is wrong with values whose number is infinite, if more than that they are

    if TYPE_CHECKING:
        __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

        @property
        def type(self) -> Any:
            """Arrow type of the column."""

        @property
        def base(self) -> int:
            """Base, which is subtracted from the values exactly before they become numbers."""

    @property
    @abstractmethod
    def limits(self) -> tuple[Number, Number]:
        """Least and largest value that the column can hold."""

    @property
    @abstractmethod
    def spacing(self) -> float:
        """Distance of neighbouring numbers, where all lie on multiples of a step; 0 where they may lie anywhere."""

    def is_comparable(self, codec: Codec) -> bool:
        """Return whether numbers of both mean the same, but for origin and parameters that `converted` handles."""
        return self.name == codec.name and self.type == codec.type

    @property
    def plain(self) -> Codec:
        """The codec of the column's values, without a function around it."""
        return self

    @property
    def declared(self) -> dict[str, float]:
        """The option that declares the function around the values; empty without one."""
        return {}

    @property
    def formula(self) -> str:
        """The function around the values, for people."""
        return ""

    @property
    def most_places(self) -> int:
        """Decimal places of numbers of which the last digit says how many their text has, at most; 0 for others."""
        return 0

    @property
    def word_values(self) -> tuple[int, ...]:
        """Values that stand for words; only columns of text have them."""
        return ()

    def word_of(self, value: Number) -> str | None:
        """The word among the column's values that a value stands for; None where it is one of the values."""
        return None

    @property
    def ends(self) -> tuple[float, float]:
        """Ends of the numbers that values may have; beyond them lie words."""
        return -np.inf, np.inf

    def of_inner(self, numbers: Floats) -> Floats:
        """Numbers of those that the values have without a function around them: the same without one."""
        return numbers

    def to_inner(self, numbers: Floats) -> Floats:
        """Numbers that the values have without a function around them: the inverse of `of_inner`."""
        return numbers

    def converted(self, numbers: Floats, codec: Codec) -> Floats:
        """Numbers as those of a comparable codec, which differ for functions of other parameters only."""
        return numbers

    def works_on_device(self, type_: pa.DataType) -> bool:
        """Return whether rows of a type are processed where they lie; if not, those of a device go to the host."""
        return not pa.types.is_decimal(type_)

    def with_base(self, base: int) -> Codec:
        """The codec with another base, where it has one."""
        return self

    @abstractmethod
    def without_step(self) -> Codec:
        """The codec without the step that was learned."""

    @property
    @abstractmethod
    def step_text(self) -> str:
        """The step that was learned as people write it, or that of whole units; "" without one."""

    def values_of(self, column: Column) -> Column:
        """Values of rows of the host: the rows themselves, unless they are text."""
        return column

    def split(self, column: Column) -> tuple[Column, Bools | None]:
        """Values of rows as `values_of` gives them, null where text is written otherwise, and these rows."""
        return column, None

    def rows_of(self, column: Column) -> Column:
        """Rows where and as the codec works: those of wide decimals and logarithms come to the host, text is read."""
        return self.plain.values_of(usable_rows(self, column))

    def off_step_rows(self, column: Column, numbers: Floats) -> Bools | None:
        """Ordinary rows whose value is no multiple of the step; None where no step was learned.

        Parameters
        ----------
        column : pyarrow.Array or DeviceColumn
            Rows of the column.
        numbers : ndarray of shape (rows,)
            Their numbers, as `ordinary_numbers` gave them.
        """
        mask = self.off_step(self.rows_of(column), numbers)
        if mask is not None and mask.any():
            mask &= ~namespace_of(numbers).isnan(numbers)
        return mask

    @abstractmethod
    def off_step(self, column: Column, numbers: Floats) -> Bools | None:
        """Rows whose value is no multiple of the step that was learned; None where none was.

        Parameters
        ----------
        column : pyarrow.Array or DeviceColumn
            Rows of the column.
        numbers : ndarray of shape (rows,)
            What `encode` gave for them.
        """

    def row_rules(self, type_: pa.DataType, *, on_device: bool) -> RowRules | None:
        """Rules for an engine to make numbers of rows of a type, without modal values; None if it cannot.

        The rows are what a device stores, or of the host what `plain.encode` gives.
        """
        return None

    def modal_rules(self, type_: pa.DataType, modal: Sequence[Number | None], *, on_device: bool) -> RowRules | None:
        """As `row_rules`, with modal values: how an engine makes numbers of what `stored_rows` gives."""
        rules = self.row_rules(type_, on_device=on_device)
        values = tuple(np.nan if value is None else value for value in modal)
        return None if rules is None else replace(rules, modal=values)

    def stored_rows(self, values: Column) -> tuple[Array, Bools | None]:
        """Rows as engines take them, and which of them are missing where that does not show; see `modal_rules`."""
        if not isinstance(values, DeviceColumn):
            return self.plain.encode(values), None
        stored = values.values
        return (stored.astype(np.float32) if stored.dtype == np.float16 else stored), values.missing

    def ordinary_numbers(
        self, values: Column, modal: Sequence[Number | None] = (), engine: Engine | None = None
    ) -> tuple[Floats, NDArray[np.int64] | None]:
        """Numbers of rows, NaN where a row is missing or modal, and the index of the modal value that a row holds.

        Parameters
        ----------
        values : pyarrow.Array or DeviceColumn
            The rows.
        modal : sequence of int, float or None
            The column's modal values; None for missing.
        engine : Engine, optional
            Takes logarithms and the like of rows that lie on its device; not needed where there are none.

        Returns
        -------
        numbers : ndarray of shape (rows,)
            The numbers, where the codec works.
        modal_index : ndarray of shape (rows,), or None
            Index of each row's modal value, -1 for other rows and missing ones; None where no row holds one.
        """
        values = self.rows_of(values)
        numbers, modal_index = self.encode(values), None
        xp = namespace_of(numbers)
        for index, value in enumerate(modal):
            if value is None:
                continue
            is_equal = self.equals(values, value)
            if xp is not np or is_equal.any():  # `any` would wait for a device
                modal_index = xp.full(len(numbers), ORDINARY) if modal_index is None else modal_index
                modal_index[is_equal] = index
        if modal_index is None:
            return numbers, None
        return xp.where(modal_index == ORDINARY, numbers, numbers.dtype.type(np.nan)), modal_index

    @property
    def decoded_step(self) -> Step | None:
        """The step that decoded values lie on."""
        return None

    @property
    def stored_dtype(self) -> np.dtype[Any]:
        """Dtype of the values as a device stores them."""
        return np.dtype(np.int64)

    @abstractmethod
    def encode(self, column: Column) -> Floats:
        """Numbers of a column, shape (rows,); NaN where a value is missing.

        Columns on a device are such that `works_on_device` is true of, see `rows_of`, and give
        numbers there (float32 where the column has that precision).
        The column's type may differ from the codec's if its values mean the same.

        Raises
        ------
        InputError
            For a column of another sort; the message reads on from the column's name.
        """

    def encode_chunks(self, column: pa.ChunkedArray[Any]) -> Floats:
        """Numbers of a column of the host in chunks."""
        parts = [self.encode(chunk) for chunk in column.chunks]
        return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0), *parts])

    @abstractmethod
    def decode(self, numbers: Floats, *, complete: bool = False) -> Column:
        """Values of the numbers in the column's own type, where `encode` gives numbers; missing where one is NaN.

        With `complete` no number is missing, so that none is looked for.
        """

    def row_with(self, value: Number) -> Any:
        """A row of the host that holds a value exactly."""
        return self.without_step().with_base(int(value)).decode(np.zeros(1))

    def with_value(self, column: Column, rows: Any, value: Number) -> Column:
        """A decoded column with one value in some rows, exactly; the rows lie where the column does."""
        if isinstance(column, DeviceColumn):
            return column.replaced(rows, value)
        values: Any = column
        single = self.plain.row_with(value)
        if pa.types.is_string_view(column.type):  # of which Arrow replaces none
            values, single = plain_values_of(column), plain_values_of(single)
        replaced: pa.Array[Any] = pc.if_else(pa.array(rows), single[0], values).cast(column.type)
        return replaced

    @abstractmethod
    def value(self, number: float) -> Number:
        """One number as a value in the column's own unit."""

    @abstractmethod
    def number(self, value: Number) -> float:
        """The inverse of `value`."""

    @abstractmethod
    def value_error(self, error: float, low: Number, high: Number) -> float:
        """Largest distance of a value from the one that `decode` gives for its number, which is off by some error.

        Parameters
        ----------
        error : float
            Error of the number.
        low, high : int or float
            Ends of the values, in the column's own unit. Where it gives whole numbers only, the values are such, too.

        Returns
        -------
        float
            In the column's own unit; 0 where the values come back exactly.
        """

    @abstractmethod
    def parse(self, literal: object) -> Number:
        """Parse one value that a user wrote, as `gpuvgm.codecs.json_value` gives it, into the column's unit.

        Raises
        ------
        ValueError
            Where it is no value of the column's type.
        """

    @abstractmethod
    def equals(self, column: Column, value: Number) -> Bools:
        """Rows that hold exactly the value, shape (rows,); False where a value is missing."""

    @abstractmethod
    def show(self, value: Number) -> str:
        """A value as people write it."""

    @property
    def nanoseconds(self) -> int:
        """Nanoseconds in the unit of datetimes; 0 for other values."""
        return 0

    def on_clock(self, numbers: Floats) -> NDArray[np.int64] | None:
        """Datetimes in their unit, as the clock of the column's zone shows them; any where numbers are missing.

        None for other values, which no clock shows.
        """
        return None

    @property
    def tick(self) -> float:
        """Seconds in the unit of datetimes; 0 for other values."""
        return self.nanoseconds * 1e-9

    def value_text(self, value: Number | None) -> str:
        """A value as people read it, floats with at most six digits; empty for none."""
        return "" if value is None else shorten_float(value, self.show(value))

    def modal_values(self, name: str, modal: Iterable[object]) -> tuple[Number | None, ...]:
        """Listed modal values of a column in the codec's unit, None for missing, and the words among its values.

        Raises
        ------
        InputError
            For a value that the column's type cannot hold, or two that are the same there.
        """
        values: list[Number | None] = []
        for literal in modal:
            try:
                value = None if literal is None else self.parse(literal)
            except ValueError:
                raise InputError(
                    f'column "{name}": the modal value {literal!r} is no value of a column of type {self.type}; '
                    "list values that it can hold"
                ) from None
            if value in values:
                raise InputError(f'column "{name}": the modal value {literal!r} is listed twice')
            values.append(value)
        return (*values, *(word for word in self.word_values if word not in values))

    def text_beside(self, value: Number, sd: float) -> str:
        """A value as people read it, of datetimes without fractions of seconds beside a long standard deviation."""
        return self.value_text(value)

    def modal_text(self, value: Number | None) -> str:
        """A modal value; None is "missing"."""
        return "missing" if value is None else self.value_text(value)

    def mean_text(self, mean: float, sd: float) -> str:
        """A component's mean, of plain numbers with as many digits as the standard deviation asks for."""
        return number_beside(mean, sd) if self.plain_numbers else self.value_text(self.value(mean - self.base))

    def rounded_mean_text(self, mean: float, sd: float) -> str:
        """A component's mean with the digits that its standard deviation leaves of interest."""
        return rounded_beside(mean, sd) if self.plain_numbers else self.mean_text(mean, sd)

    def length_text(self, length: float, digits: int = 4) -> str:
        """A difference of two numbers, such as a standard deviation; of datetimes with its unit."""
        return f"{length:.{digits}g}"

    def rounded_length_text(self, length: float) -> str:
        """A standard deviation to three digits, large ones without a power of ten."""
        text = self.length_text(length, 3)
        return plain_number(float(f"{length:.3g}")) if text == f"{length:.3g}" else text


class WholeCodec(Codec):
    """A codec of whole numbers in the unit of their type; numbers are their differences from `base`.

    Attributes
    ----------
    step : int
        Values come back as multiples of it.
    """

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def step(self) -> int:
            """Step: decoded values are multiples of it."""

        @property
        def limits(self) -> tuple[int, int]:
            """Least and largest integer of the type."""

    @property
    def spacing(self) -> float:
        """The step."""
        return float(self.step)

    def with_base(self, base: int) -> Codec:
        """The codec with another base; see `Codec.with_base`."""
        return replace(self, base=base)

    def row_rules(self, type_: pa.DataType, *, on_device: bool) -> RowRules | None:
        """Numbers are differences from the base, of rows that a device stores as they are; see `Codec.row_rules`."""
        if not on_device or type_ != self.type or not self.works_on_device(type_):
            return None
        return RowRules(step=None if self.step == 1 else Step(self.step, 1, "int64"), origin=self.base)

    @property
    def decoded_step(self) -> Step | None:
        """The step."""
        return Step(int(self.spacing), 1, "int64")

    def without_step(self) -> Codec:
        """The codec with a step of 1."""
        return replace(self, step=1)

    @property
    def step_text(self) -> str:
        """The step, or that of whole units; see `Codec.step_text`."""
        text = self.show(self.step if self.step > 1 else int(self.spacing))
        return text.rstrip("0").rstrip(".") if "." in text else text

    def value(self, number: float) -> Number:
        """The value that a number stands for, in the unit of the type."""
        return self.base + round(number)

    def number(self, value: Number) -> float:
        """Value - base."""
        return float(value - self.base)

    def value_error(self, error: float, low: Number, high: Number) -> float:
        """Error of a number after rounding to the step; see `Codec.value_error`."""
        return error_in_steps(error, self.spacing)

"""Base of the columns of numbers: codec and range, their documents, values as numbers."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gpuvgm.arrays import Column, DeviceColumn, namespace_of, on_host, widened
from gpuvgm.codecs import Codec, CurvedCodec, Number, OfText, check_value, comparable, json_value, present
from gpuvgm.columns.base import MISSING, FittedColumn, Place, refuse_rows
from gpuvgm.columns.mixture_model import MixtureModel
from gpuvgm.errors import InputError
from gpuvgm.io import is_number_type, is_text_type, plain_type
from gpuvgm.records import document_of
from gpuvgm.summary import Floats, Summary

FLOAT32_STEP = 2.0**-24  # relative, of a scalar of 24 bits


class NumericColumn(FittedColumn):
    """A fitted column of numbers.

    Attributes
    ----------
    codec : Codec
        From the column's values to numbers and back.
    minimum, maximum : int, float or None
        Range of the ordinary training values, which leave modal ones out, in the codec's unit.
    modal_values : tuple
        Values with a one-hot column of their own.
    mixture : MixtureModel or None
        The fitted mixture, where there is one.
    """

    family = "numbers"
    has_scalar = True

    if TYPE_CHECKING:

        @property
        def codec(self) -> Codec:
            """From the column's values to numbers and back."""

        @property
        def minimum(self) -> Number | None:
            """Least ordinary training value."""

        @property
        def maximum(self) -> Number | None:
            """Largest ordinary training value."""

        @property
        def modal_values(self) -> tuple[Number | None, ...]:
            """Values with a one-hot column of their own."""

        @property
        def mixture(self) -> MixtureModel | None:
            """The fitted mixture."""

        @property
        def resolution(self) -> float:
            """Largest distance of a training value from its decoded value."""

    @property
    def type(self) -> Any:
        """Arrow type of the values."""
        return self.codec.type

    @property
    def modal_numbers(self) -> tuple[Number, ...]:
        """The modal values without the missing one."""
        return tuple(value for value in self.modal_values if value is not MISSING)

    @property
    def plain_range(self) -> tuple[float, float]:
        """Ends of the ordinary training values as numbers of the plain codec."""
        assert self.minimum is not None and self.maximum is not None
        plain = self.codec.plain
        return plain.number(self.minimum), plain.number(self.maximum)

    def plain_numbers(self, values: Column) -> tuple[Floats, NDArray[np.int64] | None]:
        """Numbers of the plain codec, and the modal value of each row; see `Codec.ordinary_numbers`."""
        return self.codec.plain.ordinary_numbers(values, self.modal_numbers)

    def all_numbers(self, values: Column) -> Floats:
        """Numbers of the plain codec of all values, modal ones too, where the values lie; NaN for missing ones."""
        numbers, which = self.plain_numbers(values)
        if which is None:
            return numbers
        xp, modal = namespace_of(numbers), np.array([self.codec.plain.number(value) for value in self.modal_numbers])
        of_modal: Floats = xp.where(which >= 0, xp.asarray(modal)[which], numbers)
        return of_modal

    def works_on_device(self, type_: pa.DataType) -> bool:
        """Return whether rows of a type are encoded and decoded on their device; see `Codec.works_on_device`."""
        return self.codec.works_on_device(type_) and not pa.types.is_float16(self.type)

    @property
    def row_type(self) -> pa.DataType:
        """Arrow type of rows: that of the values, or of the text that these are read from."""
        inner = self.codec.plain
        type_: pa.DataType = inner.text.type if isinstance(inner, OfText) else self.type
        return type_

    def declared_like(self, spec: Any, *, lacks_some: bool) -> Any:
        """How a further column is declared that has such numbers: all may be missing, where some of these are."""
        if MISSING not in self.modal_values:
            return spec
        modal = [value for value in spec.options.get("modal", ()) if value is not None]
        return {**spec.options, "modal": [*modal, None]}

    @cached_property
    def decoded_type(self) -> pa.DataType:
        """Arrow type of decoded values."""
        return self.codec.decode(np.empty(0)).type

    @property
    def means(self) -> Floats:
        """Means of the K components in the codec's unit (of logarithms for a log column)."""
        if self.mixture is None:
            return np.empty(0)
        return self.codec.base + self.mixture.frame.invert(self.mixture.posterior.means)

    @property
    def stds(self) -> Floats:
        """Standard deviations of the K components, in the unit of `means`."""
        return np.empty(0) if self.mixture is None else self.mixture.deviations / self.mixture.frame.scale

    @property
    def weights(self) -> Floats:
        """Weights of the K components."""
        return np.empty(0) if self.mixture is None else self.mixture.posterior.weights

    @property
    def active(self) -> NDArray[np.bool_]:
        """Mask of the K components that rows may be given to."""
        return np.empty(0, np.bool_) if self.mixture is None else self.mixture.active

    @property
    def active_components(self) -> NDArray[np.int64]:
        """Indices of the active components, ascending."""
        return np.flatnonzero(self.active)

    @property
    def components_by_mean(self) -> NDArray[np.int64]:
        """Indices of the active components, by rising mean."""
        k = self.active_components
        return k[np.argsort(self.means[k], kind="stable")]

    def count_unequal(self, before: Column, after: Column) -> int:
        """Number of rows with two values that differ; on the host where their types do."""
        if pa.types.is_null(before.type):
            return 0
        if isinstance(before, DeviceColumn) and isinstance(after, DeviceColumn) and before.type == after.type:
            # Devices take subnormal float32 for 0 when they compare.
            first, second = (c.values if c.values.dtype.kind != "f" else widened(c.values) for c in (before, after))
            return int(present(before, present(after, first != second)).sum())
        host_before, host_after = on_host(before), on_host(after)
        return int(pc.not_equal(comparable(host_before), comparable(host_after.cast(before.type))).true_count)

    def number_of(self, value: object) -> float:
        """A value as a user writes it, as a number without the function of a scale.

        Raises
        ------
        ValueError
            For what is no value of the column.
        """
        plain = self.codec.plain
        return plain.number(plain.parse(json_value(value)))

    def refuse_type(self, source: str, type_: pa.DataType) -> None:
        """Refuse to encode values that are not numbers."""
        text = self.row_type != self.type and is_text_type(plain_type(type_))
        if type_ != self.type and not is_number_type(type_) and not text:
            raise InputError(
                f'{source}: column "{self.name}" holds {type_} values, but {self.type} was fitted; '
                "convert it to that type, or fit again with rows like these"
            )

    def is_comparable(self, column: FittedColumn) -> bool:
        """Return whether numbers of both columns mean the same, but for their origin; see `Codec.is_comparable`."""
        if type(self) is not type(column) or not isinstance(column, NumericColumn):
            return False
        return self.codec.is_comparable(column.codec)

    def describe(self) -> dict[str, Any]:
        """The column for people and other programs."""
        ends = {"minimum": self.minimum, "maximum": self.maximum}
        texts = {f"{end}_text": self.codec.value_text(value) for end, value in ends.items()}
        codec = {"resolution": self.resolution, "codec": document_of(self.codec)}
        return super().describe() | ends | texts | codec

    def check_parts(self) -> None:
        """Refuse values that the codec does not have: the range's ends, both or none, and modal values."""
        codec, low, high = self.codec, self.minimum, self.maximum
        if isinstance(codec, CurvedCodec):
            codec.check()
        if low is not None and high is not None:
            check_value(codec, low, "minimum")
            check_value(codec, high, "maximum")
            if low > high:
                raise ValueError("minimum is above maximum")
        elif low is not high:
            raise ValueError("it has one end of its range only")
        for value in self.modal_numbers:
            check_value(codec, value, "modal_values", infinite=True)
        if len(set(self.modal_values)) < len(self.modal_values):
            raise ValueError("it has a modal value twice")
        for number in (low, high, *self.modal_numbers):
            if number is not None:
                codec.show(number)

    def check_summary(self, summary: Summary) -> None:
        """Refuse a summary with more modal values than the column has, or with ends that are no values of it."""
        for end in summary.ends or ():
            check_value(self.codec, end, f'an end of the summary of "{self.name}"')
        if self.has_codes and len(summary.modal) > len(self.modal_values):
            raise ValueError(f'the summary of "{self.name}" counts more modal values than the column has')


def error_of(step: float, low: float, high: float, *, wide: bool = False) -> float:
    """Largest error of a number that was a float32 scalar, or a float64 one.

    Parameters
    ----------
    step : float
        Step of the largest scalar: 2^-24 of the distance from where it is 0 to the furthest number.
    low, high : float
        Ends of the numbers.
    wide : bool
        Whether scalars were float64; their own step is a part of the rounding.
    """
    steps, rounding = 0 if wide else 1, 2.0**-50  # a few units of the last place of float64
    return (steps + rounding / FLOAT32_STEP) * step + rounding * max(abs(low), abs(high))


def refuse_infinite_rows(column: NumericColumn, rows: NDArray[np.bool_], first_row: int, place: Place) -> NoReturn:
    """Refuse rows of a fitted column that are infinite, or whose logarithm is."""
    if column.codec.infinite:
        refuse_rows(column, rows, first_row, place, column.codec.infinite, "fit again with these rows, or clean them")
    refuse_rows(column, rows, first_row, place, "values are infinite", 'fit with inf="missing" or clean them')


def refuse_missing_rows(column: NumericColumn, rows: NDArray[np.bool_], first_row: int, place: Place) -> NoReturn:
    """Refuse rows of a fitted column that are missing, where none was at fit."""
    problem = "values are missing in a column that had none missing at fit"
    refuse_rows(column, rows, first_row, place, problem, "fill them in, or fit with rows that have missing values")


def range_of(codec: Codec, summary: Summary) -> tuple[Number | None, Number | None]:
    """Smallest and largest ordinary value in the codec's unit."""
    if not summary.ordinary:
        return None, None
    return summary.ends or (codec.value(summary.minimum), codec.value(summary.maximum))

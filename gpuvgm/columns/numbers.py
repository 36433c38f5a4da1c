"""What the kinds of columns of numbers have in common: codec and range, their documents, values as numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.arrays import Column, namespace_of
from gpuvgm.columns.base import MISSING, FittedColumn, Place, refuse
from gpuvgm.columns.codecs import LARGEST_EXPONENT, Codec, LogCodec, Number, OfText, codec_document, plain, rows_for
from gpuvgm.columns.codecs.texts import CLOCK_LETTERS, MOST_DIGITS
from gpuvgm.columns.documents import Record, anything, number_type, text, text_type
from gpuvgm.columns.documents import refuse as refuse_part
from gpuvgm.columns.rules import MOST, boolean, number, one_of, whole
from gpuvgm.columns.text import value_text
from gpuvgm.config import Precision
from gpuvgm.errors import InputError
from gpuvgm.io.arrow import is_number_type, is_text_type, plain_type, type_of
from gpuvgm.summary.grid import Floats
from gpuvgm.summary.summary import Summary

if TYPE_CHECKING:
    from gpuvgm.columns.continuous import MixtureModel
    from gpuvgm.columns.model import ColumnModel
    from gpuvgm.columns.numeric import NumberPlan

FLOAT32_STEP = 2.0**-24  # relative, of a scalar of 24 bits
ORDINARY = -1
TOO_SMALL = "values are infinite, or too small for the logarithm that the column was fitted with"


class NumericColumn(FittedColumn):
    """A fitted column of numbers.

    Attributes
    ----------
    codec : Codec
        From the column's values to numbers and back.
    minimum, maximum : int, float or None
        Range of the ordinary training values, in the codec's unit.
    modal_values : tuple
        Values with a one-hot column of their own.
    mixture : MixtureModel or None
        The fitted mixture, where there is one.
    """

    __slots__ = ()
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
            """Largest distance of a training value from what comes back for it."""

    @property
    def type(self) -> str:
        """Arrow type of the values, as `str` gives it."""
        return self.codec.type

    def stays(self, type_: pa.DataType) -> bool:
        """Whether rows of a type that lie on a device are encoded and decoded there; see `Codec.stays`."""
        return self.codec.stays(type_) and self.type != "halffloat"

    @property
    def row_type(self) -> str:
        """Arrow type of rows: that of the values, or of the text that these are read from."""
        inner = plain(self.codec)
        return inner.text.type if isinstance(inner, OfText) else self.type

    @property
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
        """Which of the K components rows may be given to."""
        return np.empty(0, np.bool_) if self.mixture is None else self.mixture.active

    @property
    def active_components(self) -> NDArray[np.int64]:
        """Indices of the active components, ascending."""
        return np.flatnonzero(self.active)

    def refuse_type(self, source: str, type_: pa.DataType) -> None:
        """Refuse to encode what is no number."""
        text = self.row_type != self.type and is_text_type(plain_type(type_))
        if str(type_) != self.type and not is_number_type(type_) and not text:
            raise InputError(
                f'{source}: column "{self.name}" holds {type_} values, but {self.type} was fitted; '
                "convert it to numbers, or fit again with rows like these"
            )

    def is_comparable(self, other: ColumnModel) -> bool:
        """Whether numbers of both columns differ by their origin only; origins of logarithms are looked at too."""
        if type(self) is not type(other) or not isinstance(other, NumericColumn):
            return False
        one, two = self.codec, other.codec
        if isinstance(one, LogCodec) and isinstance(two, LogCodec):
            return one.type == two.type and (one.low is None) == (two.low is None)
        return one.name == two.name and one.type == two.type

    def describe(self) -> dict[str, Any]:
        """The column for people and other programs."""
        ends = {"minimum": self.minimum, "maximum": self.maximum}
        texts = {f"{end}_text": value_text(self.codec, value) for end, value in ends.items()}
        codec = {"resolution": self.resolution, "codec": codec_document(self.codec)}
        return super().describe() | ends | texts | codec

    def check(self) -> None:
        """Show single values."""
        for value in (self.minimum, self.maximum, *self.modal_values):
            if value is not None:
                self.codec.show(value)

    def check_summary(self, summary: Summary) -> None:
        """Refuse a summary with more modal values than the column has."""
        if self.has_cells and len(summary.modal) > len(self.modal_values):
            raise ValueError(f'the summary of "{self.name}" counts more modal values than the column has')


def error_of(step: float, low: float, high: float, precision: Precision = "float64", *, wide: bool = False) -> float:
    """Largest error of a number that was a float32 scalar, or a float64 one.

    Parameters
    ----------
    step : float
        Step of the largest scalar: 2^-24 of the distance from where it is 0 to the furthest number.
    low, high : float
        Ends of the numbers.
    precision : {"float64", "float32"}
        Of the arithmetic that made the scalar; that of `Float32Table` rounds numbers to 2^-48 and a scalar five times.
    wide : bool
        Whether scalars were float64; their own step is a part of the rounding.
    """
    steps, rounding = (1, 2.0**-50) if precision == "float64" else (6, 2.0**-46)
    steps = 0 if wide else steps
    return (steps + rounding / FLOAT32_STEP) * step + rounding * max(abs(low), abs(high))


def ordinary_numbers(
    codec: Codec, modal: tuple[Number | None, ...], values: Column
) -> tuple[Floats, NDArray[np.int64] | None]:
    """Numbers of rows with NaN where a row is missing or modal, and which modal value a row holds.

    Returns
    -------
    numbers : ndarray of shape (rows,)
        The numbers, where the codec works.
    which : ndarray of shape (rows,), or None
        Index of each row's modal value, -1 for other rows and missing ones; None where no row holds one.
    """
    values = rows_for(codec, values)
    numbers, which = codec.encode(values), None
    xp = namespace_of(numbers)
    for index, value in enumerate(modal):
        if value is MISSING:
            continue
        found = codec.equals(values, value)
        if xp is not np or found.any():  # which would wait for a device
            which = xp.full(len(numbers), ORDINARY) if which is None else which
            which[found] = index
    if which is None:
        return numbers, None
    return xp.where(which == ORDINARY, numbers, numbers.dtype.type(np.nan)), which


def off_step_rows(codec: Codec, values: Column, numbers: Floats) -> NDArray[np.bool_] | None:
    """Ordinary rows whose value is no multiple of the step; None where no step was learned.

    Parameters
    ----------
    codec : Codec
        The column's.
    values : pyarrow.Array or DeviceColumn
        Rows of it.
    numbers : ndarray of shape (rows,)
        What `ordinary_numbers` gave for them.
    """
    off = codec.off_step(values, numbers)
    if off is not None and off.any():
        off &= ~namespace_of(numbers).isnan(numbers)
    return off


def refuse_infinite(column: NumericColumn, rows: NDArray[np.bool_], place: Place) -> NoReturn:
    """Refuse rows of a fitted column that are infinite, or whose logarithm is."""
    if column.codec.name == "log":
        refuse(column, rows, place, TOO_SMALL, "fit again with these rows, or clean them")
    refuse(column, rows, place, "values are infinite", 'fit with inf="missing" or clean them')


def range_of(plan: NumberPlan, summary: Summary) -> tuple[Number | None, Number | None]:
    """Smallest and largest ordinary value in the codec's unit; summaries of older versions know them rounded."""
    if not summary.ordinary:
        return None, None
    return summary.ends or (plan.codec.value(summary.minimum), plan.codec.value(summary.maximum))


# -- the documents of columns of numbers

WIDE = 10**38  # a decimal of 38 digits


def decimal_step(value: Any, where: str) -> None:
    """A step of floats as decimal text."""
    text(value, where)
    if not re.fullmatch(r"\d{1,19}(\.\d{1,22})?", value) or not float(value):
        refuse_part(value, where, "a positive decimal number")


FORM_OF_NUMBERS = Record(
    {
        "name": one_of("number"),
        "type": text_type,
        "example": text,
        "mark": one_of(".", ","),
        "thousands": text,
        "least": whole(0, MOST_DIGITS - 1),
        "most": whole(0, MOST_DIGITS - 1),
        "suffix": text,
    }
)
FORM_OF_MOMENTS = Record(
    {
        "name": one_of("moment"),
        "type": text_type,
        "example": text,
        "value": number_type,
        "separator": one_of("", " ", "T"),
        "letters": whole(CLOCK_LETTERS, 40),
        "suffix": text,
    }
)

CODECS = {
    "float": Record(
        {"name": text, "type": number_type, "infinite_is_missing": boolean, "integer": boolean, "step": decimal_step},
        frozenset({"integer", "step"}),
    ),
    "integer": Record(
        {
            "name": text,
            "type": number_type,
            "base": whole(-(2**63), 2**64 - 1),
            "step": whole(1, 2**64 - 1),
            "text": FORM_OF_NUMBERS,
        },
        frozenset({"step", "text"}),
    ),
    "datetime": Record(
        {"name": text, "type": number_type, "base": whole(-MOST), "step": whole(1), "text": FORM_OF_MOMENTS},
        frozenset({"step", "text"}),
    ),
    "decimal": Record(
        {
            "name": text,
            "type": number_type,
            "base": whole(1 - WIDE, WIDE - 1),
            "integer": boolean,
            "step": whole(1, WIDE),
            "text": FORM_OF_NUMBERS,
        },
        frozenset({"integer", "step", "text"}),
    ),
}


def check_codec(value: Any, where: str) -> None:
    """A codec, and at most one function around it."""
    if isinstance(value, dict) and value.get("name") == "log":
        Record({"name": text, "inner": plain_codec, "low": anything})(value, where)
        low = value["low"]
        if low is not None:
            codec_value(value["inner"], low, f"{where}: low")
    elif isinstance(value, dict) and value.get("name") == "asinh":
        exponent = whole(-LARGEST_EXPONENT, LARGEST_EXPONENT)
        Record({"name": text, "inner": plain_codec, "exponent": exponent})(value, where)
    else:
        plain_codec(value, where)


def plain_codec(value: Any, where: str) -> None:
    """A codec without a function around it."""
    name = value.get("name") if isinstance(value, dict) else None
    if not isinstance(name, str) or name not in CODECS:
        refuse_part(value, where, f"a codec ({', '.join(CODECS)}, log or asinh)")
    CODECS[name](value, where)


def codec_value(document: Mapping[str, Any], value: Any, where: str, *, infinite: bool = False) -> None:
    """A value in the unit of a codec, whose document was checked: a float for floats, else an integer of the type."""
    inner = document.get("inner", document)
    if inner["name"] == "float":
        number(value, where)
        if math.isnan(value) or (math.isinf(value) and not infinite):
            refuse_part(value, where, "a value of the column")
        return
    whole(*_ends(type_of(inner["type"])))(value, where)


def _ends(type_: pa.DataType) -> tuple[int, int]:
    """Least and largest integer of a type, in its own unit."""
    if pa.types.is_decimal(type_):
        return 1 - 10**type_.precision, 10**type_.precision - 1
    bits = type_.bit_width
    if pa.types.is_unsigned_integer(type_):
        return 0, 2**bits - 1
    return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1


def check_values(document: Mapping[str, Any], where: str) -> None:
    """Check values against the codec: the range's ends, both or none, and modal values."""
    low, high = document["minimum"], document["maximum"]
    if (low is None) != (high is None):
        raise ValueError(f"{where} has one end of its range only")
    if low is not None:
        codec_value(document["codec"], low, f"{where}: minimum")
        codec_value(document["codec"], high, f"{where}: maximum")
        if low > high:
            raise ValueError(f"{where}: minimum is above maximum")
    modal = document.get("modal_values", [])
    for value in modal:
        if value is not None:
            codec_value(document["codec"], value, f"{where}: modal_values", infinite=True)
    if len(set(modal)) < len(modal):
        raise ValueError(f"{where} has a modal value twice")

"""General columns: the range at fit laid on [-1, 1]."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gpuvgm.arrays import namespace_of, to_numpy, widened
from gpuvgm.columns.base import (
    BESIDE,
    FIT,
    Coded,
    Decoder,
    Encoder,
    EncodingOptions,
    FitRecord,
    Slice,
    Values,
    refuse,
)
from gpuvgm.columns.codecs import Codec, Number, codec_document, codec_of, holds_whole_steps
from gpuvgm.columns.documents import Record, anything, text
from gpuvgm.columns.numbers import (
    FLOAT32_STEP,
    NumericColumn,
    check_codec,
    check_values,
    error_of,
    range_of,
    refuse_infinite,
)
from gpuvgm.columns.rules import boolean, not_negative, one_of
from gpuvgm.columns.unseen import Unseen
from gpuvgm.engines import Engine
from gpuvgm.errors import InputError
from gpuvgm.summary.grid import Floats
from gpuvgm.summary.summary import Summary

if TYPE_CHECKING:
    from gpuvgm.columns.numeric import NumberPlan

MARGIN = 1e-3  # on either side of a range of whole numbers, so that its ends survive rounding

DOCUMENT = Record(
    {
        **BESIDE,
        "name": text,
        "kind": one_of("general"),
        "codec": check_codec,
        "minimum": anything,
        "maximum": anything,
        "margin": not_negative,
        "clip": boolean,
        "fit": FIT,
    },
    frozenset(BESIDE),
)


@dataclass(frozen=True, slots=True, repr=False)
class GeneralColumn(NumericColumn):
    """A general column: its range laid on [-1, 1].

    Parameters
    ----------
    name : str
        The column.
    codec : Codec
        From the column's values to numbers and back.
    minimum, maximum : int, float or None
        Range of the training values in the codec's unit; None where there was no value.
    margin : float
        Added to the range on either side: 0.001 for columns of whole numbers, else 0.
    clip : bool
        Whether transform keeps values within the range.
    fit : FitRecord
        Rows.
    """

    name: str
    codec: Codec
    minimum: Number | None
    maximum: Number | None
    margin: float
    clip: bool
    fit: FitRecord
    kind: ClassVar[str] = "general"
    width: ClassVar[int] = 0
    modal_values: ClassVar[tuple[Number | None, ...]] = ()
    mixture: ClassVar[None] = None

    @property
    def scalar_dtype(self) -> str | None:
        """Always "float64"."""
        return "float64"

    @property
    def low(self) -> float:
        """Number that -1 stands for."""
        return self._end(self.minimum, -self.margin)

    @property
    def high(self) -> float:
        """Number that 1 stands for."""
        return self._end(self.maximum, self.margin)

    def _end(self, value: Number | None, margin: float) -> float:
        """Number of one end of the range; the margin belongs to the value, not to its logarithm."""
        if value is None:
            return margin
        return self.codec.number(value + margin) if self.codec.name == "log" else self.codec.number(value) + margin

    @property
    def resolution(self) -> float:
        """Largest distance of a training value from what comes back for it, as for `MixtureColumn`."""
        if self.minimum is None or self.maximum is None:
            return 0.0
        error = error_of((self.high - self.low) / 2 * FLOAT32_STEP, self.low, self.high)
        return self.codec.value_error(error, self.minimum, self.maximum)

    def in_range(self, numbers: Floats) -> NDArray[np.bool_]:
        """Rows whose number lies in the range that is encoded."""
        inside: NDArray[np.bool_] = (numbers >= self.low) & (numbers <= self.high)
        return inside

    def encoder(self, engine: Engine, options: EncodingOptions) -> Encoder:
        """What encodes parts of the column; no engine is needed for a range."""
        return RangeEncoder(self, options)

    def decoder(self, engine: Engine, *, check: bool) -> Decoder:
        """What decodes parts of the column, all of whose values lie in the training range."""
        return RangeDecoder(self)

    def to_json(self) -> dict[str, Any]:
        """All parameters, exact to the last bit."""
        return NumericColumn.to_json(self) | {"codec": codec_document(self.codec)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any], where: str) -> GeneralColumn:
        """Column from its document, of any format; see `gpuvgm.columns.model.column_of`."""
        DOCUMENT(document, where)
        check_values(document, where)
        return cls(
            name=str(document["name"]),
            codec=codec_of(document["codec"]),
            minimum=document["minimum"],
            maximum=document["maximum"],
            margin=float(document["margin"]),
            clip=bool(document["clip"]),
            fit=FitRecord(**document["fit"]),
        )

    def describe(self) -> dict[str, Any]:
        """The column for people and other programs."""
        ends = {"margin": self.margin, "clip": self.clip, "low": self.low, "high": self.high}
        return NumericColumn.describe(self) | ends

    def check(self) -> None:
        """Refuse a range that holds no numbers."""
        NumericColumn.check(self)
        low, high = self.low, self.high
        if not np.isfinite(high - low) or high < low:
            raise ValueError("its range has no width")
        RangeDecoder(self)(Coded(scalar=np.array([-1.0, 0.0, 1.0])), 0)


def column_of_range(plan: NumberPlan, summary: Summary) -> GeneralColumn:
    """The column's model from its summary, which has no missing rows.

    Raises
    ------
    InputError
        For a range that is longer than any float.
    """
    codec = plan.codec
    minimum, maximum = range_of(plan, summary)
    column = GeneralColumn(
        name=plan.name,
        codec=codec,
        minimum=minimum,
        maximum=maximum,
        margin=MARGIN if holds_whole_steps(codec) else 0.0,
        clip=plan.clip,
        fit=FitRecord("none", summary.rows, summary.missing),
    )
    if not np.isfinite(column.high - column.low):
        raise InputError(
            f'column "{plan.name}": values reach from {column.low:g} to {column.high:g}, further than a range can '
            "span; clean the extreme ones, or leave them out"
        )
    return column


class RangeEncoder:
    """Encodes a general column: 2 (x - low) / (high - low) - 1, in float64.

    Parameters
    ----------
    column : GeneralColumn
        The fitted column.
    options : EncodingOptions
        How to encode.
    """

    def __init__(self, column: GeneralColumn, options: EncodingOptions) -> None:
        self._column, self._place = column, options.place

    def __call__(self, part: Slice) -> Coded:
        """Scalars of a part."""
        column = self._column
        numbers = widened(column.codec.encode(part.values))
        xp = namespace_of(numbers)
        if not xp.isfinite(numbers).all():
            self._refuse(to_numpy(numbers), part.first_row)
        low, span = column.low, column.high - column.low
        scalar = 2 * ((numbers - low) / span) - 1 if span > 0 else xp.zeros(len(numbers))
        outside = ~column.in_range(numbers)
        unseen = Unseen.of(part.first_row, outside=outside, clipped=outside if column.clip else None)
        return Coded(scalar=xp.clip(scalar, -1, 1) if column.clip else scalar, unseen=unseen)

    def _refuse(self, numbers: Floats, first_row: int) -> None:
        """Refuse what a range has no place for."""

        def place(row: int) -> str:
            return self._place(first_row + row)

        infinite = np.isinf(numbers)
        if np.any(infinite):
            refuse_infinite(self._column, infinite, place)
        remedy = "fill them in, or fit with rows that have missing values"
        problem = "values are missing in a column that had none missing at fit"
        refuse(self._column, np.isnan(numbers), place, problem, remedy)


class RangeDecoder:
    """Decodes a general column."""

    def __init__(self, column: GeneralColumn) -> None:
        self._column = column

    def __call__(self, part: Coded, first_row: int) -> Values:
        """Values of scalars, which are kept within [-1, 1]."""
        assert part.scalar is not None
        column, xp = self._column, namespace_of(part.scalar)
        share = xp.clip((widened(part.scalar) + 1) / 2, 0, 1)
        numbers = xp.clip(column.low + share * (column.high - column.low), column.low, column.high)
        return Values(column.codec.decode(numbers))

"""General columns: the range at fit laid on [-1, 1]."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.arrays import namespace_of, widened
from gpuvgm.codecs import Codec, CurvedCodec, Number, codec_of, holds_whole_steps
from gpuvgm.columns.base import (
    Coded,
    Decoder,
    Encoder,
    EncodingOptions,
    FitRecord,
    Place,
    Slice,
    Values,
)
from gpuvgm.columns.numbers import (
    FLOAT32_STEP,
    NumericColumn,
    error_of,
    range_of,
    refuse_infinite_rows,
    refuse_missing_rows,
)
from gpuvgm.columns.options import not_negative
from gpuvgm.columns.unseen import Unseen
from gpuvgm.engines import Engine
from gpuvgm.errors import InputError
from gpuvgm.summary import Floats, Summary

MARGIN = 1e-3  # on either side of a range of whole numbers, so that its ends survive rounding


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
    codec: Annotated[Codec, codec_of]
    minimum: Number | None
    maximum: Number | None
    margin: Annotated[float, not_negative]
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
        """Number of one end of the range; the margin belongs to the value, not to a function of it."""
        if value is None:
            return margin
        if isinstance(self.codec, CurvedCodec):
            return self.codec.number(value + margin)
        return self.codec.number(value) + margin

    @property
    def resolution(self) -> float:
        """Largest distance of a training value from its decoded value, as for `MixtureColumn`."""
        if self.minimum is None or self.maximum is None:
            return 0.0
        error = error_of((self.high - self.low) / 2 * FLOAT32_STEP, self.low, self.high)
        return self.codec.value_error(error, self.minimum, self.maximum)

    def in_range(self, numbers: Floats) -> NDArray[np.bool_]:
        """Rows whose number lies in the range that is encoded."""
        is_inside: NDArray[np.bool_] = (numbers >= self.low) & (numbers <= self.high)
        return is_inside

    def works_on_device(self, type_: pa.DataType) -> bool:
        """Return whether rows of a type are encoded and decoded on their device: no functions of values are."""
        return not isinstance(self.codec, CurvedCodec) and NumericColumn.works_on_device(self, type_)

    def encoder(self, engine: Engine, options: EncodingOptions) -> Encoder:
        """Return a function that encodes parts of the column; the engine makes numbers of those of its device alone."""
        return partial(self._encode, engine, options.place)

    def _encode(self, engine: Engine, place: Place, part: Slice) -> Coded:
        """Scalars of a part: 2 (x - low) / (high - low) - 1, in float64."""
        numbers = widened(self.codec.ordinary_numbers(part.values, (), engine)[0])
        xp = namespace_of(numbers)
        if not xp.isfinite(numbers).all():
            infinite = xp.isinf(numbers)
            if infinite.any():
                refuse_infinite_rows(self, infinite, part.first_row, place)
            refuse_missing_rows(self, xp.isnan(numbers), part.first_row, place)
        low, span = self.low, self.high - self.low
        scalar = 2 * ((numbers - low) / span) - 1 if span > 0 else xp.zeros(len(numbers))
        is_outside = ~self.in_range(numbers)
        unseen = Unseen.of(part.first_row, outside=is_outside, clipped=is_outside if self.clip else None)
        return Coded(scalar=xp.clip(scalar, -1, 1) if self.clip else scalar, unseen=unseen)

    def decoder(self, engine: Engine, *, check: bool) -> Decoder:
        """Return a function that decodes parts of the column; all values lie in the training range."""
        return self._decode

    def _decode(self, part: Coded, first_row: int) -> Values:
        """Values of scalars, which are kept within [-1, 1]."""
        assert part.scalar is not None
        xp = namespace_of(part.scalar)
        share = xp.clip((widened(part.scalar) + 1) / 2, 0, 1)
        return Values(self.codec.decode(xp.clip(self.low + share * (self.high - self.low), self.low, self.high)))

    def describe(self) -> dict[str, Any]:
        """The column for people and other programs."""
        ends = {"margin": self.margin, "clip": self.clip, "low": self.low, "high": self.high}
        return NumericColumn.describe(self) | ends

    def check_parts(self) -> None:
        """Refuse a range that holds no numbers."""
        NumericColumn.check_parts(self)
        low, high = self.low, self.high
        if not np.isfinite(high - low) or high < low:
            raise ValueError("its range has no width")
        self._decode(Coded(scalar=np.array([-1.0, 0.0, 1.0])), 0)


def column_of_range(name: str, codec: Codec, summary: Summary, *, clip: bool) -> GeneralColumn:
    """The column's model from its summary, which has no missing rows.

    Raises
    ------
    InputError
        For a range that is longer than any float.
    """
    minimum, maximum = range_of(codec, summary)
    margin = MARGIN if holds_whole_steps(codec) else 0.0
    column = GeneralColumn(
        name, codec, minimum, maximum, margin, clip, FitRecord("none", summary.rows, summary.missing)
    )
    if not np.isfinite(column.high - column.low):
        raise InputError(
            f'column "{name}": values reach from {column.low:g} to {column.high:g}, further than a range can '
            "span; clean the extreme ones, or leave them out"
        )
    return column

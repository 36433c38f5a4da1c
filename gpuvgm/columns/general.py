"""General columns: the range at fit laid on [-1, 1]."""

from __future__ import annotations

import numpy as np

from gpuvgm.arrays import namespace_of, to_numpy, widened
from gpuvgm.columns.base import Coded, EncodingOptions, Slice, Values, refuse, refuse_infinite
from gpuvgm.columns.codecs import holds_whole_steps
from gpuvgm.columns.model import FitRecord, GeneralColumn
from gpuvgm.columns.numeric import NumberPlan, range_of
from gpuvgm.engines import Engine
from gpuvgm.errors import InputError
from gpuvgm.summary.grid import Floats
from gpuvgm.summary.summary import Summary

MARGIN = 1e-3  # on either side of a range of whole numbers, so that its ends survive rounding


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
    engine : Engine
        Not used.
    column : GeneralColumn
        The fitted column.
    options : EncodingOptions
        How to encode.
    """

    def __init__(self, engine: Engine, column: GeneralColumn, options: EncodingOptions) -> None:
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
        return Coded(scalar=xp.clip(scalar, -1, 1) if column.clip else scalar)

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
    """Decodes a general column; parameters as for `RangeEncoder`."""

    def __init__(self, engine: Engine, column: GeneralColumn) -> None:
        self._column = column

    def __call__(self, part: Coded, first_row: int) -> Values:
        """Values of scalars, which are kept within [-1, 1]."""
        assert part.scalar is not None
        column, xp = self._column, namespace_of(part.scalar)
        share = xp.clip((widened(part.scalar) + 1) / 2, 0, 1)
        numbers = xp.clip(column.low + share * (column.high - column.low), column.low, column.high)
        return Values(column.codec.decode(numbers))

"""Units of numbers: what a column's numbers mean, so that those of several columns can be added and compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import pyarrow as pa

from gpuvgm.columns import CategoricalColumn, FittedColumn, NumericColumn
from gpuvgm.io import is_datetime_type, is_plain_number_type
from gpuvgm.summary import Floats

Span = Literal["", "days", "hours", "minutes", "seconds"]
SPANS: Mapping[Span, int] = {"days": 86_400 * 10**9, "hours": 3600 * 10**9, "minutes": 60 * 10**9, "seconds": 10**9}
NUMBER = "number"  # sort of numbers that are no datetimes


@dataclass(frozen=True, slots=True)
class Unit:
    """What a column's numbers n mean: factor * (n + base), in nanoseconds for datetimes and the time between."""

    sort: str
    factor: Fraction
    base: int

    @classmethod
    def of(cls, column: FittedColumn, span: Span = "") -> Unit | None:
        """The unit of a column, whose numbers may count a span; None where it holds no numbers."""
        factor = Fraction(SPANS.get(span, 1))
        if isinstance(column, CategoricalColumn):
            type_ = column.value_type
            is_number = is_plain_number_type(type_) or pa.types.is_decimal(type_)
            return cls(NUMBER, factor, 0) if is_number else None
        if not isinstance(column, NumericColumn):
            return None
        plain: Any = column.codec.plain
        if is_datetime_type(column.type):
            return cls(plain.sort, Fraction(plain.nanoseconds), plain.base)
        scale = column.type.scale if pa.types.is_decimal(column.type) else 0
        return cls(NUMBER, factor * Fraction(10) ** -scale, plain.base)

    def amounts(self, numbers: Floats) -> Floats:
        """What numbers mean."""
        amounts: Floats = float(self.factor) * (numbers + self.base)
        return amounts

    @staticmethod
    def times_of_day(moments: Floats) -> Floats:
        """Time of the day of moments, in nanoseconds."""
        times: Floats = moments % SPANS["days"]
        return times

    def scale_to(self, other: Unit) -> tuple[float, float]:
        """Factor and shift that turn numbers of this unit into numbers of another one."""
        factor = self.factor / other.factor
        # A fraction: products of bases and nanoseconds exceed 2^53, and only the difference may be rounded.
        return float(factor), float(self.base * factor - other.base)

"""Values of columns as people read them."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from gpuvgm.arrow_types import type_of
from gpuvgm.codecs import Codec, DatetimeCodec, DecimalCodec, LogCodec, Number
from gpuvgm.codecs.datetimes import step_of
from gpuvgm.columns import MISSING, GeneralColumn, Level, MixtureColumn
from gpuvgm.errors import printable
from gpuvgm.levels import value_type

LONGEST_FLOAT = 10  # characters; longer ones are rounded to six digits
LONGEST_LEVEL = 40
_SPANS = ((365.2425 * 86_400, "a"), (86_400, "d"), (3600, "h"), (60, "min"), (1, "s"), (1e-3, "ms"), (1e-6, "us"))


def value_text(codec: Codec, value: Number | None) -> str:
    """A value of a column of numbers; empty for none."""
    if value is MISSING:
        return ""
    text = codec.show(value)
    return f"{value:.6g}" if isinstance(value, float) and len(text) > LONGEST_FLOAT else text


def modal_text(codec: Codec, value: Number | None) -> str:
    """A modal value; None is "missing"."""
    return "missing" if value is MISSING else value_text(codec, value)


def level_text(type_: str, level: Level) -> str:
    """A level of a categorical column of this Arrow type."""
    if level is MISSING:
        return "missing"
    values = value_type(type_of(type_))
    if pa.types.is_temporal(values) and isinstance(level, int):
        return DatetimeCodec(str(values), 0).show(level)
    text = printable(level if isinstance(level, str) else str(level))
    return text if len(text) <= LONGEST_LEVEL else text[: LONGEST_LEVEL - 3] + "..."


def length_text(type_: str, length: float, digits: int = 4) -> str:
    """A difference of two values of a column of numbers, such as a standard deviation; of datetimes with its unit."""
    own: Any = type_of(type_)
    if pa.types.is_decimal(own):
        return f"{length * 10.0**-own.scale:.{digits}g}"
    if not pa.types.is_temporal(own):
        return f"{length:.{digits}g}"
    seconds = length * tick_of(type_)
    size, unit = next((part for part in _SPANS if abs(seconds) >= part[0]), (1e-9, "ns") if seconds else (1, "s"))
    return f"{seconds / size:.{digits}g} {unit}"


def mean_text(column: MixtureColumn, mean: float, digits: int = 6) -> str:
    """A component's mean as a value; of log columns as the logarithm that it is."""
    if isinstance(column.codec, LogCodec):
        return f"exp({mean:.{digits}g})"
    if isinstance(column.codec, (DatetimeCodec, DecimalCodec)):
        return value_text(column.codec, column.codec.value(mean - column.codec.base))
    return f"{mean:.{digits}g}"


def fitted_length_text(column: MixtureColumn | GeneralColumn, length: float, digits: int) -> str:
    """A difference of two numbers of a fitted column; of log columns of logarithms."""
    if isinstance(column.codec, LogCodec):
        return f"{length:.{digits}g}"
    return length_text(column.type, length, digits)


def tick_of(type_: str) -> float:
    """Seconds in the unit of a type of datetimes; 0 for others."""
    own: Any = type_of(type_)
    return step_of(own) * 1e-9 if pa.types.is_temporal(own) else 0.0

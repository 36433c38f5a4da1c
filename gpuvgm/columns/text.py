"""Values of columns as people read them."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from gpuvgm.columns.base import MISSING, Category
from gpuvgm.columns.categories import categories_of, plain_values, value_type
from gpuvgm.columns.codecs import Codec, CurvedCodec, DatetimeCodec, DecimalCodec, Number
from gpuvgm.columns.codecs.datetimes import nanoseconds_of
from gpuvgm.columns.inference import is_category_type
from gpuvgm.errors import counted, printable

LONGEST_FLOAT = 10  # characters; longer ones are rounded to six digits
LONGEST_CATEGORY = 40
WIDEST = 3  # columns that are named
_FRACTION = re.compile(r"(:\d\d)\.\d+")  # of a second, in texts of datetimes
_LEAST_SD = 1e-12
_SIX_DIGITS, _LONGEST_WHOLE = 1e6, 1e16  # between them numbers are written without a power of ten
_FLOAT_DIGITS = 15  # beyond the first
_FRACTIONS_END, _DAY = 60.0, 86_400.0  # seconds: means of wider modes need no fractions, no time of the day
_SPANS = ((365.2425 * 86_400, "a"), (86_400, "d"), (3600, "h"), (60, "min"), (1, "s"), (1e-3, "ms"), (1e-6, "us"))


def value_text(codec: Codec, value: Number | None) -> str:
    """A value of a column of numbers; empty for none."""
    if value is MISSING:
        return ""
    return _shorten_float(value, codec.show(value))


def _shorten_float(value: object, text: str) -> str:
    """The text of a value; of a float with many digits its first six."""
    if not isinstance(value, float) or len(text) <= LONGEST_FLOAT:
        return text
    return f"{value:.0f}" if _SIX_DIGITS <= abs(value) < _LONGEST_WHOLE else f"{value:.6g}"


def texts_of(values: pa.Array[Any]) -> list[str]:
    """Values of any column; "missing" where there is none."""
    if not is_category_type(values.type):
        return [category_text(pa.string(), None if value is None else str(value)) for value in values.to_pylist()]
    plain = plain_values(values)
    texts = ((value, category_text(plain.type, value)) for value in categories_of(plain))
    return [
        _shorten_float(value, text.removesuffix(".0")) if isinstance(value, float) else text for value, text in texts
    ]


def modal_text(codec: Codec, value: Number | None) -> str:
    """A modal value; None is "missing"."""
    return "missing" if value is MISSING else value_text(codec, value)


def category_text(type_: pa.DataType, category: Category) -> str:
    """A category of a categorical column of this Arrow type."""
    if category is MISSING:
        return "missing"
    values = value_type(type_)
    if pa.types.is_temporal(values) and isinstance(category, int):
        return DatetimeCodec(values, 0).show(category)
    text = printable(category if isinstance(category, str) else str(category))
    return text if len(text) <= LONGEST_CATEGORY else text[: LONGEST_CATEGORY - 3] + "..."


def length_text(type_: Any, length: float, digits: int = 4) -> str:
    """A difference of two values of a column of numbers, such as a standard deviation; of datetimes with its unit."""
    if pa.types.is_decimal(type_):
        return f"{length * 10.0**-type_.scale:.{digits}g}"
    if not pa.types.is_temporal(type_):
        return f"{length:.{digits}g}"
    seconds = length * tick_of(type_)
    size, unit = next((part for part in _SPANS if abs(seconds) >= part[0]), (1e-9, "ns") if seconds else (1, "s"))
    return f"{seconds / size:.{digits}g} {unit}"


def mean_text(codec: Codec, mean: float, sd: float) -> str:
    """A component's mean as a value, or as the text that its scale has for it."""
    text = codec.number_text(mean)
    if text is not None:
        return text
    if isinstance(codec, (CurvedCodec, DatetimeCodec, DecimalCodec)):
        return value_text(codec, codec.value(mean - codec.base))
    return number_beside(mean, sd)


def number_beside(value: float, sd: float) -> str:
    """A number of six digits, or of as many as tell it from those a hundredth of a standard deviation away."""
    decimals = _decimals_beside(value, sd)
    return f"{value:.6g}" if decimals is None else f"{value:.{max(0, decimals)}f}"


def _decimals_beside(value: float, sd: float) -> int | None:
    """Place of the third digit of the standard deviation; None where six digits of the value reach it."""
    if not _LEAST_SD < sd < 1 / _LEAST_SD or not 1 <= abs(value) < _LONGEST_WHOLE:
        return None
    size, decimals = math.floor(math.log10(abs(value))), 2 - math.floor(math.log10(sd))
    return min(decimals, _FLOAT_DIGITS - size) if size + 1 + decimals > 6 else None


def fitted_length_text(codec: Codec, length: float, digits: int) -> str:
    """A difference of two numbers of a codec, on its scale."""
    if isinstance(codec, CurvedCodec):
        return f"{length:.{digits}g}{codec.length_mark}"
    return length_text(codec.type, length, digits)


def rounded_mean_text(codec: Codec, mean: float, sd: float) -> str:
    """A component's mean with the digits that its standard deviation leaves of interest."""
    seconds = sd * tick_of(codec.type)
    text = mean_text(codec, mean, sd)
    if isinstance(codec, DatetimeCodec) and seconds > _FRACTIONS_END:
        return text.partition("T")[0] if seconds > _DAY else without_fractions(text)
    if isinstance(codec, (DatetimeCodec, DecimalCodec, CurvedCodec)) or not _LEAST_SD < sd < 1 / _LEAST_SD:
        return text
    decimals = _decimals_beside(mean, sd)
    if decimals is not None:
        return f"{round(mean, decimals):,.{max(0, decimals)}f}"
    return plain_number(round(mean, 2 - math.floor(math.log10(sd))))


def rounded_length_text(codec: Codec, length: float) -> str:
    """A standard deviation to three digits, large ones without a power of ten."""
    text = fitted_length_text(codec, length, 3)
    return plain_number(float(f"{length:.3g}")) if text == f"{length:.3g}" else text


def plain_number(value: float) -> str:
    """A number of six digits, without a power of ten up to a billion."""
    # Adding 0.0 turns negative zero into 0.
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e9 else f"{value + 0.0:.6g}"


def without_fractions(text: str) -> str:
    """A datetime without fractions of its seconds."""
    return _FRACTION.sub(r"\1", text)


def tick_of(type_: pa.DataType) -> float:
    """Seconds in the unit of a type of datetimes; 0 for others."""
    return nanoseconds_of(type_) * 1e-9 if pa.types.is_temporal(type_) else 0.0


def widths_line(widths: Mapping[str, int]) -> str:
    """Sentence on the width of the one-hot matrix, and the columns of the table that make it wide."""
    if not any(widths.values()):
        return "the one-hot matrix has no columns, because no column of the table is encoded"
    widest = ", ".join(f"{name} ({widths[name]:,})" for name in by_width(widths)[:WIDEST])
    return f"the one-hot matrix has {counted(sum(widths.values()), 'column')}, most of them for {widest}"


def by_width(widths: Mapping[str, int]) -> list[str]:
    """Columns of a table, those with the most columns of the one-hot matrix first."""
    return sorted(widths, key=lambda name: (widths[name], name), reverse=True)


def html_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of texts as HTML."""
    head = "".join(f"<th>{html.escape(title)}</th>" for title in titles)
    body = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

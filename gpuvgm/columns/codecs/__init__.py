"""Codecs: Arrow columns to float64 arrays, in which NaN is the one mark of a missing value, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gpuvgm.arrays import Column, DeviceColumn, at_rank, on_host, to_numpy
from gpuvgm.columns.codecs.asinh import AsinhCodec
from gpuvgm.columns.codecs.base import Codec, CodecRules, Number
from gpuvgm.columns.codecs.curves import CurvedCodec, plain, rounding_variance, unit_of
from gpuvgm.columns.codecs.datetimes import DatetimeCodec, stored
from gpuvgm.columns.codecs.decimals import DecimalCodec
from gpuvgm.columns.codecs.floats import FloatCodec
from gpuvgm.columns.codecs.integers import IntegerCodec
from gpuvgm.columns.codecs.logarithms import LogCodec
from gpuvgm.columns.codecs.steps import step_text, with_learned_step, with_step_of_most, without_step
from gpuvgm.columns.codecs.texts import OfText, UnreadText, as_text_codec, form_document, form_from, form_of, text_codec
from gpuvgm.columns.codecs.words import Words, words_of
from gpuvgm.errors import InputError
from gpuvgm.io.arrow import is_datetime_type, is_text_type, type_of
from gpuvgm.summary.grid import Floats

__all__ = [
    "AsinhCodec",
    "Codec",
    "CodecRules",
    "CurvedCodec",
    "DatetimeCodec",
    "DecimalCodec",
    "FloatCodec",
    "IntegerCodec",
    "LogCodec",
    "Number",
    "OfText",
    "UnreadText",
    "are_rounded",
    "codec_document",
    "codec_for",
    "codec_of",
    "ends_of",
    "holds_whole_steps",
    "plain",
    "read_column",
    "rounding_variance",
    "rows_for",
    "scalar_of",
    "step_text",
    "unit_of",
    "with_asinh",
    "with_learned_step",
    "with_log",
    "with_step_of_most",
    "with_value",
    "without_step",
]

LARGEST_EXPONENT = 1000  # of an asinh
_DEFAULTS = {
    "integer": (False,),
    "step": (None, 1),
}  # not written, so that the documents of older versions stay the same


def codec_for(name: str, type_: pa.DataType, sample: pa.ChunkedArray[Any], rules: CodecRules) -> Codec:
    """Codec for a column.

    Parameters
    ----------
    name : str
        The column, for messages.
    type_ : pyarrow.DataType
        Its Arrow type.
    sample : pyarrow.ChunkedArray
        Some of its values, of that type; whole numbers take their base from here.
    rules : CodecRules
        What the user says of the column.

    Raises
    ------
    InputError
        For a type that is not a number.
    """
    if is_text_type(type_):
        return _codec_for_text(name, sample)
    kind, text = _codec_class(type_), str(type_)
    if kind is FloatCodec:
        return FloatCodec(text, rules.infinite_is_missing, rules.integer)
    if kind is IntegerCodec:
        return IntegerCodec(text, _middle(sample))
    if kind is DatetimeCodec:
        codec = DatetimeCodec(text, 0)
        middle = _middle(pa.chunked_array([stored(chunk) for chunk in sample.chunks], stored(pa.array([], type_)).type))
        return DatetimeCodec(text, middle - middle % codec.whole)
    if kind is DecimalCodec:
        return DecimalCodec(text, _middle_of_decimals(sample), rules.integer)
    remedy = "leave it out of `columns`, or convert it first"
    if pa.types.is_decimal(type_):
        remedy = "cast it to decimal128, which has 38 digits, or to double"
        raise InputError(f'column "{name}" holds {type_} values, which are wider than 128 bits: {remedy}')
    raise InputError(f'column "{name}" holds {type_} values, not numbers: {remedy}')


def _codec_for_text(name: str, sample: pa.ChunkedArray[Any]) -> Codec:
    """Codec for text that is dates, times or numbers."""
    form = form_of(sample)
    if form is None:
        raise InputError(
            f'column "{name}" holds {sample.type} values that are not all written as dates, times or numbers'
        )
    codec: Any = text_codec(form)
    base = codec_for(name, form.value_type, read_column(codec, sample), CodecRules()).base
    whole = getattr(codec, "whole", 1)
    return replace(codec, base=base - base % whole)  # type: ignore[no-any-return]


def with_log(codec: Codec, minimum: Number) -> LogCodec:
    """The codec with a logarithm: of x for columns above 0, otherwise of 1 + x - minimum.

    Parameters
    ----------
    codec : Codec
        The column without its logarithm.
    minimum : int or float
        The column's least ordinary value, in the codec's unit.
    """
    return LogCodec(codec, None if minimum > 0 else minimum)


def with_asinh(codec: Codec, size: float) -> AsinhCodec:
    """The codec with asinh(x / 2^n) around it, 2^n the power of two nearest to a size in the column's values."""
    exponent = int(np.rint(np.log2(size)))
    return AsinhCodec(codec, min(max(exponent, -LARGEST_EXPONENT), LARGEST_EXPONENT))


def codec_document(codec: Codec) -> dict[str, Any]:
    """JSON-able form of a codec."""
    document: dict[str, Any] = {"name": codec.name}
    for field in fields(codec):  # type: ignore[arg-type]  # all codecs are dataclasses
        value = getattr(codec, field.name)
        if value not in _DEFAULTS.get(field.name, ()):
            document[field.name] = _DOCUMENTS.get(field.name, _as_it_is)(value)
    return document


def _as_it_is(value: Any) -> Any:
    return value


_DOCUMENTS: dict[str, Any] = {"inner": codec_document, "text": form_document}


def codec_of(document: Mapping[str, Any]) -> Codec:
    """Codec from what `codec_document` gave.

    Raises
    ------
    KeyError, TypeError, ValueError
        For a document that is none.
    """
    given = dict(document)
    name = given.pop("name")
    curved = {kind.name: kind for kind in (AsinhCodec, LogCodec)}
    if name in curved:
        inner = codec_of(given.pop("inner"))
        if isinstance(inner, CurvedCodec):
            raise ValueError("a logarithm of a logarithm")
        return curved[name](inner, **given)
    form = given.pop("text", None)
    kind = {kind.name: kind for kind in (FloatCodec, IntegerCodec, DatetimeCodec, DecimalCodec)}[name]
    codec: Codec = kind(**given)
    if _codec_class(type_of(codec.type)) is not kind:
        raise ValueError(f"a {name} codec cannot hold {codec.type}")
    return codec if form is None else as_text_codec(codec, form_from(form))


def holds_whole_steps(codec: Codec) -> bool:
    """Whether decoded values are rounded to whole units: of integers, datetimes and decimals, and where asked for."""
    inner = plain(codec)
    return inner.integer if isinstance(inner, FloatCodec) else True


def ends_of(codec: Codec, values: Column, numbers: Floats, low: float, high: float) -> tuple[Number, Number] | None:
    """Least and largest value of a column in its own unit, exactly.

    Parameters
    ----------
    codec : Codec
        The column's codec.
    values : pyarrow.Array or DeviceColumn
        Rows of the column.
    numbers : ndarray of shape (rows,)
        Their numbers; rows that are not finite are left out.
    low, high : float
        Least and largest finite number.

    Returns
    -------
    tuple of int or float, or None
        None where no number is finite (`low` is above `high`).
    """
    if low > high:
        return None
    if not are_rounded(codec, values.type, low, high):
        return codec.value(low), codec.value(high)
    return min(_own_values(values, numbers == low)), max(_own_values(values, numbers == high))


def are_rounded(codec: Codec, type_: pa.DataType | None, low: float, high: float) -> bool:
    """Whether the values of a type are not known from their least and largest number."""
    rounded = isinstance(codec, CurvedCodec) or max(-low, high) >= 2.0**53
    return rounded and not isinstance(codec, FloatCodec) and str(type_) == codec.type


def _own_values(values: Column, rows: NDArray[np.bool_]) -> list[Number]:
    """Different values of some rows in the unit of their type."""
    if isinstance(values, DeviceColumn):
        found = to_numpy(values.values[rows])
        return [found.min().item(), found.max().item()]
    chosen: Any = values.filter(pa.array(rows))
    if pa.types.is_decimal(chosen.type):
        words = words_of(pc.cast(chosen, pa.decimal128(chosen.type.precision, chosen.type.scale)).unique())
        if isinstance(words, Words):
            return [int(h) * 2**64 + int(low) for h, low in zip(words.high.view(np.int64), words.low, strict=True)]
        return [int(word) for word in words]
    return list((stored(chosen) if is_datetime_type(chosen.type) else chosen).unique().to_pylist())


def rows_for(codec: Codec, values: Column) -> Column:
    """Rows where and as the codec works: those of wide decimals and logarithms come to the host, text is read."""
    inner = plain(codec)
    if isinstance(inner, OfText):
        return inner.values_of(values)
    return values if codec.stays(values.type) else on_host(values)


def read_column(codec: Codec, column: pa.ChunkedArray[Any]) -> pa.ChunkedArray[Any]:
    """A column as the values that its codec makes numbers of: text is read, other columns are as they are."""
    if not isinstance(codec, OfText):
        return column
    type_: Any = type_of(codec.type)
    chunks: list[Any] = [codec.values_of(chunk) for chunk in column.chunks]
    return pa.chunked_array(chunks, type_)


def with_value(codec: Codec, column: Column, rows: Any, value: Number) -> Column:
    """A decoded column with one value in some rows, exactly; the rows lie where the column does."""
    if isinstance(column, DeviceColumn):
        return column.replaced(rows, value)
    replaced: pa.Array[Any] = pc.if_else(pa.array(rows), scalar_of(codec, value), column).cast(column.type)
    return replaced


def scalar_of(codec: Codec, value: Number) -> Any:
    """A value in the column's own unit as an Arrow scalar of the column's type, exactly."""
    inner = plain(codec)
    if isinstance(inner, FloatCodec):
        return on_host(replace(inner, integer=False, step=None).decode(np.array([value], np.float64)))[0]
    shifted: Codec = replace(inner, base=int(value), step=1)  # type: ignore[type-var]  # all codecs are dataclasses
    return on_host(shifted.decode(np.zeros(1)))[0]


def _codec_class(type_: pa.DataType) -> type[FloatCodec | IntegerCodec | DatetimeCodec | DecimalCodec] | None:
    if pa.types.is_floating(type_) or pa.types.is_null(type_):
        return FloatCodec
    if pa.types.is_integer(type_):
        return IntegerCodec
    if pa.types.is_decimal(type_):
        return DecimalCodec if type_.bit_width <= 128 else None
    return DatetimeCodec if is_datetime_type(type_) else None


def _middle(sample: pa.ChunkedArray[Any]) -> int:
    """Median of integers, 0 without any."""
    present = sample.drop_null()
    middle = pc.sort_indices(present)[len(present) // 2].as_py() if len(present) else None
    return 0 if middle is None else int(present[middle].as_py())


def _middle_of_decimals(sample: pa.ChunkedArray[Any]) -> int:
    """Median of decimals without their decimal point, 0 without any."""
    present = sample.drop_null().combine_chunks()
    if len(present) == 0:
        return 0
    values, half = words_of(present), len(present) // 2
    if isinstance(values, Words):
        high = values.high.view(np.int64)
        middle = np.lexsort((values.low, high))[half]
        return int(high[middle]) * 2**64 + int(values.low[middle])
    return int(at_rank(values, half))

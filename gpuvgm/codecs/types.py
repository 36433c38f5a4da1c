"""Codecs by Arrow type: the one of a column, from its type and a sample, and those of documents."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from gpuvgm.arrays import ascending
from gpuvgm.codecs.base import Codec
from gpuvgm.codecs.datetimes import DatetimeCodec, comparable, own_value
from gpuvgm.codecs.decimals import DecimalCodec
from gpuvgm.codecs.floats import FloatCodec
from gpuvgm.codecs.integers import IntegerCodec
from gpuvgm.codecs.texts import (
    MOST_WORDS,
    DatetimeText,
    DecimalText,
    IntegerText,
    LengthText,
    OffsetText,
    OfText,
    PlacedText,
    TextForm,
    form_of,
    text_codec,
)
from gpuvgm.errors import InputError
from gpuvgm.io import is_datetime_type, is_text_type
from gpuvgm.records import read_as, refuse
from gpuvgm.rules import whole

ValueCodec = FloatCodec | IntegerCodec | DatetimeCodec | DecimalCodec
CODECS: dict[str, type[ValueCodec]] = {
    kind.name: kind for kind in (FloatCodec, IntegerCodec, DatetimeCodec, DecimalCodec)
}
TEXTS: dict[str, type[ValueCodec]] = {
    kind.name: kind for kind in (IntegerText, DatetimeText, OffsetText, DecimalText, PlacedText, LengthText)
}


def codec_for(
    name: str,
    sample: pa.ChunkedArray[Any],
    *,
    infinite_is_missing: bool = False,
    integer: bool = False,
    parse: str | None = None,
    na_values: Sequence[str] = (),
) -> Codec:
    """Codec for a column.

    Parameters
    ----------
    name : str
        The column, for messages.
    sample : pyarrow.ChunkedArray
        Some of its values; whole numbers take their base from here.
    infinite_is_missing : bool
        Take infinities for missing values instead of refusing them later.
    integer : bool
        Give whole numbers back, though the type can hold others.
    parse, na_values
        Reading of text; see `gpuvgm.codecs.form_of`.

    Raises
    ------
    InputError
        For a type that is not a number.
    """
    type_ = sample.type
    if is_text_type(type_):
        return _codec_for_text(name, sample, form_of(sample, parse, na_values))
    kind = _codec_class(type_)
    if kind is FloatCodec:
        return FloatCodec(type_, infinite_is_missing, integer)
    if kind is IntegerCodec:
        return IntegerCodec(type_, _middle(sample))
    if kind is DatetimeCodec:
        middle = _middle(sample)
        return DatetimeCodec(type_, middle - middle % DatetimeCodec(type_, 0).grain)
    if kind is DecimalCodec:
        return DecimalCodec(type_, _middle(sample), integer)
    remedy = "leave it out of `columns`, or convert it first"
    if pa.types.is_decimal(type_):
        remedy = "cast it to decimal128, which has 38 digits, or to double"
        raise InputError(f'column "{name}" holds {type_} values, which are wider than 128 bits: {remedy}')
    raise InputError(f'column "{name}" holds {type_} values, not numbers: {remedy}')


def _codec_for_text(name: str, sample: pa.ChunkedArray[Any], form: TextForm | None) -> Codec:
    """Codec for text that is dates, times or numbers."""
    if form is None:
        raise InputError(
            f'column "{name}" holds {sample.type} values that are not all written as dates, times or numbers'
        )
    codec = text_codec(form)
    base = codec_for(name, read_column(codec, sample)).base
    grain = getattr(codec, "grain", 1)
    return replace(codec, base=base - base % grain)


def read_column(codec: Codec, column: pa.ChunkedArray[Any]) -> pa.ChunkedArray[Any]:
    """A column as the values that its codec makes numbers of: text is read, other columns are as they are."""
    if not isinstance(codec, OfText):
        return column
    type_: Any = codec.type
    chunks: list[Any] = [codec.values_of(chunk) for chunk in column.chunks]
    return pa.chunked_array(chunks, type_)


def value_codec_of(document: Any, where: str = "a codec") -> Codec:
    """Codec of values from its document.

    Raises
    ------
    ValueError
        For a document that is none.
    """
    name = document.get("name") if isinstance(document, dict) else None
    kinds = TEXTS if isinstance(document, dict) and "text" in document else CODECS
    if not isinstance(name, str) or name not in kinds:
        refuse(document, where, f"a codec ({', '.join(kinds)})")
    codec = read_as(kinds[name], document, where)
    type_ = codec.text.value_type if isinstance(codec, OfText) else codec.type
    values = _codec_class(type_)
    if values is None or not issubclass(kinds[name], values) or type_ != codec.type:
        raise ValueError(f"{where}: a {name} codec cannot hold {codec.type}")
    if isinstance(codec, OfText) and len(codec.text.words) > MOST_WORDS:
        raise ValueError(f"{where}: text: words are more than {MOST_WORDS}")
    return codec


def check_value(codec: Codec, value: Any, where: str, *, infinite: bool = False) -> None:
    """Refuse a value that is not in a codec's unit: a finite float for floats, else an integer of the type."""
    type_: Any = codec.type
    if pa.types.is_floating(type_) or pa.types.is_null(type_):
        read_as(float, value, where)
        if math.isnan(value) or (math.isinf(value) and not infinite):
            refuse(value, where, "a value of the column")
        return
    if pa.types.is_decimal(type_):
        low, high = 1 - 10**type_.precision, 10**type_.precision - 1
    elif pa.types.is_unsigned_integer(type_):
        low, high = 0, 2**type_.bit_width - 1
    else:
        low, high = -(2 ** (type_.bit_width - 1)), 2 ** (type_.bit_width - 1) - 1
    whole(low, high)(value, where)


def _codec_class(type_: pa.DataType) -> type[FloatCodec | IntegerCodec | DatetimeCodec | DecimalCodec] | None:
    if pa.types.is_floating(type_) or pa.types.is_null(type_):
        return FloatCodec
    if pa.types.is_integer(type_):
        return IntegerCodec
    if pa.types.is_decimal(type_):
        return DecimalCodec if type_.bit_width <= 128 else None
    return DatetimeCodec if is_datetime_type(type_) else None


def _middle(sample: pa.ChunkedArray[Any]) -> int:
    """Median of whole numbers, datetimes or decimals in the unit of their type, 0 without any."""
    present = comparable(sample.drop_null().combine_chunks())
    if not len(present):
        return 0
    if pa.types.is_integer(present.type):
        return int(ascending(present.to_numpy())[len(present) // 2])
    middle: int = own_value(present[pc.sort_indices(present)[len(present) // 2].as_py()])
    return middle

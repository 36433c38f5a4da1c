"""Arrow types: from the text that `str` gives of them, and what their values are."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

import pyarrow as pa

_DECIMAL = re.compile(r"decimal(32|64|128|256)\((\d+), (-?\d+)\)")
_ZONED = re.compile(r"timestamp\[(s|ms|us|ns), tz=(.+)\]")
_FIXED_BINARY = re.compile(r"fixed_size_binary\[(\d+)\]")
_FIXED_LIST = re.compile(r"fixed_size_list<(.+)>\[(\d+)\]")
_DICTIONARY = re.compile(r"dictionary<values=(.+), indices=(u?int\d+), ordered=([01])>")
_NESTED = re.compile(r"(list|large_list|list_view|large_list_view|struct|map)<(.*)>")
_NOT_NULL = " not null"
VALIDITY_BYTES = 1 / 8  # a bit of every value
TEXT_BYTES = 32.0  # of a text or another value without a fixed width: a guess


@cache
def type_of(text: str) -> pa.DataType:
    """Arrow type from its text, the inverse of ``str``.

    Parameters
    ----------
    text : str
        For example "int64", "timestamp[us, tz=Europe/Berlin]", "decimal128(10, 2)" or
        "dictionary<values=string, indices=int8, ordered=0>".

    Raises
    ------
    ValueError
        For a text that is not one of a type that columns may have.
    """
    try:
        type_: pa.DataType = _build(text)
    except (ValueError, IndexError, OverflowError, NotImplementedError) as problem:
        raise ValueError(f'"{text}" is no Arrow type of a column: {problem}') from problem
    if str(type_) != text:
        raise ValueError(f'"{text}" is no Arrow type of a column')
    return type_


def _build(text: str) -> Any:
    for pattern, build in _PATTERNS:
        if found := pattern.fullmatch(text):
            return build(*found.groups())
    return pa.type_for_alias(text)  # type: ignore[call-overload]  # the stubs want a literal


def _decimal(bits: str, precision: str, scale: str) -> Any:
    build = getattr(pa, f"decimal{bits}", None)
    if build is None:
        raise ValueError(f"this version of pyarrow has no decimal{bits}")
    return build(int(precision), int(scale))


def _nested(kind: str, inside: str) -> Any:
    parts = _split(inside)
    if kind == "struct":
        return pa.struct([_field(part) for part in parts])
    if kind == "map":
        ordered: Any = {"keys_sorted": parts[2:] == ["keys_sorted"]}  # the stubs spell it in another way
        return pa.map_(type_of(parts[0]), type_of(parts[1]), **ordered)
    return getattr(pa, {"list": "list_"}.get(kind, kind))(_field(inside))


def _field(text: str) -> pa.Field[Any]:
    """Field of a nested type: "name: type" or "name: type not null"."""
    name, _, type_ = text.partition(": ")
    return pa.field(name, type_of(type_.removesuffix(_NOT_NULL)), nullable=not type_.endswith(_NOT_NULL))


def _split(text: str) -> list[str]:
    """Parts between the commas that lie in no bracket."""
    parts, depth, start = [], 0, 0
    for position, letter in enumerate(text):
        depth += (letter in "<([") - (letter in ">)]")
        if depth == 0 and text.startswith(", ", position):
            parts.append(text[start:position])
            start = position + 2
    return [*parts, text[start:]] if text else []


_PATTERNS: tuple[tuple[re.Pattern[str], Callable[..., Any]], ...] = (
    (_DECIMAL, _decimal),
    (_ZONED, lambda unit, zone: pa.timestamp(unit, zone)),
    (_FIXED_BINARY, lambda width: pa.binary(int(width))),
    (_FIXED_LIST, lambda field, length: pa.list_(_field(field), int(length))),
    (
        _DICTIONARY,
        lambda values, indices, ordered: pa.dictionary(type_of(indices), type_of(values), ordered=ordered == "1"),
    ),
    (_NESTED, _nested),
)


def is_text_type(type_: pa.DataType) -> bool:
    """Whether values of the type are text."""
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_))


def is_datetime_type(type_: pa.DataType) -> bool:
    """Whether values of the type are points in time, times of day or durations."""
    of_a_day = pa.types.is_date(type_) or pa.types.is_time(type_)
    return bool(of_a_day or pa.types.is_timestamp(type_) or pa.types.is_duration(type_))


def is_number_type(type_: pa.DataType) -> bool:
    """Whether a continuous, mixed or general column can hold the type: numbers, decimals, datetimes, or no values."""
    decimal = pa.types.is_decimal(type_) and not pa.types.is_decimal256(type_)
    return bool(is_plain_number_type(type_) or decimal or is_datetime_type(type_) or pa.types.is_null(type_))


def is_plain_number_type(type_: pa.DataType) -> bool:
    """Whether values of the type are integers or floating-point numbers."""
    return bool(pa.types.is_integer(type_) or pa.types.is_floating(type_))


def row_bytes(schema: pa.Schema) -> float:
    """Bytes that a row takes in Arrow arrays; of values without a fixed width a guess."""
    return float(sum(_value_bytes(field.type) for field in schema))


def _value_bytes(type_: pa.DataType) -> float:
    if pa.types.is_dictionary(type_):
        return _value_bytes(type_.index_type)
    try:
        return type_.bit_width / 8 + VALIDITY_BYTES
    except ValueError:
        return TEXT_BYTES

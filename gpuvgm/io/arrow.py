"""Arrow's types and values: what a row takes, exact casts, joins, plain values, and NumPy arrays of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

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


Array = Any  # a pyarrow.Array: the stubs know no array of any type
LARGEST_WHOLE = 2**53  # float64 holds every integer from -2^53 to 2^53


def plain_column(column: pa.ChunkedArray[Any]) -> pa.ChunkedArray[Any]:
    """A column as the values that it stands for: no dictionary, no runs, and the storage of extension types."""
    type_: Any = plain_type(column.type)
    return column if type_ == column.type else pa.chunked_array([plain_values_of(c) for c in column.chunks], type_)


def plain_type(type_: Any) -> pa.DataType:
    """Type of the values that a column of a type stands for; within dictionaries, text instead of views of text."""
    if pa.types.is_dictionary(type_):
        return plain_type(_taken_type(type_.value_type))
    if pa.types.is_run_end_encoded(type_):
        return plain_type(type_.value_type)
    plain: pa.DataType = plain_type(type_.storage_type) if isinstance(type_, pa.BaseExtensionType) else type_
    return plain


def plain_values_of(values: Array) -> Array:
    """An array as the values that it stands for, as in `plain_column`."""
    if pa.types.is_dictionary(values.type):
        return plain_values_of(out_of_dictionary(values))
    if pa.types.is_run_end_encoded(values.type):
        return plain_values_of(pc.call_function("run_end_decode", [values]))
    return plain_values_of(values.storage) if isinstance(values.type, pa.BaseExtensionType) else values


def out_of_dictionary(values: Array) -> Array:
    """Entries of a dictionary array, one a row: null where the index is null, and where the entry is."""
    entries, type_ = values.dictionary, _taken_type(values.type.value_type)
    return (entries if entries.type == type_ else entries.cast(type_)).take(values.indices)


def _taken_type(type_: pa.DataType) -> pa.DataType:
    """The type as which Arrow's `take` works: it does not take views."""
    if is_text_type(type_) and not pa.types.is_string(type_):
        return pa.large_string()
    return pa.large_binary() if pa.types.is_binary_view(type_) else type_


def tidied(values: Array) -> Array:
    """A dictionary array whose entries are neither missing nor double, as pandas and Arrow's joins need them."""
    entries = values.dictionary
    try:
        codes = entries.dictionary_encode()
    except pa.ArrowNotImplementedError:
        return values
    if not codes.indices.null_count and len(codes.dictionary) == len(entries):
        return values
    indices = codes.indices.take(values.indices).cast(values.type.index_type)
    return pa.DictionaryArray.from_arrays(indices, codes.dictionary, ordered=values.type.ordered)


def joined_arrays(arrays: Sequence[Array], type_: Any) -> Array:
    """Arrays of one type as one, also where their dictionaries differ and hold missing entries.

    Raises
    ------
    pyarrow.ArrowInvalid
        For dictionaries that have more entries together than the index type can number.
    """
    if len(arrays) == 1:
        return arrays[0]
    if not arrays:
        return pa.nulls(0, type_)
    if not pa.types.is_dictionary(type_) or all(arrays[0].dictionary.equals(array.dictionary) for array in arrays[1:]):
        return pa.concat_arrays(arrays)
    comparable = _comparable(type_.value_type)
    if comparable != type_.value_type:
        entries: Any = comparable  # the stubs know no dictionary of any type
        coded = pa.dictionary(type_.index_type, entries)
        joined = joined_arrays([_with_entries(array, comparable) for array in arrays], coded)
        return _with_entries(joined, type_.value_type, ordered=type_.ordered)
    try:
        return pa.concat_arrays([tidied(array) for array in arrays])
    except pa.ArrowNotImplementedError:  # entries that Arrow cannot compare, such as lists
        return _one_behind_the_other(arrays, type_)


def _comparable(type_: Any) -> pa.DataType:
    """The type as which Arrow joins different dictionaries; Arrow 26 joins those of float16 wrongly."""
    if pa.types.is_float16(type_):
        return pa.uint16()
    stored: pa.DataType = type_.storage_type if isinstance(type_, pa.BaseExtensionType) else type_
    return stored


def _with_entries(values: Array, type_: Any, *, ordered: bool = False) -> Array:
    """A dictionary array with the same entries, or what they are stored as, as another type."""
    entries = values.dictionary
    if isinstance(entries.type, pa.BaseExtensionType):
        entries = entries.storage
    elif isinstance(type_, pa.BaseExtensionType):
        entries = pa.ExtensionArray.from_storage(type_, entries)
    else:
        entries = entries.view(type_)
    return pa.DictionaryArray.from_arrays(values.indices, entries, ordered=ordered)


def _one_behind_the_other(arrays: Sequence[Array], type_: Any) -> Array:
    """Dictionary arrays as one whose dictionary holds the different dictionaries of all."""
    dictionaries: list[Array] = []
    indices = []
    for array in arrays:
        at = next((i for i, known in enumerate(dictionaries) if known.equals(array.dictionary)), len(dictionaries))
        dictionaries[at:] = dictionaries[at:] or [array.dictionary]
        start = sum(map(len, dictionaries[:at]))
        indices.append(pc.add(array.indices.cast(pa.int64()), start).cast(type_.index_type))
    entries = pa.concat_arrays(dictionaries)
    return pa.DictionaryArray.from_arrays(pa.concat_arrays(indices), entries, ordered=type_.ordered)


def taken(values: Array, rows: NDArray[np.int64]) -> Array:
    """Rows of an array or a chunked array; one after the other for types that Arrow's `take` does not know."""
    try:
        return values.take(pa.array(rows, pa.int64()))
    except pa.ArrowNotImplementedError:
        pass
    chunked = isinstance(values, pa.ChunkedArray)
    pieces = [values.slice(row, 1) for row in rows.tolist()]
    if chunked:
        return pa.chunked_array([chunk for piece in pieces for chunk in piece.chunks], values.type)
    return pa.concat_arrays(pieces or [values.slice(0, 0)])


def exactly_cast(values: Array, type_: pa.DataType) -> Array:
    """An array as another type that holds all its values.

    Raises
    ------
    pyarrow.ArrowException
        Where it does not; Arrow itself rounds floats, decimals and datetimes.
    """
    cast, kind = values.cast(type_), values.type
    if kind == type_ or is_text_type(type_) or not _is_rounded(kind):
        return cast
    compared: Any = pc.equal(cast.cast(kind), values)
    same = compared.fill_null(fill_value=True)
    if pa.types.is_floating(kind):
        nan: Any = pc.is_nan(values)
        same = pc.or_(same, nan.fill_null(fill_value=True))
    if not pc.all(same, min_count=0).as_py():
        raise pa.ArrowInvalid(f"{type_} does not hold all values of {kind}")
    return cast


def _is_rounded(type_: pa.DataType) -> bool:
    """Whether Arrow's casts of a type may round; float16 fits into every float type."""
    floats = pa.types.is_floating(type_) and not pa.types.is_float16(type_)
    return bool(floats or pa.types.is_decimal(type_) or pa.types.is_temporal(type_))

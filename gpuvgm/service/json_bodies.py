"""Tables from and to JSON: ``{"columns": {"name": [values]}}`` with null for missing values.

Numbers, text and booleans are themselves. Decimals, dates, times and datetimes are text as Arrow writes it,
durations are whole numbers of their unit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NoReturn

import pyarrow as pa
import pyarrow.compute as pc

from gpuvgm.errors import InputError, printable
from gpuvgm.io import is_plain_number_type, is_text_type, parse
from gpuvgm.service.limits import check_width
from gpuvgm.shortage import ARROW_PROBLEMS, reason

MEDIA_TYPE = "application/json"
DECIMAL_LETTERS = 40  # of the text of a decimal; more only for types that have more digits
PIECE_VALUES = 1 << 13  # written at a time: Python does nothing else meanwhile
_TOP = "columns"


def read_document(body: bytearray | bytes, types: Mapping[str, pa.DataType]) -> pa.Table:
    """Parse a JSON body as a table.

    Parameters
    ----------
    body : bytes
        UTF-8 text.
    types : mapping of str to pyarrow.DataType
        Types of the columns, where text stands for something else or all values may be null.

    Raises
    ------
    InputError
        For anything else than columns of equal length; columns and rows are named.
    """
    try:
        document = json.loads(body, parse_constant=_refuse_nan, object_pairs_hook=_object_of)
    except RecursionError:
        raise InputError("the body is nested too deeply") from None
    except InputError:
        raise
    except ValueError as problem:
        raise InputError(f"the body is not valid JSON: {reason(problem)}") from None
    columns = document.get(_TOP) if isinstance(document, dict) else None
    if not isinstance(columns, dict) or len(document) > 1:
        raise InputError('the body must be {"columns": {"name": [values, ...], ...}} and nothing else')
    check_width(len(columns))
    arrays = {name: _array_of_json(name, values, types.get(name)) for name, values in columns.items()}
    try:
        return pa.table(arrays)
    except pa.ArrowInvalid as problem:
        raise InputError(f"the columns have different lengths: {reason(problem)}") from None


def _refuse_nan(text: str) -> NoReturn:
    raise InputError(f"the body contains {text}, which is not JSON; send null for missing values")


def _object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members or name.encode(errors="replace").decode() != name:  # JSON may hold halves of letters
            wrong = "more than once" if name in members else "which is not valid text"
            raise InputError(f'the body has the key "{printable(name)}", {wrong}')
        members[name] = value
    return members


def _array_of_json(name: str, values: Any, type_: pa.DataType | None) -> pa.Array[Any]:
    if not isinstance(values, list):
        raise InputError(f'column "{name}" is not a list of values')
    if type_ is not None and not _is_itself(type_):
        return _convert(name, values, type_)
    try:
        array: pa.Array[Any] = pa.array(values)
    except (*ARROW_PROBLEMS, OverflowError, ValueError, TypeError):
        if type_ != pa.uint64():
            _refuse_mixture(name, values)
        return _unsigned(name, values)
    # pyarrow takes booleans among floats for 0 and 1.
    if is_plain_number_type(array.type) and any(value is True or value is False for value in values):
        row = next(row for row, value in enumerate(values) if isinstance(value, bool))
        raise InputError(f'column "{name}", row {row}: a boolean among numbers')
    if pa.types.is_null(array.type) and type_ is not None:
        array = array.cast(type_)
    return array


def _unsigned(name: str, values: list[Any]) -> pa.Array[Any]:
    try:
        return pa.array(values, pa.uint64())
    except (*ARROW_PROBLEMS, OverflowError, ValueError, TypeError):
        _refuse_mixture(name, values)


def _is_itself(type_: pa.DataType) -> bool:
    """Return whether JSON has values of the type."""
    return is_plain_number_type(type_) or is_text_type(type_) or pa.types.is_boolean(type_) or pa.types.is_null(type_)


def _convert(name: str, values: list[Any], type_: pa.DataType) -> pa.Array[Any]:
    """Convert text or whole numbers to values of a type that JSON lacks."""
    if pa.types.is_dictionary(type_):
        return _array_of_json(name, values, type_.value_type).cast(type_)
    spelt = type_ if pa.types.is_nested(type_) else _spelling(type_)
    if pa.types.is_decimal(type_):
        values = _decimal_texts(name, values, type_)
    try:
        array: pa.Array[Any] = parse(pa.array(values, spelt), type_)
        return array
    except (*ARROW_PROBLEMS, OverflowError, ValueError, TypeError):
        pass
    for row, value in enumerate(values):
        try:
            parse(pa.array([value], spelt), type_)
        except (*ARROW_PROBLEMS, OverflowError, ValueError, TypeError) as problem:
            raise InputError(f'column "{name}", row {row} is not a valid {type_}: {reason(problem)}') from None
    raise InputError(f'column "{name}" cannot be read as {type_} from JSON; send Arrow')


def _decimal_texts(name: str, values: list[Any], type_: Any) -> list[Any]:
    """Decimals as text that Arrow reads correctly; Arrow 26 misreads those of very many digits silently."""
    texts = [str(value) if isinstance(value, (int, float)) else value for value in values]
    limit = max(DECIMAL_LETTERS, type_.precision + 2)  # a sign and a point
    for row, text in enumerate(texts):
        if isinstance(text, str) and len(text) > limit:
            raise InputError(f'column "{name}", row {row} is not a valid {type_}: it has {len(text)} digits')
    return texts


def _spelling(type_: pa.DataType) -> pa.DataType:
    """Type whose values stand in JSON for a type that it lacks."""
    return pa.int64() if pa.types.is_duration(type_) else pa.string()


def _refuse_mixture(name: str, values: list[Any]) -> NoReturn:
    """Refuse the first value whose type differs from those before it."""
    low, high = 0, len(values)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            pa.array(values[:middle])
            low = middle
        except (*ARROW_PROBLEMS, OverflowError, ValueError, TypeError):
            high = middle
    excerpt = printable(repr(values[low])[:40])
    raise InputError(
        f'column "{name}", row {low}: {excerpt} is out of range, or of another type than the values before it'
    )


def write_document(table: pa.Table, members: Mapping[str, Any] = MappingProxyType({})) -> bytes:
    """A table as JSON, with other members of the document; numbers that JSON lacks are null.

    Raises
    ------
    InputError
        For values that have no text, such as bytes.
    """
    columns = {}
    for name in table.schema.names:
        try:
            columns[name] = _json_values(table.column(name))
        except (*ARROW_PROBLEMS, UnicodeDecodeError) as problem:
            message = f'column "{name}" has the type {table.schema.field(name).type}, which JSON lacks'
            raise InputError(f"{message}; ask for Arrow ({reason(problem)})") from None
    return _json_of({"rows": table.num_rows, _TOP: columns, **members})


def _json_of(value: Any) -> bytes:
    """JSON of dicts, lists and their contents, written in pieces."""
    if isinstance(value, dict):
        return b"{" + b",".join(_dump(name) + b":" + _json_of(part) for name, part in value.items()) + b"}"
    if not isinstance(value, list):
        return _dump(value)
    pieces = (value[start : start + PIECE_VALUES] for start in range(0, len(value), PIECE_VALUES))
    return b"[" + b",".join(_dump(piece)[1:-1] for piece in pieces) + b"]"


def _dump(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=str).encode()


def _json_values(column: pa.ChunkedArray[Any]) -> list[Any]:
    type_ = column.type
    if pa.types.is_dictionary(type_):
        return _json_values(column.cast(type_.value_type))
    if pa.types.is_floating(type_):
        column = pc.if_else(pc.is_finite(column), column, pa.scalar(None, type_))
    elif not _is_itself(type_) and not pa.types.is_nested(type_):
        column = column.cast(_spelling(type_))
    values: list[Any] = column.to_pylist()
    return values

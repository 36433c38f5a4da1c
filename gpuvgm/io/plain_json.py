"""Values as JSON documents, exact to the last bit; Arrow types in Arrow's own bytes."""

from __future__ import annotations

import math
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from gpuvgm.errors import InputError
from gpuvgm.io.untrusted import check_schema
from gpuvgm.shortage import reason

_FLOAT, _TYPE, _ORDERED = "$float", "$type", "ordered"


def plain(value: Any, where: str = "model") -> Any:
    """JSON-able form of a value.

    A float that JSON lacks becomes ``{"$float": "inf"}``, an Arrow type ``{"$type": ...}`` with the base64 of an IPC
    schema; see `_schema_of_type`.

    Raises
    ------
    InputError
        For what is no number, string, boolean, None, Arrow type, array, list or mapping; `where` says which value.
    """
    if isinstance(value, (np.ndarray, np.generic)):
        return plain(value.tolist(), where)
    if isinstance(value, float) and not math.isfinite(value):
        return {_FLOAT: str(float(value))}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [plain(part, where) for part in value]
    if isinstance(value, Mapping):
        return {str(key): plain(part, f"{where}: {key}") for key, part in value.items()}
    if isinstance(value, pa.DataType):
        return {_TYPE: b64encode(_schema_of_type(value).serialize()).decode()}
    raise InputError(f"{where}: a {type(value).__name__} cannot be stored in a model file")


def _schema_of_type(type_: Any) -> pa.Schema:
    """Schema of one field; for a dictionary of an extension type, which IPC cannot read, its two types as fields."""
    if pa.types.is_dictionary(type_) and isinstance(type_.value_type, pa.BaseExtensionType):
        return pa.schema([("", type_.value_type), ("", type_.index_type)], {_ORDERED: str(type_.ordered)})
    return pa.schema([("", type_)])


def from_plain(document: dict[str, Any]) -> Any:
    """Value of a document that `plain` wrote; for ``json.loads(..., object_hook=from_plain)``."""
    if document.keys() == {_TYPE}:
        return _type_of(document[_TYPE])
    if document.keys() != {_FLOAT}:
        return document
    if document[_FLOAT] not in ("inf", "-inf", "nan"):
        raise ValueError(f"{document[_FLOAT]!r:.60} is no number")
    return float(document[_FLOAT])


def _type_of(text: Any) -> Any:
    try:
        schema = pa.ipc.read_schema(pa.py_buffer(b64decode(text, validate=True)))
        check_schema(schema)
        first, *index_types = schema.types
        if not index_types:
            return first
        dictionary_of: Any = pa.dictionary  # the stubs know none of any type
        return dictionary_of(*index_types, first, ordered=(schema.metadata or {}).get(_ORDERED.encode()) == b"True")
    except Exception as problem:  # what an extension type raises may be anything
        raise ValueError(f"{text!r:.60} is no Arrow type ({reason(problem)})") from problem

"""Dataclasses as JSON documents and back: one mechanism for all records, which checks every part that it reads.

The type of a part says what its document holds: an int is at least 0; a part of several types is checked later, with
the other parts of its record. What stands beside the type, as in ``Annotated[int, whole(1)]``, says more:

- A rule checks the value, in an array every number.
- A function reads the part, from its document and the words for its place.
- A record class stands in for a part that is no record: documents hold ``Class.of(part)``, and the ``part`` of that
  record is the part again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache, partial
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.rules import Rule, choice, number, shown, whole

LARGEST_WHOLE = 10**38 - 1  # a decimal of 38 digits
#: Attributes of classes, not of their records, that tell the classes of one family apart in documents.
TAGS = ("name", "kind", "encoding", "sign")

Part = TypeVar("Part")
Reader = Callable[[Any, str], Any]  # the document, and where it stands


def refuse(value: object, where: str, requirement: str) -> NoReturn:
    """Raise a ValueError that names the value, its place and the requirement."""
    raise ValueError(f"{where} is {shown(value)}, not {requirement}")


# -- records


def document_of(record: Any) -> dict[str, Any]:
    """A record as a mapping of JSON-able values, tuples, arrays, Arrow types and floats of any size."""
    cls: Any = type(record)
    parts = {name: _stand_in(type_, getattr(record, name)) for name, type_ in _types_of(cls).items()}
    return _tags_of(cls) | {name: _write_value(part) for name, part in parts.items()}


def _stand_in(type_: Any, part: Any) -> Any:
    """What documents hold of a part: a record where a record class stands beside its type, else the part."""
    beside: Any = getattr(type_, "__metadata__", (None,))[-1]
    is_class = isinstance(beside, type)
    return beside.of(part) if is_class else part


def _write_value(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float, str, np.ndarray, pa.DataType)):
        return value
    if is_dataclass(value):
        return document_of(value)
    if isinstance(value, Mapping):
        return {name: _write_value(part) for name, part in value.items()}
    return tuple(map(_write_value, value)) if isinstance(value, tuple) else value


def read_as(type_: type[Part], document: Any, where: str) -> Part:
    """Value of a type from its document; that of a record has every part and no other.

    Raises
    ------
    ValueError
        For another document; the message says what is wrong, and where.
    """
    cls: Any = type_
    value: Part = _reader_of(cls)(document, where)
    return value


def _read_record(cls: Any, document: Any, where: str) -> Any:
    if not isinstance(document, dict):
        refuse(document, where, "an object")
    types, tags, arguments = _types_of(cls), _tags_of(cls), dict[str, Any]()
    for name, value in document.items():
        if name not in types and name not in tags:
            raise ValueError(f"{where} holds {name!r:.60}, which is not known")
        if name in tags and value != tags[name]:
            refuse(value, f"{where}: {name}", f'"{tags[name]}"')
    for name, type_ in types.items():
        if name not in document:
            raise ValueError(f"{where} lacks {name}")
        arguments[name] = _reader_of(type_)(document[name], f"{where}: {name}")
    return cls(**arguments)


def _tags_of(cls: type) -> dict[str, Any]:
    return {tag: getattr(cls, tag) for tag in TAGS if isinstance(getattr(cls, tag, None), str)}


@cache
def _types_of(cls: Any) -> dict[str, Any]:
    """Types of the parts of a record, with what stands beside them. What is not compared is in no document."""
    types = get_type_hints(cls, include_extras=True)
    return {part.name: types[part.name] for part in fields(cls) if part.compare}


@cache
def _reader_of(type_: Any) -> Reader:
    """Return a function that reads documents of a type."""
    origin, parts = get_origin(type_), get_args(type_)
    if origin is Annotated:
        return _reader_beside(*parts)
    if origin in (Union, UnionType):
        inner = [part for part in parts if part is not NoneType]
        return partial(_optional, _reader_of(inner[0])) if len(inner) == 1 else _anything
    if origin is tuple:
        return partial(_read_list, _reader_of(parts[0]))
    if origin in (dict, Mapping):
        return partial(_read_mapping, _reader_of(parts[1]))
    if origin is Literal:
        return choice(*parts)
    return _PLAIN[type_] if type_ in _PLAIN else partial(_read_record, type_)


def _reader_beside(type_: Any, beside: Any) -> Reader:
    """Return what reads a part that a rule, a function or a record class stands beside."""
    if isinstance(beside, type):
        return partial(_read_stand_in, beside)
    is_array = get_origin(type_) is _ARRAY and isinstance(beside, Rule)
    return partial(_read_array, _element_dtype(type_), beside) if is_array else beside


def _element_dtype(array: Any) -> Any:
    """The dtype of an annotation of an array, which holds it as it is from NumPy 2.5 on, and before as a dtype's."""
    (*_, dtype) = get_args(array)
    return get_args(dtype)[0] if get_args(dtype) else dtype


def _read_stand_in(cls: Any, value: Any, where: str) -> Any:
    return _read_record(cls, value, where).part


def _optional(read: Reader, value: Any, where: str) -> Any:
    return None if value is None else read(value, where)


def _read_list(read: Reader, value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        refuse(value, where, "a list")
    return tuple(read(part, f"{where}[{position}]") for position, part in enumerate(value))


def _read_array(dtype: type, rule: Reader, value: Any, where: str) -> Any:
    def of_any_depth(part: Any, place: str) -> Any:
        return _read_list(of_any_depth, part, place) if isinstance(part, list) else rule(part, place)

    return np.array(_read_list(of_any_depth, value, where), dtype)


def _read_mapping(read: Reader, value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        refuse(value, where, "an object")
    return {_text(name, f"a name in {where}"): read(part, f"{where}: {name}") for name, part in value.items()}


# -- single values


def _text(value: Any, where: str) -> str:
    """Text that can be written as UTF-8."""
    if not isinstance(value, str):
        refuse(value, where, "a text")
    try:
        value.encode()
    except UnicodeEncodeError:
        refuse(value, where, "text that can be written as UTF-8")
    return value


def _arrow_type(value: Any, where: str) -> pa.DataType:
    return value if isinstance(value, pa.DataType) else refuse(value, where, "an Arrow type")


def _anything(value: Any, where: str) -> Any:
    return value


_ARRAY = get_origin(NDArray[np.bool_])  # an alias from NumPy 2.5 on, and before the class of arrays
_PLAIN: dict[Any, Reader] = {
    Any: _anything,
    str: _text,
    int: whole(),
    float: number,
    bool: choice(Literal[True, False]),
    pa.DataType: _arrow_type,
}

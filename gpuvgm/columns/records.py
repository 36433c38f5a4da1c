"""Dataclasses as JSON documents and back: one mechanism for all records, which checks every part that it reads.

The type of a part says what its document holds. A rule or another reader that belongs to it stands beside the type:
``Annotated[int, whole(1)]``. In an array the rule holds for every number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache, partial
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpuvgm.columns.rules import boolean, number, one_of, shown, whole
from gpuvgm.io import is_number_type, is_text_type

LARGEST_WHOLE = 10**38 - 1  # a decimal of 38 digits
#: Attributes of classes, not of their records, that tell the classes of one family apart in documents.
TAGS = ("name", "kind", "encoding", "sign")
_MOST_DEPTH = 32

Record = TypeVar("Record")
Reader = Callable[[Any, str], Any]  # the document, and where it stands


def refuse(value: object, where: str, requirement: str) -> NoReturn:
    """Raise a ValueError that names the value, its place and the requirement."""
    raise ValueError(f"{where} is {shown(value)}, not {requirement}")


@dataclass(frozen=True, slots=True)
class Form:
    """Writer and reader of a part that is no record itself."""

    write: Callable[[Any], Any]
    read: Reader


# -- records


def document_of(record: Any) -> dict[str, Any]:
    """A record as a mapping of JSON-able values, tuples, arrays, Arrow types and floats of any size."""
    cls: Any = type(record)
    return _tags_of(cls) | {name: form.write(getattr(record, name)) for name, form in _forms_of(cls).items()}


def _write_value(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float, str, np.ndarray, pa.DataType)):
        return value
    if is_dataclass(value):
        return document_of(value)
    if isinstance(value, Mapping):
        return {name: _write_value(part) for name, part in value.items()}
    return tuple(map(_write_value, value)) if isinstance(value, tuple) else value


def read_record(cls: type[Record], document: Any, where: str) -> Record:
    """Record from its document, which has every part and no other.

    Raises
    ------
    ValueError
        For another document; the message says what is wrong, and where.
    """
    if not isinstance(document, dict):
        refuse(document, where, "an object")
    kind: Any = cls
    forms, tags, arguments = _forms_of(kind), _tags_of(cls), dict[str, Any]()
    for name, value in document.items():
        if name not in forms and name not in tags:
            raise ValueError(f"{where} holds {name!r:.60}, which is not known")
        if name in tags and value != tags[name]:
            refuse(value, f"{where}: {name}", f'"{tags[name]}"')
    for part in fields(cls):  # type: ignore[arg-type]  # records are dataclasses
        if part.name in document:
            arguments[part.name] = forms[part.name].read(document[part.name], f"{where}: {part.name}")
        else:
            raise ValueError(f"{where} lacks {part.name}")
    return cls(**arguments)


def _tags_of(cls: type) -> dict[str, Any]:
    return {tag: getattr(cls, tag) for tag in TAGS if isinstance(getattr(cls, tag, None), str)}


@cache
def _forms_of(cls: Any) -> dict[str, Form]:
    """Writers and readers of the parts of a record."""
    types = get_type_hints(cls, include_extras=True)
    return {part.name: _form_of_type(types[part.name]) for part in fields(cls)}


def _form_of_type(type_: Any) -> Form:
    forms = [rule for rule in getattr(type_, "__metadata__", ()) if isinstance(rule, Form)]
    return forms[0] if forms else Form(_write_value, reader_of(type_))


def reader_of(type_: Any) -> Reader:
    """Return a function that reads documents of a type."""
    origin, parts = get_origin(type_), get_args(type_)
    if origin is Annotated:
        inner, rule = parts
        return partial(_read_array, _element_dtype(inner), rule) if get_origin(inner) is _ARRAY else rule
    if origin in (Union, UnionType):
        (inner,) = (part for part in parts if part is not NoneType)
        return partial(_optional, reader_of(inner))
    if origin is tuple:
        return partial(_read_list, reader_of(parts[0]))
    if origin in (dict, Mapping):
        return partial(_read_mapping, reader_of(parts[1]))
    if origin is Literal:
        return one_of(*parts)
    return _PLAIN[type_] if type_ in _PLAIN else partial(read_record, type_)


def _element_dtype(array: Any) -> Any:
    """The dtype of an annotation of an array, which holds it as it is from NumPy 2.5 on, and before as a dtype's."""
    (*_, dtype) = get_args(array)
    return get_args(dtype)[0] if get_args(dtype) else dtype


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
    return {text(name, f"a name in {where}"): read(part, f"{where}: {name}") for name, part in value.items()}


def check_plain(document: Any) -> None:
    """Refuse deep nesting, and text and integers that cannot be written or shown."""
    values = [document]
    for _ in range(_MOST_DEPTH):
        values = [part for value in values for part in _parts(value)]
        if not values:
            return
    raise ValueError("the model is nested too deeply")


def _parts(value: Any) -> list[Any]:
    """Check a value, and return its parts."""
    if isinstance(value, dict):
        for name in value:
            text(name, "a name")
        return list(value.values())
    if isinstance(value, str):
        text(value, "a text")
    elif isinstance(value, int) and abs(value) > LARGEST_WHOLE + 1:
        refuse(value, "a value", "a whole number of at most 38 digits")
    return value if isinstance(value, list) else []


# -- single values


def text(value: Any, where: str) -> str:
    """Text that can be written as UTF-8."""
    if not isinstance(value, str):
        refuse(value, where, "a text")
    try:
        value.encode()
    except UnicodeEncodeError:
        refuse(value, where, "text that can be written as UTF-8")
    return value


def anything(value: Any, where: str) -> Any:
    """Any value; it is checked later, together with other parts of its record."""
    return value


def arrow_type(value: Any, where: str) -> Any:
    """An Arrow type."""
    return value if isinstance(value, pa.DataType) else refuse(value, where, "an Arrow type")


def number_type(value: Any, where: str) -> Any:
    """An Arrow type of numbers, decimals or datetimes."""
    if not is_number_type(arrow_type(value, where)):
        refuse(value, where, "an Arrow type of numbers")
    return value


def text_type(value: Any, where: str) -> Any:
    """An Arrow type of text."""
    if not is_text_type(arrow_type(value, where)):
        refuse(value, where, "an Arrow type of text")
    return value


def category(value: Any, where: str) -> Any:
    """A category: text, a boolean, a number other than NaN, or None for missing values."""
    if isinstance(value, str):
        return text(value, where)
    if value is not None and not isinstance(value, bool):
        if not isinstance(value, (int, float)) or value != value or (isinstance(value, int) and abs(value) >= 2**64):
            refuse(value, where, "a category")
    return value


_ARRAY = get_origin(NDArray[np.bool_])  # an alias from NumPy 2.5 on, and before the class of arrays
_PLAIN: dict[Any, Reader] = {Any: anything, str: text, int: whole(), float: number, bool: boolean}

Count = Annotated[int, whole()]
ArrowType = Annotated[Any, arrow_type]  # which the stubs of pyarrow know little of
NumberType = Annotated[Any, number_type]
TextType = Annotated[Any, text_type]

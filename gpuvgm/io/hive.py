"""Folders named `key=value`, as Hive, Spark and pandas write them: every key is a column of the files below."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc

from gpuvgm.errors import InputError, printable
from gpuvgm.io.arrow import plain_values_of
from gpuvgm.io.source import MISSING, FolderKey, Part

_WHOLE = re.compile(r"0|-?[1-9]\d{0,17}")  # that int64 holds; leading zeros make a code
Values = Mapping[str, str | None]


def folder_values(folders: Sequence[str]) -> dict[str, str | None]:
    """Values that names of folders give, by key and in their order; None for a missing value.

    Raises
    ------
    InputError
        For a key that occurs twice.
    """
    values: dict[str, str | None] = {}
    for folder in folders:
        key, equals, value = folder.partition("=")
        if key and equals:
            name = unquote(key)
            if name in values:
                raise InputError(f"{'/'.join(folders)}: two folders say what {name} is; rename one")
            values[name] = None if value == MISSING else unquote(value)
    return values


def with_keys(parts: Sequence[Part], folders: Sequence[Values]) -> list[Part]:
    """Files with the columns of their folders' names: integers where all are written as such, else text."""
    if not any(folders):
        return [*parts]
    values: dict[str, list[str]] = {}
    for file_values in folders:
        for name, value in file_values.items():
            values.setdefault(name, []).extend([] if value is None else [value])
    types = {name: pa.int64() if all(map(_WHOLE.fullmatch, texts)) else pa.string() for name, texts in values.items()}
    return [_with_keys(part, file_values, types) for part, file_values in zip(parts, folders, strict=True)]


def _with_keys(part: Part, values: Values, types: Mapping[str, pa.DataType]) -> Part:
    keys = tuple(FolderKey(name, value, stored=name in part.schema.names) for name, value in values.items())
    schema = part.schema
    for key in keys:
        schema = schema if key.stored else schema.append(pa.field(key.name, types[key.name]))
    return replace(part, schema=schema, keys=keys)


def with_key_columns(part: Part, columns: Sequence[str], batch: pa.RecordBatch) -> pa.RecordBatch:
    """Rows of a file with the columns asked for, including those of its folders.

    Raises
    ------
    InputError
        For a column of the file that holds something else than a folder's name says.
    """
    if not any(key.name in columns for key in part.keys):
        return batch
    arrays = dict(zip(batch.schema.names, batch.columns, strict=True))
    for key in part.keys:
        if key.name in columns and key.stored:
            _check(part, key, arrays[key.name])
        elif key.name in columns:
            values: Any = pa.array([key.value], pa.string()).cast(part.schema.field(key.name).type)
            arrays[key.name] = pa.repeat(values[0], batch.num_rows)
    return pa.RecordBatch.from_arrays([arrays[name] for name in columns], names=list(columns))


def _check(part: Part, key: FolderKey, column: pa.Array[Any]) -> None:
    text: Any = plain_values_of(column).cast(pa.string())
    matches: Any = text.is_null() if key.value is None else pc.fill_null(pc.equal(text, pa.scalar(key.value)), False)  # noqa: FBT003
    if not pc.all(matches).as_py():
        value = text.filter(pc.invert(matches))[0].as_py()
        raise InputError(
            f'{part.path}: column "{printable(key.name)}" holds {value!r}, its folder says {key.value!r}; '
            "rename the folder, or write the file without the column"
        )

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
from gpuvgm.io.source import FolderKey, Part

MISSING = "__HIVE_DEFAULT_PARTITION__"
_WHOLE = re.compile(r"0|-?[1-9]\d{0,17}")
_ESCAPED = re.compile(r"""[\x00-\x1f"#%'*/:=?\\{}\[\]^\x7f]""")
Values = Mapping[str, str | None]


def folder_values(folders: Sequence[str]) -> dict[str, str | None]:
    """What names of folders say, in their order; None for a missing value.

    Raises
    ------
    InputError
        For a key that occurs twice.
    """
    found: dict[str, str | None] = {}
    for folder in folders:
        key, equals, value = folder.partition("=")
        if key and equals:
            name = unquote(key)
            if name in found:
                raise InputError(f"{'/'.join(folders)}: two folders say what {name} is; rename one")
            found[name] = None if value == MISSING else unquote(value)
    return found


def folder_names(keys: Sequence[FolderKey]) -> str:
    """Names of folders that say what keys are, as Hive escapes them; "" where there is none."""
    values = ((key.name, MISSING if key.value is None else _percent_escaped(key.value)) for key in keys)
    return "/".join(f"{_percent_escaped(name)}={value}" for name, value in values)


def _percent_escaped(text: str) -> str:
    return _ESCAPED.sub(lambda found: f"%{ord(found[0]):02X}", text)


def with_keys(parts: Sequence[Part], folders: Sequence[Values]) -> list[Part]:
    """Files with the columns of their folders' names: whole numbers where all are written as such, else text."""
    if not any(folders):
        return [*parts]
    values: dict[str, list[str]] = {}
    for said in folders:
        for name, value in said.items():
            values.setdefault(name, []).extend([] if value is None else [value])
    types = {name: pa.int64() if all(map(_WHOLE.fullmatch, its)) else pa.string() for name, its in values.items()}
    return [_with_keys(part, said, types) for part, said in zip(parts, folders, strict=True)]


def _with_keys(part: Part, said: Values, types: Mapping[str, pa.DataType]) -> Part:
    keys = tuple(FolderKey(name, value, stored=name in part.schema.names) for name, value in said.items())
    schema = part.schema
    for key in keys:
        schema = schema if key.stored else schema.append(pa.field(key.name, types[key.name]))
    return replace(part, schema=schema, keys=keys)


def with_key_columns(part: Part, columns: Sequence[str], batch: pa.RecordBatch) -> pa.RecordBatch:
    """Rows of a file with the columns that are asked for, those of its folders' names among them.

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
    same: Any = text.is_null() if key.value is None else pc.fill_null(pc.equal(text, pa.scalar(key.value)), False)  # noqa: FBT003
    if not pc.all(same).as_py():
        other = text.filter(pc.invert(same))[0].as_py()
        raise InputError(
            f'{part.path}: column "{printable(key.name)}" holds {other!r}, its folder says {key.value!r}; '
            "rename the folder, or write the file without the column"
        )

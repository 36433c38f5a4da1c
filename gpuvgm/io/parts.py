"""Parts of one table, whose types may differ: files, partitions of frames, and what iterators give.

Folders named `key=value`, as Hive, Spark and pandas write them, are columns of the files below, one for every key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc

from gpuvgm.errors import InputError, printable
from gpuvgm.io.arrow import common_type, plain_values_of, promoted
from gpuvgm.io.source import MISSING, FolderKey, Part
from gpuvgm.shortage import ARROW_PROBLEMS, reason

_WHOLE = re.compile(r"0|-?[1-9]\d{0,17}")  # that int64 holds; leading zeros make a code
Values = Mapping[str, str | None]
SAME_COLUMNS = (
    "all parts need the same columns: add it where it is missing, or, for files, pass pyarrow.dataset.dataset(paths, "
    "schema=schema) with the columns of all, in which it is null there"
)


def check_columns(source: str, first: str, expected: pa.Schema, schema: pa.Schema) -> None:
    """Refuse a part (file, element) whose columns are not those of the first part.

    Raises
    ------
    InputError
        Naming the part and the first column that only one of them has.
    """
    missing = [name for name in expected.names if name not in schema.names]
    if missing:
        raise InputError(f'{source}: column "{missing[0]}" is missing, {first} has it; {SAME_COLUMNS}')
    extra = [name for name in schema.names if name not in expected.names]
    if extra:
        raise InputError(f'{source}: column "{extra[0]}" is not in {first}; {SAME_COLUMNS}')


def check_same(source: str, first: str, expected: pa.Schema, schema: pa.Schema) -> None:
    """Refuse a part (file, element) whose columns or types differ from those of the first part.

    Raises
    ------
    InputError
        Naming the part and the first column that differs.
    """
    check_columns(source, first, expected, schema)
    for field in expected:
        if schema.field(field.name).type != field.type:
            raise _clash(source, first, field, schema.field(field.name).type)


def _clash(source: str, first: str, field: pa.Field[Any], type_: pa.DataType) -> InputError:
    return InputError(
        f'{source}: column "{field.name}" has type {type_}, in {first} {field.type}; cast it so that all agree'
    )


def common_schema(parts: Sequence[tuple[str, pa.Schema]]) -> pa.Schema:
    """Columns of the first part, with types that hold the values of all parts; see `common_type`.

    Parameters
    ----------
    parts : sequence of (str, pyarrow.Schema)
        Name, for messages, and columns of each part.

    Raises
    ------
    InputError
        Naming a part whose columns are not those of the first, or whose type has none in common with that of the first.
    """
    (first, schema), *later_parts = parts
    different_parts = [(name, part_schema) for name, part_schema in later_parts if not part_schema.equals(schema)]
    for name, part_schema in different_parts:
        check_columns(name, first, schema, part_schema)
    for place, field in enumerate(schema):
        types = [(name, part_schema.field(field.name).type) for name, part_schema in different_parts]
        common = common_type([field.type, *(type_ for _, type_ in types)]) if types else field.type
        if common is None:
            different = [(name, type_) for name, type_ in types if type_ != field.type]
            clashes = [pair for pair in different if common_type([field.type, pair[1]]) is None]
            name, type_ = [*clashes, *different][0]
            raise _clash(name, first, field, type_)
        schema = schema.set(place, field.with_type(common))
    return schema


def promoted_batch(name: str, batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Rows of a part in the types that all parts have in common.

    Raises
    ------
    InputError
        Naming the part and the column, for datetimes that the unit of another part does not reach.
    """
    columns = []
    for column, field in zip(batch.columns, schema, strict=True):
        try:
            columns.append(promoted(column, field.type))
        except ARROW_PROBLEMS as problem:
            raise InputError(
                f'{name}: column "{field.name}" has type {column.type}, other parts {field.type}, which does not hold '
                f"all its values ({reason(problem)}); cast it so that all agree"
            ) from problem
    return pa.RecordBatch.from_arrays(columns, schema=schema)


# -- columns that names of folders give


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

"""Tables to spoil, and whether two results are the same."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa

import gpuvgm

FEW = ("int64", "float", "amount", "text", "words", "bool", "timestamp[ms, tz=Europe/Berlin]", "list")


def table_of_users(rows: int = 400) -> pa.Table:
    """A column of every type that gpuvgm takes, and some that only pass through, most of them with gaps."""
    random = np.random.default_rng(0)
    return pa.table({**_whole_numbers(rows, random), **_others(rows, random), **_words(rows, random)})


def _whole_numbers(rows: int, random: np.random.Generator) -> dict[str, Any]:
    integers = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]
    times = [
        *(pa.timestamp("ms", "Europe/Berlin"), pa.timestamp("us"), pa.timestamp("ns", "UTC")),
        *(pa.date32(), pa.date64(), pa.time32("ms"), pa.time64("us"), pa.duration("ms")),
    ]
    columns = {}
    for type_ in [*integers, *times]:
        high = 120 if type_.bit_width == 8 else 20_000
        days = 86_400_000 if type_ == pa.date64() else 1
        numbers = pa.array(random.integers(0, high, rows) * days, mask=random.random(rows) < 0.1)
        columns[str(type_)] = numbers.cast(f"int{type_.bit_width}" if type_ in times else type_).cast(type_)
    return columns


def _others(rows: int, random: np.random.Generator) -> dict[str, Any]:
    numbers = random.normal(0, 1000, rows).round(2)
    gaps = random.random(rows) < 0.1
    decimals = [Decimal(int(100 * number)) / 100 for number in numbers]
    return {
        "halffloat": pa.array(numbers.astype(np.float16)),
        "float": pa.array(numbers.astype(np.float32), mask=gaps),
        "double": pa.array(numbers, mask=gaps),
        "amount": pa.array(decimals, pa.decimal128(12, 2)),
        "wide": pa.array([number * 10**20 for number in decimals], pa.decimal128(38, 2)),
        "bool": pa.array(random.random(rows) < 0.3, mask=gaps),
        "null": pa.nulls(rows),
    }


def _words(rows: int, random: np.random.Generator) -> dict[str, Any]:
    gaps = random.random(rows) < 0.1
    words = pa.array(random.choice(["a", "bb", "a longer word than a view holds", "äöü", ""], rows), mask=gaps)
    numbers = random.integers(0, 5, rows)
    return {
        "text": words,
        "large text": words.cast(pa.large_string()),
        "text view": words.cast(pa.string_view()),
        "words": words.dictionary_encode(),
        "numbers": pa.array(numbers).dictionary_encode(),
        "name": pa.array([f"name {row}" for row in range(rows)]),
        "binary": pa.array([b"\xff" * (row % 20) for row in range(rows)]),
        "list": pa.array([[*range(row % 4)] for row in range(rows)]),
        "struct": pa.array([{"a": row, "b": str(row)} for row in range(rows)]),
    }


@cache
def fitted(columns: tuple[str, ...] | None = None) -> gpuvgm.TableTransformer:
    """A model of the table of users, or of some of its columns."""
    return unfitted(columns).fit(table_of_users())


def unfitted(columns: tuple[str, ...] | None = None) -> gpuvgm.TableTransformer:
    """What is quick to fit, and gives the same bits whatever the machine."""
    return gpuvgm.TableTransformer(None if columns is None else list(columns), effort="research", threads=1)


def difference(one: Any, other: Any) -> str | None:
    """Where two results differ, if they do; NaN equals NaN."""
    if isinstance(one, pa.Table) and isinstance(other, pa.Table):
        if one.num_rows != other.num_rows or not one.schema.equals(other.schema):
            return f"{one.num_rows} rows of {one.schema.types}, not {other.num_rows} of {other.schema.types}"
        return next((text for name in one.column_names if (text := _differs(name, one[name], other[name]))), None)
    if isinstance(one, np.ndarray):
        return None if np.array_equal(one, other, equal_nan=True) else "the matrix"
    return None if one == other else f"{_around(one, other)}, not {_around(other, one)}"


def _differs(name: str, one: pa.ChunkedArray[Any], other: pa.ChunkedArray[Any]) -> str | None:
    if one.equals(other):
        return None
    for row, (value, expected) in enumerate(zip(one.to_pylist(), other.to_pylist(), strict=True)):
        if repr(value) != repr(expected):
            return f'column "{name}", row {row}: {value!r}, not {expected!r}'
    return None


def _around(one: str, other: str) -> str:
    """A text from shortly before the first letter that another does not share."""
    start = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), 0)
    return one[max(0, start - 100) : start + 50]

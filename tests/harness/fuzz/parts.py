"""Parts of one table in other types: in a folder of files, in Dask's partitions, and beside the log of a lake.

What all parts can hold is read and fitted as the table in one piece is; what none holds is refused, and the part named.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import gpuvgm
from gpuvgm.errors import InputError
from gpuvgm.io import is_text_type, plain
from tests.harness.fuzz.harness import Target, WrongResult, taken_if
from tests.io.conftest import rows_of

Maker = Callable[[np.random.Generator, int], Sequence[Any]]
UNITS = ("s", "ms", "us", "ns")
CLASHES = (
    *((pa.int64(), pa.string()), (pa.float64(), pa.int64()), (pa.int64(), pa.uint64()), (pa.bool_(), pa.int8())),
    *((pa.timestamp("us"), pa.timestamp("us", "UTC")), (pa.string(), pa.binary()), (pa.date32(), pa.timestamp("s"))),
)
WORDS = ("a", "b,b", "ä ö", "", "7", "a long one that is not stored inside a view")


def whole(draws: np.random.Generator, rows: int) -> Sequence[Any]:
    return list(map(int, draws.integers(0, 100, rows)))


def halves(draws: np.random.Generator, rows: int) -> Sequence[Any]:
    return list(map(float, draws.integers(-200, 200, rows) / 2))


def amounts(draws: np.random.Generator, rows: int) -> Sequence[Any]:
    return [Decimal(int(cents)).scaleb(-2) for cents in draws.integers(-9_999, 9_999, rows)]


def words(draws: np.random.Generator, rows: int) -> Sequence[Any]:
    return list(map(str, draws.choice(WORDS, rows)))


def flags(draws: np.random.Generator, rows: int) -> Sequence[Any]:
    return list(map(bool, draws.random(rows) < 0.3))


def lists(draws: np.random.Generator, rows: int) -> Sequence[Any]:
    return [[1, 2, 3][:length] for length in draws.integers(0, 4, rows)]


#: Types that hold the same values, and what makes these. Numbers become datetimes by a cast: whole seconds, or days.
FAMILIES: Mapping[str, tuple[Maker, tuple[pa.DataType, ...]]] = {
    "signed": (whole, (pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32())),
    "unsigned": (whole, (pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())),
    "floats": (halves, (pa.float16(), pa.float32(), pa.float64())),
    "numbers": (whole, (pa.int8(), pa.int16(), pa.float32(), pa.float64(), pa.int32())),
    "amounts": (amounts, (pa.decimal128(6, 2), pa.decimal128(12, 2), pa.decimal128(14, 6), pa.decimal128(20, 2))),
    "moments": (whole, tuple(map(pa.timestamp, UNITS))),
    "zoned": (whole, tuple(pa.timestamp(unit, "Europe/Berlin") for unit in UNITS)),
    "days": (whole, (pa.date32(), pa.date64())),
    "times": (whole, (pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns"))),
    "durations": (whole, tuple(map(pa.duration, UNITS))),
    "words": (
        words,
        (pa.string(), pa.large_string(), pa.string_view(), *(pa.dictionary(pa.int8(), t) for t in (pa.string(),))),
    ),
    "flags": (flags, (pa.bool_(),)),
    "bytes": (lambda draws, rows: [word.encode() for word in words(draws, rows)], (pa.binary(), pa.large_binary())),
    "lists": (lists, (pa.list_(pa.int8()), pa.list_(pa.int64()))),
}


def typed(values: Sequence[Any], type_: Any) -> pa.Array[Any]:
    """Values as a type: numbers are whole seconds, or days."""
    if pa.types.is_dictionary(type_):
        return pa.array(values, type_.value_type).dictionary_encode().cast(type_)
    if not (pa.types.is_temporal(type_)):
        return pa.array(values, type_)
    if pa.types.is_date(type_):
        return pa.array(values, pa.int32()).cast(pa.date32()).cast(type_)
    seconds = pa.array(values, pa.int64() if type_.bit_width == 64 else pa.int32())
    many = pc.multiply(seconds, pa.scalar(1000 ** UNITS.index(type_.unit), seconds.type))
    return many.cast(type_)


def without(values: Sequence[Any], gone: Any) -> list[Any]:
    """Values, some of which are missing."""
    return [None if missing else value for value, missing in zip(values, gone, strict=True)]


def same(column: Any) -> list[Any]:
    """Values of a column in a form that does not tell the type."""
    type_ = column.type
    if pa.types.is_dictionary(type_):
        column, type_ = column.cast(type_.value_type), type_.value_type
    if pa.types.is_date(type_):
        column = column.cast(pa.date32())
    elif pa.types.is_time(type_):
        column = column.cast(pa.time64("ns")).cast(pa.int64())
    elif pa.types.is_timestamp(type_):
        column = column.cast(pa.timestamp("ns", type_.tz)).cast(pa.int64())
    elif pa.types.is_duration(type_):
        column = column.cast(pa.duration("ns")).cast(pa.int64())
    elif is_text_type(type_):
        column = column.cast(pa.large_string())
    return list(column.to_pylist())


def drawn(random: random.Random, families: Sequence[str]) -> tuple[list[pa.Table], dict[str, list[Any]]]:
    """Parts of a table, each column of which has a type of its own in each; and the values of all."""
    draws = np.random.default_rng(random.getrandbits(32))
    chosen = random.sample(families, min(len(families), random.randint(2, 6)))
    parts: list[pa.Table] = []
    values: dict[str, list[Any]] = {name: [] for name in chosen}
    for number in range(random.randint(2, 5)):
        rows, columns = random.randint(20, 120), {}
        for name in chosen:
            make, types = FAMILIES[name]
            if number and random.random() < 0.1:
                columns[name] = pa.nulls(rows)
            else:
                gone = draws.random(rows) < random.choice((0.0, 0.1))
                columns[name] = typed(without(make(draws, rows), gone), random.choice(types))
            values[name] += same(columns[name])
        parts.append(pa.table(columns))
    return parts, values


def write(part: pa.Table, folder: Path, number: int, random: random.Random, ending: str) -> str:
    """A file of a folder; Parquet with dates of Spark's and Impala's older form, or without what Arrow adds."""
    name = f"part-{number}.{ending}"
    if ending == "arrow":
        with pa.OSFile(str(folder / name), "wb") as file, pa.ipc.new_file(file, part.schema) as writer:
            writer.write_table(part, random.choice((7, 1000)))
        return name
    zoned = any(getattr(type_, "tz", None) for type_ in part.schema.types)  # which neither form tells
    plainly = random.random() < 0.3 and not zoned and not any(map(pa.types.is_duration, part.schema.types))
    pq.write_table(
        part,
        folder / name,
        row_group_size=random.choice((11, 1000)),
        use_deprecated_int96_timestamps=random.random() < 0.3 and not zoned,
        store_schema=not plainly,
    )
    return name


def as_files(_: None, random: random.Random, folder: Path) -> None:
    """A folder whose files differ: its rows are those of all, or a clash is refused with its file and column."""
    parts, values = drawn(random, [*FAMILIES])
    place, ending = folder / "users", random.choice(("parquet", "parquet", "arrow"))
    place.mkdir()
    clash = random.random() < 0.2
    if clash:
        pair = random.sample(random.choice(CLASHES), 2)
        kinds = [pair[0], *random.choices(pair, k=len(parts) - 2), pair[1]]
        parts = [
            part.append_column("clash", clashing(kind, part.num_rows)) for part, kind in zip(parts, kinds, strict=True)
        ]
    for number, part in enumerate(parts):
        write(part, place, number, random, ending)
    if clash:
        try:
            rows_of(place)
        except InputError as problem:
            if '"clash"' not in str(problem):
                raise WrongResult(f"does not name the column: {problem}") from problem
            raise
        raise WrongResult(f"types that lose values were taken: {pair[0]} beside {pair[1]}")
    with taken_if(whole=True):
        rows = rows_of(place)
        for name, expected in values.items():
            if same(rows.column(name)) != expected:
                raise WrongResult(f'column "{name}" of {rows.schema.field(name).type} has other values than its files')
        check_fit(place, rows)


def clashing(type_: Any, rows: int) -> pa.Array[Any]:
    """Values that are as much text as numbers."""
    if is_text_type(type_) or pa.types.is_binary(type_):
        return pa.array([str(row) for row in range(rows)]).cast(type_)
    if pa.types.is_boolean(type_):
        return pa.array([row % 2 == 0 for row in range(rows)])
    return typed([row % 100 for row in range(rows)], type_)


def check_fit(place: object, rows: object) -> None:
    """Refuse another fit than that of the rows in one piece."""
    fits = [gpuvgm.TableTransformer(effort="research", max_iter=2, threads=1).fit(given) for given in (place, rows)]
    one, other = (json.dumps(plain([column.to_json() for column in fit.columns_.values()])) for fit in fits)
    if one != other:
        at = next(i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
        raise WrongResult(f"another fit than that of one table: {one[at - 60 : at + 60]}, {other[at - 60 : at + 60]}")


def in_dask(_: None, random: random.Random, folder: Path) -> None:
    """A frame of Dask, most of it text and objects, in uneven partitions: fitted as the frame in one piece is."""
    import dask
    import dask.dataframe as dd
    import pandas as pd

    table = typed_once(random)
    frame = table.to_pandas(types_mapper=random.choice((None, pd.ArrowDtype)))
    cuts = [0, *sorted(random.choices(range(len(frame) + 1), k=random.randint(0, 6))), len(frame)]
    spans = [*zip(cuts, cuts[1:], strict=False)]
    with dask.config.set({"dataframe.convert-string": random.random() < 0.5, "scheduler": "synchronous"}):
        spread = dd.from_map(lambda span: frame.iloc[slice(*span)], spans, meta=frame.iloc[:0])
        with taken_if(whole=True):
            check_fit(spread, spread.compute())


def typed_once(random: random.Random) -> pa.Table:
    """A table with text and some of the other families, each of one type, with runs of missing values.

    Dask has no use for views of text: Arrow takes no rows of them.
    """
    draws, columns = np.random.default_rng(random.getrandbits(32)), {}
    rows, gaps = random.randint(40, 400), random.choice((0.0, 0.1))
    for name in {"words", *random.sample([*FAMILIES], 3)}:
        make, types = FAMILIES[name]
        gone = (draws.random(rows) < gaps) | (random.random() < 0.3 and np.arange(rows) < draws.integers(rows))
        taken = [type_ for type_ in types if type_ != pa.string_view()]
        columns[name] = typed(without(make(draws, rows), gone), random.choice(taken))
    return pa.table(columns)


def as_lake(_: None, random: random.Random, folder: Path) -> None:
    """A folder with the log of a lake, given whole, in part or from above: refused; a like name alone is none."""
    parts, _values = drawn(random, ["signed", "words", "floats"])
    root = folder / "users" / random.choice(("", "deep", "date=2024-01-01"))
    rows = root / random.choice(("", "data", "day=1"))
    rows.mkdir(parents=True)
    for number, part in enumerate(parts):
        pq.write_table(part, rows / f"part-{number}.parquet")
    names = {
        "_delta_log/00000000000000000000.json": True,
        "_delta_log/_last_checkpoint": True,
        "_delta_log/00000000000000000010.checkpoint.parquet": True,
        ".hoodie/hoodie.properties": True,
        "metadata/v1.metadata.json": True,
        "metadata/00000-6704361d.metadata.json": True,
        "metadata/readme.txt": False,
        "_delta_logs/0.json": False,
        "hoodie/hoodie.properties": False,
    }
    name = random.choice([*names])
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_bytes(random.choice((b"", b"{}\n", b"\xff")))
    given: list[object] = [folder / "users", root, rows, str(rows / "part-0.parquet"), f"{rows}/*.parquet"]
    given.append([str(rows / f"part-{number}.parquet") for number in range(len(parts))])
    source = random.choice(given)
    with taken_if(whole=not names[name]):
        found = rows_of(source)
        if names[name]:
            raise WrongResult(f"{len(found)} rows of a lake were read: {name}")


def nothing(_: Path) -> None:
    """Cases draw all they need."""


TARGETS = (
    Target("parts", nothing, as_files, named=("part-",)),
    Target("parts-dask", nothing, in_dask, memory=None, named=("partition",)),
    Target("lakes", nothing, as_lake, named=("Delta Lake", "Iceberg", "Hudi")),
)

"""CSV files of users, spoilt; what gpuvgm makes of one must be what it makes of the rows pyarrow reads at once."""

from __future__ import annotations

import datetime
import decimal
import gzip
import io
import random
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

from gpuvgm.io import open_source
from gpuvgm.io.csv import delimiter_of, parse_options
from tests.harness.fuzz.csv_mutations import spoil_csv
from tests.harness.fuzz.harness import WHOLE, Target, taken_if
from tests.harness.fuzz.tables import unfitted
from tests.harness.fuzz.users_files import Prepared, chosen_use, compare

NULLS = ["", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "N/A", "NA", "NULL"]
NULLS += ["NaN", "n/a", "nan", "null", *(" " * count for count in range(1, 17)), "\t"]
FEW = ("whole", "number", "word", "time")


def text_of_users(rows: int) -> bytes:
    """A column of every type that is inferred from text, with gaps, quotes and a line's end in a value."""
    random = np.random.default_rng(0)
    days = pa.array(random.integers(0, 20_000, rows).astype(np.int32)).cast(pa.date32())
    seconds = pa.array(random.integers(0, 86_400, rows).astype(np.int32)).cast(pa.time32("s"))
    columns = {
        "whole": pa.array(random.integers(-500, 500, rows), mask=random.random(rows) < 0.1),
        "number": pa.array(random.normal(0, 100, rows).round(3), mask=random.random(rows) < 0.1),
        "large": pa.array(random.integers(2**53, 2**62, rows)),
        "word": random.choice(["a", "b,b", 'c"c', "two\nlines", "äöü", ""], rows),
        "name": [f"name {row}" for row in range(rows)],
        "day": days,
        "time": pa.array(random.integers(0, 10**9, rows)).cast(pa.timestamp("s")),
        "hour": seconds,
        "yes": pa.array(random.random(rows) < 0.4, mask=random.random(rows) < 0.1),
        "nothing": pa.nulls(rows),
    }
    text = io.BytesIO()
    pyarrow.csv.write_csv(pa.table(columns), text)
    return text.getvalue()


def prepare(folder: Path) -> Prepared:
    """A short text, and one of several blocks of what pyarrow reads at a time."""
    short, long = folder / "short.csv", folder / "long.csv"
    short.write_bytes(text_of_users(300))
    long.write_bytes(text_of_users(16_000))
    every, few = (unfitted(columns).fit(short) for columns in (None, FEW))
    return Prepared((short, short, short, long), every, few)


def attempt(prepared: Prepared, random: random.Random, folder: Path) -> None:
    """Spoil one of the files, or none, and use it."""
    whole, zipped = random.random() < WHOLE, random.random() < 0.2
    path = folder / ("users.csv.gz" if zipped else "users.csv")
    text = random.choice(prepared.files[:1] if whole else prepared.files).read_bytes()
    path.write_bytes(spoil_csv(text, random, faults=0 if whole else random.choice((1, 1, 2, 3)), zipped=zipped))
    columns, use = chosen_use(prepared, random)
    with taken_if(whole):
        compare(use, path, partial(read_at_once, path, columns))


def read_at_once(path: Path, columns: Sequence[str]) -> pa.Table:
    """The rows, split into texts by pyarrow as one block, each of which Python reads as gpuvgm's type says."""
    body = path.read_bytes()
    text = gzip.decompress(body) if path.suffix == ".gz" else body
    rows = pyarrow.csv.read_csv(
        pa.BufferReader(text),
        pyarrow.csv.ReadOptions(use_threads=False, block_size=max(1 << 20, 2 * len(text))),
        parse_options(delimiter_of(path)[1] or ","),
        pyarrow.csv.ConvertOptions(
            include_columns=list(columns),
            column_types=dict.fromkeys(columns, pa.string()),
            null_values=NULLS,
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    schema = open_source(path).schema
    return pa.table({name: typed(rows.column(name).to_pylist(), schema.field(name).type) for name in columns})


def typed(texts: list[str | None], kind: pa.DataType, *, quoted: bool = True) -> pa.Array:
    """Texts as values of a type; in columns of text words for a missing value stand for themselves in quotes."""
    nulls = () if pa.types.is_string(kind) and quoted else NULLS
    are_missing = (text is None or text in nulls or not text.strip() for text in texts)
    return pa.array(
        [None if missing else value_of(str(text), kind) for text, missing in zip(texts, are_missing, strict=True)], kind
    )


def value_of(text: str, kind: pa.DataType) -> object:
    """A text as Python reads it; any but those that Python's types write is refused."""
    if pa.types.is_string(kind):
        return text
    if pa.types.is_boolean(kind):
        return {"true": True, "false": False}[text.lower()]
    if pa.types.is_date(kind):
        return datetime.date.fromisoformat(text.strip())
    if pa.types.is_timestamp(kind):
        return pa.scalar(text).cast(kind).as_py()
    if pa.types.is_floating(kind):
        return float(text.replace(",", "."))
    return int(text) if pa.types.is_integer(kind) else decimal.Decimal(text)


TARGETS = (Target("csv", prepare, attempt, named=("users.csv",)),)

"""Tables of every kind, whole, to a synthesizer and back: rows of the same types, the same ones whoever draws them.

Nothing is spoilt here: what users have is odd enough. A table is refused only where there is nothing to model.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import gpuvgm
from gpuvgm.errors import InputError
from tests.harness.fuzz.harness import Target, WrongResult
from tests.harness.fuzz.parts import FAMILIES, typed

#: What a column may be made of beside the families of types.
ODD: Mapping[str, Callable[[np.random.Generator, int], Any]] = {
    "constant": lambda draws, rows: pa.array([7.25] * rows),
    "empty": lambda draws, rows: pa.nulls(rows, pa.float64()),
    "null": lambda draws, rows: pa.nulls(rows),
    "serial": lambda draws, rows: pa.array(range(1000, 1000 + rows)),
    "text ids": lambda draws, rows: pa.array([f"AB-{row:05}" for row in draws.permutation(rows)]),
    "mail": lambda draws, rows: pa.array([f"user{row}@example.org" for row in draws.integers(0, rows // 4 + 1, rows)]),
    "normal": lambda draws, rows: pa.array(draws.normal(50, 9, rows)),
    "skewed": lambda draws, rows: pa.array(np.exp(draws.normal(3, 2, rows)).round(2)),
    "tiny": lambda draws, rows: pa.array(draws.normal(0, 5e-324 * 1e5, rows)),
    "huge": lambda draws, rows: pa.array(draws.normal(0, 1e305, rows)),
    "endless": lambda draws, rows: pa.array(draws.choice([1.0, -0.0, math.inf, -math.inf, math.nan], rows)),
    "widest": lambda draws, rows: pa.array(draws.choice([-(2**63), 2**63 - 1, 0], rows)),
    "far": lambda draws, rows: pa.array(draws.choice([-(2**62), 0, 2**62], rows)).cast(pa.timestamp("us")),
    "sentinels": lambda draws, rows: pa.array(np.where(draws.random(rows) < 0.2, -999, draws.integers(0, 90, rows))),
    "moments": lambda draws, rows: pa.array(draws.integers(0, 10**9, rows)).cast(pa.timestamp("s")),
    "dates as text": lambda draws, rows: pa.array([f"{day + 1:02}.03.2024" for day in draws.integers(0, 28, rows)]),
    "numbers as text": lambda draws, rows: pa.array([f"{cents / 100:.2f}" for cents in draws.integers(0, 10**6, rows)]),
    "days as numbers": lambda draws, rows: pa.array(20240100 + draws.integers(1, 29, rows)),
    "two": lambda draws, rows: pa.array(draws.choice(["yes", "no"], rows)),
    "many": lambda draws, rows: pa.array([f"w{int(value)}" for value in draws.exponential(60, rows)]),
    "binary": lambda draws, rows: pa.array([bytes([int(value)]) for value in draws.integers(0, 255, rows)]),
    "structs": lambda draws, rows: pa.array([{"a": int(value)} for value in draws.integers(0, 3, rows)]),
}


def table_of(random: random.Random) -> pa.Table:
    """A table of one to eight columns, some of which are sums or copies of others."""
    draws = np.random.default_rng(random.getrandbits(32))
    rows = random.choice((1, 2, 3, 10, 40, 150, 400, 400, 1500))
    columns: dict[str, Any] = {}
    for number in range(random.randint(1, 7)):
        if random.random() < 0.4:
            make, types = FAMILIES[random.choice([*FAMILIES])]
            values: Any = typed(make(draws, rows), random.choice(types))
        else:
            values = ODD[random.choice([*ODD])](draws, rows)
        if random.random() < 0.3 and values.type != pa.string_view():
            gone = pa.array(draws.random(rows) < random.choice((0.02, 0.5)))
            values = values.take(pc.if_else(gone, None, pa.array(range(rows))))
        columns[f"c{number}"] = values
    plain = [name for name, column in columns.items() if pa.types.is_float64(column.type)]
    if plain and random.random() < 0.5:
        one, other = random.choice(plain), random.choice(plain)
        with np.errstate(all="ignore"):
            columns["sum"] = pa.array(columns[one].to_numpy(False) + columns[other].to_numpy(False), from_pandas=True)
    if random.random() < 0.3:
        columns["copy"] = columns[random.choice([*columns])]
    return pa.table(columns)


def attempt(_: None, random: random.Random, folder: Path) -> None:
    """Fit, sample, save, load, condition, score and compare."""
    table = table_of(random)
    settings = {"laws": random.choice(("auto", "auto", "off")), "safer": random.random() < 0.3}
    model = gpuvgm.TableSynthesizer(threads=1, **settings)  # type: ignore[arg-type]
    try:
        model.fit(table)
    except InputError as problem:
        raise InputError(f"table: {problem}") from problem
    rows = random.choice((1, 60, 700))
    sample = model.sample(rows, seed=3)
    if sample.schema.names != table.schema.names or sample.schema.types != table.schema.types:
        raise WrongResult(f"a sample of {sample.schema.types}, not {table.schema.types}")
    model.save(folder / "m.gpuvgm")
    loaded: Any = gpuvgm.load(folder / "m.gpuvgm")
    half = rows // 2
    apart = [loaded.sample(half, seed=3), loaded.sample(rows - half, seed=3, first_row=half)]
    if not pa.concat_tables(apart).combine_chunks().equals(sample.combine_chunks()):
        if str(pa.concat_tables(apart).to_pylist()) != str(sample.to_pylist()):  # NaN
            raise WrongResult("a model that was loaded draws other rows, or parts do")
    loaded.sample(rows, seed=3, out=folder / "sample.parquet")
    condition(model, table, random)
    scores = model.score_samples(table)
    if np.isnan(scores).any() or not np.isfinite(scores).all():
        raise WrongResult(f"scores of rows of the table: {scores[~np.isfinite(scores)][:3]}")
    if model.network_.structure.nodes:
        model.evaluate(table, n=min(rows, table.num_rows)).to_dict()


def condition(model: Any, table: pa.Table, random: random.Random) -> None:
    """Ask for a value of the table, where it is one that Python has, and is not missing, as empty text is."""
    name, row = random.choice(table.column_names), random.randrange(table.num_rows)
    with suppress(OverflowError):
        value = table.column(name)[row].as_py()
        if value in (None, "") or value != value or isinstance(value, dict | list):
            return
        try:
            rows = model.sample(20, conditions={name: value})
        except InputError as problem:
            if f'"{name}"' not in str(problem):
                raise WrongResult(f"a refused condition does not name its column: {problem}") from problem
            return
        found = rows.column(name).to_pylist()
        if any(one != value for one in found):
            raise WrongResult(f"{name}: {found} where {value!r} was asked for")


TARGETS = (Target("samples", lambda _: None, attempt, named=("table",)),)

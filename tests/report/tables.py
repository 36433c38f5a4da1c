"""A table of every kind of column, and the figures of single columns."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pyarrow as pa

import gpuvgm
from gpuvgm.report.figures import NumberFigures
from gpuvgm.report.profiles import NumberProfile


def make_table(rows: int, seed: int = 0) -> pa.Table:
    """Columns of every kind."""
    random = np.random.default_rng(seed)
    zeros = np.where(random.random(rows) < 0.3, 0.0, random.gamma(2, 50, rows))
    return pa.table(
        {
            "plain": random.normal(5, 2, rows),
            "holes": pa.array(random.normal(size=rows), mask=random.random(rows) < 0.1),
            "zeros": zeros,
            "log": random.lognormal(0, 1.5, rows),
            "general": random.normal(size=rows),
            "counts": random.poisson(30, rows),
            "cents": pa.array(
                [Decimal(int(c)).scaleb(-2) for c in random.integers(1, 10**5, rows)], pa.decimal128(9, 2)
            ),
            "when": pa.array(random.integers(1_600_000_000, 1_600_900_000, rows), pa.timestamp("s", "UTC")),
            "day": pa.array(random.integers(0, 9000, rows), pa.int32()).cast(pa.date32()),
            "city": pa.array(random.choice(["a", "b", "c", None], rows, p=[0.6, 0.2, 0.1, 0.1])),
            "size": pa.array(random.choice(["S", "M"], rows)).dictionary_encode(),
            "key": [f"k{i}" for i in range(rows)],
        }
    )


COLUMNS = {
    "zeros": {"kind": "mixed", "modal": [0]},
    "log": {"kind": "continuous", "log": True},
    "general": "general",
    "counts": "general",
    "city": "categorical",
    "size": "categorical",
    "key": "pass",
}
NUMBERS = ("plain", "holes", "zeros", "log", "general", "counts", "cents", "when", "day")


def synthetic_table(rows: int) -> pa.Table:
    """Other rows, with other shares of the cities and one that the table lacks."""
    table = make_table(rows, seed=1)
    cities = np.random.default_rng(2).choice(["a", "b", "new", None], rows, p=[0.4, 0.2, 0.2, 0.2])
    return table.set_column(table.column_names.index("city"), "city", pa.array(cities))


def numbers(column: pa.ChunkedArray) -> np.ndarray:
    """Values in the column's own unit, NaN where missing."""
    if pa.types.is_decimal(column.type):
        return np.array([float(value.scaleb(2)) for value in column.to_pylist()])
    if pa.types.is_temporal(column.type):
        column = column.cast(pa.int32() if pa.types.is_date32(column.type) else pa.int64())
    return column.to_pandas().to_numpy(float)


def figures_of(values: object, **options: object) -> NumberFigures:
    """Figures of the rows that a column was fitted to."""
    fitted = gpuvgm.TableTransformer({"x": {"kind": "continuous", **options}}, effort="research").fit({"x": values})
    figures = fitted.evaluate({"x": values}).columns["x"]
    assert isinstance(figures, NumberFigures)
    return figures


def profile_of(values: object, **options: object) -> NumberProfile:
    """What a page shows of such a column."""
    profile = figures_of(values, **options).profile
    assert isinstance(profile, NumberProfile)
    return profile

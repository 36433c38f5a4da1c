"""Inverse beside numpy.sum and beside a NumPy formula."""

from __future__ import annotations

import numpy as np

from benchmarks.inputs import FITTED_ROWS, amounts
from benchmarks.measure import Measurement, beside_yardsticks, best_times
from benchmarks.transform import NUMPY, Transform
from gpuvgm.engines import get_engine

LEAST_OF_SUM = 0.20


def measure(rows: int) -> list[Measurement]:
    """Scalars and modes of `rows` rows back to values; the NumPy formula over at most a million."""
    x = amounts(rows)
    encoded = Transform(x, get_engine("auto"))
    encoded.sampled()
    table, values = encoded.column.inverse_table(), np.empty(rows)

    def inverse(engine: str, count: int) -> None:
        rows_of = slice(0, count)
        get_engine(engine).inverse_transform(encoded.scalar[rows_of], encoded.cell[rows_of], table, values[rows_of])

    few = min(rows, FITTED_ROWS)
    pair = best_times({"native": lambda: inverse("auto", few), NUMPY: lambda: inverse("reference", few)})
    return [
        *beside_yardsticks(x, {"inverse": lambda: inverse("auto", rows)}, {"inverse": LEAST_OF_SUM}),
        Measurement("inverse", few, pair["native"], {NUMPY: pair[NUMPY]}),
    ]

"""Values that may ascend already: sorted and counted as NumPy does it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from gpuvgm.arrays import ascending, distinct_values
from gpuvgm.config import CHUNK_ROWS
from gpuvgm.execution import LocalExecutor, Run, Sampled
from gpuvgm.io import open_source

RANDOM = np.random.default_rng(3)
VALUES = {
    "none": np.empty(0),
    "one": np.array([2.5]),
    "drawn": RANDOM.normal(size=500),
    "repeated": RANDOM.integers(-3, 3, 500),
    "narrow": RANDOM.normal(size=500).astype(np.float32).round(1),
    "unsigned": RANDOM.integers(0, 2**64, 300, dtype=np.uint64),
    "ascending": np.sort(RANDOM.poisson(4, 500)),
    "descending": np.arange(50.0)[::-1],
}


@pytest.mark.parametrize("name", VALUES)
def test_sorted_and_counted_as_numpy_does_it(name: str) -> None:
    values: NDArray[Any] = VALUES[name]
    found, counts = distinct_values(values)
    expected, expected_counts = np.unique(values, return_counts=True)
    np.testing.assert_array_equal(ascending(values), np.sort(values), strict=True)
    np.testing.assert_array_equal(found, expected, strict=True)
    np.testing.assert_array_equal(counts, expected_counts, strict=True)


def test_values_that_ascend_are_not_copied() -> None:
    assert ascending(VALUES["ascending"]) is VALUES["ascending"]


@pytest.mark.parametrize("fine", [False, True])
@pytest.mark.parametrize("type_", [pa.float64(), pa.float32(), pa.int16(), pa.uint64()])
def test_a_fine_sample_of_numbers_ascends(type_: pa.DataType, fine: bool) -> None:
    numbers = RANDOM.integers(0, 1000, 2 * CHUNK_ROWS)
    column = pa.array(numbers, type_, mask=numbers % 7 == 0)
    source = open_source(pa.table({"x": column, "text": pa.array([f"{n}" for n in numbers])}))
    rows = Sampled.of(Run(source, "auto", LocalExecutor(2)), ["x", "text"], 0, fine=fine).rows
    drawn = rows.column("x").drop_null().to_numpy()
    assert rows.schema == source.schema
    assert rows.column("x").null_count == column.null_count
    assert sorted(drawn) == sorted(column.drop_null().to_numpy())
    assert bool(np.all(np.diff(drawn.astype(np.float64)) >= 0)) == fine
    assert rows.column("text").to_pylist() == [f"{n}" for n in numbers]

"""Rows of the onehot layout, written and read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuvgm.engines import get_engine
from gpuvgm.engines.base import Engine, OnehotPart

WIDTHS = st.lists(st.tuples(st.booleans(), st.integers(0, 300)), min_size=1, max_size=4)
VALUES = st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5, np.nan, np.inf, -np.inf])


def parts(widths: list[tuple[bool, int]], rows: int, seed: int) -> list[OnehotPart]:
    """Encoded columns; some cells are one beyond the last."""
    random = np.random.default_rng(seed)
    made: list[OnehotPart] = []
    for has_scalar, cells in widths:
        scalar = random.normal(size=rows).astype(random.choice([np.float32, np.float64])) if has_scalar else None
        dtype = np.uint8 if cells < 256 and random.random() < 0.5 else np.uint16
        made.append((scalar, random.integers(0, cells + 1, rows).astype(dtype) if cells else None, cells))
    return made


@given(WIDTHS, st.integers(0, 20), st.integers(0, 99), st.sampled_from(["float32", "float64"]))
def test_matrices_equal_those_of_the_reference(
    widths: list[tuple[bool, int]], rows: int, seed: int, dtype: str
) -> None:
    given_ = parts(widths, rows, seed)
    width = sum(has_scalar + cells for has_scalar, cells in widths)
    matrices = [np.full((rows, width), 7, dtype) for _ in range(2)]
    for name, matrix in zip(("auto", "reference"), matrices, strict=True):
        get_engine(name).fill_onehot(given_, matrix)
    np.testing.assert_array_equal(*matrices)


@given(st.lists(st.lists(VALUES, min_size=5, max_size=5), max_size=8), st.booleans(), st.permutations(range(4)))
def test_largest_cells_equal_those_of_the_reference(
    rows: list[list[float]], zero_is_none: bool, order: list[int]
) -> None:
    for dtype in (np.float32, np.float64):
        matrix = np.array(rows, dtype).reshape(len(rows), 5)
        found = [np.zeros(len(rows), np.uint8) for _ in range(2)]
        for name, cell in zip(("auto", "reference"), found, strict=True):
            get_engine(name).largest_cells(matrix, 1, np.array(order), cell, zero_is_none=zero_is_none)
        np.testing.assert_array_equal(*found)


def test_ties_go_by_the_order(engine: Engine) -> None:
    cell = np.zeros(2, np.uint16)
    engine.largest_cells(np.array([[0.5, 1.0, 1.0], [0.5, 0.5, 0.5]]), 0, np.array([2, 0, 1]), cell, zero_is_none=False)
    np.testing.assert_array_equal(cell, [2, 2])


def test_wrong_shapes_are_refused_by_the_extension() -> None:
    native = pytest.importorskip("gpuvgm._native", reason="the C++ extension is not built")
    scalar, cell = np.zeros(3, np.float32), np.zeros(3, np.uint8)
    with pytest.raises(ValueError, match="one value a row"):
        native.fill_onehot([(scalar, cell, 2)], np.zeros((4, 3)))
    with pytest.raises(ValueError, match="one column for each"):
        native.fill_onehot([(scalar, cell, 2)], np.zeros((3, 4)))
    with pytest.raises(ValueError, match="scalars must be"):
        native.fill_onehot([(np.zeros(3, np.int32), None, 0)], np.zeros((3, 1)))
    with pytest.raises(ValueError, match="outside the matrix"):
        native.largest_cells(np.zeros((3, 4)), 2, np.arange(3), False, cell)
    with pytest.raises(ValueError, match="not there"):
        native.largest_cells(np.zeros((3, 4)), 0, np.array([0, 9]), False, cell)
    with pytest.raises(ValueError, match="cells must be"):
        native.largest_cells(np.zeros((3, 4)), 0, np.arange(2), False, np.zeros(3, np.int64))

"""The grid: order of keys, borders, splits, limits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from gpuvgm.summary.grid import (
    OUTER_CELLS,
    Frame,
    Grid,
    Masses,
    _distinct,
    _distinct_in_numpy,
    keys_of,
    midpoint_keys,
    values_of,
)
from tests.harness.shapes import SHAPES, shape

FINITE = st.floats(allow_nan=False, allow_infinity=False)


def grid_of(x: np.ndarray, centres: list[float] | None = None, refinements: int = 0) -> tuple[Grid, np.ndarray]:
    frame = Frame.around(x)
    y = frame.apply(x[np.isfinite(x)])
    middle = np.quantile(y, [0.1, 0.5, 0.9]) if centres is None else np.array(centres)
    return Grid.of(frame, Masses.of_sample(y), middle, refinements), y


@given(st.lists(FINITE, min_size=2, max_size=50))
def test_keys_keep_the_order_and_come_back(values: list[float]) -> None:
    x = np.array(values)
    keys = keys_of(x)
    np.testing.assert_array_equal(values_of(keys), x + 0.0)
    np.testing.assert_array_equal(x[:, None] < x, keys[:, None] < keys)


@given(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 300), max_size=60))
def test_distinct_keys_are_those_of_numpy(values: list[int]) -> None:
    keys = np.array(values, np.uint64)
    for one, other in zip(_distinct(keys), _distinct_in_numpy(keys), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def test_minus_zero_is_zero() -> None:
    assert keys_of(np.array([-0.0]))[0] == keys_of(np.array([0.0]))[0]


@pytest.mark.parametrize("name", SHAPES)
def test_every_row_lies_within_its_cell(name: str) -> None:
    grid, y = grid_of(shape(name, 20_000))
    other = grid.frame.apply(shape(name, 5_000, seed=1))  # rows that the grid was not built from
    keys = keys_of(np.concatenate([y, other]))
    cells, position = grid.locate(keys)
    at = grid.geometry(cells)
    offset = keys - at.low
    assert np.all(keys >= at.low)
    assert np.all(offset >> (at.drop + at.bits).astype(np.uint64) == 0)
    np.testing.assert_array_equal(position, offset >> at.drop.astype(np.uint64))
    assert grid.inner_cells + OUTER_CELLS < 1 << 23


@pytest.mark.parametrize("name", ["cents", "+-1e9", "70 % zeros", "integers"])
def test_splits_give_every_row_the_label_of_its_nearest_centre(name: str) -> None:
    x = shape(name, 20_000)
    centres = np.random.default_rng(5).choice(Frame.around(x).apply(x), 10)
    grid, y = grid_of(x, list(centres))
    cells = grid.split(grid.locate(keys_of(y))[0], keys_of(y))
    labels = grid.labels(cells, grid.geometry(cells).low)
    ordered = np.unique(centres)
    nearest = np.searchsorted(values_of(midpoint_keys(centres)), y, side="right")
    np.testing.assert_array_equal(labels, nearest)
    assert labels.max() < len(ordered)


def test_a_row_at_a_midpoint_belongs_to_the_upper_centre() -> None:
    grid, _ = grid_of(np.linspace(0, 10, 1001), [0.0 - 5, 2.0 - 5])
    key = keys_of(np.array([-4.0, np.nextafter(-4.0, -9)]))
    cells = grid.split(grid.locate(key)[0], key)
    assert list(grid.labels(cells, grid.geometry(cells).low)) == [1, 0]


def test_few_values_get_a_cell_each() -> None:
    x = np.random.default_rng(0).choice(np.round(np.random.default_rng(1).lognormal(2, 2, 300), 2), 50_000)
    grid, y = grid_of(x)
    assert len(np.unique(grid.locate(keys_of(y))[0])) == len(np.unique(y))


def test_a_sliver_of_mass_in_one_entry_is_resolved() -> None:
    x = np.where(np.random.default_rng(0).uniform(size=50_000) < 0.5, 1e6, 1e6 + 10)
    x = x + 1e-3 * np.random.default_rng(1).normal(size=50_000)
    grid, y = grid_of(x)
    assert len(np.unique(grid.locate(keys_of(y))[0])) > 5_000


@pytest.mark.parametrize(
    ("magnitude", "scaled"), [(1.0, False), (1e100, False), (1e130, True), (1e-130, True), (5e-324, True)]
)
def test_frame_scales_only_extreme_columns(magnitude: float, scaled: bool) -> None:  # noqa: FBT001
    x = magnitude * np.array([1.0, 2.0, 3.0])
    frame = Frame.around(x)
    assert (frame.scale != 1.0) == scaled
    np.testing.assert_array_equal(frame.invert(frame.apply(x)), x)


def test_frame_of_nothing() -> None:
    assert Frame.around(np.array([np.nan, np.inf])) == Frame(1.0, 0.0)


def test_fingerprint_names_the_cells() -> None:
    x = shape("lognormal", 10_000)
    one, _ = grid_of(x)
    assert one.fingerprint == grid_of(x)[0].fingerprint
    assert one.fingerprint != grid_of(x, [0.0, 1.0])[0].fingerprint
    assert one.fingerprint != grid_of(x, refinements=1)[0].fingerprint

"""Engines find where numbers lie among starts as `searchsorted` does."""

from __future__ import annotations

import numpy as np
import pytest

from gpuvgm.engines import get_engine
from gpuvgm.synthesis.bins.starts import MOST_STARTS, start_finder


@pytest.mark.parametrize("name", ["reference", "native"])
@pytest.mark.parametrize("count", [1, 2, 1000, MOST_STARTS, MOST_STARTS + 1])
def test_places_are_those_of_searchsorted(name: str, count: int) -> None:
    draws = np.random.default_rng(count)
    starts = np.sort(draws.integers(-3000, 3000, count) / 8.0)
    between = draws.normal(0, 400, 3000)
    edges = [-np.inf, np.inf, np.nan, 0.0, -0.0, 5e-324, -5e-324]
    numbers = np.concatenate([starts, np.nextafter(starts, np.inf), np.nextafter(starts, -np.inf), between, edges])
    expected = np.searchsorted(starts, numbers, side="right") - 1
    np.testing.assert_array_equal(start_finder(starts, get_engine(name))(numbers), expected)
    np.testing.assert_array_equal(start_finder(starts)(numbers), expected)
